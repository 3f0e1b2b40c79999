/* SPDX-License-Identifier: Apache-2.0 */
/* A, the end 0, and C, the end 2, cannot hear each other; B, the end 1, hears
 * both, and so does D, the end 3, where there is one.  What C says to the
 * others is forwarded to A, and what A says to C, which is looked at less. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"
#include "prng.h"

#define A 0u
#define B 1u
#define C 2u
#define D 3u

struct fixture {
  struct heap heap;
  struct pair pair;
  unsigned mute[PAIR_ENDS][PAIR_ENDS]; /* Kinds that are lost on the way. */
  unsigned forwarded[PAIR_ENDS][PAIR_ENDS]; /* Deltas of C. */
  unsigned pieces;                          /* Of C, for A. */
  unsigned pieces_max;                      /* More are lost; 0: none. */
  unsigned writes; /* C registers as many names more, one a piece. */
  struct prng prng;
  bool lossy;
};

static bool
is_of_c(const struct holt_effect *effect, enum holt_packet_kind kind)
{
  static const uint8_t actor[8] = { 0, 0, 0, 0, 0, 0, 0, 12 };
  return effect->type == HOLT_EFFECT_SEND && effect->bytes[0] == kind &&
         memcmp(effect->bytes + 1, actor, sizeof actor) == 0;
}

static bool
on_the_way(struct pair *pair, unsigned from, unsigned to,
           const struct holt_effect *effect)
{
  struct fixture *const f = pair->user;
  const bool send = effect->type == HOLT_EFFECT_SEND;
  f->forwarded[from][to] += is_of_c(effect, HOLT_PACKET_DELTA) ? 1 : 0;
  if (is_of_c(effect, HOLT_PACKET_REPAIR) && to == A) {
    f->pieces++;
    if (f->writes > 0) {
      char text[24];
      (void)snprintf(text, sizeof text, "during %u", f->writes--);
      CU_ASSERT_EQUAL(pair_register(pair, C, text, 1), 0);
    }
    if (f->pieces_max > 0 && f->pieces > f->pieces_max) {
      return true;
    }
  }
  return (send && (f->mute[from][to] >> effect->bytes[0] & 1) != 0) ||
         (f->lossy && send && prng_chance(&f->prng, 1, 10));
}

/* So many ends that have met; C has names. */
static void
fixture_init(struct fixture *f, unsigned ends, unsigned names)
{
  memset(f, 0, sizeof *f);
  heap_init(&f->heap);
  CU_ASSERT_EQUAL_FATAL(pair_init_ends(&f->pair, &f->heap.mem,
                                       HOLT_POLICY_UNIQUE_KEEP_NEWEST, ends),
                        0);
  f->pair.user = f;
  f->pair.filter = on_the_way;
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f->pair), 0);
  CU_ASSERT_EQUAL_FATAL(pair_register_many(&f->pair, C, 0, names), 0);
  pair_run(&f->pair);
  CU_ASSERT(pair_equal(&f->pair));
  memset(f->pair.sent, 0, sizeof f->pair.sent);
  memset(f->pair.bytes_sent, 0, sizeof f->pair.bytes_sent);
  memset(f->forwarded, 0, sizeof f->forwarded);
}

/* And A and C have lost each other, after some changes that A did not hear. */
static void
fixture_cut(struct fixture *f, unsigned ends, unsigned names, unsigned unheard)
{
  fixture_init(f, ends, names);
  f->mute[C][A] = ~0u;
  CU_ASSERT_EQUAL(pair_register_many(&f->pair, C, names, names + unheard), 0);
  pair_run(&f->pair);
  f->mute[C][A] = 0;
  memset(f->forwarded, 0, sizeof f->forwarded);
  pair_disconnect(&f->pair, A, C);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_deinit(&f->pair);
  CU_ASSERT(heap_is_clean(&f->heap));
  heap_deinit(&f->heap);
}

static void
wait_intervals(struct fixture *f, unsigned intervals)
{
  pair_wait(&f->pair, intervals * f->pair.tuning.vector_interval_ms);
}

/* Who forwards C to A; PAIR_ENDS: nobody. */
static unsigned
followed(const struct fixture *f)
{
  const uint32_t follow = pair_copy(&f->pair, A, C)->presence.follow;
  unsigned at = 1;
  while (at < f->pair.ends &&
         (at == C || follow == 0 || f->pair.peer[A][at] != follow)) {
    at++;
  }
  return at < f->pair.ends ? at : PAIR_ENDS;
}

static struct holt_relay *
relay(const struct fixture *f, unsigned at)
{
  return pair_copy(&f->pair, at, C)->presence.relay;
}

/* That of A at B, which is the only one there. */
static struct holt_follower *
follower(const struct fixture *f)
{
  struct holt_relay *const of_c = relay(f, B);
  CU_ASSERT_PTR_NOT_NULL_FATAL(of_c);
  CU_ASSERT_PTR_NULL(of_c->followers->next);
  return of_c->followers;
}

static int
write_name(struct fixture *f, unsigned number)
{
  char text[16];
  (void)snprintf(text, sizeof text, "more %u", number);
  return pair_register(&f->pair, C, text, 1);
}

static bool
sees_name(const struct fixture *f, unsigned at, unsigned number)
{
  char text[16];
  (void)snprintf(text, sizeof text, "more %u", number);
  return pair_holder(&f->pair, at, text) == 12;
}

static int
say(struct fixture *f, unsigned from, unsigned to, struct holt_buf *body)
{
  CU_ASSERT_EQUAL_FATAL(body->error, 0);
  const int rv = pair_apply_from(&f->pair, from, to, body->data, body->size);
  holt_buf_deinit(body);
  return rv;
}

static int
say_ack(struct fixture *f, unsigned from, unsigned to,
        const struct holt_ack *ack)
{
  struct holt_buf body;
  holt_buf_init(&body, &f->heap.mem, 0);
  (void)holt_ack_encode(&body, ack);
  return say(f, from, to, &body);
}

static int
say_request(struct fixture *f, unsigned from, unsigned to,
            const struct holt_request *request)
{
  struct holt_buf body;
  holt_buf_init(&body, &f->heap.mem, 0);
  (void)holt_request_encode(&body, request);
  return say(f, from, to, &body);
}

/* The next delta of C that this end sends now, or NONE. */
static struct holt_effect
next_forward(struct fixture *f, unsigned at)
{
  struct holt_effect effect;
  do {
    holt_replica_poll(f->pair.replica[at], &f->pair.now, &effect);
  } while (effect.type != HOLT_EFFECT_NONE &&
           !is_of_c(&effect, HOLT_PACKET_DELTA));
  return effect;
}

/* C tells B, which says that it has come, and nobody else does anything. */
static void
c_to_b(struct fixture *f, unsigned number)
{
  CU_ASSERT_EQUAL(write_name(f, number), 0);
  while (pair_step(&f->pair, C)) {
  }
  const struct holt_ack ack = { .actor = 12,
                                .cursor = pair_copy(&f->pair, B, C)->cursor };
  CU_ASSERT_EQUAL(say_ack(f, B, C, &ack), 0);
}

/*--------------------------------------------------------------------
 * What comes */

/* What A missed comes by a repair, and what is new as soon as B has it, each
 * delta once and in order; nothing is kept of it. */
static void
stream_goes_on_through_another(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 100, 20);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(followed(&f), B);
  CU_ASSERT(pair_has(&f.pair, A, C));
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LIVE);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, B), 0);
  CU_ASSERT_EQUAL(pair_repairs(&f.pair, A), 0);
  const unsigned pieces = f.pair.sent[HOLT_PACKET_REPAIR];
  for (unsigned i = 0; i < 50; i++) {
    CU_ASSERT_EQUAL(write_name(&f, i), 0);
    pair_run(&f.pair);
    CU_ASSERT(sees_name(&f, A, i));
  }
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(f.forwarded[B][A], 50);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_REPAIR], pieces);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).gaps, 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).duplicates, 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, B).forwarded, 50);
  CU_ASSERT(pair_counters(&f.pair, B).forwarded_bytes > 50 * 20);
  CU_ASSERT_EQUAL(relay(&f, B)->bytes, 0);
  CU_ASSERT_PTR_NULL(relay(&f, B)->head);
  CU_ASSERT_EQUAL(follower(&f)->window.bytes, 0);
  CU_ASSERT_EQUAL(f.pair.refused, 0);
  fixture_deinit(&f);
}

/* Deaths and updates come, too; and the other way it is the same. */
static void
all_kinds_of_changes_come(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 20, 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, C, "name 3"), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, C, "name 4", "new"), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, A, "of a", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_holder(&f.pair, A, "name 3"), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, C, "of a"), 10);
  wait_intervals(&f, 2);
  CU_ASSERT(holt_replica_in_sync(f.pair.replica[B]));
  fixture_deinit(&f);
}

/* Whoever is where its voucher is gets one empty piece, however many names
 * there are. */
static void
equal_version_costs_one_piece(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 1000, 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(followed(&f), B);
  CU_ASSERT_EQUAL(f.pieces, 1);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_REPAIR], 2); /* C follows A. */
  CU_ASSERT(f.pair.bytes_sent[HOLT_PACKET_REPAIR] <= 2 * 40);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, A, C)->row_count, 1000);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, C, "name 3"), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(f.pieces, 1);
  fixture_deinit(&f);
}

/* The voucher goes on while it is asked: the walk begins where both were. */
static void
equal_version_may_move_on(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 100, 0);
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
  CU_ASSERT_EQUAL(write_name(&f, 0), 0);
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
  wait_intervals(&f, 2);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* What is written while A is repaired is in the repair, or comes behind it. */
static void
writes_go_on_during_the_repair(void)
{
  for (unsigned writes = 0; writes < 30; writes++) {
    struct fixture f;
    fixture_cut(&f, 3, 200, 50);
    f.pair.replica[B]->tuning.message_bytes_max = 200;
    f.pair.replica[B]->tuning.window_bytes = 100 + 30 * writes;
    f.writes = writes;
    pair_run(&f.pair);
    CU_ASSERT(f.pieces > 3);
    if (writes < 4) {
      CU_ASSERT(pair_equal(&f.pair));
      CU_ASSERT_EQUAL(pair_counters(&f.pair, A).repairs, 1);
    }
    wait_intervals(&f, 3);
    CU_ASSERT(pair_equal(&f.pair));
    CU_ASSERT_EQUAL(followed(&f), B);
    fixture_deinit(&f);
  }
}

/* Several followers that stand at one place are sent one message. */
static void
equal_followers_share_a_message(void)
{
  struct fixture f;
  fixture_init(&f, 4, 10);
  pair_disconnect(&f.pair, A, C);
  pair_disconnect(&f.pair, D, C);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(followed(&f), B);
  const struct holt_follower *const first = relay(&f, B)->followers;
  CU_ASSERT_PTR_NOT_NULL_FATAL(first->next);
  CU_ASSERT_PTR_NULL(first->next->next);
  c_to_b(&f, 0);
  const struct holt_effect effect = next_forward(&f, B);
  CU_ASSERT_EQUAL(effect.type, HOLT_EFFECT_SEND);
  CU_ASSERT_EQUAL(effect.target_count, 2);
  CU_ASSERT_EQUAL(next_forward(&f, B).type, HOLT_EFFECT_NONE);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, B).forwarded, 2);
  wait_intervals(&f, 3);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* The actor is told how far those have come who hear it through others. */
static void
acks_are_passed_back(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  pair_run(&f.pair);
  for (unsigned i = 0; i < 5; i++) {
    CU_ASSERT_EQUAL(write_name(&f, i), 0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(pair_copy(&f.pair, C, A)->presence.reached, 11 + i);
  }
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_REACHED], 6);
  /* A busy link is told later. */
  CU_ASSERT_EQUAL(write_name(&f, 5), 0);
  f.pair.busy_every = 2;
  pair_wait(&f.pair, 500);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, C, A)->presence.reached, 16);
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * What does not */

/* B has come forward by a repair: nobody is sent what does not follow on what
 * it has; A is told, and asks for a repair, too. */
static void
jump_of_the_voucher_is_told(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 100, 0);
  pair_run(&f.pair);
  f.mute[C][B] = 1u << HOLT_PACKET_DELTA;
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, C, "name 7"), 0);
  CU_ASSERT_EQUAL(write_name(&f, 0), 0);
  pair_run(&f.pair);
  pair_forget(&f.pair, C);
  f.mute[C][B] = 0;
  memset(f.pair.sent, 0, sizeof f.pair.sent);
  wait_intervals(&f, 3);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_LOST], 2); /* C to B, B to A. */
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(followed(&f), B);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LIVE);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).gaps, 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).repairs, 2);
  CU_ASSERT_EQUAL(write_name(&f, 1), 0);
  pair_run(&f.pair);
  CU_ASSERT(sees_name(&f, A, 1));
  fixture_deinit(&f);
}

/* A delta that does not begin where the last one ended is a jump, too. */
static void
gap_in_the_stream_is_a_jump(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  pair_run(&f.pair);
  relay(&f, B)->end = 9;
  c_to_b(&f, 0);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LOST);
  CU_ASSERT_PTR_NULL(relay(&f, B)->head);
  CU_ASSERT_EQUAL(relay(&f, B)->end, 11);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LIVE);
  fixture_deinit(&f);
}

/* No more than a window is under way to a follower, and no more than a window
 * is kept for it: who does not say that it has come is lost, and repaired. */
static void
windows_and_lists_are_bounded(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  pair_run(&f.pair);
  f.pair.replica[B]->tuning.window_bytes = 300;
  size_t bytes = 0;
  unsigned i = 0;
  for (; i < 100 && follower(&f)->state == FOLLOWER_LIVE; i++) {
    c_to_b(&f, i);
    const struct holt_effect effect = next_forward(&f, B);
    bytes += effect.type == HOLT_EFFECT_SEND ? effect.size : 0;
    CU_ASSERT(bytes < 300 + 60);
    CU_ASSERT_EQUAL(follower(&f)->window.bytes,
                    follower(&f)->state == FOLLOWER_LIVE ? bytes : 0);
    CU_ASSERT(relay(&f, B)->bytes <= 300);
  }
  CU_ASSERT(bytes >= 300);
  CU_ASSERT(i > 10 && i < 100);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LOST);
  CU_ASSERT_EQUAL(relay(&f, B)->bytes, 0);
  wait_intervals(&f, 2);
  CU_ASSERT(f.pair.sent[HOLT_PACKET_LOST] > 0);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LIVE);
  /* One that is larger than a window is kept as it is. */
  f.pair.replica[B]->tuning.window_bytes = 1;
  CU_ASSERT_EQUAL(write_name(&f, 200), 0);
  pair_run(&f.pair);
  CU_ASSERT(sees_name(&f, A, 200));
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LIVE);
  fixture_deinit(&f);
}

/* A link that takes no delta costs time: the next one is the same. */
static void
busy_link_undoes_a_forward(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  pair_run(&f.pair);
  struct holt_replica *const b = f.pair.replica[B];
  c_to_b(&f, 0);
  c_to_b(&f, 1);
  struct holt_effect effect = next_forward(&f, B);
  CU_ASSERT_EQUAL_FATAL(effect.type, HOLT_EFFECT_SEND);
  uint8_t bytes[200];
  const size_t size = effect.size;
  memcpy(bytes, effect.bytes, size);
  CU_ASSERT_EQUAL(follower(&f)->cursor, 11);
  holt_replica_peer_busy(b, effect.targets[0].peer, &f.pair.now);
  CU_ASSERT_EQUAL(follower(&f)->cursor, 10);
  CU_ASSERT_EQUAL(follower(&f)->window.bytes, 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, B).forwarded, 0);
  CU_ASSERT_EQUAL(next_forward(&f, B).type, HOLT_EFFECT_NONE);
  f.pair.now.mono_ms += HOLT_BUSY_MS;
  effect = next_forward(&f, B);
  CU_ASSERT(effect.type == HOLT_EFFECT_SEND && effect.size == size &&
            memcmp(effect.bytes, bytes, size) == 0);
  CU_ASSERT_EQUAL(next_forward(&f, B).type, HOLT_EFFECT_SEND);
  wait_intervals(&f, 3);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* The last piece of a repair that was not taken has not been sent. */
static void
busy_link_undoes_the_last_piece(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  const struct holt_request request = { .actor = 12,
                                        .token = 5,
                                        .base = 10,
                                        .after = 10,
                                        .start = true,
                                        .follow = true };
  CU_ASSERT_EQUAL(say_request(&f, A, B, &request), 0);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_REPAIRED);
  struct holt_effect effect;
  do {
    holt_replica_poll(f.pair.replica[B], &f.pair.now, &effect);
    CU_ASSERT_NOT_EQUAL_FATAL(effect.type, HOLT_EFFECT_NONE);
  } while (!is_of_c(&effect, HOLT_PACKET_REPAIR));
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_WAITED);
  holt_replica_peer_busy(f.pair.replica[B], effect.targets[0].peer,
                         &f.pair.now);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_REPAIRED);
  c_to_b(&f, 0);
  CU_ASSERT_PTR_NULL(relay(&f, B)->head);
  wait_intervals(&f, 3);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* That the repair has come is never heard: asked again, A only goes on. */
static void
silent_follower_is_asked(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 5);
  f.mute[A][B] = 1u << HOLT_PACKET_ACK;
  pair_run(&f.pair);
  CU_ASSERT(pair_has(&f.pair, A, C));
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_WAITED);
  wait_intervals(&f, HOLT_SERVE_INTERVALS);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, B), 0);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LOST);
  f.mute[A][B] = 0;
  wait_intervals(&f, 2);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LIVE);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).repairs, 1);
  CU_ASSERT_EQUAL(write_name(&f, 0), 0);
  pair_run(&f.pair);
  CU_ASSERT(sees_name(&f, A, 0));
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Ends */

/* C is there itself: its own stream goes on, and B is told to stop. */
static void
own_stream_ends_the_forwarded_one(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  pair_run(&f.pair);
  CU_ASSERT_PTR_NOT_NULL(relay(&f, B));
  CU_ASSERT_EQUAL(pair_connect(&f.pair, A, C), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(followed(&f), PAIR_ENDS);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, A, C)->presence.follow, 0);
  CU_ASSERT_PTR_NULL(relay(&f, B));
  CU_ASSERT_PTR_NULL(pair_peer(&f.pair, B, A)->followers);
  memset(f.forwarded, 0, sizeof f.forwarded);
  CU_ASSERT_EQUAL(write_name(&f, 0), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(f.forwarded[C][A], 1);
  CU_ASSERT_EQUAL(f.forwarded[B][A], 0);
  CU_ASSERT_EQUAL(f.pair.refused, 0);
  fixture_deinit(&f);
}

/* C says that it will be back, or is gone for ever: B forwards nothing. */
static void
goodbye_ends_it(void)
{
  static const enum holt_goodbye goodbyes[2] = { HOLT_GOODBYE_PAUSED,
                                                 HOLT_GOODBYE_ENDED };
  for (unsigned i = 0; i < 2; i++) {
    struct fixture f;
    fixture_cut(&f, 3, 10, 0);
    pair_run(&f.pair);
    CU_ASSERT_PTR_NOT_NULL(relay(&f, B));
    c_to_b(&f, 0);
    holt_replica_goodbye(f.pair.replica[C], goodbyes[i]);
    while (pair_step(&f.pair, C)) {
    }
    CU_ASSERT(pair_copy(&f.pair, B, C) == NULL ||
              pair_copy(&f.pair, B, C)->presence.relay == NULL);
    CU_ASSERT_PTR_NULL(pair_peer(&f.pair, B, A)->followers);
    CU_ASSERT_EQUAL(next_forward(&f, B).type, HOLT_EFFECT_NONE);
    fixture_deinit(&f);
  }
}

/* B loses C: nothing is forwarded, and A takes D. */
static void
voucher_that_loses_the_actor_is_left(void)
{
  struct fixture f;
  fixture_cut(&f, 4, 10, 0);
  pair_run(&f.pair);
  const unsigned first = followed(&f);
  CU_ASSERT_FATAL(first == B || first == D);
  pair_disconnect(&f.pair, first, C);
  CU_ASSERT_PTR_NULL(relay(&f, first));
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(followed(&f), B + D - first);
  CU_ASSERT_EQUAL(write_name(&f, 0), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* The link to the voucher is lost, in the middle of the stream or of a repair
 * after so many pieces: another one goes on. */
static void
lost_voucher_has_a_successor(void)
{
  for (unsigned pieces = 0; pieces < 8; pieces++) {
    struct fixture f;
    fixture_cut(&f, 4, 100, 50);
    f.pair.replica[B]->tuning.message_bytes_max = 200;
    f.pair.replica[D]->tuning.message_bytes_max = 200;
    f.pieces_max = pieces;
    pair_run(&f.pair);
    const unsigned first = followed(&f);
    CU_ASSERT_FATAL(first == B || first == D);
    CU_ASSERT_EQUAL(pair_repairs(&f.pair, A),
                    pieces > 0 && f.pieces > pieces ? 1 : 0);
    f.pieces_max = 0;
    CU_ASSERT_EQUAL(write_name(&f, 0), 0);
    pair_disconnect(&f.pair, A, first);
    CU_ASSERT_EQUAL(write_name(&f, 1), 0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(followed(&f), B + D - first);
    CU_ASSERT_PTR_NULL(relay(&f, first));
    CU_ASSERT_EQUAL(write_name(&f, 2), 0);
    pair_run(&f.pair);
    CU_ASSERT(pair_equal(&f.pair));
    fixture_deinit(&f);
  }
}

/* A voucher from which nothing comes, though others show that there is more: it
 * is asked, and left. */
static void
stalled_voucher_is_left(void)
{
  struct fixture f;
  fixture_cut(&f, 4, 10, 0);
  pair_run(&f.pair);
  const unsigned first = followed(&f);
  CU_ASSERT_FATAL(first == B || first == D);
  f.mute[first][A] = 1u << HOLT_PACKET_DELTA;
  CU_ASSERT_EQUAL(write_name(&f, 0), 0);
  wait_intervals(&f, 3);
  CU_ASSERT_EQUAL(followed(&f), first);
  CU_ASSERT(f.forwarded[first][A] > 1); /* A has asked for it again. */
  wait_intervals(&f, 3);
  CU_ASSERT_EQUAL(followed(&f), B + D - first);
  CU_ASSERT(sees_name(&f, A, 0));
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).stalls, 1);
  CU_ASSERT_PTR_NULL(relay(&f, first));
  fixture_deinit(&f);
}

/* A is ahead of who vouches: it waits for it to come, instead of going back;
 * but not for ever. */
static void
older_voucher_is_waited_for(void)
{
  struct fixture f;
  fixture_init(&f, 3, 10);
  f.mute[C][B] = 1u << HOLT_PACKET_DELTA;
  CU_ASSERT_EQUAL(write_name(&f, 0), 0);
  pair_run(&f.pair);
  CU_ASSERT(sees_name(&f, A, 0));
  pair_disconnect(&f.pair, A, C);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(followed(&f), PAIR_ENDS);
  CU_ASSERT(sees_name(&f, A, 0));
  f.mute[C][B] = 0;
  wait_intervals(&f, 3);
  CU_ASSERT_EQUAL(followed(&f), B);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(f.pieces, 1);
  pair_copy(&f.pair, A, C)->as_of = 1000;
  holt__follow_fail(f.pair.replica[A], pair_copy(&f.pair, A, C),
                    f.pair.now.mono_ms);
  wait_intervals(&f, 2 * HOLT_STALL_INTERVALS - 1);
  CU_ASSERT_EQUAL(followed(&f), PAIR_ENDS);
  wait_intervals(&f, 3);
  CU_ASSERT_EQUAL(followed(&f), B);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* A forwards nothing that has been forwarded to it. */
static void
nothing_is_forwarded_twice(void)
{
  struct fixture f;
  fixture_cut(&f, 4, 10, 0);
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
  CU_ASSERT_EQUAL(say_request(&f, D, A, &request), 0);
  CU_ASSERT(pair_peer(&f.pair, A, D)->refusal_due);
  CU_ASSERT_PTR_NULL(relay(&f, A));
  for (unsigned i = 0; i < 5; i++) {
    CU_ASSERT_EQUAL(write_name(&f, i), 0);
    pair_run(&f.pair);
  }
  CU_ASSERT(pair_has(&f.pair, A, C));
  CU_ASSERT_EQUAL(f.forwarded[B][A], 5);
  CU_ASSERT_EQUAL(f.forwarded[A][D], 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, A).forwarded, 0);
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Hostile */

static void
wrong_acks_are_refused(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  pair_run(&f.pair);
  const struct holt_ack strange = { .actor = 11, .cursor = 0 };
  CU_ASSERT_EQUAL(say_ack(&f, C, B, &strange), 0); /* Its own stream. */
  CU_ASSERT_EQUAL(
    say_ack(&f, C, B, &(struct holt_ack){ .actor = 12, .cursor = 1 }),
    HOLT_ERR_STALE);
  CU_ASSERT_EQUAL(
    say_ack(&f, A, B, &(struct holt_ack){ .actor = 99, .cursor = 1 }),
    HOLT_ERR_STALE);
  const uint64_t beyond[] = { 11, 1000, HOLT_SEQ_MAX, UINT64_MAX };
  for (unsigned i = 0; i < 4; i++) {
    const struct holt_ack ack = { .actor = 12,
                                  .cursor = beyond[i],
                                  .gap = i % 2 == 0 };
    CU_ASSERT_EQUAL(say_ack(&f, A, B, &ack), HOLT_ERR_MALFORMED);
  }
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LIVE);
  const struct holt_counters counters = pair_counters(&f.pair, B);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_MALFORMED], 4);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_STALE], 2);
  /* Where nothing is kept any more it is lost, and repaired. */
  CU_ASSERT_EQUAL(
    say_ack(&f, A, B,
            &(struct holt_ack){ .actor = 12, .cursor = 3, .gap = true }),
    0);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LOST);
  CU_ASSERT_EQUAL(
    say_ack(&f, A, B,
            &(struct holt_ack){ .actor = 12, .cursor = 4, .gap = true }),
    0);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LOST);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_LIVE);
  /* To stop what is not sent is no mistake. */
  const struct holt_ack stop = { .actor = 12, .cursor = 10, .stop = true };
  CU_ASSERT_EQUAL(say_ack(&f, A, B, &stop), 0);
  CU_ASSERT_EQUAL(say_ack(&f, A, B, &stop), 0);
  CU_ASSERT_PTR_NULL(relay(&f, B));
  fixture_deinit(&f);
}

/* A peer that says that it has all, but not that it knows, is told again, as
 * often as it asks. */
static void
unclean_follower_is_told(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  pair_run(&f.pair);
  pair_copy(&f.pair, A, C)->dirty = true;
  CU_ASSERT_EQUAL(
    say_ack(&f, A, B,
            &(struct holt_ack){ .actor = 12, .cursor = 10, .dirty = true }),
    0);
  CU_ASSERT(follower(&f)->unclean);
  struct holt_effect effect = next_forward(&f, B);
  CU_ASSERT_EQUAL(effect.type, HOLT_EFFECT_SEND);
  CU_ASSERT(!follower(&f)->unclean);
  holt_replica_peer_busy(f.pair.replica[B], effect.targets[0].peer,
                         &f.pair.now);
  CU_ASSERT(follower(&f)->unclean);
  pair_wait(&f.pair, HOLT_BUSY_MS);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(follower(&f)->window.bytes, 0);
  fixture_deinit(&f);
}

/* Requests to follow, as many as one likes: one repair, and one follower. */
static void
requests_in_storms_are_bounded(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  pair_run(&f.pair);
  for (unsigned i = 1; i <= 1000; i++) {
    const struct holt_request request = { .actor = 12,
                                          .token = 1000 + i,
                                          .base = i % 11,
                                          .after = i % 3 == 0 ? i % 11 : 0,
                                          .start = true,
                                          .follow = true };
    CU_ASSERT_EQUAL(say_request(&f, A, B, &request), 0);
    CU_ASSERT_EQUAL(pair_serves(&f.pair, B), 1);
    CU_ASSERT_EQUAL(follower(&f)->state, FOLLOWER_REPAIRED);
  }
  /* Of its own stream, and of ours, which is no other's. */
  const struct holt_request wrong[] = {
    { .actor = 12, .token = 5, .start = true, .follow = true },
    { .actor = 11, .token = 5, .start = true, .follow = true }
  };
  for (unsigned i = 0; i < 2; i++) {
    CU_ASSERT_EQUAL(say_request(&f, C, B, &wrong[i]), 0);
    CU_ASSERT(pair_peer(&f.pair, B, C)->refusal_due);
    CU_ASSERT_EQUAL(pair_serves(&f.pair, B), 1);
    pair_peer(&f.pair, B, C)->refusal_due = false;
  }
  wait_intervals(&f, HOLT_SERVE_INTERVALS);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* What nobody has asked for is refused, and its sender told to stop. */
static void
strange_streams_are_refused(void)
{
  struct fixture f;
  fixture_cut(&f, 4, 10, 0);
  pair_run(&f.pair);
  const unsigned other = B + D - followed(&f);
  struct holt_buf body;
  struct holt_delta_writer writer;
  holt_buf_init(&body, &f.heap.mem, 0);
  holt_delta_begin(&writer, &body, 12, 10);
  CU_ASSERT_EQUAL(holt_delta_end(&writer, 11, 11), 0);
  CU_ASSERT_EQUAL(say(&f, other, A, &body), HOLT_ERR_STALE);
  struct holt_actor *const copy = pair_copy(&f.pair, A, C);
  CU_ASSERT_EQUAL(copy->cursor, 10);
  CU_ASSERT_EQUAL(copy->presence.follow_stop, f.pair.peer[A][other]);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(copy->presence.follow_stop, 0);
  holt_buf_init(&body, &f.heap.mem, 0);
  (void)holt_lost_encode(&body, &(struct holt_lost){ .actor = 12, .base = 5 });
  CU_ASSERT_EQUAL(say(&f, other, A, &body), HOLT_ERR_STALE);
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
    CU_ASSERT_EQUAL(say(&f, B, A, &body), errors[i]);
  }
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* What comes from the voucher contradicts what is there: it is left, and the
 * rows are had anew from another. */
static void
contradicting_voucher_is_left(void)
{
  struct fixture f;
  fixture_cut(&f, 4, 10, 0);
  pair_run(&f.pair);
  const unsigned first = followed(&f);
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
  CU_ASSERT_EQUAL(say(&f, first, A, &body), HOLT_ERR_MALFORMED);
  CU_ASSERT(pair_copy(&f.pair, A, C)->torn);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(followed(&f), B + D - first);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, C, "name 4"), 0);
  pair_run(&f.pair);
  wait_intervals(&f, 2);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Anything */

static void
change(struct fixture *f)
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
    struct fixture f;
    fixture_cut(&f, 3 + run % 2, 50, run % 3 * 5);
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
           pair_copy(&f.pair, A, C)->shown && followed(&f) != PAIR_ENDS;
    for (unsigned i = 0; i < f.pair.ends; i++) {
      good = good && f.pair.replica[i]->serves == NULL &&
             f.pair.replica[i]->repairs == NULL &&
             pair_counters(&f.pair, i).refused[-HOLT_ERR_MALFORMED] == 0;
    }
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " run %u\n", seed, run);
    }
    fixture_deinit(&f);
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

/* No memory to keep a delta costs the followers a repair, and B nothing. */
static void
unkept_delta_is_a_jump(void)
{
  struct fixture f;
  fixture_cut(&f, 3, 10, 0);
  pair_run(&f.pair);
  struct holt_relay *const of_c = relay(&f, B);
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
  wait_intervals(&f, 1);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

void test_forward_suite(void);

void
test_forward_suite(void)
{
  CU_pSuite suite = CU_add_suite("forward", NULL, NULL);
  CU_ADD_TEST(suite, stream_goes_on_through_another);
  CU_ADD_TEST(suite, all_kinds_of_changes_come);
  CU_ADD_TEST(suite, equal_version_costs_one_piece);
  CU_ADD_TEST(suite, equal_version_may_move_on);
  CU_ADD_TEST(suite, writes_go_on_during_the_repair);
  CU_ADD_TEST(suite, equal_followers_share_a_message);
  CU_ADD_TEST(suite, acks_are_passed_back);
  CU_ADD_TEST(suite, jump_of_the_voucher_is_told);
  CU_ADD_TEST(suite, gap_in_the_stream_is_a_jump);
  CU_ADD_TEST(suite, windows_and_lists_are_bounded);
  CU_ADD_TEST(suite, busy_link_undoes_a_forward);
  CU_ADD_TEST(suite, busy_link_undoes_the_last_piece);
  CU_ADD_TEST(suite, silent_follower_is_asked);
  CU_ADD_TEST(suite, own_stream_ends_the_forwarded_one);
  CU_ADD_TEST(suite, goodbye_ends_it);
  CU_ADD_TEST(suite, voucher_that_loses_the_actor_is_left);
  CU_ADD_TEST(suite, lost_voucher_has_a_successor);
  CU_ADD_TEST(suite, stalled_voucher_is_left);
  CU_ADD_TEST(suite, older_voucher_is_waited_for);
  CU_ADD_TEST(suite, nothing_is_forwarded_twice);
  CU_ADD_TEST(suite, wrong_acks_are_refused);
  CU_ADD_TEST(suite, unclean_follower_is_told);
  CU_ADD_TEST(suite, requests_in_storms_are_bounded);
  CU_ADD_TEST(suite, strange_streams_are_refused);
  CU_ADD_TEST(suite, contradicting_voucher_is_left);
  CU_ADD_TEST(suite, prop_everything_comes);
  CU_ADD_TEST(suite, each_request_refused_once);
  CU_ADD_TEST(suite, unkept_delta_is_a_jump);
}
