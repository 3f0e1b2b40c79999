/* SPDX-License-Identifier: Apache-2.0 */
/* The view, by looking at everything: each row of each copy that is shown, and
 * from them each key's rule, holder, and rows. */
#include <string.h>

#include "sim_core.h"

/* What is to be seen of a key. */
struct look {
  uint64_t round; /* Another one: nothing. */
  size_t rows;    /* Of copies that are shown. */
  size_t visible; /* Of processes that live, too. */
  uint64_t sum;   /* Over these, in no order. */
  size_t rows_on[SIM_NODES_MAX];
  struct sim_rank rank; /* The holder's, when visible > 0. */
  struct holt_row_spec row;
  /* And by what was told, which has the dead until their rows go. */
  struct sim_rank told;
  uint64_t told_seq;
};

struct naive {
  struct look looks[SIM_KEYS_MAX];
  uint64_t round;
  size_t visible; /* Keys with a holder. */
  size_t keys;    /* Keys with rows. */
};

uint64_t
sim_view_sum(uint64_t actor, uint64_t seq, uint64_t birth)
{
  return (actor ^ seq * UINT64_C(0x9e3779b97f4a7c15)) * (2 * birth + 1);
}

static void
add_row(struct naive *naive, const struct sim_copy *copy,
        const struct sim_log *log, const struct sim_row *row)
{
  struct look *const look = &naive->looks[log->entries[row->spec.seq].key];
  if (look->round != naive->round) {
    *look = (struct look){ .round = naive->round };
    naive->keys++;
  }
  look->rows++;
  look->rows_on[log->node]++;
  const struct sim_rank rank = { .actor = copy->id,
                                 .oldest = copy->oldest,
                                 .birth = row->spec.birth,
                                 .stamp = row->spec.stamp,
                                 .flags = row->spec.flags };
  if (look->rows == 1 || sim_core_outranks(&rank, &look->told)) {
    look->told = rank;
    look->told_seq = row->spec.seq;
  }
  if (row->dead) {
    return;
  }
  if (look->visible == 0 || sim_core_outranks(&rank, &look->rank)) {
    look->rank = rank;
    look->row = row->spec;
  }
  naive->visible += look->visible == 0 ? 1 : 0;
  look->visible++;
  look->sum += sim_view_sum(copy->id, row->spec.seq, row->spec.birth);
}

static void
look_at_all(struct sim *sim, unsigned at, struct naive *naive)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  const struct holt_actor *next = NULL;
  struct sim_copy copy;
  naive->round++;
  naive->visible = 0;
  naive->keys = 0;
  while (sim_core_copy(replica, &next, &copy)) {
    const struct sim_log *const log = sim_log_find(sim, copy.id);
    uintptr_t walk = 0;
    struct sim_row row;
    size_t count = 0;
    uint64_t sum = 0;
    while (copy.shown && sim_core_row(replica, &copy, &walk, &row)) {
      add_row(naive, &copy, log, &row);
      count++;
      sum += sim_view_sum(copy.id, row.spec.seq, row.spec.birth);
    }
    if (sim->options.duplicate) {
      sim_told_check_share(sim, at, copy.id, count, sum);
    }
  }
}

/*--------------------------------------------------------------------
 * Unique keys */

static void
check_holder(struct sim *sim, unsigned at, unsigned key,
             const struct look *look)
{
  struct holt_view view;
  const bool found = holt_replica_find(
    sim->nodes[at].replica, sim->keys[key].bytes, sim->keys[key].size, &view);
  if (found != (look->visible > 0) ||
      (found &&
       (view.actor != look->rank.actor || view.seq != look->row.seq ||
        view.birth != look->row.birth || view.stamp != look->row.stamp ||
        view.value != look->row.value))) {
    sim_fail(sim, "n%u: find and look disagree about key %u", at, key);
  }
}

/*--------------------------------------------------------------------
 * Duplicate keys */

struct members {
  struct sim *sim;
  unsigned at;
  size_t count;
  uint64_t sum;
};

static bool
members_visit(void *user, const struct holt_view *view)
{
  struct members *const members = user;
  members->count++;
  members->sum += sim_view_sum(view->actor, view->seq, view->birth);
  return true;
}

/* The rows of a key, of any kind, are what a tour in one go visits. */
static void
check_rows_of(struct sim *sim, unsigned at, unsigned key,
              const struct look *look)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct sim_key *const name = &sim->keys[key];
  struct members members = { .sim = sim, .at = at };
  struct holt_tour *tour;
  const int rv =
    holt_tour_start_key(node->replica, name->bytes, name->size, &tour);
  if (rv == 0) {
    while (holt_tour_next(node->replica, tour, 1000, members_visit, &members)) {
    }
    holt_tour_stop(node->replica, tour);
  }
  if ((rv != 0 && rv != HOLT_ERR_NOT_FOUND) || members.count != look->visible ||
      members.sum != look->sum) {
    sim_fail(sim, "n%u visits %zu of %zu rows of key %u", at, members.count,
             look->visible, key);
  }
}

static void
check_counts(struct sim *sim, unsigned at, unsigned key,
             const struct look *look)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  const struct sim_key *const name = &sim->keys[key];
  const size_t all =
    holt_replica_count_key(replica, name->bytes, name->size, NULL, 0);
  if (all != look->rows) {
    sim_fail(sim, "n%u counts %zu rows of key %u, not %zu", at, all, key,
             look->rows);
  }
  for (unsigned i = 0; i < sim->options.nodes && !sim->failed; i++) {
    const struct holt_member *const member = &sim->nodes[i].own;
    const size_t on = holt_replica_count_key(replica, name->bytes, name->size,
                                             member->node, member->node_size);
    const bool another = sim->nodes[i].alone && i != at; /* So is this one. */
    if (!another && on != look->rows_on[i]) {
      sim_fail(sim, "n%u counts %zu rows of key %u on n%u, not %zu", at, on,
               key, i, look->rows_on[i]);
    }
  }
}

/*--------------------------------------------------------------------
 * Scans */

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

void
sim_check_view(struct sim *sim, unsigned at)
{
  static struct naive naive;
  const bool duplicate = sim->options.duplicate;
  const struct holt_replica *const replica = sim->nodes[at].replica;
  look_at_all(sim, at, &naive);
  const struct look nothing = { .round = 0 };
  /* All when there are few, else some, and others the next time. */
  const bool some = sim->options.big;
  for (unsigned key = 0; key < sim->options.keys && !sim->failed; key++) {
    const struct look *const look =
      naive.looks[key].round == naive.round ? &naive.looks[key] : &nothing;
    if (!duplicate) {
      check_holder(sim, at, key, look);
    }
    if (!duplicate && !sim_core_settles(replica)) {
      sim_told_check_key(sim, at, key, look->told.actor, look->told_seq);
    }
    if (!some || (key + naive.round) % 16 == 0) {
      check_rows_of(sim, at, key, look);
      check_counts(sim, at, key, look);
    }
  }
  const size_t names = duplicate ? naive.keys : naive.visible;
  if (!sim->failed) {
    check_scan(sim, at, names);
  }
  if (!sim_core_busy(replica) && holt_replica_count(replica) != names) {
    sim_fail(sim, "n%u counts %zu names, not %zu", at,
             holt_replica_count(replica), names);
  }
}
