/* SPDX-License-Identifier: Apache-2.0 */
/* Keyed hashes: where in a table does this belong?
 *
 * Names are chosen by users, and users may be hostile: without a secret they
 * could choose a million names for one bucket.  So bytes are hashed by
 * SipHash-1-3 (Aumasson, Bernstein: SipHash, a fast short-input PRF, 2012; one
 * round per word, three at the end) under a seed drawn at start.
 *
 * Words that we made ourselves (actor ids, sequence numbers) need spreading but
 * no such defence; two multiply-xorshift rounds under the same seed do that in
 * a tenth of the time.  The rounds are bijective, so different words never
 * collide in all 64 bits.
 *
 * Cost:    bytes: about 1 ns each, 10 ns at least; words: a few ns.
 * Threads: pure functions.
 */
#ifndef HOLT_CORE_HASH_H
#define HOLT_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct holt_hash_seed {
  uint64_t k0;
  uint64_t k1;
};

/* SipHash-1-3 of the bytes; the same on every machine for the same seed. */
uint64_t holt_hash_bytes(const struct holt_hash_seed *seed, const void *bytes,
                         size_t size);

/* The finaliser of MurmurHash3 with constants that mix better on sequences
 * (Stafford's variant 13); bijective, because each step can be undone. */
static inline uint64_t
holt__hash_mix(uint64_t word)
{
  word ^= word >> 30;
  word *= UINT64_C(0xbf58476d1ce4e5b9);
  word ^= word >> 27;
  word *= UINT64_C(0x94d049bb133111eb);
  word ^= word >> 31;
  return word;
}

/* One word spread over 64 bits.  Not for words that others may choose. */
static inline uint64_t
holt_hash_u64(const struct holt_hash_seed *seed, uint64_t word)
{
  return holt__hash_mix(word ^ seed->k0) ^ seed->k1;
}

/* Two words, in that order, for dots (actor, seq).  For a fixed first word
 * different second words never collide. */
static inline uint64_t
holt_hash_mix2(const struct holt_hash_seed *seed, uint64_t first,
               uint64_t second)
{
  return holt__hash_mix(holt__hash_mix(first ^ seed->k0) + second) ^ seed->k1;
}

#endif /* HOLT_CORE_HASH_H */
