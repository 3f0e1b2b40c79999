/* SPDX-License-Identifier: Apache-2.0 */
/* Following an actor that we cannot hear, through another who does.
 *
 * We cannot hear X, and P vouches for it: so P passes on what X streams to it.
 * A repair brings us to where P is, and what P forwards goes on from there:
 *
 *     X          P          us
 *     |          |<- request, follow    a repair: repair.c
 *     |          |- last piece, to 40 ->
 *     |          |<-------- ack 40, gap go on from here
 *     |- 40..43 >|- 40..43 ------------>|
 *     |          |<-------------- ack 43|
 *     |<- reached 43                    |   X hears how far we are, too
 *
 * We take deltas of X from P alone, by the same rules as those of P itself; who
 * else forwards them is told to stop.  What may come between:
 *
 *     P says that it is lost     go on from here if P can, else a repair again
 *     others show more than P    ask P to go on from here, then another voucher
 *     P contradicts our copy     another voucher, and all of it anew
 *     P does not vouch any more  another voucher
 *     X is there itself          its own stream
 *
 * forward.c is P's side of it. */
#include "state.h"

/*--------------------------------------------------------------------
 * Begin and end */

void
holt__follow(struct holt_replica *replica, struct holt_actor *actor,
             uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  if (presence->sight != HOLT_SIGHT_VOUCHED || presence->follow != 0 ||
      actor->gone || holt__repair_of(replica, actor) != NULL) {
    return;
  }
  uint64_t version = 0;
  struct holt_peer *const peer =
    holt__voucher(replica, actor, now_ms, &version);
  if (peer == NULL) {
    return;
  }
  if (actor->version > 0 &&
      (version < actor->version || version < actor->as_of)) {
    /* All of it would have to be had anew.  Its voucher hears it, and will come
     * to where we are; unless what we have is somebody's invention. */
    if (presence->follow_wait_ms == 0) {
      presence->follow_wait_ms = now_ms;
    }
    if (now_ms - presence->follow_wait_ms <
        HOLT_STALL_INTERVALS * replica->tuning.vector_interval_ms) {
      return;
    }
  }
  holt__repair_ask(replica, peer, actor->id, version, now_ms);
  if (holt__repair_of(replica, actor) != NULL) {
    presence->follow = peer->id;
    presence->follow_wait_ms = 0;
    presence->follow_behind_ms = 0;
    presence->follow_ack_due = false;
    presence->follow_ack_gap = false;
    if (presence->follow_stop == peer->id) {
      presence->follow_stop = 0;
    }
  }
}

void
holt__follow_refuse(struct holt_actor *actor, struct holt_peer *peer)
{
  if (peer->actor != actor->id) {
    actor->presence.follow_stop = peer->id;
    peer->follow_due = true;
  }
}

void
holt__follow_stop(struct holt_replica *replica, struct holt_actor *actor)
{
  struct holt_presence *const presence = &actor->presence;
  if (presence->follow == 0) {
    return;
  }
  struct holt_peer *const peer = holt__peer_by_id(replica, presence->follow);
  presence->follow = 0;
  presence->follow_ack_due = false;
  if (peer != NULL) {
    holt__follow_refuse(actor, peer);
    holt__repairs_end(replica, peer, actor);
  }
}

void
holt__follow_drop(struct holt_replica *replica, const struct holt_peer *peer)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    struct holt_presence *const presence = &actor->presence;
    presence->follow = presence->follow == peer->id ? 0 : presence->follow;
    presence->follow_stop =
      presence->follow_stop == peer->id ? 0 : presence->follow_stop;
  }
}

/*--------------------------------------------------------------------
 * What comes */

void
holt__follow_ack(struct holt_actor *actor, struct holt_peer *peer, bool gap)
{
  struct holt_presence *const presence = &actor->presence;
  presence->follow_ack_due = true;
  presence->follow_ack_gap = presence->follow_ack_gap || gap;
  peer->follow_due = true;
}

void
holt__follow_fail(struct holt_replica *replica, struct holt_actor *actor,
                  uint64_t now_ms)
{
  actor->avoid_peer = actor->presence.follow;
  actor->avoid_until_ms =
    now_ms + HOLT_STALL_INTERVALS * replica->tuning.vector_interval_ms;
  replica->counters.stalls++;
  holt__follow_stop(replica, actor);
  holt__follow(replica, actor, now_ms);
}

void
holt__follow_vector(struct holt_replica *replica, struct holt_actor *actor,
                    uint64_t version, uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  const uint64_t interval_ms = replica->tuning.vector_interval_ms;
  struct holt_peer *const peer = holt__peer_by_id(replica, presence->follow);
  const bool behind =
    version > actor->version ||
    (actor->dirty && version > 0 && version == actor->version);
  if (peer == NULL || !behind || holt__repair_of(replica, actor) != NULL) {
    return;
  }
  if (presence->follow_behind_ms == 0) {
    presence->follow_behind_ms = now_ms;
  }
  const uint64_t behind_ms = now_ms - presence->follow_behind_ms;
  if (behind_ms >= HOLT_STALL_INTERVALS * interval_ms) {
    holt__follow_fail(replica, actor, now_ms);
  } else if (behind_ms >= interval_ms &&
             now_ms - actor->nacked_at_ms >= interval_ms) {
    actor->nacked_at_ms = now_ms;
    holt__follow_ack(actor, peer, true);
  }
}

void
holt__follow_lost(struct holt_replica *replica, struct holt_peer *peer,
                  struct holt_actor *actor, uint64_t base, uint64_t now_ms)
{
  if (!actor->torn && actor->cursor >= base) {
    holt__follow_ack(actor, peer, true);
  } else {
    holt__repair_ask(replica, peer, actor->id, HOLT_SEQ_MAX, now_ms);
  }
}

int
holt__reached_apply(struct holt_replica *replica, const struct holt_peer *peer,
                    const struct holt_reached *reached)
{
  struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, reached->actor);
  if (actor == NULL || actor->gone || actor == replica->self ||
      actor->id == peer->actor) {
    return HOLT_ERR_STALE;
  }
  if (reached->cursor > replica->self->version) {
    return HOLT_ERR_MALFORMED;
  }
  if (reached->cursor > actor->presence.reached) {
    actor->presence.reached = reached->cursor;
  }
  return 0;
}

/*--------------------------------------------------------------------
 * What leaves */

/* A copy that is being repaired says how far it has come when that is over. */
static bool
send_word(struct holt_replica *replica, struct holt_peer *peer,
          struct holt_effect *effect, uint64_t now_ms)
{
  struct holt_actor *actor = replica->rows.actor_list;
  while (actor != NULL && actor->presence.follow_stop != peer->id &&
         !(actor->presence.follow_ack_due && holt_follows(actor, peer) &&
           !actor->torn)) {
    actor = actor->next;
  }
  if (actor == NULL) {
    return false;
  }
  struct holt_presence *const presence = &actor->presence;
  const bool stop = presence->follow_stop == peer->id;
  const struct holt_ack ack = { .actor = actor->id,
                                .cursor = actor->cursor,
                                .gap = !stop && presence->follow_ack_gap,
                                .dirty = actor->dirty,
                                .stop = stop };
  holt_buf_clear(&replica->out);
  (void)holt_ack_encode(&replica->out, &ack);
  if (!holt__send(replica, peer, effect, LAST_FOLLOW, now_ms)) {
    return false;
  }
  peer->last_actor = actor->id;
  peer->last_stop = stop;
  peer->last_gap = ack.gap;
  if (stop) {
    presence->follow_stop = 0;
  } else {
    presence->follow_ack_due = false;
    presence->follow_ack_gap = false;
  }
  return true;
}

bool
holt__follow_send(struct holt_replica *replica, struct holt_peer *peer,
                  struct holt_effect *effect, uint64_t now_ms)
{
  if (!peer->follow_due) {
    return false;
  }
  const bool sent = send_word(replica, peer, effect, now_ms);
  peer->follow_due = sent || peer->busy;
  return sent;
}

bool
holt__follow_wants(const struct holt_peer *peer)
{
  return !peer->busy && peer->follow_due;
}

void
holt__follow_busy(struct holt_replica *replica, struct holt_peer *peer)
{
  struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, peer->last_actor);
  if (actor != NULL && peer->last_stop) {
    holt__follow_refuse(actor, peer);
  } else if (actor != NULL && actor->presence.follow == peer->id) {
    holt__follow_ack(actor, peer, peer->last_gap);
  }
}
