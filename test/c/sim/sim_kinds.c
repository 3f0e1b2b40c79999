/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of kinds and rules, of standbys and replacing, of goodbyes and late
 * names. */
#include "sim_core.h"
#include "sim_story.h"

/*--------------------------------------------------------------------
 * Duplicate keys */

static size_t
count_key(const struct sim *sim, unsigned at, unsigned key, int on)
{
  const struct sim_key *const name = &sim->keys[key];
  const struct holt_member *const member =
    on < 0 ? NULL : &sim->nodes[on].member;
  return holt_replica_count_key(sim->nodes[at].replica, name->bytes, name->size,
                                member == NULL ? NULL : member->node,
                                member == NULL ? 0 : member->node_size);
}

static void
expect_count(struct sim *sim, unsigned key, int on, size_t count)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (sim->nodes[i].replica != NULL && count_key(sim, i, key, on) != count) {
      sim_fail(sim, "n%u counts %zu rows of key %u, not %zu", i,
               count_key(sim, i, key, on), key, count);
    }
  }
}

/* One process in many groups, in one of them twice; others beside it. */
static void
sim_groups_are_seen_everywhere(struct sim *sim)
{
  sim_settle(sim);
  for (unsigned i = 0; i < 4; i++) {
    sim_expect(sim, sim_register(sim, 0, 0, i) == 0, "a process joins");
  }
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "it joins again");
  sim_expect(sim, sim_register(sim, 0, 1, 0) == 0, "another one does");
  sim_expect(sim, sim_register(sim, 1, 0, 0) == 0, "one of n1 does");
  sim_settle(sim);
  expect_count(sim, 0, -1, 4);
  expect_count(sim, 0, 0, 3);
  expect_count(sim, 0, 1, 1);
  expect_count(sim, 3, -1, 1);
  sim_expect(sim, sim_unregister(sim, 1, 0) == 0, "n1's leaves");
  sim_expect(sim, sim_update(sim, 0, 0) == 0, "one has another value");
  sim_settle(sim);
  expect_count(sim, 0, -1, 3);
  expect_count(sim, 0, 1, 0);
  sim_expect(sim, sim_process_exit(sim, 0, 0), "the first process ends");
  sim_settle(sim);
  expect_count(sim, 0, -1, 1);
  expect_count(sim, 3, -1, 0);
  sim_check_quiet(sim);
}

/* Both sides of a cut join: nobody loses anything. */
static void
sim_groups_have_no_winner(struct sim *sim)
{
  sim_settle(sim);
  sim_split(sim, 0, 1);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 joins");
  sim_expect(sim, sim_register(sim, 1, 0, 0) == 0, "n1 joins");
  sim_expect(sim, count_key(sim, 0, 0, -1) == 1, "n0 sees one");
  sim_heal(sim, 0, 1);
  expect_count(sim, 0, -1, 2);
  sim_expect(sim, sim->total.conflicts == 0, "nobody is told");
  sim_check_quiet(sim);
}

/* A group of ten thousand, most of them of one process, which ends. */
static void
sim_group_of_ten_thousand_dies(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register_many(sim, 0, 0, 0, 10000, true) == 10000,
             "they join");
  sim_expect(sim, sim_register_many(sim, 1, 0, 0, 10, true) == 10, "ten more");
  sim_settle(sim);
  expect_count(sim, 0, -1, 10010);
  expect_count(sim, 0, 0, 10000);
  sim_check_whole(sim);
  sim_expect(sim, sim_process_exit(sim, 0, 0), "the process ends");
  sim_settle(sim);
  expect_count(sim, 0, -1, 10);
  sim_node_kill(sim, 1);
  sim_run(sim, 200);
  expect_count(sim, 0, -1, 0);
}

/*--------------------------------------------------------------------
 * Rules */

/* Both sides of a cut take a name: the older one stays. */
static void
sim_oldest_keeps_the_name(struct sim *sim)
{
  sim->nodes[0].wall_base_ms = sim->nodes[1].wall_base_ms;
  sim_settle(sim);
  sim_split(sim, 0, 1);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_run(sim, 100);
  sim_expect(sim, sim_register(sim, 1, 0, 0) == 0, "n1 registers, later");
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 0, 0);
  sim_expect(sim, sim_counters(sim, 1).conflicts == 1, "n1 is told");
  sim_check_quiet(sim);
}

/* n0 keeps the oldest, n1 and n2 the newest: all agree, whoever comes first. */
static void
sim_mixed_rules_have_one_winner(struct sim *sim)
{
  sim_settle(sim);
  sim_split(sim, 0, 1);
  sim_split(sim, 0, 2);
  sim_split(sim, 1, 2);
  for (unsigned i = 0; i < 3; i++) {
    sim_expect(sim, sim_register(sim, 2 - i, 0, 0) == 0, "each registers");
    sim_run(sim, 6000);
  }
  (void)sim_link_heal(sim, 0, 1);
  sim_run(sim, 3000);
  sim_expect(sim, sim_holder(sim, 0, 0) == 1, "n0 gives way to n1");
  (void)sim_link_heal(sim, 0, 2);
  sim_heal(sim, 1, 2);
  sim_expect_holder(sim, 0, 1);
  sim_expect(sim, sim->total.conflicts == 2, "two are told");
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Standbys */

/* The first in line takes over when the holder dies, leaves, or its node goes;
 * nobody ever loses anything. */
static void
sim_standbys_take_over_in_line(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_expect(sim, sim_register_standby(sim, 1, 0, 0) == 0, "n1 stands by");
  sim_run(sim, 10000);
  sim_expect(sim, sim_register_standby(sim, 2, 0, 0) == 0, "n2 stands by");
  sim_settle(sim);
  sim_run(sim, 10000);
  sim_expect(sim, sim_register_standby(sim, 0, 1, 0) == 0, "n0 stands by");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 0);
  sim_expect(sim, sim_process_exit(sim, 0, 0), "the holder dies");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 1);
  sim_expect(sim, sim_register(sim, 0, 2, 0) == HOLT_ERR_EXISTS, "it is taken");
  sim_expect(sim, sim_unregister(sim, 1, 0) == 0, "the next gives it away");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 2);
  sim_node_kill(sim, 2);
  sim_run(sim, 200);
  sim_expect(sim, sim_holder(sim, 1, 0) == 0, "n0 is the last in line");
  sim_expect(sim, sim->total.conflicts == 0, "nobody is told");
}

/* Two holders meet, one of them loses: the standby waits for the other. */
static void
sim_standby_outlives_a_conflict(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register_standby(sim, 1, 1, 0) == 0, "n1 stands by");
  sim_settle(sim);
  sim_expect(sim, sim_holder(sim, 0, 0) == 1, "and has it as the first");
  sim_split(sim, 0, 1);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 0, 0);
  sim_expect(sim, sim->total.conflicts == 0, "the standby only waits");
  sim_expect(sim, sim_process_exit(sim, 0, 0), "n0's ends");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 1);
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Replacing */

/* A name is given to a process of a node whose clock is behind. */
static void
sim_name_moves_to_another_node(struct sim *sim)
{
  sim->nodes[1].wall_base_ms = sim->nodes[0].wall_base_ms - 4000;
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  prng_init(&sim->choice, 1);
  sim_expect(sim, sim_replace(sim, 1, 0, 0) == 0, "n1 takes its place");
  sim_expect(sim, sim_holder(sim, 1, 0) == 1, "at once, at n1");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 1);
  sim_expect(sim, sim_counters(sim, 0).conflicts == 0, "without a conflict");
  sim_check_quiet(sim);
}

/* The same on one node: nobody is told. */
static void
sim_name_moves_to_another_process(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "one registers");
  sim_settle(sim);
  prng_init(&sim->choice, 1);
  sim_expect(sim, sim_replace(sim, 0, 1, 0) == 0, "another takes its place");
  sim_settle(sim);
  sim_expect(sim, sim_process_exit(sim, 0, 0), "the first one ends");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 0);
  sim_expect(sim, sim->total.conflicts == 0, "nobody is told");
  sim_check_quiet(sim);
}

/* A process ends, and another has its names before anybody looks. */
static void
sim_names_are_taken_over_in_one_step(struct sim *sim)
{
  sim_settle(sim);
  for (unsigned i = 0; i < 9; i++) {
    sim_expect(sim, sim_register(sim, 0, 0, i) == 0, "one registers");
  }
  sim_settle(sim);
  sim_expect(sim, sim_take_over(sim, 0, 0) == 9, "others have all of them");
  for (unsigned i = 0; i < 100; i++) {
    sim_run(sim, 1);
    sim_expect(sim, sim_holder(sim, 1, 8) == 0, "n1 always sees a holder");
  }
  sim_settle(sim);
  sim_expect_holder(sim, 8, 0);
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Goodbyes */

/* An instance that ends in order is gone at once, not after a while. */
static void
sim_goodbye_is_heard_at_once(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  const uint64_t gone = sim->nodes[0].log->actor;
  sim_expect(sim, sim_stop(sim, 0), "n0's instance ends");
  sim_run(sim, 10);
  sim_expect(sim, sim_holder(sim, 1, 0) == -1, "its name is gone at n1");
  sim_run(sim, 10);
  struct sim_copy copy;
  sim_expect(sim, !sim_core_copy_of(sim->nodes[1].replica, gone, &copy),
             "and it is forgotten");
  sim_run(sim, 3000);
  sim_settle(sim);
  sim_check_quiet(sim);
}

static void
sim_paused_is_hidden_and_back(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  sim_expect(sim, sim_pause(sim, 0, 5000), "n0 pauses");
  sim_run(sim, 10);
  sim_expect(sim, sim_holder(sim, 1, 0) == -1, "its name is hidden at n1");
  sim_expect(sim, sim_holder(sim, 0, 0) == 0, "and not at n0");
  sim_expect(sim, sim_register(sim, 0, 0, 1) == 0, "n0 registers another");
  sim_run(sim, 5000);
  sim_settle(sim);
  sim_expect_holder(sim, 0, 0);
  sim_expect_holder(sim, 1, 0);
  sim_expect(sim, sim_counters(sim, 1).repairs == 0, "no repair at n1");
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Nodes and processes */

/* A node without a name takes some, gets one and meets the others: what they
 * have they keep, the rest is seen. */
static void
sim_late_name_keeps_its_rows(struct sim *sim)
{
  sim_expect(sim, sim_node_start_alone(sim, 1), "n1 starts alone");
  sim_run(sim, 20);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_run(sim, 10);
  sim_expect(sim, sim_register(sim, 1, 0, 0) == 0, "n1 registers the same");
  sim_expect(sim, sim_register(sim, 1, 0, 1) == 0, "n1 registers another");
  sim_run(sim, 1000);
  sim_settle(sim);
  sim_expect_holder(sim, 0, 0);
  sim_expect_holder(sim, 1, 1);
  sim_expect(sim, sim_counters(sim, 1).conflicts == 1, "n1 is told");
  sim_check_quiet(sim);
}

/* The process ends when all rows of a message are in, but not its end. */
static void
sim_rows_without_their_end(struct sim *sim)
{
  sim_settle(sim);
  sim->nodes[1].fragile = true;
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_run(sim, 3000);
  sim_expect(sim, !sim->nodes[1].fragile, "n1's process has ended");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 0);
  sim_expect(sim, sim_counters(sim, 1).repairs == 0, "no repair at n1");
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Any order */

static void
do_anything(struct sim *sim)
{
  struct prng *const prng = &sim->choice;
  const unsigned at = (unsigned)prng_below(prng, sim->options.nodes);
  const unsigned key = (unsigned)prng_below(prng, sim->options.keys);
  const unsigned who = (unsigned)prng_below(prng, SIM_PROCESSES);
  switch (prng_below(prng, 10)) {
  case 0:
    (void)sim_unregister(sim, at, key);
    break;
  case 1:
  case 2:
    (void)sim_update(sim, at, key);
    break;
  case 3:
    (void)sim_register_standby(sim, at, who, key);
    break;
  case 4:
    (void)sim_replace(sim, at, who, key);
    break;
  case 5:
    (void)sim_process_exit(sim, at, who);
    break;
  default:
    (void)sim_register(sim, at, who, key);
    break;
  }
}

/* Messages come in any order, grouped in any way, some twice, some never: in
 * the end every node sees the same, and what its twin sees. */
static void
sim_order_does_not_matter(struct sim *sim)
{
  prng_init(&sim->choice, 1);
  for (unsigned round = 0; round < 10 && !sim->failed; round++) {
    sim->options.loss_percent = round % 2 == 0 ? 0 : 20;
    sim->options.duplicate_percent = 50;
    for (unsigned i = 0; i < 50; i++) {
      do_anything(sim);
      sim_run(sim, prng_below(&sim->choice, 30));
    }
    sim->options.loss_percent = 0;
    sim->options.duplicate_percent = 0;
    sim_settle(sim);
    sim_check_quiet(sim);
    const struct sim_node *const first = &sim->nodes[0];
    for (unsigned i = 1; i < sim->options.nodes; i++) {
      sim_expect(sim,
                 holt_replica_count(sim->nodes[i].replica) ==
                   holt_replica_count(first->replica),
                 "as many names everywhere");
      sim_expect(sim, sim_held(sim, i) == sim_held(sim, 0), "the same rows");
    }
  }
}

/*--------------------------------------------------------------------
 * All of them */

static void
any_order(struct sim_options *options)
{
  options->faithful = false;
  options->delay_max_ms = 200;
  options->budget_max = 3;
  options->tuning.message_bytes_max = 150;
}

static void
any_order_duplicate(struct sim_options *options)
{
  any_order(options);
  options->duplicate = true;
}

static void
duplicate(struct sim_options *options)
{
  options->duplicate = true;
}

static void
duplicate_many(struct sim_options *options)
{
  options->duplicate = true;
  options->big = true;
  options->budget_max = 500;
}

static void
all_oldest(struct sim_options *options)
{
  options->oldest[0] = true;
  options->oldest[1] = true;
}

static void
one_oldest(struct sim_options *options)
{
  options->oldest[0] = true;
}

static void
one_row_at_a_time(struct sim_options *options)
{
  options->budget_max = 1;
}

const struct sim_story sim_kind_stories[] = {
  SIM_STORY(sim_groups_are_seen_everywhere, 2, duplicate),
  SIM_STORY(sim_groups_have_no_winner, 2, duplicate),
  SIM_STORY(sim_group_of_ten_thousand_dies, 3, duplicate_many),
  SIM_STORY(sim_oldest_keeps_the_name, 2, all_oldest),
  SIM_STORY(sim_mixed_rules_have_one_winner, 3, one_oldest),
  SIM_STORY(sim_standbys_take_over_in_line, 3, NULL),
  SIM_STORY(sim_standby_outlives_a_conflict, 2, NULL),
  SIM_STORY(sim_name_moves_to_another_node, 2, NULL),
  SIM_STORY(sim_name_moves_to_another_process, 2, NULL),
  SIM_STORY(sim_names_are_taken_over_in_one_step, 2, NULL),
  SIM_STORY(sim_goodbye_is_heard_at_once, 2, NULL),
  SIM_STORY(sim_paused_is_hidden_and_back, 2, NULL),
  SIM_STORY(sim_late_name_keeps_its_rows, 3, NULL),
  SIM_STORY(sim_rows_without_their_end, 2, one_row_at_a_time),
  SIM_STORY(sim_order_does_not_matter, 4, any_order),
  { "sim_order_does_not_matter_to_groups", 4, any_order_duplicate,
    sim_order_does_not_matter },
};

const size_t sim_kind_story_count =
  sizeof sim_kind_stories / sizeof sim_kind_stories[0];
