/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <assert.h>
#include <string.h>
#include <sys/ioctl.h>

#include <holt/error.h>

int
connection_host_init(struct connection_host *host, uv_loop_t *loop,
                     struct turn *turn, struct holt_mem *mem)
{
  host->loop = loop;
  host->turn = turn;
  host->mem = mem;
  list_init(&host->dirty);
  host->area = holt_mem_alloc(mem, CONNECTION_READ_BYTES);
  return host->area == NULL ? HOLT_ERR_NOMEM : 0;
}

void
connection_host_deinit(struct connection_host *host)
{
  if (host->area != NULL) {
    holt_mem_free(host->mem, host->area, CONNECTION_READ_BYTES);
    host->area = NULL;
  }
}

static void
lose(struct connection *connection, const char *reason)
{
  if (!connection->closing) {
    connection_close(connection);
    connection->host->lost(connection, reason);
  }
}

static bool hand_out_rest(struct turn_job *job);

void
connection_init(struct connection *connection, struct connection_host *host,
                unsigned prefix, size_t frame_bytes_max)
{
  const uint64_t now_ms = uv_now(host->loop);
  *connection = (struct connection){
    .host = host,
    .in_ms = now_ms,
    .out_ms = now_ms,
    .progress_ms = now_ms,
  };
  list_init(&connection->dirty);
  frame_reader_init(&connection->in, host->mem, prefix, frame_bytes_max);
  outbox_init(&connection->out, host->mem);
  turn_job_init(&connection->more, hand_out_rest);
  const int rv = uv_tcp_init(host->loop, &connection->tcp);
  assert(rv == 0); /* Without a socket yet, nothing can fail. */
  (void)rv;
  connection->tcp.data = connection;
  connection->connect.data = connection;
  connection->write.data = connection;
}

/*--------------------------------------------------------------------
 * In */

/* A large frame that has begun could be read to its place directly.  It is not:
 * the copy costs little beside the system call, and one way is enough. */
static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  struct connection *connection = handle->data;
  (void)suggested;
  /* Never passed over twice, whoever comes first. */
  const bool waits =
    connection->rest != NULL ||
    (turn_is_over(connection->host->turn) && !connection->passed_over);
  connection->passed_over = waits;
  *buf = waits
           ? uv_buf_init(NULL, 0)
           : uv_buf_init((char *)connection->host->area, CONNECTION_READ_BYTES);
}

/* Hand out frames until the input is used up, or the turn is over. */
static void
read_frames(struct connection *connection, struct term_slice *input)
{
  struct connection_host *const host = connection->host;
  do {
    struct term_slice frame;
    const int rv = frame_reader_next(&connection->in, input, &frame);
    if (rv == 0) {
      return;
    }
    if (rv < 0) {
      lose(connection, rv == HOLT_ERR_NOMEM ? "out of memory for its frame"
                                            : "its frame is too large");
      return;
    }
    host->frame(connection, frame);
  } while (!connection->closing && !turn_is_over(host->turn));
}

static void
rest_free(struct connection *connection)
{
  turn_cancel(&connection->more);
  if (connection->rest != NULL) {
    holt_mem_free(connection->host->mem, connection->rest,
                  connection->rest_size);
    connection->rest = NULL;
  }
}

static bool
hand_out_rest(struct turn_job *job)
{
  struct connection *const connection =
    list_thing(job, struct connection, more);
  struct term_slice input =
    term_slice(connection->rest + connection->rest_at,
               connection->rest_size - connection->rest_at);
  read_frames(connection, &input);
  if (connection->closing || input.size == 0) {
    rest_free(connection);
    return false;
  }
  connection->rest_at = connection->rest_size - input.size;
  return true;
}

/* The area is needed for others: keep the rest for a later turn. */
static void
keep_rest(struct connection *connection, struct term_slice input)
{
  struct connection_host *const host = connection->host;
  connection->rest = holt_mem_alloc(host->mem, input.size);
  if (connection->rest == NULL) {
    lose(connection, "out of memory for its frame");
    return;
  }
  memcpy(connection->rest, input.bytes, input.size);
  connection->rest_size = input.size;
  connection->rest_at = 0;
  turn_want(host->turn, &connection->more);
}

static void
on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
  struct connection *connection = stream->data;
  if (size == UV_ENOBUFS) {
    return; /* Not in this turn. */
  }
  if (size < 0) {
    lose(connection,
         size == UV_EOF ? "connection closed" : uv_strerror((int)size));
  } else if (size > 0) {
    connection->in_ms = uv_now(connection->host->loop);
    connection->host->bytes_in += (uint64_t)size;
    struct term_slice input = term_slice(buf->base, (size_t)size);
    read_frames(connection, &input);
    if (!connection->closing && input.size > 0) {
      keep_rest(connection, input);
    }
  }
}

static int
start(struct connection *connection)
{
  /* Messages are gathered here, not in the kernel. */
  uv_tcp_nodelay(&connection->tcp, 1);
  return uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read);
}

int
connection_accept(struct connection *connection, uv_stream_t *listener)
{
  const int rv = uv_accept(listener, (uv_stream_t *)&connection->tcp);
  return rv != 0 ? rv : start(connection);
}

static void
on_connect(uv_connect_t *connect, int status)
{
  struct connection *connection = connect->data;
  if (connection->closing) {
    return;
  }
  if (status == 0) {
    status = start(connection);
  }
  if (status != 0) {
    lose(connection, uv_strerror(status));
    return;
  }
  connection->host->connected(connection);
}

int
connection_call(struct connection *connection, const struct sockaddr *address)
{
  return uv_tcp_connect(&connection->connect, &connection->tcp, address,
                        on_connect);
}

/*--------------------------------------------------------------------
 * Out */

int
connection_send(struct connection *connection, struct term_slice head,
                const struct term_slice *parts, size_t count)
{
  struct connection_host *const host = connection->host;
  if (connection->closing) {
    return HOLT_ERR_DEAD;
  }
  const uint64_t now_ms = uv_now(host->loop);
  if (connection->out.size == 0) {
    connection->progress_ms = now_ms;
  }
  const int rv = outbox_put(&connection->out, head, parts, count);
  if (rv != 0) {
    return rv;
  }
  connection->out_ms = now_ms;
  connection->sent_since_tick = true;
  if (list_is_empty(&connection->dirty)) {
    list_add(&host->dirty, &connection->dirty);
  }
  if (connection->out.size >= CONNECTION_FLUSH_BYTES) {
    connection_flush(connection);
  }
  return 0;
}

static void
written(struct connection *connection, size_t size)
{
  outbox_written(&connection->out, size);
  connection->host->bytes_out += size;
  connection->progress_ms = uv_now(connection->host->loop);
}

static void
on_write(uv_write_t *write, int status)
{
  struct connection *connection = write->data;
  connection->writing = false;
  if (connection->closing) {
    return;
  }
  if (status != 0) {
    lose(connection, uv_strerror(status));
    return;
  }
  written(connection, connection->write_size);
  connection_flush(connection);
}

/* The pieces that wait next, as libuv wants them; their size. */
static size_t
pieces_of(const struct connection *connection, uv_buf_t *bufs, unsigned *count)
{
  struct term_slice pieces[CONNECTION_PIECES];
  *count = (unsigned)outbox_peek(&connection->out, pieces, CONNECTION_PIECES);
  size_t size = 0;
  for (unsigned i = 0; i < *count; i++) {
    bufs[i] = (uv_buf_t){
      .base = (char *)(uintptr_t)pieces[i].bytes,
      .len = pieces[i].size,
    };
    size += pieces[i].size;
  }
  return size;
}

void
connection_flush(struct connection *connection)
{
  list_remove(&connection->dirty);
  uv_stream_t *const stream = (uv_stream_t *)&connection->tcp;
  while (!connection->closing && !connection->writing &&
         connection->out.size > 0) {
    uv_buf_t bufs[CONNECTION_PIECES];
    unsigned count;
    const size_t size = pieces_of(connection, bufs, &count);
    const int rv = uv_try_write(stream, bufs, count);
    if (rv > 0) {
      written(connection, (size_t)rv);
    }
    if (rv >= 0 && (size_t)rv == size) {
      continue;
    }
    /* The socket is full, or broken: libuv tells when that has an end. */
    connection->write_size = pieces_of(connection, bufs, &count);
    connection->write_left = connection->write_size;
    connection->writing =
      uv_write(&connection->write, stream, bufs, count, on_write) == 0;
    if (!connection->writing) {
      /* Out of memory, or not connected any more; reading tells the latter,
       * and the next event tries again. */
      list_add(&connection->host->dirty, &connection->dirty);
    }
    return;
  }
}

void
connection_host_flush(struct connection_host *host)
{
  /* Those that cannot be written come back; once around is enough. */
  struct list dirty = host->dirty;
  if (list_is_empty(&host->dirty)) {
    return;
  }
  dirty.next->previous = &dirty;
  dirty.previous->next = &dirty;
  list_init(&host->dirty);
  while (!list_is_empty(&dirty)) {
    connection_flush(list_thing(dirty.next, struct connection, dirty));
  }
}

size_t
connection_unsent(const struct connection *connection)
{
  int fd = -1;
  int queued = 0;
  if (uv_fileno((const uv_handle_t *)&connection->tcp, &fd) != 0 ||
      ioctl(fd, TIOCOUTQ, &queued) != 0 || queued < 0) {
    queued = 0;
  }
  return connection->out.size + (size_t)queued;
}

void
connection_watch(struct connection *connection, uint64_t now_ms)
{
  if (connection->out.size == 0) {
    connection->progress_ms = now_ms;
  }
  if (connection->writing) {
    const size_t left =
      uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
    if (left < connection->write_left) {
      connection->write_left = left;
      connection->progress_ms = now_ms;
    }
  }
}

/*--------------------------------------------------------------------
 * End */

static void
on_closed(uv_handle_t *handle)
{
  struct connection *connection = handle->data;
  rest_free(connection);
  frame_reader_deinit(&connection->in);
  outbox_deinit(&connection->out);
  connection->host->closed(connection);
}

void
connection_close(struct connection *connection)
{
  if (connection->closing) {
    return;
  }
  connection->closing = true;
  list_remove(&connection->dirty);
  turn_cancel(&connection->more);
  uv_close((uv_handle_t *)&connection->tcp, on_closed);
}
