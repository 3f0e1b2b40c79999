/* SPDX-License-Identifier: Apache-2.0 */
/* What does the core cost, without the BEAM around it?
 *
 * Two replicas in one process, A and B, joined by memcpy.  A registers names
 * and finds them, encodes them for B, B applies them, A takes them away again.
 * Every figure is the median of several rounds, in nanoseconds per name, with
 * the smallest and the largest beside it.
 *
 *     register ... find ... encode --bytes--> apply ... find ... unregister
 *
 * A find is one cache miss or several, so it is shown beside what nobody can
 * go below: reading one random key out of an array of all keys ("touch").
 *
 * Order:   names are found and taken away in one random order, fixed by a seed.
 * Memory:  about 600 bytes per name, for all sizes one after the other.
 * Threads: one.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <holt/error.h>
#include <holt/key.h>
#include <holt/mem.h>
#include <holt/replica.h>

#define ROUNDS_MAX 7
#define KEY_BYTES 32
#define APPLY_BUDGET 64

enum step {
  STEP_TOUCH,
  STEP_ENCODE_KEY,
  STEP_REGISTER,
  STEP_FIND,
  STEP_FIND_MISSING,
  STEP_ENCODE,
  STEP_APPLY,
  STEP_FIND_REMOTE,
  STEP_UNREGISTER,
  STEP_COUNT
};

static const char *const step_names[STEP_COUNT] = {
  "touch",  "key",   "register",    "find",       "find missing",
  "encode", "apply", "find remote", "unregister",
};

struct name {
  uint32_t size;
  uint8_t key[KEY_BYTES];
};

struct bench {
  size_t count;
  struct name *names;
  uint32_t *order;
  double ns[STEP_COUNT][ROUNDS_MAX];
  struct holt_mem mem[2];
  struct holt_replica *replica[2];
  uint32_t peer[2];
  size_t wire_bytes;
  size_t key_bytes;
  size_t messages;
  uint64_t checksum; /* Keeps the compiler from dropping what is measured. */
};

/*--------------------------------------------------------------------
 * Tools */

_Noreturn static void
give_up(const char *what, int rv)
{
  fprintf(stderr, "bench_core: %s: %s\n", what, holt_error_text(rv));
  exit(1);
}

static void
must(int rv, const char *what)
{
  if (rv != 0) {
    give_up(what, rv);
  }
}

static double
now_ns(void)
{
  struct timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) {
    give_up("no clock", HOLT_ERR_UNSUPPORTED);
  }
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static struct holt_time
host_time(void)
{
  struct timespec mono;
  struct timespec wall;
  (void)clock_gettime(CLOCK_MONOTONIC, &mono);
  (void)clock_gettime(CLOCK_REALTIME, &wall);
  return (struct holt_time){
    .mono_ms = (uint64_t)mono.tv_sec * 1000 + (uint64_t)mono.tv_nsec / 1000000,
    .wall_ms = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000,
  };
}

static void *
resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
  (void)user;
  (void)old_size;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_size);
}

static uint64_t
random_next(uint64_t *state)
{
  *state += UINT64_C(0x9e3779b97f4a7c15);
  uint64_t x = *state;
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static int
compare_doubles(const void *left, const void *right)
{
  const double a = *(const double *)left;
  const double b = *(const double *)right;
  return (a > b) - (a < b);
}

/*--------------------------------------------------------------------
 * Names */

/* {user, N}, the commonest shape of a name. */
static void
push_key(struct holt_key *key, size_t number)
{
  holt_key_reset(key);
  (void)holt_key_tuple(key, 2);
  (void)holt_key_atom(key, "user", 4);
  (void)holt_key_int(key, (int64_t)number);
  must(holt_key_finish(key), "key");
}

static void
make_names(struct bench *bench)
{
  struct holt_mem mem;
  struct holt_key key;
  holt_mem_init(&mem, resize, NULL, 0);
  holt_key_init(&key, &mem, 0);
  uint64_t random = 1;
  bench->names = malloc(2 * bench->count * sizeof *bench->names);
  bench->order = malloc(bench->count * sizeof *bench->order);
  if (bench->names == NULL || bench->order == NULL) {
    give_up("names", HOLT_ERR_NOMEM);
  }
  /* The second half is never registered. */
  for (size_t i = 0; i < 2 * bench->count; i++) {
    push_key(&key, 100000000 + i);
    bench->names[i].size = (uint32_t)holt_key_size(&key);
    memcpy(bench->names[i].key, holt_key_bytes(&key), holt_key_size(&key));
  }
  for (size_t i = 0; i < bench->count; i++) {
    const size_t j = (size_t)(random_next(&random) % (i + 1));
    bench->order[i] = bench->order[j];
    bench->order[j] = (uint32_t)i;
    bench->key_bytes += bench->names[i].size;
  }
  holt_key_deinit(&key);
}

/*--------------------------------------------------------------------
 * Two replicas */

static struct holt_member
member_of(size_t which)
{
  static const char *const nodes[2] = { "a@127.0.0.1", "b@127.0.0.1" };
  return (struct holt_member){
    .name = (const uint8_t *)"bench",
    .name_size = 5,
    .node = (const uint8_t *)nodes[which],
    .node_size = (uint16_t)strlen(nodes[which]),
  };
}

static void
open_replica(struct bench *bench, size_t which)
{
  const struct holt_time now = host_time();
  struct holt_config config = { .mem = &bench->mem[which],
                                .member = member_of(which),
                                .actor = 1000 + which,
                                .creation = 1,
                                .hash_seed = { 17, 4 + which },
                                .entropy = 99 + which,
                                .policy = 1 };
  holt_tuning_init(&config.tuning);
  holt_mem_init(&bench->mem[which], resize, NULL, 0);
  must(holt_replica_new(&bench->replica[which], &config, &now), "new");
}

static void
close_replica(struct bench *bench, size_t which)
{
  while (!holt_replica_drain(bench->replica[which], 4096)) {
  }
  holt_replica_delete(bench->replica[which]);
}

static void
apply(struct bench *bench, size_t to, const struct holt_effect *effect)
{
  struct holt_tuning tuning;
  struct holt_message *message;
  holt_tuning_init(&tuning);
  must(holt_message_open(&message, &bench->mem[to], &tuning,
                         effect->targets[0].header, HOLT_HEADER_BYTES,
                         effect->bytes, effect->size),
       "message");
  const struct holt_time now = host_time();
  int rv;
  do {
    rv = holt_replica_apply(bench->replica[to], message, &now, APPLY_BUDGET);
  } while (rv == HOLT_MORE);
  must(rv, "apply");
  holt_message_close(message);
}

/* Carry out one effect of a replica; false when it has none.  The two times are
 * added to those of encoding and of applying. */
static bool
turn(struct bench *bench, size_t from, double *encode_ns, double *apply_ns)
{
  const size_t to = 1 - from;
  const struct holt_member member = member_of(from);
  const struct holt_time now = host_time();
  struct holt_effect effect;
  double start = now_ns();
  holt_replica_poll(bench->replica[from], &now, &effect);
  *encode_ns += now_ns() - start;
  start = now_ns();
  switch (effect.type) {
  case HOLT_EFFECT_NONE:
    return effect.timeout_ms == 0;
  case HOLT_EFFECT_HELLO:
    must(holt_replica_hello(bench->replica[to], &member, effect.bytes,
                            effect.size, &now, &bench->peer[to]),
         "hello");
    break;
  case HOLT_EFFECT_SEND:
    apply(bench, to, &effect);
    bench->wire_bytes += HOLT_HEADER_BYTES + effect.size;
    bench->messages++;
    break;
  case HOLT_EFFECT_CONFLICT:
    give_up("a conflict", HOLT_ERR_EXISTS);
  }
  *apply_ns += now_ns() - start;
  return true;
}

static void
sync(struct bench *bench, double *encode_ns, double *apply_ns)
{
  bool busy = true;
  while (busy) {
    busy = turn(bench, 0, encode_ns, apply_ns);
    busy = turn(bench, 1, encode_ns, apply_ns) || busy;
  }
}

static void
connect_replicas(struct bench *bench)
{
  double ignored = 0;
  for (size_t i = 0; i < 2; i++) {
    const struct holt_member other = member_of(1 - i);
    const struct holt_time now = host_time();
    must(holt_replica_peer_up(bench->replica[i], &other, &now, &bench->peer[i]),
         "peer_up");
  }
  sync(bench, &ignored, &ignored);
}

/*--------------------------------------------------------------------
 * Steps */

/* The next read waits for the one before, as within a find. */
static void
step_touch(struct bench *bench)
{
  const volatile size_t none = 0;
  const size_t mask = none;
  size_t last = 0;
  for (size_t i = 0; i < bench->count; i++) {
    last = bench->names[bench->order[i + (last & mask)]].key[7];
    bench->checksum += last;
  }
}

static void
step_encode_key(struct bench *bench)
{
  struct holt_mem mem;
  struct holt_key key;
  holt_mem_init(&mem, resize, NULL, 0);
  holt_key_init(&key, &mem, 0);
  for (size_t i = 0; i < bench->count; i++) {
    push_key(&key, 100000000 + i);
    bench->checksum += holt_key_size(&key);
  }
  holt_key_deinit(&key);
}

/* Each name has its own process, as names usually have. */
static void
step_register(struct bench *bench)
{
  const struct holt_time now = host_time();
  struct holt_replica *const replica = bench->replica[0];
  for (size_t i = 0; i < bench->count; i++) {
    const struct name *const name = &bench->names[i];
    const uint32_t id = (uint32_t)i + 1;
    must(holt_replica_owner_add(replica, id, 0, id), "owner");
    must(holt_replica_register(replica, &now, name->key, name->size, NULL, 0,
                               id, 0),
         "register");
  }
}

static void
find_all(struct bench *bench, size_t which, size_t first, bool expected)
{
  struct holt_view view;
  for (size_t i = 0; i < bench->count; i++) {
    const struct name *const name = &bench->names[first + bench->order[i]];
    if (holt_replica_find(bench->replica[which], name->key, name->size,
                          &view) != expected) {
      give_up("find", HOLT_ERR_NOT_FOUND);
    }
  }
}

static void
step_unregister(struct bench *bench)
{
  uint64_t seq;
  for (size_t i = 0; i < bench->count; i++) {
    const struct name *const name = &bench->names[bench->order[i]];
    must(
      holt_replica_unregister(bench->replica[0], name->key, name->size, &seq),
      "unregister");
  }
}

static double
timed(struct bench *bench, void (*step)(struct bench *bench))
{
  const double start = now_ns();
  step(bench);
  return now_ns() - start;
}

static double
timed_find(struct bench *bench, size_t which, size_t first, bool expected)
{
  const double start = now_ns();
  find_all(bench, which, first, expected);
  return now_ns() - start;
}

static void
run_round(struct bench *bench, size_t round, size_t memory[2])
{
  double ns[STEP_COUNT] = { 0 };
  open_replica(bench, 0);
  open_replica(bench, 1);
  connect_replicas(bench);
  const size_t empty[2] = { bench->mem[0].bytes, bench->mem[1].bytes };
  bench->wire_bytes = 0;
  bench->messages = 0;

  ns[STEP_TOUCH] = timed(bench, step_touch);
  ns[STEP_ENCODE_KEY] = timed(bench, step_encode_key);
  ns[STEP_REGISTER] = timed(bench, step_register);
  ns[STEP_FIND] = timed_find(bench, 0, 0, true);
  ns[STEP_FIND_MISSING] = timed_find(bench, 0, bench->count, false);
  sync(bench, &ns[STEP_ENCODE], &ns[STEP_APPLY]);
  ns[STEP_FIND_REMOTE] = timed_find(bench, 1, 0, true);
  memory[0] = bench->mem[0].bytes - empty[0];
  memory[1] = bench->mem[1].bytes - empty[1];
  ns[STEP_UNREGISTER] = timed(bench, step_unregister);
  for (size_t i = 0; i < STEP_COUNT; i++) {
    bench->ns[i][round] = ns[i] / (double)bench->count;
  }
  close_replica(bench, 0);
  close_replica(bench, 1);
}

static void
run(size_t count, size_t rounds)
{
  struct bench bench = { .count = count };
  size_t memory[2] = { 0, 0 };
  make_names(&bench);
  for (size_t round = 0; round < rounds; round++) {
    run_round(&bench, round, memory);
  }
  const double names = (double)count;
  printf("\n%zu names: %.1f bytes a name on the wire (its key alone: %.1f),"
         " memory %.0f owner, %.0f replica; %zu rounds\n",
         count, (double)bench.wire_bytes / names,
         (double)bench.key_bytes / names, (double)memory[0] / names,
         (double)memory[1] / names, rounds);
  double touch = 0;
  for (size_t i = 0; i < STEP_COUNT; i++) {
    double *const ns = bench.ns[i];
    qsort(ns, rounds, sizeof *ns, compare_doubles);
    touch = i == STEP_TOUCH ? ns[rounds / 2] : touch;
    printf("  %-14s %7.0f ns  (%.0f .. %.0f)  %6.1f x touch\n", step_names[i],
           ns[rounds / 2], ns[0], ns[rounds - 1], ns[rounds / 2] / touch);
  }
  free(bench.names);
  free(bench.order);
}

int
main(void)
{
  static const struct {
    size_t count;
    size_t rounds;
  } sizes[] = { { 1000, ROUNDS_MAX },
                { 10000, ROUNDS_MAX },
                { 100000, ROUNDS_MAX },
                { 1000000, 3 } };
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    run(sizes[i].count, sizes[i].rounds);
  }
  return 0;
}
