/* SPDX-License-Identifier: Apache-2.0 */
/* Two replicas and a wire between them, for tests that need both ends.
 *
 *     pair_init(&pair, &heap.mem);
 *     pair_link(&pair);            both see each other
 *     pair_register(&pair, 0, "name", 1);
 *     pair_run(&pair);             until neither has anything to do
 *
 * Nothing is delayed: what poll hands out is applied at once at the other end,
 * unless the test says otherwise.  Time stands still until pair_wait().
 */
#ifndef HOLT_TEST_PAIR_H
#define HOLT_TEST_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/key.h>
#include <holt/replica.h>

#include "state.h"

#define PAIR_BYTES_MAX 70000u

struct pair {
  struct holt_mem *mem;
  struct holt_replica *replica[2];
  struct holt_tuning tuning;
  struct holt_time now;
  uint32_t peer[2];
  bool cut;      /* Nothing arrives. */
  bool busy;     /* Links take nothing. */
  size_t budget; /* Of each call of apply. */
  unsigned hellos;
  unsigned deltas;
  unsigned acks;
  unsigned vectors;
  unsigned conflicts[2];
  int refused; /* The last error of hello or apply. */
  /* The last message that was sent. */
  uint8_t header[HOLT_HEADER_BYTES];
  uint8_t bytes[PAIR_BYTES_MAX];
  size_t size;
};

/* HOLT_ERR_NOMEM. */
int pair_init(struct pair *pair, struct holt_mem *mem);
void pair_deinit(struct pair *pair);

/* A replica of its own, as pair_init() makes them. */
int pair_replica_new(struct pair *pair, unsigned at, uint64_t actor);

void pair_member(unsigned at, struct holt_member *member);

/* Both ends are told that the link is there, or is not any more. */
int pair_link(struct pair *pair);
void pair_unlink(struct pair *pair);

/* Poll both, and apply what they send, until both say NONE. */
void pair_run(struct pair *pair);

/* Let time pass in steps, and run after each. */
void pair_wait(struct pair *pair, uint64_t duration_ms);

/* Apply bytes at one end, whole. */
int pair_apply(struct pair *pair, unsigned at, const uint8_t *header,
               const uint8_t *bytes, size_t size);

/* The key of a text; at most 60 bytes. */
size_t pair_key(const char *text, uint8_t key[64]);

/* Make the process known if it is not, and register. */
int pair_register(struct pair *pair, unsigned at, const char *text,
                  uint32_t process);
int pair_unregister(struct pair *pair, unsigned at, const char *text);
int pair_update(struct pair *pair, unsigned at, const char *text,
                const char *value);

/* The actor that holds the name in the view of one end, or 0. */
uint64_t pair_holder(const struct pair *pair, unsigned at, const char *text);

/* Both ends hold the same rows of each other. */
bool pair_equal(const struct pair *pair);

#endif /* HOLT_TEST_PAIR_H */
