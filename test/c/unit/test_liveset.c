/* SPDX-License-Identifier: Apache-2.0 */
#include "liveset.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "buf.h"
#include "heap.h"
#include "prng.h"

struct set {
  struct heap heap;
  struct holt_buf buf;
};

static void
set_init(struct set *set)
{
  heap_init(&set->heap);
  holt_buf_init(&set->buf, &set->heap.mem, 0);
}

static void
set_deinit(struct set *set)
{
  holt_buf_deinit(&set->buf);
  CU_ASSERT(heap_is_clean(&set->heap));
  heap_deinit(&set->heap);
}

/* live[i] says whether after + 1 + i is in the set; one set, no limit. */
static void
set_write(struct set *set, uint64_t after, const bool *live, size_t count)
{
  struct holt_liveset_writer writer;
  holt_buf_clear(&set->buf);
  holt_liveset_begin(&writer, &set->buf, after, SIZE_MAX / 2);
  int rv = 0;
  for (size_t i = 0; rv == 0 && i < count; i++) {
    rv = live[i] ? holt_liveset_add(&writer, after + 1 + i) : 0;
  }
  CU_ASSERT_EQUAL(rv, 0);
  CU_ASSERT_EQUAL(holt_liveset_end(&writer, after + count), 0);
}

/* The set as written, asked for every step-th seq. */
static bool
set_reads_back(const struct set *set, uint64_t after, const bool *live,
               size_t count, size_t step)
{
  uint64_t to = 0;
  if (holt_liveset_check(set->buf.data, set->buf.size, after, &to) != 0 ||
      to != after + count) {
    return false;
  }
  struct holt_liveset_reader reader;
  holt_liveset_open(&reader, set->buf.data, set->buf.size, after);
  for (size_t i = 0; i < count; i += step) {
    if (holt_liveset_has(&reader, after + 1 + i) != live[i]) {
      return false;
    }
  }
  return !holt_liveset_has(&reader, after + count + 1) && reader.error == 0;
}

static bool
check_refuses(const void *bytes, size_t size, uint64_t after)
{
  uint64_t to = 0;
  return holt_liveset_check(bytes, size, after, &to) == HOLT_ERR_MALFORMED;
}

/* The example of the header, byte by byte. */
static void
write_gives_the_documented_bytes(void)
{
  static const uint8_t expected[] = { 0x01, 0x03, 0x00, 0xd9, 0x80 };
  static const bool live[10] = { true, true, true, [6] = true };
  struct set set;
  set_init(&set);
  set_write(&set, 0, live, 10);
  CU_ASSERT_EQUAL_FATAL(set.buf.size, sizeof expected);
  CU_ASSERT_EQUAL(memcmp(set.buf.data, expected, sizeof expected), 0);
  CU_ASSERT(set_reads_back(&set, 0, live, 10, 1));
  set_deinit(&set);
}

/* A range without seqs is no bytes, and reads so. */
static void
empty_range_is_no_bytes(void)
{
  struct set set;
  set_init(&set);
  set_write(&set, 7, NULL, 0);
  CU_ASSERT_EQUAL(set.buf.size, 0);
  uint64_t to = 0;
  CU_ASSERT_EQUAL(holt_liveset_check(NULL, 0, 7, &to), 0);
  CU_ASSERT_EQUAL(to, 7);
  struct holt_liveset_reader reader;
  holt_liveset_open(&reader, NULL, 0, 7);
  CU_ASSERT(!holt_liveset_has(&reader, 7));
  CU_ASSERT(!holt_liveset_has(&reader, 8));
  CU_ASSERT_EQUAL(reader.error, 0);
  set_deinit(&set);
}

/* What is in a range of 2^48 - 1 seqs is found without walking it. */
static void
longest_runs_are_a_few_bytes(void)
{
  const uint64_t last = HOLT_LIVESET_SEQ_MAX;
  struct set set;
  set_init(&set);
  struct holt_liveset_writer writer;
  holt_liveset_begin(&writer, &set.buf, 0, HOLT_LIVESET_BYTES_MIN);
  CU_ASSERT_EQUAL(holt_liveset_add(&writer, last), 0);
  CU_ASSERT_EQUAL(holt_liveset_end(&writer, last), 0);
  CU_ASSERT(set.buf.size <= 12);
  struct holt_liveset_reader reader;
  holt_liveset_open(&reader, set.buf.data, set.buf.size, 0);
  CU_ASSERT(!holt_liveset_has(&reader, 1));
  CU_ASSERT(!holt_liveset_has(&reader, last - 1));
  CU_ASSERT(holt_liveset_has(&reader, last));
  CU_ASSERT(!holt_liveset_has(&reader, last + 1));

  holt_buf_clear(&set.buf);
  holt_liveset_begin(&writer, &set.buf, 5, HOLT_LIVESET_BYTES_MIN);
  CU_ASSERT_EQUAL(holt_liveset_end(&writer, last), 0);
  uint64_t to = 0;
  CU_ASSERT_EQUAL(holt_liveset_check(set.buf.data, set.buf.size, 5, &to), 0);
  CU_ASSERT_EQUAL(to, last);
  /* The same bytes from one further on would leave the range. */
  CU_ASSERT(check_refuses(set.buf.data, set.buf.size, 6));
  set_deinit(&set);
}

/* A young actor, and one whose rows die in long stretches. */
static void
long_runs_cost_bytes_not_seqs(void)
{
  enum {
    COUNT = 1000000
  };
  bool *const live = calloc(COUNT, sizeof *live);
  CU_ASSERT_PTR_NOT_NULL_FATAL(live);
  struct set set;
  set_init(&set);
  memset(live, 1, COUNT);
  set_write(&set, 0, live, COUNT);
  printf("(all of 1e6: %zu bytes) ", set.buf.size);
  CU_ASSERT(set.buf.size < 16);
  CU_ASSERT(set_reads_back(&set, 0, live, COUNT, 1));

  struct prng prng;
  prng_init(&prng, 4);
  size_t at = 0;
  for (unsigned i = 0; i < 100; i++) {
    const size_t end = i == 99 ? COUNT : at + 1 + prng_below(&prng, 19999);
    for (; at < end && at < COUNT; at++) {
      live[at] = i % 2 == 0;
    }
  }
  set_write(&set, 0, live, COUNT);
  printf("(100 runs: %zu bytes) ", set.buf.size);
  CU_ASSERT(set.buf.size < 1024);
  CU_ASSERT(set_reads_back(&set, 0, live, COUNT, 1));
  set_deinit(&set);
  free(live);
}

/* Independent seqs of any density: close to what is possible. */
static void
random_sets_are_near_their_entropy(void)
{
  enum {
    COUNT = 100000
  };
  /* Parts in a thousand that live, and the entropy of one seq in millionths of
   * a bit. */
  static const struct {
    uint64_t permille;
    uint64_t entropy;
  } densities[] = { { 1, 11408 },     { 10, 80793 },   { 30, 194392 },
                    { 60, 327445 },   { 100, 468996 }, { 250, 811278 },
                    { 500, 1000000 }, { 750, 811278 }, { 900, 468996 },
                    { 940, 327445 },  { 970, 194392 }, { 990, 80793 },
                    { 999, 11408 } };
  const uint64_t seed = prng_seed();
  bool *const live = calloc(COUNT, sizeof *live);
  CU_ASSERT_PTR_NOT_NULL_FATAL(live);
  struct set set;
  set_init(&set);
  for (size_t i = 0; i < sizeof densities / sizeof densities[0]; i++) {
    struct prng prng;
    prng_init(&prng, seed + i);
    for (size_t j = 0; j < COUNT; j++) {
      live[j] = prng_chance(&prng, densities[i].permille, 1000);
    }
    set_write(&set, 12345, live, COUNT);
    const uint64_t least = densities[i].entropy * COUNT / 8000000;
    const bool good = set.buf.size <= least + least / 5 + 64 &&
                      set_reads_back(&set, 12345, live, COUNT, 1) &&
                      set_reads_back(&set, 12345, live, COUNT, 7);
    if (!good || getenv("LIVESET_SIZES") != NULL) {
      fprintf(stderr,
              "SEED=%" PRIu64 " density %" PRIu64 "/1000: %zu bytes, "
              "entropy %" PRIu64 ", %.3f\n",
              seed, densities[i].permille, set.buf.size, least,
              (double)set.buf.size / (double)least);
    }
    CU_ASSERT(good);
  }
  set_deinit(&set);
  free(live);
}

/* Clumps of any length and density, one after the other. */
static void
clumps_make(struct prng *prng, bool *live, size_t count)
{
  size_t at = 0;
  while (at < count) {
    const uint64_t odds = prng_below(prng, 5) * prng_below(prng, 251);
    const size_t length =
      1 + (size_t)prng_below(prng, UINT64_C(1) << prng_below(prng, 14));
    for (size_t i = 0; i < length && at < count; i++, at++) {
      live[at] = prng_chance(prng, odds, 1000);
    }
  }
}

/* Write all of live in sets of at most bytes_max, and read each one back. */
static bool
sets_go_on(struct set *set, struct prng *prng, size_t bytes_max,
           const bool *live, size_t count)
{
  uint64_t after = 0;
  while (after < count) {
    struct holt_liveset_writer writer;
    holt_buf_clear(&set->buf);
    (void)holt_buf_put(&set->buf, "before", 6);
    holt_liveset_begin(&writer, &set->buf, after, bytes_max);
    int rv = 0;
    uint64_t to = after;
    while (rv == 0 && to < count) {
      rv = live[to] ? holt_liveset_add(&writer, to + 1) : 0;
      to += rv == 0 ? 1 : 0;
    }
    if (rv == HOLT_ERR_LIMIT) {
      /* Anything from the last one added on will do. */
      to -= prng_below(prng, to - writer.at + 1);
    } else if (rv != 0) {
      return false;
    }
    const size_t left = count - (size_t)after;
    uint64_t checked = 0;
    if (holt_liveset_end(&writer, to) != 0 || to <= after ||
        set->buf.size > 6 + bytes_max ||
        memcmp(set->buf.data, "before", 6) != 0 ||
        (rv != 0 && bytes_max > 1000 && set->buf.size < bytes_max - 50) ||
        holt_liveset_check(set->buf.data + 6, set->buf.size - 6, after,
                           &checked) != 0 ||
        checked != to) {
      return false;
    }
    struct holt_liveset_reader reader;
    holt_liveset_open(&reader, set->buf.data + 6, set->buf.size - 6, after);
    for (size_t i = 0; i < left; i++) {
      const uint64_t seq = after + 1 + i;
      if (holt_liveset_has(&reader, seq) != (seq <= to && live[seq - 1])) {
        return false;
      }
    }
    after = to;
  }
  return true;
}

/* However small the messages, the sets of all of them are the set. */
static void
prop_sets_within_a_budget_add_up(void)
{
  const uint64_t seed = prng_seed();
  struct set set;
  set_init(&set);
  bool good = true;
  for (unsigned i = 0; good && i < 150; i++) {
    static bool live[20000];
    struct prng prng;
    prng_init(&prng, seed + i);
    const size_t count = 1 + (size_t)prng_below(&prng, 3000);
    const size_t bytes_max =
      HOLT_LIVESET_BYTES_MIN +
      (size_t)prng_below(&prng, UINT64_C(1) << prng_below(&prng, 12));
    clumps_make(&prng, live, count);
    good = sets_go_on(&set, &prng, bytes_max, live, count);
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " run %u\n", seed, i);
    }
  }
  CU_ASSERT(good);
  set_deinit(&set);
}

static int
write_some(struct holt_mem *mem, void *arg)
{
  (void)arg;
  struct holt_buf buf;
  holt_buf_init(&buf, mem, 0);
  struct holt_liveset_writer writer;
  holt_liveset_begin(&writer, &buf, 0, 10000);
  struct prng prng;
  prng_init(&prng, 5);
  int rv = 0;
  for (uint64_t seq = 1; rv == 0 && seq < 10000; seq++) {
    rv = prng_chance(&prng, 1, 2) ? holt_liveset_add(&writer, seq) : 0;
  }
  const int end_rv = holt_liveset_end(&writer, 10000);
  CU_ASSERT(rv == 0 || end_rv == rv);
  holt_buf_deinit(&buf);
  return end_rv;
}

/* No memory is an error that stays. */
static void
write_with_each_request_refused_says_so(void)
{
  uint64_t requests = 0;
  CU_ASSERT(heap_fail_each(write_some, NULL, &requests));
  CU_ASSERT(requests > 1);
}

/* One mistake each. */
static void
check_refuses_each_mistake(void)
{
  static const uint8_t good[] = { 0x01, 0x03, 0x00, 0xd9, 0x80 };
  static const uint8_t kind[] = { 0x02, 0x03, 0x00, 0xd9, 0x80 };
  static const uint8_t padding[] = { 0x01, 0x03, 0x00, 0xd9, 0x81 };
  static const uint8_t tail[] = { 0x01, 0x03, 0x00, 0xd9, 0x80, 0x00 };
  static const uint8_t few[] = { 0x01, 0x0f, 0x00, 0xd9, 0x80 };
  static const uint8_t ones[] = { 0x01, 0x00, 0x00, 0xff, 0xff };
  /* n = 15 in full, where fifteen ones and a zero would do; then 16. */
  static const uint8_t overlong[] = {
    0x01, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 15
  };
  static const uint8_t full[] = { 0x01, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 16 };
  uint64_t to = 0;
  CU_ASSERT_EQUAL(holt_liveset_check(good, sizeof good, 0, &to), 0);
  CU_ASSERT_EQUAL(to, 10);
  for (size_t size = 1; size < sizeof good; size++) {
    CU_ASSERT(check_refuses(good, size, 0));
  }
  CU_ASSERT(check_refuses(good, sizeof good, HOLT_LIVESET_SEQ_MAX + 1));
  CU_ASSERT(check_refuses(good, sizeof good, HOLT_LIVESET_SEQ_MAX - 9));
  CU_ASSERT(!check_refuses(good, sizeof good, HOLT_LIVESET_SEQ_MAX - 10));
  CU_ASSERT(check_refuses(NULL, 0, UINT64_MAX));
  CU_ASSERT(check_refuses(kind, sizeof kind, 0));
  CU_ASSERT(check_refuses(padding, sizeof padding, 0));
  CU_ASSERT(check_refuses(tail, sizeof tail, 0));
  CU_ASSERT(check_refuses(few, sizeof few, 0));
  CU_ASSERT(check_refuses(ones, sizeof ones, 0));
  CU_ASSERT(check_refuses(overlong, sizeof overlong, 0));
  CU_ASSERT_EQUAL(holt_liveset_check(full, sizeof full, 0, &to), 0);
  CU_ASSERT_EQUAL(to, 17);
}

/* Good sets with some bytes spoiled: refused, or a set whose runs go up to the
 * end that was announced; reading never leaves the bytes. */
static void
prop_spoiled_bytes_are_refused_or_a_set(void)
{
  static bool live[4000];
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct set set;
  set_init(&set);
  bool good = true;
  for (unsigned i = 0; good && i < 3000; i++) {
    const size_t count = 1 + (size_t)prng_below(&prng, 4000);
    clumps_make(&prng, live, count);
    set_write(&set, 9, live, count);
    size_t size = set.buf.size;
    if (prng_chance(&prng, 1, 4)) {
      size = (size_t)prng_below(&prng, size + 1);
    }
    /* A block of its own: reading behind it is seen by the sanitizer. */
    uint8_t *const bytes = malloc(size + (size == 0));
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    memcpy(bytes, set.buf.data, size);
    for (uint64_t j = prng_below(&prng, 4); size > 0 && j > 0; j--) {
      bytes[prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
    }
    uint64_t to = 0;
    const int rv = holt_liveset_check(bytes, size, 9, &to);
    struct holt_liveset_reader reader;
    holt_liveset_open(&reader, bytes, size, 9);
    uint64_t last = 9;
    size_t runs = 0;
    while (holt_liveset_next(&reader)) {
      good = good && reader.to > last && reader.to <= HOLT_LIVESET_SEQ_MAX;
      last = reader.to;
      runs++;
    }
    good = good && runs <= 8 * size && reader.error == rv && last == to &&
           (rv == 0 || rv == HOLT_ERR_MALFORMED) && !reader.live;
    free(bytes);
  }
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
  set_deinit(&set);
}

void test_liveset_suite(void);

void
test_liveset_suite(void)
{
  CU_pSuite suite = CU_add_suite("liveset", NULL, NULL);
  CU_ADD_TEST(suite, write_gives_the_documented_bytes);
  CU_ADD_TEST(suite, empty_range_is_no_bytes);
  CU_ADD_TEST(suite, longest_runs_are_a_few_bytes);
  CU_ADD_TEST(suite, long_runs_cost_bytes_not_seqs);
  CU_ADD_TEST(suite, random_sets_are_near_their_entropy);
  CU_ADD_TEST(suite, prop_sets_within_a_budget_add_up);
  CU_ADD_TEST(suite, write_with_each_request_refused_says_so);
  CU_ADD_TEST(suite, check_refuses_each_mistake);
  CU_ADD_TEST(suite, prop_spoiled_bytes_are_refused_or_a_set);
}
