/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves: the effects, one a call. */
#include "invariant.h"
#include "state.h"

/*--------------------------------------------------------------------
 * Our rows beyond a peer's cursor */

/* Bring the peer's walk to the first row beyond its cursor, from the end of the
 * list: what is new is near the end.  False: not there yet, go on later. */
static bool
seek(struct holt_replica *replica, struct holt_peer *peer)
{
  if (peer->walk.active && !peer->seeking && peer->walk.at != NULL) {
    return true;
  }
  struct holt_row *at = peer->seeking ? peer->walk.at : NULL;
  holt_walk_stop(&replica->rows, &peer->walk);
  if (peer->cursor == 0) {
    holt_walk_start(&replica->rows, &peer->walk, replica->self->rows_head,
                    false);
    return true;
  }
  for (size_t steps = 0; steps < HOLT_SLICE_STEPS; steps++) {
    struct holt_row *const before =
      at != NULL ? at->actor_prev : replica->self->rows_tail;
    if (before == NULL || before->seq <= peer->cursor) {
      peer->seeking = false;
      holt_walk_start(&replica->rows, &peer->walk, at, false);
      return true;
    }
    at = before;
  }
  peer->seeking = true;
  holt_walk_start(&replica->rows, &peer->walk, at, false);
  return false;
}

static void
spec_of(const struct holt_row *row, struct holt_row_spec *spec)
{
  *spec = (struct holt_row_spec){ .seq = row->seq,
                                  .birth = row->birth,
                                  .stamp = row->stamp,
                                  .value_stamp = row->value_stamp,
                                  .key = row->entry->key,
                                  .key_size = row->entry->key_size,
                                  .value = row->value,
                                  .value_size = row->value_size,
                                  .owner_id = row->owner->id,
                                  .owner_serial = row->owner->serial };
}

/* Encode rows and deaths after cursor, by seq, until there are no more or the
 * message is full.  *row is the first row beyond the cursor and becomes the
 * first that did not fit.  Returns the end of the range; *clean: nothing is
 * behind it. */
static uint64_t
encode_range(struct holt_replica *replica, struct holt_delta_writer *writer,
             struct holt_row **row, bool *clean)
{
  const struct holt_deaths *const deaths = &replica->deaths;
  const uint64_t after = writer->after;
  size_t death = holt_deaths_after(deaths, after);
  uint64_t to = after;
  for (size_t items = 0;; items++) {
    const uint64_t row_seq = *row != NULL ? (*row)->seq : UINT64_MAX;
    const uint64_t death_seq =
      death < deaths->count ? holt_deaths_get(deaths, death)->at : UINT64_MAX;
    if (row_seq == UINT64_MAX && death_seq == UINT64_MAX) {
      *clean = true;
      return replica->self->version;
    }
    *clean = false;
    if (items >= HOLT_SLICE_ITEMS) {
      return to;
    }
    if (writer->out->size + HOLT_DELTA_ROW_BYTES_MAX >
          replica->tuning.message_bytes_max &&
        to > after) {
      return to;
    }
    if (death_seq < row_seq) {
      const uint64_t birth = holt_deaths_get(deaths, death)->birth;
      if (birth <= after) {
        holt_delta_death(writer, birth);
      }
      to = death_seq;
      death++;
      continue;
    }
    struct holt_row_spec spec;
    spec_of(*row, &spec);
    const size_t size = writer->out->size + spec.key_size + spec.value_size +
                        HOLT_DELTA_ROW_BYTES_MAX;
    if (size > replica->tuning.message_bytes_max && to > after) {
      return to;
    }
    holt_delta_row(writer, &spec);
    to = row_seq;
    *row = (*row)->actor_next;
  }
}

/*--------------------------------------------------------------------
 * One effect for one peer */

static void
target(struct holt_replica *replica, struct holt_effect *effect,
       const struct holt_peer *peer)
{
  struct holt_target *const into = &replica->targets[effect->target_count++];
  const struct holt_header header = { .to_session = peer->remote_session,
                                      .from_session = peer->session };
  into->peer = peer->id;
  holt_header_encode(into->header, &header);
}

static void
effect_bytes(struct holt_replica *replica, struct holt_effect *effect,
             enum holt_effect_type type)
{
  effect->type = type;
  effect->targets = replica->targets;
  effect->bytes = replica->out.data;
  effect->size = replica->out.size;
}

/* The actor of the peer, or, before its hello, the one it had before the link
 * was lost: what we hold of that need not be sent again. */
static const struct holt_actor *
actor_of(const struct holt_replica *replica, const struct holt_peer *peer)
{
  if (peer->actor != 0) {
    return holt_rows_actor(&replica->rows, peer->actor);
  }
  const struct holt_actor *actor = replica->rows.actor_list;
  while (actor != NULL &&
         (actor->gone || !holt_member_equal(&actor->member, &peer->member))) {
    actor = actor->next;
  }
  return actor;
}

static bool
send_hello(struct holt_replica *replica, struct holt_peer *peer,
           struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_actor *const theirs = actor_of(replica, peer);
  const struct holt_hello hello = { .version_min = HOLT_PROTOCOL_VERSION,
                                    .version_max = HOLT_PROTOCOL_VERSION,
                                    .member = replica->self->member,
                                    .actor = replica->self->id,
                                    .creation = replica->self->creation,
                                    .session = peer->session,
                                    .known_session = peer->remote_session,
                                    .policy = replica->policy,
                                    .version = replica->self->version,
                                    .have_actor =
                                      theirs != NULL ? theirs->id : 0,
                                    .have_cursor =
                                      theirs != NULL ? theirs->cursor : 0 };
  holt_buf_clear(&replica->out);
  if (holt_hello_encode(&replica->out, &hello) != 0) {
    return false;
  }
  const uint32_t doublings = peer->hello_count < HOLT_HELLO_DOUBLINGS
                               ? peer->hello_count
                               : HOLT_HELLO_DOUBLINGS;
  peer->hello_due = false;
  peer->hello_count++;
  peer->hello_at_ms =
    now_ms + (replica->tuning.vector_interval_ms << doublings);
  peer->last = LAST_HELLO;
  target(replica, effect, peer);
  effect_bytes(replica, effect, HOLT_EFFECT_HELLO);
  return true;
}

static bool
send_ack(struct holt_replica *replica, struct holt_peer *peer,
         struct holt_effect *effect)
{
  peer->ack_due = false;
  const struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, peer->actor);
  if (actor == NULL) {
    return false;
  }
  const struct holt_ack ack = { .actor = actor->id,
                                .cursor = actor->cursor,
                                .gap = peer->ack_gap };
  holt_buf_clear(&replica->out);
  if (holt_ack_encode(&replica->out, &ack) != 0) {
    return false;
  }
  peer->last = LAST_ACK;
  peer->last_gap = peer->ack_gap;
  peer->ack_gap = false;
  target(replica, effect, peer);
  effect_bytes(replica, effect, HOLT_EFFECT_SEND);
  return true;
}

static bool
send_vector(struct holt_replica *replica, struct holt_peer *peer,
            struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_vector_item item = { .actor = replica->self->id,
                                         .version = replica->self->version,
                                         .sent = peer->cursor };
  holt_buf_clear(&replica->out);
  if (holt_vector_encode(&replica->out, &item, 1) != 0) {
    return false;
  }
  peer->vector_due = false;
  peer->vector_at_ms = now_ms + replica->tuning.vector_interval_ms;
  peer->last = LAST_VECTOR;
  target(replica, effect, peer);
  effect_bytes(replica, effect, HOLT_EFFECT_SEND);
  return true;
}

/* Leave the peer alone for a while. */
static void
wait(struct holt_peer *peer, uint64_t now_ms)
{
  peer->busy = true;
  peer->busy_until_ms = now_ms + HOLT_BUSY_MS;
}

/* A delta for this peer could be sent. */
static bool
takes_delta(const struct holt_replica *replica, const struct holt_peer *peer)
{
  return peer->up && !peer->busy && peer->cursor < replica->self->version &&
         peer->inflight_bytes < replica->tuning.window_bytes;
}

/* And should be: see HOLT_HOLD_CHANGES. */
static bool
wants_delta(const struct holt_replica *replica, const struct holt_peer *peer)
{
  return takes_delta(replica, peer) &&
         (peer->inflight_count == 0 ||
          replica->self->version - peer->cursor >= HOLT_HOLD_CHANGES);
}

static void
delta_sent(struct holt_replica *replica, struct holt_peer *peer, uint64_t to,
           size_t bytes, struct holt_row *row, bool clean)
{
  peer->last = LAST_DELTA;
  peer->last_cursor = peer->cursor;
  peer->last_bytes = bytes;
  if (peer->cursor == 0) {
    peer->anew_at = replica->self->version;
  }
  peer->cursor = to;
  if (peer->inflight_count == HOLT_INFLIGHT_MAX) {
    peer->inflight_count--;
    bytes += peer->inflight[peer->inflight_count].bytes;
    peer->inflight_bytes -= peer->inflight[peer->inflight_count].bytes;
  }
  peer->inflight[peer->inflight_count++] =
    (struct holt_inflight){ .to = to, .bytes = bytes };
  peer->inflight_bytes += bytes;
  peer->seeking = false;
  holt_walk_stop(&replica->rows, &peer->walk);
  if (!clean) {
    holt_walk_start(&replica->rows, &peer->walk, row, false);
  }
}

/* Whether the log still has every death that this peer has to hear of: those
 * after its cursor, or, while its copy is made anew, those of rows sent since
 * that began.  Without the second a copy that takes more than one message would
 * begin again with each. */
static bool
log_reaches(const struct holt_replica *replica, const struct holt_peer *peer)
{
  const uint64_t base = replica->deaths.base;
  return peer->cursor == 0 || peer->cursor >= base || peer->anew_at >= base;
}

/* One delta for this peer, and for all others that stand at the same place:
 * encoded once. */
static bool
send_delta(struct holt_replica *replica, struct holt_peer *peer,
           struct holt_effect *effect, uint64_t now_ms)
{
  if (!log_reaches(replica, peer)) {
    holt__peer_rewind(replica, peer, 0);
  }
  if (!seek(replica, peer)) {
    return false;
  }
  struct holt_row *row = peer->walk.at;
  struct holt_delta_writer writer;
  bool clean;
  holt_buf_clear(&replica->out);
  holt_delta_begin(&writer, &replica->out, replica->self->id, peer->cursor);
  const uint64_t after = peer->cursor;
  const uint64_t anew =
    after != 0 && after < replica->deaths.base ? peer->anew_at : 0;
  const uint64_t to = encode_range(replica, &writer, &row, &clean);
  if (holt_delta_end(&writer, to, replica->self->version, anew) != 0) {
    wait(peer, now_ms); /* No memory: perhaps later. */
    return false;
  }
  for (struct holt_peer *other = replica->peers; other != NULL;
       other = other->next) {
    if (other->cursor == after && takes_delta(replica, other) &&
        (anew == 0 || other->anew_at == anew)) {
      target(replica, effect, other);
      delta_sent(replica, other, to, replica->out.size, row, clean);
    }
  }
  effect_bytes(replica, effect, HOLT_EFFECT_SEND);
  return true;
}

static uint64_t
silent_at(const struct holt_replica *replica, const struct holt_peer *peer)
{
  return peer->heard_at_ms +
         HOLT_SILENT_INTERVALS * replica->tuning.vector_interval_ms;
}

/* What this peer needs first: presence before data. */
static bool
serve(struct holt_replica *replica, struct holt_peer *peer,
      struct holt_effect *effect, uint64_t now_ms)
{
  peer->busy = peer->busy && now_ms < peer->busy_until_ms;
  if (peer->busy) {
    return false;
  }
  if (peer->up && peer->confirmed && now_ms >= silent_at(replica, peer)) {
    peer->confirmed = false;
    peer->hello_count = 0;
    peer->hello_at_ms = now_ms;
  }
  if (!peer->confirmed && now_ms >= peer->hello_at_ms) {
    peer->hello_due = true;
  }
  if (peer->hello_due && now_ms >= peer->hello_at_ms &&
      send_hello(replica, peer, effect, now_ms)) {
    return true;
  }
  if (!peer->up) {
    return false;
  }
  if (now_ms >= peer->vector_at_ms) {
    peer->vector_due = true;
  }
  return (peer->ack_due && send_ack(replica, peer, effect)) ||
         (peer->vector_due && send_vector(replica, peer, effect, now_ms)) ||
         (wants_delta(replica, peer) &&
          send_delta(replica, peer, effect, now_ms));
}

/*--------------------------------------------------------------------
 * Poll */

static bool
hand_out_conflict(struct holt_replica *replica, struct holt_effect *effect)
{
  struct holt_conflict *const conflict = replica->conflicts;
  if (replica->conflict_out != NULL) {
    holt_mem_free(replica->mem, replica->conflict_out,
                  sizeof *conflict + replica->conflict_out->bytes_size);
    replica->conflict_out = NULL;
  }
  if (conflict == NULL) {
    return false;
  }
  replica->conflicts = conflict->next;
  if (replica->conflicts == NULL) {
    replica->conflicts_end = &replica->conflicts;
  }
  replica->conflict_out = conflict;
  effect->type = HOLT_EFFECT_CONFLICT;
  effect->loser = conflict->loser;
  effect->winner = conflict->winner;
  return true;
}

static void
give_up_missing(struct holt_replica *replica, uint64_t now_ms)
{
  struct holt_peer *next = replica->peers;
  while (next != NULL) {
    struct holt_peer *const peer = next;
    next = peer->next;
    if (peer->missing &&
        now_ms - peer->missing_since_ms >= replica->tuning.replica_restart_ms) {
      holt__peer_give_up(replica, peer, now_ms);
    }
  }
}

static bool
serve_peers(struct holt_replica *replica, struct holt_effect *effect,
            uint64_t now_ms)
{
  /* The list is by descending id: those below the last turn first. */
  for (int round = 0; round < 2; round++) {
    for (struct holt_peer *peer = replica->peers; peer != NULL;
         peer = peer->next) {
      const bool now = (peer->id < replica->turn) == (round == 0);
      if (now && serve(replica, peer, effect, now_ms)) {
        replica->turn = peer->id;
        return true;
      }
    }
  }
  return false;
}

static uint64_t
until(uint64_t deadline_ms, uint64_t now_ms)
{
  return deadline_ms > now_ms ? deadline_ms - now_ms : 0;
}

static uint64_t
earlier(uint64_t left, uint64_t right)
{
  return left < right ? left : right;
}

static uint64_t
timeout_ms(const struct holt_replica *replica, uint64_t now_ms)
{
  uint64_t timeout = replica->tuning.forget_after_ms;
  for (const struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    uint64_t due = UINT64_MAX;
    if (!peer->confirmed || peer->hello_due) {
      due = earlier(due, until(peer->hello_at_ms, now_ms));
    }
    if (peer->up) {
      due = earlier(due, until(peer->vector_at_ms, now_ms));
      if (peer->confirmed) {
        due = earlier(due, until(silent_at(replica, peer), now_ms));
      }
      if (peer->ack_due || peer->vector_due || wants_delta(replica, peer)) {
        due = 0;
      }
    }
    if (peer->busy) {
      due = until(peer->busy_until_ms, now_ms);
    }
    if (peer->missing) {
      due = earlier(
        due, until(peer->missing_since_ms + replica->tuning.replica_restart_ms,
                   now_ms));
    }
    timeout = earlier(timeout, due);
  }
  return timeout;
}

void
holt_replica_poll(struct holt_replica *replica, const struct holt_time *now,
                  struct holt_effect *effect)
{
  const uint64_t now_ms = now->mono_ms;
  *effect = (struct holt_effect){ .type = HOLT_EFFECT_NONE };
  replica->quiet = false;

  give_up_missing(replica, now_ms);
  const bool more = holt__background(replica, now_ms);
  if (hand_out_conflict(replica, effect) ||
      serve_peers(replica, effect, now_ms)) {
    return;
  }
  effect->timeout_ms = more ? 0 : timeout_ms(replica, now_ms);
  replica->quiet = effect->timeout_ms > 0;
}

bool
holt_replica_wake(struct holt_replica *replica)
{
  if (!replica->quiet) {
    return false;
  }
  bool work = replica->conflicts != NULL || holt__background_waits(replica);
  for (const struct holt_peer *peer = replica->peers; peer != NULL && !work;
       peer = peer->next) {
    work = wants_delta(replica, peer) ||
           (!peer->busy && (peer->hello_due || peer->ack_due));
  }
  replica->quiet = !work;
  return work;
}

static void
delta_undo(struct holt_replica *replica, struct holt_peer *peer)
{
  if (peer->inflight_count == 0) {
    return; /* It has been acknowledged, or the stream has begun anew. */
  }
  struct holt_inflight *const newest =
    &peer->inflight[peer->inflight_count - 1];
  newest->bytes -= peer->last_bytes;
  newest->to = peer->last_cursor;
  if (newest->bytes == 0) {
    peer->inflight_count--;
  }
  peer->inflight_bytes -= peer->last_bytes;
  peer->cursor = peer->last_cursor;
  peer->seeking = false;
  holt_walk_stop(&replica->rows, &peer->walk);
}

/* Nothing was lost but the time: what the last effect did is undone. */
void
holt_replica_peer_busy(struct holt_replica *replica, uint32_t id,
                       const struct holt_time *now)
{
  struct holt_peer *const peer = holt__peer_by_id(replica, id);
  if (peer == NULL) {
    return;
  }
  wait(peer, now->mono_ms);
  switch (peer->last) {
  case LAST_NOTHING:
    break;
  case LAST_HELLO:
    peer->hello_due = true;
    peer->hello_at_ms = now->mono_ms;
    break;
  case LAST_ACK:
    peer->ack_due = true;
    peer->ack_gap = peer->last_gap;
    break;
  case LAST_VECTOR:
    peer->vector_due = true;
    break;
  case LAST_DELTA:
    delta_undo(replica, peer);
    break;
  }
  peer->last = LAST_NOTHING;
}
