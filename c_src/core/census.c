/* SPDX-License-Identifier: Apache-2.0 */
/* Who is there, counted: members, what their nodes have registered, and how
 * far they have come with what we wrote.
 *
 * A member is a name on a node, and lives more than once: the past life of one
 * that has come back under a new actor is kept until we have met the new one
 * ourselves.  It is one member all the same. */
#include <string.h>

#include "mutant.h"
#include "state.h"

/* It counts for its member: a life that is there, or the first of those that
 * are not.  Only that one looks at all the others. */
static bool
speaks_for_member(const struct holt_replica *replica,
                  const struct holt_actor *actor)
{
  if (holt_present(actor)) {
    return true;
  }
  const struct holt_rows *const rows = &replica->rows;
  const struct holt_actor *life = holt_rows_life(rows, &actor->member);
  while (life != NULL && life->gone) {
    life = holt_rows_life_next(rows, life);
  }
  if (life != actor) {
    return false;
  }
  while (life != NULL && (life->gone || !holt_present(life))) {
    life = holt_rows_life_next(rows, life);
  }
  return life == NULL;
}

void
holt_replica_census(const struct holt_replica *replica,
                    struct holt_census *census)
{
  *census = (struct holt_census){ .known = 0 };
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (!actor->gone && speaks_for_member(replica, actor)) {
      census->known++;
      census->present += holt_present(actor) ? 1 : 0;
    }
  }
}

/* So far the actor is known to have come with our rows. */
static uint64_t
acked_by(const struct holt_actor *actor)
{
  const struct holt_peer *const peer = holt_way(actor);
  const uint64_t acked = peer != NULL ? peer->acked : 0;
  const uint64_t reached = actor->presence.reached;
  return acked > reached ? acked : reached;
}

void
holt_replica_acks(const struct holt_replica *replica, uint64_t seq,
                  struct holt_acks *acks)
{
  *acks = (struct holt_acks){ .members = 0 };
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (actor != replica->self && !actor->gone && holt_present(actor)) {
      acks->members++;
      acks->acked += acked_by(actor) >= seq ? 1 : 0;
    }
  }
}

size_t
holt_replica_count_node(const struct holt_replica *replica, const uint8_t *node,
                        size_t node_size)
{
  size_t count = 0;
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (actor->shown && actor->member.node_size == node_size &&
        memcmp(actor->member.node, node, node_size) == 0) {
      count += actor->row_count;
    }
  }
  return count;
}

int
holt_replica_evict(struct holt_replica *replica,
                   const struct holt_member *member)
{
  bool known = false;
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (!actor->gone && holt_member_equal(&actor->member, member)) {
      if (holt_present(actor) && !holt_mutant(EVICT_PRESENT)) {
        return HOLT_ERR_EXISTS;
      }
      known = known || actor != replica->self;
    }
  }
  for (struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (actor != replica->self && !actor->gone &&
        holt_member_equal(&actor->member, member)) {
      holt__actor_end(replica, actor);
    }
  }
  return known ? 0 : HOLT_ERR_NOT_FOUND;
}
