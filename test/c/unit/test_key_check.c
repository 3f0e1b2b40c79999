/* SPDX-License-Identifier: Apache-2.0 */
/* The check of finished keys.  That it agrees with the builder on every form
 * and on mutated ones is tested with the builder, in test_key.c. */
#include <holt/key.h>

#include <CUnit/Basic.h>

#include "hex.h"

/* Canonical tokens in a structure that is not. */
static void
check_wrong_structure_is_malformed(void)
{
  static const char *const wrong[] = {
    "74 00 00 00 02 61 02 6a 61 01 6a",       /* not ascending */
    "74 00 00 00 02 61 01 6a 61 01 6a",       /* twice */
    "68 01 74 00 00 00 02 61 02 6a 61 01 6a", /* the same inside */
    "6c 00 00 00 00 6a",                      /* no elements */
    "6c 00 00 00 01 6a 6c 00 00 00 01 6a 6a", /* list as a tail */
    "68 01 6a 6a",                            /* too much */
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    struct hex form = hex_new(wrong[i]);
    CU_ASSERT_EQUAL(holt_key_check(form.bytes, form.size), HOLT_ERR_MALFORMED);
    hex_delete(&form);
  }
}

/* A canonical key cut anywhere is none, and reading stops at its end. */
static void
check_truncated_is_malformed(void)
{
  struct hex key = hex_new("68 03 74 00 00 00 01 77 01 61 6d 00 00 00 02 01 02 "
                           "6c 00 00 00 01 62 00 00 01 00 6a 46 3f f8 00 00 00 "
                           "00 00 00");
  CU_ASSERT_EQUAL(holt_key_check(key.bytes, key.size), 0);
  for (size_t size = 0; size < key.size; size++) {
    /* A block of its own, so that the sanitizer sees the end. */
    struct hex cut = hex_copy(key.bytes, size);
    CU_ASSERT_EQUAL(holt_key_check(cut.bytes, cut.size), HOLT_ERR_MALFORMED);
    hex_delete(&cut);
  }
  hex_delete(&key);
}

/* Plain keys, which are read in one go, and the same a little wrong. */
static void
check_plain_keys(void)
{
  static const char *const right[] = {
    "68 02 77 04 75 73 65 72 62 00 01 e2 40", /* {user, 123456} */
    "68 00",
    "61 ff",
    "62 ff ff ff ff",
    "62 00 00 01 00",
    "77 00",
    "6d 00 00 00 00",
    "68 03 6d 00 00 00 02 00 ff 77 02 c3 a9 61 00", /* not of ASCII only */
    "68 01 68 01 61 01",                            /* not plain */
  };
  for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
    struct hex form = hex_new(right[i]);
    CU_ASSERT_EQUAL(holt_key_check(form.bytes, form.size), 0);
    for (size_t size = 0; size < form.size; size++) {
      struct hex cut = hex_copy(form.bytes, size);
      CU_ASSERT_EQUAL(holt_key_check(cut.bytes, cut.size), HOLT_ERR_MALFORMED);
      hex_delete(&cut);
    }
    hex_delete(&form);
  }
  static const char *const wrong[] = {
    "62 00 00 00 ff",          /* has a shorter form */
    "68 01 62 00 00 00 00",    /* the same inside */
    "69 00 00 00 01 61 01",    /* a tuple that has a shorter form */
    "76 00 01 61",             /* so has this atom */
    "77 01 ff",                /* no character */
    "68 01 61 01 61",          /* too much */
    "6d ff ff ff ff 61",       /* too little */
    "68 02 61 01 6d 00 00 00", /* cut in its head */
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    struct hex form = hex_new(wrong[i]);
    CU_ASSERT_EQUAL(holt_key_check(form.bytes, form.size), HOLT_ERR_MALFORMED);
    hex_delete(&form);
  }
}

/* Containers of one element, as deep as the limit and one deeper. */
static void
check_beyond_depth_is_too_deep(void)
{
  uint8_t bytes[2 * (HOLT_KEY_DEPTH_MAX + 1) + 1];
  for (size_t i = 0; i < HOLT_KEY_DEPTH_MAX + 1; i++) {
    bytes[2 * i] = 0x68;
    bytes[2 * i + 1] = 1;
  }
  bytes[sizeof bytes - 1] = 0x6a;
  CU_ASSERT_EQUAL(holt_key_check(bytes, sizeof bytes), HOLT_ERR_TOO_DEEP);
  CU_ASSERT_EQUAL(holt_key_check(bytes + 2, sizeof bytes - 2), 0);
}

void test_key_check_suite(void);

void
test_key_check_suite(void)
{
  CU_pSuite suite = CU_add_suite("key_check", NULL, NULL);
  CU_ADD_TEST(suite, check_wrong_structure_is_malformed);
  CU_ADD_TEST(suite, check_truncated_is_malformed);
  CU_ADD_TEST(suite, check_plain_keys);
  CU_ADD_TEST(suite, check_beyond_depth_is_too_deep);
}
