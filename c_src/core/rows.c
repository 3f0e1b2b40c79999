/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <string.h>

#include "invariant.h"
#include "mutant.h"

/* The fingerprints of two replicas are compared, so this seed is the same
 * everywhere, unlike the one that keys the indices. */
static const struct holt_hash_seed fingerprint_seed = {
  .k0 = UINT64_C(0x686f6c742d726f77),
  .k1 = UINT64_C(0x2d7072696e742d31)
};

/* Kinds of blocks in the slab: a node of the key index is an entry if its block
 * is of that kind, else a row alone. */
enum block_kind {
  BLOCK_ANY = 0,
  BLOCK_ENTRY = 1
};

/* What the words of the link of a row are.  Alone: as in an entry. */
enum link_alone {
  LINK_CHAIN = 0,
  LINK_HASH = 1,
  LINK_KEY_SIZE = 2
};
enum link_listed {
  LINK_PREV = 0, /* That of the first row is the last row. */
  LINK_NEXT = 1,
  LINK_CELL = 2
};

/* A key that several rows have, or had. */
struct entry {
  uint32_t first_cell;
  uint32_t last_cell;
  uint32_t row_count;
  uint32_t shown;   /* Rows in cells that are counted. */
  uint32_t link[3]; /* enum link_alone */
  uint8_t key[];
};

/* The rows that one actor has under one key. */
struct cell {
  uint32_t entry;
  uint32_t first_row;
  uint32_t row_count;
  uint32_t slot; /* Of the actor. */
  uint32_t entry_prev, entry_next;
  uint32_t actor_prev, actor_next;
  uint32_t by_pair; /* Chain of the index. */
  bool counted;     /* Its rows are in entry->shown. */
};

/* So many cells of a key are looked through before its index is asked. */
#define CELLS_NEAR 4u

/* The key follows the links in both, which key_links() relies on. */
_Static_assert(offsetof(struct holt_row, key) ==
                 offsetof(struct holt_row, link) + 3 * sizeof(uint32_t),
               "the key of a row follows its links");
_Static_assert(offsetof(struct entry, key) ==
                 offsetof(struct entry, link) + 3 * sizeof(uint32_t),
               "the key of an entry follows its links");
_Static_assert(offsetof(struct holt_row, key) == 72, "rows are kept small");

/* Where keys are duplicate, the block of a row begins with its link in the
 * index of members.  It takes as much as keeps the row aligned. */
struct member_link {
  uint32_t next;
  uint32_t unused;
};

/* Beside HOLT_ROW_FLAGS: the row is in a cell. */
#define ROW_LISTED 0x80u

/* Before the bytes of a value: the size, and, with HOLT_ROW_REPLACES, actor and
 * birth. */
#define VALUE_HEAD sizeof(uint32_t)
#define VALUE_REPLACED (2 * sizeof(uint64_t))

/* Buckets that one call of holt_rows_scan() looks at without finding keys. */
#define SCAN_CHAINS_MAX 64u

/* Low bits of a hash in which consecutive numbers stay neighbours. */
#define NEIGHBOUR_BITS 63u

static struct entry *
entry_at(const struct holt_rows *rows, uint32_t ref)
{
  return holt_slab_at(&rows->slab, ref);
}

static struct cell *
cell_at(const struct holt_rows *rows, uint32_t ref)
{
  return holt_slab_at(&rows->slab, ref);
}

static struct holt_actor *
cell_actor(const struct holt_rows *rows, const struct cell *cell)
{
  return rows->slots[cell->slot];
}

static uint32_t
row_slot(const struct holt_row *row)
{
  return (uint32_t)(row->seq_actor & 0xffffu);
}

static unsigned
row_flags(const struct holt_row *row)
{
  return (unsigned)(row->birth_flags & HOLT_ROW_FLAGS);
}

static uint8_t
row_epoch(const struct holt_row *row)
{
  return (uint8_t)(row->birth_flags >> 8);
}

static bool
row_listed(const struct holt_row *row)
{
  return (row->birth_flags & ROW_LISTED) != 0;
}

/* The key of a node of the key index: link_alone, then the bytes. */
static uint32_t *
key_links(const struct holt_rows *rows, uint32_t ref)
{
  uint8_t *const at = holt_slab_at(&rows->slab, ref);
  const size_t offset = holt_slab_kind(&rows->slab, ref) == BLOCK_ENTRY
                          ? offsetof(struct entry, link)
                          : rows->row_offset + offsetof(struct holt_row, link);
  return (uint32_t *)(void *)(at + offset);
}

/* The same for the key that a row has. */
static uint32_t *
row_key_links(const struct holt_rows *rows, const struct holt_row *row)
{
  if (!row_listed(row)) {
    return (uint32_t *)(uintptr_t)row->link;
  }
  return entry_at(rows, cell_at(rows, row->link[LINK_CELL])->entry)->link;
}

/*--------------------------------------------------------------------
 * Hashes
 *
 * Numbers that are given one after the other, births and process ids, come to
 * lie in buckets next to each other, so that the cache serves many at once.
 * Each run of 64 has a place and a rotation of its own that nobody can foresee:
 * no stride makes chains longer than chance does. */

static uint32_t
neighbour_hash(const struct holt_rows *rows, uint64_t first, uint64_t rest,
               uint32_t number)
{
  const uint64_t mix = holt_hash_mix2(
    &rows->seed, first, rest ^ (uint64_t)(number & ~NEIGHBOUR_BITS) << 6);
  const uint32_t low = ((uint32_t)(mix >> 32) + number) & NEIGHBOUR_BITS;
  return ((uint32_t)mix & ~NEIGHBOUR_BITS) | low;
}

static uint32_t
key_hash(const struct holt_rows *rows, const uint8_t *key, size_t key_size)
{
  return (uint32_t)holt_hash_bytes(&rows->seed, key, key_size);
}

static uint32_t
birth_hash(const struct holt_rows *rows, uint32_t slot, uint64_t birth)
{
  /* Births have 48 bits; those beyond 32 are part of the rest. */
  return neighbour_hash(rows, slot, birth >> 32 << 48, (uint32_t)birth);
}

/* Slots keep processes of several actors apart; an actor keeps its slot when it
 * changes its id. */
static uint32_t
pid_hash(const struct holt_rows *rows, uint32_t slot, uint32_t id,
         uint32_t serial)
{
  return neighbour_hash(rows, (uint64_t)serial << 32 | slot, 0, id);
}

static uint32_t
member_hash(const struct holt_rows *rows, uint32_t hash, uint32_t slot,
            uint32_t id, uint32_t serial)
{
  return neighbour_hash(rows, (uint64_t)serial << 32 | hash,
                        (uint64_t)slot << 48, id);
}

static uint32_t
pair_hash(const struct holt_rows *rows, uint32_t entry, uint32_t slot)
{
  return (uint32_t)holt_hash_u64(&rows->seed, (uint64_t)slot << 32 | entry);
}

static uint32_t
actor_hash(const struct holt_rows *rows, uint64_t id)
{
  return (uint32_t)holt_hash_u64(&rows->seed, id);
}

/*--------------------------------------------------------------------
 * What the indices ask */

static uint32_t *
key_next(void *user, uint32_t ref)
{
  return &key_links(user, ref)[LINK_CHAIN];
}

static uint32_t
key_hash_of(void *user, uint32_t ref)
{
  return key_links(user, ref)[LINK_HASH];
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
  return birth_hash(user, row_slot(row), holt_row_birth(row));
}

static uint32_t *
pid_next(void *user, uint32_t ref)
{
  return &holt_row_at(user, ref)->by_pid;
}

static uint32_t
pid_hash_of(void *user, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(user, ref);
  return pid_hash(user, row_slot(row), row->id, row->serial);
}

static struct member_link *
member_link_at(const struct holt_rows *rows, uint32_t ref)
{
  holt_assert(rows->kind == HOLT_KIND_DUPLICATE);
  return holt_slab_at(&rows->slab, ref);
}

static uint32_t *
member_next(void *user, uint32_t ref)
{
  return &member_link_at(user, ref)->next;
}

static uint32_t
member_hash_of(void *user, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(user, ref);
  return member_hash(user, row_key_links(user, row)[LINK_HASH], row_slot(row),
                     row->id, row->serial);
}

static uint32_t *
cell_next(void *user, uint32_t ref)
{
  return &cell_at(user, ref)->by_pair;
}

static uint32_t
cell_hash_of(void *user, uint32_t ref)
{
  const struct cell *const cell = cell_at(user, ref);
  return pair_hash(user, cell->entry, cell->slot);
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
  return pid_hash(user, 0, local->id, local->serial);
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

void
holt_rows_init(struct holt_rows *rows, struct holt_mem *mem,
               struct holt_hash_seed seed, enum holt_kind kind)
{
  *rows = (struct holt_rows){ .mem = mem, .seed = seed, .kind = kind };
  if (kind == HOLT_KIND_DUPLICATE) {
    rows->row_offset = sizeof(struct member_link);
  }
  holt_slab_init(&rows->slab, mem);
  holt_index_init(&rows->keys, mem, key_next, key_hash_of, rows);
  holt_index_init(&rows->births, mem, birth_next, birth_hash_of, rows);
  holt_index_init(&rows->pids, mem, pid_next, pid_hash_of, rows);
  holt_index_init(&rows->members, mem, member_next, member_hash_of, rows);
  holt_index_init(&rows->cells, mem, cell_next, cell_hash_of, rows);
  holt_index_init(&rows->locals, mem, local_next, local_hash_of, rows);
  holt_index_init(&rows->actor_ids, mem, actor_next, actor_hash_of, rows);

  /* Each look at a row under another key is a miss of the cache, but births
   * come one after the other: so buckets are better spent on keys.  Keys of
   * groups have many rows, and members are seldom looked for. */
  rows->keys.sparse = kind == HOLT_KIND_UNIQUE;
  rows->births.dense = 1;
  rows->members.dense = 1;
}

void
holt_rows_deinit(struct holt_rows *rows)
{
  while (rows->actor_list != NULL) {
    struct holt_actor *const actor = rows->actor_list;
    rows->actor_list = actor->next;
    holt__member_free(rows->mem, &actor->member);
    holt_mem_free(rows->mem, actor, sizeof *actor);
  }
  holt_mem_free(rows->mem, rows->slots,
                rows->slot_capacity * sizeof(struct holt_actor *));
  holt_index_deinit(&rows->keys);
  holt_index_deinit(&rows->births);
  holt_index_deinit(&rows->pids);
  holt_index_deinit(&rows->members);
  holt_index_deinit(&rows->cells);
  holt_index_deinit(&rows->locals);
  holt_index_deinit(&rows->actor_ids);
  holt_slab_deinit(&rows->slab);
  rows->slots = NULL;
  rows->slot_capacity = 0;
  rows->actor_count = 0;
  rows->excess = 0;
  rows->settling = 0;
}

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
  holt__member_free(rows->mem, &actor->member);
  actor->member = copy;
  actor->creation = creation;
  return 0;
}

void
holt_rows_epoch(struct holt_actor *actor)
{
  actor->epoch++;
}

/*--------------------------------------------------------------------
 * Local processes */

uint32_t
holt_rows_local(const struct holt_rows *rows, uint32_t id, uint32_t serial)
{
  uint32_t ref = holt_index_chain(&rows->locals, pid_hash(rows, 0, id, serial));
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
    holt_slab_alloc(&rows->slab, sizeof(struct holt_local), BLOCK_ANY);
  if (ref == 0) {
    return HOLT_ERR_NOMEM;
  }
  *holt_local_at(rows, ref) =
    (struct holt_local){ .host = host, .id = id, .serial = serial };
  holt_index_insert(&rows->locals, ref, pid_hash(rows, 0, id, serial));
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
 * Walks */

/* The first row of the ring of rows of a process.  serial is what a row says,
 * that is, a holt_local for the local actor, whose processes need no hash. */
static uint32_t
ring_first(const struct holt_rows *rows, const struct holt_actor *actor,
           uint32_t id, uint32_t serial, uint32_t hash)
{
  if (actor->local) {
    return holt_local_at(rows, serial)->rows;
  }
  uint32_t ref = holt_index_chain(&rows->pids, hash);
  while (ref != 0) {
    const struct holt_row *const row = holt_row_at(rows, ref);
    if (row->id == id && row->serial == serial &&
        row_slot(row) == actor->slot) {
      return ref;
    }
    ref = row->by_pid;
  }
  return 0;
}

static uint32_t
ring_hash(const struct holt_rows *rows, const struct holt_actor *actor,
          uint32_t id, uint32_t serial)
{
  return actor->local ? 0 : pid_hash(rows, actor->slot, id, serial);
}

static uint32_t
row_ring_first(const struct holt_rows *rows, const struct holt_row *row)
{
  const struct holt_actor *const actor = holt_row_actor(rows, row);
  return ring_first(rows, actor, row->id, row->serial,
                    ring_hash(rows, actor, row->id, row->serial));
}

uint32_t
holt_rows_first_of_pid(const struct holt_rows *rows,
                       const struct holt_actor *actor, uint32_t id,
                       uint32_t serial)
{
  if (!actor->local) {
    return ring_first(rows, actor, id, serial,
                      ring_hash(rows, actor, id, serial));
  }
  const uint32_t local = holt_rows_local(rows, id, serial);
  return local == 0 ? 0 : holt_local_at(rows, local)->rows;
}

void
holt_walk_start(struct holt_rows *rows, struct holt_walk *walk, uint32_t at,
                enum holt_walk_over over)
{
  holt_assert(!walk->active);

  *walk = (struct holt_walk){ .next = rows->walks[over],
                              .at = at,
                              .over = over,
                              .active = true };
  if (at != 0 && over == HOLT_WALK_PID) {
    walk->first = row_ring_first(rows, holt_row_at(rows, at));
  }
  if (rows->walks[over] != NULL) {
    rows->walks[over]->prev = walk;
  }
  rows->walks[over] = walk;
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
    rows->walks[walk->over] = walk->next;
  }
  if (walk->next != NULL) {
    walk->next->prev = walk->prev;
  }
  *walk = (struct holt_walk){ .at = 0 };
}

static uint32_t
key_list_next(const struct holt_rows *rows, const struct holt_row *row)
{
  if (!row_listed(row)) {
    return 0;
  }
  if (row->link[LINK_NEXT] != 0) {
    return row->link[LINK_NEXT];
  }
  const uint32_t next = cell_at(rows, row->link[LINK_CELL])->entry_next;
  return next == 0 ? 0 : cell_at(rows, next)->first_row;
}

void
holt_walk_next(const struct holt_rows *rows, struct holt_walk *walk)
{
  if (walk->at == 0) {
    return;
  }
  const struct holt_row *const row = holt_row_at(rows, walk->at);
  switch (walk->over) {
  case HOLT_WALK_SEQ:
    walk->at = row->seq_next;
    break;
  case HOLT_WALK_PID:
    walk->at = row->pid_next == walk->first ? 0 : row->pid_next;
    break;
  case HOLT_WALK_KEY:
    walk->at = key_list_next(rows, row);
    break;
  }
}

/* Move every walk off a row that is about to leave that list. */
static void
walks_step_over(struct holt_rows *rows, uint32_t ref, enum holt_walk_over over)
{
  for (struct holt_walk *walk = rows->walks[over]; walk != NULL;
       walk = walk->next) {
    if (walk->at == ref && !holt_mutant(WALK_STANDS)) {
      holt_walk_next(rows, walk);
    }
    if (over == HOLT_WALK_PID && walk->first == ref) {
      walk->first = holt_row_at(rows, ref)->pid_next;
    }
  }
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
  walks_step_over(rows, ref, HOLT_WALK_SEQ);
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
 * The ring of a process */

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
    holt_index_insert_inline(&rows->pids, ref, hash, pid_next, pid_hash_of);
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
  walks_step_over(rows, ref, HOLT_WALK_PID);
  const struct holt_row *const row = holt_row_at(rows, ref);
  const bool only = row->pid_next == ref;
  const bool first = only || row_ring_first(rows, row) == ref;
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
 * Keys: entries and cells */

/* The node of the key index for this key: a row alone, an entry, or 0. */
static uint32_t
key_find(const struct holt_rows *rows, const uint8_t *key, size_t key_size,
         uint32_t hash)
{
  uint32_t ref = holt_index_chain(&rows->keys, hash);
  while (ref != 0) {
    const uint32_t *const links = key_links(rows, ref);
    if (links[LINK_HASH] == hash && links[LINK_KEY_SIZE] == key_size &&
        memcmp(links + 3, key, key_size) == 0) {
      return ref;
    }
    ref = links[LINK_CHAIN];
  }
  return 0;
}

static bool
is_entry(const struct holt_rows *rows, uint32_t key_ref)
{
  return holt_slab_kind(&rows->slab, key_ref) == BLOCK_ENTRY;
}

/* The cell of this actor in an entry, or 0. */
static uint32_t
cell_find(const struct holt_rows *rows, uint32_t entry, uint32_t slot)
{
  uint32_t ref = holt_index_chain(&rows->cells, pair_hash(rows, entry, slot));
  while (ref != 0) {
    const struct cell *const cell = cell_at(rows, ref);
    if (cell->entry == entry && cell->slot == slot) {
      return ref;
    }
    ref = cell->by_pair;
  }
  return 0;
}

/* Have that many more or fewer rows of the entry shown. */
static void
entry_count_shown(struct holt_rows *rows, struct entry *entry, uint32_t shown)
{
  rows->excess -= entry->shown > 1 ? entry->shown - 1 : 0;
  entry->shown = shown;
  rows->excess += entry->shown > 1 ? entry->shown - 1 : 0;
}

/* Make block ref, just allocated, an empty cell of this entry and actor. */
static void
cell_link(struct holt_rows *rows, uint32_t ref, uint32_t entry_ref,
          struct holt_actor *actor)
{
  struct entry *const entry = entry_at(rows, entry_ref);
  *cell_at(rows, ref) = (struct cell){ .entry = entry_ref,
                                       .slot = actor->slot,
                                       .entry_prev = entry->last_cell,
                                       .actor_next = actor->cells,
                                       .counted = actor->shown };
  if (entry->last_cell != 0) {
    cell_at(rows, entry->last_cell)->entry_next = ref;
  } else {
    entry->first_cell = ref;
  }
  entry->last_cell = ref;
  if (actor->cells != 0) {
    cell_at(rows, actor->cells)->actor_prev = ref;
  }
  actor->cells = ref;
  actor->cell_count++;
  holt_index_insert(&rows->cells, ref, pair_hash(rows, entry_ref, actor->slot));
}

/* Go on to the next cell that is to be settled. */
static void
settle_advance(struct holt_rows *rows, struct holt_actor *actor,
               const struct cell *cell)
{
  actor->settle_at = cell->actor_next;
  rows->settling -= actor->settle_at == 0 ? 1u : 0u;
}

/* Free a cell without rows, and its entry if that was the last. */
static void
cell_unlink(struct holt_rows *rows, uint32_t ref)
{
  const struct cell *const cell = cell_at(rows, ref);
  struct holt_actor *const actor = cell_actor(rows, cell);
  const uint32_t entry_ref = cell->entry;
  struct entry *const entry = entry_at(rows, entry_ref);
  if (actor->settle_at == ref) {
    settle_advance(rows, actor, cell);
  }
  if (cell->actor_prev != 0) {
    cell_at(rows, cell->actor_prev)->actor_next = cell->actor_next;
  } else {
    actor->cells = cell->actor_next;
  }
  if (cell->actor_next != 0) {
    cell_at(rows, cell->actor_next)->actor_prev = cell->actor_prev;
  }
  actor->cell_count--;
  if (cell->entry_prev != 0) {
    cell_at(rows, cell->entry_prev)->entry_next = cell->entry_next;
  } else {
    entry->first_cell = cell->entry_next;
  }
  if (cell->entry_next != 0) {
    cell_at(rows, cell->entry_next)->entry_prev = cell->entry_prev;
  } else {
    entry->last_cell = cell->entry_prev;
  }
  holt_index_remove(&rows->cells, ref);
  holt_slab_free(&rows->slab, ref);
  if (entry->first_cell == 0) {
    holt_assert(entry->row_count == 0 && entry->shown == 0);
    holt_index_remove(&rows->keys, entry_ref);
    holt_slab_free(&rows->slab, entry_ref);
  }
}

/* The row before which a new one belongs in its cell, or 0: at the end.  Those
 * who wait in line join it at its end, all others start at the front. */
static uint32_t
cell_place(const struct holt_rows *rows, const struct cell *cell,
           const struct holt_row *row)
{
  if (rows->kind == HOLT_KIND_DUPLICATE || cell->first_row == 0) {
    return 0;
  }
  if ((row_flags(row) & HOLT_ROW_STANDBY) == 0) {
    uint32_t next = cell->first_row;
    while (next != 0) {
      const struct holt_row *const other = holt_row_at(rows, next);
      if (holt_row_outranks(rows, row, other)) {
        break;
      }
      next = other->link[LINK_NEXT];
    }
    return next;
  }
  uint32_t next = 0;
  for (;;) {
    const uint32_t prev =
      next == 0 ? holt_row_at(rows, cell->first_row)->link[LINK_PREV]
                : holt_row_at(rows, next)->link[LINK_PREV];
    if (!holt_row_outranks(rows, row, holt_row_at(rows, prev))) {
      return next;
    }
    next = prev;
    if (next == cell->first_row) {
      return next;
    }
  }
}

static void
cell_insert(struct holt_rows *rows, uint32_t cell_ref, uint32_t ref)
{
  struct cell *const cell = cell_at(rows, cell_ref);
  struct entry *const entry = entry_at(rows, cell->entry);
  struct holt_row *const row = holt_row_at(rows, ref);
  const uint32_t next = cell_place(rows, cell, row);
  row->birth_flags |= ROW_LISTED;
  row->link[LINK_CELL] = cell_ref;
  row->link[LINK_NEXT] = next;
  if (cell->first_row == 0) {
    row->link[LINK_PREV] = ref;
    cell->first_row = ref;
  } else {
    /* Whoever is before the end is the last one: see LINK_PREV. */
    struct holt_row *const after =
      holt_row_at(rows, next == 0 ? cell->first_row : next);
    const uint32_t prev = after->link[LINK_PREV];
    row->link[LINK_PREV] = prev;
    after->link[LINK_PREV] = ref;
    if (next == cell->first_row) {
      cell->first_row = ref;
    } else {
      holt_row_at(rows, prev)->link[LINK_NEXT] = ref;
    }
  }
  cell->row_count++;
  entry->row_count++;
  if (cell->counted) {
    entry_count_shown(rows, entry, entry->shown + 1);
  }
}

static void
cell_remove(struct holt_rows *rows, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  const uint32_t cell_ref = row->link[LINK_CELL];
  struct cell *const cell = cell_at(rows, cell_ref);
  struct entry *const entry = entry_at(rows, cell->entry);
  const uint32_t prev = row->link[LINK_PREV];
  const uint32_t next = row->link[LINK_NEXT];
  cell->row_count--;
  entry->row_count--;
  if (cell->counted) {
    entry_count_shown(rows, entry, entry->shown - 1);
  }
  if (cell->row_count == 0) {
    cell_unlink(rows, cell_ref);
    return;
  }
  if (cell->first_row == ref) {
    cell->first_row = next;
  } else {
    holt_row_at(rows, prev)->link[LINK_NEXT] = next;
  }
  holt_row_at(rows, next == 0 ? cell->first_row : next)->link[LINK_PREV] = prev;
}

static void
key_unlink(struct holt_rows *rows, uint32_t ref)
{
  walks_step_over(rows, ref, HOLT_WALK_KEY);
  if (row_listed(holt_row_at(rows, ref))) {
    cell_remove(rows, ref);
  } else {
    holt_index_remove(&rows->keys, ref);
  }
}

/*--------------------------------------------------------------------
 * Rows: reading */

const uint8_t *
holt_row_key(const struct holt_rows *rows, const struct holt_row *row,
             size_t *size)
{
  const uint32_t *const links = row_key_links(rows, row);
  *size = links[LINK_KEY_SIZE];
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
  return value_size == 0 ? NULL : block + value_head(row_flags(row));
}

/* The registration whose place the row takes, or zeros. */
static void
row_replaced(const struct holt_rows *rows, const struct holt_row *row,
             uint64_t *actor, uint64_t *birth)
{
  *actor = 0;
  *birth = 0;
  if ((row_flags(row) & HOLT_ROW_REPLACES) != 0) {
    const uint8_t *const block = holt_slab_at(&rows->slab, row->value);
    memcpy(actor, block + VALUE_HEAD, sizeof *actor);
    memcpy(birth, block + VALUE_HEAD + sizeof *actor, sizeof *birth);
  }
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
                                  .flags = (uint8_t)row_flags(row) };
  spec->key = holt_row_key(rows, row, &spec->key_size);
  spec->value = holt_row_value(rows, row, &spec->value_size);
  row_replaced(rows, row, &spec->replaces_actor, &spec->replaces_birth);
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

bool
holt_row_visible(const struct holt_rows *rows, const struct holt_row *row)
{
  const struct holt_actor *const actor = holt_row_actor(rows, row);
  return actor->shown &&
         !(actor->local && holt_local_at(rows, row->serial)->dead);
}

bool
holt_row_shared(const struct holt_rows *rows, const struct holt_row *row)
{
  if (!row_listed(row)) {
    return false;
  }
  const struct cell *const cell = cell_at(rows, row->link[LINK_CELL]);
  return entry_at(rows, cell->entry)->row_count > 1;
}

static bool
row_is_older(const struct holt_rows *rows, const struct holt_row *left,
             const struct holt_row *right)
{
  if (left->stamp != right->stamp) {
    return left->stamp < right->stamp;
  }
  const uint64_t left_id = holt_row_actor(rows, left)->id;
  const uint64_t right_id = holt_row_actor(rows, right)->id;
  if (left_id != right_id) {
    return left_id < right_id;
  }
  return holt_row_birth(left) < holt_row_birth(right);
}

bool
holt_row_outranks(const struct holt_rows *rows, const struct holt_row *left,
                  const struct holt_row *right)
{
  if (holt_mutant(ARRIVAL_ORDER)) {
    return (uintptr_t)left < (uintptr_t)right;
  }
  const bool standby = (row_flags(left) & HOLT_ROW_STANDBY) != 0;
  if (standby != ((row_flags(right) & HOLT_ROW_STANDBY) != 0)) {
    return !standby;
  }
  if (standby) {
    return row_is_older(rows, left, right);
  }
  const enum holt_rule rule = holt_row_actor(rows, left)->rule;
  if (rule != holt_row_actor(rows, right)->rule) {
    return rule == HOLT_RULE_NEWEST;
  }
  if (rule == HOLT_RULE_OLDEST) {
    return row_is_older(rows, left, right);
  }
  const bool early = (row_flags(left) & HOLT_ROW_EARLY) != 0;
  if (early != ((row_flags(right) & HOLT_ROW_EARLY) != 0)) {
    return !early;
  }
  return early ? row_is_older(rows, left, right)
               : row_is_older(rows, right, left);
}

uint32_t
holt_rows_born(const struct holt_rows *rows, const struct holt_actor *actor,
               uint64_t birth)
{
  uint32_t ref =
    holt_index_chain(&rows->births, birth_hash(rows, actor->slot, birth));
  while (ref != 0) {
    const struct holt_row *const row = holt_row_at(rows, ref);
    if (holt_row_birth(row) == birth && row_slot(row) == actor->slot) {
      return ref;
    }
    ref = row->by_birth;
  }
  return 0;
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
                        dot ^ row->stamp ^ (uint64_t)row_flags(row) << 56,
                        pid + value_size);
}

/*--------------------------------------------------------------------
 * Rows: writing */

/* The parts of a put that can fail, made before anything is changed. */
struct put {
  struct holt_row_place place;
  uint32_t key_ref; /* Who has the key so far: alone, an entry, or 0. */
  uint32_t serial;  /* As rows say it. */
  uint32_t ring;    /* The first row of the process, or 0. */
  uint32_t value;   /* New blocks, or 0. */
  uint32_t row;
  uint32_t entry;      /* For the key of what has been alone, */
  uint32_t other_cell; /* and the cell for that row. */
  uint32_t cell;
};

static void
put_undo(struct holt_rows *rows, const struct put *put)
{
  holt_slab_free(&rows->slab, put->value);
  holt_slab_free(&rows->slab, put->row);
  holt_slab_free(&rows->slab, put->entry);
  holt_slab_free(&rows->slab, put->other_cell);
  holt_slab_free(&rows->slab, put->cell);
}

static int
block_new(struct holt_rows *rows, size_t size, enum block_kind kind,
          uint32_t *ref)
{
  *ref = holt_slab_alloc(&rows->slab, size, kind);
  return *ref == 0 ? HOLT_ERR_NOMEM : 0;
}

static int
put_value(struct holt_rows *rows, const struct holt_row_spec *spec,
          struct put *put)
{
  const bool replaces = (spec->flags & HOLT_ROW_REPLACES) != 0;
  if (spec->value_size == 0 && !replaces) {
    return 0;
  }
  holt_assert(spec->value_size < UINT32_MAX - VALUE_HEAD - VALUE_REPLACED);
  const size_t head = value_head(spec->flags);
  const int rv =
    block_new(rows, head + spec->value_size, BLOCK_ANY, &put->value);
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

/* A row that has been alone, and the one that joins it. */
static int
put_entry(struct holt_rows *rows, const struct holt_actor *actor,
          const struct holt_row_spec *spec, struct put *put)
{
  int rv = holt_index_reserve(&rows->cells);
  if (rv == 0) {
    rv = block_new(rows, offsetof(struct entry, key) + spec->key_size,
                   BLOCK_ENTRY, &put->entry);
  }
  if (rv == 0) {
    rv = block_new(rows, sizeof(struct cell), BLOCK_ANY, &put->other_cell);
  }
  if (rv == 0 && row_slot(holt_row_at(rows, put->key_ref)) != actor->slot) {
    rv = block_new(rows, sizeof(struct cell), BLOCK_ANY, &put->cell);
  }
  return rv;
}

static int
put_key(struct holt_rows *rows, const struct holt_actor *actor,
        const struct holt_row_spec *spec, struct put *put)
{
  const size_t row_size = rows->row_offset + offsetof(struct holt_row, key);
  if (put->key_ref == 0) {
    return block_new(rows, row_size + spec->key_size, BLOCK_ANY, &put->row);
  }
  int rv = block_new(rows, row_size, BLOCK_ANY, &put->row);
  if (rv == 0 && !is_entry(rows, put->key_ref)) {
    rv = put_entry(rows, actor, spec, put);
  } else if (rv == 0 && cell_find(rows, put->key_ref, actor->slot) == 0) {
    rv = block_new(rows, sizeof(struct cell), BLOCK_ANY, &put->cell);
  }
  return rv;
}

/* Give a row that has been alone an entry.  Returns that. */
static uint32_t
key_share(struct holt_rows *rows, const struct put *put)
{
  struct holt_row *const other = holt_row_at(rows, put->key_ref);
  struct entry *const entry = entry_at(rows, put->entry);
  const uint32_t key_size = other->link[LINK_KEY_SIZE];
  memset(entry, 0, offsetof(struct entry, key));
  entry->link[LINK_HASH] = put->place.key;
  entry->link[LINK_KEY_SIZE] = key_size;
  memcpy(entry->key, other->key, key_size);
  holt_index_replace(&rows->keys, put->key_ref, put->entry);
  cell_link(rows, put->other_cell, put->entry, holt_row_actor(rows, other));
  cell_insert(rows, put->other_cell, put->key_ref);
  return put->entry;
}

static void
key_join(struct holt_rows *rows, struct holt_actor *actor,
         const struct holt_row_spec *spec, const struct put *put)
{
  if (put->key_ref == 0) {
    struct holt_row *const row = holt_row_at(rows, put->row);
    row->link[LINK_HASH] = put->place.key;
    row->link[LINK_KEY_SIZE] = (uint32_t)spec->key_size;
    memcpy(row->key, spec->key, spec->key_size);
    holt_index_insert_inline(&rows->keys, put->row, put->place.key, key_next,
                             key_hash_of);
    return;
  }
  const uint32_t entry = put->entry != 0 ? key_share(rows, put) : put->key_ref;
  uint32_t cell = put->cell;
  if (cell != 0) {
    cell_link(rows, cell, entry, actor);
  } else {
    cell = cell_find(rows, entry, actor->slot);
  }
  cell_insert(rows, cell, put->row);
}

static void
row_set_seq(struct holt_row *row, const struct holt_actor *actor,
            const struct holt_row_spec *spec)
{
  row->seq_actor = spec->seq << 16 | actor->slot;
  row->birth_flags = spec->birth << 16 | (uint64_t)actor->epoch << 8 |
                     (row->birth_flags & ROW_LISTED) | spec->flags;
}

static int
put_born(struct holt_rows *rows, struct holt_actor *actor,
         const struct holt_row_spec *spec, struct put *put)
{
  put->key_ref = key_find(rows, spec->key, spec->key_size, put->place.key);
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
  key_join(rows, actor, spec, put);
  seq_append(rows, actor, put->row);
  ring_append(rows, actor, put->ring, put->row, put->place.pid);
  holt_index_insert_inline(&rows->births, put->row, put->place.birth,
                           birth_next, birth_hash_of);
  if (rows->kind == HOLT_KIND_DUPLICATE) {
    holt_index_insert(&rows->members, put->row,
                      member_hash(rows, put->place.key, actor->slot,
                                  spec->owner_id, put->serial));
  }
  actor->row_count++;
  if (actor->birth_max < spec->birth) {
    actor->birth_max = spec->birth;
  }
  actor->fingerprint += row_fingerprint(rows, row);
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
      row_flags(row) != spec->flags || row->stamp != spec->stamp) {
    return false;
  }
  uint64_t actor;
  uint64_t birth;
  row_replaced(rows, row, &actor, &birth);
  return (spec->flags & HOLT_ROW_REPLACES) == 0 ||
         (actor == spec->replaces_actor && birth == spec->replaces_birth);
}

/* Hand a row to another process. */
static void
row_change_owner(struct holt_rows *rows, struct holt_actor *actor,
                 const struct holt_row_spec *spec, const struct put *put)
{
  struct holt_row *const row = holt_row_at(rows, put->row);
  const bool duplicate = rows->kind == HOLT_KIND_DUPLICATE;
  ring_unlink(rows, actor, put->row);
  if (duplicate) {
    holt_index_remove(&rows->members, put->row);
  }
  row->id = spec->owner_id;
  row->serial = put->serial;
  if (duplicate) {
    holt_index_insert(&rows->members, put->row,
                      member_hash(rows, put->place.key, actor->slot,
                                  spec->owner_id, put->serial));
  }
  ring_append(rows, actor, put->ring, put->row, put->place.pid);
}

static void
put_exchanged(struct holt_rows *rows, struct holt_actor *actor,
              const struct holt_row_spec *spec, const struct put *put)
{
  struct holt_row *const row = holt_row_at(rows, put->row);
  actor->fingerprint -= row_fingerprint(rows, row);
  holt_slab_free(&rows->slab, row->value);
  row->value = put->value;
  seq_unlink(rows, actor, put->row);
  if (!holt_mutant(OLD_SEQ)) {
    row_set_seq(row, actor, spec);
  }
  seq_append(rows, actor, put->row);
  if (row->id != spec->owner_id || row->serial != put->serial) {
    row_change_owner(rows, actor, spec, put);
  }
  actor->fingerprint += row_fingerprint(rows, row);
}

static void
place_of(const struct holt_rows *rows, const struct holt_actor *actor,
         const struct holt_row_spec *spec, struct holt_row_place *place)
{
  place->key = key_hash(rows, spec->key, spec->key_size);
  place->birth = birth_hash(rows, actor->slot, spec->birth);
  place->pid = ring_hash(rows, actor, spec->owner_id, spec->owner_serial);
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
    holt_prefetch(key_links(rows, key_ref));
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

  struct put put = { .place = *place, .serial = spec->owner_serial };
  holt_index_prefetch_split(&rows->keys, key_next);
  holt_index_prefetch_split(&rows->pids, pid_next);
  holt_index_prefetch_split(&rows->births, birth_next);
  if (rows->kind == HOLT_KIND_DUPLICATE) {
    holt_index_prefetch_split(&rows->members, member_next);
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
  put.ring = ring_first(rows, actor, spec->owner_id, put.serial, put.place.pid);
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

void
holt_rows_remove(struct holt_rows *rows, uint32_t ref)
{
  struct holt_row *const row = holt_row_at(rows, ref);
  struct holt_actor *const actor = holt_row_actor(rows, row);
  if (actor->served && rows->on_death != NULL) {
    rows->on_death(rows->user, actor, holt_row_seq(row), holt_row_birth(row));
  }
  actor->fingerprint -= row_fingerprint(rows, row);
  actor->row_count--;
  seq_unlink(rows, actor, ref);
  ring_unlink(rows, actor, ref);
  holt_index_remove(&rows->births, ref);
  if (rows->kind == HOLT_KIND_DUPLICATE) {
    /* Before the key goes, which is part of the hash. */
    holt_index_remove(&rows->members, ref);
  }
  key_unlink(rows, ref);
  holt_slab_free(&rows->slab, row->value);
  holt_slab_free(&rows->slab, ref);
}

/*--------------------------------------------------------------------
 * Keys */

/* The row of a cell that ranks first among those that are visible: a cell is in
 * order. */
static uint32_t
cell_best(const struct holt_rows *rows, const struct cell *cell)
{
  uint32_t ref = cell->first_row;
  while (ref != 0 && !holt_row_visible(rows, holt_row_at(rows, ref))) {
    ref = holt_row_at(rows, ref)->link[LINK_NEXT];
  }
  return ref;
}

static uint32_t
entry_winner(const struct holt_rows *rows, const struct entry *entry)
{
  uint32_t winner = 0;
  for (uint32_t ref = entry->first_cell; ref != 0;) {
    const struct cell *const cell = cell_at(rows, ref);
    const uint32_t best =
      cell_actor(rows, cell)->shown ? cell_best(rows, cell) : 0;
    if (best != 0 &&
        (winner == 0 || holt_row_outranks(rows, holt_row_at(rows, best),
                                          holt_row_at(rows, winner)))) {
      winner = best;
    }
    ref = cell->entry_next;
  }
  return winner;
}

static uint32_t
key_winner(const struct holt_rows *rows, uint32_t key_ref)
{
  if (is_entry(rows, key_ref)) {
    return entry_winner(rows, entry_at(rows, key_ref));
  }
  return holt_row_visible(rows, holt_row_at(rows, key_ref)) ? key_ref : 0;
}

static uint32_t
key_first(const struct holt_rows *rows, uint32_t key_ref)
{
  if (!is_entry(rows, key_ref)) {
    return key_ref;
  }
  const uint32_t cell = entry_at(rows, key_ref)->first_cell;
  return cell_at(rows, cell)->first_row;
}

static uint32_t
key_lookup(const struct holt_rows *rows, const uint8_t *key, size_t key_size)
{
  return key_find(rows, key, key_size, key_hash(rows, key, key_size));
}

uint32_t
holt_rows_winner(const struct holt_rows *rows, const uint8_t *key,
                 size_t key_size)
{
  const uint32_t key_ref = key_lookup(rows, key, key_size);
  return key_ref == 0 ? 0 : key_winner(rows, key_ref);
}

uint32_t
holt_rows_winner_beside(const struct holt_rows *rows, uint32_t ref)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  return key_winner(
    rows, row_listed(row) ? cell_at(rows, row->link[LINK_CELL])->entry : ref);
}

uint32_t
holt_rows_first(const struct holt_rows *rows, const uint8_t *key,
                size_t key_size)
{
  const uint32_t key_ref = key_lookup(rows, key, key_size);
  return key_ref == 0 ? 0 : key_first(rows, key_ref);
}

uint32_t
holt_rows_first_of(const struct holt_rows *rows, const uint8_t *key,
                   size_t key_size, const struct holt_actor *actor)
{
  const uint32_t key_ref = key_lookup(rows, key, key_size);
  if (key_ref == 0) {
    return 0;
  }
  if (!is_entry(rows, key_ref)) {
    return row_slot(holt_row_at(rows, key_ref)) == actor->slot ? key_ref : 0;
  }
  const uint32_t cell = cell_find(rows, key_ref, actor->slot);
  return cell == 0 ? 0 : cell_at(rows, cell)->first_row;
}

uint32_t
holt_rows_first_of_beside(const struct holt_rows *rows, uint32_t ref,
                          const struct holt_actor *actor)
{
  const struct holt_row *const row = holt_row_at(rows, ref);
  if (!row_listed(row)) {
    return row_slot(row) == actor->slot ? ref : 0;
  }
  const uint32_t entry = cell_at(rows, row->link[LINK_CELL])->entry;
  uint32_t cell = entry_at(rows, entry)->first_cell;
  for (unsigned i = 0; i < CELLS_NEAR; i++) {
    if (cell == 0) {
      return 0;
    }
    if (cell_at(rows, cell)->slot == actor->slot) {
      return cell_at(rows, cell)->first_row;
    }
    cell = cell_at(rows, cell)->entry_next;
  }
  cell = cell_find(rows, entry, actor->slot);
  return cell == 0 ? 0 : cell_at(rows, cell)->first_row;
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
  const uint32_t hash = key_hash(rows, key, key_size);
  uint32_t ref = holt_index_chain(
    &rows->members, member_hash(rows, hash, actor->slot, id, serial));
  while (ref != 0) {
    const struct holt_row *const row = holt_row_at(rows, ref);
    if (row->id == id && row->serial == serial &&
        row_slot(row) == actor->slot) {
      const uint32_t *const links = row_key_links(rows, row);
      if (links[LINK_HASH] == hash && links[LINK_KEY_SIZE] == key_size &&
          memcmp(links + 3, key, key_size) == 0) {
        return ref;
      }
    }
    ref = member_link_at(rows, ref)->next;
  }
  return 0;
}

size_t
holt_rows_count_key(const struct holt_rows *rows, const uint8_t *key,
                    size_t key_size, const struct holt_actor *actor)
{
  if (actor != NULL && !actor->shown) {
    return 0;
  }
  const uint32_t key_ref = key_lookup(rows, key, key_size);
  if (key_ref == 0) {
    return 0;
  }
  if (!is_entry(rows, key_ref)) {
    const struct holt_actor *const owner =
      holt_row_actor(rows, holt_row_at(rows, key_ref));
    return owner->shown && (actor == NULL || actor == owner) ? 1 : 0;
  }
  if (actor != NULL) {
    const uint32_t cell = cell_find(rows, key_ref, actor->slot);
    return cell == 0 ? 0 : cell_at(rows, cell)->row_count;
  }
  size_t count = 0;
  for (uint32_t ref = entry_at(rows, key_ref)->first_cell; ref != 0;) {
    const struct cell *const cell = cell_at(rows, ref);
    count += cell_actor(rows, cell)->shown ? cell->row_count : 0;
    ref = cell->entry_next;
  }
  return count;
}

size_t
holt_rows_count(const struct holt_rows *rows)
{
  size_t count = 0;
  for (const struct holt_actor *actor = rows->actor_list; actor != NULL;
       actor = actor->next) {
    count += actor->shown ? actor->row_count : 0;
  }
  /* While keys wait to be settled the excess may be too great. */
  return count > rows->excess ? count - rows->excess : 0;
}

uint64_t
holt_rows_scan(const struct holt_rows *rows, uint64_t cursor,
               bool (*visit)(void *user, uint32_t row), void *user)
{
  bool visited = false;
  for (uint32_t i = 0; !visited && i < SCAN_CHAINS_MAX; i++) {
    uint32_t ref;
    const uint64_t next = holt_index_scan(&rows->keys, cursor, &ref);
    while (ref != 0) {
      const uint32_t key_ref = ref;
      const uint32_t *const links = key_links(rows, ref);
      ref = links[LINK_CHAIN];
      if (holt_index_position(links[LINK_HASH]) < cursor) {
        continue;
      }
      const uint32_t row = rows->kind == HOLT_KIND_UNIQUE
                             ? key_winner(rows, key_ref)
                             : key_first(rows, key_ref);
      visited = visited || row != 0;
      if (row != 0 && !visit(user, row)) {
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

/*--------------------------------------------------------------------
 * Showing and hiding */

void
holt_rows_settle_all(struct holt_rows *rows, struct holt_actor *actor)
{
  if (actor->cells == 0) {
    return;
  }
  rows->settling += actor->settle_at == 0 ? 1u : 0u;
  actor->settle_at = actor->cells;
}

void
holt_rows_show(struct holt_rows *rows, struct holt_actor *actor, bool shown)
{
  if (actor->shown != shown) {
    actor->shown = shown;
    holt_rows_settle_all(rows, actor);
  }
}

/* Count the rows of a cell as what they are now. */
static void
cell_settle(struct holt_rows *rows, struct cell *cell, bool shown)
{
  if (cell->counted == shown) {
    return;
  }
  cell->counted = shown;
  struct entry *const entry = entry_at(rows, cell->entry);
  entry_count_shown(rows, entry,
                    shown ? entry->shown + cell->row_count
                          : entry->shown - cell->row_count);
}

bool
holt_rows_settle(struct holt_rows *rows, size_t *budget,
                 void (*settle)(void *user, uint32_t row), void *user)
{
  struct holt_actor *actor = rows->actor_list;
  while (rows->settling > 0 && *budget > 0) {
    while (actor->settle_at == 0) {
      actor = actor->next != NULL ? actor->next : rows->actor_list;
    }
    (*budget)--;
    struct cell *const cell = cell_at(rows, actor->settle_at);
    settle_advance(rows, actor, cell);
    if (actor->settle_at != 0) {
      const struct cell *const next = cell_at(rows, actor->settle_at);
      holt_prefetch(next);
      holt_prefetch(entry_at(rows, next->entry));
      holt_prefetch(holt_row_at(rows, next->first_row));
    }
    cell_settle(rows, cell, actor->shown);
    if (settle != NULL && actor->shown) {
      settle(user, key_first(rows, cell->entry));
    }
  }
  return rows->settling > 0;
}
