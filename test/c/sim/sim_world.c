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
  return prng_below(&sim->prng, bound);
}

bool
sim_percent(struct sim *sim, unsigned percent)
{
  return prng_chance(&sim->prng, percent, 100);
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
sim_trace(struct sim *sim, const char *format, ...)
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
  sim_trace(sim, "FAILED");
  trace_line(sim, format, args);
  va_end(args);
}

void
sim_print(const struct sim *sim)
{
  const struct sim_options *const options = &sim->options;
  fprintf(stderr,
          "%u nodes, %s, loss %u%%, duplicates %u%%, busy %u%%, nomem %u/1000, "
          "delay %" PRIu64 " ms, message %zu, window %zu\n",
          options->nodes, options->faithful ? "faithful" : "unfaithful",
          options->loss_percent, options->duplicate_percent,
          options->busy_percent, options->nomem_permille, options->delay_max_ms,
          options->tuning.message_bytes_max, options->tuning.window_bytes);
  const uint64_t first =
    sim->trace_count > SIM_TRACE_LINES ? sim->trace_count - SIM_TRACE_LINES : 0;
  for (uint64_t i = first; i < sim->trace_count; i++) {
    fprintf(stderr, "  %s\n", sim->trace[i % SIM_TRACE_LINES]);
  }
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
sim_plan(struct sim *sim, uint64_t at_ms, enum sim_event_kind kind,
         unsigned node, uint64_t number, struct sim_message *message)
{
  if (sim->event_count == sim->event_capacity) {
    sim->event_capacity = sim->event_capacity * 2 + 64;
    sim->events =
      realloc(sim->events, sim->event_capacity * sizeof *sim->events);
    if (sim->events == NULL) {
      abort();
    }
  }
  const struct sim_event event = { .at_ms = at_ms,
                                   .order = sim->order++,
                                   .kind = kind,
                                   .node = node,
                                   .number = number,
                                   .message = message };
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

bool
sim_step(struct sim *sim, uint64_t until_ms)
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
    sim->steps_now = 0;
  }
  sim->steps++;
  if (++sim->steps_now > SIM_STEPS_NOW_MAX) {
    sim_fail(sim, "time stands still");
  }
  switch (event.kind) {
  case SIM_EVENT_DELIVER:
    sim_deliver(sim, event.node, event.message);
    break;
  case SIM_EVENT_POLL:
    sim_poll(sim, event.node, event.number);
    break;
  case SIM_EVENT_SLICE:
    sim_slice(sim, event.node);
    break;
  case SIM_EVENT_START_PROCESS:
    if (event.number == sim->nodes[event.node].incarnation) {
      sim_process_start(sim, event.node);
    }
    break;
  }
  return !sim->failed;
}

void
sim_run(struct sim *sim, uint64_t duration_ms)
{
  const uint64_t until_ms = sim->now_ms + duration_ms;
  while (sim_step(sim, until_ms)) {
  }
}

/*--------------------------------------------------------------------
 * From the beginning to the end */

void
sim_options_init(struct sim_options *options)
{
  *options = (struct sim_options){ .nodes = 2,
                                   .keys = 4,
                                   .faithful = true,
                                   .delay_max_ms = 3,
                                   .value_bytes_max = 40,
                                   .budget_max = 1000 };
  holt_tuning_init(&options->tuning);
}

static void
keys_init(struct sim *sim)
{
  for (unsigned i = 0; i < sim->options.keys; i++) {
    struct heap heap;
    heap_init(&heap);
    struct holt_key key;
    holt_key_init(&key, &heap.mem, 0);
    char name[32];
    /* Some share their beginning, some do not. */
    const int size =
      snprintf(name, sizeof name, i % 3 == 0 ? "%u" : "the name number %u", i);
    (void)holt_key_binary(&key, name, (size_t)size);
    if (holt_key_finish(&key) != 0) {
      abort();
    }
    sim->key_sizes[i] = holt_key_size(&key);
    memcpy(sim->keys[i], holt_key_bytes(&key), holt_key_size(&key));
    holt_key_deinit(&key);
    heap_deinit(&heap);
  }
}

void
sim_init(struct sim *sim, uint64_t seed, const struct sim_options *options)
{
  memset(sim, 0, sizeof *sim);
  sim->seed = seed;
  sim->options = *options;
  prng_init(&sim->prng, seed);
  sim->now_ms = 1;
  keys_init(sim);
  sim_current = sim;
  for (unsigned i = 0; i < options->nodes; i++) {
    struct sim_node *const node = &sim->nodes[i];
    const int size = snprintf(node->name, sizeof node->name, "n%u@sim", i);
    node->member = (struct holt_member){ .name = (const uint8_t *)"reg",
                                         .name_size = 3,
                                         .node = (const uint8_t *)node->name,
                                         .node_size = (uint16_t)size };
    for (unsigned j = 0; j < i; j++) {
      sim->links[j][i].cut = true;
    }
    sim_node_start(sim, i);
  }
  for (unsigned i = 0; i < options->nodes; i++) {
    for (unsigned j = i + 1; j < options->nodes; j++) {
      sim_link_heal(sim, i, j);
    }
  }
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
  while (sim->logs != NULL) {
    struct sim_log *const log = sim->logs;
    sim->logs = log->next;
    sim_log_free(log);
  }
  sim_current = NULL;
}

/*--------------------------------------------------------------------
 * Convergence */

static bool
copy_converged(struct sim *sim, unsigned at, unsigned of, char *why,
               size_t why_size)
{
  const struct sim_node *const owner = &sim->nodes[of];
  const struct holt_replica *const replica = sim->nodes[at].replica;
  const uint64_t version = owner->replica->self->version;
  const struct holt_actor *const copy =
    holt_rows_actor(&replica->rows, owner->log->actor);
  if (copy == NULL) {
    (void)snprintf(why, why_size, "n%u does not know n%u", at, of);
    return false;
  }
  if (copy->dirty || copy->version != version || !copy->shown ||
      !copy->connected || copy->gone) {
    (void)snprintf(why, why_size,
                   "n%u has n%u at %" PRIu64 " (cursor %" PRIu64 ") of %" PRIu64
                   "%s%s%s",
                   at, of, copy->version, copy->cursor, version,
                   copy->dirty ? ", dirty" : "", copy->shown ? "" : ", hidden",
                   copy->connected ? "" : ", not connected");
    return false;
  }
  const struct holt_peer *const peer =
    holt__peer_by_id(owner->replica, owner->peers[at]);
  if (peer == NULL || !peer->up || peer->acked != version ||
      peer->inflight_bytes != 0 || peer->cursor != version) {
    (void)snprintf(why, why_size,
                   "n%u waits for n%u (%s, acked %" PRIu64 " of %" PRIu64 ")",
                   of, at, peer == NULL ? "no peer" : "peer",
                   peer == NULL ? 0 : peer->acked, version);
    return false;
  }
  return true;
}

bool
sim_converged(struct sim *sim, char *why, size_t why_size)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    const struct sim_node *const node = &sim->nodes[i];
    if (node->replica == NULL || !node->running || node->inbox != NULL ||
        node->current != NULL || holt__background_waits(node->replica) ||
        node->replica->conflicts != NULL) {
      (void)snprintf(why, why_size, "n%u is not done", i);
      return false;
    }
    for (unsigned j = 0; j < sim->options.nodes; j++) {
      if (j != i && !copy_converged(sim, i, j, why, why_size)) {
        return false;
      }
    }
  }
  return true;
}

void
sim_settle(struct sim *sim)
{
  const struct holt_tuning *const tuning = &sim->options.tuning;
  /* A hello is repeated after at most 32 intervals. */
  const uint64_t bound_ms = 70 * tuning->vector_interval_ms +
                            2 * tuning->replica_restart_ms +
                            100 * sim->options.delay_max_ms;
  const uint64_t until_ms = sim->now_ms + bound_ms;
  char why[120] = "nothing happens";
  sim_trace(sim, "settle");
  while (!sim_converged(sim, why, sizeof why)) {
    if (!sim_step(sim, until_ms)) {
      sim_fail(sim, "not converged: %s", why);
      return;
    }
  }
  sim_trace(sim, "converged");
}
