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
          holt_rows_remove(&f.rows, refs[i]);
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

void test_walks_suite(void);

void
test_walks_suite(void)
{
  CU_pSuite suite = CU_add_suite("walks", NULL, NULL);
  CU_ADD_TEST(suite, prop_walk_over_a_key_survives_removals);
}
