/* SPDX-License-Identifier: Apache-2.0 */
#include "slab.h"

#include <stdbool.h>
#include <string.h>

#include "invariant.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISONS 1
#endif
#endif

#ifdef SLAB_POISONS
void __asan_poison_memory_region(const volatile void *start, size_t size);
void __asan_unpoison_memory_region(const volatile void *start, size_t size);
#define slab_poison(start, size) __asan_poison_memory_region(start, size)
#define slab_unpoison(start, size) __asan_unpoison_memory_region(start, size)
#else
#define slab_poison(start, size) ((void)(start), (void)(size))
#define slab_unpoison(start, size) ((void)(start), (void)(size))
#endif

/* The first page of a class has room for this much, or for one slot. */
#define SLAB_PAGE_BYTES_MIN 1024u

/* With so many pages a class gets larger ones, so that the directory stays
 * small enough for the cache. */
#define SLAB_PAGES_MANY 64u

/* The directory starts with this many pages. */
#define SLAB_CAPACITY_MIN 8u

/* Sizes up to this have a class each 8 bytes. */
#define SLAB_FINE_MAX 256u
#define SLAB_FINE_CLASSES 32u

/* Beyond, each about a fifth more than the one before. */
static const uint16_t coarse_sizes[] = { 312,  376,  456,  552,  664,
                                         800,  960,  1152, 1392, 1680,
                                         2016, 2432, 2920, 3504, 4096 };

#define SLAB_COARSE_CLASSES (sizeof coarse_sizes / sizeof coarse_sizes[0])
#define SLAB_LARGE (SLAB_FINE_CLASSES + SLAB_COARSE_CLASSES)

_Static_assert(SLAB_LARGE == HOLT_SLAB_CLASSES - 1,
               "one class is for the rest");

void
holt_slab_init(struct holt_slab *slab, struct holt_mem *mem)
{
  *slab = (struct holt_slab){ .mem = mem };
}

static size_t
page_bytes(const struct holt_slab_page *page)
{
  return (size_t)page->slots * page->size;
}

static void
page_release(struct holt_slab *slab, struct holt_slab_page *page)
{
  slab_unpoison(page->base, page_bytes(page));
  holt_mem_free(slab->mem, page->base, page_bytes(page));
}

void
holt_slab_deinit(struct holt_slab *slab)
{
  for (uint32_t i = 1; i < slab->page_count; i++) {
    if (slab->pages[i].base != NULL) {
      page_release(slab, &slab->pages[i]);
    }
  }
  holt_mem_free(slab->mem, slab->pages, slab->capacity * sizeof *slab->pages);
  holt_slab_init(slab, slab->mem);
}

/* The class for a size; *size becomes that of its slots. */
static unsigned
slab_class(size_t *size)
{
  if (*size <= SLAB_FINE_MAX) {
    const size_t eights = (*size + 7) / 8;
    *size = eights * 8;
    return (unsigned)eights - 1;
  }
  unsigned coarse = 0;
  while (coarse<SLAB_COARSE_CLASSES && * size> coarse_sizes[coarse]) {
    coarse++;
  }
  if (coarse < SLAB_COARSE_CLASSES) {
    *size = coarse_sizes[coarse];
  }
  return SLAB_FINE_CLASSES + coarse;
}

/* The list of pages that have free slots. */
static void
list_link(struct holt_slab *slab, struct holt_slab_list *list, uint32_t number)
{
  struct holt_slab_page *const page = &slab->pages[number];
  page->prev = 0;
  page->next = list->first;
  if (list->first != 0) {
    slab->pages[list->first].prev = number;
  }
  list->first = number;
}

static void
list_unlink(struct holt_slab *slab, struct holt_slab_list *list,
            uint32_t number)
{
  const struct holt_slab_page *const page = &slab->pages[number];
  if (page->prev != 0) {
    slab->pages[page->prev].next = page->next;
  } else {
    holt_assert(list->first == number);
    list->first = page->next;
  }
  if (page->next != 0) {
    slab->pages[page->next].prev = page->prev;
  }
}

/* Make sure that there is a number for one more page. */
static bool
slab_reserve_number(struct holt_slab *slab)
{
  if (slab->page_unused != 0 ||
      (slab->page_count < slab->capacity && slab->page_count > 0)) {
    return true;
  }
  if (slab->capacity == HOLT_SLAB_PAGES_MAX) {
    return false;
  }
  const uint32_t capacity =
    slab->capacity == 0 ? SLAB_CAPACITY_MIN : slab->capacity * 2;
  void *const pages = holt_mem_resize(slab->mem, slab->pages,
                                      slab->capacity * sizeof *slab->pages,
                                      capacity * sizeof *slab->pages);
  if (pages == NULL) {
    return false;
  }
  slab->pages = pages;
  slab->capacity = capacity;
  if (slab->page_count == 0) {
    slab->pages[0] = (struct holt_slab_page){ .base = NULL };
    slab->page_count = 1;
  }
  return true;
}

/* How many slots the next page of a class gets. */
static uint16_t
page_slots(const struct holt_slab_list *list, unsigned class, size_t size)
{
  if (class == SLAB_LARGE) {
    return 1;
  }
  size_t bytes = SLAB_PAGE_BYTES_MIN;
  for (uint32_t i = 0; i < list->pages && bytes < HOLT_SLAB_PAGE_BYTES; i++) {
    bytes *= 2;
  }
  if (list->pages >= SLAB_PAGES_MANY) {
    bytes = HOLT_SLAB_PAGE_BYTES_MAX;
  }
  const size_t slots = bytes < size ? 1 : bytes / size;
  return (uint16_t)(slots < HOLT_SLAB_SLOTS ? slots : HOLT_SLAB_SLOTS);
}

/* A new page, linked into its list.  Returns its number, or 0. */
static uint32_t
page_new(struct holt_slab *slab, unsigned class, unsigned kind, size_t size)
{
  if (size > UINT32_MAX || !slab_reserve_number(slab)) {
    return 0;
  }
  const unsigned list_number = kind * HOLT_SLAB_CLASSES + class;
  struct holt_slab_list *const list = &slab->lists[list_number];
  const uint16_t slots = page_slots(list, class, size);
  uint8_t *const base = holt_mem_alloc(slab->mem, slots * size);
  if (base == NULL) {
    return 0;
  }
  slab_poison(base, slots * size);

  uint32_t number = slab->page_unused;
  if (number != 0) {
    slab->page_unused = slab->pages[number].next;
  } else {
    number = slab->page_count++;
  }
  slab->pages[number] = (struct holt_slab_page){ .base = base,
                                                 .size = (uint32_t)size,
                                                 .slots = slots,
                                                 .list = (uint8_t)list_number,
                                                 .kind = (uint8_t)kind };
  list_link(slab, list, number);
  list->pages++;
  list->empty++;
  return number;
}

/* Give back a page without blocks. */
static void
page_delete(struct holt_slab *slab, struct holt_slab_list *list,
            uint32_t number)
{
  struct holt_slab_page *const page = &slab->pages[number];
  list_unlink(slab, list, number);
  list->pages--;
  page_release(slab, page);
  *page = (struct holt_slab_page){ .next = slab->page_unused };
  slab->page_unused = number;
}

uint32_t
holt_slab_alloc(struct holt_slab *slab, size_t size, unsigned kind)
{
  holt_assert(size > 0);
  holt_assert(kind < HOLT_SLAB_KINDS);

  size_t slot_size = size;
  const unsigned class = slab_class(&slot_size);
  struct holt_slab_list *const list =
    &slab->lists[kind * HOLT_SLAB_CLASSES + class];
  uint32_t number = list->first;
  if (number == 0) {
    number = page_new(slab, class, kind, slot_size);
    if (number == 0) {
      return 0;
    }
  }
  struct holt_slab_page *const page = &slab->pages[number];

  uint32_t slot = page->fresh;
  uint8_t *at = page->base + (size_t)slot * page->size;
  if (page->free_slot != 0) {
    slot = page->free_slot - 1u;
    at = page->base + (size_t)slot * page->size;
    slab_unpoison(at, sizeof page->free_slot);
    memcpy(&page->free_slot, at, sizeof page->free_slot);
  } else {
    page->fresh++;
  }
  slab_unpoison(at, size);
  list->empty -= page->used == 0 ? 1u : 0u;
  page->used++;
  if (page->used == page->slots) {
    list_unlink(slab, list, number);
  }
  slab->block_count++;
  return number << HOLT_SLAB_SLOT_BITS | slot;
}

void
holt_slab_free(struct holt_slab *slab, uint32_t ref)
{
  if (ref == 0) {
    return;
  }
  const uint32_t number = ref >> HOLT_SLAB_SLOT_BITS;
  const uint32_t slot = ref & (HOLT_SLAB_SLOTS - 1);
  holt_assert(number < slab->page_count);
  struct holt_slab_page *const page = &slab->pages[number];
  holt_assert(page->used > 0 && slot < page->fresh);
  struct holt_slab_list *const list = &slab->lists[page->list];

  uint8_t *const at = page->base + (size_t)slot * page->size;
  slab_unpoison(at, page->size);
#ifdef HOLT_VERIFY
  memset(at, 0xdb, page->size);
#endif
  memcpy(at, &page->free_slot, sizeof page->free_slot);
  slab_poison(at, page->size);
  page->free_slot = (uint16_t)(slot + 1);
  if (page->used == page->slots) {
    list_link(slab, list, number);
  }
  page->used--;
  slab->block_count--;
  if (page->used > 0) {
    return;
  }
  if (list->empty > 0 || page->list % HOLT_SLAB_CLASSES == SLAB_LARGE) {
    page_delete(slab, list, number);
  } else {
    list->empty++;
    /* Start over, so that the next blocks lie in order. */
    page->fresh = 0;
    page->free_slot = 0;
  }
}
