/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the tests of the daemon's network half.
 *
 * One suite per source file: test_<noun>.c defines test_<noun>_suite(), which
 * registers its cases with CUnit.  A new file adds its noun to the list below
 * and nothing else.
 */
#include <signal.h>
#include <stdio.h>

#include <CUnit/Basic.h>

#define SUITES(XX)                                                             \
  XX(log)                                                                      \
  XX(term)                                                                     \
  XX(frame)                                                                    \
  XX(outbox)                                                                   \
  XX(control)                                                                  \
  XX(handshake)                                                                \
  XX(epmd)                                                                     \
  XX(dist)                                                                     \
  XX(faults)                                                                   \
  XX(turn)                                                                     \
  XX(roll)                                                                     \
  XX(instance)                                                                 \
  XX(watch)

#define SUITE_DECLARE(noun) void test_##noun##_suite(void);
SUITES(SUITE_DECLARE)
#undef SUITE_DECLARE

int
main(void)
{
  /* As the daemon does. */
  signal(SIGPIPE, SIG_IGN);
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
