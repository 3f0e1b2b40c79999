/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_call.h"

#include <string.h>

#include "nif_atoms.h"
#include "nif_fault.h"

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

ERL_NIF_TERM
nif_error(ErlNifEnv *env, ERL_NIF_TERM reason)
{
  return enif_make_tuple2(env, nif_atoms.error, reason);
}

ERL_NIF_TERM
nif_too_large(ErlNifEnv *env, size_t size, size_t size_max)
{
  return nif_error(env, enif_make_tuple3(env, nif_atoms.too_large,
                                         enif_make_uint64(env, size),
                                         enif_make_uint64(env, size_max)));
}

/*--------------------------------------------------------------------
 * Schedulers */

bool
nif_on_normal_scheduler(void)
{
  return enif_thread_type() == ERL_NIF_THR_NORMAL_SCHEDULER;
}

bool
nif_too_heavy(size_t bytes)
{
  return bytes > CALL_VALUE_BYTES && nif_on_normal_scheduler();
}

ERL_NIF_TERM
nif_go_dirty(ErlNifEnv *env, const char *name, nif_fn fn, int argc,
             const ERL_NIF_TERM argv[])
{
  return enif_schedule_nif(env, name, ERL_NIF_DIRTY_JOB_CPU_BOUND, fn, argc,
                           argv);
}

/*--------------------------------------------------------------------
 * Calls */

void
nif_call_end(struct nif_call *call)
{
  holt_key_deinit(&call->key);
  nif_instance_put(call->instance);
}

bool
nif_call_begin(struct nif_call *call, ErlNifEnv *env, int argc,
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
  nif_call_end(call);
  *answer = rv == NIF_NEEDS_DIRTY ? nif_go_dirty(env, name, fn, argc, argv)
                                  : key_refused(env, rv);
  return false;
}

ERL_NIF_TERM
nif_call_closed(struct nif_call *call)
{
  nif_call_end(call);
  return nif_invalid(call->env, nif_atoms.no_instance);
}

bool
nif_call_find(const struct nif_call *call, struct holt_view *view)
{
  return holt_replica_find(call->instance->replica, holt_key_bytes(&call->key),
                           holt_key_size(&call->key), view);
}

bool
nif_call_find_own(const struct nif_call *call, const ErlNifPid *pid,
                  struct holt_view *view)
{
  if (!call->instance->duplicate) {
    return nif_call_find(call, view) && view->local &&
           view->host == nif_host_of(pid);
  }
  struct nif_process process;
  return nif_process_of(call->env, enif_make_pid(call->env, pid), &process) &&
         holt_replica_member(call->instance->replica,
                             holt_key_bytes(&call->key),
                             holt_key_size(&call->key), process.process.id,
                             process.process.serial, view);
}

bool
nif_view_alive(ErlNifEnv *env, const struct holt_view *view)
{
  if (!view->local || nif_fault(DEAD_SHOWN)) {
    return true;
  }
  ErlNifPid pid = nif_pid_of_host(view->host);
  return enif_is_process_alive(env, &pid) != 0;
}

bool
nif_view_found(ErlNifEnv *env, const struct nif_instance *instance,
               const struct holt_view *view)
{
  if (view->local || view->creation != instance->creation) {
    return nif_view_alive(env, view);
  }
  /* Most likely our node: that makes a pid of this VM of it. */
  ERL_NIF_TERM pid;
  ErlNifPid local;
  return !nif_view_pid(env, view, &pid) ||
         enif_get_local_pid(env, pid, &local) == 0 ||
         enif_is_process_alive(env, &local) != 0;
}

bool
nif_view_is_of(ErlNifEnv *env, const struct holt_view *view, ERL_NIF_TERM pid)
{
  ErlNifPid local;
  if (view->local) {
    return enif_get_local_pid(env, pid, &local) != 0 &&
           view->host == nif_host_of(&local);
  }
  struct nif_process process;
  if (!nif_process_of(env, pid, &process)) {
    return false;
  }
  const struct holt_process *const other = &process.process;
  return view->id == other->id && view->serial == other->serial &&
         view->creation == other->creation &&
         view->node_size == other->node_size &&
         memcmp(view->node, other->node, view->node_size) == 0;
}

/*--------------------------------------------------------------------
 * Values */

/* Of a call that may take its time, as many as it copies in a short one: the
 * caller's own decoding can be interrupted, and this cannot. */
static bool
is_cheap(struct nif_values *values, const struct holt_view *view)
{
  if (nif_value_is_binary(view->value, view->value_size)) {
    return true;
  }
  const size_t size = values->terms_size + view->value_size;
  if (size > CALL_TERM_BYTES &&
      (size > CALL_VALUE_BYTES || nif_on_normal_scheduler())) {
    return false;
  }
  values->terms_size = size;
  return true;
}

ERL_NIF_TERM
nif_entry(ErlNifEnv *env, struct nif_values *values,
          const struct holt_view *view, ERL_NIF_TERM *parts, unsigned count)
{
  if (values->terms && is_cheap(values, view) &&
      nif_value_of(env, view->value, view->value_size, &parts[count])) {
    return enif_make_tuple_from_array(env, parts, count + 1);
  }
  parts[count] = nif_binary(env, view->value, view->value_size);
  if (!values->terms) {
    return enif_make_tuple_from_array(env, parts, count + 1);
  }
  values->mixed = true;
  parts[count + 1] = nif_atoms.encoded;
  return enif_make_tuple_from_array(env, parts, count + 2);
}

ERL_NIF_TERM
nif_entries_answer(ErlNifEnv *env, const struct nif_values *values,
                   ERL_NIF_TERM entries)
{
  return values->mixed ? enif_make_tuple2(env, nif_atoms.mixed, entries)
                       : entries;
}

/*--------------------------------------------------------------------
 * Lists */

void
nif_list_init(struct nif_list *list, ErlNifEnv *env,
              const struct nif_instance *instance)
{
  *list = (struct nif_list){ .env = env,
                             .instance = instance,
                             .list = enif_make_list(env, 0) };
}

void
nif_list_add(struct nif_list *list, ERL_NIF_TERM term)
{
  list->list = enif_make_list_cell(list->env, term, list->list);
  list->count++;
}

bool
nif_list_room(struct nif_list *list, const struct holt_view *view)
{
  list->bytes += view->value_size;
  list->heavy = nif_too_heavy(list->bytes);
  return !list->heavy;
}

ERL_NIF_TERM
nif_list_answer(const struct nif_list *list, int rv, const char *name,
                nif_fn fn, int argc, const ERL_NIF_TERM argv[])
{
  if (rv == NIF_NEEDS_DIRTY) {
    return nif_go_dirty(list->env, name, fn, argc, argv);
  }
  if (rv != 0) {
    return nif_invalid(list->env, rv == HOLT_ERR_NOT_FOUND
                                    ? nif_atoms.no_instance
                                    : nif_atoms.no_memory);
  }
  ERL_NIF_TERM in_order;
  (void)enif_make_reverse_list(list->env, list->list, &in_order);
  return nif_entries_answer(list->env, &list->values, in_order);
}

/*--------------------------------------------------------------------
 * Tours */

/* Closing or not: the tour ends by itself when its rows are freed. */
static int
tour_run(const struct nif_list *list, struct nif_instance *instance,
         struct holt_tour *tour, holt_view_fn visit, void *user)
{
  const bool normal = nif_on_normal_scheduler();
  bool more = true;
  for (size_t seen = 0; more && !(normal && seen >= CALL_NAMES);
       seen += SLICE_NAMES) {
    if (!nif_fault(UNLOCKED_WALK)) {
      nif_lock_anyway(instance);
    }
    more = holt_tour_next(instance->replica, tour, SLICE_NAMES, visit, user);
    if (!nif_fault(UNLOCKED_WALK)) {
      nif_unlock(list->env, instance);
    }
  }
  nif_lock_anyway(instance);
  holt_tour_stop(instance->replica, tour);
  nif_unlock(list->env, instance);
  return more || list->heavy ? NIF_NEEDS_DIRTY : 0;
}

static int
tour_begun(int rv, const struct nif_list *list, struct nif_instance *instance,
           struct holt_tour *tour, holt_view_fn visit, void *user)
{
  nif_unlock(list->env, instance);
  if (rv == 0) {
    return tour_run(list, instance, tour, visit, user);
  }
  return rv == HOLT_ERR_NOT_FOUND ? 0 : rv;
}

int
nif_tour_process(struct nif_list *list, struct nif_instance *instance,
                 const struct holt_process *process, holt_view_fn visit,
                 void *user)
{
  if (!nif_lock(instance)) {
    return HOLT_ERR_NOT_FOUND;
  }
  struct holt_tour *tour = NULL;
  const int rv = holt_tour_start(instance->replica, process, &tour);
  return tour_begun(rv, list, instance, tour, visit, user);
}

int
nif_tour_key(struct nif_list *list, const struct nif_call *call,
             holt_view_fn visit, void *user)
{
  struct nif_instance *const instance = call->instance;
  if (!nif_lock(instance)) {
    return HOLT_ERR_NOT_FOUND;
  }
  struct holt_tour *tour = NULL;
  const int rv =
    holt_tour_start_key(instance->replica, holt_key_bytes(&call->key),
                        holt_key_size(&call->key), &tour);
  return tour_begun(rv, list, instance, tour, visit, user);
}
