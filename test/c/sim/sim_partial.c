/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of cuts that are not whole: who is vouched for, and by whom, and what
 * becomes of that when somebody dies in the middle of it.
 *
 * Mostly n0 and n1 cannot hear each other, and n2 (and n3) hear both. */
#include <string.h>

#include "sim_core.h"
#include "sim_story.h"

#define KEYS 9u

/* How one node sees another. */
static enum holt_sight
sight(const struct sim *sim, unsigned at, unsigned of)
{
  struct sim_copy copy;
  return sim_core_copy_of(sim->nodes[at].replica, sim->nodes[of].log->actor,
                          &copy)
           ? copy.sight
           : HOLT_SIGHT_ABSENT;
}

static bool
knows(const struct sim *sim, unsigned at, uint64_t actor)
{
  struct sim_copy copy;
  return sim_core_copy_of(sim->nodes[at].replica, actor, &copy) && !copy.gone;
}

/* Step by step, until it is so, for so long at most. */
#define run_until(sim, for_ms, condition)                                      \
  do {                                                                         \
    const uint64_t until_ms = (sim)->now_ms + (for_ms);                        \
    while (!(condition) && sim_event((sim), until_ms)) {                       \
    }                                                                          \
    sim_expect((sim), (condition), #condition);                                \
  } while (0)

/* For a while the node always sees this one under the key. */
static void
keeps_seeing(struct sim *sim, unsigned at, unsigned key, int holder,
             uint64_t for_ms)
{
  const uint64_t until_ms = sim->now_ms + for_ms;
  do {
    if (sim_holder(sim, at, key) != holder) {
      sim_fail(sim, "n%u does not always see n%d under key %u", at, holder,
               key);
    }
  } while (sim_event(sim, until_ms));
}

static void
set_up(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_expect(sim, sim_register(sim, 1, 0, 1) == 0, "n1 registers");
  sim_settle(sim);
}

/* n0 and n1 do not hear each other any more, and it has come to rest. */
static void
set_apart(struct sim *sim)
{
  set_up(sim);
  sim_link_cut(sim, 0, 1);
  run_until(sim, 1000, sight(sim, 0, 1) == HOLT_SIGHT_VOUCHED);
  run_until(sim, 1000, sight(sim, 1, 0) == HOLT_SIGHT_VOUCHED);
  sim_settle(sim);
}

/*--------------------------------------------------------------------
 * Names stay */

/* Two of three do not hear each other: nobody loses sight of a name, and what
 * is new gets there, too. */
static void
sim_partial_cut_keeps_names(struct sim *sim)
{
  set_up(sim);
  sim_link_cut(sim, 0, 1);
  keeps_seeing(sim, 0, 1, 1, 1000);
  keeps_seeing(sim, 1, 0, 0, 5000);
  sim_expect(sim, sight(sim, 0, 1) == HOLT_SIGHT_VOUCHED, "n1 is vouched for");
  sim_expect(sim, sim_register(sim, 0, 0, 2) == 0, "n0 registers another");
  sim_run(sim, 50);
  sim_expect_holder(sim, 2, 0);
  sim_expect(sim, sim_register(sim, 1, 0, 2) == HOLT_ERR_EXISTS,
             "n1 is refused");
  sim_expect(sim, sim_unregister(sim, 0, 0) == 0, "n0 gives one away");
  sim_run(sim, 50);
  sim_expect(sim, sim_register(sim, 1, 0, 0) == 0, "n1 takes it");
  sim_settle(sim);
  sim_expect_holder(sim, 0, 1);
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 2, 0);
  sim_expect(sim, sim->total.conflicts == 0, "no conflict");
  sim_expect(sim, sim_counters(sim, 0).forwarded == 0, "n0 forwards nothing");
  sim_expect(sim, sim_counters(sim, 2).forwarded > 0, "n2 forwards");
  sim_check_quiet(sim);
}

/* The same for a name that both take while nobody vouches: n2 is frozen. */
static void
sim_partial_partition_heals(struct sim *sim)
{
  sim->nodes[0].wall_base_ms = sim->nodes[1].wall_base_ms;
  sim_settle(sim);
  sim_freeze(sim, 2, 5000);
  sim_split(sim, 0, 1);
  sim_run(sim, 1000);
  sim_expect(sim, sight(sim, 0, 1) == HOLT_SIGHT_ABSENT, "n1 is out of sight");
  sim_expect(sim, sim_register(sim, 0, 0, 0) == 0, "n0 registers");
  sim_run(sim, 100);
  sim_expect(sim, sim_register(sim, 1, 0, 0) == 0, "n1 registers, later");
  sim_thaw(sim, 2);
  sim_settle(sim);
  sim_expect_holder(sim, 0, 1);
  sim_expect(sim, sim->total.conflicts == 1, "one is told");
  sim_expect(sim, sim_register(sim, 2, 0, 0) == HOLT_ERR_EXISTS,
             "n2 is refused");
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 0, 1);
  sim_expect(sim, sim->total.conflicts == 1, "nobody else is told");
}

/* Nothing gets from n1 to n0, and n1 does not know: n0 greets and greets, and
 * keeps its names by n2 once the link is taken for lost. */
static void
sim_one_way_cut_keeps_names(struct sim *sim)
{
  set_up(sim);
  sim_expect(sim, sim_link_mute(sim, 1, 0, 8000, true), "n1 is not heard");
  sim_expect(sim, sim_register(sim, 1, 0, 2) == 0, "n1 registers another");
  keeps_seeing(sim, 0, 1, 1, 7900);
  sim_run(sim, 300);
  keeps_seeing(sim, 0, 1, 1, 1000);
  sim_settle(sim);
  sim_expect_holder(sim, 1, 1);
  sim_expect_holder(sim, 2, 1);
  sim_heal(sim, 0, 1);
  sim_expect_holder(sim, 2, 1);
}

/* Nothing is shown anew, and nothing goes, where a process is started again
 * that had others vouched for. */
static void
sim_process_restart_keeps_vouched(struct sim *sim)
{
  set_apart(sim);
  sim_process_crash(sim, 0);
  keeps_seeing(sim, 0, 1, 1, 1500);
  sim_settle(sim);
  /* A vouch is renewed half way, so half of one is always left. */
  sim_process_crash(sim, 2);
  keeps_seeing(sim, 0, 1, 1, sim->options.tuning.vouch_ms / 2 - 100);
  sim_run(sim, 3000);
  sim_settle(sim);
  sim_heal(sim, 0, 1);
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Vouchers in trouble */

#define ANY SIM_NODES_MAX

/* A packet of this kind is sent for the first time after the cut, and who of n2
 * and n3 has sent it, or is to get it, dies: the other one vouches for n1, and
 * n0 sees its names all the while. */
static void
voucher_dies(struct sim *sim, uint8_t kind, unsigned from, unsigned to,
             bool changes)
{
  set_up(sim);
  const bool names = kind == HOLT_PACKET_ACK || kind == HOLT_PACKET_DELTA;
  sim->watch = (struct sim_watch){ .kind = kind,
                                   .from = from,
                                   .to = to,
                                   .foreign = names };
  sim_link_cut(sim, 0, 1);
  if (changes) {
    run_until(sim, 1000, sight(sim, 0, 1) == HOLT_SIGHT_VOUCHED);
    sim->watch.hits = 0;
    sim_expect(sim, sim_register(sim, 1, 0, 2) == 0, "n1 registers another");
  }
  while (sim->watch.hits == 0) {
    if (sim_holder(sim, 0, 1) != 1) {
      sim_fail(sim, "n0 loses sight of n1");
    }
    if (!sim_event(sim, 5000)) {
      sim_fail(sim, "it was never sent");
      return;
    }
  }
  const unsigned voucher =
    sim->watch.hit_from > 1 ? sim->watch.hit_from : sim->watch.hit_to;
  sim_node_kill(sim, voucher);
  keeps_seeing(sim, 0, 1, 1, 6000);
  sim_settle(sim);
  sim_expect(sim, sim_holder(sim, 0, 2) == (changes ? 1 : -1),
             "n0 has what n1 has written");
  sim_node_start(sim, voucher);
  sim_heal_all(sim);
  sim_settle(sim);
  sim_check_quiet(sim);
}

static void
sim_voucher_dies_when_asked(struct sim *sim)
{
  voucher_dies(sim, HOLT_PACKET_ASK, 0, 2, false);
}

static void
sim_voucher_dies_when_it_probes(struct sim *sim)
{
  voucher_dies(sim, HOLT_PACKET_PROBE, 2, 1, false);
}

static void
sim_voucher_dies_when_echoed(struct sim *sim)
{
  voucher_dies(sim, HOLT_PACKET_ECHO, 1, 2, false);
}

static void
sim_voucher_dies_when_it_vouches(struct sim *sim)
{
  voucher_dies(sim, HOLT_PACKET_VOUCH, 2, 0, false);
}

static void
sim_voucher_dies_when_it_repairs(struct sim *sim)
{
  voucher_dies(sim, HOLT_PACKET_REPAIR, ANY, 0, false);
}

/* The repair is over, and n0 says from where it goes on. */
static void
sim_voucher_dies_when_followed(struct sim *sim)
{
  voucher_dies(sim, HOLT_PACKET_ACK, 0, ANY, false);
}

static void
sim_voucher_dies_when_it_forwards(struct sim *sim)
{
  voucher_dies(sim, HOLT_PACKET_DELTA, ANY, 0, true);
}

/* The only voucher is cut off from whom it vouches for: that is absent, before
 * long, and not before all of its vouches are void. */
static void
sim_voucher_loses_whom_it_vouches_for(struct sim *sim)
{
  set_apart(sim);
  sim_link_cut(sim, 1, 2);
  run_until(sim, 1000, sight(sim, 0, 1) == HOLT_SIGHT_ABSENT);
  run_until(sim, 1000, sight(sim, 1, 0) == HOLT_SIGHT_ABSENT);
  sim_expect(sim, sim_holder(sim, 0, 1) == -1, "n1's name is gone");
  sim_settle(sim);
  (void)sim_link_heal(sim, 1, 2);
  sim_settle(sim);
  sim_expect(sim, sim_holder(sim, 0, 1) == 1, "n1's name is back");
  sim_heal(sim, 0, 1);
  sim_check_quiet(sim);
}

/* It is frozen: its vouch lapses, when it is due to and not before. */
static void
sim_frozen_voucher_lapses(struct sim *sim)
{
  const struct holt_tuning *const tuning = &sim->options.tuning;
  set_apart(sim);
  sim_freeze(sim, 2, 20000);
  keeps_seeing(sim, 0, 1, 1, tuning->vouch_ms / 2 - 50);
  run_until(sim, tuning->vouch_ms / 2 + tuning->probe_ms + 100,
            sight(sim, 0, 1) == HOLT_SIGHT_ABSENT);
  sim_thaw(sim, 2);
  sim_settle(sim);
  sim_expect(sim, sim_holder(sim, 0, 1) == 1, "n1's name is back");
  sim_expect(sim, sim_counters(sim, 0).vouches_lapsed > 0, "one has lapsed");
}

/* Of two vouchers one is frozen: the other one's vouch stands, and it brings
 * what is new. */
static void
sim_two_vouchers_outlast_one(struct sim *sim)
{
  set_apart(sim);
  sim_freeze(sim, 2, 10000);
  sim_expect(sim, sim_register(sim, 1, 0, 2) == 0, "n1 registers another");
  keeps_seeing(sim, 0, 1, 1, 9000);
  sim_expect(sim, sim_holder(sim, 0, 2) == 1, "n0 has it by n3");
  sim_thaw(sim, 2);
  sim_settle(sim);
  sim_freeze(sim, 3, 10000);
  sim_expect(sim, sim_register(sim, 1, 0, 3) == 0, "n1 registers a third");
  keeps_seeing(sim, 0, 1, 1, 9000);
  sim_expect(sim, sim_holder(sim, 0, 3) == 1, "n0 has it by n2");
  sim_thaw(sim, 3);
  sim_heal(sim, 0, 1);
  sim_check_quiet(sim);
}

/* n2 has missed so much that n1 cannot stream it any more, and gets a repair,
 * while n0 follows: that is told, and has it all a moment later. */
static void
sim_voucher_jumps(struct sim *sim)
{
  set_apart(sim);
  for (unsigned i = 2; i < 8; i++) {
    sim_expect(sim, sim_register(sim, 1, 0, i) == 0, "n1 registers");
  }
  sim_settle(sim);
  sim_expect(sim, sim_link_mute(sim, 1, 2, 300, false), "n2 hears nothing");
  for (unsigned i = 2; i < 8; i += 2) {
    sim_expect(sim, sim_unregister(sim, 1, i) == 0, "n1 gives some away");
    sim_run(sim, 20);
  }
  sim_core_trim_deaths(sim->nodes[1].replica,
                       sim_core_deaths(sim->nodes[1].replica));
  sim_run(sim, 280);
  sim_expect(sim, sim_register(sim, 1, 0, 8) == 0, "n1 registers another");
  run_until(sim, 3000, sim_holder(sim, 2, 8) == 1);
  run_until(sim, 100, sim_holder(sim, 0, 8) == 1);
  sim_expect(sim, sim_counters(sim, 2).repairs > 0, "n2 was repaired");
  sim_expect(sim, sim_holder(sim, 0, 4) == -1, "no ghost at n0");
  sim_settle(sim);
  sim_heal(sim, 0, 1);
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Whom they vouch for */

/* Behind a voucher n1 becomes another one: its old names go, its new ones
 * come. */
static void
sim_vouched_instance_starts_again(struct sim *sim)
{
  set_apart(sim);
  const uint64_t past = sim->nodes[1].log->actor;
  sim_expect(sim, sim_instance_restart(sim, 1), "n1's instance starts again");
  sim_expect(sim, sim_register(sim, 1, 0, 2) == 0, "n1 registers another");
  sim_run(sim, 5000);
  sim_settle(sim);
  sim_expect(sim, sim_holder(sim, 0, 1) == -1, "the past life's name is gone");
  sim_expect(sim, sim_holder(sim, 0, 2) == 1, "the new one's is there");
  struct sim_copy copy;
  sim_expect(
    sim, !sim_core_copy_of(sim->nodes[0].replica, past, &copy) || !copy.present,
    "the past life is absent");
  sim_heal(sim, 0, 1);
  sim_check_quiet(sim);
}

/* n1 pauses: it tells n2, and n2 tells n0. */
static void
sim_vouched_pauses(struct sim *sim)
{
  set_apart(sim);
  sim_expect(sim, sim_pause(sim, 1, 3000), "n1 pauses");
  run_until(sim, sim->options.tuning.vouch_ms,
            sight(sim, 0, 1) == HOLT_SIGHT_ABSENT);
  struct sim_copy copy;
  sim_expect(
    sim,
    sim_core_copy_of(sim->nodes[0].replica, sim->nodes[1].log->actor, &copy) &&
      copy.paused,
    "n0 knows why");
  sim_run(sim, 4000);
  sim_settle(sim);
  sim_expect(sim, sim_holder(sim, 0, 1) == 1, "n1's name is back");
  sim_expect(sim, sim_counters(sim, 0).flaps == 0, "a pause is no flap");
}

/* n0 was alone, and meets n2 again, while n1 stays behind it: all that n1 has
 * written meanwhile is there when n1 is shown. */
static void
sim_returning_actor_behind_a_voucher(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register_many(sim, 1, 0, 0, 1000, false) == 1000,
             "n1 registers");
  sim_settle(sim);
  sim_link_cut(sim, 0, 1);
  sim_link_cut(sim, 0, 2);
  sim_run(sim, 3000);
  sim_expect(sim, sim_holder(sim, 0, 5) == -1, "n0 sees nothing");
  for (unsigned i = 0; i < 10; i++) {
    sim_expect(sim, sim_process_exit(sim, 1, i % SIM_PROCESSES), "one ends");
    sim_expect(sim,
               sim_register_many(sim, 1, (i + 1) % SIM_PROCESSES, 1000, 10000,
                                 false) == 10000,
               "n1 registers many");
  }
  sim_expect(sim, sim_unregister(sim, 1, 2000) == 0, "and gives one away");
  sim_run(sim, 1000);
  (void)sim_link_heal(sim, 0, 2);
  run_until(sim, 60000, sim_holder(sim, 0, 1001) == 1);
  sim_expect(sim, sim_holder(sim, 0, 5) == -1, "no ghost");
  sim_expect(sim, sim_holder(sim, 0, 2000) == -1, "no ghost, either");
  sim_expect(sim, holt_replica_count(sim->nodes[0].replica) == 9999,
             "all of them at once");
  sim_settle(sim);
}

/*--------------------------------------------------------------------
 * Ends */

/* All lose n1 at once: nobody waits for answers that cannot come. */
static void
sim_death_costs_one_round_trip(struct sim *sim)
{
  set_up(sim);
  sim_node_kill(sim, 1);
  run_until(sim, 100,
            !sim->nodes[0].linked[1] && !sim->nodes[2].linked[1] &&
              !sim->nodes[3].linked[1]);
  sim_run(sim, 2 * sim->options.delay_max_ms + 4);
  const unsigned others[] = { 0, 2, 3 };
  for (unsigned i = 0; i < 3; i++) {
    sim_expect(sim,
               sight(sim, others[i], 1) == HOLT_SIGHT_ABSENT ||
                 !knows(sim, others[i], sim->nodes[1].log->actor),
               "all know that it is gone");
    sim_expect(sim, sim_holder(sim, others[i], 1) == -1, "its name is gone");
  }
}

/* The cost of an absence: as many blocks of memory and as many polls for ten
 * thousand rows as for ten. */
static uint64_t
absence_cost(struct sim *sim, unsigned at, unsigned of)
{
  sim_settle(sim);
  const uint64_t requests = sim->nodes[at].heap.requests;
  const uint64_t blocks = sim->nodes[at].heap.blocks_count;
  sim_link_cut(sim, at, of);
  run_until(sim, 100, !sim->nodes[at].linked[of]);
  run_until(sim, 2000, sight(sim, at, of) == HOLT_SIGHT_ABSENT);
  sim_expect(sim, !sim_core_busy(sim->nodes[at].replica), "nothing is left");
  return (sim->nodes[at].heap.requests - requests) * 1000 + blocks -
         sim->nodes[at].heap.blocks_count;
}

static void
sim_absence_costs_the_same_for_all(struct sim *sim)
{
  sim_settle(sim);
  sim_expect(sim, sim_register_many(sim, 1, 0, 0, 10, false) == 10, "few");
  const uint64_t few = absence_cost(sim, 0, 1);
  sim_heal(sim, 0, 1);
  sim_expect(sim, sim_register_many(sim, 1, 0, 10, 9990, false) == 9990,
             "many");
  sim_run(sim, sim->options.tuning.flap_ms_max);
  const uint64_t many = absence_cost(sim, 0, 1);
  sim_expect(sim, holt_replica_count(sim->nodes[0].replica) == 0, "none left");
  sim_expect(sim, few == many, "the same cost");
}

/* A link that comes and goes: its names are shown less and less often, and all
 * the time once it has calmed down. */
static void
sim_flapping_is_damped(struct sim *sim)
{
  set_up(sim);
  unsigned shows = 0;
  bool shown = true;
  for (unsigned i = 0; i < 100; i++) {
    sim_link_cut(sim, 0, 1);
    sim_run(sim, 100);
    (void)sim_link_heal(sim, 0, 1);
    const uint64_t until_ms = sim->now_ms + 100;
    while (sim_event(sim, until_ms)) {
      const bool now = sim_holder(sim, 0, 1) == 1;
      shows += now && !shown ? 1 : 0;
      shown = now;
    }
  }
  sim_expect(sim, shows >= 1, "its first return is shown at once");
  sim_expect(sim, shows <= 8, "it is not shown all the time");
  sim_expect(sim, sim_counters(sim, 0).flaps > 0, "flaps are counted");
  sim_run(sim, 200);
  (void)sim_link_heal(sim, 0, 1);
  sim_settle(sim);
  sim_expect_holder(sim, 1, 1);
}

/* n1 is gone.  n0 and n2 have lost it at other times, and forget it at the
 * same: nobody is forgotten whom another has seen lately. */
static void
sim_forgetting_goes_by_the_least_age(struct sim *sim)
{
  const uint64_t forget_ms = sim->options.tuning.forget_after_ms;
  set_up(sim);
  const uint64_t gone = sim->nodes[1].log->actor;
  sim_link_cut(sim, 0, 1);
  sim_link_cut(sim, 0, 2);
  sim_run(sim, forget_ms / 2);
  sim_expect(sim, sight(sim, 0, 1) == HOLT_SIGHT_ABSENT, "n0 has lost it");
  sim->nodes[1].left = true;
  sim_node_kill(sim, 1);
  (void)sim_link_heal(sim, 0, 2);
  sim_run(sim, forget_ms / 2 + 100);
  sim_expect(sim, knows(sim, 0, gone), "n0 has heard of it from n2");
  sim_run(sim, forget_ms / 2 + forget_ms / 8 + 200);
  sim_expect(sim, !knows(sim, 0, gone), "n0 has forgotten it");
  sim_expect(sim, !knows(sim, 2, gone), "n2, too");
  sim_settle(sim);
}

/* Who has been forgotten and comes back is as new, and brings no ghosts. */
static void
sim_forgotten_comes_back(struct sim *sim)
{
  set_up(sim);
  const uint64_t actor = sim->nodes[1].log->actor;
  sim_link_cut(sim, 0, 1);
  sim_link_cut(sim, 1, 2);
  sim_run(sim, sim->options.tuning.forget_after_ms * 9 / 8 + 1000);
  sim_expect(sim, !knows(sim, 0, actor), "n0 has forgotten n1");
  sim_expect(sim, !knows(sim, 2, actor), "n2 has");
  sim_expect(sim, sim_unregister(sim, 1, 1) == 0, "n1 gives its name away");
  sim_expect(sim, sim_register(sim, 1, 0, 2) == 0, "and takes another");
  (void)sim_link_heal(sim, 1, 2);
  sim_settle(sim);
  sim_expect_holder(sim, 1, -1);
  sim_expect_holder(sim, 2, 1);
  sim_heal(sim, 0, 1);
  sim_check_quiet(sim);
}

/*--------------------------------------------------------------------
 * Peers that say what they should not */

static void
say(struct sim *sim, unsigned from, unsigned to, struct holt_buf *out)
{
  uint8_t header[HOLT_HEADER_BYTES];
  if (!sim_core_header(sim->nodes[from].replica, sim->nodes[from].peers[to],
                       header)) {
    sim_fail(sim, "n%u has no session with n%u", from, to);
    return;
  }
  (void)sim_send(sim, from, to, SIM_PACKET, header, out->data, out->size);
  holt_buf_clear(out);
}

/* Words about actors that nobody has asked about: refused, and nothing comes of
 * it. */
static void
sim_vouches_that_nobody_asked_for(struct sim *sim)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_buf out;
  holt_buf_init(&out, &heap.mem, 100000);
  set_up(sim);
  const uint64_t gone = sim->nodes[3].log->actor;
  sim->nodes[3].left = true;
  sim_node_kill(sim, 3);
  sim_run(sim, 3000);
  sim_expect(sim, sight(sim, 0, 3) == HOLT_SIGHT_ABSENT, "n3 is gone");
  for (unsigned i = 0; i < 100; i++) {
    const struct holt_vouch vouch = { .token = 0, .count = 2 };
    (void)holt_vouch_encode(&out, &vouch);
    const struct holt_vouch_item items[2] = {
      { .actor = gone, .word = HOLT_WORD_YES, .version = 1 },
      { .actor = UINT64_C(12345) + i, .word = HOLT_WORD_YES, .version = 7 },
    };
    (void)holt_vouch_item_encode(&out, &items[0]);
    (void)holt_vouch_item_encode(&out, &items[1]);
    say(sim, 2, 0, &out);
  }
  sim_run(sim, 1000);
  sim_expect(sim, sight(sim, 0, 3) == HOLT_SIGHT_ABSENT, "n3 is still gone");
  sim_expect(sim, !knows(sim, 0, 12345), "nobody has come of it");
  sim_expect(sim, sim_counters(sim, 0).refused[-HOLT_ERR_STALE] >= 100,
             "all are counted");
  sim_settle(sim);
  holt_buf_deinit(&out);
  heap_deinit(&heap);
}

/* Asks without end, about everybody and nobody: as many probes as are useful,
 * and not as many answers as asks about others. */
static void
sim_asks_without_end(struct sim *sim)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_buf out;
  holt_buf_init(&out, &heap.mem, 100000);
  set_up(sim);
  sim->hostile = true;
  const uint64_t before = sim_counters(sim, 2).probes;
  for (unsigned i = 0; i < 500; i++) {
    const struct holt_ask ask = { .token = i + 1, .count = 3 };
    (void)holt_ask_encode(&out, &ask);
    (void)holt_ask_item_encode(&out, sim->nodes[1].log->actor);
    (void)holt_ask_item_encode(&out, sim->nodes[2].log->actor);
    (void)holt_ask_item_encode(&out, UINT64_C(54321) + i);
    say(sim, 0, 2, &out);
    sim_run(sim, 2);
  }
  sim_expect(sim, sim_counters(sim, 2).probes - before < 10, "few probes");
  sim_expect(sim, !knows(sim, 2, 54321), "nobody has come of it");
  sim_run(sim, 1000);
  sim_settle(sim);
  sim_expect_holder(sim, 1, 1);
  holt_buf_deinit(&out);
  heap_deinit(&heap);
}

/*--------------------------------------------------------------------
 * All of them */

static void
many_keys(struct sim_options *options)
{
  options->big = true;
  options->keys = SIM_KEYS_MAX;
  options->budget_max = 2000;
}

static void
forgets_soon(struct sim_options *options)
{
  options->tuning.forget_after_ms = 16000;
}

static void
flaps_soon(struct sim_options *options)
{
  options->tuning.flap_ms_max = 4000;
  options->tuning.probe_ms = 100;
}

const struct sim_story sim_partial_stories[] = {
  SIM_STORY(sim_partial_cut_keeps_names, 3, NULL),
  SIM_STORY(sim_partial_partition_heals, 3, NULL),
  SIM_STORY(sim_one_way_cut_keeps_names, 3, NULL),
  SIM_STORY(sim_process_restart_keeps_vouched, 3, NULL),
  SIM_STORY(sim_voucher_dies_when_asked, 4, NULL),
  SIM_STORY(sim_voucher_dies_when_it_probes, 4, NULL),
  SIM_STORY(sim_voucher_dies_when_echoed, 4, NULL),
  SIM_STORY(sim_voucher_dies_when_it_vouches, 4, NULL),
  SIM_STORY(sim_voucher_dies_when_it_repairs, 4, NULL),
  SIM_STORY(sim_voucher_dies_when_followed, 4, NULL),
  SIM_STORY(sim_voucher_dies_when_it_forwards, 4, NULL),
  SIM_STORY(sim_voucher_loses_whom_it_vouches_for, 3, NULL),
  SIM_STORY(sim_frozen_voucher_lapses, 3, NULL),
  SIM_STORY(sim_two_vouchers_outlast_one, 4, NULL),
  SIM_STORY(sim_voucher_jumps, 3, NULL),
  SIM_STORY(sim_vouched_instance_starts_again, 3, NULL),
  SIM_STORY(sim_vouched_pauses, 3, NULL),
  SIM_STORY(sim_returning_actor_behind_a_voucher, 3, many_keys),
  SIM_STORY(sim_death_costs_one_round_trip, 4, NULL),
  SIM_STORY(sim_absence_costs_the_same_for_all, 2, many_keys),
  SIM_STORY(sim_flapping_is_damped, 2, flaps_soon),
  SIM_STORY(sim_forgetting_goes_by_the_least_age, 3, forgets_soon),
  SIM_STORY(sim_forgotten_comes_back, 3, forgets_soon),
  SIM_STORY(sim_vouches_that_nobody_asked_for, 4, NULL),
  SIM_STORY(sim_asks_without_end, 3, NULL),
};

const size_t sim_partial_story_count =
  sizeof sim_partial_stories / sizeof sim_partial_stories[0];
