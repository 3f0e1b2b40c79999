/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes: somewhere to write a message before its size is known.
 *
 * Small contents stay inside the struct, larger ones move to the heap, and what
 * moved there is kept for the next message.
 *
 *     holt_buf   data --+      data ------------> [ heap block, capacity ]
 *     inline    [ <-----+ ]
 *
 * The first error sticks: later puts write nothing and return it, so an encoder
 * may write a whole message and ask once.
 *
 * Because data may point at inline_data, a struct holt_buf must never be copied
 * or moved.
 *
 * Cost:    amortised O(bytes put); capacity doubles.
 * Memory:  owns at most one block, of less than 2 * size_max bytes.
 * Threads: none.
 */
#ifndef HOLT_CORE_BUF_H
#define HOLT_CORE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include <holt/error.h>
#include <holt/mem.h>

/* Contents up to this size need no allocation: most messages of a replica that
 * is not busy. */
#define HOLT_BUF_INLINE 256u

/* data and size may be read by anyone, and the bytes below size overwritten. */
struct holt_buf {
  uint8_t *data; /* inline_data, or a block of capacity bytes.  Never NULL. */
  size_t size;
  size_t capacity;
  size_t size_max; /* More is HOLT_ERR_TOO_LARGE. */
  struct holt_mem *mem;
  int error; /* Sticky. */
  uint8_t inline_data[HOLT_BUF_INLINE];
};

/* Prepare an empty buffer of at most size_max bytes (0: no limit).  Cannot fail
 * and allocates nothing. */
void holt_buf_init(struct holt_buf *buf, struct holt_mem *mem, size_t size_max);

/* Free what the buffer owns.  It is then as after holt_buf_init(). */
void holt_buf_deinit(struct holt_buf *buf);

/* Forget content and error, keep the memory. */
void holt_buf_clear(struct holt_buf *buf);

/* Cut the content to its first size bytes; size is at most buf->size.  An error
 * stays. */
void holt_buf_truncate(struct holt_buf *buf, size_t size);

/* Make room for size more bytes, so that the next puts of that many cannot
 * fail.  Returns 0 or the sticky error, like every put:
 *
 * HOLT_ERR_TOO_LARGE   the content would pass size_max.
 * HOLT_ERR_NOMEM       the allocator returned NULL.
 *
 * All or nothing: after an error the content is as it was before this call. */
int holt_buf_reserve(struct holt_buf *buf, size_t size);

int holt_buf_put(struct holt_buf *buf, const void *bytes, size_t size);
int holt_buf_put_u8(struct holt_buf *buf, uint8_t value);
int holt_buf_put_u16be(struct holt_buf *buf, uint16_t value);
int holt_buf_put_u32be(struct holt_buf *buf, uint32_t value);
int holt_buf_put_u64be(struct holt_buf *buf, uint64_t value);
int holt_buf_put_varint(struct holt_buf *buf, uint64_t value);

#endif /* HOLT_CORE_BUF_H */
