/* SPDX-License-Identifier: Apache-2.0 */
#include "controls.h"

#include <stdbool.h>
#include <string.h>

/* f, t: pids; n: a name; r: a reference; i: a number; x: a reason; -: nothing
 * that is wanted. */
struct form {
  uint8_t number;
  const char *letters;
  bool payload;
};

static const struct form forms[CONTROLS_COUNT] = {
  { 1, "ft", false },    { 2, "-t", true },     { 3, "ftx", false },
  { 4, "ft", false },    { 6, "f-n", true },    { 7, "ft", false },
  { 8, "ftx", false },   { 13, "ft-x", false }, { 16, "f-n-", true },
  { 19, "fnr", false },  { 19, "ftr", false },  { 20, "ftr", false },
  { 21, "ftrx", false }, { 22, "ft", true },    { 24, "ft", true },
  { 28, "ftr", true },   { 33, "fr", true },    { 35, "ift", false },
};

static void
put_element(struct term_writer *writer, char letter,
            const struct term_pid *from, const struct term_pid *to)
{
  const uint32_t words[3] = { 7, 8, 9 };
  switch (letter) {
  case 'n':
    term_put_atom(writer, "holtd");
    break;
  case 'r':
    term_put_reference(writer, from->node, from->creation, words, 3);
    break;
  case 'i':
    term_put_uint(writer, UINT64_MAX);
    break;
  case 'x':
    term_put_atom(writer, "normal");
    break;
  case '-':
    term_put_atom(writer, "");
    break;
  default:
    term_put_pid(writer, letter == 'f' ? from : to);
    break;
  }
}

void
controls_put(struct term_writer *writer, unsigned form,
             const struct term_pid *from, const struct term_pid *to)
{
  const char *const letters = forms[form].letters;
  term_put_u8(writer, 112);
  term_put_u8(writer, TERM_VERSION);
  term_put_tuple(writer, (uint32_t)strlen(letters) + 1);
  term_put_uint(writer, forms[form].number);
  for (const char *letter = letters; *letter != 0; letter++) {
    put_element(writer, *letter, from, to);
  }
  if (forms[form].payload) {
    /* What control_alias() looks for. */
    const uint32_t words[2] = { 1, 2 };
    term_put_u8(writer, TERM_VERSION);
    term_put_list(writer, 1);
    term_put_atom(writer, "alias");
    term_put_reference(writer, from->node, from->creation, words, 2);
  }
}
