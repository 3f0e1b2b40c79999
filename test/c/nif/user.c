/* SPDX-License-Identifier: Apache-2.0 */
#include "user.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_uint failures;
static atomic_uint users;

void
check_that(bool condition, const char *text, const char *file, int line)
{
  if (!condition &&
      atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed) < 10) {
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
  }
}

unsigned
check_failures(void)
{
  return atomic_load_explicit(&failures, memory_order_relaxed);
}

void
user_init(struct user *user, struct fake_vm *vm, struct fake_library *library,
          const char *instance)
{
  user->vm = vm;
  user->self = fake_spawn(vm);
  user->env = fake_env_new(library, &user->self);
  user->instance = fake_atom(instance, strlen(instance));
  user->policy = 0;
  user->random = atomic_fetch_add_explicit(&users, 1, memory_order_relaxed) + 1;
}

void
user_deinit(struct user *user)
{
  fake_env_delete(user->env);
}

uint32_t
user_random(struct user *user, uint32_t below)
{
  user->random = user->random * UINT64_C(6364136223846793005) + 1442695041;
  return (uint32_t)(user->random >> 33) % below;
}

/*--------------------------------------------------------------------
 * Terms */

static ERL_NIF_TERM
atom(const char *name)
{
  return fake_atom(name, strlen(name));
}

#define BINARY_KEY "key:"
#define BINARY_KEY_SIZE (sizeof BINARY_KEY - 1)

bool
user_key_is_binary(uint32_t key)
{
  return key % 16 == 5;
}

static ERL_NIF_TERM
term_of_bytes(ErlNifEnv *env, const void *bytes, size_t size)
{
  ERL_NIF_TERM term;
  memcpy(enif_make_new_binary(env, size, &term), bytes, size);
  return term;
}

static ERL_NIF_TERM
term_of_key(ErlNifEnv *env, uint32_t key)
{
  if (user_key_is_binary(key)) {
    unsigned char bytes[BINARY_KEY_SIZE + sizeof key];
    memcpy(bytes, BINARY_KEY, BINARY_KEY_SIZE);
    memcpy(bytes + BINARY_KEY_SIZE, &key, sizeof key);
    return term_of_bytes(env, bytes, sizeof bytes);
  }
  const ERL_NIF_TERM number = enif_make_uint(env, key);
  if (key % 64 == 63) {
    return enif_make_tuple3(env, atom("k"), number,
                            enif_make_uint64(env, UINT64_MAX - key));
  }
  if (key % 8 != 7) {
    return enif_make_tuple2(env, atom("k"), number);
  }
  ERL_NIF_TERM map = enif_make_new_map(env);
  const ERL_NIF_TERM list =
    enif_make_list_cell(env, number, enif_make_double(env, (double)key));
  (void)enif_make_map_put(env, map, atom("b"), list, &map);
  (void)enif_make_map_put(env, map, atom("a"), number, &map);
  return enif_make_tuple3(env, atom("k"), number, map);
}

static uint32_t
key_of_term(ErlNifEnv *env, ERL_NIF_TERM term)
{
  int arity;
  const ERL_NIF_TERM *elements;
  unsigned key = UINT32_MAX;
  ErlNifBinary binary;
  if (enif_inspect_binary(env, term, &binary) != 0) {
    CHECK(binary.size == BINARY_KEY_SIZE + sizeof key);
    memcpy(&key, binary.data + BINARY_KEY_SIZE, sizeof key);
    return key;
  }
  CHECK(enif_get_tuple(env, term, &arity, &elements) != 0 && arity >= 2 &&
        elements[0] == atom("k") && enif_get_uint(env, elements[1], &key) != 0);
  return key;
}

/* What a value begins with: a binary in external format, of a size below 2^16,
 * then the key's number. */
struct value_head {
  unsigned char etf[4];
  unsigned char size[2];
  unsigned char key[4];
};

static void
value_head_init(struct value_head *head, uint32_t key, size_t size)
{
  const size_t all = size + sizeof head->key;
  *head = (struct value_head){ .etf = { 131, 109, 0, 0 },
                               .size = { (unsigned char)(all >> 8),
                                         (unsigned char)all } };
  memcpy(head->key, &key, sizeof head->key);
}

static ERL_NIF_TERM
value_of(ErlNifEnv *env, uint32_t key, size_t size, unsigned char fill)
{
  ERL_NIF_TERM term;
  struct value_head head;
  unsigned char *const bytes =
    enif_make_new_binary(env, sizeof head + size, &term);
  value_head_init(&head, key, size);
  memcpy(bytes, &head, sizeof head);
  memset(bytes + sizeof head, fill, size);
  return term;
}

static void
check_value(ErlNifEnv *env, uint32_t key, ERL_NIF_TERM term)
{
  ErlNifBinary binary;
  struct value_head head;
  const bool ours =
    enif_inspect_binary(env, term, &binary) != 0 && binary.size >= sizeof head;
  CHECK(ours);
  if (!ours) {
    return;
  }
  value_head_init(&head, key, binary.size - sizeof head);
  bool whole = memcmp(binary.data, &head, sizeof head) == 0;
  for (size_t i = sizeof head + 1; i < binary.size; i++) {
    whole = whole && binary.data[i] == binary.data[sizeof head];
  }
  CHECK(whole);
}

/* The same of a value that was decoded: what the binary has in it. */
static void
check_term(ErlNifEnv *env, uint32_t key, ERL_NIF_TERM term)
{
  ErlNifBinary binary;
  struct value_head head;
  const size_t skipped = offsetof(struct value_head, key);
  const bool ours = enif_inspect_binary(env, term, &binary) != 0 &&
                    binary.size >= sizeof head.key;
  CHECK(ours);
  if (!ours) {
    return;
  }
  value_head_init(&head, key, binary.size - sizeof head.key);
  bool whole = memcmp(binary.data, head.key, sizeof head.key) == 0;
  for (size_t i = sizeof head - skipped + 1; i < binary.size; i++) {
    whole = whole && binary.data[i] == binary.data[sizeof head - skipped];
  }
  CHECK(whole);
}

/* The parts of a tuple that begins with this atom, or NULL. */
static const ERL_NIF_TERM *
tagged(ErlNifEnv *env, ERL_NIF_TERM term, const char *tag)
{
  int arity;
  const ERL_NIF_TERM *elements;
  return enif_get_tuple(env, term, &arity, &elements) != 0 && arity > 1 &&
             elements[0] == atom(tag)
           ? elements
           : NULL;
}

/* An answer that every function may give, or USER_OK. */
static enum user_answer
refusal(ErlNifEnv *env, ERL_NIF_TERM term)
{
  if (term == 0) {
    return USER_KILLED;
  }
  const ERL_NIF_TERM *const invalid = tagged(env, term, "invalid");
  if (invalid == NULL) {
    return USER_OK;
  }
  CHECK(invalid[1] == atom("no_instance"));
  return USER_CLOSED;
}

/* A pid as a word, which is 1 for all of other nodes. */
static ERL_NIF_TERM
pid_word(ErlNifEnv *env, ERL_NIF_TERM term)
{
  ErlNifPid pid;
  CHECK(enif_is_pid(env, term) != 0);
  return enif_get_local_pid(env, term, &pid) != 0 ? term : 1;
}

/*--------------------------------------------------------------------
 * The instance */

ERL_NIF_TERM
user_ask_with(struct user *user, const char *name, ERL_NIF_TERM term)
{
  const ERL_NIF_TERM argv[] = { user->instance, term };
  return fake_call(user->env, name, 2, argv);
}

static ERL_NIF_TERM
ask_two(struct user *user, const char *name, ERL_NIF_TERM first,
        ERL_NIF_TERM second)
{
  const ERL_NIF_TERM argv[] = { user->instance, first, second };
  return fake_call(user->env, name, 3, argv);
}

ERL_NIF_TERM
user_ask(struct user *user, const char *name)
{
  return fake_call(user->env, name, 1, &user->instance);
}

/* Large messages, so that some are read on a dirty scheduler, and a vector
 * interval that does not make a test wait. */
enum user_answer
user_open(struct user *user)
{
  ErlNifEnv *const env = user->env;
  ERL_NIF_TERM options = enif_make_new_map(env);
  (void)enif_make_map_put(env, options, atom("message_bytes_max"),
                          enif_make_uint(env, 262144), &options);
  (void)enif_make_map_put(env, options, atom("window_bytes"),
                          enif_make_uint(env, 1048576), &options);
  (void)enif_make_map_put(env, options, atom("vector_interval_ms"),
                          enif_make_uint(env, 50), &options);
  if (user->policy != 0) {
    (void)enif_make_map_put(env, options, atom("policy"),
                            enif_make_uint(env, user->policy), &options);
  }
  const ERL_NIF_TERM term = user_ask_with(user, "open", options);
  const enum user_answer answer =
    term == atom("ok") || term == atom("adopted") ? USER_OK : USER_TAKEN;
  fake_env_clear(env);
  return answer;
}

enum user_answer
user_close(struct user *user)
{
  const enum user_answer answer = refusal(user->env, user_ask(user, "close"));
  fake_env_clear(user->env);
  return answer;
}

bool
user_sweep(struct user *user)
{
  return fake_call(user->env, "sweep", 0, NULL) == atom("more");
}

/*--------------------------------------------------------------------
 * Names */

static enum user_answer
register_answer(struct user *user, ERL_NIF_TERM term)
{
  ErlNifEnv *const env = user->env;
  const ERL_NIF_TERM *const error = tagged(env, term, "error");
  if (error == NULL) {
    const enum user_answer answer = refusal(env, term);
    CHECK(answer != USER_OK || tagged(env, term, "ok") != NULL);
    return answer;
  }
  if (error[1] == atom("not_alive")) {
    return USER_DEAD;
  }
  CHECK(tagged(env, error[1], "already_registered") != NULL);
  return USER_TAKEN;
}

enum user_answer
user_register(struct user *user, uint32_t key, const ErlNifPid *pid,
              size_t value_size)
{
  ErlNifEnv *const env = user->env;
  const ERL_NIF_TERM argv[] = { user->instance, term_of_key(env, key),
                                value_of(env, key, value_size, 'r'), pid->pid };
  const enum user_answer answer =
    register_answer(user, fake_call(env, "register", 4, argv));
  fake_env_clear(env);
  return answer;
}

enum user_answer
user_unregister(struct user *user, uint32_t key)
{
  ErlNifEnv *const env = user->env;
  const ERL_NIF_TERM term = ask_two(user, "unregister", term_of_key(env, key),
                                    enif_make_pid(env, &user->self));
  enum user_answer answer = refusal(env, term);
  if (answer == USER_OK && tagged(env, term, "ok") == NULL) {
    answer = term == atom("none") ? USER_NONE : USER_TAKEN;
  }
  fake_env_clear(env);
  return answer;
}

enum user_answer
user_update(struct user *user, uint32_t key, const ErlNifPid *pid)
{
  ErlNifEnv *const env = user->env;
  const ERL_NIF_TERM fetch[] = { user->instance, term_of_key(env, key),
                                 pid->pid };
  const ERL_NIF_TERM old = fake_call(env, "fetch", 3, fetch);
  enum user_answer answer = refusal(env, old);
  if (answer == USER_OK && old == atom("none")) {
    answer = USER_NONE;
  }
  int arity;
  const ERL_NIF_TERM *parts;
  if (answer == USER_OK && enif_get_tuple(env, old, &arity, &parts) != 0) {
    check_value(env, key, parts[0]);
    const uint32_t size = 1 + user_random(user, 200);
    const ERL_NIF_TERM update[] = {
      user->instance, fetch[1], pid->pid, parts[1],
      value_of(env, key, size, (unsigned char)size)
    };
    const ERL_NIF_TERM term = fake_call(env, "update", 5, update);
    answer = refusal(env, term);
    if (answer == USER_OK && term != atom("ok")) {
      CHECK(term == atom("none") || term == atom("changed"));
      answer = USER_NONE;
    }
  }
  fake_env_clear(env);
  return answer;
}

enum user_answer
user_whereis(struct user *user, uint32_t key, ERL_NIF_TERM *pid)
{
  ErlNifEnv *const env = user->env;
  const ERL_NIF_TERM term =
    user_ask_with(user, "whereis", term_of_key(env, key));
  enum user_answer answer = refusal(env, term);
  if (answer == USER_OK && term == atom("undefined")) {
    answer = USER_NONE;
  }
  if (answer == USER_OK) {
    *pid = pid_word(env, term);
  }
  fake_env_clear(env);
  return answer;
}

enum user_answer
user_lookup(struct user *user, uint32_t key, ERL_NIF_TERM *pid)
{
  ErlNifEnv *const env = user->env;
  const bool terms = user_random(user, 2) == 0;
  const ERL_NIF_TERM term =
    user_ask_with(user, terms ? "read" : "lookup", term_of_key(env, key));
  enum user_answer answer = refusal(env, term);
  ERL_NIF_TERM head;
  ERL_NIF_TERM tail;
  int arity;
  const ERL_NIF_TERM *parts;
  if (answer == USER_OK && enif_get_list_cell(env, term, &head, &tail) == 0) {
    answer = USER_NONE;
  }
  if (answer == USER_OK && enif_get_tuple(env, head, &arity, &parts) != 0) {
    *pid = pid_word(env, parts[0]);
    (terms ? check_term : check_value)(env, key, parts[1]);
  }
  fake_env_clear(env);
  return answer;
}

enum user_answer
user_count(struct user *user, uint64_t *count)
{
  const ERL_NIF_TERM term = user_ask(user, "count");
  const enum user_answer answer = refusal(user->env, term);
  ErlNifUInt64 number = 0;
  CHECK(answer != USER_OK || enif_get_uint64(user->env, term, &number) != 0);
  *count = number;
  fake_env_clear(user->env);
  return answer;
}

enum user_answer
user_keys(struct user *user, const ErlNifPid *pid, user_visit_fn visit,
          void *context, size_t *count)
{
  ErlNifEnv *const env = user->env;
  ERL_NIF_TERM term = user_ask_with(user, "keys", pid->pid);
  const enum user_answer answer = refusal(env, term);
  ERL_NIF_TERM head;
  *count = 0;
  while (answer == USER_OK &&
         enif_get_list_cell(env, term, &head, &term) != 0) {
    const uint32_t key = key_of_term(env, head);
    if (visit != NULL) {
      visit(context, key, pid->pid);
    }
    ++*count;
  }
  fake_env_clear(env);
  return answer;
}

static enum user_answer
scan(struct user *user, bool binaries, user_visit_fn visit, void *context)
{
  ErlNifEnv *const env = user->env;
  ErlNifUInt64 cursor = 0;
  for (;;) {
    const bool terms = user_random(user, 2) == 0;
    const ERL_NIF_TERM filter =
      binaries
        ? enif_make_tuple2(env, atom(terms ? "terms" : "prefix"),
                           term_of_bytes(env, BINARY_KEY, BINARY_KEY_SIZE))
        : atom(terms ? "terms" : "all");
    const ERL_NIF_TERM term =
      ask_two(user, "next", enif_make_uint64(env, cursor), filter);
    const enum user_answer answer = refusal(env, term);
    int arity;
    const ERL_NIF_TERM *parts;
    if (answer != USER_OK || enif_get_tuple(env, term, &arity, &parts) == 0) {
      fake_env_clear(env);
      return answer;
    }
    ERL_NIF_TERM list = parts[0];
    ERL_NIF_TERM head;
    const ERL_NIF_TERM *entry;
    while (enif_get_list_cell(env, list, &head, &list) != 0 &&
           enif_get_tuple(env, head, &arity, &entry) != 0) {
      const uint32_t key = key_of_term(env, entry[0]);
      (terms ? check_term : check_value)(env, key, entry[2]);
      visit(context, key, pid_word(env, entry[1]));
    }
    const bool more = enif_get_uint64(env, parts[1], &cursor) != 0;
    fake_env_clear(env);
    if (!more) {
      return USER_OK;
    }
  }
}

enum user_answer
user_scan(struct user *user, user_visit_fn visit, void *context)
{
  return scan(user, false, visit, context);
}

enum user_answer
user_scan_binaries(struct user *user, user_visit_fn visit, void *context)
{
  return scan(user, true, visit, context);
}

/*--------------------------------------------------------------------
 * Duplicate keys */

enum user_answer
user_holders(struct user *user, uint32_t key, user_visit_fn visit,
             void *context)
{
  ErlNifEnv *const env = user->env;
  ERL_NIF_TERM list = user_ask_with(user, "lookup", term_of_key(env, key));
  const enum user_answer answer = refusal(env, list);
  ERL_NIF_TERM head;
  int arity;
  const ERL_NIF_TERM *entry;
  while (answer == USER_OK &&
         enif_get_list_cell(env, list, &head, &list) != 0 &&
         enif_get_tuple(env, head, &arity, &entry) != 0) {
    check_value(env, key, entry[1]);
    visit(context, key, pid_word(env, entry[0]));
  }
  fake_env_clear(env);
  return answer;
}

enum user_answer
user_entries(struct user *user, uint32_t key, const ErlNifPid *pid,
             size_t *count)
{
  ErlNifEnv *const env = user->env;
  ERL_NIF_TERM list = ask_two(user, "entries", term_of_key(env, key), pid->pid);
  const enum user_answer answer = refusal(env, list);
  ERL_NIF_TERM head;
  int arity;
  const ERL_NIF_TERM *entry;
  *count = 0;
  while (answer == USER_OK &&
         enif_get_list_cell(env, list, &head, &list) != 0 &&
         enif_get_tuple(env, head, &arity, &entry) != 0) {
    check_value(env, key, entry[0]);
    ++*count;
  }
  fake_env_clear(env);
  return answer;
}

enum user_answer
user_leave(struct user *user, uint32_t key, const ErlNifPid *pid)
{
  ErlNifEnv *const env = user->env;
  const ERL_NIF_TERM term =
    ask_two(user, "unregister", term_of_key(env, key), pid->pid);
  enum user_answer answer = refusal(env, term);
  if (answer == USER_OK && tagged(env, term, "ok") == NULL) {
    answer = USER_NONE;
  }
  fake_env_clear(env);
  return answer;
}

/*--------------------------------------------------------------------
 * Changes */

static void
change_told(struct user *user, const ERL_NIF_TERM *parts, int arity,
            user_change_fn told, void *context)
{
  ErlNifEnv *const env = user->env;
  struct user_change change = { .type = USER_MEMBER };
  if (arity == 4) {
    told(context, &change);
    return;
  }
  CHECK(arity == 6);
  change.type = parts[0] == atom("registered") ? USER_REGISTERED
                : parts[0] == atom("updated")  ? USER_UPDATED
                                               : USER_UNREGISTERED;
  change.key = key_of_term(env, parts[2]);
  change.pid = pid_word(env, parts[3]);
  check_value(env, change.key, parts[4]);
  const ERL_NIF_TERM *before;
  if (parts[5] != atom("none") &&
      enif_get_tuple(env, parts[5], &arity, &before) != 0) {
    change.before = pid_word(env, before[0]);
    check_value(env, change.key, before[1]);
  }
  told(context, &change);
}

bool
user_changes(struct user *user, uint64_t *from, user_change_fn told,
             void *context)
{
  ErlNifEnv *const env = user->env;
  bool missed = false;
  bool more = true;
  while (more && !missed) {
    const ERL_NIF_TERM term =
      ask_two(user, "changes", enif_make_uint64(env, *from),
              enif_make_uint(env, 1 + user_random(user, 300)));
    int arity;
    const ERL_NIF_TERM *parts = NULL;
    CHECK(enif_get_tuple(env, term, &arity, &parts) != 0);
    missed = arity == 3;
    ErlNifUInt64 next = 0;
    CHECK(enif_get_uint64(env, parts[arity - 1], &next) != 0);
    ERL_NIF_TERM list = missed ? enif_make_list(env, 0) : parts[0];
    ERL_NIF_TERM head;
    more = next != *from;
    *from = next;
    while (enif_get_list_cell(env, list, &head, &list) != 0 &&
           enif_get_tuple(env, head, &arity, &parts) != 0) {
      change_told(user, parts, arity, told, context);
    }
    fake_env_clear(env);
  }
  return !missed;
}

enum user_answer
user_read(struct user *user)
{
  ErlNifEnv *const env = user->env;
  const enum user_answer answer = refusal(
    env, ask_two(user, "changes", enif_make_uint(env, user_random(user, 1000)),
                 enif_make_uint(env, 50)));
  fake_env_clear(env);
  return answer;
}

/*--------------------------------------------------------------------
 * Contests */

static ERL_NIF_TERM
field(ErlNifEnv *env, ERL_NIF_TERM map, const char *name)
{
  ERL_NIF_TERM value = 0;
  CHECK(enif_get_map_value(env, map, atom(name), &value) != 0);
  return value;
}

void
user_lose(struct user *user, ERL_NIF_TERM own, ERL_NIF_TERM other)
{
  ErlNifEnv *const env = user->env;
  const ERL_NIF_TERM argv[] = { user->instance, field(env, own, "birth"),
                                field(env, other, "actor"),
                                field(env, other, "birth"), atom("exit") };
  const ERL_NIF_TERM term = fake_call(env, "lose", 5, argv);
  CHECK(term == 0 || term == atom("ok") || term == atom("none"));
}
