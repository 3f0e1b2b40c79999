/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <string.h>

/* A map or a list that is being written. */
struct shelf {
  struct term_writer *writer;
  size_t opened;
  uint32_t count;
};

static struct shelf
open_map(struct term_writer *writer)
{
  return (struct shelf){ .writer = writer, .opened = term_open_map(writer) };
}

static void
close_map(const struct shelf *map)
{
  term_close_map(map->writer, map->opened, map->count);
}

static struct shelf
open_list(struct term_writer *writer)
{
  return (struct shelf){ .writer = writer, .opened = term_open_list(writer) };
}

static void
close_list(const struct shelf *list)
{
  term_close_list(list->writer, list->opened, list->count);
}

/* A key; its value follows. */
static void
put_key(struct shelf *map, const char *key)
{
  term_put_atom(map->writer, key);
  map->count++;
}

static void
put_number(struct shelf *map, const char *key, uint64_t value)
{
  put_key(map, key);
  term_put_uint(map->writer, value);
}

static void
put_bool(struct shelf *map, const char *key, bool value)
{
  put_key(map, key);
  term_put_bool(map->writer, value);
}

static void
put_member(struct term_writer *writer, const struct holt_member *member)
{
  term_put_tuple(writer, 2);
  term_put_atom_bytes(writer, member->name, member->name_size);
  term_put_atom_bytes(writer, member->node, member->node_size);
}

static void
put_refused(struct term_writer *writer, const uint64_t refused[HOLT_ERRORS_MAX])
{
  struct shelf map = open_map(writer);
  for (int i = 1; i < HOLT_ERRORS_MAX; i++) {
    if (refused[i] > 0) {
      put_number(&map, holt_error_name(-i), refused[i]);
    }
  }
  close_map(&map);
}

static void
put_atom(struct shelf *map, const char *key, const char *value)
{
  put_key(map, key);
  term_put_atom(map->writer, value);
}

/*--------------------------------------------------------------------
 * Members and peers */

/* The member that forwards this actor's rows to us, or `undefined'. */
static void
put_voucher(struct shelf *map, const struct holt_actor_info *actor)
{
  put_key(map, "voucher");
  if (actor->voucher != NULL) {
    put_member(map->writer, actor->voucher);
  } else {
    term_put_atom(map->writer, "undefined");
  }
}

static bool
is_present(const struct holt_actor_info *actor)
{
  return actor->sight != HOLT_SIGHT_ABSENT;
}

static void
gather_member(void *user, const struct holt_actor_info *actor)
{
  struct shelf *const list = user;
  if (is_present(actor)) {
    put_member(list->writer, &actor->member);
    list->count++;
  }
}

void
describe_members(struct term_writer *writer, struct instance *instance)
{
  struct shelf list = open_list(writer);
  holt_replica_actors(instance_replica(instance), gather_member, &list);
  close_list(&list);
}

static const char *
state_of_actor(const struct holt_actor_info *actor)
{
  if (is_present(actor)) {
    return actor->sight == HOLT_SIGHT_SUSPECT ? "suspect" : "present";
  }
  return actor->paused ? "paused" : "absent";
}

static const char *
contact_of_actor(const struct holt_actor_info *actor)
{
  if (actor->self) {
    return "self";
  }
  if (actor->sight == HOLT_SIGHT_CONNECTED) {
    return "direct";
  }
  return actor->sight == HOLT_SIGHT_VOUCHED ? "vouched" : "none";
}

static void
gather_any_member(void *user, const struct holt_actor_info *actor)
{
  struct shelf *const list = user;
  struct shelf map = open_map(list->writer);
  put_key(&map, "member");
  put_member(map.writer, &actor->member);
  put_number(&map, "actor", actor->actor);
  put_atom(&map, "state", state_of_actor(actor));
  put_atom(&map, "contact", contact_of_actor(actor));
  put_voucher(&map, actor);
  put_number(&map, "absent_ms", actor->absent_ms);
  put_bool(&map, "shown", actor->shown);
  put_number(&map, "names", actor->rows);
  put_number(&map, "processes", actor->processes);
  put_number(&map, "version", actor->version);
  close_map(&map);
  list->count++;
}

void
describe_all_members(struct term_writer *writer, struct instance *instance)
{
  struct shelf list = open_list(writer);
  holt_replica_actors(instance_replica(instance), gather_any_member, &list);
  close_list(&list);
}

static const char *
state_of_peer(const struct holt_peer_info *peer)
{
  if (!peer->up) {
    return "connecting";
  }
  return peer->busy ? "busy" : "up";
}

static void
put_peer_numbers(struct shelf *map, const struct holt_peer_info *peer)
{
  put_number(map, "acked", peer->acked);
  put_number(map, "version", peer->version);
  put_number(map, "in_flight_bytes", peer->inflight_bytes);
  put_number(map, "protocol", peer->protocol);
  put_key(map, "clock_ms");
  term_put_int(map->writer, peer->clock_ms);
  put_bool(map, "in_sync", peer->in_sync);
  put_key(map, "refused");
  put_refused(map->writer, peer->refused);
}

/* The others are nodes that may run the instance, and have not said so. */
static void
gather_greeted(void *user, const struct holt_peer_info *peer)
{
  struct shelf *const list = user;
  if (peer->protocol == 0) {
    return;
  }
  struct shelf map = open_map(list->writer);
  put_key(&map, "member");
  put_member(map.writer, &peer->member);
  put_atom(&map, "state", state_of_peer(peer));
  put_number(&map, "lag", peer->version - peer->acked);
  put_peer_numbers(&map, peer);
  close_map(&map);
  list->count++;
}

void
describe_peers(struct term_writer *writer, struct instance *instance)
{
  struct shelf list = open_list(writer);
  holt_replica_peers(instance_replica(instance), gather_greeted, &list);
  close_list(&list);
}

/*--------------------------------------------------------------------
 * A key */

static void
put_row(struct term_writer *writer, const struct holt_explained *row)
{
  const struct holt_view *const view = &row->view;
  struct shelf map = open_map(writer);
  put_number(&map, "actor", view->actor);
  put_key(&map, "member");
  put_member(writer, &row->member);
  put_number(&map, "birth", view->birth);
  put_number(&map, "seq", view->seq);
  put_number(&map, "stamp", view->stamp);
  put_key(&map, "pid");
  lookup_put_pid(writer, view);
  put_key(&map, "value");
  lookup_put_value(writer, view);
  put_bool(&map, "standby", view->standby);
  put_bool(&map, "early", view->early);
  put_bool(&map, "visible", row->visible);
  put_bool(&map, "winner", row->winner);
  close_map(&map);
}

void
describe_key(struct term_writer *writer, struct instance *instance,
             const uint8_t *key, size_t key_size)
{
  struct holt_explained rows[HOLT_EXPLAIN_ROWS_MAX];
  struct shelf list = open_list(writer);
  const size_t count = holt_replica_explain(
    instance_replica(instance), key, key_size, rows, HOLT_EXPLAIN_ROWS_MAX);
  for (; list.count < count && list.count < HOLT_EXPLAIN_ROWS_MAX;
       list.count++) {
    put_row(writer, &rows[list.count]);
  }
  close_list(&list);
}

/*--------------------------------------------------------------------
 * An instance */

static void
gather_self(void *user, const struct holt_actor_info *actor)
{
  struct shelf *const map = user;
  if (actor->self) {
    put_number(map, "actor", actor->actor);
    put_number(map, "version", actor->version);
    put_key(map, "member");
    put_member(map->writer, &actor->member);
  }
}

static const char *
sight_of_actor(const struct holt_actor_info *actor)
{
  if (actor->self) {
    return "self";
  }
  switch (actor->sight) {
  case HOLT_SIGHT_CONNECTED:
    return "connected";
  case HOLT_SIGHT_VOUCHED:
    return "vouched";
  case HOLT_SIGHT_SUSPECT:
    return "suspect";
  case HOLT_SIGHT_ABSENT:
    break;
  }
  return "absent";
}

static void
gather_actor(void *user, const struct holt_actor_info *actor)
{
  struct shelf *const list = user;
  struct shelf map = open_map(list->writer);
  put_number(&map, "actor", actor->actor);
  put_key(&map, "member");
  put_member(map.writer, &actor->member);
  put_number(&map, "version", actor->version);
  put_number(&map, "cursor", actor->cursor);
  put_number(&map, "fingerprint", actor->fingerprint);
  put_number(&map, "rows", actor->rows);
  put_number(&map, "processes", actor->processes);
  put_atom(&map, "sight", sight_of_actor(actor));
  put_voucher(&map, actor);
  put_number(&map, "absent_ms", actor->absent_ms);
  put_number(&map, "reached", actor->reached);
  put_bool(&map, "shown", actor->shown);
  put_bool(&map, "paused", actor->paused);
  put_bool(&map, "repairing", actor->repairing);
  close_map(&map);
  list->count++;
}

static void
gather_peer(void *user, const struct holt_peer_info *peer)
{
  struct shelf *const list = user;
  struct shelf map = open_map(list->writer);
  put_number(&map, "peer", peer->peer);
  put_key(&map, "member");
  put_member(map.writer, &peer->member);
  put_bool(&map, "up", peer->up);
  put_bool(&map, "busy", peer->busy);
  put_number(&map, "cursor", peer->cursor);
  put_peer_numbers(&map, peer);
  close_map(&map);
  list->count++;
}

static void
put_counters(struct shelf *map, const struct holt_counters *counters)
{
#define PUT_COUNTER(name) put_number(map, #name, counters->name);
  HOLT_COUNTERS(PUT_COUNTER)
#undef PUT_COUNTER
}

void
describe_instance(struct term_writer *writer, struct instance *instance)
{
  const struct holt_replica *const replica = instance_replica(instance);
  struct holt_counters counters;
  holt_replica_counters(replica, &counters);
  struct shelf map = open_map(writer);
  put_key(&map, "name");
  term_put_atom(writer, instance_name(instance));
  put_atom(&map, "keys", instance_is_unique(instance) ? "unique" : "duplicate");
  holt_replica_actors(replica, gather_self, &map);
  put_number(&map, "count", holt_replica_count_entries(replica));
  put_key(&map, "actors");
  struct shelf actors = open_list(writer);
  holt_replica_actors(replica, gather_actor, &actors);
  close_list(&actors);
  put_key(&map, "peers");
  struct shelf peers = open_list(writer);
  holt_replica_peers(replica, gather_peer, &peers);
  close_list(&peers);
  put_key(&map, "refused");
  put_refused(writer, counters.refused);
  put_bool(&map, "in_sync", holt_replica_in_sync(replica));
  put_counters(&map, &counters);
  put_number(&map, "queued", instance_queued(instance));
  put_number(&map, "memory_bytes", instance_mem(instance)->bytes);
  close_map(&map);
}

/*--------------------------------------------------------------------
 * Each instance, in short */

struct tally {
  uint64_t members; /* Present, this one included. */
  uint64_t vouched; /* Of them. */
  uint64_t suspect; /* Likewise. */
  uint64_t absent;
  uint64_t paused;
  uint64_t repairing;
  uint64_t peers; /* Up. */
  uint64_t lag;   /* The greatest. */
};

static void
tally_actor(void *user, const struct holt_actor_info *actor)
{
  struct tally *const tally = user;
  const bool present = is_present(actor);
  tally->members += present ? 1 : 0;
  tally->vouched += actor->sight == HOLT_SIGHT_VOUCHED ? 1 : 0;
  tally->suspect += actor->sight == HOLT_SIGHT_SUSPECT ? 1 : 0;
  tally->absent += present || actor->paused ? 0 : 1;
  tally->paused += !present && actor->paused ? 1 : 0;
  tally->repairing += actor->repairing ? 1 : 0;
}

static void
tally_peer(void *user, const struct holt_peer_info *peer)
{
  struct tally *const tally = user;
  const uint64_t lag = peer->version - peer->acked;
  tally->peers += peer->up ? 1 : 0;
  tally->lag = peer->up && lag > tally->lag ? lag : tally->lag;
}

static void
put_status(struct term_writer *writer, struct instance *instance)
{
  const struct holt_replica *const replica = instance_replica(instance);
  struct tally tally = { 0 };
  struct holt_counters counters;
  holt_replica_actors(replica, tally_actor, &tally);
  holt_replica_peers(replica, tally_peer, &tally);
  holt_replica_counters(replica, &counters);
  uint64_t refused = 0;
  for (int i = 1; i < HOLT_ERRORS_MAX; i++) {
    refused += counters.refused[i];
  }
  struct shelf map = open_map(writer);
  put_atom(&map, "instance", instance_name(instance));
  put_atom(&map, "keys", instance_is_unique(instance) ? "unique" : "duplicate");
  put_bool(&map, "in_sync", holt_replica_in_sync(replica));
  put_number(&map, "names", holt_replica_count_entries(replica));
  put_number(&map, "members", tally.members);
  put_number(&map, "vouched", tally.vouched);
  put_number(&map, "suspect", tally.suspect);
  put_number(&map, "absent", tally.absent);
  put_number(&map, "paused", tally.paused);
  put_number(&map, "peers", tally.peers);
  put_number(&map, "lag", tally.lag);
  put_number(&map, "repairing", tally.repairing);
  put_number(&map, "refused", refused);
  close_map(&map);
}

void
describe_status(struct term_writer *writer, const struct commands *commands)
{
  struct shelf list = open_list(writer);
  for (size_t i = 0; i < commands->instances_count; i++) {
    put_status(writer, commands->instances[i]);
    list.count++;
  }
  close_list(&list);
}

/*--------------------------------------------------------------------
 * The daemon */

static void
gather_node(void *user, struct dist_peer *peer)
{
  struct shelf *const list = user;
  term_put_atom(list->writer, dist_peer_node(peer));
  list->count++;
}

/* How long others had to wait: see turn.h. */
static void
put_loop(struct term_writer *writer, const struct turn *turn)
{
  struct shelf map = open_map(writer);
  put_number(&map, "turns", turn->turns);
  put_number(&map, "turns_long", turn->turns_long);
  put_number(&map, "turn_us_max", turn->turn_us_max);
  close_map(&map);
}

static void
put_network(struct term_writer *writer, const struct dist *dist)
{
  struct dist_counters counters;
  dist_counters(dist, &counters);
  struct shelf map = open_map(writer);
  put_number(&map, "accepted", counters.accepted);
  put_number(&map, "dialled", counters.dialled);
  put_number(&map, "up", counters.up);
  put_number(&map, "handshakes_failed", counters.handshakes_failed);
  put_number(&map, "wrong_cookies", counters.wrong_cookies);
  put_number(&map, "broken_peers", counters.broken_peers);
  put_number(&map, "slow_peers", counters.slow_peers);
  put_number(&map, "messages_in", counters.messages_in);
  put_number(&map, "messages_unknown", counters.messages_unknown);
  put_number(&map, "messages_out", counters.messages_out);
  put_number(&map, "messages_busy", counters.messages_busy);
  put_number(&map, "bytes_in", counters.bytes_in);
  put_number(&map, "bytes_out", counters.bytes_out);
  close_map(&map);
}

void
describe_node(struct term_writer *writer, const struct commands *commands)
{
  struct shelf map = open_map(writer);
  put_key(&map, "node");
  term_put_atom(writer, dist_name(commands->dist));
  put_key(&map, "version");
  term_put_text(writer, HOLT_VERSION);
  put_number(&map, "os_pid", (uint64_t)uv_os_getpid());
  put_number(&map, "creation", dist_creation(commands->dist));
  put_number(&map, "port", dist_port(commands->dist));
  put_number(&map, "uptime_ms", uv_now(commands->loop) - commands->started_ms);
  put_number(&map, "memory_bytes", commands->mem->bytes);
  put_key(&map, "nodes");
  struct shelf nodes = open_list(writer);
  dist_peers(commands->dist, gather_node, &nodes);
  close_list(&nodes);
  put_number(&map, "watches", commands->watches.count);
  put_key(&map, "network");
  put_network(writer, commands->dist);
  put_key(&map, "loop");
  put_loop(writer, commands->turn);
  put_key(&map, "instances");
  struct shelf instances = open_map(writer);
  for (size_t i = 0; i < commands->instances_count; i++) {
    put_key(&instances, instance_name(commands->instances[i]));
    describe_instance(writer, commands->instances[i]);
  }
  close_map(&instances);
  close_map(&map);
}
