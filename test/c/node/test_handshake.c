/* SPDX-License-Identifier: Apache-2.0 */
#include "handshake.h"

#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "hex.h"
#include "prng.h"

static const struct handshake_self alice = { "alice@a", "cookie", 17 };
static const struct handshake_self bob = { "bob@b", "cookie", 18 };

/* Two ends, and what each has written for the other. */
struct pair {
  struct heap heap;
  struct handshake caller;
  struct handshake called;
  struct term_writer to_called;
  struct term_writer to_caller;
};

static void
pair_init(struct pair *pair, const struct handshake_self *caller,
          const struct handshake_self *called)
{
  heap_init(&pair->heap);
  term_writer_init(&pair->to_called, &pair->heap.mem, 0);
  term_writer_init(&pair->to_caller, &pair->heap.mem, 0);
  handshake_init_called(&pair->called, called, 0x01020304);
  handshake_init_caller(&pair->caller, caller, 0xfffefdfc, called->name,
                        &pair->to_called);
}

static void
pair_deinit(struct pair *pair)
{
  term_writer_deinit(&pair->to_called);
  term_writer_deinit(&pair->to_caller);
  CU_ASSERT(heap_is_clean(&pair->heap));
  heap_deinit(&pair->heap);
}

/* Hand the first packet in a writer to the other end. */
static enum handshake_step
pass(struct term_writer *from, struct handshake *to, struct term_writer *answer)
{
  CU_ASSERT_FATAL(from->error == 0 && from->size >= 2);
  const size_t size = (size_t)from->data[0] << 8 | from->data[1];
  CU_ASSERT_FATAL(from->size >= 2 + size);
  struct hex packet = hex_copy(from->data + 2, size);
  struct hex rest = hex_copy(from->data + 2 + size, from->size - 2 - size);
  term_writer_clear(from);
  term_put_raw(from, rest.bytes, rest.size);
  const enum handshake_step step =
    handshake_packet(to, term_slice(packet.bytes, packet.size), answer);
  hex_delete(&rest);
  hex_delete(&packet);
  return step;
}

static enum handshake_step
to_called(struct pair *pair)
{
  return pass(&pair->to_called, &pair->called, &pair->to_caller);
}

static enum handshake_step
to_caller(struct pair *pair)
{
  return pass(&pair->to_caller, &pair->caller, &pair->to_called);
}

static void
is_hex(struct term_slice slice, const char *text)
{
  struct hex hex = hex_new(text);
  const bool same = term_slice_equal(slice, term_slice(hex.bytes, hex.size));
  CU_ASSERT(same);
  if (!same) {
    hex_print("expected", hex.bytes, hex.size);
    hex_print("found", slice.bytes, slice.size);
  }
  hex_delete(&hex);
}

/* Every byte of a handshake.  The digests are what erlang:md5/1 says of
 * "cookie16909060" and "cookie4294901244". */
static void
all_goes_well(void)
{
  struct pair pair;
  pair_init(&pair, &alice, &bob);
  is_hex(term_writer_slice(&pair.to_called),
         "0016 4e 0000000c07475fbc 00000011 0007 616c6963654061");
  CU_ASSERT_EQUAL(to_called(&pair), HANDSHAKE_DECIDE);
  CU_ASSERT_STRING_EQUAL(pair.called.name, "alice@a");
  CU_ASSERT_EQUAL(pair.called.creation, 17);
  CU_ASSERT_EQUAL(handshake_decide(&pair.called, HANDSHAKE_OK, &pair.to_caller),
                  HANDSHAKE_WAIT);
  is_hex(term_writer_slice(&pair.to_caller),
         "0003 73 6f6b"
         "0018 4e 0000000c07475fbc 01020304 00000012 0005 626f624062");
  CU_ASSERT_EQUAL(to_caller(&pair), HANDSHAKE_WAIT);
  CU_ASSERT_EQUAL(to_caller(&pair), HANDSHAKE_WAIT);
  CU_ASSERT_EQUAL(pair.caller.creation, 18);
  CU_ASSERT_EQUAL(pair.caller.flags, HANDSHAKE_FLAGS);
  is_hex(term_writer_slice(&pair.to_called),
         "0015 72 fffefdfc e9ca7a63f7fb677e6fce4e90d813c689");
  CU_ASSERT_EQUAL(to_called(&pair), HANDSHAKE_UP);
  is_hex(term_writer_slice(&pair.to_caller),
         "0011 61 9556fe459a034b4f3e974e354922f030");
  CU_ASSERT_EQUAL(to_caller(&pair), HANDSHAKE_UP);
  pair_deinit(&pair);
}

static void
wrong_cookie_is_refused_by_the_called(void)
{
  static const struct handshake_self eve = { "alice@a", "crumbs", 17 };
  struct pair pair;
  pair_init(&pair, &eve, &bob);
  to_called(&pair);
  handshake_decide(&pair.called, HANDSHAKE_OK, &pair.to_caller);
  to_caller(&pair);
  to_caller(&pair);
  CU_ASSERT_EQUAL(to_called(&pair), HANDSHAKE_REFUSED);
  CU_ASSERT(pair.called.wrong_cookie);
  CU_ASSERT_STRING_EQUAL(pair.called.reason, "wrong cookie");
  CU_ASSERT_EQUAL(pair.to_caller.size, 0);
  pair_deinit(&pair);
}

static void
wrong_cookie_is_refused_by_the_caller(void)
{
  struct pair pair;
  pair_init(&pair, &alice, &bob);
  to_called(&pair);
  handshake_decide(&pair.called, HANDSHAKE_OK, &pair.to_caller);
  to_caller(&pair);
  to_caller(&pair);
  CU_ASSERT_EQUAL(to_called(&pair), HANDSHAKE_UP);
  pair.to_caller.data[pair.to_caller.size - 1] ^= 1;
  CU_ASSERT_EQUAL(to_caller(&pair), HANDSHAKE_REFUSED);
  CU_ASSERT(pair.caller.wrong_cookie);
  pair_deinit(&pair);
}

static void
decisions(void)
{
  static const struct {
    enum handshake_decision decision;
    enum handshake_step called;
    enum handshake_step caller;
  } rows[] = {
    { HANDSHAKE_OK_SIMULTANEOUS, HANDSHAKE_WAIT, HANDSHAKE_WAIT },
    { HANDSHAKE_NOK, HANDSHAKE_YIELD, HANDSHAKE_YIELD },
    { HANDSHAKE_NOT_ALLOWED, HANDSHAKE_REFUSED, HANDSHAKE_REFUSED },
    { HANDSHAKE_SAY_ALIVE, HANDSHAKE_WAIT, HANDSHAKE_ALIVE },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct pair pair;
    pair_init(&pair, &alice, &bob);
    to_called(&pair);
    CU_ASSERT_EQUAL(
      handshake_decide(&pair.called, rows[i].decision, &pair.to_caller),
      rows[i].called);
    CU_ASSERT_EQUAL(to_caller(&pair), rows[i].caller);
    pair_deinit(&pair);
  }
}

static void
alive_and_insisting(void)
{
  struct pair pair;
  pair_init(&pair, &alice, &bob);
  to_called(&pair);
  handshake_decide(&pair.called, HANDSHAKE_SAY_ALIVE, &pair.to_caller);
  CU_ASSERT_EQUAL(to_caller(&pair), HANDSHAKE_ALIVE);
  CU_ASSERT_EQUAL(handshake_insist(&pair.caller, true, &pair.to_called),
                  HANDSHAKE_WAIT);
  is_hex(term_writer_slice(&pair.to_called), "0005 73 74727565");
  CU_ASSERT_EQUAL(to_called(&pair), HANDSHAKE_WAIT);
  CU_ASSERT_EQUAL(to_caller(&pair), HANDSHAKE_WAIT);
  CU_ASSERT_EQUAL(to_called(&pair), HANDSHAKE_UP);
  CU_ASSERT_EQUAL(to_caller(&pair), HANDSHAKE_UP);
  pair_deinit(&pair);
}

static void
alive_and_content(void)
{
  struct pair pair;
  pair_init(&pair, &alice, &bob);
  to_called(&pair);
  handshake_decide(&pair.called, HANDSHAKE_SAY_ALIVE, &pair.to_caller);
  to_caller(&pair);
  CU_ASSERT_EQUAL(handshake_insist(&pair.caller, false, &pair.to_called),
                  HANDSHAKE_YIELD);
  CU_ASSERT_EQUAL(to_called(&pair), HANDSHAKE_YIELD);
  pair_deinit(&pair);
}

/* One packet to a called end, and what comes of it. */
static enum handshake_step
one_packet(const char *text, const char **reason)
{
  struct heap heap;
  heap_init(&heap);
  struct term_writer out;
  term_writer_init(&out, &heap.mem, 0);
  struct handshake handshake;
  handshake_init_called(&handshake, &bob, 1);
  struct hex hex = hex_new(text);
  const enum handshake_step step =
    handshake_packet(&handshake, term_slice(hex.bytes, hex.size), &out);
  *reason = handshake.reason;
  hex_delete(&hex);
  term_writer_deinit(&out);
  heap_deinit(&heap);
  return step;
}

static void
names_that_will_do(void)
{
  const char *reason;
  /* All the mandatory flags of OTP 25 by the one bit that stands for them. */
  CU_ASSERT_EQUAL(
    one_packet("4e 0000000004000008 00000011 0003 614062", &reason),
    HANDSHAKE_DECIDE);
  /* Those of OTP 23, one by one. */
  CU_ASSERT_EQUAL(
    one_packet("4e 0000000003070ffc 00000011 0003 614062", &reason),
    HANDSHAKE_DECIDE);
  /* Something behind the name. */
  CU_ASSERT_EQUAL(
    one_packet("4e 0000000004000008 00000011 0003 614062 ffff", &reason),
    HANDSHAKE_DECIDE);
}

static void
names_that_will_not(void)
{
  static const char *const bad[] = {
    "",
    "4e",
    "6e 0005 00077ffc 614062",
    "4e 0000000000000008 00000011 0003 614062",
    "4e 0000000204000008 00000011 0003 614062",
    "4e 0000000004000008 00000011 0004 614062",
    "4e 0000000004000008 00000011 0000",
    "4e 0000000004000008 00000011 0003 616162",
    "4e 0000000004000008 00000011 0002 4062",
    "4e 0000000004000008 00000011 0002 6140",
    "4e 0000000004000008 00000011 0004 61004062",
    "4e 0000000004000008 00000011 0003 ff4062",
    "4e 0000000004000008 00000011",
    "72 00000000 00000000000000000000000000000000",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *reason = NULL;
    CU_ASSERT_EQUAL(one_packet(bad[i], &reason), HANDSHAKE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(reason);
  }
}

static void
another_node_answers(void)
{
  static const struct handshake_self carol = { "carol@b", "cookie", 3 };
  struct pair pair;
  pair_init(&pair, &alice, &bob);
  pair.called.self = &carol;
  to_called(&pair);
  handshake_decide(&pair.called, HANDSHAKE_OK, &pair.to_caller);
  to_caller(&pair);
  CU_ASSERT_EQUAL(to_caller(&pair), HANDSHAKE_REFUSED);
  CU_ASSERT_STRING_EQUAL(pair.caller.reason, "another node answers there");
  CU_ASSERT_EQUAL(pair.to_called.size, 0);
  pair_deinit(&pair);
}

static void
the_longest_name(void)
{
  char name[HANDSHAKE_NAME_MAX + 2];
  memset(name, 'x', sizeof name);
  name[1] = '@';
  CU_ASSERT(handshake_is_name(name, 255));
  CU_ASSERT(!handshake_is_name(name, 256));
  /* 255 characters of four bytes each. */
  for (size_t i = 0; i < 255; i++) {
    memcpy(name + 4 * i, "\xf0\x9f\xa6\xa6", 4);
  }
  CU_ASSERT(!handshake_is_name(name, 1020));
  memcpy(name, "a@xx", 4);
  CU_ASSERT(handshake_is_name(name, 4 + 4 * 251));
  CU_ASSERT(!handshake_is_name(name, 1020));
}

/* A handshake with hurt packets ends in a refusal, or comes up because nothing
 * that matters was hurt; it never reads beyond a packet. */
static void
hurt_handshakes(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  for (unsigned i = 0; i < 5000; i++) {
    struct pair pair;
    pair_init(&pair, &alice, &bob);
    for (unsigned step = 0; step < 6; step++) {
      struct term_writer *const from =
        step % 2 == 0 ? &pair.to_called : &pair.to_caller;
      struct handshake *const to = step % 2 == 0 ? &pair.called : &pair.caller;
      struct term_writer *const answer =
        step % 2 == 0 ? &pair.to_caller : &pair.to_called;
      /* Within the first packet; lengths are for the frame reader. */
      if (from->size > 2 && prng_chance(&prng, 1, 3)) {
        const size_t size = (size_t)from->data[0] << 8 | from->data[1];
        from->data[2 + prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
      }
      while (from->size >= 2) {
        const enum handshake_step rv = pass(from, to, answer);
        if (rv == HANDSHAKE_DECIDE) {
          handshake_decide(to, HANDSHAKE_OK, answer);
        } else if (rv == HANDSHAKE_ALIVE) {
          handshake_insist(to, true, answer);
        }
      }
    }
    if (pair.caller.state != HANDSHAKE_OVER &&
        pair.called.state == HANDSHAKE_OVER && pair.called.reason == NULL &&
        pair.caller.reason == NULL) {
      /* Called is up, so its answer must have come and been judged. */
      fprintf(stderr, "SEED=%llu\n", (unsigned long long)seed);
      CU_FAIL("one end is up and the other waits");
    }
    pair_deinit(&pair);
  }
}

void test_handshake_suite(void);

void
test_handshake_suite(void)
{
  CU_pSuite suite = CU_add_suite("handshake", NULL, NULL);
  CU_ADD_TEST(suite, all_goes_well);
  CU_ADD_TEST(suite, wrong_cookie_is_refused_by_the_called);
  CU_ADD_TEST(suite, wrong_cookie_is_refused_by_the_caller);
  CU_ADD_TEST(suite, decisions);
  CU_ADD_TEST(suite, alive_and_insisting);
  CU_ADD_TEST(suite, alive_and_content);
  CU_ADD_TEST(suite, names_that_will_do);
  CU_ADD_TEST(suite, names_that_will_not);
  CU_ADD_TEST(suite, another_node_answers);
  CU_ADD_TEST(suite, the_longest_name);
  CU_ADD_TEST(suite, hurt_handshakes);
}
