/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "sim_core.h"

struct sim_link *
sim_link_of(struct sim *sim, unsigned left, unsigned right)
{
  return left < right ? &sim->links[left][right] : &sim->links[right][left];
}

bool
sim_can_talk(const struct sim *sim, unsigned left, unsigned right)
{
  return sim->nodes[left].speaks_min <= sim->nodes[right].speaks_max &&
         sim->nodes[right].speaks_min <= sim->nodes[left].speaks_max;
}

static struct sim_message *
message_new(struct sim *sim, unsigned from, enum sim_message_kind kind,
            size_t size)
{
  struct sim_message *const message = malloc(sizeof *message + size);
  if (message == NULL) {
    abort();
  }
  memset(message, 0, sizeof *message);
  message->kind = kind;
  message->from = from;
  message->incarnation = sim->nodes[from].incarnation;
  message->size = size;
  if (sim->nodes[from].replica != NULL) {
    message->wall_ms = sim_time(sim, from).wall_ms;
    message->actor = sim->nodes[from].log->actor;
    message->held = kind == SIM_PACKET ? sim_held(sim, from) : 0;
  }
  return message;
}

static void
plan_delivery(struct sim *sim, unsigned to, uint64_t at_ms,
              struct sim_message *message)
{
  sim_plan(sim, &(struct sim_event){ .at_ms = at_ms,
                                     .kind = SIM_EVENT_DELIVER,
                                     .node = to,
                                     .message = message });
}

/*--------------------------------------------------------------------
 * Links */

/* Tell one end that the connection is there, or is not any more. */
static void
link_tell(struct sim *sim, unsigned to, unsigned from,
          enum sim_message_kind kind, uint64_t at_ms)
{
  struct sim_message *const message = message_new(sim, from, kind, 0);
  message->connection = sim_link_of(sim, to, from)->connection;
  if (at_ms < sim->last_at_ms[from][to]) {
    at_ms = sim->last_at_ms[from][to];
  }
  sim->last_at_ms[from][to] = at_ms;
  plan_delivery(sim, to, at_ms, message);
}

bool
sim_link_heal(struct sim *sim, unsigned left, unsigned right)
{
  struct sim_link *const link = sim_link_of(sim, left, right);
  /* A connection begins when both have seen the end of the one before. */
  if (!link->cut || link->held || sim->nodes[left].linked[right] ||
      sim->nodes[right].linked[left] || sim->nodes[left].replica == NULL ||
      sim->nodes[right].replica == NULL || sim->nodes[left].alone ||
      sim->nodes[right].alone) {
    return false;
  }
  link->cut = false;
  link->mute[0] = false;
  link->mute[1] = false;
  link->connection++;
  const unsigned low = left < right ? left : right;
  const unsigned high = left < right ? right : left;
  link->actors[0] = sim->nodes[low].log->actor;
  link->actors[1] = sim->nodes[high].log->actor;
  link->versions[0] = sim->nodes[low].log->version;
  link->versions[1] = sim->nodes[high].log->version;
  sim_trace(sim, "link n%u-n%u up", left, right);
  const unsigned ends[2] = { left, right };
  for (unsigned i = 0; i < 2; i++) {
    const uint64_t at_ms =
      sim->now_ms + sim_below(sim, sim->options.delay_max_ms + 1);
    link_tell(sim, ends[i], ends[1 - i], SIM_LINK_UP, at_ms);
  }
  return true;
}

bool
sim_link_cut(struct sim *sim, unsigned left, unsigned right)
{
  struct sim_link *const link = sim_link_of(sim, left, right);
  if (link->cut) {
    return false;
  }
  link->cut = true;
  sim_trace(sim, "link n%u-n%u cut", left, right);
  const unsigned ends[2] = { left, right };
  for (unsigned i = 0; i < 2; i++) {
    if (sim->nodes[ends[i]].replica != NULL) {
      const uint64_t at_ms = sim->now_ms + sim_below(sim, 60);
      /* What is under way until then may still arrive, in order. */
      sim->last_at_ms[ends[1 - i]][ends[i]] = 0;
      link_tell(sim, ends[i], ends[1 - i], SIM_LINK_DOWN, at_ms);
    }
  }
  return true;
}

void
sim_heal_all(struct sim *sim)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = i + 1; j < sim->options.nodes; j++) {
      (void)sim_link_heal(sim, i, j);
    }
  }
}

void
sim_hold(struct sim *sim, uint32_t cuts)
{
  unsigned bit = 0;
  for (unsigned i = 0; i < SIM_NODES_MAX; i++) {
    for (unsigned j = i + 1; j < SIM_NODES_MAX; j++, bit++) {
      struct sim_link *const link = &sim->links[i][j];
      link->held = (cuts >> bit & 1) != 0;
      if (link->held && j < sim->options.nodes) {
        (void)sim_link_cut(sim, i, j);
      }
    }
  }
}

bool
sim_link_mute(struct sim *sim, unsigned from, unsigned to, uint64_t for_ms,
              bool torn)
{
  struct sim_link *const link = sim_link_of(sim, from, to);
  if (link->cut || link->mute[0] || link->mute[1]) {
    return false;
  }
  link->mute[from < to ? 0 : 1] = true;
  link->torn = torn;
  sim_trace(sim, "link n%u->n%u mute", from, to);
  sim_plan(sim, &(struct sim_event){ .at_ms = sim->now_ms + for_ms,
                                     .kind = SIM_EVENT_MUTE_ENDS,
                                     .node = from,
                                     .other = to,
                                     .number = link->connection });
  return true;
}

void
sim_mute_ends(struct sim *sim, const struct sim_event *event)
{
  struct sim_link *const link = sim_link_of(sim, event->node, event->other);
  if (link->connection != event->number || link->cut ||
      !(link->mute[0] || link->mute[1])) {
    return;
  }
  link->mute[0] = false;
  link->mute[1] = false;
  sim_trace(sim, "link n%u->n%u not mute any more", event->node, event->other);
  if (link->torn) {
    (void)sim_link_cut(sim, event->node, event->other);
  }
}

void
sim_flap(struct sim *sim, const struct sim_event *event)
{
  if (sim->resting) {
    return;
  }
  if (!sim_link_cut(sim, event->node, event->other)) {
    (void)sim_link_heal(sim, event->node, event->other);
  }
  if (event->number > 0) {
    struct sim_event again = *event;
    again.at_ms = sim->now_ms + sim_below(sim, 120);
    again.number--;
    sim_plan(sim, &again);
  }
}

/*--------------------------------------------------------------------
 * Messages */

static void
send_one(struct sim *sim, unsigned to, const struct sim_message *source)
{
  struct sim_message *const message = malloc(sizeof *message + source->size);
  if (message == NULL) {
    abort();
  }
  memcpy(message, source, sizeof *message + source->size);
  uint64_t at_ms = sim->now_ms + sim_below(sim, sim->options.delay_max_ms + 1);
  if (sim->options.faithful) {
    uint64_t *const last_ms = &sim->last_at_ms[source->from][to];
    if (at_ms < *last_ms) {
      at_ms = *last_ms;
    }
    *last_ms = at_ms;
  }
  plan_delivery(sim, to, at_ms, message);
}

/* The network does not carry this message. */
static bool
is_lost(struct sim *sim, unsigned from, unsigned to, bool data)
{
  const struct sim_link *const link = sim_link_of(sim, from, to);
  if (link->cut) {
    return true; /* The sender does not know it yet. */
  }
  /* News of processes are kept for the end of the silence, if it ends. */
  if (link->mute[from < to ? 0 : 1] && (data || link->torn)) {
    sim->total.muted++;
    return true;
  }
  if (data && sim_percent(sim, sim->options.loss_percent)) {
    sim_trace(sim, "n%u -> n%u lost", from, to);
    sim->total.lost++;
    return true;
  }
  return false;
}

/* A hello says what its sender would say, if it spoke what it is said to speak.
 * The receiver knows version 1 only; so that it does not understand a sender
 * whose range is not its own, that says what the other range looks like. */
static void
translate(const struct sim *sim, unsigned to, struct sim_message *hello)
{
  const struct sim_node *const sender = &sim->nodes[hello->from];
  const struct sim_node *const receiver = &sim->nodes[to];
  uint8_t *const range = hello->bytes + SIM_CORE_HELLO_RANGE;
  if (hello->size < SIM_CORE_HELLO_RANGE + 2) {
    return;
  }
  if (!sim_can_talk(sim, hello->from, to)) {
    range[0] = SIM_CORE_PROTOCOL + 1;
    range[1] = SIM_CORE_PROTOCOL + 2;
  } else if (sender->speaks_max > SIM_CORE_PROTOCOL &&
             receiver->speaks_min <= SIM_CORE_PROTOCOL) {
    range[1] = sender->speaks_max;
  }
}

bool
sim_send(struct sim *sim, unsigned from, unsigned to,
         enum sim_message_kind kind, const uint8_t *header,
         const uint8_t *bytes, size_t size)
{
  const struct sim_options *const options = &sim->options;
  const bool data = kind == SIM_HELLO || kind == SIM_PACKET;
  if (data && sim_percent(sim, options->busy_percent)) {
    return false;
  }
  if (data) {
    sim->total.messages++;
    sim->total.bytes += size;
  }
  if (is_lost(sim, from, to, data)) {
    return true;
  }
  struct sim_message *const message = message_new(sim, from, kind, size);
  message->connection = sim_link_of(sim, from, to)->connection;
  if (header != NULL) {
    memcpy(message->header, header, HOLT_HEADER_BYTES);
  }
  if (size > 0) {
    memcpy(message->bytes, bytes, size);
  }
  if (kind == SIM_HELLO) {
    translate(sim, to, message);
  }
  send_one(sim, to, message);
  if (data && sim_percent(sim, options->duplicate_percent)) {
    sim->total.doubled++;
    send_one(sim, to, message);
  }
  free(message);
  return true;
}
