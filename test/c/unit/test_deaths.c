/* SPDX-License-Identifier: Apache-2.0 */
#include "deaths.h"

#include <CUnit/CUnit.h>

#include "heap.h"

/* What was appended is found by when it was. */
static void
after_finds_the_first_later_death(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_deaths deaths;
  holt_deaths_init(&deaths, &heap.mem);
  CU_ASSERT_EQUAL(holt_deaths_after(&deaths, 0), 0);
  for (uint64_t i = 1; i <= 200; i++) {
    holt_deaths_append(&deaths, 10 * i, i, HOLT_REASON_USER);
  }
  for (uint64_t seq = 0; seq <= 2010; seq++) {
    const size_t index = holt_deaths_after(&deaths, seq);
    CU_ASSERT_EQUAL_FATAL(index, seq / 10 < 200 ? seq / 10 : 200);
    if (index < deaths.count) {
      CU_ASSERT_EQUAL(holt_death_birth(holt_deaths_get(&deaths, index)),
                      index + 1);
    }
  }
  CU_ASSERT_EQUAL(deaths.base, 0);
  holt_deaths_deinit(&deaths);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* A full ring keeps the newest, and says what is missing. */
static void
full_ring_drops_the_oldest(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_deaths deaths;
  holt_deaths_init(&deaths, &heap.mem);
  const uint64_t total = HOLT_DEATHS_MAX + 100;
  for (uint64_t i = 1; i <= total; i++) {
    holt_deaths_append(&deaths, i, i, HOLT_REASON_USER);
  }
  CU_ASSERT_EQUAL(deaths.count, HOLT_DEATHS_MAX);
  CU_ASSERT_EQUAL(deaths.capacity, HOLT_DEATHS_MAX);
  CU_ASSERT_EQUAL(deaths.base, 100);
  CU_ASSERT_EQUAL(holt_deaths_get(&deaths, 0)->at, 101);
  CU_ASSERT_EQUAL(holt_deaths_get(&deaths, deaths.count - 1)->at, total);
  CU_ASSERT_EQUAL(holt_deaths_after(&deaths, 100), 0);
  CU_ASSERT_EQUAL(holt_deaths_after(&deaths, total), deaths.count);
  holt_deaths_deinit(&deaths);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* Without memory the oldest go, or all; the newest known is always right. */
static void
refused_memory_moves_the_base(void)
{
  for (uint64_t fail_at = 1; fail_at <= 4; fail_at++) {
    struct heap heap;
    heap_init(&heap);
    heap.fail_at = fail_at;
    heap.fail_after = true;
    struct holt_deaths deaths;
    holt_deaths_init(&deaths, &heap.mem);
    for (uint64_t i = 1; i <= 300; i++) {
      holt_deaths_append(&deaths, i, i, HOLT_REASON_USER);
      CU_ASSERT_EQUAL(deaths.base + deaths.count, i);
    }
    CU_ASSERT_EQUAL(deaths.count, deaths.capacity);
    holt_deaths_deinit(&deaths);
    CU_ASSERT(heap_is_clean(&heap));
    heap_deinit(&heap);
  }
}

void test_deaths_suite(void);

void
test_deaths_suite(void)
{
  CU_pSuite suite = CU_add_suite("deaths", NULL, NULL);
  CU_ADD_TEST(suite, after_finds_the_first_later_death);
  CU_ADD_TEST(suite, full_ring_drops_the_oldest);
  CU_ADD_TEST(suite, refused_memory_moves_the_base);
}
