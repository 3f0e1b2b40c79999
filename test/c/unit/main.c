/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every unit test of the core.
 *
 * One suite per source file: test_<noun>.c defines test_<noun>_suite(), which
 * registers its cases with CUnit.  A new file adds its noun to the list below
 * and nothing else.
 */
#include <stdio.h>

#include <CUnit/Basic.h>

#define SUITES(XX)                                                             \
  XX(error)                                                                    \
  XX(mem)                                                                      \
  XX(varint)                                                                   \
  XX(buf)                                                                      \
  XX(hash)                                                                     \
  XX(slab)                                                                     \
  XX(index)                                                                    \
  XX(etf)                                                                      \
  XX(explain)                                                                  \
  XX(key)                                                                      \
  XX(key_check)                                                                \
  XX(liveset)                                                                  \
  XX(twin)                                                                     \
  XX(clock)                                                                    \
  XX(deaths)                                                                   \
  XX(rows)                                                                     \
  XX(keys)                                                                     \
  XX(cells)                                                                    \
  XX(told)                                                                     \
  XX(census)                                                                   \
  XX(owners)                                                                   \
  XX(actors)                                                                   \
  XX(walks)                                                                    \
  XX(packet)                                                                   \
  XX(delta)                                                                    \
  XX(replica)                                                                  \
  XX(view)                                                                     \
  XX(contest)                                                                  \
  XX(peer)                                                                     \
  XX(sync)                                                                     \
  XX(stream)                                                                   \
  XX(vector)                                                                   \
  XX(serve)                                                                    \
  XX(ask)                                                                      \
  XX(vouch)                                                                    \
  XX(liveness)                                                                 \
  XX(repair)                                                                   \
  XX(forward)                                                                  \
  XX(follow)                                                                   \
  XX(hostile)

#define SUITE_DECLARE(noun) void test_##noun##_suite(void);
SUITES(SUITE_DECLARE)
#undef SUITE_DECLARE

int
main(void)
{
  if (CU_initialize_registry() != CUE_SUCCESS) {
    fprintf(stderr, "CUnit: %s\n", CU_get_error_msg());
    return 2;
  }
#define SUITE_ADD(noun) test_##noun##_suite();
  SUITES(SUITE_ADD)
#undef SUITE_ADD
  if (CU_get_error() != CUE_SUCCESS) {
    fprintf(stderr, "CUnit: %s\n", CU_get_error_msg());
    CU_cleanup_registry();
    return 2;
  }
  CU_basic_set_mode(CU_BRM_VERBOSE);
  CU_basic_run_tests();
  const unsigned ran = CU_get_number_of_tests_run();
  const unsigned failed =
    CU_get_number_of_tests_failed() + CU_get_number_of_suites_failed();
  CU_cleanup_registry();
  return ran > 0 && failed == 0 ? 0 : 1;
}
