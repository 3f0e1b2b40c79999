/* SPDX-License-Identifier: Apache-2.0 */
#include "packet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include <holt/key.h>

#include "heap.h"
#include "prng.h"

#define ITEMS_MAX 40u

/* What a test writes and expects to read. */
struct item {
  bool is_row;
  uint64_t birth;
  struct holt_row_spec row;
  uint8_t key[40];
  uint8_t value[40];
};

struct sample {
  struct heap heap;
  struct holt_buf body;
  struct holt_tuning tuning;
  uint8_t header[HOLT_HEADER_BYTES];
  struct item items[ITEMS_MAX];
  size_t count;
  uint64_t after;
  uint64_t to;
  uint64_t as_of;
  uint64_t anew;
};

static void
sample_init(struct sample *sample)
{
  heap_init(&sample->heap);
  holt_buf_init(&sample->body, &sample->heap.mem, 0);
  holt_tuning_init(&sample->tuning);
  const struct holt_header header = { .to_session = 5, .from_session = 6 };
  holt_header_encode(sample->header, &header);
  sample->count = 0;
}

static void
sample_deinit(struct sample *sample)
{
  holt_buf_deinit(&sample->body);
  CU_ASSERT(heap_is_clean(&sample->heap));
  heap_deinit(&sample->heap);
}

/* A binary as key (canonical form) or as value (external format). */
static size_t
draw_key(struct prng *prng, uint8_t *key)
{
  char text[24];
  const int size =
    snprintf(text, sizeof text, "name%u", (unsigned)prng_below(prng, 1000));
  struct heap heap;
  heap_init(&heap);
  struct holt_key maker;
  holt_key_init(&maker, &heap.mem, 0);
  (void)holt_key_binary(&maker, text, (size_t)size);
  const size_t key_size = holt_key_finish(&maker) == 0 ? maker.size : 0;
  memcpy(key, holt_key_bytes(&maker), key_size);
  holt_key_deinit(&maker);
  heap_deinit(&heap);
  return key_size;
}

static size_t
draw_value(struct prng *prng, uint8_t *value)
{
  if (prng_chance(prng, 1, 3)) {
    return 0;
  }
  const uint8_t size = (uint8_t)prng_below(prng, 30);
  const uint8_t start[6] = { 131, 109, 0, 0, 0, size };
  memcpy(value, start, 6);
  prng_fill(prng, value + 6, size);
  return 6u + size;
}

static void
sample_draw(struct sample *sample, struct prng *prng)
{
  sample->after = prng_chance(prng, 1, 4) ? 0 : 1 + prng_below(prng, 300);
  uint64_t seq = sample->after;
  for (sample->count = 0; sample->count < prng_below(prng, ITEMS_MAX);
       sample->count++) {
    struct item *const item = &sample->items[sample->count];
    item->is_row = sample->after == 0 || prng_chance(prng, 1, 2);
    if (!item->is_row) {
      const bool run = sample->count > 0 && !item[-1].is_row;
      item->birth = 1 + prng_below(prng, sample->after);
      if (run && item[-1].birth < sample->after && prng_chance(prng, 2, 3)) {
        item->birth = item[-1].birth + 1;
      }
      continue;
    }
    seq += 1 + (prng_chance(prng, 1, 9) ? prng_next(prng) >> 20
                                        : prng_below(prng, 3));
    const bool changed = seq > 1 && prng_chance(prng, 1, 2);
    item->row =
      (struct holt_row_spec){ .seq = seq,
                              .birth =
                                changed ? 1 + prng_below(prng, seq - 1) : seq,
                              .stamp = prng_next(prng),
                              .key = item->key,
                              .key_size = draw_key(prng, item->key),
                              .value = item->value,
                              .value_size = draw_value(prng, item->value),
                              .owner_id = (uint32_t)prng_below(prng, 3),
                              .owner_serial = (uint32_t)prng_next(prng) & 1u };
    item->row.value_stamp = changed ? prng_next(prng) : item->row.stamp;
  }
  sample->to = seq + prng_below(prng, 3);
  sample->as_of =
    sample->to + (prng_chance(prng, 1, 2) ? prng_next(prng) >> 9 : 0);
  sample->anew = prng_chance(prng, 1, 3) ? 1 + (prng_next(prng) >> 1) : 0;
}

static int
sample_encode(struct sample *sample)
{
  holt_buf_clear(&sample->body);
  struct holt_delta_writer writer;
  holt_delta_begin(&writer, &sample->body, 77, sample->after);
  for (size_t i = 0; i < sample->count; i++) {
    if (sample->items[i].is_row) {
      holt_delta_row(&writer, &sample->items[i].row);
    } else {
      holt_delta_death(&writer, sample->items[i].birth);
    }
  }
  return holt_delta_end(&writer, sample->to, sample->as_of, sample->anew);
}

static int
sample_open(struct sample *sample, const uint8_t *body, size_t size,
            struct holt_message **message)
{
  return holt_message_open(message, &sample->heap.mem, &sample->tuning,
                           sample->header, sizeof sample->header, body, size);
}

static bool
row_equal(const struct holt_row_spec *left, const struct holt_row_spec *right)
{
  return left->seq == right->seq && left->birth == right->birth &&
         left->stamp == right->stamp &&
         left->value_stamp == right->value_stamp &&
         left->owner_id == right->owner_id &&
         left->owner_serial == right->owner_serial &&
         left->key_size == right->key_size &&
         memcmp(left->key, right->key, left->key_size) == 0 &&
         left->value_size == right->value_size &&
         (left->value_size == 0 ||
          memcmp(left->value, right->value, left->value_size) == 0);
}

static bool
sample_read(const struct sample *sample, struct holt_message *message)
{
  bool good = message->actor == 77 && message->after == sample->after &&
              message->to == sample->to && message->as_of == sample->as_of &&
              message->anew == sample->anew &&
              message->clean == (sample->to == sample->as_of);
  struct holt_delta_item item;
  for (size_t i = 0; good && i < sample->count; i++) {
    good = holt_message_next(message, &item) == 0;
    if (good && sample->items[i].is_row) {
      good = item.type == HOLT_ITEM_ROW &&
             row_equal(&item.row, &sample->items[i].row);
    } else if (good) {
      good =
        item.type == HOLT_ITEM_DEATH && item.birth == sample->items[i].birth;
    }
  }
  for (unsigned i = 0; good && i < 2; i++) {
    good = holt_message_next(message, &item) == 0 && item.type == HOLT_ITEM_END;
  }
  return good;
}

static void
report(bool good, uint64_t seed)
{
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
}

/* What is written is read; the bytes may move in between. */
static void
prop_delta_round_trip(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct sample sample;
  sample_init(&sample);
  bool good = true;
  for (unsigned run = 0; good && run < 2000; run++) {
    sample_draw(&sample, &prng);
    struct holt_message *message;
    good =
      sample_encode(&sample) == 0 &&
      sample_open(&sample, sample.body.data, sample.body.size, &message) == 0;
    if (good) {
      uint8_t *const moved = malloc(sample.body.size);
      memcpy(moved, sample.body.data, sample.body.size);
      holt_message_move(message, moved);
      good = sample_read(&sample, message);
      holt_message_close(message);
      free(moved);
    }
  }
  sample_deinit(&sample);
  report(good, seed);
}

/* Each beginning of a message is refused, and so is anything behind it. */
static void
prop_delta_truncated_is_refused(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct sample sample;
  sample_init(&sample);
  bool good = true;
  for (unsigned run = 0; good && run < 100; run++) {
    sample_draw(&sample, &prng);
    good = sample_encode(&sample) == 0;
    for (size_t size = 0; good && size < sample.body.size; size++) {
      /* A block of its own, so that a byte too far is seen. */
      uint8_t *const part = malloc(size + 1);
      memcpy(part, sample.body.data, size);
      uint8_t *const exact = realloc(part, size == 0 ? 1 : size);
      struct holt_message *message;
      good = sample_open(&sample, exact, size, &message) == HOLT_ERR_MALFORMED;
      free(exact);
    }
    struct holt_message *message;
    holt_buf_put_u8(&sample.body, 0);
    good = good && sample_open(&sample, sample.body.data, sample.body.size,
                               &message) == HOLT_ERR_MALFORMED;
  }
  sample_deinit(&sample);
  report(good, seed);
}

/* Bytes that somebody changed: refused, or read to the end without harm. */
static void
prop_mutations_do_no_harm(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct sample sample;
  sample_init(&sample);
  bool good = true;
  for (unsigned run = 0; good && run < 20000; run++) {
    if (run % 20 == 0) {
      sample_draw(&sample, &prng);
    }
    good = sample_encode(&sample) == 0;
    uint8_t *const bytes = malloc(sample.body.size);
    memcpy(bytes, sample.body.data, sample.body.size);
    for (uint64_t i = 0; i <= prng_below(&prng, 3); i++) {
      bytes[prng_below(&prng, sample.body.size)] =
        prng_chance(&prng, 1, 3) ? 0xff : (uint8_t)prng_next(&prng);
    }
    struct holt_message *message;
    if (sample_open(&sample, bytes, sample.body.size, &message) == 0) {
      struct holt_delta_item item = { .type = HOLT_ITEM_END };
      uint64_t seq = message->after;
      unsigned steps = 0;
      do {
        good = message->kind != HOLT_PACKET_DELTA ||
               holt_message_next(message, &item) == 0;
        if (good && item.type == HOLT_ITEM_ROW) {
          good = item.row.seq > seq && item.row.seq <= message->to &&
                 item.row.birth >= 1 && item.row.birth <= item.row.seq;
          seq = item.row.seq;
        }
        good = good && ++steps <= HOLT_DELTA_DEATHS_MAX + 100u;
      } while (good && message->kind == HOLT_PACKET_DELTA &&
               item.type != HOLT_ITEM_END);
      holt_message_close(message);
    }
    free(bytes);
  }
  sample_deinit(&sample);
  report(good, seed);
}

/* A run of 2^60 deaths is a few bytes, and refused before it is walked. */
static void
long_run_of_deaths_is_refused(void)
{
  struct sample sample;
  sample_init(&sample);
  const uint64_t counts[] = { HOLT_DELTA_DEATHS_MAX, HOLT_DELTA_DEATHS_MAX + 1,
                              UINT64_C(1) << 60 };
  for (size_t i = 0; i < 3; i++) {
    holt_buf_clear(&sample.body);
    holt_buf_put_u8(&sample.body, HOLT_PACKET_DELTA);
    holt_buf_put_u64be(&sample.body, 77);
    holt_buf_put_varint(&sample.body, UINT64_C(1) << 61);
    holt_buf_put_u8(&sample.body, 2);
    holt_buf_put_varint(&sample.body, 2); /* Birth 1, zigzag. */
    holt_buf_put_varint(&sample.body, counts[i]);
    holt_buf_put_u8(&sample.body, 0); /* End. */
    holt_buf_put_u8(&sample.body, 1); /* Clean. */
    holt_buf_put_varint(&sample.body, 1);
    struct holt_message *message;
    const int rv =
      sample_open(&sample, sample.body.data, sample.body.size, &message);
    CU_ASSERT_EQUAL(rv, i == 0 ? 0 : HOLT_ERR_LIMIT);
    if (rv == 0) {
      holt_message_close(message);
    }
  }
  sample_deinit(&sample);
}

/* Each limit of the tuning. */
static void
limits_are_kept(void)
{
  const uint64_t seed = 4;
  struct prng prng;
  prng_init(&prng, seed);
  struct sample sample;
  sample_init(&sample);
  do {
    sample_draw(&sample, &prng);
  } while (sample.count < 10 || !sample.items[0].is_row ||
           sample.items[0].row.value_size < 10);
  CU_ASSERT_EQUAL(sample_encode(&sample), 0);
  const struct holt_tuning tuning = sample.tuning;
  struct holt_message *message;
  sample.tuning.value_bytes_max = 5;
  CU_ASSERT_EQUAL(
    sample_open(&sample, sample.body.data, sample.body.size, &message),
    HOLT_ERR_TOO_LARGE);
  sample.tuning = tuning;
  sample.tuning.key_bytes_max = 2;
  CU_ASSERT_EQUAL(
    sample_open(&sample, sample.body.data, sample.body.size, &message),
    HOLT_ERR_TOO_LARGE);
  sample.tuning = tuning;
  sample.tuning.message_bytes_max = 1;
  sample.tuning.value_bytes_max = 1;
  sample.tuning.key_bytes_max = 1;
  CU_ASSERT_EQUAL(
    sample_open(&sample, sample.body.data, sample.body.size, &message),
    HOLT_ERR_TOO_LARGE);
  sample.tuning = tuning;
  sample.header[0] = HOLT_PROTOCOL_VERSION + 1;
  CU_ASSERT_EQUAL(
    sample_open(&sample, sample.body.data, sample.body.size, &message),
    HOLT_ERR_VERSION);
  sample.header[0] = HOLT_PROTOCOL_VERSION;
  const uint8_t unknown = 9;
  CU_ASSERT_EQUAL(sample_open(&sample, &unknown, 1, &message),
                  HOLT_ERR_UNSUPPORTED);
  CU_ASSERT_EQUAL(sample_open(&sample, &unknown, 0, &message),
                  HOLT_ERR_MALFORMED);
  sample_deinit(&sample);
}

static void
hello_round_trip(void)
{
  const struct holt_hello hello = { .version_min = 1,
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
                                    .version = 1000,
                                    .have_actor = 78,
                                    .have_cursor = UINT64_MAX };
  struct sample sample;
  sample_init(&sample);
  CU_ASSERT_EQUAL(holt_hello_encode(&sample.body, &hello), 0);
  struct holt_hello read;
  CU_ASSERT_EQUAL(holt_hello_decode(sample.body.data, sample.body.size, &read),
                  0);
  CU_ASSERT(holt_member_equal(&hello.member, &read.member));
  CU_ASSERT_EQUAL(read.actor, 77);
  CU_ASSERT_EQUAL(read.creation, 5);
  CU_ASSERT_EQUAL(read.session, UINT64_MAX);
  CU_ASSERT_EQUAL(read.known_session, 8);
  CU_ASSERT_EQUAL(read.policy, 9);
  CU_ASSERT_EQUAL(read.version, 1000);
  CU_ASSERT_EQUAL(read.have_actor, 78);
  CU_ASSERT_EQUAL(read.have_cursor, UINT64_MAX);
  for (size_t size = 0; size < sample.body.size; size++) {
    CU_ASSERT_EQUAL(holt_hello_decode(sample.body.data, size, &read),
                    HOLT_ERR_MALFORMED);
  }
  sample.body.data[1] = HOLT_PROTOCOL_VERSION + 1;
  CU_ASSERT_EQUAL(holt_hello_decode(sample.body.data, sample.body.size, &read),
                  HOLT_ERR_VERSION);
  sample_deinit(&sample);
}

static void
ack_and_vector_round_trip(void)
{
  struct sample sample;
  sample_init(&sample);
  const struct holt_ack ack = { .actor = 7, .cursor = 300, .gap = true };
  CU_ASSERT_EQUAL(holt_ack_encode(&sample.body, &ack), 0);
  struct holt_message *message;
  CU_ASSERT_EQUAL_FATAL(
    sample_open(&sample, sample.body.data, sample.body.size, &message), 0);
  CU_ASSERT_EQUAL(message->kind, HOLT_PACKET_ACK);
  CU_ASSERT_EQUAL(message->header.to_session, 5);
  CU_ASSERT_EQUAL(message->header.from_session, 6);
  CU_ASSERT_EQUAL(message->ack.cursor, 300);
  CU_ASSERT(message->ack.gap);
  holt_message_close(message);
  for (size_t size = 0; size < sample.body.size; size++) {
    CU_ASSERT_EQUAL(sample_open(&sample, sample.body.data, size, &message),
                    HOLT_ERR_MALFORMED);
  }

  holt_buf_clear(&sample.body);
  const struct holt_vector_item items[2] = {
    { .actor = 1, .version = 2, .sent = 3 },
    { .actor = UINT64_MAX, .version = UINT64_MAX, .sent = 0 }
  };
  CU_ASSERT_EQUAL(holt_vector_encode(&sample.body, items, 2), 0);
  CU_ASSERT_EQUAL_FATAL(
    sample_open(&sample, sample.body.data, sample.body.size, &message), 0);
  CU_ASSERT_EQUAL(message->vector_count, 2);
  size_t offset = message->vector_offset;
  for (size_t i = 0; i < 2; i++) {
    struct holt_vector_item item;
    holt_message_vector(message, &offset, &item);
    CU_ASSERT_EQUAL(item.actor, items[i].actor);
    CU_ASSERT_EQUAL(item.version, items[i].version);
    CU_ASSERT_EQUAL(item.sent, items[i].sent);
  }
  holt_message_close(message);
  for (size_t size = 0; size < sample.body.size; size++) {
    CU_ASSERT_EQUAL(sample_open(&sample, sample.body.data, size, &message),
                    HOLT_ERR_MALFORMED);
  }
  sample_deinit(&sample);
}

/* Reading a message needs memory only for itself and one key. */
static int
read_whole(struct holt_mem *mem, void *arg)
{
  const struct sample *const sample = arg;
  struct holt_message *message;
  int rv = holt_message_open(&message, mem, &sample->tuning, sample->header,
                             sizeof sample->header, sample->body.data,
                             sample->body.size);
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

static void
each_request_refused_once(void)
{
  struct prng prng;
  prng_init(&prng, 9);
  struct sample sample;
  sample_init(&sample);
  do {
    sample_draw(&sample, &prng);
  } while (sample.count < 10 || !sample.items[0].is_row);
  CU_ASSERT_EQUAL(sample_encode(&sample), 0);
  CU_ASSERT(heap_fail_each(read_whole, &sample, NULL));
  sample_deinit(&sample);
}

void test_packet_suite(void);

void
test_packet_suite(void)
{
  CU_pSuite suite = CU_add_suite("packet", NULL, NULL);
  CU_ADD_TEST(suite, prop_delta_round_trip);
  CU_ADD_TEST(suite, prop_delta_truncated_is_refused);
  CU_ADD_TEST(suite, prop_mutations_do_no_harm);
  CU_ADD_TEST(suite, long_run_of_deaths_is_refused);
  CU_ADD_TEST(suite, limits_are_kept);
  CU_ADD_TEST(suite, hello_round_trip);
  CU_ADD_TEST(suite, ack_and_vector_round_trip);
  CU_ADD_TEST(suite, each_request_refused_once);
}
