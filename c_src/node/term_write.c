/* SPDX-License-Identifier: Apache-2.0 */
#include "term.h"

#include <assert.h>
#include <string.h>

enum {
  TAG_FLOAT = 70,
  TAG_PID = 88,
  TAG_REFERENCE = 90,
  TAG_SMALL_INTEGER = 97,
  TAG_INTEGER = 98,
  TAG_SMALL_TUPLE = 104,
  TAG_LARGE_TUPLE = 105,
  TAG_NIL = 106,
  TAG_LIST = 108,
  TAG_BINARY = 109,
  TAG_SMALL_BIG = 110,
  TAG_MAP = 116,
  TAG_ATOM = 118,
  TAG_SMALL_ATOM = 119
};

/* The first block: most answers fit. */
#define CAPACITY_MIN 256u

/* Of an open container: the tag, and its count. */
#define OPEN_BYTES 5u

/*--------------------------------------------------------------------
 * Bytes */

void
term_writer_init(struct term_writer *writer, struct holt_mem *mem,
                 size_t size_max)
{
  *writer = (struct term_writer){
    .mem = mem,
    .size_max = size_max == 0 ? SIZE_MAX : size_max,
  };
}

void
term_writer_deinit(struct term_writer *writer)
{
  holt_mem_free(writer->mem, writer->data, writer->capacity);
  term_writer_init(writer, writer->mem, writer->size_max);
}

void
term_writer_clear(struct term_writer *writer)
{
  writer->size = 0;
  writer->error = 0;
}

/* Make room for size more bytes; false with the sticky error set. */
static bool
reserve(struct term_writer *writer, size_t size)
{
  if (writer->error != 0) {
    return false;
  }
  if (size > writer->size_max - writer->size) {
    writer->error = HOLT_ERR_TOO_LARGE;
    return false;
  }
  const size_t needed = writer->size + size;
  if (needed <= writer->capacity) {
    return true;
  }
  size_t capacity = writer->capacity == 0 ? CAPACITY_MIN : writer->capacity;
  while (capacity < needed) {
    capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
  }
  uint8_t *data =
    holt_mem_resize(writer->mem, writer->data, writer->capacity, capacity);
  if (data == NULL) {
    writer->error = HOLT_ERR_NOMEM;
    return false;
  }
  writer->data = data;
  writer->capacity = capacity;
  return true;
}

void
term_put_raw(struct term_writer *writer, const void *bytes, size_t size)
{
  if (size > 0 && reserve(writer, size)) {
    memcpy(writer->data + writer->size, bytes, size);
    writer->size += size;
  }
}

void
term_put_slice(struct term_writer *writer, struct term_slice slice)
{
  term_put_raw(writer, slice.bytes, slice.size);
}

void
term_put_u8(struct term_writer *writer, uint8_t value)
{
  term_put_raw(writer, &value, 1);
}

static void
store_u32(uint8_t *at, uint32_t value)
{
  at[0] = (uint8_t)(value >> 24);
  at[1] = (uint8_t)(value >> 16);
  at[2] = (uint8_t)(value >> 8);
  at[3] = (uint8_t)value;
}

void
term_put_u16(struct term_writer *writer, uint16_t value)
{
  const uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };
  term_put_raw(writer, bytes, sizeof bytes);
}

void
term_put_u32(struct term_writer *writer, uint32_t value)
{
  uint8_t bytes[4];
  store_u32(bytes, value);
  term_put_raw(writer, bytes, sizeof bytes);
}

void
term_put_u64(struct term_writer *writer, uint64_t value)
{
  uint8_t bytes[8];
  store_u32(bytes, (uint32_t)(value >> 32));
  store_u32(bytes + 4, (uint32_t)value);
  term_put_raw(writer, bytes, sizeof bytes);
}

/* A tag and the 32 bits that follow it. */
static void
put_head(struct term_writer *writer, uint8_t tag, uint32_t value)
{
  uint8_t bytes[5] = { tag };
  store_u32(bytes + 1, value);
  term_put_raw(writer, bytes, sizeof bytes);
}

/*--------------------------------------------------------------------
 * Terms */

void
term_put_atom_bytes(struct term_writer *writer, const void *name, size_t size)
{
  if (size > HOLT_ETF_ATOM_BYTES_MAX) {
    if (writer->error == 0) {
      writer->error = HOLT_ERR_TOO_LARGE;
    }
    return;
  }
  if (size <= UINT8_MAX) {
    term_put_u8(writer, TAG_SMALL_ATOM);
    term_put_u8(writer, (uint8_t)size);
  } else {
    term_put_u8(writer, TAG_ATOM);
    term_put_u16(writer, (uint16_t)size);
  }
  term_put_raw(writer, name, size);
}

void
term_put_atom(struct term_writer *writer, const char *name)
{
  term_put_atom_bytes(writer, name, strlen(name));
}

void
term_put_bool(struct term_writer *writer, bool value)
{
  term_put_atom(writer, value ? "true" : "false");
}

/* An integer that fits no smaller form. */
static void
put_big(struct term_writer *writer, bool negative, uint64_t magnitude)
{
  uint8_t bytes[11] = { TAG_SMALL_BIG, 0, negative };
  uint8_t size = 0;
  for (uint64_t rest = magnitude; rest > 0; rest >>= 8) {
    bytes[3 + size++] = (uint8_t)rest;
  }
  bytes[1] = size;
  term_put_raw(writer, bytes, 3u + size);
}

void
term_put_uint(struct term_writer *writer, uint64_t value)
{
  if (value <= UINT8_MAX) {
    const uint8_t bytes[2] = { TAG_SMALL_INTEGER, (uint8_t)value };
    term_put_raw(writer, bytes, sizeof bytes);
  } else if (value <= INT32_MAX) {
    put_head(writer, TAG_INTEGER, (uint32_t)value);
  } else {
    put_big(writer, false, value);
  }
}

void
term_put_int(struct term_writer *writer, int64_t value)
{
  if (value >= 0) {
    term_put_uint(writer, (uint64_t)value);
  } else if (value >= INT32_MIN) {
    put_head(writer, TAG_INTEGER, (uint32_t)value);
  } else {
    put_big(writer, true, 0 - (uint64_t)value);
  }
}

void
term_put_float(struct term_writer *writer, double value)
{
  uint64_t bits;
  static_assert(sizeof bits == sizeof value, "a double has 64 bits");
  memcpy(&bits, &value, sizeof bits);
  term_put_u8(writer, TAG_FLOAT);
  term_put_u64(writer, bits);
}

void
term_put_binary(struct term_writer *writer, const void *bytes, size_t size)
{
  if (size > UINT32_MAX) {
    if (writer->error == 0) {
      writer->error = HOLT_ERR_TOO_LARGE;
    }
    return;
  }
  put_head(writer, TAG_BINARY, (uint32_t)size);
  term_put_raw(writer, bytes, size);
}

void
term_put_text(struct term_writer *writer, const char *text)
{
  term_put_binary(writer, text, strlen(text));
}

void
term_put_tuple(struct term_writer *writer, uint32_t arity)
{
  if (arity <= UINT8_MAX) {
    const uint8_t bytes[2] = { TAG_SMALL_TUPLE, (uint8_t)arity };
    term_put_raw(writer, bytes, sizeof bytes);
  } else {
    put_head(writer, TAG_LARGE_TUPLE, arity);
  }
}

void
term_put_list(struct term_writer *writer, uint32_t count)
{
  if (count > 0) {
    put_head(writer, TAG_LIST, count);
  }
}

void
term_put_nil(struct term_writer *writer)
{
  term_put_u8(writer, TAG_NIL);
}

void
term_put_map(struct term_writer *writer, uint32_t pairs)
{
  put_head(writer, TAG_MAP, pairs);
}

void
term_put_pid(struct term_writer *writer, const struct term_pid *pid)
{
  term_put_u8(writer, TAG_PID);
  term_put_atom_bytes(writer, pid->node.bytes, pid->node.size);
  term_put_u32(writer, pid->id);
  term_put_u32(writer, pid->serial);
  term_put_u32(writer, pid->creation);
}

void
term_put_reference(struct term_writer *writer, struct term_slice node,
                   uint32_t creation, const uint32_t *words,
                   unsigned words_count)
{
  assert(words_count >= 1 && words_count <= HOLT_ETF_REFERENCE_WORDS_MAX);

  term_put_u8(writer, TAG_REFERENCE);
  term_put_u16(writer, (uint16_t)words_count);
  term_put_atom_bytes(writer, node.bytes, node.size);
  term_put_u32(writer, creation);
  for (unsigned i = 0; i < words_count; i++) {
    term_put_u32(writer, words[i]);
  }
}

size_t
term_open_list(struct term_writer *writer)
{
  const size_t opened = writer->size;
  put_head(writer, TAG_LIST, 0);
  return opened;
}

void
term_close_list(struct term_writer *writer, size_t opened, uint32_t count)
{
  if (writer->error != 0) {
    return;
  }
  assert(opened + OPEN_BYTES <= writer->size);
  if (count == 0) {
    writer->size = opened;
  } else {
    store_u32(writer->data + opened + 1, count);
  }
  term_put_nil(writer);
}

size_t
term_open_map(struct term_writer *writer)
{
  const size_t opened = writer->size;
  put_head(writer, TAG_MAP, 0);
  return opened;
}

void
term_close_map(struct term_writer *writer, size_t opened, uint32_t pairs)
{
  if (writer->error != 0) {
    return;
  }
  assert(opened + OPEN_BYTES <= writer->size);
  store_u32(writer->data + opened + 1, pairs);
}
