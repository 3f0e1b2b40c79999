/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: the replicas that live in this VM, by name.
 *
 * An instance is a resource of the VM that holds one replica of the core. It
 * outlives the processes that use it: names and the watching of their owners
 * are here, so a replica process that crashes finds them again.
 *
 *     library (priv_data)
 *       |  by name                       closed, being freed in slices
 *       v                                v
 *     instance --> instance ...          instance --> instance ...
 *
 * Lifetime: open makes an instance and the table keeps one reference. Each call
 *          takes another one for its time, so an instance never goes while it
 *          is in use. close takes it out of the table; sweep frees its rows in
 *          slices, then drops the table's reference, and the destructor runs
 *          when the last call has returned. The destructor may run on any
 *          thread; by then the rows are gone, or the VM is.
 *          What an instance calls (its allocator, the indices' functions, the
 *          watching) is code of the library that opened it, so a library stays
 *          in memory when another has taken over: see the Makefile.
 * Monitors: an instance watches the process of every name that is registered
 *          here, from its first name on until it ends. That works only with
 *          resources allocated after load has returned; open is the only place
 *          that allocates one.
 * Threads: lock guards the replica: shared for reading, alone for all else, and
 *          then behind writers (docs/decisions/0007). The library's lock guards
 *          the table; whoever needs both takes it first. A replica process that
 *          is killed on a dirty scheduler is dead at once but runs on: what it
 *          does there it does as long as no other process has its place, which
 *          it sees under the lock.
 */
#ifndef HOLT_NIF_INSTANCE_H
#define HOLT_NIF_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include <erl_nif.h>
#include <holt/mem.h>
#include <holt/replica.h>

#include "nif_changes.h"

/* Rows freed by one sweep. */
#define NIF_SWEEP_ROWS 256u

/* A quorum that is more than half of the members that are known. */
#define NIF_MAJORITY UINT32_MAX

struct nif_instance {
  ERL_NIF_TERM name; /* An atom. */
  struct nif_instance *next;
  ErlNifMutex *writers; /* First come, first served; cheap to wait for. */
  ErlNifRWLock *lock;
  struct holt_mem mem;
  struct holt_tuning tuning; /* Set once, as are the next six. */
  uint64_t orphan_ms;        /* For whoever watches the root. */
  uint64_t options_hash;     /* Of the options that stay in Erlang. */
  uint64_t policy;           /* HOLT_POLICY_ */
  bool duplicate;            /* Keys are. */
  bool owner_only;           /* Nobody else may unregister. */
  uint64_t quorum;           /* Members present; NIF_MAJORITY of those known. */
  uint64_t declared;         /* Members in a list; 0: there is none. */
  bool quorate;              /* They are, at the last look. */
  uint64_t actor;            /* Who the replica is. */
  uint32_t creation;         /* Of the node, as the replica knows it. */
  struct holt_replica *replica;
  ErlNifPid process; /* The replica process. */
  bool unheard;      /* It could not be woken: the next one tries again. */
  bool closed;
  bool paused;                 /* Its peers have been told so. */
  struct nif_watch watch;      /* What has changed, if somebody watches. */
  struct nif_message *message; /* Half applied, between two calls, or NULL. */
};

/* A message that is being read, with an account of its own.  It belongs to the
 * call that reads it, or to the instance until the next one. */
struct nif_message {
  struct holt_mem mem;
  struct holt_message *message;
};

struct nif_library;

/* Make the library's data and its resource type; for load and upgrade. */
struct nif_library *nif_library_new(ErlNifEnv *env);
bool nif_library_take_over(ErlNifEnv *env, struct nif_library *library);
void nif_library_release(struct nif_library *library);

/* The instance of this name, with a reference for the caller, or NULL. */
struct nif_instance *nif_instance_get(ErlNifEnv *env, ERL_NIF_TERM name);
void nif_instance_put(struct nif_instance *instance);

/* Lock for reading, beside others, or for all else, alone, if the instance is
 * still open; otherwise false, and nothing is held. */
bool nif_read_lock(struct nif_instance *instance);
void nif_read_unlock(struct nif_instance *instance);
bool nif_lock(struct nif_instance *instance);

/* Unlock what is locked alone, and tell who watches of changes. */
void nif_unlock(ErlNifEnv *env, struct nif_instance *instance);

/* Look anew whether there is a quorum.  Locked, alone. */
void nif_quorum_look(struct nif_instance *instance);

/* Both in one: the open instance of this name, to be read, or NULL. */
struct nif_instance *nif_read_begin(ErlNifEnv *env, ERL_NIF_TERM name);
void nif_read_end(struct nif_instance *instance);

/* Lock, open or not: for what must be undone. */
void nif_lock_anyway(struct nif_instance *instance);

/* Unlock after a change, and wake the replica process if there is work. */
void nif_unlock_wake(ErlNifEnv *env, struct nif_instance *instance);

/* Lock if the instance is open and the caller is its replica process. */
bool nif_lock_as_process(ErlNifEnv *env, struct nif_instance *instance);

/* Close a message; NULL is allowed. */
void nif_message_close(struct nif_message *message);

/* Close the half applied message, if there is one.  Locked. */
void nif_message_drop(struct nif_instance *instance);

/* Read what load_nif/2 was given: by how many milliseconds the wall clock is to
 * be wrong.  0 but in tests. */
void nif_clock_init(ErlNifEnv *env, ERL_NIF_TERM offset_ms);

/* Milliseconds since the library was loaded, and since 1970. */
struct holt_time nif_now(ErlNifEnv *env);

/* {invalid, Reason}. */
ERL_NIF_TERM nif_invalid(ErlNifEnv *env, ERL_NIF_TERM reason);

/* Functions of holt_nif. */
ERL_NIF_TERM nif_open(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_renode(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_goodbye(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_resume(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_close(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_instances(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_sweep(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);

#endif /* HOLT_NIF_INSTANCE_H */
