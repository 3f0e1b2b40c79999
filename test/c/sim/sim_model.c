/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true, at every step and at the end. */
#include "sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*--------------------------------------------------------------------
 * Logs */

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
  (void)sim_log_put(log, 0);
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
  free(log->entries);
  free(log);
}

struct sim_entry *
sim_log_put(struct sim_log *log, uint64_t seq)
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

/* The owner of this entry has ended. */
static bool
owner_ended(const struct sim_node *node, const struct sim_entry *entry)
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
    entry->end = seq;
    if (!owner_ended(node, entry)) {
      entry->untold = true;
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
  const struct holt_deaths *const deaths = &node->replica->deaths;
  for (uint64_t i = 1; i < seq; i++) {
    const struct sim_entry *const entry = &node->log->entries[i];
    bool unlogged = entry->birth != 0 && entry->end >= seq &&
                    holt_rows_born(&node->replica->rows, node->replica->self,
                                   entry->birth) == NULL;
    for (size_t j = 0; j < deaths->count && unlogged; j++) {
      unlogged = holt_deaths_get(deaths, j)->birth != entry->birth;
    }
    if (unlogged) {
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
  const struct holt_actor *const self = node->replica->self;
  const struct holt_deaths *const deaths = &node->replica->deaths;
  while (log->version < self->version && !sim->failed) {
    const uint64_t seq = ++log->version;
    if (sim_log_put(log, seq)->birth != 0) {
      continue; /* Written by an operation. */
    }
    const size_t index = holt_deaths_after(deaths, seq - 1);
    if (index < deaths->count && holt_deaths_get(deaths, index)->at == seq) {
      sync_death(sim, at, seq, holt_deaths_get(deaths, index)->birth);
    } else if (deaths->base < seq) {
      sim_fail(sim, "n%u: nothing happened at %" PRIu64, at, seq);
    } else {
      sync_unlogged_death(sim, at, seq);
    }
  }
  if (log->version != self->version || self->cursor != self->version) {
    sim_fail(sim, "n%u: its version does not fit what was done", at);
  }
}

/*--------------------------------------------------------------------
 * Copies */

static void
check_row(struct sim *sim, unsigned at, const struct sim_log *log,
          const struct holt_row *row, bool exact)
{
  const struct holt_actor *const actor = row->actor;
  if (row->seq > log->version || log->entries[row->seq].birth != row->birth) {
    sim_fail(sim, "n%u holds row %" PRIu64 " of n%u, which never was", at,
             row->seq, log->node);
    return;
  }
  struct sim_entry *const entry = &log->entries[row->seq];
  if (entry->stamp == 0) {
    entry->stamp = row->stamp;
  }
  if (row->entry->key_size != sim->key_sizes[entry->key] ||
      memcmp(row->entry->key, sim->keys[entry->key], row->entry->key_size) !=
        0 ||
      row->value_size != entry->value_size ||
      (row->value_size > 0 &&
       memcmp(row->value, entry->value, row->value_size) != 0) ||
      row->owner->id != entry->owner_id ||
      row->owner->serial != entry->owner_serial || row->owner->actor != actor ||
      row->stamp != entry->stamp) {
    sim_fail(sim, "n%u holds row %" PRIu64 " of n%u, but not as written", at,
             row->seq, log->node);
  }
  if (exact && (row->seq > actor->version || entry->end <= actor->version)) {
    sim_fail(sim, "n%u has row %" PRIu64 " of n%u, but not at %" PRIu64, at,
             row->seq, log->node, actor->version);
  }
}

static size_t
log_rows_at(const struct sim_log *log, uint64_t version)
{
  size_t count = 0;
  for (uint64_t seq = 1; seq <= version; seq++) {
    const struct sim_entry *const entry = &log->entries[seq];
    count += entry->birth != 0 && entry->end > version ? 1 : 0;
  }
  return count;
}

static void
check_copy(struct sim *sim, unsigned at, const struct holt_actor *actor)
{
  struct sim_log *const log = sim_log_find(sim, actor->id);
  if (log == NULL || log->version < actor->version ||
      log->version < actor->cursor || log->creation != actor->creation) {
    sim_fail(sim, "n%u has a copy of what never was", at);
    return;
  }
  const bool exact = !actor->dirty && !actor->gone;
  size_t count = 0;
  uint64_t seq = 0;
  for (const struct holt_row *row = actor->rows_head; row != NULL;
       row = row->actor_next) {
    if (row->epoch == actor->epoch && row->seq <= seq) {
      sim_fail(sim, "n%u: rows of n%u out of order", at, log->node);
    }
    seq = row->epoch == actor->epoch ? row->seq : 0;
    check_row(sim, at, log, row, exact);
    count++;
  }
  if (count != actor->row_count) {
    sim_fail(sim, "n%u miscounts the rows of n%u", at, log->node);
  }
  if (!exact) {
    return;
  }
  const size_t expected = log_rows_at(log, actor->version);
  if (count != expected) {
    sim_fail(sim, "n%u has %zu rows of n%u at %" PRIu64 ", not %zu", at, count,
             log->node, actor->version, expected);
    return;
  }
  struct sim_entry *const entry = &log->entries[actor->version];
  if (!entry->fingerprinted) {
    entry->fingerprinted = true;
    entry->fingerprint = actor->fingerprint;
  } else if (entry->fingerprint != actor->fingerprint) {
    sim_fail(sim, "n%u: another fingerprint of n%u at %" PRIu64, at, log->node,
             actor->version);
  }
}

/* When an actor is shown again, nothing comes back that had ended before the
 * link came up. */
static void
check_ghosts(struct sim *sim, unsigned at, const struct holt_actor *actor)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct sim_log *const log = sim_log_find(sim, actor->id);
  const bool appears = actor->shown && node->shown[log->node] != actor->id;
  if (actor->shown) {
    node->shown[log->node] = actor->id;
  } else if (node->shown[log->node] == actor->id) {
    node->shown[log->node] = 0;
  }
  if (!appears || log->node == at || !sim->options.faithful ||
      sim->nodes[log->node].log != log) {
    return;
  }
  const struct sim_link *const link = sim_link_of(sim, at, log->node);
  const unsigned end = log->node < at ? 0 : 1;
  if (link->actors[end] != actor->id) {
    return;
  }
  for (const struct holt_row *row = actor->rows_head; row != NULL;
       row = row->actor_next) {
    if (log->entries[row->seq].end <= link->versions[end]) {
      sim_fail(sim, "n%u shows a ghost of n%u, row %" PRIu64, at, log->node,
               row->seq);
    }
  }
}

/*--------------------------------------------------------------------
 * The view */

/* The winner of a key, by looking at everything. */
static const struct holt_row *
naive_winner(const struct sim *sim, const struct holt_replica *replica,
             unsigned key)
{
  const struct holt_row *winner = NULL;
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    for (const struct holt_row *row = actor->rows_head;
         row != NULL && actor->shown; row = row->actor_next) {
      if (row->owner->dead || row->entry->key_size != sim->key_sizes[key] ||
          memcmp(row->entry->key, sim->keys[key], sim->key_sizes[key]) != 0) {
        continue;
      }
      if (winner == NULL || row->stamp > winner->stamp ||
          (row->stamp == winner->stamp &&
           (actor->id > winner->actor->id ||
            (actor == winner->actor && row->birth > winner->birth)))) {
        winner = row;
      }
    }
  }
  return winner;
}

static void
check_key(struct sim *sim, unsigned at, unsigned key, size_t *visible)
{
  const struct sim_node *const node = &sim->nodes[at];
  const struct holt_replica *const replica = node->replica;
  struct holt_view view;
  const bool found =
    holt_replica_find(replica, sim->keys[key], sim->key_sizes[key], &view);
  const struct holt_row *const winner = naive_winner(sim, replica, key);
  *visible += found ? 1 : 0;
  if (found != (winner != NULL) ||
      (found && (view.actor != winner->actor->id || view.seq != winner->seq ||
                 view.value != winner->value))) {
    sim_fail(sim, "n%u: find and look disagree about key %u", at, key);
    return;
  }
  if (found && view.local && owner_ended(node, &node->log->entries[view.seq])) {
    sim_fail(sim, "n%u finds a dead process under key %u", at, key);
  }
  if (found && !winner->actor->connected) {
    sim_fail(sim, "n%u finds a process behind a cut under key %u", at, key);
  }
}

/* Whatever a living process of this node has registered is found, or outranked
 * by what is found. */
static void
check_own(struct sim *sim, unsigned at)
{
  const struct sim_node *const node = &sim->nodes[at];
  const struct sim_log *const log = node->log;
  for (uint64_t seq = 1; seq <= log->version; seq++) {
    const struct sim_entry *const entry = &log->entries[seq];
    if (entry->birth == 0 || entry->end != UINT64_MAX ||
        owner_ended(node, entry)) {
      continue;
    }
    struct holt_view view;
    if (!holt_replica_find(node->replica, sim->keys[entry->key],
                           sim->key_sizes[entry->key], &view)) {
      sim_fail(sim, "n%u does not find its own key %u", at, entry->key);
    } else if (view.local ? view.birth != entry->birth
                          : view.stamp < entry->stamp) {
      sim_fail(sim, "n%u finds somebody else under its own key %u", at,
               entry->key);
    }
  }
}

struct scan {
  const struct sim *sim;
  size_t count;
  unsigned seen[SIM_KEYS_MAX];
};

static bool
scan_visit(void *user, const struct holt_view *view)
{
  struct scan *const scan = user;
  scan->count++;
  for (unsigned i = 0; i < scan->sim->options.keys; i++) {
    if (view->key_size == scan->sim->key_sizes[i] &&
        memcmp(view->key, scan->sim->keys[i], view->key_size) == 0) {
      scan->seen[i]++;
    }
  }
  return true;
}

static void
check_scan(struct sim *sim, unsigned at, size_t visible)
{
  struct scan scan = { .sim = sim };
  uint64_t cursor = 0;
  do {
    cursor =
      holt_replica_scan(sim->nodes[at].replica, cursor, scan_visit, &scan);
  } while (cursor != 0);
  bool good = scan.count == visible;
  for (unsigned i = 0; i < sim->options.keys; i++) {
    good = good && scan.seen[i] <= 1;
  }
  if (!good) {
    sim_fail(sim, "n%u: a scan visits %zu of %zu names", at, scan.count,
             visible);
  }
}

void
sim_check(struct sim *sim, unsigned at)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  if (sim->failed) {
    return;
  }
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    check_copy(sim, at, actor);
    if (!sim->failed) {
      check_ghosts(sim, at, actor);
    }
  }
  size_t visible = 0;
  for (unsigned i = 0; i < sim->options.keys && !sim->failed; i++) {
    check_key(sim, at, i, &visible);
  }
  check_own(sim, at);
  if (sim->failed) {
    return;
  }
  if (!holt__background_waits(replica) &&
      holt_replica_count(replica) != visible) {
    sim_fail(sim, "n%u counts %zu names, not %zu", at,
             holt_replica_count(replica), visible);
  }
  if (sim->steps % 64 == 0) {
    check_scan(sim, at, visible);
  }
}

/*--------------------------------------------------------------------
 * At rest */

static void
check_key_quiet(struct sim *sim, unsigned key)
{
  unsigned holders = 0;
  int holder = -1;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    const struct sim_log *const log = sim->nodes[i].log;
    for (uint64_t seq = 1; seq <= log->version; seq++) {
      const struct sim_entry *const entry = &log->entries[seq];
      if (entry->birth != 0 && entry->end == UINT64_MAX && entry->key == key) {
        holders++;
        holder = (int)i;
      }
    }
  }
  if (holders > 1) {
    sim_fail(sim, "key %u has %u holders", key, holders);
  }
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (sim_holder(sim, i, key) != holder) {
      sim_fail(sim, "n%u sees n%d under key %u, which is n%d's", i,
               sim_holder(sim, i, key), key, holder);
    }
  }
}

void
sim_check_quiet(struct sim *sim)
{
  for (unsigned i = 0; i < sim->options.keys && !sim->failed; i++) {
    check_key_quiet(sim, i);
  }
  for (unsigned i = 0; i < sim->options.nodes && !sim->failed; i++) {
    const struct holt_replica *const replica = sim->nodes[i].replica;
    if (replica->rows.actor_count != sim->options.nodes) {
      sim_fail(sim, "n%u keeps %zu actors", i, replica->rows.actor_count);
    }
    if (replica->peer_count != sim->options.nodes - 1) {
      sim_fail(sim, "n%u keeps %zu peers", i, replica->peer_count);
    }
    struct holt_counters counters;
    holt_replica_counters(replica, &counters);
    for (unsigned j = 0; j < 16; j++) {
      if (counters.refused[j] > 0 && j != (unsigned)-HOLT_ERR_STALE &&
          j != (unsigned)-HOLT_ERR_NOMEM && sim->options.faithful) {
        sim_fail(sim, "n%u has refused something: %s", i,
                 holt_error_name(-(int)j));
      }
    }
  }
}
