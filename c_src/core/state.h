/* SPDX-License-Identifier: Apache-2.0 */
/* State: what a replica is made of, for the files that make it work.
 *
 *     replica.c   names: register, unregister, update; deaths of processes
 *     view.c      what is seen: find, lists, counts; conflicts
 *     contest.c   conflicts that somebody outside decides
 *     explain.c   all rows of a key, in order of rank
 *     census.c    members, counted, and how far they have come
 *     peer.c      links and sessions: up, down, hello, goodbye
 *     sync.c      what arrives: deltas, acks, and to whom the rest goes
 *     stream.c    what leaves: poll, and the deltas of our own rows
 *     liveness.c  who is there, and what becomes of those who are not
 *     ask.c       asking the others, and what they vouch for
 *     vouch.c     answering them: probes and echoes
 *     vector.c    who holds what: vectors, the digest, in_sync
 *     serve.c     a repair, on the side of who holds the rows
 *     repair.c    a repair, on the side of who asks for them
 *     forward.c   streams of others, passed on to those who cannot hear them
 *     follow.c    streams of those whom we cannot hear, through another
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
 * its version.  The receiver takes a delta only when its own cursor is `after`;
 * anything else is answered with its cursor, and the sender goes on from there.
 * So the sender keeps little more than a cursor per peer.  The cursor moves
 * with each row: a message that ends half way has only been a shorter one.
 *
 * Each delta shows the rows as of the version at which it was encoded, and may
 * go on from an older one, never from a newer one, which lacks what has moved
 * on since: so it says as of when it is.
 *
 * Where the log of deaths does not reach back to a receiver's cursor, and for
 * the rows of those who are not there to stream them, there are repairs:
 * serve.c and repair.c.  A copy is streamed or repaired, never both: one that a
 * repair has begun on is `torn` until a repair has ended on it.
 */
#ifndef HOLT_CORE_STATE_H
#define HOLT_CORE_STATE_H

#include <holt/clock.h>
#include <holt/replica.h>

#include "buf.h"
#include "deaths.h"
#include "mutant.h"
#include "packet.h"
#include "rows.h"

/* Messages under way to one peer that are told apart; more are lumped. */
#define HOLT_INFLIGHT_MAX 32u

/* A peer whose link was busy is left alone for so long. */
#define HOLT_BUSY_MS 10u

/* A gap is reported again after so long. */
#define HOLT_NACK_MS 100u

/* Vectors that a change of connectivity calls for leave so soon. */
#define HOLT_VECTOR_SOON_MS 20u

/* Hellos that nobody answers are repeated at a doubling interval, at most
 * 2^5 times vector_interval_ms. */
#define HOLT_HELLO_DOUBLINGS 5u

/* Every vector is answered, so who has said nothing for so many intervals takes
 * our session for another one, or we take theirs: greet again. */
#define HOLT_SILENT_INTERVALS 4u

/* A repair that does not move for so many intervals is given up by who has
 * asked for it; for twice as many after each that was, up to 2^6 times, or 2^3
 * while we do not know the actor.  Who serves it hears of it every interval,
 * and lets go after so many of silence. */
#define HOLT_STALL_INTERVALS 4u
#define HOLT_STALL_DOUBLINGS_MAX 6u
#define HOLT_STRANGER_DOUBLINGS_MAX 3u
#define HOLT_SERVE_INTERVALS 16u

/* An echo answers those who ask within this share of probe_ms, too. */
#define HOLT_ECHO_SHARE 2u

/* Repairs at a time: asked for, and served; of actors by themselves, and as
 * many of copies that others have. */
#define HOLT_REPAIRS_MAX 16u
#define HOLT_SERVES_MAX 16u

/* Refusals that wait for one peer: as many as it asks for at a time, one of our
 * own rows among them. */
#define HOLT_REFUSALS_MAX (HOLT_REPAIRS_MAX + 1u)

/* While a delta is under way to a peer, fewer changes than this wait for its
 * acknowledgement and leave together: at once when idle, in batches under
 * load. */
#define HOLT_HOLD_CHANGES 256u

/* A contest that nobody has decided is handed out again after so long. */
#define HOLT_CONTEST_MS 1000u

/* How much one poll does of what may take long: rows freed, entries looked
 * through; rows walked over to find a cursor, and for a live set; deaths and
 * rows encoded. */
#define HOLT_SLICE_ROWS 128u
#define HOLT_SLICE_STEPS 1024u
#define HOLT_SLICE_LIVE 4096u
#define HOLT_SLICE_ITEMS 512u

/* What is under way to a peer, of one stream.  A mark grows with each message;
 * acknowledging one acknowledges all before it. */
struct holt_inflight {
  uint64_t mark;
  size_t bytes;
};

struct holt_window {
  struct holt_inflight messages[HOLT_INFLIGHT_MAX];
  uint32_t count;
  size_t bytes;
};

/* What a peer was sent last. */
enum holt_last {
  LAST_NOTHING,
  LAST_HELLO,
  LAST_ACK,
  LAST_LOST,
  LAST_GOODBYE,
  LAST_REFUSAL,
  LAST_REQUEST,
  LAST_OVER,
  LAST_VECTOR,
  LAST_DELTA,
  LAST_PIECE,
  LAST_ASK,
  LAST_VOUCH,
  LAST_PROBE,
  LAST_ECHO,
  LAST_FOLLOW,  /* A word about what we follow: last_actor. */
  LAST_FORWARD, /* A delta of another's stream. */
  LAST_FORWARD_LOST,
  LAST_REACHED
};

/* A repair that is not to be had here. */
struct holt_refusal {
  uint64_t actor;
  uint64_t token;
};

struct holt_peer {
  struct holt_peer *next;
  uint32_t id;
  uint32_t slot;             /* Small, unique among the peers there are. */
  struct holt_member member; /* Owned, like an actor's. */
  uint64_t session;          /* Ours, for this link. */
  uint64_t remote_session;   /* Theirs; 0 until their hello. */
  uint64_t actor;            /* Theirs; 0 until their hello. */
  uint8_t protocol;          /* Spoken in this session. */
  bool up;                   /* Their hello has come. */
  bool confirmed;            /* They know our session. */
  bool missing;              /* The replica behind the link has not shown up. */
  bool ended;                /* It is known to be gone: nobody to greet. */
  bool busy; /* Its link took nothing: wait for busy_until_ms. */
  bool clock_known;
  int64_t clock_offset_ms; /* Its wall clock less our monotonic one. */
  int64_t clock_ms;        /* Its wall clock less ours, at its last word. */
  uint64_t digest;         /* At its last word. */
  uint64_t refused[HOLT_ERRORS_MAX];

  /* What is due. */
  bool hello_due;
  bool ack_due;
  bool ack_gap;
  bool goodbye_due;
  uint32_t refusal_count; /* Repairs that are to be refused: */
  struct holt_refusal refusals[HOLT_REFUSALS_MAX];
  bool over_due; /* Of a repair that we are not in: over_actor, over_token. */
  uint64_t over_actor;
  uint64_t over_token;
  uint8_t stalls;       /* In a row, of repairs of those we do not know yet. */
  uint32_t hello_count; /* Unanswered. */
  uint64_t hello_at_ms;
  uint64_t vector_at_ms;
  uint32_t vector_slot; /* Where the next vector begins, if one is not enough */
  uint64_t lost_at_ms;
  uint64_t busy_until_ms;
  uint64_t heard_at_ms; /* The last message of this session. */
  uint64_t missing_since_ms;

  /* Who reaches whom: liveness.c. */
  bool ask_due;       /* Some actor's `ask` has it. */
  uint64_t ask_token; /* Of the last ask sent to it. */
  bool vouch_due;
  bool vouch_whole; /* The next vouch answers an ask of its own. */
  bool last_whole;
  uint64_t vouch_token; /* Of the last ask that has come from it. */
  bool probe_due;
  uint64_t probe_number; /* Of the last probe: when it was sent. */
  bool echoed;           /* One has come back since the last was called for. */
  uint64_t echo_number;  /* Of the last probe that has come back. */
  bool echo_due;
  uint64_t echo_owed; /* The number that is to go back. */

  /* Our stream to it. */
  bool lost;       /* It needs a repair before it can be streamed to. */
  bool unclean;    /* It has all of it, and does not know that it has. */
  uint64_t cursor; /* Sent so far. */
  uint64_t acked;
  struct holt_walk walk; /* The first row beyond the cursor, when active. */
  struct holt_window window;

  /* The streams of others: forward.c, follow.c. */
  struct holt_follower *followers; /* Of those that we forward to it. */
  uint32_t followers_lost;         /* So many of them are to be told. */
  bool forward_due;                /* Perhaps there is something for it. */
  bool follow_due;   /* As its follower we have something to say. */
  bool forward_turn; /* Those of others are next, then our own. */

  /* The last effect for it, to be undone when the link was busy. */
  enum holt_last last;
  uint64_t last_actor; /* Of what concerns the stream of another. */
  bool last_stop;
  uint64_t last_cursor;
  size_t last_bytes;
  bool last_gap;
  uint64_t last_token; /* Of a request or a piece. */
};

/* A repair that is being served: serve.c. */
struct holt_serve {
  struct holt_serve *next;
  struct holt_peer *peer;
  struct holt_actor *actor;
  uint64_t token;
  uint64_t session; /* Of ours: each has its own. */
  uint64_t base;
  uint64_t cursor;   /* All rows up to there have been covered. */
  uint64_t reach;    /* The most that ever have been, before going back. */
  uint64_t notes_to; /* And so many deaths told. */
  uint64_t moved_at_ms;
  uint64_t begin; /* The walk begins there: 0, or base if that is ours, too: */
  bool there;     /* then the asker may only want to follow. */
  uint8_t epoch;  /* Of the actor; another one ends this. */
  bool last;      /* Its last piece has been sent. */
  struct holt_walk walk;
  struct holt_deaths notes; /* Births, by the order of their deaths. */
  uint64_t note_count;
  struct holt_window window;
  uint64_t before_cursor; /* To undo the last piece. */
  uint64_t before_notes;
  size_t before_bytes;
};

/* A delta of another's stream, as it came, kept for those who follow. */
struct holt_relayed {
  struct holt_relayed *next;
  uint64_t after;
  uint64_t to;
  size_t size;
  uint8_t bytes[];
};

enum holt_follower_state {
  FOLLOWER_REPAIRED, /* It is being sent the rows as they are. */
  FOLLOWER_WAITED,   /* The last of them has left: has it come? */
  FOLLOWER_LIVE,     /* It is sent what comes after them. */
  FOLLOWER_LOST      /* It is to ask for a repair. */
};

/* A peer that is forwarded an actor's stream: forward.c. */
struct holt_follower {
  struct holt_follower *next;      /* Of the relay. */
  struct holt_follower *peer_next; /* Of the peer. */
  struct holt_relay *relay;
  struct holt_peer *peer;
  enum holt_follower_state state;
  bool unclean;     /* It may have all and not know: say so. */
  bool reached_due; /* The actor is to be told how far it has come. */
  uint64_t reached;
  uint64_t cursor; /* Sent so far. */
  uint64_t acked;
  uint64_t lost_base; /* From where on it could go on, after all. */
  uint64_t lost_at_ms;
  struct holt_relayed *at; /* The first beyond the cursor; NULL: none yet. */
  struct holt_window window;
};

/* The newest part of an actor's stream, from the actor itself, without gaps. */
struct holt_relay {
  struct holt_actor *actor;
  struct holt_follower *followers; /* At least one. */
  struct holt_relayed *head;
  struct holt_relayed **tail;
  size_t bytes; /* Of all that are kept. */
  uint64_t end; /* Where the next one has to begin. */
};

/* A repair that has been asked for: repair.c. */
struct holt_repair {
  uint64_t as_of; /* What the newest piece taken showed; none older fits. */
  struct holt_repair *next;
  struct holt_peer *peer;
  uint64_t actor_id;
  struct holt_actor *actor; /* NULL until it is known. */
  uint64_t token;
  uint64_t base;
  uint64_t after;   /* All rows up to there are in. */
  uint64_t notes;   /* And so many deaths. */
  bool begun;       /* The first piece has come. */
  bool whole;       /* We had all of base: there was no live set. */
  uint64_t session; /* Of the holder, as that says. */
  bool due;         /* A request is to be sent. */
  bool gap;         /* It asks to go on from here. */
  uint64_t asked_at_ms;
  uint64_t moved_at_ms;
  bool sweeping;         /* All have been told of; the stale ones go. */
  struct holt_walk walk; /* Our first row that is not looked at yet. */
};

/* A name lost by a local process, waiting for the host to tell it. */
struct holt_conflict {
  struct holt_conflict *next;
  struct holt_view loser; /* Key and value point into bytes. */
  struct holt_view winner;
  struct holt_member member; /* The loser's. */
  bool replaced;
  size_t bytes_size;
  uint8_t bytes[]; /* What they point to. */
};

/* A row of ours under a key that others have, too: contest.c. */
struct holt_contest {
  struct holt_contest *next;
  uint64_t birth;
  uint64_t due_ms;
};

struct holt_contests {
  struct holt_contest *first;
  struct holt_contest *last;
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
  uint64_t mono_ms;    /* At the last call that said so. */
  bool met;            /* It has caught up with a first peer. */
  bool undecided;      /* Something was said about somebody's presence. */
  uint64_t decided_ms; /* Else that of all stands as of then. */

  struct holt_peer *peers;
  struct holt_peer_set peer_slots; /* Those in use. */
  size_t peer_count;
  uint32_t next_peer;
  uint32_t turn;     /* The peer served last, so that the next one is served. */
  size_t seek_steps; /* Left to this poll for finding cursors. */

  struct holt_serve *serves;
  uint64_t serve_session; /* The last one begun. */
  struct holt_repair *repairs;
  uint64_t ask_token; /* The last one: our clock, and what makes it grow. */

  holt_change_fn watch; /* Who is told of changes, or NULL. */
  void *watch_user;

  uint32_t dead_owners; /* Their rows go in slices. */
  struct holt_conflict *conflicts;
  struct holt_conflict **conflicts_end;
  struct holt_conflict *conflict_out; /* Handed out by the last poll. */
  struct holt_contests soon;          /* To be looked at, */
  struct holt_contests later;         /* and when it is time. */
  uint64_t memory_at_ms; /* There was none for a conflict: try again then. */
  bool gone_actors;      /* Some wait to be freed. */
  bool quiet;            /* poll has said NONE. */
  int goodbye;           /* 0, or what all are to be told. */

  struct holt_buf out;
  struct holt_buf live; /* A live set in the making. */
  struct holt_target targets[HOLT_PEERS_MAX];
  struct holt_counters counters;
};

static inline uint64_t
holt_earlier(uint64_t left, uint64_t right)
{
  return left < right ? left : right;
}

/* Sets of links, by their slots. */
static inline bool
holt_links_has(const struct holt_peer_set *set, const struct holt_peer *peer)
{
  return (set->words[peer->slot / 64] >> peer->slot % 64 & 1) != 0;
}

static inline void
holt_links_add(struct holt_peer_set *set, const struct holt_peer *peer)
{
  set->words[peer->slot / 64] |= UINT64_C(1) << peer->slot % 64;
}

static inline void
holt_links_remove(struct holt_peer_set *set, const struct holt_peer *peer)
{
  set->words[peer->slot / 64] &= ~(UINT64_C(1) << peer->slot % 64);
}

static inline bool
holt_links_empty(const struct holt_peer_set *set)
{
  uint64_t any = 0;
  for (unsigned i = 0; i < HOLT_PEER_SET_WORDS; i++) {
    any |= set->words[i];
  }
  return any == 0;
}

static inline void
holt_links_clear(struct holt_peer_set *set)
{
  *set = (struct holt_peer_set){ .words = { 0 } };
}

/* replica.c */

/* Remove a row of our own: it takes a seq and is noted in the deaths. */
void holt__own_remove(struct holt_replica *replica, uint32_t row,
                      enum holt_reason why);

/* The actor will not be back: hide it, free its rows in slices. */
void holt__actor_end(struct holt_replica *replica, struct holt_actor *actor);

/* Show the actor if it is present and its copy has come to what it had when it
 * came. */
void holt__actor_show(struct holt_replica *replica, struct holt_actor *actor,
                      const struct holt_time *now);

/* Do a slice of what waits: dead owners, gone actors, shared keys.
 * True when more is left. */
bool holt__background(struct holt_replica *replica, uint64_t now_ms);
bool holt__background_waits(const struct holt_replica *replica);

/* Count what was refused; peer may be NULL. */
void holt__refuse(struct holt_replica *replica, struct holt_peer *peer,
                  int error);
uint64_t holt__random(struct holt_replica *replica);

/* view.c */

/* If our rows of this row's key have been outranked by a row in view: remove
 * them and queue the news for their processes. */
void holt__key_settle(struct holt_replica *replica, uint32_t row);
void holt__conflict_free(struct holt_replica *replica,
                         struct holt_conflict *conflict);

/* Copies of both, with key and value of the winner if whole.
 * HOLT_ERR_NOMEM. */
int holt__conflict_new(struct holt_replica *replica, uint32_t loser,
                       uint32_t winner, bool whole, struct holt_conflict **out);

/* Our row has lost its key.  HOLT_ERR_NOMEM: for the news, so the row has to
 * wait for it. */
int holt__conflict_lose(struct holt_replica *replica, uint32_t own,
                        uint32_t winner);
void holt__view_of(const struct holt_replica *replica,
                   const struct holt_row *row, struct holt_view *view);

/* contest.c */

/* Our row of this row's key may be in contest. */
void holt__contest_look(struct holt_replica *replica, uint32_t row);

/* Nobody outside has to say who of the two is to have the key. */
bool holt__decided_by_rank(const struct holt_replica *replica, uint32_t own,
                           uint32_t winner);

/* The next contest that is to be decided; when there will be one. */
bool holt__contest_send(struct holt_replica *replica,
                        struct holt_effect *effect, uint64_t now_ms);
uint64_t holt__contest_due_ms(const struct holt_replica *replica);
void holt__contests_deinit(struct holt_replica *replica);

/* peer.c */
struct holt_peer *holt__peer_by_id(const struct holt_replica *replica,
                                   uint32_t id);
struct holt_peer *holt__peer_by_member(const struct holt_replica *replica,
                                       const struct holt_member *member);
void holt__peer_drop(struct holt_replica *replica, struct holt_peer *peer,
                     uint64_t now_ms);

/* Nothing has come from the peer for too long: hide its actor.  A link that is
 * there is kept, and greeted until it answers. */
void holt__peer_give_up(struct holt_replica *replica, struct holt_peer *peer,
                        uint64_t now_ms);

/* Begin our stream to the peer at this cursor; when the log of deaths does not
 * reach back so far, it is lost instead. */
void holt__peer_rewind(struct holt_replica *replica, struct holt_peer *peer,
                       uint64_t cursor);

/* Have a vector sent to all before long. */
void holt__peers_changed(struct holt_replica *replica, uint64_t now_ms);

/* What the peer says of its clock. */
void holt__peer_clock(struct holt_replica *replica, struct holt_peer *peer,
                      uint64_t wall_ms, const struct holt_time *now);
int holt__apply_bye(struct holt_replica *replica, const struct holt_bye *bye,
                    struct holt_peer *peer, uint64_t now_ms);

/* stream.c */
bool holt__window_has_room(const struct holt_replica *replica,
                           const struct holt_window *window);
void holt__window_sent(struct holt_window *window, uint64_t mark, size_t bytes);
void holt__window_acked(struct holt_window *window, uint64_t mark);

/* The last message is taken back; the one before had this mark. */
void holt__window_undo(struct holt_window *window, uint64_t mark, size_t bytes);

/* The effect is to send this peer what replica->out holds.  False: that could
 * not be written for want of memory, and the peer is left alone for a while. */
bool holt__send(struct holt_replica *replica, struct holt_peer *peer,
                struct holt_effect *effect, enum holt_last what,
                uint64_t now_ms);

/* It is for this peer, too. */
void holt__send_also(struct holt_replica *replica, struct holt_peer *peer,
                     struct holt_effect *effect, enum holt_last what);

/* sync.c */

/* Say that something is missing, but not once for each message behind it. */
void holt__report_gap(struct holt_replica *replica, struct holt_peer *peer,
                      struct holt_actor *actor, uint64_t now_ms);

/* Take items of a message for this actor, rows and deaths, at most *budget of
 * them, which is lowered by those taken.  *seq becomes that of the last row
 * taken, *deaths grows by the deaths.  0 at the end, HOLT_MORE before it, or an
 * error: what was taken before it stays. */
int holt__items_take(struct holt_replica *replica, struct holt_actor *actor,
                     struct holt_message *message, uint64_t *seq,
                     uint64_t *deaths, const struct holt_time *now,
                     size_t *budget);

/* liveness.c */
static inline bool
holt_connected(const struct holt_actor *actor)
{
  return actor->presence.sight == HOLT_SIGHT_CONNECTED;
}

static inline bool
holt_present(const struct holt_actor *actor)
{
  return actor->presence.sight != HOLT_SIGHT_ABSENT;
}

/* The link on which we reach the actor, or NULL. */
static inline struct holt_peer *
holt_way(const struct holt_actor *actor)
{
  struct holt_peer *const link = actor->presence.link;
  return link != NULL && link->up && !link->missing ? link : NULL;
}

/* We hear the actor itself: its hello has come. */
void holt__sight_found(struct holt_replica *replica, struct holt_actor *actor,
                       struct holt_peer *peer, uint64_t now_ms);

/* We do not hear it any more: ask the others. */
void holt__sight_lost(struct holt_replica *replica, struct holt_actor *actor,
                      uint64_t now_ms);

/* It is not there, and nobody is to be asked: its rows are gone from the view
 * at once, at a cost that does not depend on how many there are. */
void holt__sight_absent(struct holt_replica *replica, struct holt_actor *actor,
                        uint64_t now_ms);

/* Another session with this peer begins: what is under way is void, and what it
 * was asked it is asked again.  Its vouches stand till they lapse. */
void holt__liveness_session(struct holt_replica *replica,
                            struct holt_peer *peer);

/* The peer is gone, and so are its vouches. */
void holt__liveness_drop(struct holt_replica *replica, struct holt_peer *peer);

/* What a vector of this peer says of an actor that is not the peer's own. */
void holt__liveness_vector(struct holt_replica *replica, struct holt_peer *peer,
                           const struct holt_vector_item *item,
                           struct holt_actor *actor, uint64_t now_ms);

/* An actor of whom we know through this peer only: ask it. */
void holt__liveness_ask(struct holt_actor *actor, struct holt_peer *peer);

int holt__liveness_apply(struct holt_replica *replica,
                         const struct holt_message *message,
                         struct holt_peer *peer, const struct holt_time *now);
bool holt__liveness_send(struct holt_replica *replica, struct holt_peer *peer,
                         struct holt_effect *effect, uint64_t now_ms);
bool holt__liveness_wants(const struct holt_peer *peer);
void holt__liveness_busy(struct holt_replica *replica, struct holt_peer *peer);

/* What time alone decides; when that is due next. */
void holt__liveness_expire(struct holt_replica *replica,
                           const struct holt_time *now);
uint64_t holt__liveness_due_ms(const struct holt_replica *replica);

/* The peer of the best vouch there is for this actor, or NULL; *version becomes
 * what that holds of it. */
struct holt_peer *holt__voucher(const struct holt_replica *replica,
                                const struct holt_actor *actor, uint64_t now_ms,
                                uint64_t *version);
bool holt__vouches(const struct holt_replica *replica, struct holt_actor *actor,
                   const struct holt_peer *peer, uint64_t now_ms);

/* forward.c */

/* A peer asks for a repair of this actor, and to be forwarded what comes after
 * it.  HOLT_ERR_STALE (we do not hear it), HOLT_ERR_NOMEM. */
int holt__forward_begin(struct holt_replica *replica, struct holt_peer *peer,
                        struct holt_actor *actor);

/* The last piece of that repair, to here, has been written; it has to be
 * written again; nobody has said that it came; the repair is over. */
void holt__forward_from(struct holt_replica *replica, struct holt_peer *peer,
                        struct holt_actor *actor, uint64_t cursor);
void holt__forward_back(struct holt_replica *replica, struct holt_peer *peer,
                        struct holt_actor *actor);
void holt__forward_silent(struct holt_replica *replica, struct holt_peer *peer,
                          struct holt_actor *actor);
void holt__forward_over(struct holt_replica *replica, struct holt_peer *peer,
                        struct holt_actor *actor);

/* A delta of the actor, from itself, is in; our copy has come to its version in
 * another way. */
void holt__forward_delta(struct holt_replica *replica, struct holt_actor *actor,
                         const struct holt_message *message);
void holt__forward_jump(struct holt_replica *replica, struct holt_actor *actor);

/* The peer has acknowledged what was forwarded.  HOLT_ERR_STALE (nothing is, to
 * it), HOLT_ERR_MALFORMED. */
int holt__forward_ack(struct holt_replica *replica, struct holt_peer *peer,
                      const struct holt_ack *ack);

/* End those to a peer, of an actor, or both; NULL: any. */
void holt__forwards_end(struct holt_replica *replica,
                        const struct holt_peer *peer,
                        const struct holt_actor *actor);

/* What is to be sent to this peer; whether something is; when time alone will
 * bring it; it was not taken. */
bool holt__forward_send(struct holt_replica *replica, struct holt_peer *peer,
                        struct holt_effect *effect, uint64_t now_ms);
bool holt__forward_wants(const struct holt_peer *peer);
uint64_t holt__forward_due_ms(const struct holt_peer *peer);
void holt__forward_busy(struct holt_replica *replica, struct holt_peer *peer);

/* follow.c */

/* We cannot hear the actor: begin to follow it through its best voucher, unless
 * that is done or cannot be done now. */
void holt__follow(struct holt_replica *replica, struct holt_actor *actor,
                  uint64_t now_ms);

/* Do not, any more; its voucher is told if it is there. */
void holt__follow_stop(struct holt_replica *replica, struct holt_actor *actor);

/* Nothing comes from this link any more, nor goes there. */
void holt__follow_drop(struct holt_replica *replica,
                       const struct holt_peer *peer);

/* This peer is to forward the actor's stream to us. */
static inline bool
holt_follows(const struct holt_actor *actor, const struct holt_peer *peer)
{
  return actor->presence.follow == peer->id &&
         (!holt_connected(actor) || holt_mutant(FOLLOW_KEPT));
}

/* Tell who forwards it how far it has come, and if something is missing; or
 * that it is not wanted from there. */
void holt__follow_ack(struct holt_actor *actor, struct holt_peer *peer,
                      bool gap);
void holt__follow_refuse(struct holt_actor *actor, struct holt_peer *peer);

/* Nothing good comes from this voucher: try another one. */
void holt__follow_fail(struct holt_replica *replica, struct holt_actor *actor,
                       uint64_t now_ms);

/* What follows from a vector of any peer: the stream has stalled. */
void holt__follow_vector(struct holt_replica *replica, struct holt_actor *actor,
                         uint64_t version, uint64_t now_ms);

/* The voucher says from where on it can go on. */
void holt__follow_lost(struct holt_replica *replica, struct holt_peer *peer,
                       struct holt_actor *actor, uint64_t base,
                       uint64_t now_ms);

/* Who forwards our own stream says how far another has come with it. */
int holt__reached_apply(struct holt_replica *replica,
                        const struct holt_peer *peer,
                        const struct holt_reached *reached);

/* What is to be said to this peer; whether something is; it was not taken. */
bool holt__follow_send(struct holt_replica *replica, struct holt_peer *peer,
                       struct holt_effect *effect, uint64_t now_ms);
bool holt__follow_wants(const struct holt_peer *peer);
void holt__follow_busy(struct holt_replica *replica, struct holt_peer *peer);

/* vector.c */
bool holt__vector_send(struct holt_replica *replica, struct holt_peer *peer,
                       struct holt_effect *effect, const struct holt_time *now);
int holt__vector_apply(struct holt_replica *replica,
                       const struct holt_message *message,
                       struct holt_peer *peer, const struct holt_time *now);
uint64_t holt__digest(const struct holt_replica *replica);

/* serve.c */
int holt__serve_request(struct holt_replica *replica, struct holt_peer *peer,
                        const struct holt_request *request, uint64_t now_ms);

/* The next piece for this peer, or the refusal of one.  False: nothing. */
bool holt__serve_send(struct holt_replica *replica, struct holt_peer *peer,
                      struct holt_effect *effect, uint64_t now_ms);
bool holt__serve_wants(const struct holt_replica *replica,
                       const struct holt_peer *peer);
void holt__serve_busy(struct holt_replica *replica,
                      const struct holt_peer *peer);
void holt__serve_refusal_busy(struct holt_peer *peer);

/* A repair of this actor is being served to this peer. */
bool holt__serves(const struct holt_replica *replica,
                  const struct holt_peer *peer, const struct holt_actor *actor);

/* End those of a peer, of an actor, or of both; NULL: any. */
void holt__serves_end(struct holt_replica *replica,
                      const struct holt_peer *peer,
                      const struct holt_actor *actor);

/* End those that do not move; when the next of them will be due. */
void holt__serves_expire(struct holt_replica *replica, uint64_t now_ms);
uint64_t holt__serves_due_ms(const struct holt_replica *replica);

/* For struct holt_rows. */
void holt__serve_death(void *user, const struct holt_actor *actor, uint64_t seq,
                       uint64_t birth, enum holt_reason why);

/* repair.c */

/* Ask this peer, which holds the actor at this version, for a repair, unless
 * one runs already or there are too many.  actor may be unknown: NULL. */
void holt__repair_ask(struct holt_replica *replica, struct holt_peer *peer,
                      uint64_t actor_id, uint64_t version, uint64_t now_ms);
int holt__repair_apply(struct holt_replica *replica,
                       struct holt_message *message, struct holt_peer *peer,
                       const struct holt_time *now, size_t *budget);
bool holt__repair_send(struct holt_replica *replica, struct holt_peer *peer,
                       struct holt_effect *effect, uint64_t now_ms);
bool holt__repair_wants(const struct holt_replica *replica,
                        const struct holt_peer *peer);
void holt__repair_busy(struct holt_replica *replica,
                       const struct holt_peer *peer);

/* Let go of the repair from a peer, of an actor, or both; NULL: any. */
void holt__repairs_end(struct holt_replica *replica,
                       const struct holt_peer *peer,
                       const struct holt_actor *actor);

/* Ask again, or let go, where nothing comes; when that is due next. */
void holt__repairs_expire(struct holt_replica *replica, uint64_t now_ms);
uint64_t holt__repairs_due_ms(const struct holt_replica *replica);
const struct holt_repair *holt__repair_of(const struct holt_replica *replica,
                                          const struct holt_actor *actor);

#endif /* HOLT_CORE_STATE_H */
