/* SPDX-License-Identifier: Apache-2.0 */
/* Handshake: how do two nodes convince each other?
 *
 * Each names itself and what it can do, and each proves to know the cookie
 * without saying it: it answers the other's random number, the challenge, with
 * the MD5 of the cookie and that number.
 *
 *       caller                                        called
 *         |  N  flags, creation, name                    |
 *         |--------------------------------------------->|  whom? decide:
 *         |              s  ok | ok_simultaneous | nok   |
 *         |<---------------------------------------------|
 *         |  N  flags, challenge, creation, name         |
 *         |<---------------------------------------------|
 *         |  r  challenge, digest                        |
 *         |--------------------------------------------->|  up
 *         |                              a  digest       |
 *     up  |<---------------------------------------------|
 *
 * This is the form that OTP 23 introduced and OTP 25 requires; older ones are
 * refused.  Two moments need to know about other connections, and are left to
 * whoever holds this one:
 *
 *   - The called one knows a name now (HANDSHAKE_DECIDE).  If it is calling
 *     that node itself, one of the two has to give way: the one whose name is
 *     the lesser.  If it has a connection to it, it says `alive', and the
 *     caller says whether that must be an old one.
 *   - The caller is told `alive' (HANDSHAKE_ALIVE).
 *
 * Here is no input or output: packets come in without their length, and go out
 * into a writer with it.
 *
 * Cost:    O(bytes).
 * Memory:  none beyond the struct.
 * Threads: none.
 */
#ifndef HOLT_NODE_HANDSHAKE_H
#define HOLT_NODE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/etf.h>

#include "term.h"

/* What a node can do.  Only those that somebody asks about have a name. */
#define HANDSHAKE_MONITOR_NAME UINT64_C(0x20)
#define HANDSHAKE_EXIT_PAYLOAD (UINT64_C(1) << 22)
#define HANDSHAKE_ALIAS (UINT64_C(1) << 35)

/* What we say we can do:
 *
 *     0x000000004  references of several words   0x000000008  monitors
 *     0x000000010  funs, and                     0x000000080  ... new ones
 *     0x000000020  monitors of names: without it no monitor is told to anybody
 *     0x000000100  large pids and ports          0x000000200  external funs
 *     0x000000400  bitstrings                    0x000000800  64-bit floats
 *     0x000001000  Unicode in I/O                0x000004000  short atoms
 *     0x000010000  UTF-8 atoms                   0x000020000  maps
 *     0x000040000  32-bit creations              0x000400000  exit payloads
 *     0x001000000  this handshake                0x002000000  UNLINK_ID
 *     0x004000000  all that OTP 25 requires      0x400000000  64-bit pids
 *     0x800000000  aliases
 *
 * Not among them, on purpose: published (0x1), which would make others treat us
 * as one of theirs; the atom cache (0x2000) and fragments (0x800000), either of
 * which changes the form of all frames; spawn (0x100000000). */
#define HANDSHAKE_FLAGS UINT64_C(0xC07475FBC)

/* The longest name of a node, in bytes. */
#define HANDSHAKE_NAME_MAX HOLT_ETF_ATOM_BYTES_MAX
#define HANDSHAKE_COOKIE_MAX 255u
#define HANDSHAKE_DIGEST_BYTES 16u

/* The longest packet that makes sense: 'N' and its fields, and a name. */
#define HANDSHAKE_PACKET_MAX (19u + HANDSHAKE_NAME_MAX)

/* Who we are.  Outlives the handshakes. */
struct handshake_self {
  const char *name;
  const char *cookie;
  uint32_t creation;
};

enum handshake_state {
  HANDSHAKE_NAME_DUE,      /* Called: the name of the caller. */
  HANDSHAKE_DECISION_DUE,  /* Called: handshake_decide(). */
  HANDSHAKE_INSIST_DUE,    /* Called: we said alive; does it insist? */
  HANDSHAKE_REPLY_DUE,     /* Called: the answer to our challenge. */
  HANDSHAKE_STATUS_DUE,    /* Caller: how our name was taken. */
  HANDSHAKE_ALIVE_DUE,     /* Caller: handshake_insist(). */
  HANDSHAKE_CHALLENGE_DUE, /* Caller: the other's challenge. */
  HANDSHAKE_ACK_DUE,       /* Caller: the answer to our challenge. */
  HANDSHAKE_OVER           /* Up, or failed. */
};

/* What a packet has led to. */
enum handshake_step {
  HANDSHAKE_WAIT,   /* More is due. */
  HANDSHAKE_DECIDE, /* Called: name is known.  handshake_decide() is next. */
  HANDSHAKE_ALIVE,  /* Caller: the other says there is a connection between us.
                     * handshake_insist() is next. */
  HANDSHAKE_UP,     /* The other has proven itself. */
  HANDSHAKE_YIELD,  /* It gives way to another connection between the two. */
  HANDSHAKE_REFUSED /* It is over; reason says why.  What is in the writer
                     * should still be sent. */
};

enum handshake_decision {
  HANDSHAKE_OK,
  HANDSHAKE_OK_SIMULTANEOUS, /* ... and our own call is given up. */
  HANDSHAKE_NOK,             /* Our own call stands. */
  HANDSHAKE_NOT_ALLOWED,
  HANDSHAKE_SAY_ALIVE /* We have a connection to that node. */
};

/* name, flags and creation are the other's, valid once it has told them; a
 * caller knows the name from the start. */
struct handshake {
  const struct handshake_self *self;
  enum handshake_state state;
  bool caller;        /* We are. */
  bool wrong_cookie;  /* Why it was refused. */
  uint32_t challenge; /* Ours.  Random. */
  uint64_t flags;
  uint32_t creation;
  const char *reason; /* Of HANDSHAKE_REFUSED, for people. */
  size_t name_size;
  char name[HANDSHAKE_NAME_MAX + 1];
};

/* Whether this can be the name of a node: alive@host, UTF-8, not too long. */
bool handshake_is_name(const void *name, size_t size);

/* We are called.  challenge is random, and used once. */
void handshake_init_called(struct handshake *handshake,
                           const struct handshake_self *self,
                           uint32_t challenge);

/* We call the node of this name, which handshake_is_name() has seen. */
void handshake_init_caller(struct handshake *handshake,
                           const struct handshake_self *self,
                           uint32_t challenge, const char *name,
                           struct term_writer *out);

/* The other has sent a packet. */
enum handshake_step handshake_packet(struct handshake *handshake,
                                     struct term_slice packet,
                                     struct term_writer *out);

/* After HANDSHAKE_DECIDE.  WAIT; YIELD for NOK; REFUSED for NOT_ALLOWED. */
enum handshake_step handshake_decide(struct handshake *handshake,
                                     enum handshake_decision decision,
                                     struct term_writer *out);

/* After HANDSHAKE_ALIVE: insist on a new connection?  WAIT, or YIELD. */
enum handshake_step handshake_insist(struct handshake *handshake, bool insist,
                                     struct term_writer *out);

#endif /* HOLT_NODE_HANDSHAKE_H */
