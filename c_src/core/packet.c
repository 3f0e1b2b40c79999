/* SPDX-License-Identifier: Apache-2.0 */
#include "packet.h"

#include <string.h>

#include <holt/key.h>

#include "invariant.h"

#define HELLO_TAG 0x48u /* 'H' */

#define HELLO_TORN 0x01u
#define HELLO_DIRTY 0x02u
#define ACK_GAP 0x01u
#define ACK_DIRTY 0x02u
#define ACK_STOP 0x04u
#define ITEM_CONNECTED 0x01u
#define ITEM_ABSENT 0x02u
#define REQUEST_START 0x01u
#define REQUEST_GAP 0x02u
#define REQUEST_DONE 0x04u
#define REQUEST_FOLLOW 0x08u
#define VOUCH_WHOLE 0x01u

/*--------------------------------------------------------------------
 * Hello */

void
holt__put_atom(struct holt_buf *out, const uint8_t *bytes, size_t size)
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
  holt__put_atom(out, hello->member.name, hello->member.name_size);
  holt__put_atom(out, hello->member.node, hello->member.node_size);
  holt_buf_put_u64be(out, hello->actor);
  holt_buf_put_u32be(out, hello->creation);
  holt_buf_put_u64be(out, hello->session);
  holt_buf_put_u64be(out, hello->known_session);
  holt_buf_put_u64be(out, hello->policy);
  holt_buf_put_varint(out, hello->wall_ms);
  holt_buf_put_varint(out, hello->version);
  holt_buf_put_u64be(out, hello->have_actor);
  holt_buf_put_varint(out, hello->have_cursor);
  holt_buf_put_u8(out, (uint8_t)((hello->have_torn ? HELLO_TORN : 0) |
                                 (hello->have_dirty ? HELLO_DIRTY : 0)));
  return out->error;
}

void
holt__read_atom(struct holt_reader *reader, const uint8_t **bytes,
                uint16_t *size)
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
  if (hello->version_min > HOLT_PROTOCOL_MAX ||
      hello->version_max < HOLT_PROTOCOL_MIN) {
    return HOLT_ERR_VERSION;
  }
  holt__read_atom(&reader, &hello->member.name, &hello->member.name_size);
  holt__read_atom(&reader, &hello->member.node, &hello->member.node_size);
  hello->actor = holt_read_u64be(&reader);
  hello->creation = holt_read_u32be(&reader);
  hello->session = holt_read_u64be(&reader);
  hello->known_session = holt_read_u64be(&reader);
  hello->policy = holt_read_u64be(&reader);
  hello->wall_ms = holt_read_varint(&reader);
  hello->version = holt_read_varint(&reader);
  hello->have_actor = holt_read_u64be(&reader);
  hello->have_cursor = holt_read_varint(&reader);
  const uint8_t flags = holt_read_u8(&reader);
  hello->have_torn = (flags & HELLO_TORN) != 0;
  hello->have_dirty = (flags & HELLO_DIRTY) != 0;
  if (reader.error != 0 || reader.at != reader.end || hello->actor == 0 ||
      hello->session == 0 || (flags & ~(HELLO_TORN | HELLO_DIRTY)) != 0 ||
      hello->version > HOLT_SEQ_MAX) {
    return HOLT_ERR_MALFORMED;
  }
  return 0;
}

/*--------------------------------------------------------------------
 * Header and small bodies */

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
  out[0] = header->version;
  uint8_t *const at = put_u64be(out + 1, header->to_session);
  put_u64be(at, header->from_session);
}

int
holt_header_decode(const uint8_t *bytes, size_t size,
                   struct holt_header *header)
{
  struct holt_reader reader;
  holt_reader_init(&reader, bytes, size);
  header->version = holt_read_u8(&reader);
  if (reader.error == 0 && (header->version < HOLT_PROTOCOL_MIN ||
                            header->version > HOLT_PROTOCOL_MAX)) {
    return HOLT_ERR_VERSION;
  }
  header->to_session = holt_read_u64be(&reader);
  header->from_session = holt_read_u64be(&reader);
  return reader.error != 0 || reader.at != reader.end ? HOLT_ERR_MALFORMED : 0;
}

static void
body_begin(struct holt_buf *out, enum holt_packet_kind kind, uint64_t actor)
{
  holt_buf_put_u8(out, (uint8_t)kind);
  holt_buf_put_u64be(out, actor);
}

int
holt_ack_encode(struct holt_buf *out, const struct holt_ack *ack)
{
  body_begin(out, HOLT_PACKET_ACK, ack->actor);
  holt_buf_put_varint(out, ack->cursor);
  holt_buf_put_u8(out, (uint8_t)((ack->gap ? ACK_GAP : 0) |
                                 (ack->dirty ? ACK_DIRTY : 0) |
                                 (ack->stop ? ACK_STOP : 0)));
  return out->error;
}

int
holt_vector_encode(struct holt_buf *out, const struct holt_vector *vector)
{
  holt_assert(vector->count <= HOLT_VECTOR_ITEMS_MAX);

  holt_buf_put_u8(out, HOLT_PACKET_VECTOR);
  holt_buf_put_varint(out, vector->wall_ms);
  holt_buf_put_u64be(out, vector->digest);
  holt_buf_put_varint(out, vector->sent);
  holt_buf_put_varint(out, vector->count);
  return out->error;
}

int
holt_vector_item_encode(struct holt_buf *out,
                        const struct holt_vector_item *item)
{
  holt_buf_put_u64be(out, item->actor);
  holt_buf_put_u8(out, (uint8_t)((item->connected ? ITEM_CONNECTED : 0) |
                                 (item->absent ? ITEM_ABSENT : 0)));
  if (item->absent) {
    holt_buf_put_varint(out, item->absent_ms);
  }
  holt_buf_put_varint(out, item->version);
  holt_buf_put_u64be(out, item->fingerprint);
  return out->error;
}

int
holt_request_encode(struct holt_buf *out, const struct holt_request *request)
{
  body_begin(out, HOLT_PACKET_REQUEST, request->actor);
  holt_buf_put_u64be(out, request->token);
  holt_buf_put_u8(out, (uint8_t)((request->start ? REQUEST_START : 0) |
                                 (request->gap ? REQUEST_GAP : 0) |
                                 (request->done ? REQUEST_DONE : 0) |
                                 (request->follow ? REQUEST_FOLLOW : 0)));
  holt_buf_put_varint(out, request->base);
  holt_buf_put_varint(out, request->after);
  holt_buf_put_varint(out, request->notes);
  return out->error;
}

int
holt_lost_encode(struct holt_buf *out, const struct holt_lost *lost)
{
  body_begin(out, HOLT_PACKET_LOST, lost->actor);
  holt_buf_put_varint(out, lost->base);
  return out->error;
}

int
holt_bye_encode(struct holt_buf *out, const struct holt_bye *bye)
{
  body_begin(out, HOLT_PACKET_GOODBYE, bye->actor);
  holt_buf_put_u8(out, (uint8_t)bye->goodbye);
  return out->error;
}

/*--------------------------------------------------------------------
 * Who reaches whom */

int
holt_ask_encode(struct holt_buf *out, const struct holt_ask *ask)
{
  holt_assert(ask->count <= HOLT_ASK_ITEMS_MAX);

  holt_buf_put_u8(out, HOLT_PACKET_ASK);
  holt_buf_put_u64be(out, ask->token);
  holt_buf_put_varint(out, ask->count);
  return out->error;
}

int
holt_ask_item_encode(struct holt_buf *out, uint64_t actor)
{
  holt_buf_put_u64be(out, actor);
  return out->error;
}

int
holt_vouch_encode(struct holt_buf *out, const struct holt_vouch *vouch)
{
  holt_assert(vouch->count <= HOLT_ASK_ITEMS_MAX);

  holt_buf_put_u8(out, HOLT_PACKET_VOUCH);
  holt_buf_put_u64be(out, vouch->token);
  holt_buf_put_u8(out, vouch->whole ? VOUCH_WHOLE : 0);
  holt_buf_put_varint(out, vouch->count);
  return out->error;
}

int
holt_vouch_item_encode(struct holt_buf *out, const struct holt_vouch_item *item)
{
  holt_buf_put_u64be(out, item->actor);
  holt_buf_put_u8(out, (uint8_t)item->word);
  holt_buf_put_varint(out, item->age_ms);
  holt_buf_put_varint(out, item->version);
  return out->error;
}

int
holt_probe_encode(struct holt_buf *out, enum holt_packet_kind kind,
                  const struct holt_probe *probe)
{
  holt_assert(kind == HOLT_PACKET_PROBE || kind == HOLT_PACKET_ECHO);

  holt_buf_put_u8(out, (uint8_t)kind);
  holt_buf_put_varint(out, probe->number);
  return out->error;
}

int
holt_reached_encode(struct holt_buf *out, const struct holt_reached *reached)
{
  body_begin(out, HOLT_PACKET_REACHED, reached->actor);
  holt_buf_put_varint(out, reached->cursor);
  return out->error;
}

/*--------------------------------------------------------------------
 * Opening */

static void
open_ack(struct holt_ack *ack, struct holt_reader *reader)
{
  ack->actor = holt_read_u64be(reader);
  ack->cursor = holt_read_varint(reader);
  const uint8_t flags = holt_read_u8(reader);
  ack->gap = (flags & ACK_GAP) != 0;
  ack->dirty = (flags & ACK_DIRTY) != 0;
  ack->stop = (flags & ACK_STOP) != 0;
  if ((flags & ~(ACK_GAP | ACK_DIRTY | ACK_STOP)) != 0) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
}

static void
read_vector_item(struct holt_reader *reader, struct holt_vector_item *item)
{
  item->actor = holt_read_u64be(reader);
  const uint8_t flags = holt_read_u8(reader);
  item->connected = (flags & ITEM_CONNECTED) != 0;
  item->absent = (flags & ITEM_ABSENT) != 0;
  item->absent_ms = item->absent ? holt_read_varint(reader) : 0;
  item->version = holt_read_varint(reader);
  item->fingerprint = holt_read_u64be(reader);
  if ((flags & ~(ITEM_CONNECTED | ITEM_ABSENT)) != 0 ||
      (item->connected && item->absent) || item->version > HOLT_SEQ_MAX ||
      item->actor == 0) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
}

/* How many items there are, and where. */
static size_t
open_count(struct holt_message *message, struct holt_reader *reader,
           size_t items_max)
{
  const uint64_t count = holt_read_varint(reader);
  if (count > items_max) {
    holt_read_fail(reader, HOLT_ERR_LIMIT);
    return 0;
  }
  message->items_offset = (size_t)(reader->at - message->body);
  return (size_t)count;
}

static void
open_vector(struct holt_message *message, struct holt_reader *reader)
{
  struct holt_vector *const vector = &message->u.vector;
  vector->wall_ms = holt_read_varint(reader);
  vector->digest = holt_read_u64be(reader);
  vector->sent = holt_read_varint(reader);
  vector->count = open_count(message, reader, HOLT_VECTOR_ITEMS_MAX);
  for (size_t i = 0; i < vector->count && reader->error == 0; i++) {
    struct holt_vector_item item;
    read_vector_item(reader, &item);
  }
}

static void
open_request(struct holt_request *request, struct holt_reader *reader)
{
  request->actor = holt_read_u64be(reader);
  request->token = holt_read_u64be(reader);
  const uint8_t flags = holt_read_u8(reader);
  request->start = (flags & REQUEST_START) != 0;
  request->gap = (flags & REQUEST_GAP) != 0;
  request->done = (flags & REQUEST_DONE) != 0;
  request->follow = (flags & REQUEST_FOLLOW) != 0;
  request->base = holt_read_varint(reader);
  request->after = holt_read_varint(reader);
  request->notes = holt_read_varint(reader);
  if ((flags &
       ~(REQUEST_START | REQUEST_GAP | REQUEST_DONE | REQUEST_FOLLOW)) != 0 ||
      request->token == 0) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
}

static void
open_lost(struct holt_lost *lost, struct holt_reader *reader)
{
  lost->actor = holt_read_u64be(reader);
  lost->base = holt_read_varint(reader);
}

static void
open_bye(struct holt_bye *bye, struct holt_reader *reader)
{
  bye->actor = holt_read_u64be(reader);
  const uint8_t goodbye = holt_read_u8(reader);
  if (goodbye != HOLT_GOODBYE_ENDED && goodbye != HOLT_GOODBYE_PAUSED) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  bye->goodbye = (enum holt_goodbye)goodbye;
}

static uint64_t
read_ask_item(struct holt_reader *reader)
{
  const uint64_t actor = holt_read_u64be(reader);
  if (actor == 0) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  return actor;
}

static void
read_vouch_item(struct holt_reader *reader, struct holt_vouch_item *item)
{
  item->actor = holt_read_u64be(reader);
  const uint8_t word = holt_read_u8(reader);
  item->word = (enum holt_word)word;
  item->age_ms = holt_read_varint(reader);
  item->version = holt_read_varint(reader);
  if (item->actor == 0 || word > HOLT_WORD_MAX ||
      item->version > HOLT_SEQ_MAX) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
}

static void
open_ask(struct holt_message *message, struct holt_reader *reader)
{
  struct holt_ask *const ask = &message->u.ask;
  ask->token = holt_read_u64be(reader);
  ask->count = open_count(message, reader, HOLT_ASK_ITEMS_MAX);
  for (size_t i = 0; i < ask->count && reader->error == 0; i++) {
    (void)read_ask_item(reader);
  }
}

static void
open_vouch(struct holt_message *message, struct holt_reader *reader)
{
  struct holt_vouch *const vouch = &message->u.vouch;
  vouch->token = holt_read_u64be(reader);
  const uint8_t flags = holt_read_u8(reader);
  vouch->whole = (flags & VOUCH_WHOLE) != 0;
  if ((flags & ~VOUCH_WHOLE) != 0) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
  vouch->count = open_count(message, reader, HOLT_ASK_ITEMS_MAX);
  for (size_t i = 0; i < vouch->count && reader->error == 0; i++) {
    struct holt_vouch_item item;
    read_vouch_item(reader, &item);
  }
}

static void
open_reached(struct holt_reached *reached, struct holt_reader *reader)
{
  reached->actor = holt_read_u64be(reader);
  reached->cursor = holt_read_varint(reader);
  if (reached->actor == 0 || reached->cursor > HOLT_SEQ_MAX) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
  }
}

static int
open_body(struct holt_message *message)
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
    return holt__delta_open(message, &reader);
  case HOLT_PACKET_REPAIR:
    return holt__repair_open(message, &reader);
  case HOLT_PACKET_ACK:
    open_ack(&message->u.ack, &reader);
    break;
  case HOLT_PACKET_VECTOR:
    open_vector(message, &reader);
    break;
  case HOLT_PACKET_REQUEST:
    open_request(&message->u.request, &reader);
    break;
  case HOLT_PACKET_LOST:
    open_lost(&message->u.lost, &reader);
    break;
  case HOLT_PACKET_GOODBYE:
    open_bye(&message->u.bye, &reader);
    break;
  case HOLT_PACKET_ASK:
    open_ask(message, &reader);
    break;
  case HOLT_PACKET_VOUCH:
    open_vouch(message, &reader);
    break;
  case HOLT_PACKET_PROBE:
  case HOLT_PACKET_ECHO:
    message->u.probe.number = holt_read_varint(&reader);
    break;
  case HOLT_PACKET_REACHED:
    open_reached(&message->u.reached, &reader);
    break;
  default:
    return HOLT_ERR_UNSUPPORTED;
  }
  if (reader.error == 0 && reader.at != reader.end) {
    return HOLT_ERR_MALFORMED;
  }
  return reader.error;
}

/* The most that one message may take: a row that is larger than
 * message_bytes_max travels alone. */
#define BODY_BYTES_MAX                                                         \
  (HOLT_MESSAGE_BYTES_LIMIT + HOLT_KEY_BYTES_LIMIT + HOLT_VALUE_BYTES_LIMIT)

int
holt_message_open(struct holt_message **out, struct holt_mem *mem,
                  const uint8_t *header, size_t header_size,
                  const uint8_t *body, size_t body_size)
{
  struct holt_header decoded;
  int rv = holt_header_decode(header, header_size, &decoded);
  if (rv != 0) {
    return rv;
  }
  if (body_size > BODY_BYTES_MAX) {
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
  holt_buf_init(&message->keys, mem, 0);
  rv = open_body(message);
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
  if (message->live_size > 0) {
    struct holt_liveset_reader *const live = &message->live;
    live->at = body + (live->at - message->body);
    live->end = body + (live->end - message->body);
  }
  if (message->has_identity) {
    struct holt_member *const member = &message->identity.member;
    member->name = body + (member->name - message->body);
    member->node = body + (member->node - message->body);
  }
  message->body = body;
}

void
holt_message_close(struct holt_message *message)
{
  holt_buf_deinit(&message->keys);
  holt_mem_free(message->mem, message, sizeof *message);
}

/*--------------------------------------------------------------------
 * Items: they have been read before. */

static struct holt_reader
item_reader(const struct holt_message *message, size_t offset)
{
  return (struct holt_reader){ .at = message->body + offset,
                               .end = message->body + message->body_size };
}

static size_t
item_end(const struct holt_message *message, const struct holt_reader *reader)
{
  holt_assert(reader->error == 0);
  return (size_t)(reader->at - message->body);
}

void
holt_message_vector(const struct holt_message *message, size_t *offset,
                    struct holt_vector_item *item)
{
  struct holt_reader reader = item_reader(message, *offset);
  read_vector_item(&reader, item);
  *offset = item_end(message, &reader);
}

uint64_t
holt_message_ask(const struct holt_message *message, size_t *offset)
{
  struct holt_reader reader = item_reader(message, *offset);
  const uint64_t actor = read_ask_item(&reader);
  *offset = item_end(message, &reader);
  return actor;
}

void
holt_message_vouch(const struct holt_message *message, size_t *offset,
                   struct holt_vouch_item *item)
{
  struct holt_reader reader = item_reader(message, *offset);
  read_vouch_item(&reader, item);
  *offset = item_end(message, &reader);
}
