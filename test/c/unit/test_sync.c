/* SPDX-License-Identifier: Apache-2.0 */
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

/* A delta of A's rows, written by hand and applied at B. */
struct script {
  struct holt_buf body;
  struct holt_delta_writer writer;
  uint8_t key[64];
};

static void
script_begin(struct fixture *f, struct script *script, uint64_t after)
{
  holt_buf_init(&script->body, &f->heap.mem, 0);
  holt_delta_begin(&script->writer, &script->body, 10, after);
}

static void
script_row(struct script *script, uint64_t seq, uint64_t birth,
           const char *text)
{
  const size_t size = pair_key(text, script->key);
  const struct holt_row_spec row = { .seq = seq,
                                     .birth = birth,
                                     .stamp = birth,
                                     .key = script->key,
                                     .key_size = size,
                                     .owner_id = 1 };
  holt_delta_row(&script->writer, &row);
  script->writer.key_size = 0; /* The key is not kept for the next row. */
}

static int
script_apply(struct fixture *f, struct script *script, uint64_t to,
             uint64_t as_of)
{
  int rv = holt_delta_end(&script->writer, to, as_of);
  if (rv == 0) {
    rv = pair_apply_from(&f->pair, 0, 1, script->body.data, script->body.size);
  }
  holt_buf_deinit(&script->body);
  return rv;
}

static const struct holt_actor *
copy_of(const struct fixture *f)
{
  return holt_rows_actor(&f->pair.replica[1]->rows, 10);
}

/* Only what goes on from the cursor is taken. */
static void
delta_must_fit_the_cursor(void)
{
  struct fixture f;
  fixture_init(&f);
  struct script script;
  script_begin(&f, &script, 0);
  script_row(&script, 1, 1, "x");
  CU_ASSERT_EQUAL(script_apply(&f, &script, 2, 2), 0);
  CU_ASSERT_EQUAL(copy_of(&f)->version, 2);
  script_begin(&f, &script, 5);
  script_row(&script, 6, 6, "y");
  CU_ASSERT_EQUAL(script_apply(&f, &script, 6, 6), 0);
  CU_ASSERT_EQUAL(copy_of(&f)->version, 2);
  CU_ASSERT_EQUAL(copy_of(&f)->row_count, 1);
  script_begin(&f, &script, 1);
  script_row(&script, 2, 2, "y");
  CU_ASSERT_EQUAL(script_apply(&f, &script, 2, 2), 0);
  CU_ASSERT_EQUAL(copy_of(&f)->row_count, 1);
  struct holt_counters counters;
  holt_replica_counters(f.pair.replica[1], &counters);
  CU_ASSERT_EQUAL(counters.gaps, 1);
  CU_ASSERT_EQUAL(counters.duplicates, 1);
  fixture_deinit(&f);
}

/* What shows an older state does not go on from what shows a newer one. */
static void
older_view_is_not_taken(void)
{
  struct fixture f;
  fixture_init(&f);
  struct script script;
  script_begin(&f, &script, 0);
  script_row(&script, 1, 1, "x");
  CU_ASSERT_EQUAL(script_apply(&f, &script, 3, 9), 0);
  CU_ASSERT_EQUAL(copy_of(&f)->cursor, 3);
  CU_ASSERT(copy_of(&f)->dirty);
  script_begin(&f, &script, 3);
  CU_ASSERT_EQUAL(script_apply(&f, &script, 4, 4), 0);
  CU_ASSERT_EQUAL(copy_of(&f)->cursor, 3);
  script_begin(&f, &script, 3);
  CU_ASSERT_EQUAL(script_apply(&f, &script, 9, 9), 0);
  CU_ASSERT_EQUAL(copy_of(&f)->version, 9);
  fixture_deinit(&f);
}

/* The same delta again, late: nothing happens, and it is counted. */
static void
duplicate_delta_is_dropped(void)
{
  struct fixture f;
  fixture_init(&f);
  struct script script;
  for (unsigned i = 0; i < 2; i++) {
    script_begin(&f, &script, 0);
    script_row(&script, 1, 1, "x");
    CU_ASSERT_EQUAL(script_apply(&f, &script, 2, 2), 0);
    CU_ASSERT_EQUAL(copy_of(&f)->version, 2);
    CU_ASSERT_EQUAL(copy_of(&f)->row_count, 1);
    CU_ASSERT_EQUAL(pair_counters(&f.pair, 1).duplicates, i);
  }
  fixture_deinit(&f);
}

/* A hello that goes back behind the copy, between two slices of a message: the
 * message is void, the copy is torn. */
static void
hello_voids_a_half_applied_message(void)
{
  struct fixture f;
  fixture_init(&f);
  struct script script;
  script_begin(&f, &script, 0);
  script_row(&script, 1, 1, "x");
  CU_ASSERT_EQUAL(script_apply(&f, &script, 2, 2), 0);

  struct holt_replica *const b = f.pair.replica[1];
  script_begin(&f, &script, 2);
  script_row(&script, 3, 3, "y");
  script_row(&script, 4, 4, "z");
  CU_ASSERT_EQUAL(holt_delta_end(&script.writer, 4, 4), 0);
  const struct holt_header header = { .version = 1,
                                      .to_session = b->peers->session,
                                      .from_session =
                                        b->peers->remote_session };
  uint8_t bytes[HOLT_HEADER_BYTES];
  holt_header_encode(bytes, &header);
  struct holt_message *message;
  CU_ASSERT_EQUAL_FATAL(holt_message_open(&message, f.pair.mem, bytes,
                                          sizeof bytes, script.body.data,
                                          script.body.size),
                        0);
  CU_ASSERT_EQUAL(holt_replica_apply(b, message, &f.pair.now, 1), HOLT_MORE);

  struct holt_hello hello = { .version_min = 1,
                              .version_max = 1,
                              .actor = 10,
                              .creation = 1,
                              .session = b->peers->remote_session + 1,
                              .known_session = b->peers->session,
                              .policy = 1,
                              .wall_ms = 1000000,
                              .version = 1 };
  pair_member(0, &hello.member);
  struct holt_buf buf;
  holt_buf_init(&buf, f.pair.mem, 0);
  CU_ASSERT_EQUAL(holt_hello_encode(&buf, &hello), 0);
  uint32_t peer;
  CU_ASSERT_EQUAL(holt_replica_hello(b, &hello.member, buf.data, buf.size,
                                     &f.pair.now, &peer),
                  0);
  CU_ASSERT_EQUAL(holt_replica_apply(b, message, &f.pair.now, 9),
                  HOLT_ERR_STALE);
  CU_ASSERT(copy_of(&f)->torn);
  CU_ASSERT(copy_of(&f)->dirty);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  holt_buf_deinit(&buf);
  holt_buf_deinit(&script.body);
  holt_message_close(message);
  fixture_deinit(&f);
}

/* A birth under two keys: refused, and the copy is had anew. */
static void
malformed_delta_tears_the_copy(void)
{
  struct fixture f;
  fixture_init(&f);
  struct script script;
  script_begin(&f, &script, 0);
  script_row(&script, 1, 1, "x");
  CU_ASSERT_EQUAL(script_apply(&f, &script, 1, 1), 0);
  script_begin(&f, &script, 1);
  script_row(&script, 2, 1, "y");
  CU_ASSERT_EQUAL(script_apply(&f, &script, 2, 2), HOLT_ERR_MALFORMED);
  CU_ASSERT(copy_of(&f)->torn);
  CU_ASSERT(copy_of(&f)->dirty);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  /* The repair, from the real A, which has no rows. */
  pair_wait(&f.pair, 2000);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 0);
  fixture_deinit(&f);
}

/* Our next registration is later than all that was seen. */
static void
stamps_follow_what_was_seen(void)
{
  struct fixture f;
  fixture_init(&f);
  f.pair.now.wall_ms += 3000;
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  f.pair.now.wall_ms -= 3000;
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "x"), 0);
  pair_run(&f.pair);
  pair_unlink(&f.pair);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "y", 1), 0);
  uint8_t key[64];
  const size_t size = pair_key("y", key);
  struct holt_view view;
  CU_ASSERT_FATAL(holt_replica_find(f.pair.replica[1], key, size, &view));
  CU_ASSERT(holt_clock_stamp_ms(view.stamp) >= f.pair.now.wall_ms + 3000);
  fixture_deinit(&f);
}

/* Seen is what is there: a name that has moved on beyond the cursor is not. */
static void
reached_means_seen(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT(!holt_replica_reached(f.pair.replica[1], 10, 1));
  CU_ASSERT(!holt_replica_reached(f.pair.replica[1], 99, 0));
  struct script script;
  /* Registered at 1, changed at 5: it comes with the second piece. */
  script_begin(&f, &script, 0);
  script_row(&script, 2, 2, "y");
  CU_ASSERT_EQUAL(script_apply(&f, &script, 3, 5), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 0);
  CU_ASSERT(!holt_replica_reached(f.pair.replica[1], 10, 1));
  script_begin(&f, &script, 3);
  script_row(&script, 5, 1, "x");
  CU_ASSERT_EQUAL(script_apply(&f, &script, 5, 5), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  CU_ASSERT(holt_replica_reached(f.pair.replica[1], 10, 1));
  CU_ASSERT(holt_replica_reached(f.pair.replica[1], 10, 5));
  CU_ASSERT(!holt_replica_reached(f.pair.replica[1], 10, 6));
  pair_unlink(&f.pair);
  CU_ASSERT(!holt_replica_reached(f.pair.replica[1], 10, 1));
  fixture_deinit(&f);
}

/* An ack of what was never sent is refused. */
static void
ack_from_the_future_is_refused(void)
{
  struct fixture f;
  fixture_init(&f);
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  const struct holt_ack ack = { .actor = 11, .cursor = 1 };
  CU_ASSERT_EQUAL(holt_ack_encode(&body, &ack), 0);
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 0, 1, body.data, body.size),
                  HOLT_ERR_MALFORMED);
  holt_buf_deinit(&body);
  fixture_deinit(&f);
}

/* The delta that A has to send now, of which B applies so many items, and never
 * the rest. */
static void
apply_part(struct fixture *f, size_t budget)
{
  struct holt_effect effect;
  do {
    holt_replica_poll(f->pair.replica[0], &f->pair.now, &effect);
  } while (effect.type == HOLT_EFFECT_SEND &&
           effect.bytes[0] != HOLT_PACKET_DELTA);
  CU_ASSERT_EQUAL_FATAL(effect.type, HOLT_EFFECT_SEND);
  struct holt_message *message;
  CU_ASSERT_EQUAL_FATAL(
    holt_message_open(&message, f->pair.mem, effect.targets[0].header,
                      HOLT_HEADER_BYTES, effect.bytes, effect.size),
    0);
  CU_ASSERT_EQUAL(
    holt_replica_apply(f->pair.replica[1], message, &f->pair.now, budget),
    HOLT_MORE);
  holt_message_close(message);
}

/* A message that ends half way has only been a shorter one: the cursor stands
 * at its last row, and the stream goes on from there. */
static void
half_a_delta_is_a_shorter_one(void)
{
  for (size_t budget = 1; budget <= 3; budget++) {
    struct fixture f;
    fixture_init(&f);
    CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 3), 0);
    apply_part(&f, budget);
    CU_ASSERT_EQUAL(copy_of(&f)->cursor, budget);
    CU_ASSERT_EQUAL(copy_of(&f)->row_count, budget);
    CU_ASSERT_EQUAL(copy_of(&f)->version, 0);
    CU_ASSERT(copy_of(&f)->dirty);
    CU_ASSERT(!holt_replica_reached(f.pair.replica[1], 10, 1));
    pair_wait(&f.pair, 2 * f.pair.tuning.vector_interval_ms);
    CU_ASSERT(pair_equal(&f.pair));
    CU_ASSERT_EQUAL(pair_counters(&f.pair, 1).repairs, 0);
    fixture_deinit(&f);
  }
}

/* A row that has changed since it was born comes once, as it is. */
static void
changed_rows_come_as_they_are(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, 0, "x", "one"), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, 0, "x", "two"), 0);
  pair_run(&f.pair);
  struct holt_view view;
  CU_ASSERT_FATAL(pair_find(&f.pair, 1, "x", &view));
  CU_ASSERT_EQUAL(view.seq, 3);
  CU_ASSERT_EQUAL(view.birth, 1);
  CU_ASSERT_EQUAL(memcmp(view.value + 6, "two", 3), 0);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

void test_sync_suite(void);

void
test_sync_suite(void)
{
  CU_pSuite suite = CU_add_suite("sync", NULL, NULL);
  CU_ADD_TEST(suite, delta_must_fit_the_cursor);
  CU_ADD_TEST(suite, older_view_is_not_taken);
  CU_ADD_TEST(suite, duplicate_delta_is_dropped);
  CU_ADD_TEST(suite, hello_voids_a_half_applied_message);
  CU_ADD_TEST(suite, malformed_delta_tears_the_copy);
  CU_ADD_TEST(suite, stamps_follow_what_was_seen);
  CU_ADD_TEST(suite, reached_means_seen);
  CU_ADD_TEST(suite, ack_from_the_future_is_refused);
  CU_ADD_TEST(suite, half_a_delta_is_a_shorter_one);
  CU_ADD_TEST(suite, changed_rows_come_as_they_are);
}
