/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_replica.h"

#include <string.h>

#include "nif_atoms.h"
#include "nif_info.h"
#include "nif_instance.h"
#include "nif_term.h"

/* Rows applied under one hold of the lock: what a reader may wait for. */
#define SLICE_ROWS 32u

/* How long one call goes on before it asks to be called again. */
#define CALL_US 400

/* A message above this size is read on a dirty scheduler: checking a megabyte
 * takes longer than a normal one allows. */
#define DIRTY_BYTES 131072u

/* Effects handed out by one poll, and the bytes of them. */
#define POLL_EFFECTS 16u

static ERL_NIF_TERM
refused(ErlNifEnv *env, int error)
{
  return enif_make_tuple2(env, nif_atoms.refused,
                          enif_make_atom(env, holt_error_name(error)));
}

/* A member as a term, {Name, Node}. */
struct member_bytes {
  struct nif_atom_bytes name;
  struct nif_atom_bytes node;
  struct holt_member member;
};

static bool
member_of(ErlNifEnv *env, ERL_NIF_TERM term, struct member_bytes *out)
{
  int arity;
  const ERL_NIF_TERM *parts;
  if (enif_get_tuple(env, term, &arity, &parts) == 0 || arity != 2 ||
      !nif_atom_bytes_of(env, parts[0], &out->name) ||
      !nif_atom_bytes_of(env, parts[1], &out->node)) {
    return false;
  }
  out->member = (struct holt_member){ .name = out->name.bytes,
                                      .node = out->node.bytes,
                                      .name_size = (uint16_t)out->name.size,
                                      .node_size = (uint16_t)out->node.size };
  return true;
}

/* The instance argv[0], locked for writing, or NULL. */
static struct nif_instance *
get_locked(ErlNifEnv *env, ERL_NIF_TERM name)
{
  struct nif_instance *const instance = nif_instance_get(env, name);
  if (instance != NULL && !nif_lock(instance)) {
    nif_instance_put(instance);
    return NULL;
  }
  return instance;
}

static void
put_locked(ErlNifEnv *env, struct nif_instance *instance)
{
  nif_quorum_look(instance);
  nif_unlock(env, instance);
  nif_instance_put(instance);
}

/*--------------------------------------------------------------------
 * Links */

/* peer_up(Name, Member) -> PeerId | {refused, Reason} | {invalid, Reason}. */
ERL_NIF_TERM
nif_peer_up(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct member_bytes bytes;
  if (!member_of(env, argv[1], &bytes)) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = get_locked(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const struct holt_time now = nif_now(env);
  uint32_t peer = 0;
  const int rv =
    holt_replica_peer_up(instance->replica, &bytes.member, &now, &peer);
  put_locked(env, instance);
  return rv == 0 ? enif_make_uint(env, peer) : refused(env, rv);
}

/* peer_down(Name, PeerId, link | replica) -> ok | {invalid, Reason}. */
ERL_NIF_TERM
nif_peer_down(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  unsigned peer;
  if (enif_get_uint(env, argv[1], &peer) == 0 ||
      (argv[2] != nif_atoms.link && argv[2] != nif_atoms.replica)) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = get_locked(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const struct holt_time now = nif_now(env);
  holt_replica_peer_down(
    instance->replica, peer,
    argv[2] == nif_atoms.link ? HOLT_DOWN_LINK : HOLT_DOWN_REPLICA, &now);
  put_locked(env, instance);
  return nif_atoms.ok;
}

/* peer_busy(Name, PeerId) -> ok | {invalid, Reason}. */
ERL_NIF_TERM
nif_peer_busy(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  unsigned peer;
  if (enif_get_uint(env, argv[1], &peer) == 0) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = get_locked(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const struct holt_time now = nif_now(env);
  holt_replica_peer_busy(instance->replica, peer, &now);
  put_locked(env, instance);
  return nif_atoms.ok;
}

/* hello(Name, Member, Bin) ->
 *     PeerId | {refused, Reason} | {invalid, Reason}. */
ERL_NIF_TERM
nif_hello(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct member_bytes bytes;
  ErlNifBinary binary;
  if (!member_of(env, argv[1], &bytes) ||
      enif_inspect_binary(env, argv[2], &binary) == 0) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = get_locked(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const struct holt_time now = nif_now(env);
  uint32_t peer = 0;
  const int rv = holt_replica_hello(instance->replica, &bytes.member,
                                    binary.data, binary.size, &now, &peer);
  put_locked(env, instance);
  return rv == 0 ? enif_make_uint(env, peer) : refused(env, rv);
}

/* declare(Name, Count) -> ok | {invalid, Reason}.  So many members there are to
 * be; 0: whoever is known. */
ERL_NIF_TERM
nif_declare(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ErlNifUInt64 count;
  if (!enif_get_uint64(env, argv[1], &count)) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = get_locked(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  instance->declared = count;
  nif_quorum_look(instance);
  nif_unlock(env, instance);
  nif_instance_put(instance);
  return nif_atoms.ok;
}

/* evict(Name, Member) ->
 *     ok | {error, present | not_found} | {invalid, Reason}. */
ERL_NIF_TERM
nif_evict(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct member_bytes bytes;
  if (!member_of(env, argv[1], &bytes)) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = get_locked(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const int rv = holt_replica_evict(instance->replica, &bytes.member);
  put_locked(env, instance);
  if (rv == 0) {
    return nif_atoms.ok;
  }
  return enif_make_tuple2(env, nif_atoms.error,
                          rv == HOLT_ERR_EXISTS ? nif_atoms.present
                                                : nif_atoms.not_found);
}

/*--------------------------------------------------------------------
 * Messages */

static int
message_new(const ErlNifBinary *header, const ErlNifBinary *body,
            struct nif_message **out)
{
  struct nif_message *const message = enif_alloc(sizeof *message);
  if (message == NULL) {
    return HOLT_ERR_NOMEM;
  }
  holt_mem_init(&message->mem, nif_resize, NULL, 0);
  message->message = NULL;
  const int rv =
    holt_message_open(&message->message, &message->mem, header->data,
                      header->size, body->data, body->size);
  if (rv != 0) {
    nif_message_close(message);
    return rv;
  }
  *out = message;
  return 0;
}

/* Open a new message, or take the half applied one out of the instance. */
static int
message_take(ErlNifEnv *env, struct nif_instance *instance,
             const ErlNifBinary *header, const ErlNifBinary *body, bool again,
             struct nif_message **out)
{
  if (!again) {
    const int rv = message_new(header, body, out);
    if (rv != 0 && nif_lock(instance)) {
      holt_replica_refused(instance->replica, header->data, header->size, rv);
      nif_unlock(env, instance);
    }
    return rv;
  }
  struct nif_message *message = NULL;
  if (nif_lock_as_process(env, instance)) {
    message = instance->message;
    instance->message = NULL;
    nif_unlock(env, instance);
  }
  if (message == NULL) {
    return HOLT_ERR_STALE; /* Another process began it. */
  }
  holt_message_move(message->message, body->data);
  *out = message;
  return 0;
}

/* Apply slices until the message is used up or the time is; the lock is free
 * between two slices.  What is left of it, HOLT_MORE, is the instance's; else
 * the message is closed. */
static int
message_apply(ErlNifEnv *env, struct nif_instance *instance,
              struct nif_message *message)
{
  const ErlNifTime end = enif_monotonic_time(ERL_NIF_USEC) + CALL_US;
  int rv = HOLT_MORE;
  bool time_left = true;
  while (rv == HOLT_MORE && time_left) {
    if (!nif_lock_as_process(env, instance)) {
      rv = HOLT_ERR_STALE;
      break;
    }
    nif_message_drop(instance); /* That one has been given up. */
    const struct holt_time now = nif_now(env);
    rv =
      holt_replica_apply(instance->replica, message->message, &now, SLICE_ROWS);
    time_left = enif_monotonic_time(ERL_NIF_USEC) < end;
    if (rv == HOLT_MORE && !time_left) {
      instance->message = message;
    }
    nif_unlock(env, instance);
  }
  if (rv != HOLT_MORE) {
    nif_message_close(message);
  }
  return rv;
}

/* deliver(Name, Header, Body, Offset) ->
 *     done | {more, NextOffset} | {refused, Reason} | {invalid, Reason}.
 *
 * Offset 0 begins a message; what {more, Next} gave goes on with it. Where the
 * reading stands is kept here; the offset only says that it goes on. */
ERL_NIF_TERM
nif_deliver(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  ErlNifBinary header;
  ErlNifBinary body;
  ErlNifUInt64 offset;
  if (enif_inspect_binary(env, argv[1], &header) == 0 ||
      enif_inspect_binary(env, argv[2], &body) == 0 ||
      enif_get_uint64(env, argv[3], &offset) == 0) {
    return enif_make_badarg(env);
  }
  if (offset == 0 && body.size > DIRTY_BYTES &&
      enif_thread_type() == ERL_NIF_THR_NORMAL_SCHEDULER) {
    return enif_schedule_nif(env, "deliver", ERL_NIF_DIRTY_JOB_CPU_BOUND,
                             nif_deliver, argc, argv);
  }
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  struct nif_message *message;
  int rv = message_take(env, instance, &header, &body, offset != 0, &message);
  if (rv == 0) {
    rv = message_apply(env, instance, message);
  }
  nif_instance_put(instance);
  if (rv == HOLT_MORE) {
    return enif_make_tuple2(env, nif_atoms.more,
                            enif_make_uint64(env, offset + 1));
  }
  return rv == 0 ? nif_atoms.done : refused(env, rv);
}

/*--------------------------------------------------------------------
 * Effects */

static ERL_NIF_TERM
term_of_send(ErlNifEnv *env, const struct holt_effect *effect)
{
  ERL_NIF_TERM targets = enif_make_list(env, 0);
  for (size_t i = 0; i < effect->target_count; i++) {
    const struct holt_target *const target = &effect->targets[i];
    const ERL_NIF_TERM pair =
      enif_make_tuple2(env, enif_make_uint(env, target->peer),
                       nif_binary(env, target->header, HOLT_HEADER_BYTES));
    targets = enif_make_list_cell(env, pair, targets);
  }
  return enif_make_tuple3(env, nif_atoms.send, targets,
                          nif_binary(env, effect->bytes, effect->size));
}

static bool
term_of_conflict(ErlNifEnv *env, const struct holt_effect *effect,
                 ERL_NIF_TERM *term)
{
  ERL_NIF_TERM loser;
  ERL_NIF_TERM winner;
  ERL_NIF_TERM key;
  if (!nif_view_pid(env, &effect->loser, &loser) ||
      !nif_view_pid(env, &effect->winner, &winner) ||
      !nif_term_of(env, effect->loser.key, effect->loser.key_size, &key)) {
    return false;
  }
  *term = enif_make_tuple6(
    env, nif_atoms.conflict, loser, key,
    nif_binary(env, effect->loser.value, effect->loser.value_size), winner,
    effect->replaced ? nif_atoms.is_true : nif_atoms.is_false);
  return true;
}

/* One of the two of a contest; the key may be left out. */
static bool
term_of_rival(ErlNifEnv *env, const struct nif_instance *instance,
              const struct holt_view *view, bool with_key, ERL_NIF_TERM *term)
{
  ERL_NIF_TERM pid;
  ERL_NIF_TERM key;
  if (!nif_view_pid(env, view, &pid) ||
      (with_key && !nif_term_of(env, view->key, view->key_size, &key))) {
    return false;
  }
  ERL_NIF_TERM map = enif_make_new_map(env);
  (void)enif_make_map_put(env, map, nif_atoms.pid, pid, &map);
  if (with_key) {
    (void)enif_make_map_put(env, map, nif_atoms.key, key, &map);
  }
  (void)enif_make_map_put(env, map, nif_atoms.value,
                          nif_binary(env, view->value, view->value_size), &map);
  (void)enif_make_map_put(env, map, nif_atoms.stamp,
                          enif_make_uint64(env, view->stamp), &map);
  (void)enif_make_map_put(env, map, nif_atoms.actor,
                          enif_make_uint64(env, view->actor), &map);
  (void)enif_make_map_put(env, map, nif_atoms.birth,
                          enif_make_uint64(env, view->birth), &map);
  (void)enif_make_map_put(env, map, nif_atoms.member,
                          nif_member_of_actor(env, instance, view->actor),
                          &map);
  *term = map;
  return true;
}

static bool
term_of_contest(ErlNifEnv *env, const struct nif_instance *instance,
                const struct holt_effect *effect, ERL_NIF_TERM *term)
{
  ERL_NIF_TERM own;
  ERL_NIF_TERM other;
  if (!term_of_rival(env, instance, &effect->winner, true, &own) ||
      !term_of_rival(env, instance, &effect->loser, false, &other)) {
    return false;
  }
  *term = enif_make_tuple3(env, nif_atoms.contest, own, other);
  return true;
}

static bool
term_of_effect(ErlNifEnv *env, const struct nif_instance *instance,
               const struct holt_effect *effect, ERL_NIF_TERM *term)
{
  switch (effect->type) {
  case HOLT_EFFECT_HELLO:
    *term = enif_make_tuple3(env, nif_atoms.hello,
                             enif_make_uint(env, effect->targets[0].peer),
                             nif_binary(env, effect->bytes, effect->size));
    return true;
  case HOLT_EFFECT_SEND:
    *term = term_of_send(env, effect);
    return true;
  case HOLT_EFFECT_CONFLICT:
    return term_of_conflict(env, effect, term);
  case HOLT_EFFECT_CONTEST:
    return term_of_contest(env, instance, effect, term);
  default:
    return false;
  }
}

/* poll(Name) -> {[Effect], again | NextMs} | {invalid, Reason}.
 *
 * One data message, or some smaller effects, so that a busy link is reported
 * before anything else is sent on it. */
ERL_NIF_TERM
nif_poll(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  ERL_NIF_TERM effects = enif_make_list(env, 0);
  struct holt_effect effect;
  bool open;
  size_t count = 0;
  bool sent = false;
  do {
    open = nif_lock(instance);
    if (!open) {
      break;
    }
    const struct holt_time now = nif_now(env);
    holt_replica_poll(instance->replica, &now, &effect);
    ERL_NIF_TERM term = 0;
    if (term_of_effect(env, instance, &effect, &term)) {
      effects = enif_make_list_cell(env, term, effects);
    }
    sent = effect.type == HOLT_EFFECT_HELLO || effect.type == HOLT_EFFECT_SEND;
    if (count == 0) {
      nif_quorum_look(instance);
    }
    nif_unlock(env, instance);
    count++;
  } while (effect.type != HOLT_EFFECT_NONE && !sent && count < POLL_EFFECTS);
  nif_instance_put(instance);
  if (!open) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  ERL_NIF_TERM in_order;
  (void)enif_make_reverse_list(env, effects, &in_order);
  const bool again = effect.type != HOLT_EFFECT_NONE || effect.timeout_ms == 0;
  return enif_make_tuple2(env, in_order,
                          again ? nif_atoms.again
                                : enif_make_uint64(env, effect.timeout_ms));
}

/*--------------------------------------------------------------------
 * Contests */

/* lose(Name, Birth, WinnerActor, WinnerBirth, exit | standby) ->
 *     ok | none | {invalid, Reason}. */
ERL_NIF_TERM
nif_lose(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ErlNifUInt64 birth;
  ErlNifUInt64 winner_actor;
  ErlNifUInt64 winner_birth;
  if (enif_get_uint64(env, argv[1], &birth) == 0 ||
      enif_get_uint64(env, argv[2], &winner_actor) == 0 ||
      enif_get_uint64(env, argv[3], &winner_birth) == 0 ||
      (argv[4] != nif_atoms.exit && argv[4] != nif_atoms.standby)) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = get_locked(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const struct holt_time now = nif_now(env);
  const int rv = holt_replica_lose(instance->replica, &now, birth, winner_actor,
                                   winner_birth, argv[4] == nif_atoms.standby);
  nif_unlock_wake(env, instance);
  nif_instance_put(instance);
  if (rv == HOLT_ERR_NOMEM) {
    return nif_invalid(env, nif_atoms.no_memory);
  }
  return rv == 0 ? nif_atoms.ok : nif_atoms.none;
}
