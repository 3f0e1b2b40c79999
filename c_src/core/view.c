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
  if ((scan->prefix == NULL ||
       holt_key_begins(key, key_size, scan->prefix, scan->prefix_size)) &&
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

/* Where bytes are copied to. */
struct copies {
  uint8_t *at;
};

static const uint8_t *
copy(struct copies *copies, const uint8_t *bytes, size_t size)
{
  uint8_t *const at = copies->at;
  if (size > 0) {
    memcpy(at, bytes, size);
  }
  copies->at += size;
  return at;
}

static void
copy_view(struct copies *copies, struct holt_view *view)
{
  view->key = copy(copies, view->key, view->key_size);
  view->value = copy(copies, view->value, view->value_size);
  view->node = copy(copies, view->node, view->node_size);
}

static size_t
view_size(const struct holt_view *view)
{
  return view->key_size + view->value_size + view->node_size;
}

int
holt__conflict_new(struct holt_replica *replica, uint32_t loser,
                   uint32_t winner, bool whole, struct holt_conflict **out)
{
  const struct holt_rows *const rows = &replica->rows;
  struct holt_view lost;
  struct holt_view won;
  holt__view_of(replica, holt_row_at(rows, loser), &lost);
  holt__view_of(replica, holt_row_at(rows, winner), &won);
  if (!whole) {
    won.key = NULL;
    won.key_size = 0;
    won.value = NULL;
    won.value_size = 0;
  }
  const struct holt_member *const member =
    &holt_row_actor(rows, holt_row_at(rows, loser))->member;
  const size_t size = view_size(&lost) + view_size(&won) + member->name_size;
  struct holt_conflict *const conflict =
    holt_mem_alloc(replica->mem, sizeof *conflict + size);
  if (conflict == NULL) {
    return HOLT_ERR_NOMEM;
  }
  conflict->next = NULL;
  conflict->bytes_size = size;
  conflict->replaced = holt_row_replaces(rows, holt_row_at(rows, winner),
                                         holt_row_at(rows, loser));
  struct copies copies = { .at = conflict->bytes };
  copy_view(&copies, &lost);
  copy_view(&copies, &won);
  conflict->member = (struct holt_member){ .name = copy(&copies, member->name,
                                                        member->name_size),
                                           .name_size = member->name_size,
                                           .node = lost.node,
                                           .node_size = lost.node_size };
  conflict->loser = lost;
  conflict->winner = won;
  *out = conflict;
  return 0;
}

int
holt__conflict_lose(struct holt_replica *replica, uint32_t own, uint32_t winner)
{
  struct holt_conflict *conflict;
  if (holt__conflict_new(replica, own, winner, false, &conflict) != 0) {
    return HOLT_ERR_NOMEM;
  }
  const enum holt_reason why =
    conflict->replaced ? HOLT_REASON_GIVEN_AWAY : HOLT_REASON_CONFLICT;
  if (holt_mutant(UNTOLD)) {
    holt__conflict_free(replica, conflict);
    holt__own_remove(replica, own, why);
    return 0;
  }
  *replica->conflicts_end = conflict;
  replica->conflicts_end = &conflict->next;
  replica->counters.conflicts += conflict->replaced ? 0 : 1;
  const struct holt_row *const row = holt_row_at(&replica->rows, winner);
  if (holt_row_actor(&replica->rows, row)->rule != replica->self->rule) {
    replica->counters.mixed_rules++;
  }
  holt__own_remove(replica, own, why);
  return 0;
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
  holt__contest_look(replica, first);
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
    if (own != winner && holt_row_visible(rows, at) &&
        holt__decided_by_rank(replica, own, winner)) {
      all = holt__conflict_lose(replica, own, winner) == 0 && all;
    }
  }
  holt_walk_stop(rows, &walk);
  const uint32_t standby = standby_replaced(replica, winner);
  if (standby != 0) {
    all = holt__conflict_lose(replica, standby, winner) == 0 && all;
  }
  if (!all) {
    replica->memory_at_ms = replica->mono_ms + HOLT_BUSY_MS;
  }
}

/*--------------------------------------------------------------------
 * Watching */

/* A row that has changed in place stands for itself but for its key, which is
 * behind the one in the store. */
static void
change_rows(const struct holt_replica *replica,
            const struct holt_rows_change *from, struct holt_change *change)
{
  if (from->now != NULL) {
    holt__view_of(replica, from->now, &change->now);
  }
  change->had = from->before != NULL;
  if (change->had) {
    holt__view_of(replica, from->before, &change->before);
  }
  if (from->type == HOLT_CHANGE_UPDATED) {
    change->before.key = change->now.key;
    change->before.key_size = change->now.key_size;
  }
}

static void
on_change(void *user, const struct holt_rows_change *from)
{
  const struct holt_replica *const replica = user;
  struct holt_change change = { .type = from->type, .reason = from->reason };
  change_rows(replica, from, &change);
  if (from->actor != NULL) {
    change.member = from->actor->member;
    change.actor = from->actor->id;
    change.count = from->actor->row_count;
  }
  replica->watch(replica->watch_user, &change);
}

void
holt_replica_watch(struct holt_replica *replica, holt_change_fn watch,
                   void *user)
{
  replica->watch = watch;
  replica->watch_user = user;
  replica->rows.on_change = watch == NULL ? NULL : on_change;
}
