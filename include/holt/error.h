/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: what can go wrong, said once.
 *
 * A function that can fail returns an int: 0, or one of the negative codes
 * below.  A function that answers a question returns bool and cannot fail.
 * There is no errno, no out-parameter and no message allocated anywhere.
 *
 *     code                  name          text
 *     HOLT_ERR_NOMEM  (-1)  "nomem"       "out of memory"
 *
 * The list is an X-macro so that the codes, the names a host shows (atoms in
 * the BEAM) and the texts cannot drift apart.  Codes are never renumbered: they
 * may be stored and sent.
 *
 * Cost:    a lookup is a switch.
 * Threads: everything here is constant.
 */
#ifndef HOLT_ERROR_H
#define HOLT_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what a shared libholt shows to its users.  The library is compiled with
 * -fvisibility=hidden, and linked statically into its hosts it shows nothing:
 * two copies in one process must not find each other. */
#if defined(HOLT_SHARED) && defined(__GNUC__)
#define HOLT_API __attribute__((visibility("default")))
#else
#define HOLT_API
#endif

/* XX(cause, code, name, text).  The cause becomes HOLT_ERR_<cause>. */
#define HOLT_ERROR_MAP(XX)                                                     \
  XX(NOMEM, -1, "nomem", "out of memory")                                      \
  XX(LIMIT, -2, "limit", "a stated limit would be passed")                     \
  XX(MALFORMED, -3, "malformed", "the bytes break the format")                 \
  XX(UNSUPPORTED, -4, "unsupported", "this kind of term is refused")           \
  XX(TOO_LARGE, -5, "too_large", "larger than allowed")                        \
  XX(TOO_DEEP, -6, "too_deep", "nested deeper than allowed")                   \
  XX(EXISTS, -7, "exists", "it exists already")                                \
  XX(NOT_FOUND, -8, "not_found", "there is no such thing")                     \
  XX(STALE, -9, "stale", "it belongs to the past")                             \
  XX(GAP, -10, "gap", "something before it is missing")                        \
  XX(VERSION, -11, "version", "another version of the protocol")               \
  XX(POLICY, -12, "policy", "the policies of the two sides differ")            \
  XX(DEAD, -13, "dead", "the process or its actor is gone")                    \
  XX(BUSY, -14, "busy", "not now, try again later")

enum holt_error {
#define HOLT__ERROR_CODE(cause, code, name, text) HOLT_ERR_##cause = (code),
  HOLT_ERROR_MAP(HOLT__ERROR_CODE)
#undef HOLT__ERROR_CODE
};

/* The short name of a code, fit to be an atom: "nomem".  0 is "ok"; a number
 * that is no code of ours is "unknown". */
HOLT_API const char *holt_error_name(int error);

/* The same for people: "out of memory". */
HOLT_API const char *holt_error_text(int error);

#ifdef __cplusplus
}
#endif

#endif /* HOLT_ERROR_H */
