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
 * What the paper leaves open is a clock that is wrong, ours or a peer's: whose
 * stamps lie in the future wins everything and drags everybody along.  So no
 * stamp is made or adopted beyond a cap that the members find together:
 *
 *     offset of a member   its wall clock less our monotonic clock
 *     median               the lower median of all offsets, ours among them
 *     cap                  our monotonic clock + median + bound_ms
 *
 *     --|-------|--|-----|--------------|---------------------|--> ms
 *      peer    own  \   peer           cap                   peer, wrong
 *                    median
 *
 * Offsets are held against the monotonic clock, so when somebody sets our wall
 * clock, the cap goes on as it was; from the next median on the new time is one
 * vote of many.  Without peers the last median stays, and a clock that never
 * had any believes its own wall clock.  A stamp beyond the cap still orders as
 * it was written.
 *
 * Order:   stamps are integers; two clocks may make equal ones, so writers
 *          break ties by actor.
 * Cost:    a few instructions; for the median O(peers), about 40 us at
 *          HOLT_CLOCK_OFFSETS_MAX.  The clock never asks what time it is: the
 *          host says.
 * Threads: none.
 */
#ifndef HOLT_CLOCK_H
#define HOLT_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of the counter below the milliseconds. */
#define HOLT_CLOCK_COUNTER_BITS 16

/* The latest wall clock that is believed, about the year 6429; a later one
 * counts as this one.  The range above is what keeps stamps from ever wrapping
 * around.  The monotonic clock is held to the same range. */
#define HOLT_CLOCK_WALL_MS_MAX ((UINT64_C(1) << 47) - 1)

/* The largest bound_ms, for the same reason. */
#define HOLT_CLOCK_BOUND_MS_MAX ((UINT64_C(1) << 46) - 1)

/* The most peers a median is taken of: what keeps that short. */
#define HOLT_CLOCK_OFFSETS_MAX 1024u

/* The fields are read-only for everyone but clock.c. */
struct holt_clock {
  uint64_t last;     /* Greatest stamp returned or adopted.  0: none yet. */
  uint64_t bound_ms; /* How far beyond the median a stamp may be. */
  int64_t median_ms; /* Over the monotonic clock, if median_known. */
  bool median_known;
  uint64_t refused; /* Stamps observed beyond the cap. */
  uint64_t capped;  /* Stamps made while our wall clock was beyond it. */
};

/* Prepare a clock that has seen nothing.  A bound above HOLT_CLOCK_BOUND_MS_MAX
 * counts as that. */
HOLT_API void holt_clock_init(struct holt_clock *clock, uint64_t bound_ms);

/* The offset of a wall clock that reads wall_ms when our monotonic clock reads
 * mono_ms. */
HOLT_API int64_t holt_clock_offset(uint64_t mono_ms, uint64_t wall_ms);

/* Take the median of the offsets of all connected peers and our own, as our
 * clocks are now.  With count 0 nothing changes.  count is at most
 * HOLT_CLOCK_OFFSETS_MAX. */
HOLT_API void holt_clock_median(struct holt_clock *clock,
                                const int64_t offsets_ms[], size_t count,
                                uint64_t mono_ms, uint64_t wall_ms);

/* The last millisecond in which a stamp is believed.  wall_ms counts only while
 * no median was ever taken. */
HOLT_API uint64_t holt_clock_cap_ms(const struct holt_clock *clock,
                                    uint64_t mono_ms, uint64_t wall_ms);

/* The stamp of a new event, now.  Its time is the wall clock's, or the cap if
 * that is earlier (counted in capped).  Strictly greater than every stamp this
 * clock has returned or adopted, even when the wall clock stands still or goes
 * back; but see holt_clock_settle(). */
HOLT_API uint64_t holt_clock_tick(struct holt_clock *clock, uint64_t mono_ms,
                                  uint64_t wall_ms);

/* Note a stamp that somebody else made, so that our next one is greater.  When
 * it is beyond the cap it is counted in refused, and nothing else happens. */
HOLT_API void holt_clock_observe(struct holt_clock *clock, uint64_t stamp,
                                 uint64_t mono_ms, uint64_t wall_ms);

/* The first peers have been met, and the median with them taken: if what was
 * stamped alone is beyond the cap, go on from the cap.  Stamps made before may
 * then be greater than later ones; their rows lose as early ones. */
HOLT_API void holt_clock_settle(struct holt_clock *clock, uint64_t mono_ms,
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
