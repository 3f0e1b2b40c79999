/* SPDX-License-Identifier: Apache-2.0 */
/* Node: the parts of the daemon, put together.
 *
 *     options ---> node ---> dist            connections
 *                   |  \---> dialler         who to connect to
 *                   |  \---> instance ...    what is held; process 2, 3...
 *                   \------> commands        what is asked; process 1
 *
 * Nothing is decided here: what dist brings is handed to whom it concerns.
 *
 * Life:    started; registered with epmd, which makes the instances; stopping;
 *          stopped, when the loop has nothing left to do.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_NODE_H
#define HOLT_NODE_NODE_H

#include <stdbool.h>

#include <uv.h>

#include "options.h"

struct node;

/* Begin.  options outlive the node.  A failure is logged.  stopped is called
 * when the node stops by itself, once: then node_stop() has to follow. */
int node_start(struct node **out, uv_loop_t *loop,
               const struct options *options, void (*failed)(void *user),
               void *user);

/* Close everything; the loop then ends by itself, and node_delete() frees. */
void node_stop(struct node *node);
void node_delete(struct node *node);

#endif /* HOLT_NODE_NODE_H */
