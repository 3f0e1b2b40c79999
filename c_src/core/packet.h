/* SPDX-License-Identifier: Apache-2.0 */
/* Packets: what two replicas say to each other, byte by byte.
 *
 * Four messages carry the whole protocol:
 *
 *     hello    who I am, which session this is, what I hold of you
 *     delta    changes of the sender's own rows, in order of seq
 *     ack      how far the receiver has come, and whether something is missing
 *     vector   how far the sender is; what was lost is noticed by it
 *
 * A hello travels alone.  The others are a header, made for one receiver, and
 * a body that names actors by id and stands by itself, so that it is encoded
 * once for all receivers:
 *
 *     header   version:8  to_session:64  from_session:64
 *     body     kind:8 ...
 *     delta    kind  actor:64  after  item*  0x00  flags:8  (to - after)
 *              (as_of - to)?  anew?
 *     item     0x80|flags  row...     a row, written after its predecessor
 *              0x01  birth            a death
 *              0x02  birth  count     a run of deaths
 *
 * Numbers without a width are varints (LEB128), signed ones zigzag.  A row is
 * written as its difference from the row before it in the same body: seq,
 * stamp, owner and the first bytes of the key.  docs/wire.md has the tables.
 *
 * Trust:   every byte is a stranger's.  holt_message_open() reads a message to
 *          its end, checks it whole, and only then hands it out; nothing
 *          half checked exists.  Reading it again, in slices, cannot fail but
 *          for memory.
 * Memory:  a message borrows the bytes; it owns one key, at most key_bytes_max.
 * Cost:    opening is linear in the bytes, whatever they say.
 */
#ifndef HOLT_CORE_PACKET_H
#define HOLT_CORE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>
#include <holt/mem.h>
#include <holt/replica.h>

#include "buf.h"
#include "rows.h"
#include "varint.h"

/* The protocol spoken here; a hello names the range its sender can speak. */
#define HOLT_PROTOCOL_VERSION 1u

/* The most deaths one delta may name: what bounds a run of ten bytes. */
#define HOLT_DELTA_DEATHS_MAX 65536u

/* The most actors one vector may name. */
#define HOLT_VECTOR_ITEMS_MAX 4096u

enum holt_packet_kind {
  HOLT_PACKET_DELTA = 1,
  HOLT_PACKET_ACK = 2,
  HOLT_PACKET_VECTOR = 3,
};

struct holt_hello {
  uint8_t version_min; /* Protocol versions the sender speaks. */
  uint8_t version_max;
  struct holt_member member; /* Decoded: points into the message. */
  uint64_t actor;
  uint32_t creation;
  uint64_t session;       /* The sender's, for this link. */
  uint64_t known_session; /* The receiver's, as known; 0 when it is not. */
  uint64_t policy;        /* Hash of what members must agree on. */
  uint64_t version;       /* Of the sender's own rows. */
  uint64_t have_actor;    /* The receiver's actor as known; 0 when not. */
  uint64_t have_cursor;   /* How far the sender holds it. */
};

struct holt_header {
  uint64_t to_session;
  uint64_t from_session;
};

struct holt_ack {
  uint64_t actor;
  uint64_t cursor;
  bool gap; /* Something between cursor and what came is missing. */
};

struct holt_vector_item {
  uint64_t actor;
  uint64_t version; /* The sender's rows of that actor. */
  uint64_t sent;    /* How far the stream to this receiver has been sent. */
};

int holt_hello_encode(struct holt_buf *out, const struct holt_hello *hello);

/* HOLT_ERR_MALFORMED, HOLT_ERR_VERSION (no common protocol version). */
int holt_hello_decode(const uint8_t *bytes, size_t size,
                      struct holt_hello *hello);

void holt_header_encode(uint8_t out[HOLT_HEADER_BYTES],
                        const struct holt_header *header);
int holt_header_decode(const uint8_t *bytes, size_t size,
                       struct holt_header *header);

int holt_ack_encode(struct holt_buf *out, const struct holt_ack *ack);
int holt_vector_encode(struct holt_buf *out,
                       const struct holt_vector_item *items, size_t count);

/*--------------------------------------------------------------------
 * Writing a delta: begin, rows and deaths in order of seq, end. */

struct holt_delta_writer {
  struct holt_buf *out;
  uint64_t after;
  uint64_t seq;
  uint64_t stamp;
  uint64_t death;     /* The last death written. */
  uint64_t run_birth; /* Deaths not yet written: a run that may go on. */
  uint64_t run_count;
  uint64_t death_count;
  const uint8_t *key; /* Of the last row; borrowed until the next one. */
  size_t key_size;
  uint32_t owner_id;
  uint32_t owner_serial;
  bool has_owner;
};

void holt_delta_begin(struct holt_delta_writer *writer, struct holt_buf *out,
                      uint64_t actor, uint64_t after);
void holt_delta_row(struct holt_delta_writer *writer,
                    const struct holt_row_spec *row);
void holt_delta_death(struct holt_delta_writer *writer, uint64_t birth);

/* as_of is our version now; a delta to there is clean.  anew is 0, or names the
 * copy made anew that this delta is a piece of, by our version when it began:
 * such a delta fits no other copy.
 *
 * Errors of the buffer surface here: HOLT_ERR_NOMEM, HOLT_ERR_TOO_LARGE. */
int holt_delta_end(struct holt_delta_writer *writer, uint64_t to,
                   uint64_t as_of, uint64_t anew);

/* The most bytes a row can take in a delta besides its key and value. */
#define HOLT_DELTA_ROW_BYTES_MAX 96u

/*--------------------------------------------------------------------
 * Reading */

enum holt_item_type {
  HOLT_ITEM_ROW,
  HOLT_ITEM_DEATH,
  HOLT_ITEM_END
};

struct holt_delta_item {
  enum holt_item_type type;
  struct holt_row_spec row; /* Valid until the next item. */
  uint64_t birth;           /* Of a death. */
};

/* Where reading a delta stands.  Offsets, not pointers: the host may hand the
 * same bytes over at another address. */
struct holt_delta_state {
  size_t offset;
  uint64_t seq;
  uint64_t stamp;
  uint64_t death;
  uint64_t run_birth;
  uint64_t run_count;
  uint32_t owner_id;
  uint32_t owner_serial;
  bool has_owner;
};

/* A message that has been read and checked; public as struct holt_message. */
struct holt_message {
  struct holt_header header;
  enum holt_packet_kind kind;
  const uint8_t *body; /* Borrowed. */
  size_t body_size;
  struct holt_ack ack;
  size_t vector_offset; /* The first item of a vector. */
  size_t vector_count;
  uint64_t actor; /* The rest is a delta's. */
  uint64_t after;
  uint64_t to;
  uint64_t as_of; /* See holt_delta_end(). */
  uint64_t anew;
  bool clean; /* The rows are those of version `to`. */
  bool begun; /* A replica has taken it up. */
  struct holt_mem *mem;
  struct holt_delta_state state;
  struct holt_buf key;
};

/* The next item of a delta.  HOLT_ERR_NOMEM: nothing was consumed, the same
 * item comes again.  After HOLT_ITEM_END it comes for ever. */
int holt_message_next(struct holt_message *message,
                      struct holt_delta_item *item);

/* The items of a vector: calls with index 0 .. vector_count - 1, in order. */
void holt_message_vector(const struct holt_message *message, size_t *offset,
                         struct holt_vector_item *item);

#endif /* HOLT_CORE_PACKET_H */
