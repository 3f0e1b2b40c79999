/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "roll.h"

static void
put_member(struct term_writer *writer, char node)
{
  const char name[] = { node, '@', 'h', 0 };
  term_put_tuple(writer, 2);
  term_put_atom(writer, "names");
  term_put_atom(writer, name);
}

/* Of the members a@h, b@h ... those whose letter is in the text are in; one
 * that is large is out. */
static void
put_roll(struct term_writer *writer, uint64_t ms, const char *mode,
         const char *marks)
{
  term_writer_clear(writer);
  term_put_tuple(writer, 2);
  term_put_tuple(writer, 2);
  term_put_tuple(writer, 2);
  term_put_uint(writer, ms);
  put_member(writer, 'z');
  term_put_atom(writer, mode);
  term_put_list(writer, (uint32_t)strlen(marks));
  for (const char *at = marks; *at != '\0'; at++) {
    term_put_tuple(writer, 3);
    put_member(writer, (char)(*at | 0x20));
    term_put_tuple(writer, 2);
    term_put_uint(writer, ms);
    put_member(writer, 'z');
    term_put_bool(writer, *at >= 'a');
  }
  term_put_nil(writer);
}

static bool
has(const struct roll *roll, char node)
{
  const char name[] = { node, '@', 'h', 0 };
  const struct holt_member member = { .name = (const uint8_t *)"names",
                                      .node = (const uint8_t *)name,
                                      .name_size = 5,
                                      .node_size = 3 };
  return roll_has(roll, &member);
}

static enum roll_news
take(struct roll *roll, struct term_writer *writer, uint64_t ms,
     const char *mode, const char *marks)
{
  put_roll(writer, ms, mode, marks);
  return roll_take(roll, term_writer_slice(writer));
}

/* What is older changes nothing. */
static void
the_latest_counts(void)
{
  struct heap heap;
  struct roll roll;
  struct term_writer writer;
  heap_init(&heap);
  roll_init(&roll, &heap.mem);
  term_writer_init(&writer, &heap.mem, 0);
  CU_ASSERT(has(&roll, 'a'));
  CU_ASSERT_EQUAL(roll_term(&roll).size, 0);
  CU_ASSERT_EQUAL(take(&roll, &writer, 5, "list", "abC"), ROLL_NEW);
  CU_ASSERT(has(&roll, 'a') && has(&roll, 'b'));
  CU_ASSERT(!has(&roll, 'c') && !has(&roll, 'd'));
  CU_ASSERT_EQUAL(take(&roll, &writer, 5, "list", "abC"), ROLL_KNOWN);
  CU_ASSERT_EQUAL(take(&roll, &writer, 4, "list", "abcd"), ROLL_OLD);
  CU_ASSERT(!has(&roll, 'c'));
  CU_ASSERT_EQUAL(take(&roll, &writer, 5, "list", "aBC"), ROLL_NEW);
  CU_ASSERT(has(&roll, 'a') && !has(&roll, 'b'));
  CU_ASSERT_EQUAL(take(&roll, &writer, 6, "auto", "aBC"), ROLL_NEW);
  CU_ASSERT(has(&roll, 'b') && has(&roll, 'd'));
  CU_ASSERT_EQUAL(take(&roll, &writer, 7, "list", ""), ROLL_NEW);
  CU_ASSERT(!has(&roll, 'a'));
  CU_ASSERT(term_slice_equal(roll_term(&roll), term_writer_slice(&writer)));
  term_writer_deinit(&writer);
  roll_deinit(&roll);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

/* Every beginning of one is none, and neither is one that is changed. */
static void
others_are_none(void)
{
  struct heap heap;
  struct roll roll;
  struct term_writer writer;
  heap_init(&heap);
  roll_init(&roll, &heap.mem);
  term_writer_init(&writer, &heap.mem, 0);
  CU_ASSERT_EQUAL(take(&roll, &writer, 1, "some", "ab"), ROLL_WRONG);
  put_roll(&writer, 1, "list", "ab");
  for (size_t size = 0; size < writer.size; size++) {
    CU_ASSERT_EQUAL(roll_take(&roll, term_slice(writer.data, size)),
                    ROLL_WRONG);
  }
  term_put_nil(&writer);
  CU_ASSERT_EQUAL(roll_take(&roll, term_writer_slice(&writer)), ROLL_WRONG);
  char many[ROLL_MARKS_MAX + 2];
  memset(many, 'a', sizeof many);
  many[ROLL_MARKS_MAX + 1] = '\0';
  CU_ASSERT_EQUAL(take(&roll, &writer, 1, "list", many), ROLL_WRONG);
  many[ROLL_MARKS_MAX] = '\0';
  CU_ASSERT_EQUAL(take(&roll, &writer, 1, "list", many), ROLL_NEW);
  /* No memory: it is as it was. */
  put_roll(&writer, 2, "list", "b");
  heap.fail_at = heap.requests + 1;
  CU_ASSERT_EQUAL(roll_take(&roll, term_writer_slice(&writer)), ROLL_WRONG);
  heap.fail_at = 0;
  CU_ASSERT(has(&roll, 'a') && !has(&roll, 'b'));
  term_writer_deinit(&writer);
  roll_deinit(&roll);
  CU_ASSERT(heap_is_clean(&heap));
  heap_deinit(&heap);
}

void test_roll_suite(void);

void
test_roll_suite(void)
{
  CU_pSuite suite = CU_add_suite("roll", NULL, NULL);
  CU_ADD_TEST(suite, the_latest_counts);
  CU_ADD_TEST(suite, others_are_none);
}
