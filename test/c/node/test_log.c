/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdio.h>
#include <string.h>

#include <CUnit/CUnit.h>

struct lines {
  unsigned count;
  enum log_level level;
  char last[2 * LOG_LINE_BYTES_MAX];
};

static void
keep(void *user, enum log_level level, const char *line)
{
  struct lines *lines = user;
  lines->count++;
  lines->level = level;
  snprintf(lines->last, sizeof lines->last, "%s", line);
}

static void
lines_below_the_level_are_left_out(void)
{
  struct lines lines = { 0 };
  log_sink_set(keep, &lines);
  log_debug("no");
  CU_ASSERT_EQUAL(lines.count, 0);
  log_info("%s %d", "yes", 1);
  CU_ASSERT_EQUAL(lines.count, 1);
  CU_ASSERT_STRING_EQUAL(lines.last, "yes 1");
  CU_ASSERT_EQUAL(lines.level, LOG_LEVEL_INFO);
  log_level_set(LOG_LEVEL_ERROR);
  log_warning("no");
  CU_ASSERT_EQUAL(lines.count, 1);
  log_level_set(LOG_LEVEL_INFO);
  log_sink_set(NULL, NULL);
}

static void
levels_have_names(void)
{
  enum log_level level = LOG_LEVEL_INFO;
  CU_ASSERT(log_level_parse("debug", &level));
  CU_ASSERT_EQUAL(level, LOG_LEVEL_DEBUG);
  CU_ASSERT(log_level_parse("error", &level));
  CU_ASSERT_EQUAL(level, LOG_LEVEL_ERROR);
  CU_ASSERT(!log_level_parse("loud", &level));
  CU_ASSERT_EQUAL(level, LOG_LEVEL_ERROR);
}

/* What a stranger sends cannot forge a second line or steer a terminal. */
static void
lines_are_printable(void)
{
  struct lines lines = { 0 };
  log_sink_set(keep, &lines);
  log_info("a\nb\x1b[2Jc\x7f\xc2\x9bz \xc3\xa9");
  CU_ASSERT_STRING_EQUAL(lines.last, "a?b?[2Jc??\x9bz \xc3\xa9");
  log_sink_set(NULL, NULL);
}

static void
lines_are_cut(void)
{
  struct lines lines = { 0 };
  log_sink_set(keep, &lines);
  char text[3 * LOG_LINE_BYTES_MAX];
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = 0;
  log_info("%s", text);
  CU_ASSERT_EQUAL(strlen(lines.last), LOG_LINE_BYTES_MAX - 1);
  log_sink_set(NULL, NULL);
}

/* Within one second at most LOG_BURST lines, but every error.  The second may
 * change in between, twice at most here. */
static void
lines_are_rationed(void)
{
  struct lines lines = { 0 };
  log_sink_set(keep, &lines);
  for (unsigned i = 0; i < 100 * LOG_BURST; i++) {
    log_info("flood");
  }
  CU_ASSERT(lines.count >= LOG_BURST);
  CU_ASSERT(lines.count < 10 * LOG_BURST);
  const unsigned before = lines.count;
  log_error("heard");
  CU_ASSERT(lines.count > before);
  CU_ASSERT_STRING_EQUAL(lines.last, "heard");
  log_sink_set(NULL, NULL);
}

void test_log_suite(void);

void
test_log_suite(void)
{
  CU_pSuite suite = CU_add_suite("log", NULL, NULL);
  CU_ADD_TEST(suite, lines_below_the_level_are_left_out);
  CU_ADD_TEST(suite, levels_have_names);
  CU_ADD_TEST(suite, lines_are_printable);
  CU_ADD_TEST(suite, lines_are_cut);
  CU_ADD_TEST(suite, lines_are_rationed);
}
