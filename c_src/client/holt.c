/* SPDX-License-Identifier: Apache-2.0 */
/* holt: asks a daemon what it holds.  docs/cnode.md. */
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "ask.h"
#include "json.h"
#include "syntax.h"

/* Exit codes, as documented. */
enum {
  EXIT_FOUND = 0,
  EXIT_NOTHING = 1,
  EXIT_USAGE = 2,
  EXIT_UNREACHABLE = 3,
  EXIT_REFUSED = 4
};

#define TIMEOUT_MS 5000u
#define PAGE_LIMIT 1000u

static const char usage[] =
  "usage: holt [options] COMMAND\n"
  "\n"
  "  whereis INST KEY     the process that has this name\n"
  "  lookup INST KEY      the processes, and their values\n"
  "  list INST            every name: key, process, value; where keys are not\n"
  "                       unique: key, how many processes\n"
  "  explain INST KEY     every registration of this name, in order of rank\n"
  "  watch INST           what changes, line by line, until interrupted\n"
  "  count INST [NODE]    how many names, all or those of a node's processes\n"
  "  members INST         who takes part\n"
  "  peers INST           the other members, and how far each has come\n"
  "  in_sync INST         do all members hold the same names?\n"
  "  status               each instance, in short\n"
  "  info [INST]          the daemon, or one instance, in numbers\n"
  "\n"
  "KEY is a term in Erlang's syntax: '{user, 7}', '<<\"anna\">>'.\n"
  "\n"
  "  --node NODE          whom to ask (HOLT_NODE, or holtd@this machine)\n"
  "  --cookie-file FILE   its first line is the cookie (~/.erlang.cookie)\n"
  "  --timeout-ms N       how long to wait (5000)\n"
  "  --json               for programs\n"
  "  --all                of members: those too that are not here now\n"
  "  --prefix TEXT        of list, watch: only binary keys that begin with "
  "this\n"
  "  --key KEY            of watch: only this key\n"
  "  --limit N            of list: about as many entries, then say from where\n"
  "  --from CURSOR        ... to go on\n"
  "  --version, --help\n"
  "\n"
  "Exits with 0; 1: nobody has that name, or not in sync; 2: a wrong command\n"
  "line; 3: the daemon cannot be asked; 4: it refused.\n";

struct holt {
  const char *node;
  const char *cookie_file;
  unsigned timeout_ms;
  bool json;
  bool all;
  const char *prefix;
  const char *key;
  uint64_t limit; /* 0: all. */
  uint64_t from;
  char **arguments; /* After the command. */
  int arguments_count;
  struct ask ask;
};

__attribute__((format(printf, 2, 3), noreturn)) static void
fail(int status, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  fputs("holt: ", stderr);
  (void)vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(status);
}

/*--------------------------------------------------------------------
 * Asking */

static void
read_cookie(const char *path, char *cookie, size_t size)
{
  char home_path[4096];
  if (path == NULL) {
    const char *const home = getenv("HOME");
    (void)snprintf(home_path, sizeof home_path, "%s/.erlang.cookie",
                   home != NULL ? home : "");
    path = home_path;
  }
  FILE *const file = fopen(path, "re");
  if (file == NULL || fgets(cookie, (int)size, file) == NULL) {
    fail(EXIT_USAGE, "cannot read a cookie from %s", path);
  }
  cookie[strcspn(cookie, "\r\n")] = '\0';
  (void)fclose(file);
}

static void
default_node(char *node, size_t size)
{
  char host[256] = "localhost";
  (void)gethostname(host, sizeof host - 1);
  (void)snprintf(node, size, "holtd@%s", host);
}

static void
connect_node(struct holt *holt)
{
  static char node[MAXNODELEN + 1];
  char cookie[258];
  const char *why = "";
  if (holt->node == NULL) {
    holt->node = getenv("HOLT_NODE");
  }
  if (holt->node == NULL) {
    default_node(node, sizeof node);
    holt->node = node;
  }
  if (strchr(holt->node, '@') == NULL) {
    fail(EXIT_USAGE, "%s: a node looks like holtd@host", holt->node);
  }
  read_cookie(holt->cookie_file, cookie, sizeof cookie);
  if (!ask_open(&holt->ask, holt->node, cookie, holt->timeout_ms, &why)) {
    fail(EXIT_UNREACHABLE, "%s: %s", holt->node, why);
  }
}

static void
must(bool ok)
{
  if (!ok) {
    fail(EXIT_FAILURE, "out of memory");
  }
}

/* {Command, Inst, ...}: arity terms, of which the last may follow. */
static void
begin(struct holt *holt, const char *command, int arity)
{
  const char *const instance = holt->arguments[0];
  must(ask_begin(&holt->ask) &&
       ei_x_encode_tuple_header(&holt->ask.request, arity) == 0 &&
       ei_x_encode_atom(&holt->ask.request, command) == 0);
  if (!holt_etf_is_atom_name((const uint8_t *)instance, strlen(instance)) ||
      ei_x_encode_atom_len_as(&holt->ask.request, instance,
                              (int)strlen(instance), ERLANG_UTF8,
                              ERLANG_UTF8) != 0) {
    fail(EXIT_USAGE, "%s: not the name of an instance", instance);
  }
}

/* The text of a key, which has been checked. */
static void
put_key(struct holt *holt, const char *text)
{
  const char *at;
  must(syntax_read(text, &holt->ask.request, &at) == NULL);
}

/* A key that is none is said before anybody is asked. */
static void
check_key(const char *text)
{
  ei_x_buff scratch;
  const char *at;
  must(ei_x_new(&scratch) == 0);
  const char *const wrong = syntax_read(text, &scratch, &at);
  if (wrong != NULL) {
    fail(EXIT_USAGE, "the key, at \"%s\": %s", at, wrong);
  }
  (void)ei_x_free(&scratch);
}

static bool
next_is_atom(struct holt_etf_reader *reader, const char *name)
{
  struct holt_etf_reader ahead = *reader;
  struct holt_etf_token token;
  if (holt_etf_next(&ahead, &token) != 0 || token.type != HOLT_ETF_ATOM ||
      token.size != strlen(name) ||
      memcmp(token.bytes, name, token.size) != 0) {
    return false;
  }
  *reader = ahead;
  return true;
}

static bool
next_is_tuple(struct holt_etf_reader *reader, uint32_t arity)
{
  struct holt_etf_reader ahead = *reader;
  struct holt_etf_token token;
  if (holt_etf_next(&ahead, &token) != 0 || token.type != HOLT_ETF_TUPLE ||
      token.arity != arity) {
    return false;
  }
  *reader = ahead;
  return true;
}

/* {error, {What, Text}}. */
static void
check_refused(const struct holt_etf_reader *answer)
{
  struct holt_etf_reader reader = *answer;
  struct holt_etf_token what;
  struct holt_etf_token text;
  if (next_is_tuple(&reader, 2) && next_is_atom(&reader, "error") &&
      next_is_tuple(&reader, 2) && holt_etf_next(&reader, &what) == 0 &&
      what.type == HOLT_ETF_ATOM && holt_etf_next(&reader, &text) == 0 &&
      text.type == HOLT_ETF_BINARY) {
    fail(EXIT_REFUSED, "%.*s (%.*s)", (int)text.size, (const char *)text.bytes,
         (int)what.size, (const char *)what.bytes);
  }
}

static struct holt_etf_reader
call(struct holt *holt)
{
  struct holt_etf_reader answer = { .at = NULL };
  const char *why = "";
  if (!ask_call(&holt->ask, &answer, &why)) {
    fail(EXIT_UNREACHABLE, "%s: %s", holt->node, why);
  }
  check_refused(&answer);
  return answer;
}

/*--------------------------------------------------------------------
 * Telling */

__attribute__((noreturn)) static void
unexpected(const struct holt *holt)
{
  fail(EXIT_UNREACHABLE, "%s: its answer is not understood", holt->node);
}

/* Takes the value. */
static void
print_json(json_t *json)
{
  must(json != NULL &&
       json_dumpf(json, stdout, JSON_ENCODE_ANY | JSON_COMPACT) == 0);
  putchar('\n');
  json_decref(json);
}

static void
print_term(const struct holt *holt, struct holt_etf_reader *reader, char after)
{
  struct text text = { .bytes = NULL };
  if (!syntax_show(reader, &text)) {
    unexpected(holt);
  }
  (void)fwrite(text.bytes, 1, text.size, stdout);
  putchar(after);
  text_deinit(&text);
}

/* A pid as an object's "pid" and "node". */
static void
json_put_pid(const struct holt *holt, json_t *object,
             struct holt_etf_reader *reader)
{
  struct holt_etf_reader ahead = *reader;
  struct holt_etf_token token;
  if (holt_etf_next(&ahead, &token) != 0 || token.type != HOLT_ETF_PID) {
    unexpected(holt);
  }
  must(json_object_set_new(object, "pid", json_text_of(reader)) == 0);
  must(json_object_set_new(
         object, "node",
         json_stringn((const char *)token.node, token.node_size)) == 0);
}

static int
run_whereis(struct holt *holt)
{
  begin(holt, "whereis", 3);
  put_key(holt, holt->arguments[1]);
  struct holt_etf_reader answer = call(holt);
  const bool found = !next_is_atom(&answer, "undefined");
  if (holt->json) {
    json_t *const json = found ? json_object() : json_null();
    if (found) {
      json_put_pid(holt, json, &answer);
    }
    print_json(json);
  } else if (found) {
    print_term(holt, &answer, '\n');
  }
  return found ? EXIT_FOUND : EXIT_NOTHING;
}

/* The head of a list; 0: it is empty. */
static uint32_t
list_count(const struct holt *holt, struct holt_etf_reader *reader)
{
  struct holt_etf_token token;
  if (holt_etf_next(reader, &token) != 0 ||
      (token.type != HOLT_ETF_LIST && token.type != HOLT_ETF_NIL)) {
    unexpected(holt);
  }
  return token.type == HOLT_ETF_LIST ? token.arity : 0;
}

/* {Key, Count}, where keys are not unique. */
static void
tell_count(const struct holt *holt, struct holt_etf_reader *reader,
           json_t *array)
{
  if (array == NULL) {
    print_term(holt, reader, '\t');
    print_term(holt, reader, '\n');
    return;
  }
  json_t *const key = json_text_of(reader);
  json_t *const count = json_of(reader);
  must(json_array_append_new(
         array, json_pack("{s:o,s:o}", "key", key, "count", count)) == 0);
}

/* One {Pid, Value}, or {Key, Pid, Value}, as a line or an object. */
static void
tell_entry(const struct holt *holt, struct holt_etf_reader *reader,
           bool with_key, json_t *array)
{
  if (with_key && next_is_tuple(reader, 2)) {
    tell_count(holt, reader, array);
    return;
  }
  if (!next_is_tuple(reader, with_key ? 3 : 2)) {
    unexpected(holt);
  }
  if (array == NULL) {
    if (with_key) {
      print_term(holt, reader, '\t');
    }
    print_term(holt, reader, '\t');
    print_term(holt, reader, '\n');
    return;
  }
  json_t *const object = json_object();
  must(!with_key ||
       json_object_set_new(object, "key", json_text_of(reader)) == 0);
  json_put_pid(holt, object, reader);
  must(json_object_set_new(object, "value", json_text_of(reader)) == 0);
  must(json_array_append_new(array, object) == 0);
}

static int
run_lookup(struct holt *holt)
{
  begin(holt, "lookup", 3);
  put_key(holt, holt->arguments[1]);
  struct holt_etf_reader answer = call(holt);
  json_t *const array = holt->json ? json_array() : NULL;
  const uint32_t count = list_count(holt, &answer);
  for (uint32_t i = 0; i < count; i++) {
    tell_entry(holt, &answer, false, array);
  }
  if (array != NULL) {
    print_json(array);
  }
  return count > 0 ? EXIT_FOUND : EXIT_NOTHING;
}

/*--------------------------------------------------------------------
 * Lists */

static void
put_page(struct holt *holt, uint64_t limit)
{
  ei_x_buff *const request = &holt->ask.request;
  begin(holt, "list", 3);
  must(ei_x_encode_map_header(request, holt->prefix != NULL ? 3 : 2) == 0 &&
       ei_x_encode_atom(request, "limit") == 0 &&
       ei_x_encode_ulonglong(request, limit) == 0 &&
       ei_x_encode_atom(request, "from") == 0 &&
       ei_x_encode_ulonglong(request, holt->from) == 0);
  if (holt->prefix != NULL) {
    must(ei_x_encode_atom(request, "prefix") == 0 &&
         ei_x_encode_binary(request, holt->prefix, (int)strlen(holt->prefix)) ==
           0);
  }
}

/* The cursor of the next page, or `done'. */
static bool
read_next(const struct holt *holt, struct holt_etf_reader *reader,
          uint64_t *next)
{
  struct holt_etf_token token;
  if (next_is_atom(reader, "done")) {
    return false;
  }
  if (holt_etf_next(reader, &token) != 0 ||
      (token.type != HOLT_ETF_INTEGER && token.type != HOLT_ETF_BIG)) {
    unexpected(holt);
  }
  *next = (uint64_t)token.integer;
  for (size_t i = token.size; token.type == HOLT_ETF_BIG && i > 0; i--) {
    *next = *next << 8 | token.bytes[i - 1];
  }
  return true;
}

static int
run_list(struct holt *holt)
{
  json_t *const array = holt->json ? json_array() : NULL;
  uint64_t told = 0;
  bool more = true;
  while (more && (holt->limit == 0 || told < holt->limit)) {
    const uint64_t left = holt->limit == 0 ? PAGE_LIMIT : holt->limit - told;
    put_page(holt, left < PAGE_LIMIT ? left : PAGE_LIMIT);
    struct holt_etf_reader answer = call(holt);
    if (!next_is_tuple(&answer, 2)) {
      unexpected(holt);
    }
    const uint32_t count = list_count(holt, &answer);
    for (uint32_t i = 0; i < count; i++) {
      tell_entry(holt, &answer, true, array);
    }
    struct holt_etf_token tail;
    if (count > 0 && holt_etf_next(&answer, &tail) != 0) {
      unexpected(holt);
    }
    told += count;
    more = read_next(holt, &answer, &holt->from);
  }
  if (array != NULL) {
    json_t *const next =
      more ? json_integer((json_int_t)holt->from) : json_null();
    print_json(json_pack("{s:o,s:o}", "entries", array, "next", next));
  } else if (more) {
    fprintf(stderr, "more: --from %" PRIu64 "\n", holt->from);
  }
  return EXIT_FOUND;
}

/*--------------------------------------------------------------------
 * Numbers */

static int
run_count(struct holt *holt)
{
  begin(holt, "count", holt->arguments_count + 1);
  if (holt->arguments_count > 1) {
    const char *const node = holt->arguments[1];
    if (strchr(node, '@') == NULL || strlen(node) > MAXNODELEN) {
      fail(EXIT_USAGE, "%s: a node looks like name@host", node);
    }
    must(ei_x_encode_atom_len_as(&holt->ask.request, node, (int)strlen(node),
                                 ERLANG_UTF8, ERLANG_UTF8) == 0);
  }
  struct holt_etf_reader answer = call(holt);
  print_term(holt, &answer, '\n');
  return EXIT_FOUND;
}

/* A line of each map: its keys, or its values. */
static void
print_map(const struct holt *holt, struct holt_etf_reader *reader, bool keys)
{
  struct holt_etf_token map;
  if (holt_etf_next(reader, &map) != 0 || map.type != HOLT_ETF_MAP) {
    unexpected(holt);
  }
  for (uint32_t i = 0; i < map.arity; i++) {
    const char after = i + 1 < map.arity ? '\t' : '\n';
    struct text skipped = { .bytes = NULL };
    if (keys) {
      print_term(holt, reader, after);
    }
    if (!syntax_show(reader, &skipped)) {
      unexpected(holt);
    }
    text_deinit(&skipped);
    if (!keys) {
      print_term(holt, reader, after);
    }
  }
}

/* A list of maps that have the same keys, under a line of these. */
static void
print_table(const struct holt *holt, struct holt_etf_reader *reader)
{
  const uint32_t count = list_count(holt, reader);
  if (count > 0) {
    struct holt_etf_reader ahead = *reader;
    print_map(holt, &ahead, true);
  }
  for (uint32_t i = 0; i < count; i++) {
    print_map(holt, reader, false);
  }
}

static int
tell_table(struct holt *holt)
{
  struct holt_etf_reader answer = call(holt);
  if (holt->json) {
    print_json(json_of(&answer));
  } else {
    print_table(holt, &answer);
  }
  return EXIT_FOUND;
}

/*--------------------------------------------------------------------
 * Rows */

/* {Pid, Value}, or `undefined'. */
static json_t *
json_of_entry(const struct holt *holt, struct holt_etf_reader *reader)
{
  if (next_is_atom(reader, "undefined")) {
    return json_null();
  }
  json_t *const object = json_object();
  if (!next_is_tuple(reader, 2)) {
    unexpected(holt);
  }
  json_put_pid(holt, object, reader);
  must(json_object_set_new(object, "value", json_text_of(reader)) == 0);
  return object;
}

/* A map that tells of a registration. */
static json_t *
json_of_row(const struct holt *holt, struct holt_etf_reader *reader)
{
  struct holt_etf_token map;
  json_t *const object = json_object();
  if (holt_etf_next(reader, &map) != 0 || map.type != HOLT_ETF_MAP) {
    unexpected(holt);
  }
  for (uint32_t i = 0; i < map.arity; i++) {
    if (next_is_atom(reader, "pid")) {
      json_put_pid(holt, object, reader);
    } else if (next_is_atom(reader, "key")) {
      must(json_object_set_new(object, "key", json_text_of(reader)) == 0);
    } else if (next_is_atom(reader, "value")) {
      must(json_object_set_new(object, "value", json_text_of(reader)) == 0);
    } else if (next_is_atom(reader, "previous")) {
      json_t *const previous = json_of_entry(holt, reader);
      must(json_object_set_new(object, "previous", previous) == 0);
    } else {
      json_t *const name = json_of(reader);
      must(name != NULL && json_is_string(name) &&
           json_object_set_new(object, json_string_value(name),
                               json_of(reader)) == 0);
      json_decref(name);
    }
  }
  return object;
}

static int
run_explain(struct holt *holt)
{
  begin(holt, "explain", 3);
  put_key(holt, holt->arguments[1]);
  struct holt_etf_reader answer = call(holt);
  struct holt_etf_reader ahead = answer;
  const uint32_t count = list_count(holt, &ahead);
  if (!holt->json) {
    print_table(holt, &answer);
  } else {
    json_t *const array = json_array();
    for (uint32_t i = 0; i < count; i++) {
      must(json_array_append_new(array, json_of_row(holt, &ahead)) == 0);
    }
    print_json(array);
  }
  return count > 0 ? EXIT_FOUND : EXIT_NOTHING;
}

/*--------------------------------------------------------------------
 * Watching */

static void
put_watch(struct holt *holt)
{
  ei_x_buff *const request = &holt->ask.request;
  begin(holt, "watch", 3);
  if (holt->prefix == NULL && holt->key == NULL) {
    must(ei_x_encode_atom(request, "all") == 0);
    return;
  }
  must(ei_x_encode_tuple_header(request, 2) == 0 &&
       ei_x_encode_atom(request, holt->key != NULL ? "key" : "prefix") == 0);
  if (holt->key != NULL) {
    put_key(holt, holt->key);
  } else {
    must(ei_x_encode_binary(request, holt->prefix, (int)strlen(holt->prefix)) ==
         0);
  }
}

/* {holt, Ref, Seq, [map()]}, a line of each. */
static void
tell_changes(const struct holt *holt, struct holt_etf_reader *message)
{
  if (!next_is_tuple(message, 4) || !next_is_atom(message, "holt") ||
      holt_etf_skip(message) != 0 || holt_etf_skip(message) != 0) {
    unexpected(holt);
  }
  const uint32_t count = list_count(holt, message);
  for (uint32_t i = 0; i < count; i++) {
    if (holt->json) {
      print_json(json_of_row(holt, message));
    } else {
      print_map(holt, message, false);
    }
  }
  if (fflush(stdout) != 0) {
    fail(EXIT_FAILURE, "cannot write what changes");
  }
}

static int
run_watch(struct holt *holt)
{
  if (holt->prefix != NULL && holt->key != NULL) {
    fail(EXIT_USAGE, "watch: --prefix and --key exclude each other");
  }
  put_watch(holt);
  (void)call(holt);
  struct holt_etf_reader message;
  const char *why = "";
  while (ask_hear(&holt->ask, &message, &why)) {
    tell_changes(holt, &message);
  }
  fail(EXIT_UNREACHABLE, "%s: %s", holt->node, why);
}

/*--------------------------------------------------------------------
 * Maps */

static int
run_peers(struct holt *holt)
{
  begin(holt, "peers", 2);
  return tell_table(holt);
}

static int
run_status(struct holt *holt)
{
  must(ask_begin(&holt->ask) &&
       ei_x_encode_atom(&holt->ask.request, "status") == 0);
  return tell_table(holt);
}

static int
run_in_sync(struct holt *holt)
{
  begin(holt, "in_sync", 2);
  struct holt_etf_reader answer = call(holt);
  struct holt_etf_reader ahead = answer;
  const bool in_sync = next_is_atom(&ahead, "true");
  print_term(holt, &answer, '\n');
  return in_sync ? EXIT_FOUND : EXIT_NOTHING;
}

static int
run_members(struct holt *holt)
{
  if (holt->all) {
    begin(holt, "members", 3);
    must(ei_x_encode_atom(&holt->ask.request, "all") == 0);
    return tell_table(holt);
  }
  begin(holt, "members", 2);
  struct holt_etf_reader answer = call(holt);
  json_t *const array = holt->json ? json_array() : NULL;
  const uint32_t count = list_count(holt, &answer);
  for (uint32_t i = 0; i < count; i++) {
    if (!next_is_tuple(&answer, 2)) {
      unexpected(holt);
    }
    if (array == NULL) {
      print_term(holt, &answer, '\t');
      print_term(holt, &answer, '\n');
    } else {
      json_t *const name = json_of(&answer);
      json_t *const node = json_of(&answer);
      must(json_array_append_new(
             array, json_pack("{s:o,s:o}", "name", name, "node", node)) == 0);
    }
  }
  if (array != NULL) {
    print_json(array);
  }
  return EXIT_FOUND;
}

static int
run_info(struct holt *holt)
{
  if (holt->arguments_count > 0) {
    begin(holt, "info", 2);
  } else {
    must(ask_begin(&holt->ask) &&
         ei_x_encode_atom(&holt->ask.request, "info") == 0);
  }
  struct holt_etf_reader answer = call(holt);
  if (holt->json) {
    print_json(json_of(&answer));
    return EXIT_FOUND;
  }
  struct holt_etf_token map;
  if (holt_etf_next(&answer, &map) != 0 || map.type != HOLT_ETF_MAP) {
    unexpected(holt);
  }
  for (uint32_t i = 0; i < map.arity; i++) {
    print_term(holt, &answer, '\t');
    print_term(holt, &answer, '\n');
  }
  return EXIT_FOUND;
}

/*--------------------------------------------------------------------
 * Command line */

struct command {
  const char *name;
  int arguments_min;
  int arguments_max;
  bool has_key; /* The second one. */
  int (*run)(struct holt *holt);
};

static const struct command commands[] = {
  { "whereis", 2, 2, true, run_whereis },
  { "lookup", 2, 2, true, run_lookup },
  { "explain", 2, 2, true, run_explain },
  { "list", 1, 1, false, run_list },
  { "watch", 1, 1, false, run_watch },
  { "count", 1, 2, false, run_count },
  { "members", 1, 1, false, run_members },
  { "peers", 1, 1, false, run_peers },
  { "in_sync", 1, 1, false, run_in_sync },
  { "status", 0, 0, false, run_status },
  { "info", 0, 1, false, run_info },
};

enum {
  FLAG_NODE = 256,
  FLAG_COOKIE_FILE,
  FLAG_TIMEOUT_MS,
  FLAG_JSON,
  FLAG_ALL,
  FLAG_PREFIX,
  FLAG_KEY,
  FLAG_LIMIT,
  FLAG_FROM,
  FLAG_VERSION,
  FLAG_HELP
};

static const struct option flags[] = {
  { "node", required_argument, NULL, FLAG_NODE },
  { "cookie-file", required_argument, NULL, FLAG_COOKIE_FILE },
  { "timeout-ms", required_argument, NULL, FLAG_TIMEOUT_MS },
  { "json", no_argument, NULL, FLAG_JSON },
  { "all", no_argument, NULL, FLAG_ALL },
  { "prefix", required_argument, NULL, FLAG_PREFIX },
  { "key", required_argument, NULL, FLAG_KEY },
  { "limit", required_argument, NULL, FLAG_LIMIT },
  { "from", required_argument, NULL, FLAG_FROM },
  { "version", no_argument, NULL, FLAG_VERSION },
  { "help", no_argument, NULL, FLAG_HELP },
  { NULL, 0, NULL, 0 },
};

static uint64_t
number(const char *text, uint64_t max)
{
  char *end;
  const unsigned long long value = strtoull(text, &end, 10);
  if (isdigit((unsigned char)*text) == 0 || *end != '\0' || value > max) {
    fail(EXIT_USAGE, "%s: not a number that fits here", text);
  }
  return value;
}

static void
take_flag(struct holt *holt, int flag, const char *value)
{
  switch (flag) {
  case FLAG_NODE:
    holt->node = value;
    break;
  case FLAG_COOKIE_FILE:
    holt->cookie_file = value;
    break;
  case FLAG_TIMEOUT_MS:
    holt->timeout_ms = (unsigned)number(value, 3600000);
    break;
  case FLAG_ALL:
    holt->all = true;
    break;
  case FLAG_JSON:
    holt->json = true;
    break;
  case FLAG_PREFIX:
    holt->prefix = value;
    break;
  case FLAG_KEY:
    holt->key = value;
    check_key(value);
    break;
  case FLAG_LIMIT:
    holt->limit = number(value, UINT32_MAX);
    break;
  case FLAG_FROM:
    holt->from = number(value, UINT64_MAX);
    break;
  case FLAG_VERSION:
    puts("holt " HOLT_VERSION);
    exit(EXIT_FOUND);
  case FLAG_HELP:
    fputs(usage, stdout);
    exit(EXIT_FOUND);
  default:
    fail(EXIT_USAGE, "holt --help lists the options");
  }
}

/* A negative number is a key, not an option: a blank before it tells so. */
static void
shield_numbers(int argc, char **argv)
{
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] == '-' && isdigit((unsigned char)argv[i][1]) != 0) {
      const size_t size = strlen(argv[i]) + 2;
      char *const shielded = malloc(size); /* As long-lived as argv. */
      must(shielded != NULL);
      (void)snprintf(shielded, size, " %s", argv[i]);
      argv[i] = shielded;
    }
  }
}

int
main(int argc, char **argv)
{
  struct holt holt = { .timeout_ms = TIMEOUT_MS };
  shield_numbers(argc, argv);
  int flag;
  while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
    take_flag(&holt, flag, optarg);
  }
  const struct command *command = NULL;
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
    if (optind < argc && strcmp(argv[optind], commands[i].name) == 0) {
      command = &commands[i];
    }
  }
  if (command == NULL) {
    fail(EXIT_USAGE,
         optind < argc ? "%s: no such command; see holt --help"
                       : "%sa command is missing; see holt --help",
         optind < argc ? argv[optind] : "");
  }
  holt.arguments = argv + optind + 1;
  holt.arguments_count = argc - optind - 1;
  if (holt.arguments_count < command->arguments_min ||
      holt.arguments_count > command->arguments_max) {
    fail(EXIT_USAGE, "%s: too many arguments, or too few; see holt --help",
         command->name);
  }
  if (command->has_key) {
    check_key(holt.arguments[1]);
  }
  connect_node(&holt);
  const int status = command->run(&holt);
  ask_close(&holt.ask);
  if (fflush(stdout) != 0) {
    fail(EXIT_FAILURE, "cannot write the answer");
  }
  return status;
}
