/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROCESS_NAME "holtd"

/* The byte before a term. */
#define TERM_VERSION 131u

static const char no_memory[] = "out of memory";

bool
ask_open(struct ask *ask, const char *node, const char *cookie,
         unsigned timeout_ms, const char **why)
{
  *ask = (struct ask){ .timeout_ms = timeout_ms, .socket = -1 };
  uint64_t random = 0;
  char alive[32];
  char self[MAXNODELEN + 1];
  const char *const host = strchr(node, '@') + 1;
  (void)getentropy(&random, sizeof random);
  (void)snprintf(alive, sizeof alive, "holt_%016" PRIx64, random);
  struct in_addr address = { .s_addr = htonl(INADDR_LOOPBACK) };
  const int size = snprintf(self, sizeof self, "%s@%s", alive, host);
  (void)ei_init();
  if (size >= (int)sizeof self || strlen(node) > MAXNODELEN ||
      ei_connect_xinit(&ask->node, host, alive, self, &address, cookie,
                       (unsigned)(random & 0x7fffffffU)) < 0) {
    *why = "the name of the node is too long";
    return false;
  }
  if (ei_x_new(&ask->request) != 0 || ei_x_new(&ask->reply) != 0) {
    *why = no_memory;
    return false;
  }
  char name[MAXNODELEN + 1];
  (void)snprintf(name, sizeof name, "%s", node);
  ask->socket = ei_connect_tmo(&ask->node, name, timeout_ms);
  if (ask->socket < 0) {
    *why = erl_errno == EHOSTUNREACH ? "its host cannot be reached"
           : erl_errno == ETIMEDOUT  ? "it did not answer in time"
                                     : "it is not running, or has another "
                                       "cookie";
    return false;
  }
  return true;
}

void
ask_close(struct ask *ask)
{
  if (ask->socket >= 0) {
    (void)ei_close_connection(ask->socket);
  }
  (void)ei_x_free(&ask->request);
  (void)ei_x_free(&ask->reply);
}

/* {'$gen_call', {Self, Reference}, ...} */
bool
ask_begin(struct ask *ask)
{
  erlang_ref reference;
  ask->request.index = 0;
  return ei_x_encode_version(&ask->request) == 0 &&
         ei_x_encode_tuple_header(&ask->request, 3) == 0 &&
         ei_x_encode_atom(&ask->request, "$gen_call") == 0 &&
         ei_x_encode_tuple_header(&ask->request, 2) == 0 &&
         ei_x_encode_pid(&ask->request, ei_self(&ask->node)) == 0 &&
         ei_make_ref(&ask->node, &reference) == 0 &&
         ei_x_encode_ref(&ask->request, &reference) == 0;
}

/* A term that has come. */
static bool
read_term(const ei_x_buff *received, struct holt_etf_reader *reader)
{
  const uint8_t *const bytes = (const uint8_t *)received->buff;
  if (received->index < 1 || bytes[0] != TERM_VERSION ||
      holt_etf_check(bytes + 1, (size_t)received->index - 1) != 0) {
    return false;
  }
  holt_etf_init(reader, bytes + 1, (size_t)received->index - 1);
  return true;
}

/* {Tag, Answer}, the first thing that is sent to us. */
static bool
read_reply(const ei_x_buff *reply, struct holt_etf_reader *answer)
{
  struct holt_etf_token token;
  return read_term(reply, answer) && holt_etf_next(answer, &token) == 0 &&
         token.type == HOLT_ETF_TUPLE && token.arity == 2 &&
         holt_etf_skip(answer) == 0;
}

static int64_t
now_ms(void)
{
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool
ask_call(struct ask *ask, struct holt_etf_reader *answer, const char **why)
{
  const int64_t deadline = now_ms() + ask->timeout_ms;
  char process[] = PROCESS_NAME;
  if (ei_reg_send_tmo(&ask->node, ask->socket, process, ask->request.buff,
                      ask->request.index, ask->timeout_ms) < 0) {
    *why = "the connection was lost";
    return false;
  }
  int64_t left;
  while ((left = deadline - now_ms()) > 0) {
    erlang_msg message;
    const int got =
      ei_xreceive_msg_tmo(ask->socket, &message, &ask->reply, (unsigned)left);
    if (got == ERL_MSG && message.msgtype == ERL_SEND) {
      *why = "its answer is malformed";
      return read_reply(&ask->reply, answer);
    }
    if (got == ERL_ERROR) {
      *why = erl_errno == ETIMEDOUT ? "it did not answer in time"
                                    : "the connection was lost";
      return false;
    }
  }
  *why = "it did not answer in time";
  return false;
}

bool
ask_hear(struct ask *ask, struct holt_etf_reader *message, const char **why)
{
  erlang_msg head;
  int got;
  do { /* Ticks are answered within. */
    got = ei_xreceive_msg(ask->socket, &head, &ask->reply);
  } while (got == ERL_TICK || (got == ERL_MSG && head.msgtype != ERL_SEND));
  *why =
    got == ERL_MSG ? "what it sends is malformed" : "the connection was lost";
  return got == ERL_MSG && read_term(&ask->reply, message);
}
