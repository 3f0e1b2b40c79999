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
      row->flags != entry->flags ||
      row->replaces_actor != entry->replaces_actor ||
      row->replaces_birth != entry->replaces_birth) {
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
  const struct holt_replica *const replica = sim->nodes[at].replica;
  if (holt_replica_reached(replica, copy->id, copy->version) != copy->shown ||
      holt_replica_reached(replica, copy->id, copy->version + 1)) {
    sim_fail(sim, "n%u has reached what it has not, or not what it has", at);
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

/* When an actor that we hear is shown again, nothing comes back that had ended
 * before the link came up. */
static void
check_ghosts(struct sim *sim, unsigned at, const struct sim_copy *copy,
             const struct sim_log *log)
{
  const struct sim_node *const node = &sim->nodes[at];
  if (!log->seen[at].appears || !copy->connected || !sim->options.faithful ||
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

/* Duplicate keys: the youngest row of a process is found. */
static void
check_member(struct sim *sim, unsigned at, const struct sim_entry *entry)
{
  const struct sim_node *const node = &sim->nodes[at];
  const struct sim_key *const key = &sim->keys[entry->key];
  struct holt_view view;
  if (!holt_replica_member(node->replica, key->bytes, key->size,
                           entry->owner_id, entry->owner_serial, &view)) {
    sim_fail(sim, "n%u does not find its own row of key %u", at, entry->key);
    return;
  }
  if (!view.local || view.actor != node->log->actor ||
      view.birth < entry->birth || view.seq > node->log->version ||
      node->log->entries[view.seq].key != entry->key ||
      node->log->entries[view.seq].owner_id != entry->owner_id ||
      node->log->entries[view.seq].end != UINT64_MAX) {
    sim_fail(sim, "n%u finds another row of key %u", at, entry->key);
  }
}

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
  if (sim->options.duplicate) {
    check_member(sim, at, entry);
    return;
  }
  const struct sim_key *const key = &sim->keys[entry->key];
  struct holt_view view;
  if (!holt_replica_find(node->replica, key->bytes, key->size, &view)) {
    sim_fail(sim, "n%u does not find its own key %u", at, entry->key);
    return;
  }
  const struct sim_rank own = sim_core_rank_of(
    sim, node->log->actor, entry->birth, entry->stamp, entry->flags);
  const struct sim_rank rank = sim_core_rank(sim, &view);
  if (view.local ? view.birth != entry->birth && !sim_core_outranks(&rank, &own)
                 : !sim_core_outranks(&rank, &own)) {
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
      !(copy.self || copy.present)) {
    sim_fail(sim, "n%u finds a process of the absent under key %u", at, key);
  }
}

/* A copy may go back when it is had anew from another holder, but nobody has
 * acknowledged what it never had. */
static void
note_reached(const struct sim *sim, unsigned at, const struct sim_copy *copy,
             struct sim_log *log)
{
  const uint64_t life = sim->nodes[at].log->actor;
  if (log->reached_by[at] != life || log->reached[at] < copy->cursor) {
    log->reached_by[at] = life;
    log->reached[at] = copy->cursor;
  }
}

static void
check_acked(struct sim *sim, unsigned of, unsigned at)
{
  const struct sim_node *const owner = &sim->nodes[of];
  const struct sim_node *const other = &sim->nodes[at];
  struct sim_receiver receiver;
  if (owner->replica == NULL || other->replica == NULL ||
      !sim_core_receiver(owner->replica, owner->peers[at], &receiver) ||
      receiver.actor != other->log->actor || receiver.acked == 0) {
    return;
  }
  const struct sim_log *const log = owner->log;
  const bool known = log->reached_by[at] == other->log->actor;
  if (!known || log->reached[at] < receiver.acked) {
    sim_fail(sim,
             "n%u takes %" PRIu64 " for acked by n%u, which came to %" PRIu64,
             of, receiver.acked, at, known ? log->reached[at] : 0);
  }
}

/* The same, as vouchers say. */
static void
check_reached(struct sim *sim, unsigned at, const struct sim_copy *copy,
              unsigned of)
{
  const struct sim_log *const log = sim->nodes[at].log;
  if (sim->nodes[of].log->actor == copy->id && copy->reached > 0 &&
      (log->reached_by[of] != copy->id || log->reached[of] < copy->reached)) {
    sim_fail(sim, "n%u is told that n%u has reached %" PRIu64, at, of,
             copy->reached);
  }
}

void
sim_check(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_actor *walk = NULL;
  struct sim_copy copy;
  while (!sim->failed && sim_core_copy(node->replica, &walk, &copy)) {
    struct sim_log *const log = check_copy(sim, at, &copy);
    if (log != NULL) {
      note_reached(sim, at, &copy, log);
      check_reached(sim, at, &copy, log->node);
      check_ghosts(sim, at, &copy, log);
    }
  }
  for (unsigned i = 0; i < sim->options.nodes && !sim->failed; i++) {
    check_acked(sim, at, i);
    check_acked(sim, i, at);
  }
  /* All names when there are few, else some, and others the next time. */
  const struct sim_log *const log = node->log;
  const unsigned keys = sim->options.keys;
  node->look_at += SIM_CHEAP_NAMES;
  for (size_t i = 0; i < SIM_CHEAP_NAMES && !sim->failed; i++) {
    if (i < log->live_count) {
      check_own(sim, at, log->live[(node->look_at + i) % log->live_count]);
    }
    if (i < keys && !sim->options.duplicate) {
      check_found(sim, at, (unsigned)((node->look_at + i) % keys));
    }
  }
}

/*--------------------------------------------------------------------
 * Everything */

/* In_sync is never said in vain. */
static void
check_in_sync(struct sim *sim, unsigned at)
{
  const struct sim_node *const node = &sim->nodes[at];
  struct holt_counters counters;
  holt_replica_counters(node->replica, &counters);
  if (counters.diverged > 0) {
    sim_fail(sim, "n%u has seen unequal rows of equal versions", at);
  }
  if (!holt_replica_in_sync(node->replica)) {
    return;
  }
  sim->total.in_syncs++;
  const uint64_t held = sim_held(sim, at);
  for (unsigned i = 0; i < sim->options.nodes && !sim->failed; i++) {
    struct sim_receiver receiver;
    if (!sim_core_receiver(node->replica, node->peers[i], &receiver) ||
        !receiver.up) {
      continue;
    }
    if (node->clock.heard[i] != held) {
      sim_fail(sim, "n%u is not in sync with n%u, but says so", at, i);
    } else if (receiver.acked != node->log->version) {
      sim_fail(sim, "n%u is in sync with n%u, which lacks rows of it", at, i);
    }
  }
}

static void
check_node(struct sim *sim, unsigned at)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  const struct holt_actor *next = NULL;
  struct sim_copy copy;
  while (!sim->failed && sim_core_copy(replica, &next, &copy)) {
    const struct sim_log *const log = check_copy(sim, at, &copy);
    if (log != NULL) {
      check_rows(sim, at, &copy, log);
    }
  }
  if (!sim->failed) {
    sim_check_view(sim, at);
  }
  const struct sim_log *const log = sim->nodes[at].log;
  for (size_t i = 0; i < log->live_count && !sim->failed; i++) {
    check_own(sim, at, log->live[i]);
  }
  for (unsigned i = 0;
       i < sim->options.keys && !sim->failed && !sim->options.duplicate; i++) {
    check_found(sim, at, i);
  }
  if (!sim->failed) {
    check_in_sync(sim, at);
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

static bool
winner_is_right(const struct sim_log *log, const struct holt_view *winner,
                const struct sim_entry *loser)
{
  return log != NULL && winner->seq <= log->version &&
         log->entries[winner->seq].birth == winner->birth &&
         log->entries[winner->seq].key == loser->key;
}

/* The winner is another's, or has taken the place of another's before there was
 * memory to tell the loser. */
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
  if (!winner_is_right(other, winner, entry) ||
      (other == log && other->entries[winner->seq].replaces_actor == 0 &&
       !sim->options.custom)) {
    sim_fail(sim, "n%u: a conflict won by nobody", at);
    return;
  }
  /* The order is total, so of all who claim a name one never loses it. */
  const struct sim_rank left = sim_core_rank(sim, winner);
  const struct sim_rank right = sim_core_rank(sim, loser);
  const bool better =
    sim->options.custom
      ? effect->replaced || sim_contest_prefers(winner->actor, winner->birth,
                                                loser->actor, loser->birth)
      : sim_core_outranks(&left, &right);
  if (!better) {
    sim_fail(sim, "n%u: a conflict won by the weaker", at);
  }
  const struct sim_entry *const won = &other->entries[winner->seq];
  const bool replaced =
    won->replaces_birth == entry->birth && won->replaces_actor == log->actor;
  if (effect->replaced != replaced) {
    sim_fail(sim, "n%u: replaced, or not", at);
  }
  if (!replaced && loser->standby) {
    sim_fail(sim, "n%u: a standby has lost what it does not have", at);
  }
  entry->untold = false;
  log->untold_count--;
  sim_log_why(entry, replaced ? HOLT_REASON_GIVEN_AWAY : HOLT_REASON_CONFLICT);
  sim->total.conflicts++;
  sim_trace(sim, "n%u conflict: key %u, birth %" PRIu64 " has lost", at,
            entry->key, entry->birth);
}

/*--------------------------------------------------------------------
 * At rest */

/* Of those that can talk to this node one holds each key, and it is seen. */
static void
check_holders(struct sim *sim, unsigned at)
{
  static int holders[SIM_KEYS_MAX];
  static size_t rows[SIM_KEYS_MAX];
  for (unsigned key = 0; key < sim->options.keys; key++) {
    holders[key] = -1;
    rows[key] = 0;
  }
  for (unsigned i = 0; i < sim->options.nodes && !sim->failed; i++) {
    const struct sim_node *const node = &sim->nodes[i];
    if (node->replica == NULL || !sim_can_talk(sim, at, i)) {
      continue;
    }
    for (size_t j = 0; j < node->log->live_count; j++) {
      const struct sim_entry *const entry =
        &node->log->entries[node->log->live[j]];
      const unsigned key = entry->key;
      rows[key]++;
      if ((entry->flags & HOLT_ROW_STANDBY) != 0) {
        continue;
      }
      if (holders[key] != -1 && !sim->options.duplicate) {
        sim_fail(sim, "key %u has two holders, n%d and n%u", key, holders[key],
                 i);
      }
      holders[key] = (int)i;
    }
  }
  for (unsigned key = 0; key < sim->options.keys && !sim->failed; key++) {
    const struct sim_key *const name = &sim->keys[key];
    if (sim->options.duplicate) {
      if (holt_replica_count_key(sim->nodes[at].replica, name->bytes,
                                 name->size, NULL, 0) != rows[key]) {
        sim_fail(sim, "n%u does not count %zu rows of key %u", at, rows[key],
                 key);
      }
    } else if ((holders[key] != -1 || rows[key] == 0) &&
               sim_holder(sim, at, key) != holders[key]) {
      sim_fail(sim, "n%u sees n%d under key %u, which is n%d's", at,
               sim_holder(sim, at, key), key, holders[key]);
    } else if (rows[key] > 0 && sim_holder(sim, at, key) == -1) {
      sim_fail(sim, "n%u sees none of the standbys of key %u", at, key);
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

bool
sim_in_sync(const struct sim *sim)
{
  bool all = true;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    const struct holt_replica *const replica = sim->nodes[i].replica;
    all = all && (replica == NULL || holt_replica_in_sync(replica));
  }
  return all;
}
