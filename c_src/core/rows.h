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
 *     entry "alice" ---> row (actor 7, seq 12) ---> row (actor 9, seq 3)
 *                          |  owner <0.91.0>          |  owner <0.88.0>
 *     actor 7: 3 - 8 - 12 -+      in order of seq     |
 *     actor 9: 3 -------------------------------------+
 *     owner <0.91.0> of actor 7: 8 - 12               in order of birth
 *
 * A row is born with sequence number `birth`; each change gives it a new `seq`
 * and keeps birth and stamp.  (actor, birth) is the identity of a registration:
 * a holder exchanges the old row for the new one under it in one step, and a
 * death names it.
 *
 * Order:   of the rows of one key whose actors are shown, the one with the
 *          greatest (stamp, actor) wins; this is a total order over immutable
 *          fields, so every replica picks the same row.
 * Cost:    every operation is O(1) but for rows of the same key, which form a
 *          short list.  Hiding or showing an actor flips one flag.
 * Memory:  the store owns all rows, entries, owners and actors and copies every
 *          byte it is given.
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
#include "table.h"

/* The most actors one store lists, those of dead nodes included.  Bounds what
 * peers that keep changing their identity can make us keep. */
#define HOLT_ACTORS_MAX 4096u

/* The struct that a table's node is embedded in. */
#define holt_container_of(node, type, member)                                  \
  ((type *)(void *)((char *)(node)-offsetof(type, member)))

struct holt_row;
struct holt_entry;

struct holt_actor {
  struct holt_table_node by_id;
  uint64_t id;
  uint64_t version; /* The fixed set that `rows` is, when not dirty. */
  uint64_t cursor;  /* How far the stream has been applied, >= version unless
                     * a repair has begun again from 0. */
  uint64_t
    hello_version;      /* What its last hello promised; shown from then on. */
  uint64_t fingerprint; /* Sum over the rows, independent of their order. */
  uint64_t absent_since_ms;
  uint64_t nacked_at_ms;
  uint64_t as_of;            /* What the newest delta in it showed. */
  uint64_t anew_at;          /* Names the copy made anew last: see state.h. */
  struct holt_member member; /* Owned: one block, the name, then the node. */
  uint32_t slot;             /* Never reused; survives a change of identity. */
  uint32_t creation;         /* Of the node: part of its pids. */
  uint32_t epoch;            /* Rows of another epoch are stale: see sync.c. */
  size_t row_count;
  struct holt_row *rows_head; /* By ascending seq; stale rows stand first. */
  struct holt_row *rows_tail;
  struct holt_table births; /* Identity -> row. */
  struct holt_actor *next;  /* In the store's list of actors. */
  bool connected;           /* A session with its replica is established. */
  bool shown;               /* Its rows take part in the view. */
  bool dirty;               /* Between two fixed sets: not a version. */
  bool gone;                /* For ever; its rows are freed in slices. */
};

struct holt_owner {
  struct holt_table_node by_pid;
  struct holt_actor *actor;
  struct holt_owner *next_dead;
  struct holt_row *rows_head; /* By ascending birth. */
  struct holt_row *rows_tail;
  size_t row_count;
  uint64_t host; /* The host's word for a local process; 0 for others. */
  uint32_t id;   /* Of the pid on its node. */
  uint32_t serial;
  bool dead; /* Its process is known to be gone; rows go in slices. */
};

struct holt_row {
  struct holt_table_node by_birth;
  struct holt_actor *actor;
  struct holt_owner *owner;
  struct holt_entry *entry;
  struct holt_row *sibling; /* Next row of the same key. */
  struct holt_row *actor_prev, *actor_next;
  struct holt_row *owner_prev, *owner_next;
  uint64_t seq;
  uint64_t birth;
  uint64_t stamp;       /* Of the registration; never changes. */
  uint64_t value_stamp; /* Of the value. */
  uint8_t *value;       /* Owned; NULL when value_size is 0. */
  uint32_t value_size;
  uint32_t epoch;
};

struct holt_entry {
  struct holt_table_node by_key;
  struct holt_row *rows;
  struct holt_entry *contested_prev, *contested_next;
  uint32_t row_count; /* The entry is in the contested list iff > 1. */
  uint32_t excess;    /* Shown rows but one, as last counted. */
  uint32_t key_size;
  uint8_t key[];
};

/* Everything a row says, for holt_rows_put(). */
struct holt_row_spec {
  uint64_t seq;
  uint64_t birth;
  uint64_t stamp;
  uint64_t value_stamp;
  const uint8_t *key; /* Canonical bytes.  Borrowed, as is value. */
  const uint8_t *value;
  size_t key_size;
  size_t value_size;
  uint32_t owner_id;
  uint32_t owner_serial;
};

/* A place in an actor's or an owner's list that survives removals: a row that
 * goes away moves every walk that stands on it one row on. */
struct holt_walk {
  struct holt_walk *prev, *next; /* In the store's list; NULL when idle. */
  struct holt_row *at;           /* NULL at the end. */
  bool over_owner;               /* Follows owner_next, not actor_next. */
  bool active;
};

struct holt_rows {
  struct holt_mem *mem;
  struct holt_hash_seed seed;
  struct holt_table entries;
  struct holt_table actors;
  struct holt_table owners;
  struct holt_actor *actor_list;
  struct holt_entry *contested;      /* Entries with several rows. */
  struct holt_entry *contested_scan; /* Where a scan for conflicts stands. */
  struct holt_walk *walks;
  size_t actor_count;
  size_t contested_count;
  size_t excess; /* Sum over the contested entries. */
  uint32_t next_slot;
};

/* Prepare an empty store.  seed keys the hashes, so that nobody outside can
 * choose names that share a bucket. */
void holt_rows_init(struct holt_rows *rows, struct holt_mem *mem,
                    struct holt_hash_seed seed);

/* Free what is left, all at once.  A host that may not stall removes the
 * actors in slices before. */
void holt_rows_deinit(struct holt_rows *rows);

/* The actor with this id, or NULL. */
struct holt_actor *holt_rows_actor(const struct holt_rows *rows, uint64_t id);

/* Add an actor, hidden, at version 0.  member is copied.
 * HOLT_ERR_NOMEM, HOLT_ERR_LIMIT (HOLT_ACTORS_MAX). */
int holt_rows_actor_add(struct holt_rows *rows, uint64_t id,
                        const struct holt_member *member, uint32_t creation,
                        struct holt_actor **out);

/* Take an actor without rows out of the store and free it. */
void holt_rows_actor_remove(struct holt_rows *rows, struct holt_actor *actor);

/* Give the actor another identity in place: a node that was not alive yet is
 * alive now.  All or nothing.  HOLT_ERR_NOMEM. */
int holt_rows_actor_rename(struct holt_rows *rows, struct holt_actor *actor,
                           uint64_t id, const struct holt_member *member,
                           uint32_t creation);

/* A member with bytes of its own.  HOLT_ERR_NOMEM. */
int holt__member_copy(struct holt_mem *mem, const struct holt_member *source,
                      struct holt_member *target);
void holt__member_free(struct holt_mem *mem, struct holt_member *member);

bool holt_member_equal(const struct holt_member *left,
                       const struct holt_member *right);

/* Write a row of actor: born when its birth is new, exchanged for the row of
 * the same birth otherwise.  spec->seq must be greater than the seq of every
 * row of the actor that is not stale (the row becomes the last).  All or
 * nothing.
 *
 * HOLT_ERR_NOMEM      nothing was changed.
 * HOLT_ERR_MALFORMED  the birth is known under another key. */
int holt_rows_put(struct holt_rows *rows, struct holt_actor *actor,
                  const struct holt_row_spec *spec, struct holt_row **out);

/* Take the row out and free it.  Cannot fail. */
void holt_rows_remove(struct holt_rows *rows, struct holt_row *row);

/* The actor's row of this birth, or NULL. */
struct holt_row *holt_rows_born(const struct holt_rows *rows,
                                const struct holt_actor *actor, uint64_t birth);

/* The entry of a key (canonical bytes), or NULL. */
struct holt_entry *holt_rows_entry(const struct holt_rows *rows,
                                   const uint8_t *key, size_t key_size);

/* The row that has the key in the view, or NULL.  Rows of actors that are not
 * shown and of owners known to be dead do not count. */
struct holt_row *holt_entry_winner(const struct holt_entry *entry);

/* The row of this actor in the entry, or NULL; with several, the newest. */
struct holt_row *holt_entry_row_of(const struct holt_entry *entry,
                                   const struct holt_actor *actor);

/* True when left outranks right: the one order by which names are won. */
bool holt_row_outranks(const struct holt_row *left,
                       const struct holt_row *right);

/* The process (id, serial) of the actor's node, or NULL. */
struct holt_owner *holt_rows_owner(const struct holt_rows *rows,
                                   const struct holt_actor *actor, uint32_t id,
                                   uint32_t serial);

/* The same, added without rows when it is not there.  HOLT_ERR_NOMEM. */
int holt_rows_owner_add(struct holt_rows *rows, struct holt_actor *actor,
                        uint32_t id, uint32_t serial, struct holt_owner **out);

/* Take an owner without rows out of the store and free it.  Owners without a
 * host word go by themselves with their last row. */
void holt_rows_owner_remove(struct holt_rows *rows, struct holt_owner *owner);

/* How many names are in the view: exact once holt_rows_recount() has seen the
 * contested entries since an actor was last shown or hidden.  O(actors). */
size_t holt_rows_count(const struct holt_rows *rows);

/* Count the shown rows of a contested entry again. */
void holt_rows_recount(struct holt_rows *rows, struct holt_entry *entry);

void holt_walk_start(struct holt_rows *rows, struct holt_walk *walk,
                     struct holt_row *at, bool over_owner);
void holt_walk_stop(struct holt_rows *rows, struct holt_walk *walk);

#endif /* HOLT_CORE_ROWS_H */
