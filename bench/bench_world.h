/* SPDX-License-Identifier: Apache-2.0 */
/* A few replicas in one process, and a host for each.
 *
 *     end 0  -- poll --> effect --> message_open, apply --> end 1
 *
 * Nothing is delayed or lost: what poll hands out is applied at the other end
 * at once.  Time stands still but for bench_wait(), and a millisecond for every
 * thousand names registered, so that two runs send the same bytes.
 *
 * Every call that is timed adds to the time of its end, and to the histogram of
 * calls; the single ones of a few hundred nanoseconds only where `fine` is set.
 *
 * Memory:  that of each end is accounted for twice: as the core asks for it,
 *          and as the allocator hands it out.
 */
#ifndef HOLT_BENCH_WORLD_H
#define HOLT_BENCH_WORLD_H

#include <limits.h>

#include <holt/error.h>
#include <holt/key.h>
#include <holt/mem.h>
#include <holt/replica.h>

#include "bench_tool.h"

/* Bytes of a block with its head; and what the allocator has handed out. */
#ifdef __GLIBC__
#include <malloc.h>
#define BENCH_USABLE(ptr) (malloc_usable_size(ptr) + sizeof(size_t))
#define BENCH_HANDED_OUT() (mallinfo2().uordblks + mallinfo2().hblkhd)
#else
#define BENCH_USABLE(ptr) ((size_t)0)
#define BENCH_HANDED_OUT() ((size_t)0)
#endif

#ifndef BENCH_ENDS
#define BENCH_ENDS 10u
#endif
#define BENCH_KEY_BYTES 28u
#define BENCH_VALUE_BYTES 8u

/* Rows of one call of apply, and of drain. */
#define BENCH_APPLY_BUDGET 64u

/* The kinds of messages, their first byte; a hello counts as 0. */
enum bench_kind {
  BENCH_KIND_HELLO = 0,
  BENCH_KIND_DELTA = 1,
  BENCH_KIND_ACK = 2,
  BENCH_KIND_VECTOR = 3,
  BENCH_KIND_REPAIR = 5,
  BENCH_KIND_LOST = 6,
  BENCH_KIND_ASK = 8,
  BENCH_KIND_VOUCH = 9,
  BENCH_KIND_PROBE = 10,
  BENCH_KIND_ECHO = 11,
  BENCH_KIND_REACHED = 12,
  BENCH_KINDS = 16
};

struct bench_name {
  uint32_t size;
  uint8_t key[BENCH_KEY_BYTES];
};

struct bench_end {
  struct holt_mem mem;
  size_t usable; /* As the allocator rounds it. */
  struct holt_replica *replica;
  char node[24];
  struct holt_member member;
  uint64_t actor;
  uint32_t peer[BENCH_ENDS];
  unsigned deaf; /* Kinds that do not reach it, as bits. */
  bool dead;     /* It says nothing, and nothing reaches it. */
  bool quiet;    /* It has nothing to do before then: with `lazy`. */
  uint64_t due_ms;
  double poll_ns;
  double apply_ns; /* Opening and closing included. */
  double busy_ns;  /* All of its calls. */
  size_t calls;    /* So many. */
  double poll_worst_ns;
};

struct bench_world {
  struct bench_end ends[BENCH_ENDS];
  size_t count;
  struct holt_time now;
  struct holt_tuning tuning;
  struct bench_calls *calls;
  bool fine;                 /* Time each call of register and the like, too. */
  bool lazy;                 /* Poll only who has said that there is work. */
  size_t bytes[BENCH_KINDS]; /* Bodies. */
  size_t messages[BENCH_KINDS];

  /* Called with each message and its bytes, header included; or NULL. */
  void (*sent)(void *user, size_t from, size_t to, size_t kind, size_t bytes);
  void *sent_user;
};

/*--------------------------------------------------------------------
 * Names */

enum bench_shape {
  BENCH_USER,  /* {user, N}, the commonest shape of a name. */
  BENCH_BINARY /* Sixteen random bytes. */
};

static inline void *
bench_plain_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
  (void)user;
  (void)old_size;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_size);
}

static inline struct bench_name *
bench_names(enum bench_shape shape, size_t count)
{
  struct bench_name *const names = bench_alloc(count, sizeof *names);
  struct holt_mem mem;
  struct holt_key key;
  uint64_t random = 11;
  holt_mem_init(&mem, bench_plain_resize, NULL, 0);
  holt_key_init(&key, &mem, 0);
  for (size_t i = 0; i < count; i++) {
    holt_key_reset(&key);
    if (shape == BENCH_USER) {
      (void)holt_key_tuple(&key, 2);
      (void)holt_key_atom(&key, "user", 4);
      (void)holt_key_int(&key, (int64_t)(100000000 + i));
    } else {
      const uint64_t bytes[2] = { bench_random(&random),
                                  bench_random(&random) };
      (void)holt_key_binary(&key, bytes, sizeof bytes);
    }
    bench_must(holt_key_finish(&key), "key");
    names[i].size = (uint32_t)holt_key_size(&key);
    if (names[i].size > BENCH_KEY_BYTES) {
      bench_give_up("key", HOLT_ERR_TOO_LARGE);
    }
    memcpy(names[i].key, holt_key_bytes(&key), names[i].size);
  }
  holt_key_deinit(&key);
  return names;
}

/*--------------------------------------------------------------------
 * Ends */

static inline void *
bench_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
  struct bench_end *const end = user;
  const size_t before = ptr != NULL ? BENCH_USABLE(ptr) : 0;
  void *const resized = bench_plain_resize(NULL, ptr, old_size, new_size);
  end->usable -= new_size == 0 || resized != NULL ? before : 0;
  end->usable += resized != NULL ? BENCH_USABLE(resized) : 0;
  return resized;
}

static inline void
bench_end_open(struct bench_world *world, size_t at, uint64_t policy)
{
  struct bench_end *const end = &world->ends[at];
  *end = (struct bench_end){ .actor = UINT64_C(0x9000000000000001) + at };
  snprintf(end->node, sizeof end->node, "node%zu@127.0.0.1", at);
  end->member =
    (struct holt_member){ .name = (const uint8_t *)"bench",
                          .name_size = 5,
                          .node = (const uint8_t *)end->node,
                          .node_size = (uint16_t)strlen(end->node) };
  holt_mem_init(&end->mem, bench_resize, end, 0);
  const struct holt_config config = { .mem = &end->mem,
                                      .member = end->member,
                                      .actor = end->actor,
                                      .creation = 1,
                                      .hash_seed = { 17, 4 + at },
                                      .entropy = 99 + at,
                                      .policy = policy,
                                      .tuning = world->tuning };
  bench_must(holt_replica_new(&end->replica, &config, &world->now), "new");
}

/* Memory that is freed stays with the process, if the allocator can be told so:
 * it would give back a hundred megabytes within one free(), which takes
 * milliseconds, and hosts have other allocators. */
static inline void
bench_keep_memory(void)
{
#ifdef __GLIBC__
  (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

/* The world must stay where it is. */
static inline void
bench_open(struct bench_world *world, size_t count, uint64_t policy,
           struct bench_calls *calls)
{
  bench_keep_memory();
  *world = (struct bench_world){ .count = count,
                                 .now = { 1000, UINT64_C(1800000000000) },
                                 .calls = calls };
  holt_tuning_init(&world->tuning);
  for (size_t i = 0; i < count; i++) {
    bench_end_open(world, i, policy);
  }
}

/* Count a call of this end that began at start. */
static inline double
bench_end_call(struct bench_world *world, size_t at, enum bench_call call,
               double start)
{
  const double ns = bench_clock_ns() - start;
  bench_called(world->calls, call, ns);
  world->ends[at].busy_ns += ns;
  world->ends[at].calls++;
  return ns;
}

static inline void
bench_end_close(struct bench_world *world, size_t at)
{
  bool empty = world->ends[at].replica == NULL;
  while (!empty) {
    const double start = bench_clock_ns();
    empty = holt_replica_drain(world->ends[at].replica, 4 * BENCH_APPLY_BUDGET);
    (void)bench_end_call(world, at, BENCH_DRAIN, start);
  }
  if (world->ends[at].replica != NULL) {
    holt_replica_delete(world->ends[at].replica);
    world->ends[at].replica = NULL;
  }
}

static inline void
bench_close(struct bench_world *world)
{
  for (size_t i = 0; i < world->count; i++) {
    bench_end_close(world, i);
  }
}

/* Begin to count times and bytes anew. */
static inline void
bench_reset(struct bench_world *world)
{
  memset(world->bytes, 0, sizeof world->bytes);
  memset(world->messages, 0, sizeof world->messages);
  for (size_t i = 0; i < world->count; i++) {
    world->ends[i].poll_ns = 0;
    world->ends[i].apply_ns = 0;
    world->ends[i].busy_ns = 0;
    world->ends[i].calls = 0;
    world->ends[i].poll_worst_ns = 0;
  }
}

/* All that was sent since, headers included. */
static inline size_t
bench_sent(const struct bench_world *world)
{
  size_t bytes = 0;
  for (size_t i = 0; i < BENCH_KINDS; i++) {
    bytes += world->bytes[i];
    bytes += i != BENCH_KIND_HELLO ? world->messages[i] * HOLT_HEADER_BYTES : 0;
  }
  return bytes;
}

/*--------------------------------------------------------------------
 * The host's loop */

static inline void
bench_up(struct bench_world *world, size_t at, size_t other)
{
  struct bench_end *const end = &world->ends[at];
  const double start = bench_clock_ns();
  bench_must(holt_replica_peer_up(end->replica, &world->ends[other].member,
                                  &world->now, &end->peer[other]),
             "peer_up");
  (void)bench_end_call(world, at, BENCH_PEER_UP, start);
}

static inline double
bench_down(struct bench_world *world, size_t at, size_t other)
{
  const double start = bench_clock_ns();
  holt_replica_peer_down(world->ends[at].replica, world->ends[at].peer[other],
                         HOLT_DOWN_LINK, &world->now);
  return bench_end_call(world, at, BENCH_PEER_DOWN, start);
}

static inline void
bench_link(struct bench_world *world, size_t left, size_t right)
{
  bench_up(world, left, right);
  bench_up(world, right, left);
}

static inline void
bench_apply(struct bench_world *world, size_t to, const uint8_t *header,
            const struct holt_effect *effect)
{
  struct bench_end *const end = &world->ends[to];
  struct holt_message *message;
  double start = bench_clock_ns();
  bench_must(holt_message_open(&message, &end->mem, header, HOLT_HEADER_BYTES,
                               effect->bytes, effect->size),
             "message");
  end->apply_ns += bench_end_call(world, to, BENCH_OPEN, start);
  int rv;
  do {
    start = bench_clock_ns();
    rv = holt_replica_apply(end->replica, message, &world->now,
                            BENCH_APPLY_BUDGET);
    end->apply_ns += bench_end_call(world, to, BENCH_APPLY, start);
  } while (rv == HOLT_MORE);
  if (rv != HOLT_ERR_STALE) {
    bench_must(rv, "apply");
  }
  start = bench_clock_ns();
  holt_message_close(message);
  end->apply_ns += bench_clock_ns() - start;
}

static inline void
bench_send(struct bench_world *world, size_t from,
           const struct holt_effect *effect, const struct holt_target *target)
{
  size_t to = 0;
  while (to < world->count &&
         (to == from || world->ends[from].peer[to] != target->peer)) {
    to++;
  }
  if (to == world->count || world->ends[to].replica == NULL) {
    return;
  }
  struct bench_end *const end = &world->ends[to];
  const bool hello = effect->type == HOLT_EFFECT_HELLO;
  const size_t kind = hello ? BENCH_KIND_HELLO : effect->bytes[0] % BENCH_KINDS;
  world->bytes[kind] += effect->size;
  world->messages[kind]++;
  if (world->sent != NULL) {
    world->sent(world->sent_user, from, to, kind,
                effect->size + (hello ? 0 : HOLT_HEADER_BYTES));
  }
  if (end->dead) {
    return;
  }
  if (!hello && (end->deaf >> kind & 1u) == 0) {
    bench_apply(world, to, target->header, effect);
  } else if (hello) {
    const double start = bench_clock_ns();
    bench_must(holt_replica_hello(end->replica, &world->ends[from].member,
                                  effect->bytes, effect->size, &world->now,
                                  &end->peer[from]),
               "hello");
    (void)bench_end_call(world, to, BENCH_HELLO, start);
  }
}

/* Carry out one effect of an end; false when it has none. */
static inline bool
bench_step(struct bench_world *world, size_t at)
{
  struct bench_end *const end = &world->ends[at];
  if (end->replica == NULL || end->dead ||
      (world->lazy && end->quiet && world->now.mono_ms < end->due_ms &&
       !holt_replica_wake(end->replica))) {
    return false;
  }
  struct holt_effect effect;
  const double start = bench_clock_ns();
  holt_replica_poll(end->replica, &world->now, &effect);
  const double ns = bench_end_call(world, at, BENCH_POLL, start);
  end->poll_ns += ns;
  end->poll_worst_ns = ns > end->poll_worst_ns ? ns : end->poll_worst_ns;
  end->quiet = effect.type == HOLT_EFFECT_NONE && effect.timeout_ms > 0;
  if (effect.type == HOLT_EFFECT_CONFLICT) {
    return true;
  }
  if (effect.type == HOLT_EFFECT_NONE) {
    end->due_ms = effect.timeout_ms < UINT64_MAX - world->now.mono_ms
                    ? world->now.mono_ms + effect.timeout_ms
                    : UINT64_MAX;
    return effect.timeout_ms == 0;
  }
  for (size_t i = 0; i < effect.target_count; i++) {
    bench_send(world, at, &effect, &effect.targets[i]);
  }
  return true;
}

/* Until nobody has anything to do at this time. */
static inline void
bench_run(struct bench_world *world)
{
  bool busy = true;
  while (busy) {
    busy = false;
    for (size_t i = 0; i < world->count; i++) {
      busy = bench_step(world, i) || busy;
    }
  }
}

static inline void
bench_wait(struct bench_world *world, uint64_t duration_ms)
{
  for (uint64_t passed_ms = 0; passed_ms < duration_ms; passed_ms += 10) {
    world->now.mono_ms += 10;
    world->now.wall_ms += 10;
    bench_run(world);
  }
}

/*--------------------------------------------------------------------
 * What a host is asked for */

/* A process of this number, unless it is known. */
static inline void
bench_process(struct bench_world *world, size_t at, uint32_t id)
{
  const double start = world->fine ? bench_clock_ns() : 0;
  const int rv =
    holt_replica_owner_add(world->ends[at].replica, id, 0, 0x1000u + id);
  if (world->fine) {
    (void)bench_end_call(world, at, BENCH_OWNER_ADD, start);
  }
  bench_must(rv == HOLT_ERR_EXISTS ? 0 : rv, "owner_add");
}

static inline uint64_t
bench_register(struct bench_world *world, size_t at,
               const struct bench_name *name, uint32_t id)
{
  const struct holt_registration registration = { .key = name->key,
                                                  .key_size = name->size,
                                                  .id = id };
  uint64_t birth;
  const double start = world->fine ? bench_clock_ns() : 0;
  const int rv = holt_replica_register(world->ends[at].replica, &world->now,
                                       &registration, &birth);
  if (world->fine) {
    (void)bench_end_call(world, at, BENCH_REGISTER, start);
  }
  bench_must(rv, "register");
  return birth;
}

static inline void
bench_unregister(struct bench_world *world, size_t at, uint64_t birth)
{
  uint64_t seq;
  const double start = world->fine ? bench_clock_ns() : 0;
  const int rv = holt_replica_unregister(world->ends[at].replica, birth, &seq);
  if (world->fine) {
    (void)bench_end_call(world, at, BENCH_UNREGISTER, start);
  }
  bench_must(rv, "unregister");
}

/* A small value, another one than it was born with. */
static inline void
bench_update(struct bench_world *world, size_t at, uint64_t birth)
{
  static const uint8_t value[] = { 131, 109, 0, 0, 0, 2, 'o', 'k' };
  uint64_t seq = birth;
  const double start = world->fine ? bench_clock_ns() : 0;
  const int rv = holt_replica_update(world->ends[at].replica, birth, &seq,
                                     value, BENCH_VALUE_BYTES);
  if (world->fine) {
    (void)bench_end_call(world, at, BENCH_UPDATE, start);
  }
  bench_must(rv, "update");
}

static inline bool
bench_find(struct bench_world *world, size_t at, const struct bench_name *name)
{
  struct holt_view view;
  const double start = world->fine ? bench_clock_ns() : 0;
  const bool found =
    holt_replica_find(world->ends[at].replica, name->key, name->size, &view);
  if (world->fine) {
    (void)bench_end_call(world, at, BENCH_FIND, start);
  }
  return found;
}

static inline size_t
bench_count(struct bench_world *world, size_t at)
{
  const double start = bench_clock_ns();
  const size_t count = holt_replica_count(world->ends[at].replica);
  (void)bench_end_call(world, at, BENCH_COUNT, start);
  return count;
}

/* Register names, so many for each process; births may be NULL. */
static inline void
bench_fill(struct bench_world *world, size_t at, const struct bench_name *names,
           size_t count, size_t each, uint64_t *births)
{
  for (size_t i = 0; i < count; i++) {
    const uint32_t id = (uint32_t)(1000 + i / each);
    if (i % each == 0) {
      bench_process(world, at, id);
    }
    const uint64_t birth = bench_register(world, at, &names[i], id);
    if (births != NULL) {
      births[i] = birth;
    }
    if (i % 1000 == 999) {
      world->now.mono_ms++;
      world->now.wall_ms++;
    }
  }
}

#endif /* HOLT_BENCH_WORLD_H */
