/* SPDX-License-Identifier: Apache-2.0 */
/* Inbox: messages that are applied in slices, in the order they came.
 *
 * A message that is used up at once is never copied.  One that is not stays,
 * as a copy, at the head of a queue, and those that come after it wait behind
 * it.
 *
 * Memory:  copies, at most bytes_max of them.
 * Threads: none.
 */
#ifndef HOLT_NODE_INBOX_H
#define HOLT_NODE_INBOX_H

#include <stdbool.h>
#include <stddef.h>

#include <holt/replica.h>

#include "term.h"

struct inbox_letter;

/* Private to inbox.c, but for count. */
struct inbox {
  struct holt_replica *replica;     /* Borrowed. */
  const struct holt_tuning *tuning; /* Borrowed. */
  struct holt_mem *mem;             /* Borrowed. */
  struct holt_message *message;     /* Half applied: that of the head. */
  struct inbox_letter *head;
  struct inbox_letter **tail;
  size_t count;
  size_t bytes;
  size_t bytes_max;
};

void inbox_init(struct inbox *inbox, struct holt_replica *replica,
                const struct holt_tuning *tuning, struct holt_mem *mem,
                size_t bytes_max);
void inbox_deinit(struct inbox *inbox);

/* A message came in.  What is wrong with it is counted by the replica. */
void inbox_take(struct inbox *inbox, struct term_slice header,
                struct term_slice body, const struct holt_time *now,
                size_t budget);

/* Apply about budget rows of what waits.  True: something still waits. */
bool inbox_work(struct inbox *inbox, const struct holt_time *now,
                size_t budget);

/* Apply the rest of a message that is half applied. */
void inbox_finish(struct inbox *inbox, const struct holt_time *now);

/* Whether a message is half applied. */
static inline bool
inbox_is_amid(const struct inbox *inbox)
{
  return inbox->message != NULL;
}

#endif /* HOLT_NODE_INBOX_H */
