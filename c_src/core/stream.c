/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves: the effects, one a call. */
#include <string.h>

#include "invariant.h"
#include "state.h"

/*--------------------------------------------------------------------
 * Our rows beyond a peer's cursor */

/* Encode rows and deaths after cursor, by seq, until there are no more or the
 * message is full.  *at is the first row beyond the cursor and becomes the
 * first that did not fit.  Returns the end of the range; *clean: nothing is
 * behind it. */
static uint64_t
encode_range(struct holt_replica *replica, struct holt_delta_writer *writer,
             uint32_t *at, bool *clean)
{
  const struct holt_deaths *const deaths = &replica->deaths;
  const size_t bytes_max = replica->tuning.message_bytes_max;
  const uint64_t after = writer->after;
  size_t death = holt_deaths_after(deaths, after);
  uint64_t to = after;
  for (size_t items = 0;; items++) {
    const struct holt_row *const row =
      *at != 0 ? holt_row_at(&replica->rows, *at) : NULL;
    const uint64_t row_seq = row != NULL ? holt_row_seq(row) : UINT64_MAX;
    const uint64_t death_seq =
      death < deaths->count ? holt_deaths_get(deaths, death)->at : UINT64_MAX;
    *clean = row_seq == UINT64_MAX && death_seq == UINT64_MAX;
    if (*clean) {
      return replica->self->version;
    }
    if (items >= HOLT_SLICE_ITEMS ||
        (writer->out->size + HOLT_DELTA_ROW_BYTES_MAX > bytes_max &&
         to > after)) {
      return to;
    }
    if (death_seq < row_seq) {
      const struct holt_death *const dead = holt_deaths_get(deaths, death);
      const uint64_t birth = holt_death_birth(dead);
      if (birth <= after) {
        holt_delta_death(writer, birth, holt_death_why(dead));
      }
      to = death_seq;
      death++;
      continue;
    }
    holt_row_prefetch(&replica->rows, row->seq_next);
    struct holt_row_spec spec;
    holt_row_spec_of(&replica->rows, row, &spec);
    const size_t size = writer->out->size + spec.key_size + spec.value_size +
                        HOLT_DELTA_ROW_BYTES_MAX;
    if (size > bytes_max && to > after) {
      return to;
    }
    if (!holt_mutant(UPDATE_LOST) || spec.birth == spec.seq ||
        spec.birth <= after) {
      holt_delta_row(writer, &spec);
    }
    to = row_seq;
    *at = row->seq_next;
  }
}

/*--------------------------------------------------------------------
 * Windows */

bool
holt__window_has_room(const struct holt_replica *replica,
                      const struct holt_window *window)
{
  return window->bytes < replica->tuning.window_bytes;
}

void
holt__window_sent(struct holt_window *window, uint64_t mark, size_t bytes)
{
  window->bytes += bytes;
  if (window->count == HOLT_INFLIGHT_MAX) {
    bytes += window->messages[--window->count].bytes;
  }
  window->messages[window->count++] =
    (struct holt_inflight){ .mark = mark, .bytes = bytes };
}

void
holt__window_acked(struct holt_window *window, uint64_t mark)
{
  uint32_t acked = 0;
  while (acked < window->count && window->messages[acked].mark <= mark) {
    window->bytes -= window->messages[acked].bytes;
    acked++;
  }
  window->count -= acked;
  memmove(window->messages, window->messages + acked,
          window->count * sizeof *window->messages);
}

void
holt__window_undo(struct holt_window *window, uint64_t mark, size_t bytes)
{
  holt_assert(window->count > 0);
  struct holt_inflight *const newest = &window->messages[window->count - 1];
  holt_assert(newest->bytes >= bytes);

  newest->bytes -= bytes;
  newest->mark = mark;
  window->bytes -= bytes;
  if (newest->bytes == 0) {
    window->count--;
  }
}

/*--------------------------------------------------------------------
 * One effect for one peer */

static void
target(struct holt_replica *replica, struct holt_effect *effect,
       const struct holt_peer *peer)
{
  struct holt_target *const into = &replica->targets[effect->target_count++];
  const struct holt_header header = { .version = peer->protocol,
                                      .to_session = peer->remote_session,
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

/* Leave the peer alone for a while. */
static void
peer_wait(struct holt_peer *peer, uint64_t now_ms)
{
  peer->busy = true;
  peer->busy_until_ms = now_ms + HOLT_BUSY_MS;
}

bool
holt__send(struct holt_replica *replica, struct holt_peer *peer,
           struct holt_effect *effect, enum holt_last what, uint64_t now_ms)
{
  if (replica->out.error != 0) {
    peer_wait(peer, now_ms);
    return false;
  }
  peer->last = what;
  target(replica, effect, peer);
  effect_bytes(replica, effect,
               what == LAST_HELLO ? HOLT_EFFECT_HELLO : HOLT_EFFECT_SEND);
  return true;
}

void
holt__send_also(struct holt_replica *replica, struct holt_peer *peer,
                struct holt_effect *effect, enum holt_last what)
{
  peer->last = what;
  target(replica, effect, peer);
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
           struct holt_effect *effect, const struct holt_time *now)
{
  const struct holt_actor *const theirs = actor_of(replica, peer);
  const struct holt_hello hello = {
    .version_min = HOLT_PROTOCOL_MIN,
    .version_max = HOLT_PROTOCOL_MAX,
    .member = replica->self->member,
    .actor = replica->self->id,
    .creation = replica->self->creation,
    .session = peer->session,
    .known_session = peer->remote_session,
    .policy = replica->policy,
    .wall_ms = now->wall_ms,
    .version = replica->self->version,
    .have_actor = theirs != NULL ? theirs->id : 0,
    .have_cursor = theirs != NULL ? theirs->cursor : 0,
    .have_torn = theirs != NULL && theirs->torn,
    .have_dirty = theirs != NULL && theirs->dirty
  };
  holt_buf_clear(&replica->out);
  (void)holt_hello_encode(&replica->out, &hello);
  if (!holt__send(replica, peer, effect, LAST_HELLO, now->mono_ms)) {
    return false;
  }
  const uint32_t doublings = peer->hello_count < HOLT_HELLO_DOUBLINGS
                               ? peer->hello_count
                               : HOLT_HELLO_DOUBLINGS;
  peer->hello_due = false;
  peer->hello_count++;
  peer->hello_at_ms =
    now->mono_ms + (replica->tuning.vector_interval_ms << doublings);
  return true;
}

static bool
send_ack(struct holt_replica *replica, struct holt_peer *peer,
         struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, peer->actor);
  if (actor == NULL) {
    peer->ack_due = false;
    return false;
  }
  const struct holt_ack ack = { .actor = actor->id,
                                .cursor = actor->cursor,
                                .gap = peer->ack_gap,
                                .dirty = actor->dirty };
  holt_buf_clear(&replica->out);
  (void)holt_ack_encode(&replica->out, &ack);
  if (!holt__send(replica, peer, effect, LAST_ACK, now_ms)) {
    return false;
  }
  peer->ack_due = false;
  peer->last_gap = peer->ack_gap;
  peer->ack_gap = false;
  return true;
}

/* The stream cannot go on from where the peer stands. */
static bool
send_lost(struct holt_replica *replica, struct holt_peer *peer,
          struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_lost lost = { .actor = replica->self->id,
                                  .base = replica->deaths.base };
  holt_buf_clear(&replica->out);
  (void)holt_lost_encode(&replica->out, &lost);
  if (!holt__send(replica, peer, effect, LAST_LOST, now_ms)) {
    return false;
  }
  peer->lost_at_ms = now_ms + replica->tuning.vector_interval_ms;
  return true;
}

static bool
send_goodbye(struct holt_replica *replica, struct holt_peer *peer,
             struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_bye bye = { .actor = replica->self->id,
                                .goodbye =
                                  (enum holt_goodbye)replica->goodbye };
  holt_buf_clear(&replica->out);
  (void)holt_bye_encode(&replica->out, &bye);
  peer->goodbye_due = !holt__send(replica, peer, effect, LAST_GOODBYE, now_ms);
  return !peer->goodbye_due;
}

/* A delta for this peer could be sent. */
static bool
takes_delta(const struct holt_replica *replica, const struct holt_peer *peer)
{
  return peer->up && !peer->busy && !peer->lost &&
         (peer->cursor < replica->self->version || peer->unclean) &&
         holt__window_has_room(replica, &peer->window);
}

/* And should be: see HOLT_HOLD_CHANGES. */
static bool
wants_delta(const struct holt_replica *replica, const struct holt_peer *peer)
{
  return takes_delta(replica, peer) &&
         (peer->window.count == 0 ||
          replica->self->version - peer->cursor >= HOLT_HOLD_CHANGES);
}

static void
delta_sent(struct holt_replica *replica, struct holt_peer *peer, uint64_t to,
           size_t bytes, uint32_t row, bool clean)
{
  peer->last_cursor = peer->cursor;
  peer->last_bytes = bytes;
  peer->cursor = to;
  peer->unclean = peer->unclean && !clean;
  holt__window_sent(&peer->window, to, bytes);
  holt_walk_stop(&replica->rows, &peer->walk);
  if (!clean) {
    holt_walk_start(&replica->rows, &peer->walk, row, HOLT_WALK_SEQ);
  }
}

/* One delta for this peer, and for all others that stand at the same place:
 * encoded once. */
static bool
send_delta(struct holt_replica *replica, struct holt_peer *peer,
           struct holt_effect *effect, uint64_t now_ms)
{
  if (peer->cursor < replica->deaths.base) {
    /* The log has forgotten deaths that this peer has to hear of. */
    holt__peer_rewind(replica, peer, peer->cursor);
    return false;
  }
  if (!holt_walk_seek(&replica->rows, &peer->walk, replica->self, peer->cursor,
                      &replica->seek_steps)) {
    return false;
  }
  uint32_t row = peer->walk.at;
  struct holt_delta_writer writer;
  bool clean;
  holt_buf_clear(&replica->out);
  holt_delta_begin(&writer, &replica->out, replica->self->id, peer->cursor);
  const uint64_t after = peer->cursor;
  const uint64_t to = encode_range(replica, &writer, &row, &clean);
  if (holt_delta_end(&writer, to, replica->self->version) != 0) {
    peer_wait(peer, now_ms); /* No memory: perhaps later. */
    return false;
  }
  for (struct holt_peer *other = replica->peers; other != NULL;
       other = other->next) {
    if (other->cursor == after && takes_delta(replica, other)) {
      holt__send_also(replica, other, effect, LAST_DELTA);
      delta_sent(replica, other, to, replica->out.size, row, clean);
    }
  }
  effect_bytes(replica, effect, HOLT_EFFECT_SEND);
  return true;
}

/* A lost peer is told so until it asks for the repair that it needs. */
static uint64_t
lost_at(const struct holt_replica *replica, const struct holt_peer *peer)
{
  return !peer->lost || holt_mutant(LOST_UNSAID) ||
             holt__serves(replica, peer, replica->self)
           ? UINT64_MAX
           : peer->lost_at_ms;
}

static uint64_t
silent_at(const struct holt_replica *replica, const struct holt_peer *peer)
{
  return peer->heard_at_ms +
         HOLT_SILENT_INTERVALS * replica->tuning.vector_interval_ms;
}

/* Who has heard nothing for too long is greeted again. */
static void
greet(struct holt_replica *replica, struct holt_peer *peer, uint64_t now_ms)
{
  if (peer->up && peer->confirmed && now_ms >= silent_at(replica, peer)) {
    peer->confirmed = false;
    peer->hello_count = 0;
    peer->hello_at_ms = now_ms;
  }
  if (!peer->confirmed && now_ms >= peer->hello_at_ms) {
    peer->hello_due = true;
  }
}

/* Rows: our own and those of others by turns, so that both make progress. */
static bool
send_rows(struct holt_replica *replica, struct holt_peer *peer,
          struct holt_effect *effect, uint64_t now_ms)
{
  for (int round = 0; round < 2; round++) {
    const bool forward = peer->forward_turn;
    peer->forward_turn = !forward;
    if (forward ? holt__follow_send(replica, peer, effect, now_ms) ||
                    holt__forward_send(replica, peer, effect, now_ms)
                : (wants_delta(replica, peer) &&
                   send_delta(replica, peer, effect, now_ms)) ||
                    holt__serve_send(replica, peer, effect, now_ms)) {
      return true;
    }
  }
  return false;
}

/* What this peer needs first: presence before data. */
static bool
serve(struct holt_replica *replica, struct holt_peer *peer,
      struct holt_effect *effect, const struct holt_time *now)
{
  const uint64_t now_ms = now->mono_ms;
  peer->busy = peer->busy && now_ms < peer->busy_until_ms;
  if (peer->busy) {
    return false;
  }
  if (replica->goodbye != 0) {
    return peer->goodbye_due && send_goodbye(replica, peer, effect, now_ms);
  }
  greet(replica, peer, now_ms);
  if (peer->hello_due && now_ms >= peer->hello_at_ms &&
      send_hello(replica, peer, effect, now)) {
    return true;
  }
  if (!peer->up) {
    return false;
  }
  return holt__liveness_send(replica, peer, effect, now_ms) ||
         (peer->ack_due && send_ack(replica, peer, effect, now_ms)) ||
         (now_ms >= peer->vector_at_ms &&
          holt__vector_send(replica, peer, effect, now)) ||
         (now_ms >= lost_at(replica, peer) &&
          send_lost(replica, peer, effect, now_ms)) ||
         holt__repair_send(replica, peer, effect, now_ms) ||
         send_rows(replica, peer, effect, now_ms);
}

/*--------------------------------------------------------------------
 * Poll */

static bool
hand_out_conflict(struct holt_replica *replica, struct holt_effect *effect)
{
  struct holt_conflict *const conflict = replica->conflicts;
  if (replica->conflict_out != NULL) {
    holt__conflict_free(replica, replica->conflict_out);
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
  effect->replaced = conflict->replaced;
  effect->member = conflict->member;
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
            const struct holt_time *now)
{
  /* The list is by descending id: those below the last turn first. */
  for (int round = 0; round < 2; round++) {
    for (struct holt_peer *peer = replica->peers; peer != NULL;
         peer = peer->next) {
      const bool turn = (peer->id < replica->turn) == (round == 0);
      if (turn && serve(replica, peer, effect, now)) {
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

/* Something for this peer waits for nothing but a poll. */
static bool
wants_now(const struct holt_replica *replica, const struct holt_peer *peer)
{
  return holt__liveness_wants(peer) || peer->ack_due ||
         wants_delta(replica, peer) || holt__repair_wants(replica, peer) ||
         holt__serve_wants(replica, peer) || holt__follow_wants(peer) ||
         holt__forward_wants(peer);
}

static uint64_t
peer_timeout_ms(const struct holt_replica *replica,
                const struct holt_peer *peer, uint64_t now_ms)
{
  uint64_t due = UINT64_MAX;
  if (replica->goodbye != 0) {
    due = peer->goodbye_due ? 0 : UINT64_MAX;
  } else {
    if (!peer->confirmed || peer->hello_due) {
      due = holt_earlier(due, until(peer->hello_at_ms, now_ms));
    }
    if (peer->up) {
      due = holt_earlier(due, until(peer->vector_at_ms, now_ms));
      due = holt_earlier(due, until(lost_at(replica, peer), now_ms));
      due = holt_earlier(due, until(holt__forward_due_ms(peer), now_ms));
      if (peer->confirmed) {
        due = holt_earlier(due, until(silent_at(replica, peer), now_ms));
      }
      due = wants_now(replica, peer) ? 0 : due;
    }
  }
  if (peer->busy) {
    due = until(peer->busy_until_ms, now_ms);
  }
  if (peer->missing) {
    due = holt_earlier(
      due, until(peer->missing_since_ms + replica->tuning.replica_restart_ms,
                 now_ms));
  }
  return due;
}

static uint64_t
timeout_ms(const struct holt_replica *replica, uint64_t now_ms)
{
  uint64_t timeout = replica->tuning.forget_after_ms;
  for (const struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    timeout = holt_earlier(timeout, peer_timeout_ms(replica, peer, now_ms));
  }
  timeout =
    holt_earlier(timeout, until(holt__liveness_due_ms(replica), now_ms));
  timeout = holt_earlier(timeout, until(holt__serves_due_ms(replica), now_ms));
  timeout = holt_earlier(timeout, until(holt__repairs_due_ms(replica), now_ms));
  timeout = holt_earlier(timeout, until(holt__contest_due_ms(replica), now_ms));
  return holt_earlier(timeout, until(replica->memory_at_ms, now_ms));
}

void
holt_replica_poll(struct holt_replica *replica, const struct holt_time *now,
                  struct holt_effect *effect)
{
  const uint64_t now_ms = now->mono_ms;
  *effect = (struct holt_effect){ .type = HOLT_EFFECT_NONE };
  replica->quiet = false;
  replica->mono_ms = now_ms;
  replica->seek_steps = HOLT_SLICE_STEPS;

  give_up_missing(replica, now_ms);
  holt__liveness_expire(replica, now);
  holt__serves_expire(replica, now_ms);
  holt__repairs_expire(replica, now_ms);
  const bool more = holt__background(replica, now_ms);
  /* A row may give way while contests are looked at. */
  if (holt__contest_send(replica, effect, now_ms) ||
      hand_out_conflict(replica, effect) || serve_peers(replica, effect, now)) {
    return;
  }
  effect->timeout_ms = more ? 0 : timeout_ms(replica, now_ms);
  replica->quiet = effect->timeout_ms > 0;
  replica->undecided = replica->undecided || !replica->quiet;
}

bool
holt_replica_wake(struct holt_replica *replica)
{
  if (!replica->quiet) {
    return false;
  }
  bool work = replica->conflicts != NULL ||
              holt__contest_due_ms(replica) == 0 ||
              holt__background_waits(replica);
  for (const struct holt_peer *peer = replica->peers; peer != NULL && !work;
       peer = peer->next) {
    work = !peer->busy &&
           (replica->goodbye != 0
              ? peer->goodbye_due
              : peer->hello_due || (peer->up && wants_now(replica, peer)));
  }
  replica->quiet = !work;
  return work;
}

static void
delta_undo(struct holt_replica *replica, struct holt_peer *peer)
{
  if (peer->window.count == 0) {
    return; /* It has been acknowledged, or the stream has begun anew. */
  }
  if (!holt_mutant(WINDOW_KEPT)) {
    holt__window_undo(&peer->window, peer->last_cursor, peer->last_bytes);
  }
  peer->cursor = peer->last_cursor;
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
  peer_wait(peer, now->mono_ms);
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
    peer->vector_at_ms = now->mono_ms;
    break;
  case LAST_LOST:
    peer->lost_at_ms = now->mono_ms;
    break;
  case LAST_GOODBYE:
    peer->goodbye_due = true;
    break;
  case LAST_REQUEST:
    holt__repair_busy(replica, peer);
    break;
  case LAST_OVER:
    peer->over_due = true;
    break;
  case LAST_REFUSAL:
    holt__serve_refusal_busy(peer);
    break;
  case LAST_PIECE:
    holt__serve_busy(replica, peer);
    break;
  case LAST_DELTA:
    delta_undo(replica, peer);
    break;
  case LAST_ASK:
  case LAST_VOUCH:
  case LAST_PROBE:
  case LAST_ECHO:
    holt__liveness_busy(replica, peer);
    break;
  case LAST_FOLLOW:
    holt__follow_busy(replica, peer);
    break;
  case LAST_FORWARD:
  case LAST_FORWARD_LOST:
  case LAST_REACHED:
    holt__forward_busy(replica, peer);
    break;
  }
  peer->last = LAST_NOTHING;
}
