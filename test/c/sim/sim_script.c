/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts: all that is to be done in a run, drawn from its seed.
 *
 * Not every run has every trouble: each run draws which kinds it has, and those
 * then come often.  What only a rare mixture breaks is met sooner so. */
#include <inttypes.h>
#include <stdio.h>

#include "sim.h"

/* How often an operation is drawn, of those of its class; trouble: it is there
 * in so many percent of the runs. */
static const struct {
  const char *name;
  unsigned weight;
  unsigned percent; /* Of runs; 0: work, always there. */
} ops[SIM_OP_COUNT] = {
  [SIM_OP_REGISTER] = { "register", 40, 0 },
  [SIM_OP_UNREGISTER] = { "unregister", 16, 0 },
  [SIM_OP_UPDATE] = { "update", 20, 0 },
  [SIM_OP_EXIT] = { "exit", 9, 0 },
  [SIM_OP_TOUR] = { "tour", 5, 0 },
  [SIM_OP_TOUR_KEY] = { "tour-key", 5, 0 },
  [SIM_OP_STANDBY] = { "stand-by", 8, 0 },
  [SIM_OP_REPLACE] = { "replace", 6, 0 },
  [SIM_OP_TAKE_OVER] = { "take-over", 4, 0 },
  [SIM_OP_BULK] = { "bulk", 2, 0 },
  [SIM_OP_CUT] = { "cut", 18, 85 },
  [SIM_OP_HEAL] = { "heal", 20, 100 },
  [SIM_OP_HEAL_ALL] = { "heal-all", 2, 100 },
  [SIM_OP_PARTITION] = { "partition", 3, 50 },
  [SIM_OP_PARTIAL] = { "partial", 4, 50 },
  [SIM_OP_VOUCHER] = { "voucher", 6, 40 },
  [SIM_OP_MUTE] = { "mute", 8, 50 },
  [SIM_OP_FLAP] = { "flap", 3, 30 },
  [SIM_OP_CRASH] = { "crash", 7, 60 },
  [SIM_OP_FRAGILE] = { "fragile", 7, 40 },
  [SIM_OP_INSTANCE] = { "instance", 3, 40 },
  [SIM_OP_STOP] = { "stop", 3, 30 },
  [SIM_OP_PAUSE] = { "pause", 4, 30 },
  [SIM_OP_KILL] = { "kill", 4, 50 },
  [SIM_OP_START] = { "start", 8, 100 },
  [SIM_OP_ALONE] = { "alone", 3, 30 },
  [SIM_OP_LEAVE] = { "leave", 1, 20 },
  [SIM_OP_SLOW] = { "slow", 5, 40 },
  [SIM_OP_FREEZE] = { "freeze", 4, 40 },
  [SIM_OP_CLOCK] = { "clock", 5, 40 },
  [SIM_OP_CLOCK_FAR] = { "clock-far", 2, 15 },
  [SIM_OP_SHORT] = { "short-of-memory", 4, 25 },
  [SIM_OP_TRIM] = { "forget-deaths", 10, 50 },
};

const char *
sim_op_name(enum sim_op op)
{
  return ops[op].name;
}

/*--------------------------------------------------------------------
 * Options */

/* In most runs all speak the same; in some there are newer ones that still know
 * the old one, in others there are two kinds that do not. */
static void
draw_versions(struct prng *prng, struct sim_options *options)
{
  const uint64_t mixture = prng_below(prng, 12);
  for (unsigned i = 0; i < SIM_NODES_MAX && mixture < 2; i++) {
    const bool newer = prng_chance(prng, 1, 2);
    if (newer && mixture == 0) {
      options->speaks_max[i] = (uint8_t)(2 + prng_below(prng, 2));
    } else if (newer) {
      options->speaks_min[i] = 2;
      options->speaks_max[i] = 3;
    }
  }
}

/* In a quarter of the runs keys are not unique; of the others one in three
 * keeps the oldest, one in six cannot agree, and one in six has its contests
 * decided, but for big ones: thousands of contests, each again every second,
 * take minutes. */
static void
draw_policies(struct prng *prng, struct sim_options *options)
{
  options->duplicate = prng_chance(prng, 1, 4);
  const uint64_t rule = prng_below(prng, 6);
  options->custom = !options->duplicate && !options->big && rule == 5;
  for (unsigned i = 0; i < SIM_NODES_MAX; i++) {
    options->oldest[i] = rule < 2 || (rule == 2 && prng_chance(prng, 1, 2));
  }
}

static void
draw_tuning(struct prng *prng, struct sim_options *options)
{
  struct holt_tuning *const tuning = &options->tuning;
  tuning->vector_interval_ms = 50 + prng_below(prng, 500);
  tuning->replica_restart_ms = 100 + prng_below(prng, 2000);
  tuning->clock_bound_ms = prng_chance(prng, 1, 2) ? 5000 : 50;
  tuning->value_bytes_max = 1000;
  tuning->key_bytes_max = 100;
  if (prng_chance(prng, 1, 4)) {
    tuning->forget_after_ms = 500 + prng_below(prng, 4000);
  }
  if (!options->big && prng_chance(prng, 2, 3)) {
    tuning->message_bytes_max = 100 + prng_below(prng, 400);
    tuning->window_bytes = 100 + prng_below(prng, 1000);
  }
}

/* Mostly there is time to ask and to answer before a vouch lapses. */
static void
draw_presence(struct prng *prng, struct sim_options *options)
{
  struct holt_tuning *const tuning = &options->tuning;
  const uint64_t ways_ms = 4 * options->delay_max_ms + 70;
  if (prng_chance(prng, 1, 8)) {
    tuning->probe_ms = 50 + prng_below(prng, 450);
    tuning->vouch_ms = 300 + prng_below(prng, 1700);
  } else {
    tuning->probe_ms = ways_ms + prng_below(prng, 400);
    tuning->vouch_ms = 2 * ways_ms + 100 + prng_below(prng, 1700);
  }
  tuning->flap_ms_max = 200 + prng_below(prng, 1800);
  if (options->nodes > 2 && prng_chance(prng, 1, 2)) {
    options->rests = 1 + (unsigned)prng_below(prng, SIM_RESTS_MAX);
  }
  for (unsigned i = 0; i < SIM_RESTS_MAX; i++) {
    /* Few links cut, half of them, or most. */
    const uint32_t one = (uint32_t)prng_next(prng);
    const uint32_t two = (uint32_t)prng_next(prng);
    const uint64_t how = prng_below(prng, 3);
    options->rest_cuts[i] = how == 0 ? one & two : how == 1 ? one : one | two;
  }
  if (tuning->probe_ms <= ways_ms - 10 ||
      tuning->vouch_ms <= 2 * (ways_ms - 10)) {
    options->rests = 0;
  }
}

/* Old messages among new ones: much is lost, doubled and late. */
static void
draw_turbulence(struct prng *prng, struct sim_options *options)
{
  options->faithful = false;
  options->loss_percent = 10 + (unsigned)prng_below(prng, 30);
  options->duplicate_percent = 20;
  options->delay_max_ms = 50 + prng_below(prng, 300);
}

static void
draw_options(struct prng *prng, struct sim_options *options)
{
  sim_options_init(options);
  options->big = prng_chance(prng, 1, 100);
  options->nodes = 2 + (unsigned)prng_below(prng, SIM_NODES_MAX - 1);
  options->members = options->nodes;
  options->keys = 1 + (unsigned)prng_below(prng, 12);
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
  if (prng_chance(prng, 1, 6)) {
    draw_turbulence(prng, options);
  }
  if (options->nodes > 2 && prng_chance(prng, 1, 4)) {
    options->members = 2 + (unsigned)prng_below(prng, options->nodes - 1);
  }
  if (options->big) {
    options->nodes = 2 + options->nodes % 2;
    options->members = options->nodes;
    options->keys = 2000 + (unsigned)prng_below(prng, SIM_KEYS_MAX - 1999);
    options->budget_max = 500;
    options->nomem_permille = 0;
    options->value_bytes_max = 0;
  }
  draw_policies(prng, options);
  options->twins = !options->big && prng_chance(prng, 1, 8);
  draw_versions(prng, options);
  draw_tuning(prng, options);
  draw_presence(prng, options);
}

/*--------------------------------------------------------------------
 * Steps */

struct deck {
  unsigned work;    /* Sum of the weights. */
  unsigned trouble; /* The same, of those that this run has. */
  bool has[SIM_OP_COUNT];
};

static void
draw_deck(struct prng *prng, struct deck *deck)
{
  *deck = (struct deck){ .work = 0 };
  for (unsigned i = 0; i < SIM_OP_COUNT; i++) {
    const bool work = ops[i].percent == 0;
    deck->has[i] = work || prng_chance(prng, ops[i].percent, 100);
    if (deck->has[i]) {
      *(work ? &deck->work : &deck->trouble) += ops[i].weight;
    }
  }
}

static enum sim_op
draw_op(struct prng *prng, const struct deck *deck, bool trouble)
{
  uint64_t left = prng_below(prng, trouble ? deck->trouble : deck->work);
  unsigned op = 0;
  for (; op < SIM_OP_COUNT - 1; op++) {
    if (deck->has[op] && (ops[op].percent > 0) == trouble) {
      if (left < ops[op].weight) {
        break;
      }
      left -= ops[op].weight;
    }
  }
  return (enum sim_op)op;
}

void
sim_script_draw(struct sim_script *script, uint64_t seed)
{
  struct prng prng;
  prng_init(&prng, seed);
  script->seed = seed;
  script->net_seed = prng_next(&prng);
  draw_options(&prng, &script->options);
  struct deck deck;
  draw_deck(&prng, &deck);
  const struct sim_options *const options = &script->options;
  const unsigned most = options->big ? SIM_STEPS_MIN : SIM_STEPS_MAX;
  const unsigned least = options->big ? SIM_STEPS_MIN / 2 : SIM_STEPS_MIN;
  script->count = least + (unsigned)prng_below(&prng, most - least + 1);
  const uint64_t pause_max_ms = 1 + prng_below(&prng, options->big ? 300 : 60);
  const unsigned trouble_percent =
    prng_chance(&prng, 1, 10) ? 60 : (unsigned)prng_below(&prng, 25);
  for (unsigned i = 0; i < script->count; i++) {
    struct sim_step *const step = &script->steps[i];
    const bool trouble = prng_chance(&prng, trouble_percent, 100);
    const unsigned at = (unsigned)prng_below(&prng, options->nodes);
    const unsigned far = (unsigned)prng_below(&prng, options->nodes - 1);
    *step = (struct sim_step){
      .op = draw_op(&prng, &deck, trouble),
      .at = at,
      .other = (at + 1 + far) % options->nodes,
      .process = (unsigned)prng_below(&prng, SIM_PROCESSES),
      .key = (unsigned)prng_below(&prng, options->keys),
      .number = prng_below(&prng, 65536),
      .pause_ms = prng_below(&prng, pause_max_ms),
      .seed = prng_next(&prng),
    };
    if (options->big && !trouble && prng_chance(&prng, 1, 3)) {
      step->op = SIM_OP_BULK;
    }
  }
}

static void
step_print(const struct sim_step *step)
{
  fprintf(stderr, "  %-16s n%u", ops[step->op].name, step->at);
  switch (step->op) {
  case SIM_OP_REGISTER:
  case SIM_OP_STANDBY:
  case SIM_OP_REPLACE:
  case SIM_OP_BULK:
    fprintf(stderr, " process %u", step->process);
    fprintf(stderr, " key %u", step->key);
    break;
  case SIM_OP_UNREGISTER:
  case SIM_OP_UPDATE:
  case SIM_OP_TOUR_KEY:
    fprintf(stderr, " key %u", step->key);
    break;
  case SIM_OP_EXIT:
  case SIM_OP_TAKE_OVER:
    fprintf(stderr, " process %u", step->process);
    break;
  case SIM_OP_TOUR:
    fprintf(stderr, " n%u process %u", step->other, step->process);
    break;
  case SIM_OP_CUT:
  case SIM_OP_HEAL:
  case SIM_OP_MUTE:
  case SIM_OP_FLAP:
    fprintf(stderr, " n%u", step->other);
    break;
  default:
    break;
  }
  fprintf(stderr, " (%" PRIu64 "), then %" PRIu64 " ms\n", step->number,
          step->pause_ms);
}

void
sim_script_print(const struct sim_script *script)
{
  sim_print_options(&script->options);
  for (unsigned i = 0; i < script->count; i++) {
    if (!script->steps[i].skip) {
      step_print(&script->steps[i]);
    }
  }
  fprintf(stderr, "  rest\n");
}
