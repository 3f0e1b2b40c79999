/* SPDX-License-Identifier: Apache-2.0 */
#include "buf.h"

#include <string.h>

#include "invariant.h"
#include "varint.h"

void
holt_buf_init(struct holt_buf *buf, struct holt_mem *mem, size_t size_max)
{
  buf->data = buf->inline_data;
  buf->size = 0;
  buf->capacity = sizeof buf->inline_data;
  buf->size_max = size_max == 0 ? SIZE_MAX : size_max;
  buf->mem = mem;
  buf->error = 0;
}

void
holt_buf_deinit(struct holt_buf *buf)
{
  if (buf->data != buf->inline_data) {
    holt_mem_free(buf->mem, buf->data, buf->capacity);
  }
  holt_buf_init(buf, buf->mem, buf->size_max);
}

void
holt_buf_clear(struct holt_buf *buf)
{
  buf->size = 0;
  buf->error = 0;
}

void
holt_buf_truncate(struct holt_buf *buf, size_t size)
{
  holt_assert(size <= buf->size);

  buf->size = size;
}

/* Move the content to where size_min bytes have room. */
static int
buf_grow(struct holt_buf *buf, size_t size_min)
{
  size_t capacity = buf->capacity;
  while (capacity < size_min) {
    if (capacity > SIZE_MAX / 2) {
      return HOLT_ERR_TOO_LARGE;
    }
    capacity *= 2;
  }

  uint8_t *data = NULL;
  if (buf->data == buf->inline_data) {
    data = holt_mem_alloc(buf->mem, capacity);
    if (data != NULL) {
      memcpy(data, buf->inline_data, buf->size);
    }
  } else {
    data = holt_mem_resize(buf->mem, buf->data, buf->capacity, capacity);
  }
  if (data == NULL) {
    return HOLT_ERR_NOMEM;
  }
  buf->data = data;
  buf->capacity = capacity;
  return 0;
}

int
holt_buf_reserve(struct holt_buf *buf, size_t size)
{
  holt_assert(buf->size <= buf->capacity);

  if (buf->error != 0) {
    return buf->error;
  }
  /* Content that was there before a limit was lowered is no excuse to pass
   * it. */
  if (buf->size > buf->size_max || size > buf->size_max - buf->size) {
    buf->error = HOLT_ERR_TOO_LARGE;
  } else if (size > buf->capacity - buf->size) {
    buf->error = buf_grow(buf, buf->size + size);
  }
  return buf->error;
}

int
holt_buf_put(struct holt_buf *buf, const void *bytes, size_t size)
{
  const int rv = holt_buf_reserve(buf, size);
  if (rv == 0 && size > 0) {
    memcpy(buf->data + buf->size, bytes, size);
    buf->size += size;
  }
  return rv;
}

/* A big-endian number of size (1..8) bytes. */
static int
buf_put_be(struct holt_buf *buf, uint64_t value, size_t size)
{
  uint8_t bytes[8];
  for (size_t i = size; i > 0; i--) {
    bytes[i - 1] = (uint8_t)value;
    value >>= 8;
  }
  return holt_buf_put(buf, bytes, size);
}

int
holt_buf_put_u8(struct holt_buf *buf, uint8_t value)
{
  return holt_buf_put(buf, &value, 1);
}

int
holt_buf_put_u16be(struct holt_buf *buf, uint16_t value)
{
  return buf_put_be(buf, value, 2);
}

int
holt_buf_put_u32be(struct holt_buf *buf, uint32_t value)
{
  return buf_put_be(buf, value, 4);
}

int
holt_buf_put_u64be(struct holt_buf *buf, uint64_t value)
{
  return buf_put_be(buf, value, 8);
}

int
holt_buf_put_varint(struct holt_buf *buf, uint64_t value)
{
  uint8_t bytes[HOLT_VARINT_SIZE_MAX];
  const uint8_t *const end = holt_varint_put(bytes, value);
  return holt_buf_put(buf, bytes, (size_t)(end - bytes));
}
