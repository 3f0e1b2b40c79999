/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "log.h"

/*--------------------------------------------------------------------
 * The loop */

static void
on_pulse(uv_timer_t *timer)
{
  (void)timer;
}

void
net_patience(struct net *net)
{
  net->patience_ends_ms = uv_hrtime() / 1000000 + NET_PATIENCE_MS;
}

bool
net_turn(struct net *net)
{
  uv_run(&net->loop, UV_RUN_ONCE);
  return uv_hrtime() / 1000000 < net->patience_ends_ms;
}

/* Nobody reads it here. */
static void
discard(void *user, enum log_level level, const char *line)
{
  (void)user;
  (void)level;
  (void)line;
}

void
net_init(struct net *net)
{
  log_sink_set(discard, NULL);
  memset(net, 0, sizeof *net);
  net->creation = 100;
  net->flags = HANDSHAKE_FLAGS;
  uv_loop_init(&net->loop);
  turn_init(&net->turn, &net->loop);
  uv_timer_init(&net->loop, &net->pulse);
  uv_timer_start(&net->pulse, on_pulse, 1, 1);
  net_epmd_start(net);
}

void
net_deinit(struct net *net)
{
  net_epmd_stop(net);
  turn_close(&net->turn);
  uv_close((uv_handle_t *)&net->pulse, NULL);
  net_patience(net);
  while (uv_run(&net->loop, UV_RUN_ONCE) != 0 &&
         uv_hrtime() / 1000000 < net->patience_ends_ms) {
  }
  CU_ASSERT_EQUAL(uv_loop_close(&net->loop), 0);
}

/*--------------------------------------------------------------------
 * The port mapper */

struct net_epmd_client {
  struct net *net;
  uv_tcp_t tcp;
  uv_write_t write;
  uint16_t port;
  size_t size;
  uint8_t bytes[2048];
  char name[1024]; /* Registered by this connection; "" for none. */
  uint8_t answer[1100];
};

static void
on_client_closed(uv_handle_t *handle)
{
  struct net_epmd_client *client = handle->data;
  client->net->epmd_clients_open--;
  free(client);
}

static void
client_close(struct net_epmd_client *client)
{
  struct net *net = client->net;
  for (unsigned i = 0; i < NET_NAMES_MAX; i++) {
    if (net->clients[i] == client) {
      net->clients[i] = NULL;
    }
  }
  if (!uv_is_closing((uv_handle_t *)&client->tcp)) {
    uv_close((uv_handle_t *)&client->tcp, on_client_closed);
  }
}

static struct net_epmd_client *
client_of(const struct net *net, const char *name, size_t size)
{
  for (unsigned i = 0; i < NET_NAMES_MAX; i++) {
    struct net_epmd_client *client = net->clients[i];
    if (client != NULL && strlen(client->name) == size &&
        memcmp(client->name, name, size) == 0) {
      return client;
    }
  }
  return NULL;
}

static void
client_answer(struct net_epmd_client *client, size_t size)
{
  uv_buf_t buf = uv_buf_init((char *)client->answer, (unsigned)size);
  uv_write(&client->write, (uv_stream_t *)&client->tcp, &buf, 1, NULL);
}

static void
client_question(struct net_epmd_client *client)
{
  struct net *net = client->net;
  uint8_t *const bytes = client->bytes + 2;
  uint8_t *const answer = client->answer;
  if (net->mood == NET_EPMD_SILENT) {
    return;
  }
  if (net->mood == NET_EPMD_GARBAGE) {
    memset(answer, 'g', 20);
    client_answer(client, 20);
    return;
  }
  if (bytes[0] == 122) {
    const struct net_epmd_client *found =
      client_of(net, (const char *)bytes + 1, client->size - 3);
    answer[0] = 119;
    answer[1] = found == NULL;
    if (found != NULL) {
      answer[2] = (uint8_t)(found->port >> 8);
      answer[3] = (uint8_t)found->port;
    }
    client_answer(client, found == NULL ? 2 : 4);
    return;
  }
  CU_ASSERT_EQUAL_FATAL(bytes[0], 120);
  const size_t size = (size_t)bytes[9] << 8 | bytes[10];
  const bool taken = client_of(net, (const char *)bytes + 11, size) != NULL;
  answer[0] = 118;
  answer[1] = taken;
  net->creation += !taken;
  for (unsigned i = 0; i < 4; i++) {
    answer[2 + i] = (uint8_t)(net->creation >> (24 - 8 * i));
  }
  if (!taken) {
    net->registrations++;
    memcpy(client->name, bytes + 11, size);
    client->port = (uint16_t)(bytes[1] << 8 | bytes[2]);
  }
  client_answer(client, 6);
}

static void
on_client_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  struct net_epmd_client *client = handle->data;
  (void)suggested;
  *buf = uv_buf_init((char *)client->bytes + client->size,
                     (unsigned)(sizeof client->bytes - client->size));
}

static void
on_client_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
  struct net_epmd_client *client = stream->data;
  (void)buf;
  if (size < 0) {
    client_close(client);
    return;
  }
  client->size += (size_t)size;
  if (client->size >= 2 &&
      client->size == 2 + ((size_t)client->bytes[0] << 8 | client->bytes[1])) {
    client_question(client);
    client->size = 0;
  }
}

static struct net_epmd_client *
client_new(struct net *net)
{
  struct net_epmd_client *client = calloc(1, sizeof *client);
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  client->net = net;
  uv_tcp_init(&net->loop, &client->tcp);
  client->tcp.data = client;
  net->epmd_clients_open++;
  for (unsigned i = 0; i < NET_NAMES_MAX; i++) {
    if (net->clients[i] == NULL) {
      net->clients[i] = client;
      return client;
    }
  }
  CU_FAIL_FATAL("too many clients of epmd");
  return client;
}

static void
on_client(uv_stream_t *listener, int status)
{
  CU_ASSERT_EQUAL(status, 0);
  struct net_epmd_client *client = client_new(listener->data);
  CU_ASSERT_EQUAL(uv_accept(listener, (uv_stream_t *)&client->tcp), 0);
  uv_read_start((uv_stream_t *)&client->tcp, on_client_alloc, on_client_read);
}

void
net_epmd_add(struct net *net, const char *name, uint16_t port)
{
  struct net_epmd_client *client = client_new(net);
  snprintf(client->name, sizeof client->name, "%s", name);
  client->port = port;
}

void
net_epmd_start(struct net *net)
{
  struct sockaddr_in address;
  int size = sizeof address;
  uv_ip4_addr("127.0.0.1", net->epmd_port, &address);
  uv_tcp_init(&net->loop, &net->epmd);
  net->epmd.data = net;
  CU_ASSERT_EQUAL_FATAL(
    uv_tcp_bind(&net->epmd, (const struct sockaddr *)&address, 0), 0);
  CU_ASSERT_EQUAL_FATAL(uv_listen((uv_stream_t *)&net->epmd, 16, on_client), 0);
  uv_tcp_getsockname(&net->epmd, (struct sockaddr *)&address, &size);
  net->epmd_port = ntohs(address.sin_port);
  net->epmd_up = true;
}

void
net_epmd_stop(struct net *net)
{
  if (net->epmd_up) {
    net->epmd_up = false;
    uv_close((uv_handle_t *)&net->epmd, NULL);
  }
  for (unsigned i = 0; i < NET_NAMES_MAX; i++) {
    if (net->clients[i] != NULL) {
      client_close(net->clients[i]);
    }
  }
  UNTIL(net, net->epmd_clients_open == 0);
}

/*--------------------------------------------------------------------
 * Nodes */

static void
on_registered(void *user, uint32_t creation)
{
  struct net_node *node = user;
  node->registered++;
  node->order_broken += creation != dist_creation(node->dist);
}

static void
keep_reason(struct net_node *node, const char *reason)
{
  snprintf(node->reason, sizeof node->reason, "%s", reason);
}

static void
on_failed(void *user, const char *reason)
{
  struct net_node *node = user;
  node->failed++;
  keep_reason(node, reason);
}

static void
on_up(void *user, struct dist_peer *peer)
{
  struct net_node *node = user;
  const char *name = dist_peer_node(peer);
  /* The one before it has to be down. */
  node->order_broken +=
    node->peer != NULL && strcmp(dist_peer_node(node->peer), name) == 0;
  node->ups++;
  node->peer = peer;
  node->order_broken +=
    dist_peer_by_node(node->dist, name, strlen(name)) != peer;
  dist_peer_user_set(peer, node);
}

static void
on_down(void *user, struct dist_peer *peer, const char *reason)
{
  struct net_node *node = user;
  node->downs++;
  node->order_broken += dist_peer_user(peer) != node;
  dist_peer_user_set(peer, NULL);
  if (node->peer == peer) {
    node->peer = NULL;
  }
  keep_reason(node, reason);
}

static void
on_dial_failed(void *user, const char *name, const char *reason)
{
  struct net_node *node = user;
  (void)name;
  node->dial_fails++;
  keep_reason(node, reason);
}

static void
on_message(void *user, const struct dist_message *message)
{
  struct net_node *node = user;
  const uint64_t start_ns = uv_hrtime();
  while (node->slow_ns > 0 && uv_hrtime() - start_ns < node->slow_ns) {
  }
  node->messages++;
  const struct term_slice payload = message->payload;
  node->payload_size = payload.size;
  memcpy(node->payload, payload.bytes,
         payload.size < sizeof node->payload ? payload.size
                                             : sizeof node->payload);
  struct holt_etf_reader reader = term_reader(payload);
  struct term_slice from;
  struct term_slice request;
  if (!node->mute && term_read_tuple(&reader, 3) &&
      term_read_atom_is(&reader, "$gen_call") &&
      term_read_term(&reader, &from) && term_read_term(&reader, &request)) {
    (void)dist_reply(message->peer, 1, from, &request, 1);
  }
}

static bool
knows_name(void *user, struct term_slice name)
{
  (void)user;
  return term_slice_is(name, "echo");
}

static bool
knows_process(void *user, uint32_t id, uint32_t serial)
{
  (void)user;
  return id == 1 && serial == 0;
}

static void
on_monitor_down(void *user, struct dist_peer *peer, uint64_t monitor,
                struct term_slice reason)
{
  struct net_node *node = user;
  node->order_broken += dist_peer_user(peer) != node;
  node->monitor_downs++;
  node->monitor = monitor;
  node->noconnection = term_is_atom(reason, "noconnection");
}

static const struct dist_handlers handlers = {
  .registered = on_registered,
  .failed = on_failed,
  .up = on_up,
  .down = on_down,
  .dial_failed = on_dial_failed,
  .message = on_message,
  .knows_name = knows_name,
  .knows_process = knows_process,
  .monitor_down = on_monitor_down,
};

void
net_node_init(struct net *net, struct net_node *node, const char *name)
{
  memset(node, 0, sizeof *node);
  heap_init(&node->heap);
  struct dist_config *config = &node->config;
  dist_config_init(config);
  config->loop = &net->loop;
  config->turn = &net->turn;
  config->mem = &node->heap.mem;
  config->name = name;
  config->cookie = NET_COOKIE;
  config->listen_address = "127.0.0.1";
  config->epmd_port = net->epmd_port;
  config->handlers = &handlers;
  config->user = node;
}

int
net_node_start(struct net_node *node)
{
  return dist_start(&node->dist, &node->config);
}

void
net_node_begin(struct net *net, struct net_node *node, const char *name)
{
  net_node_init(net, node, name);
  CU_ASSERT_EQUAL_FATAL(net_node_start(node), 0);
  UNTIL(net, node->registered == 1);
}

static void
on_stopped(void *user)
{
  struct net_node *node = user;
  node->stopped = true;
}

void
net_node_stop(struct net *net, struct net_node *node)
{
  if (node->dist != NULL) {
    dist_stop(node->dist, on_stopped, node);
    UNTIL(net, node->stopped);
  }
  CU_ASSERT_EQUAL(node->order_broken, 0);
  CU_ASSERT(heap_is_clean(&node->heap));
  heap_deinit(&node->heap);
}

/*--------------------------------------------------------------------
 * Strangers */

int
net_stranger(struct net *net, uint16_t port)
{
  struct sockaddr_in address;
  uv_ip4_addr("127.0.0.1", port, &address);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  CU_ASSERT_FATAL(fd >= 0);
  /* The kernel takes the call; the node need not have looked. */
  CU_ASSERT_EQUAL_FATAL(
    connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
  uv_run(&net->loop, UV_RUN_NOWAIT);
  return fd;
}

bool
net_say(struct net *net, int socket, const void *bytes, size_t size)
{
  const uint8_t *at = bytes;
  net_patience(net);
  while (size > 0) {
    const ssize_t sent = send(socket, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      at += sent;
      size -= (size_t)sent;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
      return false;
    }
    if (size > 0 && !net_turn(net)) {
      return false;
    }
  }
  return true;
}

bool
net_hear(struct net *net, int socket, void *bytes, size_t size)
{
  uint8_t *at = bytes;
  net_patience(net);
  while (size > 0) {
    const ssize_t got = recv(socket, at, size, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) {
      return false;
    }
    if (got > 0) {
      at += got;
      size -= (size_t)got;
    } else if (!net_turn(net)) {
      CU_FAIL("heard nothing");
      return false;
    }
  }
  return true;
}

bool
net_hears_end(struct net *net, int socket)
{
  uint8_t bytes[4096];
  net_patience(net);
  for (;;) {
    const ssize_t got = recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) {
      return true;
    }
    if (got < 0 && !net_turn(net)) {
      return false;
    }
  }
}

/* Carry on with a handshake until it is over; decision is for a called one. */
static bool
shake(struct net *net, int socket, struct handshake *handshake,
      struct term_writer *out, enum handshake_decision decision)
{
  enum handshake_step step = HANDSHAKE_WAIT;
  while (step == HANDSHAKE_WAIT) {
    uint8_t length[2];
    uint8_t packet[2048];
    if (!net_say(net, socket, out->data, out->size) ||
        !net_hear(net, socket, length, 2) ||
        !net_hear(net, socket, packet, (size_t)length[0] << 8 | length[1])) {
      return false;
    }
    term_writer_clear(out);
    step = handshake_packet(
      handshake, term_slice(packet, (size_t)length[0] << 8 | length[1]), out);
    if (step == HANDSHAKE_ALIVE) {
      step = handshake_insist(handshake, true, out);
    } else if (step == HANDSHAKE_DECIDE) {
      step = handshake_decide(handshake, decision, out);
    }
  }
  return net_say(net, socket, out->data, out->size) && step == HANDSHAKE_UP;
}

bool
net_shake(struct net *net, int socket, const char *name, const char *cookie,
          const char *other)
{
  const struct handshake_self self = { name, cookie, 77 };
  struct heap heap;
  heap_init(&heap);
  struct term_writer out;
  term_writer_init(&out, &heap.mem, 0);
  struct handshake handshake;
  handshake_init_caller(&handshake, &self, 12345, other, &out);
  for (unsigned i = 0; i < 8; i++) {
    out.data[3 + i] = (uint8_t)(net->flags >> (56 - 8 * i));
  }
  const bool up = shake(net, socket, &handshake, &out, HANDSHAKE_OK);
  term_writer_deinit(&out);
  heap_deinit(&heap);
  return up;
}

bool
net_answer(struct net *net, int socket, const char *name, const char *cookie,
           enum handshake_decision decision)
{
  const struct handshake_self self = { name, cookie, 77 };
  struct heap heap;
  heap_init(&heap);
  struct term_writer out;
  term_writer_init(&out, &heap.mem, 0);
  struct handshake handshake;
  handshake_init_called(&handshake, &self, 54321);
  const bool up = shake(net, socket, &handshake, &out, decision);
  term_writer_deinit(&out);
  heap_deinit(&heap);
  return up;
}

int
net_listen(struct net *net, const char *name)
{
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  uv_ip4_addr("127.0.0.1", 0, &address);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CU_ASSERT_FATAL(fd >= 0);
  CU_ASSERT_EQUAL_FATAL(
    bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
  CU_ASSERT_EQUAL_FATAL(listen(fd, 16), 0);
  getsockname(fd, (struct sockaddr *)&address, &size);
  char alive[256];
  snprintf(alive, sizeof alive, "%.*s", (int)strcspn(name, "@"), name);
  net_epmd_add(net, alive, ntohs(address.sin_port));
  return fd;
}

int
net_take(struct net *net, int listener)
{
  int fd = -1;
  UNTIL(net, fd >= 0 || (fd = accept(listener, NULL, NULL)) >= 0);
  return fd;
}
