/* SPDX-License-Identifier: Apache-2.0 */
/* The check of finished keys: is this the one form of a term?
 *
 * Each token must have the tag and the size that the builder would have given
 * its value, the keys of a map must ascend, and a list must not have a list as
 * its tail.  Nothing is written and nothing is allocated.
 */
#include <holt/key.h>

#include <stdbool.h>
#include <string.h>

#include <holt/etf.h>

#include "etf_tag.h"
#include "invariant.h"
#include "key_form.h"

/* A container of which values are still due. */
struct check_frame {
  enum holt_etf_type type;
  uint64_t left;           /* Values due, a list's tail among them. */
  const uint8_t *last;     /* A map's greatest key so far, or NULL. */
  const uint8_t *last_end; /* Where it ends. */
  const uint8_t *start;    /* Where the key being read starts. */
};

/* The tag that a token's value has in a key, and the bytes the token takes
 * there; 0 for what has no place in a key. */
static size_t
canonical_shape(const struct holt_etf_token *token, unsigned *tag)
{
  switch (token->type) {
  case HOLT_ETF_INTEGER:
    if (token->integer >= 0 && token->integer <= UINT8_MAX) {
      *tag = HOLT_TAG_SMALL_INTEGER;
      return 2;
    }
    if (token->integer >= INT32_MIN && token->integer <= INT32_MAX) {
      *tag = HOLT_TAG_INTEGER;
      return 5;
    }
    *tag = HOLT_TAG_SMALL_BIG;
    return 3 + holt__magnitude_size(holt__magnitude_of(token->integer));
  case HOLT_ETF_BIG:
    *tag = token->size <= UINT8_MAX ? HOLT_TAG_SMALL_BIG : HOLT_TAG_LARGE_BIG;
    return (token->size <= UINT8_MAX ? 3 : 6) + token->size;
  case HOLT_ETF_FLOAT:
    *tag = HOLT_TAG_NEW_FLOAT;
    return 9;
  case HOLT_ETF_ATOM:
    *tag =
      token->size <= UINT8_MAX ? HOLT_TAG_SMALL_ATOM_UTF8 : HOLT_TAG_ATOM_UTF8;
    return holt__atom_size(token->bytes, token->size, false);
  case HOLT_ETF_BINARY:
    *tag = HOLT_TAG_BINARY;
    return HEAD_BINARY + token->size;
  case HOLT_ETF_BITS:
    *tag = HOLT_TAG_BIT_BINARY;
    return HEAD_BITS + token->size;
  case HOLT_ETF_NIL:
    *tag = HOLT_TAG_NIL;
    return 1;
  case HOLT_ETF_LIST:
    *tag = HOLT_TAG_LIST;
    return token->arity == 0 ? 0 : HEAD_LIST;
  case HOLT_ETF_TUPLE:
    *tag =
      token->arity <= UINT8_MAX ? HOLT_TAG_SMALL_TUPLE : HOLT_TAG_LARGE_TUPLE;
    return token->arity <= UINT8_MAX ? 2 : 5;
  case HOLT_ETF_MAP:
    *tag = HOLT_TAG_MAP;
    return HEAD_MAP;
  case HOLT_ETF_PID:
    *tag = HOLT_TAG_NEW_PID;
    return 13 +
           holt__atom_size(token->node, token->node_size, token->node_latin1);
  case HOLT_ETF_PORT:
    *tag = HOLT_TAG_V4_PORT;
    return 13 +
           holt__atom_size(token->node, token->node_size, token->node_latin1);
  case HOLT_ETF_REFERENCE:
    *tag = HOLT_TAG_NEWER_REFERENCE;
    return 7 + 4 * holt__reference_words(token) +
           holt__atom_size(token->node, token->node_size, token->node_latin1);
  default:
    return 0;
  }
}

/* Is this token, which took size bytes, in its one form? */
static int
check_token(const struct holt_etf_token *token, size_t size)
{
  if (token->type == HOLT_ETF_FUN || token->type == HOLT_ETF_EXPORT) {
    return HOLT_ERR_UNSUPPORTED;
  }
  unsigned tag = 0;
  if (canonical_shape(token, &tag) != size || tag != token->tag ||
      token->node_latin1) {
    return HOLT_ERR_MALFORMED;
  }
  if (token->type == HOLT_ETF_BITS &&
      (uint8_t)(token->bytes[token->size - 1] << token->bits) != 0) {
    return HOLT_ERR_MALFORMED;
  }
  return 0;
}

/* A value begins at start: is it in a place where it may be? */
static int
check_begin(struct check_frame *frame, const struct holt_etf_token *token,
            const uint8_t *start)
{
  if (frame->type == HOLT_ETF_LIST && frame->left == 1 &&
      token->type == HOLT_ETF_LIST) {
    return HOLT_ERR_MALFORMED; /* It should have gone on instead. */
  }
  frame->start = start;
  return 0;
}

/* A value of this frame is complete, the next one begins at end. */
static int
check_end(struct check_frame *frame, const uint8_t *end)
{
  holt_assert(frame->left > 0);

  frame->left--;
  if (frame->type == HOLT_ETF_MAP && frame->left % 2 == 1) {
    if (frame->last != NULL) {
      const size_t last_size = (size_t)(frame->last_end - frame->last);
      const size_t size = (size_t)(end - frame->start);
      if (memcmp(frame->last, frame->start,
                 last_size < size ? last_size : size) >= 0) {
        return HOLT_ERR_MALFORMED;
      }
    }
    frame->last = frame->start;
    frame->last_end = end;
  }
  return 0;
}

/* Bytes of a plain value: an integer, an atom of ASCII, a binary.  0: it is not
 * plain, or not in its one form. */
static size_t
plain_size(const uint8_t *at, size_t left)
{
  if (left < 2) {
    return 0;
  }
  size_t size = 2;
  switch (at[0]) {
  case HOLT_TAG_SMALL_INTEGER:
    return size;
  case HOLT_TAG_INTEGER:
    /* Those of one byte have a tag of their own. */
    return left >= 5 && (at[1] | at[2] | at[3]) != 0 ? 5 : 0;
  case HOLT_TAG_SMALL_ATOM_UTF8:
    size += at[1];
    if (size > left) {
      return 0;
    }
    for (size_t i = 2; i < size; i++) {
      if (at[i] >= 0x80) {
        return 0;
      }
    }
    return size;
  case HOLT_TAG_BINARY:
    if (left < HEAD_BINARY) {
      return 0;
    }
    size =
      (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
    return size <= left - HEAD_BINARY ? HEAD_BINARY + size : 0;
  default:
    return 0;
  }
}

/* Most keys are a plain value or a tuple of some: read in one go.  False says
 * nothing about the key. */
static bool
is_plain(const uint8_t *bytes, size_t size)
{
  size_t at = 0;
  size_t values = 1;
  if (size >= 2 && bytes[0] == HOLT_TAG_SMALL_TUPLE) {
    at = 2;
    values = bytes[1];
  }
  for (; values > 0; values--) {
    const size_t value_size = plain_size(bytes + at, size - at);
    if (value_size == 0) {
      return false;
    }
    at += value_size;
  }
  return at == size;
}

int
holt_key_check(const uint8_t *bytes, size_t size)
{
  if (is_plain(bytes, size)) {
    return 0;
  }
  struct check_frame frames[HOLT_KEY_DEPTH_MAX];
  size_t depth = 0;
  struct holt_etf_reader reader;
  holt_etf_init(&reader, bytes, size);

  do {
    struct holt_etf_token token;
    const uint8_t *const start = reader.at;
    int rv = holt_etf_next(&reader, &token);
    if (rv == 0) {
      rv = check_token(&token, (size_t)(reader.at - start));
    }
    if (rv == 0 && depth > 0) {
      rv = check_begin(&frames[depth - 1], &token, start);
    }
    if (rv != 0) {
      return rv;
    }
    const uint64_t children = holt_etf_children(&token);
    if (children > 0) {
      if (depth == HOLT_KEY_DEPTH_MAX) {
        return HOLT_ERR_TOO_DEEP;
      }
      frames[depth++] = (struct check_frame){
        .type = token.type,
        .left = children,
      };
      continue;
    }
    /* A value is complete, and with it maybe what it is in, and so on. */
    while (rv == 0 && depth > 0) {
      rv = check_end(&frames[depth - 1], reader.at);
      if (frames[depth - 1].left > 0) {
        break;
      }
      depth--;
    }
    if (rv != 0) {
      return rv;
    }
  } while (depth > 0);
  return reader.at == reader.end ? 0 : HOLT_ERR_MALFORMED;
}
