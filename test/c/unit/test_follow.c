/* SPDX-License-Identifier: Apache-2.0 */
/* The ends are those of relay.h: how A, which cannot hear C, follows it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "relay.h"

/*--------------------------------------------------------------------
 * What comes */

/* Deaths and updates come, too; and the other way it is the same. */
static void
all_kinds_of_changes_come(void)
{
  struct relay f;
  relay_cut(&f, 3, 20, 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, C, "name 3"), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, C, "name 4", "new"), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, A, "of a", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_holder(&f.pair, A, "name 3"), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, C, "of a"), 10);
  relay_wait(&f, 2);
  CU_ASSERT(holt_replica_in_sync(f.pair.replica[B]));
  relay_deinit(&f);
}

/* Whoever is where its voucher is gets one empty piece, however many names
 * there are. */
static void
equal_version_costs_one_piece(void)
{
  struct relay f;
  relay_cut(&f, 3, 1000, 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(relay_voucher(&f), B);
  CU_ASSERT_EQUAL(f.pieces, 1);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_REPAIR], 2); /* C follows A. */
  CU_ASSERT(f.pair.bytes_sent[HOLT_PACKET_REPAIR] <= 2 * 40);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, A, C)->row_count, 1000);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, C, "name 3"), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(f.pieces, 1);
  relay_deinit(&f);
}

/* What is written while A is repaired is in the repair, or comes behind it. */
static void
writes_go_on_during_the_repair(void)
{
  for (unsigned writes = 0; writes < 30; writes++) {
    struct relay f;
    relay_cut(&f, 3, 200, 50);
    f.pair.replica[B]->tuning.message_bytes_max = 200;
    f.pair.replica[B]->tuning.window_bytes = 100 + 30 * writes;
    f.writes = writes;
    pair_run(&f.pair);
    CU_ASSERT(f.pieces > 3);
    if (writes < 4) {
      CU_ASSERT(pair_equal(&f.pair));
      CU_ASSERT_EQUAL(pair_counters(&f.pair, A).repairs, 1);
    }
    relay_wait(&f, 3);
    CU_ASSERT(pair_equal(&f.pair));
    CU_ASSERT_EQUAL(relay_voucher(&f), B);
    relay_deinit(&f);
  }
}

/*--------------------------------------------------------------------
 * Ends */

/* C is there itself: its own stream goes on, and B is told to stop. */
static void
own_stream_ends_the_forwarded_one(void)
{
  struct relay f;
  relay_run(&f, 3);
  CU_ASSERT_PTR_NOT_NULL(relay_of(&f, B));
  CU_ASSERT_EQUAL(pair_connect(&f.pair, A, C), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(relay_voucher(&f), PAIR_ENDS);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, A, C)->presence.follow, 0);
  CU_ASSERT_PTR_NULL(relay_of(&f, B));
  CU_ASSERT_PTR_NULL(pair_peer(&f.pair, B, A)->followers);
  memset(f.forwarded, 0, sizeof f.forwarded);
  CU_ASSERT_EQUAL(relay_write(&f, 0), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(f.forwarded[C][A], 1);
  CU_ASSERT_EQUAL(f.forwarded[B][A], 0);
  CU_ASSERT_EQUAL(f.pair.refused, 0);
  relay_deinit(&f);
}

/* B loses C: nothing is forwarded, and A takes D. */
static void
voucher_that_loses_the_actor_is_left(void)
{
  struct relay f;
  relay_run(&f, 4);
  const unsigned first = relay_chosen(&f);
  pair_disconnect(&f.pair, first, C);
  CU_ASSERT_PTR_NULL(relay_of(&f, first));
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(relay_voucher(&f), B + D - first);
  CU_ASSERT_EQUAL(relay_write(&f, 0), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

/* The link to the voucher is lost, in the middle of the stream or of a repair
 * after so many pieces: another one goes on. */
static void
lost_voucher_has_a_successor(void)
{
  for (unsigned pieces = 0; pieces < 8; pieces++) {
    struct relay f;
    relay_cut(&f, 4, 100, 50);
    f.pair.replica[B]->tuning.message_bytes_max = 200;
    f.pair.replica[D]->tuning.message_bytes_max = 200;
    f.pieces_max = pieces;
    pair_run(&f.pair);
    const unsigned first = relay_chosen(&f);
    CU_ASSERT_EQUAL(pair_repairs(&f.pair, A),
                    pieces > 0 && f.pieces > pieces ? 1 : 0);
    f.pieces_max = 0;
    CU_ASSERT_EQUAL(relay_write(&f, 0), 0);
    pair_disconnect(&f.pair, A, first);
    CU_ASSERT_EQUAL(relay_write(&f, 1), 0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(relay_voucher(&f), B + D - first);
    CU_ASSERT_PTR_NULL(relay_of(&f, first));
    CU_ASSERT_EQUAL(relay_write(&f, 2), 0);
    pair_run(&f.pair);
    CU_ASSERT(pair_equal(&f.pair));
    relay_deinit(&f);
  }
}

/* A voucher from which nothing comes, though others show that there is more: it
 * is asked, and left. */
static void
stalled_voucher_is_left(void)
{
  struct relay f;
  relay_run(&f, 4);
  const unsigned first = relay_chosen(&f);
  f.mute[first][A] = 1u << HOLT_PACKET_DELTA;
  CU_ASSERT_EQUAL(relay_write(&f, 0), 0);
  relay_wait(&f, 3);
  CU_ASSERT_EQUAL(relay_voucher(&f), first);
  CU_ASSERT(f.forwarded[first][A] > 1); /* A has asked for it again. */
  relay_wait(&f, 3);
  CU_ASSERT_EQUAL(relay_voucher(&f), B + D - first);
  CU_ASSERT(relay_sees(&f, A, 0));
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).stalls, 1);
  CU_ASSERT_PTR_NULL(relay_of(&f, first));
  relay_deinit(&f);
}

/* A is ahead of who vouches: it waits for it to come, instead of going back;
 * but not for ever. */
static void
older_voucher_is_waited_for(void)
{
  struct relay f;
  relay_init(&f, 3, 10);
  f.mute[C][B] = 1u << HOLT_PACKET_DELTA;
  CU_ASSERT_EQUAL(relay_write(&f, 0), 0);
  pair_run(&f.pair);
  CU_ASSERT(relay_sees(&f, A, 0));
  pair_disconnect(&f.pair, A, C);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(relay_voucher(&f), PAIR_ENDS);
  CU_ASSERT(relay_sees(&f, A, 0));
  f.mute[C][B] = 0;
  relay_wait(&f, 3);
  CU_ASSERT_EQUAL(relay_voucher(&f), B);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(f.pieces, 1);
  pair_copy(&f.pair, A, C)->as_of = 1000;
  holt__follow_fail(f.pair.replica[A], pair_copy(&f.pair, A, C),
                    f.pair.now.mono_ms);
  relay_wait(&f, 2 * HOLT_STALL_INTERVALS - 1);
  CU_ASSERT_EQUAL(relay_voucher(&f), PAIR_ENDS);
  relay_wait(&f, 3);
  CU_ASSERT_EQUAL(relay_voucher(&f), B);
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

/*--------------------------------------------------------------------
 * Hostile */

/* What nobody has asked for is refused, and its sender told to stop. */
static void
strange_streams_are_refused(void)
{
  struct relay f;
  relay_run(&f, 4);
  const unsigned other = B + D - relay_voucher(&f);
  struct holt_buf body;
  struct holt_delta_writer writer;
  holt_buf_init(&body, &f.heap.mem, 0);
  holt_delta_begin(&writer, &body, 12, 10);
  CU_ASSERT_EQUAL(holt_delta_end(&writer, 11, 11), 0);
  CU_ASSERT_EQUAL(relay_say(&f, other, A, &body), HOLT_ERR_STALE);
  struct holt_actor *const copy = pair_copy(&f.pair, A, C);
  CU_ASSERT_EQUAL(copy->cursor, 10);
  CU_ASSERT_EQUAL(copy->presence.follow_stop, f.pair.peer[A][other]);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(copy->presence.follow_stop, 0);
  holt_buf_init(&body, &f.heap.mem, 0);
  (void)holt_lost_encode(&body, &(struct holt_lost){ .actor = 12, .base = 5 });
  CU_ASSERT_EQUAL(relay_say(&f, other, A, &body), HOLT_ERR_STALE);
  CU_ASSERT_EQUAL(copy->presence.follow_stop, f.pair.peer[A][other]);
  pair_run(&f.pair);
  const struct holt_reached reached[] = { { .actor = 12, .cursor = 1 },
                                          { .actor = 10, .cursor = 0 },
                                          { .actor = 11, .cursor = 0 },
                                          { .actor = 99, .cursor = 0 } };
  const int errors[] = { HOLT_ERR_MALFORMED, HOLT_ERR_STALE, HOLT_ERR_STALE,
                         HOLT_ERR_STALE };
  for (unsigned i = 0; i < 4; i++) {
    holt_buf_init(&body, &f.heap.mem, 0);
    (void)holt_reached_encode(&body, &reached[i]);
    CU_ASSERT_EQUAL(relay_say(&f, B, A, &body), errors[i]);
  }
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

/* What comes from the voucher contradicts what is there: it is left, and the
 * rows are had anew from another. */
static void
contradicting_voucher_is_left(void)
{
  struct relay f;
  relay_run(&f, 4);
  const unsigned first = relay_voucher(&f);
  struct holt_view view;
  CU_ASSERT(pair_find(&f.pair, A, "name 3", &view));
  struct holt_buf body;
  struct holt_delta_writer writer;
  holt_buf_init(&body, &f.heap.mem, 0);
  holt_delta_begin(&writer, &body, 12, 10);
  uint8_t key[64];
  const struct holt_row_spec spec = { .seq = 11,
                                      .birth = view.birth,
                                      .stamp = view.stamp,
                                      .key = key,
                                      .key_size = pair_key("another", key),
                                      .owner_id = 1 };
  holt_delta_row(&writer, &spec);
  CU_ASSERT_EQUAL(holt_delta_end(&writer, 11, 11), 0);
  CU_ASSERT_EQUAL(relay_say(&f, first, A, &body), HOLT_ERR_MALFORMED);
  CU_ASSERT(pair_copy(&f.pair, A, C)->torn);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(relay_voucher(&f), B + D - first);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, C, "name 4"), 0);
  pair_run(&f.pair);
  relay_wait(&f, 2);
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

/*--------------------------------------------------------------------
 * Anything */

static void
change(struct relay *f)
{
  char text[16];
  (void)snprintf(text, sizeof text, "name %u",
                 (unsigned)prng_below(&f->prng, 60));
  switch (prng_below(&f->prng, 3)) {
  case 0:
    (void)pair_register(&f->pair, C, text, 1);
    break;
  case 1:
    (void)pair_unregister(&f->pair, C, text);
    break;
  default:
    (void)pair_update(&f->pair, C, text, "new");
    break;
  }
}

/* Lost messages, busy links, small windows and slices, and cuts: in the end
 * everybody has everything. */
static void
prop_everything_comes(void)
{
  const uint64_t seed = prng_seed();
  bool good = true;
  for (unsigned run = 0; good && run < 60; run++) {
    struct relay f;
    relay_cut(&f, 3 + run % 2, 50, run % 3 * 5);
    prng_init(&f.prng, seed + run);
    for (unsigned i = 0; i < f.pair.ends; i++) {
      struct holt_tuning *const tuning = &f.pair.replica[i]->tuning;
      tuning->message_bytes_max = 100 + (size_t)prng_below(&f.prng, 400);
      tuning->window_bytes = 1 + (size_t)prng_below(&f.prng, 1500);
    }
    f.pair.budget = 1 + (size_t)prng_below(&f.prng, 20);
    f.pair.busy_every =
      prng_chance(&f.prng, 1, 2) ? 3 + (unsigned)prng_below(&f.prng, 20) : 0;
    f.lossy = prng_chance(&f.prng, 2, 3);
    for (unsigned i = 0; i < 400; i++) {
      change(&f);
      pair_wait(&f.pair, 10 * prng_below(&f.prng, 4));
      if (i == 200 && f.pair.ends == 4) {
        pair_disconnect(&f.pair, prng_chance(&f.prng, 1, 2) ? A : C, B);
      }
    }
    f.pair.busy_every = 0;
    f.lossy = false;
    pair_wait(&f.pair, 30000);
    good = pair_has(&f.pair, A, C) && pair_has(&f.pair, C, A) &&
           pair_copy(&f.pair, A, C)->shown && relay_voucher(&f) != PAIR_ENDS;
    for (unsigned i = 0; i < f.pair.ends; i++) {
      good = good && f.pair.replica[i]->serves == NULL &&
             f.pair.replica[i]->repairs == NULL &&
             pair_counters(&f.pair, i).refused[-HOLT_ERR_MALFORMED] == 0;
    }
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " run %u\n", seed, run);
    }
    relay_deinit(&f);
  }
  CU_ASSERT(good);
}

static int
follow_live(struct holt_mem *mem, void *arg)
{
  (void)arg;
  static struct pair pair;
  int rv = pair_init_ends(&pair, mem, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  if (rv != 0) {
    return rv;
  }
  rv = pair_connect_all(&pair);
  rv = rv == 0 ? pair_register_many(&pair, C, 0, 12) : rv;
  bool good = true;
  if (rv == 0) {
    pair_wait(&pair, 12000);
    pair_disconnect(&pair, A, C);
    pair_wait(&pair, 3000);
    (void)pair_unregister(&pair, C, "name 3");
    pair_wait(&pair, 1000);
    (void)pair_update(&pair, C, "name 4", "new");
    (void)pair_register(&pair, C, "x", 1);
    pair_wait(&pair, 15000);
    good = pair_has(&pair, B, C) && pair_has(&pair, A, C);
  }
  pair_deinit(&pair);
  return rv != 0 || good ? rv : HOLT_ERR_MALFORMED;
}

/* A follower that is found, repaired and forwarded to, with each request for
 * memory refused once: it ends well. */
static void
each_request_refused_once(void)
{
  CU_ASSERT(heap_fail_each(follow_live, NULL, NULL));
}

void test_follow_suite(void);

void
test_follow_suite(void)
{
  CU_pSuite suite = CU_add_suite("follow", NULL, NULL);
  CU_ADD_TEST(suite, all_kinds_of_changes_come);
  CU_ADD_TEST(suite, equal_version_costs_one_piece);
  CU_ADD_TEST(suite, writes_go_on_during_the_repair);
  CU_ADD_TEST(suite, own_stream_ends_the_forwarded_one);
  CU_ADD_TEST(suite, voucher_that_loses_the_actor_is_left);
  CU_ADD_TEST(suite, lost_voucher_has_a_successor);
  CU_ADD_TEST(suite, stalled_voucher_is_left);
  CU_ADD_TEST(suite, older_voucher_is_waited_for);
  CU_ADD_TEST(suite, strange_streams_are_refused);
  CU_ADD_TEST(suite, contradicting_voucher_is_left);
  CU_ADD_TEST(suite, prop_everything_comes);
  CU_ADD_TEST(suite, each_request_refused_once);
}
