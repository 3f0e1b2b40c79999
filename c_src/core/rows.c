/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, written and removed.
 *
 * A row is in many places at once: under its key, with its process, in its
 * actor's list, in three or four indices.  A put that ran out of memory half
 * way would leave it in some of them.  So it comes in two parts:
 *
 *     room in the indices, all blocks      may fail; put_undo() frees them
 *     ---------------------------------
 *     links, counts, fingerprint           cannot
 *
 * A birth that is new is a new row.  One that is known is exchanged in its
 * place, so that references to it stay valid: it gets another seq, and with it
 * the last place in its actor's list, another value, perhaps another process.
 * Key, flags and stamp are for ever, and its place among the rows of its key
 * with them.
 *
 * Two copies of an actor's rows are compared by a sum of hashes, one per row,
 * which needs no order: each change takes the old row off and adds the new. */
#include <string.h>

#include "mutant.h"
#include "rows_state.h"

/* The fingerprints of two replicas are compared, so this seed is the same
 * everywhere, unlike the one that keys the indices. */
static const struct holt_hash_seed fingerprint_seed = {
  .k0 = UINT64_C(0x686f6c742d726f77),
  .k1 = UINT64_C(0x2d7072696e742d31)
};

/* Before the bytes of a value: the size, and, with HOLT_ROW_REPLACES, actor and
 * birth. */
#define VALUE_HEAD sizeof(uint32_t)
#define VALUE_REPLACED (2 * sizeof(uint64_t))

/*--------------------------------------------------------------------
 * The store */

static uint32_t
birth_hash(const struct holt_rows *rows, uint32_t slot, uint64_t birth)
{
  /* Births have 48 bits; those beyond 32 are part of the rest. */
  return holt__neighbour_hash(rows, slot, birth >> 32 << 48, (uint32_t)birth);
}

static uint32_t *
birth_next(void *user, uint32_t ref)
{
  return &holt_row_at(user, ref)->by_birth;
}

static uint32_t
birth_hash_of(void *user, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(user, ref);
  return birth_hash(user, holt__row_slot(row), holt_row_birth(row));
}

void
holt_rows_init(struct holt_rows *rows, struct holt_mem *mem,
               struct holt_hash_seed seed, enum holt_kind kind)
{
  *rows = (struct holt_rows){ .mem = mem, .seed = seed, .kind = kind };
  holt_slab_init(&rows->slab, mem);
  holt__actors_init(rows);
  holt__keys_init(rows);
  holt__cells_init(rows);
  holt__owners_init(rows);
  holt_index_init(&rows->births, mem, birth_next, birth_hash_of, rows);
  rows->births.dense = 1; /* They come one after the other: few misses. */
}

void
holt_rows_deinit(struct holt_rows *rows)
{
  holt__actors_deinit(rows);
  holt__keys_deinit(rows);
  holt__cells_deinit(rows);
  holt__owners_deinit(rows);
  holt_index_deinit(&rows->births);
  holt_slab_deinit(&rows->slab);
  rows->excess = 0;
  rows->settling = 0;
}

/*--------------------------------------------------------------------
 * Reading */

const uint8_t *
holt_row_key(const struct holt_rows *rows, const struct holt_row *row,
             size_t *size)
{
  const uint32_t *const links = holt__row_key_links(rows, row);
  *size = links[HOLT_LINK_KEY_SIZE];
  return (const uint8_t *)(links + 3);
}

/* Bytes of the head of the value of a row. */
static size_t
value_head(unsigned flags)
{
  return VALUE_HEAD + ((flags & HOLT_ROW_REPLACES) != 0 ? VALUE_REPLACED : 0);
}

const uint8_t *
holt_row_value(const struct holt_rows *rows, const struct holt_row *row,
               size_t *size)
{
  *size = 0;
  if (row->value == 0) {
    return NULL;
  }
  const uint8_t *const block = holt_slab_at(&rows->slab, row->value);
  uint32_t value_size;
  memcpy(&value_size, block, sizeof value_size);
  *size = value_size;
  return value_size == 0 ? NULL : block + value_head(holt__row_flags(row));
}

/* The registration whose place the row takes, or zeros. */
static void
row_replaced(const struct holt_rows *rows, const struct holt_row *row,
             uint64_t *actor, uint64_t *birth)
{
  *actor = 0;
  *birth = 0;
  if ((holt__row_flags(row) & HOLT_ROW_REPLACES) != 0) {
    const uint8_t *const block = holt_slab_at(&rows->slab, row->value);
    memcpy(actor, block + VALUE_HEAD, sizeof *actor);
    memcpy(birth, block + VALUE_HEAD + sizeof *actor, sizeof *birth);
  }
}

bool
holt_row_replaces(const struct holt_rows *rows, const struct holt_row *left,
                  const struct holt_row *right)
{
  uint64_t actor;
  uint64_t birth;
  row_replaced(rows, left, &actor, &birth);
  return birth != 0 && birth == holt_row_birth(right) &&
         actor == holt_row_actor(rows, right)->id;
}

struct holt_local *
holt_row_local(const struct holt_rows *rows, const struct holt_row *row)
{
  return holt_row_actor(rows, row)->local ? holt_local_at(rows, row->serial)
                                          : NULL;
}

/* The serial of the pid. */
static uint32_t
row_serial(const struct holt_rows *rows, const struct holt_row *row)
{
  const struct holt_local *const local = holt_row_local(rows, row);
  return local != NULL ? local->serial : row->serial;
}

void
holt_row_spec_of(const struct holt_rows *rows, const struct holt_row *row,
                 struct holt_row_spec *spec)
{
  *spec = (struct holt_row_spec){ .seq = holt_row_seq(row),
                                  .birth = holt_row_birth(row),
                                  .stamp = row->stamp,
                                  .owner_id = row->id,
                                  .owner_serial = row_serial(rows, row),
                                  .flags = (uint8_t)holt__row_flags(row) };
  spec->key = holt_row_key(rows, row, &spec->key_size);
  spec->value = holt_row_value(rows, row, &spec->value_size);
  row_replaced(rows, row, &spec->replaces_actor, &spec->replaces_birth);
}

static uint8_t
row_epoch(const struct holt_row *row)
{
  return (uint8_t)(row->birth_flags >> 8);
}

bool
holt_row_stale(const struct holt_rows *rows, const struct holt_row *row)
{
  return row_epoch(row) != holt_row_actor(rows, row)->epoch;
}

void
holt_row_confirm(const struct holt_rows *rows, struct holt_row *row)
{
  row->birth_flags = (row->birth_flags & ~UINT64_C(0xff00)) |
                     (uint64_t)holt_row_actor(rows, row)->epoch << 8;
}

uint32_t
holt_rows_born(const struct holt_rows *rows, const struct holt_actor *actor,
               uint64_t birth)
{
  uint32_t ref =
    holt_index_chain(&rows->births, birth_hash(rows, actor->slot, birth));
  while (ref != 0) {
    const struct holt_row *const row = holt_row_at(rows, ref);
    if (holt_row_birth(row) == birth && holt__row_slot(row) == actor->slot) {
      return ref;
    }
    ref = row->by_birth;
  }
  return 0;
}

uint64_t
holt_rows_scan_rows(const struct holt_rows *rows, uint64_t cursor,
                    bool (*visit)(void *user, uint32_t row), void *user)
{
  bool visited = false;
  for (uint32_t i = 0; !visited && i < HOLT_SCAN_CHAINS_MAX; i++) {
    uint32_t ref;
    const uint64_t next = holt_index_scan(&rows->births, cursor, &ref);
    while (ref != 0) {
      const uint32_t row = ref;
      const struct holt_row *const at = holt_row_at(rows, row);
      const uint32_t hash =
        birth_hash(rows, holt__row_slot(at), holt_row_birth(at));
      ref = at->by_birth;
      if (holt_index_position(hash) < cursor) {
        continue;
      }
      visited = true;
      if (!visit(user, row)) {
        return 0;
      }
    }
    cursor = next;
    if (cursor == HOLT_INDEX_SCAN_END) {
      return 0;
    }
  }
  return cursor;
}

/* What one row adds to its actor's fingerprint.  A dot determines all else of
 * the row; the rest is there to catch our own errors. */
static uint64_t
row_fingerprint(const struct holt_rows *rows, const struct holt_row *row)
{
  const uint64_t dot =
    holt_hash_mix2(&fingerprint_seed, holt_row_seq(row), holt_row_birth(row));
  const uint64_t pid = (uint64_t)row_serial(rows, row) << 32 | row->id;
  size_t value_size;
  (void)holt_row_value(rows, row, &value_size);
  return holt_hash_mix2(&fingerprint_seed,
                        dot ^ row->stamp ^ (uint64_t)holt__row_flags(row) << 56,
                        pid + value_size);
}

/*--------------------------------------------------------------------
 * The list of an actor */

static void
seq_append(struct holt_rows *rows, struct holt_actor *actor, uint32_t ref)
{
  struct holt_row *const row = holt_row_at(rows, ref);
  row->seq_prev = actor->rows_tail;
  row->seq_next = 0;
  if (actor->rows_tail != 0) {
    holt_row_at(rows, actor->rows_tail)->seq_next = ref;
  } else {
    actor->rows_head = ref;
  }
  actor->rows_tail = ref;
}

static void
seq_unlink(struct holt_rows *rows, struct holt_actor *actor, uint32_t ref)
{
  holt__walks_step_over(rows, ref, HOLT_WALK_SEQ);
  const struct holt_row *const row = holt_row_at(rows, ref);
  if (row->seq_prev != 0) {
    holt_row_at(rows, row->seq_prev)->seq_next = row->seq_next;
  } else {
    actor->rows_head = row->seq_next;
  }
  if (row->seq_next != 0) {
    holt_row_at(rows, row->seq_next)->seq_prev = row->seq_prev;
  } else {
    actor->rows_tail = row->seq_prev;
  }
}

/*--------------------------------------------------------------------
 * Putting */

static void
put_undo(struct holt_rows *rows, const struct holt_put *put)
{
  holt_slab_free(&rows->slab, put->value);
  holt_slab_free(&rows->slab, put->row);
  holt_slab_free(&rows->slab, put->entry);
  holt_slab_free(&rows->slab, put->other_cell);
  holt_slab_free(&rows->slab, put->cell);
}

static int
put_value(struct holt_rows *rows, const struct holt_row_spec *spec,
          struct holt_put *put)
{
  const bool replaces = (spec->flags & HOLT_ROW_REPLACES) != 0;
  if (spec->value_size == 0 && !replaces) {
    return 0;
  }
  holt_assert(spec->value_size < UINT32_MAX - VALUE_HEAD - VALUE_REPLACED);
  const size_t head = value_head(spec->flags);
  const int rv =
    holt__block_new(rows, head + spec->value_size, HOLT_BLOCK_ANY, &put->value);
  if (rv != 0) {
    return rv;
  }
  uint8_t *const block = holt_slab_at(&rows->slab, put->value);
  const uint32_t size = (uint32_t)spec->value_size;
  memcpy(block, &size, sizeof size);
  if (replaces) {
    memcpy(block + VALUE_HEAD, &spec->replaces_actor, sizeof(uint64_t));
    memcpy(block + VALUE_HEAD + sizeof(uint64_t), &spec->replaces_birth,
           sizeof(uint64_t));
  }
  if (size > 0) {
    memcpy(block + head, spec->value, size);
  }
  return 0;
}

static void
row_set_seq(struct holt_row *row, const struct holt_actor *actor,
            const struct holt_row_spec *spec)
{
  row->seq_actor = spec->seq << 16 | actor->slot;
  row->birth_flags = spec->birth << 16 | (uint64_t)actor->epoch << 8 |
                     (row->birth_flags & HOLT_ROW_MARKS) | spec->flags;
}

/* The indices that a new row needs. */
static int
put_reserve(struct holt_rows *rows, const struct holt_actor *actor)
{
  int rv = holt_index_reserve(&rows->keys);
  if (rv == 0) {
    rv = holt_index_reserve(&rows->births);
  }
  if (rv == 0 && !actor->local) {
    rv = holt_index_reserve(&rows->pids);
  }
  if (rv == 0 && rows->kind == HOLT_KIND_DUPLICATE) {
    rv = holt_index_reserve(&rows->members);
  }
  return rv;
}

/* The row, with its key while it is alone, and what shared keys need. */
static int
put_key(struct holt_rows *rows, const struct holt_actor *actor,
        const struct holt_row_spec *spec, struct holt_put *put)
{
  const size_t row_size = rows->row_offset + offsetof(struct holt_row, key);
  if (put->key_ref == 0) {
    return holt__block_new(rows, row_size + spec->key_size, HOLT_BLOCK_ANY,
                           &put->row);
  }
  const int rv = holt__block_new(rows, row_size, HOLT_BLOCK_ANY, &put->row);
  return rv != 0 ? rv : holt__cells_prepare(rows, actor, spec, put);
}

static int
put_born(struct holt_rows *rows, struct holt_actor *actor,
         const struct holt_row_spec *spec, struct holt_put *put)
{
  put->key_ref =
    holt__key_find(rows, spec->key, spec->key_size, put->place.key);
  int rv = put_reserve(rows, actor);
  if (rv == 0) {
    rv = put_key(rows, actor, spec, put);
  }
  if (rv != 0) {
    return rv;
  }

  /* Nothing below can fail. */
  struct holt_row *const row = holt_row_at(rows, put->row);
  memset(row, 0, offsetof(struct holt_row, key));
  row_set_seq(row, actor, spec);
  row->stamp = spec->stamp;
  row->id = spec->owner_id;
  row->serial = put->serial;
  row->value = put->value;
  holt__key_join(rows, actor, spec, put);
  seq_append(rows, actor, put->row);
  holt__owner_join(rows, actor, put);
  holt_index_insert_inline(&rows->births, put->row, put->place.birth,
                           birth_next, birth_hash_of);
  actor->row_count++;
  if (actor->birth_max < spec->birth) {
    actor->birth_max = spec->birth;
  }
  actor->fingerprint += row_fingerprint(rows, row);
  if (rows->on_change != NULL) {
    holt__told_born(rows, put->row);
  }
  return 0;
}

/* What may not change says the same as ever. */
static bool
row_agrees(const struct holt_rows *rows, const struct holt_row *row,
           const struct holt_row_spec *spec)
{
  size_t key_size;
  const uint8_t *const key = holt_row_key(rows, row, &key_size);
  if (key_size != spec->key_size || memcmp(key, spec->key, key_size) != 0 ||
      holt__row_flags(row) != spec->flags || row->stamp != spec->stamp) {
    return false;
  }
  uint64_t actor;
  uint64_t birth;
  row_replaced(rows, row, &actor, &birth);
  return (spec->flags & HOLT_ROW_REPLACES) == 0 ||
         (actor == spec->replaces_actor && birth == spec->replaces_birth);
}

static void
put_exchanged(struct holt_rows *rows, struct holt_actor *actor,
              const struct holt_row_spec *spec, const struct holt_put *put)
{
  struct holt_row *const row = holt_row_at(rows, put->row);
  const struct holt_row before = *row;
  actor->fingerprint -= row_fingerprint(rows, row);
  row->value = put->value;
  seq_unlink(rows, actor, put->row);
  if (!holt_mutant(OLD_SEQ)) {
    row_set_seq(row, actor, spec);
  }
  seq_append(rows, actor, put->row);
  if (row->id != spec->owner_id || row->serial != put->serial) {
    holt__owner_leave(rows, actor, put->row);
    row->id = spec->owner_id;
    row->serial = put->serial;
    holt__owner_join(rows, actor, put);
  }
  actor->fingerprint += row_fingerprint(rows, row);
  if (rows->on_change != NULL) {
    holt__told_changed(rows, put->row, &before);
  }
  holt_slab_free(&rows->slab, before.value);
}

static void
place_of(const struct holt_rows *rows, const struct holt_actor *actor,
         const struct holt_row_spec *spec, struct holt_row_place *place)
{
  place->key = holt__key_hash(rows, spec->key, spec->key_size);
  place->birth = birth_hash(rows, actor->slot, spec->birth);
  place->pid = holt__ring_hash(rows, actor, spec->owner_id, spec->owner_serial);
}

void
holt_rows_place(const struct holt_rows *rows, const struct holt_actor *actor,
                const struct holt_row_spec *spec, struct holt_row_place *place)
{
  place_of(rows, actor, spec, place);
  holt_index_prefetch_chain(&rows->keys, place->key);
  holt_index_prefetch_chain(&rows->births, place->birth);
  holt_index_prefetch_chain(&rows->pids, place->pid);
}

void
holt_rows_fetch(const struct holt_rows *rows, const struct holt_actor *actor,
                const struct holt_row_spec *spec,
                const struct holt_row_place *place)
{
  const uint32_t key_ref = holt_index_chain(&rows->keys, place->key);
  if (key_ref != 0) {
    holt_prefetch(holt__key_links(rows, key_ref));
  }
  const uint32_t ring = holt_index_chain(&rows->pids, place->pid);
  if (ring != 0) {
    holt_prefetch(&holt_row_at(rows, ring)->by_pid);
  }
  if (spec->birth <= actor->birth_max) {
    holt_rows_fetch_birth(rows, place);
  }
}

void
holt_rows_place_birth(const struct holt_rows *rows,
                      const struct holt_actor *actor, uint64_t birth,
                      struct holt_row_place *place)
{
  place->birth = birth_hash(rows, actor->slot, birth);
  holt_index_prefetch_chain(&rows->births, place->birth);
}

void
holt_rows_fetch_birth(const struct holt_rows *rows,
                      const struct holt_row_place *place)
{
  const uint32_t ref = holt_index_chain(&rows->births, place->birth);
  if (ref != 0) {
    holt_prefetch(holt_row_at(rows, ref));
  }
}

int
holt_rows_put(struct holt_rows *rows, struct holt_actor *actor,
              const struct holt_row_spec *spec, uint32_t *out)
{
  struct holt_row_place place;
  place_of(rows, actor, spec, &place);
  holt_rows_fetch(rows, actor, spec, &place);
  return holt_rows_put_at(rows, actor, spec, &place, out);
}

int
holt_rows_put_at(struct holt_rows *rows, struct holt_actor *actor,
                 const struct holt_row_spec *spec,
                 const struct holt_row_place *place, uint32_t *out)
{
  holt_assert(spec->birth >= 1 && spec->birth <= spec->seq);
  holt_assert(spec->seq <= HOLT_SEQ_MAX);
  holt_assert((spec->flags & ~HOLT_ROW_FLAGS) == 0);

  struct holt_put put = { .place = *place, .serial = spec->owner_serial };
  holt_index_prefetch_split(&rows->keys, holt__key_next);
  holt_index_prefetch_split(&rows->pids, holt__pid_next);
  holt_index_prefetch_split(&rows->births, birth_next);
  if (rows->kind == HOLT_KIND_DUPLICATE) {
    holt_index_prefetch_split(&rows->members, holt__member_next);
  }
  const uint32_t known = spec->birth > actor->birth_max
                           ? 0
                           : holt_rows_born(rows, actor, spec->birth);
  if (known != 0 && !row_agrees(rows, holt_row_at(rows, known), spec)) {
    return HOLT_ERR_MALFORMED;
  }
  holt_verify(actor->rows_tail == 0 || actor->rows_tail == known ||
              holt_row_stale(rows, holt_row_at(rows, actor->rows_tail)) ||
              holt_row_seq(holt_row_at(rows, actor->rows_tail)) < spec->seq);

  if (actor->local) {
    put.serial = holt_rows_local(rows, spec->owner_id, spec->owner_serial);
    holt_assert(put.serial != 0);
  }
  put.ring =
    holt__ring_first(rows, actor, spec->owner_id, put.serial, put.place.pid);
  int rv = put_value(rows, spec, &put);
  if (rv == 0 && known == 0) {
    rv = put_born(rows, actor, spec, &put);
  } else if (rv == 0) {
    put.row = known;
    put_exchanged(rows, actor, spec, &put);
  }
  if (rv != 0) {
    put_undo(rows, &put);
    return rv;
  }
  *out = put.row;
  return 0;
}

/*--------------------------------------------------------------------
 * Removing */

void
holt_rows_remove(struct holt_rows *rows, uint32_t ref, enum holt_reason why)
{
  struct holt_row *const row = holt_row_at(rows, ref);
  struct holt_actor *const actor = holt_row_actor(rows, row);
  if (actor->served && rows->on_death != NULL) {
    rows->on_death(rows->user, actor, holt_row_seq(row), holt_row_birth(row),
                   why);
  }
  if (rows->on_change != NULL) {
    holt__told_removed(rows, ref, why);
  }
  actor->fingerprint -= row_fingerprint(rows, row);
  actor->row_count--;
  seq_unlink(rows, actor, ref);
  holt__owner_leave(rows, actor, ref);
  holt_index_remove(&rows->births, ref);
  holt__key_unlink(rows, ref);
  holt_slab_free(&rows->slab, row->value);
  holt_slab_free(&rows->slab, ref);
}
