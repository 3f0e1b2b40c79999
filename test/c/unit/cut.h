/* SPDX-License-Identifier: Apache-2.0 */
/* Ends that have met, and lose each other: for the tests of liveness.c, ask.c
 * and vouch.c.  Ends 0 to 3 are a, b, c and d; end 4 is another member on the
 * node of b; c has the name "x". */
#ifndef HOLT_TEST_CUT_H
#define HOLT_TEST_CUT_H

#include "heap.h"
#include "pair.h"

struct cut {
  struct heap heap;
  struct pair pair;
  unsigned mute; /* A set of kinds that are lost on the way. */
};

/* So many ends, which have not met, and have no names. */
void cut_new(struct cut *f, unsigned ends);

/* All of them have met. */
void cut_init(struct cut *f, unsigned ends);
void cut_deinit(struct cut *f);

/* What one end knows of another. */
enum holt_sight cut_sight(const struct cut *f, unsigned at, unsigned of);

/* This end finds "x" at c. */
bool cut_found(const struct cut *f, unsigned at);

/* All lose c at once, without a word. */
void cut_all_lose(struct cut *f);

#endif /* HOLT_TEST_CUT_H */
