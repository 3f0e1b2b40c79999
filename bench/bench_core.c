/* SPDX-License-Identifier: Apache-2.0 */
/* What does the core cost, without the BEAM around it?
 *
 *     joining, encoding   rows of one replica on their way to another
 *     one at a time       register, find, unregister among 1k to 1M names
 *     groups              join and leave, whatever the size of the group
 *
 * Beside each figure stands what nobody can go below, measured here: a read of
 * memory that waits for the one before, or the copying of the bytes; and what
 * others take, from their own benchmarks on a machine like this one.
 *
 * Order:   names are found and taken away in random orders, fixed by seeds.
 * Memory:  about 400 bytes per name, for all sizes one after the other.
 * Threads: one.
 */
#include "bench_world.h"

#define ROUNDS 7
#define SINGLES 50000u

#define DELTA_CRDT                                                             \
  "delta_crdt 0.6.4: join of a 1,000-entry delta 1.9 ms (map of 1k) = 0.53 "   \
  "M/s"
#define DELTA_CRDT_100K                                                        \
  "delta_crdt 0.6.4: join of a 1,000-entry delta 2.3 ms (map of 100k) = 0.43 " \
  "M/s"

/*--------------------------------------------------------------------
 * Joining and encoding */

struct rates {
  struct bench_sample join;
  struct bench_sample encode;
  struct bench_sample little; /* A delta of 1,000 into all of it. */
  struct bench_sample update; /* A tenth has changed, here and there. */
  struct bench_sample encode_update;
  size_t bytes; /* Of memory, of the one that joins. */
  size_t wire;
};

static void
rates_update(struct rates *rates, struct bench_world *world,
             const uint64_t *births, const uint32_t *order, size_t count)
{
  world->fine = true;
  for (size_t i = 0; i < count; i++) {
    bench_update(world, 0, births[order[i]]);
  }
  world->fine = false;
  bench_reset(world);
  bench_run(world);
  bench_add(&rates->update, (double)count / world->ends[1].apply_ns * 1e3);
  bench_add(&rates->encode_update,
            (double)count / world->ends[0].poll_ns * 1e3);
}

static void
rates_round(struct rates *rates, const struct bench_name *names, size_t count,
            struct bench_calls *calls)
{
  struct bench_world world;
  uint64_t *const births = bench_alloc(count, sizeof *births);
  uint32_t *const order = bench_order(count, 4);
  bench_open(&world, 2, HOLT_POLICY_UNIQUE_KEEP_NEWEST, calls);
  bench_fill(&world, 0, names, count, 1, births);
  bench_link(&world, 0, 1);
  bench_reset(&world);
  bench_run(&world);
  if (bench_count(&world, 1) != count) {
    bench_give_up("joining", HOLT_ERR_NOT_FOUND);
  }
  bench_add(&rates->join, (double)count / world.ends[1].apply_ns * 1e3);
  bench_add(&rates->encode, (double)count / world.ends[0].poll_ns * 1e3);
  rates->bytes = world.ends[1].mem.bytes;
  rates->wire = bench_sent(&world);

  for (uint32_t i = 0; i < 1000; i++) {
    bench_process(&world, 0, 5000000 + i);
    (void)bench_register(&world, 0, &names[count + i], 5000000 + i);
  }
  bench_reset(&world);
  bench_run(&world);
  bench_add(&rates->little, 1e6 / world.ends[1].apply_ns);
  rates_update(rates, &world, births, order, count / 10);
  bench_close(&world);
  free(births);
  free(order);
  bench_calls_round(calls);
}

/* Copying what was encoded, in messages of 64 KiB. */
static double
floor_copy(size_t bytes)
{
  const size_t piece = bytes < 65536 ? bytes : 65536;
  uint8_t *const from = bench_alloc(bytes, 1);
  uint8_t *const to = bench_alloc(piece, 1);
  volatile uint8_t sink;
  const double start = bench_clock_ns();
  for (size_t i = 0; i + piece <= bytes; i += piece) {
    memcpy(to, from + i, piece);
    sink = to[i % piece];
    (void)sink;
  }
  const double ns = bench_clock_ns() - start;
  free(from);
  free(to);
  return ns;
}

static void
rates(size_t count, size_t rounds, struct bench_calls *calls)
{
  struct rates rates = { .bytes = 0 };
  struct bench_name *const names = bench_names(BENCH_USER, count + 1000);
  for (size_t i = 0; i < rounds; i++) {
    rates_round(&rates, names, count, calls);
  }
  const double read_ns = bench_floor_read(rates.bytes);
  const double copy_ns = floor_copy(rates.wire);
  bench_line(bench_text("join %zu rows (message_open, apply)", count),
             &rates.join, "M/s", BENCH_AT_LEAST, 2,
             count < 100000 ? DELTA_CRDT : DELTA_CRDT_100K);
  printf("    floor: a read that waits, in the %.1f MB of it: %.1f ns; %.1f of "
         "them a row\n",
         (double)rates.bytes / 1e6, read_ns,
         1e3 / bench_median(&rates.join) / read_ns);
  bench_line(bench_text("join 1000 more into %zu", count), &rates.little, "M/s",
             BENCH_AT_LEAST, 2, count < 100000 ? DELTA_CRDT : DELTA_CRDT_100K);
  bench_line(bench_text("join %zu changed rows of %zu", count / 10, count),
             &rates.update, "M/s", BENCH_AT_LEAST, 2, NULL);
  bench_line(bench_text("encode %zu rows (poll)", count), &rates.encode, "M/s",
             BENCH_AT_LEAST, 3,
             bench_text("floor: copying its %.2f MB of messages: %.0f M rows/s",
                        (double)rates.wire / 1e6,
                        (double)count / copy_ns * 1e3));
  bench_line(bench_text("encode %zu changed rows of %zu", count / 10, count),
             &rates.encode_update, "M/s", BENCH_AT_LEAST, 3, NULL);
  bench_calls_section(calls);
  free(names);
}

/*--------------------------------------------------------------------
 * One at a time */

enum single {
  SINGLE_FIND,
  SINGLE_MISSING,
  SINGLE_UNREGISTER,
  SINGLE_PROCESS,
  SINGLE_REGISTER,
  SINGLE_COUNT
};

/* A few names out of all, gathered, so that the reading of them is not part of
 * what is measured. */
struct few {
  struct bench_name *names;
  uint64_t *births;
};

struct singles {
  struct bench_world world;
  struct bench_name *names; /* Those there are, then as many as a few more. */
  uint64_t *births;
  uint32_t *owners;
  uint32_t *order;
  size_t count;
  size_t few;
  size_t at; /* In the order, where the next few begin. */
  uint32_t next_owner;
  struct few found;
  struct few moved;
  struct bench_sample ns[SINGLE_COUNT];
};

static uint32_t
pick(const struct singles *s, size_t i)
{
  return s->order[(s->at + i) % s->count];
}

static double
since(double *start, size_t count)
{
  const double now = bench_clock_ns();
  const double ns = (now - *start) / (double)count;
  *start = now;
  return ns;
}

/* Some are found; others are taken away, and registered again for other
 * processes. */
static void
singles_measure(struct singles *s, double ns[SINGLE_COUNT])
{
  size_t found = 0;
  double start = bench_clock_ns();
  for (size_t i = 0; i < s->few; i++) {
    found += bench_find(&s->world, 0, &s->found.names[i]) ? 1 : 0;
  }
  ns[SINGLE_FIND] = since(&start, s->few);
  for (size_t i = 0; i < s->few; i++) {
    found += bench_find(&s->world, 0, &s->names[s->count + i]) ? 1 : 0;
  }
  ns[SINGLE_MISSING] = since(&start, s->few);
  if (found != s->few) {
    bench_give_up("find", HOLT_ERR_NOT_FOUND);
  }
  start = bench_clock_ns();
  for (size_t i = 0; i < s->few; i++) {
    bench_unregister(&s->world, 0, s->moved.births[i]);
  }
  ns[SINGLE_UNREGISTER] = since(&start, s->few);
  for (uint32_t i = 0; i < s->few; i++) {
    bench_process(&s->world, 0, s->next_owner + i);
  }
  ns[SINGLE_PROCESS] = since(&start, s->few);
  for (uint32_t i = 0; i < s->few; i++) {
    s->moved.births[i] =
      bench_register(&s->world, 0, &s->moved.names[i], s->next_owner + i);
  }
  ns[SINGLE_REGISTER] = since(&start, s->few);
}

static void
singles_round(struct singles *s, bool counted)
{
  double ns[SINGLE_COUNT];
  for (size_t i = 0; i < s->few; i++) {
    s->found.names[i] = s->names[pick(s, i + s->count / 2)];
    s->moved.names[i] = s->names[pick(s, i)];
    s->moved.births[i] = s->births[pick(s, i)];
  }
  singles_measure(s, ns);
  for (uint32_t i = 0; i < s->few; i++) {
    const uint32_t at = pick(s, i);
    holt_replica_owner_forget(s->world.ends[0].replica, s->owners[at], 0);
    s->owners[at] = s->next_owner + i;
    s->births[at] = s->moved.births[i];
  }
  s->next_owner += (uint32_t)s->few;
  s->at += s->few;
  for (size_t i = 0; counted && i < SINGLE_COUNT; i++) {
    bench_add(&s->ns[i], ns[i]);
  }
}

static void
singles_open(struct singles *s, size_t count, struct bench_calls *calls)
{
  *s = (struct singles){ .count = count,
                         .few = count / 2 < SINGLES ? count / 2 : SINGLES,
                         .next_owner = 5000000 };
  s->names = bench_names(BENCH_USER, count + s->few);
  s->births = bench_alloc(count, sizeof *s->births);
  s->owners = bench_alloc(count, sizeof *s->owners);
  s->order = bench_order(count, 5);
  s->found.names = bench_alloc(s->few, sizeof *s->found.names);
  s->moved.names = bench_alloc(s->few, sizeof *s->moved.names);
  s->moved.births = bench_alloc(s->few, sizeof *s->moved.births);
  bench_open(&s->world, 1, HOLT_POLICY_UNIQUE_KEEP_NEWEST, calls);
  for (uint32_t i = 0; i < count; i++) {
    s->owners[i] = 1000 + i;
  }
}

static void
singles_close(struct singles *s)
{
  bench_close(&s->world);
  free(s->names);
  free(s->births);
  free(s->owners);
  free(s->order);
  free(s->found.names);
  free(s->moved.names);
  free(s->moved.births);
}

static void
singles(size_t count, struct bench_calls *calls)
{
  static const char *const others[SINGLE_COUNT] = {
    [SINGLE_FIND] = "OTP 25, from a loop in the BEAM: ets:lookup 153 (1k), 343 "
                    "(100k), 582 (1M)",
    [SINGLE_UNREGISTER] = "gproc 1.1.0: 3,300, one caller, 100k names",
    [SINGLE_REGISTER] = "delta_crdt 0.6.4: AWLWWMap add 400 (1k) to 890 "
                        "(100k); gproc 1.1.0: 2,800"
  };
  static const char *const names[SINGLE_COUNT] = {
    "find", "find nothing", "unregister", "make a process known", "register"
  };
  static struct singles s;
  singles_open(&s, count, calls);
  s.world.fine = true; /* Growth has its longest calls. */
  bench_fill(&s.world, 0, s.names, count, 1, s.births);
  bench_calls_round(calls);
  singles_round(&s, false);
  s.world.fine = false;
  for (size_t i = 0; i < ROUNDS; i++) {
    singles_round(&s, true);
  }
  for (size_t i = 0; i < SINGLE_COUNT; i++) {
    bench_line(bench_text("among %zu: %s", count, names[i]), &s.ns[i], "ns",
               BENCH_NO_GOAL, 0, others[i]);
  }
  const size_t bytes = s.world.ends[0].mem.bytes;
  printf("    floor: a read that waits, in the %.1f MB of it: %.1f ns\n",
         (double)bytes / 1e6, bench_floor_read(bytes));
  singles_close(&s);
  bench_calls_section(calls);
}

/*--------------------------------------------------------------------
 * Groups */

struct groups {
  size_t count; /* Groups. */
  size_t each;  /* Their members. */
};

/* So many processes join and leave again, one after the other: no group is ever
 * larger than it was by more than one. */
static double
groups_turn(struct bench_world *world, const struct bench_name *names,
            size_t spread)
{
  const double start = bench_clock_ns();
  for (uint32_t i = 0; i < SINGLES; i++) {
    const uint64_t birth =
      bench_register(world, 0, &names[i * spread], 5000000 + i);
    bench_unregister(world, 0, birth);
  }
  return (bench_clock_ns() - start) / SINGLES;
}

static double
groups(const struct groups *g, struct bench_calls *calls)
{
  static struct bench_world world;
  struct bench_sample sample = { .count = 0 };
  struct bench_name *const names = bench_names(BENCH_USER, g->count);
  struct bench_name *const some = bench_alloc(SINGLES, sizeof *some);
  uint32_t *const order = bench_order(g->count, 6);
  for (size_t i = 0; i < SINGLES; i++) {
    some[i] = names[order[i % g->count]];
  }
  bench_open(&world, 1, HOLT_POLICY_DUPLICATE, calls);
  world.fine = true;
  for (uint32_t i = 0; i < g->count * g->each; i++) {
    bench_process(&world, 0, 1000 + i);
    (void)bench_register(&world, 0, &names[i % g->count], 1000 + i);
  }
  bench_calls_round(calls);
  for (uint32_t i = 0; i < SINGLES; i++) {
    bench_process(&world, 0, 5000000 + i);
  }
  (void)groups_turn(&world, some, g->count == 1 ? 0 : 1);
  world.fine = false;
  for (size_t i = 0; i < ROUNDS; i++) {
    bench_add(&sample, groups_turn(&world, some, g->count == 1 ? 0 : 1));
  }
  bench_line(bench_text("join, leave: %zu x a group of %zu", g->count, g->each),
             &sample, "ns", BENCH_NO_GOAL, 0, NULL);
  bench_calls_section(calls);
  bench_close(&world);
  free(names);
  free(some);
  free(order);
  return bench_median(&sample);
}

int
main(void)
{
  static struct bench_calls calls;
  bench_head("joining and encoding");
  rates(1000, 3 * ROUNDS, &calls);
  rates(100000, ROUNDS, &calls);
  rates(1000000, 3, &calls);

  bench_head("one at a time");
  singles(1000, &calls);
  singles(100000, &calls);
  singles(1000000, &calls);

  bench_head("groups");
  const double little = groups(&(struct groups){ 1, 1 }, &calls);
  const double many = groups(&(struct groups){ 1000000, 1 }, &calls);
  const double large = groups(&(struct groups){ 1, 1000000 }, &calls);
  bench_value("group of 1M, beside one of 1", large / little, "x",
              BENCH_NO_GOAL, 0, "alone: all else is in the cache");
  bench_value("group of 1M, beside one of 1 among 1M", large / many, "x",
              BENCH_AT_MOST, 1.1, "as much memory: the size does not count");
  bench_calls_print(&calls);
  return 0;
}
