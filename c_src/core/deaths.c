/* SPDX-License-Identifier: Apache-2.0 */
#include "deaths.h"

#include <string.h>

#include "invariant.h"
#include "mutant.h"
#define FIRST_CAPACITY 64u

void
holt_deaths_init(struct holt_deaths *deaths, struct holt_mem *mem)
{
  *deaths = (struct holt_deaths){ .mem = mem };
}

void
holt_deaths_deinit(struct holt_deaths *deaths)
{
  holt_mem_free(deaths->mem, deaths->ring,
                deaths->capacity * sizeof *deaths->ring);
  holt_deaths_init(deaths, deaths->mem);
}

const struct holt_death *
holt_deaths_get(const struct holt_deaths *deaths, size_t index)
{
  holt_assert(index < deaths->count);

  return &deaths->ring[(deaths->start + index) & (deaths->capacity - 1)];
}

/* Twice the room, the oldest first.  False when there is no memory for it. */
static bool
deaths_grow(struct holt_deaths *deaths)
{
  const size_t capacity =
    deaths->capacity == 0 ? FIRST_CAPACITY : deaths->capacity * 2;
  struct holt_death *const ring =
    holt_mem_alloc(deaths->mem, capacity * sizeof *ring);
  if (ring == NULL) {
    return false;
  }
  for (size_t i = 0; i < deaths->count; i++) {
    ring[i] = *holt_deaths_get(deaths, i);
  }
  holt_mem_free(deaths->mem, deaths->ring,
                deaths->capacity * sizeof *deaths->ring);
  deaths->ring = ring;
  deaths->capacity = capacity;
  deaths->start = 0;
  return true;
}

void
holt_deaths_append(struct holt_deaths *deaths, uint64_t at, uint64_t birth,
                   enum holt_reason why)
{
  holt_assert(deaths->count == 0 ||
              holt_deaths_get(deaths, deaths->count - 1)->at < at);

  const bool full = deaths->count == deaths->capacity;
  if (full && (deaths->capacity >= HOLT_DEATHS_MAX || !deaths_grow(deaths))) {
    if (deaths->count == 0) {
      deaths->base = at; /* Not even the first entries could be allocated. */
      return;
    }
    if (!holt_mutant(BASE_FORGOTTEN)) {
      deaths->base = holt_deaths_get(deaths, 0)->at;
    }
    deaths->start = (deaths->start + 1) & (deaths->capacity - 1);
    deaths->count--;
  }
  deaths->ring[(deaths->start + deaths->count) & (deaths->capacity - 1)] =
    (struct holt_death){ .at = at, .birth_why = birth << 8 | (uint64_t)why };
  deaths->count++;
}

size_t
holt_deaths_after(const struct holt_deaths *deaths, uint64_t seq)
{
  size_t low = 0;
  size_t high = deaths->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (holt_deaths_get(deaths, middle)->at <= seq) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
