/* SPDX-License-Identifier: Apache-2.0 */
/* Names that come, change and go. */
#include "nif_atoms.h"
#include "nif_call.h"
#include "nif_names.h"

/*--------------------------------------------------------------------
 * Claims */

/* What somebody wants registered. */
struct claim {
  ErlNifBinary value;
  ErlNifPid pid;
  struct nif_process process;
  uint8_t flags;
  ErlNifUInt64 replaces_actor;
  ErlNifUInt64 replaces_birth;

  /* The row that came of it, and who sends it to the others. */
  uint64_t actor;
  uint64_t birth;
  ErlNifPid replica;
};

/* Make the process known, and watch it from its first name on. The monitor is
 * set under the lock: when the process is gone before, nothing was published;
 * when it goes later, the instance hears of it. */
static int
claim_owner(ErlNifEnv *env, struct nif_instance *instance,
            const struct holt_process *process, ErlNifPid *pid)
{
  const int rv = holt_replica_owner_add(instance->replica, process->id,
                                        process->serial, nif_host_of(pid));
  if (rv == HOLT_ERR_EXISTS) {
    return enif_is_process_alive(env, pid) != 0 ? 0 : HOLT_ERR_DEAD;
  }
  if (rv != 0) {
    return rv;
  }
  if (enif_monitor_process(env, instance, pid, NULL) != 0) {
    holt_replica_owner_forget(instance->replica, process->id, process->serial);
    return HOLT_ERR_DEAD;
  }
  return 0;
}

static int
claim_row(struct nif_call *call, struct claim *claim)
{
  const struct holt_process *const process = &claim->process.process;
  const struct holt_time now = nif_now(call->env);
  const struct holt_registration registration = {
    .key = holt_key_bytes(&call->key),
    .key_size = holt_key_size(&call->key),
    .value = claim->value.data,
    .value_size = claim->value.size,
    .id = process->id,
    .serial = process->serial,
    .flags = claim->flags,
    .replaces_actor = claim->replaces_actor,
    .replaces_birth = claim->replaces_birth
  };
  return holt_replica_register(call->instance->replica, &now, &registration,
                               &claim->birth);
}

/* Has the holder just ended, unheard of?  Then its name is free from now on. */
static bool
holder_buried(struct nif_call *call, struct holt_view *holder)
{
  if (!nif_call_find(call, holder) || nif_view_alive(call->env, holder)) {
    return false;
  }
  holt_replica_owner_dead(call->instance->replica, holder->id, holder->serial);
  return true;
}

/* Under the lock. The name of a process that has just ended is free: its death
 * and the new birth leave in one message. */
static int
claim_run(struct nif_call *call, struct claim *claim, struct holt_view *holder)
{
  struct nif_instance *const instance = call->instance;
  if (claim->flags == 0 && !instance->quorate) {
    return HOLT_ERR_LIMIT;
  }
  int rv =
    claim_owner(call->env, instance, &claim->process.process, &claim->pid);
  if (rv != 0) {
    return rv;
  }
  if ((claim->flags & HOLT_REGISTER_REPLACES) != 0) {
    while (holder_buried(call, holder)) {
    }
  }
  do {
    rv = claim_row(call, claim);
  } while (rv == HOLT_ERR_EXISTS && holder_buried(call, holder));
  return rv;
}

static ERL_NIF_TERM
claim_refused(const struct nif_call *call, const struct claim *claim, int error,
              const struct holt_view *holder)
{
  ErlNifEnv *const env = call->env;
  const bool replaces = (claim->flags & HOLT_REGISTER_REPLACES) != 0;
  ERL_NIF_TERM pid;
  switch (error) {
  case HOLT_ERR_EXISTS:
    if (replaces) {
      return nif_error(env, nif_atoms.changed);
    }
    return nif_view_pid(env, holder, &pid)
             ? nif_error(
                 env, enif_make_tuple2(env, nif_atoms.already_registered, pid))
             : nif_invalid(env, nif_atoms.no_memory);
  case HOLT_ERR_DEAD:
    return nif_error(env, nif_atoms.not_alive);
  case HOLT_ERR_NOT_FOUND:
    return nif_error(env, nif_atoms.not_found);
  case HOLT_ERR_LIMIT:
    return nif_error(env,
                     replaces ? nif_atoms.unsupported : nif_atoms.no_quorum);
  case HOLT_ERR_POLICY:
  case HOLT_ERR_UNSUPPORTED:
    return nif_error(env, nif_atoms.unsupported);
  default:
    return nif_invalid(env, nif_atoms.no_memory);
  }
}

/* False: *answer is why not. */
static bool
claim_key(struct nif_call *call, struct claim *claim, ERL_NIF_TERM *answer)
{
  struct nif_instance *const instance = call->instance;
  const size_t value_max = instance->tuning.value_bytes_max;
  if (claim->value.size > value_max) {
    *answer = nif_too_large(call->env, claim->value.size, value_max);
    return false;
  }
  if (claim->flags != 0 && instance->duplicate) {
    *answer = nif_error(call->env, nif_atoms.unsupported);
    return false;
  }
  if (!nif_lock(instance)) {
    *answer = nif_invalid(call->env, nif_atoms.no_instance);
    return false;
  }
  struct holt_view holder;
  const int rv = claim_run(call, claim, &holder);
  if (rv != 0) {
    *answer = claim_refused(call, claim, rv, &holder);
  }
  claim->actor = instance->actor;
  claim->replica = instance->process;
  nif_unlock_wake(call->env, instance);
  return rv == 0;
}

/* A claim with the value argv[2] and the process argv[3], for the function that
 * is called name.  False: *answer is what it returns. */
static bool
claim_call(struct claim *claim, ErlNifEnv *env, int argc,
           const ERL_NIF_TERM argv[], const char *name, nif_fn fn,
           ERL_NIF_TERM *answer)
{
  if (enif_inspect_binary(env, argv[2], &claim->value) == 0 ||
      enif_is_pid(env, argv[3]) == 0) {
    *answer = enif_make_badarg(env);
    return false;
  }
  if (enif_get_local_pid(env, argv[3], &claim->pid) == 0) {
    *answer = nif_invalid(env, nif_atoms.remote_pid);
    return false;
  }
  if (!nif_process_of(env, argv[3], &claim->process)) {
    *answer = nif_invalid(env, nif_atoms.no_memory);
    return false;
  }
  if (nif_too_heavy(claim->value.size)) {
    *answer = nif_go_dirty(env, name, fn, argc, argv);
    return false;
  }
  struct nif_call call;
  if (!nif_call_begin(&call, env, argc, argv, name, fn, answer)) {
    return false;
  }
  const bool claimed = claim_key(&call, claim, answer);
  nif_call_end(&call);
  return claimed;
}

/* register(Name, Key, ValueBin, Pid) ->
 *     {ok, ReplicaPid} | {error, {already_registered, Pid}} |
 *     {error, not_alive} | {error, no_quorum} |
 *     {error, {too_large, Bytes, Max}} | {invalid, Reason}. */
ERL_NIF_TERM
nif_register(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct claim claim = { .flags = 0 };
  ERL_NIF_TERM answer;
  return claim_call(&claim, env, argc, argv, "register", nif_register, &answer)
           ? enif_make_tuple2(env, nif_atoms.ok,
                              enif_make_pid(env, &claim.replica))
           : answer;
}

/* new | standby | {replace, Actor, Birth}. */
static bool
claim_kind_of(ErlNifEnv *env, ERL_NIF_TERM term, struct claim *claim)
{
  if (term == nif_atoms.new || term == nif_atoms.standby) {
    claim->flags = term == nif_atoms.standby ? HOLT_REGISTER_STANDBY : 0;
    return true;
  }
  claim->flags = HOLT_REGISTER_REPLACES;
  int arity;
  const ERL_NIF_TERM *parts;
  return enif_get_tuple(env, term, &arity, &parts) != 0 && arity == 3 &&
         parts[0] == nif_atoms.replace &&
         enif_get_uint64(env, parts[1], &claim->replaces_actor) != 0 &&
         enif_get_uint64(env, parts[2], &claim->replaces_birth) != 0;
}

static ERL_NIF_TERM
written(ErlNifEnv *env, uint64_t actor, uint64_t seq)
{
  return enif_make_tuple3(env, nif_atoms.ok, enif_make_uint64(env, actor),
                          enif_make_uint64(env, seq));
}

/* claim(Name, Key, ValueBin, Pid, new | standby | {replace, Actor, Birth}) ->
 *     {ok, Actor, Seq} | {error, not_found | changed | unsupported} |
 *     what register/4 refuses. */
ERL_NIF_TERM
nif_claim(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct claim claim = { .flags = 0 };
  if (!claim_kind_of(env, argv[4], &claim)) {
    return enif_make_badarg(env);
  }
  ERL_NIF_TERM answer;
  return claim_call(&claim, env, argc, argv, "claim", nif_claim, &answer)
           ? written(env, claim.actor, claim.birth)
           : answer;
}

/*--------------------------------------------------------------------
 * The end of a registration */

/* Under the lock. */
static ERL_NIF_TERM
unregister_holder(struct nif_call *call, ERL_NIF_TERM caller)
{
  ErlNifEnv *const env = call->env;
  struct holt_replica *const replica = call->instance->replica;
  struct holt_view view;
  if (!nif_call_find(call, &view)) {
    return nif_atoms.none;
  }
  if (!nif_view_alive(env, &view)) {
    holt_replica_owner_dead(replica, view.id, view.serial);
    return nif_atoms.none;
  }
  if (call->instance->owner_only && !nif_view_is_of(env, &view, caller)) {
    return nif_error(env, nif_atoms.not_owner);
  }
  if (!view.local) {
    ERL_NIF_TERM node;
    return nif_atom_of(env, view.node, view.node_size, &node)
             ? enif_make_tuple2(env, nif_atoms.remote, node)
             : nif_invalid(env, nif_atoms.no_memory);
  }
  const uint64_t actor = view.actor;
  uint64_t seq;
  return holt_replica_unregister(replica, view.birth, &seq) == 0
           ? written(env, actor, seq)
           : nif_atoms.none;
}

/* Some of the caller's entries, of which there may be any number, under the
 * lock.  *seq: 0 if there was none.  True: there are more. */
static bool
unregister_slice(struct nif_call *call, const ErlNifPid *caller, uint64_t *seq)
{
  struct holt_view view;
  for (size_t i = 0; i < SLICE_NAMES; i++) {
    if (!nif_call_find_own(call, caller, &view) ||
        holt_replica_unregister(call->instance->replica, view.birth, seq) !=
          0) {
      return false;
    }
  }
  return nif_call_find_own(call, caller, &view);
}

/* False: there are more than a normal scheduler allows. */
static bool
unregister_entries(struct nif_call *call, const ErlNifPid *caller,
                   ERL_NIF_TERM *answer)
{
  struct nif_instance *const instance = call->instance;
  ErlNifEnv *const env = call->env;
  uint64_t actor = 0;
  uint64_t seq = 0;
  bool more = true;
  for (size_t seen = 0; more; seen += SLICE_NAMES) {
    if (seen >= CALL_NAMES && nif_on_normal_scheduler()) {
      return false;
    }
    if (!nif_lock(instance)) {
      *answer = nif_invalid(env, nif_atoms.no_instance);
      return true;
    }
    actor = instance->actor;
    more = unregister_slice(call, caller, &seq);
    nif_unlock_wake(env, instance);
  }
  *answer = seq == 0 ? nif_atoms.none : written(env, actor, seq);
  return true;
}

/* unregister(Name, Key, Caller) ->
 *     {ok, Actor, Seq} | none | {remote, Node} | {error, not_owner} |
 *     {invalid, Reason}.
 *
 * Unique: whoever has it; where owner_only, the caller.  Duplicate: all entries
 * of the caller; many of them on a dirty scheduler, where at least one of what
 * is left is found, but for a caller that has two processes do this at once. */
ERL_NIF_TERM
nif_unregister(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct nif_process caller;
  ErlNifPid local;
  if (!nif_process_of(env, argv[2], &caller)) {
    return enif_make_badarg(env);
  }
  const bool is_local = enif_get_local_pid(env, argv[2], &local) != 0;
  struct nif_call call;
  ERL_NIF_TERM answer;
  if (!nif_call_begin(&call, env, argc, argv, "unregister", nif_unregister,
                      &answer)) {
    return answer;
  }
  bool done = true;
  if (!call.instance->duplicate) {
    if (!nif_lock(call.instance)) {
      return nif_call_closed(&call);
    }
    answer = unregister_holder(&call, argv[2]);
    nif_unlock_wake(env, call.instance);
  } else if (is_local) {
    done = unregister_entries(&call, &local, &answer);
  } else {
    ERL_NIF_TERM node;
    answer = nif_atom_of(env, caller.node.bytes, caller.node.size, &node)
               ? enif_make_tuple2(env, nif_atoms.remote, node)
               : nif_invalid(env, nif_atoms.no_memory);
  }
  nif_call_end(&call);
  return done ? answer
              : nif_go_dirty(env, "unregister", nif_unregister, argc, argv);
}

/* drop(Name, Birth) -> {ok, Actor, Seq} | none | {invalid, Reason}. */
ERL_NIF_TERM
nif_drop(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ErlNifUInt64 birth;
  if (enif_get_uint64(env, argv[1], &birth) == 0) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  ERL_NIF_TERM answer = nif_invalid(env, nif_atoms.no_instance);
  if (instance == NULL) {
    return answer;
  }
  if (nif_lock(instance)) {
    uint64_t seq;
    answer = holt_replica_drop(instance->replica, birth, &seq) == 0
               ? written(env, instance->actor, seq)
               : nif_atoms.none;
    nif_unlock_wake(env, instance);
  }
  nif_instance_put(instance);
  return answer;
}

/*--------------------------------------------------------------------
 * Values */

/* What is to be updated: the row as seen at seq; birth 0: that of the key. */
struct token {
  ErlNifUInt64 birth;
  ErlNifUInt64 seq;
};

static bool
token_of(ErlNifEnv *env, ERL_NIF_TERM term, struct token *token)
{
  int arity;
  const ERL_NIF_TERM *parts;
  token->birth = 0;
  if (enif_get_tuple(env, term, &arity, &parts) == 0) {
    return enif_get_uint64(env, term, &token->seq) != 0;
  }
  return arity == 2 && enif_get_uint64(env, parts[0], &token->birth) != 0 &&
         enif_get_uint64(env, parts[1], &token->seq) != 0;
}

/* Under the lock. */
static int
update_row(struct nif_call *call, const ErlNifPid *pid,
           const struct token *token, const ErlNifBinary *value)
{
  struct holt_view view = { .birth = token->birth };
  if (token->birth == 0 && !nif_call_find_own(call, pid, &view)) {
    return HOLT_ERR_NOT_FOUND;
  }
  uint64_t seq = token->seq;
  return holt_replica_update(call->instance->replica, view.birth, &seq,
                             value->data, value->size);
}

/* update(Name, Key, Pid, Seq | {Birth, Seq}, ValueBin) ->
 *     ok | changed | none | {error, {too_large, Bytes, Max}} |
 *     {invalid, Reason}. */
ERL_NIF_TERM
nif_update(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  ErlNifPid pid;
  struct token token;
  ErlNifBinary value;
  if (enif_get_local_pid(env, argv[2], &pid) == 0 ||
      !token_of(env, argv[3], &token) ||
      enif_inspect_binary(env, argv[4], &value) == 0) {
    return enif_make_badarg(env);
  }
  if (nif_too_heavy(value.size)) {
    return nif_go_dirty(env, "update", nif_update, argc, argv);
  }
  struct nif_call call;
  ERL_NIF_TERM answer;
  if (!nif_call_begin(&call, env, argc, argv, "update", nif_update, &answer)) {
    return answer;
  }
  if (!nif_lock(call.instance)) {
    return nif_call_closed(&call);
  }
  const int rv = update_row(&call, &pid, &token, &value);
  nif_unlock_wake(env, call.instance);
  const size_t value_max = call.instance->tuning.value_bytes_max;
  nif_call_end(&call);
  switch (rv) {
  case 0:
    return nif_atoms.ok;
  case HOLT_ERR_NOT_FOUND:
    return nif_atoms.none;
  case HOLT_ERR_STALE:
    return nif_atoms.changed;
  case HOLT_ERR_TOO_LARGE:
    return nif_too_large(env, value.size, value_max);
  default:
    return nif_invalid(env, nif_atoms.no_memory);
  }
}
