/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of others, passed on to those who cannot hear them.
 *
 * A cannot hear X, and we vouch for it: then we pass on what X streams to us,
 * byte for byte, so that A is as far as we are a moment later.
 *
 *     X         us          A
 *     |          |<- request, follow    the repair brings A to where we are,
 *     |          |- last piece, to 40 ->           at no cost if it is there
 *     |          |<-------- ack 40, gap go on from here
 *     |- 40..43 >|- 40..43 ------------>|
 *     |          |<-------------- ack 43|
 *     |<- reached 43                    |
 *
 * We keep the newest deltas of X, as they came, until all who follow have
 * acknowledged them, and no more than a window of them:
 *
 *     relay    40..43   43..44   44..50        end 50
 *              ^ a slow follower is here, and goes on when its window opens
 *                                       ^ the others have all of it
 *
 * Who is passed by the end of this list, and everybody when our own copy has
 * come forward in another way than by X's stream, is told that it is lost, and
 * asks for a repair again.  Only what has come from X itself is kept: so
 * nothing goes further than one step, and nothing goes round in circles.
 *
 * follow.c is A's side of it. */
#include <string.h>

#include "invariant.h"
#include "state.h"

/*--------------------------------------------------------------------
 * Followers */

static struct holt_follower *
follower_find(const struct holt_peer *peer, const struct holt_actor *actor)
{
  struct holt_follower *follower = peer->followers;
  while (follower != NULL && follower->relay->actor != actor) {
    follower = follower->peer_next;
  }
  return follower;
}

/* The same, if it is in this state. */
static struct holt_follower *
follower_in(const struct holt_peer *peer, const struct holt_actor *actor,
            enum holt_follower_state state)
{
  struct holt_follower *const follower = follower_find(peer, actor);
  return follower != NULL && follower->state == state ? follower : NULL;
}

/* It needs what is in the list. */
static bool
keeps(const struct holt_follower *follower)
{
  return follower->state == FOLLOWER_WAITED || follower->state == FOLLOWER_LIVE;
}

/* Its repair is not over. */
static bool
is_repaired(const struct holt_follower *follower)
{
  return follower->state == FOLLOWER_REPAIRED ||
         follower->state == FOLLOWER_WAITED;
}

/* A new state, in which nothing is under way. */
static void
follower_set(struct holt_follower *follower, enum holt_follower_state state)
{
  struct holt_peer *const peer = follower->peer;
  peer->followers_lost -= follower->state == FOLLOWER_LOST ? 1 : 0;
  peer->followers_lost += state == FOLLOWER_LOST ? 1 : 0;
  peer->forward_due = true;
  follower->state = state;
  follower->unclean = false;
  follower->at = NULL;
  follower->window.count = 0;
  follower->window.bytes = 0;
}

static void
follower_lost(const struct holt_replica *replica,
              struct holt_follower *follower)
{
  follower_set(follower, FOLLOWER_LOST);
  follower->lost_base = HOLT_SEQ_MAX;
  follower->lost_at_ms = replica->mono_ms;
}

/* Stand at this cursor.  False: what comes after it is not there. */
static bool
follower_seek(struct holt_follower *follower, uint64_t cursor)
{
  const struct holt_relay *const relay = follower->relay;
  struct holt_relayed *entry = relay->head;
  while (entry != NULL && entry->after != cursor) {
    entry = entry->next;
  }
  if (entry == NULL && cursor != relay->end) {
    return false;
  }
  follower->cursor = cursor;
  follower->at = entry;
  return true;
}

/*--------------------------------------------------------------------
 * What is kept */

static void
relay_drop(struct holt_replica *replica, struct holt_relay *relay)
{
  struct holt_relayed *const entry = relay->head;
  relay->head = entry->next;
  if (relay->head == NULL) {
    relay->tail = &relay->head;
  }
  relay->bytes -= entry->size;
  holt_mem_free(replica->mem, entry, sizeof *entry + entry->size);
}

/* What everybody has acknowledged is not needed any more. */
static void
relay_trim(struct holt_replica *replica, struct holt_relay *relay)
{
  uint64_t acked = UINT64_MAX;
  for (const struct holt_follower *follower = relay->followers;
       follower != NULL; follower = follower->next) {
    if (keeps(follower) && follower->acked < acked) {
      acked = follower->acked;
    }
  }
  while (relay->head != NULL && relay->head->to <= acked) {
    relay_drop(replica, relay);
  }
}

/* What is kept does not lead to where we are, so nobody can go on. */
static void
relay_jump(struct holt_replica *replica, struct holt_relay *relay)
{
  for (struct holt_follower *follower = relay->followers; follower != NULL;
       follower = follower->next) {
    if (keeps(follower)) {
      follower_lost(replica, follower);
    }
  }
  relay_trim(replica, relay);
}

/* There is more than a window of it: whoever has not been sent the oldest of it
 * is lost. */
static void
relay_bound(struct holt_replica *replica, struct holt_relay *relay)
{
  while (relay->bytes > replica->tuning.window_bytes &&
         relay->head->next != NULL) {
    for (struct holt_follower *follower = relay->followers; follower != NULL;
         follower = follower->next) {
      if (follower->at == relay->head) {
        follower_lost(replica, follower);
      }
    }
    relay_drop(replica, relay);
  }
  relay_trim(replica, relay);
}

/* HOLT_ERR_NOMEM. */
static int
relay_keep(struct holt_replica *replica, struct holt_relay *relay,
           const struct holt_message *message)
{
  const size_t size = message->body_size;
  struct holt_relayed *const entry =
    holt_mem_alloc(replica->mem, sizeof *entry + size);
  if (entry == NULL) {
    return HOLT_ERR_NOMEM;
  }
  entry->next = NULL;
  entry->after = message->after;
  entry->to = message->to;
  entry->size = size;
  memcpy(entry->bytes, message->body, size);
  *relay->tail = entry;
  relay->tail = &entry->next;
  relay->bytes += size;
  for (struct holt_follower *follower = relay->followers; follower != NULL;
       follower = follower->next) {
    if (keeps(follower) && follower->at == NULL) {
      follower->at = entry;
      follower->peer->forward_due = true;
    }
  }
  return 0;
}

static bool
relay_is_kept(const struct holt_relay *relay)
{
  const struct holt_follower *follower = relay->followers;
  while (follower != NULL && !keeps(follower)) {
    follower = follower->next;
  }
  return follower != NULL;
}

/* The actor says that what it has sent so far is all there is: who has it, and
 * does not know that, is to be told. */
static void
relay_all(struct holt_relay *relay)
{
  for (struct holt_follower *follower = relay->followers; follower != NULL;
       follower = follower->next) {
    follower->peer->forward_due = true;
  }
}

void
holt__forward_delta(struct holt_replica *replica, struct holt_actor *actor,
                    const struct holt_message *message)
{
  struct holt_relay *const relay = actor->presence.relay;
  if (relay == NULL) {
    return;
  }
  if (message->after != relay->end && !holt_mutant(FORWARD_JUMP)) {
    relay_jump(replica, relay);
  } else if (message->after == message->to) {
    relay_all(relay);
  } else if (relay_is_kept(relay)) {
    if (relay_keep(replica, relay, message) != 0) {
      relay_jump(replica, relay);
    }
    relay_bound(replica, relay);
  }
  relay->end = message->to;
}

void
holt__forward_jump(struct holt_replica *replica, struct holt_actor *actor)
{
  struct holt_relay *const relay = actor->presence.relay;
  if (relay != NULL && relay->end != actor->version) {
    if (!holt_mutant(FORWARD_JUMP)) {
      relay_jump(replica, relay);
    }
    relay->end = actor->version;
  }
}

/*--------------------------------------------------------------------
 * Begin and end */

static int
relay_new(struct holt_replica *replica, struct holt_actor *actor)
{
  struct holt_relay *const relay = holt_mem_zalloc(replica->mem, sizeof *relay);
  if (relay == NULL) {
    return HOLT_ERR_NOMEM;
  }
  relay->actor = actor;
  relay->tail = &relay->head;
  actor->presence.relay = relay;
  return 0;
}

/* Nobody follows any more. */
static void
relay_delete(struct holt_replica *replica, struct holt_relay *relay)
{
  holt_assert(relay->followers == NULL);

  while (relay->head != NULL) {
    relay_drop(replica, relay);
  }
  relay->actor->presence.relay = NULL;
  holt_mem_free(replica->mem, relay, sizeof *relay);
}

static int
follower_new(struct holt_replica *replica, struct holt_peer *peer,
             struct holt_actor *actor, struct holt_follower **out)
{
  if (actor->presence.relay == NULL && relay_new(replica, actor) != 0) {
    return HOLT_ERR_NOMEM;
  }
  struct holt_relay *const relay = actor->presence.relay;
  struct holt_follower *const follower =
    holt_mem_zalloc(replica->mem, sizeof *follower);
  if (follower == NULL) {
    if (relay->followers == NULL) {
      relay_delete(replica, relay);
    }
    return HOLT_ERR_NOMEM;
  }
  follower->relay = relay;
  follower->peer = peer;
  follower->next = relay->followers;
  relay->followers = follower;
  follower->peer_next = peer->followers;
  peer->followers = follower;
  *out = follower;
  return 0;
}

static void
follower_delete(struct holt_replica *replica, struct holt_follower *follower)
{
  struct holt_relay *const relay = follower->relay;
  follower_set(follower, FOLLOWER_REPAIRED);
  struct holt_follower **link = &relay->followers;
  while (*link != follower) {
    link = &(*link)->next;
  }
  *link = follower->next;
  link = &follower->peer->followers;
  while (*link != follower) {
    link = &(*link)->peer_next;
  }
  *link = follower->peer_next;
  holt_mem_free(replica->mem, follower, sizeof *follower);
  if (relay->followers == NULL) {
    relay_delete(replica, relay);
  } else {
    relay_trim(replica, relay);
  }
}

int
holt__forward_begin(struct holt_replica *replica, struct holt_peer *peer,
                    struct holt_actor *actor)
{
  const bool heard = holt_connected(actor) || holt_mutant(FORWARD_AGAIN);
  if (!heard || actor == replica->self || actor->id == peer->actor) {
    return HOLT_ERR_STALE;
  }
  struct holt_follower *follower = follower_find(peer, actor);
  if (follower == NULL && follower_new(replica, peer, actor, &follower) != 0) {
    return HOLT_ERR_NOMEM;
  }
  follower_set(follower, FOLLOWER_REPAIRED);
  relay_trim(replica, follower->relay);
  return 0;
}

void
holt__forward_from(struct holt_replica *replica, struct holt_peer *peer,
                   struct holt_actor *actor, uint64_t cursor)
{
  struct holt_follower *const follower =
    follower_in(peer, actor, FOLLOWER_REPAIRED);
  if (follower == NULL) {
    return;
  }
  holt__forward_jump(replica, actor);
  follower_set(follower, FOLLOWER_WAITED);
  follower->cursor = cursor;
  follower->acked = cursor;
}

void
holt__forward_back(struct holt_replica *replica, struct holt_peer *peer,
                   struct holt_actor *actor)
{
  struct holt_follower *const follower =
    follower_in(peer, actor, FOLLOWER_WAITED);
  if (follower != NULL) {
    follower_set(follower, FOLLOWER_REPAIRED);
    relay_trim(replica, follower->relay);
  }
}

void
holt__forward_silent(struct holt_replica *replica, struct holt_peer *peer,
                     struct holt_actor *actor)
{
  struct holt_follower *const follower =
    follower_in(peer, actor, FOLLOWER_WAITED);
  if (follower != NULL) {
    follower_lost(replica, follower);
    follower->lost_base = follower->cursor;
    relay_trim(replica, follower->relay);
  }
}

void
holt__forward_over(struct holt_replica *replica, struct holt_peer *peer,
                   struct holt_actor *actor)
{
  struct holt_follower *const follower = follower_find(peer, actor);
  if (follower != NULL && is_repaired(follower)) {
    follower_delete(replica, follower);
  }
}

void
holt__forwards_end(struct holt_replica *replica, const struct holt_peer *peer,
                   const struct holt_actor *actor)
{
  if (peer == NULL) {
    while (actor->presence.relay != NULL) {
      follower_delete(replica, actor->presence.relay->followers);
    }
    return;
  }
  struct holt_follower *next = peer->followers;
  while (next != NULL) {
    struct holt_follower *const follower = next;
    next = follower->peer_next;
    if (actor == NULL || follower->relay->actor == actor) {
      follower_delete(replica, follower);
    }
  }
}

/*--------------------------------------------------------------------
 * Acknowledgements */

/* The actor is told how far it has come with its rows. */
static void
follower_reached(struct holt_follower *follower, const struct holt_ack *ack)
{
  struct holt_peer *const peer = holt_way(follower->relay->actor);
  if (peer != NULL && !ack->dirty && ack->cursor > follower->reached) {
    follower->reached = ack->cursor;
    follower->reached_due = true;
    peer->forward_due = true;
  }
}

/* It goes on from where it is, if what comes then is there. */
static void
follower_go(struct holt_replica *replica, struct holt_follower *follower,
            const struct holt_ack *ack)
{
  if (follower_seek(follower, ack->cursor)) {
    struct holt_relayed *const at = follower->at;
    follower_set(follower, FOLLOWER_LIVE);
    follower->at = at;
    follower->acked = ack->cursor;
    follower->unclean = ack->dirty && ack->cursor == follower->relay->end;
  } else if (follower->state != FOLLOWER_LOST) {
    follower_lost(replica, follower);
  } else {
    follower->lost_base = HOLT_SEQ_MAX;
  }
}

static void
ack_live(struct holt_replica *replica, struct holt_follower *follower,
         const struct holt_ack *ack)
{
  if (ack->cursor > follower->cursor ||
      (ack->gap && ack->cursor < follower->cursor)) {
    /* It is elsewhere than we think. */
    follower_go(replica, follower, ack);
    return;
  }
  if (ack->cursor >= follower->acked) {
    follower->acked = ack->cursor;
    holt__window_acked(&follower->window, ack->cursor);
  }
  /* A message that ended half way may have brought all rows but not said that
   * they are all. */
  follower->unclean = ack->dirty && follower->window.count == 0 &&
                      ack->cursor == follower->relay->end;
  follower->peer->forward_due = true;
}

int
holt__forward_ack(struct holt_replica *replica, struct holt_peer *peer,
                  const struct holt_ack *ack)
{
  struct holt_actor *const actor = holt_rows_actor(&replica->rows, ack->actor);
  struct holt_follower *const follower =
    actor != NULL ? follower_find(peer, actor) : NULL;
  if (follower == NULL) {
    return ack->stop ? 0 : HOLT_ERR_STALE;
  }
  if (ack->stop) {
    if (is_repaired(follower)) {
      holt__serves_end(replica, peer, actor); /* And with it this. */
      holt__forward_over(replica, peer, actor);
    } else {
      follower_delete(replica, follower);
    }
    return 0;
  }
  if (keeps(follower) && ack->cursor > follower->relay->end) {
    return HOLT_ERR_MALFORMED;
  }
  const bool waits = follower->state == FOLLOWER_WAITED;
  if (follower->state == FOLLOWER_LIVE) {
    ack_live(replica, follower, ack);
  } else if (ack->gap && (follower->state == FOLLOWER_LOST ||
                          (waits && ack->cursor >= follower->cursor))) {
    follower_go(replica, follower, ack);
    if (waits) {
      holt__serves_end(replica, peer, actor);
    }
  }
  if (keeps(follower)) {
    follower_reached(follower, ack);
  }
  relay_trim(replica, follower->relay);
  return 0;
}

/*--------------------------------------------------------------------
 * What leaves */

/* Those who follow the peer itself, through us. */
static struct holt_follower *
followers_of(const struct holt_replica *replica, const struct holt_peer *peer)
{
  const struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, peer->actor);
  return actor != NULL && actor->presence.relay != NULL
           ? actor->presence.relay->followers
           : NULL;
}

static bool
send_reached(struct holt_replica *replica, struct holt_peer *peer,
             struct holt_effect *effect, uint64_t now_ms)
{
  struct holt_follower *follower = followers_of(replica, peer);
  while (follower != NULL && !follower->reached_due) {
    follower = follower->next;
  }
  if (follower == NULL) {
    return false;
  }
  const struct holt_reached reached = { .actor = follower->peer->actor,
                                        .cursor = follower->reached };
  holt_buf_clear(&replica->out);
  (void)holt_reached_encode(&replica->out, &reached);
  if (!holt__send(replica, peer, effect, LAST_REACHED, now_ms)) {
    return false;
  }
  peer->last_actor = reached.actor;
  follower->reached_due = false;
  return true;
}

static bool
send_lost(struct holt_replica *replica, struct holt_peer *peer,
          struct holt_effect *effect, uint64_t now_ms)
{
  struct holt_follower *follower = peer->followers;
  while (follower != NULL && !(follower->state == FOLLOWER_LOST &&
                               now_ms >= follower->lost_at_ms)) {
    follower = follower->peer_next;
  }
  if (follower == NULL) {
    return false;
  }
  const struct holt_lost lost = { .actor = follower->relay->actor->id,
                                  .base = follower->lost_base };
  holt_buf_clear(&replica->out);
  (void)holt_lost_encode(&replica->out, &lost);
  if (!holt__send(replica, peer, effect, LAST_FORWARD_LOST, now_ms)) {
    return false;
  }
  peer->last_actor = lost.actor;
  follower->lost_at_ms = now_ms + replica->tuning.vector_interval_ms;
  return true;
}

/* The copy that it follows is a version, which ends where the relay does. */
static bool
is_all(const struct holt_relay *relay)
{
  return !relay->actor->dirty && relay->actor->version == relay->end;
}

static bool
takes(const struct holt_replica *replica, const struct holt_follower *follower)
{
  const struct holt_peer *const peer = follower->peer;
  return follower->state == FOLLOWER_LIVE && peer->up && !peer->busy &&
         (follower->at != NULL ||
          (follower->unclean && is_all(follower->relay))) &&
         holt__window_has_room(replica, &follower->window);
}

static void
forward_sent(struct holt_replica *replica, struct holt_follower *follower)
{
  struct holt_peer *const peer = follower->peer;
  const size_t size = replica->out.size;
  peer->last_actor = follower->relay->actor->id;
  peer->last_cursor = follower->cursor;
  peer->last_bytes = size;
  if (follower->at != NULL) {
    follower->cursor = follower->at->to;
    follower->at = follower->at->next;
  } else {
    follower->unclean = false;
  }
  holt__window_sent(&follower->window, follower->cursor, size);
  replica->counters.forwarded++;
  replica->counters.forwarded_bytes += size;
}

/* Its turn comes again when all others of the peer have had theirs. */
static void
to_the_end(struct holt_follower *follower)
{
  struct holt_follower **link = &follower->peer->followers;
  while (*link != follower) {
    link = &(*link)->peer_next;
  }
  *link = follower->peer_next;
  while (*link != NULL) {
    link = &(*link)->peer_next;
  }
  *link = follower;
  follower->peer_next = NULL;
}

/* The next delta for this peer, and for all who follow the same actor and stand
 * at the same place. */
static bool
send_forward(struct holt_replica *replica, struct holt_peer *peer,
             struct holt_effect *effect, uint64_t now_ms)
{
  struct holt_follower *follower = peer->followers;
  while (follower != NULL && !takes(replica, follower)) {
    follower = follower->peer_next;
  }
  if (follower == NULL) {
    return false;
  }
  const struct holt_relay *const relay = follower->relay;
  const struct holt_relayed *const entry = follower->at;
  holt_buf_clear(&replica->out);
  if (entry != NULL) {
    /* A copy: the entry may go before the message has. */
    (void)holt_buf_put(&replica->out, entry->bytes, entry->size);
  } else {
    struct holt_delta_writer writer;
    holt_delta_begin(&writer, &replica->out, relay->actor->id, relay->end);
    (void)holt_delta_end(&writer, relay->end, relay->end);
  }
  if (!holt__send(replica, peer, effect, LAST_FORWARD, now_ms)) {
    return false;
  }
  for (struct holt_follower *other = relay->followers; other != NULL;
       other = other->next) {
    if (other == follower) {
      forward_sent(replica, other);
    } else if (other->at == entry && takes(replica, other)) {
      holt__send_also(replica, other->peer, effect, LAST_FORWARD);
      forward_sent(replica, other);
    }
  }
  to_the_end(follower);
  return true;
}

bool
holt__forward_send(struct holt_replica *replica, struct holt_peer *peer,
                   struct holt_effect *effect, uint64_t now_ms)
{
  if (!peer->forward_due && now_ms < holt__forward_due_ms(peer)) {
    return false;
  }
  peer->forward_due = send_reached(replica, peer, effect, now_ms) ||
                      send_lost(replica, peer, effect, now_ms) ||
                      send_forward(replica, peer, effect, now_ms);
  const bool sent = peer->forward_due;
  peer->forward_due = sent || peer->busy;
  return sent;
}

bool
holt__forward_wants(const struct holt_peer *peer)
{
  return !peer->busy && peer->forward_due;
}

uint64_t
holt__forward_due_ms(const struct holt_peer *peer)
{
  uint64_t due_ms = UINT64_MAX;
  for (const struct holt_follower *follower =
         peer->followers_lost > 0 ? peer->followers : NULL;
       follower != NULL; follower = follower->peer_next) {
    if (follower->state == FOLLOWER_LOST && follower->lost_at_ms < due_ms) {
      due_ms = follower->lost_at_ms;
    }
  }
  return due_ms;
}

/*--------------------------------------------------------------------
 * What did not leave */

static void
undo_forward(struct holt_replica *replica, struct holt_follower *follower)
{
  const struct holt_peer *const peer = follower->peer;
  if (follower->state != FOLLOWER_LIVE || follower->window.count == 0) {
    return; /* It has been acknowledged, or begun anew. */
  }
  if (!holt_mutant(WINDOW_KEPT)) {
    holt__window_undo(&follower->window, peer->last_cursor, peer->last_bytes);
  }
  replica->counters.forwarded--;
  replica->counters.forwarded_bytes -= peer->last_bytes;
  if (follower->cursor == peer->last_cursor) {
    follower->unclean = true;
  } else if (!follower_seek(follower, peer->last_cursor)) {
    follower_lost(replica, follower);
    relay_trim(replica, follower->relay);
  }
}

/* The actor that reads what we have reached was not told. */
static void
undo_reached(const struct holt_replica *replica, const struct holt_peer *peer)
{
  struct holt_follower *follower = followers_of(replica, peer);
  for (; follower != NULL; follower = follower->next) {
    if (follower->peer->actor == peer->last_actor) {
      follower->reached_due = true;
    }
  }
}

void
holt__forward_busy(struct holt_replica *replica, struct holt_peer *peer)
{
  struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, peer->last_actor);
  struct holt_follower *const follower =
    actor != NULL ? follower_find(peer, actor) : NULL;
  peer->forward_due = true;
  if (peer->last == LAST_REACHED) {
    undo_reached(replica, peer);
  } else if (peer->last == LAST_FORWARD && follower != NULL) {
    undo_forward(replica, follower);
  } else if (peer->last == LAST_FORWARD_LOST && follower != NULL) {
    follower->lost_at_ms = replica->mono_ms;
  }
}
