/* SPDX-License-Identifier: Apache-2.0 */
#include "side.h"

#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#define INSTANCE "names"
#define COMMANDS_PROCESS 1u
#define INSTANCE_PROCESS 2u

/* Of handshakes and pids of askers. */
#define ASKER_CREATION 77u

/*--------------------------------------------------------------------
 * Sides */

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
  commands_peer_down(&side->commands, peer);
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
  struct side *const side = user;
  commands_monitor_down(&side->commands, peer, monitor);
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

void
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
  commands_init(&side->commands);
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

void
side_deinit(struct side *side)
{
  commands_close(&side->commands);
  instance_stop(side->instance, on_stopped, &side->instance_stopped);
  dist_stop(side->dist, on_stopped, &side->dist_stopped);
  UNTIL(side->net, side->instance_stopped && side->dist_stopped);
  CU_ASSERT(heap_is_clean(&side->heap));
  heap_deinit(&side->heap);
}

struct holt_replica *
side_replica(const struct side *side)
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

static void
take(struct side *side, const uint8_t *key, size_t size, uint32_t id)
{
  const struct holt_time time = now(side->net);
  const struct holt_registration registration = { .key = key,
                                                  .key_size = size,
                                                  .id = id };
  (void)holt_replica_owner_add(side_replica(side), id, 0, id + 1);
  CU_ASSERT_EQUAL_FATAL(
    holt_replica_register(side_replica(side), &time, &registration, NULL), 0);
}

void
side_take(struct side *side, const char *name, uint32_t id)
{
  uint8_t key[64] = { 119, (uint8_t)strlen(name) };
  memcpy(key + 2, name, strlen(name));
  take(side, key, 2 + strlen(name), id);
}

void
side_take_binary(struct side *side, const char *name, uint32_t id)
{
  uint8_t key[64] = { 109, 0, 0, 0, (uint8_t)strlen(name) };
  memcpy(key + 5, name, strlen(name));
  take(side, key, 5 + strlen(name), id);
}

void
pair_init(struct pair *pair, uint64_t policy)
{
  net_init(&pair->net);
  side_init(&pair->net, &pair->a, SIDE_A, policy);
  side_init(&pair->net, &pair->b, SIDE_B, policy);
  CU_ASSERT_EQUAL(dist_dial(pair->a.dist, SIDE_B), 0);
}

void
pair_deinit(struct pair *pair)
{
  side_deinit(&pair->a);
  side_deinit(&pair->b);
  net_deinit(&pair->net);
}

/*--------------------------------------------------------------------
 * Who asks */

void
asker_init(struct asker *asker, struct net *net, const struct side *side,
           const char *name)
{
  *asker = (struct asker){ .net = net, .name = name };
  asker->fd = net_stranger(net, dist_port(side->dist));
  CU_ASSERT(net_shake(net, asker->fd, name, NET_COOKIE, dist_name(side->dist)));
}

/* {6, Pid, '', holtd}, {'$gen_call', {Pid, []}, Request}. */
void
asker_ask(const struct asker *asker, const char *request, size_t size)
{
  const struct term_pid pid = {
    .node = term_slice(asker->name, strlen(asker->name)),
    .id = 1,
    .creation = ASKER_CREATION,
  };
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
  term_put_pid(&writer, &pid);
  term_put_atom(&writer, "");
  term_put_atom(&writer, "holtd");
  term_put_u8(&writer, TERM_VERSION);
  term_put_tuple(&writer, 3);
  term_put_raw(&writer, call, sizeof call);
  term_put_tuple(&writer, 2);
  term_put_pid(&writer, &pid);
  term_put_nil(&writer);
  term_put_raw(&writer, request, size);
  writer.data[2] = (uint8_t)((writer.size - 4) >> 8);
  writer.data[3] = (uint8_t)(writer.size - 4);
  CU_ASSERT(net_say(asker->net, asker->fd, writer.data, writer.size));
  term_writer_deinit(&writer);
  heap_deinit(&heap);
}

bool
bytes_have(const uint8_t *bytes, size_t size, const char *what,
           size_t what_size)
{
  for (size_t at = 0; at + what_size <= size; at++) {
    if (memcmp(bytes + at, what, what_size) == 0) {
      return true;
    }
  }
  return false;
}

static uint8_t *
hear(const struct asker *asker, size_t *size)
{
  uint8_t head[4] = { 0 };
  *size = 0;
  while (*size == 0) { /* Ticks. */
    if (!net_hear(asker->net, asker->fd, head, 4)) {
      return NULL;
    }
    *size = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
            (size_t)head[2] << 8 | head[3];
  }
  uint8_t *const bytes = malloc(*size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT(net_hear(asker->net, asker->fd, bytes, *size));
  return bytes;
}

/* What is sent to it as a node comes between: hellos, monitors, and their end.
 */
uint8_t *
asker_hear(const struct asker *asker, size_t *size)
{
  uint8_t *bytes = hear(asker, size);
  while (bytes != NULL && (HAS(bytes, *size, "holt_hello") ||
                           HAS(bytes, *size,
                               "h\x04"
                               "a\x13X") ||
                           HAS(bytes, *size,
                               "h\x04"
                               "a\x14X"))) {
    free(bytes);
    bytes = hear(asker, size);
  }
  return bytes;
}
