/* SPDX-License-Identifier: Apache-2.0 */
/* Replica: one member's copy of a registry, and its part of the protocol.
 *
 * How does the same protocol run inside the BEAM, inside a daemon and inside a
 * simulator?  It does no input or output.  The host tells the replica what
 * happened, with the time, and asks it what to do now:
 *
 *                    register, unregister, owner_dead
 *                    peer_up, peer_down, hello, apply
 *        host  ------------------------------------------>  replica
 *              <------------------------------------------
 *                    poll: hello, send, conflict, nothing until ...
 *
 * Nothing happens behind the host's back: an event changes the state at once,
 * poll hands out one effect a call until it says HOLT_EFFECT_NONE, and with
 * that the time at which it wants to be asked again.  Encoding happens in poll,
 * so whatever gathered since the last one leaves in one message.
 *
 * Who owns which bytes:
 *   - every pointer in an argument is borrowed for the call; the replica copies
 *     what it keeps;
 *   - pointers in a struct holt_view belong to the replica and are good until
 *     the next call that changes it;
 *   - pointers in a struct holt_effect belong to the replica and are good until
 *     the next call of holt_replica_poll() or holt_replica_delete();
 *   - a struct holt_message borrows the header and body it was opened on until
 *     it is closed; holt_message_move() tells it that they have moved.
 *
 * Order:   the view of equal states is equal everywhere, whatever order the
 *          messages came in.
 * Cost:    no call does more than a bounded piece of work: what may take longer
 *          takes a budget, or is left for the next poll.
 * Memory:  through the account in the configuration, which must outlive it.
 * Threads: none.  Functions that take a const replica may run side by side,
 *          all others need it alone.
 *
 * The data is a delta-state CRDT (Almeida, Shoker, Baquero: Delta state
 * replicated data types, 2016) with one writer per row; docs/architecture.md
 * tells the way of a name through it, docs/wire.md the bytes.
 */
#ifndef HOLT_REPLICA_H
#define HOLT_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>
#include <holt/mem.h>
#include <holt/member.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most links one replica keeps at a time. */
#define HOLT_PEERS_MAX 1024u

/* The most that message_bytes_max and value_bytes_max may be (more counts as
 * that); key_bytes_max may be HOLT_KEY_BYTES_LIMIT.  They bound what a replica
 * sends and what its users may register; what it takes from others is bounded
 * by these limits, so that members with smaller numbers take part.  A message
 * of more than HOLT_MESSAGE_BYTES_LIMIT has one row. */
#define HOLT_MESSAGE_BYTES_LIMIT 262144u
#define HOLT_VALUE_BYTES_LIMIT 16777216u

/* What members of an instance agree on, as hellos compare it.  Members of
 * another kind (the low byte) are refused; where only the rule differs, a
 * name goes to the member that keeps the newest, or else to the one that has
 * somebody decide. */
#define HOLT_POLICY_UNIQUE_KEEP_NEWEST UINT64_C(0x0001)
#define HOLT_POLICY_UNIQUE_KEEP_OLDEST UINT64_C(0x0101)
#define HOLT_POLICY_UNIQUE_CUSTOM UINT64_C(0x0201)
#define HOLT_POLICY_DUPLICATE UINT64_C(0x0002)

struct holt_replica;
struct holt_message;

/* Now.  Deadlines follow mono_ms, stamps follow wall_ms. */
struct holt_time {
  uint64_t mono_ms; /* Never goes back. */
  uint64_t wall_ms; /* Since 1970. */
};

/* Limits and timings.  holt_tuning_init() sets the defaults named here. */
struct holt_tuning {
  uint64_t vector_interval_ms; /* 1,000: what was lost is noticed by then. */
  uint64_t replica_restart_ms; /* 2,000: a missing replica still counts. */
  uint64_t probe_ms;           /* 500: silence of who is asked is a no. */
  uint64_t vouch_ms;           /* 2,000: then a vouch lapses. */
  uint64_t flap_ms_max;        /* 30,000: the longest wait of one that flaps. */
  uint64_t forget_after_ms;    /* 86,400,000: then an absent actor is freed. */
  uint64_t clock_bound_ms;     /* 5,000: how far a stamp may run ahead of the
                                * median clock of the members. */
  size_t window_bytes;         /* 262,144: unacknowledged per peer. */
  size_t message_bytes_max;    /* 65,536: a message with more than one row. */
  size_t key_bytes_max;        /* 8,192 */
  size_t value_bytes_max;      /* 1,048,576 */
};

void holt_tuning_init(struct holt_tuning *tuning);

struct holt_config {
  struct holt_mem *mem; /* Borrowed; outlives the replica. */
  struct holt_member member;
  uint64_t actor;        /* Random, new for each start; never 0. */
  uint32_t creation;     /* Of the node. */
  uint64_t hash_seed[2]; /* Random and secret: keys the index. */
  uint64_t entropy;      /* Random: sessions are drawn from it. */
  uint64_t policy;       /* HOLT_POLICY_ */
  struct holt_tuning tuning;
};

/* HOLT_ERR_NOMEM. */
HOLT_API int holt_replica_new(struct holt_replica **out,
                              const struct holt_config *config,
                              const struct holt_time *now);

/* Free at most budget rows; true when none is left, so that deleting is quick.
 * Nothing but drain and delete may follow. */
HOLT_API bool holt_replica_drain(struct holt_replica *replica, size_t budget);
HOLT_API void holt_replica_delete(struct holt_replica *replica);

/* The node has another name now: become another actor with the same rows.  All
 * peers are forgotten.  All or nothing.  HOLT_ERR_NOMEM. */
HOLT_API int holt_replica_rename(struct holt_replica *replica, uint64_t actor,
                                 const struct holt_member *member,
                                 uint32_t creation,
                                 const struct holt_time *now);

/*--------------------------------------------------------------------
 * Names */

/* One registration, as found. */
struct holt_view {
  const uint8_t *key; /* Canonical bytes. */
  const uint8_t *value;
  size_t key_size;
  size_t value_size;
  uint64_t actor;
  uint64_t seq;   /* Changes with each update. */
  uint64_t birth; /* Stays. */
  uint64_t stamp;
  bool standby;        /* It waits for the name, or has it as the first. */
  bool early;          /* Registered before its node had met another, or in
                        * the place of one that was. */
  bool local;          /* The process is the host's. */
  uint64_t host;       /* Its host word, if local. */
  const uint8_t *node; /* The rest makes the pid, if it is not. */
  uint16_t node_size;
  uint32_t creation;
  uint32_t id;
  uint32_t serial;
};

/* Called with each view; false ends the visit. */
typedef bool (*holt_view_fn)(void *user, const struct holt_view *view);

/* Who has this key now?  False: nobody. */
HOLT_API bool holt_replica_find(const struct holt_replica *replica,
                                const uint8_t *key, size_t key_size,
                                struct holt_view *view);

/* Make a local process known before its first registration.  host is the word
 * that names it in views and conflicts, not 0.  The host watches the process
 * from now on and says holt_replica_owner_dead() when it has ended.
 * HOLT_ERR_NOMEM, HOLT_ERR_EXISTS (known already: fine), HOLT_ERR_DEAD (known
 * to be dead). */
HOLT_API int holt_replica_owner_add(struct holt_replica *replica, uint32_t id,
                                    uint32_t serial, uint64_t host);

/* Forget a process without names, because it could not be watched. */
HOLT_API void holt_replica_owner_forget(struct holt_replica *replica,
                                        uint32_t id, uint32_t serial);

/* A local process has ended.  Its names are gone from the view at once and are
 * removed in slices by poll.  Unknown processes are ignored. */
HOLT_API void holt_replica_owner_dead(struct holt_replica *replica, uint32_t id,
                                      uint32_t serial);

/* A registration waits behind all others of its key that do not, for ever. */
#define HOLT_REGISTER_STANDBY 0x02u

/* It takes the place of another registration, named by actor and birth, whose
 * node then removes it without a conflict. */
#define HOLT_REGISTER_REPLACES 0x04u

struct holt_registration {
  const uint8_t *key; /* Canonical bytes.  Borrowed, as is value. */
  const uint8_t *value;
  size_t key_size;
  size_t value_size;
  uint32_t id; /* A local process made known before. */
  uint32_t serial;
  uint8_t flags;
  uint64_t replaces_actor; /* With HOLT_REGISTER_REPLACES. */
  uint64_t replaces_birth;
};

/* Register a key for a local process.  Unique keys: the key of a dead local
 * process is taken over in the same step, one death, one birth; a standby may
 * be registered beside a holder.  Duplicate keys: one more row, and flags mean
 * nothing.  *birth, if not NULL, becomes the birth of the new row, which is
 * also its seq.
 *
 * HOLT_ERR_EXISTS     somebody has it, and is not who is to be replaced: see
 *                     holt_replica_find().
 * HOLT_ERR_NOT_FOUND  the process is not known; or nobody has the key in which
 *                     somebody is to be replaced.
 * HOLT_ERR_DEAD       the process is dead.
 * HOLT_ERR_UNSUPPORTED  a standby that replaces.
 * HOLT_ERR_POLICY     the registration to replace is of a member that keeps the
 *                     newest, and we keep the oldest.
 * HOLT_ERR_LIMIT      the registration to replace is stamped at an end of time.
 * HOLT_ERR_TOO_LARGE  value_size is over value_bytes_max.
 * HOLT_ERR_NOMEM      nothing was changed. */
HOLT_API int holt_replica_register(struct holt_replica *replica,
                                   const struct holt_time *now,
                                   const struct holt_registration *registration,
                                   uint64_t *birth);

/* Take a registration of a local process away.  *seq becomes the version at
 * which it is gone.  HOLT_ERR_NOT_FOUND: there is none of this birth. */
HOLT_API int holt_replica_unregister(struct holt_replica *replica,
                                     uint64_t birth, uint64_t *seq);

/* Likewise, because nobody may keep the key: the reason that is told is
 * HOLT_REASON_CONFLICT. */
HOLT_API int holt_replica_drop(struct holt_replica *replica, uint64_t birth,
                               uint64_t *seq);

/* Change the value of a registration of a local process, if it is still as seen
 * at seq; *seq becomes the new one.  HOLT_ERR_NOT_FOUND, HOLT_ERR_STALE (it is
 * another now), HOLT_ERR_TOO_LARGE, HOLT_ERR_NOMEM. */
HOLT_API int holt_replica_update(struct holt_replica *replica, uint64_t birth,
                                 uint64_t *seq, const uint8_t *value,
                                 size_t value_size);

/* Duplicate keys: the row of a local process under this key, the youngest if it
 * has several; O(1) in lists of any size.  False: none, or keys are unique. */
HOLT_API bool holt_replica_member(const struct holt_replica *replica,
                                  const uint8_t *key, size_t key_size,
                                  uint32_t id, uint32_t serial,
                                  struct holt_view *view);

/* How many rows are shown under this key; on one node only, if node is not
 * NULL.  O(members of the instance that have the key). */
HOLT_API size_t holt_replica_count_key(const struct holt_replica *replica,
                                       const uint8_t *key, size_t key_size,
                                       const uint8_t *node, size_t node_size);

/* One row of a key, in the view or not. */
struct holt_explained {
  struct holt_view view;
  struct holt_member member; /* Of its actor. */
  bool visible; /* Its actor is shown, its process not known to be dead. */
  bool winner;  /* Who looks the key up finds it. */
};

/* No answer has more rows than this. */
#define HOLT_EXPLAIN_ROWS_MAX 64u

/* The rows of a key, whether they are in the view or not: at most max of them,
 * those that rank first (duplicate keys: any).  Returns how many the key has;
 * pointers are those of views.  O(members that have the key). */
HOLT_API size_t holt_replica_explain(const struct holt_replica *replica,
                                     const uint8_t *key, size_t key_size,
                                     struct holt_explained *explained,
                                     size_t max);

/* Names in the view.  Exact, but for what poll does in slices: the names of
 * local processes that have just ended count until they are removed, and names
 * that several members claim are recounted when a member comes or goes. */
HOLT_API size_t holt_replica_count(const struct holt_replica *replica);

/* The same where keys are unique; where they are duplicate, the rows shown. */
HOLT_API size_t holt_replica_count_entries(const struct holt_replica *replica);

/* Registrations of processes of this node that are shown, those that wait for a
 * name, or have just lost one, among them.  O(actors). */
HOLT_API size_t holt_replica_count_node(const struct holt_replica *replica,
                                        const uint8_t *node, size_t node_size);

/* Visit some of the names: cursor is 0 at first, then what was returned; 0
 * again means that all have been visited.  Each name that is there from the
 * first call to the last is visited once. */
HOLT_API uint64_t holt_replica_scan(const struct holt_replica *replica,
                                    uint64_t cursor, holt_view_fn visit,
                                    void *user);

/* The same where keys are unique; where they are duplicate, each row that is
 * visible. */
HOLT_API uint64_t holt_replica_scan_entries(const struct holt_replica *replica,
                                            uint64_t cursor, holt_view_fn visit,
                                            void *user);

/* The same, of the keys that are binaries and begin so, or of all (NULL), some
 * dozens at a time, which is many times as fast.  visit cannot end it. */
HOLT_API uint64_t holt_replica_scan_prefix(const struct holt_replica *replica,
                                           uint64_t cursor,
                                           const uint8_t *prefix,
                                           size_t prefix_size,
                                           holt_view_fn visit, void *user);

/* A process of any node, as its pid says. */
struct holt_process {
  const uint8_t *node;
  uint16_t node_size;
  uint32_t creation;
  uint32_t id;
  uint32_t serial;
};

/* Visit the names of a process in the order of registration, or the rows of a
 * key, in pieces: start, then next until it returns false, then stop.  start
 * and stop change the replica; between calls it may change in every way.
 * HOLT_ERR_NOT_FOUND (there are none; nothing to stop), HOLT_ERR_NOMEM. */
struct holt_tour;
HOLT_API int holt_tour_start(struct holt_replica *replica,
                             const struct holt_process *process,
                             struct holt_tour **out);
HOLT_API int holt_tour_start_key(struct holt_replica *replica,
                                 const uint8_t *key, size_t key_size,
                                 struct holt_tour **out);
HOLT_API bool holt_tour_next(const struct holt_replica *replica,
                             struct holt_tour *tour, size_t budget,
                             holt_view_fn visit, void *user);
HOLT_API void holt_tour_stop(struct holt_replica *replica,
                             struct holt_tour *tour);

/*--------------------------------------------------------------------
 * Watching
 *
 * Who watches is told of each change of what is seen, so that it could keep a
 * copy.  What was told differs from what is found in two ways: a name of a
 * local process that has ended is there until poll removes it, so that one end
 * is told once, and of a name that goes over to another at once, one change;
 * and names that several members claim follow a member that comes or goes when
 * poll has come to them.
 *
 * One change stands for all names of a member: MEMBER_DOWN takes those that it
 * has, by what was told; MEMBER_UP brings those that it registers and nobody
 * else has.  What they are is not told; they are in the view.  After one that
 * comes and goes quickly who has a name may be told again, with the reason
 * MEMBER, and nobody before. */

enum holt_change_type {
  HOLT_CHANGE_REGISTERED,   /* now has the key; before, if had, had it. */
  HOLT_CHANGE_UPDATED,      /* now is before with another value. */
  HOLT_CHANGE_UNREGISTERED, /* before had the key, and nobody has it now. */
  HOLT_CHANGE_MEMBER_UP,
  HOLT_CHANGE_MEMBER_DOWN
};

/* Why somebody has a key no more, as far as is known here. */
enum holt_reason {
  HOLT_REASON_USER,       /* It was unregistered, or updated. */
  HOLT_REASON_DOWN,       /* Its process has ended. */
  HOLT_REASON_CONFLICT,   /* It was outranked, or lost a contest. */
  HOLT_REASON_GIVEN_AWAY, /* Another was registered in its place. */
  HOLT_REASON_UNKNOWN,    /* A repair has shown that it has gone. */
  HOLT_REASON_MEMBER      /* Its member went; or, that has it now, came. */
};
#define HOLT_REASON_MAX HOLT_REASON_MEMBER

struct holt_change {
  enum holt_change_type type;
  enum holt_reason reason; /* Of before, if there is one. */
  bool had;                /* before is valid. */
  struct holt_view now;    /* REGISTERED, UPDATED; else zeros. */
  struct holt_view before; /* As it was. */

  /* MEMBER_: who, and how many registrations it has. */
  struct holt_member member;
  uint64_t actor;
  size_t count;
};

/* Called inside of other calls: it must not call the replica.  What the change
 * points to is good for the call. */
typedef void (*holt_change_fn)(void *user, const struct holt_change *change);

/* From now on tell watch of changes; NULL: nobody.  What poll has left to do is
 * told, too, so the first changes may say what is in the view already, or that
 * somebody has gone who is not in it. */
HOLT_API void holt_replica_watch(struct holt_replica *replica,
                                 holt_change_fn watch, void *user);

/*--------------------------------------------------------------------
 * Contests
 *
 * With HOLT_POLICY_UNIQUE_CUSTOM nobody loses a name by rank.  Whoever has it
 * is given HOLT_EFFECT_CONTEST, finds out who is to have it, and has the other
 * member, or itself, say that its row gives way:
 *
 *     rows of "bob"    7 (has it)             9
 *                      | contest 7, 9         |
 *                      | the host decides     |
 *                      |-- 7 wins ----------->| lose(own 9, winner 7)
 *                      | 9 wins:              |
 *                      | lose(own 7, winner 9)|
 *
 * Meanwhile the name is found where rank has put it. */

/* Our row of this birth gives way to the row of winner_actor that was born at
 * winner_birth, if both are there, under one unique key: it is removed as after
 * any conflict (HOLT_EFFECT_CONFLICT), or, with stand_by, becomes one that
 * waits for the name, of the same process with the same value, and nobody is
 * told.  HOLT_ERR_NOT_FOUND: one of them is not there, or waits already.
 * HOLT_ERR_NOMEM: nothing was changed. */
HOLT_API int holt_replica_lose(struct holt_replica *replica,
                               const struct holt_time *now, uint64_t own_birth,
                               uint64_t winner_actor, uint64_t winner_birth,
                               bool stand_by);

/*--------------------------------------------------------------------
 * Peers */

enum holt_down {
  HOLT_DOWN_LINK,
  HOLT_DOWN_REPLICA
};

/* There is a link to this member's node.  *peer is the handle of this link;
 * for a member that has one already, a new session on it begins.
 * HOLT_ERR_NOMEM, HOLT_ERR_LIMIT (HOLT_PEERS_MAX). */
HOLT_API int holt_replica_peer_up(struct holt_replica *replica,
                                  const struct holt_member *member,
                                  const struct holt_time *now, uint32_t *peer);

/* HOLT_DOWN_LINK: the link is gone.  The others are asked whether they reach
 * the member; when none does its names are gone, all at once.
 * HOLT_DOWN_REPLICA: only the replica behind it is missing; for
 * replica_restart_ms it counts as connected.  Unknown peers are ignored. */
HOLT_API void holt_replica_peer_down(struct holt_replica *replica,
                                     uint32_t peer, enum holt_down down,
                                     const struct holt_time *now);

/* The last effect could not be sent to this peer; nothing is lost by that. */
HOLT_API void holt_replica_peer_busy(struct holt_replica *replica,
                                     uint32_t peer,
                                     const struct holt_time *now);

/* A hello came from this member.  *peer is its link, made when there was none.
 * HOLT_ERR_MALFORMED, HOLT_ERR_VERSION, HOLT_ERR_POLICY, HOLT_ERR_STALE (its
 * actor is gone, or another's), HOLT_ERR_LIMIT, HOLT_ERR_NOMEM: refused and
 * counted. */
HOLT_API int holt_replica_hello(struct holt_replica *replica,
                                const struct holt_member *member,
                                const uint8_t *bytes, size_t size,
                                const struct holt_time *now, uint32_t *peer);

/* Say to all peers that this member is gone for good, or is hidden until it
 * says otherwise.  poll hands the news out, and nothing else from now on; once
 * it says NONE, and that nothing is due, all have been told.  Who goes on
 * talking to us is told again.  holt_replica_resume() takes a pause back. */
enum holt_goodbye {
  HOLT_GOODBYE_ENDED = 1,
  HOLT_GOODBYE_PAUSED = 2
};
HOLT_API void holt_replica_goodbye(struct holt_replica *replica,
                                   enum holt_goodbye goodbye);
HOLT_API void holt_replica_resume(struct holt_replica *replica,
                                  const struct holt_time *now);

/* Read and check a message, without a replica; what it may hold is bounded by
 * the fixed limits above.  Refusals as values, for holt_replica_refused():
 * HOLT_ERR_MALFORMED, HOLT_ERR_TOO_LARGE, HOLT_ERR_LIMIT, HOLT_ERR_VERSION,
 * HOLT_ERR_UNSUPPORTED, HOLT_ERR_TOO_DEEP, HOLT_ERR_NOMEM. */
HOLT_API int holt_message_open(struct holt_message **out, struct holt_mem *mem,
                               const uint8_t *header, size_t header_size,
                               const uint8_t *body, size_t body_size);
HOLT_API void holt_message_move(struct holt_message *message,
                                const uint8_t *body);
HOLT_API void holt_message_close(struct holt_message *message);

/* What holt_replica_apply() returns when the message is not used up. */
#define HOLT_MORE 1

/* Apply a message, at most about budget rows of it.
 *
 * 0                done.   HOLT_MORE  call again before any other message.
 * HOLT_ERR_STALE   it belongs to another session, or to an actor that is gone.
 * HOLT_ERR_MALFORMED, HOLT_ERR_NOMEM: refused and counted; what is missing
 *                  will be asked for again. */
HOLT_API int holt_replica_apply(struct holt_replica *replica,
                                struct holt_message *message,
                                const struct holt_time *now, size_t budget);

/* Count a refusal that happened before the replica saw the message; header, if
 * not NULL, is the message's: it says whose it was. */
HOLT_API void holt_replica_refused(struct holt_replica *replica,
                                   const uint8_t *header, size_t header_size,
                                   int error);

/*--------------------------------------------------------------------
 * Effects */

#define HOLT_HEADER_BYTES 17u

/* One receiver of a message, and the header made for it. */
struct holt_target {
  uint32_t peer;
  uint8_t header[HOLT_HEADER_BYTES];
};

enum holt_effect_type {
  HOLT_EFFECT_NONE,     /* Ask again in timeout_ms, or after the next event. */
  HOLT_EFFECT_HELLO,    /* Send bytes, a hello, to targets[0].peer. */
  HOLT_EFFECT_SEND,     /* Send bytes behind its header to each target. */
  HOLT_EFFECT_CONFLICT, /* A local process has lost a name: tell it. */
  HOLT_EFFECT_CONTEST   /* Ours has a name that another row claims: have it
                       * decided.  It comes again about every second. */
};

struct holt_effect {
  enum holt_effect_type type;
  uint64_t timeout_ms; /* Of NONE; 0: at once, after other events. */
  const struct holt_target *targets;
  size_t target_count;
  const uint8_t *bytes;
  size_t size;

  /* Of CONFLICT: the row as it was, and who has the name now, without key and
   * value.  Of CONTEST: the row that ranks next, and ours, which has the name;
   * both with key and value. */
  struct holt_view loser;
  struct holt_view winner;
  bool replaced; /* The winner was registered to take the loser's place. */
  struct holt_member member; /* The loser's. */
};

HOLT_API void holt_replica_poll(struct holt_replica *replica,
                                const struct holt_time *now,
                                struct holt_effect *effect);

/* True, once, when poll has said NONE and an event has since made work for it:
 * the host then wakes whoever polls. */
HOLT_API bool holt_replica_wake(struct holt_replica *replica);

/*--------------------------------------------------------------------
 * Looking inside */

/* How we know of an actor.  All but ABSENT are present: their rows are in the
 * view once our copy has caught up. */
enum holt_sight {
  HOLT_SIGHT_ABSENT,   /* Nobody who is connected to us reaches it. */
  HOLT_SIGHT_SUSPECT,  /* We have lost it, and are asking the others. */
  HOLT_SIGHT_VOUCHED,  /* Others reach it. */
  HOLT_SIGHT_CONNECTED /* We reach it ourselves. */
};

struct holt_actor_info {
  uint64_t actor;
  struct holt_member member;
  uint64_t version;     /* The last fixed set it holds. */
  uint64_t cursor;      /* How far the stream has come. */
  uint64_t fingerprint; /* Equal versions, equal fingerprints. */
  size_t rows;
  size_t processes; /* With rows. */
  enum holt_sight sight;
  const struct holt_member *voucher; /* Forwards its rows to us; or NULL. */
  uint64_t absent_ms; /* ABSENT: for so long, at least, as far as is known. */
  uint64_t reached;   /* How far it has come with our rows, where a voucher says
                       * so. */
  bool self;
  bool shown;
  bool paused;    /* It has said that it will be back. */
  bool dirty;     /* Between two versions. */
  bool repairing; /* A repair of it runs here. */
};

#define HOLT_ERRORS_MAX 16

struct holt_peer_info {
  uint32_t peer;
  struct holt_member member;
  bool up;          /* A session is established. */
  bool busy;        /* Its link took nothing lately. */
  uint8_t protocol; /* Spoken with it; 0 before its hello. */
  uint64_t version; /* Ours: what it is to get. */
  uint64_t cursor;  /* How far our stream has been sent. */
  uint64_t acked;
  size_t inflight_bytes;
  bool in_sync;     /* At its last word it held what we hold now. */
  int64_t clock_ms; /* Its clock less ours, at its last word. */
  uint64_t refused[HOLT_ERRORS_MAX]; /* Of what it sent, by -error. */
};

struct holt_counters {
  uint64_t refused[HOLT_ERRORS_MAX]; /* By -error. */
  uint64_t gaps;                     /* Messages that came before their time. */
  uint64_t duplicates;
  uint64_t repairs; /* Begun: a first piece has come. */
  uint64_t repairs_served;
  uint64_t stalls;          /* Repairs given up, because nothing came. */
  uint64_t diverged;        /* Told of equal versions with unequal rows. */
  uint64_t asks;            /* Sent, about actors that we had lost. */
  uint64_t probes;          /* Sent, for others. */
  uint64_t vouches;         /* That others gave us. */
  uint64_t vouches_lapsed;  /* And did not renew, or withdrew. */
  uint64_t forwarded;       /* Deltas of others, passed on. */
  uint64_t forwarded_bytes; /* And their bytes, headers aside. */
  uint64_t flaps;           /* Returns that were made to wait. */
  uint64_t backwards;       /* Returns with less than was known of them: had
                             * anew. */
  uint64_t conflicts;       /* Names that local processes lost. */
  uint64_t mixed_rules;     /* Conflicts between members with other rules. */
  uint64_t stamps_refused;  /* Seen beyond the bound of the clock. */
  uint64_t stamps_capped;   /* Own ones held back to it. */
};

/* Their names, but for refused, for who tells them all. */
#define HOLT_COUNTERS(XX)                                                      \
  XX(gaps)                                                                     \
  XX(duplicates)                                                               \
  XX(repairs)                                                                  \
  XX(repairs_served)                                                           \
  XX(stalls)                                                                   \
  XX(diverged)                                                                 \
  XX(backwards)                                                                \
  XX(asks)                                                                     \
  XX(probes)                                                                   \
  XX(vouches)                                                                  \
  XX(vouches_lapsed)                                                           \
  XX(forwarded)                                                                \
  XX(forwarded_bytes)                                                          \
  XX(flaps)                                                                    \
  XX(conflicts)                                                                \
  XX(mixed_rules)                                                              \
  XX(stamps_refused)                                                           \
  XX(stamps_capped)

HOLT_API void holt_replica_counters(const struct holt_replica *replica,
                                    struct holt_counters *counters);

/* Visit actors (absent ones included) and peers. */
HOLT_API void holt_replica_actors(
  const struct holt_replica *replica,
  void (*visit)(void *user, const struct holt_actor_info *actor), void *user);
HOLT_API void holt_replica_peers(
  const struct holt_replica *replica,
  void (*visit)(void *user, const struct holt_peer_info *peer), void *user);

/* All peers that are up have what we have, of every member that is connected,
 * at their last word: see the digest in docs/wire.md.  False while a peer is
 * missing. */
HOLT_API bool holt_replica_in_sync(const struct holt_replica *replica);

/* Of members: those that have been seen, have not said that they are gone for
 * good, and have not been evicted or forgotten; and of these the ones that are
 * present.  We are in both.  O(actors), and for those absent O(actors) each. */
struct holt_census {
  size_t known;
  size_t present;
};
HOLT_API void holt_replica_census(const struct holt_replica *replica,
                                  struct holt_census *census);

/* Members that are present, but ourselves; and how many of them are known to
 * hold what we wrote at seq. */
struct holt_acks {
  size_t members;
  size_t acked;
};
HOLT_API void holt_replica_acks(const struct holt_replica *replica,
                                uint64_t seq, struct holt_acks *acks);

/* Forget a member that is absent now, and not only when it has been for
 * forget_after_ms.  HOLT_ERR_EXISTS: it is present.  HOLT_ERR_NOT_FOUND: nobody
 * knows it. */
HOLT_API int holt_replica_evict(struct holt_replica *replica,
                                const struct holt_member *member);

/* Whether the copy of this actor has come to seq and takes part in the view:
 * what was written at seq is seen here. */
HOLT_API bool holt_replica_reached(const struct holt_replica *replica,
                                   uint64_t actor, uint64_t seq);

#ifdef __cplusplus
}
#endif

#endif /* HOLT_REPLICA_H */
