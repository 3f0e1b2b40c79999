/* SPDX-License-Identifier: Apache-2.0 */
/* One dial: from a name to a connection.
 *
 *     node@host --resolve--> address --epmd--> port --connect--> shaking hands
 *         |                                                          |
 *     (we are not registered: wait)                                  v
 *         +---- yield: the other side calls us --> waiting ------> up: end
 *
 * Any step may fail, and all of them together have until the deadline. */
#include <assert.h>
#include <string.h>

#include "dist_state.h"

struct dial {
  struct dist *dist;
  struct list link; /* dist->dials; in none when it is over. */
  bool over;
  bool started;
  bool yielded;   /* Waits for the other side's call. */
  bool resolving; /* resolve is libuv's. */
  bool looking;   /* lookup is. */
  uint64_t deadline_ms;
  const char *failure;    /* To be reported by the next sweep. */
  struct dist_peer *peer; /* While it connects and shakes hands. */
  struct sockaddr_storage address;
  uv_getaddrinfo_t resolve;
  struct epmd_lookup lookup;
  char node[HANDSHAKE_NAME_MAX + 1];
};

/*--------------------------------------------------------------------
 * Ends */

static void
release(struct dial *dial)
{
  struct dist *dist = dial->dist;
  if (dial->over && !dial->resolving && !dial->looking) {
    holt_mem_free(dist->config.mem, dial, sizeof *dial);
    dist__released(dist);
  }
}

/* Take back whatever is under way. */
static void
cancel(struct dial *dial)
{
  if (dial->resolving) {
    /* When it cannot be cancelled, it ends by itself. */
    (void)uv_cancel((uv_req_t *)&dial->resolve);
  }
  if (dial->looking) {
    epmd_lookup_cancel(&dial->lookup);
  }
  if (dial->peer != NULL) {
    struct dist_peer *peer = dial->peer;
    dial->peer = NULL;
    peer->dial = NULL;
    peer_drop(peer, NULL);
  }
}

void
dial_end(struct dial *dial, const struct dist_peer *winner)
{
  assert(!dial->over);

  if (dial->peer == winner) {
    dial->peer = NULL;
  }
  list_remove(&dial->link);
  dial->over = true;
  cancel(dial);
  release(dial);
}

static void
fail(struct dial *dial, const char *reason)
{
  struct dist *dist = dial->dist;
  list_remove(&dial->link);
  dial->over = true;
  cancel(dial);
  if (!dist->stopping && dist->config.handlers->dial_failed != NULL) {
    dist->config.handlers->dial_failed(dist->config.user, dial->node, reason);
  }
  release(dial);
}

void
dial_yield(struct dial *dial)
{
  dial->yielded = true;
  cancel(dial);
}

void
dial_peer_lost(struct dial *dial, const char *reason)
{
  dial->peer = NULL;
  if (reason == NULL) {
    dial->yielded = true;
  } else {
    fail(dial, reason);
  }
}

void
dial_sweep(struct dist *dist, uint64_t now_ms)
{
  list_each(link, &dist->dials)
  {
    struct dial *dial = list_thing(link, struct dial, link);
    if (dial->failure != NULL) {
      fail(dial, dial->failure);
    } else if (dial->started && now_ms > dial->deadline_ms) {
      fail(dial, dial->yielded ? "it called us, and did not succeed"
                               : "it took too long");
    }
    if (dist->stopping) {
      return;
    }
  }
}

void
dial_stop_all(struct dist *dist)
{
  while (!list_is_empty(&dist->dials)) {
    dial_end(list_thing(dist->dials.next, struct dial, link), NULL);
  }
}

/*--------------------------------------------------------------------
 * Steps */

static void
on_found(struct epmd_lookup *lookup, uint16_t port, const char *reason)
{
  struct dial *dial = list_thing(lookup, struct dial, lookup);
  struct dist *dist = dial->dist;
  if (reason != NULL) {
    fail(dial, reason);
    return;
  }
  /* The port is at the same place in both kinds of address. */
  ((struct sockaddr_in *)&dial->address)->sin_port = htons(port);
  struct dist_peer *peer = peer_new(dist, dial);
  if (peer == NULL) {
    fail(dial, "out of memory");
    return;
  }
  dial->peer = peer;
  peer->handshake.name_size = strlen(dial->node);
  memcpy(peer->handshake.name, dial->node, peer->handshake.name_size + 1);
  dist->counters.dialled++;
  const int rv =
    connection_call(&peer->connection, (const struct sockaddr *)&dial->address);
  if (rv != 0) {
    fail(dial, uv_strerror(rv));
  }
}

static void
on_lookup_closed(struct epmd_lookup *lookup)
{
  struct dial *dial = list_thing(lookup, struct dial, lookup);
  dial->looking = false;
  release(dial);
}

static void
look_up(struct dial *dial)
{
  struct dist *dist = dial->dist;
  const char *at = strchr(dial->node, '@');
  ((struct sockaddr_in *)&dial->address)->sin_port =
    htons(dist->config.epmd_port);
  dial->lookup.found = on_found;
  dial->lookup.closed = on_lookup_closed;
  dial->looking = true;
  epmd_lookup_start(&dial->lookup, dist->config.loop,
                    (const struct sockaddr *)&dial->address, dial->node,
                    (size_t)(at - dial->node));
}

static void
on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
  struct dial *dial = resolve->data;
  dial->resolving = false;
  if (dial->over) {
    uv_freeaddrinfo(found);
    release(dial);
    return;
  }
  if (dial->yielded) {
    uv_freeaddrinfo(found);
    return;
  }
  if (status != 0) {
    fail(dial, uv_strerror(status));
    return;
  }
  if (found->ai_addrlen > sizeof dial->address) {
    uv_freeaddrinfo(found);
    fail(dial, "its address is of no kind we know");
    return;
  }
  memcpy(&dial->address, found->ai_addr, found->ai_addrlen);
  uv_freeaddrinfo(found);
  look_up(dial);
}

static void
start(struct dial *dial)
{
  struct dist *dist = dial->dist;
  struct in6_addr ignored;
  const bool ipv6 =
    uv_inet_pton(AF_INET6, dist->config.listen_address, &ignored) == 0;
  const struct addrinfo hints = {
    .ai_family = ipv6 ? AF_INET6 : AF_INET,
    .ai_socktype = SOCK_STREAM,
  };
  dial->started = true;
  dial->deadline_ms =
    uv_now(dist->config.loop) + dist->config.handshake_timeout_ms;
  dial->resolve.data = dial;
  const int rv = uv_getaddrinfo(dist->config.loop, &dial->resolve, on_resolved,
                                strchr(dial->node, '@') + 1, NULL, &hints);
  if (rv == 0) {
    dial->resolving = true;
  } else {
    dial->failure = uv_strerror(rv);
  }
}

void
dial_start_all(struct dist *dist)
{
  list_each(link, &dist->dials)
  {
    struct dial *dial = list_thing(link, struct dial, link);
    if (!dial->started) {
      start(dial);
    }
  }
}

/*--------------------------------------------------------------------
 * From outside */

struct dial *
dial_find(const struct dist *dist, const char *node)
{
  list_each(link, &dist->dials)
  {
    struct dial *dial = list_thing(link, struct dial, link);
    if (strcmp(dial->node, node) == 0) {
      return dial;
    }
  }
  return NULL;
}

bool
dial_is_shaking(const struct dial *dial)
{
  return dial->peer != NULL && dial->peer->handshake.caller;
}

int
dist_dial(struct dist *dist, const char *node)
{
  const size_t size = strlen(node);
  if (!handshake_is_name(node, size) || strcmp(node, dist->name) == 0) {
    return HOLT_ERR_MALFORMED;
  }
  if (dist_peer_by_node(dist, node, size) != NULL) {
    return HOLT_ERR_EXISTS;
  }
  if (dist->stopping || dial_find(dist, node) != NULL) {
    return 0;
  }
  struct dial *dial = holt_mem_zalloc(dist->config.mem, sizeof *dial);
  if (dial == NULL) {
    return HOLT_ERR_NOMEM;
  }
  dial->dist = dist;
  memcpy(dial->node, node, size + 1);
  list_add(&dist->dials, &dial->link);
  dist->open++;
  if (dist->self.creation != 0) {
    start(dial);
  }
  return 0;
}
