/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as bytes: small ones short, and reading that cannot go wrong.
 *
 * A varint (LEB128, unsigned) carries seven bits per byte, least first; the
 * high bit says that more follow.
 *
 *     300 = 0b10_0101100   ->   ac 02        1..10 bytes for 64 bits
 *
 * Every number has one form: overlong ones, like 80 00 for 0, are malformed, so
 * equal messages are equal bytes.
 *
 * The reader walks over untrusted bytes.  Its first error sticks: later reads
 * return 0 or NULL and move nothing, so a decoder may read a whole record and
 * ask once.
 *
 *     at              end
 *     v                v
 *     +--+--+--+--+--+--+      error: 0, or HOLT_ERR_MALFORMED for good
 *
 * Cost:    O(bytes read).
 * Memory:  none; holt_read_bytes() points into the input.
 * Threads: none.
 */
#ifndef HOLT_CORE_VARINT_H
#define HOLT_CORE_VARINT_H

#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>

/* The longest varint: ten times seven bits hold 64. */
#define HOLT_VARINT_SIZE_MAX 10u

/* Bytes that holt_varint_put() will write. */
static inline size_t
holt_varint_size(uint64_t value)
{
  size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    size++;
  }
  return size;
}

/* Write value at target, which has room for holt_varint_size(value), and return
 * the place after it. */
static inline uint8_t *
holt_varint_put(uint8_t *target, uint64_t value)
{
  while (value >= 0x80) {
    *target++ = (uint8_t)(value | 0x80);
    value >>= 7;
  }
  *target++ = (uint8_t)value;
  return target;
}

struct holt_reader {
  const uint8_t *at;
  const uint8_t *end;
  int error; /* Sticky. */
};

static inline void
holt_reader_init(struct holt_reader *reader, const void *bytes, size_t size)
{
  reader->at = bytes;
  reader->end = size == 0 ? reader->at : reader->at + size;
  reader->error = 0;
}

/* Bytes not yet read; 0 after an error. */
static inline size_t
holt_read_left(const struct holt_reader *reader)
{
  return reader->error != 0 ? 0 : (size_t)(reader->end - reader->at);
}

/* Make the reader fail for good, because its user found the content wrong. */
static inline void
holt_read_fail(struct holt_reader *reader, int error)
{
  if (reader->error == 0) {
    reader->error = error;
  }
}

/* The next size bytes, or NULL.  For 0 bytes the result is a place and not
 * NULL, unless the input itself was NULL. */
static inline const uint8_t *
holt_read_bytes(struct holt_reader *reader, size_t size)
{
  if (holt_read_left(reader) < size || reader->error != 0) {
    holt_read_fail(reader, HOLT_ERR_MALFORMED);
    return NULL;
  }
  const uint8_t *const bytes = reader->at;
  if (size > 0) {
    reader->at += size;
  }
  return bytes;
}

/* A big-endian number of size (1..8) bytes. */
static inline uint64_t
holt_read_be(struct holt_reader *reader, size_t size)
{
  const uint8_t *const bytes = holt_read_bytes(reader, size);
  uint64_t value = 0;
  if (bytes != NULL) {
    for (size_t i = 0; i < size; i++) {
      value = value << 8 | bytes[i];
    }
  }
  return value;
}

static inline uint8_t
holt_read_u8(struct holt_reader *reader)
{
  const uint8_t *const byte = holt_read_bytes(reader, 1);
  return byte != NULL ? *byte : 0;
}

static inline uint16_t
holt_read_u16be(struct holt_reader *reader)
{
  return (uint16_t)holt_read_be(reader, 2);
}

static inline uint32_t
holt_read_u32be(struct holt_reader *reader)
{
  return (uint32_t)holt_read_be(reader, 4);
}

static inline uint64_t
holt_read_u64be(struct holt_reader *reader)
{
  return holt_read_be(reader, 8);
}

/* One that is at its end, longer than a byte, or not to be read. */
static inline uint64_t
holt__read_long_varint(struct holt_reader *reader)
{
  const size_t left = holt_read_left(reader);
  uint64_t value = 0;
  for (size_t i = 0; i < left && i < HOLT_VARINT_SIZE_MAX; i++) {
    const uint8_t byte = reader->at[i];
    if (i == HOLT_VARINT_SIZE_MAX - 1 && byte > 1) {
      break; /* The tenth byte holds one bit only. */
    }
    value |= (uint64_t)(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      if (byte == 0 && i > 0) {
        break; /* Overlong: the byte before should have been the last. */
      }
      reader->at += i + 1;
      return value;
    }
  }
  holt_read_fail(reader, HOLT_ERR_MALFORMED);
  return 0;
}

/* A varint.  More than ten bytes, more than 64 bits and overlong forms are
 * malformed. */
static inline uint64_t
holt_read_varint(struct holt_reader *reader)
{
  /* Most have one byte. */
  if (reader->error == 0 && reader->at != reader->end && *reader->at < 0x80) {
    return *reader->at++;
  }
  return holt__read_long_varint(reader);
}

#endif /* HOLT_CORE_VARINT_H */
