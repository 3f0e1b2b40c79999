/* SPDX-License-Identifier: Apache-2.0 */
/* What processes of other nodes hear of changes, and do not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "changes.h"
#include "side.h"

#define WATCH_ALL_REQUEST                                                      \
  "h\x03\x77\x05watch" ATOM_NAMES "\x77\x03"                                   \
  "all"
#define WATCH_ROOM_REQUEST                                                     \
  "h\x03\x77\x05watch" ATOM_NAMES "h\x02\x77\x03key" ATOM_ROOM
#define WATCH_PREFIX_REQUEST                                                   \
  "h\x03\x77\x05watch" ATOM_NAMES "h\x02\x77\x06prefixm\x00\x00\x00\x02r/"
#define COUNT_REQUEST                                                          \
  "h\x02\x77\x05"                                                              \
  "count" ATOM_NAMES

/* Of a change. */
#define TYPE(name, size) "\x77\x04type\x77" size name
#define REGISTERED TYPE("registered", "\x0a")
#define UNREGISTERED TYPE("unregistered", "\x0c")
#define MEMBER_UP TYPE("member_up", "\x09")
#define MEMBER_DOWN TYPE("member_down", "\x0b")
#define MISSED TYPE("missed", "\x06")
#define KEY(term) "\x77\x03key" term
#define REASON(name, size) "\x77\x06reason\x77" size name

static void
look(void *user, const struct holt_actor_info *actor)
{
  bool *const all = user;
  *all = *all && actor->shown;
}

static bool
shows_all(const struct side *side)
{
  bool all = true;
  holt_replica_actors(side_replica(side), look, &all);
  return all;
}

/* Both see each other: nobody is told of that any more. */
static void
met_init(struct pair *pair, uint64_t policy)
{
  struct holt_census a = { 0 };
  struct holt_census b = { 0 };
  pair_init(pair, policy);
  net_patience(&pair->net);
  do {
    CU_ASSERT_FATAL(net_turn(&pair->net));
    holt_replica_census(side_replica(&pair->a), &a);
    holt_replica_census(side_replica(&pair->b), &b);
  } while (a.present < 2 || b.present < 2 || !shows_all(&pair->b));
}

static size_t
watches(const struct pair *pair)
{
  return pair->b.commands.watches.count;
}

/* Its reference is of this process, and ends the answer. */
static bool
watch(const struct asker *asker, const char *request, size_t size,
      uint8_t ref[64], size_t *ref_size)
{
  size_t got;
  asker_ask(asker, request, size);
  uint8_t *const bytes = asker_hear(asker, &got);
  if (bytes == NULL) {
    return false;
  }
  static const char ok[] = "h\x02\x77\x02okZ\x00\x03";
  const size_t ok_size = sizeof ok - 1;
  bool found = false;
  for (size_t at = 0; at + ok_size <= got && !found; at++) {
    found = memcmp(bytes + at, ok, ok_size) == 0;
    if (found) {
      *ref_size = got - at - 6;
      CU_ASSERT_FATAL(*ref_size <= 64);
      memcpy(ref, bytes + at + 6, *ref_size);
    }
  }
  free(bytes);
  return found;
}

static void
watch_ok(const struct asker *asker, const char *request, size_t size)
{
  uint8_t ref[64];
  size_t ref_size;
  CU_ASSERT(watch(asker, request, size, ref, &ref_size));
}
#define WATCH(asker, text) watch_ok(asker, text, sizeof(text) - 1)

/* The next message of a watch has this, and is one. */
static void
hears(const struct asker *asker, const char *what, size_t what_size)
{
  size_t size;
  uint8_t *const bytes = asker_hear(asker, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT(HAS(bytes, size, "h\x04\x77\x04holtZ"));
  CU_ASSERT(bytes_have(bytes, size, what, what_size));
  free(bytes);
}
#define HEARS(asker, text) hears(asker, text, sizeof(text) - 1)

/* Nothing has come but the answer to this. */
static void
hears_nothing(const struct asker *asker)
{
  size_t size;
  ASK(asker, COUNT_REQUEST);
  uint8_t *const bytes = asker_hear(asker, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT(!HAS(bytes, size, "\x77\x04holtZ"));
  free(bytes);
}

static void
drop(struct side *side, uint32_t id)
{
  holt_replica_owner_dead(side_replica(side), id, 0);
}

/* Each hears of what it wants, and of members. */
static void
changes_are_heard(void)
{
  struct pair pair;
  struct asker all;
  struct asker some;
  met_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  side_take(&pair.a, "hall", 1);
  UNTIL(&pair.net, holt_replica_count(side_replica(&pair.b)) == 1);
  asker_init(&all, &pair.net, &pair.b, SIDE_Z);
  asker_init(&some, &pair.net, &pair.b, SIDE_Y);
  WATCH(&all, WATCH_ALL_REQUEST);
  WATCH(&some, WATCH_PREFIX_REQUEST);
  WATCH(&some, WATCH_ROOM_REQUEST);
  CU_ASSERT_EQUAL(watches(&pair), 3);
  side_take(&pair.a, "room", 7);
  HEARS(&all, REGISTERED KEY(ATOM_ROOM) "\x77\x03pidX\x77\x0b" SIDE_A);
  HEARS(&some, REGISTERED KEY(ATOM_ROOM));
  side_take(&pair.a, "pub", 8);
  HEARS(&all, REGISTERED KEY("\x77\x03pub"));
  side_take_binary(&pair.a, "r/1", 9);
  HEARS(&all, KEY("m\x00\x00\x00\x03r/1"));
  HEARS(&some, KEY("m\x00\x00\x00\x03r/1"));
  drop(&pair.a, 7);
  side_take_binary(&pair.a, "s/1", 9);
  HEARS(&some, UNREGISTERED KEY(ATOM_ROOM));
  HEARS(&all, REASON("down", "\x04"));
  hears_nothing(&some);
  (void)instance_goodbye(pair.a.instance);
  HEARS(&some, MEMBER_DOWN);
  HEARS(&some, MEMBER_DOWN);
  close(some.fd);
  UNTIL(&pair.net, watches(&pair) == 1);
  close(all.fd);
  UNTIL(&pair.net, watches(&pair) == 0);
  pair_deinit(&pair);
}

/* Until it is ended: by its reference, its process, its node, or us. */
static void
watches_end(void)
{
  struct pair pair;
  met_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  struct asker z;
  struct asker y;
  asker_init(&z, &pair.net, &pair.b, SIDE_Z);
  asker_init(&y, &pair.net, &pair.b, SIDE_Y);
  char unwatch[80] = "h\x02\x77\x07unwatch";
  size_t ref_size;
  CU_ASSERT(watch(&z, WATCH_ALL_REQUEST, sizeof WATCH_ALL_REQUEST - 1,
                  (uint8_t *)unwatch + 11, &ref_size));
  CU_ASSERT_EQUAL(watches(&pair), 1);
  /* Nobody else may, and twice does no harm. */
  for (unsigned i = 0; i < 3; i++) {
    size_t size;
    const struct asker *const who = i == 0 ? &y : &z;
    asker_ask(who, unwatch, 11 + ref_size);
    uint8_t *const bytes = asker_hear(who, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    CU_ASSERT(HAS(bytes, size, "\x77\x02ok"));
    free(bytes);
    CU_ASSERT_EQUAL(watches(&pair), i == 0 ? 1 : 0);
  }
  ASK(&z, "h\x02\x77\x07unwatch\x77\x03ref");
  size_t size;
  uint8_t *bytes = asker_hear(&z, &size);
  CU_ASSERT(HAS(bytes, size, "bad_reference"));
  free(bytes);
  side_take(&pair.b, "room", 1);
  hears_nothing(&z);
  WATCH(&z, WATCH_ALL_REQUEST);
  WATCH(&y, WATCH_ROOM_REQUEST);
  const struct dist_peer *const peer =
    dist_peer_by_node(pair.b.dist, SIDE_Z, strlen(SIDE_Z));
  /* Monitors count from 1; that of the instance is one of them. */
  for (uint64_t monitor = 1; monitor < 10; monitor++) {
    watches_monitor_down(&pair.b.commands.watches, peer, monitor);
  }
  CU_ASSERT_EQUAL(watches(&pair), 1);
  close(z.fd);
  UNTIL(&pair.net,
        dist_peer_by_node(pair.b.dist, SIDE_Z, strlen(SIDE_Z)) == NULL);
  CU_ASSERT_EQUAL(watches(&pair), 1);
  close(y.fd);
  pair_deinit(&pair);
}

static void
refuses(const struct asker *asker, const char *request, size_t size,
        const char *what)
{
  size_t got;
  asker_ask(asker, request, size);
  uint8_t *const bytes = asker_hear(asker, &got);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT(HAS(bytes, got,
                "h\x02\x77\x05"
                "errorh\x02"));
  CU_ASSERT(bytes_have(bytes, got, what, strlen(what)));
  free(bytes);
}
#define REFUSES(asker, text, what) refuses(asker, text, sizeof(text) - 1, what)
#define WATCH_WRONG "h\x03\x77\x05watch" ATOM_NAMES

static void
wrong_requests_are_refused(void)
{
  struct pair pair;
  met_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  struct asker z;
  asker_init(&z, &pair.net, &pair.b, SIDE_Z);
  REFUSES(&z, WATCH_WRONG "\x77\x04most", "unknown_request");
  REFUSES(&z,
          WATCH_WRONG "h\x02\x77\x03"
                      "any\x77\x01x",
          "unknown_request");
  REFUSES(&z, WATCH_WRONG "h\x02\x77\x06prefix\x77\x01x", "bad_prefix");
  REFUSES(&z,
          WATCH_WRONG "h\x03\x77\x03keya\x01"
                      "a\x02",
          "unknown_request");
  REFUSES(&z,
          WATCH_WRONG "h\x02\x77\x03keyq\x77\x01m\x77\x01"
                      "fa\x00",
          "bad_key");
  REFUSES(&z,
          "h\x03\x77\x05watch\x77\x05"
          "other\x77\x03"
          "all",
          "no_instance");
  REFUSES(&z, "h\x03\x77\x06prefix" ATOM_NAMES "\x77\x01x", "bad_prefix");
  REFUSES(&z,
          "h\x03\x77\x05"
          "count" ATOM_NAMES "a\x01",
          "unknown_request");
  REFUSES(&z, "h\x01\x77\x07unwatch", "unknown_request");
  struct asker other = z;
  other.name = SIDE_Y; /* A process of another node. */
  REFUSES(&other, WATCH_ALL_REQUEST, "bad_caller");
  CU_ASSERT_EQUAL(watches(&pair), 0);
  /* As many as there may be. */
  for (unsigned i = 0; i < WATCHES_MAX; i++) {
    WATCH(&z, WATCH_ALL_REQUEST);
  }
  REFUSES(&z, WATCH_ALL_REQUEST, "busy");
  CU_ASSERT_EQUAL(watches(&pair), WATCHES_MAX);
  close(z.fd);
  UNTIL(&pair.net, watches(&pair) == 0);
  pair_deinit(&pair);
}

/* Somebody who does not read: nothing is queued for it, nobody else waits, and
 * in the end it is told that it has missed something. */
static void
the_slow_miss_changes(void)
{
  struct pair pair;
  met_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  struct asker slow;
  asker_init(&slow, &pair.net, &pair.b, SIDE_Z);
  WATCH(&slow, WATCH_ALL_REQUEST);
  const struct dist_peer *const peer =
    dist_peer_by_node(pair.b.dist, SIDE_Z, strlen(SIDE_Z));
  struct holt_replica *const replica = side_replica(&pair.b);
  (void)holt_replica_owner_add(replica, 5, 0, 6);
  static uint8_t value[200000] = { 131, 109, 0, 3, 0x0d, 0x3a };
  const uint8_t key[] = { 119, 1, 'k' };
  const struct holt_time time = { .mono_ms = uv_now(&pair.net.loop),
                                  .wall_ms = 1 };
  const struct holt_registration registration = { .key = key,
                                                  .key_size = sizeof key,
                                                  .value = value,
                                                  .value_size = 6 + 0x030d3a,
                                                  .id = 5 };
  CU_ASSERT(registration.value_size <= sizeof value);
  uint64_t birth;
  CU_ASSERT_EQUAL_FATAL(
    holt_replica_register(replica, &time, &registration, &birth), 0);
  uint64_t seq = birth;
  size_t queued_max = 0;
  for (unsigned i = 0; i < 400; i++) {
    value[100] = (uint8_t)i;
    CU_ASSERT_EQUAL_FATAL(
      holt_replica_update(replica, birth, &seq, value, registration.value_size),
      0);
    CU_ASSERT(net_turn(&pair.net));
    const size_t queued = dist_peer_queued(peer);
    queued_max = queued > queued_max ? queued : queued_max;
  }
  CU_ASSERT(queued_max > 0);
  CU_ASSERT(queued_max < WATCH_QUEUED_BYTES + 3 * sizeof value);
  CU_ASSERT(pair.b.heap.mem.bytes < CHANGES_BYTES_MAX + (8u << 20));
  /* All in order, until missed; then on from there. */
  bool missed = false;
  unsigned heard = 0;
  while (!missed) {
    size_t size;
    uint8_t *const bytes = asker_hear(&slow, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    missed = HAS(bytes, size, MISSED);
    heard++;
    free(bytes);
  }
  CU_ASSERT(heard > 1 && heard < 350);
  side_take(&pair.b, "room", 7);
  HEARS(&slow, REGISTERED KEY(ATOM_ROOM));
  close(slow.fd);
  UNTIL(&pair.net, watches(&pair) == 0);
  pair_deinit(&pair);
}

/* More changes than a message has: all are heard by who reads, and what has
 * been heard is forgotten. */
static void
many_changes_are_heard(void)
{
  struct pair pair;
  met_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  struct asker z;
  const size_t before = pair.b.heap.mem.bytes;
  asker_init(&z, &pair.net, &pair.b, SIDE_Z);
  WATCH(&z, WATCH_ALL_REQUEST);
  for (uint32_t id = 1; id <= 2000; id++) {
    char name[16];
    (void)snprintf(name, sizeof name, "n%u", (unsigned)id);
    side_take(&pair.a, name, id);
  }
  unsigned count = 0;
  while (count < 2000) {
    size_t size;
    uint8_t *const bytes = asker_hear(&z, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    char next[32];
    for (int had = 1; had != 0;) {
      const int length =
        snprintf(next, sizeof next, "n%u\x77\x03pid", count + 1);
      had = bytes_have(bytes, size, next, (size_t)length) ? 1 : 0;
      count += (unsigned)had;
    }
    free(bytes);
  }
  CU_ASSERT_EQUAL(count, 2000);
  UNTIL(&pair.net, pair.b.heap.mem.bytes <
                     before + CHANGES_MAX * sizeof(struct change *) + 65536);
  /* The next one finds an empty log, whether the last has let go of it or not.
   */
  for (unsigned i = 0; i < 3; i++) {
    close(z.fd);
    UNTIL(&pair.net, watches(&pair) == 0);
    asker_init(&z, &pair.net, &pair.b, SIDE_Z);
    WATCH(&z, WATCH_ALL_REQUEST);
    hears_nothing(&z);
    char name[] = { 'm', (char)('0' + i), 0 };
    side_take(&pair.b, name, 7000 + i);
    HEARS(&z, REGISTERED);
  }
  close(z.fd);
  UNTIL(&pair.net, pair.b.heap.mem.bytes <= before + 65536);
  pair_deinit(&pair);
}

/* Each request for memory fails once: the watch has not begun, or has missed
 * something; it never hears half of a change. */
static void
watches_without_memory(void)
{
  struct pair pair;
  met_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  struct asker z;
  asker_init(&z, &pair.net, &pair.b, SIDE_Z);
  uint8_t ref[64];
  size_t ref_size;
  unsigned begun = 0;
  for (unsigned i = 1; i < 12; i++) {
    const size_t before = watches(&pair);
    pair.b.heap.fail_at = pair.b.heap.requests + i;
    const bool ok = watch(&z, WATCH_ALL_REQUEST, sizeof WATCH_ALL_REQUEST - 1,
                          ref, &ref_size);
    pair.b.heap.fail_at = 0;
    CU_ASSERT_EQUAL(watches(&pair), before + (ok ? 1 : 0));
    begun += ok ? 1 : 0;
  }
  CU_ASSERT(begun > 0 && begun < 11);
  close(z.fd);
  UNTIL(&pair.net, watches(&pair) == 0);
  asker_init(&z, &pair.net, &pair.b, SIDE_Z);
  WATCH(&z, WATCH_ALL_REQUEST);
  for (unsigned i = 1; i < 6; i++) {
    char name[16];
    (void)snprintf(name, sizeof name, "m%u", i);
    pair.b.heap.fail_at = pair.b.heap.requests + i;
    side_take(&pair.b, name, i);
    (void)net_turn(&pair.net);
    pair.b.heap.fail_at = 0;
    size_t size;
    uint8_t *const bytes = asker_hear(&z, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    CU_ASSERT(HAS(bytes, size, MISSED) || HAS(bytes, size, REGISTERED));
    free(bytes);
  }
  close(z.fd);
  pair_deinit(&pair);
}

/*--------------------------------------------------------------------
 * Other questions */

static void
has_answer(const struct asker *asker, const char *request, size_t size,
           const char *what, size_t what_size)
{
  size_t got;
  asker_ask(asker, request, size);
  uint8_t *const bytes = asker_hear(asker, &got);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT(bytes_have(bytes, got, what, what_size));
  free(bytes);
}
#define ANSWERS(asker, text, what)                                             \
  has_answer(asker, text, sizeof(text) - 1, what, sizeof(what) - 1)
#define PREFIX_REQUEST "h\x03\x77\x06prefix" ATOM_NAMES

static void
prefixes_are_gathered(void)
{
  struct pair pair;
  met_init(&pair, HOLT_POLICY_DUPLICATE);
  struct asker z;
  asker_init(&z, &pair.net, &pair.b, SIDE_Z);
  ANSWERS(&z, PREFIX_REQUEST "m\x00\x00\x00\x00", "j");
  for (uint32_t id = 1; id <= 600; id++) {
    side_take_binary(&pair.a, id % 2 == 0 ? "r/1" : "s/1", id);
    side_take(&pair.a, "room", id);
  }
  side_take_binary(&pair.b, "r/2", 1);
  UNTIL(&pair.net, holt_replica_count_entries(side_replica(&pair.b)) == 1201);
  ANSWERS(&z, PREFIX_REQUEST "m\x00\x00\x00\x02r/", "l\x00\x00\x01\x2d");
  ANSWERS(&z, PREFIX_REQUEST "m\x00\x00\x00\x03r/2",
          "l\x00\x00\x00\x01h\x03m\x00\x00\x00\x03r/2X\x77\x0b" SIDE_B);
  ANSWERS(&z, PREFIX_REQUEST "m\x00\x00\x00\x00", "l\x00\x00\x02\x59");
  ANSWERS(&z, PREFIX_REQUEST "m\x00\x00\x00\x01t", "j");
  ANSWERS(&z, COUNT_REQUEST, "b\x00\x00\x04\xb1");
  ANSWERS(&z,
          "h\x03\x77\x05"
          "count" ATOM_NAMES "\x77\x0b" SIDE_A,
          "b\x00\x00\x04\xb0");
  ANSWERS(&z,
          "h\x03\x77\x05"
          "count" ATOM_NAMES "\x77\x0b" SIDE_B,
          "a\x01");
  ANSWERS(&z,
          "h\x03\x77\x05"
          "count" ATOM_NAMES "\x77\x0b" SIDE_Z,
          "a\x00");
  ANSWERS(&z,
          "h\x03\x77\x07"
          "explain" ATOM_NAMES ATOM_ROOM,
          "l\x00\x00\x00\x40t\x00\x00\x00\x0b\x77\x05"
          "actor");
  close(z.fd);
  pair_deinit(&pair);
}

#define EXPLAIN_REQUEST                                                        \
  "h\x03\x77\x07"                                                              \
  "explain" ATOM_NAMES ATOM_ROOM

/* Whose member is away, too. */
static void
keys_are_explained(void)
{
  struct pair pair;
  met_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  struct asker z;
  asker_init(&z, &pair.net, &pair.b, SIDE_Z);
  ANSWERS(&z, EXPLAIN_REQUEST, "j");
  side_take(&pair.a, "room", 7);
  UNTIL(&pair.net, holt_replica_count(side_replica(&pair.b)) == 1);
  ANSWERS(&z, EXPLAIN_REQUEST,
          "\x77\x06memberh\x02" ATOM_NAMES "\x77\x0b" SIDE_A);
  ANSWERS(&z, EXPLAIN_REQUEST,
          "\x77\x07visible\x77\x04true\x77\x06winner\x77\x04true");
  struct dist_peer *const peer =
    dist_peer_by_node(pair.b.dist, SIDE_A, strlen(SIDE_A));
  CU_ASSERT_PTR_NOT_NULL_FATAL(peer);
  dist_hang_up(peer, "enough");
  UNTIL(&pair.net, holt_replica_count(side_replica(&pair.b)) == 0);
  ANSWERS(&z, EXPLAIN_REQUEST,
          "\x77\x07visible\x77\x05"
          "false\x77\x06winner\x77\x05"
          "false");
  close(z.fd);
  pair_deinit(&pair);
}

void test_watch_suite(void);

void
test_watch_suite(void)
{
  CU_pSuite suite = CU_add_suite("watch", NULL, NULL);
  CU_ADD_TEST(suite, changes_are_heard);
  CU_ADD_TEST(suite, watches_end);
  CU_ADD_TEST(suite, wrong_requests_are_refused);
  CU_ADD_TEST(suite, the_slow_miss_changes);
  CU_ADD_TEST(suite, many_changes_are_heard);
  CU_ADD_TEST(suite, watches_without_memory);
  CU_ADD_TEST(suite, prefixes_are_gathered);
  CU_ADD_TEST(suite, keys_are_explained);
}
