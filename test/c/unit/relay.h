/* SPDX-License-Identifier: Apache-2.0 */
/* Ends that forward: for the tests of forward.c and follow.c.
 *
 * A, the end 0, and C, the end 2, cannot hear each other; B, the end 1, hears
 * both, and so does D, the end 3, where there is one.  What C says to the
 * others is forwarded to A, and what A says to C, which is looked at less.
 *
 *     relay_run(&f, 3);          C has names, and A follows it through B
 *     relay_write(&f, 7);        C has one more
 *     pair_run(&f.pair);
 *     relay_sees(&f, A, 7);
 */
#ifndef HOLT_TEST_RELAY_H
#define HOLT_TEST_RELAY_H

#include "heap.h"
#include "pair.h"
#include "prng.h"

#define A 0u
#define B 1u
#define C 2u
#define D 3u

struct relay {
  struct heap heap;
  struct pair pair;
  unsigned mute[PAIR_ENDS][PAIR_ENDS]; /* Kinds that are lost on the way. */
  unsigned forwarded[PAIR_ENDS][PAIR_ENDS]; /* Deltas of C. */
  unsigned pieces;                          /* Of C, for A. */
  unsigned pieces_max;                      /* More are lost; 0: none. */
  unsigned writes; /* C registers as many names more, one a piece. */
  struct prng prng;
  bool lossy;
};

/* So many ends that have met; C has names. */
void relay_init(struct relay *f, unsigned ends, unsigned names);

/* And A and C have lost each other, after some changes that A did not hear. */
void relay_cut(struct relay *f, unsigned ends, unsigned names,
               unsigned unheard);

/* And nobody has anything to do any more; there are ten names, all heard. */
void relay_run(struct relay *f, unsigned ends);
void relay_deinit(struct relay *f);

void relay_wait(struct relay *f, unsigned intervals);

/* Who forwards C to A; PAIR_ENDS: nobody.  The same, where B or D does. */
unsigned relay_voucher(const struct relay *f);
unsigned relay_chosen(const struct relay *f);

/* What this end keeps of C for others; A as its follower at B, which is the
 * only one there. */
struct holt_relay *relay_of(const struct relay *f, unsigned at);
struct holt_follower *relay_follower(const struct relay *f);

/* C registers a name; this end finds it there. */
int relay_write(struct relay *f, unsigned number);
bool relay_sees(const struct relay *f, unsigned at, unsigned number);

/* C tells B, which says that it has come, and nobody else does anything. */
void relay_b_hears(struct relay *f, unsigned number);

/* Apply these bytes, and free them. */
int relay_say(struct relay *f, unsigned from, unsigned to,
              struct holt_buf *body);
int relay_say_ack(struct relay *f, unsigned from, unsigned to,
                  const struct holt_ack *ack);
int relay_say_request(struct relay *f, unsigned from, unsigned to,
                      const struct holt_request *request);

/* The next message of this kind about C that this end sends now, or NONE. */
struct holt_effect relay_next(struct relay *f, unsigned at,
                              enum holt_packet_kind kind);

#endif /* HOLT_TEST_RELAY_H */
