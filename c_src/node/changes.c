/* SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"

#include <string.h>

#include "lookup.h"

/* What is kept for writing the next one. */
#define WRITER_BYTES_KEPT 65536u

/*--------------------------------------------------------------------
 * Terms */

static const char *
type_name(enum holt_change_type type)
{
  switch (type) {
  case HOLT_CHANGE_REGISTERED:
    return "registered";
  case HOLT_CHANGE_UPDATED:
    return "updated";
  case HOLT_CHANGE_UNREGISTERED:
    return "unregistered";
  case HOLT_CHANGE_MEMBER_UP:
    return "member_up";
  case HOLT_CHANGE_MEMBER_DOWN:
    break;
  }
  return "member_down";
}

static const char *
reason_name(enum holt_reason reason)
{
  switch (reason) {
  case HOLT_REASON_USER:
    return "user";
  case HOLT_REASON_DOWN:
    return "down";
  case HOLT_REASON_CONFLICT:
    return "conflict";
  case HOLT_REASON_GIVEN_AWAY:
    return "given_away";
  case HOLT_REASON_MEMBER:
    return "member";
  case HOLT_REASON_UNKNOWN:
    break;
  }
  return "unknown";
}

static void
put_member(struct term_writer *writer, const struct holt_change *change)
{
  const struct holt_member *const member = &change->member;
  term_put_map(writer, 3);
  term_put_atom(writer, "type");
  term_put_atom(writer, type_name(change->type));
  term_put_atom(writer, "member");
  term_put_tuple(writer, 2);
  term_put_atom_bytes(writer, member->name, member->name_size);
  term_put_atom_bytes(writer, member->node, member->node_size);
  term_put_atom(writer, "count");
  term_put_uint(writer, change->count);
}

/* Of a name; *key_at is where the key begins. */
static void
put_name(struct term_writer *writer, const struct holt_change *change,
         const struct holt_view *view, size_t *key_at)
{
  term_put_map(writer, 6);
  term_put_atom(writer, "type");
  term_put_atom(writer, type_name(change->type));
  term_put_atom(writer, "key");
  *key_at = writer->size;
  term_put_raw(writer, view->key, view->key_size);
  term_put_atom(writer, "pid");
  lookup_put_pid(writer, view);
  term_put_atom(writer, "value");
  lookup_put_value(writer, view);
  term_put_atom(writer, "previous");
  if (change->had) {
    lookup_put(writer, &change->before);
  } else {
    term_put_atom(writer, "undefined");
  }
  term_put_atom(writer, "reason");
  term_put_atom(writer, reason_name(change->reason));
}

/*--------------------------------------------------------------------
 * The log */

static struct change **
place_of(const struct changes *changes, uint64_t number)
{
  return &changes->ring[number % CHANGES_MAX];
}

static void
drop_first(struct changes *changes)
{
  struct change **const place = place_of(changes, changes->first++);
  const size_t size = sizeof **place + (*place)->size;
  changes->bytes -= size;
  holt_mem_free(changes->mem, *place, size);
  *place = NULL;
}

/* The change that the writer holds; NULL: no memory for it. */
static struct change *
copy(const struct changes *changes, size_t key_at, size_t key_size)
{
  const struct term_writer *const writer = &changes->writer;
  if (writer->error != 0) {
    return NULL;
  }
  struct change *const change =
    holt_mem_alloc(changes->mem, sizeof *change + writer->size);
  if (change != NULL) {
    change->size = writer->size;
    change->key_at = key_at;
    change->key_size = key_size;
    memcpy(change->term, writer->data, writer->size);
  }
  return change;
}

static void
on_change(void *user, const struct holt_change *told)
{
  struct changes *const changes = user;
  struct term_writer *const writer = &changes->writer;
  const struct holt_view *const view =
    told->type == HOLT_CHANGE_UNREGISTERED ? &told->before : &told->now;
  const bool named = view->key != NULL;
  size_t key_at = 0;
  term_writer_clear(writer);
  if (named) {
    put_name(writer, told, view, &key_at);
  } else {
    put_member(writer, told);
  }
  struct change *const change =
    copy(changes, key_at, named ? view->key_size : 0);
  if (writer->capacity > WRITER_BYTES_KEPT || writer->error != 0) {
    term_writer_deinit(writer);
  }
  const size_t size = change != NULL ? sizeof *change + change->size : 0;
  while (changes->first < changes->next &&
         (change == NULL || changes->next - changes->first == CHANGES_MAX ||
          changes->bytes + size > CHANGES_BYTES_MAX)) {
    drop_first(changes);
  }
  if (change != NULL) {
    *place_of(changes, changes->next) = change;
    changes->bytes += size;
  } else {
    changes->first++;
  }
  changes->next++;
  changes->news(changes->user);
}

int
changes_init(struct changes *changes, struct holt_replica *replica,
             struct holt_mem *mem, void (*news)(void *user), void *user)
{
  *changes = (struct changes){ .mem = mem,
                               .replica = replica,
                               .first = 1,
                               .next = 1,
                               .news = news,
                               .user = user };
  changes->ring = holt_mem_zalloc(mem, CHANGES_MAX * sizeof(struct change *));
  if (changes->ring == NULL) {
    return HOLT_ERR_NOMEM;
  }
  term_writer_init(&changes->writer, mem, 0);
  changes_resume(changes);
  return 0;
}

void
changes_pause(struct changes *changes)
{
  holt_replica_watch(changes->replica, NULL, NULL);
}

void
changes_resume(struct changes *changes)
{
  holt_replica_watch(changes->replica, on_change, changes);
}

bool
changes_forget(struct changes *changes, uint64_t before, size_t count)
{
  for (; count > 0 && changes->first < before; count--) {
    drop_first(changes);
  }
  return changes->first >= before;
}

void
changes_deinit(struct changes *changes)
{
  changes_pause(changes);
  (void)changes_forget(changes, changes->next, CHANGES_MAX);
  term_writer_deinit(&changes->writer);
  holt_mem_free(changes->mem, changes->ring,
                CHANGES_MAX * sizeof(struct change *));
}

const struct change *
changes_at(const struct changes *changes, uint64_t number)
{
  return *place_of(changes, number);
}
