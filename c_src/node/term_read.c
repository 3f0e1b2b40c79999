/* SPDX-License-Identifier: Apache-2.0 */
#include "term.h"

#include <string.h>

bool
term_read_term(struct holt_etf_reader *reader, struct term_slice *term)
{
  const uint8_t *start = reader->at;
  if (holt_etf_skip(reader) != 0) {
    return false;
  }
  *term = term_slice(start, (size_t)(reader->at - start));
  return true;
}

/* The next token if it is of this type; else the reader stays. */
static bool
read_token(struct holt_etf_reader *reader, enum holt_etf_type type,
           struct holt_etf_token *token)
{
  struct holt_etf_reader ahead = *reader;
  if (holt_etf_next(&ahead, token) != 0 || token->type != type) {
    return false;
  }
  *reader = ahead;
  return true;
}

bool
term_read_tuple_any(struct holt_etf_reader *reader, uint32_t *arity)
{
  struct holt_etf_token token;
  if (!read_token(reader, HOLT_ETF_TUPLE, &token)) {
    return false;
  }
  *arity = token.arity;
  return true;
}

bool
term_read_tuple(struct holt_etf_reader *reader, uint32_t arity)
{
  const struct holt_etf_reader start = *reader;
  uint32_t found;
  if (term_read_tuple_any(reader, &found) && found == arity) {
    return true;
  }
  *reader = start;
  return false;
}

bool
term_read_list(struct holt_etf_reader *reader, uint32_t *count)
{
  struct holt_etf_token token;
  if (term_read_nil(reader)) {
    *count = 0;
    return true;
  }
  /* A list of no elements stands for its tail: nobody sends one. */
  struct holt_etf_reader ahead = *reader;
  if (!read_token(&ahead, HOLT_ETF_LIST, &token) || token.arity == 0) {
    return false;
  }
  *count = token.arity;
  *reader = ahead;
  return true;
}

bool
term_read_nil(struct holt_etf_reader *reader)
{
  struct holt_etf_token token;
  return read_token(reader, HOLT_ETF_NIL, &token);
}

bool
term_read_map(struct holt_etf_reader *reader, uint32_t *pairs)
{
  struct holt_etf_token token;
  if (!read_token(reader, HOLT_ETF_MAP, &token)) {
    return false;
  }
  *pairs = token.arity;
  return true;
}

static bool
is_ascii(const uint8_t *bytes, size_t size)
{
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] >= 0x80) {
      return false;
    }
  }
  return true;
}

bool
term_read_atom(struct holt_etf_reader *reader, struct term_slice *name)
{
  struct holt_etf_reader ahead = *reader;
  struct holt_etf_token token;
  if (!read_token(&ahead, HOLT_ETF_ATOM, &token) ||
      (token.latin1 && !is_ascii(token.bytes, token.size))) {
    return false;
  }
  *name = term_slice(token.bytes, token.size);
  *reader = ahead;
  return true;
}

bool
term_read_atom_is(struct holt_etf_reader *reader, const char *name)
{
  struct holt_etf_reader ahead = *reader;
  struct term_slice found;
  if (!term_read_atom(&ahead, &found) || !term_slice_is(found, name)) {
    return false;
  }
  *reader = ahead;
  return true;
}

bool
term_read_int(struct holt_etf_reader *reader, int64_t *value)
{
  struct holt_etf_token token;
  if (!read_token(reader, HOLT_ETF_INTEGER, &token)) {
    return false;
  }
  *value = token.integer;
  return true;
}

bool
term_read_uint(struct holt_etf_reader *reader, uint64_t *value)
{
  struct holt_etf_reader ahead = *reader;
  struct holt_etf_token token;
  if (holt_etf_next(&ahead, &token) != 0) {
    return false;
  }
  uint64_t found = 0;
  if (token.type == HOLT_ETF_INTEGER && token.integer >= 0) {
    found = (uint64_t)token.integer;
  } else if (token.type == HOLT_ETF_BIG && !token.negative && token.size <= 8) {
    for (size_t i = token.size; i > 0; i--) {
      found = found << 8 | token.bytes[i - 1];
    }
  } else {
    return false;
  }
  *value = found;
  *reader = ahead;
  return true;
}

bool
term_read_binary(struct holt_etf_reader *reader, struct term_slice *bytes)
{
  struct holt_etf_token token;
  if (!read_token(reader, HOLT_ETF_BINARY, &token)) {
    return false;
  }
  *bytes = term_slice(token.bytes, token.size);
  return true;
}

bool
term_read_pid(struct holt_etf_reader *reader, struct term_pid *pid)
{
  struct holt_etf_reader ahead = *reader;
  struct holt_etf_token token;
  if (!read_token(&ahead, HOLT_ETF_PID, &token) ||
      (token.node_latin1 && !is_ascii(token.node, token.node_size))) {
    return false;
  }
  *pid = (struct term_pid){
    .node = { token.node, token.node_size },
    .id = (uint32_t)token.id,
    .serial = token.serial,
    .creation = token.creation,
  };
  *reader = ahead;
  return true;
}

bool
term_is_atom(struct term_slice slice, const char *name)
{
  struct holt_etf_reader reader = term_reader(slice);
  return term_read_atom_is(&reader, name) && term_read_end(&reader);
}

bool
term_is_pid(struct term_slice slice, struct term_pid *pid)
{
  struct holt_etf_reader reader = term_reader(slice);
  struct term_pid found;
  if (!term_read_pid(&reader, &found) || !term_read_end(&reader)) {
    return false;
  }
  *pid = found;
  return true;
}

bool
term_slice_is(struct term_slice slice, const char *text)
{
  return term_slice_equal(slice, term_slice(text, strlen(text)));
}

bool
term_slice_equal(struct term_slice a, struct term_slice b)
{
  return a.size == b.size &&
         (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}
