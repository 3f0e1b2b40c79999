/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of several rows: entries and cells.
 *
 * An actor that appears or disappears takes all its rows into or out of the
 * view, and that must not take longer for a million of them.  Lookups ask its
 * flag, so they are right at once.  What is left is where its rows meet those
 * of others: counts, and conflicts to be told of.  So these rows, which are
 * few, are kept by key and actor:
 *
 *     entry "bob"     cell ------- cell          in order of their coming
 *                      |            |
 *     entry "eve"      |           cell
 *                      |            |
 *     entry "joe"     cell         cell
 *                    actor 7      actor 9
 *                                   ^ settle_at
 *
 * Showing or hiding an actor puts settle_at on the first of its cells, and
 * slice by slice it moves along.  `counted` says as what a cell has been
 * counted, and each is counted as what its actor is now.
 *
 * In a cell the rows of a unique key stand in order of rank.  The first row's
 * link to the previous one leads to the last, so that those who wait in line,
 * and mostly are the last to come, are put there without a search. */
#include <string.h>

#include "rows_state.h"

/*--------------------------------------------------------------------
 * The index */

static uint32_t
pair_hash(const struct holt_rows *rows, uint32_t entry, uint32_t slot)
{
  return (uint32_t)holt_hash_u64(&rows->seed, (uint64_t)slot << 32 | entry);
}

static uint32_t *
cell_next(void *user, uint32_t ref)
{
  return &holt__cell_at(user, ref)->by_pair;
}

static uint32_t
cell_hash_of(void *user, uint32_t ref)
{
  const struct holt_cell *const cell = holt__cell_at(user, ref);
  return pair_hash(user, cell->entry, cell->slot);
}

void
holt__cells_init(struct holt_rows *rows)
{
  holt_index_init(&rows->cells, rows->mem, cell_next, cell_hash_of, rows);
}

void
holt__cells_deinit(struct holt_rows *rows)
{
  holt_index_deinit(&rows->cells);
}

uint32_t
holt__cell_find(const struct holt_rows *rows, uint32_t entry, uint32_t slot)
{
  uint32_t ref = holt_index_chain(&rows->cells, pair_hash(rows, entry, slot));
  while (ref != 0) {
    const struct holt_cell *const cell = holt__cell_at(rows, ref);
    if (cell->entry == entry && cell->slot == slot) {
      return ref;
    }
    ref = cell->by_pair;
  }
  return 0;
}

/*--------------------------------------------------------------------
 * Cells */

/* Have that many more or fewer rows of the entry shown. */
static void
entry_count_shown(struct holt_rows *rows, struct holt_entry *entry,
                  uint32_t shown)
{
  rows->excess -= entry->shown > 1 ? entry->shown - 1 : 0;
  entry->shown = shown;
  rows->excess += entry->shown > 1 ? entry->shown - 1 : 0;
}

/* Make block ref, just allocated, an empty cell of this entry and actor. */
static void
cell_link(struct holt_rows *rows, uint32_t ref, uint32_t entry_ref,
          struct holt_actor *actor)
{
  struct holt_entry *const entry = holt__entry_at(rows, entry_ref);
  *holt__cell_at(rows, ref) =
    (struct holt_cell){ .entry = entry_ref,
                        .slot = actor->slot,
                        .entry_prev = entry->last_cell,
                        .actor_next = actor->cells,
                        .counted = actor->shown };
  if (entry->last_cell != 0) {
    holt__cell_at(rows, entry->last_cell)->entry_next = ref;
  } else {
    entry->first_cell = ref;
  }
  entry->last_cell = ref;
  if (actor->cells != 0) {
    holt__cell_at(rows, actor->cells)->actor_prev = ref;
  }
  actor->cells = ref;
  actor->cell_count++;
  holt_index_insert(&rows->cells, ref, pair_hash(rows, entry_ref, actor->slot));
}

/* Go on to the next cell that is to be settled. */
static void
settle_advance(struct holt_rows *rows, struct holt_actor *actor,
               const struct holt_cell *cell)
{
  actor->settle_at = cell->actor_next;
  if (actor->settle_at == 0) {
    rows->settling--;
    actor->flickers = false;
  }
}

/* Free a cell without rows, and its entry if that was the last. */
static void
cell_unlink(struct holt_rows *rows, uint32_t ref)
{
  const struct holt_cell *const cell = holt__cell_at(rows, ref);
  struct holt_actor *const actor = holt__cell_actor(rows, cell);
  const uint32_t entry_ref = cell->entry;
  struct holt_entry *const entry = holt__entry_at(rows, entry_ref);
  if (actor->settle_at == ref) {
    settle_advance(rows, actor, cell);
  }
  if (cell->actor_prev != 0) {
    holt__cell_at(rows, cell->actor_prev)->actor_next = cell->actor_next;
  } else {
    actor->cells = cell->actor_next;
  }
  if (cell->actor_next != 0) {
    holt__cell_at(rows, cell->actor_next)->actor_prev = cell->actor_prev;
  }
  actor->cell_count--;
  if (cell->entry_prev != 0) {
    holt__cell_at(rows, cell->entry_prev)->entry_next = cell->entry_next;
  } else {
    entry->first_cell = cell->entry_next;
  }
  if (cell->entry_next != 0) {
    holt__cell_at(rows, cell->entry_next)->entry_prev = cell->entry_prev;
  } else {
    entry->last_cell = cell->entry_prev;
  }
  holt_index_remove(&rows->cells, ref);
  holt_slab_free(&rows->slab, ref);
  if (entry->first_cell == 0) {
    holt_assert(entry->row_count == 0 && entry->shown == 0);
    holt_index_remove(&rows->keys, entry_ref);
    holt_slab_free(&rows->slab, entry_ref);
  }
}

/*--------------------------------------------------------------------
 * Rows in a cell */

/* The row before which a new one belongs in its cell, or 0: at the end.  Those
 * who wait in line join it at its end, all others start at the front. */
static uint32_t
cell_place(const struct holt_rows *rows, const struct holt_cell *cell,
           const struct holt_row *row)
{
  if (rows->kind == HOLT_KIND_DUPLICATE || cell->first_row == 0) {
    return 0;
  }
  if ((holt__row_flags(row) & HOLT_ROW_STANDBY) == 0) {
    uint32_t next = cell->first_row;
    while (next != 0) {
      const struct holt_row *const other = holt_row_at(rows, next);
      if (holt_row_outranks(rows, row, other)) {
        break;
      }
      next = other->link[HOLT_LINK_NEXT];
    }
    return next;
  }
  uint32_t next = 0;
  for (;;) {
    const uint32_t prev =
      next == 0 ? holt_row_at(rows, cell->first_row)->link[HOLT_LINK_PREV]
                : holt_row_at(rows, next)->link[HOLT_LINK_PREV];
    if (!holt_row_outranks(rows, row, holt_row_at(rows, prev))) {
      return next;
    }
    next = prev;
    if (next == cell->first_row) {
      return next;
    }
  }
}

static void
cell_insert(struct holt_rows *rows, uint32_t cell_ref, uint32_t ref)
{
  struct holt_cell *const cell = holt__cell_at(rows, cell_ref);
  struct holt_entry *const entry = holt__entry_at(rows, cell->entry);
  struct holt_row *const row = holt_row_at(rows, ref);
  const uint32_t next = cell_place(rows, cell, row);
  row->birth_flags |= HOLT_ROW_LISTED;
  row->link[HOLT_LINK_CELL] = cell_ref;
  row->link[HOLT_LINK_NEXT] = next;
  if (cell->first_row == 0) {
    row->link[HOLT_LINK_PREV] = ref;
    cell->first_row = ref;
  } else {
    /* Whoever is before the end is the last one: see HOLT_LINK_PREV. */
    struct holt_row *const after =
      holt_row_at(rows, next == 0 ? cell->first_row : next);
    const uint32_t prev = after->link[HOLT_LINK_PREV];
    row->link[HOLT_LINK_PREV] = prev;
    after->link[HOLT_LINK_PREV] = ref;
    if (next == cell->first_row) {
      cell->first_row = ref;
    } else {
      holt_row_at(rows, prev)->link[HOLT_LINK_NEXT] = ref;
    }
  }
  cell->row_count++;
  entry->row_count++;
  if (cell->counted) {
    entry_count_shown(rows, entry, entry->shown + 1);
  }
}

void
holt__cell_remove(struct holt_rows *rows, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  const uint32_t cell_ref = row->link[HOLT_LINK_CELL];
  struct holt_cell *const cell = holt__cell_at(rows, cell_ref);
  struct holt_entry *const entry = holt__entry_at(rows, cell->entry);
  const uint32_t prev = row->link[HOLT_LINK_PREV];
  const uint32_t next = row->link[HOLT_LINK_NEXT];
  cell->row_count--;
  entry->row_count--;
  if (cell->counted) {
    entry_count_shown(rows, entry, entry->shown - 1);
  }
  if (cell->row_count == 0) {
    cell_unlink(rows, cell_ref);
    return;
  }
  if (cell->first_row == ref) {
    cell->first_row = next;
  } else {
    holt_row_at(rows, prev)->link[HOLT_LINK_NEXT] = next;
  }
  holt_row_at(rows, next == 0 ? cell->first_row : next)->link[HOLT_LINK_PREV] =
    prev;
}

/*--------------------------------------------------------------------
 * Putting */

/* A row that has been alone, and the one that joins it. */
static int
entry_prepare(struct holt_rows *rows, const struct holt_actor *actor,
              const struct holt_row_spec *spec, struct holt_put *put)
{
  int rv = holt_index_reserve(&rows->cells);
  if (rv == 0) {
    rv =
      holt__block_new(rows, offsetof(struct holt_entry, key) + spec->key_size,
                      HOLT_BLOCK_ENTRY, &put->entry);
  }
  if (rv == 0) {
    rv = holt__block_new(rows, sizeof(struct holt_cell), HOLT_BLOCK_ANY,
                         &put->other_cell);
  }
  if (rv == 0 &&
      holt__row_slot(holt_row_at(rows, put->key_ref)) != actor->slot) {
    rv = holt__block_new(rows, sizeof(struct holt_cell), HOLT_BLOCK_ANY,
                         &put->cell);
  }
  return rv;
}

int
holt__cells_prepare(struct holt_rows *rows, const struct holt_actor *actor,
                    const struct holt_row_spec *spec, struct holt_put *put)
{
  if (!holt__is_entry(rows, put->key_ref)) {
    return entry_prepare(rows, actor, spec, put);
  }
  return holt__cell_find(rows, put->key_ref, actor->slot) != 0
           ? 0
           : holt__block_new(rows, sizeof(struct holt_cell), HOLT_BLOCK_ANY,
                             &put->cell);
}

/* Give a row that has been alone an entry.  Returns that. */
static uint32_t
key_share(struct holt_rows *rows, const struct holt_put *put)
{
  struct holt_row *const other = holt_row_at(rows, put->key_ref);
  struct holt_entry *const entry = holt__entry_at(rows, put->entry);
  const uint32_t key_size = other->link[HOLT_LINK_KEY_SIZE];
  memset(entry, 0, offsetof(struct holt_entry, key));
  entry->link[HOLT_LINK_HASH] = put->place.key;
  entry->link[HOLT_LINK_KEY_SIZE] = key_size;
  memcpy(entry->key, other->key, key_size);
  holt_index_replace(&rows->keys, put->key_ref, put->entry);
  cell_link(rows, put->other_cell, put->entry, holt_row_actor(rows, other));
  cell_insert(rows, put->other_cell, put->key_ref);
  return put->entry;
}

void
holt__cells_join(struct holt_rows *rows, struct holt_actor *actor,
                 const struct holt_put *put)
{
  const uint32_t entry = put->entry != 0 ? key_share(rows, put) : put->key_ref;
  uint32_t cell = put->cell;
  if (cell != 0) {
    cell_link(rows, cell, entry, actor);
  } else {
    cell = holt__cell_find(rows, entry, actor->slot);
  }
  cell_insert(rows, cell, put->row);
}

/*--------------------------------------------------------------------
 * Showing and hiding */

void
holt_rows_settle_all(struct holt_rows *rows, struct holt_actor *actor)
{
  if (actor->cells == 0) {
    return;
  }
  rows->settling += actor->settle_at == 0 ? 1u : 0u;
  actor->settle_at = actor->cells;
}

void
holt_rows_show(struct holt_rows *rows, struct holt_actor *actor, bool shown)
{
  if (actor->shown != shown) {
    actor->shown = shown;
    actor->flickers = actor->settle_at != 0;
    holt_rows_settle_all(rows, actor);
    if (rows->on_change != NULL) {
      holt__told_shown(rows, actor);
    }
  }
}

bool
holt__cell_settle(struct holt_rows *rows, struct holt_cell *cell)
{
  const bool shown = holt__cell_actor(rows, cell)->shown;
  if (cell->counted == shown) {
    return false;
  }
  cell->counted = shown;
  struct holt_entry *const entry = holt__entry_at(rows, cell->entry);
  entry_count_shown(rows, entry,
                    shown ? entry->shown + cell->row_count
                          : entry->shown - cell->row_count);
  return true;
}

/* The first row of the key of a cell. */
static uint32_t
first_beside(const struct holt_rows *rows, const struct holt_cell *cell)
{
  const uint32_t first = holt__entry_at(rows, cell->entry)->first_cell;
  return holt__cell_at(rows, first)->first_row;
}

bool
holt_rows_settle(struct holt_rows *rows, size_t *budget,
                 void (*settle)(void *user, uint32_t row), void *user)
{
  struct holt_actor *actor = rows->actor_list;
  while (rows->settling > 0 && *budget > 0) {
    while (actor->settle_at == 0) {
      actor = actor->next != NULL ? actor->next : rows->actor_list;
    }
    (*budget)--;
    struct holt_cell *const cell = holt__cell_at(rows, actor->settle_at);
    const bool flickers = actor->flickers;
    settle_advance(rows, actor, cell);
    if (actor->settle_at != 0) {
      const struct holt_cell *const next =
        holt__cell_at(rows, actor->settle_at);
      holt_prefetch(next);
      holt_prefetch(holt__entry_at(rows, next->entry));
      holt_prefetch(holt_row_at(rows, next->first_row));
    }
    if (rows->on_change != NULL) {
      holt__told_settle(rows, cell->entry, flickers);
    }
    (void)holt__cell_settle(rows, cell);
    if (settle != NULL && actor->shown) {
      settle(user, first_beside(rows, cell));
    }
  }
  return rows->settling > 0;
}
