/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "prng.h"

/* What the tests keep in indices; references count from 1. */
struct item {
  uint32_t next;
  uint32_t hash;
  bool present;
  bool steady;     /* Present since the scan began. */
  unsigned visits; /* Of this scan. */
};

static struct item *
items_new(size_t count)
{
  struct item *const items = calloc(count, sizeof *items);
  CU_ASSERT_PTR_NOT_NULL_FATAL(items);
  return items;
}

static uint32_t *
item_next(void *user, uint32_t ref)
{
  return &((struct item *)user)[ref - 1].next;
}

static uint32_t
item_hash(void *user, uint32_t ref)
{
  return ((struct item *)user)[ref - 1].hash;
}

static void
index_init(struct holt_index *index, struct holt_mem *mem, struct item *items)
{
  holt_index_init(index, mem, item_next, item_hash, items);
}

static struct item *
index_item(const struct holt_index *index, uint32_t ref)
{
  return &((struct item *)index->user)[ref - 1];
}

static uint32_t
item_ref(const struct holt_index *index, const struct item *item)
{
  return (uint32_t)(item - (const struct item *)index->user) + 1;
}

static int
item_insert(struct holt_index *index, struct item *item, uint32_t hash)
{
  const int rv = holt_index_reserve(index);
  if (rv == 0) {
    item->hash = hash;
    holt_index_insert(index, item_ref(index, item), hash);
  }
  return rv;
}

static void
item_remove(struct holt_index *index, const struct item *item)
{
  holt_index_remove(index, item_ref(index, item));
}

static bool
item_found(const struct holt_index *index, const struct item *item,
           uint32_t hash)
{
  uint32_t ref = holt_index_chain(index, hash);
  while (ref != 0 && index_item(index, ref) != item) {
    ref = index_item(index, ref)->next;
  }
  return ref != 0;
}

/* Longest chain, and that all nodes are where chains say. */
static size_t
index_longest_chain(const struct holt_index *index)
{
  size_t longest = 0;
  size_t total = 0;
  uint64_t cursor = 0;
  while (cursor != HOLT_INDEX_SCAN_END) {
    uint32_t chain = 0;
    cursor = holt_index_scan(index, cursor, &chain);
    size_t length = 0;
    for (; chain != 0; chain = index_item(index, chain)->next) {
      length++;
    }
    total += length;
    longest = length > longest ? length : longest;
  }
  CU_ASSERT_EQUAL(total, index->count);
  return longest;
}

/* Nothing is allocated before there is something to keep. */
static void
empty_index_holds_no_memory(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_index index;
  index_init(&index, &heap.mem, NULL);
  CU_ASSERT_EQUAL(holt_index_chain(&index, 5), 0);
  uint32_t chain = 0;
  CU_ASSERT_EQUAL(holt_index_scan(&index, 0, &chain), HOLT_INDEX_SCAN_END);
  CU_ASSERT_EQUAL(chain, 0);
  CU_ASSERT_EQUAL(heap.requests, 0);
  holt_index_deinit(&index);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* An index of many grows to about one node per bucket and, emptied, shrinks
 * back to its one segment. */
static void
insert_many_grows_and_remove_shrinks(void)
{
  enum {
    COUNT = 100000
  };
  struct heap heap;
  heap_init(&heap);
  struct prng prng;
  prng_init(&prng, 1);
  struct holt_index index;
  struct item *const items = items_new(COUNT);
  index_init(&index, &heap.mem, items);
  for (size_t i = 0; i < COUNT; i++) {
    const uint32_t hash = (uint32_t)prng_next(&prng);
    CU_ASSERT_EQUAL_FATAL(item_insert(&index, &items[i], hash), 0);
    CU_ASSERT_EQUAL_FATAL(items[i].hash, hash);
  }
  CU_ASSERT_EQUAL(index.count, COUNT);
  CU_ASSERT_EQUAL(index.buckets, COUNT);
  CU_ASSERT(index_longest_chain(&index) < 16);
  CU_ASSERT(heap.mem.bytes < 5 * COUNT);

  bool found = true;
  for (size_t i = 0; i < COUNT; i++) {
    found = found && item_found(&index, &items[i], items[i].hash);
  }
  CU_ASSERT(found);

  for (size_t i = 0; i < COUNT; i++) {
    const uint32_t hash = items[i].hash;
    item_remove(&index, &items[i]);
    found = found && !item_found(&index, &items[i], hash);
  }
  CU_ASSERT(found);
  CU_ASSERT_EQUAL(index.count, 0);
  CU_ASSERT_EQUAL(index.buckets, HOLT_INDEX_BUCKETS_MIN);
  CU_ASSERT_EQUAL(index.segments, 1);
  CU_ASSERT(heap.mem.bytes < 256);
  holt_index_deinit(&index);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(items);
}

/* Equal hashes are legal and all found. */
static void
insert_equal_hashes_share_a_chain(void)
{
  enum {
    COUNT = 2000
  };
  struct heap heap;
  heap_init(&heap);
  struct holt_index index;
  struct item *const items = items_new(COUNT);
  index_init(&index, &heap.mem, items);
  for (size_t i = 0; i < COUNT; i++) {
    (void)item_insert(&index, &items[i], i % 2 == 0 ? 7 : ~0u);
  }
  CU_ASSERT_EQUAL(index_longest_chain(&index), COUNT / 2);
  for (size_t i = 0; i < COUNT; i++) {
    CU_ASSERT(item_found(&index, &items[i], items[i].hash));
    item_remove(&index, &items[i]);
  }
  holt_index_deinit(&index);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(items);
}

/* When memory ends, inserting goes on in longer chains, and the index catches
 * up when there is memory again. */
static void
insert_without_memory_to_grow_succeeds(void)
{
  enum {
    COUNT = 20000
  };
  struct heap heap;
  heap_init(&heap);
  struct prng prng;
  prng_init(&prng, 2);
  struct holt_index index;
  struct item *const items = items_new(COUNT);
  index_init(&index, &heap.mem, items);
  (void)item_insert(&index, &items[0], 0);
  heap.mem.bytes_max = heap.mem.bytes;
  for (size_t i = 1; i < COUNT / 2; i++) {
    const uint32_t hash = (uint32_t)prng_next(&prng);
    CU_ASSERT_EQUAL_FATAL(item_insert(&index, &items[i], hash), 0);
  }
  CU_ASSERT_EQUAL(index.buckets, HOLT_INDEX_BUCKETS_MIN);
  heap.mem.bytes_max = 0;
  for (size_t i = COUNT / 2; i < COUNT; i++) {
    const uint32_t hash = (uint32_t)prng_next(&prng);
    CU_ASSERT_EQUAL_FATAL(item_insert(&index, &items[i], hash), 0);
  }
  CU_ASSERT_EQUAL(index.buckets, COUNT);
  CU_ASSERT(index_longest_chain(&index) < 16);
  for (size_t i = 0; i < COUNT; i++) {
    item_remove(&index, &items[i]);
  }
  holt_index_deinit(&index);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(items);
}

/* Sparse: two buckets per node; dense: two nodes per bucket.  Replacing a node
 * keeps its place. */
static void
sparse_and_dense_and_replace(void)
{
  enum {
    COUNT = 10000
  };
  for (unsigned i = 0; i < 2; i++) {
    struct heap heap;
    heap_init(&heap);
    struct prng prng;
    prng_init(&prng, 4);
    struct holt_index index;
    struct item *const items = items_new(COUNT + 1);
    index_init(&index, &heap.mem, items);
    index.sparse = i == 0;
    index.dense = i == 1;
    for (size_t j = 0; j < COUNT; j++) {
      holt_index_prefetch_split(&index, item_next);
      (void)item_insert(&index, &items[j], (uint32_t)prng_next(&prng));
    }
    CU_ASSERT_EQUAL(index.buckets, i == 0 ? 2 * COUNT : COUNT / 2);
    struct item *const other = &items[COUNT];
    const uint32_t hash = items[7].hash;
    other->hash = hash;
    holt_index_replace(&index, item_ref(&index, &items[7]), COUNT + 1);
    CU_ASSERT(item_found(&index, other, hash));
    CU_ASSERT(!item_found(&index, &items[7], hash));
    for (size_t j = 0; j < COUNT; j++) {
      item_remove(&index, j == 7 ? other : &items[j]);
    }
    CU_ASSERT_EQUAL(index.buckets, HOLT_INDEX_BUCKETS_MIN);
    holt_index_deinit(&index);
    CU_ASSERT(heap_is_clean(&heap));
    heap_deinit(&heap);
    free(items);
  }
}

static int
grow_and_shrink(struct holt_mem *mem, void *arg)
{
  enum {
    COUNT = 6000
  };
  struct item *const items = arg;
  struct prng prng;
  prng_init(&prng, 3);
  struct holt_index index;
  index_init(&index, mem, items);
  const int rv = item_insert(&index, &items[0], 9);
  if (rv != 0) {
    CU_ASSERT_EQUAL(index.count, 0);
    CU_ASSERT_EQUAL(holt_index_chain(&index, 9), 0);
    holt_index_deinit(&index);
    return rv;
  }
  bool good = true;
  for (size_t i = 1; i < COUNT; i++) {
    const uint32_t hash = (uint32_t)prng_next(&prng);
    good = good && item_insert(&index, &items[i], hash) == 0;
  }
  for (size_t i = 0; i < COUNT; i++) {
    good = good && item_found(&index, &items[i], items[i].hash);
    item_remove(&index, &items[i]);
  }
  CU_ASSERT(good);
  holt_index_deinit(&index);
  return 0;
}

/* Only the first insert can fail, and then nothing has changed. */
static void
insert_with_each_request_refused_keeps_all(void)
{
  struct item *const items = items_new(6000);
  uint64_t requests = 0;
  CU_ASSERT(heap_fail_each(grow_and_shrink, items, &requests));
  CU_ASSERT(requests > 12);
  free(items);
}

/* State of one scan under changes. */
struct scan_run {
  struct prng prng;
  struct holt_index index;
  struct item *items;
  size_t count;
  unsigned hash_bits;
  unsigned one_in; /* Of as many nodes walked over, one is removed. */
};

static void
run_toggle(struct scan_run *run, struct item *item)
{
  if (item->present) {
    item_remove(&run->index, item);
    item->steady = false;
  } else {
    uint32_t hash = (uint32_t)prng_next(&run->prng);
    if (run->hash_bits < 32) {
      /* Few hashes, but in all parts of the space. */
      hash = (hash & ((1u << run->hash_bits) - 1)) * 0x9e3779b1u;
    }
    (void)item_insert(&run->index, item, hash);
  }
  item->present = !item->present;
}

/* Mostly insert or mostly remove, so that the index grows and shrinks far. */
static void
run_burst(struct scan_run *run, uint64_t size)
{
  const bool growing = prng_chance(&run->prng, 1, 2);
  for (uint64_t i = 0; i < size; i++) {
    struct item *const item = &run->items[prng_below(&run->prng, run->count)];
    if (item->present != growing || prng_chance(&run->prng, 1, 8)) {
      run_toggle(run, item);
    }
  }
}

/* Walk one chain, removing some of the nodes walked over, or all. */
static bool
run_walk(struct scan_run *run, uint32_t chain, uint64_t cursor, uint64_t next)
{
  while (chain != 0) {
    struct item *const item = index_item(&run->index, chain);
    chain = item->next;
    const uint32_t position = holt_index_position(item->hash);
    if (position < cursor) {
      continue;
    }
    if (position >= next) {
      return false;
    }
    item->visits++;
    if (item->steady && item->visits != 1) {
      return false;
    }
    if (prng_chance(&run->prng, 1, run->one_in)) {
      run_toggle(run, item);
    }
  }
  return true;
}

static bool
run_scan(struct scan_run *run)
{
  for (size_t i = 0; i < run->count; i++) {
    run->items[i].steady = run->items[i].present;
    run->items[i].visits = 0;
  }
  const uint64_t pace = 1 + prng_below(&run->prng, 400);
  const uint64_t burst = prng_below(&run->prng, 2000);
  static const unsigned odds[] = { 50, 2, 1 };
  run->one_in = odds[prng_below(&run->prng, 3)];
  uint64_t cursor = 0;
  uint64_t steps = 0;
  while (cursor != HOLT_INDEX_SCAN_END) {
    uint32_t chain = 0;
    const uint64_t next = holt_index_scan(&run->index, cursor, &chain);
    if (next <= cursor || !run_walk(run, chain, cursor, next)) {
      return false;
    }
    cursor = next;
    if (++steps % pace == 0) {
      run_burst(run, burst);
    }
  }
  for (size_t i = 0; i < run->count; i++) {
    if (run->items[i].steady && run->items[i].visits != 1) {
      return false;
    }
  }
  return true;
}

/* A node present during the whole scan is met exactly once, whatever happens to
 * the others and to the index's size; no other rule than the documented one is
 * followed. */
static void
prop_scan_meets_steady_nodes_once(void)
{
  const uint64_t seed = prng_seed();
  struct heap heap;
  heap_init(&heap);
  bool good = true;
  for (unsigned i = 0; good && i < 60; i++) {
    struct scan_run run = { .count = i % 3 == 0 ? 300 : 8000 };
    prng_init(&run.prng, seed + i);
    run.hash_bits = i % 5 == 0 ? 8 : 32;
    run.items = items_new(run.count);
    index_init(&run.index, &heap.mem, run.items);
    run.index.sparse = i % 4 == 1;
    run.index.dense = i % 4 == 2;
    run_burst(&run, prng_below(&run.prng, 2 * run.count));
    for (unsigned j = 0; good && j < 3; j++) {
      good = run_scan(&run);
    }
    holt_index_deinit(&run.index);
    free(run.items);
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " run %u\n", seed, i);
    }
  }
  CU_ASSERT(good);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* The index against a plain set: what is in is found, what is out is not. */
static void
prop_index_equals_set(void)
{
  enum {
    COUNT = 3000
  };
  const uint64_t seed = prng_seed();
  struct heap heap;
  heap_init(&heap);
  struct scan_run run = { .count = COUNT, .hash_bits = 32 };
  prng_init(&run.prng, seed);
  run.items = items_new(COUNT);
  index_init(&run.index, &heap.mem, run.items);
  bool good = true;
  for (unsigned i = 0; good && i < 60; i++) {
    run_burst(&run, 500);
    size_t present = 0;
    for (size_t j = 0; j < COUNT; j++) {
      const struct item *const item = &run.items[j];
      present += item->present;
      good = good && item->present == item_found(&run.index, item, item->hash);
    }
    good = good && present == run.index.count;
  }
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
  holt_index_deinit(&run.index);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(run.items);
}

void test_index_suite(void);

void
test_index_suite(void)
{
  CU_pSuite suite = CU_add_suite("index", NULL, NULL);
  CU_ADD_TEST(suite, empty_index_holds_no_memory);
  CU_ADD_TEST(suite, insert_many_grows_and_remove_shrinks);
  CU_ADD_TEST(suite, insert_equal_hashes_share_a_chain);
  CU_ADD_TEST(suite, insert_without_memory_to_grow_succeeds);
  CU_ADD_TEST(suite, sparse_and_dense_and_replace);
  CU_ADD_TEST(suite, insert_with_each_request_refused_keeps_all);
  CU_ADD_TEST(suite, prop_scan_meets_steady_nodes_once);
  CU_ADD_TEST(suite, prop_index_equals_set);
}
