/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/key.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "buf.h"
#include "heap.h"
#include "hex.h"
#include "prng.h"

/* The canonical bytes of a term given as ETF: an error, or 0 and the bytes in
 * *canonical. */
static int
canonise(const uint8_t *bytes, size_t size, struct hex *canonical)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_key key;
  holt_key_init(&key, &heap.mem, 0);
  int rv = holt_key_etf(&key, bytes, size);
  const int finish = holt_key_finish(&key);
  CU_ASSERT_EQUAL(rv, finish);
  if (rv == 0) {
    *canonical = hex_copy(holt_key_bytes(&key), holt_key_size(&key));
  }
  holt_key_deinit(&key);
  if (!heap_is_clean(&heap)) {
    CU_FAIL("key leaks");
    rv = HOLT_ERR_NOMEM;
  }
  heap_deinit(&heap);
  return rv;
}

static bool
hex_equal(const struct hex *left, const struct hex *right)
{
  return left->size == right->size &&
         memcmp(left->bytes, right->bytes, left->size) == 0;
}

/* Different encodings of one term; the first is the canonical one. */
static const char *const forms[][6] = {
  { "61 05", "62 00 00 00 05", "6e 01 00 05", "6e 03 00 05 00 00",
    "6f 00 00 00 01 00 05" },
  { "61 00", "6e 00 00", "6e 00 01", "6e 01 01 00", "62 00 00 00 00" },
  { "61 ff", "62 00 00 00 ff" },
  { "62 00 00 01 00", "6e 02 00 00 01" },
  { "62 ff ff ff ff", "6e 01 01 01" },
  { "62 80 00 00 00", "6e 04 01 00 00 00 80" },
  { "6e 04 00 00 00 00 80", "6f 00 00 00 05 00 00 00 00 80 00" },
  { "6e 04 01 01 00 00 80" },
  { "6e 08 00 ff ff ff ff ff ff ff 7f", "6e 09 00 ff ff ff ff ff ff ff 7f 00" },
  { "6e 08 01 00 00 00 00 00 00 00 80" },
  { "6e 08 01 01 00 00 00 00 00 00 80" },
  { "6e 09 00 00 00 00 00 00 00 00 00 01",
    "6f 00 00 00 09 00 00 00 00 00 00 00 00 00 01" },
  { "46 3f f8 00 00 00 00 00 00",
    "63 312e3530303030303030303030303030303030303030652b30300000000000" },
  { "46 00 00 00 00 00 00 00 00" },
  { "46 80 00 00 00 00 00 00 00",
    "63 2d302e3030303030303030303030303030303030303030652b303000000000" },
  { "77 02 6f 6b", "76 00 02 6f 6b", "64 00 02 6f 6b", "73 02 6f 6b" },
  { "77 02 c3 a9", "76 00 02 c3 a9", "64 00 01 e9", "73 01 e9" },
  { "77 00", "64 00 00" },
  { "6d 00 00 00 01 20", "4d 00 00 00 01 08 20" },
  { "6d 00 00 00 00", "4d 00 00 00 00 00" },
  { "4d 00 00 00 02 03 ff 20", "4d 00 00 00 02 03 ff 3f" },
  { "4d 00 00 00 01 03 20", "4d 00 00 00 01 03 3f", "4d 00 00 00 01 03 21" },
  { "68 02 77 04 75 73 65 72 61 07",
    "69 00 00 00 02 64 00 04 75 73 65 72 61 07" },
  { "68 00", "69 00 00 00 00" },
  { "6a", "6b 00 00", "6c 00 00 00 00 6a", "6c 00 00 00 00 6c 00 00 00 00 6a" },
  { "61 07", "6c 00 00 00 00 61 07" },
  { "6c 00 00 00 02 61 68 61 69 6a", "6b 00 02 68 69",
    "6c 00 00 00 01 61 68 6b 00 01 69",
    "6c 00 00 00 01 61 68 6c 00 00 00 01 61 69 6a",
    "6c 00 00 00 02 61 68 61 69 6b 00 00", "6c 00 00 00 00 6b 00 02 68 69" },
  { "6c 00 00 00 02 61 01 61 02 61 03",
    "6c 00 00 00 01 61 01 6c 00 00 00 01 61 02 61 03" },
  { "6c 00 00 00 01 6c 00 00 00 01 61 01 6a 6a",
    "6c 00 00 00 01 6b 00 01 01 6a" },
  { "74 00 00 00 02 77 01 61 61 02 77 01 62 61 01",
    "74 00 00 00 02 77 01 62 61 01 77 01 61 61 02",
    "74 00 00 00 02 64 00 01 62 61 01 73 01 61 61 02" },
  { "74 00 00 00 00" },
  { "58 77 03 61 40 62 00000009 00000002 00000003",
    "67 64 0003 61 40 62 00000009 00000002 03",
    "58 73 03 61 40 62 00000009 00000002 00000003" },
  { "78 77 03 61 40 62 0000000000000007 00000001",
    "59 77 03 61 40 62 00000007 00000001", "66 64 0003 61 40 62 00000007 01" },
  { "5a 0003 77 03 61 40 62 00000004 00000001 00000002 00000000",
    "72 0002 64 0003 61 40 62 04 00000001 00000002",
    "5a 0005 77 03 61 40 62 00000004 00000001 00000002 00000000 00000000 "
    "00000000" },
  { "5a 0005 77 03 61 40 62 00000004 00000001 00000002 00000003 00000004 "
    "00000000",
    "5a 0004 77 03 61 40 62 00000004 00000001 00000002 00000003 00000004" },
};

#define FORMS (sizeof forms / sizeof forms[0])

/* All encodings of a term give its one form, which is its own and passes the
 * check; the others do not pass it. */
static void
etf_of_each_form_is_canonical(void)
{
  for (size_t i = 0; i < FORMS; i++) {
    struct hex expected = hex_new(forms[i][0]);
    CU_ASSERT_EQUAL(holt_key_check(expected.bytes, expected.size), 0);
    for (size_t j = 0; j < 6 && forms[i][j] != NULL; j++) {
      struct hex form = hex_new(forms[i][j]);
      struct hex canonical = { .size = 0 };
      const int rv = canonise(form.bytes, form.size, &canonical);
      if (rv != 0 || !hex_equal(&canonical, &expected) ||
          (j > 0 && holt_key_check(form.bytes, form.size) == 0)) {
        hex_print("form", form.bytes, form.size);
        hex_print("canonical", canonical.bytes, canonical.size);
        CU_FAIL("not the one form");
      }
      if (rv == 0) {
        hex_delete(&canonical);
      }
      hex_delete(&form);
    }
    hex_delete(&expected);
  }
}

/* No two of the terms above are the same key. */
static void
etf_of_different_terms_differs(void)
{
  for (size_t i = 0; i < FORMS; i++) {
    for (size_t j = 0; j < i; j++) {
      CU_ASSERT_STRING_NOT_EQUAL(forms[i][0], forms[j][0]);
    }
  }
}

/* What is no key, and why. */
static void
etf_of_no_key_is_refused(void)
{
  static const struct {
    const char *text;
    int error;
  } cases[] = {
    { "", HOLT_ERR_MALFORMED },
    { "61", HOLT_ERR_MALFORMED },
    { "61 01 61 02", HOLT_ERR_MALFORMED },
    { "83 61 01", HOLT_ERR_MALFORMED },
    { "68 02 61 01", HOLT_ERR_MALFORMED },
    { "6c 00 00 00 01 61 01", HOLT_ERR_MALFORMED },
    { "74 00 00 00 02 61 01 6a 61 01 61 05", HOLT_ERR_MALFORMED },
    { "74 00 00 00 02 61 02 6a 61 02 6a", HOLT_ERR_MALFORMED },
    { "74 00 00 00 02 61 01 6a 62 00 00 00 01 6a", HOLT_ERR_MALFORMED },
    { "74 00 00 00 03 61 02 6a 61 01 6a 6e 01 00 02 6a", HOLT_ERR_MALFORMED },
    { "46 7f f0 00 00 00 00 00 00", HOLT_ERR_MALFORMED },
    { "71 77 01 6d 77 01 66 61 02", HOLT_ERR_UNSUPPORTED },
    { "68 01 71 77 01 6d 77 01 66 61 02", HOLT_ERR_UNSUPPORTED },
    { "70 00 00 00 05 00", HOLT_ERR_UNSUPPORTED },
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct hex form = hex_new(cases[i].text);
    struct hex canonical;
    CU_ASSERT_EQUAL(canonise(form.bytes, form.size, &canonical),
                    cases[i].error);
    CU_ASSERT_EQUAL(holt_key_check(form.bytes, form.size), cases[i].error);
    hex_delete(&form);
  }
}

/* Compare a built key with expected bytes, and make it empty again. */
static bool
built(struct holt_key *key, const char *text)
{
  const int rv = holt_key_finish(key);
  struct hex expected = hex_new(text);
  const bool equal =
    rv == 0 && holt_key_size(key) == expected.size &&
    memcmp(holt_key_bytes(key), expected.bytes, expected.size) == 0;
  if (!equal) {
    fprintf(stderr, "result %d, expected %s\n", rv, text);
    hex_print("built", holt_key_bytes(key), holt_key_size(key));
  }
  hex_delete(&expected);
  holt_key_reset(key);
  return equal;
}

/* Pushed scalars take their one form. */
static void
push_scalars_are_canonical(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_key key;
  holt_key_init(&key, &heap.mem, 0);
  (void)holt_key_int(&key, 255);
  CU_ASSERT(built(&key, "61 ff"));
  (void)holt_key_int(&key, -1);
  CU_ASSERT(built(&key, "62 ff ff ff ff"));
  (void)holt_key_int(&key, INT64_C(1) << 31);
  CU_ASSERT(built(&key, "6e 04 00 00 00 00 80"));
  (void)holt_key_int(&key, INT64_MIN);
  CU_ASSERT(built(&key, "6e 08 01 00 00 00 00 00 00 00 80"));
  const uint8_t magnitude[12] = { 5 };
  (void)holt_key_big(&key, true, magnitude, sizeof magnitude);
  CU_ASSERT(built(&key, "62 ff ff ff fb"));
  (void)holt_key_big(&key, true, NULL, 0);
  CU_ASSERT(built(&key, "61 00"));
  const uint8_t half[4] = { 0, 0, 0, 0x80 };
  (void)holt_key_big(&key, true, half, 4);
  CU_ASSERT(built(&key, "62 80 00 00 00"));
  (void)holt_key_big(&key, false, half, 4);
  CU_ASSERT(built(&key, "6e 04 00 00 00 00 80"));
  (void)holt_key_float(&key, -0.0);
  CU_ASSERT(built(&key, "46 80 00 00 00 00 00 00 00"));
  (void)holt_key_atom(&key, "ok", 2);
  CU_ASSERT(built(&key, "77 02 6f 6b"));
  (void)holt_key_atom_latin1(&key, "\xe9\x41\xff", 3);
  CU_ASSERT(built(&key, "77 05 c3 a9 41 c3 bf"));
  (void)holt_key_binary(&key, NULL, 0);
  CU_ASSERT(built(&key, "6d 00 00 00 00"));
  (void)holt_key_bits(&key, "\xff", 1, 3);
  CU_ASSERT(built(&key, "4d 00 00 00 01 03 e0"));
  (void)holt_key_bits(&key, "\xff", 1, 8);
  CU_ASSERT(built(&key, "6d 00 00 00 01 ff"));
  (void)holt_key_bits(&key, NULL, 0, 0);
  CU_ASSERT(built(&key, "6d 00 00 00 00"));
  (void)holt_key_nil(&key);
  CU_ASSERT(built(&key, "6a"));
  holt_key_deinit(&key);
  CU_ASSERT_EQUAL(heap.requests, 0);
  heap_deinit(&heap);
}

/* Pushed containers, lists of unknown length above all. */
static void
push_containers_are_canonical(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_key key;
  holt_key_init(&key, &heap.mem, 0);

  (void)holt_key_tuple(&key, 2);
  (void)holt_key_atom(&key, "user", 4);
  (void)holt_key_list(&key);
  (void)holt_key_int(&key, 7);
  (void)holt_key_tail(&key);
  (void)holt_key_nil(&key);
  CU_ASSERT(built(&key, "68 02 77 04 75 73 65 72 6c 00 00 00 01 61 07 6a"));

  /* [1, [2 | 3] | [4 | 5]] */
  (void)holt_key_list(&key);
  (void)holt_key_int(&key, 1);
  (void)holt_key_list(&key);
  (void)holt_key_int(&key, 2);
  (void)holt_key_tail(&key);
  (void)holt_key_int(&key, 3);
  (void)holt_key_tail(&key);
  (void)holt_key_list(&key);
  (void)holt_key_int(&key, 4);
  (void)holt_key_tail(&key);
  (void)holt_key_int(&key, 5);
  CU_ASSERT(built(&key, "6c 00000003 61 01 6c 00000001 61 02 61 03 61 04 "
                        "61 05"));

  /* A map in a map's key, and a term given as ETF in a pushed tail. */
  (void)holt_key_map(&key, 2);
  (void)holt_key_map(&key, 2);
  (void)holt_key_int(&key, 9);
  (void)holt_key_nil(&key);
  (void)holt_key_int(&key, 8);
  (void)holt_key_tuple(&key, 0);
  (void)holt_key_int(&key, 1);
  (void)holt_key_int(&key, 3);
  (void)holt_key_list(&key);
  (void)holt_key_int(&key, 2);
  (void)holt_key_tail(&key);
  struct hex string = hex_new("6c 00 00 00 01 61 03 6b 00 01 04");
  CU_ASSERT_EQUAL(holt_key_etf(&key, string.bytes, string.size), 0);
  hex_delete(&string);
  CU_ASSERT(built(&key, "74 00000002 61 03 6c 00000003 61 02 61 03 61 04 6a "
                        "74 00000002 61 08 68 00 61 09 6a 61 01"));

  for (unsigned arity = 255; arity <= 256; arity++) {
    (void)holt_key_tuple(&key, arity);
    for (unsigned i = 0; i < arity; i++) {
      (void)holt_key_nil(&key);
    }
    CU_ASSERT_EQUAL(holt_key_finish(&key), 0);
    CU_ASSERT_EQUAL(holt_key_size(&key), arity + (arity == 255 ? 2 : 5));
    CU_ASSERT_EQUAL(holt_key_check(holt_key_bytes(&key), holt_key_size(&key)),
                    0);
    holt_key_reset(&key);
  }
  holt_key_deinit(&key);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* Pushes where nothing is due, or not that, are errors that stick. */
static void
push_out_of_place_is_malformed(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_key key;
  holt_key_init(&key, &heap.mem, 0);
  CU_ASSERT_EQUAL(holt_key_finish(&key), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(holt_key_tail(&key), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(holt_key_int(&key, 1), HOLT_ERR_MALFORMED);
  holt_key_reset(&key);

  CU_ASSERT_EQUAL(holt_key_int(&key, 1), 0);
  CU_ASSERT_EQUAL(holt_key_list(&key), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(holt_key_finish(&key), HOLT_ERR_MALFORMED);
  holt_key_reset(&key);

  CU_ASSERT_EQUAL(holt_key_list(&key), 0);
  CU_ASSERT_EQUAL(holt_key_tail(&key), HOLT_ERR_MALFORMED);
  holt_key_reset(&key);

  CU_ASSERT_EQUAL(holt_key_tuple(&key, 1), 0);
  CU_ASSERT_EQUAL(holt_key_finish(&key), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(holt_key_tail(&key), HOLT_ERR_MALFORMED);
  holt_key_reset(&key);

  CU_ASSERT_EQUAL(holt_key_atom(&key, "\xff", 1), HOLT_ERR_MALFORMED);
  holt_key_reset(&key);
  char name[256];
  memset(name, 'x', sizeof name);
  CU_ASSERT_EQUAL(holt_key_atom_latin1(&key, name, 256), HOLT_ERR_MALFORMED);
  holt_key_reset(&key);
  CU_ASSERT_EQUAL(holt_key_atom_latin1(&key, name, 255), 0);
  holt_key_reset(&key);
  CU_ASSERT_EQUAL(holt_key_bits(&key, name, 1, 9), HOLT_ERR_MALFORMED);
  holt_key_reset(&key);
  CU_ASSERT_EQUAL(holt_key_bits(&key, name, 1, 0), HOLT_ERR_MALFORMED);
  holt_key_reset(&key);
  const double zero = 0.0;
  CU_ASSERT_EQUAL(holt_key_float(&key, 1.0 / zero), HOLT_ERR_MALFORMED);
  holt_key_deinit(&key);
  heap_deinit(&heap);
}

/* The size limit is inclusive, and a container that cannot fit is refused
 * before anything is allocated for it. */
static void
push_beyond_size_is_too_large(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_key key;
  uint8_t bytes[HOLT_KEY_BYTES_MAX] = { 0 };

  holt_key_init(&key, &heap.mem, 0);
  CU_ASSERT_EQUAL(holt_key_binary(&key, bytes, HOLT_KEY_BYTES_MAX - 5), 0);
  CU_ASSERT_EQUAL(holt_key_finish(&key), 0);
  holt_key_reset(&key);
  CU_ASSERT_EQUAL(holt_key_binary(&key, bytes, HOLT_KEY_BYTES_MAX - 4),
                  HOLT_ERR_TOO_LARGE);
  holt_key_deinit(&key);

  holt_key_init(&key, &heap.mem, SIZE_MAX);
  CU_ASSERT_EQUAL(key.bytes_max, HOLT_KEY_BYTES_LIMIT);
  const uint64_t requests = heap.requests;
  static const size_t sizes[] = { (1u << 24) - 1, 1u << 30, SIZE_MAX / 2 + 1,
                                  SIZE_MAX };
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    CU_ASSERT_EQUAL(holt_key_tuple(&key, sizes[i]), HOLT_ERR_TOO_LARGE);
    holt_key_reset(&key);
    CU_ASSERT_EQUAL(holt_key_map(&key, sizes[i]), HOLT_ERR_TOO_LARGE);
    holt_key_reset(&key);
    CU_ASSERT_EQUAL(holt_key_binary(&key, bytes, sizes[i]), HOLT_ERR_TOO_LARGE);
    holt_key_reset(&key);
    CU_ASSERT_EQUAL(holt_key_bits(&key, bytes, sizes[i], 3),
                    HOLT_ERR_TOO_LARGE);
    holt_key_reset(&key);
    CU_ASSERT_EQUAL(holt_key_etf(&key, bytes, sizes[i]), HOLT_ERR_TOO_LARGE);
    holt_key_reset(&key);
  }
  holt_key_deinit(&key);
  CU_ASSERT_EQUAL(heap.requests, requests);

  /* 4 bytes: {[]} with no room for more. */
  holt_key_init(&key, &heap.mem, 4);
  CU_ASSERT_EQUAL(holt_key_tuple(&key, 1), 0);
  CU_ASSERT_EQUAL(holt_key_nil(&key), 0);
  CU_ASSERT_EQUAL(holt_key_finish(&key), 0);
  holt_key_reset(&key);
  CU_ASSERT_EQUAL(holt_key_list(&key), HOLT_ERR_TOO_LARGE);
  holt_key_reset(&key);
  CU_ASSERT_EQUAL(holt_key_tuple(&key, 2), 0);
  CU_ASSERT_EQUAL(holt_key_nil(&key), 0);
  CU_ASSERT_EQUAL(holt_key_int(&key, 1), HOLT_ERR_TOO_LARGE);
  CU_ASSERT_EQUAL(holt_key_finish(&key), HOLT_ERR_TOO_LARGE);
  holt_key_deinit(&key);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* Nesting up to the limit; what is empty or only a tail does not nest. */
static void
push_beyond_depth_is_too_deep(void)
{
  uint8_t bytes[2 * HOLT_KEY_DEPTH_MAX + 3];
  for (size_t extra = 0; extra < 2; extra++) {
    const size_t depth = HOLT_KEY_DEPTH_MAX + extra;
    for (size_t i = 0; i < depth; i++) {
      bytes[2 * i] = 104;
      bytes[2 * i + 1] = 1;
    }
    bytes[2 * depth] = 106;
    struct hex canonical;
    const int expected = extra == 0 ? 0 : HOLT_ERR_TOO_DEEP;
    const int rv = canonise(bytes, 2 * depth + 1, &canonical);
    CU_ASSERT_EQUAL(rv, expected);
    CU_ASSERT_EQUAL(holt_key_check(bytes, 2 * depth + 1), expected);
    if (rv == 0) {
      CU_ASSERT_EQUAL(canonical.size, 2 * depth + 1);
      hex_delete(&canonical);
    }
  }

  struct heap heap;
  heap_init(&heap);
  struct holt_key key;
  holt_key_init(&key, &heap.mem, 0);
  for (size_t i = 0; i < 2 * HOLT_KEY_DEPTH_MAX; i++) {
    CU_ASSERT_EQUAL(holt_key_list(&key), 0);
    CU_ASSERT_EQUAL(holt_key_int(&key, 1), 0);
    CU_ASSERT_EQUAL(holt_key_tail(&key), 0);
  }
  CU_ASSERT_EQUAL(holt_key_nil(&key), 0);
  CU_ASSERT_EQUAL(holt_key_finish(&key), 0);
  CU_ASSERT_EQUAL(holt_key_size(&key), 5 + 4 * HOLT_KEY_DEPTH_MAX + 1);
  holt_key_deinit(&key);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* A map of this many pairs, pushed in descending order. */
static int
push_map(struct holt_key *key, size_t pairs)
{
  (void)holt_key_map(key, pairs);
  for (size_t i = pairs; i > 0; i--) {
    (void)holt_key_int(key, (int64_t)(i - 1));
    (void)holt_key_nil(key);
  }
  return holt_key_finish(key);
}

/* Keys of usual size, sorted maps among them, never allocate. */
static void
push_within_inline_allocates_nothing(void)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_key key;
  holt_key_init(&key, &heap.mem, 0);
  uint8_t bytes[HOLT_KEY_INLINE_BYTES] = { 0 };
  CU_ASSERT_EQUAL(holt_key_binary(&key, bytes, HOLT_KEY_INLINE_BYTES - 5), 0);
  CU_ASSERT_EQUAL(holt_key_size(&key), HOLT_KEY_INLINE_BYTES);
  holt_key_reset(&key);
  CU_ASSERT_EQUAL(push_map(&key, (HOLT_KEY_INLINE_BYTES - 5) / 3), 0);
  CU_ASSERT(holt_key_size(&key) > HOLT_KEY_INLINE_BYTES - 3);
  CU_ASSERT_EQUAL(heap.requests, 0);
  holt_key_deinit(&key);
  heap_deinit(&heap);
}

static int
build_large_map(struct holt_mem *mem, void *arg)
{
  (void)arg;
  struct holt_key key;
  holt_key_init(&key, mem, 0);
  const int rv = push_map(&key, 1200);
  if (rv == 0) {
    CU_ASSERT_EQUAL(holt_key_check(holt_key_bytes(&key), holt_key_size(&key)),
                    0);
  }
  holt_key_deinit(&key);
  return rv;
}

/* Large keys allocate, and each time that may fail. */
static void
push_without_memory_is_nomem(void)
{
  uint64_t requests = 0;
  CU_ASSERT(heap_fail_each(build_large_map, NULL, &requests));
  CU_ASSERT(requests >= 6);
}

/*
 * Random terms.  A term is made from a seed, so that it can be made again in
 * another encoding; style decides everything that must not matter.
 */

struct writer {
  struct holt_buf *buf;
  struct prng style;
};

static bool
style_chance(struct writer *writer)
{
  return prng_chance(&writer->style, 1, 2);
}

static void write_term(struct writer *writer, uint64_t seed, unsigned depth);

static void
write_magnitude(struct writer *writer, const uint8_t *bytes, size_t size,
                bool negative)
{
  const size_t zeros = (size_t)prng_below(&writer->style, 3);
  const bool small = style_chance(writer);
  (void)holt_buf_put_u8(writer->buf, small ? 110 : 111);
  if (small) {
    (void)holt_buf_put_u8(writer->buf, (uint8_t)(size + zeros));
  } else {
    (void)holt_buf_put_u32be(writer->buf, (uint32_t)(size + zeros));
  }
  (void)holt_buf_put_u8(writer->buf, negative);
  (void)holt_buf_put(writer->buf, bytes, size);
  for (size_t i = 0; i < zeros; i++) {
    (void)holt_buf_put_u8(writer->buf, 0);
  }
}

static void
write_integer(struct writer *writer, struct prng *term)
{
  uint8_t bytes[20];
  const size_t size = (size_t)prng_below(term, sizeof bytes);
  const bool negative = prng_chance(term, 1, 2);
  prng_fill(term, bytes, sizeof bytes);
  if (size == 1 && !negative && style_chance(writer)) {
    (void)holt_buf_put_u8(writer->buf, 97);
    (void)holt_buf_put_u8(writer->buf, bytes[0]);
  } else if (size > 0 && size <= 3 && style_chance(writer)) {
    uint32_t value = 0;
    for (size_t i = size; i > 0; i--) {
      value = value << 8 | bytes[i - 1];
    }
    (void)holt_buf_put_u8(writer->buf, 98);
    (void)holt_buf_put_u32be(writer->buf, negative ? 0 - value : value);
  } else {
    write_magnitude(writer, bytes, size, negative);
  }
}

static void
write_float(struct writer *writer, struct prng *term)
{
  /* Away from the edges, so that it is finite. */
  uint64_t word = prng_next(term);
  word &= ~(UINT64_C(1) << 62);
  double real = 0;
  memcpy(&real, &word, sizeof real);
  if (style_chance(writer)) {
    (void)holt_buf_put_u8(writer->buf, 70);
    (void)holt_buf_put_u64be(writer->buf, word);
  } else {
    char text[48] = { 0 };
    snprintf(text, sizeof text, "%.20e", real);
    (void)holt_buf_put_u8(writer->buf, 99);
    (void)holt_buf_put(writer->buf, text, 31);
  }
}

/* A name of ASCII and of a letter that Latin-1 and UTF-8 write differently. */
static void
write_atom(struct writer *writer, struct prng *term)
{
  const size_t size = (size_t)prng_below(term, 200);
  const uint64_t letters = prng_next(term);
  const bool latin1 = style_chance(writer);
  char name[400];
  size_t at = 0;
  for (size_t i = 0; i < size; i++) {
    if ((letters >> i % 64 & 1) == 0) {
      name[at++] = 'a';
    } else if (latin1) {
      name[at++] = '\xe9';
    } else {
      name[at++] = '\xc3';
      name[at++] = '\xa9';
    }
  }
  const bool small = at < 256 && style_chance(writer);
  if (small) {
    (void)holt_buf_put_u8(writer->buf, latin1 ? 115 : 119);
    (void)holt_buf_put_u8(writer->buf, (uint8_t)at);
  } else {
    (void)holt_buf_put_u8(writer->buf, latin1 ? 100 : 118);
    (void)holt_buf_put_u16be(writer->buf, (uint16_t)at);
  }
  (void)holt_buf_put(writer->buf, name, at);
}

static void
write_bits(struct writer *writer, struct prng *term)
{
  uint8_t bytes[40];
  const size_t size = 1 + (size_t)prng_below(term, sizeof bytes - 1);
  const unsigned bits = 1 + (unsigned)prng_below(term, 8);
  prng_fill(term, bytes, size);
  /* Bits that do not count are noise. */
  const unsigned unused = 0xffu >> bits;
  const unsigned noise = (unsigned)prng_next(&writer->style);
  bytes[size - 1] = (uint8_t)((bytes[size - 1] & ~unused) | (noise & unused));
  const bool plain = bits == 8 && style_chance(writer);
  (void)holt_buf_put_u8(writer->buf, plain ? 109 : 77);
  (void)holt_buf_put_u32be(writer->buf, (uint32_t)size);
  if (!plain) {
    (void)holt_buf_put_u8(writer->buf, (uint8_t)bits);
  }
  (void)holt_buf_put(writer->buf, bytes, size);
}

static void
write_nil(struct writer *writer)
{
  if (style_chance(writer)) {
    (void)holt_buf_put_u8(writer->buf, 106);
  } else {
    (void)holt_buf_put(writer->buf, "\x6b\0\0", 3);
  }
}

static void
write_list_head(struct writer *writer, size_t count)
{
  (void)holt_buf_put_u8(writer->buf, 108);
  (void)holt_buf_put_u32be(writer->buf, (uint32_t)count);
}

/* Elements cut into several lists, one the tail of the other, at random. */
static void
write_list(struct writer *writer, struct prng *term, unsigned depth)
{
  const size_t count = 1 + (size_t)prng_below(term, 6);
  const bool proper = prng_chance(term, 2, 3);
  const uint64_t seed = prng_next(term);
  for (size_t at = 0; at < count;) {
    const size_t run = (size_t)prng_below(&writer->style, count - at + 1);
    write_list_head(writer, run);
    for (size_t i = 0; i < run; i++) {
      write_term(writer, seed + at++, depth + 1);
    }
  }
  if (proper) {
    write_nil(writer);
  } else {
    (void)holt_buf_put(writer->buf, "\x61\x07", 2);
  }
}

static void
write_string(struct writer *writer, struct prng *term)
{
  const size_t count = 1 + (size_t)prng_below(term, 30);
  const uint64_t word = prng_next(term);
  const bool string = style_chance(writer);
  if (string) {
    (void)holt_buf_put_u8(writer->buf, 107);
    (void)holt_buf_put_u16be(writer->buf, (uint16_t)count);
  } else {
    write_list_head(writer, count);
  }
  for (size_t i = 0; i < count; i++) {
    if (!string) {
      (void)holt_buf_put_u8(writer->buf, 97);
    }
    (void)holt_buf_put_u8(writer->buf, (uint8_t)(word >> i));
  }
  if (!string) {
    write_nil(writer);
  }
}

static void
write_tuple(struct writer *writer, struct prng *term, unsigned depth)
{
  const size_t count = (size_t)prng_below(term, 6);
  const uint64_t seed = prng_next(term);
  if (style_chance(writer)) {
    (void)holt_buf_put_u8(writer->buf, 104);
    (void)holt_buf_put_u8(writer->buf, (uint8_t)count);
  } else {
    (void)holt_buf_put_u8(writer->buf, 105);
    (void)holt_buf_put_u32be(writer->buf, (uint32_t)count);
  }
  for (size_t i = 0; i < count; i++) {
    write_term(writer, seed + i, depth + 1);
  }
}

/* Pairs from a random one on, around; the keys are {Number, Term}. */
static void
write_map(struct writer *writer, struct prng *term, unsigned depth)
{
  const size_t count = (size_t)prng_below(term, 7);
  const uint64_t seed = prng_next(term);
  (void)holt_buf_put_u8(writer->buf, 116);
  (void)holt_buf_put_u32be(writer->buf, (uint32_t)count);
  const size_t start = (size_t)prng_below(&writer->style, count + 1);
  const bool reverse = style_chance(writer);
  for (size_t i = 0; i < count; i++) {
    const size_t at = (start + (reverse ? count - i : i)) % count;
    (void)holt_buf_put(writer->buf, "\x68\x02\x61", 3);
    (void)holt_buf_put_u8(writer->buf, (uint8_t)(at * 37));
    write_term(writer, seed + 2 * at, depth + 1);
    write_term(writer, seed + 2 * at + 1, depth + 1);
  }
}

static void
write_pid(struct writer *writer, struct prng *term)
{
  const uint32_t creation = (uint32_t)prng_below(term, 512);
  const bool old = creation < 256 && style_chance(writer);
  (void)holt_buf_put_u8(writer->buf, old ? 103 : 88);
  write_atom(writer, term);
  (void)holt_buf_put_u64be(writer->buf, prng_next(term));
  if (old) {
    (void)holt_buf_put_u8(writer->buf, (uint8_t)creation);
  } else {
    (void)holt_buf_put_u32be(writer->buf, creation);
  }
}

static void
write_term(struct writer *writer, uint64_t seed, unsigned depth)
{
  struct prng term;
  prng_init(&term, seed);
  switch (prng_below(&term, depth < 4 ? 10 : 6)) {
  case 0:
    write_integer(writer, &term);
    break;
  case 1:
    write_float(writer, &term);
    break;
  case 2:
    write_atom(writer, &term);
    break;
  case 3:
    write_bits(writer, &term);
    break;
  case 4:
    write_string(writer, &term);
    break;
  case 5:
    write_pid(writer, &term);
    break;
  case 6:
    write_list(writer, &term, depth);
    break;
  case 7:
    write_map(writer, &term, depth);
    break;
  default:
    write_tuple(writer, &term, depth);
    break;
  }
}

/* Encode the term of a seed in a random style, bring it into its one form. */
static int
random_canonical(uint64_t seed, uint64_t style, struct hex *canonical)
{
  struct heap heap;
  heap_init(&heap);
  struct holt_buf buf;
  holt_buf_init(&buf, &heap.mem, 0);
  struct writer writer = { .buf = &buf };
  prng_init(&writer.style, style);
  write_term(&writer, seed, 0);
  CU_ASSERT_EQUAL(buf.error, 0);
  struct hex term = hex_copy(buf.data, buf.size);
  const int rv = canonise(term.bytes, term.size, canonical);
  hex_delete(&term);
  holt_buf_deinit(&buf);
  heap_deinit(&heap);
  return rv;
}

/* However a term is encoded, its key is the same; the key of a key is the key,
 * and the check agrees. */
static void
prop_every_encoding_gives_one_key(void)
{
  const uint64_t seed = prng_seed();
  unsigned kept = 0;
  for (uint64_t i = 0; i < 3000; i++) {
    struct hex first;
    if (random_canonical(seed + i, 0, &first) != 0) {
      continue; /* Larger than a key may be. */
    }
    kept++;
    struct hex second = { .size = 0 };
    struct hex again = { .size = 0 };
    const bool good =
      random_canonical(seed + i, seed ^ (i + 1), &second) == 0 &&
      canonise(first.bytes, first.size, &again) == 0 &&
      hex_equal(&first, &second) && hex_equal(&first, &again) &&
      holt_key_check(first.bytes, first.size) == 0;
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " term %" PRIu64 "\n", seed, i);
      hex_print("first", first.bytes, first.size);
      hex_print("second", second.bytes, second.size);
    }
    hex_delete(&first);
    hex_delete(&second);
    hex_delete(&again);
    if (!good) {
      CU_FAIL("two keys of one term");
      return;
    }
  }
  CU_ASSERT(kept > 2000);
}

/* Damage bytes at a few places, and sometimes cut them short. */
static struct hex
mutate(struct prng *prng, const struct hex *hex)
{
  const size_t size = prng_chance(prng, 1, 8)
                        ? (size_t)prng_below(prng, hex->size + 1)
                        : hex->size;
  struct hex copy = hex_copy(hex->bytes, size);
  for (uint64_t i = prng_below(prng, 4); size > 0 && i > 0; i--) {
    const size_t at = (size_t)prng_below(prng, size);
    copy.bytes[at] = (uint8_t)(prng_chance(prng, 1, 2)
                                 ? prng_next(prng)
                                 : copy.bytes[at] + prng_below(prng, 3) - 1);
  }
  return copy;
}

/* On any bytes whatever: no crash, and the check accepts exactly those that are
 * their own canonical form. */
static void
prop_check_accepts_canonical_only(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  unsigned accepted = 0;
  for (unsigned i = 0; i < 100000; i++) {
    const char *const *const variants = forms[prng_below(&prng, FORMS)];
    size_t count = 1;
    while (count < 6 && variants[count] != NULL) {
      count++;
    }
    struct hex form = hex_new(variants[prng_below(&prng, count)]);
    if (i % 8 == 0) {
      struct hex term;
      if (random_canonical(prng_next(&prng), i, &term) == 0) {
        hex_delete(&form);
        form = term;
      }
    }
    struct hex bytes = mutate(&prng, &form);
    struct hex canonical = { .size = 0 };
    const int rv = canonise(bytes.bytes, bytes.size, &canonical);
    const bool own = rv == 0 && hex_equal(&bytes, &canonical);
    const bool good = own == (holt_key_check(bytes.bytes, bytes.size) == 0);
    accepted += own;
    if (!good) {
      fprintf(stderr, "SEED=%" PRIu64 " input %u\n", seed, i);
      hex_print("input", bytes.bytes, bytes.size);
      hex_print("canonical", canonical.bytes, canonical.size);
    }
    if (rv == 0) {
      hex_delete(&canonical);
    }
    hex_delete(&bytes);
    hex_delete(&form);
    if (!good) {
      CU_FAIL("check and encoder disagree");
      return;
    }
  }
  CU_ASSERT(accepted > 1000 && accepted < 90000);
}

void test_key_suite(void);

void
test_key_suite(void)
{
  CU_pSuite suite = CU_add_suite("key", NULL, NULL);
  CU_ADD_TEST(suite, etf_of_each_form_is_canonical);
  CU_ADD_TEST(suite, etf_of_different_terms_differs);
  CU_ADD_TEST(suite, etf_of_no_key_is_refused);
  CU_ADD_TEST(suite, push_scalars_are_canonical);
  CU_ADD_TEST(suite, push_containers_are_canonical);
  CU_ADD_TEST(suite, push_out_of_place_is_malformed);
  CU_ADD_TEST(suite, push_beyond_size_is_too_large);
  CU_ADD_TEST(suite, push_beyond_depth_is_too_deep);
  CU_ADD_TEST(suite, push_within_inline_allocates_nothing);
  CU_ADD_TEST(suite, push_without_memory_is_nomem);
  CU_ADD_TEST(suite, prop_every_encoding_gives_one_key);
  CU_ADD_TEST(suite, prop_check_accepts_canonical_only);
}
