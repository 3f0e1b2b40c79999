/* SPDX-License-Identifier: Apache-2.0 */
/* A row store and what it should have, for fuzz_rows.c.
 *
 *     rows       the store, of four actors; the first is local
 *     twin       the same rows, the naive way (twin.h)
 *     actors     what the twin does not know: who is stale, in which order a
 *                process got its rows, which seqs have been used
 *
 * Each step changes the store and the rest alike; model_check() compares.  What
 * is chosen, a byte of the input chooses.
 *
 * Cost: a comparison is quadratic; there are ROWS_MAX rows at most. */
#ifndef HOLT_FUZZ_ROWS_MODEL_H
#define HOLT_FUZZ_ROWS_MODEL_H

#include "fuzz.h"
#include "rows.h"
#include "twin.h"

enum {
  ACTORS = 4, /* The first is local. */
  KEYS = 6,
  PROCESSES = 4,
  WALKS = 3,
  SEQS = 512, /* Of an actor, in its life. */
  ROWS_MAX = 80,
  VALUE_MAX = 64
};

struct model_actor {
  struct holt_actor *actor; /* NULL: not there. */
  uint64_t id;
  uint64_t base;       /* Seqs and births are this, and an index. */
  bool used[SEQS];     /* As seq or birth, ever. */
  bool stale[SEQS];    /* By birth, as are these: */
  uint32_t came[SEQS]; /* When the row came to its process. */
  unsigned stale_epochs;
};

/* A row that a walk has ahead. */
struct model_ahead {
  uint64_t actor;
  uint64_t birth;
  bool moved; /* Or gone: may come or not. */
  bool seen;
};

struct model_walk {
  struct holt_walk walk;
  struct model_ahead *rows;
  size_t count;
};

struct model_scan {
  uint64_t cursor;
  bool active;
  bool there[KEYS]; /* All the time. */
  unsigned seen[KEYS];
};

struct model {
  struct fuzz_input input;
  struct heap heap;
  struct holt_rows rows;
  struct twin twin;
  struct model_actor actors[ACTORS];
  unsigned ids;                   /* Given to actors. */
  uint32_t came;                  /* Rows that have come to processes. */
  uint32_t lives[PROCESSES];      /* Serials of the local ones. */
  struct model_walk walks[WALKS]; /* This and the scan: rows_walks.h. */
  struct model_scan scan;
  uint8_t value[VALUE_MAX];
};

/* The store is empty and has no actors. */
void model_init(struct model *model, const uint8_t *bytes, size_t size);
void model_deinit(struct model *model);

/* Keys differ in size. */
struct twin_bytes model_key(unsigned index);

bool model_owns(const struct model_actor *actor, const struct twin_row *row);
struct model_actor *model_actor_of(struct model *model, uint64_t id);
size_t model_index_of(const struct model_actor *actor, uint64_t birth);

/* A byte chooses one of those that are there, or NULL. */
struct model_actor *model_choose_actor(struct model *model);
const struct twin_row *model_choose_row(struct model *model);

/* The row as the store takes it, and where the store has it, or 0. */
struct holt_row_spec model_spec_of(const struct twin_row *row);
uint32_t model_ref_of(const struct model *model,
                      const struct model_actor *actor, uint64_t birth);

/* Is its process known to be? */
bool model_is_dead(const struct model *model, const struct twin_row *row);

/* All that the store says of rows, processes and keys. */
void model_check(struct model *model);

#endif /* HOLT_FUZZ_ROWS_MODEL_H */
