/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>

#include <CUnit/CUnit.h>

#include "prng.h"
#include "rows_fixture.h"

/* A walk over a key meets every row that stays, once, whatever else goes. */
static void
prop_walk_over_a_key_survives_removals(void)
{
  enum {
    COUNT = 60
  };
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  bool good = true;
  for (unsigned run = 0; good && run < 200; run++) {
    struct fixture f;
    fixture_init(&f, run % 2 == 0 ? HOLT_KIND_UNIQUE : HOLT_KIND_DUPLICATE);
    uint32_t refs[COUNT];
    unsigned visits[COUNT] = { 0 };
    const uint32_t count = 1 + (uint32_t)prng_below(&prng, COUNT);
    for (uint32_t i = 0; i < count; i++) {
      const struct holt_row_spec spec = spec_of(i + 1, i + 1, "k", i % 5);
      struct holt_actor *const actor =
        prng_chance(&prng, 1, 2) ? f.seven : f.nine;
      CU_ASSERT_EQUAL(holt_rows_put(&f.rows, actor, &spec, &refs[i]), 0);
    }
    struct holt_walk walk = { .active = false };
    holt_walk_start(&f.rows, &walk,
                    holt_rows_first(&f.rows, (const uint8_t *)"k", 1),
                    HOLT_WALK_KEY);
    while (good && walk.at != 0) {
      bool moved = false;
      for (uint32_t i = 0; i < count; i++) {
        visits[i] += refs[i] == walk.at ? 1u : 0u;
      }
      for (unsigned j = 0; j < 3; j++) {
        const uint32_t i = (uint32_t)prng_below(&prng, count);
        if (refs[i] != 0 && prng_chance(&prng, 1, 3)) {
          moved = moved || refs[i] == walk.at;
          holt_rows_remove(&f.rows, refs[i], HOLT_REASON_USER);
          refs[i] = 0;
        }
      }
      if (!moved) {
        holt_walk_next(&f.rows, &walk);
      }
    }
    holt_walk_stop(&f.rows, &walk);
    for (uint32_t i = 0; i < count; i++) {
      good = good && (refs[i] == 0 ? visits[i] <= 1 : visits[i] == 1);
    }
    fixture_deinit(&f);
  }
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
}

/* A cursor is found from the end of the list, a few rows at a time, while rows
 * come and go. */
static void
seek_goes_back_in_slices(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  char key[16];
  for (uint32_t i = 1; i <= 20; i++) {
    (void)snprintf(key, sizeof key, "k%" PRIu32, i);
    CU_ASSERT_EQUAL(put(&f.rows, f.seven, i, i, key, i), 0);
  }
  struct holt_walk walk = { .active = false };
  for (unsigned call = 0;; call++) {
    size_t steps = 4;
    if (holt_walk_seek(&f.rows, &walk, f.seven, 7, &steps)) {
      CU_ASSERT(call >= 2);
      break;
    }
    CU_ASSERT_EQUAL_FATAL(steps, 0);
    CU_ASSERT_FATAL(walk.active && call < 10);
    if (call == 1) {
      holt_rows_remove(&f.rows, walk.at, HOLT_REASON_USER);
      holt_rows_remove(&f.rows, holt_rows_born(&f.rows, f.seven, 8),
                       HOLT_REASON_USER);
      CU_ASSERT_EQUAL(put(&f.rows, f.seven, 21, 21, "k21", 1), 0);
    }
  }
  CU_ASSERT_EQUAL(holt_row_seq(holt_row_at(&f.rows, walk.at)), 9);
  size_t steps = 0;
  CU_ASSERT(holt_walk_seek(&f.rows, &walk, f.seven, 7, &steps));
  holt_walk_stop(&f.rows, &walk);
  steps = 1;
  CU_ASSERT(holt_walk_seek(&f.rows, &walk, f.seven, 0, &steps));
  CU_ASSERT_EQUAL(walk.at, f.seven->rows_head);
  holt_walk_stop(&f.rows, &walk);
  CU_ASSERT(holt_walk_seek(&f.rows, &walk, f.seven, 21, &steps));
  CU_ASSERT_EQUAL(walk.at, 0);
  holt_walk_stop(&f.rows, &walk);
  fixture_deinit(&f);
}

void test_walks_suite(void);

void
test_walks_suite(void)
{
  CU_pSuite suite = CU_add_suite("walks", NULL, NULL);
  CU_ADD_TEST(suite, prop_walk_over_a_key_survives_removals);
  CU_ADD_TEST(suite, seek_goes_back_in_slices);
}
