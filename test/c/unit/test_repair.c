/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"
#include "prng.h"

struct fixture {
  struct heap heap;
  struct pair pair;
  /* For the filters. */
  unsigned pieces; /* Let through so far. */
  unsigned pieces_max;
  unsigned from; /* Whose piece came first. */
  struct prng prng;
  bool done;
};

/* So many ends that have met, but for the last ones. */
static void
fixture_init(struct fixture *f, unsigned ends, unsigned met)
{
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, ends, met);
  f->pair.user = f;
  f->pieces = 0;
  f->pieces_max = 0;
  f->from = PAIR_ENDS;
  f->done = false;
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

static int
unregister(struct fixture *f, unsigned at, unsigned name)
{
  char text[16];
  (void)snprintf(text, sizeof text, "name %u", name);
  return pair_unregister(&f->pair, at, text);
}

static uint64_t
holder(const struct fixture *f, unsigned at, unsigned name)
{
  char text[16];
  (void)snprintf(text, sizeof text, "name %u", name);
  return pair_holder(&f->pair, at, text);
}

/* B holds the names of A, has missed some changes, and A has forgotten deaths:
 * before long a repair begins. */
static void
fixture_lost(struct fixture *f, unsigned names)
{
  CU_ASSERT_EQUAL(pair_register_many(&f->pair, 0, 0, names), 0);
  pair_run(&f->pair);
  f->pair.cut = true;
  for (unsigned i = 0; i < names; i += 10) {
    CU_ASSERT_EQUAL(unregister(f, 0, i), 0);
  }
  CU_ASSERT_EQUAL(pair_register_many(&f->pair, 0, names, names + 20), 0);
  pair_run(&f->pair);
  pair_forget(&f->pair, 0);
  f->pair.cut = false;
}

static bool
is_piece(const struct holt_effect *effect)
{
  return effect->type == HOLT_EFFECT_SEND &&
         effect->bytes[0] == HOLT_PACKET_REPAIR;
}

/*--------------------------------------------------------------------
 * From the actor itself */

/* More removals than the log of deaths keeps: told LOST, the other asks, and
 * what it had costs a few bits for each name. */
static void
overrun_log_is_repaired_from_base(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  struct holt_replica *const r = f.pair.replica[0];
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 500), 0);
  pair_run(&f.pair);
  f.pair.cut = true;
  uint8_t key[64];
  const struct holt_registration brief = { .key = key,
                                           .key_size = pair_key("brief", key),
                                           .id = 1 };
  for (unsigned i = 0; i < HOLT_DEATHS_MAX + 10; i++) {
    uint64_t birth;
    uint64_t seq;
    CU_ASSERT_EQUAL_FATAL(holt_replica_register(r, &f.pair.now, &brief, &birth),
                          0);
    CU_ASSERT_EQUAL_FATAL(holt_replica_unregister(r, birth, &seq), 0);
  }
  CU_ASSERT_EQUAL(unregister(&f, 0, 77), 0);
  CU_ASSERT(r->deaths.base > 500);
  pair_run(&f.pair);
  f.pair.cut = false;
  f.pair.bytes_sent[HOLT_PACKET_DELTA] = 0;
  f.pair.sent[HOLT_PACKET_LOST] = 0;
  pair_wait(&f.pair, 3 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(holder(&f, 1, 77), 0);
  CU_ASSERT_EQUAL(holder(&f, 1, 78), 10);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 1).repairs, 1);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).repairs_served, 1);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_LOST], 1);
  CU_ASSERT(f.pair.bytes_sent[HOLT_PACKET_REPAIR] < 200);
  CU_ASSERT_EQUAL(f.pair.bytes_sent[HOLT_PACKET_DELTA], 0);
  fixture_deinit(&f);
}

/* After a repair the stream goes on, and nothing of it is left anywhere. */
static void
stream_goes_on_behind_a_repair(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  fixture_lost(&f, 100);
  pair_wait(&f.pair, 3 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 0), 0);
  CU_ASSERT_EQUAL(pair_repairs(&f.pair, 1), 0);
  CU_ASSERT(!pair_peer(&f.pair, 0, 1)->lost);
  const unsigned pieces = f.pair.sent[HOLT_PACKET_REPAIR];
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_REPAIR], pieces);
  CU_ASSERT_EQUAL(f.pair.refused, 0);
  fixture_deinit(&f);
}

/* A change of the holder's rows with each piece that leaves. */
static bool
change_with_pieces(struct pair *pair, unsigned from, unsigned to,
                   const struct holt_effect *effect)
{
  struct fixture *const f = pair->user;
  (void)to;
  if (is_piece(effect) && from == 0 && f->pieces++ < f->pieces_max) {
    const unsigned name = (unsigned)prng_below(&f->prng, 250);
    char text[16];
    (void)snprintf(text, sizeof text, "name %u", name);
    switch (prng_below(&f->prng, 3)) {
    case 0:
      (void)pair_register(pair, 0, text, 1);
      break;
    case 1:
      (void)pair_unregister(pair, 0, text);
      break;
    default:
      (void)pair_update(pair, 0, text, "new");
      break;
    }
    return prng_chance(&f->prng, 1, 8);
  }
  return false;
}

/* Births, deaths and updates while a repair runs in small pieces, some of which
 * are lost, applied in slices of any size: the end is the same. */
static void
prop_changes_during_a_repair(void)
{
  const uint64_t seed = prng_seed();
  bool good = true;
  for (unsigned run = 0; good && run < 60; run++) {
    struct fixture f;
    fixture_init(&f, 2, 2);
    prng_init(&f.prng, seed + run);
    fixture_lost(&f, 200);
    f.pair.replica[0]->tuning.message_bytes_max =
      100 + (size_t)prng_below(&f.prng, 400);
    f.pair.replica[0]->tuning.window_bytes =
      (size_t)prng_below(&f.prng, 2000) + 1;
    f.pair.budget = 1 + (size_t)prng_below(&f.prng, 20);
    f.pair.busy_every = 3 + (unsigned)prng_below(&f.prng, 20);
    f.pair.filter = change_with_pieces;
    f.pieces_max = 60;
    if (prng_chance(&f.prng, 1, 3)) {
      pair_copy(&f.pair, 1, 0)->version = 0; /* From nothing. */
      pair_copy(&f.pair, 1, 0)->torn = true;
      pair_copy(&f.pair, 1, 0)->dirty = true;
    }
    pair_wait(&f.pair, 15000);
    f.pair.busy_every = 0;
    f.pair.filter = NULL;
    pair_wait(&f.pair, 15000);
    good = pair_equal(&f.pair) && pair_counters(&f.pair, 1).repairs > 0;
    good = good && f.pair.replica[0]->serves == NULL &&
           f.pair.replica[1]->repairs == NULL;
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " run %u\n", seed, run);
    }
    fixture_deinit(&f);
  }
  CU_ASSERT(good);
}

static bool
held_all_the_time(struct pair *pair, unsigned from, unsigned to,
                  const struct holt_effect *effect)
{
  struct fixture *const f = pair->user;
  (void)from;
  (void)to;
  if (is_piece(effect)) {
    f->pieces++;
    f->done = f->done || pair_holder(pair, 1, "name 55") != 10 ||
              pair_holder(pair, 1, "name 56") != 10;
  }
  return false;
}

/* A name that has changed since base is in sight all through the repair, old
 * value or new: nobody can take it because it seems free. */
static void
changed_names_stay_in_sight(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 200), 0);
  pair_run(&f.pair);
  f.pair.cut = true;
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 300, 400), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, 0, "name 55", "new"), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, 0, "name 56", "new"), 0);
  CU_ASSERT_EQUAL(unregister(&f, 0, 57), 0);
  pair_run(&f.pair);
  pair_forget(&f.pair, 0);
  f.pair.cut = false;
  f.pair.replica[0]->tuning.message_bytes_max = 200;
  f.pair.filter = held_all_the_time;
  pair_wait(&f.pair, 3000);
  CU_ASSERT(f.pieces > 5);
  CU_ASSERT(!f.done);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(holder(&f, 1, 57), 0);
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * From others */

/* An absent actor's newer rows come from a peer that holds them, those that
 * changed only; they are not seen before it is there itself.  a - b - d - c */
static void
absent_actor_is_repaired_by_others(void)
{
  struct fixture f;
  fixture_init(&f, 4, 4);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 100), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  pair_disconnect(&f.pair, 0, 2);
  pair_disconnect(&f.pair, 0, 3);
  pair_disconnect(&f.pair, 1, 2);
  pair_wait(&f.pair, 3 * f.pair.tuning.vector_interval_ms);
  f.pair.bytes_sent[HOLT_PACKET_REPAIR] = 0;
  const uint64_t repairs = pair_counters(&f.pair, 2).repairs;
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT_EQUAL(unregister(&f, 0, 5), 0);
  pair_wait(&f.pair, 3 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_has(&f.pair, 2, 0));
  CU_ASSERT(!pair_copy(&f.pair, 2, 0)->shown);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 2, "x"), 0);
  CU_ASSERT(f.pair.bytes_sent[HOLT_PACKET_REPAIR] < 600);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 2).repairs, repairs + 1);
  const unsigned deltas = f.pair.sent[HOLT_PACKET_DELTA];
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 2, "x"), 10);
  CU_ASSERT_EQUAL(holder(&f, 2, 5), 0);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_DELTA], deltas);
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* An actor never heard of comes with its identity, rule and all. */
static void
unknown_actor_comes_with_its_identity(void)
{
  struct fixture f;
  fixture_init(&f, 2, 0);
  f.pair.ends = 3;
  f.pair.policy = HOLT_POLICY_UNIQUE_KEEP_OLDEST;
  CU_ASSERT_EQUAL(pair_replica_new(&f.pair, 2, 12), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 1), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  pair_wait(&f.pair, 3 * f.pair.tuning.vector_interval_ms);
  const struct holt_actor *const copy = pair_copy(&f.pair, 0, 2);
  CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
  struct holt_member member;
  pair_member(2, &member);
  CU_ASSERT(holt_member_equal(&copy->member, &member));
  CU_ASSERT_EQUAL(copy->creation, 1);
  CU_ASSERT_EQUAL(copy->rule, HOLT_RULE_OLDEST);
  CU_ASSERT(copy->relayed && !holt_connected(copy));
  CU_ASSERT(pair_has(&f.pair, 0, 2));
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 12); /* Vouched for. */
  /* Who holds it only from others tells it, but nobody takes it from that. */
  pair_disconnect(&f.pair, 1, 2);
  f.pair.ends = 4;
  CU_ASSERT_EQUAL(pair_replica_new(&f.pair, 3, 13), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 3), 0);
  pair_wait(&f.pair, 3 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT_PTR_NULL(pair_copy(&f.pair, 3, 2));
  CU_ASSERT(pair_has(&f.pair, 3, 0));
  fixture_deinit(&f);
}

/* D hears nothing of A any more. */
static bool
deaf_to_first(struct pair *pair, unsigned from, unsigned to,
              const struct holt_effect *effect)
{
  (void)pair;
  (void)effect;
  return from == 0 && to == 3;
}

/* A hears B and C, which D hears, too; D has an old copy of A, and cannot reach
 * it. */
static void
fixture_absent(struct fixture *f)
{
  fixture_init(f, 4, 4);
  CU_ASSERT_EQUAL(pair_register_many(&f->pair, 0, 0, 100), 0);
  pair_run(&f->pair);
  CU_ASSERT(pair_equal(&f->pair));
  f->pair.filter = deaf_to_first;
  for (unsigned i = 0; i < 100; i += 7) {
    CU_ASSERT_EQUAL(unregister(f, 0, i), 0);
  }
  CU_ASSERT_EQUAL(pair_register_many(&f->pair, 0, 100, 160), 0);
  pair_run(&f->pair);
  f->pair.filter = NULL;
  for (unsigned i = 0; i < 3; i++) {
    f->pair.replica[i]->tuning.message_bytes_max = 200;
    f->pair.replica[i]->tuning.window_bytes = 300;
  }
  pair_disconnect(&f->pair, 0, 3);
}

/* Of the first holder only so many pieces get through. */
static bool
first_holder_stalls(struct pair *pair, unsigned from, unsigned to,
                    const struct holt_effect *effect)
{
  struct fixture *const f = pair->user;
  if (!is_piece(effect) || to != 3) {
    return false;
  }
  if (f->from == PAIR_ENDS) {
    f->from = from;
  }
  return from == f->from && f->pieces++ >= f->pieces_max;
}

/* A holder that says nothing more is let go, and another goes on. */
static void
stalled_repair_starts_elsewhere(void)
{
  for (unsigned pieces = 0; pieces < 4; pieces++) {
    struct fixture f;
    fixture_absent(&f);
    f.pair.filter = first_holder_stalls;
    f.pieces_max = pieces;
    pair_wait(&f.pair,
              (HOLT_STALL_INTERVALS + 4) * f.pair.tuning.vector_interval_ms);
    CU_ASSERT(f.from == 1 || f.from == 2);
    CU_ASSERT(pair_has(&f.pair, 3, 0));
    CU_ASSERT_EQUAL(pair_counters(&f.pair, 3).stalls, 1);
    CU_ASSERT_EQUAL(pair_counters(&f.pair, 3).repairs, pieces > 0 ? 2 : 1);
    CU_ASSERT_EQUAL(pair_repairs(&f.pair, 3), 0);
    pair_wait(&f.pair, 5 * f.pair.tuning.vector_interval_ms);
    CU_ASSERT_EQUAL(pair_serves(&f.pair, 1), 0);
    CU_ASSERT_EQUAL(pair_serves(&f.pair, 2), 0);
    fixture_deinit(&f);
  }
}

static bool
no_piece_to_last(struct pair *pair, unsigned from, unsigned to,
                 const struct holt_effect *effect)
{
  (void)pair;
  (void)from;
  return to == 2 && is_piece(effect);
}

/* Where answers take longer than a repair waits, those of an actor that nobody
 * knows here would come too late for ever. */
static void
stranger_is_waited_for(void)
{
  struct fixture f;
  fixture_init(&f, 3, 2);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 10), 0);
  pair_run(&f.pair);
  f.pair.filter = no_piece_to_last;
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
  const uint64_t interval_ms = f.pair.tuning.vector_interval_ms;
  const struct holt_peer *const holder = pair_peer(&f.pair, 2, 1);
  pair_wait(&f.pair, 100 * interval_ms);
  /* Four intervals, eight, sixteen, thirty-two, and so on. */
  CU_ASSERT(pair_copy(&f.pair, 2, 0) == NULL);
  CU_ASSERT(pair_counters(&f.pair, 2).stalls >= 3);
  CU_ASSERT(pair_counters(&f.pair, 2).stalls <= 5);
  CU_ASSERT_EQUAL(holder->stalls, HOLT_STRANGER_DOUBLINGS_MAX);
  f.pair.filter = NULL;
  pair_wait(&f.pair, 2 * interval_ms);
  CU_ASSERT(pair_has(&f.pair, 2, 0));
  CU_ASSERT_EQUAL(holder->stalls, 0);
  fixture_deinit(&f);
}

/* The link to the holder breaks: the other holder goes on, from the same
 * base. */
static bool
first_holder_breaks(struct pair *pair, unsigned from, unsigned to,
                    const struct holt_effect *effect)
{
  struct fixture *const f = pair->user;
  if (first_holder_stalls(pair, from, to, effect)) {
    f->done = true;
    return true;
  }
  return false;
}

static void
interrupted_repair_goes_on_elsewhere(void)
{
  struct fixture f;
  fixture_absent(&f);
  f.pair.filter = first_holder_breaks;
  f.pieces_max = 2;
  while (!f.done) {
    pair_wait(&f.pair, 10);
  }
  const struct holt_actor *const copy = pair_copy(&f.pair, 3, 0);
  CU_ASSERT(copy->torn && copy->dirty);
  CU_ASSERT_EQUAL(copy->version, 100);
  pair_disconnect(&f.pair, f.from, 3);
  CU_ASSERT_EQUAL(pair_repairs(&f.pair, 3), 0);
  pair_wait(&f.pair, 2 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_has(&f.pair, 3, 0));
  /* And the one who was let go is followed, too. */
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 3).repairs, 3);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 3).stalls, 0);
  fixture_deinit(&f);
}

/* The actor comes back in the middle: it ends the repair by others, and repairs
 * the torn copy itself. */
static void
actor_itself_takes_a_repair_over(void)
{
  struct fixture f;
  fixture_absent(&f);
  f.pair.filter = first_holder_breaks;
  f.pieces_max = 2;
  while (!f.done) {
    pair_wait(&f.pair, 10);
  }
  f.pair.filter = NULL;
  CU_ASSERT(pair_copy(&f.pair, 3, 0)->torn);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 3), 0);
  pair_wait(&f.pair, 50);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(holder(&f, 3, 7), 0);
  CU_ASSERT_EQUAL(holder(&f, 3, 159), 10);
  fixture_deinit(&f);
}

/* A torn copy is told of in no vector, and nobody gets a repair of it. */
static void
torn_copies_are_kept_quiet(void)
{
  struct fixture f;
  fixture_init(&f, 3, 2);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 10), 0);
  pair_run(&f.pair);
  pair_disconnect(&f.pair, 0, 1);
  struct holt_actor *const copy = pair_copy(&f.pair, 1, 0);
  copy->torn = true;
  copy->dirty = true;
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
  pair_wait(&f.pair, 3 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT_PTR_NULL(pair_copy(&f.pair, 2, 0));
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  const struct holt_request request = { .actor = 10,
                                        .token = 9,
                                        .start = true };
  CU_ASSERT_EQUAL(holt_request_encode(&body, &request), 0);
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 2, 1, body.data, body.size), 0);
  CU_ASSERT_EQUAL(pair_serves(&f.pair, 1), 0);
  CU_ASSERT_EQUAL(pair_peer(&f.pair, 1, 2)->refusal_count, 1);
  holt_buf_deinit(&body);
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Repairs that come to nothing */

/* Repairs cut short, again and again: before a row of the first could be taken
 * for one of the last, all are dropped, and the actor is had from 0. */
static void
exhausted_epochs_begin_from_nothing(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  fixture_lost(&f, 200);
  f.pair.replica[0]->tuning.message_bytes_max = 200;
  f.pair.replica[0]->tuning.window_bytes = 300;
  f.pair.budget = 7;
  const struct holt_actor *const copy = pair_copy(&f.pair, 1, 0);
  for (uint8_t i = 0; i < 5; i++) {
    for (unsigned k = 0; k < 1000 && copy->unfinished <= i; k++) {
      (void)pair_step(&f.pair, 0);
      (void)pair_step(&f.pair, 1);
      f.pair.now.mono_ms += 10;
    }
    CU_ASSERT_EQUAL(copy->unfinished, i + 1);
    CU_ASSERT(copy->row_count > 100);
    pair_disconnect(&f.pair, 0, 1);
    CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  }
  bool dropped = false;
  for (unsigned k = 0; k < 2000 && copy->dirty; k++) {
    (void)pair_step(&f.pair, 0);
    (void)pair_step(&f.pair, 1);
    f.pair.now.mono_ms += 10;
    dropped = dropped || copy->row_count < 20;
  }
  pair_wait(&f.pair, f.pair.tuning.flap_ms_max); /* It has flapped. */
  CU_ASSERT(dropped);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT_EQUAL(copy->unfinished, 0);
  fixture_deinit(&f);
}

/* A refusal makes the asker let go; it does not ask there again at once, but
 * before long. */
static void
refused_repair_is_let_go(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  fixture_lost(&f, 50);
  const struct holt_actor *const copy = pair_copy(&f.pair, 1, 0);
  struct holt_peer *const peer = pair_peer(&f.pair, 1, 0);
  holt__repair_ask(f.pair.replica[1], peer, 10, HOLT_SEQ_MAX,
                   f.pair.now.mono_ms);
  CU_ASSERT_EQUAL_FATAL(pair_repairs(&f.pair, 1), 1);
  const struct holt_piece piece = { .actor = 10,
                                    .token = f.pair.replica[1]->repairs->token,
                                    .refused = true };
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  struct holt_delta_writer writer;
  holt_repair_begin(&writer, &body, &piece);
  CU_ASSERT_EQUAL(holt_repair_end(&writer, 0, 0, false), 0);
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 0, 1, body.data, body.size), 0);
  CU_ASSERT_EQUAL(pair_repairs(&f.pair, 1), 0);
  CU_ASSERT(!copy->torn);
  holt__repair_ask(f.pair.replica[1], peer, 10, HOLT_SEQ_MAX,
                   f.pair.now.mono_ms);
  CU_ASSERT_EQUAL(pair_repairs(&f.pair, 1), 0);
  /* A piece of a repair that nobody has asked for. */
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 0, 1, body.data, body.size),
                  HOLT_ERR_STALE);
  pair_wait(&f.pair, 4 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_equal(&f.pair));
  holt_buf_deinit(&body);
  fixture_deinit(&f);
}

/* Each piece comes twice, and some come late: what is known is counted and
 * dropped, what is missing is asked for. */
static bool
pieces_come_twice(struct pair *pair, unsigned from, unsigned to,
                  const struct holt_effect *effect)
{
  struct fixture *const f = pair->user;
  if (is_piece(effect) && from == 0) {
    f->pieces++;
    if (f->pieces % 5 == 3) {
      return true; /* Lost; the next one comes too early. */
    }
    (void)pair_apply(pair, to, effect->targets[0].header, effect->bytes,
                     effect->size);
  }
  return false;
}

static void
pieces_out_of_order_are_harmless(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  fixture_lost(&f, 300);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 400, 600), 0);
  f.pair.replica[0]->tuning.message_bytes_max = 300;
  f.pair.filter = pieces_come_twice;
  pair_wait(&f.pair, 20 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT(f.pieces > 10);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 1).repairs, 1);
  CU_ASSERT(pair_counters(&f.pair, 1).gaps > 0);
  CU_ASSERT(pair_counters(&f.pair, 1).duplicates +
              pair_counters(&f.pair, 1).refused[-HOLT_ERR_STALE] >
            0);
  fixture_deinit(&f);
}

/* A piece that names a birth under another key than the copy has is malformed:
 * the copy is had whole. */
static void
contradicting_piece_is_refused(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  fixture_lost(&f, 20);
  holt__repair_ask(f.pair.replica[1], pair_peer(&f.pair, 1, 0), 10,
                   HOLT_SEQ_MAX, f.pair.now.mono_ms);
  const struct holt_repair *const repair = f.pair.replica[1]->repairs;
  CU_ASSERT_EQUAL_FATAL(repair->base, 20);
  const struct holt_piece piece = { .actor = 10,
                                    .token = repair->token,
                                    .base = 20,
                                    .live = true };
  struct holt_buf body;
  struct holt_buf live;
  holt_buf_init(&body, &f.heap.mem, 0);
  holt_buf_init(&live, &f.heap.mem, 0);
  struct holt_liveset_writer set;
  holt_liveset_begin(&set, &live, 0, 1000);
  CU_ASSERT_EQUAL(holt_liveset_add(&set, 5), 0);
  CU_ASSERT_EQUAL(holt_liveset_end(&set, 20), 0);
  struct holt_delta_writer writer;
  holt_repair_begin(&writer, &body, &piece);
  holt_repair_live(&writer, 20, live.data, live.size);
  uint8_t key[64];
  const struct holt_row_spec row = { .seq = 30,
                                     .birth = 5,
                                     .stamp = 1,
                                     .key = key,
                                     .key_size = pair_key("z", key),
                                     .owner_id = 1 };
  holt_delta_row(&writer, &row);
  CU_ASSERT_EQUAL(holt_repair_end(&writer, 30, 30, true), 0);
  CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 0, 1, body.data, body.size),
                  HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(pair_repairs(&f.pair, 1), 0);
  CU_ASSERT_EQUAL(pair_copy(&f.pair, 1, 0)->version, 0);
  CU_ASSERT(pair_copy(&f.pair, 1, 0)->torn);
  pair_wait(&f.pair, 4 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_equal(&f.pair));
  holt_buf_deinit(&body);
  holt_buf_deinit(&live);
  fixture_deinit(&f);
}

/* Who is asked for more than HOLT_REPAIRS_MAX actors is asked for the rest
 * later. */
static void
repairs_at_a_time_are_bounded(void)
{
  struct fixture f;
  fixture_init(&f, 2, 2);
  struct holt_peer *const peer = pair_peer(&f.pair, 1, 0);
  for (uint64_t i = 0; i < HOLT_REPAIRS_MAX + 5; i++) {
    holt__repair_ask(f.pair.replica[1], peer, 100 + i, 5, f.pair.now.mono_ms);
    holt__repair_ask(f.pair.replica[1], peer, 100 + i, 5, f.pair.now.mono_ms);
  }
  CU_ASSERT_EQUAL(pair_repairs(&f.pair, 1), HOLT_REPAIRS_MAX);
  /* A knows none of them. */
  pair_wait(&f.pair, 100);
  CU_ASSERT_EQUAL(pair_repairs(&f.pair, 1), 0);
  CU_ASSERT_EQUAL(f.pair.replica[1]->rows.actor_count, 2);
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * All together */

static bool
some_are_lost(struct pair *pair, unsigned from, unsigned to,
              const struct holt_effect *effect)
{
  struct fixture *const f = pair->user;
  (void)from;
  (void)to;
  (void)effect;
  return prng_chance(&f->prng, 1, 6);
}

static void
random_event(struct fixture *f)
{
  struct pair *const pair = &f->pair;
  struct prng *const prng = &f->prng;
  const unsigned at = (unsigned)prng_below(prng, pair->ends);
  const unsigned other =
    (at + 1 + (unsigned)prng_below(prng, pair->ends - 1)) % pair->ends;
  const uint32_t process = (uint32_t)prng_below(prng, 5) + 1;
  char text[16];
  (void)snprintf(text, sizeof text, "name %u", (unsigned)prng_below(prng, 40));
  switch (prng_below(prng, 10)) {
  case 0:
    (void)pair_connect(pair, at, other);
    break;
  case 1:
    pair_disconnect(pair, at, other);
    break;
  case 2:
    pair_forget(pair, at);
    break;
  case 3:
    holt_replica_owner_dead(pair->replica[at], process, 0);
    break;
  case 4:
  case 5:
    (void)pair_unregister(pair, at, text);
    break;
  case 6:
    (void)pair_update(pair, at, text, "new");
    break;
  case 7:
    (void)pair_register_as(pair, at, text, process, HOLT_REGISTER_STANDBY, 0, 0,
                           NULL);
    break;
  default:
    (void)pair_register(pair, at, text, process);
    break;
  }
}

/* Links that come and go and lose messages, logs of deaths that run over, and
 * changes all the time, with messages of every size: in the end all hold the
 * same, and agree on every name. */
static void
prop_everything_heals(void)
{
  const uint64_t seed = prng_seed();
  const uint64_t policies[3] = { HOLT_POLICY_UNIQUE_KEEP_NEWEST,
                                 HOLT_POLICY_UNIQUE_KEEP_OLDEST,
                                 HOLT_POLICY_DUPLICATE };
  bool good = true;
  for (unsigned run = 0; good && run < 40; run++) {
    static struct fixture f;
    heap_init(&f.heap);
    prng_init(&f.prng, seed + run);
    CU_ASSERT_EQUAL_FATAL(pair_init_ends(&f.pair, &f.heap.mem,
                                         policies[prng_below(&f.prng, 3)],
                                         3 + (unsigned)prng_below(&f.prng, 3)),
                          0);
    f.pair.user = &f;
    for (unsigned i = 0; i < f.pair.ends; i++) {
      f.pair.replica[i]->tuning.message_bytes_max =
        60 + (size_t)prng_below(&f.prng, 400);
      f.pair.replica[i]->tuning.window_bytes =
        1 + (size_t)prng_below(&f.prng, 1000);
      f.pair.replica[i]->tuning.flap_ms_max = 1000;
    }
    f.pair.budget = 1 + (size_t)prng_below(&f.prng, 20);
    f.pair.filter = some_are_lost;
    f.pair.busy_every = 3 + (unsigned)prng_below(&f.prng, 20);
    for (unsigned i = 0; i < 400; i++) {
      random_event(&f);
      pair_wait(&f.pair, 10 * prng_below(&f.prng, 4));
      if (prng_chance(&f.prng, 1, 40)) {
        pair_wait(&f.pair, 1500);
      }
    }
    f.pair.filter = NULL;
    f.pair.busy_every = 0;
    CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
    pair_wait(&f.pair, 20000);
    good = pair_equal(&f.pair);
    for (unsigned i = 0; good && i < f.pair.ends; i++) {
      const struct holt_counters counters = pair_counters(&f.pair, i);
      good = counters.diverged == 0 &&
             counters.refused[-HOLT_ERR_MALFORMED] == 0 &&
             holt_replica_in_sync(f.pair.replica[i]) &&
             f.pair.replica[i]->repairs == NULL &&
             f.pair.replica[i]->serves == NULL &&
             holt_replica_count(f.pair.replica[i]) ==
               holt_replica_count(f.pair.replica[0]);
      for (unsigned name = 0; good && name < 40 &&
                              f.pair.replica[0]->rows.kind == HOLT_KIND_UNIQUE;
           name++) {
        good = holder(&f, i, name) == holder(&f, 0, name);
      }
    }
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 "\n", seed + run);
    }
    fixture_deinit(&f);
  }
  CU_ASSERT(good);
}

/*--------------------------------------------------------------------
 * Memory */

static int
repair_live(struct holt_mem *mem, void *arg)
{
  (void)arg;
  static struct pair pair;
  int rv = pair_init_ends(&pair, mem, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  if (rv == 0) {
    rv = pair_connect(&pair, 0, 1);
    rv = rv == 0 ? pair_connect(&pair, 1, 2) : rv;
    rv = rv == 0 ? pair_register_many(&pair, 0, 0, 12) : rv;
    if (rv != 0) {
      pair_deinit(&pair);
    }
  }
  if (rv != 0) {
    return rv;
  }
  pair.budget = 3;
  pair.replica[0]->tuning.message_bytes_max = 120;
  pair.replica[1]->tuning.message_bytes_max = 120;
  pair_wait(&pair, 12000);
  bool good = pair_has(&pair, 1, 0) && pair_has(&pair, 2, 0);
  pair.cut = true;
  (void)pair_unregister(&pair, 0, "name 3");
  (void)pair_update(&pair, 0, "name 4", "new");
  pair_run(&pair);
  pair_forget(&pair, 0);
  pair.cut = false;
  pair_wait(&pair, 12000);
  good = good && pair_has(&pair, 1, 0) && pair_has(&pair, 2, 0);
  pair_deinit(&pair);
  return good ? 0 : HOLT_ERR_MALFORMED;
}

/* A repair by the actor itself and one by another of an unknown actor, with
 * each request for memory refused once: both end well. */
static void
each_request_refused_once(void)
{
  CU_ASSERT(heap_fail_each(repair_live, NULL, NULL));
}

/* What we have of a newer state can only be built on by a holder that has seen
 * it: another begins from 0. */
static void
base_needs_a_holder_as_new(void)
{
  struct fixture f;
  fixture_init(&f, 3, 3);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 30), 0);
  pair_run(&f.pair);
  pair_disconnect(&f.pair, 0, 2);
  struct holt_replica *const r = f.pair.replica[2];
  struct holt_actor *const copy = pair_copy(&f.pair, 2, 0);
  copy->dirty = true;
  copy->as_of = 60;
  const uint64_t versions[] = { 20, 45, 60, 61 };
  const uint64_t bases[] = { 0, 0, 30, 30 };
  for (unsigned i = 0; i < 4; i++) {
    holt__repair_ask(r, pair_peer(&f.pair, 2, 1), 10, versions[i],
                     f.pair.now.mono_ms);
    CU_ASSERT_EQUAL_FATAL(pair_repairs(&f.pair, 2), 1);
    CU_ASSERT_EQUAL(r->repairs->base, bases[i]);
    holt__repairs_end(r, NULL, copy);
  }
  fixture_deinit(&f);
}

/* A piece that begins at base brings the copy forward only if it says that
 * nothing came before it: else the live set has been lost on the way. */
static void
lost_live_set_is_missed(void)
{
  for (unsigned whole = 0; whole < 2; whole++) {
    struct fixture f;
    fixture_init(&f, 3, 3);
    CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 10), 0);
    pair_run(&f.pair);
    pair_disconnect(&f.pair, 0, 2);
    struct holt_replica *const r = f.pair.replica[2];
    holt__repair_ask(r, pair_peer(&f.pair, 2, 1), 10, 12, f.pair.now.mono_ms);
    CU_ASSERT_EQUAL_FATAL(pair_repairs(&f.pair, 2), 1);
    const struct holt_piece piece = { .actor = 10,
                                      .token = r->repairs->token,
                                      .session = 1,
                                      .base = 10,
                                      .after = 10,
                                      .whole = whole == 1 };
    struct holt_buf body;
    struct holt_delta_writer writer;
    holt_buf_init(&body, &f.heap.mem, 0);
    holt_repair_begin(&writer, &body, &piece);
    CU_ASSERT_EQUAL(holt_repair_end(&writer, 12, 12, true), 0);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 2, body.data, body.size), 0);
    const struct holt_actor *const copy = pair_copy(&f.pair, 2, 0);
    CU_ASSERT_EQUAL(copy->version, whole == 1 ? 12 : 10);
    CU_ASSERT_EQUAL(pair_repairs(&f.pair, 2), whole == 1 ? 0 : 1);
    holt_buf_deinit(&body);
    fixture_deinit(&f);
  }
}

void test_repair_suite(void);

void
test_repair_suite(void)
{
  CU_pSuite suite = CU_add_suite("repair", NULL, NULL);
  CU_ADD_TEST(suite, overrun_log_is_repaired_from_base);
  CU_ADD_TEST(suite, stream_goes_on_behind_a_repair);
  CU_ADD_TEST(suite, prop_changes_during_a_repair);
  CU_ADD_TEST(suite, changed_names_stay_in_sight);
  CU_ADD_TEST(suite, absent_actor_is_repaired_by_others);
  CU_ADD_TEST(suite, lost_live_set_is_missed);
  CU_ADD_TEST(suite, unknown_actor_comes_with_its_identity);
  CU_ADD_TEST(suite, stalled_repair_starts_elsewhere);
  CU_ADD_TEST(suite, stranger_is_waited_for);
  CU_ADD_TEST(suite, interrupted_repair_goes_on_elsewhere);
  CU_ADD_TEST(suite, actor_itself_takes_a_repair_over);
  CU_ADD_TEST(suite, torn_copies_are_kept_quiet);
  CU_ADD_TEST(suite, exhausted_epochs_begin_from_nothing);
  CU_ADD_TEST(suite, refused_repair_is_let_go);
  CU_ADD_TEST(suite, pieces_out_of_order_are_harmless);
  CU_ADD_TEST(suite, contradicting_piece_is_refused);
  CU_ADD_TEST(suite, repairs_at_a_time_are_bounded);
  CU_ADD_TEST(suite, prop_everything_heals);
  CU_ADD_TEST(suite, each_request_refused_once);
  CU_ADD_TEST(suite, base_needs_a_holder_as_new);
}
