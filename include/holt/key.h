/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: when are two names the same name?
 *
 * A key may be any term but a fun.  Nodes must agree about equality without
 * sharing a VM, so a key is not the term but its canonical bytes: each term has
 * exactly one byte form, and two keys are equal as bytes exactly when the terms
 * are =:= (as OTP 27 sees it: 0.0 and -0.0 differ).  The bytes are external
 * term format without the version byte, so a host gets the term back by
 * decoding <<131, Bytes>>.
 *
 *     {user, 7}     68 02 | 77 04 75 73 65 72 | 61 07
 *                   tuple | atom "user"       | 7
 *
 * The one form of each term:
 *
 *     integer     97 for 0..255, else 98 for 32 bits, else 110, else 111, with
 *                 the shortest magnitude
 *     float       70, finite
 *     atom        119 up to 255 bytes of UTF-8, else 118
 *     binary      109;  bitstring  77 with the unused bits zero
 *     tuple       104 up to 255 elements, else 105
 *     list        108, all elements in one run, then the tail: 106 if proper
 *     []          106
 *     map         116, pairs ascending by the bytes of their keys
 *     pid         88;   port  120;   reference  90 of 3 words, or of 5
 *     fun         refused, M:F/A as well: its bytes depend on the code loaded
 *
 * A key is pushed piece by piece, so that one encoder serves two sources: a
 * walker over live terms, and bytes in external term format.  Containers say
 * first how many values follow; a list need not know:
 *
 *     holt_key_tuple(&key, 2);
 *     holt_key_atom(&key, "user", 4);
 *     holt_key_list(&key);  holt_key_int(&key, 7);
 *     holt_key_tail(&key);  holt_key_nil(&key);         {user, [7]}
 *     rv = holt_key_finish(&key);
 *
 * The first error sticks: later pushes do nothing and return it, so a caller
 * may check holt_key_finish() alone.
 *
 * Order:   memcmp order of keys is total but not Erlang's term order.
 * Cost:    O(n log n) in the bytes written, whatever is pushed; below 1 ms for
 *          HOLT_KEY_BYTES_MAX.  A container that cannot fit is refused before
 *          its elements are looked at.
 * Memory:  none for keys of up to HOLT_KEY_INLINE_BYTES; beyond that at most
 *          2 * bytes_max, and 12 bytes per pair of maps still open.
 * Threads: none.
 */
#ifndef HOLT_KEY_H
#define HOLT_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>
#include <holt/mem.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The longest key where nobody says otherwise: long enough for any name meant
 * by somebody, short enough that sorting it fits in a NIF's millisecond. */
#define HOLT_KEY_BYTES_MAX 8192u

/* The largest bytes_max.  A key must fit into one message. */
#define HOLT_KEY_BYTES_LIMIT 65535u

/* How deep containers may be nested.  Empty ones do not count, and a list
 * within the tail of a list is the same list. */
#define HOLT_KEY_DEPTH_MAX 64u

/* Up to this size nothing is allocated. */
#define HOLT_KEY_INLINE_BYTES 256u

/* An open container. */
struct holt_key_frame {
  uint32_t start; /* Where its first byte is. */
  uint32_t left;  /* Values still due; for an open list, meaningless. */
  uint32_t count; /* Elements of a list so far; pairs below a map's own. */
  uint32_t kind;  /* Private to key.c. */
};

/* A pair of a map that is still open: where its key and its value start, and
 * where it ends. */
struct holt_key_pair {
  uint32_t key;
  uint32_t value;
  uint32_t end; /* Set when the map is complete. */
};

/* Concrete so that it can live on a stack (it takes about 3 KiB); the fields
 * are private to key.c.
 *
 * Its pointers may lead into itself: never copy or move it. */
struct holt_key {
  uint8_t *bytes; /* The key; owned unless inline_bytes. */
  size_t size;
  size_t capacity;
  size_t bytes_max;
  struct holt_mem *mem;        /* Borrowed. */
  struct holt_key_pair *pairs; /* Owned unless inline_pairs. */
  size_t pairs_count;
  size_t pairs_capacity;
  uint32_t depth; /* Frames in use. */
  int error;      /* The first one, or 0. */
  bool complete;  /* One whole value has been pushed. */
  struct holt_key_frame frames[HOLT_KEY_DEPTH_MAX];
  /* Twice the inline size, because sorting a map needs room for a copy. */
  uint8_t inline_bytes[2 * HOLT_KEY_INLINE_BYTES];
  /* A pair takes at least two bytes of the key. */
  struct holt_key_pair inline_pairs[HOLT_KEY_INLINE_BYTES / 2];
};

/* Prepare an empty key of at most bytes_max bytes.  0 means HOLT_KEY_BYTES_MAX;
 * more than HOLT_KEY_BYTES_LIMIT counts as that.  Cannot fail, allocates
 * nothing. */
HOLT_API void holt_key_init(struct holt_key *key, struct holt_mem *mem,
                            size_t bytes_max);

/* Free what the key owns.  It is then as after holt_key_init(). */
HOLT_API void holt_key_deinit(struct holt_key *key);

/* Make the key empty and forget its error; memory is kept for the next one. */
HOLT_API void holt_key_reset(struct holt_key *key);

/* Pushes.  Each returns 0 or the sticky error:
 *
 * HOLT_ERR_TOO_LARGE     the key would pass bytes_max.
 * HOLT_ERR_TOO_DEEP      ... or HOLT_KEY_DEPTH_MAX.
 * HOLT_ERR_NOMEM         the allocator returned NULL.
 * HOLT_ERR_MALFORMED     no value is due here (one is complete already), or the
 *                        value is none: text that is no atom name, a float that
 *                        is not finite, a map with the same key twice.
 * HOLT_ERR_UNSUPPORTED   a fun. */

HOLT_API int holt_key_int(struct holt_key *key, int64_t value);

/* An integer of any size as sign and magnitude, least byte first.  Need not be
 * minimal, need not be big. */
HOLT_API int holt_key_big(struct holt_key *key, bool negative,
                          const uint8_t *magnitude, size_t size);

HOLT_API int holt_key_float(struct holt_key *key, double value);

/* An atom by its name in UTF-8, or in Latin-1. */
HOLT_API int holt_key_atom(struct holt_key *key, const void *name, size_t size);
HOLT_API int holt_key_atom_latin1(struct holt_key *key, const void *name,
                                  size_t size);

HOLT_API int holt_key_binary(struct holt_key *key, const void *bytes,
                             size_t size);

/* A bitstring whose last byte uses last_bits (1..8) bits, from the high end.
 * With 8 of them, or without bytes, it is a binary. */
HOLT_API int holt_key_bits(struct holt_key *key, const void *bytes, size_t size,
                           unsigned last_bits);

/* A tuple; its arity values come next. */
HOLT_API int holt_key_tuple(struct holt_key *key, size_t arity);

/* []. */
HOLT_API int holt_key_nil(struct holt_key *key);

/* A list; one or more elements come next, then holt_key_tail(), then the one
 * value that is the tail: nil for a proper list, a list to go on with this one,
 * anything else for an improper list. */
HOLT_API int holt_key_list(struct holt_key *key);
HOLT_API int holt_key_tail(struct holt_key *key);

/* A map; pairs times key, value come next, in any order. */
HOLT_API int holt_key_map(struct holt_key *key, size_t pairs);

/* One value given in external term format, without the version byte and with
 * nothing after it.  This is the way in for pids, ports and references.
 *
 * Input of more than four times bytes_max is HOLT_ERR_TOO_LARGE unseen: nothing
 * that an encoder emits shrinks that much. */
HOLT_API int holt_key_etf(struct holt_key *key, const uint8_t *bytes,
                          size_t size);

/* 0 iff exactly one complete value was pushed; else the sticky error, or
 * HOLT_ERR_MALFORMED when values are missing. */
HOLT_API int holt_key_finish(struct holt_key *key);

/* The canonical bytes, meaningful once holt_key_finish() returned 0.  They live
 * until the key is changed. */
static inline const uint8_t *
holt_key_bytes(const struct holt_key *key)
{
  return key->bytes;
}

static inline size_t
holt_key_size(const struct holt_key *key)
{
  return key->size;
}

/* 0 iff the bytes are exactly one canonical key.  Meant for bytes from peers:
 * needs no memory and one pass.  The caller compares size with its own limit.
 *
 * HOLT_ERR_MALFORMED     no key, or not in its one form.
 * HOLT_ERR_TOO_DEEP      nested beyond HOLT_KEY_DEPTH_MAX.
 * HOLT_ERR_UNSUPPORTED   contains a fun. */
HOLT_API int holt_key_check(const uint8_t *bytes, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* HOLT_KEY_H */
