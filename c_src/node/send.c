/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "dist_state.h"
#include "log.h"

/* A process of a peer that one of ours watches. */
struct monitor {
  struct list link; /* peer->monitors */
  uint64_t number;
  uint32_t watcher;
  size_t target_size;
  uint8_t target[]; /* A term: a pid, or an atom. */
};

/* How the number of a monitor is spread over the words of its reference: 18
 * bits in the first, for that is all a first word could once hold. */
#define REF_WORDS 3u
#define REF_FIRST_BITS 18u

static const uint8_t empty_atom[] = { 119, 0 };

/*--------------------------------------------------------------------
 * Frames */

int
send_frame(struct dist_peer *peer, const struct term_slice *parts, size_t count)
{
  struct dist *dist = peer->dist;
  uint64_t size = 0;
  for (size_t i = 0; i < count; i++) {
    size += parts[i].size;
  }
  if (peer->connection.closing) {
    return HOLT_ERR_DEAD;
  }
  int rv = control_finish(&dist->writer, size);
  if (rv == 0 && dist->scratch.error != 0) {
    rv = dist->scratch.error;
  }
  if (rv != 0) {
    return rv;
  }
  const uint64_t queued = peer->connection.out.size;
  if (queued > 0 &&
      queued + dist->writer.size + size > dist->config.queue_hard_bytes) {
    dist->counters.slow_peers++;
    peer_drop(peer, "it does not read, and too much waits for it");
    return HOLT_ERR_DEAD;
  }
  return connection_send(&peer->connection, term_writer_slice(&dist->writer),
                         parts, count);
}

struct term_slice
send_own_pid(struct dist *dist, uint32_t id)
{
  term_writer_clear(&dist->scratch);
  dist_pid_encode(&dist->scratch, dist, id, 0);
  return term_writer_slice(&dist->scratch);
}

/* Send a message of the user's if there is room for it. */
static int
send_message(struct dist_peer *peer, enum control_op op,
             const struct term_slice *elements, uint32_t elements_count,
             const struct term_slice *parts, size_t count)
{
  struct dist *dist = peer->dist;
  if (peer->connection.closing) {
    return HOLT_ERR_DEAD;
  }
  if (peer->connection.out.size > dist->config.queue_soft_bytes) {
    dist->counters.messages_busy++;
    return HOLT_ERR_BUSY;
  }
  term_writer_clear(&dist->writer);
  control_put(&dist->writer, op, elements, elements_count);
  control_put_payload(&dist->writer);
  const int rv = send_frame(peer, parts, count);
  dist->counters.messages_out += rv == 0;
  return rv;
}

int
dist_send_to_pid(struct dist_peer *peer, struct term_slice pid,
                 const struct term_slice *parts, size_t count)
{
  term_writer_clear(&peer->dist->scratch);
  const struct term_slice elements[] = {
    { empty_atom, sizeof empty_atom },
    pid,
  };
  return send_message(peer, CONTROL_SEND, elements, 2, parts, count);
}

int
dist_send_to_name(struct dist_peer *peer, uint32_t sender, const char *name,
                  const struct term_slice *parts, size_t count)
{
  struct dist *dist = peer->dist;
  const size_t pid_size = send_own_pid(dist, sender).size;
  term_put_atom(&dist->scratch, name);
  /* The writer may have moved its block. */
  const struct term_slice both = term_writer_slice(&dist->scratch);
  if (dist->scratch.error != 0) {
    return dist->scratch.error;
  }
  const struct term_slice elements[] = {
    { both.bytes, pid_size },
    { empty_atom, sizeof empty_atom },
    { both.bytes + pid_size, both.size - pid_size },
  };
  return send_message(peer, CONTROL_REG_SEND, elements, 3, parts, count);
}

int
dist_reply(struct dist_peer *peer, uint32_t sender, struct term_slice from,
           const struct term_slice *parts, size_t count)
{
  struct dist *dist = peer->dist;
  struct holt_etf_reader reader = term_reader(from);
  struct term_slice pid;
  struct term_slice tag;
  struct term_pid ignored;
  if (!term_read_tuple(&reader, 2) || !term_read_term(&reader, &pid) ||
      !term_read_term(&reader, &tag) || !term_read_end(&reader) ||
      !term_is_pid(pid, &ignored)) {
    return HOLT_ERR_MALFORMED;
  }
  struct term_slice ref;
  const bool alias =
    (peer->handshake.flags & HANDSHAKE_ALIAS) != 0 && control_alias(tag, &ref);
  const struct term_slice elements[] = {
    alias ? send_own_pid(dist, sender)
          : term_slice(empty_atom, sizeof empty_atom),
    alias ? ref : pid,
  };
  struct term_writer *const writer = &dist->writer;
  if (!alias) {
    term_writer_clear(&dist->scratch);
  }
  term_writer_clear(writer);
  control_put(writer, alias ? CONTROL_ALIAS_SEND : CONTROL_SEND, elements, 2);
  control_put_payload(writer);
  term_put_tuple(writer, 2);
  term_put_slice(writer, tag);
  const int rv = send_frame(peer, parts, count);
  dist->counters.messages_out += rv == 0;
  return rv;
}

/*--------------------------------------------------------------------
 * Processes */

void
dist_pid_encode(struct term_writer *writer, const struct dist *dist,
                uint32_t id, uint32_t serial)
{
  const struct term_pid pid = {
    .node = term_slice(dist->name, strlen(dist->name)),
    .id = id,
    .serial = serial,
    .creation = dist->self.creation,
  };
  term_put_pid(writer, &pid);
}

/* Put {op, Watcher, Target, Ref} as the head of a frame. */
static void
put_monitor(struct dist *dist, enum control_op op,
            const struct monitor *monitor)
{
  const uint64_t number = monitor->number;
  const uint32_t words[REF_WORDS] = {
    (uint32_t)(number & ((1u << REF_FIRST_BITS) - 1)),
    (uint32_t)(number >> REF_FIRST_BITS),
    (uint32_t)(number >> (REF_FIRST_BITS + 32)),
  };
  struct term_writer *const scratch = &dist->scratch;
  const size_t pid_size = send_own_pid(dist, monitor->watcher).size;
  term_put_reference(scratch, term_slice(dist->name, strlen(dist->name)),
                     dist->self.creation, words, REF_WORDS);
  /* What is missing after an error is never sent: send_frame() sees it. */
  const struct term_slice both = term_writer_slice(scratch);
  const struct term_slice elements[] = {
    { both.bytes, pid_size },
    { monitor->target, monitor->target_size },
    { both.bytes + pid_size, both.size - pid_size },
  };
  term_writer_clear(&dist->writer);
  control_put(&dist->writer, op, elements, 3);
}

static void
monitor_delete(struct dist_peer *peer, struct monitor *monitor)
{
  list_remove(&monitor->link);
  holt_mem_free(peer->dist->config.mem, monitor,
                sizeof *monitor + monitor->target_size);
}

int
dist_monitor(struct dist_peer *peer, uint32_t watcher, struct term_slice target,
             uint64_t *number)
{
  struct dist *dist = peer->dist;
  struct holt_etf_reader reader = term_reader(target);
  struct term_slice name;
  struct term_pid pid;
  if ((!term_read_atom(&reader, &name) && !term_read_pid(&reader, &pid)) ||
      !term_read_end(&reader)) {
    return HOLT_ERR_MALFORMED;
  }
  struct monitor *monitor =
    holt_mem_alloc(dist->config.mem, sizeof *monitor + target.size);
  if (monitor == NULL) {
    return HOLT_ERR_NOMEM;
  }
  monitor->number = dist->monitors + 1;
  monitor->watcher = watcher;
  monitor->target_size = target.size;
  memcpy(monitor->target, target.bytes, target.size);
  list_init(&monitor->link);
  put_monitor(dist, CONTROL_MONITOR, monitor);
  const int rv = send_frame(peer, NULL, 0);
  if (rv != 0) {
    monitor_delete(peer, monitor);
    return rv;
  }
  dist->monitors++;
  list_add(&peer->monitors, &monitor->link);
  *number = monitor->number;
  return 0;
}

static struct monitor *
monitor_find(struct dist_peer *peer, uint64_t number)
{
  list_each(link, &peer->monitors)
  {
    struct monitor *monitor = list_thing(link, struct monitor, link);
    if (monitor->number == number) {
      return monitor;
    }
  }
  return NULL;
}

void
dist_demonitor(struct dist_peer *peer, uint64_t number)
{
  struct monitor *monitor = monitor_find(peer, number);
  if (monitor == NULL) {
    return;
  }
  put_monitor(peer->dist, CONTROL_DEMONITOR, monitor);
  /* Lost, it costs nothing but a signal that nobody waits for. */
  (void)send_frame(peer, NULL, 0);
  monitor_delete(peer, monitor);
}

static void
tell_monitor(struct dist_peer *peer, uint64_t number, struct term_slice reason)
{
  const struct dist_config *config = &peer->dist->config;
  if (!peer->dist->stopping && config->handlers->monitor_down != NULL) {
    config->handlers->monitor_down(config->user, peer, number, reason);
  }
}

void
monitor_fire(struct dist_peer *peer, struct term_slice ref,
             struct term_slice reason)
{
  const struct dist *dist = peer->dist;
  struct holt_etf_reader reader = term_reader(ref);
  struct holt_etf_token token;
  if (holt_etf_next(&reader, &token) != 0 || token.type != HOLT_ETF_REFERENCE ||
      token.words_count != REF_WORDS || token.creation != dist->self.creation ||
      !term_slice_is(term_slice(token.node, token.node_size), dist->name)) {
    return;
  }
  const uint64_t number = (uint64_t)token.words[0] |
                          (uint64_t)token.words[1] << REF_FIRST_BITS |
                          (uint64_t)token.words[2] << (REF_FIRST_BITS + 32);
  struct monitor *monitor = monitor_find(peer, number);
  if (monitor != NULL) {
    monitor_delete(peer, monitor);
    tell_monitor(peer, number, reason);
  }
}

void
monitor_fire_all(struct dist_peer *peer)
{
  static const uint8_t noconnection[] = "\x77\x0cnoconnection";
  const struct term_slice reason =
    term_slice(noconnection, sizeof noconnection - 1);
  while (!list_is_empty(&peer->monitors)) {
    struct monitor *monitor =
      list_thing(peer->monitors.next, struct monitor, link);
    const uint64_t number = monitor->number;
    monitor_delete(peer, monitor);
    tell_monitor(peer, number, reason);
  }
}

void
monitor_forget_all(struct dist_peer *peer)
{
  while (!list_is_empty(&peer->monitors)) {
    monitor_delete(peer, list_thing(peer->monitors.next, struct monitor, link));
  }
}
