/* SPDX-License-Identifier: Apache-2.0 */
/* The actors of a store.
 *
 * A row names its actor, and an id takes 64 bits.  So actors have slots, which
 * are small numbers, used again when an actor is gone:
 *
 *     row | seq, slot 1 |     slots | actor 7 | actor 9 | - | actor 4 |
 *                    `------------------------^
 *
 * A replica that has to take another identity keeps its slot, and its rows do
 * not know.
 *
 * There are few actors (HOLT_ACTORS_MAX), so a search for a free slot goes
 * through all of them. */
#include <string.h>

#include "rows_state.h"

/*--------------------------------------------------------------------
 * Members */

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

/*--------------------------------------------------------------------
 * The index */

static uint32_t
actor_hash(const struct holt_rows *rows, uint64_t id)
{
  return (uint32_t)holt_hash_u64(&rows->seed, id);
}

static uint32_t *
actor_next(void *user, uint32_t ref)
{
  return &((struct holt_rows *)user)->slots[ref - 1]->by_id;
}

static uint32_t
actor_hash_of(void *user, uint32_t ref)
{
  return actor_hash(user, ((struct holt_rows *)user)->slots[ref - 1]->id);
}

static uint32_t
life_hash(const struct holt_rows *rows, const struct holt_member *member)
{
  const uint64_t name =
    holt_hash_bytes(&rows->seed, member->name, member->name_size);
  const uint64_t node =
    holt_hash_bytes(&rows->seed, member->node, member->node_size);
  return (uint32_t)holt_hash_mix2(&rows->seed, name, node);
}

static uint32_t *
life_next(void *user, uint32_t ref)
{
  return &((struct holt_rows *)user)->slots[ref - 1]->by_member;
}

static uint32_t
life_hash_of(void *user, uint32_t ref)
{
  return life_hash(user, &((struct holt_rows *)user)->slots[ref - 1]->member);
}

void
holt__actors_init(struct holt_rows *rows)
{
  holt_index_init(&rows->actor_ids, rows->mem, actor_next, actor_hash_of, rows);
  holt_index_init(&rows->lives, rows->mem, life_next, life_hash_of, rows);
}

void
holt__actors_deinit(struct holt_rows *rows)
{
  while (rows->actor_list != NULL) {
    struct holt_actor *const actor = rows->actor_list;
    rows->actor_list = actor->next;
    holt__member_free(rows->mem, &actor->member);
    holt_mem_free(rows->mem, actor, sizeof *actor);
  }
  holt_mem_free(rows->mem, rows->slots,
                rows->slot_capacity * sizeof(struct holt_actor *));
  holt_index_deinit(&rows->actor_ids);
  holt_index_deinit(&rows->lives);
  rows->slots = NULL;
  rows->slot_capacity = 0;
  rows->actor_count = 0;
}

/*--------------------------------------------------------------------
 * Actors */

struct holt_actor *
holt_rows_actor(const struct holt_rows *rows, uint64_t id)
{
  uint32_t ref = holt_index_chain(&rows->actor_ids, actor_hash(rows, id));
  while (ref != 0) {
    struct holt_actor *const actor = rows->slots[ref - 1];
    if (actor->id == id) {
      return actor;
    }
    ref = actor->by_id;
  }
  return NULL;
}

/* The first in a chain, from ref on, that is a life of the member. */
static struct holt_actor *
life_find(const struct holt_rows *rows, uint32_t ref,
          const struct holt_member *member)
{
  while (ref != 0) {
    struct holt_actor *const actor = rows->slots[ref - 1];
    if (holt_member_equal(&actor->member, member)) {
      return actor;
    }
    ref = actor->by_member;
  }
  return NULL;
}

struct holt_actor *
holt_rows_life(const struct holt_rows *rows, const struct holt_member *member)
{
  return life_find(
    rows, holt_index_chain(&rows->lives, life_hash(rows, member)), member);
}

struct holt_actor *
holt_rows_life_next(const struct holt_rows *rows,
                    const struct holt_actor *actor)
{
  return life_find(rows, actor->by_member, &actor->member);
}

/* The smallest slot that nobody has, with room for it. */
static int
slot_find(struct holt_rows *rows, uint32_t *out)
{
  uint32_t slot = 0;
  while (slot < rows->slot_capacity && rows->slots[slot] != NULL) {
    slot++;
  }
  if (slot == rows->slot_capacity) {
    const size_t item = sizeof(struct holt_actor *);
    const size_t capacity = slot == 0 ? 4 : 2 * rows->slot_capacity;
    struct holt_actor **const slots = holt_mem_resize(
      rows->mem, rows->slots, rows->slot_capacity * item, capacity * item);
    if (slots == NULL) {
      return HOLT_ERR_NOMEM;
    }
    for (size_t i = rows->slot_capacity; i < capacity; i++) {
      slots[i] = NULL;
    }
    rows->slots = slots;
    rows->slot_capacity = capacity;
  }
  *out = slot;
  return 0;
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
  uint32_t slot;
  int rv = slot_find(rows, &slot);
  if (rv == 0) {
    rv = holt_index_reserve(&rows->actor_ids);
  }
  if (rv == 0) {
    rv = holt_index_reserve(&rows->lives);
  }
  if (rv != 0) {
    return rv;
  }
  struct holt_actor *const actor = holt_mem_zalloc(rows->mem, sizeof *actor);
  if (actor == NULL) {
    return HOLT_ERR_NOMEM;
  }
  rv = holt__member_copy(rows->mem, member, &actor->member);
  if (rv != 0) {
    holt_mem_free(rows->mem, actor, sizeof *actor);
    return rv;
  }

  actor->id = id;
  actor->creation = creation;
  actor->slot = slot;
  actor->next = rows->actor_list;
  rows->actor_list = actor;
  rows->actor_count++;
  rows->slots[slot] = actor;
  holt_index_insert(&rows->actor_ids, slot + 1, actor_hash(rows, id));
  holt_index_insert(&rows->lives, slot + 1, life_hash(rows, member));
  *out = actor;
  return 0;
}

void
holt_rows_actor_remove(struct holt_rows *rows, struct holt_actor *actor)
{
  holt_assert(actor->row_count == 0);
  holt_assert(actor->rows_head == 0 && actor->cells == 0);
  holt_assert(actor->settle_at == 0);

  struct holt_actor **link = &rows->actor_list;
  while (*link != actor) {
    link = &(*link)->next;
  }
  *link = actor->next;
  rows->actor_count--;

  holt_index_remove(&rows->actor_ids, actor->slot + 1);
  holt_index_remove(&rows->lives, actor->slot + 1);
  rows->slots[actor->slot] = NULL;
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
  holt_index_remove(&rows->actor_ids, actor->slot + 1);
  actor->id = id;
  holt_index_insert(&rows->actor_ids, actor->slot + 1, actor_hash(rows, id));
  holt_index_remove(&rows->lives, actor->slot + 1);
  holt__member_free(rows->mem, &actor->member);
  actor->member = copy;
  holt_index_insert(&rows->lives, actor->slot + 1, life_hash(rows, &copy));
  actor->creation = creation;
  return 0;
}

void
holt_rows_epoch(struct holt_actor *actor)
{
  actor->epoch++;
}
