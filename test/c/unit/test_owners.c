/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <CUnit/CUnit.h>

#include "rows_fixture.h"

/* Rows of dead local processes are not seen; the host's word is kept. */
static void
local_processes_hold_their_rows(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  f.seven->local = true;
  uint32_t local;
  CU_ASSERT_EQUAL(holt_rows_local(&f.rows, 5, 0), 0);
  CU_ASSERT_EQUAL(holt_rows_first_of_pid(&f.rows, f.seven, 5, 0), 0);
  CU_ASSERT_EQUAL(holt_rows_local_add(&f.rows, 5, 0, 77, &local), 0);
  CU_ASSERT_EQUAL(holt_rows_local(&f.rows, 5, 0), local);
  (void)put(&f.rows, f.seven, 1, 1, "x", 5);
  (void)put(&f.rows, f.seven, 2, 2, "y", 5);
  const uint32_t row = holt_rows_first_of_pid(&f.rows, f.seven, 5, 0);
  CU_ASSERT_EQUAL(row, f.seven->rows_head);
  CU_ASSERT_EQUAL(holt_local_at(&f.rows, local)->row_count, 2);
  CU_ASSERT_EQUAL(holt_row_local(&f.rows, holt_row_at(&f.rows, row))->host, 77);
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), row);
  holt_local_at(&f.rows, local)->dead = true;
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), 0);
  holt_rows_remove(&f.rows, row, HOLT_REASON_USER);
  holt_rows_remove(&f.rows, holt_local_at(&f.rows, local)->rows,
                   HOLT_REASON_USER);
  CU_ASSERT_EQUAL(holt_local_at(&f.rows, local)->row_count, 0);
  CU_ASSERT_EQUAL(f.seven->pid_count, 0);
  holt_rows_local_remove(&f.rows, local);
  CU_ASSERT_EQUAL(holt_rows_local(&f.rows, 5, 0), 0);
  fixture_deinit(&f);
}

/* A large group: what it costs, and that all its members are found. */
static void
groups_find_their_members(void)
{
  enum {
    COUNT = 20000
  };
  struct fixture f;
  fixture_init(&f, HOLT_KIND_DUPLICATE);
  for (uint32_t i = 1; i <= COUNT; i++) {
    CU_ASSERT_EQUAL_FATAL(
      put(&f.rows, i % 2 == 0 ? f.seven : f.nine, i, i, "group", i), 0);
  }
  const uint8_t *const key = (const uint8_t *)"group";
  CU_ASSERT_EQUAL(holt_rows_count_key(&f.rows, key, 5, NULL), COUNT);
  CU_ASSERT_EQUAL(holt_rows_count_key(&f.rows, key, 5, f.nine), COUNT / 2);
  CU_ASSERT_EQUAL(holt_rows_count(&f.rows), 1);
  bool good = true;
  for (uint32_t i = 1; i <= COUNT; i++) {
    struct holt_actor *const actor = i % 2 == 0 ? f.seven : f.nine;
    const uint32_t row = holt_rows_member(&f.rows, key, 5, actor, i, 0);
    good = good && row != 0 && seq_of(&f.rows, row) == i;
    good = good && holt_rows_member(&f.rows, key, 5, actor, i + 1, 0) == 0;
    if (row != 0 && i % 3 != 0) {
      holt_rows_remove(&f.rows, row, HOLT_REASON_USER);
      good = good && holt_rows_member(&f.rows, key, 5, actor, i, 0) == 0;
    }
  }
  CU_ASSERT(good);
  CU_ASSERT_EQUAL(holt_rows_count_key(&f.rows, key, 5, NULL), COUNT / 3);
  holt_rows_show(&f.rows, f.nine, false);
  CU_ASSERT_EQUAL(holt_rows_count_key(&f.rows, key, 5, NULL), COUNT / 6);
  CU_ASSERT_EQUAL(holt_rows_count_key(&f.rows, key, 5, f.nine), 0);
  /* The youngest of several. */
  (void)put(&f.rows, f.seven, COUNT + 1, COUNT + 1, "twice", 1);
  (void)put(&f.rows, f.seven, COUNT + 2, COUNT + 2, "twice", 1);
  const uint32_t row =
    holt_rows_member(&f.rows, (const uint8_t *)"twice", 5, f.seven, 1, 0);
  CU_ASSERT_EQUAL(seq_of(&f.rows, row), COUNT + 2);
  fixture_deinit(&f);
}

void test_owners_suite(void);

void
test_owners_suite(void)
{
  CU_pSuite suite = CU_add_suite("owners", NULL, NULL);
  CU_ADD_TEST(suite, local_processes_hold_their_rows);
  CU_ADD_TEST(suite, groups_find_their_members);
}
