/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/error.h>

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <CUnit/CUnit.h>

static const struct {
  int code;
  const char *name;
} errors[] = {
  { HOLT_ERR_NOMEM, "nomem" },         { HOLT_ERR_LIMIT, "limit" },
  { HOLT_ERR_MALFORMED, "malformed" }, { HOLT_ERR_UNSUPPORTED, "unsupported" },
  { HOLT_ERR_TOO_LARGE, "too_large" }, { HOLT_ERR_TOO_DEEP, "too_deep" },
  { HOLT_ERR_EXISTS, "exists" },       { HOLT_ERR_NOT_FOUND, "not_found" },
  { HOLT_ERR_STALE, "stale" },         { HOLT_ERR_GAP, "gap" },
  { HOLT_ERR_VERSION, "version" },     { HOLT_ERR_POLICY, "policy" },
  { HOLT_ERR_DEAD, "dead" },           { HOLT_ERR_BUSY, "busy" },
};

#define ERRORS (sizeof errors / sizeof errors[0])

/* The codes are negative and ascend without a gap, as they may be stored. */
static void
codes_are_fixed(void)
{
  for (size_t i = 0; i < ERRORS; i++) {
    CU_ASSERT_EQUAL(errors[i].code, -1 - (int)i);
  }
}

/* Every code has the name that hosts make an atom of. */
static void
name_of_each_code_is_an_atom(void)
{
  for (size_t i = 0; i < ERRORS; i++) {
    const char *const name = holt_error_name(errors[i].code);
    CU_ASSERT_STRING_EQUAL(name, errors[i].name);
    for (const char *at = name; *at != '\0'; at++) {
      CU_ASSERT(islower((unsigned char)*at) || *at == '_');
    }
  }
}

/* No two codes say the same to a person. */
static void
text_of_each_code_is_its_own(void)
{
  for (size_t i = 0; i < ERRORS; i++) {
    CU_ASSERT(strlen(holt_error_text(errors[i].code)) > 0);
    for (size_t j = 0; j < i; j++) {
      CU_ASSERT_STRING_NOT_EQUAL(holt_error_text(errors[i].code),
                                 holt_error_text(errors[j].code));
    }
  }
}

/* Success and numbers from elsewhere have names too, never NULL. */
static void
name_of_other_numbers_is_said(void)
{
  CU_ASSERT_STRING_EQUAL(holt_error_name(0), "ok");
  CU_ASSERT_STRING_EQUAL(holt_error_name(1), "unknown");
  CU_ASSERT_STRING_EQUAL(holt_error_name(-1 - (int)ERRORS), "unknown");
  CU_ASSERT_PTR_NOT_NULL(holt_error_text(0));
  CU_ASSERT_PTR_NOT_NULL(holt_error_text(12345));
}

void test_error_suite(void);

void
test_error_suite(void)
{
  CU_pSuite suite = CU_add_suite("error", NULL, NULL);
  CU_ADD_TEST(suite, codes_are_fixed);
  CU_ADD_TEST(suite, name_of_each_code_is_an_atom);
  CU_ADD_TEST(suite, text_of_each_code_is_its_own);
  CU_ADD_TEST(suite, name_of_other_numbers_is_said);
}
