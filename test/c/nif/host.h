/* SPDX-License-Identifier: Apache-2.0 */
/* Replica processes: threads that deliver, poll and send, as holt_replica does.
 *
 *     host_init(&a, vm_a, library_a, "reg", "b@host");
 *     host_init(&b, vm_b, library_b, "reg", "a@host");
 *     host_link(&a, &b);
 *     host_start(&a); host_start(&b);
 *     ...
 *     host_stop(&a);                      waits for the thread; closes nothing
 *
 * A mailbox has a lock, as one of the VM has.  A host that is killed stops like
 * one that has been told to; another may start with its name and adopts the
 * instance.
 *
 * Threads: init, link, start, stop and deinit belong to one thread.
 */
#ifndef HOLT_TEST_HOST_H
#define HOLT_TEST_HOST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "user.h"

struct mail;

struct host {
  struct user user;             /* The process itself. */
  _Atomic(struct host *) other; /* Who gets what it sends. */
  const char *other_node;       /* NULL: it is alone. */
  pthread_t thread;
  pthread_mutex_t lock; /* Of what follows. */
  pthread_cond_t changed;
  struct mail *first;
  struct mail **last;
  bool stopping;
  bool open;
};

void host_init(struct host *host, struct fake_vm *vm,
               struct fake_library *library, const char *instance,
               const char *other_node);
void host_deinit(struct host *host);

/* Before they start. */
void host_link(struct host *left, struct host *right);

/* Returns once the instance is open. */
void host_start(struct host *host);
void host_stop(struct host *host);

/* Wait until both say that they are in sync, and count as many names. */
bool hosts_agree(struct user *left, struct user *right, uint64_t count);

/* Wait until it counts so many names. */
bool host_counts(struct user *user, uint64_t count);

#endif /* HOLT_TEST_HOST_H */
