/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <string.h>

#include "invariant.h"

/* The fingerprints of two replicas are compared, so this seed is the same
 * everywhere, unlike the one that keys the index. */
static const struct holt_hash_seed fingerprint_seed = {
  .k0 = UINT64_C(0x686f6c742d726f77),
  .k1 = UINT64_C(0x2d7072696e742d31)
};

void
holt_rows_init(struct holt_rows *rows, struct holt_mem *mem,
               struct holt_hash_seed seed)
{
  *rows = (struct holt_rows){ .mem = mem, .seed = seed };
  holt_table_init(&rows->entries, mem);
  holt_table_init(&rows->actors, mem);
  holt_table_init(&rows->owners, mem);
}

void
holt_rows_deinit(struct holt_rows *rows)
{
  while (rows->actor_list != NULL) {
    struct holt_actor *const actor = rows->actor_list;
    while (actor->rows_head != NULL) {
      holt_rows_remove(rows, actor->rows_head);
    }
    holt_rows_actor_remove(rows, actor);
  }
  holt_assert(rows->contested_count == 0);
  /* Local processes that hold no name at the moment. */
  for (uint64_t cursor = 0; rows->owners.count > 0;) {
    struct holt_table_node *node;
    const uint64_t next = holt_table_scan(&rows->owners, cursor, &node);
    if (node == NULL) {
      cursor = next;
    } else {
      holt_rows_owner_remove(
        rows, holt_container_of(node, struct holt_owner, by_pid));
    }
  }
  holt_table_deinit(&rows->entries);
  holt_table_deinit(&rows->actors);
  holt_table_deinit(&rows->owners);
}

/*--------------------------------------------------------------------
 * Actors */

static uint32_t
actor_hash(const struct holt_rows *rows, uint64_t id)
{
  return (uint32_t)holt_hash_u64(&rows->seed, id);
}

struct holt_actor *
holt_rows_actor(const struct holt_rows *rows, uint64_t id)
{
  const uint32_t hash = actor_hash(rows, id);
  struct holt_table_node *node = holt_table_chain(&rows->actors, hash);
  for (; node != NULL; node = node->next) {
    struct holt_actor *const actor =
      holt_container_of(node, struct holt_actor, by_id);
    if (actor->id == id) {
      return actor;
    }
  }
  return NULL;
}

static size_t
member_size(const struct holt_member *member)
{
  /* One byte more, so that the block exists for empty names, too. */
  return (size_t)member->name_size + member->node_size + 1;
}

void
holt__member_free(struct holt_mem *mem, struct holt_member *member)
{
  /* The one place where the block's borrowed view is taken for what it is. */
  holt_mem_free(mem, (void *)(uintptr_t)member->name, member_size(member));
}

int
holt__member_copy(struct holt_mem *mem, const struct holt_member *source,
                  struct holt_member *target)
{
  uint8_t *const block = holt_mem_alloc(mem, member_size(source));
  if (block == NULL) {
    return HOLT_ERR_NOMEM;
  }
  memcpy(block, source->name, source->name_size);
  memcpy(block + source->name_size, source->node, source->node_size);
  *target = (struct holt_member){ .name = block,
                                  .node = block + source->name_size,
                                  .name_size = source->name_size,
                                  .node_size = source->node_size };
  return 0;
}

bool
holt_member_equal(const struct holt_member *left,
                  const struct holt_member *right)
{
  return left->name_size == right->name_size &&
         left->node_size == right->node_size &&
         memcmp(left->name, right->name, left->name_size) == 0 &&
         memcmp(left->node, right->node, left->node_size) == 0;
}

int
holt_rows_actor_add(struct holt_rows *rows, uint64_t id,
                    const struct holt_member *member, uint32_t creation,
                    struct holt_actor **out)
{
  holt_assert(holt_rows_actor(rows, id) == NULL);

  if (rows->actor_count >= HOLT_ACTORS_MAX) {
    return HOLT_ERR_LIMIT;
  }
  struct holt_actor *const actor = holt_mem_zalloc(rows->mem, sizeof *actor);
  if (actor == NULL) {
    return HOLT_ERR_NOMEM;
  }
  int rv = holt__member_copy(rows->mem, member, &actor->member);
  if (rv != 0) {
    holt_mem_free(rows->mem, actor, sizeof *actor);
    return rv;
  }
  rv = holt_table_insert(&rows->actors, &actor->by_id, actor_hash(rows, id));
  if (rv != 0) {
    holt__member_free(rows->mem, &actor->member);
    holt_mem_free(rows->mem, actor, sizeof *actor);
    return rv;
  }

  actor->id = id;
  actor->creation = creation;
  actor->slot = rows->next_slot++;
  actor->next = rows->actor_list;
  rows->actor_list = actor;
  rows->actor_count++;
  holt_table_init(&actor->births, rows->mem);
  *out = actor;
  return 0;
}

void
holt_rows_actor_remove(struct holt_rows *rows, struct holt_actor *actor)
{
  holt_assert(actor->rows_head == NULL);
  holt_assert(actor->row_count == 0);

  struct holt_actor **link = &rows->actor_list;
  while (*link != actor) {
    link = &(*link)->next;
  }
  *link = actor->next;
  rows->actor_count--;

  holt_table_remove(&rows->actors, &actor->by_id);
  holt_table_deinit(&actor->births);
  holt__member_free(rows->mem, &actor->member);
  holt_mem_free(rows->mem, actor, sizeof *actor);
}

int
holt_rows_actor_rename(struct holt_rows *rows, struct holt_actor *actor,
                       uint64_t id, const struct holt_member *member,
                       uint32_t creation)
{
  holt_assert(holt_rows_actor(rows, id) == NULL);

  struct holt_member copy;
  const int rv = holt__member_copy(rows->mem, member, &copy);
  if (rv != 0) {
    return rv;
  }
  /* A table that has held a node has its first buckets, so this insert needs
   * no memory that it could not do without. */
  holt_table_remove(&rows->actors, &actor->by_id);
  const int again =
    holt_table_insert(&rows->actors, &actor->by_id, actor_hash(rows, id));
  holt_assert(again == 0);
  holt__member_free(rows->mem, &actor->member);
  actor->member = copy;
  actor->id = id;
  actor->creation = creation;
  return 0;
}

/*--------------------------------------------------------------------
 * Owners */

static uint32_t
owner_hash(const struct holt_rows *rows, const struct holt_actor *actor,
           uint32_t id, uint32_t serial)
{
  /* By slot, not by id: an actor keeps its slot when it changes its id. */
  return (uint32_t)holt_hash_mix2(&rows->seed, actor->slot,
                                  (uint64_t)serial << 32 | id);
}

struct holt_owner *
holt_rows_owner(const struct holt_rows *rows, const struct holt_actor *actor,
                uint32_t id, uint32_t serial)
{
  const uint32_t hash = owner_hash(rows, actor, id, serial);
  struct holt_table_node *node = holt_table_chain(&rows->owners, hash);
  for (; node != NULL; node = node->next) {
    struct holt_owner *const owner =
      holt_container_of(node, struct holt_owner, by_pid);
    if (owner->id == id && owner->serial == serial && owner->actor == actor) {
      return owner;
    }
  }
  return NULL;
}

int
holt_rows_owner_add(struct holt_rows *rows, struct holt_actor *actor,
                    uint32_t id, uint32_t serial, struct holt_owner **out)
{
  struct holt_owner *owner = holt_rows_owner(rows, actor, id, serial);
  if (owner == NULL) {
    owner = holt_mem_zalloc(rows->mem, sizeof *owner);
    if (owner == NULL) {
      return HOLT_ERR_NOMEM;
    }
    const int rv = holt_table_insert(&rows->owners, &owner->by_pid,
                                     owner_hash(rows, actor, id, serial));
    if (rv != 0) {
      holt_mem_free(rows->mem, owner, sizeof *owner);
      return rv;
    }
    owner->actor = actor;
    owner->id = id;
    owner->serial = serial;
  }
  *out = owner;
  return 0;
}

void
holt_rows_owner_remove(struct holt_rows *rows, struct holt_owner *owner)
{
  holt_assert(owner->rows_head == NULL);

  holt_table_remove(&rows->owners, &owner->by_pid);
  holt_mem_free(rows->mem, owner, sizeof *owner);
}

static void
owner_release(struct holt_rows *rows, struct holt_owner *owner)
{
  if (owner->rows_head == NULL && owner->host == 0) {
    holt_rows_owner_remove(rows, owner);
  }
}

/*--------------------------------------------------------------------
 * Walks */

void
holt_walk_start(struct holt_rows *rows, struct holt_walk *walk,
                struct holt_row *at, bool over_owner)
{
  holt_assert(!walk->active);

  *walk = (struct holt_walk){ .next = rows->walks,
                              .at = at,
                              .over_owner = over_owner,
                              .active = true };
  if (rows->walks != NULL) {
    rows->walks->prev = walk;
  }
  rows->walks = walk;
}

void
holt_walk_stop(struct holt_rows *rows, struct holt_walk *walk)
{
  if (!walk->active) {
    return;
  }
  if (walk->prev != NULL) {
    walk->prev->next = walk->next;
  } else {
    rows->walks = walk->next;
  }
  if (walk->next != NULL) {
    walk->next->prev = walk->prev;
  }
  *walk = (struct holt_walk){ .at = NULL };
}

/* Move every walk off a row that is about to leave that list. */
static void
walks_step_over(struct holt_rows *rows, const struct holt_row *row,
                bool over_owner)
{
  for (struct holt_walk *walk = rows->walks; walk != NULL; walk = walk->next) {
    if (walk->at == row && walk->over_owner == over_owner) {
      walk->at = over_owner ? row->owner_next : row->actor_next;
    }
  }
}

/*--------------------------------------------------------------------
 * The three lists a row is in */

static void
actor_list_append(struct holt_row *row)
{
  struct holt_actor *const actor = row->actor;
  row->actor_prev = actor->rows_tail;
  row->actor_next = NULL;
  if (actor->rows_tail != NULL) {
    actor->rows_tail->actor_next = row;
  } else {
    actor->rows_head = row;
  }
  actor->rows_tail = row;
}

static void
actor_list_unlink(struct holt_rows *rows, struct holt_row *row)
{
  walks_step_over(rows, row, false);
  struct holt_actor *const actor = row->actor;
  if (row->actor_prev != NULL) {
    row->actor_prev->actor_next = row->actor_next;
  } else {
    actor->rows_head = row->actor_next;
  }
  if (row->actor_next != NULL) {
    row->actor_next->actor_prev = row->actor_prev;
  } else {
    actor->rows_tail = row->actor_prev;
  }
}

static void
owner_list_append(struct holt_owner *owner, struct holt_row *row)
{
  row->owner = owner;
  row->owner_prev = owner->rows_tail;
  row->owner_next = NULL;
  if (owner->rows_tail != NULL) {
    owner->rows_tail->owner_next = row;
  } else {
    owner->rows_head = row;
  }
  owner->rows_tail = row;
  owner->row_count++;
}

static void
owner_list_unlink(struct holt_rows *rows, struct holt_row *row)
{
  walks_step_over(rows, row, true);
  struct holt_owner *const owner = row->owner;
  if (row->owner_prev != NULL) {
    row->owner_prev->owner_next = row->owner_next;
  } else {
    owner->rows_head = row->owner_next;
  }
  if (row->owner_next != NULL) {
    row->owner_next->owner_prev = row->owner_prev;
  } else {
    owner->rows_tail = row->owner_prev;
  }
  owner->row_count--;
}

static void
contested_link(struct holt_rows *rows, struct holt_entry *entry)
{
  entry->contested_prev = NULL;
  entry->contested_next = rows->contested;
  if (rows->contested != NULL) {
    rows->contested->contested_prev = entry;
  }
  rows->contested = entry;
  rows->contested_count++;
}

static void
contested_unlink(struct holt_rows *rows, struct holt_entry *entry)
{
  if (rows->contested_scan == entry) {
    rows->contested_scan = entry->contested_next;
  }
  if (entry->contested_prev != NULL) {
    entry->contested_prev->contested_next = entry->contested_next;
  } else {
    rows->contested = entry->contested_next;
  }
  if (entry->contested_next != NULL) {
    entry->contested_next->contested_prev = entry->contested_prev;
  }
  rows->contested_count--;
}

void
holt_rows_recount(struct holt_rows *rows, struct holt_entry *entry)
{
  uint32_t shown = 0;
  for (const struct holt_row *row = entry->rows; row != NULL;
       row = row->sibling) {
    shown += row->actor->shown ? 1u : 0u;
  }
  rows->excess -= entry->excess;
  entry->excess = shown > 1 ? shown - 1 : 0;
  rows->excess += entry->excess;
}

static void
entry_add(struct holt_rows *rows, struct holt_entry *entry,
          struct holt_row *row)
{
  row->entry = entry;
  row->sibling = entry->rows;
  entry->rows = row;
  entry->row_count++;
  if (entry->row_count == 2) {
    contested_link(rows, entry);
  }
  holt_rows_recount(rows, entry);
}

static void
entry_drop(struct holt_rows *rows, struct holt_row *row)
{
  struct holt_entry *const entry = row->entry;
  struct holt_row **link = &entry->rows;
  while (*link != row) {
    link = &(*link)->sibling;
  }
  *link = row->sibling;
  entry->row_count--;
  holt_rows_recount(rows, entry);
  if (entry->row_count == 1) {
    contested_unlink(rows, entry);
  } else if (entry->row_count == 0) {
    holt_table_remove(&rows->entries, &entry->by_key);
    holt_mem_free(rows->mem, entry, sizeof *entry + entry->key_size);
  }
}

/*--------------------------------------------------------------------
 * Rows */

static uint32_t
birth_hash(const struct holt_rows *rows, uint64_t birth)
{
  return (uint32_t)holt_hash_u64(&rows->seed, birth);
}

struct holt_row *
holt_rows_born(const struct holt_rows *rows, const struct holt_actor *actor,
               uint64_t birth)
{
  const uint32_t hash = birth_hash(rows, birth);
  struct holt_table_node *node = holt_table_chain(&actor->births, hash);
  for (; node != NULL; node = node->next) {
    struct holt_row *const row =
      holt_container_of(node, struct holt_row, by_birth);
    if (row->birth == birth) {
      return row;
    }
  }
  return NULL;
}

static struct holt_entry *
entry_find(const struct holt_rows *rows, const uint8_t *key, size_t key_size,
           uint32_t hash)
{
  struct holt_table_node *node = holt_table_chain(&rows->entries, hash);
  for (; node != NULL; node = node->next) {
    if (node->hash == hash) {
      struct holt_entry *const entry =
        holt_container_of(node, struct holt_entry, by_key);
      if (entry->key_size == key_size &&
          memcmp(entry->key, key, key_size) == 0) {
        return entry;
      }
    }
  }
  return NULL;
}

struct holt_entry *
holt_rows_entry(const struct holt_rows *rows, const uint8_t *key,
                size_t key_size)
{
  const uint32_t hash = (uint32_t)holt_hash_bytes(&rows->seed, key, key_size);
  return entry_find(rows, key, key_size, hash);
}

/* What one row adds to its actor's fingerprint.  A dot determines all else of
 * the row; the value's size and the owner are there to catch our own errors. */
static uint64_t
row_fingerprint(const struct holt_row *row)
{
  const uint64_t dot = holt_hash_mix2(&fingerprint_seed, row->seq, row->birth);
  const uint64_t pid = (uint64_t)row->owner->serial << 32 | row->owner->id;
  return holt_hash_mix2(&fingerprint_seed, dot ^ row->stamp,
                        pid + row->value_size);
}

/* The parts of a put that can fail, made before anything is changed. */
struct put {
  struct holt_owner *owner;
  struct holt_entry *entry;
  struct holt_row *row;
  uint8_t *value;
  bool entry_is_new;
};

static void
put_undo(struct holt_rows *rows, struct put *put,
         const struct holt_row_spec *spec)
{
  if (put->value != NULL) {
    holt_mem_free(rows->mem, put->value, spec->value_size);
  }
  if (put->row != NULL) {
    holt_mem_free(rows->mem, put->row, sizeof *put->row);
  }
  if (put->entry_is_new) {
    holt_table_remove(&rows->entries, &put->entry->by_key);
    holt_mem_free(rows->mem, put->entry,
                  sizeof *put->entry + put->entry->key_size);
  }
  if (put->owner != NULL) {
    owner_release(rows, put->owner);
  }
}

static int
put_entry(struct holt_rows *rows, const struct holt_row_spec *spec,
          struct put *put)
{
  const uint32_t hash =
    (uint32_t)holt_hash_bytes(&rows->seed, spec->key, spec->key_size);
  put->entry = entry_find(rows, spec->key, spec->key_size, hash);
  if (put->entry != NULL) {
    return 0;
  }
  struct holt_entry *const entry =
    holt_mem_zalloc(rows->mem, sizeof *entry + spec->key_size);
  if (entry == NULL) {
    return HOLT_ERR_NOMEM;
  }
  entry->key_size = (uint32_t)spec->key_size;
  memcpy(entry->key, spec->key, spec->key_size);
  const int rv = holt_table_insert(&rows->entries, &entry->by_key, hash);
  if (rv != 0) {
    holt_mem_free(rows->mem, entry, sizeof *entry + entry->key_size);
    return rv;
  }
  put->entry = entry;
  put->entry_is_new = true;
  return 0;
}

static int
put_value(struct holt_rows *rows, const struct holt_row_spec *spec,
          struct put *put)
{
  if (spec->value_size > 0) {
    put->value = holt_mem_alloc(rows->mem, spec->value_size);
    if (put->value == NULL) {
      return HOLT_ERR_NOMEM;
    }
    memcpy(put->value, spec->value, spec->value_size);
  }
  return 0;
}

static void
row_fill(struct holt_row *row, const struct holt_row_spec *spec, uint8_t *value)
{
  row->seq = spec->seq;
  row->birth = spec->birth;
  row->stamp = spec->stamp;
  row->value_stamp = spec->value_stamp;
  row->value = value;
  row->value_size = (uint32_t)spec->value_size;
  row->epoch = row->actor->epoch;
}

static int
put_born(struct holt_rows *rows, struct holt_actor *actor,
         const struct holt_row_spec *spec, struct put *put)
{
  int rv = put_entry(rows, spec, put);
  if (rv != 0) {
    return rv;
  }
  struct holt_row *const row = holt_mem_zalloc(rows->mem, sizeof *row);
  if (row == NULL) {
    return HOLT_ERR_NOMEM;
  }
  put->row = row;
  row->birth = spec->birth;
  rv = holt_table_insert(&actor->births, &row->by_birth,
                         birth_hash(rows, spec->birth));
  if (rv != 0) {
    return rv;
  }

  /* Nothing below can fail. */
  row->actor = actor;
  row_fill(row, spec, put->value);
  actor_list_append(row);
  owner_list_append(put->owner, row);
  entry_add(rows, put->entry, row);
  actor->row_count++;
  actor->fingerprint += row_fingerprint(row);
  return 0;
}

static void
put_exchanged(struct holt_rows *rows, struct holt_row *row,
              const struct holt_row_spec *spec, struct put *put)
{
  struct holt_actor *const actor = row->actor;
  actor->fingerprint -= row_fingerprint(row);
  holt_mem_free(rows->mem, row->value, row->value_size);
  actor_list_unlink(rows, row);
  row_fill(row, spec, put->value);
  actor_list_append(row);
  if (put->owner != row->owner) {
    struct holt_owner *const previous = row->owner;
    owner_list_unlink(rows, row);
    owner_list_append(put->owner, row);
    owner_release(rows, previous);
  }
  actor->fingerprint += row_fingerprint(row);
}

int
holt_rows_put(struct holt_rows *rows, struct holt_actor *actor,
              const struct holt_row_spec *spec, struct holt_row **out)
{
  holt_assert(spec->birth >= 1 && spec->birth <= spec->seq);
  holt_assert(actor->rows_tail == NULL ||
              actor->rows_tail->epoch != actor->epoch ||
              actor->rows_tail->seq < spec->seq);

  struct holt_row *row = holt_rows_born(rows, actor, spec->birth);
  if (row != NULL &&
      (row->entry->key_size != spec->key_size ||
       memcmp(row->entry->key, spec->key, spec->key_size) != 0)) {
    return HOLT_ERR_MALFORMED;
  }

  struct put put = { .owner = NULL };
  int rv = holt_rows_owner_add(rows, actor, spec->owner_id, spec->owner_serial,
                               &put.owner);
  if (rv == 0) {
    rv = put_value(rows, spec, &put);
  }
  if (rv == 0 && row == NULL) {
    rv = put_born(rows, actor, spec, &put);
  } else if (rv == 0) {
    put_exchanged(rows, row, spec, &put);
    put.row = row;
  }
  if (rv != 0) {
    put_undo(rows, &put, spec);
    return rv;
  }
  *out = put.row;
  return 0;
}

void
holt_rows_remove(struct holt_rows *rows, struct holt_row *row)
{
  struct holt_actor *const actor = row->actor;
  struct holt_owner *const owner = row->owner;
  actor->fingerprint -= row_fingerprint(row);
  actor->row_count--;
  holt_table_remove(&actor->births, &row->by_birth);
  actor_list_unlink(rows, row);
  owner_list_unlink(rows, row);
  entry_drop(rows, row);
  owner_release(rows, owner);
  holt_mem_free(rows->mem, row->value, row->value_size);
  holt_mem_free(rows->mem, row, sizeof *row);
}

/*--------------------------------------------------------------------
 * The view */

bool
holt_row_outranks(const struct holt_row *left, const struct holt_row *right)
{
  if (left->stamp != right->stamp) {
    return left->stamp > right->stamp;
  }
  if (left->actor->id != right->actor->id) {
    return left->actor->id > right->actor->id;
  }
  return left->birth > right->birth;
}

struct holt_row *
holt_entry_winner(const struct holt_entry *entry)
{
  struct holt_row *winner = NULL;
  for (struct holt_row *row = entry->rows; row != NULL; row = row->sibling) {
    if (row->actor->shown && !row->owner->dead &&
        (winner == NULL || holt_row_outranks(row, winner))) {
      winner = row;
    }
  }
  return winner;
}

struct holt_row *
holt_entry_row_of(const struct holt_entry *entry,
                  const struct holt_actor *actor)
{
  struct holt_row *found = NULL;
  for (struct holt_row *row = entry->rows; row != NULL; row = row->sibling) {
    if (row->actor == actor &&
        (found == NULL || holt_row_outranks(row, found))) {
      found = row;
    }
  }
  return found;
}

size_t
holt_rows_count(const struct holt_rows *rows)
{
  size_t count = 0;
  for (const struct holt_actor *actor = rows->actor_list; actor != NULL;
       actor = actor->next) {
    if (actor->shown) {
      count += actor->row_count;
    }
  }
  /* While entries wait to be recounted the excess may be too great. */
  return count > rows->excess ? count - rows->excess : 0;
}
