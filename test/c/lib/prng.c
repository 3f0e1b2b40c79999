/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L

#include "prng.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t
split_mix(uint64_t *state)
{
  uint64_t word = *state += UINT64_C(0x9e3779b97f4a7c15);
  word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
  return word ^ word >> 31;
}

uint64_t
prng_seed(void)
{
  const char *const text = getenv("SEED");
  if (text != NULL && *text != '\0') {
    return strtoull(text, NULL, 0);
  }
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t state =
    (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid();
  /* Short, because somebody may have to type it. */
  return split_mix(&state) >> 32;
}

void
prng_init(struct prng *prng, uint64_t seed)
{
  for (unsigned i = 0; i < 4; i++) {
    prng->state[i] = split_mix(&seed);
  }
}

static uint64_t
rotate(uint64_t word, unsigned bits)
{
  return word << bits | word >> (64 - bits);
}

uint64_t
prng_next(struct prng *prng)
{
  uint64_t *const state = prng->state;
  const uint64_t result = rotate(state[1] * 5, 7) * 9;
  const uint64_t shifted = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = rotate(state[3], 45);
  return result;
}

uint64_t
prng_below(struct prng *prng, uint64_t bound)
{
  /* The bias of a plain remainder is below bound / 2^64: nothing here minds. */
  return prng_next(prng) % bound;
}

bool
prng_chance(struct prng *prng, uint64_t numerator, uint64_t denominator)
{
  return prng_below(prng, denominator) < numerator;
}

void
prng_fill(struct prng *prng, void *bytes, size_t size)
{
  uint8_t *const target = bytes;
  for (size_t i = 0; i < size; i++) {
    target[i] = (uint8_t)prng_next(prng);
  }
}
