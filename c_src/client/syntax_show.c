/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "syntax.h"

/* Bytes of a big integer that are shown in decimal; a larger one comes as
 * 16#... */
#define DECIMAL_BYTES_MAX 512u

/*--------------------------------------------------------------------
 * Text */

static void
reserve(struct text *text, size_t size)
{
  if (text->capacity - text->size > size) {
    return;
  }
  size_t capacity = text->capacity * 2 + 64;
  if (capacity < text->size + size + 1) {
    capacity = text->size + size + 1;
  }
  char *const bytes = realloc(text->bytes, capacity);
  if (bytes == NULL) {
    fputs("holt: out of memory\n", stderr);
    exit(EXIT_FAILURE);
  }
  text->bytes = bytes;
  text->capacity = capacity;
}

void
text_put(struct text *text, const char *bytes, size_t size)
{
  reserve(text, size);
  if (size > 0) {
    memcpy(text->bytes + text->size, bytes, size);
  }
  text->size += size;
  text->bytes[text->size] = '\0';
}

void
text_puts(struct text *text, const char *string)
{
  text_put(text, string, strlen(string));
}

void
text_deinit(struct text *text)
{
  free(text->bytes);
  *text = (struct text){ .bytes = NULL };
}

/*--------------------------------------------------------------------
 * Characters */

/* A character within quotes; what would steer a terminal is escaped. */
static void
put_quoted(struct text *text, uint8_t byte, char quote)
{
  char escape[8];
  if (byte == (uint8_t)quote || byte == '\\') {
    const char pair[] = { '\\', (char)byte };
    text_put(text, pair, 2);
  } else if (byte == '\n') {
    text_puts(text, "\\n");
  } else if (byte == '\t') {
    text_puts(text, "\\t");
  } else if (byte < 32 || byte == 127) {
    (void)snprintf(escape, sizeof escape, "\\x%02x", (unsigned)byte);
    text_puts(text, escape);
  } else {
    const char c = (char)byte;
    text_put(text, &c, 1);
  }
}

/* Whether bytes are text worth showing as such: UTF-8 without control
 * characters.  *ascii: all of it. */
static bool
is_printable(const uint8_t *bytes, size_t size, bool *ascii)
{
  *ascii = true;
  size_t i = 0;
  while (i < size) {
    const uint8_t byte = bytes[i];
    const unsigned more = byte < 0x80             ? 0
                          : (byte & 0xe0) == 0xc0 ? 1
                          : (byte & 0xf0) == 0xe0 ? 2
                          : (byte & 0xf8) == 0xf0 ? 3
                                                  : 4;
    /* An atom's name may have 255 characters: ask for each by itself. */
    if (more == 4 || i + more >= size ||
        (byte < 32 && byte != '\n' && byte != '\t') || byte == 127 ||
        !holt_etf_is_atom_name(bytes + i, more + 1)) {
      return false;
    }
    /* C1 controls. */
    if (byte == 0xc2 && bytes[i + 1] < 0xa0) {
      return false;
    }
    *ascii = *ascii && more == 0;
    i += more + 1;
  }
  return true;
}

static bool
is_plain_atom(const uint8_t *name, size_t size)
{
  static const char *const reserved[] = {
    "after", "and",     "andalso", "band",  "begin", "bnot", "bor",  "bsl",
    "bsr",   "bxor",    "case",    "catch", "cond",  "div",  "end",  "fun",
    "if",    "let",     "maybe",   "not",   "of",    "or",   "else", "orelse",
    "rem",   "receive", "try",     "when",  "xor"
  };
  for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
    if (strlen(reserved[i]) == size && memcmp(reserved[i], name, size) == 0) {
      return false;
    }
  }
  for (size_t i = 0; i < size; i++) {
    const uint8_t c = name[i];
    const bool lower = c >= 'a' && c <= 'z';
    const bool other =
      (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '@';
    if (!lower && !(i > 0 && other)) {
      return false;
    }
  }
  return size > 0;
}

void
syntax_show_atom(const uint8_t *name, size_t size, struct text *text)
{
  if (is_plain_atom(name, size)) {
    text_put(text, (const char *)name, size);
    return;
  }
  text_puts(text, "'");
  for (size_t i = 0; i < size; i++) {
    put_quoted(text, name[i], '\'');
  }
  text_puts(text, "'");
}

/* The name of an atom token, or of its node, as UTF-8. */
static void
show_name(const uint8_t *name, size_t size, bool latin1, struct text *text)
{
  uint8_t utf8[2 * HOLT_ETF_ATOM_BYTES_MAX];
  if (!latin1 || size > HOLT_ETF_ATOM_BYTES_MAX) {
    syntax_show_atom(name, size, text);
    return;
  }
  size_t used = 0;
  for (size_t i = 0; i < size; i++) {
    if (name[i] < 0x80) {
      utf8[used++] = name[i];
    } else {
      utf8[used++] = (uint8_t)(0xc0 | name[i] >> 6);
      utf8[used++] = (uint8_t)(0x80 | (name[i] & 0x3f));
    }
  }
  syntax_show_atom(utf8, used, text);
}

static void
show_binary(const struct holt_etf_token *token, struct text *text)
{
  bool ascii;
  char number[16];
  const unsigned bits = token->type == HOLT_ETF_BITS ? token->bits : 8;
  if (bits == 8 && token->size > 0 &&
      is_printable(token->bytes, token->size, &ascii)) {
    text_puts(text, "<<\"");
    for (size_t i = 0; i < token->size; i++) {
      put_quoted(text, token->bytes[i], '"');
    }
    text_puts(text, ascii ? "\">>" : "\"/utf8>>");
    return;
  }
  text_puts(text, "<<");
  for (size_t i = 0; i < token->size; i++) {
    const unsigned byte = token->bytes[i];
    const bool part = bits < 8 && i + 1 == token->size;
    (void)snprintf(number, sizeof number, part ? "%s%u:%u" : "%s%u",
                   i > 0 ? "," : "", part ? byte >> (8 - bits) : byte, bits);
    text_puts(text, number);
  }
  text_puts(text, ">>");
}

/*--------------------------------------------------------------------
 * Numbers */

static void
show_float(double value, struct text *text)
{
  char number[40];
  int digits = 15;
  do { /* The shortest form that reads back as the same float. */
    (void)snprintf(number, sizeof number, "%.*g", digits, value);
    digits++;
  } while (digits <= 17 && strtod(number, NULL) != value);
  char *const exponent = strchr(number, 'e');
  if (strchr(number, '.') != NULL) {
    text_puts(text, number);
  } else if (exponent == NULL) {
    text_puts(text, number);
    text_puts(text, ".0");
  } else {
    text_put(text, number, (size_t)(exponent - number));
    text_puts(text, ".0");
    text_puts(text, exponent);
  }
}

static void
show_big(const struct holt_etf_token *token, struct text *text)
{
  text_puts(text, token->negative ? "-" : "");
  char digits[8];
  if (token->size > DECIMAL_BYTES_MAX) {
    text_puts(text, "16#");
    for (size_t i = token->size; i > 0; i--) {
      (void)snprintf(digits, sizeof digits, "%02x",
                     (unsigned)token->bytes[i - 1]);
      text_puts(text, digits);
    }
    return;
  }
  /* Divide by 10 until nothing is left; the digits come last to first. */
  uint8_t rest[DECIMAL_BYTES_MAX];
  char decimal[DECIMAL_BYTES_MAX * 5 / 2];
  size_t at = sizeof decimal;
  size_t size = token->size;
  memcpy(rest, token->bytes, size);
  while (size > 0) {
    unsigned carry = 0;
    for (size_t i = size; i > 0; i--) {
      carry = carry << 8 | rest[i - 1];
      rest[i - 1] = (uint8_t)(carry / 10);
      carry %= 10;
    }
    decimal[--at] = (char)('0' + carry);
    while (size > 0 && rest[size - 1] == 0) {
      size--;
    }
  }
  text_put(text, decimal + at, sizeof decimal - at);
}

/*--------------------------------------------------------------------
 * Containers */

static bool show(struct holt_etf_reader *reader, struct text *text,
                 unsigned depth);

static bool
show_elements(struct holt_etf_reader *reader, struct text *text, uint32_t count,
              unsigned depth)
{
  for (uint32_t i = 0; i < count; i++) {
    text_puts(text, i > 0 ? "," : "");
    if (!show(reader, text, depth)) {
      return false;
    }
  }
  return true;
}

/* A list of printable ASCII is a string. */
static bool
show_string(struct holt_etf_reader *reader, uint32_t arity, struct text *text)
{
  struct holt_etf_reader ahead = *reader;
  struct holt_etf_token token;
  for (uint32_t i = 0; i <= arity; i++) {
    if (holt_etf_next(&ahead, &token) != 0 ||
        (i < arity ? token.type != HOLT_ETF_INTEGER || token.integer < 32 ||
                       token.integer > 126
                   : token.type != HOLT_ETF_NIL)) {
      return false;
    }
  }
  text_puts(text, "\"");
  for (uint32_t i = 0; i < arity; i++) {
    (void)holt_etf_next(reader, &token);
    put_quoted(text, (uint8_t)token.integer, '"');
  }
  text_puts(text, "\"");
  return holt_etf_next(reader, &token) == 0;
}

static bool
show_list(struct holt_etf_reader *reader, uint32_t arity, struct text *text,
          unsigned depth)
{
  if (arity > 0 && show_string(reader, arity, text)) {
    return true;
  }
  text_puts(text, "[");
  if (!show_elements(reader, text, arity, depth)) {
    return false;
  }
  struct holt_etf_reader ahead = *reader;
  struct holt_etf_token tail;
  if (holt_etf_next(&ahead, &tail) != 0) {
    return false;
  }
  if (tail.type == HOLT_ETF_NIL) {
    *reader = ahead;
  } else {
    text_puts(text, "|");
    if (!show(reader, text, depth)) {
      return false;
    }
  }
  text_puts(text, "]");
  return true;
}

static void
show_bytes_as_list(const struct holt_etf_token *token, struct text *text)
{
  bool ascii;
  char number[8];
  if (is_printable(token->bytes, token->size, &ascii) && ascii) {
    text_puts(text, "\"");
    for (size_t i = 0; i < token->size; i++) {
      put_quoted(text, token->bytes[i], '"');
    }
    text_puts(text, "\"");
    return;
  }
  text_puts(text, "[");
  for (size_t i = 0; i < token->size; i++) {
    (void)snprintf(number, sizeof number, "%s%u", i > 0 ? "," : "",
                   (unsigned)token->bytes[i]);
    text_puts(text, number);
  }
  text_puts(text, "]");
}

static bool
show_map(struct holt_etf_reader *reader, uint32_t pairs, struct text *text,
         unsigned depth)
{
  text_puts(text, "#{");
  for (uint32_t i = 0; i < pairs; i++) {
    text_puts(text, i > 0 ? "," : "");
    if (!show(reader, text, depth)) {
      return false;
    }
    text_puts(text, " => ");
    if (!show(reader, text, depth)) {
      return false;
    }
  }
  text_puts(text, "}");
  return true;
}

/* Things that have no syntax: <node.1.2>, as the node itself would number
 * them. */
static void
show_identifier(const struct holt_etf_token *token, struct text *text)
{
  char numbers[80];
  text_puts(text, token->type == HOLT_ETF_PID    ? "<"
                  : token->type == HOLT_ETF_PORT ? "#Port<"
                                                 : "#Ref<");
  show_name(token->node, token->node_size, token->node_latin1, text);
  if (token->type == HOLT_ETF_PID) {
    (void)snprintf(numbers, sizeof numbers, ".%" PRIu64 ".%" PRIu32, token->id,
                   token->serial);
    text_puts(text, numbers);
  } else if (token->type == HOLT_ETF_PORT) {
    (void)snprintf(numbers, sizeof numbers, ".%" PRIu64, token->id);
    text_puts(text, numbers);
  }
  for (unsigned i = token->words_count; i > 0; i--) {
    (void)snprintf(numbers, sizeof numbers, ".%" PRIu32, token->words[i - 1]);
    text_puts(text, numbers);
  }
  text_puts(text, ">");
}

static bool
show_export(const struct holt_etf_token *token, struct text *text)
{
  struct holt_etf_reader parts;
  holt_etf_init(&parts, token->bytes, token->size);
  text_puts(text, "fun ");
  bool ok = show(&parts, text, SYNTAX_DEPTH_MAX - 1);
  text_puts(text, ":");
  ok = ok && show(&parts, text, SYNTAX_DEPTH_MAX - 1);
  text_puts(text, "/");
  return ok && show(&parts, text, SYNTAX_DEPTH_MAX - 1);
}

static bool
show_tuple(struct holt_etf_reader *reader, uint32_t arity, struct text *text,
           unsigned depth)
{
  text_puts(text, "{");
  const bool ok = show_elements(reader, text, arity, depth);
  text_puts(text, "}");
  return ok;
}

static bool
show_simple(const struct holt_etf_token *token, struct text *text)
{
  char number[24];
  switch (token->type) {
  case HOLT_ETF_INTEGER:
    (void)snprintf(number, sizeof number, "%" PRId64, token->integer);
    text_puts(text, number);
    return true;
  case HOLT_ETF_BIG:
    show_big(token, text);
    return true;
  case HOLT_ETF_FLOAT:
    show_float(token->real, text);
    return true;
  case HOLT_ETF_ATOM:
    show_name(token->bytes, token->size, token->latin1, text);
    return true;
  case HOLT_ETF_BINARY:
  case HOLT_ETF_BITS:
    show_binary(token, text);
    return true;
  case HOLT_ETF_STRING:
    show_bytes_as_list(token, text);
    return true;
  case HOLT_ETF_NIL:
    text_puts(text, "[]");
    return true;
  case HOLT_ETF_EXPORT:
    return show_export(token, text);
  case HOLT_ETF_FUN:
    text_puts(text, "#Fun<>");
    return true;
  default:
    show_identifier(token, text);
    return true;
  }
}

static bool
show(struct holt_etf_reader *reader, struct text *text, unsigned depth)
{
  struct holt_etf_token token;
  if (depth == SYNTAX_DEPTH_MAX) {
    text_puts(text, "...");
    return holt_etf_skip(reader) == 0;
  }
  if (holt_etf_next(reader, &token) != 0) {
    return false;
  }
  switch (token.type) {
  case HOLT_ETF_TUPLE:
    return show_tuple(reader, token.arity, text, depth + 1);
  case HOLT_ETF_LIST:
    return show_list(reader, token.arity, text, depth + 1);
  case HOLT_ETF_MAP:
    return show_map(reader, token.arity, text, depth + 1);
  default:
    return show_simple(&token, text);
  }
}

bool
syntax_show(struct holt_etf_reader *reader, struct text *text)
{
  return show(reader, text, 0);
}
