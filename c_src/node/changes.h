/* SPDX-License-Identifier: Apache-2.0 */
/* Changes: what has become different in an instance lately?
 *
 * The replica tells each change once, inside of some other call.  Here it is
 * written down as the term that whoever watches will get, and numbered; they
 * read on from where they are, at their own pace:
 *
 *     replica --> [ 7 | 8 | 9 | 10 | 11 | 12 ]        next is 13
 *                   ^       ^            ^
 *                 first    slow         quick         (who watches: watch.h)
 *
 * What all have read is forgotten; and the oldest fall out when there are too
 * many.  Who had not read them yet is behind `first', and knows by that.
 *
 * A change is a map:
 *
 *     #{type => registered | updated | unregistered,
 *       key, pid, value, previous => {Pid, Value} | undefined,
 *       reason => user | down | conflict | given_away | unknown | member}
 *     #{type => member_up | member_down, member => {Name, Node}, count}
 *
 * Who has been unregistered is pid and value, and previous, too.
 *
 * Cost:    O(size of the key and the values) a change, whoever watches.
 * Memory:  CHANGES_MAX of them, CHANGES_BYTES_MAX; the newest whatever its
 *          size.  When there is no memory for one, all have been missed.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_CHANGES_H
#define HOLT_NODE_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/mem.h>
#include <holt/replica.h>

#include "term.h"

#define CHANGES_MAX 65536u
#define CHANGES_BYTES_MAX (16u << 20)

struct change {
  size_t size; /* Of the term. */
  size_t key_at;
  size_t key_size; /* 0: of a member. */
  uint8_t term[];
};

struct changes {
  struct holt_mem *mem;
  struct holt_replica *replica;
  struct change **ring; /* CHANGES_MAX; by number modulo that. */
  uint64_t first;       /* The oldest that is there. */
  uint64_t next;
  size_t bytes;
  struct term_writer writer;
  void (*news)(void *user); /* There is one more, or some have been missed. */
  void *user;
};

/* Write down what changes from now on.  HOLT_ERR_NOMEM. */
int changes_init(struct changes *changes, struct holt_replica *replica,
                 struct holt_mem *mem, void (*news)(void *user), void *user);
void changes_deinit(struct changes *changes);

/* Write down nothing for now, what there is stays; and go on. */
void changes_pause(struct changes *changes);
void changes_resume(struct changes *changes);

/* Forget those before a number, at most so many.  True: they are gone. */
bool changes_forget(struct changes *changes, uint64_t before, size_t count);

/* The change of a number from first to before next. */
const struct change *changes_at(const struct changes *changes, uint64_t number);

static inline struct term_slice
change_term(const struct change *change)
{
  return term_slice(change->term, change->size);
}

static inline struct term_slice
change_key(const struct change *change)
{
  return term_slice(change->term + change->key_at, change->key_size);
}

#endif /* HOLT_NODE_CHANGES_H */
