/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds what.
 *
 * A vector says which version of each actor its sender holds, and of the
 * sender's own how far it has been streamed.  So whoever lacks something learns
 * that it exists: what was lost on the way, and what it cannot hear itself.  It
 * is sent every vector_interval_ms, and soon after somebody came or went.
 *
 * Equal versions mean equal rows.  The fingerprint checks it, but for the bytes
 * of keys and values: where it differs somebody's memory is wrong, and a copy
 * that differs from its actor is had anew from that. */
#include "invariant.h"
#include "state.h"

static const struct holt_hash_seed digest_seed = {
  .k0 = UINT64_C(0x686f6c742d766563),
  .k1 = UINT64_C(0x2d64696765737431)
};

/* Sum over all members that are present, ourselves among them; 0 while a copy
 * is between two versions. */
uint64_t
holt__digest(const struct holt_replica *replica)
{
  uint64_t digest = 1;
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    if (!holt_present(actor) || actor->gone) {
      continue;
    }
    if (actor->dirty) {
      return 0;
    }
    const uint64_t state =
      holt_hash_mix2(&digest_seed, actor->version, actor->fingerprint);
    digest += holt_hash_mix2(&digest_seed, actor->id, state);
  }
  return digest == 0 ? 1 : digest;
}

bool
holt_replica_in_sync(const struct holt_replica *replica)
{
  const uint64_t digest = holt__digest(replica);
  if (digest == 0) {
    return false;
  }
  for (const struct holt_peer *peer = replica->peers; peer != NULL;
       peer = peer->next) {
    const bool waits = peer->missing && !peer->up;
    if (waits || (peer->up && (peer->digest != digest || peer->lost ||
                               peer->acked != replica->self->version))) {
      return false;
    }
  }
  return true;
}

/*--------------------------------------------------------------------
 * Sending */

static bool
told(const struct holt_replica *replica, const struct holt_actor *actor)
{
  return actor != replica->self && !actor->gone;
}

static int
put_item(struct holt_replica *replica, const struct holt_actor *actor)
{
  /* Between two versions there is nothing to be had of it, but it is told who
   * reaches it, and for how long nobody has. */
  const bool none = actor->dirty;
  const bool absent = !holt_present(actor);
  const struct holt_vector_item item = {
    .actor = actor->id,
    .connected = holt_connected(actor),
    .absent = absent,
    .absent_ms =
      absent ? replica->mono_ms - actor->presence.absent_since_ms : 0,
    .version = none ? 0 : actor->version,
    .fingerprint = none ? 0 : actor->fingerprint
  };
  return holt_vector_item_encode(&replica->out, &item);
}

/* The actors from peer->vector_slot on, in turn, as many as there is room
 * for. */
static size_t
items_count(const struct holt_replica *replica)
{
  size_t count = 0;
  for (const struct holt_actor *actor = replica->rows.actor_list; actor != NULL;
       actor = actor->next) {
    count += told(replica, actor) ? 1 : 0;
  }
  return count < HOLT_VECTOR_ITEMS_MAX - 1 ? count : HOLT_VECTOR_ITEMS_MAX - 1;
}

static void
put_items(struct holt_replica *replica, struct holt_peer *peer, size_t count)
{
  const struct holt_rows *const rows = &replica->rows;
  uint32_t slot = peer->vector_slot;
  while (count > 0) {
    slot = slot + 1 < rows->slot_capacity ? slot + 1 : 0;
    const struct holt_actor *const actor = rows->slots[slot];
    if (actor != NULL && told(replica, actor)) {
      (void)put_item(replica, actor);
      count--;
    }
  }
  peer->vector_slot = slot;
}

bool
holt__vector_send(struct holt_replica *replica, struct holt_peer *peer,
                  struct holt_effect *effect, const struct holt_time *now)
{
  const size_t count = items_count(replica);
  const struct holt_vector vector = { .wall_ms = now->wall_ms,
                                      .digest = holt__digest(replica),
                                      .sent = peer->lost ? 0 : peer->cursor,
                                      .count = count + 1 };
  holt_buf_clear(&replica->out);
  (void)holt_vector_encode(&replica->out, &vector);
  (void)put_item(replica, replica->self);
  put_items(replica, peer, count);
  if (!holt__send(replica, peer, effect, LAST_VECTOR, now->mono_ms)) {
    return false;
  }
  peer->vector_at_ms = now->mono_ms + replica->tuning.vector_interval_ms;
  return true;
}

/*--------------------------------------------------------------------
 * Applying */

/* The sender's own rows. */
static void
own_item(struct holt_replica *replica, struct holt_peer *peer,
         const struct holt_vector *vector, const struct holt_vector_item *item,
         struct holt_actor *actor, uint64_t now_ms)
{
  if (actor->torn) {
    holt__repair_ask(replica, peer, actor->id, item->version, now_ms);
  } else if (vector->sent > actor->cursor) {
    holt__report_gap(replica, peer, actor, now_ms);
  }
}

/* Equal versions, other rows.  Whoever is wrong will hear it of the actor
 * itself; what others say of it is only counted, or one bad copy would have all
 * good ones had anew. */
static void
diverged(struct holt_replica *replica, struct holt_peer *peer,
         struct holt_actor *actor, uint64_t now_ms)
{
  replica->counters.diverged++;
  if (peer->actor == actor->id) {
    actor->version = 0;
    actor->torn = true;
    actor->dirty = true;
    holt__repair_ask(replica, peer, actor->id, HOLT_SEQ_MAX, now_ms);
  }
}

/* We hear an actor itself, or others tell us of it. */
static void
apply_item(struct holt_replica *replica, struct holt_peer *peer,
           const struct holt_vector *vector,
           const struct holt_vector_item *item, uint64_t now_ms)
{
  struct holt_actor *const actor = holt_rows_actor(&replica->rows, item->actor);
  if (actor == replica->self) {
    return; /* It cannot know more of us than we do. */
  }
  if (actor == NULL) {
    /* Only who hears it itself knows that it is not of the past. */
    if (item->connected && item->actor != peer->actor) {
      holt__repair_ask(replica, peer, item->actor, item->version, now_ms);
    }
    return;
  }
  if (actor->gone) {
    return;
  }
  if (item->actor != peer->actor && !holt_connected(actor)) {
    holt__liveness_vector(replica, peer, item, actor, now_ms);
  }
  const bool equal = !actor->dirty && item->version == actor->version;
  if (equal && item->fingerprint != actor->fingerprint) {
    diverged(replica, peer, actor, now_ms);
  } else if (item->actor == peer->actor) {
    own_item(replica, peer, vector, item, actor, now_ms);
  } else if (actor->presence.follow != 0) {
    holt__follow_vector(replica, actor, item->version, now_ms);
  } else if (!holt_connected(actor) && (item->version > actor->version ||
                                        (actor->dirty && item->version > 0 &&
                                         item->version == actor->version))) {
    holt__repair_ask(replica, peer, item->actor, item->version, now_ms);
  }
}

int
holt__vector_apply(struct holt_replica *replica,
                   const struct holt_message *message, struct holt_peer *peer,
                   const struct holt_time *now)
{
  const struct holt_vector *const vector = &message->u.vector;
  size_t offset = message->items_offset;
  holt__peer_clock(replica, peer, vector->wall_ms, now);
  peer->digest = vector->digest;
  for (size_t i = 0; i < vector->count; i++) {
    struct holt_vector_item item;
    holt_message_vector(message, &offset, &item);
    apply_item(replica, peer, vector, &item, now->mono_ms);
  }
  return 0;
}
