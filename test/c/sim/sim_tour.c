/* SPDX-License-Identifier: Apache-2.0 */
/* Tours: the names of a process, visited in pieces while the world goes on. */
#include <inttypes.h>
#include <string.h>

#include "sim_core.h"

/* How many names of the process this copy has in the view. */
static size_t
count_in_copy(const struct holt_replica *replica, const struct sim_copy *copy,
              const struct sim_tour *tour)
{
  size_t count = 0;
  uintptr_t walk = 0;
  struct sim_row row;
  while (sim_core_row(replica, copy, &walk, &row)) {
    struct holt_view view;
    if (row.spec.owner_id == tour->id &&
        row.spec.owner_serial == tour->serial && !row.dead &&
        holt_replica_find(replica, row.spec.key, row.spec.key_size, &view) &&
        view.actor == copy->id && view.birth == row.spec.birth) {
      count++;
    }
  }
  return count;
}

/* An instance that was started again may be known by its former life. */
static bool
is_of(const struct sim *sim, uint64_t actor, const struct sim_tour *tour)
{
  const struct sim_log *const log = sim_log_find(sim, actor);
  return log != NULL && log->node == tour->of &&
         log->creation == tour->creation;
}

static size_t
count_names(const struct sim *sim, unsigned at, const struct sim_tour *tour)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  const struct holt_actor *next = NULL;
  struct sim_copy copy;
  size_t count = 0;
  while (sim_core_copy(replica, &next, &copy)) {
    if (copy.shown && is_of(sim, copy.id, tour)) {
      count += count_in_copy(replica, &copy, tour);
    }
  }
  return count;
}

struct visit {
  struct sim *sim;
  unsigned at;
};

static bool
tour_visit(void *user, const struct holt_view *view)
{
  const struct visit *const visit = user;
  struct sim *const sim = visit->sim;
  struct sim_tour *const tour = &sim->nodes[visit->at].tour;
  struct holt_view found;
  if (!is_of(sim, view->actor, tour) || view->id != tour->id ||
      view->serial != tour->serial ||
      (view->local && view->birth <= tour->birth)) {
    sim_fail(sim, "n%u: a tour visits what it should not", visit->at);
  } else if (!holt_replica_find(sim->nodes[visit->at].replica, view->key,
                                view->key_size, &found) ||
             found.actor != view->actor || found.birth != view->birth) {
    sim_fail(sim, "n%u: a tour visits what is not found", visit->at);
  }
  tour->birth = view->birth;
  tour->count++;
  return !sim->failed;
}

void
sim_tour_stop(struct sim *sim, unsigned at)
{
  struct sim_node *const node = &sim->nodes[at];
  if (node->tour.tour != NULL) {
    holt_tour_stop(node->replica, node->tour.tour);
    node->tour.tour = NULL;
  }
}

void
sim_tour_next(struct sim *sim, unsigned at, uint64_t number)
{
  struct sim_node *const node = &sim->nodes[at];
  struct sim_tour *const tour = &node->tour;
  if (tour->tour == NULL || tour->number != number) {
    return;
  }
  struct visit visit = { .sim = sim, .at = at };
  bool more;
  do {
    more = holt_tour_next(node->replica, tour->tour, tour->budget, tour_visit,
                          &visit);
  } while (more && tour->at_once);
  if (more) {
    sim_plan(sim, &(struct sim_event){ .at_ms = sim->now_ms + sim_below(sim, 5),
                                       .kind = SIM_EVENT_TOUR,
                                       .node = at,
                                       .number = number });
    return;
  }
  if (tour->at_once && tour->count != tour->expected) {
    sim_fail(sim, "n%u: a tour visits %zu of %zu names", at, tour->count,
             tour->expected);
  }
  sim_tour_stop(sim, at);
}

bool
sim_tour_start(struct sim *sim, unsigned at, unsigned of, unsigned who,
               size_t budget, bool at_once)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct sim_node *const other = &sim->nodes[of];
  if (other->replica == NULL) {
    return false;
  }
  sim_tour_stop(sim, at);
  const struct sim_process *const process = &other->processes[who];
  struct sim_tour *const tour = &node->tour;
  *tour = (struct sim_tour){ .number = tour->number + 1,
                             .of = of,
                             .creation = other->creation,
                             .id = process->id,
                             .serial = process->serial,
                             .budget = budget,
                             .at_once = at_once };
  tour->expected = count_names(sim, at, tour);
  const struct holt_process pid = { .node = other->member.node,
                                    .node_size = other->member.node_size,
                                    .creation = other->creation,
                                    .id = process->id,
                                    .serial = process->serial };
  sim_memory_arm(sim, at);
  const int rv = holt_tour_start(node->replica, &pid, &tour->tour);
  sim_memory_disarm(sim, at);
  if (rv != 0) {
    tour->tour = NULL;
    if (rv != HOLT_ERR_NOMEM &&
        (rv != HOLT_ERR_NOT_FOUND || tour->expected > 0)) {
      sim_fail(sim, "n%u: a tour of %zu names: %s", at, tour->expected,
               holt_error_name(rv));
    }
    return false;
  }
  sim_trace(sim, "n%u tours process %u of n%u", at, process->id, of);
  sim_tour_next(sim, at, tour->number);
  return true;
}
