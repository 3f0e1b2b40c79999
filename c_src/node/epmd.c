/* SPDX-License-Identifier: Apache-2.0 */
#include "epmd.h"

#include <assert.h>
#include <string.h>

#include "log.h"

enum {
  ALIVE2_X_ANSWER = 118,
  PORT2_ANSWER = 119,
  ALIVE2 = 120,
  ALIVE2_ANSWER = 121,
  PORT_PLEASE2 = 122
};

/* Others do not see us in nodes().  Version 6 is that of the handshake that we
 * speak, and of no other. */
#define NODE_HIDDEN 72u
#define PROTOCOL_TCP 0u
#define VERSION_LOWEST 6u
#define VERSION_HIGHEST 6u

static uint8_t *
store_u16(uint8_t *at, size_t value)
{
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
  return at + 2;
}

static uint16_t
load_u16(const uint8_t *at)
{
  return (uint16_t)(at[0] << 8 | at[1]);
}

/*--------------------------------------------------------------------
 * Being known */

static void attempt(uv_timer_t *timer);

static void
on_handle_closed(uv_handle_t *handle)
{
  struct epmd *epmd = handle->data;
  epmd->handles--;
  if (handle == (uv_handle_t *)&epmd->tcp) {
    epmd->open = false;
    if (!epmd->stopping && !epmd->refused_us) {
      uv_timer_start(&epmd->timer, attempt, EPMD_RETRY_MS, 0);
    }
  }
  if (epmd->stopping && epmd->handles == 0) {
    epmd->stopped(epmd);
  }
}

/* Close the connection; the next attempt follows. */
static void
hang_up(struct epmd *epmd)
{
  epmd->known = false;
  if (epmd->open && !uv_is_closing((uv_handle_t *)&epmd->tcp)) {
    uv_timer_stop(&epmd->timer);
    uv_close((uv_handle_t *)&epmd->tcp, on_handle_closed);
  }
}

static void
on_lost(struct epmd *epmd, int error)
{
  if (epmd->known || !epmd->complained) {
    log_warning("epmd: %s; trying again every %u ms", uv_strerror(error),
                EPMD_RETRY_MS);
    epmd->complained = true;
  }
  hang_up(epmd);
}

static void
on_late(uv_timer_t *timer)
{
  on_lost(timer->data, UV_ETIMEDOUT);
}

static void
on_registered(struct epmd *epmd, uint32_t creation)
{
  uv_timer_stop(&epmd->timer);
  epmd->known = true;
  epmd->complained = false;
  epmd->taken = 0;
  log_info("epmd: registered as %s, port %u", epmd->name, (unsigned)epmd->port);
  if (!epmd->ever) {
    epmd->ever = true;
    epmd->registered(epmd, creation == 0 ? 1 : creation);
  }
}

static void
on_taken(struct epmd *epmd, unsigned result)
{
  epmd->taken++;
  if (epmd->taken >= EPMD_TAKEN_TRIES && !epmd->ever) {
    epmd->refused_us = true;
    hang_up(epmd);
    epmd->refused(epmd);
    return;
  }
  if (epmd->taken == 1 || epmd->taken == EPMD_TAKEN_TRIES) {
    log_warning("epmd: does not take the name %s (result %u)", epmd->name,
                result);
  }
  hang_up(epmd);
}

static void
read_answer(struct epmd *epmd)
{
  const uint8_t *answer = epmd->answer;
  const size_t size = epmd->answer_size;
  if (answer[0] != ALIVE2_X_ANSWER && answer[0] != ALIVE2_ANSWER) {
    on_lost(epmd, UV_EPROTO);
  } else if (size >= 2 && answer[1] != 0) {
    on_taken(epmd, answer[1]);
  } else if (answer[0] == ALIVE2_ANSWER && size >= 4) {
    on_registered(epmd, load_u16(answer + 2));
  } else if (answer[0] == ALIVE2_X_ANSWER && size >= 6) {
    on_registered(epmd,
                  (uint32_t)load_u16(answer + 2) << 16 | load_u16(answer + 4));
  }
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  struct epmd *epmd = handle->data;
  (void)suggested;
  *buf = uv_buf_init((char *)epmd->answer + epmd->answer_size,
                     (unsigned)(sizeof epmd->answer - epmd->answer_size));
}

static void
on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
  struct epmd *epmd = stream->data;
  (void)buf;
  if (size < 0) {
    on_lost(epmd, (int)size);
  } else if (size > 0 && epmd->known) {
    /* It has nothing more to say; only the end is of interest. */
    epmd->answer_size = 0;
  } else if (size > 0) {
    epmd->answer_size += (size_t)size;
    read_answer(epmd);
  }
}

static void
on_write(uv_write_t *write, int status)
{
  struct epmd *epmd = write->data;
  if (status < 0 && status != UV_ECANCELED) {
    on_lost(epmd, status);
  }
}

static void
on_connect(uv_connect_t *connect, int status)
{
  struct epmd *epmd = connect->data;
  if (status == UV_ECANCELED) {
    return;
  }
  uv_stream_t *const stream = (uv_stream_t *)&epmd->tcp;
  uv_buf_t buf =
    uv_buf_init((char *)epmd->request, (unsigned)epmd->request_size);
  if (status == 0) {
    status = uv_read_start(stream, on_alloc, on_read);
  }
  if (status == 0) {
    epmd->write.data = epmd;
    status = uv_write(&epmd->write, stream, &buf, 1, on_write);
  }
  if (status != 0) {
    on_lost(epmd, status);
  }
}

static void
attempt(uv_timer_t *timer)
{
  struct epmd *epmd = timer->data;
  int rv = uv_tcp_init(epmd->loop, &epmd->tcp);
  assert(rv == 0); /* Without a socket yet, nothing can fail. */
  epmd->tcp.data = epmd;
  epmd->open = true;
  epmd->handles++;
  epmd->answer_size = 0;
  epmd->connect.data = epmd;
  uv_timer_start(&epmd->timer, on_late, EPMD_ANSWER_MS, 0);
  rv = uv_tcp_connect(&epmd->connect, &epmd->tcp,
                      (const struct sockaddr *)&epmd->address, on_connect);
  if (rv != 0) {
    on_lost(epmd, rv);
  }
}

static void
make_request(struct epmd *epmd)
{
  const size_t size = strlen(epmd->name);
  uint8_t *at = store_u16(epmd->request, 13 + size);
  *at++ = ALIVE2;
  at = store_u16(at, epmd->port);
  *at++ = NODE_HIDDEN;
  *at++ = PROTOCOL_TCP;
  at = store_u16(at, VERSION_HIGHEST);
  at = store_u16(at, VERSION_LOWEST);
  at = store_u16(at, size);
  memcpy(at, epmd->name, size);
  at = store_u16(at + size, 0);
  epmd->request_size = (size_t)(at - epmd->request);
}

void
epmd_start(struct epmd *epmd)
{
  make_request(epmd);
  uv_timer_init(epmd->loop, &epmd->timer);
  epmd->timer.data = epmd;
  epmd->handles++;
  uv_timer_start(&epmd->timer, attempt, 0, 0);
}

void
epmd_stop(struct epmd *epmd)
{
  assert(!epmd->stopping);

  epmd->stopping = true;
  hang_up(epmd);
  uv_close((uv_handle_t *)&epmd->timer, on_handle_closed);
}

/*--------------------------------------------------------------------
 * Knowing others */

static void
on_lookup_closed(uv_handle_t *handle)
{
  struct epmd_lookup *lookup = handle->data;
  lookup->open = false;
  lookup->closed(lookup);
}

static void
answer(struct epmd_lookup *lookup, uint16_t port, const char *reason)
{
  if (!lookup->answered) {
    lookup->answered = true;
    uv_close((uv_handle_t *)&lookup->tcp, on_lookup_closed);
    lookup->found(lookup, port, reason);
  }
}

static void
on_lookup_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  struct epmd_lookup *lookup = handle->data;
  (void)suggested;
  *buf = uv_buf_init((char *)lookup->answer + lookup->answer_size,
                     (unsigned)(sizeof lookup->answer - lookup->answer_size));
}

/* Of the answer only the port is wanted, which comes early; versions and the
 * name are told again by the handshake. */
static void
on_lookup_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
  struct epmd_lookup *lookup = stream->data;
  (void)buf;
  if (size < 0) {
    answer(lookup, 0, "its epmd gives no answer");
    return;
  }
  lookup->answer_size += (size_t)size;
  const uint8_t *bytes = lookup->answer;
  if (lookup->answer_size >= 1 && bytes[0] != PORT2_ANSWER) {
    answer(lookup, 0, "what is on its epmd's port is no epmd");
  } else if (lookup->answer_size >= 2 && bytes[1] != 0) {
    answer(lookup, 0, "its epmd does not know it");
  } else if (lookup->answer_size >= 4) {
    const uint16_t port = load_u16(bytes + 2);
    answer(lookup, port, port == 0 ? "its epmd gives no port" : NULL);
  }
}

static void
on_lookup_write(uv_write_t *write, int status)
{
  struct epmd_lookup *lookup = write->data;
  if (status < 0 && status != UV_ECANCELED) {
    answer(lookup, 0, uv_strerror(status));
  }
}

static void
on_lookup_connect(uv_connect_t *connect, int status)
{
  struct epmd_lookup *lookup = connect->data;
  if (status == UV_ECANCELED) {
    return;
  }
  uv_stream_t *const stream = (uv_stream_t *)&lookup->tcp;
  uv_buf_t buf =
    uv_buf_init((char *)lookup->request, (unsigned)lookup->request_size);
  if (status == 0) {
    status = uv_read_start(stream, on_lookup_alloc, on_lookup_read);
  }
  if (status == 0) {
    lookup->write.data = lookup;
    status = uv_write(&lookup->write, stream, &buf, 1, on_lookup_write);
  }
  if (status != 0) {
    answer(lookup, 0, "there is no epmd on its machine");
  }
}

void
epmd_lookup_start(struct epmd_lookup *lookup, uv_loop_t *loop,
                  const struct sockaddr *address, const void *name,
                  size_t name_size)
{
  assert(name_size <= HANDSHAKE_NAME_MAX);

  uint8_t *at = store_u16(lookup->request, 1 + name_size);
  *at++ = PORT_PLEASE2;
  memcpy(at, name, name_size);
  lookup->request_size = 3 + name_size;
  lookup->answer_size = 0;
  lookup->answered = false;

  uv_tcp_init(loop, &lookup->tcp);
  lookup->tcp.data = lookup;
  lookup->connect.data = lookup;
  const int rv =
    uv_tcp_connect(&lookup->connect, &lookup->tcp, address, on_lookup_connect);
  lookup->open = true;
  if (rv != 0) {
    answer(lookup, 0, uv_strerror(rv));
  }
}

void
epmd_lookup_cancel(struct epmd_lookup *lookup)
{
  if (lookup->open && !lookup->answered) {
    lookup->answered = true;
    uv_close((uv_handle_t *)&lookup->tcp, on_lookup_closed);
  }
}
