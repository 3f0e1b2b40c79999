/* SPDX-License-Identifier: Apache-2.0 */
/* Whose are the rows?
 *
 * A process that ends leaves rows under any keys, so they are in a ring, in the
 * order in which they came to it; a ring has a last row without a word for it.
 * Where the ring begins is told by the process:
 *
 *     of this node      struct holt_local ----> row --> row --> row -.
 *     of another        index `pids` ---------> ^--------------------'
 *
 * A local process has a record, because the host is told of it and its death.
 * Its rows say where that record is in the place of the serial, and need no
 * search.  One of another node has nothing but its rows, of which the first is
 * in the index.
 *
 * A group may have a million rows under one key.  Whether a process is one of
 * them is asked of the index of members, by key and process. */
#include <string.h>

#include "rows_state.h"

/*--------------------------------------------------------------------
 * The indices */

static uint32_t
member_hash(const struct holt_rows *rows, uint32_t hash, uint32_t slot,
            uint32_t id, uint32_t serial)
{
  return holt__neighbour_hash(rows, (uint64_t)serial << 32 | hash,
                              (uint64_t)slot << 48, id);
}

static uint32_t
pid_hash_of(void *user, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(user, ref);
  return holt__pid_hash(user, holt__row_slot(row), row->id, row->serial);
}

static uint32_t
member_hash_of(void *user, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(user, ref);
  return member_hash(user, holt__row_key_links(user, row)[HOLT_LINK_HASH],
                     holt__row_slot(row), row->id, row->serial);
}

static uint32_t *
local_next(void *user, uint32_t ref)
{
  return &holt_local_at(user, ref)->by_pid;
}

static uint32_t
local_hash_of(void *user, uint32_t ref)
{
  const struct holt_local *const local = holt_local_at(user, ref);
  return holt__pid_hash(user, 0, local->id, local->serial);
}

void
holt__owners_init(struct holt_rows *rows)
{
  struct holt_mem *const mem = rows->mem;
  holt_index_init(&rows->pids, mem, holt__pid_next, pid_hash_of, rows);
  holt_index_init(&rows->members, mem, holt__member_next, member_hash_of, rows);
  holt_index_init(&rows->locals, mem, local_next, local_hash_of, rows);
  rows->row_offset =
    rows->kind == HOLT_KIND_DUPLICATE ? sizeof(struct holt_member_link) : 0;
  rows->members.dense = 1; /* Members are seldom looked for. */
}

void
holt__owners_deinit(struct holt_rows *rows)
{
  holt_index_deinit(&rows->pids);
  holt_index_deinit(&rows->members);
  holt_index_deinit(&rows->locals);
}

/*--------------------------------------------------------------------
 * Local processes */

uint32_t
holt_rows_local(const struct holt_rows *rows, uint32_t id, uint32_t serial)
{
  uint32_t ref =
    holt_index_chain(&rows->locals, holt__pid_hash(rows, 0, id, serial));
  while (ref != 0) {
    const struct holt_local *const local = holt_local_at(rows, ref);
    if (local->id == id && local->serial == serial) {
      return ref;
    }
    ref = local->by_pid;
  }
  return 0;
}

int
holt_rows_local_add(struct holt_rows *rows, uint32_t id, uint32_t serial,
                    uint64_t host, uint32_t *out)
{
  holt_verify(holt_rows_local(rows, id, serial) == 0);

  const int rv = holt_index_reserve(&rows->locals);
  if (rv != 0) {
    return rv;
  }
  const uint32_t ref =
    holt_slab_alloc(&rows->slab, sizeof(struct holt_local), HOLT_BLOCK_ANY);
  if (ref == 0) {
    return HOLT_ERR_NOMEM;
  }
  *holt_local_at(rows, ref) =
    (struct holt_local){ .host = host, .id = id, .serial = serial };
  holt_index_insert(&rows->locals, ref, holt__pid_hash(rows, 0, id, serial));
  *out = ref;
  return 0;
}

void
holt_rows_local_remove(struct holt_rows *rows, uint32_t ref)
{
  holt_assert(holt_local_at(rows, ref)->rows == 0);

  holt_index_remove(&rows->locals, ref);
  holt_slab_free(&rows->slab, ref);
}

/*--------------------------------------------------------------------
 * Rings */

uint32_t
holt__row_ring_first(const struct holt_rows *rows, const struct holt_row *row)
{
  const struct holt_actor *const actor = holt_row_actor(rows, row);
  return holt__ring_first(rows, actor, row->id, row->serial,
                          holt__ring_hash(rows, actor, row->id, row->serial));
}

uint32_t
holt_rows_first_of_pid(const struct holt_rows *rows,
                       const struct holt_actor *actor, uint32_t id,
                       uint32_t serial)
{
  if (!actor->local) {
    return holt__ring_first(rows, actor, id, serial,
                            holt__ring_hash(rows, actor, id, serial));
  }
  const uint32_t local = holt_rows_local(rows, id, serial);
  return local == 0 ? 0 : holt_local_at(rows, local)->rows;
}

/* first is the ring's first row so far, or 0; hash is that of its process. */
static void
ring_append(struct holt_rows *rows, struct holt_actor *actor, uint32_t first,
            uint32_t ref, uint32_t hash)
{
  struct holt_row *const row = holt_row_at(rows, ref);
  if (actor->local) {
    struct holt_local *const local = holt_local_at(rows, row->serial);
    local->row_count++;
    if (first == 0) {
      local->rows = ref;
    }
  } else if (first == 0) {
    holt_index_insert_inline(&rows->pids, ref, hash, holt__pid_next,
                             pid_hash_of);
  }
  if (first == 0) {
    actor->pid_count++;
    row->pid_prev = ref;
    row->pid_next = ref;
    return;
  }
  struct holt_row *const head = holt_row_at(rows, first);
  row->pid_prev = head->pid_prev;
  row->pid_next = first;
  holt_row_at(rows, head->pid_prev)->pid_next = ref;
  head->pid_prev = ref;
}

static void
ring_unlink(struct holt_rows *rows, struct holt_actor *actor, uint32_t ref)
{
  holt__walks_step_over(rows, ref, HOLT_WALK_PID);
  const struct holt_row *const row = holt_row_at(rows, ref);
  const bool only = row->pid_next == ref;
  const bool first = only || holt__row_ring_first(rows, row) == ref;
  if (actor->local) {
    struct holt_local *const local = holt_local_at(rows, row->serial);
    local->row_count--;
    if (first) {
      local->rows = only ? 0 : row->pid_next;
    }
  } else if (only) {
    holt_index_remove(&rows->pids, ref);
  } else if (first) {
    holt_index_replace(&rows->pids, ref, row->pid_next);
  }
  if (only) {
    actor->pid_count--;
    return;
  }
  holt_row_at(rows, row->pid_prev)->pid_next = row->pid_next;
  holt_row_at(rows, row->pid_next)->pid_prev = row->pid_prev;
}

/*--------------------------------------------------------------------
 * Rows */

void
holt__owner_join(struct holt_rows *rows, struct holt_actor *actor,
                 const struct holt_put *put)
{
  ring_append(rows, actor, put->ring, put->row, put->place.pid);
  if (rows->kind == HOLT_KIND_DUPLICATE) {
    const struct holt_row *const row = holt_row_at(rows, put->row);
    holt_index_insert(
      &rows->members, put->row,
      member_hash(rows, put->place.key, actor->slot, row->id, row->serial));
  }
}

void
holt__owner_leave(struct holt_rows *rows, struct holt_actor *actor,
                  uint32_t ref)
{
  ring_unlink(rows, actor, ref);
  if (rows->kind == HOLT_KIND_DUPLICATE) {
    /* Before the key goes, which is part of the hash. */
    holt_index_remove(&rows->members, ref);
  }
}

uint32_t
holt_rows_member(const struct holt_rows *rows, const uint8_t *key,
                 size_t key_size, const struct holt_actor *actor, uint32_t id,
                 uint32_t serial)
{
  holt_assert(rows->kind == HOLT_KIND_DUPLICATE);

  if (actor->local) {
    serial = holt_rows_local(rows, id, serial);
    if (serial == 0) {
      return 0;
    }
  }
  const uint32_t hash = holt__key_hash(rows, key, key_size);
  uint32_t ref = holt_index_chain(
    &rows->members, member_hash(rows, hash, actor->slot, id, serial));
  while (ref != 0) {
    const struct holt_row *const row = holt_row_at(rows, ref);
    if (row->id == id && row->serial == serial &&
        holt__row_slot(row) == actor->slot) {
      const uint32_t *const links = holt__row_key_links(rows, row);
      if (links[HOLT_LINK_HASH] == hash &&
          links[HOLT_LINK_KEY_SIZE] == key_size &&
          memcmp(links + 3, key, key_size) == 0) {
        return ref;
      }
    }
    ref = holt__member_link_at(rows, ref)->next;
  }
  return 0;
}
