/* SPDX-License-Identifier: Apache-2.0 */
/* Ends 0 to 3 are a, b, c and d; end 4 is another member on the node of b. */
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"

struct fixture {
  struct heap heap;
  struct pair pair;
  unsigned mute; /* A set of kinds that are lost on the way. */
};

static bool
some_kinds_are_lost(struct pair *pair, unsigned from, unsigned to,
                    const struct holt_effect *effect)
{
  (void)from;
  (void)to;
  const struct fixture *const f = pair->user;
  return effect->type == HOLT_EFFECT_SEND &&
         (f->mute >> effect->bytes[0] & 1) != 0;
}

/* So many ends. */
static void
fixture_new(struct fixture *f, unsigned ends)
{
  f->mute = 0;
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, ends, 0);
  f->pair.user = f;
  f->pair.filter = some_kinds_are_lost;
}

/* All of them have met, and c has a name. */
static void
fixture_init(struct fixture *f, unsigned ends)
{
  fixture_new(f, ends);
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f->pair), 0);
  pair_run(&f->pair);
  CU_ASSERT_EQUAL_FATAL(pair_register(&f->pair, 2, "x", 1), 0);
  pair_run(&f->pair);
  pair_wait(&f->pair, 5000);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

static enum holt_sight
sight(const struct fixture *f, unsigned at, unsigned of)
{
  return pair_copy(&f->pair, at, of)->presence.sight;
}

static bool
found(const struct fixture *f, unsigned at)
{
  return pair_holder(&f->pair, at, "x") == 12;
}

/* All lose the end c at once, without a word. */
static void
all_lose(struct fixture *f)
{
  for (unsigned at = 0; at < f->pair.ends; at++) {
    if (at != 2) {
      pair_disconnect(&f->pair, at, 2);
    }
  }
}

/*--------------------------------------------------------------------
 * Asking */

/* A and C lose each other, and B reaches both: nothing is missing anywhere, for
 * as long as it lasts, at two asks, two probes and two vouches. */
static void
partial_cut_hides_nothing(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  memset(f.pair.sent, 0, sizeof f.pair.sent);
  pair_disconnect(&f.pair, 0, 2);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_SUSPECT);
  CU_ASSERT(found(&f, 0));
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT_EQUAL(sight(&f, 2, 0), HOLT_SIGHT_VOUCHED);
  CU_ASSERT_EQUAL(sight(&f, 1, 2), HOLT_SIGHT_CONNECTED);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_ASK], 2);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_PROBE], 2);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_ECHO], 2);
  CU_ASSERT(f.pair.sent[HOLT_PACKET_VOUCH] <= 4); /* Wait, then yes. */
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 1).probes, 2);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).vouches, 1);
  for (unsigned i = 0; i < 200; i++) {
    pair_wait(&f.pair, 100);
    CU_ASSERT(found(&f, 0) && found(&f, 1));
    CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  }
  /* Renewed once in half of vouch_ms. */
  CU_ASSERT(f.pair.sent[HOLT_PACKET_ASK] <= 2 + 2 * 20);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).vouches_lapsed, 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_CONNECTED);
  CU_ASSERT(found(&f, 0));
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* When an end is really gone nobody waits: the answers are there at once, and
 * nobody was probed. */
static void
death_costs_a_round_trip(void)
{
  struct fixture f;
  fixture_init(&f, 4);
  memset(f.pair.sent, 0, sizeof f.pair.sent);
  all_lose(&f);
  CU_ASSERT(found(&f, 0) && found(&f, 1) && found(&f, 3));
  pair_run(&f.pair); /* Time stands still. */
  CU_ASSERT(!found(&f, 0) && !found(&f, 1) && !found(&f, 3));
  CU_ASSERT_EQUAL(sight(&f, 3, 2), HOLT_SIGHT_ABSENT);
  /* The end that is cut off has nobody to ask. */
  CU_ASSERT_EQUAL(sight(&f, 2, 0), HOLT_SIGHT_ABSENT);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_ASK], 6);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_VOUCH], 6);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_PROBE], 0);
  CU_ASSERT(f.pair.bytes_sent[HOLT_PACKET_VOUCH] < 6 * 16);
  fixture_deinit(&f);
}

/* Many suspects go into one ask, and one probe serves all who ask. */
static void
one_probe_serves_all(void)
{
  struct fixture f;
  fixture_init(&f, 5);
  memset(f.pair.sent, 0, sizeof f.pair.sent);
  /* A loses C and D; so does B; only E, on B's node, reaches all. */
  for (unsigned at = 0; at < 2; at++) {
    pair_disconnect(&f.pair, at, 2);
    pair_disconnect(&f.pair, at, 3);
  }
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 4).probes, 4); /* Each end once. */
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_PROBE], 4);
  /* Each of the four asks two: its fellow, who says no, and E. */
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_ASK], 8);
  for (unsigned at = 0; at < 4; at++) {
    for (unsigned of = at < 2 ? 2 : 0; of < (at < 2 ? 4u : 2u); of++) {
      CU_ASSERT_EQUAL(sight(&f, at, of), HOLT_SIGHT_VOUCHED);
    }
  }
  fixture_deinit(&f);
}

/* Who does not answer in probe_ms has said no; a word that comes late counts
 * all the same. */
static void
silence_is_a_no(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  f.mute = 1u << HOLT_PACKET_ECHO;
  pair_disconnect(&f.pair, 0, 2);
  pair_wait(&f.pair, f.pair.tuning.probe_ms - 10);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_SUSPECT);
  CU_ASSERT(found(&f, 0));
  pair_wait(&f.pair, 10);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(!found(&f, 0) && found(&f, 1));
  /* B's vectors say that it reaches C: it is asked again. */
  f.mute = 0;
  pair_wait(&f.pair, f.pair.tuning.vouch_ms + 1000);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT(found(&f, 0));
  fixture_deinit(&f);
}

/* What nobody renews is over: vouch_ms after the actor was alive, and probe_ms
 * for the others to be asked. */
static void
vouches_lapse(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  f.mute = 1u << HOLT_PACKET_PROBE;
  pair_wait(&f.pair, f.pair.tuning.vouch_ms - 10);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  pair_wait(&f.pair, 10);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_SUSPECT);
  CU_ASSERT(found(&f, 0));
  pair_wait(&f.pair, f.pair.tuning.probe_ms);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(!found(&f, 0));
  CU_ASSERT(pair_counters(&f.pair, 0).vouches_lapsed > 0);
  fixture_deinit(&f);
}

/* The last voucher loses the actor, too: that it asks says so, and nobody waits
 * for the vouch to lapse.  So does losing the voucher. */
static void
vouches_are_withdrawn(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  pair_disconnect(&f.pair, 1, 2);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT_EQUAL(sight(&f, 1, 2), HOLT_SIGHT_ABSENT);
  fixture_deinit(&f);

  fixture_init(&f, 4);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  pair_disconnect(&f.pair, 0, 1);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_VOUCHED); /* By d. */
  CU_ASSERT_EQUAL(sight(&f, 0, 1), HOLT_SIGHT_VOUCHED);
  pair_disconnect(&f.pair, 0, 3);
  CU_ASSERT_EQUAL(sight(&f, 0, 3), HOLT_SIGHT_ABSENT);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT_EQUAL(sight(&f, 0, 1), HOLT_SIGHT_ABSENT);
  fixture_deinit(&f);
}

/* A vouch is first-hand: what is vouched for to B, B does not vouch for. */
static void
hearsay_is_no_vouch(void)
{
  struct fixture f;
  fixture_init(&f, 4);
  /* a - b - d - c */
  pair_disconnect(&f.pair, 0, 2);
  pair_disconnect(&f.pair, 1, 2);
  pair_disconnect(&f.pair, 0, 3);
  pair_wait(&f.pair, 5000);
  CU_ASSERT_EQUAL(sight(&f, 1, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT_EQUAL(sight(&f, 0, 3), HOLT_SIGHT_VOUCHED);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(!found(&f, 0) && found(&f, 1));
  /* Its rows are had all the same. */
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "y", 1), 0);
  pair_wait(&f.pair, 5000);
  CU_ASSERT(pair_has(&f.pair, 0, 2));
  fixture_deinit(&f);
}

/* Who has never met an actor, and cannot, knows it from others and sees it as
 * soon as one has probed it. */
static void
strangers_are_vouched_for(void)
{
  struct fixture f;
  fixture_new(&f, 3);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 1), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  pair_wait(&f.pair, 100);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT(found(&f, 0));
  CU_ASSERT(pair_copy(&f.pair, 0, 2)->relayed);
  CU_ASSERT(holt_replica_in_sync(f.pair.replica[0]));
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Coming and going */

/* Cut off from all and back, again and again: the first return is at once, the
 * later ones wait longer each time, up to flap_ms_max; calm makes it good. */
static void
returns_are_damped(void)
{
  struct fixture f;
  fixture_new(&f, 2);
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "y", 1), 0);
  pair_run(&f.pair);
  uint64_t wait_ms = 0;
  for (unsigned i = 0; i < 10; i++) {
    pair_disconnect(&f.pair, 0, 1);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 0);
    CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(sight(&f, 0, 1), HOLT_SIGHT_CONNECTED);
    for (uint64_t ms = 0; ms < wait_ms; ms += 10) {
      CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 0);
      pair_wait(&f.pair, 10);
    }
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 11);
    wait_ms = wait_ms == 0 ? f.pair.tuning.probe_ms : 2 * wait_ms;
    wait_ms =
      wait_ms < f.pair.tuning.flap_ms_max ? wait_ms : f.pair.tuning.flap_ms_max;
  }
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).flaps, 9);
  pair_wait(&f.pair, f.pair.tuning.flap_ms_max);
  pair_disconnect(&f.pair, 0, 1);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 11);
  fixture_deinit(&f);
}

/* A pause that only the voucher hears is passed on, and so is the return. */
static void
pauses_are_passed_on(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  holt_replica_goodbye(f.pair.replica[2], HOLT_GOODBYE_PAUSED);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(sight(&f, 1, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(pair_copy(&f.pair, 1, 2)->presence.paused);
  pair_wait(&f.pair, 1100);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(pair_copy(&f.pair, 0, 2)->presence.paused);
  const struct holt_time now = pair_time(&f.pair, 2);
  holt_replica_resume(f.pair.replica[2], &now);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
  pair_wait(&f.pair, 100);
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
  CU_ASSERT(!pair_copy(&f.pair, 0, 2)->presence.paused);
  CU_ASSERT(found(&f, 0));
  fixture_deinit(&f);
}

/* The node of one who is vouched for is started again: the old life is over as
 * soon as the voucher knows the new one. */
static void
restart_while_vouched_for(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  pair_disconnect(&f.pair, 0, 2);
  pair_run(&f.pair);
  pair_disconnect(&f.pair, 1, 2);
  holt_replica_delete(f.pair.replica[2]);
  CU_ASSERT_EQUAL(pair_replica_new(&f.pair, 2, 99), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "new", 1), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 1, 2), 0);
  pair_wait(&f.pair, 200);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "new"), 99);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 0);
  fixture_deinit(&f);
}

/* For how long somebody has been absent is known by who has seen it last, and
 * all forget it by that; nobody who has forgotten it takes it from others. */
static void
ages_of_absence_are_shared(void)
{
  struct fixture f;
  fixture_new(&f, 3);
  for (unsigned at = 0; at < 3; at++) {
    f.pair.replica[at]->tuning.forget_after_ms = 100000;
  }
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 1), 0);
  pair_run(&f.pair);
  /* A is alone for a while; C goes while it is away. */
  pair_disconnect(&f.pair, 0, 1);
  pair_disconnect(&f.pair, 0, 2);
  pair_wait(&f.pair, 60000);
  pair_disconnect(&f.pair, 1, 2);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  pair_wait(&f.pair, 80000);
  CU_ASSERT_PTR_NOT_NULL(pair_copy(&f.pair, 0, 2)); /* Not 140 s, but 80. */
  CU_ASSERT_PTR_NOT_NULL(pair_copy(&f.pair, 1, 2));
  pair_wait(&f.pair, 30000);
  CU_ASSERT_PTR_NULL(pair_copy(&f.pair, 0, 2));
  CU_ASSERT_PTR_NULL(pair_copy(&f.pair, 1, 2));
  /* It comes back after all, and everything of it is had again. */
  CU_ASSERT_EQUAL(pair_connect_all(&f.pair), 0);
  pair_wait(&f.pair, 2000);
  CU_ASSERT(found(&f, 0) && found(&f, 1));
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Bad words */

/* Put a vouch for the actor of c into the buffer. */
static void
put_vouch(struct holt_buf *body, uint64_t token, uint64_t actor,
          enum holt_word word)
{
  const struct holt_vouch vouch = { .token = token, .whole = true, .count = 1 };
  const struct holt_vouch_item item = { .actor = actor,
                                        .word = word,
                                        .version = 1 };
  holt_buf_clear(body);
  (void)holt_vouch_encode(body, &vouch);
  (void)holt_vouch_item_encode(body, &item);
}

/* Vouches that nobody has asked for, for strangers, for what we hear ourselves,
 * or with a clock that is not ours yet: refused, and nothing comes of them. */
static void
unasked_vouches_are_refused(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  all_lose(&f);
  pair_run(&f.pair);
  const uint64_t token = pair_peer(&f.pair, 0, 1)->ask_token;
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  for (unsigned i = 0; i < 100; i++) {
    put_vouch(&body, token, 12, HOLT_WORD_YES);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, body.data, body.size),
                    HOLT_ERR_STALE);
    put_vouch(&body, token, 4711, HOLT_WORD_YES);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, body.data, body.size),
                    HOLT_ERR_STALE);
    put_vouch(&body, token, 11, HOLT_WORD_YES);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, body.data, body.size),
                    HOLT_ERR_STALE);
    put_vouch(&body, token + 1, 12, HOLT_WORD_YES);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 1, 0, body.data, body.size),
                    HOLT_ERR_MALFORMED);
  }
  CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_ABSENT);
  CU_ASSERT(!found(&f, 0));
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).refused[-HOLT_ERR_STALE], 300);
  CU_ASSERT_EQUAL(pair_peer(&f.pair, 0, 1)->refused[-HOLT_ERR_MALFORMED], 100);
  holt_buf_deinit(&body);
  fixture_deinit(&f);
}

/* Echoes of what was not sent; asks in storms, about anybody: each is answered,
 * and nobody is probed more often than an echo serves. */
static void
storms_are_harmless(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  struct holt_buf body;
  holt_buf_init(&body, &f.heap.mem, 0);
  const uint64_t probes = pair_counters(&f.pair, 1).probes;
  for (unsigned i = 0; i < 1000; i++) {
    const struct holt_probe echo = { .number = UINT64_MAX - i };
    holt_buf_clear(&body);
    (void)holt_probe_encode(&body, HOLT_PACKET_ECHO, &echo);
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 2, 1, body.data, body.size),
                    HOLT_ERR_MALFORMED);
    const struct holt_ask ask = { .token = UINT64_MAX - i, .count = 4 };
    holt_buf_clear(&body);
    (void)holt_ask_encode(&body, &ask);
    for (uint64_t actor = 10; actor < 14; actor++) {
      (void)holt_ask_item_encode(&body, actor);
    }
    CU_ASSERT_EQUAL(pair_apply_from(&f.pair, 0, 1, body.data, body.size), 0);
    pair_run(&f.pair);
  }
  CU_ASSERT(pair_counters(&f.pair, 1).probes - probes <= 1);
  CU_ASSERT(pair_equal(&f.pair));
  holt_buf_deinit(&body);
  fixture_deinit(&f);
}

/* A busy link undoes what was said; nothing is lost but the time. */
static void
busy_links_are_asked_again(void)
{
  struct fixture f;
  for (unsigned every = 2; every < 8; every++) {
    fixture_init(&f, 4);
    f.pair.busy_every = every;
    pair_disconnect(&f.pair, 0, 2);
    pair_disconnect(&f.pair, 0, 3);
    pair_wait(&f.pair, 400);
    CU_ASSERT_EQUAL(sight(&f, 0, 2), HOLT_SIGHT_VOUCHED);
    CU_ASSERT_EQUAL(sight(&f, 0, 3), HOLT_SIGHT_VOUCHED);
    CU_ASSERT_EQUAL(sight(&f, 2, 0), HOLT_SIGHT_VOUCHED);
    CU_ASSERT_EQUAL(sight(&f, 3, 0), HOLT_SIGHT_VOUCHED);
    f.pair.busy_every = 0;
    fixture_deinit(&f);
  }
}

static int
cut_lives(struct holt_mem *mem, void *arg)
{
  (void)arg;
  static struct pair pair;
  int rv = pair_init_ends(&pair, mem, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  if (rv == 0) {
    rv = pair_connect_all(&pair);
    pair_run(&pair);
  }
  if (rv == 0) {
    rv = pair_register(&pair, 2, "x", 1);
    pair_wait(&pair, 3000);
    pair_disconnect(&pair, 0, 2);
    pair_wait(&pair, 6000);
    if (rv == 0 && pair_holder(&pair, 0, "x") != 12) {
      rv = HOLT_ERR_STALE;
    }
  }
  pair_deinit(&pair);
  return rv;
}

static void
each_request_refused_once(void)
{
  CU_ASSERT(heap_fail_each(cut_lives, NULL, NULL));
}

void test_liveness_suite(void);

void
test_liveness_suite(void)
{
  CU_pSuite suite = CU_add_suite("liveness", NULL, NULL);
  CU_ADD_TEST(suite, partial_cut_hides_nothing);
  CU_ADD_TEST(suite, death_costs_a_round_trip);
  CU_ADD_TEST(suite, one_probe_serves_all);
  CU_ADD_TEST(suite, silence_is_a_no);
  CU_ADD_TEST(suite, vouches_lapse);
  CU_ADD_TEST(suite, vouches_are_withdrawn);
  CU_ADD_TEST(suite, hearsay_is_no_vouch);
  CU_ADD_TEST(suite, strangers_are_vouched_for);
  CU_ADD_TEST(suite, returns_are_damped);
  CU_ADD_TEST(suite, pauses_are_passed_on);
  CU_ADD_TEST(suite, restart_while_vouched_for);
  CU_ADD_TEST(suite, ages_of_absence_are_shared);
  CU_ADD_TEST(suite, unasked_vouches_are_refused);
  CU_ADD_TEST(suite, storms_are_harmless);
  CU_ADD_TEST(suite, busy_links_are_asked_again);
  CU_ADD_TEST(suite, each_request_refused_once);
}
