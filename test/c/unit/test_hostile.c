/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that say what they should not: nothing of it may last. */
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"

struct fixture {
  struct heap heap;
  struct pair pair;
  uint8_t hello[400]; /* The last one that end 0 sent to end 1. */
  size_t hello_size;
};

/* So many ends, of which the first ones have met. */
static void
fixture_init(struct fixture *f, unsigned ends, unsigned met)
{
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, ends, met);
  f->pair.user = f;
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

static bool
replies_of_1_to_0_are_lost(struct pair *pair, unsigned from, unsigned to,
                           const struct holt_effect *effect)
{
  (void)pair;
  return (from == 1 && to == 0) ||
         (from == 0 && to == 1 && effect->bytes[0] == HOLT_PACKET_REQUEST);
}

/* A piece without rows for the repair of this actor that end 0 has asked end 1
 * for. */
static int
empty_piece(struct fixture *f, uint64_t actor, const char *node, uint64_t to,
            bool last)
{
  const struct holt_repair *repair = f->pair.replica[0]->repairs;
  while (repair != NULL && repair->actor_id != actor) {
    repair = repair->next;
  }
  if (repair == NULL) {
    return HOLT_ERR_NOT_FOUND;
  }
  const struct holt_identity identity = {
    .member = { .name = (const uint8_t *)"reg",
                .node = (const uint8_t *)node,
                .name_size = 3,
                .node_size = (uint16_t)strlen(node) },
    .creation = 1
  };
  const struct holt_piece piece = { .actor = actor,
                                    .token = repair->token,
                                    .session = 1,
                                    .after = repair->after,
                                    .notes = repair->notes,
                                    .identity = &identity };
  struct holt_buf body;
  struct holt_delta_writer writer;
  holt_buf_init(&body, &f->heap.mem, 0);
  holt_repair_begin(&writer, &body, &piece);
  CU_ASSERT_EQUAL(holt_repair_end(&writer, to, last ? to : to + 5, last), 0);
  const int rv = pair_apply_from(&f->pair, 1, 0, body.data, body.size);
  holt_buf_deinit(&body);
  return rv;
}

static void
ask(struct fixture *f, unsigned from, uint64_t actor)
{
  holt__repair_ask(f->pair.replica[0], pair_peer(&f->pair, 0, from), actor, 5,
                   f->pair.now.mono_ms);
}

/* Pieces that bring nothing do not keep a repair alive. */
static void
repair_without_progress_ends(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  f.pair.filter = replies_of_1_to_0_are_lost;
  ask(&f, 1, 100);
  int rv = 0;
  for (unsigned i = 0; i < 40 && rv != HOLT_ERR_NOT_FOUND; i++) {
    rv = empty_piece(&f, 100, "z@z", 0, false);
    pair_wait(&f.pair, 300);
  }
  CU_ASSERT_EQUAL(rv, HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).stalls, 1);
  fixture_deinit(&f);
}

/* However many actors one peer tells of, who comes itself is let in. */
static void
actors_told_of_leave_room(void)
{
  struct fixture f;
  fixture_init(&f, 3, 2);
  f.pair.filter = replies_of_1_to_0_are_lost;
  for (unsigned i = 0; i < HOLT_ACTORS_MAX + 10; i++) {
    char node[16];
    (void)snprintf(node, sizeof node, "z%u@z", i);
    ask(&f, 1, 1000 + i);
    (void)empty_piece(&f, 1000 + i, node, 1, true);
    while (pair_step(&f.pair, 0)) {
    }
  }
  f.pair.filter = NULL;
  f.pair.refused = 0;
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(f.pair.refused, 0);
  CU_ASSERT(pair_has(&f.pair, 0, 2));
  fixture_deinit(&f);
}

/* An actor that a peer has told of under a false name is let in all the
 * same. */
static void
false_identity_does_not_last(void)
{
  struct fixture f;
  fixture_init(&f, 3, 2);
  f.pair.filter = replies_of_1_to_0_are_lost;
  ask(&f, 1, 12);
  CU_ASSERT_EQUAL(empty_piece(&f, 12, "z@z", 7, true), 0);
  CU_ASSERT_PTR_NOT_NULL(pair_copy(&f.pair, 0, 2));
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 1), 0);
  pair_wait(&f.pair, 3 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_has(&f.pair, 0, 2));
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 12);
  fixture_deinit(&f);
}

/* Actors that nobody has do not take the place of repairs that are needed. */
static void
bogus_repairs_leave_room(void)
{
  struct fixture f;
  fixture_init(&f, 3, 3);
  for (uint64_t i = 0; i < HOLT_REPAIRS_MAX; i++) {
    ask(&f, 1, 100 + i);
  }
  struct holt_actor *const copy = pair_copy(&f.pair, 0, 2);
  copy->torn = true;
  copy->dirty = true;
  ask(&f, 2, 12);
  CU_ASSERT_PTR_NOT_NULL(holt__repair_of(f.pair.replica[0], copy));
  pair_wait(&f.pair, 100);
  CU_ASSERT(pair_has(&f.pair, 0, 2));
  fixture_deinit(&f);
}

static void
request(struct fixture *f, uint64_t actor, uint64_t token)
{
  const struct holt_request request = { .actor = actor,
                                        .token = token,
                                        .start = true };
  CU_ASSERT_EQUAL(holt__serve_request(f->pair.replica[0],
                                      pair_peer(&f->pair, 0, 1), &request,
                                      f->pair.now.mono_ms),
                  0);
}

/* Others may hold all repairs of copies that there can be: our own rows are to
 * be had. */
static void
bogus_requests_leave_room(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  struct holt_replica *const r = f.pair.replica[0];
  for (uint64_t i = 0; i < HOLT_SERVES_MAX + 1; i++) {
    struct holt_actor *actor;
    char node[16];
    (void)snprintf(node, sizeof node, "z%u@z", (unsigned)i);
    const struct holt_member member = { .name = (const uint8_t *)"reg",
                                        .node = (const uint8_t *)node,
                                        .name_size = 3,
                                        .node_size = (uint16_t)strlen(node) };
    CU_ASSERT_EQUAL(holt_rows_actor_add(&r->rows, 100 + i, &member, 1, &actor),
                    0);
    request(&f, 100 + i, 7 + i);
  }
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), HOLT_SERVES_MAX);
  request(&f, 10, 99);
  CU_ASSERT(holt__serves(r, pair_peer(&f.pair, 0, 1), r->self));
  fixture_deinit(&f);
}

/* Send one piece of whatever serve of end 0. */
static void
send_one(struct fixture *f)
{
  struct holt_effect effect = { .type = HOLT_EFFECT_NONE };
  CU_ASSERT(holt__serve_send(f->pair.replica[0], pair_peer(&f->pair, 0, 1),
                             &effect, f->pair.now.mono_ms));
}

/* Two repairs of one token, on a link that is busy again and again while one of
 * them has nothing to say. */
static void
equal_tokens_are_harmless(void)
{
  struct fixture f;
  fixture_init(&f, 3, 3);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "own", 1), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "a", 1), 0);
  pair_run(&f.pair);
  struct holt_replica *const r = f.pair.replica[0];
  const uint32_t peer = pair_peer(&f.pair, 0, 1)->id;
  struct holt_actor *const copy = pair_copy(&f.pair, 0, 2);
  request(&f, 10, 7);
  request(&f, 12, 7);
  copy->dirty = true;
  send_one(&f); /* A row. */
  copy->dirty = false;
  send_one(&f); /* That it was the last. */
  holt_replica_peer_busy(r, peer, &f.pair.now);
  copy->dirty = true;
  for (unsigned i = 0; i < 4; i++) {
    send_one(&f); /* Of the other one. */
    holt_replica_peer_busy(r, peer, &f.pair.now);
    CU_ASSERT_EQUAL(r->serves->window.count, 1);
    if (r->serves->next->last) {
      r->serves->next->last = false;
    }
  }
  copy->dirty = false;
  fixture_deinit(&f);
}

static bool
keep_hello(struct pair *pair, unsigned from, unsigned to,
           const struct holt_effect *effect)
{
  struct fixture *const f = pair->user;
  if (effect->type == HOLT_EFFECT_HELLO && from == 0 && to == 1) {
    memcpy(f->hello, effect->bytes, effect->size);
    f->hello_size = effect->size;
  }
  return false;
}

/* A hello that comes twice, the second time late, tears nothing. */
static void
late_hello_is_harmless(void)
{
  struct fixture f;
  fixture_init(&f, 2, 0);
  f.pair.filter = keep_hello;
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 20), 0);
  pair_wait(&f.pair, 100);
  CU_ASSERT(pair_has(&f.pair, 1, 0));
  struct holt_member member;
  pair_member(0, &member);
  CU_ASSERT_EQUAL(holt_replica_hello(f.pair.replica[1], &member, f.hello,
                                     f.hello_size, &f.pair.now,
                                     &f.pair.peer[1][0]),
                  0);
  CU_ASSERT(!pair_copy(&f.pair, 1, 0)->torn);
  pair_wait(&f.pair, 3000);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 1).repairs, 0);
  fixture_deinit(&f);
}

/* An actor has one rule for life: its rows are in order of that. */
static void
rule_does_not_change(void)
{
  struct fixture f;
  fixture_init(&f, 2, 0);
  f.pair.filter = keep_hello;
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  pair_run(&f.pair);
  struct holt_hello hello;
  CU_ASSERT_EQUAL(holt_hello_decode(f.hello, f.hello_size, &hello), 0);
  hello.policy = HOLT_POLICY_UNIQUE_KEEP_OLDEST;
  struct holt_buf buf;
  holt_buf_init(&buf, &f.heap.mem, 0);
  CU_ASSERT_EQUAL(holt_hello_encode(&buf, &hello), 0);
  uint32_t peer;
  CU_ASSERT(holt_replica_hello(f.pair.replica[1], &hello.member, buf.data,
                               buf.size, &f.pair.now, &peer) < 0);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, 1, 0)->rule, HOLT_RULE_NEWEST);
  holt_buf_deinit(&buf);
  fixture_deinit(&f);
}

/* The name of a row from the end of all time. */
static void
last_stamp_can_not_be_replaced(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  uint8_t key[64];
  const struct holt_row_spec row = { .seq = 1,
                                     .birth = 1,
                                     .stamp = HOLT_STAMP_MAX,
                                     .key = key,
                                     .key_size = pair_key("x", key),
                                     .owner_id = 1 };
  struct holt_buf body;
  struct holt_delta_writer writer;
  holt_buf_init(&body, &f.heap.mem, 0);
  holt_delta_begin(&writer, &body, 10, 0);
  holt_delta_row(&writer, &row);
  CU_ASSERT_EQUAL(holt_delta_end(&writer, 1, 1), 0);
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 0, 1, body.data, body.size), 0);
  holt_buf_deinit(&body);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  const int rv =
    pair_register_as(&f.pair, 1, "x", 2, HOLT_REGISTER_REPLACES, 10, 1, NULL);
  CU_ASSERT_EQUAL(rv, HOLT_ERR_LIMIT);
  fixture_deinit(&f);
}

/* A message from one end to another, opened. */
static struct holt_message *
open_from(struct pair *pair, unsigned from, unsigned at,
          const struct holt_buf *body)
{
  struct holt_message *message;
  uint8_t bytes[HOLT_HEADER_BYTES];
  pair_header(pair, from, at, bytes);
  CU_ASSERT_EQUAL_FATAL(holt_message_open(&message, pair->mem, bytes,
                                          sizeof bytes, body->data, body->size),
                        0);
  return message;
}

/* A holder between two versions: deaths from beyond its cursor are in.  An
 * older one that goes on from the base would bring nobody back. */
static void
pieces_say_as_of_when_they_are(void)
{
  struct fixture f;
  fixture_init(&f, 4, 2); /* The actor, a holder, who asks, another holder. */
  struct pair *const pair = &f.pair;
  CU_ASSERT_EQUAL(pair_connect(pair, 0, 2), 0);
  CU_ASSERT_EQUAL(pair_connect(pair, 0, 3), 0);
  CU_ASSERT_EQUAL(pair_register_many(pair, 0, 0, 10), 0);
  pair_wait(pair, 50);
  pair_disconnect(pair, 0, 2);
  CU_ASSERT_EQUAL(pair_register_many(pair, 0, 10, 40), 0);
  pair_wait(pair, 50);
  struct holt_replica *const r = pair->replica[1];
  r->tuning.message_bytes_max = 200;
  r->tuning.window_bytes = 1;
  CU_ASSERT_EQUAL(pair_connect(pair, 1, 2), 0);
  struct holt_actor *const asker = pair_copy(pair, 2, 0);
  for (unsigned i = 0; i < 100000 && !asker->torn; i++) {
    pair->now.mono_ms += i % 10 == 0 ? 1 : 0;
    (void)pair_step(pair, i % 3);
  }
  CU_ASSERT_FATAL(asker->torn && r->serves != NULL);
  /* Version 42 for the other holder; the first one gets half of 42 to 44. */
  pair->cut = true;
  CU_ASSERT_EQUAL(pair_register_many(pair, 0, 40, 42), 0);
  pair->cut = false;
  while (pair_step(pair, 0)) {
  }
  CU_ASSERT_EQUAL(pair_copy(pair, 3, 0)->version, 42);
  CU_ASSERT_EQUAL(pair_copy(pair, 1, 0)->version, 42);
  pair_disconnect(pair, 0, 3);
  struct holt_actor *const holder = pair_copy(pair, 1, 0);
  struct holt_buf body;
  struct holt_delta_writer writer;
  holt_buf_init(&body, &f.heap.mem, 0);
  holt_delta_begin(&writer, &body, 10, 42);
  holt_delta_death(&writer, 1, HOLT_REASON_USER); /* Of "name 0", at 43. */
  CU_ASSERT_EQUAL(holt_delta_end(&writer, 43, 44), 0);
  struct holt_message *const message = open_from(pair, 0, 1, &body);
  CU_ASSERT_EQUAL(holt_replica_apply(r, message, &pair->now, 1), HOLT_MORE);
  CU_ASSERT(holder->dirty && holder->cursor == 42);
  /* A slice of it, and what has died is told; then the holder goes away. */
  const size_t rows = asker->row_count;
  for (unsigned i = 0;
       i < 1000 && holt_rows_born(&pair->replica[2]->rows, asker, 1) != 0;
       i++) {
    (void)pair_step(pair, 1 + i % 2);
  }
  CU_ASSERT(rows > 0);
  CU_ASSERT_EQUAL(holt_rows_born(&pair->replica[2]->rows, asker, 1), 0);
  holt_message_close(message);
  holt_buf_deinit(&body);
  pair_disconnect(pair, 1, 2);
  pair_disconnect(pair, 0, 1);
  /* The older holder. */
  CU_ASSERT_EQUAL(pair_connect(pair, 2, 3), 0);
  pair_wait(pair, 3 * pair->tuning.vector_interval_ms);
  const struct holt_actor *const other = pair_copy(pair, 3, 0);
  CU_ASSERT(!asker->dirty && asker->version == other->version);
  CU_ASSERT_EQUAL(asker->row_count, other->row_count);
  CU_ASSERT_EQUAL(asker->fingerprint, other->fingerprint);
  fixture_deinit(&f);
}

/* What others say of the rows of an actor that is there costs nothing. */
static void
false_fingerprint_tears_nothing(void)
{
  struct fixture f;
  fixture_init(&f, 3, 3);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 1), 0);
  pair_run(&f.pair);
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  const struct holt_vector vector = { .wall_ms = 1000000, .count = 1 };
  const struct holt_vector_item item = { .actor = 12,
                                         .connected = true,
                                         .version = 1,
                                         .fingerprint = 77 };
  CU_ASSERT_EQUAL(holt_vector_encode(&body, &vector), 0);
  CU_ASSERT_EQUAL(holt_vector_item_encode(&body, &item), 0);
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, body.data, body.size), 0);
  CU_ASSERT(pair_has(&f.pair, 0, 2));
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).diverged, 1);
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 2, 0, body.data, body.size), 0);
  CU_ASSERT(!pair_has(&f.pair, 0, 2));
  pair_wait(&f.pair, 100);
  CU_ASSERT(pair_has(&f.pair, 0, 2));
  holt_buf_deinit(&body);
  fixture_deinit(&f);
}

/* The request that began a repair comes again when all is over: the stream goes
 * on at once. */
static void
late_request_holds_nothing_up(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  pair_run(&f.pair);
  request(&f, 10, 7);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "y", 1), 0);
  pair_wait(&f.pair, 50);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "y"), 10);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), 0);
  fixture_deinit(&f);
}

/* Processes without names, and actors without rows, go in slices, too. */
static void
empty_ones_go_in_slices(void)
{
  struct fixture f;
  fixture_init(&f, 1, 0);
  struct holt_replica *const r = f.pair.replica[0];
  for (uint32_t i = 0; i < 1000; i++) {
    CU_ASSERT_EQUAL(holt_replica_owner_add(r, i, 0, 1), 0);
    holt_replica_owner_dead(r, i, 0);
    struct holt_actor *actor;
    CU_ASSERT_EQUAL(
      holt_rows_actor_add(&r->rows, 100 + i, &r->self->member, 1, &actor), 0);
    holt__actor_end(r, actor);
  }
  struct holt_effect effect;
  holt_replica_poll(r, &f.pair.now, &effect);
  CU_ASSERT(r->dead_owners != 0);
  CU_ASSERT(r->rows.actor_count > 500);
  unsigned polls = 0;
  while (effect.timeout_ms == 0 && polls++ < 1000) {
    holt_replica_poll(r, &f.pair.now, &effect);
  }
  CU_ASSERT_EQUAL(r->dead_owners, 0);
  CU_ASSERT_EQUAL(r->rows.actor_count, 1);
  fixture_deinit(&f);
}

void test_hostile_suite(void);

void
test_hostile_suite(void)
{
  CU_pSuite suite = CU_add_suite("hostile", NULL, NULL);
  CU_ADD_TEST(suite, repair_without_progress_ends);
  CU_ADD_TEST(suite, actors_told_of_leave_room);
  CU_ADD_TEST(suite, false_identity_does_not_last);
  CU_ADD_TEST(suite, bogus_repairs_leave_room);
  CU_ADD_TEST(suite, bogus_requests_leave_room);
  CU_ADD_TEST(suite, late_hello_is_harmless);
  CU_ADD_TEST(suite, rule_does_not_change);
  CU_ADD_TEST(suite, last_stamp_can_not_be_replaced);
  CU_ADD_TEST(suite, empty_ones_go_in_slices);
  CU_ADD_TEST(suite, pieces_say_as_of_when_they_are);
  CU_ADD_TEST(suite, false_fingerprint_tears_nothing);
  CU_ADD_TEST(suite, late_request_holds_nothing_up);
  CU_ADD_TEST(suite, equal_tokens_are_harmless);
}
