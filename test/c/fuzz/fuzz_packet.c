/* SPDX-License-Identifier: Apache-2.0 */
/* Packets, in the middle of a conversation: three replicas have met, and what a
 * stranger makes up is said in the name of one of them, between what they have
 * to say to each other.
 *
 *     head    kind of keys, and rule
 *     step    operation, and a piece: bytes, or nothing
 *
 * A message that is taken says the same when it is written again, and writing
 * is the same each time.  Whatever is taken, the stores of all three are whole
 * after each step, and nobody talks for ever.  What one of them says costs
 * nobody the copy of another, with whom all went well. */
#include "packet.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "pair.h"
#include "store.h"

enum {
  ENDS = 3,
  STEPS_MAX = 24,
  PATIENT = 0x40, /* In the head: wait, and look whether it is as it was. */
  PATIENCE_MS = 6000
};

/*--------------------------------------------------------------------
 * Written again */

static void
encode_items(struct holt_delta_writer *writer, struct holt_message *message)
{
  struct holt_delta_item item = { .type = HOLT_ITEM_ROW };
  uint8_t *keys[2] = { NULL, NULL };
  unsigned turn = 0;
  while (item.type != HOLT_ITEM_END) {
    FUZZ_CHECK(holt_message_next(message, &item) == 0);
    if (item.type == HOLT_ITEM_DEATH) {
      holt_delta_death(writer, item.birth, item.why);
    } else if (item.type == HOLT_ITEM_ROW) {
      /* The writer wants the key of the row before, the reader has one. */
      free(keys[turn]);
      keys[turn] = malloc(item.row.key_size + 1);
      FUZZ_CHECK(keys[turn] != NULL);
      memcpy(keys[turn], item.row.key, item.row.key_size);
      item.row.key = keys[turn];
      holt_delta_row(writer, &item.row);
      turn = 1 - turn;
    }
  }
  FUZZ_CHECK(holt_message_next(message, &item) == 0);
  FUZZ_CHECK(item.type == HOLT_ITEM_END);
  /* Not before the end is written; nothing more is compared with them. */
  writer->key_size = 0;
  free(keys[0]);
  free(keys[1]);
}

static int
encode_repair(struct holt_buf *out, struct holt_message *message)
{
  const struct holt_piece piece = {
    .actor = message->actor,
    .token = message->token,
    .session = message->session,
    .base = message->base,
    .after = message->after,
    .notes = message->notes,
    .refused = message->refused,
    .live = message->live_size > 0,
    .identity = message->has_identity ? &message->identity : NULL,
  };
  struct holt_delta_writer writer;
  holt_repair_begin(&writer, out, &piece);
  if (message->live_size > 0) {
    holt_repair_live(&writer, message->live_to,
                     message->body + message->live_offset, message->live_size);
  }
  encode_items(&writer, message);
  return holt_repair_end(&writer, message->to, message->as_of, message->last);
}

static int
encode_delta(struct holt_buf *out, struct holt_message *message)
{
  struct holt_delta_writer writer;
  holt_delta_begin(&writer, out, message->actor, message->after);
  encode_items(&writer, message);
  return holt_delta_end(&writer, message->to, message->as_of);
}

static int
encode_vector(struct holt_buf *out, const struct holt_message *message)
{
  int rv = holt_vector_encode(out, &message->u.vector);
  size_t offset = message->items_offset;
  for (size_t i = 0; i < message->u.vector.count && rv == 0; i++) {
    struct holt_vector_item item;
    holt_message_vector(message, &offset, &item);
    rv = holt_vector_item_encode(out, &item);
  }
  return rv;
}

static int
encode_ask(struct holt_buf *out, const struct holt_message *message)
{
  int rv = holt_ask_encode(out, &message->u.ask);
  size_t offset = message->items_offset;
  for (size_t i = 0; i < message->u.ask.count && rv == 0; i++) {
    rv = holt_ask_item_encode(out, holt_message_ask(message, &offset));
  }
  return rv;
}

static int
encode_vouch(struct holt_buf *out, const struct holt_message *message)
{
  int rv = holt_vouch_encode(out, &message->u.vouch);
  size_t offset = message->items_offset;
  for (size_t i = 0; i < message->u.vouch.count && rv == 0; i++) {
    struct holt_vouch_item item;
    holt_message_vouch(message, &offset, &item);
    rv = holt_vouch_item_encode(out, &item);
  }
  return rv;
}

static int
encode(struct holt_buf *out, struct holt_message *message)
{
  switch (message->kind) {
  case HOLT_PACKET_DELTA:
    return encode_delta(out, message);
  case HOLT_PACKET_REPAIR:
    return encode_repair(out, message);
  case HOLT_PACKET_ACK:
    return holt_ack_encode(out, &message->u.ack);
  case HOLT_PACKET_VECTOR:
    return encode_vector(out, message);
  case HOLT_PACKET_REQUEST:
    return holt_request_encode(out, &message->u.request);
  case HOLT_PACKET_LOST:
    return holt_lost_encode(out, &message->u.lost);
  case HOLT_PACKET_GOODBYE:
    return holt_bye_encode(out, &message->u.bye);
  case HOLT_PACKET_ASK:
    return encode_ask(out, message);
  case HOLT_PACKET_VOUCH:
    return encode_vouch(out, message);
  case HOLT_PACKET_PROBE:
  case HOLT_PACKET_ECHO:
    return holt_probe_encode(out, message->kind, &message->u.probe);
  case HOLT_PACKET_REACHED:
    return holt_reached_encode(out, &message->u.reached);
  }
  abort();
}

static bool
item_equal(const struct holt_delta_item *a, const struct holt_delta_item *b)
{
  const struct holt_row_spec *const x = &a->row;
  const struct holt_row_spec *const y = &b->row;
  if (a->type != b->type || a->type != HOLT_ITEM_ROW) {
    return a->type == b->type && a->birth == b->birth;
  }
  return x->seq == y->seq && x->birth == y->birth && x->stamp == y->stamp &&
         x->owner_id == y->owner_id && x->owner_serial == y->owner_serial &&
         x->flags == y->flags && x->replaces_actor == y->replaces_actor &&
         x->replaces_birth == y->replaces_birth && x->key_size == y->key_size &&
         x->value_size == y->value_size &&
         memcmp(x->key, y->key, x->key_size) == 0 &&
         (x->value_size == 0 || memcmp(x->value, y->value, x->value_size) == 0);
}

static struct holt_message *
open_again(struct holt_mem *mem, const uint8_t *header, const uint8_t *body,
           size_t size)
{
  struct holt_message *message;
  FUZZ_CHECK(holt_message_open(&message, mem, header, HOLT_HEADER_BYTES, body,
                               size) == 0);
  return message;
}

static bool
has_items(const struct holt_message *message)
{
  return message->kind == HOLT_PACKET_DELTA ||
         message->kind == HOLT_PACKET_REPAIR;
}

/* The items of one, one by one, are those of the other, in batches. */
static void
compare_items(struct holt_message *left, struct holt_message *right)
{
  struct holt_batch batch = { .count = 0 };
  struct holt_delta_item item;
  size_t at = 0;
  for (unsigned turn = 0;; turn++) {
    FUZZ_CHECK(holt_message_next(left, &item) == 0);
    if (at == batch.count) {
      FUZZ_CHECK(holt_message_batch(right, &batch, 1 + turn % 20) == 0);
      at = 0;
    }
    if (item.type == HOLT_ITEM_END) {
      FUZZ_CHECK(batch.count == 0);
      return;
    }
    FUZZ_CHECK(at < batch.count && item_equal(&item, &batch.items[at]));
    at++;
  }
}

/* What has been taken, written again. */
static void
check_message(struct holt_mem *mem, const uint8_t *header,
              const struct hex *body)
{
  struct holt_buf out;
  struct holt_buf twice;
  holt_buf_init(&out, mem, 0);
  holt_buf_init(&twice, mem, 0);
  struct holt_message *message =
    open_again(mem, header, body->bytes, body->size);
  FUZZ_CHECK(encode(&out, message) == 0);
  holt_message_close(message);
  if (out.size != body->size || memcmp(out.data, body->bytes, out.size) != 0) {
    message = open_again(mem, header, body->bytes, body->size);
    FUZZ_CHECK(has_items(message)); /* All others have one form. */
    struct holt_message *const again =
      open_again(mem, header, out.data, out.size);
    FUZZ_CHECK(again->kind == message->kind && again->to == message->to &&
               again->actor == message->actor &&
               again->after == message->after &&
               again->as_of == message->as_of &&
               again->clean == message->clean && again->last == message->last);
    compare_items(message, again);
    holt_message_close(again);
    holt_message_close(message);
    message = open_again(mem, header, out.data, out.size);
    FUZZ_CHECK(encode(&twice, message) == 0);
    FUZZ_CHECK(twice.size == out.size &&
               memcmp(twice.data, out.data, out.size) == 0);
    holt_message_close(message);
  }
  holt_buf_deinit(&twice);
  holt_buf_deinit(&out);
}

static void
check_hello(struct holt_mem *mem, const struct hex *bytes)
{
  struct holt_hello hello;
  if (holt_hello_decode(bytes->bytes, bytes->size, &hello) != 0) {
    return;
  }
  struct holt_buf out;
  holt_buf_init(&out, mem, 0);
  FUZZ_CHECK(holt_hello_encode(&out, &hello) == 0);
  FUZZ_CHECK(out.size == bytes->size &&
             memcmp(out.data, bytes->bytes, out.size) == 0);
  holt_buf_deinit(&out);
}

/*--------------------------------------------------------------------
 * Conversations */

struct talk {
  struct pair pair;
  struct heap heap;
  bool disturbed; /* The link between 0 and 2, or what is said on it. */
};

static void
check_stores(const struct talk *talk)
{
  for (unsigned i = 0; i < ENDS; i++) {
    store_check(&talk->pair.replica[i]->rows);
  }
}

/* In slices, and the bytes move in between. */
static void
apply(struct talk *talk, unsigned at, const uint8_t *header, struct hex *body)
{
  struct pair *const pair = &talk->pair;
  struct holt_replica *const replica = pair->replica[at];
  struct holt_message *message;
  int rv = holt_message_open(&message, &talk->heap.mem, header,
                             HOLT_HEADER_BYTES, body->bytes, body->size);
  if (rv != 0) {
    FUZZ_CHECK(rv != HOLT_ERR_NOMEM);
    holt_replica_refused(replica, header, HOLT_HEADER_BYTES, rv);
    return;
  }
  check_message(&talk->heap.mem, header, body);
  const struct holt_time now = pair_time(pair, at);
  while ((rv = holt_replica_apply(replica, message, &now, pair->budget)) ==
         HOLT_MORE) {
    const struct hex moved = hex_copy(body->bytes, body->size);
    holt_message_move(message, moved.bytes);
    hex_delete(body);
    *body = moved;
  }
  FUZZ_CHECK(rv == 0 || rv == HOLT_ERR_STALE || rv == HOLT_ERR_MALFORMED);
  holt_message_close(message);
}

/* A link that is not there has no sessions. */
static void
say(struct talk *talk, unsigned from, unsigned at, struct hex *body)
{
  const struct holt_peer *const peer = pair_peer(&talk->pair, at, from);
  if (peer != NULL) {
    uint8_t header[HOLT_HEADER_BYTES];
    pair_header(&talk->pair, from, at, header);
    apply(talk, at, header, body);
  }
}

static void
say_with_header(struct talk *talk, struct hex *bytes)
{
  if (bytes->size >= HOLT_HEADER_BYTES) {
    struct hex body = hex_copy(bytes->bytes + HOLT_HEADER_BYTES,
                               bytes->size - HOLT_HEADER_BYTES);
    apply(talk, 0, bytes->bytes, &body);
    hex_delete(&body);
  }
}

static void
hello(struct talk *talk, const struct hex *bytes)
{
  struct holt_member member;
  pair_member(1, &member);
  const struct holt_time now = pair_time(&talk->pair, 0);
  check_hello(&talk->heap.mem, bytes);
  uint32_t peer;
  if (holt_replica_hello(talk->pair.replica[0], &member, bytes->bytes,
                         bytes->size, &now, &peer) == 0) {
    talk->pair.peer[0][1] = peer;
  }
}

/* What the ends do by themselves. */
static void
act(struct talk *talk, const struct hex *piece)
{
  static const char *const texts[] = { "one", "two", "three", "four" };
  struct pair *const pair = &talk->pair;
  const uint8_t what = piece->size > 0 ? piece->bytes[0] : 0;
  const unsigned at = what / 16 % ENDS;
  const char *const text = texts[what / 64];
  switch (what % 8) {
  case 0:
    (void)pair_register(pair, at, text, 1 + what % 4);
    break;
  case 1:
    (void)pair_unregister(pair, at, text);
    break;
  case 2:
    (void)pair_update(pair, at, text, "another value");
    break;
  case 3:
    pair_disconnect(pair, 0, 1 + at % 2);
    talk->disturbed = true;
    break;
  case 4:
    FUZZ_CHECK(pair_connect(pair, 0, 1 + at % 2) == 0);
    break;
  case 5:
    pair_forget(pair, at);
    break;
  case 6:
    holt_replica_owner_dead(pair->replica[at], 1, 0);
    break;
  default:
    pair->budget = 1 + what / 8;
    break;
  }
}

static void
step(struct talk *talk, struct fuzz_input *input)
{
  const uint8_t code = fuzz_u8(input);
  struct hex piece = fuzz_piece(input);
  switch (code % 8) {
  case 0:
  case 1:
    say(talk, 1, 0, &piece);
    break;
  case 2:
    talk->disturbed = true;
    say(talk, 2, 0, &piece);
    break;
  case 3:
    hello(talk, &piece);
    break;
  case 4:
    talk->disturbed = true;
    say_with_header(talk, &piece);
    break;
  case 5:
    act(talk, &piece);
    break;
  case 6:
    pair_wait(&talk->pair, code / 8 * 10u);
    break;
  default:
    talk->pair.cut = !talk->pair.cut;
    talk->disturbed = true;
    break;
  }
  hex_delete(&piece);
  if (code < 128) {
    pair_run(&talk->pair);
  }
}

static void
talk_init(struct talk *talk, uint8_t head)
{
  static const uint64_t policies[] = { HOLT_POLICY_UNIQUE_KEEP_NEWEST,
                                       HOLT_POLICY_UNIQUE_KEEP_OLDEST,
                                       HOLT_POLICY_DUPLICATE };
  struct pair *const pair = &talk->pair;
  talk->disturbed = false;
  heap_init(&talk->heap);
  FUZZ_CHECK(
    pair_init_ends(pair, &talk->heap.mem, policies[head % 4 % 3], ENDS) == 0);
  FUZZ_CHECK(pair_connect(pair, 0, 1) == 0);
  FUZZ_CHECK(pair_connect(pair, 0, 2) == 0);
  pair_run(pair);
  for (unsigned i = 0; i < ENDS; i++) {
    FUZZ_CHECK(pair_register(pair, i, i == 0 ? "one" : "two", 1) == 0 || i > 1);
    pair_run(pair);
  }
}

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  struct fuzz_input input = fuzz_input(bytes, size);
  struct talk *const talk = malloc(sizeof *talk);
  FUZZ_CHECK(talk != NULL);
  const uint8_t head = fuzz_u8(&input);
  talk_init(talk, head);
  for (unsigned i = 0; i < STEPS_MAX && !fuzz_is_used_up(&input); i++) {
    step(talk, &input);
    check_stores(talk);
  }
  if ((head & PATIENT) != 0 && !talk->disturbed) {
    pair_wait(&talk->pair, PATIENCE_MS);
    FUZZ_CHECK(pair_has(&talk->pair, 0, 2) && pair_has(&talk->pair, 2, 0));
    FUZZ_CHECK(pair_copy(&talk->pair, 0, 2)->shown);
  }
  pair_wait(&talk->pair, 100);
  check_stores(talk);
  pair_deinit(&talk->pair);
  fuzz_heap_end(&talk->heap);
  free(talk);
}

/*--------------------------------------------------------------------
 * Seeds: what replicas really say, heard by a filter; one of each kind, and
 * whole conversations */

static struct holt_buf *heard; /* Of the seed that is being made. */
static struct holt_buf *kinds[PAIR_KINDS];

static bool
listen(struct pair *pair, unsigned from, unsigned to,
       const struct holt_effect *effect)
{
  (void)pair;
  if (to == 0) {
    const bool greeting = effect->type == HOLT_EFFECT_HELLO;
    const uint8_t code = (uint8_t)(greeting ? 3 : from);
    const unsigned kind = greeting ? 0 : effect->bytes[0];
    struct holt_buf *const outs[2] = { heard, kinds[kind] };
    for (unsigned i = 0; i < 2; i++) {
      if (i == 0 || outs[i]->size < 2) {
        holt_buf_put_u8(outs[i], code);
        fuzz_put_piece(outs[i], effect->bytes, effect->size);
      }
    }
  }
  return false;
}

static void
converse(struct pair *pair)
{
  for (unsigned i = 0; i < 12; i++) {
    char text[2] = { (char)('a' + i), 0 };
    (void)pair_register(pair, 1 + i % 2, text, 1 + i % 3);
    pair_run(pair);
  }
  (void)pair_update(pair, 1, "a", "more");
  (void)pair_unregister(pair, 1, "c");
  pair_wait(pair, 1500);
  pair_disconnect(pair, 0, 1);
  FUZZ_CHECK(pair_connect(pair, 1, 2) == 0);
  pair_wait(pair, 2500);
  (void)pair_register(pair, 1, "away", 1);
  pair_wait(pair, 1500);
  pair_forget(pair, 1);
  FUZZ_CHECK(pair_connect(pair, 0, 1) == 0);
  pair_wait(pair, 1500);
  holt_replica_goodbye(pair->replica[1], HOLT_GOODBYE_PAUSED);
  pair_run(pair);
}

void
fuzz_seeds(fuzz_seed seed)
{
  struct heap heap;
  heap_init(&heap);
  for (unsigned policy = 0; policy < 3; policy++) {
    struct holt_buf all[PAIR_KINDS + 1];
    for (unsigned i = 0; i <= PAIR_KINDS; i++) {
      holt_buf_init(&all[i], &heap.mem, 0);
      holt_buf_put_u8(&all[i], (uint8_t)policy);
    }
    heard = &all[PAIR_KINDS];
    for (unsigned i = 0; i < PAIR_KINDS; i++) {
      kinds[i] = &all[i];
    }
    struct talk *const talk = malloc(sizeof *talk);
    FUZZ_CHECK(talk != NULL);
    talk_init(talk, (uint8_t)policy);
    talk->pair.filter = listen;
    converse(&talk->pair);
    pair_deinit(&talk->pair);
    fuzz_heap_end(&talk->heap);
    free(talk);
    for (unsigned i = 0; i <= PAIR_KINDS; i++) {
      char name[16] = "kind-0-a";
      name[5] = (char)('0' + policy);
      name[7] = (char)('a' + i);
      if (all[i].size > 1) {
        seed(name, all[i].data, all[i].size < 4000 ? all[i].size : 4000);
      }
      holt_buf_deinit(&all[i]);
    }
  }
  fuzz_heap_end(&heap);
}
