/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies that carry rows: deltas, and the pieces of a repair. */
#include <string.h>

#include <holt/clock.h>
#include <holt/etf.h>
#include <holt/key.h>

#include "invariant.h"
#include "mutant.h"
#include "packet.h"

#define ITEM_END 0x00u
#define ITEM_DEATH 0x01u
#define ITEM_DEATH_RUN 0x02u
#define ITEM_DEATH_BITS 0x03u
#define ITEM_ROW 0x80u

/* The other bits of the tag of a death: why, up to HOLT_REASON_UNKNOWN. */
#define ITEM_WHY_SHIFT 2

/* The low bits of a row's tag; those from ROW_SAYS on are HOLT_ROW_. */
#define ROW_SAME_OWNER 0x01u
#define ROW_CHANGED 0x02u
#define ROW_HAS_VALUE 0x04u
#define ROW_SAYS_SHIFT 3
#define ROW_WHOLE_MS 0x40u
#define ROW_TAG_BITS 0x7fu

/* Who waits in line takes nobody's place. */
#define ROW_NEVER_BOTH (HOLT_ROW_STANDBY | HOLT_ROW_REPLACES)

/* What a millisecond is in stamps. */
#define STAMP_MS (UINT64_C(1) << HOLT_CLOCK_COUNTER_BITS)

#define FLAG_CLEAN 0x01u

#define PIECE_REFUSED 0x01u
#define PIECE_LIVE 0x02u
#define PIECE_IDENTITY 0x04u
#define PIECE_WHOLE 0x08u
#define PIECE_LAST 0x01u

/* A batch ends when its keys take as much. */
#define BATCH_KEY_BYTES 4096u

/* The first byte of a term in external format; of every value, if any. */
#define ETF_VERSION 131u

static uint64_t
zigzag(uint64_t from, uint64_t to)
{
  const uint64_t difference = to - from;
  return difference << 1 ^ (difference >> 63 != 0 ? UINT64_MAX : 0);
}

static uint64_t
unzigzag(uint64_t from, uint64_t coded)
{
  return from + (coded >> 1 ^ ((coded & 1u) != 0 ? UINT64_MAX : 0));
}

/*--------------------------------------------------------------------
 * Writing a delta */

void
holt_delta_begin(struct holt_delta_writer *writer, struct holt_buf *out,
                 uint64_t actor, uint64_t after)
{
  *writer =
    (struct holt_delta_writer){ .out = out, .after = after, .seq = after };
  holt_buf_put_u8(out, HOLT_PACKET_DELTA);
  holt_buf_put_u64be(out, actor);
  holt_buf_put_varint(out, after);
}

static void
write_death_run(struct holt_delta_writer *writer)
{
  if (writer->run_count == 0) {
    return;
  }
  const uint64_t step = zigzag(writer->death, writer->run_birth);
  const bool run = writer->run_count > 1;
  const unsigned why =
    holt_mutant(WHY_UNSAID) ? 0u : (unsigned)writer->run_why << ITEM_WHY_SHIFT;
  holt_buf_put_u8(writer->out,
                  (uint8_t)((run ? ITEM_DEATH_RUN : ITEM_DEATH) | why));
  holt_buf_put_varint(writer->out, step);
  if (run) {
    holt_buf_put_varint(writer->out, writer->run_count);
  }
  writer->death = writer->run_birth + writer->run_count - 1;
  writer->run_count = 0;
}

void
holt_delta_death(struct holt_delta_writer *writer, uint64_t birth,
                 enum holt_reason why)
{
  holt_assert(birth >= 1 && birth <= HOLT_SEQ_MAX);
  holt_assert(why <= HOLT_REASON_UNKNOWN);
  holt_assert(writer->death_count < HOLT_DELTA_DEATHS_MAX);

  writer->death_count++;
  if (writer->run_count > 0 && writer->run_why == why &&
      birth == writer->run_birth + writer->run_count) {
    writer->run_count++;
    return;
  }
  write_death_run(writer);
  writer->run_birth = birth;
  writer->run_why = why;
  writer->run_count = 1;
}

static size_t
shared_prefix(const uint8_t *left, size_t left_size, const uint8_t *right,
              size_t right_size)
{
  const size_t limit = left_size < right_size ? left_size : right_size;
  size_t shared = 0;
  while (shared < limit && left[shared] == right[shared]) {
    shared++;
  }
  return shared;
}

void
holt_delta_row(struct holt_delta_writer *writer,
               const struct holt_row_spec *row)
{
  holt_assert(row->seq > writer->seq);
  holt_assert(row->birth >= 1 && row->birth <= row->seq);

  write_death_run(writer);
  const bool same_owner = writer->has_owner &&
                          writer->owner_id == row->owner_id &&
                          writer->owner_serial == row->owner_serial;
  const bool changed = row->birth != row->seq;
  struct holt_buf *const out = writer->out;
  /* A first registration in its millisecond: three bytes less. */
  const bool whole_ms = (writer->stamp ^ row->stamp) % STAMP_MS == 0;
  const unsigned says = (row->flags & HOLT_ROW_FLAGS) << ROW_SAYS_SHIFT;
  holt_buf_put_u8(out, (uint8_t)(ITEM_ROW | (same_owner ? ROW_SAME_OWNER : 0) |
                                 (changed ? ROW_CHANGED : 0) |
                                 (row->value_size > 0 ? ROW_HAS_VALUE : 0) |
                                 (whole_ms ? ROW_WHOLE_MS : 0) | says));
  holt_buf_put_varint(out, row->seq - writer->seq);
  holt_buf_put_varint(
    out, whole_ms ? zigzag(writer->stamp / STAMP_MS, row->stamp / STAMP_MS)
                  : zigzag(writer->stamp, row->stamp));
  if (changed) {
    holt_buf_put_varint(out, row->seq - row->birth);
  }
  if ((row->flags & HOLT_ROW_REPLACES) != 0) {
    holt_buf_put_u64be(out, row->replaces_actor);
    holt_buf_put_varint(out, row->replaces_birth);
  }
  if (!same_owner) {
    holt_buf_put_varint(out, row->owner_id);
    holt_buf_put_varint(out, row->owner_serial);
  }
  const size_t shared =
    shared_prefix(writer->key, writer->key_size, row->key, row->key_size);
  holt_buf_put_varint(out, shared);
  holt_buf_put_varint(out, row->key_size - shared);
  holt_buf_put(out, row->key + shared, row->key_size - shared);
  if (row->value_size > 0) {
    holt_buf_put_varint(out, row->value_size);
    holt_buf_put(out, row->value, row->value_size);
  }

  writer->seq = row->seq;
  writer->stamp = row->stamp;
  writer->owner_id = row->owner_id;
  writer->owner_serial = row->owner_serial;
  writer->has_owner = true;
  writer->key = row->key;
  writer->key_size = row->key_size;
}

static void
write_tail(struct holt_delta_writer *writer, uint64_t to, uint64_t as_of,
           uint8_t flags)
{
  holt_assert(to >= writer->seq && as_of >= to);

  write_death_run(writer);
  holt_buf_put_u8(writer->out, ITEM_END);
  holt_buf_put_u8(writer->out, flags);
  holt_buf_put_varint(writer->out, to - writer->after);
}

int
holt_delta_end(struct holt_delta_writer *writer, uint64_t to, uint64_t as_of)
{
  write_tail(writer, to, as_of, as_of == to ? FLAG_CLEAN : 0);
  if (as_of != to) {
    holt_buf_put_varint(writer->out, as_of - to);
  }
  return writer->out->error;
}

void
holt_repair_begin(struct holt_delta_writer *writer, struct holt_buf *out,
                  const struct holt_piece *piece)
{
  const uint64_t after =
    piece->after > piece->base ? piece->after : piece->base;
  *writer = (struct holt_delta_writer){ .out = out,
                                        .after = piece->after,
                                        .seq = after };
  holt_buf_put_u8(out, HOLT_PACKET_REPAIR);
  holt_buf_put_u64be(out, piece->actor);
  holt_buf_put_u64be(out, piece->token);
  holt_buf_put_varint(out, piece->session);
  holt_buf_put_varint(out, piece->base);
  holt_buf_put_varint(out, piece->after);
  holt_buf_put_varint(out, piece->notes);
  holt_buf_put_u8(out,
                  (uint8_t)((piece->refused ? PIECE_REFUSED : 0) |
                            (piece->live ? PIECE_LIVE : 0) |
                            (piece->whole ? PIECE_WHOLE : 0) |
                            (piece->identity != NULL ? PIECE_IDENTITY : 0)));
  if (piece->identity != NULL) {
    const struct holt_member *const member = &piece->identity->member;
    holt__put_atom(out, member->name, member->name_size);
    holt__put_atom(out, member->node, member->node_size);
    holt_buf_put_u32be(out, piece->identity->creation);
    holt_buf_put_u8(out, piece->identity->rule);
  }
}

void
holt_repair_live(struct holt_delta_writer *writer, uint64_t live_to,
                 const uint8_t *bytes, size_t size)
{
  holt_assert(live_to >= writer->after && size > 0);

  holt_buf_put_varint(writer->out, live_to - writer->after);
  holt_buf_put_varint(writer->out, size);
  holt_buf_put(writer->out, bytes, size);
  writer->seq = live_to;
}

int
holt_repair_end(struct holt_delta_writer *writer, uint64_t to, uint64_t as_of,
                bool last)
{
  holt_assert(!last || as_of == to);

  /* Rows up to base may be covered by the live set only in part. */
  if (to < writer->seq) {
    writer->seq = to;
  }
  write_tail(writer, to, as_of, last ? PIECE_LAST : 0);
  holt_buf_put_varint(writer->out, as_of - to);
  return writer->out->error;
}

/*--------------------------------------------------------------------
 * Reading a delta */

static uint32_t
read_varint_u32(struct holt_reader *reader)
{
  const uint64_t value = holt_read_varint(reader);
  if (value > UINT32_MAX) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
    return 0;
  }
  return (uint32_t)value;
}

/* Where in the buffer of keys the next one goes. */
enum key_place {
  KEY_OVER, /* Over the last one. */
  KEY_AFTER /* Behind it, which is kept. */
};

/* The key: some first bytes of the one before it, then its own.  When the
 * buffer cannot grow nothing has happened. */
static void
read_key(struct holt_message *message, struct holt_reader *reader,
         struct holt_delta_state *state, enum key_place place)
{
  const uint64_t shared = holt_read_varint(reader);
  const uint64_t own = holt_read_varint(reader);
  if (reader->error == 0 && shared > state->key_size) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  if (reader->error == 0 &&
      (own > HOLT_KEY_BYTES_LIMIT || shared + own > HOLT_KEY_BYTES_LIMIT)) {
    holt_read_fail(reader, HOLT_ERR_TOO_LARGE);
  }
  const uint8_t *const bytes = holt_read_bytes(reader, (size_t)own);
  if (bytes == NULL) {
    return;
  }
  struct holt_buf *const keys = &message->keys;
  const size_t end = state->key_at + state->key_size;
  const size_t at = place == KEY_OVER ? state->key_at : end;
  const size_t need = at + (size_t)(shared + own);
  keys->error = 0;
  keys->size = end;
  if (need > end && holt_buf_reserve(keys, need - end) != 0) {
    holt_read_fail(reader, keys->error);
    return;
  }
  if (place == KEY_AFTER) {
    memcpy(keys->data + at, keys->data + state->key_at, (size_t)shared);
  }
  memcpy(keys->data + at + shared, bytes, (size_t)own);
  state->key_at = at;
  state->key_size = (size_t)(shared + own);
}

static uint64_t
read_stamp(struct holt_reader *reader, uint64_t before, bool whole_ms)
{
  const uint64_t step = holt_read_varint(reader);
  return whole_ms
           ? unzigzag(before / STAMP_MS, step) * STAMP_MS + before % STAMP_MS
           : unzigzag(before, step);
}

static void
read_row(struct holt_message *message, struct holt_reader *reader, uint8_t tag,
         struct holt_delta_state *state, enum key_place place,
         struct holt_row_spec *row)
{
  const uint64_t step = holt_read_varint(reader);
  row->seq = state->seq + step;
  row->birth = row->seq;
  row->stamp = read_stamp(reader, state->stamp, (tag & ROW_WHOLE_MS) != 0);
  row->flags = (uint8_t)(tag >> ROW_SAYS_SHIFT & HOLT_ROW_FLAGS);
  if (step == 0 || row->seq < state->seq || row->seq > HOLT_SEQ_MAX ||
      row->stamp > HOLT_STAMP_MAX ||
      (row->flags & ROW_NEVER_BOTH) == ROW_NEVER_BOTH) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  if ((tag & ROW_CHANGED) != 0) {
    const uint64_t age = holt_read_varint(reader);
    if (age == 0 || age >= row->seq) {
      holt_read_fail(reader, HOLT_ERR_MALFORMED);
    }
    row->birth = row->seq - age;
  }
  if ((row->flags & HOLT_ROW_REPLACES) != 0) {
    row->replaces_actor = holt_read_u64be(reader);
    row->replaces_birth = holt_read_varint(reader);
  }
  if ((tag & ROW_SAME_OWNER) == 0) {
    state->owner_id = read_varint_u32(reader);
    state->owner_serial = read_varint_u32(reader);
    state->has_owner = true;
  } else if (!state->has_owner) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  row->owner_id = state->owner_id;
  row->owner_serial = state->owner_serial;
  read_key(message, reader, state, place);
  row->key_size = state->key_size;
  if ((tag & ROW_HAS_VALUE) != 0) {
    const uint64_t size = holt_read_varint(reader);
    if (reader->error == 0 && (size == 0 || size > SIZE_MAX)) {
      holt_read_fail(reader, HOLT_ERR_MALFORMED);
    } else if (reader->error == 0) {
      row->value = holt_read_bytes(reader, (size_t)size);
      row->value_size = (size_t)size;
    }
  }
  state->seq = row->seq;
  state->stamp = row->stamp;
}

/* A delta names deaths of what the receiver has, so none born later; a repair
 * names what has died since it was sent. */
static void
read_deaths(const struct holt_message *message, struct holt_reader *reader,
            uint8_t tag, struct holt_delta_state *state)
{
  const uint64_t birth_max =
    message->kind == HOLT_PACKET_DELTA ? message->after : HOLT_SEQ_MAX;
  state->run_birth = unzigzag(state->death, holt_read_varint(reader));
  state->run_why = (enum holt_reason)(tag >> ITEM_WHY_SHIFT);
  state->run_count =
    (tag & ITEM_DEATH_BITS) == ITEM_DEATH ? 1 : holt_read_varint(reader);
  if (reader->error == 0 &&
      (state->run_birth == 0 || state->run_birth > birth_max ||
       state->run_count == 0 ||
       state->run_count - 1 > birth_max - state->run_birth)) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
}

static bool
is_death(uint8_t tag)
{
  const unsigned type = tag & ITEM_DEATH_BITS;
  return (type == ITEM_DEATH || type == ITEM_DEATH_RUN) &&
         tag >> ITEM_WHY_SHIFT <= HOLT_REASON_UNKNOWN;
}

static void
next_of_run(struct holt_delta_state *state, struct holt_delta_item *item)
{
  item->type = HOLT_ITEM_DEATH;
  item->birth = state->run_birth;
  item->why = state->run_why;
  state->death = state->run_birth;
  state->run_birth++;
  state->run_count--;
}

/* Read one item.  The key of a row is left to the caller: it is where the state
 * says, but the buffer of keys may still move. */
static int
read_item(struct holt_message *message, enum key_place place,
          struct holt_delta_item *item)
{
  struct holt_delta_state state = message->state;
  *item = (struct holt_delta_item){ .type = HOLT_ITEM_END };

  if (state.run_count == 0) {
    struct holt_reader reader = { .at = message->body + state.offset,
                                  .end = message->body + message->body_size };
    const uint8_t tag = holt_read_u8(&reader);
    if (reader.error == 0 && tag == ITEM_END) {
      return 0;
    }
    if (reader.error == 0 && (tag & ~ROW_TAG_BITS) == ITEM_ROW) {
      item->type = HOLT_ITEM_ROW;
      read_row(message, &reader, tag, &state, place, &item->row);
    } else if (is_death(tag)) {
      read_deaths(message, &reader, tag, &state);
    } else {
      holt_read_fail(&reader, HOLT_ERR_MALFORMED);
    }
    if (reader.error != 0) {
      return reader.error;
    }
    state.offset = (size_t)(reader.at - message->body);
  }
  if (item->type != HOLT_ITEM_ROW) {
    next_of_run(&state, item);
  }
  message->state = state;
  return 0;
}

int
holt_message_next(struct holt_message *message, struct holt_delta_item *item)
{
  const int rv = read_item(message, KEY_OVER, item);
  item->row.key = message->keys.data + message->state.key_at;
  return rv;
}

int
holt_message_batch(struct holt_message *message, struct holt_batch *batch,
                   size_t items_max)
{
  struct holt_buf *const keys = &message->keys;
  struct holt_delta_state *const state = &message->state;
  const size_t limit =
    items_max < HOLT_BATCH_ITEMS ? items_max : HOLT_BATCH_ITEMS;
  /* The last key is the base of the next one. */
  memmove(keys->data, keys->data + state->key_at, state->key_size);
  state->key_at = 0;
  const size_t first = state->key_size;

  int rv = 0;
  batch->count = 0;
  while (batch->count < limit && state->key_at < BATCH_KEY_BYTES) {
    struct holt_delta_item *const item = &batch->items[batch->count];
    rv = read_item(message, KEY_AFTER, item);
    if (rv != 0 || item->type == HOLT_ITEM_END) {
      break;
    }
    batch->count++;
  }
  const uint8_t *key = keys->data + first;
  for (size_t i = 0; i < batch->count; i++) {
    batch->items[i].row.key = key;
    key += batch->items[i].row.key_size;
  }
  /* What was read before an error is handed out first. */
  return batch->count > 0 ? 0 : rv;
}

static void
items_rewind(struct holt_message *message, size_t offset)
{
  const bool repair = message->kind == HOLT_PACKET_REPAIR;
  const uint64_t seq = repair && message->live_to < message->base
                         ? message->base
                         : message->live_to;
  message->state = (struct holt_delta_state){ .offset = offset, .seq = seq };
  holt_buf_clear(&message->keys);
}

static int
check_row(const struct holt_row_spec *row)
{
  if (row->value_size > HOLT_VALUE_BYTES_LIMIT) {
    return HOLT_ERR_TOO_LARGE;
  }
  if (row->value_size > 0) {
    if (row->value[0] != ETF_VERSION) {
      return HOLT_ERR_MALFORMED;
    }
    const int rv = holt_etf_check(row->value + 1, row->value_size - 1);
    if (rv != 0) {
      return rv;
    }
  }
  return holt_key_check(row->key, row->key_size);
}

/* The range that stands behind the items. */
static void
read_range(struct holt_message *message, struct holt_reader *reader,
           bool has_behind)
{
  const uint64_t length = holt_read_varint(reader);
  const uint64_t behind = has_behind ? holt_read_varint(reader) : 0;
  if (message->after > HOLT_SEQ_MAX || length > HOLT_SEQ_MAX ||
      behind > HOLT_SEQ_MAX ||
      message->after + length + behind > HOLT_SEQ_MAX) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
    return;
  }
  message->to = message->after + length;
  message->as_of = message->to + behind;
}

/* Read every item once; the reader goes on behind them. */
static int
items_check(struct holt_message *message, size_t offset,
            struct holt_reader *reader)
{
  uint64_t deaths = 0;
  uint64_t rows = 0;
  struct holt_delta_item item;
  items_rewind(message, offset);
  do {
    int rv = holt_message_next(message, &item);
    if (rv == 0 && item.type == HOLT_ITEM_ROW) {
      rv = check_row(&item.row);
      /* A large message is one large row. */
      if (rv == 0 && ++rows > 1 &&
          message->body_size > HOLT_MESSAGE_BYTES_LIMIT) {
        rv = HOLT_ERR_TOO_LARGE;
      }
    }
    if (rv == 0 && item.type == HOLT_ITEM_DEATH) {
      /* A whole run at once: a run of ten bytes must not cost 2^60 steps. */
      deaths += 1 + message->state.run_count;
      if (deaths > HOLT_DELTA_DEATHS_MAX) {
        return HOLT_ERR_LIMIT;
      }
      message->state.death += message->state.run_count;
      message->state.run_count = 0;
    }
    if (rv != 0) {
      return rv;
    }
  } while (item.type != HOLT_ITEM_END);

  reader->at = message->body + message->state.offset + 1;
  return 0;
}

int
holt__delta_open(struct holt_message *message, struct holt_reader *reader)
{
  message->actor = holt_read_u64be(reader);
  message->after = holt_read_varint(reader);
  message->live_to = message->after;
  if (reader->error != 0) {
    return reader->error;
  }
  const size_t offset = (size_t)(reader->at - message->body);
  const int rv = items_check(message, offset, reader);
  if (rv != 0) {
    return rv;
  }
  const uint8_t flags = holt_read_u8(reader);
  message->clean = (flags & FLAG_CLEAN) != 0;
  read_range(message, reader, !message->clean);
  if (reader->error != 0 || reader->at != reader->end ||
      (flags & ~FLAG_CLEAN) != 0 ||
      message->clean != (message->to == message->as_of) ||
      (message->to < message->state.seq && !holt_mutant(LENGTH_UNCHECKED))) {
    return HOLT_ERR_MALFORMED;
  }
  items_rewind(message, offset);
  return 0;
}

static void
read_identity(struct holt_message *message, struct holt_reader *reader)
{
  struct holt_identity *const identity = &message->identity;
  holt__read_atom(reader, &identity->member.name, &identity->member.name_size);
  holt__read_atom(reader, &identity->member.node, &identity->member.node_size);
  identity->creation = holt_read_u32be(reader);
  identity->rule = holt_read_u8(reader);
  if (identity->rule > HOLT_RULE_MAX) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  message->has_identity = true;
}

static void
read_live(struct holt_message *message, struct holt_reader *reader)
{
  const uint64_t length = holt_read_varint(reader);
  const uint64_t size = holt_read_varint(reader);
  if (reader->error != 0 || message->after > message->base || size == 0 ||
      length > message->base - message->after ||
      size > HOLT_MESSAGE_BYTES_LIMIT) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
    return;
  }
  const uint8_t *const bytes = holt_read_bytes(reader, (size_t)size);
  if (bytes != NULL) {
    message->live_offset = (size_t)(bytes - message->body);
    message->live_size = (size_t)size;
    message->live_to = message->after + length;
    uint64_t to;
    if (length == 0 ||
        holt_liveset_check(bytes, (size_t)size, message->after, &to) != 0 ||
        to != message->live_to) {
      holt_read_fail(reader, HOLT_ERR_MALFORMED);
    }
  }
}

static void
repair_head(struct holt_message *message, struct holt_reader *reader)
{
  message->actor = holt_read_u64be(reader);
  message->token = holt_read_u64be(reader);
  message->session = holt_read_varint(reader);
  message->base = holt_read_varint(reader);
  message->after = holt_read_varint(reader);
  message->notes = holt_read_varint(reader);
  message->live_to = message->after;
  const uint8_t flags = holt_read_u8(reader);
  message->refused = (flags & PIECE_REFUSED) != 0;
  message->whole = (flags & PIECE_WHOLE) != 0;
  if ((flags & ~(PIECE_REFUSED | PIECE_LIVE | PIECE_IDENTITY | PIECE_WHOLE)) !=
        0 ||
      message->base > HOLT_SEQ_MAX || message->after > HOLT_SEQ_MAX) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  if (reader->error == 0 && (flags & PIECE_IDENTITY) != 0) {
    read_identity(message, reader);
  }
  if (reader->error == 0 && (flags & PIECE_LIVE) != 0) {
    read_live(message, reader);
  }
}

int
holt__repair_open(struct holt_message *message, struct holt_reader *reader)
{
  repair_head(message, reader);
  if (reader->error != 0) {
    return reader->error;
  }
  const size_t offset = (size_t)(reader->at - message->body);
  const int rv = items_check(message, offset, reader);
  if (rv != 0) {
    return rv;
  }
  const bool has_rows = message->state.stamp != 0 || message->state.has_owner;
  const uint8_t flags = holt_read_u8(reader);
  message->last = (flags & PIECE_LAST) != 0;
  read_range(message, reader, true);
  /* Rows come when all that base covers has been confirmed; and what base
   * covers is confirmed by a live set only. */
  const bool whole = message->to >= message->base;
  if (reader->error != 0 || reader->at != reader->end ||
      (flags & ~PIECE_LAST) != 0 || message->to < message->live_to ||
      (has_rows && (!whole || message->to < message->state.seq)) ||
      (message->after < message->base && message->to > message->live_to &&
       message->live_to != message->base) ||
      (message->last && (!whole || message->to != message->as_of))) {
    return HOLT_ERR_MALFORMED;
  }
  items_rewind(message, offset);
  if (message->live_size > 0) {
    holt_liveset_open(&message->live, message->body + message->live_offset,
                      message->live_size, message->after);
  }
  return 0;
}
