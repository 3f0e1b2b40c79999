/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "packet.h"
#include "pair.h"
#include "prng.h"

#define ITEMS_MAX 40u

/* What a test writes and expects to read. */
struct item {
  bool is_row;
  uint64_t birth;
  enum holt_reason why;
  struct holt_row_spec row;
  uint8_t key[64];
  uint8_t value[40];
};

struct sample {
  struct heap heap;
  struct holt_buf body;
  struct holt_buf live;
  struct holt_tuning tuning;
  struct item items[ITEMS_MAX];
  size_t count;
  bool repair;
  uint64_t base; /* Of a repair; all up to there is in its live set. */
  uint64_t after;
  uint64_t to;
  uint64_t as_of;
  bool last;
};

static void
sample_init(struct sample *sample)
{
  heap_init(&sample->heap);
  holt_buf_init(&sample->body, &sample->heap.mem, 0);
  holt_buf_init(&sample->live, &sample->heap.mem, 0);
  holt_tuning_init(&sample->tuning);
  sample->count = 0;
}

static void
sample_deinit(struct sample *sample)
{
  holt_buf_deinit(&sample->body);
  holt_buf_deinit(&sample->live);
  CU_ASSERT(heap_is_clean(&sample->heap));
  heap_deinit(&sample->heap);
}

static size_t
draw_key(struct prng *prng, uint8_t *key)
{
  char text[24];
  (void)snprintf(text, sizeof text, "name%u", (unsigned)prng_below(prng, 1000));
  return pair_key(text, key);
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
draw_row(struct item *item, struct prng *prng, uint64_t seq)
{
  const bool changed = seq > 1 && prng_chance(prng, 1, 2);
  item->row =
    (struct holt_row_spec){ .seq = seq,
                            .birth =
                              changed ? 1 + prng_below(prng, seq - 1) : seq,
                            .stamp = prng_next(prng) & HOLT_STAMP_MAX,
                            .key = item->key,
                            .key_size = draw_key(prng, item->key),
                            .value = item->value,
                            .value_size = draw_value(prng, item->value),
                            .owner_id = (uint32_t)prng_below(prng, 3),
                            .owner_serial = (uint32_t)prng_next(prng) & 1u,
                            .flags = (uint8_t)prng_below(prng, 8) };
  if ((item->row.flags & HOLT_ROW_REPLACES) != 0) {
    item->row.flags &= (uint8_t)~HOLT_ROW_STANDBY;
    item->row.replaces_actor = prng_next(prng);
    item->row.replaces_birth = prng_next(prng) & HOLT_SEQ_MAX;
  }
}

static void
sample_draw(struct sample *sample, struct prng *prng, bool repair)
{
  sample->repair = repair;
  sample->after = prng_chance(prng, 1, 4) ? 0 : 1 + prng_below(prng, 300);
  sample->base = repair && prng_chance(prng, 1, 2)
                   ? sample->after + prng_below(prng, 300)
                   : 0;
  uint64_t seq = sample->after > sample->base ? sample->after : sample->base;
  const uint64_t count = prng_below(prng, ITEMS_MAX);
  for (sample->count = 0; sample->count < count; sample->count++) {
    struct item *const item = &sample->items[sample->count];
    item->is_row = sample->after == 0 || prng_chance(prng, 1, 2);
    if (!item->is_row) {
      const bool run = sample->count > 0 && !item[-1].is_row;
      item->birth = 1 + prng_below(prng, sample->after);
      item->why = (enum holt_reason)prng_below(prng, HOLT_REASON_UNKNOWN + 1);
      if (run && item[-1].birth < sample->after && prng_chance(prng, 2, 3)) {
        item->birth = item[-1].birth + 1;
        item->why = item[-1].why;
      }
      continue;
    }
    seq += 1 + (prng_chance(prng, 1, 9) ? prng_next(prng) >> 25
                                        : prng_below(prng, 3));
    draw_row(item, prng, seq);
  }
  sample->to = seq + prng_below(prng, 3);
  sample->last = repair && prng_chance(prng, 1, 2);
  sample->as_of =
    sample->to +
    (!sample->last && prng_chance(prng, 1, 2) ? prng_next(prng) >> 20 : 0);
}

static void
write_live(struct sample *sample, struct holt_delta_writer *writer)
{
  struct holt_liveset_writer set;
  holt_buf_clear(&sample->live);
  holt_liveset_begin(&set, &sample->live, sample->after, SIZE_MAX / 2);
  CU_ASSERT_EQUAL(holt_liveset_end(&set, sample->base), 0);
  holt_repair_live(writer, sample->base, sample->live.data, sample->live.size);
}

static int
sample_encode(struct sample *sample)
{
  holt_buf_clear(&sample->body);
  struct holt_delta_writer writer;
  const bool live = sample->after < sample->base;
  if (sample->repair) {
    const struct holt_piece piece = { .actor = 77,
                                      .token = 5,
                                      .session = 9,
                                      .base = sample->base,
                                      .after = sample->after,
                                      .live = live };
    holt_repair_begin(&writer, &sample->body, &piece);
    if (live) {
      write_live(sample, &writer);
    }
  } else {
    holt_delta_begin(&writer, &sample->body, 77, sample->after);
  }
  for (size_t i = 0; i < sample->count; i++) {
    if (sample->items[i].is_row) {
      holt_delta_row(&writer, &sample->items[i].row);
    } else {
      holt_delta_death(&writer, sample->items[i].birth, sample->items[i].why);
    }
  }
  return sample->repair
           ? holt_repair_end(&writer, sample->to, sample->as_of, sample->last)
           : holt_delta_end(&writer, sample->to, sample->as_of);
}

static int
sample_open(struct sample *sample, const uint8_t *body, size_t size,
            struct holt_message **message)
{
  const struct holt_header header = { .version = 1,
                                      .to_session = 5,
                                      .from_session = 6 };
  uint8_t encoded[HOLT_HEADER_BYTES];
  holt_header_encode(encoded, &header);
  return holt_message_open(message, &sample->heap.mem, encoded, sizeof encoded,
                           body, size);
}

/* What it says of the bytes in the sample's body. */
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

static bool
row_equal(const struct holt_row_spec *left, const struct holt_row_spec *right)
{
  return left->seq == right->seq && left->birth == right->birth &&
         left->stamp == right->stamp && left->owner_id == right->owner_id &&
         left->owner_serial == right->owner_serial &&
         left->flags == right->flags &&
         left->replaces_actor == right->replaces_actor &&
         left->replaces_birth == right->replaces_birth &&
         left->key_size == right->key_size &&
         memcmp(left->key, right->key, left->key_size) == 0 &&
         left->value_size == right->value_size &&
         (left->value_size == 0 ||
          memcmp(left->value, right->value, left->value_size) == 0);
}

static bool
sample_read(const struct sample *sample, struct holt_message *message)
{
  bool good =
    message->actor == 77 && message->after == sample->after &&
    message->to == sample->to && message->as_of == sample->as_of &&
    message->last == sample->last &&
    (sample->repair ? message->base == sample->base
                    : message->clean == (sample->to == sample->as_of));
  struct holt_delta_item item;
  for (size_t i = 0; good && i < sample->count; i++) {
    good = holt_message_next(message, &item) == 0;
    if (good && sample->items[i].is_row) {
      good = item.type == HOLT_ITEM_ROW &&
             row_equal(&item.row, &sample->items[i].row);
    } else if (good) {
      good = item.type == HOLT_ITEM_DEATH &&
             item.birth == sample->items[i].birth &&
             item.why == sample->items[i].why;
    }
  }
  for (unsigned i = 0; good && i < 2; i++) {
    good = holt_message_next(message, &item) == 0 && item.type == HOLT_ITEM_END;
  }
  return good;
}

/* The same, read ahead in batches of any size. */
static bool
sample_read_batches(const struct sample *sample, struct prng *prng,
                    struct holt_message *message)
{
  bool good = true;
  struct holt_batch batch;
  size_t at = 0;
  do {
    good = holt_message_batch(message, &batch, 1 + prng_below(prng, 20)) == 0 &&
           batch.count <= sample->count - at;
    for (size_t i = 0; good && i < batch.count; i++, at++) {
      const struct item *const item = &sample->items[at];
      const struct holt_delta_item *const read = &batch.items[i];
      good =
        item->is_row
          ? read->type == HOLT_ITEM_ROW && row_equal(&read->row, &item->row)
          : read->type == HOLT_ITEM_DEATH && read->birth == item->birth;
    }
  } while (good && batch.count > 0);
  return good && at == sample->count;
}

static void
report(bool good, uint64_t seed)
{
  if (!good) {
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
  }
  CU_ASSERT(good);
}

/* Random deltas and pieces are read as written; the bytes may move between. */
static void
prop_round_trip(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct sample sample;
  sample_init(&sample);
  bool good = true;
  for (unsigned run = 0; good && run < 2000; run++) {
    sample_draw(&sample, &prng, run % 2 == 1);
    struct holt_message *message;
    good =
      sample_encode(&sample) == 0 &&
      sample_open(&sample, sample.body.data, sample.body.size, &message) == 0;
    if (good) {
      uint8_t *const moved = malloc(sample.body.size);
      memcpy(moved, sample.body.data, sample.body.size);
      holt_message_move(message, moved);
      good = run % 3 == 0 ? sample_read_batches(&sample, &prng, message)
                          : sample_read(&sample, message);
      holt_message_close(message);
      free(moved);
    }
  }
  sample_deinit(&sample);
  report(good, seed);
}

/* Each beginning of a random message is refused. */
static void
prop_truncated_is_refused(void)
{
  const uint64_t seed = prng_seed();
  struct prng prng;
  prng_init(&prng, seed);
  struct sample sample;
  sample_init(&sample);
  bool good = true;
  for (unsigned run = 0; good && run < 100; run++) {
    sample_draw(&sample, &prng, run % 2 == 1);
    good = sample_encode(&sample) == 0;
    for (size_t size = 0; good && size < sample.body.size; size++) {
      uint8_t *const part = malloc(size == 0 ? 1 : size);
      memcpy(part, sample.body.data, size);
      struct holt_message *message;
      good = sample_open(&sample, part, size, &message) == HOLT_ERR_MALFORMED;
      free(part);
    }
  }
  sample_deinit(&sample);
  report(good, seed);
}

/* Several bytes changed at random: refused, or read to the end without harm. */
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
      sample_draw(&sample, &prng, run % 40 == 0);
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
      struct holt_delta_item item = { .type = HOLT_ITEM_ROW };
      const bool items = message->kind == HOLT_PACKET_DELTA ||
                         message->kind == HOLT_PACKET_REPAIR;
      for (unsigned steps = 0; good && items && item.type != HOLT_ITEM_END;
           steps++) {
        good = holt_message_next(message, &item) == 0 &&
               steps <= HOLT_DELTA_DEATHS_MAX + 100u;
      }
      holt_message_close(message);
    }
    free(bytes);
  }
  sample_deinit(&sample);
  report(good, seed);
}

/*--------------------------------------------------------------------
 * Written by hand */

static void
delta_head(struct holt_buf *body, uint64_t after)
{
  holt_buf_clear(body);
  holt_buf_put_u8(body, HOLT_PACKET_DELTA);
  holt_buf_put_u64be(body, 77);
  holt_buf_put_varint(body, after);
}

static void
repair_head(struct holt_buf *body, uint64_t base, uint64_t after, uint8_t flags)
{
  holt_buf_clear(body);
  holt_buf_put_u8(body, HOLT_PACKET_REPAIR);
  holt_buf_put_u64be(body, 77);
  holt_buf_put_u64be(body, 5);
  holt_buf_put_varint(body, 1);
  holt_buf_put_varint(body, base);
  holt_buf_put_varint(body, after);
  holt_buf_put_varint(body, 0);
  holt_buf_put_u8(body, flags);
}

/* End, flags, length, behind. */
static void
tail(struct holt_buf *body, uint8_t flags, uint64_t length, bool has_behind)
{
  holt_buf_put_u8(body, 0);
  holt_buf_put_u8(body, flags);
  holt_buf_put_varint(body, length);
  if (has_behind) {
    holt_buf_put_varint(body, 0);
  }
}

static void
put_row(struct holt_buf *body, uint64_t step)
{
  uint8_t key[64];
  const size_t size = pair_key("x", key);
  holt_buf_put_u8(body, 0x80);
  holt_buf_put_varint(body, step);
  holt_buf_put_varint(body, 2); /* Stamp. */
  holt_buf_put_varint(body, 1); /* Owner. */
  holt_buf_put_varint(body, 1);
  holt_buf_put_varint(body, 0);
  holt_buf_put_varint(body, size);
  holt_buf_put(body, key, size);
}

/* A run of 2^60 deaths is a few bytes, and refused before it is walked; so are
 * many runs that are too many together. */
static void
long_runs_of_deaths_are_refused(void)
{
  struct sample sample;
  sample_init(&sample);
  struct holt_buf *const body = &sample.body;
  const uint64_t counts[] = { HOLT_DELTA_DEATHS_MAX, HOLT_DELTA_DEATHS_MAX + 1,
                              UINT64_C(1) << 60, UINT64_MAX, 0 };
  const int expected[] = { 0, HOLT_ERR_LIMIT, HOLT_ERR_MALFORMED,
                           HOLT_ERR_MALFORMED, HOLT_ERR_MALFORMED };
  for (unsigned repair = 0; repair < 2; repair++) {
    for (size_t i = 0; i < 5; i++) {
      if (repair == 1) {
        repair_head(body, 0, 1, 0);
      } else {
        delta_head(body, UINT64_C(1) << 40);
      }
      holt_buf_put_u8(body, 2);
      holt_buf_put_varint(body, 2); /* Birth 1, zigzag. */
      holt_buf_put_varint(body, counts[i]);
      tail(body, repair == 1 ? 0 : 1, 1, repair == 1);
      CU_ASSERT_EQUAL(open_body(&sample), expected[i]);
    }
  }
  delta_head(body, 100000);
  for (unsigned i = 0; i < 2; i++) {
    holt_buf_put_u8(body, 2);
    holt_buf_put_varint(body, 2);
    holt_buf_put_varint(body, 40000);
  }
  tail(body, 1, 1, false);
  CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_LIMIT);
  sample_deinit(&sample);
}

/* No seq, birth or range lies beyond HOLT_SEQ_MAX, however it is spelled. */
static void
large_seqs_are_refused(void)
{
  struct sample sample;
  sample_init(&sample);
  struct holt_buf *const body = &sample.body;
  const uint64_t max = HOLT_SEQ_MAX;
  delta_head(body, max - 1);
  put_row(body, 1);
  tail(body, 1, 1, false);
  CU_ASSERT_EQUAL(open_body(&sample), 0);
  const uint64_t afters[] = { max, max - 1, max - 1, 5, max + 1, UINT64_MAX };
  const uint64_t steps[] = { 1, 2, 1, UINT64_MAX - 4, 1, 1 };
  const uint64_t lengths[] = { 1, 2, 2, 1, 1, 1 };
  for (unsigned i = 0; i < 6; i++) {
    delta_head(body, afters[i]);
    put_row(body, steps[i]);
    tail(body, 1, lengths[i], false);
    CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_MALFORMED);
  }
  /* Behind, and a death in a repair. */
  delta_head(body, 1);
  holt_buf_put_u8(body, 0);
  holt_buf_put_u8(body, 0);
  holt_buf_put_varint(body, 1);
  holt_buf_put_varint(body, max);
  CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_MALFORMED);
  repair_head(body, 0, 1, 0);
  holt_buf_put_u8(body, 1);
  holt_buf_put_varint(body, (max + 1) << 1);
  tail(body, 0, 1, true);
  CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_MALFORMED);
  repair_head(body, max + 1, 0, 0);
  tail(body, 0, 0, true);
  CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_MALFORMED);
  sample_deinit(&sample);
}

/* A death has one of the reasons that there are. */
static void
strange_reasons_are_refused(void)
{
  struct sample sample;
  sample_init(&sample);
  struct holt_buf *const body = &sample.body;
  for (unsigned tag = 1; tag < 0x80; tag++) {
    delta_head(body, 9);
    holt_buf_put_u8(body, (uint8_t)tag);
    holt_buf_put_varint(body, 2); /* Birth 1, zigzag. */
    if ((tag & 3u) == 2) {
      holt_buf_put_varint(body, 2);
    }
    tail(body, 1, 1, false);
    const bool good =
      (tag & 3u) != 0 && (tag & 3u) != 3 && tag >> 2 <= HOLT_REASON_UNKNOWN;
    CU_ASSERT_EQUAL(open_body(&sample), good ? 0 : HOLT_ERR_MALFORMED);
  }
  sample_deinit(&sample);
}

/* A tag that nobody knows makes the whole message malformed; flags, too. */
static void
unknown_tags_are_refused(void)
{
  struct sample sample;
  sample_init(&sample);
  for (unsigned tag = 0; tag < 256; tag++) {
    delta_head(&sample.body, 5);
    holt_buf_put_u8(&sample.body, (uint8_t)tag);
    /* Enough for any known item to be read, and then nonsense. */
    for (unsigned i = 0; i < 40; i++) {
      holt_buf_put_u8(&sample.body, 0xee);
    }
    CU_ASSERT(open_body(&sample) < 0);
  }
  for (unsigned flags = 0; flags < 256; flags++) {
    delta_head(&sample.body, 5);
    tail(&sample.body, (uint8_t)flags, 0, flags == 0);
    /* Not clean, but nothing behind it, is a contradiction. */
    CU_ASSERT_EQUAL(open_body(&sample), flags == 1 ? 0 : HOLT_ERR_MALFORMED);
    repair_head(&sample.body, 0, 5, (uint8_t)flags);
    tail(&sample.body, 0, 0, true);
    /* Refused, whole; the others promise what does not follow. */
    CU_ASSERT_EQUAL(open_body(&sample),
                    (flags & ~0x09u) == 0 ? 0 : HOLT_ERR_MALFORMED);
  }
  sample_deinit(&sample);
}

/* A live set ends where the piece says, at base at the latest, and is not
 * empty. */
static void
live_sets_fit_their_range(void)
{
  struct sample sample;
  sample_init(&sample);
  struct holt_buf *const body = &sample.body;
  /* Said length, real length, base, whether it is good. */
  const uint64_t cases[][4] = { { 10, 10, 10, 1 }, { 10, 10, 12, 1 },
                                { 11, 10, 12, 0 }, { 9, 10, 12, 0 },
                                { 10, 10, 9, 0 },  { 0, 0, 10, 0 },
                                { 0, 10, 10, 0 } };
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct holt_liveset_writer set;
    holt_buf_clear(&sample.live);
    holt_liveset_begin(&set, &sample.live, 0, 1000);
    if (cases[i][1] > 0) {
      CU_ASSERT_EQUAL(holt_liveset_add(&set, 3), 0);
    }
    CU_ASSERT_EQUAL(holt_liveset_end(&set, cases[i][1]), 0);
    repair_head(body, cases[i][2], 0, 2);
    holt_buf_put_varint(body, cases[i][0]);
    holt_buf_put_varint(body, sample.live.size);
    holt_buf_put(body, sample.live.data, sample.live.size);
    tail(body, 0, cases[i][0], true);
    CU_ASSERT_EQUAL(open_body(&sample),
                    cases[i][3] == 1 ? 0 : HOLT_ERR_MALFORMED);
  }
  /* A size beyond the message. */
  repair_head(body, 10, 0, 2);
  holt_buf_put_varint(body, 10);
  holt_buf_put_varint(body, UINT64_MAX);
  tail(body, 0, 10, true);
  CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_MALFORMED);
  sample_deinit(&sample);
}

/* Rows come only when all up to base has been covered, and so does the last
 * piece; nothing up to base is covered but by a live set. */
static void
rows_before_base_are_refused(void)
{
  struct sample sample;
  sample_init(&sample);
  struct holt_buf *const body = &sample.body;
  struct holt_liveset_writer set;
  holt_liveset_begin(&set, &sample.live, 0, 1000);
  CU_ASSERT_EQUAL(holt_liveset_add(&set, 3), 0);
  CU_ASSERT_EQUAL(holt_liveset_end(&set, 8), 0);
  for (unsigned i = 0; i < 4; i++) {
    repair_head(body, i == 3 ? 8 : 10, 0, 2);
    holt_buf_put_varint(body, 8);
    holt_buf_put_varint(body, sample.live.size);
    holt_buf_put(body, sample.live.data, sample.live.size);
    if (i == 0 || i == 3) {
      put_row(body, 1);
    }
    /* A row, a later end, the last: all of them too early. */
    tail(body, i == 2 ? 1 : 0, i == 2 ? 8 : 11, true);
    CU_ASSERT_EQUAL(open_body(&sample), i == 3 ? 0 : HOLT_ERR_MALFORMED);
  }
  repair_head(body, 10, 0, 0);
  tail(body, 0, 10, true);
  CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_MALFORMED);
  sample_deinit(&sample);
}

/* A message beyond the limit is one row and no more. */
static void
large_messages_are_one_row(void)
{
  struct sample sample;
  sample_init(&sample);
  const uint32_t text = HOLT_MESSAGE_BYTES_LIMIT;
  uint8_t *const value = calloc(1, text + 6);
  CU_ASSERT_PTR_NOT_NULL_FATAL(value);
  value[0] = 131;
  value[1] = 109;
  value[2] = (uint8_t)(text >> 24);
  value[3] = (uint8_t)(text >> 16);
  value[4] = (uint8_t)(text >> 8);
  value[5] = (uint8_t)text;
  uint8_t key[64];
  struct holt_row_spec row = { .seq = 1,
                               .birth = 1,
                               .key = key,
                               .key_size = pair_key("x", key),
                               .value = value,
                               .value_size = text + 6 };
  for (unsigned rows = 1; rows <= 2; rows++) {
    struct holt_delta_writer writer;
    holt_buf_clear(&sample.body);
    holt_delta_begin(&writer, &sample.body, 10, 0);
    holt_delta_row(&writer, &row);
    if (rows == 2) {
      struct holt_row_spec small = row;
      small.seq = 2;
      small.birth = 2;
      small.value_size = 0;
      holt_delta_row(&writer, &small);
    }
    CU_ASSERT_EQUAL(holt_delta_end(&writer, rows, rows), 0);
    CU_ASSERT_EQUAL(open_body(&sample), rows == 1 ? 0 : HOLT_ERR_TOO_LARGE);
  }
  free(value);
  sample_deinit(&sample);
}

/* Values that are no terms. */
static void
values_are_terms(void)
{
  struct sample sample;
  sample_init(&sample);
  struct item *const item = &sample.items[0];
  static const uint8_t value[16] = { 131, 109, 0, 0, 0, 10 };
  memcpy(item->value, value, sizeof value);
  item->is_row = true;
  item->row = (struct holt_row_spec){ .seq = 1,
                                      .birth = 1,
                                      .key = item->key,
                                      .key_size = pair_key("x", item->key),
                                      .value = item->value,
                                      .value_size = sizeof value };
  sample.count = 1;
  sample.repair = false;
  sample.after = 0;
  sample.to = sample.as_of = 1;
  CU_ASSERT_EQUAL(sample_encode(&sample), 0);
  CU_ASSERT_EQUAL(open_body(&sample), 0);
  item->value[0] = 130;
  CU_ASSERT_EQUAL(sample_encode(&sample), 0);
  CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_MALFORMED);
  item->value[0] = 131;
  item->value[5] = 11;
  CU_ASSERT_EQUAL(sample_encode(&sample), 0);
  CU_ASSERT_EQUAL(open_body(&sample), HOLT_ERR_MALFORMED);
  item->value[5] = 10;
  item->key[0] ^= 0x55;
  CU_ASSERT_EQUAL(sample_encode(&sample), 0);
  CU_ASSERT(open_body(&sample) < 0);
  sample_deinit(&sample);
}

/* A body of rows with long keys that share their beginnings. */
static void
write_long_keys(struct sample *sample, size_t count, size_t key_size)
{
  uint8_t *const key = malloc(key_size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(key);
  memset(key, 'k', key_size);
  const uint8_t head[5] = { 109, 0, 0, (uint8_t)((key_size - 5) >> 8),
                            (uint8_t)(key_size - 5) };
  memcpy(key, head, sizeof head);
  struct holt_delta_writer writer;
  holt_buf_clear(&sample->body);
  holt_delta_begin(&writer, &sample->body, 77, 0);
  for (size_t i = 0; i < count; i++) {
    key[key_size - 1] = (uint8_t)i;
    const struct holt_row_spec row = { .seq = i + 1,
                                       .birth = i + 1,
                                       .key = key,
                                       .key_size = key_size };
    holt_delta_row(&writer, &row);
    /* The next row is told from this one by its last byte. */
    writer.key_size = key_size - 1;
  }
  CU_ASSERT_EQUAL(holt_delta_end(&writer, count, count), 0);
  free(key);
}

/* A batch of long keys ends early; and one that gets no memory is read again,
 * from where it stood. */
static void
batches_of_long_keys_are_short(void)
{
  enum {
    COUNT = 12,
    KEY = 1000
  };
  struct sample sample;
  sample_init(&sample);
  write_long_keys(&sample, COUNT, KEY);
  struct holt_message *message;
  const int rv =
    sample_open(&sample, sample.body.data, sample.body.size, &message);
  CU_ASSERT_EQUAL_FATAL(rv, 0);
  struct holt_batch batch;
  size_t batches = 0;
  for (size_t at = 0; at < COUNT; batches++) {
    sample.heap.mem.bytes_max = batches == 0 ? sample.heap.mem.bytes : 0;
    CU_ASSERT_EQUAL_FATAL(holt_message_batch(message, &batch, COUNT), 0);
    CU_ASSERT_FATAL(batch.count > 0 && batch.count < 8);
    for (size_t i = 0; i < batch.count; i++, at++) {
      const struct holt_row_spec *const row = &batch.items[i].row;
      CU_ASSERT_EQUAL(row->seq, at + 1);
      CU_ASSERT_EQUAL_FATAL(row->key_size, KEY);
      CU_ASSERT_EQUAL(row->key[KEY - 2], 'k');
      CU_ASSERT_EQUAL(row->key[KEY - 1], at);
    }
  }
  CU_ASSERT(batches > 2);
  CU_ASSERT_EQUAL(holt_message_batch(message, &batch, COUNT), 0);
  CU_ASSERT_EQUAL(batch.count, 0);
  holt_message_close(message);

  /* Not even one item. */
  write_long_keys(&sample, 2, 250);
  CU_ASSERT_EQUAL_FATAL(
    sample_open(&sample, sample.body.data, sample.body.size, &message), 0);
  CU_ASSERT_EQUAL(holt_message_batch(message, &batch, 1), 0);
  sample.heap.mem.bytes_max = sample.heap.mem.bytes;
  CU_ASSERT_EQUAL(holt_message_batch(message, &batch, 9), HOLT_ERR_NOMEM);
  CU_ASSERT_EQUAL(batch.count, 0);
  sample.heap.mem.bytes_max = 0;
  CU_ASSERT_EQUAL(holt_message_batch(message, &batch, 9), 0);
  CU_ASSERT_EQUAL(batch.count, 1);
  CU_ASSERT_EQUAL(batch.items[0].row.seq, 2);
  CU_ASSERT_EQUAL(batch.items[0].row.key[249], 1);
  holt_message_close(message);
  sample_deinit(&sample);
}

void test_delta_suite(void);

void
test_delta_suite(void)
{
  CU_pSuite suite = CU_add_suite("delta", NULL, NULL);
  CU_ADD_TEST(suite, prop_round_trip);
  CU_ADD_TEST(suite, prop_truncated_is_refused);
  CU_ADD_TEST(suite, prop_mutations_do_no_harm);
  CU_ADD_TEST(suite, long_runs_of_deaths_are_refused);
  CU_ADD_TEST(suite, large_seqs_are_refused);
  CU_ADD_TEST(suite, strange_reasons_are_refused);
  CU_ADD_TEST(suite, unknown_tags_are_refused);
  CU_ADD_TEST(suite, live_sets_fit_their_range);
  CU_ADD_TEST(suite, rows_before_base_are_refused);
  CU_ADD_TEST(suite, large_messages_are_one_row);
  CU_ADD_TEST(suite, values_are_terms);
  CU_ADD_TEST(suite, batches_of_long_keys_are_short);
}
