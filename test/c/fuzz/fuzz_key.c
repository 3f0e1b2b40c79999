/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical keys: one byte form for each term.
 *
 *     head    what is written in another form, as a number
 *     rest    a term, or what claims to be one
 *
 * What the checker takes is what the encoder makes of it; what the encoder
 * makes, the checker takes; pushing the pieces of a term makes what its bytes
 * make; and the same term in another form, its maps turned round, makes the
 * same key. */
#include <holt/key.h>

#include <stdlib.h>
#include <string.h>

#include <holt/etf.h>

#include "fuzz.h"

enum {
  /* Of all that is open at a time, lists within lists among it. */
  OPEN_MAX = 512,
  RUN_MAX = 3
};

static bool
is_key(const struct holt_key *key, const uint8_t *bytes, size_t size)
{
  return holt_key_size(key) == size &&
         memcmp(holt_key_bytes(key), bytes, size) == 0;
}

/*--------------------------------------------------------------------
 * Piece by piece */

/* What is open: values due, and whether the last of them is a tail. */
struct open {
  uint64_t left;
  bool list;
};

static void
push_string(struct holt_key *key, const struct holt_etf_token *token)
{
  (void)holt_key_list(key);
  for (size_t i = 0; i < token->size; i++) {
    (void)holt_key_int(key, token->bytes[i]);
  }
  (void)holt_key_tail(key);
  (void)holt_key_nil(key);
}

/* Push one token; of those that hold others, the beginning. */
static void
push(struct holt_key *key, const struct holt_etf_token *token,
     const uint8_t *from, size_t size)
{
  switch (token->type) {
  case HOLT_ETF_INTEGER:
    (void)holt_key_int(key, token->integer);
    break;
  case HOLT_ETF_BIG:
    (void)holt_key_big(key, token->negative, token->bytes, token->size);
    break;
  case HOLT_ETF_FLOAT:
    (void)holt_key_float(key, token->real);
    break;
  case HOLT_ETF_ATOM:
    (void)(token->latin1 ? holt_key_atom_latin1(key, token->bytes, token->size)
                         : holt_key_atom(key, token->bytes, token->size));
    break;
  case HOLT_ETF_BINARY:
    (void)holt_key_binary(key, token->bytes, token->size);
    break;
  case HOLT_ETF_BITS:
    (void)holt_key_bits(key, token->bytes, token->size, token->bits);
    break;
  case HOLT_ETF_STRING:
    push_string(key, token);
    break;
  case HOLT_ETF_NIL:
    (void)holt_key_nil(key);
    break;
  case HOLT_ETF_LIST:
    if (token->arity > 0) {
      (void)holt_key_list(key);
    }
    break;
  case HOLT_ETF_TUPLE:
    (void)holt_key_tuple(key, token->arity);
    break;
  case HOLT_ETF_MAP:
    (void)holt_key_map(key, token->arity);
    break;
  case HOLT_ETF_PID:
  case HOLT_ETF_PORT:
  case HOLT_ETF_REFERENCE:
  case HOLT_ETF_EXPORT:
  case HOLT_ETF_FUN:
    (void)holt_key_etf(key, from, size);
    break;
  }
}

/* True: the whole term was pushed, whether or not it is a key. */
static bool
push_all(struct holt_key *key, const struct hex *term)
{
  struct open open[OPEN_MAX] = { { .left = 1 } };
  size_t depth = 1;
  struct holt_etf_reader reader;
  holt_etf_init(&reader, term->bytes, term->size);
  while (depth > 0) {
    struct open *const top = &open[depth - 1];
    if (top->left == 0) {
      depth--;
      continue;
    }
    top->left--;
    if (top->list && top->left == 0) {
      (void)holt_key_tail(key);
    }
    struct holt_etf_token token;
    const uint8_t *const from = reader.at;
    if (holt_etf_next(&reader, &token) != 0 || depth == OPEN_MAX) {
      return false;
    }
    push(key, &token, from, (size_t)(reader.at - from));
    open[depth] =
      (struct open){ .left = holt_etf_children(&token),
                     .list = token.type == HOLT_ETF_LIST && token.arity > 0 };
    depth++;
  }
  return reader.at == reader.end;
}

/*--------------------------------------------------------------------
 * The same in another form */

struct scramble {
  struct holt_buf out;
  uint64_t random;
};

static unsigned
choose(struct scramble *scramble, unsigned bound)
{
  scramble->random = scramble->random * UINT64_C(6364136223846793005) +
                     UINT64_C(1442695040888963407);
  return (unsigned)(scramble->random >> 33) % bound;
}

static void
put_any_int(struct scramble *scramble, bool negative, const uint8_t *bytes,
            size_t size)
{
  struct holt_buf *const out = &scramble->out;
  const size_t padding = choose(scramble, 3);
  const size_t all = size + padding;
  if (choose(scramble, 2) == 0 && all <= UINT8_MAX) {
    holt_buf_put_u8(out, 110);
    holt_buf_put_u8(out, (uint8_t)all);
  } else {
    holt_buf_put_u8(out, 111);
    holt_buf_put_u32be(out, (uint32_t)all);
  }
  holt_buf_put_u8(out, negative);
  holt_buf_put(out, bytes, size);
  for (size_t i = 0; i < padding; i++) {
    holt_buf_put_u8(out, 0);
  }
}

static void
put_int(struct scramble *scramble, int64_t value)
{
  uint8_t bytes[8];
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  size_t size = 0;
  for (; rest > 0; rest >>= 8) {
    bytes[size++] = (uint8_t)rest;
  }
  put_any_int(scramble, value < 0, bytes, size);
}

static void
put_atom(struct scramble *scramble, const struct holt_etf_token *token)
{
  struct holt_buf *const out = &scramble->out;
  bool ascii = true;
  for (size_t i = 0; i < token->size; i++) {
    ascii = ascii && token->bytes[i] < 0x80;
  }
  const unsigned form = choose(scramble, ascii ? 4 : 2);
  static const uint8_t tags[] = { 119, 118, 115, 100 };
  if (token->size <= UINT8_MAX && form % 2 == 0) {
    holt_buf_put_u8(out, tags[form]);
    holt_buf_put_u8(out, (uint8_t)token->size);
  } else {
    holt_buf_put_u8(out, tags[form | 1u]);
    holt_buf_put_u16be(out, (uint16_t)token->size);
  }
  holt_buf_put(out, token->bytes, token->size);
}

static void scramble_term(struct scramble *scramble,
                          struct holt_etf_reader *reader);

/* The pairs of a map, from the last to the first, or from the middle on. */
static void
scramble_map(struct scramble *scramble, uint32_t pairs,
             struct holt_etf_reader *reader)
{
  struct holt_etf_reader *const at = calloc(pairs + 1u, sizeof *at);
  FUZZ_CHECK(at != NULL);
  for (uint32_t i = 0; i < pairs; i++) {
    at[i] = *reader;
    FUZZ_CHECK(holt_etf_skip(reader) == 0 && holt_etf_skip(reader) == 0);
  }
  holt_buf_put_u8(&scramble->out, 116);
  holt_buf_put_u32be(&scramble->out, pairs);
  const bool back = choose(scramble, 2) == 0;
  const uint32_t first = pairs == 0 ? 0 : choose(scramble, pairs);
  for (uint32_t i = 0; i < pairs; i++) {
    const uint32_t next = (first + i) % pairs;
    struct holt_etf_reader pair = at[back ? pairs - 1 - next : next];
    scramble_term(scramble, &pair);
    scramble_term(scramble, &pair);
  }
  free(at);
}

/* A list in several runs, each the tail of the one before. */
static void
scramble_list(struct scramble *scramble, uint32_t left,
              struct holt_etf_reader *reader)
{
  while (left > 0) {
    const uint32_t run = left <= RUN_MAX ? left : 1 + choose(scramble, RUN_MAX);
    holt_buf_put_u8(&scramble->out, 108);
    holt_buf_put_u32be(&scramble->out, run);
    for (uint32_t i = 0; i < run; i++) {
      scramble_term(scramble, reader);
    }
    left -= run;
  }
  scramble_term(scramble, reader);
}

/* Of a term that is a key, which is not deep. */
static void
scramble_term(struct scramble *scramble, struct holt_etf_reader *reader)
{
  struct holt_buf *const out = &scramble->out;
  const uint8_t *const from = reader->at;
  struct holt_etf_token token;
  FUZZ_CHECK(holt_etf_next(reader, &token) == 0);
  switch (token.type) {
  case HOLT_ETF_INTEGER:
    put_int(scramble, token.integer);
    break;
  case HOLT_ETF_BIG:
    put_any_int(scramble, token.negative, token.bytes, token.size);
    break;
  case HOLT_ETF_ATOM:
    put_atom(scramble, &token);
    break;
  case HOLT_ETF_LIST:
    scramble_list(scramble, token.arity, reader);
    break;
  case HOLT_ETF_TUPLE:
    holt_buf_put_u8(out, 105);
    holt_buf_put_u32be(out, token.arity);
    for (uint32_t i = 0; i < token.arity; i++) {
      scramble_term(scramble, reader);
    }
    break;
  case HOLT_ETF_MAP:
    scramble_map(scramble, token.arity, reader);
    break;
  case HOLT_ETF_BITS:
    holt_buf_put(out, from, (size_t)(reader->at - from));
    /* The bits that do not count. */
    out->data[out->size - 1] |=
      (uint8_t)(choose(scramble, 256) & (0xffu >> token.bits));
    break;
  default:
    holt_buf_put(out, from, (size_t)(reader->at - from));
    break;
  }
}

static void
check_scrambled(struct heap *heap, const struct holt_key *key, uint64_t random)
{
  struct scramble scramble = { .random = random };
  holt_buf_init(&scramble.out, &heap->mem, 0);
  struct holt_etf_reader reader;
  holt_etf_init(&reader, holt_key_bytes(key), holt_key_size(key));
  scramble_term(&scramble, &reader);
  FUZZ_CHECK(reader.at == reader.end && scramble.out.error == 0);
  struct holt_key other;
  holt_key_init(&other, &heap->mem, HOLT_KEY_BYTES_LIMIT);
  FUZZ_CHECK(holt_key_etf(&other, scramble.out.data, scramble.out.size) == 0);
  FUZZ_CHECK(holt_key_finish(&other) == 0);
  FUZZ_CHECK(is_key(&other, holt_key_bytes(key), holt_key_size(key)));
  holt_key_deinit(&other);
  holt_buf_deinit(&scramble.out);
}

/*--------------------------------------------------------------------
 * All of it */

static void
check_key(struct heap *heap, const struct holt_key *key, uint64_t random)
{
  const struct hex bytes = hex_copy(holt_key_bytes(key), holt_key_size(key));
  FUZZ_CHECK(bytes.size <= HOLT_KEY_BYTES_LIMIT);
  FUZZ_CHECK(holt_key_check(bytes.bytes, bytes.size) == 0);
  FUZZ_CHECK(holt_etf_check(bytes.bytes, bytes.size) == 0);
  check_scrambled(heap, key, random);
  free(bytes.bytes);
}

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  struct fuzz_input input = fuzz_input(bytes, size);
  const uint64_t random = fuzz_u64(&input);
  struct hex term = fuzz_rest(&input);
  struct heap heap;
  heap_init(&heap);
  const bool checked = holt_key_check(term.bytes, term.size) == 0;
  struct holt_key key;
  holt_key_init(&key, &heap.mem, HOLT_KEY_BYTES_LIMIT);
  const int rv = holt_key_etf(&key, term.bytes, term.size);
  FUZZ_CHECK(holt_key_finish(&key) == rv);
  if (checked) {
    FUZZ_CHECK(rv == 0 && is_key(&key, term.bytes, term.size));
  }
  if (rv == 0) {
    FUZZ_CHECK(holt_etf_check(term.bytes, term.size) == 0);
    FUZZ_CHECK(checked == is_key(&key, term.bytes, term.size));
    check_key(&heap, &key, random);
  }
  struct holt_key pushed;
  holt_key_init(&pushed, &heap.mem, HOLT_KEY_BYTES_LIMIT);
  if (push_all(&pushed, &term)) {
    FUZZ_CHECK((holt_key_finish(&pushed) == 0) == (rv == 0));
    FUZZ_CHECK(rv != 0 ||
               is_key(&pushed, holt_key_bytes(&key), holt_key_size(&key)));
  }
  holt_key_deinit(&pushed);
  holt_key_deinit(&key);
  hex_delete(&term);
  fuzz_heap_end(&heap);
}

/* Terms of each kind, pushed; and one of all of them. */
static void
push_map(struct holt_key *key)
{
  (void)holt_key_map(key, 3);
  (void)holt_key_atom(key, "b", 1);
  (void)holt_key_int(key, 256);
  (void)holt_key_atom(key, "a", 1);
  (void)holt_key_int(key, -1);
  (void)holt_key_int(key, 7);
  (void)holt_key_tuple(key, 0);
}

static void
push_list(struct holt_key *key)
{
  (void)holt_key_list(key);
  for (int64_t i = 1; i < INT64_MAX / 256; i *= 200) {
    (void)holt_key_int(key, i % 3 == 0 ? i : -i);
  }
  push_map(key);
  (void)holt_key_tail(key);
  (void)holt_key_binary(key, "tail", 4);
}

static void
push_tuple(struct holt_key *key)
{
  static const uint8_t pid[] = { 88, 119, 3, 'a', '@', 'x', 0, 0, 0,
                                 1,  0,   0, 0,   2,   0,   0, 0, 3 };
  static const uint8_t reference[] = { 90, 0, 3, 119, 3, 'a', '@', 'x',
                                       0,  0, 0, 1,   0, 0,   0,   2,
                                       0,  0, 0, 3,   0, 0,   0,   4 };
  (void)holt_key_tuple(key, 7);
  (void)holt_key_float(key, 1.5);
  (void)holt_key_bits(key, "\xa0", 1, 3);
  (void)holt_key_atom(key, "\xc3\xa9", 2);
  (void)holt_key_etf(key, pid, sizeof pid);
  (void)holt_key_etf(key, reference, sizeof reference);
  push_list(key);
  push_map(key);
}

void
fuzz_seeds(fuzz_seed seed)
{
  static void (*const pushes[])(struct holt_key * key) = { push_map, push_list,
                                                           push_tuple };
  struct heap heap;
  heap_init(&heap);
  for (unsigned i = 0; i < 3; i++) {
    struct holt_key key;
    holt_key_init(&key, &heap.mem, 0);
    pushes[i](&key);
    FUZZ_CHECK(holt_key_finish(&key) == 0);
    for (unsigned form = 0; form < 3; form++) {
      struct scramble scramble = { .random = form };
      holt_buf_init(&scramble.out, &heap.mem, 0);
      holt_buf_put_u64be(&scramble.out, form);
      struct holt_etf_reader reader;
      holt_etf_init(&reader, holt_key_bytes(&key), holt_key_size(&key));
      if (form == 0) {
        holt_buf_put(&scramble.out, holt_key_bytes(&key), holt_key_size(&key));
      } else {
        scramble_term(&scramble, &reader);
      }
      const char name[] = { 't', (char)('0' + i), '-', (char)('0' + form), 0 };
      seed(name, scramble.out.data, scramble.out.size);
      holt_buf_deinit(&scramble.out);
    }
    holt_key_deinit(&key);
  }
  fuzz_heap_end(&heap);
}
