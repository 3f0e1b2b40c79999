/* SPDX-License-Identifier: Apache-2.0 */
/* Stories with a known end. */
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>

static void
expect(struct sim *sim, bool condition, const char *what)
{
  if (!condition) {
    sim_fail(sim, "expected: %s", what);
  }
}

static void
expect_holder(struct sim *sim, unsigned key, int holder)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (sim_holder(sim, i, key) != holder) {
      sim_fail(sim, "n%u sees n%d under key %u, not n%d", i,
               sim_holder(sim, i, key), key, holder);
    }
  }
}

static struct holt_counters
counters(const struct sim *sim, unsigned at)
{
  struct holt_counters result;
  holt_replica_counters(sim->nodes[at].replica, &result);
  return result;
}

static void
split(struct sim *sim, unsigned left, unsigned right)
{
  sim_link_cut(sim, left, right);
  sim_run(sim, 200);
}

static void
heal(struct sim *sim, unsigned left, unsigned right)
{
  sim_link_heal(sim, left, right);
  sim_settle(sim);
}

/* A name is seen everywhere, hidden by a cut, and seen again. */
static void
sim_cut_heals_and_converges(struct sim *sim)
{
  sim_settle(sim);
  expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  expect_holder(sim, 0, 0);
  split(sim, 0, 1);
  expect(sim, sim_holder(sim, 1, 0) == -1, "n1 sees nothing");
  expect(sim, sim_holder(sim, 0, 0) == 0, "n0 sees its own");
  expect(sim, sim_register(sim, 0, 1, 1) == 0, "n0 registers another");
  expect(sim, sim_register(sim, 1, 0, 2) == 0, "n1 registers a third");
  heal(sim, 0, 1);
  expect_holder(sim, 0, 0);
  expect_holder(sim, 1, 0);
  expect_holder(sim, 2, 1);
  expect(sim, sim->conflicts == 0, "no conflict");
}

/* After a cut only what is new travels. */
static void
sim_return_sends_only_news(struct sim *sim)
{
  sim_settle(sim);
  for (unsigned i = 0; i < 8; i++) {
    expect(sim, sim_register(sim, 0, 0, i) == 0, "n0 registers");
  }
  sim_settle(sim);
  split(sim, 0, 1);
  expect(sim, sim_register(sim, 0, 0, 8) == 0, "n0 registers one more");
  heal(sim, 0, 1);
  expect_holder(sim, 8, 0);
  expect(sim, counters(sim, 1).repairs == 0, "no repair at n1");
  expect(sim, counters(sim, 0).repairs == 0, "no repair at n0");
}

/* A node that comes back under its name brings no name of its former life. */
static void
sim_restart_brings_no_ghosts(struct sim *sim)
{
  sim_settle(sim);
  expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  expect(sim, sim_register(sim, 0, 1, 1) == 0, "n0 registers");
  sim_settle(sim);
  sim_node_kill(sim, 0);
  sim_run(sim, 200);
  expect(sim, sim_holder(sim, 1, 0) == -1, "the dead node's name is gone");
  sim_node_start(sim, 0);
  expect(sim, sim_register(sim, 0, 0, 1) == 0, "the new n0 registers");
  sim_link_heal(sim, 0, 2);
  heal(sim, 0, 1);
  expect_holder(sim, 0, -1);
  expect_holder(sim, 1, 0);
  sim_check_quiet(sim);
}

/* Both sides of a cut take a name: the newer one stays, the other is told. */
static void
sim_two_holders_one_winner(struct sim *sim)
{
  sim->nodes[0].wall_base_ms = sim->nodes[1].wall_base_ms;
  sim_settle(sim);
  split(sim, 0, 1);
  expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_run(sim, 100);
  expect(sim, sim_register(sim, 1, 0, 0) == 0, "n1 registers, later");
  heal(sim, 0, 1);
  expect_holder(sim, 0, 1);
  expect(sim, sim->conflicts == 1, "one is told");
  expect(sim, counters(sim, 0).conflicts == 1, "it is n0's");
}

/* The process around the replica is started again: nobody loses sight of its
 * names, and nothing is sent again. */
static void
sim_process_restart_hides_nothing(struct sim *sim)
{
  sim_settle(sim);
  expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  sim_process_crash(sim, 0);
  for (unsigned i = 0; i < 100; i++) {
    sim_run(sim, 5);
    expect(sim, sim_holder(sim, 1, 0) == 0, "n1 keeps seeing n0's name");
  }
  expect(sim, sim_register(sim, 0, 1, 1) == 0, "n0 registers another");
  sim_settle(sim);
  expect_holder(sim, 1, 0);
  expect(sim, counters(sim, 1).repairs == 0, "no repair at n1");
}

/* A thousand registrations that came and went cost the peer nothing. */
static void
sim_churn_costs_one_message(struct sim *sim)
{
  sim_settle(sim);
  split(sim, 0, 1);
  for (unsigned i = 0; i < 1000; i++) {
    expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
    expect(sim, sim_unregister(sim, 0, 0) == 0, "n0 unregisters");
  }
  const uint64_t before = sim->bytes;
  heal(sim, 0, 1);
  expect(sim, sim->bytes - before < 600, "few bytes");
  expect_holder(sim, 0, -1);
}

/* The log of deaths reaches back no more, and the copy made anew takes several
 * messages: it is made once. */
static void
sim_repair_in_pieces_ends(struct sim *sim)
{
  sim_settle(sim);
  split(sim, 0, 1);
  for (unsigned i = 0; i < 8; i++) {
    expect(sim, sim_register(sim, 0, 0, 8) == 0, "n0 registers");
    expect(sim, sim_unregister(sim, 0, 8) == 0, "n0 unregisters");
    expect(sim, sim_register(sim, 0, 0, i) == 0, "n0 registers");
  }
  for (unsigned i = 0; i < 100; i++) {
    sim_trim_deaths(sim, 0);
  }
  const uint64_t before = sim->messages;
  heal(sim, 0, 1);
  expect(sim, sim->messages - before < 40, "few messages");
  expect_holder(sim, 7, 0);
  expect_holder(sim, 8, -1);
}

/* All greetings are lost for longer than a missing replica is waited for. */
static void
sim_greets_until_answered(struct sim *sim)
{
  sim_settle(sim);
  expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  sim->options.loss_percent = 100;
  sim_process_crash(sim, 0);
  sim_run(sim, 3 * sim->options.tuning.replica_restart_ms);
  expect(sim, sim_holder(sim, 1, 0) == -1, "n1 has given n0 up");
  sim->options.loss_percent = 0;
  sim_settle(sim);
  expect_holder(sim, 0, 0);
}

static const struct {
  const char *name;
  unsigned nodes;
  size_t message_bytes_max; /* 0: the default. */
  void (*play)(struct sim *sim);
} scenarios[] = {
  { "sim_cut_heals_and_converges", 2, 0, sim_cut_heals_and_converges },
  { "sim_return_sends_only_news", 2, 0, sim_return_sends_only_news },
  { "sim_restart_brings_no_ghosts", 3, 0, sim_restart_brings_no_ghosts },
  { "sim_two_holders_one_winner", 2, 0, sim_two_holders_one_winner },
  { "sim_process_restart_hides_nothing", 2, 0,
    sim_process_restart_hides_nothing },
  { "sim_churn_costs_one_message", 2, 0, sim_churn_costs_one_message },
  { "sim_repair_in_pieces_ends", 2, 120, sim_repair_in_pieces_ends },
  { "sim_greets_until_answered", 2, 0, sim_greets_until_answered },
};

void
sim_scenarios(unsigned *passed, unsigned *failed)
{
  static struct sim sim;
  for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
    struct sim_options options;
    sim_options_init(&options);
    options.nodes = scenarios[i].nodes;
    options.keys = 9;
    if (scenarios[i].message_bytes_max != 0) {
      options.tuning.message_bytes_max = scenarios[i].message_bytes_max;
    }
    sim_init(&sim, 1, &options);
    scenarios[i].play(&sim);
    if (sim.failed) {
      fprintf(stderr, "%s\n", scenarios[i].name);
      sim_print(&sim);
    }
    sim_deinit(&sim);
    if (sim.failed) {
      (*failed)++;
    } else {
      (*passed)++;
    }
    printf("%-6s%s\n", sim.failed ? "FAIL" : "ok", scenarios[i].name);
  }
}
