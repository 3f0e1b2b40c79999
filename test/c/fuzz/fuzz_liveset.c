/* SPDX-License-Identifier: Apache-2.0 */
/* Live sets: bytes that are one are written again, run by run, and read as the
 * same; and any set that is written is read as it was.
 *
 *     head    0: bytes of a set, behind a first seq; 1: gaps between seqs
 */
#include "liveset.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum {
  SEQS_MAX = 1000
};

/* Live seqs, ascending, and where the range ends. */
struct set {
  uint64_t after;
  uint64_t to;
  uint64_t seqs[SEQS_MAX];
  size_t count;
};

/* Write all of a set, in as many pieces as bytes_max makes of it, and read each
 * piece. */
static void
write_and_read(const struct set *set, size_t bytes_max)
{
  struct heap heap;
  struct holt_buf out;
  heap_init(&heap);
  holt_buf_init(&out, &heap.mem, 0);
  size_t at = 0;
  for (uint64_t after = set->after; after < set->to;) {
    holt_buf_clear(&out);
    struct holt_liveset_writer writer;
    holt_liveset_begin(&writer, &out, after, bytes_max);
    const size_t first = at;
    int rv = 0;
    while (at < set->count &&
           (rv = holt_liveset_add(&writer, set->seqs[at])) == 0) {
      at++;
    }
    FUZZ_CHECK(rv == 0 || rv == HOLT_ERR_LIMIT);
    const uint64_t to = rv == 0 ? set->to : set->seqs[at] - 1;
    FUZZ_CHECK(to > after);
    FUZZ_CHECK(holt_liveset_end(&writer, to) == 0);
    FUZZ_CHECK(out.size <= bytes_max);
    uint64_t end;
    struct hex bytes = hex_copy(out.data, out.size);
    FUZZ_CHECK(holt_liveset_check(bytes.bytes, bytes.size, after, &end) == 0);
    FUZZ_CHECK(end == to);
    struct holt_liveset_reader reader;
    holt_liveset_open(&reader, bytes.bytes, bytes.size, after);
    uint64_t before = after;
    for (size_t i = first; i < at; i++) {
      const uint64_t seq = set->seqs[i];
      FUZZ_CHECK(seq == before + 1 || !holt_liveset_has(&reader, seq - 1));
      FUZZ_CHECK(holt_liveset_has(&reader, seq));
      before = seq;
    }
    FUZZ_CHECK(before == to || !holt_liveset_has(&reader, to));
    FUZZ_CHECK(!holt_liveset_has(&reader, to + 1) && reader.error == 0);
    hex_delete(&bytes);
    after = to;
  }
  FUZZ_CHECK(at == set->count);
  holt_buf_deinit(&out);
  fuzz_heap_end(&heap);
}

/* Runs of any bytes: they alternate, and end where check() says.  False: more
 * than are written again. */
static bool
read_runs(const struct hex *bytes, struct set *set)
{
  struct holt_liveset_reader reader;
  holt_liveset_open(&reader, bytes->bytes, bytes->size, set->after);
  uint64_t at = set->after;
  bool live = false;
  bool all = true;
  size_t runs = 0;
  for (; holt_liveset_next(&reader); runs++) {
    FUZZ_CHECK(reader.to > at && reader.to <= HOLT_LIVESET_SEQ_MAX);
    FUZZ_CHECK(runs == 0 || reader.live != live);
    live = reader.live;
    all = all && (!live || reader.to - at <= SEQS_MAX - set->count);
    for (uint64_t seq = at + 1; live && all && seq <= reader.to; seq++) {
      set->seqs[set->count++] = seq;
    }
    at = reader.to;
  }
  FUZZ_CHECK(!reader.live && runs <= 8 * bytes->size);
  uint64_t to = 0;
  const int rv = holt_liveset_check(bytes->bytes, bytes->size, set->after, &to);
  FUZZ_CHECK((rv == 0) == (reader.error == 0));
  FUZZ_CHECK(rv == 0 || rv == HOLT_ERR_MALFORMED);
  FUZZ_CHECK(rv != 0 || to == at);
  set->to = at;
  return rv == 0 && all;
}

static void
make_set(struct fuzz_input *input, struct set *set)
{
  uint64_t at = set->after;
  while (!fuzz_is_used_up(input) && set->count < SEQS_MAX) {
    const uint8_t code = fuzz_u8(input);
    /* A run of live ones behind a gap, or a gap of any size. */
    at += code < 0xf0 ? code % 8 : fuzz_u64(input) >> (16 + code % 16 * 3);
    if (at > HOLT_LIVESET_SEQ_MAX - 64) {
      break;
    }
    for (unsigned i = 0; i < code / 8u && set->count < SEQS_MAX; i++) {
      set->seqs[set->count++] = ++at;
    }
  }
  set->to = at < HOLT_LIVESET_SEQ_MAX - 64 ? at + 1 : HOLT_LIVESET_SEQ_MAX;
}

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  struct fuzz_input input = fuzz_input(bytes, size);
  struct set *const set = calloc(1, sizeof *set);
  FUZZ_CHECK(set != NULL);
  const uint8_t mode = fuzz_u8(&input);
  set->after = fuzz_u64(&input) % (HOLT_LIVESET_SEQ_MAX - 1000);
  const size_t bytes_max = HOLT_LIVESET_BYTES_MIN + (size_t)(mode / 2) * 8;
  if (mode % 2 == 1) {
    make_set(&input, set);
    write_and_read(set, bytes_max);
  } else {
    struct hex rest = fuzz_rest(&input);
    if (read_runs(&rest, set)) {
      write_and_read(set, bytes_max);
    }
    hex_delete(&rest);
  }
  free(set);
}

/* Sets of many densities, as bytes and as programs. */
void
fuzz_seeds(fuzz_seed seed)
{
  static const unsigned gaps[] = { 1, 2, 3, 9, 100, 5000 };
  struct heap heap;
  heap_init(&heap);
  for (unsigned i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
    struct holt_buf out;
    holt_buf_init(&out, &heap.mem, 0);
    holt_buf_put_u8(&out, 0xfe);
    holt_buf_put_u64be(&out, 10);
    struct holt_liveset_writer writer;
    holt_liveset_begin(&writer, &out, 10, 4096);
    uint64_t seq = 10;
    for (unsigned k = 0; k < 400; k++) {
      seq += 1 + k * k % gaps[i];
      FUZZ_CHECK(holt_liveset_add(&writer, seq) == 0);
    }
    FUZZ_CHECK(holt_liveset_end(&writer, seq + gaps[i]) == 0);
    char name[16] = "set-0";
    name[4] = (char)('0' + i);
    seed(name, out.data, out.size);
    uint8_t program[64] = { (uint8_t)(2 * i + 1) };
    for (unsigned k = 9; k < sizeof program; k++) {
      program[k] = (uint8_t)(k * gaps[i]);
    }
    memcpy(name, "gap-", 4);
    seed(name, program, sizeof program);
    holt_buf_deinit(&out);
  }
  fuzz_heap_end(&heap);
}
