/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"

#include <string.h>

#include "commands.h"
#include "log.h"

#define BINARY_TAG 109u
#define BINARY_HEAD_BYTES 5u

struct lookup {
  struct list link;
  struct turn_job job;
  struct lookups *lookups;
  struct instance *instance;
  struct dist_peer *peer;
  struct holt_tour *tour; /* NULL: a scan for the prefix. */
  uint64_t cursor;
  struct term_writer writer;
  size_t opened;
  uint32_t count;
  size_t visits; /* In this piece. */
  size_t from_size;
  size_t prefix_size;
  uint8_t bytes[]; /* From, a term; the prefix. */
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
lookup_put_entry(struct term_writer *writer, const struct holt_view *view)
{
  term_put_tuple(writer, 3);
  term_put_raw(writer, view->key, view->key_size);
  lookup_put_pid(writer, view);
  lookup_put_value(writer, view);
}

bool
lookup_has_prefix(struct term_slice key, struct term_slice prefix)
{
  return key.size >= BINARY_HEAD_BYTES + prefix.size &&
         key.bytes[0] == BINARY_TAG &&
         memcmp(key.bytes + BINARY_HEAD_BYTES, prefix.bytes, prefix.size) == 0;
}

void
lookups_init(struct lookups *lookups, struct turn *turn, struct holt_mem *mem,
             uint32_t process)
{
  *lookups = (struct lookups){ .turn = turn, .mem = mem, .process = process };
  list_init(&lookups->running);
}

static size_t
lookup_size(const struct lookup *lookup)
{
  return sizeof *lookup + lookup->from_size + lookup->prefix_size;
}

static void
lookup_delete(struct lookup *lookup)
{
  struct lookups *const lookups = lookup->lookups;
  turn_cancel(&lookup->job);
  list_remove(&lookup->link);
  lookups->count--;
  if (lookup->tour != NULL) {
    holt_tour_stop(instance_replica(lookup->instance), lookup->tour);
  }
  term_writer_deinit(&lookup->writer);
  holt_mem_free(lookups->mem, lookup, lookup_size(lookup));
}

/*--------------------------------------------------------------------
 * The work */

static bool
put_row(void *user, const struct holt_view *view)
{
  struct lookup *const lookup = user;
  lookup_put(&lookup->writer, view);
  lookup->count++;
  return lookup->writer.error == 0;
}

static bool
put_if_prefix(void *user, const struct holt_view *view)
{
  struct lookup *const lookup = user;
  lookup->visits++;
  if (lookup_has_prefix(
        term_slice(view->key, view->key_size),
        term_slice(lookup->bytes + lookup->from_size, lookup->prefix_size))) {
    lookup_put_entry(&lookup->writer, view);
    lookup->count++;
  }
  return lookup->writer.error == 0;
}

/* A piece.  True: there is more. */
static bool
gather(struct lookup *lookup)
{
  const struct holt_replica *const replica = instance_replica(lookup->instance);
  if (lookup->tour != NULL) {
    return holt_tour_next(replica, lookup->tour, LOOKUP_ROWS, put_row, lookup);
  }
  lookup->visits = 0;
  do {
    lookup->cursor =
      holt_replica_scan_entries(replica, lookup->cursor, put_if_prefix, lookup);
    lookup->visits++; /* An empty place is one, too. */
  } while (lookup->cursor != 0 && lookup->visits < LOOKUP_ROWS);
  return lookup->cursor != 0;
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
               term_slice(lookup->bytes, lookup->from_size), &payload, 1);
  if (rv != 0) {
    log_debug("a caller on %s gets no answer: %s", dist_peer_node(lookup->peer),
              holt_error_text(rv));
  }
}

static bool
run(struct turn_job *job)
{
  struct lookup *const lookup = list_thing(job, struct lookup, job);
  if (gather(lookup)) {
    return true;
  }
  answer(lookup);
  lookup_delete(lookup);
  return false;
}

/*--------------------------------------------------------------------
 * Begin and end */

/* One that has not begun. */
static int
lookup_new(struct lookup **out, struct lookups *lookups,
           struct instance *instance, struct dist_peer *peer,
           struct term_slice from, struct term_slice prefix)
{
  if (lookups->count == LOOKUPS_MAX) {
    return HOLT_ERR_BUSY;
  }
  struct lookup *const lookup =
    holt_mem_zalloc(lookups->mem, sizeof *lookup + from.size + prefix.size);
  if (lookup == NULL) {
    return HOLT_ERR_NOMEM;
  }
  lookup->lookups = lookups;
  lookup->instance = instance;
  lookup->peer = peer;
  lookup->from_size = from.size;
  lookup->prefix_size = prefix.size;
  memcpy(lookup->bytes, from.bytes, from.size);
  if (prefix.size > 0) {
    memcpy(lookup->bytes + from.size, prefix.bytes, prefix.size);
  }
  *out = lookup;
  return 0;
}

static void
begin(struct lookup *lookup)
{
  struct lookups *const lookups = lookup->lookups;
  term_writer_init(&lookup->writer, lookups->mem, LOOKUP_BYTES_MAX);
  lookup->opened = term_open_list(&lookup->writer);
  turn_job_init(&lookup->job, run);
  list_add(&lookups->running, &lookup->link);
  lookups->count++;
  turn_want(lookups->turn, &lookup->job);
}

int
lookup_start(struct lookups *lookups, struct instance *instance,
             struct dist_peer *peer, struct term_slice from, const uint8_t *key,
             size_t key_size)
{
  struct lookup *lookup;
  int rv =
    lookup_new(&lookup, lookups, instance, peer, from, term_slice(NULL, 0));
  if (rv != 0) {
    return rv;
  }
  rv = holt_tour_start_key(instance_replica(instance), key, key_size,
                           &lookup->tour);
  if (rv != 0) {
    holt_mem_free(lookups->mem, lookup, lookup_size(lookup));
    return rv;
  }
  begin(lookup);
  return 0;
}

int
lookup_start_prefix(struct lookups *lookups, struct instance *instance,
                    struct dist_peer *peer, struct term_slice from,
                    struct term_slice prefix)
{
  struct lookup *lookup;
  const int rv = lookup_new(&lookup, lookups, instance, peer, from, prefix);
  if (rv == 0) {
    begin(lookup);
  }
  return rv;
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
