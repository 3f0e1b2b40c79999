/* SPDX-License-Identifier: Apache-2.0 */
/* A few replicas and the wires between them, for tests that need more than one
 * end.
 *
 *     pair_begin(&pair, &heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2, 2);
 *                                      ends 0 and 1, which see each other
 *     pair_register(&pair, 0, "name", 1);
 *     pair_run(&pair);                 until nobody has anything to do
 *
 * Nothing is delayed: what poll hands out is applied at once at the other end,
 * unless the test says otherwise.  Time stands still until pair_wait().
 *
 * Ends 0 to 3 are alone on nodes a@x to d@x; end 4 is a second member of the
 * node b@x.  Their actors are 10 to 14.
 */
#ifndef HOLT_TEST_PAIR_H
#define HOLT_TEST_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/key.h>
#include <holt/replica.h>

#include "heap.h"
#include "state.h"

#define PAIR_ENDS 5u
#define PAIR_KINDS 16u
#define PAIR_BYTES_MAX 140000u

struct pair;

/* What becomes of a message: true, it is lost on the way. */
typedef bool (*pair_filter)(struct pair *pair, unsigned from, unsigned to,
                            const struct holt_effect *effect);

/* Who is given contests to decide. */
typedef void (*pair_judge)(struct pair *pair, unsigned at,
                           const struct holt_effect *effect);

struct pair {
  struct holt_mem *mem;
  struct holt_replica *replica[PAIR_ENDS];
  unsigned ends;
  struct holt_tuning tuning;
  uint64_t policy; /* Of the next replica made. */
  struct holt_time now;
  int64_t skew_ms[PAIR_ENDS];          /* Of the wall clock of an end. */
  uint32_t peer[PAIR_ENDS][PAIR_ENDS]; /* The handle that one has of another. */
  bool cut;                            /* Nothing arrives. */
  bool busy;                           /* Links take nothing. */
  unsigned busy_every;                 /* Every so manieth message; 0: none. */
  unsigned busy_turn;
  pair_filter filter; /* Or NULL. */
  pair_judge judge;   /* Or NULL. */
  void *user;         /* For both. */
  size_t budget;      /* Of each call of apply. */
  unsigned hellos;
  unsigned sent[PAIR_KINDS]; /* By the kind of packet. */
  size_t bytes_sent[PAIR_KINDS];
  unsigned conflicts[PAIR_ENDS];
  unsigned contests[PAIR_ENDS];
  unsigned replaced[PAIR_ENDS]; /* Those that were on purpose. */
  uint64_t last_loser;          /* The host word of the last conflict. */
  int refused;                  /* The last error of hello or apply. */
  /* The last message that was sent. */
  uint8_t header[HOLT_HEADER_BYTES];
  uint8_t bytes[PAIR_BYTES_MAX];
  size_t size;
};

/* HOLT_ERR_NOMEM. */
int pair_init(struct pair *pair, struct holt_mem *mem);

/* With another policy, and so many ends. */
int pair_init_ends(struct pair *pair, struct holt_mem *mem, uint64_t policy,
                   unsigned ends);
void pair_deinit(struct pair *pair);

/* The same on a heap of its own, which is empty again at the end; the first
 * ends have met. */
void pair_begin(struct pair *pair, struct heap *heap, uint64_t policy,
                unsigned ends, unsigned met);
void pair_end(struct pair *pair, struct heap *heap);

/* A replica of its own, as pair_init() makes them. */
int pair_replica_new(struct pair *pair, unsigned at, uint64_t actor);

void pair_member(unsigned at, struct holt_member *member);

/* What the clocks of an end show. */
struct holt_time pair_time(const struct pair *pair, unsigned at);

/* Ends 0 and 1 are told that the link is there, or is not any more. */
int pair_link(struct pair *pair);
void pair_unlink(struct pair *pair);

/* The same for any two; and for all. */
int pair_connect(struct pair *pair, unsigned left, unsigned right);
void pair_disconnect(struct pair *pair, unsigned left, unsigned right);
int pair_connect_all(struct pair *pair);

/* Poll one end once, and apply what it sends.  False: it has nothing to do. */
bool pair_step(struct pair *pair, unsigned at);

/* Poll all, and apply what they send, until none has anything to do. */
void pair_run(struct pair *pair);

/* Let time pass in steps, and run after each. */
void pair_wait(struct pair *pair, uint64_t duration_ms);

/* Apply bytes at one end, whole. */
int pair_apply(struct pair *pair, unsigned at, const uint8_t *header,
               const uint8_t *bytes, size_t size);

/* The header that `from` would put before it now; the same with that. */
void pair_header(const struct pair *pair, unsigned from, unsigned at,
                 uint8_t header[HOLT_HEADER_BYTES]);
int pair_apply_from(struct pair *pair, unsigned from, unsigned at,
                    const uint8_t *bytes, size_t size);

/* How many repairs one end serves, and has asked for. */
size_t pair_serves(const struct pair *pair, unsigned at);
size_t pair_repairs(const struct pair *pair, unsigned at);

/* What one end knows of another, or NULL. */
struct holt_peer *pair_peer(const struct pair *pair, unsigned at,
                            unsigned other);

/* The copy that one end has of another's rows, or NULL. */
struct holt_actor *pair_copy(const struct pair *pair, unsigned at,
                             unsigned other);

/* Forget the deaths so far: who has not heard of them yet needs a repair. */
void pair_forget(struct pair *pair, unsigned at);

struct holt_counters pair_counters(const struct pair *pair, unsigned at);

/* The key of a text; at most 60 bytes. */
size_t pair_key(const char *text, uint8_t key[64]);

/* Names "name <from>" to before "name <to>", for process 1. */
int pair_register_many(struct pair *pair, unsigned at, unsigned from,
                       unsigned to);

/* Make the process known if it is not, and register. */
int pair_register(struct pair *pair, unsigned at, const char *text,
                  uint32_t process);

/* With flags; the actor and birth to replace; *birth may be NULL. */
int pair_register_as(struct pair *pair, unsigned at, const char *text,
                     uint32_t process, uint8_t flags, uint64_t actor,
                     uint64_t replaced, uint64_t *birth);
int pair_unregister(struct pair *pair, unsigned at, const char *text);
int pair_update(struct pair *pair, unsigned at, const char *text,
                const char *value);

/* The holder of the name in the view of one end; its actor, its process, or 0.
 */
bool pair_find(const struct pair *pair, unsigned at, const char *text,
               struct holt_view *view);
uint64_t pair_holder(const struct pair *pair, unsigned at, const char *text);
uint32_t pair_process(const struct pair *pair, unsigned at, const char *text);

/* One end holds the rows of another as they are now. */
bool pair_has(const struct pair *pair, unsigned at, unsigned other);

/* All ends hold the same rows of each other, and show them. */
bool pair_equal(const struct pair *pair);

#endif /* HOLT_TEST_PAIR_H */
