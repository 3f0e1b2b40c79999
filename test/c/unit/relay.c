/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

static bool
is_of_c(const struct holt_effect *effect, enum holt_packet_kind kind)
{
  static const uint8_t actor[8] = { 0, 0, 0, 0, 0, 0, 0, 12 };
  return effect->type == HOLT_EFFECT_SEND && effect->bytes[0] == kind &&
         memcmp(effect->bytes + 1, actor, sizeof actor) == 0;
}

static bool
on_the_way(struct pair *pair, unsigned from, unsigned to,
           const struct holt_effect *effect)
{
  struct relay *const f = pair->user;
  const bool send = effect->type == HOLT_EFFECT_SEND;
  f->forwarded[from][to] += is_of_c(effect, HOLT_PACKET_DELTA) ? 1 : 0;
  if (is_of_c(effect, HOLT_PACKET_REPAIR) && to == A) {
    f->pieces++;
    if (f->writes > 0) {
      char text[24];
      (void)snprintf(text, sizeof text, "during %u", f->writes--);
      CU_ASSERT_EQUAL(pair_register(pair, C, text, 1), 0);
    }
    if (f->pieces_max > 0 && f->pieces > f->pieces_max) {
      return true;
    }
  }
  return (send && (f->mute[from][to] >> effect->bytes[0] & 1) != 0) ||
         (f->lossy && send && prng_chance(&f->prng, 1, 10));
}

void
relay_init(struct relay *f, unsigned ends, unsigned names)
{
  memset(f, 0, sizeof *f);
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, ends, 0);
  f->pair.user = f;
  f->pair.filter = on_the_way;
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f->pair), 0);
  CU_ASSERT_EQUAL_FATAL(pair_register_many(&f->pair, C, 0, names), 0);
  pair_run(&f->pair);
  CU_ASSERT(pair_equal(&f->pair));
  memset(f->pair.sent, 0, sizeof f->pair.sent);
  memset(f->pair.bytes_sent, 0, sizeof f->pair.bytes_sent);
  memset(f->forwarded, 0, sizeof f->forwarded);
}

void
relay_cut(struct relay *f, unsigned ends, unsigned names, unsigned unheard)
{
  relay_init(f, ends, names);
  f->mute[C][A] = ~0u;
  CU_ASSERT_EQUAL(pair_register_many(&f->pair, C, names, names + unheard), 0);
  pair_run(&f->pair);
  f->mute[C][A] = 0;
  memset(f->forwarded, 0, sizeof f->forwarded);
  pair_disconnect(&f->pair, A, C);
}

void
relay_run(struct relay *f, unsigned ends)
{
  relay_cut(f, ends, 10, 0);
  pair_run(&f->pair);
}

void
relay_deinit(struct relay *f)
{
  pair_end(&f->pair, &f->heap);
}

void
relay_wait(struct relay *f, unsigned intervals)
{
  pair_wait(&f->pair, intervals * f->pair.tuning.vector_interval_ms);
}

unsigned
relay_voucher(const struct relay *f)
{
  const uint32_t follow = pair_copy(&f->pair, A, C)->presence.follow;
  unsigned at = 1;
  while (at < f->pair.ends &&
         (at == C || follow == 0 || f->pair.peer[A][at] != follow)) {
    at++;
  }
  return at < f->pair.ends ? at : PAIR_ENDS;
}

unsigned
relay_chosen(const struct relay *f)
{
  const unsigned at = relay_voucher(f);
  CU_ASSERT_FATAL(at == B || at == D);
  return at;
}

struct holt_relay *
relay_of(const struct relay *f, unsigned at)
{
  return pair_copy(&f->pair, at, C)->presence.relay;
}

struct holt_follower *
relay_follower(const struct relay *f)
{
  struct holt_relay *const of_c = relay_of(f, B);
  CU_ASSERT_PTR_NOT_NULL_FATAL(of_c);
  CU_ASSERT_PTR_NULL(of_c->followers->next);
  return of_c->followers;
}

int
relay_write(struct relay *f, unsigned number)
{
  char text[16];
  (void)snprintf(text, sizeof text, "more %u", number);
  return pair_register(&f->pair, C, text, 1);
}

bool
relay_sees(const struct relay *f, unsigned at, unsigned number)
{
  char text[16];
  (void)snprintf(text, sizeof text, "more %u", number);
  return pair_holder(&f->pair, at, text) == 12;
}

int
relay_say(struct relay *f, unsigned from, unsigned to, struct holt_buf *body)
{
  CU_ASSERT_EQUAL_FATAL(body->error, 0);
  const int rv = pair_apply_from(&f->pair, from, to, body->data, body->size);
  holt_buf_deinit(body);
  return rv;
}

int
relay_say_ack(struct relay *f, unsigned from, unsigned to,
              const struct holt_ack *ack)
{
  struct holt_buf body;
  holt_buf_init(&body, &f->heap.mem, 0);
  (void)holt_ack_encode(&body, ack);
  return relay_say(f, from, to, &body);
}

int
relay_say_request(struct relay *f, unsigned from, unsigned to,
                  const struct holt_request *request)
{
  struct holt_buf body;
  holt_buf_init(&body, &f->heap.mem, 0);
  (void)holt_request_encode(&body, request);
  return relay_say(f, from, to, &body);
}

struct holt_effect
relay_next(struct relay *f, unsigned at, enum holt_packet_kind kind)
{
  struct holt_effect effect;
  do {
    holt_replica_poll(f->pair.replica[at], &f->pair.now, &effect);
  } while (effect.type != HOLT_EFFECT_NONE && !is_of_c(&effect, kind));
  return effect;
}

void
relay_b_hears(struct relay *f, unsigned number)
{
  CU_ASSERT_EQUAL(relay_write(f, number), 0);
  while (pair_step(&f->pair, C)) {
  }
  const struct holt_ack ack = { .actor = 12,
                                .cursor = pair_copy(&f->pair, B, C)->cursor };
  CU_ASSERT_EQUAL(relay_say_ack(f, B, C, &ack), 0);
}
