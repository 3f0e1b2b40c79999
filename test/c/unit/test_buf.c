/* SPDX-License-Identifier: Apache-2.0 */
#include "buf.h"

#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"

/* All puts append, in big-endian. */
static void
put_each_width_appends(void)
{
  static const uint8_t expected[] = { 'a', 'b', 1,  2,    3,   4,  5,
                                      6,   7,   8,  9,    10,  11, 12,
                                      13,  14,  15, 0xac, 0x02 };
  struct heap heap;
  heap_init(&heap);
  struct holt_buf buf;
  holt_buf_init(&buf, &heap.mem, 0);
  CU_ASSERT_EQUAL(holt_buf_put(&buf, "ab", 2), 0);
  CU_ASSERT_EQUAL(holt_buf_put(&buf, NULL, 0), 0);
  CU_ASSERT_EQUAL(holt_buf_put_u8(&buf, 1), 0);
  CU_ASSERT_EQUAL(holt_buf_put_u16be(&buf, 0x0203), 0);
  CU_ASSERT_EQUAL(holt_buf_put_u32be(&buf, 0x04050607), 0);
  CU_ASSERT_EQUAL(holt_buf_put_u64be(&buf, UINT64_C(0x08090a0b0c0d0e0f)), 0);
  CU_ASSERT_EQUAL(holt_buf_put_varint(&buf, 300), 0);
  CU_ASSERT_EQUAL_FATAL(buf.size, sizeof expected);
  CU_ASSERT_EQUAL(memcmp(buf.data, expected, sizeof expected), 0);
  holt_buf_truncate(&buf, 2);
  CU_ASSERT_EQUAL(holt_buf_put_u8(&buf, 'c'), 0);
  CU_ASSERT_EQUAL(memcmp(buf.data, "abc", 3), 0);
  CU_ASSERT_EQUAL(heap.requests, 0);
  holt_buf_deinit(&buf);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* Up to the inline size nothing is allocated; memory is kept by clear. */
static void
put_beyond_inline_moves_to_heap(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_buf buf;
  holt_buf_init(&buf, &heap.mem, 0);
  for (unsigned i = 0; i < HOLT_BUF_INLINE; i++) {
    CU_ASSERT_EQUAL(holt_buf_put_u8(&buf, (uint8_t)i), 0);
  }
  CU_ASSERT_EQUAL(heap.requests, 0);
  for (unsigned i = HOLT_BUF_INLINE; i < 5000; i++) {
    CU_ASSERT_EQUAL(holt_buf_put_u8(&buf, (uint8_t)i), 0);
  }
  CU_ASSERT_EQUAL(buf.size, 5000);
  CU_ASSERT(heap.requests > 0 && heap.requests < 8);
  for (unsigned i = 0; i < 5000; i++) {
    if (buf.data[i] != (uint8_t)i) {
      CU_FAIL("content lost");
      break;
    }
  }
  const uint64_t requests = heap.requests;
  holt_buf_clear(&buf);
  CU_ASSERT_EQUAL(holt_buf_reserve(&buf, 5000), 0);
  CU_ASSERT_EQUAL(heap.requests, requests);
  holt_buf_deinit(&buf);
  holt_buf_deinit(&buf);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* The limit is inclusive, and its error sticks until clear. */
static void
put_beyond_limit_sticks(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_buf buf;
  holt_buf_init(&buf, &heap.mem, 4);
  CU_ASSERT_EQUAL(holt_buf_put(&buf, "abc", 3), 0);
  CU_ASSERT_EQUAL(holt_buf_put_u16be(&buf, 1), HOLT_ERR_TOO_LARGE);
  CU_ASSERT_EQUAL(holt_buf_put_u8(&buf, 1), HOLT_ERR_TOO_LARGE);
  CU_ASSERT_EQUAL(buf.error, HOLT_ERR_TOO_LARGE);
  CU_ASSERT_EQUAL(buf.size, 3);
  holt_buf_clear(&buf);
  CU_ASSERT_EQUAL(holt_buf_put_u32be(&buf, 1), 0);
  CU_ASSERT_EQUAL(holt_buf_reserve(&buf, SIZE_MAX), HOLT_ERR_TOO_LARGE);
  CU_ASSERT_EQUAL(buf.size, 4);
  holt_buf_deinit(&buf);

  holt_buf_init(&buf, &heap.mem, 0);
  CU_ASSERT_EQUAL(holt_buf_reserve(&buf, SIZE_MAX), HOLT_ERR_TOO_LARGE);
  holt_buf_deinit(&buf);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

static int
put_many(struct holt_mem *mem, void *arg)
{
  (void)arg;
  struct holt_buf buf;
  holt_buf_init(&buf, mem, 0);
  for (unsigned i = 0; i < 2000; i++) {
    const size_t size = buf.size;
    if (holt_buf_put_u32be(&buf, i) != 0) {
      CU_ASSERT_EQUAL(buf.size, size);
      break;
    }
  }
  const int rv = buf.error;
  holt_buf_deinit(&buf);
  return rv;
}

/* Each growth may fail; the content stays whole. */
static void
put_without_memory_is_nomem(void)
{
  uint64_t requests = 0;
  CU_ASSERT(heap_fail_each(put_many, NULL, &requests));
  CU_ASSERT_EQUAL(requests, 5);
}

void test_buf_suite(void);

void
test_buf_suite(void)
{
  CU_pSuite suite = CU_add_suite("buf", NULL, NULL);
  CU_ADD_TEST(suite, put_each_width_appends);
  CU_ADD_TEST(suite, put_beyond_inline_moves_to_heap);
  CU_ADD_TEST(suite, put_beyond_limit_sticks);
  CU_ADD_TEST(suite, put_without_memory_is_nomem);
}
