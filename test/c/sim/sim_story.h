/* SPDX-License-Identifier: Apache-2.0 */
/* What stories with a known end are made of. */
#ifndef HOLT_TEST_SIM_STORY_H
#define HOLT_TEST_SIM_STORY_H

#include "sim.h"

struct sim_story {
  const char *name;
  unsigned nodes;
  void (*change)(struct sim_options *options); /* NULL: nothing. */
  void (*play)(struct sim *sim);
};

#define SIM_STORY(play, nodes, change)                                         \
  {                                                                            \
#play, nodes, change, play                                                 \
  }

/* sim_kinds.c: kinds, rules, standbys, replacing, goodbyes, late names. */
extern const struct sim_story sim_kind_stories[];
extern const size_t sim_kind_story_count;

/* sim_partial.c: cuts that are not whole. */
extern const struct sim_story sim_partial_stories[];
extern const size_t sim_partial_story_count;

/* sim_claims.c: names that hosts give to one of several. */
extern const struct sim_story sim_claim_stories[];
extern const size_t sim_claim_story_count;

/* sim_crowd.c: fifty nodes. */
extern const struct sim_story sim_crowd_stories[];
extern const size_t sim_crowd_story_count;

void sim_expect(struct sim *sim, bool condition, const char *what);

/* All nodes see this one under the key. */
void sim_expect_holder(struct sim *sim, unsigned key, int holder);
struct holt_counters sim_counters(const struct sim *sim, unsigned at);

/* Cut, and let everybody see it; heal, and settle. */
void sim_split(struct sim *sim, unsigned left, unsigned right);
void sim_heal(struct sim *sim, unsigned left, unsigned right);

#endif /* HOLT_TEST_SIM_STORY_H */
