/* SPDX-License-Identifier: Apache-2.0 */
/* Who watches is told of changes, and so holds a view of their own.  How can it
 * be kept right when it is not kept here?
 *
 * What was told is computed, as the view is: it is what would be seen if those
 * were shown who are counted as shown, in cells, and if nobody had died whose
 * row is still there.  So it differs from the view where poll has work left,
 * and nowhere else, and there are three moments at which it changes:
 *
 *     a row comes, changes, goes     who was first without it, and with it?
 *     a member comes or goes         one word for all of its names
 *     a cell is settled              who was first before, and is now?
 *
 * For who watches a member that goes takes its names along at once, while its
 * cells wait.  So before anything else is said of a key its cells are settled,
 * all of them in one step: nobody hears of a name that has gone over to one
 * that is gone.  And if the member has come back meanwhile, to a cell that has
 * never noticed, who has the name is told once more.
 *
 * Where keys are duplicate each row is told of for itself, and cells say
 * nothing. */
#include "mutant.h"
#include "rows_state.h"

static void
tell(struct holt_rows *rows, enum holt_change_type type,
     enum holt_reason reason, const struct holt_row *now,
     const struct holt_row *before)
{
  const struct holt_rows_change change = { .type = type,
                                           .reason = reason,
                                           .now = now,
                                           .before = before };
  rows->on_change(rows->user, &change);
}

static const struct holt_row *
row_or_null(const struct holt_rows *rows, uint32_t ref)
{
  return ref == 0 ? NULL : holt_row_at(rows, ref);
}

/*--------------------------------------------------------------------
 * Who has it, by what was told */

static bool
is_dead(const struct holt_rows *rows, const struct holt_row *row)
{
  const struct holt_local *const local = holt_row_local(rows, row);
  return local != NULL && local->dead;
}

/* The first row of an entry but for this one. */
static uint32_t
entry_first(const struct holt_rows *rows, uint32_t entry, uint32_t except)
{
  uint32_t first = 0;
  for (uint32_t at = holt__entry_at(rows, entry)->first_cell; at != 0;) {
    const struct holt_cell *const cell = holt__cell_at(rows, at);
    uint32_t ref = cell->counted ? cell->first_row : 0;
    if (ref != 0 &&
        (ref == except || (holt_mutant(CHANGE_DEAD_EARLY) &&
                           is_dead(rows, holt_row_at(rows, ref))))) {
      ref = holt_row_at(rows, ref)->link[HOLT_LINK_NEXT];
    }
    if (ref != 0 &&
        (first == 0 || holt_row_outranks(rows, holt_row_at(rows, ref),
                                         holt_row_at(rows, first)))) {
      first = ref;
    }
    at = cell->entry_next;
  }
  return first;
}

/* Why has `before` lost its key to `after`, as far as we can know? */
static enum holt_reason
why_lost(const struct holt_rows *rows, const struct holt_row *before,
         const struct holt_row *after)
{
  const struct holt_actor *const actor = holt_row_actor(rows, before);
  if (!actor->shown) {
    return HOLT_REASON_MEMBER;
  }
  if (holt_row_replaces(rows, after, before)) {
    return HOLT_REASON_GIVEN_AWAY;
  }
  /* A member registers a key that it has only when the process has ended. */
  return is_dead(rows, before) || holt_row_actor(rows, after) == actor
           ? HOLT_REASON_DOWN
           : HOLT_REASON_CONFLICT;
}

static void
tell_registered(struct holt_rows *rows, uint32_t now, uint32_t before,
                enum holt_reason reason)
{
  tell(rows, HOLT_CHANGE_REGISTERED, reason, holt_row_at(rows, now),
       row_or_null(rows, before));
}

/* Settle all cells of an entry, as if this row were not there yet. */
static void
settle_without(struct holt_rows *rows, uint32_t entry, uint32_t except,
               bool again)
{
  const bool unique = rows->kind == HOLT_KIND_UNIQUE;
  const uint32_t before = unique ? entry_first(rows, entry, except) : 0;
  bool settled = false;
  for (uint32_t at = holt__entry_at(rows, entry)->first_cell; at != 0;) {
    struct holt_cell *const cell = holt__cell_at(rows, at);
    settled = holt__cell_settle(rows, cell) || settled;
    at = cell->entry_next;
  }
  if (!unique || (!settled && !again)) {
    return;
  }
  const uint32_t now = entry_first(rows, entry, except);
  if (now == 0 || (now == before && !again)) {
    return; /* Who had it has gone, with its member. */
  }
  if (before == 0 || now == before) {
    tell_registered(rows, now, 0, HOLT_REASON_MEMBER);
  } else {
    tell_registered(
      rows, now, before,
      why_lost(rows, holt_row_at(rows, before), holt_row_at(rows, now)));
  }
}

void
holt__told_settle(struct holt_rows *rows, uint32_t entry, bool again)
{
  if (!holt_mutant(CHANGE_UNSETTLED)) {
    settle_without(rows, entry, 0, again);
  }
}

/* The entry of a row, with its cells settled; 0: it is alone. */
static uint32_t
entry_of(struct holt_rows *rows, const struct holt_row *row, uint32_t except)
{
  if (!holt__row_listed(row)) {
    return 0;
  }
  const uint32_t entry = holt__cell_at(rows, row->link[HOLT_LINK_CELL])->entry;
  if (rows->settling > 0) {
    settle_without(rows, entry, except, false);
  }
  return entry;
}

/* It is the one that is seen under its key, entry, if that is not 0. */
static bool
is_first(const struct holt_rows *rows, uint32_t ref, uint32_t entry)
{
  return holt_row_actor(rows, holt_row_at(rows, ref))->shown &&
         (rows->kind == HOLT_KIND_DUPLICATE || entry == 0 ||
          entry_first(rows, entry, 0) == ref);
}

/* Who is first beside it, or 0. */
static uint32_t
first_beside(const struct holt_rows *rows, uint32_t ref, uint32_t entry)
{
  return rows->kind == HOLT_KIND_DUPLICATE || entry == 0
           ? 0
           : entry_first(rows, entry, ref);
}

/*--------------------------------------------------------------------
 * What is told */

void
holt__told_born(struct holt_rows *rows, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  const uint32_t entry = entry_of(rows, row, ref);
  if (is_first(rows, ref, entry)) {
    const uint32_t before = first_beside(rows, ref, entry);
    tell_registered(rows, ref, before,
                    before == 0
                      ? HOLT_REASON_USER
                      : why_lost(rows, holt_row_at(rows, before), row));
  }
}

void
holt__told_changed(struct holt_rows *rows, uint32_t ref,
                   const struct holt_row *before)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  const uint32_t entry = entry_of(rows, row, 0);
  if (holt_row_seq(before) != holt_row_seq(row) && is_first(rows, ref, entry)) {
    tell(rows, HOLT_CHANGE_UPDATED, HOLT_REASON_USER, row, before);
  }
}

void
holt__told_removed(struct holt_rows *rows, uint32_t ref, enum holt_reason why)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  const uint32_t entry = entry_of(rows, row, 0);
  if (!is_first(rows, ref, entry)) {
    return;
  }
  const uint32_t now = first_beside(rows, ref, entry);
  if (now != 0) {
    tell_registered(rows, now, ref, why);
  } else if (!holt_mutant(CHANGE_LOST) || why != HOLT_REASON_DOWN) {
    tell(rows, HOLT_CHANGE_UNREGISTERED, why, NULL, row);
  }
}

void
holt__told_shown(struct holt_rows *rows, const struct holt_actor *actor)
{
  const struct holt_rows_change change = { .type = actor->shown
                                                     ? HOLT_CHANGE_MEMBER_UP
                                                     : HOLT_CHANGE_MEMBER_DOWN,
                                           .reason = HOLT_REASON_MEMBER,
                                           .actor = actor };
  rows->on_change(rows->user, &change);
}
