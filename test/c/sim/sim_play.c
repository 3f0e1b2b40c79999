/* SPDX-License-Identifier: Apache-2.0 */
/* Plays a script: some seconds of work and trouble, then rest. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_core.h"

/* Between 2023, where all clocks begin, and 2099. */
#define FAR_MS UINT64_C(2400000000000)

static bool
is_up(const struct sim *sim, unsigned at)
{
  return sim->nodes[at].replica != NULL;
}

/*--------------------------------------------------------------------
 * Steps.  True: it had an effect. */

static bool
play_work(struct sim *sim, const struct sim_step *step)
{
  const unsigned at = step->at;
  if (!is_up(sim, at)) {
    return false;
  }
  switch (step->op) {
  case SIM_OP_REGISTER:
    return sim_register(sim, at, step->process, step->key) == 0;
  case SIM_OP_UNREGISTER:
    return sim_unregister(sim, at, step->key) == 0;
  case SIM_OP_UPDATE:
    return sim_update(sim, at, step->key) == 0;
  case SIM_OP_EXIT:
    return sim_process_exit(sim, at, step->process);
  case SIM_OP_TOUR:
    return sim_tour_start(sim, at, step->number % 4 == 0 ? at : step->other,
                          step->process, 1 + step->number % 5,
                          step->number % 3 == 0);
  case SIM_OP_TOUR_KEY:
    return sim_tour_start_key(sim, at, step->key, 1 + step->number % 5,
                              step->number % 3 == 0);
  case SIM_OP_STANDBY:
    return sim_register_standby(sim, at, step->process, step->key) == 0;
  case SIM_OP_REPLACE:
    return sim_replace(sim, at, step->process, step->key) == 0;
  case SIM_OP_TAKE_OVER:
    return sim_take_over(sim, at, step->process) > 0;
  default: {
    const unsigned most = sim->options.big ? 6000 : sim->options.keys;
    const unsigned count = 1 + (unsigned)step->number % most;
    const bool same = sim->options.duplicate && step->number % 2 == 0;
    return sim_register_many(sim, at, step->process, step->key, count, same) >
           0;
  }
  }
}

/* Those with a bit in the number on one side, the others on the other. */
static bool
play_partition(struct sim *sim, const struct sim_step *step)
{
  bool any = false;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = i + 1; j < sim->options.nodes; j++) {
      if ((step->number >> i & 1) != (step->number >> j & 1)) {
        any = sim_link_cut(sim, i, j) || any;
      }
    }
  }
  return any;
}

static bool
play_link(struct sim *sim, const struct sim_step *step)
{
  switch (step->op) {
  case SIM_OP_CUT:
    return sim_link_cut(sim, step->at, step->other);
  case SIM_OP_HEAL:
    return sim_link_heal(sim, step->at, step->other);
  case SIM_OP_HEAL_ALL:
    sim_heal_all(sim);
    return true;
  case SIM_OP_MUTE:
    return sim_link_mute(sim, step->at, step->other, 20 + step->number % 2000,
                         step->number % 3 > 0);
  case SIM_OP_FLAP:
    sim_flap(sim, &(struct sim_event){ .kind = SIM_EVENT_FLAP,
                                       .node = step->at,
                                       .other = step->other,
                                       .number = 2 + step->number % 8 });
    return true;
  default:
    return play_partition(sim, step);
  }
}

static unsigned
count_members(const struct sim *sim)
{
  unsigned count = 0;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    count += sim->nodes[i].joined && !sim->nodes[i].left ? 1 : 0;
  }
  return count;
}

static bool
play_node(struct sim *sim, const struct sim_step *step)
{
  const unsigned at = step->at;
  switch (step->op) {
  case SIM_OP_CRASH:
    return sim_process_crash(sim, at);
  case SIM_OP_FRAGILE:
    sim->nodes[at].fragile = true;
    return is_up(sim, at);
  case SIM_OP_INSTANCE:
    return sim_instance_restart(sim, at);
  case SIM_OP_STOP:
    return sim_stop(sim, at);
  case SIM_OP_PAUSE:
    return sim_pause(sim, at, step->number % 2000);
  case SIM_OP_ALONE:
    return sim_node_start_alone(sim, at);
  case SIM_OP_START: {
    const bool started = sim_node_start(sim, at);
    sim_heal_all(sim);
    return started;
  }
  default:
    if (!is_up(sim, at) ||
        (step->op == SIM_OP_LEAVE && count_members(sim) < 3)) {
      return false;
    }
    sim->nodes[at].left = step->op == SIM_OP_LEAVE;
    sim_node_kill(sim, at);
    return true;
  }
}

static bool
play_condition(struct sim *sim, const struct sim_step *step)
{
  struct sim_node *const node = &sim->nodes[step->at];
  if (!is_up(sim, step->at)) {
    return false;
  }
  switch (step->op) {
  case SIM_OP_SLOW:
    node->slow_ms = 1 + step->number % 200;
    node->slow_until_ms = sim->now_ms + step->number % 3000;
    break;
  case SIM_OP_CLOCK:
    node->wall_base_ms += step->number % 20000;
    node->wall_base_ms -= 10000;
    break;
  case SIM_OP_CLOCK_FAR:
    node->wall_base_ms =
      UINT64_C(1700000000000) + (step->number % 2 == 0 ? FAR_MS : 0);
    break;
  case SIM_OP_SHORT:
    sim_memory_short(sim, step->at, 20 + step->number % 1000);
    break;
  default: {
    const size_t count =
      (size_t)step->number % (sim_core_deaths(node->replica) + 1);
    sim_trace(sim, "n%u forgets %zu deaths", step->at, count);
    sim_core_trim_deaths(node->replica, count);
    return count > 0;
  }
  }
  return true;
}

static void
play_step(struct sim *sim, const struct sim_step *step)
{
  prng_init(&sim->choice, step->seed);
  bool done;
  if (step->op <= SIM_OP_BULK) {
    done = play_work(sim, step);
  } else if (step->op <= SIM_OP_FLAP) {
    done = play_link(sim, step);
  } else if (step->op <= SIM_OP_LEAVE) {
    done = play_node(sim, step);
  } else {
    done = play_condition(sim, step);
  }
  sim->events_done++;
  sim->total.ops[step->op] += done ? 1 : 0;
  if (step->op > SIM_OP_BULK && !sim->options.big) {
    sim_check_whole(sim);
  }
}

/*--------------------------------------------------------------------
 * Rest */

/* The network is good from now on, and everybody is there. */
static void
rest(struct sim *sim)
{
  sim_trace(sim, "rest");
  sim->resting = true;
  sim->options.loss_percent = 0;
  sim->options.duplicate_percent = 0;
  sim->options.busy_percent = 0;
  sim->options.nomem_permille = 0;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    struct sim_node *const node = &sim->nodes[i];
    node->slow_until_ms = 0;
    node->short_until_ms = 0;
    node->fragile = false;
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
  for (unsigned i = 0; i < 100 && !sim->failed; i++) {
    sim_heal_all(sim);
    sim_run(sim, 10);
  }
  sim_settle(sim);
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
  sim_run(sim, tuning->forget_after_ms + tuning->replica_restart_ms +
                 5 * tuning->vector_interval_ms);
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = 0; j < sim->options.nodes; j++) {
      struct sim_copy copy;
      if (is_up(sim, i) && sim->nodes[j].left && sim->nodes[j].log != NULL &&
          sim_core_copy_of(sim->nodes[i].replica, sim->nodes[j].log->actor,
                           &copy)) {
        sim_fail(sim, "n%u does not forget n%u", i, j);
      }
    }
  }
}

/*--------------------------------------------------------------------
 * Sums */

static void
count_up(struct sim *sim)
{
  struct sim_total *const total = &sim->total;
  total->runs = 1;
  total->big_runs = sim->options.big ? 1 : 0;
  total->twin_runs = sim->options.twins ? 1 : 0;
  total->events = sim->events_done;
  total->events_min = sim->events_done;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (is_up(sim, i)) {
      struct holt_counters counters;
      holt_replica_counters(sim->nodes[i].replica, &counters);
      total->gaps += counters.gaps;
      total->duplicates += counters.duplicates;
      total->repairs += counters.repairs;
      total->stamps_refused += counters.stamps_refused;
      total->capped += counters.stamps_capped;
      for (unsigned j = 0; j < 16; j++) {
        total->refused[j] += counters.refused[j];
      }
    }
  }
}

/* All of them are numbers of 64 bits, and but for the smallest one sums. */
void
sim_total_add(struct sim_total *total, const struct sim_total *more)
{
  const bool first = total->runs == 0;
  const uint64_t least = !first && total->events_min < more->events_min
                           ? total->events_min
                           : more->events_min;
  uint64_t sums[sizeof *total / sizeof(uint64_t)];
  uint64_t terms[sizeof *total / sizeof(uint64_t)];
  memcpy(sums, total, sizeof sums);
  memcpy(terms, more, sizeof terms);
  for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
    sums[i] += terms[i];
  }
  memcpy(total, sums, sizeof sums);
  total->events_min = least;
}

void
sim_total_print(const struct sim_total *total, double seconds)
{
  const double runs = total->runs == 0 ? 1 : (double)total->runs;
  printf("%" PRIu64 " random runs (%" PRIu64 " big), %.0f schedules per "
         "second, %.0f events each (at least %" PRIu64 ")\n",
         total->runs, total->big_runs, runs / (seconds > 0 ? seconds : 1),
         (double)total->events / runs, total->events_min);
  printf("network: %" PRIu64 " messages, %" PRIu64 " bytes, %" PRIu64
         " lost, %" PRIu64 " doubled, %" PRIu64 " muted\n",
         total->messages, total->bytes, total->lost, total->doubled,
         total->muted);
  printf("replicas: %" PRIu64 " names, %" PRIu64 " conflicts, %" PRIu64
         " gaps, %" PRIu64 " duplicates, %" PRIu64 " repairs, %" PRIu64
         " stamps refused, %" PRIu64 " whole checks\n",
         total->names, total->conflicts, total->gaps, total->duplicates,
         total->repairs, total->stamps_refused, total->wholes);
  printf("rows: %" PRIu64 " early, %" PRIu64 " standbys, %" PRIu64
         " replacing; %" PRIu64 " stamps capped, in sync %" PRIu64
         " times, %" PRIu64 " goodbyes\n",
         total->early, total->standbys, total->replaced, total->capped,
         total->in_syncs, total->goodbyes);
  printf("twins: %" PRIu64 " runs, %" PRIu64 " versions and %" PRIu64
         " views compared\n",
         total->twin_runs, total->twins, total->twin_views);
  printf("refused:");
  for (int i = 1; i < 16; i++) {
    if (total->refused[i] > 0) {
      printf(" %s %" PRIu64, holt_error_name(-i), total->refused[i]);
    }
  }
  printf("\nsteps:");
  for (unsigned i = 0; i < SIM_OP_COUNT; i++) {
    printf(" %s %" PRIu64, sim_op_name((enum sim_op)i), total->ops[i]);
  }
  printf("\n");
}

bool
sim_play(const struct sim_script *script, bool tracing, struct sim_total *total,
         char *failure)
{
  static struct sim sim;
  sim_init(&sim, script->net_seed, &script->options, tracing);
  for (unsigned i = 0; i < script->count && !sim.failed; i++) {
    const struct sim_step *const step = &script->steps[i];
    if (!step->skip) {
      play_step(&sim, step);
      sim_run(&sim, step->pause_ms);
    }
  }
  if (!sim.failed) {
    rest(&sim);
  }
  if (!sim.failed) {
    check_silence(&sim);
  }
  if (!sim.failed) {
    wait_for_strangers(&sim);
    check_forgotten(&sim);
  }
  for (unsigned i = 0; i < 100 && sim.events_done < SIM_EVENTS_MIN; i++) {
    sim_run(&sim, script->options.tuning.vector_interval_ms);
  }
  if (!sim.failed) {
    sim_check_quiet(&sim);
  }
  count_up(&sim);
  sim_total_add(total, &sim.total);
  sim_deinit(&sim);
  if (sim.failed) {
    memcpy(failure, sim.failure, SIM_FAILURE_BYTES);
    if (tracing) {
      sim_print_trace(&sim);
    }
  }
  return !sim.failed;
}
