/* SPDX-License-Identifier: Apache-2.0 */
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
  heap_init(&f->heap);
  CU_ASSERT_EQUAL_FATAL(pair_init(&f->pair, &f->heap.mem), 0);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_deinit(&f->pair);
  CU_ASSERT(heap_is_clean(&f->heap));
  heap_deinit(&f->heap);
}

/* Two that greet each other at once are done after two each. */
static void
greeting_at_once_ends(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT(f.pair.hellos <= 4);
  CU_ASSERT(pair_equal(&f.pair));
  const unsigned hellos = f.pair.hellos;
  pair_wait(&f.pair, 20000);
  CU_ASSERT_EQUAL(f.pair.hellos, hellos);
  CU_ASSERT_EQUAL(f.pair.refused, 0);
  fixture_deinit(&f);
}

/* Nobody answers: greetings become rare, and end with the link. */
static void
unanswered_greetings_become_rare(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  f.pair.cut = true;
  pair_wait(&f.pair, 64000);
  CU_ASSERT(f.pair.hellos >= 2 * 5 && f.pair.hellos <= 2 * 8);
  pair_unlink(&f.pair);
  const unsigned hellos = f.pair.hellos;
  pair_wait(&f.pair, 64000);
  CU_ASSERT_EQUAL(f.pair.hellos, hellos);
  fixture_deinit(&f);
}

/* What was written for an older session is nothing to the new one. */
static void
older_session_is_stale(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  struct holt_effect effect;
  holt_replica_poll(f.pair.replica[0], &f.pair.now, &effect);
  CU_ASSERT_EQUAL_FATAL(effect.type, HOLT_EFFECT_SEND);
  uint8_t header[HOLT_HEADER_BYTES];
  uint8_t bytes[200];
  const size_t size = effect.size;
  memcpy(header, effect.targets[0].header, sizeof header);
  memcpy(bytes, effect.bytes, size);
  pair_unlink(&f.pair);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_apply(&f.pair, 1, header, bytes, size), HOLT_ERR_STALE);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  struct holt_counters counters;
  holt_replica_counters(f.pair.replica[1], &counters);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_STALE], 1);
  fixture_deinit(&f);
}

static void
hello_of(struct holt_hello *hello, uint64_t actor)
{
  *hello = (struct holt_hello){ .version_min = 1,
                                .version_max = 1,
                                .actor = actor,
                                .creation = 1,
                                .session = 3,
                                .policy = 1,
                                .wall_ms = 1000000 };
  pair_member(1, &hello->member);
}

static int
greet(struct fixture *f, const struct holt_hello *hello)
{
  struct holt_buf buf;
  holt_buf_init(&buf, &f->heap.mem, 0);
  int rv = holt_hello_encode(&buf, hello);
  struct holt_member member;
  pair_member(1, &member);
  if (rv == 0) {
    uint32_t peer;
    rv = holt_replica_hello(f->pair.replica[0], &member, buf.data, buf.size,
                            &f->pair.now, &peer);
  }
  holt_buf_deinit(&buf);
  return rv;
}

static void
wrong_hellos_are_refused(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_hello hello;
  hello_of(&hello, 11);
  hello.policy = 2; /* Another kind. */
  CU_ASSERT_EQUAL(greet(&f, &hello), HOLT_ERR_POLICY);
  hello_of(&hello, 11);
  hello.version_min = hello.version_max = 2;
  CU_ASSERT_EQUAL(greet(&f, &hello), HOLT_ERR_VERSION);
  hello_of(&hello, 10);
  CU_ASSERT_EQUAL(greet(&f, &hello), HOLT_ERR_MALFORMED);
  hello_of(&hello, 11);
  pair_member(0, &hello.member);
  CU_ASSERT_EQUAL(greet(&f, &hello), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(f.pair.replica[0]->peer_count, 0);
  CU_ASSERT_EQUAL(f.pair.replica[0]->rows.actor_count, 1);
  hello_of(&hello, 11);
  CU_ASSERT_EQUAL(greet(&f, &hello), 0);
  CU_ASSERT_EQUAL(f.pair.replica[0]->peer_count, 1);
  struct holt_counters counters;
  holt_replica_counters(f.pair.replica[0], &counters);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_MALFORMED], 2);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_POLICY], 1);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_VERSION], 1);
  fixture_deinit(&f);
}

/* A new actor of the same member is its future: the old one is gone. */
static void
new_actor_supersedes(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 11);
  struct holt_hello hello;
  hello_of(&hello, 12);
  CU_ASSERT_EQUAL(greet(&f, &hello), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 0);
  f.pair.cut = true;
  pair_run(&f.pair);
  CU_ASSERT_PTR_NULL(holt_rows_actor(&f.pair.replica[0]->rows, 11));
  fixture_deinit(&f);
}

/* Names of a missing replica stand for a while, those behind a cut do not. */
static void
missing_replica_keeps_its_names_for_a_while(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 1), 0);
  pair_run(&f.pair);
  f.pair.cut = true;
  holt_replica_peer_down(f.pair.replica[0], f.pair.peer[0][1],
                         HOLT_DOWN_REPLICA, &f.pair.now);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 11);
  pair_wait(&f.pair, f.pair.tuning.replica_restart_ms - 100);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 11);
  pair_wait(&f.pair, 200);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 0);
  CU_ASSERT_EQUAL(f.pair.replica[0]->peer_count, 0);
  holt_replica_peer_down(f.pair.replica[0], f.pair.peer[0][1], HOLT_DOWN_LINK,
                         &f.pair.now);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 11);
  pair_unlink(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 0);
  fixture_deinit(&f);
}

static void
peers_are_limited(void)
{
  struct fixture f;
  fixture_init(&f);
  for (unsigned i = 0; i <= HOLT_PEERS_MAX; i++) {
    char node[16];
    const int size = snprintf(node, sizeof node, "n%u@x", i);
    const struct holt_member member = { .name = (const uint8_t *)"reg",
                                        .name_size = 3,
                                        .node = (const uint8_t *)node,
                                        .node_size = (uint16_t)size };
    uint32_t peer;
    CU_ASSERT_EQUAL(
      holt_replica_peer_up(f.pair.replica[0], &member, &f.pair.now, &peer),
      i < HOLT_PEERS_MAX ? 0 : HOLT_ERR_LIMIT);
  }
  struct holt_hello hello;
  hello_of(&hello, 11);
  CU_ASSERT_EQUAL(greet(&f, &hello), HOLT_ERR_LIMIT);
  fixture_deinit(&f);
}

/* Sessions that do not match are mended by whoever misses the other first. */
static void
silence_is_greeted(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  /* A hello of a former session of B, which came late. */
  struct holt_hello hello;
  hello_of(&hello, 11);
  hello.known_session = f.pair.replica[0]->peers->session;
  CU_ASSERT_EQUAL(greet(&f, &hello), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 0);
  pair_wait(&f.pair,
            (HOLT_SILENT_INTERVALS + 2) * f.pair.tuning.vector_interval_ms);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* Two that have heard nothing of each other for long, because neither was asked,
 * greet each other once, not for ever. */
static void
both_silent_greet_once(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  const unsigned hellos = f.pair.hellos;
  f.pair.now.mono_ms += 2 * HOLT_SILENT_INTERVALS * 1000;
  pair_run(&f.pair);
  CU_ASSERT(f.pair.hellos <= hellos + 2);
  CU_ASSERT(f.pair.sent[HOLT_PACKET_VECTOR] >= 2);
  pair_wait(&f.pair, 1000);
  CU_ASSERT(f.pair.hellos <= hellos + 2);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

void test_peer_suite(void);

void
test_peer_suite(void)
{
  CU_pSuite suite = CU_add_suite("peer", NULL, NULL);
  CU_ADD_TEST(suite, greeting_at_once_ends);
  CU_ADD_TEST(suite, unanswered_greetings_become_rare);
  CU_ADD_TEST(suite, older_session_is_stale);
  CU_ADD_TEST(suite, wrong_hellos_are_refused);
  CU_ADD_TEST(suite, new_actor_supersedes);
  CU_ADD_TEST(suite, missing_replica_keeps_its_names_for_a_while);
  CU_ADD_TEST(suite, peers_are_limited);
  CU_ADD_TEST(suite, silence_is_greeted);
  CU_ADD_TEST(suite, both_silent_greet_once);
}
