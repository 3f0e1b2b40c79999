/* SPDX-License-Identifier: Apache-2.0 */
/* Option values: is this text one, and where does it go?
 *
 * Checking is apart from setting, so that the reader of the file can complain
 * while it still knows the line.
 */
#ifndef HOLT_NODE_OPTION_VALUE_H
#define HOLT_NODE_OPTION_VALUE_H

#include <stdbool.h>

#include "options.h"

enum option_id {
  OPTION_NAME,
  OPTION_SNAME,
  OPTION_COOKIE_FILE,
  OPTION_LISTEN,
  OPTION_NET_TICKTIME_S,
  OPTION_LOG_LEVEL,
  OPTION_INSTANCE,
  OPTION_KEYS,   /* Of an instance. */
  OPTION_OPTION, /* NAME=VALUE of an instance of the command line. */
  OPTION_PEER
};

/* NULL, or what is wrong with the value. */
const char *option_check(enum option_id option, const char *value);

/* Take a value that has been checked; what is an instance's is that of the last
 * one.  NULL, or what went wrong. */
const char *option_set(struct options *options, enum option_id option,
                       const char *value);

/* A limit or an interval of instances, by the name that it has in Erlang; so
 * have the numbers that are allowed. */
struct option_tuning {
  const char *name;
  bool is_size; /* Bytes, a size_t; otherwise milliseconds, a uint64_t. */
  size_t offset;
  int64_t max; /* The least is 1. */
  const char *wanted;
};

#define OPTION_TUNINGS 11u
extern const struct option_tuning option_tunings[OPTION_TUNINGS];

const struct option_tuning *option_tuning_find(const char *name);

void option_tuning_set(struct holt_tuning *tuning,
                       const struct option_tuning *option, uint64_t value);

#endif /* HOLT_NODE_OPTION_VALUE_H */
