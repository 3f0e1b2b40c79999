/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_build.h"

#include <string.h>

#define ETF_VERSION 131u
#define ETF_NEW_FLOAT 70u
#define ETF_SMALL_INTEGER 97u
#define ETF_INTEGER 98u
#define ETF_ATOM_LATIN1 100u
#define ETF_SMALL_TUPLE 104u
#define ETF_NIL 106u
#define ETF_STRING 107u
#define ETF_LIST 108u
#define ETF_BINARY 109u
#define ETF_SMALL_BIG 110u
#define ETF_MAP 116u
#define ETF_SMALL_ATOM_UTF8 119u

/* Elements of a container, with a pair as two, and containers in containers. */
#define BUILD_ELEMENTS_MAX 64u
#define BUILD_DEPTH_MAX 6u

#define BUILD_ATOMS 128u
#define BUILD_ATOM_BYTES_MAX 31u

struct build {
  ErlNifEnv *env;
  const uint8_t *at;
  const uint8_t *end;
};

static bool build_term(struct build *build, unsigned depth, ERL_NIF_TERM *term);

/* Step over so many bytes, if they are there; else NULL. */
static const uint8_t *
take(struct build *build, size_t size)
{
  const uint8_t *const at = build->at;
  if ((size_t)(build->end - at) < size) {
    return NULL;
  }
  build->at += size;
  return at;
}

static uint32_t
u32be(const uint8_t *at)
{
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 |
         at[3];
}

/*--------------------------------------------------------------------
 * Atoms */

struct known_atom {
  ERL_NIF_TERM term;
  uint8_t size; /* 0: none. */
  uint8_t name[BUILD_ATOM_BYTES_MAX];
};

static _Thread_local struct known_atom known_atoms[BUILD_ATOMS];

/* Of this name, in UTF-8; or in Latin-1, as OTP 25 writes it, if that is the
 * same.  A long name, or none at all, the BEAM knows. */
static bool
build_atom(struct build *build, size_t size, bool latin1, ERL_NIF_TERM *term)
{
  const uint8_t *const name = take(build, size);
  if (name == NULL || size == 0 || size > BUILD_ATOM_BYTES_MAX) {
    return false;
  }
  uint32_t hash = (uint32_t)size;
  uint8_t bits = 0;
  for (size_t i = 0; i < size; i++) {
    hash = hash * 31 + name[i];
    bits |= name[i];
  }
  if (latin1 && bits >= 0x80) {
    return false;
  }
  struct known_atom *const known =
    &known_atoms[(hash ^ hash >> 7) % BUILD_ATOMS];
  if (known->size == size && memcmp(known->name, name, size) == 0) {
    *term = known->term;
    return true;
  }
  uint8_t etf[BUILD_ATOM_BYTES_MAX + 3] = { ETF_VERSION, ETF_SMALL_ATOM_UTF8,
                                            (uint8_t)size };
  memcpy(etf + 3, name, size);
  if (enif_binary_to_term(build->env, etf, size + 3, term, 0) == 0) {
    return false;
  }
  known->term = *term;
  known->size = (uint8_t)size;
  memcpy(known->name, name, size);
  return true;
}

/*--------------------------------------------------------------------
 * Numbers and bytes */

static bool
build_integer(struct build *build, ERL_NIF_TERM *term)
{
  const uint8_t *const at = take(build, 4);
  if (at == NULL) {
    return false;
  }
  const uint32_t bits = u32be(at);
  *term = enif_make_int64(build->env, bits <= INT32_MAX
                                        ? (int64_t)bits
                                        : (int64_t)bits - (INT64_C(1) << 32));
  return true;
}

/* Of those beyond 32 bits, the ones below 56. */
static bool
build_big(struct build *build, ERL_NIF_TERM *term)
{
  const uint8_t *const start = take(build, 2);
  if (start == NULL || start[0] > 7 || start[1] > 1) {
    return false;
  }
  const uint8_t *const at = take(build, start[0]);
  if (at == NULL) {
    return false;
  }
  int64_t magnitude = 0;
  for (size_t i = start[0]; i > 0; i--) {
    magnitude = magnitude << 8 | at[i - 1];
  }
  *term = enif_make_int64(build->env, start[1] == 1 ? -magnitude : magnitude);
  return true;
}

static bool
build_float(struct build *build, ERL_NIF_TERM *term)
{
  const uint8_t *const at = take(build, 8);
  if (at == NULL || ((at[0] & 0x7f) == 0x7f && (at[1] & 0xf0) == 0xf0)) {
    return false; /* Not finite: no float of Erlang. */
  }
  const uint64_t bits = (uint64_t)u32be(at) << 32 | u32be(at + 4);
  double real;
  memcpy(&real, &bits, sizeof real);
  *term = enif_make_double(build->env, real);
  return true;
}

static bool
build_binary(struct build *build, ERL_NIF_TERM *term)
{
  const uint8_t *const start = take(build, 4);
  if (start == NULL) {
    return false;
  }
  const size_t size = u32be(start);
  const uint8_t *const bytes = take(build, size);
  if (bytes == NULL) {
    return false;
  }
  uint8_t *const into = enif_make_new_binary(build->env, size, term);
  if (size > 0) {
    memcpy(into, bytes, size);
  }
  return true;
}

/* A list of bytes. */
static bool
build_string(struct build *build, ERL_NIF_TERM *term)
{
  const uint8_t *const start = take(build, 2);
  if (start == NULL || start[0] > 0 || start[1] > BUILD_ELEMENTS_MAX) {
    return false;
  }
  const size_t size = start[1];
  const uint8_t *const bytes = take(build, size);
  if (bytes == NULL) {
    return false;
  }
  *term = enif_make_list(build->env, 0);
  for (size_t i = size; i > 0; i--) {
    *term = enif_make_list_cell(
      build->env, enif_make_uint(build->env, bytes[i - 1]), *term);
  }
  return true;
}

/*--------------------------------------------------------------------
 * Containers */

static bool
build_elements(struct build *build, unsigned depth, size_t count,
               ERL_NIF_TERM *terms)
{
  bool ok = depth < BUILD_DEPTH_MAX && count <= BUILD_ELEMENTS_MAX;
  for (size_t i = 0; ok && i < count; i++) {
    ok = build_term(build, depth + 1, &terms[i]);
  }
  return ok;
}

static bool
build_tuple(struct build *build, unsigned depth, ERL_NIF_TERM *term)
{
  ERL_NIF_TERM terms[BUILD_ELEMENTS_MAX];
  const uint8_t *const start = take(build, 1);
  if (start == NULL || !build_elements(build, depth, *start, terms)) {
    return false;
  }
  *term = enif_make_tuple_from_array(build->env, terms, *start);
  return true;
}

static bool
build_list(struct build *build, unsigned depth, ERL_NIF_TERM *term)
{
  ERL_NIF_TERM terms[BUILD_ELEMENTS_MAX];
  const uint8_t *const start = take(build, 4);
  if (start == NULL) {
    return false;
  }
  const size_t count = u32be(start);
  if (!build_elements(build, depth, count, terms) ||
      !build_term(build, depth + 1, term)) {
    return false;
  }
  for (size_t i = count; i > 0; i--) {
    *term = enif_make_list_cell(build->env, terms[i - 1], *term);
  }
  return true;
}

static bool
build_map(struct build *build, unsigned depth, ERL_NIF_TERM *term)
{
  ERL_NIF_TERM keys[BUILD_ELEMENTS_MAX / 2];
  ERL_NIF_TERM values[BUILD_ELEMENTS_MAX / 2];
  const uint8_t *const start = take(build, 4);
  if (start == NULL || depth >= BUILD_DEPTH_MAX) {
    return false;
  }
  const size_t count = u32be(start);
  bool ok = count <= BUILD_ELEMENTS_MAX / 2;
  for (size_t i = 0; ok && i < count; i++) {
    ok = build_term(build, depth + 1, &keys[i]) &&
         build_term(build, depth + 1, &values[i]);
  }
  return ok &&
         enif_make_map_from_arrays(build->env, keys, values, count, term) != 0;
}

static bool
build_term(struct build *build, unsigned depth, ERL_NIF_TERM *term)
{
  const uint8_t *const tag = take(build, 1);
  if (tag == NULL) {
    return false;
  }
  switch (*tag) {
  case ETF_SMALL_INTEGER: {
    const uint8_t *const at = take(build, 1);
    *term = at == NULL ? 0 : enif_make_uint(build->env, *at);
    return at != NULL;
  }
  case ETF_INTEGER:
    return build_integer(build, term);
  case ETF_SMALL_BIG:
    return build_big(build, term);
  case ETF_NEW_FLOAT:
    return build_float(build, term);
  case ETF_SMALL_ATOM_UTF8: {
    const uint8_t *const start = take(build, 1);
    return start != NULL && build_atom(build, *start, false, term);
  }
  case ETF_ATOM_LATIN1: {
    const uint8_t *const start = take(build, 2);
    return start != NULL &&
           build_atom(build, (size_t)start[0] << 8 | start[1], true, term);
  }
  case ETF_BINARY:
    return build_binary(build, term);
  case ETF_STRING:
    return build_string(build, term);
  case ETF_NIL:
    *term = enif_make_list(build->env, 0);
    return true;
  case ETF_SMALL_TUPLE:
    return build_tuple(build, depth, term);
  case ETF_LIST:
    return build_list(build, depth, term);
  case ETF_MAP:
    return build_map(build, depth, term);
  default:
    return false;
  }
}

bool
nif_build(ErlNifEnv *env, const uint8_t *bytes, size_t size, ERL_NIF_TERM *term)
{
  struct build build = { .env = env, .at = bytes, .end = bytes + size };
  return build_term(&build, 0, term) && build.at == build.end;
}
