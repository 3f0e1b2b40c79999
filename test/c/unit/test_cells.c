/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>

#include <CUnit/CUnit.h>

#include "rows_fixture.h"

static void
collect(void *user, uint32_t row)
{
  (void)row;
  ++*(size_t *)user;
}

/* Hiding looks at keys that are shared only, and as many as it may; only
 * showing can make somebody lose. */
static void
settle_goes_in_slices(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  char key[16];
  for (uint32_t i = 1; i <= 100; i++) {
    (void)snprintf(key, sizeof key, "k%" PRIu32, i);
    (void)put(&f.rows, f.seven, i, i, key, i);
    if (i % 10 == 0) {
      (void)put(&f.rows, f.nine, i, i, key, i);
    }
  }
  CU_ASSERT_EQUAL(holt_rows_count(&f.rows), 100);
  CU_ASSERT_EQUAL(f.rows.excess, 10);
  CU_ASSERT_EQUAL(f.seven->cell_count, 10);
  CU_ASSERT_EQUAL(f.rows.settling, 0);
  holt_rows_show(&f.rows, f.seven, false);
  size_t seen = 0;
  size_t budget = 4;
  CU_ASSERT(holt_rows_settle(&f.rows, &budget, collect, &seen));
  CU_ASSERT_EQUAL(budget, 0);
  CU_ASSERT_EQUAL(seen, 0);
  CU_ASSERT_EQUAL(f.rows.excess, 6);
  budget = 100;
  CU_ASSERT(!holt_rows_settle(&f.rows, &budget, collect, &seen));
  CU_ASSERT_EQUAL(budget, 94);
  CU_ASSERT_EQUAL(seen, 0);
  CU_ASSERT_EQUAL(f.rows.excess, 0);
  CU_ASSERT_EQUAL(holt_rows_count(&f.rows), 10);
  CU_ASSERT_EQUAL(winner_of(&f.rows, "k1"), 0);
  CU_ASSERT_EQUAL(winner_of(&f.rows, "k10"), f.nine->rows_head);
  holt_rows_settle_all(&f.rows, f.nine);
  CU_ASSERT(!holt_rows_settle(&f.rows, &budget, NULL, NULL));
  CU_ASSERT_EQUAL(budget, 84);
  holt_rows_show(&f.rows, f.seven, true);
  CU_ASSERT(!holt_rows_settle(&f.rows, &budget, collect, &seen));
  CU_ASSERT_EQUAL(seen, 10);
  fixture_deinit(&f);
}

void test_cells_suite(void);

void
test_cells_suite(void)
{
  CU_pSuite suite = CU_add_suite("cells", NULL, NULL);
  CU_ADD_TEST(suite, settle_goes_in_slices);
}
