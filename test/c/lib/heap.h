/* SPDX-License-Identifier: Apache-2.0 */
/* A heap that watches its users and fails on command.
 *
 * Behind a struct holt_mem it checks that every block is freed, and that the
 * old size is exact each time; it moves every block it resizes, so that a stale
 * pointer is found by the sanitizer.  It can refuse one request: the
 * fail_at-th, counting everything but freeing.
 *
 *     struct heap heap;
 *     heap_init(&heap);
 *     ... use &heap.mem ...
 *     CU_ASSERT(heap_is_clean(&heap));
 *     heap_deinit(&heap);
 *
 * heap_fail_each() runs a scenario again and again with request 1, 2, 3...
 * refused, until one run needs no more requests than were granted.
 */
#ifndef HOLT_TEST_HEAP_H
#define HOLT_TEST_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/mem.h>

struct heap_block;

struct heap {
  struct holt_mem mem;
  uint64_t requests;         /* Made so far, freeing not counted. */
  uint64_t fail_at;          /* The request to refuse; 0: none. */
  bool fail_after;           /* Refuse all later ones, too. */
  bool failed;               /* One was refused. */
  uint64_t mistakes;         /* Wrong sizes, unknown blocks. */
  size_t blocks_count;       /* Alive. */
  struct heap_block *blocks; /* Alive. */
};

/* Prepare an empty heap that grants everything.  The heap must not be moved:
 * its mem points back at it. */
void heap_init(struct heap *heap);

/* Free whatever is left. */
void heap_deinit(struct heap *heap);

/* True iff nothing is allocated and no mistake was made. */
bool heap_is_clean(const struct heap *heap);

/* A scenario uses mem, cleans up, and returns 0 or the error it met. */
typedef int (*heap_scenario)(struct holt_mem *mem, void *arg);

/* Run the scenario with each request refused once.  A refused run may return 0
 * (the code did without) or HOLT_ERR_NOMEM; the untouched one must return 0;
 * all must leave the heap clean.  Returns true if so, else says on stderr which
 * run broke the rule.  requests, unless NULL, tells how many there were. */
bool heap_fail_each(heap_scenario scenario, void *arg, uint64_t *requests);

#endif /* HOLT_TEST_HEAP_H */
