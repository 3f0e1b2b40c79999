/* SPDX-License-Identifier: Apache-2.0 */
#include "handshake.h"

#include <assert.h>
#include <md5.h>
#include <stdio.h>
#include <string.h>

/* What we cannot talk without: large references and pids, UTF-8 atoms, 32-bit
 * creations, this handshake. */
#define FLAGS_NEEDED UINT64_C(0x1050104)

/* Stands for all of these. */
#define FLAG_MANDATORY_25 (UINT64_C(1) << 26)

/* The other wants to be given a name. */
#define FLAG_NAME_ME (UINT64_C(1) << 33)

/*--------------------------------------------------------------------
 * Bytes */

static uint32_t
load_u32(const uint8_t *at)
{
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 |
         at[3];
}

static uint64_t
load_u64(const uint8_t *at)
{
  return (uint64_t)load_u32(at) << 32 | load_u32(at + 4);
}

static size_t
load_u16(const uint8_t *at)
{
  return (size_t)at[0] << 8 | at[1];
}

bool
handshake_is_name(const void *name, size_t size)
{
  const uint8_t *bytes = name;
  const uint8_t *at = size == 0 ? NULL : memchr(bytes, '@', size);
  return at != NULL && at > bytes && at + 1 < bytes + size &&
         memchr(bytes, 0, size) == NULL && holt_etf_is_atom_name(bytes, size);
}

/* The answer to a challenge: the cookie and the number, in digits, hashed. */
static void
digest(const struct handshake_self *self, uint32_t challenge,
       uint8_t into[HANDSHAKE_DIGEST_BYTES])
{
  char digits[16];
  const int size = snprintf(digits, sizeof digits, "%u", (unsigned)challenge);
  MD5_CTX md5;
  MD5Init(&md5);
  MD5Update(&md5, (const uint8_t *)self->cookie, strlen(self->cookie));
  MD5Update(&md5, (const uint8_t *)digits, (size_t)size);
  MD5Final(into, &md5);
}

/* In a time that does not tell how much of it was right. */
static bool
digest_is(const struct handshake *handshake, const uint8_t *bytes)
{
  uint8_t expected[HANDSHAKE_DIGEST_BYTES];
  digest(handshake->self, handshake->challenge, expected);
  unsigned difference = 0;
  for (size_t i = 0; i < sizeof expected; i++) {
    difference |= (unsigned)(expected[i] ^ bytes[i]);
  }
  return difference == 0;
}

static void
put_status(struct term_writer *out, const char *status)
{
  const size_t size = strlen(status);
  term_put_u16(out, (uint16_t)(1 + size));
  term_put_u8(out, 's');
  term_put_raw(out, status, size);
}

static void
put_name(const struct handshake *handshake, struct term_writer *out)
{
  const struct handshake_self *self = handshake->self;
  const size_t size = strlen(self->name);
  term_put_u16(out, (uint16_t)(15 + size));
  term_put_u8(out, 'N');
  term_put_u64(out, HANDSHAKE_FLAGS);
  term_put_u32(out, self->creation);
  term_put_u16(out, (uint16_t)size);
  term_put_raw(out, self->name, size);
}

static void
put_challenge(const struct handshake *handshake, struct term_writer *out)
{
  const struct handshake_self *self = handshake->self;
  const size_t size = strlen(self->name);
  term_put_u16(out, (uint16_t)(19 + size));
  term_put_u8(out, 'N');
  term_put_u64(out, HANDSHAKE_FLAGS);
  term_put_u32(out, handshake->challenge);
  term_put_u32(out, self->creation);
  term_put_u16(out, (uint16_t)size);
  term_put_raw(out, self->name, size);
}

/*--------------------------------------------------------------------
 * Beginnings and ends */

void
handshake_init_called(struct handshake *handshake,
                      const struct handshake_self *self, uint32_t challenge)
{
  *handshake = (struct handshake){
    .self = self,
    .state = HANDSHAKE_NAME_DUE,
    .challenge = challenge,
  };
}

void
handshake_init_caller(struct handshake *handshake,
                      const struct handshake_self *self, uint32_t challenge,
                      const char *name, struct term_writer *out)
{
  *handshake = (struct handshake){
    .self = self,
    .state = HANDSHAKE_STATUS_DUE,
    .caller = true,
    .challenge = challenge,
    .name_size = strlen(name),
  };
  assert(handshake_is_name(name, handshake->name_size));
  memcpy(handshake->name, name, handshake->name_size);
  put_name(handshake, out);
}

static enum handshake_step
refuse(struct handshake *handshake, const char *reason)
{
  handshake->state = HANDSHAKE_OVER;
  handshake->reason = reason;
  return HANDSHAKE_REFUSED;
}

static enum handshake_step
go_on(struct handshake *handshake, enum handshake_state state)
{
  handshake->state = state;
  return HANDSHAKE_WAIT;
}

static enum handshake_step
end(struct handshake *handshake, enum handshake_step step)
{
  handshake->state = HANDSHAKE_OVER;
  return step;
}

/* Why these flags will not do; NULL if they will. */
static const char *
flags_lack(uint64_t flags)
{
  if ((flags & FLAG_NAME_ME) != 0) {
    return "it asks for a name, and we give none";
  }
  if ((flags & FLAG_MANDATORY_25) == 0 &&
      (flags & FLAGS_NEEDED) != FLAGS_NEEDED) {
    return "it is too old: OTP 23 is the oldest that will do";
  }
  return NULL;
}

/*--------------------------------------------------------------------
 * We are called */

static enum handshake_step
read_name(struct handshake *handshake, const uint8_t *bytes, size_t size)
{
  if (bytes[0] == 'n') {
    return refuse(handshake,
                  "it is too old: OTP 23 is the oldest that will do");
  }
  if (bytes[0] != 'N' || size < 15) {
    return refuse(handshake, "it does not speak this protocol");
  }
  handshake->flags = load_u64(bytes + 1);
  handshake->creation = load_u32(bytes + 9);
  const size_t name_size = load_u16(bytes + 13);
  const uint8_t *name = bytes + 15;
  /* What comes after the name is for the future. */
  if (name_size > size - 15) {
    return refuse(handshake, "its name is cut off");
  }
  const char *lack = flags_lack(handshake->flags);
  if (lack != NULL) {
    return refuse(handshake, lack);
  }
  if (!handshake_is_name(name, name_size)) {
    return refuse(handshake, "it has no name that a node can have");
  }
  memcpy(handshake->name, name, name_size);
  handshake->name[name_size] = 0;
  handshake->name_size = name_size;
  handshake->state = HANDSHAKE_DECISION_DUE;
  return HANDSHAKE_DECIDE;
}

enum handshake_step
handshake_decide(struct handshake *handshake, enum handshake_decision decision,
                 struct term_writer *out)
{
  assert(handshake->state == HANDSHAKE_DECISION_DUE);

  switch (decision) {
  case HANDSHAKE_OK:
    put_status(out, "ok");
    break;
  case HANDSHAKE_OK_SIMULTANEOUS:
    put_status(out, "ok_simultaneous");
    break;
  case HANDSHAKE_SAY_ALIVE:
    put_status(out, "alive");
    return go_on(handshake, HANDSHAKE_INSIST_DUE);
  case HANDSHAKE_NOK:
    put_status(out, "nok");
    return end(handshake, HANDSHAKE_YIELD);
  case HANDSHAKE_NOT_ALLOWED:
    put_status(out, "not_allowed");
    return refuse(handshake, "it is not allowed to be here");
  }
  put_challenge(handshake, out);
  return go_on(handshake, HANDSHAKE_REPLY_DUE);
}

static enum handshake_step
read_insist(struct handshake *handshake, struct term_slice packet,
            struct term_writer *out)
{
  if (!term_slice_is(packet, "strue")) {
    return end(handshake, HANDSHAKE_YIELD);
  }
  put_challenge(handshake, out);
  return go_on(handshake, HANDSHAKE_REPLY_DUE);
}

static enum handshake_step
read_reply(struct handshake *handshake, const uint8_t *bytes, size_t size,
           struct term_writer *out)
{
  if (bytes[0] != 'r' || size != 5 + HANDSHAKE_DIGEST_BYTES) {
    return refuse(handshake, "it does not speak this protocol");
  }
  if (!digest_is(handshake, bytes + 5)) {
    handshake->wrong_cookie = true;
    return refuse(handshake, "wrong cookie");
  }
  uint8_t answer[HANDSHAKE_DIGEST_BYTES];
  digest(handshake->self, load_u32(bytes + 1), answer);
  term_put_u16(out, 1 + sizeof answer);
  term_put_u8(out, 'a');
  term_put_raw(out, answer, sizeof answer);
  return end(handshake, HANDSHAKE_UP);
}

/*--------------------------------------------------------------------
 * We call */

static enum handshake_step
read_status(struct handshake *handshake, struct term_slice packet)
{
  if (term_slice_is(packet, "sok") ||
      term_slice_is(packet, "sok_simultaneous")) {
    return go_on(handshake, HANDSHAKE_CHALLENGE_DUE);
  }
  if (term_slice_is(packet, "snok")) {
    return end(handshake, HANDSHAKE_YIELD);
  }
  if (term_slice_is(packet, "salive")) {
    handshake->state = HANDSHAKE_ALIVE_DUE;
    return HANDSHAKE_ALIVE;
  }
  if (term_slice_is(packet, "snot_allowed")) {
    return refuse(handshake, "it does not allow us");
  }
  return refuse(handshake, "it does not speak this protocol");
}

enum handshake_step
handshake_insist(struct handshake *handshake, bool insist,
                 struct term_writer *out)
{
  assert(handshake->state == HANDSHAKE_ALIVE_DUE);

  put_status(out, insist ? "true" : "false");
  if (!insist) {
    return end(handshake, HANDSHAKE_YIELD);
  }
  return go_on(handshake, HANDSHAKE_CHALLENGE_DUE);
}

static enum handshake_step
read_challenge(struct handshake *handshake, const uint8_t *bytes, size_t size,
               struct term_writer *out)
{
  if (bytes[0] != 'N' || size < 19 || load_u16(bytes + 17) > size - 19) {
    return refuse(handshake, "it does not speak this protocol");
  }
  handshake->flags = load_u64(bytes + 1);
  handshake->creation = load_u32(bytes + 13);
  const char *lack = flags_lack(handshake->flags);
  if (lack != NULL) {
    return refuse(handshake, lack);
  }
  if (!term_slice_equal(term_slice(bytes + 19, load_u16(bytes + 17)),
                        term_slice(handshake->name, handshake->name_size))) {
    return refuse(handshake, "another node answers there");
  }
  uint8_t answer[HANDSHAKE_DIGEST_BYTES];
  digest(handshake->self, load_u32(bytes + 9), answer);
  term_put_u16(out, 5 + sizeof answer);
  term_put_u8(out, 'r');
  term_put_u32(out, handshake->challenge);
  term_put_raw(out, answer, sizeof answer);
  return go_on(handshake, HANDSHAKE_ACK_DUE);
}

static enum handshake_step
read_ack(struct handshake *handshake, const uint8_t *bytes, size_t size)
{
  if (bytes[0] != 'a' || size != 1 + HANDSHAKE_DIGEST_BYTES) {
    return refuse(handshake, "it does not speak this protocol");
  }
  if (!digest_is(handshake, bytes + 1)) {
    handshake->wrong_cookie = true;
    return refuse(handshake, "wrong cookie");
  }
  return end(handshake, HANDSHAKE_UP);
}

enum handshake_step
handshake_packet(struct handshake *handshake, struct term_slice packet,
                 struct term_writer *out)
{
  const uint8_t *bytes = packet.bytes;
  const size_t size = packet.size;
  if (size == 0) {
    return refuse(handshake, "it does not speak this protocol");
  }
  switch (handshake->state) {
  case HANDSHAKE_NAME_DUE:
    return read_name(handshake, bytes, size);
  case HANDSHAKE_INSIST_DUE:
    return read_insist(handshake, packet, out);
  case HANDSHAKE_REPLY_DUE:
    return read_reply(handshake, bytes, size, out);
  case HANDSHAKE_STATUS_DUE:
    return read_status(handshake, packet);
  case HANDSHAKE_CHALLENGE_DUE:
    return read_challenge(handshake, bytes, size, out);
  case HANDSHAKE_ACK_DUE:
    return read_ack(handshake, bytes, size);
  case HANDSHAKE_DECISION_DUE:
  case HANDSHAKE_ALIVE_DUE:
  case HANDSHAKE_OVER:
    break;
  }
  return refuse(handshake, "it speaks out of turn");
}
