/* SPDX-License-Identifier: Apache-2.0 */
/* Calls about one key, and walks over many names: what the functions that users
 * call have in common.
 *
 *     begin      find the instance, encode the key
 *       lock, look or change, unlock
 *     end        let go of both
 *
 * Cost:    a call on a normal scheduler visits CALL_NAMES names and copies
 *          CALL_VALUE_BYTES, about, and what is more goes on at a dirty one.
 *          The lock is held for SLICE_NAMES of them.
 * Memory:  the key, from begin to end; a tour, while it goes on.
 * Threads: any; a call belongs to its thread.
 */
#ifndef HOLT_NIF_CALL_H
#define HOLT_NIF_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <erl_nif.h>
#include <holt/key.h>
#include <holt/replica.h>

#include "nif_instance.h"
#include "nif_term.h"

/* Names visited under one hold of the lock, in one call on a normal scheduler,
 * and the bytes of values copied in one such call. */
#define SLICE_NAMES 64u
#define CALL_NAMES 512u
#define CALL_VALUE_BYTES 262144u

/* The bytes of values of which such a call makes terms.  To make some costs ten
 * times as much as to copy them, or more: atoms are looked up, the keys of maps
 * sorted.  A binary only counts as above. */
#define CALL_TERM_BYTES 8192u

struct nif_call {
  ErlNifEnv *env;
  struct nif_instance *instance;
  struct holt_mem mem; /* Of the key; the instance's needs its lock. */
  struct holt_key key;
};

typedef ERL_NIF_TERM (*nif_fn)(ErlNifEnv *env, int argc,
                               const ERL_NIF_TERM argv[]);

/* Find the instance argv[0] and encode the key argv[1]. False: *answer is what
 * the function, called name, returns, and the call has ended. A key of which
 * the size cannot be known beforehand (a big integer, a bitstring) makes the
 * function go on at a dirty scheduler. */
bool nif_call_begin(struct nif_call *call, ErlNifEnv *env, int argc,
                    const ERL_NIF_TERM argv[], const char *name, nif_fn fn,
                    ERL_NIF_TERM *answer);
void nif_call_end(struct nif_call *call);

/* End; the instance has been closed since it was found. */
ERL_NIF_TERM nif_call_closed(struct nif_call *call);

/* Who has the key, if keys are unique. */
bool nif_call_find(const struct nif_call *call, struct holt_view *view);

/* The same, if it is this local process; of duplicate keys, the youngest row of
 * the process. */
bool nif_call_find_own(const struct nif_call *call, const ErlNifPid *pid,
                       struct holt_view *view);

/* An exit can be seen before the instance hears of it: a name whose process is
 * dead counts as free from the first moment on. */
bool nif_view_alive(ErlNifEnv *env, const struct holt_view *view);

/* Is it to be found?  Not if its process is dead, of this instance or of
 * another on this node; that one alone can set the name free.  Under the lock.
 */
bool nif_view_found(ErlNifEnv *env, const struct nif_instance *instance,
                    const struct holt_view *view);

/* Is it the process of this pid, of whatever node? */
bool nif_view_is_of(ErlNifEnv *env, const struct holt_view *view,
                    ERL_NIF_TERM pid);

bool nif_on_normal_scheduler(void);

/* Must these bytes be copied on a dirty scheduler, and is this none?  To move a
 * megabyte into new memory takes longer than a normal one allows. */
bool nif_too_heavy(size_t bytes);

/* Go on at a dirty scheduler, from the beginning. */
ERL_NIF_TERM nif_go_dirty(ErlNifEnv *env, const char *name, nif_fn fn, int argc,
                          const ERL_NIF_TERM argv[]);

/* Values, as the caller wants them. */
struct nif_values {
  bool terms;        /* Not the bytes, as far as they are cheap to decode. */
  bool mixed;        /* Not all were. */
  size_t terms_size; /* Bytes that have been decoded. */
};

/* The parts of an entry and last its value: a tuple of them, into which the
 * value is put.  Bytes, where terms are wanted: one element longer, `encoded'
 * at the end. */
ERL_NIF_TERM nif_entry(ErlNifEnv *env, struct nif_values *values,
                       const struct holt_view *view, ERL_NIF_TERM *parts,
                       unsigned count);

/* The entries; {mixed, Entries}, if some of them are encoded. */
ERL_NIF_TERM nif_entries_answer(ErlNifEnv *env, const struct nif_values *values,
                                ERL_NIF_TERM entries);

/* A list that grows while names are visited. */
struct nif_list {
  ErlNifEnv *env;
  const struct nif_instance *instance; /* Where they are from. */
  ERL_NIF_TERM list;
  size_t count; /* Terms in it. */
  size_t bytes; /* Of values. */
  bool heavy;   /* More than a normal scheduler allows. */
  struct nif_values values;
};
void nif_list_init(struct nif_list *list, ErlNifEnv *env,
                   const struct nif_instance *instance);
void nif_list_add(struct nif_list *list, ERL_NIF_TERM term);

/* Is there room for this value?  False: the visit ends. */
bool nif_list_room(struct nif_list *list, const struct holt_view *view);

/* Visit the names of a process, or all rows of a key, in slices.  The replica
 * may change between two of them.  0, NIF_NEEDS_DIRTY, HOLT_ERR_NOT_FOUND (the
 * instance is closed), HOLT_ERR_NOMEM. */
int nif_tour_process(struct nif_list *list, struct nif_instance *instance,
                     const struct holt_process *process, holt_view_fn visit,
                     void *user);
int nif_tour_key(struct nif_list *list, const struct nif_call *call,
                 holt_view_fn visit, void *user);

/* The answer after a tour that returned rv: the list, in the order of the
 * visits, or what went wrong, or the function again at a dirty scheduler. */
ERL_NIF_TERM nif_list_answer(const struct nif_list *list, int rv,
                             const char *name, nif_fn fn, int argc,
                             const ERL_NIF_TERM argv[]);

/* {error, Reason}; {error, {too_large, Bytes, Max}}. */
ERL_NIF_TERM nif_error(ErlNifEnv *env, ERL_NIF_TERM reason);
ERL_NIF_TERM nif_too_large(ErlNifEnv *env, size_t size, size_t size_max);

#endif /* HOLT_NIF_CALL_H */
