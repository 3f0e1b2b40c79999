/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzing: what do these bytes break?
 *
 * A target is one file, fuzz_NAME.c, with two functions: one that takes any
 * bytes to the end of what it tests and aborts where something is not as it has
 * to be, and one that makes seeds, inputs that get far, from the encoders that
 * the product has.  The same target is linked twice:
 *
 *     libFuzzer   looks for bytes that reach what none has reached before
 *     replay.c    takes files: the corpus, with each `make test`; a crash
 *
 * So a target keeps nothing from one input to the next, and knows neither time
 * nor chance but what is in its bytes: a file that fails once fails always.
 *
 *     corpus/NAME/...   what is kept: seeds, and what fuzzing has found
 *     NAME.dict         words that libFuzzer may put in
 */
#ifndef HOLT_FUZZ_H
#define HOLT_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "heap.h"
#include "hex.h"

/*--------------------------------------------------------------------
 * What a target has */

void fuzz_one(const uint8_t *bytes, size_t size);

/* Hand each seed to seed(). */
typedef void (*fuzz_seed)(const char *name, const void *bytes, size_t size);
void fuzz_seeds(fuzz_seed seed);

/* What libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/*--------------------------------------------------------------------
 * What it uses */

/* Says what is wrong, and aborts. */
_Noreturn void fuzz_fail(const char *what, const char *file, int line);

#define FUZZ_CHECK(condition)                                                  \
  ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))

/* Bytes to be used up.  Behind the end all numbers are 0. */
struct fuzz_input {
  const uint8_t *at;
  const uint8_t *end;
};

struct fuzz_input fuzz_input(const uint8_t *bytes, size_t size);
bool fuzz_is_used_up(const struct fuzz_input *input);
uint8_t fuzz_u8(struct fuzz_input *input);
/* Big-endian. */
uint64_t fuzz_u16(struct fuzz_input *input);
uint64_t fuzz_u64(struct fuzz_input *input);

/* So many bytes, or what is left; a piece that says its size in two bytes; all
 * that is left.  In a block of their own, so that the sanitizer sees who reads
 * beyond it; hex_delete() follows. */
struct hex fuzz_bytes(struct fuzz_input *input, size_t size);
struct hex fuzz_piece(struct fuzz_input *input);
struct hex fuzz_rest(struct fuzz_input *input);

/* Put a piece into a seed. */
void fuzz_put_piece(struct holt_buf *out, const void *bytes, size_t size);

/* The heap is empty again, and nothing was freed wrongly. */
void fuzz_heap_end(struct heap *heap);

#endif /* HOLT_FUZZ_H */
