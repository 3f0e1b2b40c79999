/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer, its floats and the check of whole terms.
 *
 * Everything reads through struct holt_reader, whose sticky error makes "reads
 * past the end" impossible to forget: each token's reader looks at the error
 * once, at its end.
 */
#include <holt/etf.h>

#include <string.h>

#include "etf_tag.h"
#include "invariant.h"
#include "varint.h"

/*
 * UTF-8
 */

/* Length in bytes of the character at the start, or 0 if it is none: overlong,
 * a surrogate, beyond U+10FFFF, cut short.  Table 3-7 of the Unicode standard,
 * as ranges of the second byte. */
static size_t
utf8_character(const uint8_t *bytes, size_t size)
{
  const uint8_t lead = bytes[0];
  if (lead < 0x80) {
    return 1;
  }
  if (lead < 0xc2 || lead > 0xf4) {
    return 0;
  }
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (size < length) {
    return 0;
  }
  const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (bytes[1] < low || bytes[1] > high) {
    return 0;
  }
  for (size_t i = 2; i < length; i++) {
    if ((bytes[i] & 0xc0) != 0x80) {
      return 0;
    }
  }
  return length;
}

bool
holt_etf_is_atom_name(const uint8_t *bytes, size_t size)
{
  if (size > HOLT_ETF_ATOM_BYTES_MAX) {
    return false;
  }
  size_t characters = 0;
  for (size_t at = 0; at < size; characters++) {
    const size_t length = utf8_character(bytes + at, size - at);
    if (length == 0) {
      return false;
    }
    at += length;
  }
  return characters <= HOLT_ETF_ATOM_CHARS_MAX;
}

/*
 * Floats as text
 *
 * FLOAT_EXT holds 31 bytes of "%.20e" padded with zeros.  The nearest double is
 * found with exact integer arithmetic: the text is digits * 10^exponent.
 *
 *     10^e = 5^e * 2^e      e >= 0: multiply by 5^e, exactly
 *                           e <  0: shift left far enough to keep 64 bits,
 *                                   divide by 5^-e, remember if a rest was left
 *
 * and the top 53 bits are rounded half to even, the rest counting as "a little
 * more".  31 bytes hold at most 30 digits (100 bits) and exponents that matter
 * lie within +-400, which bounds the number below.
 */

#define FLOAT_TEXT_SIZE 31u

/* 10^308 is a double, 10^309 is not; 10^-330 is nearest to zero. */
#define FLOAT_POWER_MAX 308
#define FLOAT_POWER_MIN (-330)

/* 100 bits of digits, and 2.33 bits per decimal place for 400 of them. */
#define NUMBER_LIMBS 36u

/* 5^13, the largest power of five in 32 bits. */
#define FIVE_STEP 13u
#define FIVE_STEP_POWER 1220703125u

/* limbs[0] is the least; count does not include high zeros. */
struct number {
  uint32_t limbs[NUMBER_LIMBS];
  size_t count;
};

static void
number_multiply(struct number *number, uint32_t factor, uint32_t carry)
{
  uint64_t rest = carry;
  for (size_t i = 0; i < number->count; i++) {
    rest += (uint64_t)number->limbs[i] * factor;
    number->limbs[i] = (uint32_t)rest;
    rest >>= 32;
  }
  if (rest != 0) {
    holt_assert(number->count < NUMBER_LIMBS);
    number->limbs[number->count++] = (uint32_t)rest;
  }
}

/* Returns the remainder. */
static uint32_t
number_divide(struct number *number, uint32_t divisor)
{
  uint64_t rest = 0;
  for (size_t i = number->count; i > 0; i--) {
    rest = rest << 32 | number->limbs[i - 1];
    number->limbs[i - 1] = (uint32_t)(rest / divisor);
    rest %= divisor;
  }
  while (number->count > 0 && number->limbs[number->count - 1] == 0) {
    number->count--;
  }
  return (uint32_t)rest;
}

/* Shift left by whole limbs. */
static void
number_shift(struct number *number, size_t limbs)
{
  holt_assert(number->count + limbs <= NUMBER_LIMBS);

  memmove(number->limbs + limbs, number->limbs,
          number->count * sizeof number->limbs[0]);
  memset(number->limbs, 0, limbs * sizeof number->limbs[0]);
  number->count += limbs;
}

static uint32_t
five_power(unsigned exponent)
{
  uint32_t power = 1;
  while (exponent-- > 0) {
    power *= 5;
  }
  return power;
}

/* Bit number index, counted from the least. */
static unsigned
number_bit(const struct number *number, size_t index)
{
  return number->limbs[index / 32] >> (index % 32) & 1;
}

static size_t
number_bits(const struct number *number)
{
  size_t bits = number->count * 32;
  while (bits > 0 && number_bit(number, bits - 1) == 0) {
    bits--;
  }
  return bits;
}

/* The double nearest to number * 2^exponent, where more says that the true
 * value lies a little above.  False if that is beyond all doubles.  The number
 * is not zero. */
static bool
number_round(const struct number *number, int exponent, bool more, double *real)
{
  const size_t bits = number_bits(number);
  /* Value = 1.xxx * 2^top.  A double keeps 53 bits, fewer below 2^-1022, where
   * its last bit is worth 2^-1074 always. */
  const int top = exponent + (int)bits - 1;
  const int last = top - 52 > -1074 ? top - 52 : -1074;
  const int dropped = last - exponent; /* Bits below the last one kept. */

  uint64_t fraction = 0;
  const size_t from = dropped > 0 ? (size_t)dropped : 0;
  for (size_t i = bits; i > from; i--) {
    fraction = fraction << 1 | number_bit(number, i - 1);
  }
  if (dropped < 0) {
    fraction <<= -dropped;
  } else if (dropped > 0 && (size_t)dropped <= bits) {
    const bool half = number_bit(number, (size_t)dropped - 1) != 0;
    bool rest = more;
    for (size_t i = 0; !rest && i + 1 < (size_t)dropped; i++) {
      rest = number_bit(number, i) != 0;
    }
    if (half && (rest || (fraction & 1) != 0)) {
      fraction++;
    }
  }

  /* Adding, not or-ing, lets a fraction that was rounded up to 2^53 (or to the
   * least normal double) carry into the exponent. */
  const uint64_t word = ((uint64_t)(last + 1074) << 52) + fraction;
  if (word >= UINT64_C(0x7ff0000000000000)) {
    return false;
  }
  memcpy(real, &word, sizeof word);
  return true;
}

/* The parts of a float's text. */
struct decimal {
  bool negative;
  struct number digits; /* Without leading zeros. */
  int magnitude;        /* How many digits those are. */
  int exponent;         /* Value = digits * 10^exponent. */
};

static bool
is_digit(uint8_t byte)
{
  return byte >= '0' && byte <= '9';
}

/* Consume digits into the number; false if there are none. */
static bool
decimal_digits(struct decimal *decimal, struct holt_reader *text, int scale)
{
  const uint8_t *const start = text->at;
  while (text->at < text->end && is_digit(*text->at)) {
    number_multiply(&decimal->digits, 10, (uint32_t)(*text->at++ - '0'));
    decimal->magnitude += decimal->digits.count > 0;
    decimal->exponent -= scale;
  }
  return text->at > start;
}

/* [+-]digits.digits[e[+-]digits] and then nothing but zero bytes. */
static bool
decimal_parse(struct decimal *decimal, const uint8_t *bytes)
{
  struct holt_reader text;
  holt_reader_init(&text, bytes, FLOAT_TEXT_SIZE);
  *decimal = (struct decimal){ .negative = bytes[0] == '-' };
  if (bytes[0] == '-' || bytes[0] == '+') {
    text.at++;
  }
  if (!decimal_digits(decimal, &text, 0) || holt_read_u8(&text) != '.' ||
      !decimal_digits(decimal, &text, 1)) {
    return false;
  }
  if (text.at < text.end && (*text.at == 'e' || *text.at == 'E')) {
    text.at++;
    const bool below = text.at < text.end && *text.at == '-';
    if (text.at < text.end && (*text.at == '-' || *text.at == '+')) {
      text.at++;
    }
    const uint8_t *const start = text.at;
    int exponent = 0;
    while (text.at < text.end && is_digit(*text.at)) {
      exponent = exponent > 9999 ? exponent : exponent * 10 + *text.at - '0';
      text.at++;
    }
    if (text.at == start) {
      return false;
    }
    decimal->exponent += below ? -exponent : exponent;
  }
  while (text.at < text.end) {
    if (*text.at++ != 0) {
      return false;
    }
  }
  return true;
}

/* The least power of ten above the value, or some small one for zero. */
static int
decimal_above(const struct decimal *decimal)
{
  return decimal->digits.count == 0 ? 0
                                    : decimal->exponent + decimal->magnitude;
}

/* A float's text is finite, syntactically right; *real is its value. */
static bool
etf_parse_float(const uint8_t *bytes, double *real)
{
  struct decimal decimal;
  if (!decimal_parse(&decimal, bytes)) {
    return false;
  }
  struct number *const number = &decimal.digits;
  *real = 0.0;
  const int above = decimal_above(&decimal);
  if (above > FLOAT_POWER_MAX + 2) {
    return false;
  }
  if (number->count > 0 && above > FLOAT_POWER_MIN) {
    const bool divide = decimal.exponent < 0;
    unsigned places = (unsigned)(divide ? -decimal.exponent : decimal.exponent);
    int shifted = 0;
    bool more = false;
    if (divide) {
      /* 5^places has fewer than 2.33 * places bits. */
      const size_t limbs = 2 + (places * 7 / 3 + 31) / 32;
      number_shift(number, limbs);
      shifted = (int)limbs * 32;
    }
    for (unsigned step = 0; places > 0; places -= step) {
      step = places < FIVE_STEP ? places : FIVE_STEP;
      const uint32_t power =
        step == FIVE_STEP ? FIVE_STEP_POWER : five_power(step);
      if (divide) {
        more |= number_divide(number, power) != 0;
      } else {
        number_multiply(number, power, 0);
      }
    }
    if (!number_round(number, decimal.exponent - shifted, more, real)) {
      return false;
    }
  }
  if (decimal.negative) {
    *real = -*real;
  }
  return true;
}

/*
 * Tokens
 */

static void
etf_read_atom(struct holt_reader *in, uint8_t tag, const uint8_t **name,
              size_t *size, bool *latin1)
{
  switch (tag) {
  case HOLT_TAG_SMALL_ATOM:
  case HOLT_TAG_SMALL_ATOM_UTF8:
    *size = holt_read_u8(in);
    break;
  case HOLT_TAG_ATOM:
  case HOLT_TAG_ATOM_UTF8:
    *size = holt_read_u16be(in);
    break;
  default:
    holt_read_fail(in, HOLT_ERR_MALFORMED);
    return;
  }
  *latin1 = tag == HOLT_TAG_ATOM || tag == HOLT_TAG_SMALL_ATOM;
  *name = holt_read_bytes(in, *size);
  if (*name == NULL) {
    return;
  }
  if (*latin1 ? *size > HOLT_ETF_ATOM_CHARS_MAX
              : !holt_etf_is_atom_name(*name, *size)) {
    holt_read_fail(in, HOLT_ERR_MALFORMED);
  }
}

static void
etf_read_node(struct holt_reader *in, struct holt_etf_token *token)
{
  const uint8_t tag = holt_read_u8(in);
  etf_read_atom(in, tag, &token->node, &token->node_size, &token->node_latin1);
}

/* Creations have one byte in the old tags and four in the new. */
static void
etf_read_creation(struct holt_reader *in, struct holt_etf_token *token,
                  bool wide)
{
  token->creation = wide ? holt_read_u32be(in) : holt_read_u8(in);
}

static void
etf_read_pid(struct holt_reader *in, struct holt_etf_token *token)
{
  token->type = HOLT_ETF_PID;
  etf_read_node(in, token);
  token->id = holt_read_u32be(in);
  token->serial = holt_read_u32be(in);
  etf_read_creation(in, token, token->tag == HOLT_TAG_NEW_PID);
}

static void
etf_read_port(struct holt_reader *in, struct holt_etf_token *token)
{
  token->type = HOLT_ETF_PORT;
  etf_read_node(in, token);
  token->id =
    token->tag == HOLT_TAG_V4_PORT ? holt_read_u64be(in) : holt_read_u32be(in);
  etf_read_creation(in, token, token->tag != HOLT_TAG_PORT);
}

static void
etf_read_reference(struct holt_reader *in, struct holt_etf_token *token)
{
  token->type = HOLT_ETF_REFERENCE;
  const uint16_t count = holt_read_u16be(in);
  if (count < 1 || count > HOLT_ETF_REFERENCE_WORDS_MAX) {
    holt_read_fail(in, HOLT_ERR_MALFORMED);
    return;
  }
  token->words_count = (uint8_t)count;
  etf_read_node(in, token);
  etf_read_creation(in, token, token->tag == HOLT_TAG_NEWER_REFERENCE);
  for (unsigned i = 0; i < count; i++) {
    token->words[i] = holt_read_u32be(in);
  }
}

/* The integer if the magnitude fits in 63 bits, or is that of INT64_MIN. */
static void
etf_read_big(struct holt_reader *in, struct holt_etf_token *token)
{
  size_t size =
    token->tag == HOLT_TAG_SMALL_BIG ? holt_read_u8(in) : holt_read_u32be(in);
  const uint8_t sign = holt_read_u8(in);
  const uint8_t *const bytes = holt_read_bytes(in, size);
  if (bytes == NULL || sign > 1) {
    holt_read_fail(in, HOLT_ERR_MALFORMED);
    return;
  }
  while (size > 0 && bytes[size - 1] == 0) {
    size--;
  }

  uint64_t magnitude = 0;
  for (size_t i = size < 8 ? size : 8; i > 0; i--) {
    magnitude = magnitude << 8 | bytes[i - 1];
  }
  const uint64_t most = (uint64_t)INT64_MAX + sign;
  if (size <= 8 && magnitude <= most) {
    token->type = HOLT_ETF_INTEGER;
    /* Negated so that INT64_MIN, which has no positive, never overflows. */
    token->integer = sign == 0 || magnitude == 0
                       ? (int64_t)magnitude
                       : -(int64_t)(magnitude - 1) - 1;
    return;
  }
  token->type = HOLT_ETF_BIG;
  token->negative = sign == 1;
  token->bytes = bytes;
  token->size = size;
}

static void
etf_read_float(struct holt_reader *in, struct holt_etf_token *token)
{
  token->type = HOLT_ETF_FLOAT;
  if (token->tag == HOLT_TAG_NEW_FLOAT) {
    const uint64_t word = holt_read_u64be(in);
    if ((word >> 52 & 0x7ff) == 0x7ff) {
      holt_read_fail(in, HOLT_ERR_MALFORMED); /* Infinite or no number. */
    }
    memcpy(&token->real, &word, sizeof word);
    return;
  }
  const uint8_t *const text = holt_read_bytes(in, FLOAT_TEXT_SIZE);
  if (text != NULL && !etf_parse_float(text, &token->real)) {
    holt_read_fail(in, HOLT_ERR_MALFORMED);
  }
}

static void
etf_read_bits(struct holt_reader *in, struct holt_etf_token *token)
{
  token->size = holt_read_u32be(in);
  const uint8_t bits = holt_read_u8(in);
  token->bytes = holt_read_bytes(in, token->size);
  if (bits > 8 || (bits == 0) != (token->size == 0)) {
    holt_read_fail(in, HOLT_ERR_MALFORMED);
    return;
  }
  if (bits == 8 || bits == 0) {
    token->type = HOLT_ETF_BINARY;
  } else {
    token->type = HOLT_ETF_BITS;
    token->bits = bits;
  }
}

/* A container's header; each of its parts takes at least one byte. */
static void
etf_read_container(struct holt_reader *in, struct holt_etf_token *token,
                   enum holt_etf_type type)
{
  token->type = type;
  token->arity =
    token->tag == HOLT_TAG_SMALL_TUPLE ? holt_read_u8(in) : holt_read_u32be(in);
  if (holt_etf_children(token) > holt_read_left(in) ||
      (type == HOLT_ETF_TUPLE && token->arity > HOLT_ETF_TUPLE_ARITY_MAX)) {
    holt_read_fail(in, HOLT_ERR_MALFORMED);
  }
}

/* fun m:f/a is two atoms and a small integer. */
static void
etf_read_export(struct holt_reader *in, struct holt_etf_token *token)
{
  token->type = HOLT_ETF_EXPORT;
  const uint8_t *const start = in->at;
  for (unsigned i = 0; i < 2; i++) {
    const uint8_t *name = NULL;
    size_t size = 0;
    bool latin1 = false;
    const uint8_t tag = holt_read_u8(in);
    etf_read_atom(in, tag, &name, &size, &latin1);
  }
  if (holt_read_u8(in) != HOLT_TAG_SMALL_INTEGER) {
    holt_read_fail(in, HOLT_ERR_MALFORMED);
  }
  (void)holt_read_u8(in);
  token->bytes = start;
  token->size = (size_t)(in->at - start);
}

/* The size of a fun counts the four bytes it is written in. */
static void
etf_read_fun(struct holt_reader *in, struct holt_etf_token *token)
{
  token->type = HOLT_ETF_FUN;
  const uint32_t size = holt_read_u32be(in);
  if (size < 4) {
    holt_read_fail(in, HOLT_ERR_MALFORMED);
    return;
  }
  token->size = size - 4;
  token->bytes = holt_read_bytes(in, token->size);
}

static void
etf_read_string(struct holt_reader *in, struct holt_etf_token *token)
{
  token->size = holt_read_u16be(in);
  token->bytes = holt_read_bytes(in, token->size);
  token->type = token->size == 0 ? HOLT_ETF_NIL : HOLT_ETF_STRING;
}

/* What is left after the tags that have a function of their own. */
static void
etf_read_simple(struct holt_reader *in, struct holt_etf_token *token)
{
  switch (token->tag) {
  case HOLT_TAG_SMALL_INTEGER:
    token->type = HOLT_ETF_INTEGER;
    token->integer = holt_read_u8(in);
    break;
  case HOLT_TAG_INTEGER: {
    const int64_t word = holt_read_u32be(in);
    token->type = HOLT_ETF_INTEGER;
    token->integer = word > INT32_MAX ? word - (INT64_C(1) << 32) : word;
    break;
  }
  case HOLT_TAG_NIL:
    token->type = HOLT_ETF_NIL;
    break;
  case HOLT_TAG_BINARY:
    token->type = HOLT_ETF_BINARY;
    token->size = holt_read_u32be(in);
    token->bytes = holt_read_bytes(in, token->size);
    break;
  default:
    holt_read_fail(in, HOLT_ERR_MALFORMED);
    break;
  }
}

static void
etf_read_token(struct holt_reader *in, struct holt_etf_token *token)
{
  switch (token->tag) {
  case HOLT_TAG_NEW_FLOAT:
  case HOLT_TAG_FLOAT:
    etf_read_float(in, token);
    break;
  case HOLT_TAG_BIT_BINARY:
    etf_read_bits(in, token);
    break;
  case HOLT_TAG_PID:
  case HOLT_TAG_NEW_PID:
    etf_read_pid(in, token);
    break;
  case HOLT_TAG_PORT:
  case HOLT_TAG_NEW_PORT:
  case HOLT_TAG_V4_PORT:
    etf_read_port(in, token);
    break;
  case HOLT_TAG_NEW_REFERENCE:
  case HOLT_TAG_NEWER_REFERENCE:
    etf_read_reference(in, token);
    break;
  case HOLT_TAG_ATOM:
  case HOLT_TAG_SMALL_ATOM:
  case HOLT_TAG_ATOM_UTF8:
  case HOLT_TAG_SMALL_ATOM_UTF8:
    token->type = HOLT_ETF_ATOM;
    etf_read_atom(in, token->tag, &token->bytes, &token->size, &token->latin1);
    break;
  case HOLT_TAG_SMALL_TUPLE:
  case HOLT_TAG_LARGE_TUPLE:
    etf_read_container(in, token, HOLT_ETF_TUPLE);
    break;
  case HOLT_TAG_LIST:
    etf_read_container(in, token, HOLT_ETF_LIST);
    break;
  case HOLT_TAG_MAP:
    etf_read_container(in, token, HOLT_ETF_MAP);
    break;
  case HOLT_TAG_STRING:
    etf_read_string(in, token);
    break;
  case HOLT_TAG_SMALL_BIG:
  case HOLT_TAG_LARGE_BIG:
    etf_read_big(in, token);
    break;
  case HOLT_TAG_FUN:
    etf_read_fun(in, token);
    break;
  case HOLT_TAG_EXPORT:
    etf_read_export(in, token);
    break;
  default:
    etf_read_simple(in, token);
    break;
  }
}

int
holt_etf_next(struct holt_etf_reader *reader, struct holt_etf_token *token)
{
  struct holt_reader in = { .at = reader->at, .end = reader->end };
  *token = (struct holt_etf_token){ .tag = 0 };
  token->tag = holt_read_u8(&in);
  if (in.error == 0) {
    etf_read_token(&in, token);
  }
  if (in.error == 0) {
    holt_assert(in.at > reader->at);
    reader->at = in.at;
  }
  return in.error;
}

/*
 * Whole terms
 */

/* What is still to come outside of the fun being read. */
struct fun_frame {
  const uint8_t *end; /* Of the bytes around the fun. */
  uint64_t due;       /* Terms after the fun. */
};

/* The bytes of a fun: arity, MD5, index, number of free variables; as terms
 * its module, old index, old uniq and creator; then the free variables.  Reads
 * all but these and says how many there are. */
static int
fun_enter(struct holt_etf_reader *reader, const struct holt_etf_token *fun,
          uint64_t *due)
{
  struct holt_reader in;
  holt_reader_init(&in, fun->bytes, fun->size);
  (void)holt_read_bytes(&in, 1 + 16 + 4);
  *due = holt_read_u32be(&in);
  if (in.error != 0) {
    return in.error;
  }
  reader->at = in.at;
  reader->end = in.end;

  static const enum holt_etf_type head[] = { HOLT_ETF_ATOM, HOLT_ETF_INTEGER,
                                             HOLT_ETF_INTEGER, HOLT_ETF_PID };
  for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
    struct holt_etf_token token;
    const int rv = holt_etf_next(reader, &token);
    if (rv != 0) {
      return rv;
    }
    if (token.type != head[i]) {
      return HOLT_ERR_MALFORMED;
    }
  }
  return 0;
}

/* holt_etf_next() without the value of a float's text, which would cost more
 * than all the rest of the term.  Only next to the greatest double it takes the
 * value to say whether it is finite. */
static int
skip_token(struct holt_etf_reader *reader, struct holt_etf_token *token)
{
  const size_t left = (size_t)(reader->end - reader->at);
  if (left <= FLOAT_TEXT_SIZE || *reader->at != HOLT_TAG_FLOAT) {
    return holt_etf_next(reader, token);
  }
  struct decimal decimal;
  if (!decimal_parse(&decimal, reader->at + 1)) {
    return HOLT_ERR_MALFORMED;
  }
  if (decimal_above(&decimal) > FLOAT_POWER_MAX) {
    return holt_etf_next(reader, token);
  }
  *token = (struct holt_etf_token){
    .type = HOLT_ETF_FLOAT,
    .tag = HOLT_TAG_FLOAT,
  };
  reader->at += 1 + FLOAT_TEXT_SIZE;
  return 0;
}

int
holt_etf_skip(struct holt_etf_reader *reader)
{
  struct fun_frame frames[HOLT_ETF_FUN_DEPTH_MAX];
  size_t depth = 0;
  struct holt_etf_reader in = *reader;

  for (uint64_t due = 1; due > 0;) {
    struct holt_etf_token token;
    int rv = skip_token(&in, &token);
    if (rv != 0) {
      return rv;
    }
    due += holt_etf_children(&token);
    due--;
    if (token.type == HOLT_ETF_FUN) {
      if (depth == HOLT_ETF_FUN_DEPTH_MAX) {
        return HOLT_ERR_TOO_DEEP;
      }
      frames[depth++] = (struct fun_frame){ .end = in.end, .due = due };
      rv = fun_enter(&in, &token, &due);
      if (rv != 0) {
        return rv;
      }
    }
    /* A fun ends where it said it would, and each term still due has a byte:
     * the second bounds the work by the bytes, and keeps due from
     * overflowing. */
    while (due == 0 && depth > 0) {
      if (in.at != in.end) {
        return HOLT_ERR_MALFORMED;
      }
      depth--;
      in.end = frames[depth].end;
      due = frames[depth].due;
    }
    if (due > (size_t)(in.end - in.at)) {
      return HOLT_ERR_MALFORMED;
    }
  }
  reader->at = in.at;
  return 0;
}

int
holt_etf_check(const uint8_t *bytes, size_t size)
{
  struct holt_etf_reader reader;
  holt_etf_init(&reader, bytes, size);
  const int rv = holt_etf_skip(&reader);
  if (rv != 0) {
    return rv;
  }
  return reader.at == reader.end ? 0 : HOLT_ERR_MALFORMED;
}
