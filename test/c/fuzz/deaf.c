/* SPDX-License-Identifier: Apache-2.0 */
#include "deaf.h"

#include <string.h>

#include "dist_state.h"
#include "fuzz.h"

enum {
  TIMERS_MAX = 16,
  CLOSING_MAX = 64
};

struct timer {
  uv_timer_t *handle; /* NULL: none. */
  uv_timer_cb fired;
  uint64_t due_ms;
  uint64_t repeat_ms;
};

static struct {
  uint64_t now_ms;
  uint64_t hrtime_ns;
  uint64_t random;
  struct timer timers[TIMERS_MAX];
  struct connection *closing[CLOSING_MAX];
  unsigned closing_count;
  struct epmd *epmd;
} deaf;

void
deaf_reset(void)
{
  memset(&deaf, 0, sizeof deaf);
  deaf.now_ms = 1000;
}

/*--------------------------------------------------------------------
 * Time and chance, in the place of libuv's */

uint64_t
uv_now(const uv_loop_t *loop)
{
  (void)loop;
  return deaf.now_ms;
}

uint64_t
uv_hrtime(void)
{
  deaf.hrtime_ns += 1000;
  return deaf.hrtime_ns;
}

int
uv_gettimeofday(uv_timeval64_t *now)
{
  now->tv_sec = (int64_t)(1000000 + deaf.now_ms / 1000);
  now->tv_usec = (int32_t)(deaf.now_ms % 1000 * 1000);
  return 0;
}

int
uv_random(uv_loop_t *loop, uv_random_t *request, void *bytes, size_t size,
          unsigned flags, uv_random_cb done)
{
  (void)loop;
  (void)request;
  (void)flags;
  (void)done;
  for (size_t i = 0; i < size; i++) {
    deaf.random = deaf.random * UINT64_C(6364136223846793005) +
                  UINT64_C(1442695040888963407);
    ((uint8_t *)bytes)[i] = (uint8_t)(deaf.random >> 56);
  }
  return 0;
}

static struct timer *
timer_of(const uv_timer_t *handle)
{
  for (unsigned i = 0; i < TIMERS_MAX; i++) {
    if (deaf.timers[i].handle == handle) {
      return &deaf.timers[i];
    }
  }
  return NULL;
}

int
uv_timer_start(uv_timer_t *handle, uv_timer_cb fired, uint64_t timeout_ms,
               uint64_t repeat_ms)
{
  struct timer *timer = timer_of(handle);
  timer = timer == NULL ? timer_of(NULL) : timer;
  FUZZ_CHECK(timer != NULL);
  *timer = (struct timer){ handle, fired, deaf.now_ms + timeout_ms, repeat_ms };
  return 0;
}

int
uv_timer_stop(uv_timer_t *handle)
{
  struct timer *const timer = timer_of(handle);
  if (timer != NULL) {
    timer->handle = NULL;
  }
  return 0;
}

uint64_t
uv_timer_get_repeat(const uv_timer_t *handle)
{
  const struct timer *const timer = timer_of(handle);
  return timer == NULL ? 0 : timer->repeat_ms;
}

void
deaf_pass(uint64_t duration_ms)
{
  deaf.now_ms += duration_ms;
  for (unsigned i = 0; i < TIMERS_MAX; i++) {
    const struct timer timer = deaf.timers[i];
    if (timer.handle != NULL && timer.due_ms <= deaf.now_ms &&
        uv_is_closing((uv_handle_t *)timer.handle) == 0) {
      deaf.timers[i].due_ms = deaf.now_ms + timer.repeat_ms;
      if (timer.repeat_ms == 0) {
        deaf.timers[i].handle = NULL;
      }
      timer.fired(timer.handle);
    }
  }
}

/*--------------------------------------------------------------------
 * connection.h */

int
connection_host_init(struct connection_host *host, uv_loop_t *loop,
                     struct turn *turn, struct holt_mem *mem)
{
  host->loop = loop;
  host->turn = turn;
  host->mem = mem;
  list_init(&host->dirty);
  return 0;
}

void
connection_host_deinit(struct connection_host *host)
{
  (void)host;
}

void
connection_host_flush(struct connection_host *host)
{
  (void)host;
}

void
connection_init(struct connection *connection, struct connection_host *host,
                unsigned prefix, size_t frame_bytes_max)
{
  *connection = (struct connection){ .host = host,
                                     .in_ms = deaf.now_ms,
                                     .out_ms = deaf.now_ms,
                                     .progress_ms = deaf.now_ms };
  frame_reader_init(&connection->in, host->mem, prefix, frame_bytes_max);
}

int
connection_accept(struct connection *connection, uv_stream_t *listener)
{
  (void)connection;
  (void)listener;
  return UV_EAGAIN;
}

int
connection_call(struct connection *connection, const struct sockaddr *address)
{
  (void)connection;
  (void)address;
  return UV_ECONNREFUSED;
}

int
connection_send(struct connection *connection, struct term_slice head,
                const struct term_slice *parts, size_t count)
{
  if (connection->closing) {
    return HOLT_ERR_DEAD;
  }
  struct term_writer writer;
  term_writer_init(&writer, connection->host->mem, 0);
  term_put_slice(&writer, head);
  for (size_t i = 0; i < count; i++) {
    term_put_slice(&writer, parts[i]);
  }
  connection->sent_since_tick = true;
  connection->out_ms = deaf.now_ms;
  deaf_sent(connection, term_writer_slice(&writer));
  term_writer_deinit(&writer);
  return 0;
}

void
connection_flush(struct connection *connection)
{
  (void)connection;
}

size_t
connection_unsent(const struct connection *connection)
{
  (void)connection;
  return 0;
}

void
connection_watch(struct connection *connection, uint64_t now_ms)
{
  connection->progress_ms = now_ms;
}

void
connection_close(struct connection *connection)
{
  if (!connection->closing) {
    FUZZ_CHECK(deaf.closing_count < CLOSING_MAX);
    connection->closing = true;
    deaf.closing[deaf.closing_count++] = connection;
  }
}

void
deaf_let_go(void)
{
  while (deaf.closing_count > 0) {
    struct connection *const connection = deaf.closing[--deaf.closing_count];
    frame_reader_deinit(&connection->in);
    connection->host->closed(connection);
  }
}

/*--------------------------------------------------------------------
 * listen.c and epmd.h */

unsigned
listen_strangers_max(const struct dist_config *config)
{
  return config->handshakes_max;
}

int
listen_start(struct dist *dist)
{
  dist->port = 1;
  return 0;
}

void
listen_again(struct dist *dist)
{
  (void)dist;
}

void
epmd_start(struct epmd *epmd)
{
  deaf.epmd = epmd;
}

void
deaf_register(uint32_t creation)
{
  deaf.epmd->registered(deaf.epmd, creation);
}

void
epmd_stop(struct epmd *epmd)
{
  epmd->stopped(epmd);
}

/* Nobody is called from here. */
void
epmd_lookup_start(struct epmd_lookup *lookup, uv_loop_t *loop,
                  const struct sockaddr *address, const void *name,
                  size_t name_size)
{
  (void)lookup;
  (void)loop;
  (void)address;
  (void)name;
  (void)name_size;
  FUZZ_CHECK(false);
}

void
epmd_lookup_cancel(struct epmd_lookup *lookup)
{
  (void)lookup;
  FUZZ_CHECK(false);
}
