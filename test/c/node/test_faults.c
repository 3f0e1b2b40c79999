/* SPDX-License-Identifier: Apache-2.0 */
/* What others can do to a node: nothing that another peer would notice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "dist.h"
#include "hex.h"
#include "net.h"
#include "prng.h"

#define A "a@127.0.0.1"
#define Z "z@127.0.0.1"

/* One node, with short patience. */
struct one {
  struct net net;
  struct net_node a;
};

static void
one_init(struct one *one, uint32_t ticktime_ms, uint32_t handshake_timeout_ms)
{
  net_init(&one->net);
  net_node_init(&one->net, &one->a, A);
  one->a.config.ticktime_ms = ticktime_ms;
  one->a.config.handshake_timeout_ms = handshake_timeout_ms;
  one->a.config.handshakes_max = 8;
  one->a.config.frame_bytes_max = 100000;
  one->a.config.queue_soft_bytes = 4000000;
  one->a.config.queue_hard_bytes = 8000000;
  CU_ASSERT_EQUAL_FATAL(net_node_start(&one->a), 0);
  UNTIL(&one->net, one->a.registered == 1);
}

static void
one_deinit(struct one *one)
{
  net_node_stop(&one->net, &one->a);
  net_deinit(&one->net);
}

static int
stranger(struct one *one)
{
  return net_stranger(&one->net, dist_port(one->a.dist));
}

/* A stranger that has become a peer. */
static int
peer(struct one *one, const char *name)
{
  const int fd = stranger(one);
  const unsigned ups = one->a.ups;
  CU_ASSERT(net_shake(&one->net, fd, name, NET_COOKIE, A));
  CU_ASSERT_EQUAL(one->a.ups, ups + 1);
  return fd;
}

static struct dist_counters
counters(const struct one *one)
{
  struct dist_counters found;
  dist_counters(one->a.dist, &found);
  return found;
}

static void
the_silent_make_room(void)
{
  struct one one;
  one_init(&one, 60000, 60000);
  /* Those who have left do not count. */
  for (unsigned i = 0; i < 20; i++) {
    close(stranger(&one));
  }
  UNTIL(&one.net, counters(&one).handshakes_failed == 20);
  int silent[20];
  for (unsigned i = 0; i < 8; i++) {
    silent[i] = stranger(&one);
  }
  UNTIL(&one.net, counters(&one).accepted == 28);
  CU_ASSERT_EQUAL(counters(&one).handshakes_failed, 20);
  for (unsigned i = 0; i < 8; i++) {
    close(silent[i]);
  }
  UNTIL(&one.net, counters(&one).handshakes_failed == 28);
  for (unsigned i = 0; i < 20; i++) {
    silent[i] = stranger(&one);
  }
  const int fd = peer(&one, Z);
  /* The oldest have been hung up on. */
  for (unsigned i = 0; i < 12; i++) {
    CU_ASSERT(net_hears_end(&one.net, silent[i]));
  }
  CU_ASSERT_EQUAL(counters(&one).handshakes_failed, 28 + 13);
  /* Those who have said something stay as long as there are silent ones. */
  for (unsigned i = 0; i < 20; i++) {
    close(silent[i]);
  }
  close(fd);
  UNTIL(&one.net, one.a.downs == 1);
  one_deinit(&one);
}

static void
handshakes_end(void)
{
  struct one one;
  one_init(&one, 60000, 80);
  const int silent = stranger(&one);
  const int half = stranger(&one);
  static const char name[] =
    "\0\x1aN\0\0\0\x0c\x07\x47\x5f\xbc\0\0\0\1\0\x0b" Z;
  CU_ASSERT(net_say(&one.net, half, name, sizeof name - 1));
  CU_ASSERT(net_hears_end(&one.net, silent));
  CU_ASSERT(net_hears_end(&one.net, half));
  CU_ASSERT_EQUAL(counters(&one).handshakes_failed, 2);
  CU_ASSERT_EQUAL(one.a.ups, 0);
  close(silent);
  close(half);
  one_deinit(&one);
}

static void
wrong_cookies_are_counted(void)
{
  struct one one;
  one_init(&one, 60000, 5000);
  const int fd = stranger(&one);
  CU_ASSERT(!net_shake(&one.net, fd, Z, "crumbs", A));
  CU_ASSERT_EQUAL(counters(&one).wrong_cookies, 1);
  CU_ASSERT_EQUAL(one.a.ups, 0);
  close(fd);
  /* Our own name is nobody else's. */
  const int twin = stranger(&one);
  CU_ASSERT(!net_shake(&one.net, twin, A, NET_COOKIE, A));
  close(twin);
  one_deinit(&one);
}

/* A name is not enough to disturb the node that has it. */
static void
an_impostor_changes_nothing(void)
{
  struct one one;
  one_init(&one, 60000, 5000);
  const int fd = peer(&one, Z);
  const int impostor = stranger(&one);
  CU_ASSERT(!net_shake(&one.net, impostor, Z, "crumbs", A));
  CU_ASSERT_EQUAL(one.a.downs, 0);
  CU_ASSERT_PTR_NOT_NULL(one.a.peer);
  close(impostor);
  close(fd);
  UNTIL(&one.net, one.a.downs == 1);
  one_deinit(&one);
}

/* A node that came back before we noticed that it was gone: down, then up. */
static void
a_new_life_replaces_the_old(void)
{
  struct one one;
  one_init(&one, 60000, 5000);
  const int old = peer(&one, Z);
  const int new = peer(&one, Z);
  CU_ASSERT_EQUAL(one.a.ups, 2);
  CU_ASSERT_EQUAL(one.a.downs, 1);
  CU_ASSERT_STRING_EQUAL(one.a.reason, "replaced by a new connection");
  CU_ASSERT(net_hears_end(&one.net, old));
  CU_ASSERT_PTR_NOT_NULL(one.a.peer);
  close(old);
  close(new);
  UNTIL(&one.net, one.a.downs == 2);
  one_deinit(&one);
}

static void
one_broken_peer_is_one_peer(void)
{
  static const char *const broken[] = {
    "00000001 71",
    "00000006 70 83 68 02 6101",
    "7fffffff",
    "000186a1",
    "0000000c 70 83 68 03 6102 7700 6a 83 6a ff",
  };
  struct one one;
  one_init(&one, 60000, 5000);
  const int good = peer(&one, "good@127.0.0.1");
  for (unsigned i = 0; i < sizeof broken / sizeof *broken; i++) {
    const int fd = peer(&one, Z);
    struct hex hex = hex_new(broken[i]);
    CU_ASSERT(net_say(&one.net, fd, hex.bytes, hex.size));
    CU_ASSERT(net_hears_end(&one.net, fd));
    UNTIL(&one.net, one.a.downs == i + 1);
    hex_delete(&hex);
    close(fd);
  }
  CU_ASSERT_PTR_NOT_NULL(dist_peer_by_node(one.a.dist, "good@127.0.0.1", 14));
  /* It is still served: its tick is answered. */
  uint8_t tick[4] = { 1 };
  CU_ASSERT(net_say(&one.net, good, "\0\0\0\0\0\0\0\0", 8));
  CU_ASSERT(net_hear(&one.net, good, tick, 4));
  CU_ASSERT_EQUAL(tick[0], 0);
  close(good);
  UNTIL(&one.net, one.a.downs == sizeof broken / sizeof *broken + 1);
  one_deinit(&one);
}

static void
a_deaf_peer_is_busy_then_dropped(void)
{
  struct one one;
  one_init(&one, 60000, 5000);
  const int fd = peer(&one, Z);
  static uint8_t block[100000] = { 109, 0, 1, 0x86, 0x9b };
  const struct term_slice payload = term_slice(block, sizeof block);
  int rv = 0;
  for (unsigned i = 0; i < 1000 && rv == 0; i++) {
    rv = dist_send_to_name(one.a.peer, 1, "x", &payload, 1);
    uv_run(&one.net.loop, UV_RUN_NOWAIT);
  }
  CU_ASSERT_EQUAL(rv, HOLT_ERR_BUSY);
  CU_ASSERT(dist_peer_queued(one.a.peer) > one.a.config.queue_soft_bytes);
  CU_ASSERT(counters(&one).messages_busy > 0);
  /* Answers pass the soft mark, until the hard one. */
  static const char from[] = "\x68\x02\x58\x77\x01z\0\0\0\1\0\0\0\0\0\0\0\1j";
  rv = 0;
  for (unsigned i = 0; i < 1000 && rv == 0; i++) {
    rv =
      dist_reply(one.a.peer, 1, term_slice(from, sizeof from - 1), &payload, 1);
  }
  CU_ASSERT_EQUAL(rv, HOLT_ERR_DEAD);
  CU_ASSERT_EQUAL(one.a.downs, 0);
  UNTIL(&one.net, one.a.downs == 1);
  CU_ASSERT_STRING_EQUAL(one.a.reason,
                         "it does not read, and too much waits for it");
  CU_ASSERT_EQUAL(counters(&one).slow_peers, 1);
  close(fd);
  one_deinit(&one);
}

/* One that reads late gets everything, in order. */
static void
a_slow_peer_gets_everything(void)
{
  struct one one;
  one_init(&one, 60000, 5000);
  const int fd = peer(&one, Z);
  static uint8_t block[50000] = { 109, 0, 0, 0xc3, 0x4b };
  const struct term_slice payload = term_slice(block, sizeof block);
  unsigned sent = 0;
  while (block[5] = (uint8_t)sent,
         dist_send_to_name(one.a.peer, 1, "x", &payload, 1) == 0) {
    sent++;
    uv_run(&one.net.loop, UV_RUN_NOWAIT);
  }
  bool same = true;
  static uint8_t frame[60000];
  for (unsigned i = 0; i < sent && same; i++) {
    same = net_hear(&one.net, fd, frame, 4);
    const size_t size = (size_t)frame[2] << 8 | frame[3];
    same = same && net_hear(&one.net, fd, frame, size);
    same = same && frame[size - sizeof block + 5] == (uint8_t)i;
  }
  CU_ASSERT(same);
  CU_ASSERT(sent > 80);
  CU_ASSERT_EQUAL(dist_peer_queued(one.a.peer), 0);
  CU_ASSERT_EQUAL(dist_send_to_name(one.a.peer, 1, "x", &payload, 1), 0);
  close(fd);
  UNTIL(&one.net, one.a.downs == 1);
  one_deinit(&one);
}

/* It sends ticks but reads nothing: that is not life. */
static void
a_deaf_peer_that_ticks_is_dropped(void)
{
  struct one one;
  one_init(&one, 200, 5000);
  const int fd = peer(&one, Z);
  static uint8_t block[100000] = { 109, 0, 1, 0x86, 0x9b };
  const struct term_slice payload = term_slice(block, sizeof block);
  while (dist_send_to_name(one.a.peer, 1, "x", &payload, 1) == 0) {
    uv_run(&one.net.loop, UV_RUN_NOWAIT);
  }
  net_patience(&one.net);
  while (one.a.downs == 0 && net_turn(&one.net)) {
    (void)send(fd, "\0\0\0\0", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  CU_ASSERT_STRING_EQUAL(one.a.reason, "it does not read");
  close(fd);
  one_deinit(&one);
}

/* It reads, slowly: as long as that goes on, it stays. */
static void
a_slow_reader_stays(void)
{
  struct one one;
  one_init(&one, 200, 5000);
  const int fd = peer(&one, Z);
  static uint8_t block[100000] = { 109, 0, 1, 0x86, 0x9b };
  const struct term_slice payload = term_slice(block, sizeof block);
  while (dist_send_to_name(one.a.peer, 1, "x", &payload, 1) == 0) {
    uv_run(&one.net.loop, UV_RUN_NOWAIT);
  }
  const uint64_t start_ms = uv_now(&one.net.loop);
  uint64_t read_ms = 0;
  net_patience(&one.net);
  while (uv_now(&one.net.loop) - start_ms < 800 && net_turn(&one.net)) {
    static uint8_t bytes[300000];
    if (uv_now(&one.net.loop) - read_ms > 40) {
      read_ms = uv_now(&one.net.loop);
      (void)recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
      (void)send(fd, "\0\0\0\0", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    (void)dist_send_to_name(one.a.peer, 1, "x", &payload, 1);
    if (one.a.downs > 0) {
      break;
    }
  }
  CU_ASSERT_EQUAL(one.a.downs, 0);
  close(fd);
  UNTIL(&one.net, one.a.downs == 1);
  one_deinit(&one);
}

static void
silence_ends_a_connection_and_ticks_keep_it(void)
{
  struct one one;
  one_init(&one, 200, 5000);
  const int fd = peer(&one, Z);
  /* Ticks come by themselves, four in a ticktime. */
  const uint64_t start_ms = uv_now(&one.net.loop);
  uint8_t ticks[16];
  CU_ASSERT(net_hear(&one.net, fd, ticks, 12));
  CU_ASSERT(uv_now(&one.net.loop) - start_ms >= 3 * 45);
  /* As long as we tick, it stays. */
  net_patience(&one.net);
  uint64_t said_ms = 0;
  while (uv_now(&one.net.loop) - start_ms < 700 && net_turn(&one.net)) {
    if (uv_now(&one.net.loop) - said_ms > 40) {
      said_ms = uv_now(&one.net.loop);
      CU_ASSERT(net_say(&one.net, fd, "\0\0\0\0", 4));
    }
  }
  CU_ASSERT_EQUAL(one.a.downs, 0);
  const uint64_t silent_ms = uv_now(&one.net.loop);
  UNTIL(&one.net, one.a.downs == 1);
  CU_ASSERT(uv_now(&one.net.loop) - silent_ms >= 200);
  CU_ASSERT_STRING_EQUAL(one.a.reason, "no sign of life");
  close(fd);
  one_deinit(&one);
}

/* A tick after silence is answered, once: if the answer is a tick, too, that is
 * the end of it. */
static void
ticks_are_answered_once(void)
{
  struct one one;
  one_init(&one, 60000, 5000);
  const int fd = peer(&one, Z);
  uint8_t tick[4];
  /* The handshake counts as something said. */
  CU_ASSERT(net_say(&one.net, fd, "\0\0\0\0", 4));
  CU_ASSERT(net_say(&one.net, fd, "\0\0\0\0", 4));
  CU_ASSERT(net_hear(&one.net, fd, tick, 4));
  CU_ASSERT(net_say(&one.net, fd, "\0\0\0\0", 4));
  CU_ASSERT(net_hear(&one.net, fd, tick, 4));
  const uint64_t before = counters(&one).bytes_out;
  for (unsigned i = 0; i < 20; i++) {
    net_turn(&one.net);
  }
  CU_ASSERT_EQUAL(counters(&one).bytes_out, before);
  close(fd);
  UNTIL(&one.net, one.a.downs == 1);
  one_deinit(&one);
}

/* Calling somebody who answers like this; returns the socket. */
static int
dial_to(struct one *one, int listener, const char *cookie,
        enum handshake_decision decision, bool up)
{
  CU_ASSERT_EQUAL(dist_dial(one->a.dist, Z), 0);
  const int fd = net_take(&one->net, listener);
  CU_ASSERT_EQUAL(net_answer(&one->net, fd, Z, cookie, decision), up);
  return fd;
}

static void
dials_fail_in_words(void)
{
  struct one one;
  one_init(&one, 60000, 600);
  const int listener = net_listen(&one.net, Z);
  int fd = dial_to(&one, listener, "crumbs", HANDSHAKE_OK, false);
  close(fd);
  UNTIL(&one.net, one.a.dial_fails == 1);
  CU_ASSERT_STRING_EQUAL(one.a.reason,
                         "it hung up on our answer: wrong cookie?");
  fd = dial_to(&one, listener, NET_COOKIE, HANDSHAKE_NOT_ALLOWED, false);
  UNTIL(&one.net, one.a.dial_fails == 2);
  CU_ASSERT_STRING_EQUAL(one.a.reason, "it does not allow us");
  close(fd);
  /* It says that it calls us, and does not. */
  fd = dial_to(&one, listener, NET_COOKIE, HANDSHAKE_NOK, false);
  UNTIL(&one.net, one.a.dial_fails == 3);
  CU_ASSERT_STRING_EQUAL(one.a.reason, "it called us, and did not succeed");
  close(fd);
  /* It takes the call and says nothing. */
  CU_ASSERT_EQUAL(dist_dial(one.a.dist, Z), 0);
  fd = net_take(&one.net, listener);
  UNTIL(&one.net, one.a.dial_fails == 4);
  CU_ASSERT_STRING_EQUAL(one.a.reason, "it took too long");
  close(fd);
  close(listener);
  CU_ASSERT_EQUAL(dist_dial(one.a.dist, Z), 0);
  UNTIL(&one.net, one.a.dial_fails == 5);
  CU_ASSERT_STRING_EQUAL(one.a.reason, "connection refused");
  CU_ASSERT_EQUAL(one.a.ups, 0);
  one_deinit(&one);
}

/* The other side has not noticed that an older connection is dead. */
static void
we_insist_when_we_know_better(void)
{
  struct one one;
  one_init(&one, 60000, 5000);
  const int listener = net_listen(&one.net, Z);
  const int fd = dial_to(&one, listener, NET_COOKIE, HANDSHAKE_SAY_ALIVE, true);
  UNTIL(&one.net, one.a.ups == 1);
  close(fd);
  close(listener);
  UNTIL(&one.net, one.a.downs == 1);
  one_deinit(&one);
}

/* Somebody of another name cannot come up for the one we call. */
static void
we_know_whom_we_called(void)
{
  struct one one;
  one_init(&one, 60000, 5000);
  const int listener = net_listen(&one.net, Z);
  CU_ASSERT_EQUAL(dist_dial(one.a.dist, Z), 0);
  const int fd = net_take(&one.net, listener);
  CU_ASSERT(!net_answer(&one.net, fd, "y@127.0.0.1", NET_COOKIE, HANDSHAKE_OK));
  UNTIL(&one.net, one.a.dial_fails == 1);
  CU_ASSERT_STRING_EQUAL(one.a.reason, "another node answers there");
  close(fd);
  close(listener);
  one_deinit(&one);
}

/* Without the flag for it, the reason is part of the control message. */
static void
noproc_in_both_forms(void)
{
  static const char question[] =
    "70 83 68 04 6113 58 77 01 7a 00000001 00000000 00000001 77 04 6e6f6e65"
    " 5a 0003 77 01 7a 00000001 00000001 00000002 00000003";
  static const char *const answers[] = {
    "70 83 68 05 6115 77 04 6e6f6e65 58 77 01 7a 00000001 00000000 00000001"
    " 5a 0003 77 01 7a 00000001 00000001 00000002 00000003 77 06 6e6f70726f63",
    "70 83 68 04 611c 77 04 6e6f6e65 58 77 01 7a 00000001 00000000 00000001"
    " 5a 0003 77 01 7a 00000001 00000001 00000002 00000003"
    " 83 77 06 6e6f70726f63",
  };
  struct one one;
  one_init(&one, 60000, 5000);
  for (unsigned i = 0; i < 2; i++) {
    one.net.flags =
      i == 0 ? HANDSHAKE_FLAGS & ~HANDSHAKE_EXIT_PAYLOAD : HANDSHAKE_FLAGS;
    const int fd = peer(&one, Z);
    struct hex hex = hex_new(question);
    struct hex expected = hex_new(answers[i]);
    const uint8_t length[4] = { 0, 0, 0, (uint8_t)hex.size };
    uint8_t found[200];
    CU_ASSERT(net_say(&one.net, fd, length, 4));
    CU_ASSERT(net_say(&one.net, fd, hex.bytes, hex.size));
    CU_ASSERT(net_hear(&one.net, fd, found, 4));
    CU_ASSERT_EQUAL_FATAL(found[3], expected.size);
    CU_ASSERT(net_hear(&one.net, fd, found, expected.size));
    CU_ASSERT_EQUAL(memcmp(found, expected.bytes, expected.size), 0);
    hex_delete(&expected);
    hex_delete(&hex);
    close(fd);
    UNTIL(&one.net, one.a.downs == i + 1);
  }
  one_deinit(&one);
}

/* A caller for whom there is no memory is taken later. */
static void
callers_wait_for_memory(void)
{
  struct one one;
  one_init(&one, 60000, 400);
  one.a.heap.fail_at = one.a.heap.requests + 1;
  const int fd = stranger(&one);
  UNTIL(&one.net, one.a.heap.failed);
  CU_ASSERT(net_shake(&one.net, fd, Z, NET_COOKIE, A));
  CU_ASSERT_EQUAL(one.a.ups, 1);
  close(fd);
  UNTIL(&one.net, one.a.downs == 1);
  one_deinit(&one);
}

/* All have told a name and stop there: the oldest goes. */
static void
the_slow_make_room(void)
{
  static const char name[] =
    "\0\x1aN\0\0\0\x0c\x07\x47\x5f\xbc\0\0\0\1\0\x0b" Z;
  struct one one;
  one_init(&one, 60000, 60000);
  int slow[8];
  for (unsigned i = 0; i < 8; i++) {
    char answer[5];
    slow[i] = stranger(&one);
    CU_ASSERT(net_say(&one.net, slow[i], name, sizeof name - 1));
    CU_ASSERT(net_hear(&one.net, slow[i], answer, 5));
  }
  const int fd = peer(&one, Z);
  CU_ASSERT(net_hears_end(&one.net, slow[0]));
  close(fd);
  for (unsigned i = 0; i < 8; i++) {
    close(slow[i]);
  }
  UNTIL(&one.net, one.a.downs == 1);
  one_deinit(&one);
}

/* Frames of a peer with the cookie, hurt at random, in random pieces. */
static void
hurt_frames(void)
{
  static const char *const frames[] = {
    "70 83 68 04 6106 58 77 01 7a 00000001 00000000 00000001 7700 77 04 "
    "6563686f"
    " 83 68 03 77 09 2467656e5f63616c6c 68 02 58 77 01 7a 00000001 00000000"
    " 00000001 6a 6a",
    "70 83 68 04 6113 58 77 01 7a 00000001 00000000 00000001 77 04 6e6f6e65"
    " 5a 0003 77 01 7a 00000001 00000001 00000002 00000003",
    "70 83 68 03 6101 58 77 01 7a 00000001 00000000 00000001 58 77 0b"
    " 61403132372e302e302e31 00000009 00000000 00000065",
    "70 83 68 04 6123 6101 58 77 01 7a 00000001 00000000 00000001 58 77 0b"
    " 61403132372e302e302e31 00000001 00000000 00000065",
    "70 83 68 04 6106 58 77 01 7a 00000001 00000000 00000001 7700 77 0a"
    " 6e65745f6b65726e656c 83 68 03 77 09 2467656e5f63616c6c 68 02 58 77 01 7a"
    " 00000001 00000000 00000001 6a 68 02 77 07 69735f61757468 7700",
  };
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct one one;
  one_init(&one, 60000, 5000);
  const int good = peer(&one, "good@127.0.0.1");
  for (unsigned round = 0; round < 200; round++) {
    const int fd = peer(&one, Z);
    for (unsigned i = 0; i < 5; i++) {
      struct hex hex = hex_new(frames[prng_below(&prng, 5)]);
      uint8_t bytes[4 + 256] = { 0, 0, 0, (uint8_t)hex.size };
      memcpy(bytes + 4, hex.bytes, hex.size);
      if (prng_chance(&prng, 1, 2)) {
        bytes[4 + prng_below(&prng, hex.size)] = (uint8_t)prng_next(&prng);
      }
      const size_t size = 4 + hex.size;
      const size_t cut = prng_below(&prng, size + 1);
      hex_delete(&hex);
      if (!net_say(&one.net, fd, bytes, cut) ||
          !net_say(&one.net, fd, bytes + cut, size - cut)) {
        break;
      }
    }
    close(fd);
    UNTIL(&one.net, one.a.downs == round + 1);
  }
  if (one.a.ups - one.a.downs != 1) {
    fprintf(stderr, "SEED=%llu\n", (unsigned long long)seed);
  }
  CU_ASSERT_EQUAL(one.a.ups - one.a.downs, 1);
  CU_ASSERT_PTR_NOT_NULL(dist_peer_by_node(one.a.dist, "good@127.0.0.1", 14));
  close(good);
  UNTIL(&one.net, one.a.ups == one.a.downs);
  one_deinit(&one);
}

void test_faults_suite(void);

void
test_faults_suite(void)
{
  CU_pSuite suite = CU_add_suite("faults", NULL, NULL);
  CU_ADD_TEST(suite, the_silent_make_room);
  CU_ADD_TEST(suite, handshakes_end);
  CU_ADD_TEST(suite, wrong_cookies_are_counted);
  CU_ADD_TEST(suite, an_impostor_changes_nothing);
  CU_ADD_TEST(suite, a_new_life_replaces_the_old);
  CU_ADD_TEST(suite, one_broken_peer_is_one_peer);
  CU_ADD_TEST(suite, a_deaf_peer_is_busy_then_dropped);
  CU_ADD_TEST(suite, a_slow_peer_gets_everything);
  CU_ADD_TEST(suite, a_deaf_peer_that_ticks_is_dropped);
  CU_ADD_TEST(suite, a_slow_reader_stays);
  CU_ADD_TEST(suite, silence_ends_a_connection_and_ticks_keep_it);
  CU_ADD_TEST(suite, ticks_are_answered_once);
  CU_ADD_TEST(suite, dials_fail_in_words);
  CU_ADD_TEST(suite, we_insist_when_we_know_better);
  CU_ADD_TEST(suite, we_know_whom_we_called);
  CU_ADD_TEST(suite, noproc_in_both_forms);
  CU_ADD_TEST(suite, callers_wait_for_memory);
  CU_ADD_TEST(suite, the_slow_make_room);
  CU_ADD_TEST(suite, hurt_frames);
}
