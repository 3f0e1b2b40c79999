/* SPDX-License-Identifier: Apache-2.0 */
/* What holds a replica: a mailbox, and a loop that polls after each message. */
#include "sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "invariant.h"

struct holt_time
sim_time(const struct sim *sim, unsigned at)
{
  const struct sim_node *const node = &sim->nodes[at];
  return (struct holt_time){ .mono_ms = sim->now_ms + node->mono_base_ms,
                             .wall_ms = sim->now_ms + node->wall_base_ms };
}

/* Refuse one of the next requests for memory, now and then. */
static void
memory_arm(struct sim *sim, unsigned at)
{
  struct heap *const heap = &sim->nodes[at].heap;
  heap->fail_at = 0;
  if (prng_chance(&sim->prng, sim->options.nomem_permille, 1000)) {
    heap->fail_at = heap->requests + 1 + sim_below(sim, 4);
  }
}

static void
memory_disarm(struct sim *sim, unsigned at)
{
  sim->nodes[at].heap.fail_at = 0;
}

/* After every call of the replica. */
static void
touched(struct sim *sim, unsigned at)
{
  memory_disarm(sim, at);
  sim_log_sync(sim, at);
  sim_check(sim, at);
}

static void
plan_poll(struct sim *sim, unsigned at, uint64_t at_ms)
{
  sim_plan(sim, at_ms, SIM_EVENT_POLL, at, ++sim->nodes[at].poll_number, NULL);
}

static void
plan_slice(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (!node->slice_planned) {
    node->slice_planned = true;
    sim_plan(sim, sim->now_ms + sim_below(sim, 2), SIM_EVENT_SLICE, at,
             node->incarnation, NULL);
  }
}

/*--------------------------------------------------------------------
 * Coming and going */

static void
replica_new(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  heap_init(&node->heap);
  struct holt_config config = { .mem = &node->heap.mem,
                                .member = node->member,
                                .actor = prng_next(&sim->prng) | 1,
                                .creation = node->creation,
                                .hash_seed = { prng_next(&sim->prng),
                                               prng_next(&sim->prng) },
                                .entropy = prng_next(&sim->prng),
                                .policy = 7,
                                .tuning = sim->options.tuning };
  const struct holt_time now = sim_time(sim, at);
  if (holt_replica_new(&node->replica, &config, &now) != 0) {
    abort();
  }
  node->log = sim_log_new(sim, config.actor, at, node->creation);
  for (unsigned i = 0; i < SIM_PROCESSES; i++) {
    node->processes[i].known = false;
  }
}

static void
inbox_drop(struct sim_node *node)
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

static void
replica_delete(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  inbox_drop(node);
  while (!holt_replica_drain(node->replica, 1 + sim_below(sim, 20))) {
  }
  holt_replica_delete(node->replica);
  node->replica = NULL;
  if (!heap_is_clean(&node->heap)) {
    sim_fail(sim, "n%u leaves %zu blocks behind", at, node->heap.blocks_count);
  }
  heap_deinit(&node->heap);
  memset(node->peers, 0, sizeof node->peers);
  memset(node->shown, 0, sizeof node->shown);
}

void
sim_node_start(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica != NULL) {
    return;
  }
  node->creation++;
  node->mono_base_ms = sim_percent(sim, 30) ? 0 : sim_below(sim, 100000000);
  node->wall_base_ms = UINT64_C(1700000000000) + sim_below(sim, 6000);
  node->next_process = 1;
  for (unsigned i = 0; i < SIM_PROCESSES; i++) {
    node->processes[i] = (struct sim_process){ .id = node->next_process++ };
  }
  memset(node->alive_incarnation, 0, sizeof node->alive_incarnation);
  node->inbox_end = &node->inbox;
  replica_new(sim, at);
  sim_trace(sim, "n%u starts as %" PRIx64, at, node->log->actor >> 48);
  sim_process_start(sim, at);
}

void
sim_node_kill(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  sim_trace(sim, "n%u is killed", at);
  replica_delete(sim, at);
  node->running = false;
  node->incarnation++;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    node->linked[i] = false;
    if (i != at) {
      sim_link_cut(sim, at, i);
    }
  }
}

static void
process_gone(struct sim *sim, unsigned at)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (i != at) {
      (void)sim_send(sim, at, i, SIM_PROCESS_DOWN, NULL, NULL, 0);
    }
  }
}

static void
process_restart(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  node->running = false;
  node->incarnation++;
  uint64_t after_ms = sim_below(sim, 200);
  if (sim_percent(sim, 20)) {
    after_ms += sim->options.tuning.replica_restart_ms;
  }
  sim_plan(sim, sim->now_ms + after_ms, SIM_EVENT_START_PROCESS, at,
           node->incarnation, NULL);
}

/* What the node, not the process, does with news of its links. */
static void
kernel_link(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  const unsigned from = message->from;
  const struct sim_link *const link =
    at < from ? &sim->links[at][from] : &sim->links[from][at];
  if (message->kind == SIM_LINK_UP && !link->cut &&
      message->connection == link->connection) {
    node->linked[from] = true;
    node->linked_connection[from] = message->connection;
  } else if (message->kind == SIM_LINK_DOWN &&
             message->connection == node->linked_connection[from]) {
    node->linked[from] = false;
  }
}

void
sim_process_crash(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || !node->running) {
    return;
  }
  sim_trace(sim, "n%u process crashes", at);
  for (const struct sim_message *message = node->inbox; message != NULL;
       message = message->next) {
    kernel_link(sim, at, message);
  }
  inbox_drop(node);
  process_gone(sim, at);
  process_restart(sim, at);
}

void
sim_instance_restart(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || !node->running) {
    return;
  }
  for (const struct sim_message *message = node->inbox; message != NULL;
       message = message->next) {
    kernel_link(sim, at, message);
  }
  replica_delete(sim, at);
  process_gone(sim, at);
  replica_new(sim, at);
  sim_trace(sim, "n%u instance starts again as %" PRIx64, at,
            node->log->actor >> 48);
  process_restart(sim, at);
}

void
sim_process_start(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || node->running) {
    return;
  }
  node->running = true;
  node->slice_planned = false;
  const struct holt_time now = sim_time(sim, at);
  sim_trace(sim, "n%u process starts", at);
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    node->peer_incarnation[i] = UINT64_MAX; /* It watches nobody yet. */
    if (node->linked[i]) {
      if (holt_replica_peer_up(node->replica, &sim->nodes[i].member, &now,
                               &node->peers[i]) != 0) {
        abort(); /* Memory is granted here. */
      }
    } else if (node->peers[i] != 0) {
      holt_replica_peer_down(node->replica, node->peers[i], HOLT_DOWN_LINK,
                             &now);
    }
  }
  touched(sim, at);
  plan_poll(sim, at, sim->now_ms);
}

/*--------------------------------------------------------------------
 * The mailbox */

void
sim_inbox_put(struct sim *sim, unsigned at, struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  if (!node->running) {
    kernel_link(sim, at, message);
    free(message);
    return;
  }
  message->next = NULL;
  *node->inbox_end = message;
  node->inbox_end = &message->next;
  plan_slice(sim, at);
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
  kernel_link(sim, at, message);
  if (!node->linked[message->from]) {
    return;
  }
  const struct holt_time now = sim_time(sim, at);
  sim_trace(sim, "n%u sees n%u up", at, message->from);
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
  kernel_link(sim, at, message);
  if (!was_linked || node->linked[message->from]) {
    return;
  }
  const struct holt_time now = sim_time(sim, at);
  sim_trace(sim, "n%u sees n%u down", at, message->from);
  holt_replica_peer_down(node->replica, node->peers[message->from],
                         HOLT_DOWN_LINK, &now);
}

static void
replica_down(struct sim *sim, unsigned at, unsigned from)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_time now = sim_time(sim, at);
  sim_trace(sim, "n%u sees n%u's process down", at, from);
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

static void
on_hello(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_time now = sim_time(sim, at);
  uint32_t peer;
  memory_arm(sim, at);
  const int rv =
    holt_replica_hello(node->replica, &sim->nodes[message->from].member,
                       message->bytes, message->size, &now, &peer);
  sim_trace(sim, "n%u <- n%u hello: %s", at, message->from,
            rv == 0 ? "ok" : holt_error_name(rv));
  if (rv == 0) {
    node->peers[message->from] = peer;
    node->peer_incarnation[message->from] = message->incarnation;
    if (message->incarnation < node->alive_incarnation[message->from]) {
      replica_down(sim, at, message->from); /* It had died meanwhile. */
    }
  } else if (rv != HOLT_ERR_NOMEM && rv != HOLT_ERR_STALE) {
    sim_fail(sim, "n%u refuses a hello: %s", at, holt_error_name(rv));
  } else if (rv == HOLT_ERR_STALE && sim->options.faithful) {
    sim_fail(sim, "n%u refuses a hello as stale", at);
  }
}

/* Take a message up; its slices follow. */
static void
on_packet(struct sim *sim, unsigned at, struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  memory_arm(sim, at);
  const int rv = holt_message_open(
    &node->open, &node->heap.mem, &sim->options.tuning, message->header,
    HOLT_HEADER_BYTES, message->bytes, message->size);
  memory_disarm(sim, at);
  if (rv != 0) {
    holt_replica_refused(node->replica, rv);
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

static const char *
kind_name(enum holt_packet_kind kind)
{
  return kind == HOLT_PACKET_DELTA ? "delta"
         : kind == HOLT_PACKET_ACK ? "ack"
                                   : "vector";
}

static void
trace_applied(struct sim *sim, unsigned at, int rv)
{
  const struct sim_node *const node = &sim->nodes[at];
  const struct holt_message *const open = node->open;
  const char *const result = rv == 0           ? "done"
                             : rv == HOLT_MORE ? "more"
                                               : holt_error_name(rv);
  if (open->kind == HOLT_PACKET_DELTA) {
    sim_trace(sim, "n%u <- n%u delta %" PRIu64 "..%" PRIu64 "%s: %s", at,
              node->current->from, open->after, open->to,
              open->clean ? " clean" : "", result);
  } else if (open->kind == HOLT_PACKET_ACK) {
    sim_trace(sim, "n%u <- n%u ack %" PRIu64 "%s: %s", at, node->current->from,
              open->ack.cursor, open->ack.gap ? " gap" : "", result);
  } else {
    sim_trace(sim, "n%u <- n%u %s: %s", at, node->current->from,
              kind_name(open->kind), result);
  }
}

static void
apply_slice(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_time now = sim_time(sim, at);
  memory_arm(sim, at);
  const int rv =
    holt_replica_apply(node->replica, node->open, &now,
                       1 + sim_below(sim, sim->options.budget_max));
  memory_disarm(sim, at);
  trace_applied(sim, at, rv);
  if (rv == HOLT_MORE) {
    return;
  }
  if (rv != 0 && rv != HOLT_ERR_STALE && rv != HOLT_ERR_NOMEM &&
      !(rv == HOLT_ERR_MALFORMED && !sim->options.faithful)) {
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
  touched(sim, at);
  plan_poll(sim, at, sim->now_ms);
  if (node->current != NULL || node->inbox != NULL) {
    plan_slice(sim, at);
  }
}

/*--------------------------------------------------------------------
 * Effects */

static unsigned
node_of_peer(struct sim *sim, unsigned at, uint32_t peer)
{
  const struct sim_node *const node = &sim->nodes[at];
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (node->peers[i] == peer) {
      return i;
    }
  }
  sim_fail(sim, "n%u sends to a peer that nobody knows", at);
  return at;
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
              hello ? "hello" : kind_name(effect->bytes[0]), effect->size);
    if (!sim_send(sim, at, to, hello ? SIM_HELLO : SIM_PACKET,
                  hello ? NULL : effect->targets[i].header, effect->bytes,
                  effect->size)) {
      sim_trace(sim, "n%u -> n%u busy", at, to);
      holt_replica_peer_busy(node->replica, effect->targets[i].peer, &now);
    }
  }
}

static void
on_conflict(struct sim *sim, unsigned at, const struct holt_effect *effect)
{
  struct sim_log *const log = sim->nodes[at].log;
  const struct holt_view *const loser = &effect->loser;
  if (!loser->local || loser->actor != log->actor || loser->seq == 0 ||
      loser->seq > log->version) {
    sim_fail(sim, "n%u: a conflict about a row that never was", at);
    return;
  }
  struct sim_entry *const entry = &log->entries[loser->seq];
  const uint64_t host =
    (uint64_t)entry->owner_serial << 32 | entry->owner_id | UINT64_C(1) << 63;
  if (!entry->untold || entry->birth != loser->birth || loser->host != host ||
      loser->key_size != sim->key_sizes[entry->key] ||
      memcmp(loser->key, sim->keys[entry->key], loser->key_size) != 0 ||
      loser->value_size != entry->value_size ||
      (entry->value_size > 0 &&
       memcmp(loser->value, entry->value, entry->value_size) != 0)) {
    sim_fail(sim, "n%u: a conflict that is not what happened", at);
  }
  if (sim_log_find(sim, effect->winner.actor) == NULL ||
      effect->winner.actor == log->actor) {
    sim_fail(sim, "n%u: a conflict won by nobody", at);
  }
  entry->untold = false;
  entry->told = true;
  sim->conflicts++;
  sim_trace(sim, "n%u conflict: key %u, birth %" PRIu64 " has lost", at,
            entry->key, entry->birth);
}

static void
check_all_told(struct sim *sim, unsigned at)
{
  const struct sim_log *const log = sim->nodes[at].log;
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
  memory_arm(sim, at);
  holt_replica_poll(node->replica, &now, &effect);
  memory_disarm(sim, at);
  sim_log_sync(sim, at);
  switch (effect.type) {
  case HOLT_EFFECT_HELLO:
  case HOLT_EFFECT_SEND:
    carry_out(sim, at, &effect);
    break;
  case HOLT_EFFECT_CONFLICT:
    on_conflict(sim, at, &effect);
    break;
  case HOLT_EFFECT_NONE:
    check_all_told(sim, at);
    break;
  }
  touched(sim, at);
  uint64_t after_ms = effect.type == HOLT_EFFECT_NONE ? effect.timeout_ms : 0;
  if (effect.type == HOLT_EFFECT_NONE && after_ms == 0 &&
      sim->options.nomem_permille > 0) {
    after_ms = 1; /* Without memory it may ask for the same again. */
  }
  plan_poll(sim, at, sim->now_ms + after_ms);
}

/*--------------------------------------------------------------------
 * What local processes do */

static void
wake(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (holt_replica_wake(node->replica)) {
    plan_poll(sim, at, sim->now_ms);
    if (holt_replica_wake(node->replica)) {
      sim_fail(sim, "n%u wakes twice", at);
    }
  }
  touched(sim, at);
}

static uint8_t *
value_new(struct sim *sim, size_t *size)
{
  *size = 0;
  if (sim->options.value_bytes_max < 8 || sim_percent(sim, 30)) {
    return NULL;
  }
  const size_t text = sim_below(sim, sim->options.value_bytes_max - 6);
  uint8_t *const value = malloc(6 + text);
  if (value == NULL) {
    abort();
  }
  value[0] = 131; /* A binary in external format. */
  value[1] = 109;
  value[2] = 0;
  value[3] = 0;
  value[4] = (uint8_t)(text >> 8);
  value[5] = (uint8_t)text;
  prng_fill(&sim->prng, value + 6, text);
  *size = 6 + text;
  return value;
}

static int
process_know(struct sim *sim, unsigned at, struct sim_process *process)
{
  struct sim_node *const node = &sim->nodes[at];
  if (process->known) {
    return 0;
  }
  const uint64_t host =
    (uint64_t)process->serial << 32 | process->id | UINT64_C(1) << 63;
  memory_arm(sim, at);
  const int rv =
    holt_replica_owner_add(node->replica, process->id, process->serial, host);
  memory_disarm(sim, at);
  process->known = rv == 0;
  return rv;
}

int
sim_register(struct sim *sim, unsigned at, unsigned who, unsigned key)
{
  struct sim_node *const node = &sim->nodes[at];
  struct sim_process *const process = &node->processes[who];
  int rv = process_know(sim, at, process);
  if (rv != 0) {
    return rv;
  }
  const struct holt_time now = sim_time(sim, at);
  struct holt_view view;
  const bool taken = holt_replica_find(node->replica, sim->keys[key],
                                       sim->key_sizes[key], &view);
  size_t value_size;
  uint8_t *const value = value_new(sim, &value_size);
  memory_arm(sim, at);
  rv = holt_replica_register(node->replica, &now, sim->keys[key],
                             sim->key_sizes[key], value, value_size,
                             process->id, process->serial);
  memory_disarm(sim, at);
  sim_trace(sim, "n%u register key %u by %u: %s", at, key, process->id,
            rv == 0 ? "ok" : holt_error_name(rv));
  if (rv == 0) {
    const uint64_t seq = node->log->version + 1;
    struct sim_entry *const entry = sim_log_put(node->log, seq);
    *entry = (struct sim_entry){ .birth = seq,
                                 .end = UINT64_MAX,
                                 .key = key,
                                 .owner_id = process->id,
                                 .owner_serial = process->serial,
                                 .value = value,
                                 .value_size = value_size };
  } else {
    free(value);
  }
  if (rv != HOLT_ERR_NOMEM && rv != (taken ? HOLT_ERR_EXISTS : 0)) {
    sim_fail(sim, "n%u: register says %s", at, holt_error_name(rv));
  }
  wake(sim, at);
  return rv;
}

int
sim_unregister(struct sim *sim, unsigned at, unsigned key)
{
  struct sim_node *const node = &sim->nodes[at];
  struct holt_view view;
  const bool ours = holt_replica_find(node->replica, sim->keys[key],
                                      sim->key_sizes[key], &view) &&
                    view.local;
  uint64_t seq = 0;
  if (ours) {
    node->log->entries[view.seq].end = node->log->version + 1;
  }
  const int rv = holt_replica_unregister(node->replica, sim->keys[key],
                                         sim->key_sizes[key], &seq);
  sim_trace(sim, "n%u unregister key %u: %s", at, key,
            rv == 0 ? "ok" : holt_error_name(rv));
  if (rv != (ours ? 0 : HOLT_ERR_NOT_FOUND) ||
      (ours && seq != node->log->version + 1)) {
    sim_fail(sim, "n%u: unregister says %s", at, holt_error_name(rv));
  }
  wake(sim, at);
  return rv;
}

int
sim_update(struct sim *sim, unsigned at, unsigned key)
{
  struct sim_node *const node = &sim->nodes[at];
  struct holt_view view;
  const bool ours = holt_replica_find(node->replica, sim->keys[key],
                                      sim->key_sizes[key], &view) &&
                    view.local;
  const bool stale = ours && sim_percent(sim, 10);
  const struct holt_time now = sim_time(sim, at);
  const uint64_t seq = ours ? view.seq : 1;
  size_t value_size;
  uint8_t *const value = value_new(sim, &value_size);
  memory_arm(sim, at);
  const int rv = holt_replica_update(node->replica, &now, sim->keys[key],
                                     sim->key_sizes[key], stale ? seq + 1 : seq,
                                     value, value_size);
  memory_disarm(sim, at);
  sim_trace(sim, "n%u update key %u: %s", at, key,
            rv == 0 ? "ok" : holt_error_name(rv));
  if (rv == 0) {
    const uint64_t next = node->log->version + 1;
    struct sim_entry *const entry = sim_log_put(node->log, next);
    *entry = node->log->entries[seq];
    node->log->entries[seq].end = next;
    entry->value = value;
    entry->value_size = value_size;
    entry->fingerprinted = false;
  } else {
    free(value);
  }
  const int expected = !ours ? HOLT_ERR_NOT_FOUND : stale ? HOLT_ERR_STALE : 0;
  if (rv != expected && !(rv == HOLT_ERR_NOMEM && expected == 0)) {
    sim_fail(sim, "n%u: update says %s", at, holt_error_name(rv));
  }
  wake(sim, at);
  return rv;
}

void
sim_process_kill(struct sim *sim, unsigned at, unsigned who)
{
  struct sim_node *const node = &sim->nodes[at];
  struct sim_process *const process = &node->processes[who];
  sim_trace(sim, "n%u process %u ends", at, process->id);
  const struct sim_process dead = *process;
  *process = (struct sim_process){ .id = node->next_process++ };
  if (dead.known) {
    holt_replica_owner_dead(node->replica, dead.id, dead.serial);
    wake(sim, at);
  }
}

int
sim_holder(struct sim *sim, unsigned at, unsigned key)
{
  const struct sim_node *const node = &sim->nodes[at];
  struct holt_view view;
  if (!holt_replica_find(node->replica, sim->keys[key], sim->key_sizes[key],
                         &view)) {
    return -1;
  }
  const struct sim_log *const log = sim_log_find(sim, view.actor);
  return log == NULL ? -1 : (int)log->node;
}

void
sim_trim_deaths(struct sim *sim, unsigned at)
{
  struct holt_deaths *const deaths = &sim->nodes[at].replica->deaths;
  size_t count = sim_below(sim, deaths->count + 1);
  sim_trace(sim, "n%u forgets %zu deaths", at, count);
  for (; count > 0; count--) {
    deaths->base = holt_deaths_get(deaths, 0)->at;
    deaths->start = (deaths->start + 1) & (deaths->capacity - 1);
    deaths->count--;
  }
}
