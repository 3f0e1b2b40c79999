/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives from peers. */
#include "invariant.h"
#include "state.h"

/* The peer whose session both ends of the header name, or NULL. */
static struct holt_peer *
peer_of(struct holt_replica *replica, const struct holt_header *header)
{
  struct holt_peer *peer = replica->peers;
  while (peer != NULL && !(peer->up && peer->session == header->to_session &&
                           peer->remote_session == header->from_session)) {
    peer = peer->next;
  }
  return peer;
}

static void
ack_due(struct holt_peer *peer, bool gap)
{
  peer->ack_due = true;
  peer->ack_gap = peer->ack_gap || gap;
}

/* Say that something is missing, but not once for each message behind it. */
static void
report_gap(struct holt_replica *replica, struct holt_peer *peer,
           struct holt_actor *actor, uint64_t now_ms)
{
  replica->counters.gaps++;
  if (actor->nacked_at_ms == 0 ||
      now_ms - actor->nacked_at_ms >= HOLT_NACK_MS) {
    actor->nacked_at_ms = now_ms;
    ack_due(peer, true);
  }
}

/*--------------------------------------------------------------------
 * Deltas */

/* A message that was taken up and never finished leaves rows behind that its
 * cursor does not account for: that copy begins again. */
static void
abandon(struct holt_replica *replica)
{
  if (replica->applying != NULL) {
    holt__actor_restart(replica, replica->applying);
    replica->counters.repairs++;
  }
}

/* The message brings nothing that is not in already, but perhaps shows that the
 * sender goes by a cursor that we have passed, and will not send the rest by
 * itself. */
static void
delta_known(struct holt_replica *replica, const struct holt_message *message,
            struct holt_peer *peer, struct holt_actor *actor, uint64_t now_ms)
{
  replica->counters.duplicates++;
  if (message->to > actor->cursor) {
    report_gap(replica, peer, actor, now_ms);
  } else {
    ack_due(peer, false);
  }
}

/* 0: take its rows.  HOLT_ERR_BUSY: nothing to do with it.  Else refused. */
static int
delta_begin(struct holt_replica *replica, struct holt_message *message,
            struct holt_peer *peer, struct holt_actor *actor, uint64_t now_ms)
{
  /* For now an actor is streamed by itself only. */
  if (actor == NULL || actor->gone || message->actor != peer->actor) {
    return HOLT_ERR_STALE;
  }
  const bool first = message->after == 0;
  if (message->as_of < actor->as_of ||
      (first ? message->as_of == actor->anew_at && message->to <= actor->cursor
             : message->after < actor->cursor)) {
    /* As of before what is in its rows may have moved on since; the same
     * beginning of the same copy is in, too. */
    delta_known(replica, message, peer, actor, now_ms);
    return HOLT_ERR_BUSY;
  }
  const bool misfit =
    !first && message->anew != 0 && message->anew != actor->anew_at;
  if ((first && actor->cursor != 0) || misfit) {
    holt__actor_restart(replica, actor);
    replica->counters.repairs++;
  }
  if (message->after > actor->cursor) {
    report_gap(replica, peer, actor, now_ms);
    return HOLT_ERR_BUSY;
  }
  if (first) {
    actor->anew_at = message->as_of;
  }
  actor->as_of = message->as_of;
  actor->dirty = true;
  replica->applying = actor;
  return 0;
}

static int
delta_row(struct holt_replica *replica, struct holt_actor *actor,
          const struct holt_row_spec *spec, uint64_t wall_ms)
{
  struct holt_row *row;
  const int rv = holt_rows_put(&replica->rows, actor, spec, &row);
  if (rv != 0) {
    return rv;
  }
  holt_clock_observe(&replica->clock, spec->stamp, wall_ms);
  if (actor->shown && row->entry->row_count > 1) {
    holt__entry_settle(replica, row->entry);
  }
  return 0;
}

/* The rows that a repair did not send again have died unseen. */
static bool
sweep_stale(struct holt_replica *replica, struct holt_actor *actor,
            size_t *budget)
{
  while (actor->rows_head != NULL && actor->rows_head->epoch != actor->epoch) {
    if (*budget == 0) {
      return false;
    }
    (*budget)--;
    holt_rows_remove(&replica->rows, actor->rows_head);
  }
  return true;
}

static void
delta_end(struct holt_replica *replica, struct holt_peer *peer,
          const struct holt_message *message, struct holt_actor *actor)
{
  actor->cursor = message->to;
  if (message->clean) {
    actor->version = message->to;
    actor->dirty = false;
    if (!actor->shown && actor->connected &&
        actor->version >= actor->hello_version) {
      actor->shown = true;
      holt__view_changed(replica);
    }
  }
  replica->applying = NULL;
  ack_due(peer, false);
}

static int
delta_items(struct holt_replica *replica, struct holt_message *message,
            struct holt_actor *actor, uint64_t wall_ms, size_t *budget)
{
  struct holt_delta_item item;
  for (;;) {
    if (*budget == 0) {
      return HOLT_MORE;
    }
    int rv = holt_message_next(message, &item);
    if (rv != 0 || item.type == HOLT_ITEM_END) {
      return rv;
    }
    if (item.type == HOLT_ITEM_ROW) {
      rv = delta_row(replica, actor, &item.row, wall_ms);
      if (rv != 0) {
        return rv;
      }
    } else {
      struct holt_row *const row =
        holt_rows_born(&replica->rows, actor, item.birth);
      if (row != NULL) {
        holt_rows_remove(&replica->rows, row);
      }
    }
    (*budget)--;
  }
}

static int
apply_delta(struct holt_replica *replica, struct holt_message *message,
            struct holt_peer *peer, const struct holt_time *now, size_t budget)
{
  struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, message->actor);
  if (!message->begun) {
    abandon(replica);
    const int rv = delta_begin(replica, message, peer, actor, now->mono_ms);
    if (rv != 0) {
      return rv == HOLT_ERR_BUSY ? 0 : rv;
    }
    message->begun = true;
  } else if (actor == NULL || replica->applying != actor || actor->gone) {
    return HOLT_ERR_STALE;
  }

  int rv = delta_items(replica, message, actor, now->wall_ms, &budget);
  if (rv == 0 && message->clean && !sweep_stale(replica, actor, &budget)) {
    rv = HOLT_MORE;
  }
  if (rv == 0) {
    delta_end(replica, peer, message, actor);
  } else if (rv < 0) {
    /* Half of it is in: the copy cannot go on from its cursor. */
    abandon(replica);
    report_gap(replica, peer, actor, now->mono_ms);
  }
  return rv;
}

/*--------------------------------------------------------------------
 * Acks and vectors */

static int
apply_ack(struct holt_replica *replica, const struct holt_ack *ack,
          struct holt_peer *peer)
{
  if (ack->actor != replica->self->id) {
    return HOLT_ERR_STALE;
  }
  if (ack->cursor > replica->self->version) {
    return HOLT_ERR_MALFORMED;
  }
  if (ack->gap && ack->cursor < peer->cursor) {
    holt__peer_rewind(replica, peer, ack->cursor);
    return 0;
  }
  if (ack->cursor > peer->acked) {
    peer->acked = ack->cursor;
  }
  uint32_t done = 0;
  while (done < peer->inflight_count &&
         peer->inflight[done].to <= ack->cursor) {
    peer->inflight_bytes -= peer->inflight[done].bytes;
    done++;
  }
  for (uint32_t i = done; i < peer->inflight_count; i++) {
    peer->inflight[i - done] = peer->inflight[i];
  }
  peer->inflight_count -= done;
  return 0;
}

/* The vector follows everything that was sent before it: what has not come by
 * now is missing. */
static int
apply_vector(struct holt_replica *replica, const struct holt_message *message,
             struct holt_peer *peer, uint64_t now_ms)
{
  size_t offset = message->vector_offset;
  for (size_t i = 0; i < message->vector_count; i++) {
    struct holt_vector_item item;
    holt_message_vector(message, &offset, &item);
    struct holt_actor *const actor =
      holt_rows_actor(&replica->rows, item.actor);
    if (item.actor != peer->actor || actor == NULL) {
      continue; /* News of third parties is of no use yet. */
    }
    if (item.sent > actor->cursor) {
      report_gap(replica, peer, actor, now_ms);
    } else {
      ack_due(peer, false);
    }
  }
  return 0;
}

int
holt_replica_apply(struct holt_replica *replica, struct holt_message *message,
                   const struct holt_time *now, size_t budget)
{
  struct holt_peer *const peer = peer_of(replica, &message->header);
  int rv = HOLT_ERR_STALE;
  if (peer != NULL) {
    peer->confirmed = true; /* It knows our session, or could not name it. */
    peer->heard_at_ms = now->mono_ms;
    switch (message->kind) {
    case HOLT_PACKET_DELTA:
      rv = apply_delta(replica, message, peer, now, budget);
      break;
    case HOLT_PACKET_ACK:
      rv = apply_ack(replica, &message->ack, peer);
      break;
    case HOLT_PACKET_VECTOR:
      rv = apply_vector(replica, message, peer, now->mono_ms);
      break;
    }
  }
  if (rv < 0) {
    holt__refuse(replica, rv);
  }
  return rv;
}
