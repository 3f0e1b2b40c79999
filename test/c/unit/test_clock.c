/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/clock.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <CUnit/CUnit.h>

#include "prng.h"

/* With time passing the stamp is the time. */
static void
tick_follows_the_wall_clock(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 0, 5000), holt_clock_stamp_at(5000));
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 0, 5001), holt_clock_stamp_at(5001));
  CU_ASSERT_EQUAL(holt_clock_stamp_ms(clock.last), 5001);
}

/* A wall clock that stands still or jumps back does not stop the stamps. */
static void
tick_with_a_standing_clock_counts(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  const uint64_t first = holt_clock_tick(&clock, 0, 5000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 0, 5000), first + 1);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 0, 10), first + 2);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 0, 5001), holt_clock_stamp_at(5001));
}

/* 65536 events in a millisecond borrow from the next one. */
static void
tick_counter_overflow_carries_into_ms(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  uint64_t stamp = holt_clock_tick(&clock, 0, 5000);
  for (unsigned i = 0; i < 65535; i++) {
    stamp = holt_clock_tick(&clock, 0, 5000);
  }
  CU_ASSERT_EQUAL(holt_clock_stamp_ms(stamp), 5000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 0, 5000), holt_clock_stamp_at(5001));
}

/* What was seen is passed. */
static void
observe_makes_later_stamps_greater(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  const uint64_t theirs = holt_clock_stamp_at(5400) + 7;
  holt_clock_observe(&clock, theirs, 0, 5000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 0, 5000), theirs + 1);
  holt_clock_observe(&clock, 3, 0, 5000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 0, 5000), theirs + 2);
  CU_ASSERT_EQUAL(clock.refused, 0);
}

/* The bound is inclusive; beyond it a stamp is counted and forgotten. */
static void
observe_beyond_bound_is_refused(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  holt_clock_observe(&clock, holt_clock_stamp_at(6001), 0, 5000);
  holt_clock_observe(&clock, UINT64_MAX, 0, 5000);
  CU_ASSERT_EQUAL(clock.refused, 2);
  CU_ASSERT_EQUAL(clock.last, 0);
  holt_clock_observe(&clock, holt_clock_stamp_at(6001) - 1, 0, 5000);
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
  holt_clock_observe(&clock, UINT64_MAX, 0, UINT64_MAX);
  CU_ASSERT_EQUAL(clock.refused, 1);
  const uint64_t first = holt_clock_tick(&clock, 0, UINT64_MAX);
  CU_ASSERT_EQUAL(holt_clock_stamp_ms(first), HOLT_CLOCK_WALL_MS_MAX);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 0, UINT64_MAX), first + 1);
}

/* Alone and never having met anybody, the own wall clock is the truth. */
static void
median_of_nobody_changes_nothing(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  holt_clock_median(&clock, NULL, 0, 100, 5000);
  CU_ASSERT(!clock.median_known);
  CU_ASSERT_EQUAL(holt_clock_cap_ms(&clock, 100, 5000), 6000);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 100, 999000),
                  holt_clock_stamp_at(999000));
  CU_ASSERT_EQUAL(clock.capped, 0);

  const int64_t offsets[] = { 4000, 4000 };
  holt_clock_median(&clock, offsets, 2, 100, 5000);
  CU_ASSERT_EQUAL(clock.median_ms, 4000);
  holt_clock_median(&clock, NULL, 0, 200, 9000);
  CU_ASSERT(clock.median_known);
  CU_ASSERT_EQUAL(clock.median_ms, 4000);
}

/* Of two the earlier one, of three the middle one, of four the second. */
static void
median_is_the_lower_one(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  const int64_t offsets[] = { 7000, 1000, 3000, 9000 };
  holt_clock_median(&clock, offsets, 1, 100, 5100);
  CU_ASSERT_EQUAL(clock.median_ms, 5000);
  holt_clock_median(&clock, offsets + 1, 1, 100, 5100);
  CU_ASSERT_EQUAL(clock.median_ms, 1000);
  holt_clock_median(&clock, offsets, 2, 100, 5100);
  CU_ASSERT_EQUAL(clock.median_ms, 5000);
  holt_clock_median(&clock, offsets, 3, 100, 5100);
  CU_ASSERT_EQUAL(clock.median_ms, 3000);
  holt_clock_median(&clock, offsets, 4, 100, 5100);
  CU_ASSERT_EQUAL(clock.median_ms, 5000);
}

/* A wall clock far ahead of the others stamps no further than the cap, and
 * still each stamp is greater than the last. */
static void
tick_is_capped_by_the_median(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  const int64_t offsets[] = { 5000, 5010 };
  holt_clock_median(&clock, offsets, 2, 0, 900000);
  const uint64_t first = holt_clock_tick(&clock, 10, 900010);
  CU_ASSERT_EQUAL(first, holt_clock_stamp_at(5010 + 10 + 1000));
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 10, 900010), first + 1);
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 11, 900011),
                  holt_clock_stamp_at(5010 + 11 + 1000));
  CU_ASSERT_EQUAL(clock.capped, 3);
  /* One that is behind is as it was. */
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 2000, 7005),
                  holt_clock_stamp_at(7005));
  CU_ASSERT_EQUAL(clock.capped, 3);
}

/* Setting our wall clock moves the cap neither at once nor with the next
 * median. */
static void
step_of_the_wall_clock_leaves_the_cap(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  const int64_t offsets[] = { 5000, 5000 };
  holt_clock_median(&clock, offsets, 2, 0, 5000);
  static const uint64_t walls[] = { 0, 4000, 5000, 70000, UINT64_MAX };
  for (size_t i = 0; i < sizeof walls / sizeof walls[0]; i++) {
    CU_ASSERT_EQUAL(holt_clock_cap_ms(&clock, 50, walls[i]), 6050);
    holt_clock_observe(&clock, holt_clock_stamp_at(6051), 50, walls[i]);
    CU_ASSERT_EQUAL(clock.refused, i + 1);
    holt_clock_median(&clock, offsets, 2, 50, walls[i]);
    CU_ASSERT_EQUAL(clock.median_ms, 5000);
  }
  holt_clock_observe(&clock, holt_clock_stamp_at(6050), 50, 0);
  CU_ASSERT_EQUAL(clock.last, holt_clock_stamp_at(6050));
}

/* Who stamped in the future while alone goes on from the cap once it meets
 * others; who did not goes on as before. */
static void
settle_returns_to_the_cap(void)
{
  struct holt_clock clock;
  holt_clock_init(&clock, 1000);
  (void)holt_clock_tick(&clock, 0, 900000);
  holt_clock_settle(&clock, 0, 900000);
  CU_ASSERT_EQUAL(clock.last, holt_clock_stamp_at(900000));
  const int64_t offsets[] = { 5000 };
  holt_clock_median(&clock, offsets, 1, 0, 900000);
  holt_clock_settle(&clock, 7, 900007);
  CU_ASSERT_EQUAL(clock.last, holt_clock_stamp_at(6007));
  CU_ASSERT_EQUAL(holt_clock_tick(&clock, 7, 900007),
                  holt_clock_stamp_at(6007) + 1);
  const uint64_t last = clock.last;
  holt_clock_settle(&clock, 8, 900008);
  CU_ASSERT_EQUAL(clock.last, last);
}

/* No clock, offset or bound, however absurd, makes a stamp wrap around. */
static void
median_with_absurd_clocks_does_not_wrap(void)
{
  static const uint64_t readings[] = { 0, 5000, UINT64_MAX / 2, UINT64_MAX };
  static const int64_t offsets[] = { INT64_MIN, -5000, 0, 5000, INT64_MAX };
  const uint64_t end =
    holt_clock_stamp_at(HOLT_CLOCK_WALL_MS_MAX + HOLT_CLOCK_BOUND_MS_MAX + 1);
  for (size_t i = 0; i < 4 * 4 * 5 * 5; i++) {
    const uint64_t mono = readings[i % 4];
    const uint64_t wall = readings[i / 4 % 4];
    const int64_t peers[] = { offsets[i / 16 % 5], offsets[i / 80] };
    struct holt_clock clock;
    holt_clock_init(&clock, UINT64_MAX);
    holt_clock_median(&clock, peers, 2, mono, wall);
    holt_clock_observe(&clock, UINT64_MAX, mono, wall);
    CU_ASSERT_EQUAL(clock.refused, 1);
    holt_clock_observe(
      &clock, holt_clock_stamp_at(holt_clock_cap_ms(&clock, mono, wall)), mono,
      wall);
    CU_ASSERT_EQUAL(clock.refused, 1);
    const uint64_t before = clock.last;
    const uint64_t stamp = holt_clock_tick(&clock, mono, wall);
    CU_ASSERT(stamp > before);
    CU_ASSERT(stamp < end);
  }
}

static int
offset_compare(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a;
  const int64_t y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* The median is the one in the middle of the sorted offsets. */
static void
prop_median_equals_sorting(void)
{
  static int64_t offsets[HOLT_CLOCK_OFFSETS_MAX + 1];
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  bool good = true;
  for (unsigned i = 0; good && i < 500; i++) {
    const uint64_t range = UINT64_C(1) << prng_below(&prng, 46);
    const size_t count =
      1 + (size_t)prng_below(
            &prng, prng_chance(&prng, 1, 8) ? HOLT_CLOCK_OFFSETS_MAX : 6);
    const uint64_t mono = prng_below(&prng, range);
    const uint64_t wall = prng_below(&prng, range);
    for (size_t j = 0; j < count; j++) {
      offsets[j] = (int64_t)prng_below(&prng, range) - (int64_t)(range / 2);
    }
    struct holt_clock clock;
    holt_clock_init(&clock, 0);
    holt_clock_median(&clock, offsets, count, mono, wall);
    offsets[count] = (int64_t)wall - (int64_t)mono;
    qsort(offsets, count + 1, sizeof offsets[0], offset_compare);
    good = clock.median_known && clock.median_ms == offsets[count / 2];
  }
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
}

/* Three clocks that agree more or less and one that is set to anything now and
 * then tell each other stamps and offsets: every stamp is greater than all that
 * its maker had made or adopted, and none is ever ahead of the good clocks by
 * more than the bound. */
static void
prop_stamps_respect_cause_and_bound(void)
{
  enum {
    CLOCKS = 4,
    BOUND = 50,
    SPREAD = 20
  };
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct holt_clock clocks[CLOCKS];
  uint64_t known[CLOCKS] = { 0 };
  int64_t walls[CLOCKS]; /* Over the time that passes. */
  uint64_t monos[CLOCKS];
  for (unsigned i = 0; i < CLOCKS; i++) {
    holt_clock_init(&clocks[i], BOUND);
    walls[i] = 1000000 + (int64_t)prng_below(&prng, SPREAD);
    monos[i] = prng_below(&prng, 100000);
  }
  bool good = true;
  uint64_t time = 0;
  for (unsigned i = 0; good && i < 50000; i++) {
    time += prng_below(&prng, 3);
    if (prng_chance(&prng, 1, 100)) {
      walls[0] = (int64_t)prng_below(&prng, 2000000);
    }
    const unsigned at = (unsigned)prng_below(&prng, CLOCKS);
    struct holt_clock *const clock = &clocks[at];
    const uint64_t mono = monos[at] + time;
    const uint64_t wall = (uint64_t)walls[at] + time;
    if (!clock->median_known || prng_chance(&prng, 1, 4)) {
      int64_t offsets[CLOCKS];
      size_t count = 0;
      for (unsigned j = 0; j < CLOCKS; j++) {
        if (j != at) {
          offsets[count++] = holt_clock_offset(mono, (uint64_t)walls[j] + time);
        }
      }
      holt_clock_median(clock, offsets, count, mono, wall);
    }
    const uint64_t limit = 1000000 + SPREAD + time + BOUND;
    if (prng_chance(&prng, 1, 2)) {
      const uint64_t stamp = holt_clock_tick(clock, mono, wall);
      good = stamp > known[at] && holt_clock_stamp_ms(stamp) <= limit;
      known[at] = stamp;
    } else {
      const uint64_t refused = clock->refused;
      const uint64_t stamp = clocks[prng_below(&prng, CLOCKS)].last;
      holt_clock_observe(clock, stamp, mono, wall);
      const bool adopted = clock->refused == refused;
      good = adopted == (holt_clock_stamp_ms(stamp) <=
                         holt_clock_cap_ms(clock, mono, wall));
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
  CU_ADD_TEST(suite, median_of_nobody_changes_nothing);
  CU_ADD_TEST(suite, median_is_the_lower_one);
  CU_ADD_TEST(suite, tick_is_capped_by_the_median);
  CU_ADD_TEST(suite, step_of_the_wall_clock_leaves_the_cap);
  CU_ADD_TEST(suite, settle_returns_to_the_cap);
  CU_ADD_TEST(suite, median_with_absurd_clocks_does_not_wrap);
  CU_ADD_TEST(suite, prop_median_equals_sorting);
  CU_ADD_TEST(suite, prop_stamps_respect_cause_and_bound);
}
