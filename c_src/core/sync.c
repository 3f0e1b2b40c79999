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
                           (peer->remote_session == header->from_session ||
                            holt_mutant(OLD_SESSION)))) {
    peer = peer->next;
  }
  return peer;
}

void
holt_replica_refused(struct holt_replica *replica, const uint8_t *bytes,
                     size_t size, int error)
{
  struct holt_header header;
  const bool known =
    bytes != NULL && holt_header_decode(bytes, size, &header) == 0;
  holt__refuse(replica, known ? peer_of(replica, &header) : NULL, error);
}

/* The peer is told how far we have come with a stream: its own, or that of an
 * actor which it forwards. */
static void
ack_due(struct holt_peer *peer, struct holt_actor *actor, bool gap)
{
  if (peer->actor != actor->id) {
    holt__follow_ack(actor, peer, gap);
    return;
  }
  peer->ack_due = true;
  peer->ack_gap = peer->ack_gap || gap;
}

void
holt__report_gap(struct holt_replica *replica, struct holt_peer *peer,
                 struct holt_actor *actor, uint64_t now_ms)
{
  replica->counters.gaps++;
  if (actor->nacked_at_ms == 0 ||
      now_ms - actor->nacked_at_ms >= HOLT_NACK_MS) {
    actor->nacked_at_ms = now_ms;
    ack_due(peer, actor, true);
  }
}

/*--------------------------------------------------------------------
 * Deltas */

/* The message brings nothing that is not in already, but perhaps shows that the
 * sender goes by a cursor that we have passed, and will not send the rest by
 * itself. */
static void
delta_known(struct holt_replica *replica, const struct holt_message *message,
            struct holt_peer *peer, struct holt_actor *actor, uint64_t now_ms)
{
  replica->counters.duplicates++;
  if (message->to > actor->cursor) {
    holt__report_gap(replica, peer, actor, now_ms);
  } else {
    ack_due(peer, actor, false);
  }
}

/* 0: take its rows.  HOLT_ERR_BUSY: nothing to do with it.  Else refused. */
static int
delta_begin(struct holt_replica *replica, struct holt_message *message,
            struct holt_peer *peer, struct holt_actor *actor, uint64_t now_ms)
{
  if (actor == NULL || actor->gone) {
    return HOLT_ERR_STALE;
  }
  /* Only an actor itself serves its intervals, and who passes them on. */
  if (message->actor != peer->actor && !holt_follows(actor, peer)) {
    holt__follow_refuse(actor, peer);
    return HOLT_ERR_STALE;
  }
  if (actor->torn && !holt_mutant(STREAM_TORN)) {
    /* Streamed or repaired, never both. */
    holt__repair_ask(replica, peer, actor->id, message->as_of, now_ms);
    return HOLT_ERR_BUSY;
  }
  if ((message->as_of < actor->as_of && !holt_mutant(AS_OF_IGNORED)) ||
      message->after < actor->cursor) {
    /* As of before what is in its rows may have moved on since. */
    delta_known(replica, message, peer, actor, now_ms);
    return HOLT_ERR_BUSY;
  }
  if (message->after > actor->cursor) {
    holt__report_gap(replica, peer, actor, now_ms);
    return HOLT_ERR_BUSY;
  }
  actor->as_of = message->as_of;
  actor->dirty = true;
  if (holt_mutant(ACK_EARLY)) {
    actor->cursor = message->to;
    ack_due(peer, actor, false);
  }
  message->at = actor->cursor;
  return 0;
}

/* The next items, at most budget of them, and their places, with what they will
 * touch first on its way from memory.  As holt_message_batch(). */
static int
batch_read(const struct holt_replica *replica, const struct holt_actor *actor,
           struct holt_message *message, size_t budget,
           struct holt_batch *batch)
{
  const struct holt_rows *const rows = &replica->rows;
  const int rv = holt_message_batch(message, batch, budget);
  for (size_t i = 0; i < batch->count; i++) {
    const struct holt_delta_item *const item = &batch->items[i];
    struct holt_row_place *const place = &batch->places[i];
    if (item->type == HOLT_ITEM_ROW) {
      holt_rows_place(rows, actor, &item->row, place);
    } else {
      holt_rows_place_birth(rows, actor, item->birth, place);
    }
  }
  for (size_t i = 0; i < batch->count; i++) {
    const struct holt_delta_item *const item = &batch->items[i];
    if (item->type == HOLT_ITEM_ROW) {
      holt_rows_fetch(rows, actor, &item->row, &batch->places[i]);
    } else {
      holt_rows_fetch_birth(rows, &batch->places[i]);
    }
  }
  return rv;
}

/* Put a row that has come at its place; what it does to the view follows. */
static int
row_put(struct holt_replica *replica, struct holt_actor *actor,
        const struct holt_row_spec *spec, const struct holt_row_place *place,
        const struct holt_time *now)
{
  uint32_t ref;
  const int rv = holt_rows_put_at(&replica->rows, actor, spec, place, &ref);
  if (rv != 0) {
    return rv;
  }
  holt_clock_observe(&replica->clock, spec->stamp, now->mono_ms, now->wall_ms);
  if (actor->shown && replica->rows.kind == HOLT_KIND_UNIQUE &&
      holt_row_shared(&replica->rows, holt_row_at(&replica->rows, ref))) {
    holt__key_settle(replica, ref);
  }
  return 0;
}

static int
item_take(struct holt_replica *replica, struct holt_actor *actor,
          const struct holt_delta_item *item,
          const struct holt_row_place *place, const struct holt_time *now)
{
  if (item->type == HOLT_ITEM_ROW) {
    return row_put(replica, actor, &item->row, place, now);
  }
  const uint32_t row = holt_rows_born(&replica->rows, actor, item->birth);
  if (row != 0) {
    if (holt_row_shared(&replica->rows, holt_row_at(&replica->rows, row))) {
      holt__contest_look(replica, row); /* The next one, perhaps. */
    }
    holt_rows_remove(&replica->rows, row, item->why);
  }
  return 0;
}

int
holt__items_take(struct holt_replica *replica, struct holt_actor *actor,
                 struct holt_message *message, uint64_t *seq, uint64_t *deaths,
                 const struct holt_time *now, size_t *budget)
{
  while (*budget > 0) {
    struct holt_batch batch;
    int rv = batch_read(replica, actor, message, *budget, &batch);
    for (size_t i = 0; i < batch.count && rv == 0; i++) {
      const struct holt_delta_item *const item = &batch.items[i];
      rv = item_take(replica, actor, item, &batch.places[i], now);
      if (rv == 0 && item->type == HOLT_ITEM_ROW) {
        *seq = item->row.seq;
      } else if (rv == 0) {
        (*deaths)++;
      }
    }
    if (rv != 0 || batch.count == 0) {
      return rv;
    }
    *budget -= batch.count;
  }
  return HOLT_MORE;
}

static void
delta_end(struct holt_replica *replica, struct holt_peer *peer,
          const struct holt_message *message, struct holt_actor *actor,
          const struct holt_time *now)
{
  actor->cursor = message->to;
  if (message->clean) {
    actor->version = message->to;
    actor->dirty = false;
    holt__actor_show(replica, actor, now);
  }
  ack_due(peer, actor, false);
  if (peer->actor == actor->id || holt_mutant(FORWARD_AGAIN)) {
    holt__forward_delta(replica, actor, message);
  } else {
    actor->presence.follow_behind_ms = 0;
  }
}

/* These rows contradict each other: nothing of them is to be trusted before
 * they have been had anew. */
static void
tear(struct holt_replica *replica, struct holt_peer *peer,
     struct holt_actor *actor, uint64_t now_ms)
{
  actor->torn = true;
  actor->version = 0;
  if (holt_follows(actor, peer)) {
    holt__follow_fail(replica, actor, now_ms);
  } else {
    holt__repair_ask(replica, peer, actor->id, 0, now_ms);
  }
}

static int
apply_delta(struct holt_replica *replica, struct holt_message *message,
            struct holt_peer *peer, const struct holt_time *now, size_t *budget)
{
  struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, message->actor);
  if (!message->begun) {
    const int rv = delta_begin(replica, message, peer, actor, now->mono_ms);
    if (rv != 0) {
      return rv == HOLT_ERR_BUSY ? 0 : rv;
    }
    message->begun = true;
  } else if (actor == NULL || actor->gone ||
             (actor->torn && !holt_mutant(STREAM_TORN)) ||
             actor->cursor != message->at) {
    return HOLT_ERR_STALE;
  }

  uint64_t unused = 0;
  uint64_t *const cursor = holt_mutant(ACK_EARLY) ? &unused : &actor->cursor;
  const int rv =
    holt__items_take(replica, actor, message, cursor, &unused, now, budget);
  message->at = actor->cursor;
  if (rv == 0) {
    delta_end(replica, peer, message, actor, now);
  } else if (rv == HOLT_ERR_MALFORMED) {
    tear(replica, peer, actor, now->mono_ms);
  } else if (rv < 0) {
    holt__report_gap(replica, peer, actor, now->mono_ms);
  }
  return rv;
}

/*--------------------------------------------------------------------
 * The rest */

static int
apply_ack(struct holt_replica *replica, const struct holt_ack *ack,
          struct holt_peer *peer)
{
  if (ack->actor != replica->self->id) {
    return holt__forward_ack(replica, peer, ack);
  }
  if (ack->cursor > replica->self->version) {
    return HOLT_ERR_MALFORMED;
  }
  if (peer->lost && !ack->gap) {
    return 0;
  }
  if (peer->lost || ack->cursor > peer->cursor ||
      (ack->gap && ack->cursor < peer->cursor)) {
    /* It is elsewhere than we think: go on from there. */
    holt__serves_end(replica, peer, replica->self);
    holt__peer_rewind(replica, peer, ack->cursor);
  } else if (ack->cursor >= peer->acked) {
    peer->acked = ack->cursor;
    holt__window_acked(&peer->window, ack->cursor);
  }
  /* A message that ended half way may have brought all rows but not said that
   * they are all. */
  peer->unclean = !holt_mutant(UNCLEAN) && ack->dirty &&
                  peer->window.count == 0 &&
                  ack->cursor == replica->self->version;
  return 0;
}

/* The actor cannot stream to us: from where we are it can, after all; or we ask
 * it for a repair. */
static int
apply_lost(struct holt_replica *replica, const struct holt_lost *lost,
           struct holt_peer *peer, uint64_t now_ms)
{
  struct holt_actor *const actor = holt_rows_actor(&replica->rows, lost->actor);
  if (actor == NULL || actor->gone) {
    return HOLT_ERR_STALE;
  }
  if (lost->actor != peer->actor) {
    if (!holt_follows(actor, peer)) {
      holt__follow_refuse(actor, peer);
      return HOLT_ERR_STALE;
    }
    holt__follow_lost(replica, peer, actor, lost->base, now_ms);
  } else if (!actor->torn && actor->cursor >= lost->base) {
    ack_due(peer, actor, true);
  } else {
    holt__repair_ask(replica, peer, actor->id, HOLT_SEQ_MAX, now_ms);
  }
  return 0;
}

static int
apply_one(struct holt_replica *replica, struct holt_message *message,
          struct holt_peer *peer, const struct holt_time *now, size_t budget)
{
  switch (message->kind) {
  case HOLT_PACKET_DELTA:
    return apply_delta(replica, message, peer, now, &budget);
  case HOLT_PACKET_REPAIR:
    return holt__repair_apply(replica, message, peer, now, &budget);
  case HOLT_PACKET_ACK:
    return apply_ack(replica, &message->u.ack, peer);
  case HOLT_PACKET_VECTOR:
    peer->ack_due = true;
    return holt__vector_apply(replica, message, peer, now);
  case HOLT_PACKET_REQUEST:
    return holt__serve_request(replica, peer, &message->u.request,
                               now->mono_ms);
  case HOLT_PACKET_LOST:
    return apply_lost(replica, &message->u.lost, peer, now->mono_ms);
  case HOLT_PACKET_GOODBYE:
    return holt__apply_bye(replica, &message->u.bye, peer, now->mono_ms);
  case HOLT_PACKET_ASK:
  case HOLT_PACKET_VOUCH:
  case HOLT_PACKET_PROBE:
  case HOLT_PACKET_ECHO:
    return holt__liveness_apply(replica, message, peer, now);
  case HOLT_PACKET_REACHED:
    return holt__reached_apply(replica, peer, &message->u.reached);
  }
  return HOLT_ERR_UNSUPPORTED;
}

int
holt_replica_apply(struct holt_replica *replica, struct holt_message *message,
                   const struct holt_time *now, size_t budget)
{
  replica->mono_ms = now->mono_ms;
  struct holt_peer *const peer = peer_of(replica, &message->header);
  const uint32_t id = peer != NULL ? peer->id : 0;
  int rv = HOLT_ERR_STALE;
  if (peer != NULL) {
    peer->confirmed = true; /* It knows our session, or could not name it. */
    peer->heard_at_ms = now->mono_ms;
    peer->goodbye_due = replica->goodbye != 0; /* It has not heard it. */
    rv = apply_one(replica, message, peer, now, budget);
  }
  if (rv < 0) {
    /* It may have gone meanwhile. */
    holt__refuse(replica, holt__peer_by_id(replica, id), rv);
  }
  return rv;
}
