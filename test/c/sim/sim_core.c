/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_core.h"

#include <inttypes.h>
#include <stdio.h>

static void
copy_fill(const struct holt_replica *replica, const struct holt_actor *actor,
          struct sim_copy *copy)
{
  *copy = (struct sim_copy){ .actor = actor,
                             .id = actor->id,
                             .version = actor->version,
                             .cursor = actor->cursor,
                             .fingerprint = actor->fingerprint,
                             .row_count = actor->row_count,
                             .creation = actor->creation,
                             .self = actor == replica->self,
                             .sight = actor->presence.sight,
                             .connected = holt_connected(actor),
                             .present = holt_present(actor),
                             .paused = actor->presence.paused,
                             .gone = actor->gone,
                             .follow = actor->presence.follow,
                             .reached = actor->presence.reached,
                             .shown = actor->shown,
                             .dirty = actor->dirty || actor->gone,
                             .torn = actor->torn || actor->gone,
                             .oldest = actor->rule == HOLT_RULE_OLDEST };
}

bool
sim_core_copy(const struct holt_replica *replica, const struct holt_actor **at,
              struct sim_copy *copy)
{
  *at = *at == NULL ? replica->rows.actor_list : (*at)->next;
  if (*at == NULL) {
    return false;
  }
  copy_fill(replica, *at, copy);
  return true;
}

bool
sim_core_copy_of(const struct holt_replica *replica, uint64_t id,
                 struct sim_copy *copy)
{
  const struct holt_actor *const actor = holt_rows_actor(&replica->rows, id);
  if (actor == NULL) {
    return false;
  }
  copy_fill(replica, actor, copy);
  return true;
}

bool
sim_core_row(const struct holt_replica *replica, const struct sim_copy *copy,
             uintptr_t *at, struct sim_row *row)
{
  const struct holt_rows *const rows = &replica->rows;
  const uint32_t next = *at == 0 ? copy->actor->rows_head
                                 : holt_row_at(rows, (uint32_t)*at)->seq_next;
  *at = next;
  if (next == 0) {
    return false;
  }
  const struct holt_row *const found = holt_row_at(rows, next);
  const struct holt_local *const local = holt_row_local(rows, found);
  holt_row_spec_of(rows, found, &row->spec);
  row->stale = holt_row_stale(rows, found);
  row->dead = local != NULL && local->dead;
  return true;
}

/* As c_src/core/rows.h tells it. */
bool
sim_core_outranks(const struct sim_rank *left, const struct sim_rank *right)
{
  const bool left_waits = (left->flags & HOLT_ROW_STANDBY) != 0;
  const bool right_waits = (right->flags & HOLT_ROW_STANDBY) != 0;
  const bool left_early = (left->flags & HOLT_ROW_EARLY) != 0;
  const bool right_early = (right->flags & HOLT_ROW_EARLY) != 0;
  bool greater = left->birth > right->birth;
  if (left->stamp != right->stamp) {
    greater = left->stamp > right->stamp;
  } else if (left->actor != right->actor) {
    greater = left->actor > right->actor;
  }
  if (left_waits != right_waits) {
    return right_waits;
  }
  if (left_waits) {
    return !greater;
  }
  if (left->oldest != right->oldest) {
    return right->oldest;
  }
  if (left->oldest) {
    return !greater;
  }
  if (left_early != right_early) {
    return right_early;
  }
  return left_early ? !greater : greater;
}

struct sim_rank
sim_core_rank_of(const struct sim *sim, uint64_t actor, uint64_t birth,
                 uint64_t stamp, uint8_t flags)
{
  const struct sim_log *const log = sim_log_find(sim, actor);
  return (struct sim_rank){ .actor = actor,
                            .oldest =
                              log != NULL && sim->options.oldest[log->node],
                            .birth = birth,
                            .stamp = stamp,
                            .flags = flags };
}

struct sim_rank
sim_core_rank(const struct sim *sim, const struct holt_view *view)
{
  const uint8_t flags = (uint8_t)((view->standby ? HOLT_ROW_STANDBY : 0) |
                                  (view->early ? HOLT_ROW_EARLY : 0));
  return sim_core_rank_of(sim, view->actor, view->birth, view->stamp, flags);
}

uint64_t
sim_core_version(const struct holt_replica *replica)
{
  return replica->self->cursor == replica->self->version
           ? replica->self->version
           : UINT64_MAX;
}

size_t
sim_core_actors(const struct holt_replica *replica)
{
  return replica->rows.actor_count;
}

size_t
sim_core_peers(const struct holt_replica *replica)
{
  return replica->peer_count;
}

bool
sim_core_busy(const struct holt_replica *replica)
{
  return holt__background_waits(replica) || replica->conflicts != NULL;
}

bool
sim_core_greets(const struct holt_replica *replica)
{
  const struct holt_peer *peer = replica->peers;
  while (peer != NULL && (peer->confirmed || peer->hello_count < 3)) {
    peer = peer->next;
  }
  return peer != NULL;
}

bool
sim_core_contested(const struct holt_replica *replica)
{
  return replica->soon.first != NULL || replica->later.first != NULL;
}

bool
sim_core_settles(const struct holt_replica *replica)
{
  return replica->rows.settling > 0;
}

bool
sim_core_receiver(const struct holt_replica *replica, uint32_t id,
                  struct sim_receiver *receiver)
{
  const struct holt_peer *const peer = holt__peer_by_id(replica, id);
  if (peer == NULL) {
    return false;
  }
  *receiver =
    (struct sim_receiver){ .actor = peer->actor,
                           .up = peer->up,
                           .idle = peer->window.bytes == 0 && !peer->lost &&
                                   peer->cursor == replica->self->version,
                           .acked = peer->acked };
  return true;
}

/*--------------------------------------------------------------------
 * Deaths */

int
sim_core_death_at(const struct holt_replica *replica, uint64_t seq,
                  uint64_t *birth)
{
  const struct holt_deaths *const deaths = &replica->deaths;
  const size_t index = holt_deaths_after(deaths, seq - 1);
  if (index < deaths->count && holt_deaths_get(deaths, index)->at == seq) {
    *birth = holt_death_birth(holt_deaths_get(deaths, index));
    return 1;
  }
  return deaths->base < seq ? 0 : -1;
}

bool
sim_core_death_noted(const struct holt_replica *replica, uint64_t birth)
{
  const struct holt_deaths *const deaths = &replica->deaths;
  for (size_t i = 0; i < deaths->count; i++) {
    if (holt_death_birth(holt_deaths_get(deaths, i)) == birth) {
      return true;
    }
  }
  return false;
}

bool
sim_core_born(const struct holt_replica *replica, uint64_t birth)
{
  return holt_rows_born(&replica->rows, replica->self, birth) != 0;
}

bool
sim_core_own(const struct holt_replica *replica, uint64_t birth,
             struct holt_row_spec *spec)
{
  const uint32_t row = holt_rows_born(&replica->rows, replica->self, birth);
  if (row != 0) {
    holt_row_spec_of(&replica->rows, holt_row_at(&replica->rows, row), spec);
  }
  return row != 0;
}

bool
sim_core_visible(const struct holt_replica *replica, uint64_t id,
                 uint64_t birth, struct holt_row_spec *spec)
{
  const struct holt_rows *const rows = &replica->rows;
  const struct holt_actor *const actor = holt_rows_actor(rows, id);
  const uint32_t row = actor == NULL ? 0 : holt_rows_born(rows, actor, birth);
  if (row == 0 || !holt_row_visible(rows, holt_row_at(rows, row))) {
    return false;
  }
  holt_row_spec_of(rows, holt_row_at(rows, row), spec);
  return true;
}

size_t
sim_core_deaths(const struct holt_replica *replica)
{
  return replica->deaths.count;
}

void
sim_core_trim_deaths(struct holt_replica *replica, size_t count)
{
  struct holt_deaths *const deaths = &replica->deaths;
  for (; count > 0; count--) {
    deaths->base = holt_deaths_get(deaths, 0)->at;
    deaths->start = (deaths->start + 1) & (deaths->capacity - 1);
    deaths->count--;
  }
}

/*--------------------------------------------------------------------
 * Presence */

bool
sim_core_vouch(const struct sim_copy *copy, unsigned number,
               struct sim_vouch *vouch)
{
  const struct holt_vouch_kept *const kept =
    &copy->actor->presence.vouches[number];
  *vouch = (struct sim_vouch){ .peer = kept->peer,
                               .seen_ms = kept->seen_ms,
                               .version = kept->version };
  return kept->peer != 0;
}

const char *
sim_core_sight(enum holt_sight sight)
{
  switch (sight) {
  case HOLT_SIGHT_ABSENT:
    return "absent";
  case HOLT_SIGHT_SUSPECT:
    return "a suspect";
  case HOLT_SIGHT_VOUCHED:
    return "vouched for";
  default:
    return "connected";
  }
}

uint64_t
sim_core_actor_in(const uint8_t *bytes, size_t size)
{
  uint64_t actor = 0;
  for (size_t i = 1; i < 9 && size >= 9; i++) {
    actor = actor << 8 | bytes[i];
  }
  return actor;
}

bool
sim_core_is_end(const uint8_t *bytes, size_t size, uint64_t *at)
{
  if (size < 11) {
    return false;
  }
  struct holt_reader reader;
  holt_reader_init(&reader, bytes + 9, size - 9);
  *at = holt_read_varint(&reader);
  const bool empty = holt_read_u8(&reader) == 0; /* Then flags, and how far. */
  (void)holt_read_u8(&reader);
  return empty && holt_read_varint(&reader) == 0 && reader.error == 0;
}

uint64_t
sim_core_number_in(const uint8_t *bytes, size_t size)
{
  struct holt_reader reader;
  holt_reader_init(&reader, bytes + 1, size - 1);
  return holt_read_varint(&reader);
}

bool
sim_core_header(const struct holt_replica *replica, uint32_t id,
                uint8_t header[HOLT_HEADER_BYTES])
{
  const struct holt_peer *const peer = holt__peer_by_id(replica, id);
  if (peer == NULL || !peer->up) {
    return false;
  }
  const struct holt_header made = { .version = HOLT_PROTOCOL_MAX,
                                    .to_session = peer->remote_session,
                                    .from_session = peer->session };
  holt_header_encode(header, &made);
  return true;
}

/*--------------------------------------------------------------------
 * Messages */

const char *
sim_core_kind(uint8_t kind)
{
  switch (kind) {
  case HOLT_PACKET_DELTA:
    return "delta";
  case HOLT_PACKET_ACK:
    return "ack";
  case HOLT_PACKET_VECTOR:
    return "vector";
  case HOLT_PACKET_REQUEST:
    return "request";
  case HOLT_PACKET_REPAIR:
    return "repair";
  case HOLT_PACKET_LOST:
    return "lost";
  case HOLT_PACKET_GOODBYE:
    return "goodbye";
  case HOLT_PACKET_ASK:
    return "ask";
  case HOLT_PACKET_VOUCH:
    return "vouch";
  case HOLT_PACKET_PROBE:
    return "probe";
  case HOLT_PACKET_ECHO:
    return "echo";
  case HOLT_PACKET_REACHED:
    return "reached";
  default:
    return "something";
  }
}

void
sim_core_describe(const struct holt_message *message, char *text,
                  size_t text_size)
{
  if (message->kind == HOLT_PACKET_DELTA) {
    (void)snprintf(text, text_size, "delta %" PRIu64 "..%" PRIu64 "%s",
                   message->after, message->to, message->clean ? " clean" : "");
  } else if (message->kind == HOLT_PACKET_ACK) {
    (void)snprintf(text, text_size, "ack %" PRIu64 "%s", message->u.ack.cursor,
                   message->u.ack.gap ? " gap" : "");
  } else if (message->kind == HOLT_PACKET_REQUEST) {
    const struct holt_request *const request = &message->u.request;
    (void)snprintf(text, text_size,
                   "request %" PRIx64 " %" PRIx64 " base %" PRIu64
                   " after %" PRIu64,
                   request->actor >> 48, request->token >> 48, request->base,
                   request->after);
  } else if (message->kind == HOLT_PACKET_REPAIR) {
    (void)snprintf(text, text_size,
                   "repair %" PRIx64 " %" PRIx64 " base %" PRIu64 " %" PRIu64
                   "..%" PRIu64 " as of %" PRIu64 " notes %" PRIu64 "%s%s",
                   message->actor >> 48, message->token >> 48, message->base,
                   message->after, message->to, message->as_of, message->notes,
                   message->refused ? " refused" : "",
                   message->last ? " last" : "");
  } else {
    (void)snprintf(text, text_size, "%s",
                   sim_core_kind((uint8_t)message->kind));
  }
}

/*--------------------------------------------------------------------
 * Operations */

bool
sim_core_hello(const uint8_t *bytes, size_t size, uint64_t *actor,
               uint64_t *version)
{
  struct holt_hello hello;
  if (holt_hello_decode(bytes, size, &hello) != 0) {
    return false;
  }
  *actor = hello.actor;
  *version = hello.version;
  return true;
}

bool
sim_core_at_end(const struct holt_replica *replica,
                const struct holt_message *message)
{
  const struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, message->actor);
  return message->kind == HOLT_PACKET_DELTA && actor != NULL && actor->dirty &&
         actor->cursor == message->to;
}

uint64_t
sim_core_policy(const struct sim_options *options, unsigned at)
{
  if (options->duplicate) {
    return HOLT_POLICY_DUPLICATE;
  }
  if (options->custom) {
    return HOLT_POLICY_UNIQUE_CUSTOM;
  }
  return options->oldest[at] ? HOLT_POLICY_UNIQUE_KEEP_OLDEST
                             : HOLT_POLICY_UNIQUE_KEEP_NEWEST;
}

int
sim_core_register(struct holt_replica *replica, const struct holt_time *now,
                  const struct holt_row_spec *spec, uint64_t *seq)
{
  const struct holt_registration registration = {
    .key = spec->key,
    .value = spec->value,
    .key_size = spec->key_size,
    .value_size = spec->value_size,
    .id = spec->owner_id,
    .serial = spec->owner_serial,
    .flags = spec->flags,
    .replaces_actor = spec->replaces_actor,
    .replaces_birth = spec->replaces_birth,
  };
  return holt_replica_register(replica, now, &registration, seq);
}

void
sim_core_refused(struct holt_replica *replica,
                 const uint8_t header[HOLT_HEADER_BYTES], int error)
{
  holt_replica_refused(replica, header, HOLT_HEADER_BYTES, error);
}
