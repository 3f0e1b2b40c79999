/* SPDX-License-Identifier: Apache-2.0 */
/* See cut.h for who is who. */
#include <string.h>

#include <CUnit/CUnit.h>

#include "cut.h"

/* Who does not answer in probe_ms has said no; a word that comes late counts
 * all the same. */
static void
silence_is_a_no(void)
{
  struct cut f;
  cut_init(&f, 3);
  f.mute = 1u << HOLT_PACKET_ECHO;
  pair_disconnect(&f.pair, 0, 2);
  pair_wait(&f.pair, f.pair.tuning.probe_ms - 10);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_SUSPECT);
  CU_ASSERT(cut_found(&f, 0));
  pair_wait(&f.pair, 10);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(!cut_found(&f, 0) && cut_found(&f, 1));
  /* B's vectors say that it reaches C: it is asked again. */
  f.mute = 0;
  pair_wait(&f.pair, f.pair.tuning.vouch_ms + 1000);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT(cut_found(&f, 0));
  cut_deinit(&f);
}

/* Our own process was started again, and greets everybody, when a link is lost:
 * who has not answered yet is asked all the same. */
static void
those_who_greet_are_asked(void)
{
  struct cut f;
  cut_init(&f, 3);
  const struct holt_time now = pair_time(&f.pair, 0);
  for (unsigned to = 1; to < 3; to++) {
    struct holt_member member;
    pair_member(to, &member);
    CU_ASSERT_EQUAL(holt_replica_peer_up(f.pair.replica[0], &member, &now,
                                         &f.pair.peer[0][to]),
                    0);
  }
  pair_disconnect(&f.pair, 0, 2);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_SUSPECT);
  CU_ASSERT(cut_found(&f, 0));
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT(cut_found(&f, 0));
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).flaps, 0);
  cut_deinit(&f);
}

/* What nobody renews is over: vouch_ms after the actor was alive, and probe_ms
 * for the others to be asked. */
static void
vouches_lapse(void)
{
  struct cut f;
  cut_init(&f, 3);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  f.mute = 1u << HOLT_PACKET_PROBE;
  pair_wait(&f.pair, f.pair.tuning.vouch_ms - 10);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  pair_wait(&f.pair, 10);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_SUSPECT);
  CU_ASSERT(cut_found(&f, 0));
  pair_wait(&f.pair, f.pair.tuning.probe_ms);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(!cut_found(&f, 0));
  CU_ASSERT(pair_counters(&f.pair, 0).vouches_lapsed > 0);
  cut_deinit(&f);
}

/* The last voucher loses the actor, too: that it asks says so, and nobody waits
 * for the vouch to lapse.  So does losing the voucher. */
static void
vouches_are_withdrawn(void)
{
  struct cut f;
  cut_init(&f, 3);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  pair_disconnect(&f.pair, 1, 2);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT_EQUAL(cut_sight(&f, 1, 2), HOLT_SIGHT_ABSENT);
  cut_deinit(&f);

  cut_init(&f, 4);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  pair_disconnect(&f.pair, 0, 1);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_VOUCHED); /* By d. */
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 1), HOLT_SIGHT_VOUCHED);
  pair_disconnect(&f.pair, 0, 3);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 3), HOLT_SIGHT_ABSENT);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 1), HOLT_SIGHT_ABSENT);
  cut_deinit(&f);
}

/* For how long somebody has been absent is known by who has seen it last, and
 * all forget it by that; nobody who has forgotten it takes it from others. */
static void
ages_of_absence_are_shared(void)
{
  struct cut f;
  cut_new(&f, 3);
  for (unsigned at = 0; at < 3; at++) {
    f.pair.replica[at]->tuning.forget_after_ms = 100000;
  }
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 1), 0);
  pair_run(&f.pair);
  /* A is alone for a while; C goes while it is away. */
  pair_disconnect(&f.pair, 0, 1);
  pair_disconnect(&f.pair, 0, 2);
  pair_wait(&f.pair, 60000);
  pair_disconnect(&f.pair, 1, 2);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  pair_wait(&f.pair, 80000);
  CU_ASSERT_PTR_NOT_NULL(pair_copy(&f.pair, 0, 2)); /* Not 140 s, but 80. */
  CU_ASSERT_PTR_NOT_NULL(pair_copy(&f.pair, 1, 2));
  pair_wait(&f.pair, 30000);
  CU_ASSERT_PTR_NULL(pair_copy(&f.pair, 0, 2));
  CU_ASSERT_PTR_NULL(pair_copy(&f.pair, 1, 2));
  /* It comes back after all, and everything of it is had again. */
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  pair_wait(&f.pair, 2000);
  CU_ASSERT(cut_found(&f, 0) && cut_found(&f, 1));
  CU_ASSERT(pair_equal(&f.pair));
  cut_deinit(&f);
}

/* Put a vouch for the actor of c into the buffer. */
static void
put_vouch(struct holt_buf *body, uint64_t token, uint64_t actor,
          enum holt_word word)
{
  const struct holt_vouch vouch = { .token = token, .whole = true, .count = 1 };
  const struct holt_vouch_item item = { .actor = actor,
                                        .word = word,
                                        .version = 1 };
  holt_buf_clear(body);
  (void)holt_vouch_encode(body, &vouch);
  (void)holt_vouch_item_encode(body, &item);
}

/* Vouches that nobody has asked for, for strangers, for what we hear ourselves,
 * or with a clock that is not ours yet: refused, and nothing comes of them. */
static void
unasked_vouches_are_refused(void)
{
  struct cut f;
  cut_init(&f, 3);
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  cut_all_lose(&f);
  pair_run(&f.pair);
  const uint64_t token = pair_peer(&f.pair, 0, 1)->ask_token;
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  for (unsigned i = 0; i < 100; i++) {
    put_vouch(&body, token, 12, HOLT_WORD_YES);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, body.data, body.size),
                    HOLT_ERR_STALE);
    put_vouch(&body, token, 4711, HOLT_WORD_YES);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, body.data, body.size),
                    HOLT_ERR_STALE);
    put_vouch(&body, token, 11, HOLT_WORD_YES);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, body.data, body.size),
                    HOLT_ERR_STALE);
    put_vouch(&body, token + 1, 12, HOLT_WORD_YES);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, body.data, body.size),
                    HOLT_ERR_MALFORMED);
  }
  CU_ASSERT_EQUAL(cut_sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(!cut_found(&f, 0));
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).refused[-HOLT_ERR_STALE], 300);
  CU_ASSERT_EQUAL(pair_peer(&f.pair, 0, 1)->refused[-HOLT_ERR_MALFORMED], 100);
  holt_buf_deinit(&body);
  cut_deinit(&f);
}

void test_ask_suite(void);

void
test_ask_suite(void)
{
  CU_pSuite suite = CU_add_suite("ask", NULL, NULL);
  CU_ADD_TEST(suite, silence_is_a_no);
  CU_ADD_TEST(suite, those_who_greet_are_asked);
  CU_ADD_TEST(suite, vouches_lapse);
  CU_ADD_TEST(suite, vouches_are_withdrawn);
  CU_ADD_TEST(suite, ages_of_absence_are_shared);
  CU_ADD_TEST(suite, unasked_vouches_are_refused);
}
