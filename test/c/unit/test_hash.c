/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "prng.h"

static const struct holt_hash_seed reference = {
  .k0 = UINT64_C(0x0706050403020100),
  .k1 = UINT64_C(0x0f0e0d0c0b0a0908),
};

/* SipHash-1-3 of 00 01 02... under the key 00..0f: what other implementations
 * compute, so that hosts in other languages may rely on it. */
static void
bytes_of_reference_input_hash_as_siphash(void)
{
  static const struct {
    size_t size;
    uint64_t hash;
  } vectors[] = {
    { 0, UINT64_C(0xabac0158050fc4dc) },  { 1, UINT64_C(0xc9f49bf37d57ca93) },
    { 7, UINT64_C(0xd3927d989bb11140) },  { 8, UINT64_C(0x369095118d299a8e) },
    { 9, UINT64_C(0x25a48eb36c063de4) },  { 15, UINT64_C(0xd320d86d2a519956) },
    { 16, UINT64_C(0xcc4fdd1a7d908b66) }, { 63, UINT64_C(0x9d199062b7bbb3a8) },
  };
  uint8_t input[64];
  for (size_t i = 0; i < sizeof input; i++) {
    input[i] = (uint8_t)i;
  }
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    CU_ASSERT_EQUAL(holt_hash_bytes(&reference, input, vectors[i].size),
                    vectors[i].hash);
  }
  const struct holt_hash_seed zero = { 0, 0 };
  CU_ASSERT_EQUAL(holt_hash_bytes(&zero, "0123456789", 10),
                  UINT64_C(5959997617762060084));
}

/* Neither alignment nor what lies after the input matters; the seed does. */
static void
bytes_depend_on_content_and_seed_only(void)
{
  char area[80];
  for (size_t shift = 0; shift < 8; shift++) {
    memset(area, (int)shift, sizeof area);
    memcpy(area + shift, "a name of some length", 21);
    CU_ASSERT_EQUAL(holt_hash_bytes(&reference, area + shift, 21),
                    holt_hash_bytes(&reference, "a name of some length", 21));
  }
  const struct holt_hash_seed other = { reference.k0, reference.k1 + 1 };
  CU_ASSERT_NOT_EQUAL(holt_hash_bytes(&reference, "x", 1),
                      holt_hash_bytes(&other, "x", 1));
  CU_ASSERT_EQUAL(holt_hash_bytes(&reference, NULL, 0),
                  holt_hash_bytes(&reference, "", 0));
}

/* Fill 256 buckets by the low or the high byte of the hashes of a sequence; the
 * fullest must not be much over the mean of 256. */
static unsigned
fullest_bucket(const struct holt_hash_seed *seed, uint64_t step, bool high,
               bool two)
{
  unsigned counts[256] = { 0 };
  unsigned most = 0;
  for (uint64_t i = 0; i < 65536; i++) {
    const uint64_t hash =
      two ? holt_hash_mix2(seed, step, i) : holt_hash_u64(seed, i * step);
    const unsigned bucket = (unsigned)(high ? hash >> 24 & 255 : hash & 255);
    counts[bucket]++;
    if (counts[bucket] > most) {
      most = counts[bucket];
    }
  }
  return most;
}

/* Sequences, the words we have, spread whatever their step. */
static void
words_in_sequence_spread(void)
{
  struct prng prng;
  const uint64_t seed = prng_seed();
  prng_init(&prng, seed);
  for (unsigned i = 0; i < 8; i++) {
    const struct holt_hash_seed key = { prng_next(&prng), prng_next(&prng) };
    for (uint64_t step = 1; step <= UINT64_C(1) << 40; step <<= 8) {
      const unsigned most = fullest_bucket(&key, step, i % 2 == 0, i >= 4);
      if (most > 256 + 7 * 16) {
        fprintf(stderr, "SEED=%" PRIu64 " step %" PRIu64 " most %u\n", seed,
                step, most);
        CU_FAIL("uneven");
      }
    }
  }
  CU_PASS("even");
}

/* Order counts in a pair, and both words do. */
static void
mix2_of_other_words_differs(void)
{
  const uint64_t hash = holt_hash_mix2(&reference, 1, 2);
  CU_ASSERT_NOT_EQUAL(hash, holt_hash_mix2(&reference, 2, 1));
  CU_ASSERT_NOT_EQUAL(hash, holt_hash_mix2(&reference, 1, 3));
  CU_ASSERT_NOT_EQUAL(hash, holt_hash_mix2(&reference, 0, 2));
  CU_ASSERT_EQUAL(hash, holt_hash_mix2(&reference, 1, 2));
}

void test_hash_suite(void);

void
test_hash_suite(void)
{
  CU_pSuite suite = CU_add_suite("hash", NULL, NULL);
  CU_ADD_TEST(suite, bytes_of_reference_input_hash_as_siphash);
  CU_ADD_TEST(suite, bytes_depend_on_content_and_seed_only);
  CU_ADD_TEST(suite, words_in_sequence_spread);
  CU_ADD_TEST(suite, mix2_of_other_words_differs);
}
