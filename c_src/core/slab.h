/* SPDX-License-Identifier: Apache-2.0 */
/* Slab: many small blocks, each named by 32 bits.
 *
 * A registry of a million names is a million small blocks that point at each
 * other.  With pointers and a malloc for each, half of the memory would be
 * addresses and headers.  Here a block is named by a reference of half the
 * size, and has no header: blocks of one size class lie side by side in pages,
 * and a directory knows where the pages are.
 *
 *     reference   | page: 21 bits | slot: 11 bits |      0: none
 *                         |               |
 *     directory   [ ][ ][ * ][ ]          |
 *                         |               |
 *     page                [slot][slot][slot][slot]...    all of one size
 *
 * Classes are 8 bytes apart up to 256, then about a fifth apart, up to a
 * quarter of a page.  Larger blocks have a page of their own, of their exact
 * size.  The pages of a class start small and double up to 16 KiB, so that few
 * blocks cost little; after the first MiB they have 64 KiB.  Slots that are
 * free are chained through themselves.
 *
 * Blocks come in two kinds, which never share a page: so the kind of a block is
 * known from its reference, without a look at it.
 *
 * With AddressSanitizer, what is not allocated is poisoned to the byte.
 *
 * Cost:    O(1) but for doubling the directory, which copies 32 bytes per page.
 *          From a reference to its block: one look at the directory, which is
 *          half a byte to 2 bytes per KiB of blocks, and one multiplication.
 * Memory:  at most 7 bytes (above 256: a fifth) per block, 32 per page, and one
 *          page that is not full per class in use.  A page without blocks is
 *          given back, except for one per class.
 * Threads: none.  Readers may share it while nobody allocates or frees.
 */
#ifndef HOLT_CORE_SLAB_H
#define HOLT_CORE_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include <holt/mem.h>

#define HOLT_SLAB_PAGE_BYTES 16384u
#define HOLT_SLAB_PAGE_BYTES_MAX 65536u
#define HOLT_SLAB_SLOT_BITS 11
#define HOLT_SLAB_SLOTS (1u << HOLT_SLAB_SLOT_BITS)
#define HOLT_SLAB_PAGES_MAX (1u << (32 - HOLT_SLAB_SLOT_BITS))

/* 32 up to 256 bytes, 15 beyond, and that of the larger blocks. */
#define HOLT_SLAB_CLASSES 48u
#define HOLT_SLAB_KINDS 2u

/* Private to slab.c but for holt_slab_at(). */
struct holt_slab_page {
  uint8_t *base; /* NULL: the number is not in use. */
  uint32_t size; /* Of a slot. */
  uint32_t prev; /* Pages of the class with free slots; or, */
  uint32_t next; /* not in use, the next such number. */
  uint16_t slots;
  uint16_t used;
  uint16_t fresh;     /* Slots from here on have never been used. */
  uint16_t free_slot; /* First of the chain, plus 1. */
  uint8_t list;       /* Class and kind. */
  uint8_t kind;
};

/* The pages of one class and kind. */
struct holt_slab_list {
  uint32_t first; /* With free slots. */
  uint32_t pages; /* All. */
  uint32_t empty; /* 0 or 1. */
};

struct holt_slab {
  struct holt_mem *mem; /* Borrowed. */
  struct holt_slab_page *pages;
  uint32_t capacity;    /* Of pages. */
  uint32_t page_count;  /* Numbers given so far; 0 is never used. */
  uint32_t page_unused; /* First of the numbers that are free again. */
  size_t block_count;
  struct holt_slab_list lists[HOLT_SLAB_CLASSES * HOLT_SLAB_KINDS];
};

/* Prepare an empty slab.  Allocates nothing. */
void holt_slab_init(struct holt_slab *slab, struct holt_mem *mem);

/* Free all blocks at once.  The slab is then as after holt_slab_init(). */
void holt_slab_deinit(struct holt_slab *slab);

/* A block of size >= 1 bytes with undefined content, aligned to 8 bytes; kind
 * is 0 or 1.  Returns 0 when there is no memory: nothing has changed then. */
uint32_t holt_slab_alloc(struct holt_slab *slab, size_t size, unsigned kind);

/* Free a block.  0 is allowed. */
void holt_slab_free(struct holt_slab *slab, uint32_t ref);

/* Where the block of a reference is, which is not 0. */
static inline void *
holt_slab_at(const struct holt_slab *slab, uint32_t ref)
{
  const struct holt_slab_page *const page =
    &slab->pages[ref >> HOLT_SLAB_SLOT_BITS];
  return page->base + (size_t)(ref & (HOLT_SLAB_SLOTS - 1)) * page->size;
}

/* What holt_slab_alloc() was told. */
static inline unsigned
holt_slab_kind(const struct holt_slab *slab, uint32_t ref)
{
  return slab->pages[ref >> HOLT_SLAB_SLOT_BITS].kind;
}

#endif /* HOLT_CORE_SLAB_H */
