/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/mem.h>

#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"

/* The account is exact at every step. */
static void
resize_keeps_content_and_account(void)
{
  struct heap heap;
  heap_init(&heap);
  char *ptr = holt_mem_alloc(&heap.mem, 8);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ptr);
  memcpy(ptr, "holt...", 8);
  CU_ASSERT_EQUAL(heap.mem.bytes, 8);
  ptr = holt_mem_resize(&heap.mem, ptr, 8, 100);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ptr);
  CU_ASSERT_STRING_EQUAL(ptr, "holt...");
  CU_ASSERT_EQUAL(heap.mem.bytes, 100);
  ptr = holt_mem_resize(&heap.mem, ptr, 100, 4);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ptr);
  CU_ASSERT_EQUAL(heap.mem.bytes, 4);
  CU_ASSERT_EQUAL(memcmp(ptr, "holt", 4), 0);
  CU_ASSERT_PTR_NULL(holt_mem_resize(&heap.mem, ptr, 4, 0));
  CU_ASSERT_EQUAL(heap.mem.failures, 0);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* The test heap fills new blocks with rubbish, zalloc does not leave it. */
static void
zalloc_returns_zeros(void)
{
  struct heap heap;
  heap_init(&heap);
  unsigned char *const ptr = holt_mem_zalloc(&heap.mem, 33);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ptr);
  for (size_t i = 0; i < 33; i++) {
    CU_ASSERT_EQUAL(ptr[i], 0);
  }
  holt_mem_free(&heap.mem, ptr, 33);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* Freeing nothing is nothing. */
static void
free_null_is_harmless(void)
{
  struct heap heap;
  heap_init(&heap);
  holt_mem_free(&heap.mem, NULL, 0);
  CU_ASSERT_PTR_NULL(holt_mem_resize(&heap.mem, NULL, 0, 0));
  CU_ASSERT_EQUAL(heap.requests, 0);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* The limit is inclusive; beyond it the host is not even asked. */
static void
alloc_beyond_limit_is_refused(void)
{
  struct heap heap;
  heap_init(&heap);
  heap.mem.bytes_max = 100;
  void *ptr = holt_mem_alloc(&heap.mem, 60);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ptr);
  CU_ASSERT_PTR_NULL(holt_mem_alloc(&heap.mem, 41));
  CU_ASSERT_PTR_NULL(holt_mem_alloc(&heap.mem, SIZE_MAX));
  CU_ASSERT_PTR_NULL(holt_mem_resize(&heap.mem, ptr, 60, 101));
  CU_ASSERT_EQUAL(heap.mem.failures, 3);
  CU_ASSERT_EQUAL(heap.requests, 1);
  ptr = holt_mem_resize(&heap.mem, ptr, 60, 100);
  CU_ASSERT_PTR_NOT_NULL(ptr);

  /* A limit lowered later refuses growth only. */
  heap.mem.bytes_max = 10;
  ptr = holt_mem_resize(&heap.mem, ptr, 100, 50);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ptr);
  CU_ASSERT_PTR_NULL(holt_mem_resize(&heap.mem, ptr, 50, 51));
  holt_mem_free(&heap.mem, ptr, 50);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* What the host refuses leaves block and account as they were. */
static void
resize_refused_by_host_changes_nothing(void)
{
  struct heap heap;
  heap_init(&heap);
  heap.fail_at = 2;
  heap.fail_after = true;
  unsigned char *const ptr = holt_mem_alloc(&heap.mem, 16);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ptr);
  ptr[15] = 7;
  CU_ASSERT_PTR_NULL(holt_mem_resize(&heap.mem, ptr, 16, 32));
  CU_ASSERT_PTR_NULL(holt_mem_resize(&heap.mem, ptr, 16, 8));
  CU_ASSERT_PTR_NULL(holt_mem_zalloc(&heap.mem, 1));
  CU_ASSERT_EQUAL(heap.mem.failures, 3);
  CU_ASSERT_EQUAL(heap.mem.bytes, 16);
  CU_ASSERT_EQUAL(ptr[15], 7);
  holt_mem_free(&heap.mem, ptr, 16);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

static int
leak_one(struct holt_mem *mem, void *arg)
{
  (void)arg;
  return holt_mem_alloc(mem, 1) != NULL ? 0 : HOLT_ERR_NOMEM;
}

static int
allocate_three(struct holt_mem *mem, void *arg)
{
  (void)arg;
  int rv = 0;
  for (size_t size = 1; rv == 0 && size <= 3; size++) {
    void *const ptr = holt_mem_alloc(mem, size);
    rv = ptr == NULL ? HOLT_ERR_NOMEM : 0;
    holt_mem_free(mem, ptr, ptr == NULL ? 0 : size);
  }
  return rv;
}

/* The watching heap itself: it finds leaks, and refuses each request once. */
static void
test_heap_watches(void)
{
  uint64_t requests = 0;
  CU_ASSERT(heap_fail_each(allocate_three, NULL, &requests));
  CU_ASSERT_EQUAL(requests, 3);

  struct heap heap;
  heap_init(&heap);
  CU_ASSERT_EQUAL(leak_one(&heap.mem, NULL), 0);
  CU_ASSERT_FALSE(heap_is_clean(&heap));
  heap_deinit(&heap);
}

void test_mem_suite(void);

void
test_mem_suite(void)
{
  CU_pSuite suite = CU_add_suite("mem", NULL, NULL);
  CU_ADD_TEST(suite, resize_keeps_content_and_account);
  CU_ADD_TEST(suite, zalloc_returns_zeros);
  CU_ADD_TEST(suite, free_null_is_harmless);
  CU_ADD_TEST(suite, alloc_beyond_limit_is_refused);
  CU_ADD_TEST(suite, resize_refused_by_host_changes_nothing);
  CU_ADD_TEST(suite, test_heap_watches);
}
