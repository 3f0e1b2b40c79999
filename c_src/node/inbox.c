/* SPDX-License-Identifier: Apache-2.0 */
#include "inbox.h"

#include <stdint.h>
#include <string.h>

struct inbox_letter {
  struct inbox_letter *next;
  size_t header_size;
  size_t body_size;
  uint8_t bytes[]; /* Header, body. */
};

void
inbox_init(struct inbox *inbox, struct holt_replica *replica,
           const struct holt_tuning *tuning, struct holt_mem *mem,
           size_t bytes_max)
{
  *inbox = (struct inbox){ .replica = replica,
                           .tuning = tuning,
                           .mem = mem,
                           .bytes_max = bytes_max };
  inbox->tail = &inbox->head;
}

static size_t
letter_size(const struct inbox_letter *letter)
{
  return sizeof *letter + letter->header_size + letter->body_size;
}

/* The head is used up. */
static void
drop_head(struct inbox *inbox)
{
  struct inbox_letter *const letter = inbox->head;
  if (inbox->message != NULL) {
    holt_message_close(inbox->message);
    inbox->message = NULL;
  }
  inbox->head = letter->next;
  if (inbox->head == NULL) {
    inbox->tail = &inbox->head;
  }
  inbox->count--;
  inbox->bytes -= letter_size(letter);
  holt_mem_free(inbox->mem, letter, letter_size(letter));
}

void
inbox_deinit(struct inbox *inbox)
{
  while (inbox->head != NULL) {
    drop_head(inbox);
  }
}

/* Put a copy at the end of the queue; NULL: it has been refused. */
static struct inbox_letter *
copy(struct inbox *inbox, struct term_slice header, struct term_slice body)
{
  const size_t size = sizeof(struct inbox_letter) + header.size + body.size;
  struct inbox_letter *letter = NULL;
  if (inbox->bytes + size <= inbox->bytes_max) {
    letter = holt_mem_alloc(inbox->mem, size);
  }
  if (letter == NULL) {
    holt_replica_refused(inbox->replica, header.bytes, header.size,
                         HOLT_ERR_BUSY);
    return NULL;
  }
  letter->next = NULL;
  letter->header_size = header.size;
  letter->body_size = body.size;
  memcpy(letter->bytes, header.bytes, header.size);
  memcpy(letter->bytes + header.size, body.bytes, body.size);
  *inbox->tail = letter;
  inbox->tail = &letter->next;
  inbox->count++;
  inbox->bytes += size;
  return letter;
}

/* Read and check it, and apply the first slice.  HOLT_MORE leaves *message
 * open. */
static int
begin(struct inbox *inbox, struct term_slice header, struct term_slice body,
      const struct holt_time *now, size_t budget, struct holt_message **message)
{
  int rv = holt_message_open(message, inbox->mem, header.bytes, header.size,
                             body.bytes, body.size);
  if (rv != 0) {
    holt_replica_refused(inbox->replica, header.bytes, header.size, rv);
    return rv;
  }
  rv = holt_replica_apply(inbox->replica, *message, now, budget);
  if (rv != HOLT_MORE) {
    holt_message_close(*message);
    *message = NULL;
  }
  return rv;
}

void
inbox_take(struct inbox *inbox, struct term_slice header,
           struct term_slice body, const struct holt_time *now, size_t budget)
{
  if (inbox->head != NULL) {
    (void)copy(inbox, header, body);
    return;
  }
  struct holt_message *message = NULL;
  if (begin(inbox, header, body, now, budget, &message) != HOLT_MORE) {
    return;
  }
  struct inbox_letter *const letter = copy(inbox, header, body);
  if (letter == NULL) {
    holt_message_close(message); /* As if the rest had been lost. */
    return;
  }
  holt_message_move(message, letter->bytes + letter->header_size);
  inbox->message = message;
}

bool
inbox_work(struct inbox *inbox, const struct holt_time *now, size_t budget)
{
  const struct inbox_letter *const letter = inbox->head;
  if (letter == NULL) {
    return false;
  }
  int rv;
  if (inbox->message != NULL) {
    rv = holt_replica_apply(inbox->replica, inbox->message, now, budget);
  } else {
    rv =
      begin(inbox, term_slice(letter->bytes, letter->header_size),
            term_slice(letter->bytes + letter->header_size, letter->body_size),
            now, budget, &inbox->message);
  }
  if (rv != HOLT_MORE) {
    drop_head(inbox);
  }
  return inbox->head != NULL;
}

void
inbox_finish(struct inbox *inbox, const struct holt_time *now)
{
  while (inbox->message != NULL) {
    (void)inbox_work(inbox, now, SIZE_MAX);
  }
}
