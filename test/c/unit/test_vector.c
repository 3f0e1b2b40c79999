/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"

struct fixture {
  struct heap heap;
  struct pair pair;
};

/* So many ends that have met. */
static void
fixture_init(struct fixture *f, unsigned ends)
{
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, ends, ends);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

static bool
all_in_sync(const struct fixture *f)
{
  for (unsigned i = 0; i < f->pair.ends; i++) {
    if (!holt_replica_in_sync(f->pair.replica[i])) {
      return false;
    }
  }
  return true;
}

static void
all_peers_in_sync(void *user, const struct holt_peer_info *info)
{
  bool *const all = user;
  *all = *all && info->in_sync;
}

/* In sync is who holds what all the others hold, by their last word: not while
 * a change is under way, and again one vector later. */
static void
in_sync_is_true_and_false(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  pair_wait(&f.pair, f.pair.tuning.vector_interval_ms);
  CU_ASSERT(all_in_sync(&f));
  const uint64_t digest = holt__digest(f.pair.replica[0]);
  CU_ASSERT_NOT_EQUAL(digest, 0);
  f.pair.cut = true;
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT(!holt_replica_in_sync(f.pair.replica[0]));
  CU_ASSERT_NOT_EQUAL(holt__digest(f.pair.replica[0]), digest);
  bool all = true;
  holt_replica_peers(f.pair.replica[0], all_peers_in_sync, &all);
  CU_ASSERT(!all);
  f.pair.cut = false;
  pair_run(&f.pair);
  pair_wait(&f.pair, f.pair.tuning.vector_interval_ms + 20);
  CU_ASSERT(all_in_sync(&f));
  CU_ASSERT_EQUAL(holt__digest(f.pair.replica[0]),
                  holt__digest(f.pair.replica[2]));
  all = true;
  holt_replica_peers(f.pair.replica[0], all_peers_in_sync, &all);
  CU_ASSERT(all);
  /* A copy between two versions is in sync with nobody. */
  pair_copy(&f.pair, 1, 0)->dirty = true;
  CU_ASSERT_EQUAL(holt__digest(f.pair.replica[1]), 0);
  CU_ASSERT(!holt_replica_in_sync(f.pair.replica[1]));
  pair_copy(&f.pair, 1, 0)->dirty = false;
  CU_ASSERT(all_in_sync(&f));
  fixture_deinit(&f);
}

/* Who is alone is in sync; who waits for a replica that is missing is not. */
static void
missing_peers_are_not_in_sync(void)
{
  struct fixture f;
  fixture_init(&f, 2);
  pair_wait(&f.pair, f.pair.tuning.vector_interval_ms);
  CU_ASSERT(all_in_sync(&f));
  holt_replica_peer_down(f.pair.replica[0], f.pair.peer[0][1],
                         HOLT_DOWN_REPLICA, &f.pair.now);
  CU_ASSERT(!holt_replica_in_sync(f.pair.replica[0]));
  holt_replica_peer_down(f.pair.replica[0], f.pair.peer[0][1], HOLT_DOWN_LINK,
                         &f.pair.now);
  CU_ASSERT(holt_replica_in_sync(f.pair.replica[0]));
  fixture_deinit(&f);
}

/* Equal versions with unequal rows: seen by the fingerprint, counted, and had
 * anew from the actor, by the one that is wrong. */
static void
divergence_is_seen_and_healed(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 20), 0);
  pair_wait(&f.pair, 2 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(all_in_sync(&f));
  struct holt_actor *const copy = pair_copy(&f.pair, 1, 0);
  holt_rows_remove(&f.pair.replica[1]->rows, copy->rows_head, HOLT_REASON_USER);
  CU_ASSERT(!holt_replica_in_sync(f.pair.replica[1]));
  CU_ASSERT(!pair_equal(&f.pair));
  pair_wait(&f.pair, 3 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_equal(&f.pair));
  CU_ASSERT(all_in_sync(&f));
  CU_ASSERT(pair_counters(&f.pair, 1).diverged > 0);
  CU_ASSERT(pair_counters(&f.pair, 1).repairs > 0);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "name 0"), 10);
  /* C, which was right, doubts itself for nothing worse than a repair. */
  CU_ASSERT(pair_has(&f.pair, 2, 0));
  CU_ASSERT_EQUAL(f.pair.refused, 0);
  fixture_deinit(&f);
}

/* The same of an absent actor: counted; nobody can say who is right. */
static void
divergence_of_the_absent_is_counted(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 20), 0);
  pair_wait(&f.pair, 2 * f.pair.tuning.vector_interval_ms);
  pair_disconnect(&f.pair, 0, 1);
  pair_disconnect(&f.pair, 0, 2);
  pair_copy(&f.pair, 1, 0)->fingerprint ^= 1;
  pair_wait(&f.pair, 2 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_counters(&f.pair, 1).diverged > 0);
  CU_ASSERT(pair_counters(&f.pair, 2).diverged > 0);
  CU_ASSERT_EQUAL(pair_counters(&f.pair, 1).repairs, 0);
  pair_copy(&f.pair, 1, 0)->fingerprint ^= 1;
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  pair_wait(&f.pair, 2 * f.pair.tuning.vector_interval_ms);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* When somebody comes or goes the others are told soon, not at the next
 * interval. */
static void
changes_of_connectivity_are_told_soon(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  pair_wait(&f.pair, f.pair.tuning.vector_interval_ms + 100);
  f.pair.sent[HOLT_PACKET_VECTOR] = 0;
  pair_disconnect(&f.pair, 0, 2);
  pair_wait(&f.pair, HOLT_VECTOR_SOON_MS + 10);
  CU_ASSERT_EQUAL(f.pair.sent[HOLT_PACKET_VECTOR], 2);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  f.pair.sent[HOLT_PACKET_VECTOR] = 0;
  pair_wait(&f.pair, HOLT_VECTOR_SOON_MS + 10);
  CU_ASSERT(f.pair.sent[HOLT_PACKET_VECTOR] >= 4);
  fixture_deinit(&f);
}

/* What a vector is made of: the sender first, its copies, whether it hears
 * them, how far it has sent. */
static bool
keep_vector(struct pair *pair, unsigned from, unsigned to,
            const struct holt_effect *effect)
{
  struct holt_message **const kept = pair->user;
  (void)to;
  if (effect->type == HOLT_EFFECT_SEND && from == 1 && *kept == NULL &&
      effect->bytes[0] == HOLT_PACKET_VECTOR) {
    static uint8_t bytes[1000];
    memcpy(bytes, effect->bytes, effect->size);
    CU_ASSERT_EQUAL(holt_message_open(kept, pair->mem,
                                      effect->targets[0].header,
                                      HOLT_HEADER_BYTES, bytes, effect->size),
                    0);
  }
  return false;
}

static void
vectors_tell_all(void)
{
  struct fixture f;
  fixture_init(&f, 3);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 1, 0, 7), 0);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 10, 13), 0);
  pair_run(&f.pair);
  pair_disconnect(&f.pair, 0, 1);
  struct holt_message *kept = NULL;
  f.pair.user = &kept;
  f.pair.filter = keep_vector;
  pair_wait(&f.pair, f.pair.tuning.vector_interval_ms);
  CU_ASSERT_PTR_NOT_NULL_FATAL(kept);
  const struct holt_vector *const vector = &kept->u.vector;
  CU_ASSERT(vector->wall_ms > 1000000);
  CU_ASSERT_NOT_EQUAL(vector->digest, 0);
  CU_ASSERT_EQUAL(vector->sent, 7);
  CU_ASSERT_EQUAL(vector->count, 3);
  size_t offset = kept->items_offset;
  for (unsigned i = 0; i < 3; i++) {
    struct holt_vector_item item;
    holt_message_vector(kept, &offset, &item);
    CU_ASSERT(i != 0 || item.actor == 11);
    const unsigned at = (unsigned)(item.actor - 10);
    const uint64_t versions[3] = { 3, 7, 0 };
    CU_ASSERT_EQUAL(item.version, versions[at]);
    CU_ASSERT_EQUAL(item.connected, at != 0);
    CU_ASSERT_EQUAL(item.fingerprint, f.pair.replica[at]->self->fingerprint);
  }
  holt_message_close(kept);
  fixture_deinit(&f);
}

/* More actors than fit into one vector are told in turns. */
static void
long_vectors_take_turns(void)
{
  struct fixture f;
  fixture_init(&f, 2);
  const unsigned count = HOLT_VECTOR_ITEMS_MAX + 100;
  for (unsigned i = 0; i < count; i++) {
    struct holt_member member;
    pair_member(3, &member);
    struct holt_actor *actor;
    CU_ASSERT_EQUAL_FATAL(holt_rows_actor_add(&f.pair.replica[0]->rows,
                                              1000 + i, &member, 1, &actor),
                          0);
    actor->presence.absent_since_ms = f.pair.now.mono_ms;
    actor->version = 1 + i;
  }
  /* B knows one of the last, of an older version, and hears of it in time. */
  for (unsigned i = 0; i < count; i += 500) {
    struct holt_member member;
    pair_member(3, &member);
    struct holt_actor *actor;
    CU_ASSERT_EQUAL_FATAL(holt_rows_actor_add(&f.pair.replica[1]->rows,
                                              1000 + i, &member, 1, &actor),
                          0);
    actor->presence.absent_since_ms = f.pair.now.mono_ms;
  }
  for (unsigned i = 0; i < 4; i++) {
    f.pair.now.mono_ms += f.pair.tuning.vector_interval_ms;
    f.pair.now.wall_ms += f.pair.tuning.vector_interval_ms;
    pair_run(&f.pair);
  }
  for (unsigned i = 0; i < count; i += 500) {
    const struct holt_actor *const actor =
      holt_rows_actor(&f.pair.replica[1]->rows, 1000 + i);
    CU_ASSERT_EQUAL(actor->version, 1 + i);
  }
  CU_ASSERT_EQUAL(f.pair.refused, 0);
  fixture_deinit(&f);
}

void test_vector_suite(void);

void
test_vector_suite(void)
{
  CU_pSuite suite = CU_add_suite("vector", NULL, NULL);
  CU_ADD_TEST(suite, in_sync_is_true_and_false);
  CU_ADD_TEST(suite, missing_peers_are_not_in_sync);
  CU_ADD_TEST(suite, divergence_is_seen_and_healed);
  CU_ADD_TEST(suite, divergence_of_the_absent_is_counted);
  CU_ADD_TEST(suite, changes_of_connectivity_are_told_soon);
  CU_ADD_TEST(suite, vectors_tell_all);
  CU_ADD_TEST(suite, long_vectors_take_turns);
}
