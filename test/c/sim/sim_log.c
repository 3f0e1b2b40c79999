/* SPDX-License-Identifier: Apache-2.0 */
/* The log of an actor: what it wrote, and how that ended. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_core.h"

static struct sim_entry *
entry_at(struct sim_log *log, uint64_t seq)
{
  if (seq >= log->capacity) {
    const size_t capacity = (size_t)seq * 2 + 64;
    log->entries = realloc(log->entries, capacity * sizeof *log->entries);
    if (log->entries == NULL) {
      abort();
    }
    memset(log->entries + log->capacity, 0,
           (capacity - log->capacity) * sizeof *log->entries);
    log->capacity = capacity;
  }
  return &log->entries[seq];
}

struct sim_log *
sim_log_new(struct sim *sim, uint64_t actor, unsigned node, uint32_t creation)
{
  struct sim_log *const log = calloc(1, sizeof *log);
  if (log == NULL) {
    abort();
  }
  log->actor = actor;
  log->node = node;
  log->creation = creation;
  log->next = sim->logs;
  sim->logs = log;
  (void)entry_at(log, 0);
  return log;
}

struct sim_log *
sim_log_copy(struct sim *sim, const struct sim_log *source, uint64_t actor,
             uint32_t creation)
{
  struct sim_log *const log = sim_log_new(sim, actor, source->node, creation);
  (void)entry_at(log, source->version);
  for (uint64_t seq = 0; seq <= source->version; seq++) {
    struct sim_entry *const entry = &log->entries[seq];
    *entry = source->entries[seq];
    entry->fingerprinted = false;
    entry->value = NULL;
    if (entry->value_size > 0) {
      entry->value = malloc(entry->value_size);
      if (entry->value == NULL) {
        abort();
      }
      memcpy(entry->value, source->entries[seq].value, entry->value_size);
    }
  }
  log->version = source->version;
  log->stamp = source->stamp;
  log->untold_count = source->untold_count;
  log->live_count = source->live_count;
  log->live_capacity = source->live_count + 1;
  log->live = malloc(log->live_capacity * sizeof *log->live);
  if (log->live == NULL) {
    abort();
  }
  if (log->live_count > 0) {
    memcpy(log->live, source->live, log->live_count * sizeof *log->live);
  }
  return log;
}

struct sim_log *
sim_log_find(const struct sim *sim, uint64_t actor)
{
  struct sim_log *log = sim->logs;
  while (log != NULL && log->actor != actor) {
    log = log->next;
  }
  return log;
}

void
sim_log_free(struct sim_log *log)
{
  for (size_t i = 0; i < log->capacity; i++) {
    free(log->entries[i].value);
  }
  sim_twin_forget(log);
  free(log->entries);
  free(log->live);
  free(log);
}

void
sim_log_open(struct sim_log *log, uint64_t seq, const struct sim_entry *source)
{
  if (log->live_count == log->live_capacity) {
    log->live_capacity = log->live_capacity * 2 + 16;
    log->live = realloc(log->live, log->live_capacity * sizeof *log->live);
    if (log->live == NULL) {
      abort();
    }
  }
  struct sim_entry *const entry = entry_at(log, seq);
  *entry = *source;
  entry->end = UINT64_MAX;
  entry->live_at = log->live_count;
  entry->fingerprinted = false;
  entry->untold = false;
  entry->why_known = false;
  log->live[log->live_count++] = seq;
}

void
sim_log_end(struct sim_log *log, uint64_t seq, uint64_t end)
{
  struct sim_entry *const entry = &log->entries[seq];
  entry->end = end;
  const uint64_t moved = log->live[--log->live_count];
  log->live[entry->live_at] = moved;
  log->entries[moved].live_at = entry->live_at;
}

void
sim_log_why(struct sim_entry *entry, enum holt_reason why)
{
  entry->why_known = true;
  entry->why = why;
}

bool
sim_owner_ended(const struct sim_node *node, const struct sim_entry *entry)
{
  for (unsigned i = 0; i < SIM_PROCESSES; i++) {
    if (node->processes[i].id == entry->owner_id &&
        node->processes[i].serial == entry->owner_serial) {
      return false;
    }
  }
  return true;
}

/* At seq the replica has removed the row of this birth: why? */
static void
sync_death(struct sim *sim, unsigned at, uint64_t seq, uint64_t birth)
{
  const struct sim_node *const node = &sim->nodes[at];
  struct sim_log *const log = node->log;
  for (uint64_t i = birth; i < seq; i++) {
    struct sim_entry *const entry = &log->entries[i];
    if (entry->birth != birth || entry->end < seq) {
      continue;
    }
    if (entry->end == seq) {
      return; /* Unregistered: expected. */
    }
    sim_log_end(log, i, seq);
    if (!sim_owner_ended(node, entry)) {
      entry->untold = true;
      log->untold_count++;
    } else {
      sim_log_why(entry, HOLT_REASON_DOWN);
    }
    return;
  }
  sim_fail(sim, "n%u removes birth %" PRIu64 ", which is not there", at, birth);
}

/* Memory was refused to the log of deaths: what is gone and has no place in it
 * went now. */
static void
sync_unlogged_death(struct sim *sim, unsigned at, uint64_t seq)
{
  const struct sim_node *const node = &sim->nodes[at];
  for (uint64_t i = 1; i < seq; i++) {
    const struct sim_entry *const entry = &node->log->entries[i];
    if (entry->birth != 0 && entry->end >= seq &&
        !sim_core_born(node->replica, entry->birth) &&
        !sim_core_death_noted(node->replica, entry->birth)) {
      sync_death(sim, at, seq, entry->birth);
      return;
    }
  }
}

void
sim_log_sync(struct sim *sim, unsigned at)
{
  const struct sim_node *const node = &sim->nodes[at];
  struct sim_log *const log = node->log;
  const uint64_t version = sim_core_version(node->replica);
  if (version == UINT64_MAX || version < log->version) {
    sim_fail(sim, "n%u: its version does not fit what was done", at);
    return;
  }
  while (log->version < version && !sim->failed) {
    const uint64_t seq = ++log->version;
    if (entry_at(log, seq)->birth == 0) { /* Else an operation wrote it. */
      uint64_t birth;
      const int found = sim_core_death_at(node->replica, seq, &birth);
      if (found > 0) {
        sync_death(sim, at, seq, birth);
      } else if (found == 0) {
        sim_fail(sim, "n%u: nothing happened at %" PRIu64, at, seq);
      } else {
        sync_unlogged_death(sim, at, seq);
      }
    }
    log->entries[seq].rows = log->live_count;
  }
  sim_twin_write(sim, log);
}
