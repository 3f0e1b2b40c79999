/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/mem.h>

#include <stdbool.h>
#include <string.h>

#include "invariant.h"

void
holt_mem_init(struct holt_mem *mem, holt_mem_resize_fn resize, void *user,
              size_t bytes_max)
{
  holt_assert(resize != NULL);

  *mem = (struct holt_mem){
    .resize = resize,
    .user = user,
    .bytes_max = bytes_max,
  };
}

/* Written so that no sum can overflow.  The limit may have been lowered below
 * what is allocated already. */
static bool
mem_has_room(const struct holt_mem *mem, size_t more)
{
  if (more > SIZE_MAX - mem->bytes) {
    return false;
  }
  return mem->bytes_max == 0 || mem->bytes + more <= mem->bytes_max;
}

void *
holt_mem_resize(struct holt_mem *mem, void *ptr, size_t old_size,
                size_t new_size)
{
  holt_assert((ptr == NULL) == (old_size == 0));
  holt_assert(mem->bytes >= old_size);

  if (new_size == 0) {
    if (ptr != NULL) {
      mem->resize(mem->user, ptr, old_size, 0);
      mem->bytes -= old_size;
    }
    return NULL;
  }
  if (new_size > old_size && !mem_has_room(mem, new_size - old_size)) {
    mem->failures++;
    return NULL;
  }

  void *const resized = mem->resize(mem->user, ptr, old_size, new_size);
  if (resized == NULL) {
    mem->failures++;
    return NULL;
  }
  mem->bytes = mem->bytes - old_size + new_size;
  return resized;
}

void *
holt_mem_alloc(struct holt_mem *mem, size_t size)
{
  holt_assert(size > 0);

  return holt_mem_resize(mem, NULL, 0, size);
}

void *
holt_mem_zalloc(struct holt_mem *mem, size_t size)
{
  void *const ptr = holt_mem_alloc(mem, size);
  if (ptr != NULL) {
    memset(ptr, 0, size);
  }
  return ptr;
}

void
holt_mem_free(struct holt_mem *mem, void *ptr, size_t size)
{
  (void)holt_mem_resize(mem, ptr, size, 0);
}
