/* SPDX-License-Identifier: Apache-2.0 */
#include "dist.h"

#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "net.h"
#include "prng.h"

#define A "a@127.0.0.1"
#define B "b@127.0.0.1"

/* Two nodes, connected. */
struct two {
  struct net net;
  struct net_node a;
  struct net_node b;
};

static void
two_init(struct two *two)
{
  net_init(&two->net);
  net_node_begin(&two->net, &two->a, A);
  net_node_begin(&two->net, &two->b, B);
  CU_ASSERT_EQUAL(dist_dial(two->a.dist, B), 0);
  CU_ASSERT_EQUAL(dist_dial(two->a.dist, B), 0);
  UNTIL(&two->net, two->a.ups == 1 && two->b.ups == 1);
}

static void
two_deinit(struct two *two)
{
  net_node_stop(&two->net, &two->a);
  net_node_stop(&two->net, &two->b);
  net_deinit(&two->net);
}

static void
a_dial_leads_to_two_peers(void)
{
  struct two two;
  two_init(&two);
  CU_ASSERT_STRING_EQUAL(dist_peer_node(two.a.peer), B);
  CU_ASSERT_STRING_EQUAL(dist_peer_node(two.b.peer), A);
  CU_ASSERT_EQUAL(dist_peer_creation(two.a.peer), dist_creation(two.b.dist));
  CU_ASSERT_EQUAL(dist_peer_flags(two.b.peer), HANDSHAKE_FLAGS);
  CU_ASSERT_EQUAL(dist_dial(two.a.dist, B), HOLT_ERR_EXISTS);
  CU_ASSERT_PTR_NULL(dist_peer_by_node(two.a.dist, A, strlen(A)));
  const struct term_pid pid = { term_slice(B, strlen(B)), 1, 0,
                                dist_creation(two.b.dist) };
  struct term_pid old = pid;
  old.creation--;
  CU_ASSERT(dist_peer_owns(two.a.peer, &pid));
  CU_ASSERT(!dist_peer_owns(two.a.peer, &old));
  CU_ASSERT(!dist_peer_owns(two.b.peer, &pid));
  two_deinit(&two);
}

static void
hanging_up_is_told_on_both_sides(void)
{
  struct two two;
  two_init(&two);
  dist_hang_up(two.a.peer, "no more");
  /* Not from within the call. */
  CU_ASSERT_EQUAL(two.a.downs, 0);
  const struct term_slice nil = { (const uint8_t *)"j", 1 };
  CU_ASSERT_EQUAL(dist_send_to_name(two.a.peer, 1, "echo", &nil, 1),
                  HOLT_ERR_DEAD);
  CU_ASSERT_PTR_NULL(dist_peer_by_node(two.a.dist, B, strlen(B)));
  UNTIL(&two.net, two.a.downs == 1 && two.b.downs == 1);
  CU_ASSERT_STRING_EQUAL(two.a.reason, "no more");
  CU_ASSERT_STRING_EQUAL(two.b.reason, "connection closed");
  /* And up again, from the other side. */
  CU_ASSERT_EQUAL(dist_dial(two.b.dist, A), 0);
  UNTIL(&two.net, two.a.ups == 2 && two.b.ups == 2);
  two_deinit(&two);
}

static void
messages_arrive(void)
{
  struct two two;
  two_init(&two);
  const struct term_slice parts[] = {
    { (const uint8_t *)"\x68\x02", 2 },
    { (const uint8_t *)"\x77\x01x", 3 },
    { (const uint8_t *)"j", 1 },
  };
  CU_ASSERT_EQUAL(dist_send_to_name(two.a.peer, 1, "echo", parts, 3), 0);
  UNTIL(&two.net, two.b.messages == 1);
  CU_ASSERT_EQUAL(two.b.payload_size, 6);
  CU_ASSERT_EQUAL(memcmp(two.b.payload, "\x68\x02\x77\x01xj", 6), 0);

  struct term_writer pid;
  term_writer_init(&pid, &two.b.heap.mem, 0);
  dist_pid_encode(&pid, two.b.dist, 1, 0);
  CU_ASSERT_EQUAL(
    dist_send_to_pid(two.a.peer, term_writer_slice(&pid), parts, 3), 0);
  UNTIL(&two.net, two.b.messages == 2);

  /* Of an old life, of nobody, of another name: dropped. */
  struct dist_counters counters;
  pid.data[pid.size - 1]--;
  dist_send_to_pid(two.a.peer, term_writer_slice(&pid), parts, 3);
  term_writer_clear(&pid);
  dist_pid_encode(&pid, two.b.dist, 9, 0);
  dist_send_to_pid(two.a.peer, term_writer_slice(&pid), parts, 3);
  dist_send_to_name(two.a.peer, 1, "nobody", parts, 3);
  dist_send_to_name(two.a.peer, 1, "echo", parts, 3);
  UNTIL(&two.net, two.b.messages == 3);
  dist_counters(two.b.dist, &counters);
  CU_ASSERT_EQUAL(counters.messages_unknown, 3);
  CU_ASSERT_EQUAL(counters.messages_in, 3);
  term_writer_deinit(&pid);
  two_deinit(&two);
}

/* A call whose tag is a reference, and one whose tag is an alias: which is sent
 * to an alias that nobody here has, so only the counter shows it. */
static void
calls_are_answered(void)
{
  struct two two;
  two_init(&two);
  two.a.mute = true;
  struct term_writer w;
  term_writer_init(&w, &two.a.heap.mem, 0);
  const uint32_t words[] = { 1, 2, 3 };
  for (unsigned alias = 0; alias < 2; alias++) {
    term_writer_clear(&w);
    term_put_tuple(&w, 3);
    term_put_atom(&w, "$gen_call");
    term_put_tuple(&w, 2);
    dist_pid_encode(&w, two.a.dist, 1, 0);
    if (alias) {
      term_put_list(&w, 1);
      term_put_atom(&w, "alias");
    }
    term_put_reference(&w, term_slice(A, strlen(A)), 1, words, 3);
    term_put_atom(&w, "request");
    const struct term_slice part = term_writer_slice(&w);
    CU_ASSERT_EQUAL(dist_send_to_name(two.a.peer, 1, "echo", &part, 1), 0);
    UNTIL(&two.net, two.b.messages == alias + 1);
  }
  UNTIL(&two.net, two.a.messages == 1);
  const struct term_slice payload =
    term_slice(two.a.payload, two.a.payload_size);
  struct holt_etf_reader reader = term_reader(payload);
  struct term_slice tag;
  CU_ASSERT(term_read_tuple(&reader, 2));
  CU_ASSERT(term_read_term(&reader, &tag));
  CU_ASSERT(term_read_atom_is(&reader, "request"));
  struct dist_counters counters = { 0 };
  UNTIL(&two.net,
        (dist_counters(two.a.dist, &counters), counters.messages_unknown == 1));
  CU_ASSERT_EQUAL(
    dist_reply(two.a.peer, 1, term_slice("\x68\x02jj", 4), NULL, 0),
    HOLT_ERR_MALFORMED);
  term_writer_deinit(&w);
  two_deinit(&two);
}

static struct term_slice
atom(const char *text)
{
  return term_slice(text, strlen(text));
}

static void
monitors_fire(void)
{
  struct two two;
  two_init(&two);
  uint64_t monitor = 0;
  uint64_t second = 0;
  /* Unknown: at once. */
  CU_ASSERT_EQUAL(dist_monitor(two.a.peer, 1, atom("\x77\x06nobody"), &monitor),
                  0);
  UNTIL(&two.net, two.a.monitor_downs == 1);
  CU_ASSERT_EQUAL(two.a.monitor, monitor);
  CU_ASSERT(!two.a.noconnection);
  /* Known: when the connection is lost; unless taken back. */
  CU_ASSERT_EQUAL(dist_monitor(two.a.peer, 1,
                               atom("\x77\x04"
                                    "echo"),
                               &monitor),
                  0);
  struct term_writer pid;
  term_writer_init(&pid, &two.b.heap.mem, 0);
  dist_pid_encode(&pid, two.b.dist, 1, 0);
  CU_ASSERT_EQUAL(dist_monitor(two.a.peer, 1, term_writer_slice(&pid), &second),
                  0);
  CU_ASSERT_NOT_EQUAL(monitor, second);
  dist_demonitor(two.a.peer, monitor);
  dist_demonitor(two.a.peer, monitor);
  CU_ASSERT_EQUAL(dist_monitor(two.a.peer, 1, atom("\x61\x01"), &monitor),
                  HOLT_ERR_MALFORMED);
  /* One that nobody lives to see fire. */
  CU_ASSERT_EQUAL(
    dist_monitor(two.b.peer, 1, atom("\x77\x0anet_kernel"), &monitor), 0);
  const struct term_slice nil = { (const uint8_t *)"j", 1 };
  dist_send_to_name(two.a.peer, 1, "echo", &nil, 1);
  UNTIL(&two.net, two.b.messages == 1);
  CU_ASSERT_EQUAL(two.a.monitor_downs, 1);
  dist_hang_up(two.b.peer, "bye");
  UNTIL(&two.net, two.a.downs == 1);
  CU_ASSERT_EQUAL(two.a.monitor_downs, 2);
  CU_ASSERT_EQUAL(two.a.monitor, second);
  CU_ASSERT(two.a.noconnection);
  term_writer_deinit(&pid);
  CU_ASSERT_EQUAL(dist_dial(two.a.dist, B), 0);
  UNTIL(&two.net, two.a.ups == 2 && two.b.ups == 2);
  CU_ASSERT_EQUAL(
    dist_monitor(two.a.peer, 1, atom("\x77\x0anet_kernel"), &monitor), 0);
  two_deinit(&two);
}

/* Both dial; the other one starts a random number of turns later.  Each round
 * ends with one connection. */
static void
simultaneous_dials_end_in_one_connection(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct two two;
  two_init(&two);
  for (unsigned round = 2; round < 100; round++) {
    dist_hang_up(two.a.peer, "next round");
    UNTIL(&two.net, two.a.downs == round - 1 && two.b.downs == round - 1);
    struct net_node *first = prng_chance(&prng, 1, 2) ? &two.a : &two.b;
    struct net_node *second = first == &two.a ? &two.b : &two.a;
    dist_dial(first->dist, first == &two.a ? B : A);
    const uint64_t turns = prng_below(&prng, 8);
    for (uint64_t i = 0; i < turns; i++) {
      uv_run(&two.net.loop, UV_RUN_NOWAIT);
    }
    dist_dial(second->dist, second == &two.a ? B : A);
    UNTIL(&two.net, two.a.ups == round && two.b.ups == round);
    /* Nothing of it is left that could still fail or come up. */
    for (unsigned i = 0; i < 10; i++) {
      uv_run(&two.net.loop, UV_RUN_NOWAIT);
    }
    if (two.a.ups != round || two.b.ups != round || two.a.downs != round - 1 ||
        two.a.dial_fails + two.b.dial_fails > 0) {
      fprintf(stderr, "SEED=%llu round %u\n", (unsigned long long)seed, round);
      CU_FAIL("more than one connection came of it");
      break;
    }
  }
  two_deinit(&two);
}

/* Stopping is clean at every moment. */
static void
stop_at_every_turn(void)
{
  for (unsigned turns = 0; turns < 40; turns++) {
    struct net net;
    struct net_node a;
    struct net_node b;
    net_init(&net);
    net_node_begin(&net, &b, B);
    net_node_init(&net, &a, A);
    CU_ASSERT_EQUAL_FATAL(net_node_start(&a), 0);
    dist_dial(a.dist, B);
    dist_dial(a.dist, "c@no.such.host.invalid");
    for (unsigned i = 0; i < turns; i++) {
      uv_run(&net.loop, UV_RUN_NOWAIT);
    }
    net_node_stop(&net, &a);
    net_node_stop(&net, &b);
    net_deinit(&net);
  }
}

/* Each allocation of one of the nodes fails once: it comes up nevertheless, or
 * says why not, and leaves nothing behind. */
static void
without_memory_nothing_is_left_behind(void)
{
  struct net net;
  struct net_node b;
  net_init(&net);
  net_node_init(&net, &b, B);
  b.config.handshake_timeout_ms = 50;
  CU_ASSERT_EQUAL_FATAL(net_node_start(&b), 0);
  UNTIL(&net, b.registered == 1);
  bool failed = true;
  for (uint64_t fail_at = 1; failed; fail_at++) {
    CU_ASSERT_FATAL(fail_at < 1000);
    struct net_node a;
    net_node_init(&net, &a, A);
    a.heap.fail_at = fail_at;
    a.config.handshake_timeout_ms = 50;
    const unsigned b_downs = b.downs;
    const unsigned b_ups = b.ups;
    if (net_node_start(&a) == 0) {
      UNTIL(&net, a.registered == 1);
      const int rv = dist_dial(a.dist, B);
      CU_ASSERT(rv == 0 || rv == HOLT_ERR_NOMEM);
      if (rv == 0) {
        UNTIL(&net, a.ups + a.dial_fails > 0);
      }
      uint64_t monitor;
      const struct term_slice nil = { (const uint8_t *)"j", 1 };
      if (a.peer != NULL) {
        (void)dist_send_to_name(a.peer, 1, "echo", &nil, 1);
        (void)dist_monitor(a.peer, 1, atom("\x77\x06nobody"), &monitor);
        (void)dist_send_to_name(b.peer, 1, "echo", &nil, 1);
        (void)dist_monitor(b.peer, 1, atom("\x77\x06nobody"), &monitor);
        const unsigned fired = b.monitor_downs;
        UNTIL(&net, b.monitor_downs > fired || a.peer == NULL);
      }
      failed = a.heap.failed;
    } else {
      CU_ASSERT(a.heap.failed);
      while (a.heap.blocks_count > 0 && net_turn(&net)) {
      }
      a.dist = NULL;
    }
    net_node_stop(&net, &a);
    UNTIL(&net, b.downs - b_downs == b.ups - b_ups);
  }
  net_node_stop(&net, &b);
  net_deinit(&net);
}

static void
start_refuses(void)
{
  struct net net;
  struct net_node node;
  net_init(&net);
  net_node_init(&net, &node, "nowhere");
  CU_ASSERT_EQUAL(net_node_start(&node), HOLT_ERR_MALFORMED);
  node.config.name = A;
  char cookie[300];
  memset(cookie, 'x', sizeof cookie);
  cookie[256] = 0;
  node.config.cookie = cookie;
  CU_ASSERT_EQUAL(net_node_start(&node), HOLT_ERR_TOO_LARGE);
  node.config.cookie = NET_COOKIE;
  node.config.listen_address = "over there";
  CU_ASSERT_EQUAL(net_node_start(&node), HOLT_ERR_MALFORMED);
  node.config.listen_address = "192.0.2.1";
  CU_ASSERT_EQUAL(net_node_start(&node), HOLT_ERR_EXISTS);
  node.config.listen_address = "127.0.0.1";
  node.config.listen_port = net.epmd_port;
  CU_ASSERT_EQUAL(net_node_start(&node), HOLT_ERR_EXISTS);
  UNTIL(&net, node.heap.blocks_count == 0);
  node.dist = NULL;
  net_node_stop(&net, &node);
  net_deinit(&net);
}

void test_dist_suite(void);

void
test_dist_suite(void)
{
  CU_pSuite suite = CU_add_suite("dist", NULL, NULL);
  CU_ADD_TEST(suite, a_dial_leads_to_two_peers);
  CU_ADD_TEST(suite, hanging_up_is_told_on_both_sides);
  CU_ADD_TEST(suite, messages_arrive);
  CU_ADD_TEST(suite, calls_are_answered);
  CU_ADD_TEST(suite, monitors_fire);
  CU_ADD_TEST(suite, simultaneous_dials_end_in_one_connection);
  CU_ADD_TEST(suite, stop_at_every_turn);
  CU_ADD_TEST(suite, without_memory_nothing_is_left_behind);
  CU_ADD_TEST(suite, start_refuses);
}
