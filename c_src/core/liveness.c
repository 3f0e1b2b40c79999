/* SPDX-License-Identifier: Apache-2.0 */
/* Who is there: presence.h tells the story.
 *
 * Two roles, which every replica plays at once.
 *
 * The asker has lost an actor.  `ask` are the links that it has yet to ask
 * about it, `asked` those whose answer it awaits.  An ask names a token, which
 * is the moment by our clock.  An answer brings the token of the last ask that
 * its sender has seen, and how long ago the actor was alive: so we know when
 * that was by our own clock, or rather a moment that is not later, and need to
 * believe nobody's.
 *
 *     our clock    |--- ask -------------- vouch, age ---|
 *     theirs              |--- probe -- echo --|
 *                         |<------ age ------->|
 *     seen_ms = the moment of the ask less the age
 *
 * The voucher has been asked.  `askers` are the links that await its word about
 * an actor.  One probe serves all who ask while it is under way, and its echo
 * serves all who ask soon after.  What it is not connected to it says no to, by
 * leaving it out of an answer that is whole: so it need not remember what it
 * does not know, whoever asks. */
#include "invariant.h"
#include "state.h"

/* Tokens of asks and numbers of probes: our clock, in 256ths of a millisecond
 * so that each is greater than the one before. */
#define TOKEN_SHIFT 8u

static uint64_t
token_after(uint64_t last, uint64_t now_ms)
{
  const uint64_t clock = now_ms << TOKEN_SHIFT;
  return clock > last ? clock : last + 1;
}

static uint64_t
token_ms(uint64_t token)
{
  return token >> TOKEN_SHIFT;
}

/* Returns are not held back before the second loss in a row. */
#define FLAPS_FREE 1u
#define FLAPS_MAX 32u

/*--------------------------------------------------------------------
 * Sets of links */

static bool
set_has(const struct holt_peer_set *set, const struct holt_peer *peer)
{
  return (set->words[peer->slot / 64] >> peer->slot % 64 & 1) != 0;
}

static void
set_add(struct holt_peer_set *set, const struct holt_peer *peer)
{
  set->words[peer->slot / 64] |= UINT64_C(1) << peer->slot % 64;
}

static void
set_remove(struct holt_peer_set *set, const struct holt_peer *peer)
{
  set->words[peer->slot / 64] &= ~(UINT64_C(1) << peer->slot % 64);
}

static bool
set_empty(const struct holt_peer_set *set)
{
  uint64_t any = 0;
  for (unsigned i = 0; i < HOLT_PEER_SET_WORDS; i++) {
    any |= set->words[i];
  }
  return any == 0;
}

static void
set_clear(struct holt_peer_set *set)
{
  *set = (struct holt_peer_set){ .words = { 0 } };
}

/*--------------------------------------------------------------------
 * Vouches that we have */

static uint64_t
lapses_ms(const struct holt_replica *replica,
          const struct holt_vouch_kept *vouch)
{
  return holt_mutant(VOUCH_FOREVER) ? UINT64_MAX
                                    : vouch->seen_ms + replica->tuning.vouch_ms;
}

static bool
is_good(const struct holt_replica *replica, const struct holt_vouch_kept *vouch,
        uint64_t now_ms)
{
  return vouch->peer != 0 && now_ms < lapses_ms(replica, vouch);
}

static struct holt_vouch_kept *
vouch_of(struct holt_actor *actor, uint32_t peer)
{
  struct holt_vouch_kept *const vouches = actor->presence.vouches;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    if (vouches[i].peer == peer) {
      return &vouches[i];
    }
  }
  return NULL;
}

static bool
vouched(const struct holt_replica *replica, const struct holt_actor *actor,
        uint64_t now_ms)
{
  bool any = false;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    any = any || is_good(replica, &actor->presence.vouches[i], now_ms);
  }
  return any;
}

static void
vouch_withdraw(struct holt_replica *replica, struct holt_actor *actor,
               const struct holt_peer *peer)
{
  struct holt_vouch_kept *const vouch = vouch_of(actor, peer->id);
  if (vouch != NULL) {
    vouch->peer = 0;
    replica->counters.vouches_lapsed++;
  }
}

/* In the place of its last one, of none, or of one that has lapsed. */
static void
vouch_keep(struct holt_replica *replica, struct holt_actor *actor,
           const struct holt_vouch_kept *vouch)
{
  struct holt_vouch_kept *place = vouch_of(actor, vouch->peer);
  if (place == NULL) {
    place = vouch_of(actor, 0);
  }
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX && place == NULL; i++) {
    struct holt_vouch_kept *const other = &actor->presence.vouches[i];
    place = is_good(replica, other, replica->mono_ms) ? NULL : other;
  }
  if (place == NULL) {
    return; /* There are enough. */
  }
  if (place->peer != vouch->peer || place->seen_ms <= vouch->seen_ms) {
    *place = *vouch;
    replica->counters.vouches++;
  }
}

/* None of them counts any more; how many there were. */
static unsigned
vouches_clear(struct holt_actor *actor)
{
  unsigned count = 0;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    count += actor->presence.vouches[i].peer != 0 ? 1 : 0;
    actor->presence.vouches[i].peer = 0;
  }
  return count;
}

bool
holt__vouches(const struct holt_replica *replica,
              const struct holt_actor *actor, const struct holt_peer *peer,
              uint64_t now_ms)
{
  bool any = false;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    const struct holt_vouch_kept *const vouch = &actor->presence.vouches[i];
    any = any || (vouch->peer == peer->id && is_good(replica, vouch, now_ms));
  }
  return any;
}

/* Of equal ones a hash decides, so that those who are deaf to one actor do not
 * all lean on the same. */
struct holt_peer *
holt__voucher(const struct holt_replica *replica,
              const struct holt_actor *actor, uint64_t now_ms,
              uint64_t *version)
{
  const struct holt_hash_seed seed = { .k0 = replica->self->id,
                                       .k1 = actor->id };
  const struct holt_vouch_kept *best = NULL;
  struct holt_peer *voucher = NULL;
  uint64_t best_hash = 0;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    const struct holt_vouch_kept *const vouch = &actor->presence.vouches[i];
    struct holt_peer *const peer = holt__peer_by_id(replica, vouch->peer);
    if (!is_good(replica, vouch, now_ms) || peer == NULL || !peer->up ||
        (actor->avoid_peer == peer->id && now_ms < actor->avoid_until_ms)) {
      continue;
    }
    const uint64_t hash = holt_hash_u64(&seed, peer->actor);
    if (best == NULL || vouch->version > best->version ||
        (vouch->version == best->version && hash > best_hash)) {
      best = vouch;
      best_hash = hash;
      voucher = peer;
    }
  }
  if (best != NULL) {
    *version = best->version;
  }
  return voucher;
}

/*--------------------------------------------------------------------
 * What becomes of an actor */

void
holt__liveness_ask(struct holt_actor *actor, struct holt_peer *peer)
{
  set_remove(&actor->presence.asked, peer);
  set_add(&actor->presence.ask, peer);
  peer->ask_due = true;
}

/* When the peer may be asked about the actor: its answer is given time. */
static uint64_t
askable_ms(const struct holt_replica *replica,
           const struct holt_presence *presence, const struct holt_peer *peer)
{
  if (set_has(&presence->ask, peer)) {
    return UINT64_MAX; /* It will be, already. */
  }
  return set_has(&presence->asked, peer)
           ? presence->asked_ms + replica->tuning.probe_ms
           : 0;
}

/* Who is there, and is not the actor itself. */
static bool
can_tell(const struct holt_peer *peer, const struct holt_actor *actor)
{
  return peer->up && !peer->missing && peer->actor != actor->id;
}

static void
suspect(struct holt_replica *replica, struct holt_actor *actor, uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  presence->sight = HOLT_SIGHT_SUSPECT;
  presence->decide_ms = now_ms + replica->tuning.probe_ms;
  presence->asked_ms = now_ms;
  set_clear(&presence->asked);
  for (struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    if (can_tell(peer, actor)) {
      holt__liveness_ask(actor, peer);
    }
  }
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
  holt__follow_stop(replica, actor);
  (void)vouches_clear(actor);
  set_clear(&actor->presence.ask);
  set_clear(&actor->presence.asked);
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
static void
decide(struct holt_replica *replica, struct holt_actor *actor,
       const struct holt_time *now)
{
  struct holt_presence *const presence = &actor->presence;
  const uint64_t now_ms = now->mono_ms;
  if (actor == replica->self || actor->gone || holt_connected(actor)) {
    return;
  }
  uint64_t version = 0;
  if (vouched(replica, actor, now_ms)) {
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
    replica->counters.vouches_lapsed += vouches_clear(actor);
    suspect(replica, actor, now_ms);
  }
  const bool silent =
    now_ms >= presence->decide_ms && !holt_mutant(SILENCE_YES);
  if (presence->sight == HOLT_SIGHT_SUSPECT &&
      (silent || (set_empty(&presence->ask) && set_empty(&presence->asked)))) {
    hide(replica, actor, now_ms);
  }
}

static void
decide_all(struct holt_replica *replica, const struct holt_time *now)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    decide(replica, actor, now);
  }
}

/* We had said that we might reach it: now we know that we do not. */
static void
tell_askers(struct holt_replica *replica, const struct holt_actor *actor)
{
  for (struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    if (set_has(&actor->presence.askers, peer)) {
      peer->vouch_due = true;
    }
  }
}

void
holt__sight_found(struct holt_replica *replica, struct holt_actor *actor,
                  uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  holt__follow_stop(replica, actor);
  (void)vouches_clear(actor);
  set_clear(&presence->ask);
  set_clear(&presence->asked);
  if (!holt_present(actor)) {
    come_back(replica, actor, now_ms);
  }
  presence->paused = false;
  presence->sight = HOLT_SIGHT_CONNECTED;
}

void
holt__sight_lost(struct holt_replica *replica, struct holt_actor *actor,
                 uint64_t now_ms)
{
  holt_assert(holt_connected(actor));

  holt__forwards_end(replica, NULL, actor);
  tell_askers(replica, actor);
  suspect(replica, actor, now_ms);
  if (set_empty(&actor->presence.ask)) {
    hide(replica, actor, now_ms); /* There is nobody to ask. */
  }
}

void
holt__liveness_session(struct holt_replica *replica, struct holt_peer *peer)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    struct holt_presence *const presence = &actor->presence;
    set_remove(&presence->askers, peer);
    set_remove(&presence->answered, peer);
    if (set_has(&presence->asked, peer)) {
      holt__liveness_ask(actor, peer);
    }
  }
  peer->vouch_due = false;
  peer->vouch_whole = false;
  peer->echo_due = false;
  /* Its last echo may have been another life's. */
  if (peer->echoed || peer->probe_number > peer->echo_number) {
    peer->probe_due = true;
  }
  peer->echoed = false;
}

void
holt__liveness_drop(struct holt_replica *replica, struct holt_peer *peer)
{
  holt__liveness_session(replica, peer);
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    struct holt_presence *const presence = &actor->presence;
    set_remove(&presence->ask, peer);
    if (!holt_mutant(VOUCHER_GONE)) {
      vouch_withdraw(replica, actor, peer);
    }
    if (presence->follow == peer->id) {
      presence->follow = 0;
    }
  }
}

/*--------------------------------------------------------------------
 * As the asker */

static bool
send_ask(struct holt_replica *replica, struct holt_peer *peer,
         struct holt_effect *effect, uint64_t now_ms)
{
  size_t count = 0;
  for (const struct holt_actor *actor = replica->rows.actor_list;
       actor != NULL && count < HOLT_ASK_ITEMS_MAX; actor = actor->next) {
    count += set_has(&actor->presence.ask, peer) ? 1 : 0;
  }
  peer->ask_due = false;
  if (count == 0) {
    return false;
  }
  const uint64_t token = token_after(replica->ask_token, now_ms);
  holt_buf_clear(&replica->out);
  (void)holt_ask_encode(&replica->out,
                        &(struct holt_ask){ .token = token, .count = count });
  size_t left = count;
  for (const struct holt_actor *actor = replica->rows.actor_list; left > 0;
       actor = actor->next) {
    if (set_has(&actor->presence.ask, peer)) {
      (void)holt_ask_item_encode(&replica->out, actor->id);
      left--;
    }
  }
  peer->ask_due = true;
  if (!holt__send(replica, peer, effect, LAST_ASK, now_ms)) {
    return false;
  }
  for (struct holt_actor *actor = replica->rows.actor_list; count > 0;
       actor = actor->next) {
    if (set_has(&actor->presence.ask, peer)) {
      set_remove(&actor->presence.ask, peer);
      set_add(&actor->presence.asked, peer);
      actor->presence.asked_ms = now_ms;
      replica->counters.asks++;
      count--;
    }
  }
  replica->ask_token = token;
  peer->ask_token = token; /* Those left over are found by the next call. */
  return true;
}

/* The actor was alive at seen_ms: so says the peer, and may be believed if it
 * was asked.  A pause that we have heard of since stands. */
static void
take_yes(struct holt_replica *replica, struct holt_peer *peer,
         struct holt_actor *actor, const struct holt_vouch_item *item,
         uint64_t asked_ms)
{
  const struct holt_presence *const presence = &actor->presence;
  const uint64_t seen_ms =
    asked_ms - (item->age_ms < asked_ms ? item->age_ms : asked_ms);
  if (!holt_connected(actor) &&
      !(presence->paused && seen_ms <= presence->went_ms)) {
    const struct holt_vouch_kept vouch = { .peer = peer->id,
                                           .seen_ms = seen_ms,
                                           .version = item->version };
    vouch_keep(replica, actor, &vouch);
  }
}

static void
take_word(struct holt_replica *replica, struct holt_peer *peer,
          struct holt_actor *actor, const struct holt_vouch_item *item,
          uint64_t asked_ms)
{
  switch (item->word) {
  case HOLT_WORD_WAIT:
    return;
  case HOLT_WORD_YES:
    take_yes(replica, peer, actor, item, asked_ms);
    break;
  case HOLT_WORD_NO:
    vouch_withdraw(replica, actor, peer);
    break;
  case HOLT_WORD_PAUSED:
    vouch_withdraw(replica, actor, peer);
    if (!holt_connected(actor) && !vouched(replica, actor, replica->mono_ms)) {
      actor->presence.paused = true;
      holt__sight_absent(replica, actor, replica->mono_ms);
    }
    break;
  }
  set_remove(&actor->presence.asked, peer);
}

/* The answer is whole: no to all that it has been asked and does not name. */
static void
take_rest(struct holt_replica *replica, struct holt_peer *peer)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (set_has(&actor->presence.asked, peer) && !actor->presence.listed) {
      vouch_withdraw(replica, actor, peer);
      set_remove(&actor->presence.asked, peer);
    }
  }
}

static int
apply_vouch(struct holt_replica *replica, const struct holt_message *message,
            struct holt_peer *peer, const struct holt_time *now)
{
  const struct holt_vouch *const vouch = &message->u.vouch;
  if (vouch->token > peer->ask_token) {
    return HOLT_ERR_MALFORMED; /* We have not asked that yet. */
  }
  int rv = 0;
  size_t offset = message->items_offset;
  for (size_t i = 0; i < vouch->count; i++) {
    struct holt_vouch_item item;
    holt_message_vouch(message, &offset, &item);
    struct holt_actor *const actor =
      holt_rows_actor(&replica->rows, item.actor);
    if (actor == NULL || actor->gone ||
        !(set_has(&actor->presence.asked, peer) ||
          vouch_of(actor, peer->id) != NULL)) {
      rv = HOLT_ERR_STALE; /* Nobody has asked for that. */
      continue;
    }
    actor->presence.listed = true;
    take_word(replica, peer, actor, &item, token_ms(vouch->token));
  }
  if (vouch->whole && vouch->token == peer->ask_token) {
    take_rest(replica, peer);
  }
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    actor->presence.listed = false;
    decide(replica, actor, now);
  }
  return rv;
}

/* The peer reaches a new life of this member: it does not reach the old one. */
static void
withdraw_past(struct holt_replica *replica, const struct holt_peer *peer,
              const struct holt_actor *current)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (actor != current && vouch_of(actor, peer->id) != NULL &&
        holt_member_equal(&actor->member, &current->member)) {
      vouch_withdraw(replica, actor, peer);
    }
  }
}

/* For how long it has been absent: the least that anybody says, so that nobody
 * forgets what another has seen lately.  What the way took must not make it
 * younger each time, so little counts for nothing. */
static void
share_age(const struct holt_replica *replica,
          const struct holt_vector_item *item, struct holt_actor *actor,
          uint64_t now_ms)
{
  const uint64_t slack_ms = replica->tuning.forget_after_ms / 8;
  const uint64_t ours_ms = now_ms - actor->presence.absent_since_ms;
  const uint64_t age_ms = item->absent ? item->absent_ms : 0;
  if (age_ms < ours_ms && ours_ms - age_ms > slack_ms &&
      !holt_mutant(AGE_UNSHARED)) {
    actor->presence.absent_since_ms = now_ms - age_ms;
  }
}

void
holt__liveness_vector(struct holt_replica *replica, struct holt_peer *peer,
                      const struct holt_vector_item *item,
                      struct holt_actor *actor, uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  if (!item->connected) {
    vouch_withdraw(replica, actor, peer);
  } else {
    withdraw_past(replica, peer, actor);
  }
  if (!holt_present(actor)) {
    share_age(replica, item, actor, now_ms);
    if (item->connected && now_ms >= askable_ms(replica, presence, peer)) {
      holt__liveness_ask(actor, peer);
    }
  }
}

/*--------------------------------------------------------------------
 * As the voucher */

/* The link on which we reach an actor, or NULL. */
static struct holt_peer *
way_to(const struct holt_replica *replica, const struct holt_actor *actor)
{
  struct holt_peer *const peer =
    holt_connected(actor) ? holt__peer_of_actor(replica, actor) : NULL;
  return peer != NULL && !peer->missing ? peer : NULL;
}

static uint64_t
earlier(uint64_t left, uint64_t right)
{
  return left < right ? left : right;
}

/* Find out whether it is there, if that is not known and nobody asks already.
 */
static void
probe(const struct holt_replica *replica, struct holt_peer *way,
      uint64_t now_ms)
{
  const uint64_t probe_ms = replica->tuning.probe_ms;
  /* A vouch by it must not have to be renewed at once. */
  const uint64_t fresh_ms =
    earlier(probe_ms / HOLT_ECHO_SHARE, replica->tuning.vouch_ms / 4);
  const bool fresh =
    way->echoed &&
    (now_ms - token_ms(way->echo_number) < fresh_ms || holt_mutant(ECHO_OLD));
  const bool waits = !way->echoed && way->probe_number > way->echo_number &&
                     now_ms - token_ms(way->probe_number) < probe_ms;
  if (!fresh && !waits) {
    way->probe_due = true;
    way->echoed = false;
  }
}

static void
take_question(struct holt_replica *replica, struct holt_peer *peer,
              struct holt_actor *actor, uint64_t now_ms)
{
  vouch_withdraw(replica, actor, peer); /* It does not reach it, either. */
  struct holt_peer *const way = way_to(replica, actor);
  if (holt_mutant(UNPROBED) && holt_present(actor)) {
    set_add(&actor->presence.askers, peer);
  } else if (way != NULL && way != peer) {
    set_add(&actor->presence.askers, peer);
    probe(replica, way, now_ms);
  } else if (actor->presence.paused) {
    set_add(&actor->presence.askers, peer);
  }
}

static int
apply_ask(struct holt_replica *replica, const struct holt_message *message,
          struct holt_peer *peer, const struct holt_time *now)
{
  const struct holt_ask *const ask = &message->u.ask;
  size_t offset = message->items_offset;
  for (size_t i = 0; i < ask->count; i++) {
    struct holt_actor *const actor =
      holt_rows_actor(&replica->rows, holt_message_ask(message, &offset));
    if (actor != NULL && actor != replica->self && !actor->gone) {
      take_question(replica, peer, actor, now->mono_ms);
    }
  }
  peer->vouch_token = ask->token;
  peer->vouch_due = true;
  peer->vouch_whole = true;
  decide_all(replica, now);
  return 0;
}

/* What there is to say to an asker about an actor. */
static enum holt_word
word_about(const struct holt_replica *replica, const struct holt_actor *actor)
{
  const struct holt_peer *const way = way_to(replica, actor);
  if (holt_mutant(UNPROBED) && holt_present(actor)) {
    return HOLT_WORD_YES;
  }
  if (way == NULL) {
    return actor->presence.paused ? HOLT_WORD_PAUSED : HOLT_WORD_NO;
  }
  return way->echoed ? HOLT_WORD_YES : HOLT_WORD_WAIT;
}

/* Is the actor to be in the next vouch for this peer, and with which word? */
static bool
is_told(const struct holt_replica *replica, const struct holt_peer *peer,
        const struct holt_actor *actor, enum holt_word *word)
{
  if (!set_has(&actor->presence.askers, peer)) {
    return false;
  }
  *word = word_about(replica, actor);
  return peer->vouch_whole || *word != HOLT_WORD_WAIT;
}

static void
put_word(struct holt_replica *replica, const struct holt_actor *actor,
         enum holt_word word, uint64_t now_ms)
{
  const struct holt_peer *const way = way_to(replica, actor);
  const bool aged = word == HOLT_WORD_YES && way != NULL &&
                    !holt_mutant(UNPROBED) && !holt_mutant(ECHO_OLD);
  const struct holt_vouch_item item = {
    .actor = actor->id,
    .word = word,
    .age_ms = aged ? now_ms - token_ms(way->echo_number) : 0,
    .version = word == HOLT_WORD_YES ? actor->version : 0
  };
  (void)holt_vouch_item_encode(&replica->out, &item);
}

static bool
send_vouch(struct holt_replica *replica, struct holt_peer *peer,
           struct holt_effect *effect, uint64_t now_ms)
{
  enum holt_word word;
  size_t count = 0;
  size_t said = 0;
  for (const struct holt_actor *actor = replica->rows.actor_list;
       actor != NULL && count < HOLT_ASK_ITEMS_MAX; actor = actor->next) {
    count += is_told(replica, peer, actor, &word) ? 1 : 0;
  }
  if (count == 0 && !peer->vouch_whole) {
    peer->vouch_due = false;
    return false;
  }
  const struct holt_vouch vouch = { .token = peer->vouch_token,
                                    .whole = peer->vouch_whole,
                                    .count = count };
  holt_buf_clear(&replica->out);
  (void)holt_vouch_encode(&replica->out, &vouch);
  for (const struct holt_actor *actor = replica->rows.actor_list; said < count;
       actor = actor->next) {
    if (is_told(replica, peer, actor, &word)) {
      put_word(replica, actor, word, now_ms);
      said++;
    }
  }
  if (!holt__send(replica, peer, effect, LAST_VOUCH, now_ms)) {
    return false;
  }
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    struct holt_presence *const presence = &actor->presence;
    set_remove(&presence->answered, peer);
    if (said > 0 && is_told(replica, peer, actor, &word)) {
      said--;
      if (word != HOLT_WORD_WAIT) {
        set_remove(&presence->askers, peer);
        set_add(&presence->answered, peer);
      }
    }
  }
  peer->last_whole = peer->vouch_whole;
  peer->vouch_whole = false;
  peer->vouch_due = count == HOLT_ASK_ITEMS_MAX; /* Perhaps there are more. */
  return true;
}

static int
apply_echo(struct holt_replica *replica, const struct holt_probe *echo,
           struct holt_peer *peer)
{
  if (echo->number > peer->probe_number) {
    return HOLT_ERR_MALFORMED;
  }
  const struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, peer->actor);
  if (echo->number <= peer->echo_number || actor == NULL) {
    return HOLT_ERR_STALE;
  }
  peer->echoed = true;
  peer->echo_number = echo->number;
  tell_askers(replica, actor);
  return 0;
}

/*--------------------------------------------------------------------
 * What comes, what leaves, what time brings */

int
holt__liveness_apply(struct holt_replica *replica,
                     const struct holt_message *message, struct holt_peer *peer,
                     const struct holt_time *now)
{
  switch (message->kind) {
  case HOLT_PACKET_ASK:
    return apply_ask(replica, message, peer, now);
  case HOLT_PACKET_VOUCH:
    return apply_vouch(replica, message, peer, now);
  case HOLT_PACKET_PROBE:
    peer->echo_due = true;
    peer->echo_owed = message->u.probe.number;
    return 0;
  default:
    return apply_echo(replica, &message->u.probe, peer);
  }
}

static bool
send_probe(struct holt_replica *replica, struct holt_peer *peer,
           struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_probe probe = { .number =
                                      token_after(peer->probe_number, now_ms) };
  holt_buf_clear(&replica->out);
  (void)holt_probe_encode(&replica->out, HOLT_PACKET_PROBE, &probe);
  if (!holt__send(replica, peer, effect, LAST_PROBE, now_ms)) {
    return false;
  }
  peer->probe_due = false;
  peer->probe_number = probe.number;
  replica->counters.probes++;
  return true;
}

static bool
send_echo(struct holt_replica *replica, struct holt_peer *peer,
          struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_probe echo = { .number = peer->echo_owed };
  holt_buf_clear(&replica->out);
  (void)holt_probe_encode(&replica->out, HOLT_PACKET_ECHO, &echo);
  peer->echo_due = !holt__send(replica, peer, effect, LAST_ECHO, now_ms);
  return !peer->echo_due;
}

bool
holt__liveness_send(struct holt_replica *replica, struct holt_peer *peer,
                    struct holt_effect *effect, uint64_t now_ms)
{
  return (peer->echo_due && send_echo(replica, peer, effect, now_ms)) ||
         (peer->probe_due && send_probe(replica, peer, effect, now_ms)) ||
         (peer->vouch_due && send_vouch(replica, peer, effect, now_ms)) ||
         (peer->ask_due && send_ask(replica, peer, effect, now_ms));
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
  if (peer->last == LAST_ECHO) {
    peer->echo_due = true;
    return;
  }
  if (peer->last == LAST_PROBE) {
    peer->probe_due = true; /* With another number. */
    return;
  }
  const bool asked = peer->last == LAST_ASK;
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    struct holt_presence *const presence = &actor->presence;
    struct holt_peer_set *const from =
      asked ? &presence->asked : &presence->answered;
    if (set_has(from, peer)) {
      set_remove(from, peer);
      set_add(asked ? &presence->ask : &presence->askers, peer);
    }
  }
  peer->ask_due = peer->ask_due || asked;
  peer->vouch_due = peer->vouch_due || !asked;
  peer->vouch_whole = peer->vouch_whole || (!asked && peer->last_whole);
}

static uint64_t
renew_ms(const struct holt_replica *replica,
         const struct holt_vouch_kept *vouch)
{
  return vouch->seen_ms + replica->tuning.vouch_ms / 2;
}

/* Vouches are renewed in time; those that were not go. */
static void
renew(struct holt_replica *replica, struct holt_actor *actor, uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    struct holt_vouch_kept *const vouch = &presence->vouches[i];
    struct holt_peer *const peer = holt__peer_by_id(replica, vouch->peer);
    if (vouch->peer != 0 && !is_good(replica, vouch, now_ms)) {
      vouch->peer = 0;
      replica->counters.vouches_lapsed++;
    } else if (peer != NULL && peer->up && now_ms >= renew_ms(replica, vouch) &&
               now_ms >= askable_ms(replica, presence, peer)) {
      holt__liveness_ask(actor, peer);
    }
  }
}

static uint64_t
forget_ms(const struct holt_replica *replica, const struct holt_actor *actor)
{
  const uint64_t after_ms = replica->tuning.forget_after_ms;
  return actor->presence.absent_since_ms +
         (holt_mutant(FORGET_EARLY) ? after_ms / 2 : after_ms);
}

/* It is there now; not one that was, and may have moved on since. */
static bool
is_sure(const struct holt_replica *replica, const struct holt_actor *actor)
{
  return actor->presence.sight == HOLT_SIGHT_VOUCHED ||
         way_to(replica, actor) != NULL;
}

void
holt__liveness_expire(struct holt_replica *replica, const struct holt_time *now)
{
  const uint64_t now_ms = now->mono_ms;
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (actor == replica->self || actor->gone) {
      continue;
    }
    decide(replica, actor, now);
    if (actor->presence.sight == HOLT_SIGHT_VOUCHED) {
      renew(replica, actor, now_ms);
    }
    if (!holt_present(actor) && now_ms >= forget_ms(replica, actor)) {
      holt__actor_end(replica, actor);
    } else if (!actor->shown && now_ms >= actor->presence.hold_ms &&
               is_sure(replica, actor)) {
      holt__actor_show(replica, actor, now);
    }
  }
}

/* When the next thing happens to the vouches of an actor. */
static uint64_t
vouches_due_ms(const struct holt_replica *replica,
               const struct holt_actor *actor)
{
  const struct holt_presence *const presence = &actor->presence;
  uint64_t due_ms = UINT64_MAX;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    const struct holt_vouch_kept *const vouch = &presence->vouches[i];
    const struct holt_peer *const peer = holt__peer_by_id(replica, vouch->peer);
    if (vouch->peer != 0) {
      due_ms = earlier(due_ms, lapses_ms(replica, vouch));
    }
    if (peer != NULL && peer->up) {
      const uint64_t askable = askable_ms(replica, presence, peer);
      const uint64_t renewed = renew_ms(replica, vouch);
      due_ms = earlier(due_ms, askable > renewed ? askable : renewed);
    }
  }
  return due_ms;
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
      due_ms = earlier(due_ms, forget_ms(replica, actor));
      break;
    case HOLT_SIGHT_SUSPECT:
      due_ms = earlier(due_ms, presence->decide_ms);
      break;
    case HOLT_SIGHT_VOUCHED:
      due_ms = earlier(due_ms, vouches_due_ms(replica, actor));
      break;
    case HOLT_SIGHT_CONNECTED:
      break;
    }
    if (holt_present(actor) && !actor->shown &&
        presence->hold_ms > replica->mono_ms) {
      due_ms = earlier(due_ms, presence->hold_ms);
    }
  }
  return due_ms;
}
