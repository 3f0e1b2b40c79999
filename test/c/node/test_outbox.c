/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "prng.h"

static int
put_text(struct outbox *outbox, const char *text)
{
  return outbox_put(outbox, term_slice(text, strlen(text)), NULL, 0);
}

static void
parts_become_one_piece(void)
{
  struct heap heap;
  heap_init(&heap);
  struct outbox outbox;
  outbox_init(&outbox, &heap.mem);
  CU_ASSERT_EQUAL(outbox_peek(&outbox, NULL, 0), 0);
  const struct term_slice parts[] = {
    { (const uint8_t *)"cd", 2 },
    { NULL, 0 },
    { (const uint8_t *)"e", 1 },
  };
  CU_ASSERT_EQUAL(outbox_put(&outbox, term_slice("ab", 2), parts, 3), 0);
  CU_ASSERT_EQUAL(put_text(&outbox, "fg"), 0);
  CU_ASSERT_EQUAL(put_text(&outbox, ""), 0);
  CU_ASSERT_EQUAL(outbox.size, 7);
  struct term_slice pieces[2];
  CU_ASSERT_EQUAL(outbox_peek(&outbox, pieces, 2), 1);
  CU_ASSERT(term_slice_is(pieces[0], "abcdefg"));
  outbox_written(&outbox, 3);
  CU_ASSERT_EQUAL(outbox_peek(&outbox, pieces, 2), 1);
  CU_ASSERT(term_slice_is(pieces[0], "defg"));
  outbox_written(&outbox, 4);
  CU_ASSERT_EQUAL(outbox.size, 0);
  CU_ASSERT_EQUAL(heap.mem.bytes, 0);
  outbox_deinit(&outbox);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* What is being written stays in its place, whatever is put behind it. */
static void
blocks_do_not_move(void)
{
  struct heap heap;
  heap_init(&heap);
  struct outbox outbox;
  outbox_init(&outbox, &heap.mem);
  put_text(&outbox, "first");
  struct term_slice before;
  struct term_slice after;
  outbox_peek(&outbox, &before, 1);
  for (unsigned i = 0; i < 10000; i++) {
    put_text(&outbox, "and many more");
  }
  outbox_peek(&outbox, &after, 1);
  CU_ASSERT_PTR_EQUAL(before.bytes, after.bytes);
  outbox_deinit(&outbox);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* A stream of random frames, written in random steps, comes out as it went
 * in. */
static void
order_is_kept(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct heap heap;
  heap_init(&heap);
  struct outbox outbox;
  outbox_init(&outbox, &heap.mem);
  static uint8_t frame[40000];
  uint8_t in = 0;
  uint8_t out = 0;
  bool same = true;
  size_t size = 0;
  for (unsigned i = 0; i < 2000; i++) {
    const size_t put = prng_chance(&prng, 1, 20)
                         ? prng_below(&prng, sizeof frame)
                         : prng_below(&prng, 100);
    for (size_t at = 0; at < put; at++) {
      frame[at] = in++;
    }
    CU_ASSERT_EQUAL(outbox_put(&outbox, term_slice(frame, put), NULL, 0), 0);
    size += put;
    struct term_slice pieces[3];
    const size_t count = outbox_peek(&outbox, pieces, 3);
    size_t waiting = 0;
    for (size_t piece = 0; piece < count; piece++) {
      waiting += pieces[piece].size;
    }
    const size_t write = prng_below(&prng, waiting + 1);
    size_t left = write;
    for (size_t piece = 0; piece < count; piece++) {
      for (size_t at = 0; at < pieces[piece].size && left > 0; at++, left--) {
        same = same && pieces[piece].bytes[at] == out++;
      }
    }
    outbox_written(&outbox, write);
    size -= write;
    same = same && size == outbox.size;
  }
  CU_ASSERT(same);
  if (!same) {
    fprintf(stderr, "SEED=%llu\n", (unsigned long long)seed);
  }
  outbox_deinit(&outbox);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

static int
put_many(struct holt_mem *mem, void *arg)
{
  (void)arg;
  struct outbox outbox;
  outbox_init(&outbox, mem);
  int rv = 0;
  for (unsigned i = 0; i < 5000 && rv == 0; i++) {
    const size_t before = outbox.size;
    rv = put_text(&outbox, "twelve bytes");
    if (rv != 0) {
      CU_ASSERT_EQUAL(outbox.size, before);
    }
  }
  outbox_deinit(&outbox);
  return rv;
}

static void
put_is_all_or_nothing(void)
{
  CU_ASSERT(heap_fail_each(put_many, NULL, NULL));
}

void test_outbox_suite(void);

void
test_outbox_suite(void)
{
  CU_pSuite suite = CU_add_suite("outbox", NULL, NULL);
  CU_ADD_TEST(suite, parts_become_one_piece);
  CU_ADD_TEST(suite, blocks_do_not_move);
  CU_ADD_TEST(suite, order_is_kept);
  CU_ADD_TEST(suite, put_is_all_or_nothing);
}
