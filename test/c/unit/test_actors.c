/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <CUnit/CUnit.h>

#include "rows_fixture.h"

/* Slots are used again; a new name keeps the rows. */
static void
actors_have_slots_and_may_be_renamed(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  (void)put(&f.rows, f.seven, 1, 1, "x", 1);
  const struct holt_member member = member_of("b@y");
  CU_ASSERT_EQUAL(holt_rows_actor_rename(&f.rows, f.seven, 8, &member, 2), 0);
  CU_ASSERT_PTR_NULL(holt_rows_actor(&f.rows, 7));
  CU_ASSERT_PTR_EQUAL(holt_rows_actor(&f.rows, 8), f.seven);
  CU_ASSERT(holt_member_equal(&f.seven->member, &member));
  CU_ASSERT_NOT_EQUAL(holt_rows_born(&f.rows, f.seven, 1), 0);
  const uint32_t slot = f.nine->slot;
  holt_rows_actor_remove(&f.rows, f.nine);
  CU_ASSERT_EQUAL(add_actor(&f.rows, 10, &f.nine), 0);
  CU_ASSERT_EQUAL(f.nine->slot, slot);
  struct holt_actor *actor;
  for (uint64_t id = 100; f.rows.actor_count < HOLT_ACTORS_MAX; id++) {
    CU_ASSERT_EQUAL_FATAL(add_actor(&f.rows, id, &actor), 0);
  }
  CU_ASSERT_EQUAL(add_actor(&f.rows, 99, &actor), HOLT_ERR_LIMIT);
  fixture_deinit(&f);
}

void test_actors_suite(void);

void
test_actors_suite(void)
{
  CU_pSuite suite = CU_add_suite("actors", NULL, NULL);
  CU_ADD_TEST(suite, actors_have_slots_and_may_be_renamed);
}
