/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/clock.h>

#include "invariant.h"
#include "mutant.h"
/* Offsets lie in -CLOCK_OFFSET_MAX .. CLOCK_OFFSET_MAX. */
#define CLOCK_OFFSET_MAX ((int64_t)HOLT_CLOCK_WALL_MS_MAX)

void
holt_clock_init(struct holt_clock *clock, uint64_t bound_ms)
{
  *clock = (struct holt_clock){
    .bound_ms =
      bound_ms < HOLT_CLOCK_BOUND_MS_MAX ? bound_ms : HOLT_CLOCK_BOUND_MS_MAX,
  };
}

/* A clock's reading within the range that is believed. */
static uint64_t
clock_reading(uint64_t ms)
{
  return ms < HOLT_CLOCK_WALL_MS_MAX ? ms : HOLT_CLOCK_WALL_MS_MAX;
}

int64_t
holt_clock_offset(uint64_t mono_ms, uint64_t wall_ms)
{
  return (int64_t)clock_reading(wall_ms) - (int64_t)clock_reading(mono_ms);
}

static int64_t
offset_limit(int64_t offset_ms)
{
  if (offset_ms < -CLOCK_OFFSET_MAX) {
    return -CLOCK_OFFSET_MAX;
  }
  return offset_ms < CLOCK_OFFSET_MAX ? offset_ms : CLOCK_OFFSET_MAX;
}

/* How many of these offsets and our own are at most limit. */
static size_t
offsets_up_to(const int64_t offsets_ms[], size_t count, int64_t own_ms,
              int64_t limit)
{
  size_t found = own_ms <= limit ? 1 : 0;
  for (size_t i = 0; i < count; i++) {
    found += offset_limit(offsets_ms[i]) <= limit ? 1 : 0;
  }
  return found;
}

void
holt_clock_median(struct holt_clock *clock, const int64_t offsets_ms[],
                  size_t count, uint64_t mono_ms, uint64_t wall_ms)
{
  holt_assert(count <= HOLT_CLOCK_OFFSETS_MAX);

  if (count == 0) {
    return;
  }
  /* With count + 1 offsets the lower median is the least that has more than
   * half of count, rounded down, at or below it.  Bisecting between the
   * extremes finds it in no memory, and in 48 passes at most. */
  const int64_t own_ms = holt_clock_offset(mono_ms, wall_ms);
  int64_t low = own_ms;
  int64_t high = own_ms;
  for (size_t i = 0; i < count; i++) {
    const int64_t offset_ms = offset_limit(offsets_ms[i]);
    low = offset_ms < low ? offset_ms : low;
    high = offset_ms > high ? offset_ms : high;
  }
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (offsets_up_to(offsets_ms, count, own_ms, middle) > count / 2) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  clock->median_ms = low;
  clock->median_known = true;
}

uint64_t
holt_clock_cap_ms(const struct holt_clock *clock, uint64_t mono_ms,
                  uint64_t wall_ms)
{
  if (!clock->median_known) {
    return clock_reading(wall_ms) + clock->bound_ms;
  }
  const int64_t ms = (int64_t)clock_reading(mono_ms) + clock->median_ms;
  return clock_reading(ms < 0 ? 0 : (uint64_t)ms) + clock->bound_ms;
}

uint64_t
holt_clock_tick(struct holt_clock *clock, uint64_t mono_ms, uint64_t wall_ms)
{
  /* No stamp was ever adopted beyond a reading + bound, less than 2^64 together
   * by far, and nobody lives through 2^63 ticks. */
  holt_assert(clock->last < UINT64_MAX);

  uint64_t ms = clock_reading(wall_ms);
  const uint64_t cap_ms = holt_clock_cap_ms(clock, mono_ms, wall_ms);
  if (ms > cap_ms && !holt_mutant(UNCAPPED)) {
    ms = cap_ms;
    clock->capped++;
  }
  /* The paper's figure 5, "send or local event": l' = max(l, pt), and the
   * counter goes on iff l stayed.  On the packed pair both are one maximum. */
  const uint64_t now = holt_clock_stamp_at(ms);
  clock->last = now > clock->last ? now : clock->last + 1;
  return clock->last;
}

void
holt_clock_observe(struct holt_clock *clock, uint64_t stamp, uint64_t mono_ms,
                   uint64_t wall_ms)
{
  if (holt_clock_stamp_ms(stamp) > holt_clock_cap_ms(clock, mono_ms, wall_ms)) {
    clock->refused++;
    return;
  }
  if (stamp > clock->last) {
    clock->last = stamp;
  }
}

void
holt_clock_settle(struct holt_clock *clock, uint64_t mono_ms, uint64_t wall_ms)
{
  const uint64_t cap_ms = holt_clock_cap_ms(clock, mono_ms, wall_ms);
  if (holt_clock_stamp_ms(clock->last) > cap_ms) {
    clock->last = holt_clock_stamp_at(cap_ms);
  }
}
