/* SPDX-License-Identifier: Apache-2.0 */
/* Lookups: who has a key that any number of processes may have, and which keys
 * begin like this?
 *
 * The answer may be long, so it is gathered in pieces, a job of turn.h each,
 * and sent when it is whole.
 *
 *     lookup_start ---------> tour over the rows of the key --> dist_reply
 *     lookup_start_prefix --> scan of all -------------------->
 *                             LOOKUP_ROWS a piece
 *
 * Whoever has the key from the first piece to the last is in the answer; who
 * comes or goes meanwhile may be.
 *
 * Memory:  the answer, at most LOOKUP_BYTES_MAX.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_LOOKUP_H
#define HOLT_NODE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dist.h"
#include "instance.h"
#include "list.h"
#include "turn.h"

#define LOOKUP_ROWS 128u
#define LOOKUP_BYTES_MAX (32u << 20)

/* At a time. */
#define LOOKUPS_MAX 1024u

struct lookups {
  struct turn *turn;
  struct holt_mem *mem;
  uint32_t process; /* That answers. */
  struct list running;
  size_t count;
};

void lookups_init(struct lookups *lookups, struct turn *turn,
                  struct holt_mem *mem, uint32_t process);

/* Begin to answer the call of `from', which is a term, with [{Pid, Value}].
 *
 * HOLT_ERR_NOT_FOUND: nobody has it; nothing was begun.
 * HOLT_ERR_NOMEM, HOLT_ERR_BUSY (LOOKUPS_MAX): likewise. */
int lookup_start(struct lookups *lookups, struct instance *instance,
                 struct dist_peer *peer, struct term_slice from,
                 const uint8_t *key, size_t key_size);

/* The same with [{Key, Pid, Value}]: every registration whose key is a binary
 * that begins with these bytes. */
int lookup_start_prefix(struct lookups *lookups, struct instance *instance,
                        struct dist_peer *peer, struct term_slice from,
                        struct term_slice prefix);

/* Whether a key, a term, is a binary that begins with these bytes. */
bool lookup_has_prefix(struct term_slice key, struct term_slice prefix);

/* Forget those of a peer that is lost; NULL: all. */
void lookups_forget(struct lookups *lookups, const struct dist_peer *peer);

/* {Pid, Value}, of a registration. */
void lookup_put(struct term_writer *writer, const struct holt_view *view);
/* {Key, Pid, Value}. */
void lookup_put_entry(struct term_writer *writer, const struct holt_view *view);
void lookup_put_pid(struct term_writer *writer, const struct holt_view *view);
void lookup_put_value(struct term_writer *writer, const struct holt_view *view);

#endif /* HOLT_NODE_LOOKUP_H */
