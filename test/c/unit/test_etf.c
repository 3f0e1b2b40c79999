/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/etf.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "hex.h"
#include "prng.h"

/* The only token of these bytes; the result is that of holt_etf_next(). */
static int
only_token(const struct hex *hex, struct holt_etf_token *token)
{
  struct holt_etf_reader reader;
  holt_etf_init(&reader, hex->bytes, hex->size);
  const int rv = holt_etf_next(&reader, token);
  CU_ASSERT_PTR_EQUAL(reader.at, hex->bytes + (rv == 0 ? hex->size : 0));
  return rv;
}

static int
check_text(const char *text)
{
  struct hex hex = hex_new(text);
  const int rv = holt_etf_check(hex.bytes, hex.size);
  hex_delete(&hex);
  return rv;
}

/* Every form of an integer that fits in 64 bits is the integer. */
static void
next_integers_have_their_value(void)
{
  static const struct {
    const char *text;
    int64_t value;
  } cases[] = {
    { "61 00", 0 },
    { "61 ff", 255 },
    { "62 00 00 01 00", 256 },
    { "62 7f ff ff ff", INT32_MAX },
    { "62 80 00 00 00", INT32_MIN },
    { "62 ff ff ff ff", -1 },
    { "6e 00 00", 0 },
    { "6e 00 01", 0 },
    { "6e 01 00 05", 5 },
    { "6e 02 01 05 00", -5 },
    { "6e 0a 00 05 00 00 00 00 00 00 00 00 00", 5 },
    { "6e 06 00 00 00 00 00 00 01", INT64_C(1) << 40 },
    { "6e 08 00 ff ff ff ff ff ff ff 7f", INT64_MAX },
    { "6e 08 01 00 00 00 00 00 00 00 80", INT64_MIN },
    { "6f 00 00 00 02 01 00 01", -256 },
    { "6f 00 00 00 00 00", 0 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct hex hex = hex_new(cases[i].text);
    struct holt_etf_token token;
    CU_ASSERT_EQUAL(only_token(&hex, &token), 0);
    CU_ASSERT_EQUAL(token.type, HOLT_ETF_INTEGER);
    CU_ASSERT_EQUAL(token.integer, cases[i].value);
    CU_ASSERT_EQUAL(token.tag, hex.bytes[0]);
    hex_delete(&hex);
  }
}

/* What does not fit keeps sign and magnitude, without high zeros. */
static void
next_bigs_keep_their_magnitude(void)
{
  static const struct {
    const char *text;
    size_t size;
    bool negative;
  } cases[] = {
    { "6e 08 00 00 00 00 00 00 00 00 80", 8, false },
    { "6e 08 01 01 00 00 00 00 00 00 80", 8, true },
    { "6e 0b 01 00 00 00 00 00 00 00 00 01 00 00", 9, true },
    { "6f 00 00 00 09 00 00 00 00 00 00 00 00 00 01", 9, false },
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct hex hex = hex_new(cases[i].text);
    struct holt_etf_token token;
    CU_ASSERT_EQUAL(only_token(&hex, &token), 0);
    CU_ASSERT_EQUAL(token.type, HOLT_ETF_BIG);
    CU_ASSERT_EQUAL(token.size, cases[i].size);
    CU_ASSERT_EQUAL(token.negative, cases[i].negative);
    CU_ASSERT_NOT_EQUAL(token.bytes[token.size - 1], 0);
    hex_delete(&hex);
  }
}

/* Atoms, binaries, bits and strings point into the input. */
static void
next_bytes_are_borrowed(void)
{
  static const struct {
    const char *text;
    enum holt_etf_type type;
    size_t offset;
    size_t size;
    uint8_t bits;
    bool latin1;
  } cases[] = {
    { "77 02 6f 6b", HOLT_ETF_ATOM, 2, 2, 0, false },
    { "76 00 02 c3 a9", HOLT_ETF_ATOM, 3, 2, 0, false },
    { "77 00", HOLT_ETF_ATOM, 2, 0, 0, false },
    { "73 01 e9", HOLT_ETF_ATOM, 2, 1, 0, true },
    { "64 00 01 e9", HOLT_ETF_ATOM, 3, 1, 0, true },
    { "6d 00 00 00 03 01 02 03", HOLT_ETF_BINARY, 5, 3, 0, false },
    { "6d 00 00 00 00", HOLT_ETF_BINARY, 5, 0, 0, false },
    { "4d 00 00 00 01 03 20", HOLT_ETF_BITS, 6, 1, 3, false },
    { "4d 00 00 00 01 08 20", HOLT_ETF_BINARY, 6, 1, 0, false },
    { "4d 00 00 00 00 00", HOLT_ETF_BINARY, 6, 0, 0, false },
    { "6b 00 02 05 06", HOLT_ETF_STRING, 3, 2, 0, false },
    { "6b 00 00", HOLT_ETF_NIL, 3, 0, 0, false },
    { "6a", HOLT_ETF_NIL, 0, 0, 0, false },
    { "71 77 01 6d 64 00 01 66 61 02", HOLT_ETF_EXPORT, 1, 9, 0, false },
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct hex hex = hex_new(cases[i].text);
    struct holt_etf_token token;
    CU_ASSERT_EQUAL(only_token(&hex, &token), 0);
    CU_ASSERT_EQUAL(token.type, cases[i].type);
    CU_ASSERT_EQUAL(token.size, cases[i].size);
    CU_ASSERT_EQUAL(token.bits, cases[i].bits);
    CU_ASSERT_EQUAL(token.latin1, cases[i].latin1);
    if (cases[i].size > 0) {
      CU_ASSERT_PTR_EQUAL(token.bytes, hex.bytes + cases[i].offset);
    }
    hex_delete(&hex);
  }
}

/* A container is its header; the reader stands at its first part. */
static void
next_containers_announce_their_parts(void)
{
  static const struct {
    const char *text;
    enum holt_etf_type type;
    uint64_t children;
  } cases[] = {
    { "68 02 6a 6a", HOLT_ETF_TUPLE, 2 },
    { "68 00", HOLT_ETF_TUPLE, 0 },
    { "69 00 00 00 01 6a", HOLT_ETF_TUPLE, 1 },
    { "6c 00 00 00 01 6a 6a", HOLT_ETF_LIST, 2 },
    { "6c 00 00 00 00 6a", HOLT_ETF_LIST, 1 },
    { "74 00 00 00 01 6a 6a", HOLT_ETF_MAP, 2 },
    { "74 00 00 00 00", HOLT_ETF_MAP, 0 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct hex hex = hex_new(cases[i].text);
    struct holt_etf_reader reader;
    struct holt_etf_token token;
    holt_etf_init(&reader, hex.bytes, hex.size);
    CU_ASSERT_EQUAL(holt_etf_next(&reader, &token), 0);
    CU_ASSERT_EQUAL(token.type, cases[i].type);
    CU_ASSERT_EQUAL(holt_etf_children(&token), cases[i].children);
    CU_ASSERT_EQUAL((uint64_t)(reader.end - reader.at), cases[i].children);
    hex_delete(&hex);
  }
}

/* Old and new forms of pids, ports and references. */
static void
next_identifiers_have_all_their_fields(void)
{
  static const struct {
    const char *text;
    enum holt_etf_type type;
    uint64_t id;
    uint32_t serial;
    uint32_t creation;
    uint8_t words;
    bool latin1;
  } cases[] = {
    { "58 77 03 61 40 62 00000009 00000002 0a0b0c0d", HOLT_ETF_PID, 9, 2,
      0x0a0b0c0d, 0, false },
    { "67 64 0003 61 40 62 00000009 00000002 03", HOLT_ETF_PID, 9, 2, 3, 0,
      true },
    { "78 77 03 61 40 62 0102030405060708 00000001", HOLT_ETF_PORT,
      UINT64_C(0x0102030405060708), 0, 1, 0, false },
    { "59 77 03 61 40 62 00000007 00000001", HOLT_ETF_PORT, 7, 0, 1, 0, false },
    { "66 77 03 61 40 62 00000007 02", HOLT_ETF_PORT, 7, 0, 2, 0, false },
    { "5a 0003 77 03 61 40 62 00000004 00000001 00000002 00000003",
      HOLT_ETF_REFERENCE, 0, 0, 4, 3, false },
    { "72 0001 73 03 61 40 62 02 00000001", HOLT_ETF_REFERENCE, 0, 0, 2, 1,
      true },
    { "5a 0005 77 03 61 40 62 00000004 00000001 00000002 00000003 00000004 "
      "00000005",
      HOLT_ETF_REFERENCE, 0, 0, 4, 5, false },
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct hex hex = hex_new(cases[i].text);
    struct holt_etf_token token;
    CU_ASSERT_EQUAL(only_token(&hex, &token), 0);
    CU_ASSERT_EQUAL(token.type, cases[i].type);
    CU_ASSERT_EQUAL(token.id, cases[i].id);
    CU_ASSERT_EQUAL(token.serial, cases[i].serial);
    CU_ASSERT_EQUAL(token.creation, cases[i].creation);
    CU_ASSERT_EQUAL(token.words_count, cases[i].words);
    CU_ASSERT_EQUAL(token.node_latin1, cases[i].latin1);
    CU_ASSERT_EQUAL_FATAL(token.node_size, 3);
    CU_ASSERT_EQUAL(memcmp(token.node, "a@b", 3), 0);
    for (uint32_t j = 0; j < HOLT_ETF_REFERENCE_WORDS_MAX; j++) {
      CU_ASSERT_EQUAL(token.words[j], j < cases[i].words ? j + 1 : 0);
    }
    hex_delete(&hex);
  }
}

/* FLOAT_EXT as bytes. */
static struct hex
float_text(const char *text)
{
  uint8_t bytes[32] = { 99 };
  CU_ASSERT_FATAL(strlen(text) < sizeof bytes);
  memcpy(bytes + 1, text, strlen(text));
  return hex_copy(bytes, sizeof bytes);
}

static bool
float_equals(const char *text, double expected)
{
  struct hex hex = float_text(text);
  struct holt_etf_token token;
  const int rv = only_token(&hex, &token);
  hex_delete(&hex);
  return rv == 0 && token.type == HOLT_ETF_FLOAT &&
         memcmp(&token.real, &expected, sizeof expected) == 0;
}

/* Known floats of both forms, the extremes among them. */
static void
next_floats_have_their_value(void)
{
  static const char *const texts[] = {
    "1.50000000000000000000e+00",
    "-1.00000000000000005551e-01",
    "4.94065645841246544177e-324",
    "1.79769313486231570815e+308",
    "2.22507385850720138309e-308",
    "2.22507385850720088902e-308",
    "-0.00000000000000000000e+00",
    "+0.0",
    "9007199254740993.0",
    "9007199254740993.000000000000",
    "1.0e23",
    "8.5e22",
    "0.00000000000000000001e+300",
    "100000000000000000000.0e-20",
    "1.0e-400",
    "-1.0e-9999999",
    "0.0e+9999999",
    "2.4703282292062327208e-324",
    "2.4703282292062327209e-324",
    "1.7976931348623158079e308",
    "123456789.12299999594688415e0",
    "00000000000000000000000012.5",
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (!float_equals(texts[i], strtod(texts[i], NULL))) {
      fprintf(stderr, "float %s\n", texts[i]);
      CU_FAIL("wrong value");
    }
  }
  struct hex hex = hex_new("46 3f f8 00 00 00 00 00 00");
  struct holt_etf_token token;
  CU_ASSERT_EQUAL(only_token(&hex, &token), 0);
  CU_ASSERT_EQUAL(token.type, HOLT_ETF_FLOAT);
  CU_ASSERT_EQUAL(token.real, 1.5);
  hex_delete(&hex);
}

/* Every finite double comes back from the text Erlang writes, and other
 * decimals round as the C library rounds them. */
static void
prop_float_text_rounds_to_nearest(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  for (unsigned i = 0; i < 30000; i++) {
    char text[64];
    if (i % 2 == 0) {
      double real = 0;
      const uint64_t word = prng_next(&prng);
      memcpy(&real, &word, sizeof word);
      if (!isfinite(real)) {
        continue;
      }
      snprintf(text, sizeof text, "%.20e", real);
    } else {
      /* Half way between two doubles, or close. */
      const uint64_t digits = prng_next(&prng) >> prng_below(&prng, 64);
      const int exponent = (int)prng_below(&prng, 640) - 340;
      snprintf(text, sizeof text, "%" PRIu64 ".0e%d", digits, exponent);
    }
    const double expected = strtod(text, NULL);
    struct hex hex = float_text(text);
    struct holt_etf_token token;
    const int rv = only_token(&hex, &token);
    hex_delete(&hex);
    const bool good = isfinite(expected)
                        ? rv == 0 && memcmp(&token.real, &expected, 8) == 0
                        : rv == HOLT_ERR_MALFORMED;
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " float %s\n", seed, text);
      CU_FAIL("wrong value");
      return;
    }
  }
  CU_PASS("all right");
}

/* Text that is no finite number. */
static void
next_malformed_floats_are_refused(void)
{
  static const char *const texts[] = {
    "",
    "1",
    "1.",
    ".5",
    "1.5e",
    "1.5e+",
    "nan",
    "inf",
    "--1.5",
    "1.5 ",
    " 1.5",
    "1.5x",
    "1.5e1x",
    "1,5",
    "-",
    "e5",
    "1.0e309",
    "-1.0e309",
    "1.7976931348623158080e308",
    "9.9e9999999",
    "1.0e+400",
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    struct hex hex = float_text(texts[i]);
    struct holt_etf_token token;
    if (only_token(&hex, &token) != HOLT_ERR_MALFORMED) {
      fprintf(stderr, "float %s\n", texts[i]);
      CU_FAIL("accepted");
    }
    hex_delete(&hex);
  }
  CU_ASSERT_EQUAL(check_text("46 7f f0 00 00 00 00 00 00"), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(check_text("46 ff f0 00 00 00 00 00 00"), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(check_text("46 7f f8 00 00 00 00 00 01"), HOLT_ERR_MALFORMED);
}

/* Whole terms as OTP 25 and 27 write them, one of every kind. */
static const char *const terms[] = {
  "61 05",
  "62 ff ff ff 00",
  "6e 08 01 00 00 00 00 00 00 00 80",
  "6f 00 00 00 09 00 00 00 00 00 00 00 00 00 01",
  "46 bf b9 99 99 99 99 99 9a",
  "63 312e3530303030303030303030303030303030303030652b30300000000000",
  "77 06 e6 97 a5 e6 9c ac",
  "76 00 02 c3 a9",
  "73 01 e9",
  "64 00 01 e9",
  "6b 00 02 68 69",
  "6d 00 00 00 02 68 69",
  "4d 00 00 00 01 03 20",
  "68 02 77 04 75 73 65 72 61 07",
  "69 00 00 00 01 6a",
  "6a",
  "6c 00 00 00 02 61 01 61 02 6a",
  "6c 00 00 00 01 61 01 61 02",
  "74 00 00 00 02 77 01 61 61 02 77 01 62 61 01",
  "58 64 000d 6e6f6e6f6465406e6f686f7374 00000009 00000000 00000000",
  "67 64 000d 6e6f6e6f6465406e6f686f7374 00000009 00000000 00",
  "59 64 000d 6e6f6e6f6465406e6f686f7374 00000000 00000000",
  "66 64 000d 6e6f6e6f6465406e6f686f7374 00000000 00",
  "78 77 0d 6e6f6e6f6465406e6f686f7374 0000000000000000 00000000",
  "5a 0003 77 0d 6e6f6e6f6465406e6f686f7374 00000000 000160e1 ecbc0002 "
  "5222ca6a",
  "72 0003 64 000d 6e6f6e6f6465406e6f686f7374 00 000160e1 ecbc0002 5222ca6a",
  "71 77 05 6c69737473 77 03 6d6170 61 02",
  "70 00000045 01 4966cb31d4bae7e75d791c3560212ebc 00000000 00000000 "
  "77 03 766563 61 00 62 024b3659 "
  "58 77 0d 6e6f6e6f6465406e6f686f7374 00000009 00000000 00000000",
  "70 00000061 01 4966cb31d4bae7e75d791c3560212ebc 00000001 00000001 "
  "77 03 766563 61 01 62 024b3659 "
  "58 77 0d 6e6f6e6f6465406e6f686f7374 00000009 00000000 00000000 "
  "58 77 0d 6e6f6e6f6465406e6f686f7374 00000009 00000000 00000000",
};

#define TERMS (sizeof terms / sizeof terms[0])

/* Each is one term; cut short it is none, and neither with a byte too many. */
static void
check_whole_terms_only(void)
{
  for (size_t i = 0; i < TERMS; i++) {
    struct hex hex = hex_new(terms[i]);
    if (holt_etf_check(hex.bytes, hex.size) != 0) {
      hex_print("term", hex.bytes, hex.size);
      CU_FAIL("refused");
    }
    for (size_t size = 0; size < hex.size; size++) {
      struct hex cut = hex_copy(hex.bytes, size);
      CU_ASSERT_EQUAL(holt_etf_check(cut.bytes, size), HOLT_ERR_MALFORMED);
      hex_delete(&cut);
    }
    uint8_t *const longer = malloc(hex.size + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(longer);
    memcpy(longer, hex.bytes, hex.size);
    longer[hex.size] = 0x6a;
    CU_ASSERT_EQUAL(holt_etf_check(longer, hex.size + 1), HOLT_ERR_MALFORMED);
    free(longer);
    hex_delete(&hex);
  }
  CU_ASSERT_EQUAL(holt_etf_check(NULL, 0), HOLT_ERR_MALFORMED);
}

/* What no encoder writes. */
static void
check_malformed_terms_are_refused(void)
{
  static const char *const wrong[] = {
    "83 61 01",             /* The version byte is not ours. */
    "50 00 00 00 02 78 9c", /* compressed */
    "52 00",                /* atom cache */
    "00",                   /* no tag */
    "ff",
    "77 02 c3 28",       /* no UTF-8 */
    "77 02 c0 80",       /* overlong */
    "77 01 80",          /* continuation alone */
    "77 03 ed a0 80",    /* surrogate */
    "77 03 e0 9f bf",    /* overlong */
    "77 04 f0 8f bf bf", /* overlong */
    "77 04 f4 90 80 80", /* beyond U+10FFFF */
    "77 01 c3",          /* cut character */
    "77 04 f5 80 80 80",
    "4d 00 00 00 01 00 20", /* no bits of one byte */
    "4d 00 00 00 01 09 20",
    "4d 00 00 00 00 03", /* bits of no byte */
    "6e 01 02 05",       /* sign */
    "68 02 6a",          /* a part is missing */
    "69 01 00 00 00 6a", /* more parts than bytes */
    "6c ff ff ff ff 6a",
    "74 80 00 00 00 6a",
    "74 ff ff ff ff 6a",
    "6d ff ff ff ff 6a",
    "6f ff ff ff ff 00 6a",
    "58 61 05 00000009 00000000 00000000", /* node is no atom */
    "5a 0000 77 03 61 40 62 00000004",     /* no words */
    "5a 0006 77 01 62 00000004 00000001 00000001 00000001 00000001 00000001",
    "71 77 01 6d 77 01 66 62 00 00 00 02", /* arity is 97 always */
    "71 77 01 6d 61 01 61 02",
    "70 00 00 00 03", /* shorter than its size */
    "70 00 00 00 04",
    "70 00 00 00 1d 00 00000000000000000000000000000000 00000000 00000000",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    if (check_text(wrong[i]) != HOLT_ERR_MALFORMED) {
      fprintf(stderr, "%s\n", wrong[i]);
      CU_FAIL("accepted");
    }
  }
}

/* Atoms have at most 255 characters, of up to four bytes. */
static void
check_long_atoms_by_characters(void)
{
  uint8_t atom[3 + 4 * 256];
  memset(atom, 0, sizeof atom);
  for (unsigned count = 255; count <= 256; count++) {
    const int expected = count == 255 ? 0 : HOLT_ERR_MALFORMED;
    atom[0] = 118;
    atom[1] = (uint8_t)(4 * count >> 8);
    atom[2] = (uint8_t)(4 * count);
    for (size_t i = 0; i < count; i++) {
      memcpy(atom + 3 + 4 * i, "\xf0\x9f\xa6\xa6", 4);
    }
    CU_ASSERT_EQUAL(holt_etf_check(atom, 3 + 4 * count), expected);
    CU_ASSERT_EQUAL(holt_etf_is_atom_name(atom + 3, 4 * count), count == 255);

    atom[1] = (uint8_t)(count >> 8);
    atom[2] = (uint8_t)count;
    memset(atom + 3, 'x', count);
    CU_ASSERT_EQUAL(holt_etf_check(atom, 3 + count), expected);
    atom[0] = 100;
    memset(atom + 3, 0xe9, count);
    CU_ASSERT_EQUAL(holt_etf_check(atom, 3 + count), expected);
  }
}

/* Depth is no problem: there is no stack. */
static void
check_deep_terms_is_cheap(void)
{
  const size_t depth = 200000;
  uint8_t *const bytes = malloc(2 * depth + 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  for (size_t i = 0; i < depth; i++) {
    bytes[2 * i] = 104;
    bytes[2 * i + 1] = 1;
  }
  bytes[2 * depth] = 106;
  CU_ASSERT_EQUAL(holt_etf_check(bytes, 2 * depth + 1), 0);
  free(bytes);
}

/* A fun whose one free variable is a fun, and so on. */
static struct hex
nested_funs(size_t depth)
{
  static const uint8_t head[] = {
    1,   0,   0,   0,   0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0,   0,   0,   0,   0, 0,  0, 0, 1, /* arity, MD5, index, one variable */
    119, 1,   'm', 97,  0, 97, 0,       /* module, index, uniq */
    88,  119, 1,   'n', 0, 0,  0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
  };
  const size_t layer = 5 + sizeof head;
  const size_t size = depth * layer + 1;
  uint8_t *const bytes = malloc(size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  for (size_t i = 0; i < depth; i++) {
    uint8_t *const at = bytes + i * layer;
    const size_t rest = size - i * layer - 1;
    at[0] = 112;
    for (unsigned j = 0; j < 4; j++) {
      at[1 + j] = (uint8_t)(rest >> (24 - 8 * j));
    }
    memcpy(at + 5, head, sizeof head);
  }
  bytes[size - 1] = 106;
  const struct hex hex = hex_copy(bytes, size);
  free(bytes);
  return hex;
}

/* Funs in funs are checked inside, down to the documented depth. */
static void
check_nested_funs_to_the_limit(void)
{
  struct hex most = nested_funs(HOLT_ETF_FUN_DEPTH_MAX);
  CU_ASSERT_EQUAL(holt_etf_check(most.bytes, most.size), 0);
  most.bytes[most.size - 1] = 0;
  CU_ASSERT_EQUAL(holt_etf_check(most.bytes, most.size), HOLT_ERR_MALFORMED);
  hex_delete(&most);

  struct hex more = nested_funs(HOLT_ETF_FUN_DEPTH_MAX + 1);
  CU_ASSERT_EQUAL(holt_etf_check(more.bytes, more.size), HOLT_ERR_TOO_DEEP);
  hex_delete(&more);

  /* A size that says more than its parts take: nothing is there, or the next
   * element of the tuple that the fun is in. */
  struct hex one = nested_funs(1);
  CU_ASSERT_EQUAL(holt_etf_check(one.bytes, one.size), 0);
  uint8_t *const tuple = malloc(one.size + 3);
  CU_ASSERT_PTR_NOT_NULL_FATAL(tuple);
  memcpy(tuple, "\x68\x02", 2);
  memcpy(tuple + 2, one.bytes, one.size);
  tuple[one.size + 2] = 106;
  CU_ASSERT_EQUAL(holt_etf_check(tuple, one.size + 3), 0);
  tuple[2 + 4]++;
  CU_ASSERT_EQUAL(holt_etf_check(tuple, one.size + 3), HOLT_ERR_MALFORMED);
  free(tuple);
  one.bytes[4]++;
  CU_ASSERT_EQUAL(holt_etf_check(one.bytes, one.size), HOLT_ERR_MALFORMED);
  hex_delete(&one);
}

/* Skipping goes over exactly one term and no further. */
static void
skip_stops_after_one_term(void)
{
  struct hex hex = hex_new("68 02 6a 6c 00 00 00 01 61 01 6a | 61 02");
  struct holt_etf_reader reader;
  holt_etf_init(&reader, hex.bytes, hex.size);
  CU_ASSERT_EQUAL(holt_etf_skip(&reader), 0);
  CU_ASSERT_PTR_EQUAL(reader.at, hex.bytes + 11);
  CU_ASSERT_EQUAL(holt_etf_skip(&reader), 0);
  CU_ASSERT_PTR_EQUAL(reader.at, reader.end);
  CU_ASSERT_EQUAL(holt_etf_skip(&reader), HOLT_ERR_MALFORMED);
  hex_delete(&hex);
}

/* Damaged terms never make the reader read beyond, loop, or hand out a token
 * that does. */
static void
prop_mutated_terms_are_safe(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  for (unsigned i = 0; i < 100000; i++) {
    struct hex hex = hex_new(terms[prng_below(&prng, TERMS)]);
    for (uint64_t j = prng_below(&prng, 4); j > 0; j--) {
      const size_t at = (size_t)prng_below(&prng, hex.size);
      const unsigned flip = 1u << prng_below(&prng, 8);
      const unsigned other = (unsigned)prng_next(&prng);
      hex.bytes[at] =
        (uint8_t)(prng_chance(&prng, 1, 2) ? other : hex.bytes[at] ^ flip);
    }
    struct hex cut =
      hex_copy(hex.bytes, (size_t)prng_below(&prng, hex.size) + 1);
    struct holt_etf_reader reader;
    holt_etf_init(&reader, cut.bytes, cut.size);
    struct holt_etf_token token;
    while (reader.at < reader.end && holt_etf_next(&reader, &token) == 0) {
      if (token.size > 0 &&
          (token.bytes < cut.bytes || token.bytes + token.size > reader.at)) {
        fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
        CU_FAIL("a token reaches beyond its input");
      }
    }
    (void)holt_etf_check(cut.bytes, cut.size);
    hex_delete(&cut);
    hex_delete(&hex);
  }
  CU_PASS("no crash");
}

void test_etf_suite(void);

void
test_etf_suite(void)
{
  CU_pSuite suite = CU_add_suite("etf", NULL, NULL);
  CU_ADD_TEST(suite, next_integers_have_their_value);
  CU_ADD_TEST(suite, next_bigs_keep_their_magnitude);
  CU_ADD_TEST(suite, next_bytes_are_borrowed);
  CU_ADD_TEST(suite, next_containers_announce_their_parts);
  CU_ADD_TEST(suite, next_identifiers_have_all_their_fields);
  CU_ADD_TEST(suite, next_floats_have_their_value);
  CU_ADD_TEST(suite, prop_float_text_rounds_to_nearest);
  CU_ADD_TEST(suite, next_malformed_floats_are_refused);
  CU_ADD_TEST(suite, check_whole_terms_only);
  CU_ADD_TEST(suite, check_malformed_terms_are_refused);
  CU_ADD_TEST(suite, check_long_atoms_by_characters);
  CU_ADD_TEST(suite, check_deep_terms_is_cheap);
  CU_ADD_TEST(suite, check_nested_funs_to_the_limit);
  CU_ADD_TEST(suite, skip_stops_after_one_term);
  CU_ADD_TEST(suite, prop_mutated_terms_are_safe);
}
