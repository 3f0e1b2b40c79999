/* SPDX-License-Identifier: Apache-2.0 */
#include "varint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "prng.h"

static const struct {
  uint64_t value;
  size_t size;
  uint8_t bytes[HOLT_VARINT_SIZE_MAX];
} vectors[] = {
  { 0, 1, { 0x00 } },
  { 1, 1, { 0x01 } },
  { 127, 1, { 0x7f } },
  { 128, 2, { 0x80, 0x01 } },
  { 300, 2, { 0xac, 0x02 } },
  { 16383, 2, { 0xff, 0x7f } },
  { 16384, 3, { 0x80, 0x80, 0x01 } },
  { UINT64_C(1) << 63,
    10,
    { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 } },
  { UINT64_MAX,
    10,
    { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 } },
};

/* The bytes are those of LEB128, and come back. */
static void
put_known_values_gives_known_bytes(void)
{
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    uint8_t bytes[HOLT_VARINT_SIZE_MAX];
    const uint8_t *const end = holt_varint_put(bytes, vectors[i].value);
    CU_ASSERT_EQUAL((size_t)(end - bytes), vectors[i].size);
    CU_ASSERT_EQUAL(holt_varint_size(vectors[i].value), vectors[i].size);
    CU_ASSERT_EQUAL(memcmp(bytes, vectors[i].bytes, vectors[i].size), 0);

    struct holt_reader reader;
    holt_reader_init(&reader, bytes, vectors[i].size);
    CU_ASSERT_EQUAL(holt_read_varint(&reader), vectors[i].value);
    CU_ASSERT_EQUAL(reader.error, 0);
    CU_ASSERT_EQUAL(holt_read_left(&reader), 0);
  }
}

/* Any number of any length comes back, and cut short it is malformed. */
static void
prop_read_put_is_identity(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  for (unsigned i = 0; i < 20000; i++) {
    const uint64_t value = prng_next(&prng) >> prng_below(&prng, 64);
    uint8_t bytes[HOLT_VARINT_SIZE_MAX];
    const size_t size = (size_t)(holt_varint_put(bytes, value) - bytes);
    struct holt_reader whole;
    struct holt_reader cut;
    holt_reader_init(&whole, bytes, size);
    holt_reader_init(&cut, bytes, size - 1);
    const uint64_t back = holt_read_varint(&whole);
    const uint64_t nothing = holt_read_varint(&cut);
    if (back != value || whole.error != 0 || nothing != 0 ||
        cut.error != HOLT_ERR_MALFORMED) {
      fprintf(stderr, "SEED=%" PRIu64 " value %" PRIu64 "\n", seed, value);
      CU_FAIL("varint does not come back");
      return;
    }
  }
  CU_PASS("all come back");
}

/* One number, one form: anything else is refused and moves nothing. */
static void
read_varint_in_another_form_is_malformed(void)
{
  static const struct {
    size_t size;
    uint8_t bytes[12];
  } wrong[] = {
    { 0, { 0 } },
    { 1, { 0x80 } },
    { 2, { 0x80, 0x00 } },
    { 3, { 0xff, 0x80, 0x00 } },
    { 10, { 255, 255, 255, 255, 255, 255, 255, 255, 255, 2 } },
    { 10, { 255, 255, 255, 255, 255, 255, 255, 255, 255, 0x81 } },
    { 10, { 128, 128, 128, 128, 128, 128, 128, 128, 128, 0 } },
    { 11, { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1 } },
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    struct holt_reader reader;
    holt_reader_init(&reader, wrong[i].bytes, wrong[i].size);
    CU_ASSERT_EQUAL(holt_read_varint(&reader), 0);
    CU_ASSERT_EQUAL(reader.error, HOLT_ERR_MALFORMED);
    CU_ASSERT_PTR_EQUAL(reader.at, wrong[i].bytes);
  }
}

/* Fixed widths are big-endian. */
static void
read_fixed_widths_in_order(void)
{
  static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7,    8,   9,
                                   0, 0, 0, 0, 0, 0, 0x10, 'h', 'o' };
  struct holt_reader reader;
  holt_reader_init(&reader, bytes, sizeof bytes);
  CU_ASSERT_EQUAL(holt_read_u8(&reader), 1);
  CU_ASSERT_EQUAL(holt_read_u16be(&reader), 0x0203);
  CU_ASSERT_EQUAL(holt_read_u32be(&reader), 0x04050607);
  CU_ASSERT_EQUAL(holt_read_u64be(&reader), UINT64_C(0x0809000000000000));
  CU_ASSERT_EQUAL(holt_read_left(&reader), 3);
  CU_ASSERT_PTR_EQUAL(holt_read_bytes(&reader, 3), bytes + 15);
  CU_ASSERT_PTR_EQUAL(holt_read_bytes(&reader, 0), bytes + sizeof bytes);
  CU_ASSERT_EQUAL(reader.error, 0);
}

/* After the first error nothing is read any more. */
static void
read_past_the_end_sticks(void)
{
  static const uint8_t bytes[] = { 1, 2, 3 };
  struct holt_reader reader;
  holt_reader_init(&reader, bytes, sizeof bytes);
  CU_ASSERT_EQUAL(holt_read_u32be(&reader), 0);
  CU_ASSERT_EQUAL(reader.error, HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(holt_read_u8(&reader), 0);
  CU_ASSERT_EQUAL(holt_read_varint(&reader), 0);
  CU_ASSERT_PTR_NULL(holt_read_bytes(&reader, 0));
  CU_ASSERT_EQUAL(holt_read_left(&reader), 0);

  holt_reader_init(&reader, bytes, sizeof bytes);
  holt_read_fail(&reader, HOLT_ERR_LIMIT);
  CU_ASSERT_PTR_NULL(holt_read_bytes(&reader, 1));
  CU_ASSERT_EQUAL(reader.error, HOLT_ERR_LIMIT);

  holt_reader_init(&reader, NULL, 0);
  CU_ASSERT_EQUAL(holt_read_left(&reader), 0);
  CU_ASSERT_EQUAL(holt_read_u8(&reader), 0);
  CU_ASSERT_EQUAL(reader.error, HOLT_ERR_MALFORMED);

  holt_reader_init(&reader, bytes, sizeof bytes);
  CU_ASSERT_PTR_NULL(holt_read_bytes(&reader, SIZE_MAX));
}

void test_varint_suite(void);

void
test_varint_suite(void)
{
  CU_pSuite suite = CU_add_suite("varint", NULL, NULL);
  CU_ADD_TEST(suite, put_known_values_gives_known_bytes);
  CU_ADD_TEST(suite, prop_read_put_is_identity);
  CU_ADD_TEST(suite, read_varint_in_another_form_is_malformed);
  CU_ADD_TEST(suite, read_fixed_widths_in_order);
  CU_ADD_TEST(suite, read_past_the_end_sticks);
}
