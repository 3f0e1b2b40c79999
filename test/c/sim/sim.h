/* SPDX-License-Identifier: Apache-2.0 */
/* Simulator: a whole cluster in one process, in virtual time.
 *
 * Which interleavings does a real cluster of two machines never show?  Those
 * that break it.  Here every replica is the one that ships, hosted by a few
 * lines that do what the real host does; the network, the clocks, the deaths
 * and the memory are ours, and every choice is drawn from one seed.
 *
 *     seed -> script: options, and a list of steps     sim_script.c
 *                |
 *             play: step, pause, step, pause, rest     sim_play.c
 *                |
 *     node 0     v               links                       node 1
 *     replica  <- inbox <-- [ message, message ] <-- effects -- replica
 *        ^                                                       ^
 *        +---------------- checks after every event -------------+
 *                          against the log of each actor
 *
 * The log of an actor is the naive model: what was written, at which seq, and
 * the seq at which it ended.  The rows of the actor at version v are then the
 * entries with seq <= v < end, and every copy anywhere must be exactly that.
 *
 * The steps are drawn before anything is played, each with a seed of its own,
 * and the network draws from another generator.  So a step can be left out, and
 * the rest does the same as before, as far as it can: a run that fails is cut
 * down to the few steps that it takes, see sim_shrink.c.
 *
 * Two networks: the faithful one does what Erlang distribution does (in order,
 * nothing lost but at the end of a connection); the other one loses,
 * duplicates and reorders.
 *
 * What looks into a replica is in sim_core.c alone.
 */
#ifndef HOLT_TEST_SIM_H
#define HOLT_TEST_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/replica.h>

#include "heap.h"
#include "prng.h"
#include "sim_presence.h"
#include "twin.h"

#define SIM_KEYS_MAX 12000u
#define SIM_KEY_BYTES_MAX 48u
#define SIM_PROCESSES 5u
#define SIM_STEPS_MIN 100u
#define SIM_STEPS_MAX 400u
#define SIM_EVENTS_MIN 300u /* A shorter run waits a little longer. */
#define SIM_EVENTS_NOW_MAX 20000u
#define SIM_TRACE_LINES 120u
#define SIM_TRACE_COLUMNS 110u
#define SIM_FAILURE_BYTES 160u
#define SIM_RESTS_MAX 2u

/* Sentences about a whole state are checked after so many events of a run; with
 * many names they cost more, and come less often. */
#define SIM_WHOLE_EVENTS 50u
#define SIM_WHOLE_EVENTS_BIG 2000u

/* How many names the cheap checks look at. */
#define SIM_CHEAP_NAMES 16u

/*--------------------------------------------------------------------
 * The model */

struct holt_row_spec;
struct sim_told;

/* Something that an actor wrote.  A seq at which nothing was written but
 * something ended has an entry without birth. */
struct sim_entry {
  uint64_t birth; /* 0: a death. */
  uint64_t end;   /* UINT64_MAX while it stands. */
  uint64_t stamp; /* 0 until it is seen. */
  unsigned key;
  uint32_t owner_id;
  uint32_t owner_serial;
  uint8_t flags; /* As in its row, like the next two. */
  uint64_t replaces_actor;
  uint64_t replaces_birth;
  uint8_t *value;
  size_t value_size;
  size_t live_at;       /* In the log's list, while it stands. */
  uint64_t fingerprint; /* Of the whole actor at this version, once seen. */
  size_t rows;          /* Of the whole actor at this version. */
  bool fingerprinted;
  bool untold; /* Ended by a conflict, and its process does not know yet. */
  bool why_known;
  enum holt_reason why; /* It ended, if that is known. */
};

struct sim_log {
  struct sim_log *next;
  uint64_t actor;
  unsigned node;
  uint32_t creation;
  uint64_t version;
  struct sim_entry *entries; /* By seq. */
  size_t capacity;
  uint64_t *live; /* The seqs of what stands, in no order. */
  size_t live_count;
  size_t live_capacity;
  size_t untold_count;
  uint64_t stamp; /* The last one that its clock gave. */
  /* The farthest cursor of a copy on each node, in this life of that. */
  uint64_t reached[SIM_NODES_MAX];
  uint64_t reached_by[SIM_NODES_MAX];
  struct sim_seen seen[SIM_NODES_MAX]; /* By each node. */

  /* For the twins: what it wrote, and how far each node's twin has it. */
  struct twin twin;
  struct twin *deltas; /* By seq - 1. */
  uint64_t delta_count;
  uint64_t joined[SIM_NODES_MAX];
  uint64_t joined_by[SIM_NODES_MAX];
};

struct sim_key {
  size_t size;
  uint8_t bytes[SIM_KEY_BYTES_MAX];
};

/*--------------------------------------------------------------------
 * The world */

enum sim_message_kind {
  SIM_HELLO,
  SIM_PACKET,
  SIM_LINK_UP,
  SIM_LINK_DOWN,
  SIM_PROCESS_DOWN,
  SIM_VERDICT /* sim_contest.c */
};

/* What stands in a mailbox. */
struct sim_message {
  struct sim_message *next;
  enum sim_message_kind kind;
  unsigned from;
  uint64_t connection;  /* The one it was sent over. */
  uint64_t incarnation; /* Of the sending process. */
  uint64_t wall_ms;     /* The sender's, when it was sent. */
  uint64_t held;        /* What the sender held then: sim_held(). */
  uint64_t actor;       /* The sender's. */
  uint8_t header[HOLT_HEADER_BYTES];
  size_t size;
  uint8_t bytes[];
};

struct sim_process {
  uint32_t id;
  uint32_t serial;
  bool known;
};

/* The names of a process, or the rows of a key, visited in pieces. */
struct sim_tour {
  struct holt_tour *tour; /* NULL: none runs. */
  uint64_t number;
  bool by_key;
  unsigned key;
  unsigned of; /* The node of the process. */
  uint32_t creation;
  uint32_t id;
  uint32_t serial;
  uint64_t birth; /* Visited last. */
  size_t count;
  size_t expected; /* When it began. */
  size_t budget;
  bool at_once; /* Nothing happens in between. */
};

/* What a node ought to know of the clocks around it, see sim_clock.c. */
struct sim_clock {
  bool met;                      /* It has caught up with a first peer. */
  bool counted[SIM_NODES_MAX];   /* This one's clock is known, ... */
  int64_t offset[SIM_NODES_MAX]; /* ... so far from our monotonic one. */
  bool median_known;
  int64_t median;
  uint64_t limit_ms; /* No stamp may ever have been beyond. */
  uint64_t hello_actor[SIM_NODES_MAX];
  uint64_t hello_version[SIM_NODES_MAX];
  uint64_t heard[SIM_NODES_MAX]; /* What it held at its last word; 0: none. */
};

struct sim_node {
  char name[16];
  struct holt_member member; /* As others know it. */
  struct holt_member own;    /* As it is called at the moment. */
  struct heap heap;
  struct holt_replica *replica; /* NULL: the node is down. */
  bool running;                 /* The process around the replica. */
  bool joined;                  /* It has been up. */
  bool left;                    /* It will not be up again. */
  uint64_t incarnation;         /* Of that process. */
  struct twin twin;             /* Of the replica, where there are twins. */
  uint64_t twin_number;
  struct sim_log *log;
  uint32_t creation;
  uint64_t mono_base_ms;
  uint64_t wall_base_ms;
  uint8_t speaks_min; /* The versions of the protocol that it says it speaks. */
  uint8_t speaks_max;
  uint64_t slow_ms; /* Between two looks into its mailbox; 0: at once. */
  uint64_t slow_until_ms;
  uint64_t short_until_ms;  /* No more memory than it has. */
  uint64_t frozen_until_ms; /* It does nothing at all. */
  uint32_t peers[SIM_NODES_MAX];
  /* Of the process that greeted last, and beyond those known to be dead. */
  uint64_t peer_incarnation[SIM_NODES_MAX];
  uint64_t alive_incarnation[SIM_NODES_MAX];
  bool linked[SIM_NODES_MAX]; /* What the process knows. */
  uint64_t linked_connection[SIM_NODES_MAX];
  struct sim_message *inbox;
  struct sim_message **inbox_end;
  struct sim_message *current; /* Being applied in slices. */
  struct holt_message *open;
  uint64_t poll_number; /* Only the newest planned poll counts. */
  bool slice_planned;
  struct sim_process processes[SIM_PROCESSES];
  uint32_t next_process;
  struct sim_clock clock;
  struct sim_presence presence;
  bool fragile;  /* Its process ends in the middle of a message. */
  bool alone;    /* Its node has no name yet. */
  bool paused;   /* It has said so. */
  bool stopping; /* Its instance says goodbye, and then ends. */
  unsigned stop_polls;
  struct sim_tour tour;
  struct sim_told *told; /* NULL: nobody watches. */
  size_t look_at;        /* Where the cheap checks go on. */
};

/* A connection of two nodes; [low][high]. */
struct sim_link {
  uint64_t connection;
  bool cut;
  bool mute[2]; /* From the lower end, from the higher one: nothing arrives. */
  bool torn;    /* What is mute ends with the connection. */
  bool held;    /* Not to be healed. */
  /* Of the lower and the higher end, when it began. */
  uint64_t actors[2];
  uint64_t versions[2];
};

enum sim_event_kind {
  SIM_EVENT_DELIVER,
  SIM_EVENT_POLL,
  SIM_EVENT_SLICE,
  SIM_EVENT_START_PROCESS,
  SIM_EVENT_TOUR,
  SIM_EVENT_RESUME, /* If it is this actor. */
  SIM_EVENT_RENAME,
  SIM_EVENT_MUTE_ENDS, /* Of the link to `other`, if it is that connection. */
  SIM_EVENT_FLAP       /* Of the link to `other`, so many times more. */
};

struct sim_event {
  uint64_t at_ms;
  uint64_t order;
  enum sim_event_kind kind;
  unsigned node;
  unsigned other;
  uint64_t number;
  struct sim_message *message;
};

struct sim_options {
  unsigned nodes;   /* That there ever are. */
  unsigned members; /* That are up at the beginning. */
  unsigned keys;
  bool faithful;
  bool big;                   /* Thousands of names at a time. */
  bool duplicate;             /* The kind of all; else unique keys. */
  bool oldest[SIM_NODES_MAX]; /* The rule of each node. */
  bool custom;                /* The rule of all: hosts decide contests, */
  bool undecided;             /* or not. */
  bool twins;                 /* Each node has one: see sim_twin.c. */
  unsigned loss_percent;
  unsigned duplicate_percent;
  unsigned busy_percent;
  unsigned nomem_permille; /* Of calls in which a request is refused. */
  uint64_t delay_max_ms;
  size_t value_bytes_max;
  size_t budget_max;
  /* What each node says it speaks. */
  uint8_t speaks_min[SIM_NODES_MAX];
  uint8_t speaks_max[SIM_NODES_MAX];
  struct holt_tuning tuning;
  /* Before all is healed at the end, it rests so often with these links cut, a
   * bit each. */
  unsigned rests;
  uint32_t rest_cuts[SIM_RESTS_MAX];
};

/*--------------------------------------------------------------------
 * Scripts */

enum sim_op {
  SIM_OP_REGISTER,
  SIM_OP_UNREGISTER,
  SIM_OP_UPDATE,
  SIM_OP_EXIT,
  SIM_OP_TOUR,
  SIM_OP_TOUR_KEY,
  SIM_OP_STANDBY,
  SIM_OP_REPLACE,
  SIM_OP_TAKE_OVER,
  SIM_OP_BULK,
  SIM_OP_CUT,
  SIM_OP_HEAL,
  SIM_OP_HEAL_ALL,
  SIM_OP_PARTITION,
  SIM_OP_PARTIAL,
  SIM_OP_VOUCHER,
  SIM_OP_MUTE,
  SIM_OP_FLAP,
  SIM_OP_CRASH,
  SIM_OP_FRAGILE,
  SIM_OP_INSTANCE,
  SIM_OP_STOP,
  SIM_OP_PAUSE,
  SIM_OP_KILL,
  SIM_OP_START,
  SIM_OP_ALONE,
  SIM_OP_LEAVE,
  SIM_OP_SLOW,
  SIM_OP_FREEZE,
  SIM_OP_CLOCK,
  SIM_OP_CLOCK_FAR,
  SIM_OP_SHORT,
  SIM_OP_TRIM,
  SIM_OP_COUNT
};

/* One step.  What an argument means depends on the operation; all are drawn for
 * all of them. */
struct sim_step {
  enum sim_op op;
  bool skip; /* Left out by the shrinker. */
  unsigned at;
  unsigned other; /* Another node. */
  unsigned process;
  unsigned key;
  uint64_t number; /* 0 .. 2^16 - 1 */
  uint64_t pause_ms;
  uint64_t seed;
};

struct sim_script {
  uint64_t seed;
  uint64_t net_seed;
  struct sim_options options;
  unsigned count;
  struct sim_step steps[SIM_STEPS_MAX];
};

/* What has happened, so that a run in which nothing does is seen. */
struct sim_total {
  uint64_t runs;
  uint64_t big_runs;
  uint64_t events;
  uint64_t events_min; /* In one run. */
  uint64_t messages;
  uint64_t bytes;
  uint64_t lost; /* By the network. */
  uint64_t doubled;
  uint64_t muted;
  uint64_t names; /* Registered. */
  uint64_t conflicts;
  uint64_t early; /* Registered before their node had met another. */
  uint64_t standbys;
  uint64_t replaced;
  uint64_t capped; /* Stamps held back to the clock of the others. */
  uint64_t in_syncs;
  uint64_t contests;                         /* Handed out. */
  uint64_t verdicts[3];                      /* Lost by, stood by, too late. */
  uint64_t changes;                          /* Told to who watches. */
  uint64_t reasons[HOLT_REASON_MAX + 1];     /* Why registrations ended. */
  uint64_t goodbyes;                         /* Heard. */
  uint64_t sights[HOLT_SIGHT_CONNECTED + 1]; /* Changes to each. */
  uint64_t asks;
  uint64_t probes;
  uint64_t vouches;
  uint64_t lapsed;
  uint64_t forwards;
  uint64_t flaps;
  uint64_t forgotten;
  uint64_t rests;      /* With links cut. */
  uint64_t rest_pairs; /* Vouched for there. */
  uint64_t twin_runs;
  uint64_t twins;      /* Copies compared with a twin's. */
  uint64_t twin_views; /* And whole views. */
  uint64_t wholes;     /* Checks of everything. */
  uint64_t gaps;
  uint64_t duplicates;
  uint64_t repairs;
  uint64_t stamps_refused;
  uint64_t refused[16];       /* By -error. */
  uint64_t ops[SIM_OP_COUNT]; /* Steps that had an effect. */
};

/*--------------------------------------------------------------------
 * The simulator */

struct sim {
  uint64_t seed;
  struct prng net;    /* The network and the hosts. */
  struct prng choice; /* The step that is played. */
  struct prng twins;  /* How they join. */
  struct sim_options options;
  uint64_t now_ms;
  uint64_t order;
  struct sim_node nodes[SIM_NODES_MAX];
  struct sim_link links[SIM_NODES_MAX][SIM_NODES_MAX];
  uint64_t last_at_ms[SIM_NODES_MAX][SIM_NODES_MAX]; /* Keeps the order. */
  struct sim_event *events;                          /* A binary heap. */
  size_t event_count;
  size_t event_capacity;
  struct sim_log *logs;
  const struct sim_key *keys;
  uint64_t good_ms[SIM_NODES_MAX][SIM_NODES_MAX]; /* Since then, [low][high]. */
  uint64_t good_lives[SIM_NODES_MAX][SIM_NODES_MAX]; /* 0: not good. */
  struct sim_watch watch;
  bool hostile;  /* Somebody says what it should not. */
  bool evicting; /* Somebody says who is to be forgotten. */
  bool steady;   /* Nothing is to appear or to go. */
  bool resting;
  uint64_t events_done;
  uint64_t events_now; /* Since time went on. */
  struct sim_total total;
  bool failed;
  char failure[SIM_FAILURE_BYTES];
  bool tracing;
  char trace[SIM_TRACE_LINES][SIM_TRACE_COLUMNS];
  uint64_t trace_count;
};

/* sim_world.c: the whole of it. */

/* Options that a scenario begins with: faithful, immediate, large limits. */
void sim_options_init(struct sim_options *options);

/* All members are up and all links are about to come up. */
void sim_init(struct sim *sim, uint64_t seed, const struct sim_options *options,
              bool tracing);

/* Free everything; a heap that is not empty is a failure. */
void sim_deinit(struct sim *sim);

/* Do the next event.  False: it would be after this time (which it is now), or
 * the run has failed. */
bool sim_event(struct sim *sim, uint64_t until_ms);

/* Let time pass. */
void sim_run(struct sim *sim, uint64_t duration_ms);

/* Let time pass until the cluster has converged; a failure when it has not
 * within a bound that depends on the tuning and on how many names there are. */
void sim_settle(struct sim *sim);

/* Nothing is printed, nor even put together, unless the run is traced. */
#define sim_trace(sim, ...)                                                    \
  ((sim)->tracing ? sim_trace_line((sim), __VA_ARGS__) : (void)0)
__attribute__((format(printf, 2, 3))) void sim_trace_line(struct sim *sim,
                                                          const char *format,
                                                          ...);
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim *sim,
                                                    const char *format, ...);
void sim_print_trace(const struct sim *sim);
void sim_print_options(const struct sim_options *options);

void sim_plan(struct sim *sim, const struct sim_event *event);

/* At random, below bound. */
uint64_t sim_below(struct sim *sim, uint64_t bound);
bool sim_percent(struct sim *sim, unsigned percent);

/* The run that an assertion has ended. */
extern struct sim *sim_current;

/* sim_net.c: links and what travels on them. */
struct sim_link *sim_link_of(struct sim *sim, unsigned left, unsigned right);

/* False: there was nothing to do, or it cannot be done. */
bool sim_link_heal(struct sim *sim, unsigned left, unsigned right);
bool sim_link_cut(struct sim *sim, unsigned left, unsigned right);
void sim_heal_all(struct sim *sim);

/* Cut the links that have a bit, and keep them so; 0: none. */
void sim_hold(struct sim *sim, uint32_t cuts);

/* Nothing from here gets there any more, and nobody is told: after a while the
 * link is torn down, or was only out of breath. */
bool sim_link_mute(struct sim *sim, unsigned from, unsigned to, uint64_t for_ms,
                   bool torn);
void sim_mute_ends(struct sim *sim, const struct sim_event *event);

/* Cut or heal the link, and again in a moment. */
void sim_flap(struct sim *sim, const struct sim_event *event);

/* A version of the protocol is spoken by both. */
bool sim_can_talk(const struct sim *sim, unsigned left, unsigned right);

/* Send bytes; false: the link took nothing. */
bool sim_send(struct sim *sim, unsigned from, unsigned to,
              enum sim_message_kind kind, const uint8_t *header,
              const uint8_t *bytes, size_t size);

/* sim_node.c: what comes and goes. */
bool sim_node_start(struct sim *sim, unsigned at);

/* The node is gone at once, its links break. */
void sim_node_kill(struct sim *sim, unsigned at);

/* The process around the replica ends and is started again: a new process with
 * the same replica. */
bool sim_process_crash(struct sim *sim, unsigned at);
void sim_process_start(struct sim *sim, unsigned at);

/* The instance ends and is started again: a new actor on the same node. */
bool sim_instance_restart(struct sim *sim, unsigned at);

/* sim_life.c: what is announced, and who gets a name late. */

/* The instance says goodbye, ends, and is started again. */
bool sim_stop(struct sim *sim, unsigned at);

/* Whether it has said it to all, when poll has nothing to do for so long. */
bool sim_stop_done(struct sim_node *node, uint64_t timeout_ms);

/* The instance is hidden for a while. */
bool sim_pause(struct sim *sim, unsigned at, uint64_t for_ms);
void sim_resume(struct sim *sim, unsigned at);
void sim_goodbye_heard(struct sim *sim, unsigned at,
                       const struct sim_message *message);

/* Start the node (again, if it is up) without a name of its own.  It gets one
 * in a while, and becomes another actor. */
bool sim_node_start_alone(struct sim *sim, unsigned at);
void sim_rename(struct sim *sim, unsigned at);
void sim_node_name(struct sim_node *node, bool alone);

/* It does nothing for a while; or goes on. */
void sim_freeze(struct sim *sim, unsigned at, uint64_t for_ms);
void sim_thaw(struct sim *sim, unsigned at);
bool sim_is_frozen(const struct sim *sim, unsigned at);

/* What the node, not the process, does with news of its links. */
void sim_kernel_link(struct sim *sim, unsigned at,
                     const struct sim_message *message);
struct holt_time sim_time(const struct sim *sim, unsigned at);

/* Refuse one of the next requests for memory, now and then; or none. */
void sim_memory_arm(struct sim *sim, unsigned at);
void sim_memory_disarm(struct sim *sim, unsigned at);

/* The node gets no more memory for a while; or as much as it wants. */
void sim_memory_short(struct sim *sim, unsigned at, uint64_t for_ms);
bool sim_memory_is_short(const struct sim *sim, unsigned at);

/* sim_host.c: what holds a replica. */
void sim_inbox_put(struct sim *sim, unsigned at, struct sim_message *message);
void sim_inbox_drop(struct sim_node *node);
void sim_slice(struct sim *sim, unsigned at);
void sim_plan_slice(struct sim *sim, unsigned at, bool waits);
void sim_poll(struct sim *sim, unsigned at, uint64_t number);
void sim_plan_poll(struct sim *sim, unsigned at, uint64_t at_ms);

/* After every call of the replica. */
void sim_touched(struct sim *sim, unsigned at);

/* sim_contest.c: who is to have a name that several claim. */
void sim_contest(struct sim *sim, unsigned at,
                 const struct holt_effect *effect);
void sim_verdict_take(struct sim *sim, unsigned at,
                      const struct sim_message *message);

/* The left claim is better than the right one. */
bool sim_contest_prefers(uint64_t left_actor, uint64_t left_birth,
                         uint64_t right_actor, uint64_t right_birth);

/* sim_work.c: operations of local processes.  They return what the replica
 * says. */
int sim_register(struct sim *sim, unsigned at, unsigned process, unsigned key);

/* Something was done at this node: does it want to be polled? */
void sim_wake(struct sim *sim, unsigned at);
uint8_t *sim_value_copy(const uint8_t *value, size_t size);

/* Behind whoever has it; or in the place of whoever has it. */
int sim_register_standby(struct sim *sim, unsigned at, unsigned process,
                         unsigned key);
int sim_replace(struct sim *sim, unsigned at, unsigned process, unsigned key);

/* The process ends, and another has its names in the same instant; how many. */
unsigned sim_take_over(struct sim *sim, unsigned at, unsigned process);
int sim_unregister(struct sim *sim, unsigned at, unsigned key);
int sim_update(struct sim *sim, unsigned at, unsigned key);
bool sim_process_exit(struct sim *sim, unsigned at, unsigned process);

/* Register many keys in one go, from this one on, or the same one again and
 * again; how many were free. */
unsigned sim_register_many(struct sim *sim, unsigned at, unsigned process,
                           unsigned key, unsigned count, bool same);

/* The node that holds the key in the view of another, or -1. */
int sim_holder(struct sim *sim, unsigned at, unsigned key);

/* sim_tour.c: visit the names of a process, at once or in pieces. */
bool sim_tour_start(struct sim *sim, unsigned at, unsigned of, unsigned process,
                    size_t budget, bool at_once);
bool sim_tour_start_key(struct sim *sim, unsigned at, unsigned key,
                        size_t budget, bool at_once);
void sim_tour_next(struct sim *sim, unsigned at, uint64_t number);
void sim_tour_stop(struct sim *sim, unsigned at);

/* sim_clock.c: which stamps and marks rows may have. */

/* A hello or a vector of this node has been taken. */
void sim_clock_heard(struct sim *sim, unsigned at,
                     const struct sim_message *message);

/* Its process has ended, or its link. */
void sim_clock_lost(struct sim *sim, unsigned at, unsigned from);
void sim_clock_new_session(struct sim *sim, unsigned at, unsigned from);
void sim_clock_hello(struct sim *sim, unsigned at,
                     const struct sim_message *message);

/* After every call of the replica: has it met somebody? */
void sim_clock_look(struct sim *sim, unsigned at);

/* A row that has just been registered, with this birth. */
void sim_clock_check(struct sim *sim, unsigned at, uint64_t birth);

/* All that a node holds of those that are present, as one number; 0: it is
 * between two versions of somebody. */
uint64_t sim_held(const struct sim *sim, unsigned at);

/* sim_log.c: what was written. */
struct sim_log *sim_log_new(struct sim *sim, uint64_t actor, unsigned node,
                            uint32_t creation);

/* The same rows under another actor, whose past they are. */
struct sim_log *sim_log_copy(struct sim *sim, const struct sim_log *source,
                             uint64_t actor, uint32_t creation);
struct sim_log *sim_log_find(const struct sim *sim, uint64_t actor);
void sim_log_free(struct sim_log *log);

/* Write an entry, which stands; the log takes the value. */
void sim_log_open(struct sim_log *log, uint64_t seq,
                  const struct sim_entry *entry);

/* What was written at seq ends at another; why, if that is known. */
void sim_log_end(struct sim_log *log, uint64_t seq, uint64_t end);
void sim_log_why(struct sim_entry *entry, enum holt_reason why);

/* Bring the log to the version of the replica: what ended, and why. */
void sim_log_sync(struct sim *sim, unsigned at);
bool sim_owner_ended(const struct sim_node *node,
                     const struct sim_entry *entry);

/* sim_model.c: what must be true. */

/* What may be asked after every event: it costs little. */
void sim_check(struct sim *sim, unsigned at);

/* Everything, on all nodes: every copy, every name. */
void sim_check_whole(struct sim *sim);

/* Everything that holds when nothing happens any more. */
void sim_check_quiet(struct sim *sim);

/* All say that they are in sync. */
bool sim_in_sync(const struct sim *sim);

/* The news of a conflict that a process gets. */
void sim_check_conflict(struct sim *sim, unsigned at,
                        const struct holt_effect *effect);

/* sim_reach.c: all have what they are to have, however links are cut. */
bool sim_converged(struct sim *sim, char *why, size_t why_size);

/* sim_view.c: what is seen is what a look at all rows shows. */
void sim_check_view(struct sim *sim, unsigned at);
uint64_t sim_view_sum(uint64_t actor, uint64_t seq, uint64_t birth);

/* sim_told.c: what is told to who watches, put together again. */
void sim_told_new(struct sim *sim, unsigned at);
void sim_told_delete(struct sim *sim, unsigned at);

/* A call is over: take what was told in it. */
void sim_told_take(struct sim *sim, unsigned at);

/* By what was told this actor (0: nobody) has the key, by its row of this seq;
 * and another so many rows of that sum. */
void sim_told_check_key(struct sim *sim, unsigned at, unsigned key,
                        uint64_t actor, uint64_t seq);
void sim_told_check_share(struct sim *sim, unsigned at, uint64_t actor,
                          size_t count, uint64_t sum);

/* sim_twin.c: each node beside the naive map. */
void sim_twin_new(struct sim *sim, unsigned at);
void sim_twin_delete(struct sim *sim, unsigned at);

/* The log has grown. */
void sim_twin_write(struct sim *sim, struct sim_log *log);
void sim_twin_forget(struct sim_log *log);

/* Has the node come to new versions?  Then so does its twin. */
void sim_twin_look(struct sim *sim, unsigned at);

/* sim_script.c: what is played. */
void sim_script_draw(struct sim_script *script, uint64_t seed);
void sim_script_print(const struct sim_script *script);
const char *sim_op_name(enum sim_op op);

/* sim_play.c: play a script, leaving out what is to be skipped.  True: nothing
 * was wrong.  failure: SIM_FAILURE_BYTES. */
bool sim_play(const struct sim_script *script, bool tracing,
              struct sim_total *total, char *failure);
void sim_total_add(struct sim_total *total, const struct sim_total *more);
void sim_total_print(const struct sim_total *total, double seconds);

/* sim_rest.c: what is played when the script is over. */
void sim_rest(struct sim *sim);

/* sim_shrink.c: cut a failing script down, and print what is left. */
void sim_shrink(struct sim_script *script, unsigned seconds_max);

/* Play it in a process of its own.  True: it is good, or did not end in time
 * but was not wrong so far; failure says what was wrong. */
bool sim_play_apart(const struct sim_script *script, bool tracing,
                    char *failure);

/* sim_scenarios.c: counts what passed and failed. */
void sim_scenarios(uint64_t *passed, uint64_t *failed, char *failure);

#endif /* HOLT_TEST_SIM_H */
