/* SPDX-License-Identifier: Apache-2.0 */
/* Index: a hash table that grows and shrinks without ever stalling.
 *
 * An ordinary table doubles all at once, and at a million names that is a pause
 * of many milliseconds in the middle of somebody's register call.  This one
 * grows by linear hashing (Litwin 1980; Larson 1988): bucket by bucket, at most
 * a few per insert, so every call stays short.
 *
 * With `level` and `split` so that there are 2^level + split buckets, a bucket
 * below split has been split in two already and uses level + 1 low bits of the
 * hash, the rest level:
 *
 *      0        split         2^level      buckets
 *      +----------+--------------+------------+
 *      | level+1  |    level     |  level+1   |      bits used
 *      +----------+--------------+------------+
 *
 * Nodes are references of 32 bits, 0 for none.  What they refer to is the
 * user's affair, and so is where the rest of the chain and the hash are kept:
 * two callbacks tell, when something is inserted, removed or split.  Whoever
 * looks something up follows the chain without them.
 *
 *     directory -> [seg][seg][ ]    seg -> [head x 1024]    head -> ref -> ref
 *
 * The first segment starts with 16 heads and doubles.
 *
 * Scanning goes in the order of the bit-reversed hash, the node's position.
 * There each bucket is one contiguous range, and splitting cuts a range in two
 * without moving anything out of it.  So a cursor that is a position stays
 * right however the index grows or shrinks between two calls:
 *
 *     position  0        cursor                              2^32
 *               |--done----|.......still to come...............|
 *
 * Order:   none within a bucket, but nodes of the same hash are met youngest
 *          first.
 * Cost:    insert, remove, chain: O(1) expected, plus at most a few buckets
 *          split or joined.  Doubling the directory copies 8 bytes per 1024
 *          buckets: 8 KiB at a million, 1 MiB at HOLT_INDEX_BUCKETS_MAX.
 * Memory:  4 to 8 bytes per bucket; 72 at least, nothing while it never held a
 *          node.
 * Threads: none.  Readers may share it while nobody inserts or removes.
 */
#ifndef HOLT_CORE_INDEX_H
#define HOLT_CORE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>
#include <holt/mem.h>

#include "invariant.h"
#include "prefetch.h"

#define HOLT_INDEX_SEGMENT_BITS 10
#define HOLT_INDEX_SEGMENT (1u << HOLT_INDEX_SEGMENT_BITS)

/* The fewest buckets, once there are any. */
#define HOLT_INDEX_BUCKETS_BITS_MIN 4
#define HOLT_INDEX_BUCKETS_MIN (1u << HOLT_INDEX_BUCKETS_BITS_MIN)

/* Beyond this chains grow instead, because doubling the directory would take
 * longer than a call may. */
#define HOLT_INDEX_BUCKETS_MAX (1u << 27)

/* The cursor after the last position. */
#define HOLT_INDEX_SCAN_END (UINT64_C(1) << 32)

/* Where the reference that follows this one in its chain is kept. */
typedef uint32_t *(*holt_index_next_fn)(void *user, uint32_t ref);

/* Its hash: always the same while it is in the index. */
typedef uint32_t (*holt_index_hash_fn)(void *user, uint32_t ref);

/* Only count is for others to read. */
struct holt_index {
  size_t count;                /* Nodes. */
  uint32_t **directory;        /* Segments. */
  uint32_t buckets;            /* In use: 0, or 16 and more. */
  uint32_t level;              /* 2^level <= buckets < 2^(level + 1). */
  uint32_t directory_capacity; /* Segments it has room for; a power of two. */
  uint32_t segments;           /* Segments allocated. */
  uint32_t heads;              /* In them: a power of two while there is one. */
  struct holt_mem *mem;        /* Borrowed. */
  holt_index_next_fn next;
  holt_index_hash_fn hash;
  void *user;     /* Handed to the callbacks. */
  uint8_t sparse; /* For others to set: buckets per node, a power of two, */
  uint8_t dense;  /* and nodes per bucket.  One each, at first. */
};

/* Prepare an empty index.  Allocates nothing. */
void holt_index_init(struct holt_index *index, struct holt_mem *mem,
                     holt_index_next_fn next, holt_index_hash_fn hash,
                     void *user);

/* Free the index's own memory; the callbacks are not called.  It is then as
 * after holt_index_init().  Takes O(buckets / 1024). */
void holt_index_deinit(struct holt_index *index);

/* Make sure that the next insert succeeds.
 *
 * HOLT_ERR_NOMEM   the first segment could not be allocated; nothing changed.
 *                  From then on this never fails, while there is a node or no
 *                  holt_index_deinit(). */
int holt_index_reserve(struct holt_index *index);

/* Add a node of this hash, after holt_index_reserve().  Equal hashes, even
 * equal keys, are the caller's affair.  Where growing fails the chains are
 * longer until a later insert grows the index.  There is a faster form at the
 * end. */
void holt_index_insert(struct holt_index *index, uint32_t ref, uint32_t hash);

/* Take out a node that is in the index. */
void holt_index_remove(struct holt_index *index, uint32_t ref);

/* Put another node, which is not in the index and has the same hash, in the
 * place of one that is. */
void holt_index_replace(struct holt_index *index, uint32_t ref, uint32_t other);

/* The low bits of the hash that its bucket goes by: level + 1 if that has been
 * split at this level, else level. */
static inline uint32_t
holt__index_bits(const struct holt_index *index, uint32_t hash)
{
  const uint32_t size = 1u << index->level;
  const uint32_t split = index->buckets - size;
  return (hash & (size - 1)) < split ? index->level + 1 : index->level;
}

/* Where the head of the bucket for this hash is kept.  Not for an index without
 * buckets. */
static inline uint32_t *
holt__index_head(const struct holt_index *index, uint32_t hash)
{
  const uint32_t bucket = hash & ((1u << holt__index_bits(index, hash)) - 1);
  return &index->directory[bucket >> HOLT_INDEX_SEGMENT_BITS]
                          [bucket & (HOLT_INDEX_SEGMENT - 1)];
}

/* First node of the bucket for this hash, or 0.  Other hashes are in the chain
 * as well: the caller follows it, comparing hash and then its own key. */
static inline uint32_t
holt_index_chain(const struct holt_index *index, uint32_t hash)
{
  return index->buckets == 0 ? 0 : *holt__index_head(index, hash);
}

/* Have the head of the bucket for this hash fetched. */
static inline void
holt_index_prefetch_chain(const struct holt_index *index, uint32_t hash)
{
  if (index->buckets > 0) {
    holt_prefetch(holt__index_head(index, hash));
  }
}

/* One step of a scan.  cursor is 0 at first, later what the step before
 * returned.  *chain becomes the bucket that holds this position (or 0, if that
 * is empty); the result is the cursor for the next step, or
 * HOLT_INDEX_SCAN_END.
 *
 * Only nodes whose holt_index_position() is at least the cursor given count;
 * the caller passes over the others.  A node that is in the index during the
 * whole scan then counts exactly once, whatever is inserted and removed between
 * steps.
 *
 * While walking a chain the caller may remove the node it stands on, having
 * read its next before, and nothing else. */
uint64_t holt_index_scan(const struct holt_index *index, uint64_t cursor,
                         uint32_t *chain);

/* What that returns, found without a look at the bucket, which is fetched. */
static inline uint64_t holt_index_scan_ahead(const struct holt_index *index,
                                             uint64_t cursor);

/* Where a scan meets a node of this hash: the hash with its bits reversed. */
static inline uint32_t
holt_index_position(uint32_t hash)
{
  hash = (hash >> 1 & 0x55555555u) | (hash & 0x55555555u) << 1;
  hash = (hash >> 2 & 0x33333333u) | (hash & 0x33333333u) << 2;
  hash = (hash >> 4 & 0x0f0f0f0fu) | (hash & 0x0f0f0f0fu) << 4;
  hash = (hash >> 8 & 0x00ff00ffu) | (hash & 0x00ff00ffu) << 8;
  return hash >> 16 | hash << 16;
}

/* A bucket's nodes share so many low bits of the hash, which are high bits of
 * the position: its range is one aligned block. */
static inline uint64_t
holt__index_scan_next(const struct holt_index *index, uint64_t cursor,
                      uint32_t hash)
{
  const uint64_t range = HOLT_INDEX_SCAN_END >> holt__index_bits(index, hash);
  return (cursor | (range - 1)) + 1;
}

static inline uint64_t
holt_index_scan_ahead(const struct holt_index *index, uint64_t cursor)
{
  if (index->buckets == 0) {
    return HOLT_INDEX_SCAN_END;
  }
  const uint32_t hash = holt_index_position((uint32_t)cursor);
  holt_prefetch(holt__index_head(index, hash));
  return holt__index_scan_next(index, cursor, hash);
}

/*--------------------------------------------------------------------
 * Inserting, inline
 *
 * Most of an insert is asking where nodes keep their links and hashes.  Where
 * many are inserted the callbacks are named in the call as constants, and the
 * compiler sees through them. */

/* Splits an insert may do.  A sparse index needs two, and more so that one that
 * could not grow for some time catches up. */
#define HOLT__INDEX_SPLITS_MAX 3u

/* Have a head for bucket number `buckets`, the next one.  False: there is none,
 * and the index is as it was. */
bool holt__index_grow(struct holt_index *index);

/* How many buckets there should be. */
static inline size_t
holt__index_wanted(const struct holt_index *index)
{
  return (index->count << index->sparse) >> index->dense;
}

static inline uint32_t *
holt__index_bucket(const struct holt_index *index, uint32_t bucket)
{
  holt_assert(bucket < index->buckets);

  return &index->directory[bucket >> HOLT_INDEX_SEGMENT_BITS]
                          [bucket & (HOLT_INDEX_SEGMENT - 1)];
}

/* Add one bucket: the next in line gives up the nodes that have the next bit of
 * their hash set. */
static inline bool
holt__index_split(struct holt_index *index, holt_index_next_fn next_of,
                  holt_index_hash_fn hash_of)
{
  if (index->buckets == index->heads && !holt__index_grow(index)) {
    return false;
  }
  const uint32_t bit = 1u << index->level;
  uint32_t *stay = holt__index_bucket(index, index->buckets - bit);
  index->buckets++;
  index->level += index->buckets == bit << 1 ? 1u : 0u;
  uint32_t *move = holt__index_bucket(index, index->buckets - 1);
  holt_assert(*move == 0);

  /* Both chains keep their order; stay and move are the ends built so far.
   * Most links stay what they are, and are then not written. */
  uint32_t ref = *stay;
  while (ref != 0) {
    uint32_t *const next = next_of(index->user, ref);
    uint32_t **const end =
      (hash_of(index->user, ref) & bit) != 0 ? &move : &stay;
    if (**end != ref) {
      **end = ref;
    }
    *end = next;
    ref = *next;
  }
  if (*stay != 0) {
    *stay = 0;
  }
  if (*move != 0) {
    *move = 0;
  }
  return true;
}

/* How many splits ahead nodes are fetched: the first of the chain, and the one
 * after that. */
#define HOLT__INDEX_FETCH_FIRST 8u
#define HOLT__INDEX_FETCH_SECOND 4u

/* The first node of a bucket that will be split after as many others, or 0. */
static inline uint32_t
holt__index_ahead(const struct holt_index *index, uint32_t splits)
{
  const uint32_t size = 1u << index->level;
  const uint32_t bucket = index->buckets - size + splits;
  return bucket < size ? *holt__index_bucket(index, bucket) : 0;
}

/* Have the memory that the next inserts will split fetched. */
static inline void
holt_index_prefetch_split(const struct holt_index *index,
                          holt_index_next_fn next_of)
{
  if (index->buckets == 0) {
    return;
  }
  for (uint32_t i = 0; i < 1u << index->sparse; i++) {
    const uint32_t first =
      holt__index_ahead(index, HOLT__INDEX_FETCH_FIRST + i);
    if (first != 0) {
      holt_prefetch(next_of(index->user, first));
    }
    const uint32_t before =
      holt__index_ahead(index, HOLT__INDEX_FETCH_SECOND + i);
    const uint32_t second = before == 0 ? 0 : *next_of(index->user, before);
    if (second != 0) {
      holt_prefetch(next_of(index->user, second));
    }
  }
}

/* The same as holt_index_insert(); the callbacks are those of the index. */
static inline void
holt_index_insert_inline(struct holt_index *index, uint32_t ref, uint32_t hash,
                         holt_index_next_fn next_of, holt_index_hash_fn hash_of)
{
  holt_assert(ref != 0);
  holt_assert(index->buckets > 0);
  holt_verify(index->next == next_of && index->hash == hash_of);
  holt_verify(hash_of(index->user, ref) == hash);

  uint32_t *const head = holt__index_head(index, hash);
  *next_of(index->user, ref) = *head;
  *head = ref;
  index->count++;

  for (uint32_t i = 0; i < HOLT__INDEX_SPLITS_MAX; i++) {
    if (holt__index_wanted(index) <= index->buckets ||
        !holt__index_split(index, next_of, hash_of)) {
      break;
    }
  }
}

#endif /* HOLT_CORE_INDEX_H */
