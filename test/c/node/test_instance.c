/* SPDX-License-Identifier: Apache-2.0 */
/* Two daemons in one loop, and somebody who asks them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include <holt/key.h>

#include "commands.h"
#include "instance.h"
#include "net.h"

#define A "a@127.0.0.1"
#define B "b@127.0.0.1"
#define Z "z@127.0.0.1"
#define INSTANCE "names"
#define COMMANDS_PROCESS 1u
#define INSTANCE_PROCESS 2u

/* A daemon without its options, its dialler and its end. */
struct side {
  struct net *net;
  struct heap heap;
  struct dist *dist;
  uint64_t policy;
  struct instance *instance;
  struct commands commands;
  bool registered;
  bool dist_stopped;
  bool instance_stopped;
};

static void
on_node_seen(void *user, struct term_slice node)
{
  (void)user;
  (void)node;
}

static void
on_registered(void *user, uint32_t creation)
{
  struct side *const side = user;
  (void)creation;
  struct instance_config config = { .loop = &side->net->loop,
                                    .turn = &side->net->turn,
                                    .dist = side->dist,
                                    .name = INSTANCE,
                                    .policy = side->policy,
                                    .process = INSTANCE_PROCESS,
                                    .node_seen = on_node_seen };
  holt_tuning_init(&config.tuning);
  config.tuning.vector_interval_ms = 20;
  CU_ASSERT_EQUAL_FATAL(instance_new(&side->instance, &config), 0);
  side->commands.instances = &side->instance;
  side->commands.instances_count = 1;
  side->registered = true;
}

static void
on_up(void *user, struct dist_peer *peer)
{
  const struct side *const side = user;
  instance_peer_up(side->instance, peer);
}

static void
on_down(void *user, struct dist_peer *peer, const char *reason)
{
  struct side *const side = user;
  (void)reason;
  lookups_forget(&side->commands.lookups, peer);
  instance_peer_down(side->instance, peer);
}

static bool
knows_name(void *user, struct term_slice name)
{
  const struct side *const side = user;
  return term_slice_is(name, "holtd") ||
         term_slice_is(name, instance_process_name(side->instance));
}

static bool
knows_process(void *user, uint32_t id, uint32_t serial)
{
  (void)user;
  return serial == 0 && (id == COMMANDS_PROCESS || id == INSTANCE_PROCESS);
}

static void
on_message(void *user, const struct dist_message *message)
{
  struct side *const side = user;
  if (!instance_message(side->instance, message)) {
    (void)commands_answer(&side->commands, message);
  }
}

static void
on_monitor_down(void *user, struct dist_peer *peer, uint64_t monitor,
                struct term_slice reason)
{
  const struct side *const side = user;
  instance_monitor_down(side->instance, peer, monitor, reason);
}

static const struct dist_handlers handlers = {
  .registered = on_registered,
  .up = on_up,
  .down = on_down,
  .message = on_message,
  .knows_name = knows_name,
  .knows_process = knows_process,
  .monitor_down = on_monitor_down,
};

static void
side_init(struct net *net, struct side *side, const char *name, uint64_t policy)
{
  *side = (struct side){ .net = net, .policy = policy };
  heap_init(&side->heap);
  struct dist_config config;
  dist_config_init(&config);
  config.loop = &net->loop;
  config.turn = &net->turn;
  config.mem = &side->heap.mem;
  config.name = name;
  config.cookie = NET_COOKIE;
  config.listen_address = "127.0.0.1";
  config.epmd_port = net->epmd_port;
  config.handlers = &handlers;
  config.user = side;
  side->commands = (struct commands){ .loop = &net->loop,
                                      .turn = &net->turn,
                                      .mem = &side->heap.mem,
                                      .process = COMMANDS_PROCESS };
  lookups_init(&side->commands.lookups, &net->turn, &side->heap.mem,
               COMMANDS_PROCESS);
  CU_ASSERT_EQUAL_FATAL(dist_start(&side->dist, &config), 0);
  side->commands.dist = side->dist;
  UNTIL(net, side->registered);
}

static void
on_stopped(void *user)
{
  bool *const stopped = user;
  *stopped = true;
}

static void
side_deinit(struct side *side)
{
  lookups_forget(&side->commands.lookups, NULL);
  instance_stop(side->instance, on_stopped, &side->instance_stopped);
  dist_stop(side->dist, on_stopped, &side->dist_stopped);
  UNTIL(side->net, side->instance_stopped && side->dist_stopped);
  CU_ASSERT(heap_is_clean(&side->heap));
  heap_deinit(&side->heap);
}

struct pair {
  struct net net;
  struct side a;
  struct side b;
};

static struct holt_replica *
replica(const struct side *side)
{
  return instance_replica(side->instance);
}

static struct holt_time
now(const struct net *net)
{
  uv_timeval64_t wall;
  uv_gettimeofday(&wall);
  return (struct holt_time){ .mono_ms = uv_now(&net->loop),
                             .wall_ms = (uint64_t)wall.tv_sec * 1000u };
}

/* A process of this side takes a key, as no daemon's does. */
static void
take(struct side *side, const char *name, uint32_t id)
{
  const struct holt_time time = now(side->net);
  uint8_t key[64] = { 119, (uint8_t)strlen(name) };
  memcpy(key + 2, name, strlen(name));
  const struct holt_registration registration = { .key = key,
                                                  .key_size = 2 + strlen(name),
                                                  .id = id };
  (void)holt_replica_owner_add(replica(side), id, 0, id + 1);
  CU_ASSERT_EQUAL_FATAL(
    holt_replica_register(replica(side), &time, &registration, NULL), 0);
}

static void
pair_init(struct pair *pair, uint64_t policy)
{
  net_init(&pair->net);
  side_init(&pair->net, &pair->a, A, policy);
  side_init(&pair->net, &pair->b, B, policy);
  CU_ASSERT_EQUAL(dist_dial(pair->a.dist, B), 0);
}

static void
pair_deinit(struct pair *pair)
{
  side_deinit(&pair->a);
  side_deinit(&pair->b);
  net_deinit(&pair->net);
}

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
  holt_replica_actors(replica(side), see_actor, &seen);
  holt_replica_peers(replica(side), see_peer, &seen);
  return seen;
}

/* While the connection stands. */
static void
goodbye_is_heard(void)
{
  struct pair pair;
  pair_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
  take(&pair.a, "name", 7);
  UNTIL(&pair.net, holt_replica_count(replica(&pair.b)) == 1);
  CU_ASSERT_EQUAL(look(&pair.b).others, 1);
  CU_ASSERT(!instance_said_goodbye(pair.a.instance));
  CU_ASSERT_EQUAL(instance_goodbye(pair.a.instance), 1);
  UNTIL(&pair.net,
        instance_said_goodbye(pair.a.instance) && look(&pair.b).others == 0);
  CU_ASSERT_EQUAL(holt_replica_count(replica(&pair.b)), 0);
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
  side_init(&net, &a, A, HOLT_POLICY_UNIQUE_KEEP_NEWEST);
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
    take(&pair.a, name, id);
  }
  UNTIL(&pair.net, holt_replica_count(replica(&pair.b)) > 0);
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
  take(&pair.a, "name", 7);
  UNTIL(&pair.net, holt_replica_count(replica(&pair.b)) == 1);
  holt_replica_goodbye(replica(&pair.a), HOLT_GOODBYE_PAUSED);
  UNTIL(&pair.net, look(&pair.b).paused == 1);
  CU_ASSERT_EQUAL(look(&pair.b).others, 1);
  CU_ASSERT_EQUAL(holt_replica_count(replica(&pair.b)), 0);
  pair_deinit(&pair);
}

/*--------------------------------------------------------------------
 * Questions */

/* {6, Pid, '', holtd}, {'$gen_call', {Pid, []}, Request}. */
static void
ask(struct net *net, int fd, const char *request, size_t size)
{
  static const uint8_t pid[] = { 88, 119, 1, 'z', 0, 0, 0, 1,
                                 0,  0,   0, 0,   0, 0, 0, 77 };
  static const uint8_t call[] = { 119, 9,   '$', 'g', 'e', 'n',
                                  '_', 'c', 'a', 'l', 'l' };
  struct heap heap;
  heap_init(&heap);
  struct term_writer writer;
  term_writer_init(&writer, &heap.mem, 0);
  term_put_u32(&writer, 0);
  term_put_raw(&writer, "p\x83", 2);
  term_put_tuple(&writer, 4);
  term_put_uint(&writer, 6);
  term_put_raw(&writer, pid, sizeof pid);
  term_put_atom(&writer, "");
  term_put_atom(&writer, "holtd");
  term_put_u8(&writer, TERM_VERSION);
  term_put_tuple(&writer, 3);
  term_put_raw(&writer, call, sizeof call);
  term_put_tuple(&writer, 2);
  term_put_raw(&writer, pid, sizeof pid);
  term_put_nil(&writer);
  term_put_raw(&writer, request, size);
  writer.data[2] = (uint8_t)((writer.size - 4) >> 8);
  writer.data[3] = (uint8_t)(writer.size - 4);
  CU_ASSERT(net_say(net, fd, writer.data, writer.size));
  term_writer_deinit(&writer);
  heap_deinit(&heap);
}

/* The answer, as it ends its frame; the caller frees it. */
static uint8_t *
hear(struct net *net, int fd, size_t *size)
{
  uint8_t head[4] = { 0 };
  *size = 0;
  while (*size == 0) { /* Ticks. */
    if (!net_hear(net, fd, head, 4)) {
      return NULL;
    }
    *size = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
            (size_t)head[2] << 8 | head[3];
  }
  uint8_t *const bytes = malloc(*size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT(net_hear(net, fd, bytes, *size));
  return bytes;
}

static bool
has(const uint8_t *bytes, size_t size, const char *what, size_t what_size)
{
  for (size_t at = 0; at + what_size <= size; at++) {
    if (memcmp(bytes + at, what, what_size) == 0) {
      return true;
    }
  }
  return false;
}

#define ASK(net, fd, text) ask(net, fd, text, sizeof(text) - 1)
#define HAS(bytes, size, text) has(bytes, size, text, sizeof(text) - 1)
#define ATOM_NAMES "\x77\x05names"
#define ATOM_ROOM "\x77\x04room"

/* One who asks; the instance, too, has been told of the connection. */
static int
asker(struct net *net, const struct side *side, const char *other)
{
  const int fd = net_stranger(net, dist_port(side->dist));
  CU_ASSERT(net_shake(net, fd, Z, NET_COOKIE, other));
  return fd;
}

/* What is sent to it as a node comes before the answer. */
static uint8_t *
answer(struct net *net, int fd, size_t *size)
{
  uint8_t *bytes = hear(net, fd, size);
  while (bytes != NULL && HAS(bytes, *size, "holt_hello")) {
    free(bytes);
    bytes = hear(net, fd, size);
  }
  return bytes;
}

#define ROOM_MEMBERS 1000u

/* In pieces, each of the loop's turns has some, and whole in the end. */
static void
lookup_of_many(void)
{
  struct pair pair;
  pair_init(&pair, HOLT_POLICY_DUPLICATE);
  for (uint32_t id = 1; id <= ROOM_MEMBERS; id++) {
    take(&pair.a, "room", id);
  }
  take(&pair.a, "hall", 1);
  uint8_t key[] = { 119, 4, 'r', 'o', 'o', 'm' };
  UNTIL(&pair.net, holt_replica_count_key(replica(&pair.b), key, sizeof key,
                                          NULL, 0) == ROOM_MEMBERS);
  const int fd = asker(&pair.net, &pair.b, B);
  size_t size;
  ASK(&pair.net, fd, "h\x03\x77\x06lookup" ATOM_NAMES ATOM_ROOM);
  uint8_t *bytes = answer(&pair.net, fd, &size);
  CU_ASSERT(HAS(bytes, size, "l\x00\x00\x03\xe8h\x02X\x77\x0b" A));
  free(bytes);
  ASK(&pair.net, fd, "h\x03\x77\x06lookup" ATOM_NAMES "\x77\x03pub");
  bytes = answer(&pair.net, fd, &size);
  CU_ASSERT_EQUAL(bytes[size - 1], 106);
  free(bytes);
  ASK(&pair.net, fd, "h\x03\x77\x07whereis" ATOM_NAMES ATOM_ROOM);
  bytes = answer(&pair.net, fd, &size);
  CU_ASSERT(HAS(bytes, size, "not_unique"));
  free(bytes);
  ASK(&pair.net, fd, "h\x03\x77\x04list" ATOM_NAMES "t\x00\x00\x00\x00");
  bytes = answer(&pair.net, fd, &size);
  CU_ASSERT(HAS(bytes, size, "l\x00\x00\x00\x02"));
  CU_ASSERT(HAS(bytes, size, "h\x02" ATOM_ROOM "b\x00\x00\x03\xe8"));
  CU_ASSERT(HAS(bytes, size, "h\x02\x77\x04halla\x01"));
  free(bytes);
  CU_ASSERT_EQUAL(pair.b.commands.lookups.count, 0);
  close(fd);
  pair_deinit(&pair);
}

/* Whoever has asked is gone before the answer is whole, or we are. */
static void
lookup_for_nobody(void)
{
  struct pair pair;
  pair_init(&pair, HOLT_POLICY_DUPLICATE);
  for (uint32_t id = 1; id <= ROOM_MEMBERS; id++) {
    take(&pair.b, "room", id);
  }
  for (unsigned round = 0; round < 2; round++) {
    const int fd = asker(&pair.net, &pair.b, B);
    struct dist_peer *const peer = dist_peer_by_node(pair.b.dist, Z, strlen(Z));
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
    close(fd);
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
  take(&pair.b, "room", 1);
  const int fd = asker(&pair.net, &pair.b, B);
  for (unsigned i = 1; i < 6; i++) {
    size_t size;
    pair.b.heap.fail_at = pair.b.heap.requests + i;
    ASK(&pair.net, fd, "h\x03\x77\x06lookup" ATOM_NAMES ATOM_ROOM);
    UNTIL(&pair.net, pair.b.heap.requests >= pair.b.heap.fail_at &&
                       pair.b.commands.lookups.count == 0);
    pair.b.heap.fail_at = 0;
    ASK(&pair.net, fd, "h\x03\x77\x06lookup" ATOM_NAMES ATOM_ROOM);
    bool found = false;
    while (!found) {
      uint8_t *const bytes = answer(&pair.net, fd, &size);
      if (bytes == NULL) {
        break;
      }
      found = HAS(bytes, size, "l\x00\x00\x00\x01h\x02X\x77\x0b" B);
      free(bytes);
    }
    CU_ASSERT(found);
    if (!found) {
      break;
    }
  }
  close(fd);
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
