/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "hex.h"

/* Feed bytes in pieces of the given size, each in a block of its own; what
 * comes out is put behind each other, with '|' after each frame. */
static int
feed(struct frame_reader *reader, const uint8_t *bytes, size_t size,
     size_t piece, char *out, size_t out_max)
{
  size_t out_size = 0;
  for (size_t at = 0; at < size; at += piece) {
    const size_t left = size - at < piece ? size - at : piece;
    struct hex copy = hex_copy(bytes + at, left);
    struct term_slice input = term_slice(copy.bytes, left);
    struct term_slice frame;
    int rv;
    while ((rv = frame_reader_next(reader, &input, &frame)) == 1) {
      if (out_size + frame.size + 2 > out_max) {
        CU_FAIL("too much comes out");
        break;
      }
      if (frame.size > 0) {
        memcpy(out + out_size, frame.bytes, frame.size);
      }
      out_size += frame.size;
      out[out_size++] = '|';
    }
    hex_delete(&copy);
    if (rv < 0) {
      return rv;
    }
  }
  out[out_size] = 0;
  return 0;
}

static const char stream[] = "\0\0\0\3abc\0\0\0\0\0\0\0\1d\0\0\0\5efghi";

static int
all_pieces(struct holt_mem *mem, void *arg)
{
  (void)arg;
  for (size_t piece = 1; piece <= sizeof stream; piece++) {
    char out[64];
    struct frame_reader reader;
    frame_reader_init(&reader, mem, 4, 5);
    const int rv = feed(&reader, (const uint8_t *)stream, sizeof stream - 1,
                        piece, out, sizeof out);
    frame_reader_deinit(&reader);
    if (rv != 0) {
      return rv;
    }
    CU_ASSERT_STRING_EQUAL(out, "abc||d|efghi|");
  }
  return 0;
}

/* However the stream is cut, the frames are the same. */
static void
frames_do_not_depend_on_pieces(void)
{
  CU_ASSERT(heap_fail_each(all_pieces, NULL, NULL));
}

static void
a_frame_in_one_piece_is_not_copied(void)
{
  struct heap heap;
  heap_init(&heap);
  struct frame_reader reader;
  frame_reader_init(&reader, &heap.mem, 4, 100);
  struct term_slice input = term_slice(stream, sizeof stream - 1);
  struct term_slice frame;
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 1);
  CU_ASSERT_PTR_EQUAL(frame.bytes, stream + 4);
  CU_ASSERT_EQUAL(heap.requests, 0);
  frame_reader_deinit(&reader);
  heap_deinit(&heap);
}

static void
too_large_is_seen_in_the_length(void)
{
  struct heap heap;
  heap_init(&heap);
  struct frame_reader reader;
  frame_reader_init(&reader, &heap.mem, 4, 4);
  struct term_slice input = term_slice("\0\0\0\4abcd\0\0\0\5", 12);
  struct term_slice frame;
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 1);
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame),
                  HOLT_ERR_TOO_LARGE);
  frame_reader_deinit(&reader);
  heap_deinit(&heap);
}

/* Promises cost nothing: memory follows what has arrived. */
static void
memory_follows_what_arrived(void)
{
  struct heap heap;
  heap_init(&heap);
  struct frame_reader reader;
  frame_reader_init(&reader, &heap.mem, 4, UINT32_MAX);
  struct term_slice frame;
  struct term_slice input = term_slice("\x40\0\0\0abc", 7);
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 0);
  CU_ASSERT(heap.mem.bytes <= 256);
  size_t arrived = 3;
  static const uint8_t block[3000];
  while (arrived < 1000000) {
    input = term_slice(block, sizeof block);
    CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 0);
    arrived += sizeof block;
    CU_ASSERT(heap.mem.bytes <= 2 * arrived);
  }
  frame_reader_deinit(&reader);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* The block of a large frame is given back when the next one begins. */
static void
large_blocks_are_given_back(void)
{
  struct heap heap;
  heap_init(&heap);
  struct frame_reader reader;
  frame_reader_init(&reader, &heap.mem, 4, UINT32_MAX);
  static uint8_t bytes[4 + 100000] = { 0, 1, 0x86, 0xa0 };
  struct term_slice frame;
  struct term_slice input = term_slice(bytes, 50000);
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 0);
  input = term_slice(bytes + 50000, sizeof bytes - 50000);
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 1);
  CU_ASSERT_EQUAL(frame.size, 100000);
  CU_ASSERT(heap.mem.bytes >= 100000);
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 0);
  CU_ASSERT_EQUAL(heap.mem.bytes, 0);
  frame_reader_deinit(&reader);
  heap_deinit(&heap);
}

/* The handshake ends within what was read at once. */
static void
the_form_changes_between_frames(void)
{
  struct heap heap;
  heap_init(&heap);
  struct frame_reader reader;
  frame_reader_init(&reader, &heap.mem, 2, 10);
  struct term_slice input = term_slice("\0\2ok\0\0\0\1z", 9);
  struct term_slice frame;
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 1);
  CU_ASSERT(term_slice_is(frame, "ok"));
  frame_reader_change(&reader, 4, 1000);
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 1);
  CU_ASSERT(term_slice_is(frame, "z"));
  CU_ASSERT_EQUAL(frame_reader_next(&reader, &input, &frame), 0);
  frame_reader_deinit(&reader);
  heap_deinit(&heap);
}

void test_frame_suite(void);

void
test_frame_suite(void)
{
  CU_pSuite suite = CU_add_suite("frame", NULL, NULL);
  CU_ADD_TEST(suite, frames_do_not_depend_on_pieces);
  CU_ADD_TEST(suite, a_frame_in_one_piece_is_not_copied);
  CU_ADD_TEST(suite, too_large_is_seen_in_the_length);
  CU_ADD_TEST(suite, memory_follows_what_arrived);
  CU_ADD_TEST(suite, large_blocks_are_given_back);
  CU_ADD_TEST(suite, the_form_changes_between_frames);
}
