/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"

struct sip {
  uint64_t v0;
  uint64_t v1;
  uint64_t v2;
  uint64_t v3;
};

static inline uint64_t
rotate(uint64_t word, unsigned bits)
{
  return word << bits | word >> (64 - bits);
}

/* SipRound, section 2.2 of the paper. */
static inline void
sip_round(struct sip *sip)
{
  sip->v0 += sip->v1;
  sip->v2 += sip->v3;
  sip->v1 = rotate(sip->v1, 13) ^ sip->v0;
  sip->v3 = rotate(sip->v3, 16) ^ sip->v2;
  sip->v0 = rotate(sip->v0, 32);
  sip->v2 += sip->v1;
  sip->v0 += sip->v3;
  sip->v1 = rotate(sip->v1, 17) ^ sip->v2;
  sip->v3 = rotate(sip->v3, 21) ^ sip->v0;
  sip->v2 = rotate(sip->v2, 32);
}

static inline void
sip_word(struct sip *sip, uint64_t word)
{
  sip->v3 ^= word;
  sip_round(sip);
  sip->v0 ^= word;
}

/* Little-endian on every machine.  Spelled out, because compilers then see that
 * it is one load. */
static inline uint64_t
load_word(const uint8_t *bytes)
{
  return (uint64_t)bytes[0] | (uint64_t)bytes[1] << 8 |
         (uint64_t)bytes[2] << 16 | (uint64_t)bytes[3] << 24 |
         (uint64_t)bytes[4] << 32 | (uint64_t)bytes[5] << 40 |
         (uint64_t)bytes[6] << 48 | (uint64_t)bytes[7] << 56;
}

/* The last left (0..7) of size bytes, which are at. */
static inline uint64_t
load_rest(const uint8_t *at, size_t left, size_t size)
{
  if (left > 0 && size >= 8) {
    /* One load that begins among bytes that have been hashed. */
    return load_word(at - (8 - left)) >> (8 * (8 - left));
  }
  uint64_t word = 0;
  for (size_t i = 0; i < left; i++) {
    word |= (uint64_t)at[i] << (8 * i);
  }
  return word;
}

uint64_t
holt_hash_bytes(const struct holt_hash_seed *seed, const void *bytes,
                size_t size)
{
  struct sip sip = {
    .v0 = seed->k0 ^ UINT64_C(0x736f6d6570736575),
    .v1 = seed->k1 ^ UINT64_C(0x646f72616e646f6d),
    .v2 = seed->k0 ^ UINT64_C(0x6c7967656e657261),
    .v3 = seed->k1 ^ UINT64_C(0x7465646279746573),
  };
  const uint8_t *at = bytes;
  size_t left = size;
  while (left >= 8) {
    sip_word(&sip, load_word(at));
    at += 8;
    left -= 8;
  }
  sip_word(&sip, (uint64_t)size << 56 | load_rest(at, left, size));

  sip.v2 ^= 0xff;
  sip_round(&sip);
  sip_round(&sip);
  sip_round(&sip);
  return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}
