/* SPDX-License-Identifier: Apache-2.0 */
/* Port mapper: under which port is a node known on its machine?
 *
 * epmd keeps a table of names and ports.  A registration lasts as long as the
 * connection that made it, so that one is kept open for good; when epmd goes
 * away, we come back every EPMD_RETRY_MS until it takes us again:
 *
 *              connect       ALIVE2            answer
 *     closed ----------> open -------> asked ----------> registered
 *       ^ ^                |             |                   |
 *       | +--- EPMD_RETRY_MS after an error or the end <-----+
 *       +----- too long without an answer
 *
 * The creation, by which the lives of a node of one name are told apart, comes
 * with the first answer and stays, whatever later answers say.
 *
 * Asking for the port of another node is a connection of its own, opened for
 * one question.
 *
 * Memory:  none beyond the structs; libuv's.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_EPMD_H
#define HOLT_NODE_EPMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "handshake.h"

#define EPMD_PORT 4369u

/* Between attempts to register. */
#define EPMD_RETRY_MS 500u

/* An epmd that is there answers at once. */
#define EPMD_ANSWER_MS 5000u

/* A name that is taken may be that of a node that has just died: this often we
 * ask again before we believe it. */
#define EPMD_TAKEN_TRIES 6u

/* The longest question: its length, fields, and a name. */
#define EPMD_REQUEST_MAX (16u + HANDSHAKE_NAME_MAX)

/*--------------------------------------------------------------------
 * Being known */

struct epmd {
  uv_loop_t *loop;
  struct sockaddr_storage address;
  char name[HANDSHAKE_NAME_MAX + 1]; /* The part before the @. */
  uint16_t port;                     /* Ours. */

  /* Called once, with the first answer. */
  void (*registered)(struct epmd *epmd, uint32_t creation);
  /* Called when the name is taken and we have never had it.  It is not tried
   * any more. */
  void (*refused)(struct epmd *epmd);
  /* Called when everything of an epmd that was stopped is closed. */
  void (*stopped)(struct epmd *epmd);

  bool known;       /* Registered now. */
  bool ever;        /* registered has been called. */
  bool open;        /* tcp is. */
  bool refused_us;  /* The name is taken: no more attempts. */
  bool stopping;    /* ... for good. */
  bool complained;  /* The log knows that epmd is not there. */
  unsigned taken;   /* Answers in a row that said so. */
  unsigned handles; /* That are open. */
  uv_timer_t timer; /* To try again; or that an answer is late. */
  uv_tcp_t tcp;
  uv_connect_t connect;
  uv_write_t write;
  size_t answer_size;
  uint8_t answer[64];
  size_t request_size;
  uint8_t request[EPMD_REQUEST_MAX];
};

/* Begin to register.  The fields up to stopped have been set, the rest is 0. */
void epmd_start(struct epmd *epmd);

void epmd_stop(struct epmd *epmd);

/*--------------------------------------------------------------------
 * Knowing others */

struct epmd_lookup {
  uv_tcp_t tcp;
  uv_connect_t connect;
  uv_write_t write;
  /* Called once, unless it is cancelled: the port, or 0 and the reason. */
  void (*found)(struct epmd_lookup *lookup, uint16_t port, const char *reason);
  /* Called last: nothing of it is in the loop any more. */
  void (*closed)(struct epmd_lookup *lookup);
  bool open;
  bool answered; /* found has been called, or will never be. */
  size_t answer_size;
  uint8_t answer[64];
  size_t request_size;
  uint8_t request[EPMD_REQUEST_MAX];
};

/* Ask the epmd at this address for the port of the node that is `name' there.
 * found and closed have been set.  found may be called before this returns. */
void epmd_lookup_start(struct epmd_lookup *lookup, uv_loop_t *loop,
                       const struct sockaddr *address, const void *name,
                       size_t name_size);

/* found is not called any more; closed is, later. */
void epmd_lookup_cancel(struct epmd_lookup *lookup);

#endif /* HOLT_NODE_EPMD_H */
