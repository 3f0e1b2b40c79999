/* SPDX-License-Identifier: Apache-2.0 */
/* Dialler: which nodes do we want to be connected to?
 *
 * Those that the options name, for ever, and those that members have told us
 * of, as long as they can be reached now and then.  A node that is lost or
 * cannot be reached is dialled again, at intervals that double:
 *
 *     lost      +0.1 s  +0.2 s  +0.4 s ...  +5 s  +5 s ...
 *                 |       |       |           |     |
 *               dial    dial    dial        dial  dial      (and some jitter)
 *
 * A node of which we were only told is given up after DIALLER_GIVE_UP_MS; when
 * it comes back, whoever meets it tells us again.
 *
 * Cost:    O(nodes) per event; they are few.
 * Memory:  at most DIALLER_LEARNED_MAX nodes that we were told of.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_DIALLER_H
#define HOLT_NODE_DIALLER_H

#include <stdbool.h>

#include <uv.h>

#include "dist.h"

#define DIALLER_LEARNED_MAX 1024u
#define DIALLER_GIVE_UP_MS 600000u

struct dialler;

/* HOLT_ERR_NOMEM.  Nothing is dialled before dialler_start(). */
int dialler_new(struct dialler **out, uv_loop_t *loop, struct dist *dist,
                struct holt_mem *mem);

/* Want a node.  One that is known is left as it is, but for `always'.  Names
 * that are none, and our own, are ignored. */
void dialler_want(struct dialler *dialler, struct term_slice node, bool always);

void dialler_start(struct dialler *dialler);

/* What became of it. */
void dialler_up(struct dialler *dialler, const char *node);
void dialler_down(struct dialler *dialler, const char *node);
void dialler_failed(struct dialler *dialler, const char *node,
                    const char *reason);

/* Free it, when the loop has closed its timer. */
void dialler_delete(struct dialler *dialler);

#endif /* HOLT_NODE_DIALLER_H */
