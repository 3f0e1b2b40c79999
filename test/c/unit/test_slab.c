/* SPDX-License-Identifier: Apache-2.0 */
#include "slab.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "prng.h"

static void
empty_slab_holds_no_memory(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_slab slab;
  holt_slab_init(&slab, &heap.mem);
  holt_slab_free(&slab, 0);
  CU_ASSERT_EQUAL(heap.requests, 0);
  holt_slab_deinit(&slab);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* Ten small blocks of ten sizes take no more than ten small pages. */
static void
few_blocks_cost_little(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_slab slab;
  holt_slab_init(&slab, &heap.mem);
  for (size_t i = 0; i < 10; i++) {
    CU_ASSERT_NOT_EQUAL_FATAL(holt_slab_alloc(&slab, 80 + 8 * i, 0), 0);
  }
  CU_ASSERT(heap.mem.bytes < 12 * 1024);
  holt_slab_deinit(&slab);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* The overhead per block is small, and all goes back but one page. */
static void
many_blocks_cost_their_size(void)
{
  enum {
    COUNT = 100000
  };
  struct heap heap;
  heap_init(&heap);
  struct holt_slab slab;
  holt_slab_init(&slab, &heap.mem);
  uint32_t *const refs = calloc(COUNT, sizeof *refs);
  CU_ASSERT_PTR_NOT_NULL_FATAL(refs);
  for (size_t i = 0; i < COUNT; i++) {
    refs[i] = holt_slab_alloc(&slab, 96, 0);
    CU_ASSERT_NOT_EQUAL_FATAL(refs[i], 0);
  }
  CU_ASSERT(heap.mem.bytes < (size_t)COUNT * 97);
  /* Nearly all are in pages of the largest size. */
  CU_ASSERT(slab.page_count <
            64 + 96 * COUNT / (HOLT_SLAB_PAGE_BYTES_MAX - 96));
  for (size_t i = 0; i < COUNT; i++) {
    holt_slab_free(&slab, refs[i]);
  }
  CU_ASSERT_EQUAL(slab.block_count, 0);
  CU_ASSERT(heap.mem.bytes <= HOLT_SLAB_PAGE_BYTES +
                                slab.capacity * sizeof(struct holt_slab_page));
  holt_slab_deinit(&slab);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(refs);
}

/* The smallest blocks: no page has more slots than references can tell. */
static void
small_blocks_fill_their_pages(void)
{
  enum {
    COUNT = 400000
  };
  struct heap heap;
  heap_init(&heap);
  struct holt_slab slab;
  holt_slab_init(&slab, &heap.mem);
  uint32_t *const refs = calloc(COUNT, sizeof *refs);
  CU_ASSERT_PTR_NOT_NULL_FATAL(refs);
  for (uint32_t i = 0; i < COUNT; i++) {
    refs[i] = holt_slab_alloc(&slab, sizeof i, 0);
    memcpy(holt_slab_at(&slab, refs[i]), &i, sizeof i);
  }
  bool good = true;
  for (uint32_t i = 0; i < COUNT; i++) {
    good = good && memcmp(holt_slab_at(&slab, refs[i]), &i, sizeof i) == 0;
    holt_slab_free(&slab, refs[i]);
  }
  CU_ASSERT(good);
  holt_slab_deinit(&slab);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(refs);
}

/* A block larger than a quarter of a page is as large as asked for, and gives
 * all back. */
static void
large_blocks_have_their_own_page(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_slab slab;
  holt_slab_init(&slab, &heap.mem);
  const uint32_t small = holt_slab_alloc(&slab, 4096, 1);
  const size_t before = heap.mem.bytes;
  const uint32_t large = holt_slab_alloc(&slab, 100001, 1);
  CU_ASSERT_EQUAL(heap.mem.bytes, before + 100001);
  CU_ASSERT_EQUAL(holt_slab_kind(&slab, large), 1);
  memset(holt_slab_at(&slab, large), 7, 100001);
  holt_slab_free(&slab, large);
  CU_ASSERT_EQUAL(heap.mem.bytes, before);
  holt_slab_free(&slab, small);
  holt_slab_deinit(&slab);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

struct block {
  uint32_t ref;
  uint32_t size;
  uint8_t kind;
  uint8_t fill;
};

static bool
block_is_intact(const struct holt_slab *slab, const struct block *block)
{
  const uint8_t *const at = holt_slab_at(slab, block->ref);
  bool good =
    holt_slab_kind(slab, block->ref) == block->kind && (uintptr_t)at % 8 == 0;
  for (uint32_t i = 0; i < block->size; i++) {
    good = good && at[i] == block->fill;
  }
  return good;
}

static bool
block_toggle(struct holt_slab *slab, struct prng *prng, struct block *block)
{
  if (block->ref != 0) {
    const bool good = block_is_intact(slab, block);
    holt_slab_free(slab, block->ref);
    block->ref = 0;
    return good;
  }
  const uint64_t size_max = prng_chance(prng, 1, 50)   ? 40000
                            : prng_chance(prng, 1, 10) ? 4200
                                                       : 300;
  block->size = 1 + (uint32_t)prng_below(prng, size_max);
  block->kind = (uint8_t)prng_below(prng, HOLT_SLAB_KINDS);
  block->fill = (uint8_t)prng_next(prng);
  block->ref = holt_slab_alloc(slab, block->size, block->kind);
  if (block->ref == 0) {
    return false;
  }
  memset(holt_slab_at(slab, block->ref), block->fill, block->size);
  return true;
}

/* Blocks do not overlap, keep their content and their kind. */
static void
prop_blocks_keep_their_content(void)
{
  enum {
    COUNT = 3000
  };
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct heap heap;
  heap_init(&heap);
  struct holt_slab slab;
  holt_slab_init(&slab, &heap.mem);
  struct block *const blocks = calloc(COUNT, sizeof *blocks);
  CU_ASSERT_PTR_NOT_NULL_FATAL(blocks);
  bool good = true;
  for (unsigned round = 0; good && round < 20; round++) {
    const bool growing = round % 2 == 0;
    for (unsigned i = 0; good && i < COUNT; i++) {
      struct block *const block = &blocks[prng_below(&prng, COUNT)];
      if ((block->ref == 0) == growing || prng_chance(&prng, 1, 5)) {
        good = block_toggle(&slab, &prng, block);
      }
    }
    size_t count = 0;
    for (unsigned i = 0; good && i < COUNT; i++) {
      count += blocks[i].ref != 0 ? 1u : 0u;
      good = blocks[i].ref == 0 || block_is_intact(&slab, &blocks[i]);
    }
    good = good && count == slab.block_count;
  }
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
  holt_slab_deinit(&slab);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
  free(blocks);
}

static int
alloc_and_free(struct holt_mem *mem, void *arg)
{
  (void)arg;
  struct holt_slab slab;
  holt_slab_init(&slab, mem);
  uint32_t refs[600];
  size_t count = 0;
  int rv = 0;
  while (rv == 0 && count < 600) {
    refs[count] = holt_slab_alloc(&slab, 1 + count * 8, count % 2);
    rv = refs[count] == 0 ? HOLT_ERR_NOMEM : 0;
    count += rv == 0 ? 1u : 0u;
  }
  CU_ASSERT_EQUAL(slab.block_count, count);
  while (count > 0) {
    holt_slab_free(&slab, refs[--count]);
  }
  CU_ASSERT_EQUAL(slab.block_count, 0);
  holt_slab_deinit(&slab);
  return rv;
}

static void
alloc_with_each_request_refused_changes_nothing(void)
{
  uint64_t requests = 0;
  CU_ASSERT(heap_fail_each(alloc_and_free, NULL, &requests));
  CU_ASSERT(requests > 50);
}

void test_slab_suite(void);

void
test_slab_suite(void)
{
  CU_pSuite suite = CU_add_suite("slab", NULL, NULL);
  CU_ADD_TEST(suite, empty_slab_holds_no_memory);
  CU_ADD_TEST(suite, few_blocks_cost_little);
  CU_ADD_TEST(suite, many_blocks_cost_their_size);
  CU_ADD_TEST(suite, small_blocks_fill_their_pages);
  CU_ADD_TEST(suite, large_blocks_have_their_own_page);
  CU_ADD_TEST(suite, prop_blocks_keep_their_content);
  CU_ADD_TEST(suite, alloc_with_each_request_refused_changes_nothing);
}
