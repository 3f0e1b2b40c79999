/* SPDX-License-Identifier: Apache-2.0 */
/* Who is there: presence.h tells the story.
 *
 * Here is what becomes of an actor by what we know: connected, suspect, vouched
 * for, absent; and when it is shown.  ask.c asks the others and keeps what they
 * vouch for; vouch.c answers those who ask us. */
#include "liveness.h"
#include "invariant.h"

/* Returns are not held back before the second loss in a row. */
#define FLAPS_FREE 1u
#define FLAPS_MAX 32u

/*--------------------------------------------------------------------
 * Going and coming */

static void
suspect(struct holt_replica *replica, struct holt_actor *actor, uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  replica->undecided = true;
  presence->sight = HOLT_SIGHT_SUSPECT;
  presence->link = NULL;
  presence->decide_ms = now_ms + replica->tuning.probe_ms;
  holt__ask_all(replica, actor, now_ms);
  if (holt_mutant(SUSPECT_HIDDEN) && actor->shown) {
    holt_rows_show(&replica->rows, actor, false);
  }
}

/* One that goes soon after it was shown, or before, flaps. */
static void
hide(struct holt_replica *replica, struct holt_actor *actor, uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  presence->sight = HOLT_SIGHT_ABSENT;
  presence->link = NULL;
  presence->absent_since_ms = now_ms;
  presence->went_ms = now_ms;
  if (!presence->paused) {
    const bool calm = actor->shown && now_ms - presence->shown_at_ms >=
                                        replica->tuning.flap_ms_max;
    if (calm) {
      presence->flaps = 1;
    } else if (presence->flaps < FLAPS_MAX) {
      presence->flaps++;
    }
  }
  if (actor->shown) {
    holt_rows_show(&replica->rows, actor, false);
  }
}

void
holt__sight_absent(struct holt_replica *replica, struct holt_actor *actor,
                   uint64_t now_ms)
{
  holt__forwards_end(replica, NULL, actor);
  holt__askers_tell(replica, actor);
  holt__follow_stop(replica, actor);
  (void)holt__vouches_clear(actor);
  holt_links_clear(&actor->presence.ask);
  holt_links_clear(&actor->presence.asked);
  if (holt_present(actor)) {
    hide(replica, actor, now_ms);
  }
}

/* It was absent, and is not any more. */
static void
come_back(struct holt_replica *replica, struct holt_actor *actor,
          uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  const uint64_t max_ms = replica->tuning.flap_ms_max;
  presence->paused = false;
  if (now_ms - presence->absent_since_ms >= max_ms) {
    presence->flaps = 0;
  }
  uint64_t wait_ms = 0;
  if (presence->flaps > FLAPS_FREE && !holt_mutant(UNDAMPED)) {
    wait_ms = replica->tuning.probe_ms << (presence->flaps - FLAPS_FREE - 1);
    wait_ms = wait_ms < max_ms ? wait_ms : max_ms;
    replica->counters.flaps++;
  }
  presence->hold_ms = now_ms + wait_ms;
}

void
holt__sight_found(struct holt_replica *replica, struct holt_actor *actor,
                  struct holt_peer *peer, uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  if (!holt_mutant(FOLLOW_KEPT)) {
    holt__follow_stop(replica, actor);
  }
  (void)holt__vouches_clear(actor);
  holt_links_clear(&presence->ask);
  holt_links_clear(&presence->asked);
  if (!holt_present(actor)) {
    come_back(replica, actor, now_ms);
  }
  presence->paused = false;
  presence->sight = HOLT_SIGHT_CONNECTED;
  presence->link = peer;
}

void
holt__sight_lost(struct holt_replica *replica, struct holt_actor *actor,
                 uint64_t now_ms)
{
  holt_assert(holt_connected(actor));

  holt__forwards_end(replica, NULL, actor);
  holt__askers_tell(replica, actor);
  actor->presence.alive_ms = actor->presence.link->heard_at_ms;
  suspect(replica, actor, now_ms);
  if (holt_links_empty(&actor->presence.ask)) {
    hide(replica, actor, now_ms); /* There is nobody to ask. */
  }
}

/*--------------------------------------------------------------------
 * Deciding */

/* Who forwards it to us is to be one who still reaches it. */
static void
check_follow(struct holt_replica *replica, struct holt_actor *actor,
             uint64_t now_ms)
{
  const uint32_t follow = actor->presence.follow;
  const struct holt_peer *const peer = holt__peer_by_id(replica, follow);
  if (follow != 0 &&
      (peer == NULL || !holt__vouches(replica, actor, peer, now_ms))) {
    holt__follow_stop(replica, actor);
  }
}

/* What has been said so far decides; or there is nobody left to say more. */
void
holt__decide(struct holt_replica *replica, struct holt_actor *actor,
             const struct holt_time *now)
{
  struct holt_presence *const presence = &actor->presence;
  const uint64_t now_ms = now->mono_ms;
  if (actor == replica->self || actor->gone || holt_connected(actor)) {
    return;
  }
  uint64_t version = 0;
  if (holt__vouched(replica, actor, now_ms)) {
    if (!holt_present(actor)) {
      (void)holt__voucher(replica, actor, now_ms, &version);
      come_back(replica, actor, now_ms);
      actor->wanted_version = version;
    }
    presence->sight = HOLT_SIGHT_VOUCHED;
    check_follow(replica, actor, now_ms);
    holt__follow(replica, actor, now_ms);
    holt__actor_show(replica, actor, now);
    return;
  }
  if (presence->sight == HOLT_SIGHT_VOUCHED) {
    holt__follow_stop(replica, actor);
    replica->counters.vouches_lapsed += holt__vouches_clear(actor);
    suspect(replica, actor, now_ms);
  }
  const bool silent =
    now_ms >= presence->decide_ms && !holt_mutant(SILENCE_YES);
  if (presence->sight == HOLT_SIGHT_SUSPECT &&
      (silent || (holt_links_empty(&presence->ask) &&
                  holt_links_empty(&presence->asked)))) {
    hide(replica, actor, now_ms);
  }
}

/*--------------------------------------------------------------------
 * Links */

void
holt__liveness_session(struct holt_replica *replica, struct holt_peer *peer)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    struct holt_presence *const presence = &actor->presence;
    holt_links_remove(&presence->askers, peer);
    holt_links_remove(&presence->answered, peer);
    if (holt_links_has(&presence->asked, peer)) {
      holt__liveness_ask(actor, peer);
    }
  }
  replica->undecided = true;
  peer->vouch_due = false;
  peer->vouch_whole = false;
  peer->echo_due = false;
  /* Its last echo may have been another life's. */
  const struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, peer->actor);
  peer->probe_due = actor != NULL && !holt_links_empty(&actor->presence.askers);
  peer->echoed = false;
  peer->echo_number = peer->probe_number; /* Nothing is under way. */
}

void
holt__liveness_drop(struct holt_replica *replica, struct holt_peer *peer)
{
  holt__liveness_session(replica, peer);
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    holt_links_remove(&actor->presence.ask, peer);
    if (!holt_mutant(VOUCHER_GONE)) {
      holt__vouch_withdraw(replica, actor, peer);
    }
  }
}

/*--------------------------------------------------------------------
 * What comes, what leaves */

int
holt__liveness_apply(struct holt_replica *replica,
                     const struct holt_message *message, struct holt_peer *peer,
                     const struct holt_time *now)
{
  switch (message->kind) {
  case HOLT_PACKET_ASK:
    return holt__ask_take(replica, message, peer, now);
  case HOLT_PACKET_VOUCH:
    return holt__vouch_take(replica, message, peer, now);
  case HOLT_PACKET_PROBE:
    peer->echo_due = true;
    peer->echo_owed = message->u.probe.number;
    return 0;
  default:
    return holt__echo_take(replica, &message->u.probe, peer);
  }
}

bool
holt__liveness_send(struct holt_replica *replica, struct holt_peer *peer,
                    struct holt_effect *effect, uint64_t now_ms)
{
  return (peer->echo_due && holt__echo_send(replica, peer, effect, now_ms)) ||
         (peer->probe_due && holt__probe_send(replica, peer, effect, now_ms)) ||
         (peer->vouch_due && holt__vouch_send(replica, peer, effect, now_ms)) ||
         (peer->ask_due && holt__ask_send(replica, peer, effect, now_ms));
}

bool
holt__liveness_wants(const struct holt_peer *peer)
{
  return peer->echo_due || peer->probe_due || peer->vouch_due || peer->ask_due;
}

/* What the last of these messages did is undone. */
void
holt__liveness_busy(struct holt_replica *replica, struct holt_peer *peer)
{
  switch (peer->last) {
  case LAST_ASK:
    holt__ask_undo(replica, peer);
    break;
  case LAST_VOUCH:
    holt__vouch_undo(replica, peer);
    break;
  case LAST_PROBE:
    peer->probe_due = true; /* With another number. */
    break;
  default:
    peer->echo_due = true;
    break;
  }
}

/*--------------------------------------------------------------------
 * What time brings */

static uint64_t
forget_ms(const struct holt_replica *replica, const struct holt_actor *actor)
{
  const uint64_t after_ms = replica->tuning.forget_after_ms;
  return actor->presence.absent_since_ms +
         (holt_mutant(FORGET_EARLY) ? after_ms / 2 : after_ms);
}

void
holt__liveness_expire(struct holt_replica *replica, const struct holt_time *now)
{
  const uint64_t now_ms = now->mono_ms;
  if (now_ms == replica->decided_ms && !replica->undecided) {
    return; /* Polls come in dozens. */
  }
  replica->decided_ms = now_ms;
  replica->undecided = false;
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (actor == replica->self || actor->gone) {
      continue;
    }
    holt__decide(replica, actor, now);
    if (actor->presence.sight == HOLT_SIGHT_VOUCHED) {
      holt__vouches_renew(replica, actor, now_ms);
    }
    if (!holt_present(actor) && now_ms >= forget_ms(replica, actor)) {
      holt__actor_end(replica, actor);
    } else if (!actor->shown && now_ms >= actor->presence.hold_ms) {
      holt__actor_show(replica, actor, now);
    }
  }
}

uint64_t
holt__liveness_due_ms(const struct holt_replica *replica)
{
  uint64_t due_ms = UINT64_MAX;
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    const struct holt_presence *const presence = &actor->presence;
    if (actor == replica->self || actor->gone) {
      continue;
    }
    switch (presence->sight) {
    case HOLT_SIGHT_ABSENT:
      due_ms = holt_earlier(due_ms, forget_ms(replica, actor));
      break;
    case HOLT_SIGHT_SUSPECT:
      due_ms = holt_earlier(due_ms, presence->decide_ms);
      break;
    case HOLT_SIGHT_VOUCHED:
      due_ms = holt_earlier(due_ms, holt__vouches_due_ms(replica, actor));
      break;
    case HOLT_SIGHT_CONNECTED:
      break;
    }
    if (holt_present(actor) && !actor->shown &&
        presence->hold_ms > replica->mono_ms) {
      due_ms = holt_earlier(due_ms, presence->hold_ms);
    }
  }
  return due_ms;
}
