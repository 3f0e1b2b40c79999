/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/resource.h>

#include "dist_state.h"
#include "log.h"

/* Callers that the kernel keeps for us until we look. */
#define LISTEN_BACKLOG 1024

/* How many strangers there may be: never more than a quarter of the descriptors
 * that we may have, so that enough are left for nodes. */
unsigned
listen_strangers_max(const struct dist_config *config)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
      limit.rlim_cur / 4 >= config->handshakes_max) {
    return config->handshakes_max;
  }
  return limit.rlim_cur < 4 ? 1 : (unsigned)(limit.rlim_cur / 4);
}

/* Make room: the one that has said nothing for longest goes; if all have said
 * something, the oldest. */
static void
drop_a_stranger(struct dist *dist)
{
  list_each(link, &dist->strangers)
  {
    struct dist_peer *peer = list_thing(link, struct dist_peer, link);
    if (peer->handshake.state == HANDSHAKE_NAME_DUE) {
      peer_drop(peer, "silent, and others are waiting");
      return;
    }
  }
  if (!list_is_empty(&dist->strangers)) {
    peer_drop(list_thing(dist->strangers.next, struct dist_peer, link),
              "slow, and others are waiting");
  }
}

static void
on_caller(uv_stream_t *listener, int status)
{
  struct dist *dist = listener->data;
  if (dist->stopping) {
    return;
  }
  if (status < 0) {
    /* Descriptors, mostly.  Strangers have some of them. */
    log_error("cannot take a caller: %s", uv_strerror(status));
    drop_a_stranger(dist);
    return;
  }
  if (dist->strangers_count >= dist->config.handshakes_max) {
    drop_a_stranger(dist);
  }
  struct dist_peer *peer = peer_new(dist, NULL);
  if (peer == NULL) {
    /* libuv tells of no other caller before this one is taken: later. */
    log_error("cannot take a caller: out of memory");
    drop_a_stranger(dist);
    dist->caller_waits = true;
    return;
  }
  dist->caller_waits = false;
  dist->counters.accepted++;
  const int rv = connection_accept(&peer->connection, listener);
  if (rv != 0) {
    peer_drop(peer, uv_strerror(rv));
  } else if (dist->self.creation == 0) {
    peer_drop(peer, "we are not registered yet");
  }
}

void
listen_again(struct dist *dist)
{
  on_caller((uv_stream_t *)&dist->listener, 0);
}

int
listen_start(struct dist *dist)
{
  const struct dist_config *config = &dist->config;
  struct sockaddr_storage address = { 0 };
  if (uv_ip4_addr(config->listen_address, config->listen_port,
                  (struct sockaddr_in *)&address) != 0 &&
      uv_ip6_addr(config->listen_address, config->listen_port,
                  (struct sockaddr_in6 *)&address) != 0) {
    return HOLT_ERR_MALFORMED;
  }
  int rv = uv_tcp_bind(&dist->listener, (const struct sockaddr *)&address, 0);
  if (rv == 0) {
    rv = uv_listen((uv_stream_t *)&dist->listener, LISTEN_BACKLOG, on_caller);
  }
  int size = sizeof address;
  if (rv == 0) {
    rv =
      uv_tcp_getsockname(&dist->listener, (struct sockaddr *)&address, &size);
  }
  if (rv != 0) {
    log_error("cannot listen on %s, port %u: %s", config->listen_address,
              (unsigned)config->listen_port, uv_strerror(rv));
    return rv == UV_ENOMEM || rv == UV_EMFILE || rv == UV_ENFILE
             ? HOLT_ERR_NOMEM
             : HOLT_ERR_EXISTS;
  }
  /* The port is at the same place in both kinds of address. */
  dist->port = ntohs(((const struct sockaddr_in *)&address)->sin_port);
  return 0;
}
