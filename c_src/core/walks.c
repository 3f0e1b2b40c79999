/* SPDX-License-Identifier: Apache-2.0 */
/* Walks: places in a list that outlive what stands there.
 *
 * A stream or a tour goes on in the next call, and until then rows come and go,
 * the one it would have gone on with among them.  So whoever takes a row out of
 * a list first moves the walks that stand on it:
 *
 *     row a -- row b -- row c            row a --------- row c
 *                ^ walk        removed:                   ^ walk
 *
 * There are few walks at a time, and mostly none over the list in question, so
 * it is enough to look through them.  A ring has no end; a walk over one
 * remembers the first row, and that one may go, too. */
#include "mutant.h"
#include "rows_state.h"

void
holt_walk_start(struct holt_rows *rows, struct holt_walk *walk, uint32_t at,
                enum holt_walk_over over)
{
  holt_assert(!walk->active);

  *walk = (struct holt_walk){ .next = rows->walks[over],
                              .at = at,
                              .over = over,
                              .active = true };
  if (at != 0 && over == HOLT_WALK_PID) {
    walk->first = holt__row_ring_first(rows, holt_row_at(rows, at));
  }
  if (rows->walks[over] != NULL) {
    rows->walks[over]->prev = walk;
  }
  rows->walks[over] = walk;
}

void
holt_walk_stop(struct holt_rows *rows, struct holt_walk *walk)
{
  if (!walk->active) {
    return;
  }
  if (walk->prev != NULL) {
    walk->prev->next = walk->next;
  } else {
    rows->walks[walk->over] = walk->next;
  }
  if (walk->next != NULL) {
    walk->next->prev = walk->prev;
  }
  *walk = (struct holt_walk){ .at = 0 };
}

static uint32_t
key_list_next(const struct holt_rows *rows, const struct holt_row *row)
{
  if (!holt__row_listed(row)) {
    return 0;
  }
  if (row->link[HOLT_LINK_NEXT] != 0) {
    return row->link[HOLT_LINK_NEXT];
  }
  const uint32_t next =
    holt__cell_at(rows, row->link[HOLT_LINK_CELL])->entry_next;
  return next == 0 ? 0 : holt__cell_at(rows, next)->first_row;
}

void
holt_walk_next(const struct holt_rows *rows, struct holt_walk *walk)
{
  if (walk->at == 0) {
    return;
  }
  const struct holt_row *const row = holt_row_at(rows, walk->at);
  switch (walk->over) {
  case HOLT_WALK_SEQ:
    walk->at = row->seq_next;
    break;
  case HOLT_WALK_PID:
    walk->at = row->pid_next == walk->first ? 0 : row->pid_next;
    break;
  case HOLT_WALK_KEY:
    walk->at = key_list_next(rows, row);
    break;
  }
}

void
holt__walks_move_on(struct holt_rows *rows, uint32_t ref,
                    enum holt_walk_over over)
{
  for (struct holt_walk *walk = rows->walks[over]; walk != NULL;
       walk = walk->next) {
    if (walk->at == ref && !holt_mutant(WALK_STANDS)) {
      holt_walk_next(rows, walk);
    }
    if (over == HOLT_WALK_PID && walk->first == ref) {
      walk->first = holt_row_at(rows, ref)->pid_next;
    }
  }
}

bool
holt_walk_seek(struct holt_rows *rows, struct holt_walk *walk,
               const struct holt_actor *actor, uint64_t cursor, size_t *steps)
{
  if (walk->active && !walk->seeking && walk->at != 0) {
    return true;
  }
  uint32_t at = walk->seeking ? walk->at : 0;
  holt_walk_stop(rows, walk);
  for (; cursor > 0; --*steps) {
    const uint32_t before =
      at != 0 ? holt_row_at(rows, at)->seq_prev : actor->rows_tail;
    if (before == 0 || holt_row_seq(holt_row_at(rows, before)) <= cursor) {
      break;
    }
    if (*steps == 0) {
      holt_walk_start(rows, walk, at, HOLT_WALK_SEQ);
      walk->seeking = true;
      return false;
    }
    at = before;
  }
  holt_walk_start(rows, walk, cursor == 0 ? actor->rows_head : at,
                  HOLT_WALK_SEQ);
  return true;
}
