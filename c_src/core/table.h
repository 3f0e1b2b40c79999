/* SPDX-License-Identifier: Apache-2.0 */
/* Hash table that never stops to rehash.
 *
 * A table that doubles must move everything once; at a million names that is a
 * pause no NIF may make.  Linear hashing (Litwin 1980; Larson: Dynamic hash
 * tables, 1988) grows by one bucket at a time: the next in line is split,
 * and removals join them again in the opposite order.  With buckets = 2^level +
 * split, the buckets below split and those from 2^level on have been split at
 * this level already and use level + 1 low bits of the hash, the rest level:
 *
 *      0        split         2^level      buckets
 *      +----------+--------------+------------+
 *      | level+1  |    level     |  level+1   |      bits used
 *      +----------+--------------+------------+
 *
 * Bucket heads live in segments of 512, found through a directory that doubles;
 * the nodes live in the user's own structs, so inserting allocates no node.
 *
 *     directory -> [seg][seg][ ]    seg -> [head x 512]    head -> node -> node
 *
 * Scanning goes in the order of the bit-reversed hash, the node's position.
 * There each bucket is one contiguous range, and splitting cuts a range in two
 * without moving anything out of it.  So a cursor that is a position stays
 * right however the table grows or shrinks between two calls:
 *
 *     position  0        cursor                              2^32
 *               |--done----|.......still to come...............|
 *
 * Order:   none within a bucket.
 * Cost:    insert, remove, chain: O(1) expected, plus at most a few buckets
 *          split or joined.  Doubling the directory copies 8 bytes per 512
 *          buckets: 16 KiB at a million, 2 MiB at HOLT_TABLE_BUCKETS_MAX.  What
 *          the host's allocator does with a freed segment is not counted.
 * Memory:  8 to 16 bytes per node while it grows; 4 KiB at least, nothing while
 *          it never held a node.
 * Threads: none.  Readers may share it while nobody inserts or removes.
 */
#ifndef HOLT_CORE_TABLE_H
#define HOLT_CORE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>
#include <holt/mem.h>

#define HOLT_TABLE_SEGMENT_BITS 9
#define HOLT_TABLE_SEGMENT (1u << HOLT_TABLE_SEGMENT_BITS)

/* Beyond this chains grow instead, because doubling the directory would take
 * longer than a call may. */
#define HOLT_TABLE_BUCKETS_MAX (1u << 27)

/* The cursor after the last position. */
#define HOLT_TABLE_SCAN_END (UINT64_C(1) << 32)

/* Embedded in the user's struct.  The user reads both and writes neither. */
struct holt_table_node {
  struct holt_table_node *next;
  uint32_t hash;
};

/* A run of bucket heads, and the unit of allocation. */
struct holt_table_segment {
  struct holt_table_node *heads[HOLT_TABLE_SEGMENT];
};

/* Only count is for others to read. */
struct holt_table {
  size_t count; /* Nodes. */
  struct holt_table_segment **directory;
  uint32_t directory_capacity; /* Segments it has room for; a power of two. */
  uint32_t segments;           /* Segments allocated. */
  uint32_t buckets;            /* In use: 0, or 512 and more. */
  uint32_t level;              /* 2^level <= buckets < 2^(level + 1). */
  struct holt_mem *mem;        /* Borrowed. */
};

/* Prepare an empty table.  Allocates nothing, returns 0. */
int holt_table_init(struct holt_table *table, struct holt_mem *mem);

/* Free the table's own memory; nodes in it are forgotten, not freed.  The table
 * is then as after holt_table_init().  Takes O(buckets / 512): a table that may
 * be large is emptied in slices first, and shrinks while that happens. */
void holt_table_deinit(struct holt_table *table);

/* Add a node.  Equal hashes, even equal keys, are the caller's affair.
 *
 * HOLT_ERR_NOMEM   the first segment could not be allocated; nothing changed.
 *                  From then on inserting never fails: where growing fails the
 *                  chains are longer until a later insert grows the table. */
int holt_table_insert(struct holt_table *table, struct holt_table_node *node,
                      uint32_t hash);

/* Take out a node that is in the table. */
void holt_table_remove(struct holt_table *table, struct holt_table_node *node);

/* First node of the bucket for this hash, or NULL.  Other hashes are in the
 * chain as well: the caller follows next, comparing hash and then its own key.
 */
struct holt_table_node *holt_table_chain(const struct holt_table *table,
                                         uint32_t hash);

/* One step of a scan.  cursor is 0 at first, later what the step before
 * returned.  *chain becomes the bucket that holds this position (or NULL, if
 * that is empty); the result is the cursor for the next step, or
 * HOLT_TABLE_SCAN_END.
 *
 * Only nodes whose holt_table_node_position() is at least the cursor given
 * count; the caller passes over the others.  A node that is in the table during
 * the whole scan then counts exactly once, whatever is inserted and removed
 * between steps.
 *
 * While walking a chain the caller may remove the node it stands on, having
 * read its next before, and nothing else. */
uint64_t holt_table_scan(const struct holt_table *table, uint64_t cursor,
                         struct holt_table_node **chain);

static inline uint32_t
holt__table_reverse(uint32_t word)
{
  word = (word >> 1 & 0x55555555u) | (word & 0x55555555u) << 1;
  word = (word >> 2 & 0x33333333u) | (word & 0x33333333u) << 2;
  word = (word >> 4 & 0x0f0f0f0fu) | (word & 0x0f0f0f0fu) << 4;
  word = (word >> 8 & 0x00ff00ffu) | (word & 0x00ff00ffu) << 8;
  return word >> 16 | word << 16;
}

/* Where a scan meets this node: its hash with the bits reversed. */
static inline uint32_t
holt_table_node_position(const struct holt_table_node *node)
{
  return holt__table_reverse(node->hash);
}

#endif /* HOLT_CORE_TABLE_H */
