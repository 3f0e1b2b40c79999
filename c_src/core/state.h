/* SPDX-License-Identifier: Apache-2.0 */
/* State: what a replica is made of, for the files that make it work.
 *
 *     replica.c   names: register, unregister, find; own rows and their deaths
 *     peer.c      links and sessions: up, down, hello
 *     sync.c      what arrives: deltas, acks, vectors
 *     stream.c    what leaves: poll, and the deltas of our own rows
 *
 * One actor is streamed to each peer: our own.  The stream is a sequence of
 * deltas, each of which takes the receiver from `after` to `to`:
 *
 *     rows, by seq      3   5   8   9   12  17  20        version 20
 *                     |---- delta ----|--- delta ----|
 *                   after 2          to 9            to 20, clean
 *
 * A delta holds the rows that live when it is encoded and whose seq lies in
 * (after, to], and the deaths in (after, to] of rows born at or before after:
 * whatever came and went in between costs nothing.  While more is to come the
 * receiver stands between two fixed sets (a row it was sent may have moved on,
 * beyond `to`), so only a clean delta, one with nothing behind it, makes `to`
 * its version.  A delta that starts from 0 is a repair: the receiver keeps what
 * it has in sight, takes the rows anew, and drops what was not sent again when
 * a clean delta ends it.  The receiver takes a delta only when its own cursor
 * is `after`; anything else is answered with its cursor, and the sender goes on
 * from there.  So the sender keeps little more than a cursor per peer.
 *
 * Each delta shows the rows as of the version at which it was encoded, and may
 * go on from an older one, never from a newer one, which lacks what has moved
 * on since: so it says as of when it is.
 *
 * The deltas of a repair need the deaths since the repair began, not those
 * since the cursor, which the log may have lost.  They would be wrong for a
 * copy that stands at the same cursor by another way, so they name the repair
 * by the version at which it began, and fit no other copy.
 */
#ifndef HOLT_CORE_STATE_H
#define HOLT_CORE_STATE_H

#include <holt/clock.h>
#include <holt/replica.h>

#include "buf.h"
#include "deaths.h"
#include "packet.h"
#include "rows.h"

/* Messages under way to one peer that are told apart; more are lumped. */
#define HOLT_INFLIGHT_MAX 32u

/* A peer whose link was busy is left alone for so long. */
#define HOLT_BUSY_MS 10u

/* A gap is reported again after so long. */
#define HOLT_NACK_MS 100u

/* Hellos that nobody answers are repeated at a doubling interval, at most
 * 2^5 times vector_interval_ms. */
#define HOLT_HELLO_DOUBLINGS 5u

/* Every vector is answered, so who has said nothing for so many intervals takes
 * our session for another one, or we take theirs: greet again. */
#define HOLT_SILENT_INTERVALS 4u

/* While a delta is under way to a peer, fewer changes than this wait for its
 * acknowledgement and leave together: at once when idle, in batches under
 * load. */
#define HOLT_HOLD_CHANGES 256u

/* How much one poll does of what may take long: rows freed, entries looked
 * through; rows walked back over to find a cursor; deaths and rows encoded. */
#define HOLT_SLICE_ROWS 128u
#define HOLT_SLICE_STEPS 4096u
#define HOLT_SLICE_ITEMS 2048u

struct holt_inflight {
  uint64_t to;
  size_t bytes;
};

struct holt_peer {
  struct holt_peer *next;
  uint32_t id;
  struct holt_member member; /* Owned, like an actor's. */
  uint64_t session;          /* Ours, for this link. */
  uint64_t remote_session;   /* Theirs; 0 until their hello. */
  uint64_t actor;            /* Theirs; 0 until their hello. */
  bool up;                   /* Their hello has come. */
  bool confirmed;            /* They know our session. */
  bool missing;              /* The replica behind the link has not shown up. */
  bool ended;                /* It is known to be gone: nobody to greet. */
  bool busy; /* Its link took nothing: wait for busy_until_ms. */

  /* What is due. */
  bool hello_due;
  bool ack_due;
  bool ack_gap;
  bool vector_due;
  uint32_t hello_count; /* Unanswered. */
  uint64_t hello_at_ms;
  uint64_t vector_at_ms;
  uint64_t busy_until_ms;
  uint64_t heard_at_ms; /* The last message of this session. */
  uint64_t missing_since_ms;

  /* Our stream to it. */
  uint64_t cursor; /* Sent so far. */
  uint64_t acked;
  uint64_t anew_at;      /* Our version when its copy began from 0; else 0. */
  struct holt_walk walk; /* The first row beyond the cursor, when active. */
  bool seeking;          /* The walk is still on its way back to the cursor. */
  struct holt_inflight inflight[HOLT_INFLIGHT_MAX];
  uint32_t inflight_count;
  size_t inflight_bytes;

  /* The last effect for it, to be undone when the link was busy. */
  enum {
    LAST_NOTHING,
    LAST_HELLO,
    LAST_ACK,
    LAST_VECTOR,
    LAST_DELTA
  } last;
  uint64_t last_cursor;
  size_t last_bytes;
  bool last_gap;
};

/* A name lost by a local process, waiting for the host to tell it. */
struct holt_conflict {
  struct holt_conflict *next;
  struct holt_view loser; /* Key and value point into bytes. */
  struct holt_view winner;
  size_t bytes_size;
  uint8_t bytes[]; /* key, value, winner's node. */
};

struct holt_replica {
  struct holt_mem *mem;
  struct holt_tuning tuning;
  struct holt_rows rows;
  struct holt_actor *self;
  struct holt_deaths deaths;
  struct holt_clock clock;
  uint64_t policy;
  uint64_t entropy;

  struct holt_peer *peers;
  size_t peer_count;
  uint32_t next_peer;
  uint32_t turn; /* The peer served last, so that the next one is served. */

  struct holt_owner *dead_owners; /* Their rows go in slices. */
  struct holt_conflict *conflicts;
  struct holt_conflict **conflicts_end;
  struct holt_conflict *conflict_out; /* Handed out by the last poll. */
  struct holt_actor *applying;        /* A delta of it is half applied. */
  bool gone_actors;                   /* Some wait to be freed. */
  bool quiet;                         /* poll has said NONE. */

  struct holt_buf out;
  struct holt_target targets[HOLT_PEERS_MAX];
  struct holt_counters counters;
};

/* replica.c */

/* If our row of this entry has been outranked by a row in view: remove it and
 * queue the news for its process. */
void holt__entry_settle(struct holt_replica *replica, struct holt_entry *entry);

/* An actor was shown or hidden: look through the contested entries anew. */
void holt__view_changed(struct holt_replica *replica);

/* The actor will not be back: hide it, free its rows in slices. */
void holt__actor_end(struct holt_replica *replica, struct holt_actor *actor);

/* Begin the copy of an actor again from 0; what is in view stays until then.  A
 * message that is half applied to it is void. */
void holt__actor_restart(struct holt_replica *replica,
                         struct holt_actor *actor);

/* Do a slice of what waits: dead owners, gone actors, contested entries.
 * True when more is left. */
bool holt__background(struct holt_replica *replica, uint64_t now_ms);
bool holt__background_waits(const struct holt_replica *replica);

void holt__refuse(struct holt_replica *replica, int error);
uint64_t holt__random(struct holt_replica *replica);

/* peer.c */
struct holt_peer *holt__peer_by_id(const struct holt_replica *replica,
                                   uint32_t id);
void holt__peer_drop(struct holt_replica *replica, struct holt_peer *peer,
                     uint64_t now_ms);

/* Nothing has come from the peer for too long: hide its actor.  A link that is
 * there is kept, and greeted until it answers. */
void holt__peer_give_up(struct holt_replica *replica, struct holt_peer *peer,
                        uint64_t now_ms);

/* Begin our stream to the peer at this cursor, or at 0 when it is not one that
 * we can go on from. */
void holt__peer_rewind(struct holt_replica *replica, struct holt_peer *peer,
                       uint64_t cursor);

#endif /* HOLT_CORE_STATE_H */
