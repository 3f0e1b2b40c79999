/* SPDX-License-Identifier: Apache-2.0 */
/* How many bytes does the core take, on the wire and in memory?
 *
 * Memory is counted three ways: as the core asks for it, which is exact; as the
 * allocator hands it out, its head of 8 bytes with each block; and as the
 * operating system sees it, for which every case has a process of its own.  The
 * figure is the first, at a million rows; its spread is that of all sizes from
 * half a million on, since tables grow by doubling.
 *
 * Memory:  less than a gigabyte.
 * Threads: none.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "bench_world.h"

#define ROWS 1000000u

/* What a message may take for itself (who sends it, in which session, where it
 * goes on, and where it ends), and what each name in it. */
#define WIRE_HEADER_MAX 32u
#define WIRE_NAME_MAX 16u

#define WIRE_OTHERS                                                            \
  "whole message, 100k names: syn 3.4.1 88, pg (OTP 25) 91, Swarm 3.4.0 170, " \
  "Horde 0.10.0 1,895"
#define MEMORY_OTHERS                                                          \
  "with key, owner / replica: pg (OTP 25) 438/289, syn 3.4.1 474/351, Horde "  \
  "0.10.0 2168/2111, ets 95"

static size_t
resident(void)
{
  unsigned long pages = 0;
  FILE *const file = fopen("/proc/self/statm", "r");
  if (file != NULL) {
    if (fscanf(file, "%*u %lu", &pages) != 1) {
      pages = 0;
    }
    fclose(file);
  }
  return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/*--------------------------------------------------------------------
 * Wire */

/* Names behind those in bulk, each in a message of its own. */
static void
wire_singles(struct bench_world *world, const struct bench_name *names,
             const char *shape)
{
  struct bench_sample beyond = { .count = 0 };
  double sum = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    bench_wait(world, 10);
    bench_process(world, 0, 40000000 + 17 * i);
    (void)bench_register(world, 0, &names[i], 40000000 + 17 * i);
    const size_t before = world->bytes[BENCH_KIND_DELTA];
    const size_t messages = world->messages[BENCH_KIND_DELTA];
    bench_run(world);
    if (world->messages[BENCH_KIND_DELTA] != messages + 1) {
      bench_give_up("one message", HOLT_ERR_MALFORMED);
    }
    const double bytes = (double)(world->bytes[BENCH_KIND_DELTA] - before) -
                         names[i].size + HOLT_HEADER_BYTES;
    sum += bytes;
    bench_add(&beyond, bytes);
  }
  bench_line(bench_text("one name alone, beyond its bytes, %s", shape), &beyond,
             "B", BENCH_AT_MOST, WIRE_HEADER_MAX + WIRE_NAME_MAX,
             bench_text("a packet header of at most %u and %u for the name; "
                        "mean %.1f",
                        WIRE_HEADER_MAX, WIRE_NAME_MAX, sum / 1000));
}

static void
wire(enum bench_shape shape, const char *what, struct bench_calls *calls)
{
  static struct bench_world world;
  struct bench_name *const names = bench_names(shape, ROWS + 1000);
  size_t key_bytes = 0;
  for (size_t i = 0; i < ROWS; i++) {
    key_bytes += names[i].size;
  }
  bench_open(&world, 2, HOLT_POLICY_UNIQUE_KEEP_NEWEST, calls);
  bench_link(&world, 0, 1);
  bench_run(&world);
  bench_fill(&world, 0, names, ROWS, 1, NULL);
  bench_reset(&world);
  bench_run(&world);
  const double all =
    (double)world.bytes[BENCH_KIND_DELTA] +
    (double)world.messages[BENCH_KIND_DELTA] * HOLT_HEADER_BYTES;
  bench_value(bench_text("1M names in bulk, in all, %s", what), all / ROWS, "B",
              BENCH_NO_GOAL, 0, WIRE_OTHERS);
  bench_value(bench_text("1M names in bulk, beyond their bytes, %s", what),
              (all - (double)key_bytes) / ROWS, "B", BENCH_AT_MOST, 10,
              bench_text("their bytes: %.1f; keys share what they begin with",
                         (double)key_bytes / ROWS));
  wire_singles(&world, names + ROWS, what);
  bench_calls_section(calls);
  bench_close(&world);
  free(names);
}

/*--------------------------------------------------------------------
 * Memory */

struct memory_case {
  const char *what;
  uint64_t policy;
  size_t each;  /* Names of one process. */
  bool one_key; /* All are members of one group. */
};

struct memory {
  size_t at[2]; /* Before the first row. */
  size_t usable[2];
  size_t handed_out[2]; /* By the allocator in all, what each grew by. */
  size_t resident[2];   /* What each grew by. */
  size_t keys[2];       /* Bytes of them. */
  size_t rows[2];
  struct bench_sample spread[2];
  double figure[2];
};

static void
memory_sample(struct memory *m, const struct bench_world *world, size_t at,
              bool always)
{
  const size_t rows = m->rows[at];
  if (rows > ROWS / 2 && (always || rows % (ROWS / 100) == 0)) {
    m->figure[at] =
      ((double)(world->ends[at].mem.bytes - m->at[at]) - (double)m->keys[at]) /
      (double)rows;
    bench_add(&m->spread[at], m->figure[at]);
  }
}

static void
memory_line(struct memory *m, const struct bench_world *world, size_t at,
            const char *what, bool goal)
{
  static const char *const sides[2] = { "owner", "replica" };
  const struct bench_end *const end = &world->ends[at];
  const double rows = (double)m->rows[at];
  const double keys = (double)m->keys[at];
  struct bench_sample *const spread = &m->spread[at];
  const char *const beside = bench_text(
    "as allocated %.1f (of all: %.1f), resident %.1f; with its key %.1f",
    ((double)(end->usable - m->usable[at]) - keys) / rows,
    ((double)m->handed_out[at] - keys) / rows,
    ((double)m->resident[at] - keys) / rows, m->figure[at] + keys / rows);
  (void)bench_median(spread);
  char range[64];
  snprintf(range, sizeof range, "(%.1f .. %.1f)", spread->values[0],
           spread->values[spread->count - 1]);
  printf("%-46s %8.1f %-5s %-20s", bench_text("%s, %s", what, sides[at]),
         m->figure[at], "B", range);
  if (goal) {
    printf(" <= %-7d %s", 96, m->figure[at] <= 96 ? "ok" : "MISSED");
  }
  printf("\n    %s\n", beside);
}

/* Rows come to A, then from there to B. */
static void
memory_run(const struct memory_case *c, struct bench_calls *calls)
{
  static struct bench_world world;
  static struct memory m;
  struct bench_name *const names = bench_names(BENCH_USER, ROWS);
  bench_open(&world, 2, c->policy, calls);
  bench_link(&world, 0, 1);
  bench_run(&world);
  for (size_t i = 0; i < 2; i++) {
    m.at[i] = world.ends[i].mem.bytes;
    m.usable[i] = world.ends[i].usable;
    m.rows[i] = 0;
  }
  m.resident[0] = resident();
  m.handed_out[0] = BENCH_HANDED_OUT();
  for (size_t i = 0; i < ROWS; i++) {
    const struct bench_name *const name = &names[c->one_key ? 0 : i];
    const uint32_t id = (uint32_t)(1000 + i / c->each);
    if (i % c->each == 0) {
      bench_process(&world, 0, id);
    }
    (void)bench_register(&world, 0, name, id);
    m.rows[0]++;
    m.keys[0] += c->one_key && i > 0 ? 0 : name->size;
    memory_sample(&m, &world, 0, false);
  }
  m.resident[1] = resident();
  m.resident[0] = m.resident[1] - m.resident[0];
  m.handed_out[1] = BENCH_HANDED_OUT();
  m.handed_out[0] = m.handed_out[1] - m.handed_out[0];
  bool busy = true;
  while (busy) {
    busy = bench_step(&world, 0);
    busy = bench_step(&world, 1) || busy;
    const size_t rows = holt_replica_count(world.ends[1].replica);
    m.rows[1] = c->one_key ? 0 : rows;
    m.keys[1] = rows * (m.keys[0] / ROWS);
    memory_sample(&m, &world, 1, true);
  }
  m.rows[1] = ROWS;
  m.keys[1] = m.keys[0];
  memory_sample(&m, &world, 1, true);
  m.resident[1] = resident() - m.resident[1];
  m.handed_out[1] = BENCH_HANDED_OUT() - m.handed_out[1];
  memory_line(&m, &world, 1, c->what, true);
  memory_line(&m, &world, 0, c->what, false);
  free(names);
}

static void
memory(const struct memory_case *c, struct bench_calls *calls)
{
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    memory_run(c, calls);
    fflush(stdout);
    _exit(0);
  }
  int status = 1;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
    bench_give_up("a process for it", HOLT_ERR_NOMEM);
  }
}

/*--------------------------------------------------------------------
 * Vectors */

/* Two replicas hold a million rows of ten actors, their own two among them; the
 * others have come, told their rows, and gone. */
static void
vectors(struct bench_calls *calls)
{
  static struct bench_world world;
  const size_t each = ROWS / BENCH_ENDS;
  struct bench_name *const names = bench_names(BENCH_USER, ROWS);
  bench_open(&world, BENCH_ENDS, HOLT_POLICY_UNIQUE_KEEP_NEWEST, calls);
  for (size_t i = BENCH_ENDS; i-- > 0;) {
    bench_fill(&world, i, names + i * each, each, 1, NULL);
    if (i >= 2) {
      world.ends[i].deaf = 1u << BENCH_KIND_VECTOR;
      bench_link(&world, 0, i);
      bench_link(&world, 1, i);
      bench_run(&world);
      (void)bench_down(&world, 0, i);
      (void)bench_down(&world, 1, i);
      bench_end_close(&world, i);
    }
  }
  bench_link(&world, 0, 1);
  bench_run(&world);
  bench_wait(&world, 5000);
  if (!holt_replica_in_sync(world.ends[0].replica) ||
      !holt_replica_in_sync(world.ends[1].replica)) {
    bench_give_up("vectors", HOLT_ERR_STALE);
  }
  bench_reset(&world);
  bench_wait(&world, 10000);
  const double times = (double)world.messages[BENCH_KIND_VECTOR] / 2;
  bench_value(
    "vectors and acks, both ways, once, per actor",
    (double)bench_sent(&world) / times / BENCH_ENDS, "B", BENCH_AT_MOST, 1024,
    bench_text("%.0f times in 10 s; %.0f bytes a vector, %.0f an ack", times,
               (double)world.bytes[BENCH_KIND_VECTOR] / times / 2,
               (double)world.bytes[BENCH_KIND_ACK] /
                 (double)world.messages[BENCH_KIND_ACK]));
  (void)bench_down(&world, 0, 1);
  (void)bench_down(&world, 1, 0);
  bench_reset(&world);
  bench_link(&world, 0, 1);
  bench_run(&world);
  bench_wait(&world, 500);
  bench_value("linked again, until in sync, per actor",
              (double)bench_sent(&world) / BENCH_ENDS, "B", BENCH_AT_MOST, 1024,
              "hellos, vectors and acks");
  bench_calls_section(calls);
  bench_close(&world);
  free(names);
}

int
main(void)
{
  static struct bench_calls calls;
  static const struct memory_case cases[] = {
    { "a process each", HOLT_POLICY_UNIQUE_KEEP_NEWEST, 1, false },
    { "10 of a process", HOLT_POLICY_UNIQUE_KEEP_NEWEST, 10, false },
    { "members of one group", HOLT_POLICY_DUPLICATE, 1, true },
    { "groups of one", HOLT_POLICY_DUPLICATE, 1, false },
  };
  /* First, before this process has memory to pass on. */
  bench_head("bytes of a row in memory, beyond its key; 1M");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    memory(&cases[i], &calls);
  }
  printf("    others, a process each: %s\n", MEMORY_OTHERS);
  bench_head("bytes on the wire");
  wire(BENCH_USER, "{user, N}", &calls);
  wire(BENCH_BINARY, "16 random bytes", &calls);
  vectors(&calls);
  bench_calls_print(&calls);
  return 0;
}
