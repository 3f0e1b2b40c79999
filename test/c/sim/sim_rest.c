/* SPDX-License-Identifier: Apache-2.0 */
/* What is played when the script is over: the network becomes good, but for
 * links that stay cut at first, and all come to see what they should. */
#include <inttypes.h>
#include <string.h>

#include "sim_core.h"

/* The network is good from now on, and everybody is there. */
static void
calm(struct sim *sim)
{
  sim_trace(sim, "rest");
  sim->resting = true;
  sim->options.loss_percent = 0;
  sim->options.duplicate_percent = 0;
  sim->options.busy_percent = 0;
  sim->options.nomem_permille = 0;
  memset(sim->good_lives, 0, sizeof sim->good_lives); /* From now on. */
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    struct sim_node *const node = &sim->nodes[i];
    node->slow_until_ms = 0;
    node->short_until_ms = 0;
    node->fragile = false;
    sim_thaw(sim, i);
    sim_resume(sim, i);
    sim_rename(sim, i);
    if (node->joined) {
      (void)sim_node_start(sim, i);
    }
    for (unsigned j = i + 1; j < sim->options.nodes; j++) {
      sim->links[i][j].mute[0] = false;
      sim->links[i][j].mute[1] = false;
    }
  }
}

static void
heal(struct sim *sim)
{
  for (unsigned i = 0; i < 100 && !sim->failed; i++) {
    sim_heal_all(sim);
    sim_run(sim, 10);
  }
  if (!sim->failed) {
    sim_settle(sim);
  }
}

/* At rest each pair exchanges a vector and an ack per interval each way. */
static void
check_silence(struct sim *sim)
{
  /* What was asked while answers were on their way is still answered. */
  sim_run(sim, 4 * sim->options.delay_max_ms);
  const uint64_t before = sim->total.messages;
  const uint64_t intervals = 10;
  sim_run(sim, intervals * sim->options.tuning.vector_interval_ms);
  const uint64_t pairs =
    (uint64_t)sim->options.nodes * (sim->options.nodes - 1);
  const uint64_t allowed = pairs * 2 * (intervals + 2);
  if (sim->total.messages - before > allowed) {
    sim_fail(sim, "%" PRIu64 " messages at rest, more than %" PRIu64,
             sim->total.messages - before, allowed);
  }
  /* Where messages overtake each other, an old one may still ask for what has
   * been had since. */
  const uint64_t step_ms =
    sim->options.tuning.vector_interval_ms + sim->options.delay_max_ms;
  for (unsigned i = 0; i < 20 && !sim->options.faithful; i++) {
    if (sim_in_sync(sim)) {
      break;
    }
    sim_run(sim, step_ms);
  }
  if (!sim->failed && !sim_in_sync(sim)) {
    sim_fail(sim, "not all are in sync at rest");
  }
}

/* Who cannot be talked to greets every now and then, and is refused. */
static void
wait_for_strangers(struct sim *sim)
{
  bool any = false;
  for (unsigned i = 1; i < sim->options.nodes; i++) {
    any = any || !sim_can_talk(sim, 0, i);
  }
  if (any) {
    sim_run(sim, 34 * sim->options.tuning.vector_interval_ms);
  }
}

/* Those that are gone for good are forgotten after a while. */
static void
check_forgotten(struct sim *sim)
{
  const struct holt_tuning *const tuning = &sim->options.tuning;
  bool any = false;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    any = any || sim->nodes[i].left;
  }
  if (!any || tuning->forget_after_ms > 10000) {
    return;
  }
  sim_run(sim, tuning->forget_after_ms / 8 * 9 + tuning->replica_restart_ms +
                 tuning->vouch_ms + tuning->probe_ms +
                 5 * tuning->vector_interval_ms);
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = 0; j < sim->options.nodes; j++) {
      struct sim_copy copy;
      if (sim->nodes[i].replica != NULL && sim->nodes[j].left &&
          sim->nodes[j].log != NULL &&
          sim_core_copy_of(sim->nodes[i].replica, sim->nodes[j].log->actor,
                           &copy)) {
        sim_fail(sim, "n%u does not forget n%u", i, j);
      }
    }
  }
}

/*--------------------------------------------------------------------
 * With links cut */

/* What is vouched for is asked about again and again, and its stream goes a
 * longer way; so many messages for each that vouches for it, each time. */
#define VOUCH_MESSAGES 8u

static uint64_t
count_vouchers(struct sim *sim)
{
  uint64_t count = 0;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = 0; j < sim->options.nodes; j++) {
      if (sim_reach(sim, i, j) != 2) {
        continue;
      }
      sim->total.rest_pairs++;
      for (unsigned k = 0; k < sim->options.nodes; k++) {
        count += k != i && k != j && sim_reach(sim, i, k) == 1 &&
                     sim_reach(sim, k, j) == 1
                   ? 1
                   : 0;
      }
    }
  }
  return count;
}

/* Nothing appears or goes any more, and not much is said.  Where messages
 * overtake each other something may, for a moment. */
static void
check_steady(struct sim *sim)
{
  const struct holt_tuning *const tuning = &sim->options.tuning;
  /* What was asked before is still answered. */
  sim_run(sim, 4 * sim->options.delay_max_ms + tuning->vector_interval_ms);
  const uint64_t vouchers = count_vouchers(sim);
  const uint64_t pairs =
    (uint64_t)sim->options.nodes * (sim->options.nodes - 1);
  const uint64_t for_ms = 2 * tuning->vouch_ms + 4 * tuning->vector_interval_ms;
  const uint64_t before = sim->total.messages;
  /* An answer that has overtaken another one may be taken for all of it. */
  sim->steady = sim->options.faithful;
  sim_run(sim, for_ms);
  const uint64_t vectors = for_ms / tuning->vector_interval_ms + 2;
  const uint64_t rounds = for_ms / (tuning->vouch_ms / 2) + 2 + vectors;
  const uint64_t allowed =
    pairs * 2 * vectors + vouchers * VOUCH_MESSAGES * rounds;
  /* Of a big one a repair of thousands of rows may just have begun. */
  if (!sim->failed && !sim->options.big &&
      sim->total.messages - before > allowed) {
    sim_fail(sim,
             "%" PRIu64 " messages among %" PRIu64
             " vouchers, more than %" PRIu64,
             sim->total.messages - before, vouchers, allowed);
  }
  /* Somebody may be about to look into a mailbox. */
  const uint64_t until_ms = sim->now_ms + for_ms;
  char why[120] = "";
  while (!sim_converged(sim, why, sizeof why)) {
    if (!sim_event(sim, until_ms)) {
      sim_fail(sim, "not converged any more: %s", why);
      break;
    }
  }
  /* Who sees others than its peers do is never in sync with them. */
  while (!sim->failed && sim_reach_is_close(sim) && !sim_in_sync(sim)) {
    if (!sim_event(sim, until_ms)) {
      sim_fail(sim, "not all are in sync, who see the same");
    }
  }
  sim->steady = false;
}

/* Streams go the long way, while those who pass them on have troubles, too. */
#define REST_STEPS 40u

static void
rest_work(struct sim *sim)
{
  struct prng *const prng = &sim->choice;
  for (unsigned i = 0; i < REST_STEPS && !sim->failed; i++) {
    const unsigned at = (unsigned)prng_below(prng, sim->options.nodes);
    const unsigned key = (unsigned)prng_below(prng, sim->options.keys);
    const unsigned who = (unsigned)prng_below(prng, SIM_PROCESSES);
    const uint64_t what = prng_below(prng, 40);
    if (sim->nodes[at].replica == NULL || sim_is_frozen(sim, at)) {
      continue;
    }
    if (what == 0) {
      sim_freeze(sim, at, prng_below(prng, 300));
    } else if (what == 1) {
      (void)sim_process_crash(sim, at);
    } else if (what == 2) {
      sim_core_trim_deaths(sim->nodes[at].replica,
                           sim_core_deaths(sim->nodes[at].replica));
    } else if (what < 8) {
      (void)sim_unregister(sim, at, key);
    } else if (what < 16) {
      (void)sim_update(sim, at, key);
    } else if (what < 18) {
      (void)sim_process_exit(sim, at, who);
    } else {
      (void)sim_register(sim, at, who, key);
    }
    sim_run(sim, prng_below(prng, 30));
  }
  sim_run(sim, 300);
  if (!sim->failed) {
    sim_settle(sim);
  }
}

static void
rest_cut(struct sim *sim, uint32_t cuts)
{
  sim_trace(sim, "rest with links cut");
  sim_hold(sim, cuts);
  heal(sim);
  if (!sim->failed) {
    prng_init(&sim->choice, cuts);
    rest_work(sim);
  }
  if (!sim->failed) {
    check_steady(sim);
  }
  if (!sim->failed) {
    sim_check_whole(sim);
    sim->total.rests++;
  }
  sim_hold(sim, 0);
}

void
sim_rest(struct sim *sim)
{
  calm(sim);
  for (unsigned i = 0; i < sim->options.rests && !sim->failed; i++) {
    rest_cut(sim, sim->options.rest_cuts[i]);
  }
  if (!sim->failed) {
    heal(sim);
  }
  if (!sim->failed) {
    check_silence(sim);
  }
  if (!sim->failed) {
    wait_for_strangers(sim);
    check_forgotten(sim);
  }
}
