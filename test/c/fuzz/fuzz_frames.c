/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the distribution, as they come from a socket.
 *
 *     head    size of lengths, greatest frame, how the stream is cut
 *     rest    the stream
 *
 * The reader finds the frames that reading it in one go would find.  Each is
 * read as a control message; what is one is written again, and is the same. */
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "controls.h"
#include "frame.h"
#include "fuzz.h"

static bool
is_within(struct term_slice slice, struct term_slice frame)
{
  return slice.size == 0 ||
         (slice.bytes >= frame.bytes &&
          slice.size <= frame.size - (size_t)(slice.bytes - frame.bytes));
}

static void
check_term(struct term_slice slice, struct term_slice frame)
{
  FUZZ_CHECK(is_within(slice, frame));
  FUZZ_CHECK(slice.size == 0 || holt_etf_check(slice.bytes, slice.size) == 0);
}

/* Write what we send ourselves, and read it. */
static void
write_again(const struct control *control)
{
  struct heap heap;
  heap_init(&heap);
  struct term_writer writer;
  term_writer_init(&writer, &heap.mem, 0);
  const bool named = control->op == CONTROL_REG_SEND;
  const struct term_slice empty = term_slice("w\0", 2);
  const struct term_slice elements[3] = {
    control->op == CONTROL_UNLINK_ID_ACK ? control->id
    : control->op == CONTROL_SEND        ? empty
                                         : control->from,
    named                                  ? empty
    : control->op == CONTROL_UNLINK_ID_ACK ? control->from
                                           : control->to,
    control->op == CONTROL_UNLINK_ID_ACK || named ? control->to : control->ref,
  };
  control_put(&writer, control->op, elements,
              control->op == CONTROL_SEND ? 2 : 3);
  if (control->payload.size > 0) {
    control_put_payload(&writer);
  }
  FUZZ_CHECK(control_finish(&writer, control->payload.size) == 0);
  term_put_slice(&writer, control->payload);
  const struct term_slice bytes = term_writer_slice(&writer);
  struct frame_reader reader;
  frame_reader_init(&reader, &heap.mem, 4, SIZE_MAX);
  struct term_slice input = bytes;
  struct term_slice frame;
  FUZZ_CHECK(frame_reader_next(&reader, &input, &frame) == 1);
  FUZZ_CHECK(input.size == 0);
  struct control again;
  FUZZ_CHECK(control_read(frame, &again) == 0);
  FUZZ_CHECK(again.op == control->op);
  FUZZ_CHECK(term_slice_equal(again.to, control->to));
  FUZZ_CHECK(again.op == CONTROL_SEND ||
             term_slice_equal(again.from, control->from));
  FUZZ_CHECK(term_slice_equal(again.ref, control->ref));
  FUZZ_CHECK(term_slice_equal(again.id, control->id));
  FUZZ_CHECK(term_slice_equal(again.payload, control->payload));
  frame_reader_deinit(&reader);
  term_writer_deinit(&writer);
  fuzz_heap_end(&heap);
}

/* In a block of its own. */
static void
check_frame(struct term_slice borrowed)
{
  struct hex copy = hex_copy(borrowed.bytes, borrowed.size);
  const struct term_slice frame = term_slice(copy.bytes, copy.size);
  struct control control;
  if (frame.size > 0 && control_read(frame, &control) == 0) {
    check_term(control.from, frame);
    check_term(control.to, frame);
    check_term(control.ref, frame);
    check_term(control.id, frame);
    check_term(control.reason, frame);
    check_term(control.payload, frame);
    switch (control.op) {
    case CONTROL_SEND:
    case CONTROL_REG_SEND:
    case CONTROL_MONITOR:
    case CONTROL_DEMONITOR:
    case CONTROL_UNLINK_ID_ACK:
      write_again(&control);
      break;
    default:
      break;
    }
    struct term_slice ref;
    if (control_alias(control.payload, &ref)) {
      check_term(ref, frame);
    }
  }
  hex_delete(&copy);
}

/* Where the frames of a stream are, read in one go. */
struct naive {
  const uint8_t *at;
  size_t left;
  unsigned prefix;
  size_t size_max;
};

/* As frame_reader_next(), with all that will ever come. */
static int
naive_next(struct naive *naive, struct term_slice *frame)
{
  uint64_t size = 0;
  if (naive->left < naive->prefix) {
    return 0;
  }
  for (unsigned i = 0; i < naive->prefix; i++) {
    size = size << 8 | naive->at[i];
  }
  if (size > naive->size_max) {
    return HOLT_ERR_TOO_LARGE;
  }
  if (size > naive->left - naive->prefix) {
    return 0;
  }
  *frame = term_slice(naive->at + naive->prefix, (size_t)size);
  naive->at += naive->prefix + size;
  naive->left -= naive->prefix + (size_t)size;
  return 1;
}

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  struct fuzz_input input = fuzz_input(bytes, size);
  const uint8_t head = fuzz_u8(&input);
  const uint8_t cut = fuzz_u8(&input);
  struct hex stream = fuzz_rest(&input);
  struct heap heap;
  heap_init(&heap);
  struct naive naive = { stream.bytes, stream.size, head % 2 == 0 ? 4 : 2,
                         head / 2 % 2 == 0 ? SIZE_MAX : head };
  struct frame_reader reader;
  frame_reader_init(&reader, &heap.mem, naive.prefix, naive.size_max);
  int rv = 0;
  unsigned turn = 0;
  for (size_t at = 0; at < stream.size && rv >= 0;) {
    const size_t most = cut == 0 ? stream.size : 1u + cut * ++turn % 67u;
    const size_t left = stream.size - at;
    struct hex part = hex_copy(stream.bytes + at, most < left ? most : left);
    struct term_slice rest = term_slice(part.bytes, part.size);
    struct term_slice frame;
    while ((rv = frame_reader_next(&reader, &rest, &frame)) == 1) {
      struct term_slice expected;
      FUZZ_CHECK(naive_next(&naive, &expected) == 1);
      FUZZ_CHECK(term_slice_equal(frame, expected));
      check_frame(frame);
    }
    FUZZ_CHECK(rv < 0 || rest.size == 0);
    at += part.size;
    hex_delete(&part);
  }
  struct term_slice none;
  FUZZ_CHECK(rv == 0 || rv == HOLT_ERR_TOO_LARGE);
  FUZZ_CHECK(naive_next(&naive, &none) == rv);
  FUZZ_CHECK(heap.mem.bytes <= 2 * stream.size + FRAME_KEEP_BYTES);
  frame_reader_deinit(&reader);
  fuzz_heap_end(&heap);
  hex_delete(&stream);
}

/*--------------------------------------------------------------------
 * Seeds: one message of each form, and all of them */

void
fuzz_seeds(fuzz_seed seed)
{
  const struct term_pid from = { term_slice("a@x", 3), 5, 0, 3 };
  const struct term_pid to = { term_slice("b@y", 3), 6, 1, 4 };
  struct heap heap;
  heap_init(&heap);
  struct term_writer all;
  term_writer_init(&all, &heap.mem, 0);
  term_put_u16(&all, 3);
  for (unsigned i = 0; i < CONTROLS_COUNT; i++) {
    struct term_writer one;
    struct term_writer whole;
    term_writer_init(&one, &heap.mem, 0);
    term_writer_init(&whole, &heap.mem, 0);
    controls_put(&one, i, &from, &to);
    term_put_u16(&whole, (uint16_t)i);
    term_put_u32(&whole, (uint32_t)one.size);
    term_put_slice(&whole, term_writer_slice(&one));
    term_put_raw(&all, whole.data + 2, whole.size - 2);
    const char name[] = { 'o', 'p', '-', (char)('a' + i), 0 };
    seed(name, whole.data, whole.size);
    term_writer_deinit(&whole);
    term_writer_deinit(&one);
  }
  seed("all", all.data, all.size);
  term_writer_deinit(&all);
  fuzz_heap_end(&heap);
}
