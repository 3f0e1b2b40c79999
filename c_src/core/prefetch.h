/* SPDX-License-Identifier: Apache-2.0 */
/* Prefetching: how can a million names be looked at without waiting for each?
 *
 * Among a million rows every step from one to another waits for main memory,
 * some hundred times as long as for an addition.  But the processor fetches
 * many places at once if it is told of them before they are needed:
 *
 *     told    a  b  c  d                 waiting       |----|
 *     used                a b c d        for all of them once
 *
 * So whoever has a batch goes through it twice.
 *
 * Cost:    one instruction; nothing, where the compiler has no word for it.
 * Memory:  none.
 * Threads: a hint never changes what anybody sees.
 */
#ifndef HOLT_CORE_PREFETCH_H
#define HOLT_CORE_PREFETCH_H

/* This will be read soon.  Any address will do. */
static inline void
holt_prefetch(const void *address)
{
#ifdef __GNUC__
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

#endif /* HOLT_CORE_PREFETCH_H */
