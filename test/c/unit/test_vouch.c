/* SPDX-License-Identifier: Apache-2.0 */
/* See cut.h for who is who. */
#include <string.h>

#include <CUnit/CUnit.h>

#include "cut.h"

/* Many suspects go into one ask, and one probe serves all who ask. */
static void
one_probe_serves_all(void)
{
  struct cut f;
  cut_init(&f, 5);
  memset(f.pair.sent, 0, sizeof f.pair.sent);
  /* A loses C and D; so does B; only E, on B's node, reaches all. */
  for (unsigned at = 0; at < 2; at++) {
    pair_disconnect(&f.pair, at, 2);
    pair_disconnect(&f.pair, at, 3);
  }
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 4).probes, 4); /* Each end once. */
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_PROBE], 4);
  /* Each of the four asks two: its fellow, who says no, and E. */
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_ASK], 8);
  for (unsigned at = 0; at < 4; at++) {
    for (unsigned of = at < 2 ? 2 : 0; of < (at < 2 ? 4u : 2u); of++) {
      CU_ASSERT_EQUAL(cut_sight(&f, at, of), HOLT_SIGHT_VOUCHED);
    }
  }
  cut_deinit(&f);
}

/* The process of one that is vouched for is started again, on a link that
 * stands: its voucher waits for it, and so do those who rely on that; when it
 * does not come back all know. */
static void
restarts_are_waited_for(void)
{
  for (unsigned back = 0; back < 2; back++) {
    struct cut f;
    cut_init(&f, 3);
    pair_disconnect(&f.pair, 0, 2);
    pair_wait(&f.pair, 1500);
    const struct holt_time now = pair_time(&f.pair, 1);
    holt_replica_peer_down(f.pair.replica[1], f.pair.peer[1][2],
                           HOLT_DOWN_REPLICA, &now);
    f.mute = UINT32_MAX; /* Nobody is there to read. */
    f.mute &= ~(1u << HOLT_PACKET_ASK | 1u << HOLT_PACKET_VOUCH);
    for (unsigned i = 0; i < 9; i++) {
      pair_wait(&f.pair, 100);
      CU_ASSERT(cut_found(&f, 0) && cut_found(&f, 1));
    }
    if (back == 1) {
      f.mute = 0;
      CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
      pair_wait(&f.pair, 3000);
      CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
      CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).flaps, 0);
    } else {
      pair_wait(&f.pair, f.pair.tuning.replica_restart_ms);
      CU_ASSERT(!cut_found(&f, 0) && !cut_found(&f, 1));
    }
    cut_deinit(&f);
  }
}

/* Echoes of what was not sent; asks in storms, about anybody: each is answered,
 * and nobody is probed more often than an echo serves. */
static void
storms_are_harmless(void)
{
  struct cut f;
  cut_init(&f, 3);
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  const uint64_t probes = pair_counters(&f.pair, 1).probes;
  for (unsigned i = 0; i < 1000; i++) {
    const struct holt_probe echo = { .number = UINT64_MAX - i };
    holt_buf_clear(&body);
    (void)holt_probe_encode(&body, HOLT_PACKET_ECHO, &echo);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 2, 1, body.data, body.size),
                    HOLT_ERR_MALFORMED);
    const struct holt_ask ask = { .token = UINT64_MAX - i, .count = 4 };
    holt_buf_clear(&body);
    (void)holt_ask_encode(&body, &ask);
    for (uint64_t actor = 10; actor < 14; actor++) {
      (void)holt_ask_item_encode(&body, actor);
    }
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 0, 1, body.data, body.size), 0);
    pair_run(&f.pair);
  }
  CU_ASSERT(pair_counters(&f.pair, 1).probes - probes <= 1);
  CU_ASSERT(pair_equal(&f.pair));
  holt_buf_deinit(&body);
  cut_deinit(&f);
}

/* A busy link undoes what was said; nothing is lost but the time. */
static void
busy_links_are_asked_again(void)
{
  struct cut f;
  for (unsigned every = 2; every < 8; every++) {
    cut_init(&f, 4);
    f.pair.busy_every = every;
    pair_disconnect(&f.pair, 0, 2);
    pair_disconnect(&f.pair, 0, 3);
    pair_wait(&f.pair, 400);
    CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
    CU_ASSERT_EQUAL(cut_sight(&f, 0, 3), HOLT_SIGHT_VOUCHED);
    CU_ASSERT_EQUAL(cut_sight(&f, 2, 0), HOLT_SIGHT_VOUCHED);
    CU_ASSERT_EQUAL(cut_sight(&f, 3, 0), HOLT_SIGHT_VOUCHED);
    f.pair.busy_every = 0;
    cut_deinit(&f);
  }
}

void test_vouch_suite(void);

void
test_vouch_suite(void)
{
  CU_pSuite suite = CU_add_suite("vouch", NULL, NULL);
  CU_ADD_TEST(suite, one_probe_serves_all);
  CU_ADD_TEST(suite, restarts_are_waited_for);
  CU_ADD_TEST(suite, storms_are_harmless);
  CU_ADD_TEST(suite, busy_links_are_asked_again);
}
