/* SPDX-License-Identifier: Apache-2.0 */
/* Presence, as it ought to be: kept beside the replicas, from what the network
 * and the hosts really do.
 *
 * Two questions are asked about each node and each actor.  Could anybody who
 * reaches the node have reached the actor (then it must not be absent for
 * long), and when was the last moment at which somebody could (then it must not
 * be present for long after)?
 *
 *     good:   a link is up at both ends, nobody is mute, frozen, slow, or away
 *     could:  a link that both ends of may still believe in
 *
 * A vouch is first-hand: for each there must have been an echo, and the probe
 * that it answered must have left after the moment that the vouch names. */
#ifndef HOLT_TEST_SIM_PRESENCE_H
#define HOLT_TEST_SIM_PRESENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/replica.h>

#define SIM_NODES_MAX 7u

/* Probes that may be under way to one node. */
#define SIM_PROBES 64u

/* Returns to the view that are remembered. */
#define SIM_SHOWS 32u

/* A filter over what was heard at first hand: it forgets nothing. */
#define SIM_HEARD_BITS (1u << 17)

struct sim;
struct sim_copy;
struct sim_message;

/* An actor, as one node has seen it.  Kept in the actor's log. */
struct sim_seen {
  uint64_t life; /* The actor of the node; of another one this says nothing. */
  uint64_t round;
  enum holt_sight sight;
  bool shown;
  bool appears; /* It was not shown before the last event. */
  bool paused;
  bool back;          /* It has been absent since it was shown. */
  uint64_t absent_ms; /* Since then, when it is absent. */
  uint64_t could_ms;  /* Somebody could have vouched for it, then. */
  uint64_t shows_ms[SIM_SHOWS];
  unsigned shows;
};

/* What one node has asked another, and what came back. */
struct sim_probes {
  struct {
    uint64_t life; /* Of who asks. */
    uint64_t number;
    uint64_t sent_ms;
  } sent[SIM_PROBES];
  unsigned count;
  uint64_t actor;    /* Who has answered last. */
  uint64_t alive_ms; /* When the youngest probe that it answered was sent. */
};

struct sim_presence {
  struct sim_probes probes[SIM_NODES_MAX];
  uint64_t stirred_ms; /* It could not do as it wanted until then. */
  uint64_t muted_ms[SIM_NODES_MAX]; /* It did not hear this one until then. */
  uint64_t round;
  uint8_t heard[SIM_HEARD_BITS / 8];
};

/* Packets of this kind on this way are counted. */
struct sim_watch {
  uint8_t kind;
  unsigned from; /* SIM_NODES_MAX: anybody. */
  unsigned to;
  bool foreign; /* About a third one. */
  uint64_t hits;
  unsigned hit_from; /* The last one. */
  unsigned hit_to;
};

/* Before every event: who can reach whom. */
void sim_reach_look(struct sim *sim);

/* Both ends of the link are there and talk. */
bool sim_reach_linked(const struct sim *sim, unsigned left, unsigned right);

/* 0: itself; 1: linked; 2: somebody is linked to both; 3: neither. */
unsigned sim_reach(const struct sim *sim, unsigned from, unsigned to);

/* All that reach each other at all are at most two links apart. */
bool sim_reach_is_close(const struct sim *sim);

/* Timings allow for vouches that stand: there is time to ask and to answer. */
bool sim_reach_is_sane(const struct sim *sim);

/* It has been good for longer than it takes to notice. */
bool sim_reach_is_old(const struct sim *sim, unsigned left, unsigned right,
                      uint64_t for_ms);

/* After every call of the replica: what has changed. */
void sim_presence_look(struct sim *sim, unsigned at);

/* When poll has nothing to do: who is there and who is not. */
void sim_presence_quiet(struct sim *sim, unsigned at);

/* A new life of this node. */
void sim_presence_new(struct sim *sim, unsigned at);

/* What the node sends, and what it has taken. */
void sim_presence_sent(struct sim *sim, unsigned at, unsigned to,
                       const uint8_t *bytes, size_t size);
void sim_presence_taken(struct sim *sim, unsigned at,
                        const struct sim_message *message);

/* The node that has this handle at another; SIM_NODES_MAX: none has. */
unsigned sim_node_of_peer(const struct sim *sim, unsigned at, uint32_t peer);

#endif /* HOLT_TEST_SIM_PRESENCE_H */
