/* SPDX-License-Identifier: Apache-2.0 */
/* Terms: how does the daemon write and read Erlang terms?
 *
 * Writing puts one piece after the other into a block that grows, in external
 * term format without the version byte.  Containers say first how many terms
 * follow:
 *
 *     term_put_tuple(&w, 2);            {ok, [1, 2]}
 *     term_put_atom(&w, "ok");
 *     term_put_list(&w, 2);
 *     term_put_uint(&w, 1);
 *     term_put_uint(&w, 2);
 *     term_put_nil(&w);                 <- the list's tail
 *     if (w.error != 0) ...
 *
 * or, where the number is known only afterwards, are opened and closed.  The
 * first error sticks, later puts do nothing: a caller checks w.error once.
 *
 * Reading takes terms of a known shape from a struct holt_etf_reader, piece by
 * piece: each term_read_*() returns true and steps over what it read, or
 * returns false and leaves the reader where it was, so that alternatives may be
 * tried.
 * What is read is borrowed from the input.
 *
 *     struct holt_etf_reader r = term_reader(message->payload);
 *     if (term_read_tuple(&r, 3) && term_read_atom_is(&r, "$gen_call") &&
 *         term_read_term(&r, &from) && term_read_term(&r, &request) &&
 *         term_read_end(&r)) { ... }
 *
 * Atoms are UTF-8.  Atoms that came as Latin-1 and are not ASCII are refused:
 * the distribution has not sent any since OTP 20.
 *
 * Cost:    writing is amortised O(bytes); reading O(bytes of what is read).
 * Memory:  a writer owns one block of less than twice its content.
 * Threads: none.
 */
#ifndef HOLT_NODE_TERM_H
#define HOLT_NODE_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/etf.h>
#include <holt/mem.h>

/* The byte before a term in a frame, a file, a term_to_binary. */
#define TERM_VERSION 131u

/* Bytes of somebody else: as a rule one term, without the version byte. */
struct term_slice {
  const uint8_t *bytes;
  size_t size;
};

static inline struct term_slice
term_slice(const void *bytes, size_t size)
{
  return (struct term_slice){ (const uint8_t *)bytes, size };
}

/* A process of any node. */
struct term_pid {
  struct term_slice node; /* Its name, UTF-8, not a term. */
  uint32_t id;
  uint32_t serial;
  uint32_t creation;
};

/*--------------------------------------------------------------------
 * Writing */

/* data, size and error may be read by anyone. */
struct term_writer {
  uint8_t *data; /* Owned.  NULL while capacity is 0. */
  size_t size;
  size_t capacity;
  size_t size_max;
  struct holt_mem *mem;
  int error; /* The first: 0, HOLT_ERR_NOMEM, HOLT_ERR_TOO_LARGE. */
};

/* Prepare an empty writer for at most size_max bytes (0: no limit).  Cannot
 * fail, allocates nothing. */
void term_writer_init(struct term_writer *writer, struct holt_mem *mem,
                      size_t size_max);

/* Free what the writer owns.  It is then as after term_writer_init(). */
void term_writer_deinit(struct term_writer *writer);

/* Forget content and error, keep the memory. */
void term_writer_clear(struct term_writer *writer);

/* What was written, good until the next put. */
static inline struct term_slice
term_writer_slice(const struct term_writer *writer)
{
  return term_slice(writer->data, writer->size);
}

/* Bytes as they are: a term written elsewhere, a version byte. */
void term_put_raw(struct term_writer *writer, const void *bytes, size_t size);
void term_put_slice(struct term_writer *writer, struct term_slice slice);
void term_put_u8(struct term_writer *writer, uint8_t value);
void term_put_u16(struct term_writer *writer, uint16_t value);
void term_put_u32(struct term_writer *writer, uint32_t value);
void term_put_u64(struct term_writer *writer, uint64_t value);

/* An atom by its name: text that ends in 0, or bytes.  The name must be fit to
 * be an atom (holt_etf_is_atom_name()); what is longer than any atom becomes
 * HOLT_ERR_TOO_LARGE. */
void term_put_atom(struct term_writer *writer, const char *name);
void term_put_atom_bytes(struct term_writer *writer, const void *name,
                         size_t size);
void term_put_bool(struct term_writer *writer, bool value);

void term_put_int(struct term_writer *writer, int64_t value);
void term_put_uint(struct term_writer *writer, uint64_t value);
void term_put_float(struct term_writer *writer, double value);
void term_put_binary(struct term_writer *writer, const void *bytes,
                     size_t size);
/* Text that ends in 0, as a binary. */
void term_put_text(struct term_writer *writer, const char *text);

/* arity terms follow. */
void term_put_tuple(struct term_writer *writer, uint32_t arity);
/* count terms follow, then one that is the tail.  For count 0 nothing is
 * written, so that the tail alone is the list. */
void term_put_list(struct term_writer *writer, uint32_t count);
void term_put_nil(struct term_writer *writer);
/* pairs times key, value follow. */
void term_put_map(struct term_writer *writer, uint32_t pairs);

void term_put_pid(struct term_writer *writer, const struct term_pid *pid);
/* A reference of words_count (1 to 5) words. */
void term_put_reference(struct term_writer *writer, struct term_slice node,
                        uint32_t creation, const uint32_t *words,
                        unsigned words_count);

/* A proper list, or a map, whose number of elements or pairs is told when it is
 * closed.  open returns what close needs.  They may be nested. */
size_t term_open_list(struct term_writer *writer);
void term_close_list(struct term_writer *writer, size_t opened, uint32_t count);
size_t term_open_map(struct term_writer *writer);
void term_close_map(struct term_writer *writer, size_t opened, uint32_t pairs);

/*--------------------------------------------------------------------
 * Reading */

static inline struct holt_etf_reader
term_reader(struct term_slice slice)
{
  struct holt_etf_reader reader;
  holt_etf_init(&reader, slice.bytes, slice.size);
  return reader;
}

/* True when nothing is left. */
static inline bool
term_read_end(const struct holt_etf_reader *reader)
{
  return reader->at == reader->end;
}

/* One whole term, checked, whatever it is. */
bool term_read_term(struct holt_etf_reader *reader, struct term_slice *term);

/* The head of a tuple of exactly this arity; of any. */
bool term_read_tuple(struct holt_etf_reader *reader, uint32_t arity);
bool term_read_tuple_any(struct holt_etf_reader *reader, uint32_t *arity);
/* The head of a list: count elements, then a tail, follow.  [] is read too, as
 * count 0 and without a tail. */
bool term_read_list(struct holt_etf_reader *reader, uint32_t *count);
bool term_read_nil(struct holt_etf_reader *reader);
bool term_read_map(struct holt_etf_reader *reader, uint32_t *pairs);

/* An atom: its name; whether it is this one. */
bool term_read_atom(struct holt_etf_reader *reader, struct term_slice *name);
bool term_read_atom_is(struct holt_etf_reader *reader, const char *name);

bool term_read_int(struct holt_etf_reader *reader, int64_t *value);
/* An integer of 0 to 2^64 - 1. */
bool term_read_uint(struct holt_etf_reader *reader, uint64_t *value);
bool term_read_binary(struct holt_etf_reader *reader, struct term_slice *bytes);
bool term_read_pid(struct holt_etf_reader *reader, struct term_pid *pid);

/* Whether the one term in slice is this atom; this pid. */
bool term_is_atom(struct term_slice slice, const char *name);
bool term_is_pid(struct term_slice slice, struct term_pid *pid);

/* Whether the bytes are those of text, which ends in 0; of each other. */
bool term_slice_is(struct term_slice slice, const char *text);
bool term_slice_equal(struct term_slice a, struct term_slice b);

#endif /* HOLT_NODE_TERM_H */
