/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_S 120
#define POLLS_MAX 16u

struct mail {
  struct mail *next;
  bool hello;
  size_t header_size;
  size_t body_size;
  unsigned char bytes[];
};

static ERL_NIF_TERM
atom(const char *name)
{
  return fake_atom(name, strlen(name));
}

/*--------------------------------------------------------------------
 * Mail */

static void
mail_send(struct host *to, bool hello, const ErlNifBinary *header,
          const ErlNifBinary *body)
{
  struct mail *const mail = malloc(sizeof *mail + header->size + body->size);
  if (mail == NULL) {
    fake_die("out of memory");
  }
  mail->next = NULL;
  mail->hello = hello;
  mail->header_size = header->size;
  mail->body_size = body->size;
  if (header->size > 0) {
    memcpy(mail->bytes, header->data, header->size);
  }
  memcpy(mail->bytes + header->size, body->data, body->size);
  pthread_mutex_lock(&to->lock);
  *to->last = mail;
  to->last = &mail->next;
  pthread_cond_signal(&to->changed);
  pthread_mutex_unlock(&to->lock);
}

static struct mail *
mail_take(struct host *host)
{
  pthread_mutex_lock(&host->lock);
  struct mail *const mail = host->first;
  if (mail != NULL) {
    host->first = mail->next;
    if (host->first == NULL) {
      host->last = &host->first;
    }
  }
  pthread_mutex_unlock(&host->lock);
  return mail;
}

static ERL_NIF_TERM
binary(ErlNifEnv *env, const unsigned char *bytes, size_t size)
{
  ERL_NIF_TERM term;
  unsigned char *const into = enif_make_new_binary(env, size, &term);
  if (size > 0) {
    memcpy(into, bytes, size);
  }
  return term;
}

static ERL_NIF_TERM
other_member(struct host *host)
{
  return enif_make_tuple2(host->user.env, host->user.instance,
                          atom(host->other_node));
}

/* False: the process has been killed. */
static bool
mail_read(struct host *host, const struct mail *mail)
{
  ErlNifEnv *const env = host->user.env;
  const ERL_NIF_TERM instance = host->user.instance;
  const ERL_NIF_TERM header = binary(env, mail->bytes, mail->header_size);
  const ERL_NIF_TERM body =
    binary(env, mail->bytes + mail->header_size, mail->body_size);
  if (mail->hello) {
    const ERL_NIF_TERM argv[] = { instance, other_member(host), body };
    return fake_call(env, "hello", 3, argv) != 0;
  }
  ERL_NIF_TERM argv[] = { instance, header, body, enif_make_uint(env, 0) };
  for (;;) {
    const ERL_NIF_TERM answer = fake_call(env, "deliver", 4, argv);
    int arity;
    const ERL_NIF_TERM *parts;
    if (answer == 0 || enif_get_tuple(env, answer, &arity, &parts) == 0 ||
        parts[0] != atom("more")) {
      return answer != 0;
    }
    argv[3] = parts[1];
  }
}

/*--------------------------------------------------------------------
 * Effects */

static void
perform_send(struct host *host, const ERL_NIF_TERM *effect)
{
  ErlNifEnv *const env = host->user.env;
  ErlNifBinary header;
  ErlNifBinary body;
  ERL_NIF_TERM targets = effect[1];
  ERL_NIF_TERM target;
  int arity;
  const ERL_NIF_TERM *parts;
  while (enif_get_list_cell(env, targets, &target, &targets) != 0) {
    if (enif_get_tuple(env, target, &arity, &parts) != 0 &&
        enif_inspect_binary(env, parts[1], &header) != 0 &&
        enif_inspect_binary(env, effect[2], &body) != 0) {
      mail_send(host->other, false, &header, &body);
    }
  }
}

static void
perform(struct host *host, ERL_NIF_TERM term)
{
  ErlNifEnv *const env = host->user.env;
  int arity;
  const ERL_NIF_TERM *effect;
  CHECK(enif_get_tuple(env, term, &arity, &effect) != 0);
  if (effect[0] == atom("send")) {
    perform_send(host, effect);
  } else if (effect[0] == atom("hello")) {
    const ErlNifBinary none = { .size = 0 };
    ErlNifBinary bytes;
    CHECK(enif_inspect_binary(env, effect[2], &bytes) != 0);
    mail_send(host->other, true, &none, &bytes);
  } else if (effect[0] == atom("contest")) {
    /* Whoever is asked gives way. */
    user_lose(&host->user, effect[1], effect[2]);
  } else {
    CHECK(effect[0] == atom("conflict"));
    const ErlNifPid loser = { .pid = effect[1] };
    if (fake_is_alive(host->user.vm, &loser)) {
      fake_exit(host->user.vm, &loser);
    }
  }
}

/* Poll and do.  False: there is no instance, or no process any more. */
static bool
work(struct host *host)
{
  ErlNifEnv *const env = host->user.env;
  for (unsigned i = 0; i < POLLS_MAX; i++) {
    const ERL_NIF_TERM answer = user_ask(&host->user, "poll");
    int arity;
    const ERL_NIF_TERM *parts;
    if (answer == 0 || enif_get_tuple(env, answer, &arity, &parts) == 0 ||
        parts[0] == atom("invalid")) {
      return false;
    }
    ERL_NIF_TERM effects = parts[0];
    ERL_NIF_TERM effect;
    while (enif_get_list_cell(env, effects, &effect, &effects) != 0) {
      perform(host, effect);
    }
    const bool again = parts[1] == atom("again");
    fake_env_clear(env);
    if (!again) {
      break;
    }
  }
  return true;
}

/*--------------------------------------------------------------------
 * Hosts */

/* A millisecond, or less when there is mail.  False: stop. */
static bool
rest(struct host *host)
{
  pthread_mutex_lock(&host->lock);
  if (host->first == NULL && !host->stopping) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += 1000000;
    if (end.tv_nsec >= 1000000000) {
      end.tv_nsec -= 1000000000;
      end.tv_sec++;
    }
    pthread_cond_timedwait(&host->changed, &host->lock, &end);
  }
  const bool stopping = host->stopping;
  pthread_mutex_unlock(&host->lock);
  return !stopping;
}

static void *
run(void *argument)
{
  struct host *const host = argument;
  CHECK(user_open(&host->user) == USER_OK);
  if (host->other != NULL) {
    (void)user_ask_with(&host->user, "peer_up", other_member(host));
  }
  pthread_mutex_lock(&host->lock);
  host->open = true;
  pthread_cond_broadcast(&host->changed);
  pthread_mutex_unlock(&host->lock);
  bool alive = true;
  while (alive && rest(host)) {
    struct mail *mail;
    for (unsigned i = 0; alive && i < POLLS_MAX; i++) {
      mail = mail_take(host);
      if (mail == NULL) {
        break;
      }
      alive = mail_read(host, mail);
      fake_env_clear(host->user.env);
      free(mail);
    }
    alive = alive && work(host);
  }
  fake_env_clear(host->user.env);
  return NULL;
}

void
host_init(struct host *host, struct fake_vm *vm, struct fake_library *library,
          const char *instance, const char *other_node)
{
  memset(host, 0, sizeof *host);
  user_init(&host->user, vm, library, instance);
  host->other_node = other_node;
  host->last = &host->first;
  pthread_mutex_init(&host->lock, NULL);
  pthread_cond_init(&host->changed, NULL);
}

void
host_deinit(struct host *host)
{
  struct mail *mail;
  while ((mail = mail_take(host)) != NULL) {
    free(mail);
  }
  pthread_mutex_destroy(&host->lock);
  pthread_cond_destroy(&host->changed);
  user_deinit(&host->user);
}

void
host_link(struct host *left, struct host *right)
{
  left->other = right;
  right->other = left;
}

void
host_start(struct host *host)
{
  host->stopping = false;
  host->open = false;
  if (pthread_create(&host->thread, NULL, run, host) != 0) {
    fake_die("no thread");
  }
  pthread_mutex_lock(&host->lock);
  while (!host->open) {
    pthread_cond_wait(&host->changed, &host->lock);
  }
  pthread_mutex_unlock(&host->lock);
}

void
host_stop(struct host *host)
{
  pthread_mutex_lock(&host->lock);
  host->stopping = true;
  pthread_cond_signal(&host->changed);
  pthread_mutex_unlock(&host->lock);
  pthread_join(host->thread, NULL);
}

/*--------------------------------------------------------------------
 * Waiting */

static bool
patience(const struct timespec *begin)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  sched_yield();
  return now.tv_sec - begin->tv_sec < PATIENCE_S;
}

bool
hosts_agree(struct user *left, struct user *right, uint64_t count)
{
  struct timespec begin;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do {
    uint64_t counts[2] = { 0, 0 };
    if (user_ask(left, "in_sync") == atom("true") &&
        user_ask(right, "in_sync") == atom("true") &&
        user_count(left, &counts[0]) == USER_OK &&
        user_count(right, &counts[1]) == USER_OK && counts[0] == count &&
        counts[1] == count) {
      return true;
    }
  } while (patience(&begin));
  return false;
}

bool
host_counts(struct user *user, uint64_t count)
{
  struct timespec begin;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  uint64_t now;
  do {
    if (user_count(user, &now) == USER_OK && now == count) {
      return true;
    }
  } while (patience(&begin));
  return false;
}
