/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where the simulator looks into a replica, or names a function
 * of its public face whose arguments come and go.
 *
 * What the checks need is handed out flat: a copy of an actor, and its rows. */
#ifndef HOLT_TEST_SIM_CORE_H
#define HOLT_TEST_SIM_CORE_H

#include "packet.h"
#include "sim.h"
#include "state.h"

struct sim_copy {
  const struct holt_actor *actor;
  uint64_t id;
  uint64_t version;
  uint64_t cursor;
  uint64_t fingerprint;
  size_t row_count;
  uint32_t creation;
  enum holt_sight sight;
  bool self;
  bool connected;
  bool present; /* Connected, vouched for, or a suspect. */
  bool paused;
  bool gone; /* For ever. */
  bool shown;
  bool dirty;       /* Not to be compared with a version. */
  bool torn;        /* Its cursor says nothing. */
  bool oldest;      /* Its rule. */
  uint32_t follow;  /* The peer that forwards its stream, or 0. */
  uint64_t reached; /* With the replica's own rows, as vouchers say. */
};

/* A vouch that is kept for a copy. */
struct sim_vouch {
  uint32_t peer;
  uint64_t seen_ms; /* By the clock of the replica. */
  uint64_t version;
};

struct sim_row {
  struct holt_row_spec spec;
  bool stale; /* Not confirmed by the repair that runs. */
  bool dead;  /* Its process is known to be. */
};

/* What the owner of a stream thinks of a receiver. */
struct sim_receiver {
  uint64_t actor;
  bool up;
  bool idle; /* Nothing is under way or to be sent. */
  uint64_t acked;
};

/* Copies: begin with *at NULL; false: no more. */
bool sim_core_copy(const struct holt_replica *replica,
                   const struct holt_actor **at, struct sim_copy *copy);
bool sim_core_copy_of(const struct holt_replica *replica, uint64_t actor,
                      struct sim_copy *copy);

/* Rows of a copy: begin with *at 0; false: no more. */
bool sim_core_row(const struct holt_replica *replica,
                  const struct sim_copy *copy, uintptr_t *at,
                  struct sim_row *row);

/* What decides between two rows: the row, and its actor with its rule. */
struct sim_rank {
  uint64_t actor;
  bool oldest;
  uint64_t birth;
  uint64_t stamp;
  uint8_t flags;
};

/* True when left outranks right. */
bool sim_core_outranks(const struct sim_rank *left,
                       const struct sim_rank *right);

/* Of the row in a view; of a row of an actor. */
struct sim_rank sim_core_rank(const struct sim *sim,
                              const struct holt_view *view);
struct sim_rank sim_core_rank_of(const struct sim *sim, uint64_t actor,
                                 uint64_t birth, uint64_t stamp, uint8_t flags);

/* Of the vouches kept, this one; false: none stands there. */
#define SIM_CORE_VOUCHES HOLT_VOUCHES_MAX
bool sim_core_vouch(const struct sim_copy *copy, unsigned number,
                    struct sim_vouch *vouch);
const char *sim_core_sight(enum holt_sight sight);

/* The actor that a delta, an ack, a piece names; the number of a probe or an
 * echo.  0: none. */
uint64_t sim_core_actor_in(const uint8_t *bytes, size_t size);

/* A delta from *at to there: that is all there is. */
bool sim_core_is_end(const uint8_t *bytes, size_t size, uint64_t *at);
uint64_t sim_core_number_in(const uint8_t *bytes, size_t size);

/* The header of what goes to this peer; false: there is no session. */
bool sim_core_header(const struct holt_replica *replica, uint32_t peer,
                     uint8_t header[HOLT_HEADER_BYTES]);

uint64_t sim_core_version(const struct holt_replica *replica);
size_t sim_core_actors(const struct holt_replica *replica);
size_t sim_core_peers(const struct holt_replica *replica);

/* It has work left that poll does in slices. */
bool sim_core_busy(const struct holt_replica *replica);

/* It has greeted somebody in vain, and waits for longer each time. */
bool sim_core_greets(const struct holt_replica *replica);

/* Some rows of its own may be in contest. */
bool sim_core_contested(const struct holt_replica *replica);

/* Keys of members that came or went wait to be looked at. */
bool sim_core_settles(const struct holt_replica *replica);
bool sim_core_receiver(const struct holt_replica *replica, uint32_t peer,
                       struct sim_receiver *receiver);

/* The log of deaths: 1 and the birth; 0: nothing ended at seq; -1: the log does
 * not reach back so far. */
int sim_core_death_at(const struct holt_replica *replica, uint64_t seq,
                      uint64_t *birth);
bool sim_core_death_noted(const struct holt_replica *replica, uint64_t birth);
bool sim_core_born(const struct holt_replica *replica, uint64_t birth);

/* Its own row of this birth, as it is now. */
bool sim_core_own(const struct holt_replica *replica, uint64_t birth,
                  struct holt_row_spec *spec);

/* The row of this actor and birth, of a living process as far as is known. */
bool sim_core_visible(const struct holt_replica *replica, uint64_t actor,
                      uint64_t birth, struct holt_row_spec *spec);

/* Forget the oldest deaths, as a full ring would; how many there are. */
size_t sim_core_deaths(const struct holt_replica *replica);
void sim_core_trim_deaths(struct holt_replica *replica, size_t count);

/* A message in words. */
void sim_core_describe(const struct holt_message *message, char *text,
                       size_t text_size);
const char *sim_core_kind(uint8_t kind);

/* Where a hello says which versions its sender speaks: the first of two. */
#define SIM_CORE_HELLO_RANGE 1u
#define SIM_CORE_PROTOCOL HOLT_PROTOCOL_MAX

/* What a hello says; false: it cannot be read. */
bool sim_core_hello(const uint8_t *bytes, size_t size, uint64_t *actor,
                    uint64_t *version);

/* All rows of a delta are in, and only its end is missing. */
bool sim_core_at_end(const struct holt_replica *replica,
                     const struct holt_message *message);

uint64_t sim_core_policy(const struct sim_options *options, unsigned at);

/* Operations.  *seq becomes where it was written. */
int sim_core_register(struct holt_replica *replica, const struct holt_time *now,
                      const struct holt_row_spec *spec, uint64_t *seq);
void sim_core_refused(struct holt_replica *replica,
                      const uint8_t header[HOLT_HEADER_BYTES], int error);

#endif /* HOLT_TEST_SIM_CORE_H */
