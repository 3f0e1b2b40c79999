/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "dist_state.h"
#include "log.h"

/* Lengths in a handshake have two bytes, later four. */
#define PREFIX_SHAKING 2u
#define PREFIX_UP 4u

static struct dist_peer *
peer_of(struct connection *connection)
{
  return list_thing(connection, struct dist_peer, connection);
}

const char *
peer_label(const struct dist_peer *peer)
{
  return peer->handshake.name_size == 0 ? "a stranger" : peer->handshake.name;
}

/* Those that cannot be watched are no nodes that stay: they come to ask. */
static enum log_level
peer_level(const struct dist_peer *peer)
{
  return (peer->handshake.flags & HANDSHAKE_MONITOR_NAME) != 0
           ? LOG_LEVEL_INFO
           : LOG_LEVEL_DEBUG;
}

struct dist_peer *
peer_new(struct dist *dist, struct dial *dial)
{
  uint32_t challenge;
  if (uv_random(NULL, NULL, &challenge, sizeof challenge, 0, NULL) != 0) {
    return NULL;
  }
  struct dist_peer *peer = holt_mem_zalloc(dist->config.mem, sizeof *peer);
  if (peer == NULL) {
    return NULL;
  }
  peer->dist = dist;
  peer->dial = dial;
  peer->since_ms = uv_now(dist->config.loop);
  list_init(&peer->monitors);
  connection_init(&peer->connection, &dist->host, PREFIX_SHAKING,
                  HANDSHAKE_PACKET_MAX);
  /* A caller's handshake starts anew when it is connected. */
  handshake_init_called(&peer->handshake, &dist->self, challenge);
  dist->open++;
  if (dial == NULL) {
    peer->stranger = true;
    dist->strangers_count++;
    list_add(&dist->strangers, &peer->link);
  } else {
    list_add(&dist->called, &peer->link);
  }
  return peer;
}

/*--------------------------------------------------------------------
 * Up and down */

/* Tell the user that a peer is lost, once. */
static void
tell_down(struct dist_peer *peer)
{
  struct dist *dist = peer->dist;
  if (!peer->told_up || peer->told_down || dist->stopping) {
    return;
  }
  peer->told_down = true;
  monitor_fire_all(peer);
  if (!dist->stopping && dist->config.handlers->down != NULL) {
    dist->config.handlers->down(dist->config.user, peer, peer->reason);
  }
}

static void
leave(struct dist_peer *peer, const char *reason)
{
  struct dist *dist = peer->dist;
  peer->reason = reason;
  if (peer->stranger) {
    peer->stranger = false;
    dist->strangers_count--;
  }
  list_remove(&peer->link);
  list_add(&dist->leaving, &peer->link);
  if (peer->told_up) {
    log_write(peer_level(peer), "%s is down: %s", peer_label(peer), reason);
    return;
  }
  if (dist->stopping || reason == NULL) {
    return;
  }
  dist->counters.handshakes_failed++;
  if (peer->handshake.reason == NULL) {
    log_write(peer->handshake.name_size == 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
              "no connection with %s: %s", peer_label(peer), reason);
  }
}

/* As leave(), and its dial learns of it. */
static void
leave_dial(struct dist_peer *peer, const char *reason)
{
  struct dial *dial = peer->dial;
  leave(peer, reason);
  if (dial != NULL) {
    peer->dial = NULL;
    dial_peer_lost(dial, reason);
  }
}

void
peer_drop(struct dist_peer *peer, const char *reason)
{
  if (!peer->connection.closing) {
    connection_close(&peer->connection);
    leave(peer, reason);
  }
}

void
peer_on_lost(struct connection *connection, const char *reason)
{
  struct dist_peer *peer = peer_of(connection);
  if (peer->handshake.state == HANDSHAKE_ACK_DUE) {
    /* It does not say so, but our answer is all that it can have disliked. */
    peer->handshake.reason = "it hung up on our answer: wrong cookie?";
    log_warning("no connection with %s: %s", peer_label(peer),
                peer->handshake.reason);
    reason = peer->handshake.reason;
  }
  leave_dial(peer, reason);
}

void
peer_on_closed(struct connection *connection)
{
  struct dist_peer *peer = peer_of(connection);
  struct dist *dist = peer->dist;
  tell_down(peer);
  monitor_forget_all(peer);
  list_remove(&peer->link);
  holt_mem_free(dist->config.mem, peer, sizeof *peer);
  dist__released(dist);
}

/* Nobody has two peers of one name: what is left of an older one goes first. */
static void
clear_name(struct dist_peer *peer)
{
  struct dist *dist = peer->dist;
  const struct handshake *handshake = &peer->handshake;
  struct dist_peer *old =
    dist_peer_by_node(dist, handshake->name, handshake->name_size);
  if (old != NULL) {
    peer_drop(old, "replaced by a new connection");
  }
  list_each(link, &dist->leaving)
  {
    struct dist_peer *other = list_thing(link, struct dist_peer, link);
    if (strcmp(other->handshake.name, handshake->name) == 0) {
      tell_down(other);
    }
    if (dist->stopping) {
      return;
    }
  }
}

static void
come_up(struct dist_peer *peer)
{
  struct dist *dist = peer->dist;
  const bool by_us = peer->handshake.caller;
  clear_name(peer);
  if (dist->stopping) {
    return;
  }
  list_remove(&peer->link);
  list_add(&dist->peers, &peer->link);
  if (peer->stranger) {
    peer->stranger = false;
    dist->strangers_count--;
  }
  peer->dial = NULL;
  struct dial *dial = dial_find(dist, peer->handshake.name);
  if (dial != NULL) {
    dial_end(dial, peer);
  }
  frame_reader_change(&peer->connection.in, PREFIX_UP,
                      dist->config.frame_bytes_max);
  dist->counters.up++;
  log_write(peer_level(peer), "%s is up, called by %s", peer_label(peer),
            by_us ? "us" : "it");
  peer->told_up = true;
  if (dist->config.handlers->up != NULL) {
    dist->config.handlers->up(dist->config.user, peer);
  }
}

/*--------------------------------------------------------------------
 * Handshake */

/* What to say to a caller of this name. */
static enum handshake_decision
decide(struct dist_peer *peer)
{
  struct dist *dist = peer->dist;
  const struct handshake *handshake = &peer->handshake;
  if (strcmp(handshake->name, dist->name) == 0) {
    return HANDSHAKE_NOT_ALLOWED;
  }
  if (dist_peer_by_node(dist, handshake->name, handshake->name_size) != NULL) {
    return HANDSHAKE_SAY_ALIVE;
  }
  struct dial *dial = dial_find(dist, handshake->name);
  if (dial == NULL) {
    return HANDSHAKE_OK;
  }
  if (!dial_is_shaking(dial)) {
    /* It cannot know that we wanted to call. */
    dial_yield(dial);
    return HANDSHAKE_OK;
  }
  if (strcmp(handshake->name, dist->name) < 0) {
    return HANDSHAKE_NOK;
  }
  dial_yield(dial);
  return HANDSHAKE_OK_SIMULTANEOUS;
}

static void
log_refusal(const struct dist_peer *peer)
{
  struct sockaddr_storage address;
  char host[64] = "?";
  int size = sizeof address;
  if (uv_tcp_getpeername(&peer->connection.tcp, (struct sockaddr *)&address,
                         &size) == 0) {
    if (address.ss_family == AF_INET6) {
      uv_ip6_name((struct sockaddr_in6 *)&address, host, sizeof host);
    } else {
      uv_ip4_name((struct sockaddr_in *)&address, host, sizeof host);
    }
  }
  log_warning("no connection with %s at %s: %s", peer_label(peer), host,
              peer->handshake.reason);
}

/* Carry on with what a step of the handshake has led to. */
static void
follow(struct dist_peer *peer, enum handshake_step step)
{
  struct dist *dist = peer->dist;
  struct term_writer *const out = &dist->writer;
  struct handshake *const handshake = &peer->handshake;
  if (step == HANDSHAKE_DECIDE) {
    step = handshake_decide(handshake, decide(peer), out);
  } else if (step == HANDSHAKE_ALIVE) {
    const bool have =
      dist_peer_by_node(dist, handshake->name, handshake->name_size) != NULL;
    step = handshake_insist(handshake, !have, out);
  }
  if (out->error != 0 ||
      connection_send(&peer->connection, term_writer_slice(out), NULL, 0) !=
        0) {
    connection_close(&peer->connection);
    leave_dial(peer, "out of memory");
    return;
  }
  switch (step) {
  case HANDSHAKE_UP:
    come_up(peer);
    break;
  case HANDSHAKE_REFUSED:
    dist->counters.wrong_cookies += handshake->wrong_cookie;
    log_refusal(peer);
    connection_flush(&peer->connection);
    connection_close(&peer->connection);
    leave_dial(peer, handshake->reason);
    break;
  case HANDSHAKE_YIELD:
    connection_flush(&peer->connection);
    connection_close(&peer->connection);
    leave_dial(peer, NULL);
    break;
  default:
    break;
  }
}

void
peer_on_connected(struct connection *connection)
{
  struct dist_peer *peer = peer_of(connection);
  struct dist *dist = peer->dist;
  assert(peer->dial != NULL);
  term_writer_clear(&dist->writer);
  char name[HANDSHAKE_NAME_MAX + 1];
  memcpy(name, peer->handshake.name, sizeof name);
  handshake_init_caller(&peer->handshake, &dist->self,
                        peer->handshake.challenge, name, &dist->writer);
  follow(peer, HANDSHAKE_WAIT);
}

void
peer_on_frame(struct connection *connection, struct term_slice frame)
{
  struct dist_peer *peer = peer_of(connection);
  struct dist *dist = peer->dist;
  if (!peer->told_up) {
    term_writer_clear(&dist->writer);
    const enum handshake_step step =
      handshake_packet(&peer->handshake, frame, &dist->writer);
    follow(peer, step);
    return;
  }
  if (frame.size > 0) {
    signal_frame(peer, frame);
    return;
  }
  /* A tick.  It is answered if we have been silent since the last one, for a
   * cluster that ticks faster than we do; never twice, or two nodes that answer
   * could do so for ever. */
  const bool silent = !connection->sent_since_tick;
  if (silent) {
    static const uint8_t tick[4];
    connection_send(connection, term_slice(tick, sizeof tick), NULL, 0);
  }
  connection->sent_since_tick = false;
}

/*--------------------------------------------------------------------
 * What the user asks of a peer */

void
dist_hang_up(struct dist_peer *peer, const char *reason)
{
  peer_drop(peer, reason);
}

struct dist_peer *
dist_peer_by_node(const struct dist *dist, const void *node, size_t size)
{
  list_each(link, &dist->peers)
  {
    struct dist_peer *peer = list_thing(link, struct dist_peer, link);
    if (peer->handshake.name_size == size &&
        memcmp(peer->handshake.name, node, size) == 0) {
      return peer;
    }
  }
  return NULL;
}

void
dist_peers(const struct dist *dist,
           void (*visit)(void *user, struct dist_peer *peer), void *user)
{
  list_each(link, &dist->peers)
  {
    visit(user, list_thing(link, struct dist_peer, link));
  }
}

const char *
dist_peer_node(const struct dist_peer *peer)
{
  return peer->handshake.name;
}

uint32_t
dist_peer_creation(const struct dist_peer *peer)
{
  return peer->handshake.creation;
}

uint64_t
dist_peer_flags(const struct dist_peer *peer)
{
  return peer->handshake.flags;
}

size_t
dist_peer_queued(const struct dist_peer *peer)
{
  return peer->connection.out.size;
}

size_t
dist_unsent(const struct dist *dist)
{
  size_t unsent = 0;
  list_each(link, &dist->peers)
  {
    const struct dist_peer *const peer =
      list_thing(link, struct dist_peer, link);
    unsent += connection_unsent(&peer->connection);
  }
  return unsent;
}

void
dist_peer_user_set(struct dist_peer *peer, void *data)
{
  peer->user = data;
}

void *
dist_peer_user(const struct dist_peer *peer)
{
  return peer->user;
}

bool
dist_peer_owns(const struct dist_peer *peer, const struct term_pid *pid)
{
  const struct handshake *handshake = &peer->handshake;
  return pid->creation == handshake->creation &&
         term_slice_equal(pid->node,
                          term_slice(handshake->name, handshake->name_size));
}
