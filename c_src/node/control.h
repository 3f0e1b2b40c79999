/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: what does a frame ask of a node?
 *
 * Once two nodes know each other, a frame is a control message, a tuple that
 * begins with the number of an operation, and maybe a second term:
 *
 *     112  131 {6, From, '', Name}  131 Message      send Message to Name
 *      |    |   `-- control tuple    `-- payload
 *      |    version of the term format
 *      pass-through: neither atom cache nor fragments, for we offer neither
 *
 * control_read() checks all of a frame against a table, the type of each
 * element included, before anybody looks at it: what it hands out is whole.
 * Operations that differ in nothing that matters to us, such as those with a
 * trace token, or with the reason as a payload, become one.
 *
 * Cost:    O(bytes of the frame), once.
 * Memory:  none; slices are borrowed from the frame.
 * Threads: none.
 */
#ifndef HOLT_NODE_CONTROL_H
#define HOLT_NODE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "term.h"

/* The numbers of what we send, and of what is told apart on receipt. */
enum control_op {
  CONTROL_LINK = 1,
  CONTROL_SEND = 2,
  CONTROL_EXIT = 3,
  CONTROL_UNLINK = 4,
  CONTROL_REG_SEND = 6,
  CONTROL_GROUP_LEADER = 7,
  CONTROL_EXIT2 = 8,
  CONTROL_MONITOR = 19,
  CONTROL_DEMONITOR = 20,
  CONTROL_MONITOR_EXIT = 21,
  CONTROL_EXIT_PAYLOAD = 24,         /* Read as CONTROL_EXIT. */
  CONTROL_MONITOR_EXIT_PAYLOAD = 28, /* Read as CONTROL_MONITOR_EXIT. */
  CONTROL_ALIAS_SEND = 33,
  CONTROL_UNLINK_ID = 35,
  CONTROL_UNLINK_ID_ACK = 36
};

/* One control message.  What its operation does not have is empty. */
struct control {
  enum control_op op;
  unsigned number;           /* As found. */
  struct term_slice from;    /* A pid; of MONITOR_EXIT a pid or an atom. */
  struct term_slice to;      /* A pid; of MONITOR, DEMONITOR a pid or an atom;
                              * of REG_SEND an atom. */
  struct term_slice ref;     /* A reference. */
  struct term_slice id;      /* Of UNLINK_ID: an integer. */
  struct term_slice reason;  /* Any term. */
  struct term_slice payload; /* The message: any term. */
};

/* Read a frame that is not empty (an empty one is a tick).
 *
 * HOLT_ERR_MALFORMED     not a control message of the right form.
 * HOLT_ERR_UNSUPPORTED   an operation, or a kind of frame, that we did not
 *                        offer; number is set. */
int control_read(struct term_slice frame, struct control *control);

/* Begin a frame in an empty writer: room for its length, then the tuple of op
 * and the elements. */
void control_put(struct term_writer *writer, enum control_op op,
                 const struct term_slice *elements, uint32_t count);

/* Put the version byte that stands before a payload. */
void control_put_payload(struct term_writer *writer);

/* Set the length of a frame begun by control_put(), of which more bytes come
 * after what is in the writer.  HOLT_ERR_TOO_LARGE; or the writer's error. */
int control_finish(struct term_writer *writer, uint64_t more);

/* Whether the tag of a '$gen_call' holds an alias that wants the answer, as
 * [alias|Ref] or [[alias|Ref]|_]; ref becomes that. */
bool control_alias(struct term_slice tag, struct term_slice *ref);

#endif /* HOLT_NODE_CONTROL_H */
