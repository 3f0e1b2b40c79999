/* SPDX-License-Identifier: Apache-2.0 */
/* Distribution: how does a program in C become a node of an Erlang cluster?
 *
 * It registers a name and a port with epmd, the port mapper of its machine, and
 * keeps that registration alive; it listens there; with each node that calls,
 * or that it calls, it makes the handshake in which both show that they know
 * the cookie; and from then on exchanges frames.  All of that happens here, on
 * the loop, without waiting for anybody:
 *
 *       epmd                     user (instances, commands)
 *        ^  |                      |  dial, send, monitor   ^  up, down,
 *        |  v                      v                        |  message...
 *      +------+    +--------------------------------------------+
 *      | epmd |--->|                    dist                    |
 *      +------+    +--------------------------------------------+
 *                     | connection | connection | connection |
 *                     +------------+------------+------------+
 *                         ^ tcp        ^ tcp        ^ tcp
 *                         v            v            v
 *                       a@host       b@host       (silent stranger)
 *
 * To the others this is a hidden node: net_adm:ping/1, gen_server:call/3,
 * erlang:monitor/2 and net_kernel:monitor_nodes/2 (with node_type) work on it,
 * nodes/0 does not show it, and it never connects to others by itself.
 *
 * What the user gives are processes, in the plainest sense: a number, and maybe
 * registered names, that messages can be sent to.  They live as long as the
 * node: a link to or a monitor of one never fires but by loss of the
 * connection, and what is unknown is answered `noproc' at once.  Id 0 is ours.
 *
 * Rules for the user:
 *   - Handlers are called from the loop, never from within a function below.
 *   - Inside a handler everything may be called, dist_stop() too.
 *   - A struct dist_peer is good until its `down' handler returns.  Between the
 *     loss of a connection and that call, sending to it is HOLT_ERR_DEAD.
 *   - Every `up' is followed by exactly one `down', unless dist_stop() comes
 *     first; a node never has two peers between `up' and `down'.
 *   - What handlers are given is borrowed for the call.
 *   - The program ignores SIGPIPE: a peer that is gone is an error, no signal.
 *
 * Order:   messages to a peer arrive in the order sent, or not at all.
 * Cost:    sending copies the payload once, into the queue of its peer; the
 *          queue is written when the loop is about to wait.
 * Memory:  all through config->mem, but what libuv itself allocates.  Per peer
 *          at most queue_hard_bytes out, and 2 * frame_bytes_max in; strangers
 *          get some KiB, and there are at most handshakes_max of them.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_DIST_H
#define HOLT_NODE_DIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <holt/error.h>
#include <holt/mem.h>

#include "term.h"
#include "turn.h"

struct dist;

/* A connection that is up.  One per node. */
struct dist_peer;

/* Something sent to one of our processes, or to one of our names.  Only what
 * knows_name or knows_process said yes to. */
struct dist_message {
  struct dist_peer *peer;
  struct term_slice name;    /* The registered name, not a term; or empty: */
  uint32_t id;               /* ... the process. */
  uint32_t serial;           /* ... */
  struct term_slice from;    /* The sender's pid, if it was told, else empty.
                              * Claimed, not proven. */
  struct term_slice payload; /* One term, known to be well-formed. */
};

/* Each may be NULL, and nothing is known then. */
struct dist_handlers {
  /* Registered with epmd for the first time; creation is ours from now on, for
   * good.  Dialling and being called begin. */
  void (*registered)(void *user, uint32_t creation);

  /* It will not work: the name is taken, for example.  Somebody has to read
   * reason, and to call dist_stop(). */
  void (*failed)(void *user, const char *reason);

  void (*up)(void *user, struct dist_peer *peer);
  void (*down)(void *user, struct dist_peer *peer, const char *reason);

  /* A dist_dial() has led to nothing.  reason is for people. */
  void (*dial_failed)(void *user, const char *node, const char *reason);

  void (*message)(void *user, const struct dist_message *message);

  /* Is this one of our registered names, of our processes?  Asked for each
   * message, link and monitor; net_kernel is ours and not asked for. */
  bool (*knows_name)(void *user, struct term_slice name);
  bool (*knows_process)(void *user, uint32_t id, uint32_t serial);

  /* The process watched under this number has ended; reason is a term.  Also
   * called with the atom noconnection for every monitor of a peer, just before
   * its `down'. */
  void (*monitor_down)(void *user, struct dist_peer *peer, uint64_t monitor,
                       struct term_slice reason);
};

/* dist_config_init() sets the defaults named here; the rest must be given. */
struct dist_config {
  uv_loop_t *loop;               /* Outlives the dist. */
  struct turn *turn;             /* Of that loop; outlives the dist. */
  struct holt_mem *mem;          /* Outlives the dist. */
  const char *name;              /* alive@host; copied. */
  const char *cookie;            /* Copied. */
  const char *listen_address;    /* "0.0.0.0"; IPv4, or IPv6: "::".  Its
                                  * family is used for dialling, too. */
  uint16_t listen_port;          /* 0: any. */
  uint16_t epmd_port;            /* 4369 */
  uint32_t ticktime_ms;          /* 60,000: the cluster's net_ticktime. */
  uint32_t handshake_timeout_ms; /* 7,000: of a handshake, of a dial. */
  unsigned handshakes_max;       /* 256, but at most a quarter of our
                                  * descriptors: callers; then the oldest that
                                  * is silent has to go. */
  size_t frame_bytes_max;        /* 64 MiB: more is a broken peer. */
  size_t queue_soft_bytes;       /* 16 MiB: then sending is BUSY. */
  size_t queue_hard_bytes;       /* 64 MiB: then the peer is dropped. */
  const struct dist_handlers *handlers; /* Outlives the dist. */
  void *user;                           /* Handed to each handler. */
};

void dist_config_init(struct dist_config *config);

/* Listen, and begin to register.  All or nothing.
 *
 * HOLT_ERR_MALFORMED   the name is not alive@host, or longer than a node's may
 *                      be (255 characters); the address is none.
 * HOLT_ERR_TOO_LARGE   the cookie is longer than 255 bytes.
 * HOLT_ERR_EXISTS      the address and port are in use, or not ours; logged.
 * HOLT_ERR_NOMEM       out of memory, or of descriptors; logged.
 *
 * After an error the loop has to run once more, to let go of what was begun. */
int dist_start(struct dist **out, const struct dist_config *config);

/* Send what can be sent at once, close everything, free everything.  No handler
 * is called any more; stopped, unless NULL, is called from the loop when
 * nothing of ours is left in it. */
void dist_stop(struct dist *dist, void (*stopped)(void *user), void *user);

const char *dist_name(const struct dist *dist);

/* 0 until registered. */
uint32_t dist_creation(const struct dist *dist);

/* The port we listen on. */
uint16_t dist_port(const struct dist *dist);

/* Look up, connect, shake hands.  Leads to `up' or to `dial_failed'.  Before we
 * are registered it waits for that.  Dialling a node that is being dialled is
 * fine and does nothing; when the node calls us meanwhile, `up' is all that
 * comes.
 *
 * HOLT_ERR_EXISTS      there is a connection.
 * HOLT_ERR_MALFORMED   the name is not alive@host, or our own.
 * HOLT_ERR_NOMEM       nothing was begun. */
int dist_dial(struct dist *dist, const char *node);

/* Drop the connection.  `down' comes with this reason, which must be constant
 * text. */
void dist_hang_up(struct dist_peer *peer, const char *reason);

/*--------------------------------------------------------------------
 * Peers */

/* The connection with the node of this name, or NULL. */
struct dist_peer *dist_peer_by_node(const struct dist *dist, const void *node,
                                    size_t size);

/* Each peer that is up, in no order.  visit may not dial, send or hang up. */
void dist_peers(const struct dist *dist,
                void (*visit)(void *user, struct dist_peer *peer), void *user);

const char *dist_peer_node(const struct dist_peer *peer);
uint32_t dist_peer_creation(const struct dist_peer *peer);
uint64_t dist_peer_flags(const struct dist_peer *peer);

/* Bytes waiting to be written. */
size_t dist_peer_queued(const struct dist_peer *peer);

/* Bytes that have not reached the machines of all peers, as far as ours can
 * tell. */
size_t dist_unsent(const struct dist *dist);

/* A place for the user's own pointer, NULL at first. */
void dist_peer_user_set(struct dist_peer *peer, void *data);
void *dist_peer_user(const struct dist_peer *peer);

/* Whether the process is one of this peer's, and of this life of it. */
bool dist_peer_owns(const struct dist_peer *peer, const struct term_pid *pid);

/*--------------------------------------------------------------------
 * Sending
 *
 * The payload is one term, in count parts that are put one behind the other.
 * It is copied.  The caller vouches for its form: a peer that finds it broken
 * hangs up.  sender is the id of the process of ours that sends (serial 0).
 *
 * HOLT_ERR_BUSY        over queue_soft_bytes are waiting; nothing was sent.
 * HOLT_ERR_DEAD        the connection is lost; `down' is on its way.
 * HOLT_ERR_TOO_LARGE   the frame would pass 4 GiB.
 * HOLT_ERR_NOMEM       nothing was sent. */

/* To a process; pid is a term. */
int dist_send_to_pid(struct dist_peer *peer, struct term_slice pid,
                     const struct term_slice *parts, size_t count);

/* To a registered name, which is no term. */
int dist_send_to_name(struct dist_peer *peer, uint32_t sender, const char *name,
                      const struct term_slice *parts, size_t count);

/* Answer a gen_server:call: from is the term {Pid, Tag} of its '$gen_call', the
 * payload is the reply.  Answers pass the soft mark, for a caller that is left
 * without one waits; at the hard mark the connection is dropped, as
 * HOLT_ERR_DEAD says.  HOLT_ERR_MALFORMED: from is not that. */
int dist_reply(struct dist_peer *peer, uint32_t sender, struct term_slice from,
               const struct term_slice *parts, size_t count);

/*--------------------------------------------------------------------
 * Processes */

/* Our process of this id as a pid.  We must be registered. */
void dist_pid_encode(struct term_writer *writer, const struct dist *dist,
                     uint32_t id, uint32_t serial);

/* Watch a process of a peer in the name of our process `watcher'.  target is a
 * term: a pid, or an atom that is a registered name.  `monitor_down' comes
 * once, unless dist_demonitor() comes first.  Numbers are never used twice.
 *
 * Errors as of sending; HOLT_ERR_MALFORMED: target is neither. */
int dist_monitor(struct dist_peer *peer, uint32_t watcher,
                 struct term_slice target, uint64_t *monitor);

/* Watch no more.  `monitor_down' does not come after this.  Unknown numbers are
 * ignored. */
void dist_demonitor(struct dist_peer *peer, uint64_t monitor);

/*--------------------------------------------------------------------
 * Looking inside */

struct dist_counters {
  uint64_t accepted;          /* Callers, strangers included. */
  uint64_t dialled;           /* Connections begun by us. */
  uint64_t up;                /* Handshakes that succeeded. */
  uint64_t handshakes_failed; /* Each kind, wrong cookies included. */
  uint64_t wrong_cookies;
  uint64_t broken_peers;     /* Connections dropped for what they sent. */
  uint64_t slow_peers;       /* ... for not reading, or silence. */
  uint64_t messages_in;      /* Handed to the user. */
  uint64_t messages_unknown; /* To a name or process that is not ours. */
  uint64_t messages_out;
  uint64_t messages_busy; /* Not taken: HOLT_ERR_BUSY. */
  uint64_t bytes_in;
  uint64_t bytes_out;
};

void dist_counters(const struct dist *dist, struct dist_counters *counters);

#endif /* HOLT_NODE_DIST_H */
