/* SPDX-License-Identifier: Apache-2.0 */
/* See cut.h for who is who. */
#include <string.h>

#include <CUnit/CUnit.h>

#include "cut.h"

/* A and C lose each other, and B reaches both: nothing is missing anywhere, for
 * as long as it lasts, at two asks, two probes and two vouches. */
static void
partial_cut_hides_nothing(void)
{
  struct cut f;
  cut_init(&f, 3);
  memset(f.pair.sent, 0, sizeof f.pair.sent);
  pair_disconnect(&f.pair, 0, 2);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_SUSPECT);
  CU_ASSERT(cut_found(&f, 0));
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT_EQUAL(cut_sight(&f, 2, 0), HOLT_SIGHT_VOUCHED);
  CU_ASSERT_EQUAL(cut_sight(&f, 1, 2), HOLT_SIGHT_CONNECTED);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_ASK], 2);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_PROBE], 2);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_ECHO], 2);
  CU_ASSERT(f.pair.sent[HOLT_PACKET_VOUCH] <= 4); /* Wait, then yes. */
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 1).probes, 2);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).vouches, 1);
  for (unsigned i = 0; i < 200; i++) {
    pair_wait(&f.pair, 100);
    CU_ASSERT(cut_found(&f, 0) && cut_found(&f, 1));
    CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  }
  /* Renewed once in half of vouch_ms. */
  CU_ASSERT(f.pair.sent[HOLT_PACKET_ASK] <= 2 + 2 * 20);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).vouches_lapsed, 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_CONNECTED);
  CU_ASSERT(cut_found(&f, 0));
  CU_ASSERT(pair_equal(&f.pair));
  cut_deinit(&f);
}

/* When an end is really gone nobody waits: the answers are there at once, and
 * nobody was probed. */
static void
death_costs_a_round_trip(void)
{
  struct cut f;
  cut_init(&f, 4);
  memset(f.pair.sent, 0, sizeof f.pair.sent);
  cut_all_lose(&f);
  CU_ASSERT(cut_found(&f, 0) && cut_found(&f, 1) && cut_found(&f, 3));
  pair_run(&f.pair); /* Time stands still. */
  CU_ASSERT(!cut_found(&f, 0) && !cut_found(&f, 1) && !cut_found(&f, 3));
  CU_ASSERT_EQUAL(cut_sight(&f, 3, 2), HOLT_SIGHT_ABSENT);
  /* The end that is cut off has nobody to ask. */
  CU_ASSERT_EQUAL(cut_sight(&f, 2, 0), HOLT_SIGHT_ABSENT);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_ASK], 6);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_VOUCH], 6);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_PROBE], 0);
  CU_ASSERT(f.pair.bytes_sent[HOLT_PACKET_VOUCH] < 6 * 16);
  cut_deinit(&f);
}

/* A vouch is first-hand: what is vouched for to B, B does not vouch for. */
static void
hearsay_is_no_vouch(void)
{
  struct cut f;
  cut_init(&f, 4);
  /* a - b - d - c */
  pair_disconnect(&f.pair, 0, 2);
  pair_disconnect(&f.pair, 1, 2);
  pair_disconnect(&f.pair, 0, 3);
  pair_wait(&f.pair, 5000);
  CU_ASSERT_EQUAL(cut_sight(&f, 1, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 3), HOLT_SIGHT_VOUCHED);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(!cut_found(&f, 0) && cut_found(&f, 1));
  /* Its rows are had all the same. */
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "y", 1), 0);
  pair_wait(&f.pair, 5000);
  CU_ASSERT(pair_has(&f.pair, 0, 2));
  cut_deinit(&f);
}

/* Who has never met an actor, and cannot, knows it from others and sees it as
 * soon as one has probed it. */
static void
strangers_are_vouched_for(void)
{
  struct cut f;
  cut_new(&f, 3);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 1), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  pair_wait(&f.pair, 100);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT(cut_found(&f, 0));
  CU_ASSERT(pair_copy(&f.pair, 0, 2)->relayed);
  CU_ASSERT(holt_replica_in_sync(f.pair.replica[0]));
  cut_deinit(&f);
}

/* Cut off from all and back, again and again: the first return is at once, the
 * later ones wait longer each time, up to flap_ms_max; calm makes it good. */
static void
returns_are_damped(void)
{
  struct cut f;
  cut_new(&f, 2);
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "y", 1), 0);
  pair_run(&f.pair);
  uint64_t wait_ms = 0;
  for (unsigned i = 0; i < 10; i++) {
    pair_disconnect(&f.pair, 0, 1);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 0);
    CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(cut_sight(&f, 0, 1), HOLT_SIGHT_CONNECTED);
    for (uint64_t ms = 0; ms < wait_ms; ms += 10) {
      CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 0);
      pair_wait(&f.pair, 10);
    }
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 11);
    wait_ms = wait_ms == 0 ? f.pair.tuning.probe_ms : 2 * wait_ms;
    wait_ms =
      wait_ms < f.pair.tuning.flap_ms_max ? wait_ms : f.pair.tuning.flap_ms_max;
  }
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).flaps, 9);
  pair_wait(&f.pair, f.pair.tuning.flap_ms_max);
  pair_disconnect(&f.pair, 0, 1);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 11);
  cut_deinit(&f);
}

/* A pause that only the voucher hears is passed on, and so is the return. */
static void
pauses_are_passed_on(void)
{
  struct cut f;
  cut_init(&f, 3);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  holt_replica_goodbye(f.pair.replica[2], HOLT_GOODBYE_PAUSED);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(cut_sight(&f, 1, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(pair_copy(&f.pair, 1, 2)->presence.paused);
  pair_wait(&f.pair, 1100);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(pair_copy(&f.pair, 0, 2)->presence.paused);
  const struct holt_time now = pair_time(&f.pair, 2);
  holt_replica_resume(f.pair.replica[2], &now);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
  pair_wait(&f.pair, 100);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT(!pair_copy(&f.pair, 0, 2)->presence.paused);
  CU_ASSERT(cut_found(&f, 0));
  cut_deinit(&f);
}

/* Who has only heard of a pause, and not of the return, tells it when asked.
 * That is of the past for who has seen the return. */
static void
old_pauses_are_no_news(void)
{
  struct cut f;
  cut_init(&f, 4);
  holt_replica_goodbye(f.pair.replica[2], HOLT_GOODBYE_PAUSED);
  pair_run(&f.pair);
  CU_ASSERT(pair_copy(&f.pair, 1, 2)->presence.paused);
  pair_disconnect(&f.pair, 1, 3);
  pair_wait(&f.pair, 50);
  const struct holt_time now = pair_time(&f.pair, 2);
  holt_replica_resume(f.pair.replica[2], &now);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 3, 2), 0);
  f.mute = 1u << HOLT_PACKET_VECTOR; /* They would tell of the return. */
  pair_wait(&f.pair, 50);
  CU_ASSERT(cut_found(&f, 0));
  CU_ASSERT(pair_copy(&f.pair, 1, 2)->presence.paused);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT(cut_found(&f, 0));
  cut_deinit(&f);
}

/* The node of one who is vouched for is started again: the old life is over as
 * soon as the voucher knows the new one. */
static void
restart_while_vouched_for(void)
{
  struct cut f;
  cut_init(&f, 3);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  pair_disconnect(&f.pair, 1, 2);
  holt_replica_delete(f.pair.replica[2]);
  CU_ASSERT_EQUAL(pair_replica_new(&f.pair, 2, 99), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "new", 1), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
  pair_wait(&f.pair, 200);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "new"), 99);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 0);
  cut_deinit(&f);
}

static int
cut_lives(struct holt_mem *mem, void *arg)
{
  (void)arg;
  static struct pair pair;
  int rv = pair_init_ends(&pair, mem, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  if (rv == 0) {
    rv = pair_connect_all(&pair);
    pair_run(&pair);
  }
  if (rv == 0) {
    rv = pair_register(&pair, 2, "x", 1);
    pair_wait(&pair, 3000);
    pair_disconnect(&pair, 0, 2);
    pair_wait(&pair, 6000);
    if (rv == 0 && pair_holder(&pair, 0, "x") != 12) {
      rv = HOLT_ERR_STALE;
    }
  }
  pair_deinit(&pair);
  return rv;
}

static void
each_request_refused_once(void)
{
  CU_ASSERT(heap_fail_each(cut_lives, NULL, NULL));
}

void test_liveness_suite(void);

void
test_liveness_suite(void)
{
  CU_pSuite suite = CU_add_suite("liveness", NULL, NULL);
  CU_ADD_TEST(suite, partial_cut_hides_nothing);
  CU_ADD_TEST(suite, death_costs_a_round_trip);
  CU_ADD_TEST(suite, hearsay_is_no_vouch);
  CU_ADD_TEST(suite, strangers_are_vouched_for);
  CU_ADD_TEST(suite, returns_are_damped);
  CU_ADD_TEST(suite, pauses_are_passed_on);
  CU_ADD_TEST(suite, old_pauses_are_no_news);
  CU_ADD_TEST(suite, restart_while_vouched_for);
  CU_ADD_TEST(suite, each_request_refused_once);
}
