/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <assert.h>
#include <stddef.h>

/* What stands before the control tuple. */
#define PASS_THROUGH 112u

/* Bytes of the length before a frame. */
#define LENGTH_BYTES 4u

enum payload {
  NOTHING,
  MESSAGE,
  REASON
};

/* One operation as it is on the wire.  Each letter is an element:
 *
 *     f t   from, to: a pid        F T   a pid, or the atom of a name
 *     n     to: an atom            r     a reference
 *     i     an integer             x     the reason: any term
 *     -     any term, not wanted (a trace token, an old cookie) */
struct form {
  uint8_t number;
  uint8_t op;
  uint8_t payload;
  char elements[6];
};

static const struct form forms[] = {
  { 1, CONTROL_LINK, NOTHING, "ft" },
  { 2, CONTROL_SEND, MESSAGE, "-t" },
  { 3, CONTROL_EXIT, NOTHING, "ftx" },
  { 4, CONTROL_UNLINK, NOTHING, "ft" },
  { 6, CONTROL_REG_SEND, MESSAGE, "f-n" },
  { 7, CONTROL_GROUP_LEADER, NOTHING, "ft" },
  { 8, CONTROL_EXIT2, NOTHING, "ftx" },
  { 12, CONTROL_SEND, MESSAGE, "-t-" },
  { 13, CONTROL_EXIT, NOTHING, "ft-x" },
  { 16, CONTROL_REG_SEND, MESSAGE, "f-n-" },
  { 18, CONTROL_EXIT2, NOTHING, "ft-x" },
  { 19, CONTROL_MONITOR, NOTHING, "fTr" },
  { 20, CONTROL_DEMONITOR, NOTHING, "fTr" },
  { 21, CONTROL_MONITOR_EXIT, NOTHING, "Ftrx" },
  { 22, CONTROL_SEND, MESSAGE, "ft" },
  { 23, CONTROL_SEND, MESSAGE, "ft-" },
  { 24, CONTROL_EXIT, REASON, "ft" },
  { 25, CONTROL_EXIT, REASON, "ft-" },
  { 26, CONTROL_EXIT2, REASON, "ft" },
  { 27, CONTROL_EXIT2, REASON, "ft-" },
  { 28, CONTROL_MONITOR_EXIT, REASON, "Ftr" },
  { 33, CONTROL_ALIAS_SEND, MESSAGE, "fr" },
  { 34, CONTROL_ALIAS_SEND, MESSAGE, "fr-" },
  { 35, CONTROL_UNLINK_ID, NOTHING, "ift" },
  { 36, CONTROL_UNLINK_ID_ACK, NOTHING, "ift" },
};

static const struct form *
form_of(uint64_t number)
{
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if (forms[i].number == number) {
      return &forms[i];
    }
  }
  return NULL;
}

static uint32_t
arity_of(const struct form *form)
{
  uint32_t arity = 1;
  while (form->elements[arity - 1] != 0) {
    arity++;
  }
  return arity;
}

static bool
has_type(struct term_slice term, enum holt_etf_type type)
{
  struct holt_etf_reader reader = term_reader(term);
  struct holt_etf_token token;
  if (holt_etf_next(&reader, &token) != 0 || token.type != type) {
    return false;
  }
  /* Names in Latin-1 could be compared with nothing. */
  struct term_slice name;
  struct term_pid pid;
  reader = term_reader(term);
  return (type != HOLT_ETF_ATOM || term_read_atom(&reader, &name)) &&
         (type != HOLT_ETF_PID || term_is_pid(term, &pid));
}

/* Put a term where its letter says, if it may be there. */
static bool
set_element(struct control *control, char letter, struct term_slice term)
{
  switch (letter) {
  case 'f':
    control->from = term;
    return has_type(term, HOLT_ETF_PID);
  case 'F':
    control->from = term;
    return has_type(term, HOLT_ETF_PID) || has_type(term, HOLT_ETF_ATOM);
  case 't':
    control->to = term;
    return has_type(term, HOLT_ETF_PID);
  case 'T':
    control->to = term;
    return has_type(term, HOLT_ETF_PID) || has_type(term, HOLT_ETF_ATOM);
  case 'n':
    control->to = term;
    return has_type(term, HOLT_ETF_ATOM);
  case 'r':
    control->ref = term;
    return has_type(term, HOLT_ETF_REFERENCE);
  case 'i':
    control->id = term;
    return has_type(term, HOLT_ETF_INTEGER) || has_type(term, HOLT_ETF_BIG);
  case 'x':
    control->reason = term;
    return true;
  default:
    return true;
  }
}

static bool
read_payload(struct holt_etf_reader *reader, struct term_slice *payload)
{
  if (reader->at == reader->end || *reader->at != TERM_VERSION) {
    return false;
  }
  reader->at++;
  return term_read_term(reader, payload);
}

/* The number of the operation, and how many elements its tuple has. */
static int
read_head(struct holt_etf_reader *reader, uint64_t *number, uint32_t *arity)
{
  if (reader->at == reader->end) {
    return HOLT_ERR_MALFORMED;
  }
  if (*reader->at != PASS_THROUGH) {
    return HOLT_ERR_UNSUPPORTED;
  }
  reader->at++;
  if (reader->at == reader->end || *reader->at != TERM_VERSION) {
    return HOLT_ERR_MALFORMED;
  }
  reader->at++;
  if (!term_read_tuple_any(reader, arity) || !term_read_uint(reader, number)) {
    return HOLT_ERR_MALFORMED;
  }
  return 0;
}

int
control_read(struct term_slice frame, struct control *control)
{
  *control = (struct control){ 0 };
  struct holt_etf_reader reader = term_reader(frame);
  uint64_t number = 0;
  uint32_t arity = 0;
  const int rv = read_head(&reader, &number, &arity);
  if (rv != 0) {
    return rv;
  }
  control->number = number > UINT16_MAX ? UINT16_MAX : (unsigned)number;
  const struct form *form = form_of(number);
  if (form == NULL) {
    return HOLT_ERR_UNSUPPORTED;
  }
  if (arity != arity_of(form)) {
    return HOLT_ERR_MALFORMED;
  }
  control->op = (enum control_op)form->op;
  for (const char *letter = form->elements; *letter != 0; letter++) {
    struct term_slice term;
    if (!term_read_term(&reader, &term) ||
        !set_element(control, *letter, term)) {
      return HOLT_ERR_MALFORMED;
    }
  }
  struct term_slice *const payload =
    form->payload == REASON ? &control->reason : &control->payload;
  if (form->payload != NOTHING && !read_payload(&reader, payload)) {
    return HOLT_ERR_MALFORMED;
  }
  return term_read_end(&reader) ? 0 : HOLT_ERR_MALFORMED;
}

void
control_put(struct term_writer *writer, enum control_op op,
            const struct term_slice *elements, uint32_t count)
{
  assert(writer->size == 0);

  term_put_u32(writer, 0);
  term_put_u8(writer, PASS_THROUGH);
  term_put_u8(writer, TERM_VERSION);
  term_put_tuple(writer, count + 1);
  term_put_uint(writer, (uint64_t)op);
  for (uint32_t i = 0; i < count; i++) {
    term_put_slice(writer, elements[i]);
  }
}

void
control_put_payload(struct term_writer *writer)
{
  term_put_u8(writer, TERM_VERSION);
}

int
control_finish(struct term_writer *writer, uint64_t more)
{
  if (writer->error != 0) {
    return writer->error;
  }
  assert(writer->size >= LENGTH_BYTES);
  const uint64_t size = writer->size - LENGTH_BYTES;
  if (more > UINT32_MAX - size) {
    return HOLT_ERR_TOO_LARGE;
  }
  const uint32_t length = (uint32_t)(size + more);
  for (unsigned i = 0; i < LENGTH_BYTES; i++) {
    writer->data[i] = (uint8_t)(length >> (24 - 8 * i));
  }
  return 0;
}

bool
control_alias(struct term_slice tag, struct term_slice *ref)
{
  struct holt_etf_reader reader = term_reader(tag);
  /* The inner list first, if there are two. */
  for (unsigned depth = 0; depth < 2; depth++) {
    uint32_t count;
    if (!term_read_list(&reader, &count) || count != 1) {
      return false;
    }
    if (term_read_atom_is(&reader, "alias")) {
      struct term_slice found;
      if (!term_read_term(&reader, &found) ||
          !has_type(found, HOLT_ETF_REFERENCE)) {
        return false;
      }
      *ref = found;
      return true;
    }
  }
  return false;
}
