/* SPDX-License-Identifier: Apache-2.0 */
/* The row store as a program: each input is a sequence of operations, and after
 * each of them the store is compared with the naive twin (twin.h), and with
 * itself (store.h).
 *
 *     head    kind of keys, rules of the actors, where seqs begin
 *     step    operation, and what it takes, a byte each
 *
 * Besides rows: memory that is refused, walks that outlive what they stand on,
 * scans with changes in between, processes that die, actors that are renamed,
 * leave and come.  What a caller has to see to, rows.h says; steps that would
 * break that are not made. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "rows.h"
#include "store.h"
#include "twin.h"

enum {
  ACTORS = 4, /* The first is local. */
  KEYS = 6,
  PROCESSES = 4,
  WALKS = 3,
  SEQS = 512, /* Of an actor, in its life. */
  ROWS_MAX = 80,
  STEPS_MAX = 250,
  VALUE_MAX = 64
};

struct model_actor {
  struct holt_actor *actor; /* NULL: not there. */
  uint64_t id;
  uint64_t base;       /* Seqs and births are this, and an index. */
  bool used[SEQS];     /* As seq or birth, ever. */
  bool stale[SEQS];    /* By birth, as are these: */
  uint32_t came[SEQS]; /* When the row came to its process. */
  unsigned stale_epochs;
};

struct expected {
  uint64_t actor;
  uint64_t birth;
  bool moved; /* Or gone: may come or not. */
  bool seen;
};

struct model_walk {
  struct holt_walk walk;
  struct expected *rows; /* What lies ahead. */
  size_t count;
};

struct model {
  struct fuzz_input input;
  struct heap heap;
  struct holt_rows rows;
  struct twin twin;
  struct model_actor actors[ACTORS];
  unsigned ids;              /* Given to actors. */
  uint32_t came;             /* Rows that have come to processes. */
  uint32_t lives[PROCESSES]; /* Serials of the local ones. */
  struct model_walk walks[WALKS];
  uint64_t scan_cursor;
  bool scanning;
  bool scan_there[KEYS]; /* All the time. */
  unsigned scan_seen[KEYS];
  uint8_t value[VALUE_MAX];
};

static const struct holt_member member = { .name = (const uint8_t *)"reg",
                                           .node = (const uint8_t *)"a@x",
                                           .name_size = 3,
                                           .node_size = 3 };

static struct twin_bytes
key_at(unsigned index)
{
  static uint8_t large[300];
  static uint8_t small[] = "abcdefgh";
  const size_t sizes[KEYS] = { 0, 1, 2, 8, 200, 300 };
  return (struct twin_bytes){ index < 4 ? small : large, sizes[index] };
}

static bool
is_row(const struct twin_row *row, const struct model_actor *actor)
{
  return actor->actor != NULL && row->dot.actor == actor->id;
}

static struct model_actor *
actor_of(struct model *model, uint64_t id)
{
  for (unsigned i = 0; i < ACTORS; i++) {
    if (model->actors[i].actor != NULL && model->actors[i].id == id) {
      return &model->actors[i];
    }
  }
  abort();
}

static size_t
index_of(const struct model_actor *actor, uint64_t birth)
{
  return (size_t)(birth - actor->base);
}

/* A byte chooses one of those that are there, or NULL. */
static struct model_actor *
choose_actor(struct model *model)
{
  struct model_actor *const actor =
    &model->actors[fuzz_u8(&model->input) % ACTORS];
  return actor->actor == NULL ? NULL : actor;
}

static const struct twin_row *
choose_row(struct model *model)
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

static struct holt_row_spec
spec_of(const struct twin_row *row)
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

static uint32_t
ref_of(const struct model *model, const struct model_actor *actor,
       uint64_t birth)
{
  return holt_rows_born(&model->rows, actor->actor, birth);
}

static bool
is_dead(const struct model *model, const struct twin_row *row)
{
  const struct model_actor *const local = &model->actors[0];
  return is_row(row, local) &&
         holt_local_at(
           &model->rows,
           holt_rows_local(&model->rows, row->owner_id, row->owner_serial))
           ->dead;
}

/*--------------------------------------------------------------------
 * Walks: what was there all the time is visited, once */

static void
walks_miss(struct model *model, uint64_t actor, uint64_t birth, bool gone,
           bool owner)
{
  for (unsigned i = 0; i < WALKS; i++) {
    const struct model_walk *const walk = &model->walks[i];
    const bool moved = gone || walk->walk.over == HOLT_WALK_SEQ ||
                       (owner && walk->walk.over == HOLT_WALK_PID);
    for (size_t at = 0; at < walk->count && moved; at++) {
      struct expected *const row = &walk->rows[at];
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

static void
walk_start(struct model *model)
{
  struct model_walk *const walk = &model->walks[fuzz_u8(&model->input) % WALKS];
  const enum holt_walk_over over =
    (enum holt_walk_over)(fuzz_u8(&model->input) % HOLT_WALK_KINDS);
  const struct twin_row *const row = choose_row(model);
  walk_stop(model, walk);
  if (row == NULL) {
    return;
  }
  const struct model_actor *const actor = actor_of(model, row->dot.actor);
  holt_walk_start(&model->rows, &walk->walk, ref_of(model, actor, row->birth),
                  over);
  walk->rows = calloc(model->twin.row_count, sizeof *walk->rows);
  FUZZ_CHECK(walk->rows != NULL);
  for (struct holt_walk ahead = walk->walk; ahead.at != 0;) {
    FUZZ_CHECK(walk->count < model->twin.row_count);
    const struct holt_row *const at = holt_row_at(&model->rows, ahead.at);
    walk->rows[walk->count++] = (struct expected){
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
    struct expected *const expected = &walk->rows[i];
    if (expected->actor == actor && expected->birth == holt_row_birth(row) &&
        !expected->moved) {
      FUZZ_CHECK(!expected->seen);
      expected->seen = true;
    }
  }
}

static void
walk_next(struct model *model)
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

/* A walk that has to look for its place, a few rows at a time. */
static void
walk_seek(struct model *model)
{
  const struct model_actor *const actor = choose_actor(model);
  const uint8_t after = fuzz_u8(&model->input);
  const size_t each = fuzz_u8(&model->input) % 4;
  if (actor == NULL) {
    return;
  }
  const struct twin_row *expected = NULL;
  const uint64_t cursor = after == 0 ? 0 : actor->base + after;
  for (size_t i = 0; i < model->twin.row_count; i++) {
    const struct twin_row *const row = &model->twin.rows[i];
    if (is_row(row, actor)) {
      if (actor->stale[index_of(actor, row->birth)]) {
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
  FUZZ_CHECK(walk.at ==
             (expected == NULL ? 0 : ref_of(model, actor, expected->birth)));
  holt_walk_stop(&model->rows, &walk);
}

/*--------------------------------------------------------------------
 * Putting */

/* The greatest seq of rows that are not stale, or the base. */
static uint64_t
seq_last(const struct model *model, const struct model_actor *actor)
{
  uint64_t last = actor->base;
  for (size_t i = 0; i < model->twin.row_count; i++) {
    const struct twin_row *const row = &model->twin.rows[i];
    if (is_row(row, actor) && !actor->stale[index_of(actor, row->birth)] &&
        row->dot.seq > last) {
      last = row->dot.seq;
    }
  }
  return last;
}

/* The first seq from there on that nobody has ever had, or 0. */
static uint64_t
seq_unused(const struct model_actor *actor, uint64_t from)
{
  for (size_t i = index_of(actor, from); i < SEQS; i++) {
    if (!actor->used[i]) {
      return actor->base + i;
    }
  }
  return 0;
}

/* With places looked up before, as for a batch, or without. */
static int
put(struct model *model, struct model_actor *actor,
    const struct holt_row_spec *spec, bool placed)
{
  uint32_t ref = 0;
  int rv;
  if (placed) {
    struct holt_row_place place;
    holt_rows_place(&model->rows, actor->actor, spec, &place);
    holt_rows_fetch(&model->rows, actor->actor, spec, &place);
    rv = holt_rows_put_at(&model->rows, actor->actor, spec, &place, &ref);
  } else {
    rv = holt_rows_put(&model->rows, actor->actor, spec, &ref);
  }
  FUZZ_CHECK(rv != 0 || ref == ref_of(model, actor, spec->birth));
  FUZZ_CHECK(rv != HOLT_ERR_NOMEM || model->heap.failed);
  return rv;
}

/* The process of a row: a local one is made known, and never dead. */
static bool
choose_owner(struct model *model, const struct model_actor *actor, uint32_t *id,
             uint32_t *serial)
{
  const uint8_t choice = fuzz_u8(&model->input);
  *id = choice % PROCESSES;
  *serial = choice >> 7;
  if (actor != &model->actors[0]) {
    return true;
  }
  *serial = model->lives[*id];
  uint32_t local = holt_rows_local(&model->rows, *id, *serial);
  if (local != 0 && holt_local_at(&model->rows, local)->dead) {
    *serial = ++model->lives[*id];
    local = 0;
  }
  return local != 0 ||
         holt_rows_local_add(&model->rows, *id, *serial, 1 + *id, &local) == 0;
}

static struct twin_bytes
choose_value(struct model *model)
{
  const size_t size = fuzz_u8(&model->input) % VALUE_MAX;
  memset(model->value, (int)size, sizeof model->value);
  return (struct twin_bytes){ size == 0 ? NULL : model->value, size };
}

/* A new row; some come as changed ones, born before. */
static void
do_put(struct model *model)
{
  struct model_actor *const actor = choose_actor(model);
  const uint8_t what = fuzz_u8(&model->input);
  const uint8_t stamp = fuzz_u8(&model->input);
  if (actor == NULL || model->twin.row_count >= ROWS_MAX) {
    return;
  }
  struct twin_row row = { .stamp = stamp,
                          .early = (what & 0x10u) != 0,
                          .standby = (what & 0x20u) != 0,
                          .key = key_at(what % KEYS) };
  const uint64_t gap = stamp % 3;
  const uint64_t birth = seq_unused(actor, actor->base + 1);
  const uint64_t seq = seq_unused(actor, seq_last(model, actor) + 1 + gap);
  const bool changed = (what & 0x40u) != 0 && birth < seq;
  if (seq == 0 ||
      !choose_owner(model, actor, &row.owner_id, &row.owner_serial)) {
    return;
  }
  row.birth = changed ? birth : seq;
  row.dot = (struct twin_dot){ actor->id, seq };
  row.value = choose_value(model);
  const struct holt_row_spec spec = spec_of(&row);
  const int rv = put(model, actor, &spec, (what & 0x80u) != 0);
  FUZZ_CHECK(rv == 0 || rv == HOLT_ERR_NOMEM);
  if (rv != 0) {
    return;
  }
  row.dot.seq = row.birth;
  twin_register(&model->twin, &row, NULL);
  if (changed) {
    FUZZ_CHECK(
      twin_update(&model->twin, actor->id, row.birth, seq, row.value, NULL));
  }
  actor->used[index_of(actor, seq)] = true;
  actor->used[index_of(actor, row.birth)] = true;
  actor->stale[index_of(actor, row.birth)] = false;
  actor->came[index_of(actor, row.birth)] = ++model->came;
}

/* Another process has it now: the twin knows of no such change. */
static void
set_owner(struct model *model, struct model_actor *actor, uint64_t birth,
          uint32_t id, uint32_t serial)
{
  for (size_t i = 0; i < model->twin.row_count; i++) {
    struct twin_row *const row = &model->twin.rows[i];
    if (is_row(row, actor) && row->birth == birth) {
      row->owner_id = id;
      row->owner_serial = serial;
    }
  }
  actor->came[index_of(actor, birth)] = ++model->came;
}

static void
do_change(struct model *model)
{
  const struct twin_row *const row = choose_row(model);
  const uint8_t what = fuzz_u8(&model->input);
  if (row == NULL) {
    return;
  }
  struct model_actor *const actor = actor_of(model, row->dot.actor);
  const uint64_t birth = row->birth;
  uint64_t from = seq_last(model, actor) + 1 + what % 3;
  from = from > row->dot.seq ? from : row->dot.seq + 1;
  const uint64_t seq = seq_unused(actor, from);
  if (seq == 0) {
    return;
  }
  struct twin_row changed = *row;
  changed.dot.seq = seq;
  if ((what & 0x10u) != 0 &&
      !choose_owner(model, actor, &changed.owner_id, &changed.owner_serial)) {
    return;
  }
  changed.value = choose_value(model);
  const bool owner = changed.owner_id != row->owner_id ||
                     changed.owner_serial != row->owner_serial;
  const struct holt_row_spec spec = spec_of(&changed);
  const int rv = put(model, actor, &spec, (what & 0x80u) != 0);
  FUZZ_CHECK(rv == 0 || rv == HOLT_ERR_NOMEM);
  if (rv != 0) {
    return;
  }
  FUZZ_CHECK(
    twin_update(&model->twin, actor->id, birth, seq, changed.value, NULL));
  if (owner) {
    set_owner(model, actor, birth, changed.owner_id, changed.owner_serial);
  }
  actor->used[index_of(actor, seq)] = true;
  actor->stale[index_of(actor, birth)] = false;
  walks_miss(model, actor->id, birth, false, owner);
}

/* The same row again, as a repair has it: a stale one, or the last. */
static void
do_put_again(struct model *model)
{
  const struct twin_row *const row = choose_row(model);
  if (row == NULL) {
    return;
  }
  struct model_actor *const actor = actor_of(model, row->dot.actor);
  const size_t at = index_of(actor, row->birth);
  const uint64_t last = seq_last(model, actor);
  const struct holt_row_spec spec = spec_of(row);
  if (actor->stale[at]
        ? row->dot.seq <= last
        : actor->actor->rows_tail != ref_of(model, actor, row->birth)) {
    return;
  }
  if (put(model, actor, &spec, false) == 0) {
    actor->stale[at] = false;
    walks_miss(model, actor->id, spec.birth, false, false);
  }
}

/* What says otherwise than it said is refused. */
static void
do_put_wrong(struct model *model)
{
  const struct twin_row *const row = choose_row(model);
  const uint8_t what = fuzz_u8(&model->input);
  if (row == NULL) {
    return;
  }
  struct model_actor *const actor = actor_of(model, row->dot.actor);
  struct twin_row wrong = *row;
  const uint64_t last = seq_last(model, actor);
  wrong.dot.seq = (last > row->dot.seq ? last : row->dot.seq) + 1;
  if (wrong.dot.seq > HOLT_SEQ_MAX) {
    return;
  }
  switch (what % 4) {
  case 0:
    wrong.key = key_at(wrong.key.size == 0 ? 1 : 0);
    break;
  case 1:
    wrong.stamp += 5;
    break;
  case 2:
    wrong.early = !wrong.early;
    break;
  default:
    wrong.standby = !wrong.standby;
    break;
  }
  const struct holt_row_spec spec = spec_of(&wrong);
  FUZZ_CHECK(put(model, actor, &spec, (what & 0x80u) != 0) ==
             HOLT_ERR_MALFORMED);
}

/*--------------------------------------------------------------------
 * Removing */

static void
remove_row(struct model *model, struct model_actor *actor, uint64_t birth)
{
  holt_rows_remove(&model->rows, ref_of(model, actor, birth), HOLT_REASON_USER);
  FUZZ_CHECK(ref_of(model, actor, birth) == 0);
  FUZZ_CHECK(twin_remove(&model->twin, actor->id, birth, NULL));
  walks_miss(model, actor->id, birth, true, false);
}

static void
do_remove(struct model *model)
{
  const struct twin_row *const row = choose_row(model);
  if (row != NULL) {
    remove_row(model, actor_of(model, row->dot.actor), row->birth);
  }
}

/* Those of an actor: the stale ones, or all. */
static void
sweep(struct model *model, struct model_actor *actor, bool all)
{
  for (size_t i = model->twin.row_count; i > 0; i--) {
    const struct twin_row *const row = &model->twin.rows[i - 1];
    if (is_row(row, actor) &&
        (all || actor->stale[index_of(actor, row->birth)])) {
      remove_row(model, actor, row->birth);
    }
  }
  actor->stale_epochs = 0;
}

/*--------------------------------------------------------------------
 * Actors and processes */

static void
actor_add(struct model *model, struct model_actor *actor, uint8_t what)
{
  static const uint64_t bases[] = { 0, 0xfffffff0u, 7,
                                    HOLT_SEQ_MAX - SEQS + 1 };
  const uint64_t id = (uint64_t)(what % 8) << 32 | ++model->ids;
  struct holt_actor *added;
  const int rv = holt_rows_actor_add(&model->rows, id, &member, 1, &added);
  FUZZ_CHECK(rv == 0 || (rv == HOLT_ERR_NOMEM && model->heap.failed));
  if (rv != 0) {
    return;
  }
  *actor = (struct model_actor){ .actor = added,
                                 .id = id,
                                 .base = bases[what / 8 % 4] };
  actor->used[0] = true; /* There is no seq 0. */
  added->local = actor == &model->actors[0];
  added->rule = what / 32 % 2 == 0 ? HOLT_RULE_NEWEST : HOLT_RULE_OLDEST;
  holt_rows_show(&model->rows, added, what / 64 % 2 == 0);
}

static void
do_come_and_go(struct model *model)
{
  struct model_actor *const actor =
    &model->actors[fuzz_u8(&model->input) % ACTORS];
  const uint8_t what = fuzz_u8(&model->input);
  if (actor->actor == NULL) {
    actor_add(model, actor, what);
  } else {
    sweep(model, actor, true);
    holt_rows_actor_remove(&model->rows, actor->actor);
    FUZZ_CHECK(holt_rows_actor(&model->rows, actor->id) == NULL);
    actor->actor = NULL;
  }
}

/* Under another id; the twin is written anew. */
static void
do_rename(struct model *model)
{
  struct model_actor *const actor = choose_actor(model);
  const uint8_t what = fuzz_u8(&model->input);
  if (actor == NULL) {
    return;
  }
  const uint64_t id = (uint64_t)(what % 8) << 32 | ++model->ids;
  if (holt_rows_actor_rename(&model->rows, actor->actor, id, &member, 2) != 0) {
    FUZZ_CHECK(model->heap.failed);
    return;
  }
  struct twin twin;
  twin_init(&twin);
  for (size_t i = 0; i < model->twin.row_count; i++) {
    struct twin_row row = model->twin.rows[i];
    row.dot.actor = is_row(&row, actor) ? id : row.dot.actor;
    const uint64_t seq = row.dot.seq;
    row.dot.seq = row.birth;
    twin_register(&twin, &row, NULL);
    FUZZ_CHECK(seq == row.birth || twin_update(&twin, row.dot.actor, row.birth,
                                               seq, row.value, NULL));
  }
  for (unsigned i = 0; i < WALKS; i++) {
    for (size_t at = 0; at < model->walks[i].count; at++) {
      struct expected *const row = &model->walks[i].rows[at];
      row->actor = row->actor == actor->id ? id : row->actor;
    }
  }
  twin_deinit(&model->twin);
  model->twin = twin;
  actor->id = id;
}

static void
do_show(struct model *model)
{
  const struct model_actor *const actor = choose_actor(model);
  const uint8_t what = fuzz_u8(&model->input);
  if (actor != NULL && what == 0xff) {
    holt_rows_settle_all(&model->rows, actor->actor);
  } else if (actor != NULL) {
    holt_rows_show(&model->rows, actor->actor, what % 2 == 0);
  }
}

/* What settle is called with has a key that a shown actor has. */
static void
on_settle(void *user, uint32_t ref)
{
  const struct model *const model = user;
  size_t size;
  const uint8_t *const key =
    holt_row_key(&model->rows, holt_row_at(&model->rows, ref), &size);
  FUZZ_CHECK(holt_rows_first(&model->rows, key, size) == ref);
  FUZZ_CHECK(holt_rows_count_key(&model->rows, key, size, NULL) > 0);
}

static void
do_settle(struct model *model)
{
  const uint8_t what = fuzz_u8(&model->input);
  const size_t budget = what % 64;
  size_t left = budget;
  const bool more =
    holt_rows_settle(&model->rows, &left, what < 192 ? on_settle : NULL, model);
  FUZZ_CHECK(left <= budget && (!more || left == 0));
  FUZZ_CHECK(more == (model->rows.settling > 0));
}

/* All are stale until confirmed.  They have to be gone in time. */
static void
do_epoch(struct model *model)
{
  struct model_actor *const actor = choose_actor(model);
  if (actor == NULL) {
    return;
  }
  if (++actor->stale_epochs == 200) {
    sweep(model, actor, false);
  }
  holt_rows_epoch(actor->actor);
  for (size_t i = 0; i < SEQS; i++) {
    actor->stale[i] = true;
  }
}

/* Only where those that are not stale stay in order. */
static void
do_confirm(struct model *model)
{
  const struct twin_row *const row = choose_row(model);
  if (row == NULL) {
    return;
  }
  struct model_actor *const actor = actor_of(model, row->dot.actor);
  const uint32_t ref = ref_of(model, actor, row->birth);
  bool behind = false;
  for (uint32_t at = actor->actor->rows_head; at != 0;) {
    const struct holt_row *const other = holt_row_at(&model->rows, at);
    behind = behind || at == ref;
    if (at != ref && !holt_row_stale(&model->rows, other) &&
        (holt_row_seq(other) > row->dot.seq) != behind) {
      return;
    }
    at = other->seq_next;
  }
  holt_row_confirm(&model->rows, holt_row_at(&model->rows, ref));
  actor->stale[index_of(actor, row->birth)] = false;
}

static void
do_sweep(struct model *model)
{
  struct model_actor *const actor = choose_actor(model);
  if (actor != NULL) {
    sweep(model, actor, false);
  }
}

static void
do_die(struct model *model)
{
  const uint32_t id = fuzz_u8(&model->input) % PROCESSES;
  const uint32_t ref = holt_rows_local(&model->rows, id, model->lives[id]);
  if (ref == 0) {
    return;
  }
  struct holt_local *const local = holt_local_at(&model->rows, ref);
  if (local->rows == 0) {
    holt_rows_local_remove(&model->rows, ref);
    FUZZ_CHECK(holt_rows_local(&model->rows, id, model->lives[id]) == 0);
  } else {
    local->dead = true;
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
  while (key_at(key).size != size) {
    key++;
  }
  return key;
}

static bool
on_scan(void *user, uint32_t ref)
{
  struct model *const model = user;
  const struct twin_bytes key = key_at(key_of(model, ref));
  const uint32_t expected =
    model->rows.kind == HOLT_KIND_UNIQUE
      ? holt_rows_winner(&model->rows, key.data, key.size)
      : holt_rows_first(&model->rows, key.data, key.size);
  FUZZ_CHECK(ref == expected);
  model->scan_seen[key_of(model, ref)]++;
  return true;
}

static bool
key_is_there(const struct model *model, unsigned index)
{
  const struct twin_bytes key = key_at(index);
  return (model->rows.kind == HOLT_KIND_UNIQUE
            ? holt_rows_winner(&model->rows, key.data, key.size)
            : holt_rows_first(&model->rows, key.data, key.size)) != 0;
}

static void
do_scan(struct model *model)
{
  for (unsigned i = 0; i < KEYS && !model->scanning; i++) {
    model->scan_there[i] = key_is_there(model, i);
    model->scan_seen[i] = 0;
  }
  model->scan_cursor = holt_rows_scan(
    &model->rows, model->scanning ? model->scan_cursor : 0, on_scan, model);
  model->scanning = model->scan_cursor != 0;
  for (unsigned i = 0; i < KEYS && !model->scanning; i++) {
    FUZZ_CHECK(!model->scan_there[i] || model->scan_seen[i] == 1);
  }
}

/*--------------------------------------------------------------------
 * Comparing */

static void
check_rows(const struct model *model, const struct model_actor *actor)
{
  size_t expected = 0;
  for (size_t i = 0; i < model->twin.row_count; i++) {
    const struct twin_row *const row = &model->twin.rows[i];
    if (!is_row(row, actor)) {
      continue;
    }
    expected++;
    const uint32_t ref = ref_of(model, actor, row->birth);
    FUZZ_CHECK(ref != 0);
    const struct holt_row *const found = holt_row_at(&model->rows, ref);
    const struct holt_row_spec wanted = spec_of(row);
    struct holt_row_spec spec;
    holt_row_spec_of(&model->rows, found, &spec);
    FUZZ_CHECK(spec_equal(&spec, &wanted));
    FUZZ_CHECK(holt_row_stale(&model->rows, found) ==
               actor->stale[index_of(actor, row->birth)]);
    FUZZ_CHECK(holt_row_visible(&model->rows, found) ==
               (actor->actor->shown && !is_dead(model, row)));
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
    const size_t index = index_of(actor, holt_row_birth(at));
    FUZZ_CHECK(actor->came[index] > came);
    came = actor->came[index];
    size_t size;
    (void)holt_row_key(&model->rows, at, &size);
    member_ref = size == row->key.size ? walk.at : member_ref;
    holt_walk_next(&model->rows, &walk);
  }
  FUZZ_CHECK(model->rows.kind == HOLT_KIND_UNIQUE ||
             holt_rows_member(&model->rows, key_at(0).data, 0, actor->actor,
                              ~row->owner_id, 0) == 0);
  if (model->rows.kind == HOLT_KIND_DUPLICATE) {
    const struct holt_row_spec spec = spec_of(row);
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
  const struct twin_bytes key = key_at(at);
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
    const struct twin_bytes key = key_at(i);
    const size_t count =
      twin_rows(&model->twin, key, shown, shown_count, NULL, 0);
    keys += count > 0 ? 1 : 0;
    FUZZ_CHECK(holt_rows_count_key(&model->rows, key.data, key.size, NULL) ==
               count);
    for (size_t at = 0; at < shown_count; at++) {
      const struct model_actor *const actor = actor_of(model, shown[at].actor);
      FUZZ_CHECK(
        holt_rows_count_key(&model->rows, key.data, key.size, actor->actor) ==
        twin_rows(&model->twin, key, &shown[at], 1, NULL, 0));
    }
    if (model->rows.kind == HOLT_KIND_UNIQUE) {
      check_winner(model, living, shown, shown_count, i);
    }
    model->scan_there[i] = model->scan_there[i] && key_is_there(model, i);
  }
  FUZZ_CHECK(model->rows.settling > 0 || holt_rows_count(&model->rows) == keys);
}

static void
check(struct model *model)
{
  bool dead = false;
  for (unsigned i = 0; i < ACTORS; i++) {
    if (model->actors[i].actor != NULL) {
      check_rows(model, &model->actors[i]);
    }
  }
  for (size_t i = 0; i < model->twin.row_count; i++) {
    const struct twin_row *const row = &model->twin.rows[i];
    check_owner(model, actor_of(model, row->dot.actor), row);
    dead = dead || is_dead(model, row);
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
    FUZZ_CHECK(!is_dead(model, row) ||
               twin_remove(&living, row->dot.actor, row->birth, NULL));
  }
  check_keys(model, &living);
  twin_deinit(&living);
}

/*--------------------------------------------------------------------
 * Programs */

/* Often what matters most. */
static void (*const steps[])(struct model *model) = {
  do_put,       do_put,       do_put,    do_put,    do_change,      do_change,
  do_put_again, do_put_wrong, do_remove, do_remove, do_show,        do_settle,
  do_epoch,     do_confirm,   do_sweep,  do_rename, do_die,         do_scan,
  walk_start,   walk_next,    walk_next, walk_seek, do_come_and_go,
};
#define STEPS (sizeof steps / sizeof steps[0])

/* Set: one of the next requests for memory is refused. */
#define STEP_FAILS 0x80u

static void
step(struct model *model)
{
  const uint8_t code = fuzz_u8(&model->input);
  if ((code & STEP_FAILS) != 0) {
    model->heap.failed = false;
    model->heap.fail_at = model->heap.requests + 1 + fuzz_u8(&model->input) % 8;
  }
  steps[(code & ~STEP_FAILS) % STEPS](model);
  model->heap.fail_at = 0;
}

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  struct model *const model = calloc(1, sizeof *model);
  FUZZ_CHECK(model != NULL);
  model->input = fuzz_input(bytes, size);
  heap_init(&model->heap);
  twin_init(&model->twin);
  const struct holt_hash_seed seed = { 1, 2 };
  holt_rows_init(&model->rows, &model->heap.mem, seed,
                 fuzz_u8(&model->input) % 2 == 0 ? HOLT_KIND_UNIQUE
                                                 : HOLT_KIND_DUPLICATE);
  for (unsigned i = 0; i < ACTORS; i++) {
    actor_add(model, &model->actors[i], fuzz_u8(&model->input));
  }
  for (unsigned i = 0; i < STEPS_MAX && !fuzz_is_used_up(&model->input); i++) {
    step(model);
    check(model);
    if (i % 8 == 7) {
      store_check(&model->rows);
    }
  }
  store_check(&model->rows);
  for (unsigned i = 0; i < WALKS; i++) {
    walk_stop(model, &model->walks[i]);
  }
  holt_rows_deinit(&model->rows);
  twin_deinit(&model->twin);
  fuzz_heap_end(&model->heap);
  free(model);
}

/*--------------------------------------------------------------------
 * Seeds: programs of each kind of step, and mixed ones */

void
fuzz_seeds(fuzz_seed seed)
{
  uint64_t state = 1;
  for (unsigned program = 0; program < 2 * STEPS; program++) {
    uint8_t bytes[160];
    for (size_t i = 0; i < sizeof bytes; i++) {
      state =
        state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      bytes[i] = (uint8_t)(state >> 56);
    }
    bytes[0] = (uint8_t)program;
    /* Four puts, then the step in question now and then. */
    for (size_t i = 5; i < sizeof bytes; i += 5) {
      bytes[i] = (uint8_t)(i % 15 == 0 || i < 25 ? 0
                           : i % 25 == 0         ? 4
                                                 : program / 2);
    }
    char name[16] = "program-000";
    name[8] = (char)('0' + program / 100);
    name[9] = (char)('0' + program / 10 % 10);
    name[10] = (char)('0' + program % 10);
    seed(name, bytes, sizeof bytes);
  }
}
