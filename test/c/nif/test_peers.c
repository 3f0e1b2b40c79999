/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a peer come in while all else goes on. */
#include <sched.h>
#include <string.h>

#include "scenario.h"

void scenario_peers(void);
void scenario_conflicts(void);
void scenario_contests(void);
void scenario_takeover(void);
void scenario_unheard(void);

#define STABLE 500u
#define CHURN 100000u

/* Two nodes with one registry. */
struct pair {
  struct stage stages[2];
  struct host hosts[2];
  ErlNifPid owners[2];
  atomic_uint writers_left;
};

/* Half of a pair, for a thread. */
struct side {
  struct pair *pair;
  unsigned index;
};

static const char *const nodes[2] = { "a@host", "b@host" };

static void
pair_init(struct pair *pair, uint32_t policy)
{
  memset(pair, 0, sizeof *pair);
  for (unsigned i = 0; i < 2; i++) {
    struct stage *const stage = &pair->stages[i];
    stage_init(stage, nodes[i]);
    host_init(&pair->hosts[i], stage->vm, stage->library, "reg", nodes[1 - i]);
    pair->hosts[i].user.policy = policy;
    pair->owners[i] = fake_spawn(stage->vm);
  }
  host_link(&pair->hosts[0], &pair->hosts[1]);
  host_start(&pair->hosts[0]);
  host_start(&pair->hosts[1]);
}

static void
pair_deinit(struct pair *pair)
{
  host_stop(&pair->hosts[0]);
  host_stop(&pair->hosts[1]);
  for (unsigned i = 0; i < 2; i++) {
    host_deinit(&pair->hosts[i]);
    stage_deinit(&pair->stages[i], "reg");
  }
}

static void
user_of(struct user *user, struct pair *pair, unsigned index)
{
  user_init(user, pair->stages[index].vm, pair->stages[index].library, "reg");
}

static bool
pair_agrees(struct pair *pair, uint64_t count)
{
  struct user users[2];
  user_of(&users[0], pair, 0);
  user_of(&users[1], pair, 1);
  const bool agree = hosts_agree(&users[0], &users[1], count);
  user_deinit(&users[0]);
  user_deinit(&users[1]);
  return agree;
}

static void
writer_ends(struct pair *pair)
{
  if (atomic_fetch_sub_explicit(&pair->writers_left, 1, memory_order_relaxed) ==
      1) {
    stage_say_done(&pair->stages[0]);
  }
}

/*--------------------------------------------------------------------
 * Both write, both read */

static void *
write_side(void *argument)
{
  const struct side *const side = argument;
  struct pair *const pair = side->pair;
  struct fake_vm *const vm = pair->stages[side->index].vm;
  struct user user;
  user_of(&user, pair, side->index);
  const uint32_t first = CHURN * (side->index + 1);
  const uint32_t count = scaled(1500) < 4000 ? scaled(1500) : 4000;
  for (uint32_t round = 0; round < 3; round++) {
    const ErlNifPid mortal = fake_spawn(vm);
    for (uint32_t i = 0; i < count; i++) {
      const ErlNifPid *const owner =
        i % 2 == 0 ? &mortal : &pair->owners[side->index];
      CHECK(user_register(&user, first + i, owner, i % 400) == USER_OK);
      if (i % 3 == 0) {
        CHECK(user_update(&user, first + i, owner) == USER_OK);
      }
    }
    fake_exit(vm, &mortal);
    for (uint32_t i = 1; i < count; i += 2) {
      CHECK(user_unregister(&user, first + i) == USER_OK);
    }
  }
  user_deinit(&user);
  writer_ends(pair);
  return NULL;
}

struct seen {
  uint8_t stable[STABLE];
};

static void
see(void *context, uint32_t key, ERL_NIF_TERM pid)
{
  struct seen *const seen = context;
  if (key < STABLE) {
    seen->stable[key]++;
    CHECK(pid == 1); /* Of the other node. */
  }
}

/* The names of the other node that were there before are always there. */
static void *
read_side(void *argument)
{
  struct pair *const pair = argument;
  struct user user;
  user_of(&user, pair, 1);
  while (!stage_is_done(&pair->stages[0])) {
    ERL_NIF_TERM pid = 0;
    const uint32_t key = user_random(&user, STABLE);
    CHECK(user_lookup(&user, key, &pid) == USER_OK && pid == 1);
    CHECK(user_whereis(&user, key, &pid) == USER_OK && pid == 1);
    (void)user_lookup(&user, CHURN + user_random(&user, 1500), &pid);
    (void)user_lookup(&user, 2 * CHURN + user_random(&user, 1500), &pid);
    if (user_random(&user, 30) == 0) {
      struct seen seen = { .stable = { 0 } };
      CHECK(user_scan(&user, see, &seen) == USER_OK);
      for (uint32_t i = 0; i < STABLE; i++) {
        CHECK(seen.stable[i] == 1);
      }
      CHECK(user_ask(&user, "info") != 0);
      fake_env_clear(user.env);
    }
  }
  user_deinit(&user);
  return NULL;
}

/* What a copy has that is made of changes alone. */
struct told {
  struct pair *pair;
  uint64_t from;
  ERL_NIF_TERM holders[3 * CHURN];
};

static void
tell(void *context, const struct user_change *change)
{
  struct told *const told = context;
  CHECK(change->key < 3 * CHURN);
  ERL_NIF_TERM *const holder = &told->holders[change->key];
  if (change->type == USER_REGISTERED) {
    CHECK(*holder == change->before);
    *holder = change->pid;
  } else if (change->type == USER_UNREGISTERED) {
    CHECK(*holder == change->pid);
    *holder = 0;
  }
}

static void
read_changes(struct told *told)
{
  struct user user;
  user_of(&user, told->pair, 1);
  CHECK(user_changes(&user, &told->from, tell, told));
  user_deinit(&user);
}

static void *
watch_side(void *argument)
{
  struct told *const told = argument;
  while (!stage_is_done(&told->pair->stages[0])) {
    read_changes(told);
    sched_yield();
  }
  return NULL;
}

static void
check_told(void *context, uint32_t key, ERL_NIF_TERM pid)
{
  struct told *const told = context;
  CHECK(told->holders[key] == pid);
  told->holders[key] = 0;
}

/* Whoever was told of changes alone has what is there. */
static void
check_all_told(struct told *told)
{
  struct user user;
  user_of(&user, told->pair, 1);
  read_changes(told);
  CHECK(user_scan(&user, check_told, told) == USER_OK);
  for (uint32_t key = 0; key < 3 * CHURN; key++) {
    CHECK(told->holders[key] == 0);
  }
  user_deinit(&user);
}

static void
fill(struct pair *pair, uint32_t count, size_t value_size)
{
  struct user user;
  user_of(&user, pair, 0);
  for (uint32_t key = 0; key < count; key++) {
    CHECK(user_register(&user, key, &pair->owners[0], value_size) == USER_OK);
  }
  user_deinit(&user);
}

void
scenario_peers(void)
{
  static struct pair pair;
  static struct side sides[2] = { { &pair, 0 }, { &pair, 1 } };
  static struct told told;
  struct user user;
  pair_init(&pair, 0);
  memset(&told, 0, sizeof told);
  told.pair = &pair;
  user_of(&user, &pair, 1);
  CHECK(user_ask(&user, "watch") != 0);
  user_deinit(&user);
  fill(&pair, STABLE, 50);
  CHECK(pair_agrees(&pair, STABLE));
  atomic_store(&pair.writers_left, 2);
  stage_thread(&pair.stages[0], write_side, &sides[0]);
  stage_thread(&pair.stages[0], write_side, &sides[1]);
  stage_thread(&pair.stages[0], read_side, &pair);
  stage_thread(&pair.stages[0], read_side, &pair);
  stage_thread(&pair.stages[0], watch_side, &told);
  stage_join(&pair.stages[0]);
  CHECK(pair_agrees(&pair, STABLE));
  check_all_told(&told);
  pair_deinit(&pair);
}

/*--------------------------------------------------------------------
 * Both want the same names: who loses one is ended */

static void *
claim_side(void *argument)
{
  const struct side *const side = argument;
  struct pair *const pair = side->pair;
  struct user user;
  user_of(&user, pair, side->index);
  const uint32_t count = scaled(2000);
  for (uint32_t key = 0; key < count; key++) {
    const ErlNifPid owner = fake_spawn(user.vm);
    const enum user_answer answer = user_register(&user, key, &owner, 20);
    CHECK(answer == USER_OK || answer == USER_TAKEN);
    ERL_NIF_TERM pid;
    CHECK(user_lookup(&user, key, &pid) == USER_OK || answer == USER_OK);
  }
  user_deinit(&user);
  writer_ends(pair);
  return NULL;
}

struct held {
  uint64_t local;
  uint64_t remote;
};

static void
see_holder(void *context, uint32_t key, ERL_NIF_TERM pid)
{
  (void)key;
  struct held *const held = context;
  *(pid == 1 ? &held->remote : &held->local) += 1;
}

static void
claim_both(uint32_t policy)
{
  static struct pair pair;
  static struct side sides[2] = { { &pair, 0 }, { &pair, 1 } };
  pair_init(&pair, policy);
  CHECK(pair_agrees(&pair, 0));
  atomic_store(&pair.writers_left, 2);
  stage_thread(&pair.stages[0], claim_side, &sides[0]);
  stage_thread(&pair.stages[0], claim_side, &sides[1]);
  stage_join(&pair.stages[0]);
  CHECK(pair_agrees(&pair, scaled(2000)));
  struct held held[2] = { { 0, 0 }, { 0, 0 } };
  for (unsigned i = 0; i < 2; i++) {
    struct user user;
    user_of(&user, &pair, i);
    CHECK(user_scan(&user, see_holder, &held[i]) == USER_OK);
    user_deinit(&user);
  }
  CHECK(held[0].local == held[1].remote && held[0].remote == held[1].local);
  pair_deinit(&pair);
}

void
scenario_conflicts(void)
{
  claim_both(0);
}

/* The same where nobody wins by rank, but by what the hosts say. */
void
scenario_contests(void)
{
  claim_both(0x0201);
}

/*--------------------------------------------------------------------
 * A replica process is killed while it reads a message on a dirty scheduler.
 * It is dead at once and goes on; the next one takes its place meanwhile. */

#define TAKEOVER_NAMES 2000u

/* Then wait for a while, of any length. */
static void
see_it_die(struct host *host, struct user *user)
{
  while (fake_is_alive(host->user.vm, &host->user.self)) {
    sched_yield();
  }
  fake_exit(host->user.vm, &host->user.self);
  for (uint32_t i = user_random(user, 20); i > 0; i--) {
    sched_yield();
  }
}

/* Names come and go meanwhile, and wake whoever is the process then. */
static void *
nag(void *argument)
{
  struct pair *const pair = argument;
  struct user user;
  user_of(&user, pair, 1);
  for (uint32_t i = 0; i < 200; i++) {
    CHECK(user_register(&user, CHURN, &pair->owners[1], 10) == USER_OK);
    CHECK(user_unregister(&user, CHURN) == USER_OK);
  }
  user_deinit(&user);
  return NULL;
}

void
scenario_takeover(void)
{
  static struct pair pair;
  const uint32_t count = TAKEOVER_NAMES;
  pair_init(&pair, 0);
  fill(&pair, count, 300);
  CHECK(pair_agrees(&pair, count));
  host_stop(&pair.hosts[1]);
  struct user user;
  user_of(&user, &pair, 1);
  for (uint32_t round = 0; round < scaled(20); round++) {
    CHECK(user_close(&user) == USER_OK);
    while (user_sweep(&user)) {
    }
    /* Empty: it gets all of it in a few large messages. */
    struct host first;
    struct stage *const stage = &pair.stages[1];
    struct host *const second = &pair.hosts[1];
    host_init(&first, stage->vm, stage->library, "reg", nodes[0]);
    fake_doom(stage->vm, &first.user.self);
    host_deinit(second);
    host_init(second, stage->vm, stage->library, "reg", nodes[0]);
    second->other = &pair.hosts[0];
    host_link(&pair.hosts[0], &first);
    host_start(&first);
    see_it_die(&first, &user);
    pair.hosts[0].other = second;
    stage_thread(stage, nag, &pair);
    host_start(second); /* Adopts what the first one is still in. */
    stage_join(stage);
    CHECK(pair_agrees(&pair, count));
    host_stop(&first);
    host_stop(second);
    host_deinit(&first);
  }
  user_deinit(&user);
  host_start(&pair.hosts[1]);
  pair_deinit(&pair);
}

/*--------------------------------------------------------------------
 * Who is killed on a dirty scheduler does what it was doing, and sends nothing
 * any more: the replica process is not woken.  So the next one has to. */

#define ODD_KEY 63u /* Taken on a dirty scheduler. */
#define EVEN_KEY 64u

/* Until there is nothing left to do. */
static void
poll_all(struct user *user)
{
  const ERL_NIF_TERM *parts;
  int arity;
  ERL_NIF_TERM answer;
  do {
    answer = user_ask(user, "poll");
    CHECK(enif_get_tuple(user->env, answer, &arity, &parts) != 0);
  } while (parts[1] == fake_atom("again", 5));
  fake_env_clear(user->env);
}

/* How often the replica process is woken when this user gives a name back. */
static uint64_t
wakes(struct host *host, struct user *user, uint32_t key,
      enum user_answer answer)
{
  struct fake_vm *const vm = host->user.vm;
  const uint64_t before = fake_messages(vm, &host->user.self);
  CHECK(user_unregister(user, key) == answer);
  return fake_messages(vm, &host->user.self) - before;
}

void
scenario_unheard(void)
{
  static struct pair pair;
  pair_init(&pair, 0);
  fill(&pair, EVEN_KEY + 1, 10);
  CHECK(pair_agrees(&pair, EVEN_KEY + 1));
  /* What it is told, it does not do from now on. */
  struct host *const host = &pair.hosts[0];
  host_stop(host);
  poll_all(&host->user);
  struct user killed;
  struct user user;
  user_of(&killed, &pair, 0);
  user_of(&user, &pair, 0);
  fake_doom(killed.vm, &killed.self);
  CHECK(wakes(host, &killed, ODD_KEY, USER_KILLED) == 0);
  CHECK(wakes(host, &user, EVEN_KEY, USER_OK) == 1);
  CHECK(wakes(host, &user, EVEN_KEY - 2, USER_OK) == 0); /* It knows. */
  fake_exit(killed.vm, &killed.self);
  user_deinit(&killed);
  user_deinit(&user);
  host_start(host);
  CHECK(pair_agrees(&pair, EVEN_KEY - 2));
  pair_deinit(&pair);
}
