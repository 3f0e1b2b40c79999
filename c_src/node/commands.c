/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <string.h>

#include <holt/key.h>

#include "describe.h"
#include "log.h"

#define BINARY_TAG 109u
#define BINARY_HEAD_BYTES 5u

static const char known[] =
  "known are {whereis, Inst, Key}, {lookup, Inst, Key}, {count, Inst}, "
  "{list, Inst, #{prefix, limit, from}}, {members, Inst}, {info, Inst} and "
  "info";

/* A command, on its way to its answer. */
struct call {
  struct commands *commands;
  struct term_writer *writer;
  struct instance *instance;
  struct holt_etf_reader reader; /* At the arguments after the instance. */
};

static void
put_error(struct term_writer *writer, const char *what, const char *text)
{
  term_writer_clear(writer);
  term_put_tuple(writer, 2);
  term_put_atom(writer, "error");
  term_put_tuple(writer, 2);
  term_put_atom(writer, what);
  term_put_text(writer, text);
}

/*--------------------------------------------------------------------
 * Views */

static void
put_view_pid(struct term_writer *writer, const struct holt_view *view)
{
  const struct term_pid pid = { .node = term_slice(view->node, view->node_size),
                                .id = view->id,
                                .serial = view->serial,
                                .creation = view->creation };
  term_put_pid(writer, &pid);
}

/* The core has checked that a value is empty, or 131 and a term. */
static void
put_view_value(struct term_writer *writer, const struct holt_view *view)
{
  if (view->value_size < 2) {
    term_put_atom(writer, "undefined");
  } else {
    term_put_raw(writer, view->value + 1, view->value_size - 1);
  }
}

/* The key that comes next in the call, and who has it.  False: nobody, or it
 * is no key, and the answer is written. */
static bool
find(struct call *call, struct holt_view *view)
{
  struct term_slice term;
  struct holt_key key;
  if (!term_read_term(&call->reader, &term)) {
    put_error(call->writer, "unknown_request", known);
    return false;
  }
  holt_key_init(&key, call->commands->mem,
                instance_key_bytes_max(call->instance));
  (void)holt_key_etf(&key, term.bytes, term.size);
  const int rv = holt_key_finish(&key);
  bool found = false;
  if (rv == 0) {
    found = holt_replica_find(instance_replica(call->instance),
                              holt_key_bytes(&key), holt_key_size(&key), view);
  } else {
    put_error(call->writer, "bad_key", holt_error_text(rv));
  }
  holt_key_deinit(&key);
  return found;
}

static void
answer_whereis(struct call *call)
{
  struct holt_view view;
  if (find(call, &view)) {
    put_view_pid(call->writer, &view);
  } else if (call->writer->size == 0) {
    term_put_atom(call->writer, "undefined");
  }
}

static void
answer_lookup(struct call *call)
{
  struct holt_view view;
  if (find(call, &view)) {
    term_put_list(call->writer, 1);
    term_put_tuple(call->writer, 2);
    put_view_pid(call->writer, &view);
    put_view_value(call->writer, &view);
    term_put_nil(call->writer);
  } else if (call->writer->size == 0) {
    term_put_nil(call->writer);
  }
}

static void
answer_count(struct call *call)
{
  term_put_uint(call->writer,
                holt_replica_count(instance_replica(call->instance)));
}

static void
answer_members(struct call *call)
{
  describe_members(call->writer, call->instance);
}

static void
answer_instance_info(struct call *call)
{
  describe_instance(call->writer, call->instance);
}

/*--------------------------------------------------------------------
 * Lists */

struct page {
  struct term_writer *writer;
  struct term_slice prefix; /* Empty: every key. */
  uint64_t limit;
  uint64_t from;
  uint32_t count;
  size_t visits;
};

/* Reads the options; false: one of them is wrong, and that is the answer. */
static bool
read_page(struct holt_etf_reader *reader, struct page *page)
{
  static const char wrong[] =
    "options of list are prefix (a binary), limit (1 to 10000) and from (what "
    "the page before gave)";
  uint32_t pairs = 0;
  bool ok = term_read_map(reader, &pairs);
  for (uint32_t i = 0; i < pairs && ok; i++) {
    if (term_read_atom_is(reader, "prefix")) {
      ok = term_read_binary(reader, &page->prefix);
    } else if (term_read_atom_is(reader, "limit")) {
      ok = term_read_uint(reader, &page->limit) && page->limit > 0 &&
           page->limit <= COMMANDS_LIST_LIMIT_MAX;
    } else {
      ok = term_read_atom_is(reader, "from") &&
           term_read_uint(reader, &page->from);
    }
  }
  if (!ok) {
    put_error(page->writer, "bad_option", wrong);
  }
  return ok;
}

static bool
has_prefix(const struct holt_view *view, struct term_slice prefix)
{
  return view->key_size >= BINARY_HEAD_BYTES + prefix.size &&
         view->key[0] == BINARY_TAG &&
         memcmp(view->key + BINARY_HEAD_BYTES, prefix.bytes, prefix.size) == 0;
}

static bool
put_entry(void *user, const struct holt_view *view)
{
  struct page *const page = user;
  page->visits++;
  if (page->prefix.size == 0 || has_prefix(view, page->prefix)) {
    term_put_tuple(page->writer, 3);
    term_put_raw(page->writer, view->key, view->key_size);
    put_view_pid(page->writer, view);
    put_view_value(page->writer, view);
    page->count++;
  }
  return true;
}

static void
answer_list(struct call *call)
{
  struct term_writer *const writer = call->writer;
  struct page page = { .writer = writer, .limit = COMMANDS_LIST_LIMIT };
  if (!read_page(&call->reader, &page)) {
    return;
  }
  term_put_tuple(writer, 2);
  const size_t opened = term_open_list(writer);
  const struct holt_replica *const replica = instance_replica(call->instance);
  do {
    page.from = holt_replica_scan(replica, page.from, put_entry, &page);
    page.visits++; /* An empty place is one, too. */
  } while (page.from != 0 && page.count < page.limit &&
           page.visits < COMMANDS_LIST_VISITS &&
           writer->size < COMMANDS_LIST_BYTES && writer->error == 0);
  term_close_list(writer, opened, page.count);
  if (page.from == 0) {
    term_put_atom(writer, "done");
  } else {
    term_put_uint(writer, page.from);
  }
}

/*--------------------------------------------------------------------
 * Calls */

struct command {
  const char *name;
  uint32_t arity;
  void (*answer)(struct call *call);
};

static const struct command commands_known[] = {
  { "whereis", 3, answer_whereis }, { "lookup", 3, answer_lookup },
  { "count", 2, answer_count },     { "list", 3, answer_list },
  { "members", 2, answer_members }, { "info", 2, answer_instance_info },
};
#define COMMANDS (sizeof commands_known / sizeof commands_known[0])

static struct instance *
instance_named(const struct commands *commands, struct term_slice name)
{
  for (size_t i = 0; i < commands->instances_count; i++) {
    if (term_slice_is(name, instance_name(commands->instances[i]))) {
      return commands->instances[i];
    }
  }
  return NULL;
}

static void
answer(struct commands *commands, struct term_slice request,
       struct term_writer *writer)
{
  struct call call = { .commands = commands,
                       .writer = writer,
                       .reader = term_reader(request) };
  if (term_is_atom(request, "info")) {
    describe_node(writer, commands);
    return;
  }
  uint32_t arity = 0;
  const struct command *command = NULL;
  if (term_read_tuple_any(&call.reader, &arity)) {
    for (size_t i = 0; i < COMMANDS && command == NULL; i++) {
      if (commands_known[i].arity == arity &&
          term_read_atom_is(&call.reader, commands_known[i].name)) {
        command = &commands_known[i];
      }
    }
  }
  struct term_slice name;
  if (command == NULL || !term_read_atom(&call.reader, &name)) {
    put_error(writer, "unknown_request", known);
    return;
  }
  call.instance = instance_named(commands, name);
  if (call.instance == NULL) {
    put_error(writer, "no_instance", "this node does not hold that instance");
    return;
  }
  command->answer(&call);
}

bool
commands_answer(struct commands *commands, const struct dist_message *message)
{
  struct holt_etf_reader reader = term_reader(message->payload);
  struct term_slice from;
  struct term_slice request;
  if (!term_read_tuple(&reader, 3) ||
      !(term_read_atom_is(&reader, "$gen_call") ||
        term_read_atom_is(&reader, "system")) ||
      !term_read_term(&reader, &from) || !term_read_term(&reader, &request) ||
      !term_read_end(&reader)) {
    return false;
  }
  struct term_writer writer;
  term_writer_init(&writer, commands->mem, 0);
  answer(commands, request, &writer);
  if (writer.error != 0) {
    term_writer_deinit(&writer);
    put_error(&writer, "nomem", holt_error_text(HOLT_ERR_NOMEM));
  }
  const struct term_slice payload = term_writer_slice(&writer);
  const int rv =
    dist_reply(message->peer, commands->process, from, &payload, 1);
  if (rv != 0) {
    log_debug("a caller on %s gets no answer: %s",
              dist_peer_node(message->peer), holt_error_text(rv));
  }
  term_writer_deinit(&writer);
  return true;
}
