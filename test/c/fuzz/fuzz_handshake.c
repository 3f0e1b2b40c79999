/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake, with a stranger at the other end, or with a node that is one
 * but whose words are changed on the way.
 *
 *     head    who calls; whether the other knows the cookie
 *     step    what is said: a packet of the input's own; what the other has to
 *             say, as it is; the same with one byte changed
 *
 * Without the cookie nobody comes up. */
#include "handshake.h"

#include <string.h>

#include "fuzz.h"

enum {
  PACKETS_MAX = 12
};

static const struct handshake_self us = { "us@a", "cookie", 17 };
static const struct handshake_self friend = { "other@b", "cookie", 18 };
static const struct handshake_self stranger = { "other@b", "cookies", 18 };

struct ends {
  struct fuzz_input input;
  struct handshake ours;
  struct handshake other;
  struct term_writer to_us;
  struct term_writer to_other;
  enum handshake_step step; /* Of ours, the last. */
  bool knows;               /* The other knows the cookie. */
  bool touched;             /* What it said, or heard, was changed. */
};

static enum handshake_step
carry_on(struct handshake *handshake, enum handshake_step step, uint8_t choice,
         struct term_writer *out)
{
  if (step == HANDSHAKE_DECIDE) {
    return handshake_decide(handshake, (enum handshake_decision)(choice % 5),
                            out);
  }
  if (step == HANDSHAKE_ALIVE) {
    return handshake_insist(handshake, choice % 4 != 0, out);
  }
  return step;
}

/* Take the first packet out of what somebody has written. */
static bool
take(struct term_writer *from, struct hex *packet)
{
  if (from->size < 2) {
    return false;
  }
  const size_t size = (size_t)from->data[0] << 8 | from->data[1];
  FUZZ_CHECK(size <= HANDSHAKE_PACKET_MAX && size + 2 <= from->size);
  *packet = hex_copy(from->data + 2, size);
  struct hex rest = hex_copy(from->data + 2 + size, from->size - 2 - size);
  term_writer_clear(from);
  term_put_raw(from, rest.bytes, rest.size);
  hex_delete(&rest);
  return true;
}

static void
hear(struct ends *ends, const struct hex *packet)
{
  struct handshake *const ours = &ends->ours;
  const bool over = ours->state == HANDSHAKE_OVER;
  const uint8_t choice = fuzz_u8(&ends->input);
  const enum handshake_step step = handshake_packet(
    ours, term_slice(packet->bytes, packet->size), &ends->to_other);
  FUZZ_CHECK(!over || step == HANDSHAKE_REFUSED);
  FUZZ_CHECK(step != HANDSHAKE_REFUSED || ours->reason != NULL);
  FUZZ_CHECK(step != HANDSHAKE_DECIDE ||
             handshake_is_name(ours->name, ours->name_size));
  FUZZ_CHECK(ours->name_size <= HANDSHAKE_NAME_MAX &&
             strlen(ours->name) == ours->name_size);
  ends->step = carry_on(ours, step, choice, &ends->to_other);
  FUZZ_CHECK(ends->step != HANDSHAKE_UP || ends->knows);
  FUZZ_CHECK(ends->to_other.error == 0);
}

/* The other hears what we have said, and answers. */
static void
other_hears(struct ends *ends)
{
  struct hex packet;
  while (ends->other.state != HANDSHAKE_OVER &&
         take(&ends->to_other, &packet)) {
    const enum handshake_step step = handshake_packet(
      &ends->other, term_slice(packet.bytes, packet.size), &ends->to_us);
    (void)carry_on(&ends->other, step, ends->touched ? 4 : 0, &ends->to_us);
    hex_delete(&packet);
  }
}

static void
say(struct ends *ends)
{
  const uint8_t what = fuzz_u8(&ends->input) % 4;
  struct hex packet;
  other_hears(ends);
  if (what == 0 || !take(&ends->to_us, &packet)) {
    packet = fuzz_piece(&ends->input);
    ends->touched = true;
  } else if (what == 1 && packet.size > 0) {
    const size_t at = fuzz_u8(&ends->input) % packet.size;
    packet.bytes[at] ^= fuzz_u8(&ends->input);
    ends->touched = true;
  }
  hear(ends, &packet);
  hex_delete(&packet);
}

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  struct ends ends = { .input = fuzz_input(bytes, size) };
  struct heap heap;
  heap_init(&heap);
  term_writer_init(&ends.to_us, &heap.mem, 0);
  term_writer_init(&ends.to_other, &heap.mem, 0);
  const uint8_t head = fuzz_u8(&ends.input);
  ends.knows = head / 2 % 2 == 0;
  const struct handshake_self *const self = ends.knows ? &friend : &stranger;
  if (head % 2 == 0) {
    handshake_init_called(&ends.ours, &us, 0x01020304);
    handshake_init_caller(&ends.other, self, 0xfffefdfc, us.name, &ends.to_us);
  } else {
    handshake_init_called(&ends.other, self, 0x01020304);
    handshake_init_caller(&ends.ours, &us, 0xfffefdfc, self->name,
                          &ends.to_other);
  }
  for (unsigned i = 0; i < PACKETS_MAX && !fuzz_is_used_up(&ends.input); i++) {
    say(&ends);
  }
  term_writer_deinit(&ends.to_us);
  term_writer_deinit(&ends.to_other);
  fuzz_heap_end(&heap);
}

void
fuzz_seeds(fuzz_seed seed)
{
  for (unsigned i = 0; i < 20; i++) {
    /* As it is, with each decision; with the third packet changed. */
    const uint8_t decision = (uint8_t)(i / 4);
    const uint8_t program[] = {
      (uint8_t)(i % 4), 2, decision, 2, decision, 2, decision, 1, 3, 4,
      decision,         2, 1
    };
    char name[] = "honest-a";
    name[7] = (char)('a' + i);
    seed(name, program, sizeof program);
  }
  /* What a caller says first, by a stranger. */
  struct heap heap;
  heap_init(&heap);
  struct term_writer out;
  term_writer_init(&out, &heap.mem, 0);
  struct handshake caller;
  term_put_u16(&out, 0);
  handshake_init_caller(&caller, &stranger, 5, us.name, &out);
  term_put_u8(&out, 0);
  static const char *const answers[] = { "strue", "sok", "salive", "snok" };
  for (unsigned i = 0; i < 4; i++) {
    term_put_u8(&out, 0);
    term_put_u16(&out, (uint16_t)strlen(answers[i]));
    term_put_raw(&out, answers[i], strlen(answers[i]));
    term_put_u8(&out, 2);
  }
  seed("stranger-called", out.data, out.size);
  out.data[0] = 1;
  seed("stranger-calls", out.data, out.size);
  term_writer_deinit(&out);
  fuzz_heap_end(&heap);
}
