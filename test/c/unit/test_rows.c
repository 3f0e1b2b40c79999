/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "prng.h"
#include "rows_fixture.h"

/* A change keeps birth and stamp, and moves the row to the end. */
static void
put_of_a_known_birth_exchanges(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 1, 1, "x", 1), 0);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 2, 2, "y", 1), 0);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 3, 1, "x", 2), 0);
  CU_ASSERT_EQUAL(f.seven->row_count, 2);
  CU_ASSERT_EQUAL(f.seven->pid_count, 2);
  CU_ASSERT_EQUAL(seq_of(&f.rows, f.seven->rows_head), 2);
  CU_ASSERT_EQUAL(seq_of(&f.rows, f.seven->rows_tail), 3);
  CU_ASSERT_EQUAL(holt_rows_born(&f.rows, f.seven, 1), f.seven->rows_tail);
  CU_ASSERT_EQUAL(holt_rows_first_of_pid(&f.rows, f.seven, 2, 0),
                  f.seven->rows_tail);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 4, 2, "y", 2), 0);
  CU_ASSERT_EQUAL(holt_rows_first_of_pid(&f.rows, f.seven, 1, 0), 0);
  CU_ASSERT_EQUAL(f.seven->pid_count, 1);
  /* The last one may be written again, as it is. */
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 4, 2, "y", 2), 0);
  CU_ASSERT_EQUAL(f.seven->row_count, 2);
  fixture_deinit(&f);
}

static void
put_of_what_may_not_change_is_malformed(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  uint32_t row;
  struct holt_row_spec spec = spec_of(1, 1, "x", 1);
  spec.flags = HOLT_ROW_REPLACES | HOLT_ROW_EARLY;
  spec.replaces_actor = 5;
  spec.replaces_birth = 6;
  CU_ASSERT_EQUAL(holt_rows_put(&f.rows, f.seven, &spec, &row), 0);
  spec.seq = 2;
  CU_ASSERT_EQUAL(holt_rows_put(&f.rows, f.seven, &spec, &row), 0);
  const uint64_t fingerprint = f.seven->fingerprint;
  const struct holt_row_spec good = spec;

  spec.key_size = 0;
  CU_ASSERT_EQUAL(holt_rows_put(&f.rows, f.seven, &spec, &row),
                  HOLT_ERR_MALFORMED);
  spec = good;
  spec.key = (const uint8_t *)"z";
  CU_ASSERT_EQUAL(holt_rows_put(&f.rows, f.seven, &spec, &row),
                  HOLT_ERR_MALFORMED);
  spec = good;
  spec.flags = HOLT_ROW_REPLACES;
  CU_ASSERT_EQUAL(holt_rows_put(&f.rows, f.seven, &spec, &row),
                  HOLT_ERR_MALFORMED);
  spec = good;
  spec.stamp++;
  CU_ASSERT_EQUAL(holt_rows_put(&f.rows, f.seven, &spec, &row),
                  HOLT_ERR_MALFORMED);
  spec = good;
  spec.replaces_birth++;
  CU_ASSERT_EQUAL(holt_rows_put(&f.rows, f.seven, &spec, &row),
                  HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(f.seven->row_count, 1);
  CU_ASSERT_EQUAL(f.seven->fingerprint, fingerprint);
  fixture_deinit(&f);
}

/* What rows say of themselves is part of the fingerprint, their order is not.
 */
static void
fingerprint_is_that_of_the_set(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  (void)put(&f.rows, f.seven, 1, 1, "x", 1);
  (void)put(&f.rows, f.seven, 2, 2, "y", 1);
  (void)put(&f.rows, f.seven, 3, 1, "x", 1);
  (void)put(&f.rows, f.nine, 2, 2, "y", 1);
  (void)put(&f.rows, f.nine, 3, 1, "x", 1);
  CU_ASSERT_EQUAL(f.seven->fingerprint, f.nine->fingerprint);
  holt_rows_remove(&f.rows, f.nine->rows_tail, HOLT_REASON_USER);
  struct holt_row_spec spec = spec_of(3, 1, "x", 1);
  spec.flags = HOLT_ROW_STANDBY;
  uint32_t row;
  CU_ASSERT_EQUAL(holt_rows_put(&f.rows, f.nine, &spec, &row), 0);
  CU_ASSERT_NOT_EQUAL(f.seven->fingerprint, f.nine->fingerprint);
  fixture_deinit(&f);
}

/* A batch of rows is placed before any is put; indices grow between. */
static void
places_outlive_other_puts(void)
{
  enum {
    COUNT = 300
  };
  struct fixture f;
  fixture_init(&f, HOLT_KIND_DUPLICATE);
  struct holt_row_spec specs[COUNT];
  struct holt_row_place places[COUNT];
  char keys[COUNT][8];
  for (unsigned i = 0; i < COUNT; i++) {
    (void)snprintf(keys[i], sizeof keys[i], "k%u", i / 2);
    specs[i] = spec_of(i + 1, i + 1, keys[i], i % 7);
    holt_rows_place(&f.rows, f.nine, &specs[i], &places[i]);
  }
  uint32_t refs[COUNT];
  for (unsigned i = 0; i < COUNT; i++) {
    holt_rows_fetch(&f.rows, f.nine, &specs[i], &places[i]);
    CU_ASSERT_EQUAL_FATAL(
      holt_rows_put_at(&f.rows, f.nine, &specs[i], &places[i], &refs[i]), 0);
  }
  for (unsigned i = 0; i < COUNT; i++) {
    struct holt_row_place place;
    holt_rows_place_birth(&f.rows, f.nine, i + 1, &place);
    holt_rows_fetch_birth(&f.rows, &place);
    CU_ASSERT_EQUAL(place.birth, places[i].birth);
    CU_ASSERT_EQUAL(holt_rows_born(&f.rows, f.nine, i + 1), refs[i]);
    CU_ASSERT_EQUAL(holt_rows_member(&f.rows, specs[i].key, specs[i].key_size,
                                     f.nine, i % 7, 0),
                    refs[i]);
  }
  fixture_deinit(&f);
}

static void
count_death(void *user, const struct holt_actor *actor, uint64_t seq,
            uint64_t birth, enum holt_reason why)
{
  CU_ASSERT_EQUAL(why, HOLT_REASON_USER);
  uint64_t *const sum = user;
  *sum += actor->id * 10000 + seq * 100 + birth;
}

/* Only for good, and only for an actor that is served. */
static void
deaths_are_told_while_served(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  uint64_t sum = 0;
  f.rows.on_death = count_death;
  f.rows.user = &sum;
  (void)put(&f.rows, f.seven, 1, 1, "x", 5);
  (void)put(&f.rows, f.nine, 1, 1, "x", 5);
  f.nine->served = true;
  (void)put(&f.rows, f.nine, 2, 1, "x", 5);
  holt_rows_remove(&f.rows, f.seven->rows_head, HOLT_REASON_USER);
  CU_ASSERT_EQUAL(sum, 0);
  holt_rows_remove(&f.rows, f.nine->rows_head, HOLT_REASON_USER);
  CU_ASSERT_EQUAL(sum, 90201);
  fixture_deinit(&f);
}

static void
epochs_make_rows_stale(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_KIND_UNIQUE);
  (void)put(&f.rows, f.seven, 5, 5, "x", 1);
  (void)put(&f.rows, f.seven, 6, 6, "y", 1);
  holt_rows_epoch(f.seven);
  struct holt_row *const row =
    holt_row_at(&f.rows, holt_rows_born(&f.rows, f.seven, 5));
  CU_ASSERT(holt_row_stale(&f.rows, row));
  holt_row_confirm(&f.rows, row);
  CU_ASSERT(!holt_row_stale(&f.rows, row));
  CU_ASSERT_EQUAL(holt_row_birth(row), 5);
  /* Beyond stale rows, any seq may come. */
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 5, 3, "z", 1), 0);
  CU_ASSERT_EQUAL(f.seven->row_count, 3);
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Each request for memory refused once */

static int
fill_scenario(struct holt_rows *rows, struct holt_actor **actors)
{
  uint32_t row;
  uint32_t local = 0;
  int rv = add_actor(rows, 7, &actors[0]);
  if (rv == 0) {
    rv = add_actor(rows, 9, &actors[1]);
  }
  if (rv == 0) {
    actors[0]->local = true;
    actors[0]->shown = true;
    rv = holt_rows_local_add(rows, 3, 0, 1, &local);
  }
  for (uint64_t i = 1; rv == 0 && i <= 60; i++) {
    char key[16];
    (void)snprintf(key, sizeof key, "%" PRIu64, i % 20 * 1000);
    struct holt_row_spec spec = spec_of(i, i, key, 3);
    spec.flags = i % 7 == 0 ? HOLT_ROW_REPLACES : 0;
    struct holt_actor *const actor = actors[i % 3 == 0 ? 0 : 1];
    const uint64_t fingerprint = actor->fingerprint;
    const size_t count = actor->row_count;
    const size_t blocks = rows->slab.block_count;
    rv = holt_rows_put(rows, actor, &spec, &row);
    if (rv != 0) {
      CU_ASSERT_EQUAL(actor->fingerprint, fingerprint);
      CU_ASSERT_EQUAL(actor->row_count, count);
      CU_ASSERT_EQUAL(rows->slab.block_count, blocks);
      CU_ASSERT_EQUAL(holt_rows_born(rows, actor, i), 0);
    }
  }
  for (uint64_t i = 1; rv == 0 && i <= 60; i += 4) {
    struct holt_actor *const actor = actors[i % 3 == 0 ? 0 : 1];
    char key[16];
    (void)snprintf(key, sizeof key, "%" PRIu64, i % 20 * 1000);
    struct holt_row_spec spec = spec_of(100 + i, i, key, 3);
    spec.flags = i % 7 == 0 ? HOLT_ROW_REPLACES : 0;
    spec.value = (const uint8_t *)"another, longer value";
    spec.value_size = 21;
    rv = holt_rows_put(rows, actor, &spec, &row);
    CU_ASSERT_NOT_EQUAL(holt_rows_born(rows, actor, i), 0);
  }
  return rv;
}

static int
fill_and_empty(struct holt_mem *mem, void *arg)
{
  const enum holt_kind *const kind = arg;
  struct holt_rows rows;
  holt_rows_init(&rows, mem, test_seed, *kind);
  struct holt_actor *actors[2] = { NULL, NULL };
  int rv = fill_scenario(&rows, actors);
  if (rv == 0) {
    const struct holt_member member = member_of("c@z");
    rv = holt_rows_actor_rename(&rows, actors[1], 11, &member, 1);
    CU_ASSERT_EQUAL(actors[1]->id, rv == 0 ? 11 : 9);
  }
  for (size_t i = 0; i < 2; i++) {
    while (actors[i] != NULL && actors[i]->rows_head != 0) {
      holt_rows_remove(&rows, actors[i]->rows_head, HOLT_REASON_USER);
    }
    if (actors[i] != NULL) {
      CU_ASSERT_EQUAL(actors[i]->fingerprint, 0);
      CU_ASSERT_EQUAL(actors[i]->row_count, 0);
      CU_ASSERT_EQUAL(actors[i]->pid_count, 0);
      CU_ASSERT_EQUAL(actors[i]->cell_count, 0);
    }
  }
  const uint32_t local = holt_rows_local(&rows, 3, 0);
  if (local != 0) {
    holt_rows_local_remove(&rows, local);
  }
  CU_ASSERT_EQUAL(rows.slab.block_count, 0);
  CU_ASSERT_EQUAL(rows.excess, 0);
  CU_ASSERT_EQUAL(rows.keys.count, 0);
  CU_ASSERT_EQUAL(rows.births.count, 0);
  CU_ASSERT_EQUAL(rows.pids.count, 0);
  CU_ASSERT_EQUAL(rows.members.count, 0);
  CU_ASSERT_EQUAL(rows.cells.count, 0);
  holt_rows_deinit(&rows);
  return rv;
}

static void
puts_with_each_request_refused_change_nothing(void)
{
  enum holt_kind kind = HOLT_KIND_UNIQUE;
  uint64_t requests = 0;
  CU_ASSERT(heap_fail_each(fill_and_empty, &kind, &requests));
  CU_ASSERT(requests > 25);
  kind = HOLT_KIND_DUPLICATE;
  CU_ASSERT(heap_fail_each(fill_and_empty, &kind, &requests));
  CU_ASSERT(requests > 25);
}

/*--------------------------------------------------------------------
 * Against a dumb model */

enum {
  ACTORS = 4,
  KEYS = 10,
  PIDS = 5,
  ROWS_MAX = 80,
  WALKS = 6
};

struct model_row {
  struct holt_row_spec spec;
  unsigned actor;
  unsigned key;
  uint64_t attached; /* Order in the ring of its process. */
  uint32_t ref;      /* 0: not there. */
};

struct model_walk {
  struct holt_walk walk;
  unsigned row; /* Expected; ROWS_MAX: at the end. */
};

struct model {
  struct prng prng;
  struct heap heap;
  struct holt_rows rows;
  struct holt_actor *actors[ACTORS];
  bool dead[PIDS]; /* Local processes. */
  uint64_t next_id;
  uint64_t next_seq;
  uint64_t attached;
  struct model_row model[ROWS_MAX];
  struct model_walk walks[WALKS];
};

static const char *const model_keys[KEYS] = {
  "",
  "a",
  "b",
  "c",
  "d",
  "e",
  "ff",
  "ggg",
  "a key that is long for a change",
  "another key that is long for a change"
};

static const uint8_t *
model_key(unsigned key, size_t *size)
{
  *size = strlen(model_keys[key]);
  return (const uint8_t *)model_keys[key];
}

static void
model_init(struct model *model, uint64_t seed, enum holt_kind kind)
{
  memset(model, 0, sizeof *model);
  prng_init(&model->prng, seed);
  heap_init(&model->heap);
  holt_rows_init(&model->rows, &model->heap.mem, test_seed, kind);
  for (unsigned i = 0; i < ACTORS; i++) {
    const uint64_t id = 1 + prng_below(&model->prng, 1000) * ACTORS + i;
    CU_ASSERT_EQUAL_FATAL(add_actor(&model->rows, id, &model->actors[i]), 0);
    model->actors[i]->rule =
      prng_chance(&model->prng, 1, 2) ? HOLT_RULE_NEWEST : HOLT_RULE_OLDEST;
  }
  model->actors[0]->local = true;
  for (uint32_t i = 0; i < PIDS; i++) {
    uint32_t local;
    CU_ASSERT_EQUAL(holt_rows_local_add(&model->rows, i, i * 7, 1, &local), 0);
  }
  for (unsigned i = 0; i < WALKS; i++) {
    model->walks[i].row = ROWS_MAX;
  }
  model->next_id = 1000000;
}

static unsigned
model_find(const struct model *model, uint32_t ref)
{
  unsigned i = 0;
  while (i < ROWS_MAX && (ref == 0 || model->model[i].ref != ref)) {
    i++;
  }
  return i;
}

static bool
model_same_ring(const struct model_row *left, const struct model_row *right)
{
  return left->actor == right->actor &&
         left->spec.owner_id == right->spec.owner_id &&
         left->spec.owner_serial == right->spec.owner_serial;
}

/* The row after this one in a list by seq or by process. */
static unsigned
model_next(const struct model *model, unsigned row, enum holt_walk_over over)
{
  const struct model_row *const at = &model->model[row];
  unsigned next = ROWS_MAX;
  for (unsigned i = 0; i < ROWS_MAX; i++) {
    const struct model_row *const other = &model->model[i];
    if (other->ref == 0 || other->actor != at->actor) {
      continue;
    }
    if (over == HOLT_WALK_SEQ && other->spec.seq > at->spec.seq &&
        (next == ROWS_MAX || other->spec.seq < model->model[next].spec.seq)) {
      next = i;
    }
    if (over == HOLT_WALK_PID && model_same_ring(at, other) &&
        other->attached > at->attached &&
        (next == ROWS_MAX || other->attached < model->model[next].attached)) {
      next = i;
    }
  }
  return next;
}

/* Move the walks that stand on a row which leaves such a list. */
static void
model_leaves(struct model *model, unsigned row, enum holt_walk_over over)
{
  for (unsigned i = 0; i < WALKS; i++) {
    struct model_walk *const walk = &model->walks[i];
    if (walk->walk.active && walk->walk.over == over && walk->row == row) {
      walk->row = model_next(model, row, over);
    }
  }
}

static void
model_owner(struct model *model, struct model_row *row)
{
  row->spec.owner_id = (uint32_t)prng_below(&model->prng, PIDS);
  row->spec.owner_serial = row->spec.owner_id * 7;
  row->attached = ++model->attached;
}

static void
model_value(struct model *model, struct model_row *row)
{
  static const uint8_t text[] = "some text that is a value of some length";
  row->spec.value_size = prng_below(&model->prng, 4) * 10;
  row->spec.value = row->spec.value_size == 0 ? NULL : text;
}

static bool
model_born(struct model *model, struct model_row *row)
{
  struct prng *const prng = &model->prng;
  *row = (struct model_row){ .actor = (unsigned)prng_below(prng, ACTORS),
                             .key = (unsigned)prng_below(prng, KEYS) };
  row->spec.seq = ++model->next_seq;
  row->spec.birth = row->spec.seq - prng_below(prng, 2);
  model->next_seq++;
  row->spec.birth = row->spec.birth == 0 ? 1 : row->spec.birth;
  row->spec.stamp = prng_below(prng, 6);
  row->spec.key = model_key(row->key, &row->spec.key_size);
  row->spec.flags = (uint8_t)prng_below(prng, HOLT_ROW_FLAGS + 1);
  if ((row->spec.flags & HOLT_ROW_REPLACES) != 0) {
    row->spec.replaces_actor = prng_next(prng);
    row->spec.replaces_birth = prng_next(prng);
  }
  model_owner(model, row);
  model_value(model, row);
  const uint32_t before =
    holt_rows_born(&model->rows, model->actors[row->actor], row->spec.birth);
  return before == 0 && holt_rows_put(&model->rows, model->actors[row->actor],
                                      &row->spec, &row->ref) == 0;
}

static bool
model_exchange(struct model *model, unsigned number)
{
  struct model_row *const row = &model->model[number];
  struct holt_actor *const actor = model->actors[row->actor];
  uint32_t ref;
  struct holt_row_spec wrong = row->spec;
  wrong.seq = model->next_seq + 1;
  wrong.flags ^= HOLT_ROW_EARLY;
  if (holt_rows_put(&model->rows, actor, &wrong, &ref) != HOLT_ERR_MALFORMED) {
    return false;
  }
  model_leaves(model, number, HOLT_WALK_SEQ);
  if (prng_chance(&model->prng, 1, 4)) {
    struct model_row other = *row;
    model_owner(model, &other);
    if (!model_same_ring(row, &other)) {
      model_leaves(model, number, HOLT_WALK_PID);
      *row = other;
    }
  }
  row->spec.seq = ++model->next_seq;
  model_value(model, row);
  return holt_rows_put(&model->rows, actor, &row->spec, &ref) == 0 &&
         ref == row->ref;
}

static void
model_remove(struct model *model, unsigned number)
{
  model_leaves(model, number, HOLT_WALK_SEQ);
  model_leaves(model, number, HOLT_WALK_PID);
  const uint32_t ref = model->model[number].ref;
  model->model[number].ref = 0;
  holt_rows_remove(&model->rows, ref, HOLT_REASON_USER);
}

static void
model_walk(struct model *model)
{
  struct model_walk *const walk =
    &model->walks[prng_below(&model->prng, WALKS)];
  if (!walk->walk.active) {
    const unsigned row = (unsigned)prng_below(&model->prng, ROWS_MAX);
    const enum holt_walk_over over =
      prng_chance(&model->prng, 1, 2) ? HOLT_WALK_SEQ : HOLT_WALK_PID;
    walk->row = model->model[row].ref != 0 ? row : ROWS_MAX;
    holt_walk_start(&model->rows, &walk->walk, model->model[row].ref, over);
  } else if (walk->row == ROWS_MAX) {
    holt_walk_stop(&model->rows, &walk->walk);
  } else {
    walk->row = model_next(model, walk->row, walk->walk.over);
    holt_walk_next(&model->rows, &walk->walk);
  }
}

static void
model_toggle(struct model *model)
{
  const unsigned number = (unsigned)prng_below(&model->prng, ACTORS);
  struct holt_actor *const actor = model->actors[number];
  switch (prng_below(&model->prng, 3)) {
  case 0: {
    const struct holt_member member = member_of("new@name");
    const uint64_t id = prng_chance(&model->prng, 1, 2)
                          ? ++model->next_id
                          : 2000000 - ++model->next_id;
    CU_ASSERT_EQUAL(holt_rows_actor_rename(&model->rows, actor, id, &member, 1),
                    0);
    break;
  }
  case 1: {
    const uint32_t pid = (uint32_t)prng_below(&model->prng, PIDS);
    model->dead[pid] = !model->dead[pid];
    holt_local_at(&model->rows, holt_rows_local(&model->rows, pid, pid * 7))
      ->dead = model->dead[pid];
    break;
  }
  default:
    holt_rows_show(&model->rows, actor, !actor->shown);
    break;
  }
}

static bool
model_step(struct model *model)
{
  const unsigned number = (unsigned)prng_below(&model->prng, ROWS_MAX);
  struct model_row *const row = &model->model[number];
  size_t budget;
  switch (prng_below(&model->prng, 8)) {
  case 0:
    model_toggle(model);
    return true;
  case 1:
    budget = prng_below(&model->prng, 5);
    (void)holt_rows_settle(&model->rows, &budget, NULL, NULL);
    return true;
  case 2:
  case 3:
    model_walk(model);
    return true;
  case 4:
    return row->ref == 0 || model_exchange(model, number);
  default:
    if (row->ref == 0) {
      return model_born(model, row);
    }
    model_remove(model, number);
    return true;
  }
}

static bool
model_visible(const struct model *model, const struct model_row *row)
{
  return row->ref != 0 && model->actors[row->actor]->shown &&
         !(row->actor == 0 && model->dead[row->spec.owner_id]);
}

static bool
model_older(const struct model *model, const struct model_row *left,
            const struct model_row *right)
{
  const uint64_t left_words[] = { left->spec.stamp,
                                  model->actors[left->actor]->id,
                                  left->spec.birth };
  const uint64_t right_words[] = { right->spec.stamp,
                                   model->actors[right->actor]->id,
                                   right->spec.birth };
  for (unsigned i = 0; i < 3; i++) {
    if (left_words[i] != right_words[i]) {
      return left_words[i] < right_words[i];
    }
  }
  return false;
}

/* Those that hold, early ones, those that keep the oldest, those in line. */
static unsigned
model_class(const struct model *model, const struct model_row *row)
{
  const bool oldest = model->actors[row->actor]->rule == HOLT_RULE_OLDEST;
  return (row->spec.flags & HOLT_ROW_STANDBY) != 0 ? 3
         : oldest                                  ? 2
         : (row->spec.flags & HOLT_ROW_EARLY) != 0 ? 1
                                                   : 0;
}

static bool
model_outranks(const struct model *model, const struct model_row *left,
               const struct model_row *right)
{
  const unsigned left_class = model_class(model, left);
  const unsigned right_class = model_class(model, right);
  if (left_class != right_class) {
    return left_class < right_class;
  }
  return model_older(model, left, right) != (left_class == 0);
}

static uint32_t
model_winner(const struct model *model, unsigned key)
{
  const struct model_row *winner = NULL;
  for (unsigned i = 0; i < ROWS_MAX; i++) {
    const struct model_row *const row = &model->model[i];
    if (row->key == key && model_visible(model, row) &&
        (winner == NULL || model_outranks(model, row, winner))) {
      winner = row;
    }
  }
  return winner == NULL ? 0 : winner->ref;
}

/* Rows of a key: of an actor (or ACTORS: of all), shown ones only or all. */
static size_t
model_count(const struct model *model, unsigned key, unsigned actor,
            bool shown_only)
{
  size_t count = 0;
  for (unsigned i = 0; i < ROWS_MAX; i++) {
    const struct model_row *const row = &model->model[i];
    if (row->ref != 0 && row->key == key &&
        (actor == ACTORS || row->actor == actor) &&
        (!shown_only || model->actors[row->actor]->shown)) {
      count++;
    }
  }
  return count;
}

/* The rows of a key by a walk: each once, those of an actor together. */
static bool
model_check_walk(struct model *model, unsigned key, uint32_t first)
{
  bool good = true;
  size_t count = 0;
  bool seen[ROWS_MAX] = { false };
  unsigned actor = ACTORS;
  size_t changes = 0;
  struct holt_walk walk = { .active = false };
  holt_walk_start(&model->rows, &walk, first, HOLT_WALK_KEY);
  while (good && walk.at != 0) {
    const unsigned row = model_find(model, walk.at);
    good = row < ROWS_MAX && model->model[row].key == key && !seen[row];
    if (good) {
      seen[row] = true;
      count++;
      changes += actor != model->model[row].actor ? 1u : 0u;
      actor = model->model[row].actor;
    }
    holt_walk_next(&model->rows, &walk);
  }
  holt_walk_stop(&model->rows, &walk);
  size_t actors = 0;
  for (unsigned i = 0; i < ACTORS; i++) {
    actors += model_count(model, key, i, false) > 0 ? 1u : 0u;
  }
  return good && count == model_count(model, key, ACTORS, false) &&
         changes == actors;
}

static bool
model_check_key(struct model *model, unsigned number)
{
  const struct holt_rows *const rows = &model->rows;
  size_t size;
  const uint8_t *const key = model_key(number, &size);
  bool good = holt_rows_count_key(rows, key, size, NULL) ==
              model_count(model, number, ACTORS, true);
  const uint32_t winner = model_winner(model, number);
  if (rows->kind == HOLT_KIND_UNIQUE) {
    good = good && holt_rows_winner(rows, key, size) == winner;
  }
  const uint32_t first = holt_rows_first(rows, key, size);
  good = good && model_check_walk(model, number, first);
  if (first != 0 && rows->kind == HOLT_KIND_UNIQUE) {
    good = good && holt_rows_winner_beside(rows, first) == winner;
  }
  if (first != 0) {
    good = good && holt_row_shared(rows, holt_row_at(rows, first)) ==
                     (model_count(model, number, ACTORS, false) > 1);
  }
  for (unsigned i = 0; i < ACTORS; i++) {
    struct holt_actor *const actor = model->actors[i];
    good = good && holt_rows_count_key(rows, key, size, actor) ==
                     model_count(model, number, i, true);
    const uint32_t own = holt_rows_first_of(rows, key, size, actor);
    good = good && (own == 0) == (model_count(model, number, i, false) == 0);
    for (unsigned j = 0; own != 0 && j < ROWS_MAX; j++) {
      const struct model_row *const row = &model->model[j];
      good =
        good &&
        (row->ref == 0 || row->ref == own || row->key != number ||
         row->actor != i || rows->kind == HOLT_KIND_DUPLICATE ||
         model_outranks(model, &model->model[model_find(model, own)], row));
    }
  }
  return good;
}

static bool
model_check_row(const struct model *model, const struct model_row *row)
{
  const struct holt_rows *const rows = &model->rows;
  const struct holt_actor *const actor = model->actors[row->actor];
  const struct holt_row *const is = holt_row_at(rows, row->ref);
  struct holt_row_spec spec;
  holt_row_spec_of(rows, is, &spec);
  bool good = holt_rows_born(rows, actor, row->spec.birth) == row->ref &&
              spec.seq == row->spec.seq && spec.birth == row->spec.birth &&
              spec.stamp == row->spec.stamp && spec.flags == row->spec.flags &&
              spec.owner_id == row->spec.owner_id &&
              spec.owner_serial == row->spec.owner_serial &&
              spec.replaces_actor == row->spec.replaces_actor &&
              spec.replaces_birth == row->spec.replaces_birth &&
              spec.key_size == row->spec.key_size &&
              spec.value_size == row->spec.value_size &&
              memcmp(spec.key, row->spec.key, spec.key_size) == 0 &&
              (spec.value_size == 0
                 ? spec.value == NULL
                 : memcmp(spec.value, row->spec.value, spec.value_size) == 0) &&
              holt_row_visible(rows, is) == model_visible(model, row) &&
              holt_row_actor(rows, is) == actor;
  if (rows->kind == HOLT_KIND_DUPLICATE) {
    const unsigned member =
      model_find(model, holt_rows_member(rows, spec.key, spec.key_size, actor,
                                         spec.owner_id, spec.owner_serial));
    good = good && member < ROWS_MAX && model->model[member].key == row->key &&
           model_same_ring(&model->model[member], row);
  }
  return good;
}

/* Lists of actors and of processes, from their heads. */
static bool
model_check_lists(const struct model *model)
{
  const struct holt_rows *const rows = &model->rows;
  bool good = true;
  for (unsigned i = 0; i < ACTORS; i++) {
    size_t count = 0;
    size_t pids = 0;
    unsigned row = model_find(model, model->actors[i]->rows_head);
    while (row < ROWS_MAX) {
      count++;
      row = model_next(model, row, HOLT_WALK_SEQ);
    }
    for (uint32_t pid = 0; pid < PIDS; pid++) {
      const uint32_t first =
        holt_rows_first_of_pid(rows, model->actors[i], pid, pid * 7);
      pids += first != 0 ? 1u : 0u;
      row = model_find(model, first);
      size_t in_ring = 0;
      while (row < ROWS_MAX) {
        in_ring++;
        row = model_next(model, row, HOLT_WALK_PID);
      }
      for (unsigned j = 0; j < ROWS_MAX; j++) {
        const struct model_row *const other = &model->model[j];
        in_ring -=
          other->ref != 0 && other->actor == i && other->spec.owner_id == pid
            ? 1u
            : 0u;
      }
      good = good && in_ring == 0;
    }
    good = good && count == model->actors[i]->row_count &&
           pids == model->actors[i]->pid_count;
  }
  return good;
}

static bool
model_check(struct model *model)
{
  bool good = model_check_lists(model);
  size_t keys = 0;
  for (unsigned i = 0; i < KEYS; i++) {
    good = good && model_check_key(model, i);
    keys += model_count(model, i, ACTORS, true) > 0 ? 1u : 0u;
  }
  for (unsigned i = 0; i < ROWS_MAX; i++) {
    good = good && (model->model[i].ref == 0 ||
                    model_check_row(model, &model->model[i]));
  }
  for (unsigned i = 0; i < WALKS; i++) {
    const struct model_walk *const walk = &model->walks[i];
    good = good && (!walk->walk.active ||
                    model_find(model, walk->walk.at) == walk->row);
  }
  if (model->rows.settling == 0) {
    good = good && holt_rows_count(&model->rows) == keys;
  }
  return good;
}

static void
prop_rows_equal_model(void)
{
  const uint64_t seed = prng_seed();
  bool good = true;
  for (unsigned run = 0; good && run < 40; run++) {
    struct model model;
    model_init(&model, seed + run,
               run % 2 == 0 ? HOLT_KIND_UNIQUE : HOLT_KIND_DUPLICATE);
    for (unsigned i = 0; good && i < 1500; i++) {
      good = model_step(&model) && (i % 7 != 0 || model_check(&model));
    }
    size_t budget = SIZE_MAX;
    (void)holt_rows_settle(&model.rows, &budget, NULL, NULL);
    good = good && model.rows.settling == 0 && model_check(&model);
    for (unsigned i = 0; good && i < ROWS_MAX; i++) {
      if (model.model[i].ref != 0) {
        model_remove(&model, i);
      }
    }
    for (unsigned i = 0; good && i < ACTORS; i++) {
      good = model.actors[i]->fingerprint == 0;
    }
    good =
      good && model.rows.excess == 0 && model.rows.slab.block_count == PIDS;
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " run %u\n", seed, run);
    }
    holt_rows_deinit(&model.rows);
    good = good && heap_is_clean(&model.heap);
    heap_deinit(&model.heap);
  }
  CU_ASSERT(good);
}

void test_rows_suite(void);

void
test_rows_suite(void)
{
  CU_pSuite suite = CU_add_suite("rows", NULL, NULL);
  CU_ADD_TEST(suite, put_of_a_known_birth_exchanges);
  CU_ADD_TEST(suite, put_of_what_may_not_change_is_malformed);
  CU_ADD_TEST(suite, fingerprint_is_that_of_the_set);
  CU_ADD_TEST(suite, deaths_are_told_while_served);
  CU_ADD_TEST(suite, epochs_make_rows_stale);
  CU_ADD_TEST(suite, places_outlive_other_puts);
  CU_ADD_TEST(suite, puts_with_each_request_refused_change_nothing);
  CU_ADD_TEST(suite, prop_rows_equal_model);
}
