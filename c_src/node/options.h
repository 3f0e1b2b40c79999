/* SPDX-License-Identifier: Apache-2.0 */
/* Options: what was the daemon told to do?
 *
 * By its command line and by one file, in that order of weight: what the
 * command line says replaces what the file says, and lists are added up.
 *
 *     holtd --config holtd.conf --log-level debug
 *
 *     name        = "holtd@db1.example.org"
 *     cookie_file = "/etc/holt/cookie"
 *     peers       = { "a@db2.example.org" }
 *     instance my_registry { }
 *     instance sessions    { keys = "duplicate" value_bytes_max = 65536 }
 *
 * The command line has the same names with hyphens; what stands in the braces
 * of an instance follows its name there:
 *
 *     holtd --instance sessions --option vouch_ms=1000 ...
 *
 * Everything is checked before anything is done; a complaint names the file and
 * the line, or the option.
 *
 * Memory:  owns every string in it.
 * Threads: none.
 */
#ifndef HOLT_NODE_OPTIONS_H
#define HOLT_NODE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/replica.h>

#include "log.h"

/* The most instances one daemon holds. */
#define OPTIONS_INSTANCES_MAX 256u

struct options_instance {
  char *name;
  uint64_t policy; /* HOLT_POLICY_ */
  struct holt_tuning tuning;
};

/* Read-only for everyone but options.c. */
struct options {
  char *name;           /* holtd@host, complete. */
  bool short_names;     /* The cluster uses -sname. */
  char *cookie_file;    /* Where the cookie was read. */
  char *cookie;         /* What it says. */
  bool cookie_exposed;  /* Others than the owner may read the file. */
  char *listen_address; /* A number of an interface; NULL: all of them. */
  uint16_t listen_port; /* 0: any. */
  uint32_t ticktime_ms; /* The cluster's net_ticktime. */
  enum log_level log_level;
  struct options_instance *instances;
  size_t instances_count;
  size_t instances_of_file; /* The first so many. */
  char **peers;             /* Nodes to dial from the start. */
  size_t peers_count;
};

enum options_result {
  OPTIONS_RUN,  /* All is known. */
  OPTIONS_DONE, /* --help or --version: answered. */
  OPTIONS_WRONG /* Said so on standard error. */
};

/* Read the command line and the file it names.  Whatever is returned,
 * options_deinit() follows. */
enum options_result options_read(struct options *options, int argc,
                                 char **argv);
void options_deinit(struct options *options);

#endif /* HOLT_NODE_OPTIONS_H */
