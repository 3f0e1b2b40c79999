/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: where does every byte of holt come from?
 *
 * From one function that the host gives us.  It allocates, grows, shrinks and
 * frees, and it is always told the exact old size, so no block needs a header
 * and the account below is exact to the byte.
 *
 *     resize(user, NULL, 0,  64)  -> a new block of 64 bytes
 *     resize(user, ptr,  64, 96)  -> the same content, 96 bytes, maybe moved
 *     resize(user, ptr,  96,  0)  -> freed, returns NULL
 *
 * A host keeps one struct holt_mem per thing it wants to account for and to
 * limit (the NIF: one per instance).  Whoever allocates through it must free
 * through it.
 *
 * Cost:    that of the host's allocator, plus two additions.
 * Memory:  none of its own.
 * Threads: none.  A struct holt_mem belongs to whoever holds the lock of the
 *          things allocated through it.
 */
#ifndef HOLT_MEM_H
#define HOLT_MEM_H

#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The host's allocator.  A NULL ptr (then old_size is 0) asks for a new block;
 * new_size 0 frees and returns NULL; everything else resizes and keeps the
 * content.  It returns NULL when it cannot, and the old block then stands.
 * Blocks are aligned for any type, as malloc's are. */
typedef void *(*holt_mem_resize_fn)(void *user, void *ptr, size_t old_size,
                                    size_t new_size);

/* Read-only for everyone but mem.c, except bytes_max, which may be set at any
 * time. */
struct holt_mem {
  holt_mem_resize_fn resize;
  void *user;        /* Handed to resize; ours not to look at. */
  size_t bytes;      /* Allocated now. */
  size_t bytes_max;  /* More is refused.  0: no limit. */
  uint64_t failures; /* Requests refused, by the limit or by the host. */
};

/* Prepare an account with nothing in it.  Cannot fail. */
HOLT_API void holt_mem_init(struct holt_mem *mem, holt_mem_resize_fn resize,
                            void *user, size_t bytes_max);

/* A new block of size >= 1 bytes with undefined content, or NULL. */
HOLT_API void *holt_mem_alloc(struct holt_mem *mem, size_t size);

/* The same, filled with zeros. */
HOLT_API void *holt_mem_zalloc(struct holt_mem *mem, size_t size);

/* Change a block's size.  ptr may be NULL (old_size 0), which allocates;
 * new_size may be 0, which frees and returns NULL.
 *
 * All or nothing: NULL for a new_size >= 1 means that the block at ptr is as it
 * was, with its old size.  That can happen when shrinking, too. */
HOLT_API void *holt_mem_resize(struct holt_mem *mem, void *ptr, size_t old_size,
                               size_t new_size);

/* Free a block of exactly size bytes.  NULL (of size 0) is allowed. */
HOLT_API void holt_mem_free(struct holt_mem *mem, void *ptr, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* HOLT_MEM_H */
