/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

/* More than any test has to say without time passing. */
#define TURNS_MAX 100000u

void
pair_member(unsigned at, struct holt_member *member)
{
  static const char nodes[PAIR_ENDS][4] = { "a@x", "b@x", "c@x", "d@x", "b@x" };
  *member = (struct holt_member){ .name = (const uint8_t *)"reg",
                                  .name_size = 3,
                                  .node = (const uint8_t *)nodes[at],
                                  .node_size = 3 };
  if (at == 4) {
    member->name = (const uint8_t *)"reg2";
    member->name_size = 4;
  }
}

struct holt_time
pair_time(const struct pair *pair, unsigned at)
{
  return (struct holt_time){ .mono_ms = pair->now.mono_ms,
                             .wall_ms = (uint64_t)((int64_t)pair->now.wall_ms +
                                                   pair->skew_ms[at]) };
}

int
pair_replica_new(struct pair *pair, unsigned at, uint64_t actor)
{
  struct holt_config config = { .mem = pair->mem,
                                .actor = actor,
                                .creation = 1,
                                .hash_seed = { 1, 2 },
                                .entropy = 100 + actor,
                                .policy = pair->policy,
                                .tuning = pair->tuning };
  pair_member(at, &config.member);
  const struct holt_time now = pair_time(pair, at);
  return holt_replica_new(&pair->replica[at], &config, &now);
}

void
pair_begin(struct pair *pair, struct heap *heap, uint64_t policy, unsigned ends,
           unsigned met)
{
  heap_init(heap);
  CU_ASSERT_EQUAL_FATAL(pair_init_ends(pair, &heap->mem, policy, ends), 0);
  for (unsigned i = 0; i < met; i++) {
    for (unsigned j = i + 1; j < met; j++) {
      CU_ASSERT_EQUAL_FATAL(pair_connect(pair, i, j), 0);
    }
  }
  pair_run(pair);
}

void
pair_end(struct pair *pair, struct heap *heap)
{
  pair_deinit(pair);
  CU_ASSERT(heap_is_clean(heap));
  heap_deinit(heap);
}

int
pair_init(struct pair *pair, struct holt_mem *mem)
{
  return pair_init_ends(pair, mem, HOLT_POLICY_UNIQUE_KEEP_NEWEST, 2);
}

int
pair_init_ends(struct pair *pair, struct holt_mem *mem, uint64_t policy,
               unsigned ends)
{
  *pair =
    (struct pair){ .mem = mem, .ends = ends, .policy = policy, .budget = 1000 };
  pair->now = (struct holt_time){ .mono_ms = 1000, .wall_ms = 1000000 };
  holt_tuning_init(&pair->tuning);
  int rv = 0;
  for (unsigned i = 0; i < ends && rv == 0; i++) {
    rv = pair_replica_new(pair, i, 10 + i);
  }
  if (rv != 0) {
    pair_deinit(pair);
  }
  return rv;
}

void
pair_deinit(struct pair *pair)
{
  for (unsigned i = 0; i < PAIR_ENDS; i++) {
    if (pair->replica[i] != NULL) {
      holt_replica_delete(pair->replica[i]);
      pair->replica[i] = NULL;
    }
  }
}

int
pair_link(struct pair *pair)
{
  pair->cut = false;
  return pair_connect(pair, 0, 1);
}

int
pair_connect(struct pair *pair, unsigned left, unsigned right)
{
  const unsigned ends[2] = { left, right };
  for (unsigned i = 0; i < 2; i++) {
    const unsigned at = ends[i];
    struct holt_member other;
    pair_member(ends[1 - i], &other);
    const struct holt_time now = pair_time(pair, at);
    const int rv = holt_replica_peer_up(pair->replica[at], &other, &now,
                                        &pair->peer[at][ends[1 - i]]);
    if (rv != 0) {
      return rv;
    }
  }
  return 0;
}

int
pair_connect_all(struct pair *pair)
{
  int rv = 0;
  for (unsigned i = 0; i < pair->ends; i++) {
    for (unsigned j = i + 1; j < pair->ends && rv == 0; j++) {
      rv = pair_connect(pair, i, j);
    }
  }
  return rv;
}

void
pair_unlink(struct pair *pair)
{
  pair->cut = true;
  pair_disconnect(pair, 0, 1);
}

void
pair_disconnect(struct pair *pair, unsigned left, unsigned right)
{
  const struct holt_time times[2] = { pair_time(pair, left),
                                      pair_time(pair, right) };
  holt_replica_peer_down(pair->replica[left], pair->peer[left][right],
                         HOLT_DOWN_LINK, &times[0]);
  holt_replica_peer_down(pair->replica[right], pair->peer[right][left],
                         HOLT_DOWN_LINK, &times[1]);
}

int
pair_apply(struct pair *pair, unsigned at, const uint8_t *header,
           const uint8_t *bytes, size_t size)
{
  struct holt_message *message;
  int rv = holt_message_open(&message, pair->mem, header, HOLT_HEADER_BYTES,
                             bytes, size);
  if (rv != 0) {
    holt_replica_refused(pair->replica[at], header, HOLT_HEADER_BYTES, rv);
    return rv;
  }
  const struct holt_time now = pair_time(pair, at);
  do {
    rv = holt_replica_apply(pair->replica[at], message, &now, pair->budget);
  } while (rv == HOLT_MORE);
  holt_message_close(message);
  return rv;
}

void
pair_header(const struct pair *pair, unsigned from, unsigned at,
            uint8_t header[HOLT_HEADER_BYTES])
{
  const struct holt_peer *const peer = pair_peer(pair, at, from);
  const struct holt_header decoded = { .version = HOLT_PROTOCOL_MAX,
                                       .to_session = peer->session,
                                       .from_session = peer->remote_session };
  holt_header_encode(header, &decoded);
}

int
pair_apply_from(struct pair *pair, unsigned from, unsigned at,
                const uint8_t *bytes, size_t size)
{
  uint8_t header[HOLT_HEADER_BYTES];
  pair_header(pair, from, at, header);
  return pair_apply(pair, at, header, bytes, size);
}

/* Whom does this handle mean? */
static unsigned
end_of(const struct pair *pair, unsigned from, uint32_t handle)
{
  unsigned to = 0;
  while (to < pair->ends && (to == from || pair->peer[from][to] != handle)) {
    to++;
  }
  return to;
}

static void
deliver(struct pair *pair, unsigned from, unsigned to,
        const struct holt_effect *effect)
{
  int rv;
  if (effect->type == HOLT_EFFECT_HELLO) {
    struct holt_member member;
    pair_member(from, &member);
    const struct holt_time now = pair_time(pair, to);
    rv = holt_replica_hello(pair->replica[to], &member, pair->bytes, pair->size,
                            &now, &pair->peer[to][from]);
  } else {
    rv = pair_apply(pair, to, pair->header, pair->bytes, pair->size);
  }
  pair->refused = rv != 0 ? rv : pair->refused;
}

static void
pair_send(struct pair *pair, unsigned from, const struct holt_effect *effect)
{
  const struct holt_time now = pair_time(pair, from);
  for (size_t i = 0; i < effect->target_count; i++) {
    const unsigned to = end_of(pair, from, effect->targets[i].peer);
    if (pair->busy ||
        (pair->busy_every > 0 && ++pair->busy_turn % pair->busy_every == 0)) {
      holt_replica_peer_busy(pair->replica[from], effect->targets[i].peer,
                             &now);
      continue;
    }
    memcpy(pair->header, effect->targets[i].header, HOLT_HEADER_BYTES);
    memcpy(pair->bytes, effect->bytes, effect->size);
    pair->size = effect->size;
    if (effect->type == HOLT_EFFECT_HELLO) {
      pair->hellos++;
    } else {
      pair->sent[pair->bytes[0]]++;
      pair->bytes_sent[pair->bytes[0]] += pair->size;
    }
    const bool lost =
      pair->cut || to == pair->ends || pair->replica[to] == NULL ||
      (pair->filter != NULL && pair->filter(pair, from, to, effect));
    if (!lost) {
      deliver(pair, from, to, effect);
    }
  }
}

bool
pair_step(struct pair *pair, unsigned at)
{
  struct holt_effect effect = { .type = HOLT_EFFECT_NONE };
  if (pair->replica[at] != NULL) {
    const struct holt_time now = pair_time(pair, at);
    holt_replica_poll(pair->replica[at], &now, &effect);
  }
  if (effect.type == HOLT_EFFECT_CONFLICT) {
    pair->conflicts[at] += effect.replaced ? 0 : 1;
    pair->replaced[at] += effect.replaced ? 1 : 0;
    pair->last_loser = effect.loser.host;
  } else if (effect.type == HOLT_EFFECT_CONTEST) {
    pair->contests[at]++;
    if (pair->judge != NULL) {
      pair->judge(pair, at, &effect);
    }
  } else if (effect.type != HOLT_EFFECT_NONE) {
    pair_send(pair, at, &effect);
  }
  return effect.type != HOLT_EFFECT_NONE ||
         (pair->replica[at] != NULL && effect.timeout_ms == 0);
}

void
pair_run(struct pair *pair)
{
  unsigned idle = 0;
  for (unsigned turn = 0; idle < pair->ends; turn++) {
    idle = pair_step(pair, turn % pair->ends) ? 0 : idle + 1;
    if (turn == TURNS_MAX) {
      fprintf(stderr, "The ends talk for ever.\n");
      abort();
    }
  }
}

void
pair_wait(struct pair *pair, uint64_t duration_ms)
{
  const uint64_t step_ms = 10;
  for (uint64_t passed_ms = 0; passed_ms < duration_ms; passed_ms += step_ms) {
    pair->now.mono_ms += step_ms;
    pair->now.wall_ms += step_ms;
    pair_run(pair);
  }
}

struct holt_peer *
pair_peer(const struct pair *pair, unsigned at, unsigned other)
{
  struct holt_member member;
  pair_member(other, &member);
  return holt__peer_by_member(pair->replica[at], &member);
}

struct holt_actor *
pair_copy(const struct pair *pair, unsigned at, unsigned other)
{
  return holt_rows_actor(
    &pair->replica[at]->rows,
    pair->replica[other] != NULL ? pair->replica[other]->self->id : 10 + other);
}

struct holt_counters
pair_counters(const struct pair *pair, unsigned at)
{
  struct holt_counters counters;
  holt_replica_counters(pair->replica[at], &counters);
  return counters;
}

void
pair_forget(struct pair *pair, unsigned at)
{
  struct holt_replica *const replica = pair->replica[at];
  replica->deaths.base = replica->self->version;
  replica->deaths.count = 0;
}

int
pair_register_many(struct pair *pair, unsigned at, unsigned from, unsigned to)
{
  int rv = 0;
  for (unsigned i = from; i < to && rv == 0; i++) {
    char text[16];
    (void)snprintf(text, sizeof text, "name %u", i);
    rv = pair_register(pair, at, text, 1);
  }
  return rv;
}

size_t
pair_key(const char *text, uint8_t key[64])
{
  struct heap heap;
  heap_init(&heap);
  struct holt_key maker;
  holt_key_init(&maker, &heap.mem, 0);
  (void)holt_key_binary(&maker, text, strlen(text));
  const size_t size = holt_key_finish(&maker) == 0 ? holt_key_size(&maker) : 0;
  memcpy(key, holt_key_bytes(&maker), size);
  holt_key_deinit(&maker);
  heap_deinit(&heap);
  return size;
}

int
pair_register(struct pair *pair, unsigned at, const char *text,
              uint32_t process)
{
  return pair_register_as(pair, at, text, process, 0, 0, 0, NULL);
}

int
pair_register_as(struct pair *pair, unsigned at, const char *text,
                 uint32_t process, uint8_t flags, uint64_t actor,
                 uint64_t replaced, uint64_t *birth)
{
  const int rv =
    holt_replica_owner_add(pair->replica[at], process, 0, 1000 + process);
  if (rv != 0 && rv != HOLT_ERR_EXISTS) {
    return rv;
  }
  uint8_t key[64];
  const struct holt_registration registration = { .key = key,
                                                  .key_size =
                                                    pair_key(text, key),
                                                  .id = process,
                                                  .flags = flags,
                                                  .replaces_actor = actor,
                                                  .replaces_birth = replaced };
  const struct holt_time now = pair_time(pair, at);
  return holt_replica_register(pair->replica[at], &now, &registration, birth);
}

int
pair_unregister(struct pair *pair, unsigned at, const char *text)
{
  struct holt_view view;
  if (!pair_find(pair, at, text, &view) || !view.local) {
    return HOLT_ERR_NOT_FOUND;
  }
  uint64_t seq;
  return holt_replica_unregister(pair->replica[at], view.birth, &seq);
}

int
pair_update(struct pair *pair, unsigned at, const char *text, const char *value)
{
  struct holt_view view;
  if (!pair_find(pair, at, text, &view) || !view.local) {
    return HOLT_ERR_NOT_FOUND;
  }
  uint8_t bytes[64] = { 131, 109, 0, 0, 0, (uint8_t)strlen(value) };
  memcpy(bytes + 6, value, strlen(value));
  return holt_replica_update(pair->replica[at], view.birth, &view.seq, bytes,
                             6 + strlen(value));
}

bool
pair_find(const struct pair *pair, unsigned at, const char *text,
          struct holt_view *view)
{
  uint8_t key[64];
  const size_t size = pair_key(text, key);
  return holt_replica_find(pair->replica[at], key, size, view);
}

uint64_t
pair_holder(const struct pair *pair, unsigned at, const char *text)
{
  struct holt_view view;
  return pair_find(pair, at, text, &view) ? view.actor : 0;
}

uint32_t
pair_process(const struct pair *pair, unsigned at, const char *text)
{
  struct holt_view view;
  return pair_find(pair, at, text, &view) ? view.id : 0;
}

bool
pair_has(const struct pair *pair, unsigned at, unsigned other)
{
  const struct holt_actor *const self = pair->replica[other]->self;
  const struct holt_actor *const copy = pair_copy(pair, at, other);
  return copy != NULL && !copy->dirty && !copy->torn &&
         copy->version == self->version &&
         copy->fingerprint == self->fingerprint &&
         copy->row_count == self->row_count;
}

bool
pair_equal(const struct pair *pair)
{
  for (unsigned i = 0; i < pair->ends; i++) {
    for (unsigned j = 0; j < pair->ends; j++) {
      if (i != j && !(pair_has(pair, i, j) && pair_copy(pair, i, j)->shown)) {
        return false;
      }
    }
  }
  return true;
}

size_t
pair_serves(const struct pair *pair, unsigned at)
{
  size_t count = 0;
  for (const struct holt_serve *serve = pair->replica[at]->serves;
       serve != NULL; serve = serve->next) {
    count++;
  }
  return count;
}

size_t
pair_repairs(const struct pair *pair, unsigned at)
{
  size_t count = 0;
  for (const struct holt_repair *repair = pair->replica[at]->repairs;
       repair != NULL; repair = repair->next) {
    count++;
  }
  return count;
}
