/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the daemon: files that are none, silence, and what has to be true
 * of options that were taken. */
#ifndef HOLT_FUZZ_GIVEN_H
#define HOLT_FUZZ_GIVEN_H

#include <stddef.h>

#include "options.h"

/* The name of a file in memory with this content.  There are two. */
const char *given_file(unsigned number, const void *bytes, size_t size);

/* Complaints go nowhere, until the end. */
void given_silence(void);
void given_silence_end(void);

/* All that others rely on; complete: after options_read(), not only a file. */
void given_check(const struct options *options, bool complete);

#endif /* HOLT_FUZZ_GIVEN_H */
