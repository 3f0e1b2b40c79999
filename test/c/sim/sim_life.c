/* SPDX-License-Identifier: Apache-2.0 */
/* Ends and pauses that are announced, and nodes that get their name late. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_core.h"

/* Who cannot be told in so many polls is not told. */
#define STOP_POLLS_MAX 50u

/* A poll that wants to be asked again later than this waits for nothing. */
#define STOP_WAIT_MS 30u

/*--------------------------------------------------------------------
 * Goodbyes */

static void
say(struct sim *sim, unsigned at, enum holt_goodbye goodbye)
{
  holt_replica_goodbye(sim->nodes[at].replica, goodbye);
  sim_touched(sim, at);
  sim_plan_poll(sim, at, sim->now_ms);
}

static bool
may_say(const struct sim_node *node)
{
  return node->replica != NULL && node->running && !node->stopping;
}

bool
sim_stop(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (!may_say(node)) {
    return false;
  }
  sim_trace(sim, "n%u stops", at);
  node->stopping = true;
  node->stop_polls = 0;
  say(sim, at, HOLT_GOODBYE_ENDED);
  return true;
}

bool
sim_stop_done(struct sim_node *node, uint64_t timeout_ms)
{
  node->stop_polls++;
  return timeout_ms > STOP_WAIT_MS || node->stop_polls > STOP_POLLS_MAX;
}

bool
sim_pause(struct sim *sim, unsigned at, uint64_t for_ms)
{
  struct sim_node *const node = &sim->nodes[at];
  if (!may_say(node) || node->paused) {
    return false;
  }
  sim_trace(sim, "n%u pauses", at);
  node->paused = true;
  say(sim, at, HOLT_GOODBYE_PAUSED);
  sim_plan(sim, &(struct sim_event){ .at_ms = sim->now_ms + for_ms,
                                     .kind = SIM_EVENT_RESUME,
                                     .node = at,
                                     .number = node->log->actor });
  return true;
}

void
sim_resume(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || !node->paused || node->stopping) {
    return;
  }
  sim_trace(sim, "n%u goes on", at);
  node->paused = false;
  const struct holt_time now = sim_time(sim, at);
  holt_replica_resume(node->replica, &now);
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    sim_clock_new_session(sim, at, i);
    node->peers[i] = 0;
    if (node->linked[i] && node->running &&
        holt_replica_peer_up(node->replica, &sim->nodes[i].member, &now,
                             &node->peers[i]) != 0) {
      abort(); /* Memory is granted here. */
    }
  }
  sim_touched(sim, at);
  sim_plan_poll(sim, at, sim->now_ms);
}

void
sim_goodbye_heard(struct sim *sim, unsigned at,
                  const struct sim_message *message)
{
  struct sim_copy copy;
  sim_clock_new_session(sim, at, message->from);
  sim->total.goodbyes++;
  if (sim_core_copy_of(sim->nodes[at].replica, message->actor, &copy) &&
      !copy.gone && (copy.shown || copy.present)) {
    sim_fail(sim, "n%u still shows n%u, which has said goodbye", at,
             message->from);
  }
}

/*--------------------------------------------------------------------
 * Standing still */

bool
sim_is_frozen(const struct sim *sim, unsigned at)
{
  return sim->now_ms < sim->nodes[at].frozen_until_ms;
}

void
sim_freeze(struct sim *sim, unsigned at, uint64_t for_ms)
{
  struct sim_node *const node = &sim->nodes[at];
  sim_trace(sim, "n%u freezes for %" PRIu64 " ms", at, for_ms);
  if (node->frozen_until_ms < sim->now_ms + for_ms) {
    node->frozen_until_ms = sim->now_ms + for_ms;
  }
}

void
sim_thaw(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (sim_is_frozen(sim, at)) {
    sim_trace(sim, "n%u thaws", at);
    node->frozen_until_ms = 0;
    node->slice_planned = false;
    if (node->running) {
      sim_plan_poll(sim, at, sim->now_ms);
      sim_plan_slice(sim, at, false);
    }
  }
}

/*--------------------------------------------------------------------
 * Names of nodes */

void
sim_node_name(struct sim_node *node, bool alone)
{
  static const char nobody[] = "nonode@nohost";
  const char *const name = alone ? nobody : node->name;
  node->alone = alone;
  node->own = node->member;
  node->own.node = (const uint8_t *)name;
  node->own.node_size = (uint16_t)strlen(name);
}

bool
sim_node_start_alone(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica != NULL && node->joined && !node->left) {
    sim_node_kill(sim, at);
  }
  sim_node_name(node, true);
  if (!sim_node_start(sim, at)) {
    sim_node_name(node, false);
    return false;
  }
  const uint64_t after_ms = sim_below(sim, 500);
  sim_plan(sim, &(struct sim_event){ .at_ms = sim->now_ms + after_ms,
                                     .kind = SIM_EVENT_RENAME,
                                     .node = at,
                                     .number = node->log->actor });
  return true;
}

void
sim_rename(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || !node->alone) {
    return;
  }
  sim_tour_stop(sim, at);
  sim_node_name(node, false);
  node->creation++;
  const uint64_t actor = prng_next(&sim->net) | 1;
  const struct holt_time now = sim_time(sim, at);
  if (holt_replica_rename(node->replica, actor, &node->own, node->creation,
                          &now) != 0) {
    abort(); /* Memory is granted here. */
  }
  node->log = sim_log_copy(sim, node->log, actor, node->creation);
  sim_trace(sim, "n%u has its name, as %" PRIx64, at, actor >> 48);
  sim_touched(sim, at);
  sim_heal_all(sim);
}
