/* SPDX-License-Identifier: Apache-2.0 */
/* What is seen of the rows: holders, lists and counts; and conflicts. */
#include <string.h>

#include "invariant.h"
#include "key_form.h"
#include "state.h"

void
holt__view_of(const struct holt_replica *replica, const struct holt_row *row,
              struct holt_view *view)
{
  const struct holt_rows *const rows = &replica->rows;
  const struct holt_actor *const actor = holt_row_actor(rows, row);
  const struct holt_local *const local = holt_row_local(rows, row);
  *view =
    (struct holt_view){ .actor = actor->id,
                        .seq = holt_row_seq(row),
                        .birth = holt_row_birth(row),
                        .stamp = row->stamp,
                        .standby = (row->birth_flags & HOLT_ROW_STANDBY) != 0,
                        .early = (row->birth_flags & HOLT_ROW_EARLY) != 0,
                        .local = local != NULL,
                        .host = local != NULL ? local->host : 0,
                        .node = actor->member.node,
                        .node_size = actor->member.node_size,
                        .creation = actor->creation,
                        .id = row->id,
                        .serial = local != NULL ? local->serial : row->serial };
  view->key = holt_row_key(rows, row, &view->key_size);
  view->value = holt_row_value(rows, row, &view->value_size);
}

bool
holt_replica_find(const struct holt_replica *replica, const uint8_t *key,
                  size_t key_size, struct holt_view *view)
{
  const uint32_t row = holt_rows_winner(&replica->rows, key, key_size);
  if (row == 0) {
    return false;
  }
  holt__view_of(replica, holt_row_at(&replica->rows, row), view);
  return true;
}

bool
holt_replica_member(const struct holt_replica *replica, const uint8_t *key,
                    size_t key_size, uint32_t id, uint32_t serial,
                    struct holt_view *view)
{
  const uint32_t ref = replica->rows.kind == HOLT_KIND_DUPLICATE
                         ? holt_rows_member(&replica->rows, key, key_size,
                                            replica->self, id, serial)
                         : 0;
  if (ref == 0) {
    return false;
  }
  const struct holt_row *const row = holt_row_at(&replica->rows, ref);
  if (holt_row_local(&replica->rows, row)->dead) {
    return false;
  }
  holt__view_of(replica, row, view);
  return true;
}

static bool
on_node(const struct holt_actor *actor, const uint8_t *node, size_t node_size)
{
  return actor->member.node_size == node_size &&
         memcmp(actor->member.node, node, node_size) == 0;
}

size_t
holt_replica_count_key(const struct holt_replica *replica, const uint8_t *key,
                       size_t key_size, const uint8_t *node, size_t node_size)
{
  const struct holt_rows *const rows = &replica->rows;
  if (node == NULL) {
    return holt_rows_count_key(rows, key, key_size, NULL);
  }
  size_t count = 0;
  for (const struct holt_actor *actor = rows->actor_list; actor != NULL;
       actor = actor->next) {
    if (actor->shown && on_node(actor, node, node_size)) {
      count += holt_rows_count_key(rows, key, key_size, actor);
    }
  }
  return count;
}

size_t
holt_replica_count(const struct holt_replica *replica)
{
  return holt_rows_count(&replica->rows);
}

size_t
holt_replica_count_entries(const struct holt_replica *replica)
{
  return replica->rows.kind == HOLT_KIND_DUPLICATE
           ? holt_rows_count_shown(&replica->rows)
           : holt_rows_count(&replica->rows);
}

struct scan {
  const struct holt_replica *replica;
  holt_view_fn visit;
  void *user;
};

static bool
scan_visit(void *user, uint32_t ref)
{
  const struct scan *const scan = user;
  const struct holt_rows *const rows = &scan->replica->rows;
  const struct holt_row *const row = holt_row_at(rows, ref);
  struct holt_view view;
  holt__view_of(scan->replica, row, &view);
  if (rows->kind == HOLT_KIND_DUPLICATE &&
      holt_rows_count_key(rows, view.key, view.key_size, NULL) == 0) {
    return true;
  }
  return scan->visit(scan->user, &view);
}

uint64_t
holt_replica_scan(const struct holt_replica *replica, uint64_t cursor,
                  holt_view_fn visit, void *user)
{
  struct scan scan = { .replica = replica, .visit = visit, .user = user };
  return holt_rows_scan(&replica->rows, cursor, scan_visit, &scan);
}

static bool
entry_visit(void *user, uint32_t ref)
{
  const struct scan *const scan = user;
  const struct holt_rows *const rows = &scan->replica->rows;
  const struct holt_row *const row = holt_row_at(rows, ref);
  if (!holt_row_visible(rows, row)) {
    return true;
  }
  struct holt_view view;
  holt__view_of(scan->replica, row, &view);
  return scan->visit(scan->user, &view);
}

uint64_t
holt_replica_scan_entries(const struct holt_replica *replica, uint64_t cursor,
                          holt_view_fn visit, void *user)
{
  if (replica->rows.kind == HOLT_KIND_UNIQUE) {
    return holt_replica_scan(replica, cursor, visit, user);
  }
  struct scan scan = { .replica = replica, .visit = visit, .user = user };
  return holt_rows_scan_rows(&replica->rows, cursor, entry_visit, &scan);
}

struct prefix_scan {
  struct scan scan;
  const uint8_t *prefix;
  size_t prefix_size;
};

static void
prefix_visit(void *user, uint32_t ref)
{
  const struct prefix_scan *const scan = user;
  struct holt_view view;
  holt__view_of(scan->scan.replica, holt_row_at(&scan->scan.replica->rows, ref),
                &view);
  (void)scan->scan.visit(scan->scan.user, &view);
}

static bool
prefix_entry_visit(void *user, uint32_t ref)
{
  const struct prefix_scan *const scan = user;
  const struct holt_rows *const rows = &scan->scan.replica->rows;
  const struct holt_row *const row = holt_row_at(rows, ref);
  size_t key_size;
  const uint8_t *const key = holt_row_key(rows, row, &key_size);
  if (holt_key_begins(key, key_size, scan->prefix, scan->prefix_size) &&
      holt_row_visible(rows, row)) {
    prefix_visit(user, ref);
  }
  return true;
}

uint64_t
holt_replica_scan_prefix(const struct holt_replica *replica, uint64_t cursor,
                         const uint8_t *prefix, size_t prefix_size,
                         holt_view_fn visit, void *user)
{
  struct prefix_scan scan = {
    .scan = { .replica = replica, .visit = visit, .user = user },
    .prefix = prefix,
    .prefix_size = prefix_size
  };
  return replica->rows.kind == HOLT_KIND_UNIQUE
           ? holt_rows_scan_prefix(&replica->rows, cursor, prefix, prefix_size,
                                   prefix_visit, &scan)
           : holt_rows_scan_rows(&replica->rows, cursor, prefix_entry_visit,
                                 &scan);
}

/*--------------------------------------------------------------------
 * Tours */

struct holt_tour {
  size_t count;
  size_t at;
  struct holt_walk walks[]; /* One for each member on the node. */
};

static size_t
tour_size(size_t count)
{
  return sizeof(struct holt_tour) + count * sizeof(struct holt_walk);
}

/* The first row of the process in this actor, if that is on its node. */
static uint32_t
process_row(const struct holt_replica *replica, const struct holt_actor *actor,
            const struct holt_process *process)
{
  if (!actor->shown || actor->creation != process->creation ||
      !on_node(actor, process->node, process->node_size)) {
    return 0;
  }
  return holt_rows_first_of_pid(&replica->rows, actor, process->id,
                                process->serial);
}

int
holt_tour_start(struct holt_replica *replica,
                const struct holt_process *process, struct holt_tour **out)
{
  size_t count = 0;
  const struct holt_actor *const first = replica->rows.actor_list;
  for (const struct holt_actor *actor = first; actor != NULL;
       actor = actor->next) {
    count += process_row(replica, actor, process) != 0 ? 1 : 0;
  }
  if (count == 0) {
    return HOLT_ERR_NOT_FOUND;
  }
  struct holt_tour *const tour =
    holt_mem_zalloc(replica->mem, tour_size(count));
  if (tour == NULL) {
    return HOLT_ERR_NOMEM;
  }
  for (const struct holt_actor *actor = first; actor != NULL;
       actor = actor->next) {
    const uint32_t row = process_row(replica, actor, process);
    if (row != 0) {
      holt_walk_start(&replica->rows, &tour->walks[tour->count++], row,
                      HOLT_WALK_PID);
    }
  }
  *out = tour;
  return 0;
}

int
holt_tour_start_key(struct holt_replica *replica, const uint8_t *key,
                    size_t key_size, struct holt_tour **out)
{
  const uint32_t row = holt_rows_first(&replica->rows, key, key_size);
  if (row == 0) {
    return HOLT_ERR_NOT_FOUND;
  }
  struct holt_tour *const tour = holt_mem_zalloc(replica->mem, tour_size(1));
  if (tour == NULL) {
    return HOLT_ERR_NOMEM;
  }
  tour->count = 1;
  holt_walk_start(&replica->rows, &tour->walks[0], row, HOLT_WALK_KEY);
  *out = tour;
  return 0;
}

/* In the view: visible, and, of a unique key that is not toured itself, the
 * holder. */
static bool
tour_shows(const struct holt_replica *replica, const struct holt_walk *walk,
           uint32_t ref)
{
  const struct holt_rows *const rows = &replica->rows;
  return holt_row_visible(rows, holt_row_at(rows, ref)) &&
         (rows->kind == HOLT_KIND_DUPLICATE || walk->over == HOLT_WALK_KEY ||
          holt_rows_winner_beside(rows, ref) == ref);
}

bool
holt_tour_next(const struct holt_replica *replica, struct holt_tour *tour,
               size_t budget, holt_view_fn visit, void *user)
{
  for (; budget > 0 && tour->at < tour->count; budget--) {
    struct holt_walk *const walk = &tour->walks[tour->at];
    if (walk->at == 0) {
      tour->at++;
      continue;
    }
    const uint32_t ref = walk->at;
    holt_walk_next(&replica->rows, walk);
    if (tour_shows(replica, walk, ref)) {
      struct holt_view view;
      holt__view_of(replica, holt_row_at(&replica->rows, ref), &view);
      if (!visit(user, &view)) {
        return false;
      }
    }
  }
  return tour->at < tour->count;
}

void
holt_tour_stop(struct holt_replica *replica, struct holt_tour *tour)
{
  for (size_t i = 0; i < tour->count; i++) {
    holt_walk_stop(&replica->rows, &tour->walks[i]);
  }
  holt_mem_free(replica->mem, tour, tour_size(tour->count));
}

/*--------------------------------------------------------------------
 * Conflicts */

void
holt__conflict_free(struct holt_replica *replica,
                    struct holt_conflict *conflict)
{
  if (conflict != NULL) {
    holt_mem_free(replica->mem, conflict,
                  sizeof *conflict + conflict->bytes_size);
  }
}

static int
conflict_new(struct holt_replica *replica, const struct holt_row *loser,
             const struct holt_row *winner, struct holt_conflict **out)
{
  struct holt_view lost;
  struct holt_view won;
  holt__view_of(replica, loser, &lost);
  holt__view_of(replica, winner, &won);
  const size_t size = lost.key_size + lost.value_size + won.node_size;
  struct holt_conflict *const conflict =
    holt_mem_alloc(replica->mem, sizeof *conflict + size);
  if (conflict == NULL) {
    return HOLT_ERR_NOMEM;
  }
  struct holt_row_spec spec;
  holt_row_spec_of(&replica->rows, winner, &spec);
  conflict->next = NULL;
  conflict->bytes_size = size;
  conflict->replaced = (spec.flags & HOLT_ROW_REPLACES) != 0 &&
                       spec.replaces_actor == lost.actor &&
                       spec.replaces_birth == lost.birth;
  uint8_t *at = conflict->bytes;
  memcpy(at, lost.key, lost.key_size);
  lost.key = at;
  at += lost.key_size;
  if (lost.value_size > 0) {
    memcpy(at, lost.value, lost.value_size);
  }
  lost.value = at;
  at += lost.value_size;
  memcpy(at, won.node, won.node_size);
  won.node = at;
  won.key = NULL;
  won.key_size = 0;
  won.value = NULL;
  won.value_size = 0;
  /* The loser is local: its host word says who it is. */
  lost.node = NULL;
  lost.node_size = 0;
  conflict->loser = lost;
  conflict->winner = won;
  *out = conflict;
  return 0;
}

/* Our row has lost its key.  False: no memory for the news, so the row has to
 * wait for it. */
static bool
lose(struct holt_replica *replica, uint32_t own, uint32_t winner)
{
  struct holt_conflict *conflict;
  if (conflict_new(replica, holt_row_at(&replica->rows, own),
                   holt_row_at(&replica->rows, winner), &conflict) != 0) {
    return false;
  }
  if (holt_mutant(UNTOLD)) {
    holt__conflict_free(replica, conflict);
    holt__own_remove(replica, own);
    return true;
  }
  *replica->conflicts_end = conflict;
  replica->conflicts_end = &conflict->next;
  replica->counters.conflicts += conflict->replaced ? 0 : 1;
  const struct holt_row *const row = holt_row_at(&replica->rows, winner);
  if (holt_row_actor(&replica->rows, row)->rule != replica->self->rule) {
    replica->counters.mixed_rules++;
  }
  holt__own_remove(replica, own);
  return true;
}

/* Our standby that this holder was registered to take the place of, or 0. */
static uint32_t
standby_replaced(const struct holt_replica *replica, uint32_t winner)
{
  const struct holt_rows *const rows = &replica->rows;
  struct holt_row_spec spec;
  holt_row_spec_of(rows, holt_row_at(rows, winner), &spec);
  if ((spec.flags & HOLT_ROW_REPLACES) == 0 ||
      spec.replaces_actor != replica->self->id) {
    return 0;
  }
  const uint32_t ref = holt_rows_born(rows, replica->self, spec.replaces_birth);
  if (ref == 0 || ref == winner) {
    return 0;
  }
  const struct holt_row *const row = holt_row_at(rows, ref);
  size_t key_size;
  const uint8_t *const key = holt_row_key(rows, row, &key_size);
  const bool replaced =
    (row->birth_flags & HOLT_ROW_STANDBY) != 0 && holt_row_visible(rows, row) &&
    key_size == spec.key_size && memcmp(key, spec.key, key_size) == 0;
  return replaced ? ref : 0;
}

static bool
same_key(const struct holt_rows *rows, uint32_t left, uint32_t right)
{
  size_t left_size;
  size_t right_size;
  const uint8_t *const left_key =
    holt_row_key(rows, holt_row_at(rows, left), &left_size);
  const uint8_t *const right_key =
    holt_row_key(rows, holt_row_at(rows, right), &right_size);
  return left_size == right_size && memcmp(left_key, right_key, left_size) == 0;
}

/* The same registration again, as one that waits; then it may go. */
static int
stand_by_for(struct holt_replica *replica, const struct holt_time *now,
             uint32_t own)
{
  struct holt_row_spec spec;
  holt_row_spec_of(&replica->rows, holt_row_at(&replica->rows, own), &spec);
  const struct holt_registration registration = { .key = spec.key,
                                                  .key_size = spec.key_size,
                                                  .value = spec.value,
                                                  .value_size = spec.value_size,
                                                  .id = spec.owner_id,
                                                  .serial = spec.owner_serial,
                                                  .flags =
                                                    HOLT_REGISTER_STANDBY };
  return holt_replica_register(replica, now, &registration, NULL);
}

static uint32_t
visible_born(const struct holt_replica *replica, const struct holt_actor *actor,
             uint64_t birth)
{
  const uint32_t ref =
    actor == NULL ? 0 : holt_rows_born(&replica->rows, actor, birth);
  return ref != 0 &&
             holt_row_visible(&replica->rows, holt_row_at(&replica->rows, ref))
           ? ref
           : 0;
}

int
holt_replica_lose(struct holt_replica *replica, const struct holt_time *now,
                  uint64_t own_birth, uint64_t winner_actor,
                  uint64_t winner_birth, bool stand_by)
{
  const struct holt_rows *const rows = &replica->rows;
  const uint32_t own = visible_born(replica, replica->self, own_birth);
  const uint32_t winner =
    visible_born(replica, holt_rows_actor(rows, winner_actor), winner_birth);
  if (rows->kind == HOLT_KIND_DUPLICATE || own == 0 || winner == 0 ||
      own == winner || !same_key(rows, own, winner) ||
      (holt_row_at(rows, own)->birth_flags & HOLT_ROW_STANDBY) != 0) {
    return HOLT_ERR_NOT_FOUND;
  }
  if (!stand_by) {
    return lose(replica, own, winner) ? 0 : HOLT_ERR_NOMEM;
  }
  const int rv = stand_by_for(replica, now, own);
  if (rv == 0) {
    holt__own_remove(replica, own);
  }
  return rv;
}

void
holt__key_settle(struct holt_replica *replica, uint32_t row)
{
  struct holt_rows *const rows = &replica->rows;
  const uint32_t winner = holt_rows_winner_beside(rows, row);
  if (winner == 0) {
    return;
  }
  const uint32_t first = holt_rows_first_of_beside(rows, row, replica->self);
  if (first == 0) {
    return;
  }
  struct holt_walk walk = { .active = false };
  holt_walk_start(rows, &walk, first, HOLT_WALK_KEY);
  bool all = true;
  while (walk.at != 0) {
    const uint32_t own = walk.at;
    const struct holt_row *const at = holt_row_at(rows, own);
    if (holt_row_actor(rows, at) != replica->self ||
        (at->birth_flags & HOLT_ROW_STANDBY) != 0) {
      break; /* Standbys, which wait, come last. */
    }
    holt_walk_next(rows, &walk);
    if (own != winner && holt_row_visible(rows, at)) {
      all = lose(replica, own, winner) && all;
    }
  }
  holt_walk_stop(rows, &walk);
  const uint32_t standby = standby_replaced(replica, winner);
  if (standby != 0) {
    all = lose(replica, standby, winner) && all;
  }
  if (!all) {
    replica->memory_at_ms = replica->mono_ms + HOLT_BUSY_MS;
  }
}

/*--------------------------------------------------------------------
 * Watching */

void
holt_replica_watch(struct holt_replica *replica, holt_change_fn watch,
                   void *user)
{
  replica->watch = watch;
  replica->watch_user = user;
}
