/* SPDX-License-Identifier: Apache-2.0 */
/* Node: the parts of the daemon, put together.
 *
 *     options ---> node ---> turn            pieces of work
 *                   |  \---> dist            connections
 *                   |  \---> dialler         who to connect to
 *                   |  \---> instance ...    what is held; process 2, 3...
 *                   \------> commands        what is asked; process 1
 *
 * Nothing is decided here: what dist brings is handed to whom it concerns.
 *
 * Life:    started; registered with epmd, which makes the instances; leaving:
 *          the members of each instance are told, and that is written, for at
 *          most NODE_LEAVE_MS; stopping; stopped, when the loop has nothing
 *          left to do.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_NODE_H
#define HOLT_NODE_NODE_H

#include <stdbool.h>

#include <uv.h>

#include "options.h"

struct node;

/* Who does not read by then, or the net, tells the others by other means. */
#define NODE_LEAVE_MS 500u

struct node_handlers {
  void (*failed)(void *user);  /* It cannot go on, and stops. */
  void (*stopped)(void *user); /* It has begun to stop, whyever; once. */
};

/* Begin.  options and handlers outlive the node.  A failure is logged.  After
 * an error it has stopped, without a word, and only node_delete() follows. */
int node_start(struct node **out, uv_loop_t *loop,
               const struct options *options,
               const struct node_handlers *handlers, void *user);

/* Say goodbye to the members of all instances, then stop.  Stops at once if it
 * is leaving already. */
void node_leave(struct node *node);

/* Close everything; the loop then ends by itself, and node_delete() frees. */
void node_stop(struct node *node);
void node_delete(struct node *node);

#endif /* HOLT_NODE_NODE_H */
