/* SPDX-License-Identifier: Apache-2.0 */
/* Who can reach whom, in truth. */
#include <inttypes.h>
#include <stdio.h>

#include "sim_core.h"

/* What a host may take to look into its mailbox and to poll. */
#define HOST_MS 60u

/* The node does what it wants when it wants it. */
static bool
is_free(const struct sim *sim, unsigned at)
{
  const struct sim_node *const node = &sim->nodes[at];
  return node->replica != NULL && node->running && !node->paused &&
         !node->stopping && !node->alone &&
         sim->now_ms >= node->frozen_until_ms &&
         sim->now_ms >= node->slow_until_ms &&
         sim->now_ms >= node->short_until_ms;
}

bool
sim_reach_linked(const struct sim *sim, unsigned left, unsigned right)
{
  const unsigned low = left < right ? left : right;
  const unsigned high = left < right ? right : left;
  const struct sim_link *const link = &sim->links[low][high];
  const struct sim_node *const one = &sim->nodes[left];
  const struct sim_node *const two = &sim->nodes[right];
  return !link->cut && !link->mute[0] && !link->mute[1] &&
         one->replica != NULL && two->replica != NULL && one->linked[right] &&
         two->linked[left] &&
         one->linked_connection[right] == link->connection &&
         two->linked_connection[left] == link->connection &&
         sim_can_talk(sim, left, right);
}

unsigned
sim_reach(const struct sim *sim, unsigned from, unsigned to)
{
  if (from == to) {
    return 0;
  }
  if (sim_reach_linked(sim, from, to)) {
    return 1;
  }
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    if (i != from && i != to && sim_reach_linked(sim, from, i) &&
        sim_reach_linked(sim, i, to)) {
      return 2;
    }
  }
  return 3;
}

/* Not linked, not by two links, but by more. */
static bool
is_far(const struct sim *sim, unsigned from, unsigned to)
{
  unsigned reached = 1u << from;
  for (unsigned round = 0; round < sim->options.nodes; round++) {
    for (unsigned i = 0; i < sim->options.nodes; i++) {
      for (unsigned j = 0; j < sim->options.nodes; j++) {
        if (i != j && (reached >> i & 1) != 0 && sim_reach_linked(sim, i, j)) {
          reached |= 1u << j;
        }
      }
    }
  }
  return (reached >> to & 1) != 0 && sim_reach(sim, from, to) == 3;
}

bool
sim_reach_is_close(const struct sim *sim)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = 0; j < i; j++) {
      if (is_far(sim, i, j)) {
        return false;
      }
    }
  }
  return true;
}

bool
sim_reach_is_sane(const struct sim *sim)
{
  /* An ask, a probe, its echo, and the vouch; a vouch is renewed half way. */
  const uint64_t ways_ms = 4 * sim->options.delay_max_ms + HOST_MS;
  return sim->options.tuning.probe_ms > ways_ms &&
         sim->options.tuning.vouch_ms > 2 * ways_ms;
}

bool
sim_reach_is_old(const struct sim *sim, unsigned left, unsigned right,
                 uint64_t for_ms)
{
  const unsigned low = left < right ? left : right;
  const unsigned high = left < right ? right : left;
  return sim->now_ms - sim->good_ms[low][high] > for_ms;
}

/*--------------------------------------------------------------------
 * Before every event */

static void
look_at_links(struct sim *sim, unsigned free_nodes)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = i + 1; j < sim->options.nodes; j++) {
      const unsigned both = 1u << i | 1u << j;
      if (sim->links[i][j].mute[0] || sim->links[i][j].mute[1]) {
        sim->nodes[i].presence.muted_ms[j] = sim->now_ms;
        sim->nodes[j].presence.muted_ms[i] = sim->now_ms;
      }
      uint64_t lives = 0;
      if ((free_nodes & both) == both && sim_reach_linked(sim, i, j)) {
        lives = sim->nodes[i].log->actor ^ 3 * sim->nodes[j].log->actor;
      }
      if (lives == 0 || lives != sim->good_lives[i][j]) {
        sim->good_lives[i][j] = lives;
        sim->good_ms[i][j] = sim->now_ms;
      }
    }
  }
}

void
sim_reach_look(struct sim *sim)
{
  const unsigned nodes = sim->options.nodes;
  unsigned believes[SIM_NODES_MAX] = { 0 };
  unsigned free_nodes = 0;
  for (unsigned i = 0; i < nodes; i++) {
    if (is_free(sim, i)) {
      free_nodes |= 1u << i;
    } else {
      sim->nodes[i].presence.stirred_ms = sim->now_ms;
    }
    for (unsigned j = 0; j < nodes && sim->nodes[i].replica != NULL; j++) {
      believes[i] |= i != j && sim->nodes[i].linked[j] ? 1u << j : 0;
    }
  }
  look_at_links(sim, free_nodes);
  for (unsigned of = 0; of < nodes; of++) {
    unsigned reachers = 0;
    for (unsigned i = 0; i < nodes; i++) {
      reachers |= (believes[i] >> of & 1) << i;
    }
    for (unsigned i = 0; i < nodes && sim->nodes[of].replica != NULL; i++) {
      if (((reachers >> i & 1) != 0 || (believes[i] & reachers) != 0)) {
        sim->nodes[of].log->seen[i].could_ms = sim->now_ms;
      }
    }
  }
}

/*--------------------------------------------------------------------
 * Convergence */

/* Somebody who is linked to us has it vouched for, and tells us of its rows. */
static bool
is_told_of(const struct sim *sim, unsigned at, unsigned of)
{
  bool any = false;
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    any = any || (i != at && i != of && sim_reach_linked(sim, at, i) &&
                  sim_reach(sim, i, of) == 2);
  }
  return any;
}

/* As the owner sees it: nothing is under way, and it is known to be there. */
static bool
owner_knows(const struct sim *sim, unsigned at, unsigned of, char *why,
            size_t why_size)
{
  const struct sim_node *const owner = &sim->nodes[of];
  const uint64_t version = owner->log->version;
  struct sim_receiver receiver;
  if (!sim_core_receiver(owner->replica, owner->peers[at], &receiver) ||
      !receiver.up || !receiver.idle || receiver.acked != version) {
    (void)snprintf(why, why_size, "n%u waits for n%u at %" PRIu64, of, at,
                   version);
    return false;
  }
  return true;
}

static bool
copy_converged(const struct sim *sim, unsigned at, unsigned of, char *why,
               size_t why_size)
{
  const struct sim_node *const owner = &sim->nodes[of];
  const uint64_t version = owner->log->version;
  const unsigned reach = sim_reach(sim, at, of);
  struct sim_copy copy;
  if (!sim_core_copy_of(sim->nodes[at].replica, owner->log->actor, &copy)) {
    (void)snprintf(why, why_size, "n%u does not know n%u", at, of);
    return reach == 3;
  }
  if (reach == 3 && !copy.present && !copy.shown && is_told_of(sim, at, of)) {
    /* Hidden, and had by repair, as it is told of. */
    (void)snprintf(why, why_size,
                   "n%u has n%u, far off, at %" PRIu64 " of %" PRIu64 "%s", at,
                   of, copy.version, version, copy.dirty ? ", dirty" : "");
    return !copy.dirty && copy.version == version;
  }
  if (reach == 3) {
    (void)snprintf(why, why_size, "n%u has n%u, which is %s%s", at, of,
                   sim_core_sight(copy.sight), copy.shown ? ", shown" : "");
    return !copy.present && !copy.shown;
  }
  const enum holt_sight sight =
    reach == 1 ? HOLT_SIGHT_CONNECTED : HOLT_SIGHT_VOUCHED;
  if (copy.dirty || copy.version != version || !copy.shown ||
      copy.sight != sight) {
    (void)snprintf(
      why, why_size,
      "n%u has n%u at %" PRIu64 " (cursor %" PRIu64 ") of %" PRIu64 ", %s%s%s",
      at, of, copy.version, copy.cursor, version, sim_core_sight(copy.sight),
      copy.dirty ? ", dirty" : "", copy.shown ? "" : ", hidden");
    return false;
  }
  return reach == 2 || owner_knows(sim, at, of, why, why_size);
}

/* No end of a link believes in it while it is cut, and both do while not. */
static bool
links_settled(const struct sim *sim, char *why, size_t why_size)
{
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    for (unsigned j = i + 1; j < sim->options.nodes; j++) {
      const bool believed = sim->nodes[i].linked[j] || sim->nodes[j].linked[i];
      if (sim->nodes[i].replica != NULL && sim->nodes[j].replica != NULL &&
          sim_can_talk(sim, i, j) &&
          (sim->links[i][j].cut ? believed : !sim_reach_linked(sim, i, j))) {
        (void)snprintf(why, why_size, "link n%u-n%u is in between", i, j);
        return false;
      }
    }
  }
  return true;
}

bool
sim_converged(struct sim *sim, char *why, size_t why_size)
{
  if (!links_settled(sim, why, why_size)) {
    return false;
  }
  for (unsigned i = 0; i < sim->options.nodes; i++) {
    const struct sim_node *const node = &sim->nodes[i];
    if (node->replica == NULL) {
      continue;
    }
    if (!node->running || node->inbox != NULL || node->current != NULL ||
        sim_core_busy(node->replica)) {
      (void)snprintf(why, why_size, "n%u is not done", i);
      return false;
    }
    if (!sim->options.undecided && sim_core_contested(node->replica)) {
      (void)snprintf(why, why_size, "n%u is in contest", i);
      return false;
    }
    for (unsigned j = 0; j < sim->options.nodes; j++) {
      if (j != i && sim->nodes[j].replica != NULL &&
          !copy_converged(sim, i, j, why, why_size)) {
        return false;
      }
    }
  }
  return true;
}
