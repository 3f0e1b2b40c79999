/* SPDX-License-Identifier: Apache-2.0 */
#include "term.h"

#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "hex.h"

static void
is_hex(const struct term_writer *writer, const char *text)
{
  struct hex hex = hex_new(text);
  CU_ASSERT_EQUAL(writer->error, 0);
  const bool same =
    writer->size == hex.size &&
    (hex.size == 0 || memcmp(writer->data, hex.bytes, hex.size) == 0);
  CU_ASSERT(same);
  if (!same) {
    hex_print("expected", hex.bytes, hex.size);
    hex_print("found", writer->data, writer->size);
  }
  hex_delete(&hex);
}

#define CHECK_PUT(put, text)                                                   \
  do {                                                                         \
    term_writer_clear(&w);                                                     \
    put;                                                                       \
    is_hex(&w, text);                                                          \
  } while (0)

/* As term_to_binary(T, [{minor_version, 2}]) has it. */
static void
put_each_kind(void)
{
  struct heap heap;
  heap_init(&heap);
  struct term_writer w;
  term_writer_init(&w, &heap.mem, 0);
  CHECK_PUT(term_put_atom(&w, "ok"), "77 02 6f6b");
  CHECK_PUT(term_put_atom(&w, ""), "77 00");
  CHECK_PUT(term_put_bool(&w, true), "77 04 74727565");
  CHECK_PUT(term_put_uint(&w, 0), "61 00");
  CHECK_PUT(term_put_uint(&w, 255), "61 ff");
  CHECK_PUT(term_put_uint(&w, 256), "62 00000100");
  CHECK_PUT(term_put_uint(&w, 0x7fffffff), "62 7fffffff");
  CHECK_PUT(term_put_uint(&w, 0x80000000), "6e 04 00 00000080");
  CHECK_PUT(term_put_uint(&w, UINT64_MAX), "6e 08 00 ffffffffffffffff");
  CHECK_PUT(term_put_int(&w, -1), "62 ffffffff");
  CHECK_PUT(term_put_int(&w, INT32_MIN), "62 80000000");
  CHECK_PUT(term_put_int(&w, (int64_t)INT32_MIN - 1), "6e 04 01 01000080");
  CHECK_PUT(term_put_int(&w, INT64_MIN), "6e 08 01 0000000000000080");
  CHECK_PUT(term_put_float(&w, 1.5), "46 3ff8000000000000");
  CHECK_PUT(term_put_binary(&w, "ab", 2), "6d 00000002 6162");
  CHECK_PUT(term_put_text(&w, ""), "6d 00000000");
  CHECK_PUT(term_put_tuple(&w, 2), "68 02");
  CHECK_PUT(term_put_tuple(&w, 256), "69 00000100");
  CHECK_PUT(term_put_list(&w, 3), "6c 00000003");
  CHECK_PUT(term_put_list(&w, 0), "");
  CHECK_PUT(term_put_nil(&w), "6a");
  CHECK_PUT(term_put_map(&w, 1), "74 00000001");
  const struct term_pid pid = { term_slice("a@b", 3), 1, 2, 3 };
  CHECK_PUT(term_put_pid(&w, &pid),
            "58 77 03 614062 00000001 00000002 00000003");
  const uint32_t words[] = { 1, 2, 3 };
  CHECK_PUT(term_put_reference(&w, term_slice("a@b", 3), 9, words, 3),
            "5a 0003 77 03 614062 00000009 00000001 00000002 00000003");
  term_writer_deinit(&w);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

static void
put_atoms_up_to_their_limit(void)
{
  struct heap heap;
  heap_init(&heap);
  struct term_writer w;
  term_writer_init(&w, &heap.mem, 0);
  char name[HOLT_ETF_ATOM_BYTES_MAX + 2];
  memset(name, 'x', sizeof name);
  term_put_atom_bytes(&w, name, 255);
  CU_ASSERT_EQUAL(w.data[0], 119);
  CU_ASSERT_EQUAL(w.size, 257);
  term_writer_clear(&w);
  term_put_atom_bytes(&w, name, 256);
  CU_ASSERT_EQUAL(w.data[0], 118);
  CU_ASSERT_EQUAL(w.size, 259);
  term_put_atom_bytes(&w, name, HOLT_ETF_ATOM_BYTES_MAX + 1);
  CU_ASSERT_EQUAL(w.error, HOLT_ERR_TOO_LARGE);
  term_put_nil(&w);
  CU_ASSERT_EQUAL(w.size, 259);
  term_writer_deinit(&w);
  CU_ASSERT_EQUAL(w.error, 0);
  heap_deinit(&heap);
}

static void
open_and_close(void)
{
  struct heap heap;
  heap_init(&heap);
  struct term_writer w;
  term_writer_init(&w, &heap.mem, 0);
  const size_t outer = term_open_list(&w);
  const size_t empty = term_open_list(&w);
  term_close_list(&w, empty, 0);
  const size_t map = term_open_map(&w);
  term_put_uint(&w, 1);
  term_put_uint(&w, 2);
  term_close_map(&w, map, 1);
  term_close_list(&w, outer, 2);
  is_hex(&w, "6c 00000002 6a 74 00000001 6101 6102 6a");
  CU_ASSERT_EQUAL(holt_etf_check(w.data, w.size), 0);
  term_writer_deinit(&w);
  heap_deinit(&heap);
}

static void
limit_is_inclusive(void)
{
  struct heap heap;
  heap_init(&heap);
  struct term_writer w;
  term_writer_init(&w, &heap.mem, 4);
  term_put_u32(&w, 1);
  CU_ASSERT_EQUAL(w.error, 0);
  term_put_u8(&w, 1);
  CU_ASSERT_EQUAL(w.error, HOLT_ERR_TOO_LARGE);
  CU_ASSERT_EQUAL(w.size, 4);
  term_writer_deinit(&w);
  heap_deinit(&heap);
}

static int
write_much(struct holt_mem *mem, void *arg)
{
  (void)arg;
  struct term_writer w;
  term_writer_init(&w, mem, 0);
  const size_t opened = term_open_list(&w);
  for (uint32_t i = 0; i < 1000; i++) {
    term_put_text(&w, "element");
  }
  term_close_list(&w, opened, 1000);
  const int rv = w.error;
  term_writer_deinit(&w);
  return rv;
}

static void
put_without_memory_is_nomem(void)
{
  CU_ASSERT(heap_fail_each(write_much, NULL, NULL));
}

static void
read_shapes(void)
{
  struct hex hex = hex_new("68 03 77 02 6f6b 6e 08 00 ffffffffffffffff "
                           "6d 00000001 7a");
  struct holt_etf_reader r = term_reader(term_slice(hex.bytes, hex.size));
  uint64_t number = 0;
  int64_t integer = 0;
  struct term_slice bytes = { 0 };
  CU_ASSERT(!term_read_tuple(&r, 2));
  CU_ASSERT(!term_read_atom_is(&r, "ok"));
  CU_ASSERT(term_read_tuple(&r, 3));
  CU_ASSERT(!term_read_atom_is(&r, "o"));
  CU_ASSERT(!term_read_atom_is(&r, "okk"));
  CU_ASSERT(term_read_atom_is(&r, "ok"));
  CU_ASSERT(!term_read_int(&r, &integer));
  CU_ASSERT(term_read_uint(&r, &number));
  CU_ASSERT_EQUAL(number, UINT64_MAX);
  CU_ASSERT(!term_read_end(&r));
  CU_ASSERT(term_read_binary(&r, &bytes));
  CU_ASSERT(term_slice_is(bytes, "z"));
  CU_ASSERT(term_read_end(&r));
  CU_ASSERT(!term_read_nil(&r));
  CU_ASSERT(!term_read_term(&r, &bytes));
  hex_delete(&hex);
}

static void
read_lists_and_maps(void)
{
  struct hex hex = hex_new("6c 00000001 6a 6a 74 00000000 6c 00000000 6a");
  struct holt_etf_reader r = term_reader(term_slice(hex.bytes, hex.size));
  uint32_t count = 9;
  CU_ASSERT(term_read_list(&r, &count));
  CU_ASSERT_EQUAL(count, 1);
  CU_ASSERT(term_read_list(&r, &count));
  CU_ASSERT_EQUAL(count, 0);
  CU_ASSERT(term_read_nil(&r));
  CU_ASSERT(term_read_map(&r, &count));
  CU_ASSERT_EQUAL(count, 0);
  CU_ASSERT(!term_read_list(&r, &count));
  hex_delete(&hex);
}

/* What cannot be had without a doubt is not had: negative numbers as uint, bigs
 * that do not fit, Latin-1 names. */
static void
read_refuses_near_misses(void)
{
  static const char *const not_uint[] = {
    "62 ffffffff",         "6e 01 01 01", "6e 09 00 000000000000000001",
    "46 3ff8000000000000", "77 01 31",
  };
  for (size_t i = 0; i < sizeof not_uint / sizeof *not_uint; i++) {
    struct hex hex = hex_new(not_uint[i]);
    struct holt_etf_reader r = term_reader(term_slice(hex.bytes, hex.size));
    uint64_t value;
    CU_ASSERT(!term_read_uint(&r, &value));
    CU_ASSERT_PTR_EQUAL(r.at, hex.bytes);
    hex_delete(&hex);
  }
  struct hex latin1 = hex_new("64 0001 e9");
  struct term_slice name;
  struct holt_etf_reader r = term_reader(term_slice(latin1.bytes, latin1.size));
  CU_ASSERT(!term_read_atom(&r, &name));
  hex_delete(&latin1);
  struct hex ascii = hex_new("64 0002 6f6b");
  CU_ASSERT(term_is_atom(term_slice(ascii.bytes, ascii.size), "ok"));
  hex_delete(&ascii);
}

static void
read_pids(void)
{
  struct hex hex = hex_new("58 77 03 614062 00000001 00000002 00000003");
  struct term_pid pid;
  CU_ASSERT(term_is_pid(term_slice(hex.bytes, hex.size), &pid));
  CU_ASSERT(term_slice_is(pid.node, "a@b"));
  CU_ASSERT_EQUAL(pid.id, 1);
  CU_ASSERT_EQUAL(pid.serial, 2);
  CU_ASSERT_EQUAL(pid.creation, 3);
  for (size_t size = 0; size < hex.size; size++) {
    struct hex cut = hex_copy(hex.bytes, size);
    CU_ASSERT(!term_is_pid(term_slice(cut.bytes, size), &pid));
    hex_delete(&cut);
  }
  hex_delete(&hex);
}

void test_term_suite(void);

void
test_term_suite(void)
{
  CU_pSuite suite = CU_add_suite("term", NULL, NULL);
  CU_ADD_TEST(suite, put_each_kind);
  CU_ADD_TEST(suite, put_atoms_up_to_their_limit);
  CU_ADD_TEST(suite, open_and_close);
  CU_ADD_TEST(suite, limit_is_inclusive);
  CU_ADD_TEST(suite, put_without_memory_is_nomem);
  CU_ADD_TEST(suite, read_shapes);
  CU_ADD_TEST(suite, read_lists_and_maps);
  CU_ADD_TEST(suite, read_refuses_near_misses);
  CU_ADD_TEST(suite, read_pids);
}
