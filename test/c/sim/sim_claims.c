/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of names that hosts give to one of several, see sim_contest.c; and of
 * members that are forgotten when somebody says so. */
#include <string.h>

#include "sim_core.h"
#include "sim_story.h"

/* The node that claims this key and is preferred to all others, or -1. */
static int
preferred(const struct sim *sim, unsigned key)
{
  int best = -1;
  uint64_t best_actor = 0;
  uint64_t best_birth = 0;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    const struct sim_log *const log = sim->nodes[i].log;
    for (size_t j = 0; j < log->live_count; j++) {
      const struct sim_entry *const entry = &log->entries[log->live[j]];
      if (entry->key == key && (entry->flags & HOLT_ROW_STANDBY) == 0 &&
          (best == -1 || sim_contest_prefers(log->actor, entry->birth,
                                             best_actor, best_birth))) {
        best = (int)i;
        best_actor = log->actor;
        best_birth = entry->birth;
      }
    }
  }
  return best;
}

/* All are apart, and each claims all keys. */
static void
claim_all(struct sim *sim)
{
  sim_settle(sim);
  for (unsigned left = 0; left < sim->options.nodes; left++) {
    for (unsigned right = 0; right < left; right++) {
      sim_link_cut(sim, left, right);
    }
  }
  sim_run(sim, 1000);
  for (unsigned at = 0; at < sim->options.nodes; at++) {
    for (unsigned key = 0; key < sim->options.keys; key++) {
      sim_expect(sim, sim_register(sim, at, key % SIM_PROCESSES, key) == 0,
                 "a name is registered");
    }
    sim_run(sim, 20);
  }
}

/* Each key goes to the one that the hosts prefer, who is never told that it has
 * lost it; all others lose it or stand by. */
static void
sim_contests_are_decided(struct sim *sim)
{
  claim_all(sim);
  int best[9];
  for (unsigned key = 0; key < 9; key++) {
    best[key] = preferred(sim, key);
  }
  sim_heal_all(sim);
  sim_settle(sim);
  unsigned by_rank = 0;
  for (unsigned key = 0; key < 9; key++) {
    sim_expect_holder(sim, key, best[key]);
    by_rank += best[key] == (int)sim->options.nodes - 1 ? 1 : 0;
  }
  sim_expect(sim, by_rank < 9, "not all go by rank");
  sim_expect(sim,
             sim->total.verdicts[0] + sim->total.verdicts[1] ==
               9 * (sim->options.nodes - 1),
             "each of the others gives way once");
  sim_check_quiet(sim);
}

/* While the links between claimants are cut, verdicts go through a third. */
static void
sim_contests_are_decided_through_another(struct sim *sim)
{
  claim_all(sim);
  const int best = preferred(sim, 4);
  for (unsigned at = 1; at < sim->options.nodes; at++) {
    sim_link_heal(sim, 0, at);
  }
  sim_run(sim, 20000);
  sim_expect_holder(sim, 4, best);
  sim_heal_all(sim);
  sim_settle(sim);
  sim_expect_holder(sim, 4, best);
  sim_check_quiet(sim);
}

/* Nobody decides: nobody loses, and the name is found where it is by rank. */
static void
sim_undecided_names_stay(struct sim *sim)
{
  claim_all(sim);
  sim_heal_all(sim);
  sim_settle(sim);
  sim_run(sim, 5000);
  const int last = (int)sim->options.nodes - 1;
  for (unsigned key = 0; key < 9; key++) {
    sim_expect_holder(sim, key, last);
    sim_expect(sim, sim->nodes[0].log->live_count == 9, "nobody has lost");
  }
  sim_expect(sim, sim->total.contests >= 9 * 5, "it comes every second");
  sim_expect(sim, sim->total.conflicts == 0, "nobody is told");
  for (unsigned who = 0; who < SIM_PROCESSES; who++) {
    (void)sim_process_exit(sim, (unsigned)last, who);
  }
  sim_run(sim, 500);
  sim_expect_holder(sim, 4, last - 1);
}

/* The winner ends while the verdict is on its way: who was to lose keeps the
 * name. */
static void
sim_verdict_comes_too_late(struct sim *sim)
{
  claim_all(sim);
  sim_heal_all(sim);
  sim_run(sim, 300);
  for (unsigned at = 0; at < 2; at++) {
    struct sim_node *const node = &sim->nodes[at];
    const struct sim_node *const other = &sim->nodes[1 - at];
    const struct holt_time now = sim_time(sim, at);
    const uint64_t seq = node->log->live[0];
    const uint64_t birth = node->log->entries[seq].birth;
    sim_expect(sim,
               holt_replica_lose(node->replica, &now, birth, other->log->actor,
                                 UINT32_MAX, false) == HOLT_ERR_NOT_FOUND,
               "there is no such winner");
    sim_touched(sim, at);
  }
}

/* Who is there cannot be forgotten; who is not can, and is back when it is. */
static void
sim_only_the_absent_are_evicted(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 1, 0, 0) == 0, "n1 registers");
  sim_settle(sim);
  sim->evicting = true;
  struct holt_replica *const replica = sim->nodes[0].replica;
  const struct holt_member *const member = &sim->nodes[1].own;
  sim_expect(sim, holt_replica_evict(replica, member) == HOLT_ERR_EXISTS,
             "n1 is there");
  sim_touched(sim, 0);
  sim_expect_holder(sim, 0, 1);
  sim_split(sim, 0, 1);
  sim_split(sim, 1, 2);
  sim_run(sim, 1000);
  sim_expect(sim, holt_replica_evict(replica, member) == 0, "n1 is not there");
  sim_expect(sim, holt_replica_evict(replica, member) == HOLT_ERR_NOT_FOUND,
             "n1 is unknown");
  sim_plan_poll(sim, 0, sim->now_ms);
  sim_touched(sim, 0);
  sim_run(sim, 3000);
  struct holt_census census;
  holt_replica_census(replica, &census);
  sim_expect(sim, census.known == 2, "n2 does not bring it back");
  sim_heal_all(sim);
  sim_settle(sim);
  sim_expect_holder(sim, 0, 1);
  sim_check_quiet(sim);
}

static void
custom(struct sim_options *options)
{
  options->custom = true;
}

static void
undecided(struct sim_options *options)
{
  options->custom = true;
  options->undecided = true;
}

const struct sim_story sim_claim_stories[] = {
  SIM_STORY(sim_contests_are_decided, 3, custom),
  SIM_STORY(sim_contests_are_decided_through_another, 4, custom),
  SIM_STORY(sim_undecided_names_stay, 3, undecided),
  SIM_STORY(sim_verdict_comes_too_late, 2, undecided),
  SIM_STORY(sim_only_the_absent_are_evicted, 3, NULL),
};

const size_t sim_claim_story_count =
  sizeof sim_claim_stories / sizeof sim_claim_stories[0];
