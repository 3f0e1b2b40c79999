/* SPDX-License-Identifier: Apache-2.0 */
/* External term format: what do these bytes say, and can they be trusted?
 *
 * Erlang sends terms as a flat sequence: a container is a header that says how
 * many terms follow, and then they follow.  The reader below hands out that
 * sequence one token at a time.  It has no stack, so depth costs it nothing;
 * whoever needs the nesting counts tokens:
 *
 *     {a, [1, 2]}     68 02            TUPLE    arity 2
 *                     77 01 61         ATOM     a
 *                     6c 00000002      LIST     arity 2, and a tail
 *                     61 01            INTEGER  1
 *                     61 02            INTEGER  2
 *                     6a               NIL      (the tail)
 *
 * Start with one token due.  Each token settles one and adds
 * holt_etf_children() of them; at zero the term is complete.
 *
 * Every tag that term_to_binary/1,2 and the distribution of OTP 21 to 28 emit
 * is understood: 97 98 70 99 115 119 100 118 107 109 77 110 111 104 105 106 108
 * 116 88 103 89 102 120 90 114 113 112.  Others are malformed; so are the
 * compressed form (80), because its cost is not bounded by its size, and the
 * atom cache (82), which only a connection can resolve.  None of the functions
 * takes the version byte (131) that starts term_to_binary's output: skip it.
 *
 * Tokens are normalised where two forms mean one value: a big that fits is an
 * INTEGER, bits that fill their bytes are a BINARY, an empty string is NIL.
 * Nothing else is: a LIST of arity 0 stands for its tail, and a LIST as a tail
 * continues the list before it.
 *
 * Cost:    O(bytes of the token), a small constant per byte; no token promises
 *          more children than there are bytes left.
 * Memory:  none.  Tokens point into the input and live as long as it does.
 * Threads: none.
 */
#ifndef HOLT_ETF_H
#define HOLT_ETF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits of the BEAM: it can hold nothing beyond them. */
#define HOLT_ETF_ATOM_CHARS_MAX 255u
#define HOLT_ETF_ATOM_BYTES_MAX (4u * HOLT_ETF_ATOM_CHARS_MAX)
#define HOLT_ETF_TUPLE_ARITY_MAX ((UINT32_C(1) << 24) - 1)
#define HOLT_ETF_REFERENCE_WORDS_MAX 5u

/* How deep funs may be nested in the environments of funs, in holt_etf_skip().
 * Each level costs it one pointer and one counter. */
#define HOLT_ETF_FUN_DEPTH_MAX 32u

enum holt_etf_type {
  HOLT_ETF_INTEGER,   /* integer */
  HOLT_ETF_BIG,       /* negative; bytes = magnitude, least first, no high 0 */
  HOLT_ETF_FLOAT,     /* real, always finite */
  HOLT_ETF_ATOM,      /* bytes = its name; latin1 */
  HOLT_ETF_BINARY,    /* bytes */
  HOLT_ETF_BITS,      /* bytes; bits = how many of the last byte count, 1..7 */
  HOLT_ETF_STRING,    /* bytes = a proper list of small integers, size >= 1 */
  HOLT_ETF_NIL,       /* [] */
  HOLT_ETF_LIST,      /* arity elements, then the tail */
  HOLT_ETF_TUPLE,     /* arity elements */
  HOLT_ETF_MAP,       /* arity pairs: key, value, key, value... */
  HOLT_ETF_PID,       /* node, id, serial, creation */
  HOLT_ETF_PORT,      /* node, id, creation */
  HOLT_ETF_REFERENCE, /* node, words, words_count, creation */
  HOLT_ETF_EXPORT,    /* fun m:f/a; bytes = the three terms m, f, a */
  HOLT_ETF_FUN        /* A closure, skipped as a whole; bytes = its body. */
};

/* One token.  The comment of its type names the fields that are set; the others
 * are zero. */
struct holt_etf_token {
  enum holt_etf_type type;
  uint8_t tag;     /* As found, before normalising. */
  bool negative;   /* Sign of a BIG. */
  bool latin1;     /* Name of an ATOM is Latin-1, else checked UTF-8. */
  uint8_t bits;    /* Bits used in the last byte of BITS, from the high end. */
  uint32_t arity;  /* Elements of LIST and TUPLE, pairs of MAP. */
  int64_t integer; /* Value of INTEGER. */
  double real;     /* Value of FLOAT. */
  const uint8_t *bytes; /* Borrowed from the input. */
  size_t size;          /* Of bytes. */

  const uint8_t *node; /* Node name of PID, PORT, REFERENCE; borrowed. */
  size_t node_size;    /* In bytes. */
  bool node_latin1;    /* As latin1, for the node name. */
  uint8_t words_count; /* Words of a REFERENCE, 1..5. */
  uint32_t creation;
  uint64_t id; /* 32 bits for a PID; 64 for a PORT. */
  uint32_t serial;
  uint32_t words[HOLT_ETF_REFERENCE_WORDS_MAX]; /* As on the wire. */
};

/* A place in the input.  Both fields may be set and read by anyone. */
struct holt_etf_reader {
  const uint8_t *at;  /* Next token starts here. */
  const uint8_t *end; /* One past the last byte that may be read. */
};

static inline void
holt_etf_init(struct holt_etf_reader *reader, const uint8_t *bytes, size_t size)
{
  reader->at = bytes;
  reader->end = size == 0 ? bytes : bytes + size;
}

/* Read one token and step over it.
 *
 * All or nothing: on error the reader stays where it was and *token is
 * undefined.
 *
 * HOLT_ERR_MALFORMED   the bytes end early, the tag is not understood, an atom
 *                      is not UTF-8 or too long, a float is not finite, a
 *                      container promises more terms than bytes are left. */
HOLT_API int holt_etf_next(struct holt_etf_reader *reader,
                           struct holt_etf_token *token);

/* How many tokens follow as parts of this one, not counting their own parts. */
static inline uint64_t
holt_etf_children(const struct holt_etf_token *token)
{
  switch (token->type) {
  case HOLT_ETF_TUPLE:
    return token->arity;
  case HOLT_ETF_LIST:
    return (uint64_t)token->arity + 1;
  case HOLT_ETF_MAP:
    return (uint64_t)token->arity * 2;
  default:
    return 0;
  }
}

/* Step over one whole term, checking all of it, the bodies of funs included.
 * Depth is unlimited except for funs within funs.  All or nothing like
 * holt_etf_next().
 *
 * HOLT_ERR_MALFORMED   as there.
 * HOLT_ERR_TOO_DEEP    funs nested beyond HOLT_ETF_FUN_DEPTH_MAX. */
HOLT_API int holt_etf_skip(struct holt_etf_reader *reader);

/* 0 iff the bytes are exactly one well-formed term, without the version byte.
 * Errors as of holt_etf_skip().
 *
 * What this cannot promise: the host may still refuse the term, for duplicate
 * keys in a map, an integer beyond its own limit, or a pid, port or reference
 * that claims to be its own and cannot be.  A host decodes with a function that
 * can say no. */
HOLT_API int holt_etf_check(const uint8_t *bytes, size_t size);

/* True iff the bytes are UTF-8 of at most HOLT_ETF_ATOM_CHARS_MAX characters,
 * that is, an atom's name. */
HOLT_API bool holt_etf_is_atom_name(const uint8_t *bytes, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* HOLT_ETF_H */
