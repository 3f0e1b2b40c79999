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

/* A has so many names; B has met it, and asks by hand. */
static void
fixture_init(struct fixture *f, unsigned names)
{
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2, 2);
  CU_ASSERT_EQUAL_FATAL(pair_register_many(&f->pair, 0, 0, names), 0);
  pair_run(&f->pair);
  CU_ASSERT(pair_equal(&f->pair));
  memset(f->pair.sent, 0, sizeof f->pair.sent);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

static int
ask(struct fixture *f, const struct holt_request *request)
{
  struct holt_buf body;
  holt_buf_init(&body, &f->heap.mem, 0);
  int rv = holt_request_encode(&body, request);
  if (rv == 0) {
    rv = pair_apply_from(&f->pair, 1, 0, body.data, body.size);
  }
  holt_buf_deinit(&body);
  return rv;
}

/* What A sends now, with nothing coming back; the last piece is read. */
struct pieces {
  unsigned count;
  unsigned others;
  size_t bytes;
  size_t bytes_max; /* Of one. */
  uint64_t to;
  uint64_t notes;
  unsigned rows;
  unsigned deaths;
  bool last;
  bool refused;
  bool identity;
};

static void
read_piece(struct fixture *f, const struct holt_effect *effect,
           struct pieces *pieces)
{
  struct holt_message *message;
  CU_ASSERT_EQUAL_FATAL(
    holt_message_open(&message, f->pair.mem, effect->targets[0].header,
                      HOLT_HEADER_BYTES, effect->bytes, effect->size),
    0);
  pieces->count++;
  pieces->bytes += effect->size;
  pieces->bytes_max =
    effect->size > pieces->bytes_max ? effect->size : pieces->bytes_max;
  pieces->to = message->to;
  pieces->notes = message->notes;
  pieces->last = message->last;
  pieces->refused = message->refused;
  pieces->identity = pieces->identity || message->has_identity;
  struct holt_delta_item item;
  do {
    CU_ASSERT_EQUAL_FATAL(holt_message_next(message, &item), 0);
    pieces->rows += item.type == HOLT_ITEM_ROW ? 1 : 0;
    pieces->deaths += item.type == HOLT_ITEM_DEATH ? 1 : 0;
  } while (item.type != HOLT_ITEM_END);
  pieces->notes += pieces->deaths;
  holt_message_close(message);
}

static struct pieces
pieces_now(struct fixture *f)
{
  struct pieces pieces = { .count = 0 };
  struct holt_effect effect;
  for (;;) {
    holt_replica_poll(f->pair.replica[0], &f->pair.now, &effect);
    if (effect.type == HOLT_EFFECT_NONE) {
      return pieces;
    }
    if (effect.type == HOLT_EFFECT_SEND &&
        effect.bytes[0] == HOLT_PACKET_REPAIR) {
      read_piece(f, &effect, &pieces);
    } else {
      pieces.others++;
    }
  }
}

/* Who asks from 0 gets every row, and who the actor is; who asks with a base,
 * what has changed since, and which of the others live. */
static void
pieces_hold_what_is_missing(void)
{
  struct fixture f;
  fixture_init(&f, 100);
  struct holt_request request = { .actor = 10, .token = 5, .start = true };
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  struct pieces pieces = pieces_now(&f);
  CU_ASSERT_EQUAL(pieces.count, 1);
  CU_ASSERT_EQUAL(pieces.rows, 100);
  CU_ASSERT(pieces.last && pieces.identity);
  CU_ASSERT_EQUAL(pieces.to, 100);
  request.token = 6;
  request.base = 90;
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  pieces = pieces_now(&f);
  CU_ASSERT_EQUAL(pieces.rows, 10);
  CU_ASSERT(pieces.last);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), 1);
  request.start = false;
  request.done = true;
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), 0);
  fixture_deinit(&f);
}

/* No more than a window of pieces is under way; a request opens it again; one
 * that says something is missing goes back. */
static void
window_of_pieces_is_kept(void)
{
  struct fixture f;
  fixture_init(&f, 500);
  f.pair.replica[0]->tuning.message_bytes_max = 300;
  f.pair.replica[0]->tuning.window_bytes = 1000;
  struct holt_request request = { .actor = 10, .token = 5, .start = true };
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  const struct pieces first = pieces_now(&f);
  CU_ASSERT(first.bytes >= 1000 && first.bytes < 1300);
  CU_ASSERT(first.bytes_max <= 300 && !first.last);
  CU_ASSERT_EQUAL(f.pair.replica[0]->serves->window.bytes, first.bytes);
  CU_ASSERT_EQUAL(pieces_now(&f).count, 0);
  request.start = false;
  request.after = first.to;
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  CU_ASSERT_EQUAL(f.pair.replica[0]->serves->window.bytes, 0);
  const struct pieces second = pieces_now(&f);
  CU_ASSERT(second.count > 0 && second.to > first.to);
  /* Lost, all of it. */
  request.gap = true;
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  const struct pieces again = pieces_now(&f);
  CU_ASSERT_EQUAL(again.count, second.count);
  CU_ASSERT_EQUAL(again.to, second.to);
  CU_ASSERT_EQUAL(again.rows, second.rows);
  unsigned rows = first.rows + again.rows;
  struct pieces next = again;
  for (unsigned i = 0; i < 1000 && !next.last; i++) {
    request.gap = false;
    request.after = next.to;
    CU_ASSERT_EQUAL(ask(&f, &request), 0);
    next = pieces_now(&f);
    rows += next.rows;
  }
  CU_ASSERT(next.last);
  CU_ASSERT_EQUAL(rows, 500);
  fixture_deinit(&f);
}

/* A link that takes no piece costs time: the next piece is the same. */
static void
busy_link_undoes_a_piece(void)
{
  struct fixture f;
  fixture_init(&f, 200);
  f.pair.replica[0]->tuning.message_bytes_max = 300;
  const struct holt_request request = { .actor = 10,
                                        .token = 5,
                                        .start = true };
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  struct holt_replica *const r = f.pair.replica[0];
  uint8_t bytes[400];
  size_t size = 0;
  struct holt_effect effect;
  for (unsigned i = 0; i < 6; i++) {
    do {
      holt_replica_poll(r, &f.pair.now, &effect);
    } while (effect.type == HOLT_EFFECT_SEND &&
             effect.bytes[0] != HOLT_PACKET_REPAIR);
    CU_ASSERT_EQUAL_FATAL(effect.type, HOLT_EFFECT_SEND);
    if (i % 2 == 1) {
      CU_ASSERT(effect.size == size && memcmp(effect.bytes, bytes, size) == 0);
      continue;
    }
    size = effect.size;
    memcpy(bytes, effect.bytes, size);
    const size_t before = r->serves->window.bytes - size;
    holt_replica_peer_busy(r, effect.targets[0].peer, &f.pair.now);
    CU_ASSERT_EQUAL(r->serves->window.bytes, before);
    holt_replica_poll(r, &f.pair.now, &effect);
    CU_ASSERT_EQUAL(effect.type, HOLT_EFFECT_NONE);
    CU_ASSERT_EQUAL(effect.timeout_ms, HOLT_BUSY_MS);
    f.pair.now.mono_ms += HOLT_BUSY_MS;
  }
  fixture_deinit(&f);
}

/* Rows that die behind the walk are noted and told; those beyond it are simply
 * not sent; the last piece waits for the notes. */
static void
deaths_behind_the_walk_are_told(void)
{
  struct fixture f;
  fixture_init(&f, 100);
  f.pair.replica[0]->tuning.message_bytes_max = 300;
  f.pair.replica[0]->tuning.window_bytes = 200;
  struct holt_request request = { .actor = 10, .token = 5, .start = true };
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  const struct pieces first = pieces_now(&f);
  CU_ASSERT(first.rows > 10 && first.rows < 50);
  /* One behind, one that moved on from behind, one beyond. */
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "name 3"), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, 0, "name 4", "new"), 0);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "name 4"), 0);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "name 90"), 0);
  CU_ASSERT_EQUAL(f.pair.replica[0]->serves->note_count, 2);
  f.pair.replica[0]->tuning.window_bytes = 100000;
  request.start = false;
  request.after = first.to;
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  const struct pieces rest = pieces_now(&f);
  CU_ASSERT_EQUAL(rest.deaths, 2);
  CU_ASSERT_EQUAL(first.rows + rest.rows, 99);
  CU_ASSERT(rest.last);
  CU_ASSERT_EQUAL(rest.to, 104);
  fixture_deinit(&f);
}

/* More deaths than are noted: the repair is refused, and can begin again. */
static void
overrun_notes_end_the_repair(void)
{
  struct fixture f;
  fixture_init(&f, 100);
  f.pair.replica[0]->tuning.message_bytes_max = 300;
  f.pair.replica[0]->tuning.window_bytes = 200;
  struct holt_request request = { .actor = 10, .token = 5, .start = true };
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  CU_ASSERT(!pieces_now(&f).last);
  struct holt_serve *const serve = f.pair.replica[0]->serves;
  struct holt_actor *const self = f.pair.replica[0]->self;
  for (unsigned i = 0; i <= HOLT_DEATHS_MAX; i++) {
    holt__serve_death(f.pair.replica[0], self, 1, 1, HOLT_REASON_USER);
  }
  CU_ASSERT(serve->notes.base > serve->notes_to);
  CU_ASSERT_EQUAL(serve->notes.count, HOLT_DEATHS_MAX);
  const struct pieces pieces = pieces_now(&f);
  CU_ASSERT_EQUAL(pieces.count, 1);
  CU_ASSERT(pieces.refused);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), 0);
  request.token = 6;
  CU_ASSERT_EQUAL(ask(&f, &request), 0);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), 1);
  fixture_deinit(&f);
}

/* What cannot be served is refused: actors not known, bases not reached, pieces
 * of a repair that has not begun; positions that were not sent are refused. */
static void
wrong_requests_are_refused(void)
{
  struct fixture f;
  fixture_init(&f, 10);
  const struct holt_request wrong[] = {
    { .actor = 99, .token = 5, .start = true },
    { .actor = 10, .token = 5, .start = true, .base = 11 },
    { .actor = 10, .token = 5, .start = true, .base = UINT64_MAX },
    { .actor = 10, .token = 5 },
    { .actor = 10, .token = 5, .gap = true, .after = 5 }
  };
  for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    CU_ASSERT_EQUAL(ask(&f, &wrong[i]), 0);
    const struct pieces pieces = pieces_now(&f);
    CU_ASSERT_EQUAL(pieces.count, 1);
    CU_ASSERT(pieces.refused);
    CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), 0);
  }
  CU_ASSERT_EQUAL(
    ask(&f, &(struct holt_request){ .actor = 10, .token = 5, .done = true }),
    0);
  CU_ASSERT_EQUAL(pieces_now(&f).count, 0);
  CU_ASSERT_EQUAL(
    ask(&f, &(struct holt_request){ .actor = 10, .token = 5, .start = true }),
    0);
  CU_ASSERT(pieces_now(&f).last);
  const struct holt_request beyond[] = {
    { .actor = 10, .token = 5, .gap = true, .after = 11 },
    { .actor = 10, .token = 5, .gap = true, .after = UINT64_MAX },
    { .actor = 10, .token = 5, .gap = true, .notes = 1 }
  };
  for (unsigned i = 0; i < 3; i++) {
    CU_ASSERT_EQUAL(ask(&f, &beyond[i]), HOLT_ERR_MALFORMED);
  }
  /* About another repair: of no interest. */
  CU_ASSERT_EQUAL(ask(&f, &(struct holt_request){ .actor = 10,
                                                  .token = 4,
                                                  .gap = true,
                                                  .after = 3 }),
                  0);
  CU_ASSERT_EQUAL(pieces_now(&f).count, 0);
  struct holt_counters counters = pair_counters(&f.pair, 0);
  CU_ASSERT_EQUAL(counters.refused[-HOLT_ERR_MALFORMED], 3);
  fixture_deinit(&f);
}

/* A repair that nobody asks on for is given up after a while. */
static void
silent_asker_is_given_up(void)
{
  struct fixture f;
  fixture_init(&f, 10);
  CU_ASSERT_EQUAL(
    ask(&f, &(struct holt_request){ .actor = 10, .token = 5, .start = true }),
    0);
  CU_ASSERT(pieces_now(&f).last);
  f.pair.now.mono_ms +=
    HOLT_SERVE_INTERVALS * f.pair.tuning.vector_interval_ms - 1;
  (void)pieces_now(&f);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), 1);
  f.pair.now.mono_ms++;
  (void)pieces_now(&f);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), 0);
  pair_wait(&f.pair, 5 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* No more than HOLT_SERVES_MAX are served at a time: the next is refused. */
static void
serves_are_bounded(void)
{
  struct fixture f;
  fixture_init(&f, 10);
  struct holt_replica *const r = f.pair.replica[0];
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  for (unsigned i = 0; i <= HOLT_SERVES_MAX; i++) {
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
                                      .policy = 1,
                                      .wall_ms = 1000000 };
    holt_buf_clear(&body);
    CU_ASSERT_EQUAL(holt_hello_encode(&body, &hello), 0);
    uint32_t id;
    CU_ASSERT_EQUAL(holt_replica_hello(r, &hello.member, body.data, body.size,
                                       &f.pair.now, &id),
                    0);
    struct holt_peer *const peer = holt__peer_by_id(r, id);
    const struct holt_request request = { .actor = 10,
                                          .token = 5,
                                          .start = true };
    CU_ASSERT_EQUAL(holt__serve_request(r, peer, &request, f.pair.now.mono_ms),
                    0);
    CU_ASSERT_EQUAL(peer->refusal_count, i == HOLT_SERVES_MAX);
  }
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), HOLT_SERVES_MAX);
  holt_buf_deinit(&body);
  fixture_deinit(&f);
}

/* A holder whose own copy is between two versions sends what it has, and the
 * last piece only when it is a version again. */
static void
last_piece_waits_for_a_version(void)
{
  struct fixture f;
  fixture_init(&f, 10);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "theirs", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(
    ask(&f, &(struct holt_request){ .actor = 11, .token = 5, .start = true }),
    0);
  struct holt_actor *const copy = pair_copy(&f.pair, 0, 1);
  copy->dirty = true;
  const struct pieces first = pieces_now(&f);
  CU_ASSERT_EQUAL(first.rows, 1);
  CU_ASSERT(!first.last);
  CU_ASSERT_EQUAL(pieces_now(&f).count, 0);
  copy->dirty = false;
  const struct pieces second = pieces_now(&f);
  CU_ASSERT_EQUAL(second.rows, 0);
  CU_ASSERT(second.last);
  /* And one that is dirty when asked is not served at all. */
  CU_ASSERT_EQUAL(
    ask(&f, &(struct holt_request){ .actor = 11, .token = 5, .done = true }),
    0);
  copy->dirty = true;
  CU_ASSERT_EQUAL(
    ask(&f, &(struct holt_request){ .actor = 11, .token = 6, .start = true }),
    0);
  CU_ASSERT(pieces_now(&f).refused);
  copy->dirty = false;
  fixture_deinit(&f);
}

void test_serve_suite(void);

void
test_serve_suite(void)
{
  CU_pSuite suite = CU_add_suite("serve", NULL, NULL);
  CU_ADD_TEST(suite, pieces_hold_what_is_missing);
  CU_ADD_TEST(suite, window_of_pieces_is_kept);
  CU_ADD_TEST(suite, busy_link_undoes_a_piece);
  CU_ADD_TEST(suite, deaths_behind_the_walk_are_told);
  CU_ADD_TEST(suite, overrun_notes_end_the_repair);
  CU_ADD_TEST(suite, wrong_requests_are_refused);
  CU_ADD_TEST(suite, silent_asker_is_given_up);
  CU_ADD_TEST(suite, serves_are_bounded);
  CU_ADD_TEST(suite, last_piece_waits_for_a_version);
}
