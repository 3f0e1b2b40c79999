/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the scenarios, then random runs from new seeds for a while.
 *
 *     SEED=n         one random run, from this seed
 *     RUNS=n         so many random runs instead of SIM_SECONDS
 *     SIM_SECONDS=n  how long to draw new seeds (18)
 *
 * Ends with "N passed, N failed". */
#define _POSIX_C_SOURCE 200809L

#include "sim.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_DEFAULT 18u

/* What the sanitizers ask for their options: a report should end in abort(), so
 * that the seed is printed. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *
__asan_default_options(void)
{
  return "abort_on_error=1";
}

const char *
__ubsan_default_options(void)
{
  return "abort_on_error=1:print_stacktrace=1";
}

/* An assertion of the core: say which run it was. */
static void
on_abort(int signal_number)
{
  (void)signal_number;
  if (sim_current != NULL) {
    fprintf(stderr, "SEED=%" PRIu64 " has aborted\n", sim_current->seed);
    sim_print(sim_current);
  }
  printf("0 passed, 1 failed\n");
  fflush(stdout);
  _exit(1);
}

static uint64_t
number_of(const char *name, uint64_t fallback)
{
  const char *const text = getenv(name);
  return text == NULL || *text == '\0' ? fallback : strtoull(text, NULL, 0);
}

static uint64_t
seconds_now(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec;
}

int
main(void)
{
  unsigned passed = 0;
  unsigned failed = 0;
  signal(SIGABRT, on_abort);
  sim_scenarios(&passed, &failed);

  const bool replay = number_of("SEED", 0) != 0;
  const uint64_t runs_max = replay ? 1 : number_of("RUNS", UINT64_MAX);
  const uint64_t end =
    seconds_now() + number_of("SIM_SECONDS", SECONDS_DEFAULT);
  uint64_t seed = prng_seed();
  struct sim_total total = { .runs = 0 };
  bool good = true;
  while (good && total.runs < runs_max &&
         (total.runs == 0 || runs_max != UINT64_MAX || seconds_now() < end)) {
    good = sim_random(seed, &total);
    seed = replay ? seed : (seed + 1) & UINT32_MAX;
    passed += good ? 1 : 0;
    failed += good ? 0 : 1;
  }
  printf("%" PRIu64 " random runs: %" PRIu64 " events, %" PRIu64
         " messages, %" PRIu64 " conflicts, %" PRIu64 " gaps, %" PRIu64
         " duplicates, %" PRIu64 " repairs, %" PRIu64 " stamps refused\n",
         total.runs, total.steps, total.messages, total.conflicts, total.gaps,
         total.duplicates, total.repairs, total.stamps_refused);
  printf("%u passed, %u failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
