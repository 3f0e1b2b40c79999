/* SPDX-License-Identifier: Apache-2.0 */
/* Simulator: a whole cluster in one process, in virtual time.
 *
 * Which interleavings does a real cluster of two machines never show?  Those
 * that break it.  Here every replica is the one that ships, hosted by a few
 * lines that do what the real host does; the network, the clocks, the deaths
 * and the memory are ours, and every choice is drawn from one seed.
 *
 *     node 0                     links                       node 1
 *     replica  <- inbox <-- [ message, message ] <-- effects -- replica
 *        ^                                                       ^
 *        +--------------- sim_check() after every event ---------+
 *                         against the log of each actor
 *
 * The log of an actor is the naive model: what was written, at which seq, and
 * the seq at which it ended.  The rows of the actor at version v are then the
 * entries with seq <= v < end, and every copy anywhere must be exactly that.
 *
 * Two networks: the faithful one does what Erlang distribution does (in order,
 * nothing lost but at the end of a connection); the other one loses,
 * duplicates and reorders.
 *
 * A run that fails prints its seed and its last events; SEED=n runs it again.
 */
#ifndef HOLT_TEST_SIM_H
#define HOLT_TEST_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/replica.h>

#include "heap.h"
#include "prng.h"
#include "state.h"

#define SIM_NODES_MAX 5u
#define SIM_KEYS_MAX 12u
#define SIM_KEY_BYTES_MAX 64u
#define SIM_PROCESSES 5u
#define SIM_STEPS_NOW_MAX 20000u
#define SIM_TRACE_LINES 200u
#define SIM_TRACE_COLUMNS 110u

/* Something that an actor wrote.  A seq at which nothing was written but
 * something ended has an entry without birth. */
struct sim_entry {
  uint64_t birth; /* 0: a death. */
  uint64_t end;   /* UINT64_MAX while it stands. */
  uint64_t stamp;
  unsigned key;
  uint32_t owner_id;
  uint32_t owner_serial;
  uint8_t *value;
  size_t value_size;
  uint64_t fingerprint; /* Of the whole actor at this version, once seen. */
  bool fingerprinted;
  bool told; /* Ended by a conflict that its process was told of. */
  bool untold;
};

struct sim_log {
  struct sim_log *next;
  uint64_t actor;
  unsigned node;
  uint32_t creation;
  uint64_t version;
  struct sim_entry *entries; /* By seq. */
  size_t capacity;
};

enum sim_message_kind {
  SIM_HELLO,
  SIM_PACKET,
  SIM_LINK_UP,
  SIM_LINK_DOWN,
  SIM_PROCESS_DOWN
};

/* What stands in a mailbox. */
struct sim_message {
  struct sim_message *next;
  enum sim_message_kind kind;
  unsigned from;
  uint64_t connection;  /* The one it was sent over. */
  uint64_t incarnation; /* Of the sending process. */
  uint8_t header[HOLT_HEADER_BYTES];
  size_t size;
  uint8_t bytes[];
};

struct sim_process {
  uint32_t id;
  uint32_t serial;
  bool known;
};

struct sim_node {
  char name[16];
  struct holt_member member;
  struct heap heap;
  struct holt_replica *replica; /* NULL: the node is down. */
  bool running;                 /* The process around the replica. */
  uint64_t incarnation;         /* Of that process. */
  struct sim_log *log;
  uint32_t creation;
  uint64_t mono_base_ms;
  uint64_t wall_base_ms;
  uint32_t peers[SIM_NODES_MAX];
  /* Of the process that greeted last, and beyond those known to be dead. */
  uint64_t peer_incarnation[SIM_NODES_MAX];
  uint64_t alive_incarnation[SIM_NODES_MAX];
  bool linked[SIM_NODES_MAX]; /* What the process knows. */
  uint64_t linked_connection[SIM_NODES_MAX];
  uint64_t shown[SIM_NODES_MAX]; /* The actor of each node that was shown. */
  struct sim_message *inbox;
  struct sim_message **inbox_end;
  struct sim_message *current; /* Being applied in slices. */
  struct holt_message *open;
  uint64_t poll_number; /* Only the newest planned poll counts. */
  bool slice_planned;
  struct sim_process processes[SIM_PROCESSES];
  uint32_t next_process;
};

/* A connection of two nodes; [low][high]. */
struct sim_link {
  uint64_t connection;
  bool cut;
  /* Of the lower and the higher end, when it began. */
  uint64_t actors[2];
  uint64_t versions[2];
};

enum sim_event_kind {
  SIM_EVENT_DELIVER,
  SIM_EVENT_POLL,
  SIM_EVENT_SLICE,
  SIM_EVENT_START_PROCESS
};

struct sim_event {
  uint64_t at_ms;
  uint64_t order;
  enum sim_event_kind kind;
  unsigned node;
  uint64_t number;
  struct sim_message *message;
};

struct sim_options {
  unsigned nodes;
  unsigned keys;
  bool faithful;
  unsigned loss_percent;
  unsigned duplicate_percent;
  unsigned busy_percent;
  unsigned nomem_permille; /* Of calls in which a request is refused. */
  uint64_t delay_max_ms;
  size_t value_bytes_max;
  size_t budget_max;
  struct holt_tuning tuning;
};

struct sim {
  uint64_t seed;
  struct prng prng;
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
  uint8_t keys[SIM_KEYS_MAX][SIM_KEY_BYTES_MAX];
  size_t key_sizes[SIM_KEYS_MAX];
  uint64_t messages; /* Sent. */
  uint64_t bytes;
  uint64_t steps;
  uint64_t steps_now; /* Since time went on. */
  uint64_t conflicts; /* Told. */
  bool failed;
  char trace[SIM_TRACE_LINES][SIM_TRACE_COLUMNS];
  uint64_t trace_count;
};

/* sim_world.c: the whole of it. */

/* Options that a scenario begins with: faithful, immediate, large limits. */
void sim_options_init(struct sim_options *options);

/* All nodes are up and all links are about to come up. */
void sim_init(struct sim *sim, uint64_t seed,
              const struct sim_options *options);

/* Free everything; a heap that is not empty is a failure. */
void sim_deinit(struct sim *sim);

/* Do the next event.  False: it would be after this time (which it is now), or
 * the run has failed. */
bool sim_step(struct sim *sim, uint64_t until_ms);

/* Let time pass. */
void sim_run(struct sim *sim, uint64_t duration_ms);

/* Let time pass until the cluster has converged; a failure when it has not
 * within a bound that depends on the tuning alone. */
void sim_settle(struct sim *sim);

bool sim_converged(struct sim *sim, char *why, size_t why_size);

__attribute__((format(printf, 2, 3))) void sim_trace(struct sim *sim,
                                                     const char *format, ...);
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim *sim,
                                                    const char *format, ...);
void sim_print(const struct sim *sim);
void sim_plan(struct sim *sim, uint64_t at_ms, enum sim_event_kind kind,
              unsigned node, uint64_t number, struct sim_message *message);

/* At random, below bound. */
uint64_t sim_below(struct sim *sim, uint64_t bound);
bool sim_percent(struct sim *sim, unsigned percent);

/* sim_net.c: links and what travels on them. */
struct sim_link *sim_link_of(struct sim *sim, unsigned left, unsigned right);
void sim_link_heal(struct sim *sim, unsigned left, unsigned right);
void sim_link_cut(struct sim *sim, unsigned left, unsigned right);
bool sim_link_is_up(const struct sim *sim, unsigned left, unsigned right);

/* Send bytes; false: the link took nothing. */
bool sim_send(struct sim *sim, unsigned from, unsigned to,
              enum sim_message_kind kind, const uint8_t *header,
              const uint8_t *bytes, size_t size);
void sim_deliver(struct sim *sim, unsigned to, struct sim_message *message);

/* sim_host.c: what holds a replica. */
void sim_node_start(struct sim *sim, unsigned at);

/* The node is gone at once, its links break. */
void sim_node_kill(struct sim *sim, unsigned at);

/* The process around the replica ends and is started again: a new process with
 * the same replica. */
void sim_process_crash(struct sim *sim, unsigned at);
void sim_process_start(struct sim *sim, unsigned at);

/* The instance ends and is started again: a new actor on the same node. */
void sim_instance_restart(struct sim *sim, unsigned at);

void sim_slice(struct sim *sim, unsigned at);
void sim_poll(struct sim *sim, unsigned at, uint64_t number);
void sim_inbox_put(struct sim *sim, unsigned at, struct sim_message *message);
struct holt_time sim_time(const struct sim *sim, unsigned at);

/* Operations of local processes.  They return what the replica says. */
int sim_register(struct sim *sim, unsigned at, unsigned process, unsigned key);
int sim_unregister(struct sim *sim, unsigned at, unsigned key);
int sim_update(struct sim *sim, unsigned at, unsigned key);
void sim_process_kill(struct sim *sim, unsigned at, unsigned process);

/* The node that holds the key in the view of another, or -1. */
int sim_holder(struct sim *sim, unsigned at, unsigned key);

/* Forget the oldest deaths, as a full ring would. */
void sim_trim_deaths(struct sim *sim, unsigned at);

/* sim_model.c: what must be true. */
struct sim_log *sim_log_new(struct sim *sim, uint64_t actor, unsigned node,
                            uint32_t creation);
struct sim_log *sim_log_find(const struct sim *sim, uint64_t actor);
void sim_log_free(struct sim_log *log);
struct sim_entry *sim_log_put(struct sim_log *log, uint64_t seq);

/* Bring the log to the version of the replica: what ended, and why. */
void sim_log_sync(struct sim *sim, unsigned at);
void sim_check(struct sim *sim, unsigned at);

/* Everything that holds when nothing happens any more. */
void sim_check_quiet(struct sim *sim);

/* What has happened, so that a run in which nothing does is seen. */
struct sim_total {
  uint64_t runs;
  uint64_t steps;
  uint64_t messages;
  uint64_t conflicts;
  uint64_t gaps;
  uint64_t duplicates;
  uint64_t repairs;
  uint64_t stamps_refused;
};

/* sim_random.c: one run from one seed; false: it failed. */
bool sim_random(uint64_t seed, struct sim_total *total);

/* sim_scenarios.c: counts what passed and failed. */
void sim_scenarios(unsigned *passed, unsigned *failed);

/* The run that an assertion has ended; main.c prints it. */
extern struct sim *sim_current;

#endif /* HOLT_TEST_SIM_H */
