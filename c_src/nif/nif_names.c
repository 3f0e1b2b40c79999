/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_names.h"

#include <string.h>

#include "nif_atoms.h"
#include "nif_fault.h"
#include "nif_instance.h"
#include "nif_term.h"

/* Names visited under one hold of the lock, in one call on a normal scheduler,
 * and the bytes of values copied in one such call. */
#define SLICE_NAMES 64u
#define CALL_NAMES 512u
#define CALL_VALUE_BYTES 262144u

/* A call about one key: what every such function starts and ends with. */
struct call {
  ErlNifEnv *env;
  struct nif_instance *instance;
  struct holt_mem mem; /* Of the key; the instance's needs its lock. */
  struct holt_key key;
};

typedef ERL_NIF_TERM (*nif_fn)(ErlNifEnv *env, int argc,
                               const ERL_NIF_TERM argv[]);

static ERL_NIF_TERM
key_refused(ErlNifEnv *env, int error)
{
  switch (error) {
  case HOLT_ERR_UNSUPPORTED:
    return nif_invalid(env, nif_atoms.fun_in_key);
  case HOLT_ERR_TOO_DEEP:
    return nif_invalid(env, nif_atoms.key_too_deep);
  case HOLT_ERR_TOO_LARGE:
    return nif_invalid(env, nif_atoms.key_too_large);
  default:
    return nif_invalid(env, nif_atoms.no_memory);
  }
}

static void
call_end(struct call *call)
{
  holt_key_deinit(&call->key);
  nif_instance_put(call->instance);
}

/* Find the instance argv[0] and encode the key argv[1]. False: *answer is what
 * the function returns, and the call has ended. A key of which the size cannot
 * be known beforehand (a big integer, a bitstring) makes the function go on at
 * a dirty scheduler. */
static bool
call_begin(struct call *call, ErlNifEnv *env, int argc,
           const ERL_NIF_TERM argv[], const char *name, nif_fn fn,
           ERL_NIF_TERM *answer)
{
  call->env = env;
  call->instance = nif_instance_get(env, argv[0]);
  if (call->instance == NULL) {
    *answer = nif_invalid(env, nif_atoms.no_instance);
    return false;
  }
  holt_mem_init(&call->mem, nif_resize, NULL, 0);
  holt_key_init(&call->key, &call->mem, call->instance->tuning.key_bytes_max);
  const int rv = nif_key_of(env, argv[1], &call->key);
  if (rv == 0) {
    return true;
  }
  call_end(call);
  *answer = rv == NIF_NEEDS_DIRTY
              ? enif_schedule_nif(env, name, ERL_NIF_DIRTY_JOB_CPU_BOUND, fn,
                                  argc, argv)
              : key_refused(env, rv);
  return false;
}

/* The instance has been closed since it was found. */
static ERL_NIF_TERM
call_closed(struct call *call)
{
  call_end(call);
  return nif_invalid(call->env, nif_atoms.no_instance);
}

static bool
call_find(struct call *call, struct holt_view *view)
{
  return holt_replica_find(call->instance->replica, holt_key_bytes(&call->key),
                           holt_key_size(&call->key), view);
}

/* An exit can be seen before the instance hears of it: a name whose process is
 * dead counts as free from the first moment on. */
static bool
is_alive(ErlNifEnv *env, const struct holt_view *view)
{
  if (!view->local || nif_fault(DEAD_SHOWN)) {
    return true;
  }
  ErlNifPid pid = nif_pid_of_host(view->host);
  return enif_is_process_alive(env, &pid) != 0;
}

static ERL_NIF_TERM
error2(ErlNifEnv *env, ERL_NIF_TERM reason)
{
  return enif_make_tuple2(env, nif_atoms.error, reason);
}

static ERL_NIF_TERM
value_too_large(ErlNifEnv *env, size_t size, size_t size_max)
{
  return error2(env, enif_make_tuple3(env, nif_atoms.too_large,
                                      enif_make_uint64(env, size),
                                      enif_make_uint64(env, size_max)));
}

/*--------------------------------------------------------------------
 * Register */

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

static ERL_NIF_TERM
claim_failed(struct call *call, int error, const struct holt_view *holder)
{
  ErlNifEnv *const env = call->env;
  ERL_NIF_TERM pid;
  if (error == HOLT_ERR_EXISTS && nif_view_pid(env, holder, &pid)) {
    return error2(env,
                  enif_make_tuple2(env, nif_atoms.already_registered, pid));
  }
  return error == HOLT_ERR_DEAD ? error2(env, nif_atoms.not_alive)
                                : nif_invalid(env, nif_atoms.no_memory);
}

/* Under the lock. The name of a process that has just ended is free: its death
 * and the new birth leave in one message. */
static int
claim(struct call *call, const struct holt_process *process, ErlNifPid *pid,
      const ErlNifBinary *value, struct holt_view *holder)
{
  struct holt_replica *const replica = call->instance->replica;
  const struct holt_time now = nif_now(call->env);
  int rv = claim_owner(call->env, call->instance, process, pid);
  for (;;) {
    if (rv != 0) {
      return rv;
    }
    const struct holt_registration registration = {
      .key = holt_key_bytes(&call->key),
      .key_size = holt_key_size(&call->key),
      .value = value->data,
      .value_size = value->size,
      .id = process->id,
      .serial = process->serial
    };
    rv = holt_replica_register(replica, &now, &registration, NULL);
    if (rv != HOLT_ERR_EXISTS || !call_find(call, holder) ||
        is_alive(call->env, holder)) {
      return rv;
    }
    holt_replica_owner_dead(replica, holder->id, holder->serial);
    rv = 0;
  }
}

/* register(Name, Key, ValueBin, Pid) ->
 *     {ok, ReplicaPid} | {error, {already_registered, Pid}} |
 *     {error, not_alive} | {error, {too_large, Bytes, Max}} |
 *     {invalid, Reason}. */
ERL_NIF_TERM
nif_register(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  ErlNifBinary value;
  ErlNifPid pid;
  struct nif_process process;
  if (enif_inspect_binary(env, argv[2], &value) == 0 ||
      enif_is_pid(env, argv[3]) == 0) {
    return enif_make_badarg(env);
  }
  if (enif_get_local_pid(env, argv[3], &pid) == 0) {
    return nif_invalid(env, nif_atoms.remote_pid);
  }
  if (!nif_process_of(env, argv[3], &process)) {
    return nif_invalid(env, nif_atoms.no_memory);
  }
  struct call call;
  ERL_NIF_TERM answer;
  if (!call_begin(&call, env, argc, argv, "register", nif_register, &answer)) {
    return answer;
  }
  const size_t value_max = call.instance->tuning.value_bytes_max;
  if (value.size > value_max) {
    call_end(&call);
    return value_too_large(env, value.size, value_max);
  }
  if (!nif_lock(call.instance)) {
    return call_closed(&call);
  }
  struct holt_view holder;
  const int rv = claim(&call, &process.process, &pid, &value, &holder);
  answer = rv == 0
             ? enif_make_tuple2(env, nif_atoms.ok,
                                enif_make_pid(env, &call.instance->process))
             : claim_failed(&call, rv, &holder);
  nif_unlock_wake(env, call.instance);
  call_end(&call);
  return answer;
}

/* unregister(Name, Key) ->
 *     {ok, Actor, Seq} | none | {remote, Node} | {invalid, Reason}. */
ERL_NIF_TERM
nif_unregister(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct call call;
  ERL_NIF_TERM answer;
  if (!call_begin(&call, env, argc, argv, "unregister", nif_unregister,
                  &answer)) {
    return answer;
  }
  if (!nif_lock(call.instance)) {
    return call_closed(&call);
  }
  struct holt_view view;
  uint64_t seq;
  ERL_NIF_TERM node;
  answer = nif_atoms.none;
  if (!call_find(&call, &view)) {
    /* Nobody has it. */
  } else if (!view.local) {
    answer = nif_atom_of(env, view.node, view.node_size, &node)
               ? enif_make_tuple2(env, nif_atoms.remote, node)
               : nif_invalid(env, nif_atoms.no_memory);
  } else if (!is_alive(env, &view)) {
    holt_replica_owner_dead(call.instance->replica, view.id, view.serial);
  } else if (holt_replica_unregister(call.instance->replica, view.birth,
                                     &seq) == 0) {
    answer =
      enif_make_tuple3(env, nif_atoms.ok, enif_make_uint64(env, view.actor),
                       enif_make_uint64(env, seq));
  }
  nif_unlock_wake(env, call.instance);
  call_end(&call);
  return answer;
}

/*--------------------------------------------------------------------
 * Look up */

/* whereis(Name, Key) -> Pid | undefined | {invalid, Reason}. */
ERL_NIF_TERM
nif_whereis(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct call call;
  ERL_NIF_TERM answer;
  if (!call_begin(&call, env, argc, argv, "whereis", nif_whereis, &answer)) {
    return answer;
  }
  if (!nif_read_lock(call.instance)) {
    return call_closed(&call);
  }
  struct holt_view view;
  struct nif_pid_parts parts;
  const bool found = call_find(&call, &view) && is_alive(env, &view);
  if (found) {
    nif_pid_parts_of(&view, &parts);
  }
  nif_read_unlock(call.instance);
  call_end(&call);
  return found && nif_pid_make(env, &parts, &answer) ? answer
                                                     : nif_atoms.undefined;
}

/* lookup(Name, Key) -> [] | [{Pid, ValueBin}] | {invalid, Reason}. */
ERL_NIF_TERM
nif_lookup(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct call call;
  ERL_NIF_TERM answer;
  if (!call_begin(&call, env, argc, argv, "lookup", nif_lookup, &answer)) {
    return answer;
  }
  if (!nif_read_lock(call.instance)) {
    return call_closed(&call);
  }
  struct holt_view view;
  struct nif_pid_parts parts;
  ERL_NIF_TERM value = 0;
  const bool found = call_find(&call, &view) && is_alive(env, &view);
  if (found) {
    nif_pid_parts_of(&view, &parts);
    value = nif_binary(env, view.value, view.value_size);
  }
  nif_read_unlock(call.instance);
  call_end(&call);
  ERL_NIF_TERM pid;
  if (!found || !nif_pid_make(env, &parts, &pid)) {
    return enif_make_list(env, 0);
  }
  return enif_make_list1(env, enif_make_tuple2(env, pid, value));
}

/* The row of argv[1], if the local process argv[2] has it. */
static bool
find_own(struct call *call, const ErlNifPid *pid, struct holt_view *view)
{
  return call_find(call, view) && view->local && view->host == nif_host_of(pid);
}

/* fetch(Name, Key, Pid) -> {ValueBin, Token} | none | {invalid, Reason}. */
ERL_NIF_TERM
nif_fetch(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  ErlNifPid pid;
  if (enif_get_local_pid(env, argv[2], &pid) == 0) {
    return enif_make_badarg(env);
  }
  struct call call;
  ERL_NIF_TERM answer;
  if (!call_begin(&call, env, argc, argv, "fetch", nif_fetch, &answer)) {
    return answer;
  }
  if (!nif_read_lock(call.instance)) {
    return call_closed(&call);
  }
  struct holt_view view;
  answer = nif_atoms.none;
  if (find_own(&call, &pid, &view)) {
    answer = enif_make_tuple2(env, nif_binary(env, view.value, view.value_size),
                              enif_make_uint64(env, view.seq));
  }
  nif_read_unlock(call.instance);
  call_end(&call);
  return answer;
}

/* update(Name, Key, Pid, Token, ValueBin) ->
 *     ok | changed | none | {error, {too_large, Bytes, Max}} |
 *     {invalid, Reason}. */
ERL_NIF_TERM
nif_update(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  ErlNifPid pid;
  ErlNifUInt64 seq;
  ErlNifBinary value;
  if (enif_get_local_pid(env, argv[2], &pid) == 0 ||
      enif_get_uint64(env, argv[3], &seq) == 0 ||
      enif_inspect_binary(env, argv[4], &value) == 0) {
    return enif_make_badarg(env);
  }
  struct call call;
  ERL_NIF_TERM answer;
  if (!call_begin(&call, env, argc, argv, "update", nif_update, &answer)) {
    return answer;
  }
  if (!nif_lock(call.instance)) {
    return call_closed(&call);
  }
  struct holt_view view;
  uint64_t written = seq;
  int rv = HOLT_ERR_NOT_FOUND;
  if (find_own(&call, &pid, &view)) {
    rv = holt_replica_update(call.instance->replica, view.birth, &written,
                             value.data, value.size);
  }
  nif_unlock_wake(env, call.instance);
  const size_t value_max = call.instance->tuning.value_bytes_max;
  call_end(&call);
  switch (rv) {
  case 0:
    return nif_atoms.ok;
  case HOLT_ERR_NOT_FOUND:
    return nif_atoms.none;
  case HOLT_ERR_STALE:
    return nif_atoms.changed;
  case HOLT_ERR_TOO_LARGE:
    return value_too_large(env, value.size, value_max);
  default:
    return nif_invalid(env, nif_atoms.no_memory);
  }
}

/*--------------------------------------------------------------------
 * Many names */

/* count(Name) -> N | {invalid, Reason}. */
ERL_NIF_TERM
nif_count(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ERL_NIF_TERM answer = nif_invalid(env, nif_atoms.no_instance);
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance != NULL) {
    if (nif_read_lock(instance)) {
      answer = enif_make_uint64(env, holt_replica_count(instance->replica));
      nif_read_unlock(instance);
    }
    nif_instance_put(instance);
  }
  return answer;
}

/* A list that grows while names are visited. */
struct gathered {
  ErlNifEnv *env;
  ERL_NIF_TERM list;
  size_t count;
  size_t bytes;
};

static bool
gather_key(void *user, const struct holt_view *view)
{
  struct gathered *const gathered = user;
  ERL_NIF_TERM key;
  if (is_alive(gathered->env, view) &&
      nif_term_of(gathered->env, view->key, view->key_size, &key)) {
    gathered->list = enif_make_list_cell(gathered->env, key, gathered->list);
  }
  gathered->count++;
  return true;
}

/* keys(Name, Pid) -> [Key] | {invalid, Reason}.
 *
 * A process with more than CALL_NAMES names is served on a dirty scheduler,
 * because the list alone takes longer to make than a normal one allows. The
 * lock is released every SLICE_NAMES names. */
ERL_NIF_TERM
nif_keys(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct nif_process process;
  if (!nif_process_of(env, argv[1], &process)) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  struct holt_tour *tour = NULL;
  int rv = HOLT_ERR_NOT_FOUND;
  const bool open = nif_lock(instance);
  if (open) {
    rv = holt_tour_start(instance->replica, &process.process, &tour);
    nif_unlock(instance);
  }
  struct gathered gathered = { .env = env, .list = enif_make_list(env, 0) };
  const bool normal = enif_thread_type() == ERL_NIF_THR_NORMAL_SCHEDULER;
  bool more = rv == 0;
  while (more && !(normal && gathered.count >= CALL_NAMES)) {
    /* Closing or not: the tour ends by itself when its rows are freed. */
    if (!nif_fault(UNLOCKED_WALK)) {
      nif_lock_anyway(instance);
    }
    more = holt_tour_next(instance->replica, tour, SLICE_NAMES, gather_key,
                          &gathered);
    if (!nif_fault(UNLOCKED_WALK)) {
      nif_unlock(instance);
    }
  }
  if (rv == 0) {
    nif_lock_anyway(instance);
    holt_tour_stop(instance->replica, tour);
    nif_unlock(instance);
  }
  nif_instance_put(instance);
  if (!open) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  if (more) {
    return enif_schedule_nif(env, "keys", ERL_NIF_DIRTY_JOB_CPU_BOUND, nif_keys,
                             argc, argv);
  }
  return rv == HOLT_ERR_NOMEM ? nif_invalid(env, nif_atoms.no_memory)
                              : gathered.list;
}

static bool
gather_entry(void *user, const struct holt_view *view)
{
  struct gathered *const gathered = user;
  ErlNifEnv *const env = gathered->env;
  ERL_NIF_TERM key;
  ERL_NIF_TERM pid;
  if (is_alive(env, view) &&
      nif_term_of(env, view->key, view->key_size, &key) &&
      nif_view_pid(env, view, &pid)) {
    const ERL_NIF_TERM value = nif_binary(env, view->value, view->value_size);
    const ERL_NIF_TERM entry = enif_make_tuple3(env, key, pid, value);
    gathered->list = enif_make_list_cell(env, entry, gathered->list);
    gathered->bytes += view->value_size;
  }
  gathered->count++;
  return true;
}

/* next(Name, Cursor) ->
 *     {[{Key, Pid, ValueBin}], NextCursor | done} | {invalid, Reason}. */
ERL_NIF_TERM
nif_next(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ErlNifUInt64 cursor;
  if (enif_get_uint64(env, argv[1], &cursor) == 0 || cursor > UINT32_MAX) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  struct gathered gathered = { .env = env, .list = enif_make_list(env, 0) };
  bool open = true;
  uint64_t at = cursor;
  /* Buckets may be empty, so steps are bounded, too. */
  for (unsigned step = 0; step < CALL_NAMES; step++) {
    open = nif_read_lock(instance);
    if (!open) {
      break;
    }
    at = holt_replica_scan(instance->replica, at, gather_entry, &gathered);
    nif_read_unlock(instance);
    if (at == 0 || gathered.count >= CALL_NAMES / 2 ||
        gathered.bytes >= CALL_VALUE_BYTES) {
      break;
    }
  }
  nif_instance_put(instance);
  if (!open) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const ERL_NIF_TERM next =
    at == 0 ? nif_atoms.done : enif_make_uint64(env, at);
  return enif_make_tuple2(env, gathered.list, next);
}
