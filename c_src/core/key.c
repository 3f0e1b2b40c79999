/* SPDX-License-Identifier: Apache-2.0 */
/* The builder of keys.
 *
 * Every value, scalar or container, begins with key_begin() and, once its last
 * byte is written, ends with key_end().  Containers stay open in between as a
 * frame.  Ending a value may end the containers that waited for it:
 *
 *     push 2 ->  {1, {x, 2       {1, {x, 2}       {1, {x, 2}}
 *     frames       T  T            T              (none: complete)
 *
 * A list is one frame that goes through states:
 *
 *     holt_key_list() ----> OPEN ----holt_key_tail()---> TAIL --value--> done
 *     LIST from ETF ----> COUNTED ----last element-----> TAIL
 *                         ^------ a list as the tail ------|
 *
 * so a list whose tail is a list is written as the one list it is.  Its count
 * is written when it is done.
 *
 * A map's pairs are written as they come.  When it is complete their places,
 * noted on the way, are sorted, and the bytes are copied in that order to the
 * free end of the buffer and back.  Canonical values are self-delimiting: none
 * is a prefix of another, so memcmp over the shorter length decides.
 */
#include <holt/key.h>

#include <string.h>

#include <holt/etf.h>

#include "etf_tag.h"
#include "invariant.h"
#include "key_form.h"

enum key_frame_kind {
  FRAME_TUPLE,   /* left values are due. */
  FRAME_MAP,     /* left keys and values are due; a key if that is even. */
  FRAME_OPEN,    /* A list, elements until holt_key_tail(). */
  FRAME_COUNTED, /* A list, left elements are due, at least one. */
  FRAME_TAIL     /* A list, its tail is due. */
};

/*
 * Memory
 */

void
holt_key_init(struct holt_key *key, struct holt_mem *mem, size_t bytes_max)
{
  key->mem = mem;
  key->bytes = key->inline_bytes;
  key->capacity = sizeof key->inline_bytes;
  key->pairs = key->inline_pairs;
  key->pairs_capacity = sizeof key->inline_pairs / sizeof key->inline_pairs[0];
  key->bytes_max = bytes_max == 0 ? HOLT_KEY_BYTES_MAX : bytes_max;
  if (key->bytes_max > HOLT_KEY_BYTES_LIMIT) {
    key->bytes_max = HOLT_KEY_BYTES_LIMIT;
  }
  holt_key_reset(key);
}

void
holt_key_deinit(struct holt_key *key)
{
  if (key->bytes != key->inline_bytes) {
    holt_mem_free(key->mem, key->bytes, key->capacity);
  }
  if (key->pairs != key->inline_pairs) {
    holt_mem_free(key->mem, key->pairs,
                  key->pairs_capacity * sizeof *key->pairs);
  }
  holt_key_init(key, key->mem, key->bytes_max);
}

void
holt_key_reset(struct holt_key *key)
{
  key->size = 0;
  key->pairs_count = 0;
  key->depth = 0;
  key->error = 0;
  key->complete = false;
}

static int
key_fail(struct holt_key *key, int error)
{
  holt_assert(error < 0);

  if (key->error == 0) {
    key->error = error;
  }
  return key->error;
}

/* A block of new_size bytes with the content of the old one, which may be
 * inline_block and is then left alone.  NULL changes nothing. */
static void *
key_resize(struct holt_key *key, void *block, const void *inline_block,
           size_t old_size, size_t new_size)
{
  if (block != inline_block) {
    return holt_mem_resize(key->mem, block, old_size, new_size);
  }
  void *const moved = holt_mem_alloc(key->mem, new_size);
  if (moved != NULL) {
    memcpy(moved, block, old_size);
  }
  return moved;
}

/* Room for this many bytes in all.  Never more than two keys are asked for: the
 * key, and a copy of a map in it while that is sorted. */
static int
key_reserve(struct holt_key *key, size_t capacity_min)
{
  if (capacity_min <= key->capacity) {
    return 0;
  }
  const size_t capacity_max = 2 * key->bytes_max;
  holt_assert(capacity_min <= capacity_max);
  size_t capacity = 2 * key->capacity;
  if (capacity < capacity_min) {
    capacity = capacity_min;
  }
  if (capacity > capacity_max) {
    capacity = capacity_max;
  }

  void *const bytes =
    key_resize(key, key->bytes, key->inline_bytes, key->capacity, capacity);
  if (bytes == NULL) {
    return key_fail(key, HOLT_ERR_NOMEM);
  }
  key->bytes = bytes;
  key->capacity = capacity;
  return 0;
}

/* Note that a pair of a map starts here. */
static int
key_add_pair(struct holt_key *key)
{
  if (key->pairs_count == key->pairs_capacity) {
    const size_t capacity = 2 * key->pairs_capacity;
    void *const pairs = key_resize(key, key->pairs, key->inline_pairs,
                                   key->pairs_capacity * sizeof *key->pairs,
                                   capacity * sizeof *key->pairs);
    if (pairs == NULL) {
      return key_fail(key, HOLT_ERR_NOMEM);
    }
    key->pairs = pairs;
    key->pairs_capacity = capacity;
  }
  key->pairs[key->pairs_count++].key = (uint32_t)key->size;
  return 0;
}

/*
 * Writing, into room that key_begin() has made
 */

static void
key_write(struct holt_key *key, const void *bytes, size_t size)
{
  holt_assert(size <= key->capacity - key->size);

  if (size > 0) {
    memcpy(key->bytes + key->size, bytes, size);
    key->size += size;
  }
}

/* A big-endian number of size (1..8) bytes. */
static void
key_write_be(struct holt_key *key, uint64_t value, size_t size)
{
  uint8_t bytes[8];
  for (size_t i = size; i > 0; i--) {
    bytes[i - 1] = (uint8_t)value;
    value >>= 8;
  }
  key_write(key, bytes, size);
}

static void
key_write_u8(struct holt_key *key, unsigned value)
{
  key_write_be(key, value, 1);
}

static void
key_write_atom(struct holt_key *key, const uint8_t *name, size_t size,
               bool latin1)
{
  const size_t utf8_size = holt__atom_utf8_size(name, size, latin1);
  if (utf8_size > UINT8_MAX) {
    key_write_u8(key, HOLT_TAG_ATOM_UTF8);
    key_write_be(key, utf8_size, 2);
  } else {
    key_write_u8(key, HOLT_TAG_SMALL_ATOM_UTF8);
    key_write_u8(key, (unsigned)utf8_size);
  }
  if (!latin1) {
    key_write(key, name, size);
    return;
  }
  for (size_t i = 0; i < size; i++) {
    if (name[i] < 0x80) {
      key_write_u8(key, name[i]);
    } else {
      key_write_u8(key, 0xc0u | name[i] >> 6);
      key_write_u8(key, 0x80u | (name[i] & 0x3fu));
    }
  }
}

/*
 * Sorting maps
 */

/* memcmp order of the keys of two pairs; 0 only if they are the same key. */
static int
pair_compare(const struct holt_key *key, const struct holt_key_pair *left,
             const struct holt_key_pair *right)
{
  const size_t left_size = left->value - left->key;
  const size_t right_size = right->value - right->key;
  const int order = memcmp(key->bytes + left->key, key->bytes + right->key,
                           left_size < right_size ? left_size : right_size);
  holt_assert(order != 0 || left_size == right_size);
  return order;
}

/* Let the pair at index sink to its place in the heap of the first count. */
static void
pairs_sift(const struct holt_key *key, struct holt_key_pair *pairs,
           size_t index, size_t count)
{
  const struct holt_key_pair pair = pairs[index];
  for (size_t child = 2 * index + 1; child < count; child = 2 * index + 1) {
    if (child + 1 < count &&
        pair_compare(key, &pairs[child], &pairs[child + 1]) < 0) {
      child++;
    }
    if (pair_compare(key, &pair, &pairs[child]) >= 0) {
      break;
    }
    pairs[index] = pairs[child];
    index = child;
  }
  pairs[index] = pair;
}

/* Heap sort: no input makes it slow, and it needs neither stack nor memory. */
static void
pairs_sort(const struct holt_key *key, struct holt_key_pair *pairs,
           size_t count)
{
  for (size_t i = count / 2; i > 0; i--) {
    pairs_sift(key, pairs, i - 1, count);
  }
  for (size_t i = count; i > 1; i--) {
    const struct holt_key_pair greatest = pairs[0];
    pairs[0] = pairs[i - 1];
    pairs[i - 1] = greatest;
    pairs_sift(key, pairs, 0, i - 1);
  }
}

/* The order of the first neighbours that do not ascend strictly: < 0 if all do,
 * 0 for a key that is there twice. */
static int
pairs_order(const struct holt_key *key, const struct holt_key_pair *pairs,
            size_t count)
{
  int order = -1;
  for (size_t i = 1; order < 0 && i < count; i++) {
    order = pair_compare(key, &pairs[i - 1], &pairs[i]);
  }
  return order;
}

/* All pairs of the map in this frame are written: bring them into order. */
static int
key_sort_map(struct holt_key *key, const struct holt_key_frame *frame)
{
  struct holt_key_pair *const pairs = key->pairs + frame->count;
  const size_t count = key->pairs_count - frame->count;
  holt_assert(count > 0);

  int order = pairs_order(key, pairs, count);
  if (order > 0) {
    for (size_t i = 0; i < count; i++) {
      pairs[i].end = i + 1 < count ? pairs[i + 1].key : (uint32_t)key->size;
    }
    const size_t start = frame->start + HEAD_MAP;
    const size_t size = key->size - start;
    const int rv = key_reserve(key, key->size + size);
    if (rv != 0) {
      return rv;
    }
    pairs_sort(key, pairs, count);
    order = pairs_order(key, pairs, count);
    uint8_t *at = key->bytes + key->size;
    for (size_t i = 0; i < count; i++) {
      const size_t pair_size = pairs[i].end - pairs[i].key;
      memcpy(at, key->bytes + pairs[i].key, pair_size);
      at += pair_size;
    }
    holt_assert(at == key->bytes + key->size + size);
    memcpy(key->bytes + start, key->bytes + key->size, size);
  }
  key->pairs_count = frame->count;
  return order < 0 ? 0 : key_fail(key, HOLT_ERR_MALFORMED);
}

/*
 * Values
 */

/* A value of head + body bytes, if not more, starts here: make room and count
 * it. */
static int
key_begin(struct holt_key *key, size_t head, size_t body)
{
  if (key->error != 0) {
    return key->error;
  }
  if (key->complete) {
    return key_fail(key, HOLT_ERR_MALFORMED);
  }
  const size_t left = key->bytes_max - key->size;
  if (head > left || body > left - head) {
    return key_fail(key, HOLT_ERR_TOO_LARGE);
  }
  const int rv = key_reserve(key, key->size + head + body);
  if (rv != 0 || key->depth == 0) {
    return rv;
  }

  struct holt_key_frame *const frame = &key->frames[key->depth - 1];
  switch (frame->kind) {
  case FRAME_MAP:
    if (frame->left % 2 == 0) {
      return key_add_pair(key);
    }
    key->pairs[key->pairs_count - 1].value = (uint32_t)key->size;
    return 0;
  case FRAME_OPEN:
  case FRAME_COUNTED:
    frame->count++;
    return 0;
  default:
    return 0;
  }
}

/* The list in this frame has its tail: write the count after its tag. */
static void
key_end_list(struct holt_key *key, const struct holt_key_frame *frame)
{
  uint8_t *const count = key->bytes + frame->start + 1;
  count[0] = (uint8_t)(frame->count >> 24);
  count[1] = (uint8_t)(frame->count >> 16);
  count[2] = (uint8_t)(frame->count >> 8);
  count[3] = (uint8_t)frame->count;
}

/* The value begun last is written, and maybe it was the last one of what it is
 * in, and so on. */
static int
key_end(struct holt_key *key)
{
  while (key->depth > 0) {
    struct holt_key_frame *const frame = &key->frames[key->depth - 1];
    switch (frame->kind) {
    case FRAME_OPEN:
      return 0;
    case FRAME_COUNTED:
      if (--frame->left == 0) {
        frame->kind = FRAME_TAIL;
      }
      return 0;
    case FRAME_TAIL:
      key_end_list(key, frame);
      break;
    default:
      holt_assert(frame->left > 0);
      if (--frame->left > 0) {
        return 0;
      }
      if (frame->kind == FRAME_MAP) {
        const int rv = key_sort_map(key, frame);
        if (rv != 0) {
          return rv;
        }
      }
      break;
    }
    key->depth--;
  }
  key->complete = true;
  return 0;
}

/* A container's head is written, from start on: its values come next. */
static int
key_open(struct holt_key *key, enum key_frame_kind kind, size_t start,
         size_t left)
{
  if (kind != FRAME_OPEN && left == 0) {
    return key_end(key);
  }
  if (key->depth == HOLT_KEY_DEPTH_MAX) {
    return key_fail(key, HOLT_ERR_TOO_DEEP);
  }
  key->frames[key->depth++] = (struct holt_key_frame){
    .start = (uint32_t)start,
    .left = (uint32_t)left,
    .count = kind == FRAME_MAP ? (uint32_t)key->pairs_count : 0,
    .kind = kind,
  };
  return 0;
}

/* An integer beyond 32 bits, of minimal magnitude. */
static int
key_put_big(struct holt_key *key, bool negative, const uint8_t *magnitude,
            size_t size)
{
  const bool small = size <= UINT8_MAX;
  const int rv = key_begin(key, small ? 3 : 6, size);
  if (rv != 0) {
    return rv;
  }
  key_write_u8(key, small ? HOLT_TAG_SMALL_BIG : HOLT_TAG_LARGE_BIG);
  key_write_be(key, size, small ? 1 : 4);
  key_write_u8(key, negative ? 1 : 0);
  key_write(key, magnitude, size);
  return key_end(key);
}

int
holt_key_int(struct holt_key *key, int64_t value)
{
  if (value < INT32_MIN || value > INT32_MAX) {
    uint8_t bytes[8];
    const uint64_t magnitude = holt__magnitude_of(value);
    for (size_t i = 0; i < sizeof bytes; i++) {
      bytes[i] = (uint8_t)(magnitude >> (8 * i));
    }
    return key_put_big(key, value < 0, bytes, holt__magnitude_size(magnitude));
  }
  const bool small = value >= 0 && value <= UINT8_MAX;
  const size_t size = small ? 1 : 4;
  const int rv = key_begin(key, 1, size);
  if (rv != 0) {
    return rv;
  }
  key_write_u8(key, small ? HOLT_TAG_SMALL_INTEGER : HOLT_TAG_INTEGER);
  key_write_be(key, (uint64_t)value, size);
  return key_end(key);
}

int
holt_key_big(struct holt_key *key, bool negative, const uint8_t *magnitude,
             size_t size)
{
  /* The caller's memory is the bound here: high zeros cost one look each. */
  while (size > 0 && magnitude[size - 1] == 0) {
    size--;
  }
  if (size > 8) {
    return key_put_big(key, negative, magnitude, size);
  }
  uint64_t value = 0;
  for (size_t i = size; i > 0; i--) {
    value = value << 8 | magnitude[i - 1];
  }
  if (value > (uint64_t)INT32_MAX + 1) {
    return key_put_big(key, negative, magnitude, size);
  }
  return holt_key_int(key, negative ? -(int64_t)value : (int64_t)value);
}

int
holt_key_float(struct holt_key *key, double value)
{
  uint64_t word = 0;
  memcpy(&word, &value, sizeof word);
  if (key->error == 0 && (word >> 52 & 0x7ff) == 0x7ff) {
    return key_fail(key, HOLT_ERR_MALFORMED); /* Infinite or no number. */
  }
  const int rv = key_begin(key, 1, 8);
  if (rv != 0) {
    return rv;
  }
  key_write_u8(key, HOLT_TAG_NEW_FLOAT);
  key_write_be(key, word, 8);
  return key_end(key);
}

/* The name has been checked. */
static int
key_put_atom(struct holt_key *key, const uint8_t *name, size_t size,
             bool latin1)
{
  const int rv = key_begin(key, 0, holt__atom_size(name, size, latin1));
  if (rv != 0) {
    return rv;
  }
  key_write_atom(key, name, size, latin1);
  return key_end(key);
}

int
holt_key_atom(struct holt_key *key, const void *name, size_t size)
{
  if (key->error == 0 && !holt_etf_is_atom_name(name, size)) {
    return key_fail(key, HOLT_ERR_MALFORMED);
  }
  return key_put_atom(key, name, size, false);
}

int
holt_key_atom_latin1(struct holt_key *key, const void *name, size_t size)
{
  if (key->error != 0) {
    return key->error;
  }
  if (size > HOLT_ETF_ATOM_CHARS_MAX) {
    return key_fail(key, HOLT_ERR_MALFORMED);
  }
  return key_put_atom(key, name, size, true);
}

int
holt_key_binary(struct holt_key *key, const void *bytes, size_t size)
{
  const int rv = key_begin(key, HEAD_BINARY, size);
  if (rv != 0) {
    return rv;
  }
  key_write_u8(key, HOLT_TAG_BINARY);
  key_write_be(key, size, 4);
  key_write(key, bytes, size);
  return key_end(key);
}

int
holt_key_bits(struct holt_key *key, const void *bytes, size_t size,
              unsigned last_bits)
{
  if (key->error == 0 && size > 0 && (last_bits < 1 || last_bits > 8)) {
    return key_fail(key, HOLT_ERR_MALFORMED);
  }
  if (size == 0 || last_bits == 8) {
    return holt_key_binary(key, bytes, size);
  }
  const int rv = key_begin(key, HEAD_BITS, size);
  if (rv != 0) {
    return rv;
  }
  key_write_u8(key, HOLT_TAG_BIT_BINARY);
  key_write_be(key, size, 4);
  key_write_u8(key, last_bits);
  key_write(key, bytes, size);
  key->bytes[key->size - 1] &= (uint8_t)(0xff00u >> last_bits);
  return key_end(key);
}

int
holt_key_nil(struct holt_key *key)
{
  const int rv = key_begin(key, 1, 0);
  if (rv != 0) {
    return rv;
  }
  key_write_u8(key, HOLT_TAG_NIL);
  return key_end(key);
}

int
holt_key_tuple(struct holt_key *key, size_t arity)
{
  const bool small = arity <= UINT8_MAX;
  const int rv = key_begin(key, small ? 2 : 5, arity);
  if (rv != 0) {
    return rv;
  }
  const size_t start = key->size;
  key_write_u8(key, small ? HOLT_TAG_SMALL_TUPLE : HOLT_TAG_LARGE_TUPLE);
  key_write_be(key, arity, small ? 1 : 4);
  return key_open(key, FRAME_TUPLE, start, arity);
}

int
holt_key_map(struct holt_key *key, size_t pairs)
{
  /* Doubling might overflow, but not what fits. */
  const size_t parts = pairs > SIZE_MAX / 2 ? SIZE_MAX : 2 * pairs;
  const int rv = key_begin(key, HEAD_MAP, parts);
  if (rv != 0) {
    return rv;
  }
  const size_t start = key->size;
  key_write_u8(key, HOLT_TAG_MAP);
  key_write_be(key, pairs, 4);
  return key_open(key, FRAME_MAP, start, parts);
}

/* The frame of a list whose tail comes next, or NULL. */
static struct holt_key_frame *
key_frame_at_tail(struct holt_key *key)
{
  if (key->error != 0 || key->depth == 0) {
    return NULL;
  }
  struct holt_key_frame *const frame = &key->frames[key->depth - 1];
  return frame->kind == FRAME_TAIL ? frame : NULL;
}

/* A list of an unknown number of elements, or of left >= 1 of them. */
static int
key_put_list(struct holt_key *key, enum key_frame_kind kind, size_t left)
{
  struct holt_key_frame *const frame = key_frame_at_tail(key);
  if (frame != NULL) {
    if (left > key->bytes_max - key->size) {
      return key_fail(key, HOLT_ERR_TOO_LARGE);
    }
    frame->kind = kind;
    frame->left = (uint32_t)left;
    return 0;
  }
  const int rv = key_begin(key, HEAD_LIST, left);
  if (rv != 0) {
    return rv;
  }
  const size_t start = key->size;
  key_write_u8(key, HOLT_TAG_LIST);
  key_write_be(key, 0, 4);
  return key_open(key, kind, start, left);
}

int
holt_key_list(struct holt_key *key)
{
  return key_put_list(key, FRAME_OPEN, 0);
}

int
holt_key_tail(struct holt_key *key)
{
  if (key->error != 0) {
    return key->error;
  }
  struct holt_key_frame *const frame =
    key->depth == 0 ? NULL : &key->frames[key->depth - 1];
  if (frame == NULL || frame->kind != FRAME_OPEN || frame->count == 0) {
    return key_fail(key, HOLT_ERR_MALFORMED);
  }
  frame->kind = FRAME_TAIL;
  return 0;
}

int
holt_key_finish(struct holt_key *key)
{
  if (key->error == 0 && !key->complete) {
    return HOLT_ERR_MALFORMED;
  }
  holt_assert(key->error != 0 || key->depth == 0);
  holt_verify(key->error != 0 || holt_key_check(key->bytes, key->size) == 0);
  return key->error;
}

/*
 * Values in external term format
 */

/* A list of size >= 1 bytes, or the rest of a list. */
static int
key_put_string(struct holt_key *key, const uint8_t *bytes, size_t size)
{
  struct holt_key_frame *const frame = key_frame_at_tail(key);
  const int rv = key_begin(key, frame != NULL ? 0 : HEAD_LIST, 2 * size + 1);
  if (rv != 0) {
    return rv;
  }
  if (frame != NULL) {
    frame->count += (uint32_t)size;
  } else {
    key_write_u8(key, HOLT_TAG_LIST);
    key_write_be(key, size, 4);
  }
  for (size_t i = 0; i < size; i++) {
    const uint8_t element[] = { HOLT_TAG_SMALL_INTEGER, bytes[i] };
    key_write(key, element, sizeof element);
  }
  key_write_u8(key, HOLT_TAG_NIL);
  return key_end(key);
}

/* Pids, ports and references: tag, head, node name, tail. */
static int
key_begin_node(struct holt_key *key, const struct holt_etf_token *token,
               size_t rest)
{
  return key_begin(
    key, rest,
    holt__atom_size(token->node, token->node_size, token->node_latin1));
}

static void
key_write_node(struct holt_key *key, const struct holt_etf_token *token)
{
  key_write_atom(key, token->node, token->node_size, token->node_latin1);
}

static int
key_put_pid(struct holt_key *key, const struct holt_etf_token *token)
{
  const int rv = key_begin_node(key, token, 1 + 4 + 4 + 4);
  if (rv != 0) {
    return rv;
  }
  key_write_u8(key, HOLT_TAG_NEW_PID);
  key_write_node(key, token);
  key_write_be(key, token->id, 4);
  key_write_be(key, token->serial, 4);
  key_write_be(key, token->creation, 4);
  return key_end(key);
}

static int
key_put_port(struct holt_key *key, const struct holt_etf_token *token)
{
  const int rv = key_begin_node(key, token, 1 + 8 + 4);
  if (rv != 0) {
    return rv;
  }
  key_write_u8(key, HOLT_TAG_V4_PORT);
  key_write_node(key, token);
  key_write_be(key, token->id, 8);
  key_write_be(key, token->creation, 4);
  return key_end(key);
}

static int
key_put_reference(struct holt_key *key, const struct holt_etf_token *token)
{
  const size_t words = holt__reference_words(token);
  const int rv = key_begin_node(key, token, 1 + 2 + 4 + 4 * words);
  if (rv != 0) {
    return rv;
  }
  key_write_u8(key, HOLT_TAG_NEWER_REFERENCE);
  key_write_be(key, words, 2);
  key_write_node(key, token);
  key_write_be(key, token->creation, 4);
  for (size_t i = 0; i < words; i++) {
    key_write_be(key, token->words[i], 4);
  }
  return key_end(key);
}

static int
key_put_token(struct holt_key *key, const struct holt_etf_token *token)
{
  switch (token->type) {
  case HOLT_ETF_INTEGER:
    return holt_key_int(key, token->integer);
  case HOLT_ETF_BIG:
    return key_put_big(key, token->negative, token->bytes, token->size);
  case HOLT_ETF_FLOAT:
    return holt_key_float(key, token->real);
  case HOLT_ETF_ATOM:
    return key_put_atom(key, token->bytes, token->size, token->latin1);
  case HOLT_ETF_BINARY:
    return holt_key_binary(key, token->bytes, token->size);
  case HOLT_ETF_BITS:
    return holt_key_bits(key, token->bytes, token->size, token->bits);
  case HOLT_ETF_STRING:
    return key_put_string(key, token->bytes, token->size);
  case HOLT_ETF_NIL:
    return holt_key_nil(key);
  case HOLT_ETF_LIST:
    /* Without elements it is the value of its tail, which comes next. */
    return token->arity == 0 ? 0
                             : key_put_list(key, FRAME_COUNTED, token->arity);
  case HOLT_ETF_TUPLE:
    return holt_key_tuple(key, token->arity);
  case HOLT_ETF_MAP:
    return holt_key_map(key, token->arity);
  case HOLT_ETF_PID:
    return key_put_pid(key, token);
  case HOLT_ETF_PORT:
    return key_put_port(key, token);
  case HOLT_ETF_REFERENCE:
    return key_put_reference(key, token);
  default:
    return key_fail(key, HOLT_ERR_UNSUPPORTED);
  }
}

int
holt_key_etf(struct holt_key *key, const uint8_t *bytes, size_t size)
{
  if (key->error != 0) {
    return key->error;
  }
  if (size > 4 * key->bytes_max) {
    return key_fail(key, HOLT_ERR_TOO_LARGE);
  }
  struct holt_etf_reader reader;
  holt_etf_init(&reader, bytes, size);
  for (uint64_t due = 1; due > 0;) {
    struct holt_etf_token token;
    int rv = holt_etf_next(&reader, &token);
    if (rv != 0) {
      return key_fail(key, rv);
    }
    rv = key_put_token(key, &token);
    if (rv != 0) {
      return rv;
    }
    due += holt_etf_children(&token);
    due--;
  }
  return reader.at == reader.end ? 0 : key_fail(key, HOLT_ERR_MALFORMED);
}
