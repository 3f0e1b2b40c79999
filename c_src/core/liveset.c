/* SPDX-License-Identifier: Apache-2.0 */
#include "liveset.h"

#include <string.h>

#include "invariant.h"

/* As many ones announce a length in full. */
#define LIVESET_QUOTIENT_MAX 16u
#define LIVESET_LENGTH_BITS 48u

/* The longest code. */
#define LIVESET_CODE_BITS (LIVESET_QUOTIENT_MAX + LIVESET_LENGTH_BITS)

/* Before a block: count and parameters. */
#define LIVESET_BLOCK_HEADER 2u

_Static_assert(HOLT_LIVESET_RUNS <= 256, "the count of a block is one byte");
_Static_assert(HOLT_LIVESET_PARAMETERS <= 16, "a parameter is four bits");
_Static_assert(HOLT_LIVESET_SEQ_MAX >> LIVESET_LENGTH_BITS == 0,
               "every length fits in a code");

/*--------------------------------------------------------------------
 * Writing */

void
holt_liveset_begin(struct holt_liveset_writer *writer, struct holt_buf *out,
                   uint64_t after, size_t bytes_max)
{
  holt_assert(after <= HOLT_LIVESET_SEQ_MAX);
  holt_assert(bytes_max >= HOLT_LIVESET_BYTES_MIN);

  *writer = (struct holt_liveset_writer){
    .out = out,
    .start = out->size,
    .bytes_max = bytes_max,
    .at = after,
  };
}

/* The best parameter for the gathered runs of one kind. */
static unsigned
writer_parameter(const struct holt_liveset_writer *writer, bool live)
{
  unsigned best = 0;
  for (unsigned k = 1; k < HOLT_LIVESET_PARAMETERS; k++) {
    if (writer->bits[live][k] < writer->bits[live][best]) {
      best = k;
    }
  }
  return best;
}

/* Bytes of the gathered runs as codes. */
static size_t
writer_bytes(const struct holt_liveset_writer *writer)
{
  const uint64_t bits = writer->bits[false][writer_parameter(writer, false)] +
                        writer->bits[true][writer_parameter(writer, true)];
  return (size_t)((bits + 7) / 8);
}

/* Put the low size bits of value behind those that are at target already; *used
 * counts the bits of the byte there.  The bytes begin as zeros. */
static uint8_t *
bits_put(uint8_t *target, unsigned *used, uint64_t value, unsigned size)
{
  while (size > 0) {
    const unsigned room = 8 - *used;
    const unsigned step = size < room ? size : room;
    const uint64_t part = value >> (size - step) & ((1u << step) - 1);
    *target = (uint8_t)(*target | part << (room - step));
    size -= step;
    *used = (*used + step) % 8;
    target += *used == 0 ? 1 : 0;
  }
  return target;
}

static uint8_t *
code_put(uint8_t *target, unsigned *used, uint64_t length, unsigned k)
{
  const uint64_t n = length - 1;
  const uint64_t quotient = n >> k;
  if (quotient >= LIVESET_QUOTIENT_MAX) {
    target = bits_put(target, used, UINT64_MAX, LIVESET_QUOTIENT_MAX);
    return bits_put(target, used, n, LIVESET_LENGTH_BITS);
  }
  /* Ones and their zero. */
  const unsigned ones = (unsigned)quotient;
  target = bits_put(target, used, (UINT64_C(2) << ones) - 2, ones + 1);
  return bits_put(target, used, n, k);
}

/* Write the gathered runs as a block. */
static int
writer_flush(struct holt_liveset_writer *writer)
{
  struct holt_buf *const out = writer->out;
  const size_t size = writer_bytes(writer);
  const int rv = holt_buf_reserve(out, 1 + LIVESET_BLOCK_HEADER + size);
  if (rv != 0) {
    return rv;
  }
  if (out->size == writer->start) {
    (void)holt_buf_put_u8(out, writer->runs_live);
  }
  const unsigned k[2] = { writer_parameter(writer, false),
                          writer_parameter(writer, true) };
  (void)holt_buf_put_u8(out, (uint8_t)(writer->run_count - 1));
  (void)holt_buf_put_u8(out, (uint8_t)(k[true] << 4 | k[false]));

  uint8_t *target = out->data + out->size;
  memset(target, 0, size);
  unsigned used = 0;
  bool live = writer->runs_live;
  for (unsigned i = 0; i < writer->run_count; i++) {
    target = code_put(target, &used, writer->runs[i], k[live]);
    live = !live;
  }
  holt_assert(target + (used > 0) == out->data + out->size + size);
  out->size += size;

  writer->run_count = 0;
  memset(writer->bits, 0, sizeof writer->bits);
  return 0;
}

/* The open run is complete: gather it. */
static int
writer_close(struct holt_liveset_writer *writer)
{
  if (writer->run_count == HOLT_LIVESET_RUNS) {
    const int rv = writer_flush(writer);
    if (rv != 0) {
      return rv;
    }
  }
  if (writer->run_count == 0) {
    writer->runs_live = writer->open_live;
  }
  writer->runs[writer->run_count++] = writer->open;
  const uint64_t n = writer->open - 1;
  for (unsigned k = 0; k < HOLT_LIVESET_PARAMETERS; k++) {
    const uint64_t quotient = n >> k;
    writer->bits[writer->open_live][k] +=
      quotient < LIVESET_QUOTIENT_MAX ? quotient + 1 + k : LIVESET_CODE_BITS;
  }
  writer->open = 0;
  return 0;
}

/* Cover length more seqs of one kind. */
static int
writer_extend(struct holt_liveset_writer *writer, bool live, uint64_t length)
{
  if (length == 0) {
    return 0;
  }
  if (writer->open > 0 && writer->open_live != live) {
    const int rv = writer_close(writer);
    if (rv != 0) {
      return rv;
    }
  }
  writer->open_live = live;
  writer->open += length;
  writer->at += length;
  return 0;
}

/* Whether another seq and the end have room for sure.  Four runs may come:
 * the open one, dead, live, dead; and because none of them takes more than a
 * longest code under whatever parameter, they add no more than as many to the
 * best choice.  They may fill this block and begin the next. */
static bool
writer_has_room(const struct holt_liveset_writer *writer)
{
  const size_t slack = 4 * LIVESET_CODE_BITS / 8 + 1;
  _Static_assert(1 + 2 * LIVESET_BLOCK_HEADER + 4 * LIVESET_CODE_BITS / 8 + 1 <=
                   HOLT_LIVESET_BYTES_MIN,
                 "an empty set has room for one seq");

  const size_t header = 1 + 2 * LIVESET_BLOCK_HEADER;
  return writer->out->size - writer->start + header + writer_bytes(writer) +
           slack <=
         writer->bytes_max;
}

int
holt_liveset_add(struct holt_liveset_writer *writer, uint64_t seq)
{
  holt_assert(seq > writer->at);
  holt_assert(seq <= HOLT_LIVESET_SEQ_MAX);

  if (writer->out->error != 0) {
    return writer->out->error;
  }
  /* A run that grows takes no room that was not set aside for it. */
  if (writer->open > 0 && writer->open_live && seq == writer->at + 1) {
    return writer_extend(writer, true, 1);
  }
  if (!writer_has_room(writer)) {
    return HOLT_ERR_LIMIT;
  }
  const int rv = writer_extend(writer, false, seq - writer->at - 1);
  return rv != 0 ? rv : writer_extend(writer, true, 1);
}

int
holt_liveset_end(struct holt_liveset_writer *writer, uint64_t to)
{
  holt_assert(to >= writer->at);
  holt_assert(to <= HOLT_LIVESET_SEQ_MAX);

  int rv = writer->out->error;
  if (rv == 0) {
    rv = writer_extend(writer, false, to - writer->at);
  }
  if (rv == 0 && writer->open > 0) {
    rv = writer_close(writer);
  }
  if (rv == 0 && writer->run_count > 0) {
    rv = writer_flush(writer);
  }
  holt_assert(rv != 0 ||
              writer->out->size - writer->start <= writer->bytes_max);
  return rv;
}

/*--------------------------------------------------------------------
 * Reading */

/* There is nothing behind the run at hand, because the bytes are bad. */
static bool
reader_fail(struct holt_liveset_reader *reader)
{
  reader->error = HOLT_ERR_MALFORMED;
  reader->live = false;
  return false;
}

void
holt_liveset_open(struct holt_liveset_reader *reader, const void *bytes,
                  size_t size, uint64_t after)
{
  *reader = (struct holt_liveset_reader){
    .at = bytes,
    .to = after,
  };
  reader->end = size == 0 ? reader->at : reader->at + size;
  if (after > HOLT_LIVESET_SEQ_MAX) {
    (void)reader_fail(reader);
    return;
  }
  if (size > 0) {
    /* A kind alone says nothing, and no other form of nothing is needed. */
    const uint8_t kind = *reader->at++;
    if (kind > 1 || size == 1) {
      (void)reader_fail(reader);
      return;
    }
    reader->next_live = kind == 1;
  }
}

/* Begin the next block; there are bytes. */
static bool
reader_block(struct holt_liveset_reader *reader)
{
  if (reader->end - reader->at < (ptrdiff_t)LIVESET_BLOCK_HEADER) {
    return reader_fail(reader);
  }
  reader->run_count = (unsigned)reader->at[0] + 1;
  reader->parameters[true] = reader->at[1] >> 4;
  reader->parameters[false] = reader->at[1] & 15;
  reader->at += LIVESET_BLOCK_HEADER;
  return true;
}

/* Have at least a longest code in the word, or all bits there are.  Bits of the
 * word that no byte has filled are zeros. */
static void
reader_fill(struct holt_liveset_reader *reader)
{
  while (reader->word_bits <= 56 && reader->at < reader->end) {
    reader->word |= (uint64_t)*reader->at++ << (56 - reader->word_bits);
    reader->word_bits += 8;
  }
}

/* The next size (1..48) bits of the word; false: there are not so many. */
static bool
reader_take(struct holt_liveset_reader *reader, unsigned size, uint64_t *value)
{
  if (reader->word_bits < size) {
    return false;
  }
  *value = reader->word >> (64 - size);
  reader->word <<= size;
  reader->word_bits -= size;
  return true;
}

/* The next code; false: it is not whole, or longer than it need be. */
static bool
reader_code(struct holt_liveset_reader *reader, unsigned k, uint64_t *n)
{
  reader_fill(reader);
  unsigned ones = 0;
  while (ones < LIVESET_QUOTIENT_MAX && reader->word >> 63 != 0) {
    reader->word <<= 1;
    ones++;
  }
  /* The ones are there, because what is not there is zeros. */
  reader->word_bits -= ones;
  if (ones == LIVESET_QUOTIENT_MAX) {
    reader_fill(reader);
    return reader_take(reader, LIVESET_LENGTH_BITS, n) &&
           *n >> k >= LIVESET_QUOTIENT_MAX;
  }
  /* The zero, and the low bits. */
  if (!reader_take(reader, 1 + k, n)) {
    return false;
  }
  *n |= (uint64_t)ones << k;
  return true;
}

/* The block is read: its last byte is filled up with zeros, and what was taken
 * ahead goes back. */
static bool
reader_align(struct holt_liveset_reader *reader)
{
  const unsigned padding = reader->word_bits % 8;
  uint64_t bits = 0;
  if (padding > 0 && reader_take(reader, padding, &bits) && bits != 0) {
    return false;
  }
  reader->at -= reader->word_bits / 8;
  reader->word = 0;
  reader->word_bits = 0;
  return true;
}

bool
holt_liveset_next(struct holt_liveset_reader *reader)
{
  if (reader->error != 0) {
    return false;
  }
  if (reader->run_count == 0) {
    if (reader->at == reader->end) {
      reader->live = false;
      return false;
    }
    if (!reader_block(reader)) {
      return false;
    }
  }
  const bool live = reader->next_live;
  uint64_t n = 0;
  if (!reader_code(reader, reader->parameters[live], &n) ||
      n >= HOLT_LIVESET_SEQ_MAX - reader->to) {
    return reader_fail(reader);
  }
  reader->run_count--;
  if (reader->run_count == 0 && !reader_align(reader)) {
    return reader_fail(reader);
  }
  reader->live = live;
  reader->next_live = !live;
  reader->to += n + 1;
  return true;
}

bool
holt_liveset_has(struct holt_liveset_reader *reader, uint64_t seq)
{
  while (seq > reader->to) {
    if (!holt_liveset_next(reader)) {
      return false;
    }
  }
  return reader->live;
}

int
holt_liveset_check(const void *bytes, size_t size, uint64_t after, uint64_t *to)
{
  struct holt_liveset_reader reader;
  holt_liveset_open(&reader, bytes, size, after);
  while (holt_liveset_next(&reader)) {
  }
  *to = reader.to;
  return reader.error;
}
