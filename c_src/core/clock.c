/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/clock.h>

#include "invariant.h"

void
holt_clock_init(struct holt_clock *clock, uint64_t bound_ms)
{
  *clock = (struct holt_clock){
    .bound_ms =
      bound_ms < HOLT_CLOCK_BOUND_MS_MAX ? bound_ms : HOLT_CLOCK_BOUND_MS_MAX,
  };
}

static uint64_t
clock_wall(uint64_t wall_ms)
{
  return wall_ms < HOLT_CLOCK_WALL_MS_MAX ? wall_ms : HOLT_CLOCK_WALL_MS_MAX;
}

uint64_t
holt_clock_tick(struct holt_clock *clock, uint64_t wall_ms)
{
  /* No stamp was ever adopted beyond wall + bound, less than 2^63 together, and
   * nobody lives through 2^63 ticks. */
  holt_assert(clock->last < UINT64_MAX);

  /* The paper's figure 5, "send or local event": l' = max(l, pt), and the
   * counter goes on iff l stayed.  On the packed pair both are one maximum. */
  const uint64_t now = holt_clock_stamp_at(clock_wall(wall_ms));
  clock->last = now > clock->last ? now : clock->last + 1;
  return clock->last;
}

void
holt_clock_observe(struct holt_clock *clock, uint64_t stamp, uint64_t wall_ms)
{
  if (holt_clock_stamp_ms(stamp) > clock_wall(wall_ms) + clock->bound_ms) {
    clock->refused++;
    return;
  }
  if (stamp > clock->last) {
    clock->last = stamp;
  }
}
