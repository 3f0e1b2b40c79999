/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: what can be asked of {holtd, Node} by gen_server:call/2.
 *
 *     {whereis, Inst, Key}      pid() | undefined
 *     {lookup, Inst, Key}       [{pid(), Value}]
 *     {explain, Inst, Key}      [map()], the rows of the key, in order of rank
 *     {prefix, Inst, Binary}    [{Key, pid(), Value}]
 *     {list, Inst, Options}     {[{Key, pid(), Value}], Next | done}
 *     {count, Inst}             non_neg_integer()
 *     {count, Inst, Node}       non_neg_integer()
 *     {watch, Inst, What}       {ok, reference()}: messages follow, see watch.h
 *     {unwatch, Ref}            ok
 *     {members, Inst}           [{Name, node()}]
 *     {members, Inst, all}      [map()], as holt_cluster:members/2
 *     {peers, Inst}             [map()], as holt_cluster:peers/1
 *     {in_sync, Inst}           boolean(), as holt_cluster:in_sync/1
 *     {info, Inst}              map(), as holt_cluster:info/1
 *     status                    [map()], each instance in short
 *     info                      map(), of the daemon
 *
 * What is all, {key, Key} or {prefix, Binary}.  Where keys are not unique,
 * whereis is a mistake, and list gives {Key, Count}.
 *
 * Everything else, and every mistake, is answered {error, {What, Text}}.  A
 * gen_server:call is never left without an answer.
 *
 * Options of list are `prefix' (a binary: only binary keys that begin with it),
 * `limit' (entries of this page, about) and `from' (Next of the page before).
 * Each name that is there all the time is on one page exactly.
 *
 * Cost:    most are O(what they return); prefix looks at all there is, in
 *          pieces (lookup.h); list looks at no more than
 *          COMMANDS_LIST_VISITS names a call, and at fewer when the turn is
 *          over, so a page may be short, or empty, and still have a next one.
 * Memory:  an answer is freed when it has been sent.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_COMMANDS_H
#define HOLT_NODE_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dist.h"
#include "instance.h"
#include "lookup.h"
#include "watch.h"

#define COMMANDS_LIST_LIMIT 1000u
#define COMMANDS_LIST_LIMIT_MAX 10000u
#define COMMANDS_LIST_VISITS 20000u
#define COMMANDS_LIST_VISITS_MIN 256u
#define COMMANDS_LIST_BYTES (4u << 20)

/* What there is to ask about. */
struct commands {
  uv_loop_t *loop;
  struct turn *turn;
  struct dist *dist;
  struct lookups lookups;
  struct watches watches;
  struct holt_mem *mem;
  struct instance **instances;
  size_t instances_count;
  uint32_t process;    /* That answers. */
  uint64_t started_ms; /* Of the loop's clock. */
};

/* With loop, turn, mem and process set. */
void commands_init(struct commands *commands);

/* A peer is lost; a process of it that is watched has ended. */
void commands_peer_down(struct commands *commands, struct dist_peer *peer);
void commands_monitor_down(struct commands *commands, struct dist_peer *peer,
                           uint64_t monitor);

/* Before the instances are stopped: nobody is answered or told any more.  The
 * loop has to close a handle. */
void commands_close(struct commands *commands);

/* Answer a message to the process.  False: it was no call, nobody waits. */
bool commands_answer(struct commands *commands,
                     const struct dist_message *message);

/* {error, {What, Text}}, in place of what was written. */
void commands_put_error(struct term_writer *writer, const char *what,
                        const char *text);

#endif /* HOLT_NODE_COMMANDS_H */
