/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holt/key.h>

struct sim *sim_current;

uint64_t
sim_below(struct sim *sim, uint64_t bound)
{
  return prng_below(&sim->net, bound);
}

bool
sim_percent(struct sim *sim, unsigned percent)
{
  return percent > 0 && prng_chance(&sim->net, percent, 100);
}

/*--------------------------------------------------------------------
 * Trace */

static void
trace_line(struct sim *sim, const char *format, va_list args)
{
  char *const line = sim->trace[sim->trace_count++ % SIM_TRACE_LINES];
  const int at =
    snprintf(line, SIM_TRACE_COLUMNS, "%7" PRIu64 "  ", sim->now_ms);
  (void)vsnprintf(line + at, SIM_TRACE_COLUMNS - (size_t)at, format, args);
}

void
sim_trace_line(struct sim *sim, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  trace_line(sim, format, args);
  va_end(args);
}

void
sim_fail(struct sim *sim, const char *format, ...)
{
  if (sim->failed) {
    return; /* The first reason is the one that counts. */
  }
  sim->failed = true;
  va_list args;
  va_start(args, format);
  (void)vsnprintf(sim->failure, sizeof sim->failure, format, args);
  va_end(args);
  sim_trace(sim, "FAILED");
  sim_trace(sim, "%s", sim->failure);
  sim->tracing = false; /* What is cleared away tells nothing. */
}

void
sim_print_trace(const struct sim *sim)
{
  const uint64_t first =
    sim->trace_count > SIM_TRACE_LINES ? sim->trace_count - SIM_TRACE_LINES : 0;
  for (uint64_t i = first; i < sim->trace_count; i++) {
    fprintf(stderr, "  %s\n", sim->trace[i % SIM_TRACE_LINES]);
  }
}

void
sim_print_options(const struct sim_options *options)
{
  const struct holt_tuning *const tuning = &options->tuning;
  fprintf(
    stderr,
    "%u nodes (%u at first), %u keys%s, %s, loss %u%%, "
    "duplicates %u%%, busy %u%%, nomem %u/1000, delay %" PRIu64 " ms,\n"
    "message %zu, window %zu, budget %zu, vectors %" PRIu64
    " ms, restart %" PRIu64 " ms, forget %" PRIu64 " ms, clock %" PRIu64
    " ms,\nprobe %" PRIu64 " ms, vouch %" PRIu64 " ms, flap %" PRIu64
    " ms, rests %u (%x, %x), speaking",
    options->nodes, options->members, options->keys,
    options->duplicate ? (options->big ? ", duplicate, big" : ", duplicate")
    : options->big     ? ", big"
                       : "",
    options->faithful ? "faithful" : "unfaithful", options->loss_percent,
    options->duplicate_percent, options->busy_percent, options->nomem_permille,
    options->delay_max_ms, tuning->message_bytes_max, tuning->window_bytes,
    options->budget_max, tuning->vector_interval_ms, tuning->replica_restart_ms,
    tuning->forget_after_ms, tuning->clock_bound_ms, tuning->probe_ms,
    tuning->vouch_ms, tuning->flap_ms_max, options->rests,
    options->rest_cuts[0], options->rest_cuts[1]);
  for (unsigned i = 0; i < options->nodes; i++) {
    fprintf(stderr, " %u-%u%s", options->speaks_min[i], options->speaks_max[i],
            options->oldest[i] ? " oldest"
            : options->custom  ? " custom"
                               : "");
  }
  fprintf(stderr, "\n");
}

/*--------------------------------------------------------------------
 * Events: a binary heap by time, then by the order of planning */

static bool
event_before(const struct sim_event *left, const struct sim_event *right)
{
  return left->at_ms != right->at_ms ? left->at_ms < right->at_ms
                                     : left->order < right->order;
}

void
sim_plan(struct sim *sim, const struct sim_event *planned)
{
  if (sim->event_count == sim->event_capacity) {
    sim->event_capacity = sim->event_capacity * 2 + 64;
    sim->events =
      realloc(sim->events, sim->event_capacity * sizeof *sim->events);
    if (sim->events == NULL) {
      abort();
    }
  }
  struct sim_event event = *planned;
  event.order = sim->order++;
  size_t at = sim->event_count++;
  while (at > 0 && event_before(&event, &sim->events[(at - 1) / 2])) {
    sim->events[at] = sim->events[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  sim->events[at] = event;
}

static struct sim_event
event_take(struct sim *sim)
{
  const struct sim_event first = sim->events[0];
  const struct sim_event last = sim->events[--sim->event_count];
  size_t at = 0;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= sim->event_count) {
      break;
    }
    if (child + 1 < sim->event_count &&
        event_before(&sim->events[child + 1], &sim->events[child])) {
      child++;
    }
    if (!event_before(&sim->events[child], &last)) {
      break;
    }
    sim->events[at] = sim->events[child];
    at = child;
  }
  sim->events[at] = last;
  return first;
}

static void
deliver(struct sim *sim, unsigned to, struct sim_message *message)
{
  if (sim->nodes[to].replica == NULL) {
    free(message);
  } else {
    sim_inbox_put(sim, to, message);
  }
}

/* What a node does by itself waits while it stands still. */
static bool
is_of_node(const struct sim_event *event)
{
  return event->kind != SIM_EVENT_DELIVER &&
         event->kind != SIM_EVENT_MUTE_ENDS && event->kind != SIM_EVENT_FLAP;
}

static void
event_do(struct sim *sim, const struct sim_event *event)
{
  if (is_of_node(event) && sim_is_frozen(sim, event->node)) {
    struct sim_event later = *event;
    later.at_ms = sim->nodes[event->node].frozen_until_ms;
    sim_plan(sim, &later);
    return;
  }
  switch (event->kind) {
  case SIM_EVENT_DELIVER:
    deliver(sim, event->node, event->message);
    break;
  case SIM_EVENT_POLL:
    sim_poll(sim, event->node, event->number);
    break;
  case SIM_EVENT_SLICE:
    sim_slice(sim, event->node);
    break;
  case SIM_EVENT_START_PROCESS:
    if (event->number == sim->nodes[event->node].incarnation) {
      sim_process_start(sim, event->node);
    }
    break;
  case SIM_EVENT_TOUR:
    sim_tour_next(sim, event->node, event->number);
    break;
  case SIM_EVENT_RESUME:
  case SIM_EVENT_RENAME:
    if (sim->nodes[event->node].replica == NULL ||
        event->number != sim->nodes[event->node].log->actor) {
      break; /* It was another life. */
    }
    if (event->kind == SIM_EVENT_RESUME) {
      sim_resume(sim, event->node);
    } else {
      sim_rename(sim, event->node);
    }
    break;
  case SIM_EVENT_MUTE_ENDS:
    sim_mute_ends(sim, event);
    break;
  case SIM_EVENT_FLAP:
    sim_flap(sim, event);
    break;
  }
}

bool
sim_event(struct sim *sim, uint64_t until_ms)
{
  if (sim->failed) {
    return false;
  }
  if (sim->event_count == 0 || sim->events[0].at_ms > until_ms) {
    sim->now_ms = until_ms;
    return false;
  }
  const struct sim_event event = event_take(sim);
  if (event.at_ms > sim->now_ms) {
    sim->now_ms = event.at_ms;
    sim->events_now = 0;
  }
  if (++sim->events_now > SIM_EVENTS_NOW_MAX) {
    sim_fail(sim, "time stands still");
  }
  sim_reach_look(sim);
  event_do(sim, &event);
  const uint64_t whole =
    sim->options.big ? SIM_WHOLE_EVENTS_BIG : SIM_WHOLE_EVENTS;
  if (++sim->events_done % whole == 0) {
    sim_check_whole(sim);
  }
  return !sim->failed;
}

void
sim_run(struct sim *sim, uint64_t duration_ms)
{
  const uint64_t until_ms = sim->now_ms + duration_ms;
  while (sim_event(sim, until_ms)) {
  }
}

/*--------------------------------------------------------------------
 * From the beginning to the end */

void
sim_options_init(struct sim_options *options)
{
  *options = (struct sim_options){ .nodes = 2,
                                   .members = 2,
                                   .keys = 4,
                                   .faithful = true,
                                   .delay_max_ms = 3,
                                   .value_bytes_max = 40,
                                   .budget_max = 1000 };
  memset(options->speaks_min, 1, sizeof options->speaks_min);
  memset(options->speaks_max, 1, sizeof options->speaks_max);
  holt_tuning_init(&options->tuning);
}

static void
key_make(struct sim_key *out, unsigned number)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_key key;
  holt_key_init(&key, &heap.mem, 0);
  char name[32];
  /* Some share their beginning, some do not. */
  const int size = snprintf(
    name, sizeof name, number % 3 == 0 ? "%u" : "the name number %u", number);
  (void)holt_key_binary(&key, name, (size_t)size);
  if (holt_key_finish(&key) != 0 || holt_key_size(&key) > sizeof out->bytes) {
    abort();
  }
  out->size = holt_key_size(&key);
  memcpy(out->bytes, holt_key_bytes(&key), out->size);
  holt_key_deinit(&key);
  heap_deinit(&heap);
}

/* The same in all runs. */
static const struct sim_key *
keys_get(unsigned count)
{
  static struct sim_key keys[SIM_KEYS_MAX];
  static unsigned made;
  for (; made < count; made++) {
    key_make(&keys[made], made);
  }
  return keys;
}

static void
node_init(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  const int size = snprintf(node->name, sizeof node->name, "n%u@sim", at);
  node->member = (struct holt_member){ .name = (const uint8_t *)"reg",
                                       .name_size = 3,
                                       .node = (const uint8_t *)node->name,
                                       .node_size = (uint16_t)size };
  sim_node_name(node, false);
  node->speaks_min = sim->options.speaks_min[at];
  node->speaks_max = sim->options.speaks_max[at];
  for (unsigned i = 0; i < at; i++) {
    sim->links[i][at].cut = true;
  }
}

void
sim_init(struct sim *sim, uint64_t seed, const struct sim_options *options,
         bool tracing)
{
  memset(sim, 0, offsetof(struct sim, trace));
  sim->trace_count = 0;
  sim->tracing = tracing;
  sim->seed = seed;
  sim->options = *options;
  prng_init(&sim->net, seed);
  prng_init(&sim->choice, seed + 1);
  prng_init(&sim->twins, seed + 2);
  sim->now_ms = 1;
  sim->keys = keys_get(options->keys);
  sim_current = sim;
  for (unsigned i = 0; i < options->nodes; i++) {
    node_init(sim, i);
  }
  for (unsigned i = 0; i < options->members; i++) {
    (void)sim_node_start(sim, i);
  }
  sim_heal_all(sim);
}

void
sim_deinit(struct sim *sim)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (sim->nodes[i].replica != NULL) {
      sim_node_kill(sim, i);
    }
  }
  while (sim->event_count > 0) {
    free(event_take(sim).message);
  }
  free(sim->events);
  sim->events = NULL;
  while (sim->logs != NULL) {
    struct sim_log *const log = sim->logs;
    sim->logs = log->next;
    sim_log_free(log);
  }
  sim_current = NULL;
}

/* How long it may take to agree, once nothing is in the way. */
static uint64_t
settle_bound_ms(const struct sim *sim)
{
  const struct sim_options *const options = &sim->options;
  const struct holt_tuning *const tuning = &options->tuning;
  uint64_t rows = 0;
  for (unsigned i = 0; i < options->nodes; i++) {
    rows += sim->nodes[i].replica == NULL ? 0 : sim->nodes[i].log->live_count;
  }
  /* A hello is repeated after at most 32 intervals; a window may be so small
   * that each row takes a way there and back. */
  return 70 * tuning->vector_interval_ms + 2 * tuning->replica_restart_ms +
         2 * tuning->probe_ms + 4 * tuning->vouch_ms + 2 * tuning->flap_ms_max +
         (options->custom ? 10000 : 0) + 100 * options->delay_max_ms +
         rows * (4 * options->delay_max_ms + 4);
}

void
sim_settle(struct sim *sim)
{
  const uint64_t until_ms = sim->now_ms + settle_bound_ms(sim);
  char why[120] = "nothing happens";
  sim_trace(sim, "settle");
  while (!sim_converged(sim, why, sizeof why)) {
    if (!sim_event(sim, until_ms)) {
      sim_fail(sim, "not converged: %s", why);
      return;
    }
  }
  sim_check_whole(sim);
  sim_trace(sim, "converged");
}
