/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_changes.h"

#include "nif_atoms.h"
#include "nif_call.h"
#include "nif_fault.h"
#include "nif_instance.h"
#include "nif_term.h"

/*--------------------------------------------------------------------
 * Watching */

void
nif_watch_init(struct nif_watch *watch, struct holt_mem *mem)
{
  nif_log_init(&watch->log, mem);
  watch->on = false;
  watch->news = false;
  atomic_init(&watch->waiting, false);
}

void
nif_watch_deinit(struct nif_watch *watch)
{
  nif_log_deinit(&watch->log);
}

static void
tell(struct nif_watch *watch)
{
  if (atomic_load_explicit(&watch->waiting, memory_order_relaxed)) {
    atomic_store_explicit(&watch->waiting, false, memory_order_relaxed);
    watch->news = true;
  }
}

void
nif_watch_forget(struct nif_watch *watch)
{
  nif_log_forget(&watch->log);
  watch->log.next++;
  tell(watch);
}

bool
nif_watch_news(struct nif_watch *watch, ErlNifPid *process)
{
  if (!watch->news) {
    return false;
  }
  watch->news = false;
  *process = watch->process;
  return true;
}

static void
on_change(void *user, const struct holt_change *change)
{
  struct nif_watch *const watch = user;
  nif_log_add(&watch->log, change);
  tell(watch);
}

/* watch(Name) -> ok | {invalid, no_instance}. */
ERL_NIF_TERM
nif_watch(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ERL_NIF_TERM answer = nif_invalid(env, nif_atoms.no_instance);
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return answer;
  }
  struct nif_watch *const watch = &instance->watch;
  ErlNifPid self;
  if (enif_self(env, &self) != NULL && nif_lock(instance)) {
    watch->process = self;
    atomic_store_explicit(&watch->waiting, true, memory_order_relaxed);
    if (!watch->on) {
      watch->on = true;
      holt_replica_watch(instance->replica, on_change, watch);
    }
    nif_unlock(env, instance);
    answer = nif_atoms.ok;
  }
  nif_instance_put(instance);
  return answer;
}

/* head(Name) -> Next | {invalid, no_instance}. */
ERL_NIF_TERM
nif_head(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_instance *const instance = nif_read_begin(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const ERL_NIF_TERM answer = enif_make_uint64(env, instance->watch.log.next);
  nif_read_end(instance);
  return answer;
}

/*--------------------------------------------------------------------
 * Changes as terms */

static ERL_NIF_TERM
term_of_type(uint8_t type)
{
  switch ((enum holt_change_type)type) {
  case HOLT_CHANGE_REGISTERED:
    return nif_atoms.registered;
  case HOLT_CHANGE_UPDATED:
    return nif_atoms.updated;
  case HOLT_CHANGE_UNREGISTERED:
    return nif_atoms.unregistered;
  case HOLT_CHANGE_MEMBER_UP:
    return nif_atoms.member_up;
  case HOLT_CHANGE_MEMBER_DOWN:
    return nif_atoms.member_down;
  }
  return nif_atoms.undefined;
}

static ERL_NIF_TERM
term_of_reason(uint8_t reason)
{
  switch ((enum holt_reason)reason) {
  case HOLT_REASON_USER:
    return nif_atoms.user;
  case HOLT_REASON_DOWN:
    return nif_atoms.down;
  case HOLT_REASON_CONFLICT:
    return nif_atoms.conflict;
  case HOLT_REASON_GIVEN_AWAY:
    return nif_atoms.given_away;
  case HOLT_REASON_MEMBER:
    return nif_atoms.member;
  case HOLT_REASON_UNKNOWN:
    break;
  }
  return nif_atoms.unknown;
}

/* {Pid, ValueBin}, of the bytes at *at. */
static bool
terms_of_who(ErlNifEnv *env, const struct nif_log_who *who, const uint8_t **at,
             ERL_NIF_TERM terms[2])
{
  const uint8_t *const value = *at + who->pid_size;
  terms[1] = nif_binary(env, value, who->value_size);
  const uint8_t *const etf = *at;
  *at = value + who->value_size;
  if (who->host != 0) {
    const ErlNifPid local = nif_pid_of_host(who->host);
    terms[0] = enif_make_pid(env, &local);
    return true;
  }
  return enif_binary_to_term(env, etf, who->pid_size, &terms[0], 0) != 0;
}

static bool
term_of_name(ErlNifEnv *env, const struct nif_log_change *change,
             ERL_NIF_TERM *term)
{
  const uint8_t *at = change->bytes + change->key_size;
  ERL_NIF_TERM key;
  ERL_NIF_TERM who[2];
  ERL_NIF_TERM before[2];
  if (!nif_term_of(env, change->bytes, change->key_size, &key) ||
      !terms_of_who(env, &change->of.name.who, &at, who) ||
      (change->had &&
       !terms_of_who(env, &change->of.name.before, &at, before))) {
    return false;
  }
  *term = enif_make_tuple6(
    env, term_of_type(change->type), term_of_reason(change->reason), key,
    who[0], who[1],
    change->had ? enif_make_tuple2(env, before[0], before[1]) : nif_atoms.none);
  return true;
}

static bool
term_of_change(ErlNifEnv *env, const struct nif_log_change *change,
               ERL_NIF_TERM *term)
{
  if (change->type != HOLT_CHANGE_MEMBER_UP &&
      change->type != HOLT_CHANGE_MEMBER_DOWN) {
    return term_of_name(env, change, term);
  }
  const uint32_t name_size = change->of.member.name_size;
  const uint32_t node_size = change->of.member.node_size;
  ERL_NIF_TERM name;
  ERL_NIF_TERM node;
  if (!nif_atom_of(env, change->bytes, name_size, &name) ||
      !nif_atom_of(env, change->bytes + name_size, node_size, &node)) {
    return false;
  }
  *term = enif_make_tuple4(env, term_of_type(change->type),
                           enif_make_tuple2(env, name, node),
                           enif_make_uint64(env, change->of.member.actor),
                           enif_make_uint64(env, change->of.member.count));
  return true;
}

/*--------------------------------------------------------------------
 * Reading */

struct reading {
  struct nif_list list;
  uint64_t at;
  uint64_t count_max;
  bool missed; /* What is at is no longer kept, or never was. */
};

/* Some changes, under the lock for reading.  True: the call goes on. */
static bool
read_slice(struct reading *reading, const struct nif_log *log)
{
  struct nif_list *const list = &reading->list;
  const uint64_t oldest = nif_log_oldest(log);
  if (reading->at < oldest || reading->at > log->next) {
    reading->missed = list->count == 0;
    return false;
  }
  struct nif_log_cursor cursor;
  nif_log_seek(log, reading->at, &cursor);
  for (unsigned i = 0; i < SLICE_NAMES; i++) {
    const struct nif_log_change *const change = cursor.change;
    if (change == NULL || list->count >= reading->count_max) {
      return false;
    }
    if (nif_too_heavy(list->bytes + change->size)) {
      list->heavy = list->count == 0;
      return false;
    }
    ERL_NIF_TERM term;
    if (term_of_change(list->env, change, &term)) {
      nif_list_add(list, term);
    }
    list->bytes += change->size;
    nif_log_step(&cursor);
    reading->at = cursor.number;
  }
  return list->bytes < CALL_VALUE_BYTES;
}

/* The process that watches has come to the end. */
static void
wait_for_news(ErlNifEnv *env, struct nif_watch *watch)
{
  ErlNifPid self;
  if (watch->on && !nif_fault(NO_NEWS) && enif_self(env, &self) != NULL &&
      enif_compare_pids(&self, &watch->process) == 0) {
    atomic_store_explicit(&watch->waiting, true, memory_order_relaxed);
  }
}

/* changes(Name, From, Max) ->
 *     {[Change], Next} | {missed, Oldest, Next} | {invalid, no_instance}.
 *
 * A heavy value on a dirty scheduler. */
ERL_NIF_TERM
nif_changes(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  ErlNifUInt64 from;
  ErlNifUInt64 count_max;
  if (enif_get_uint64(env, argv[1], &from) == 0 ||
      enif_get_uint64(env, argv[2], &count_max) == 0 || count_max == 0) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  struct nif_watch *const watch = &instance->watch;
  struct reading reading = { .at = from, .count_max = count_max };
  if (count_max > CALL_NAMES / 2) {
    reading.count_max = CALL_NAMES / 2;
  }
  nif_list_init(&reading.list, env, instance);
  bool open;
  bool more = true;
  uint64_t oldest = 0;
  uint64_t next = 0;
  do {
    open = nif_fault(UNLOCKED_LOG) || nif_read_lock(instance);
    if (open) {
      more = read_slice(&reading, &watch->log);
      oldest = nif_log_oldest(&watch->log);
      next = watch->log.next;
      if (reading.missed || reading.at == next) {
        wait_for_news(env, watch);
      }
      if (!nif_fault(UNLOCKED_LOG)) {
        nif_read_unlock(instance);
      }
    }
  } while (open && more);
  nif_instance_put(instance);
  if (open && reading.missed) {
    return enif_make_tuple3(env, nif_atoms.missed,
                            enif_make_uint64(env, oldest),
                            enif_make_uint64(env, next));
  }
  const int rv = !open                ? HOLT_ERR_NOT_FOUND
                 : reading.list.heavy ? NIF_NEEDS_DIRTY
                                      : 0;
  const ERL_NIF_TERM list =
    nif_list_answer(&reading.list, rv, "changes", nif_changes, argc, argv);
  return rv != 0
           ? list
           : enif_make_tuple2(env, list, enif_make_uint64(env, reading.at));
}
