/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do how much in a turn of the loop. */
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "net.h"
#include "turn.h"

/* A job that needs so many pieces, each of which may use up a turn. */
struct chore {
  struct turn_job job;
  struct work *work;
  char name;
  unsigned left;
  unsigned turns_used; /* By each piece. */
};

struct work {
  uv_loop_t loop;
  struct turn turn;
  char done[64]; /* The names, in order. */
  size_t count;
};

static void
use_up(struct turn *turn)
{
  while (!turn_is_over(turn)) {
  }
}

static bool
run(struct turn_job *job)
{
  struct chore *const chore = list_thing(job, struct chore, job);
  struct work *const work = chore->work;
  work->done[work->count++] = chore->name;
  for (unsigned i = 0; i < chore->turns_used; i++) {
    use_up(&work->turn);
    work->turn.begun = i + 1 == chore->turns_used;
  }
  chore->left--;
  return chore->left > 0;
}

static void
work_init(struct work *work)
{
  memset(work, 0, sizeof *work);
  uv_loop_init(&work->loop);
  turn_init(&work->turn, &work->loop);
}

static void
work_deinit(struct work *work)
{
  turn_close(&work->turn);
  uv_run(&work->loop, UV_RUN_DEFAULT);
  CU_ASSERT_EQUAL(uv_loop_close(&work->loop), 0);
}

static struct chore
chore(struct work *work, char name, unsigned pieces, unsigned turns_used)
{
  return (struct chore){ .work = work,
                         .name = name,
                         .left = pieces,
                         .turns_used = turns_used };
}

static void
want(struct chore *chore)
{
  turn_job_init(&chore->job, run);
  turn_want(&chore->work->turn, &chore->job);
}

/* All of it is done in turn, and then the loop has nothing left. */
static void
jobs_take_turns(void)
{
  struct work work;
  work_init(&work);
  struct chore a = chore(&work, 'a', 3, 0);
  struct chore b = chore(&work, 'b', 1, 0);
  struct chore c = chore(&work, 'c', 2, 0);
  want(&a);
  want(&b);
  want(&c);
  turn_want(&work.turn, &a.job); /* Once is enough. */
  CU_ASSERT_EQUAL(work.count, 0);
  uv_run(&work.loop, UV_RUN_DEFAULT);
  CU_ASSERT_STRING_EQUAL(work.done, "abcaca");
  CU_ASSERT(!turn_is_wanted(&a.job));
  work_deinit(&work);
}

/* However long one takes, the loop looks for news behind it, and the others
 * come before it again. */
static void
a_turn_ends(void)
{
  struct work work;
  work_init(&work);
  struct chore a = chore(&work, 'a', 3, 1);
  struct chore b = chore(&work, 'b', 3, 1);
  want(&a);
  want(&b);
  for (size_t turn = 1; turn <= 6; turn++) {
    const uint64_t before = work.turn.turns;
    uv_run(&work.loop, UV_RUN_NOWAIT);
    CU_ASSERT_EQUAL(work.count, turn);
    CU_ASSERT_EQUAL(work.turn.turns, before + 1);
  }
  CU_ASSERT_STRING_EQUAL(work.done, "ababab");
  work_deinit(&work);
}

static void
a_job_is_cancelled(void)
{
  struct work work;
  work_init(&work);
  struct chore a = chore(&work, 'a', 9, 1);
  struct chore b = chore(&work, 'b', 1, 1);
  want(&a);
  want(&b);
  uv_run(&work.loop, UV_RUN_NOWAIT);
  turn_cancel(&a.job);
  turn_cancel(&a.job);
  uv_run(&work.loop, UV_RUN_DEFAULT);
  CU_ASSERT_STRING_EQUAL(work.done, "ab");
  work_deinit(&work);
}

/* What takes long is seen. */
static void
long_turns_are_counted(void)
{
  struct work work;
  work_init(&work);
  struct chore a = chore(&work, 'a', 1, 0);
  want(&a);
  uv_run(&work.loop, UV_RUN_NOWAIT);
  const uint64_t before = work.turn.turns_long;
  /* Of the time, others may have got some. */
  for (unsigned i = 0; work.turn.turns_long == before && i < 50; i++) {
    struct chore b = chore(&work, 'b', 1, 8);
    want(&b);
    uv_run(&work.loop, UV_RUN_NOWAIT);
  }
  CU_ASSERT(work.turn.turns_long > before);
  CU_ASSERT(work.turn.turn_us_max > TURN_LONG_US);
  work_deinit(&work);
}

/*--------------------------------------------------------------------
 * What one peer sends, and the others */

#define A "a@127.0.0.1"
#define BURST 2000u

/* {6, Pid, '', echo} and a message, as a frame. */
static const uint8_t frame[] = {
  0, 0,   0,   44,  112, 131, 104, 4,   97,  6,   88,  119,
  1, 'z', 0,   0,   0,   1,   0,   0,   0,   0,   0,   0,
  0, 1,   119, 0,   119, 4,   'e', 'c', 'h', 'o', 131, 104,
  2, 119, 4,   'w', 'o', 'r', 'd', 98,  0,   0,   0,   0,
};

/* A burst of frames: those that do not fit in a turn come later, in order, and
 * none is lost; one that hangs up with some of them waiting leaves nothing. */
static void
a_burst_is_cut(void)
{
  struct net net;
  struct net_node a;
  net_init(&net);
  net_node_begin(&net, &a, A);
  static uint8_t burst[BURST * sizeof frame];
  for (unsigned round = 0; round < 2; round++) {
    const int fd = net_stranger(&net, dist_port(a.dist));
    CU_ASSERT(net_shake(&net, fd, "z@127.0.0.1", NET_COOKIE, A));
    for (uint32_t i = 0; i < BURST; i++) {
      uint8_t *const at = burst + i * sizeof frame;
      memcpy(at, frame, sizeof frame);
      at[sizeof frame - 2] = (uint8_t)(i >> 8);
      at[sizeof frame - 1] = (uint8_t)i;
    }
    const unsigned before = a.messages;
    a.slow_ns = round == 0 ? 0 : 100000;
    CU_ASSERT(net_say(&net, fd, burst, sizeof burst));
    if (round == 0) {
      UNTIL(&net, a.messages == before + BURST);
      CU_ASSERT_EQUAL(a.payload[a.payload_size - 2], (BURST - 1) >> 8);
      CU_ASSERT_EQUAL(a.payload[a.payload_size - 1], (uint8_t)(BURST - 1));
    } else {
      UNTIL(&net, a.messages > before);
      const unsigned some = a.messages;
      net_turn(&net);
      /* Some tenths of a millisecond each half. */
      CU_ASSERT(a.messages - some <= 20);
      dist_hang_up(a.peer, "enough");
    }
    CU_ASSERT_EQUAL(a.order_broken, 0);
    close(fd);
    UNTIL(&net, a.downs == round + 1);
  }
  net_node_stop(&net, &a);
  net_deinit(&net);
}

/* Another one is heard while a burst is worked off. */
static void
a_burst_does_not_drown_others(void)
{
  struct net net;
  struct net_node a;
  net_init(&net);
  net_node_begin(&net, &a, A);
  const int loud = net_stranger(&net, dist_port(a.dist));
  CU_ASSERT(net_shake(&net, loud, "z@127.0.0.1", NET_COOKIE, A));
  static uint8_t burst[BURST * sizeof frame];
  for (uint32_t i = 0; i < BURST; i++) {
    memcpy(burst + i * sizeof frame, frame, sizeof frame);
  }
  a.slow_ns = 100000;
  CU_ASSERT(net_say(&net, loud, burst, sizeof burst));
  /* A handshake has some steps; the burst has 200 ms of work. */
  const int other = net_stranger(&net, dist_port(a.dist));
  CU_ASSERT(net_shake(&net, other, "y@127.0.0.1", NET_COOKIE, A));
  UNTIL(&net, a.ups == 2);
  CU_ASSERT(a.messages < BURST);
  close(loud);
  close(other);
  a.slow_ns = 0;
  UNTIL(&net, a.downs == 2);
  net_node_stop(&net, &a);
  net_deinit(&net);
}

void test_turn_suite(void);

void
test_turn_suite(void)
{
  CU_pSuite suite = CU_add_suite("turn", NULL, NULL);
  CU_ADD_TEST(suite, jobs_take_turns);
  CU_ADD_TEST(suite, a_turn_ends);
  CU_ADD_TEST(suite, a_job_is_cancelled);
  CU_ADD_TEST(suite, long_turns_are_counted);
  CU_ADD_TEST(suite, a_burst_is_cut);
  CU_ADD_TEST(suite, a_burst_does_not_drown_others);
}
