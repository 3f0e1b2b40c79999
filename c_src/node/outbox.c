/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include <assert.h>
#include <string.h>

struct outbox_block {
  struct outbox_block *next;
  size_t capacity; /* Of bytes. */
  size_t size;     /* Put. */
  size_t written;  /* At most size. */
  uint8_t bytes[];
};

void
outbox_init(struct outbox *outbox, struct holt_mem *mem)
{
  *outbox = (struct outbox){ .mem = mem };
}

static void
block_free(struct outbox *outbox, struct outbox_block *block)
{
  holt_mem_free(outbox->mem, block, sizeof *block + block->capacity);
}

void
outbox_deinit(struct outbox *outbox)
{
  while (outbox->head != NULL) {
    struct outbox_block *block = outbox->head;
    outbox->head = block->next;
    block_free(outbox, block);
  }
  outbox_init(outbox, outbox->mem);
}

/* A new last block for at least size bytes. */
static int
block_add(struct outbox *outbox, size_t size)
{
  const size_t capacity = size < OUTBOX_BLOCK_BYTES ? OUTBOX_BLOCK_BYTES : size;
  if (capacity > SIZE_MAX - sizeof(struct outbox_block)) {
    return HOLT_ERR_NOMEM;
  }
  struct outbox_block *block =
    holt_mem_alloc(outbox->mem, sizeof *block + capacity);
  if (block == NULL) {
    return HOLT_ERR_NOMEM;
  }
  *block = (struct outbox_block){ .capacity = capacity };
  if (outbox->tail == NULL) {
    outbox->head = block;
  } else {
    outbox->tail->next = block;
  }
  outbox->tail = block;
  return 0;
}

static void
append(struct outbox_block *block, struct term_slice part)
{
  if (part.size > 0) {
    memcpy(block->bytes + block->size, part.bytes, part.size);
    block->size += part.size;
  }
}

int
outbox_put(struct outbox *outbox, struct term_slice head,
           const struct term_slice *parts, size_t count)
{
  size_t size = head.size;
  for (size_t i = 0; i < count; i++) {
    assert(parts[i].size <= SIZE_MAX - size);
    size += parts[i].size;
  }
  if (size == 0) {
    return 0;
  }
  const struct outbox_block *tail = outbox->tail;
  if (tail == NULL || tail->capacity - tail->size < size) {
    const int rv = block_add(outbox, size);
    if (rv != 0) {
      return rv;
    }
  }
  append(outbox->tail, head);
  for (size_t i = 0; i < count; i++) {
    append(outbox->tail, parts[i]);
  }
  outbox->size += size;
  return 0;
}

size_t
outbox_peek(const struct outbox *outbox, struct term_slice *pieces,
            size_t count)
{
  size_t found = 0;
  for (const struct outbox_block *block = outbox->head;
       block != NULL && found < count; block = block->next) {
    pieces[found++] =
      term_slice(block->bytes + block->written, block->size - block->written);
  }
  return found;
}

void
outbox_written(struct outbox *outbox, size_t size)
{
  assert(size <= outbox->size);

  outbox->size -= size;
  while (outbox->head != NULL) {
    struct outbox_block *block = outbox->head;
    const size_t waiting = block->size - block->written;
    if (size < waiting) {
      block->written += size;
      return;
    }
    size -= waiting;
    outbox->head = block->next;
    if (outbox->head == NULL) {
      outbox->tail = NULL;
    }
    block_free(outbox, block);
  }
}
