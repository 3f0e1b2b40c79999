/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the others who reaches an actor that we have lost.
 *
 * `ask` are the links that are yet to be asked about it, `asked` those whose
 * answer is awaited.  An ask names a token, which is the moment by our clock.
 * An answer brings the token of the last ask that its sender has seen, and how
 * long ago the actor was alive: so we know when that was by our own clock, or
 * rather a moment that is not later, and need to believe nobody's.
 *
 *     our clock    |--- ask -------------- vouch, age ---|
 *     theirs              |--- probe -- echo --|
 *                         |<------ age ------->|
 *     seen_ms = the moment of the ask less the age
 *
 * A few vouches are kept for each actor, and asked for again in time; when one
 * is withdrawn the others stand. */
#include "invariant.h"
#include "liveness.h"
#include "mutant.h"

/*--------------------------------------------------------------------
 * Vouches */

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

bool
holt__vouched(const struct holt_replica *replica,
              const struct holt_actor *actor, uint64_t now_ms)
{
  bool any = false;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    any = any || is_good(replica, &actor->presence.vouches[i], now_ms);
  }
  return any;
}

void
holt__vouch_withdraw(struct holt_replica *replica, struct holt_actor *actor,
                     const struct holt_peer *peer)
{
  struct holt_vouch_kept *const vouch = vouch_of(actor, peer->id);
  if (vouch != NULL) {
    vouch->peer = 0;
    replica->counters.vouches_lapsed++;
    replica->undecided = true;
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
  if (actor->presence.alive_ms < vouch->seen_ms) {
    actor->presence.alive_ms = vouch->seen_ms;
  }
}

/* None of them counts any more; how many there were. */
unsigned
holt__vouches_clear(struct holt_actor *actor)
{
  unsigned count = 0;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    count += actor->presence.vouches[i].peer != 0 ? 1 : 0;
    actor->presence.vouches[i].peer = 0;
  }
  return count;
}

bool
holt__vouches(const struct holt_replica *replica, struct holt_actor *actor,
              const struct holt_peer *peer, uint64_t now_ms)
{
  const struct holt_vouch_kept *const vouch = vouch_of(actor, peer->id);
  return vouch != NULL && is_good(replica, vouch, now_ms);
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
 * What leaves */

void
holt__liveness_ask(struct holt_actor *actor, struct holt_peer *peer)
{
  holt_links_remove(&actor->presence.asked, peer);
  holt_links_add(&actor->presence.ask, peer);
  peer->ask_due = true;
}

/* When the peer may be asked about the actor: its answer is given time. */
static uint64_t
askable_ms(const struct holt_replica *replica,
           const struct holt_presence *presence, const struct holt_peer *peer)
{
  if (holt_links_has(&presence->ask, peer)) {
    return UINT64_MAX; /* It will be, already. */
  }
  return holt_links_has(&presence->asked, peer)
           ? presence->asked_ms + replica->tuning.probe_ms
           : 0;
}

/* Who is there, or may be back in a moment, and is not the actor itself. */
static bool
can_tell(const struct holt_peer *peer, const struct holt_actor *actor)
{
  return (peer->up || peer->missing) && peer->actor != actor->id;
}

void
holt__ask_all(struct holt_replica *replica, struct holt_actor *actor,
              uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  presence->asked_ms = now_ms;
  holt_links_clear(&presence->asked);
  for (struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    if (can_tell(peer, actor)) {
      holt__liveness_ask(actor, peer);
    }
  }
}

bool
holt__ask_send(struct holt_replica *replica, struct holt_peer *peer,
               struct holt_effect *effect, uint64_t now_ms)
{
  size_t count = 0;
  for (const struct holt_actor *actor = replica->rows.actor_list;
       actor != NULL && count < HOLT_ASK_ITEMS_MAX; actor = actor->next) {
    count += holt_links_has(&actor->presence.ask, peer) ? 1 : 0;
  }
  if (count == 0) {
    peer->ask_due = false;
    return false;
  }
  const uint64_t token = holt_token_after(replica->ask_token, now_ms);
  holt_buf_clear(&replica->out);
  (void)holt_ask_encode(&replica->out,
                        &(struct holt_ask){ .token = token, .count = count });
  size_t left = count;
  for (const struct holt_actor *actor = replica->rows.actor_list; left > 0;
       actor = actor->next) {
    if (holt_links_has(&actor->presence.ask, peer)) {
      (void)holt_ask_item_encode(&replica->out, actor->id);
      left--;
    }
  }
  if (!holt__send(replica, peer, effect, LAST_ASK, now_ms)) {
    return false;
  }
  for (struct holt_actor *actor = replica->rows.actor_list; count > 0;
       actor = actor->next) {
    if (holt_links_has(&actor->presence.ask, peer)) {
      holt_links_remove(&actor->presence.ask, peer);
      holt_links_add(&actor->presence.asked, peer);
      actor->presence.asked_ms = now_ms;
      replica->counters.asks++;
      count--;
    }
  }
  replica->ask_token = token;
  peer->ask_token = token; /* Those left over are found by the next call. */
  return true;
}

void
holt__ask_undo(struct holt_replica *replica, struct holt_peer *peer)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (holt_links_has(&actor->presence.asked, peer)) {
      holt__liveness_ask(actor, peer);
    }
  }
}

/*--------------------------------------------------------------------
 * What comes */

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

/* It has told the peer that it will be back; unless that is of the past, and it
 * was back. */
static void
take_pause(struct holt_replica *replica, struct holt_actor *actor,
           const struct holt_vouch_item *item)
{
  struct holt_presence *const presence = &actor->presence;
  const uint64_t now_ms = replica->mono_ms;
  const uint64_t paused_ms =
    now_ms - (item->age_ms < now_ms ? item->age_ms : now_ms);
  const bool past = paused_ms < presence->alive_ms && !holt_mutant(PAUSE_ANEW);
  if (!holt_connected(actor) && !past &&
      !holt__vouched(replica, actor, now_ms)) {
    presence->paused = true;
    holt__sight_absent(replica, actor, now_ms);
    presence->went_ms = paused_ms;
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
    holt__vouch_withdraw(replica, actor, peer);
    break;
  case HOLT_WORD_PAUSED:
    holt__vouch_withdraw(replica, actor, peer);
    take_pause(replica, actor, item);
    break;
  }
  holt_links_remove(&actor->presence.asked, peer);
}

/* An answer that is whole says no to all that the peer has been asked for and
 * does not name. */
static void
take_rest(struct holt_replica *replica, struct holt_peer *peer, bool whole,
          const struct holt_time *now)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    struct holt_presence *const presence = &actor->presence;
    if (whole && !presence->listed && holt_links_has(&presence->asked, peer)) {
      holt__vouch_withdraw(replica, actor, peer);
      holt_links_remove(&presence->asked, peer);
      holt__decide(replica, actor, now);
    }
    presence->listed = false;
  }
}

int
holt__vouch_take(struct holt_replica *replica,
                 const struct holt_message *message, struct holt_peer *peer,
                 const struct holt_time *now)
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
        !(holt_links_has(&actor->presence.asked, peer) ||
          vouch_of(actor, peer->id) != NULL)) {
      rv = HOLT_ERR_STALE; /* Nobody has asked for that. */
      continue;
    }
    actor->presence.listed = true;
    take_word(replica, peer, actor, &item, holt_token_ms(vouch->token));
    holt__decide(replica, actor, now);
  }
  take_rest(replica, peer, vouch->whole && vouch->token == peer->ask_token,
            now);
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
      holt__vouch_withdraw(replica, actor, peer);
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
    holt__vouch_withdraw(replica, actor, peer);
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
 * What time brings */

static uint64_t
renew_ms(const struct holt_replica *replica,
         const struct holt_vouch_kept *vouch)
{
  return vouch->seen_ms + replica->tuning.vouch_ms / 2;
}

/* Vouches are renewed in time; those that were not go. */
void
holt__vouches_renew(struct holt_replica *replica, struct holt_actor *actor,
                    uint64_t now_ms)
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

/* When the next thing happens to the vouches of an actor. */
uint64_t
holt__vouches_due_ms(const struct holt_replica *replica,
                     const struct holt_actor *actor)
{
  const struct holt_presence *const presence = &actor->presence;
  uint64_t due_ms = UINT64_MAX;
  for (unsigned i = 0; i < HOLT_VOUCHES_MAX; i++) {
    const struct holt_vouch_kept *const vouch = &presence->vouches[i];
    const struct holt_peer *const peer = holt__peer_by_id(replica, vouch->peer);
    if (vouch->peer != 0) {
      due_ms = holt_earlier(due_ms, lapses_ms(replica, vouch));
    }
    if (peer != NULL && peer->up) {
      const uint64_t askable = askable_ms(replica, presence, peer);
      const uint64_t renewed = renew_ms(replica, vouch);
      due_ms = holt_earlier(due_ms, askable > renewed ? askable : renewed);
    }
  }
  return due_ms;
}
