/* SPDX-License-Identifier: Apache-2.0 */
/* Ask: a gen_server:call to the daemon, and what it sends after that, as a
 * hidden node of the moment.
 *
 * The node has a random name, is registered nowhere, and is gone when the
 * program ends.
 *
 * Threads: none.
 */
#ifndef HOLT_CLIENT_ASK_H
#define HOLT_CLIENT_ASK_H

#include <stdbool.h>

#include <ei.h>

#include <holt/etf.h>

struct ask {
  ei_cnode node;
  ei_x_buff request; /* Being written: what is called. */
  ei_x_buff reply;
  unsigned timeout_ms;
  int socket; /* Or -1. */
};

/* Connect.  False: *why says what stood in the way. */
bool ask_open(struct ask *ask, const char *node, const char *cookie,
              unsigned timeout_ms, const char **why);
void ask_close(struct ask *ask);

/* Begin a request: one term has to be appended to ask->request. */
bool ask_begin(struct ask *ask);

/* Send it, and read the answer, which is well-formed and lives until the next
 * request. */
bool ask_call(struct ask *ask, struct holt_etf_reader *answer,
              const char **why);

/* Wait for as long as it takes for the next message that is no answer.  It
 * lives until the next request or message. */
bool ask_hear(struct ask *ask, struct holt_etf_reader *message,
              const char **why);

#endif /* HOLT_CLIENT_ASK_H */
