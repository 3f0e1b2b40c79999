/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* A row and what it says. */
struct known {
  uint32_t ref;
  const struct holt_row *row;
  const struct holt_actor *actor;
  struct holt_row_spec spec;
};

struct all {
  struct known *rows;
  size_t count;
};

static bool
same_key(const struct known *a, const struct known *b)
{
  return a->spec.key_size == b->spec.key_size &&
         memcmp(a->spec.key, b->spec.key, a->spec.key_size) == 0;
}

/*--------------------------------------------------------------------
 * Actors */

/* The list by seq: linked both ways, ascending but for stale rows, each row
 * found by its birth. */
static void
check_list(const struct holt_rows *rows, const struct holt_actor *actor,
           struct all *all)
{
  uint64_t seq = 0;
  uint32_t before = 0;
  size_t count = 0;
  for (uint32_t ref = actor->rows_head; ref != 0;) {
    const struct holt_row *const row = holt_row_at(rows, ref);
    FUZZ_CHECK(holt_row_actor(rows, row) == actor);
    FUZZ_CHECK(row->seq_prev == before);
    if (!holt_row_stale(rows, row)) {
      FUZZ_CHECK(holt_row_seq(row) > seq);
      seq = holt_row_seq(row);
    }
    FUZZ_CHECK(holt_row_birth(row) >= 1);
    FUZZ_CHECK(holt_row_birth(row) <= holt_row_seq(row));
    FUZZ_CHECK(holt_row_birth(row) <= actor->birth_max);
    FUZZ_CHECK(holt_rows_born(rows, actor, holt_row_birth(row)) == ref);
    struct known *const known = &all->rows[all->count++];
    *known = (struct known){ .ref = ref, .row = row, .actor = actor };
    holt_row_spec_of(rows, row, &known->spec);
    before = ref;
    count++;
    ref = row->seq_next;
  }
  FUZZ_CHECK(actor->rows_tail == before);
  FUZZ_CHECK(actor->row_count == count);
}

/* Another store with the same rows has the same fingerprint. */
static void
check_fingerprint(const struct holt_rows *rows, const struct holt_actor *actor,
                  const struct known *known)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_rows other;
  holt_rows_init(&other, &heap.mem, rows->seed, rows->kind);
  struct holt_actor *copy;
  FUZZ_CHECK(holt_rows_actor_add(&other, actor->id, &actor->member, 1, &copy) ==
             0);
  for (size_t i = 0; i < actor->row_count; i++) {
    uint32_t ref;
    /* Stale ones stand in no order: then each is put beyond the others. */
    holt_rows_epoch(copy);
    FUZZ_CHECK(holt_rows_put(&other, copy, &known[i].spec, &ref) == 0);
  }
  FUZZ_CHECK(copy->row_count == actor->row_count);
  FUZZ_CHECK(copy->pid_count == actor->pid_count);
  FUZZ_CHECK(copy->fingerprint == actor->fingerprint);
  holt_rows_deinit(&other);
  fuzz_heap_end(&heap);
}

/*--------------------------------------------------------------------
 * Processes */

/* Through its ring a process has the rows that name it. */
static void
check_ring(const struct holt_rows *rows, const struct all *all,
           const struct known *known)
{
  const struct holt_row_spec *const spec = &known->spec;
  size_t expected = 0;
  for (size_t i = 0; i < all->count; i++) {
    const struct known *const other = &all->rows[i];
    expected += other->actor == known->actor &&
                    other->spec.owner_id == spec->owner_id &&
                    other->spec.owner_serial == spec->owner_serial
                  ? 1
                  : 0;
  }
  const uint32_t first = holt_rows_first_of_pid(
    rows, known->actor, spec->owner_id, spec->owner_serial);
  size_t count = 0;
  bool found = false;
  struct holt_walk walk = { .at = first, .first = first };
  for (walk.over = HOLT_WALK_PID; walk.at != 0; count++) {
    FUZZ_CHECK(count < expected);
    found = found || walk.at == known->ref;
    holt_walk_next(rows, &walk);
  }
  FUZZ_CHECK(found && count == expected);
  const struct holt_local *const local = holt_row_local(rows, known->row);
  FUZZ_CHECK((local != NULL) == known->actor->local);
  if (local != NULL) {
    FUZZ_CHECK(local->rows == first && local->row_count == count);
    FUZZ_CHECK(local->id == spec->owner_id &&
               local->serial == spec->owner_serial);
  }
}

/*--------------------------------------------------------------------
 * Keys */

/* Once for each key, by the first of its rows among all. */
static void
check_key(const struct holt_rows *rows, const struct all *all, size_t at,
          size_t *keys_shown)
{
  const struct known *const known = &all->rows[at];
  const uint8_t *const key = known->spec.key;
  const size_t key_size = known->spec.key_size;
  const bool unique = rows->kind == HOLT_KIND_UNIQUE;
  const uint32_t winner = unique ? holt_rows_winner(rows, key, key_size) : 0;
  size_t count = 0;
  size_t shown = 0;
  bool visible = false;
  for (size_t i = at; i < all->count; i++) {
    const struct known *const other = &all->rows[i];
    if (!same_key(known, other)) {
      continue;
    }
    count++;
    shown += other->actor->shown ? 1 : 0;
    if (unique && holt_row_visible(rows, other->row)) {
      visible = true;
      FUZZ_CHECK(
        winner == other->ref ||
        (winner != 0 &&
         holt_row_outranks(rows, holt_row_at(rows, winner), other->row)));
    }
    const uint32_t mine = holt_rows_first_of(rows, key, key_size, other->actor);
    FUZZ_CHECK(mine != 0);
    FUZZ_CHECK(holt_row_actor(rows, holt_row_at(rows, mine)) == other->actor);
    FUZZ_CHECK(holt_rows_first_of_beside(rows, known->ref, other->actor) ==
               mine);
    FUZZ_CHECK(!unique || holt_rows_winner_beside(rows, other->ref) == winner);
  }
  FUZZ_CHECK((winner != 0) == visible);
  FUZZ_CHECK(holt_row_shared(rows, known->row) == (count > 1));
  FUZZ_CHECK(holt_rows_count_key(rows, key, key_size, NULL) == shown);
  *keys_shown += shown > 0 ? 1 : 0;

  const uint32_t first = holt_rows_first(rows, key, key_size);
  struct holt_walk walk = { .at = first, .over = HOLT_WALK_KEY };
  const struct holt_row *before = NULL;
  size_t walked = 0;
  for (; walk.at != 0; walked++) {
    FUZZ_CHECK(walked < count);
    const struct holt_row *const row = holt_row_at(rows, walk.at);
    size_t size;
    const uint8_t *const bytes = holt_row_key(rows, row, &size);
    FUZZ_CHECK(size == key_size && memcmp(bytes, key, size) == 0);
    /* Rows of one actor stand together, in order of rank. */
    FUZZ_CHECK(!unique || before == NULL ||
               holt_row_actor(rows, before) != holt_row_actor(rows, row) ||
               holt_row_outranks(rows, before, row));
    before = row;
    holt_walk_next(rows, &walk);
  }
  FUZZ_CHECK(walked == count);
}

static bool
is_first_of_key(const struct all *all, size_t at)
{
  for (size_t i = 0; i < at; i++) {
    if (same_key(&all->rows[i], &all->rows[at])) {
      return false;
    }
  }
  return true;
}

/*--------------------------------------------------------------------
 * All of it */

void
store_check(const struct holt_rows *rows)
{
  size_t count = 0;
  size_t actors = 0;
  for (const struct holt_actor *actor = rows->actor_list; actor != NULL;
       actor = actor->next) {
    count += actor->row_count;
    actors++;
    FUZZ_CHECK(rows->slots[actor->slot] == actor);
    FUZZ_CHECK(holt_rows_actor(rows, actor->id) == actor);
  }
  FUZZ_CHECK(actors == rows->actor_count);
  struct all all = { .rows = calloc(count + 1, sizeof(struct known)) };
  FUZZ_CHECK(all.rows != NULL);
  for (const struct holt_actor *actor = rows->actor_list; actor != NULL;
       actor = actor->next) {
    const struct known *const first = &all.rows[all.count];
    check_list(rows, actor, &all);
    check_fingerprint(rows, actor, first);
  }
  size_t keys_shown = 0;
  for (size_t i = 0; i < all.count; i++) {
    check_ring(rows, &all, &all.rows[i]);
    if (is_first_of_key(&all, i)) {
      check_key(rows, &all, i, &keys_shown);
    }
  }
  if (rows->settling == 0) {
    FUZZ_CHECK(holt_rows_count(rows) == keys_shown);
  }
  free(all.rows);
}
