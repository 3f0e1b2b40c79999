/* SPDX-License-Identifier: Apache-2.0 */
/* Links and sessions.
 *
 * A session is one replica's random word for one link.  Each side tells the
 * other its own in a hello, and every later message carries both: so nothing
 * that was sent before a link was lost, or by a replica that has since been
 * started again, is mistaken for something new.
 *
 *     A                                  B
 *     | -- hello(session a, knows -) --> |     B knows a
 *     | <-- hello(session b, knows a) -- |     A knows b, and that B knows a
 *     | -- deltas, vector (to b, a) ---> |     B sees that A knows b
 *
 * Whoever is not known answers a hello with a hello; so two that greet each
 * other at once are done after two each, and nobody greets for ever. */
#include <string.h>

#include "invariant.h"
#include "state.h"

struct holt_peer *
holt__peer_by_id(const struct holt_replica *replica, uint32_t id)
{
  struct holt_peer *peer = replica->peers;
  while (peer != NULL && peer->id != id) {
    peer = peer->next;
  }
  return peer;
}

struct holt_peer *
holt__peer_by_member(const struct holt_replica *replica,
                     const struct holt_member *member)
{
  struct holt_peer *peer = replica->peers;
  while (peer != NULL && !holt_member_equal(&peer->member, member)) {
    peer = peer->next;
  }
  return peer;
}

/* The least slot that no link has: there are as many as there may be links. */
static void
slot_take(struct holt_replica *replica, struct holt_peer *peer)
{
  peer->slot = 0;
  while (holt_links_has(&replica->peer_slots, peer)) {
    peer->slot++;
  }
  holt_links_add(&replica->peer_slots, peer);
}

/* What goes on over this link, but for the stream of our own rows, ends. */
static void
links_end(struct holt_replica *replica, const struct holt_peer *peer)
{
  holt__serves_end(replica, peer, NULL);
  holt__repairs_end(replica, peer, NULL);
  holt__forwards_end(replica, peer, NULL);
  holt__follow_drop(replica, peer);
}

static int
peer_add(struct holt_replica *replica, const struct holt_member *member,
         struct holt_peer **out)
{
  if (replica->peer_count >= HOLT_PEERS_MAX) {
    return HOLT_ERR_LIMIT;
  }
  struct holt_peer *const peer = holt_mem_zalloc(replica->mem, sizeof *peer);
  if (peer == NULL) {
    return HOLT_ERR_NOMEM;
  }
  const int rv = holt__member_copy(replica->mem, member, &peer->member);
  if (rv != 0) {
    holt_mem_free(replica->mem, peer, sizeof *peer);
    return rv;
  }
  peer->id = replica->next_peer++;
  slot_take(replica, peer);
  peer->next = replica->peers;
  replica->peers = peer;
  replica->peer_count++;
  *out = peer;
  return 0;
}

void
holt__peers_changed(struct holt_replica *replica, uint64_t now_ms)
{
  const uint64_t soon_ms = now_ms + HOLT_VECTOR_SOON_MS;
  for (struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    if (peer->up && peer->vector_at_ms > soon_ms) {
      peer->vector_at_ms = soon_ms;
    }
  }
}

/* The actor behind a peer is not reached any more. */
static void
actor_lost(struct holt_replica *replica, uint64_t id, uint64_t now_ms)
{
  struct holt_actor *const actor = holt_rows_actor(&replica->rows, id);
  if (actor != NULL && actor != replica->self && holt_connected(actor)) {
    holt__sight_lost(replica, actor, now_ms);
    holt__peers_changed(replica, now_ms);
  }
}

void
holt__peer_drop(struct holt_replica *replica, struct holt_peer *peer,
                uint64_t now_ms)
{
  links_end(replica, peer);
  if (peer->actor != 0) {
    actor_lost(replica, peer->actor, now_ms);
  }
  holt__liveness_drop(replica, peer);
  holt_links_remove(&replica->peer_slots, peer);
  struct holt_peer **link = &replica->peers;
  while (*link != peer) {
    link = &(*link)->next;
  }
  *link = peer->next;
  replica->peer_count--;
  holt_walk_stop(&replica->rows, &peer->walk);
  holt__member_free(replica->mem, &peer->member);
  holt_mem_free(replica->mem, peer, sizeof *peer);
}

void
holt__peer_give_up(struct holt_replica *replica, struct holt_peer *peer,
                   uint64_t now_ms)
{
  if (peer->ended) {
    holt__peer_drop(replica, peer, now_ms);
    return;
  }
  peer->missing = false;
  actor_lost(replica, peer->actor, now_ms);
}

void
holt__peer_rewind(struct holt_replica *replica, struct holt_peer *peer,
                  uint64_t cursor)
{
  const bool known =
    cursor <= replica->self->version && cursor >= replica->deaths.base;
  if (!known && !peer->lost) {
    peer->lost_at_ms = replica->mono_ms;
  }
  peer->lost = !known;
  peer->cursor = known ? cursor : 0;
  peer->acked = peer->cursor;
  peer->window.count = 0;
  peer->window.bytes = 0;
  holt_walk_stop(&replica->rows, &peer->walk);
}

void
holt__peer_clock(struct holt_replica *replica, struct holt_peer *peer,
                 uint64_t wall_ms, const struct holt_time *now)
{
  peer->clock_known = true;
  peer->clock_ms = holt_clock_offset(now->wall_ms, wall_ms);
  peer->clock_offset_ms = holt_clock_offset(now->mono_ms, wall_ms);
  int64_t offsets_ms[HOLT_PEERS_MAX];
  size_t count = 0;
  for (const struct holt_peer *other = replica->peers; other != NULL;
       other = other->next) {
    if (other->up && other->clock_known) {
      offsets_ms[count++] = other->clock_offset_ms;
    }
  }
  holt_clock_median(&replica->clock, offsets_ms, count, now->mono_ms,
                    now->wall_ms);
}

int
holt__apply_bye(struct holt_replica *replica, const struct holt_bye *bye,
                struct holt_peer *peer, uint64_t now_ms)
{
  struct holt_actor *const actor = holt_rows_actor(&replica->rows, peer->actor);
  if (actor == NULL || bye->actor != peer->actor) {
    return HOLT_ERR_STALE;
  }
  if (bye->goodbye == HOLT_GOODBYE_ENDED) {
    holt__actor_end(replica, actor);
    holt__peers_changed(replica, now_ms);
  } else {
    actor->presence.paused = true;
    holt__sight_absent(replica, actor, now_ms);
    holt__peers_changed(replica, now_ms);
  }
  holt__peer_drop(replica, peer, now_ms);
  return 0;
}

void
holt_replica_goodbye(struct holt_replica *replica, enum holt_goodbye goodbye)
{
  replica->goodbye = (int)goodbye;
  for (struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    peer->goodbye_due = peer->up;
  }
}

void
holt_replica_resume(struct holt_replica *replica, const struct holt_time *now)
{
  replica->goodbye = 0;
  while (replica->peers != NULL) {
    holt__peer_drop(replica, replica->peers, now->mono_ms);
  }
}

/* A new session of ours on this link: whatever is under way is void. */
static void
session_begin(struct holt_replica *replica, struct holt_peer *peer,
              uint64_t now_ms)
{
  peer->session = holt__random(replica);
  peer->up = false;
  peer->confirmed = false;
  peer->missing = false;
  peer->ended = false;
  peer->remote_session = 0;
  peer->clock_known = false;
  peer->digest = 0;
  peer->hello_due = true;
  peer->hello_count = 0;
  peer->hello_at_ms = now_ms;
  peer->ack_due = false;
  peer->goodbye_due = false;
  peer->refusal_count = 0;
  peer->over_due = false;
  peer->stalls = 0;
  peer->busy_until_ms = now_ms;
  peer->last = LAST_NOTHING;
  links_end(replica, peer);
  holt__liveness_session(replica, peer);
  holt__peer_rewind(replica, peer, 0);
}

int
holt_replica_peer_up(struct holt_replica *replica,
                     const struct holt_member *member,
                     const struct holt_time *now, uint32_t *out)
{
  replica->mono_ms = now->mono_ms;
  struct holt_peer *peer = holt__peer_by_member(replica, member);
  if (peer == NULL) {
    const int rv = peer_add(replica, member, &peer);
    if (rv != 0) {
      return rv;
    }
  }
  session_begin(replica, peer, now->mono_ms);
  if (peer->actor != 0) {
    /* It was connected in the session before; it has to say so again. */
    peer->missing = true;
    peer->missing_since_ms = now->mono_ms;
  }
  *out = peer->id;
  return 0;
}

void
holt_replica_peer_down(struct holt_replica *replica, uint32_t id,
                       enum holt_down down, const struct holt_time *now)
{
  replica->mono_ms = now->mono_ms;
  struct holt_peer *const peer = holt__peer_by_id(replica, id);
  if (peer == NULL) {
    return;
  }
  if (down == HOLT_DOWN_REPLICA && peer->actor != 0) {
    /* The replica may be started again in a moment and greet us: until then
     * its names stand, and nothing is sent. */
    peer->up = false;
    peer->ended = true;
    peer->missing = true;
    peer->missing_since_ms = now->mono_ms;
    return;
  }
  holt__peer_drop(replica, peer, now->mono_ms);
}

/*--------------------------------------------------------------------
 * Hello */

/* Another actor of the same member is the past of this one: the node, or the
 * instance on it, was started again.  Only the member itself may say so. */
static void
supersede(struct holt_replica *replica, const struct holt_member *member,
          uint64_t current)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (!holt_mutant(PAST_KEPT) && actor != replica->self &&
        actor->id != current && holt_member_equal(&actor->member, member)) {
      holt__actor_end(replica, actor);
    }
  }
}

/* What an actor says of itself holds for life; its rows are in order of its
 * rule. */
static bool
is_the_same(const struct holt_actor *actor, const struct holt_hello *hello)
{
  return holt_member_equal(&actor->member, &hello->member) &&
         actor->creation == hello->creation &&
         (actor->rule == (enum holt_rule)(hello->policy >> 8 & 0xffu) ||
          actor->row_count == 0);
}

static int
hello_actor(struct holt_replica *replica, const struct holt_hello *hello,
            struct holt_actor **out)
{
  struct holt_actor *actor = holt_rows_actor(&replica->rows, hello->actor);
  if (actor == NULL && holt_mutant(ACTOR_MIXED)) {
    /* A new life of a member that we know. */
    actor = replica->rows.actor_list;
    while (actor != NULL &&
           (actor == replica->self || actor->gone ||
            !holt_member_equal(&actor->member, &hello->member))) {
      actor = actor->next;
    }
    if (actor != NULL &&
        holt_rows_actor_rename(&replica->rows, actor, hello->actor,
                               &hello->member, hello->creation) != 0) {
      actor = NULL;
    }
  }
  if (actor == NULL) {
    const int rv = holt_rows_actor_add(&replica->rows, hello->actor,
                                       &hello->member, hello->creation, &actor);
    if (rv != 0) {
      return rv;
    }
  } else if (actor->gone || !is_the_same(actor, hello)) {
    if (actor->relayed && !actor->gone) {
      holt__actor_end(replica, actor); /* Who told us of it was wrong. */
    }
    return HOLT_ERR_STALE;
  }
  actor->rule = (enum holt_rule)(hello->policy >> 8 & 0xffu);
  *out = actor;
  return 0;
}

static void
actor_connected(struct holt_replica *replica, struct holt_peer *peer,
                struct holt_actor *actor, const struct holt_hello *hello,
                bool is_new, const struct holt_time *now)
{
  if (is_new && hello->version < actor->cursor) {
    /* It knows less of itself than we do: not a past of ours to build on. */
    replica->counters.backwards++;
    actor->torn = true;
    actor->dirty = true;
    actor->version = 0;
    actor->as_of = 0;
  }
  if (!holt_connected(actor)) {
    holt__repairs_end(replica, NULL, actor); /* From others: it can itself. */
    holt__sight_found(replica, actor, peer, now->mono_ms);
    holt__peers_changed(replica, now->mono_ms);
  }
  actor->relayed = false;
  actor->wanted_version = hello->version;
  holt__actor_show(replica, actor, now);
  if (actor->torn) {
    holt__repair_ask(replica, peer, actor->id, hello->version, now->mono_ms);
  }
}

static void
session_remote(struct holt_replica *replica, struct holt_peer *peer,
               struct holt_actor *actor, const struct holt_hello *hello,
               uint64_t now_ms)
{
  if (peer->actor != 0 && peer->actor != hello->actor) {
    actor_lost(replica, peer->actor, now_ms);
  }
  peer->actor = hello->actor;
  peer->protocol = hello->version_max < HOLT_PROTOCOL_MAX ? hello->version_max
                                                          : HOLT_PROTOCOL_MAX;
  if (!peer->up || peer->remote_session != hello->session) {
    peer->remote_session = hello->session;
    peer->up = true;
    peer->missing = false;
    peer->ended = false;
    peer->vector_at_ms = now_ms + replica->tuning.vector_interval_ms;
    peer->ack_due = false;
    /* What a broken peer once claimed must not keep the new one's out. */
    if (actor->as_of > hello->version) {
      actor->as_of = hello->version;
    }
    const bool ours = hello->have_actor == replica->self->id;
    links_end(replica, peer);
    holt__liveness_session(replica, peer);
    holt__peer_rewind(replica, peer, ours ? hello->have_cursor : 0);
    peer->lost = peer->lost || (ours && hello->have_torn);
    peer->unclean = ours && hello->have_dirty && !peer->lost &&
                    peer->cursor == replica->self->version;
  }
  peer->heard_at_ms = now_ms;
  peer->confirmed = hello->known_session == peer->session;
  if (!peer->confirmed) {
    peer->hello_due = true;
    peer->hello_at_ms = now_ms;
  }
}

static int
hello_check(const struct holt_replica *replica,
            const struct holt_member *member, const struct holt_hello *hello)
{
  if (!holt_member_equal(&hello->member, member) ||
      hello->actor == replica->self->id ||
      holt_member_equal(member, &replica->self->member)) {
    return HOLT_ERR_MALFORMED;
  }
  const uint64_t kinds = (hello->policy ^ replica->policy) & 0xffu;
  return kinds != 0 || hello->policy >> 8 > HOLT_RULE_MAX ? HOLT_ERR_POLICY : 0;
}

static int
hello_accept(struct holt_replica *replica, const struct holt_member *member,
             const struct holt_hello *hello, const struct holt_time *now,
             uint32_t *out)
{
  int rv = hello_check(replica, member, hello);
  if (rv != 0) {
    return rv;
  }
  const uint64_t now_ms = now->mono_ms;
  struct holt_peer *peer = holt__peer_by_member(replica, member);
  const bool is_new = peer == NULL;
  if (is_new) {
    rv = peer_add(replica, member, &peer);
    if (rv != 0) {
      return rv;
    }
    session_begin(replica, peer, now_ms);
  }
  struct holt_actor *actor;
  rv = hello_actor(replica, hello, &actor);
  if (rv != 0) {
    if (is_new) {
      holt__peer_drop(replica, peer, now_ms);
    }
    return rv;
  }
  /* Within a session a hello that comes late says less than we know. */
  const bool is_new_session =
    !peer->up || peer->remote_session != hello->session;
  session_remote(replica, peer, actor, hello, now_ms);
  peer->goodbye_due = replica->goodbye != 0;
  holt__peer_clock(replica, peer, hello->wall_ms, now);
  supersede(replica, member, hello->actor);
  actor_connected(replica, peer, actor, hello, is_new_session, now);
  *out = peer->id;
  return 0;
}

int
holt_replica_hello(struct holt_replica *replica,
                   const struct holt_member *member, const uint8_t *bytes,
                   size_t size, const struct holt_time *now, uint32_t *peer)
{
  struct holt_hello hello;
  replica->mono_ms = now->mono_ms;
  int rv = holt_hello_decode(bytes, size, &hello);
  if (rv == 0) {
    rv = hello_accept(replica, member, &hello, now, peer);
  }
  if (rv != 0) {
    holt__refuse(replica, holt__peer_by_member(replica, member), rv);
  }
  return rv;
}

void
holt_replica_peers(const struct holt_replica *replica,
                   void (*visit)(void *user, const struct holt_peer_info *peer),
                   void *user)
{
  const uint64_t digest = holt__digest(replica);
  const uint64_t version = replica->self->version;
  for (const struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    struct holt_peer_info info = { .peer = peer->id,
                                   .member = peer->member,
                                   .up = peer->up,
                                   .busy = peer->busy,
                                   .protocol = peer->protocol,
                                   .version = version,
                                   .cursor = peer->cursor,
                                   .acked = peer->acked,
                                   .inflight_bytes = peer->window.bytes,
                                   .in_sync = peer->up && !peer->lost &&
                                              digest != 0 &&
                                              peer->digest == digest &&
                                              peer->acked == version,
                                   .clock_ms = peer->clock_ms };
    memcpy(info.refused, peer->refused, sizeof info.refused);
    visit(user, &info);
  }
}
