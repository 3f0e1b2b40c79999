/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_enif.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TYPES_MAX 4u

ErlNifEntry *nif_init(void);

/* A process that a resource watches.  It keeps the memory of the resource, but
 * not the resource. */
struct watch {
  struct watch *next;
  struct resource *resource;
};

struct process {
  atomic_bool alive;
  atomic_bool doomed;
  atomic_uint_fast64_t messages;
  pthread_mutex_t running; /* Held in a call on a normal scheduler. */
  pthread_mutex_t lock;    /* Of watches. */
  struct watch *watches;
};

struct enif_resource_type_t {
  char name[32];
  struct fake_vm *vm;
  _Atomic(struct fake_library *) library; /* The last to take it over. */
  ErlNifResourceTypeInit init;
};

struct resource {
  atomic_long strong; /* References of the NIF. */
  atomic_long weak;   /* Of the memory: one for all those, one per watch. */
  struct enif_resource_type_t *type;
  _Alignas(16) unsigned char object[];
};

struct fake_vm {
  const char *node;
  uint32_t creation;
  atomic_uint spawned;
  bool loading;
  size_t types_count;
  struct enif_resource_type_t types[TYPES_MAX];
  struct process processes[FAKE_PROCESSES_MAX];
};

struct fake_library {
  struct fake_vm *vm;
  ErlNifEntry *entry;
  void *priv_data;
};

struct block {
  struct block *next;
  _Alignas(16) unsigned char bytes[];
};

struct enif_environment_t {
  struct fake_library *library;
  ErlNifPid self;
  struct block *blocks;
  ERL_NIF_TERM (*next)(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
  int next_flags;
  int next_argc;
  ERL_NIF_TERM next_argv[8];
};

static _Thread_local int thread_type = ERL_NIF_THR_UNDEFINED;
static atomic_long blocks;

_Noreturn void
fake_die(const char *what)
{
  fprintf(stderr, "fake VM: %s\n", what);
  abort();
}

static void
count(long difference)
{
  atomic_fetch_add_explicit(&blocks, difference, memory_order_relaxed);
}

long
fake_blocks(void)
{
  return atomic_load_explicit(&blocks, memory_order_relaxed);
}

static void *
must(void *memory)
{
  if (memory == NULL) {
    fake_die("out of memory");
  }
  return memory;
}

/*--------------------------------------------------------------------
 * Memory */

void *
enif_alloc(size_t size)
{
  count(1);
  return must(malloc(size));
}

void *
enif_realloc(void *ptr, size_t size)
{
  return must(realloc(ptr, size));
}

void
enif_free(void *ptr)
{
  if (ptr != NULL) {
    count(-1);
  }
  free(ptr);
}

/*--------------------------------------------------------------------
 * Locks.  Writers go first: else readers that never rest would keep them out,
 * which those of the VM do not.  Who unlocks steps back now and then, so that
 * those who wait get in between, on a machine with few cores, too; who is dead
 * steps back for long, and its clock stands, so that it does not give up. */

static _Thread_local ErlNifTime dead_since_ns; /* 0: it is not. */

static void
step_back(void)
{
  static _Thread_local unsigned unlocks;
  unlocks++;
  const unsigned turns = dead_since_ns != 0 ? 50 : unlocks % 4 == 0;
  for (unsigned i = 0; i < turns; i++) {
    sched_yield();
  }
}

ErlNifMutex *
enif_mutex_create(char *name)
{
  (void)name;
  pthread_mutex_t *const mutex = must(malloc(sizeof *mutex));
  pthread_mutex_init(mutex, NULL);
  count(1);
  return (ErlNifMutex *)mutex;
}

void
enif_mutex_destroy(ErlNifMutex *mutex)
{
  count(-1);
  if (pthread_mutex_destroy((pthread_mutex_t *)mutex) != 0) {
    fake_die("a mutex is destroyed while it is held");
  }
  free(mutex);
}

void
enif_mutex_lock(ErlNifMutex *mutex)
{
  pthread_mutex_lock((pthread_mutex_t *)mutex);
}

void
enif_mutex_unlock(ErlNifMutex *mutex)
{
  pthread_mutex_unlock((pthread_mutex_t *)mutex);
  step_back();
}

ErlNifRWLock *
enif_rwlock_create(char *name)
{
  (void)name;
  pthread_rwlock_t *const lock = must(malloc(sizeof *lock));
  pthread_rwlockattr_t attr;
  pthread_rwlockattr_init(&attr);
#ifdef __GLIBC__
  pthread_rwlockattr_setkind_np(&attr,
                                PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
  pthread_rwlock_init(lock, &attr);
  pthread_rwlockattr_destroy(&attr);
  count(1);
  return (ErlNifRWLock *)lock;
}

void
enif_rwlock_destroy(ErlNifRWLock *lock)
{
  count(-1);
  if (pthread_rwlock_destroy((pthread_rwlock_t *)lock) != 0) {
    fake_die("a lock is destroyed while it is held");
  }
  free(lock);
}

void
enif_rwlock_rlock(ErlNifRWLock *lock)
{
  pthread_rwlock_rdlock((pthread_rwlock_t *)lock);
}

void
enif_rwlock_runlock(ErlNifRWLock *lock)
{
  pthread_rwlock_unlock((pthread_rwlock_t *)lock);
  step_back();
}

void
enif_rwlock_rwlock(ErlNifRWLock *lock)
{
  pthread_rwlock_wrlock((pthread_rwlock_t *)lock);
}

void
enif_rwlock_rwunlock(ErlNifRWLock *lock)
{
  pthread_rwlock_unlock((pthread_rwlock_t *)lock);
}

/*--------------------------------------------------------------------
 * Time */

static ErlNifTime
in_unit(ErlNifTime ns, ErlNifTimeUnit unit)
{
  switch (unit) {
  case ERL_NIF_SEC:
    return ns / 1000000000;
  case ERL_NIF_MSEC:
    return ns / 1000000;
  case ERL_NIF_USEC:
    return ns / 1000;
  case ERL_NIF_NSEC:
    break;
  }
  return ns;
}

static ErlNifTime
clock_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (ErlNifTime)now.tv_sec * 1000000000 + now.tv_nsec;
}

ErlNifTime
enif_monotonic_time(ErlNifTimeUnit unit)
{
  return in_unit(dead_since_ns != 0 ? dead_since_ns : clock_ns(), unit);
}

ErlNifTime
enif_time_offset(ErlNifTimeUnit unit)
{
  return in_unit((ErlNifTime)1700000000 * 1000000000, unit);
}

/*--------------------------------------------------------------------
 * Nodes and libraries */

struct fake_vm *
fake_vm_new(const char *node, uint32_t creation)
{
  struct fake_vm *const vm = must(calloc(1, sizeof *vm));
  vm->node = node;
  vm->creation = creation;
  return vm;
}

static unsigned
spawned(struct fake_vm *vm)
{
  return atomic_load_explicit(&vm->spawned, memory_order_relaxed);
}

void
fake_vm_delete(struct fake_vm *vm)
{
  for (unsigned i = 0; i < spawned(vm); i++) {
    struct process *const process = &vm->processes[i];
    if (process->watches != NULL) {
      fake_die("a node ends before its processes");
    }
    pthread_mutex_destroy(&process->running);
    pthread_mutex_destroy(&process->lock);
  }
  free(vm);
}

static struct fake_library *
library_new(struct fake_vm *vm)
{
  struct fake_library *const library = must(calloc(1, sizeof *library));
  library->vm = vm;
  library->entry = nif_init();
  return library;
}

struct fake_library *
fake_load(struct fake_vm *vm)
{
  struct fake_library *const library = library_new(vm);
  ErlNifEnv env = { .library = library };
  if (library->entry->load(&env, &library->priv_data, 0) != 0) {
    fake_die("load failed");
  }
  return library;
}

struct fake_library *
fake_upgrade(struct fake_library *old)
{
  struct fake_library *const library = library_new(old->vm);
  ErlNifEnv env = { .library = library };
  if (library->entry->upgrade(&env, &library->priv_data, &old->priv_data, 0) !=
      0) {
    fake_die("upgrade failed");
  }
  return library;
}

void
fake_unload(struct fake_library *library)
{
  ErlNifEnv env = { .library = library };
  library->entry->unload(&env, library->priv_data);
  free(library);
}

void *
enif_priv_data(ErlNifEnv *env)
{
  return env->library->priv_data;
}

/*--------------------------------------------------------------------
 * Processes */

static struct process *
process_of(struct fake_vm *vm, const ErlNifPid *pid)
{
  const ERL_NIF_TERM number = pid->pid >> 4;
  if ((pid->pid & 15) != 3 || number >= spawned(vm)) {
    fake_die("no local pid");
  }
  return &vm->processes[number];
}

ErlNifPid
fake_spawn(struct fake_vm *vm)
{
  const unsigned number =
    atomic_fetch_add_explicit(&vm->spawned, 1, memory_order_relaxed);
  if (number >= FAKE_PROCESSES_MAX) {
    fake_die("too many processes");
  }
  struct process *const process = &vm->processes[number];
  pthread_mutex_init(&process->running, NULL);
  pthread_mutex_init(&process->lock, NULL);
  atomic_store_explicit(&process->alive, true, memory_order_relaxed);
  return (ErlNifPid){ .pid = (ERL_NIF_TERM)number << 4 | 3 };
}

static void
weak_drop(struct resource *resource)
{
  if (atomic_fetch_sub_explicit(&resource->weak, 1, memory_order_release) ==
      1) {
    (void)atomic_load_explicit(&resource->weak, memory_order_acquire);
    free(resource);
  }
}

/* A reference, if there are any. */
static bool
try_keep(struct resource *resource)
{
  long strong = atomic_load_explicit(&resource->strong, memory_order_relaxed);
  while (strong > 0) {
    if (atomic_compare_exchange_weak_explicit(&resource->strong, &strong,
                                              strong + 1, memory_order_relaxed,
                                              memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

static ErlNifEnv
env_of_type(struct enif_resource_type_t *type)
{
  return (ErlNifEnv){ .library = atomic_load_explicit(&type->library,
                                                      memory_order_acquire) };
}

static void
env_deinit(ErlNifEnv *env)
{
  fake_env_clear(env);
}

static void
fire(struct watch *watch, const ErlNifPid *pid)
{
  struct resource *const resource = watch->resource;
  if (try_keep(resource)) {
    ErlNifEnv env = env_of_type(resource->type);
    ErlNifPid copy = *pid;
    ErlNifMonitor monitor;
    memset(&monitor, 0, sizeof monitor);
    resource->type->init.down(&env, resource->object, &copy, &monitor);
    env_deinit(&env);
    enif_release_resource(resource->object);
  }
  weak_drop(resource);
  free(watch);
}

void
fake_exit(struct fake_vm *vm, const ErlNifPid *pid)
{
  struct process *const process = process_of(vm, pid);
  pthread_mutex_lock(&process->running);
  pthread_mutex_lock(&process->lock);
  atomic_store_explicit(&process->alive, false, memory_order_relaxed);
  struct watch *watch = process->watches;
  process->watches = NULL;
  pthread_mutex_unlock(&process->lock);
  pthread_mutex_unlock(&process->running);
  /* It takes a while until somebody hears of it. */
  for (ERL_NIF_TERM turns = pid->pid >> 4 & 15; turns > 0; turns--) {
    sched_yield();
  }
  while (watch != NULL) {
    struct watch *const next = watch->next;
    fire(watch, pid);
    watch = next;
  }
}

void
fake_vm_end(struct fake_vm *vm)
{
  for (unsigned i = 0; i < spawned(vm); i++) {
    const ErlNifPid pid = { .pid = (ERL_NIF_TERM)i << 4 | 3 };
    if (fake_is_alive(vm, &pid)) {
      fake_exit(vm, &pid);
    }
  }
}

bool
fake_is_alive(struct fake_vm *vm, const ErlNifPid *pid)
{
  return atomic_load_explicit(&process_of(vm, pid)->alive,
                              memory_order_relaxed);
}

void
fake_doom(struct fake_vm *vm, const ErlNifPid *pid)
{
  atomic_store_explicit(&process_of(vm, pid)->doomed, true,
                        memory_order_relaxed);
}

uint64_t
fake_messages(struct fake_vm *vm, const ErlNifPid *pid)
{
  return atomic_load_explicit(&process_of(vm, pid)->messages,
                              memory_order_relaxed);
}

int
enif_is_process_alive(ErlNifEnv *env, ErlNifPid *pid)
{
  return fake_is_alive(env->library->vm, pid);
}

int
enif_send(ErlNifEnv *env, const ErlNifPid *to, ErlNifEnv *message_env,
          ERL_NIF_TERM message)
{
  if (message_env != NULL || enif_is_atom(env, message) == 0) {
    fake_die("only atoms are sent");
  }
  struct fake_vm *const vm = env->library->vm;
  struct process *const process = process_of(vm, to);
  if (!fake_is_alive(vm, to) ||
      (env->self.pid != 0 && !fake_is_alive(vm, &env->self))) {
    return 0; /* Who is killed on a dirty scheduler is not heard any more. */
  }
  atomic_fetch_add_explicit(&process->messages, 1, memory_order_relaxed);
  return 1;
}

ErlNifPid *
enif_self(ErlNifEnv *env, ErlNifPid *pid)
{
  *pid = env->self;
  return pid;
}

int
enif_thread_type(void)
{
  return thread_type;
}

struct fake_name
fake_node(ErlNifEnv *env, uint32_t *creation)
{
  const struct fake_vm *const vm = env->library->vm;
  *creation = vm->creation;
  return (struct fake_name){ .name = vm->node, .size = strlen(vm->node) };
}

/*--------------------------------------------------------------------
 * Resources */

ErlNifResourceType *
enif_open_resource_type_x(ErlNifEnv *env, const char *name,
                          const ErlNifResourceTypeInit *init,
                          ErlNifResourceFlags flags, ErlNifResourceFlags *tried)
{
  (void)flags;
  (void)tried;
  struct fake_vm *const vm = env->library->vm;
  struct enif_resource_type_t *type = vm->types;
  while (type < vm->types + vm->types_count && strcmp(type->name, name) != 0) {
    type++;
  }
  if (type == vm->types + vm->types_count) {
    if (vm->types_count++ == TYPES_MAX) {
      fake_die("too many resource types");
    }
    snprintf(type->name, sizeof type->name, "%s", name);
    type->vm = vm;
    type->init = *init; /* The same code whenever it is taken over. */
  }
  atomic_store_explicit(&type->library, env->library, memory_order_release);
  return type;
}

static struct resource *
resource_of(void *object)
{
  return (struct resource *)(void *)((unsigned char *)object -
                                     offsetof(struct resource, object));
}

void *
enif_alloc_resource(ErlNifResourceType *type, size_t size)
{
  struct resource *const resource = must(malloc(sizeof *resource + size));
  atomic_init(&resource->strong, 1);
  atomic_init(&resource->weak, 1);
  resource->type = type;
  count(1);
  return resource->object;
}

void
enif_keep_resource(void *object)
{
  if (atomic_fetch_add_explicit(&resource_of(object)->strong, 1,
                                memory_order_relaxed) <= 0) {
    fake_die("a resource is kept that is gone");
  }
}

void
enif_release_resource(void *object)
{
  struct resource *const resource = resource_of(object);
  if (atomic_fetch_sub_explicit(&resource->strong, 1, memory_order_release) >
      1) {
    return;
  }
  (void)atomic_load_explicit(&resource->strong, memory_order_acquire);
  ErlNifEnv env = env_of_type(resource->type);
  resource->type->init.dtor(&env, object);
  env_deinit(&env);
  count(-1);
  weak_drop(resource);
}

int
enif_monitor_process(ErlNifEnv *env, void *object, const ErlNifPid *pid,
                     ErlNifMonitor *monitor)
{
  if (monitor != NULL) {
    fake_die("monitors have no names");
  }
  struct resource *const resource = resource_of(object);
  struct process *const process = process_of(env->library->vm, pid);
  struct watch *const watch = must(malloc(sizeof *watch));
  watch->resource = resource;
  pthread_mutex_lock(&process->lock);
  const bool alive =
    atomic_load_explicit(&process->alive, memory_order_relaxed);
  if (alive) {
    atomic_fetch_add_explicit(&resource->weak, 1, memory_order_relaxed);
    watch->next = process->watches;
    process->watches = watch;
  }
  pthread_mutex_unlock(&process->lock);
  if (!alive) {
    free(watch);
  }
  return alive ? 0 : 1;
}

/*--------------------------------------------------------------------
 * Calls */

void *
fake_memory(ErlNifEnv *env, size_t size)
{
  struct block *const block = must(malloc(sizeof *block + size));
  block->next = env->blocks;
  env->blocks = block;
  return block->bytes;
}

ErlNifEnv *
fake_env_new(struct fake_library *library, const ErlNifPid *self)
{
  ErlNifEnv *const env = must(calloc(1, sizeof *env));
  env->library = library;
  env->self = *self;
  return env;
}

void
fake_env_clear(ErlNifEnv *env)
{
  while (env->blocks != NULL) {
    struct block *const block = env->blocks;
    env->blocks = block->next;
    free(block);
  }
}

void
fake_env_delete(ErlNifEnv *env)
{
  fake_env_clear(env);
  free(env);
}

ERL_NIF_TERM
enif_schedule_nif(ErlNifEnv *env, const char *name, int flags,
                  ERL_NIF_TERM (*fn)(ErlNifEnv *env, int argc,
                                     const ERL_NIF_TERM argv[]),
                  int argc, const ERL_NIF_TERM argv[])
{
  (void)name;
  env->next = fn;
  env->next_flags = flags;
  env->next_argc = argc;
  for (int i = 0; i < argc; i++) {
    env->next_argv[i] = argv[i];
  }
  return 0;
}

ERL_NIF_TERM
enif_make_badarg(ErlNifEnv *env)
{
  (void)env;
  fake_die("badarg");
}

static const ErlNifFunc *
function_of(const ErlNifEntry *entry, const char *name, int argc)
{
  for (int i = 0; i < entry->num_of_funcs; i++) {
    const ErlNifFunc *const function = &entry->funcs[i];
    if (strcmp(function->name, name) == 0 &&
        function->arity == (unsigned)argc) {
      return function;
    }
  }
  fake_die("no such function");
}

/* One step of a call.  False: the process is dead. */
static bool
run(ErlNifEnv *env, struct process *process, ERL_NIF_TERM *answer)
{
  ERL_NIF_TERM argv[8];
  memcpy(argv, env->next_argv, sizeof argv);
  ERL_NIF_TERM (*const fn)(ErlNifEnv *, int, const ERL_NIF_TERM[]) = env->next;
  env->next = NULL;
  const bool dirty = env->next_flags != 0;
  pthread_mutex_lock(&process->running);
  const bool alive =
    atomic_load_explicit(&process->alive, memory_order_relaxed);
  if (alive) {
    if (dirty) {
      if (atomic_load_explicit(&process->doomed, memory_order_relaxed)) {
        atomic_store_explicit(&process->alive, false, memory_order_relaxed);
        dead_since_ns = clock_ns();
      }
      pthread_mutex_unlock(&process->running);
    }
    thread_type =
      dirty ? ERL_NIF_THR_DIRTY_CPU_SCHEDULER : ERL_NIF_THR_NORMAL_SCHEDULER;
    *answer = fn(env, env->next_argc, argv);
    thread_type = ERL_NIF_THR_UNDEFINED;
    dead_since_ns = 0;
    if (dirty) {
      pthread_mutex_lock(&process->running);
    }
  }
  const bool ended =
    !atomic_load_explicit(&process->alive, memory_order_relaxed);
  pthread_mutex_unlock(&process->running);
  return !ended;
}

ERL_NIF_TERM
fake_call(ErlNifEnv *env, const char *name, int argc, const ERL_NIF_TERM argv[])
{
  struct fake_library *const library = env->library;
  const ErlNifFunc *const function = function_of(library->entry, name, argc);
  struct process *const process = process_of(library->vm, &env->self);
  ERL_NIF_TERM answer = 0;
  (void)enif_schedule_nif(env, name, (int)function->flags, function->fptr, argc,
                          argv);
  do {
    if (!run(env, process, &answer)) {
      env->next = NULL;
      return 0;
    }
  } while (env->next != NULL);
  return answer;
}
