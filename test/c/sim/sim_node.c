/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, instances and the processes around them: what comes and goes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_core.h"

struct holt_time
sim_time(const struct sim *sim, unsigned at)
{
  const struct sim_node *const node = &sim->nodes[at];
  return (struct holt_time){ .mono_ms = sim->now_ms + node->mono_base_ms,
                             .wall_ms = sim->now_ms + node->wall_base_ms };
}

/*--------------------------------------------------------------------
 * Memory */

void
sim_memory_arm(struct sim *sim, unsigned at)
{
  struct heap *const heap = &sim->nodes[at].heap;
  heap->fail_at = 0;
  if (sim->options.nomem_permille > 0 &&
      prng_chance(&sim->net, sim->options.nomem_permille, 1000)) {
    heap->fail_at = heap->requests + 1 + sim_below(sim, 4);
  }
  if (sim_memory_is_short(sim, at)) {
    heap->mem.bytes_max = heap->mem.bytes;
  }
}

void
sim_memory_disarm(struct sim *sim, unsigned at)
{
  sim->nodes[at].heap.fail_at = 0;
  sim->nodes[at].heap.mem.bytes_max = 0;
}

void
sim_memory_short(struct sim *sim, unsigned at, uint64_t for_ms)
{
  sim->nodes[at].short_until_ms = sim->now_ms + for_ms;
}

bool
sim_memory_is_short(const struct sim *sim, unsigned at)
{
  return sim->now_ms < sim->nodes[at].short_until_ms;
}

/*--------------------------------------------------------------------
 * Replicas */

static void
replica_new(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  heap_init(&node->heap);
  const struct holt_config config = {
    .mem = &node->heap.mem,
    .member = node->own,
    .actor = prng_next(&sim->net) | 1,
    .creation = node->creation,
    .hash_seed = { prng_next(&sim->net), prng_next(&sim->net) },
    .entropy = prng_next(&sim->net),
    .policy = sim_core_policy(&sim->options, at),
    .tuning = sim->options.tuning,
  };
  const struct holt_time now = sim_time(sim, at);
  if (holt_replica_new(&node->replica, &config, &now) != 0) {
    abort();
  }
  node->log = sim_log_new(sim, config.actor, at, node->creation);
  node->clock = (struct sim_clock){ .met = false };
  sim_twin_new(sim, at);
  sim_told_new(sim, at);
  sim_presence_new(sim, at);
  node->fragile = false;
  node->paused = false;
  node->stopping = false;
  for (unsigned i = 0; i < SIM_PROCESSES; i++) {
    node->processes[i].known = false;
  }
}

static void
replica_delete(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  sim_inbox_drop(node);
  sim_tour_stop(sim, at);
  const size_t budget_max = sim->options.big ? 2000 : 20;
  while (!holt_replica_drain(node->replica, 1 + sim_below(sim, budget_max))) {
  }
  holt_replica_delete(node->replica);
  sim_twin_delete(sim, at);
  sim_told_delete(sim, at);
  node->replica = NULL;
  if (!heap_is_clean(&node->heap)) {
    sim_fail(sim, "n%u leaves %zu blocks behind", at, node->heap.blocks_count);
  }
  heap_deinit(&node->heap);
  memset(node->peers, 0, sizeof node->peers);
}

/*--------------------------------------------------------------------
 * Nodes */

bool
sim_node_start(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica != NULL || node->left) {
    return false;
  }
  node->joined = true;
  node->creation++;
  node->mono_base_ms = sim_percent(sim, 30) ? 0 : sim_below(sim, 100000000);
  node->wall_base_ms = UINT64_C(1700000000000) + sim_below(sim, 6000);
  node->slow_ms = 0;
  node->short_until_ms = 0;
  node->frozen_until_ms = 0;
  node->next_process = 1;
  for (unsigned i = 0; i < SIM_PROCESSES; i++) {
    node->processes[i] = (struct sim_process){ .id = node->next_process++ };
  }
  memset(node->alive_incarnation, 0, sizeof node->alive_incarnation);
  node->inbox_end = &node->inbox;
  replica_new(sim, at);
  sim_trace(sim, "n%u starts as %" PRIx64, at, node->log->actor >> 48);
  sim_process_start(sim, at);
  return true;
}

void
sim_node_kill(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  sim_trace(sim, "n%u is killed", at);
  sim_node_name(node, false);
  replica_delete(sim, at);
  node->running = false;
  node->incarnation++;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    node->linked[i] = false;
    if (i != at) {
      (void)sim_link_cut(sim, at, i);
    }
  }
}

/*--------------------------------------------------------------------
 * Processes */

static void
process_gone(struct sim *sim, unsigned at)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (i != at) {
      (void)sim_send(sim, at, i, SIM_PROCESS_DOWN, NULL, NULL, 0);
    }
  }
}

static void
process_restart(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  node->running = false;
  node->incarnation++;
  uint64_t after_ms = sim_percent(sim, 30) ? 0 : sim_below(sim, 200);
  if (sim_percent(sim, 20)) {
    after_ms += sim->options.tuning.replica_restart_ms;
  }
  sim_plan(sim, &(struct sim_event){ .at_ms = sim->now_ms + after_ms,
                                     .kind = SIM_EVENT_START_PROCESS,
                                     .node = at,
                                     .number = node->incarnation });
}

void
sim_kernel_link(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  const unsigned from = message->from;
  const struct sim_link *const link = sim_link_of(sim, at, from);
  if (message->kind == SIM_LINK_UP && !link->cut &&
      message->connection == link->connection) {
    node->linked[from] = true;
    node->linked_connection[from] = message->connection;
  } else if (message->kind == SIM_LINK_DOWN &&
             message->connection == node->linked_connection[from]) {
    node->linked[from] = false;
  }
}

bool
sim_process_crash(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || !node->running) {
    return false;
  }
  sim_trace(sim, "n%u process crashes", at);
  for (const struct sim_message *message = node->inbox; message != NULL;
       message = message->next) {
    sim_kernel_link(sim, at, message);
  }
  sim_inbox_drop(node);
  process_gone(sim, at);
  process_restart(sim, at);
  return true;
}

bool
sim_instance_restart(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || !node->running) {
    return false;
  }
  for (const struct sim_message *message = node->inbox; message != NULL;
       message = message->next) {
    sim_kernel_link(sim, at, message);
  }
  replica_delete(sim, at);
  process_gone(sim, at);
  replica_new(sim, at);
  sim_trace(sim, "n%u instance starts again as %" PRIx64, at,
            node->log->actor >> 48);
  process_restart(sim, at);
  return true;
}

void
sim_process_start(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || node->running) {
    return;
  }
  node->running = true;
  node->slice_planned = false;
  const struct holt_time now = sim_time(sim, at);
  sim_trace(sim, "n%u process starts", at);
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    node->peer_incarnation[i] = UINT64_MAX; /* It watches nobody yet. */
    sim_clock_new_session(sim, at, i);
    if (node->linked[i]) {
      if (holt_replica_peer_up(node->replica, &sim->nodes[i].member, &now,
                               &node->peers[i]) != 0) {
        abort(); /* Memory is granted here. */
      }
    } else if (node->peers[i] != 0) {
      holt_replica_peer_down(node->replica, node->peers[i], HOLT_DOWN_LINK,
                             &now);
    }
  }
  sim_touched(sim, at);
  sim_plan_poll(sim, at, sim->now_ms);
}
