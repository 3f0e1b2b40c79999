/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a key?
 *
 * Nobody keeps it: it is computed whenever it is asked for, from the rows of
 * the key whose actors are shown at the moment.  For most keys that is one row.
 * For the others each cell is in order of rank, so only the first row of each
 * that is visible is compared:
 *
 *     "bob" --> cell (actor 7)      row*   row   row
 *           \-> cell (actor 9)      row    row*             * first visible
 *           \-> cell (actor 4)                              hidden: passed over
 *                                   best of * wins
 *
 * The order is total and goes by what rows are born with, so every replica that
 * sees the same rows names the same winner.
 *
 * Counting all keys must not look at them: every row that is shown counts, less
 * the excess, which cells.c keeps: for each key, the rows beyond the first. */
#include <string.h>

#include "key_form.h"
#include "mutant.h"
#include "rows_state.h"

/* So many cells of a key are looked through before its index is asked. */
#define CELLS_NEAR 4u

/*--------------------------------------------------------------------
 * The index */

static uint32_t
key_hash_of(void *user, uint32_t ref)
{
  return holt__key_links(user, ref)[HOLT_LINK_HASH];
}

void
holt__keys_init(struct holt_rows *rows)
{
  holt_index_init(&rows->keys, rows->mem, holt__key_next, key_hash_of, rows);

  /* Each look at a row under another key is a miss of the cache, so buckets are
   * well spent here.  Keys of groups have many rows. */
  rows->keys.sparse = rows->kind == HOLT_KIND_UNIQUE;
}

void
holt__keys_deinit(struct holt_rows *rows)
{
  holt_index_deinit(&rows->keys);
}

static uint32_t
key_lookup(const struct holt_rows *rows, const uint8_t *key, size_t key_size)
{
  return holt__key_find(rows, key, key_size,
                        holt__key_hash(rows, key, key_size));
}

/*--------------------------------------------------------------------
 * Under a key */

void
holt__key_join(struct holt_rows *rows, struct holt_actor *actor,
               const struct holt_row_spec *spec, const struct holt_put *put)
{
  if (put->key_ref != 0) {
    holt__cells_join(rows, actor, put);
    return;
  }
  struct holt_row *const row = holt_row_at(rows, put->row);
  row->link[HOLT_LINK_HASH] = put->place.key;
  row->link[HOLT_LINK_KEY_SIZE] = (uint32_t)spec->key_size;
  memcpy(row->key, spec->key, spec->key_size);
  holt_index_insert_inline(&rows->keys, put->row, put->place.key,
                           holt__key_next, key_hash_of);
}

void
holt__key_unlink(struct holt_rows *rows, uint32_t ref)
{
  holt__walks_step_over(rows, ref, HOLT_WALK_KEY);
  if (holt__row_listed(holt_row_at(rows, ref))) {
    holt__cell_remove(rows, ref);
  } else {
    holt_index_remove(&rows->keys, ref);
  }
}

/*--------------------------------------------------------------------
 * Who ranks first */

static bool
row_is_older(const struct holt_rows *rows, const struct holt_row *left,
             const struct holt_row *right)
{
  if (left->stamp != right->stamp) {
    return left->stamp < right->stamp;
  }
  const uint64_t left_id = holt_row_actor(rows, left)->id;
  const uint64_t right_id = holt_row_actor(rows, right)->id;
  if (left_id != right_id) {
    return left_id < right_id;
  }
  return holt_row_birth(left) < holt_row_birth(right);
}

bool
holt_rule_outranks(enum holt_rule left, enum holt_rule right)
{
  return left != right &&
         (left == HOLT_RULE_NEWEST || right == HOLT_RULE_OLDEST);
}

bool
holt_row_outranks(const struct holt_rows *rows, const struct holt_row *left,
                  const struct holt_row *right)
{
  if (holt_mutant(ARRIVAL_ORDER)) {
    return (uintptr_t)left < (uintptr_t)right;
  }
  const bool standby = (holt__row_flags(left) & HOLT_ROW_STANDBY) != 0;
  if (standby != ((holt__row_flags(right) & HOLT_ROW_STANDBY) != 0)) {
    return !standby;
  }
  if (standby) {
    return row_is_older(rows, left, right);
  }
  const enum holt_rule rule = holt_row_actor(rows, left)->rule;
  if (rule != holt_row_actor(rows, right)->rule) {
    return holt_rule_outranks(rule, holt_row_actor(rows, right)->rule);
  }
  if (rule == HOLT_RULE_OLDEST) {
    return row_is_older(rows, left, right);
  }
  const bool early = (holt__row_flags(left) & HOLT_ROW_EARLY) != 0;
  if (early != ((holt__row_flags(right) & HOLT_ROW_EARLY) != 0)) {
    return !early;
  }
  return early ? row_is_older(rows, left, right)
               : row_is_older(rows, right, left);
}

bool
holt_row_visible(const struct holt_rows *rows, const struct holt_row *row)
{
  const struct holt_actor *const actor = holt_row_actor(rows, row);
  return actor->shown &&
         !(actor->local && holt_local_at(rows, row->serial)->dead);
}

/* The row of a cell that ranks first among those that are visible: a cell is in
 * order. */
static uint32_t
cell_best(const struct holt_rows *rows, const struct holt_cell *cell)
{
  uint32_t ref = cell->first_row;
  while (ref != 0 && !holt_row_visible(rows, holt_row_at(rows, ref))) {
    ref = holt_row_at(rows, ref)->link[HOLT_LINK_NEXT];
  }
  return ref;
}

static uint32_t
entry_winner(const struct holt_rows *rows, const struct holt_entry *entry)
{
  uint32_t winner = 0;
  for (uint32_t ref = entry->first_cell; ref != 0;) {
    const struct holt_cell *const cell = holt__cell_at(rows, ref);
    const uint32_t best =
      holt__cell_actor(rows, cell)->shown ? cell_best(rows, cell) : 0;
    if (best != 0 &&
        (winner == 0 || holt_row_outranks(rows, holt_row_at(rows, best),
                                          holt_row_at(rows, winner)))) {
      winner = best;
    }
    ref = cell->entry_next;
  }
  return winner;
}

static uint32_t
key_winner(const struct holt_rows *rows, uint32_t key_ref)
{
  if (holt__is_entry(rows, key_ref)) {
    return entry_winner(rows, holt__entry_at(rows, key_ref));
  }
  return holt_row_visible(rows, holt_row_at(rows, key_ref)) ? key_ref : 0;
}

uint32_t
holt_rows_winner(const struct holt_rows *rows, const uint8_t *key,
                 size_t key_size)
{
  const uint32_t key_ref = key_lookup(rows, key, key_size);
  return key_ref == 0 ? 0 : key_winner(rows, key_ref);
}

uint32_t
holt_rows_winner_beside(const struct holt_rows *rows, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  return key_winner(rows,
                    holt__row_listed(row)
                      ? holt__cell_at(rows, row->link[HOLT_LINK_CELL])->entry
                      : ref);
}

/*--------------------------------------------------------------------
 * All rows of a key */

bool
holt_row_shared(const struct holt_rows *rows, const struct holt_row *row)
{
  if (!holt__row_listed(row)) {
    return false;
  }
  const struct holt_cell *const cell =
    holt__cell_at(rows, row->link[HOLT_LINK_CELL]);
  return holt__entry_at(rows, cell->entry)->row_count > 1;
}

static uint32_t
key_first(const struct holt_rows *rows, uint32_t key_ref)
{
  if (!holt__is_entry(rows, key_ref)) {
    return key_ref;
  }
  const uint32_t cell = holt__entry_at(rows, key_ref)->first_cell;
  return holt__cell_at(rows, cell)->first_row;
}

uint32_t
holt_rows_first(const struct holt_rows *rows, const uint8_t *key,
                size_t key_size)
{
  const uint32_t key_ref = key_lookup(rows, key, key_size);
  return key_ref == 0 ? 0 : key_first(rows, key_ref);
}

uint32_t
holt_rows_first_of(const struct holt_rows *rows, const uint8_t *key,
                   size_t key_size, const struct holt_actor *actor)
{
  const uint32_t key_ref = key_lookup(rows, key, key_size);
  if (key_ref == 0) {
    return 0;
  }
  if (!holt__is_entry(rows, key_ref)) {
    return holt__row_slot(holt_row_at(rows, key_ref)) == actor->slot ? key_ref
                                                                     : 0;
  }
  const uint32_t cell = holt__cell_find(rows, key_ref, actor->slot);
  return cell == 0 ? 0 : holt__cell_at(rows, cell)->first_row;
}

uint32_t
holt_rows_first_of_beside(const struct holt_rows *rows, uint32_t ref,
                          const struct holt_actor *actor)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  if (!holt__row_listed(row)) {
    return holt__row_slot(row) == actor->slot ? ref : 0;
  }
  const uint32_t entry = holt__cell_at(rows, row->link[HOLT_LINK_CELL])->entry;
  uint32_t cell = holt__entry_at(rows, entry)->first_cell;
  for (unsigned i = 0; i < CELLS_NEAR; i++) {
    if (cell == 0) {
      return 0;
    }
    if (holt__cell_at(rows, cell)->slot == actor->slot) {
      return holt__cell_at(rows, cell)->first_row;
    }
    cell = holt__cell_at(rows, cell)->entry_next;
  }
  cell = holt__cell_find(rows, entry, actor->slot);
  return cell == 0 ? 0 : holt__cell_at(rows, cell)->first_row;
}

/*--------------------------------------------------------------------
 * Counts and scans */

size_t
holt_rows_count_key(const struct holt_rows *rows, const uint8_t *key,
                    size_t key_size, const struct holt_actor *actor)
{
  if (actor != NULL && !actor->shown) {
    return 0;
  }
  const uint32_t key_ref = key_lookup(rows, key, key_size);
  if (key_ref == 0) {
    return 0;
  }
  if (!holt__is_entry(rows, key_ref)) {
    const struct holt_actor *const owner =
      holt_row_actor(rows, holt_row_at(rows, key_ref));
    return owner->shown && (actor == NULL || actor == owner) ? 1 : 0;
  }
  if (actor != NULL) {
    const uint32_t cell = holt__cell_find(rows, key_ref, actor->slot);
    return cell == 0 ? 0 : holt__cell_at(rows, cell)->row_count;
  }
  size_t count = 0;
  for (uint32_t ref = holt__entry_at(rows, key_ref)->first_cell; ref != 0;) {
    const struct holt_cell *const cell = holt__cell_at(rows, ref);
    count += holt__cell_actor(rows, cell)->shown ? cell->row_count : 0;
    ref = cell->entry_next;
  }
  return count;
}

size_t
holt_rows_count_shown(const struct holt_rows *rows)
{
  size_t count = 0;
  for (const struct holt_actor *actor = rows->actor_list; actor != NULL;
       actor = actor->next) {
    count += actor->shown ? actor->row_count : 0;
  }
  return count;
}

size_t
holt_rows_count(const struct holt_rows *rows)
{
  const size_t count = holt_rows_count_shown(rows);
  /* While keys wait to be settled the excess may be too great. */
  return count > rows->excess ? count - rows->excess : 0;
}

uint64_t
holt_rows_scan(const struct holt_rows *rows, uint64_t cursor,
               bool (*visit)(void *user, uint32_t row), void *user)
{
  bool visited = false;
  for (uint32_t i = 0; !visited && i < HOLT_SCAN_CHAINS_MAX; i++) {
    uint32_t ref;
    const uint64_t next = holt_index_scan(&rows->keys, cursor, &ref);
    while (ref != 0) {
      const uint32_t key_ref = ref;
      const uint32_t *const links = holt__key_links(rows, ref);
      ref = links[HOLT_LINK_CHAIN];
      if (holt_index_position(links[HOLT_LINK_HASH]) < cursor) {
        continue;
      }
      const uint32_t row = rows->kind == HOLT_KIND_UNIQUE
                             ? key_winner(rows, key_ref)
                             : key_first(rows, key_ref);
      visited = visited || row != 0;
      if (row != 0 && !visit(user, row)) {
        return 0;
      }
    }
    cursor = next;
    if (cursor == HOLT_INDEX_SCAN_END) {
      return 0;
    }
  }
  return cursor;
}

/* Buckets that a scan in batches has fetched at a time. */
#define SCAN_BATCH 64u

struct batch {
  uint64_t at[SCAN_BATCH];
  uint32_t chain[SCAN_BATCH];
  unsigned count;
  uint32_t wanted[SCAN_BATCH]; /* Keys to be visited. */
  unsigned wanted_count;
};

static void
links_prefetch(const struct holt_rows *rows, uint32_t key_ref)
{
  if (key_ref != 0) {
    const uint32_t *const links = holt__key_links(rows, key_ref);
    holt_prefetch(links);
    holt_prefetch(links + 6); /* The key, if that is on another line. */
  }
}

/* The next buckets, and the keys of the first rows in them.  Returns where to
 * go on. */
static uint64_t
batch_fetch(const struct holt_rows *rows, uint64_t cursor, struct batch *batch)
{
  batch->count = 0;
  batch->wanted_count = 0;
  while (batch->count < SCAN_BATCH && cursor != HOLT_INDEX_SCAN_END) {
    batch->at[batch->count++] = cursor;
    cursor = holt_index_scan_ahead(&rows->keys, cursor);
  }
  for (unsigned i = 0; i < batch->count; i++) {
    (void)holt_index_scan(&rows->keys, batch->at[i], &batch->chain[i]);
    links_prefetch(rows, batch->chain[i]);
  }
  return cursor;
}

/* What a look at the row of a key will need. */
static void
row_prefetch(const struct holt_rows *rows, uint32_t key_ref)
{
  if (!holt__is_entry(rows, key_ref)) {
    const struct holt_row *const row = holt_row_at(rows, key_ref);
    if (row->value != 0) {
      holt_prefetch(holt_slab_at(&rows->slab, row->value));
    }
    if (holt_row_actor(rows, row)->local) {
      holt_prefetch(holt_local_at(rows, row->serial));
    }
  }
}

static void
batch_visit(const struct holt_rows *rows, struct batch *batch,
            void (*visit)(void *user, uint32_t row), void *user)
{
  for (unsigned i = 0; i < batch->wanted_count; i++) {
    holt_prefetch(holt_slab_at(&rows->slab, batch->wanted[i]));
  }
  for (unsigned i = 0; i < batch->wanted_count; i++) {
    row_prefetch(rows, batch->wanted[i]);
  }
  for (unsigned i = 0; i < batch->wanted_count; i++) {
    const uint32_t row = key_winner(rows, batch->wanted[i]);
    if (row != 0) {
      visit(user, row);
    }
  }
  batch->wanted_count = 0;
}

uint64_t
holt_rows_scan_prefix(const struct holt_rows *rows, uint64_t cursor,
                      const uint8_t *prefix, size_t prefix_size,
                      void (*visit)(void *user, uint32_t row), void *user)
{
  struct batch batch;
  const uint64_t next = batch_fetch(rows, cursor, &batch);
  /* One node of each chain, then the next one of those that are longer, which
   * has been fetched meanwhile. */
  while (batch.count > 0) {
    unsigned longer = 0;
    for (unsigned i = 0; i < batch.count; i++) {
      const uint32_t key_ref = batch.chain[i];
      if (key_ref == 0) {
        continue;
      }
      const uint64_t at = batch.at[i];
      const uint32_t *const links = holt__key_links(rows, key_ref);
      links_prefetch(rows, links[HOLT_LINK_CHAIN]);
      batch.at[longer] = at;
      batch.chain[longer++] = links[HOLT_LINK_CHAIN];
      if (holt_index_position(links[HOLT_LINK_HASH]) >= at &&
          (prefix == NULL ||
           holt_key_begins((const uint8_t *)(links + 3),
                           links[HOLT_LINK_KEY_SIZE], prefix, prefix_size))) {
        batch.wanted[batch.wanted_count++] = key_ref;
      }
    }
    batch.count = longer;
    batch_visit(rows, &batch, visit, user);
  }
  return next == HOLT_INDEX_SCAN_END ? 0 : next;
}
