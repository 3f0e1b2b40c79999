/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_info.h"

#include "nif_atoms.h"
#include "nif_call.h"
#include "nif_instance.h"
#include "nif_term.h"

/* What the visitors gather. Members and peers are few: see HOLT_ACTORS_MAX and
 * HOLT_PEERS_MAX. */
struct gathered {
  ErlNifEnv *env;
  ERL_NIF_TERM members; /* Those that are present, this one included. */
  ERL_NIF_TERM actors;
  ERL_NIF_TERM peers;
  struct holt_actor_info self;
  ERL_NIF_TERM self_member;
};

static void
put(ErlNifEnv *env, ERL_NIF_TERM *map, ERL_NIF_TERM key, ERL_NIF_TERM value)
{
  (void)enif_make_map_put(env, *map, key, value, map);
}

static void
put_number(ErlNifEnv *env, ERL_NIF_TERM *map, ERL_NIF_TERM key, uint64_t value)
{
  put(env, map, key, enif_make_uint64(env, value));
}

static void
put_integer(ErlNifEnv *env, ERL_NIF_TERM *map, ERL_NIF_TERM key, int64_t value)
{
  put(env, map, key, enif_make_int64(env, value));
}

static void
put_bool(ErlNifEnv *env, ERL_NIF_TERM *map, ERL_NIF_TERM key, bool value)
{
  put(env, map, key, value ? nif_atoms.is_true : nif_atoms.is_false);
}

ERL_NIF_TERM
nif_member_term(ErlNifEnv *env, const struct holt_member *member)
{
  ERL_NIF_TERM name = nif_atoms.undefined;
  ERL_NIF_TERM node = nif_atoms.undefined;
  (void)nif_atom_of(env, member->name, member->name_size, &name);
  (void)nif_atom_of(env, member->node, member->node_size, &node);
  return enif_make_tuple2(env, name, node);
}

static void
gather_member(void *user, const struct holt_actor_info *actor)
{
  struct gathered *const gathered = user;
  if (actor->sight != HOLT_SIGHT_ABSENT) {
    gathered->members = enif_make_list_cell(
      gathered->env, nif_member_term(gathered->env, &actor->member),
      gathered->members);
  }
}

static ERL_NIF_TERM
term_of_sight(const struct holt_actor_info *actor)
{
  if (actor->self) {
    return nif_atoms.self;
  }
  switch (actor->sight) {
  case HOLT_SIGHT_CONNECTED:
    return nif_atoms.connected;
  case HOLT_SIGHT_VOUCHED:
    return nif_atoms.vouched;
  case HOLT_SIGHT_SUSPECT:
    return nif_atoms.suspect;
  case HOLT_SIGHT_ABSENT:
    break;
  }
  return nif_atoms.absent;
}

static void
gather_actor(void *user, const struct holt_actor_info *actor)
{
  struct gathered *const gathered = user;
  ErlNifEnv *const env = gathered->env;
  const ERL_NIF_TERM member = nif_member_term(env, &actor->member);
  if (actor->self) {
    gathered->self = *actor;
    gathered->self_member = member;
  }
  ERL_NIF_TERM map = enif_make_new_map(env);
  put_number(env, &map, nif_atoms.actor, actor->actor);
  put(env, &map, nif_atoms.member, member);
  put_number(env, &map, nif_atoms.version, actor->version);
  put_number(env, &map, nif_atoms.cursor, actor->cursor);
  put_number(env, &map, nif_atoms.fingerprint, actor->fingerprint);
  put_number(env, &map, nif_atoms.rows, actor->rows);
  put(env, &map, nif_atoms.sight, term_of_sight(actor));
  put(env, &map, nif_atoms.voucher,
      actor->voucher != NULL ? nif_member_term(env, actor->voucher)
                             : nif_atoms.undefined);
  put_number(env, &map, nif_atoms.absent_ms, actor->absent_ms);
  put_number(env, &map, nif_atoms.reached, actor->reached);
  put_bool(env, &map, nif_atoms.shown, actor->shown);
  put_bool(env, &map, nif_atoms.paused, actor->paused);
  put_bool(env, &map, nif_atoms.repairing, actor->repairing);
  gathered->actors = enif_make_list_cell(env, map, gathered->actors);
}

/* Counts by kind, those that are not 0. */
static ERL_NIF_TERM
term_of_refused(ErlNifEnv *env, const uint64_t refused[HOLT_ERRORS_MAX])
{
  ERL_NIF_TERM map = enif_make_new_map(env);
  for (int i = 1; i < HOLT_ERRORS_MAX; i++) {
    if (refused[i] > 0) {
      put_number(env, &map, enif_make_atom(env, holt_error_name(-i)),
                 refused[i]);
    }
  }
  return map;
}

static void
gather_peer(void *user, const struct holt_peer_info *peer)
{
  struct gathered *const gathered = user;
  ErlNifEnv *const env = gathered->env;
  const ERL_NIF_TERM member = nif_member_term(env, &peer->member);
  ERL_NIF_TERM map = enif_make_new_map(env);
  put_number(env, &map, nif_atoms.peer, peer->peer);
  put(env, &map, nif_atoms.member, member);
  put_bool(env, &map, nif_atoms.up, peer->up);
  put_bool(env, &map, nif_atoms.busy, peer->busy);
  put_bool(env, &map, nif_atoms.in_sync, peer->in_sync);
  put_number(env, &map, nif_atoms.protocol, peer->protocol);
  put_number(env, &map, nif_atoms.version, peer->version);
  put_number(env, &map, nif_atoms.cursor, peer->cursor);
  put_number(env, &map, nif_atoms.acked, peer->acked);
  put_number(env, &map, nif_atoms.in_flight_bytes, peer->inflight_bytes);
  put_integer(env, &map, nif_atoms.clock_ms, peer->clock_ms);
  put(env, &map, nif_atoms.refused, term_of_refused(env, peer->refused));
  gathered->peers = enif_make_list_cell(env, map, gathered->peers);
}

static void
gathered_init(struct gathered *gathered, ErlNifEnv *env)
{
  gathered->env = env;
  gathered->members = enif_make_list(env, 0);
  gathered->actors = gathered->members;
  gathered->peers = gathered->members;
  gathered->self = (struct holt_actor_info){ .actor = 0 };
  gathered->self_member = nif_atoms.undefined;
}

/* members(Name) -> [{Name, Node}] | {invalid, Reason}. */
ERL_NIF_TERM
nif_members(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ERL_NIF_TERM answer = nif_invalid(env, nif_atoms.no_instance);
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return answer;
  }
  struct gathered gathered;
  gathered_init(&gathered, env);
  if (nif_read_lock(instance)) {
    holt_replica_actors(instance->replica, gather_member, &gathered);
    nif_read_unlock(instance);
    answer = gathered.members;
  }
  nif_instance_put(instance);
  return answer;
}

/* Whose actor is this? */
struct owner {
  ErlNifEnv *env;
  uint64_t actor;
  ERL_NIF_TERM member;
};

static void
look_for_owner(void *user, const struct holt_actor_info *actor)
{
  struct owner *const owner = user;
  if (actor->actor == owner->actor) {
    owner->member = nif_member_term(owner->env, &actor->member);
  }
}

ERL_NIF_TERM
nif_member_of_actor(ErlNifEnv *env, const struct nif_instance *instance,
                    uint64_t actor)
{
  struct owner owner = { .env = env,
                         .actor = actor,
                         .member = nif_atoms.undefined };
  holt_replica_actors(instance->replica, look_for_owner, &owner);
  return owner.member;
}

/* Is this actor present? */
struct presence {
  uint64_t actor;
  bool present;
};

static void
look_for_actor(void *user, const struct holt_actor_info *actor)
{
  struct presence *const presence = user;
  if (actor->actor == presence->actor && actor->sight != HOLT_SIGHT_ABSENT) {
    presence->present = true;
  }
}

/* The instance is locked. */
static ERL_NIF_TERM
term_of_reached(const struct nif_instance *instance, uint64_t actor,
                uint64_t seq)
{
  if (holt_replica_reached(instance->replica, actor, seq)) {
    return nif_atoms.is_true;
  }
  struct presence presence = { .actor = actor };
  holt_replica_actors(instance->replica, look_for_actor, &presence);
  return presence.present ? nif_atoms.is_false : nif_atoms.absent;
}

/* reached(Name, Actor, Seq) -> boolean() | absent | {invalid, Reason}. */
ERL_NIF_TERM
nif_reached(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ErlNifUInt64 actor;
  ErlNifUInt64 seq;
  if (enif_get_uint64(env, argv[1], &actor) == 0 ||
      enif_get_uint64(env, argv[2], &seq) == 0) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = nif_read_begin(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const ERL_NIF_TERM answer = term_of_reached(instance, actor, seq);
  nif_read_end(instance);
  return answer;
}

/* acks(Name, Seq) -> {Members, Acked} | {invalid, no_instance}. */
ERL_NIF_TERM
nif_acks(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ErlNifUInt64 seq;
  if (enif_get_uint64(env, argv[1], &seq) == 0) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = nif_read_begin(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  struct holt_acks acks;
  holt_replica_acks(instance->replica, seq, &acks);
  const ERL_NIF_TERM answer =
    enif_make_tuple2(env, enif_make_uint64(env, acks.members),
                     enif_make_uint64(env, acks.acked));
  nif_read_end(instance);
  return answer;
}

/* census(Name) -> {Known, Present} | {invalid, no_instance}. */
ERL_NIF_TERM
nif_census(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_instance *const instance = nif_read_begin(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  struct holt_census census;
  holt_replica_census(instance->replica, &census);
  const ERL_NIF_TERM answer =
    enif_make_tuple2(env, enif_make_uint64(env, census.known),
                     enif_make_uint64(env, census.present));
  nif_read_end(instance);
  return answer;
}

/*--------------------------------------------------------------------
 * One key */

static ERL_NIF_TERM
term_of_explained(ErlNifEnv *env, const struct nif_instance *instance,
                  const struct holt_explained *explained, ERL_NIF_TERM pid)
{
  const struct holt_view *const view = &explained->view;
  const bool visible =
    explained->visible && nif_view_found(env, instance, view);
  ERL_NIF_TERM map = enif_make_new_map(env);
  put_number(env, &map, nif_atoms.actor, view->actor);
  put(env, &map, nif_atoms.member, nif_member_term(env, &explained->member));
  put_number(env, &map, nif_atoms.birth, view->birth);
  put_number(env, &map, nif_atoms.seq, view->seq);
  put_number(env, &map, nif_atoms.stamp, view->stamp);
  put(env, &map, nif_atoms.pid, pid);
  put(env, &map, nif_atoms.value,
      nif_binary(env, view->value, view->value_size));
  put_bool(env, &map, nif_atoms.standby, view->standby);
  put_bool(env, &map, nif_atoms.early, view->early);
  put_bool(env, &map, nif_atoms.visible, visible);
  put_bool(env, &map, nif_atoms.winner, visible && explained->winner);
  return map;
}

/* explain(Name, Key) -> [map()] | {invalid, Reason}.
 *
 * At most HOLT_EXPLAIN_ROWS_MAX of them.  Heavy values on a dirty scheduler. */
ERL_NIF_TERM
nif_explain(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct holt_explained rows[HOLT_EXPLAIN_ROWS_MAX];
  struct nif_call call;
  ERL_NIF_TERM pid;
  if (!nif_call_begin(&call, env, argc, argv, "explain", nif_explain, &pid)) {
    return pid;
  }
  if (!nif_read_lock(call.instance)) {
    return nif_call_closed(&call);
  }
  size_t count =
    holt_replica_explain(call.instance->replica, holt_key_bytes(&call.key),
                         holt_key_size(&call.key), rows, HOLT_EXPLAIN_ROWS_MAX);
  if (count > HOLT_EXPLAIN_ROWS_MAX) {
    count = HOLT_EXPLAIN_ROWS_MAX;
  }
  struct nif_list list;
  nif_list_init(&list, env, call.instance);
  for (size_t i = 0; i < count && nif_list_room(&list, &rows[i].view); i++) {
    if (nif_view_pid(env, &rows[i].view, &pid)) {
      nif_list_add(&list, term_of_explained(env, call.instance, &rows[i], pid));
    }
  }
  nif_read_unlock(call.instance);
  nif_call_end(&call);
  return nif_list_answer(&list, list.heavy ? NIF_NEEDS_DIRTY : 0, "explain",
                         nif_explain, argc, argv);
}

/*--------------------------------------------------------------------
 * All of it */

/* in_sync(Name) -> boolean() | {invalid, Reason}. */
ERL_NIF_TERM
nif_in_sync(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_instance *const instance = nif_read_begin(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const ERL_NIF_TERM answer = holt_replica_in_sync(instance->replica)
                                ? nif_atoms.is_true
                                : nif_atoms.is_false;
  nif_read_end(instance);
  return answer;
}

/* owner_only(Name) -> boolean() | {invalid, Reason}. */
ERL_NIF_TERM
nif_owner_only(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const bool owner_only = instance->owner_only;
  nif_instance_put(instance);
  return owner_only ? nif_atoms.is_true : nif_atoms.is_false;
}

static void
put_counters(ErlNifEnv *env, ERL_NIF_TERM *map,
             const struct holt_counters *counters)
{
#define PUT_COUNTER(name) put_number(env, map, nif_atoms.name, counters->name);
  HOLT_COUNTERS(PUT_COUNTER)
#undef PUT_COUNTER
}

/* info(Name) -> map() | {invalid, Reason}. */
ERL_NIF_TERM
nif_info(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  struct gathered gathered;
  gathered_init(&gathered, env);
  if (!nif_read_lock(instance)) {
    nif_instance_put(instance);
    return nif_invalid(env, nif_atoms.no_instance);
  }
  struct holt_counters counters;
  holt_replica_counters(instance->replica, &counters);
  holt_replica_peers(instance->replica, gather_peer, &gathered);
  holt_replica_actors(instance->replica, gather_actor, &gathered);
  const size_t count = holt_replica_count(instance->replica);
  const bool in_sync = holt_replica_in_sync(instance->replica);
  const size_t bytes = instance->mem.bytes;
  const uint32_t creation = instance->creation;
  nif_read_unlock(instance);
  nif_instance_put(instance);

  ERL_NIF_TERM map = enif_make_new_map(env);
  put_number(env, &map, nif_atoms.actor, gathered.self.actor);
  put(env, &map, nif_atoms.member, gathered.self_member);
  put_number(env, &map, nif_atoms.creation, creation);
  put_number(env, &map, nif_atoms.version, gathered.self.version);
  put_number(env, &map, nif_atoms.count, count);
  put(env, &map, nif_atoms.actors, gathered.actors);
  put(env, &map, nif_atoms.peers, gathered.peers);
  put(env, &map, nif_atoms.refused, term_of_refused(env, counters.refused));
  put_bool(env, &map, nif_atoms.in_sync, in_sync);
  put_number(env, &map, nif_atoms.memory_bytes, bytes);
  put_counters(env, &map, &counters);
  return map;
}
