/* SPDX-License-Identifier: Apache-2.0 */
/* Instance: a replica of the core with this daemon as its host.
 *
 * The BEAM's replica process and this are the same thing: what comes in becomes
 * an event of the replica, and after events the replica is asked what to do.
 * This member owns no processes; it only holds what the others register.
 *
 *     up, down of nodes   --->  +------------------+
 *     {holt_hello, ...}   --->  |  struct instance |  --->  hello, to a name
 *     {holt_data, ...}    --->  |  holt_replica    |  --->  data, to a pid
 *     DOWN of a replica   --->  +------------------+
 *                                   ^  a job of the turn; by a timer
 *
 * Messages are applied in slices of INSTANCE_SLICE_ROWS rows, and the replica
 * is asked for one effect at a time, each a piece of work of turn.h, so that
 * one instance never keeps the loop from the others.  Messages that come while
 * one is half applied are copied into a queue; every other event first finishes
 * that one.
 *
 * An end in order has two steps: instance_goodbye() has the replica tell all
 * members, so that they drop this one at once, and instance_stop() ends it.
 *
 * Order:   data is applied in the order it came in.
 * Memory:  the replica's own; at most INSTANCE_QUEUE_BYTES_MAX of messages:
 *          what comes then is refused, counted, and sent again later.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_INSTANCE_H
#define HOLT_NODE_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include <holt/replica.h>

#include "dist.h"

#define INSTANCE_SLICE_ROWS 128u
#define INSTANCE_QUEUE_BYTES_MAX (64u << 20)

struct instance;

struct instance_config {
  uv_loop_t *loop;
  struct dist *dist;         /* Registered. */
  struct turn *turn;         /* Of that loop. */
  const char *name;          /* Copied. */
  uint64_t policy;           /* HOLT_POLICY_ */
  struct holt_tuning tuning; /* Checked by nobody: the core takes any. */
  uint32_t process;          /* Id of the process that it is to others. */
  /* A member has told us of a node that runs this instance. */
  void (*node_seen)(void *user, struct term_slice node);
  void *user;
};

/* HOLT_ERR_NOMEM. */
int instance_new(struct instance **out, const struct instance_config *config);

/* Tell all members that this one ends.  It takes no part in anything after
 * that; instance_stop() has to follow.  How many are told. */
size_t instance_goodbye(struct instance *instance);

/* Whether all have been told, as far as the connections took it. */
bool instance_said_goodbye(const struct instance *instance);

/* End it: links first, so that nothing is sent any more.  It is freed, and
 * stopped is called, when the loop has closed its handles. */
void instance_stop(struct instance *instance, void (*stopped)(void *user),
                   void *user);

/* The registered name of the process: "holt.NAME". */
const char *instance_process_name(const struct instance *instance);
const char *instance_name(const struct instance *instance);

/* Events. */
void instance_peer_up(struct instance *instance, struct dist_peer *peer);
void instance_peer_down(struct instance *instance, struct dist_peer *peer);
void instance_monitor_down(struct instance *instance, struct dist_peer *peer,
                           uint64_t monitor, struct term_slice reason);

/* Something sent to the process or to its name.  False: not in a form that is
 * known here. */
bool instance_message(struct instance *instance,
                      const struct dist_message *message);

/* To look inside.  Tours may be started on it, and have to be stopped before
 * instance_stop(). */
struct holt_replica *instance_replica(const struct instance *instance);
bool instance_is_unique(const struct instance *instance);
struct holt_mem *instance_mem(struct instance *instance);
size_t instance_key_bytes_max(const struct instance *instance);
/* Messages that wait to be applied. */
size_t instance_queued(const struct instance *instance);

#endif /* HOLT_NODE_INSTANCE_H */
