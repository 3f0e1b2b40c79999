/* SPDX-License-Identifier: Apache-2.0 */
/* Two daemons in one loop, without their options, diallers and ends, and nodes
 * that ask them, which are sockets of the test.
 *
 *     struct pair pair;
 *     pair_init(&pair, HOLT_POLICY_UNIQUE_KEEP_NEWEST);    a and b, connected
 *     side_take(&pair.a, "name", 7);
 *     struct asker z;
 *     asker_init(&z, &pair.net, &pair.b, SIDE_Z);
 *     ASK(&z, "h\x02\x77\x05" "count" ATOM_NAMES);
 *     uint8_t *bytes = asker_hear(&z, &size);
 *     ...
 *     close(z.fd);
 *     pair_deinit(&pair);
 */
#ifndef HOLT_TEST_SIDE_H
#define HOLT_TEST_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commands.h"
#include "instance.h"
#include "net.h"

#define SIDE_A "a@127.0.0.1"
#define SIDE_B "b@127.0.0.1"
#define SIDE_Y "y@127.0.0.1"
#define SIDE_Z "z@127.0.0.1"

/* The instance, and a key, as terms. */
#define ATOM_NAMES "\x77\x05names"
#define ATOM_ROOM "\x77\x04room"

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

void side_init(struct net *net, struct side *side, const char *name,
               uint64_t policy);
void side_deinit(struct side *side);
struct holt_replica *side_replica(const struct side *side);

/* A process of this side takes a key, which is an atom, or a binary, as no
 * daemon's does. */
void side_take(struct side *side, const char *name, uint32_t id);
void side_take_binary(struct side *side, const char *name, uint32_t id);

struct pair {
  struct net net;
  struct side a;
  struct side b;
};

void pair_init(struct pair *pair, uint64_t policy);
void pair_deinit(struct pair *pair);

/* A node that is up on one side, which its instance has been told of. */
struct asker {
  struct net *net;
  int fd;
  const char *name;
};

void asker_init(struct asker *asker, struct net *net, const struct side *side,
                const char *name);

/* {'$gen_call', {Pid, []}, Request}, to holtd. */
void asker_ask(const struct asker *asker, const char *request, size_t size);
#define ASK(asker, text) asker_ask(asker, text, sizeof(text) - 1)

/* The next answer, or message, as it ends its frame; the caller frees it.
 * NULL: the other side has hung up. */
uint8_t *asker_hear(const struct asker *asker, size_t *size);

/* Whether the bytes are among them. */
bool bytes_have(const uint8_t *bytes, size_t size, const char *what,
                size_t what_size);
#define HAS(bytes, size, text) bytes_have(bytes, size, text, sizeof(text) - 1)

#endif /* HOLT_TEST_SIDE_H */
