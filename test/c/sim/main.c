/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the scenarios, then random runs from new seeds for a while.
 *
 *     SEED=n         one random run, from this seed
 *     RUNS=n         so many random runs
 *     SIM_SECONDS=n  random runs for so long
 *     SHRINK=0       a run that fails is not cut down
 *     SIM_SCENARIOS=0  no scenarios
 *     SIM_QUICK=1    stop at the first failure, whatever it is, and say in one
 *                    line what it was
 *
 * Without all of these: for 40 seconds, and on to 2,000 runs, but no more than
 * a minute.  The runs are made by a child, so that it may abort, crash or hang;
 * what it was about to do stands in memory that both see.
 *
 * Ends with "N passed, N failed". */
#define _GNU_SOURCE

#include "sim.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif

#define SECONDS_DEFAULT 40u
#define SECONDS_MAX 60u
#define RUNS_MIN 2000u
#define RUN_SECONDS_MAX 60u
#define SHRINK_SECONDS_MAX 20u

/* What the child has done, and what it is about to do. */
struct report {
  uint64_t passed;
  uint64_t failed;
  uint64_t seed; /* 0: not at random runs yet. */
  struct sim_total total;
  double seconds;
  char failure[SIM_FAILURE_BYTES];
};

struct config {
  bool replay;
  bool quick;
  bool shrink;
  uint64_t seed;
  uint64_t runs_min;
  uint64_t runs_max;
  double seconds_min;
  double seconds_max;
};

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

/* An assertion of the core: say where it was, and what led to it. */
static void
on_abort(int signal_number)
{
  (void)signal_number;
  if (sim_current != NULL && sim_current->tracing) {
    sim_print_trace(sim_current);
#ifdef __GLIBC__
    void *frames[32];
    fflush(stderr);
    backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
#endif
  }
  _exit(2);
}

static double
seconds_now(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t
number_of(const char *name, uint64_t fallback)
{
  const char *const text = getenv(name);
  return text == NULL || *text == '\0' ? fallback : strtoull(text, NULL, 0);
}

static struct config
config_get(void)
{
  const uint64_t runs = number_of("RUNS", 0);
  const uint64_t seconds = number_of("SIM_SECONDS", 0);
  struct config config = { .replay = number_of("SEED", 0) != 0,
                           .quick = number_of("SIM_QUICK", 0) != 0,
                           .seed = prng_seed(),
                           .runs_max = UINT64_MAX,
                           .seconds_max = 1e9 };
  config.shrink = number_of("SHRINK", 1) != 0 && !config.quick;
  if (config.replay) {
    config.runs_max = 1;
  } else if (runs > 0) {
    config.runs_max = runs;
    config.seconds_max = seconds > 0 ? (double)seconds : 1e9;
  } else if (seconds > 0) {
    config.seconds_max = (double)seconds;
  } else {
    config.runs_min = RUNS_MIN;
    config.seconds_min = SECONDS_DEFAULT;
    config.seconds_max = SECONDS_MAX;
  }
  config.seed += config.seed == 0 ? 1 : 0;
  return config;
}

/*--------------------------------------------------------------------
 * The child */

static bool
goes_on(const struct config *config, uint64_t runs, double seconds)
{
  if (runs == 0) {
    return true;
  }
  if (runs >= config->runs_max || seconds >= config->seconds_max) {
    return false;
  }
  const bool at_least = config->runs_min > 0;
  return !at_least || runs < config->runs_min || seconds < config->seconds_min;
}

static bool
play_at_random(const struct config *config, struct report *report)
{
  static struct sim_script script;
  const double begin = seconds_now();
  double minute = begin + 60;
  uint64_t seed = config->seed;
  while (goes_on(config, report->total.runs, report->seconds)) {
    report->seed = seed;
    sim_script_draw(&script, seed);
    alarm(RUN_SECONDS_MAX);
    const bool good = sim_play(&script, false, &report->total, report->failure);
    alarm(0);
    report->seconds = seconds_now() - begin;
    if (!good) {
      return false;
    }
    report->passed++;
    seed = (seed + 1) & UINT32_MAX;
    seed += seed == 0 ? 1 : 0;
    if (seconds_now() >= minute) {
      minute += 60;
      printf("%.0f s: %" PRIu64 " runs, %.0f schedules per second\n",
             report->seconds, report->total.runs,
             (double)report->total.runs / report->seconds);
    }
  }
  return true;
}

static void
child_main(const struct config *config, struct report *report)
{
  if (!config->replay && number_of("SIM_SCENARIOS", 1) != 0) {
    alarm(RUN_SECONDS_MAX);
    sim_scenarios(&report->passed, &report->failed, report->failure);
    alarm(0);
  }
  if (config->quick && report->failed > 0) {
    exit(1);
  }
  exit(play_at_random(config, report) ? 0 : 1);
}

/*--------------------------------------------------------------------
 * The parent */

static void
on_failed_run(const struct config *config, const struct report *report)
{
  static struct sim_script script;
  printf("caught by seed %" PRIu64 " after %" PRIu64 " seeds: %s\n",
         report->seed, report->passed, report->failure);
  if (config->shrink) {
    sim_script_draw(&script, report->seed);
    sim_shrink(&script, SHRINK_SECONDS_MAX);
    fprintf(stderr, "replay it with: make test ONLY=sim SEED=%" PRIu64 "\n",
            report->seed);
  }
}

static void
say_how_it_ended(struct report *report, int status)
{
  if (report->failure[0] == '\0') {
    (void)snprintf(report->failure, sizeof report->failure, "%s",
                   WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
                                       : "an assertion");
  }
}

/* SEED with SHRINK=0: here, where a debugger sees it. */
static int
play_here(const struct config *config)
{
  static struct sim_script script;
  struct sim_total total = { .runs = 0 };
  char failure[SIM_FAILURE_BYTES] = "";
  sim_script_draw(&script, config->seed);
  sim_script_print(&script);
  const bool good = sim_play(&script, true, &total, failure);
  sim_total_print(&total, 1);
  printf("%s\n%d passed, %d failed\n", failure, good ? 1 : 0, good ? 0 : 1);
  return good ? 0 : 1;
}

int
main(void)
{
  const struct config config = config_get();
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGABRT, on_abort);
  if (config.replay && !config.shrink && !config.quick) {
    return play_here(&config);
  }
  struct report *const report =
    mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (report == MAP_FAILED) {
    abort();
  }
  const pid_t child = fork();
  if (child == 0) {
    child_main(&config, report);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  sim_total_print(&report->total, report->seconds);
  if (!good) {
    say_how_it_ended(report, status);
    if (report->seed == 0) {
      printf("caught by %s\n", report->failure);
      report->failed += report->failed == 0 ? 1 : 0;
    } else {
      on_failed_run(&config, report);
      report->failed++;
    }
  }
  printf("%" PRIu64 " passed, %" PRIu64 " failed\n", report->passed,
         report->failed);
  return report->failed == 0 ? 0 : 1;
}
