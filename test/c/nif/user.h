/* SPDX-License-Identifier: Apache-2.0 */
/* Users of the library: what Erlang's side asks of it, in C.
 *
 * Keys are numbers here.  Their terms are of all kinds, some of them so that
 * the call goes on at a dirty scheduler.  A value tells whether it is whole:
 *
 *     key 7     {k, 7, #{a => 7, b => [7 | 7.0]}}
 *     key 5     "key:" and the number, a binary
 *     value     a binary: the key's number, then one byte over and over
 *
 * Threads: a user belongs to one thread; checks are for any.
 */
#ifndef HOLT_TEST_USER_H
#define HOLT_TEST_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fake_enif.h"

/* Something that must be true; failures are counted, the first few shown. */
#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)
void check_that(bool condition, const char *text, const char *file, int line);
unsigned check_failures(void);

struct user {
  struct fake_vm *vm;
  ErlNifEnv *env;
  ErlNifPid self;
  ERL_NIF_TERM instance;
  uint32_t policy; /* That it opens an instance with; 0: none is said. */
  uint64_t random;
};

void user_init(struct user *user, struct fake_vm *vm,
               struct fake_library *library, const char *instance);
void user_deinit(struct user *user);
uint32_t user_random(struct user *user, uint32_t below);

/* What a call answers that has no better answer. */
enum user_answer {
  USER_OK,
  USER_NONE,
  USER_TAKEN,
  USER_DEAD,
  USER_CLOSED, /* No such instance. */
  USER_KILLED  /* The caller. */
};

enum user_answer user_open(struct user *user);
enum user_answer user_close(struct user *user);
bool user_sweep(struct user *user);

/* A function that takes the instance's name, and perhaps one more term. */
ERL_NIF_TERM user_ask(struct user *user, const char *name);
ERL_NIF_TERM user_ask_with(struct user *user, const char *name,
                           ERL_NIF_TERM term);

enum user_answer user_register(struct user *user, uint32_t key,
                               const ErlNifPid *pid, size_t value_size);
enum user_answer user_unregister(struct user *user, uint32_t key);
enum user_answer user_update(struct user *user, uint32_t key,
                             const ErlNifPid *pid);

/* *pid is only set with USER_OK: 1 for that of another node.  lookup looks
 * at the value, too. */
enum user_answer user_whereis(struct user *user, uint32_t key,
                              ERL_NIF_TERM *pid);
enum user_answer user_lookup(struct user *user, uint32_t key,
                             ERL_NIF_TERM *pid);
enum user_answer user_count(struct user *user, uint64_t *count);

/* How many keys the process has; each is told to visit, if not NULL. */
typedef void (*user_visit_fn)(void *context, uint32_t key, ERL_NIF_TERM pid);
enum user_answer user_keys(struct user *user, const ErlNifPid *pid,
                           user_visit_fn visit, void *context, size_t *count);

/* All names, as to_list has them; those alone of which the key is a binary. */
enum user_answer user_scan(struct user *user, user_visit_fn visit,
                           void *context);
enum user_answer user_scan_binaries(struct user *user, user_visit_fn visit,
                                    void *context);
bool user_key_is_binary(uint32_t key);

/* Duplicate keys: who has entries under this key; and how many of them this
 * process has, or had until they were taken away. */
enum user_answer user_holders(struct user *user, uint32_t key,
                              user_visit_fn visit, void *context);
enum user_answer user_entries(struct user *user, uint32_t key,
                              const ErlNifPid *pid, size_t *count);
enum user_answer user_leave(struct user *user, uint32_t key,
                            const ErlNifPid *pid);

/* A change of a name, as changes/3 tells it; pids are words, before is 0 if
 * there was none. */
struct user_change {
  enum {
    USER_REGISTERED,
    USER_UPDATED,
    USER_UNREGISTERED,
    USER_MEMBER
  } type;
  uint32_t key;
  ERL_NIF_TERM pid;
  ERL_NIF_TERM before;
};
typedef void (*user_change_fn)(void *context, const struct user_change *change);

/* Read changes from *from on, which goes on.  False: some were missed, and
 * *from is where all is read. */
bool user_changes(struct user *user, uint64_t *from, user_change_fn told,
                  void *context);

/* Read some of the changes, whatever they are. */
enum user_answer user_read(struct user *user);

/* The verdict of a contest, of which own and other are maps. */
void user_lose(struct user *user, ERL_NIF_TERM own, ERL_NIF_TERM other);

#endif /* HOLT_TEST_USER_H */
