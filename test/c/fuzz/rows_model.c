/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "rows_model.h"

void
model_init(struct model *model, const uint8_t *bytes, size_t size)
{
  *model = (struct model){ .input = fuzz_input(bytes, size) };
  heap_init(&model->heap);
  twin_init(&model->twin);
  const struct holt_hash_seed seed = { 1, 2 };
  holt_rows_init(&model->rows, &model->heap.mem, seed,
                 fuzz_u8(&model->input) % 2 == 0 ? HOLT_KIND_UNIQUE
                                                 : HOLT_KIND_DUPLICATE);
}

void
model_deinit(struct model *model)
{
  holt_rows_deinit(&model->rows);
  twin_deinit(&model->twin);
  fuzz_heap_end(&model->heap);
}

struct twin_bytes
model_key(unsigned index)
{
  static uint8_t large[300];
  static uint8_t small[] = "abcdefgh";
  const size_t sizes[KEYS] = { 0, 1, 2, 8, 200, 300 };
  return (struct twin_bytes){ index < 4 ? small : large, sizes[index] };
}

bool
model_owns(const struct model_actor *actor, const struct twin_row *row)
{
  return actor->actor != NULL && row->dot.actor == actor->id;
}

struct model_actor *
model_actor_of(struct model *model, uint64_t id)
{
  for (unsigned i = 0; i < ACTORS; i++) {
    if (model->actors[i].actor != NULL && model->actors[i].id == id) {
      return &model->actors[i];
    }
  }
  abort();
}

size_t
model_index_of(const struct model_actor *actor, uint64_t birth)
{
  return (size_t)(birth - actor->base);
}

struct model_actor *
model_choose_actor(struct model *model)
{
  struct model_actor *const actor =
    &model->actors[fuzz_u8(&model->input) % ACTORS];
  return actor->actor == NULL ? NULL : actor;
}

const struct twin_row *
model_choose_row(struct model *model)
{
  const uint8_t choice = fuzz_u8(&model->input);
  const size_t count = model->twin.row_count;
  return count == 0 ? NULL : &model->twin.rows[choice % count];
}

/*--------------------------------------------------------------------
 * What a row says */

/* What the twin does not know follows from the stamp. */
static uint8_t
flags_of(const struct twin_row *row)
{
  const bool replaces = !row->standby && row->stamp % 5 == 4;
  return (uint8_t)((row->early ? HOLT_ROW_EARLY : 0) |
                   (row->standby ? HOLT_ROW_STANDBY : 0) |
                   (replaces ? HOLT_ROW_REPLACES : 0));
}

struct holt_row_spec
model_spec_of(const struct twin_row *row)
{
  static const uint8_t nothing;
  struct holt_row_spec spec = {
    .seq = row->dot.seq,
    .birth = row->birth,
    .stamp = row->stamp,
    .key = row->key.size == 0 ? &nothing : row->key.data,
    .key_size = row->key.size,
    .value = row->value.data,
    .value_size = row->value.size,
    .owner_id = row->owner_id,
    .owner_serial = row->owner_serial,
    .flags = flags_of(row),
  };
  if ((spec.flags & HOLT_ROW_REPLACES) != 0) {
    spec.replaces_actor = row->stamp + 7;
    spec.replaces_birth = row->stamp + 9;
  }
  return spec;
}

static bool
spec_equal(const struct holt_row_spec *a, const struct holt_row_spec *b)
{
  return a->seq == b->seq && a->birth == b->birth && a->stamp == b->stamp &&
         a->owner_id == b->owner_id && a->owner_serial == b->owner_serial &&
         a->flags == b->flags && a->replaces_actor == b->replaces_actor &&
         a->replaces_birth == b->replaces_birth && a->key_size == b->key_size &&
         a->value_size == b->value_size &&
         memcmp(a->key, b->key, a->key_size) == 0 &&
         (a->value_size == 0 || memcmp(a->value, b->value, a->value_size) == 0);
}

uint32_t
model_ref_of(const struct model *model, const struct model_actor *actor,
             uint64_t birth)
{
  return holt_rows_born(&model->rows, actor->actor, birth);
}

bool
model_is_dead(const struct model *model, const struct twin_row *row)
{
  const struct model_actor *const local = &model->actors[0];
  return model_owns(local, row) &&
         holt_local_at(
           &model->rows,
           holt_rows_local(&model->rows, row->owner_id, row->owner_serial))
           ->dead;
}

/*--------------------------------------------------------------------
 * Comparing */

static void
check_rows(const struct model *model, const struct model_actor *actor)
{
  size_t expected = 0;
  for (size_t i = 0; i < model->twin.row_count; i++) {
    const struct twin_row *const row = &model->twin.rows[i];
    if (!model_owns(actor, row)) {
      continue;
    }
    expected++;
    const uint32_t ref = model_ref_of(model, actor, row->birth);
    FUZZ_CHECK(ref != 0);
    const struct holt_row *const found = holt_row_at(&model->rows, ref);
    const struct holt_row_spec wanted = model_spec_of(row);
    struct holt_row_spec spec;
    holt_row_spec_of(&model->rows, found, &spec);
    FUZZ_CHECK(spec_equal(&spec, &wanted));
    FUZZ_CHECK(holt_row_stale(&model->rows, found) ==
               actor->stale[model_index_of(actor, row->birth)]);
    FUZZ_CHECK(holt_row_visible(&model->rows, found) ==
               (actor->actor->shown && !model_is_dead(model, row)));
  }
  FUZZ_CHECK(actor->actor->row_count == expected);
}

/* A process's rows, in the order in which they came to it; as a member, the
 * last of those under a key. */
static void
check_owner(const struct model *model, const struct model_actor *actor,
            const struct twin_row *row)
{
  struct holt_walk walk = { .over = HOLT_WALK_PID };
  walk.at = walk.first = holt_rows_first_of_pid(
    &model->rows, actor->actor, row->owner_id, row->owner_serial);
  uint32_t came = 0;
  uint32_t member_ref = 0;
  while (walk.at != 0) {
    const struct holt_row *const at = holt_row_at(&model->rows, walk.at);
    const size_t index = model_index_of(actor, holt_row_birth(at));
    FUZZ_CHECK(actor->came[index] > came);
    came = actor->came[index];
    size_t size;
    (void)holt_row_key(&model->rows, at, &size);
    member_ref = size == row->key.size ? walk.at : member_ref;
    holt_walk_next(&model->rows, &walk);
  }
  FUZZ_CHECK(model->rows.kind == HOLT_KIND_UNIQUE ||
             holt_rows_member(&model->rows, model_key(0).data, 0, actor->actor,
                              ~row->owner_id, 0) == 0);
  if (model->rows.kind == HOLT_KIND_DUPLICATE) {
    const struct holt_row_spec spec = model_spec_of(row);
    FUZZ_CHECK(holt_rows_member(&model->rows, spec.key, spec.key_size,
                                actor->actor, row->owner_id,
                                row->owner_serial) == member_ref);
  }
}

/* Of the living, when these are shown. */
static void
check_winner(const struct model *model, const struct twin *living,
             const struct twin_actor *shown, size_t shown_count, unsigned at)
{
  const struct twin_bytes key = model_key(at);
  const struct twin_row *const expected =
    twin_winner(living, key, shown, shown_count);
  const uint32_t winner = holt_rows_winner(&model->rows, key.data, key.size);
  FUZZ_CHECK((winner != 0) == (expected != NULL));
  if (winner != 0) {
    const struct holt_row *const row = holt_row_at(&model->rows, winner);
    FUZZ_CHECK(holt_row_actor(&model->rows, row)->id == expected->dot.actor);
    FUZZ_CHECK(holt_row_birth(row) == expected->birth);
  }
}

static void
check_keys(struct model *model, const struct twin *living)
{
  struct twin_actor shown[ACTORS];
  size_t shown_count = 0;
  for (unsigned i = 0; i < ACTORS; i++) {
    const struct model_actor *const actor = &model->actors[i];
    if (actor->actor != NULL && actor->actor->shown) {
      shown[shown_count++] =
        (struct twin_actor){ actor->id, actor->actor->rule == HOLT_RULE_OLDEST
                                          ? TWIN_KEEP_OLDEST
                                          : TWIN_KEEP_NEWEST };
    }
  }
  size_t keys = 0;
  for (unsigned i = 0; i < KEYS; i++) {
    const struct twin_bytes key = model_key(i);
    const size_t count =
      twin_rows(&model->twin, key, shown, shown_count, NULL, 0);
    keys += count > 0 ? 1 : 0;
    FUZZ_CHECK(holt_rows_count_key(&model->rows, key.data, key.size, NULL) ==
               count);
    for (size_t at = 0; at < shown_count; at++) {
      const struct model_actor *const actor =
        model_actor_of(model, shown[at].actor);
      FUZZ_CHECK(
        holt_rows_count_key(&model->rows, key.data, key.size, actor->actor) ==
        twin_rows(&model->twin, key, &shown[at], 1, NULL, 0));
    }
    if (model->rows.kind == HOLT_KIND_UNIQUE) {
      check_winner(model, living, shown, shown_count, i);
    }
  }
  FUZZ_CHECK(model->rows.settling > 0 || holt_rows_count(&model->rows) == keys);
}

void
model_check(struct model *model)
{
  bool dead = false;
  for (unsigned i = 0; i < ACTORS; i++) {
    if (model->actors[i].actor != NULL) {
      check_rows(model, &model->actors[i]);
    }
  }
  for (size_t i = 0; i < model->twin.row_count; i++) {
    const struct twin_row *const row = &model->twin.rows[i];
    check_owner(model, model_actor_of(model, row->dot.actor), row);
    dead = dead || model_is_dead(model, row);
  }
  if (!dead) {
    check_keys(model, &model->twin);
    return;
  }
  struct twin living;
  twin_init(&living);
  twin_copy(&living, &model->twin);
  for (size_t i = 0; i < model->twin.row_count; i++) {
    const struct twin_row *const row = &model->twin.rows[i];
    FUZZ_CHECK(!model_is_dead(model, row) ||
               twin_remove(&living, row->dot.actor, row->birth, NULL));
  }
  check_keys(model, &living);
  twin_deinit(&living);
}
