/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants of a row store, looked at from outside.
 *
 * All that rows.h says of each row, each key and each process is asked, and the
 * answers have to agree with each other; the fingerprint of each actor is that
 * of another store which has been given the same rows.  Quadratic: for small
 * stores. */
#ifndef HOLT_FUZZ_STORE_H
#define HOLT_FUZZ_STORE_H

#include "rows.h"

void store_check(const struct holt_rows *rows);

#endif /* HOLT_FUZZ_STORE_H */
