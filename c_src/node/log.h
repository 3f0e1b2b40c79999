/* SPDX-License-Identifier: Apache-2.0 */
/* Log: how does the daemon tell what happens to it?
 *
 * In lines on standard error, one per event, for whoever keeps the logs of this
 * machine:
 *
 *     <time in UTC>            <level>  <text>
 *     2024-11-21T12:52:03.117Z warning  node b@host refused: wrong cookie
 *
 * A line is written at once and as a whole.  What a peer sent may be part of
 * the text; bytes that would break the line, or steer a terminal, come out as
 * '?'.  A line that is too long is cut.
 *
 * A stranger can make us log, so lines are rationed: beyond LOG_BURST lines in
 * one second the rest of them is counted, and the number logged when the second
 * is over and there is something to say again.  Errors are never left out.
 *
 * Cost:    one formatting and one write(2) for a line that is wanted, a
 *          comparison for one that is not.
 * Memory:  none beyond a line on the stack.
 * Threads: for one thread: that of the loop.
 */
#ifndef HOLT_NODE_LOG_H
#define HOLT_NODE_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* Longer lines are cut. */
#define LOG_LINE_BYTES_MAX 1024u

/* Lines a second before they are rationed. */
#define LOG_BURST 200u

enum log_level {
  LOG_LEVEL_DEBUG,   /* Each connection, each retry. */
  LOG_LEVEL_INFO,    /* Nodes come and go. */
  LOG_LEVEL_WARNING, /* Somebody has to look at this some day. */
  LOG_LEVEL_ERROR    /* Something does not work. */
};

/* Leave out what is below level.  LOG_LEVEL_INFO at first. */
void log_level_set(enum log_level level);

/* The level of this name ("debug", "info", "warning", "error"); false if there
 * is none. */
bool log_level_parse(const char *name, enum log_level *level);

/* Hand lines, without the newline, to sink instead of standard error; NULL:
 * back to that.  For tests. */
typedef void (*log_sink_fn)(void *user, enum log_level level, const char *line);
void log_sink_set(log_sink_fn sink, void *user);

void log_write(enum log_level level, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif /* HOLT_NODE_LOG_H */
