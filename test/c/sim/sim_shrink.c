/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a failing script down: leaves out halves of its steps, then quarters,
 * then single ones, then pauses and what the network does, as long as it still
 * fails in any way (Zeller, Hildebrandt: Simplifying and isolating
 * failure-inducing input, 2002).  Each candidate is played in a process of its
 * own, so that it may abort, crash or hang. */
#define _GNU_SOURCE

#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What takes longer hangs. */
#define CANDIDATE_SECONDS_MAX 20u

/* Without a step the network draws other numbers, and what depends on when a
 * message arrives is gone with it; so some other networks are tried, too. */
#define OTHER_NETWORKS 30u

/*--------------------------------------------------------------------
 * A process of its own */

/* Where the child writes why it failed; the parent reads it. */
static char *
shared_text(void)
{
  static char *text;
  if (text == NULL) {
    text = mmap(NULL, SIM_FAILURE_BYTES, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED) {
      abort();
    }
  }
  return text;
}

static void
play_and_exit(const struct sim_script *script, bool tracing)
{
  struct sim_total total = { .runs = 0 };
  if (!tracing) {
    const int nowhere = open("/dev/null", O_WRONLY);
    (void)dup2(nowhere, STDERR_FILENO);
  }
  alarm(CANDIDATE_SECONDS_MAX);
  const bool good = sim_play(script, tracing, &total, shared_text());
  fflush(stderr);
  _exit(good ? 0 : 1);
}

bool
sim_play_apart(const struct sim_script *script, bool tracing, char *failure)
{
  char *const text = shared_text();
  text[0] = '\0';
  fflush(stdout);
  const pid_t child = fork();
  if (child < 0) {
    abort();
  }
  if (child == 0) {
    play_and_exit(script, tracing);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return true;
  }
  if (text[0] == '\0') {
    (void)snprintf(failure, SIM_FAILURE_BYTES, "%s",
                   WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
                                       : "an assertion");
  } else {
    memcpy(failure, text, SIM_FAILURE_BYTES);
  }
  return false;
}

/*--------------------------------------------------------------------
 * Cutting */

struct shrink {
  struct sim_script *script;
  uint64_t end_s;
  unsigned networks; /* To be tried besides the script's own. */
  unsigned tried;
  char failure[SIM_FAILURE_BYTES]; /* Of the last one that failed. */
};

static uint64_t
seconds_now(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec;
}

static bool
fails(struct shrink *shrink)
{
  const uint64_t net_seed = shrink->script->net_seed;
  for (unsigned i = 0; i <= shrink->networks; i++) {
    if (seconds_now() >= shrink->end_s) {
      break;
    }
    shrink->tried++;
    shrink->script->net_seed = net_seed + i;
    if (!sim_play_apart(shrink->script, false, shrink->failure)) {
      return true;
    }
  }
  shrink->script->net_seed = net_seed;
  return false;
}

/* Leave out pieces of so many steps; true: one could be left out. */
static bool
cut_pieces(struct shrink *shrink, unsigned *kept, unsigned *count,
           unsigned size)
{
  struct sim_step *const steps = shrink->script->steps;
  bool any = false;
  unsigned at = 0;
  while (at < *count) {
    const unsigned piece = *count - at < size ? *count - at : size;
    for (unsigned i = 0; i < piece; i++) {
      steps[kept[at + i]].skip = true;
    }
    if (fails(shrink)) {
      *count -= piece;
      memmove(&kept[at], &kept[at + piece], (*count - at) * sizeof *kept);
      any = true;
    } else {
      for (unsigned i = 0; i < piece; i++) {
        steps[kept[at + i]].skip = false;
      }
      at += piece;
    }
  }
  return any;
}

static void
cut_steps(struct shrink *shrink)
{
  unsigned kept[SIM_STEPS_MAX];
  unsigned count = 0;
  for (unsigned i = 0; i < shrink->script->count; i++) {
    if (!shrink->script->steps[i].skip) {
      kept[count++] = i;
    }
  }
  unsigned size = count / 2 > 0 ? count / 2 : 1;
  while (count > 0) {
    const bool any = cut_pieces(shrink, kept, &count, size);
    if (size > 1) {
      size /= 2;
    } else if (!any) {
      break;
    }
  }
}

/* Only the first so many nodes. */
static void
cut_nodes(struct shrink *shrink)
{
  struct sim_script *const script = shrink->script;
  static struct sim_script before;
  bool good = true;
  while (good && script->options.nodes > 2) {
    before = *script;
    const unsigned nodes = --script->options.nodes;
    if (script->options.members > nodes) {
      script->options.members = nodes;
    }
    for (unsigned i = 0; i < script->count; i++) {
      struct sim_step *const step = &script->steps[i];
      step->skip = step->skip || step->at >= nodes;
      step->other = step->other < nodes ? step->other : (step->at + 1) % nodes;
    }
    good = fails(shrink);
  }
  if (!good) {
    *script = before;
  }
}

static void
cut_pauses(struct shrink *shrink)
{
  for (unsigned i = 0; i < shrink->script->count; i++) {
    struct sim_step *const step = &shrink->script->steps[i];
    const uint64_t before = step->pause_ms;
    if (step->skip || before == 0) {
      continue;
    }
    step->pause_ms = 0;
    if (!fails(shrink)) {
      step->pause_ms = before / 2;
      step->pause_ms = fails(shrink) ? before / 2 : before;
    }
  }
}

/* Without this, too? */
static void
cut_number(struct shrink *shrink, unsigned *number)
{
  const unsigned before = *number;
  *number = 0;
  if (before != 0 && !fails(shrink)) {
    *number = before;
  }
}

static void
cut_options(struct shrink *shrink)
{
  struct sim_options *const options = &shrink->script->options;
  cut_number(shrink, &options->loss_percent);
  cut_number(shrink, &options->duplicate_percent);
  cut_number(shrink, &options->busy_percent);
  cut_number(shrink, &options->nomem_permille);
  cut_number(shrink, &options->rests);
  const struct sim_options before = *options;
  options->faithful = true;
  options->delay_max_ms = 3;
  options->value_bytes_max = 0;
  options->budget_max = 1000;
  if (!fails(shrink)) {
    *options = before;
  }
}

void
sim_shrink(struct sim_script *script, unsigned seconds_max)
{
  struct shrink shrink = { .script = script,
                           .end_s = seconds_now() + seconds_max };
  if (!fails(&shrink)) {
    fprintf(stderr, "it does not fail again\n");
    return;
  }
  cut_steps(&shrink);
  shrink.networks = OTHER_NETWORKS;
  cut_nodes(&shrink);
  cut_options(&shrink);
  cut_steps(&shrink);
  cut_pauses(&shrink);
  cut_steps(&shrink);
  if (sim_play_apart(script, true, shrink.failure)) {
    fprintf(stderr, "it does not fail when it is traced\n");
  }
  unsigned count = 0;
  for (unsigned i = 0; i < script->count; i++) {
    count += script->steps[i].skip ? 0 : 1;
  }
  fprintf(stderr, "SEED=%" PRIu64 ", cut down to %u of %u steps in %u runs:\n",
          script->seed, count, script->count, shrink.tried);
  sim_script_print(script);
  fprintf(stderr, "  %s\n", shrink.failure);
}
