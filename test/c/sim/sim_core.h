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
  bool self;
  bool connected;
  bool shown;
  bool dirty; /* Not to be compared with a version. */
};

struct sim_row {
  struct holt_row_spec spec;
  bool stale; /* Not confirmed by the repair that runs. */
  bool dead;  /* Its process is known to be. */
};

/* What the owner of a stream thinks of a receiver. */
struct sim_receiver {
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

/* True when left outranks right. */
bool sim_core_outranks(uint64_t left_actor, const struct holt_row_spec *left,
                       uint64_t right_actor, const struct holt_row_spec *right);

/* What decides between the row of a view and others. */
struct holt_row_spec sim_core_rank(const struct holt_view *view);
uint8_t sim_core_flags(const struct holt_row_spec *spec);
struct holt_row_spec sim_core_rank_of(uint64_t birth, uint64_t stamp,
                                      uint8_t flags);

uint64_t sim_core_version(const struct holt_replica *replica);
size_t sim_core_actors(const struct holt_replica *replica);
size_t sim_core_peers(const struct holt_replica *replica);

/* It has work left that poll does in slices. */
bool sim_core_busy(const struct holt_replica *replica);
bool sim_core_receiver(const struct holt_replica *replica, uint32_t peer,
                       struct sim_receiver *receiver);

/* The log of deaths: 1 and the birth; 0: nothing ended at seq; -1: the log does
 * not reach back so far. */
int sim_core_death_at(const struct holt_replica *replica, uint64_t seq,
                      uint64_t *birth);
bool sim_core_death_noted(const struct holt_replica *replica, uint64_t birth);
bool sim_core_born(const struct holt_replica *replica, uint64_t birth);

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

/* Each registration of an actor has a greater stamp than the one before. */
#define SIM_CORE_STAMPS_RISE false

uint64_t sim_core_policy(const struct sim_options *options);

/* Operations.  *seq becomes where it was written. */
int sim_core_register(struct holt_replica *replica, const struct holt_time *now,
                      const struct holt_row_spec *spec, uint64_t *seq);
int sim_core_unregister(struct holt_replica *replica, const struct sim_key *key,
                        const struct holt_view *view, uint64_t *seq);
int sim_core_update(struct holt_replica *replica, const struct holt_time *now,
                    const struct sim_key *key, uint64_t birth, uint64_t *seq,
                    const uint8_t *value, size_t value_size);
void sim_core_refused(struct holt_replica *replica,
                      const uint8_t header[HOLT_HEADER_BYTES], int error);

#endif /* HOLT_TEST_SIM_CORE_H */
