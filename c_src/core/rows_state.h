/* SPDX-License-Identifier: Apache-2.0 */
/* What the store is made of, for the files that make it work.
 *
 *     rows.c     put, exchange and remove: what a row says, and by what birth
 *     keys.c     who has a key: ranks, the winner, counts, scans
 *     cells.c    keys of several rows: entries and cells, and their settling
 *     owners.c   whose rows they are: rings of a process, members of a group
 *     actors.c   the actors, their slots and names
 *     walks.c    places in a list, which outlive what stands there
 *     told.c     what those who watch have been told
 *
 * rows.h is what they offer to all others.  Each knows indices of its own, and
 * only keys.c and cells.c have one between them:
 *
 *     rows.c  births      owners.c  pids, members, locals
 *     keys.c  keys        actors.c  actor_ids, lives
 *     cells.c cells, and in keys the entries
 *
 * All blocks are in one slab.  A row alone carries its key behind it; when
 * another row gets the same key, an entry takes the row's place in the index
 * and a copy of the key, and both rows go into cells.  So the three words
 * `link` of a row mean one of two things:
 *
 *     alone     | next in index | hash | key size | key ...
 *     listed    | previous      | next | cell     | (what was once a key)
 *
 *     entry     | cells, counts | next in index | hash | key size | key ...
 *
 * An entry stays until its last row goes, so a row that is listed stays so.
 * Where keys are duplicate, a row's block begins with one link more, of the
 * index of members: that is row_offset.
 *
 * What every put and lookup goes through is inline here.  An inline function
 * has another address in each file, so holt_index_insert_inline() is called
 * where the index was given its callbacks, and nowhere else.
 */
#ifndef HOLT_CORE_ROWS_STATE_H
#define HOLT_CORE_ROWS_STATE_H

#include <string.h>

#include "invariant.h"
#include "rows.h"

/* Kinds of blocks in the slab: a node of the key index is an entry if its block
 * is of that kind, else a row alone. */
enum holt_block_kind {
  HOLT_BLOCK_ANY = 0,
  HOLT_BLOCK_ENTRY = 1
};

/* What the words of the link of a row are.  Alone: as in an entry. */
enum holt_link_alone {
  HOLT_LINK_CHAIN = 0,
  HOLT_LINK_HASH = 1,
  HOLT_LINK_KEY_SIZE = 2
};
enum holt_link_listed {
  HOLT_LINK_PREV = 0, /* That of the first row is the last row. */
  HOLT_LINK_NEXT = 1,
  HOLT_LINK_CELL = 2
};

/* A key that several rows have, or had. */
struct holt_entry {
  uint32_t first_cell;
  uint32_t last_cell;
  uint32_t row_count;
  uint32_t shown;   /* Rows in cells that are counted. */
  uint32_t link[3]; /* enum holt_link_alone */
  uint8_t key[];
};

/* The rows that one actor has under one key. */
struct holt_cell {
  uint32_t entry;
  uint32_t first_row;
  uint32_t row_count;
  uint32_t slot; /* Of the actor. */
  uint32_t entry_prev, entry_next;
  uint32_t actor_prev, actor_next;
  uint32_t by_pair; /* Chain of the index. */
  bool counted;     /* Its rows are in entry->shown. */
};

/* The key follows the links in both, which holt__key_links() relies on. */
_Static_assert(offsetof(struct holt_row, key) ==
                 offsetof(struct holt_row, link) + 3 * sizeof(uint32_t),
               "the key of a row follows its links");
_Static_assert(offsetof(struct holt_entry, key) ==
                 offsetof(struct holt_entry, link) + 3 * sizeof(uint32_t),
               "the key of an entry follows its links");
_Static_assert(offsetof(struct holt_row, key) == 72, "rows are kept small");

/* Where keys are duplicate, the block of a row begins with its link in the
 * index of members.  It takes as much as keeps the row aligned. */
struct holt_member_link {
  uint32_t next;
  uint32_t unused;
};

/* Buckets that one call of a scan looks at without finding anything. */
#define HOLT_SCAN_CHAINS_MAX 64u

/* Beside HOLT_ROW_FLAGS: the row is in a cell. */
#define HOLT_ROW_LISTED 0x80u

/* And two marks of contest.c. */
#define HOLT_ROW_SOON 0x40u
#define HOLT_ROW_LATER 0x20u
#define HOLT_ROW_MARKS (HOLT_ROW_LISTED | HOLT_ROW_SOON | HOLT_ROW_LATER)

/* The parts of a put that can fail, made before anything is changed. */
struct holt_put {
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

/*--------------------------------------------------------------------
 * Blocks */

static inline struct holt_entry *
holt__entry_at(const struct holt_rows *rows, uint32_t ref)
{
  return holt_slab_at(&rows->slab, ref);
}

static inline struct holt_cell *
holt__cell_at(const struct holt_rows *rows, uint32_t ref)
{
  return holt_slab_at(&rows->slab, ref);
}

static inline struct holt_actor *
holt__cell_actor(const struct holt_rows *rows, const struct holt_cell *cell)
{
  return rows->slots[cell->slot];
}

static inline uint32_t
holt__row_slot(const struct holt_row *row)
{
  return (uint32_t)(row->seq_actor & 0xffffu);
}

static inline unsigned
holt__row_flags(const struct holt_row *row)
{
  return (unsigned)(row->birth_flags & HOLT_ROW_FLAGS);
}

static inline bool
holt__row_listed(const struct holt_row *row)
{
  return (row->birth_flags & HOLT_ROW_LISTED) != 0;
}

/* What a node of the key index is. */
static inline bool
holt__is_entry(const struct holt_rows *rows, uint32_t key_ref)
{
  return holt_slab_kind(&rows->slab, key_ref) == HOLT_BLOCK_ENTRY;
}

/* The key of a node of the key index: link_alone, then the bytes. */
static inline uint32_t *
holt__key_links(const struct holt_rows *rows, uint32_t ref)
{
  uint8_t *const at = holt_slab_at(&rows->slab, ref);
  const size_t offset = holt_slab_kind(&rows->slab, ref) == HOLT_BLOCK_ENTRY
                          ? offsetof(struct holt_entry, link)
                          : rows->row_offset + offsetof(struct holt_row, link);
  return (uint32_t *)(void *)(at + offset);
}

/* The same for the key that a row has. */
static inline uint32_t *
holt__row_key_links(const struct holt_rows *rows, const struct holt_row *row)
{
  if (!holt__row_listed(row)) {
    return (uint32_t *)(uintptr_t)row->link;
  }
  return holt__entry_at(rows,
                        holt__cell_at(rows, row->link[HOLT_LINK_CELL])->entry)
    ->link;
}

static inline struct holt_member_link *
holt__member_link_at(const struct holt_rows *rows, uint32_t ref)
{
  holt_assert(rows->kind == HOLT_KIND_DUPLICATE);
  return holt_slab_at(&rows->slab, ref);
}

static inline int
holt__block_new(struct holt_rows *rows, size_t size, enum holt_block_kind kind,
                uint32_t *ref)
{
  *ref = holt_slab_alloc(&rows->slab, size, kind);
  return *ref == 0 ? HOLT_ERR_NOMEM : 0;
}

/*--------------------------------------------------------------------
 * Hashes
 *
 * Numbers that are given one after the other, births and process ids, come to
 * lie in buckets next to each other, so that the cache serves many at once.
 * Each run of 64 has a place and a rotation of its own that nobody can foresee:
 * no stride makes chains longer than chance does. */

/* Low bits of a hash in which consecutive numbers stay neighbours. */
#define HOLT_NEIGHBOUR_BITS 63u

static inline uint32_t
holt__neighbour_hash(const struct holt_rows *rows, uint64_t first,
                     uint64_t rest, uint32_t number)
{
  const uint64_t mix = holt_hash_mix2(
    &rows->seed, first, rest ^ (uint64_t)(number & ~HOLT_NEIGHBOUR_BITS) << 6);
  const uint32_t low = ((uint32_t)(mix >> 32) + number) & HOLT_NEIGHBOUR_BITS;
  return ((uint32_t)mix & ~HOLT_NEIGHBOUR_BITS) | low;
}

static inline uint32_t
holt__key_hash(const struct holt_rows *rows, const uint8_t *key,
               size_t key_size)
{
  return (uint32_t)holt_hash_bytes(&rows->seed, key, key_size);
}

/* Slots keep processes of several actors apart; an actor keeps its slot when it
 * changes its id. */
static inline uint32_t
holt__pid_hash(const struct holt_rows *rows, uint32_t slot, uint32_t id,
               uint32_t serial)
{
  return holt__neighbour_hash(rows, (uint64_t)serial << 32 | slot, 0, id);
}

static inline uint32_t
holt__ring_hash(const struct holt_rows *rows, const struct holt_actor *actor,
                uint32_t id, uint32_t serial)
{
  return actor->local ? 0 : holt__pid_hash(rows, actor->slot, id, serial);
}

/*--------------------------------------------------------------------
 * Links in the indices that a put has fetched ahead */

static inline uint32_t *
holt__key_next(void *user, uint32_t ref)
{
  return &holt__key_links(user, ref)[HOLT_LINK_CHAIN];
}

static inline uint32_t *
holt__pid_next(void *user, uint32_t ref)
{
  return &holt_row_at(user, ref)->by_pid;
}

static inline uint32_t *
holt__member_next(void *user, uint32_t ref)
{
  return &holt__member_link_at(user, ref)->next;
}

/*--------------------------------------------------------------------
 * Finding */

/* The node of the key index for this key: a row alone, an entry, or 0. */
static inline uint32_t
holt__key_find(const struct holt_rows *rows, const uint8_t *key,
               size_t key_size, uint32_t hash)
{
  uint32_t ref = holt_index_chain(&rows->keys, hash);
  while (ref != 0) {
    const uint32_t *const links = holt__key_links(rows, ref);
    if (links[HOLT_LINK_HASH] == hash &&
        links[HOLT_LINK_KEY_SIZE] == key_size &&
        memcmp(links + 3, key, key_size) == 0) {
      return ref;
    }
    ref = links[HOLT_LINK_CHAIN];
  }
  return 0;
}

/* The first row of the ring of rows of a process.  serial is what a row says,
 * that is, a holt_local for the local actor, whose processes need no hash. */
static inline uint32_t
holt__ring_first(const struct holt_rows *rows, const struct holt_actor *actor,
                 uint32_t id, uint32_t serial, uint32_t hash)
{
  if (actor->local) {
    return holt_local_at(rows, serial)->rows;
  }
  uint32_t ref = holt_index_chain(&rows->pids, hash);
  while (ref != 0) {
    const struct holt_row *const row = holt_row_at(rows, ref);
    if (row->id == id && row->serial == serial &&
        holt__row_slot(row) == actor->slot) {
      return ref;
    }
    ref = row->by_pid;
  }
  return 0;
}

/*--------------------------------------------------------------------
 * keys.c */

/* Prepare and free the index. */
void holt__keys_init(struct holt_rows *rows);
void holt__keys_deinit(struct holt_rows *rows);

/* Put a row under its key, for which put->key_ref has been found, and there is
 * room in the index.  Cannot fail. */
void holt__key_join(struct holt_rows *rows, struct holt_actor *actor,
                    const struct holt_row_spec *spec,
                    const struct holt_put *put);

/* Take a row from its key. */
void holt__key_unlink(struct holt_rows *rows, uint32_t ref);

/*--------------------------------------------------------------------
 * cells.c */

void holt__cells_init(struct holt_rows *rows);
void holt__cells_deinit(struct holt_rows *rows);

/* Have the blocks that a row of a key that there is, put->key_ref, needs
 * besides its own.  HOLT_ERR_NOMEM: those so far are in *put. */
int holt__cells_prepare(struct holt_rows *rows, const struct holt_actor *actor,
                        const struct holt_row_spec *spec, struct holt_put *put);

/* Put it there, after that.  Cannot fail. */
void holt__cells_join(struct holt_rows *rows, struct holt_actor *actor,
                      const struct holt_put *put);

/* Take a row out of its cell, which goes with its last row. */
void holt__cell_remove(struct holt_rows *rows, uint32_t ref);

/* Count the rows of a cell as what they are now.  False: they are. */
bool holt__cell_settle(struct holt_rows *rows, struct holt_cell *cell);

/* The cell of this actor in an entry, or 0. */
uint32_t holt__cell_find(const struct holt_rows *rows, uint32_t entry,
                         uint32_t slot);

/*--------------------------------------------------------------------
 * told.c: called where somebody watches, only. */

/* The row is under its key. */
void holt__told_born(struct holt_rows *rows, uint32_t ref);

/* The row has changed in its place.  before shares its links. */
void holt__told_changed(struct holt_rows *rows, uint32_t ref,
                        const struct holt_row *before);

/* The row is about to be removed. */
void holt__told_removed(struct holt_rows *rows, uint32_t ref,
                        enum holt_reason why);

/* Settle all cells of an entry.  again: whoever has the key is to be told of,
 * changed or not. */
void holt__told_settle(struct holt_rows *rows, uint32_t entry, bool again);

/* The actor has just been shown or hidden. */
void holt__told_shown(struct holt_rows *rows, const struct holt_actor *actor);

/*--------------------------------------------------------------------
 * owners.c */

void holt__owners_init(struct holt_rows *rows);
void holt__owners_deinit(struct holt_rows *rows);

/* Give a row to the process that it names, whose first row, or 0, and hash are
 * in *put; the row is under its key.  Cannot fail. */
void holt__owner_join(struct holt_rows *rows, struct holt_actor *actor,
                      const struct holt_put *put);

/* Take it away again, while it is under its key. */
void holt__owner_leave(struct holt_rows *rows, struct holt_actor *actor,
                       uint32_t ref);

/* The first row of the ring that a row is in. */
uint32_t holt__row_ring_first(const struct holt_rows *rows,
                              const struct holt_row *row);

/*--------------------------------------------------------------------
 * actors.c */

void holt__actors_init(struct holt_rows *rows);
void holt__actors_deinit(struct holt_rows *rows);

/*--------------------------------------------------------------------
 * walks.c */

/* Move all walks over that list off a row that is about to leave it. */
void holt__walks_move_on(struct holt_rows *rows, uint32_t ref,
                         enum holt_walk_over over);

/* The same, where mostly there are none. */
static inline void
holt__walks_step_over(struct holt_rows *rows, uint32_t ref,
                      enum holt_walk_over over)
{
  if (rows->walks[over] != NULL) {
    holt__walks_move_on(rows, ref, over);
  }
}

#endif /* HOLT_CORE_ROWS_STATE_H */
