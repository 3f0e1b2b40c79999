/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_instance.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "nif_atoms.h"
#include "nif_fault.h"
#include "nif_term.h"

#define TABLE_SIZE 256u

/* The layout of what an upgraded library finds. A library that does not know it
 * refuses to take over. */
#define LAYOUT 4u

struct nif_library {
  uint32_t layout;
  uint32_t users; /* Loaded versions of the library.  Locked, as is type: one
                   * may come or go while others are in use. */
  ErlNifResourceType *type;
  ErlNifRWLock *lock;
  ErlNifTime start_ms;
  struct nif_instance *table[TABLE_SIZE];
  struct nif_instance *closed;
};

static void instance_destroy(ErlNifEnv *env, void *object);
static void instance_owner_down(ErlNifEnv *env, void *object, ErlNifPid *pid,
                                ErlNifMonitor *monitor);

/*--------------------------------------------------------------------
 * Library */

static ErlNifResourceType *
open_type(ErlNifEnv *env)
{
  const ErlNifResourceTypeInit init = { .dtor = instance_destroy,
                                        .down = instance_owner_down };
  return enif_open_resource_type_x(
    env, "holt_instance", &init,
    (ErlNifResourceFlags)(ERL_NIF_RT_CREATE | ERL_NIF_RT_TAKEOVER), NULL);
}

struct nif_library *
nif_library_new(ErlNifEnv *env)
{
  struct nif_library *const library = enif_alloc(sizeof *library);
  if (library == NULL) {
    return NULL;
  }
  memset(library, 0, sizeof *library);
  library->layout = LAYOUT;
  library->users = 1;
  library->start_ms = enif_monotonic_time(ERL_NIF_MSEC);
  library->lock = enif_rwlock_create("holt_library");
  library->type = open_type(env);
  if (library->lock == NULL || library->type == NULL) {
    nif_library_release(library);
    return NULL;
  }
  return library;
}

bool
nif_library_take_over(ErlNifEnv *env, struct nif_library *library)
{
  if (library->layout != LAYOUT) {
    return false;
  }
  ErlNifResourceType *const type = open_type(env);
  if (type == NULL) {
    return false;
  }
  enif_rwlock_rwlock(library->lock);
  library->type = type;
  library->users++;
  enif_rwlock_rwunlock(library->lock);
  return true;
}

void
nif_library_release(struct nif_library *library)
{
  if (library->lock != NULL) {
    enif_rwlock_rwlock(library->lock);
    const bool used = --library->users > 0;
    enif_rwlock_rwunlock(library->lock);
    if (used) {
      return;
    }
    enif_rwlock_destroy(library->lock);
  }
  enif_free(library);
}

static struct nif_library *
library_of(ErlNifEnv *env)
{
  return enif_priv_data(env);
}

/* How wrong the wall clock is to be, for tests: said when the library is
 * loaded, beside the calls of the version before. */
static atomic_int_fast64_t wall_offset_ms;

void
nif_clock_init(ErlNifEnv *env, ERL_NIF_TERM offset_ms)
{
  ErlNifSInt64 offset = 0;
  if (enif_get_int64(env, offset_ms, &offset) == 0) {
    offset = 0;
  }
  atomic_store_explicit(&wall_offset_ms, offset, memory_order_relaxed);
}

struct holt_time
nif_now(ErlNifEnv *env)
{
  const ErlNifTime now = enif_monotonic_time(ERL_NIF_MSEC);
  const ErlNifTime wall =
    now + enif_time_offset(ERL_NIF_MSEC) +
    atomic_load_explicit(&wall_offset_ms, memory_order_relaxed);
  return (struct holt_time){ .mono_ms =
                               (uint64_t)(now - library_of(env)->start_ms),
                             .wall_ms = wall > 0 ? (uint64_t)wall : 0 };
}

ERL_NIF_TERM
nif_invalid(ErlNifEnv *env, ERL_NIF_TERM reason)
{
  return enif_make_tuple2(env, nif_atoms.invalid, reason);
}

/*--------------------------------------------------------------------
 * Table */

static struct nif_instance **
slot_of(struct nif_library *library, ERL_NIF_TERM name)
{
  /* An atom's word is its number above a tag of six bits. */
  struct nif_instance **link = &library->table[(name >> 6) & (TABLE_SIZE - 1)];
  while (*link != NULL && (*link)->name != name) {
    link = &(*link)->next;
  }
  return link;
}

struct nif_instance *
nif_instance_get(ErlNifEnv *env, ERL_NIF_TERM name)
{
  struct nif_library *const library = library_of(env);
  enif_rwlock_rlock(library->lock);
  struct nif_instance *const instance = *slot_of(library, name);
  if (instance != NULL && !nif_fault(NOT_KEPT)) {
    enif_keep_resource(instance);
  }
  enif_rwlock_runlock(library->lock);
  return instance;
}

void
nif_instance_put(struct nif_instance *instance)
{
  if (!nif_fault(NOT_KEPT)) {
    enif_release_resource(instance);
  }
}

/* Writers wait for each other at the mutex, which is cheap to wait for, and one
 * at a time for the readers. */
void
nif_lock_anyway(struct nif_instance *instance)
{
  enif_mutex_lock(instance->writers);
  enif_rwlock_rwlock(instance->lock);
}

static void
unlock(struct nif_instance *instance)
{
  enif_rwlock_rwunlock(instance->lock);
  enif_mutex_unlock(instance->writers);
}

void
nif_unlock(ErlNifEnv *env, struct nif_instance *instance)
{
  ErlNifPid process;
  const bool news = nif_watch_news(&instance->watch, &process);
  unlock(instance);
  if (news && enif_send(env, &process, NULL, nif_atoms.holt_changes) == 0 &&
      enif_is_process_alive(env, &process) != 0) {
    /* It is the caller that has been killed, on a dirty scheduler, and is not
     * heard any more: whoever unlocks next says it, at the latest a poll. */
    nif_lock_anyway(instance);
    instance->watch.news = true;
    unlock(instance);
  }
}

bool
nif_read_lock(struct nif_instance *instance)
{
  if (!nif_fault(UNLOCKED_READ)) {
    enif_rwlock_rlock(instance->lock);
  }
  if (instance->closed) {
    nif_read_unlock(instance);
    return false;
  }
  return true;
}

void
nif_read_unlock(struct nif_instance *instance)
{
  if (!nif_fault(UNLOCKED_READ)) {
    enif_rwlock_runlock(instance->lock);
  }
}

struct nif_instance *
nif_read_begin(ErlNifEnv *env, ERL_NIF_TERM name)
{
  struct nif_instance *const instance = nif_instance_get(env, name);
  if (instance != NULL && !nif_read_lock(instance)) {
    nif_instance_put(instance);
    return NULL;
  }
  return instance;
}

void
nif_read_end(struct nif_instance *instance)
{
  nif_read_unlock(instance);
  nif_instance_put(instance);
}

bool
nif_lock(struct nif_instance *instance)
{
  nif_lock_anyway(instance);
  if (instance->closed) {
    unlock(instance);
    return false;
  }
  return true;
}

bool
nif_lock_as_process(ErlNifEnv *env, struct nif_instance *instance)
{
  ErlNifPid self;
  if (enif_self(env, &self) == NULL || !nif_lock(instance)) {
    return false;
  }
  if (enif_compare_pids(&self, &instance->process) != 0) {
    nif_unlock(env, instance);
    return false;
  }
  return true;
}

void
nif_unlock_wake(ErlNifEnv *env, struct nif_instance *instance)
{
  const bool wake = holt_replica_wake(instance->replica) || instance->unheard;
  ErlNifPid process = instance->process;
  instance->unheard = false;
  nif_unlock(env, instance);
  if (nif_fault(LATE_WAKE)) {
    process = instance->process;
  }
  if (wake && enif_send(env, &process, NULL, nif_atoms.holt_wake) == 0) {
    /* It is being started again, and its successor polls as soon as it has
     * opened the instance.  Or our caller has been killed on a dirty scheduler,
     * and nobody hears of it any more. */
    nif_lock_anyway(instance);
    instance->unheard = !nif_fault(WAKE_LOST);
    nif_unlock(env, instance);
  }
}

/*--------------------------------------------------------------------
 * Open */

static bool
random_bytes(void *bytes, size_t size)
{
  return getentropy(bytes, size) == 0;
}

static bool
option_number(ErlNifEnv *env, ERL_NIF_TERM options, ERL_NIF_TERM key,
              uint64_t *out)
{
  ERL_NIF_TERM value;
  if (enif_get_map_value(env, options, key, &value) == 0) {
    return true;
  }
  ErlNifUInt64 number;
  if (enif_get_uint64(env, value, &number) == 0 || number == 0) {
    return false;
  }
  *out = number;
  return true;
}

/* A number that may be 0. */
static bool
option_count(ErlNifEnv *env, ERL_NIF_TERM options, ERL_NIF_TERM key,
             uint64_t *out)
{
  ERL_NIF_TERM value;
  ErlNifUInt64 number = *out;
  if (enif_get_map_value(env, options, key, &value) != 0 &&
      enif_get_uint64(env, value, &number) == 0) {
    return false;
  }
  *out = number;
  return true;
}

/* What an instance is opened with. */
struct options {
  struct holt_tuning tuning;
  uint64_t orphan_ms;
  uint64_t hash;
  uint64_t policy;
  uint64_t owner_only;
  uint64_t quorum;
};

static bool
policy_is_known(uint64_t policy)
{
  return policy == HOLT_POLICY_UNIQUE_KEEP_NEWEST ||
         policy == HOLT_POLICY_UNIQUE_KEEP_OLDEST ||
         policy == HOLT_POLICY_UNIQUE_CUSTOM || policy == HOLT_POLICY_DUPLICATE;
}

static bool
options_of(ErlNifEnv *env, ERL_NIF_TERM options, struct options *out)
{
  struct holt_tuning *const tuning = &out->tuning;
  holt_tuning_init(tuning);
  out->orphan_ms = 0;
  out->hash = 0;
  out->policy = HOLT_POLICY_UNIQUE_KEEP_NEWEST;
  out->owner_only = 0;
  out->quorum = 0;
  uint64_t window = tuning->window_bytes;
  uint64_t message = tuning->message_bytes_max;
  uint64_t key = tuning->key_bytes_max;
  uint64_t value = tuning->value_bytes_max;
  const bool ok =
    enif_is_map(env, options) != 0 &&
    option_number(env, options, nif_atoms.vector_interval_ms,
                  &tuning->vector_interval_ms) &&
    option_number(env, options, nif_atoms.replica_restart_ms,
                  &tuning->replica_restart_ms) &&
    option_number(env, options, nif_atoms.probe_ms, &tuning->probe_ms) &&
    option_number(env, options, nif_atoms.vouch_ms, &tuning->vouch_ms) &&
    option_number(env, options, nif_atoms.flap_ms_max, &tuning->flap_ms_max) &&
    option_number(env, options, nif_atoms.forget_after_ms,
                  &tuning->forget_after_ms) &&
    option_number(env, options, nif_atoms.clock_bound_ms,
                  &tuning->clock_bound_ms) &&
    option_number(env, options, nif_atoms.window_bytes, &window) &&
    option_number(env, options, nif_atoms.message_bytes_max, &message) &&
    option_number(env, options, nif_atoms.key_bytes_max, &key) &&
    option_number(env, options, nif_atoms.value_bytes_max, &value) &&
    option_number(env, options, nif_atoms.orphan_ms, &out->orphan_ms) &&
    option_number(env, options, nif_atoms.options_hash, &out->hash) &&
    option_number(env, options, nif_atoms.policy, &out->policy) &&
    policy_is_known(out->policy) &&
    option_count(env, options, nif_atoms.owner_only, &out->owner_only) &&
    out->owner_only <= 1 &&
    option_count(env, options, nif_atoms.quorum, &out->quorum);
  tuning->window_bytes = (size_t)window;
  tuning->message_bytes_max = (size_t)message;
  tuning->key_bytes_max = (size_t)key;
  tuning->value_bytes_max = (size_t)value;
  return ok;
}

/* Who the process's node is to others. */
static bool
member_of(ErlNifEnv *env, ERL_NIF_TERM name, const ErlNifPid *self,
          struct nif_atom_bytes *name_bytes, struct nif_process *process,
          struct holt_member *member)
{
  if (!nif_atom_bytes_of(env, name, name_bytes) ||
      !nif_process_of(env, enif_make_pid(env, self), process)) {
    return false;
  }
  *member = (struct holt_member){ .name = name_bytes->bytes,
                                  .name_size = (uint16_t)name_bytes->size,
                                  .node = process->process.node,
                                  .node_size = process->process.node_size };
  return true;
}

static bool
replica_make(ErlNifEnv *env, struct nif_instance *instance)
{
  struct nif_atom_bytes name;
  struct nif_process process;
  struct holt_config config;
  uint64_t random[4];
  if (!random_bytes(random, sizeof random) ||
      !member_of(env, instance->name, &instance->process, &name, &process,
                 &config.member)) {
    return false;
  }
  config.mem = &instance->mem;
  config.actor = random[0] | 1u;
  config.creation = process.process.creation;
  instance->actor = config.actor;
  instance->creation = config.creation;
  config.hash_seed[0] = random[1];
  config.hash_seed[1] = random[2];
  config.entropy = random[3];
  config.policy = instance->policy;
  config.tuning = instance->tuning;
  const struct holt_time now = nif_now(env);
  return holt_replica_new(&instance->replica, &config, &now) == 0;
}

void
nif_quorum_look(struct nif_instance *instance)
{
  instance->quorate = true;
  if (instance->quorum > 0) {
    struct holt_census census;
    holt_replica_census(instance->replica, &census);
    const uint64_t all =
      instance->declared > 0 ? instance->declared : census.known;
    instance->quorate = instance->quorum == NIF_MAJORITY
                          ? census.present > all / 2
                          : census.present >= instance->quorum;
  }
}

static struct nif_instance *
instance_make(ErlNifEnv *env, ERL_NIF_TERM name, const ErlNifPid *self,
              const struct options *options)
{
  struct nif_library *const library = library_of(env);
  enif_rwlock_rlock(library->lock);
  ErlNifResourceType *const type = library->type;
  enif_rwlock_runlock(library->lock);
  struct nif_instance *const instance =
    enif_alloc_resource(type, sizeof *instance);
  if (instance == NULL) {
    return NULL;
  }
  memset(instance, 0, sizeof *instance);
  instance->name = name;
  instance->process = *self;
  instance->tuning = options->tuning;
  instance->orphan_ms = options->orphan_ms;
  instance->options_hash = options->hash;
  instance->policy = options->policy;
  instance->duplicate = options->policy == HOLT_POLICY_DUPLICATE;
  instance->owner_only = options->owner_only != 0;
  instance->quorum = options->quorum;
  holt_mem_init(&instance->mem, nif_resize, NULL, 0);
  nif_watch_init(&instance->watch, &instance->mem);
  instance->writers = enif_mutex_create("holt_writers");
  instance->lock = enif_rwlock_create("holt_instance");
  if (instance->writers == NULL || instance->lock == NULL ||
      !replica_make(env, instance)) {
    enif_release_resource(instance);
    return NULL;
  }
  nif_quorum_look(instance);
  return instance;
}

void
nif_message_close(struct nif_message *message)
{
  if (message != NULL) {
    if (message->message != NULL) {
      holt_message_close(message->message);
    }
    enif_free(message);
  }
}

void
nif_message_drop(struct nif_instance *instance)
{
  nif_message_close(instance->message);
  instance->message = NULL;
}

static bool
opened_with(const struct nif_instance *instance, const struct options *options)
{
  const struct holt_tuning *const left = &instance->tuning;
  const struct holt_tuning *const right = &options->tuning;
  return instance->orphan_ms == options->orphan_ms &&
         instance->options_hash == options->hash &&
         instance->policy == options->policy &&
         instance->owner_only == (options->owner_only != 0) &&
         instance->quorum == options->quorum &&
         left->vector_interval_ms == right->vector_interval_ms &&
         left->replica_restart_ms == right->replica_restart_ms &&
         left->probe_ms == right->probe_ms &&
         left->vouch_ms == right->vouch_ms &&
         left->flap_ms_max == right->flap_ms_max &&
         left->forget_after_ms == right->forget_after_ms &&
         left->clock_bound_ms == right->clock_bound_ms &&
         left->window_bytes == right->window_bytes &&
         left->message_bytes_max == right->message_bytes_max &&
         left->key_bytes_max == right->key_bytes_max &&
         left->value_bytes_max == right->value_bytes_max;
}

/* Close an instance and take it out of the table; sweep frees it. The library's
 * lock is held, alone. */
static void
retire(struct nif_library *library, struct nif_instance **slot)
{
  struct nif_instance *const instance = *slot;
  nif_lock_anyway(instance);
  instance->closed = true;
  unlock(instance);
  *slot = instance->next;
  instance->next = library->closed;
  library->closed = instance;
}

/* {error, in_use} | adopted, or 0 when there is nothing to adopt. An instance
 * that was opened with other options is closed. */
static ERL_NIF_TERM
adopt(ErlNifEnv *env, struct nif_library *library, ERL_NIF_TERM name,
      const ErlNifPid *self, const struct options *options)
{
  ERL_NIF_TERM answer = 0;
  enif_rwlock_rwlock(library->lock);
  struct nif_instance **const slot = slot_of(library, name);
  struct nif_instance *const instance = *slot;
  if (instance != NULL && enif_compare_pids(self, &instance->process) != 0 &&
      enif_is_process_alive(env, &instance->process) != 0) {
    answer = enif_make_tuple2(env, nif_atoms.error, nif_atoms.in_use);
  } else if (instance != NULL && opened_with(instance, options)) {
    nif_lock_anyway(instance);
    instance->process = *self;
    nif_message_drop(instance);
    nif_unlock(env, instance);
    answer = nif_atoms.adopted;
  } else if (instance != NULL) {
    retire(library, slot);
  }
  enif_rwlock_rwunlock(library->lock);
  return answer;
}

/* open(Name, Options) -> ok | adopted | {error, in_use} | {invalid, Reason}.
 *
 * The calling process becomes the instance's replica process. Allocates and
 * draws random bytes, all of bounded size. */
ERL_NIF_TERM
nif_open(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_library *const library = library_of(env);
  struct options options;
  ErlNifPid self;
  if (enif_is_atom(env, argv[0]) == 0 || !options_of(env, argv[1], &options) ||
      enif_self(env, &self) == NULL) {
    return enif_make_badarg(env);
  }
  const ERL_NIF_TERM answer = adopt(env, library, argv[0], &self, &options);
  if (answer != 0) {
    return answer;
  }
  struct nif_instance *const instance =
    instance_make(env, argv[0], &self, &options);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_memory);
  }
  enif_rwlock_rwlock(library->lock);
  struct nif_instance **const slot = slot_of(library, argv[0]);
  const bool taken = *slot != NULL;
  if (!taken) {
    *slot = instance;
  }
  enif_rwlock_rwunlock(library->lock);
  if (taken) {
    enif_release_resource(instance);
    return enif_make_tuple2(env, nif_atoms.error, nif_atoms.in_use);
  }
  return nif_atoms.ok;
}

/* renode(Name) -> ok | {invalid, Reason}.
 *
 * The node has another name than when the instance was opened. */
ERL_NIF_TERM
nif_renode(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return nif_invalid(env, nif_atoms.no_instance);
  }
  struct nif_atom_bytes name;
  struct nif_process process;
  struct holt_member member;
  uint64_t actor;
  ErlNifPid self;
  ERL_NIF_TERM answer = nif_invalid(env, nif_atoms.no_instance);
  if (enif_self(env, &self) != NULL && random_bytes(&actor, sizeof actor) &&
      member_of(env, argv[0], &self, &name, &process, &member) &&
      nif_lock(instance)) {
    const struct holt_time now = nif_now(env);
    const int rv = holt_replica_rename(instance->replica, actor | 1u, &member,
                                       process.process.creation, &now);
    if (rv == 0) {
      instance->actor = actor | 1u;
      nif_watch_forget(&instance->watch);
      instance->creation = process.process.creation;
    }
    nif_unlock(env, instance);
    answer = rv == 0 ? nif_atoms.ok : nif_invalid(env, nif_atoms.no_memory);
  }
  nif_instance_put(instance);
  return answer;
}

/*--------------------------------------------------------------------
 * Goodbye */

/* goodbye(Name, ended | paused) -> ok | {invalid, no_instance}.
 *
 * What polls hand out from then on is this news for each peer. */
ERL_NIF_TERM
nif_goodbye(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  if (argv[1] != nif_atoms.ended && argv[1] != nif_atoms.paused) {
    return enif_make_badarg(env);
  }
  ERL_NIF_TERM answer = nif_invalid(env, nif_atoms.no_instance);
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return answer;
  }
  if (nif_lock(instance)) {
    const bool ended = argv[1] == nif_atoms.ended;
    instance->paused = !ended;
    holt_replica_goodbye(instance->replica,
                         ended ? HOLT_GOODBYE_ENDED : HOLT_GOODBYE_PAUSED);
    nif_unlock_wake(env, instance);
    answer = nif_atoms.ok;
  }
  nif_instance_put(instance);
  return answer;
}

/* resume(Name) -> ok | running | {invalid, no_instance}.
 *
 * ok: it was paused, and knows no peers now. */
ERL_NIF_TERM
nif_resume(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  ERL_NIF_TERM answer = nif_invalid(env, nif_atoms.no_instance);
  struct nif_instance *const instance = nif_instance_get(env, argv[0]);
  if (instance == NULL) {
    return answer;
  }
  if (nif_lock(instance)) {
    answer = nif_atoms.running;
    if (instance->paused) {
      const struct holt_time now = nif_now(env);
      holt_replica_resume(instance->replica, &now);
      instance->paused = false;
      answer = nif_atoms.ok;
    }
    nif_unlock(env, instance);
  }
  nif_instance_put(instance);
  return answer;
}

/*--------------------------------------------------------------------
 * Close */

/* close(Name) -> ok | {invalid, no_instance}. */
ERL_NIF_TERM
nif_close(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  struct nif_library *const library = library_of(env);
  enif_rwlock_rwlock(library->lock);
  struct nif_instance **const slot = slot_of(library, argv[0]);
  const bool found = *slot != NULL;
  if (found) {
    retire(library, slot);
  }
  enif_rwlock_rwunlock(library->lock);
  return found ? nif_atoms.ok : nif_invalid(env, nif_atoms.no_instance);
}

/* instances() -> [{Name, OrphanMs}]: those that are open. */
ERL_NIF_TERM
nif_instances(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  (void)argv;
  struct nif_library *const library = library_of(env);
  ERL_NIF_TERM list = enif_make_list(env, 0);
  enif_rwlock_rlock(library->lock);
  for (size_t i = 0; i < TABLE_SIZE; i++) {
    const struct nif_instance *instance = library->table[i];
    for (; instance != NULL; instance = instance->next) {
      const ERL_NIF_TERM pair = enif_make_tuple2(
        env, instance->name, enif_make_uint64(env, instance->orphan_ms));
      list = enif_make_list_cell(env, pair, list);
    }
  }
  enif_rwlock_runlock(library->lock);
  return list;
}

/* sweep() -> more | done.  Frees NIF_SWEEP_ROWS rows of a closed instance. */
ERL_NIF_TERM
nif_sweep(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
  (void)argc;
  (void)argv;
  struct nif_library *const library = library_of(env);
  enif_rwlock_rwlock(library->lock);
  struct nif_instance *const instance = library->closed;
  if (instance != NULL) {
    library->closed = instance->next;
    instance->next = NULL;
  }
  enif_rwlock_rwunlock(library->lock);
  if (instance == NULL) {
    return nif_atoms.done;
  }

  nif_lock_anyway(instance);
  const bool empty = holt_replica_drain(instance->replica, NIF_SWEEP_ROWS);
  nif_unlock(env, instance);
  if (empty) {
    enif_release_resource(instance); /* The table's reference. */
    return nif_atoms.more;
  }
  enif_rwlock_rwlock(library->lock);
  instance->next = library->closed;
  library->closed = instance;
  enif_rwlock_rwunlock(library->lock);
  return nif_atoms.more;
}

static void
instance_destroy(ErlNifEnv *env, void *object)
{
  (void)env;
  struct nif_instance *const instance = object;
  nif_message_drop(instance);
  nif_watch_deinit(&instance->watch);
  if (instance->replica != NULL) {
    holt_replica_delete(instance->replica);
  }
  if (instance->lock != NULL) {
    enif_rwlock_destroy(instance->lock);
  }
  if (instance->writers != NULL) {
    enif_mutex_destroy(instance->writers);
  }
}

/* A process with names here has ended. Runs in the exiting process, on a
 * normal scheduler: it only marks the process, and its names go in slices. */
static void
instance_owner_down(ErlNifEnv *env, void *object, ErlNifPid *pid,
                    ErlNifMonitor *monitor)
{
  (void)monitor;
  struct nif_instance *const instance = object;
  struct nif_process process;
  if (!nif_process_of(env, enif_make_pid(env, pid), &process) ||
      !nif_lock(instance)) {
    return;
  }
  holt_replica_owner_dead(instance->replica, process.process.id,
                          process.process.serial);
  nif_unlock_wake(env, instance);
}
