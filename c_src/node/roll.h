/* SPDX-License-Identifier: Apache-2.0 */
/* Roll: who may take part in an instance?
 *
 * Whoever runs it, until somebody says otherwise.  Members keep a list and tell
 * each other; this one has no say in it, but hears it, keeps to it and passes
 * it on.  What they tell is a term, with a mark for everybody who is or was in
 * the list, and the time at which it was made last:
 *
 *     {{{Ms, By}, auto | list}, [{Member, {Ms, By}, IsIn}]}
 *
 * The members merge their lists, so that the latest there is comes to all in
 * the end; here it is kept as it came.
 *
 * Cost:    O(marks) to take one, and to look for a member.
 * Memory:  one list, of at most ROLL_MARKS_MAX.
 * Threads: none.
 */
#ifndef HOLT_NODE_ROLL_H
#define HOLT_NODE_ROLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/mem.h>
#include <holt/member.h>

#include "term.h"

/* More are not believed. */
#define ROLL_MARKS_MAX 4096u

struct roll {
  struct holt_mem *mem;
  uint8_t *bytes; /* NULL: nobody has said anything. */
  size_t size;
  uint64_t made_ms;
  bool is_list; /* Otherwise anybody may. */
};

enum roll_news {
  ROLL_NEW,
  ROLL_KNOWN, /* It is what we have, */
  ROLL_OLD,   /* ... or was made before that. */
  ROLL_WRONG  /* It is none, or there is no memory for it. */
};

void roll_init(struct roll *roll, struct holt_mem *mem);
void roll_deinit(struct roll *roll);

/* Take what a member tells. */
enum roll_news roll_take(struct roll *roll, struct term_slice term);

/* What is to be told to others; empty: nothing. */
static inline struct term_slice
roll_term(const struct roll *roll)
{
  return term_slice(roll->bytes, roll->size);
}

bool roll_has(const struct roll *roll, const struct holt_member *member);

#endif /* HOLT_NODE_ROLL_H */
