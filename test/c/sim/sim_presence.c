/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true of who is there: sim_presence.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_core.h"

/* Deadlines are in whole milliseconds, and a poll may be a moment late. */
#define SLACK_MS 5u

/* A host that wants to looks into its mailbox and polls within this time. */
#define HOST_MS 60u

/* Until a change of links is in everybody's vectors and questions are asked:
 * so many intervals, where nothing is lost.  Where something is, a hello may be
 * the one, and those are repeated after up to 32. */
#define INTERVALS_FAITHFUL 6u
#define INTERVALS_LOSSY 70u

unsigned
sim_node_of_peer(const struct sim *sim, unsigned at, uint32_t peer)
{
  unsigned i = 0;
  while (i < sim->options.nodes &&
         (peer == 0 || sim->nodes[at].peers[i] != peer)) {
    i++;
  }
  return i < sim->options.nodes ? i : SIM_NODES_MAX;
}

void
sim_presence_new(struct sim *sim, unsigned at)
{
  struct sim_presence *const presence = &sim->nodes[at].presence;
  presence->stirred_ms = sim->now_ms;
  memset(presence->heard, 0, sizeof presence->heard);
}

/*--------------------------------------------------------------------
 * What is said */

static uint64_t
hash_of(const uint8_t *bytes, size_t size)
{
  uint64_t hash = UINT64_C(14695981039346656037);
  for (size_t i = 0; i < size; i++) {
    hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
  }
  return hash ^ hash >> 29;
}

/* What goes on to others has come from the actor itself, word for word, and
 * only while that is connected; or says that there is no more. */
static void
check_forwarded(struct sim *sim, unsigned at, unsigned to, const uint8_t *bytes,
                size_t size)
{
  const struct sim_node *const node = &sim->nodes[at];
  const uint64_t actor = sim_core_actor_in(bytes, size);
  struct sim_copy copy;
  if (actor == node->log->actor) {
    return;
  }
  const bool known = sim_core_copy_of(node->replica, actor, &copy);
  if (!known || !copy.connected) {
    sim_fail(sim, "n%u forwards to n%u what it does not hear itself", at, to);
    return;
  }
  uint64_t end;
  const uint64_t bit = hash_of(bytes, size) % SIM_HEARD_BITS;
  const bool heard = (node->presence.heard[bit / 8] >> bit % 8 & 1) != 0;
  if (!heard && sim_core_is_end(bytes, size, &end)) {
    if (copy.dirty || copy.version != end) {
      sim_fail(sim, "n%u says to n%u that something is all, which is not", at,
               to);
    }
    return;
  }
  if (!heard) {
    sim_fail(sim, "n%u forwards to n%u what it has not heard", at, to);
  }
  sim->total.forwards++;
}

static void
watch(struct sim *sim, unsigned at, unsigned to, const uint8_t *bytes,
      size_t size)
{
  struct sim_watch *const watched = &sim->watch;
  if (watched->kind != bytes[0] ||
      (watched->from != at && watched->from != SIM_NODES_MAX) ||
      (watched->to != to && watched->to != SIM_NODES_MAX)) {
    return;
  }
  const uint64_t actor = sim_core_actor_in(bytes, size);
  if (watched->foreign && (actor == sim->nodes[at].log->actor ||
                           actor == sim->nodes[to].log->actor)) {
    return;
  }
  watched->hits++;
  watched->hit_from = at;
  watched->hit_to = to;
}

void
sim_presence_sent(struct sim *sim, unsigned at, unsigned to,
                  const uint8_t *bytes, size_t size)
{
  struct sim_node *const node = &sim->nodes[at];
  watch(sim, at, to, bytes, size);
  if (bytes[0] == HOLT_PACKET_PROBE) {
    struct sim_probes *const probes = &node->presence.probes[to];
    const unsigned next = probes->count++ % SIM_PROBES;
    probes->sent[next].life = node->log->actor;
    probes->sent[next].number = sim_core_number_in(bytes, size);
    probes->sent[next].sent_ms = sim->now_ms;
  } else if (bytes[0] == HOLT_PACKET_DELTA) {
    check_forwarded(sim, at, to, bytes, size);
  }
}

static void
on_echo(struct sim *sim, unsigned at, const struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  struct sim_probes *const probes = &node->presence.probes[message->from];
  const uint64_t number = sim_core_number_in(message->bytes, message->size);
  if (probes->actor != message->actor) {
    probes->actor = message->actor;
    probes->alive_ms = 0;
  }
  for (unsigned i = 0; i < SIM_PROBES && i < probes->count; i++) {
    const unsigned back = (probes->count - 1 - i) % SIM_PROBES;
    if (probes->sent[back].number == number &&
        probes->sent[back].life == node->log->actor) {
      if (probes->alive_ms < probes->sent[back].sent_ms) {
        probes->alive_ms = probes->sent[back].sent_ms;
      }
      return;
    }
  }
}

void
sim_presence_taken(struct sim *sim, unsigned at,
                   const struct sim_message *message)
{
  struct sim_node *const node = &sim->nodes[at];
  if (message->bytes[0] == HOLT_PACKET_ECHO) {
    on_echo(sim, at, message);
  } else if (message->bytes[0] == HOLT_PACKET_DELTA &&
             sim_core_actor_in(message->bytes, message->size) ==
               message->actor) {
    const uint64_t bit =
      hash_of(message->bytes, message->size) % SIM_HEARD_BITS;
    node->presence.heard[bit / 8] |= (uint8_t)(1u << bit % 8);
  }
}

/*--------------------------------------------------------------------
 * Changes */

/* One that comes and goes all the time waits twice as long each time, up to
 * flap_ms_max: within that time it is shown only so often. */
static unsigned
shows_max(const struct sim *sim)
{
  const struct holt_tuning *const tuning = &sim->options.tuning;
  unsigned count = 4;
  for (uint64_t ms = tuning->probe_ms; ms < tuning->flap_ms_max; ms *= 2) {
    count++;
  }
  return count < SIM_SHOWS ? count : SIM_SHOWS - 1;
}

static void
on_shown(struct sim *sim, unsigned at, const struct sim_log *log,
         struct sim_seen *seen)
{
  if (sim->steady) {
    sim_fail(sim, "n%u shows n%u, and nothing has happened", at, log->node);
  }
  if (!seen->back || seen->paused) {
    return;
  }
  const unsigned most = shows_max(sim);
  seen->shows_ms[seen->shows++ % SIM_SHOWS] = sim->now_ms;
  if (seen->shows > most &&
      sim->now_ms - seen->shows_ms[(seen->shows - 1 - most) % SIM_SHOWS] <
        sim->options.tuning.flap_ms_max) {
    sim_fail(sim, "n%u shows n%u again and again", at, log->node);
  }
}

static void
on_hidden(struct sim *sim, unsigned at, const struct sim_copy *copy,
          const struct sim_log *log)
{
  if (sim->steady) {
    sim_fail(sim, "n%u hides n%u, and nothing has happened", at, log->node);
  }
  if (copy->sight != HOLT_SIGHT_ABSENT) {
    sim_fail(sim, "n%u hides n%u, which is %s", at, log->node,
             sim_core_sight(copy->sight));
  }
}

static void
look_at(struct sim *sim, unsigned at, const struct sim_copy *copy,
        struct sim_log *log)
{
  struct sim_node *const node = &sim->nodes[at];
  struct sim_seen *const seen = &log->seen[at];
  if (seen->life != node->log->actor) {
    *seen = (struct sim_seen){ .life = node->log->actor,
                               .sight = HOLT_SIGHT_ABSENT,
                               .absent_ms = sim->now_ms,
                               .could_ms = sim->now_ms };
  }
  seen->round = node->presence.round;
  if (seen->sight != copy->sight) {
    sim_trace(sim, "n%u: n%u is %s", at, log->node,
              sim_core_sight(copy->sight));
    sim->total.sights[copy->sight]++;
    if (copy->sight == HOLT_SIGHT_ABSENT) {
      seen->absent_ms = sim->now_ms;
      seen->paused = copy->paused;
    }
    seen->sight = copy->sight;
  }
  if (copy->shown && !seen->shown) {
    on_shown(sim, at, log, seen);
    seen->back = false;
  } else if (!copy->shown && seen->shown) {
    on_hidden(sim, at, copy, log);
    seen->back = true;
  }
  if (seen->shown != copy->shown) {
    sim_trace(sim, "n%u %s n%u", at, copy->shown ? "shows" : "hides",
              log->node);
  }
  seen->appears = copy->shown && !seen->shown;
  seen->shown = copy->shown;
}

/*--------------------------------------------------------------------
 * Forgetting */

/* Vectors tell for how long an actor has been absent, and the least counts, but
 * for an eighth. */
static void
check_neighbours(struct sim *sim, unsigned at, const struct sim_log *log)
{
  const struct holt_tuning *const tuning = &sim->options.tuning;
  const uint64_t told_ms =
    3 * tuning->vector_interval_ms + 2 * sim->options.delay_max_ms + HOST_MS;
  if (sim->options.loss_percent > 0 || sim->options.nomem_permille > 0 ||
      sim->options.busy_percent > 0) {
    return;
  }
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    struct sim_copy copy;
    const struct sim_seen *const seen = &log->seen[i];
    if (i == at || i == log->node || sim->nodes[i].replica == NULL ||
        !sim_reach_is_old(sim, at, i, told_ms) ||
        seen->life != sim->nodes[i].log->actor ||
        !sim_core_copy_of(sim->nodes[i].replica, log->actor, &copy) ||
        copy.gone || copy.present) {
      continue;
    }
    const uint64_t age_ms = sim->now_ms - seen->absent_ms;
    const uint64_t least_ms = tuning->forget_after_ms / 8 * 7;
    if (age_ms > told_ms && age_ms + told_ms < least_ms) {
      sim_fail(sim, "n%u forgets n%u, which n%u has lost %" PRIu64 " ms ago",
               at, log->node, i, age_ms);
    }
  }
}

/* The node takes another life of the same node for the one there is. */
static bool
is_followed(const struct sim *sim, unsigned at, const struct sim_log *log)
{
  const struct sim_node *const node = &sim->nodes[at];
  bool any = false;
  for (const struct sim_log *other = sim->logs; other != NULL;
       other = other->next) {
    any = any || (other != log && other->node == log->node &&
                  other->seen[at].life == node->log->actor &&
                  other->seen[at].round == node->presence.round);
  }
  return any;
}

static void
on_gone(struct sim *sim, unsigned at, struct sim_log *log)
{
  const struct sim_node *const owner = &sim->nodes[log->node];
  struct sim_seen *const seen = &log->seen[at];
  const uint64_t forget_ms = sim->options.tuning.forget_after_ms;
  const uint64_t age_ms = sim->now_ms - seen->absent_ms;
  /* Another life of it, or a late greeting of a former one, ends it, too. */
  const bool over = sim->evicting || owner->log != log || owner->stopping ||
                    is_followed(sim, at, log);
  if (!over && seen->sight != HOLT_SIGHT_ABSENT) {
    sim_fail(sim, "n%u forgets n%u, which is %s", at, log->node,
             sim_core_sight(seen->sight));
  } else if (!over && age_ms + SLACK_MS < forget_ms / 8 * 7) {
    sim_fail(sim, "n%u forgets n%u after %" PRIu64 " ms", at, log->node,
             age_ms);
  } else if (!over) {
    sim_trace(sim, "n%u forgets n%u", at, log->node);
    sim->total.forgotten++;
    check_neighbours(sim, at, log);
  }
  seen->life = 0;
}

void
sim_presence_look(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct holt_actor *walk = NULL;
  struct sim_copy copy;
  node->presence.round++;
  while (!sim->failed && sim_core_copy(node->replica, &walk, &copy)) {
    struct sim_log *const log = sim_log_find(sim, copy.id);
    if (log != NULL && !copy.self && !copy.gone) {
      look_at(sim, at, &copy, log);
    }
  }
  for (struct sim_log *log = sim->logs; log != NULL && !sim->failed;
       log = log->next) {
    if (log->seen[at].life == node->log->actor &&
        log->seen[at].round != node->presence.round) {
      on_gone(sim, at, log);
    }
  }
}

/*--------------------------------------------------------------------
 * When there is nothing to do */

/* A vouch is of somebody who is there, and has reached the actor when it says,
 * and not too long ago. */
static void
check_vouches(struct sim *sim, unsigned at, const struct sim_copy *copy,
              unsigned of)
{
  const bool over = sim->nodes[of].log->actor != copy->id;
  const struct sim_node *const node = &sim->nodes[at];
  bool stands = false;
  for (unsigned i = 0; i < SIM_CORE_VOUCHES && !sim->failed; i++) {
    struct sim_vouch vouch;
    if (!sim_core_vouch(copy, i, &vouch)) {
      continue;
    }
    const unsigned by = sim_node_of_peer(sim, at, vouch.peer);
    if (by == SIM_NODES_MAX || !node->linked[by]) {
      sim_fail(sim, "n%u keeps a vouch for n%u of a voucher it has lost", at,
               of);
      return;
    }
    const struct sim_probes *const probes = &sim->nodes[by].presence.probes[of];
    if (over && probes->actor != copy->id) {
      return; /* Of its last life this says nothing any more. */
    }
    const uint64_t alive_ms = probes->actor == copy->id ? probes->alive_ms : 0;
    if (vouch.seen_ms > alive_ms + node->mono_base_ms) {
      sim_fail(sim,
               "n%u takes n%u for alive at %" PRIu64
               ", when n%u had reached it at %" PRIu64,
               at, of, vouch.seen_ms - node->mono_base_ms, by, alive_ms);
      return;
    }
    stands = stands ||
             alive_ms + sim->options.tuning.vouch_ms + SLACK_MS >= sim->now_ms;
  }
  if (!stands && copy->sight == HOLT_SIGHT_VOUCHED && !sim->failed) {
    sim_fail(sim, "n%u has n%u as vouched for, and nobody reaches it", at, of);
  }
}

/* Only who is vouched for is followed, and only by who is there. */
static void
check_follow(struct sim *sim, unsigned at, const struct sim_copy *copy,
             unsigned of)
{
  if (copy->follow == 0 || sim->failed) {
    return;
  }
  const unsigned by = sim_node_of_peer(sim, at, copy->follow);
  if (copy->sight != HOLT_SIGHT_VOUCHED) {
    sim_fail(sim, "n%u follows n%u, which is %s", at, of,
             sim_core_sight(copy->sight));
  } else if (by == SIM_NODES_MAX || !sim->nodes[at].linked[by]) {
    sim_fail(sim, "n%u follows n%u by a voucher it has lost", at, of);
  }
}

/* Nobody who reaches us reaches it: then it is absent, before long. */
static void
check_unreached(struct sim *sim, unsigned at, const struct sim_copy *copy,
                const struct sim_log *log)
{
  const struct holt_tuning *const tuning = &sim->options.tuning;
  const struct sim_node *const node = &sim->nodes[at];
  uint64_t since_ms = log->seen[at].could_ms;
  if (since_ms < node->presence.stirred_ms) {
    since_ms = node->presence.stirred_ms;
  }
  if (since_ms < node->presence.muted_ms[log->node]) {
    since_ms = node->presence.muted_ms[log->node];
  }
  /* A replica that is only missing counts for a while. */
  const uint64_t bound_ms = tuning->replica_restart_ms + tuning->vouch_ms +
                            tuning->probe_ms + 3 * sim->options.delay_max_ms +
                            HOST_MS;
  if (copy->present && sim->now_ms > since_ms + bound_ms) {
    sim_fail(
      sim,
      "n%u still has n%u as %s, whom nobody has reached for %" PRIu64 " ms", at,
      log->node, sim_core_sight(copy->sight), sim->now_ms - since_ms);
  }
}

static bool
has_strangers(const struct sim *sim)
{
  bool any = false;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    any = any || sim->options.speaks_min[i] > SIM_CORE_PROTOCOL;
  }
  return any;
}

static bool
is_lossy(const struct sim *sim)
{
  return sim->options.loss_percent > 0 || sim->options.nomem_permille > 0 ||
         !sim->options.faithful || has_strangers(sim);
}

/* Somebody was mute before, and is waited for with patience. */
static bool
is_patient(const struct sim *sim)
{
  bool any = false;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    const struct holt_replica *const replica = sim->nodes[i].replica;
    any = any || (replica != NULL && sim_core_greets(replica));
  }
  return any;
}

/* For how long it may be absent though somebody reaches it. */
static uint64_t
reached_bound_ms(const struct sim *sim)
{
  const struct sim_options *const options = &sim->options;
  const struct holt_tuning *const tuning = &options->tuning;
  uint64_t rows = 0;
  for (unsigned i = 0; i < options->nodes; i++) {
    rows += sim->nodes[i].replica == NULL ? 0 : sim->nodes[i].log->live_count;
  }
  const bool slow = is_lossy(sim) || is_patient(sim);
  return (slow ? INTERVALS_LOSSY : INTERVALS_FAITHFUL) *
           tuning->vector_interval_ms +
         2 * tuning->probe_ms + 20 * options->delay_max_ms + 5 * HOST_MS +
         rows * (4 * options->delay_max_ms + 4);
}

static void
check_reached(struct sim *sim, unsigned at, unsigned of, uint64_t bound_ms)
{
  const struct sim_node *const other = &sim->nodes[of];
  bool reached = sim_reach_is_old(sim, at, of, bound_ms);
  for (unsigned i = 0; i < sim->options.nodes && !reached; i++) {
    reached = i != at && i != of && sim_reach_is_old(sim, at, i, bound_ms) &&
              sim_reach_is_old(sim, i, of, bound_ms);
  }
  if (!reached) {
    return;
  }
  struct sim_copy copy;
  const bool known =
    sim_core_copy_of(sim->nodes[at].replica, other->log->actor, &copy);
  const uint64_t absent_ms = other->log->seen[at].absent_ms;
  if (known && is_lossy(sim) && sim->now_ms - absent_ms <= bound_ms) {
    return; /* Words are lost, and said again. */
  }
  if (!known || !copy.present) {
    sim_fail(sim, "n%u %s n%u, whom others reach", at,
             known ? "has lost" : "does not know", of);
  }
}

void
sim_presence_quiet(struct sim *sim, unsigned at)
{
  const struct sim_node *const node = &sim->nodes[at];
  const struct holt_actor *walk = NULL;
  struct sim_copy copy;
  if (node->paused || node->stopping) {
    return;
  }
  while (!sim->failed && sim_core_copy(node->replica, &walk, &copy)) {
    const struct sim_log *const log = sim_log_find(sim, copy.id);
    if (log != NULL && !copy.self && !copy.gone) {
      check_vouches(sim, at, &copy, log->node);
      check_follow(sim, at, &copy, log->node);
      check_unreached(sim, at, &copy, log);
    }
  }
  if (!sim_reach_is_sane(sim)) {
    return;
  }
  const uint64_t bound_ms = reached_bound_ms(sim);
  for (unsigned i = 0; i < sim->options.nodes && !sim->failed; i++) {
    if (i != at && sim->nodes[i].replica != NULL) {
      check_reached(sim, at, i, bound_ms);
    }
  }
}
