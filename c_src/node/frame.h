/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: where does one message of a byte stream end?
 *
 * Where its length says, which comes first, big-endian: two bytes of it during
 * the handshake, four afterwards.
 *
 *     input    | len | frame |  len | fra|          |me  |
 *                    `--v--'         `--------v---------'
 *     frames       borrowed from      gathered in a block
 *                    the input        of the reader's own
 *
 * A frame that lies whole in the input is handed out where it is.  Only what is
 * cut by the end of the input is copied.  The block grows with what has
 * arrived, not with what was promised: a stranger who announces a gigabyte gets
 * none.
 *
 * Cost:    O(bytes); those of a cut frame are copied once, and again when the
 *          block doubles.
 * Memory:  at most twice of what has arrived of one frame; blocks larger than
 *          FRAME_KEEP_BYTES are given back after use.
 * Threads: none.
 */
#ifndef HOLT_NODE_FRAME_H
#define HOLT_NODE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include <holt/mem.h>

#include "term.h"

/* The longest length. */
#define FRAME_PREFIX_MAX 4u

/* Blocks up to this size stay for the next frame. */
#define FRAME_KEEP_BYTES 4096u

struct frame_reader {
  struct holt_mem *mem;
  size_t size_max;     /* Of a frame; more is HOLT_ERR_TOO_LARGE. */
  unsigned prefix;     /* Bytes of the length: 2 or 4. */
  unsigned prefix_got; /* ... that have arrived. */
  uint8_t prefix_bytes[FRAME_PREFIX_MAX];
  uint8_t *block; /* Owned: a cut frame. */
  size_t capacity;
  size_t got; /* Bytes in block. */
};

/* Prepare a reader.  Cannot fail, allocates nothing. */
void frame_reader_init(struct frame_reader *reader, struct holt_mem *mem,
                       unsigned prefix, size_t size_max);

/* Free what the reader owns; forget what was gathered. */
void frame_reader_deinit(struct frame_reader *reader);

/* From the next frame on, lengths have this form.  Only right after
 * frame_reader_next() has returned 1. */
void frame_reader_change(struct frame_reader *reader, unsigned prefix,
                         size_t size_max);

/* Take the next frame from the input, which moves on.
 *
 * 1   *frame is a whole frame, maybe empty; good until the next call, and as
 *     long as the input.
 * 0   the input is used up.
 * HOLT_ERR_TOO_LARGE, HOLT_ERR_NOMEM: the stream cannot be read any further. */
int frame_reader_next(struct frame_reader *reader, struct term_slice *input,
                      struct term_slice *frame);

#endif /* HOLT_NODE_FRAME_H */
