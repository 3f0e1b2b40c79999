/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "prng.h"
#include "rows_fixture.h"

/* Under one key: newest, oldest, early, in line. */
static void
ranks_follow_rule_and_flags(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  (void)put(&f.rows, f.seven, 1, 1, "x", 1);
  (void)put(&f.rows, f.nine, 2, 2, "x", 1);
  const uint32_t old = f.seven->rows_head;
  const uint32_t young = f.nine->rows_head;
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), young);
  f.nine->rule = HOLT_RULE_OLDEST;
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), old); /* Who keeps the newest. */
  f.seven->rule = HOLT_RULE_OLDEST;
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), old);
  holt_rows_show(&f.rows, f.seven, false);
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), young);
  CU_ASSERT_EQUAL(holt_rows_winner_beside(&f.rows, old), young);
  holt_rows_show(&f.rows, f.seven, true);
  f.seven->rule = HOLT_RULE_NEWEST;
  f.nine->rule = HOLT_RULE_NEWEST;

  uint32_t row;
  struct holt_row_spec spec = spec_of(3, 3, "x", 1);
  spec.flags = HOLT_ROW_EARLY;
  (void)holt_rows_put(&f.rows, f.nine, &spec, &row);
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), young);
  spec.seq = spec.birth = 4;
  spec.stamp = 1000;
  spec.flags = HOLT_ROW_STANDBY;
  (void)holt_rows_put(&f.rows, f.nine, &spec, &row);
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), young);
  CU_ASSERT_EQUAL(holt_rows_first_of(&f.rows, (const uint8_t *)"x", 1, f.nine),
                  young);
  holt_rows_remove(&f.rows, young, HOLT_REASON_USER);
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), old);
  holt_rows_remove(&f.rows, old, HOLT_REASON_USER);
  CU_ASSERT_NOT_EQUAL(winner_of(&f.rows, "x"), row);
  holt_rows_remove(&f.rows, winner_of(&f.rows, "x"), HOLT_REASON_USER);
  CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), row);
  fixture_deinit(&f);
}

enum {
  SCAN_KEYS = 3000
};

struct scan {
  struct fixture f;
  struct prng prng;
  uint32_t refs[SCAN_KEYS]; /* Of actor 7. */
  bool steady[SCAN_KEYS];
  unsigned visits[SCAN_KEYS];
  uint64_t seq;
};

static bool
scan_visit(void *user, uint32_t ref)
{
  struct scan *const scan = user;
  size_t size;
  const uint8_t *const key =
    holt_row_key(&scan->f.rows, holt_row_at(&scan->f.rows, ref), &size);
  uint16_t number;
  CU_ASSERT_EQUAL(size, sizeof number);
  memcpy(&number, key, sizeof number);
  scan->visits[number]++;
  return true;
}

static void
scan_toggle(struct scan *scan, uint16_t number)
{
  uint32_t *const ref = &scan->refs[number];
  if (*ref != 0) {
    holt_rows_remove(&scan->f.rows, *ref, HOLT_REASON_USER);
    *ref = 0;
    scan->steady[number] = false;
    return;
  }
  scan->seq++;
  struct holt_row_spec spec = spec_of(scan->seq, scan->seq, "", 1);
  spec.key = (const uint8_t *)&number;
  spec.key_size = sizeof number;
  CU_ASSERT_EQUAL(holt_rows_put(&scan->f.rows, scan->f.seven, &spec, ref), 0);
  if (prng_chance(&scan->prng, 1, 3)) {
    uint32_t other;
    (void)holt_rows_put(&scan->f.rows, scan->f.nine, &spec, &other);
  }
}

static void
prop_scan_meets_steady_keys_once(void)
{
  const uint64_t seed = prng_seed();
  struct scan *const scan = calloc(1, sizeof *scan);
  CU_ASSERT_PTR_NOT_NULL_FATAL(scan);
  prng_init(&scan->prng, seed);
  bool good = true;
  for (unsigned run = 0; good && run < 20; run++) {
    fixture_init(&scan->f,
                 run % 2 == 0 ? HOLT_KIND_UNIQUE : HOLT_KIND_DUPLICATE);
    memset(scan->refs, 0, sizeof scan->refs);
    scan->seq = 0;
    for (unsigned i = 0; i < 1000; i++) {
      scan_toggle(scan, (uint16_t)prng_below(&scan->prng, SCAN_KEYS));
    }
    for (unsigned i = 0; i < SCAN_KEYS; i++) {
      scan->steady[i] = scan->refs[i] != 0;
      scan->visits[i] = 0;
    }
    const bool growing = prng_chance(&scan->prng, 1, 2);
    uint64_t cursor = 0;
    do {
      cursor = holt_rows_scan(&scan->f.rows, cursor, scan_visit, scan);
      for (unsigned i = 0; i < 3; i++) {
        const uint16_t number = (uint16_t)prng_below(&scan->prng, SCAN_KEYS);
        if ((scan->refs[number] == 0) == growing) {
          scan_toggle(scan, number);
        }
      }
    } while (cursor != 0);
    for (unsigned i = 0; i < SCAN_KEYS; i++) {
      good = good && (!scan->steady[i] || scan->visits[i] == 1);
    }
    fixture_deinit(&scan->f);
  }
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
  free(scan);
}

void test_keys_suite(void);

void
test_keys_suite(void)
{
  CU_pSuite suite = CU_add_suite("keys", NULL, NULL);
  CU_ADD_TEST(suite, ranks_follow_rule_and_flags);
  CU_ADD_TEST(suite, prop_scan_meets_steady_keys_once);
}
