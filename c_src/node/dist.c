/* SPDX-License-Identifier: Apache-2.0 */
#include "dist.h"

#include <assert.h>
#include <string.h>

#include "dist_state.h"
#include "log.h"

#define MEBIBYTE ((size_t)1024 * 1024)

/* How often time is looked at: often enough for the shortest of the deadlines,
 * seldom enough to cost nothing. */
#define SWEEP_MS_MIN 10u
#define SWEEP_MS_MAX 500u

void
dist_config_init(struct dist_config *config)
{
  *config = (struct dist_config){
    .listen_address = "0.0.0.0",
    .epmd_port = EPMD_PORT,
    .ticktime_ms = 60000,
    .handshake_timeout_ms = 7000,
    .handshakes_max = 256,
    .frame_bytes_max = 64 * MEBIBYTE,
    .queue_soft_bytes = 16 * MEBIBYTE,
    .queue_hard_bytes = 64 * MEBIBYTE,
  };
}

static void
dist_free(struct dist *dist)
{
  struct holt_mem *mem = dist->config.mem;
  connection_host_deinit(&dist->host);
  term_writer_deinit(&dist->writer);
  term_writer_deinit(&dist->scratch);
  holt_mem_free(mem, dist, sizeof *dist);
}

void
dist__released(struct dist *dist)
{
  assert(dist->open > 0);

  dist->open--;
  if (dist->open == 0 && dist->stopping) {
    void (*const stopped)(void *user) = dist->stopped;
    void *const user = dist->stopped_user;
    dist_free(dist);
    if (stopped != NULL) {
      stopped(user);
    }
  }
}

/*--------------------------------------------------------------------
 * Registration */

static struct dist *
dist_of_epmd(struct epmd *epmd)
{
  return list_thing(epmd, struct dist, epmd);
}

static void
on_registered(struct epmd *epmd, uint32_t creation)
{
  struct dist *dist = dist_of_epmd(epmd);
  dist->self.creation = creation;
  if (dist->config.handlers->registered != NULL) {
    dist->config.handlers->registered(dist->config.user, creation);
  }
  if (!dist->stopping) {
    dial_start_all(dist);
  }
}

static void
on_refused(struct epmd *epmd)
{
  struct dist *dist = dist_of_epmd(epmd);
  log_error("epmd: the name %s is taken by another node", epmd->name);
  if (dist->config.handlers->failed != NULL) {
    dist->config.handlers->failed(dist->config.user,
                                  "the name is taken by another node");
  }
}

static void
on_epmd_stopped(struct epmd *epmd)
{
  dist__released(dist_of_epmd(epmd));
}

static void
start_epmd(struct dist *dist)
{
  struct epmd *epmd = &dist->epmd;
  epmd->loop = dist->config.loop;
  /* A registration is a matter of this machine. */
  uv_ip4_addr("127.0.0.1", dist->config.epmd_port,
              (struct sockaddr_in *)&epmd->address);
  const size_t size = (size_t)(strchr(dist->name, '@') - dist->name);
  memcpy(epmd->name, dist->name, size);
  epmd->name[size] = 0;
  epmd->port = dist->port;
  epmd->registered = on_registered;
  epmd->refused = on_refused;
  epmd->stopped = on_epmd_stopped;
  dist->open++;
  epmd_start(epmd);
}

/*--------------------------------------------------------------------
 * Time */

static void
watch_peer(struct dist_peer *peer, uint64_t now_ms)
{
  struct connection *connection = &peer->connection;
  struct dist *dist = peer->dist;
  const uint64_t tick_ms = dist->config.ticktime_ms / 4;
  const uint64_t limit_ms = dist->config.ticktime_ms + tick_ms;
  connection_watch(connection, now_ms);
  if (now_ms - connection->in_ms > limit_ms) {
    dist->counters.slow_peers++;
    peer_drop(peer, "no sign of life");
  } else if (now_ms - connection->progress_ms > limit_ms) {
    dist->counters.slow_peers++;
    peer_drop(peer, "it does not read");
  } else if (now_ms - connection->out_ms >= tick_ms &&
             connection->out.size == 0) {
    static const uint8_t tick[4];
    connection_send(connection, term_slice(tick, sizeof tick), NULL, 0);
  }
}

/* Move a time forward, but not past now. */
static uint64_t
credit(uint64_t at_ms, uint64_t credit_ms, uint64_t now_ms)
{
  return credit_ms < now_ms - at_ms ? at_ms + credit_ms : now_ms;
}

static void
on_timer(uv_timer_t *timer)
{
  struct dist *dist = timer->data;
  const uint64_t now_ms = uv_now(dist->config.loop);
  /* When we have slept (stopped, swapped out) the others had no chance to be
   * heard: that time does not count. */
  const uint64_t slept_ms = now_ms - dist->sweep_ms;
  const uint64_t expected_ms = uv_timer_get_repeat(timer);
  const uint64_t credit_ms =
    slept_ms > 2 * expected_ms ? slept_ms - expected_ms : 0;
  dist->sweep_ms = now_ms;

  list_each(link, &dist->strangers)
  {
    struct dist_peer *peer = list_thing(link, struct dist_peer, link);
    peer->since_ms = credit(peer->since_ms, credit_ms, now_ms);
    if (now_ms - peer->since_ms > dist->config.handshake_timeout_ms) {
      peer_drop(peer, "the handshake took too long");
    }
  }
  list_each(peer_link, &dist->peers)
  {
    struct dist_peer *peer = list_thing(peer_link, struct dist_peer, link);
    struct connection *connection = &peer->connection;
    connection->in_ms = credit(connection->in_ms, credit_ms, now_ms);
    connection->progress_ms =
      credit(connection->progress_ms, credit_ms, now_ms);
    watch_peer(peer, now_ms);
  }
  if (dist->caller_waits) {
    listen_again(dist);
  }
  dial_sweep(dist, now_ms);
}

static void
on_prepare(uv_prepare_t *prepare)
{
  struct dist *dist = prepare->data;
  connection_host_flush(&dist->host);
}

static uint64_t
sweep_interval_ms(const struct dist_config *config)
{
  uint64_t interval_ms = config->ticktime_ms / 16;
  if (interval_ms > config->handshake_timeout_ms / 8) {
    interval_ms = config->handshake_timeout_ms / 8;
  }
  if (interval_ms < SWEEP_MS_MIN) {
    return SWEEP_MS_MIN;
  }
  return interval_ms > SWEEP_MS_MAX ? SWEEP_MS_MAX : interval_ms;
}

/*--------------------------------------------------------------------
 * Start and stop */

static void
on_released(uv_handle_t *handle)
{
  dist__released(handle->data);
}

static void
init_handles(struct dist *dist)
{
  uv_loop_t *loop = dist->config.loop;
  int rv = uv_tcp_init(loop, &dist->listener);
  assert(rv == 0);
  rv = uv_timer_init(loop, &dist->timer);
  assert(rv == 0);
  rv = uv_prepare_init(loop, &dist->prepare);
  assert(rv == 0);
  (void)rv;
  dist->listener.data = dist;
  dist->timer.data = dist;
  dist->prepare.data = dist;
  dist->open = 3;
}

static struct dist *
dist_new(const struct dist_config *config)
{
  struct dist *dist = holt_mem_zalloc(config->mem, sizeof *dist);
  if (dist == NULL) {
    return NULL;
  }
  dist->config = *config;
  dist->config.handshakes_max = listen_strangers_max(config);
  memcpy(dist->name, config->name, strlen(config->name));
  memcpy(dist->cookie, config->cookie, strlen(config->cookie));
  dist->self.name = dist->name;
  dist->self.cookie = dist->cookie;
  dist->host.connected = peer_on_connected;
  dist->host.frame = peer_on_frame;
  dist->host.lost = peer_on_lost;
  dist->host.closed = peer_on_closed;
  list_init(&dist->strangers);
  list_init(&dist->called);
  list_init(&dist->peers);
  list_init(&dist->leaving);
  list_init(&dist->dials);
  term_writer_init(&dist->writer, config->mem, 0);
  term_writer_init(&dist->scratch, config->mem, 0);
  if (connection_host_init(&dist->host, config->loop, config->turn,
                           config->mem) != 0) {
    dist_free(dist);
    return NULL;
  }
  return dist;
}

int
dist_start(struct dist **out, const struct dist_config *config)
{
  if (!handshake_is_name(config->name, strlen(config->name))) {
    return HOLT_ERR_MALFORMED;
  }
  if (strlen(config->cookie) > HANDSHAKE_COOKIE_MAX) {
    return HOLT_ERR_TOO_LARGE;
  }
  struct dist *dist = dist_new(config);
  if (dist == NULL) {
    return HOLT_ERR_NOMEM;
  }
  init_handles(dist);
  const int rv = listen_start(dist);
  if (rv != 0) {
    dist_stop(dist, NULL, NULL);
    return rv;
  }
  const uint64_t interval_ms = sweep_interval_ms(config);
  dist->sweep_ms = uv_now(config->loop);
  uv_timer_start(&dist->timer, on_timer, interval_ms, interval_ms);
  uv_prepare_start(&dist->prepare, on_prepare);
  start_epmd(dist);
  *out = dist;
  return 0;
}

static void
drop_all(struct list *list)
{
  while (!list_is_empty(list)) {
    struct dist_peer *peer = list_thing(list->next, struct dist_peer, link);
    connection_flush(&peer->connection);
    peer_drop(peer, "we are going down");
  }
}

void
dist_stop(struct dist *dist, void (*stopped)(void *user), void *user)
{
  assert(!dist->stopping);

  dist->stopping = true;
  dist->stopped = stopped;
  dist->stopped_user = user;
  dial_stop_all(dist);
  drop_all(&dist->strangers);
  drop_all(&dist->called);
  drop_all(&dist->peers);
  if (dist->epmd.loop != NULL) {
    epmd_stop(&dist->epmd);
  }
  uv_close((uv_handle_t *)&dist->listener, on_released);
  uv_close((uv_handle_t *)&dist->timer, on_released);
  uv_close((uv_handle_t *)&dist->prepare, on_released);
}

/*--------------------------------------------------------------------
 * Looking inside */

const char *
dist_name(const struct dist *dist)
{
  return dist->name;
}

uint32_t
dist_creation(const struct dist *dist)
{
  return dist->self.creation;
}

uint16_t
dist_port(const struct dist *dist)
{
  return dist->port;
}

void
dist_counters(const struct dist *dist, struct dist_counters *counters)
{
  *counters = dist->counters;
  counters->bytes_in = dist->host.bytes_in;
  counters->bytes_out = dist->host.bytes_out;
}
