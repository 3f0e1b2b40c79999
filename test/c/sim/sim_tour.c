/* SPDX-License-Identifier: Apache-2.0 */
/* Tours: the names of a process, visited in pieces while the world goes on. */
#include <inttypes.h>
#include <string.h>

#include "sim_core.h"

/* An instance that was started again may be known by its former life. */
static bool
is_of(const struct sim *sim, uint64_t actor, const struct sim_tour *tour)
{
  const struct sim_log *const log = sim_log_find(sim, actor);
  return log != NULL && log->node == tour->of &&
         log->creation == tour->creation;
}

/* This row is one that the tour visits, if it goes there now. */
static bool
is_shown(const struct sim *sim, unsigned at, uint64_t actor,
         const struct holt_row_spec *row)
{
  const struct sim_tour *const tour = &sim->nodes[at].tour;
  if (tour->by_key) {
    const struct sim_key *const key = &sim->keys[tour->key];
    return row->key_size == key->size &&
           memcmp(row->key, key->bytes, key->size) == 0;
  }
  if (!is_of(sim, actor, tour) || row->owner_id != tour->id ||
      row->owner_serial != tour->serial) {
    return false;
  }
  struct holt_view view;
  return sim->options.duplicate ||
         (holt_replica_find(sim->nodes[at].replica, row->key, row->key_size,
                            &view) &&
          view.actor == actor && view.birth == row->birth);
}

static size_t
count_rows(const struct sim *sim, unsigned at)
{
  const struct holt_replica *const replica = sim->nodes[at].replica;
  const struct holt_actor *next = NULL;
  struct sim_copy copy;
  size_t count = 0;
  while (sim_core_copy(replica, &next, &copy)) {
    uintptr_t walk = 0;
    struct sim_row row;
    while (copy.shown && sim_core_row(replica, &copy, &walk, &row)) {
      count += !row.dead && is_shown(sim, at, copy.id, &row.spec) ? 1 : 0;
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
  struct sim_node *const node = &sim->nodes[visit->at];
  struct sim_tour *const tour = &node->tour;
  struct holt_row_spec row;
  if (!sim_core_visible(node->replica, view->actor, view->birth, &row) ||
      row.seq != view->seq || !is_shown(sim, visit->at, view->actor, &row)) {
    sim_fail(sim, "n%u: a tour visits what it should not", visit->at);
  } else if (!tour->by_key && view->local && view->birth <= tour->birth) {
    sim_fail(sim, "n%u: a tour goes back", visit->at);
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

/* What has been begun, or not: rv says why. */
static bool
begun(struct sim *sim, unsigned at, int rv)
{
  struct sim_tour *const tour = &sim->nodes[at].tour;
  if (rv == 0) {
    sim_tour_next(sim, at, tour->number);
    return true;
  }
  tour->tour = NULL;
  if (rv != HOLT_ERR_NOMEM &&
      (rv != HOLT_ERR_NOT_FOUND || tour->expected > 0)) {
    sim_fail(sim, "n%u: a tour of %zu names: %s", at, tour->expected,
             holt_error_name(rv));
  }
  return false;
}

bool
sim_tour_start(struct sim *sim, unsigned at, unsigned of, unsigned who,
               size_t budget, bool at_once)
{
  struct sim_node *const node = &sim->nodes[at];
  const struct sim_node *const other = &sim->nodes[of];
  if (other->replica == NULL || (other->alone && of != at)) {
    return false; /* Without a name it could be anybody. */
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
  tour->expected = count_rows(sim, at);
  const struct holt_process pid = { .node = other->own.node,
                                    .node_size = other->own.node_size,
                                    .creation = other->creation,
                                    .id = process->id,
                                    .serial = process->serial };
  sim_trace(sim, "n%u tours process %u of n%u", at, process->id, of);
  sim_memory_arm(sim, at);
  const int rv = holt_tour_start(node->replica, &pid, &tour->tour);
  sim_memory_disarm(sim, at);
  return begun(sim, at, rv);
}

bool
sim_tour_start_key(struct sim *sim, unsigned at, unsigned key, size_t budget,
                   bool at_once)
{
  struct sim_node *const node = &sim->nodes[at];
  sim_tour_stop(sim, at);
  struct sim_tour *const tour = &node->tour;
  *tour = (struct sim_tour){ .number = tour->number + 1,
                             .by_key = true,
                             .key = key,
                             .budget = budget,
                             .at_once = at_once };
  tour->expected = count_rows(sim, at);
  sim_trace(sim, "n%u tours key %u", at, key);
  sim_memory_arm(sim, at);
  const int rv = holt_tour_start_key(node->replica, sim->keys[key].bytes,
                                     sim->keys[key].size, &tour->tour);
  sim_memory_disarm(sim, at);
  return begun(sim, at, rv);
}
