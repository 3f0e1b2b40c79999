/* SPDX-License-Identifier: Apache-2.0 */
/* Terms: the core's reader, the daemon's reader on top of it, and its writer.
 *
 * Skipping a term is reading all of its tokens; whoever says no leaves the
 * reader where it was; each token written again by the writer is read as the
 * same. */
#include "term.h"

#include <string.h>

#include "fuzz.h"

static bool
bytes_equal(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
  return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static bool
token_equal(const struct holt_etf_token *a, const struct holt_etf_token *b)
{
  return a->type == b->type && a->negative == b->negative &&
         a->arity == b->arity && a->integer == b->integer &&
         memcmp(&a->real, &b->real, sizeof a->real) == 0 &&
         bytes_equal(a->bytes, a->size, b->bytes, b->size) &&
         bytes_equal(a->node, a->node_size, b->node, b->node_size) &&
         a->creation == b->creation && a->id == b->id &&
         a->serial == b->serial && a->words_count == b->words_count &&
         memcmp(a->words, b->words, sizeof a->words) == 0;
}

/* False: the writer has nothing to say that with. */
static bool
put(struct term_writer *writer, const struct holt_etf_token *token)
{
  const struct term_slice node = term_slice(token->node, token->node_size);
  switch (token->type) {
  case HOLT_ETF_INTEGER:
    term_put_int(writer, token->integer);
    return true;
  case HOLT_ETF_FLOAT:
    term_put_float(writer, token->real);
    return true;
  case HOLT_ETF_ATOM:
    term_put_atom_bytes(writer, token->bytes, token->size);
    return !token->latin1;
  case HOLT_ETF_BINARY:
    term_put_binary(writer, token->bytes, token->size);
    return true;
  case HOLT_ETF_NIL:
    term_put_nil(writer);
    return true;
  case HOLT_ETF_LIST:
    term_put_list(writer, token->arity);
    return token->arity > 0;
  case HOLT_ETF_TUPLE:
    term_put_tuple(writer, token->arity);
    return true;
  case HOLT_ETF_MAP:
    term_put_map(writer, token->arity);
    return true;
  case HOLT_ETF_PID: {
    const struct term_pid pid = { node, (uint32_t)token->id, token->serial,
                                  token->creation };
    term_put_pid(writer, &pid);
    return !token->node_latin1;
  }
  case HOLT_ETF_REFERENCE:
    term_put_reference(writer, node, token->creation, token->words,
                       token->words_count);
    return !token->node_latin1;
  default:
    return false;
  }
}

static void
check_written(struct heap *heap, const struct holt_etf_token *token)
{
  struct term_writer writer;
  term_writer_init(&writer, &heap->mem, 0);
  if (put(&writer, token)) {
    FUZZ_CHECK(writer.error == 0);
    /* No container promises more than there are bytes left. */
    for (uint64_t i = holt_etf_children(token); i > 0; i--) {
      term_put_nil(&writer);
    }
    struct holt_etf_reader reader = term_reader(term_writer_slice(&writer));
    struct holt_etf_token again;
    FUZZ_CHECK(holt_etf_next(&reader, &again) == 0);
    FUZZ_CHECK(token_equal(token, &again));
    FUZZ_CHECK(holt_etf_check(writer.data, writer.size) == 0);
  }
  term_writer_deinit(&writer);
}

/* Each reader of the daemon, here.  At most one kind fits. */
static void
check_readers(const struct holt_etf_reader *here)
{
  struct term_slice slice;
  struct term_pid pid;
  uint32_t count = 0;
  int64_t number = 0;
  uint64_t unsigned_number = 0;
  unsigned fits = 0;
  bool (*const heads[])(struct holt_etf_reader *,
                        uint32_t *) = { term_read_tuple_any, term_read_list,
                                        term_read_map };
  bool (*const slices[])(struct holt_etf_reader *,
                         struct term_slice *) = { term_read_atom,
                                                  term_read_binary };
  for (unsigned i = 0; i < 8; i++) {
    struct holt_etf_reader reader = *here;
    bool ok;
    if (i < 3) {
      ok = heads[i](&reader, &count);
    } else if (i < 5) {
      ok = slices[i - 3](&reader, &slice);
    } else if (i == 5) {
      ok = term_read_pid(&reader, &pid);
    } else if (i == 6) {
      ok = term_read_int(&reader, &number);
    } else {
      ok = term_read_uint(&reader, &unsigned_number);
      FUZZ_CHECK(!ok || fits == 0 || (uint64_t)number == unsigned_number);
      fits = 0;
    }
    FUZZ_CHECK(ok ? reader.at > here->at && reader.at <= reader.end
                  : reader.at == here->at);
    fits += ok ? 1 : 0;
    FUZZ_CHECK(fits <= 1);
  }
}

/* Read token by token what skip() has skipped; with `whole' false the end of
 * the term is not there. */
static void
check_tokens(struct heap *heap, const struct holt_etf_reader *start,
             const uint8_t *end)
{
  struct holt_etf_reader reader = *start;
  size_t tokens = 0;
  for (uint64_t due = 1; due > 0; due--, tokens++) {
    struct holt_etf_token token;
    FUZZ_CHECK(holt_etf_next(&reader, &token) == 0);
    FUZZ_CHECK(holt_etf_children(&token) <= (uint64_t)(reader.end - reader.at));
    due += holt_etf_children(&token);
    if (tokens < 64) {
      check_written(heap, &token);
    }
  }
  FUZZ_CHECK(reader.at == end);
}

static void
check_all(struct heap *heap, const struct hex *bytes)
{
  struct holt_etf_reader reader;
  holt_etf_init(&reader, bytes->bytes, bytes->size);
  for (unsigned i = 0; i < 64 && reader.at != reader.end; i++) {
    const struct holt_etf_reader start = reader;
    check_readers(&start);
    const int rv = holt_etf_skip(&reader);
    struct term_slice term;
    struct holt_etf_reader again = start;
    FUZZ_CHECK(term_read_term(&again, &term) == (rv == 0));
    FUZZ_CHECK(again.at == reader.at);
    if (rv == 0) {
      FUZZ_CHECK(term.bytes == start.at && reader.at == term.bytes + term.size);
      FUZZ_CHECK(holt_etf_check(term.bytes, term.size) == 0);
      FUZZ_CHECK(holt_etf_check(term.bytes, term.size - 1) != 0);
      check_tokens(heap, &start, reader.at);
    } else {
      FUZZ_CHECK(reader.at == start.at);
      FUZZ_CHECK(rv == HOLT_ERR_MALFORMED || rv == HOLT_ERR_TOO_DEEP);
      /* One token on, to what is within. */
      struct holt_etf_token token;
      if (holt_etf_next(&reader, &token) != 0) {
        return;
      }
      check_written(heap, &token);
    }
  }
}

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  struct hex input = hex_copy(bytes, size);
  struct heap heap;
  heap_init(&heap);
  check_all(&heap, &input);
  fuzz_heap_end(&heap);
  hex_delete(&input);
}

/*--------------------------------------------------------------------
 * Seeds: what the writer writes, and what it does not */

void
fuzz_seeds(fuzz_seed seed)
{
  static const char *const others[] = {
    "63 312e3530303030303030303030303030303030303030652b30300000000000",
    "64 0002 6f6b 73 01 e9",
    "67 640003614062 00000009 00000002 03",
    "66 640003614062 00000007 01 59 7703614062 00000007 00000001",
    "78 7703614062 0000000000000007 00000001",
    "72 0002 640003614062 04 00000001 00000002",
    "65 640003614062 00000001 02",
    "6f 00000003 01 0102ff 6e 02 00 0001 6b 0003 010203 4d 00000001 03 a0",
    "71 7701 6d 7701 66 61 02",
    "70 0000001f 01 000102030405060708090a0b0c0d0e0f 00000001 00000000 6a6a",
  };
  struct heap heap;
  heap_init(&heap);
  for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
    struct hex hex = hex_new(others[i]);
    const char name[] = { 'h', 'e', 'x', '-', (char)('a' + i), 0 };
    seed(name, hex.bytes, hex.size);
    hex_delete(&hex);
  }
  struct term_writer writer;
  term_writer_init(&writer, &heap.mem, 0);
  const struct term_pid pid = { term_slice("a@x", 3), 5, 6, 7 };
  const uint32_t words[5] = { 1, 2, 3, 4, 5 };
  term_put_tuple(&writer, 4);
  const size_t list = term_open_list(&writer);
  term_put_pid(&writer, &pid);
  term_put_reference(&writer, pid.node, 7, words, 5);
  term_put_float(&writer, -1.5e300);
  term_put_int(&writer, INT64_MIN);
  term_put_uint(&writer, UINT64_MAX);
  term_close_list(&writer, list, 5);
  term_put_map(&writer, 1);
  term_put_bool(&writer, true);
  term_put_text(&writer, "text");
  term_put_nil(&writer);
  term_put_tuple(&writer, 300);
  for (unsigned i = 0; i < 300; i++) {
    term_put_uint(&writer, i);
  }
  FUZZ_CHECK(writer.error == 0);
  seed("written", writer.data, writer.size);
  term_writer_deinit(&writer);
  fuzz_heap_end(&heap);
}
