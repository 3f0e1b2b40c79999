/* SPDX-License-Identifier: Apache-2.0 */
#include "twin.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "prng.h"

enum {
  ACTORS = 4,
  KEYS = 3,
  CHANGES = 60
};

static struct twin_bytes
text(const char *string)
{
  return (struct twin_bytes){ (uint8_t *)(uintptr_t)string, strlen(string) };
}

static struct twin_bytes
key_at(uint64_t index)
{
  static const char *const keys[KEYS] = { "alice", "bob", "" };
  return text(keys[index]);
}

/* A registration of "alice" without flags. */
static struct twin_row
row_make(uint64_t actor, uint64_t seq, uint64_t stamp)
{
  return (struct twin_row){
    .dot = { actor, seq },
    .birth = seq,
    .stamp = stamp,
    .owner_id = 7,
    .key = text("alice"),
    .value = text("v"),
  };
}

/* What one run makes: states of actors that have heard more or less of each
 * other, and every delta there was. */
struct history {
  struct prng prng;
  struct twin states[ACTORS];
  uint64_t seqs[ACTORS]; /* Used up. */
  struct twin deltas[CHANGES];
  struct twin all; /* The join of all states. */
  struct twin_actor shown[ACTORS];
  size_t shown_count;
};

static uint64_t
actor_at(unsigned index)
{
  return 100 + index;
}

static void
history_register(struct history *history, unsigned at, struct twin *delta)
{
  struct prng *const prng = &history->prng;
  const uint64_t seq = ++history->seqs[at];
  const struct twin_row row = {
    .dot = { actor_at(at), seq },
    .birth = seq,
    .stamp = prng_below(prng, 4),
    .early = prng_chance(prng, 1, 3),
    .standby = prng_chance(prng, 1, 4),
    .owner_id = (uint32_t)prng_below(prng, 9),
    .owner_serial = (uint32_t)prng_below(prng, 2),
    .key = key_at(prng_below(prng, KEYS)),
    .value = key_at(prng_below(prng, KEYS)),
  };
  twin_register(&history->states[at], &row, delta);
}

/* A change by this actor.  Removing what others wrote is not for a registry,
 * but the map allows it. */
static void
history_change(struct history *history, unsigned at, struct twin *delta)
{
  struct prng *const prng = &history->prng;
  struct twin *const state = &history->states[at];
  const uint64_t what = prng_below(prng, 10);
  if (what < 5 || state->row_count == 0) {
    history_register(history, at, delta);
    return;
  }
  const struct twin_row *const row =
    &state->rows[prng_below(prng, state->row_count)];
  const uint64_t actor = row->dot.actor;
  const uint64_t birth = row->birth;
  if (what < 8 && actor == actor_at(at)) {
    const uint64_t seq = ++history->seqs[at];
    CU_ASSERT(twin_update(state, actor, birth, seq,
                          key_at(prng_below(prng, KEYS)), delta));
  } else {
    CU_ASSERT(twin_remove(state, actor, birth, delta));
  }
}

static void
history_init(struct history *history, uint64_t seed)
{
  *history = (struct history){ 0 };
  prng_init(&history->prng, seed);
  struct prng *const prng = &history->prng;
  twin_init(&history->all);
  for (unsigned i = 0; i < ACTORS; i++) {
    twin_init(&history->states[i]);
    if (prng_chance(prng, 3, 4)) {
      history->shown[history->shown_count++] = (struct twin_actor){
        .actor = actor_at(i),
        .rule = prng_chance(prng, 2, 3) ? TWIN_KEEP_OLDEST : TWIN_KEEP_NEWEST,
      };
    }
  }
  for (unsigned i = 0; i < CHANGES; i++) {
    struct twin *const delta = &history->deltas[i];
    twin_init(delta);
    const unsigned at = (unsigned)prng_below(prng, ACTORS);
    history_change(history, at, delta);
    if (prng_chance(prng, 1, 3)) {
      const struct twin *const from =
        prng_chance(prng, 1, 2) ? &history->states[prng_below(prng, ACTORS)]
                                : &history->deltas[prng_below(prng, i + 1)];
      struct twin heard;
      twin_init(&heard);
      twin_copy(&heard, from);
      twin_join(&history->states[at], &heard);
      twin_deinit(&heard);
    }
  }
  for (unsigned i = 0; i < ACTORS; i++) {
    twin_join(&history->all, &history->states[i]);
  }
}

static void
history_deinit(struct history *history)
{
  for (unsigned i = 0; i < ACTORS; i++) {
    twin_deinit(&history->states[i]);
  }
  for (unsigned i = 0; i < CHANGES; i++) {
    twin_deinit(&history->deltas[i]);
  }
  twin_deinit(&history->all);
}

/* A state, a delta, or a few deltas joined. */
static void
history_pick(struct history *history, struct twin *out)
{
  struct prng *const prng = &history->prng;
  twin_init(out);
  if (prng_chance(prng, 1, 2)) {
    twin_join(out, &history->states[prng_below(prng, ACTORS)]);
    return;
  }
  for (uint64_t i = prng_below(prng, 6); i > 0; i--) {
    twin_join(out, &history->deltas[prng_below(prng, CHANGES)]);
  }
}

/* Run a law on many histories; says the seed when it is broken. */
static void
history_each(bool (*law)(struct history *history))
{
  const uint64_t seed = prng_seed();
  bool good = true;
  for (unsigned i = 0; good && i < 100; i++) {
    struct history history;
    history_init(&history, seed + i);
    good = law(&history);
    history_deinit(&history);
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " run %u\n", seed, i);
    }
  }
  CU_ASSERT(good);
}

/*--------------------------------------------------------------------
 * Laws */

static bool
law_join(struct history *history)
{
  struct twin a, b, c;
  history_pick(history, &a);
  history_pick(history, &b);
  history_pick(history, &c);
  struct twin ab, ba, ab_c, bc, a_bc;
  twin_init(&ab);
  twin_init(&ba);
  twin_init(&ab_c);
  twin_init(&bc);
  twin_init(&a_bc);
  twin_copy(&ab, &a);
  twin_join(&ab, &b);
  twin_copy(&ba, &b);
  twin_join(&ba, &a);
  bool good = twin_equal(&ab, &ba);

  twin_copy(&ab_c, &ab);
  twin_join(&ab_c, &c);
  twin_copy(&bc, &b);
  twin_join(&bc, &c);
  twin_copy(&a_bc, &a);
  twin_join(&a_bc, &bc);
  good = good && twin_equal(&ab_c, &a_bc);

  /* The join holds what it was made of: joining that again changes nothing,
   * nor does joining anything with itself. */
  twin_join(&ab, &a);
  twin_join(&ab, &b);
  good = good && twin_equal(&ab, &ba);
  twin_join(&ab, &ba);
  good = good && twin_equal(&ab, &ba);

  twin_deinit(&a);
  twin_deinit(&b);
  twin_deinit(&c);
  twin_deinit(&ab);
  twin_deinit(&ba);
  twin_deinit(&ab_c);
  twin_deinit(&bc);
  twin_deinit(&a_bc);
  return good;
}

static void
prop_join_is_commutative_associative_idempotent(void)
{
  history_each(law_join);
}

/* Join all deltas into out in a random order, each at least once, in random
 * groups that are joined first. */
static void
history_replay(struct history *history, struct twin *out)
{
  struct prng *const prng = &history->prng;
  size_t order[CHANGES];
  for (size_t i = 0; i < CHANGES; i++) {
    order[i] = i;
  }
  for (size_t i = CHANGES; i > 1; i--) {
    const size_t j = (size_t)prng_below(prng, i);
    const size_t swap = order[i - 1];
    order[i - 1] = order[j];
    order[j] = swap;
  }
  twin_init(out);
  for (size_t i = 0; i < CHANGES;) {
    struct twin group;
    twin_init(&group);
    for (uint64_t n = 1 + prng_below(prng, 5); n > 0 && i < CHANGES; n--) {
      twin_join(&group, &history->deltas[order[i++]]);
      if (prng_chance(prng, 1, 4)) {
        twin_join(&group, &history->deltas[order[prng_below(prng, i)]]);
      }
    }
    twin_join(out, &group);
    if (prng_chance(prng, 1, 4)) {
      twin_join(out, &group);
    }
    twin_deinit(&group);
  }
}

static bool
law_deltas(struct history *history)
{
  struct twin replayed;
  history_replay(history, &replayed);
  const bool good = twin_equal(&replayed, &history->all);
  twin_deinit(&replayed);
  return good;
}

static void
prop_deltas_in_any_order_are_the_states(void)
{
  history_each(law_deltas);
}

/* Does a rank before b under this rule?  Said once more, row against row. */
static bool
ranks_before(const struct twin_row *a, const struct twin_row *b,
             enum twin_rule rule)
{
  bool smaller = rule == TWIN_KEEP_OLDEST;
  if (a->standby != b->standby) {
    return b->standby;
  }
  if (a->standby) {
    smaller = true;
  } else if (rule == TWIN_KEEP_NEWEST) {
    if (a->early != b->early) {
      return b->early;
    }
    smaller = a->early;
  }
  const uint64_t as[] = { a->stamp, a->dot.actor, a->birth };
  const uint64_t bs[] = { b->stamp, b->dot.actor, b->birth };
  for (unsigned i = 0; i < 3; i++) {
    if (as[i] != bs[i]) {
      return (as[i] < bs[i]) == smaller;
    }
  }
  return false;
}

static enum twin_rule
shown_rule(const struct history *history, uint64_t actor)
{
  for (size_t i = 0; i < history->shown_count; i++) {
    if (history->shown[i].actor == actor) {
      return history->shown[i].rule;
    }
  }
  abort();
}

/* The winner of a key ranks before each of its other rows. */
static bool
key_has_its_winner(const struct history *history, const struct twin *twin,
                   struct twin_bytes key)
{
  const struct twin_row *rows[CHANGES];
  const size_t count =
    twin_rows(twin, key, history->shown, history->shown_count, rows, CHANGES);
  const struct twin_row *const winner =
    twin_winner(twin, key, history->shown, history->shown_count);
  if (count == 0) {
    return winner == NULL;
  }
  const enum twin_rule rule = shown_rule(history, winner->dot.actor);
  bool found = false;
  for (size_t i = 0; i < count; i++) {
    found = found || rows[i] == winner;
    const bool same = shown_rule(history, rows[i]->dot.actor) == rule ||
                      winner->standby || rows[i]->standby;
    if (rows[i] != winner && (same ? !ranks_before(winner, rows[i], rule)
                                   : rule == TWIN_KEEP_OLDEST)) {
      return false;
    }
  }
  return found;
}

static bool
law_view(struct history *history)
{
  struct twin replayed;
  history_replay(history, &replayed);
  /* The order in which the actors are listed is no order either. */
  struct twin_actor turned[ACTORS];
  for (size_t i = 0; i < history->shown_count; i++) {
    turned[i] = history->shown[history->shown_count - 1 - i];
  }
  bool good = true;
  for (unsigned i = 0; i < KEYS; i++) {
    const struct twin_bytes key = key_at(i);
    const struct twin_row *const here =
      twin_winner(&history->all, key, history->shown, history->shown_count);
    const struct twin_row *const there =
      twin_winner(&replayed, key, turned, history->shown_count);
    good = good && key_has_its_winner(history, &history->all, key) &&
           (here == NULL) == (there == NULL) &&
           (here == NULL || (here->dot.actor == there->dot.actor &&
                             here->dot.seq == there->dot.seq)) &&
           twin_rows(&history->all, key, history->shown, history->shown_count,
                     NULL, 0) ==
             twin_rows(&replayed, key, turned, history->shown_count, NULL, 0);
  }
  twin_deinit(&replayed);
  return good;
}

static void
prop_view_is_independent_of_order(void)
{
  history_each(law_view);
}

/*--------------------------------------------------------------------
 * Examples */

/* A removal that comes before what it removes, and a row that comes again. */
static void
dead_rows_do_not_come_back(void)
{
  struct twin here, there, born, died;
  twin_init(&here);
  twin_init(&there);
  twin_init(&born);
  twin_init(&died);
  const struct twin_row row = row_make(1, 1, 10);
  twin_register(&here, &row, &born);
  CU_ASSERT(twin_remove(&here, 1, 1, &died));
  CU_ASSERT(!twin_remove(&here, 1, 1, NULL));
  CU_ASSERT(!twin_update(&here, 1, 1, 2, text("w"), NULL));
  CU_ASSERT_EQUAL(born.row_count, 1);
  CU_ASSERT_EQUAL(died.row_count, 0);
  CU_ASSERT_EQUAL(died.seen_count, 1);
  twin_join(&there, &died);
  twin_join(&there, &born);
  CU_ASSERT_EQUAL(there.row_count, 0);
  CU_ASSERT(twin_equal(&here, &there));
  twin_join(&here, &born);
  CU_ASSERT(twin_equal(&here, &there));
  twin_deinit(&here);
  twin_deinit(&there);
  twin_deinit(&born);
  twin_deinit(&died);
}

/* An update is another dot of the same registration. */
static void
update_keeps_the_registration(void)
{
  struct twin twin, born, changed;
  twin_init(&twin);
  twin_init(&born);
  twin_init(&changed);
  const struct twin_row row = row_make(1, 3, 10);
  twin_register(&twin, &row, &born);
  CU_ASSERT(twin_update(&twin, 1, 3, 5, text("w"), &changed));
  const struct twin_row *const found = twin_find(&twin, 1, 3);
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  CU_ASSERT_EQUAL(found->dot.seq, 5);
  CU_ASSERT_EQUAL(found->stamp, 10);
  CU_ASSERT_EQUAL(found->owner_id, 7);
  CU_ASSERT(twin_bytes_equal(found->value, text("w")));
  CU_ASSERT(twin_bytes_equal(found->key, text("alice")));
  CU_ASSERT_EQUAL(twin.row_count, 1);
  twin_join(&changed, &born);
  CU_ASSERT(twin_equal(&twin, &changed));
  twin_deinit(&twin);
  twin_deinit(&born);
  twin_deinit(&changed);
}

/* Whose row wins "alice" when these actors are shown; 0: nobody's. */
static uint64_t
winner_of(const struct twin *twin, const struct twin_actor *shown,
          size_t shown_count)
{
  const struct twin_row *const row =
    twin_winner(twin, text("alice"), shown, shown_count);
  return row == NULL ? 0 : row->dot.actor;
}

/* The rules of rank, one after the other. */
static void
winner_goes_by_rank(void)
{
  const struct twin_actor newest[] = { { 1, TWIN_KEEP_NEWEST },
                                       { 2, TWIN_KEEP_NEWEST },
                                       { 3, TWIN_KEEP_NEWEST },
                                       { 4, TWIN_KEEP_NEWEST } };
  const struct twin_actor oldest[] = { { 1, TWIN_KEEP_OLDEST },
                                       { 2, TWIN_KEEP_OLDEST },
                                       { 3, TWIN_KEEP_OLDEST },
                                       { 4, TWIN_KEEP_OLDEST } };
  const struct twin_actor mixed[] = { { 1, TWIN_KEEP_OLDEST },
                                      { 2, TWIN_KEEP_NEWEST } };
  struct twin twin;
  twin_init(&twin);
  CU_ASSERT_EQUAL(winner_of(&twin, newest, 4), 0);

  /* Standbys: the first in line, under each rule. */
  struct twin_row row = row_make(4, 1, 5);
  row.standby = true;
  twin_register(&twin, &row, NULL);
  row.dot.actor = 3;
  row.stamp = 90;
  twin_register(&twin, &row, NULL);
  CU_ASSERT_EQUAL(winner_of(&twin, newest, 4), 4);
  CU_ASSERT_EQUAL(winner_of(&twin, oldest, 4), 4);

  /* A holder stands before them; of two, it is by the rule. */
  row = row_make(1, 1, 10);
  twin_register(&twin, &row, NULL);
  CU_ASSERT_EQUAL(winner_of(&twin, newest, 4), 1);
  CU_ASSERT_EQUAL(winner_of(&twin, oldest, 4), 1);
  row = row_make(2, 1, 20);
  twin_register(&twin, &row, NULL);
  CU_ASSERT_EQUAL(winner_of(&twin, newest, 4), 2);
  CU_ASSERT_EQUAL(winner_of(&twin, oldest, 4), 1);
  CU_ASSERT_EQUAL(winner_of(&twin, mixed, 2), 2);
  CU_ASSERT_EQUAL(winner_of(&twin, mixed, 1), 1);

  /* Early rows lose where the newest wins, and among them the oldest wins. */
  CU_ASSERT(twin_remove(&twin, 2, 1, NULL));
  row = row_make(2, 2, 30);
  row.early = true;
  twin_register(&twin, &row, NULL);
  CU_ASSERT_EQUAL(winner_of(&twin, newest, 4), 1);
  CU_ASSERT_EQUAL(winner_of(&twin, newest + 1, 3), 2);
  CU_ASSERT(twin_remove(&twin, 1, 1, NULL));
  row = row_make(1, 2, 40);
  row.early = true;
  twin_register(&twin, &row, NULL);
  CU_ASSERT_EQUAL(winner_of(&twin, newest, 4), 2);
  CU_ASSERT_EQUAL(winner_of(&twin, oldest, 4), 2);
  const struct twin_row *rows[4];
  CU_ASSERT_EQUAL(twin_rows(&twin, text("alice"), newest, 4, rows, 4), 4);
  CU_ASSERT_EQUAL(rows[0]->dot.actor, 1);
  CU_ASSERT_EQUAL(rows[3]->dot.actor, 4);
  CU_ASSERT_EQUAL(twin_rows(&twin, text("bob"), newest, 4, rows, 4), 0);
  twin_deinit(&twin);
}

void test_twin_suite(void);

void
test_twin_suite(void)
{
  CU_pSuite suite = CU_add_suite("twin", NULL, NULL);
  CU_ADD_TEST(suite, dead_rows_do_not_come_back);
  CU_ADD_TEST(suite, update_keeps_the_registration);
  CU_ADD_TEST(suite, winner_goes_by_rank);
  CU_ADD_TEST(suite, prop_join_is_commutative_associative_idempotent);
  CU_ADD_TEST(suite, prop_deltas_in_any_order_are_the_states);
  CU_ADD_TEST(suite, prop_view_is_independent_of_order);
}
