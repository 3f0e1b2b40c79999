/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon without a net and without time.
 *
 * deaf.c is linked in the place of connection.c, listen.c and epmd.c, and of
 * what libuv says of time and chance:
 *
 *     dist.c peer.c signal.c send.c ... as they are
 *        |                     ^
 *     connection_send()     peer_on_frame()
 *        v                     |
 *     deaf_sent()           the target
 *
 * What is sent is handed to the target; what comes in, it says itself.  Timers
 * fire when deaf_pass() lets time pass. */
#ifndef HOLT_FUZZ_DEAF_H
#define HOLT_FUZZ_DEAF_H

#include <stdint.h>

#include "connection.h"
#include "term.h"

/* Begin anew, with the same time and chance as ever. */
void deaf_reset(void);

/* Tell the dist that it is registered. */
void deaf_register(uint32_t creation);

/* Let go of connections that have been closed. */
void deaf_let_go(void);

void deaf_pass(uint64_t duration_ms);

/* The target's: a frame with its length has been sent. */
void deaf_sent(struct connection *connection, struct term_slice frame);

#endif /* HOLT_FUZZ_DEAF_H */
