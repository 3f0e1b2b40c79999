/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "hex.h"
#include "prng.h"

/* Terms that appear in the frames below. */
#define FROM "58 77 03 614062 00000001 00000000 00000007"
#define TO "58 77 03 634064 00000002 00000000 00000008"
#define REF "5a 0003 77 03 614062 00000007 00000001 00000002 00000003"
#define NAME "77 04 6563686f"
#define HI "77 02 6869"
#define BEGIN "70 83 68 "
#define PAYLOAD " 83 " HI

static void
is_hex(struct term_slice slice, const char *text)
{
  struct hex hex = hex_new(text);
  CU_ASSERT(term_slice_equal(slice, term_slice(hex.bytes, hex.size)));
  hex_delete(&hex);
}

struct sample {
  const char *frame;
  enum control_op op;
  const char *from;
  const char *to;
  const char *ref;
  const char *id;
  const char *reason;
  const char *payload;
};

static const struct sample samples[] = {
  { BEGIN "03 6101" FROM TO, CONTROL_LINK, FROM, TO, "", "", "", "" },
  { BEGIN "03 6102 7700" TO PAYLOAD, CONTROL_SEND, "", TO, "", "", "", HI },
  { BEGIN "04 6103" FROM TO HI, CONTROL_EXIT, FROM, TO, "", "", HI, "" },
  { BEGIN "03 6104" FROM TO, CONTROL_UNLINK, FROM, TO, "", "", "", "" },
  { BEGIN "04 6106" FROM "7700" NAME PAYLOAD, CONTROL_REG_SEND, FROM, NAME, "",
    "", "", HI },
  { BEGIN "03 6107" FROM TO, CONTROL_GROUP_LEADER, FROM, TO, "", "", "", "" },
  { BEGIN "04 6108" FROM TO HI, CONTROL_EXIT2, FROM, TO, "", "", HI, "" },
  { BEGIN "04 610c 7700" TO HI PAYLOAD, CONTROL_SEND, "", TO, "", "", "", HI },
  { BEGIN "05 610d" FROM TO "6a" HI, CONTROL_EXIT, FROM, TO, "", "", HI, "" },
  { BEGIN "05 6110" FROM "7700" NAME "6a" PAYLOAD, CONTROL_REG_SEND, FROM, NAME,
    "", "", "", HI },
  { BEGIN "05 6112" FROM TO "6a" HI, CONTROL_EXIT2, FROM, TO, "", "", HI, "" },
  { BEGIN "04 6113" FROM TO REF, CONTROL_MONITOR, FROM, TO, REF, "", "", "" },
  { BEGIN "04 6113" FROM NAME REF, CONTROL_MONITOR, FROM, NAME, REF, "", "",
    "" },
  { BEGIN "04 6114" FROM NAME REF, CONTROL_DEMONITOR, FROM, NAME, REF, "", "",
    "" },
  { BEGIN "05 6115" NAME TO REF HI, CONTROL_MONITOR_EXIT, NAME, TO, REF, "", HI,
    "" },
  { BEGIN "03 6116" FROM TO PAYLOAD, CONTROL_SEND, FROM, TO, "", "", "", HI },
  { BEGIN "04 6117" FROM TO "6a" PAYLOAD, CONTROL_SEND, FROM, TO, "", "", "",
    HI },
  { BEGIN "03 6118" FROM TO PAYLOAD, CONTROL_EXIT, FROM, TO, "", "", HI, "" },
  { BEGIN "04 6119" FROM TO "6a" PAYLOAD, CONTROL_EXIT, FROM, TO, "", "", HI,
    "" },
  { BEGIN "03 611a" FROM TO PAYLOAD, CONTROL_EXIT2, FROM, TO, "", "", HI, "" },
  { BEGIN "04 611b" FROM TO "6a" PAYLOAD, CONTROL_EXIT2, FROM, TO, "", "", HI,
    "" },
  { BEGIN "04 611c" FROM TO REF PAYLOAD, CONTROL_MONITOR_EXIT, FROM, TO, REF,
    "", HI, "" },
  { BEGIN "03 6121" FROM REF PAYLOAD, CONTROL_ALIAS_SEND, FROM, "", REF, "", "",
    HI },
  { BEGIN "04 6122" FROM REF "6a" PAYLOAD, CONTROL_ALIAS_SEND, FROM, "", REF,
    "", "", HI },
  { BEGIN "04 6123 6105" FROM TO, CONTROL_UNLINK_ID, FROM, TO, "", "6105", "",
    "" },
  { BEGIN "04 6124 6e 08 00 ffffffffffffffff" FROM TO, CONTROL_UNLINK_ID_ACK,
    FROM, TO, "", "6e 08 00 ffffffffffffffff", "", "" },
};

#define SAMPLES (sizeof samples / sizeof *samples)

static void
read_each_operation(void)
{
  for (size_t i = 0; i < SAMPLES; i++) {
    struct hex hex = hex_new(samples[i].frame);
    struct control control;
    const int rv = control_read(term_slice(hex.bytes, hex.size), &control);
    CU_ASSERT_EQUAL(rv, 0);
    if (rv != 0) {
      hex_print("refused", hex.bytes, hex.size);
    }
    CU_ASSERT_EQUAL(control.op, samples[i].op);
    is_hex(control.from, samples[i].from);
    is_hex(control.to, samples[i].to);
    is_hex(control.ref, samples[i].ref);
    is_hex(control.id, samples[i].id);
    is_hex(control.reason, samples[i].reason);
    is_hex(control.payload, samples[i].payload);
    hex_delete(&hex);
  }
}

/* Every frame that ends early is refused, and so is one with a byte more. */
static void
read_is_exact(void)
{
  for (size_t i = 0; i < SAMPLES; i++) {
    struct hex hex = hex_new(samples[i].frame);
    struct control control;
    for (size_t size = 0; size < hex.size; size++) {
      struct hex cut = hex_copy(hex.bytes, size);
      CU_ASSERT_NOT_EQUAL(control_read(term_slice(cut.bytes, size), &control),
                          0);
      hex_delete(&cut);
    }
    uint8_t *more = malloc(hex.size + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(more);
    memcpy(more, hex.bytes, hex.size);
    more[hex.size] = 106;
    CU_ASSERT_EQUAL(control_read(term_slice(more, hex.size + 1), &control),
                    HOLT_ERR_MALFORMED);
    free(more);
    hex_delete(&hex);
  }
}

static void
read_refuses(void)
{
  static const struct {
    const char *frame;
    int error;
  } bad[] = {
    { "83 68 03 6101" FROM TO, HOLT_ERR_UNSUPPORTED },
    { "83 44 00", HOLT_ERR_UNSUPPORTED },
    { "70 82 68 03 6101" FROM TO, HOLT_ERR_MALFORMED },
    { "70 83 77 00", HOLT_ERR_MALFORMED },
    { BEGIN "00", HOLT_ERR_MALFORMED },
    { BEGIN "01 77 01 61", HOLT_ERR_MALFORMED },
    { BEGIN "01 62 ffffffff", HOLT_ERR_MALFORMED },
    { BEGIN "01 6105", HOLT_ERR_UNSUPPORTED },
    { BEGIN "06 611d" REF FROM FROM "6a 6a" PAYLOAD, HOLT_ERR_UNSUPPORTED },
    { BEGIN "02 61ff 6a", HOLT_ERR_UNSUPPORTED },
    { BEGIN "02 6e 08 00 0100000000000001 6a", HOLT_ERR_UNSUPPORTED },
    { BEGIN "02 6101" FROM, HOLT_ERR_MALFORMED },
    { BEGIN "04 6101" FROM TO TO, HOLT_ERR_MALFORMED },
    { BEGIN "03 6101" NAME TO, HOLT_ERR_MALFORMED },
    { BEGIN "03 6101" FROM NAME, HOLT_ERR_MALFORMED },
    { BEGIN "03 6101" FROM TO PAYLOAD, HOLT_ERR_MALFORMED },
    { BEGIN "03 6102 7700" TO, HOLT_ERR_MALFORMED },
    { BEGIN "03 6102 7700" TO " 83", HOLT_ERR_MALFORMED },
    { BEGIN "03 6102 7700" TO " " HI, HOLT_ERR_MALFORMED },
    { BEGIN "04 6106" FROM "7700" TO PAYLOAD, HOLT_ERR_MALFORMED },
    { BEGIN "04 6106" FROM "7700 64 0001 e9" PAYLOAD, HOLT_ERR_MALFORMED },
    { BEGIN "04 6113" FROM TO FROM, HOLT_ERR_MALFORMED },
    { BEGIN "04 6113" FROM REF REF, HOLT_ERR_MALFORMED },
    { BEGIN "04 6123 7700" FROM TO, HOLT_ERR_MALFORMED },
    /* An op of our own making: a huge tuple. */
    { "70 83 69 ffffffff 6101", HOLT_ERR_MALFORMED },
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct hex hex = hex_new(bad[i].frame);
    struct control control;
    const int rv = control_read(term_slice(hex.bytes, hex.size), &control);
    CU_ASSERT_EQUAL(rv, bad[i].error);
    if (rv != bad[i].error) {
      fprintf(stderr, "%d for %s\n", rv, bad[i].frame);
    }
    hex_delete(&hex);
  }
}

/* Hurt frames are refused or taken, but never read beyond their end. */
static void
read_survives_hurt_frames(void)
{
  struct prng prng;
  prng_init(&prng, prng_seed());
  for (unsigned i = 0; i < 20000; i++) {
    struct hex hex = hex_new(samples[prng_below(&prng, SAMPLES)].frame);
    const uint64_t wounds = 1 + prng_below(&prng, 4);
    for (uint64_t wound = 0; wound < wounds; wound++) {
      hex.bytes[prng_below(&prng, hex.size)] = (uint8_t)prng_next(&prng);
    }
    struct hex cut = hex_copy(hex.bytes, prng_below(&prng, hex.size + 1));
    struct control control;
    (void)control_read(term_slice(cut.bytes, cut.size), &control);
    (void)control_read(term_slice(hex.bytes, hex.size), &control);
    hex_delete(&cut);
    hex_delete(&hex);
  }
}

static void
put_what_read_reads(void)
{
  struct heap heap;
  heap_init(&heap);
  struct term_writer w;
  term_writer_init(&w, &heap.mem, 0);
  struct hex from = hex_new(FROM);
  struct hex name = hex_new(NAME);
  const struct term_slice elements[] = {
    { from.bytes, from.size },
    { (const uint8_t *)"\x77", 2 },
    { name.bytes, name.size },
  };
  control_put(&w, CONTROL_REG_SEND, elements, 3);
  control_put_payload(&w);
  CU_ASSERT_EQUAL(control_finish(&w, 4), 0);
  term_put_atom(&w, "hi");
  struct hex expected =
    hex_new("00000025" BEGIN "04 6106" FROM "7700" NAME PAYLOAD);
  CU_ASSERT_EQUAL(expected.bytes[3], expected.size - 4);
  CU_ASSERT(term_slice_equal(term_writer_slice(&w),
                             term_slice(expected.bytes, expected.size)));
  term_writer_clear(&w);
  control_put(&w, CONTROL_LINK, NULL, 0);
  CU_ASSERT_EQUAL(control_finish(&w, UINT32_MAX), HOLT_ERR_TOO_LARGE);
  hex_delete(&expected);
  hex_delete(&name);
  hex_delete(&from);
  term_writer_deinit(&w);
  heap_deinit(&heap);
}

static void
alias_in_both_forms(void)
{
  static const struct {
    const char *tag;
    bool alias;
  } tags[] = {
    { "6c 00000001 77 05 616c696173" REF, true },
    { "6c 00000001 6c 00000001 77 05 616c696173" REF REF, true },
    { "6c 00000001 6c 00000001 77 05 616c696173" REF "6a", true },
    { REF, false },
    { "6a", false },
    { "6c 00000001 77 05 616c696173 6a", false },
    { "6c 00000001 77 05 616c696174" REF, false },
    { "6c 00000002 77 05 616c696173 6a" REF, false },
    { "6c 00000001 6c 00000001 6c 00000001 77 05 616c696173" REF REF REF,
      false },
  };
  for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
    struct hex hex = hex_new(tags[i].tag);
    struct term_slice ref = { 0 };
    CU_ASSERT_EQUAL(control_alias(term_slice(hex.bytes, hex.size), &ref),
                    tags[i].alias);
    if (tags[i].alias) {
      is_hex(ref, REF);
    }
    hex_delete(&hex);
  }
}

void test_control_suite(void);

void
test_control_suite(void)
{
  CU_pSuite suite = CU_add_suite("control", NULL, NULL);
  CU_ADD_TEST(suite, read_each_operation);
  CU_ADD_TEST(suite, read_is_exact);
  CU_ADD_TEST(suite, read_refuses);
  CU_ADD_TEST(suite, read_survives_hurt_frames);
  CU_ADD_TEST(suite, put_what_read_reads);
  CU_ADD_TEST(suite, alias_in_both_forms);
}
