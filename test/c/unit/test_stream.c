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

/* Two replicas that have met. */
static void
fixture_init(struct fixture *f)
{
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2, 2);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

static void
register_many(struct fixture *f, unsigned from, unsigned to)
{
  for (unsigned i = from; i < to; i++) {
    char text[16];
    (void)snprintf(text, sizeof text, "name %u", i);
    CU_ASSERT_EQUAL_FATAL(pair_register(&f->pair, 0, text, 1), 0);
  }
}

/* Peers at the same place are served by one encoding. */
static void
equal_cursors_share_a_message(void)
{
  struct heap heap;
  heap_init(&heap);
  struct pair pair;
  CU_ASSERT_EQUAL_FATAL(pair_init(&pair, &heap.mem), 0);
  struct holt_replica *const r = pair.replica[0];
  for (unsigned i = 0; i < 5; i++) {
    char node[8];
    const int size = snprintf(node, sizeof node, "n%u@x", i);
    const struct holt_hello hello = { .version_min = 1,
                                      .version_max = 1,
                                      .member = { .name = (const uint8_t *)"r",
                                                  .name_size = 1,
                                                  .node = (uint8_t *)node,
                                                  .node_size = (uint16_t)size },
                                      .actor = 20 + i,
                                      .session = 1,
                                      .policy = 1 };
    struct holt_buf buf;
    holt_buf_init(&buf, &heap.mem, 0);
    CU_ASSERT_EQUAL(holt_hello_encode(&buf, &hello), 0);
    uint32_t peer;
    CU_ASSERT_EQUAL(holt_replica_hello(r, &hello.member, buf.data, buf.size,
                                       &pair.now, &peer),
                    0);
    holt_buf_deinit(&buf);
  }
  CU_ASSERT_EQUAL(pair_register(&pair, 0, "x", 1), 0);
  size_t hellos = 0;
  size_t deltas = 0;
  size_t targets = 0;
  struct holt_effect effect;
  do {
    holt_replica_poll(r, &pair.now, &effect);
    hellos += effect.type == HOLT_EFFECT_HELLO ? 1 : 0;
    deltas += effect.type == HOLT_EFFECT_SEND ? 1 : 0;
    targets += effect.type == HOLT_EFFECT_SEND ? effect.target_count : 0;
  } while (effect.type != HOLT_EFFECT_NONE);
  CU_ASSERT_EQUAL(hellos, 5);
  CU_ASSERT_EQUAL(deltas, 1);
  CU_ASSERT_EQUAL(targets, 5);
  pair_deinit(&pair);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* What came before the next poll leaves together. */
static void
changes_gather(void)
{
  struct fixture f;
  fixture_init(&f);
  register_many(&f, 0, 100);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_DELTA], 1);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* How many deltas the replica sends now, with nothing coming back. */
static unsigned
deltas_now(struct fixture *f)
{
  unsigned deltas = 0;
  struct holt_effect effect;
  do {
    holt_replica_poll(f->pair.replica[0], &f->pair.now, &effect);
    deltas +=
      effect.type == HOLT_EFFECT_SEND && effect.bytes[0] == HOLT_PACKET_DELTA;
  } while (effect.type != HOLT_EFFECT_NONE);
  return deltas;
}

/* The first change leaves at once.  While it is under way others wait, wake
 * nobody, and leave together: with the ack, or when they are many. */
static void
changes_wait_for_the_ack(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_replica *const r = f.pair.replica[0];
  register_many(&f, 0, 1);
  CU_ASSERT(holt_replica_wake(r));
  CU_ASSERT_EQUAL(deltas_now(&f), 1);
  register_many(&f, 1, HOLT_HOLD_CHANGES);
  CU_ASSERT(!holt_replica_wake(r));
  CU_ASSERT_EQUAL(deltas_now(&f), 0);
  register_many(&f, HOLT_HOLD_CHANGES, HOLT_HOLD_CHANGES + 1);
  CU_ASSERT(holt_replica_wake(r));
  CU_ASSERT_EQUAL(deltas_now(&f), 1);

  register_many(&f, 1000, 1010);
  CU_ASSERT_EQUAL(deltas_now(&f), 0);
  struct holt_buf ack;
  holt_buf_init(&ack, &f.heap.mem, 0);
  CU_ASSERT_EQUAL(
    holt_ack_encode(&ack, &(struct holt_ack){ .actor = r->self->id,
                                              .cursor = r->peers->cursor }),
    0);
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, ack.data, ack.size), 0);
  CU_ASSERT_EQUAL(deltas_now(&f), 1);
  CU_ASSERT_EQUAL(r->peers->cursor, r->self->version);
  holt_buf_deinit(&ack);
  fixture_deinit(&f);
}

/* No more than a window is under way; acks open it again. */
static void
window_is_kept(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_replica *const r = f.pair.replica[0];
  r->tuning.message_bytes_max = 200;
  r->tuning.window_bytes = 1000;
  register_many(&f, 0, 200 + HOLT_HOLD_CHANGES);
  size_t bytes = 0;
  struct holt_effect effect;
  for (;;) {
    holt_replica_poll(r, &f.pair.now, &effect);
    if (effect.type == HOLT_EFFECT_NONE) {
      break;
    }
    CU_ASSERT(effect.size <= 200);
    bytes += effect.size;
  }
  CU_ASSERT(bytes >= 1000 && bytes < 1200);
  CU_ASSERT_EQUAL(r->peers->window.bytes, bytes);
  CU_ASSERT(effect.timeout_ms > 0);
  pair_wait(&f.pair, 2000);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(r->peers->window.bytes, 0);
  CU_ASSERT_EQUAL(r->peers->acked, r->self->version);
  fixture_deinit(&f);
}

/* A row larger than a message travels alone. */
static void
large_row_travels_alone(void)
{
  struct fixture f;
  fixture_init(&f);
  f.pair.replica[0]->tuning.message_bytes_max = 10;
  register_many(&f, 0, 3);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_DELTA], 3);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* A link that takes nothing costs time, and nothing else. */
static void
busy_link_undoes_the_effect(void)
{
  struct fixture f;
  fixture_init(&f);
  f.pair.busy = true;
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(f.pair.replica[0]->peers->cursor, 0);
  CU_ASSERT_EQUAL(f.pair.replica[0]->peers->window.bytes, 0);
  f.pair.busy = false;
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_DELTA], 0);
  pair_wait(&f.pair, HOLT_BUSY_MS);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_DELTA], 1);
  CU_ASSERT(pair_equal(&f.pair));
  struct holt_counters counters;
  holt_replica_counters(f.pair.replica[1], &counters);
  CU_ASSERT_EQUAL(counters.gaps + counters.duplicates, 0);
  fixture_deinit(&f);
}

/* The news that a link was busy may come after something that has settled the
 * matter. */
static void
busy_after_a_rewind_does_no_harm(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_replica *const r = f.pair.replica[0];
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  struct holt_effect effect;
  holt_replica_poll(r, &f.pair.now, &effect);
  CU_ASSERT_EQUAL_FATAL(effect.type, HOLT_EFFECT_SEND);
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  for (unsigned gap = 0; gap < 2; gap++) {
    const struct holt_ack ack = { .actor = 10,
                                  .cursor = gap == 0 ? 1 : 0,
                                  .gap = gap == 1 };
    holt_buf_clear(&body);
    CU_ASSERT_EQUAL(holt_ack_encode(&body, &ack), 0);
    const struct holt_header header = { .version = 1,
                                        .to_session = r->peers->session,
                                        .from_session =
                                          r->peers->remote_session };
    uint8_t bytes[HOLT_HEADER_BYTES];
    holt_header_encode(bytes, &header);
    CU_ASSERT_EQUAL(pair_apply(&f.pair, 0, bytes, body.data, body.size), 0);
    holt_replica_peer_busy(r, f.pair.peer[0][1], &f.pair.now);
    pair_wait(&f.pair, 2 * f.pair.tuning.vector_interval_ms);
    CU_ASSERT(pair_equal(&f.pair));
    CU_ASSERT_EQUAL(r->peers->window.bytes, 0);
  }
  holt_buf_deinit(&body);
  fixture_deinit(&f);
}

/* What was lost is noticed by the next vector. */
static void
lost_message_is_sent_again(void)
{
  struct fixture f;
  fixture_init(&f);
  f.pair.cut = true;
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  pair_run(&f.pair);
  f.pair.cut = false;
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 0);
  pair_wait(&f.pair, f.pair.tuning.vector_interval_ms + 10);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* Where the log of deaths does not reach, a repair is told, asked for and had,
 * once: of rows that have not changed it takes a few bits each. */
static void
forgotten_deaths_make_a_repair(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_replica *const r = f.pair.replica[0];
  register_many(&f, 0, 20);
  pair_run(&f.pair);
  f.pair.cut = true;
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "name 3"), 0);
  pair_run(&f.pair);
  f.pair.cut = false;
  r->deaths.base = r->self->version;
  r->deaths.count = 0;
  r->tuning.message_bytes_max = 150;
  pair_wait(&f.pair, 2 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_equal(&f.pair));
  struct holt_counters counters;
  holt_replica_counters(f.pair.replica[1], &counters);
  CU_ASSERT_EQUAL(counters.repairs, 1);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_LOST], 1);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_REPAIR], 1);
  fixture_deinit(&f);
}

/* The host is woken once for what gathered since poll had nothing. */
static void
wakes_once(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_replica *const r = f.pair.replica[0];
  CU_ASSERT(!holt_replica_wake(r));
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT(holt_replica_wake(r));
  CU_ASSERT(!holt_replica_wake(r));
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "y", 1), 0);
  CU_ASSERT(!holt_replica_wake(r));
  pair_run(&f.pair);
  CU_ASSERT(!holt_replica_wake(r));
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "y"), 0);
  CU_ASSERT(holt_replica_wake(r));
  pair_run(&f.pair);
  holt_replica_owner_dead(r, 1, 0);
  CU_ASSERT(holt_replica_wake(r));
  fixture_deinit(&f);
}

/* At rest there is a vector and an ack per interval, each way. */
static void
rest_is_quiet(void)
{
  struct fixture f;
  fixture_init(&f);
  register_many(&f, 0, 3);
  pair_wait(&f.pair, 5000);
  f.pair.sent[HOLT_PACKET_VECTOR] = f.pair.sent[HOLT_PACKET_ACK] =
    f.pair.sent[HOLT_PACKET_DELTA] = f.pair.hellos = 0;
  pair_wait(&f.pair, 10 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_VECTOR], 20);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_ACK], 20);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_DELTA], 0);
  CU_ASSERT_EQUAL(f.pair.hellos, 0);
  fixture_deinit(&f);
}

void test_stream_suite(void);

void
test_stream_suite(void)
{
  CU_pSuite suite = CU_add_suite("stream", NULL, NULL);
  CU_ADD_TEST(suite, equal_cursors_share_a_message);
  CU_ADD_TEST(suite, changes_gather);
  CU_ADD_TEST(suite, changes_wait_for_the_ack);
  CU_ADD_TEST(suite, window_is_kept);
  CU_ADD_TEST(suite, large_row_travels_alone);
  CU_ADD_TEST(suite, busy_link_undoes_the_effect);
  CU_ADD_TEST(suite, busy_after_a_rewind_does_no_harm);
  CU_ADD_TEST(suite, lost_message_is_sent_again);
  CU_ADD_TEST(suite, forgotten_deaths_make_a_repair);
  CU_ADD_TEST(suite, wakes_once);
  CU_ADD_TEST(suite, rest_is_quiet);
}
