/* SPDX-License-Identifier: Apache-2.0 */
/* Hybrid logical clock: which of two things was written later?
 *
 * Wall clocks of different nodes disagree, and logical clocks say nothing about
 * time.  A hybrid logical clock (Kulkarni, Demirbas, Madappa, Avva, Leone:
 * Logical Physical Clocks, 2014) does both: its stamps respect cause and effect
 * like a logical clock's, and stay close to the wall clock.
 *
 *      63                               16 15              0
 *     +-----------------------------------+-----------------+
 *     |  wall clock, ms since 1970: 48 b  |  counter: 16 b  |
 *     +-----------------------------------+-----------------+
 *
 * Packed this way the paper's pair (l, c) compares as one integer, and a
 * counter that overflows carries into the milliseconds by itself, which only
 * looks like a wall clock slightly ahead.
 *
 * What the paper leaves open is a peer whose clock is wrong: adopting its stamp
 * would drag everybody into its future.  So a stamp more than bound_ms ahead of
 * our own wall clock is not adopted, only counted.  It still orders as it was
 * written.
 *
 * Order:   stamps are integers; two clocks may make equal ones, so writers
 *          break ties by actor.
 * Cost:    a few instructions.  The clock never asks what time it is: the host
 *          says.
 * Threads: none.
 */
#ifndef HOLT_CLOCK_H
#define HOLT_CLOCK_H

#include <stdint.h>

#include <holt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of the counter below the milliseconds. */
#define HOLT_CLOCK_COUNTER_BITS 16

/* The latest wall clock that is believed, about the year 6429; a later one
 * counts as this one.  The range above is what keeps stamps from ever wrapping
 * around. */
#define HOLT_CLOCK_WALL_MS_MAX ((UINT64_C(1) << 47) - 1)

/* The largest bound_ms, for the same reason. */
#define HOLT_CLOCK_BOUND_MS_MAX ((UINT64_C(1) << 46) - 1)

/* The fields are read-only for everyone but clock.c. */
struct holt_clock {
  uint64_t last;     /* Greatest stamp returned or adopted.  0: none yet. */
  uint64_t bound_ms; /* How far ahead of our wall clock a stamp may be. */
  uint64_t refused;  /* Stamps observed beyond that bound. */
};

/* Prepare a clock that has seen nothing.  A bound above HOLT_CLOCK_BOUND_MS_MAX
 * counts as that. */
HOLT_API void holt_clock_init(struct holt_clock *clock, uint64_t bound_ms);

/* The stamp of a new event, at wall_ms milliseconds since 1970 by the host's
 * clock.  Strictly greater than every stamp this clock has returned or adopted,
 * even when the wall clock stands still or goes back. */
HOLT_API uint64_t holt_clock_tick(struct holt_clock *clock, uint64_t wall_ms);

/* Note a stamp that somebody else made, so that our next one is greater.  When
 * its time is more than bound_ms ahead of wall_ms it is counted in refused, and
 * nothing else happens. */
HOLT_API void holt_clock_observe(struct holt_clock *clock, uint64_t stamp,
                                 uint64_t wall_ms);

/* The milliseconds of a stamp. */
static inline uint64_t
holt_clock_stamp_ms(uint64_t stamp)
{
  return stamp >> HOLT_CLOCK_COUNTER_BITS;
}

/* The least stamp of a millisecond. */
static inline uint64_t
holt_clock_stamp_at(uint64_t ms)
{
  return ms << HOLT_CLOCK_COUNTER_BITS;
}

#ifdef __cplusplus
}
#endif

#endif /* HOLT_CLOCK_H */
