/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants: what must be true for the next line to make sense.
 *
 *     holt_assert(x)   O(1), in every build.  A replica whose own invariant is
 *                      broken would replicate the breakage; stopping one node
 *                      is the smaller harm.
 *     holt_verify(x)   may walk a whole structure; only with -DHOLT_VERIFY
 *                      (tests, simulator, fuzzing).  Else x is compiled but
 *                      never run.
 *
 * Neither is ever used on what a peer, a user or a file says: that is an error
 * code.  An assertion there would be a remote switch to kill the VM.
 */
#ifndef HOLT_CORE_INVARIANT_H
#define HOLT_CORE_INVARIANT_H

#include <stdlib.h>

/* The arguments are for the debugger that opens the core dump. */
_Noreturn static inline void
holt__invariant_broken(const char *what, const char *file, int line)
{
  (void)what;
  (void)file;
  (void)line;
  abort();
}

#define holt_assert(condition)                                                 \
  ((condition) ? (void)0                                                       \
               : holt__invariant_broken(#condition, __FILE__, __LINE__))

#ifdef HOLT_VERIFY
#define holt_verify(condition) holt_assert(condition)
#else
#define holt_verify(condition) ((void)(0 && (condition)))
#endif

#endif /* HOLT_CORE_INVARIANT_H */
