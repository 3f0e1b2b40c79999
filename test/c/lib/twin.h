/* SPDX-License-Identifier: Apache-2.0 */
/* The naive twin: the same replicated map, the obvious way.
 *
 * How do we know that the core computes the right thing?  Here the map is
 * written down as the papers have it, with explicit sets and no thought for
 * cost, and the core must agree with it.  It shares no code with the core.
 *
 *     rows    the dot store: dot -> payload      the registrations that live
 *     seen    the causal context: set of dots    every one that was ever heard
 *                                                of, alive or not
 *
 * A dot (actor, seq) names one write, for ever.  What is in seen and not in
 * rows is dead; so a removal needs no tombstone of its own (Bieniusa, Zawirski,
 * Preguica, Shapiro, Baquero, Duarte: An optimized conflict-free replicated
 * set, 2012), and nothing that comes late brings it back.
 *
 *     join    rows   those in both,
 *                    and those of one that the other has never seen
 *             seen   all of both
 *
 * A change is a delta: a small map, which is joined like a whole one (Almeida,
 * Shoker, Baquero: Delta state replicated data types, 2016).
 *
 *     register   rows {new}   seen {new}
 *     update     rows {new}   seen {old, new}
 *     remove     rows {}      seen {old}
 *
 * Order:   join is commutative, associative and idempotent.
 * Cost:    everything is linear in the whole map.
 * Memory:  a twin owns all it holds; without memory the test ends.
 */
#ifndef HOLT_TEST_TWIN_H
#define HOLT_TEST_TWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct twin_dot {
  uint64_t actor;
  uint64_t seq;
};

struct twin_bytes {
  uint8_t *data; /* NULL iff size is 0. */
  size_t size;
};

/* A dot and its payload.  (actor, birth) is the registration, of which this is
 * the only row. */
struct twin_row {
  struct twin_dot dot;
  uint64_t birth; /* The seq it was registered with. */
  uint64_t stamp; /* This, birth, key, flags and owner stay in updates. */
  bool early;
  bool standby;
  uint32_t owner_id;
  uint32_t owner_serial;
  struct twin_bytes key;
  struct twin_bytes value;
};

/* Both arrays ascend by (actor, seq). */
struct twin {
  struct twin_row *rows;
  size_t row_count;
  struct twin_dot *seen;
  size_t seen_count;
};

void twin_init(struct twin *twin);
void twin_deinit(struct twin *twin);

/* Make target, whatever it was, what source is. */
void twin_copy(struct twin *target, const struct twin *source);

bool twin_equal(const struct twin *a, const struct twin *b);

/* Make target the join of both.  Source, a state or a delta, stays as it is. */
void twin_join(struct twin *target, const struct twin *source);

/*--------------------------------------------------------------------
 * Changes
 *
 * Each joins its delta into twin, and into *delta as well unless that is NULL:
 * one that is passed several times gathers a group of them.  Who changes a row
 * of an actor does so with a seq that this actor has never used. */

/* The row is copied; its birth is its seq. */
void twin_register(struct twin *twin, const struct twin_row *row,
                   struct twin *delta);

/* Another value, at seq.  False: there is no such registration. */
bool twin_update(struct twin *twin, uint64_t actor, uint64_t birth,
                 uint64_t seq, struct twin_bytes value, struct twin *delta);

/* False: there is no such registration. */
bool twin_remove(struct twin *twin, uint64_t actor, uint64_t birth,
                 struct twin *delta);

/*--------------------------------------------------------------------
 * The view */

enum twin_rule {
  TWIN_KEEP_NEWEST,
  TWIN_KEEP_OLDEST
};

/* An actor whose rows are shown, and its rule. */
struct twin_actor {
  uint64_t actor;
  enum twin_rule rule;
};

/* This registration's row, or NULL. */
const struct twin_row *twin_find(const struct twin *twin, uint64_t actor,
                                 uint64_t birth);

/* Who has a unique key, when these actors are shown?  NULL: nobody. */
const struct twin_row *twin_winner(const struct twin *twin,
                                   struct twin_bytes key,
                                   const struct twin_actor *shown,
                                   size_t shown_count);

/* All rows of a key, as a duplicate view has them, by (actor, seq): how many
 * there are.  The first rows_max of them are written to rows. */
size_t twin_rows(const struct twin *twin, struct twin_bytes key,
                 const struct twin_actor *shown, size_t shown_count,
                 const struct twin_row **rows, size_t rows_max);

/* Whether two byte strings are the same. */
bool twin_bytes_equal(struct twin_bytes a, struct twin_bytes b);

#endif /* HOLT_TEST_TWIN_H */
