/* SPDX-License-Identifier: Apache-2.0 */
/* Plain terms from their external format, faster than enif_binary_to_term().
 *
 * What most keys and values are - numbers, atoms, binaries, small tuples, lists
 * and maps of them - is put together here.  The BEAM looks up each atom in its
 * table, by a hash of the name, under a lock, and that takes longer than all of
 * the rest of `{v, 1}'; here each thread remembers those that it met last:
 *
 *     77 04 "role"  -- hash of these bytes -->  slot  -- the same? -->  role
 *
 * An atom is one word, good in every environment for as long as the BEAM runs.
 *
 * Cost:    O(bytes); one comparison for an atom that is remembered.
 * Memory:  BUILD_ATOMS slots of 40 bytes a thread.
 * Threads: any; each has its own atoms.
 */
#ifndef HOLT_NIF_BUILD_H
#define HOLT_NIF_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <erl_nif.h>

/* The term of what follows the version byte.  False: it is none of the plain
 * ones, or too large or deep, or these bytes are no term: enif_binary_to_term()
 * tells. */
bool nif_build(ErlNifEnv *env, const uint8_t *bytes, size_t size,
               ERL_NIF_TERM *term);

#endif /* HOLT_NIF_BUILD_H */
