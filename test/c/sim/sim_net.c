/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct sim_link *
sim_link_of(struct sim *sim, unsigned left, unsigned right)
{
  return left < right ? &sim->links[left][right] : &sim->links[right][left];
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
  return message;
}

bool
sim_link_is_up(const struct sim *sim, unsigned left, unsigned right)
{
  return sim->nodes[left].linked[right] && sim->nodes[right].linked[left];
}

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
  sim_plan(sim, at_ms, SIM_EVENT_DELIVER, to, 0, message);
}

void
sim_link_heal(struct sim *sim, unsigned left, unsigned right)
{
  struct sim_link *const link = sim_link_of(sim, left, right);
  /* A connection begins when both have seen the end of the one before. */
  if (!link->cut || sim->nodes[left].linked[right] ||
      sim->nodes[right].linked[left] || sim->nodes[left].replica == NULL ||
      sim->nodes[right].replica == NULL) {
    return;
  }
  link->cut = false;
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
}

void
sim_link_cut(struct sim *sim, unsigned left, unsigned right)
{
  struct sim_link *const link = sim_link_of(sim, left, right);
  if (link->cut) {
    return;
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
}

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
  sim_plan(sim, at_ms, SIM_EVENT_DELIVER, to, 0, message);
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
    sim->messages++;
    sim->bytes += size;
  }
  if (sim_link_of(sim, from, to)->cut) {
    return true; /* The sender does not know it yet. */
  }
  if (data && sim_percent(sim, options->loss_percent)) {
    sim_trace(sim, "n%u -> n%u lost", from, to);
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
  send_one(sim, to, message);
  if (data && sim_percent(sim, options->duplicate_percent)) {
    send_one(sim, to, message);
  }
  free(message);
  return true;
}

void
sim_deliver(struct sim *sim, unsigned to, struct sim_message *message)
{
  const struct sim_node *const node = &sim->nodes[to];
  if (node->replica == NULL) {
    free(message);
    return;
  }
  sim_inbox_put(sim, to, message);
}
