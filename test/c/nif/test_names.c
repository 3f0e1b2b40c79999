/* SPDX-License-Identifier: Apache-2.0 */
/* Readers beside writers, and beside deaths. */
#include <string.h>

#include "scenario.h"

void scenario_names(void);
void scenario_deaths(void);

#define STABLE 600u
#define STABLE_PIDS 10u
#define CHURN_FIRST 100000u /* Of the first writer; the next has as many. */
#define WRITERS 3u
#define READERS 3u

struct names {
  struct stage stage;
  struct host host;
  ErlNifPid pids[STABLE_PIDS];
  atomic_uint writers_left;
};

struct writer {
  struct names *names;
  uint32_t first;
  ErlNifPid pid;
  uint32_t left;
};

static const ErlNifPid *
stable_pid(const struct names *names, uint32_t key)
{
  return &names->pids[key % STABLE_PIDS];
}

/* Up, change, half down, and so on: tables grow and shrink under readers. */
static void *
write_names(void *argument)
{
  struct writer *const writer = argument;
  struct names *const names = writer->names;
  struct user user;
  user_init(&user, names->stage.vm, names->stage.library, "reg");
  const uint32_t count = scaled(2000);
  for (uint32_t round = 0; round < 3; round++) {
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t key = writer->first + i;
      const enum user_answer answer =
        user_register(&user, key, &writer->pid, i % 300);
      CHECK(answer == (round > 0 && i % 2 == 1 ? USER_TAKEN : USER_OK));
      if (i % 5 == 0) {
        CHECK(user_update(&user, key, &writer->pid) == USER_OK);
      }
    }
    for (uint32_t i = 0; i < count; i += 2) {
      CHECK(user_unregister(&user, writer->first + i) == USER_OK);
    }
  }
  writer->left = count / 2;
  user_deinit(&user);
  if (atomic_fetch_sub_explicit(&names->writers_left, 1,
                                memory_order_relaxed) == 1) {
    stage_say_done(&names->stage);
  }
  return NULL;
}

struct seen {
  const struct names *names;
  uint8_t stable[STABLE];
};

static void
see(void *context, uint32_t key, ERL_NIF_TERM pid)
{
  struct seen *const seen = context;
  if (key < STABLE) {
    seen->stable[key]++;
    CHECK(pid == stable_pid(seen->names, key)->pid);
  } else {
    CHECK(key >= CHURN_FIRST);
  }
}

static void
check_all_once(const struct seen *seen)
{
  for (uint32_t key = 0; key < STABLE; key++) {
    CHECK(seen->stable[key] == 1);
  }
}

/* What has been registered and never unregistered is always found. */
static void
read_once(struct names *names, struct user *user)
{
  const uint32_t key = user_random(user, STABLE);
  const ErlNifPid *const owner = stable_pid(names, key);
  ERL_NIF_TERM pid = 0;
  uint64_t count = 0;
  size_t keys = 0;
  struct seen seen = { .names = names };
  switch (user_random(user, 40)) {
  case 0:
    CHECK(user_scan(user, see, &seen) == USER_OK);
    check_all_once(&seen);
    break;
  case 1:
    CHECK(user_scan_binaries(user, see, &seen) == USER_OK);
    for (uint32_t i = 0; i < STABLE; i++) {
      CHECK(seen.stable[i] == (user_key_is_binary(i) ? 1 : 0));
    }
    break;
  case 2:
    CHECK(user_keys(user, owner, NULL, NULL, &keys) == USER_OK);
    CHECK(keys == STABLE / STABLE_PIDS);
    break;
  case 3:
    CHECK(user_ask(user, "info") != 0);
    CHECK(user_ask(user, "members") != 0);
    CHECK(user_ask(user, "in_sync") != 0);
    fake_env_clear(user->env);
    break;
  case 4:
    CHECK(user_count(user, &count) == USER_OK && count >= STABLE);
    break;
  case 5:
    CHECK(user_update(user, key, owner) != USER_CLOSED);
    break;
  default:
    CHECK(user_whereis(user, key, &pid) == USER_OK && pid == owner->pid);
    CHECK(user_lookup(user, key, &pid) == USER_OK && pid == owner->pid);
    (void)user_lookup(user, CHURN_FIRST + user_random(user, 2000), &pid);
    break;
  }
}

static void *
read_names(void *argument)
{
  struct names *const names = argument;
  struct user user;
  user_init(&user, names->stage.vm, names->stage.library, "reg");
  while (!stage_is_done(&names->stage)) {
    read_once(names, &user);
  }
  user_deinit(&user);
  return NULL;
}

static void
names_init(struct names *names)
{
  memset(names, 0, sizeof *names);
  stage_init(&names->stage, "a@host");
  host_init(&names->host, names->stage.vm, names->stage.library, "reg", NULL);
  host_start(&names->host);
  struct user user;
  user_init(&user, names->stage.vm, names->stage.library, "reg");
  for (uint32_t i = 0; i < STABLE_PIDS; i++) {
    names->pids[i] = fake_spawn(names->stage.vm);
  }
  for (uint32_t key = 0; key < STABLE; key++) {
    CHECK(user_register(&user, key, stable_pid(names, key), key % 100) ==
          USER_OK);
  }
  user_deinit(&user);
}

static void
names_deinit(struct names *names)
{
  host_stop(&names->host);
  host_deinit(&names->host);
  stage_deinit(&names->stage, "reg");
}

void
scenario_names(void)
{
  static struct names names;
  struct writer writers[WRITERS];
  names_init(&names);
  atomic_store(&names.writers_left, WRITERS);
  for (uint32_t i = 0; i < WRITERS; i++) {
    writers[i] = (struct writer){ .names = &names,
                                  .first = CHURN_FIRST * (i + 1),
                                  .pid = fake_spawn(names.stage.vm) };
    stage_thread(&names.stage, write_names, &writers[i]);
  }
  for (uint32_t i = 0; i < READERS; i++) {
    stage_thread(&names.stage, read_names, &names);
  }
  stage_join(&names.stage);
  struct user user;
  user_init(&user, names.stage.vm, names.stage.library, "reg");
  uint64_t expected = STABLE;
  size_t keys;
  for (uint32_t i = 0; i < WRITERS; i++) {
    expected += writers[i].left;
    CHECK(user_keys(&user, &writers[i].pid, NULL, NULL, &keys) == USER_OK);
    CHECK(keys == writers[i].left);
  }
  CHECK(host_counts(&user, expected));
  user_deinit(&user);
  names_deinit(&names);
}

/*--------------------------------------------------------------------
 * Deaths */

#define MORTALS_MAX 1500u
#define MORTAL_KEYS 20u
#define MORTAL_FIRST CHURN_FIRST

struct deaths {
  struct names names;
  uint32_t mortals_count;
  ErlNifPid mortals[MORTALS_MAX];
  ErlNifPid heir;
  atomic_uint next; /* To end. */
};

static uint32_t
mortal_key(uint32_t mortal, uint32_t n)
{
  return MORTAL_FIRST + mortal * MORTAL_KEYS + n;
}

/* Each ends in its turn; its first name goes to another at once. */
static void *
kill_mortals(void *argument)
{
  struct deaths *const deaths = argument;
  struct stage *const stage = &deaths->names.stage;
  struct user user;
  user_init(&user, stage->vm, stage->library, "reg");
  for (uint32_t i = 0; i < deaths->mortals_count; i++) {
    atomic_store_explicit(&deaths->next, i, memory_order_relaxed);
    fake_exit(stage->vm, &deaths->mortals[i]);
    CHECK(user_register(&user, mortal_key(i, 0), &deaths->heir, 10) == USER_OK);
    CHECK(user_register(&user, mortal_key(i, 1), &deaths->mortals[i], 10) ==
          USER_DEAD);
  }
  user_deinit(&user);
  stage_say_done(stage);
  return NULL;
}

/* Who is dead before a call begins is not in its answer. */
static void
see_mortal(struct deaths *deaths, struct user *user, uint32_t mortal)
{
  const ErlNifPid *const owner = &deaths->mortals[mortal];
  const uint32_t n = user_random(user, MORTAL_KEYS);
  ERL_NIF_TERM pid = 0;
  const bool before = fake_is_alive(user->vm, owner);
  const enum user_answer answer =
    user_random(user, 2) == 0 ? user_whereis(user, mortal_key(mortal, n), &pid)
                              : user_lookup(user, mortal_key(mortal, n), &pid);
  const bool after = fake_is_alive(user->vm, owner);
  CHECK(answer == USER_OK || answer == USER_NONE);
  CHECK(answer != USER_OK || pid == owner->pid ||
        (n == 0 && pid == deaths->heir.pid));
  if (!before) {
    CHECK(answer == USER_NONE || pid != owner->pid);
  }
  if (after) {
    CHECK(answer == USER_OK && pid == owner->pid);
  }
}

struct corpses {
  struct deaths *deaths;
  bool dead[MORTALS_MAX]; /* Before the scan began. */
};

static void
see_alive(void *context, uint32_t key, ERL_NIF_TERM pid)
{
  const struct corpses *const corpses = context;
  const struct deaths *const deaths = corpses->deaths;
  if (key >= MORTAL_FIRST) {
    const uint32_t mortal = (key - MORTAL_FIRST) / MORTAL_KEYS;
    CHECK(mortal < deaths->mortals_count);
    CHECK(!corpses->dead[mortal] || pid != deaths->mortals[mortal].pid);
  }
}

static void *
watch_mortals(void *argument)
{
  struct deaths *const deaths = argument;
  struct user user;
  user_init(&user, deaths->names.stage.vm, deaths->names.stage.library, "reg");
  while (!stage_is_done(&deaths->names.stage)) {
    uint32_t mortal = user_random(&user, deaths->mortals_count);
    if (user_random(&user, 2) == 0) {
      mortal = atomic_load_explicit(&deaths->next, memory_order_relaxed);
    }
    see_mortal(deaths, &user, mortal);
    if (user_random(&user, 50) == 0) {
      struct corpses corpses = { .deaths = deaths };
      for (uint32_t i = 0; i < deaths->mortals_count; i++) {
        corpses.dead[i] = !fake_is_alive(user.vm, &deaths->mortals[i]);
      }
      CHECK(user_scan(&user, see_alive, &corpses) == USER_OK);
    }
    if (user_random(&user, 20) == 0) {
      const bool before = fake_is_alive(user.vm, &deaths->mortals[mortal]);
      size_t keys;
      CHECK(user_keys(&user, &deaths->mortals[mortal], NULL, NULL, &keys) ==
            USER_OK);
      CHECK(before || keys == 0);
    }
  }
  user_deinit(&user);
  return NULL;
}

static void
mortals_begin(struct deaths *deaths)
{
  struct stage *const stage = &deaths->names.stage;
  struct user user;
  user_init(&user, stage->vm, stage->library, "reg");
  deaths->mortals_count = scaled(MORTALS_MAX);
  if (deaths->mortals_count > MORTALS_MAX) {
    deaths->mortals_count = MORTALS_MAX;
  }
  deaths->heir = fake_spawn(stage->vm);
  for (uint32_t i = 0; i < deaths->mortals_count; i++) {
    deaths->mortals[i] = fake_spawn(stage->vm);
    for (uint32_t n = 0; n < MORTAL_KEYS; n++) {
      CHECK(user_register(&user, mortal_key(i, n), &deaths->mortals[i], n) ==
            USER_OK);
    }
  }
  user_deinit(&user);
}

void
scenario_deaths(void)
{
  static struct deaths deaths;
  names_init(&deaths.names);
  mortals_begin(&deaths);
  stage_thread(&deaths.names.stage, kill_mortals, &deaths);
  for (uint32_t i = 0; i < READERS; i++) {
    stage_thread(&deaths.names.stage, watch_mortals, &deaths);
  }
  stage_thread(&deaths.names.stage, read_names, &deaths.names);
  stage_join(&deaths.names.stage);
  struct user user;
  user_init(&user, deaths.names.stage.vm, deaths.names.stage.library, "reg");
  CHECK(host_counts(&user, STABLE + deaths.mortals_count));
  user_deinit(&user);
  names_deinit(&deaths.names);
}
