/* SPDX-License-Identifier: Apache-2.0 */
/* What local processes do.  Choices are drawn from the seed of the step. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_core.h"

void
sim_wake(struct sim *sim, unsigned at)
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

uint8_t *
sim_value_copy(const uint8_t *value, size_t size)
{
  if (size == 0) {
    return NULL;
  }
  uint8_t *const copy = malloc(size);
  if (copy == NULL) {
    abort();
  }
  memcpy(copy, value, size);
  return copy;
}

static bool
find(const struct sim *sim, unsigned at, unsigned key, struct holt_view *view)
{
  return !sim->options.duplicate &&
         holt_replica_find(sim->nodes[at].replica, sim->keys[key].bytes,
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

/*--------------------------------------------------------------------
 * Registering */

/* What is asked for, and what has to be the answer. */
struct wish {
  struct holt_row_spec spec;
  int expected;
  bool taken;
  struct holt_view holder; /* If it is taken. */
};

static void
wish_make(struct sim *sim, unsigned at, const struct sim_process *process,
          unsigned key, uint8_t flags, struct wish *wish)
{
  *wish = (struct wish){ .spec = { .key = sim->keys[key].bytes,
                                   .key_size = sim->keys[key].size,
                                   .owner_id = process->id,
                                   .owner_serial = process->serial,
                                   .flags = flags } };
  wish->taken = find(sim, at, key, &wish->holder);
  if ((flags & HOLT_REGISTER_REPLACES) != 0) {
    const bool another = prng_chance(&sim->choice, 1, 10);
    wish->spec.replaces_actor = wish->holder.actor;
    wish->spec.replaces_birth = wish->holder.birth + (another ? 1 : 0);
    wish->expected = !wish->taken ? HOLT_ERR_NOT_FOUND
                     : another    ? HOLT_ERR_EXISTS
                                  : 0;
    const bool oldest = sim->options.oldest[at];
    if (wish->expected == 0 && oldest && !wish->holder.standby &&
        !sim_core_rank(sim, &wish->holder).oldest) {
      wish->expected = HOLT_ERR_POLICY; /* It could not outrank it. */
    }
  } else if (flags == 0 && wish->taken) {
    wish->expected = HOLT_ERR_EXISTS;
  }
  if ((flags & HOLT_REGISTER_REPLACES) != 0 &&
      (flags & HOLT_REGISTER_STANDBY) != 0) {
    wish->expected = HOLT_ERR_UNSUPPORTED; /* It cannot have it and wait. */
  }
  if (sim->options.duplicate) {
    wish->expected = 0;
  }
}

/* What has been registered is found, or stands where it should. */
static void
check_registered(struct sim *sim, unsigned at, unsigned key,
                 const struct wish *wish, const struct holt_row_spec *row)
{
  const struct sim_node *const node = &sim->nodes[at];
  const bool replaces = (row->flags & HOLT_ROW_REPLACES) != 0;
  struct holt_view view = { .key = NULL };
  if (wish->spec.flags != HOLT_REGISTER_STANDBY && !sim->options.duplicate &&
      (!find(sim, at, key, &view) || view.birth != row->birth)) {
    sim_fail(sim, "n%u does not find what it has registered", at);
  }
  if ((row->flags & ~HOLT_ROW_EARLY) !=
      (sim->options.duplicate ? 0 : wish->spec.flags)) {
    sim_fail(sim, "n%u registers with other flags", at);
  }
  if (!replaces) {
    return;
  }
  const struct sim_rank rank =
    sim_core_rank_of(sim, node->log->actor, row->birth, row->stamp, row->flags);
  const struct sim_rank other = sim_core_rank(sim, &wish->holder);
  if (!sim_core_outranks(&rank, &other)) {
    sim_fail(sim, "n%u replaces what outranks it", at);
  }
  if (!wish->holder.early != ((row->flags & HOLT_ROW_EARLY) == 0)) {
    sim_fail(sim, "n%u makes more of what it replaces, or less", at);
  }
}

static void
on_registered(struct sim *sim, unsigned at, unsigned key,
              const struct wish *wish, uint64_t birth)
{
  struct sim_node *const node = &sim->nodes[at];
  struct holt_row_spec row;
  sim_clock_check(sim, at, birth);
  if (!sim_core_own(node->replica, birth, &row)) {
    return;
  }
  struct sim_entry entry = { .birth = birth,
                             .flags = row.flags,
                             .replaces_actor = row.replaces_actor,
                             .replaces_birth = row.replaces_birth,
                             .stamp = row.stamp,
                             .key = key,
                             .owner_id = wish->spec.owner_id,
                             .owner_serial = wish->spec.owner_serial,
                             .value_size = wish->spec.value_size };
  entry.value = sim_value_copy(wish->spec.value, entry.value_size);
  sim_log_open(node->log, birth, &entry);
  sim->total.names++;
  sim->total.standbys += (row.flags & HOLT_ROW_STANDBY) != 0 ? 1 : 0;
  if ((row.flags & HOLT_ROW_REPLACES) != 0) {
    sim->total.replaced++;
    if (wish->holder.local) {
      sim_log_end(node->log, wish->holder.seq, birth + 1);
      sim_log_why(&node->log->entries[wish->holder.seq],
                  HOLT_REASON_GIVEN_AWAY);
    }
  }
  check_registered(sim, at, key, wish, &row);
}

/* Register, and write it into the log. */
static int
register_one(struct sim *sim, unsigned at, const struct sim_process *process,
             unsigned key, uint8_t flags)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_time now = sim_time(sim, at);
  struct wish wish;
  wish_make(sim, at, process, key, flags, &wish);
  uint8_t *const value = value_new(sim, &wish.spec.value_size);
  wish.spec.value = value;
  uint64_t birth = 0;
  sim_memory_arm(sim, at);
  const int rv = sim_core_register(node->replica, &now, &wish.spec, &birth);
  sim_memory_disarm(sim, at);
  if (rv == 0) {
    on_registered(sim, at, key, &wish, birth);
  }
  free(value);
  if (rv != HOLT_ERR_NOMEM && rv != wish.expected) {
    sim_fail(sim, "n%u: register says %s", at, holt_error_name(rv));
  }
  sim_log_sync(sim, at);
  return rv;
}

static int
register_how(struct sim *sim, unsigned at, unsigned who, unsigned key,
             uint8_t flags, const char *how)
{
  struct sim_process *const process = &sim->nodes[at].processes[who];
  int rv = process_know(sim, at, process);
  if (rv == 0) {
    rv = register_one(sim, at, process, key, flags);
    sim_trace(sim, "n%u %s key %u by %u: %s", at, how, key, process->id,
              rv == 0 ? "ok" : holt_error_name(rv));
    sim_wake(sim, at);
  }
  return rv;
}

int
sim_register(struct sim *sim, unsigned at, unsigned who, unsigned key)
{
  return register_how(sim, at, who, key, 0, "register");
}

int
sim_register_standby(struct sim *sim, unsigned at, unsigned who, unsigned key)
{
  return register_how(sim, at, who, key, HOLT_REGISTER_STANDBY, "stand by");
}

int
sim_replace(struct sim *sim, unsigned at, unsigned who, unsigned key)
{
  const bool both = prng_chance(&sim->choice, 1, 20);
  const uint8_t flags = both ? HOLT_REGISTER_REPLACES | HOLT_REGISTER_STANDBY
                             : HOLT_REGISTER_REPLACES;
  return register_how(sim, at, who, key, flags, "replace");
}

unsigned
sim_register_many(struct sim *sim, unsigned at, unsigned who, unsigned key,
                  unsigned count, bool same)
{
  struct sim_process *const process = &sim->nodes[at].processes[who];
  unsigned done = 0;
  if (process_know(sim, at, process) != 0) {
    return 0;
  }
  for (unsigned i = 0; i < count && !sim->failed; i++) {
    const unsigned one = same ? key : (key + i) % sim->options.keys;
    done += register_one(sim, at, process, one, 0) == 0 ? 1 : 0;
  }
  sim_trace(sim, "n%u registers %u of %u keys from %u by %u", at, done, count,
            key, process->id);
  sim_wake(sim, at);
  return done;
}

/*--------------------------------------------------------------------
 * Own rows */

/* One of our rows of this key, of a process that lives; its seq, or 0. */
static uint64_t
own_row(struct sim *sim, unsigned at, unsigned key)
{
  const struct sim_node *const node = &sim->nodes[at];
  const struct sim_log *const log = node->log;
  if (log->live_count == 0) {
    return 0;
  }
  const size_t first = prng_below(&sim->choice, log->live_count);
  for (size_t i = 0; i < log->live_count; i++) {
    const uint64_t seq = log->live[(first + i) % log->live_count];
    if (log->entries[seq].key == key &&
        !sim_owner_ended(node, &log->entries[seq])) {
      return seq;
    }
  }
  return 0;
}

int
sim_unregister(struct sim *sim, unsigned at, unsigned key)
{
  struct sim_node *const node = &sim->nodes[at];
  const uint64_t written = own_row(sim, at, key);
  const uint64_t birth =
    written == 0 ? UINT32_MAX : node->log->entries[written].birth;
  const uint64_t next = node->log->version + 1;
  uint64_t seq = 0;
  const int rv = holt_replica_unregister(node->replica, birth, &seq);
  sim_trace(sim, "n%u unregister key %u: %s", at, key,
            rv == 0 ? "ok" : holt_error_name(rv));
  if (rv != (written != 0 ? 0 : HOLT_ERR_NOT_FOUND) ||
      (rv == 0 && seq != next)) {
    sim_fail(sim, "n%u: unregister says %s", at, holt_error_name(rv));
  } else if (rv == 0) {
    sim_log_end(node->log, written, next);
    sim_log_why(&node->log->entries[written], HOLT_REASON_USER);
  }
  sim_wake(sim, at);
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
  const uint64_t written = own_row(sim, at, key);
  const bool ours = written != 0;
  const bool stale = ours && prng_chance(&sim->choice, 10, 100);
  const uint64_t birth = ours ? node->log->entries[written].birth : UINT32_MAX;
  uint64_t seq = stale ? written + 1 : written;
  size_t value_size;
  uint8_t *const value = value_new(sim, &value_size);
  sim_memory_arm(sim, at);
  const int rv =
    holt_replica_update(node->replica, birth, &seq, value, value_size);
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
  sim_wake(sim, at);
  return rv;
}

/*--------------------------------------------------------------------
 * Ends */

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
    sim_wake(sim, at);
  }
  return dead.known;
}

unsigned
sim_take_over(struct sim *sim, unsigned at, unsigned who)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct sim_process dead = node->processes[who];
  unsigned keys[64];
  unsigned count = 0;
  for (size_t i = 0; i < node->log->live_count && count < 64; i++) {
    const struct sim_entry *const entry =
      &node->log->entries[node->log->live[i]];
    if (entry->owner_id == dead.id && entry->owner_serial == dead.serial) {
      keys[count++] = entry->key;
    }
  }
  (void)sim_process_exit(sim, at, who);
  unsigned done = 0;
  for (unsigned i = 0; i < count && !sim->failed; i++) {
    const unsigned heir = (who + 1 + i % 2) % SIM_PROCESSES;
    done += sim_register(sim, at, heir, keys[i]) == 0 ? 1 : 0;
  }
  return done;
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
