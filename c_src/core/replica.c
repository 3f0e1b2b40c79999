/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "invariant.h"
#include "state.h"

void
holt_tuning_init(struct holt_tuning *tuning)
{
  *tuning = (struct holt_tuning){ .vector_interval_ms = 1000,
                                  .replica_restart_ms = 2000,
                                  .probe_ms = 500,
                                  .vouch_ms = 2000,
                                  .flap_ms_max = 30000,
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
holt__refuse(struct holt_replica *replica, struct holt_peer *peer, int error)
{
  holt_assert(error < 0 && error > -HOLT_ERRORS_MAX);

  replica->counters.refused[-error]++;
  if (peer != NULL) {
    peer->refused[-error]++;
  }
}

static enum holt_kind
kind_of(uint64_t policy)
{
  return (policy & 0xffu) == HOLT_KIND_DUPLICATE ? HOLT_KIND_DUPLICATE
                                                 : HOLT_KIND_UNIQUE;
}

static size_t
at_most(size_t value, size_t limit)
{
  return value < limit ? value : limit;
}

/* What others refuse must not be sent. */
static void
tuning_limit(struct holt_tuning *tuning)
{
  tuning->message_bytes_max =
    at_most(tuning->message_bytes_max, HOLT_MESSAGE_BYTES_LIMIT);
  tuning->value_bytes_max =
    at_most(tuning->value_bytes_max, HOLT_VALUE_BYTES_LIMIT);
}

int
holt_replica_new(struct holt_replica **out, const struct holt_config *config,
                 const struct holt_time *now)
{
  holt_assert(config->actor != 0);

  struct holt_replica *const replica =
    holt_mem_zalloc(config->mem, sizeof *replica);
  if (replica == NULL) {
    return HOLT_ERR_NOMEM;
  }
  replica->mem = config->mem;
  replica->tuning = config->tuning;
  tuning_limit(&replica->tuning);
  replica->policy = config->policy;
  replica->entropy = config->entropy;
  replica->mono_ms = now->mono_ms;
  replica->next_peer = 1;
  replica->quiet = true;
  replica->memory_at_ms = UINT64_MAX;
  replica->conflicts_end = &replica->conflicts;
  holt_clock_init(&replica->clock, config->tuning.clock_bound_ms);
  holt_deaths_init(&replica->deaths, config->mem);
  holt_buf_init(&replica->out, config->mem, 0);
  holt_buf_init(&replica->live, config->mem, 0);
  const struct holt_hash_seed seed = { .k0 = config->hash_seed[0],
                                       .k1 = config->hash_seed[1] };
  holt_rows_init(&replica->rows, config->mem, seed, kind_of(config->policy));
  replica->rows.on_death = holt__serve_death;
  replica->rows.user = replica;

  const int rv =
    holt_rows_actor_add(&replica->rows, config->actor, &config->member,
                        config->creation, &replica->self);
  if (rv != 0) {
    holt_replica_delete(replica);
    return rv;
  }
  replica->self->local = true;
  replica->self->rule = (enum holt_rule)(config->policy >> 8 & 0xffu);
  replica->self->presence.sight = HOLT_SIGHT_CONNECTED;
  holt_rows_show(&replica->rows, replica->self, true);
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

bool
holt_replica_drain(struct holt_replica *replica, size_t budget)
{
  holt_replica_watch(replica, NULL, NULL);
  peers_drop_all(replica, replica->mono_ms);
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    while (actor->rows_head != 0) {
      if (budget == 0) {
        return false;
      }
      budget--;
      holt_rows_remove(&replica->rows, actor->rows_head, HOLT_REASON_MEMBER);
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
    holt__conflict_free(replica, conflict);
  }
  holt__conflict_free(replica, replica->conflict_out);
  holt__contests_deinit(replica);
  holt_rows_deinit(&replica->rows);
  holt_deaths_deinit(&replica->deaths);
  holt_buf_deinit(&replica->out);
  holt_buf_deinit(&replica->live);
  holt_mem_free(replica->mem, replica, sizeof *replica);
}

int
holt_replica_rename(struct holt_replica *replica, uint64_t actor,
                    const struct holt_member *member, uint32_t creation,
                    const struct holt_time *now)
{
  /* Who watches sees one member go and another come. */
  holt_rows_show(&replica->rows, replica->self, false);
  const int rv = holt_rows_actor_rename(&replica->rows, replica->self, actor,
                                        member, creation);
  holt_rows_show(&replica->rows, replica->self, true);
  if (rv == 0) {
    peers_drop_all(replica, now->mono_ms);
  }
  return rv;
}

void
holt_replica_counters(const struct holt_replica *replica,
                      struct holt_counters *counters)
{
  *counters = replica->counters;
  counters->stamps_refused = replica->clock.refused;
  counters->stamps_capped = replica->clock.capped;
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
holt_replica_actors(const struct holt_replica *replica,
                    void (*visit)(void *user,
                                  const struct holt_actor_info *actor),
                    void *user)
{
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (!actor->gone) {
      const struct holt_presence *const presence = &actor->presence;
      const struct holt_peer *const voucher =
        holt__peer_by_id(replica, presence->follow);
      const struct holt_actor_info info = {
        .actor = actor->id,
        .member = actor->member,
        .version = actor->version,
        .cursor = actor->cursor,
        .fingerprint = actor->fingerprint,
        .rows = actor->row_count,
        .processes = actor->pid_count,
        .self = actor == replica->self,
        .sight = presence->sight,
        .voucher = voucher != NULL ? &voucher->member : NULL,
        .absent_ms = holt_present(actor)
                       ? 0
                       : replica->mono_ms - presence->absent_since_ms,
        .reached = presence->reached,
        .shown = actor->shown,
        .paused = presence->paused,
        .dirty = actor->dirty,
        .repairing = holt__repair_of(replica, actor) != NULL
      };
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

  uint32_t local = holt_rows_local(&replica->rows, id, serial);
  if (local != 0) {
    return holt_local_at(&replica->rows, local)->dead ? HOLT_ERR_DEAD
                                                      : HOLT_ERR_EXISTS;
  }
  return holt_rows_local_add(&replica->rows, id, serial, host, &local);
}

void
holt_replica_owner_forget(struct holt_replica *replica, uint32_t id,
                          uint32_t serial)
{
  const uint32_t ref = holt_rows_local(&replica->rows, id, serial);
  if (ref != 0) {
    const struct holt_local *const local = holt_local_at(&replica->rows, ref);
    if (local->rows == 0 && !local->dead) {
      holt_rows_local_remove(&replica->rows, ref);
    }
  }
}

void
holt_replica_owner_dead(struct holt_replica *replica, uint32_t id,
                        uint32_t serial)
{
  const uint32_t ref = holt_rows_local(&replica->rows, id, serial);
  if (ref != 0) {
    struct holt_local *const local = holt_local_at(&replica->rows, ref);
    if (!local->dead) {
      local->dead = true;
      local->next_dead = replica->dead_owners;
      replica->dead_owners = ref;
    }
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

void
holt__own_remove(struct holt_replica *replica, uint32_t ref,
                 enum holt_reason why)
{
  const struct holt_row *const row = holt_row_at(&replica->rows, ref);
  holt_assert(holt_row_actor(&replica->rows, row) == replica->self);

  const uint64_t seq = replica->self->version + 1;
  holt_deaths_append(&replica->deaths, seq, holt_row_birth(row), why);
  holt_rows_remove(&replica->rows, ref, why);
  own_moved_to(replica, seq);
}

/* The processes of our rows of this key that hold it, or held it, are known to
 * be dead: make an end of those rows now. */
static void
own_remove_dead(struct holt_replica *replica, const uint8_t *key,
                size_t key_size)
{
  struct holt_walk walk = { .active = false };
  holt_walk_start(
    &replica->rows, &walk,
    holt_rows_first_of(&replica->rows, key, key_size, replica->self),
    HOLT_WALK_KEY);
  while (walk.at != 0) {
    const uint32_t ref = walk.at;
    const struct holt_row *const row = holt_row_at(&replica->rows, ref);
    if (holt_row_actor(&replica->rows, row) != replica->self ||
        (row->birth_flags & HOLT_ROW_STANDBY) != 0) {
      break;
    }
    if (holt_row_local(&replica->rows, row)->dead) {
      /* The walk moves on. */
      holt__own_remove(replica, ref, HOLT_REASON_DOWN);
    } else {
      holt_walk_next(&replica->rows, &walk);
    }
  }
  holt_walk_stop(&replica->rows, &walk);
}

/* May it take the place of the holder?  Where the rules differ, who keeps the
 * oldest cannot outrank who keeps the newest. */
static int
replace_check(const struct holt_replica *replica,
              const struct holt_registration *registration,
              const struct holt_row *holder)
{
  if ((registration->flags & HOLT_REGISTER_STANDBY) != 0) {
    return HOLT_ERR_UNSUPPORTED;
  }
  if (holder == NULL) {
    return HOLT_ERR_NOT_FOUND;
  }
  const struct holt_actor *const actor = holt_row_actor(&replica->rows, holder);
  if (actor->id != registration->replaces_actor ||
      holt_row_birth(holder) != registration->replaces_birth) {
    return HOLT_ERR_EXISTS;
  }
  const bool outranked = (holder->birth_flags & HOLT_ROW_STANDBY) != 0 ||
                         !holt_rule_outranks(actor->rule, replica->self->rule);
  if (!outranked) {
    return HOLT_ERR_POLICY;
  }
  /* Nothing outranks the ends of time, which only a broken peer stamps. */
  return holder->stamp == 0 || holder->stamp >= HOLT_STAMP_MAX ? HOLT_ERR_LIMIT
                                                               : 0;
}

/* May this be registered?  holder is who has the key, or NULL. */
static int
register_check(const struct holt_replica *replica,
               const struct holt_registration *registration,
               const struct holt_row *holder)
{
  const uint32_t ref =
    holt_rows_local(&replica->rows, registration->id, registration->serial);
  if (ref == 0) {
    return HOLT_ERR_NOT_FOUND;
  }
  if (holt_local_at(&replica->rows, ref)->dead) {
    return HOLT_ERR_DEAD;
  }
  if (registration->value_size > replica->tuning.value_bytes_max) {
    return HOLT_ERR_TOO_LARGE;
  }
  if (replica->rows.kind == HOLT_KIND_DUPLICATE) {
    return 0;
  }
  if ((registration->flags & HOLT_REGISTER_REPLACES) != 0) {
    return replace_check(replica, registration, holder);
  }
  const bool standby = (registration->flags & HOLT_REGISTER_STANDBY) != 0;
  return holder != NULL && !standby ? HOLT_ERR_EXISTS : 0;
}

/* What the row says of itself.  One that takes another's place is as early as
 * that: no node makes more of a name by handing it on. */
static uint8_t
register_flags(const struct holt_replica *replica,
               const struct holt_registration *registration,
               const struct holt_row *replaced)
{
  if (replica->rows.kind == HOLT_KIND_DUPLICATE) {
    return 0;
  }
  uint8_t flags = 0;
  if ((registration->flags & HOLT_REGISTER_STANDBY) != 0) {
    flags |= HOLT_ROW_STANDBY;
  }
  if (replaced != NULL) {
    flags |= HOLT_ROW_REPLACES;
  }
  const bool early = replaced != NULL
                       ? (replaced->birth_flags & HOLT_ROW_EARLY) != 0
                       : !replica->met;
  if (early && !holt_mutant(MARK_IGNORED)) {
    flags |= HOLT_ROW_EARLY;
  }
  return flags;
}

/* The stamp of a new row: now; or, for one that takes another's place, one that
 * outranks it. */
static uint64_t
register_stamp(struct holt_replica *replica, const struct holt_time *now,
               const struct holt_row *replaced, uint8_t flags)
{
  if (replaced != NULL && ((flags & HOLT_ROW_EARLY) != 0 ||
                           replica->self->rule == HOLT_RULE_OLDEST)) {
    return replaced->stamp - 1;
  }
  const uint64_t stamp =
    holt_clock_tick(&replica->clock, now->mono_ms, now->wall_ms);
  return replaced != NULL && stamp <= replaced->stamp ? replaced->stamp + 1
                                                      : stamp;
}

int
holt_replica_register(struct holt_replica *replica, const struct holt_time *now,
                      const struct holt_registration *registration,
                      uint64_t *birth)
{
  const uint32_t winner =
    replica->rows.kind == HOLT_KIND_DUPLICATE
      ? 0
      : holt_rows_winner(&replica->rows, registration->key,
                         registration->key_size);
  const struct holt_row *const holder =
    winner == 0 ? NULL : holt_row_at(&replica->rows, winner);
  int rv = register_check(replica, registration, holder);
  if (rv != 0) {
    return rv;
  }
  const bool replaces =
    (registration->flags & HOLT_REGISTER_REPLACES) != 0 && holder != NULL;
  const struct holt_row *const replaced = replaces ? holder : NULL;
  const uint8_t flags = register_flags(replica, registration, replaced);
  const uint64_t seq = replica->self->version + 1;
  const struct holt_row_spec spec = {
    .seq = seq,
    .birth = seq,
    .stamp = register_stamp(replica, now, replaced, flags),
    .key = registration->key,
    .key_size = registration->key_size,
    .value = registration->value,
    .value_size = registration->value_size,
    .owner_id = registration->id,
    .owner_serial = registration->serial,
    .flags = flags,
    .replaces_actor = replaces ? registration->replaces_actor : 0,
    .replaces_birth = replaces ? registration->replaces_birth : 0
  };
  uint32_t row;
  rv = holt_rows_put(&replica->rows, replica->self, &spec, &row);
  if (rv != 0) {
    return rv;
  }
  own_moved_to(replica, seq);
  /* After the birth, so that nobody ever sees the name without a holder. */
  if (replaces && registration->replaces_actor == replica->self->id) {
    holt__own_remove(replica,
                     holt_rows_born(&replica->rows, replica->self,
                                    registration->replaces_birth),
                     HOLT_REASON_GIVEN_AWAY);
  }
  if (replica->rows.kind == HOLT_KIND_UNIQUE &&
      holt_row_shared(&replica->rows, holt_row_at(&replica->rows, row))) {
    own_remove_dead(replica, spec.key, spec.key_size);
    holt__contest_look(replica, row);
  }
  if (birth != NULL) {
    *birth = seq;
  }
  return 0;
}

/* Our row of this birth, of a process that is not known to be dead, or 0. */
static uint32_t
own_born(const struct holt_replica *replica, uint64_t birth)
{
  const uint32_t ref = holt_rows_born(&replica->rows, replica->self, birth);
  const bool alive =
    ref != 0 &&
    !holt_row_local(&replica->rows, holt_row_at(&replica->rows, ref))->dead;
  return alive ? ref : 0;
}

static int
take_away(struct holt_replica *replica, uint64_t birth, enum holt_reason why,
          uint64_t *seq)
{
  const uint32_t row = own_born(replica, birth);
  if (row == 0) {
    return HOLT_ERR_NOT_FOUND;
  }
  holt__own_remove(replica, row, why);
  *seq = replica->self->version;
  return 0;
}

int
holt_replica_unregister(struct holt_replica *replica, uint64_t birth,
                        uint64_t *seq)
{
  return take_away(replica, birth, HOLT_REASON_USER, seq);
}

int
holt_replica_drop(struct holt_replica *replica, uint64_t birth, uint64_t *seq)
{
  return take_away(replica, birth, HOLT_REASON_CONFLICT, seq);
}

int
holt_replica_update(struct holt_replica *replica, uint64_t birth, uint64_t *seq,
                    const uint8_t *value, size_t value_size)
{
  uint32_t ref = own_born(replica, birth);
  if (ref == 0) {
    return HOLT_ERR_NOT_FOUND;
  }
  const struct holt_row *const row = holt_row_at(&replica->rows, ref);
  if (holt_row_seq(row) != *seq) {
    return HOLT_ERR_STALE;
  }
  if (value_size > replica->tuning.value_bytes_max) {
    return HOLT_ERR_TOO_LARGE;
  }
  struct holt_row_spec spec;
  holt_row_spec_of(&replica->rows, row, &spec);
  spec.seq = replica->self->version + 1;
  spec.value = value;
  spec.value_size = value_size;
  const int rv = holt_rows_put(&replica->rows, replica->self, &spec, &ref);
  if (rv == 0) {
    own_moved_to(replica, spec.seq);
    *seq = spec.seq;
  }
  return rv;
}

/*--------------------------------------------------------------------
 * Actors that are seen, and that are not */

/* We have caught up with a first peer: from now on what we register is not
 * EARLY, and a clock that ran ahead alone falls back. */
static void
first_met(struct holt_replica *replica, const struct holt_time *now)
{
  if (!replica->met) {
    replica->met = true;
    holt_clock_settle(&replica->clock, now->mono_ms, now->wall_ms);
  }
}

void
holt__actor_show(struct holt_replica *replica, struct holt_actor *actor,
                 const struct holt_time *now)
{
  const bool caught_up =
    !actor->dirty && actor->version >= actor->wanted_version;
  /* It is there now; not one that was, and may have moved on since. */
  const bool sure =
    actor->presence.sight == HOLT_SIGHT_VOUCHED || holt_way(actor) != NULL;
  if (!sure || actor->gone) {
    return;
  }
  if (caught_up && holt_connected(actor)) {
    first_met(replica, now);
  }
  /* What we hold of it is all it had when it came, so no ghosts come back with
   * it; or nothing yet, and its rows come in as they come. */
  const bool fresh = actor->cursor == 0 && actor->row_count == 0;
  if (!actor->shown && now->mono_ms >= actor->presence.hold_ms &&
      (fresh || caught_up || holt_mutant(GHOSTS))) {
    holt_rows_show(&replica->rows, actor, true);
    actor->presence.shown_at_ms = now->mono_ms;
  }
}

void
holt__actor_end(struct holt_replica *replica, struct holt_actor *actor)
{
  holt_assert(actor != replica->self);

  holt__sight_absent(replica, actor, replica->mono_ms);
  holt__forwards_end(replica, NULL, actor);
  holt__serves_end(replica, NULL, actor);
  holt__repairs_end(replica, NULL, actor);
  actor->gone = true;
  replica->gone_actors = true;
}

/*--------------------------------------------------------------------
 * What may take long, in slices */

/* Each of the three takes from *budget what it does. */
static void
free_dead_owners(struct holt_replica *replica, size_t *budget)
{
  while (replica->dead_owners != 0 && *budget > 0) {
    const uint32_t ref = replica->dead_owners;
    struct holt_local *const local = holt_local_at(&replica->rows, ref);
    while (local->rows != 0 && *budget > 0) {
      if (holt_mutant(SLICE_BY_KEY)) {
        const uint32_t winner =
          holt_rows_winner_beside(&replica->rows, local->rows);
        if (winner != 0 &&
            holt_row_actor(&replica->rows,
                           holt_row_at(&replica->rows, winner)) ==
              replica->self) {
          holt__own_remove(replica, winner, HOLT_REASON_DOWN);
        }
      }
      if (local->rows == 0) {
        break;
      }
      holt__own_remove(replica, local->rows, HOLT_REASON_DOWN);
      (*budget)--;
    }
    if (local->rows == 0) {
      replica->dead_owners = local->next_dead;
      holt_rows_local_remove(&replica->rows, ref);
      *budget -= *budget > 0 ? 1 : 0;
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
      while (actor->rows_head != 0 && *budget > 0) {
        holt_rows_remove(&replica->rows, actor->rows_head, HOLT_REASON_MEMBER);
        (*budget)--;
      }
      if (actor->rows_head == 0) {
        holt_rows_actor_remove(&replica->rows, actor);
        *budget -= *budget > 0 ? 1 : 0;
      }
    }
  }
}

static void
settle(void *user, uint32_t row)
{
  holt__key_settle(user, row);
}

bool
holt__background_waits(const struct holt_replica *replica)
{
  return replica->dead_owners != 0 || replica->gone_actors ||
         replica->rows.settling > 0;
}

bool
holt__background(struct holt_replica *replica, uint64_t now_ms)
{
  if (now_ms >= replica->memory_at_ms) {
    replica->memory_at_ms = UINT64_MAX;
    holt_rows_settle_all(&replica->rows, replica->self);
  }
  size_t budget = HOLT_SLICE_ROWS;
  free_dead_owners(replica, &budget);
  (void)holt_rows_settle(&replica->rows, &budget,
                         replica->rows.kind == HOLT_KIND_UNIQUE ? settle : NULL,
                         replica);
  free_gone_actors(replica, &budget);
  return holt__background_waits(replica);
}
