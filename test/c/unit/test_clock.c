/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/clock.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include <CUnit/CUnit.h>

#include "prng.h"

/* With time passing the stamp is the time. */
static void
tick_follows_the_wall_clock(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 5000), holt_clock_stamp_at(5000));
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 5001), holt_clock_stamp_at(5001));
  CU_ASSERT_EQUAL(holt_clock_stamp_ms(clock.last), 5001);
}

/* A wall clock that stands still or jumps back does not stop the stamps. */
static void
tick_with_a_standing_clock_counts(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  const uint64_t first = holt_clock_tick(&clock, 5000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 5000), first + 1);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 10), first + 2);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 5001), holt_clock_stamp_at(5001));
}

/* 65536 events in a millisecond borrow from the next one. */
static void
tick_counter_overflow_carries_into_ms(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  uint64_t stamp = holt_clock_tick(&clock, 5000);
  for (unsigned i = 0; i < 65535; i++) {
    stamp = holt_clock_tick(&clock, 5000);
  }
  CU_ASSERT_EQUAL(holt_clock_stamp_ms(stamp), 5000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 5000), holt_clock_stamp_at(5001));
}

/* What was seen is passed. */
static void
observe_makes_later_stamps_greater(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  const uint64_t theirs = holt_clock_stamp_at(5400) + 7;
  holt_clock_observe(&clock, theirs, 5000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 5000), theirs + 1);
  holt_clock_observe(&clock, 3, 5000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 5000), theirs + 2);
  CU_ASSERT_EQUAL(clock.refused, 0);
}

/* The bound is inclusive; beyond it a stamp is counted and forgotten. */
static void
observe_beyond_bound_is_refused(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  holt_clock_observe(&clock, holt_clock_stamp_at(6001), 5000);
  holt_clock_observe(&clock, UINT64_MAX, 5000);
  CU_ASSERT_EQUAL(clock.refused, 2);
  CU_ASSERT_EQUAL(clock.last, 0);
  holt_clock_observe(&clock, holt_clock_stamp_at(6001) - 1, 5000);
  CU_ASSERT_EQUAL(clock.refused, 2);
  CU_ASSERT_EQUAL(clock.last, holt_clock_stamp_at(6001) - 1);
}

/* No wall clock and no bound, however absurd, makes a stamp wrap around. */
static void
tick_with_an_absurd_clock_does_not_wrap(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, UINT64_MAX);
  CU_ASSERT_EQUAL(clock.bound_ms, HOLT_CLOCK_BOUND_MS_MAX);
  holt_clock_observe(&clock, UINT64_MAX, UINT64_MAX);
  CU_ASSERT_EQUAL(clock.refused, 1);
  const uint64_t first = holt_clock_tick(&clock, UINT64_MAX);
  CU_ASSERT_EQUAL(holt_clock_stamp_ms(first), HOLT_CLOCK_WALL_MS_MAX);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, UINT64_MAX), first + 1);
}

/* Several clocks of different speed tell each other: every stamp is greater
 * than all that its maker had made or adopted, and never ahead of the fastest
 * wall clock by more than the bound. */
static void
prop_stamps_respect_cause_and_bound(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct holt_clock clocks[4];
  uint64_t walls[4];
  uint64_t known[4] = { 0 };
  for (unsigned i = 0; i < 4; i++) {
    holt_clock_init(&clocks[i], 50);
    walls[i] = 10000 + prng_below(&prng, 200);
  }
  bool good = true;
  for (unsigned i = 0; good && i < 50000; i++) {
    const unsigned at = (unsigned)prng_below(&prng, 4);
    const unsigned from = (unsigned)prng_below(&prng, 4);
    walls[at] += prng_below(&prng, 3);
    if (prng_chance(&prng, 1, 2)) {
      const uint64_t stamp = holt_clock_tick(&clocks[at], walls[at]);
      good = stamp > known[at];
      known[at] = stamp;
    } else {
      const uint64_t refused = clocks[at].refused;
      const uint64_t stamp = clocks[from].last;
      holt_clock_observe(&clocks[at], stamp, walls[at]);
      const bool adopted = clocks[at].refused == refused;
      good = adopted == (holt_clock_stamp_ms(stamp) <= walls[at] + 50);
      if (adopted && stamp > known[at]) {
        known[at] = stamp;
      }
    }
  }
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
}

void test_clock_suite(void);

void
test_clock_suite(void)
{
  CU_pSuite suite = CU_add_suite("clock", NULL, NULL);
  CU_ADD_TEST(suite, tick_follows_the_wall_clock);
  CU_ADD_TEST(suite, tick_with_a_standing_clock_counts);
  CU_ADD_TEST(suite, tick_counter_overflow_carries_into_ms);
  CU_ADD_TEST(suite, observe_makes_later_stamps_greater);
  CU_ADD_TEST(suite, observe_beyond_bound_is_refused);
  CU_ADD_TEST(suite, tick_with_an_absurd_clock_does_not_wrap);
  CU_ADD_TEST(suite, prop_stamps_respect_cause_and_bound);
}
