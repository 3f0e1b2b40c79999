/* SPDX-License-Identifier: Apache-2.0 */
/* Tools of the benchmarks in C: a clock, samples, lines, all calls counted.
 *
 * Time is the processor time of the thread, not that of the wall: on a machine
 * that does other things, a thread that waits for the processor has not become
 * slower.  What memory costs, page faults included, is in it.
 *
 *     what                         figure  unit  (least .. greatest)  goal
 *     joined, 1M rows                1.97  M/s   (1.91 .. 1.99)   >= 2  MISSED
 *                                  beside: what others take, what nobody can
 *
 * Figures are medians over the rounds.  Each call of a public function that is
 * timed by itself goes into a histogram, too: a host calls them from places
 * that must be back within a millisecond.  The longest call of a round may be
 * the machine's doing; the least of these over all rounds hardly is.
 *
 * Cost:    reading the clock about 0.6 us, so calls shorter than a few
 *          microseconds are timed many at a time.
 * Memory:  the histograms, 60 KiB.
 * Threads: none.
 */
#ifndef HOLT_BENCH_TOOL_H
#define HOLT_BENCH_TOOL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <holt/error.h>

_Noreturn static inline void
bench_give_up(const char *what, int rv)
{
  fflush(stdout);
  fprintf(stderr, "bench: %s: %s\n", what, holt_error_text(rv));
  exit(1);
}

static inline void
bench_must(int rv, const char *what)
{
  if (rv != 0) {
    bench_give_up(what, rv);
  }
}

static inline double
bench_clock_ns(void)
{
  struct timespec time;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) != 0) {
    bench_give_up("no clock", HOLT_ERR_UNSUPPORTED);
  }
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static inline uint64_t
bench_random(uint64_t *state)
{
  *state += UINT64_C(0x9e3779b97f4a7c15);
  uint64_t x = *state;
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static inline void *
bench_alloc(size_t count, size_t size)
{
  void *const ptr = calloc(count, size);
  if (ptr == NULL) {
    bench_give_up("memory", HOLT_ERR_NOMEM);
  }
  return ptr;
}

/* 0 to count - 1, in an order that only the seed decides. */
static inline uint32_t *
bench_order(size_t count, uint64_t seed)
{
  uint32_t *const order = bench_alloc(count, sizeof *order);
  for (size_t i = 0; i < count; i++) {
    const size_t j = (size_t)(bench_random(&seed) % (i + 1));
    order[i] = order[j];
    order[j] = (uint32_t)i;
  }
  return order;
}

/*--------------------------------------------------------------------
 * Samples and lines */

#define BENCH_ROUNDS_MAX 64u

struct bench_sample {
  double values[BENCH_ROUNDS_MAX];
  size_t count;
};

static inline void
bench_add(struct bench_sample *sample, double value)
{
  if (sample->count < BENCH_ROUNDS_MAX) {
    sample->values[sample->count++] = value;
  }
}

static inline int
bench_compare(const void *left, const void *right)
{
  const double a = *(const double *)left;
  const double b = *(const double *)right;
  return (a > b) - (a < b);
}

/* The median; the values are in order then. */
static inline double
bench_median(struct bench_sample *sample)
{
  qsort(sample->values, sample->count, sizeof sample->values[0], bench_compare);
  return sample->count == 0 ? 0 : sample->values[sample->count / 2];
}

enum bench_goal {
  BENCH_NO_GOAL,
  BENCH_AT_MOST,
  BENCH_AT_LEAST
};

static inline int
bench_digits(double value)
{
  const double size = value < 0 ? -value : value;
  return size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
}

/* One line: beside, if not NULL, is what others take, or a floor. */
static inline void
bench_line(const char *what, struct bench_sample *sample, const char *unit,
           enum bench_goal kind, double goal, const char *beside)
{
  const double median = bench_median(sample);
  const double least = sample->values[0];
  const double most = sample->values[sample->count - 1];
  char range[48];
  snprintf(range, sizeof range, "(%.*f .. %.*f)", bench_digits(least), least,
           bench_digits(most), most);
  printf("%-46s %8.*f %-5s %-20s", what, bench_digits(median), median, unit,
         range);
  if (kind != BENCH_NO_GOAL) {
    const bool met = kind == BENCH_AT_MOST ? median <= goal : median >= goal;
    printf(" %s %-7.6g %s", kind == BENCH_AT_MOST ? "<=" : ">=", goal,
           met ? "ok" : "MISSED");
  }
  printf("\n");
  if (beside != NULL) {
    printf("    %s\n", beside);
  }
  fflush(stdout);
}

/* The same for one value. */
static inline void
bench_value(const char *what, double value, const char *unit,
            enum bench_goal kind, double goal, const char *beside)
{
  struct bench_sample sample = { .count = 0 };
  bench_add(&sample, value);
  bench_line(what, &sample, unit, kind, goal, beside);
}

static inline void
bench_head(const char *what)
{
  printf("\n%-46s %8s %-5s %-20s %s\n", what, "median", "", "(spread)", "goal");
}

/* snprintf() into a buffer of its own; good until the fourth call after. */
static inline const char *
bench_text(const char *format, ...)
{
  static char texts[4][240];
  static size_t turn;
  char *const text = texts[turn++ % 4];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof texts[0], format, arguments);
  va_end(arguments);
  return text;
}

/*--------------------------------------------------------------------
 * Calls */

enum bench_call {
  BENCH_OWNER_ADD,
  BENCH_REGISTER,
  BENCH_FIND,
  BENCH_UNREGISTER,
  BENCH_UPDATE,
  BENCH_OWNER_DEAD,
  BENCH_OPEN,
  BENCH_APPLY,
  BENCH_POLL,
  BENCH_HELLO,
  BENCH_PEER_UP,
  BENCH_PEER_DOWN,
  BENCH_COUNT,
  BENCH_IN_SYNC,
  BENCH_DRAIN,
  BENCH_CALLS
};

/* Sixteen buckets for each doubling, from 1 ns on. */
#define BENCH_BUCKETS 512u

struct bench_histogram {
  uint64_t count;
  uint64_t buckets[BENCH_BUCKETS];
  double worst;       /* Ever. */
  double round_worst; /* In this round. */
  double each_worst;  /* The least round_worst of this section; 0: none. */
  double section_worst;
  unsigned rounds; /* Of this section, in which it was called. */
  double every;    /* The greatest each_worst of sections of several rounds. */
};

struct bench_calls {
  struct bench_histogram calls[BENCH_CALLS];
};

static inline const char *
bench_call_name(enum bench_call call)
{
  static const char *const names[BENCH_CALLS] = {
    "owner_add",  "register",     "find",  "unregister", "update",
    "owner_dead", "message_open", "apply", "poll",       "hello",
    "peer_up",    "peer_down",    "count", "in_sync",    "drain"
  };
  return names[call];
}

static inline size_t
bench_bucket(double ns)
{
  size_t bucket = 0;
  while (ns >= 2 && bucket + 16 < BENCH_BUCKETS) {
    ns /= 2;
    bucket += 16;
  }
  const size_t part = ns < 1 ? 0 : (size_t)((ns - 1) * 16);
  return bucket + (part < 16 ? part : 15);
}

static inline double
bench_bucket_ns(size_t bucket)
{
  const double doublings = (double)(UINT64_C(1) << (bucket / 16));
  return doublings * (1 + (double)(bucket % 16 + 1) / 16);
}

static inline void
bench_called(struct bench_calls *calls, enum bench_call call, double ns)
{
  struct bench_histogram *const h = &calls->calls[call];
  h->count++;
  h->buckets[bench_bucket(ns)]++;
  h->round_worst = ns > h->round_worst ? ns : h->round_worst;
  h->worst = ns > h->worst ? ns : h->worst;
}

/* What 99.99 % of the calls stay below. */
static inline double
bench_quantile(const struct bench_histogram *h)
{
  uint64_t beyond = 0;
  size_t bucket = BENCH_BUCKETS;
  while (bucket > 0 && beyond <= h->count / 10000) {
    beyond += h->buckets[--bucket];
  }
  const double ns = bench_bucket_ns(bucket);
  return ns < h->worst ? ns : h->worst;
}

/* A round is over.  Rounds of one section do the same. */
static inline void
bench_calls_round(struct bench_calls *calls)
{
  for (size_t i = 0; i < BENCH_CALLS; i++) {
    struct bench_histogram *const h = &calls->calls[i];
    h->rounds += h->round_worst > 0 ? 1 : 0;
    if (h->round_worst > 0 &&
        (h->each_worst <= 0 || h->round_worst < h->each_worst)) {
      h->each_worst = h->round_worst;
    }
    if (h->round_worst > h->section_worst) {
      h->section_worst = h->round_worst;
    }
    h->round_worst = 0;
  }
}

/* A section is over: say which of its calls were long. */
static inline void
bench_calls_section(struct bench_calls *calls)
{
  bench_calls_round(calls);
  for (size_t i = 0; i < BENCH_CALLS; i++) {
    struct bench_histogram *const h = &calls->calls[i];
    if (h->section_worst > 200e3) {
      printf("  long call: %s, %.0f us", bench_call_name((enum bench_call)i),
             h->section_worst / 1e3);
      printf(h->rounds > 1 ? "; in each of %u rounds one of %.0f us\n" : "\n",
             h->rounds, h->each_worst / 1e3);
    }
    if (h->rounds > 1 && h->each_worst > h->every) {
      h->every = h->each_worst;
    }
    h->rounds = 0;
    h->each_worst = 0;
    h->section_worst = 0;
  }
}

/* How long does this machine hold a thread up that does nothing but read the
 * clock, for a second? */
static inline double
bench_machine_pause_ns(void)
{
  const double start = bench_clock_ns();
  double last = start;
  double worst = 0;
  while (last - start < 1e9) {
    const double now = bench_clock_ns();
    worst = now - last > worst ? now - last : worst;
    last = now;
  }
  return worst;
}

static inline void
bench_calls_print(const struct bench_calls *calls)
{
  const double pause_ns = bench_machine_pause_ns();
  printf("\n%-20s %12s %12s %12s %16s\n", "single calls", "timed", "99.99 %",
         "longest", "in each round");
  for (size_t i = 0; i < BENCH_CALLS; i++) {
    const struct bench_histogram *const h = &calls->calls[i];
    if (h->count > 0) {
      char every[24] = "-";
      if (h->every > 0) {
        snprintf(every, sizeof every, "%.1f us", h->every / 1e3);
      }
      printf("  %-18s %12llu %9.1f us %9.1f us %16s%s\n",
             bench_call_name((enum bench_call)i), (unsigned long long)h->count,
             bench_quantile(h) / 1e3, h->worst / 1e3, every,
             h->every > 1e6   ? "  MISSED: over 1 ms"
             : h->worst > 1e6 ? "  once over 1 ms"
                              : "");
    }
  }
  printf("    floor: a loop that reads the clock for a second was held up for "
         "%.0f us\n",
         pause_ns / 1e3);
}

/*--------------------------------------------------------------------
 * Floors */

/* One read after the other at random places of so many bytes, each waiting for
 * the one before: what a cache miss costs here, in ns. */
static inline double
bench_floor_read(size_t bytes)
{
  const size_t line = 64 / sizeof(uint32_t);
  const size_t count = bytes / 64 > 2 ? bytes / 64 : 2;
  uint32_t *const lines = bench_alloc(count * line, sizeof *lines);
  uint64_t random = 3;
  for (size_t i = 0; i < count; i++) {
    lines[i * line] = (uint32_t)i;
  }
  /* Sattolo: one cycle through all. */
  for (size_t i = count - 1; i > 0; i--) {
    const size_t j = (size_t)(bench_random(&random) % i);
    const uint32_t swapped = lines[i * line];
    lines[i * line] = lines[j * line];
    lines[j * line] = swapped;
  }
  const size_t reads = 1000000;
  volatile uint32_t result;
  uint32_t at = 0;
  const double start = bench_clock_ns();
  for (size_t i = 0; i < reads; i++) {
    at = lines[at * line];
  }
  const double ns = (bench_clock_ns() - start) / (double)reads;
  result = at;
  (void)result;
  free(lines);
  return ns;
}

#endif /* HOLT_BENCH_TOOL_H */
