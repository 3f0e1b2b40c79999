/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"

struct fixture {
  struct heap heap;
  struct pair pair;
  uint64_t births[PAIR_ENDS];
  unsigned best;   /* This end's row is to have the name, */
  bool stand_by;   /* and the others wait for it. */
  bool mute;       /* Nobody decides. */
  uint64_t loser;  /* Of the last contest: the birth, */
  uint64_t member; /* and the number of its member. */
};

/* The end whose actor this is. */
static unsigned
end_of(uint64_t actor)
{
  return (unsigned)(actor - 10);
}

/* The row of the best end wins, or else that of the lower end. */
static void
judge(struct pair *pair, unsigned at, const struct holt_effect *effect)
{
  struct fixture *const f = pair->user;
  const struct holt_view *const own = &effect->winner;
  const struct holt_view *const other = &effect->loser;
  CU_ASSERT_EQUAL(end_of(own->actor), at);
  CU_ASSERT(own->local);
  CU_ASSERT_EQUAL(own->key_size, other->key_size);
  CU_ASSERT_EQUAL(memcmp(own->key, other->key, own->key_size), 0);
  struct holt_member member;
  pair_member(end_of(other->actor), &member);
  CU_ASSERT(holt_member_equal(&member, &effect->member));
  f->loser = other->birth;
  if (f->mute) {
    return;
  }
  const bool ours =
    end_of(own->actor) == f->best ||
    (end_of(other->actor) != f->best && own->actor < other->actor);
  const struct holt_view *const loses = ours ? other : own;
  const struct holt_view *const wins = ours ? own : other;
  const int rv =
    holt_replica_lose(pair->replica[end_of(loses->actor)], &pair->now,
                      loses->birth, wins->actor, wins->birth, f->stand_by);
  /* It may not have heard of the winner yet. */
  CU_ASSERT(rv == 0 || (rv == HOLT_ERR_NOT_FOUND && loses == other));
}

/* So many ends that have met, and then registered "x" apart, one after the
 * other: the last one has it by rank. */
static void
fixture_init(struct fixture *f, unsigned ends, unsigned best)
{
  memset(f, 0, sizeof *f);
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_CUSTOM, ends, 0);
  f->best = best;
  f->pair.judge = judge;
  f->pair.user = f;
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f->pair), 0);
  pair_run(&f->pair);
  for (unsigned left = 0; left < ends; left++) {
    for (unsigned right = 0; right < left; right++) {
      pair_disconnect(&f->pair, left, right);
    }
  }
  pair_wait(&f->pair, 1000);
  for (unsigned at = 0; at < ends; at++) {
    CU_ASSERT_EQUAL(
      pair_register_as(&f->pair, at, "x", at + 1, 0, 0, 0, &f->births[at]), 0);
    pair_wait(&f->pair, 20);
  }
}

static void
fixture_deinit(struct fixture *f)
{
  CU_ASSERT(pair_equal(&f->pair));
  pair_end(&f->pair, &f->heap);
}

static void
meet(struct fixture *f)
{
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f->pair), 0);
  pair_run(&f->pair);
}

static unsigned
conflicts(const struct fixture *f)
{
  unsigned sum = 0;
  for (unsigned at = 0; at < f->pair.ends; at++) {
    sum += f->pair.conflicts[at];
  }
  return sum;
}

/*--------------------------------------------------------------------
 * Deciding */

/* Whoever is to have it has it before long, whichever it is and however many
 * want it; all others are told. */
static void
who_is_chosen_has_it(void)
{
  for (unsigned ends = 2; ends <= 4; ends++) {
    for (unsigned best = 0; best < ends; best++) {
      struct fixture f;
      fixture_init(&f, ends, best);
      meet(&f);
      pair_wait(&f.pair, 4000);
      for (unsigned at = 0; at < ends; at++) {
        CU_ASSERT_EQUAL(end_of(pair_holder(&f.pair, at, "x")), best);
        CU_ASSERT_EQUAL(f.pair.conflicts[at], at == best ? 0 : 1);
        CU_ASSERT_EQUAL(holt_replica_count(f.pair.replica[at]), 1);
      }
      const unsigned asked = f.pair.contests[ends - 1];
      CU_ASSERT(asked > 0);
      pair_wait(&f.pair, 5000);
      CU_ASSERT_EQUAL(f.pair.contests[ends - 1], asked);
      CU_ASSERT_EQUAL(conflicts(&f), ends - 1);
      fixture_deinit(&f);
    }
  }
}

/* Who stands by keeps its process and value, is told nothing, and has the name
 * when the other ends. */
static void
who_stands_by_has_it_later(void)
{
  for (unsigned best = 0; best < 2; best++) {
    struct fixture f;
    fixture_init(&f, 2, best);
    f.stand_by = true;
    const unsigned other = 1 - best;
    CU_ASSERT_EQUAL(pair_update(&f.pair, other, "x", "kept"), 0);
    meet(&f);
    pair_wait(&f.pair, 3000);
    CU_ASSERT_EQUAL(end_of(pair_holder(&f.pair, 0, "x")), best);
    CU_ASSERT_EQUAL(end_of(pair_holder(&f.pair, 1, "x")), best);
    CU_ASSERT_EQUAL(conflicts(&f), 0);
    holt_replica_owner_dead(f.pair.replica[best], best + 1, 0);
    pair_run(&f.pair);
    for (unsigned at = 0; at < 2; at++) {
      struct holt_view view;
      CU_ASSERT(pair_find(&f.pair, at, "x", &view));
      CU_ASSERT_EQUAL(end_of(view.actor), other);
      CU_ASSERT_EQUAL(view.id, other + 1);
      CU_ASSERT(view.standby);
      CU_ASSERT(view.value_size > 4 &&
                memcmp(view.value + view.value_size - 4, "kept", 4) == 0);
    }
    fixture_deinit(&f);
  }
}

/* While nobody decides nobody loses, the name is found where rank has put it,
 * and the contest comes again every second, to whoever has it then. */
static void
undecided_contests_come_again(void)
{
  struct fixture f;
  fixture_init(&f, 3, 0);
  f.mute = true;
  meet(&f);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 12);
  const unsigned first = f.pair.contests[2];
  CU_ASSERT(first > 0);
  const unsigned others = f.pair.contests[0] + f.pair.contests[1];
  pair_wait(&f.pair, 4500);
  CU_ASSERT_EQUAL(f.pair.contests[2] - first, 4);
  CU_ASSERT_EQUAL(f.loser, f.births[1]);
  holt_replica_owner_dead(f.pair.replica[2], 3, 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 11);
  CU_ASSERT_EQUAL(f.pair.contests[0] + f.pair.contests[1], others + 1);
  CU_ASSERT_EQUAL(f.loser, f.births[0]);
  CU_ASSERT_EQUAL(conflicts(&f), 0);
  /* Who is not in sight is in no contest. */
  pair_disconnect(&f.pair, 0, 1);
  pair_disconnect(&f.pair, 0, 2);
  pair_wait(&f.pair, 2000);
  const unsigned before = f.pair.contests[1];
  pair_wait(&f.pair, 3000);
  CU_ASSERT_EQUAL(f.pair.contests[1], before);
  f.mute = false;
  meet(&f);
  pair_wait(&f.pair, 2000);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
  CU_ASSERT_EQUAL(conflicts(&f), 1);
  fixture_deinit(&f);
}

/* A verdict that has been overtaken does nothing. */
static void
late_verdicts_do_nothing(void)
{
  struct fixture f;
  fixture_init(&f, 2, 0);
  f.mute = true;
  meet(&f);
  struct holt_replica *const b = f.pair.replica[1];
  const struct holt_time *const now = &f.pair.now;
  CU_ASSERT_EQUAL(
    holt_replica_lose(b, now, f.births[1], 10, f.births[0] + 7, false),
    HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(
    holt_replica_lose(b, now, f.births[1] + 7, 10, f.births[0], false),
    HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(holt_replica_lose(b, now, f.births[1], 99, 1, false),
                  HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(
    holt_replica_lose(b, now, f.births[1], 11, f.births[1], false),
    HOLT_ERR_NOT_FOUND);
  uint64_t birth;
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "y", 5, 0, 0, 0, &birth), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(holt_replica_lose(b, now, f.births[1], 10, birth, false),
                  HOLT_ERR_NOT_FOUND);
  holt_replica_owner_dead(f.pair.replica[0], 1, 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(
    holt_replica_lose(b, now, f.births[1], 10, f.births[0], false),
    HOLT_ERR_NOT_FOUND);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 11);
  CU_ASSERT_EQUAL(conflicts(&f), 0);
  fixture_deinit(&f);
}

/* Who has been given a name is in no contest with who gave it. */
static void
given_names_are_not_contested(void)
{
  struct fixture f;
  fixture_init(&f, 2, 1);
  meet(&f);
  pair_wait(&f.pair, 2000);
  const unsigned asked = f.pair.contests[0] + f.pair.contests[1];
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 7, HOLT_REGISTER_REPLACES,
                                   11, f.births[1], NULL),
                  0);
  CU_ASSERT_EQUAL(
    pair_register_as(&f.pair, 1, "y", 7, HOLT_REGISTER_STANDBY, 0, 0, NULL), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 1, "x"), 7);
  CU_ASSERT_EQUAL(f.pair.replaced[1], 1);
  CU_ASSERT_EQUAL(f.pair.contests[0] + f.pair.contests[1], asked);
  fixture_deinit(&f);
}

/* One that has been given away, while a third one has it in contest, goes when
 * that one goes: nobody decides about it any more. */
static void
given_names_go_when_the_contest_is_over(void)
{
  struct fixture f;
  memset(&f, 0, sizeof f);
  pair_begin(&f.pair, &f.heap, HOLT_POLICY_UNIQUE_CUSTOM, 3, 0);
  f.mute = true;
  f.pair.judge = judge;
  f.pair.user = &f;
  meet(&f);
  pair_disconnect(&f.pair, 0, 2);
  pair_disconnect(&f.pair, 1, 2);
  pair_wait(&f.pair, 1000);
  uint64_t given;
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 1, 0, 0, 0, &given), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 1, "x", 2, HOLT_REGISTER_REPLACES,
                                   10, given, NULL),
                  0);
  pair_disconnect(&f.pair, 0, 1); /* Before it was said. */
  pair_wait(&f.pair, 1000);
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 2, "x", 3, 0, 0, 0, NULL), 0);
  CU_ASSERT_EQUAL_FATAL(pair_connect(&f.pair, 0, 2), 0);
  CU_ASSERT_EQUAL_FATAL(pair_connect(&f.pair, 1, 2), 0);
  pair_wait(&f.pair, 1000);
  meet(&f);
  pair_wait(&f.pair, 3000);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 0, "x"), 3);
  CU_ASSERT_EQUAL(f.pair.replaced[0], 0);
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 2, "x"), 0);
  pair_wait(&f.pair, 3000);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 0, "x"), 2);
  CU_ASSERT_EQUAL(f.pair.replaced[0], 1);
  fixture_deinit(&f);
}

/* Where members have other rules rank decides: who keeps the newest is before
 * who has it decided, and that before who keeps the oldest. */
static void
other_rules_are_not_contested(void)
{
  const uint64_t policies[3] = { HOLT_POLICY_UNIQUE_KEEP_OLDEST,
                                 HOLT_POLICY_UNIQUE_CUSTOM,
                                 HOLT_POLICY_UNIQUE_KEEP_NEWEST };
  for (unsigned left = 0; left < 3; left++) {
    for (unsigned right = 0; right < 3; right++) {
      if (left == right) {
        continue;
      }
      struct heap heap;
      struct pair pair;
      pair_begin(&pair, &heap, policies[left], 2, 0);
      holt_replica_delete(pair.replica[1]);
      pair.policy = policies[right];
      CU_ASSERT_EQUAL_FATAL(pair_replica_new(&pair, 1, 11), 0);
      CU_ASSERT_EQUAL(pair_register(&pair, 0, "x", 1), 0);
      pair_wait(&pair, 10);
      CU_ASSERT_EQUAL(pair_register(&pair, 1, "x", 2), 0);
      CU_ASSERT_EQUAL_FATAL(pair_link(&pair), 0);
      pair_run(&pair);
      const unsigned winner = left > right ? 0 : 1;
      CU_ASSERT_EQUAL(end_of(pair_holder(&pair, 0, "x")), winner);
      CU_ASSERT_EQUAL(end_of(pair_holder(&pair, 1, "x")), winner);
      CU_ASSERT_EQUAL(pair.conflicts[1 - winner], 1);
      CU_ASSERT_EQUAL(pair_counters(&pair, 1 - winner).mixed_rules, 1);
      CU_ASSERT_EQUAL(pair.contests[0] + pair.contests[1], 0);
      pair_end(&pair, &heap);
    }
  }
}

/* Without memory a contest waits, and a row that is to lose keeps the name. */
static void
contests_wait_for_memory(void)
{
  for (uint64_t fail_at = 1; fail_at < 60; fail_at++) {
    struct fixture f;
    fixture_init(&f, 2, 0);
    f.mute = true;
    meet(&f);
    f.heap.fail_at = f.heap.requests + fail_at;
    int rv = holt_replica_lose(f.pair.replica[1], &f.pair.now, f.births[1], 10,
                               f.births[0], fail_at % 2 == 0);
    f.heap.fail_at = 0;
    CU_ASSERT(rv == 0 || rv == HOLT_ERR_NOMEM);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), rv == 0 ? 10 : 11);
    f.mute = false;
    pair_wait(&f.pair, 1500);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
    pair_end(&f.pair, &f.heap);
  }
}

void test_contest_suite(void);

void
test_contest_suite(void)
{
  CU_pSuite suite = CU_add_suite("contest", NULL, NULL);
  CU_ADD_TEST(suite, who_is_chosen_has_it);
  CU_ADD_TEST(suite, who_stands_by_has_it_later);
  CU_ADD_TEST(suite, undecided_contests_come_again);
  CU_ADD_TEST(suite, late_verdicts_do_nothing);
  CU_ADD_TEST(suite, given_names_are_not_contested);
  CU_ADD_TEST(suite, given_names_go_when_the_contest_is_over);
  CU_ADD_TEST(suite, other_rules_are_not_contested);
  CU_ADD_TEST(suite, contests_wait_for_memory);
}
