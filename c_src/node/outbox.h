/* SPDX-License-Identifier: Apache-2.0 */
/* Outbox: what waits to be written to one peer?
 *
 * Bytes in blocks, in order.  New ones go into the last block while they fit;
 * a block that is being written never moves.
 *
 *     head                                   tail
 *     [####written|======unwritten======]--->[=======|     room     ]
 *
 * A whole frame is put at once or not at all, so that the stream can never hold
 * half of one.
 *
 * Cost:    putting copies its bytes once; O(blocks) for the rest.
 * Memory:  blocks of OUTBOX_BLOCK_BYTES, or larger ones for larger frames; none
 *          while empty.
 * Threads: none.
 */
#ifndef HOLT_NODE_OUTBOX_H
#define HOLT_NODE_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include <holt/mem.h>

#include "term.h"

/* Large enough for many small frames, small enough to be cheap to get. */
#define OUTBOX_BLOCK_BYTES (16u * 1024u)

struct outbox_block;

struct outbox {
  struct holt_mem *mem;
  struct outbox_block *head; /* Owned, and all behind it. */
  struct outbox_block *tail;
  size_t size; /* Bytes not written yet. */
};

void outbox_init(struct outbox *outbox, struct holt_mem *mem);

/* Free everything; it is then as after outbox_init(). */
void outbox_deinit(struct outbox *outbox);

/* Add a frame: its head, then count parts.  All or nothing.  HOLT_ERR_NOMEM. */
int outbox_put(struct outbox *outbox, struct term_slice head,
               const struct term_slice *parts, size_t count);

/* The first at most count pieces that wait, in order; returns how many.  They
 * stay where they are until outbox_written(). */
size_t outbox_peek(const struct outbox *outbox, struct term_slice *pieces,
                   size_t count);

/* The first size bytes have been written. */
void outbox_written(struct outbox *outbox, size_t size);

#endif /* HOLT_NODE_OUTBOX_H */
