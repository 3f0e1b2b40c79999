/* SPDX-License-Identifier: Apache-2.0 */
/* Syntax: terms as people write them, and back.
 *
 *     {user, <<"anna">>, [1.5 | x]}   <->   external term format
 *
 * Read are integers (also 16#ff, $a, 1_000), floats, atoms, "strings", binaries
 * (<<"text">>, <<"text"/utf8>>, <<1, 2, 5:3>>), lists, tuples and maps.  Pids,
 * ports, references and funs can be shown, but not written.
 *
 * Text that is shown is a term again wherever it can be; lists of printable
 * characters come as strings, as in a shell.
 *
 * Memory:  results are in a struct ei_x_buff or struct text of the caller's.
 * Threads: none.
 */
#ifndef HOLT_CLIENT_SYNTAX_H
#define HOLT_CLIENT_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ei.h>

#include <holt/etf.h>

/* How deep containers may be nested in what is read, and are shown. */
#define SYNTAX_DEPTH_MAX 64u

/* Append one term to out, in external term format without the version byte.
 * NULL, or what is wrong; *at is then where. */
const char *syntax_read(const char *text, ei_x_buff *out, const char **at);

/* Text that grows.  Zeroed it is empty; bytes is NUL-terminated once it is
 * not.  When memory runs out the program ends. */
struct text {
  char *bytes;
  size_t size;
  size_t capacity;
};

void text_put(struct text *text, const char *bytes, size_t size);
void text_puts(struct text *text, const char *string);
void text_deinit(struct text *text);

/* Show the reader's next term and step over it.  False: it is malformed. */
bool syntax_show(struct holt_etf_reader *reader, struct text *text);

/* Show an atom, quoted if it must be. */
void syntax_show_atom(const uint8_t *name, size_t size, struct text *text);

#endif /* HOLT_CLIENT_SYNTAX_H */
