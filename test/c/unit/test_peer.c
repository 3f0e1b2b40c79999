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
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2, 0);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
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

/* Two that have heard nothing of each other for long, as neither was asked,
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

/*--------------------------------------------------------------------
 * Goodbye */

/* Who ends is freed by all at once, told to nobody again, and its names are
 * gone; poll says NONE when all have been told. */
static void
ended_member_is_freed(void)
{
  struct fixture f;
  heap_init(&f.heap);
  CU_ASSERT_EQUAL_FATAL(
    pair_init_ends(&f.pair, &f.heap.mem, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3), 0);
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 300), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT(!holt_replica_wake(f.pair.replica[0]));
  holt_replica_goodbye(f.pair.replica[0], HOLT_GOODBYE_ENDED);
  CU_ASSERT(holt_replica_wake(f.pair.replica[0]));
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "name 7"), 10);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_GOODBYE], 2);
  for (unsigned at = 1; at < 3; at++) {
    CU_ASSERT_EQUAL(pair_holder(&f.pair, at, "name 7"), 0);
    CU_ASSERT_EQUAL(holt_replica_count(f.pair.replica[at]), 0);
    CU_ASSERT_PTR_NULL(pair_copy(&f.pair, at, 0));
    CU_ASSERT_PTR_NULL(pair_peer(&f.pair, at, 0));
  }
  pair_wait(&f.pair, 3000);
  CU_ASSERT_PTR_NULL(pair_copy(&f.pair, 1, 0));
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_GOODBYE], 2);
  fixture_deinit(&f);
}

/* Who pauses is hidden, and its rows are kept; with its next hello it is back,
 * and nothing has to be sent again. */
static void
paused_member_comes_back(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 30), 0);
  pair_run(&f.pair);
  holt_replica_goodbye(f.pair.replica[0], HOLT_GOODBYE_PAUSED);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "name 7"), 0);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, 1, 0)->row_count, 30);
  CU_ASSERT(pair_copy(&f.pair, 1, 0)->presence.paused);
  CU_ASSERT(!holt_connected(pair_copy(&f.pair, 1, 0)));
  /* Still known to the one who paused. */
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "name 7"), 10);
  pair_wait(&f.pair, 5000);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "name 7"), 0);
  const unsigned deltas = f.pair.sent[HOLT_PACKET_DELTA];
  holt_replica_resume(f.pair.replica[0], &f.pair.now);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "name 7"), 10);
  CU_ASSERT(!pair_copy(&f.pair, 1, 0)->presence.paused);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_DELTA], deltas);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* A busy link keeps the goodbye for later; one about another actor is stale. */
static void
goodbyes_are_undone_and_checked(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  const struct holt_bye bye = { .actor = 99, .goodbye = HOLT_GOODBYE_ENDED };
  CU_ASSERT_EQUAL(holt_bye_encode(&body, &bye), 0);
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 0, 1, body.data, body.size),
                  HOLT_ERR_STALE);
  holt_buf_deinit(&body);
  holt_replica_goodbye(f.pair.replica[0], HOLT_GOODBYE_ENDED);
  f.pair.busy = true;
  pair_run(&f.pair);
  CU_ASSERT(holt_connected(pair_copy(&f.pair, 1, 0)));
  f.pair.busy = false;
  pair_wait(&f.pair, HOLT_BUSY_MS);
  CU_ASSERT_PTR_NULL(pair_copy(&f.pair, 1, 0));
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Clocks */

/* One clock in 2099 among three: its stamps do not run ahead of the others' by
 * more than the bound, and those it made alone fall back when it meets them. */
static void
clock_in_2099_is_capped(void)
{
  struct fixture f;
  heap_init(&f.heap);
  CU_ASSERT_EQUAL_FATAL(
    pair_init_ends(&f.pair, &f.heap.mem, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3), 0);
  f.pair.skew_ms[2] = INT64_C(4070908800000);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "alone", 1), 0);
  struct holt_view view;
  CU_ASSERT(pair_find(&f.pair, 2, "alone", &view));
  CU_ASSERT(holt_clock_stamp_ms(view.stamp) > UINT64_C(4000000000000));
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  pair_wait(&f.pair, 2000);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 1), 0);
  CU_ASSERT(pair_find(&f.pair, 2, "x", &view));
  CU_ASSERT(holt_clock_stamp_ms(view.stamp) <=
            f.pair.now.wall_ms + f.pair.tuning.clock_bound_ms);
  CU_ASSERT(pair_counters(&f.pair, 2).stamps_capped > 0);
  CU_ASSERT(pair_counters(&f.pair, 0).stamps_refused > 0);
  /* The others have not adopted what it made alone. */
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "y", 1), 0);
  CU_ASSERT(pair_find(&f.pair, 0, "y", &view));
  CU_ASSERT(holt_clock_stamp_ms(view.stamp) <= f.pair.now.wall_ms + 1);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).stamps_capped, 0);
  CU_ASSERT(pair_peer(&f.pair, 0, 2)->clock_ms > INT64_C(4000000000000));
  CU_ASSERT(pair_peer(&f.pair, 2, 0)->clock_ms < -INT64_C(4000000000000));
  /* Its names are won by whoever registers them with a right clock later, or
   * before: they are early. */
  pair_disconnect(&f.pair, 0, 2);
  pair_disconnect(&f.pair, 1, 2);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "alone", 2), 0);
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  pair_run(&f.pair);
  for (unsigned at = 0; at < 3; at++) {
    CU_ASSERT_EQUAL(pair_holder(&f.pair, at, "alone"), 10);
  }
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Hellos that cannot be */

/* A hello that promises less than we hold of its actor: the copy is not its
 * past; it is had anew, and what it had is not mixed in. */
static void
version_going_backwards_is_had_anew(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 1, 0, 10), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  pair_unlink(&f.pair);
  /* The same actor id, with other rows and fewer. */
  holt_replica_delete(f.pair.replica[1]);
  f.pair.replica[1] = NULL;
  CU_ASSERT_EQUAL(pair_replica_new(&f.pair, 1, 11), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "other", 1), 0);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_wait(&f.pair, 3000);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "other"), 11);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "name 3"), 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).backwards, 1);
  CU_ASSERT(pair_counters(&f.pair, 0).repairs > 0);
  fixture_deinit(&f);
}

/* Two members that claim one actor: the second is refused, the first stays. */
static void
claimed_actor_is_refused(void)
{
  struct fixture f;
  heap_init(&f.heap);
  CU_ASSERT_EQUAL_FATAL(
    pair_init_ends(&f.pair, &f.heap.mem, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2), 0);
  f.pair.ends = 3;
  CU_ASSERT_EQUAL(pair_replica_new(&f.pair, 2, 11), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "y", 1), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  pair_wait(&f.pair, 3000);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 11);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 0);
  CU_ASSERT_EQUAL(f.pair.refused, HOLT_ERR_STALE);
  const struct holt_peer *const peer = pair_peer(&f.pair, 0, 2);
  CU_ASSERT_PTR_NOT_NULL_FATAL(peer);
  CU_ASSERT(!peer->up);
  CU_ASSERT(peer->refused[-HOLT_ERR_STALE] > 0);
  CU_ASSERT_EQUAL(pair_peer(&f.pair, 0, 1)->refused[-HOLT_ERR_STALE], 0);
  fixture_deinit(&f);
}

/* Members of another kind are refused, those with another rule are not. */
static void
kinds_must_agree_rules_need_not(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_hello hello;
  hello_of(&hello, 11);
  hello.policy = HOLT_POLICY_DUPLICATE;
  CU_ASSERT_EQUAL(greet(&f, &hello), HOLT_ERR_POLICY);
  hello.policy = 0x0301;
  CU_ASSERT_EQUAL(greet(&f, &hello), HOLT_ERR_POLICY);
  hello.policy = UINT64_C(1) << 63 | 1;
  CU_ASSERT_EQUAL(greet(&f, &hello), HOLT_ERR_POLICY);
  hello.policy = HOLT_POLICY_UNIQUE_KEEP_OLDEST;
  CU_ASSERT_EQUAL(greet(&f, &hello), 0);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, 0, 1)->rule, HOLT_RULE_OLDEST);
  fixture_deinit(&f);
}

/* The highest protocol that both speak is spoken, and kept for the peer. */
static void
highest_common_protocol_is_spoken(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_hello hello;
  hello_of(&hello, 11);
  hello.version_min = 0;
  hello.version_max = 200;
  CU_ASSERT_EQUAL(greet(&f, &hello), 0);
  CU_ASSERT_EQUAL(f.pair.replica[0]->peers->protocol, HOLT_PROTOCOL_MAX);
  f.pair.cut = true;
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(f.pair.header[0], HOLT_PROTOCOL_MAX);
  fixture_deinit(&f);
}

static void
refused_of(void *user, const struct holt_peer_info *info)
{
  memcpy(user, info->refused, sizeof info->refused);
}

/* What a peer sends in vain is counted for it, by reason, and for all. */
static void
refusals_are_counted_by_peer(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  const uint8_t unknown[1] = { 99 };
  const uint8_t malformed[1] = { HOLT_PACKET_ACK };
  for (unsigned i = 0; i < 3; i++) {
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, malformed, 1),
                    HOLT_ERR_MALFORMED);
  }
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, unknown, 1),
                  HOLT_ERR_UNSUPPORTED);
  struct holt_hello hello;
  hello_of(&hello, 11);
  hello.policy = HOLT_POLICY_DUPLICATE;
  CU_ASSERT_EQUAL(greet(&f, &hello), HOLT_ERR_POLICY);
  uint64_t refused[HOLT_ERRORS_MAX];
  holt_replica_peers(f.pair.replica[0], refused_of, refused);
  const struct holt_counters all = pair_counters(&f.pair, 0);
  CU_ASSERT_EQUAL(refused[-HOLT_ERR_MALFORMED], 3);
  CU_ASSERT_EQUAL(refused[-HOLT_ERR_UNSUPPORTED], 1);
  CU_ASSERT_EQUAL(refused[-HOLT_ERR_POLICY], 1);
  CU_ASSERT_EQUAL(memcmp(refused, all.refused, sizeof refused), 0);
  fixture_deinit(&f);
}

/* Both words of a header have to be right: ours and theirs. */
static void
both_sessions_are_checked(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  const struct holt_peer *const peer = pair_peer(&f.pair, 1, 0);
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  const struct holt_lost lost = { .actor = 10 };
  CU_ASSERT_EQUAL(holt_lost_encode(&body, &lost), 0);
  for (uint64_t i = 0; i < 3; i++) {
    const struct holt_header header = {
      .version = 1,
      .to_session = peer->session + (i == 1 ? 1 : 0),
      .from_session = peer->remote_session + (i == 2 ? 1 : 0)
    };
    uint8_t bytes[HOLT_HEADER_BYTES];
    holt_header_encode(bytes, &header);
    CU_ASSERT_EQUAL(pair_apply(&f.pair, 1, bytes, body.data, body.size),
                    i == 0 ? 0 : HOLT_ERR_STALE);
  }
  holt_buf_deinit(&body);
  fixture_deinit(&f);
}

static bool
no_deltas(struct pair *pair, unsigned from, unsigned to,
          const struct holt_effect *effect)
{
  (void)pair;
  (void)from;
  (void)to;
  return effect->type == HOLT_EFFECT_SEND &&
         effect->bytes[0] == HOLT_PACKET_DELTA;
}

/* Who comes back is seen when our copy has come to what it had when it greeted:
 * no ghosts of names that it has given up meanwhile. */
static void
no_ghosts_come_back(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 10), 0);
  pair_run(&f.pair);
  pair_unlink(&f.pair);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "name 3"), 0);
  f.pair.filter = no_deltas;
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT(holt_connected(pair_copy(&f.pair, 1, 0)));
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "name 3"), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "name 4"), 0);
  f.pair.filter = NULL;
  pair_wait(&f.pair, f.pair.tuning.vector_interval_ms + 20);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "name 4"), 10);
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
  CU_ADD_TEST(suite, ended_member_is_freed);
  CU_ADD_TEST(suite, paused_member_comes_back);
  CU_ADD_TEST(suite, goodbyes_are_undone_and_checked);
  CU_ADD_TEST(suite, clock_in_2099_is_capped);
  CU_ADD_TEST(suite, version_going_backwards_is_had_anew);
  CU_ADD_TEST(suite, claimed_actor_is_refused);
  CU_ADD_TEST(suite, kinds_must_agree_rules_need_not);
  CU_ADD_TEST(suite, highest_common_protocol_is_spoken);
  CU_ADD_TEST(suite, refusals_are_counted_by_peer);
  CU_ADD_TEST(suite, both_sessions_are_checked);
  CU_ADD_TEST(suite, no_ghosts_come_back);
}
