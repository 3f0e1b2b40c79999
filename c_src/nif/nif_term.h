/* SPDX-License-Identifier: Apache-2.0 */
/* Terms: between the BEAM's live terms and the core's bytes.
 *
 * Keys of users are walked term by term into the core's key builder, which
 * stops at the limit: a hostile key costs no more than a long one.  What has no
 * accessor in erl_nif (pids, big integers, bitstrings, atoms beyond Latin-1)
 * goes through the external term format.
 *
 * Threads: any; nothing here keeps state. */
#ifndef HOLT_NIF_TERM_H
#define HOLT_NIF_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <erl_nif.h>
#include <holt/key.h>
#include <holt/replica.h>

/* What nif_key_of() returns when the key holds a term whose size cannot be
 * known before it is encoded, and this is not a dirty scheduler. */
#define NIF_NEEDS_DIRTY 2

/* enif's allocator in the core's shape. */
void *nif_resize(void *user, void *ptr, size_t old_size, size_t new_size);

/* Push the term into an empty key.  0, NIF_NEEDS_DIRTY, or a HOLT_ERR_*. */
int nif_key_of(ErlNifEnv *env, ERL_NIF_TERM term, struct holt_key *key);

/* The term of canonical bytes, or of what follows the version byte. */
bool nif_term_of(ErlNifEnv *env, const uint8_t *bytes, size_t size,
                 ERL_NIF_TERM *term);

/* The term of a value, which is whatever term_to_binary() made; none is
 * `undefined'.  False: these bytes are no term that is made here; nobody on the
 * way has looked at them. */
bool nif_value_of(ErlNifEnv *env, const uint8_t *bytes, size_t size,
                  ERL_NIF_TERM *term);

/* Is it a binary, of which the term costs as much as a copy? */
bool nif_value_is_binary(const uint8_t *bytes, size_t size);

/* An atom's name in UTF-8. */
struct nif_atom_bytes {
  size_t size;
  uint8_t bytes[HOLT_ATOM_BYTES_MAX];
};
bool nif_atom_bytes_of(ErlNifEnv *env, ERL_NIF_TERM term,
                       struct nif_atom_bytes *out);
bool nif_atom_of(ErlNifEnv *env, const uint8_t *bytes, size_t size,
                 ERL_NIF_TERM *term);

/* A pid of any node, taken apart. */
struct nif_process {
  struct holt_process process; /* Its node points into node. */
  struct nif_atom_bytes node;
};
bool nif_process_of(ErlNifEnv *env, ERL_NIF_TERM pid, struct nif_process *out);

/* What is needed to make a view's pid once the lock is released. */
struct nif_pid_parts {
  bool local;
  uint64_t host;
  size_t etf_size;
  uint8_t etf[HOLT_ATOM_BYTES_MAX + 17];
};
void nif_pid_parts_of(const struct holt_view *view,
                      struct nif_pid_parts *parts);
bool nif_pid_make(ErlNifEnv *env, const struct nif_pid_parts *parts,
                  ERL_NIF_TERM *pid);
bool nif_view_pid(ErlNifEnv *env, const struct holt_view *view,
                  ERL_NIF_TERM *pid);

/* The host word of a local process, and back. */
uint64_t nif_host_of(const ErlNifPid *pid);
ErlNifPid nif_pid_of_host(uint64_t host);

ERL_NIF_TERM nif_binary(ErlNifEnv *env, const uint8_t *bytes, size_t size);

#endif /* HOLT_NIF_TERM_H */
