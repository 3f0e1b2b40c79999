/* SPDX-License-Identifier: Apache-2.0 */
/* Stories with a known end. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_core.h"
#include "sim_story.h"

void
sim_expect(struct sim *sim, bool condition, const char *what)
{
  if (!condition) {
    sim_fail(sim, "expected: %s", what);
  }
}

void
sim_expect_holder(struct sim *sim, unsigned key, int holder)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (sim_holder(sim, i, key) != holder) {
      sim_fail(sim, "n%u sees n%d under key %u, not n%d", i,
               sim_holder(sim, i, key), key, holder);
    }
  }
}

struct holt_counters
sim_counters(const struct sim *sim, unsigned at)
{
  struct holt_counters result;
  holt_replica_counters(sim->nodes[at].replica, &result);
  return result;
}

void
sim_split(struct sim *sim, unsigned left, unsigned right)
{
  sim_link_cut(sim, left, right);
  sim_run(sim, 200);
}

void
sim_heal(struct sim *sim, unsigned left, unsigned right)
{
  sim_link_heal(sim, left, right);
  sim_settle(sim);
}

/* A name is seen everywhere, hidden by a cut, and seen again. */
static void
sim_cut_heals_and_converges(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 0);
  sim_split(sim, 0, 1);
  sim_expect(sim, sim_holder(sim, 1, 0) == -1, "n1 sees nothing");
  sim_expect(sim, sim_holder(sim, 0, 0) == 0, "n0 sees its own");
  sim_expect(sim, sim_register(sim, 0, 1, 1) == 0, "n0 registers another");
  sim_expect(sim, sim_register(sim, 1, 0, 2) == 0, "n1 registers a third");
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 0, 0);
  sim_expect_holder(sim, 1, 0);
  sim_expect_holder(sim, 2, 1);
  sim_expect(sim, sim->total.conflicts == 0, "no conflict");
}

/* After a cut only what is new travels. */
static void
sim_return_sends_only_news(struct sim *sim)
{
  sim_settle(sim);
  for (unsigned i = 0; i < 8; i++) {
    sim_expect(sim, sim_register(sim, 0, 0, i) == 0, "n0 registers");
  }
  sim_settle(sim);
  sim_split(sim, 0, 1);
  sim_expect(sim, sim_register(sim, 0, 0, 8) == 0, "n0 registers one more");
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 8, 0);
  sim_expect(sim, sim_counters(sim, 1).repairs == 0, "no repair at n1");
  sim_expect(sim, sim_counters(sim, 0).repairs == 0, "no repair at n0");
}

/* A node that comes back under its name brings no name of its former life. */
static void
sim_restart_brings_no_ghosts(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_expect(sim, sim_register(sim, 0, 1, 1) == 0, "n0 registers");
  sim_settle(sim);
  sim_node_kill(sim, 0);
  sim_run(sim, 200);
  sim_expect(sim, sim_holder(sim, 1, 0) == -1, "the dead node's name is gone");
  sim_node_start(sim, 0);
  sim_expect(sim, sim_register(sim, 0, 0, 1) == 0, "the new n0 registers");
  sim_link_heal(sim, 0, 2);
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 0, -1);
  sim_expect_holder(sim, 1, 0);
  sim_check_quiet(sim);
}

/* Both sides of a cut take a name: the newer one stays, the other is told. */
static void
sim_two_holders_one_winner(struct sim *sim)
{
  sim->nodes[0].wall_base_ms = sim->nodes[1].wall_base_ms;
  sim_settle(sim);
  sim_split(sim, 0, 1);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_run(sim, 100);
  sim_expect(sim, sim_register(sim, 1, 0, 0) == 0, "n1 registers, later");
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 0, 1);
  sim_expect(sim, sim->total.conflicts == 1, "one is told");
  sim_expect(sim, sim_counters(sim, 0).conflicts == 1, "it is n0's");
}

/* The process around the replica is started again: nobody loses sight of its
 * names, and nothing is sent again. */
static void
sim_process_restart_hides_nothing(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  sim_process_crash(sim, 0);
  for (unsigned i = 0; i < 100; i++) {
    sim_run(sim, 5);
    sim_expect(sim, sim_holder(sim, 1, 0) == 0, "n1 keeps seeing n0's name");
  }
  sim_expect(sim, sim_register(sim, 0, 1, 1) == 0, "n0 registers another");
  sim_settle(sim);
  sim_expect_holder(sim, 1, 0);
  sim_expect(sim, sim_counters(sim, 1).repairs == 0, "no repair at n1");
}

/* A thousand registrations that came and went cost the peer nothing. */
static void
sim_churn_costs_one_message(struct sim *sim)
{
  sim_settle(sim);
  sim_split(sim, 0, 1);
  for (unsigned i = 0; i < 1000; i++) {
    sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
    sim_expect(sim, sim_unregister(sim, 0, 0) == 0, "n0 unregisters");
  }
  const uint64_t before = sim->total.bytes;
  sim_heal(sim, 0, 1);
  sim_expect(sim, sim->total.bytes - before < 600, "few bytes");
  sim_expect_holder(sim, 0, -1);
}

/* The log of deaths reaches back no more, and the copy made anew takes several
 * messages: it is made once. */
static void
sim_repair_in_pieces_ends(struct sim *sim)
{
  sim_settle(sim);
  sim_split(sim, 0, 1);
  for (unsigned i = 0; i < 8; i++) {
    sim_expect(sim, sim_register(sim, 0, 0, 8) == 0, "n0 registers");
    sim_expect(sim, sim_unregister(sim, 0, 8) == 0, "n0 unregisters");
    sim_expect(sim, sim_register(sim, 0, 0, i) == 0, "n0 registers");
  }
  sim_core_trim_deaths(sim->nodes[0].replica,
                       sim_core_deaths(sim->nodes[0].replica));
  const uint64_t before = sim->total.messages;
  sim_heal(sim, 0, 1);
  sim_expect(sim, sim->total.messages - before < 40, "few messages");
  sim_expect_holder(sim, 7, 0);
  sim_expect_holder(sim, 8, -1);
}

/* All greetings are lost for longer than a missing replica is waited for. */
static void
sim_greets_until_answered(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  sim->options.loss_percent = 100;
  sim_process_crash(sim, 0);
  sim_run(sim, 3 * sim->options.tuning.replica_restart_ms);
  sim_expect(sim, sim_holder(sim, 1, 0) == -1, "n1 has given n0 up");
  sim->options.loss_percent = 0;
  sim_settle(sim);
  sim_expect_holder(sim, 0, 0);
}

/*--------------------------------------------------------------------
 * Links that are neither up nor down */

/* Nothing gets from n0 to n1 any more; when that has lasted long enough the
 * link is torn down, and what was lost comes with the next one. */
static void
sim_mute_link_is_torn_down(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  sim_expect(sim, sim_link_mute(sim, 0, 1, 4000, true), "n0 cannot be heard");
  sim_expect(sim, sim_register(sim, 0, 0, 1) == 0, "n0 registers another");
  sim_expect(sim, sim_register(sim, 1, 0, 2) == 0, "n1 registers a third");
  sim_run(sim, 3900);
  sim_expect(sim, sim_holder(sim, 1, 0) == 0, "n1 still sees the first");
  sim_expect(sim, sim_holder(sim, 1, 1) == -1, "n1 has not heard of another");
  sim_expect(sim, sim_holder(sim, 0, 2) == 1, "n0 has heard of the third");
  sim_run(sim, 300);
  sim_expect(sim, sim_holder(sim, 1, 0) == -1, "n1 sees n0 no more");
  sim_expect(sim, sim_holder(sim, 0, 2) == -1, "n0 sees n1 no more");
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 0, 0);
  sim_expect_holder(sim, 1, 0);
  sim_expect_holder(sim, 2, 1);
  sim_expect(sim, sim_counters(sim, 1).repairs == 0, "no repair at n1");
}

/* The link was only out of breath: what it has lost is sent again. */
static void
sim_mute_link_recovers(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_link_mute(sim, 0, 1, 5000, false), "n0 cannot be heard");
  for (unsigned i = 0; i < 5; i++) {
    sim_expect(sim, sim_register(sim, 0, 0, i) == 0, "n0 registers");
    sim_run(sim, 1000);
  }
  sim_settle(sim);
  sim_expect_holder(sim, 0, 0);
  sim_expect_holder(sim, 4, 0);
  sim_expect(sim, sim_link_of(sim, 0, 1)->connection == 1,
             "the same connection");
  sim_expect(sim, sim_counters(sim, 1).repairs == 0, "no repair at n1");
}

/* A link that comes and goes all the time, while both sides take names. */
static void
sim_flapping_link_converges(struct sim *sim)
{
  sim_settle(sim);
  for (unsigned i = 0; i < 9; i++) {
    sim_flap(sim, &(struct sim_event){ .kind = SIM_EVENT_FLAP,
                                       .node = 0,
                                       .other = 1,
                                       .number = 10 });
    (void)sim_register(sim, i % 2, 0, i);
    (void)sim_register(sim, 1 - i % 2, 0, i);
    sim_run(sim, 400);
  }
  sim->resting = true;
  sim_run(sim, 200);
  (void)sim_link_heal(sim, 0, 1);
  sim_settle(sim);
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Nodes in trouble */

/* A node looks into its mailbox twice a second, and windows are tiny: nobody
 * else waits for it, and it gets everything. */
static void
sim_slow_peer_holds_up_nobody(struct sim *sim)
{
  sim_settle(sim);
  sim->nodes[2].slow_ms = 500;
  sim->nodes[2].slow_until_ms = UINT64_MAX;
  for (unsigned i = 0; i < 9; i++) {
    sim_expect(sim, sim_register(sim, 0, 0, i) == 0, "n0 registers");
    sim_run(sim, 100);
    sim_expect(sim, sim_holder(sim, 1, i) == 0, "n1 sees it soon");
  }
  sim_expect(sim, sim_holder(sim, 2, 8) == -1, "n2 does not");
  sim_settle(sim);
  sim_expect_holder(sim, 8, 0);
  sim_expect(sim, sim_counters(sim, 2).repairs == 0, "no repair at n2");
}

/* A node lives in 2099 for a while: it is corrected, and all goes on. */
static void
sim_clock_of_2099_is_survived(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 1, 0, 1) == 0, "n1 registers");
  sim->nodes[0].wall_base_ms += UINT64_C(2400000000000);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers in 2099");
  sim_settle(sim);
  sim->nodes[0].wall_base_ms -= UINT64_C(2400000000000);
  sim_expect_holder(sim, 0, 0);
  sim_expect_holder(sim, 1, 1);
  sim_expect(sim, sim_unregister(sim, 0, 0) == 0, "n0 gives it away");
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 1, 0, 0) == 0, "n1 takes it, today");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 1);
  sim_check_quiet(sim);
}

/* A node gets no more memory: it misses what it cannot hold, refuses what it
 * cannot take, and has it all when there is memory again. */
static void
sim_memory_comes_back(struct sim *sim)
{
  sim_settle(sim);
  sim_memory_short(sim, 1, 5000);
  for (unsigned i = 0; i < 8; i++) {
    sim_expect(sim, sim_register(sim, 0, 0, i) == 0, "n0 registers");
    sim_run(sim, 500);
  }
  sim_expect(sim, sim_register(sim, 1, 0, 8) == HOLT_ERR_NOMEM, "n1 cannot");
  sim_run(sim, 2000);
  sim_settle(sim);
  sim_expect_holder(sim, 7, 0);
  sim_expect(sim, sim_register(sim, 1, 0, 8) == 0, "n1 can again");
  sim_settle(sim);
  sim_expect_holder(sim, 8, 1);
}

/* The instance is started again under a node that lives on: its names are gone,
 * and the new ones are seen. */
static void
sim_instance_restart_is_a_new_life(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_settle(sim);
  sim_expect(sim, sim_instance_restart(sim, 0), "n0's instance starts again");
  sim_expect(sim, sim_register(sim, 0, 0, 1) == 0, "n0 registers another");
  sim_run(sim, 3000);
  sim_settle(sim);
  sim_expect_holder(sim, 0, -1);
  sim_expect_holder(sim, 1, 0);
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Members */

/* n1 says that it speaks a newer version, too: they meet at the old one. */
static void
sim_newer_version_is_understood(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_expect(sim, sim_register(sim, 1, 0, 1) == 0, "n1 registers");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 0);
  sim_expect_holder(sim, 1, 1);
  sim_expect(sim, sim_counters(sim, 0).refused[-HOLT_ERR_VERSION] == 0,
             "no refusal");
}

/* n2 speaks nothing that the others do: they do without it, and it without
 * them, until it speaks like them. */
static void
sim_stranger_is_refused_and_counted(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_expect(sim, sim_register(sim, 2, 0, 0) == 0, "n2 registers the same");
  sim_run(sim, 5000);
  sim_settle(sim);
  sim_expect(sim, sim_holder(sim, 1, 0) == 0, "n1 sees n0's");
  sim_expect(sim, sim_holder(sim, 2, 0) == 2, "n2 sees its own");
  sim_expect(sim, sim->total.conflicts == 0, "there is no conflict");
  sim_check_quiet(sim);
  const uint64_t before = sim->total.messages;
  sim_run(sim, 100000);
  sim_expect(sim, sim->total.messages - before < 600,
             "nobody greets too often");
  sim->nodes[2].speaks_min = 1;
  sim_run(sim, 40000);
  sim_settle(sim);
  sim_expect_holder(sim, 0, sim_holder(sim, 0, 0));
  sim_expect(sim, sim->total.conflicts == 1, "one is told");
}

/* A node that joins late gets everything; one that leaves for good is hidden at
 * once, and forgotten after a while. */
static void
sim_members_come_and_go(struct sim *sim)
{
  sim_settle(sim);
  for (unsigned i = 0; i < 9; i++) {
    sim_expect(sim, sim_register(sim, i % 2, 0, i) == 0, "they register");
  }
  sim_run(sim, 1000);
  sim_expect(sim, sim_node_start(sim, 2), "n2 joins");
  sim_heal_all(sim);
  sim_settle(sim);
  sim_expect_holder(sim, 7, 1);
  sim_expect_holder(sim, 8, 0);
  const uint64_t gone = sim->nodes[0].log->actor;
  sim->nodes[0].left = true;
  sim_node_kill(sim, 0);
  sim_run(sim, 200);
  sim_expect(sim, sim_holder(sim, 2, 8) == -1, "n0's names are hidden");
  sim_expect(sim, sim_holder(sim, 2, 7) == 1, "n1's are not");
  struct sim_copy copy;
  sim_expect(sim, sim_core_copy_of(sim->nodes[2].replica, gone, &copy),
             "n0 is remembered");
  sim_run(sim, sim->options.tuning.forget_after_ms + 2000);
  sim_expect(sim, !sim_core_copy_of(sim->nodes[2].replica, gone, &copy),
             "n0 is forgotten");
  sim_expect(sim, !sim_node_start(sim, 0), "n0 does not come back");
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Many */

/* A process with ten thousand names, and its end. */
static void
sim_mass_death_is_seen_everywhere(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register_many(sim, 0, 0, 0, 10000, false) == 10000,
             "n0 registers");
  sim_expect(sim, sim_register_many(sim, 1, 0, 10000, 10, false) == 10,
             "n1 registers");
  sim_settle(sim);
  sim_expect_holder(sim, 9999, 0);
  sim_expect(sim, sim_process_exit(sim, 0, 0), "the process ends");
  sim_expect(sim, sim_holder(sim, 0, 5000) == -1, "no name is left at n0");
  sim_settle(sim);
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    sim_expect(sim, holt_replica_count(sim->nodes[i].replica) == 10,
               "ten left");
  }
}

/* A node with thousands of names dies, and its names with it, at once. */
static void
sim_node_with_thousands_dies(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register_many(sim, 0, 0, 0, 5000, false) == 5000,
             "n0 registers");
  sim_settle(sim);
  sim_node_kill(sim, 0);
  sim_run(sim, 200);
  sim_expect(sim, sim_holder(sim, 1, 77) == -1, "its names are gone at n1");
  sim_expect(sim, holt_replica_count(sim->nodes[1].replica) == 0,
             "all of them");
  sim_expect(sim, sim_register_many(sim, 1, 0, 0, 5000, false) == 5000,
             "n1 takes them");
  sim_settle(sim);
  (void)sim_node_start(sim, 0);
  sim_heal_all(sim);
  sim_settle(sim);
  sim_expect_holder(sim, 4999, 1);
}

/*--------------------------------------------------------------------
 * All of them */

static void
small_messages(struct sim_options *options)
{
  options->tuning.message_bytes_max = 120;
}

static void
tiny_windows(struct sim_options *options)
{
  options->tuning.message_bytes_max = 120;
  options->tuning.window_bytes = 120;
}

static void
one_newer(struct sim_options *options)
{
  options->speaks_max[1] = 3;
}

static void
one_stranger(struct sim_options *options)
{
  options->speaks_min[2] = 2;
  options->speaks_max[2] = 3;
}

static void
two_members(struct sim_options *options)
{
  options->members = 2;
  options->tuning.forget_after_ms = 10000;
}

static void
many_keys(struct sim_options *options)
{
  options->big = true;
  options->keys = SIM_KEYS_MAX;
}

static const struct sim_story scenarios[] = {
  SIM_STORY(sim_cut_heals_and_converges, 2, NULL),
  SIM_STORY(sim_return_sends_only_news, 2, NULL),
  SIM_STORY(sim_restart_brings_no_ghosts, 3, NULL),
  SIM_STORY(sim_two_holders_one_winner, 2, NULL),
  SIM_STORY(sim_process_restart_hides_nothing, 2, NULL),
  SIM_STORY(sim_churn_costs_one_message, 2, NULL),
  SIM_STORY(sim_repair_in_pieces_ends, 2, small_messages),
  SIM_STORY(sim_greets_until_answered, 2, NULL),
  SIM_STORY(sim_mute_link_is_torn_down, 2, NULL),
  SIM_STORY(sim_mute_link_recovers, 2, NULL),
  SIM_STORY(sim_flapping_link_converges, 2, NULL),
  SIM_STORY(sim_slow_peer_holds_up_nobody, 3, tiny_windows),
  SIM_STORY(sim_clock_of_2099_is_survived, 2, NULL),
  SIM_STORY(sim_memory_comes_back, 2, NULL),
  SIM_STORY(sim_instance_restart_is_a_new_life, 2, NULL),
  SIM_STORY(sim_newer_version_is_understood, 2, one_newer),
  SIM_STORY(sim_stranger_is_refused_and_counted, 3, one_stranger),
  SIM_STORY(sim_members_come_and_go, 3, two_members),
  SIM_STORY(sim_mass_death_is_seen_everywhere, 3, many_keys),
  SIM_STORY(sim_node_with_thousands_dies, 3, many_keys),
};

/* Plays one.  failure names it from its beginning, in case it aborts. */
static bool
play(const struct sim_story *story, char *failure)
{
  static struct sim sim;
  struct sim_options options;
  sim_options_init(&options);
  options.nodes = story->nodes;
  options.members = options.nodes;
  options.keys = 9;
  options.twins = true;
  if (story->change != NULL) {
    story->change(&options);
  }
  options.twins = options.twins && !options.big;
  (void)snprintf(failure, SIM_FAILURE_BYTES, "%s", story->name);
  sim_init(&sim, 1, &options, true);
  story->play(&sim);
  if (sim.failed) {
    fprintf(stderr, "%s\n", story->name);
    sim_print_trace(&sim);
  }
  sim_deinit(&sim);
  printf("%-6s%s\n", sim.failed ? "FAIL" : "ok", story->name);
  if (sim.failed) {
    (void)snprintf(failure, SIM_FAILURE_BYTES, "%s: %.100s", story->name,
                   sim.failure);
  }
  return !sim.failed;
}

struct stories {
  const struct sim_story *stories;
  size_t count;
};

void
sim_scenarios(uint64_t *passed, uint64_t *failed, char *failure)
{
  char first[SIM_FAILURE_BYTES] = "";
  const struct stories sets[] = {
    { scenarios, sizeof scenarios / sizeof scenarios[0] },
    { sim_kind_stories, sim_kind_story_count },
    { sim_partial_stories, sim_partial_story_count },
    { sim_claim_stories, sim_claim_story_count },
    { sim_crowd_stories, sim_crowd_story_count },
  };
  for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
    for (size_t j = 0; j < sets[i].count; j++) {
      if (play(&sets[i].stories[j], failure)) {
        (*passed)++;
      } else {
        (*failed)++;
        memcpy(first, *failed == 1 ? failure : first, sizeof first);
      }
    }
  }
  memcpy(failure, first, sizeof first);
}
