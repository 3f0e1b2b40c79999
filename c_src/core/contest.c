/* SPDX-License-Identifier: Apache-2.0 */
/* Contests: names that somebody outside gives to one of several who claim them.
 *
 * Rank puts a name somewhere, the same place everywhere, and whoever has it
 * there has the contest decided; so there is one judge, without asking anybody.
 * What the verdict is nobody here knows before a row gives way.
 *
 *     soon     own rows, under a key that others have, too: look at them now
 *     later    those that were in contest when they were looked at: again in a
 *              second
 *
 *                       .----- not in contest any more: forgotten
 *                       +----- first is one that took its place: it goes
 *     settled --> soon -+----- first in rank: handed out -.
 *                       '----- not first -----------------+--> later --.
 *                          ^                                           |
 *                          '----------- after a second ----------------'
 *
 * An entry is the birth of a row, and what has become of that is seen when its
 * time comes.  A row has a mark for each list, and is in neither twice. */
#include <string.h>

#include "invariant.h"
#include "rows_state.h"
#include "state.h"

/*--------------------------------------------------------------------
 * Lists */

static void
push(struct holt_contests *list, struct holt_contest *contest)
{
  contest->next = NULL;
  if (list->last != NULL) {
    list->last->next = contest;
  } else {
    list->first = contest;
  }
  list->last = contest;
}

static struct holt_contest *
pop(struct holt_contests *list)
{
  struct holt_contest *const contest = list->first;
  list->first = contest->next;
  if (list->first == NULL) {
    list->last = NULL;
  }
  return contest;
}

static void
forget(struct holt_replica *replica, struct holt_contest *contest)
{
  holt_mem_free(replica->mem, contest, sizeof *contest);
}

void
holt__contests_deinit(struct holt_replica *replica)
{
  while (replica->soon.first != NULL) {
    forget(replica, pop(&replica->soon));
  }
  while (replica->later.first != NULL) {
    forget(replica, pop(&replica->later));
  }
}

void
holt__contest_look(struct holt_replica *replica, uint32_t row)
{
  struct holt_rows *const rows = &replica->rows;
  if (replica->self->rule != HOLT_RULE_CUSTOM ||
      rows->kind != HOLT_KIND_UNIQUE) {
    return;
  }
  const uint32_t own = holt_rows_first_of_beside(rows, row, replica->self);
  if (own == 0 || (holt_row_at(rows, own)->birth_flags &
                   (HOLT_ROW_STANDBY | HOLT_ROW_SOON)) != 0) {
    return;
  }
  struct holt_contest *const contest =
    holt_mem_alloc(replica->mem, sizeof *contest);
  if (contest == NULL) {
    replica->memory_at_ms = replica->mono_ms + HOLT_BUSY_MS;
    return;
  }
  *contest =
    (struct holt_contest){ .birth = holt_row_birth(holt_row_at(rows, own)) };
  holt_row_at(rows, own)->birth_flags |= HOLT_ROW_SOON;
  push(&replica->soon, contest);
}

/*--------------------------------------------------------------------
 * Who is in contest */

bool
holt__decided_by_rank(const struct holt_replica *replica, uint32_t own,
                      uint32_t winner)
{
  const struct holt_rows *const rows = &replica->rows;
  const struct holt_row *const row = holt_row_at(rows, winner);
  return holt_mutant(CONTEST_BY_RANK) ||
         replica->self->rule != HOLT_RULE_CUSTOM ||
         holt_row_actor(rows, row)->rule != HOLT_RULE_CUSTOM ||
         holt_row_replaces(rows, row, holt_row_at(rows, own));
}

/* It claims the name that our row has, or would have. */
static bool
claims(const struct holt_replica *replica, uint32_t own, uint32_t other)
{
  const struct holt_rows *const rows = &replica->rows;
  const struct holt_row *const row = holt_row_at(rows, other);
  return other != own && holt_row_visible(rows, row) &&
         (row->birth_flags & HOLT_ROW_STANDBY) == 0 &&
         holt_row_actor(rows, row)->rule == HOLT_RULE_CUSTOM &&
         !holt_row_replaces(rows, holt_row_at(rows, own), row);
}

/* The one that ranks first of those who claim the name beside our row, or 0. */
static uint32_t
rival_of(const struct holt_replica *replica, uint32_t own)
{
  const struct holt_rows *const rows = &replica->rows;
  const struct holt_row *const row = holt_row_at(rows, own);
  if (!holt__row_listed(row)) {
    return 0;
  }
  const uint32_t entry = holt__cell_at(rows, row->link[HOLT_LINK_CELL])->entry;
  uint32_t rival = 0;
  for (uint32_t at = holt__entry_at(rows, entry)->first_cell; at != 0;) {
    const struct holt_cell *const cell = holt__cell_at(rows, at);
    uint32_t ref = cell->first_row;
    while (ref != 0 && !claims(replica, own, ref)) {
      ref = holt_row_at(rows, ref)->link[HOLT_LINK_NEXT];
    }
    if (ref != 0 &&
        (rival == 0 || holt_row_outranks(rows, holt_row_at(rows, ref),
                                         holt_row_at(rows, rival)))) {
      rival = ref;
    }
    at = cell->entry_next;
  }
  return rival;
}

/*--------------------------------------------------------------------
 * Handing out */

/* True: the effect is this contest. */
static bool
hand_out(struct holt_replica *replica, uint32_t own, uint32_t rival,
         struct holt_effect *effect)
{
  struct holt_conflict *out;
  if (holt__conflict_new(replica, rival, own, true, &out) != 0) {
    return false;
  }
  holt__conflict_free(replica, replica->conflict_out);
  replica->conflict_out = out;
  effect->type = HOLT_EFFECT_CONTEST;
  effect->loser = out->loser;
  effect->winner = out->winner;
  effect->member = out->member;
  return true;
}

/* Our row has been behind one whose contest it was; now who has the name is
 * one that needs no verdict. */
static bool
gives_way(struct holt_replica *replica, uint32_t own)
{
  const struct holt_rows *const rows = &replica->rows;
  const uint32_t winner = holt_row_visible(rows, holt_row_at(rows, own))
                            ? holt_rows_winner_beside(rows, own)
                            : 0;
  return winner != 0 && winner != own &&
         holt__decided_by_rank(replica, own, winner) &&
         holt__conflict_lose(replica, own, winner) == 0;
}

/* Look at an entry that has been taken from its list: see above. */
static bool
look_at(struct holt_replica *replica, struct holt_contest *contest,
        uint64_t mark, struct holt_effect *effect, uint64_t now_ms)
{
  struct holt_rows *const rows = &replica->rows;
  const uint32_t own = holt_rows_born(rows, replica->self, contest->birth);
  if (own == 0) {
    forget(replica, contest);
    return false;
  }
  struct holt_row *const row = holt_row_at(rows, own);
  row->birth_flags &= ~mark;
  if (gives_way(replica, own)) {
    forget(replica, contest);
    return false;
  }
  const uint32_t rival =
    holt_row_visible(rows, row) ? rival_of(replica, own) : 0;
  if (rival == 0) {
    forget(replica, contest);
    return false;
  }
  const bool handed = holt_rows_winner_beside(rows, own) == own &&
                      hand_out(replica, own, rival, effect);
  if ((row->birth_flags & HOLT_ROW_LATER) != 0 || holt_mutant(CONTEST_ONCE)) {
    forget(replica, contest);
  } else {
    row->birth_flags |= HOLT_ROW_LATER;
    contest->due_ms = now_ms + HOLT_CONTEST_MS;
    push(&replica->later, contest);
  }
  return handed;
}

bool
holt__contest_send(struct holt_replica *replica, struct holt_effect *effect,
                   uint64_t now_ms)
{
  if (replica->goodbye != 0) {
    return false;
  }
  for (unsigned i = 0; i < HOLT_SLICE_ROWS; i++) {
    if (replica->soon.first != NULL) {
      if (look_at(replica, pop(&replica->soon), HOLT_ROW_SOON, effect,
                  now_ms)) {
        return true;
      }
    } else if (replica->later.first != NULL &&
               replica->later.first->due_ms <= now_ms) {
      if (look_at(replica, pop(&replica->later), HOLT_ROW_LATER, effect,
                  now_ms)) {
        return true;
      }
    } else {
      break;
    }
  }
  return false;
}

uint64_t
holt__contest_due_ms(const struct holt_replica *replica)
{
  if (replica->goodbye != 0) {
    return UINT64_MAX;
  }
  if (replica->soon.first != NULL) {
    return 0;
  }
  return replica->later.first == NULL ? UINT64_MAX
                                      : replica->later.first->due_ms;
}

/*--------------------------------------------------------------------
 * Giving way */

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

/* The visible row of this birth, or 0. */
static uint32_t
claim_of(const struct holt_replica *replica, const struct holt_actor *actor,
         uint64_t birth)
{
  const struct holt_rows *const rows = &replica->rows;
  const uint32_t ref = actor == NULL ? 0 : holt_rows_born(rows, actor, birth);
  return ref != 0 && holt_row_visible(rows, holt_row_at(rows, ref)) ? ref : 0;
}

static bool
have_one_key(const struct holt_rows *rows, uint32_t left, uint32_t right)
{
  size_t left_size;
  size_t right_size;
  const uint8_t *const left_key =
    holt_row_key(rows, holt_row_at(rows, left), &left_size);
  const uint8_t *const right_key =
    holt_row_key(rows, holt_row_at(rows, right), &right_size);
  return left_size == right_size && memcmp(left_key, right_key, left_size) == 0;
}

int
holt_replica_lose(struct holt_replica *replica, const struct holt_time *now,
                  uint64_t own_birth, uint64_t winner_actor,
                  uint64_t winner_birth, bool stand_by)
{
  const struct holt_rows *const rows = &replica->rows;
  const uint32_t own = claim_of(replica, replica->self, own_birth);
  const uint32_t winner =
    claim_of(replica, holt_rows_actor(rows, winner_actor), winner_birth);
  if (holt_mutant(CONTEST_BOTH_GONE) && own != 0 && winner == 0) {
    holt__own_remove(replica, own, HOLT_REASON_CONFLICT);
    return 0;
  }
  if (rows->kind == HOLT_KIND_DUPLICATE || own == 0 || winner == 0 ||
      own == winner || !have_one_key(rows, own, winner) ||
      (holt_row_at(rows, own)->birth_flags & HOLT_ROW_STANDBY) != 0 ||
      (holt_row_at(rows, winner)->birth_flags & HOLT_ROW_STANDBY) != 0) {
    return HOLT_ERR_NOT_FOUND;
  }
  if (!stand_by) {
    return holt__conflict_lose(replica, own, winner);
  }
  const int rv = stand_by_for(replica, now, own);
  if (rv == 0) {
    holt__own_remove(replica, own, HOLT_REASON_CONFLICT);
  }
  return rv;
}
