/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <assert.h>
#include <string.h>

/* The first block of a cut frame. */
#define BLOCK_MIN 256u

void
frame_reader_init(struct frame_reader *reader, struct holt_mem *mem,
                  unsigned prefix, size_t size_max)
{
  assert(prefix == 2 || prefix == 4);

  *reader = (struct frame_reader){
    .mem = mem,
    .prefix = prefix,
    .size_max = size_max,
  };
}

void
frame_reader_deinit(struct frame_reader *reader)
{
  holt_mem_free(reader->mem, reader->block, reader->capacity);
  frame_reader_init(reader, reader->mem, reader->prefix, reader->size_max);
}

void
frame_reader_change(struct frame_reader *reader, unsigned prefix,
                    size_t size_max)
{
  assert(prefix == 2 || prefix == 4);
  assert(reader->prefix_got == 0);

  reader->prefix = prefix;
  reader->size_max = size_max;
}

/* Move at most size bytes from the input; how many it were. */
static size_t
take(struct term_slice *input, uint8_t *into, size_t size)
{
  const size_t taken = input->size < size ? input->size : size;
  if (taken > 0) {
    memcpy(into, input->bytes, taken);
    input->bytes += taken;
    input->size -= taken;
  }
  return taken;
}

static size_t
frame_size(const struct frame_reader *reader)
{
  size_t size = 0;
  for (unsigned i = 0; i < reader->prefix; i++) {
    size = size << 8 | reader->prefix_bytes[i];
  }
  return size;
}

/* Room for what is there now of a frame of size bytes. */
static int
reserve(struct frame_reader *reader, size_t needed, size_t size)
{
  if (needed <= reader->capacity) {
    return 0;
  }
  size_t capacity = reader->capacity == 0 ? BLOCK_MIN : reader->capacity;
  while (capacity < needed) {
    capacity *= 2;
  }
  if (capacity > size && size >= BLOCK_MIN) {
    capacity = size;
  }
  uint8_t *block =
    holt_mem_resize(reader->mem, reader->block, reader->capacity, capacity);
  if (block == NULL) {
    return HOLT_ERR_NOMEM;
  }
  reader->block = block;
  reader->capacity = capacity;
  return 0;
}

/* The last frame has been handed out: begin another. */
static void
begin(struct frame_reader *reader)
{
  reader->got = 0;
  if (reader->capacity > FRAME_KEEP_BYTES) {
    holt_mem_free(reader->mem, reader->block, reader->capacity);
    reader->block = NULL;
    reader->capacity = 0;
  }
}

int
frame_reader_next(struct frame_reader *reader, struct term_slice *input,
                  struct term_slice *frame)
{
  if (reader->prefix_got == 0) {
    begin(reader);
  }
  if (reader->prefix_got < reader->prefix) {
    reader->prefix_got +=
      (unsigned)take(input, reader->prefix_bytes + reader->prefix_got,
                     reader->prefix - reader->prefix_got);
    if (reader->prefix_got < reader->prefix) {
      return 0;
    }
  }
  const size_t size = frame_size(reader);
  if (size > reader->size_max) {
    return HOLT_ERR_TOO_LARGE;
  }
  if (reader->got == 0 && input->size >= size) {
    *frame = term_slice(input->bytes, size);
    input->bytes += size;
    input->size -= size;
    reader->prefix_got = 0;
    return 1;
  }
  if (input->size == 0) {
    return 0; /* There may be no block yet. */
  }
  const size_t missing = size - reader->got;
  const size_t more = input->size < missing ? input->size : missing;
  const int rv = reserve(reader, reader->got + more, size);
  if (rv != 0) {
    return rv;
  }
  reader->got += take(input, reader->block + reader->got, missing);
  if (reader->got < size) {
    return 0;
  }
  *frame = term_slice(reader->block, size);
  reader->prefix_got = 0;
  return 1;
}
