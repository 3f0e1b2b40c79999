/* SPDX-License-Identifier: Apache-2.0 */
/* Rows with one writer: the replicated map itself.
 *
 * How can many replicas hold one map without agreeing on every change?  Here
 * each row belongs to the one actor that wrote it, and nobody else ever changes
 * it.  So the rows of an actor at version v (its last sequence number) are one
 * fixed set, the same everywhere, and the whole replicated state is
 *
 *     actor -> (version, rows)        join: the newer version of each actor
 *
 * Who holds a name is not part of the state: it is a view, computed from the
 * rows of the actors that are shown at the moment.
 *
 * A row is born with sequence number `birth`; each change gives it a new `seq`
 * and keeps birth and stamp.  (actor, birth) is the identity of a registration:
 * a holder exchanges the old row for the new one under it in one step, and a
 * death names it.
 *
 * A million rows must fit, so a row has no pointer, and a key of one row has
 * nothing but that row, which carries the key behind it.  Only a key that
 * several rows share gets an entry, which owns the key, and one cell per actor:
 *
 *     index "alice" --> row (actor 7)                        alone
 *
 *     index "bob" ----> entry --> cell (actor 7) --> row --> row
 *                             \-> cell (actor 9) --> row
 *
 *     actor 9:  its cells, that is the keys it shares; its rows by seq
 *
 * So showing or hiding an actor flips one flag, and looks, in slices, at the
 * keys in its cells only.
 *
 * Order:   of the rows of one key whose actors are shown, the one that ranks
 *          first wins: see holt_row_outranks(), a total order over immutable
 *          fields, so every replica picks the same row.
 * Cost:    every operation is O(1) but for the cells of one key, which are at
 *          most as many as actors, and rows of one actor under one unique key,
 *          which are kept in order of rank.
 * Memory:  the store owns everything and copies every byte it is given.  A row
 *          takes 86 bytes besides its key and value, indices included, and up
 *          to 7 for alignment; where keys are duplicate, up to 8 more, for
 *          being found as a member.
 *          References (uint32_t, 0: none) stay valid until the row is removed;
 *          so do pointers got from them.
 * Threads: none; the host locks.
 */
#ifndef HOLT_CORE_ROWS_H
#define HOLT_CORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>
#include <holt/mem.h>
#include <holt/member.h>

#include "hash.h"
#include "index.h"
#include "prefetch.h"
#include "presence.h"
#include "slab.h"

/* The most actors one store lists, those of dead nodes included.  Bounds what
 * peers that keep changing their identity can make us keep. */
#define HOLT_ACTORS_MAX 4096u

/* The largest seq: 89 years of 100,000 changes a second. */
#define HOLT_SEQ_MAX ((UINT64_C(1) << 48) - 1)

/* What a row says of itself, for ever: part of the wire.  Rows with REPLACES
 * name the registration whose place they take. */
#define HOLT_ROW_EARLY 0x01u
#define HOLT_ROW_STANDBY 0x02u
#define HOLT_ROW_REPLACES 0x04u
#define HOLT_ROW_FLAGS 0x07u

/* The two bytes of a policy. */
enum holt_kind {
  HOLT_KIND_UNIQUE = 1,
  HOLT_KIND_DUPLICATE = 2
};
enum holt_rule {
  HOLT_RULE_NEWEST = 0,
  HOLT_RULE_OLDEST = 1,
  HOLT_RULE_CUSTOM = 2, /* As NEWEST, until somebody has decided. */
  HOLT_RULE_MAX = HOLT_RULE_CUSTOM
};

struct holt_actor {
  uint64_t id;
  uint64_t fingerprint; /* Sum over the rows, independent of their order. */
  struct holt_member member; /* Owned: one block, the name, then the node. */
  uint32_t slot;     /* Small, unique among the actors there are; survives a
                      * change of identity. */
  uint32_t creation; /* Of the node: part of its pids. */
  uint32_t by_id;    /* Chains of the indices. */
  uint32_t by_member;
  enum holt_rule rule; /* Set before the first row, never changed. */
  bool shown;          /* Its rows take part in the view: holt_rows_show(). */
  bool local;          /* Its processes are the host's: they have records. */
  uint8_t epoch;       /* Rows of another one are stale. */
  size_t row_count;
  size_t pid_count;   /* Processes with rows. */
  uint32_t rows_head; /* By ascending seq, but for stale rows; see repair.c. */
  uint32_t rows_tail;
  uint32_t cells; /* The keys it shares. */
  size_t cell_count;
  uint32_t settle_at;      /* The cell to be settled next. */
  bool flickers;           /* It came or went while others waited. */
  uint64_t birth_max;      /* The greatest birth of a row there has been. */
  struct holt_actor *next; /* In the store's list of actors. */

  /* The rest is for the files of state.h; the store sets it to 0. */
  struct holt_presence presence;
  uint64_t version; /* The fixed set that the rows are, when not dirty. */
  uint64_t cursor;  /* How far its stream has been applied, >= version. */
  uint64_t wanted_version; /* What it had when it came; shown from then. */
  uint64_t nacked_at_ms;
  uint64_t as_of;     /* What the newest message in it showed. */
  bool dirty;         /* Between two fixed sets: not a version. */
  bool torn;          /* Not to be had by streaming any more: needs a repair. */
  bool gone;          /* For ever; its rows are freed in slices. */
  bool relayed;       /* Only others have told of it. */
  bool served;        /* A repair of it is being served: note its deaths. */
  uint8_t unfinished; /* Epochs begun since a repair was complete. */
  uint8_t stalls;     /* Repairs that came to a stand since then. */
  uint32_t avoid_peer; /* No repair of it from there until then. */
  uint64_t avoid_until_ms;
};

/* A local process. */
struct holt_local {
  uint64_t host; /* The host's word for it; never 0. */
  uint32_t id;   /* Of the pid on its node. */
  uint32_t serial;
  uint32_t rows; /* In order of birth, as a ring: the first. */
  uint32_t by_pid;
  uint32_t next_dead; /* For replica.c. */
  uint32_t row_count;
  bool dead; /* Known to be gone; its rows go in slices. */
};

/* Private to the files of rows_state.h but for the accessors below. */
struct holt_row {
  uint64_t seq_actor;   /* seq << 16 | slot */
  uint64_t birth_flags; /* birth << 16 | epoch << 8 | flags */
  uint64_t stamp;       /* Of the registration; never changes. */
  uint32_t id;
  uint32_t serial; /* Of a local row: its holt_local. */
  uint32_t seq_prev, seq_next;
  uint32_t pid_prev, pid_next; /* A ring: rows of the same process. */
  uint32_t by_birth;
  uint32_t by_pid;  /* Of the first row of a process of another node. */
  uint32_t value;   /* A block, or 0. */
  uint32_t link[3]; /* Alone: next in the index, hash, key size.
                       * Listed: previous and next in the cell, the cell. */
  uint8_t key[];    /* Alone, or once alone. */
};

/* Everything a row says, for holt_rows_put(). */
struct holt_row_spec {
  uint64_t seq;
  uint64_t birth;
  uint64_t stamp;
  const uint8_t *key; /* Canonical bytes.  Borrowed, as is value. */
  const uint8_t *value;
  size_t key_size;
  size_t value_size;
  uint32_t owner_id;
  uint32_t owner_serial;
  uint8_t flags;           /* HOLT_ROW_ */
  uint64_t replaces_actor; /* With HOLT_ROW_REPLACES. */
  uint64_t replaces_birth;
};

/* A place in a list of rows that survives removals: a row that goes away moves
 * every walk that stands on it one row on. */
enum holt_walk_over {
  HOLT_WALK_SEQ, /* The rows of an actor, by seq. */
  HOLT_WALK_PID, /* The rows of a process, by birth. */
  HOLT_WALK_KEY  /* The rows of a key. */
};
#define HOLT_WALK_KINDS 3u

struct holt_walk {
  struct holt_walk *prev, *next; /* In the store's list; NULL when idle. */
  uint32_t at;                   /* 0 at the end. */
  uint32_t first;                /* Where a ring ends, private to walks.c. */
  enum holt_walk_over over;
  bool active;
  bool seeking; /* It is on its way back: holt_walk_seek(). */
};

/* What those who watch are told: told.c.  A row that has changed in place, or
 * is about to go, is there as it was. */
struct holt_rows_change {
  enum holt_change_type type;
  enum holt_reason reason;
  const struct holt_row *now;     /* Or NULL. */
  const struct holt_row *before;  /* Or NULL. */
  const struct holt_actor *actor; /* MEMBER_ */
};

struct holt_rows {
  struct holt_mem *mem;
  struct holt_hash_seed seed;
  enum holt_kind kind;
  uint32_t row_offset; /* Of the row in its block: see rows_state.h. */
  struct holt_slab slab;
  struct holt_index keys;      /* Rows alone, and entries. */
  struct holt_index births;    /* Rows. */
  struct holt_index pids;      /* First rows of processes of other nodes. */
  struct holt_index members;   /* Rows; duplicate keys only. */
  struct holt_index cells;     /* By entry and actor. */
  struct holt_index locals;    /* Local processes. */
  struct holt_index actor_ids; /* Slots plus 1, as in the next. */
  struct holt_index lives;     /* Actors by member. */
  struct holt_actor **slots;   /* Actors by slot. */
  size_t slot_capacity;
  struct holt_actor *actor_list;
  size_t actor_count;
  struct holt_walk *walks[HOLT_WALK_KINDS]; /* By what they are over. */
  size_t excess;   /* Rows shown beyond one per key, as last counted. */
  size_t settling; /* Actors whose cells wait: holt_rows_settle(). */

  /* Called before a row of an actor with `served` set goes away for good. */
  void (*on_death)(void *user, const struct holt_actor *actor, uint64_t seq,
                   uint64_t birth, enum holt_reason why);

  /* Called with each change of what is seen; NULL: nobody watches. */
  void (*on_change)(void *user, const struct holt_rows_change *change);
  void *user;
};

/* Prepare an empty store.  seed keys the hashes, so that nobody outside can
 * choose names that share a bucket. */
void holt_rows_init(struct holt_rows *rows, struct holt_mem *mem,
                    struct holt_hash_seed seed, enum holt_kind kind);

/* Free what is left, all at once.  A host that may not stall removes the rows
 * in slices before. */
void holt_rows_deinit(struct holt_rows *rows);

/*--------------------------------------------------------------------
 * Rows: reading */

static inline struct holt_row *
holt_row_at(const struct holt_rows *rows, uint32_t ref)
{
  uint8_t *const block = holt_slab_at(&rows->slab, ref);
  return (struct holt_row *)(void *)(block + rows->row_offset);
}

/* A hint that the row (or 0) will be read next, with its key. */
static inline void
holt_row_prefetch(const struct holt_rows *rows, uint32_t ref)
{
  if (ref != 0) {
    const struct holt_row *const row = holt_row_at(rows, ref);
    holt_prefetch(row);
    holt_prefetch(row->key);
  }
}

static inline uint64_t
holt_row_seq(const struct holt_row *row)
{
  return row->seq_actor >> 16;
}

static inline uint64_t
holt_row_birth(const struct holt_row *row)
{
  return row->birth_flags >> 16;
}

static inline struct holt_actor *
holt_row_actor(const struct holt_rows *rows, const struct holt_row *row)
{
  return rows->slots[row->seq_actor & 0xffffu];
}

/* The key (canonical bytes) and the value of a row, as long as it lives and is
 * not changed.  A value of 0 bytes is NULL. */
const uint8_t *holt_row_key(const struct holt_rows *rows,
                            const struct holt_row *row, size_t *size);
const uint8_t *holt_row_value(const struct holt_rows *rows,
                              const struct holt_row *row, size_t *size);

/* Its local process, or NULL. */
struct holt_local *holt_row_local(const struct holt_rows *rows,
                                  const struct holt_row *row);

/* All of it: what holt_rows_put() would take to write it. */
void holt_row_spec_of(const struct holt_rows *rows, const struct holt_row *row,
                      struct holt_row_spec *spec);

/* Of another epoch: not confirmed by the repair that runs. */
bool holt_row_stale(const struct holt_rows *rows, const struct holt_row *row);

/* Say that a stale row is part of the current epoch, too. */
void holt_row_confirm(const struct holt_rows *rows, struct holt_row *row);

/* In the view: its actor is shown, its process not known to be dead. */
bool holt_row_visible(const struct holt_rows *rows, const struct holt_row *row);

/* Several rows have its key. */
bool holt_row_shared(const struct holt_rows *rows, const struct holt_row *row);

/* True when left outranks right, rows of one unique key: the one order by which
 * names are won.
 *
 *  1. Standbys rank below all others, and among themselves the first in line
 *     wins.
 *  2. Where members have different rules, a row of one that keeps the newest
 *     ranks above all others, and one of one that keeps the oldest below them:
 *     a total order, whoever looks on.
 *  3. keep_newest, custom: EARLY rows rank below the others, and among
 *     themselves the older wins, so that a booting node never evicts an
 *     incumbent.
 *  4. The newer wins (keep_oldest: the older).
 *
 * Older is the smaller (stamp, actor id, birth). */
bool holt_row_outranks(const struct holt_rows *rows,
                       const struct holt_row *left,
                       const struct holt_row *right);

/* The same of two rules, see 2. */
bool holt_rule_outranks(enum holt_rule left, enum holt_rule right);

/* The left row was registered to take the place of the right one. */
bool holt_row_replaces(const struct holt_rows *rows,
                       const struct holt_row *left,
                       const struct holt_row *right);

/*--------------------------------------------------------------------
 * Rows: writing */

/* Write a row of actor: born when its birth is new, exchanged for the row of
 * the same birth otherwise.  It becomes the last row of its actor, so spec->seq
 * is greater than that of every row of the actor that is not stale, or it is
 * the last of these and written again.  Rows of the local actor need a
 * holt_local for their process.  All or nothing.
 *
 * HOLT_ERR_NOMEM      nothing was changed.
 * HOLT_ERR_MALFORMED  the birth is known under another key, or its flags,
 *                     stamp or replaced registration have changed. */
int holt_rows_put(struct holt_rows *rows, struct holt_actor *actor,
                  const struct holt_row_spec *spec, uint32_t *out);

/* Where a row belongs in the indices.  Who has several rows to put says so
 * before, for all of them in two steps: where each search begins is fetched,
 * then what it will find there.  Like this they wait for memory together, and
 * not one after the other. */
struct holt_row_place {
  uint32_t key; /* Hashes. */
  uint32_t birth;
  uint32_t pid;
};

void holt_rows_place(const struct holt_rows *rows,
                     const struct holt_actor *actor,
                     const struct holt_row_spec *spec,
                     struct holt_row_place *place);
void holt_rows_fetch(const struct holt_rows *rows,
                     const struct holt_actor *actor,
                     const struct holt_row_spec *spec,
                     const struct holt_row_place *place);

/* As holt_rows_put(). */
int holt_rows_put_at(struct holt_rows *rows, struct holt_actor *actor,
                     const struct holt_row_spec *spec,
                     const struct holt_row_place *place, uint32_t *out);

/* The same two steps for a birth that will be looked for. */
void holt_rows_place_birth(const struct holt_rows *rows,
                           const struct holt_actor *actor, uint64_t birth,
                           struct holt_row_place *place);
void holt_rows_fetch_birth(const struct holt_rows *rows,
                           const struct holt_row_place *place);

/* Take the row out and free it.  Cannot fail. */
void holt_rows_remove(struct holt_rows *rows, uint32_t row,
                      enum holt_reason why);

/* The actor's row of this birth, or 0. */
uint32_t holt_rows_born(const struct holt_rows *rows,
                        const struct holt_actor *actor, uint64_t birth);

/*--------------------------------------------------------------------
 * Keys */

/* Unique keys: the row that has this key in the view, or 0. */
uint32_t holt_rows_winner(const struct holt_rows *rows, const uint8_t *key,
                          size_t key_size);

/* The same for the key that a row has. */
uint32_t holt_rows_winner_beside(const struct holt_rows *rows, uint32_t row);

/* The first row of this key (any key kind), visible or not, or 0; all of them
 * with a HOLT_WALK_KEY from there. */
uint32_t holt_rows_first(const struct holt_rows *rows, const uint8_t *key,
                         size_t key_size);

/* The first of the rows this actor has under the key (unique: the one that
 * ranks first), or 0.  Its others follow it in a HOLT_WALK_KEY. */
uint32_t holt_rows_first_of(const struct holt_rows *rows, const uint8_t *key,
                            size_t key_size, const struct holt_actor *actor);

/* The same for the key that a row has. */
uint32_t holt_rows_first_of_beside(const struct holt_rows *rows, uint32_t row,
                                   const struct holt_actor *actor);

/* Duplicate keys: a row of this process under this key, or 0; the one written
 * last of several, not counting exchanges: the youngest, for local ones. */
uint32_t holt_rows_member(const struct holt_rows *rows, const uint8_t *key,
                          size_t key_size, const struct holt_actor *actor,
                          uint32_t id, uint32_t serial);

/* Rows of the key whose actors are shown; with an actor: its rows, if shown.
 * O(actors that have the key).  Rows of processes that have just died count
 * until they are removed. */
size_t holt_rows_count_key(const struct holt_rows *rows, const uint8_t *key,
                           size_t key_size, const struct holt_actor *actor);

/* Keys in the view: exact once nothing waits to be settled.  O(actors). */
size_t holt_rows_count(const struct holt_rows *rows);

/* Some keys, those of one chain of the index: cursor is 0 at first, then what
 * was returned; 0 again means the end.  visit gets the first row of each key,
 * visible or not (unique keys: the winner, and only keys that have one); false
 * ends the scan.  A key that is there all the time comes once. */
uint64_t holt_rows_scan(const struct holt_rows *rows, uint64_t cursor,
                        bool (*visit)(void *user, uint32_t row), void *user);

/* Rows that are shown. */
size_t holt_rows_count_shown(const struct holt_rows *rows);

/* As holt_rows_scan(), over the keys of which the canonical bytes are those of
 * a binary that begins so, or over all of them (NULL); unique keys only.  It
 * looks at some dozens of buckets at a time, whether it finds any or not. */
uint64_t holt_rows_scan_prefix(const struct holt_rows *rows, uint64_t cursor,
                               const uint8_t *prefix, size_t prefix_size,
                               void (*visit)(void *user, uint32_t row),
                               void *user);

/* As holt_rows_scan(), over all rows, visible or not. */
uint64_t holt_rows_scan_rows(const struct holt_rows *rows, uint64_t cursor,
                             bool (*visit)(void *user, uint32_t row),
                             void *user);

/*--------------------------------------------------------------------
 * Actors */

struct holt_actor *holt_rows_actor(const struct holt_rows *rows, uint64_t id);

/* The lives of a member that are known, in any order; NULL after the last. */
struct holt_actor *holt_rows_life(const struct holt_rows *rows,
                                  const struct holt_member *member);
struct holt_actor *holt_rows_life_next(const struct holt_rows *rows,
                                       const struct holt_actor *actor);

/* HOLT_ERR_LIMIT (HOLT_ACTORS_MAX), HOLT_ERR_NOMEM. */
int holt_rows_actor_add(struct holt_rows *rows, uint64_t id,
                        const struct holt_member *member, uint32_t creation,
                        struct holt_actor **out);

/* Free an actor without rows. */
void holt_rows_actor_remove(struct holt_rows *rows, struct holt_actor *actor);

/* Another identity for the same rows.  HOLT_ERR_NOMEM: nothing was changed. */
int holt_rows_actor_rename(struct holt_rows *rows, struct holt_actor *actor,
                           uint64_t id, const struct holt_member *member,
                           uint32_t creation);

/* Show or hide the rows of an actor: O(1).  The keys it shares are left to
 * holt_rows_settle(). */
void holt_rows_show(struct holt_rows *rows, struct holt_actor *actor,
                    bool shown);

/* Look through the keys of actors that have been shown or hidden, at most
 * *budget of them, which is lowered by those done: count them anew, and call
 * settle, if not NULL, with the first row of each that an actor is shown under,
 * since hiding one makes nobody lose; it may remove rows of that key.  True
 * when some are left. */
bool holt_rows_settle(struct holt_rows *rows, size_t *budget,
                      void (*settle)(void *user, uint32_t row), void *user);

/* Have the keys that this actor shares settled (again). */
void holt_rows_settle_all(struct holt_rows *rows, struct holt_actor *actor);

/* A new epoch: all rows of the actor are stale until they are put again or
 * confirmed.  The caller sees to it that rows of 256 epochs ago are gone. */
void holt_rows_epoch(struct holt_actor *actor);

/*--------------------------------------------------------------------
 * Local processes */

/* The local process (id, serial): its reference, or 0. */
uint32_t holt_rows_local(const struct holt_rows *rows, uint32_t id,
                         uint32_t serial);

static inline struct holt_local *
holt_local_at(const struct holt_rows *rows, uint32_t ref)
{
  return holt_slab_at(&rows->slab, ref);
}

/* Make one known that is not.  HOLT_ERR_NOMEM. */
int holt_rows_local_add(struct holt_rows *rows, uint32_t id, uint32_t serial,
                        uint64_t host, uint32_t *out);

/* Forget one without rows. */
void holt_rows_local_remove(struct holt_rows *rows, uint32_t local);

/* The first row of a process of any actor, or 0; all of them with a
 * HOLT_WALK_PID from there: in the order in which they came to the process,
 * which is that of birth for local ones. */
uint32_t holt_rows_first_of_pid(const struct holt_rows *rows,
                                const struct holt_actor *actor, uint32_t id,
                                uint32_t serial);

/*--------------------------------------------------------------------
 * Walks */

/* Stand on this row (or at the end, with 0). */
void holt_walk_start(struct holt_rows *rows, struct holt_walk *walk,
                     uint32_t at, enum holt_walk_over over);
void holt_walk_stop(struct holt_rows *rows, struct holt_walk *walk);

/* Have a walk over an actor's rows stand on the first one beyond cursor: where
 * it stands, if it does; else that is looked for from the end of the list, as
 * what is new is near the end, over at most *steps rows, which are taken off.
 * False: not there yet, go on later. */
bool holt_walk_seek(struct holt_rows *rows, struct holt_walk *walk,
                    const struct holt_actor *actor, uint64_t cursor,
                    size_t *steps);

/* Go to the next row. */
void holt_walk_next(const struct holt_rows *rows, struct holt_walk *walk);

/*--------------------------------------------------------------------
 * Members */

/* A copy in one block.  HOLT_ERR_NOMEM. */
int holt__member_copy(struct holt_mem *mem, const struct holt_member *source,
                      struct holt_member *target);
void holt__member_free(struct holt_mem *mem, struct holt_member *member);
bool holt_member_equal(const struct holt_member *left,
                       const struct holt_member *right);

#endif /* HOLT_CORE_ROWS_H */
