/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "prng.h"

/* What the tests keep in tables. */
struct item {
  struct holt_table_node node;
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

static bool
item_found(const struct holt_table *table, const struct item *item,
           uint32_t hash)
{
  const struct holt_table_node *node = holt_table_chain(table, hash);
  while (node != NULL && node != &item->node) {
    node = node->next;
  }
  return node != NULL;
}

/* Longest chain, and that all nodes are where chains say. */
static size_t
table_longest_chain(const struct holt_table *table)
{
  size_t longest = 0;
  size_t total = 0;
  uint64_t cursor = 0;
  while (cursor != HOLT_TABLE_SCAN_END) {
    struct holt_table_node *chain = NULL;
    cursor = holt_table_scan(table, cursor, &chain);
    size_t length = 0;
    for (; chain != NULL; chain = chain->next) {
      length++;
    }
    total += length;
    longest = length > longest ? length : longest;
  }
  CU_ASSERT_EQUAL(total, table->count);
  return longest;
}

/* Nothing is allocated before there is something to keep. */
static void
empty_table_holds_no_memory(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_table table;
  CU_ASSERT_EQUAL(holt_table_init(&table, &heap.mem), 0);
  CU_ASSERT_PTR_NULL(holt_table_chain(&table, 5));
  struct holt_table_node *chain = NULL;
  CU_ASSERT_EQUAL(holt_table_scan(&table, 0, &chain), HOLT_TABLE_SCAN_END);
  CU_ASSERT_PTR_NULL(chain);
  CU_ASSERT_EQUAL(heap.requests, 0);
  holt_table_deinit(&table);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* A table of many grows to about one node per bucket and, emptied, shrinks back
 * to its one segment. */
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
  struct holt_table table;
  (void)holt_table_init(&table, &heap.mem);
  struct item *const items = items_new(COUNT);
  for (size_t i = 0; i < COUNT; i++) {
    const uint32_t hash = (uint32_t)prng_next(&prng);
    CU_ASSERT_EQUAL_FATAL(holt_table_insert(&table, &items[i].node, hash), 0);
    CU_ASSERT_EQUAL_FATAL(items[i].node.hash, hash);
  }
  CU_ASSERT_EQUAL(table.count, COUNT);
  CU_ASSERT_EQUAL(table.buckets, COUNT);
  CU_ASSERT(table_longest_chain(&table) < 16);
  CU_ASSERT(heap.mem.bytes < 16 * COUNT);

  bool found = true;
  for (size_t i = 0; i < COUNT; i++) {
    found = found && item_found(&table, &items[i], items[i].node.hash);
  }
  CU_ASSERT(found);

  for (size_t i = 0; i < COUNT; i++) {
    const uint32_t hash = items[i].node.hash;
    holt_table_remove(&table, &items[i].node);
    found = found && !item_found(&table, &items[i], hash);
  }
  CU_ASSERT(found);
  CU_ASSERT_EQUAL(table.count, 0);
  CU_ASSERT_EQUAL(table.buckets, HOLT_TABLE_SEGMENT);
  CU_ASSERT_EQUAL(table.segments, 1);
  CU_ASSERT(heap.mem.bytes < 2 * sizeof(struct holt_table_segment));
  holt_table_deinit(&table);
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
  struct holt_table table;
  (void)holt_table_init(&table, &heap.mem);
  struct item *const items = items_new(COUNT);
  for (size_t i = 0; i < COUNT; i++) {
    (void)holt_table_insert(&table, &items[i].node, i % 2 == 0 ? 7 : ~0u);
  }
  CU_ASSERT_EQUAL(table_longest_chain(&table), COUNT / 2);
  for (size_t i = 0; i < COUNT; i++) {
    CU_ASSERT(item_found(&table, &items[i], items[i].node.hash));
    holt_table_remove(&table, &items[i].node);
  }
  holt_table_deinit(&table);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(items);
}

/* When memory ends, inserting goes on in longer chains, and the table catches
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
  struct holt_table table;
  (void)holt_table_init(&table, &heap.mem);
  struct item *const items = items_new(COUNT);
  (void)holt_table_insert(&table, &items[0].node, 0);
  heap.mem.bytes_max = heap.mem.bytes;
  for (size_t i = 1; i < COUNT / 2; i++) {
    const uint32_t hash = (uint32_t)prng_next(&prng);
    CU_ASSERT_EQUAL_FATAL(holt_table_insert(&table, &items[i].node, hash), 0);
  }
  CU_ASSERT_EQUAL(table.buckets, HOLT_TABLE_SEGMENT);
  heap.mem.bytes_max = 0;
  for (size_t i = COUNT / 2; i < COUNT; i++) {
    const uint32_t hash = (uint32_t)prng_next(&prng);
    CU_ASSERT_EQUAL_FATAL(holt_table_insert(&table, &items[i].node, hash), 0);
  }
  CU_ASSERT_EQUAL(table.buckets, COUNT);
  CU_ASSERT(table_longest_chain(&table) < 16);
  for (size_t i = 0; i < COUNT; i++) {
    holt_table_remove(&table, &items[i].node);
  }
  holt_table_deinit(&table);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(items);
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
  struct holt_table table;
  (void)holt_table_init(&table, mem);
  const int rv = holt_table_insert(&table, &items[0].node, 9);
  if (rv != 0) {
    CU_ASSERT_EQUAL(table.count, 0);
    CU_ASSERT_PTR_NULL(holt_table_chain(&table, 9));
    holt_table_deinit(&table);
    return rv;
  }
  bool good = true;
  for (size_t i = 1; i < COUNT; i++) {
    const uint32_t hash = (uint32_t)prng_next(&prng);
    good = good && holt_table_insert(&table, &items[i].node, hash) == 0;
  }
  for (size_t i = 0; i < COUNT; i++) {
    good = good && item_found(&table, &items[i], items[i].node.hash);
    holt_table_remove(&table, &items[i].node);
  }
  CU_ASSERT(good);
  holt_table_deinit(&table);
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
  struct holt_table table;
  struct item *items;
  size_t count;
  unsigned hash_bits;
  unsigned one_in; /* Of as many nodes walked over, one is removed. */
};

static void
run_toggle(struct scan_run *run, struct item *item)
{
  if (item->present) {
    holt_table_remove(&run->table, &item->node);
    item->steady = false;
  } else {
    uint32_t hash = (uint32_t)prng_next(&run->prng);
    if (run->hash_bits < 32) {
      /* Few hashes, but in all parts of the space. */
      hash = (hash & ((1u << run->hash_bits) - 1)) * 0x9e3779b1u;
    }
    (void)holt_table_insert(&run->table, &item->node, hash);
  }
  item->present = !item->present;
}

/* Mostly insert or mostly remove, so that the table grows and shrinks far. */
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
run_walk(struct scan_run *run, struct holt_table_node *chain, uint64_t cursor,
         uint64_t next)
{
  while (chain != NULL) {
    struct item *const item = (struct item *)chain;
    chain = chain->next;
    const uint32_t position = holt_table_node_position(&item->node);
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
  while (cursor != HOLT_TABLE_SCAN_END) {
    struct holt_table_node *chain = NULL;
    const uint64_t next = holt_table_scan(&run->table, cursor, &chain);
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
 * the others and to the table's size; no other rule than the documented one is
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
    (void)holt_table_init(&run.table, &heap.mem);
    run_burst(&run, prng_below(&run.prng, 2 * run.count));
    for (unsigned j = 0; good && j < 3; j++) {
      good = run_scan(&run);
    }
    holt_table_deinit(&run.table);
    free(run.items);
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " run %u\n", seed, i);
    }
  }
  CU_ASSERT(good);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* The table against a plain set: what is in is found, what is out is not. */
static void
prop_table_equals_set(void)
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
  (void)holt_table_init(&run.table, &heap.mem);
  bool good = true;
  for (unsigned i = 0; good && i < 60; i++) {
    run_burst(&run, 500);
    size_t present = 0;
    for (size_t j = 0; j < COUNT; j++) {
      const struct item *const item = &run.items[j];
      present += item->present;
      good =
        good && item->present == item_found(&run.table, item, item->node.hash);
    }
    good = good && present == run.table.count;
  }
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
  holt_table_deinit(&run.table);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(run.items);
}

void test_table_suite(void);

void
test_table_suite(void)
{
  CU_pSuite suite = CU_add_suite("table", NULL, NULL);
  CU_ADD_TEST(suite, empty_table_holds_no_memory);
  CU_ADD_TEST(suite, insert_many_grows_and_remove_shrinks);
  CU_ADD_TEST(suite, insert_equal_hashes_share_a_chain);
  CU_ADD_TEST(suite, insert_without_memory_to_grow_succeeds);
  CU_ADD_TEST(suite, insert_with_each_request_refused_keeps_all);
  CU_ADD_TEST(suite, prop_scan_meets_steady_nodes_once);
  CU_ADD_TEST(suite, prop_table_equals_set);
}
