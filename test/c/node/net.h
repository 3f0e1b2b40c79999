/* SPDX-License-Identifier: Apache-2.0 */
/* A network in one loop: nodes, a port mapper that obeys, and strangers.
 *
 *     struct net net;
 *     net_init(&net);
 *     struct net_node a;
 *     net_node_start(&net, &a, "a@127.0.0.1");
 *     UNTIL(&net, a.registered == 1);
 *     ...
 *     net_node_stop(&net, &a);
 *     net_deinit(&net);
 *
 * Nothing sleeps: UNTIL() turns the loop until the condition is true, and gives
 * up after NET_PATIENCE_MS, which fails the test.  A stranger is a socket that
 * the test itself holds; waiting for it turns the loop, too.
 */
#ifndef HOLT_TEST_NET_H
#define HOLT_TEST_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "dist.h"
#include "handshake.h"
#include "heap.h"

#define NET_PATIENCE_MS 10000u
#define NET_COOKIE "cookie"
#define NET_NAMES_MAX 16u

enum net_epmd_mood {
  NET_EPMD_WELL,
  NET_EPMD_SILENT, /* Takes questions, gives no answers. */
  NET_EPMD_GARBAGE /* Answers what makes no sense. */
};

struct net_epmd_client;

struct net {
  uv_loop_t loop;
  struct turn turn;
  uv_timer_t pulse; /* So that turning the loop never waits for long. */
  uint64_t patience_ends_ms;

  uv_tcp_t epmd;
  bool epmd_up;
  uint16_t epmd_port; /* Stays, once known. */
  enum net_epmd_mood mood;
  uint32_t creation;      /* Given last. */
  unsigned registrations; /* That were accepted. */
  unsigned epmd_clients_open;
  struct net_epmd_client *clients[NET_NAMES_MAX];

  uint64_t flags; /* That strangers say they have; HANDSHAKE_FLAGS at first. */
};

void net_init(struct net *net);

/* Everything must have been stopped. */
void net_deinit(struct net *net);

/* The port mapper goes, and all registrations with it; comes back. */
void net_epmd_stop(struct net *net);
void net_epmd_start(struct net *net);

/* Register a name for somebody who is no net_node. */
void net_epmd_add(struct net *net, const char *name, uint16_t port);

/* Turn the loop once.  False when the patience is at its end. */
bool net_turn(struct net *net);
void net_patience(struct net *net);

#define UNTIL(net, condition)                                                  \
  do {                                                                         \
    net_patience(net);                                                         \
    while (!(condition) && net_turn(net)) {                                    \
    }                                                                          \
    CU_ASSERT(condition);                                                      \
  } while (0)

/*--------------------------------------------------------------------
 * Nodes */

/* A node that counts what happens to it.  It knows the name "echo" and the
 * process 1, and answers {'$gen_call', From, Request} with Request. */
struct net_node {
  struct heap heap;
  struct dist *dist;
  struct dist_config config; /* As net_node_config() made it. */
  unsigned registered;
  unsigned failed;
  unsigned ups;
  unsigned downs;
  unsigned dial_fails;
  unsigned messages;
  unsigned monitor_downs;
  unsigned order_broken;  /* down without up, a second up... */
  uint64_t monitor;       /* The last that fired. */
  bool noconnection;      /* ... for that reason. */
  char reason[128];       /* Of the last down, dial_failed or failed. */
  struct dist_peer *peer; /* The last that came up and is not down. */
  size_t payload_size;    /* Of the last message. */
  uint8_t payload[256];   /* ... its beginning. */
  bool stopped;
  bool mute;        /* Answers nothing. */
  uint64_t slow_ns; /* So long it takes it to look at a message. */
};

/* Prepare a node; its config may be changed before it is started. */
void net_node_init(struct net *net, struct net_node *node, const char *name);
int net_node_start(struct net_node *node);

/* Both. */
void net_node_begin(struct net *net, struct net_node *node, const char *name);

/* Stop, wait for the end, and look for leaks. */
void net_node_stop(struct net *net, struct net_node *node);

/*--------------------------------------------------------------------
 * Strangers */

/* Connect to a node's port, without a word.  Returns the socket. */
int net_stranger(struct net *net, uint16_t port);

/* Send all of it; false when the other side has hung up. */
bool net_say(struct net *net, int socket, const void *bytes, size_t size);

/* Receive exactly size bytes; false when the other side hangs up before. */
bool net_hear(struct net *net, int socket, void *bytes, size_t size);

/* True when the other side hangs up, whatever it says before. */
bool net_hears_end(struct net *net, int socket);

/* Shake hands as a node of this name.  Insists if told that it is alive.
 * Returns whether it came up. */
bool net_shake(struct net *net, int socket, const char *name,
               const char *cookie, const char *other);

/* Be a node that can be called: register with epmd, and listen.  Returns the
 * socket to take callers from. */
int net_listen(struct net *net, const char *name);
int net_take(struct net *net, int listener);

/* The other side of net_shake(): say this to the caller, and go on if it does.
 * Returns whether it came up. */
bool net_answer(struct net *net, int socket, const char *name,
                const char *cookie, enum handshake_decision decision);

#endif /* HOLT_TEST_NET_H */
