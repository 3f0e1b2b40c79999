/* SPDX-License-Identifier: Apache-2.0 */
/* Two daemons in one loop, and somebody who asks them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "side.h"

struct seen {
  unsigned others;
  unsigned paused;
  unsigned peers;
};

static void
see_actor(void *user, const struct holt_actor_info *actor)
{
  struct seen *const seen = user;
  seen->others += actor->self ? 0 : 1;
  seen->paused += actor->paused ? 1 : 0;
}

static void
see_peer(void *user, const struct holt_peer_info *peer)
{
  struct seen *const seen = user;
  seen->peers += peer->up ? 1 : 0;
}

static struct seen
look(const struct side *side)
{
  struct seen seen = { 0 };
  holt_replica_actors(side_replica(side), see_actor, &seen);
  holt_replica_peers(side_replica(side), see_peer, &seen);
  return seen;
}

/* While the connection stands. */
static void
goodbye_is_heard(void)
{
  struct pair pair;
  pair_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  side_take(&pair.a, "name", 7);
  UNTIL(&pair.net, holt_replica_count(side_replica(&pair.b)) == 1);
  CU_ASSERT_EQUAL(look(&pair.b).others, 1);
  CU_ASSERT(!instance_said_goodbye(pair.a.instance));
  CU_ASSERT_EQUAL(instance_goodbye(pair.a.instance), 1);
  UNTIL(&pair.net,
        instance_said_goodbye(pair.a.instance) && look(&pair.b).others == 0);
  CU_ASSERT_EQUAL(holt_replica_count(side_replica(&pair.b)), 0);
  CU_ASSERT_EQUAL(look(&pair.b).peers, 0);
  UNTIL(&pair.net, dist_unsent(pair.a.dist) == 0);
  pair_deinit(&pair);
}

/* Nobody is there to be told. */
static void
goodbye_to_nobody(void)
{
  struct net net;
  struct side a;
  net_init(&net);
  side_init(&net, &a, SIDE_A, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  CU_ASSERT_EQUAL(instance_goodbye(a.instance), 0);
  UNTIL(&net, instance_said_goodbye(a.instance));
  side_deinit(&a);
  net_deinit(&net);
}

/* A message of which a slice has been applied, and others that wait. */
static void
goodbye_amid_work(void)
{
  struct pair pair;
  pair_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  for (uint32_t id = 1; id <= 3000; id++) {
    char name[16];
    snprintf(name, sizeof name, "n%u", (unsigned)id);
    side_take(&pair.a, name, id);
  }
  UNTIL(&pair.net, holt_replica_count(side_replica(&pair.b)) > 0);
  (void)instance_goodbye(pair.b.instance);
  UNTIL(&pair.net,
        instance_said_goodbye(pair.b.instance) && look(&pair.a).others == 0);
  pair_deinit(&pair);
}

static void
a_pause_is_heard(void)
{
  struct pair pair;
  pair_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  side_take(&pair.a, "name", 7);
  UNTIL(&pair.net, holt_replica_count(side_replica(&pair.b)) == 1);
  holt_replica_goodbye(side_replica(&pair.a), HOLT_GOODBYE_PAUSED);
  UNTIL(&pair.net, look(&pair.b).paused == 1);
  CU_ASSERT_EQUAL(look(&pair.b).others, 1);
  CU_ASSERT_EQUAL(holt_replica_count(side_replica(&pair.b)), 0);
  pair_deinit(&pair);
}

/*--------------------------------------------------------------------
 * Questions */

#define ROOM_MEMBERS 1000u

/* In pieces, each of the loop's turns has some, and whole in the end. */
static void
lookup_of_many(void)
{
  struct pair pair;
  pair_init(&pair, HOLT_POLICY_DUPLICATE);
  for (uint32_t id = 1; id <= ROOM_MEMBERS; id++) {
    side_take(&pair.a, "room", id);
  }
  side_take(&pair.a, "hall", 1);
  uint8_t key[] = { 119, 4, 'r', 'o', 'o', 'm' };
  UNTIL(&pair.net, holt_replica_count_key(side_replica(&pair.b), key,
                                          sizeof key, NULL, 0) == ROOM_MEMBERS);
  struct asker z;
  asker_init(&z, &pair.net, &pair.b, SIDE_Z);
  size_t size;
  ASK(&z, "h\x03\x77\x06lookup" ATOM_NAMES ATOM_ROOM);
  uint8_t *bytes = asker_hear(&z, &size);
  CU_ASSERT(HAS(bytes, size, "l\x00\x00\x03\xe8h\x02X\x77\x0b" SIDE_A));
  free(bytes);
  ASK(&z, "h\x03\x77\x06lookup" ATOM_NAMES "\x77\x03pub");
  bytes = asker_hear(&z, &size);
  CU_ASSERT_EQUAL(bytes[size - 1], 106);
  free(bytes);
  ASK(&z, "h\x03\x77\x07whereis" ATOM_NAMES ATOM_ROOM);
  bytes = asker_hear(&z, &size);
  CU_ASSERT(HAS(bytes, size, "not_unique"));
  free(bytes);
  ASK(&z, "h\x03\x77\x04list" ATOM_NAMES "t\x00\x00\x00\x00");
  bytes = asker_hear(&z, &size);
  CU_ASSERT(HAS(bytes, size, "l\x00\x00\x00\x02"));
  CU_ASSERT(HAS(bytes, size, "h\x02" ATOM_ROOM "b\x00\x00\x03\xe8"));
  CU_ASSERT(HAS(bytes, size, "h\x02\x77\x04halla\x01"));
  free(bytes);
  CU_ASSERT_EQUAL(pair.b.commands.lookups.count, 0);
  close(z.fd);
  pair_deinit(&pair);
}

/* Whoever has asked is gone before the answer is whole, or we are. */
static void
lookup_for_nobody(void)
{
  struct pair pair;
  pair_init(&pair, HOLT_POLICY_DUPLICATE);
  for (uint32_t id = 1; id <= ROOM_MEMBERS; id++) {
    side_take(&pair.b, "room", id);
  }
  for (unsigned round = 0; round < 2; round++) {
    struct asker z;
    asker_init(&z, &pair.net, &pair.b, SIDE_Z);
    struct dist_peer *const peer =
      dist_peer_by_node(pair.b.dist, SIDE_Z, strlen(SIDE_Z));
    CU_ASSERT_PTR_NOT_NULL_FATAL(peer);
    uint8_t key[] = { 119, 4, 'r', 'o', 'o', 'm' };
    static const uint8_t from[] = { 106 };
    CU_ASSERT_EQUAL(lookup_start(&pair.b.commands.lookups, pair.b.instance,
                                 peer, term_slice(from, sizeof from), key,
                                 sizeof key),
                    0);
    CU_ASSERT_EQUAL(pair.b.commands.lookups.count, 1);
    if (round == 0) {
      dist_hang_up(peer, "enough");
      UNTIL(&pair.net, pair.b.commands.lookups.count == 0);
    }
    close(z.fd);
  }
  pair_deinit(&pair);
}

/* Each request for memory fails once: it is as if nobody had asked, or the
 * caller is told. */
static void
lookup_without_memory(void)
{
  struct pair pair;
  pair_init(&pair, HOLT_POLICY_DUPLICATE);
  side_take(&pair.b, "room", 1);
  struct asker z;
  asker_init(&z, &pair.net, &pair.b, SIDE_Z);
  for (unsigned i = 1; i < 6; i++) {
    size_t size;
    pair.b.heap.fail_at = pair.b.heap.requests + i;
    ASK(&z, "h\x03\x77\x06lookup" ATOM_NAMES ATOM_ROOM);
    UNTIL(&pair.net, pair.b.heap.requests >= pair.b.heap.fail_at &&
                       pair.b.commands.lookups.count == 0);
    pair.b.heap.fail_at = 0;
    ASK(&z, "h\x03\x77\x06lookup" ATOM_NAMES ATOM_ROOM);
    bool found = false;
    while (!found) {
      uint8_t *const bytes = asker_hear(&z, &size);
      if (bytes == NULL) {
        break;
      }
      found = HAS(bytes, size, "l\x00\x00\x00\x01h\x02X\x77\x0b" SIDE_B);
      free(bytes);
    }
    CU_ASSERT(found);
    if (!found) {
      break;
    }
  }
  close(z.fd);
  pair_deinit(&pair);
}

void test_instance_suite(void);

void
test_instance_suite(void)
{
  CU_pSuite suite = CU_add_suite("instance", NULL, NULL);
  CU_ADD_TEST(suite, goodbye_is_heard);
  CU_ADD_TEST(suite, goodbye_to_nobody);
  CU_ADD_TEST(suite, goodbye_amid_work);
  CU_ADD_TEST(suite, a_pause_is_heard);
  CU_ADD_TEST(suite, lookup_of_many);
  CU_ADD_TEST(suite, lookup_for_nobody);
  CU_ADD_TEST(suite, lookup_without_memory);
}
