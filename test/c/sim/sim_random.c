/* SPDX-License-Identifier: Apache-2.0 */
/* One random run: a cluster, some seconds of work and trouble, then rest. */
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>

static void
options_draw(struct prng *prng, struct sim_options *options)
{
  sim_options_init(options);
  options->nodes = 2 + (unsigned)prng_below(prng, SIM_NODES_MAX - 1);
  options->keys = 1 + (unsigned)prng_below(prng, SIM_KEYS_MAX);
  options->delay_max_ms = prng_chance(prng, 1, 3) ? prng_below(prng, 200) : 3;
  options->value_bytes_max = prng_chance(prng, 1, 4) ? 300 : 40;
  options->budget_max = prng_chance(prng, 1, 2) ? 3 : 100;
  options->busy_percent = prng_chance(prng, 1, 3) ? 20 : 0;
  options->nomem_permille = prng_chance(prng, 1, 4) ? 20 : 0;
  options->faithful = prng_chance(prng, 1, 2);
  if (!options->faithful) {
    options->loss_percent = (unsigned)prng_below(prng, 4) * 8;
    options->duplicate_percent = (unsigned)prng_below(prng, 3) * 8;
  }
  struct holt_tuning *const tuning = &options->tuning;
  tuning->vector_interval_ms = 50 + prng_below(prng, 500);
  tuning->replica_restart_ms = 100 + prng_below(prng, 2000);
  tuning->clock_bound_ms = prng_chance(prng, 1, 2) ? 5000 : 50;
  tuning->value_bytes_max = 1000;
  tuning->key_bytes_max = 100;
  if (prng_chance(prng, 2, 3)) {
    tuning->message_bytes_max = 100 + prng_below(prng, 400);
    tuning->window_bytes = 100 + prng_below(prng, 1000);
  }
}

static void
work(struct sim *sim)
{
  const unsigned at = (unsigned)sim_below(sim, sim->options.nodes);
  const unsigned key = (unsigned)sim_below(sim, sim->options.keys);
  const unsigned process = (unsigned)sim_below(sim, SIM_PROCESSES);
  if (sim->nodes[at].replica == NULL) {
    return;
  }
  switch (sim_below(sim, 10)) {
  case 0:
  case 1:
  case 2:
  case 3:
    (void)sim_register(sim, at, process, key);
    break;
  case 4:
  case 5:
    (void)sim_unregister(sim, at, key);
    break;
  case 6:
  case 7:
    (void)sim_update(sim, at, key);
    break;
  case 8:
    sim_process_kill(sim, at, process);
    break;
  default:
    if (sim_percent(sim, 20)) {
      sim_trim_deaths(sim, at);
    }
    break;
  }
}

static void
trouble(struct sim *sim)
{
  const unsigned at = (unsigned)sim_below(sim, sim->options.nodes);
  const unsigned other = (unsigned)sim_below(sim, sim->options.nodes);
  switch (sim_below(sim, 8)) {
  case 0:
  case 1:
    if (other != at) {
      sim_link_cut(sim, at, other);
    }
    break;
  case 2:
  case 3:
  case 4:
    if (other != at) {
      sim_link_heal(sim, at, other);
    }
    break;
  case 5:
    sim_process_crash(sim, at);
    break;
  case 6:
    if (sim->nodes[at].replica == NULL) {
      sim_node_start(sim, at);
    } else if (sim_percent(sim, 30)) {
      sim_node_kill(sim, at);
    }
    break;
  default:
    if (sim_percent(sim, 30)) {
      sim_instance_restart(sim, at);
    } else if (sim_percent(sim, 30)) {
      sim->nodes[at].wall_base_ms += sim_below(sim, 4000) - 2000;
    }
    break;
  }
}

static void
heal_all(struct sim *sim)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = i + 1; j < sim->options.nodes; j++) {
      sim_link_heal(sim, i, j);
    }
  }
}

/* The network is good from now on, and everybody is there. */
static void
rest(struct sim *sim)
{
  sim_trace(sim, "rest");
  sim->options.loss_percent = 0;
  sim->options.duplicate_percent = 0;
  sim->options.busy_percent = 0;
  sim->options.nomem_permille = 0;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    sim_node_start(sim, i);
  }
  for (unsigned i = 0; i < 100; i++) {
    heal_all(sim);
    sim_run(sim, 10);
  }
  sim_settle(sim);
}

/* At rest each pair exchanges a vector and an ack per interval each way. */
static void
check_silence(struct sim *sim)
{
  const uint64_t before = sim->messages;
  const uint64_t intervals = 10;
  sim_run(sim, intervals * sim->options.tuning.vector_interval_ms);
  const uint64_t pairs =
    (uint64_t)sim->options.nodes * (sim->options.nodes - 1);
  const uint64_t allowed = pairs * 2 * (intervals + 2);
  if (sim->messages - before > allowed) {
    sim_fail(sim, "%" PRIu64 " messages at rest, more than %" PRIu64,
             sim->messages - before, allowed);
  }
}

static void
add_up(const struct sim *sim, struct sim_total *total)
{
  total->runs++;
  total->steps += sim->steps;
  total->messages += sim->messages;
  total->conflicts += sim->conflicts;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (sim->nodes[i].replica != NULL) {
      struct holt_counters counters;
      holt_replica_counters(sim->nodes[i].replica, &counters);
      total->gaps += counters.gaps;
      total->duplicates += counters.duplicates;
      total->repairs += counters.repairs;
      total->stamps_refused += counters.stamps_refused;
    }
  }
}

bool
sim_random(uint64_t seed, struct sim_total *total)
{
  static struct sim sim;
  struct prng prng;
  struct sim_options options;
  prng_init(&prng, seed);
  options_draw(&prng, &options);
  sim_init(&sim, prng_next(&prng), &options);
  sim.seed = seed;

  const uint64_t steps = 50 + sim_below(&sim, 400);
  const uint64_t pause_max_ms = 1 + sim_below(&sim, 60);
  const unsigned trouble_percent = (unsigned)sim_below(&sim, 20);
  for (uint64_t i = 0; i < steps && !sim.failed; i++) {
    if (sim_percent(&sim, trouble_percent)) {
      trouble(&sim);
    } else {
      work(&sim);
    }
    sim_run(&sim, sim_below(&sim, pause_max_ms));
  }
  rest(&sim);
  check_silence(&sim);
  if (!sim.failed) {
    sim_check_quiet(&sim);
  }
  const bool good = !sim.failed;
  add_up(&sim, total);
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
    sim_print(&sim);
  }
  sim_deinit(&sim);
  if (good && sim.failed) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
    sim_print(&sim);
  }
  return !sim.failed;
}
