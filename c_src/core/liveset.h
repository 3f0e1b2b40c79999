/* SPDX-License-Identifier: Apache-2.0 */
/* Live sets: which seqs of a range still have a row?
 *
 * Whoever is repaired has rows that may have died meanwhile, and the holder
 * knows which rows live, not which deaths were missed.  So it sends the set of
 * live seqs in the range (after, to], and the asker, walking its own rows in
 * the order of seq, keeps those that are in it.
 *
 * Such a set is a sequence of runs, by turns live and dead: nearly all is live
 * in a young actor, nearly all dead in an old one, anything between in a busy
 * one.  Run lengths of a random set are geometric, for which a Rice code (Rice,
 * Plaunt 1971) with the right parameter is within a few percent of the best.
 * The parameter is chosen for every block of up to 256 runs, one for live runs
 * and one for dead ones, so the code follows the density without knowing it:
 *
 *     after                                                        to
 *       |######|........|#|..|############|...............|##|......|
 *         live    dead    live   ...                       (runs)
 *
 *     set      kind:8  block block ...            empty range: no bytes
 *     kind     0: the first run is dead, 1: live; from there on they alternate
 *     block    count-1:8  k_live:4 k_dead:4  code * count  zero bits to a byte
 *     code     of n = length - 1, with the k of its kind
 *                n >> k < 16    n >> k ones, a zero, the low k bits of n
 *                else           16 ones, n in 48 bits
 *
 *     {1, 2, 3, 7} in (0, 10]:   01  03  00  d9 80
 *                                 |   |   |  110 110 0 110 00 0000
 *                              live   |   |  3 l 3 d 1 l 3 d
 *                                4 runs  both k 0
 *
 * The runs reach exactly to the end of the range: nothing is left to guess, and
 * a run of 2^40 seqs is eight bytes at most.  Given the parameters, a set has
 * one form: padding that is not zero and codes longer than need be are
 * malformed.
 *
 * Order:   ascending, for writer and reader.
 * Cost:    writing O(1) per live seq; reading O(runs), each of them at least
 *          one bit.  Random sets take at most 1.2 times their entropy.
 * Memory:  the writer is 2.3 KiB of its user's, the reader points into the
 *          bytes.
 * Threads: none.
 */
#ifndef HOLT_CORE_LIVESET_H
#define HOLT_CORE_LIVESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>

#include "buf.h"

/* The greatest seq a set can speak of; a longer range is malformed. */
#define HOLT_LIVESET_SEQ_MAX ((UINT64_C(1) << 48) - 1)

/* Runs of one block: what two bytes of header are spread over. */
#define HOLT_LIVESET_RUNS 256u

/* Rice parameters are below this: half a byte.  Longer runs than the largest
 * one is good for are rare enough to be written in full. */
#define HOLT_LIVESET_PARAMETERS 16u

/* The least bytes_max of a writer: there is room for one seq and the end. */
#define HOLT_LIVESET_BYTES_MIN 48u

/*--------------------------------------------------------------------
 * Writing */

/* Everything up to at is said; the rest is for liveset.c. */
struct holt_liveset_writer {
  struct holt_buf *out; /* Borrowed. */
  size_t start;         /* Where the set begins in out. */
  size_t bytes_max;
  uint64_t at;                      /* The last seq covered. */
  uint64_t open;                    /* Length of the run that ends there. */
  bool open_live;                   /* Its kind. */
  unsigned run_count;               /* Runs of the block that is gathering. */
  bool runs_live;                   /* Kind of the first of them. */
  uint64_t runs[HOLT_LIVESET_RUNS]; /* Their lengths. */
  uint64_t bits[2][HOLT_LIVESET_PARAMETERS]; /* Their size, by kind and k. */
};

/* Begin a set at the end of out, for the range that begins behind after.  It
 * will take at most bytes_max bytes, which is at least
 * HOLT_LIVESET_BYTES_MIN. */
void holt_liveset_begin(struct holt_liveset_writer *writer,
                        struct holt_buf *out, uint64_t after, size_t bytes_max);

/* This seq is live, and those between it and writer->at are not.  It is greater
 * than writer->at.
 *
 * HOLT_ERR_LIMIT   bytes_max might be passed.  Nothing changed: end the set at
 *                  seq - 1 or before, and go on in another one from there.
 * Else the error of the buffer, which sticks. */
int holt_liveset_add(struct holt_liveset_writer *writer, uint64_t seq);

/* The range ends with to, at least writer->at, and what was not added up to
 * there is dead.  Never passes bytes_max.  0 or the error of the buffer. */
int holt_liveset_end(struct holt_liveset_writer *writer, uint64_t to);

/*--------------------------------------------------------------------
 * Reading */

/* The run at hand, and what lies behind it.  live, to and error are for
 * everyone to read. */
struct holt_liveset_reader {
  const uint8_t *at;
  const uint8_t *end;
  uint64_t word;      /* Bits taken from the bytes, the next one on top. */
  unsigned word_bits; /* How many of them there are. */
  unsigned run_count; /* Runs to come in this block. */
  uint8_t parameters[2];
  bool next_live;
  bool live;   /* The kind of the run at hand. */
  uint64_t to; /* The last seq of it; at first the after of the set. */
  int error;   /* 0, or HOLT_ERR_MALFORMED for good. */
};

/* Begin to read a set.  The run at hand is empty. */
void holt_liveset_open(struct holt_liveset_reader *reader, const void *bytes,
                       size_t size, uint64_t after);

/* Go on to the next run; O(1).  False: there is none, or the bytes are
 * malformed; live is false then. */
bool holt_liveset_next(struct holt_liveset_reader *reader);

/* Is seq live?  Not less than at the call before.  O(runs passed over): who
 * must bound that calls holt_liveset_next() while to is less than seq, so many
 * times, first.  False for all behind the end of the range. */
bool holt_liveset_has(struct holt_liveset_reader *reader, uint64_t seq);

/* Read a whole set without a caller's state: is it well formed, and what is the
 * last seq of its range?  0 or HOLT_ERR_MALFORMED. */
int holt_liveset_check(const void *bytes, size_t size, uint64_t after,
                       uint64_t *to);

#endif /* HOLT_CORE_LIVESET_H */
