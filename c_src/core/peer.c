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

static struct holt_peer *
peer_by_member(const struct holt_replica *replica,
               const struct holt_member *member)
{
  struct holt_peer *peer = replica->peers;
  while (peer != NULL && !holt_member_equal(&peer->member, member)) {
    peer = peer->next;
  }
  return peer;
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
  peer->next = replica->peers;
  replica->peers = peer;
  replica->peer_count++;
  *out = peer;
  return 0;
}

/* The actor behind a peer is not reached any more: its names are gone from the
 * view at once, at a cost that does not depend on how many. */
static void
actor_lost(struct holt_replica *replica, uint64_t id, uint64_t now_ms)
{
  struct holt_actor *const actor = holt_rows_actor(&replica->rows, id);
  if (actor == NULL || !actor->connected) {
    return;
  }
  actor->connected = false;
  actor->absent_since_ms = now_ms;
  if (actor->shown) {
    actor->shown = false;
    holt__view_changed(replica);
  }
}

void
holt__peer_drop(struct holt_replica *replica, struct holt_peer *peer,
                uint64_t now_ms)
{
  if (peer->actor != 0) {
    actor_lost(replica, peer->actor, now_ms);
  }
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
  const uint64_t base = replica->deaths.base;
  const bool known = cursor <= replica->self->version &&
                     (cursor >= base || peer->anew_at >= base);
  peer->cursor = known ? cursor : 0;
  peer->acked = peer->cursor;
  peer->inflight_count = 0;
  peer->inflight_bytes = 0;
  peer->seeking = false;
  holt_walk_stop(&replica->rows, &peer->walk);
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
  peer->hello_due = true;
  peer->hello_count = 0;
  peer->hello_at_ms = now_ms;
  peer->ack_due = false;
  peer->vector_due = false;
  peer->busy_until_ms = now_ms;
  peer->last = LAST_NOTHING;
  holt__peer_rewind(replica, peer, 0);
}

int
holt_replica_peer_up(struct holt_replica *replica,
                     const struct holt_member *member,
                     const struct holt_time *now, uint32_t *out)
{
  struct holt_peer *peer = peer_by_member(replica, member);
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
    if (actor != replica->self && actor->id != current &&
        holt_member_equal(&actor->member, member)) {
      holt__actor_end(replica, actor);
    }
  }
}

static int
hello_actor(struct holt_replica *replica, const struct holt_hello *hello,
            struct holt_actor **out)
{
  struct holt_actor *actor = holt_rows_actor(&replica->rows, hello->actor);
  if (actor == NULL) {
    const int rv = holt_rows_actor_add(&replica->rows, hello->actor,
                                       &hello->member, hello->creation, &actor);
    if (rv != 0) {
      return rv;
    }
  } else if (actor->gone ||
             !holt_member_equal(&actor->member, &hello->member) ||
             actor->creation != hello->creation) {
    return HOLT_ERR_STALE;
  }
  *out = actor;
  return 0;
}

/* The actor is connected.  It is shown when what we hold of it is nothing yet
 * (its rows come in as they come) or all that it had when it greeted us (so no
 * ghosts come back with it); else sync.c shows it when that is so. */
static void
actor_connected(struct holt_replica *replica, struct holt_actor *actor,
                const struct holt_hello *hello)
{
  if (hello->version < actor->cursor) {
    /* It knows less of itself than we do: not a past of ours to build on. */
    holt__actor_restart(replica, actor);
    replica->counters.repairs++;
  }
  actor->connected = true;
  actor->hello_version = hello->version;
  const bool fresh = actor->cursor == 0 && actor->row_count == 0;
  const bool caught_up = !actor->dirty && actor->version >= hello->version;
  if (!actor->shown && (fresh || caught_up)) {
    actor->shown = true;
    holt__view_changed(replica);
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
  if (!peer->up || peer->remote_session != hello->session) {
    peer->remote_session = hello->session;
    peer->up = true;
    peer->missing = false;
    peer->ended = false;
    peer->vector_at_ms = now_ms + replica->tuning.vector_interval_ms;
    peer->heard_at_ms = now_ms;
    peer->ack_due = false;
    /* No older message can come any more, and what a broken peer once claimed
     * must not keep the new one's out. */
    actor->as_of = 0;
    const bool ours = hello->have_actor == replica->self->id;
    holt__peer_rewind(replica, peer, ours ? hello->have_cursor : 0);
  }
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
  return hello->policy != replica->policy ? HOLT_ERR_POLICY : 0;
}

static int
hello_accept(struct holt_replica *replica, const struct holt_member *member,
             const struct holt_hello *hello, uint64_t now_ms, uint32_t *out)
{
  int rv = hello_check(replica, member, hello);
  if (rv != 0) {
    return rv;
  }
  struct holt_peer *peer = peer_by_member(replica, member);
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
  session_remote(replica, peer, actor, hello, now_ms);
  supersede(replica, member, hello->actor);
  actor_connected(replica, actor, hello);
  *out = peer->id;
  return 0;
}

int
holt_replica_hello(struct holt_replica *replica,
                   const struct holt_member *member, const uint8_t *bytes,
                   size_t size, const struct holt_time *now, uint32_t *peer)
{
  struct holt_hello hello;
  int rv = holt_hello_decode(bytes, size, &hello);
  if (rv == 0) {
    rv = hello_accept(replica, member, &hello, now->mono_ms, peer);
  }
  if (rv != 0) {
    holt__refuse(replica, rv);
  }
  return rv;
}

void
holt_replica_peers(const struct holt_replica *replica,
                   void (*visit)(void *user, const struct holt_peer_info *peer),
                   void *user)
{
  for (const struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    const struct holt_peer_info info = { .peer = peer->id,
                                         .member = peer->member,
                                         .up = peer->up,
                                         .cursor = peer->cursor,
                                         .acked = peer->acked,
                                         .inflight_bytes =
                                           peer->inflight_bytes };
    visit(user, &info);
  }
}
