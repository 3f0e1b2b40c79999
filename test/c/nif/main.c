/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the scenarios of the NIF with threads: "N passed, N failed".
 *
 *     test_nif                   all of them
 *     test_nif takeover names    some
 *     HOLT_SCALE=20 test_nif     with a fifth of the work
 *
 * A file adds its scenarios to the list below. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scenario.h"

#define SCENARIOS(XX)                                                          \
  XX(names)                                                                    \
  XX(deaths)                                                                   \
  XX(peers)                                                                    \
  XX(conflicts)                                                                \
  XX(contests)                                                                 \
  XX(duplicates)                                                               \
  XX(changes)                                                                  \
  XX(takeover)                                                                 \
  XX(unheard)                                                                  \
  XX(life)                                                                     \
  XX(upgrade)

#define SCENARIO_DECLARE(name) void scenario_##name(void);
SCENARIOS(SCENARIO_DECLARE)
#undef SCENARIO_DECLARE

uint32_t
scaled(uint32_t count)
{
  const char *const text = getenv("HOLT_SCALE");
  const long percent = text == NULL ? 100 : strtol(text, NULL, 10);
  const long result = (long)count * percent / 100;
  return result < 1 ? 1 : (uint32_t)result;
}

/*--------------------------------------------------------------------
 * Stages */

void
stage_init(struct stage *stage, const char *node)
{
  memset(stage, 0, sizeof *stage);
  stage->vm = fake_vm_new(node, 7);
  stage->library = fake_load(stage->vm);
}

void
stage_deinit(struct stage *stage, const char *instance)
{
  struct user user;
  user_init(&user, stage->vm, stage->library, instance);
  (void)user_close(&user);
  while (user_sweep(&user)) {
  }
  user_deinit(&user);
  fake_vm_end(stage->vm);
  fake_unload(stage->library);
  fake_vm_delete(stage->vm);
}

void
stage_thread(struct stage *stage, void *(*run)(void *), void *argument)
{
  if (stage->threads_count == THREADS_MAX ||
      pthread_create(&stage->threads[stage->threads_count++], NULL, run,
                     argument) != 0) {
    fake_die("no thread");
  }
}

void
stage_join(struct stage *stage)
{
  while (stage->threads_count > 0) {
    pthread_join(stage->threads[--stage->threads_count], NULL);
  }
}

void
stage_say_done(struct stage *stage)
{
  atomic_store_explicit(&stage->done, true, memory_order_relaxed);
}

bool
stage_is_done(struct stage *stage)
{
  return atomic_load_explicit(&stage->done, memory_order_relaxed);
}

/*--------------------------------------------------------------------
 * Main */

static unsigned passed;
static unsigned failed;

static void
play(const char *name, void (*scenario)(void), int argc, char **argv)
{
  bool chosen = argc < 2;
  for (int i = 1; i < argc; i++) {
    chosen = chosen || strcmp(argv[i], name) == 0;
  }
  if (!chosen) {
    return;
  }
  struct timespec begin;
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  const unsigned before = check_failures();
  scenario();
  CHECK(fake_blocks() == 0);
  clock_gettime(CLOCK_MONOTONIC, &end);
  const bool good = check_failures() == before;
  *(good ? &passed : &failed) += 1;
  printf("%-10s %s (%.1f s)\n", name, good ? "passed" : "FAILED",
         (double)(end.tv_sec - begin.tv_sec) +
           (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
  fflush(stdout);
}

int
main(int argc, char **argv)
{
#define SCENARIO_PLAY(name) play(#name, scenario_##name, argc, argv);
  SCENARIOS(SCENARIO_PLAY)
#undef SCENARIO_PLAY
  printf("%u passed, %u failed\n", passed, failed);
  return passed > 0 && failed == 0 ? 0 : 1;
}
