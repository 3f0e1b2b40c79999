/* SPDX-License-Identifier: Apache-2.0 */
/* Plays a script: some seconds of work and trouble, then rest (sim_rest.c). */
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

/* It is up, and does what it is told. */
static bool
acts(const struct sim *sim, unsigned at)
{
  return is_up(sim, at) && !sim_is_frozen(sim, at);
}

/*--------------------------------------------------------------------
 * Steps.  True: it had an effect. */

static bool
play_work(struct sim *sim, const struct sim_step *step)
{
  const unsigned at = step->at;
  if (!acts(sim, at)) {
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

/* Each link is cut, or healed, or left as it is. */
static bool
play_partial(struct sim *sim)
{
  bool any = false;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = i + 1; j < sim->options.nodes; j++) {
      const uint64_t what = prng_below(&sim->choice, 6);
      if (what < 2) {
        any = sim_link_cut(sim, i, j) || any;
      } else if (what < 4) {
        any = sim_link_heal(sim, i, j) || any;
      }
    }
  }
  return any;
}

/* Somebody who vouches for somebody to this node is in trouble. */
static bool
play_voucher(struct sim *sim, const struct sim_step *step)
{
  const unsigned at = step->at;
  const struct holt_actor *walk = NULL;
  struct sim_copy copy;
  while (is_up(sim, at) &&
         sim_core_copy(sim->nodes[at].replica, &walk, &copy)) {
    struct sim_vouch vouch;
    unsigned by = SIM_NODES_MAX;
    if (copy.sight == HOLT_SIGHT_VOUCHED && sim_core_vouch(&copy, 0, &vouch)) {
      by = sim_node_of_peer(sim, at, vouch.peer);
    }
    if (by == SIM_NODES_MAX || !is_up(sim, by)) {
      continue;
    }
    switch (step->number % 5) {
    case 0:
      sim_node_kill(sim, by);
      return true;
    case 1:
      return sim_process_crash(sim, by);
    case 2:
      sim_freeze(sim, by, step->number % 1500);
      return true;
    case 3:
      return sim_link_cut(sim, at, by);
    default:
      return sim_link_cut(sim, by, sim_log_find(sim, copy.id)->node);
    }
  }
  return false;
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
  case SIM_OP_PARTIAL:
    return play_partial(sim);
  case SIM_OP_VOUCHER:
    return play_voucher(sim, step);
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
    return acts(sim, at) && sim_instance_restart(sim, at);
  case SIM_OP_STOP:
    return acts(sim, at) && sim_stop(sim, at);
  case SIM_OP_PAUSE:
    return acts(sim, at) && sim_pause(sim, at, step->number % 2000);
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
  case SIM_OP_FREEZE:
    sim_freeze(sim, step->at, step->number % 1500);
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
      total->asks += counters.asks;
      total->probes += counters.probes;
      total->vouches += counters.vouches;
      total->lapsed += counters.vouches_lapsed;
      total->flaps += counters.flaps;
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
  printf("told: %" PRIu64 " changes; ends by user %" PRIu64 " down %" PRIu64
         " conflict %" PRIu64 " given away %" PRIu64 " unknown %" PRIu64
         " member %" PRIu64 "\n",
         total->changes, total->reasons[HOLT_REASON_USER],
         total->reasons[HOLT_REASON_DOWN], total->reasons[HOLT_REASON_CONFLICT],
         total->reasons[HOLT_REASON_GIVEN_AWAY],
         total->reasons[HOLT_REASON_UNKNOWN],
         total->reasons[HOLT_REASON_MEMBER]);
  printf("contests: %" PRIu64 " handed out; %" PRIu64 " lost, %" PRIu64
         " stood by, %" PRIu64 " too late\n",
         total->contests, total->verdicts[0], total->verdicts[1],
         total->verdicts[2]);
  printf("presence: %" PRIu64 " asks, %" PRIu64 " probes, %" PRIu64
         " vouches, %" PRIu64 " lapsed, %" PRIu64 " forwarded, %" PRIu64
         " flaps, %" PRIu64 " forgotten\n",
         total->asks, total->probes, total->vouches, total->lapsed,
         total->forwards, total->flaps, total->forgotten);
  printf("sights: %" PRIu64 " suspect, %" PRIu64 " vouched, %" PRIu64
         " connected, %" PRIu64 " absent; %" PRIu64
         " rests with links cut, %" PRIu64 " vouched for there\n",
         total->sights[HOLT_SIGHT_SUSPECT], total->sights[HOLT_SIGHT_VOUCHED],
         total->sights[HOLT_SIGHT_CONNECTED], total->sights[HOLT_SIGHT_ABSENT],
         total->rests, total->rest_pairs);
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
    sim_rest(&sim);
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
