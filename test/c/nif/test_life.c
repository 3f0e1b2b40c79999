/* SPDX-License-Identifier: Apache-2.0 */
/* Instances and versions of the library come and go under those who use them.
 */
#include <sched.h>
#include <string.h>

#include "scenario.h"

void scenario_life(void);
void scenario_upgrade(void);

#define INSTANCES 3u
#define USERS 4u
#define KEYS 2000u

static const char *const names[INSTANCES] = { "red", "green", "blue" };

/*--------------------------------------------------------------------
 * Instances */

struct life {
  struct stage stage;
  atomic_uint managers_left;
};

struct manager {
  struct life *life;
  const char *name;
};

/* What one instance sees of its life while it is open. */
static void
live(struct user *user, uint32_t round)
{
  const ErlNifPid owner = fake_spawn(user->vm);
  const ErlNifPid mortal = fake_spawn(user->vm);
  ERL_NIF_TERM pid = 0;
  const uint32_t count = 300;
  for (uint32_t i = 0; i < count; i++) {
    CHECK(user_register(user, KEYS + i, &owner, i) == USER_OK);
    (void)user_register(user, i, &mortal, 10);
    CHECK(user_lookup(user, KEYS + i, &pid) == USER_OK && pid == owner.pid);
    if (i % 50 == 0) {
      (void)user_ask(user, "poll");
      fake_env_clear(user->env);
    }
  }
  if (round % 4 == 1) {
    CHECK(user_ask_with(user, "goodbye", fake_atom("paused", 6)) ==
          fake_atom("ok", 2));
    CHECK(user_ask(user, "resume") == fake_atom("ok", 2));
  }
  if (round % 4 == 2) {
    CHECK(user_ask(user, "renode") == fake_atom("ok", 2));
    CHECK(user_lookup(user, KEYS, &pid) == USER_OK && pid == owner.pid);
  }
  if (round % 2 == 0) {
    fake_exit(user->vm, &mortal);
  }
}

static void *
manage(void *argument)
{
  struct manager *const manager = argument;
  struct life *const life = manager->life;
  struct user user;
  user_init(&user, life->stage.vm, life->stage.library, manager->name);
  for (uint32_t round = 0; round < scaled(30); round++) {
    CHECK(user_open(&user) == USER_OK);
    live(&user, round);
    CHECK(user_close(&user) == USER_OK);
    ERL_NIF_TERM pid;
    CHECK(user_whereis(&user, KEYS, &pid) == USER_CLOSED);
    while (round % 3 != 0 && user_sweep(&user)) {
    }
  }
  user_deinit(&user);
  if (atomic_fetch_sub_explicit(&life->managers_left, 1,
                                memory_order_relaxed) == 1) {
    stage_say_done(&life->stage);
  }
  return NULL;
}

static void
see_nothing(void *context, uint32_t key, ERL_NIF_TERM pid)
{
  (void)context;
  (void)key;
  (void)pid;
}

/* Whatever the call is, the instance may be gone before, in it, and after. */
static void
use(struct user *user, const ErlNifPid *owner)
{
  static const char *const questions[] = { "info", "head", "watch", "census",
                                           "members" };
  ERL_NIF_TERM pid;
  uint64_t count;
  size_t keys;
  const uint32_t key = user_random(user, KEYS);
  switch (user_random(user, 10)) {
  case 0:
    (void)user_scan(user, see_nothing, NULL);
    break;
  case 1:
    (void)user_keys(user, owner, NULL, NULL, &keys);
    break;
  case 2:
    (void)user_count(user, &count);
    (void)fake_call(user->env, "instances", 0, NULL);
    break;
  case 3:
    (void)user_ask(user, questions[user_random(user, 5)]);
    break;
  case 4:
    (void)user_unregister(user, key);
    break;
  case 5:
    (void)user_read(user);
    break;
  case 6:
    (void)user_register(user, key, owner, 30);
    break;
  case 7:
    (void)user_update(user, key, owner);
    break;
  default:
    (void)user_lookup(user, key, &pid);
    (void)user_whereis(user, key, &pid);
    break;
  }
  fake_env_clear(user->env);
}

static void *
use_all(void *argument)
{
  struct life *const life = argument;
  struct user user;
  user_init(&user, life->stage.vm, life->stage.library, names[0]);
  ErlNifPid owner = fake_spawn(user.vm);
  for (uint32_t i = 0; !stage_is_done(&life->stage); i++) {
    const char *const name = names[user_random(&user, INSTANCES)];
    user.instance = fake_atom(name, strlen(name));
    use(&user, &owner);
    if (i % 1000 == 999) { /* With names in instances that are closed, too. */
      fake_exit(user.vm, &owner);
      owner = fake_spawn(user.vm);
    }
  }
  user_deinit(&user);
  return NULL;
}

void
scenario_life(void)
{
  static struct life life;
  struct manager managers[INSTANCES];
  memset(&life, 0, sizeof life);
  stage_init(&life.stage, "a@host");
  atomic_store(&life.managers_left, INSTANCES);
  for (uint32_t i = 0; i < INSTANCES; i++) {
    managers[i] = (struct manager){ .life = &life, .name = names[i] };
    stage_thread(&life.stage, manage, &managers[i]);
  }
  for (uint32_t i = 0; i < USERS; i++) {
    stage_thread(&life.stage, use_all, &life);
  }
  stage_join(&life.stage);
  stage_deinit(&life.stage, names[0]);
}

/*--------------------------------------------------------------------
 * Versions of the library */

#define VERSIONS 12u

/* Each user says which version it calls, so that an old one goes only when
 * nobody is in it: that is what the VM sees to. */
struct upgrade {
  struct stage stage;
  struct fake_library *versions[VERSIONS + 1];
  atomic_uint newest;
  atomic_uint used[USERS];
};

struct upgrader {
  struct upgrade *upgrade;
  unsigned index;
};

/* Release and acquire: as code that is loaded is seen by the VM. */
static void *
use_newest(void *argument)
{
  struct upgrader *const self = argument;
  struct upgrade *const upgrade = self->upgrade;
  for (unsigned version = 0; version < VERSIONS;) {
    version = atomic_load_explicit(&upgrade->newest, memory_order_acquire);
    atomic_store_explicit(&upgrade->used[self->index], version,
                          memory_order_release);
    struct user user;
    user_init(&user, upgrade->stage.vm, upgrade->versions[version], "red");
    const ErlNifPid owner = fake_spawn(user.vm);
    struct user manager;
    user_init(&manager, upgrade->stage.vm, upgrade->versions[version],
              names[1 + self->index % 2]);
    for (uint32_t i = 0; i < 100; i++) {
      use(&user, &owner);
      ERL_NIF_TERM pid = 0;
      CHECK(user_lookup(&user, KEYS + i, &pid) == USER_OK);
    }
    if (user_open(&manager) == USER_OK) { /* Else the other one was faster. */
      (void)user_close(&manager);
    }
    (void)user_sweep(&manager);
    fake_exit(user.vm, &owner);
    user_deinit(&user);
    user_deinit(&manager);
  }
  atomic_store_explicit(&upgrade->used[self->index], UINT32_MAX,
                        memory_order_release);
  return NULL;
}

static bool
is_used(struct upgrade *upgrade, unsigned version)
{
  bool used = false;
  for (unsigned i = 0; i < USERS; i++) {
    used = used || atomic_load_explicit(&upgrade->used[i],
                                        memory_order_acquire) <= version;
  }
  return used;
}

/* The next version comes before the last but one has gone. */
static void *
upgrade_often(void *argument)
{
  struct upgrade *const upgrade = argument;
  for (unsigned i = 0; i < VERSIONS; i++) {
    upgrade->versions[i + 1] = fake_upgrade(upgrade->versions[i]);
    atomic_store_explicit(&upgrade->newest, i + 1, memory_order_release);
    while (i > 0 && is_used(upgrade, i - 1)) {
      sched_yield();
    }
    if (i > 0) {
      fake_unload(upgrade->versions[i - 1]);
    }
  }
  return NULL;
}

void
scenario_upgrade(void)
{
  static struct upgrade upgrade;
  struct upgrader users[USERS];
  memset(&upgrade, 0, sizeof upgrade);
  stage_init(&upgrade.stage, "a@host");
  upgrade.versions[0] = upgrade.stage.library;
  struct user user;
  user_init(&user, upgrade.stage.vm, upgrade.stage.library, names[0]);
  CHECK(user_open(&user) == USER_OK);
  const ErlNifPid owner = fake_spawn(user.vm);
  for (uint32_t i = 0; i < 100; i++) {
    CHECK(user_register(&user, KEYS + i, &owner, i) == USER_OK);
  }
  user_deinit(&user);
  for (unsigned i = 0; i < USERS; i++) {
    users[i] = (struct upgrader){ .upgrade = &upgrade, .index = i };
    stage_thread(&upgrade.stage, use_newest, &users[i]);
  }
  stage_thread(&upgrade.stage, upgrade_often, &upgrade);
  stage_join(&upgrade.stage);
  fake_unload(upgrade.versions[VERSIONS - 1]);
  upgrade.stage.library = upgrade.versions[VERSIONS];
  stage_deinit(&upgrade.stage, names[0]);
}
