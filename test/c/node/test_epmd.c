/* SPDX-License-Identifier: Apache-2.0 */
#include "epmd.h"

#include <string.h>

#include <CUnit/CUnit.h>

#include "net.h"

static void
the_first_creation_stays(void)
{
  struct net net;
  struct net_node node;
  net_init(&net);
  net_node_begin(&net, &node, "a@127.0.0.1");
  const uint32_t creation = dist_creation(node.dist);
  CU_ASSERT_EQUAL(creation, net.creation);
  net_epmd_stop(&net);
  net_epmd_start(&net);
  UNTIL(&net, net.registrations == 2);
  CU_ASSERT_NOT_EQUAL(net.creation, creation);
  CU_ASSERT_EQUAL(dist_creation(node.dist), creation);
  CU_ASSERT_EQUAL(node.registered, 1);
  net_node_stop(&net, &node);
  net_deinit(&net);
}

static void
it_comes_later(void)
{
  struct net net;
  struct net_node node;
  net_init(&net);
  net_epmd_stop(&net);
  net_node_init(&net, &node, "a@127.0.0.1");
  CU_ASSERT_EQUAL_FATAL(net_node_start(&node), 0);
  CU_ASSERT_EQUAL(dist_creation(node.dist), 0);
  /* A wish from before is fulfilled later; here, it fails later. */
  CU_ASSERT_EQUAL(dist_dial(node.dist, "b@127.0.0.1"), 0);
  for (unsigned i = 0; i < 20; i++) {
    net_turn(&net);
  }
  CU_ASSERT_EQUAL(node.dial_fails, 0);
  net_epmd_start(&net);
  UNTIL(&net, node.registered == 1);
  UNTIL(&net, node.dial_fails == 1);
  CU_ASSERT_STRING_EQUAL(node.reason, "its epmd does not know it");
  net_node_stop(&net, &node);
  net_deinit(&net);
}

static void
garbage_is_tried_again(void)
{
  struct net net;
  struct net_node node;
  net_init(&net);
  net.mood = NET_EPMD_GARBAGE;
  net_node_init(&net, &node, "a@127.0.0.1");
  CU_ASSERT_EQUAL_FATAL(net_node_start(&node), 0);
  for (unsigned i = 0; i < 20; i++) {
    net_turn(&net);
  }
  CU_ASSERT_EQUAL(node.registered, 0);
  net.mood = NET_EPMD_WELL;
  UNTIL(&net, node.registered == 1);
  net_node_stop(&net, &node);
  net_deinit(&net);
}

static void
a_taken_name_is_fatal_after_some_tries(void)
{
  struct net net;
  struct net_node first;
  struct net_node second;
  net_init(&net);
  net_node_begin(&net, &first, "a@127.0.0.1");
  net_node_init(&net, &second, "a@127.0.0.1");
  CU_ASSERT_EQUAL_FATAL(net_node_start(&second), 0);
  UNTIL(&net, second.failed == 1);
  CU_ASSERT_EQUAL(second.registered, 0);
  CU_ASSERT_STRING_EQUAL(second.reason, "the name is taken by another node");
  net_node_stop(&net, &second);
  net_node_stop(&net, &first);
  net_deinit(&net);
}

/* The other of that name was just dying. */
static void
a_name_that_gets_free_is_taken(void)
{
  struct net net;
  struct net_node first;
  struct net_node second;
  net_init(&net);
  net_node_begin(&net, &first, "a@127.0.0.1");
  net_node_init(&net, &second, "a@127.0.0.1");
  CU_ASSERT_EQUAL_FATAL(net_node_start(&second), 0);
  for (unsigned i = 0; i < 20; i++) {
    net_turn(&net);
  }
  net_node_stop(&net, &first);
  UNTIL(&net, second.registered == 1);
  CU_ASSERT_EQUAL(second.failed, 0);
  net_node_stop(&net, &second);
  net_deinit(&net);
}

static void
dial_and_expect(struct net *net, struct net_node *node, const char *name,
                const char *reason)
{
  const unsigned before = node->dial_fails;
  CU_ASSERT_EQUAL(dist_dial(node->dist, name), 0);
  UNTIL(net, node->dial_fails == before + 1);
  CU_ASSERT_STRING_EQUAL(node->reason, reason);
}

static void
lookups_fail_in_words(void)
{
  struct net net;
  struct net_node node;
  net_init(&net);
  net_node_init(&net, &node, "a@127.0.0.1");
  node.config.handshake_timeout_ms = 600;
  CU_ASSERT_EQUAL_FATAL(net_node_start(&node), 0);
  UNTIL(&net, node.registered == 1);
  dial_and_expect(&net, &node, "b@127.0.0.1", "its epmd does not know it");
  net.mood = NET_EPMD_GARBAGE;
  dial_and_expect(&net, &node, "b@127.0.0.1",
                  "what is on its epmd's port is no epmd");
  net.mood = NET_EPMD_SILENT;
  dial_and_expect(&net, &node, "b@127.0.0.1", "it took too long");
  net.mood = NET_EPMD_WELL;
  net_epmd_add(&net, "zero", 0);
  dial_and_expect(&net, &node, "zero@127.0.0.1", "its epmd gives no port");
  net_epmd_stop(&net);
  dial_and_expect(&net, &node, "b@127.0.0.1",
                  "there is no epmd on its machine");
  CU_ASSERT_EQUAL(dist_dial(node.dist, "a@127.0.0.1"), HOLT_ERR_MALFORMED);
  CU_ASSERT_EQUAL(dist_dial(node.dist, "nowhere"), HOLT_ERR_MALFORMED);
  net_node_stop(&net, &node);
  net_deinit(&net);
}

void test_epmd_suite(void);

void
test_epmd_suite(void)
{
  CU_pSuite suite = CU_add_suite("epmd", NULL, NULL);
  CU_ADD_TEST(suite, the_first_creation_stays);
  CU_ADD_TEST(suite, it_comes_later);
  CU_ADD_TEST(suite, garbage_is_tried_again);
  CU_ADD_TEST(suite, a_taken_name_is_fatal_after_some_tries);
  CU_ADD_TEST(suite, a_name_that_gets_free_is_taken);
  CU_ADD_TEST(suite, lookups_fail_in_words);
}
