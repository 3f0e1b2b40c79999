/* SPDX-License-Identifier: Apache-2.0 */
/* What does it cost to know who is there?
 *
 *     lost, back     a member of a million names beside one of ten
 *     50 members     ten of them are lost at once: dead, or only cut off
 *     forwarding     what a voucher does for one who cannot hear a member
 *
 * Nothing takes time on its way here: a round trip is the calls that write and
 * read its messages, and *everywhere* is all calls of all members, one after
 * the other, which in a cluster run side by side.
 *
 * Members are polled when they have said that there is work, as hosts do.
 *
 * Memory:  less than a gigabyte.
 * Threads: none.
 */
#define BENCH_ENDS 64u

#include "bench_world.h"

#define BIG 1000000u
#define LITTLE 10u
#define ROUNDS 15
#define PASSES 4 /* Of each in a round: the quickest counts. */

/* Who has been there for so long does not flap when it goes: its next return is
 * not held back. */
#define CALM_MS 31000u

#define MEMBERS 50u
#define LOST 10u
#define LEFT (MEMBERS - LOST)
#define NAMES_EACH 100u
#define MEMBER_ROUNDS 7

/* What one reading of the clock adds to each call that is timed. */
static double reading_ns;

static void
must_be(bool good, const char *what)
{
  if (!good) {
    bench_give_up(what, HOLT_ERR_STALE);
  }
}

/* The least of many tries. */
static double
clock_ns(void)
{
  double least_ns = 1e9;
  for (size_t i = 0; i < 20; i++) {
    const double start = bench_clock_ns();
    for (size_t j = 1; j < 1000; j++) {
      (void)bench_clock_ns();
    }
    const double ns = (bench_clock_ns() - start) / 1000;
    least_ns = ns < least_ns ? ns : least_ns;
  }
  return least_ns;
}

static double
busy_us(const struct bench_world *world, size_t at)
{
  const struct bench_end *const end = &world->ends[at];
  return (end->busy_ns - (double)end->calls * reading_ns) / 1e3;
}

static void
mesh(struct bench_world *world, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    for (size_t j = i + 1; j < count; j++) {
      bench_link(world, i, j);
    }
  }
  bench_run(world);
}

static void
cut(struct bench_world *world, size_t left, size_t right)
{
  (void)bench_down(world, left, right);
  (void)bench_down(world, right, left);
}

/*--------------------------------------------------------------------
 * Lost and back */

/* Ends 0 and 1 look on; the others have names, and look on, too. */
enum {
  WITH_BIG = 2,
  WITH_LITTLE = 3,
  ALL = 4
};

struct passage {
  double one_us; /* At end 0, in so many calls. */
  double calls;
  double all_us; /* Everywhere but at the one that goes and comes. */
};

static void
quickest(struct passage *passage, const struct passage *other)
{
  if (passage->calls <= 0 || other->one_us < passage->one_us) {
    *passage = *other;
  }
}

/* Until all who look on have as many names as they should. */
static void
pass(struct bench_world *world, size_t who, size_t names, struct passage *best)
{
  struct passage passage = { .one_us = 0 };
  size_t waiting = ALL - 1;
  bool done[ALL] = { false };
  while (waiting > 0) {
    for (size_t i = 0; i < ALL; i++) {
      const bool stepped = bench_step(world, i);
      for (size_t j = 0; stepped && j < ALL; j++) {
        if (j != who && !done[j] &&
            holt_replica_count(world->ends[j].replica) == names) {
          done[j] = true;
          waiting--;
          const double us = busy_us(world, j);
          passage.all_us += us;
          if (j == 0) {
            passage.one_us = us;
            passage.calls = (double)world->ends[j].calls;
          }
        }
      }
    }
  }
  quickest(best, &passage);
}

/* The member itself has lost all others, too. */
static void
lose(struct bench_world *world, size_t who, size_t names,
     struct passage *passage)
{
  for (size_t i = 0; i < ALL; i++) {
    if (i != who) {
      (void)bench_down(world, who, i);
    }
  }
  bench_reset(world);
  for (size_t i = 0; i < ALL; i++) {
    if (i != who) {
      (void)bench_down(world, i, who);
    }
  }
  pass(world, who, names, passage);
  bench_run(world);
}

static void
come_back(struct bench_world *world, size_t who, size_t names,
          struct passage *passage)
{
  bench_reset(world);
  for (size_t i = 0; i < ALL; i++) {
    if (i != who) {
      bench_link(world, i, who);
    }
  }
  pass(world, who, names, passage);
  bench_run(world);
  bench_wait(world, CALM_MS);
}

struct passages {
  struct bench_sample one[2]; /* Of BIG, of LITTLE. */
  struct bench_sample all[2];
  struct bench_sample ratio;
  double calls;
};

static void
passages_add(struct passages *passages, const struct passage both[2])
{
  for (size_t i = 0; i < 2; i++) {
    bench_add(&passages->one[i], both[i].one_us);
    bench_add(&passages->all[i], both[i].all_us);
  }
  bench_add(&passages->ratio, both[0].one_us / both[1].one_us);
  passages->calls = both[0].calls;
}

static void
passages_print(struct passages *passages, const char *what)
{
  bench_line(bench_text("%s, 1M names, at one", what), &passages->one[0], "us",
             BENCH_AT_MOST, 50,
             bench_text("%.0f calls, the reading of the clock (%.0f ns) taken "
                        "off each",
                        passages->calls, reading_ns));
  bench_line(bench_text("%s, 10 names, at one", what), &passages->one[1], "us",
             BENCH_AT_MOST, 50, NULL);
  bench_line("... 1M beside 10, in the same round", &passages->ratio, "x",
             BENCH_AT_MOST, 1.2, "they do the same: 1");
  bench_line("... everywhere, 1M names", &passages->all[0], "us", BENCH_AT_MOST,
             1000, "all calls of three who look on: the round trip with it");
}

static void
followed_seen(void *user, const struct holt_actor_info *info)
{
  size_t *const count = user;
  *count += info->sight == HOLT_SIGHT_VOUCHED && info->voucher != NULL ? 1 : 0;
}

static size_t
followed(const struct bench_world *world, size_t at)
{
  size_t count = 0;
  holt_replica_actors(world->ends[at].replica, followed_seen, &count);
  return count;
}

/* Only end 0 and the member lose each other; until it follows the member
 * through another.  Returns what was sent for that. */
static size_t
cut_off(struct bench_world *world, size_t who, struct passage *passage)
{
  (void)bench_down(world, who, 0);
  bench_reset(world);
  (void)bench_down(world, 0, who);
  bench_run(world);
  must_be(followed(world, 0) == 1, "followed");
  must_be(holt_replica_count(world->ends[0].replica) == BIG + LITTLE,
          "never gone");
  const size_t bytes = bench_sent(world);
  quickest(passage, &(struct passage){ .one_us = busy_us(world, 0),
                                       .calls = (double)world->ends[0].calls });
  bench_link(world, 0, who);
  bench_run(world);
  bench_wait(world, 2000);
  return bytes;
}

static void
cut_off_and_back(struct bench_world *world, struct bench_calls *calls)
{
  struct passages cuts = { .calls = 0 };
  size_t bytes[2] = { 0 };
  for (size_t i = 0; i < ROUNDS; i++) {
    struct passage both[2] = { { .one_us = 0 } };
    for (size_t turn = 0; turn < 2 * PASSES; turn++) {
      const size_t which = (i + turn) % 2;
      bytes[which] =
        cut_off(world, which == 0 ? WITH_BIG : WITH_LITTLE, &both[which]);
    }
    passages_add(&cuts, both);
    bench_calls_round(calls);
  }
  bench_line("cut off from 1M names, until followed, at one", &cuts.one[0],
             "us", BENCH_AT_MOST, 50,
             bench_text("%.0f calls; never hidden; both sides and two "
                        "witnesses send %zu bytes",
                        cuts.calls, bytes[0]));
  bench_line("... 1M beside 10, in the same round", &cuts.ratio, "x",
             BENCH_AT_MOST, 1.2, bench_text("10 names: %zu bytes", bytes[1]));
}

static void
lost_and_back(struct bench_calls *calls)
{
  static struct bench_world world;
  static struct passages lost;
  static struct passages back;
  struct bench_name *const names = bench_names(BENCH_USER, BIG + LITTLE);
  bench_open(&world, ALL, HOLT_POLICY_UNIQUE_KEEP_NEWEST, calls);
  world.lazy = true;
  bench_fill(&world, WITH_BIG, names, BIG, 1, NULL);
  bench_fill(&world, WITH_LITTLE, names + BIG, LITTLE, 1, NULL);
  mesh(&world, ALL);
  bench_wait(&world, CALM_MS);
  bench_calls_section(calls);
  for (size_t i = 0; i < ROUNDS; i++) {
    struct passage gone[2] = { { .one_us = 0 } };
    struct passage here[2] = { { .one_us = 0 } };
    for (size_t turn = 0; turn < 2 * PASSES; turn++) {
      const size_t which = (i + turn) % 2;
      const size_t who = which == 0 ? WITH_BIG : WITH_LITTLE;
      lose(&world, who, which == 0 ? LITTLE : BIG, &gone[which]);
      come_back(&world, who, BIG + LITTLE, &here[which]);
    }
    passages_add(&lost, gone);
    passages_add(&back, here);
    bench_calls_round(calls);
  }
  passages_print(&lost, "lost (peer_down) until hidden");
  passages_print(&back, "back (peer_up) until shown");
  cut_off_and_back(&world, calls);
  bench_calls_section(calls);
  bench_close(&world);
  free(names);
}

/*--------------------------------------------------------------------
 * Fifty members */

/* Who has probed whom how often. */
struct tally {
  uint32_t probes[BENCH_ENDS][BENCH_ENDS];
};

static void
tally_sent(void *user, size_t from, size_t to, size_t kind, size_t bytes)
{
  struct tally *const tally = user;
  (void)bytes;
  if (kind == BENCH_KIND_PROBE) {
    tally->probes[from][to]++;
  }
}

/* The most probes of one by another. */
static uint32_t
tally_most(const struct tally *tally)
{
  uint32_t most = 0;
  for (size_t i = 0; i < BENCH_ENDS; i++) {
    for (size_t j = 0; j < BENCH_ENDS; j++) {
      most = tally->probes[i][j] > most ? tally->probes[i][j] : most;
    }
  }
  return most;
}

static double
bytes_of(const struct bench_world *world, enum bench_kind kind)
{
  return (double)(world->bytes[kind] +
                  world->messages[kind] * HOLT_HEADER_BYTES);
}

/* Asks, vouches, probes, echoes. */
static double
presence_bytes(const struct bench_world *world)
{
  return bytes_of(world, BENCH_KIND_ASK) + bytes_of(world, BENCH_KIND_VOUCH) +
         bytes_of(world, BENCH_KIND_PROBE) + bytes_of(world, BENCH_KIND_ECHO);
}

static size_t
presence_messages(const struct bench_world *world)
{
  return world->messages[BENCH_KIND_ASK] + world->messages[BENCH_KIND_VOUCH] +
         world->messages[BENCH_KIND_PROBE] + world->messages[BENCH_KIND_ECHO];
}

/* All hear each other, and have for long. */
static void
members_open(struct bench_world *world, size_t count,
             const struct bench_name *names, struct tally *tally,
             struct bench_calls *calls)
{
  bench_open(world, count, HOLT_POLICY_UNIQUE_KEEP_NEWEST, calls);
  world->lazy = true;
  for (size_t i = 0; i < count; i++) {
    bench_fill(world, i, names + i * NAMES_EACH, NAMES_EACH, 1, NULL);
  }
  mesh(world, count);
  bench_wait(world, 3000);
  must_be(bench_count(world, 0) == count * NAMES_EACH, "members");
  bench_calls_section(calls);
  bench_reset(world);
  *tally = (struct tally){ .probes = { { 0 } } };
  world->sent = tally_sent;
  world->sent_user = tally;
}

enum news {
  NEWS_AT_ONCE,  /* All have lost all, before anybody says anything. */
  NEWS_ONE_LOST, /* All have lost one, and are done with it, then the next. */
  NEWS_ONE_KNOWS /* One has lost all, then the next: asked are who have not. */
};

static void
members_lose(struct bench_world *world, enum news news)
{
  for (size_t i = 0; i < LOST; i++) {
    world->ends[LEFT + i].dead = true;
  }
  const size_t outer = news == NEWS_ONE_LOST ? LOST : LEFT;
  const size_t inner = news == NEWS_ONE_LOST ? LEFT : LOST;
  for (size_t i = 0; i < outer; i++) {
    for (size_t j = 0; j < inner; j++) {
      const size_t at = news == NEWS_ONE_LOST ? j : i;
      const size_t lost = LEFT + (news == NEWS_ONE_LOST ? i : j);
      (void)bench_down(world, at, lost);
    }
    if (news != NEWS_AT_ONCE) {
      bench_run(world);
    }
  }
  bench_run(world);
}

static void
members_dead(const struct bench_name *names, struct bench_calls *calls)
{
  static struct bench_world world;
  static struct tally tally;
  struct bench_sample one = { .count = 0 };
  struct bench_sample all = { .count = 0 };
  for (size_t i = 0; i < MEMBER_ROUNDS; i++) {
    members_open(&world, MEMBERS, names, &tally, calls);
    members_lose(&world, NEWS_AT_ONCE);
    must_be(bench_count(&world, 0) == LEFT * NAMES_EACH, "hidden");
    double sum_us = 0;
    for (size_t j = 0; j < LEFT; j++) {
      sum_us += busy_us(&world, j);
    }
    bench_add(&one, sum_us / LEFT);
    bench_add(&all, sum_us);
    bench_calls_round(calls);
    if (i + 1 < MEMBER_ROUNDS) {
      bench_close(&world);
    }
  }
  const double asks = (double)world.messages[BENCH_KIND_ASK];
  bench_value("10 of 50 dead: asks, per survivor", asks / LEFT, "",
              BENCH_AT_MOST, LEFT - 1, "one to each of the others");
  bench_value("... vouches, per survivor",
              (double)world.messages[BENCH_KIND_VOUCH] / LEFT, "",
              BENCH_AT_MOST, LEFT - 1, NULL);
  bench_value("... bytes, per survivor", presence_bytes(&world) / LEFT, "B",
              BENCH_NO_GOAL, 0,
              bench_text("an ask %.0f, a vouch %.0f; in all %.0f kB; the ids "
                         "alone: %u",
                         bytes_of(&world, BENCH_KIND_ASK) / asks,
                         bytes_of(&world, BENCH_KIND_VOUCH) /
                           (double)world.messages[BENCH_KIND_VOUCH],
                         presence_bytes(&world) / 1e3, 8 * LOST * (LEFT - 1)));
  bench_value("... probes, in all", (double)world.messages[BENCH_KIND_PROBE],
              "", BENCH_AT_MOST, 0, NULL);
  bench_line("... until hidden, at one", &one, "us", BENCH_AT_MOST, 1000, NULL);
  bench_line("... everywhere", &all, "us", BENCH_NO_GOAL, 0,
             bench_text("%u survivors, one after the other", LEFT));
  bench_calls_section(calls);
  bench_close(&world);
}

/* The same, but the news comes to one after the other. */
static void
members_turns(const struct bench_name *names, struct bench_calls *calls)
{
  static struct bench_world world;
  static struct tally tally;
  members_open(&world, MEMBERS, names, &tally, calls);
  members_lose(&world, NEWS_ONE_LOST);
  must_be(bench_count(&world, 0) == LEFT * NAMES_EACH, "hidden");
  bench_value("lost one after the other: bytes, per survivor",
              presence_bytes(&world) / LEFT, "B", BENCH_NO_GOAL, 0,
              bench_text("%.0f asks, %zu probes",
                         (double)world.messages[BENCH_KIND_ASK] / LEFT,
                         world.messages[BENCH_KIND_PROBE]));
  bench_close(&world);
  members_open(&world, MEMBERS, names, &tally, calls);
  members_lose(&world, NEWS_ONE_KNOWS);
  bench_value("known to one after the other: bytes, per survivor",
              presence_bytes(&world) / LEFT, "B", BENCH_NO_GOAL, 0,
              bench_text("%.0f asks, %.1f vouches a survivor",
                         (double)world.messages[BENCH_KIND_ASK] / LEFT,
                         (double)world.messages[BENCH_KIND_VOUCH] / LEFT));
  bench_value("... probes of a dead one, by one who has not lost it",
              (double)tally_most(&tally), "", BENCH_AT_MOST, 1,
              bench_text("%zu in all", world.messages[BENCH_KIND_PROBE]));
  must_be(bench_count(&world, 0) == LEFT * NAMES_EACH, "hidden");
  bench_calls_section(calls);
  bench_close(&world);
}

/* In ms until each of the members follows all that it does not hear. */
static uint64_t
all_followed(struct bench_world *world)
{
  const uint64_t start_ms = world->now.mono_ms;
  size_t count = 0;
  while (count < 2 * LEFT * LOST && world->now.mono_ms < start_ms + 120000) {
    bench_wait(world, 10);
    count = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
      count += followed(world, i);
    }
  }
  must_be(count == 2 * LEFT * LOST, "followed");
  return world->now.mono_ms - start_ms;
}

static unsigned long long
stalls(const struct bench_world *world)
{
  unsigned long long count = 0;
  for (size_t i = 0; i < world->count; i++) {
    struct holt_counters counters;
    holt_replica_counters(world->ends[i].replica, &counters);
    count += counters.stalls;
  }
  return count;
}

/* Forty and ten do not hear each other; one more hears all. */
static void
members_cut(const struct bench_name *names, struct bench_calls *calls)
{
  static struct bench_world world;
  static struct tally tally;
  const size_t witness = MEMBERS;
  members_open(&world, MEMBERS + 1, names, &tally, calls);
  for (size_t i = 0; i < LEFT; i++) {
    for (size_t j = LEFT; j < MEMBERS; j++) {
      cut(&world, i, j);
    }
  }
  bench_run(&world);
  bench_value("40 beside 10, a witness: probes of one by another",
              (double)tally_most(&tally), "", BENCH_AT_MOST, 1,
              bench_text("%zu in all, for %u askers",
                         world.messages[BENCH_KIND_PROBE], MEMBERS));
  bench_value("... bytes, per member, until vouched for",
              presence_bytes(&world) / MEMBERS, "B", BENCH_NO_GOAL, 0,
              bench_text("in all %.0f kB in %zu messages",
                         presence_bytes(&world) / 1e3,
                         presence_messages(&world)));
  bench_value("... time, of the witness", busy_us(&world, witness), "us",
              BENCH_NO_GOAL, 0,
              bench_text("of a member: %.0f", busy_us(&world, 0)));
  const double ms = (double)all_followed(&world);
  bench_value("... until all are followed, of the simulated clock", ms, "ms",
              BENCH_AT_MOST, 2000,
              bench_text("floor: 0, as nothing is missing; %llu repairs that "
                         "stalled on the way",
                         stalls(&world)));
  bench_wait(&world, 5000);
  must_be(bench_count(&world, 0) == (MEMBERS + 1) * NAMES_EACH, "never gone");
  bench_reset(&world);
  bench_wait(&world, 10000);
  must_be(bench_count(&world, 0) == (MEMBERS + 1) * NAMES_EACH, "never gone");
  bench_value("... bytes, per member, each second after",
              presence_bytes(&world) / MEMBERS / 10, "B", BENCH_NO_GOAL, 0,
              bench_text("in all %.1f kB/s; vectors beside: %.1f kB/s",
                         presence_bytes(&world) / 1e4,
                         bytes_of(&world, BENCH_KIND_VECTOR) / 1e4));
  bench_value("... time, of the witness, each second",
              busy_us(&world, witness) / 10, "us", BENCH_NO_GOAL, 0,
              bench_text("of a member: %.0f", busy_us(&world, 0) / 10));
  bench_calls_section(calls);
  bench_close(&world);
}

/*--------------------------------------------------------------------
 * Forwarding */

enum {
  ACTOR = 0,
  VOUCHER = 1,
  DEAF = 2 /* And those after it. */
};

#define BATCHES 200u
#define BATCH 1000u
#define TRICKLE 600u
#define TRICKLE_MS 100u
#define FORWARD_ROUNDS 5

/* Of the rows alone: what the actor sends to the voucher, and that to one who
 * is deaf. */
struct streams {
  double own;
  double forwarded;
  double presence; /* Between all. */
};

static void
streams_sent(void *user, size_t from, size_t to, size_t kind, size_t bytes)
{
  struct streams *const streams = user;
  const bool rows = kind == BENCH_KIND_DELTA || kind == BENCH_KIND_REPAIR ||
                    kind == BENCH_KIND_LOST;
  if (rows && from == ACTOR && to == VOUCHER) {
    streams->own += (double)bytes;
  } else if (rows && from == VOUCHER && to == DEAF) {
    streams->forwarded += (double)bytes;
  } else if (kind >= BENCH_KIND_ASK) {
    streams->presence += (double)bytes;
  }
}

struct load {
  const char *what;
  size_t times;
  size_t each;       /* Names. */
  uint64_t pause_ms; /* After these. */
};

struct turn {
  struct streams streams;
  double voucher_us;
  size_t calls;
};

/* One actor, one voucher, and others who are deaf to the actor, or not. */
static struct turn
forward_turn(const struct load *load, const struct bench_name *names,
             size_t others, bool deaf, struct bench_calls *calls)
{
  static struct bench_world world;
  struct turn turn = { .calls = 0 };
  bench_open(&world, DEAF + others, HOLT_POLICY_UNIQUE_KEEP_NEWEST, calls);
  world.lazy = true;
  bench_fill(&world, ACTOR, names, BATCH, 1, NULL);
  mesh(&world, world.count);
  bench_wait(&world, 3000);
  for (size_t i = DEAF; deaf && i < world.count; i++) {
    cut(&world, ACTOR, i);
  }
  bench_wait(&world, 5000);
  must_be(!deaf || followed(&world, DEAF) == 1, "followed");
  bench_reset(&world);
  world.sent = streams_sent;
  world.sent_user = &turn.streams;
  size_t at = BATCH;
  for (size_t i = 0; i < load->times; i++) {
    if (load->each > 0) {
      bench_fill(&world, ACTOR, names + at, load->each, load->each, NULL);
      at += load->each;
      bench_run(&world);
    }
    bench_wait(&world, load->pause_ms);
  }
  turn.voucher_us = busy_us(&world, VOUCHER);
  turn.calls = world.ends[VOUCHER].calls;
  for (size_t i = 0; i < 100 && bench_count(&world, DEAF) != at; i++) {
    bench_wait(&world, 10);
  }
  must_be(bench_count(&world, DEAF) == at, "forwarded");
  bench_close(&world);
  return turn;
}

struct forwards {
  struct bench_sample bytes; /* Beside the actor's own. */
  struct bench_sample with_us;
  struct bench_sample without_us;
  struct bench_sample ratio;
  struct bench_sample many; /* With ten who are deaf, each of them. */
  struct turn with;
  struct turn without;
};

static void
forwards_measure(struct forwards *f, const struct load *load,
                 const struct bench_name *names, struct bench_calls *calls)
{
  for (size_t i = 0; i < FORWARD_ROUNDS; i++) {
    f->without = forward_turn(load, names, 1, false, calls);
    f->with = forward_turn(load, names, 1, true, calls);
    const struct turn many_without =
      forward_turn(load, names, 10, false, calls);
    const struct turn many = forward_turn(load, names, 10, true, calls);
    bench_add(&f->bytes, f->with.streams.own > 0
                           ? f->with.streams.forwarded / f->with.streams.own
                           : 0);
    bench_add(&f->with_us, f->with.voucher_us);
    bench_add(&f->without_us, f->without.voucher_us);
    bench_add(&f->ratio, f->with.voucher_us / f->without.voucher_us);
    bench_add(&f->many, (many.voucher_us - many_without.voucher_us) / 10 /
                          f->without.voucher_us);
    bench_calls_round(calls);
  }
}

/* What the voucher may take with a follower, of what it takes without: rows in
 * bulk are copied, not read again; with single ones two messages (a delta in,
 * an ack out) become five (the delta out, an ack in, and the news for the
 * actor). */
static void
forward(const struct load *load, double ratio_max,
        const struct bench_name *names, struct bench_calls *calls)
{
  static struct forwards f;
  f = (struct forwards){ .bytes = { .count = 0 } };
  forwards_measure(&f, load, names, calls);
  bench_line(bench_text("%s: forwarded, beside own", load->what), &f.bytes, "x",
             BENCH_AT_MOST, 1.2,
             bench_text("%.0f bytes to one who is deaf, %.0f to the voucher",
                        f.with.streams.forwarded, f.with.streams.own));
  bench_line("... time of the voucher, beside without", &f.ratio, "x",
             BENCH_AT_MOST, ratio_max,
             bench_text("%.0f us with, %.0f us without; %zu, %zu calls",
                        bench_median(&f.with_us), bench_median(&f.without_us),
                        f.with.calls, f.without.calls));
  bench_line("... each of ten more, of what it takes alone", &f.many, "x",
             BENCH_AT_MOST, ratio_max - 1, NULL);
  bench_calls_section(calls);
}

static void
forward_idle(const struct bench_name *names, struct bench_calls *calls)
{
  static const struct load idle = { "idle", 60, 0, 1000 };
  struct forwards f = { .bytes = { .count = 0 } };
  forwards_measure(&f, &idle, names, calls);
  bench_value("idle: asks, vouches, probes and their echoes",
              f.with.streams.presence / 60, "B/s", BENCH_NO_GOAL, 0,
              "between all three, headers included");
  for (size_t i = 0; i < FORWARD_ROUNDS; i++) {
    f.with_us.values[i] /= 60;
    f.without_us.values[i] /= 60;
  }
  bench_line("... time of the voucher, each second", &f.with_us, "us",
             BENCH_NO_GOAL, 0,
             bench_text("%.1f without", bench_median(&f.without_us)));
  bench_calls_section(calls);
}

static void
forwarding(const struct bench_name *names, struct bench_calls *calls)
{
  static const struct load bulk = { "200 x 1000 names", BATCHES, BATCH, 0 };
  static const struct load trickle = { "a name each 100 ms", TRICKLE, 1,
                                       TRICKLE_MS };
  forward(&bulk, 1.2, names, calls);
  forward(&trickle, 2.5, names, calls);
  forward_idle(names, calls);
}

int
main(void)
{
  static struct bench_calls calls;
  reading_ns = clock_ns();
  bench_head("who is lost, and comes back");
  lost_and_back(&calls);
  struct bench_name *const names =
    bench_names(BENCH_USER, (BATCHES + 1) * BATCH);
  bench_head("50 members");
  members_dead(names, &calls);
  members_turns(names, &calls);
  members_cut(names, &calls);
  bench_head("streams of others");
  forwarding(names, &calls);
  free(names);
  bench_calls_print(&calls);
  return 0;
}
