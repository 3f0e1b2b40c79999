/* SPDX-License-Identifier: Apache-2.0 */
#include "instance.h"

#include <stdio.h>
#include <string.h>

#include "inbox.h"
#include "log.h"
#include "memory.h"
#include "roll.h"

/* Rows freed at a time when an instance ends. */
#define DRAIN_ROWS 4096u

/* Nodes named in a hello, and believed in one. */
#define NODES_MAX 256u

#define PROCESS_PREFIX "holt."

/* Of a hello, at least. */
#define HELLO_ARITY 5u

/* A replica that has told all of its end has nothing to do for longer. */
#define GOODBYE_RETRY_MS 50u

/* A node that is connected, and the member that may be on it. */
struct link {
  struct dist_peer *node;
  bool known;   /* peer is a handle of the replica. */
  bool refused; /* That it was, has been logged. */
  uint32_t peer;
  uint8_t *pid; /* Its replica process, a term; NULL before its hello. */
  size_t pid_size;
  uint64_t monitor; /* That watches it. */
};

struct instance {
  uv_timer_t timer;
  struct turn *turn;
  struct turn_job job; /* Wanted when there is work. */
  bool leaving;        /* Goodbye: nothing but that is said any more. */
  bool quiet;          /* The replica has no more to say for now. */
  uint64_t policy;
  struct dist *dist;
  uint32_t process;
  char *name; /* Within process_name. */
  char *process_name;
  size_t process_name_size;
  struct holt_mem mem;
  struct holt_mem message_mem;
  struct holt_tuning tuning;
  struct holt_replica *replica;
  struct inbox inbox;
  struct roll roll;
  struct link *links;
  size_t links_count;
  size_t links_capacity;
  void (*node_seen)(void *user, struct term_slice node);
  void *user;
  void (*stopped)(void *user);
  void *stopped_user;
};

static bool work(struct turn_job *job);

static struct holt_time
now(const struct instance *instance)
{
  uv_timeval64_t wall = { 0, 0 };
  (void)uv_gettimeofday(&wall);
  return (struct holt_time){ .mono_ms = uv_now(instance->timer.loop),
                             .wall_ms = (uint64_t)wall.tv_sec * 1000u +
                                        (uint64_t)wall.tv_usec / 1000u };
}

/* Something has happened: ask the replica before the loop waits. */
static void
touch(struct instance *instance)
{
  instance->quiet = false;
  turn_want(instance->turn, &instance->job);
}

/*--------------------------------------------------------------------
 * Begin and end */

static struct holt_member
member_of(const struct instance *instance, const char *node)
{
  return (struct holt_member){ .name = (const uint8_t *)instance->name,
                               .node = (const uint8_t *)node,
                               .name_size = (uint16_t)strlen(instance->name),
                               .node_size = (uint16_t)strlen(node) };
}

static int
replica_make(struct instance *instance)
{
  uint64_t random[4];
  if (uv_random(NULL, NULL, random, sizeof random, 0, NULL) != 0) {
    return HOLT_ERR_NOMEM;
  }
  const struct holt_config config = {
    .mem = &instance->mem,
    .member = member_of(instance, dist_name(instance->dist)),
    .actor = random[0] | 1u,
    .creation = dist_creation(instance->dist),
    .hash_seed = { random[1], random[2] },
    .entropy = random[3],
    .policy = instance->policy,
    .tuning = instance->tuning,
  };
  const struct holt_time time = now(instance);
  return holt_replica_new(&instance->replica, &config, &time);
}

static void
instance_free(struct instance *instance)
{
  if (instance->replica != NULL) {
    inbox_deinit(&instance->inbox);
    while (!holt_replica_drain(instance->replica, DRAIN_ROWS)) {
    }
    holt_replica_delete(instance->replica);
  }
  roll_deinit(&instance->roll);
  holt_mem_free(&instance->mem, instance->links,
                instance->links_capacity * sizeof *instance->links);
  holt_mem_free(&instance->mem, instance->process_name,
                instance->process_name_size);
  struct holt_mem mem = instance->mem;
  holt_mem_free(&mem, instance, sizeof *instance);
}

int
instance_new(struct instance **out, const struct instance_config *config)
{
  struct holt_mem mem;
  memory_init(&mem);
  struct instance *const instance = holt_mem_zalloc(&mem, sizeof *instance);
  if (instance == NULL) {
    return HOLT_ERR_NOMEM;
  }
  instance->mem = mem;
  memory_init(&instance->message_mem);
  roll_init(&instance->roll, &instance->mem);
  instance->dist = config->dist;
  instance->turn = config->turn;
  instance->policy = config->policy;
  instance->process = config->process;
  instance->tuning = config->tuning;
  instance->node_seen = config->node_seen;
  instance->user = config->user;
  instance->timer.loop = config->loop;
  instance->process_name_size = sizeof PROCESS_PREFIX + strlen(config->name);
  instance->process_name =
    holt_mem_alloc(&instance->mem, instance->process_name_size);
  if (instance->process_name == NULL) {
    instance->process_name_size = 0;
    instance_free(instance);
    return HOLT_ERR_NOMEM;
  }
  (void)snprintf(instance->process_name, instance->process_name_size,
                 PROCESS_PREFIX "%s", config->name);
  instance->name = instance->process_name + strlen(PROCESS_PREFIX);
  const int rv = replica_make(instance);
  if (rv != 0) {
    instance_free(instance);
    return rv;
  }
  inbox_init(&instance->inbox, instance->replica, &instance->tuning,
             &instance->message_mem, INSTANCE_QUEUE_BYTES_MAX);
  (void)uv_timer_init(config->loop, &instance->timer);
  instance->timer.data = instance;
  turn_job_init(&instance->job, work);
  touch(instance);
  *out = instance;
  return 0;
}

static void
handle_closed(uv_handle_t *handle)
{
  struct instance *const instance = handle->data;
  void (*const stopped)(void *) = instance->stopped;
  void *const user = instance->stopped_user;
  instance_free(instance);
  if (stopped != NULL) {
    stopped(user);
  }
}

static void
link_unbind(struct instance *instance, struct link *link)
{
  if (link->pid != NULL) {
    dist_demonitor(link->node, link->monitor);
    holt_mem_free(&instance->mem, link->pid, link->pid_size);
    link->pid = NULL;
    link->pid_size = 0;
  }
}

void
instance_stop(struct instance *instance, void (*stopped)(void *user),
              void *user)
{
  instance->stopped = stopped;
  instance->stopped_user = user;
  for (size_t i = 0; i < instance->links_count; i++) {
    link_unbind(instance, &instance->links[i]);
  }
  turn_cancel(&instance->job);
  uv_close((uv_handle_t *)&instance->timer, handle_closed);
}

static void
count_up(void *user, const struct holt_peer_info *peer)
{
  size_t *const count = user;
  *count += peer->up ? 1 : 0;
}

size_t
instance_goodbye(struct instance *instance)
{
  const struct holt_time time = now(instance);
  size_t count = 0;
  inbox_finish(&instance->inbox, &time);
  instance->leaving = true;
  holt_replica_goodbye(instance->replica, HOLT_GOODBYE_ENDED);
  holt_replica_peers(instance->replica, count_up, &count);
  touch(instance);
  return count;
}

bool
instance_said_goodbye(const struct instance *instance)
{
  return instance->leaving && instance->quiet;
}

/*--------------------------------------------------------------------
 * Links */

static struct link *
link_of(struct instance *instance, const struct dist_peer *node)
{
  for (size_t i = 0; i < instance->links_count; i++) {
    if (instance->links[i].node == node) {
      return &instance->links[i];
    }
  }
  return NULL;
}

static struct link *
link_of_peer(struct instance *instance, uint32_t peer)
{
  for (size_t i = 0; i < instance->links_count; i++) {
    if (instance->links[i].known && instance->links[i].peer == peer) {
      return &instance->links[i];
    }
  }
  return NULL;
}

static struct link *
link_add(struct instance *instance, struct dist_peer *node)
{
  if (instance->links_count == instance->links_capacity) {
    const size_t capacity = instance->links_capacity * 2 + 8;
    struct link *const links = holt_mem_resize(
      &instance->mem, instance->links, instance->links_capacity * sizeof *links,
      capacity * sizeof *links);
    if (links == NULL) {
      return NULL;
    }
    instance->links = links;
    instance->links_capacity = capacity;
  }
  struct link *const link = &instance->links[instance->links_count++];
  *link = (struct link){ .node = node };
  return link;
}

/* The replica cannot take this member; say so once. */
static void
link_refused(struct instance *instance, struct link *link, int error)
{
  if (!link->refused) {
    log_warning("%s cannot sync with %s: %s", instance->name,
                dist_peer_node(link->node), holt_error_text(error));
  }
  link->refused = true;
}

/* Neither of us is kept out by the list. */
static bool
may_meet(const struct instance *instance, const struct dist_peer *node)
{
  const struct holt_member self =
    member_of(instance, dist_name(instance->dist));
  const struct holt_member other = member_of(instance, dist_peer_node(node));
  return roll_has(&instance->roll, &self) && roll_has(&instance->roll, &other);
}

static void
meet(struct instance *instance, struct link *link)
{
  if (instance->leaving || !may_meet(instance, link->node)) {
    return;
  }
  const struct holt_time time = now(instance);
  const struct holt_member member =
    member_of(instance, dist_peer_node(link->node));
  inbox_finish(&instance->inbox, &time);
  const int rv =
    holt_replica_peer_up(instance->replica, &member, &time, &link->peer);
  link->known = rv == 0;
  if (rv != 0) {
    link_refused(instance, link, rv);
  }
  touch(instance);
}

void
instance_peer_up(struct instance *instance, struct dist_peer *peer)
{
  struct link *link = link_of(instance, peer);
  if (link == NULL && !instance->leaving) {
    link = link_add(instance, peer);
  }
  if (link != NULL) {
    meet(instance, link);
  }
  /* Otherwise its own hello makes another attempt. */
}

/* The member is gone: its link, or it said so. */
static void
link_part(struct instance *instance, struct link *link)
{
  const struct holt_time time = now(instance);
  inbox_finish(&instance->inbox, &time);
  if (link->pid != NULL) {
    log_info("%s on %s left", instance->name, dist_peer_node(link->node));
  }
  if (link->known) {
    holt_replica_peer_down(instance->replica, link->peer, HOLT_DOWN_LINK,
                           &time);
    link->known = false;
  }
  link_unbind(instance, link);
  touch(instance);
}

void
instance_peer_down(struct instance *instance, struct dist_peer *peer)
{
  struct link *const link = link_of(instance, peer);
  if (link != NULL) {
    link_part(instance, link);
    *link = instance->links[--instance->links_count];
  }
}

/* normal, shutdown, {shutdown, _}: ended in order, nothing to wait for. */
static bool
is_orderly(struct term_slice reason)
{
  struct holt_etf_reader reader = term_reader(reason);
  (void)term_read_tuple(&reader, 2);
  return term_is_atom(reason, "normal") || term_is_atom(reason, "shutdown") ||
         (reader.at != reason.bytes && term_read_atom_is(&reader, "shutdown"));
}

void
instance_monitor_down(struct instance *instance, struct dist_peer *peer,
                      uint64_t monitor, struct term_slice reason)
{
  struct link *const link = link_of(instance, peer);
  if (link == NULL || link->pid == NULL || link->monitor != monitor) {
    return;
  }
  if (term_is_atom(reason, "noconnection") || is_orderly(reason)) {
    link_part(instance, link);
    return;
  }
  log_info("%s on %s is missing", instance->name, dist_peer_node(peer));
  const struct holt_time time = now(instance);
  inbox_finish(&instance->inbox, &time);
  if (link->known) {
    holt_replica_peer_down(instance->replica, link->peer, HOLT_DOWN_REPLICA,
                           &time);
  }
  link_unbind(instance, link);
  touch(instance);
}

/* The process behind a link; it is watched. */
static void
link_bind(struct instance *instance, struct link *link, struct term_slice pid)
{
  if (link->pid != NULL &&
      term_slice_equal(term_slice(link->pid, link->pid_size), pid)) {
    return;
  }
  link_unbind(instance, link);
  uint8_t *const copy = holt_mem_alloc(&instance->mem, pid.size);
  if (copy == NULL) {
    return; /* Data to it counts as busy; hellos are repeated. */
  }
  memcpy(copy, pid.bytes, pid.size);
  if (dist_monitor(link->node, instance->process, pid, &link->monitor) != 0) {
    holt_mem_free(&instance->mem, copy, pid.size);
    return;
  }
  link->pid = copy;
  link->pid_size = pid.size;
  log_info("%s on %s takes part", instance->name, dist_peer_node(link->node));
}

/*--------------------------------------------------------------------
 * Messages */

/* A list of nodes that run this instance. */
static bool
read_nodes(struct instance *instance, struct holt_etf_reader *reader)
{
  uint32_t count;
  if (!term_read_list(reader, &count)) {
    return false;
  }
  for (uint32_t i = 0; i < count; i++) {
    struct term_slice node;
    if (!term_read_atom(reader, &node)) {
      return false;
    }
    if (i < NODES_MAX) {
      instance->node_seen(instance->user, node);
    }
  }
  return count == 0 || term_read_nil(reader);
}

/* {holt_members, Pid, Roll}: tell a process what is known; it goes on telling
 * us until it hears the same. */
static void
send_roll(struct instance *instance, struct dist_peer *node,
          struct term_slice pid)
{
  const struct term_slice roll = roll_term(&instance->roll);
  struct term_writer writer;
  if (roll.size == 0) {
    return;
  }
  term_writer_init(&writer, &instance->message_mem, 0);
  term_put_tuple(&writer, 3);
  term_put_atom(&writer, "holt_members");
  dist_pid_encode(&writer, instance->dist, instance->process, 0);
  const struct term_slice parts[] = { term_writer_slice(&writer), roll };
  if (writer.error == 0) {
    (void)dist_send_to_pid(node, pid, parts, sizeof parts / sizeof parts[0]);
  }
  term_writer_deinit(&writer);
}

/* Part from those who may not take part, or from all if that is us; meet the
 * others; and pass it on. */
static void
keep_to_roll(struct instance *instance, const struct dist_peer *from)
{
  for (size_t i = 0; i < instance->links_count; i++) {
    struct link *const link = &instance->links[i];
    if (!may_meet(instance, link->node)) {
      if (link->known || link->pid != NULL) {
        link_part(instance, link);
      }
      continue;
    }
    if (!link->known) {
      meet(instance, link);
    }
    if (link->pid != NULL && link->node != from) {
      send_roll(instance, link->node, term_slice(link->pid, link->pid_size));
    }
  }
}

static bool
hear_roll(struct instance *instance, struct dist_peer *peer,
          struct term_slice term)
{
  const enum roll_news news = roll_take(&instance->roll, term);
  if (news == ROLL_NEW) {
    log_info("%s: who may take part has changed", instance->name);
    keep_to_roll(instance, peer);
  }
  return news != ROLL_WRONG;
}

/* {holt_members, Pid, Roll}. */
static bool
take_members(struct instance *instance, struct dist_peer *peer,
             struct holt_etf_reader *reader)
{
  struct term_slice pid_term;
  struct term_slice roll;
  struct term_pid pid;
  if (!term_read_term(reader, &pid_term) || !term_is_pid(pid_term, &pid) ||
      !term_read_term(reader, &roll) || !term_read_end(reader) ||
      !dist_peer_owns(peer, &pid) || !hear_roll(instance, peer, roll)) {
    return false;
  }
  send_roll(instance, peer, pid_term);
  return true;
}

/* {holt_leave, Pid}: where there is no list. */
static bool
take_leave(struct instance *instance, const struct dist_peer *peer,
           struct holt_etf_reader *reader)
{
  struct term_slice pid;
  struct link *const link = link_of(instance, peer);
  if (!term_read_term(reader, &pid) || !term_read_end(reader)) {
    return false;
  }
  if (link != NULL && link->pid != NULL &&
      term_slice_equal(pid, term_slice(link->pid, link->pid_size))) {
    link_part(instance, link);
  }
  return true;
}

/* {holt_hello, Pid, Name, Bytes, Nodes}, with the roll behind if there is one;
 * what may come after that is not for us. */
struct hello {
  struct term_slice pid;
  struct term_slice bytes;
  struct term_slice roll;
};

static bool
read_hello(struct instance *instance, const struct dist_peer *peer,
           struct holt_etf_reader *reader, uint32_t more, struct hello *hello)
{
  struct term_slice name;
  struct term_pid pid;
  bool ok = term_read_term(reader, &hello->pid) &&
            term_is_pid(hello->pid, &pid) && term_read_atom(reader, &name) &&
            term_read_binary(reader, &hello->bytes) &&
            read_nodes(instance, reader) &&
            term_slice_is(name, instance->name) && dist_peer_owns(peer, &pid);
  for (uint32_t i = 0; i < more && ok; i++) {
    struct term_slice ignored;
    ok = term_read_term(reader, i == 0 ? &hello->roll : &ignored);
  }
  return ok && term_read_end(reader);
}

static bool
take_hello(struct instance *instance, struct dist_peer *peer,
           struct holt_etf_reader *reader, uint32_t more)
{
  struct hello hello = { .roll = { 0 } };
  if (!read_hello(instance, peer, reader, more, &hello)) {
    return false;
  }
  if (hello.roll.size > 0) {
    (void)hear_roll(instance, peer, hello.roll);
  }
  if (!may_meet(instance, peer)) {
    send_roll(instance, peer, hello.pid); /* It may not know. */
    return true;
  }
  struct link *link = link_of(instance, peer);
  if (link == NULL) {
    link = link_add(instance, peer);
  }
  if (link == NULL) {
    return true;
  }
  const struct holt_time time = now(instance);
  const struct holt_member member = member_of(instance, dist_peer_node(peer));
  inbox_finish(&instance->inbox, &time);
  uint32_t id;
  const int rv =
    holt_replica_hello(instance->replica, &member, hello.bytes.bytes,
                       hello.bytes.size, &time, &id);
  if (rv == 0) {
    link->peer = id;
    link->known = true;
    link->refused = false;
    link_bind(instance, link, hello.pid);
  } else {
    link_refused(instance, link, rv);
  }
  return true;
}

bool
instance_message(struct instance *instance, const struct dist_message *message)
{
  struct holt_etf_reader reader = term_reader(message->payload);
  struct term_slice header;
  struct term_slice body;
  uint32_t arity;
  bool ok = term_read_tuple_any(&reader, &arity);
  if (ok && arity == 3 && term_read_atom_is(&reader, "holt_data")) {
    ok = term_read_binary(&reader, &header) &&
         term_read_binary(&reader, &body) && term_read_end(&reader);
    if (ok) {
      const struct holt_time time = now(instance);
      inbox_take(&instance->inbox, header, body, &time, INSTANCE_SLICE_ROWS);
    }
  } else if (ok && arity >= HELLO_ARITY &&
             term_read_atom_is(&reader, "holt_hello")) {
    ok = take_hello(instance, message->peer, &reader, arity - HELLO_ARITY);
  } else if (ok && arity == 3 && term_read_atom_is(&reader, "holt_members")) {
    ok = take_members(instance, message->peer, &reader);
  } else if (ok && arity == 2 && term_read_atom_is(&reader, "holt_leave")) {
    ok = take_leave(instance, message->peer, &reader);
  } else if (ok && arity == 2 && term_read_atom_is(&reader, "holt_nodes")) {
    ok = read_nodes(instance, &reader) && term_read_end(&reader);
  } else {
    ok = false;
  }
  if (ok) {
    touch(instance);
  }
  return ok;
}

/*--------------------------------------------------------------------
 * Effects */

static void
put_nodes(const struct instance *instance, struct term_writer *writer)
{
  const size_t opened = term_open_list(writer);
  uint32_t count = 0;
  for (size_t i = 0; i < instance->links_count && count < NODES_MAX; i++) {
    if (instance->links[i].pid != NULL) {
      term_put_atom(writer, dist_peer_node(instance->links[i].node));
      count++;
    }
  }
  term_close_list(writer, opened, count);
}

static int
send_hello(struct instance *instance, struct link *link,
           const struct holt_effect *effect)
{
  struct term_writer writer;
  term_writer_init(&writer, &instance->message_mem, 0);
  const struct term_slice roll = roll_term(&instance->roll);
  term_put_tuple(&writer, HELLO_ARITY + (roll.size > 0 ? 1 : 0));
  term_put_atom(&writer, "holt_hello");
  dist_pid_encode(&writer, instance->dist, instance->process, 0);
  term_put_atom(&writer, instance->name);
  term_put_binary(&writer, effect->bytes, effect->size);
  put_nodes(instance, &writer);
  term_put_slice(&writer, roll);
  int rv = writer.error;
  if (rv == 0) {
    const struct term_slice payload = term_writer_slice(&writer);
    rv = dist_send_to_name(link->node, instance->process,
                           instance->process_name, &payload, 1);
  }
  term_writer_deinit(&writer);
  return rv;
}

/* {holt_data, Header, Body}: the same head for each, the body as it is. */
static int
send_data(struct link *link, const struct holt_target *target,
          const struct holt_effect *effect)
{
  static const uint8_t tuple[] = { 104, 3,   119, 9,   'h', 'o',
                                   'l', 't', '_', 'd', 'a', 't',
                                   'a', 109, 0,   0,   0,   HOLT_HEADER_BYTES };
  if (link->pid == NULL) {
    return HOLT_ERR_BUSY;
  }
  const uint8_t binary[] = { 109, (uint8_t)(effect->size >> 24),
                             (uint8_t)(effect->size >> 16),
                             (uint8_t)(effect->size >> 8),
                             (uint8_t)effect->size };
  const struct term_slice parts[] = {
    term_slice(tuple, sizeof tuple),
    term_slice(target->header, HOLT_HEADER_BYTES),
    term_slice(binary, sizeof binary),
    term_slice(effect->bytes, effect->size),
  };
  return dist_send_to_pid(link->node, term_slice(link->pid, link->pid_size),
                          parts, sizeof parts / sizeof parts[0]);
}

/* This member owns no processes, so there are no conflicts to tell of. */
static void
perform(struct instance *instance, const struct holt_effect *effect,
        const struct holt_time *time)
{
  for (size_t i = 0; i < effect->target_count; i++) {
    const struct holt_target *const target = &effect->targets[i];
    struct link *const link = link_of_peer(instance, target->peer);
    int rv = HOLT_ERR_DEAD;
    if (link != NULL) {
      rv = effect->type == HOLT_EFFECT_HELLO
             ? send_hello(instance, link, effect)
             : send_data(link, target, effect);
    }
    if (rv != 0) {
      holt_replica_peer_busy(instance->replica, target->peer, time);
    }
  }
}

static void
timer_fired(uv_timer_t *timer)
{
  touch(timer->data);
}

/* A slice of what waits; when that is no half message, one thing that the
 * replica wants done. */
static bool
work(struct turn_job *job)
{
  struct instance *const instance = list_thing(job, struct instance, job);
  const struct holt_time time = now(instance);
  const bool waits = inbox_work(&instance->inbox, &time, INSTANCE_SLICE_ROWS);
  if (inbox_is_amid(&instance->inbox)) {
    return true; /* The replica is asked when it has seen all of it. */
  }
  struct holt_effect effect;
  holt_replica_poll(instance->replica, &time, &effect);
  if (effect.type != HOLT_EFFECT_NONE) {
    perform(instance, &effect, &time);
    return true;
  }
  if (effect.timeout_ms == 0 || waits) {
    return true;
  }
  /* While goodbyes wait for a connection it asks to be asked again soon. */
  instance->quiet = effect.timeout_ms > GOODBYE_RETRY_MS;
  (void)uv_timer_start(&instance->timer, timer_fired, effect.timeout_ms, 0);
  return false;
}

/*--------------------------------------------------------------------
 * Looking inside */

const char *
instance_name(const struct instance *instance)
{
  return instance->name;
}

const char *
instance_process_name(const struct instance *instance)
{
  return instance->process_name;
}

struct holt_replica *
instance_replica(const struct instance *instance)
{
  return instance->replica;
}

bool
instance_is_unique(const struct instance *instance)
{
  return (instance->policy & 0xffu) == (HOLT_POLICY_UNIQUE_KEEP_NEWEST & 0xffu);
}

struct holt_mem *
instance_mem(struct instance *instance)
{
  return &instance->mem;
}

size_t
instance_key_bytes_max(const struct instance *instance)
{
  return instance->tuning.key_bytes_max;
}

size_t
instance_queued(const struct instance *instance)
{
  return instance->inbox.count;
}
