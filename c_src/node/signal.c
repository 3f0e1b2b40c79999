/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dist_state.h"
#include "log.h"

/* Atoms that go out. */
static const uint8_t noproc[] = "\x77\x06noproc";
static const uint8_t yes[] = "\x77\x03yes";
static const uint8_t error_notsup[] = "\x68\x02\x77\x05"
                                      "error\x77\x06notsup";

#define SLICE_OF(text) term_slice(text, sizeof(text) - 1)

#define NET_KERNEL "net_kernel"

/* An atom's name, of an element that control_read() found to be one. */
static struct term_slice
name_of(struct term_slice atom)
{
  struct holt_etf_reader reader = term_reader(atom);
  struct term_slice name = { 0 };
  term_read_atom(&reader, &name);
  return name;
}

/* Is this process ours, in this life of ours? */
static bool
is_ours(const struct dist *dist, const struct term_pid *pid)
{
  const struct dist_config *config = &dist->config;
  if (pid->creation != dist->self.creation ||
      !term_slice_is(pid->node, dist->name)) {
    return false;
  }
  return (pid->id == DIST_NET_KERNEL && pid->serial == 0) ||
         (config->handlers->knows_process != NULL &&
          config->handlers->knows_process(config->user, pid->id, pid->serial));
}

static bool
knows_name(const struct dist *dist, struct term_slice name)
{
  const struct dist_config *config = &dist->config;
  return term_slice_is(name, NET_KERNEL) ||
         (config->handlers->knows_name != NULL &&
          config->handlers->knows_name(config->user, name));
}

/* Whether there is something behind the target of a link or monitor. */
static bool
is_there(const struct dist *dist, struct term_slice target)
{
  struct term_pid pid;
  if (term_is_pid(target, &pid)) {
    return is_ours(dist, &pid);
  }
  return knows_name(dist, name_of(target));
}

/* An answer that has to arrive: without it the other side would wait for good.
 * If there is no memory for it, there is no connection. */
static void
answer(struct dist_peer *peer)
{
  const int rv = send_frame(peer, NULL, 0);
  if (rv != 0 && rv != HOLT_ERR_DEAD) {
    peer_drop(peer, holt_error_text(rv));
  }
}

/* Begin a signal that ends with the reason noproc, as the peer likes it. */
static void
put_noproc(struct dist_peer *peer, enum control_op op,
           enum control_op op_payload, struct term_slice *elements,
           uint32_t count)
{
  struct term_writer *const writer = &peer->dist->writer;
  term_writer_clear(&peer->dist->scratch);
  term_writer_clear(writer);
  if ((peer->handshake.flags & HANDSHAKE_EXIT_PAYLOAD) != 0) {
    control_put(writer, op_payload, elements, count);
    control_put_payload(writer);
    term_put_slice(writer, SLICE_OF(noproc));
  } else {
    elements[count] = SLICE_OF(noproc);
    control_put(writer, op, elements, count + 1);
  }
}

/*--------------------------------------------------------------------
 * Messages */

/* What every node answers: is_auth, of net_adm:ping/1.  The rest is refused in
 * words, so that nobody waits. */
static void
net_kernel_message(struct dist_peer *peer, struct term_slice payload)
{
  struct holt_etf_reader reader = term_reader(payload);
  struct term_slice from;
  struct term_slice ignored;
  if (!term_read_tuple(&reader, 3) ||
      !term_read_atom_is(&reader, "$gen_call") ||
      !term_read_term(&reader, &from)) {
    return;
  }
  const bool is_auth = term_read_tuple(&reader, 2) &&
                       term_read_atom_is(&reader, "is_auth") &&
                       term_read_term(&reader, &ignored);
  const struct term_slice reply =
    is_auth ? SLICE_OF(yes) : SLICE_OF(error_notsup);
  const int rv = dist_reply(peer, DIST_NET_KERNEL, from, &reply, 1);
  if (rv == HOLT_ERR_NOMEM) {
    peer_drop(peer, holt_error_text(rv));
  }
}

static void
on_message(struct dist_peer *peer, const struct control *control)
{
  struct dist *dist = peer->dist;
  struct dist_message message = {
    .peer = peer,
    .from = control->from,
    .payload = control->payload,
  };
  struct term_pid pid;
  bool known;
  if (control->op == CONTROL_REG_SEND) {
    message.name = name_of(control->to);
    if (term_slice_is(message.name, NET_KERNEL)) {
      net_kernel_message(peer, control->payload);
      return;
    }
    known = knows_name(dist, message.name);
  } else {
    known = term_is_pid(control->to, &pid) && is_ours(dist, &pid) &&
            pid.id != DIST_NET_KERNEL;
    message.id = known ? pid.id : 0;
    message.serial = known ? pid.serial : 0;
  }
  if (!known || dist->config.handlers->message == NULL) {
    dist->counters.messages_unknown++;
    return;
  }
  dist->counters.messages_in++;
  dist->config.handlers->message(dist->config.user, &message);
}

/*--------------------------------------------------------------------
 * Links and monitors
 *
 * Of what others watch nothing is remembered: our processes end with us, and
 * then the connection tells. */

static void
on_link(struct dist_peer *peer, const struct control *control)
{
  if (!is_there(peer->dist, control->to)) {
    struct term_slice elements[3] = { control->to, control->from };
    put_noproc(peer, CONTROL_EXIT, CONTROL_EXIT_PAYLOAD, elements, 2);
    answer(peer);
  }
}

static void
on_unlink(struct dist_peer *peer, const struct control *control)
{
  const struct term_slice elements[] = {
    control->id,
    control->to,
    control->from,
  };
  term_writer_clear(&peer->dist->scratch);
  term_writer_clear(&peer->dist->writer);
  control_put(&peer->dist->writer, CONTROL_UNLINK_ID_ACK, elements, 3);
  answer(peer);
}

static void
on_monitor(struct dist_peer *peer, const struct control *control)
{
  if (!is_there(peer->dist, control->to)) {
    struct term_slice elements[4] = {
      control->to,
      control->from,
      control->ref,
    };
    put_noproc(peer, CONTROL_MONITOR_EXIT, CONTROL_MONITOR_EXIT_PAYLOAD,
               elements, 3);
    answer(peer);
  }
}

/*--------------------------------------------------------------------
 * All of it */

static void
on_broken(struct dist_peer *peer, const struct control *control, int error)
{
  peer->dist->counters.broken_peers++;
  log_warning("%s sent what it should not: operation %u: %s", peer_label(peer),
              control->number, holt_error_text(error));
  peer_drop(peer, "it broke the protocol");
}

void
signal_frame(struct dist_peer *peer, struct term_slice frame)
{
  struct control control;
  const int rv = control_read(frame, &control);
  if (rv != 0) {
    on_broken(peer, &control, rv);
    return;
  }
  switch (control.op) {
  case CONTROL_SEND:
  case CONTROL_REG_SEND:
    on_message(peer, &control);
    break;
  case CONTROL_LINK:
    on_link(peer, &control);
    break;
  case CONTROL_UNLINK_ID:
    on_unlink(peer, &control);
    break;
  case CONTROL_MONITOR:
    on_monitor(peer, &control);
    break;
  case CONTROL_MONITOR_EXIT:
    monitor_fire(peer, control.ref, control.reason);
    break;
  case CONTROL_ALIAS_SEND:
    /* We have no aliases. */
    peer->dist->counters.messages_unknown++;
    break;
  case CONTROL_EXIT:
  case CONTROL_EXIT2:
  case CONTROL_UNLINK:
  case CONTROL_UNLINK_ID_ACK:
  case CONTROL_DEMONITOR:
  case CONTROL_GROUP_LEADER:
    /* Our processes have no links, and no exit but that of the node. */
    break;
  case CONTROL_EXIT_PAYLOAD:
  case CONTROL_MONITOR_EXIT_PAYLOAD:
    break; /* Read as their elder brothers. */
  }
}
