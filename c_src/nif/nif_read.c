/* SPDX-License-Identifier: Apache-2.0 */
/* Looking names up. */
#include <string.h>

#include "nif_atoms.h"
#include "nif_call.h"
#include "nif_names.h"

/* How long one call scans before it asks to be called again, and the names that
 * it looks at between two looks at the clock. */
#define SCAN_US 400
#define SCAN_STEPS 16u

/* Entries of a key that are looked at in one go. */
#define LOOKUP_FEW HOLT_EXPLAIN_ROWS_MAX

/* Key, pid, value, `encoded'. */
#define ENTRY_PARTS_MAX 4

/*--------------------------------------------------------------------
 * One key */

/* The call, read-locked, if keys are unique; else *answer says why not. */
static bool
begin_unique(struct nif_call *call, ErlNifEnv *env, int argc,
             const ERL_NIF_TERM argv[], const char *name, nif_fn fn,
             ERL_NIF_TERM *answer)
{
  if (!nif_call_begin(call, env, argc, argv, name, fn, answer)) {
    return false;
  }
  if (call->instance->duplicate) {
    nif_call_end(call);
    *answer = nif_invalid(env, nif_atoms.duplicate_keys);
    return false;
  }
  if (!nif_read_lock(call->instance)) {
    *answer = nif_call_closed(call);
    return false;
  }
  return true;
}

static void
end_reading(struct nif_call *call)
{
  nif_read_unlock(call->instance);
  nif_call_end(call);
}

/* whereis(Name, Key) -> Pid | undefined | {invalid, Reason}. */
ERL_NIF_TERM
nif_whereis(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct nif_call call;
  ERL_NIF_TERM answer;
  if (!begin_unique(&call, env, argc, argv, "whereis", nif_whereis, &answer)) {
    return answer;
  }
  struct holt_view view;
  struct nif_pid_parts parts;
  const bool found =
    nif_call_find(&call, &view) && nif_view_found(env, call.instance, &view);
  if (found) {
    nif_pid_parts_of(&view, &parts);
  }
  end_reading(&call);
  return found && nif_pid_make(env, &parts, &answer) ? answer
                                                     : nif_atoms.undefined;
}

/* What is found of a holder. */
struct found {
  bool yes;
  bool heavy; /* Its value is to be copied on a dirty scheduler. */
  struct nif_pid_parts parts;
  ERL_NIF_TERM value;
  uint64_t actor;
  uint64_t birth;
  uint64_t seq;
};

/* Under the lock. */
static void
find_holder(struct nif_call *call, struct found *found)
{
  struct holt_view view;
  found->heavy = false;
  found->yes = nif_call_find(call, &view) &&
               nif_view_found(call->env, call->instance, &view);
  if (!found->yes) {
    return;
  }
  found->heavy = nif_too_heavy(view.value_size);
  if (!found->heavy) {
    nif_pid_parts_of(&view, &found->parts);
    found->value = nif_binary(call->env, view.value, view.value_size);
    found->actor = view.actor;
    found->birth = view.birth;
    found->seq = view.seq;
  }
}

/* locate(Name, Key) ->
 *     {Pid, ValueBin, Actor, Birth, Seq} | none | {invalid, Reason}. */
ERL_NIF_TERM
nif_locate(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct nif_call call;
  ERL_NIF_TERM answer;
  if (!begin_unique(&call, env, argc, argv, "locate", nif_locate, &answer)) {
    return answer;
  }
  struct found found;
  find_holder(&call, &found);
  end_reading(&call);
  if (found.heavy) {
    return nif_go_dirty(env, "locate", nif_locate, argc, argv);
  }
  ERL_NIF_TERM pid;
  if (!found.yes || !nif_pid_make(env, &found.parts, &pid)) {
    return nif_atoms.none;
  }
  return enif_make_tuple5(
    env, pid, found.value, enif_make_uint64(env, found.actor),
    enif_make_uint64(env, found.birth), enif_make_uint64(env, found.seq));
}

static bool
list_holder(void *user, const struct holt_view *view)
{
  struct nif_list *const list = user;
  if (!nif_view_found(list->env, list->instance, view)) {
    return true;
  }
  if (!nif_list_room(list, view)) {
    return false;
  }
  ERL_NIF_TERM parts[ENTRY_PARTS_MAX];
  if (nif_view_pid(list->env, view, &parts[0])) {
    nif_list_add(list, nif_entry(list->env, &list->values, view, parts, 1));
  }
  return true;
}

/* The entries of a key, if they are few: without a tour, which would need the
 * lock alone.  False: they are not, but so many; else *answer is what lookup
 * answers. */
static bool
lookup_few(struct nif_call *call, struct nif_list *list, size_t *count,
           ERL_NIF_TERM *answer)
{
  struct holt_explained rows[LOOKUP_FEW];
  if (!nif_read_lock(call->instance)) {
    *answer = nif_invalid(call->env, nif_atoms.no_instance);
    return true;
  }
  *count =
    holt_replica_explain(call->instance->replica, holt_key_bytes(&call->key),
                         holt_key_size(&call->key), rows, LOOKUP_FEW);
  bool room = *count <= LOOKUP_FEW;
  for (size_t i = 0; room && i < *count; i++) {
    room = !rows[i].visible || list_holder(list, &rows[i].view);
  }
  nif_read_unlock(call->instance);
  *answer = nif_entries_answer(list->env, &list->values, list->list);
  return room;
}

static ERL_NIF_TERM
lookup_entries(struct nif_call *call, bool terms, const char *name, nif_fn fn,
               int argc, const ERL_NIF_TERM argv[])
{
  struct nif_list list;
  ERL_NIF_TERM answer;
  size_t count = 0;
  nif_list_init(&list, call->env, call->instance);
  list.values.terms = terms;
  if (lookup_few(call, &list, &count, &answer)) {
    nif_call_end(call);
    return answer;
  }
  if (count > CALL_NAMES && nif_on_normal_scheduler()) {
    nif_call_end(call);
    return nif_go_dirty(call->env, name, fn, argc, argv);
  }
  nif_list_init(&list, call->env, call->instance);
  list.values.terms = terms;
  const int rv = nif_tour_key(&list, call, list_holder, &list);
  nif_call_end(call);
  return nif_list_answer(&list, rv, name, fn, argc, argv);
}

/* Many entries, or a heavy value, on a dirty scheduler. */
static ERL_NIF_TERM
lookup(ErlNifEnv *env, bool terms, const char *name, nif_fn fn, int argc,
       const ERL_NIF_TERM argv[])
{
  struct nif_call call;
  ERL_NIF_TERM answer;
  if (!nif_call_begin(&call, env, argc, argv, name, fn, &answer)) {
    return answer;
  }
  if (call.instance->duplicate) {
    return lookup_entries(&call, terms, name, fn, argc, argv);
  }
  if (!nif_read_lock(call.instance)) {
    return nif_call_closed(&call);
  }
  struct nif_list list;
  struct holt_view view;
  nif_list_init(&list, env, call.instance);
  list.values.terms = terms;
  if (nif_call_find(&call, &view)) {
    (void)list_holder(&list, &view);
  }
  end_reading(&call);
  return nif_list_answer(&list, list.heavy ? NIF_NEEDS_DIRTY : 0, name, fn,
                         argc, argv);
}

/* lookup(Name, Key) -> [{Pid, ValueBin}] | {invalid, Reason}. */
ERL_NIF_TERM
nif_lookup(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  return lookup(env, false, "lookup", nif_lookup, argc, argv);
}

/* read(Name, Key) -> [{Pid, Value}] | {mixed, [{Pid, Value} |
 *     {Pid, ValueBin, encoded}]} | {invalid, Reason}. */
ERL_NIF_TERM
nif_read(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  return lookup(env, true, "read", nif_read, argc, argv);
}

/* fetch(Name, Key, Pid) -> {ValueBin, Seq} | none | {invalid, Reason}. */
ERL_NIF_TERM
nif_fetch(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  ErlNifPid pid;
  if (enif_get_local_pid(env, argv[2], &pid) == 0) {
    return enif_make_badarg(env);
  }
  struct nif_call call;
  ERL_NIF_TERM answer;
  if (!nif_call_begin(&call, env, argc, argv, "fetch", nif_fetch, &answer)) {
    return answer;
  }
  if (!nif_read_lock(call.instance)) {
    return nif_call_closed(&call);
  }
  struct holt_view view;
  const bool found = nif_call_find_own(&call, &pid, &view);
  const bool heavy = found && nif_too_heavy(view.value_size);
  answer = nif_atoms.none;
  if (found && !heavy) {
    answer = enif_make_tuple2(env, nif_binary(env, view.value, view.value_size),
                              enif_make_uint64(env, view.seq));
  }
  end_reading(&call);
  return heavy ? nif_go_dirty(env, "fetch", nif_fetch, argc, argv) : answer;
}

/* Whose entries are looked for, and where. */
struct entries {
  struct nif_list list;
  const struct holt_key *key;
  uint64_t host;
};

static bool
list_entry(void *user, const struct holt_view *view)
{
  struct entries *const entries = user;
  ErlNifEnv *const env = entries->list.env;
  const size_t key_size = holt_key_size(entries->key);
  if (!view->local || view->host != entries->host ||
      view->key_size != key_size ||
      memcmp(view->key, holt_key_bytes(entries->key), key_size) != 0) {
    return true;
  }
  if (!nif_list_room(&entries->list, view)) {
    return false;
  }
  nif_list_add(&entries->list,
               enif_make_tuple3(env,
                                nif_binary(env, view->value, view->value_size),
                                enif_make_uint64(env, view->birth),
                                enif_make_uint64(env, view->seq)));
  return true;
}

/* entries(Name, Key, Pid) -> [{ValueBin, Birth, Seq}] | {invalid, Reason}.
 *
 * Of duplicate keys there are more rows of the key than of the process, of
 * unique ones the other way round.  Many on a dirty scheduler. */
ERL_NIF_TERM
nif_entries(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  ErlNifPid pid;
  struct nif_process process;
  if (enif_get_local_pid(env, argv[2], &pid) == 0 ||
      !nif_process_of(env, argv[2], &process)) {
    return enif_make_badarg(env);
  }
  struct nif_call call;
  ERL_NIF_TERM answer;
  if (!nif_call_begin(&call, env, argc, argv, "entries", nif_entries,
                      &answer)) {
    return answer;
  }
  struct entries entries = { .key = &call.key, .host = nif_host_of(&pid) };
  nif_list_init(&entries.list, env, call.instance);
  const int rv = call.instance->duplicate
                   ? nif_tour_process(&entries.list, call.instance,
                                      &process.process, list_entry, &entries)
                   : nif_tour_key(&entries.list, &call, list_entry, &entries);
  nif_call_end(&call);
  return nif_list_answer(&entries.list, rv, "entries", nif_entries, argc, argv);
}

/* count_key(Name, Key) -> N | {invalid, Reason}. */
ERL_NIF_TERM
nif_count_key(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  struct nif_call call;
  ERL_NIF_TERM answer;
  if (!nif_call_begin(&call, env, argc, argv, "count_key", nif_count_key,
                      &answer)) {
    return answer;
  }
  if (!nif_read_lock(call.instance)) {
    return nif_call_closed(&call);
  }
  struct holt_view view;
  size_t count = 0;
  if (call.instance->duplicate) {
    count =
      holt_replica_count_key(call.instance->replica, holt_key_bytes(&call.key),
                             holt_key_size(&call.key), NULL, 0);
  } else if (nif_call_find(&call, &view) &&
             nif_view_found(env, call.instance, &view)) {
    count = 1;
  }
  end_reading(&call);
  return enif_make_uint64(env, count);
}

/*--------------------------------------------------------------------
 * Many names */

/* count(Name) -> N | {invalid, Reason}. */
ERL_NIF_TERM
nif_count(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_instance *const instance = nif_read_begin(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const ERL_NIF_TERM answer =
    enif_make_uint64(env, holt_replica_count_entries(instance->replica));
  nif_read_end(instance);
  return answer;
}

/* count_node(Name, Node) -> N | {invalid, no_instance}. */
ERL_NIF_TERM
nif_count_node(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_atom_bytes node;
  if (!nif_atom_bytes_of(env, argv[1], &node)) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = nif_read_begin(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  const ERL_NIF_TERM answer = enif_make_uint64(
    env, holt_replica_count_node(instance->replica, node.bytes, node.size));
  nif_read_end(instance);
  return answer;
}

static bool
list_key(void *user, const struct holt_view *view)
{
  struct nif_list *const list = user;
  ERL_NIF_TERM key;
  if (nif_view_found(list->env, list->instance, view) &&
      nif_term_of(list->env, view->key, view->key_size, &key)) {
    nif_list_add(list, key);
  }
  return true;
}

/* keys(Name, Pid) -> [Key] | {invalid, Reason}.
 *
 * A process with more than CALL_NAMES names is served on a dirty scheduler,
 * because the list alone takes longer to make than a normal one allows. */
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
  struct nif_list list;
  nif_list_init(&list, env, instance);
  const int rv =
    nif_tour_process(&list, instance, &process.process, list_key, &list);
  nif_instance_put(instance);
  return nif_list_answer(&list, rv, "keys", nif_keys, argc, argv);
}

/*--------------------------------------------------------------------
 * All names */

/* Which names a scan is for. */
struct scan {
  struct nif_list list;
  bool all;
  bool bare;           /* Nobody looks at the values. */
  bool terms;          /* Somebody does. */
  ErlNifBinary prefix; /* Of a key that is a binary. */
};

/* all | terms | bare | {prefix | terms, Bin}. */
static bool
filter_of(ErlNifEnv *env, ERL_NIF_TERM term, struct scan *scan)
{
  int arity;
  const ERL_NIF_TERM *parts;
  if (enif_get_tuple(env, term, &arity, &parts) != 0) {
    if (arity != 2 || enif_inspect_binary(env, parts[1], &scan->prefix) == 0) {
      return false;
    }
    scan->terms = parts[0] == nif_atoms.terms;
    return scan->terms || parts[0] == nif_atoms.prefix;
  }
  scan->bare = term == nif_atoms.bare;
  scan->terms = term == nif_atoms.terms;
  scan->all = scan->bare || scan->terms || term == nif_atoms.all;
  return scan->all;
}

static bool
list_name(void *user, const struct holt_view *view)
{
  struct scan *const scan = user;
  ErlNifEnv *const env = scan->list.env;
  ERL_NIF_TERM parts[ENTRY_PARTS_MAX];
  if (!nif_view_found(env, scan->list.instance, view)) {
    return true;
  }
  if (!scan->bare && nif_too_heavy(view->value_size)) {
    scan->list.heavy = true;
    return true;
  }
  if (!nif_term_of(env, view->key, view->key_size, &parts[0]) ||
      !nif_view_pid(env, view, &parts[1])) {
    return true;
  }
  if (scan->bare) {
    parts[2] = nif_atoms.undefined;
    nif_list_add(&scan->list, enif_make_tuple_from_array(env, parts, 3));
    return true;
  }
  nif_list_add(&scan->list, nif_entry(env, &scan->list.values, view, parts, 2));
  scan->list.bytes += view->value_size;
  return true;
}

static uint64_t
scan_step(struct scan *scan, const struct holt_replica *replica,
          uint64_t cursor)
{
  const uint8_t *const prefix =
    scan->prefix.size == 0 ? (const uint8_t *)"" : scan->prefix.data;
  return holt_replica_scan_prefix(replica, cursor, scan->all ? NULL : prefix,
                                  scan->all ? 0 : scan->prefix.size, list_name,
                                  scan);
}

/* Some names from the cursor on, under the lock.  True: the call goes on. */
static bool
scan_slice(struct scan *scan, const struct nif_instance *instance,
           uint64_t *cursor, ErlNifTime end)
{
  const size_t begin = scan->list.count;
  unsigned step = 0;
  do {
    *cursor = scan_step(scan, instance->replica, *cursor);
    if (*cursor == 0 || scan->list.heavy ||
        scan->list.count >= CALL_NAMES / 2 ||
        scan->list.bytes >= CALL_VALUE_BYTES ||
        scan->list.values.terms_size >= CALL_TERM_BYTES / 2) {
      return false;
    }
    step++;
  } while (step < SCAN_STEPS && scan->list.count - begin < SLICE_NAMES);
  return enif_monotonic_time(ERL_NIF_USEC) < end;
}

/* next(Name, Cursor, all | terms | bare | {prefix | terms, Bin}) ->
 *     {[{Key, Pid, ValueBin}], NextCursor | done} | {invalid, Reason}; bare:
 *     undefined in the place of the value; terms: the value, and the list or
 *     {mixed, List} as in read/2.
 *
 * From the cursor on, at a dirty scheduler, if there is a heavy value. */
ERL_NIF_TERM
nif_next(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  ErlNifUInt64 cursor;
  struct scan scan = { .all = false };
  if (enif_get_uint64(env, argv[1], &cursor) == 0 || cursor > UINT32_MAX ||
      !filter_of(env, argv[2], &scan)) {
    return enif_make_badarg(env);
  }
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  nif_list_init(&scan.list, env, instance);
  scan.list.values.terms = scan.terms;
  const ErlNifTime end = enif_monotonic_time(ERL_NIF_USEC) + SCAN_US;
  uint64_t at = cursor;
  bool open;
  bool more = true;
  do {
    open = nif_read_lock(instance);
    if (open) {
      more = scan_slice(&scan, instance, &at, end);
      nif_read_unlock(instance);
    }
  } while (open && more);
  nif_instance_put(instance);
  if (!open) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  if (scan.list.heavy) {
    return nif_go_dirty(env, "next", nif_next, argc, argv);
  }
  return enif_make_tuple2(
    env, nif_entries_answer(env, &scan.list.values, scan.list.list),
    at == 0 ? nif_atoms.done : enif_make_uint64(env, at));
}
