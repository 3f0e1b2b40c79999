/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"

struct fixture {
  struct heap heap;
  struct pair pair;
};

/* Asks one end for at most max rows; returns how many there are. */
static size_t
explain(const struct pair *pair, unsigned at, const char *text,
        struct holt_explained *rows, size_t max)
{
  uint8_t key[64];
  const size_t size = pair_key(text, key);
  return holt_replica_explain(pair->replica[at], key, size, rows, max);
}

/* Rank does not depend on who is seen; who wins does. */
static void
rows_are_explained_by_rank(void)
{
  struct fixture f;
  struct holt_explained rows[HOLT_EXPLAIN_ROWS_MAX];
  pair_begin(&f.pair, &f.heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3, 0);
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(explain(&f.pair, 0, "x", rows, 10), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 1), 0);
  pair_run(&f.pair);
  for (uint32_t p = 6; p >= 2; p--) {
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, p % 3, "x", p,
                                     HOLT_REGISTER_STANDBY, 0, 0, NULL),
                    0);
    pair_wait(&f.pair, 10);
    CU_ASSERT_EQUAL(explain(&f.pair, 0, "x", rows, 10), 8 - p);
  }
  static const uint32_t order[] = { 1, 6, 5, 4, 3, 2 };
  for (unsigned at = 0; at < 3; at++) {
    CU_ASSERT_EQUAL(explain(&f.pair, at, "x", rows, 10), 6);
    for (unsigned i = 0; i < 6; i++) {
      CU_ASSERT_EQUAL(rows[i].view.id, order[i]);
      CU_ASSERT_EQUAL(rows[i].view.actor, 10 + (i == 0 ? 1 : order[i] % 3));
      CU_ASSERT_EQUAL(rows[i].view.standby, i > 0);
      CU_ASSERT_EQUAL(rows[i].winner, i == 0);
      CU_ASSERT(rows[i].visible);
      CU_ASSERT_EQUAL(rows[i].member.node[0], "abc"[rows[i].view.actor - 10]);
    }
    memset(rows, 0, sizeof rows);
    CU_ASSERT_EQUAL(explain(&f.pair, at, "x", rows, 2), 6);
    CU_ASSERT_EQUAL(rows[1].view.id, 6);
    CU_ASSERT_EQUAL(rows[2].view.id, 0);
    CU_ASSERT_EQUAL(explain(&f.pair, at, "x", rows, 0), 6);
  }
  /* One has ended and another is away: they rank as before. */
  holt_replica_owner_dead(f.pair.replica[0], 6, 0);
  pair_disconnect(&f.pair, 0, 1);
  pair_disconnect(&f.pair, 1, 2);
  CU_ASSERT_EQUAL(explain(&f.pair, 0, "x", rows, 100), 6);
  CU_ASSERT(!rows[1].visible);
  pair_wait(&f.pair, 1000);
  CU_ASSERT_EQUAL(explain(&f.pair, 2, "x", rows, 10), 5);
  CU_ASSERT(!rows[0].visible && !rows[2].visible);
  CU_ASSERT_EQUAL(rows[0].view.id, 1);
  CU_ASSERT_EQUAL(rows[1].view.id, 5);
  CU_ASSERT(rows[1].visible && rows[1].winner);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 2, "x"), 12);
  pair_end(&f.pair, &f.heap);
}

/* More rows than fit: as many as do; each that is seen is a winner. */
static void
members_are_explained(void)
{
  struct fixture f;
  struct holt_explained rows[HOLT_EXPLAIN_ROWS_MAX];
  pair_begin(&f.pair, &f.heap, HOLT_POLICY_DUPLICATE, 2, 2);
  for (uint32_t p = 1; p <= 100; p++) {
    CU_ASSERT_EQUAL(pair_register(&f.pair, p % 2, "room", p), 0);
  }
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "cell", 7), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(explain(&f.pair, 1, "cell", rows, SIZE_MAX), 1);
  CU_ASSERT_EQUAL(rows[0].view.id, 7);
  CU_ASSERT_EQUAL(explain(&f.pair, 1, "room", rows, SIZE_MAX), 100);
  unsigned winners = 0;
  for (unsigned i = 0; i < HOLT_EXPLAIN_ROWS_MAX; i++) {
    winners += rows[i].winner && rows[i].visible ? 1 : 0;
  }
  CU_ASSERT_EQUAL(winners, HOLT_EXPLAIN_ROWS_MAX);
  pair_end(&f.pair, &f.heap);
}

void test_explain_suite(void);

void
test_explain_suite(void)
{
  CU_pSuite suite = CU_add_suite("explain", NULL, NULL);
  CU_ADD_TEST(suite, rows_are_explained_by_rank);
  CU_ADD_TEST(suite, members_are_explained);
}
