/* SPDX-License-Identifier: Apache-2.0 */
#include "turn.h"

#include <time.h>

/* What this thread has used: being preempted does not count. */
static uint64_t
processor_us(void)
{
  struct timespec used = { 0 };
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return (uint64_t)used.tv_sec * 1000000u + (uint64_t)used.tv_nsec / 1000u;
}

/* The loop is about to wait: the turn has ended. */
static void
on_prepare(uv_prepare_t *prepare)
{
  struct turn *const turn = prepare->data;
  const uint64_t now_us = processor_us();
  const uint64_t took_us = now_us - turn->processor_us;
  turn->processor_us = now_us;
  turn->begun = false;
  turn->turns++;
  turn->turns_long += took_us > TURN_LONG_US ? 1 : 0;
  turn->turn_us_max = took_us > turn->turn_us_max ? took_us : turn->turn_us_max;
}

static void
on_idle(uv_idle_t *idle)
{
  struct turn *const turn = idle->data;
  turn->begun = false;
  while (!list_is_empty(&turn->jobs) && !turn_is_over(turn)) {
    struct turn_job *const job =
      list_thing(turn->jobs.next, struct turn_job, link);
    list_remove(&job->link);
    /* One that is done may be freed, or be wanted again already. */
    if (job->run(job) && !turn_is_wanted(job)) {
      list_add(&turn->jobs, &job->link);
    }
  }
  if (list_is_empty(&turn->jobs)) {
    (void)uv_idle_stop(&turn->idle);
  }
}

void
turn_init(struct turn *turn, uv_loop_t *loop)
{
  *turn = (struct turn){ .processor_us = processor_us() };
  list_init(&turn->jobs);
  (void)uv_prepare_init(loop, &turn->prepare);
  (void)uv_idle_init(loop, &turn->idle);
  turn->prepare.data = turn;
  turn->idle.data = turn;
  (void)uv_prepare_start(&turn->prepare, on_prepare);
  /* Others keep the loop alive, or have nothing to measure. */
  uv_unref((uv_handle_t *)&turn->prepare);
}

void
turn_close(struct turn *turn)
{
  uv_close((uv_handle_t *)&turn->prepare, NULL);
  uv_close((uv_handle_t *)&turn->idle, NULL);
}

bool
turn_is_over(struct turn *turn)
{
  const uint64_t now_ns = uv_hrtime();
  if (!turn->begun) {
    turn->begun = true;
    turn->began_ns = now_ns;
  }
  return now_ns - turn->began_ns > TURN_BUDGET_NS;
}

void
turn_job_init(struct turn_job *job, bool (*run)(struct turn_job *job))
{
  list_init(&job->link);
  job->run = run;
}

void
turn_want(struct turn *turn, struct turn_job *job)
{
  if (turn_is_wanted(job)) {
    return;
  }
  list_add(&turn->jobs, &job->link);
  if (uv_is_closing((uv_handle_t *)&turn->idle) == 0) {
    (void)uv_idle_start(&turn->idle, on_idle);
  }
}

void
turn_cancel(struct turn_job *job)
{
  list_remove(&job->link);
}
