/* SPDX-License-Identifier: Apache-2.0 */
/* Which stamps and marks a row may have, kept beside the replica, without it:
 * from the true clocks, and from what its host has been told.
 *
 * A node that has met others stamps nothing beyond the median of the clocks it
 * has heard last, its own included, plus the bound; nor beyond anything that it
 * was allowed before.  Until it has caught up with a first peer, its rows are
 * marked as early. */
#include <inttypes.h>
#include <string.h>

#include <holt/clock.h>

#include "sim_core.h"

/* A stamp counts within a millisecond; what runs over goes into the next. */
#define SLACK_MS 1u

/*--------------------------------------------------------------------
 * Clocks */

static uint64_t
limit_now(const struct sim *sim, unsigned at)
{
  const struct sim_clock *const clock = &sim->nodes[at].clock;
  const int64_t ms = (int64_t)sim_time(sim, at).mono_ms + clock->median;
  return (uint64_t)ms + sim->options.tuning.clock_bound_ms;
}

static void
limit_grow(const struct sim *sim, struct sim_clock *clock, unsigned at)
{
  if (clock->median_known && clock->limit_ms < limit_now(sim, at)) {
    clock->limit_ms = limit_now(sim, at);
  }
}

/* The lower median: as many are below it as above, or one less. */
static int64_t
median_of(int64_t *offsets, unsigned count)
{
  for (unsigned i = 1; i < count; i++) {
    const int64_t offset = offsets[i];
    unsigned j = i;
    for (; j > 0 && offsets[j - 1] > offset; j--) {
      offsets[j] = offsets[j - 1];
    }
    offsets[j] = offset;
  }
  return offsets[(count - 1) / 2];
}

void
sim_clock_heard(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_clock *const clock = &sim->nodes[at].clock;
  const struct holt_time now = sim_time(sim, at);
  limit_grow(sim, clock, at);
  clock->counted[message->from] = true;
  clock->offset[message->from] =
    (int64_t)message->wall_ms - (int64_t)now.mono_ms;
  int64_t offsets[SIM_NODES_MAX + 1];
  unsigned count = 0;
  offsets[count++] = (int64_t)now.wall_ms - (int64_t)now.mono_ms;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (clock->counted[i]) {
      offsets[count++] = clock->offset[i];
    }
  }
  clock->median = median_of(offsets, count);
  clock->median_known = true;
  if (message->kind == SIM_PACKET) {
    clock->heard[message->from] = message->held;
  }
}

void
sim_clock_lost(struct sim *sim, unsigned at, unsigned from)
{
  struct sim_clock *const clock = &sim->nodes[at].clock;
  clock->counted[from] = false;
}

void
sim_clock_new_session(struct sim *sim, unsigned at, unsigned from)
{
  sim_clock_lost(sim, at, from);
  sim->nodes[at].clock.heard[from] = 0;
}

/*--------------------------------------------------------------------
 * Marks */

void
sim_clock_hello(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_clock *const clock = &sim->nodes[at].clock;
  const unsigned from = message->from;
  if (!sim_core_hello(message->bytes, message->size, &clock->hello_actor[from],
                      &clock->hello_version[from])) {
    sim_fail(sim, "n%u takes a hello that cannot be read", at);
  }
  sim_clock_heard(sim, at, message);
}

void
sim_clock_look(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  struct sim_clock *const clock = &node->clock;
  for (unsigned i = 0; i < sim->options.nodes && !clock->met; i++) {
    struct sim_copy copy;
    if (clock->hello_actor[i] != 0 &&
        sim_core_copy_of(node->replica, clock->hello_actor[i], &copy) &&
        copy.connected && !copy.dirty &&
        copy.version >= clock->hello_version[i]) {
      sim_trace(sim, "n%u has met n%u", at, i);
      clock->met = true;
      clock->limit_ms = limit_now(sim, at);
      node->log->stamp = 0; /* It may fall back, once. */
    }
  }
}

/*--------------------------------------------------------------------
 * Rows */

static void
check_stamp(struct sim *sim, unsigned at, const struct holt_row_spec *row)
{
  struct sim_node *const node = &sim->nodes[at];
  struct sim_clock *const clock = &node->clock;
  if (clock->met) {
    limit_grow(sim, clock, at);
    const uint64_t ms = holt_clock_stamp_ms(row->stamp);
    if (ms > clock->limit_ms + SLACK_MS) {
      sim_fail(sim, "n%u stamps %" PRIu64 " ms beyond all clocks", at,
               ms - clock->limit_ms);
    }
  }
  if (row->stamp <= node->log->stamp) {
    sim_fail(sim, "n%u stamps what is new as older", at);
  }
  node->log->stamp = row->stamp;
}

void
sim_clock_check(struct sim *sim, unsigned at, uint64_t birth)
{
  const struct sim_node *const node = &sim->nodes[at];
  struct holt_row_spec row;
  if (!sim_core_own(node->replica, birth, &row)) {
    sim_fail(sim, "n%u does not have what it has registered", at);
    return;
  }
  const bool replaces = (row.flags & HOLT_ROW_REPLACES) != 0;
  const bool early = (row.flags & HOLT_ROW_EARLY) != 0;
  const bool may = !sim->options.duplicate && !node->clock.met;
  sim->total.early += early ? 1 : 0;
  if (!replaces && early != may) {
    sim_fail(sim, "n%u %s birth %" PRIu64 " as early", at,
             early ? "marks" : "does not mark", birth);
  }
  if (!replaces) {
    check_stamp(sim, at, &row);
  }
}

/*--------------------------------------------------------------------
 * What is held */

uint64_t
sim_held(const struct sim *sim, unsigned at)
{
  const struct holt_actor *next = NULL;
  struct sim_copy copy;
  uint64_t held = 1;
  while (sim_core_copy(sim->nodes[at].replica, &next, &copy)) {
    if (copy.present || copy.self) {
      if (copy.dirty) {
        return 0;
      }
      /* Actors are random. */
      held += copy.id * (2 * copy.version + 1);
    }
  }
  return held == 0 ? 1 : held;
}
