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

/* How many lives a member has; each is told once. */
static unsigned
lives_of(const struct fixture *f, const char *node)
{
  const struct holt_member member = member_of(node);
  unsigned count = 0;
  for (const struct holt_actor *actor = holt_rows_life(&f->rows, &member);
       actor != NULL; actor = holt_rows_life_next(&f->rows, actor)) {
    CU_ASSERT(holt_member_equal(&actor->member, &member));
    count++;
  }
  return count;
}

/* A member is found by its name, however often it has lived. */
static void
lives_of_a_member_are_found(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  const struct holt_member member = member_of("b@y");
  CU_ASSERT_EQUAL(lives_of(&f, "b@y"), 0);
  struct holt_actor *actors[40];
  for (uint64_t i = 0; i < 40; i++) {
    CU_ASSERT_EQUAL_FATAL(
      holt_rows_actor_add(&f.rows, 100 + i, &member, 1, &actors[i]), 0);
    CU_ASSERT_EQUAL(lives_of(&f, "b@y"), i + 1);
  }
  const struct holt_member other = member_of("b@yy");
  for (uint64_t i = 0; i < 40; i += 2) {
    CU_ASSERT_EQUAL(
      holt_rows_actor_rename(&f.rows, actors[i], 200 + i, &other, 2), 0);
  }
  CU_ASSERT_EQUAL(lives_of(&f, "b@y"), 20);
  CU_ASSERT_EQUAL(lives_of(&f, "b@yy"), 20);
  for (unsigned i = 1; i < 40; i += 2) {
    holt_rows_actor_remove(&f.rows, actors[i]);
  }
  CU_ASSERT_EQUAL(lives_of(&f, "b@y"), 0);
  CU_ASSERT_EQUAL(lives_of(&f, "b@yy"), 20);
  fixture_deinit(&f);
}

void test_actors_suite(void);

void
test_actors_suite(void)
{
  CU_pSuite suite = CU_add_suite("actors", NULL, NULL);
  CU_ADD_TEST(suite, actors_have_slots_and_may_be_renamed);
  CU_ADD_TEST(suite, lives_of_a_member_are_found);
}
