/* SPDX-License-Identifier: Apache-2.0 */
#include "twin.h"

#include <stdlib.h>
#include <string.h>

/*--------------------------------------------------------------------
 * Bytes, dots, rows */

/* Room for count things, at least one. */
static void *
room(size_t count, size_t size)
{
  void *const block = calloc(count + 1, size);
  if (block == NULL) {
    abort();
  }
  return block;
}

static struct twin_bytes
bytes_copy(struct twin_bytes source)
{
  struct twin_bytes copy = { NULL, 0 };
  if (source.size > 0) {
    copy.data = room(source.size, 1);
    copy.size = source.size;
    memcpy(copy.data, source.data, source.size);
  }
  return copy;
}

bool
twin_bytes_equal(struct twin_bytes a, struct twin_bytes b)
{
  return a.size == b.size &&
         (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Negative, 0 or positive, as a is before, at or behind b. */
static int
dot_compare(struct twin_dot a, struct twin_dot b)
{
  if (a.actor != b.actor) {
    return a.actor < b.actor ? -1 : 1;
  }
  return a.seq == b.seq ? 0 : a.seq < b.seq ? -1 : 1;
}

static struct twin_row
row_copy(const struct twin_row *source)
{
  struct twin_row copy = *source;
  copy.key = bytes_copy(source->key);
  copy.value = bytes_copy(source->value);
  return copy;
}

static void
row_free(struct twin_row *row)
{
  free(row->key.data);
  free(row->value.data);
}

static bool
row_equal(const struct twin_row *a, const struct twin_row *b)
{
  return dot_compare(a->dot, b->dot) == 0 && a->birth == b->birth &&
         a->stamp == b->stamp && a->early == b->early &&
         a->standby == b->standby && a->owner_id == b->owner_id &&
         a->owner_serial == b->owner_serial &&
         twin_bytes_equal(a->key, b->key) &&
         twin_bytes_equal(a->value, b->value);
}

/*--------------------------------------------------------------------
 * States and deltas */

void
twin_init(struct twin *twin)
{
  *twin = (struct twin){
    .rows = room(0, sizeof *twin->rows),
    .seen = room(0, sizeof *twin->seen),
  };
}

void
twin_deinit(struct twin *twin)
{
  for (size_t i = 0; i < twin->row_count; i++) {
    row_free(&twin->rows[i]);
  }
  free(twin->rows);
  free(twin->seen);
  *twin = (struct twin){ 0 };
}

void
twin_copy(struct twin *target, const struct twin *source)
{
  struct twin copy;
  twin_init(&copy);
  twin_join(&copy, source);
  twin_deinit(target);
  *target = copy;
}

bool
twin_equal(const struct twin *a, const struct twin *b)
{
  if (a->row_count != b->row_count || a->seen_count != b->seen_count) {
    return false;
  }
  for (size_t i = 0; i < a->row_count; i++) {
    if (!row_equal(&a->rows[i], &b->rows[i])) {
      return false;
    }
  }
  for (size_t i = 0; i < a->seen_count; i++) {
    if (dot_compare(a->seen[i], b->seen[i]) != 0) {
      return false;
    }
  }
  return true;
}

static bool
twin_has_seen(const struct twin *twin, struct twin_dot dot)
{
  size_t low = 0;
  size_t high = twin->seen_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const int order = dot_compare(twin->seen[middle], dot);
    if (order == 0) {
      return true;
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return false;
}

/* The rows of the join, copied. */
static void
join_rows(struct twin *join, const struct twin *a, const struct twin *b)
{
  join->rows = room(a->row_count + b->row_count, sizeof *join->rows);
  size_t i = 0;
  size_t j = 0;
  while (i < a->row_count || j < b->row_count) {
    int order = i == a->row_count ? 1 : -1;
    if (i < a->row_count && j < b->row_count) {
      order = dot_compare(a->rows[i].dot, b->rows[j].dot);
    }
    const struct twin_row *row = NULL;
    if (order == 0) {
      /* A dot is one write, so this can be no choice. */
      if (!row_equal(&a->rows[i], &b->rows[j])) {
        abort();
      }
      row = &a->rows[i];
    } else if (order < 0) {
      row = twin_has_seen(b, a->rows[i].dot) ? NULL : &a->rows[i];
    } else {
      row = twin_has_seen(a, b->rows[j].dot) ? NULL : &b->rows[j];
    }
    i += order <= 0 ? 1 : 0;
    j += order >= 0 ? 1 : 0;
    if (row != NULL) {
      join->rows[join->row_count++] = row_copy(row);
    }
  }
}

/* The dots of the join. */
static void
join_seen(struct twin *join, const struct twin *a, const struct twin *b)
{
  join->seen = room(a->seen_count + b->seen_count, sizeof *join->seen);
  size_t i = 0;
  size_t j = 0;
  while (i < a->seen_count || j < b->seen_count) {
    int order = i == a->seen_count ? 1 : -1;
    if (i < a->seen_count && j < b->seen_count) {
      order = dot_compare(a->seen[i], b->seen[j]);
    }
    join->seen[join->seen_count++] = order <= 0 ? a->seen[i] : b->seen[j];
    i += order <= 0 ? 1 : 0;
    j += order >= 0 ? 1 : 0;
  }
}

void
twin_join(struct twin *target, const struct twin *source)
{
  struct twin join = { 0 };
  join_rows(&join, target, source);
  join_seen(&join, target, source);
  twin_deinit(target);
  *target = join;
}

/*--------------------------------------------------------------------
 * Changes */

/* Join a change that puts row (or NULL) and makes dots seen, which ascend. */
static void
twin_change(struct twin *twin, struct twin *delta, struct twin_row *row,
            struct twin_dot *dots, size_t dot_count)
{
  const struct twin change = {
    .rows = row,
    .row_count = row == NULL ? 0 : 1,
    .seen = dots,
    .seen_count = dot_count,
  };
  twin_join(twin, &change);
  if (delta != NULL) {
    twin_join(delta, &change);
  }
}

void
twin_register(struct twin *twin, const struct twin_row *row, struct twin *delta)
{
  if (row->birth != row->dot.seq || twin_has_seen(twin, row->dot)) {
    abort();
  }
  struct twin_row put = row_copy(row);
  twin_change(twin, delta, &put, &put.dot, 1);
  row_free(&put);
}

bool
twin_update(struct twin *twin, uint64_t actor, uint64_t birth, uint64_t seq,
            struct twin_bytes value, struct twin *delta)
{
  const struct twin_row *const row = twin_find(twin, actor, birth);
  if (row == NULL) {
    return false;
  }
  struct twin_dot dots[] = { row->dot, { actor, seq } };
  if (seq <= row->dot.seq || twin_has_seen(twin, dots[1])) {
    abort();
  }
  struct twin_row put = row_copy(row);
  free(put.value.data);
  put.value = bytes_copy(value);
  put.dot = dots[1];
  twin_change(twin, delta, &put, dots, 2);
  row_free(&put);
  return true;
}

bool
twin_remove(struct twin *twin, uint64_t actor, uint64_t birth,
            struct twin *delta)
{
  const struct twin_row *const row = twin_find(twin, actor, birth);
  if (row == NULL) {
    return false;
  }
  struct twin_dot dot = row->dot;
  twin_change(twin, delta, NULL, &dot, 1);
  return true;
}

/*--------------------------------------------------------------------
 * The view */

const struct twin_row *
twin_find(const struct twin *twin, uint64_t actor, uint64_t birth)
{
  for (size_t i = 0; i < twin->row_count; i++) {
    const struct twin_row *const row = &twin->rows[i];
    if (row->dot.actor == actor && row->birth == birth) {
      return row;
    }
  }
  return NULL;
}

static const struct twin_actor *
actor_shown(const struct twin_row *row, const struct twin_actor *shown,
            size_t shown_count)
{
  for (size_t i = 0; i < shown_count; i++) {
    if (shown[i].actor == row->dot.actor) {
      return &shown[i];
    }
  }
  return NULL;
}

size_t
twin_rows(const struct twin *twin, struct twin_bytes key,
          const struct twin_actor *shown, size_t shown_count,
          const struct twin_row **rows, size_t rows_max)
{
  size_t count = 0;
  for (size_t i = 0; i < twin->row_count; i++) {
    const struct twin_row *const row = &twin->rows[i];
    if (twin_bytes_equal(row->key, key) &&
        actor_shown(row, shown, shown_count) != NULL) {
      if (count < rows_max) {
        rows[count] = row;
      }
      count++;
    }
  }
  return count;
}

/* The registration that is older than that one. */
static bool
row_older(const struct twin_row *row, const struct twin_row *than)
{
  if (row->stamp != than->stamp) {
    return row->stamp < than->stamp;
  }
  if (row->dot.actor != than->dot.actor) {
    return row->dot.actor < than->dot.actor;
  }
  return row->birth < than->birth;
}

static bool
row_is_regular(const struct twin_row *row)
{
  return !row->standby;
}

static bool
row_is_settled(const struct twin_row *row)
{
  return !row->early;
}

/* Keep the rows that pass, unless none does; whether some do. */
static bool
rows_prefer(const struct twin_row **rows, size_t *count,
            bool (*passes)(const struct twin_row *row))
{
  size_t kept = 0;
  for (size_t i = 0; i < *count; i++) {
    kept += passes(rows[i]) ? 1 : 0;
  }
  if (kept == 0) {
    return false;
  }
  kept = 0;
  for (size_t i = 0; i < *count; i++) {
    if (passes(rows[i])) {
      rows[kept++] = rows[i];
    }
  }
  *count = kept;
  return true;
}

/* Keep the rows of actors that keep the newest, unless there are none; whether
 * there are. */
static bool
rows_prefer_newest(const struct twin_row **rows, size_t *count,
                   const struct twin_actor *shown, size_t shown_count)
{
  size_t kept = 0;
  for (size_t i = 0; i < *count; i++) {
    if (actor_shown(rows[i], shown, shown_count)->rule != TWIN_KEEP_OLDEST) {
      const struct twin_row *const row = rows[i];
      rows[i] = rows[kept];
      rows[kept++] = row;
    }
  }
  *count = kept == 0 ? *count : kept;
  return kept > 0;
}

const struct twin_row *
twin_winner(const struct twin *twin, struct twin_bytes key,
            const struct twin_actor *shown, size_t shown_count)
{
  const struct twin_row **const rows = room(twin->row_count, sizeof *rows);
  size_t count =
    twin_rows(twin, key, shown, shown_count, rows, twin->row_count);

  /* A standby has the key only while nobody else wants it; then the first in
   * line has it.  Who keeps the newest goes before who keeps the oldest.  Who
   * registered before it knew the others has it, where the newest wins, only
   * against its like, and of those the oldest has it. */
  const bool oldest = !rows_prefer(rows, &count, row_is_regular) ||
                      !rows_prefer_newest(rows, &count, shown, shown_count) ||
                      !rows_prefer(rows, &count, row_is_settled);
  const struct twin_row *winner = count == 0 ? NULL : rows[0];
  for (size_t i = 1; i < count; i++) {
    if (row_older(rows[i], winner) == oldest) {
      winner = rows[i];
    }
  }
  free(rows);
  return winner;
}
