/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "invariant.h"
#include "state.h"

void
holt_tuning_init(struct holt_tuning *tuning)
{
  *tuning = (struct holt_tuning){ .vector_interval_ms = 1000,
                                  .replica_restart_ms = 2000,
                                  .forget_after_ms = 86400000,
                                  .clock_bound_ms = 5000,
                                  .window_bytes = 262144,
                                  .message_bytes_max = 65536,
                                  .key_bytes_max = 8192,
                                  .value_bytes_max = 1048576 };
}

/* Vigna's splitmix64: sessions have to differ, not to be secret. */
uint64_t
holt__random(struct holt_replica *replica)
{
  uint64_t word;
  do {
    replica->entropy += UINT64_C(0x9e3779b97f4a7c15);
    word = replica->entropy;
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    word ^= word >> 31;
  } while (word == 0);
  return word;
}

void
holt__refuse(struct holt_replica *replica, int error)
{
  holt_assert(error < 0 && error > -16);

  replica->counters.refused[-error]++;
}

void
holt_replica_refused(struct holt_replica *replica, int error)
{
  holt__refuse(replica, error);
}

int
holt_replica_new(struct holt_replica **out, const struct holt_config *config,
                 const struct holt_time *now)
{
  holt_assert(config->actor != 0);
  (void)now;

  struct holt_replica *const replica =
    holt_mem_zalloc(config->mem, sizeof *replica);
  if (replica == NULL) {
    return HOLT_ERR_NOMEM;
  }
  replica->mem = config->mem;
  replica->tuning = config->tuning;
  replica->policy = config->policy;
  replica->entropy = config->entropy;
  replica->next_peer = 1;
  replica->quiet = true;
  replica->conflicts_end = &replica->conflicts;
  holt_clock_init(&replica->clock, config->tuning.clock_bound_ms);
  holt_deaths_init(&replica->deaths, config->mem);
  holt_buf_init(&replica->out, config->mem, 0);
  const struct holt_hash_seed seed = { .k0 = config->hash_seed[0],
                                       .k1 = config->hash_seed[1] };
  holt_rows_init(&replica->rows, config->mem, seed);

  const int rv =
    holt_rows_actor_add(&replica->rows, config->actor, &config->member,
                        config->creation, &replica->self);
  if (rv != 0) {
    holt_replica_delete(replica);
    return rv;
  }
  replica->self->connected = true;
  replica->self->shown = true;
  *out = replica;
  return 0;
}

static void
peers_drop_all(struct holt_replica *replica, uint64_t now_ms)
{
  while (replica->peers != NULL) {
    holt__peer_drop(replica, replica->peers, now_ms);
  }
}

static void
conflict_free(struct holt_replica *replica, struct holt_conflict *conflict)
{
  if (conflict != NULL) {
    holt_mem_free(replica->mem, conflict,
                  sizeof *conflict + conflict->bytes_size);
  }
}

bool
holt_replica_drain(struct holt_replica *replica, size_t budget)
{
  peers_drop_all(replica, 0);
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    while (actor->rows_head != NULL) {
      if (budget == 0) {
        return false;
      }
      budget--;
      struct holt_owner *const owner = actor->rows_head->owner;
      holt_rows_remove(&replica->rows, actor->rows_head);
      if (actor == replica->self && owner->rows_head == NULL) {
        /* Owners with a host word wait for their process to end; this replica
         * will not see that. */
        holt_rows_owner_remove(&replica->rows, owner);
      }
    }
  }
  return true;
}

void
holt_replica_delete(struct holt_replica *replica)
{
  (void)holt_replica_drain(replica, SIZE_MAX);
  while (replica->conflicts != NULL) {
    struct holt_conflict *const conflict = replica->conflicts;
    replica->conflicts = conflict->next;
    conflict_free(replica, conflict);
  }
  conflict_free(replica, replica->conflict_out);
  holt_rows_deinit(&replica->rows);
  holt_deaths_deinit(&replica->deaths);
  holt_buf_deinit(&replica->out);
  holt_mem_free(replica->mem, replica, sizeof *replica);
}

int
holt_replica_rename(struct holt_replica *replica, uint64_t actor,
                    const struct holt_member *member, uint32_t creation,
                    const struct holt_time *now)
{
  const int rv = holt_rows_actor_rename(&replica->rows, replica->self, actor,
                                        member, creation);
  if (rv == 0) {
    peers_drop_all(replica, now->mono_ms);
  }
  return rv;
}

/*--------------------------------------------------------------------
 * Reading */

static void
view_of(const struct holt_replica *replica, const struct holt_row *row,
        struct holt_view *view)
{
  const struct holt_actor *const actor = row->actor;
  *view = (struct holt_view){ .key = row->entry->key,
                              .key_size = row->entry->key_size,
                              .value = row->value,
                              .value_size = row->value_size,
                              .actor = actor->id,
                              .seq = row->seq,
                              .birth = row->birth,
                              .stamp = row->stamp,
                              .local = actor == replica->self,
                              .host = row->owner->host,
                              .node = actor->member.node,
                              .node_size = actor->member.node_size,
                              .creation = actor->creation,
                              .id = row->owner->id,
                              .serial = row->owner->serial };
}

bool
holt_replica_find(const struct holt_replica *replica, const uint8_t *key,
                  size_t key_size, struct holt_view *view)
{
  const struct holt_entry *const entry =
    holt_rows_entry(&replica->rows, key, key_size);
  const struct holt_row *const row =
    entry == NULL ? NULL : holt_entry_winner(entry);
  if (row == NULL) {
    return false;
  }
  view_of(replica, row, view);
  return true;
}

size_t
holt_replica_count(const struct holt_replica *replica)
{
  return holt_rows_count(&replica->rows);
}

uint64_t
holt_replica_scan(const struct holt_replica *replica, uint64_t cursor,
                  holt_view_fn visit, void *user)
{
  struct holt_table_node *node;
  const uint64_t next = holt_table_scan(&replica->rows.entries, cursor, &node);
  bool more = true;
  for (; node != NULL && more; node = node->next) {
    if (holt_table_node_position(node) >= cursor) {
      const struct holt_row *const row =
        holt_entry_winner(holt_container_of(node, struct holt_entry, by_key));
      if (row != NULL) {
        struct holt_view view;
        view_of(replica, row, &view);
        more = visit(user, &view);
      }
    }
  }
  return more && next < HOLT_TABLE_SCAN_END ? next : 0;
}

struct holt_tour {
  struct holt_walk walk;
};

int
holt_tour_start(struct holt_replica *replica,
                const struct holt_process *process, struct holt_tour **out)
{
  const struct holt_owner *owner = NULL;
  for (const struct holt_actor *actor = replica->rows.actor_list;
       actor != NULL && owner == NULL; actor = actor->next) {
    if (actor->shown && actor->creation == process->creation &&
        actor->member.node_size == process->node_size &&
        memcmp(actor->member.node, process->node, process->node_size) == 0) {
      owner =
        holt_rows_owner(&replica->rows, actor, process->id, process->serial);
    }
  }
  if (owner == NULL || owner->rows_head == NULL) {
    return HOLT_ERR_NOT_FOUND;
  }
  struct holt_tour *const tour = holt_mem_zalloc(replica->mem, sizeof *tour);
  if (tour == NULL) {
    return HOLT_ERR_NOMEM;
  }
  holt_walk_start(&replica->rows, &tour->walk, owner->rows_head, true);
  *out = tour;
  return 0;
}

bool
holt_tour_next(const struct holt_replica *replica, struct holt_tour *tour,
               size_t budget, holt_view_fn visit, void *user)
{
  bool more = true;
  for (; budget > 0 && tour->walk.at != NULL && more; budget--) {
    const struct holt_row *const row = tour->walk.at;
    tour->walk.at = row->owner_next;
    if (row->actor->shown && !row->owner->dead &&
        holt_entry_winner(row->entry) == row) {
      struct holt_view view;
      view_of(replica, row, &view);
      more = visit(user, &view);
    }
  }
  return more && tour->walk.at != NULL;
}

void
holt_tour_stop(struct holt_replica *replica, struct holt_tour *tour)
{
  holt_walk_stop(&replica->rows, &tour->walk);
  holt_mem_free(replica->mem, tour, sizeof *tour);
}

bool
holt_replica_reached(const struct holt_replica *replica, uint64_t id,
                     uint64_t seq)
{
  const struct holt_actor *const actor = holt_rows_actor(&replica->rows, id);
  /* Not the cursor: between two versions what was written before it may have
   * moved on beyond it, and what has died may still be in sight. */
  return actor != NULL && actor->shown && actor->version >= seq;
}

void
holt_replica_counters(const struct holt_replica *replica,
                      struct holt_counters *counters)
{
  *counters = replica->counters;
  counters->stamps_refused = replica->clock.refused;
}

void
holt_replica_actors(const struct holt_replica *replica,
                    void (*visit)(void *user,
                                  const struct holt_actor_info *actor),
                    void *user)
{
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (!actor->gone) {
      const struct holt_actor_info info = { .actor = actor->id,
                                            .member = actor->member,
                                            .version = actor->version,
                                            .cursor = actor->cursor,
                                            .fingerprint = actor->fingerprint,
                                            .rows = actor->row_count,
                                            .self = actor == replica->self,
                                            .connected = actor->connected,
                                            .shown = actor->shown };
      visit(user, &info);
    }
  }
}

/*--------------------------------------------------------------------
 * Local processes */

int
holt_replica_owner_add(struct holt_replica *replica, uint32_t id,
                       uint32_t serial, uint64_t host)
{
  holt_assert(host != 0);

  struct holt_owner *owner =
    holt_rows_owner(&replica->rows, replica->self, id, serial);
  if (owner != NULL) {
    return owner->dead ? HOLT_ERR_DEAD : HOLT_ERR_EXISTS;
  }
  const int rv =
    holt_rows_owner_add(&replica->rows, replica->self, id, serial, &owner);
  if (rv == 0) {
    owner->host = host;
  }
  return rv;
}

void
holt_replica_owner_forget(struct holt_replica *replica, uint32_t id,
                          uint32_t serial)
{
  struct holt_owner *const owner =
    holt_rows_owner(&replica->rows, replica->self, id, serial);
  if (owner != NULL && owner->rows_head == NULL && !owner->dead) {
    holt_rows_owner_remove(&replica->rows, owner);
  }
}

void
holt_replica_owner_dead(struct holt_replica *replica, uint32_t id,
                        uint32_t serial)
{
  struct holt_owner *const owner =
    holt_rows_owner(&replica->rows, replica->self, id, serial);
  if (owner != NULL && !owner->dead) {
    owner->dead = true;
    owner->next_dead = replica->dead_owners;
    replica->dead_owners = owner;
  }
}

/*--------------------------------------------------------------------
 * Own rows */

static void
own_moved_to(struct holt_replica *replica, uint64_t seq)
{
  replica->self->version = seq;
  replica->self->cursor = seq;
}

/* Remove a row of our own: it takes a seq and is noted in the deaths. */
static void
own_remove(struct holt_replica *replica, struct holt_row *row)
{
  holt_assert(row->actor == replica->self);

  const uint64_t seq = replica->self->version + 1;
  holt_deaths_append(&replica->deaths, seq, row->birth);
  holt_rows_remove(&replica->rows, row);
  own_moved_to(replica, seq);
}

int
holt_replica_register(struct holt_replica *replica, const struct holt_time *now,
                      const uint8_t *key, size_t key_size, const uint8_t *value,
                      size_t value_size, uint32_t id, uint32_t serial)
{
  const struct holt_owner *const owner =
    holt_rows_owner(&replica->rows, replica->self, id, serial);
  if (owner == NULL) {
    return HOLT_ERR_NOT_FOUND;
  }
  if (owner->dead) {
    return HOLT_ERR_DEAD;
  }
  if (value_size > replica->tuning.value_bytes_max) {
    return HOLT_ERR_TOO_LARGE;
  }
  struct holt_entry *const entry =
    holt_rows_entry(&replica->rows, key, key_size);
  if (entry != NULL && holt_entry_winner(entry) != NULL) {
    return HOLT_ERR_EXISTS;
  }
  /* What we have under this key ourselves can only be a dead process's. */
  struct holt_row *const old =
    entry == NULL ? NULL : holt_entry_row_of(entry, replica->self);

  const uint64_t seq = replica->self->version + 1;
  const uint64_t stamp = holt_clock_tick(&replica->clock, now->wall_ms);
  const struct holt_row_spec spec = { .seq = seq,
                                      .birth = seq,
                                      .stamp = stamp,
                                      .value_stamp = stamp,
                                      .key = key,
                                      .key_size = key_size,
                                      .value = value,
                                      .value_size = value_size,
                                      .owner_id = id,
                                      .owner_serial = serial };
  struct holt_row *row;
  const int rv = holt_rows_put(&replica->rows, replica->self, &spec, &row);
  if (rv != 0) {
    return rv;
  }
  own_moved_to(replica, seq);
  if (old != NULL) {
    /* After the birth, so that nobody ever sees the name without a holder. */
    own_remove(replica, old);
  }
  return 0;
}

/* Our row that has the key in the view, or NULL. */
static struct holt_row *
own_winner(const struct holt_replica *replica, const uint8_t *key,
           size_t key_size)
{
  const struct holt_entry *const entry =
    holt_rows_entry(&replica->rows, key, key_size);
  struct holt_row *const row = entry == NULL ? NULL : holt_entry_winner(entry);
  return row != NULL && row->actor == replica->self ? row : NULL;
}

int
holt_replica_unregister(struct holt_replica *replica, const uint8_t *key,
                        size_t key_size, uint64_t *seq)
{
  struct holt_row *const row = own_winner(replica, key, key_size);
  if (row == NULL) {
    return HOLT_ERR_NOT_FOUND;
  }
  own_remove(replica, row);
  *seq = replica->self->version;
  return 0;
}

int
holt_replica_update(struct holt_replica *replica, const struct holt_time *now,
                    const uint8_t *key, size_t key_size, uint64_t seq,
                    const uint8_t *value, size_t value_size)
{
  struct holt_row *row = own_winner(replica, key, key_size);
  if (row == NULL) {
    return HOLT_ERR_NOT_FOUND;
  }
  if (row->seq != seq) {
    return HOLT_ERR_STALE;
  }
  if (value_size > replica->tuning.value_bytes_max) {
    return HOLT_ERR_TOO_LARGE;
  }
  const struct holt_row_spec spec = { .seq = replica->self->version + 1,
                                      .birth = row->birth,
                                      .stamp = row->stamp,
                                      .value_stamp = holt_clock_tick(
                                        &replica->clock, now->wall_ms),
                                      .key = key,
                                      .key_size = key_size,
                                      .value = value,
                                      .value_size = value_size,
                                      .owner_id = row->owner->id,
                                      .owner_serial = row->owner->serial };
  const int rv = holt_rows_put(&replica->rows, replica->self, &spec, &row);
  if (rv == 0) {
    own_moved_to(replica, spec.seq);
  }
  return rv;
}

/*--------------------------------------------------------------------
 * Conflicts */

static int
conflict_new(struct holt_replica *replica, const struct holt_row *loser,
             const struct holt_row *winner, struct holt_conflict **out)
{
  const size_t key_size = loser->entry->key_size;
  const size_t node_size = winner->actor->member.node_size;
  const size_t size = key_size + loser->value_size + node_size;
  struct holt_conflict *const conflict =
    holt_mem_alloc(replica->mem, sizeof *conflict + size);
  if (conflict == NULL) {
    return HOLT_ERR_NOMEM;
  }
  conflict->next = NULL;
  conflict->bytes_size = size;
  view_of(replica, loser, &conflict->loser);
  view_of(replica, winner, &conflict->winner);

  uint8_t *at = conflict->bytes;
  memcpy(at, loser->entry->key, key_size);
  conflict->loser.key = at;
  at += key_size;
  if (loser->value_size > 0) {
    memcpy(at, loser->value, loser->value_size);
  }
  conflict->loser.value = at;
  at += loser->value_size;
  memcpy(at, winner->actor->member.node, node_size);
  conflict->winner.node = at;
  conflict->winner.key = NULL;
  conflict->winner.key_size = 0;
  conflict->winner.value = NULL;
  conflict->winner.value_size = 0;
  /* The loser is local: its host word says who it is. */
  conflict->loser.node = NULL;
  conflict->loser.node_size = 0;
  *out = conflict;
  return 0;
}

void
holt__entry_settle(struct holt_replica *replica, struct holt_entry *entry)
{
  struct holt_row *const own = holt_entry_row_of(entry, replica->self);
  if (own == NULL || own->owner->dead) {
    return;
  }
  const struct holt_row *const winner = holt_entry_winner(entry);
  if (winner == own) {
    return;
  }
  struct holt_conflict *conflict;
  if (conflict_new(replica, own, winner, &conflict) != 0) {
    /* No memory for the news, so the row has to wait for it. */
    holt__view_changed(replica);
    return;
  }
  *replica->conflicts_end = conflict;
  replica->conflicts_end = &conflict->next;
  replica->counters.conflicts++;
  own_remove(replica, own);
}

void
holt__view_changed(struct holt_replica *replica)
{
  replica->rows.contested_scan = replica->rows.contested;
}

/*--------------------------------------------------------------------
 * What may take long, in slices */

void
holt__actor_end(struct holt_replica *replica, struct holt_actor *actor)
{
  holt_assert(actor != replica->self);

  if (actor->shown) {
    actor->shown = false;
    holt__view_changed(replica);
  }
  actor->connected = false;
  actor->gone = true;
  replica->gone_actors = true;
}

void
holt__actor_restart(struct holt_replica *replica, struct holt_actor *actor)
{
  if (replica->applying == actor) {
    replica->applying = NULL;
  }
  actor->epoch++;
  actor->cursor = 0;
  actor->as_of = 0;
  actor->anew_at = 0;
  actor->dirty = true;
}

/* Each of the three takes from *budget what it does. */
static void
free_dead_owners(struct holt_replica *replica, size_t *budget)
{
  while (replica->dead_owners != NULL && *budget > 0) {
    struct holt_owner *const owner = replica->dead_owners;
    while (owner->rows_head != NULL && *budget > 0) {
      own_remove(replica, owner->rows_head);
      (*budget)--;
    }
    if (owner->rows_head == NULL) {
      replica->dead_owners = owner->next_dead;
      holt_rows_owner_remove(&replica->rows, owner);
    }
  }
}

static void
free_gone_actors(struct holt_replica *replica, size_t *budget)
{
  struct holt_actor *next = replica->rows.actor_list;
  while (replica->gone_actors && *budget > 0) {
    struct holt_actor *const actor = next;
    if (actor == NULL) {
      replica->gone_actors = false;
      return;
    }
    next = actor->next;
    if (actor->gone) {
      while (actor->rows_head != NULL && *budget > 0) {
        holt_rows_remove(&replica->rows, actor->rows_head);
        (*budget)--;
      }
      if (actor->rows_head == NULL) {
        if (replica->applying == actor) {
          replica->applying = NULL;
        }
        holt_rows_actor_remove(&replica->rows, actor);
      }
    }
  }
}

static void
scan_contested(struct holt_replica *replica, size_t *budget)
{
  while (replica->rows.contested_scan != NULL && *budget > 0) {
    struct holt_entry *const entry = replica->rows.contested_scan;
    replica->rows.contested_scan = entry->contested_next;
    holt_rows_recount(&replica->rows, entry);
    holt__entry_settle(replica, entry);
    (*budget)--;
  }
}

static void
forget_absent(struct holt_replica *replica, uint64_t now_ms)
{
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (actor != replica->self && !actor->connected && !actor->gone &&
        now_ms - actor->absent_since_ms >= replica->tuning.forget_after_ms) {
      holt__actor_end(replica, actor);
    }
  }
}

bool
holt__background_waits(const struct holt_replica *replica)
{
  return replica->dead_owners != NULL || replica->gone_actors ||
         replica->rows.contested_scan != NULL;
}

bool
holt__background(struct holt_replica *replica, uint64_t now_ms)
{
  forget_absent(replica, now_ms);
  size_t budget = HOLT_SLICE_ROWS;
  free_dead_owners(replica, &budget);
  scan_contested(replica, &budget);
  free_gone_actors(replica, &budget);
  return holt__background_waits(replica);
}
