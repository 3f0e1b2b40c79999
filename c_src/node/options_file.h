/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file, read by libconfuse.  docs/cnode.md shows one. */
#ifndef HOLT_NODE_OPTIONS_FILE_H
#define HOLT_NODE_OPTIONS_FILE_H

#include <stdbool.h>

#include "options.h"

/* False: it has been said on standard error what is wrong, and where. */
bool options_file_read(struct options *options, const char *path);

#endif /* HOLT_NODE_OPTIONS_FILE_H */
