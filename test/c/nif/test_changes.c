/* SPDX-License-Identifier: Apache-2.0 */
/* Who watches, beside those who write; and keys that many have. */
#include <sched.h>
#include <string.h>

#include "scenario.h"

void scenario_changes(void);
void scenario_duplicates(void);

#define WRITERS 3u
#define KEYS 400u /* Of a writer. */

/* One registry with one host. */
struct room {
  struct stage stage;
  struct host host;
  atomic_uint writers_left;
};

struct writer {
  struct room *room;
  uint32_t first; /* Of its keys. */
  ErlNifPid pid;
};

static void
room_init(struct room *room, uint32_t policy)
{
  memset(room, 0, sizeof *room);
  stage_init(&room->stage, "a@host");
  host_init(&room->host, room->stage.vm, room->stage.library, "reg", NULL);
  room->host.user.policy = policy;
  host_start(&room->host);
  atomic_store(&room->writers_left, WRITERS);
}

static void
room_deinit(struct room *room)
{
  host_stop(&room->host);
  host_deinit(&room->host);
  stage_deinit(&room->stage, "reg");
}

static void
user_of(struct user *user, struct room *room)
{
  user_init(user, room->stage.vm, room->stage.library, "reg");
}

static void
writer_ends(struct room *room)
{
  if (atomic_fetch_sub_explicit(&room->writers_left, 1, memory_order_relaxed) ==
      1) {
    stage_say_done(&room->stage);
  }
}

static void
writers_begin(struct room *room, struct writer writers[WRITERS],
              void *(*write)(void *))
{
  for (uint32_t i = 0; i < WRITERS; i++) {
    writers[i] = (struct writer){ .room = room,
                                  .first = i * KEYS,
                                  .pid = fake_spawn(room->stage.vm) };
    stage_thread(&room->stage, write, &writers[i]);
  }
}

/*--------------------------------------------------------------------
 * Changes: a copy that is made of nothing else */

struct copy {
  ERL_NIF_TERM holders[WRITERS * KEYS]; /* 0: nobody. */
};

struct watcher {
  struct room *room;
  struct copy copy;
};

static void
copy_change(void *context, const struct user_change *change)
{
  struct copy *const copy = context;
  CHECK(change->type != USER_MEMBER && change->key < WRITERS * KEYS);
  ERL_NIF_TERM *const holder = &copy->holders[change->key];
  switch (change->type) {
  case USER_REGISTERED:
    CHECK(*holder == change->before);
    *holder = change->pid;
    break;
  case USER_UPDATED:
    CHECK(*holder == change->pid && change->before == change->pid);
    break;
  default:
    CHECK(*holder == change->pid && change->before == 0);
    *holder = 0;
    break;
  }
}

static void
copy_name(void *context, uint32_t key, ERL_NIF_TERM pid)
{
  struct copy *const copy = context;
  copy->holders[key] = pid;
}

/* Its names go in all ways: unregistered, with their process, to an heir. */
static void *
write_changes(void *argument)
{
  struct writer *const writer = argument;
  struct room *const room = writer->room;
  struct user user;
  user_of(&user, room);
  const uint32_t rounds = scaled(12) < 12 ? scaled(12) : 12;
  for (uint32_t round = 0; round < rounds; round++) {
    const ErlNifPid mortal = fake_spawn(user.vm);
    for (uint32_t i = 0; i < KEYS; i++) {
      const uint32_t key = writer->first + i;
      const ErlNifPid *const pid = i % 3 == 0 ? &mortal : &writer->pid;
      CHECK(user_register(&user, key, pid, i) == USER_OK);
      if (i % 5 == 0) {
        CHECK(user_update(&user, key, pid) == USER_OK);
      }
    }
    fake_exit(user.vm, &mortal);
    for (uint32_t i = 0; i < KEYS; i += 6) {
      CHECK(user_register(&user, writer->first + i, &writer->pid, i) ==
            USER_OK);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
      (void)user_unregister(&user, writer->first + i);
    }
  }
  for (uint32_t i = 0; i < KEYS; i += 2) {
    CHECK(user_register(&user, writer->first + i, &writer->pid, i) == USER_OK);
  }
  user_deinit(&user);
  writer_ends(room);
  return NULL;
}

/* Nothing is missed: more is kept than what is written here. */
static void *
watch_changes(void *argument)
{
  struct watcher *const watcher = argument;
  struct room *const room = watcher->room;
  struct user user;
  user_of(&user, room);
  uint64_t from = 0;
  bool done;
  do {
    done = stage_is_done(&room->stage);
    CHECK(user_changes(&user, &from, copy_change, &watcher->copy));
    sched_yield();
  } while (!done);
  CHECK(from > 0);
  user_deinit(&user);
  return NULL;
}

/* It reads only when it has been told that there is something to read. */
static void *
wait_for_changes(void *argument)
{
  struct watcher *const watcher = argument;
  struct room *const room = watcher->room;
  struct user user;
  user_of(&user, room);
  CHECK(user_ask(&user, "watch") != 0);
  uint64_t from = 0;
  uint64_t seen = 0;
  bool done;
  CHECK(user_changes(&user, &from, copy_change, &watcher->copy));
  do {
    done = stage_is_done(&room->stage);
    const uint64_t news = fake_messages(user.vm, &user.self);
    if (news > seen) {
      seen = news;
      CHECK(user_changes(&user, &from, copy_change, &watcher->copy));
    }
    sched_yield();
  } while (!done || fake_messages(user.vm, &user.self) > seen);
  CHECK(seen > 0);
  user_deinit(&user);
  return NULL;
}

static void
check_copy(struct room *room, const struct watcher *watcher)
{
  static struct copy now;
  memset(&now, 0, sizeof now);
  struct user user;
  user_of(&user, room);
  CHECK(user_scan(&user, copy_name, &now) == USER_OK);
  CHECK(memcmp(now.holders, watcher->copy.holders, sizeof now.holders) == 0);
  user_deinit(&user);
}

/* Who is killed on a dirty scheduler cannot tell what it has changed; the next
 * does. */
static void
news_of_the_killed(struct room *room, struct user *watcher)
{
  const uint32_t big = 63; /* A key with a big integer. */
  const ErlNifPid pid = fake_spawn(room->stage.vm);
  const uint64_t before = fake_messages(watcher->vm, &watcher->self);
  struct user doomed;
  user_of(&doomed, room);
  fake_doom(doomed.vm, &doomed.self);
  CHECK(user_register(&doomed, big, &pid, 10) == USER_KILLED);
  fake_exit(doomed.vm, &doomed.self);
  CHECK(user_register(watcher, big + 1, &pid, 10) == USER_OK);
  CHECK(fake_messages(watcher->vm, &watcher->self) == before + 1);
  CHECK(user_unregister(watcher, big) == USER_OK);
  CHECK(user_unregister(watcher, big + 1) == USER_OK);
  user_deinit(&doomed);
}

void
scenario_changes(void)
{
  static struct room room;
  static struct watcher watchers[3];
  struct writer writers[WRITERS];
  room_init(&room, 0);
  struct user user;
  user_of(&user, &room);
  CHECK(user_ask(&user, "watch") != 0);
  news_of_the_killed(&room, &user);
  writers_begin(&room, writers, write_changes);
  for (unsigned i = 0; i < 3; i++) {
    watchers[i] = (struct watcher){ .room = &room };
    stage_thread(&room.stage, i == 0 ? wait_for_changes : watch_changes,
                 &watchers[i]);
  }
  stage_join(&room.stage);
  CHECK(host_counts(&user, WRITERS * KEYS / 2));
  for (unsigned i = 0; i < 3; i++) {
    check_copy(&room, &watchers[i]);
  }
  user_deinit(&user);
  room_deinit(&room);
}

/*--------------------------------------------------------------------
 * Duplicates: all writers have entries under all keys */

#define SHARED 8u /* Keys. */

static void *
write_entries(void *argument)
{
  struct writer *const writer = argument;
  struct room *const room = writer->room;
  struct user user;
  user_of(&user, room);
  for (uint32_t round = 0; round < scaled(30); round++) {
    const ErlNifPid mortal = fake_spawn(user.vm);
    const uint32_t key = user_random(&user, SHARED);
    const uint32_t count = 1 + user_random(&user, 700);
    size_t entries;
    for (uint32_t i = 0; i < count; i++) {
      CHECK(user_register(&user, key, &writer->pid, i % 100) == USER_OK);
      CHECK(i % 10 != 0 || user_register(&user, key, &mortal, 5) == USER_OK);
    }
    CHECK(user_entries(&user, key, &writer->pid, &entries) == USER_OK);
    CHECK(entries == count);
    CHECK(user_update(&user, key, &writer->pid) == USER_OK);
    fake_exit(user.vm, &mortal);
    CHECK(user_leave(&user, key, &writer->pid) == USER_OK);
    CHECK(user_leave(&user, key, &writer->pid) == USER_NONE);
    CHECK(user_entries(&user, key, &writer->pid, &entries) == USER_OK);
    CHECK(entries == 0);
  }
  for (uint32_t key = 0; key < SHARED; key++) {
    CHECK(user_register(&user, key, &writer->pid, key) == USER_OK);
  }
  user_deinit(&user);
  writer_ends(room);
  return NULL;
}

struct group {
  ERL_NIF_TERM constant; /* Has one entry under each key, all the time. */
  size_t seen;
  size_t others;
};

static void
see_entry(void *context, uint32_t key, ERL_NIF_TERM pid)
{
  struct group *const group = context;
  CHECK(key < SHARED);
  *(pid == group->constant ? &group->seen : &group->others) += 1;
}

static void *
read_entries(void *argument)
{
  const struct writer *const constant = argument;
  struct room *const room = constant->room;
  struct user user;
  user_of(&user, room);
  while (!stage_is_done(&room->stage)) {
    struct group group = { .constant = constant->pid.pid };
    const uint32_t key = user_random(&user, SHARED);
    CHECK(user_holders(&user, key, see_entry, &group) == USER_OK);
    CHECK(group.seen == 1);
    if (user_random(&user, 10) == 0) {
      group.seen = 0;
      CHECK(user_scan(&user, see_entry, &group) == USER_OK);
      CHECK(group.seen == SHARED);
    }
    size_t keys;
    CHECK(user_keys(&user, &constant->pid, NULL, NULL, &keys) == USER_OK);
    CHECK(keys == SHARED);
  }
  user_deinit(&user);
  return NULL;
}

void
scenario_duplicates(void)
{
  static struct room room;
  struct writer writers[WRITERS];
  room_init(&room, 2);
  struct user user;
  user_of(&user, &room);
  struct writer constant = { .room = &room, .pid = fake_spawn(room.stage.vm) };
  for (uint32_t key = 0; key < SHARED; key++) {
    CHECK(user_register(&user, key, &constant.pid, key) == USER_OK);
  }
  writers_begin(&room, writers, write_entries);
  stage_thread(&room.stage, read_entries, &constant);
  stage_thread(&room.stage, read_entries, &constant);
  stage_join(&room.stage);
  CHECK(host_counts(&user, SHARED * (WRITERS + 1)));
  user_deinit(&user);
  room_deinit(&room);
}
