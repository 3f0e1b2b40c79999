/* SPDX-License-Identifier: Apache-2.0 */
/* What hosts do with contests.  Who wins is a pure function of the two, so that
 * it does not matter who asks, and one that nobody can foresee from their rank.
 * A loser on another node is sent the verdict, through a third one where need
 * be; it may get lost, and comes too late when something else has happened. */
#include <inttypes.h>
#include <string.h>

#include "sim_core.h"

/* A verdict on its way. */
struct verdict {
  unsigned to;
  bool stand_by;
  uint64_t loser_actor;
  uint64_t loser_birth;
  uint64_t winner_actor;
  uint64_t winner_birth;
};

/* How good a claim is; different for each two. */
static uint64_t
merit_of(uint64_t actor, uint64_t birth)
{
  uint64_t merit = (actor ^ birth) * UINT64_C(0x9e3779b97f4a7c15);
  merit ^= merit >> 29;
  return merit * UINT64_C(0xbf58476d1ce4e5b9);
}

bool
sim_contest_prefers(uint64_t left_actor, uint64_t left_birth,
                    uint64_t right_actor, uint64_t right_birth)
{
  const uint64_t left = merit_of(left_actor, left_birth);
  const uint64_t right = merit_of(right_actor, right_birth);
  return left != right ? left > right : left_actor > right_actor;
}

/*--------------------------------------------------------------------
 * Giving way */

/* The own row is gone, and stands again, at its end, as one that waits. */
static void
log_standby(struct sim *sim, unsigned at, uint64_t seq, uint64_t version)
{
  struct sim_node *const node = &sim->nodes[at];
  struct holt_row_spec row;
  if (!sim_core_own(node->replica, version + 1, &row) ||
      (row.flags & HOLT_ROW_STANDBY) == 0) {
    sim_fail(sim, "n%u: nobody stands by", at);
    return;
  }
  struct sim_entry entry = node->log->entries[seq];
  entry.birth = row.birth;
  entry.flags = row.flags;
  entry.stamp = row.stamp;
  entry.replaces_actor = 0;
  entry.replaces_birth = 0;
  entry.value = sim_value_copy(entry.value, entry.value_size);
  sim_log_open(node->log, version + 1, &entry);
  sim_log_end(node->log, seq, version + 2);
  sim_log_why(&node->log->entries[seq], HOLT_REASON_CONFLICT);
}

static void
give_way(struct sim *sim, unsigned at, const struct verdict *verdict)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->replica == NULL || !node->running ||
      node->log->actor != verdict->loser_actor) {
    return; /* It was another life's. */
  }
  const struct holt_time now = sim_time(sim, at);
  const uint64_t version = node->log->version;
  struct holt_row_spec row = { .seq = 0 };
  const bool here = sim_core_visible(node->replica, verdict->loser_actor,
                                     verdict->loser_birth, &row) &&
                    (row.flags & HOLT_ROW_STANDBY) == 0;
  struct holt_row_spec winner = { .seq = 0 };
  const bool there = sim_core_visible(node->replica, verdict->winner_actor,
                                      verdict->winner_birth, &winner) &&
                     (winner.flags & HOLT_ROW_STANDBY) == 0;
  sim_memory_arm(sim, at);
  const int rv = holt_replica_lose(node->replica, &now, verdict->loser_birth,
                                   verdict->winner_actor, verdict->winner_birth,
                                   verdict->stand_by);
  sim_memory_disarm(sim, at);
  const int expected = here && there ? 0 : HOLT_ERR_NOT_FOUND;
  if (rv != expected && !(expected == 0 && rv == HOLT_ERR_NOMEM)) {
    sim_fail(sim, "n%u: lose says %s", at, holt_error_name(rv));
    return;
  }
  sim_trace(sim, "n%u birth %" PRIu64 " gives way%s: %s", at,
            verdict->loser_birth, verdict->stand_by ? " and stands by" : "",
            rv == 0 ? "ok" : holt_error_name(rv));
  if (rv == 0 && verdict->stand_by) {
    log_standby(sim, at, row.seq, version);
  }
  sim->total.verdicts[rv == 0 ? (verdict->stand_by ? 1 : 0) : 2]++;
  sim_wake(sim, at);
}

/*--------------------------------------------------------------------
 * Verdicts */

static bool
is_linked(struct sim *sim, unsigned left, unsigned right)
{
  return left != right && !sim_link_of(sim, left, right)->cut;
}

/* The verdict goes there, by the first node that has a link with both. */
static void
verdict_send(struct sim *sim, unsigned from, const struct verdict *verdict)
{
  unsigned to = verdict->to;
  for (unsigned i = 0;
       i < sim->options.nodes && !is_linked(sim, from, verdict->to); i++) {
    if (is_linked(sim, from, i) && is_linked(sim, i, verdict->to)) {
      to = i;
      break;
    }
  }
  uint8_t bytes[sizeof *verdict];
  memcpy(bytes, verdict, sizeof bytes);
  (void)sim_send(sim, from, to, SIM_VERDICT, NULL, bytes, sizeof bytes);
}

void
sim_verdict_take(struct sim *sim, unsigned at,
                 const struct sim_message *message)
{
  struct verdict verdict;
  memcpy(&verdict, message->bytes, sizeof verdict);
  if (verdict.to != at) {
    verdict_send(sim, at, &verdict);
  } else {
    give_way(sim, at, &verdict);
  }
}

static bool
is_contest(const struct sim *sim, unsigned at, const struct holt_effect *effect)
{
  const struct holt_view *const own = &effect->winner;
  const struct holt_view *const other = &effect->loser;
  const struct sim_rank left = sim_core_rank(sim, own);
  const struct sim_rank right = sim_core_rank(sim, other);
  struct holt_row_spec row;
  return sim->options.custom && own->local &&
         own->actor == sim->nodes[at].log->actor && !own->standby &&
         !other->standby && own->key_size == other->key_size &&
         memcmp(own->key, other->key, own->key_size) == 0 &&
         sim_core_outranks(&left, &right) &&
         sim_core_visible(sim->nodes[at].replica, own->actor, own->birth,
                          &row) &&
         sim_core_visible(sim->nodes[at].replica, other->actor, other->birth,
                          &row);
}

void
sim_contest(struct sim *sim, unsigned at, const struct holt_effect *effect)
{
  const struct holt_view *const own = &effect->winner;
  const struct holt_view *const other = &effect->loser;
  if (!is_contest(sim, at, effect)) {
    sim_fail(sim, "n%u is given a contest that is none", at);
    return;
  }
  sim->total.contests++;
  if (sim->options.undecided) {
    return;
  }
  const bool ours =
    sim_contest_prefers(own->actor, own->birth, other->actor, other->birth);
  const struct holt_view *const loser = ours ? other : own;
  const struct holt_view *const winner = ours ? own : other;
  const struct verdict verdict = {
    .to = sim_log_find(sim, loser->actor)->node,
    .stand_by = (loser->birth ^ loser->actor >> 7) % 4 == 0,
    .loser_actor = loser->actor,
    .loser_birth = loser->birth,
    .winner_actor = winner->actor,
    .winner_birth = winner->birth
  };
  if (verdict.to == at) {
    give_way(sim, at, &verdict);
  } else {
    verdict_send(sim, at, &verdict);
  }
}
