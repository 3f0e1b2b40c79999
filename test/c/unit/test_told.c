/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"

#define LINES_MAX 64u
#define LINE_BYTES 96u

/* What one end has been told, a line each: see line_of(). */
struct told {
  size_t count;
  char lines[LINES_MAX][LINE_BYTES];
};

struct fixture {
  struct heap heap;
  struct pair pair;
  struct told told[PAIR_ENDS];
};

static const char *const types[] = { "registered", "updated", "unregistered",
                                     "up", "down" };
static const char *const reasons[] = { "user",       "down",    "conflict",
                                       "given_away", "unknown", "member" };

/* "x 10/1": the name, the actor, the process. */
static void
view_line(const struct holt_view *view, char *out, size_t size)
{
  /* A binary of at most 255 bytes: 109 and a size of four bytes. */
  CU_ASSERT_FATAL(view->key_size > 5);
  (void)snprintf(out, size, " %.*s %u/%u", (int)(view->key_size - 5),
                 (const char *)view->key + 5, (unsigned)view->actor,
                 (unsigned)view->id);
}

/* "registered conflict x 10/1 - x 11/2": now, and who had it before. */
static void
line_of(const struct holt_change *change, char line[LINE_BYTES])
{
  char now[32] = "";
  char before[32] = "";
  const bool member = change->type >= HOLT_CHANGE_MEMBER_UP;
  if (member) {
    (void)snprintf(now, sizeof now, " %u: %u", (unsigned)change->actor,
                   (unsigned)change->count);
    CU_ASSERT_EQUAL(change->member.node_size, 3);
  } else if (change->type != HOLT_CHANGE_UNREGISTERED) {
    view_line(&change->now, now, sizeof now);
  }
  if (change->had) {
    view_line(&change->before, before, sizeof before);
  }
  (void)snprintf(line, LINE_BYTES, "%s %s%s%s%s", types[change->type],
                 reasons[change->reason], now, change->had ? " -" : "", before);
}

static void
note(void *user, const struct holt_change *change)
{
  struct told *const told = user;
  CU_ASSERT_FATAL(told->count < LINES_MAX);
  line_of(change, told->lines[told->count++]);
}

static void
fixture_init(struct fixture *f, uint64_t policy, unsigned ends)
{
  pair_begin(&f->pair, &f->heap, policy, ends, 0);
  memset(f->told, 0, sizeof f->told);
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f->pair), 0);
  pair_run(&f->pair);
  for (unsigned at = 0; at < ends; at++) {
    holt_replica_watch(f->pair.replica[at], note, &f->told[at]);
  }
}

static void
fixture_deinit(struct fixture *f)
{
  pair_end(&f->pair, &f->heap);
}

/* The end has been told this since the last time: lines, each with its end. */
static void
expect(struct fixture *f, unsigned at, const char *text)
{
  struct told *const told = &f->told[at];
  char all[LINES_MAX * LINE_BYTES] = "";
  for (size_t i = 0; i < told->count; i++) {
    (void)strcat(all, told->lines[i]);
    (void)strcat(all, "\n");
  }
  if (strcmp(all, text) != 0) {
    (void)printf("\n  told %u: %s  not: %s", at, all, text);
  }
  CU_ASSERT_STRING_EQUAL(all, text);
  told->count = 0;
}

static void
expect_all(struct fixture *f, const char *text)
{
  for (unsigned at = 0; at < f->pair.ends; at++) {
    expect(f, at, text);
  }
}

/*--------------------------------------------------------------------
 * What processes do */

/* All are told the same, each once, and why a name has ended. */
static void
changes_are_told_to_all(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  expect(&f, 0, "registered user x 10/1\n");
  pair_run(&f.pair);
  expect(&f, 0, "");
  expect(&f, 1, "registered user x 10/1\n");
  expect(&f, 2, "registered user x 10/1\n");
  CU_ASSERT_EQUAL(pair_update(&f.pair, 0, "x", "v"), 0);
  pair_run(&f.pair);
  expect_all(&f, "updated user x 10/1 - x 10/1\n");
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "x"), 0);
  pair_run(&f.pair);
  expect_all(&f, "unregistered user - x 10/1\n");
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "y", 2), 0);
  pair_run(&f.pair);
  expect_all(&f, "registered user y 11/2\n");
  holt_replica_owner_dead(f.pair.replica[1], 2, 0);
  struct holt_view view;
  CU_ASSERT(!pair_find(&f.pair, 1, "y", &view));
  expect_all(&f, "");
  pair_run(&f.pair);
  expect_all(&f, "unregistered down - y 11/2\n");
  /* Nobody is told any more. */
  holt_replica_watch(f.pair.replica[0], NULL, NULL);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "z", 1), 0);
  expect(&f, 0, "");
  fixture_deinit(&f);
}

/* A name that goes over from one to the other is one change, with the reason
 * that there was; under either rule. */
static void
names_go_over_at_once(void)
{
  const uint64_t policies[2] = { HOLT_POLICY_UNIQUE_KEEP_NEWEST,
                                 HOLT_POLICY_UNIQUE_KEEP_OLDEST };
  for (unsigned i = 0; i < 2; i++) {
    struct fixture f;
    fixture_init(&f, policies[i], 3);
    CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
    pair_run(&f.pair);
    expect_all(&f, "registered user x 10/1\n");
    holt_replica_owner_dead(f.pair.replica[0], 1, 0);
    uint64_t birth;
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 2, 0, 0, 0, &birth), 0);
    expect(&f, 0, "registered down x 10/2 - x 10/1\n");
    pair_run(&f.pair);
    expect(&f, 0, "");
    expect(&f, 1, "registered down x 10/2 - x 10/1\n");
    expect(&f, 2, "registered down x 10/2 - x 10/1\n");
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 3, HOLT_REGISTER_REPLACES,
                                     10, birth, &birth),
                    0);
    pair_run(&f.pair);
    expect_all(&f, "registered given_away x 10/3 - x 10/2\n");
    CU_ASSERT_EQUAL(pair_register_as(&f.pair, 1, "x", 4, HOLT_REGISTER_REPLACES,
                                     10, birth, NULL),
                    0);
    pair_run(&f.pair);
    expect_all(&f, "registered given_away x 11/4 - x 10/3\n");
    CU_ASSERT_EQUAL(f.pair.replaced[0], 1);
    fixture_deinit(&f);
  }
}

/* A standby is told of when it has the name, not before. */
static void
standbys_are_told_of_when_they_have_it(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT_EQUAL(
    pair_register_as(&f.pair, 0, "x", 2, HOLT_REGISTER_STANDBY, 0, 0, NULL), 0);
  CU_ASSERT_EQUAL(
    pair_register_as(&f.pair, 1, "x", 3, HOLT_REGISTER_STANDBY, 0, 0, NULL), 0);
  pair_run(&f.pair);
  expect(&f, 0, "registered user x 10/1\n");
  /* It did not know that somebody had it. */
  expect(&f, 1,
         "registered user x 11/3\nregistered conflict x 10/1 - x 11/3\n");
  holt_replica_owner_dead(f.pair.replica[0], 1, 0);
  pair_run(&f.pair);
  struct holt_view view;
  CU_ASSERT(pair_find(&f.pair, 1, "x", &view));
  expect_all(&f, view.actor == 10 ? "registered down x 10/2 - x 10/1\n"
                                  : "registered down x 11/3 - x 10/1\n");
  fixture_deinit(&f);
}

/* Duplicate keys: each row is told of for itself. */
static void
duplicates_are_told_one_by_one(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_DUPLICATE, 2);
  uint64_t birth;
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 1, 0, 0, 0, &birth), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 2), 0);
  pair_run(&f.pair);
  expect_all(&f, "registered user x 10/1\nregistered user x 10/1\n"
                 "registered user x 10/2\n");
  uint64_t seq = birth;
  const uint8_t value[6] = { 131, 109, 0, 0, 0, 0 };
  CU_ASSERT_EQUAL(
    holt_replica_update(f.pair.replica[0], birth, &seq, value, sizeof value),
    0);
  pair_run(&f.pair);
  expect_all(&f, "updated user x 10/1 - x 10/1\n");
  holt_replica_owner_dead(f.pair.replica[0], 2, 0);
  CU_ASSERT_EQUAL(holt_replica_unregister(f.pair.replica[0], birth, &seq), 0);
  pair_run(&f.pair);
  expect_all(&f, "unregistered user - x 10/1\nunregistered down - x 10/2\n");
  pair_unlink(&f.pair);
  pair_wait(&f.pair, 1000);
  expect(&f, 1, "down member 10: 1\n");
  expect(&f, 0, "down member 11: 0\n");
  fixture_deinit(&f);
}

/* A name that nobody may keep goes as one that was lost, on both sides. */
static void
dropping_is_a_conflict(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_CUSTOM, 2);
  uint64_t birth;
  uint64_t seq;
  CU_ASSERT_EQUAL(pair_register_as(&f.pair, 0, "x", 1, 0, 0, 0, &birth), 0);
  pair_run(&f.pair);
  expect_all(&f, "registered user x 10/1\n");
  CU_ASSERT_EQUAL(holt_replica_drop(f.pair.replica[0], birth, &seq), 0);
  CU_ASSERT_EQUAL(holt_replica_drop(f.pair.replica[0], birth, &seq),
                  HOLT_ERR_NOT_FOUND);
  pair_run(&f.pair);
  expect_all(&f, "unregistered conflict - x 10/1\n");
  fixture_deinit(&f);
}

/*--------------------------------------------------------------------
 * What members do */

/* One word for all names of a member, however many; names of two are told one
 * by one, as a conflict where there is one. */
static void
members_take_their_names_along(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 20), 0);
  pair_run(&f.pair);
  f.told[0].count = 0;
  f.told[1].count = 0;
  pair_unlink(&f.pair);
  pair_wait(&f.pair, 1000);
  expect(&f, 0, "down member 11: 0\n");
  expect(&f, 1, "down member 10: 20\n");
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "name 7", 2), 0);
  expect(&f, 1, "registered user name 7 11/2\n");
  CU_ASSERT_EQUAL(pair_link(&f.pair), 0);
  pair_run(&f.pair);
  expect(&f, 1, "up member 10: 20\n");
  expect(&f, 0,
         "up member 11: 0\n"
         "registered conflict name 7 11/2 - name 7 10/1\n");
  CU_ASSERT_EQUAL(f.pair.conflicts[0], 1);
  pair_unlink(&f.pair);
  pair_wait(&f.pair, 1000);
  expect(&f, 0, "down member 11: 1\n");
  fixture_deinit(&f);
}

/* A name that the member who goes has taken from another falls back to that. */
static void
names_fall_back(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  CU_ASSERT_EQUAL(
    pair_register_as(&f.pair, 1, "x", 2, HOLT_REGISTER_STANDBY, 0, 0, NULL), 0);
  pair_run(&f.pair);
  memset(f.told, 0, sizeof f.told);
  pair_disconnect(&f.pair, 0, 1);
  pair_disconnect(&f.pair, 0, 2);
  pair_wait(&f.pair, 1000);
  expect(&f, 2, "down member 10: 1\nregistered member x 11/2 - x 10/1\n");
  expect(&f, 1, "down member 10: 1\nregistered member x 11/2 - x 10/1\n");
  CU_ASSERT_EQUAL(pair_connect(&f.pair, 0, 2), 0);
  pair_run(&f.pair);
  expect(&f, 2, "up member 10: 1\nregistered conflict x 10/1 - x 11/2\n");
  fixture_deinit(&f);
}

/* A member that goes and is back before its names were looked at: who watches
 * has dropped them, and is told once more.  Whoever changes a name meanwhile
 * has it looked at first. */
static void
flickering_is_told_right(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 1), 0);
  CU_ASSERT_EQUAL(
    pair_register_as(&f.pair, 2, "x", 2, HOLT_REGISTER_STANDBY, 0, 0, NULL), 0);
  pair_run(&f.pair);
  struct holt_rows *const rows = &f.pair.replica[0]->rows;
  memset(f.told, 0, sizeof f.told);
  struct holt_actor *const b = pair_copy(&f.pair, 0, 1);
  holt_rows_show(rows, b, false);
  holt_rows_show(rows, b, true);
  pair_run(&f.pair);
  expect(&f, 0,
         "down member 11: 1\nup member 11: 1\n"
         "registered member x 11/1\n");
  holt_rows_show(rows, b, false);
  CU_ASSERT_EQUAL(
    pair_register_as(&f.pair, 0, "x", 3, HOLT_REGISTER_STANDBY, 0, 0, NULL), 0);
  expect(&f, 0, "down member 11: 1\nregistered member x 12/2 - x 11/1\n");
  holt_rows_show(rows, b, true);
  holt_rows_show(rows, pair_copy(&f.pair, 0, 2), false);
  pair_run(&f.pair);
  expect(&f, 0,
         "up member 11: 1\ndown member 12: 1\n"
         "registered member x 11/1 - x 12/2\n"
         "registered member x 11/1\n");
  holt_rows_show(rows, pair_copy(&f.pair, 0, 2), true);
  pair_run(&f.pair);
  fixture_deinit(&f);
}

/* Who begins to watch while something waits is told of it, right for who has
 * looked at all names before. */
static void
watching_begins_in_between(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 3);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 1, "x", 1), 0);
  CU_ASSERT_EQUAL(
    pair_register_as(&f.pair, 2, "x", 2, HOLT_REGISTER_STANDBY, 0, 0, NULL), 0);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "y", 3), 0);
  pair_run(&f.pair);
  holt_replica_watch(f.pair.replica[0], NULL, NULL);
  f.told[0].count = 0;
  holt_replica_owner_dead(f.pair.replica[0], 3, 0);
  holt_rows_show(&f.pair.replica[0]->rows, pair_copy(&f.pair, 0, 1), false);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "x"), 12);
  CU_ASSERT_EQUAL(pair_holder(&f.pair, 0, "y"), 0);
  holt_replica_watch(f.pair.replica[0], note, &f.told[0]);
  pair_run(&f.pair);
  expect(&f, 0,
         "unregistered down - y 10/3\nregistered member x 12/2 - x 11/1\n");
  holt_rows_show(&f.pair.replica[0]->rows, pair_copy(&f.pair, 0, 1), true);
  pair_run(&f.pair);
  fixture_deinit(&f);
}

/* What a repair finds to be gone has ended for a reason that nobody knows; what
 * it is told of while it runs, for the one there was. */
static void
repairs_do_not_know_why(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
  CU_ASSERT_EQUAL(pair_register_many(&f.pair, 0, 0, 3), 0);
  pair_run(&f.pair);
  memset(f.told, 0, sizeof f.told);
  f.pair.cut = true;
  CU_ASSERT_EQUAL(pair_unregister(&f.pair, 0, "name 1"), 0);
  CU_ASSERT_EQUAL(pair_update(&f.pair, 0, "name 2", "v"), 0);
  pair_run(&f.pair);
  pair_forget(&f.pair, 0);
  f.pair.cut = false;
  pair_wait(&f.pair, 3000);
  CU_ASSERT(pair_equal(&f.pair));
  expect(&f, 1,
         "updated user name 2 10/1 - name 2 10/1\n"
         "unregistered unknown - name 1 10/1\n");
  fixture_deinit(&f);
}

/* A node that gets its name is another member, with the same names. */
static void
renaming_is_a_change_of_members(void)
{
  struct fixture f;
  fixture_init(&f, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 1);
  CU_ASSERT_EQUAL(pair_register(&f.pair, 0, "x", 1), 0);
  struct holt_member member;
  pair_member(2, &member);
  CU_ASSERT_EQUAL(
    holt_replica_rename(f.pair.replica[0], 12, &member, 3, &f.pair.now), 0);
  expect(&f, 0,
         "registered user x 10/1\ndown member 10: 1\n"
         "up member 12: 1\n");
  fixture_deinit(&f);
}

void test_told_suite(void);

void
test_told_suite(void)
{
  CU_pSuite suite = CU_add_suite("told", NULL, NULL);
  CU_ADD_TEST(suite, changes_are_told_to_all);
  CU_ADD_TEST(suite, names_go_over_at_once);
  CU_ADD_TEST(suite, standbys_are_told_of_when_they_have_it);
  CU_ADD_TEST(suite, duplicates_are_told_one_by_one);
  CU_ADD_TEST(suite, dropping_is_a_conflict);
  CU_ADD_TEST(suite, members_take_their_names_along);
  CU_ADD_TEST(suite, names_fall_back);
  CU_ADD_TEST(suite, flickering_is_told_right);
  CU_ADD_TEST(suite, watching_begins_in_between);
  CU_ADD_TEST(suite, repairs_do_not_know_why);
  CU_ADD_TEST(suite, renaming_is_a_change_of_members);
}
