/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages of every form, for seeds. */
#ifndef HOLT_FUZZ_CONTROLS_H
#define HOLT_FUZZ_CONTROLS_H

#include <stdint.h>

#include "term.h"

#define CONTROLS_COUNT 18u

/* Put a frame, without its length: one of the forms, from one process to
 * another; a payload follows where the form has one. */
void controls_put(struct term_writer *writer, unsigned form,
                  const struct term_pid *from, const struct term_pid *to);

#endif /* HOLT_FUZZ_CONTROLS_H */
