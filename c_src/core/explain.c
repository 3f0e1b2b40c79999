/* SPDX-License-Identifier: Apache-2.0 */
/* Why does this one have the name?  All rows of a key, in order of rank.
 *
 * Who asks has a list of few rows, and a key may have many.  But each cell is
 * in order already: none is looked at further than the list is long, or than
 * its rows rank. */
#include "rows_state.h"
#include "state.h"

/* The rows that rank first so far. */
struct ranking {
  uint32_t refs[HOLT_EXPLAIN_ROWS_MAX];
  size_t count;
  size_t max;
};

/* Put the row where it belongs.  False: behind all that there is room for. */
static bool
take(const struct holt_rows *rows, struct ranking *ranking, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  size_t at = ranking->count;
  while (
    rows->kind == HOLT_KIND_UNIQUE && at > 0 &&
    holt_row_outranks(rows, row, holt_row_at(rows, ranking->refs[at - 1]))) {
    at--;
  }
  if (at == ranking->max) {
    return false;
  }
  ranking->count += ranking->count < ranking->max ? 1 : 0;
  for (size_t i = ranking->count - 1; i > at; i--) {
    ranking->refs[i] = ranking->refs[i - 1];
  }
  ranking->refs[at] = ref;
  return true;
}

/* How many rows the key has. */
static size_t
rank(const struct holt_rows *rows, uint32_t key_ref, struct ranking *ranking)
{
  if (!holt__is_entry(rows, key_ref)) {
    (void)take(rows, ranking, key_ref);
    return 1;
  }
  const struct holt_entry *const entry = holt__entry_at(rows, key_ref);
  for (uint32_t at = entry->first_cell; at != 0;) {
    const struct holt_cell *const cell = holt__cell_at(rows, at);
    uint32_t ref = cell->first_row;
    while (ref != 0 && take(rows, ranking, ref)) {
      ref = holt_row_at(rows, ref)->link[HOLT_LINK_NEXT];
    }
    at = cell->entry_next;
  }
  return entry->row_count;
}

size_t
holt_replica_explain(const struct holt_replica *replica, const uint8_t *key,
                     size_t key_size, struct holt_explained *explained,
                     size_t max)
{
  const struct holt_rows *const rows = &replica->rows;
  const uint32_t key_ref =
    holt__key_find(rows, key, key_size, holt__key_hash(rows, key, key_size));
  if (key_ref == 0) {
    return 0;
  }
  struct ranking ranking = { .max = max < HOLT_EXPLAIN_ROWS_MAX
                                      ? max
                                      : HOLT_EXPLAIN_ROWS_MAX };
  const size_t count = rank(rows, key_ref, &ranking);
  const bool unique = rows->kind == HOLT_KIND_UNIQUE;
  const uint32_t winner = unique ? holt_rows_winner(rows, key, key_size) : 0;
  for (size_t i = 0; i < ranking.count; i++) {
    const struct holt_row *const row = holt_row_at(rows, ranking.refs[i]);
    struct holt_explained *const out = &explained[i];
    holt__view_of(replica, row, &out->view);
    out->member = holt_row_actor(rows, row)->member;
    out->visible = holt_row_visible(rows, row);
    out->winner = unique ? ranking.refs[i] == winner : out->visible;
  }
  return count;
}
