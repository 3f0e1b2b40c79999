/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon behind its sockets: what a node that is up, or a stranger, may
 * send.
 *
 *     step    operation, and a piece:
 *               a frame; a message to holtd; a call of it; a message to an
 *               instance; a hello, or data, in the right wrapping; frames of a
 *               stranger; time that passes; the end of the connection
 *
 * What the daemon sends is always a whole control message; a call gets one
 * answer, while the caller is there; and nothing works for ever. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "controls.h"
#include "deaf.h"
#include "dist_state.h"
#include "fuzz.h"
#include "instance.h"
#include "log.h"
#include "packet.h"

#define US "us@a"
#define PEER "peer@b"

enum {
  INSTANCES = 2,
  STEPS_MAX = 24,
  HASTY = 0xc0, /* Steps from there on do not wait. */
  TURNS_MAX = 5000,
  COMMANDS_PROCESS = 1,
  INSTANCE_PROCESS = 2, /* And the next. */
  PROCESSES = 4,
  CREATION = 7
};

static const struct handshake_self peer_self = { PEER, "cookie", 18 };
static const char *const names[INSTANCES] = { "names", "groups" };
static const uint64_t policies[INSTANCES] = { HOLT_POLICY_UNIQUE_KEEP_NEWEST,
                                              HOLT_POLICY_DUPLICATE };

struct world {
  struct fuzz_input input;
  struct heap heap;
  struct turn turn;
  struct dist *dist;
  struct instance *instances[INSTANCES];
  struct commands commands;
  struct dist_peer *peer;       /* That is up, or NULL. */
  struct term_writer said;      /* By the daemon, in a handshake. */
  unsigned answers;             /* To the call that was made last. */
  uint64_t sessions[INSTANCES]; /* Of the daemon, as its hellos say. */
  uint64_t peer_sessions[INSTANCES];
  unsigned stopped;
};

static uv_loop_t loop;
static struct world *world; /* For deaf_sent(). */

/*--------------------------------------------------------------------
 * What the daemon does */

static void
on_node_seen(void *user, struct term_slice node)
{
  (void)user;
  (void)node;
}

/* Some rows, as if this member had processes. */
static void
fill(struct holt_replica *replica, bool unique)
{
  const struct holt_time now = { .mono_ms = uv_now(&loop),
                                 .wall_ms = 1000000000 };
  static const uint8_t value[] = { 131, 97, 5 };
  for (uint8_t i = 0; i < 8; i++) {
    const uint8_t key[] = { 109, 0, 0, 0, 2, 'k', (uint8_t)('0' + i / 2) };
    const struct holt_registration registration = {
      .key = key,
      .key_size = sizeof key,
      .value = value,
      .value_size = i % 2 == 0 ? sizeof value : 0,
      .id = 10u + i,
    };
    (void)holt_replica_owner_add(replica, registration.id, 0, 1u + i);
    const int rv = holt_replica_register(replica, &now, &registration, NULL);
    FUZZ_CHECK(rv == 0 || (unique && rv == HOLT_ERR_EXISTS));
  }
}

static void
on_registered(void *user, uint32_t creation)
{
  (void)user;
  (void)creation;
  for (unsigned i = 0; i < INSTANCES; i++) {
    struct instance_config config = { .loop = &loop,
                                      .turn = &world->turn,
                                      .dist = world->dist,
                                      .name = names[i],
                                      .policy = policies[i],
                                      .process = INSTANCE_PROCESS + i,
                                      .node_seen = on_node_seen };
    holt_tuning_init(&config.tuning);
    FUZZ_CHECK(instance_new(&world->instances[i], &config) == 0);
    fill(instance_replica(world->instances[i]), i == 0);
  }
}

static void
on_up(void *user, struct dist_peer *peer)
{
  (void)user;
  for (unsigned i = 0; i < INSTANCES; i++) {
    instance_peer_up(world->instances[i], peer);
  }
}

static void
on_down(void *user, struct dist_peer *peer, const char *reason)
{
  (void)user;
  (void)reason;
  commands_peer_down(&world->commands, peer);
  for (unsigned i = 0; i < INSTANCES; i++) {
    instance_peer_down(world->instances[i], peer);
  }
  world->peer = world->peer == peer ? NULL : world->peer;
}

static bool
knows_name(void *user, struct term_slice name)
{
  (void)user;
  return term_slice_is(name, "holtd") ||
         term_slice_is(name, instance_process_name(world->instances[0])) ||
         term_slice_is(name, instance_process_name(world->instances[1]));
}

static bool
knows_process(void *user, uint32_t id, uint32_t serial)
{
  (void)user;
  return serial == 0 && id >= COMMANDS_PROCESS && id < PROCESSES;
}

static void
on_message(void *user, const struct dist_message *message)
{
  (void)user;
  for (unsigned i = 0; i < INSTANCES; i++) {
    if (message->id == INSTANCE_PROCESS + i ||
        term_slice_is(message->name,
                      instance_process_name(world->instances[i]))) {
      (void)instance_message(world->instances[i], message);
      return;
    }
  }
  (void)commands_answer(&world->commands, message);
}

static void
on_monitor_down(void *user, struct dist_peer *peer, uint64_t monitor,
                struct term_slice reason)
{
  (void)user;
  commands_monitor_down(&world->commands, peer, monitor);
  for (unsigned i = 0; i < INSTANCES; i++) {
    instance_monitor_down(world->instances[i], peer, monitor, reason);
  }
}

static const struct dist_handlers handlers = {
  .registered = on_registered,
  .up = on_up,
  .down = on_down,
  .message = on_message,
  .knows_name = knows_name,
  .knows_process = knows_process,
  .monitor_down = on_monitor_down,
};

/*--------------------------------------------------------------------
 * What it says */

/* {holt_hello, Pid, Name, Bytes, Nodes}: the session is for what follows. */
static void
hear_hello(struct term_slice payload)
{
  struct holt_etf_reader reader = term_reader(payload);
  struct term_slice pid;
  struct term_slice name;
  struct term_slice bytes;
  struct holt_hello hello;
  if (term_read_tuple(&reader, 5) && term_read_atom_is(&reader, "holt_hello") &&
      term_read_term(&reader, &pid) && term_read_atom(&reader, &name) &&
      term_read_binary(&reader, &bytes)) {
    FUZZ_CHECK(holt_hello_decode(bytes.bytes, bytes.size, &hello) == 0);
    for (unsigned i = 0; i < INSTANCES; i++) {
      if (term_slice_is(name, names[i])) {
        world->sessions[i] = hello.session;
      }
    }
  }
}

/* {holt, Ref, Seq, [map()]}, of a watch: something has changed. */
static void
hear_changes(struct term_slice payload)
{
  struct holt_etf_reader reader = term_reader(payload);
  struct term_slice term;
  uint32_t count;
  uint32_t pairs;
  if (term_read_tuple(&reader, 4) && term_read_atom_is(&reader, "holt")) {
    FUZZ_CHECK(term_read_term(&reader, &term));
    FUZZ_CHECK(watch_number(world->dist, term) != 0);
    FUZZ_CHECK(term_read_term(&reader, &term));
    FUZZ_CHECK(term_read_list(&reader, &count) && count > 0);
    for (uint32_t i = 0; i < count; i++) {
      struct term_slice map;
      FUZZ_CHECK(term_read_term(&reader, &map));
      struct holt_etf_reader inside = term_reader(map);
      FUZZ_CHECK(term_read_map(&inside, &pairs) &&
                 term_read_atom_is(&inside, "type"));
    }
    FUZZ_CHECK(term_read_nil(&reader) && term_read_end(&reader));
  }
}

void
deaf_sent(struct connection *connection, struct term_slice frame)
{
  const struct dist_peer *const peer =
    list_thing(connection, struct dist_peer, connection);
  if (!peer->told_up) {
    term_put_slice(&world->said, frame);
    return;
  }
  uint64_t size = 0;
  FUZZ_CHECK(frame.size >= 4);
  for (unsigned i = 0; i < 4; i++) {
    size = size << 8 | frame.bytes[i];
  }
  FUZZ_CHECK(size == frame.size - 4);
  if (size == 0) {
    return;
  }
  struct control control;
  FUZZ_CHECK(
    control_read(term_slice(frame.bytes + 4, (size_t)size), &control) == 0);
  hear_hello(control.payload);
  hear_changes(control.payload);
  /* {Tag, Reply}, with the tag of all our calls. */
  struct holt_etf_reader reader = term_reader(control.payload);
  int64_t tag;
  world->answers +=
    term_read_tuple(&reader, 2) && term_read_int(&reader, &tag) && tag == 4711
      ? 1
      : 0;
}

/*--------------------------------------------------------------------
 * What is said to it */

/* Turn the loop until nothing is to be done. */
static void
run(void)
{
  unsigned turns = 0;
  do {
    FUZZ_CHECK(turns++ < TURNS_MAX);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    deaf_let_go();
  } while (!list_is_empty(&world->turn.jobs));
}

/* In a block of its own. */
static void
frame_in(struct dist_peer *peer, struct term_slice borrowed)
{
  struct hex copy = hex_copy(borrowed.bytes, borrowed.size);
  if (!peer->connection.closing) {
    peer_on_frame(&peer->connection, term_slice(copy.bytes, copy.size));
  }
  hex_delete(&copy);
}

/* Hand over what one end of a handshake has said, packet by packet. */
static void
packets_in(struct dist_peer *peer, struct term_writer *from)
{
  size_t at = 0;
  while (at + 2 <= from->size) {
    const size_t size = (size_t)from->data[at] << 8 | from->data[at + 1];
    frame_in(peer, term_slice(from->data + at + 2, size));
    at += 2 + size;
  }
  term_writer_clear(from);
}

static void
come_up(void)
{
  struct dist_peer *const peer = peer_new(world->dist, NULL);
  FUZZ_CHECK(peer != NULL);
  struct handshake caller;
  struct term_writer out;
  term_writer_init(&out, &world->heap.mem, 0);
  term_writer_clear(&world->said);
  handshake_init_caller(&caller, &peer_self, 5, US, &out);
  for (unsigned i = 0; i < 4 && !peer->told_up; i++) {
    packets_in(peer, &out);
    struct term_writer *const said = &world->said;
    for (size_t at = 0; at + 2 <= said->size;) {
      const size_t size = (size_t)said->data[at] << 8 | said->data[at + 1];
      const struct term_slice packet = term_slice(said->data + at + 2, size);
      if (handshake_packet(&caller, packet, &out) == HANDSHAKE_ALIVE) {
        (void)handshake_insist(&caller, true, &out);
      }
      at += 2 + size;
    }
    term_writer_clear(said);
  }
  term_writer_deinit(&out);
  FUZZ_CHECK(peer->told_up);
  world->peer = peer;
  run();
}

static void
put_pid(struct term_writer *writer)
{
  const struct term_pid pid = { term_slice(PEER, strlen(PEER)), 5, 0,
                                peer_self.creation };
  term_put_pid(writer, &pid);
}

/* {6, From, '', To}, and a payload. */
static void
send_to_name(const char *name, struct term_slice payload)
{
  struct term_writer writer;
  term_writer_init(&writer, &world->heap.mem, 0);
  term_put_u8(&writer, 112);
  term_put_u8(&writer, TERM_VERSION);
  term_put_tuple(&writer, 4);
  term_put_uint(&writer, CONTROL_REG_SEND);
  put_pid(&writer);
  term_put_atom(&writer, "");
  term_put_atom(&writer, name);
  term_put_u8(&writer, TERM_VERSION);
  term_put_slice(&writer, payload);
  frame_in(world->peer, term_writer_slice(&writer));
  term_writer_deinit(&writer);
}

static void
call(struct term_slice request)
{
  struct term_writer writer;
  term_writer_init(&writer, &world->heap.mem, 0);
  term_put_tuple(&writer, 3);
  term_put_atom(&writer, "$gen_call");
  term_put_tuple(&writer, 2);
  put_pid(&writer);
  term_put_uint(&writer, 4711);
  term_put_slice(&writer, request);
  world->answers = 0;
  send_to_name("holtd", term_writer_slice(&writer));
  term_writer_deinit(&writer);
  run();
  /* Other bytes than one term are broken frames, and end the connection. */
  FUZZ_CHECK(world->answers ==
             (holt_etf_check(request.bytes, request.size) == 0 ? 1u : 0u));
}

static void
hello(unsigned at, struct term_slice bytes)
{
  struct term_writer writer;
  struct holt_hello decoded;
  term_writer_init(&writer, &world->heap.mem, 0);
  term_put_tuple(&writer, 5);
  term_put_atom(&writer, "holt_hello");
  put_pid(&writer);
  term_put_atom(&writer, names[at]);
  term_put_binary(&writer, bytes.bytes, bytes.size);
  term_put_list(&writer, 1);
  term_put_atom(&writer, "c@c");
  term_put_nil(&writer);
  if (holt_hello_decode(bytes.bytes, bytes.size, &decoded) == 0) {
    world->peer_sessions[at] = decoded.session;
  }
  send_to_name(instance_process_name(world->instances[at]),
               term_writer_slice(&writer));
  term_writer_deinit(&writer);
}

static void
data(unsigned at, struct term_slice body)
{
  const struct holt_header header = { .version = HOLT_PROTOCOL_MAX,
                                      .to_session = world->sessions[at],
                                      .from_session =
                                        world->peer_sessions[at] };
  uint8_t bytes[HOLT_HEADER_BYTES];
  holt_header_encode(bytes, &header);
  struct term_writer writer;
  term_writer_init(&writer, &world->heap.mem, 0);
  term_put_tuple(&writer, 3);
  term_put_atom(&writer, "holt_data");
  term_put_binary(&writer, bytes, sizeof bytes);
  term_put_binary(&writer, body.bytes, body.size);
  send_to_name(instance_process_name(world->instances[at]),
               term_writer_slice(&writer));
  term_writer_deinit(&writer);
}

static void
be_strange(struct term_slice piece)
{
  struct term_writer packets;
  struct dist_peer *const peer = peer_new(world->dist, NULL);
  FUZZ_CHECK(peer != NULL);
  term_writer_init(&packets, &world->heap.mem, 0);
  term_put_slice(&packets, piece);
  if (piece.size > 1 && 2u + piece.bytes[1] > piece.size) {
    packets.data[1] = (uint8_t)(piece.size - 2);
  }
  if (piece.size > 1) {
    packets.data[0] = 0;
    frame_in(peer, term_slice(packets.data + 2, packets.data[1]));
  }
  term_writer_deinit(&packets);
  if (!peer->connection.closing) {
    peer_drop(peer, "enough");
  }
}

static void
step(void)
{
  const uint8_t code = fuzz_u8(&world->input);
  struct hex hex = fuzz_piece(&world->input);
  const struct term_slice piece = term_slice(hex.bytes, hex.size);
  const unsigned at = code / 8 % INSTANCES;
  if (world->peer == NULL || world->peer->connection.closing) {
    run();
    come_up();
  }
  switch (code % 8) {
  case 0:
    frame_in(world->peer, piece);
    break;
  case 1:
    send_to_name(code < 128 ? "holtd" : "net_kernel", piece);
    break;
  case 2:
    call(piece);
    break;
  case 3:
    send_to_name(instance_process_name(world->instances[at]), piece);
    break;
  case 4:
    hello(at, piece);
    break;
  case 5:
    data(at, piece);
    break;
  case 6:
    be_strange(piece);
    break;
  default:
    if (code == 255) {
      peer_drop(world->peer, "the target says so");
    }
    deaf_pass(code * 20u);
    break;
  }
  /* What comes next may find the one before half done. */
  if (code < HASTY) {
    run();
  }
  hex_delete(&hex);
}

/*--------------------------------------------------------------------
 * Begin and end */

static void
ignore(void *user, enum log_level level, const char *line)
{
  (void)user;
  (void)level;
  (void)line;
}

static void
on_stopped(void *user)
{
  (void)user;
  world->stopped++;
}

static void
world_init(const uint8_t *bytes, size_t size)
{
  static bool ready;
  if (!ready) {
    FUZZ_CHECK(uv_loop_init(&loop) == 0);
    log_sink_set(ignore, NULL);
    log_level_set(LOG_LEVEL_DEBUG);
    ready = true;
  }
  deaf_reset();
  world = calloc(1, sizeof *world);
  FUZZ_CHECK(world != NULL);
  world->input = fuzz_input(bytes, size);
  struct holt_mem *const mem = &world->heap.mem;
  heap_init(&world->heap);
  term_writer_init(&world->said, mem, 0);
  turn_init(&world->turn, &loop);
  struct dist_config config;
  dist_config_init(&config);
  config.loop = &loop;
  config.turn = &world->turn;
  config.mem = mem;
  config.name = US;
  config.cookie = "cookie";
  config.handlers = &handlers;
  world->commands = (struct commands){ .loop = &loop,
                                       .turn = &world->turn,
                                       .mem = mem,
                                       .process = COMMANDS_PROCESS,
                                       .instances = world->instances,
                                       .instances_count = INSTANCES };
  commands_init(&world->commands);
  FUZZ_CHECK(dist_start(&world->dist, &config) == 0);
  world->commands.dist = world->dist;
  deaf_register(CREATION);
  run();
}

static void
world_deinit(void)
{
  commands_close(&world->commands);
  for (unsigned i = 0; i < INSTANCES; i++) {
    instance_stop(world->instances[i], on_stopped, NULL);
  }
  dist_stop(world->dist, on_stopped, NULL);
  turn_close(&world->turn);
  for (unsigned i = 0; i < 8 && world->stopped < INSTANCES + 1; i++) {
    deaf_let_go();
    (void)uv_run(&loop, UV_RUN_NOWAIT);
  }
  FUZZ_CHECK(world->stopped == INSTANCES + 1);
  FUZZ_CHECK(uv_loop_alive(&loop) == 0);
  term_writer_deinit(&world->said);
  fuzz_heap_end(&world->heap);
  free(world);
  world = NULL;
}

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  world_init(bytes, size);
  for (unsigned i = 0; i < STEPS_MAX && !fuzz_is_used_up(&world->input); i++) {
    step();
  }
  world_deinit();
}

/*--------------------------------------------------------------------
 * Seeds */

static void
put_step(struct term_writer *out, uint8_t code, const struct term_writer *piece)
{
  term_put_u8(out, code);
  term_put_u16(out, (uint16_t)piece->size);
  term_put_slice(out, term_writer_slice(piece));
}

/* Each command there is: its name, and whether it takes an instance. */
static const struct {
  const char *name;
  uint32_t arity;
  enum {
    ARGUMENT_NONE,
    ARGUMENT_TEXT,
    ARGUMENT_PAGE,
    ARGUMENT_ALL,
    ARGUMENT_NODE,
    ARGUMENT_KEY,
    ARGUMENT_PREFIX,
    ARGUMENT_REF
  } argument;
} known[] = {
  { "info", 0, ARGUMENT_NONE },    { "status", 0, ARGUMENT_NONE },
  { "whereis", 3, ARGUMENT_TEXT }, { "lookup", 3, ARGUMENT_TEXT },
  { "count", 2, ARGUMENT_NONE },   { "list", 3, ARGUMENT_PAGE },
  { "members", 2, ARGUMENT_NONE }, { "peers", 2, ARGUMENT_NONE },
  { "in_sync", 2, ARGUMENT_NONE }, { "members", 3, ARGUMENT_ALL },
  { "explain", 3, ARGUMENT_TEXT }, { "prefix", 3, ARGUMENT_TEXT },
  { "count", 3, ARGUMENT_NODE },   { "watch", 3, ARGUMENT_ALL },
  { "watch", 3, ARGUMENT_KEY },    { "watch", 3, ARGUMENT_PREFIX },
  { "unwatch", 2, ARGUMENT_REF },
};

enum {
  KNOWN = sizeof known / sizeof known[0],
  KNOWN_PEERS = 7,
  KNOWN_WATCH = 13
};

static void
put_argument(struct term_writer *writer, unsigned command)
{
  switch (known[command].argument) {
  case ARGUMENT_TEXT:
    term_put_text(writer, "k1");
    break;
  case ARGUMENT_PAGE:
    term_put_map(writer, 3);
    term_put_atom(writer, "prefix");
    term_put_text(writer, "k");
    term_put_atom(writer, "limit");
    term_put_uint(writer, 2);
    term_put_atom(writer, "from");
    term_put_uint(writer, 0);
    break;
  case ARGUMENT_ALL:
    term_put_atom(writer, "all");
    break;
  case ARGUMENT_NODE:
    term_put_atom(writer, US);
    break;
  case ARGUMENT_KEY:
  case ARGUMENT_PREFIX:
    term_put_tuple(writer, 2);
    term_put_atom(writer,
                  known[command].argument == ARGUMENT_KEY ? "key" : "prefix");
    term_put_text(writer, "k1");
    break;
  case ARGUMENT_NONE:
  case ARGUMENT_REF:
    break;
  }
}

static void
put_command(struct term_writer *writer, unsigned command, unsigned at)
{
  if (known[command].arity == 0) {
    term_put_atom(writer, known[command].name);
    return;
  }
  term_put_tuple(writer, known[command].arity);
  term_put_atom(writer, known[command].name);
  if (known[command].argument == ARGUMENT_REF) {
    watch_put_ref(writer, world->dist, 1u + at);
    return;
  }
  term_put_atom(writer, names[at]);
  put_argument(writer, command);
}

/* A hello that belongs to what the instance has said in its own. */
static void
put_hello(struct term_writer *writer, unsigned at)
{
  struct holt_buf out;
  holt_buf_init(&out, writer->mem, 0);
  const struct holt_hello hello = {
    .version_min = 1,
    .version_max = 1,
    .member = { .name = (const uint8_t *)names[at],
                .node = (const uint8_t *)PEER,
                .name_size = (uint16_t)strlen(names[at]),
                .node_size = (uint16_t)strlen(PEER) },
    .actor = 77,
    .creation = 18,
    .session = 78,
    .known_session = world->sessions[at],
    .policy = policies[at],
    .wall_ms = 1000000000,
    .version = 3,
  };
  FUZZ_CHECK(holt_hello_encode(&out, &hello) == 0);
  term_put_raw(writer, out.data, out.size);
  holt_buf_deinit(&out);
}

static void
put_delta(struct term_writer *writer, uint64_t after, uint64_t count)
{
  struct holt_buf out;
  holt_buf_init(&out, writer->mem, 0);
  struct holt_delta_writer delta;
  uint8_t keys[2][7] = { { 109, 0, 0, 0, 2 }, { 109, 0, 0, 0, 2 } };
  holt_delta_begin(&delta, &out, 77, after);
  for (uint64_t i = 1; i <= count; i++) {
    uint8_t *const key = keys[i % 2];
    key[5] = (uint8_t)('k' + i / 10);
    key[6] = (uint8_t)('0' + i % 10);
    const struct holt_row_spec row = { .seq = after + i,
                                       .birth = after + i,
                                       .stamp = UINT64_C(1000000000) << 16,
                                       .key = key,
                                       .key_size = sizeof keys[0],
                                       .owner_id = 5 };
    holt_delta_row(&delta, &row);
  }
  FUZZ_CHECK(holt_delta_end(&delta, after + count, after + count) == 0);
  term_put_raw(writer, out.data, out.size);
  holt_buf_deinit(&out);
}

static void
seed_commands(fuzz_seed seed, struct holt_mem *mem)
{
  struct term_writer all;
  term_writer_init(&all, mem, 0);
  for (unsigned i = 0; i < 2 * KNOWN; i++) {
    struct term_writer one;
    struct term_writer piece;
    term_writer_init(&one, mem, 0);
    term_writer_init(&piece, mem, 0);
    put_command(&piece, i / 2, i % 2);
    put_step(&one, 2, &piece);
    put_step(&all, 2, &piece);
    const char name[] = { 'c', 'a', 'l', 'l', '-', (char)('A' + i), 0 };
    seed(name, one.data, one.size);
    term_writer_deinit(&piece);
    term_writer_deinit(&one);
  }
  seed("calls", all.data, all.size);
  term_writer_deinit(&all);
}

/* A member that joins both instances, has a name, and leaves; and is watched
 * meanwhile, or is not. */
static void
seed_member(fuzz_seed seed, struct holt_mem *mem, const char *name,
            bool watched)
{
  struct term_writer out;
  struct term_writer piece;
  term_writer_init(&out, mem, 0);
  term_writer_init(&piece, mem, 0);
  come_up();
  for (unsigned i = 0; i < INSTANCES; i++) {
    for (unsigned kind = 0; kind < 3 && watched; kind++) {
      term_writer_clear(&piece);
      put_command(&piece, KNOWN_WATCH + kind, i);
      put_step(&out, 2, &piece);
    }
    term_writer_clear(&piece);
    put_hello(&piece, i);
    put_step(&out, (uint8_t)(4 + 8 * i), &piece);
    /* More rows than are applied at a time, and what waits behind them. */
    term_writer_clear(&piece);
    put_delta(&piece, 0, 2u + 140u * i);
    put_step(&out, (uint8_t)(5 + 8 * i + HASTY * i), &piece);
    term_writer_clear(&piece);
    put_delta(&piece, 2u + 140u * i, 1);
    put_step(&out, (uint8_t)(5 + 8 * i + HASTY), &piece);
    term_writer_clear(&piece);
    put_step(&out, 7 + 8 * 6, &piece);
    put_command(&piece, KNOWN_PEERS, i);
    put_step(&out, 2, &piece);
  }
  seed(name, out.data, out.size);
  term_writer_deinit(&piece);
  term_writer_deinit(&out);
}

static void
put_member(struct term_writer *writer, const char *node)
{
  term_put_tuple(writer, 2);
  term_put_atom(writer, names[0]);
  term_put_atom(writer, node);
}

static void
put_stamp(struct term_writer *writer, uint64_t ms)
{
  term_put_tuple(writer, 2);
  term_put_uint(writer, ms);
  put_member(writer, PEER);
}

/* {{Stamp, list}, [{Member, Stamp, IsIn}]}, of this node and the peer's. */
static void
put_roll(struct term_writer *writer, uint64_t ms, bool us_in, bool peer_in)
{
  term_put_tuple(writer, 2);
  term_put_tuple(writer, 2);
  put_stamp(writer, ms);
  term_put_atom(writer, "list");
  term_put_list(writer, 2);
  for (unsigned i = 0; i < 2; i++) {
    term_put_tuple(writer, 3);
    put_member(writer, i == 0 ? US : PEER);
    put_stamp(writer, ms);
    term_put_bool(writer, i == 0 ? us_in : peer_in);
  }
  term_put_nil(writer);
}

/* A member says who may take part: both; one of us; and that it leaves. */
static void
seed_rolls(fuzz_seed seed, struct holt_mem *mem)
{
  struct term_writer out;
  struct term_writer piece;
  term_writer_init(&out, mem, 0);
  term_writer_init(&piece, mem, 0);
  come_up();
  put_hello(&piece, 0);
  put_step(&out, 4, &piece);
  for (unsigned i = 0; i < 4; i++) {
    term_writer_clear(&piece);
    term_put_tuple(&piece, 3);
    term_put_atom(&piece, "holt_members");
    put_pid(&piece);
    put_roll(&piece, 1 + i % 3, i % 3 != 1, i % 3 != 2);
    put_step(&out, 3, &piece);
  }
  term_writer_clear(&piece);
  term_put_tuple(&piece, 2);
  term_put_atom(&piece, "holt_leave");
  put_pid(&piece);
  put_step(&out, 3, &piece);
  seed("rolls", out.data, out.size);
  term_writer_deinit(&piece);
  term_writer_deinit(&out);
}

static void
drop_peer(void)
{
  peer_drop(world->peer, "the target says so");
  deaf_let_go();
  run();
}

/* A monitor, a link, a ping, a tick, a stranger's first word. */
static void
seed_signals(fuzz_seed seed, struct holt_mem *mem)
{
  static const char *const texts[] = {
    "0000 00 00",
    "00 0036 7083 6804 6113 58 7706706565724062 00000005 00000000 00000012 "
    "7705686f6c7464 5a0001 7706706565724062 00000012 00000009",
    "00 0033 7083 6803 6101 58 7706706565724062 00000005 00000000 00000012 "
    "58 770475734061 00000063 00000000 00000007",
    "81 0032 6803 7709 2467656e5f63616c6c 6802 58 7706706565724062 00000005 "
    "00000000 00000012 6104 6802 7707 69735f61757468 7701 78",
    "06 0016 0014 4e 0000000d07df7fbd 00000012 0005 7840792e7a",
  };
  const struct term_pid from = { term_slice(PEER, strlen(PEER)), 5, 0,
                                 peer_self.creation };
  const struct term_pid to = { term_slice(US, strlen(US)), COMMANDS_PROCESS, 0,
                               CREATION };
  for (unsigned i = 0; i < 2 * CONTROLS_COUNT; i++) {
    struct term_writer out;
    struct term_writer piece;
    term_writer_init(&out, mem, 0);
    term_writer_init(&piece, mem, 0);
    controls_put(&piece, i / 2, &from, i % 2 == 0 ? &to : &from);
    put_step(&out, 0, &piece);
    const char name[] = { 'o', 'p', '-', (char)('0' + i), 0 };
    seed(name, out.data, out.size);
    term_writer_deinit(&piece);
    term_writer_deinit(&out);
  }
  for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    struct hex hex = hex_new(texts[i]);
    const char name[] = { 's', 'i', 'g', '-', (char)('a' + i), 0 };
    seed(name, hex.bytes, hex.size);
    hex_delete(&hex);
  }
}

void
fuzz_seeds(fuzz_seed seed)
{
  world_init(NULL, 0);
  seed_commands(seed, &world->heap.mem);
  seed_signals(seed, &world->heap.mem);
  seed_member(seed, &world->heap.mem, "member", false);
  drop_peer();
  seed_member(seed, &world->heap.mem, "watched", true);
  drop_peer();
  seed_rolls(seed, &world->heap.mem);
  world_deinit();
}
