/* SPDX-License-Identifier: Apache-2.0 */
/* The row store as a program: each input is a sequence of operations, and after
 * each of them the store is compared with the naive twin (twin.h), and with
 * itself (store.h).  Here are the steps; the model that is compared with is
 * rows_model.h, walks and scans are rows_walks.h.
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

#include "rows_model.h"
#include "rows_walks.h"
#include "store.h"

enum {
  STEPS_MAX = 250
};

static const struct holt_member member = { .name = (const uint8_t *)"reg",
                                           .node = (const uint8_t *)"a@x",
                                           .name_size = 3,
                                           .node_size = 3 };

/*--------------------------------------------------------------------
 * Putting */

/* The greatest seq of rows that are not stale, or the base. */
static uint64_t
seq_last(const struct model *model, const struct model_actor *actor)
{
  uint64_t last = actor->base;
  for (size_t i = 0; i < model->twin.row_count; i++) {
    const struct twin_row *const row = &model->twin.rows[i];
    if (model_owns(actor, row) &&
        !actor->stale[model_index_of(actor, row->birth)] &&
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
  for (size_t i = model_index_of(actor, from); i < SEQS; i++) {
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
  FUZZ_CHECK(rv != 0 || ref == model_ref_of(model, actor, spec->birth));
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
  struct model_actor *const actor = model_choose_actor(model);
  const uint8_t what = fuzz_u8(&model->input);
  const uint8_t stamp = fuzz_u8(&model->input);
  if (actor == NULL || model->twin.row_count >= ROWS_MAX) {
    return;
  }
  struct twin_row row = { .stamp = stamp,
                          .early = (what & 0x10u) != 0,
                          .standby = (what & 0x20u) != 0,
                          .key = model_key(what % KEYS) };
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
  const struct holt_row_spec spec = model_spec_of(&row);
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
  actor->used[model_index_of(actor, seq)] = true;
  actor->used[model_index_of(actor, row.birth)] = true;
  actor->stale[model_index_of(actor, row.birth)] = false;
  actor->came[model_index_of(actor, row.birth)] = ++model->came;
}

/* Another process has it now: the twin knows of no such change. */
static void
set_owner(struct model *model, struct model_actor *actor, uint64_t birth,
          uint32_t id, uint32_t serial)
{
  for (size_t i = 0; i < model->twin.row_count; i++) {
    struct twin_row *const row = &model->twin.rows[i];
    if (model_owns(actor, row) && row->birth == birth) {
      row->owner_id = id;
      row->owner_serial = serial;
    }
  }
  actor->came[model_index_of(actor, birth)] = ++model->came;
}

static void
do_change(struct model *model)
{
  const struct twin_row *const row = model_choose_row(model);
  const uint8_t what = fuzz_u8(&model->input);
  if (row == NULL) {
    return;
  }
  struct model_actor *const actor = model_actor_of(model, row->dot.actor);
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
  const struct holt_row_spec spec = model_spec_of(&changed);
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
  actor->used[model_index_of(actor, seq)] = true;
  actor->stale[model_index_of(actor, birth)] = false;
  walks_miss(model, actor->id, birth, false, owner);
}

/* The same row again, as a repair has it: a stale one, or the last. */
static void
do_put_again(struct model *model)
{
  const struct twin_row *const row = model_choose_row(model);
  if (row == NULL) {
    return;
  }
  struct model_actor *const actor = model_actor_of(model, row->dot.actor);
  const size_t at = model_index_of(actor, row->birth);
  const uint64_t last = seq_last(model, actor);
  const struct holt_row_spec spec = model_spec_of(row);
  if (actor->stale[at]
        ? row->dot.seq <= last
        : actor->actor->rows_tail != model_ref_of(model, actor, row->birth)) {
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
  const struct twin_row *const row = model_choose_row(model);
  const uint8_t what = fuzz_u8(&model->input);
  if (row == NULL) {
    return;
  }
  struct model_actor *const actor = model_actor_of(model, row->dot.actor);
  struct twin_row wrong = *row;
  const uint64_t last = seq_last(model, actor);
  wrong.dot.seq = (last > row->dot.seq ? last : row->dot.seq) + 1;
  if (wrong.dot.seq > HOLT_SEQ_MAX) {
    return;
  }
  switch (what % 4) {
  case 0:
    wrong.key = model_key(wrong.key.size == 0 ? 1 : 0);
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
  const struct holt_row_spec spec = model_spec_of(&wrong);
  FUZZ_CHECK(put(model, actor, &spec, (what & 0x80u) != 0) ==
             HOLT_ERR_MALFORMED);
}

/*--------------------------------------------------------------------
 * Removing */

static void
remove_row(struct model *model, struct model_actor *actor, uint64_t birth)
{
  holt_rows_remove(&model->rows, model_ref_of(model, actor, birth),
                   HOLT_REASON_USER);
  FUZZ_CHECK(model_ref_of(model, actor, birth) == 0);
  FUZZ_CHECK(twin_remove(&model->twin, actor->id, birth, NULL));
  walks_miss(model, actor->id, birth, true, false);
}

static void
do_remove(struct model *model)
{
  const struct twin_row *const row = model_choose_row(model);
  if (row != NULL) {
    remove_row(model, model_actor_of(model, row->dot.actor), row->birth);
  }
}

/* Those of an actor: the stale ones, or all. */
static void
sweep(struct model *model, struct model_actor *actor, bool all)
{
  for (size_t i = model->twin.row_count; i > 0; i--) {
    const struct twin_row *const row = &model->twin.rows[i - 1];
    if (model_owns(actor, row) &&
        (all || actor->stale[model_index_of(actor, row->birth)])) {
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
  struct model_actor *const actor = model_choose_actor(model);
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
    row.dot.actor = model_owns(actor, &row) ? id : row.dot.actor;
    const uint64_t seq = row.dot.seq;
    row.dot.seq = row.birth;
    twin_register(&twin, &row, NULL);
    FUZZ_CHECK(seq == row.birth || twin_update(&twin, row.dot.actor, row.birth,
                                               seq, row.value, NULL));
  }
  walks_rename(model, actor->id, id);
  twin_deinit(&model->twin);
  model->twin = twin;
  actor->id = id;
}

static void
do_show(struct model *model)
{
  const struct model_actor *const actor = model_choose_actor(model);
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
  struct model_actor *const actor = model_choose_actor(model);
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
  const struct twin_row *const row = model_choose_row(model);
  if (row == NULL) {
    return;
  }
  struct model_actor *const actor = model_actor_of(model, row->dot.actor);
  const uint32_t ref = model_ref_of(model, actor, row->birth);
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
  actor->stale[model_index_of(actor, row->birth)] = false;
}

static void
do_sweep(struct model *model)
{
  struct model_actor *const actor = model_choose_actor(model);
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
 * Programs */

/* Often what matters most. */
static void (*const steps[])(struct model *model) = {
  do_put,     do_put,       do_put,         do_put,      do_change,
  do_change,  do_put_again, do_put_wrong,   do_remove,   do_remove,
  do_show,    do_settle,    do_epoch,       do_confirm,  do_sweep,
  do_rename,  do_die,       walks_scan,     walks_start, walks_next,
  walks_next, walks_seek,   do_come_and_go,
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
  struct model *const model = malloc(sizeof *model);
  FUZZ_CHECK(model != NULL);
  model_init(model, bytes, size);
  for (unsigned i = 0; i < ACTORS; i++) {
    actor_add(model, &model->actors[i], fuzz_u8(&model->input));
  }
  for (unsigned i = 0; i < STEPS_MAX && !fuzz_is_used_up(&model->input); i++) {
    step(model);
    model_check(model);
    walks_look(model);
    if (i % 8 == 7) {
      store_check(&model->rows);
    }
  }
  store_check(&model->rows);
  walks_stop(model);
  model_deinit(model);
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
