/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "rows_walks.h"

/*--------------------------------------------------------------------
 * Walks */

void
walks_miss(struct model *model, uint64_t actor, uint64_t birth, bool gone,
           bool owner)
{
  for (unsigned i = 0; i < WALKS; i++) {
    const struct model_walk *const walk = &model->walks[i];
    const bool moved = gone || walk->walk.over == HOLT_WALK_SEQ ||
                       (owner && walk->walk.over == HOLT_WALK_PID);
    for (size_t at = 0; at < walk->count && moved; at++) {
      struct model_ahead *const row = &walk->rows[at];
      row->moved = row->moved || (row->actor == actor && row->birth == birth);
    }
  }
}

static void
walk_stop(struct model *model, struct model_walk *walk)
{
  holt_walk_stop(&model->rows, &walk->walk);
  free(walk->rows);
  *walk = (struct model_walk){ .rows = NULL };
}

void
walks_start(struct model *model)
{
  struct model_walk *const walk = &model->walks[fuzz_u8(&model->input) % WALKS];
  const enum holt_walk_over over =
    (enum holt_walk_over)(fuzz_u8(&model->input) % HOLT_WALK_KINDS);
  const struct twin_row *const row = model_choose_row(model);
  walk_stop(model, walk);
  if (row == NULL) {
    return;
  }
  const struct model_actor *const actor = model_actor_of(model, row->dot.actor);
  holt_walk_start(&model->rows, &walk->walk,
                  model_ref_of(model, actor, row->birth), over);
  walk->rows = calloc(model->twin.row_count, sizeof *walk->rows);
  FUZZ_CHECK(walk->rows != NULL);
  for (struct holt_walk ahead = walk->walk; ahead.at != 0;) {
    FUZZ_CHECK(walk->count < model->twin.row_count);
    const struct holt_row *const at = holt_row_at(&model->rows, ahead.at);
    walk->rows[walk->count++] = (struct model_ahead){
      .actor = holt_row_actor(&model->rows, at)->id,
      .birth = holt_row_birth(at),
    };
    holt_walk_next(&model->rows, &ahead);
  }
}

static void
walk_visit(struct model *model, struct model_walk *walk)
{
  const struct holt_row *const row = holt_row_at(&model->rows, walk->walk.at);
  const uint64_t actor = holt_row_actor(&model->rows, row)->id;
  FUZZ_CHECK(twin_find(&model->twin, actor, holt_row_birth(row)) != NULL);
  for (size_t i = 0; i < walk->count; i++) {
    struct model_ahead *const expected = &walk->rows[i];
    if (expected->actor == actor && expected->birth == holt_row_birth(row) &&
        !expected->moved) {
      FUZZ_CHECK(!expected->seen);
      expected->seen = true;
    }
  }
}

void
walks_next(struct model *model)
{
  struct model_walk *const walk = &model->walks[fuzz_u8(&model->input) % WALKS];
  if (!walk->walk.active) {
    return;
  }
  if (walk->walk.at != 0) {
    walk_visit(model, walk);
    holt_walk_next(&model->rows, &walk->walk);
  }
  if (walk->walk.at == 0) {
    for (size_t i = 0; i < walk->count; i++) {
      FUZZ_CHECK(walk->rows[i].seen || walk->rows[i].moved);
    }
    walk_stop(model, walk);
  }
}

void
walks_seek(struct model *model)
{
  const struct model_actor *const actor = model_choose_actor(model);
  const uint8_t after = fuzz_u8(&model->input);
  const size_t each = fuzz_u8(&model->input) % 4;
  if (actor == NULL) {
    return;
  }
  const struct twin_row *expected = NULL;
  const uint64_t cursor = after == 0 ? 0 : actor->base + after;
  for (size_t i = 0; i < model->twin.row_count; i++) {
    const struct twin_row *const row = &model->twin.rows[i];
    if (model_owns(actor, row)) {
      if (actor->stale[model_index_of(actor, row->birth)]) {
        return; /* They are in no order. */
      }
      if (expected == NULL && row->dot.seq > cursor) {
        expected = row;
      }
    }
  }
  struct holt_walk walk = { .at = 0 };
  for (size_t steps = each;
       !holt_walk_seek(&model->rows, &walk, actor->actor, cursor, &steps);
       steps = each + 1) {
  }
  FUZZ_CHECK(
    walk.at ==
    (expected == NULL ? 0 : model_ref_of(model, actor, expected->birth)));
  holt_walk_stop(&model->rows, &walk);
}

void
walks_rename(struct model *model, uint64_t from, uint64_t to)
{
  for (unsigned i = 0; i < WALKS; i++) {
    for (size_t at = 0; at < model->walks[i].count; at++) {
      struct model_ahead *const row = &model->walks[i].rows[at];
      row->actor = row->actor == from ? to : row->actor;
    }
  }
}

void
walks_stop(struct model *model)
{
  for (unsigned i = 0; i < WALKS; i++) {
    walk_stop(model, &model->walks[i]);
  }
}

/*--------------------------------------------------------------------
 * Scans */

static unsigned
key_of(struct model *model, uint32_t ref)
{
  size_t size;
  (void)holt_row_key(&model->rows, holt_row_at(&model->rows, ref), &size);
  unsigned key = 0;
  while (model_key(key).size != size) {
    key++;
  }
  return key;
}

static bool
on_scan(void *user, uint32_t ref)
{
  struct model *const model = user;
  const struct twin_bytes key = model_key(key_of(model, ref));
  const uint32_t expected =
    model->rows.kind == HOLT_KIND_UNIQUE
      ? holt_rows_winner(&model->rows, key.data, key.size)
      : holt_rows_first(&model->rows, key.data, key.size);
  FUZZ_CHECK(ref == expected);
  model->scan.seen[key_of(model, ref)]++;
  return true;
}

static bool
key_is_there(const struct model *model, unsigned index)
{
  const struct twin_bytes key = model_key(index);
  return (model->rows.kind == HOLT_KIND_UNIQUE
            ? holt_rows_winner(&model->rows, key.data, key.size)
            : holt_rows_first(&model->rows, key.data, key.size)) != 0;
}

void
walks_scan(struct model *model)
{
  for (unsigned i = 0; i < KEYS && !model->scan.active; i++) {
    model->scan.there[i] = key_is_there(model, i);
    model->scan.seen[i] = 0;
  }
  model->scan.cursor = holt_rows_scan(
    &model->rows, model->scan.active ? model->scan.cursor : 0, on_scan, model);
  model->scan.active = model->scan.cursor != 0;
  for (unsigned i = 0; i < KEYS && !model->scan.active; i++) {
    FUZZ_CHECK(!model->scan.there[i] || model->scan.seen[i] == 1);
  }
}

void
walks_look(struct model *model)
{
  for (unsigned i = 0; i < KEYS; i++) {
    model->scan.there[i] = model->scan.there[i] && key_is_there(model, i);
  }
}
