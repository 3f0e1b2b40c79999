/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "syntax.h"

/* Digits of one integer: more than any key can hold. */
#define DIGITS_MAX 8192u
#define MAGNITUDE_MAX 4096u

struct parser {
  const char *at;
  const char *wrong; /* The first complaint, or NULL. */
  ei_x_buff *out;
  unsigned depth;
};

static void read_term(struct parser *parser);

static void
fail(struct parser *parser, const char *wrong)
{
  if (parser->wrong == NULL) {
    parser->wrong = wrong;
  }
}

static void
put(struct parser *parser, const void *bytes, size_t size)
{
  if (parser->wrong == NULL && size <= INT_MAX &&
      ei_x_append_buf(parser->out, bytes, (int)size) != 0) {
    fail(parser, "out of memory");
  }
}

static void
put_u8(struct parser *parser, unsigned value)
{
  const uint8_t byte = (uint8_t)value;
  put(parser, &byte, 1);
}

static void
big_endian(uint8_t *bytes, uint32_t value)
{
  bytes[0] = (uint8_t)(value >> 24);
  bytes[1] = (uint8_t)(value >> 16);
  bytes[2] = (uint8_t)(value >> 8);
  bytes[3] = (uint8_t)value;
}

static void
put_u32(struct parser *parser, uint32_t value)
{
  uint8_t bytes[4];
  big_endian(bytes, value);
  put(parser, bytes, sizeof bytes);
}

/* The count of a container is known at its end: written as 0, then set. */
static int
count_begin(struct parser *parser, unsigned tag)
{
  put_u8(parser, tag);
  const int at = parser->out->index;
  put_u32(parser, 0);
  return at;
}

static void
count_end(struct parser *parser, int at, uint32_t count)
{
  if (parser->wrong == NULL) {
    big_endian((uint8_t *)parser->out->buff + at, count);
  }
}

static void
blanks(struct parser *parser)
{
  parser->at += strspn(parser->at, " \t\r\n");
}

/* Step over a piece of punctuation, if it is next. */
static bool
next_is(struct parser *parser, const char *punctuation)
{
  blanks(parser);
  const size_t size = strlen(punctuation);
  if (strncmp(parser->at, punctuation, size) != 0) {
    return false;
  }
  parser->at += size;
  return true;
}

static void
expect(struct parser *parser, const char *punctuation, const char *wrong)
{
  if (parser->wrong == NULL && !next_is(parser, punctuation)) {
    fail(parser, wrong);
  }
}

/*--------------------------------------------------------------------
 * Characters */

/* One UTF-8 character, or -1. */
static long
utf8_next(struct parser *parser)
{
  const uint8_t *const at = (const uint8_t *)parser->at;
  static const long least[] = { 0, 0, 0x80, 0x800, 0x10000 };
  const unsigned size = at[0] < 0x80             ? 1
                        : (at[0] & 0xe0) == 0xc0 ? 2
                        : (at[0] & 0xf0) == 0xe0 ? 3
                        : (at[0] & 0xf8) == 0xf0 ? 4
                                                 : 0;
  if (size == 0 || at[0] == 0) {
    return -1;
  }
  long code = size == 1 ? at[0] : at[0] & (0x7f >> size);
  for (unsigned i = 1; i < size; i++) {
    if ((at[i] & 0xc0) != 0x80) {
      return -1; /* This sees the end of the text, too. */
    }
    code = code << 6 | (at[i] & 0x3f);
  }
  parser->at += size;
  const bool ok =
    code >= least[size] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return ok ? code : -1;
}

static size_t
utf8_put(long code, uint8_t *bytes)
{
  if (code < 0x80) {
    bytes[0] = (uint8_t)code;
    return 1;
  }
  const size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = size - 1; i > 0; i--) {
    bytes[i] = (uint8_t)(0x80 | (code & 0x3f));
    code >>= 6;
  }
  static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
  bytes[0] = (uint8_t)(lead[size] | code);
  return size;
}

static int
digit_of(char c)
{
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'z') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 36;
}

static long
hex_escape(struct parser *parser)
{
  const bool braces = *parser->at == '{';
  parser->at += braces ? 1 : 0;
  long code = 0;
  unsigned digits = 0;
  while (digit_of(*parser->at) < 16 && digits < (braces ? 6u : 2u)) {
    code = code * 16 + digit_of(*parser->at++);
    digits++;
  }
  if (braces && *parser->at != '}') {
    return -1;
  }
  parser->at += braces ? 1 : 0;
  return digits > 0 && (braces || digits == 2) ? code : -1;
}

/* What stands behind a backslash. */
static long
escape(struct parser *parser)
{
  static const char names[] = "bdefnrstv";
  static const char codes[] = "\b\177\033\f\n\r \t\v";
  const char c = *parser->at;
  if (c == 'x') {
    parser->at++;
    return hex_escape(parser);
  }
  if (c >= '0' && c <= '7') {
    long code = 0;
    for (unsigned i = 0; i < 3 && *parser->at >= '0' && *parser->at <= '7';
         i++) {
      code = code * 8 + (*parser->at++ - '0');
    }
    return code;
  }
  const char *const name = c == '\0' ? NULL : strchr(names, c);
  if (name != NULL) {
    parser->at++;
    return codes[name - names];
  }
  return utf8_next(parser);
}

/* The next character before the closing quote; -1 at it, or when wrong. */
static long
quoted_next(struct parser *parser, char quote)
{
  if (*parser->at == quote) {
    parser->at++;
    return -1;
  }
  if (*parser->at == '\0') {
    fail(parser, "the closing quote is missing");
    return -1;
  }
  long code;
  if (*parser->at == '\\') {
    parser->at++;
    code = escape(parser);
  } else {
    code = utf8_next(parser);
  }
  if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    fail(parser, "this is no character");
    return -1;
  }
  return code;
}

/*--------------------------------------------------------------------
 * Numbers */

static void
put_integer(struct parser *parser, bool negative, const uint8_t *magnitude,
            size_t size)
{
  uint64_t value = 0;
  for (size_t i = size; i > 0 && size <= 4; i--) {
    value = value << 8 | magnitude[i - 1];
  }
  if (size <= 4 && value <= INT32_MAX) {
    put_u8(parser, 98);
    put_u32(parser, negative ? (uint32_t)0 - (uint32_t)value : (uint32_t)value);
  } else {
    put_u8(parser, size <= 255 ? 110 : 111);
    if (size <= 255) {
      put_u8(parser, (unsigned)size);
    } else {
      put_u32(parser, (uint32_t)size);
    }
    put_u8(parser, negative ? 1 : 0);
    put(parser, magnitude, size);
  }
}

/* Digits of a base, any number of them, with single _ between them. */
static void
read_digits(struct parser *parser, bool negative, int base)
{
  uint8_t magnitude[MAGNITUDE_MAX];
  size_t size = 0;
  size_t digits = 0;
  for (; digit_of(*parser->at) < base && digits < DIGITS_MAX; digits++) {
    unsigned carry = (unsigned)digit_of(*parser->at++);
    for (size_t i = 0; i < size; i++) {
      carry += magnitude[i] * (unsigned)base;
      magnitude[i] = (uint8_t)carry;
      carry >>= 8;
    }
    if (carry > 0 && size == MAGNITUDE_MAX) {
      fail(parser, "this integer is too large");
      return;
    }
    if (carry > 0) {
      magnitude[size++] = (uint8_t)carry;
    }
    if (*parser->at == '_' && digit_of(parser->at[1]) < base) {
      parser->at++;
    }
  }
  if (digits == 0 || digits == DIGITS_MAX) {
    fail(parser,
         digits == 0 ? "digits are missing here" : "this integer is too large");
    return;
  }
  put_integer(parser, negative, magnitude, size);
}

static void
read_float(struct parser *parser, bool negative)
{
  char *end;
  const double value = strtod(parser->at, &end);
  parser->at = end;
  if (!isfinite(value)) {
    fail(parser, "this float is too large");
    return;
  }
  const double real = negative ? -value : value;
  uint64_t bits;
  memcpy(&bits, &real, sizeof bits);
  put_u8(parser, 70);
  put_u32(parser, (uint32_t)(bits >> 32));
  put_u32(parser, (uint32_t)bits);
}

static void
read_number(struct parser *parser)
{
  const bool negative = *parser->at == '-';
  if (negative || *parser->at == '+') {
    parser->at++;
  }
  if (*parser->at == '$') {
    parser->at++;
    const bool escaped = *parser->at == '\\';
    parser->at += escaped ? 1 : 0;
    const long code = escaped ? escape(parser) : utf8_next(parser);
    uint8_t magnitude[3];
    if (code < 0 || code > 0x10ffff) {
      fail(parser, "this is no character");
      return;
    }
    magnitude[0] = (uint8_t)code;
    magnitude[1] = (uint8_t)(code >> 8);
    magnitude[2] = (uint8_t)(code >> 16);
    put_integer(parser, negative, magnitude, sizeof magnitude);
    return;
  }
  const size_t digits = strspn(parser->at, "0123456789");
  const char after = parser->at[digits];
  if (digits > 0 && after == '#') {
    const long base = strtol(parser->at, NULL, 10);
    parser->at += digits + 1;
    if (digits > 2 || base < 2 || base > 36) {
      fail(parser, "the base of an integer is 2 to 36");
      return;
    }
    read_digits(parser, negative, (int)base);
  } else if (after == '.' && digit_of(parser->at[digits + 1]) < 10) {
    read_float(parser, negative);
  } else {
    read_digits(parser, negative, 10);
  }
}

/*--------------------------------------------------------------------
 * Atoms, strings, binaries */

static void
put_atom(struct parser *parser, const uint8_t *name, size_t size)
{
  if (!holt_etf_is_atom_name(name, size)) {
    fail(parser, "an atom is UTF-8 of at most 255 characters");
    return;
  }
  put_u8(parser, 118);
  put_u8(parser, (unsigned)(size >> 8));
  put_u8(parser, (unsigned)(size & 255));
  put(parser, name, size);
}

static void
read_atom(struct parser *parser)
{
  const char *const begin = parser->at;
  while (digit_of(*parser->at) < 36 || *parser->at == '_' ||
         *parser->at == '@' || (*parser->at & 0x80) != 0) {
    parser->at++;
  }
  put_atom(parser, (const uint8_t *)begin, (size_t)(parser->at - begin));
}

static void
read_quoted_atom(struct parser *parser)
{
  uint8_t name[HOLT_ETF_ATOM_BYTES_MAX + 8];
  size_t size = 0;
  long code;
  parser->at++;
  while ((code = quoted_next(parser, '\'')) >= 0) {
    if (size > HOLT_ETF_ATOM_BYTES_MAX) {
      fail(parser, "an atom has at most 255 characters");
      return;
    }
    size += utf8_put(code, name + size);
  }
  put_atom(parser, name, size);
}

static void
read_string(struct parser *parser)
{
  parser->at++;
  if (*parser->at == '"') {
    parser->at++;
    put_u8(parser, 106);
    return;
  }
  const int count_at = count_begin(parser, 108);
  uint32_t count = 0;
  long code;
  while ((code = quoted_next(parser, '"')) >= 0) {
    put_u8(parser, 98);
    put_u32(parser, (uint32_t)code);
    count++;
  }
  count_end(parser, count_at, count);
  put_u8(parser, 106);
}

/* One "text" or "text"/utf8 within a binary: the characters stay until it is
 * known which. */
static void
read_binary_text(struct parser *parser)
{
  const char *const begin = parser->at++;
  while (quoted_next(parser, '"') >= 0) {
  }
  const bool utf8 = next_is(parser, "/utf8");
  const char *const end = parser->at;
  parser->at = begin + 1;
  long code;
  while (parser->wrong == NULL && (code = quoted_next(parser, '"')) >= 0) {
    uint8_t bytes[4];
    if (!utf8 && code > 255) {
      fail(parser, "write <<\"...\"/utf8>> for characters like this");
    }
    bytes[0] = (uint8_t)code;
    put(parser, bytes, utf8 ? utf8_put(code, bytes) : 1);
  }
  if (parser->wrong == NULL) {
    parser->at = end;
  }
}

/* A byte, or at the end some bits: 5:3.  The bits used of this byte, or 0. */
static unsigned
read_binary_byte(struct parser *parser)
{
  char *end;
  const long value = strtol(parser->at, &end, 10);
  if (end == parser->at || value < 0 || value > 255) {
    fail(parser, "a byte of a binary is 0 to 255");
    return 0;
  }
  parser->at = end;
  long bits = 8;
  if (next_is(parser, ":")) {
    bits = strtol(parser->at, &end, 10);
    if (end == parser->at || bits < 1 || bits > 8 || value >> bits != 0) {
      fail(parser, "the size of the last byte is 1 to 8 bits");
      return 0;
    }
    parser->at = end;
  }
  put_u8(parser, (unsigned)value << (8 - bits));
  return (unsigned)bits;
}

/* Written as a bitstring: size, bits of the last byte, bytes. */
static void
read_binary(struct parser *parser)
{
  const int count_at = count_begin(parser, 77);
  put_u8(parser, 8);
  const int begin = parser->out->index;
  unsigned bits = 8;
  if (!next_is(parser, ">>")) {
    do {
      blanks(parser);
      if (bits != 8) {
        fail(parser, "only the last byte may have fewer bits");
      } else if (*parser->at == '"') {
        read_binary_text(parser);
      } else {
        bits = read_binary_byte(parser);
      }
    } while (parser->wrong == NULL && next_is(parser, ","));
    expect(parser, ">>", "a comma or >> is missing here");
  }
  if (parser->wrong != NULL) {
    return;
  }
  const uint32_t size = (uint32_t)(parser->out->index - begin);
  count_end(parser, count_at, size);
  if (size == 0) {
    /* A bitstring has bytes: make it an empty binary. */
    parser->out->index = count_at - 1;
    put_u8(parser, 109);
    put_u32(parser, 0);
  } else {
    parser->out->buff[begin - 1] = (char)bits;
  }
}

/*--------------------------------------------------------------------
 * Containers */

static uint32_t
read_elements(struct parser *parser)
{
  uint32_t count = 0;
  do {
    read_term(parser);
    count++;
  } while (parser->wrong == NULL && next_is(parser, ","));
  return count;
}

static void
read_tuple(struct parser *parser)
{
  const int count_at = count_begin(parser, 105);
  uint32_t count = 0;
  if (!next_is(parser, "}")) {
    count = read_elements(parser);
    expect(parser, "}", "a comma or } is missing here");
  }
  count_end(parser, count_at, count);
}

static void
read_list(struct parser *parser)
{
  if (next_is(parser, "]")) {
    put_u8(parser, 106);
    return;
  }
  const int count_at = count_begin(parser, 108);
  count_end(parser, count_at, read_elements(parser));
  if (next_is(parser, "|")) {
    read_term(parser);
  } else {
    put_u8(parser, 106);
  }
  expect(parser, "]", "a comma or ] is missing here");
}

static void
read_map(struct parser *parser)
{
  const int count_at = count_begin(parser, 116);
  uint32_t count = 0;
  if (!next_is(parser, "}")) {
    do {
      read_term(parser);
      expect(parser, "=>", "=> is missing here");
      read_term(parser);
      count++;
    } while (parser->wrong == NULL && next_is(parser, ","));
    expect(parser, "}", "a comma or } is missing here");
  }
  count_end(parser, count_at, count);
}

static void
read_container(struct parser *parser)
{
  if (next_is(parser, "<<")) {
    read_binary(parser);
  } else if (next_is(parser, "#{")) {
    read_map(parser);
  } else if (next_is(parser, "{")) {
    read_tuple(parser);
  } else if (next_is(parser, "[")) {
    read_list(parser);
  } else {
    fail(parser, *parser->at == '\0' ? "a term is missing here"
                                     : "no term begins like this");
  }
}

static void
read_term(struct parser *parser)
{
  if (parser->wrong != NULL) {
    return;
  }
  if (parser->depth == SYNTAX_DEPTH_MAX) {
    fail(parser, "nested too deep");
    return;
  }
  parser->depth++;
  blanks(parser);
  const char c = *parser->at;
  if (c == '\'') {
    read_quoted_atom(parser);
  } else if (c == '"') {
    read_string(parser);
  } else if (c == '-' || c == '+' || c == '$' || digit_of(c) < 10) {
    read_number(parser);
  } else if ((c >= 'a' && c <= 'z') || (c & 0x80) != 0) {
    read_atom(parser);
  } else if ((c >= 'A' && c <= 'Z') || c == '_') {
    fail(parser, "this is a variable; an atom like this is written 'Quoted'");
  } else {
    read_container(parser);
  }
  parser->depth--;
}

const char *
syntax_read(const char *text, ei_x_buff *out, const char **at)
{
  struct parser parser = { .at = text, .out = out };
  read_term(&parser);
  if (parser.wrong == NULL) {
    (void)next_is(&parser, ".");
    blanks(&parser);
    if (*parser.at != '\0') {
      fail(&parser, "the term has ended before this");
    }
  }
  *at = parser.at;
  return parser.wrong;
}
