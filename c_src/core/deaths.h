/* SPDX-License-Identifier: Apache-2.0 */
/* Deaths: which rows have gone, and when?
 *
 * A peer that holds our rows up to seq 40 and is to come to 50 must be told
 * which of the rows it holds have died in between.  The rows are gone, so a log
 * keeps what is left of them, by the seq that their removal took:
 *
 *     at     41   44   45   49
 *     birth   7   39    8   43      a ring; the oldest fall out when it is full
 *     why   user down  down user
 *
 * Order:   by ascending at.
 * Cost:    append O(1), find O(log n).
 * Memory:  grows to HOLT_DEATHS_MAX entries and no further.  Where memory is
 *          refused the oldest entries go: a death is never refused.  A peer
 *          that is behind `base` cannot be served from the log: it is repaired.
 * Threads: none.
 */
#ifndef HOLT_CORE_DEATHS_H
#define HOLT_CORE_DEATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/mem.h>
#include <holt/replica.h>

/* One MiB: beyond that repairing a peer is cheaper than remembering for it.
 * Builds that verify have less, so that it runs over. */
#ifdef HOLT_VERIFY
#define HOLT_DEATHS_MAX 256u
#else
#define HOLT_DEATHS_MAX 65536u
#endif

struct holt_death {
  uint64_t at;        /* The seq of the removal. */
  uint64_t birth_why; /* Of the row that went: birth << 8 | reason */
};

static inline uint64_t
holt_death_birth(const struct holt_death *death)
{
  return death->birth_why >> 8;
}

static inline enum holt_reason
holt_death_why(const struct holt_death *death)
{
  return (enum holt_reason)(death->birth_why & 0xffu);
}

struct holt_deaths {
  struct holt_death *ring;
  size_t capacity; /* A power of two, or 0. */
  size_t start;
  size_t count;
  uint64_t base; /* Deaths at or before it may be missing. */
  struct holt_mem *mem;
};

void holt_deaths_init(struct holt_deaths *deaths, struct holt_mem *mem);
void holt_deaths_deinit(struct holt_deaths *deaths);

/* Note a death; at is greater than every one before.  Cannot fail. */
void holt_deaths_append(struct holt_deaths *deaths, uint64_t at, uint64_t birth,
                        enum holt_reason why);

/* The index of the first death after seq; count when there is none. */
size_t holt_deaths_after(const struct holt_deaths *deaths, uint64_t seq);

/* The death with this index, counted from the oldest. */
const struct holt_death *holt_deaths_get(const struct holt_deaths *deaths,
                                         size_t index);

#endif /* HOLT_CORE_DEATHS_H */
