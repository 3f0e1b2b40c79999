/* SPDX-License-Identifier: Apache-2.0 */
#include "heap.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_ALIVE UINT64_C(0x686f6c745f626c6b)

/* Before each block.  The alignment makes what follows fit for any type. */
struct heap_block {
  _Alignas(max_align_t) struct heap_block *next;
  struct heap_block *previous;
  size_t size;
  uint64_t alive;
};

static void *
heap_new_block(struct heap *heap, size_t size)
{
  struct heap_block *const block = malloc(sizeof *block + size);
  if (block == NULL) {
    abort(); /* Not the failure that is being tested. */
  }
  *block = (struct heap_block){
    .next = heap->blocks,
    .size = size,
    .alive = BLOCK_ALIVE,
  };
  if (heap->blocks != NULL) {
    heap->blocks->previous = block;
  }
  heap->blocks = block;
  heap->blocks_count++;
  /* What is not initialised should not look as if it were. */
  memset(block + 1, 0xa5, size);
  return block + 1;
}

static void
heap_free_block(struct heap *heap, struct heap_block *block)
{
  if (block->previous != NULL) {
    block->previous->next = block->next;
  } else {
    heap->blocks = block->next;
  }
  if (block->next != NULL) {
    block->next->previous = block->previous;
  }
  heap->blocks_count--;
  memset(block, 0x5a, sizeof *block + block->size);
  free(block);
}

static bool
heap_refuses(struct heap *heap)
{
  heap->requests++;
  if (heap->fail_at == 0 || heap->requests < heap->fail_at) {
    return false;
  }
  if (heap->requests > heap->fail_at && !heap->fail_after) {
    return false;
  }
  heap->failed = true;
  return true;
}

static void *
heap_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
  struct heap *const heap = user;
  struct heap_block *block = NULL;
  if (ptr != NULL) {
    block = (struct heap_block *)ptr - 1;
    if (block->alive != BLOCK_ALIVE) {
      abort(); /* Not ours, or freed: nothing after this can be trusted. */
    }
  }
  if (old_size != (block == NULL ? 0 : block->size)) {
    fprintf(stderr, "heap: old size %zu given, it is %zu\n", old_size,
            block == NULL ? (size_t)0 : block->size);
    heap->mistakes++;
  }

  if (new_size == 0) {
    if (block == NULL) {
      heap->mistakes++;
    } else {
      heap_free_block(heap, block);
    }
    return NULL;
  }
  if (heap_refuses(heap)) {
    return NULL;
  }
  void *const moved = heap_new_block(heap, new_size);
  if (block != NULL) {
    memcpy(moved, ptr, block->size < new_size ? block->size : new_size);
    heap_free_block(heap, block);
  }
  return moved;
}

void
heap_init(struct heap *heap)
{
  *heap = (struct heap){ .requests = 0 };
  holt_mem_init(&heap->mem, heap_resize, heap, 0);
}

void
heap_deinit(struct heap *heap)
{
  while (heap->blocks != NULL) {
    heap_free_block(heap, heap->blocks);
  }
}

bool
heap_is_clean(const struct heap *heap)
{
  return heap->blocks_count == 0 && heap->mem.bytes == 0 && heap->mistakes == 0;
}

bool
heap_fail_each(heap_scenario scenario, void *arg, uint64_t *requests)
{
  bool failed = true;
  for (uint64_t at = 1; failed; at++) {
    struct heap heap;
    heap_init(&heap);
    heap.fail_at = at;
    const int rv = scenario(&heap.mem, arg);
    failed = heap.failed;
    const bool clean = heap_is_clean(&heap);
    const bool expected = rv == 0 || (failed && rv == HOLT_ERR_NOMEM);
    if (!clean || !expected) {
      fprintf(stderr,
              "heap: request %" PRIu64 " refused: result %d (%s), "
              "%zu blocks left, %" PRIu64 " mistakes\n",
              at, rv, holt_error_name(rv), heap.blocks_count, heap.mistakes);
    }
    heap_deinit(&heap);
    if (!clean || !expected) {
      return false;
    }
    if (requests != NULL) {
      *requests = at - 1;
    }
  }
  return true;
}
