/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: answers of the daemon for programs.
 *
 * Numbers are numbers, atoms are strings (true and false are themselves),
 * binaries of text are strings, lists are arrays, {Name, Node} and other tuples
 * are arrays, maps with atoms as keys are objects.  All else, and every key and
 * value of a registration, is a string in Erlang's syntax, which loses nothing.
 */
#ifndef HOLT_CLIENT_JSON_H
#define HOLT_CLIENT_JSON_H

#include <jansson.h>

#include <holt/etf.h>

/* The reader's next term; NULL: it is malformed, or memory ran out. */
json_t *json_of(struct holt_etf_reader *reader);

/* The same as a string in Erlang's syntax. */
json_t *json_text_of(struct holt_etf_reader *reader);

#endif /* HOLT_CLIENT_JSON_H */
