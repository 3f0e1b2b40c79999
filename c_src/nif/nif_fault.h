/* SPDX-License-Identifier: Apache-2.0 */
/* Faults: would the sanitizers notice?
 *
 * Each is planted by -DNIF_FAULT=n in a build of its own under the sanitizer
 * that is to notice it; `make sanitize` runs the scenario that is named, and
 * fails when neither the sanitizer nor the scenario says a word.  In every
 * other build the condition is the constant false.
 *
 * Number, sanitizer, name, scenario, description: */
#ifndef HOLT_NIF_FAULT_H
#define HOLT_NIF_FAULT_H

#ifndef NIF_FAULT
#define NIF_FAULT 0
#endif

#define NIF_FAULTS(XX)                                                         \
  XX(1, tsan, UNLOCKED_READ, names, "a lookup goes without its lock")          \
  XX(2, tsan, UNLOCKED_WALK, deaths, "rows are freed while a reader walks")    \
  XX(3, tsan, NOT_KEPT, life, "an instance goes while it is in use")           \
  XX(4, tsan, LATE_WAKE, takeover, "who is woken is read without the lock")    \
  XX(5, asan, DEAD_SHOWN, deaths, "who is dead is in an answer")               \
  XX(6, tsan, UNLOCKED_LOG, changes, "changes are read without the lock")      \
  XX(7, asan, NO_NEWS, changes, "who has read all is told of nothing more")    \
  XX(8, asan, WAKE_LOST, unheard, "a wake that nobody hears is not repeated")

/* True in the build of that fault only. */
#define nif_fault(name) (NIF_FAULT == NIF_FAULT_##name)

#define NIF_FAULT_NUMBER(number, sanitizer, name, scenario, text)              \
  NIF_FAULT_##name = number,
enum nif_fault_number {
  NIF_FAULTS(NIF_FAULT_NUMBER) NIF_FAULT_NONE = 0
};

#endif /* HOLT_NIF_FAULT_H */
