/* SPDX-License-Identifier: Apache-2.0 */
#include "packet.h"

#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "pair.h"

struct sample {
  struct heap heap;
  struct holt_buf body;
  struct holt_tuning tuning;
  uint8_t header[HOLT_HEADER_BYTES];
};

static void
sample_init(struct sample *sample)
{
  heap_init(&sample->heap);
  holt_buf_init(&sample->body, &sample->heap.mem, 0);
  holt_tuning_init(&sample->tuning);
  const struct holt_header header = { .version = 1,
                                      .to_session = 5,
                                      .from_session = 6 };
  holt_header_encode(sample->header, &header);
}

static void
sample_deinit(struct sample *sample)
{
  holt_buf_deinit(&sample->body);
  CU_ASSERT(heap_is_clean(&sample->heap));
  heap_deinit(&sample->heap);
}

static int
sample_open(struct sample *sample, const uint8_t *body, size_t size,
            struct holt_message **message)
{
  return holt_message_open(message, &sample->heap.mem, sample->header,
                           sizeof sample->header, body, size);
}

/*--------------------------------------------------------------------
 * One body of each kind, with everything in it that a kind can have */

static void
put_rows(struct holt_delta_writer *writer, uint64_t seq, bool deaths)
{
  static uint8_t keys[3][64];
  static const char *const texts[3] = { "one", "only", "two" };
  static const uint8_t value[8] = { 131, 109, 0, 0, 0, 2, 7, 9 };
  if (deaths) {
    holt_delta_death(writer, 3, HOLT_REASON_USER);
    holt_delta_death(writer, 5, HOLT_REASON_USER);
    holt_delta_death(writer, 6, HOLT_REASON_USER);
  }
  for (unsigned i = 0; i < 3; i++) {
    const size_t size = pair_key(texts[i], keys[i]);
    const struct holt_row_spec row = {
      .seq = seq + 1 + i,
      .birth = i == 1 ? 2 : seq + 1 + i,
      .stamp = 1000 - i,
      .key = keys[i],
      .key_size = size,
      .value = i == 0 ? NULL : value,
      .value_size = i == 0 ? 0 : sizeof value,
      .owner_id = i == 1 ? 8 : 7,
      .flags = i == 2 ? HOLT_ROW_REPLACES | HOLT_ROW_EARLY : HOLT_ROW_STANDBY,
      .replaces_actor = i == 2 ? 99 : 0,
      .replaces_birth = i == 2 ? 12 : 0
    };
    holt_delta_row(writer, &row);
  }
}

static void
put_delta(struct holt_buf *body)
{
  struct holt_delta_writer writer;
  holt_delta_begin(&writer, body, 77, 10);
  put_rows(&writer, 10, true);
  (void)holt_delta_end(&writer, 20, 30);
}

static void
put_repair(struct holt_buf *body)
{
  struct holt_identity identity = { .creation = 4, .rule = HOLT_RULE_OLDEST };
  pair_member(2, &identity.member);
  const struct holt_piece piece = { .actor = 77,
                                    .token = 5,
                                    .session = 70000,
                                    .base = 10,
                                    .live = true,
                                    .identity = &identity };
  struct holt_delta_writer writer;
  holt_repair_begin(&writer, body, &piece);
  struct holt_buf live;
  holt_buf_init(&live, body->mem, 0);
  struct holt_liveset_writer set;
  holt_liveset_begin(&set, &live, 0, 1000);
  (void)holt_liveset_add(&set, 2);
  (void)holt_liveset_add(&set, 7);
  (void)holt_liveset_end(&set, 10);
  holt_repair_live(&writer, 10, live.data, live.size);
  put_rows(&writer, 10, true);
  (void)holt_repair_end(&writer, 20, 20, true);
  holt_buf_deinit(&live);
}

static void
put_vector(struct holt_buf *body)
{
  const struct holt_vector vector = { .wall_ms = 300,
                                      .digest = 9,
                                      .sent = 1000,
                                      .count = 2 };
  (void)holt_vector_encode(body, &vector);
  for (uint64_t i = 0; i < 2; i++) {
    const struct holt_vector_item item = { .actor = 1 + i,
                                           .connected = i == 1,
                                           .absent = i == 0,
                                           .absent_ms = 4000 * (1 - i),
                                           .version = i * HOLT_SEQ_MAX,
                                           .fingerprint = UINT64_MAX - i };
    (void)holt_vector_item_encode(body, &item);
  }
}

static void
put_ask(struct holt_buf *body)
{
  (void)holt_ask_encode(body, &(struct holt_ask){ .token = 8, .count = 2 });
  (void)holt_ask_item_encode(body, 77);
  (void)holt_ask_item_encode(body, UINT64_MAX);
}

static void
put_vouch(struct holt_buf *body)
{
  const struct holt_vouch vouch = { .token = 8,
                                    .whole = true,
                                    .count = HOLT_WORD_MAX + 1 };
  (void)holt_vouch_encode(body, &vouch);
  for (unsigned i = 0; i <= HOLT_WORD_MAX; i++) {
    const struct holt_vouch_item item = { .actor = 77 + i,
                                          .word = (enum holt_word)i,
                                          .age_ms = 300 * i,
                                          .version = HOLT_SEQ_MAX };
    (void)holt_vouch_item_encode(body, &item);
  }
}

static void
put_body(struct holt_buf *body, enum holt_packet_kind kind)
{
  holt_buf_clear(body);
  switch (kind) {
  case HOLT_PACKET_DELTA:
    put_delta(body);
    break;
  case HOLT_PACKET_ACK:
    (void)holt_ack_encode(body, &(struct holt_ack){ .actor = 77,
                                                    .cursor = HOLT_SEQ_MAX,
                                                    .gap = true,
                                                    .stop = true });
    break;
  case HOLT_PACKET_VECTOR:
    put_vector(body);
    break;
  case HOLT_PACKET_REQUEST:
    (void)holt_request_encode(body, &(struct holt_request){ .actor = 77,
                                                            .token = 5,
                                                            .base = 300,
                                                            .after = 70000,
                                                            .notes = 1,
                                                            .start = true,
                                                            .follow = true,
                                                            .done = true });
    break;
  case HOLT_PACKET_REPAIR:
    put_repair(body);
    break;
  case HOLT_PACKET_LOST:
    (void)holt_lost_encode(body,
                           &(struct holt_lost){ .actor = 77, .base = 300 });
    break;
  case HOLT_PACKET_GOODBYE:
    (void)holt_bye_encode(
      body, &(struct holt_bye){ .actor = 77, .goodbye = HOLT_GOODBYE_PAUSED });
    break;
  case HOLT_PACKET_ASK:
    put_ask(body);
    break;
  case HOLT_PACKET_VOUCH:
    put_vouch(body);
    break;
  case HOLT_PACKET_PROBE:
  case HOLT_PACKET_ECHO:
    (void)holt_probe_encode(body, kind, &(struct holt_probe){ .number = 300 });
    break;
  case HOLT_PACKET_REACHED:
    (void)holt_reached_encode(
      body, &(struct holt_reached){ .actor = 77, .cursor = HOLT_SEQ_MAX });
    break;
  }
}

/*--------------------------------------------------------------------
 * Round trips */

static void
check_rows(struct holt_message *message)
{
  struct holt_delta_item item;
  const uint64_t deaths[3] = { 3, 5, 6 };
  for (unsigned i = 0; i < 3; i++) {
    CU_ASSERT_EQUAL(holt_message_next(message, &item), 0);
    CU_ASSERT_EQUAL(item.type, HOLT_ITEM_DEATH);
    CU_ASSERT_EQUAL(item.birth, deaths[i]);
  }
  for (unsigned i = 0; i < 3; i++) {
    CU_ASSERT_EQUAL(holt_message_next(message, &item), 0);
    CU_ASSERT_EQUAL(item.type, HOLT_ITEM_ROW);
    CU_ASSERT_EQUAL(item.row.seq, 11 + i);
    CU_ASSERT_EQUAL(item.row.birth, i == 1 ? 2 : 11 + i);
    CU_ASSERT_EQUAL(item.row.stamp, 1000 - i);
    CU_ASSERT_EQUAL(item.row.flags, i == 2 ? 5 : 2);
    CU_ASSERT_EQUAL(item.row.replaces_actor, i == 2 ? 99 : 0);
    CU_ASSERT_EQUAL(item.row.replaces_birth, i == 2 ? 12 : 0);
    CU_ASSERT_EQUAL(item.row.value_size, i == 0 ? 0 : 8);
  }
  CU_ASSERT_EQUAL(holt_message_next(message, &item), 0);
  CU_ASSERT_EQUAL(item.type, HOLT_ITEM_END);
}

static void
check_vector(const struct holt_message *message)
{
  CU_ASSERT_EQUAL(message->u.vector.wall_ms, 300);
  CU_ASSERT_EQUAL(message->u.vector.digest, 9);
  CU_ASSERT_EQUAL(message->u.vector.sent, 1000);
  CU_ASSERT_EQUAL_FATAL(message->u.vector.count, 2);
  size_t offset = message->items_offset;
  for (uint64_t i = 0; i < 2; i++) {
    struct holt_vector_item item;
    holt_message_vector(message, &offset, &item);
    CU_ASSERT_EQUAL(item.actor, 1 + i);
    CU_ASSERT_EQUAL(item.connected, i == 1);
    CU_ASSERT_EQUAL(item.absent, i == 0);
    CU_ASSERT_EQUAL(item.absent_ms, i == 0 ? 4000 : 0);
    CU_ASSERT_EQUAL(item.version, i * HOLT_SEQ_MAX);
    CU_ASSERT_EQUAL(item.fingerprint, UINT64_MAX - i);
  }
}

static void
check_vouch(const struct holt_message *message)
{
  const struct holt_vouch *const vouch = &message->u.vouch;
  CU_ASSERT_EQUAL(vouch->token, 8);
  CU_ASSERT(vouch->whole);
  CU_ASSERT_EQUAL_FATAL(vouch->count, HOLT_WORD_MAX + 1);
  size_t offset = message->items_offset;
  for (unsigned i = 0; i <= HOLT_WORD_MAX; i++) {
    struct holt_vouch_item item;
    holt_message_vouch(message, &offset, &item);
    CU_ASSERT_EQUAL(item.actor, 77 + i);
    CU_ASSERT_EQUAL(item.word, i);
    CU_ASSERT_EQUAL(item.age_ms, 300 * i);
    CU_ASSERT_EQUAL(item.version, HOLT_SEQ_MAX);
  }
}

static void
check_repair(struct holt_message *message)
{
  struct holt_member member;
  pair_member(2, &member);
  CU_ASSERT_EQUAL(message->token, 5);
  CU_ASSERT_EQUAL(message->session, 70000);
  CU_ASSERT_EQUAL(message->base, 10);
  CU_ASSERT_EQUAL(message->after, 0);
  CU_ASSERT_EQUAL(message->live_to, 10);
  CU_ASSERT_EQUAL(message->to, 20);
  CU_ASSERT(message->last && message->has_identity && !message->refused);
  CU_ASSERT(holt_member_equal(&message->identity.member, &member));
  CU_ASSERT_EQUAL(message->identity.creation, 4);
  CU_ASSERT_EQUAL(message->identity.rule, HOLT_RULE_OLDEST);
  for (uint64_t seq = 1; seq <= 10; seq++) {
    CU_ASSERT_EQUAL(holt_liveset_has(&message->live, seq),
                    seq == 2 || seq == 7);
  }
  check_rows(message);
}

static void
check_body(struct holt_message *message)
{
  switch (message->kind) {
  case HOLT_PACKET_DELTA:
    CU_ASSERT_EQUAL(message->after, 10);
    CU_ASSERT_EQUAL(message->to, 20);
    CU_ASSERT_EQUAL(message->as_of, 30);
    CU_ASSERT(!message->clean);
    check_rows(message);
    break;
  case HOLT_PACKET_ACK:
    CU_ASSERT_EQUAL(message->u.ack.actor, 77);
    CU_ASSERT_EQUAL(message->u.ack.cursor, HOLT_SEQ_MAX);
    CU_ASSERT(message->u.ack.gap && message->u.ack.stop);
    break;
  case HOLT_PACKET_VECTOR:
    check_vector(message);
    break;
  case HOLT_PACKET_REQUEST:
    CU_ASSERT_EQUAL(message->u.request.token, 5);
    CU_ASSERT(message->u.request.follow);
    CU_ASSERT_EQUAL(message->u.request.base, 300);
    CU_ASSERT_EQUAL(message->u.request.after, 70000);
    CU_ASSERT_EQUAL(message->u.request.notes, 1);
    CU_ASSERT(message->u.request.start && message->u.request.done);
    CU_ASSERT(!message->u.request.gap);
    break;
  case HOLT_PACKET_REPAIR:
    check_repair(message);
    break;
  case HOLT_PACKET_LOST:
    CU_ASSERT_EQUAL(message->u.lost.actor, 77);
    CU_ASSERT_EQUAL(message->u.lost.base, 300);
    break;
  case HOLT_PACKET_GOODBYE:
    CU_ASSERT_EQUAL(message->u.bye.actor, 77);
    CU_ASSERT_EQUAL(message->u.bye.goodbye, HOLT_GOODBYE_PAUSED);
    break;
  case HOLT_PACKET_ASK: {
    size_t offset = message->items_offset;
    CU_ASSERT_EQUAL(message->u.ask.token, 8);
    CU_ASSERT_EQUAL_FATAL(message->u.ask.count, 2);
    CU_ASSERT_EQUAL(holt_message_ask(message, &offset), 77);
    CU_ASSERT_EQUAL(holt_message_ask(message, &offset), UINT64_MAX);
    break;
  }
  case HOLT_PACKET_VOUCH:
    check_vouch(message);
    break;
  case HOLT_PACKET_PROBE:
  case HOLT_PACKET_ECHO:
    CU_ASSERT_EQUAL(message->u.probe.number, 300);
    break;
  case HOLT_PACKET_REACHED:
    CU_ASSERT_EQUAL(message->u.reached.actor, 77);
    CU_ASSERT_EQUAL(message->u.reached.cursor, HOLT_SEQ_MAX);
    break;
  }
}

/* What is written of each kind is read; the bytes may move in between. */
static void
each_kind_round_trips(void)
{
  struct sample sample;
  sample_init(&sample);
  for (unsigned kind = HOLT_PACKET_DELTA; kind <= HOLT_PACKET_REACHED; kind++) {
    put_body(&sample.body, (enum holt_packet_kind)kind);
    CU_ASSERT_EQUAL(sample.body.error, 0);
    struct holt_message *message;
    CU_ASSERT_EQUAL_FATAL(
      sample_open(&sample, sample.body.data, sample.body.size, &message), 0);
    CU_ASSERT_EQUAL(message->kind, kind);
    CU_ASSERT_EQUAL(message->header.to_session, 5);
    CU_ASSERT_EQUAL(message->header.from_session, 6);
    uint8_t *const moved = malloc(sample.body.size);
    memcpy(moved, sample.body.data, sample.body.size);
    memset(sample.body.data, 0xaa, sample.body.size);
    holt_message_move(message, moved);
    check_body(message);
    holt_message_close(message);
    free(moved);
  }
  sample_deinit(&sample);
}

/*--------------------------------------------------------------------
 * Bytes of strangers */

/* Each beginning of each kind is refused, and so is anything behind it. */
static void
each_truncation_is_refused(void)
{
  struct sample sample;
  sample_init(&sample);
  struct holt_message *message;
  for (unsigned kind = HOLT_PACKET_DELTA; kind <= HOLT_PACKET_REACHED; kind++) {
    put_body(&sample.body, (enum holt_packet_kind)kind);
    for (size_t size = 0; size < sample.body.size; size++) {
      /* A block of its own, so that a byte too far is seen. */
      uint8_t *const part = malloc(size == 0 ? 1 : size);
      memcpy(part, sample.body.data, size);
      CU_ASSERT_EQUAL(sample_open(&sample, part, size, &message),
                      HOLT_ERR_MALFORMED);
      free(part);
    }
    holt_buf_put_u8(&sample.body, 0);
    CU_ASSERT_EQUAL(
      sample_open(&sample, sample.body.data, sample.body.size, &message),
      HOLT_ERR_MALFORMED);
  }
  sample_deinit(&sample);
}

/* Read all there is; what the headers promise holds of every item. */
static bool
read_all(struct holt_message *message)
{
  if (message->kind == HOLT_PACKET_VECTOR) {
    size_t offset = message->items_offset;
    for (size_t i = 0; i < message->u.vector.count; i++) {
      struct holt_vector_item item;
      holt_message_vector(message, &offset, &item);
    }
  }
  if (message->kind == HOLT_PACKET_ASK) {
    size_t offset = message->items_offset;
    for (size_t i = 0; i < message->u.ask.count; i++) {
      (void)holt_message_ask(message, &offset);
    }
  }
  if (message->kind == HOLT_PACKET_VOUCH) {
    size_t offset = message->items_offset;
    for (size_t i = 0; i < message->u.vouch.count; i++) {
      struct holt_vouch_item item;
      holt_message_vouch(message, &offset, &item);
    }
  }
  if (message->kind != HOLT_PACKET_DELTA &&
      message->kind != HOLT_PACKET_REPAIR) {
    return true;
  }
  bool good = message->after <= message->to && message->to <= message->as_of &&
              message->as_of <= HOLT_SEQ_MAX && message->live_to <= message->to;
  if (message->live_size > 0) {
    while (holt_liveset_next(&message->live)) {
    }
    good =
      good && message->live.error == 0 && message->live.to == message->live_to;
  }
  struct holt_delta_item item = { .type = HOLT_ITEM_ROW };
  uint64_t seq =
    message->kind == HOLT_PACKET_REPAIR ? message->base : message->after;
  for (unsigned steps = 0; good && item.type != HOLT_ITEM_END; steps++) {
    good = holt_message_next(message, &item) == 0 &&
           steps <= HOLT_DELTA_DEATHS_MAX + 100u;
    if (good && item.type == HOLT_ITEM_ROW) {
      good = item.row.seq > seq && item.row.seq <= message->to &&
             item.row.birth >= 1 && item.row.birth <= item.row.seq &&
             (item.row.flags & ~HOLT_ROW_FLAGS) == 0;
      seq = item.row.seq;
    } else if (good && item.type == HOLT_ITEM_DEATH) {
      good = item.birth >= 1 && item.birth <= HOLT_SEQ_MAX;
    }
  }
  return good;
}

/* Every byte of every kind changed to every value: refused, or read to the end
 * without harm. */
static void
each_mutation_does_no_harm(void)
{
  struct sample sample;
  sample_init(&sample);
  unsigned taken = 0;
  bool good = true;
  for (unsigned kind = HOLT_PACKET_DELTA; kind <= HOLT_PACKET_REACHED; kind++) {
    put_body(&sample.body, (enum holt_packet_kind)kind);
    uint8_t *const bytes = malloc(sample.body.size);
    memcpy(bytes, sample.body.data, sample.body.size);
    for (size_t at = 0; at < sample.body.size; at++) {
      for (unsigned value = 0; value < 256; value++) {
        bytes[at] = (uint8_t)value;
        struct holt_message *message;
        if (sample_open(&sample, bytes, sample.body.size, &message) == 0) {
          good = read_all(message) && good;
          taken++;
          holt_message_close(message);
        }
      }
      bytes[at] = sample.body.data[at];
    }
    free(bytes);
  }
  CU_ASSERT(good);
  CU_ASSERT(taken > 1000);
  sample_deinit(&sample);
}

static int
open_body(struct sample *sample)
{
  struct holt_message *message;
  const int rv =
    sample_open(sample, sample->body.data, sample->body.size, &message);
  if (rv == 0) {
    holt_message_close(message);
  }
  return rv;
}

/* A vector of more items than allowed is refused before they are read, and one
 * of fewer than it says is. */
static void
vectors_are_bounded(void)
{
  struct sample sample;
  sample_init(&sample);
  const uint64_t counts[] = { HOLT_VECTOR_ITEMS_MAX, HOLT_VECTOR_ITEMS_MAX + 1,
                              UINT64_MAX, 3 };
  const int expected[] = { 0, HOLT_ERR_LIMIT, HOLT_ERR_LIMIT,
                           HOLT_ERR_MALFORMED };
  for (unsigned i = 0; i < 4; i++) {
    holt_buf_clear(&sample.body);
    holt_buf_put_u8(&sample.body, HOLT_PACKET_VECTOR);
    holt_buf_put_varint(&sample.body, 1);
    holt_buf_put_u64be(&sample.body, 1);
    holt_buf_put_varint(&sample.body, 1);
    holt_buf_put_varint(&sample.body, counts[i]);
    const uint64_t items = i == 0 ? counts[i] : 2;
    for (uint64_t k = 0; k < items; k++) {
      const struct holt_vector_item item = { .actor = 1 + k };
      CU_ASSERT_EQUAL(holt_vector_item_encode(&sample.body, &item), 0);
    }
    CU_ASSERT_EQUAL(open_body(&sample), expected[i]);
  }
  /* A version that nobody can have; an actor that nobody is. */
  for (unsigned i = 0; i < 2; i++) {
    holt_buf_clear(&sample.body);
    const struct holt_vector vector = { .count = 1 };
    CU_ASSERT_EQUAL(holt_vector_encode(&sample.body, &vector), 0);
    const struct holt_vector_item item = { .actor = i,
                                           .version = HOLT_SEQ_MAX + i };
    CU_ASSERT_EQUAL(holt_vector_item_encode(&sample.body, &item), 0);
    CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_MALFORMED);
  }
  sample_deinit(&sample);
}

/* Headers of another protocol, kinds that nobody knows, bodies larger than any
 * can be. */
static void
foreign_messages_are_refused(void)
{
  struct sample sample;
  sample_init(&sample);
  put_body(&sample.body, HOLT_PACKET_ACK);
  struct holt_message *message;
  for (unsigned version = 0; version < 4; version++) {
    sample.header[0] = (uint8_t)version;
    CU_ASSERT_EQUAL(open_body(&sample), version == 1 ? 0 : HOLT_ERR_VERSION);
  }
  sample.header[0] = 1;
  for (size_t size = 0; size < HOLT_HEADER_BYTES; size++) {
    CU_ASSERT_EQUAL(holt_message_open(&message, &sample.heap.mem, sample.header,
                                      size, sample.body.data, sample.body.size),
                    HOLT_ERR_MALFORMED);
  }
  for (unsigned kind = 0; kind < 256; kind++) {
    if (kind < HOLT_PACKET_DELTA || kind > HOLT_PACKET_REACHED) {
      const uint8_t unknown = (uint8_t)kind;
      CU_ASSERT_EQUAL(sample_open(&sample, &unknown, 1, &message),
                      HOLT_ERR_UNSUPPORTED);
    }
  }
  const size_t size = (size_t)HOLT_MESSAGE_BYTES_LIMIT + HOLT_KEY_BYTES_LIMIT +
                      HOLT_VALUE_BYTES_LIMIT + 1;
  uint8_t *const large = calloc(1, size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(large);
  large[0] = HOLT_PACKET_ACK;
  CU_ASSERT_EQUAL(sample_open(&sample, large, size, &message),
                  HOLT_ERR_TOO_LARGE);
  CU_ASSERT_EQUAL(sample_open(&sample, large, size - 1, &message),
                  HOLT_ERR_MALFORMED);
  free(large);
  sample_deinit(&sample);
}

/*--------------------------------------------------------------------
 * Hello */

static const struct holt_hello hello_full = {
  .version_min = 1,
  .version_max = 3,
  .member = { .name = (const uint8_t *)"reg",
              .node = (const uint8_t *)"a@x",
              .name_size = 3,
              .node_size = 3 },
  .actor = 77,
  .creation = 5,
  .session = UINT64_MAX,
  .known_session = 8,
  .policy = 9,
  .wall_ms = 70000,
  .version = HOLT_SEQ_MAX,
  .have_actor = 78,
  .have_cursor = UINT64_MAX,
  .have_torn = true
};

/* A hello is read as written; its beginnings are refused. */
static void
hello_round_trip(void)
{
  struct sample sample;
  sample_init(&sample);
  CU_ASSERT_EQUAL(holt_hello_encode(&sample.body, &hello_full), 0);
  struct holt_hello read;
  CU_ASSERT_EQUAL(holt_hello_decode(sample.body.data, sample.body.size, &read),
                  0);
  CU_ASSERT(holt_member_equal(&hello_full.member, &read.member));
  CU_ASSERT_EQUAL(read.version_max, 3);
  CU_ASSERT_EQUAL(read.actor, 77);
  CU_ASSERT_EQUAL(read.creation, 5);
  CU_ASSERT_EQUAL(read.session, UINT64_MAX);
  CU_ASSERT_EQUAL(read.known_session, 8);
  CU_ASSERT_EQUAL(read.policy, 9);
  CU_ASSERT_EQUAL(read.wall_ms, 70000);
  CU_ASSERT_EQUAL(read.version, HOLT_SEQ_MAX);
  CU_ASSERT_EQUAL(read.have_actor, 78);
  CU_ASSERT_EQUAL(read.have_cursor, UINT64_MAX);
  CU_ASSERT(read.have_torn);
  for (size_t size = 0; size < sample.body.size; size++) {
    uint8_t *const part = malloc(size == 0 ? 1 : size);
    memcpy(part, sample.body.data, size);
    CU_ASSERT_EQUAL(holt_hello_decode(part, size, &read), HOLT_ERR_MALFORMED);
    free(part);
  }
  holt_buf_put_u8(&sample.body, 0);
  CU_ASSERT_EQUAL(holt_hello_decode(sample.body.data, sample.body.size, &read),
                  HOLT_ERR_MALFORMED);
  sample_deinit(&sample);
}

/* The range of protocols decides before anything else is read; what nobody can
 * be or have is malformed; no byte does harm. */
static void
wrong_hellos_are_refused(void)
{
  struct sample sample;
  sample_init(&sample);
  struct holt_hello read;
  CU_ASSERT_EQUAL(holt_hello_encode(&sample.body, &hello_full), 0);
  const uint8_t ranges[][2] = { { 1, 1 },
                                { 0, 1 },
                                { 2, 3 },
                                { 0, 0 },
                                { 3, 1 } };
  const int expected[] = { 0, 0, HOLT_ERR_VERSION, HOLT_ERR_VERSION,
                           HOLT_ERR_MALFORMED };
  for (unsigned i = 0; i < 5; i++) {
    sample.body.data[1] = ranges[i][0];
    sample.body.data[2] = ranges[i][1];
    CU_ASSERT_EQUAL(
      holt_hello_decode(sample.body.data, sample.body.size, &read),
      expected[i]);
  }
  CU_ASSERT_EQUAL(holt_hello_decode((const uint8_t *)"H\x02\x03", 3, &read),
                  HOLT_ERR_VERSION);
  for (unsigned i = 0; i < 4; i++) {
    struct holt_hello hello = hello_full;
    hello.actor = i == 0 ? 0 : hello.actor;
    hello.session = i == 1 ? 0 : hello.session;
    hello.version += i == 2 ? 1 : 0;
    hello.member.node_size = i == 3 ? 0 : 3;
    holt_buf_clear(&sample.body);
    CU_ASSERT_EQUAL(holt_hello_encode(&sample.body, &hello), 0);
    CU_ASSERT_EQUAL(
      holt_hello_decode(sample.body.data, sample.body.size, &read),
      HOLT_ERR_MALFORMED);
  }
  holt_buf_clear(&sample.body);
  CU_ASSERT_EQUAL(holt_hello_encode(&sample.body, &hello_full), 0);
  uint8_t *const bytes = malloc(sample.body.size);
  for (size_t at = 0; at < sample.body.size; at++) {
    for (unsigned value = 0; value < 256; value++) {
      memcpy(bytes, sample.body.data, sample.body.size);
      bytes[at] = (uint8_t)value;
      const int rv = holt_hello_decode(bytes, sample.body.size, &read);
      CU_ASSERT(rv == 0 || rv == HOLT_ERR_MALFORMED || rv == HOLT_ERR_VERSION);
    }
  }
  free(bytes);
  sample_deinit(&sample);
}

/*--------------------------------------------------------------------
 * Memory */

/* Reading a message needs memory only for itself and one key. */
static int
read_whole(struct holt_mem *mem, void *arg)
{
  const struct sample *const sample = arg;
  struct holt_message *message;
  int rv =
    holt_message_open(&message, mem, sample->header, sizeof sample->header,
                      sample->body.data, sample->body.size);
  if (rv != 0) {
    return rv;
  }
  struct holt_delta_item item;
  unsigned refused = 0;
  do {
    rv = holt_message_next(message, &item);
    refused += rv != 0 ? 1 : 0;
  } while ((rv == 0 && item.type != HOLT_ITEM_END) ||
           (rv == HOLT_ERR_NOMEM && refused == 1));
  holt_message_close(message);
  return rv;
}

/* Opening and reading, with each request for memory refused once. */
static void
each_request_refused_once(void)
{
  struct sample sample;
  sample_init(&sample);
  put_body(&sample.body, HOLT_PACKET_DELTA);
  CU_ASSERT(heap_fail_each(read_whole, &sample, NULL));
  put_body(&sample.body, HOLT_PACKET_REPAIR);
  CU_ASSERT(heap_fail_each(read_whole, &sample, NULL));
  sample_deinit(&sample);
}

void test_packet_suite(void);

void
test_packet_suite(void)
{
  CU_pSuite suite = CU_add_suite("packet", NULL, NULL);
  CU_ADD_TEST(suite, each_kind_round_trips);
  CU_ADD_TEST(suite, each_truncation_is_refused);
  CU_ADD_TEST(suite, each_mutation_does_no_harm);
  CU_ADD_TEST(suite, vectors_are_bounded);
  CU_ADD_TEST(suite, foreign_messages_are_refused);
  CU_ADD_TEST(suite, hello_round_trip);
  CU_ADD_TEST(suite, wrong_hellos_are_refused);
  CU_ADD_TEST(suite, each_request_refused_once);
}
