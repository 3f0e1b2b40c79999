/* SPDX-License-Identifier: Apache-2.0 */
/* Terms of the stand-in, and their external format. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <holt/etf.h>

#include "fake_enif.h"

#define NIL ((ERL_NIF_TERM)0x3b)
#define ATOMS_MAX 4096u

struct pair {
  ERL_NIF_TERM key;
  ERL_NIF_TERM value;
};

struct box {
  enum {
    BOX_INTEGER,
    BOX_FLOAT,
    BOX_BINARY,
    BOX_CONS,
    BOX_TUPLE,
    BOX_MAP,
    BOX_PID /* Of another node. */
  } kind;
  bool negative; /* Of an integer, whose magnitude is number. */
  uint64_t number;
  double real;
  size_t size; /* Of a binary, tuple or map. */
  ERL_NIF_TERM head;
  ERL_NIF_TERM tail;
  ERL_NIF_TERM node; /* Of a pid, whose id is number. */
  uint32_t serial;
  uint32_t creation;
  _Alignas(16) unsigned char bytes[]; /* Or elements, or pairs. */
};

/*--------------------------------------------------------------------
 * Atoms: written once, then read without a lock. */

struct atom {
  size_t size;
  char name[];
};

static _Atomic(struct atom *) atoms[ATOMS_MAX];
static pthread_mutex_t atoms_lock = PTHREAD_MUTEX_INITIALIZER;

static bool
is_atom(ERL_NIF_TERM term)
{
  return (term & 63) == 0x0b;
}

/* Where it is, or where it would be. */
static size_t
atom_slot(const char *name, size_t size, struct atom **found)
{
  size_t slot = size;
  for (size_t i = 0; i < size; i++) {
    slot = slot * 31 + (unsigned char)name[i];
  }
  for (size_t i = 0; i < ATOMS_MAX; i++) {
    slot = (slot + 1) % ATOMS_MAX;
    *found = atomic_load_explicit(&atoms[slot], memory_order_acquire);
    if (*found == NULL ||
        ((*found)->size == size && memcmp((*found)->name, name, size) == 0)) {
      return slot;
    }
  }
  fake_die("too many atoms");
}

ERL_NIF_TERM
fake_atom(const char *name, size_t size)
{
  struct atom *atom;
  size_t slot = atom_slot(name, size, &atom);
  if (atom == NULL) {
    pthread_mutex_lock(&atoms_lock);
    slot = atom_slot(name, size, &atom);
    if (atom == NULL) {
      atom = malloc(sizeof *atom + size);
      if (atom == NULL) {
        fake_die("out of memory");
      }
      atom->size = size;
      memcpy(atom->name, name, size);
      atomic_store_explicit(&atoms[slot], atom, memory_order_release);
    }
    pthread_mutex_unlock(&atoms_lock);
  }
  return (ERL_NIF_TERM)slot << 6 | 0x0b;
}

struct fake_name
fake_atom_name(ERL_NIF_TERM term)
{
  const struct atom *const atom =
    atomic_load_explicit(&atoms[term >> 6], memory_order_acquire);
  return (struct fake_name){ .name = atom->name, .size = atom->size };
}

ERL_NIF_TERM
enif_make_atom(ErlNifEnv *env, const char *name)
{
  (void)env;
  return fake_atom(name, strlen(name));
}

int
enif_is_atom(ErlNifEnv *env, ERL_NIF_TERM term)
{
  (void)env;
  return is_atom(term);
}

int
enif_get_atom(ErlNifEnv *env, ERL_NIF_TERM term, char *buf, unsigned len,
              ErlNifCharEncoding encoding)
{
  (void)env;
  (void)encoding;
  const struct fake_name name = fake_atom_name(term);
  for (size_t i = 0; i < name.size; i++) {
    if ((name.name[i] & 0x80) != 0) {
      return 0; /* Perhaps Latin-1 could; the caller knows another way. */
    }
  }
  if (name.size >= len) {
    return 0;
  }
  memcpy(buf, name.name, name.size);
  buf[name.size] = '\0';
  return (int)name.size + 1;
}

/*--------------------------------------------------------------------
 * Boxes */

static struct box *
box_of(ERL_NIF_TERM term)
{
  return (term & 15) == 0 && term != 0 ? (struct box *)term : NULL;
}

static struct box *
box_as(ERL_NIF_TERM term, int kind)
{
  struct box *const box = box_of(term);
  return box != NULL && (int)box->kind == kind ? box : NULL;
}

static struct box *
box_new(ErlNifEnv *env, int kind, size_t size)
{
  struct box *const box = fake_memory(env, sizeof *box + size);
  memset(box, 0, sizeof *box);
  box->kind = (unsigned)kind;
  return box;
}

static ERL_NIF_TERM *
elements_of(struct box *box)
{
  return (ERL_NIF_TERM *)(void *)box->bytes;
}

static struct pair *
pairs_of(struct box *box)
{
  return (struct pair *)(void *)box->bytes;
}

static ERL_NIF_TERM
integer(ErlNifEnv *env, bool negative, uint64_t magnitude)
{
  struct box *const box = box_new(env, BOX_INTEGER, 0);
  box->negative = negative;
  box->number = magnitude;
  return (ERL_NIF_TERM)box;
}

ERL_NIF_TERM
enif_make_uint(ErlNifEnv *env, unsigned number)
{
  return integer(env, false, number);
}

ERL_NIF_TERM
enif_make_uint64(ErlNifEnv *env, ErlNifUInt64 number)
{
  return integer(env, false, number);
}

ERL_NIF_TERM
enif_make_int64(ErlNifEnv *env, ErlNifSInt64 number)
{
  return integer(env, number < 0,
                 number < 0 ? -(uint64_t)number : (uint64_t)number);
}

int
enif_get_uint64(ErlNifEnv *env, ERL_NIF_TERM term, ErlNifUInt64 *number)
{
  (void)env;
  const struct box *const box = box_as(term, BOX_INTEGER);
  if (box == NULL || box->negative) {
    return 0;
  }
  *number = box->number;
  return 1;
}

int
enif_get_uint(ErlNifEnv *env, ERL_NIF_TERM term, unsigned *number)
{
  ErlNifUInt64 wide;
  if (enif_get_uint64(env, term, &wide) == 0 || wide > UINT32_MAX) {
    return 0;
  }
  *number = (unsigned)wide;
  return 1;
}

int
enif_get_int64(ErlNifEnv *env, ERL_NIF_TERM term, ErlNifSInt64 *number)
{
  (void)env;
  const struct box *const box = box_as(term, BOX_INTEGER);
  if (box == NULL || box->number > (uint64_t)INT64_MAX) {
    return 0;
  }
  *number =
    box->negative ? -(ErlNifSInt64)box->number : (ErlNifSInt64)box->number;
  return 1;
}

ERL_NIF_TERM
enif_make_double(ErlNifEnv *env, double real)
{
  struct box *const box = box_new(env, BOX_FLOAT, 0);
  box->real = real;
  return (ERL_NIF_TERM)box;
}

int
enif_get_double(ErlNifEnv *env, ERL_NIF_TERM term, double *real)
{
  (void)env;
  const struct box *const box = box_as(term, BOX_FLOAT);
  if (box == NULL) {
    return 0;
  }
  *real = box->real;
  return 1;
}

unsigned char *
enif_make_new_binary(ErlNifEnv *env, size_t size, ERL_NIF_TERM *term)
{
  struct box *const box = box_new(env, BOX_BINARY, size);
  box->size = size;
  *term = (ERL_NIF_TERM)box;
  return box->bytes;
}

int
enif_inspect_binary(ErlNifEnv *env, ERL_NIF_TERM term, ErlNifBinary *binary)
{
  (void)env;
  struct box *const box = box_as(term, BOX_BINARY);
  if (box == NULL) {
    return 0;
  }
  memset(binary, 0, sizeof *binary);
  binary->size = box->size;
  binary->data = box->bytes;
  return 1;
}

/*--------------------------------------------------------------------
 * Lists and tuples */

ERL_NIF_TERM
enif_make_list_cell(ErlNifEnv *env, ERL_NIF_TERM head, ERL_NIF_TERM tail)
{
  struct box *const box = box_new(env, BOX_CONS, 0);
  box->head = head;
  box->tail = tail;
  return (ERL_NIF_TERM)box;
}

ERL_NIF_TERM
enif_make_list(ErlNifEnv *env, unsigned count, ...)
{
  if (count == 0) {
    return NIL;
  }
  if (count > 1) {
    fake_die("a list is made of one element, or of none");
  }
  va_list list;
  va_start(list, count);
  const ERL_NIF_TERM head = va_arg(list, ERL_NIF_TERM);
  va_end(list);
  return enif_make_list_cell(env, head, NIL);
}

int
enif_is_empty_list(ErlNifEnv *env, ERL_NIF_TERM term)
{
  (void)env;
  return term == NIL;
}

int
enif_get_list_cell(ErlNifEnv *env, ERL_NIF_TERM term, ERL_NIF_TERM *head,
                   ERL_NIF_TERM *tail)
{
  (void)env;
  const struct box *const box = box_as(term, BOX_CONS);
  if (box == NULL) {
    return 0;
  }
  *head = box->head;
  *tail = box->tail;
  return 1;
}

int
enif_make_reverse_list(ErlNifEnv *env, ERL_NIF_TERM term, ERL_NIF_TERM *list)
{
  *list = NIL;
  ERL_NIF_TERM head;
  while (enif_get_list_cell(env, term, &head, &term) != 0) {
    *list = enif_make_list_cell(env, head, *list);
  }
  return term == NIL;
}

ERL_NIF_TERM
enif_make_tuple_from_array(ErlNifEnv *env, const ERL_NIF_TERM terms[],
                           unsigned count)
{
  struct box *const box = box_new(env, BOX_TUPLE, count * sizeof *terms);
  box->size = count;
  if (count > 0) {
    memcpy(elements_of(box), terms, count * sizeof *terms);
  }
  return (ERL_NIF_TERM)box;
}

ERL_NIF_TERM
enif_make_tuple(ErlNifEnv *env, unsigned count, ...)
{
  ERL_NIF_TERM terms[8];
  va_list list;
  va_start(list, count);
  for (unsigned i = 0; i < count && i < 8; i++) {
    terms[i] = va_arg(list, ERL_NIF_TERM);
  }
  va_end(list);
  return enif_make_tuple_from_array(env, terms, count);
}

int
enif_get_tuple(ErlNifEnv *env, ERL_NIF_TERM term, int *arity,
               const ERL_NIF_TERM **elements)
{
  (void)env;
  struct box *const box = box_as(term, BOX_TUPLE);
  if (box == NULL) {
    return 0;
  }
  *arity = (int)box->size;
  *elements = elements_of(box);
  return 1;
}

/*--------------------------------------------------------------------
 * Maps: pairs in the order in which they were put */

ERL_NIF_TERM
enif_make_new_map(ErlNifEnv *env)
{
  return (ERL_NIF_TERM)box_new(env, BOX_MAP, 0);
}

int
enif_is_map(ErlNifEnv *env, ERL_NIF_TERM term)
{
  (void)env;
  return box_as(term, BOX_MAP) != NULL;
}

int
enif_get_map_size(ErlNifEnv *env, ERL_NIF_TERM term, size_t *size)
{
  (void)env;
  *size = box_as(term, BOX_MAP)->size;
  return 1;
}

/* Keys are atoms, or nobody looks for them. */
int
enif_get_map_value(ErlNifEnv *env, ERL_NIF_TERM map, ERL_NIF_TERM key,
                   ERL_NIF_TERM *value)
{
  (void)env;
  struct box *const box = box_as(map, BOX_MAP);
  for (size_t i = 0; box != NULL && i < box->size; i++) {
    if (pairs_of(box)[i].key == key) {
      *value = pairs_of(box)[i].value;
      return 1;
    }
  }
  return 0;
}

int
enif_make_map_from_arrays(ErlNifEnv *env, ERL_NIF_TERM keys[],
                          ERL_NIF_TERM values[], size_t count,
                          ERL_NIF_TERM *map)
{
  *map = enif_make_new_map(env);
  for (size_t i = 0; i < count; i++) {
    (void)enif_make_map_put(env, *map, keys[i], values[i], map);
  }
  size_t size = 0;
  (void)enif_get_map_size(env, *map, &size);
  return size == count;
}

int
enif_make_map_put(ErlNifEnv *env, ERL_NIF_TERM map, ERL_NIF_TERM key,
                  ERL_NIF_TERM value, ERL_NIF_TERM *out)
{
  struct box *const old = box_as(map, BOX_MAP);
  const size_t size = old->size;
  struct box *const box =
    box_new(env, BOX_MAP, (size + 1) * sizeof(struct pair));
  if (size > 0) {
    memcpy(pairs_of(box), pairs_of(old), size * sizeof(struct pair));
  }
  pairs_of(box)[size] = (struct pair){ .key = key, .value = value };
  box->size = size + 1;
  *out = (ERL_NIF_TERM)box;
  return 1;
}

int
enif_map_iterator_create(ErlNifEnv *env, ERL_NIF_TERM map,
                         ErlNifMapIterator *iterator,
                         ErlNifMapIteratorEntry entry)
{
  (void)env;
  (void)entry;
  iterator->map = map;
  iterator->idx = 0;
  return box_as(map, BOX_MAP) != NULL;
}

void
enif_map_iterator_destroy(ErlNifEnv *env, ErlNifMapIterator *iterator)
{
  (void)env;
  iterator->map = 0;
}

int
enif_map_iterator_get_pair(ErlNifEnv *env, ErlNifMapIterator *iterator,
                           ERL_NIF_TERM *key, ERL_NIF_TERM *value)
{
  (void)env;
  struct box *const box = box_as(iterator->map, BOX_MAP);
  if (iterator->idx >= box->size) {
    return 0;
  }
  *key = pairs_of(box)[iterator->idx].key;
  *value = pairs_of(box)[iterator->idx].value;
  return 1;
}

int
enif_map_iterator_next(ErlNifEnv *env, ErlNifMapIterator *iterator)
{
  (void)env;
  return ++iterator->idx < box_as(iterator->map, BOX_MAP)->size;
}

/*--------------------------------------------------------------------
 * Pids */

int
enif_get_local_pid(ErlNifEnv *env, ERL_NIF_TERM term, ErlNifPid *pid)
{
  (void)env;
  pid->pid = term;
  return (term & 15) == 3;
}

int
enif_is_pid(ErlNifEnv *env, ERL_NIF_TERM term)
{
  (void)env;
  return (term & 15) == 3 || box_as(term, BOX_PID) != NULL;
}

/* Of words: enif_compare_pids() is made of it. */
int
enif_compare(ERL_NIF_TERM left, ERL_NIF_TERM right)
{
  return (left > right) - (left < right);
}

ErlNifTermType
enif_term_type(ErlNifEnv *env, ERL_NIF_TERM term)
{
  (void)env;
  if (is_atom(term)) {
    return ERL_NIF_TERM_TYPE_ATOM;
  }
  if (term == NIL) {
    return ERL_NIF_TERM_TYPE_LIST;
  }
  const struct box *const box = box_of(term);
  if (box == NULL) {
    return ERL_NIF_TERM_TYPE_PID;
  }
  static const ErlNifTermType types[] = {
    [BOX_INTEGER] = ERL_NIF_TERM_TYPE_INTEGER,
    [BOX_FLOAT] = ERL_NIF_TERM_TYPE_FLOAT,
    [BOX_BINARY] = ERL_NIF_TERM_TYPE_BITSTRING,
    [BOX_CONS] = ERL_NIF_TERM_TYPE_LIST,
    [BOX_TUPLE] = ERL_NIF_TERM_TYPE_TUPLE,
    [BOX_MAP] = ERL_NIF_TERM_TYPE_MAP,
    [BOX_PID] = ERL_NIF_TERM_TYPE_PID,
  };
  return types[box->kind];
}

/*--------------------------------------------------------------------
 * To the external format */

struct out {
  ErlNifEnv *env;
  uint8_t *bytes;
  size_t size;
  size_t capacity;
};

static void
put(struct out *out, const void *bytes, size_t size)
{
  if (out->size + size > out->capacity) {
    out->capacity = (out->size + size) * 2;
    out->bytes = realloc(out->bytes, out->capacity);
    if (out->bytes == NULL) {
      fake_die("out of memory");
    }
  }
  if (size > 0) {
    memcpy(out->bytes + out->size, bytes, size);
  }
  out->size += size;
}

/* The lowest bytes of a number, the highest of them first. */
static void
put_number(struct out *out, uint64_t number, int bytes)
{
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    const uint8_t byte = (uint8_t)(number >> shift);
    put(out, &byte, 1);
  }
}

static void
put_atom(struct out *out, struct fake_name name)
{
  put_number(out, name.size > 255 ? 118 : 119, 1);
  put_number(out, name.size, name.size > 255 ? 2 : 1);
  put(out, name.name, name.size);
}

static void
put_pid(struct out *out, ERL_NIF_TERM term)
{
  const struct box *const box = box_of(term);
  uint32_t creation;
  const struct fake_name here = fake_node(out->env, &creation);
  const uint64_t number = term >> 4;
  put_number(out, 88, 1);
  put_atom(out, box != NULL ? fake_atom_name(box->node) : here);
  put_number(out, box != NULL ? box->number : number & 0x7fff, 4);
  put_number(out, box != NULL ? box->serial : number >> 15, 4);
  put_number(out, box != NULL ? box->creation : creation, 4);
}

static void
put_integer(struct out *out, const struct box *box)
{
  if (!box->negative && box->number < 256) {
    put_number(out, 97, 1);
    put_number(out, box->number, 1);
    return;
  }
  put_number(out, 110, 1);
  put_number(out, 8, 1);
  put_number(out, box->negative, 1);
  for (int shift = 0; shift < 64; shift += 8) {
    put_number(out, box->number >> shift, 1);
  }
}

static void put_term(struct out *out, ERL_NIF_TERM term);

static void
put_list(struct out *out, ERL_NIF_TERM term)
{
  ERL_NIF_TERM head;
  ERL_NIF_TERM tail = term;
  uint32_t length = 0;
  while (enif_get_list_cell(out->env, tail, &head, &tail) != 0) {
    length++;
  }
  put_number(out, 108, 1);
  put_number(out, length, 4);
  while (enif_get_list_cell(out->env, term, &head, &term) != 0) {
    put_term(out, head);
  }
  put_term(out, term);
}

static void
put_box(struct out *out, struct box *box)
{
  uint64_t bits;
  switch (box->kind) {
  case BOX_INTEGER:
    put_integer(out, box);
    break;
  case BOX_FLOAT:
    memcpy(&bits, &box->real, sizeof bits);
    put_number(out, 70, 1);
    put_number(out, bits, 8);
    break;
  case BOX_BINARY:
    put_number(out, 109, 1);
    put_number(out, box->size, 4);
    put(out, box->bytes, box->size);
    break;
  case BOX_CONS:
    put_list(out, (ERL_NIF_TERM)box);
    break;
  case BOX_TUPLE:
    put_number(out, 105, 1);
    put_number(out, box->size, 4);
    for (size_t i = 0; i < box->size; i++) {
      put_term(out, elements_of(box)[i]);
    }
    break;
  case BOX_MAP:
    put_number(out, 116, 1);
    put_number(out, box->size, 4);
    for (size_t i = 0; i < box->size; i++) {
      put_term(out, pairs_of(box)[i].key);
      put_term(out, pairs_of(box)[i].value);
    }
    break;
  case BOX_PID:
    put_pid(out, (ERL_NIF_TERM)box);
    break;
  }
}

static void
put_term(struct out *out, ERL_NIF_TERM term)
{
  if (is_atom(term)) {
    put_atom(out, fake_atom_name(term));
  } else if (term == NIL) {
    put_number(out, 106, 1);
  } else if (box_of(term) != NULL) {
    put_box(out, box_of(term));
  } else {
    put_pid(out, term);
  }
}

int
enif_term_to_binary(ErlNifEnv *env, ERL_NIF_TERM term, ErlNifBinary *binary)
{
  struct out out = { .env = env };
  put_number(&out, 131, 1);
  put_term(&out, term);
  memset(binary, 0, sizeof *binary);
  binary->data = out.bytes;
  binary->size = out.size;
  binary->ref_bin = out.bytes;
  return 1;
}

void
enif_release_binary(ErlNifBinary *binary)
{
  free(binary->ref_bin);
  binary->ref_bin = NULL;
  binary->data = NULL;
}

/*--------------------------------------------------------------------
 * From the external format */

static bool read_term(ErlNifEnv *env, struct holt_etf_reader *reader,
                      ERL_NIF_TERM *term);

static ERL_NIF_TERM
pid_of(ErlNifEnv *env, const struct holt_etf_token *token)
{
  uint32_t creation;
  const struct fake_name here = fake_node(env, &creation);
  if (token->creation == creation && token->node_size == here.size &&
      memcmp(token->node, here.name, here.size) == 0) {
    return ((ERL_NIF_TERM)token->serial << 15 | token->id) << 4 | 3;
  }
  struct box *const box = box_new(env, BOX_PID, 0);
  box->node = fake_atom((const char *)token->node, token->node_size);
  box->number = token->id;
  box->serial = token->serial;
  box->creation = token->creation;
  return (ERL_NIF_TERM)box;
}

static bool
read_list(ErlNifEnv *env, struct holt_etf_reader *reader, uint32_t arity,
          ERL_NIF_TERM *term)
{
  ERL_NIF_TERM reversed = NIL;
  ERL_NIF_TERM head;
  for (uint32_t i = 0; i < arity; i++) {
    if (!read_term(env, reader, &head)) {
      return false;
    }
    reversed = enif_make_list_cell(env, head, reversed);
  }
  if (!read_term(env, reader, term)) {
    return false;
  }
  while (enif_get_list_cell(env, reversed, &head, &reversed) != 0) {
    *term = enif_make_list_cell(env, head, *term);
  }
  return true;
}

static bool
read_tuple(ErlNifEnv *env, struct holt_etf_reader *reader, uint32_t arity,
           ERL_NIF_TERM *term)
{
  struct box *const box = box_new(env, BOX_TUPLE, arity * sizeof(ERL_NIF_TERM));
  box->size = arity;
  *term = (ERL_NIF_TERM)box;
  for (uint32_t i = 0; i < arity; i++) {
    if (!read_term(env, reader, &elements_of(box)[i])) {
      return false;
    }
  }
  return true;
}

static bool
read_map(ErlNifEnv *env, struct holt_etf_reader *reader, uint32_t arity,
         ERL_NIF_TERM *term)
{
  *term = enif_make_new_map(env);
  for (uint32_t i = 0; i < arity; i++) {
    struct pair pair;
    if (!read_term(env, reader, &pair.key) ||
        !read_term(env, reader, &pair.value)) {
      return false;
    }
    (void)enif_make_map_put(env, *term, pair.key, pair.value, term);
  }
  return true;
}

static ERL_NIF_TERM
string_of(ErlNifEnv *env, const struct holt_etf_token *token)
{
  ERL_NIF_TERM list = NIL;
  for (size_t i = token->size; i > 0; i--) {
    list =
      enif_make_list_cell(env, integer(env, false, token->bytes[i - 1]), list);
  }
  return list;
}

static ERL_NIF_TERM
big_of(ErlNifEnv *env, const struct holt_etf_token *token)
{
  if (token->size > 8) {
    fake_die("an integer of more than 64 bits");
  }
  uint64_t magnitude = 0;
  for (size_t i = token->size; i > 0; i--) {
    magnitude = magnitude << 8 | token->bytes[i - 1];
  }
  return integer(env, token->negative, magnitude);
}

static bool
read_term(ErlNifEnv *env, struct holt_etf_reader *reader, ERL_NIF_TERM *term)
{
  struct holt_etf_token token;
  if (holt_etf_next(reader, &token) != 0) {
    return false;
  }
  switch (token.type) {
  case HOLT_ETF_INTEGER:
    *term = enif_make_int64(env, token.integer);
    return true;
  case HOLT_ETF_BIG:
    *term = big_of(env, &token);
    return true;
  case HOLT_ETF_FLOAT:
    *term = enif_make_double(env, token.real);
    return true;
  case HOLT_ETF_ATOM:
    *term = fake_atom((const char *)token.bytes, token.size);
    return true;
  case HOLT_ETF_BINARY:
    memcpy(enif_make_new_binary(env, token.size, term), token.bytes,
           token.size);
    return true;
  case HOLT_ETF_STRING:
    *term = string_of(env, &token);
    return true;
  case HOLT_ETF_NIL:
    *term = NIL;
    return true;
  case HOLT_ETF_LIST:
    return read_list(env, reader, token.arity, term);
  case HOLT_ETF_TUPLE:
    return read_tuple(env, reader, token.arity, term);
  case HOLT_ETF_MAP:
    return read_map(env, reader, token.arity, term);
  case HOLT_ETF_PID:
    *term = pid_of(env, &token);
    return true;
  default:
    fake_die("a term of a kind that no test uses");
  }
}

size_t
enif_binary_to_term(ErlNifEnv *env, const unsigned char *bytes, size_t size,
                    ERL_NIF_TERM *term, unsigned options)
{
  (void)options;
  if (size == 0 || bytes[0] != 131) {
    return 0;
  }
  struct holt_etf_reader reader;
  holt_etf_init(&reader, bytes + 1, size - 1);
  return read_term(env, &reader, term) ? (size_t)(reader.at - bytes) : 0;
}
