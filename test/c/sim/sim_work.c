/* SPDX-License-Identifier: Apache-2.0 */
/* What local processes do.  Choices are drawn from the seed of the step. */
#include <inttypes.h>
#include <stdlib.h>

#include "sim_core.h"

static void
wake(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (holt_replica_wake(node->replica)) {
    sim_plan_poll(sim, at, sim->now_ms);
    if (holt_replica_wake(node->replica)) {
      sim_fail(sim, "n%u wakes twice", at);
    }
  }
  sim_touched(sim, at);
}

static uint8_t *
value_new(struct sim *sim, size_t *size)
{
  *size = 0;
  if (sim->options.value_bytes_max < 8 || prng_chance(&sim->choice, 30, 100)) {
    return NULL;
  }
  const size_t text =
    prng_below(&sim->choice, sim->options.value_bytes_max - 6);
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
  prng_fill(&sim->choice, value + 6, text);
  *size = 6 + text;
  return value;
}

static bool
find(const struct sim *sim, unsigned at, unsigned key, struct holt_view *view)
{
  return holt_replica_find(sim->nodes[at].replica, sim->keys[key].bytes,
                           sim->keys[key].size, view);
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
  sim_memory_arm(sim, at);
  const int rv =
    holt_replica_owner_add(node->replica, process->id, process->serial, host);
  sim_memory_disarm(sim, at);
  process->known = rv == 0;
  return rv;
}

/* Register, and write it into the log. */
static int
register_one(struct sim *sim, unsigned at, const struct sim_process *process,
             unsigned key)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_time now = sim_time(sim, at);
  struct holt_view view;
  const bool taken = find(sim, at, key, &view);
  size_t value_size;
  uint8_t *const value = value_new(sim, &value_size);
  const struct holt_row_spec spec = { .key = sim->keys[key].bytes,
                                      .key_size = sim->keys[key].size,
                                      .value = value,
                                      .value_size = value_size,
                                      .owner_id = process->id,
                                      .owner_serial = process->serial };
  uint64_t seq;
  sim_memory_arm(sim, at);
  const int rv = sim_core_register(node->replica, &now, &spec, &seq);
  sim_memory_disarm(sim, at);
  if (rv != 0) {
    free(value);
  } else if (!find(sim, at, key, &view) || view.birth != seq) {
    free(value);
    sim_fail(sim, "n%u does not find what it has registered", at);
  } else {
    const struct holt_row_spec rank = sim_core_rank(&view);
    sim_log_open(node->log, seq,
                 &(struct sim_entry){ .birth = seq,
                                      .flags = sim_core_flags(&rank),
                                      .stamp = view.stamp,
                                      .key = key,
                                      .owner_id = process->id,
                                      .owner_serial = process->serial,
                                      .value = value,
                                      .value_size = value_size });
    if (SIM_CORE_STAMPS_RISE && view.stamp <= node->log->stamp) {
      sim_fail(sim, "n%u stamps what is new as older", at);
    }
    node->log->stamp = view.stamp;
    sim->total.names++;
  }
  if (rv != HOLT_ERR_NOMEM && rv != (taken ? HOLT_ERR_EXISTS : 0)) {
    sim_fail(sim, "n%u: register says %s", at, holt_error_name(rv));
  }
  sim_log_sync(sim, at);
  return rv;
}

int
sim_register(struct sim *sim, unsigned at, unsigned who, unsigned key)
{
  struct sim_process *const process = &sim->nodes[at].processes[who];
  int rv = process_know(sim, at, process);
  if (rv == 0) {
    rv = register_one(sim, at, process, key);
    sim_trace(sim, "n%u register key %u by %u: %s", at, key, process->id,
              rv == 0 ? "ok" : holt_error_name(rv));
    wake(sim, at);
  }
  return rv;
}

unsigned
sim_register_many(struct sim *sim, unsigned at, unsigned who, unsigned key,
                  unsigned count)
{
  struct sim_process *const process = &sim->nodes[at].processes[who];
  unsigned done = 0;
  if (process_know(sim, at, process) != 0) {
    return 0;
  }
  for (unsigned i = 0; i < count && !sim->failed; i++) {
    const unsigned one = (key + i) % sim->options.keys;
    done += register_one(sim, at, process, one) == 0 ? 1 : 0;
  }
  sim_trace(sim, "n%u registers %u of %u keys from %u by %u", at, done, count,
            key, process->id);
  wake(sim, at);
  return done;
}

int
sim_unregister(struct sim *sim, unsigned at, unsigned key)
{
  struct sim_node *const node = &sim->nodes[at];
  struct holt_view view = { .key = NULL };
  const bool ours = find(sim, at, key, &view) && view.local;
  const uint64_t next = node->log->version + 1;
  const uint64_t written = view.seq;
  uint64_t seq = 0;
  const int rv =
    sim_core_unregister(node->replica, &sim->keys[key], &view, &seq);
  sim_trace(sim, "n%u unregister key %u: %s", at, key,
            rv == 0 ? "ok" : holt_error_name(rv));
  if (rv != (ours ? 0 : HOLT_ERR_NOT_FOUND) || (ours && seq != next)) {
    sim_fail(sim, "n%u: unregister says %s", at, holt_error_name(rv));
  } else if (ours) {
    sim_log_end(node->log, written, next);
  }
  wake(sim, at);
  return rv;
}

/* What stood at `seq` has another value at `next`. */
static void
log_update(struct sim_log *log, uint64_t seq, uint64_t next, uint8_t *value,
           size_t value_size)
{
  struct sim_entry entry = log->entries[seq];
  sim_log_end(log, seq, next);
  entry.value = value;
  entry.value_size = value_size;
  sim_log_open(log, next, &entry);
}

int
sim_update(struct sim *sim, unsigned at, unsigned key)
{
  struct sim_node *const node = &sim->nodes[at];
  struct holt_view view;
  const bool ours = find(sim, at, key, &view) && view.local;
  const bool stale = ours && prng_chance(&sim->choice, 10, 100);
  const struct holt_time now = sim_time(sim, at);
  const uint64_t written = ours ? view.seq : 1;
  const uint64_t birth = ours ? view.birth : UINT32_MAX;
  uint64_t seq = stale ? written + 1 : written;
  size_t value_size;
  uint8_t *const value = value_new(sim, &value_size);
  sim_memory_arm(sim, at);
  const int rv = sim_core_update(node->replica, &now, &sim->keys[key], birth,
                                 &seq, value, value_size);
  sim_memory_disarm(sim, at);
  sim_trace(sim, "n%u update key %u: %s", at, key,
            rv == 0 ? "ok" : holt_error_name(rv));
  if (rv == 0 && ours && seq == node->log->version + 1) {
    log_update(node->log, written, seq, value, value_size);
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

bool
sim_process_exit(struct sim *sim, unsigned at, unsigned who)
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
  return dead.known;
}

int
sim_holder(struct sim *sim, unsigned at, unsigned key)
{
  struct holt_view view;
  if (!find(sim, at, key, &view)) {
    return -1;
  }
  const struct sim_log *const log = sim_log_find(sim, view.actor);
  return log == NULL ? -1 : (int)log->node;
}
