/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/replica.h>

#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"

struct fixture {
  struct heap heap;
  struct pair pair;
};

static void
fixture_init(struct fixture *f)
{
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2, 0);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

/* What each refusal of register says. */
static void
register_says_what_is_wrong(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_replica *const r = f.pair.replica[0];
  uint8_t key[64];
  struct holt_registration x = { .key = key,
                                 .key_size = pair_key("x", key),
                                 .id = 1 };
  CU_ASSERT_EQUAL(holt_replica_register(r, &f.pair.now, &x, NULL),
                  HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(holt_replica_owner_add(r, 1, 0, 5), 0);
  CU_ASSERT_EQUAL(holt_replica_owner_add(r, 1, 0, 5), HOLT_ERR_EXISTS);
  x.value = key;
  x.value_size = f.pair.tuning.value_bytes_max + 1;
  CU_ASSERT_EQUAL(holt_replica_register(r, &f.pair.now, &x, NULL),
                  HOLT_ERR_TOO_LARGE);
  x.value_size = 0;
  x.flags = HOLT_REGISTER_REPLACES;
  x.replaces_actor = 10;
  x.replaces_birth = 1;
  CU_ASSERT_EQUAL(holt_replica_register(r, &f.pair.now, &x, NULL),
                  HOLT_ERR_NOT_FOUND);
  x.flags = 0;
  uint64_t birth = 0;
  CU_ASSERT_EQUAL(holt_replica_register(r, &f.pair.now, &x, &birth), 0);
  CU_ASSERT_EQUAL(birth, 1);
  CU_ASSERT_EQUAL(holt_replica_register(r, &f.pair.now, &x, NULL),
                  HOLT_ERR_EXISTS);
  x.flags = HOLT_REGISTER_REPLACES;
  x.replaces_birth = 2;
  CU_ASSERT_EQUAL(holt_replica_register(r, &f.pair.now, &x, NULL),
                  HOLT_ERR_EXISTS);
  x.flags = 0;
  holt_replica_owner_dead(r, 1, 0);
  holt_replica_owner_dead(r, 1, 0);
  holt_replica_owner_dead(r, 99, 0);
  CU_ASSERT_EQUAL(holt_replica_owner_add(r, 1, 0, 5), HOLT_ERR_DEAD);
  CU_ASSERT_EQUAL(holt_replica_register(r, &f.pair.now, &x, NULL),
                  HOLT_ERR_DEAD);
  CU_ASSERT_EQUAL(r->self->version, 1);
  fixture_deinit(&f);
}

/* What each refusal of update and unregister says; a birth stays, a seq does
 * not. */
static void
update_and_unregister_say_what_is_wrong(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_replica *const r = f.pair.replica[0];
  uint8_t bytes[8] = { 0 };
  uint64_t seq = 1;
  CU_ASSERT_EQUAL(holt_replica_unregister(r, 1, &seq), HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(holt_replica_update(r, 1, &seq, NULL, 0), HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  seq = 2;
  CU_ASSERT_EQUAL(holt_replica_update(r, 1, &seq, NULL, 0), HOLT_ERR_STALE);
  seq = 1;
  CU_ASSERT_EQUAL(
    holt_replica_update(r, 1, &seq, bytes, f.pair.tuning.value_bytes_max + 1),
    HOLT_ERR_TOO_LARGE);
  CU_ASSERT_EQUAL(holt_replica_update(r, 1, &seq, NULL, 0), 0);
  CU_ASSERT_EQUAL(seq, 2);
  struct holt_view view;
  CU_ASSERT(pair_find(&f.pair, 0, "x", &view));
  CU_ASSERT_EQUAL(view.seq, 2);
  CU_ASSERT_EQUAL(view.birth, 1);
  CU_ASSERT(view.local);
  CU_ASSERT_EQUAL(view.host, 1001);
  CU_ASSERT_EQUAL(holt_replica_unregister(r, 2, &seq), HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(holt_replica_unregister(r, 1, &seq), 0);
  CU_ASSERT_EQUAL(seq, 3);
  CU_ASSERT(!pair_find(&f.pair, 0, "x", &view));

  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "y", 2), 0);
  holt_replica_owner_dead(r, 2, 0);
  seq = 4;
  CU_ASSERT_EQUAL(holt_replica_update(r, 4, &seq, NULL, 0), HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(holt_replica_unregister(r, 4, &seq), HOLT_ERR_NOT_FOUND);
  fixture_deinit(&f);
}

/* A name of a dead process is free at once; the rows go in slices. */
static void
dead_names_are_taken_over(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_replica *const r = f.pair.replica[0];
  for (unsigned i = 0; i < 300; i++) {
    char text[8];
    (void)snprintf(text, sizeof text, "%u", i);
    CU_ASSERT_EQUAL(pair_register(&f.pair, 0, text, 1), 0);
  }
  holt_replica_owner_dead(r, 1, 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "7"), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "7", 2), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "7"), 10);
  CU_ASSERT(holt_replica_wake(r));
  CU_ASSERT(!holt_replica_wake(r));
  struct holt_effect effect;
  unsigned polls = 0;
  do {
    holt_replica_poll(r, &f.pair.now, &effect);
    polls++;
  } while (effect.timeout_ms == 0 && polls < 100);
  CU_ASSERT(polls >= 3);
  CU_ASSERT_EQUAL(holt_replica_count(r), 1);
  CU_ASSERT_EQUAL(holt_replica_owner_add(r, 1, 0, 5), 0);
  holt_replica_owner_forget(r, 1, 0);
  holt_replica_owner_forget(r, 2, 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "7"), 10);
  fixture_deinit(&f);
}

static bool
count_views(void *user, const struct holt_view *view)
{
  (void)view;
  (*(size_t *)user)++;
  return true;
}

static void
scan_visits_each_name(void)
{
  struct fixture f;
  fixture_init(&f);
  for (unsigned i = 0; i < 1500; i++) {
    char text[8];
    (void)snprintf(text, sizeof text, "%u", i);
    CU_ASSERT_EQUAL_FATAL(pair_register(&f.pair, 0, text, 1), 0);
  }
  size_t visited = 0;
  uint64_t cursor = 0;
  do {
    cursor =
      holt_replica_scan(f.pair.replica[0], cursor, count_views, &visited);
  } while (cursor != 0);
  CU_ASSERT_EQUAL(visited, 1500);
  CU_ASSERT_EQUAL(holt_replica_count(f.pair.replica[0]), 1500);
  while (!holt_replica_drain(f.pair.replica[0], 100)) {
  }
  fixture_deinit(&f);
}

/* A tour of a process's names goes on while they come and go. */
static void
tour_survives_changes(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_replica *const r = f.pair.replica[0];
  const struct holt_process process = { .node = (const uint8_t *)"a@x",
                                        .node_size = 3,
                                        .creation = 1,
                                        .id = 1 };
  struct holt_tour *tour;
  CU_ASSERT_EQUAL(holt_tour_start(r, &process, &tour), HOLT_ERR_NOT_FOUND);
  const char *const names[] = { "p", "q", "r", "s" };
  for (unsigned i = 0; i < 4; i++) {
    CU_ASSERT_EQUAL(pair_register(&f.pair, 0, names[i], 1), 0);
  }
  CU_ASSERT_EQUAL_FATAL(holt_tour_start(r, &process, &tour), 0);
  size_t visited = 0;
  CU_ASSERT(holt_tour_next(r, tour, 1, count_views, &visited));
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "q"), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, 0, "r", "new"), 0);
  CU_ASSERT(!holt_tour_next(r, tour, 10, count_views, &visited));
  CU_ASSERT_EQUAL(visited, 3);
  holt_tour_stop(r, tour);
  fixture_deinit(&f);
}

/* Another name for the node: the same rows, no peers. */
static void
rename_keeps_names(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  const struct holt_member member = { .name = (const uint8_t *)"reg",
                                      .name_size = 3,
                                      .node = (const uint8_t *)"c@x",
                                      .node_size = 3 };
  CU_ASSERT_EQUAL(
    holt_replica_rename(f.pair.replica[0], 20, &member, 2, &f.pair.now), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 20);
  CU_ASSERT_EQUAL(f.pair.replica[0]->peer_count, 0);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "x"), 0);
  fixture_deinit(&f);
}

static void
count_actor(void *user, const struct holt_actor_info *info)
{
  (void)info;
  (*(size_t *)user)++;
}

static void
count_peer(void *user, const struct holt_peer_info *info)
{
  if (info->up) {
    (*(size_t *)user)++;
  }
}

static void
looking_inside(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  size_t actors = 0;
  size_t peers = 0;
  holt_replica_actors(f.pair.replica[0], count_actor, &actors);
  holt_replica_peers(f.pair.replica[0], count_peer, &peers);
  CU_ASSERT_EQUAL(actors, 2);
  CU_ASSERT_EQUAL(peers, 1);
  holt_replica_refused(f.pair.replica[0], NULL, 0, HOLT_ERR_LIMIT);
  struct holt_counters counters;
  holt_replica_counters(f.pair.replica[0], &counters);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_LIMIT], 1);
  fixture_deinit(&f);
}

/* An absent actor is freed in the end; its node may come back. */
static void
absent_actor_is_forgotten(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  pair_unlink(&f.pair);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(f.pair.replica[1]->rows.actor_count, 2);
  f.pair.now.mono_ms += f.pair.tuning.forget_after_ms;
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(f.pair.replica[1]->rows.actor_count, 1);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  fixture_deinit(&f);
}

/* A whole life, with each request for memory refused once: what an operation
 * refuses is tried again, what the protocol misses it mends by itself. */
static int
retry(int (*operation)(struct pair *pair, unsigned at, const char *text,
                       uint32_t process),
      struct pair *pair, unsigned at, const char *text)
{
  const int rv = operation(pair, at, text, 1);
  return rv == HOLT_ERR_NOMEM ? operation(pair, at, text, 1) : rv;
}

static int
life(struct holt_mem *mem, void *arg)
{
  (void)arg;
  static struct pair pair;
  int rv = pair_init(&pair, mem);
  if (rv != 0) {
    return rv;
  }
  pair.budget = 1;
  pair.replica[0]->tuning.message_bytes_max = 100;
  rv = pair_link(&pair);
  if (rv != 0) {
    pair_deinit(&pair);
    return rv;
  }
  bool good = retry(pair_register, &pair, 0, "x") == 0 &&
              retry(pair_register, &pair, 0, "y") == 0;
  pair_wait(&pair, 10000);
  good = good && pair_equal(&pair) && pair_holder(&pair, 1, "x") == 10;
  (void)pair_update(&pair, 0, "x", "some value");
  (void)pair_unregister(&pair, 0, "y");
  pair_wait(&pair, 10000);
  good = good && pair_equal(&pair);
  pair_unlink(&pair);
  good = good && retry(pair_register, &pair, 1, "x") == 0;
  rv = pair_link(&pair);
  if (rv == HOLT_ERR_NOMEM) {
    rv = pair_link(&pair);
  }
  pair_wait(&pair, 10000);
  good = good && rv == 0 && pair_equal(&pair) &&
         pair_holder(&pair, 0, "x") == 11 && pair.conflicts[0] == 1;
  holt_replica_owner_dead(pair.replica[1], 1, 0);
  pair_wait(&pair, 10000);
  good = good && pair_equal(&pair) && pair_holder(&pair, 0, "x") == 0;
  pair_deinit(&pair);
  return good ? 0 : HOLT_ERR_MALFORMED;
}

static void
each_request_refused_once(void)
{
  uint64_t requests = 0;
  CU_ASSERT(heap_fail_each(life, NULL, &requests));
  CU_ASSERT(requests > 50);
}

void test_replica_suite(void);

void
test_replica_suite(void)
{
  CU_pSuite suite = CU_add_suite("replica", NULL, NULL);
  CU_ADD_TEST(suite, register_says_what_is_wrong);
  CU_ADD_TEST(suite, update_and_unregister_say_what_is_wrong);
  CU_ADD_TEST(suite, dead_names_are_taken_over);
  CU_ADD_TEST(suite, scan_visits_each_name);
  CU_ADD_TEST(suite, tour_survives_changes);
  CU_ADD_TEST(suite, rename_keeps_names);
  CU_ADD_TEST(suite, looking_inside);
  CU_ADD_TEST(suite, absent_actor_is_forgotten);
  CU_ADD_TEST(suite, each_request_refused_once);
}
