/* SPDX-License-Identifier: Apache-2.0 */
/* The ends are those of relay.h: what B does for A, which cannot hear C. */
#include <string.h>

#include <CUnit/CUnit.h>

#include "relay.h"

/*--------------------------------------------------------------------
 * What is passed on */

/* What A missed comes by a repair, and what is new as soon as B has it, each
 * delta once and in order; nothing is kept of it. */
static void
stream_goes_on_through_another(void)
{
  struct relay f;
  relay_cut(&f, 3, 100, 20);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(relay_voucher(&f), B);
  CU_ASSERT(pair_has(&f.pair, A, C));
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LIVE);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, B), 0);
  CU_ASSERT_EQUAL(pair_repairs(&f.pair, A), 0);
  const unsigned pieces = f.pair.sent[HOLT_PACKET_REPAIR];
  for (unsigned i = 0; i < 50; i++) {
    CU_ASSERT_EQUAL(relay_write(&f, i), 0);
    pair_run(&f.pair);
    CU_ASSERT(relay_sees(&f, A, i));
  }
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(f.forwarded[B][A], 50);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_REPAIR], pieces);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).gaps, 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).duplicates, 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, B).forwarded, 50);
  CU_ASSERT(pair_counters(&f.pair, B).forwarded_bytes > 50 * 20);
  CU_ASSERT_EQUAL(relay_of(&f, B)->bytes, 0);
  CU_ASSERT_PTR_NULL(relay_of(&f, B)->head);
  CU_ASSERT_EQUAL(relay_follower(&f)->window.bytes, 0);
  CU_ASSERT_EQUAL(f.pair.refused, 0);
  relay_deinit(&f);
}

/* The voucher goes on while it is asked: the walk begins where both were. */
static void
equal_version_may_move_on(void)
{
  struct relay f;
  relay_cut(&f, 3, 100, 0);
  struct holt_replica *const b = f.pair.replica[B];
  struct holt_peer *const a = pair_peer(&f.pair, B, A);
  const struct holt_request request = { .actor = 12,
                                        .token = 5,
                                        .base = 100,
                                        .after = 100,
                                        .start = true };
  CU_ASSERT_EQUAL(holt__serve_request(b, a, &request, f.pair.now.mono_ms), 0);
  CU_ASSERT_EQUAL(b->serves->begin, 100);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, C, "name 3"), 0);
  CU_ASSERT_EQUAL(relay_write(&f, 0), 0);
  while (pair_step(&f.pair, C)) {
  }
  CU_ASSERT_EQUAL(b->serves->note_count, 1);
  /* Asked again, it begins there again. */
  CU_ASSERT_EQUAL(holt__serve_request(b, a, &request, f.pair.now.mono_ms), 0);
  CU_ASSERT_EQUAL(b->serves->cursor, 100);
  CU_ASSERT_EQUAL(b->serves->notes_to, 0);
  /* Without a version of its own the asker is told of all. */
  const struct holt_request torn = { .actor = 12,
                                     .token = 6,
                                     .base = 102,
                                     .start = true };
  CU_ASSERT_EQUAL(holt__serve_request(b, a, &torn, f.pair.now.mono_ms), 0);
  CU_ASSERT_EQUAL(b->serves->begin, 0);
  pair_run(&f.pair);
  relay_wait(&f, 2);
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

/* Several followers that stand at one place are sent one message. */
static void
equal_followers_share_a_message(void)
{
  struct relay f;
  relay_init(&f, 4, 10);
  pair_disconnect(&f.pair, A, C);
  pair_disconnect(&f.pair, D, C);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(relay_voucher(&f), B);
  const struct holt_follower *const first = relay_of(&f, B)->followers;
  CU_ASSERT_PTR_NOT_NULL_FATAL(first->next);
  CU_ASSERT_PTR_NULL(first->next->next);
  relay_b_hears(&f, 0);
  const struct holt_effect effect = relay_next(&f, B, HOLT_PACKET_DELTA);
  CU_ASSERT_EQUAL(effect.type, HOLT_EFFECT_SEND);
  CU_ASSERT_EQUAL(effect.target_count, 2);
  CU_ASSERT_EQUAL(relay_next(&f, B, HOLT_PACKET_DELTA).type, HOLT_EFFECT_NONE);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, B).forwarded, 2);
  relay_wait(&f, 3);
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

/* The actor is told how far those have come who hear it through others. */
static void
acks_are_passed_back(void)
{
  struct relay f;
  relay_run(&f, 3);
  for (unsigned i = 0; i < 5; i++) {
    CU_ASSERT_EQUAL(relay_write(&f, i), 0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(pair_copy(&f.pair, C, A)->presence.reached, 11 + i);
  }
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_REACHED], 6);
  /* A busy link is told later. */
  CU_ASSERT_EQUAL(relay_write(&f, 5), 0);
  f.pair.busy_every = 2;
  pair_wait(&f.pair, 500);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, C, A)->presence.reached, 16);
  relay_deinit(&f);
}

/*--------------------------------------------------------------------
 * What is not */

/* B has come forward by a repair: nobody is sent what does not follow on what
 * it has; A is told, and asks for a repair, too. */
static void
jump_of_the_voucher_is_told(void)
{
  struct relay f;
  relay_cut(&f, 3, 100, 0);
  pair_run(&f.pair);
  f.mute[C][B] = 1u << HOLT_PACKET_DELTA;
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, C, "name 7"), 0);
  CU_ASSERT_EQUAL(relay_write(&f, 0), 0);
  pair_run(&f.pair);
  pair_forget(&f.pair, C);
  f.mute[C][B] = 0;
  memset(f.pair.sent, 0, sizeof f.pair.sent);
  relay_wait(&f, 3);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_LOST], 2); /* C to B, B to A. */
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(relay_voucher(&f), B);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LIVE);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).gaps, 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).repairs, 2);
  CU_ASSERT_EQUAL(relay_write(&f, 1), 0);
  pair_run(&f.pair);
  CU_ASSERT(relay_sees(&f, A, 1));
  relay_deinit(&f);
}

/* A delta that does not begin where the last one ended is a jump, too. */
static void
gap_in_the_stream_is_a_jump(void)
{
  struct relay f;
  relay_run(&f, 3);
  relay_of(&f, B)->end = 9;
  relay_b_hears(&f, 0);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LOST);
  CU_ASSERT_PTR_NULL(relay_of(&f, B)->head);
  CU_ASSERT_EQUAL(relay_of(&f, B)->end, 11);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LIVE);
  relay_deinit(&f);
}

/* No memory to keep a delta costs the followers a repair, and B nothing. */
static void
unkept_delta_is_a_jump(void)
{
  struct relay f;
  relay_run(&f, 3);
  struct holt_relay *const of_c = relay_of(&f, B);
  struct holt_message message = { .after = 10,
                                  .to = 11,
                                  .body = (const uint8_t *)"delta",
                                  .body_size = 5 };
  f.heap.fail_at = f.heap.requests + 1;
  holt__forward_delta(f.pair.replica[B], of_c->actor, &message);
  CU_ASSERT(f.heap.failed);
  CU_ASSERT_EQUAL(of_c->followers->state, FOLLOWER_LOST);
  CU_ASSERT_PTR_NULL(of_c->head);
  CU_ASSERT_EQUAL(of_c->end, 11);
  of_c->end = 10;
  relay_wait(&f, 1);
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

/* No more than a window is under way to a follower, and no more than a window
 * is kept for it: who does not say that it has come is lost, and repaired. */
static void
windows_and_lists_are_bounded(void)
{
  struct relay f;
  relay_run(&f, 3);
  f.pair.replica[B]->tuning.window_bytes = 300;
  size_t bytes = 0;
  unsigned i = 0;
  for (; i < 100 && relay_follower(&f)->state == FOLLOWER_LIVE; i++) {
    relay_b_hears(&f, i);
    const struct holt_effect effect = relay_next(&f, B, HOLT_PACKET_DELTA);
    bytes += effect.type == HOLT_EFFECT_SEND ? effect.size : 0;
    CU_ASSERT(bytes < 300 + 60);
    CU_ASSERT_EQUAL(relay_follower(&f)->window.bytes,
                    relay_follower(&f)->state == FOLLOWER_LIVE ? bytes : 0);
    CU_ASSERT(relay_of(&f, B)->bytes <= 300);
  }
  CU_ASSERT(bytes >= 300);
  CU_ASSERT(i > 10 && i < 100);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LOST);
  CU_ASSERT_EQUAL(relay_of(&f, B)->bytes, 0);
  relay_wait(&f, 2);
  CU_ASSERT(f.pair.sent[HOLT_PACKET_LOST] > 0);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LIVE);
  /* One that is larger than a window is kept as it is. */
  f.pair.replica[B]->tuning.window_bytes = 1;
  CU_ASSERT_EQUAL(relay_write(&f, 200), 0);
  pair_run(&f.pair);
  CU_ASSERT(relay_sees(&f, A, 200));
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LIVE);
  relay_deinit(&f);
}

/* A link that takes no delta costs time: the next one is the same. */
static void
busy_link_undoes_a_forward(void)
{
  struct relay f;
  relay_run(&f, 3);
  struct holt_replica *const b = f.pair.replica[B];
  relay_b_hears(&f, 0);
  relay_b_hears(&f, 1);
  struct holt_effect effect = relay_next(&f, B, HOLT_PACKET_DELTA);
  CU_ASSERT_EQUAL_FATAL(effect.type, HOLT_EFFECT_SEND);
  uint8_t bytes[200];
  const size_t size = effect.size;
  memcpy(bytes, effect.bytes, size);
  CU_ASSERT_EQUAL(relay_follower(&f)->cursor, 11);
  holt_replica_peer_busy(b, effect.targets[0].peer, &f.pair.now);
  CU_ASSERT_EQUAL(relay_follower(&f)->cursor, 10);
  CU_ASSERT_EQUAL(relay_follower(&f)->window.bytes, 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, B).forwarded, 0);
  CU_ASSERT_EQUAL(relay_next(&f, B, HOLT_PACKET_DELTA).type, HOLT_EFFECT_NONE);
  f.pair.now.mono_ms += HOLT_BUSY_MS;
  effect = relay_next(&f, B, HOLT_PACKET_DELTA);
  CU_ASSERT(effect.type == HOLT_EFFECT_SEND && effect.size == size &&
            memcmp(effect.bytes, bytes, size) == 0);
  CU_ASSERT_EQUAL(relay_next(&f, B, HOLT_PACKET_DELTA).type, HOLT_EFFECT_SEND);
  relay_wait(&f, 3);
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

/* The last piece of a repair that was not taken has not been sent. */
static void
busy_link_undoes_the_last_piece(void)
{
  struct relay f;
  relay_cut(&f, 3, 10, 0);
  const struct holt_request request = { .actor = 12,
                                        .token = 5,
                                        .base = 10,
                                        .after = 10,
                                        .start = true,
                                        .follow = true };
  CU_ASSERT_EQUAL(relay_say_request(&f, A, B, &request), 0);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_REPAIRED);
  const struct holt_effect effect = relay_next(&f, B, HOLT_PACKET_REPAIR);
  CU_ASSERT_EQUAL_FATAL(effect.type, HOLT_EFFECT_SEND);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_WAITED);
  holt_replica_peer_busy(f.pair.replica[B], effect.targets[0].peer,
                         &f.pair.now);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_REPAIRED);
  relay_b_hears(&f, 0);
  CU_ASSERT_PTR_NULL(relay_of(&f, B)->head);
  relay_wait(&f, 3);
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

/* That the repair has come is never heard: asked again, A only goes on. */
static void
silent_follower_is_asked(void)
{
  struct relay f;
  relay_cut(&f, 3, 10, 5);
  f.mute[A][B] = 1u << HOLT_PACKET_ACK;
  pair_run(&f.pair);
  CU_ASSERT(pair_has(&f.pair, A, C));
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_WAITED);
  relay_wait(&f, HOLT_SERVE_INTERVALS);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, B), 0);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LOST);
  f.mute[A][B] = 0;
  relay_wait(&f, 2);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LIVE);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).repairs, 1);
  CU_ASSERT_EQUAL(relay_write(&f, 0), 0);
  pair_run(&f.pair);
  CU_ASSERT(relay_sees(&f, A, 0));
  relay_deinit(&f);
}

/* C says that it will be back, or is gone for ever: B forwards nothing. */
static void
goodbye_ends_it(void)
{
  static const enum holt_goodbye goodbyes[2] = { HOLT_GOODBYE_PAUSED,
                                                 HOLT_GOODBYE_ENDED };
  for (unsigned i = 0; i < 2; i++) {
    struct relay f;
    relay_run(&f, 3);
    CU_ASSERT_PTR_NOT_NULL(relay_of(&f, B));
    relay_b_hears(&f, 0);
    holt_replica_goodbye(f.pair.replica[C], goodbyes[i]);
    while (pair_step(&f.pair, C)) {
    }
    CU_ASSERT(pair_copy(&f.pair, B, C) == NULL ||
              pair_copy(&f.pair, B, C)->presence.relay == NULL);
    CU_ASSERT_PTR_NULL(pair_peer(&f.pair, B, A)->followers);
    CU_ASSERT_EQUAL(relay_next(&f, B, HOLT_PACKET_DELTA).type,
                    HOLT_EFFECT_NONE);
    relay_deinit(&f);
  }
}

/* A forwards nothing that has been forwarded to it. */
static void
nothing_is_forwarded_twice(void)
{
  struct relay f;
  relay_cut(&f, 4, 10, 0);
  pair_disconnect(&f.pair, D, C);
  pair_disconnect(&f.pair, D, B);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, D, C)->presence.sight, HOLT_SIGHT_ABSENT);
  const struct holt_request request = { .actor = 12,
                                        .token = 5,
                                        .base = 10,
                                        .after = 10,
                                        .start = true,
                                        .follow = true };
  CU_ASSERT_EQUAL(relay_say_request(&f, D, A, &request), 0);
  CU_ASSERT_EQUAL(pair_peer(&f.pair, A, D)->refusal_count, 1);
  CU_ASSERT_PTR_NULL(relay_of(&f, A));
  for (unsigned i = 0; i < 5; i++) {
    CU_ASSERT_EQUAL(relay_write(&f, i), 0);
    pair_run(&f.pair);
  }
  CU_ASSERT(pair_has(&f.pair, A, C));
  CU_ASSERT_EQUAL(f.forwarded[B][A], 5);
  CU_ASSERT_EQUAL(f.forwarded[A][D], 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).forwarded, 0);
  relay_deinit(&f);
}

/*--------------------------------------------------------------------
 * Hostile */

static void
wrong_acks_are_refused(void)
{
  struct relay f;
  relay_run(&f, 3);
  const struct holt_ack strange = { .actor = 11, .cursor = 0 };
  CU_ASSERT_EQUAL(relay_say_ack(&f, C, B, &strange), 0); /* Its own stream. */
  CU_ASSERT_EQUAL(
    relay_say_ack(&f, C, B, &(struct holt_ack){ .actor = 12, .cursor = 1 }),
    HOLT_ERR_STALE);
  CU_ASSERT_EQUAL(
    relay_say_ack(&f, A, B, &(struct holt_ack){ .actor = 99, .cursor = 1 }),
    HOLT_ERR_STALE);
  const uint64_t beyond[] = { 11, 1000, HOLT_SEQ_MAX, UINT64_MAX };
  for (unsigned i = 0; i < 4; i++) {
    const struct holt_ack ack = { .actor = 12,
                                  .cursor = beyond[i],
                                  .gap = i % 2 == 0 };
    CU_ASSERT_EQUAL(relay_say_ack(&f, A, B, &ack), HOLT_ERR_MALFORMED);
  }
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LIVE);
  const struct holt_counters counters = pair_counters(&f.pair, B);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_MALFORMED], 4);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_STALE], 2);
  /* Where nothing is kept any more it is lost, and repaired. */
  CU_ASSERT_EQUAL(
    relay_say_ack(&f, A, B,
                  &(struct holt_ack){ .actor = 12, .cursor = 3, .gap = true }),
    0);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LOST);
  CU_ASSERT_EQUAL(
    relay_say_ack(&f, A, B,
                  &(struct holt_ack){ .actor = 12, .cursor = 4, .gap = true }),
    0);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LOST);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_LIVE);
  /* To stop what is not sent is no mistake. */
  const struct holt_ack stop = { .actor = 12, .cursor = 10, .stop = true };
  CU_ASSERT_EQUAL(relay_say_ack(&f, A, B, &stop), 0);
  CU_ASSERT_EQUAL(relay_say_ack(&f, A, B, &stop), 0);
  CU_ASSERT_PTR_NULL(relay_of(&f, B));
  relay_deinit(&f);
}

/* A peer that says that it has all, but not that it knows, is told again, as
 * often as it asks. */
static void
unclean_follower_is_told(void)
{
  struct relay f;
  relay_run(&f, 3);
  pair_copy(&f.pair, A, C)->dirty = true;
  CU_ASSERT_EQUAL(
    relay_say_ack(
      &f, A, B, &(struct holt_ack){ .actor = 12, .cursor = 10, .dirty = true }),
    0);
  CU_ASSERT(relay_follower(&f)->unclean);
  struct holt_effect effect = relay_next(&f, B, HOLT_PACKET_DELTA);
  CU_ASSERT_EQUAL(effect.type, HOLT_EFFECT_SEND);
  CU_ASSERT(!relay_follower(&f)->unclean);
  holt_replica_peer_busy(f.pair.replica[B], effect.targets[0].peer,
                         &f.pair.now);
  CU_ASSERT(relay_follower(&f)->unclean);
  pair_wait(&f.pair, HOLT_BUSY_MS);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(relay_follower(&f)->window.bytes, 0);
  relay_deinit(&f);
}

/* Requests to follow, as many as one likes: one repair, and one follower. */
static void
requests_in_storms_are_bounded(void)
{
  struct relay f;
  relay_run(&f, 3);
  for (unsigned i = 1; i <= 1000; i++) {
    const struct holt_request request = { .actor = 12,
                                          .token = 1000 + i,
                                          .base = i % 11,
                                          .after = i % 3 == 0 ? i % 11 : 0,
                                          .start = true,
                                          .follow = true };
    CU_ASSERT_EQUAL(relay_say_request(&f, A, B, &request), 0);
    CU_ASSERT_EQUAL(pair_serves(&f.pair, B), 1);
    CU_ASSERT_EQUAL(relay_follower(&f)->state, FOLLOWER_REPAIRED);
  }
  /* Of its own stream, and of ours, which is no other's. */
  const struct holt_request wrong[] = {
    { .actor = 12, .token = 5, .start = true, .follow = true },
    { .actor = 11, .token = 5, .start = true, .follow = true }
  };
  for (unsigned i = 0; i < 2; i++) {
    CU_ASSERT_EQUAL(relay_say_request(&f, C, B, &wrong[i]), 0);
    CU_ASSERT_EQUAL(pair_peer(&f.pair, B, C)->refusal_count, 1);
    CU_ASSERT_EQUAL(pair_serves(&f.pair, B), 1);
    pair_peer(&f.pair, B, C)->refusal_count = 0;
  }
  relay_wait(&f, HOLT_SERVE_INTERVALS);
  CU_ASSERT(pair_equal(&f.pair));
  relay_deinit(&f);
}

void test_forward_suite(void);

void
test_forward_suite(void)
{
  CU_pSuite suite = CU_add_suite("forward", NULL, NULL);
  CU_ADD_TEST(suite, stream_goes_on_through_another);
  CU_ADD_TEST(suite, equal_version_may_move_on);
  CU_ADD_TEST(suite, equal_followers_share_a_message);
  CU_ADD_TEST(suite, acks_are_passed_back);
  CU_ADD_TEST(suite, jump_of_the_voucher_is_told);
  CU_ADD_TEST(suite, gap_in_the_stream_is_a_jump);
  CU_ADD_TEST(suite, unkept_delta_is_a_jump);
  CU_ADD_TEST(suite, windows_and_lists_are_bounded);
  CU_ADD_TEST(suite, busy_link_undoes_a_forward);
  CU_ADD_TEST(suite, busy_link_undoes_the_last_piece);
  CU_ADD_TEST(suite, silent_follower_is_asked);
  CU_ADD_TEST(suite, goodbye_ends_it);
  CU_ADD_TEST(suite, nothing_is_forwarded_twice);
  CU_ADD_TEST(suite, wrong_acks_are_refused);
  CU_ADD_TEST(suite, unclean_follower_is_told);
  CU_ADD_TEST(suite, requests_in_storms_are_bounded);
}
