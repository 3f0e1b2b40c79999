/* SPDX-License-Identifier: Apache-2.0 */
/* The naive twin of each node: the same map, as the papers have it.
 *
 * Whatever an actor writes becomes a delta, too.  When a copy in a node's core
 * has come to a version, the node's twin joins the deltas of that actor up to
 * there that it has not joined: in any order, some of them twice, some of them
 * grouped, for the order must not matter.  Then both hold the same rows, and
 * both see the same holders.
 *
 * A twin only grows, so it says nothing of a copy that has gone back to an
 * older version, which another holder had; and nothing of copies that are
 * between two versions. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_core.h"

/* So many of the views are compared: they cost most. */
#define VIEW_PERCENT 15u

static void *
room(void *old, size_t count, size_t size)
{
  void *const block = realloc(old, (count + 1) * size);
  if (block == NULL) {
    abort();
  }
  return block;
}

/*--------------------------------------------------------------------
 * What is written */

static void
write_row(struct sim *sim, struct sim_log *log, uint64_t seq,
          struct twin *delta)
{
  const struct sim_entry *const entry = &log->entries[seq];
  const struct sim_key *const key = &sim->keys[entry->key];
  const struct twin_bytes value = { entry->value, entry->value_size };
  if (entry->birth != seq) {
    if (!twin_update(&log->twin, log->actor, entry->birth, seq, value, delta)) {
      sim_fail(sim, "n%u: no twin of birth %" PRIu64, log->node, entry->birth);
    }
    return;
  }
  const struct twin_row row = {
    .dot = { log->actor, seq },
    .birth = seq,
    .stamp = entry->stamp,
    .early = (entry->flags & HOLT_ROW_EARLY) != 0,
    .standby = (entry->flags & HOLT_ROW_STANDBY) != 0,
    .owner_id = entry->owner_id,
    .owner_serial = entry->owner_serial,
    .key = { (uint8_t *)(uintptr_t)key->bytes, key->size },
    .value = value,
  };
  twin_register(&log->twin, &row, delta);
}

static void
write_death(struct sim *sim, struct sim_log *log, uint64_t seq,
            struct twin *delta)
{
  uint64_t birth = 0;
  for (uint64_t i = 1; i < seq && birth == 0; i++) {
    const struct sim_entry *const entry = &log->entries[i];
    birth = entry->birth != 0 && entry->end == seq ? entry->birth : 0;
  }
  if (!twin_remove(&log->twin, log->actor, birth, delta)) {
    sim_fail(sim, "n%u: no twin ends at %" PRIu64, log->node, seq);
  }
}

void
sim_twin_write(struct sim *sim, struct sim_log *log)
{
  while (sim->options.twins && log->delta_count < log->version &&
         !sim->failed) {
    if (log->delta_count == 0) {
      twin_init(&log->twin);
    }
    const uint64_t seq = log->delta_count + 1;
    log->deltas = room(log->deltas, (size_t)seq, sizeof *log->deltas);
    struct twin *const delta = &log->deltas[log->delta_count++];
    twin_init(delta);
    if (log->entries[seq].birth != 0) {
      write_row(sim, log, seq, delta);
    } else {
      write_death(sim, log, seq, delta);
    }
  }
}

void
sim_twin_forget(struct sim_log *log)
{
  for (uint64_t i = 0; i < log->delta_count; i++) {
    twin_deinit(&log->deltas[i]);
  }
  if (log->delta_count > 0) {
    twin_deinit(&log->twin);
  }
  free(log->deltas);
}

/*--------------------------------------------------------------------
 * What is heard */

static void
shuffle(struct prng *prng, uint64_t *seqs, size_t count)
{
  for (size_t i = count; i > 1; i--) {
    const size_t j = prng_below(prng, i);
    const uint64_t seq = seqs[i - 1];
    seqs[i - 1] = seqs[j];
    seqs[j] = seq;
  }
}

/* Join what lies between, in any way. */
static void
join_up_to(struct sim *sim, struct twin *twin, const struct sim_log *log,
           uint64_t from, uint64_t to)
{
  struct prng *const prng = &sim->twins;
  const size_t news = (size_t)(to - from);
  const size_t again = prng_below(prng, news + 1);
  uint64_t *const seqs = room(NULL, news + again, sizeof *seqs);
  for (size_t i = 0; i < news + again; i++) {
    seqs[i] = i < news ? from + 1 + i : 1 + prng_below(prng, to);
  }
  shuffle(prng, seqs, news + again);
  for (size_t i = 0; i < news + again;) {
    struct twin group;
    twin_init(&group);
    for (uint64_t left = 1 + prng_below(prng, 8); left > 0; left--) {
      if (i < news + again) {
        twin_join(&group, &log->deltas[seqs[i++] - 1]);
      }
    }
    twin_join(twin, &group);
    twin_deinit(&group);
  }
  free(seqs);
}

static bool
row_equal(const struct twin_row *left, const struct holt_row_spec *right)
{
  const struct twin_bytes key = { (uint8_t *)(uintptr_t)right->key,
                                  right->key_size };
  const struct twin_bytes value = { (uint8_t *)(uintptr_t)right->value,
                                    right->value_size };
  return left->dot.seq == right->seq && left->birth == right->birth &&
         left->stamp == right->stamp &&
         left->early == ((right->flags & HOLT_ROW_EARLY) != 0) &&
         left->standby == ((right->flags & HOLT_ROW_STANDBY) != 0) &&
         left->owner_id == right->owner_id &&
         left->owner_serial == right->owner_serial &&
         twin_bytes_equal(left->key, key) &&
         twin_bytes_equal(left->value, value);
}

static void
check_copy(struct sim *sim, unsigned at, const struct sim_copy *copy)
{
  const struct sim_node *const node = &sim->nodes[at];
  const struct twin *const twin = &node->twin;
  size_t i = 0;
  while (i < twin->row_count && twin->rows[i].dot.actor < copy->id) {
    i++;
  }
  uintptr_t walk = 0;
  struct sim_row row;
  bool equal = true;
  while (equal && sim_core_row(node->replica, copy, &walk, &row)) {
    equal = i < twin->row_count && twin->rows[i].dot.actor == copy->id &&
            row_equal(&twin->rows[i], &row.spec);
    i++;
  }
  if (!equal || (i < twin->row_count && twin->rows[i].dot.actor == copy->id)) {
    sim_fail(sim, "n%u and its twin differ at %" PRIu64 " of %" PRIx64, at,
             copy->version, copy->id >> 48);
  }
}

/*--------------------------------------------------------------------
 * What is seen */

struct members {
  size_t count;
  uint64_t sum;
};

static uint64_t
sum_of(uint64_t actor, uint64_t seq, uint64_t birth)
{
  return (actor ^ seq * UINT64_C(0x9e3779b97f4a7c15)) * (2 * birth + 1);
}

static bool
visit(void *user, const struct holt_view *view)
{
  struct members *const members = user;
  members->count++;
  members->sum += sum_of(view->actor, view->seq, view->birth);
  return true;
}

static void
check_members(struct sim *sim, unsigned at, unsigned key,
              const struct twin *twin, const struct twin_actor *shown,
              size_t shown_count)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct sim_key *const name = &sim->keys[key];
  const struct twin_bytes bytes = { (uint8_t *)(uintptr_t)name->bytes,
                                    name->size };
  const struct twin_row **const rows =
    room(NULL, twin->row_count, sizeof *rows);
  const size_t count =
    twin_rows(twin, bytes, shown, shown_count, rows, twin->row_count);
  struct members expected = { .count = count };
  for (size_t i = 0; i < count; i++) {
    expected.sum +=
      sum_of(rows[i]->dot.actor, rows[i]->dot.seq, rows[i]->birth);
  }
  free(rows);
  struct members found = { .count = 0 };
  struct holt_tour *tour;
  if (holt_tour_start_key(node->replica, name->bytes, name->size, &tour) == 0) {
    while (holt_tour_next(node->replica, tour, 1000, visit, &found)) {
    }
    holt_tour_stop(node->replica, tour);
  }
  if (found.count != expected.count || found.sum != expected.sum) {
    sim_fail(sim, "n%u has %zu rows of key %u, its twin %zu", at, found.count,
             key, expected.count);
  }
}

static void
check_holder(struct sim *sim, unsigned at, unsigned key,
             const struct twin *twin, const struct twin_actor *shown,
             size_t shown_count)
{
  const struct sim_key *const name = &sim->keys[key];
  const struct twin_bytes bytes = { (uint8_t *)(uintptr_t)name->bytes,
                                    name->size };
  const struct twin_row *const row =
    twin_winner(twin, bytes, shown, shown_count);
  struct holt_view view;
  const bool found =
    holt_replica_find(sim->nodes[at].replica, name->bytes, name->size, &view);
  if (found != (row != NULL) ||
      (found && (view.actor != row->dot.actor || view.seq != row->dot.seq ||
                 view.birth != row->birth))) {
    sim_fail(sim, "n%u and its twin disagree about key %u", at, key);
  }
}

static void
check_view(struct sim *sim, unsigned at, const struct twin_actor *shown,
           size_t shown_count)
{
  const struct sim_node *const node = &sim->nodes[at];
  struct twin twin;
  twin_init(&twin);
  twin_copy(&twin, &node->twin);
  for (size_t i = 0; i < node->log->live_count; i++) {
    const struct sim_entry *const entry =
      &node->log->entries[node->log->live[i]];
    if (sim_owner_ended(node, entry)) {
      (void)twin_remove(&twin, node->log->actor, entry->birth, NULL);
    }
  }
  for (unsigned key = 0; key < sim->options.keys && !sim->failed; key++) {
    if (sim->options.duplicate) {
      check_members(sim, at, key, &twin, shown, shown_count);
    } else {
      check_holder(sim, at, key, &twin, shown, shown_count);
    }
  }
  twin_deinit(&twin);
}

void
sim_twin_look(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (!sim->options.twins || sim->failed) {
    return;
  }
  struct twin_actor shown[64];
  size_t shown_count = 0;
  bool comparable = true;
  const struct holt_actor *next = NULL;
  struct sim_copy copy;
  while (!sim->failed && sim_core_copy(node->replica, &next, &copy)) {
    struct sim_log *const log = sim_log_find(sim, copy.id);
    if (log->joined_by[at] != node->twin_number) {
      log->joined_by[at] = node->twin_number;
      log->joined[at] = 0;
    }
    if (!copy.dirty && copy.version > log->joined[at]) {
      join_up_to(sim, &node->twin, log, log->joined[at], copy.version);
      log->joined[at] = copy.version;
      check_copy(sim, at, &copy);
      sim->total.twins++;
    }
    if (copy.shown && shown_count < 64) {
      shown[shown_count++] =
        (struct twin_actor){ copy.id, copy.oldest ? TWIN_KEEP_OLDEST
                                                  : TWIN_KEEP_NEWEST };
      comparable = comparable && !copy.dirty && copy.version == log->joined[at];
    }
  }
  if (!sim->failed && comparable && shown_count < 64 &&
      prng_chance(&sim->twins, VIEW_PERCENT, 100)) {
    check_view(sim, at, shown, shown_count);
    sim->total.twin_views++;
  }
}

void
sim_twin_new(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (sim->options.twins) {
    twin_init(&node->twin);
    node->twin_number = prng_next(&sim->twins) | 1;
  }
}

void
sim_twin_delete(struct sim *sim, unsigned at)
{
  if (sim->options.twins) {
    twin_deinit(&sim->nodes[at].twin);
  }
}
