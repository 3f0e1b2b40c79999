/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true: a little after every event, everything now and then. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_core.h"

/*--------------------------------------------------------------------
 * Copies */

static void
check_row(struct sim *sim, unsigned at, const struct sim_copy *copy,
          const struct sim_log *log, const struct holt_row_spec *row)
{
  if (row->seq > log->version || log->entries[row->seq].birth != row->birth) {
    sim_fail(sim, "n%u holds row %" PRIu64 " of n%u, which never was", at,
             row->seq, log->node);
    return;
  }
  const struct sim_entry *const entry = &log->entries[row->seq];
  const struct sim_key *const key = &sim->keys[entry->key];
  if (row->key_size != key->size ||
      memcmp(row->key, key->bytes, key->size) != 0 ||
      row->value_size != entry->value_size ||
      (row->value_size > 0 &&
       memcmp(row->value, entry->value, row->value_size) != 0) ||
      row->owner_id != entry->owner_id ||
      row->owner_serial != entry->owner_serial || row->stamp != entry->stamp ||
      sim_core_flags(row) != entry->flags) {
    sim_fail(sim, "n%u holds row %" PRIu64 " of n%u, but not as written", at,
             row->seq, log->node);
  }
  if (!copy->dirty &&
      (row->seq > copy->version || entry->end <= copy->version)) {
    sim_fail(sim, "n%u has row %" PRIu64 " of n%u, but not at %" PRIu64, at,
             row->seq, log->node, copy->version);
  }
}

/* What a copy says of itself; its log, or NULL when it has failed. */
static struct sim_log *
check_copy(struct sim *sim, unsigned at, const struct sim_copy *copy)
{
  struct sim_log *const log = sim_log_find(sim, copy->id);
  if (log == NULL || log->version < copy->version ||
      log->version < copy->cursor || log->creation != copy->creation) {
    sim_fail(sim, "n%u has a copy of what never was", at);
    return NULL;
  }
  if (copy->dirty) {
    return log;
  }
  struct sim_entry *const entry = &log->entries[copy->version];
  if (copy->row_count != entry->rows) {
    sim_fail(sim, "n%u has %zu rows of n%u at %" PRIu64 ", not %zu", at,
             copy->row_count, log->node, copy->version, entry->rows);
    return NULL;
  }
  if (!entry->fingerprinted) {
    entry->fingerprinted = true;
    entry->fingerprint = copy->fingerprint;
  } else if (entry->fingerprint != copy->fingerprint) {
    sim_fail(sim, "n%u: another fingerprint of n%u at %" PRIu64, at, log->node,
             copy->version);
    return NULL;
  }
  return log;
}

static void
check_rows(struct sim *sim, unsigned at, const struct sim_copy *copy,
           const struct sim_log *log)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  size_t count = 0;
  uint64_t seq = 0;
  uintptr_t walk = 0;
  struct sim_row row;
  while (!sim->failed && sim_core_row(replica, copy, &walk, &row)) {
    if (!row.stale && row.spec.seq <= seq) {
      sim_fail(sim, "n%u: rows of n%u out of order", at, log->node);
    }
    seq = row.stale ? 0 : row.spec.seq;
    check_row(sim, at, copy, log, &row.spec);
    count++;
  }
  if (!sim->failed && count != copy->row_count) {
    sim_fail(sim, "n%u miscounts the rows of n%u", at, log->node);
  }
}

/* When an actor is shown again, nothing comes back that had ended before the
 * link came up. */
static void
check_ghosts(struct sim *sim, unsigned at, const struct sim_copy *copy,
             const struct sim_log *log)
{
  struct sim_node *const node = &sim->nodes[at];
  const bool appears = copy->shown && node->shown[log->node] != copy->id;
  if (copy->shown) {
    node->shown[log->node] = copy->id;
  } else if (node->shown[log->node] == copy->id) {
    node->shown[log->node] = 0;
  }
  if (!appears || log->node == at || !sim->options.faithful ||
      sim->nodes[log->node].log != log) {
    return;
  }
  const struct sim_link *const link = sim_link_of(sim, at, log->node);
  const unsigned end = log->node < at ? 0 : 1;
  if (link->actors[end] != copy->id) {
    return;
  }
  uintptr_t walk = 0;
  struct sim_row row;
  while (!sim->failed && sim_core_row(node->replica, copy, &walk, &row)) {
    if (row.spec.seq > log->version ||
        log->entries[row.spec.seq].end <= link->versions[end]) {
      sim_fail(sim, "n%u shows a ghost of n%u, row %" PRIu64, at, log->node,
               row.spec.seq);
    }
  }
}

/*--------------------------------------------------------------------
 * Names, one by one */

/* Whatever a living process of this node has registered is found, or outranked
 * by what is found. */
static void
check_own(struct sim *sim, unsigned at, uint64_t seq)
{
  const struct sim_node *const node = &sim->nodes[at];
  const struct sim_entry *const entry = &node->log->entries[seq];
  if (sim_owner_ended(node, entry)) {
    return;
  }
  const struct sim_key *const key = &sim->keys[entry->key];
  struct holt_view view;
  if (!holt_replica_find(node->replica, key->bytes, key->size, &view)) {
    sim_fail(sim, "n%u does not find its own key %u", at, entry->key);
    return;
  }
  const struct holt_row_spec own =
    sim_core_rank_of(entry->birth, entry->stamp, entry->flags);
  const struct holt_row_spec found = sim_core_rank(&view);
  if (view.local
        ? view.birth != entry->birth
        : !sim_core_outranks(view.actor, &found, node->log->actor, &own)) {
    sim_fail(sim, "n%u finds somebody else under its own key %u", at,
             entry->key);
  }
}

/* Nothing is found that this node knows not to be there. */
static void
check_found(struct sim *sim, unsigned at, unsigned key)
{
  const struct sim_node *const node = &sim->nodes[at];
  struct holt_view view;
  if (!holt_replica_find(node->replica, sim->keys[key].bytes,
                         sim->keys[key].size, &view)) {
    return;
  }
  const bool known = view.seq <= node->log->version;
  if (view.local && (!known || node->log->entries[view.seq].birth == 0 ||
                     sim_owner_ended(node, &node->log->entries[view.seq]))) {
    sim_fail(sim, "n%u finds a dead process under key %u", at, key);
  }
  struct sim_copy copy;
  if (!sim_core_copy_of(node->replica, view.actor, &copy) ||
      !(copy.self || copy.connected)) {
    sim_fail(sim, "n%u finds a process behind a cut under key %u", at, key);
  }
}

void
sim_check(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_actor *walk = NULL;
  struct sim_copy copy;
  while (!sim->failed && sim_core_copy(node->replica, &walk, &copy)) {
    const struct sim_log *const log = check_copy(sim, at, &copy);
    if (log != NULL) {
      check_ghosts(sim, at, &copy, log);
    }
  }
  /* All names when there are few, else some, and others the next time. */
  const struct sim_log *const log = node->log;
  const unsigned keys = sim->options.keys;
  node->look_at += SIM_CHEAP_NAMES;
  for (size_t i = 0; i < SIM_CHEAP_NAMES && !sim->failed; i++) {
    if (i < log->live_count) {
      check_own(sim, at, log->live[(node->look_at + i) % log->live_count]);
    }
    if (i < keys) {
      check_found(sim, at, (unsigned)((node->look_at + i) % keys));
    }
  }
}

/*--------------------------------------------------------------------
 * The whole view */

/* The winner of each key, by looking at everything. */
struct winner {
  uint64_t round; /* Another one: there is none. */
  uint64_t actor;
  struct holt_row_spec row;
};

struct naive {
  struct winner winners[SIM_KEYS_MAX];
  uint64_t round;
  size_t visible;
};

static void
naive_add(struct naive *naive, const struct sim_copy *copy, unsigned key,
          const struct holt_row_spec *row)
{
  struct winner *const winner = &naive->winners[key];
  if (winner->round != naive->round) {
    naive->visible++;
  } else if (!sim_core_outranks(copy->id, row, winner->actor, &winner->row)) {
    return;
  }
  *winner =
    (struct winner){ .round = naive->round, .actor = copy->id, .row = *row };
}

static void
naive_look(struct sim *sim, unsigned at, struct naive *naive)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  naive->round++;
  naive->visible = 0;
  const struct holt_actor *next = NULL;
  struct sim_copy copy;
  while (sim_core_copy(replica, &next, &copy)) {
    const struct sim_log *const log = sim_log_find(sim, copy.id);
    uintptr_t walk = 0;
    struct sim_row row;
    while (copy.shown && sim_core_row(replica, &copy, &walk, &row)) {
      if (!row.dead) {
        naive_add(naive, &copy, log->entries[row.spec.seq].key, &row.spec);
      }
    }
  }
}

static void
check_view(struct sim *sim, unsigned at, const struct naive *naive)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  for (unsigned key = 0; key < sim->options.keys && !sim->failed; key++) {
    const struct winner *const winner = &naive->winners[key];
    const bool expected = winner->round == naive->round;
    struct holt_view view;
    const bool found = holt_replica_find(replica, sim->keys[key].bytes,
                                         sim->keys[key].size, &view);
    if (found != expected ||
        (found &&
         (view.actor != winner->actor || view.seq != winner->row.seq ||
          view.birth != winner->row.birth || view.stamp != winner->row.stamp ||
          view.value != winner->row.value))) {
      sim_fail(sim, "n%u: find and look disagree about key %u", at, key);
    }
  }
}

struct scan {
  const struct sim *sim;
  uint64_t *seen; /* By key: the round. */
  uint64_t round;
  size_t count;
  bool wrong;
};

static bool
scan_visit(void *user, const struct holt_view *view)
{
  struct scan *const scan = user;
  const struct sim_log *const log = sim_log_find(scan->sim, view->actor);
  scan->count++;
  if (log == NULL || view->seq > log->version ||
      log->entries[view->seq].birth != view->birth) {
    scan->wrong = true;
    return true;
  }
  uint64_t *const seen = &scan->seen[log->entries[view->seq].key];
  scan->wrong = scan->wrong || *seen == scan->round;
  *seen = scan->round;
  return true;
}

static void
check_scan(struct sim *sim, unsigned at, size_t visible)
{
  static uint64_t seen[SIM_KEYS_MAX];
  static uint64_t round;
  struct scan scan = { .sim = sim, .seen = seen, .round = ++round };
  uint64_t cursor = 0;
  do {
    cursor =
      holt_replica_scan(sim->nodes[at].replica, cursor, scan_visit, &scan);
  } while (cursor != 0);
  if (scan.wrong || scan.count != visible) {
    sim_fail(sim, "n%u: a scan visits %zu of %zu names", at, scan.count,
             visible);
  }
}

static void
check_node(struct sim *sim, unsigned at)
{
  static struct naive naive;
  const struct holt_replica *const replica = sim->nodes[at].replica;
  const struct holt_actor *next = NULL;
  struct sim_copy copy;
  while (!sim->failed && sim_core_copy(replica, &next, &copy)) {
    const struct sim_log *const log = check_copy(sim, at, &copy);
    if (log != NULL) {
      check_rows(sim, at, &copy, log);
    }
  }
  if (sim->failed) {
    return;
  }
  naive_look(sim, at, &naive);
  check_view(sim, at, &naive);
  check_scan(sim, at, naive.visible);
  if (!sim_core_busy(replica) && holt_replica_count(replica) != naive.visible) {
    sim_fail(sim, "n%u counts %zu names, not %zu", at,
             holt_replica_count(replica), naive.visible);
  }
  const struct sim_log *const log = sim->nodes[at].log;
  for (size_t i = 0; i < log->live_count && !sim->failed; i++) {
    check_own(sim, at, log->live[i]);
  }
  for (unsigned i = 0; i < sim->options.keys && !sim->failed; i++) {
    check_found(sim, at, i);
  }
}

void
sim_check_whole(struct sim *sim)
{
  sim->total.wholes++;
  for (unsigned i = 0; i < sim->options.nodes && !sim->failed; i++) {
    if (sim->nodes[i].replica != NULL) {
      check_node(sim, i);
    }
  }
}

/*--------------------------------------------------------------------
 * Conflicts */

static bool
loser_is_right(const struct sim *sim, const struct sim_entry *entry,
               const struct holt_view *loser)
{
  const struct sim_key *const key = &sim->keys[entry->key];
  const uint64_t host =
    (uint64_t)entry->owner_serial << 32 | entry->owner_id | UINT64_C(1) << 63;
  return entry->untold && entry->birth == loser->birth && loser->host == host &&
         entry->stamp == loser->stamp && loser->key_size == key->size &&
         memcmp(loser->key, key->bytes, key->size) == 0 &&
         loser->value_size == entry->value_size &&
         (entry->value_size == 0 ||
          memcmp(loser->value, entry->value, entry->value_size) == 0);
}

void
sim_check_conflict(struct sim *sim, unsigned at,
                   const struct holt_effect *effect)
{
  struct sim_log *const log = sim->nodes[at].log;
  const struct holt_view *const loser = &effect->loser;
  const struct holt_view *const winner = &effect->winner;
  if (!loser->local || loser->actor != log->actor || loser->seq == 0 ||
      loser->seq > log->version) {
    sim_fail(sim, "n%u: a conflict about a row that never was", at);
    return;
  }
  struct sim_entry *const entry = &log->entries[loser->seq];
  if (!loser_is_right(sim, entry, loser)) {
    sim_fail(sim, "n%u: a conflict that is not what happened", at);
    return;
  }
  const struct sim_log *const other = sim_log_find(sim, winner->actor);
  if (other == NULL || other == log || winner->seq > other->version ||
      other->entries[winner->seq].birth != winner->birth ||
      other->entries[winner->seq].key != entry->key) {
    sim_fail(sim, "n%u: a conflict won by nobody", at);
    return;
  }
  /* The order is total, so of all who claim a name one never loses it. */
  const struct holt_row_spec left = sim_core_rank(winner);
  const struct holt_row_spec right = sim_core_rank(loser);
  if (!sim_core_outranks(winner->actor, &left, loser->actor, &right)) {
    sim_fail(sim, "n%u: a conflict won by the weaker", at);
  }
  entry->untold = false;
  log->untold_count--;
  sim->total.conflicts++;
  sim_trace(sim, "n%u conflict: key %u, birth %" PRIu64 " has lost", at,
            entry->key, entry->birth);
}

/*--------------------------------------------------------------------
 * Convergence */

static bool
copy_converged(const struct sim *sim, unsigned at, unsigned of, char *why,
               size_t why_size)
{
  const struct sim_node *const owner = &sim->nodes[of];
  const uint64_t version = owner->log->version;
  struct sim_copy copy;
  if (!sim_core_copy_of(sim->nodes[at].replica, owner->log->actor, &copy)) {
    (void)snprintf(why, why_size, "n%u does not know n%u", at, of);
    return false;
  }
  if (copy.dirty || copy.version != version || !copy.shown || !copy.connected) {
    (void)snprintf(
      why, why_size,
      "n%u has n%u at %" PRIu64 " (cursor %" PRIu64 ") of %" PRIu64 "%s%s%s",
      at, of, copy.version, copy.cursor, version, copy.dirty ? ", dirty" : "",
      copy.shown ? "" : ", hidden", copy.connected ? "" : ", not connected");
    return false;
  }
  struct sim_receiver receiver;
  if (!sim_core_receiver(owner->replica, owner->peers[at], &receiver) ||
      !receiver.up || !receiver.idle || receiver.acked != version) {
    (void)snprintf(why, why_size, "n%u waits for n%u at %" PRIu64, of, at,
                   version);
    return false;
  }
  return true;
}

bool
sim_converged(struct sim *sim, char *why, size_t why_size)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    const struct sim_node *const node = &sim->nodes[i];
    if (node->replica == NULL) {
      continue;
    }
    if (!node->running || node->inbox != NULL || node->current != NULL ||
        sim_core_busy(node->replica)) {
      (void)snprintf(why, why_size, "n%u is not done", i);
      return false;
    }
    for (unsigned j = 0; j < sim->options.nodes; j++) {
      if (j != i && sim->nodes[j].replica != NULL && sim_can_talk(sim, i, j) &&
          !copy_converged(sim, i, j, why, why_size)) {
        return false;
      }
    }
  }
  return true;
}

/*--------------------------------------------------------------------
 * At rest */

/* Of those that can talk to this node one holds each key, and it is seen. */
static void
check_holders(struct sim *sim, unsigned at)
{
  static int holders[SIM_KEYS_MAX];
  for (unsigned key = 0; key < sim->options.keys; key++) {
    holders[key] = -1;
  }
  for (unsigned i = 0; i < sim->options.nodes && !sim->failed; i++) {
    const struct sim_node *const node = &sim->nodes[i];
    if (node->replica == NULL || !sim_can_talk(sim, at, i)) {
      continue;
    }
    for (size_t j = 0; j < node->log->live_count; j++) {
      const unsigned key = node->log->entries[node->log->live[j]].key;
      if (holders[key] != -1) {
        sim_fail(sim, "key %u has two holders, n%d and n%u", key, holders[key],
                 i);
      }
      holders[key] = (int)i;
    }
  }
  for (unsigned key = 0; key < sim->options.keys && !sim->failed; key++) {
    if (sim_holder(sim, at, key) != holders[key]) {
      sim_fail(sim, "n%u sees n%d under key %u, which is n%d's", at,
               sim_holder(sim, at, key), key, holders[key]);
    }
  }
}

static void
check_refused(struct sim *sim, unsigned at, unsigned strangers)
{
  struct holt_counters counters;
  holt_replica_counters(sim->nodes[at].replica, &counters);
  for (int i = 0; i < 16; i++) {
    if (counters.refused[i] > 0 && i != -HOLT_ERR_STALE &&
        i != -HOLT_ERR_NOMEM && i != -HOLT_ERR_VERSION &&
        sim->options.faithful) {
      sim_fail(sim, "n%u has refused something: %s", at, holt_error_name(-i));
    }
  }
  const bool refuses = counters.refused[-HOLT_ERR_VERSION] > 0;
  if (strangers > 0 && !refuses) {
    sim_fail(sim, "n%u has not counted the hellos it cannot speak to", at);
  }
}

/* Who is known, and who is not: of nodes that have left each life may be
 * remembered for forget_after_ms. */
static void
check_company(struct sim *sim, unsigned at)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  unsigned present = 0;
  unsigned strangers = 0;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    const struct sim_node *const node = &sim->nodes[i];
    if (node->replica == NULL) {
      continue;
    }
    present++;
    strangers += sim_can_talk(sim, at, i) ? 0 : 1;
    struct sim_copy copy;
    if (!sim_can_talk(sim, at, i) &&
        sim_core_copy_of(replica, node->log->actor, &copy)) {
      sim_fail(sim, "n%u knows n%u, whom it cannot talk to", at, i);
    }
  }
  const size_t known = sim_core_actors(replica);
  size_t left = 0;
  for (const struct sim_log *log = sim->logs; log != NULL; log = log->next) {
    left += sim->nodes[log->node].left ? 1 : 0;
  }
  if (known < present - strangers || known > present - strangers + left) {
    sim_fail(sim, "n%u keeps %zu actors", at, known);
  }
  if (sim_core_peers(replica) != present - 1) {
    sim_fail(sim, "n%u keeps %zu peers", at, sim_core_peers(replica));
  }
  check_refused(sim, at, strangers);
}

void
sim_check_quiet(struct sim *sim)
{
  sim_check_whole(sim);
  for (unsigned i = 0; i < sim->options.nodes && !sim->failed; i++) {
    if (sim->nodes[i].replica != NULL) {
      check_holders(sim, i);
      check_company(sim, i);
    }
  }
}
