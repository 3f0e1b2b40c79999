/* SPDX-License-Identifier: Apache-2.0 */
/* Fifty nodes at once.
 *
 * The other stories have a few nodes, and look at everything after each event.
 * What happens when a rack is switched on is a matter of numbers: all greet
 * all, all want the same name, everybody has something to tell to everybody.
 * So here are fifty replicas of their own, through the public interface alone,
 * with links that keep order and take a few milliseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holt/key.h>

#include "sim_story.h"

#define CROWD 50u
#define NAMES_EACH 20u
#define DELAY_MAX_MS 20u
#define UP_MAX_MS 30u
#define DEADLINE_MS 20000u
#define SLOTS 64u

struct letter {
  struct letter *next;
  unsigned from;
  unsigned to;
  bool hello;
  uint8_t header[HOLT_HEADER_BYTES];
  size_t size;
  uint8_t bytes[];
};

struct crowd {
  struct sim *sim;
  struct prng prng;
  uint64_t now_ms;
  struct heap heaps[CROWD];
  struct holt_replica *replicas[CROWD];
  char nodes[CROWD][16];
  uint32_t peers[CROWD][CROWD];
  uint64_t up_ms[CROWD][CROWD];
  uint64_t last_ms[CROWD][CROWD];
  struct letter *slots[SLOTS]; /* By the time of arrival. */
  struct letter **ends[SLOTS];
  unsigned conflicts;
  uint64_t messages;
};

static struct holt_time
time_of(const struct crowd *crowd, unsigned at)
{
  return (struct holt_time){ .mono_ms = 1000 + crowd->now_ms,
                             .wall_ms = 1700000000000 + at + crowd->now_ms };
}

static struct holt_member
member_of(const struct crowd *crowd, unsigned at)
{
  return (struct holt_member){ .name = (const uint8_t *)"r",
                               .name_size = 1,
                               .node = (const uint8_t *)crowd->nodes[at],
                               .node_size =
                                 (uint16_t)strlen(crowd->nodes[at]) };
}

/*--------------------------------------------------------------------
 * Links */

static void
letter_send(struct crowd *crowd, unsigned from, unsigned to, bool hello,
            const struct holt_effect *effect, const uint8_t *header)
{
  struct letter *const letter = malloc(sizeof *letter + effect->size);
  if (letter == NULL) {
    abort();
  }
  *letter = (struct letter){ .from = from,
                             .to = to,
                             .hello = hello,
                             .size = effect->size };
  memcpy(letter->bytes, effect->bytes, effect->size);
  if (header != NULL) {
    memcpy(letter->header, header, HOLT_HEADER_BYTES);
  }
  uint64_t at_ms = crowd->now_ms + 1 + prng_below(&crowd->prng, DELAY_MAX_MS);
  if (at_ms < crowd->last_ms[from][to]) {
    at_ms = crowd->last_ms[from][to];
  }
  crowd->last_ms[from][to] = at_ms;
  *crowd->ends[at_ms % SLOTS] = letter;
  crowd->ends[at_ms % SLOTS] = &letter->next;
  crowd->messages++;
}

static void
letter_take(struct crowd *crowd, const struct letter *letter)
{
  struct holt_replica *const replica = crowd->replicas[letter->to];
  const struct holt_time now = time_of(crowd, letter->to);
  if (letter->hello) {
    const struct holt_member member = member_of(crowd, letter->from);
    (void)holt_replica_hello(replica, &member, letter->bytes, letter->size,
                             &now, &crowd->peers[letter->to][letter->from]);
    return;
  }
  struct holt_message *message;
  if (holt_message_open(&message, &crowd->heaps[letter->to].mem, letter->header,
                        HOLT_HEADER_BYTES, letter->bytes, letter->size) != 0) {
    sim_fail(crowd->sim, "c%u sends what cannot be read", letter->from);
    return;
  }
  while (holt_replica_apply(replica, message, &now, 100) == HOLT_MORE) {
  }
  holt_message_close(message);
}

static void
letters_arrive(struct crowd *crowd)
{
  const unsigned slot = crowd->now_ms % SLOTS;
  struct letter *next = crowd->slots[slot];
  crowd->slots[slot] = NULL;
  crowd->ends[slot] = &crowd->slots[slot];
  while (next != NULL) {
    struct letter *const letter = next;
    next = letter->next;
    letter_take(crowd, letter);
    free(letter);
  }
}

static void
links_come_up(struct crowd *crowd)
{
  for (unsigned at = 0; at < CROWD; at++) {
    for (unsigned of = 0; of < CROWD; of++) {
      if (at != of && crowd->up_ms[at][of] == crowd->now_ms) {
        const struct holt_time now = time_of(crowd, at);
        const struct holt_member member = member_of(crowd, of);
        if (holt_replica_peer_up(crowd->replicas[at], &member, &now,
                                 &crowd->peers[at][of]) != 0) {
          abort();
        }
      }
    }
  }
}

static unsigned
peer_at(const struct crowd *crowd, unsigned at, uint32_t peer)
{
  unsigned of = 0;
  while (of < CROWD && (of == at || crowd->peers[at][of] != peer)) {
    of++;
  }
  return of;
}

static void
poll_all(struct crowd *crowd)
{
  for (unsigned at = 0; at < CROWD; at++) {
    const struct holt_time now = time_of(crowd, at);
    for (unsigned i = 0; i < 1000; i++) {
      struct holt_effect effect;
      holt_replica_poll(crowd->replicas[at], &now, &effect);
      if (effect.type == HOLT_EFFECT_NONE && effect.timeout_ms > 0) {
        break;
      }
      crowd->conflicts += effect.type == HOLT_EFFECT_CONFLICT ? 1 : 0;
      for (size_t j = 0; j < effect.target_count; j++) {
        const bool hello = effect.type == HOLT_EFFECT_HELLO;
        letter_send(crowd, at, peer_at(crowd, at, effect.targets[j].peer),
                    hello, &effect, hello ? NULL : effect.targets[j].header);
      }
    }
  }
}

/*--------------------------------------------------------------------
 * Names */

static size_t
key_of(const char *text, uint8_t key[32])
{
  const size_t size = strlen(text);
  const uint8_t head[5] = { 109, 0, 0, 0, (uint8_t)size };
  memcpy(key, head, sizeof head);
  memcpy(key + sizeof head, text, size);
  return sizeof head + size;
}

static void
name_register(struct crowd *crowd, unsigned at, const char *text)
{
  uint8_t key[32];
  const struct holt_registration registration = { .key = key,
                                                  .key_size = key_of(text, key),
                                                  .id = 1 };
  const struct holt_time now = time_of(crowd, at);
  if (holt_replica_register(crowd->replicas[at], &now, &registration, NULL) !=
      0) {
    sim_fail(crowd->sim, "c%u cannot register %s", at, text);
  }
}

static void
crowd_begin(struct crowd *crowd, struct sim *sim)
{
  crowd->sim = sim;
  prng_init(&crowd->prng, 50);
  for (unsigned i = 0; i < SLOTS; i++) {
    crowd->ends[i] = &crowd->slots[i];
  }
  for (unsigned at = 0; at < CROWD; at++) {
    heap_init(&crowd->heaps[at]);
    (void)snprintf(crowd->nodes[at], sizeof crowd->nodes[at], "c%u@x", at);
    struct holt_config config = { .mem = &crowd->heaps[at].mem,
                                  .member = member_of(crowd, at),
                                  .actor = 1000 + at,
                                  .creation = 1,
                                  .hash_seed = { 1 + at, 2 },
                                  .entropy = 77 + at,
                                  .policy = HOLT_POLICY_UNIQUE_KEEP_NEWEST };
    holt_tuning_init(&config.tuning);
    const struct holt_time now = time_of(crowd, at);
    if (holt_replica_new(&crowd->replicas[at], &config, &now) != 0 ||
        holt_replica_owner_add(crowd->replicas[at], 1, 0, 9) != 0) {
      abort();
    }
    name_register(crowd, at, "leader");
    for (unsigned i = 0; i < NAMES_EACH; i++) {
      char text[24];
      (void)snprintf(text, sizeof text, "%u of %u", i, at);
      name_register(crowd, at, text);
    }
    for (unsigned of = 0; of < CROWD; of++) {
      crowd->up_ms[at][of] = prng_below(&crowd->prng, UP_MAX_MS);
    }
  }
}

static void
crowd_end(struct crowd *crowd)
{
  for (unsigned i = 0; i < SLOTS; i++) {
    while (crowd->slots[i] != NULL) {
      struct letter *const letter = crowd->slots[i];
      crowd->slots[i] = letter->next;
      free(letter);
    }
  }
  for (unsigned at = 0; at < CROWD; at++) {
    holt_replica_delete(crowd->replicas[at]);
    sim_expect(crowd->sim, heap_is_clean(&crowd->heaps[at]), "all is freed");
    heap_deinit(&crowd->heaps[at]);
  }
}

/* All have all names, agree on who has the one, and know that it is so. */
static bool
is_one(const struct crowd *crowd)
{
  uint8_t key[32];
  const size_t size = key_of("leader", key);
  for (unsigned at = 0; at < CROWD; at++) {
    const struct holt_replica *const replica = crowd->replicas[at];
    struct holt_view view;
    struct holt_census census;
    holt_replica_census(replica, &census);
    if (census.known != CROWD || census.present != CROWD ||
        holt_replica_count(replica) != CROWD * NAMES_EACH + 1 ||
        !holt_replica_find(replica, key, size, &view) || view.actor != 1000 ||
        !holt_replica_in_sync(replica)) {
      return false;
    }
  }
  return true;
}

/* Fifty nodes are switched on in the same instant, each with names of its own
 * and one that all want: before long they are one, the oldest has it, and
 * everybody else is told, once. */
static void
sim_fifty_start_at_once(struct sim *sim)
{
  static struct crowd crowd;
  memset(&crowd, 0, sizeof crowd);
  crowd_begin(&crowd, sim);
  for (; crowd.now_ms < DEADLINE_MS && !sim->failed; crowd.now_ms++) {
    links_come_up(&crowd);
    letters_arrive(&crowd);
    poll_all(&crowd);
    if (crowd.now_ms % 50 == 0 && is_one(&crowd)) {
      break;
    }
  }
  sim_expect(sim, is_one(&crowd), "fifty become one");
  sim_expect(sim, crowd.conflicts == CROWD - 1, "all others are told");
  sim_expect(sim, crowd.now_ms <= 5000, "before long");
  printf("      one after %u ms and %u messages\n", (unsigned)crowd.now_ms,
         (unsigned)crowd.messages);
  crowd_end(&crowd);
}

const struct sim_story sim_crowd_stories[] = {
  SIM_STORY(sim_fifty_start_at_once, 2, NULL),
};

const size_t sim_crowd_story_count =
  sizeof sim_crowd_stories / sizeof sim_crowd_stories[0];
