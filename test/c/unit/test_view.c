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

/* So many ends that have not met. */
static void
fixture_init(struct fixture *f, uint64_t policy, unsigned ends)
{
  pair_begin(&f->pair, &f->heap, policy, ends, 0);
}

static void
fixture_meet(struct fixture *f)
{
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f->pair), 0);
  pair_run(&f->pair);
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

static size_t
count_of(const struct pair *pair, unsigned at, const char *text,
         const char *node)
{
  uint8_t key[64];
  const size_t size = pair_key(text, key);
  return holt_replica_count_key(pair->replica[at], key, size,
                                (const uint8_t *)node,
                                node != NULL ? strlen(node) : 0);
}

static bool
member_of(const struct pair *pair, unsigned at, const char *text,
          uint32_t process, struct holt_view *view)
{
  uint8_t key[64];
  const size_t size = pair_key(text, key);
  return holt_replica_member(pair->replica[at], key, size, process, 0, view);
}

/* What a tour has seen: each actor's rows, and their processes added up. */
struct seen {
  size_t count;
  size_t of[PAIR_ENDS];
  uint64_t births[200];
};

static bool
see(void *user, const struct holt_view *view)
{
  struct seen *const seen = user;
  if (seen->count < 200) {
    seen->births[seen->count] = view->birth;
  }
  seen->count++;
  seen->of[view->actor - 10]++;
  return true;
}

static int
tour_key(struct pair *pair, unsigned at, const char *text, struct seen *seen)
{
  uint8_t key[64];
  const size_t size = pair_key(text, key);
  struct holt_tour *tour;
  *seen = (struct seen){ .count = 0 };
  const int rv = holt_tour_start_key(pair->replica[at], key, size, &tour);
  if (rv == 0) {
    while (holt_tour_next(pair->replica[at], tour, 3, see, seen)) {
    }
    holt_tour_stop(pair->replica[at], tour);
  }
  return rv;
}

static int
tour_process(struct pair *pair, unsigned at, const char *node, uint32_t id,
             struct seen *seen)
{
  const struct holt_process process = { .node = (const uint8_t *)node,
                                        .node_size = (uint16_t)strlen(node),
                                        .creation = 1,
                                        .id = id };
  struct holt_tour *tour;
  *seen = (struct seen){ .count = 0 };
  const int rv = holt_tour_start(pair->replica[at], &process, &tour);
  if (rv == 0) {
    while (holt_tour_next(pair->replica[at], tour, 3, see, seen)) {
    }
    holt_tour_stop(pair->replica[at], tour);
  }
  return rv;
}

/*--------------------------------------------------------------------
 * Duplicate keys */

/* A key has as many members as join it; each node's are counted and listed
 * apart; a process may be in twice; nobody is in conflict. */
static void
lists_have_many_members(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_DUPLICATE, 3);
  fixture_meet(&f);
  for (uint32_t i = 1; i <= 40; i++) {
    CU_ASSERT_EQUAL(pair_register(&f.pair, i % 3, "room", i), 0);
  }
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "room", 3), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "hall", 3), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  struct seen seen;
  for (unsigned at = 0; at < 3; at++) {
    CU_ASSERT_EQUAL(count_of(&f.pair, at, "room", NULL), 41);
    CU_ASSERT_EQUAL(count_of(&f.pair, at, "room", "a@x"), 14);
    CU_ASSERT_EQUAL(count_of(&f.pair, at, "room", "b@x"), 14);
    CU_ASSERT_EQUAL(count_of(&f.pair, at, "room", "c@x"), 13);
    CU_ASSERT_EQUAL(count_of(&f.pair, at, "room", "d@x"), 0);
    CU_ASSERT_EQUAL(count_of(&f.pair, at, "cellar", NULL), 0);
    CU_ASSERT_EQUAL(holt_replica_count(f.pair.replica[at]), 2);
    CU_ASSERT_EQUAL(tour_key(&f.pair, at, "room", &seen), 0);
    CU_ASSERT_EQUAL(seen.count, 41);
    CU_ASSERT_EQUAL(seen.of[2], 13);
    CU_ASSERT_EQUAL(tour_key(&f.pair, at, "cellar", &seen), HOLT_ERR_NOT_FOUND);
    CU_ASSERT_EQUAL(f.pair.conflicts[at], 0);
    /* Process 3 of node a, in the order of registration. */
    CU_ASSERT_EQUAL(tour_process(&f.pair, at, "a@x", 3, &seen), 0);
    CU_ASSERT_EQUAL(seen.count, 3);
    CU_ASSERT(seen.births[0] < seen.births[1] &&
              seen.births[1] < seen.births[2]);
    CU_ASSERT_EQUAL(tour_process(&f.pair, at, "b@x", 3, &seen),
                    HOLT_ERR_NOT_FOUND);
  }
  pair_disconnect(&f.pair, 0, 1);
  pair_disconnect(&f.pair, 1, 2);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(count_of(&f.pair, 0, "room", NULL), 27);
  CU_ASSERT_EQUAL(count_of(&f.pair, 0, "room", "b@x"), 0);
  CU_ASSERT_EQUAL(tour_key(&f.pair, 0, "room", &seen), 0);
  CU_ASSERT_EQUAL(seen.count, 27);
  fixture_deinit(&f);
}

/* member() finds the youngest row of a local process; leaving takes one row,
 * and brings the one before it out again; a dead process is in no list. */
static void
members_join_leave_and_die(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_DUPLICATE, 2);
  fixture_meet(&f);
  struct holt_view view;
  CU_ASSERT(!member_of(&f.pair, 0, "room", 1, &view));
  uint64_t births[3];
  for (unsigned i = 0; i < 3; i++) {
    CU_ASSERT_EQUAL(
      pair_register_as(&f.pair, 0, "room", 1 + i / 2, 0, 0, 0, &births[i]), 0);
  }
  pair_run(&f.pair);
  CU_ASSERT(member_of(&f.pair, 0, "room", 1, &view));
  CU_ASSERT_EQUAL(view.birth, births[1]);
  CU_ASSERT(!member_of(&f.pair, 1, "room", 1, &view));
  uint64_t seq;
  CU_ASSERT_EQUAL(holt_replica_unregister(f.pair.replica[0], births[1], &seq),
                  0);
  CU_ASSERT(member_of(&f.pair, 0, "room", 1, &view));
  CU_ASSERT_EQUAL(view.birth, births[0]);
  CU_ASSERT_EQUAL(holt_replica_unregister(f.pair.replica[0], births[0], &seq),
                  0);
  CU_ASSERT(!member_of(&f.pair, 0, "room", 1, &view));
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(count_of(&f.pair, 1, "room", NULL), 1);
  holt_replica_owner_dead(f.pair.replica[0], 2, 0);
  CU_ASSERT(!member_of(&f.pair, 0, "room", 2, &view));
  struct seen seen;
  CU_ASSERT_EQUAL(tour_key(&f.pair, 0, "room", &seen), 0);
  CU_ASSERT_EQUAL(seen.count, 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(count_of(&f.pair, 1, "room", NULL), 0);
  CU_ASSERT_EQUAL(holt_replica_count(f.pair.replica[1]), 0);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* Metadata of a member changes in place: same birth, new seq, at both ends. */
static void
metadata_of_members_changes(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_DUPLICATE, 2);
  fixture_meet(&f);
  uint64_t birth;
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "room", 2), 0);
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "room", 1, 0, 0, 0, &birth), 0);
  pair_run(&f.pair);
  const uint8_t value[6] = { 131, 109, 0, 0, 0, 0 };
  uint64_t seq = birth;
  CU_ASSERT_EQUAL(
    holt_replica_update(f.pair.replica[0], birth, &seq, value, sizeof value),
    0);
  pair_run(&f.pair);
  struct holt_view view;
  CU_ASSERT(member_of(&f.pair, 0, "room", 1, &view));
  CU_ASSERT_EQUAL(view.value_size, sizeof value);
  CU_ASSERT_EQUAL(view.seq, seq);
  CU_ASSERT_EQUAL(view.birth, birth);
  CU_ASSERT_EQUAL(count_of(&f.pair, 1, "room", NULL), 2);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/* Two members of the instance on one node: the rows of a process are those in
 * both, and the node's members are counted together. */
static void
two_members_on_a_node_are_both_seen(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_DUPLICATE, 5);
  fixture_meet(&f);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "room", 7), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "hall", 7), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 4, "room", 7), 0);
  pair_run(&f.pair);
  CU_ASSERT(pair_equal(&f.pair));
  struct seen seen;
  for (unsigned at = 0; at < 5; at++) {
    CU_ASSERT_EQUAL(tour_process(&f.pair, at, "b@x", 7, &seen), 0);
    CU_ASSERT_EQUAL(seen.count, 3);
    CU_ASSERT_EQUAL(seen.of[1], 2);
    CU_ASSERT_EQUAL(seen.of[4], 1);
    CU_ASSERT_EQUAL(count_of(&f.pair, at, "room", "b@x"), 2);
  }
  fixture_deinit(&f);
}

/* A scan visits each list once, and not those that nobody seen is in. */
static void
scan_visits_each_list_once(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_DUPLICATE, 2);
  fixture_meet(&f);
  for (uint32_t i = 0; i < 300; i++) {
    char text[16];
    (void)snprintf(text, sizeof text, "%u", (unsigned)i / 2);
    CU_ASSERT_EQUAL(pair_register(&f.pair, i % 2, text, 1), 0);
  }
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "theirs", 1), 0);
  pair_run(&f.pair);
  struct seen seen = { .count = 0 };
  uint64_t cursor = 0;
  do {
    cursor = holt_replica_scan(f.pair.replica[0], cursor, see, &seen);
  } while (cursor != 0);
  CU_ASSERT_EQUAL(seen.count, 151);
  pair_unlink(&f.pair);
  seen.count = 0;
  do {
    cursor = holt_replica_scan(f.pair.replica[0], cursor, see, &seen);
  } while (cursor != 0);
  CU_ASSERT_EQUAL(seen.count, 150);
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Standbys */

/* A standby waits behind a holder, and takes over when that leaves, dies, or
 * its node goes. */
static void
standby_waits_and_takes_over(void)
{
  for (unsigned how = 0; how < 3; how++) {
    struct fixture f;
    fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
    fixture_meet(&f);
    CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(
      pair_register_as(&f.pair, 1, "x", 2, HOLT_REGISTER_STANDBY, 0, 0, NULL),
      0);
    pair_wait(&f.pair, 50);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 10);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
    CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 3), HOLT_ERR_EXISTS);
    if (how == 0) {
      CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "x"), 0);
    } else if (how == 1) {
      holt_replica_owner_dead(f.pair.replica[0], 1, 0);
    } else {
      pair_unlink(&f.pair);
    }
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), how == 2 ? 10 : 11);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 11);
    struct holt_view view;
    CU_ASSERT(pair_find(&f.pair, 1, "x", &view));
    CU_ASSERT(view.standby);
    CU_ASSERT_EQUAL(f.pair.conflicts[0] + f.pair.conflicts[1], 0);
    fixture_deinit(&f);
  }
}

/* Of several standbys the first in line wins, whoever's it is and under either
 * rule; and a registration that does not wait goes before all of them. */
static void
first_standby_in_line_wins(void)
{
  const uint64_t policies[2] = { HOLT_POLICY_UNIQUE_KEEP_NEWEST,
                                 HOLT_POLICY_UNIQUE_KEEP_OLDEST };
  for (unsigned i = 0; i < 2; i++) {
    struct fixture f;
    fixture_init(&f, policies[i], 3);
    fixture_meet(&f);
    for (uint32_t p = 1; p <= 6; p++) {
      CU_ASSERT_EQUAL(pair_register_as(&f.pair, (p + 1) % 3, "x", p,
                                       HOLT_REGISTER_STANDBY, 0, 0, NULL),
                      0);
      pair_wait(&f.pair, 10);
    }
    for (uint32_t p = 1; p <= 6; p++) {
      for (unsigned at = 0; at < 3; at++) {
        CU_ASSERT_EQUAL(pair_process(&f.pair, at, "x"), p);
      }
      holt_replica_owner_dead(f.pair.replica[(p + 1) % 3], p, 0);
      pair_run(&f.pair);
    }
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 0);
    CU_ASSERT_EQUAL(f.pair.conflicts[0], 0);
    CU_ASSERT(pair_equal(&f.pair));
    fixture_deinit(&f);
  }
}

/* A process that registered while apart loses to one that did not wait, not to
 * standbys; the standbys stay in line. */
static void
standbys_stay_in_line_through_conflicts(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
  fixture_meet(&f);
  pair_unlink(&f.pair);
  CU_ASSERT_EQUAL(
    pair_register_as(&f.pair, 0, "x", 5, HOLT_REGISTER_STANDBY, 0, 0, NULL), 0);
  pair_wait(&f.pair, 10);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 2), 0);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 0, "x"), 2);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 1, "x"), 2);
  CU_ASSERT_EQUAL(f.pair.conflicts[0] + f.pair.conflicts[1], 0);
  holt_replica_owner_dead(f.pair.replica[1], 2, 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 1, "x"), 5);
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Who wins */

/* Registered apart, then met: who keeps the name, and who is told. */
static void
meet_with(struct fixture *f, uint64_t policy, bool early, uint64_t winner)
{
  fixture_init(f, policy, 2);
  if (!early) {
    fixture_meet(f);
    pair_unlink(&f->pair);
  }
  CU_ASSERT_EQUAL(pair_register(&f->pair, 1, "x", 2), 0);
  pair_wait(&f->pair, 20);
  CU_ASSERT_EQUAL(pair_register(&f->pair, 0, "x", 1), 0);
  pair_wait(&f->pair, 20);
  CU_ASSERT_EQUAL(pair_link(&f->pair), 0);
  pair_run(&f->pair);
  CU_ASSERT_EQUAL(pair_holder(&f->pair, 0, "x"), winner);
  CU_ASSERT_EQUAL(pair_holder(&f->pair, 1, "x"), winner);
  CU_ASSERT_EQUAL(f->pair.conflicts[winner - 10], 0);
  CU_ASSERT_EQUAL(f->pair.conflicts[11 - winner], 1);
  CU_ASSERT_EQUAL(f->pair.last_loser, winner == 10 ? 1002 : 1001);
  CU_ASSERT(pair_equal(&f->pair));
  fixture_deinit(f);
}

/* The newer wins, the older under keep_oldest; of two that were registered
 * before they had met anybody, the older under both. */
static void
rules_decide(void)
{
  struct fixture f;
  meet_with(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, false, 10);
  meet_with(&f, HOLT_POLICY_UNIQUE_KEEP_OLDEST, false, 11);
  meet_with(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, true, 11);
  meet_with(&f, HOLT_POLICY_UNIQUE_KEEP_OLDEST, true, 11);
}

/* A node that boots never evicts an incumbent, however late its clock. */
static void
early_rows_lose(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 1), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  pair_wait(&f.pair, 500);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "x", 3), 0);
  struct holt_view view;
  CU_ASSERT(pair_find(&f.pair, 2, "x", &view));
  CU_ASSERT(view.early);
  fixture_meet(&f);
  for (unsigned at = 0; at < 3; at++) {
    CU_ASSERT_EQUAL(pair_holder(&f.pair, at, "x"), 10);
  }
  CU_ASSERT_EQUAL(f.pair.conflicts[2], 1);
  /* From now on it registers like everybody. */
  CU_ASSERT_EQUAL(pair_register(&f.pair, 2, "y", 3), 0);
  CU_ASSERT(pair_find(&f.pair, 2, "y", &view));
  CU_ASSERT(!view.early);
  fixture_deinit(&f);
}

/* Members with different rules: who keeps the newest wins at both, older or
 * not, and it is counted. */
static void
mixed_rules_go_to_who_keeps_the_newest(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_OLDEST, 1);
  f.pair.ends = 2;
  f.pair.policy = HOLT_POLICY_UNIQUE_KEEP_NEWEST;
  CU_ASSERT_EQUAL(pair_replica_new(&f.pair, 1, 11), 0);
  fixture_meet(&f);
  pair_unlink(&f.pair);
  for (unsigned i = 0; i < 2; i++) {
    CU_ASSERT_EQUAL(pair_register(&f.pair, i, i == 0 ? "x" : "y", 1), 0);
  }
  pair_wait(&f.pair, 20);
  for (unsigned i = 0; i < 2; i++) {
    CU_ASSERT_EQUAL(pair_register(&f.pair, i, i == 0 ? "y" : "x", 2), 0);
  }
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  for (unsigned i = 0; i < 2; i++) {
    CU_ASSERT_EQUAL(pair_holder(&f.pair, i, "x"), 11);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, i, "y"), 11);
    CU_ASSERT_EQUAL(f.pair.conflicts[i], i == 0 ? 2 : 0);
    CU_ASSERT_EQUAL(pair_counters(&f.pair, i).mixed_rules, i == 0 ? 2 : 0);
  }
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * Replacing */

/* A name that is given to a process of another node: the old row goes without a
 * conflict, under either rule, and nobody ever sees the name without a holder.
 * Who keeps the oldest cannot take over from who keeps the newest. */
static void
given_away_names_are_replaced(void)
{
  const uint64_t policies[2] = { HOLT_POLICY_UNIQUE_KEEP_NEWEST,
                                 HOLT_POLICY_UNIQUE_KEEP_OLDEST };
  for (unsigned i = 0; i < 4; i++) {
    struct fixture f;
    fixture_init(&f, policies[i % 2], 1);
    f.pair.ends = 2;
    f.pair.policy = policies[i / 2];
    CU_ASSERT_EQUAL(pair_replica_new(&f.pair, 1, 11), 0);
    fixture_meet(&f);
    uint64_t birth;
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 1, 0, 0, 0, &birth), 0);
    pair_run(&f.pair);
    const bool weaker = i == 2;
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, 1, "x", 2, HOLT_REGISTER_REPLACES,
                                     10, birth, NULL),
                    weaker ? HOLT_ERR_POLICY : 0);
    if (weaker) {
      CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 10);
      fixture_deinit(&f);
      continue;
    }
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 11);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 10);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 11);
    CU_ASSERT_EQUAL(pair_holder(&f.pair, 1, "x"), 11);
    CU_ASSERT_EQUAL(f.pair.replaced[0], 1);
    CU_ASSERT_EQUAL(f.pair.conflicts[0] + f.pair.conflicts[1], 0);
    CU_ASSERT_EQUAL(pair_counters(&f.pair, 0).conflicts, 0);
    CU_ASSERT_EQUAL(f.pair.replica[0]->self->row_count, 0);
    CU_ASSERT(pair_equal(&f.pair));
    fixture_deinit(&f);
  }
}

/* A holder from beyond the cap of the clock is outranked by who replaces it,
 * and by who replaces that. */
static void
replacing_outranks_any_stamp(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
  f.pair.skew_ms[0] = INT64_C(2300000000000);
  uint64_t birth;
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 1, 0, 0, 0, &birth), 0);
  fixture_meet(&f);
  uint64_t stamp = 0;
  for (unsigned i = 0; i < 4; i++) {
    struct holt_view view;
    CU_ASSERT(pair_find(&f.pair, (i + 1) % 2, "x", &view));
    /* Handing it on does not make it less early. */
    CU_ASSERT(view.early && (stamp == 0 || view.stamp < stamp));
    stamp = view.stamp;
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, (i + 1) % 2, "x", 2 + i,
                                     HOLT_REGISTER_REPLACES, view.actor,
                                     view.birth, NULL),
                    0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(pair_process(&f.pair, 0, "x"), 2 + i);
    CU_ASSERT_EQUAL(pair_process(&f.pair, 1, "x"), 2 + i);
  }
  CU_ASSERT_EQUAL(f.pair.conflicts[0] + f.pair.conflicts[1], 0);
  CU_ASSERT_EQUAL(f.pair.replaced[0] + f.pair.replaced[1], 4);
  CU_ASSERT(pair_counters(&f.pair, 1).stamps_refused > 0);
  fixture_deinit(&f);
}

/* Handing a name over on one node is one step: the old row is gone when
 * register returns. */
static void
own_to_own_is_one_step(void)
{
  const uint64_t policies[2] = { HOLT_POLICY_UNIQUE_KEEP_NEWEST,
                                 HOLT_POLICY_UNIQUE_KEEP_OLDEST };
  for (unsigned i = 0; i < 2; i++) {
    struct fixture f;
    fixture_init(&f, policies[i], 2);
    fixture_meet(&f);
    uint64_t birth;
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 1, 0, 0, 0, &birth), 0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 2, HOLT_REGISTER_REPLACES,
                                     10, birth, NULL),
                    0);
    CU_ASSERT_EQUAL(pair_process(&f.pair, 0, "x"), 2);
    CU_ASSERT_EQUAL(f.pair.replica[0]->self->row_count, 1);
    CU_ASSERT_EQUAL(f.pair.replica[0]->self->version, 3);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(pair_process(&f.pair, 1, "x"), 2);
    CU_ASSERT_EQUAL(f.pair.conflicts[0] + f.pair.replaced[0], 0);
    CU_ASSERT(pair_equal(&f.pair));
    fixture_deinit(&f);
  }
}

/* A standby that has come to hold the name can be replaced like any holder, on
 * its own node and from another: it does not stay in line. */
static void
standbys_are_replaced_too(void)
{
  for (unsigned by = 0; by < 2; by++) {
    struct fixture f;
    fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
    fixture_meet(&f);
    uint64_t birth;
    CU_ASSERT_EQUAL(
      pair_register_as(&f.pair, 0, "x", 1, HOLT_REGISTER_STANDBY, 0, 0, &birth),
      0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, by, "x", 2,
                                     HOLT_REGISTER_REPLACES, 10, birth, NULL),
                    0);
    pair_run(&f.pair);
    CU_ASSERT_EQUAL(pair_process(&f.pair, 0, "x"), 2);
    CU_ASSERT_EQUAL(f.pair.replica[0]->self->row_count, by == 0 ? 1 : 0);
    CU_ASSERT_EQUAL(f.pair.conflicts[0], 0);
    CU_ASSERT(pair_equal(&f.pair));
    fixture_deinit(&f);
  }
}

/* The host is told of a conflict as it was: key and value of the loser, the
 * winner's pid. */
static void
conflicts_tell_what_was_lost(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
  fixture_meet(&f);
  pair_unlink(&f.pair);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, 0, "x", "old"), 0);
  pair_wait(&f.pair, 10);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 2), 0);
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  struct holt_effect effect;
  unsigned polls = 0;
  /* Run B alone, and let A apply; then look at A's next effect. */
  do {
    f.pair.ends = 2;
    for (unsigned at = 0; at < 2; at++) {
      holt_replica_poll(f.pair.replica[at], &f.pair.now, &effect);
      if (effect.type == HOLT_EFFECT_CONFLICT) {
        break;
      }
      if (effect.type == HOLT_EFFECT_HELLO) {
        struct holt_member member;
        pair_member(at, &member);
        (void)holt_replica_hello(f.pair.replica[1 - at], &member, effect.bytes,
                                 effect.size, &f.pair.now,
                                 &f.pair.peer[1 - at][at]);
      } else if (effect.type == HOLT_EFFECT_SEND) {
        (void)pair_apply(&f.pair, 1 - at, effect.targets[0].header,
                         effect.bytes, effect.size);
      }
    }
  } while (effect.type != HOLT_EFFECT_CONFLICT && ++polls < 100);
  CU_ASSERT_EQUAL_FATAL(effect.type, HOLT_EFFECT_CONFLICT);
  uint8_t key[64];
  const size_t size = pair_key("x", key);
  CU_ASSERT(effect.loser.key_size == size &&
            memcmp(effect.loser.key, key, size) == 0);
  CU_ASSERT(effect.loser.value_size == 9 &&
            memcmp(effect.loser.value + 6, "old", 3) == 0);
  CU_ASSERT_EQUAL(effect.loser.host, 1001);
  CU_ASSERT_EQUAL(effect.winner.id, 2);
  CU_ASSERT(effect.winner.node_size == 3 &&
            memcmp(effect.winner.node, "b@x", 3) == 0);
  CU_ASSERT(!effect.replaced);
  fixture_deinit(&f);
}

/* While there is no memory to say that our row has lost, a process of ours may
 * take the place of the winner: the loser then hears of that one. */
static void
winners_are_replaced_before_the_loser_knows(void)
{
  bool met = false;
  for (uint64_t fail_at = 1; !met && fail_at < 200; fail_at++) {
    struct fixture f;
    fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
    fixture_meet(&f);
    pair_unlink(&f.pair);
    CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
    pair_wait(&f.pair, 10);
    CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 2), 0);
    CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
    f.heap.fail_at = f.heap.requests + fail_at;
    pair_run(&f.pair); /* Time stands still: nothing is tried again. */
    f.heap.fail_at = 0;
    struct holt_view view;
    met = pair_process(&f.pair, 0, "x") == 2 && f.pair.conflicts[0] == 0;
    if (met && pair_find(&f.pair, 0, "x", &view)) {
      CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 3,
                                       HOLT_REGISTER_REPLACES, view.actor,
                                       view.birth, NULL),
                      0);
      pair_wait(&f.pair, 1000);
      CU_ASSERT_EQUAL(f.pair.conflicts[0], 1);
      CU_ASSERT_EQUAL(f.pair.replaced[1], 1);
      CU_ASSERT_EQUAL(pair_process(&f.pair, 0, "x"), 3);
      CU_ASSERT_EQUAL(pair_process(&f.pair, 1, "x"), 3);
      CU_ASSERT_EQUAL(f.pair.replica[0]->self->row_count, 1);
      CU_ASSERT(pair_equal(&f.pair));
    }
    fixture_deinit(&f);
  }
  CU_ASSERT(met);
}

/*--------------------------------------------------------------------
 * Memory */

static int
lists_live(struct holt_mem *mem, void *arg)
{
  (void)arg;
  static struct pair pair;
  int rv = pair_init_ends(&pair, mem, HOLT_POLICY_DUPLICATE, 2);
  if (rv == 0) {
    rv = pair_connect_all(&pair);
    if (rv != 0) {
      pair_deinit(&pair);
    }
  }
  if (rv != 0) {
    return rv;
  }
  for (uint32_t i = 0; i < 6 && rv == 0; i++) {
    rv = pair_register(&pair, i % 2, "room", i / 2);
  }
  pair_wait(&pair, 10000);
  struct seen seen = { .count = 0 };
  bool good = true;
  if (rv == 0) {
    good = pair_equal(&pair) && count_of(&pair, 0, "room", NULL) == 6;
    rv = tour_key(&pair, 0, "room", &seen);
    good = good && (rv != 0 || seen.count == 6);
  }
  if (rv == 0) {
    rv = tour_process(&pair, 1, "a@x", 1, &seen);
    good = good && (rv != 0 || seen.count == 1);
  }
  holt_replica_owner_dead(pair.replica[0], 1, 0);
  pair_wait(&pair, 10000);
  good = good && pair_equal(&pair);
  pair_deinit(&pair);
  return good ? rv : HOLT_ERR_MALFORMED;
}

/* Lists, tours and deaths with each request for memory refused once. */
static void
each_request_of_lists_refused_once(void)
{
  CU_ASSERT(heap_fail_each(lists_live, NULL, NULL));
}

static int
names_live(struct holt_mem *mem, void *arg)
{
  (void)arg;
  static struct pair pair;
  int rv = pair_init_ends(&pair, mem, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
  if (rv == 0) {
    rv = pair_connect_all(&pair);
    if (rv != 0) {
      pair_deinit(&pair);
    }
  }
  if (rv != 0) {
    return rv;
  }
  pair_wait(&pair, 10000);
  uint64_t birth = 0;
  rv = pair_register_as(&pair, 0, "x", 1, 0, 0, 0, &birth);
  if (rv == 0) {
    rv = pair_register_as(&pair, 0, "x", 2, HOLT_REGISTER_STANDBY, 0, 0, NULL);
  }
  pair_wait(&pair, 10000);
  if (rv == 0) {
    rv = pair_register_as(&pair, 1, "x", 3, HOLT_REGISTER_REPLACES, 10, birth,
                          NULL);
  }
  pair_wait(&pair, 10000);
  bool good = pair_equal(&pair);
  if (rv == 0) {
    good = good && pair_process(&pair, 0, "x") == 3 && pair.replaced[0] == 1;
    holt_replica_owner_dead(pair.replica[1], 3, 0);
    pair_wait(&pair, 10000);
    good = good && pair_equal(&pair) && pair_process(&pair, 1, "x") == 2;
  }
  pair_deinit(&pair);
  return good ? rv : HOLT_ERR_MALFORMED;
}

/* Replacing and standing by with each request for memory refused once. */
static void
each_request_of_names_refused_once(void)
{
  CU_ASSERT(heap_fail_each(names_live, NULL, NULL));
}

/* The holder's death on the node of its standby takes its own row, not the
 * standby's. */
static void
standby_of_the_same_node_takes_over(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
  fixture_meet(&f);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT_EQUAL(
    pair_register_as(&f.pair, 0, "x", 2, HOLT_REGISTER_STANDBY, 0, 0, NULL), 0);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 1, "x"), 1);
  holt_replica_owner_dead(f.pair.replica[0], 1, 0);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 0, "x"), 2);
  pair_run(&f.pair);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 0, "x"), 2);
  CU_ASSERT_EQUAL(pair_process(&f.pair, 1, "x"), 2);
  CU_ASSERT_EQUAL(f.pair.replica[0]->self->row_count, 1);
  CU_ASSERT(pair_equal(&f.pair));
  fixture_deinit(&f);
}

void test_view_suite(void);

void
test_view_suite(void)
{
  CU_pSuite suite = CU_add_suite("view", NULL, NULL);
  CU_ADD_TEST(suite, lists_have_many_members);
  CU_ADD_TEST(suite, members_join_leave_and_die);
  CU_ADD_TEST(suite, metadata_of_members_changes);
  CU_ADD_TEST(suite, two_members_on_a_node_are_both_seen);
  CU_ADD_TEST(suite, scan_visits_each_list_once);
  CU_ADD_TEST(suite, standby_waits_and_takes_over);
  CU_ADD_TEST(suite, first_standby_in_line_wins);
  CU_ADD_TEST(suite, standbys_stay_in_line_through_conflicts);
  CU_ADD_TEST(suite, rules_decide);
  CU_ADD_TEST(suite, early_rows_lose);
  CU_ADD_TEST(suite, mixed_rules_go_to_who_keeps_the_newest);
  CU_ADD_TEST(suite, given_away_names_are_replaced);
  CU_ADD_TEST(suite, replacing_outranks_any_stamp);
  CU_ADD_TEST(suite, own_to_own_is_one_step);
  CU_ADD_TEST(suite, standbys_are_replaced_too);
  CU_ADD_TEST(suite, conflicts_tell_what_was_lost);
  CU_ADD_TEST(suite, winners_are_replaced_before_the_loser_knows);
  CU_ADD_TEST(suite, each_request_of_lists_refused_once);
  CU_ADD_TEST(suite, each_request_of_names_refused_once);
  CU_ADD_TEST(suite, standby_of_the_same_node_takes_over);
}
