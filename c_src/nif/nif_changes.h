/* SPDX-License-Identifier: Apache-2.0 */
/* Changes: what has come and gone, for who follows an instance.
 *
 *     a call that changes         log          the process that watches
 *     ---- nif_log_add ---------> [....]
 *     ---- unlock, holt_changes -------------> has read all before: is told
 *                                 [....] <---- changes(From): reads
 *
 * Lifetime: the log is the instance's, and goes with it: it outlives whoever
 *          watches, as the names outlive the replica process.  Once begun,
 *          watching does not end.
 * Threads: the log is written under the lock, and read under the lock for
 *          reading; that the watching process waits is said there, too, and so
 *          is an atomic.
 */
#ifndef HOLT_NIF_CHANGES_H
#define HOLT_NIF_CHANGES_H

#include <stdatomic.h>
#include <stdbool.h>

#include <erl_nif.h>

#include "nif_log.h"

struct nif_watch {
  struct nif_log log;
  bool on;
  bool news;           /* The process is to be told, at the next unlock. */
  ErlNifPid process;   /* That watches. */
  atomic_bool waiting; /* It has read all. */
};

void nif_watch_init(struct nif_watch *watch, struct holt_mem *mem);
void nif_watch_deinit(struct nif_watch *watch);

/* Forget what is kept, and tell the process.  Locked. */
void nif_watch_forget(struct nif_watch *watch);

/* True: *process is to be told.  Locked. */
bool nif_watch_news(struct nif_watch *watch, ErlNifPid *process);

/* Functions of holt_nif. */
ERL_NIF_TERM nif_watch(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_changes(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_head(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);

#endif /* HOLT_NIF_CHANGES_H */
