/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_term.h"

#include <string.h>

#include <holt/etf.h>

#include "nif_atoms.h"
#include "nif_build.h"

#define ETF_VERSION 131u
#define ETF_COMPRESSED 80u
#define ETF_NEW_PID 88u
#define ETF_BINARY 109u
#define ETF_ATOM_UTF8 118u
#define ETF_SMALL_ATOM_UTF8 119u

/* A local pid is one word that stays good for ever. */
_Static_assert(sizeof(ERL_NIF_TERM) <= sizeof(uint64_t), "a host word");

void *
nif_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
  (void)user;
  (void)old_size;
  if (new_size == 0) {
    enif_free(ptr);
    return NULL;
  }
  return ptr == NULL ? enif_alloc(new_size) : enif_realloc(ptr, new_size);
}

ERL_NIF_TERM
nif_binary(ErlNifEnv *env, const uint8_t *bytes, size_t size)
{
  ERL_NIF_TERM term;
  uint8_t *const into = enif_make_new_binary(env, size, &term);
  if (size > 0) {
    memcpy(into, bytes, size);
  }
  return term;
}

/*--------------------------------------------------------------------
 * Keys */

struct frame {
  enum {
    FRAME_TUPLE,
    FRAME_LIST,
    FRAME_MAP
  } kind;
  unsigned left;                /* Elements of a tuple, pairs of a map. */
  const ERL_NIF_TERM *elements; /* Of a tuple. */
  ERL_NIF_TERM list;            /* What is left of a list. */
  ERL_NIF_TERM value;           /* Of the pair whose key went before. */
  bool has_value;
  ErlNifMapIterator iterator; /* Of a map. */
};

struct walk {
  ErlNifEnv *env;
  struct holt_key *key;
  unsigned depth;
  struct frame frames[HOLT_KEY_DEPTH_MAX];
};

/* Through the external format.  Only for terms whose size is bounded, or on a
 * dirty scheduler. */
static int
push_etf(struct walk *walk, ERL_NIF_TERM term)
{
  ErlNifBinary binary;
  if (enif_term_to_binary(walk->env, term, &binary) == 0) {
    return HOLT_ERR_NOMEM;
  }
  const int rv = holt_key_etf(walk->key, binary.data + 1, binary.size - 1);
  enif_release_binary(&binary);
  return rv;
}

static int
push_etf_of_any_size(struct walk *walk, ERL_NIF_TERM term)
{
  if (enif_thread_type() == ERL_NIF_THR_NORMAL_SCHEDULER) {
    return NIF_NEEDS_DIRTY;
  }
  return push_etf(walk, term);
}

static int
push_atom(struct walk *walk, ERL_NIF_TERM term)
{
  char name[HOLT_ETF_ATOM_CHARS_MAX + 1];
  const int size =
    enif_get_atom(walk->env, term, name, sizeof name, ERL_NIF_LATIN1);
  if (size <= 0) {
    return push_etf(walk, term);
  }
  return holt_key_atom_latin1(walk->key, name, (size_t)size - 1);
}

static int
push_bitstring(struct walk *walk, ERL_NIF_TERM term)
{
  ErlNifBinary binary;
  if (enif_inspect_binary(walk->env, term, &binary) == 0) {
    return push_etf_of_any_size(walk, term);
  }
  return holt_key_binary(walk->key, binary.data, binary.size);
}

static int
push_integer(struct walk *walk, ERL_NIF_TERM term)
{
  ErlNifSInt64 value;
  if (enif_get_int64(walk->env, term, &value) == 0) {
    return push_etf_of_any_size(walk, term);
  }
  return holt_key_int(walk->key, value);
}

static int
push_float(struct walk *walk, ERL_NIF_TERM term)
{
  double value = 0.0;
  (void)enif_get_double(walk->env, term, &value);
  return holt_key_float(walk->key, value);
}

/* The core refuses what is nested deeper than its limit, so a frame is always
 * there once it has said yes. */
static struct frame *
open_frame(struct walk *walk)
{
  struct frame *const frame = &walk->frames[walk->depth++];
  frame->has_value = false;
  return frame;
}

static int
push_tuple(struct walk *walk, ERL_NIF_TERM term)
{
  int arity = 0;
  const ERL_NIF_TERM *elements = NULL;
  (void)enif_get_tuple(walk->env, term, &arity, &elements);
  const int rv = holt_key_tuple(walk->key, (size_t)arity);
  if (rv == 0 && arity > 0) {
    struct frame *const frame = open_frame(walk);
    frame->kind = FRAME_TUPLE;
    frame->left = (unsigned)arity;
    frame->elements = elements;
  }
  return rv;
}

static int
push_list(struct walk *walk, ERL_NIF_TERM term)
{
  if (enif_is_empty_list(walk->env, term) != 0) {
    return holt_key_nil(walk->key);
  }
  const int rv = holt_key_list(walk->key);
  if (rv == 0) {
    struct frame *const frame = open_frame(walk);
    frame->kind = FRAME_LIST;
    frame->list = term;
  }
  return rv;
}

static int
push_map(struct walk *walk, ERL_NIF_TERM term)
{
  size_t pairs = 0;
  (void)enif_get_map_size(walk->env, term, &pairs);
  const int rv = holt_key_map(walk->key, pairs);
  if (rv == 0 && pairs > 0) {
    struct frame *const frame = open_frame(walk);
    frame->kind = FRAME_MAP;
    frame->left = (unsigned)pairs;
    if (enif_map_iterator_create(walk->env, term, &frame->iterator,
                                 ERL_NIF_MAP_ITERATOR_FIRST) == 0) {
      walk->depth--;
      return HOLT_ERR_NOMEM;
    }
  }
  return rv;
}

static int
push(struct walk *walk, ERL_NIF_TERM term)
{
  switch (enif_term_type(walk->env, term)) {
  case ERL_NIF_TERM_TYPE_ATOM:
    return push_atom(walk, term);
  case ERL_NIF_TERM_TYPE_BITSTRING:
    return push_bitstring(walk, term);
  case ERL_NIF_TERM_TYPE_INTEGER:
    return push_integer(walk, term);
  case ERL_NIF_TERM_TYPE_FLOAT:
    return push_float(walk, term);
  case ERL_NIF_TERM_TYPE_TUPLE:
    return push_tuple(walk, term);
  case ERL_NIF_TERM_TYPE_LIST:
    return push_list(walk, term);
  case ERL_NIF_TERM_TYPE_MAP:
    return push_map(walk, term);
  case ERL_NIF_TERM_TYPE_PID:
  case ERL_NIF_TERM_TYPE_PORT:
  case ERL_NIF_TERM_TYPE_REFERENCE:
    return push_etf(walk, term); /* A node's name and a few words. */
  default:
    return HOLT_ERR_UNSUPPORTED;
  }
}

static void
close_frame(struct walk *walk)
{
  struct frame *const frame = &walk->frames[--walk->depth];
  if (frame->kind == FRAME_MAP) {
    enif_map_iterator_destroy(walk->env, &frame->iterator);
  }
}

/* Push the next part of the innermost container; close it before its last part
 * is pushed, so that the walk is never deeper than the key. */
static int
step(struct walk *walk)
{
  struct frame *const frame = &walk->frames[walk->depth - 1];
  ERL_NIF_TERM next = 0;
  switch (frame->kind) {
  case FRAME_TUPLE:
    next = *frame->elements++;
    if (--frame->left == 0) {
      close_frame(walk);
    }
    return push(walk, next);
  case FRAME_LIST: {
    ERL_NIF_TERM rest;
    if (enif_get_list_cell(walk->env, frame->list, &next, &rest) != 0) {
      frame->list = rest;
      return push(walk, next);
    }
    const ERL_NIF_TERM tail = frame->list;
    const int rv = holt_key_tail(walk->key);
    close_frame(walk);
    return rv != 0 ? rv : push(walk, tail);
  }
  case FRAME_MAP:
    if (!frame->has_value) {
      (void)enif_map_iterator_get_pair(walk->env, &frame->iterator, &next,
                                       &frame->value);
      frame->has_value = true;
      return push(walk, next);
    }
    next = frame->value;
    frame->has_value = false;
    (void)enif_map_iterator_next(walk->env, &frame->iterator);
    if (--frame->left == 0) {
      close_frame(walk);
    }
    return push(walk, next);
  }
  return HOLT_ERR_UNSUPPORTED;
}

int
nif_key_of(ErlNifEnv *env, ERL_NIF_TERM term, struct holt_key *key)
{
  struct walk walk;
  walk.env = env;
  walk.key = key;
  walk.depth = 0;

  int rv = push(&walk, term);
  while (rv == 0 && walk.depth > 0) {
    rv = step(&walk);
  }
  while (walk.depth > 0) {
    close_frame(&walk);
  }
  return rv != 0 ? rv : holt_key_finish(key);
}

bool
nif_term_of(ErlNifEnv *env, const uint8_t *bytes, size_t size,
            ERL_NIF_TERM *term)
{
  /* Most keys are binaries: tag, four bytes of size, bytes. */
  if (size >= 5 && bytes[0] == ETF_BINARY) {
    *term = nif_binary(env, bytes + 5, size - 5);
    return true;
  }
  if (nif_build(env, bytes, size, term)) {
    return true;
  }
  uint8_t small[512];
  uint8_t *etf = small;
  if (size + 1 > sizeof small) {
    etf = enif_alloc(size + 1);
    if (etf == NULL) {
      return false;
    }
  }
  etf[0] = ETF_VERSION;
  memcpy(etf + 1, bytes, size);
  const bool ok = enif_binary_to_term(env, etf, size + 1, term, 0) != 0;
  if (etf != small) {
    enif_free(etf);
  }
  return ok;
}

/*--------------------------------------------------------------------
 * Values */

bool
nif_value_is_binary(const uint8_t *bytes, size_t size)
{
  return size >= 6 && bytes[0] == ETF_VERSION && bytes[1] == ETF_BINARY &&
         ((size_t)bytes[2] << 24 | (size_t)bytes[3] << 16 |
          (size_t)bytes[4] << 8 | bytes[5]) == size - 6;
}

bool
nif_value_of(ErlNifEnv *env, const uint8_t *bytes, size_t size,
             ERL_NIF_TERM *term)
{
  if (size == 0) {
    *term = nif_atoms.undefined;
    return true;
  }
  if (nif_value_is_binary(bytes, size)) {
    *term = nif_binary(env, bytes + 6, size - 6);
    return true;
  }
  if (bytes[0] == ETF_VERSION && nif_build(env, bytes + 1, size - 1, term)) {
    return true;
  }
  /* What is compressed may be a thousand times as large as its bytes. */
  return size > 1 && bytes[1] != ETF_COMPRESSED &&
         enif_binary_to_term(env, bytes, size, term, 0) == size;
}

/*--------------------------------------------------------------------
 * Atoms */

static bool
utf8_of_latin1(const uint8_t *bytes, size_t size, struct nif_atom_bytes *out)
{
  out->size = 0;
  for (size_t i = 0; i < size; i++) {
    if (out->size + 2 > sizeof out->bytes) {
      return false;
    }
    if (bytes[i] < 0x80) {
      out->bytes[out->size++] = bytes[i];
    } else {
      out->bytes[out->size++] = (uint8_t)(0xc0 | bytes[i] >> 6);
      out->bytes[out->size++] = (uint8_t)(0x80 | (bytes[i] & 0x3f));
    }
  }
  return true;
}

static bool
atom_bytes(const uint8_t *bytes, size_t size, bool latin1,
           struct nif_atom_bytes *out)
{
  if (latin1) {
    return utf8_of_latin1(bytes, size, out);
  }
  if (size > sizeof out->bytes) {
    return false;
  }
  memcpy(out->bytes, bytes, size);
  out->size = size;
  return true;
}

/* The one token that the term is. */
static bool
token_of(ErlNifEnv *env, ERL_NIF_TERM term, ErlNifBinary *binary,
         struct holt_etf_token *token)
{
  if (enif_term_to_binary(env, term, binary) == 0) {
    return false;
  }
  struct holt_etf_reader reader;
  holt_etf_init(&reader, binary->data + 1, binary->size - 1);
  if (holt_etf_next(&reader, token) != 0) {
    enif_release_binary(binary);
    return false;
  }
  return true;
}

bool
nif_atom_bytes_of(ErlNifEnv *env, ERL_NIF_TERM term, struct nif_atom_bytes *out)
{
  ErlNifBinary binary;
  struct holt_etf_token token;
  if (enif_is_atom(env, term) == 0 || !token_of(env, term, &binary, &token)) {
    return false;
  }
  const bool ok = token.type == HOLT_ETF_ATOM &&
                  atom_bytes(token.bytes, token.size, token.latin1, out);
  enif_release_binary(&binary);
  return ok;
}

static uint8_t *
put_atom(uint8_t *at, const uint8_t *bytes, size_t size)
{
  if (size <= UINT8_MAX) {
    *at++ = ETF_SMALL_ATOM_UTF8;
  } else {
    *at++ = ETF_ATOM_UTF8;
    *at++ = (uint8_t)(size >> 8);
  }
  *at++ = (uint8_t)size;
  memcpy(at, bytes, size);
  return at + size;
}

bool
nif_atom_of(ErlNifEnv *env, const uint8_t *bytes, size_t size,
            ERL_NIF_TERM *term)
{
  uint8_t etf[HOLT_ATOM_BYTES_MAX + 3];
  const uint8_t *const end = put_atom(etf, bytes, size);
  return nif_term_of(env, etf, (size_t)(end - etf), term);
}

/*--------------------------------------------------------------------
 * Pids */

bool
nif_process_of(ErlNifEnv *env, ERL_NIF_TERM pid, struct nif_process *out)
{
  ErlNifBinary binary;
  struct holt_etf_token token;
  if (enif_is_pid(env, pid) == 0 || !token_of(env, pid, &binary, &token)) {
    return false;
  }
  const bool ok =
    token.type == HOLT_ETF_PID &&
    atom_bytes(token.node, token.node_size, token.node_latin1, &out->node);
  if (ok) {
    out->process = (struct holt_process){ .node = out->node.bytes,
                                          .node_size = (uint16_t)out->node.size,
                                          .creation = token.creation,
                                          .id = (uint32_t)token.id,
                                          .serial = token.serial };
  }
  enif_release_binary(&binary);
  return ok;
}

uint64_t
nif_host_of(const ErlNifPid *pid)
{
  return (uint64_t)pid->pid;
}

ErlNifPid
nif_pid_of_host(uint64_t host)
{
  return (ErlNifPid){ .pid = (ERL_NIF_TERM)host };
}

static uint8_t *
put_u32be(uint8_t *at, uint32_t value)
{
  for (int shift = 24; shift >= 0; shift -= 8) {
    *at++ = (uint8_t)(value >> shift);
  }
  return at;
}

void
nif_pid_parts_of(const struct holt_view *view, struct nif_pid_parts *parts)
{
  parts->local = view->local;
  parts->host = view->host;
  if (!view->local) {
    uint8_t *at = parts->etf;
    *at++ = ETF_VERSION;
    *at++ = ETF_NEW_PID;
    at = put_atom(at, view->node, view->node_size);
    at = put_u32be(at, view->id);
    at = put_u32be(at, view->serial);
    at = put_u32be(at, view->creation);
    parts->etf_size = (size_t)(at - parts->etf);
  }
}

bool
nif_pid_make(ErlNifEnv *env, const struct nif_pid_parts *parts,
             ERL_NIF_TERM *pid)
{
  if (parts->local) {
    const ErlNifPid local = nif_pid_of_host(parts->host);
    *pid = enif_make_pid(env, &local);
    return true;
  }
  return enif_binary_to_term(env, parts->etf, parts->etf_size, pid, 0) != 0;
}

bool
nif_view_pid(ErlNifEnv *env, const struct holt_view *view, ERL_NIF_TERM *pid)
{
  struct nif_pid_parts parts;
  nif_pid_parts_of(view, &parts);
  return nif_pid_make(env, &parts, pid);
}
