/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_log.h"

#include <stdalign.h>
#include <string.h>

#include "nif_term.h"

#define CHUNK_BYTES 65536u
#define CHANGE_BYTES_MAX (NIF_LOG_BYTES_MAX / 4)

struct nif_log_chunk {
  struct nif_log_chunk *next;
  uint64_t first; /* The number of its first change. */
  size_t count;
  size_t used;
  size_t size; /* Of the bytes. */
  alignas(uint64_t) uint8_t bytes[];
};

void
nif_log_init(struct nif_log *log, struct holt_mem *mem)
{
  *log = (struct nif_log){ .mem = mem };
}

static void
drop_first(struct nif_log *log)
{
  struct nif_log_chunk *const chunk = log->first;
  log->first = chunk->next;
  if (log->first == NULL) {
    log->last = NULL;
  }
  log->count -= chunk->count;
  log->bytes -= sizeof *chunk + chunk->size;
  holt_mem_free(log->mem, chunk, sizeof *chunk + chunk->size);
}

void
nif_log_forget(struct nif_log *log)
{
  while (log->first != NULL) {
    drop_first(log);
  }
}

void
nif_log_deinit(struct nif_log *log)
{
  nif_log_forget(log);
}

/* A chunk at the end with room for size bytes, or NULL. */
static struct nif_log_chunk *
chunk_new(struct nif_log *log, size_t size)
{
  const size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
  struct nif_log_chunk *chunk;
  const size_t all = sizeof *chunk + room;
  while (log->first != NULL && log->bytes + all > NIF_LOG_BYTES_MAX) {
    drop_first(log);
  }
  chunk = holt_mem_alloc(log->mem, all);
  if (chunk == NULL) {
    return NULL;
  }
  *chunk = (struct nif_log_chunk){ .first = log->next, .size = room };
  if (log->last != NULL) {
    log->last->next = chunk;
  } else {
    log->first = chunk;
  }
  log->last = chunk;
  log->bytes += all;
  return chunk;
}

/* Room for a change of this size at the end; NULL: it cannot be kept. */
static struct nif_log_change *
reserve(struct nif_log *log, size_t size)
{
  if (size > CHANGE_BYTES_MAX) {
    return NULL;
  }
  if (log->count == NIF_LOG_CHANGES_MAX) {
    drop_first(log);
  }
  struct nif_log_chunk *chunk = log->last;
  if (chunk == NULL || chunk->size - chunk->used < size) {
    chunk = chunk_new(log, size);
    if (chunk == NULL) {
      return NULL;
    }
  }
  struct nif_log_change *const entry =
    (struct nif_log_change *)(void *)(chunk->bytes + chunk->used);
  chunk->used += size;
  chunk->count++;
  log->count++;
  return entry;
}

/* The size of a change with so many bytes. */
static size_t
size_with(size_t bytes)
{
  const size_t unit = alignof(struct nif_log_change);
  return (sizeof(struct nif_log_change) + bytes + unit - 1) / unit * unit;
}

static uint8_t *
put(uint8_t *at, const uint8_t *bytes, size_t size)
{
  if (size > 0) {
    memcpy(at, bytes, size);
  }
  return at + size;
}

static void
who_of(const struct holt_view *view, const struct nif_pid_parts *parts,
       struct nif_log_who *who)
{
  who->host = parts->local ? parts->host : 0;
  who->pid_size = parts->local ? 0 : (uint32_t)parts->etf_size;
  who->value_size = (uint32_t)view->value_size;
}

static bool
add_name(struct nif_log *log, const struct holt_change *change)
{
  const bool gone = change->type == HOLT_CHANGE_UNREGISTERED;
  const bool had = change->had && !gone;
  const struct holt_view *const view = gone ? &change->before : &change->now;
  const struct holt_view *const before = &change->before;
  struct nif_pid_parts pids[2];
  struct nif_log_who who;
  struct nif_log_who other = { .host = 0 };
  nif_pid_parts_of(view, &pids[0]);
  who_of(view, &pids[0], &who);
  if (had) {
    nif_pid_parts_of(before, &pids[1]);
    who_of(before, &pids[1], &other);
  }
  const size_t size = size_with(view->key_size + who.pid_size + who.value_size +
                                other.pid_size + other.value_size);
  struct nif_log_change *const entry = reserve(log, size);
  if (entry == NULL) {
    return false;
  }
  *entry = (struct nif_log_change){ .size = (uint32_t)size,
                                    .type = (uint8_t)change->type,
                                    .reason = (uint8_t)change->reason,
                                    .had = had,
                                    .key_size = (uint32_t)view->key_size };
  entry->of.name.who = who;
  entry->of.name.before = other;
  uint8_t *at = put(entry->bytes, view->key, view->key_size);
  at = put(at, pids[0].etf, who.pid_size);
  at = put(at, view->value, who.value_size);
  if (had) {
    at = put(at, pids[1].etf, other.pid_size);
    (void)put(at, before->value, other.value_size);
  }
  return true;
}

static bool
add_member(struct nif_log *log, const struct holt_change *change)
{
  const struct holt_member *const member = &change->member;
  const size_t size =
    size_with((size_t)member->name_size + (size_t)member->node_size);
  struct nif_log_change *const entry = reserve(log, size);
  if (entry == NULL) {
    return false;
  }
  *entry = (struct nif_log_change){ .size = (uint32_t)size,
                                    .type = (uint8_t)change->type,
                                    .reason = (uint8_t)change->reason };
  entry->of.member.actor = change->actor;
  entry->of.member.count = change->count;
  entry->of.member.name_size = member->name_size;
  entry->of.member.node_size = member->node_size;
  uint8_t *const at = put(entry->bytes, member->name, member->name_size);
  (void)put(at, member->node, member->node_size);
  return true;
}

void
nif_log_add(struct nif_log *log, const struct holt_change *change)
{
  const bool of_member = change->type == HOLT_CHANGE_MEMBER_UP ||
                         change->type == HOLT_CHANGE_MEMBER_DOWN;
  if (!(of_member ? add_member(log, change) : add_name(log, change))) {
    nif_log_forget(log);
  }
  log->next++;
}

uint64_t
nif_log_oldest(const struct nif_log *log)
{
  return log->next - log->count;
}

static const struct nif_log_change *
change_at(const uint8_t *bytes)
{
  return (const void *)bytes;
}

void
nif_log_seek(const struct nif_log *log, uint64_t number,
             struct nif_log_cursor *cursor)
{
  *cursor = (struct nif_log_cursor){ .chunk = log->first, .number = number };
  if (number == log->next) {
    return;
  }
  while (number - cursor->chunk->first >= cursor->chunk->count) {
    cursor->chunk = cursor->chunk->next;
  }
  const uint8_t *at = cursor->chunk->bytes;
  for (uint64_t i = cursor->chunk->first; i < number; i++) {
    at += change_at(at)->size;
  }
  cursor->change = change_at(at);
}

void
nif_log_step(struct nif_log_cursor *cursor)
{
  const uint8_t *at =
    (const uint8_t *)(const void *)cursor->change + cursor->change->size;
  cursor->number++;
  if (cursor->number - cursor->chunk->first == cursor->chunk->count) {
    cursor->chunk = cursor->chunk->next;
    at = cursor->chunk == NULL ? NULL : cursor->chunk->bytes;
  }
  cursor->change = at == NULL ? NULL : change_at(at);
}
