/* SPDX-License-Identifier: Apache-2.0 */
/* What holds a replica: a mailbox, and a loop that polls after each message. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_core.h"

void
sim_touched(struct sim *sim, unsigned at)
{
  sim_memory_disarm(sim, at);
  sim_clock_look(sim, at);
  sim_log_sync(sim, at);
  sim_presence_look(sim, at);
  sim_told_take(sim, at);
  sim_check(sim, at);
  sim_twin_look(sim, at);
}

void
sim_plan_poll(struct sim *sim, unsigned at, uint64_t at_ms)
{
  sim_plan(sim, &(struct sim_event){ .at_ms = at_ms,
                                     .kind = SIM_EVENT_POLL,
                                     .node = at,
                                     .number = ++sim->nodes[at].poll_number });
}

/* Look into the mailbox.  A slow node lets what comes wait for a while, and
 * then takes it all. */
void
sim_plan_slice(struct sim *sim, unsigned at, bool waits)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->slice_planned) {
    return;
  }
  node->slice_planned = true;
  const bool slow = waits && sim->now_ms < node->slow_until_ms;
  const uint64_t after_ms = slow ? node->slow_ms : sim_below(sim, 2);
  sim_plan(sim, &(struct sim_event){ .at_ms = sim->now_ms + after_ms,
                                     .kind = SIM_EVENT_SLICE,
                                     .node = at,
                                     .number = node->incarnation });
}

/*--------------------------------------------------------------------
 * The mailbox */

void
sim_inbox_drop(struct sim_node *node)
{
  while (node->inbox != NULL) {
    struct sim_message *const message = node->inbox;
    node->inbox = message->next;
    free(message);
  }
  node->inbox_end = &node->inbox;
  if (node->open != NULL) {
    holt_message_close(node->open);
  }
  free(node->current);
  node->open = NULL;
  node->current = NULL;
}

void
sim_inbox_put(struct sim *sim, unsigned at, struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  if (!node->running) {
    sim_kernel_link(sim, at, message);
    free(message);
    return;
  }
  message->next = NULL;
  *node->inbox_end = message;
  node->inbox_end = &message->next;
  sim_plan_slice(sim, at, true);
}

static struct sim_message *
inbox_take(struct sim_node *node)
{
  struct sim_message *const message = node->inbox;
  node->inbox = message->next;
  if (node->inbox == NULL) {
    node->inbox_end = &node->inbox;
  }
  return message;
}

static void
on_link_up(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  sim_kernel_link(sim, at, message);
  if (!node->linked[message->from]) {
    return;
  }
  const struct holt_time now = sim_time(sim, at);
  sim_trace(sim, "n%u sees n%u up", at, message->from);
  sim_clock_new_session(sim, at, message->from);
  if (holt_replica_peer_up(node->replica, &sim->nodes[message->from].member,
                           &now, &node->peers[message->from]) != 0) {
    sim_fail(sim, "n%u: peer up refused", at);
  }
}

static void
on_link_down(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  const bool was_linked = node->linked[message->from];
  sim_kernel_link(sim, at, message);
  if (!was_linked || node->linked[message->from]) {
    return;
  }
  const struct holt_time now = sim_time(sim, at);
  sim_trace(sim, "n%u sees n%u down", at, message->from);
  sim_clock_new_session(sim, at, message->from);
  holt_replica_peer_down(node->replica, node->peers[message->from],
                         HOLT_DOWN_LINK, &now);
}

static void
replica_down(struct sim *sim, unsigned at, unsigned from)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_time now = sim_time(sim, at);
  sim_trace(sim, "n%u sees n%u's process down", at, from);
  sim_clock_lost(sim, at, from);
  holt_replica_peer_down(node->replica, node->peers[from], HOLT_DOWN_REPLICA,
                         &now);
}

/* A host watches the process that has greeted it last, and no other. */
static void
on_process_down(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  const unsigned from = message->from;
  if (node->alive_incarnation[from] <= message->incarnation) {
    node->alive_incarnation[from] = message->incarnation + 1;
  }
  if (node->linked[from] &&
      node->peer_incarnation[from] == message->incarnation) {
    replica_down(sim, at, from);
  }
}

static bool
accepts(const struct sim *sim, unsigned at, const struct sim_message *message)
{
  const struct sim_node *const node = &sim->nodes[at];
  return node->linked[message->from] &&
         (!sim->options.faithful ||
          node->linked_connection[message->from] == message->connection);
}

/* The answer to a hello is one of those that it may get. */
static void
check_hello(struct sim *sim, unsigned at, unsigned from, int rv)
{
  const bool talk = sim_can_talk(sim, at, from);
  if (rv == HOLT_ERR_NOMEM) {
    return;
  }
  if (talk ? rv == HOLT_ERR_VERSION : rv != HOLT_ERR_VERSION) {
    sim_fail(sim, "n%u %s n%u, a stranger's hello: %s", at,
             talk ? "refuses" : "takes", from, holt_error_name(rv));
  } else if (rv == HOLT_ERR_STALE && sim->options.faithful) {
    sim_fail(sim, "n%u refuses a hello as stale", at);
  } else if (rv != 0 && rv != HOLT_ERR_STALE && rv != HOLT_ERR_VERSION) {
    sim_fail(sim, "n%u refuses a hello: %s", at, holt_error_name(rv));
  }
}

static void
on_hello(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_time now = sim_time(sim, at);
  uint32_t peer;
  sim_memory_arm(sim, at);
  const int rv =
    holt_replica_hello(node->replica, &sim->nodes[message->from].member,
                       message->bytes, message->size, &now, &peer);
  sim_memory_disarm(sim, at);
  sim_trace(sim, "n%u <- n%u hello: %s", at, message->from,
            rv == 0 ? "ok" : holt_error_name(rv));
  if (rv == 0) {
    sim_clock_hello(sim, at, message);
    node->peers[message->from] = peer;
    node->peer_incarnation[message->from] = message->incarnation;
    if (message->incarnation < node->alive_incarnation[message->from]) {
      replica_down(sim, at, message->from); /* It had died meanwhile. */
    }
  }
  check_hello(sim, at, message->from, rv);
}

/* Take a message up; its slices follow. */
static void
on_packet(struct sim *sim, unsigned at, struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  sim_memory_arm(sim, at);
  const int rv =
    holt_message_open(&node->open, &node->heap.mem, message->header,
                      HOLT_HEADER_BYTES, message->bytes, message->size);
  sim_memory_disarm(sim, at);
  if (rv != 0) {
    sim_core_refused(node->replica, message->header, rv);
    sim_trace(sim, "n%u <- n%u not opened: %s", at, message->from,
              holt_error_name(rv));
    if (rv != HOLT_ERR_NOMEM) {
      sim_fail(sim, "n%u cannot read what n%u wrote", at, message->from);
    }
    free(message);
    return;
  }
  node->current = message;
}

static void
take_up(struct sim *sim, unsigned at, struct sim_message *message)
{
  switch (message->kind) {
  case SIM_LINK_UP:
    on_link_up(sim, at, message);
    break;
  case SIM_LINK_DOWN:
    on_link_down(sim, at, message);
    break;
  case SIM_PROCESS_DOWN:
    on_process_down(sim, at, message);
    break;
  case SIM_VERDICT:
    sim_verdict_take(sim, at, message);
    break;
  case SIM_HELLO:
    if (accepts(sim, at, message)) {
      on_hello(sim, at, message);
    }
    break;
  case SIM_PACKET:
    if (accepts(sim, at, message)) {
      on_packet(sim, at, message);
      return; /* Freed with its last slice. */
    }
    break;
  }
  free(message);
}

static void
trace_applied(struct sim *sim, unsigned at, int rv)
{
  const struct sim_node *const node = &sim->nodes[at];
  char text[80];
  sim_core_describe(node->open, text, sizeof text);
  sim_trace(sim, "n%u <- n%u %s: %s", at, node->current->from, text,
            rv == 0           ? "done"
            : rv == HOLT_MORE ? "more"
                              : holt_error_name(rv));
}

/* What a message does besides what it brings. */
static void
on_applied(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  sim_presence_taken(sim, at, node->current);
  if (node->open->kind == HOLT_PACKET_VECTOR) {
    sim_clock_heard(sim, at, node->current);
  } else if (node->open->kind == HOLT_PACKET_GOODBYE) {
    sim_goodbye_heard(sim, at, node->current);
  }
}

/* In the middle of a message, best where only its end is missing. */
static bool
breaks(struct sim *sim, unsigned at)
{
  const struct sim_node *const node = &sim->nodes[at];
  return node->fragile &&
         (sim_core_at_end(node->replica, node->open) || sim_percent(sim, 10));
}

static void
apply_slice(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_time now = sim_time(sim, at);
  sim_memory_arm(sim, at);
  const int rv =
    holt_replica_apply(node->replica, node->open, &now,
                       1 + sim_below(sim, sim->options.budget_max));
  sim_memory_disarm(sim, at);
  if (sim->tracing) {
    trace_applied(sim, at, rv);
  }
  if (rv == HOLT_MORE) {
    if (breaks(sim, at)) {
      node->fragile = false;
      (void)sim_process_crash(sim, at);
    }
    return;
  }
  if (rv == 0) {
    on_applied(sim, at);
  }
  if (rv != 0 && rv != HOLT_ERR_STALE && rv != HOLT_ERR_NOMEM &&
      !(rv == HOLT_ERR_MALFORMED && (sim->hostile || !sim->options.faithful))) {
    sim_fail(sim, "n%u refuses what n%u sent: %s", at, node->current->from,
             holt_error_name(rv));
  }
  holt_message_close(node->open);
  free(node->current);
  node->open = NULL;
  node->current = NULL;
}

void
sim_slice(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || !node->running) {
    return;
  }
  node->slice_planned = false;
  /* News of links may overtake the slices of a message. */
  const bool overtakes = node->current != NULL && node->inbox != NULL &&
                         node->inbox->kind != SIM_PACKET &&
                         sim_percent(sim, 50);
  if (node->inbox != NULL && (node->current == NULL || overtakes)) {
    take_up(sim, at, inbox_take(node));
  }
  if (node->current != NULL && !overtakes) {
    apply_slice(sim, at);
  }
  sim_touched(sim, at);
  if (!node->running) {
    return;
  }
  sim_plan_poll(sim, at, sim->now_ms);
  if (node->current != NULL || node->inbox != NULL) {
    sim_plan_slice(sim, at, false);
  }
}

/*--------------------------------------------------------------------
 * Effects */

static unsigned
node_of_peer(struct sim *sim, unsigned at, uint32_t peer)
{
  const unsigned to = sim_node_of_peer(sim, at, peer);
  if (to == SIM_NODES_MAX) {
    sim_fail(sim, "n%u sends to a peer that nobody knows", at);
    return at;
  }
  return to;
}

static void
carry_out(struct sim *sim, unsigned at, const struct holt_effect *effect)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_time now = sim_time(sim, at);
  const bool hello = effect->type == HOLT_EFFECT_HELLO;
  for (size_t i = 0; i < effect->target_count && !sim->failed; i++) {
    const unsigned to = node_of_peer(sim, at, effect->targets[i].peer);
    sim_trace(sim, "n%u -> n%u %s, %zu bytes", at, to,
              hello ? "hello" : sim_core_kind(effect->bytes[0]), effect->size);
    if (!sim_send(sim, at, to, hello ? SIM_HELLO : SIM_PACKET,
                  hello ? NULL : effect->targets[i].header, effect->bytes,
                  effect->size)) {
      sim_trace(sim, "n%u -> n%u busy", at, to);
      holt_replica_peer_busy(node->replica, effect->targets[i].peer, &now);
    } else if (!hello) {
      sim_presence_sent(sim, at, to, effect->bytes, effect->size);
    }
  }
}

/* When nothing is left to do everybody has been told. */
static void
check_all_told(struct sim *sim, unsigned at)
{
  const struct sim_log *const log = sim->nodes[at].log;
  if (log->untold_count == 0) {
    return;
  }
  for (uint64_t seq = 1; seq <= log->version; seq++) {
    if (log->entries[seq].untold) {
      sim_fail(sim, "n%u: the row %" PRIu64 " ended and nobody was told", at,
               seq);
    }
  }
}

void
sim_poll(struct sim *sim, unsigned at, uint64_t number)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || !node->running || number != node->poll_number) {
    return;
  }
  const struct holt_time now = sim_time(sim, at);
  struct holt_effect effect;
  sim_memory_arm(sim, at);
  holt_replica_poll(node->replica, &now, &effect);
  sim_memory_disarm(sim, at);
  sim_log_sync(sim, at);
  switch (effect.type) {
  case HOLT_EFFECT_HELLO:
  case HOLT_EFFECT_SEND:
    carry_out(sim, at, &effect);
    break;
  case HOLT_EFFECT_CONFLICT:
    sim_check_conflict(sim, at, &effect);
    break;
  case HOLT_EFFECT_CONTEST:
    sim_contest(sim, at, &effect);
    break;
  case HOLT_EFFECT_NONE:
    check_all_told(sim, at);
    break;
  }
  sim_touched(sim, at);
  if (effect.type == HOLT_EFFECT_NONE && !sim->failed) {
    sim_presence_quiet(sim, at);
  }
  if (effect.type == HOLT_EFFECT_NONE && node->stopping &&
      sim_stop_done(node, effect.timeout_ms)) {
    (void)sim_instance_restart(sim, at);
    return;
  }
  uint64_t after_ms = effect.type == HOLT_EFFECT_NONE ? effect.timeout_ms : 0;
  if (effect.type == HOLT_EFFECT_NONE && after_ms == 0 &&
      (sim->options.nomem_permille > 0 || sim_memory_is_short(sim, at))) {
    after_ms = 1; /* Without memory it may ask for the same again. */
  }
  sim_plan_poll(sim, at, sim->now_ms + after_ms);
}
