/* SPDX-License-Identifier: Apache-2.0 */
/* The one form of each value in a key: how long is it there?
 *
 * The builder (key.c) writes these forms and the check (key_check.c) recognises
 * them, so what both must know alike stands here.
 */
#ifndef HOLT_CORE_KEY_FORM_H
#define HOLT_CORE_KEY_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <holt/etf.h>

#include "etf_tag.h"

/* Size of tag and length before what follows. */
enum {
  HEAD_BINARY = 5,
  HEAD_BITS = 6,
  HEAD_LIST = 5,
  HEAD_MAP = 5
};

/* Characters from 128 on take two bytes in UTF-8. */
static inline size_t
holt__atom_utf8_size(const uint8_t *name, size_t size, bool latin1)
{
  size_t utf8_size = size;
  for (size_t i = 0; latin1 && i < size; i++) {
    utf8_size += name[i] >> 7;
  }
  return utf8_size;
}

/* Bytes that an atom's tag, length and name take. */
static inline size_t
holt__atom_size(const uint8_t *name, size_t size, bool latin1)
{
  const size_t utf8_size = holt__atom_utf8_size(name, size, latin1);
  return utf8_size + (utf8_size > UINT8_MAX ? 3 : 2);
}

/* Bytes of the magnitude without high zeros. */
static inline size_t
holt__magnitude_size(uint64_t magnitude)
{
  size_t size = 0;
  for (; magnitude > 0; magnitude >>= 8) {
    size++;
  }
  return size;
}

static inline uint64_t
holt__magnitude_of(int64_t value)
{
  return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* References are equal when they differ in zero words at the end only.  The
 * BEAM makes them of three words, or of five if they stand for a process, so
 * these are the lengths kept. */
static inline size_t
holt__reference_words(const struct holt_etf_token *token)
{
  return token->words[3] == 0 && token->words[4] == 0 ? 3 : 5;
}

/* Whether these canonical bytes are a binary that begins so. */
static inline bool
holt_key_begins(const uint8_t *key, size_t key_size, const uint8_t *prefix,
                size_t prefix_size)
{
  return key_size >= HEAD_BINARY && key[0] == HOLT_TAG_BINARY &&
         key_size - HEAD_BINARY >= prefix_size &&
         (prefix_size == 0 ||
          memcmp(key + HEAD_BINARY, prefix, prefix_size) == 0);
}

#endif /* HOLT_CORE_KEY_FORM_H */
