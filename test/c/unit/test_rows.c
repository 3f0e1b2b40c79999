/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "prng.h"

static const struct holt_hash_seed test_seed = { .k0 = 1, .k1 = 2 };

static struct holt_member
member_of(const char *node)
{
  return (struct holt_member){ .name = (const uint8_t *)"reg",
                               .name_size = 3,
                               .node = (const uint8_t *)node,
                               .node_size = (uint16_t)strlen(node) };
}

static int
add_actor(struct holt_rows *rows, uint64_t id, struct holt_actor **actor)
{
  const struct holt_member member = member_of("a@x");
  return holt_rows_actor_add(rows, id, &member, 1, actor);
}

static int
put(struct holt_rows *rows, struct holt_actor *actor, uint64_t seq,
    uint64_t birth, const char *key, uint32_t owner)
{
  const struct holt_row_spec spec = { .seq = seq,
                                      .birth = birth,
                                      .stamp = birth,
                                      .value_stamp = seq,
                                      .key = (const uint8_t *)key,
                                      .key_size = strlen(key),
                                      .value = (const uint8_t *)"value",
                                      .value_size = 5,
                                      .owner_id = owner };
  struct holt_row *row;
  const int rv = holt_rows_put(rows, actor, &spec, &row);
  if (rv == 0) {
    actor->version = seq;
  }
  return rv;
}

static const struct holt_entry *
entry_of(const struct holt_rows *rows, const char *key)
{
  return holt_rows_entry(rows, (const uint8_t *)key, strlen(key));
}

static struct holt_row *
winner_of(const struct holt_rows *rows, const char *key)
{
  const struct holt_entry *const entry = entry_of(rows, key);
  return entry == NULL ? NULL : holt_entry_winner(entry);
}

/* A store with two shown actors, 7 and 9. */
struct fixture {
  struct heap heap;
  struct holt_rows rows;
  struct holt_actor *seven;
  struct holt_actor *nine;
};

static void
fixture_init(struct fixture *fixture)
{
  heap_init(&fixture->heap);
  holt_rows_init(&fixture->rows, &fixture->heap.mem, test_seed);
  CU_ASSERT_EQUAL_FATAL(add_actor(&fixture->rows, 7, &fixture->seven), 0);
  CU_ASSERT_EQUAL_FATAL(add_actor(&fixture->rows, 9, &fixture->nine), 0);
  fixture->seven->shown = true;
  fixture->nine->shown = true;
}

static void
fixture_deinit(struct fixture *fixture)
{
  holt_rows_deinit(&fixture->rows);
  CU_ASSERT(heap_is_clean(&fixture->heap));
  heap_deinit(&fixture->heap);
}

/* A change keeps birth and stamp, and moves the row to the end. */
static void
put_of_a_known_birth_exchanges(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 1, 1, "x", 1), 0);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 2, 2, "y", 1), 0);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 3, 1, "x", 2), 0);
  CU_ASSERT_EQUAL(f.seven->row_count, 2);
  CU_ASSERT_EQUAL(f.seven->rows_head->birth, 2);
  CU_ASSERT_EQUAL(f.seven->rows_tail->birth, 1);
  CU_ASSERT_EQUAL(f.seven->rows_tail->seq, 3);
  CU_ASSERT_EQUAL(f.seven->rows_tail->owner->id, 2);
  CU_ASSERT_EQUAL(holt_rows_owner(&f.rows, f.seven, 1, 0)->row_count, 1);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 4, 2, "y", 2), 0);
  CU_ASSERT_PTR_NULL(holt_rows_owner(&f.rows, f.seven, 1, 0));
  fixture_deinit(&f);
}

static void
put_of_a_birth_under_another_key_is_malformed(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 1, 1, "x", 1), 0);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 2, 1, "xy", 1), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 2, 1, "z", 1), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(f.seven->row_count, 1);
  CU_ASSERT_PTR_NULL(entry_of(&f.rows, "z"));
  fixture_deinit(&f);
}

/* The greatest (stamp, actor) that is shown and alive. */
static void
winner_is_the_greatest_in_view(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 5, 5, "x", 1), 0);
  CU_ASSERT_EQUAL(put(&f.rows, f.nine, 5, 5, "x", 1), 0);
  CU_ASSERT_PTR_EQUAL(winner_of(&f.rows, "x")->actor, f.nine);
  f.nine->shown = false;
  CU_ASSERT_PTR_EQUAL(winner_of(&f.rows, "x")->actor, f.seven);
  winner_of(&f.rows, "x")->owner->dead = true;
  CU_ASSERT_PTR_NULL(winner_of(&f.rows, "x"));
  f.nine->shown = true;
  CU_ASSERT_PTR_EQUAL(winner_of(&f.rows, "x")->actor, f.nine);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 6, 6, "x", 2), 0);
  CU_ASSERT_PTR_EQUAL(winner_of(&f.rows, "x")->actor, f.seven);
  fixture_deinit(&f);
}

/* Names are counted once however many rows they have. */
static void
count_knows_contested_names(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 1, 1, "x", 1), 0);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 2, 2, "y", 1), 0);
  CU_ASSERT_EQUAL(put(&f.rows, f.nine, 1, 1, "x", 1), 0);
  CU_ASSERT_EQUAL(holt_rows_count(&f.rows), 2);
  CU_ASSERT_EQUAL(f.rows.contested_count, 1);
  f.nine->shown = false;
  holt_rows_recount(&f.rows, f.rows.contested);
  CU_ASSERT_EQUAL(holt_rows_count(&f.rows), 2);
  f.nine->shown = true;
  holt_rows_recount(&f.rows, f.rows.contested);
  CU_ASSERT_EQUAL(holt_rows_count(&f.rows), 2);
  holt_rows_remove(&f.rows, f.nine->rows_head);
  CU_ASSERT_EQUAL(f.rows.contested_count, 0);
  CU_ASSERT_PTR_NULL(f.rows.contested);
  CU_ASSERT_EQUAL(holt_rows_count(&f.rows), 2);
  fixture_deinit(&f);
}

/* A scan for conflicts that stands on an entry goes on behind it. */
static void
scan_survives_removal(void)
{
  struct fixture f;
  fixture_init(&f);
  const char *const keys[] = { "x", "y", "z" };
  for (uint64_t i = 0; i < 3; i++) {
    CU_ASSERT_EQUAL(put(&f.rows, f.seven, i + 1, i + 1, keys[i], 1), 0);
    CU_ASSERT_EQUAL(put(&f.rows, f.nine, i + 1, i + 1, keys[i], 1), 0);
  }
  f.rows.contested_scan = f.rows.contested->contested_next;
  holt_rows_remove(&f.rows, holt_rows_born(&f.rows, f.nine, 2));
  CU_ASSERT_PTR_EQUAL(f.rows.contested_scan, entry_of(&f.rows, "x"));
  holt_rows_remove(&f.rows, holt_rows_born(&f.rows, f.nine, 1));
  CU_ASSERT_PTR_NULL(f.rows.contested_scan);
  fixture_deinit(&f);
}

/* Whatever happens to the row under a walk, the walk stands on a row. */
static void
walk_steps_over_what_goes(void)
{
  struct fixture f;
  fixture_init(&f);
  for (uint64_t i = 1; i <= 4; i++) {
    char key[2] = { (char)('a' + i), 0 };
    CU_ASSERT_EQUAL(put(&f.rows, f.seven, i, i, key, 1), 0);
  }
  struct holt_walk over_actor = { .active = false };
  struct holt_walk over_owner = { .active = false };
  struct holt_row *const second = holt_rows_born(&f.rows, f.seven, 2);
  holt_walk_start(&f.rows, &over_actor, second, false);
  holt_walk_start(&f.rows, &over_owner, second, true);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 5, 2, "c", 1), 0);
  CU_ASSERT_EQUAL(over_actor.at->birth, 3);
  CU_ASSERT_EQUAL(over_owner.at->birth, 2);
  holt_rows_remove(&f.rows, second);
  CU_ASSERT_EQUAL(over_owner.at->birth, 3);
  holt_rows_remove(&f.rows, holt_rows_born(&f.rows, f.seven, 3));
  holt_rows_remove(&f.rows, holt_rows_born(&f.rows, f.seven, 4));
  CU_ASSERT_PTR_NULL(over_actor.at);
  CU_ASSERT_PTR_NULL(over_owner.at);
  holt_walk_stop(&f.rows, &over_owner);
  holt_walk_stop(&f.rows, &over_actor);
  holt_walk_stop(&f.rows, &over_actor);
  CU_ASSERT_PTR_NULL(f.rows.walks);
  fixture_deinit(&f);
}

/* Another identity, the same rows and owners. */
static void
rename_keeps_what_is_there(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 1, 1, "x", 3), 0);
  const struct holt_member member = member_of("longer-than-before@x");
  CU_ASSERT_EQUAL(holt_rows_actor_rename(&f.rows, f.seven, 70, &member, 5), 0);
  CU_ASSERT_PTR_NULL(holt_rows_actor(&f.rows, 7));
  CU_ASSERT_PTR_EQUAL(holt_rows_actor(&f.rows, 70), f.seven);
  CU_ASSERT(holt_member_equal(&f.seven->member, &member));
  CU_ASSERT_EQUAL(f.seven->creation, 5);
  CU_ASSERT_PTR_NOT_NULL(holt_rows_owner(&f.rows, f.seven, 3, 0));
  CU_ASSERT_PTR_EQUAL(winner_of(&f.rows, "x")->actor, f.seven);
  fixture_deinit(&f);
}

/* Everything once, with each request for memory refused. */
static int
everything(struct holt_mem *mem, void *arg)
{
  (void)arg;
  struct holt_rows rows;
  holt_rows_init(&rows, mem, test_seed);
  struct holt_actor *actor = NULL;
  int rv = add_actor(&rows, 7, &actor);
  struct holt_owner *owner;
  rv = rv != 0 ? rv : holt_rows_owner_add(&rows, actor, 4, 0, &owner);
  if (rv == 0) {
    owner->host = 1;
  }
  rv = rv != 0 ? rv : put(&rows, actor, 1, 1, "x", 1);
  rv = rv != 0 ? rv : put(&rows, actor, 2, 2, "y", 1);
  rv = rv != 0 ? rv : put(&rows, actor, 3, 1, "x", 2);
  rv = rv != 0 ? rv : put(&rows, actor, 4, 4, "y", 4);
  const struct holt_member member = member_of("b@x");
  rv = rv != 0 ? rv : holt_rows_actor_rename(&rows, actor, 8, &member, 2);
  holt_rows_deinit(&rows);
  return rv;
}

static void
each_request_refused_once(void)
{
  uint64_t requests = 0;
  CU_ASSERT(heap_fail_each(everything, NULL, &requests));
  CU_ASSERT(requests > 15);
}

/* A put that is refused changes nothing at all. */
static void
refused_put_changes_nothing(void)
{
  struct fixture f;
  fixture_init(&f);
  CU_ASSERT_EQUAL(put(&f.rows, f.seven, 1, 1, "x", 1), 0);
  const uint64_t fingerprint = f.seven->fingerprint;
  const size_t bytes = f.heap.mem.bytes;
  int rv = HOLT_ERR_NOMEM;
  for (uint64_t at = 1; rv != 0 && at < 20; at++) {
    f.heap.fail_at = f.heap.requests + at;
    rv =
      put(&f.rows, f.seven, 2, at % 2 == 0 ? 1 : 2, at % 2 == 0 ? "x" : "y", 2);
    if (rv == 0) {
      break;
    }
    CU_ASSERT_EQUAL(rv, HOLT_ERR_NOMEM);
    CU_ASSERT_EQUAL(f.heap.mem.bytes, bytes);
    CU_ASSERT_EQUAL(f.seven->row_count, 1);
    CU_ASSERT_EQUAL(f.seven->fingerprint, fingerprint);
    CU_ASSERT_EQUAL(f.seven->rows_tail->seq, 1);
    CU_ASSERT_PTR_NULL(holt_rows_owner(&f.rows, f.seven, 2, 0));
  }
  fixture_deinit(&f);
}

/* The fingerprint depends on the rows, not on the way to them. */
static void
prop_fingerprint_is_of_the_set(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  bool good = true;
  for (unsigned run = 0; good && run < 100; run++) {
    struct fixture f;
    fixture_init(&f);
    for (uint64_t seq = 1; seq <= 60; seq++) {
      char key[8];
      (void)snprintf(key, sizeof key, "%u", (unsigned)prng_below(&prng, 40));
      if (f.seven->rows_head != NULL && prng_chance(&prng, 1, 3)) {
        holt_rows_remove(&f.rows, f.seven->rows_head);
      } else {
        good = good && put(&f.rows, f.seven, seq, seq, key, 1) == 0;
      }
    }
    for (const struct holt_row *row = f.seven->rows_head; row != NULL;
         row = row->actor_next) {
      char key[8] = { 0 };
      memcpy(key, row->entry->key, row->entry->key_size);
      good = good && put(&f.rows, f.nine, row->seq, row->birth, key, 1) == 0;
    }
    good = good && f.seven->fingerprint == f.nine->fingerprint &&
           f.seven->row_count == f.nine->row_count;
    fixture_deinit(&f);
  }
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
}

void test_rows_suite(void);

void
test_rows_suite(void)
{
  CU_pSuite suite = CU_add_suite("rows", NULL, NULL);
  CU_ADD_TEST(suite, put_of_a_known_birth_exchanges);
  CU_ADD_TEST(suite, put_of_a_birth_under_another_key_is_malformed);
  CU_ADD_TEST(suite, winner_is_the_greatest_in_view);
  CU_ADD_TEST(suite, count_knows_contested_names);
  CU_ADD_TEST(suite, scan_survives_removal);
  CU_ADD_TEST(suite, walk_steps_over_what_goes);
  CU_ADD_TEST(suite, rename_keeps_what_is_there);
  CU_ADD_TEST(suite, each_request_refused_once);
  CU_ADD_TEST(suite, refused_put_changes_nothing);
  CU_ADD_TEST(suite, prop_fingerprint_is_of_the_set);
}
