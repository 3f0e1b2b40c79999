/* SPDX-License-Identifier: Apache-2.0 */
/* A stand-in for the VM: would the NIF's threads hurt each other?
 *
 * The thread sanitizer does not run inside the BEAM.  So here are the enif_
 * functions that c_src/nif calls, over plain memory and POSIX threads, and just
 * enough of a VM to call the functions of the library as processes do:
 *
 *     struct fake_vm *vm = fake_vm_new("a@host", 1);
 *     struct fake_library *library = fake_load(vm);
 *     const ErlNifPid pid = fake_spawn(vm);
 *     ErlNifEnv *env = fake_env_new(library, &pid);
 *     ERL_NIF_TERM count = fake_call(env, "count", 1, &name);
 *     fake_env_clear(env);                       its terms are gone
 *
 * It must not hide races.  A lock or an atomic that two threads share, and the
 * NIF does not know of, orders what they did before and after, and the
 * sanitizer then sees no race.  So there is no lock around everything, and what
 * is shared is either written once (atoms), relaxed (who is alive, how many
 * messages came, how much is allocated), or a lock that the VM has, too:
 *
 *     a process runs one call at a time, and ends between two of them, unless
 *     it runs on a dirty scheduler: then it is dead at once and runs on;
 *     a resource goes when its last reference does, on that thread; the VM
 *     holds one for the time of a callback, and none for a monitor.
 *
 * Terms are words: atoms and local pids as they are, all else a block of its
 * own, so that the address sanitizer sees whoever keeps one for too long.  A
 * local pid is the same word in every node; it gets its node when it leaves.
 *
 * What the library does not use is not here; what is used in a way that is not
 * here ends the program with a line.
 *
 * Threads: environments belong to one thread; all else is for any.
 */
#ifndef HOLT_TEST_FAKE_ENIF_H
#define HOLT_TEST_FAKE_ENIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <erl_nif.h>

/* A node.  Its processes are numbered, and never more than this. */
#define FAKE_PROCESSES_MAX 65536u
struct fake_vm;
struct fake_vm *fake_vm_new(const char *node, uint32_t creation);

/* Every process ends.  Then the library may be unloaded, then the node go. */
void fake_vm_end(struct fake_vm *vm);
void fake_vm_delete(struct fake_vm *vm);

/* A loaded version of the library: the same code, other private data. */
struct fake_library;
struct fake_library *fake_load(struct fake_vm *vm);
struct fake_library *fake_upgrade(struct fake_library *old);
void fake_unload(struct fake_library *library);

/*--------------------------------------------------------------------
 * Processes */

ErlNifPid fake_spawn(struct fake_vm *vm);

/* It is dead before the monitors fire, which they do on this thread. */
void fake_exit(struct fake_vm *vm, const ErlNifPid *pid);
bool fake_is_alive(struct fake_vm *vm, const ErlNifPid *pid);

/* It will be killed as soon as it is in a call on a dirty scheduler; the
 * monitors are for whoever sees it dead, and calls fake_exit(). */
void fake_doom(struct fake_vm *vm, const ErlNifPid *pid);

/* Messages it was sent. */
uint64_t fake_messages(struct fake_vm *vm, const ErlNifPid *pid);

/*--------------------------------------------------------------------
 * Calls */

ErlNifEnv *fake_env_new(struct fake_library *library, const ErlNifPid *self);
void fake_env_clear(ErlNifEnv *env);
void fake_env_delete(ErlNifEnv *env);

/* Call a function of the library as the process of the environment, on the
 * scheduler that it asks for.  0: the process has been killed meanwhile. */
ERL_NIF_TERM fake_call(ErlNifEnv *env, const char *name, int argc,
                       const ERL_NIF_TERM argv[]);

/*--------------------------------------------------------------------
 * Accounts */

/* Blocks of enif_alloc(), resources, and locks that are there now. */
long fake_blocks(void);

/* For the parts of the stand-in. */
_Noreturn void fake_die(const char *what);
void *fake_memory(ErlNifEnv *env, size_t size);
ERL_NIF_TERM fake_atom(const char *name, size_t size);
struct fake_name {
  size_t size;
  const char *name;
};
struct fake_name fake_atom_name(ERL_NIF_TERM atom);
struct fake_name fake_node(ErlNifEnv *env, uint32_t *creation);

#endif /* HOLT_TEST_FAKE_ENIF_H */
