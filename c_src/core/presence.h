/* SPDX-License-Identifier: Apache-2.0 */
/* Presence: is an actor there, and how do we know?
 *
 * A link that is lost says little about who was behind it: perhaps only the
 * link is gone.  So an actor that we hear no longer is not taken for dead at
 * once.  All others are asked whether they reach it, and each finds out for
 * itself, by a probe to that very actor:
 *
 *     A          P          X           A and X have lost each other
 *     |-- ask -->|          |
 *     |          |- probe ->|
 *     |          |<- echo --|
 *     |<- vouch -|          |           X stays, as vouched for
 *
 *     CONNECTED --- link lost ----> SUSPECT --- nobody reaches it --> ABSENT
 *         ^                         |    ^                              |
 *         |                   a vouch    all vouches lapsed             |
 *       hello                       v    |                              |
 *         |<--------------------- VOUCHED <---------- a vouch ----------'
 *
 * While we wait nothing changes: SUSPECT counts as present.  Silence for
 * probe_ms is a no.  After a real death everybody says no at once, so the truth
 * costs one round trip.  A vouch is first-hand, names the moment at which the
 * actor was alive by the asker's own clock, and lapses vouch_ms after that.
 *
 * The rows of actors that are present make the view.  One that has gone absent
 * and comes back is shown again when our copy has come to what it had when it
 * came; one that comes and goes waits longer each time.
 *
 * liveness.c decides, ask.c asks, vouch.c answers; follow.c has the rows of
 * those who are vouched for brought, and forward.c brings them.
 */
#ifndef HOLT_CORE_PRESENCE_H
#define HOLT_CORE_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include <holt/replica.h>

struct holt_peer;
struct holt_relay;

/* A set of links, by their slots. */
#define HOLT_PEER_SET_WORDS (HOLT_PEERS_MAX / 64u)

struct holt_peer_set {
  uint64_t words[HOLT_PEER_SET_WORDS];
};

/* As many vouches are kept for one actor: when one is withdrawn, the others
 * stand. */
#define HOLT_VOUCHES_MAX 3u

struct holt_vouch_kept {
  uint32_t peer;    /* The id of its link; 0: none. */
  uint64_t seen_ms; /* The actor was alive then, by our clock, or later. */
  uint64_t version; /* The voucher's copy of it. */
};

struct holt_presence {
  enum holt_sight sight;
  struct holt_peer *link;      /* CONNECTED: through this one. */
  bool paused;                 /* It has said so. */
  uint64_t decide_ms;          /* SUSPECT: whoever is silent then says no. */
  uint64_t absent_since_ms;    /* ABSENT: the least age that anybody tells. */
  uint64_t went_ms;            /* ABSENT: when it went; paused: said so. */
  uint64_t alive_ms;           /* It was then, by our word or a voucher's. */
  uint64_t shown_at_ms;        /* When it was shown last. */
  uint64_t hold_ms;            /* Not to be shown again before. */
  uint8_t flaps;               /* How often it went soon after it was shown. */
  struct holt_peer_set ask;    /* To be asked whether they reach it. */
  struct holt_peer_set asked;  /* Their answer is awaited. */
  struct holt_peer_set askers; /* They await ours. */
  struct holt_peer_set answered; /* Of the last vouch, should it be undone. */
  uint64_t asked_ms;             /* When anybody was asked last. */
  bool listed;                   /* In the answer that is being taken. */
  struct holt_vouch_kept vouches[HOLT_VOUCHES_MAX];

  /* What it streams to us, and we forward: forward.c. */
  struct holt_relay *relay; /* NULL: nobody follows. */

  /* What it streams to others, and they forward to us: follow.c. */
  uint32_t follow;           /* The id of the link, or 0. */
  uint32_t follow_stop;      /* That of the link to be told to stop, or 0. */
  uint64_t follow_wait_ms;   /* Since when no voucher is as new as our copy. */
  uint64_t follow_behind_ms; /* Since when others show more than comes. */
  bool follow_ack_due;
  bool follow_ack_gap;
  uint64_t reached; /* How far it has come with our rows, as others say. */
};

#endif /* HOLT_CORE_PRESENCE_H */
