/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"

#include <string.h>

#include "commands.h"
#include "log.h"

struct lookup {
  struct list link;
  struct turn_job job;
  struct lookups *lookups;
  struct instance *instance;
  struct dist_peer *peer;
  struct holt_tour *tour;
  struct term_writer writer;
  size_t opened;
  uint32_t count;
  size_t from_size;
  uint8_t from[]; /* A term. */
};

void
lookup_put_pid(struct term_writer *writer, const struct holt_view *view)
{
  const struct term_pid pid = { .node = term_slice(view->node, view->node_size),
                                .id = view->id,
                                .serial = view->serial,
                                .creation = view->creation };
  term_put_pid(writer, &pid);
}

/* The core has checked that a value is empty, or 131 and a term. */
void
lookup_put_value(struct term_writer *writer, const struct holt_view *view)
{
  if (view->value_size < 2) {
    term_put_atom(writer, "undefined");
  } else {
    term_put_raw(writer, view->value + 1, view->value_size - 1);
  }
}

void
lookup_put(struct term_writer *writer, const struct holt_view *view)
{
  term_put_tuple(writer, 2);
  lookup_put_pid(writer, view);
  lookup_put_value(writer, view);
}

void
lookups_init(struct lookups *lookups, struct turn *turn, struct holt_mem *mem,
             uint32_t process)
{
  *lookups = (struct lookups){ .turn = turn, .mem = mem, .process = process };
  list_init(&lookups->running);
}

static void
lookup_delete(struct lookup *lookup)
{
  struct lookups *const lookups = lookup->lookups;
  turn_cancel(&lookup->job);
  list_remove(&lookup->link);
  lookups->count--;
  holt_tour_stop(instance_replica(lookup->instance), lookup->tour);
  term_writer_deinit(&lookup->writer);
  holt_mem_free(lookups->mem, lookup, sizeof *lookup + lookup->from_size);
}

static bool
put_row(void *user, const struct holt_view *view)
{
  struct lookup *const lookup = user;
  lookup_put(&lookup->writer, view);
  lookup->count++;
  return lookup->writer.error == 0;
}

static void
answer(struct lookup *lookup)
{
  struct term_writer *const writer = &lookup->writer;
  term_close_list(writer, lookup->opened, lookup->count);
  if (writer->error != 0) {
    const int error = writer->error;
    term_writer_deinit(writer);
    commands_put_error(writer, holt_error_name(error), holt_error_text(error));
  }
  const struct term_slice payload = term_writer_slice(writer);
  const int rv =
    dist_reply(lookup->peer, lookup->lookups->process,
               term_slice(lookup->from, lookup->from_size), &payload, 1);
  if (rv != 0) {
    log_debug("a caller on %s gets no answer: %s", dist_peer_node(lookup->peer),
              holt_error_text(rv));
  }
}

static bool
run(struct turn_job *job)
{
  struct lookup *const lookup = list_thing(job, struct lookup, job);
  if (holt_tour_next(instance_replica(lookup->instance), lookup->tour,
                     LOOKUP_ROWS, put_row, lookup)) {
    return true;
  }
  answer(lookup);
  lookup_delete(lookup);
  return false;
}

int
lookup_start(struct lookups *lookups, struct instance *instance,
             struct dist_peer *peer, struct term_slice from, const uint8_t *key,
             size_t key_size)
{
  if (lookups->count == LOOKUPS_MAX) {
    return HOLT_ERR_BUSY;
  }
  struct lookup *const lookup =
    holt_mem_zalloc(lookups->mem, sizeof *lookup + from.size);
  if (lookup == NULL) {
    return HOLT_ERR_NOMEM;
  }
  const int rv = holt_tour_start_key(instance_replica(instance), key, key_size,
                                     &lookup->tour);
  if (rv != 0) {
    holt_mem_free(lookups->mem, lookup, sizeof *lookup + from.size);
    return rv;
  }
  lookup->lookups = lookups;
  lookup->instance = instance;
  lookup->peer = peer;
  lookup->from_size = from.size;
  memcpy(lookup->from, from.bytes, from.size);
  term_writer_init(&lookup->writer, lookups->mem, LOOKUP_BYTES_MAX);
  lookup->opened = term_open_list(&lookup->writer);
  turn_job_init(&lookup->job, run);
  list_add(&lookups->running, &lookup->link);
  lookups->count++;
  turn_want(lookups->turn, &lookup->job);
  return 0;
}

void
lookups_forget(struct lookups *lookups, const struct dist_peer *peer)
{
  list_each(link, &lookups->running)
  {
    struct lookup *const lookup = list_thing(link, struct lookup, link);
    if (peer == NULL || lookup->peer == peer) {
      lookup_delete(lookup);
    }
  }
}
