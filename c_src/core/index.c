/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"

#include <string.h>

/* Joins a removal may do.  The index shrinks when it has half the nodes it is
 * made for, so two joins per removal keep up, or four when it is sparse; more
 * catch up. */
#define INDEX_JOINS_MAX 6u

void
holt_index_init(struct holt_index *index, struct holt_mem *mem,
                holt_index_next_fn next, holt_index_hash_fn hash, void *user)
{
  *index =
    (struct holt_index){ .mem = mem, .next = next, .hash = hash, .user = user };
}

static size_t
directory_bytes(uint32_t capacity)
{
  return capacity * sizeof(uint32_t *);
}

static size_t
segment_bytes(uint32_t heads)
{
  return heads * sizeof(uint32_t);
}

/* Heads in the last segment: only the first one may be smaller. */
static uint32_t
last_segment_heads(const struct holt_index *index)
{
  return index->segments == 1 ? index->heads : HOLT_INDEX_SEGMENT;
}

static void
index_free_last_segment(struct holt_index *index)
{
  const uint32_t heads = last_segment_heads(index);
  index->segments--;
  index->heads -= heads;
  holt_mem_free(index->mem, index->directory[index->segments],
                segment_bytes(heads));
}

void
holt_index_deinit(struct holt_index *index)
{
  while (index->segments > 0) {
    index_free_last_segment(index);
  }
  holt_mem_free(index->mem, index->directory,
                directory_bytes(index->directory_capacity));
  const struct holt_index old = *index;
  holt_index_init(index, old.mem, old.next, old.hash, old.user);
  index->sparse = old.sparse;
  index->dense = old.dense;
}

static bool
index_resize_directory(struct holt_index *index, uint32_t capacity)
{
  void *const directory = holt_mem_resize(
    index->mem, index->directory, directory_bytes(index->directory_capacity),
    directory_bytes(capacity));
  if (directory == NULL) {
    return false;
  }
  index->directory = directory;
  index->directory_capacity = capacity;
  return true;
}

/* Give the first segment, the only one, another size. */
static bool
index_resize_first(struct holt_index *index, uint32_t heads)
{
  uint32_t *const segment =
    holt_mem_resize(index->mem, index->directory[0],
                    segment_bytes(index->heads), segment_bytes(heads));
  if (segment == NULL) {
    return false;
  }
  if (heads > index->heads) {
    memset(segment + index->heads, 0, segment_bytes(heads - index->heads));
  }
  index->directory[0] = segment;
  index->heads = heads;
  return true;
}

static bool
index_add_segment(struct holt_index *index, uint32_t heads)
{
  const uint32_t capacity = index->directory_capacity;
  if (index->segments == capacity &&
      !index_resize_directory(index, capacity == 0 ? 1 : capacity * 2)) {
    return false;
  }
  uint32_t *const segment = holt_mem_zalloc(index->mem, segment_bytes(heads));
  if (segment == NULL) {
    return false;
  }
  index->directory[index->segments++] = segment;
  index->heads += heads;
  return true;
}

bool
holt__index_grow(struct holt_index *index)
{
  if (index->buckets == HOLT_INDEX_BUCKETS_MAX) {
    return false;
  }
  if (index->heads < HOLT_INDEX_SEGMENT) {
    return index_resize_first(index, index->heads * 2);
  }
  return index_add_segment(index, HOLT_INDEX_SEGMENT);
}

/* Give back heads when none in use is among them, and half the directory when
 * three quarters of it are unused, so that growing again right away does not
 * bring it straight back.  What cannot be had smaller stays as it is. */
static void
index_release(struct holt_index *index)
{
  if (index->segments == 1) {
    if (index->buckets <= index->heads / 4) {
      (void)index_resize_first(index, index->heads / 2);
    }
    return;
  }
  if (index->buckets > (index->segments - 1) << HOLT_INDEX_SEGMENT_BITS) {
    return;
  }
  index_free_last_segment(index);
  const uint32_t capacity = index->directory_capacity / 2;
  if (index->segments <= capacity / 2) {
    (void)index_resize_directory(index, capacity);
  }
}

/* Undo the last split.  The nodes of the last bucket go before those of the one
 * they came from: a caller that is walking either chain, standing on a node it
 * has removed, then sees nothing twice that counts (what it sees in addition
 * lies before its cursor). */
static void
index_join(struct holt_index *index)
{
  holt_assert(index->buckets > HOLT_INDEX_BUCKETS_MIN);

  uint32_t *const last = holt__index_bucket(index, index->buckets - 1);
  const uint32_t first = *last;
  *last = 0;
  index->level -= index->buckets == 1u << index->level ? 1u : 0u;
  index->buckets--;

  if (first != 0) {
    /* Level is that of the buckets that are left. */
    uint32_t *const into =
      holt__index_bucket(index, index->buckets - (1u << index->level));
    if (*into != 0) {
      uint32_t *end = index->next(index->user, first);
      while (*end != 0) {
        end = index->next(index->user, *end);
      }
      *end = *into;
    }
    *into = first;
  }
  index_release(index);
}

int
holt_index_reserve(struct holt_index *index)
{
  if (index->buckets > 0) {
    return 0;
  }
  if (index->heads == 0 && !index_add_segment(index, HOLT_INDEX_BUCKETS_MIN)) {
    return HOLT_ERR_NOMEM;
  }
  index->buckets = HOLT_INDEX_BUCKETS_MIN;
  index->level = HOLT_INDEX_BUCKETS_BITS_MIN;
  return 0;
}

void
holt_index_insert(struct holt_index *index, uint32_t ref, uint32_t hash)
{
  holt_index_insert_inline(index, ref, hash, index->next, index->hash);
}

/* Where the reference to a node is kept. */
static uint32_t *
index_link(const struct holt_index *index, uint32_t ref)
{
  uint32_t *link = holt__index_head(index, index->hash(index->user, ref));
  while (*link != ref) {
    holt_assert(*link != 0); /* Else the node is not in the index. */
    link = index->next(index->user, *link);
  }
  return link;
}

void
holt_index_remove(struct holt_index *index, uint32_t ref)
{
  holt_assert(index->count > 0);

  uint32_t *const next = index->next(index->user, ref);
  *index_link(index, ref) = *next;
  *next = 0;
  index->count--;

  for (uint32_t i = 0; i < INDEX_JOINS_MAX; i++) {
    if (holt__index_wanted(index) >= index->buckets / 2 ||
        index->buckets == HOLT_INDEX_BUCKETS_MIN) {
      break;
    }
    index_join(index);
  }
}

void
holt_index_replace(struct holt_index *index, uint32_t ref, uint32_t other)
{
  uint32_t *const link = index_link(index, ref);
  uint32_t *const next = index->next(index->user, ref);
  *index->next(index->user, other) = *next;
  *link = other;
  *next = 0;
}

uint64_t
holt_index_scan(const struct holt_index *index, uint64_t cursor,
                uint32_t *chain)
{
  holt_assert(cursor < HOLT_INDEX_SCAN_END);

  *chain = 0;
  if (index->buckets == 0) {
    return HOLT_INDEX_SCAN_END;
  }
  const uint32_t hash = holt_index_position((uint32_t)cursor);
  *chain = *holt__index_head(index, hash);
  return holt__index_scan_next(index, cursor, hash);
}
