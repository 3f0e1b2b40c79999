/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {
  [LOG_LEVEL_DEBUG] = "debug",
  [LOG_LEVEL_INFO] = "info",
  [LOG_LEVEL_WARNING] = "warning",
  [LOG_LEVEL_ERROR] = "error",
};

static struct {
  enum log_level level;
  log_sink_fn sink;
  void *user;
  time_t second;     /* The one that count belongs to. */
  unsigned count;    /* Lines in it. */
  uint64_t left_out; /* Lines rationed away, not reported yet. */
} state = { .level = LOG_LEVEL_INFO };

void
log_level_set(enum log_level level)
{
  state.level = level;
}

bool
log_level_parse(const char *name, enum log_level *level)
{
  for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
    if (strcmp(name, level_names[i]) == 0) {
      *level = (enum log_level)i;
      return true;
    }
  }
  return false;
}

void
log_sink_set(log_sink_fn sink, void *user)
{
  state.sink = sink;
  state.user = user;
  state.second = 0;
  state.left_out = 0;
}

/* Nothing below a space, and no DEL; UTF-8 passes, but for the C1 controls. */
static void
make_printable(char *text)
{
  for (unsigned char *at = (unsigned char *)text; *at != 0; at++) {
    if (*at < 0x20 || *at == 0x7f ||
        (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)) {
      *at = '?';
    }
  }
}

static void
write_line(enum log_level level, const struct timespec *now, char *text)
{
  make_printable(text);
  if (state.sink != NULL) {
    state.sink(state.user, level, text);
    return;
  }
  struct tm tm;
  gmtime_r(&now->tv_sec, &tm);
  char stamp[32];
  if (strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
    stamp[0] = 0;
  }
  char line[LOG_LINE_BYTES_MAX + 64];
  const int size =
    snprintf(line, sizeof line, "%s.%03dZ %-7s %s\n", stamp,
             (int)(now->tv_nsec / 1000000), level_names[level], text);
  if (size <= 0) {
    return;
  }
  /* One write, so that lines of several programs do not mix.  Nobody can be
   * told when it fails. */
  const ssize_t written = write(STDERR_FILENO, line, (size_t)size);
  (void)written;
}

/* Whether there is a line left for this second. */
static bool
take_ration(enum log_level level, const struct timespec *now)
{
  if (now->tv_sec != state.second) {
    state.second = now->tv_sec;
    state.count = 0;
    if (state.left_out > 0) {
      char text[64];
      snprintf(text, sizeof text, "%llu lines were left out",
               (unsigned long long)state.left_out);
      state.left_out = 0;
      write_line(LOG_LEVEL_WARNING, now, text);
    }
  }
  if (state.count >= LOG_BURST && level != LOG_LEVEL_ERROR) {
    state.left_out++;
    return false;
  }
  state.count++;
  return true;
}

void
log_write(enum log_level level, const char *format, ...)
{
  if (level < state.level) {
    return;
  }
  struct timespec now = { 0 };
  clock_gettime(CLOCK_REALTIME, &now);
  if (!take_ration(level, &now)) {
    return;
  }
  char text[LOG_LINE_BYTES_MAX];
  va_list arguments;
  va_start(arguments, format);
  const int size = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (size >= 0) {
    write_line(level, &now, text);
  }
}
