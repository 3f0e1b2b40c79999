/* SPDX-License-Identifier: Apache-2.0 */
/* What a scenario has: a node, the library in it, and threads.
 *
 * A scenario does a bounded amount of work, whatever the machine: its writers
 * have so many rounds, and its readers go on until they are done.  Which
 * threads meet where is up to the machine; what must be true is true however
 * they meet. */
#ifndef HOLT_TEST_SCENARIO_H
#define HOLT_TEST_SCENARIO_H

#include <pthread.h>
#include <stdatomic.h>

#include "host.h"

#define THREADS_MAX 16u

/* How much work: HOLT_SCALE percent of so much. */
uint32_t scaled(uint32_t count);

struct stage {
  struct fake_vm *vm;
  struct fake_library *library;
  atomic_bool done; /* The writers have ended. */
  pthread_t threads[THREADS_MAX];
  unsigned threads_count;
};

void stage_init(struct stage *stage, const char *node);

/* Close this instance, if it is open, sweep, and take all down: nothing may be
 * left. */
void stage_deinit(struct stage *stage, const char *instance);

void stage_thread(struct stage *stage, void *(*run)(void *), void *argument);
void stage_join(struct stage *stage); /* All of them. */

void stage_say_done(struct stage *stage);
bool stage_is_done(struct stage *stage);

#endif /* HOLT_TEST_SCENARIO_H */
