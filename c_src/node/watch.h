/* SPDX-License-Identifier: Apache-2.0 */
/* Watching: how do processes of other nodes hear of changes?
 *
 * They ask to, with what they want to hear of, and get messages from then on:
 *
 *     {holt, Ref, Seq, [Change]}      changes.h says what a change is
 *
 * in the order of the changes, each once; Seq grows.  Everyone hears of
 * members.  Who watches an instance reads its log, in pieces, a job of turn.h
 * each; the log is there as long as anybody does:
 *
 *     changes --> job --> watch, watch, ... in turn: WATCH_CHANGES of the log
 *                              '--> dist_send_to_pid
 *
 * A connection on which WATCH_QUEUED_BYTES wait gets nothing until it is better
 * (tried again every WATCH_RETRY_MS); nothing is queued for it meanwhile.  Who
 * is so slow that changes have fallen out of the log gets [#{type => missed}]
 * instead of all that it has not heard, reads the lists, and goes on from
 * there.  A watch ends with its process, its connection, or watch_stop().
 *
 * Cost:    a change is written once, and looked at by each of WATCHES_MAX.
 * Memory:  a log for each instance that is watched.
 * Threads: that of the loop.
 */
#ifndef HOLT_NODE_WATCH_H
#define HOLT_NODE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "dist.h"
#include "instance.h"
#include "list.h"
#include "turn.h"

/* At a time. */
#define WATCHES_MAX 256u

/* Looked at in a piece of work; the most in one message. */
#define WATCH_CHANGES 256u

/* A message with more than one change. */
#define WATCH_MESSAGE_BYTES (256u * 1024u)

#define WATCH_QUEUED_BYTES (1u << 20)
#define WATCH_RETRY_MS 20u

enum watch_kind {
  WATCH_ALL,
  WATCH_KEY,   /* Canonical bytes. */
  WATCH_PREFIX /* Of keys that are binaries. */
};

struct watches {
  uv_timer_t timer;
  struct turn *turn;
  struct holt_mem *mem;
  uint32_t process;  /* That watches those who watch. */
  struct list feeds; /* Instances that are watched. */
  size_t count;      /* Of watches. */
  uint64_t number;   /* Given last. */
};

void watches_init(struct watches *watches, uv_loop_t *loop, struct turn *turn,
                  struct holt_mem *mem, uint32_t process);

/* End all watches; the loop has to close the timer. */
void watches_close(struct watches *watches);

struct watch_request {
  struct dist *dist;
  struct instance *instance;
  struct dist_peer *peer;
  struct term_slice pid; /* A term; of a process of this peer. */
  enum watch_kind kind;
  struct term_slice filter;
};

/* Begin.  *number is for watch_put_ref() and watch_stop().  HOLT_ERR_BUSY
 * (WATCHES_MAX), HOLT_ERR_NOMEM, HOLT_ERR_DEAD (the connection). */
int watch_start(struct watches *watches, const struct watch_request *request,
                uint64_t *number);

/* The reference that stands for a watch; its number, or 0: it is none of ours.
 */
void watch_put_ref(struct term_writer *writer, const struct dist *dist,
                   uint64_t number);
uint64_t watch_number(const struct dist *dist, struct term_slice ref);

/* End one that this peer has begun.  Unknown ones are ignored. */
void watch_stop(struct watches *watches, const struct dist_peer *peer,
                uint64_t number);

/* A process of this peer that is watched under this number has ended. */
void watches_monitor_down(struct watches *watches, const struct dist_peer *peer,
                          uint64_t monitor);

/* End those of a peer that is lost. */
void watches_forget(struct watches *watches, const struct dist_peer *peer);

#endif /* HOLT_NODE_WATCH_H */
