/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <string.h>

#include <holt/key.h>

#include "describe.h"
#include "log.h"

static const char known[] =
  "known are {whereis, Inst, Key}, {lookup, Inst, Key}, {explain, Inst, Key}, "
  "{prefix, Inst, Binary}, {list, Inst, #{prefix, limit, from}}, {count, "
  "Inst}, {count, Inst, Node}, {watch, Inst, all | {key, Key} | {prefix, "
  "Binary}}, {unwatch, Ref}, {members, Inst}, {members, Inst, all}, {peers, "
  "Inst}, {in_sync, Inst}, {info, Inst}, status and info";

/* A command, on its way to its answer. */
struct call {
  struct commands *commands;
  const struct dist_message *message;
  struct term_slice from;
  struct term_writer *writer;
  struct instance *instance;
  struct holt_etf_reader reader; /* At the arguments after the instance. */
  bool later;                    /* Somebody else answers it. */
  uint64_t watch;                /* Begun by it; 0: none. */
};

void
commands_put_error(struct term_writer *writer, const char *what,
                   const char *text)
{
  term_writer_clear(writer);
  term_put_tuple(writer, 2);
  term_put_atom(writer, "error");
  term_put_tuple(writer, 2);
  term_put_atom(writer, what);
  term_put_text(writer, text);
}

static void
put_unknown(struct call *call)
{
  commands_put_error(call->writer, "unknown_request", known);
}

/*--------------------------------------------------------------------
 * Keys */

/* Read the key that comes next in the call.  False: it is none, and that is the
 * answer.  Otherwise holt_key_deinit() has to follow. */
static bool
read_key(struct call *call, struct holt_key *key)
{
  struct term_slice term;
  if (!term_read_term(&call->reader, &term)) {
    put_unknown(call);
    return false;
  }
  holt_key_init(key, call->commands->mem,
                instance_key_bytes_max(call->instance));
  (void)holt_key_etf(key, term.bytes, term.size);
  const int rv = holt_key_finish(key);
  if (rv != 0) {
    commands_put_error(call->writer, "bad_key", holt_error_text(rv));
    holt_key_deinit(key);
  }
  return rv == 0;
}

static void
answer_whereis(struct call *call)
{
  struct holt_key key;
  struct holt_view view;
  if (!instance_is_unique(call->instance)) {
    commands_put_error(call->writer, "not_unique",
                       "keys of this instance are not unique: use lookup");
  } else if (read_key(call, &key)) {
    if (holt_replica_find(instance_replica(call->instance),
                          holt_key_bytes(&key), holt_key_size(&key), &view)) {
      lookup_put_pid(call->writer, &view);
    } else {
      term_put_atom(call->writer, "undefined");
    }
    holt_key_deinit(&key);
  }
}

static void
lookup_one(struct call *call, const struct holt_key *key)
{
  struct holt_view view;
  if (holt_replica_find(instance_replica(call->instance), holt_key_bytes(key),
                        holt_key_size(key), &view)) {
    term_put_list(call->writer, 1);
    lookup_put(call->writer, &view);
  }
  term_put_nil(call->writer);
}

static void
put_error(struct call *call, int error)
{
  commands_put_error(call->writer, holt_error_name(error),
                     holt_error_text(error));
}

/* What a lookup answers, unless this is an error. */
static void
answer_later(struct call *call, int rv)
{
  call->later = rv == 0;
  if (rv == HOLT_ERR_NOT_FOUND) {
    term_put_nil(call->writer);
  } else if (rv != 0) {
    put_error(call, rv);
  }
}

static void
lookup_many(struct call *call, const struct holt_key *key)
{
  answer_later(call, lookup_start(&call->commands->lookups, call->instance,
                                  call->message->peer, call->from,
                                  holt_key_bytes(key), holt_key_size(key)));
}

static void
answer_lookup(struct call *call)
{
  struct holt_key key;
  if (read_key(call, &key)) {
    if (instance_is_unique(call->instance)) {
      lookup_one(call, &key);
    } else {
      lookup_many(call, &key);
    }
    holt_key_deinit(&key);
  }
}

static void
answer_explain(struct call *call)
{
  struct holt_key key;
  if (read_key(call, &key)) {
    describe_key(call->writer, call->instance, holt_key_bytes(&key),
                 holt_key_size(&key));
    holt_key_deinit(&key);
  }
}

static void
answer_prefix(struct call *call)
{
  struct term_slice prefix;
  if (term_read_binary(&call->reader, &prefix)) {
    answer_later(call,
                 lookup_start_prefix(&call->commands->lookups, call->instance,
                                     call->message->peer, call->from, prefix));
  } else {
    commands_put_error(call->writer, "bad_prefix", "a prefix is a binary");
  }
}

/*--------------------------------------------------------------------
 * Watching */

/* all | {key, Key} | {prefix, Binary}.  False: it is none, and that is the
 * answer.  key has to be deinited. */
static bool
read_filter(struct call *call, struct holt_key *key,
            struct watch_request *request)
{
  if (term_read_atom_is(&call->reader, "all")) {
    request->kind = WATCH_ALL;
    return true;
  }
  if (!term_read_tuple(&call->reader, 2)) {
    put_unknown(call);
    return false;
  }
  if (term_read_atom_is(&call->reader, "prefix")) {
    request->kind = WATCH_PREFIX;
    if (!term_read_binary(&call->reader, &request->filter)) {
      commands_put_error(call->writer, "bad_prefix", "a prefix is a binary");
      return false;
    }
    return true;
  }
  if (!term_read_atom_is(&call->reader, "key")) {
    put_unknown(call);
    return false;
  }
  request->kind = WATCH_KEY;
  if (!read_key(call, key)) {
    return false;
  }
  request->filter = term_slice(holt_key_bytes(key), holt_key_size(key));
  return true;
}

static void
answer_watch(struct call *call)
{
  struct commands *const commands = call->commands;
  struct watch_request request = { .dist = commands->dist,
                                   .instance = call->instance,
                                   .peer = call->message->peer };
  struct holt_etf_reader from = term_reader(call->from);
  struct term_pid pid;
  if (!term_read_tuple(&from, 2) || !term_read_term(&from, &request.pid) ||
      !term_is_pid(request.pid, &pid) || !dist_peer_owns(request.peer, &pid)) {
    commands_put_error(call->writer, "bad_caller",
                       "who watches is a process of the node that asks");
    return;
  }
  struct holt_key key;
  holt_key_init(&key, commands->mem, 0);
  if (read_filter(call, &key, &request)) {
    const int rv = watch_start(&commands->watches, &request, &call->watch);
    if (rv == 0) {
      term_put_tuple(call->writer, 2);
      term_put_atom(call->writer, "ok");
      watch_put_ref(call->writer, commands->dist, call->watch);
    } else {
      put_error(call, rv);
    }
  }
  holt_key_deinit(&key);
}

/* Without an instance: the reference knows it. */
static void
answer_unwatch(struct call *call)
{
  struct term_slice ref;
  const uint64_t number = term_read_term(&call->reader, &ref)
                            ? watch_number(call->commands->dist, ref)
                            : 0;
  if (number == 0) {
    commands_put_error(call->writer, "bad_reference",
                       "that is what watch has answered");
    return;
  }
  watch_stop(&call->commands->watches, call->message->peer, number);
  term_put_atom(call->writer, "ok");
}

/*--------------------------------------------------------------------
 * Numbers and maps */

static void
answer_count(struct call *call)
{
  term_put_uint(call->writer,
                holt_replica_count_entries(instance_replica(call->instance)));
}

static void
answer_count_node(struct call *call)
{
  struct term_slice node;
  if (term_read_atom(&call->reader, &node)) {
    term_put_uint(call->writer,
                  holt_replica_count_node(instance_replica(call->instance),
                                          node.bytes, node.size));
  } else {
    put_unknown(call);
  }
}

static void
answer_members(struct call *call)
{
  describe_members(call->writer, call->instance);
}

static void
answer_members_which(struct call *call)
{
  if (term_read_atom_is(&call->reader, "all")) {
    describe_all_members(call->writer, call->instance);
  } else {
    put_unknown(call);
  }
}

static void
answer_peers(struct call *call)
{
  describe_peers(call->writer, call->instance);
}

static void
answer_in_sync(struct call *call)
{
  term_put_bool(call->writer,
                holt_replica_in_sync(instance_replica(call->instance)));
}

static void
answer_instance_info(struct call *call)
{
  describe_instance(call->writer, call->instance);
}

/*--------------------------------------------------------------------
 * Lists */

struct page {
  const struct holt_replica *replica;
  struct term_writer *writer;
  bool unique;
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
    commands_put_error(page->writer, "bad_option", wrong);
  }
  return ok;
}

static bool
put_entry(void *user, const struct holt_view *view)
{
  struct page *const page = user;
  page->visits++;
  if (page->prefix.size == 0 ||
      lookup_has_prefix(term_slice(view->key, view->key_size), page->prefix)) {
    if (page->unique) {
      lookup_put_entry(page->writer, view);
    } else {
      term_put_tuple(page->writer, 2);
      term_put_raw(page->writer, view->key, view->key_size);
      term_put_uint(page->writer,
                    holt_replica_count_key(page->replica, view->key,
                                           view->key_size, NULL, 0));
    }
    page->count++;
  }
  return true;
}

static bool
is_full(const struct page *page, struct turn *turn)
{
  return page->count >= page->limit || page->visits >= COMMANDS_LIST_VISITS ||
         page->writer->size >= COMMANDS_LIST_BYTES ||
         page->writer->error != 0 ||
         (page->visits >= COMMANDS_LIST_VISITS_MIN && turn_is_over(turn));
}

static void
answer_list(struct call *call)
{
  struct term_writer *const writer = call->writer;
  struct page page = { .replica = instance_replica(call->instance),
                       .writer = writer,
                       .unique = instance_is_unique(call->instance),
                       .limit = COMMANDS_LIST_LIMIT };
  if (!read_page(&call->reader, &page)) {
    return;
  }
  term_put_tuple(writer, 2);
  const size_t opened = term_open_list(writer);
  do {
    page.from = holt_replica_scan(page.replica, page.from, put_entry, &page);
    page.visits++; /* An empty place is one, too. */
  } while (page.from != 0 && !is_full(&page, call->commands->turn));
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
  { "whereis", 3, answer_whereis },    { "lookup", 3, answer_lookup },
  { "explain", 3, answer_explain },    { "prefix", 3, answer_prefix },
  { "list", 3, answer_list },          { "count", 2, answer_count },
  { "count", 3, answer_count_node },   { "watch", 3, answer_watch },
  { "members", 2, answer_members },    { "members", 3, answer_members_which },
  { "peers", 2, answer_peers },        { "in_sync", 2, answer_in_sync },
  { "info", 2, answer_instance_info },
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
answer(struct call *call, struct term_slice request)
{
  call->reader = term_reader(request);
  if (term_is_atom(request, "info")) {
    describe_node(call->writer, call->commands);
    return;
  }
  if (term_is_atom(request, "status")) {
    describe_status(call->writer, call->commands);
    return;
  }
  uint32_t arity = 0;
  const struct command *command = NULL;
  if (term_read_tuple(&call->reader, 2) &&
      term_read_atom_is(&call->reader, "unwatch")) {
    answer_unwatch(call);
    return;
  }
  call->reader = term_reader(request);
  if (term_read_tuple_any(&call->reader, &arity)) {
    for (size_t i = 0; i < COMMANDS && command == NULL; i++) {
      if (commands_known[i].arity == arity &&
          term_read_atom_is(&call->reader, commands_known[i].name)) {
        command = &commands_known[i];
      }
    }
  }
  struct term_slice name;
  if (command == NULL || !term_read_atom(&call->reader, &name)) {
    put_unknown(call);
    return;
  }
  call->instance = instance_named(call->commands, name);
  if (call->instance == NULL) {
    commands_put_error(call->writer, "no_instance",
                       "this node does not hold that instance");
    return;
  }
  command->answer(call);
}

static void
reply(const struct call *call)
{
  struct term_writer *const writer = call->writer;
  const bool failed = writer->error != 0;
  if (failed) {
    const int error = writer->error;
    term_writer_deinit(writer);
    commands_put_error(writer, holt_error_name(error), holt_error_text(error));
  }
  const struct term_slice payload = term_writer_slice(writer);
  const int rv = dist_reply(call->message->peer, call->commands->process,
                            call->from, &payload, 1);
  if (call->watch != 0 && (rv != 0 || failed)) {
    watch_stop(&call->commands->watches, call->message->peer, call->watch);
  }
  if (rv != 0) {
    log_debug("a caller on %s gets no answer: %s",
              dist_peer_node(call->message->peer), holt_error_text(rv));
  }
}

bool
commands_answer(struct commands *commands, const struct dist_message *message)
{
  struct call call = { .commands = commands, .message = message };
  struct holt_etf_reader reader = term_reader(message->payload);
  struct term_slice request;
  if (!term_read_tuple(&reader, 3) ||
      !(term_read_atom_is(&reader, "$gen_call") ||
        term_read_atom_is(&reader, "system")) ||
      !term_read_term(&reader, &call.from) ||
      !term_read_term(&reader, &request) || !term_read_end(&reader)) {
    return false;
  }
  struct term_writer writer;
  term_writer_init(&writer, commands->mem, LOOKUP_BYTES_MAX);
  call.writer = &writer;
  answer(&call, request);
  if (!call.later) {
    reply(&call);
  }
  term_writer_deinit(&writer);
  return true;
}

/*--------------------------------------------------------------------
 * Begin and end */

void
commands_init(struct commands *commands)
{
  lookups_init(&commands->lookups, commands->turn, commands->mem,
               commands->process);
  watches_init(&commands->watches, commands->loop, commands->turn,
               commands->mem, commands->process);
}

void
commands_peer_down(struct commands *commands, struct dist_peer *peer)
{
  lookups_forget(&commands->lookups, peer);
  watches_forget(&commands->watches, peer);
}

void
commands_monitor_down(struct commands *commands, struct dist_peer *peer,
                      uint64_t monitor)
{
  watches_monitor_down(&commands->watches, peer, monitor);
}

void
commands_close(struct commands *commands)
{
  lookups_forget(&commands->lookups, NULL);
  watches_close(&commands->watches);
}
