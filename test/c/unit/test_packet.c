/* SPDX-License-Identifier: Apache-2.0 */
#include <CUnit/CUnit.h>
void test_packet_suite(void);
void
test_packet_suite(void)
{
  CU_add_suite("packet", NULL, NULL);
}
