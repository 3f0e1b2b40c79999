/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_one(bytes, size);
  return 0;
}

void
fuzz_fail(const char *what, const char *file, int line)
{
  fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
  abort();
}

struct fuzz_input
fuzz_input(const uint8_t *bytes, size_t size)
{
  return (struct fuzz_input){ bytes, size == 0 ? bytes : bytes + size };
}

bool
fuzz_is_used_up(const struct fuzz_input *input)
{
  return input->at == input->end;
}

uint8_t
fuzz_u8(struct fuzz_input *input)
{
  return fuzz_is_used_up(input) ? 0 : *input->at++;
}

static uint64_t
number(struct fuzz_input *input, unsigned size)
{
  uint64_t value = 0;
  for (unsigned i = 0; i < size; i++) {
    value = value << 8 | fuzz_u8(input);
  }
  return value;
}

uint64_t
fuzz_u16(struct fuzz_input *input)
{
  return number(input, 2);
}

uint64_t
fuzz_u64(struct fuzz_input *input)
{
  return number(input, 8);
}

struct hex
fuzz_bytes(struct fuzz_input *input, size_t size)
{
  const size_t left = (size_t)(input->end - input->at);
  const size_t taken = size < left ? size : left;
  const struct hex piece = hex_copy(input->at, taken);
  input->at += taken;
  return piece;
}

struct hex
fuzz_piece(struct fuzz_input *input)
{
  const size_t size = (size_t)fuzz_u16(input);
  return fuzz_bytes(input, size);
}

struct hex
fuzz_rest(struct fuzz_input *input)
{
  return fuzz_bytes(input, (size_t)(input->end - input->at));
}

void
fuzz_put_piece(struct holt_buf *out, const void *bytes, size_t size)
{
  FUZZ_CHECK(size <= UINT16_MAX);
  holt_buf_put_u8(out, (uint8_t)(size >> 8));
  holt_buf_put_u8(out, (uint8_t)size);
  holt_buf_put(out, bytes, size);
}

void
fuzz_heap_end(struct heap *heap)
{
  FUZZ_CHECK(heap_is_clean(heap));
  heap_deinit(heap);
}
