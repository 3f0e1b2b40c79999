/* SPDX-License-Identifier: Apache-2.0 */
/* Turns: how does one loop serve many, none of whom waits long for the others?
 *
 * A turn of the loop is what happens between two times at which it looks for
 * news from outside.  Whatever may take long is cut: what comes from a socket
 * goes on only until the turn is over, and what is left of anything is a job,
 * which waits in one queue, and has a piece of it done each time it is first.
 *
 *                 .--------------------- turn ----------------------.
 *     (wait) ---> sockets: frames, until over ---> jobs, until over ---> (wait)
 *                                |                  ^  |
 *                                '-- what is left --'  '-- not done: to the end
 *
 * Both halves get TURN_BUDGET_NS; one piece of work is always done, and none
 * should take longer than some tenths of a millisecond.
 *
 * Jobs:    belong to whoever wants them; one that is queued must not be freed
 *          before turn_cancel().  They run from the loop, never from within a
 *          function below.
 * Order:   first come, first served; who is not done goes to the end.
 * Cost:    one look at the clock for each piece of work.
 * Memory:  none.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_TURN_H
#define HOLT_NODE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "list.h"

/* Of each half. */
#define TURN_BUDGET_NS 400000u

/* Turns that took more processor time than this are counted. */
#define TURN_LONG_US 1000u

struct turn_job {
  struct list link;
  /* Do a piece of it.  True: there is more. */
  bool (*run)(struct turn_job *job);
};

struct turn {
  uv_prepare_t prepare;
  uv_idle_t idle;
  struct list jobs; /* First in, first out. */
  bool begun;       /* began_ns is of this half of this turn. */
  uint64_t began_ns;
  uint64_t processor_us; /* Of this thread, when the last turn ended. */
  uint64_t turns;
  uint64_t turns_long; /* Over TURN_LONG_US. */
  uint64_t turn_us_max;
};

void turn_init(struct turn *turn, uv_loop_t *loop);

/* Nothing is run any more; the loop has to close the handles. */
void turn_close(struct turn *turn);

/* No more work in this half of the turn, but for what has begun. */
bool turn_is_over(struct turn *turn);

void turn_job_init(struct turn_job *job, bool (*run)(struct turn_job *job));

/* Run the job, soon; one that is queued stays where it is. */
void turn_want(struct turn *turn, struct turn_job *job);

/* Take it out of the queue.  Harmless if it is not there. */
void turn_cancel(struct turn_job *job);

static inline bool
turn_is_wanted(const struct turn_job *job)
{
  return !list_is_empty(&job->link);
}

#endif /* HOLT_NODE_TURN_H */
