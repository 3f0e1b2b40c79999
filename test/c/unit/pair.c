/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <string.h>

#include "heap.h"

void
pair_member(unsigned at, struct holt_member *member)
{
  static const uint8_t nodes[2][3] = { { 'a', '@', 'x' }, { 'b', '@', 'x' } };
  *member = (struct holt_member){ .name = (const uint8_t *)"reg",
                                  .name_size = 3,
                                  .node = nodes[at],
                                  .node_size = 3 };
}

int
pair_replica_new(struct pair *pair, unsigned at, uint64_t actor)
{
  struct holt_config config = { .mem = pair->mem,
                                .actor = actor,
                                .creation = 1,
                                .hash_seed = { 1, 2 },
                                .entropy = 100 + actor,
                                .policy = 1,
                                .tuning = pair->tuning };
  pair_member(at, &config.member);
  return holt_replica_new(&pair->replica[at], &config, &pair->now);
}

int
pair_init(struct pair *pair, struct holt_mem *mem)
{
  *pair = (struct pair){ .mem = mem, .budget = 1000 };
  pair->now = (struct holt_time){ .mono_ms = 1000, .wall_ms = 1000000 };
  holt_tuning_init(&pair->tuning);
  int rv = pair_replica_new(pair, 0, 10);
  if (rv == 0) {
    rv = pair_replica_new(pair, 1, 11);
  }
  if (rv != 0) {
    pair_deinit(pair);
  }
  return rv;
}

void
pair_deinit(struct pair *pair)
{
  for (unsigned i = 0; i < 2; i++) {
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
  for (unsigned i = 0; i < 2; i++) {
    struct holt_member other;
    pair_member(1 - i, &other);
    const int rv = holt_replica_peer_up(pair->replica[i], &other, &pair->now,
                                        &pair->peer[i]);
    if (rv != 0) {
      return rv;
    }
  }
  return 0;
}

void
pair_unlink(struct pair *pair)
{
  pair->cut = true;
  for (unsigned i = 0; i < 2; i++) {
    holt_replica_peer_down(pair->replica[i], pair->peer[i], HOLT_DOWN_LINK,
                           &pair->now);
  }
}

int
pair_apply(struct pair *pair, unsigned at, const uint8_t *header,
           const uint8_t *bytes, size_t size)
{
  struct holt_message *message;
  int rv = holt_message_open(&message, pair->mem, &pair->tuning, header,
                             HOLT_HEADER_BYTES, bytes, size);
  if (rv != 0) {
    holt_replica_refused(pair->replica[at], rv);
    return rv;
  }
  do {
    rv =
      holt_replica_apply(pair->replica[at], message, &pair->now, pair->budget);
  } while (rv == HOLT_MORE);
  holt_message_close(message);
  return rv;
}

static void
pair_send(struct pair *pair, unsigned from, const struct holt_effect *effect)
{
  if (pair->busy) {
    holt_replica_peer_busy(pair->replica[from], effect->targets[0].peer,
                           &pair->now);
    return;
  }
  memcpy(pair->header, effect->targets[0].header, HOLT_HEADER_BYTES);
  memcpy(pair->bytes, effect->bytes, effect->size);
  pair->size = effect->size;
  const bool hello = effect->type == HOLT_EFFECT_HELLO;
  pair->hellos += hello ? 1 : 0;
  pair->deltas += !hello && pair->bytes[0] == HOLT_PACKET_DELTA ? 1 : 0;
  pair->acks += !hello && pair->bytes[0] == HOLT_PACKET_ACK ? 1 : 0;
  pair->vectors += !hello && pair->bytes[0] == HOLT_PACKET_VECTOR ? 1 : 0;
  if (pair->cut) {
    return;
  }
  const unsigned to = 1 - from;
  int rv;
  if (hello) {
    struct holt_member member;
    pair_member(from, &member);
    rv = holt_replica_hello(pair->replica[to], &member, pair->bytes, pair->size,
                            &pair->now, &pair->peer[to]);
  } else {
    rv = pair_apply(pair, to, pair->header, pair->bytes, pair->size);
  }
  pair->refused = rv != 0 ? rv : pair->refused;
}

void
pair_run(struct pair *pair)
{
  unsigned idle = 0;
  for (unsigned turn = 0; idle < 2 && turn < 2000; turn++) {
    const unsigned at = turn % 2;
    struct holt_effect effect;
    holt_replica_poll(pair->replica[at], &pair->now, &effect);
    idle = effect.type == HOLT_EFFECT_NONE ? idle + 1 : 0;
    if (effect.type == HOLT_EFFECT_CONFLICT) {
      pair->conflicts[at]++;
    } else if (effect.type != HOLT_EFFECT_NONE) {
      pair_send(pair, at, &effect);
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
  const int rv =
    holt_replica_owner_add(pair->replica[at], process, 0, 1000 + process);
  if (rv != 0 && rv != HOLT_ERR_EXISTS) {
    return rv;
  }
  uint8_t key[64];
  const size_t size = pair_key(text, key);
  return holt_replica_register(pair->replica[at], &pair->now, key, size, NULL,
                               0, process, 0);
}

int
pair_unregister(struct pair *pair, unsigned at, const char *text)
{
  uint8_t key[64];
  const size_t size = pair_key(text, key);
  uint64_t seq;
  return holt_replica_unregister(pair->replica[at], key, size, &seq);
}

int
pair_update(struct pair *pair, unsigned at, const char *text, const char *value)
{
  uint8_t key[64];
  const size_t size = pair_key(text, key);
  struct holt_view view;
  if (!holt_replica_find(pair->replica[at], key, size, &view)) {
    return HOLT_ERR_NOT_FOUND;
  }
  uint8_t bytes[64] = { 131, 109, 0, 0, 0, (uint8_t)strlen(value) };
  memcpy(bytes + 6, value, strlen(value));
  return holt_replica_update(pair->replica[at], &pair->now, key, size, view.seq,
                             bytes, 6 + strlen(value));
}

uint64_t
pair_holder(const struct pair *pair, unsigned at, const char *text)
{
  uint8_t key[64];
  const size_t size = pair_key(text, key);
  struct holt_view view;
  return holt_replica_find(pair->replica[at], key, size, &view) ? view.actor
                                                                : 0;
}

bool
pair_equal(const struct pair *pair)
{
  for (unsigned i = 0; i < 2; i++) {
    const struct holt_actor *const self = pair->replica[i]->self;
    const struct holt_actor *const copy =
      holt_rows_actor(&pair->replica[1 - i]->rows, self->id);
    if (copy == NULL || copy->dirty || copy->version != self->version ||
        copy->fingerprint != self->fingerprint ||
        copy->row_count != self->row_count || !copy->shown) {
      return false;
    }
  }
  return true;
}
