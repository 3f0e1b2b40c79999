/* SPDX-License-Identifier: Apache-2.0 */
/* Log: the changes of an instance, the last so many of them.
 *
 * Those who follow an instance read its changes when they come to it, each by
 * itself, and begin anew where they stopped.  How is a change kept for them
 * without being kept for ever, and without costing whoever makes it more than a
 * copy?  Changes are numbered, and lie one behind the other in chunks; when
 * there are too many, the oldest chunk goes.  Who comes too late sees from the
 * numbers that something is missing.
 *
 *     first                                  last
 *     [ 17 18 19 ] --> [ 20 21 22 23 ] --> [ 24 25      ]
 *       ^ oldest                                    ^ next = 26
 *
 * Order:   that of the changes.
 * Cost:    adding: O(bytes of the change); finding: O(chunks), and the changes
 *          of one.
 * Memory:  at most NIF_LOG_BYTES_MAX, taken from the account as it is needed.
 *          A change that is larger than a quarter of that is not kept, nor is
 *          one that there is no memory for: then all before it counts as
 *          missing, too.
 * Threads: adding needs the log alone; reading does not.
 */
#ifndef HOLT_NIF_LOG_H
#define HOLT_NIF_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/mem.h>
#include <holt/replica.h>

#define NIF_LOG_CHANGES_MAX 65536u
#define NIF_LOG_BYTES_MAX 16777216u

struct nif_log_chunk;

struct nif_log {
  struct holt_mem *mem;
  struct nif_log_chunk *first;
  struct nif_log_chunk *last;
  size_t count;
  size_t bytes;  /* Of the chunks. */
  uint64_t next; /* The number of the next change. */
};

/* Whose a key was or is.  Its bytes are the pid, as a local process's host word
 * or in the external format, and the value. */
struct nif_log_who {
  uint64_t host; /* 0: the process is of another node. */
  uint32_t pid_size;
  uint32_t value_size;
};

/* A change, and its bytes behind it: key, who, before; or a member's name and
 * node. */
struct nif_log_change {
  uint32_t size; /* Of all. */
  uint8_t type;  /* HOLT_CHANGE_ */
  uint8_t reason;
  bool had; /* before is there. */
  uint32_t key_size;
  union {
    struct {
      struct nif_log_who who; /* Has the key, or had it, if UNREGISTERED. */
      struct nif_log_who before;
    } name;
    struct {
      uint64_t actor;
      uint64_t count;
      uint32_t name_size;
      uint32_t node_size;
    } member;
  } of;
  uint8_t bytes[];
};

void nif_log_init(struct nif_log *log, struct holt_mem *mem);
void nif_log_deinit(struct nif_log *log);

/* Copy this change to the end. */
void nif_log_add(struct nif_log *log, const struct holt_change *change);

/* Keep none of what is there. */
void nif_log_forget(struct nif_log *log);

/* The number of the oldest change that is kept; next, if there is none. */
uint64_t nif_log_oldest(const struct nif_log *log);

/* A place in the log, as long as the log stays as it is. */
struct nif_log_cursor {
  const struct nif_log_chunk *chunk;
  const struct nif_log_change *change; /* NULL at the end. */
  uint64_t number;
};

/* Go to the change of this number, which is kept, or is the next. */
void nif_log_seek(const struct nif_log *log, uint64_t number,
                  struct nif_log_cursor *cursor);
void nif_log_step(struct nif_log_cursor *cursor);

#endif /* HOLT_NIF_LOG_H */
