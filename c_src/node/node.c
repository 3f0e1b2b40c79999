/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "dialler.h"
#include "dist.h"
#include "handshake.h"
#include "instance.h"
#include "log.h"
#include "memory.h"
#include "turn.h"

/* How often it is looked whether all has been said and written. */
#define LEAVE_LOOK_MS 5u

#define COMMANDS_NAME "holtd"
#define COMMANDS_PROCESS 1u
#define INSTANCES_PROCESS 2u /* The first one's; the others follow. */

struct node {
  uv_loop_t *loop;
  const struct options *options;
  struct turn turn;
  uv_timer_t leave;
  uint64_t leave_ends_ms;
  struct holt_mem mem;
  struct dist *dist;
  struct dialler *dialler;
  struct instance *instances[OPTIONS_INSTANCES_MAX];
  size_t instances_count;
  struct commands commands;
  bool leaving;
  bool stopping;
  const struct node_handlers *handlers;
  void *user;
};

/*--------------------------------------------------------------------
 * Processes */

static struct instance *
instance_by_process(struct node *node, uint32_t id)
{
  return id >= INSTANCES_PROCESS &&
             id - INSTANCES_PROCESS < node->instances_count
           ? node->instances[id - INSTANCES_PROCESS]
           : NULL;
}

static struct instance *
instance_by_name(struct node *node, struct term_slice name)
{
  for (size_t i = 0; i < node->instances_count; i++) {
    if (term_slice_is(name, instance_process_name(node->instances[i]))) {
      return node->instances[i];
    }
  }
  return NULL;
}

static bool
on_knows_name(void *user, struct term_slice name)
{
  return term_slice_is(name, COMMANDS_NAME) ||
         instance_by_name(user, name) != NULL;
}

static bool
on_knows_process(void *user, uint32_t id, uint32_t serial)
{
  return serial == 0 &&
         (id == COMMANDS_PROCESS || instance_by_process(user, id) != NULL);
}

static void
on_message(void *user, const struct dist_message *message)
{
  struct node *const node = user;
  struct instance *const instance = message->name.size > 0
                                      ? instance_by_name(node, message->name)
                                      : instance_by_process(node, message->id);
  if (instance != NULL && instance_message(instance, message)) {
    return;
  }
  if (!commands_answer(&node->commands, message)) {
    log_debug("a message from %s means nothing to us",
              dist_peer_node(message->peer));
  }
}

/*--------------------------------------------------------------------
 * Nodes */

static void
on_node_seen(void *user, struct term_slice name)
{
  struct node *const node = user;
  if (!node->leaving) {
    dialler_want(node->dialler, name, false);
  }
}

static void
on_up(void *user, struct dist_peer *peer)
{
  struct node *const node = user;
  dialler_up(node->dialler, dist_peer_node(peer));
  if ((dist_peer_flags(peer) & HANDSHAKE_MONITOR_NAME) == 0) {
    return; /* No member, which is watched: the command line, for example. */
  }
  for (size_t i = 0; i < node->instances_count; i++) {
    instance_peer_up(node->instances[i], peer);
  }
}

static void
on_down(void *user, struct dist_peer *peer, const char *reason)
{
  struct node *const node = user;
  (void)reason; /* It has been logged. */
  commands_peer_down(&node->commands, peer);
  for (size_t i = 0; i < node->instances_count; i++) {
    instance_peer_down(node->instances[i], peer);
  }
  dialler_down(node->dialler, dist_peer_node(peer));
}

static void
on_dial_failed(void *user, const char *name, const char *reason)
{
  struct node *const node = user;
  dialler_failed(node->dialler, name, reason);
}

static void
on_monitor_down(void *user, struct dist_peer *peer, uint64_t monitor,
                struct term_slice reason)
{
  struct node *const node = user;
  commands_monitor_down(&node->commands, peer, monitor);
  for (size_t i = 0; i < node->instances_count; i++) {
    instance_monitor_down(node->instances[i], peer, monitor, reason);
  }
}

/*--------------------------------------------------------------------
 * Life */

static void
on_failed(void *user, const char *reason)
{
  struct node *const node = user;
  log_error("%s", reason);
  node->handlers->failed(node->user);
  node_stop(node);
}

static bool
make_instances(struct node *node)
{
  for (size_t i = 0; i < node->options->instances_count; i++) {
    const struct options_instance *const from = &node->options->instances[i];
    const struct instance_config config = {
      .loop = node->loop,
      .turn = &node->turn,
      .dist = node->dist,
      .name = from->name,
      .policy = from->policy,
      .tuning = from->tuning,
      .process = INSTANCES_PROCESS + (uint32_t)i,
      .node_seen = on_node_seen,
      .user = node,
    };
    if (instance_new(&node->instances[i], &config) != 0) {
      return false;
    }
    node->instances_count++;
  }
  node->commands.instances_count = node->instances_count;
  return true;
}

static void
on_registered(void *user, uint32_t creation)
{
  struct node *const node = user;
  log_info("node %s, port %u, creation %u", dist_name(node->dist),
           (unsigned)dist_port(node->dist), (unsigned)creation);
  if (node->leaving) {
    return;
  }
  if (!make_instances(node)) {
    on_failed(node, holt_error_text(HOLT_ERR_NOMEM));
    return;
  }
  dialler_start(node->dialler);
}

static const struct dist_handlers dist_handlers = {
  .registered = on_registered,
  .failed = on_failed,
  .up = on_up,
  .down = on_down,
  .dial_failed = on_dial_failed,
  .message = on_message,
  .knows_name = on_knows_name,
  .knows_process = on_knows_process,
  .monitor_down = on_monitor_down,
};

/* As the BEAM finds it. */
static uint16_t
epmd_port(uint16_t otherwise)
{
  const char *const text = getenv("ERL_EPMD_PORT");
  char *end;
  errno = 0;
  const long port = text != NULL ? strtol(text, &end, 10) : 0;
  return errno == 0 && port > 0 && port <= UINT16_MAX ? (uint16_t)port
                                                      : otherwise;
}

static int
start(struct node *node)
{
  const struct options *const options = node->options;
  struct dist_config config;
  dist_config_init(&config);
  config.loop = node->loop;
  config.turn = &node->turn;
  config.mem = &node->mem;
  config.name = options->name;
  config.cookie = options->cookie;
  if (options->listen_address != NULL) {
    config.listen_address = options->listen_address;
  }
  config.listen_port = options->listen_port;
  config.epmd_port = epmd_port(config.epmd_port);
  config.ticktime_ms = options->ticktime_ms;
  config.handlers = &dist_handlers;
  config.user = node;
  int rv = dist_start(&node->dist, &config);
  if (rv != 0) {
    return rv;
  }
  rv = dialler_new(&node->dialler, node->loop, node->dist, &node->mem);
  if (rv != 0) {
    dist_stop(node->dist, NULL, NULL);
    return rv;
  }
  node->commands = (struct commands){ .loop = node->loop,
                                      .turn = &node->turn,
                                      .dist = node->dist,
                                      .mem = &node->mem,
                                      .instances = node->instances,
                                      .process = COMMANDS_PROCESS,
                                      .started_ms = uv_now(node->loop) };
  commands_init(&node->commands);
  for (size_t i = 0; i < options->peers_count; i++) {
    const char *const peer = options->peers[i];
    dialler_want(node->dialler, term_slice(peer, strlen(peer)), true);
  }
  return 0;
}

static void
close_handles(struct node *node)
{
  turn_close(&node->turn);
  uv_close((uv_handle_t *)&node->leave, NULL);
}

int
node_start(struct node **out, uv_loop_t *loop, const struct options *options,
           const struct node_handlers *handlers, void *user)
{
  struct node *const node = calloc(1, sizeof *node);
  if (node == NULL) {
    return HOLT_ERR_NOMEM;
  }
  node->loop = loop;
  node->options = options;
  node->handlers = handlers;
  node->user = user;
  memory_init(&node->mem);
  turn_init(&node->turn, loop);
  (void)uv_timer_init(loop, &node->leave);
  node->leave.data = node;
  if (options->cookie_exposed) {
    log_warning("cookie file %s can be read by others than its owner",
                options->cookie_file);
  }
  const int rv = start(node);
  if (rv != 0) {
    log_error("cannot start: %s", holt_error_text(rv));
    node->stopping = true;
    node->leaving = true;
    close_handles(node);
  }
  *out = node;
  return rv;
}

/* All have been told, and it has been written as far as we can see. */
static bool
has_left(const struct node *node)
{
  bool said = dist_unsent(node->dist) == 0;
  for (size_t i = 0; i < node->instances_count && said; i++) {
    said = instance_said_goodbye(node->instances[i]);
  }
  return said;
}

static void
on_leave(uv_timer_t *timer)
{
  struct node *const node = timer->data;
  const bool left = has_left(node);
  if (!left && uv_now(node->loop) < node->leave_ends_ms) {
    return;
  }
  if (!left) {
    log_warning("some did not read what we had to say within %u ms",
                NODE_LEAVE_MS);
  }
  node_stop(node);
}

void
node_leave(struct node *node)
{
  if (node->leaving) {
    node_stop(node);
    return;
  }
  node->leaving = true;
  node->leave_ends_ms = uv_now(node->loop) + NODE_LEAVE_MS;
  for (size_t i = 0; i < node->instances_count; i++) {
    const size_t told = instance_goodbye(node->instances[i]);
    log_info("%s: goodbye to %zu", instance_name(node->instances[i]), told);
  }
  (void)uv_timer_start(&node->leave, on_leave, 0, LEAVE_LOOK_MS);
}

void
node_stop(struct node *node)
{
  if (node->stopping) {
    return;
  }
  node->stopping = true;
  node->leaving = true;
  commands_close(&node->commands);
  for (size_t i = 0; i < node->instances_count; i++) {
    instance_stop(node->instances[i], NULL, NULL);
  }
  dialler_delete(node->dialler);
  dist_stop(node->dist, NULL, NULL);
  close_handles(node);
  node->handlers->stopped(node->user);
}

void
node_delete(struct node *node)
{
  free(node);
}
