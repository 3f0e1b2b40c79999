/* SPDX-License-Identifier: Apache-2.0 */
/* Answering those who have lost an actor, from what we find out ourselves.
 *
 * `askers` are the links that await our word about an actor.  One probe serves
 * all who ask while it is under way, and its echo serves all who ask soon
 * after.  The number of a probe is the moment at which it was sent, so the echo
 * says since when the actor is known to be alive.
 *
 * What we are not connected to we say no to, by leaving it out of an answer
 * that is whole: so we need not remember what we do not know, whoever asks, and
 * when an actor is really gone the answers of all are there at once. */
#include "invariant.h"
#include "liveness.h"

void
holt__askers_tell(struct holt_replica *replica, const struct holt_actor *actor)
{
  for (struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    if (holt_links_has(&actor->presence.askers, peer)) {
      peer->vouch_due = true;
    }
  }
}

/*--------------------------------------------------------------------
 * What comes */

/* Find out whether it is there, if that is not known and nobody asks already.
 */
static void
probe(const struct holt_replica *replica, struct holt_peer *way,
      uint64_t now_ms)
{
  const uint64_t probe_ms = replica->tuning.probe_ms;
  /* A vouch by it must not have to be renewed at once. */
  const uint64_t fresh_ms =
    holt_earlier(probe_ms / HOLT_ECHO_SHARE, replica->tuning.vouch_ms / 4);
  const bool fresh =
    way->echoed && (now_ms - holt_token_ms(way->echo_number) < fresh_ms ||
                    holt_mutant(ECHO_OLD));
  const bool waits = !way->echoed && way->probe_number > way->echo_number &&
                     now_ms - holt_token_ms(way->probe_number) < probe_ms;
  if (!fresh && !waits) {
    way->probe_due = true;
    way->echoed = false;
  }
}

static void
take_question(struct holt_replica *replica, struct holt_peer *peer,
              struct holt_actor *actor, uint64_t now_ms)
{
  struct holt_presence *const presence = &actor->presence;
  holt__vouch_withdraw(replica, actor, peer); /* Nor does the peer reach it. */
  const bool known = (holt_connected(actor) && presence->link != peer) ||
                     presence->paused ||
                     (holt_mutant(UNPROBED) && holt_present(actor));
  if (known) {
    holt_links_add(&presence->askers, peer);
  }
  if (known && holt_way(actor) != NULL) {
    probe(replica, holt_way(actor), now_ms);
  }
}

int
holt__ask_take(struct holt_replica *replica, const struct holt_message *message,
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
  return 0;
}

int
holt__echo_take(struct holt_replica *replica, const struct holt_probe *echo,
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
  holt__askers_tell(replica, actor);
  return 0;
}

/*--------------------------------------------------------------------
 * What leaves */

/* What there is to say to an asker about an actor.  One whose process is being
 * started again, on a link that stands, is not to be probed, and not gone. */
static enum holt_word
word_about(const struct holt_actor *actor)
{
  const struct holt_peer *const way = holt_way(actor);
  if (holt_mutant(UNPROBED) && holt_present(actor)) {
    return HOLT_WORD_YES;
  }
  if (!holt_connected(actor)) {
    return actor->presence.paused ? HOLT_WORD_PAUSED : HOLT_WORD_NO;
  }
  return way != NULL && way->echoed ? HOLT_WORD_YES : HOLT_WORD_WAIT;
}

/* Is the actor to be in the next vouch for this peer, and with which word? */
static bool
is_told(const struct holt_peer *peer, const struct holt_actor *actor,
        enum holt_word *word)
{
  if (!holt_links_has(&actor->presence.askers, peer)) {
    return false;
  }
  *word = word_about(actor);
  return peer->vouch_whole || *word != HOLT_WORD_WAIT;
}

static void
put_word(struct holt_replica *replica, const struct holt_actor *actor,
         enum holt_word word, uint64_t now_ms)
{
  const struct holt_peer *const way = holt_way(actor);
  uint64_t age_ms = 0;
  if (word == HOLT_WORD_PAUSED) {
    age_ms = now_ms - actor->presence.went_ms;
  } else if (word == HOLT_WORD_YES && way != NULL && !holt_mutant(UNPROBED) &&
             !holt_mutant(ECHO_OLD)) {
    age_ms = now_ms - holt_token_ms(way->echo_number);
  }
  const struct holt_vouch_item item = { .actor = actor->id,
                                        .word = word,
                                        .age_ms = age_ms,
                                        .version = word == HOLT_WORD_YES
                                                     ? actor->version
                                                     : 0 };
  (void)holt_vouch_item_encode(&replica->out, &item);
}

bool
holt__vouch_send(struct holt_replica *replica, struct holt_peer *peer,
                 struct holt_effect *effect, uint64_t now_ms)
{
  enum holt_word word;
  size_t count = 0;
  size_t said = 0;
  for (const struct holt_actor *actor = replica->rows.actor_list;
       actor != NULL && count < HOLT_ASK_ITEMS_MAX; actor = actor->next) {
    count += is_told(peer, actor, &word) ? 1 : 0;
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
    if (is_told(peer, actor, &word)) {
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
    holt_links_remove(&presence->answered, peer);
    if (said > 0 && is_told(peer, actor, &word)) {
      said--;
      if (word != HOLT_WORD_WAIT) {
        holt_links_remove(&presence->askers, peer);
        holt_links_add(&presence->answered, peer);
      }
    }
  }
  peer->last_whole = peer->vouch_whole;
  peer->vouch_whole = false;
  peer->vouch_due = count == HOLT_ASK_ITEMS_MAX; /* Perhaps there are more. */
  return true;
}

void
holt__vouch_undo(struct holt_replica *replica, struct holt_peer *peer)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    struct holt_presence *const presence = &actor->presence;
    if (holt_links_has(&presence->answered, peer)) {
      holt_links_remove(&presence->answered, peer);
      holt_links_add(&presence->askers, peer);
    }
  }
  peer->vouch_due = true;
  peer->vouch_whole = peer->vouch_whole || peer->last_whole;
}

bool
holt__probe_send(struct holt_replica *replica, struct holt_peer *peer,
                 struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_probe probe = { .number = holt_token_after(
                                      peer->probe_number, now_ms) };
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

bool
holt__echo_send(struct holt_replica *replica, struct holt_peer *peer,
                struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_probe echo = { .number = peer->echo_owed };
  holt_buf_clear(&replica->out);
  (void)holt_probe_encode(&replica->out, HOLT_PACKET_ECHO, &echo);
  peer->echo_due = !holt__send(replica, peer, effect, LAST_ECHO, now_ms);
  return !peer->echo_due;
}
