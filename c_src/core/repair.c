/* SPDX-License-Identifier: Apache-2.0 */
/* A repair, on the side of who asks for it.
 *
 * Our copy of an actor cannot be streamed to any more, or its actor is not
 * there to stream, and somebody holds a newer one.  serve.c tells what comes:
 * which of our rows still live, then the rows we lack, in order of seq.
 *
 * The first piece begins an epoch: all rows of the copy are stale.  The live
 * set confirms those that it names; those it passes over have died or moved on,
 * and stay in the view until that is known, so that no name is without its
 * holder in between; rows that come are of the new epoch; what is still stale
 * behind the last piece has died unseen.  Then the copy is the version that the
 * piece names.
 *
 *     copy      [ confirmed, stale | stale, from a repair cut short | new ]
 *     seq           up to base             beyond base             base ->
 *
 * Until then the copy is torn: rows of several versions, neither to be streamed
 * to nor told of.  Nothing of that is lost when the repair stalls: what has
 * come is true, and another repair, from the actor itself or from whoever holds
 * a version not older than anything in the copy, goes on from the same base. An
 * older version can only be had whole, from 0.
 *
 * A copy that is a version, which the holder has, too, needs no live set: its
 * rows stay, and those that come are added to them. */
#include <string.h>

#include "invariant.h"
#include "mutant.h"
#include "state.h"

/* Epochs that may pass without one being completed, before rows of the first
 * could be taken for rows of the next. */
#ifdef HOLT_VERIFY
#define EPOCHS_MAX 5u
#else
#define EPOCHS_MAX 250u
#endif

static struct holt_repair *
repair_find(const struct holt_replica *replica, uint64_t actor)
{
  struct holt_repair *repair = replica->repairs;
  while (repair != NULL && repair->actor_id != actor) {
    repair = repair->next;
  }
  return repair;
}

const struct holt_repair *
holt__repair_of(const struct holt_replica *replica,
                const struct holt_actor *actor)
{
  return repair_find(replica, actor->id);
}

static void
repair_free(struct holt_replica *replica, struct holt_repair *repair)
{
  struct holt_repair **link = &replica->repairs;
  while (*link != repair) {
    link = &(*link)->next;
  }
  *link = repair->next;
  holt_walk_stop(&replica->rows, &repair->walk);
  holt_mem_free(replica->mem, repair, sizeof *repair);
}

void
holt__repairs_end(struct holt_replica *replica, const struct holt_peer *peer,
                  const struct holt_actor *actor)
{
  struct holt_repair *next = replica->repairs;
  while (next != NULL) {
    struct holt_repair *const repair = next;
    next = repair->next;
    if ((peer == NULL || repair->peer == peer) &&
        (actor == NULL || repair->actor_id == actor->id)) {
      repair_free(replica, repair);
    }
  }
}

/* The repair of this token is over: who serves it should know. */
static void
tell_over(struct holt_peer *peer, uint64_t actor_id, uint64_t token)
{
  peer->over_due = true;
  peer->over_actor = actor_id;
  peer->over_token = token;
}

/* Nothing comes from there: try elsewhere, or later. */
static void
leave(struct holt_replica *replica, struct holt_repair *repair,
      uint64_t intervals, uint64_t now_ms)
{
  struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, repair->actor_id);
  if (actor != NULL) {
    actor->avoid_peer = repair->peer->id;
    /* Nobody else is asked while it is there itself. */
    const bool itself = repair->peer->actor == actor->id;
    actor->avoid_until_ms =
      now_ms + (itself ? 1u : intervals) * replica->tuning.vector_interval_ms;
    if (actor->presence.follow == repair->peer->id) {
      actor->presence.follow = 0;
    }
  }
  repair_free(replica, repair);
  if (actor != NULL) {
    holt__follow(replica, actor, now_ms);
  }
}

static void
give_up(struct holt_replica *replica, struct holt_repair *repair,
        uint64_t now_ms)
{
  leave(replica, repair, HOLT_STALL_INTERVALS, now_ms);
}

/* As many from others must not keep one from an actor itself waiting. */
static size_t
repairs_count(const struct holt_replica *replica, bool itself)
{
  size_t count = 0;
  for (const struct holt_repair *repair = replica->repairs; repair != NULL;
       repair = repair->next) {
    count += (repair->peer->actor == repair->actor_id) == itself ? 1 : 0;
  }
  return count;
}

void
holt__repair_ask(struct holt_replica *replica, struct holt_peer *peer,
                 uint64_t actor_id, uint64_t version, uint64_t now_ms)
{
  struct holt_actor *const actor = holt_rows_actor(&replica->rows, actor_id);
  const bool itself = peer->actor == actor_id;
  if (repair_find(replica, actor_id) != NULL ||
      repairs_count(replica, itself) >= HOLT_REPAIRS_MAX) {
    return;
  }
  if (actor != NULL &&
      (actor == replica->self || actor->gone ||
       (holt_connected(actor) && !itself) ||
       (actor->avoid_peer == peer->id && now_ms < actor->avoid_until_ms))) {
    return;
  }
  struct holt_repair *const repair =
    holt_mem_zalloc(replica->mem, sizeof *repair);
  if (repair == NULL) {
    return; /* The next vector asks again. */
  }
  const bool usable = actor != NULL &&
                      (version >= actor->as_of || holt_mutant(BASE_KEPT)) &&
                      version >= actor->version;
  repair->peer = peer;
  repair->actor_id = actor_id;
  repair->token = holt__random(replica);
  repair->base = usable ? actor->version : 0;
  repair->due = true;
  repair->asked_at_ms = now_ms;
  repair->moved_at_ms = now_ms;
  repair->next = replica->repairs;
  replica->repairs = repair;
}

/*--------------------------------------------------------------------
 * Requests */

static struct holt_repair *
due_of(const struct holt_replica *replica, const struct holt_peer *peer)
{
  struct holt_repair *repair = replica->repairs;
  while (repair != NULL && !(repair->peer == peer && repair->due)) {
    repair = repair->next;
  }
  return repair;
}

/* Our copy is the version that it is to build on. */
static bool
has_base(const struct holt_repair *repair, const struct holt_actor *actor)
{
  return repair->base > 0 && actor != NULL && !actor->dirty &&
         actor->version == repair->base;
}

bool
holt__repair_wants(const struct holt_replica *replica,
                   const struct holt_peer *peer)
{
  return !peer->busy && (peer->over_due || due_of(replica, peer) != NULL);
}

static bool
send_request(struct holt_replica *replica, struct holt_peer *peer,
             const struct holt_request *request, struct holt_effect *effect,
             uint64_t now_ms)
{
  holt_buf_clear(&replica->out);
  (void)holt_request_encode(&replica->out, request);
  peer->last_token = request->token;
  peer->last_gap = request->gap;
  return holt__send(replica, peer, effect,
                    request->done ? LAST_OVER : LAST_REQUEST, now_ms);
}

bool
holt__repair_send(struct holt_replica *replica, struct holt_peer *peer,
                  struct holt_effect *effect, uint64_t now_ms)
{
  if (peer->over_due) {
    const struct holt_request over = { .actor = peer->over_actor,
                                       .token = peer->over_token,
                                       .done = true };
    peer->over_due = !send_request(replica, peer, &over, effect, now_ms);
    return !peer->over_due;
  }
  struct holt_repair *const repair = due_of(replica, peer);
  if (repair == NULL) {
    return false;
  }
  const struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, repair->actor_id);
  const uint64_t place =
    !repair->begun && has_base(repair, actor) ? repair->base : repair->after;
  const struct holt_request request = { .actor = repair->actor_id,
                                        .token = repair->token,
                                        .base = repair->base,
                                        .after = place,
                                        .notes = repair->notes,
                                        .start = !repair->begun,
                                        .gap = repair->gap,
                                        .follow = actor != NULL &&
                                                  holt_follows(actor, peer) };
  if (!send_request(replica, peer, &request, effect, now_ms)) {
    return false;
  }
  repair->due = false;
  repair->gap = false;
  repair->asked_at_ms = now_ms;
  return true;
}

void
holt__repair_busy(struct holt_replica *replica, const struct holt_peer *peer)
{
  struct holt_repair *repair = replica->repairs;
  while (repair != NULL && repair->token != peer->last_token) {
    repair = repair->next;
  }
  if (repair != NULL) {
    repair->due = true;
    repair->gap = repair->gap || peer->last_gap;
  }
}

static uint64_t
ask_again_ms(const struct holt_replica *replica,
             const struct holt_repair *repair)
{
  const uint64_t last_ms = repair->asked_at_ms > repair->moved_at_ms
                             ? repair->asked_at_ms
                             : repair->moved_at_ms;
  return last_ms + replica->tuning.vector_interval_ms;
}

/* Where the way there and back takes longer, the next one is given more time:
 * of this actor, or from this peer, while there is no actor to remember it. */
static uint64_t
stalls_ms(const struct holt_replica *replica, const struct holt_repair *repair)
{
  const struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, repair->actor_id);
  const uint32_t stranger =
    holt_mutant(STRANGER_HURRIED) ? 0u : repair->peer->stalls;
  const uint32_t doublings = actor == NULL ? stranger : actor->stalls;
  return repair->moved_at_ms +
         ((HOLT_STALL_INTERVALS * replica->tuning.vector_interval_ms)
          << doublings);
}

/* It has stalled. */
static void
stalled(struct holt_replica *replica, struct holt_repair *repair,
        uint64_t now_ms)
{
  struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, repair->actor_id);
  uint8_t *const stalls =
    actor == NULL ? &repair->peer->stalls : &actor->stalls;
  if (*stalls < (actor == NULL ? HOLT_STRANGER_DOUBLINGS_MAX
                               : HOLT_STALL_DOUBLINGS_MAX)) {
    ++*stalls;
  }
  replica->counters.stalls++;
  tell_over(repair->peer, repair->actor_id, repair->token);
  give_up(replica, repair, now_ms);
}

void
holt__repairs_expire(struct holt_replica *replica, uint64_t now_ms)
{
  struct holt_repair *next = replica->repairs;
  while (next != NULL) {
    struct holt_repair *const repair = next;
    next = repair->next;
    if (now_ms >= stalls_ms(replica, repair)) {
      stalled(replica, repair, now_ms);
    } else if (!repair->due && now_ms >= ask_again_ms(replica, repair)) {
      repair->due = true;
      repair->gap = true;
    }
  }
}

uint64_t
holt__repairs_due_ms(const struct holt_replica *replica)
{
  uint64_t due_ms = UINT64_MAX;
  for (const struct holt_repair *repair = replica->repairs; repair != NULL;
       repair = repair->next) {
    due_ms = holt_earlier(due_ms, stalls_ms(replica, repair));
    if (!repair->due) {
      due_ms = holt_earlier(due_ms, ask_again_ms(replica, repair));
    }
  }
  return due_ms;
}

/*--------------------------------------------------------------------
 * Pieces */

/* Somebody we are connected to is this member now. */
static bool
has_successor(const struct holt_replica *replica,
              const struct holt_member *member)
{
  if (holt_member_equal(member, &replica->self->member)) {
    return true;
  }
  const struct holt_actor *actor = replica->rows.actor_list;
  while (actor != NULL && !(holt_connected(actor) &&
                            holt_member_equal(&actor->member, member))) {
    actor = actor->next;
  }
  return actor != NULL;
}

/* The actor of a first piece, which says who it is if we do not know. */
static int
piece_actor(struct holt_replica *replica, struct holt_peer *peer,
            const struct holt_message *message, uint64_t now_ms,
            struct holt_actor **out)
{
  *out = holt_rows_actor(&replica->rows, message->actor);
  if (*out != NULL) {
    return (*out)->gone ? HOLT_ERR_STALE : 0;
  }
  if (!message->has_identity) {
    return HOLT_ERR_MALFORMED;
  }
  if (replica->rows.actor_count >= HOLT_ACTORS_MAX - HOLT_PEERS_MAX) {
    return HOLT_ERR_LIMIT; /* The rest is for those who come themselves. */
  }
  if (has_successor(replica, &message->identity.member)) {
    return HOLT_ERR_STALE;
  }
  const int rv = holt_rows_actor_add(&replica->rows, message->actor,
                                     &message->identity.member,
                                     message->identity.creation, out);
  if (rv == 0) {
    (*out)->rule = (enum holt_rule)message->identity.rule;
    (*out)->presence.absent_since_ms = now_ms;
    (*out)->relayed = true;
    (*out)->stalls = peer->stalls;
    holt__liveness_ask(*out, peer);
  }
  return rv;
}

/* Too many repairs in a row have come to nothing: have the rows away, and begin
 * from 0.  HOLT_MORE: not yet all. */
static int
drop_rows(struct holt_replica *replica, struct holt_repair *repair,
          struct holt_actor *actor, size_t *budget, uint64_t now_ms)
{
  actor->torn = true;
  actor->dirty = true;
  actor->version = 0;
  while (actor->rows_head != 0) {
    if (*budget == 0) {
      return HOLT_MORE;
    }
    (*budget)--;
    holt_rows_remove(&replica->rows, actor->rows_head, HOLT_REASON_UNKNOWN);
  }
  actor->unfinished = 0;
  if (repair->base != 0) {
    give_up(replica, repair, now_ms);
    return HOLT_ERR_BUSY;
  }
  return 0;
}

/* 0: take it.  HOLT_ERR_BUSY: nothing to do with it.  HOLT_MORE. */
static int
first_piece(struct holt_replica *replica, struct holt_repair *repair,
            const struct holt_message *message, size_t *budget, uint64_t now_ms)
{
  struct holt_actor *actor;
  int rv = piece_actor(replica, repair->peer, message, now_ms, &actor);
  if (rv != 0) {
    give_up(replica, repair, now_ms);
    return rv;
  }
  if (repair->base > actor->version ||
      (repair->base > 0 && message->as_of < actor->as_of)) {
    /* What it was to build on is not there any more, at one of the two. */
    give_up(replica, repair, now_ms);
    return HOLT_ERR_BUSY;
  }
  if (repair->whole) {
    repair->after = repair->base;
  } else if (actor->unfinished >= EPOCHS_MAX) {
    rv = drop_rows(replica, repair, actor, budget, now_ms);
    if (rv != 0) {
      return rv;
    }
  }
  repair->actor = actor;
  repair->begun = true;
  repair->session = message->session;
  actor->torn = true;
  actor->dirty = true;
  actor->version = repair->base;
  actor->cursor = repair->base;
  replica->counters.repairs++;
  if (!repair->whole) {
    actor->unfinished++;
    holt_rows_epoch(actor);
    holt_walk_start(&replica->rows, &repair->walk, actor->rows_head,
                    HOLT_WALK_SEQ);
  }
  return 0;
}

/* The holder has the version that we have: nothing before it is told of. */
static bool
begins_whole(const struct holt_replica *replica,
             const struct holt_repair *repair,
             const struct holt_message *message)
{
  return message->whole && message->after == repair->base &&
         has_base(repair, holt_rows_actor(&replica->rows, repair->actor_id));
}

/* Does the message begin where we stand?  As first_piece(). */
static int
piece_begin(struct holt_replica *replica, struct holt_repair *repair,
            struct holt_message *message, size_t *budget, uint64_t now_ms)
{
  if (message->base != repair->base || message->actor != repair->actor_id) {
    return HOLT_ERR_MALFORMED;
  }
  if (repair->begun && message->session != repair->session) {
    if (message->session > repair->session) {
      give_up(replica, repair, now_ms); /* Its own is over. */
    }
    return HOLT_ERR_BUSY;
  }
  repair->whole =
    repair->begun ? repair->whole : begins_whole(replica, repair, message);
  const uint64_t after =
    repair->whole && !repair->begun ? repair->base : repair->after;
  if (message->after != after || message->notes != repair->notes) {
    const bool behind =
      message->after + message->notes < repair->after + repair->notes;
    if (behind) {
      replica->counters.duplicates++;
    } else {
      replica->counters.gaps++;
      if (now_ms - repair->asked_at_ms >= HOLT_NACK_MS) {
        repair->due = true;
        repair->gap = true;
      }
    }
    return HOLT_ERR_BUSY;
  }
  if (message->as_of < repair->as_of) {
    /* What has moved on since is in none of the pieces from here on. */
    replica->counters.duplicates++;
    return HOLT_ERR_BUSY;
  }
  if (!repair->begun) {
    const int rv = first_piece(replica, repair, message, budget, now_ms);
    if (rv != 0) {
      return rv;
    }
  }
  repair->as_of = message->as_of;
  if (message->as_of > repair->actor->as_of) {
    repair->actor->as_of = message->as_of;
  }
  message->begun = true;
  message->at = repair->after + repair->notes;
  return 0;
}

/* Our rows up to live_to: confirm those that are in the live set. */
static int
take_live(struct holt_replica *replica, struct holt_repair *repair,
          struct holt_message *message, size_t *budget)
{
  struct holt_rows *const rows = &replica->rows;
  struct holt_walk *const walk = &repair->walk;
  while (walk->at != 0) {
    const uint32_t ref = walk->at;
    struct holt_row *const row = holt_row_at(rows, ref);
    const uint64_t seq = holt_row_seq(row);
    if (seq > message->live_to) {
      break;
    }
    while ((message->live.to < seq) && (*budget > 0) &&
           holt_liveset_next(&message->live)) {
      (*budget)--;
    }
    if (*budget == 0) {
      return HOLT_MORE;
    }
    (*budget)--;
    holt_walk_next(rows, walk);
    if (holt_liveset_has(&message->live, seq)) {
      holt_row_confirm(rows, row);
    }
    repair->after = seq;
  }
  repair->after = message->live_to;
  return 0;
}

/* What no piece has confirmed or brought has died unseen. */
static int
sweep(struct holt_replica *replica, struct holt_repair *repair, size_t *budget)
{
  struct holt_rows *const rows = &replica->rows;
  struct holt_walk *const walk = &repair->walk;
  if (!repair->sweeping) {
    repair->sweeping = true;
    holt_walk_stop(rows, walk);
    holt_walk_start(rows, walk, repair->actor->rows_head, HOLT_WALK_SEQ);
  }
  while (walk->at != 0) {
    if (*budget == 0) {
      return HOLT_MORE;
    }
    (*budget)--;
    if (holt_row_stale(rows, holt_row_at(rows, walk->at))) {
      /* The walk moves on. */
      holt_rows_remove(rows, walk->at, HOLT_REASON_UNKNOWN);
    } else {
      holt_walk_next(rows, walk);
    }
  }
  return 0;
}

/* The copy is a version again. */
static void
adopt(struct holt_replica *replica, struct holt_repair *repair,
      const struct holt_message *message, const struct holt_time *now)
{
  struct holt_actor *const actor = repair->actor;
  struct holt_peer *const peer = repair->peer;
  actor->version = message->to;
  actor->cursor = message->to;
  actor->as_of = message->to;
  actor->dirty = false;
  actor->torn = false;
  actor->stalls = 0;
  peer->stalls = 0;
  actor->unfinished = 0;
  if (peer->actor == actor->id) {
    /* It ends the repair, and the stream goes on from here. */
    peer->ack_due = true;
    peer->ack_gap = true;
    holt__forward_jump(replica, actor);
  } else if (holt_follows(actor, peer)) {
    holt__follow_ack(actor, peer, true); /* As does this. */
    actor->presence.follow_behind_ms = 0;
  } else {
    tell_over(peer, repair->actor_id, repair->token);
  }
  repair_free(replica, repair);
  holt__actor_show(replica, actor, now);
}

static int
take_piece(struct holt_replica *replica, struct holt_repair *repair,
           struct holt_message *message, const struct holt_time *now,
           size_t *budget)
{
  int rv = 0;
  if (message->live_to > repair->after) {
    rv = take_live(replica, repair, message, budget);
  }
  if (rv == 0) {
    rv = holt__items_take(replica, repair->actor, message, &repair->after,
                          &repair->notes, now, budget);
  }
  if (rv == 0 && message->last && !repair->whole && !holt_mutant(NOT_SWEPT)) {
    rv = sweep(replica, repair, budget);
  }
  return rv;
}

int
holt__repair_apply(struct holt_replica *replica, struct holt_message *message,
                   struct holt_peer *peer, const struct holt_time *now,
                   size_t *budget)
{
  struct holt_repair *const repair = repair_find(replica, message->actor);
  const bool over =
    repair == NULL || repair->peer != peer || repair->token != message->token;
  if (over && !message->refused) {
    tell_over(peer, message->actor, message->token);
  }
  if (over ||
      (message->begun && message->at != repair->after + repair->notes)) {
    return HOLT_ERR_STALE;
  }
  if (message->refused) {
    leave(replica, repair, 1, now->mono_ms); /* It is busy: try soon. */
    return 0;
  }
  const uint64_t place = repair->after + repair->notes;
  if (!message->begun) {
    const int rv = piece_begin(replica, repair, message, budget, now->mono_ms);
    if (rv != 0) {
      return rv == HOLT_ERR_BUSY ? 0 : rv;
    }
  }
  const int rv = take_piece(replica, repair, message, now, budget);
  message->at = repair->after + repair->notes;
  if (message->at != place) {
    repair->moved_at_ms = now->mono_ms; /* Else it stalls, whatever it says. */
  }
  if (rv == 0) {
    repair->after = message->to;
    if (repair->after + repair->notes != message->after + message->notes) {
      repair->moved_at_ms = now->mono_ms;
      repair->due = true;
    }
    if (message->last) {
      adopt(replica, repair, message, now);
    }
  } else if (rv == HOLT_ERR_MALFORMED) {
    repair->actor->version = 0; /* It contradicts what we have. */
    if (repair->base == 0) {
      repair->actor->unfinished = EPOCHS_MAX; /* All of it: away with that. */
    }
    give_up(replica, repair, now->mono_ms);
  } else if (rv < 0) {
    repair->due = true;
    repair->gap = true;
  }
  return rv;
}
