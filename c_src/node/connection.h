/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: how do frames come from and go to one socket?
 *
 * In: what libuv reads lands in one area that all connections share, and is
 * handed out frame by frame from there.  Out: frames are put into an outbox,
 * and all outboxes that have something are written when the loop is about to
 * wait, so that what one event has caused leaves in one system call.
 *
 *     socket ---> shared area ---> frame_reader ---> host->frame
 *
 *     connection_send ---> outbox ---> (loop about to wait) ---> socket
 *
 * What the frames mean is not known here.
 *
 * What is in the area when the turn is over is copied and handed out in later
 * ones, and nothing is read until then: a peer that sends a lot is not served
 * at the expense of the others.
 *
 * Errors close the connection: host->lost is told why, at once, and the memory
 * may be freed in host->closed, later.
 *
 * Cost:    one read and one write per event and connection, as a rule.
 * Memory:  struct, outbox, what the frame reader has gathered, and at most
 *          CONNECTION_READ_BYTES that wait for a later turn.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_CONNECTION_H
#define HOLT_NODE_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <holt/mem.h>

#include "frame.h"
#include "list.h"
#include "outbox.h"
#include "turn.h"

/* Read at most this much at a time. */
#define CONNECTION_READ_BYTES (256u * 1024u)

/* What waits is written at once when it is more than this. */
#define CONNECTION_FLUSH_BYTES (256u * 1024u)

/* Pieces of one write. */
#define CONNECTION_PIECES 16u

struct connection;

/* What all connections of a node share. */
struct connection_host {
  uv_loop_t *loop;
  struct holt_mem *mem;
  struct turn *turn; /* Borrowed. */
  struct list dirty; /* Connections whose outbox has news. */
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint8_t *area; /* Of CONNECTION_READ_BYTES. */

  /* A call has succeeded: the other side is there. */
  void (*connected)(struct connection *connection);
  /* A frame; an empty one, too.  It is borrowed. */
  void (*frame)(struct connection *connection, struct term_slice frame);
  /* It is lost.  Not called when connection_close() was. */
  void (*lost)(struct connection *connection, const char *reason);
  /* libuv knows it no more. */
  void (*closed)(struct connection *connection);
};

struct connection {
  struct connection_host *host; /* Borrowed. */
  struct list dirty;            /* In host->dirty. */
  bool closing;
  bool writing;         /* A write is under way. */
  bool sent_since_tick; /* Anything, since the last empty frame came. */
  uint64_t in_ms;       /* When something was last read. */
  uint64_t out_ms;      /* When something was last put into the outbox. */
  uint64_t progress_ms; /* When the outbox was last empty, or got shorter. */
  size_t write_left;    /* Of the write under way, when last looked at. */
  uv_tcp_t tcp;
  uv_connect_t connect;
  uv_write_t write;
  size_t write_size;
  struct frame_reader in;
  struct outbox out;
  bool passed_over;     /* It was not read in the last turn. */
  struct turn_job more; /* Hands out the rest. */
  uint8_t *rest;        /* Owned: of what was read; NULL: nothing. */
  size_t rest_size;
  size_t rest_at;
};

/* Prepare a host whose functions have been set.  HOLT_ERR_NOMEM. */
int connection_host_init(struct connection_host *host, uv_loop_t *loop,
                         struct turn *turn, struct holt_mem *mem);
void connection_host_deinit(struct connection_host *host);

/* Write what waits, everywhere. */
void connection_host_flush(struct connection_host *host);

/* A connection without a socket.  From now on it has to be closed. */
void connection_init(struct connection *connection,
                     struct connection_host *host, unsigned prefix,
                     size_t frame_bytes_max);

/* Take a caller from the listening stream.  Begin to call.  Errors are
 * libuv's; the connection is then still to be closed. */
int connection_accept(struct connection *connection, uv_stream_t *listener);
int connection_call(struct connection *connection,
                    const struct sockaddr *address);

/* Put a frame, with its length, into the outbox.  All or nothing.
 * HOLT_ERR_NOMEM; HOLT_ERR_DEAD: it is closing. */
int connection_send(struct connection *connection, struct term_slice head,
                    const struct term_slice *parts, size_t count);

/* Write what waits, as far as the socket takes it. */
void connection_flush(struct connection *connection);

/* Bytes that the other side's machine has not acknowledged, as far as ours can
 * tell. */
size_t connection_unsent(const struct connection *connection);

/* Look whether the write under way goes on. */
void connection_watch(struct connection *connection, uint64_t now_ms);

/* Drop what waits, close the socket.  Twice is harmless. */
void connection_close(struct connection *connection);

#endif /* HOLT_NODE_CONNECTION_H */
