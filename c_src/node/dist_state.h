/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the distribution: who is where, between first word and last?
 *
 * A struct dist_peer is a connection from its first byte on; the user sees it
 * between `up' and `down' only.  It is in one list at a time:
 *
 *     accept --> strangers --+                      +--> peers --+
 *                            |-- handshake is done -|            |--> leaving
 *     dial   --> called    --+                      |    lost  --+      |
 *                    |                              |                 freed
 *                    +--- any that fail ------------+----------------> ^
 *
 * A dial is a wish of its own: it looks for the way, makes a peer, and lives on
 * when that peer gives way to a call from the other side; it is fulfilled by
 * whatever connection with that node comes up, and fails at its deadline.
 *
 * Everything that libuv holds is counted in open, so that stopping knows when
 * nothing is left:
 *
 *     listener, timer, prepare, epmd            1 each
 *     peers, dials                              1 each, until they are freed
 *
 * dist.c     start, stop, time                  listen.c  callers
 * peer.c     handshake, up, down                dial.c    ways to other nodes
 * signal.c   what peers ask for                 send.c    what the user sends
 */
#ifndef HOLT_NODE_DIST_STATE_H
#define HOLT_NODE_DIST_STATE_H

#include "connection.h"
#include "control.h"
#include "dist.h"
#include "epmd.h"
#include "handshake.h"
#include "list.h"

/* The id of our net_kernel. */
#define DIST_NET_KERNEL 0u

struct dial;

struct dist {
  struct dist_config config; /* name and cookie are in self. */
  struct handshake_self self;
  char name[HANDSHAKE_NAME_MAX + 1];
  char cookie[HANDSHAKE_COOKIE_MAX + 1];
  uint16_t port;
  struct connection_host host;
  struct epmd epmd;
  uv_tcp_t listener;
  uv_timer_t timer;
  uv_prepare_t prepare;
  uint64_t sweep_ms; /* When the timer last fired. */
  struct list strangers;
  struct list called;
  struct list peers;
  struct list leaving;
  struct list dials;
  unsigned strangers_count;
  bool caller_waits; /* To be taken by the next sweep. */
  unsigned open;
  bool stopping;
  void (*stopped)(void *user);
  void *stopped_user;
  struct term_writer writer;  /* The head of a frame. */
  struct term_writer scratch; /* Terms that go into a head. */
  uint64_t monitors;          /* Numbers given. */
  struct dist_counters counters;
};

struct dist_peer {
  struct connection connection;
  struct dist *dist;
  struct list link;   /* strangers, called, peers, or leaving. */
  struct dial *dial;  /* That made it; NULL: a caller, or given up. */
  uint64_t since_ms;  /* When the connection began. */
  bool stranger;      /* Counts as one. */
  bool told_up;       /* The user knows it. */
  bool told_down;     /* ... and that it is lost. */
  const char *reason; /* Why it is leaving. */
  void *user;
  struct list monitors;
  struct handshake handshake;
};

/*--------------------------------------------------------------------
 * dist.c */

/* One of what open counts is gone. */
void dist__released(struct dist *dist);

/*--------------------------------------------------------------------
 * listen.c */

/* How many strangers there may be at a time. */
unsigned listen_strangers_max(const struct dist_config *config);

/* Bind and listen as the configuration says.  Errors as of dist_start(). */
int listen_start(struct dist *dist);

/* Take the caller who waits. */
void listen_again(struct dist *dist);

/*--------------------------------------------------------------------
 * peer.c */

/* A new peer, in the list of strangers or, for a dial, of those called.  NULL:
 * out of memory. */
struct dist_peer *peer_new(struct dist *dist, struct dial *dial);

/* The peer's connection has no more to say, for this reason.  Only strangers'
 * quarrels end in silence; users are told by `down', later. */
void peer_drop(struct dist_peer *peer, const char *reason);

/* What a connection tells its host. */
void peer_on_connected(struct connection *connection);
void peer_on_frame(struct connection *connection, struct term_slice frame);
void peer_on_lost(struct connection *connection, const char *reason);
void peer_on_closed(struct connection *connection);

/* The name it goes by in the log. */
const char *peer_label(const struct dist_peer *peer);

/*--------------------------------------------------------------------
 * dial.c */

/* The dial to this node, or NULL. */
struct dial *dial_find(const struct dist *dist, const char *node);

/* Our name has been sent to it: who calls now calls at the same time. */
bool dial_is_shaking(const struct dial *dial);

/* The other side calls us: wait for that instead. */
void dial_yield(struct dial *dial);

/* Its peer is lost; or gives way, and reason is NULL. */
void dial_peer_lost(struct dial *dial, const char *reason);

/* Begin all that waited for our registration. */
void dial_start_all(struct dist *dist);

/* A connection with its node is up: winner; or it is not wanted any more, and
 * winner is NULL. */
void dial_end(struct dial *dial, const struct dist_peer *winner);

/* Fail those whose time is over. */
void dial_sweep(struct dist *dist, uint64_t now_ms);

/* Forget all of them without a word. */
void dial_stop_all(struct dist *dist);

/*--------------------------------------------------------------------
 * signal.c */

/* A frame from a peer that is up.  Not an empty one. */
void signal_frame(struct dist_peer *peer, struct term_slice frame);

/*--------------------------------------------------------------------
 * send.c */

/* Send the frame whose head control_put() began in dist->writer, and the parts
 * of a payload behind it. */
int send_frame(struct dist_peer *peer, const struct term_slice *parts,
               size_t count);

/* The process of ours with this id as a term, in dist->scratch. */
struct term_slice send_own_pid(struct dist *dist, uint32_t id);

/* Tell the user that a monitor has fired, by its reference. */
void monitor_fire(struct dist_peer *peer, struct term_slice ref,
                  struct term_slice reason);

/* The same for all that are left: noconnection. */
void monitor_fire_all(struct dist_peer *peer);

/* Forget them. */
void monitor_forget_all(struct dist_peer *peer);

#endif /* HOLT_NODE_DIST_STATE_H */
