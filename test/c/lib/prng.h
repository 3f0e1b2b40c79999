/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that can be had again.
 *
 * xoshiro256** (Blackman, Vigna 2018), filled from one 64-bit seed by
 * splitmix64.  A random test takes its seed from prng_seed(), prints it when it
 * fails, and is replayed with SEED=<number> in the environment.
 */
#ifndef HOLT_TEST_PRNG_H
#define HOLT_TEST_PRNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prng {
  uint64_t state[4];
};

/* The seed of this run: the environment's SEED, else a new one each time. */
uint64_t prng_seed(void);

void prng_init(struct prng *prng, uint64_t seed);

/* 64 random bits. */
uint64_t prng_next(struct prng *prng);

/* A number below bound, which is at least 1. */
uint64_t prng_below(struct prng *prng, uint64_t bound);

/* True with probability numerator / denominator. */
bool prng_chance(struct prng *prng, uint64_t numerator, uint64_t denominator);

void prng_fill(struct prng *prng, void *bytes, size_t size);

#endif /* HOLT_TEST_PRNG_H */
