/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <string.h>

#include "syntax.h"

#define DEPTH_MAX 32u

static json_t *make(struct holt_etf_reader *reader, unsigned depth);

json_t *
json_text_of(struct holt_etf_reader *reader)
{
  struct text text = { .bytes = NULL };
  json_t *json = NULL;
  if (syntax_show(reader, &text)) {
    json = json_stringn(text.bytes, text.size);
  }
  text_deinit(&text);
  return json;
}

static json_t *
make_atom(const struct holt_etf_token *token)
{
  const char *const name = (const char *)token->bytes;
  if (token->size == 4 && memcmp(name, "true", 4) == 0) {
    return json_true();
  }
  if (token->size == 5 && memcmp(name, "false", 5) == 0) {
    return json_false();
  }
  return json_stringn(name, token->size);
}

static json_t *
make_array(struct holt_etf_reader *reader, uint32_t count, unsigned depth)
{
  json_t *const array = json_array();
  for (uint32_t i = 0; i < count && array != NULL; i++) {
    /* Refuses NULL, and takes what it is given. */
    if (json_array_append_new(array, make(reader, depth)) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

static json_t *
make_object(struct holt_etf_reader *reader, uint32_t pairs, unsigned depth)
{
  json_t *const object = json_object();
  for (uint32_t i = 0; i < pairs && object != NULL; i++) {
    struct holt_etf_token key;
    char name[HOLT_ETF_ATOM_BYTES_MAX + 1];
    if (holt_etf_next(reader, &key) != 0 || key.type != HOLT_ETF_ATOM ||
        key.size >= sizeof name) {
      json_decref(object);
      return NULL;
    }
    memcpy(name, key.bytes, key.size);
    name[key.size] = '\0';
    if (json_object_set_new(object, name, make(reader, depth)) != 0) {
      json_decref(object);
      return NULL;
    }
  }
  return object;
}

/* A proper list is an array. */
static json_t *
make_list(struct holt_etf_reader *reader, uint32_t count, unsigned depth)
{
  json_t *const array = make_array(reader, count, depth);
  struct holt_etf_token tail;
  if (array != NULL &&
      (holt_etf_next(reader, &tail) != 0 || tail.type != HOLT_ETF_NIL)) {
    json_decref(array);
    return NULL;
  }
  return array;
}

static json_t *
make_known(struct holt_etf_reader *reader, unsigned depth)
{
  struct holt_etf_token token;
  if (holt_etf_next(reader, &token) != 0) {
    return NULL;
  }
  switch (token.type) {
  case HOLT_ETF_INTEGER:
    return json_integer(token.integer);
  case HOLT_ETF_FLOAT:
    return json_real(token.real);
  case HOLT_ETF_ATOM:
    return make_atom(&token);
  case HOLT_ETF_BINARY:
    return json_stringn((const char *)token.bytes, token.size);
  case HOLT_ETF_NIL:
    return json_array();
  case HOLT_ETF_LIST:
    return make_list(reader, token.arity, depth);
  case HOLT_ETF_TUPLE:
    return make_array(reader, token.arity, depth);
  case HOLT_ETF_MAP:
    return make_object(reader, token.arity, depth);
  default:
    return NULL;
  }
}

/* What has no form of its own in JSON comes as text. */
static json_t *
make(struct holt_etf_reader *reader, unsigned depth)
{
  struct holt_etf_reader ahead = *reader;
  json_t *const json = depth < DEPTH_MAX ? make_known(&ahead, depth + 1) : NULL;
  if (json == NULL) {
    return json_text_of(reader);
  }
  *reader = ahead;
  return json;
}

json_t *
json_of(struct holt_etf_reader *reader)
{
  return make(reader, 0);
}
