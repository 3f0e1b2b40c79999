/* SPDX-License-Identifier: Apache-2.0 */
/* Packets: what two replicas say to each other, byte by byte.
 *
 *     hello    who I am, which session this is, what I hold of you
 *     delta    changes of the sender's own rows, in order of seq
 *     ack      how far the receiver has come, and whether something is missing
 *     vector   what the sender holds of everybody; what was lost is noticed
 *     request  asks for a repair, and for its next pieces
 *     repair   a piece of one
 *     lost     the stream cannot go on from the receiver's cursor
 *     goodbye  the sender is gone, or hidden until it is back
 *     ask      who of you reaches these actors, which I cannot hear?
 *     vouch    the answers, each first-hand
 *     probe    are you there?
 *     echo     I am
 *     reached  how far another has come with the receiver's rows
 *
 * A hello travels alone.  The others are a header, made for one receiver, and
 * a body that names actors by id and stands by itself, so that it is encoded
 * once for all receivers:
 *
 *     header   version:8  to_session:64  from_session:64
 *     body     kind:8 ...
 *     delta    kind  actor:64  after  item*  0x00  flags:8  (to - after)
 *              (as_of - to)?
 *     ask      kind  token:64  count  actor:64*
 *     vouch    kind  token:64  flags:8  count
 *              (actor:64  word:8  age  version)*
 *     repair   kind  actor:64  token:64  session  base  after  notes  flags:8
 *              identity?  live set?  item*  0x00  flags:8  (to - after)
 *              (as_of - to)
 *     item     0x80|flags  row...     a row, written after its predecessor
 *              0x01|why  birth        a death
 *              0x02|why  birth  count a run of deaths
 *
 * Numbers without a width are varints (LEB128), signed ones zigzag.  A row is
 * written as its difference from the row before it in the same body: seq,
 * stamp (in milliseconds where that will do), owner and the first bytes of the
 * key.  docs/wire.md has the tables.
 *
 * Trust:   every byte is a stranger's.  holt_message_open() reads a message to
 *          its end, checks it whole, and only then hands it out; nothing
 *          half checked exists.  Reading it again, in slices, cannot fail but
 *          for memory.
 * Memory:  a message borrows the bytes; it owns the keys of one batch.
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
#include "liveset.h"
#include "rows.h"
#include "varint.h"

/* The protocols spoken here; a hello names the range its sender can speak, and
 * the highest common one is used. */
#define HOLT_PROTOCOL_MIN 1u
#define HOLT_PROTOCOL_MAX 1u

/* The latest stamp: of HOLT_CLOCK_WALL_MS_MAX. */
#define HOLT_STAMP_MAX ((UINT64_C(1) << 63) - 1)

/* The most deaths one delta may name: what bounds a run of ten bytes. */
#define HOLT_DELTA_DEATHS_MAX 65536u

/* The most actors one vector may name; and one ask or vouch. */
#define HOLT_VECTOR_ITEMS_MAX 2048u
#define HOLT_ASK_ITEMS_MAX 2048u

enum holt_packet_kind {
  HOLT_PACKET_DELTA = 1,
  HOLT_PACKET_ACK = 2,
  HOLT_PACKET_VECTOR = 3,
  HOLT_PACKET_REQUEST = 4,
  HOLT_PACKET_REPAIR = 5,
  HOLT_PACKET_LOST = 6,
  HOLT_PACKET_GOODBYE = 7,
  HOLT_PACKET_ASK = 8,
  HOLT_PACKET_VOUCH = 9,
  HOLT_PACKET_PROBE = 10,
  HOLT_PACKET_ECHO = 11,
  HOLT_PACKET_REACHED = 12
};

struct holt_hello {
  uint8_t version_min; /* Protocol versions the sender speaks. */
  uint8_t version_max;
  struct holt_member member; /* Decoded: points into the message. */
  uint64_t actor;
  uint32_t creation;
  uint64_t session;       /* The sender's, for this link. */
  uint64_t known_session; /* The receiver's, as known; 0 when it is not. */
  uint64_t policy;        /* HOLT_POLICY_ */
  uint64_t wall_ms;       /* The sender's clock. */
  uint64_t version;       /* Of the sender's own rows. */
  uint64_t have_actor;    /* The receiver's actor as known; 0 when not. */
  uint64_t have_cursor;   /* How far the sender holds it. */
  bool have_torn;         /* It cannot be streamed to: it needs a repair. */
  bool have_dirty;        /* It is not a version, even if the cursor is one. */
};

struct holt_header {
  uint8_t version;
  uint64_t to_session;
  uint64_t from_session;
};

struct holt_ack {
  uint64_t actor; /* Whose stream: the receiver's, or one that it forwards. */
  uint64_t cursor;
  bool gap;   /* Something between cursor and what came is missing. */
  bool dirty; /* The copy is not a version, even if the cursor is one. */
  bool stop;  /* Nothing of it is to be forwarded any more. */
};

struct holt_vector_item {
  uint64_t actor;
  bool connected;     /* To the sender. */
  bool absent;        /* Nobody that the sender knows of reaches it: */
  uint64_t absent_ms; /* for so long, at least, as far as it has heard. */
  uint64_t version;   /* The sender's copy of it; 0: between two. */
  uint64_t fingerprint;
};

struct holt_vector {
  uint64_t wall_ms; /* The sender's clock. */
  uint64_t digest;  /* Of what it holds of all connected; 0: in between. */
  uint64_t sent;    /* How far its stream to this receiver has been sent. */
  size_t count;     /* The items follow; the sender's own is the first. */
};

struct holt_request {
  uint64_t actor;
  uint64_t token; /* Names the repair; drawn by who asks. */
  uint64_t base;  /* The version that the asker has. */
  uint64_t after; /* How far it has come. */
  uint64_t notes; /* How many deaths it has been told. */
  bool start;
  bool gap;    /* Go on from there. */
  bool done;   /* Complete, or not wanted any more. */
  bool follow; /* And forward what comes after it: forward.c. */
};

struct holt_lost {
  uint64_t actor; /* The sender's, or one that it forwards. */
  uint64_t base;  /* The least cursor that the stream can go on from. */
};

/* Who reaches these actors?  Their ids follow. */
struct holt_ask {
  uint64_t token; /* Grows with each one that its sender sends to anybody. */
  size_t count;
};

/* The answer to the last ask that has come, and what it left open before.  The
 * items follow. */
struct holt_vouch {
  uint64_t token; /* Of that ask. */
  bool whole;     /* NO to all that have been asked for and are not here. */
  size_t count;
};

enum holt_word {
  HOLT_WORD_NO = 0,     /* I do not reach it. */
  HOLT_WORD_YES = 1,    /* It has answered me. */
  HOLT_WORD_WAIT = 2,   /* I have asked it; another word follows. */
  HOLT_WORD_PAUSED = 3, /* It has told me that it will be back. */
  HOLT_WORD_MAX = HOLT_WORD_PAUSED
};

struct holt_vouch_item {
  uint64_t actor;
  enum holt_word word;
  uint64_t age_ms;  /* YES: so long ago was sent what it has answered. */
  uint64_t version; /* Of the sender's copy. */
};

/* A probe and its echo: the number comes back. */
struct holt_probe {
  uint64_t number;
};

struct holt_reached {
  uint64_t actor;  /* Whose voucher the sender is. */
  uint64_t cursor; /* So far has it come with the receiver's rows. */
};

struct holt_bye {
  uint64_t actor; /* The sender's. */
  enum holt_goodbye goodbye;
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
int holt_request_encode(struct holt_buf *out,
                        const struct holt_request *request);
int holt_lost_encode(struct holt_buf *out, const struct holt_lost *lost);
int holt_bye_encode(struct holt_buf *out, const struct holt_bye *bye);

/* The head of a vector, then each of its items. */
int holt_vector_encode(struct holt_buf *out, const struct holt_vector *vector);
int holt_vector_item_encode(struct holt_buf *out,
                            const struct holt_vector_item *item);

/* The head of an ask or a vouch, then each of its items. */
int holt_ask_encode(struct holt_buf *out, const struct holt_ask *ask);
int holt_ask_item_encode(struct holt_buf *out, uint64_t actor);
int holt_vouch_encode(struct holt_buf *out, const struct holt_vouch *vouch);
int holt_vouch_item_encode(struct holt_buf *out,
                           const struct holt_vouch_item *item);

/* kind: a probe or an echo. */
int holt_probe_encode(struct holt_buf *out, enum holt_packet_kind kind,
                      const struct holt_probe *probe);
int holt_reached_encode(struct holt_buf *out,
                        const struct holt_reached *reached);

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
  enum holt_reason run_why;
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
void holt_delta_death(struct holt_delta_writer *writer, uint64_t birth,
                      enum holt_reason why);

/* as_of is our version now; a delta to there is clean.
 *
 * Errors of the buffer surface here: HOLT_ERR_NOMEM, HOLT_ERR_TOO_LARGE. */
int holt_delta_end(struct holt_delta_writer *writer, uint64_t to,
                   uint64_t as_of);

/*--------------------------------------------------------------------
 * Writing a piece of a repair: begin; the live set, if after < base; deaths
 * that were noted; rows in order of seq; end. */

/* Who an actor is, for those who have not met it. */
struct holt_identity {
  struct holt_member member; /* Decoded: points into the message. */
  uint32_t creation;
  uint8_t rule;
};

struct holt_piece {
  uint64_t actor;
  uint64_t token;
  uint64_t session; /* Of the holder; grows. */
  uint64_t base;    /* As asked for. */
  uint64_t after;   /* All up to there has been covered. */
  uint64_t notes;   /* And so many deaths told. */
  bool refused;     /* Nothing follows: not held, not clean, or too many. */
  bool live;        /* A live set follows, to live_to. */
  bool whole;       /* The first began at base: what the asker had stands. */
  const struct holt_identity *identity; /* Or NULL. */
};

void holt_repair_begin(struct holt_delta_writer *writer, struct holt_buf *out,
                       const struct holt_piece *piece);

/* The live set, made by the liveset writer on a buffer of its own. */
void holt_repair_live(struct holt_delta_writer *writer, uint64_t live_to,
                      const uint8_t *bytes, size_t size);

/* last: the copy is complete, and then as_of, its version, is to. */
int holt_repair_end(struct holt_delta_writer *writer, uint64_t to,
                    uint64_t as_of, bool last);

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
  uint64_t birth;           /* Of a death, like the next. */
  enum holt_reason why;
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
  enum holt_reason run_why;
  size_t key_at; /* The last key, in the buffer of keys. */
  size_t key_size;
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
  union {
    struct holt_ack ack;
    struct holt_vector vector;
    struct holt_request request;
    struct holt_lost lost;
    struct holt_bye bye;
    struct holt_ask ask;
    struct holt_vouch vouch;
    struct holt_probe probe; /* Or an echo. */
    struct holt_reached reached;
  } u;
  size_t items_offset; /* The first item of a vector, an ask, a vouch. */

  /* The rest is a delta's or a repair's. */
  uint64_t actor;
  uint64_t after;
  uint64_t to;
  uint64_t as_of; /* See holt_delta_end(). */
  bool clean;     /* The rows are those of version `to`. */
  uint64_t token; /* From here on only a repair's. */
  uint64_t session;
  uint64_t base;
  uint64_t notes;
  bool refused;
  bool whole;
  bool last;
  bool has_identity;
  struct holt_identity identity;
  size_t live_offset; /* The live set, if live_size > 0. */
  size_t live_size;
  uint64_t live_to; /* after, when there is none. */
  struct holt_liveset_reader live;

  bool begun;  /* A replica has taken it up. */
  uint64_t at; /* How far it has come with it. */
  struct holt_mem *mem;
  struct holt_delta_state state;
  struct holt_buf keys; /* Of the items read last. */
};

/* The next item of a delta.  HOLT_ERR_NOMEM: nothing was consumed, the same
 * item comes again.  After HOLT_ITEM_END it comes for ever. */
int holt_message_next(struct holt_message *message,
                      struct holt_delta_item *item);

/* Items read ahead: the memory that the later ones need can be on its way while
 * the first ones are put. */
#define HOLT_BATCH_ITEMS 16u

struct holt_batch {
  size_t count;
  struct holt_delta_item items[HOLT_BATCH_ITEMS]; /* Rows and deaths. */
  struct holt_row_place places[HOLT_BATCH_ITEMS]; /* For sync.c. */
};

/* The next items, at least one and at most items_max of them, which is not 0;
 * none at the end.  They are valid until the next call, or until the message is
 * moved.  Errors as above. */
int holt_message_batch(struct holt_message *message, struct holt_batch *batch,
                       size_t items_max);

/* The items of a vector, an ask, a vouch, in order: offset is items_offset at
 * first. */
void holt_message_vector(const struct holt_message *message, size_t *offset,
                         struct holt_vector_item *item);
uint64_t holt_message_ask(const struct holt_message *message, size_t *offset);
void holt_message_vouch(const struct holt_message *message, size_t *offset,
                        struct holt_vouch_item *item);

/*--------------------------------------------------------------------
 * Between packet.c and delta.c */

int holt__delta_open(struct holt_message *message, struct holt_reader *reader);
int holt__repair_open(struct holt_message *message, struct holt_reader *reader);
void holt__put_atom(struct holt_buf *out, const uint8_t *bytes, size_t size);
void holt__read_atom(struct holt_reader *reader, const uint8_t **bytes,
                     uint16_t *size);

#endif /* HOLT_CORE_PACKET_H */
