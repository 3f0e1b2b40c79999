/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"

struct fixture {
  struct heap heap;
  struct pair pair;
};

static void
fixture_init(struct fixture *f, uint64_t policy, unsigned ends)
{
  pair_begin(&f->pair, &f->heap, policy, ends, 0);
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f->pair), 0);
  pair_run(&f->pair);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

static struct holt_census
census_of(const struct fixture *f, unsigned at)
{
  struct holt_census census;
  holt_replica_census(f->pair.replica[at], &census);
  return census;
}

static int
evict(struct fixture *f, unsigned at, unsigned other)
{
  struct holt_member member;
  pair_member(other, &member);
  return holt_replica_evict(f->pair.replica[at], &member);
}

/* Everybody is known from the first greeting on, and present while in sight; a
 * new life of a member is no other member, whoever tells of it; who says
 * goodbye for good is not known any more. */
static void
members_are_counted_once(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 4);
  CU_ASSERT_EQUAL(census_of(&f, 0).known, 4);
  CU_ASSERT_EQUAL(census_of(&f, 0).present, 4);
  for (unsigned i = 0; i < 3; i++) {
    pair_disconnect(&f.pair, i, 3);
  }
  pair_wait(&f.pair, 2000);
  CU_ASSERT_EQUAL(census_of(&f, 0).known, 4);
  CU_ASSERT_EQUAL(census_of(&f, 0).present, 3);
  holt_replica_delete(f.pair.replica[3]);
  memset(f.pair.peer[3], 0, sizeof f.pair.peer[3]);
  CU_ASSERT_EQUAL(pair_replica_new(&f.pair, 3, 99), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 3), 0);
  pair_wait(&f.pair, 5000);
  CU_ASSERT_EQUAL(census_of(&f, 0).known, 4);
  CU_ASSERT_EQUAL(census_of(&f, 0).present, 4);
  pair_disconnect(&f.pair, 1, 3);
  pair_wait(&f.pair, 5000);
  CU_ASSERT_EQUAL(census_of(&f, 0).known, 4);
  CU_ASSERT_EQUAL(census_of(&f, 0).present, 3);
  holt_replica_goodbye(f.pair.replica[2], HOLT_GOODBYE_ENDED);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(census_of(&f, 0).known, 3);
  CU_ASSERT_EQUAL(census_of(&f, 0).present, 2);
  fixture_deinit(&f);
}

/* Who is absent can be evicted, and is back when it is seen again; who is
 * present, or never was, cannot. */
static void
only_the_absent_are_evicted(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(evict(&f, 0, 0), HOLT_ERR_EXISTS);
  CU_ASSERT_EQUAL(evict(&f, 0, 2), HOLT_ERR_EXISTS);
  CU_ASSERT_EQUAL(evict(&f, 0, 3), HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 12);
  pair_disconnect(&f.pair, 0, 2);
  pair_disconnect(&f.pair, 1, 2);
  pair_wait(&f.pair, 2000);
  CU_ASSERT_EQUAL(evict(&f, 0, 2), 0);
  CU_ASSERT_EQUAL(evict(&f, 0, 2), HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(census_of(&f, 0).known, 2);
  /* B, which has not, does not bring it back. */
  pair_wait(&f.pair, 5000);
  CU_ASSERT_EQUAL(census_of(&f, 0).known, 2);
  CU_ASSERT_EQUAL(census_of(&f, 1).known, 3);
  CU_ASSERT_PTR_NULL(pair_copy(&f.pair, 0, 2));
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  pair_wait(&f.pair, 2000);
  CU_ASSERT_EQUAL(census_of(&f, 0).known, 3);
  CU_ASSERT_EQUAL(census_of(&f, 0).present, 3);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 12);
  fixture_deinit(&f);
}

/* Who has our rows counts, also where a voucher says so; who is not there is
 * not waited for. */
static void
acks_count_who_has_it(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  pair_disconnect(&f.pair, 0, 2);
  pair_wait(&f.pair, 1000);
  struct holt_acks acks;
  uint64_t birth;
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 1, 0, 0, 0, &birth), 0);
  holt_replica_acks(f.pair.replica[0], birth, &acks);
  CU_ASSERT_EQUAL(acks.members, 2);
  CU_ASSERT_EQUAL(acks.acked, 0);
  pair_run(&f.pair);
  holt_replica_acks(f.pair.replica[0], birth, &acks);
  CU_ASSERT_EQUAL(acks.members, 2);
  CU_ASSERT_EQUAL(acks.acked, 2);
  holt_replica_acks(f.pair.replica[0], birth + 1, &acks);
  CU_ASSERT_EQUAL(acks.acked, 0);
  pair_disconnect(&f.pair, 1, 2);
  pair_wait(&f.pair, 4000);
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "y", 1, 0, 0, 0, &birth), 0);
  pair_run(&f.pair);
  holt_replica_acks(f.pair.replica[0], birth, &acks);
  CU_ASSERT_EQUAL(acks.members, 1);
  CU_ASSERT_EQUAL(acks.acked, 1);
  fixture_deinit(&f);
}

static bool
count(void *user, const struct holt_view *view)
{
  (void)view;
  ++*(size_t *)user;
  return true;
}

static size_t
entries(const struct fixture *f, unsigned at)
{
  size_t seen = 0;
  uint64_t cursor = 0;
  do {
    cursor =
      holt_replica_scan_entries(f->pair.replica[at], cursor, count, &seen);
  } while (cursor != 0);
  return seen;
}

/* Those whose key begins so. */
static size_t
begun(const struct fixture *f, unsigned at, const char *prefix)
{
  size_t seen = 0;
  uint64_t cursor = 0;
  do {
    cursor = holt_replica_scan_prefix(f->pair.replica[at], cursor,
                                      (const uint8_t *)prefix, strlen(prefix),
                                      count, &seen);
  } while (cursor != 0);
  return seen;
}

static size_t
on_node(const struct fixture *f, unsigned at, const char *node)
{
  return holt_replica_count_node(f->pair.replica[at], (const uint8_t *)node,
                                 strlen(node));
}

/* Duplicate keys: each row is an entry, however many have its key; unique keys:
 * each name is.  Those of a node go with it. */
static void
entries_are_visited_and_counted(void)
{
  const uint64_t policies[2] = { HOLT_POLICY_UNIQUE_KEEP_NEWEST,
                                 HOLT_POLICY_DUPLICATE };
  for (unsigned unique = 0; unique < 2; unique++) {
    struct fixture f;
    fixture_init(&f, policies[1 - unique], 5);
    for (unsigned at = 0; at < 5; at++) {
      CU_ASSERT_EQUAL(pair_register_many(&f.pair, at, at * 50, at * 50 + 50),
                      0);
      for (uint32_t i = 0; i < 20; i++) {
        (void)pair_register(&f.pair, at, "all", i / 2 + 1);
      }
      pair_run(&f.pair);
    }
    const size_t all = unique == 1 ? 251 : 350;
    CU_ASSERT_EQUAL(entries(&f, 2), all);
    CU_ASSERT_EQUAL(holt_replica_count_entries(f.pair.replica[2]), all);
    CU_ASSERT_EQUAL(begun(&f, 2, ""), all);
    CU_ASSERT_EQUAL(begun(&f, 2, "all"), unique == 1 ? 1 : 100);
    CU_ASSERT_EQUAL(begun(&f, 2, "all "), 0);
    CU_ASSERT_EQUAL(on_node(&f, 2, "b@x"), unique == 1 ? 100 : 140);
    CU_ASSERT_EQUAL(on_node(&f, 2, "a@x"), unique == 1 ? 51 : 70);
    CU_ASSERT_EQUAL(on_node(&f, 2, "d@y"), 0);
    holt_replica_owner_dead(f.pair.replica[2], 1, 0);
    CU_ASSERT_EQUAL(entries(&f, 2), all - 50 - (unique == 1 ? 0 : 2));
    pair_run(&f.pair);
    for (unsigned at = 0; at < 5; at++) {
      pair_disconnect(&f.pair, 1, at == 1 ? 4 : at);
    }
    pair_wait(&f.pair, 1000);
    CU_ASSERT_EQUAL(on_node(&f, 2, "b@x"), unique == 1 ? 50 : 70);
    CU_ASSERT_EQUAL(entries(&f, 2),
                    holt_replica_count_entries(f.pair.replica[2]));
    fixture_deinit(&f);
  }
}

void test_census_suite(void);

void
test_census_suite(void)
{
  CU_pSuite suite = CU_add_suite("census", NULL, NULL);
  CU_ADD_TEST(suite, members_are_counted_once);
  CU_ADD_TEST(suite, only_the_absent_are_evicted);
  CU_ADD_TEST(suite, acks_count_who_has_it);
  CU_ADD_TEST(suite, entries_are_visited_and_counted);
}
