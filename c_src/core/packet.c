/* SPDX-License-Identifier: Apache-2.0 */
#include "packet.h"

#include <string.h>

#include <holt/etf.h>
#include <holt/key.h>

#include "invariant.h"

#define HELLO_TAG 0x48u /* 'H' */

#define ITEM_END 0x00u
#define ITEM_DEATH 0x01u
#define ITEM_DEATH_RUN 0x02u
#define ITEM_ROW 0x80u
#define ROW_SAME_OWNER 0x01u
#define ROW_CHANGED 0x02u
#define ROW_HAS_VALUE 0x04u
#define ROW_FLAGS (ROW_SAME_OWNER | ROW_CHANGED | ROW_HAS_VALUE)

#define FLAG_GAP 0x01u
#define FLAG_CLEAN 0x01u
#define FLAG_ANEW 0x02u

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
 * Hello */

static void
put_atom(struct holt_buf *out, const uint8_t *bytes, size_t size)
{
  holt_buf_put_varint(out, size);
  holt_buf_put(out, bytes, size);
}

int
holt_hello_encode(struct holt_buf *out, const struct holt_hello *hello)
{
  holt_buf_put_u8(out, HELLO_TAG);
  holt_buf_put_u8(out, hello->version_min);
  holt_buf_put_u8(out, hello->version_max);
  put_atom(out, hello->member.name, hello->member.name_size);
  put_atom(out, hello->member.node, hello->member.node_size);
  holt_buf_put_u64be(out, hello->actor);
  holt_buf_put_u32be(out, hello->creation);
  holt_buf_put_u64be(out, hello->session);
  holt_buf_put_u64be(out, hello->known_session);
  holt_buf_put_u64be(out, hello->policy);
  holt_buf_put_varint(out, hello->version);
  holt_buf_put_u64be(out, hello->have_actor);
  holt_buf_put_varint(out, hello->have_cursor);
  return out->error;
}

static void
read_atom(struct holt_reader *reader, const uint8_t **bytes, uint16_t *size)
{
  const uint64_t count = holt_read_varint(reader);
  if (reader->error == 0 && (count == 0 || count > HOLT_ATOM_BYTES_MAX)) {
    reader->error = HOLT_ERR_MALFORMED;
  }
  if (reader->error == 0) {
    *bytes = holt_read_bytes(reader, (size_t)count);
    *size = (uint16_t)count;
  }
}

int
holt_hello_decode(const uint8_t *bytes, size_t size, struct holt_hello *hello)
{
  struct holt_reader reader;
  holt_reader_init(&reader, bytes, size);
  *hello = (struct holt_hello){ .actor = 0 };

  if (holt_read_u8(&reader) != HELLO_TAG) {
    return HOLT_ERR_MALFORMED;
  }
  /* What follows the version range may look different in another protocol, so
   * the range decides before the rest is read. */
  hello->version_min = holt_read_u8(&reader);
  hello->version_max = holt_read_u8(&reader);
  if (reader.error != 0 || hello->version_min > hello->version_max) {
    return HOLT_ERR_MALFORMED;
  }
  if (hello->version_min > HOLT_PROTOCOL_VERSION ||
      hello->version_max < HOLT_PROTOCOL_VERSION) {
    return HOLT_ERR_VERSION;
  }
  read_atom(&reader, &hello->member.name, &hello->member.name_size);
  read_atom(&reader, &hello->member.node, &hello->member.node_size);
  hello->actor = holt_read_u64be(&reader);
  hello->creation = holt_read_u32be(&reader);
  hello->session = holt_read_u64be(&reader);
  hello->known_session = holt_read_u64be(&reader);
  hello->policy = holt_read_u64be(&reader);
  hello->version = holt_read_varint(&reader);
  hello->have_actor = holt_read_u64be(&reader);
  hello->have_cursor = holt_read_varint(&reader);
  if (reader.error != 0 || reader.at != reader.end || hello->actor == 0 ||
      hello->session == 0) {
    return HOLT_ERR_MALFORMED;
  }
  return 0;
}

/*--------------------------------------------------------------------
 * Header, ack, vector */

static uint8_t *
put_u64be(uint8_t *at, uint64_t value)
{
  for (int shift = 56; shift >= 0; shift -= 8) {
    *at++ = (uint8_t)(value >> shift);
  }
  return at;
}

void
holt_header_encode(uint8_t out[HOLT_HEADER_BYTES],
                   const struct holt_header *header)
{
  out[0] = HOLT_PROTOCOL_VERSION;
  uint8_t *const at = put_u64be(out + 1, header->to_session);
  put_u64be(at, header->from_session);
}

int
holt_header_decode(const uint8_t *bytes, size_t size,
                   struct holt_header *header)
{
  struct holt_reader reader;
  holt_reader_init(&reader, bytes, size);
  const uint8_t version = holt_read_u8(&reader);
  if (reader.error == 0 && version != HOLT_PROTOCOL_VERSION) {
    return HOLT_ERR_VERSION;
  }
  header->to_session = holt_read_u64be(&reader);
  header->from_session = holt_read_u64be(&reader);
  return reader.error != 0 || reader.at != reader.end ? HOLT_ERR_MALFORMED : 0;
}

int
holt_ack_encode(struct holt_buf *out, const struct holt_ack *ack)
{
  holt_buf_put_u8(out, HOLT_PACKET_ACK);
  holt_buf_put_u64be(out, ack->actor);
  holt_buf_put_varint(out, ack->cursor);
  holt_buf_put_u8(out, ack->gap ? FLAG_GAP : 0);
  return out->error;
}

int
holt_vector_encode(struct holt_buf *out, const struct holt_vector_item *items,
                   size_t count)
{
  holt_assert(count <= HOLT_VECTOR_ITEMS_MAX);

  holt_buf_put_u8(out, HOLT_PACKET_VECTOR);
  holt_buf_put_varint(out, count);
  for (size_t i = 0; i < count; i++) {
    holt_buf_put_u64be(out, items[i].actor);
    holt_buf_put_varint(out, items[i].version);
    holt_buf_put_varint(out, items[i].sent);
  }
  return out->error;
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
  if (writer->run_count == 1) {
    holt_buf_put_u8(writer->out, ITEM_DEATH);
    holt_buf_put_varint(writer->out, step);
  } else {
    holt_buf_put_u8(writer->out, ITEM_DEATH_RUN);
    holt_buf_put_varint(writer->out, step);
    holt_buf_put_varint(writer->out, writer->run_count);
  }
  writer->death = writer->run_birth + writer->run_count - 1;
  writer->run_count = 0;
}

void
holt_delta_death(struct holt_delta_writer *writer, uint64_t birth)
{
  holt_assert(birth >= 1 && birth <= writer->after);
  holt_assert(writer->death_count < HOLT_DELTA_DEATHS_MAX);

  writer->death_count++;
  if (writer->run_count > 0 && birth == writer->run_birth + writer->run_count) {
    writer->run_count++;
    return;
  }
  write_death_run(writer);
  writer->run_birth = birth;
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

  holt_buf_put_u8(out, (uint8_t)(ITEM_ROW | (same_owner ? ROW_SAME_OWNER : 0) |
                                 (changed ? ROW_CHANGED : 0) |
                                 (row->value_size > 0 ? ROW_HAS_VALUE : 0)));
  holt_buf_put_varint(out, row->seq - writer->seq);
  holt_buf_put_varint(out, zigzag(writer->stamp, row->stamp));
  if (changed) {
    holt_buf_put_varint(out, row->seq - row->birth);
    holt_buf_put_varint(out, zigzag(row->stamp, row->value_stamp));
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

int
holt_delta_end(struct holt_delta_writer *writer, uint64_t to, uint64_t as_of,
               uint64_t anew)
{
  holt_assert(to >= writer->seq && as_of >= to);

  write_death_run(writer);
  holt_buf_put_u8(writer->out, ITEM_END);
  holt_buf_put_u8(writer->out, (uint8_t)((as_of == to ? FLAG_CLEAN : 0) |
                                         (anew != 0 ? FLAG_ANEW : 0)));
  holt_buf_put_varint(writer->out, to - writer->after);
  if (as_of != to) {
    holt_buf_put_varint(writer->out, as_of - to);
  }
  if (anew != 0) {
    holt_buf_put_varint(writer->out, anew);
  }
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

/* The key: some first bytes of the one before it, then its own.  The buffer
 * keeps the first bytes even when it cannot grow, so a later try succeeds. */
static void
read_key(struct holt_message *message, struct holt_reader *reader)
{
  const uint64_t shared = holt_read_varint(reader);
  const uint64_t own = holt_read_varint(reader);
  if (reader->error == 0 && shared > message->key.size) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  if (reader->error == 0 &&
      (own > message->key.size_max || shared + own > message->key.size_max)) {
    holt_read_fail(reader, HOLT_ERR_TOO_LARGE);
  }
  if (reader->error != 0) {
    return;
  }
  const uint8_t *const bytes = holt_read_bytes(reader, (size_t)own);
  if (bytes != NULL) {
    holt_buf_truncate(&message->key, (size_t)shared);
    message->key.error = 0;
    holt_buf_put(&message->key, bytes, (size_t)own);
    if (message->key.error != 0) {
      holt_read_fail(reader, message->key.error);
    }
  }
}

static void
read_row(struct holt_message *message, struct holt_reader *reader, uint8_t tag,
         struct holt_delta_state *state, struct holt_row_spec *row)
{
  const uint64_t step = holt_read_varint(reader);
  row->seq = state->seq + step;
  row->birth = row->seq;
  row->stamp = unzigzag(state->stamp, holt_read_varint(reader));
  row->value_stamp = row->stamp;
  if (step == 0 || row->seq < state->seq) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  if ((tag & ROW_CHANGED) != 0) {
    const uint64_t age = holt_read_varint(reader);
    row->value_stamp = unzigzag(row->stamp, holt_read_varint(reader));
    if (age == 0 || age >= row->seq) {
      holt_read_fail(reader, HOLT_ERR_MALFORMED);
    }
    row->birth = row->seq - age;
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
  read_key(message, reader);
  row->key = message->key.data;
  row->key_size = message->key.size;
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

static void
read_deaths(const struct holt_message *message, struct holt_reader *reader,
            uint8_t tag, struct holt_delta_state *state)
{
  state->run_birth = unzigzag(state->death, holt_read_varint(reader));
  state->run_count = tag == ITEM_DEATH ? 1 : holt_read_varint(reader);
  if (reader->error == 0 &&
      (state->run_birth == 0 || state->run_birth > message->after ||
       state->run_count == 0 ||
       state->run_count - 1 > message->after - state->run_birth)) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
}

static void
next_of_run(struct holt_delta_state *state, struct holt_delta_item *item)
{
  item->type = HOLT_ITEM_DEATH;
  item->birth = state->run_birth;
  state->death = state->run_birth;
  state->run_birth++;
  state->run_count--;
}

int
holt_message_next(struct holt_message *message, struct holt_delta_item *item)
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
    if (reader.error == 0 && (tag & ~ROW_FLAGS) == ITEM_ROW) {
      item->type = HOLT_ITEM_ROW;
      read_row(message, &reader, tag, &state, &item->row);
    } else if (tag == ITEM_DEATH || tag == ITEM_DEATH_RUN) {
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

static void
delta_rewind(struct holt_message *message, size_t offset)
{
  message->state =
    (struct holt_delta_state){ .offset = offset, .seq = message->after };
  holt_buf_clear(&message->key);
}

static int
check_row(const struct holt_row_spec *row, const struct holt_tuning *tuning)
{
  if (row->value_size > tuning->value_bytes_max) {
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

/* What stands behind the items. */
static int
delta_tail(struct holt_message *message)
{
  struct holt_reader reader = { .at = message->body + message->state.offset + 1,
                                .end = message->body + message->body_size };
  const uint8_t flags = holt_read_u8(&reader);
  const bool anew = (flags & FLAG_ANEW) != 0;
  message->clean = (flags & FLAG_CLEAN) != 0;
  const uint64_t length = holt_read_varint(&reader);
  const uint64_t behind = message->clean ? 0 : holt_read_varint(&reader);
  message->anew = anew ? holt_read_varint(&reader) : 0;
  if (reader.error != 0 || reader.at != reader.end ||
      (flags & ~(FLAG_CLEAN | FLAG_ANEW)) != 0 ||
      message->clean != (behind == 0) || anew != (message->anew != 0) ||
      length > UINT64_MAX - message->after ||
      behind > UINT64_MAX - message->after - length ||
      message->after + length < message->state.seq) {
    return HOLT_ERR_MALFORMED;
  }
  message->to = message->after + length;
  message->as_of = message->to + behind;
  return 0;
}

/* Read every item once; fills in what stands behind them. */
static int
delta_check(struct holt_message *message, size_t offset,
            const struct holt_tuning *tuning)
{
  uint64_t deaths = 0;
  struct holt_delta_item item;
  delta_rewind(message, offset);
  do {
    int rv = holt_message_next(message, &item);
    if (rv == 0 && item.type == HOLT_ITEM_ROW) {
      rv = check_row(&item.row, tuning);
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

  const int rv = delta_tail(message);
  if (rv != 0) {
    return rv;
  }
  delta_rewind(message, offset);
  return 0;
}

static int
open_delta(struct holt_message *message, struct holt_reader *reader,
           const struct holt_tuning *tuning)
{
  message->actor = holt_read_u64be(reader);
  message->after = holt_read_varint(reader);
  if (reader->error != 0) {
    return reader->error;
  }
  return delta_check(message, (size_t)(reader->at - message->body), tuning);
}

static int
open_ack(struct holt_message *message, struct holt_reader *reader)
{
  message->ack.actor = holt_read_u64be(reader);
  message->ack.cursor = holt_read_varint(reader);
  const uint8_t flags = holt_read_u8(reader);
  message->ack.gap = (flags & FLAG_GAP) != 0;
  if (reader->error != 0 || reader->at != reader->end ||
      (flags & ~FLAG_GAP) != 0) {
    return HOLT_ERR_MALFORMED;
  }
  return 0;
}

static void
read_vector_item(struct holt_reader *reader, struct holt_vector_item *item)
{
  item->actor = holt_read_u64be(reader);
  item->version = holt_read_varint(reader);
  item->sent = holt_read_varint(reader);
}

static int
open_vector(struct holt_message *message, struct holt_reader *reader)
{
  const uint64_t count = holt_read_varint(reader);
  if (reader->error != 0 || count > HOLT_VECTOR_ITEMS_MAX) {
    return HOLT_ERR_MALFORMED;
  }
  message->vector_offset = (size_t)(reader->at - message->body);
  message->vector_count = (size_t)count;
  for (uint64_t i = 0; i < count && reader->error == 0; i++) {
    struct holt_vector_item item;
    read_vector_item(reader, &item);
  }
  return reader->error != 0 || reader->at != reader->end ? HOLT_ERR_MALFORMED
                                                         : 0;
}

static int
open_body(struct holt_message *message, const struct holt_tuning *tuning)
{
  struct holt_reader reader;
  holt_reader_init(&reader, message->body, message->body_size);
  const uint8_t kind = holt_read_u8(&reader);
  if (reader.error != 0) {
    return HOLT_ERR_MALFORMED;
  }
  message->kind = (enum holt_packet_kind)kind;
  switch (kind) {
  case HOLT_PACKET_DELTA:
    return open_delta(message, &reader, tuning);
  case HOLT_PACKET_ACK:
    return open_ack(message, &reader);
  case HOLT_PACKET_VECTOR:
    return open_vector(message, &reader);
  default:
    return HOLT_ERR_UNSUPPORTED;
  }
}

/* What one message may take: a row that is larger than message_bytes_max
 * travels alone. */
static size_t
body_bytes_max(const struct holt_tuning *tuning)
{
  return tuning->message_bytes_max + tuning->key_bytes_max +
         tuning->value_bytes_max + HOLT_DELTA_ROW_BYTES_MAX;
}

int
holt_message_open(struct holt_message **out, struct holt_mem *mem,
                  const struct holt_tuning *tuning, const uint8_t *header,
                  size_t header_size, const uint8_t *body, size_t body_size)
{
  struct holt_header decoded;
  int rv = holt_header_decode(header, header_size, &decoded);
  if (rv != 0) {
    return rv;
  }
  if (body_size > body_bytes_max(tuning)) {
    return HOLT_ERR_TOO_LARGE;
  }
  struct holt_message *const message = holt_mem_zalloc(mem, sizeof *message);
  if (message == NULL) {
    return HOLT_ERR_NOMEM;
  }
  message->header = decoded;
  message->mem = mem;
  message->body = body;
  message->body_size = body_size;
  holt_buf_init(&message->key, mem, tuning->key_bytes_max);
  rv = open_body(message, tuning);
  if (rv != 0) {
    holt_message_close(message);
    return rv;
  }
  *out = message;
  return 0;
}

void
holt_message_move(struct holt_message *message, const uint8_t *body)
{
  message->body = body;
}

void
holt_message_close(struct holt_message *message)
{
  holt_buf_deinit(&message->key);
  holt_mem_free(message->mem, message, sizeof *message);
}

void
holt_message_vector(const struct holt_message *message, size_t *offset,
                    struct holt_vector_item *item)
{
  struct holt_reader reader = { .at = message->body + *offset,
                                .end = message->body + message->body_size };
  read_vector_item(&reader, item);
  holt_assert(reader.error == 0);
  *offset = (size_t)(reader.at - message->body);
}
