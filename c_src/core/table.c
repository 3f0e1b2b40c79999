/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdbool.h>
#include <string.h>

#include "invariant.h"

/* Splits an insert may do.  Two, so that a table that could not grow for some
 * time catches up. */
#define TABLE_SPLITS_MAX 2u

/* Joins a removal may do.  The table shrinks below one node per two buckets, so
 * two joins per removal keep up; more catch up. */
#define TABLE_JOINS_MAX 4u

int
holt_table_init(struct holt_table *table, struct holt_mem *mem)
{
  *table = (struct holt_table){ .mem = mem };
  return 0;
}

static void
table_free_directory(struct holt_table *table)
{
  holt_mem_free(table->mem, table->directory,
                table->directory_capacity * sizeof *table->directory);
  table->directory = NULL;
  table->directory_capacity = 0;
}

static void
table_free_last_segment(struct holt_table *table)
{
  holt_assert(table->segments > 0);

  table->segments--;
  holt_mem_free(table->mem, table->directory[table->segments],
                sizeof(struct holt_table_segment));
}

void
holt_table_deinit(struct holt_table *table)
{
  while (table->segments > 0) {
    table_free_last_segment(table);
  }
  if (table->directory != NULL) {
    table_free_directory(table);
  }
  (void)holt_table_init(table, table->mem);
}

/* Where the head of a bucket is kept. */
static struct holt_table_node **
table_head(const struct holt_table *table, uint32_t bucket)
{
  holt_assert(bucket < table->buckets);

  return &table->directory[bucket >> HOLT_TABLE_SEGMENT_BITS]
            ->heads[bucket & (HOLT_TABLE_SEGMENT - 1)];
}

/* The low bits of the hash that its bucket goes by: level + 1 if that has been
 * split at this level, else level. */
static uint32_t
table_bits(const struct holt_table *table, uint32_t hash)
{
  const uint32_t size = 1u << table->level;
  const uint32_t split = table->buckets - size;
  return (hash & (size - 1)) < split ? table->level + 1 : table->level;
}

static uint32_t
table_bucket(const struct holt_table *table, uint32_t hash)
{
  return hash & ((1u << table_bits(table, hash)) - 1);
}

/* Level from the number of buckets, which changes by one at a time. */
static void
table_set_buckets(struct holt_table *table, uint32_t buckets)
{
  table->buckets = buckets;
  if (buckets == 2u << table->level) {
    table->level++;
  } else if (buckets < 1u << table->level) {
    table->level--;
  }
  holt_assert(1u << table->level <= buckets);
  holt_assert(buckets < 2u << table->level);
}

/* Make sure that the segment of bucket number `buckets`, the next one, exists.
 * False leaves the table usable as it was. */
static bool
table_reserve_bucket(struct holt_table *table)
{
  if (table->buckets < table->segments << HOLT_TABLE_SEGMENT_BITS) {
    return true;
  }
  if (table->segments == table->directory_capacity) {
    const uint32_t capacity =
      table->directory_capacity == 0 ? 1 : table->directory_capacity * 2;
    void *const directory =
      holt_mem_resize(table->mem, table->directory,
                      table->directory_capacity * sizeof *table->directory,
                      capacity * sizeof *table->directory);
    if (directory == NULL) {
      return false;
    }
    table->directory = directory;
    table->directory_capacity = capacity;
  }
  struct holt_table_segment *const segment =
    holt_mem_zalloc(table->mem, sizeof *segment);
  if (segment == NULL) {
    return false;
  }
  table->directory[table->segments++] = segment;
  return true;
}

/* Give back the last segment when no bucket in use is in it, and half the
 * directory when three quarters of it are unused, so that growing again right
 * away does not bring it straight back. */
static void
table_release(struct holt_table *table)
{
  holt_assert(table->segments > 1);

  table_free_last_segment(table);
  const uint32_t capacity = table->directory_capacity / 2;
  if (table->segments <= capacity / 2) {
    void *const directory =
      holt_mem_resize(table->mem, table->directory,
                      table->directory_capacity * sizeof *table->directory,
                      capacity * sizeof *table->directory);
    if (directory != NULL) {
      table->directory = directory;
      table->directory_capacity = capacity;
    }
  }
}

/* Add one bucket: the next in line gives up the nodes that have the next bit of
 * their hash set. */
static bool
table_split(struct holt_table *table)
{
  if (table->buckets == HOLT_TABLE_BUCKETS_MAX ||
      !table_reserve_bucket(table)) {
    return false;
  }
  const uint32_t bit = 1u << table->level;
  struct holt_table_node **stay = table_head(table, table->buckets - bit);
  table_set_buckets(table, table->buckets + 1);
  struct holt_table_node **move = table_head(table, table->buckets - 1);
  holt_assert(*move == NULL);

  /* Both chains keep their order; stay and move are the ends built so far. */
  for (struct holt_table_node *node = *stay; node != NULL; node = node->next) {
    if ((node->hash & bit) != 0) {
      *move = node;
      move = &node->next;
    } else {
      *stay = node;
      stay = &node->next;
    }
  }
  *stay = NULL;
  *move = NULL;
  return true;
}

/* Undo the last split.  The nodes of the last bucket go before those of the one
 * they came from: a caller that is walking either chain, standing on a node it
 * has removed, then sees nothing twice that counts (what it sees in addition
 * lies before its cursor). */
static void
table_join(struct holt_table *table)
{
  holt_assert(table->buckets > HOLT_TABLE_SEGMENT);

  struct holt_table_node **const last = table_head(table, table->buckets - 1);
  struct holt_table_node *const first = *last;
  *last = NULL;
  table_set_buckets(table, table->buckets - 1);

  if (first != NULL) {
    struct holt_table_node **const into =
      table_head(table, table_bucket(table, first->hash));
    struct holt_table_node *end = first;
    while (end->next != NULL) {
      end = end->next;
    }
    end->next = *into;
    *into = first;
  }
  if (table->buckets == (table->segments - 1) << HOLT_TABLE_SEGMENT_BITS) {
    table_release(table);
  }
}

int
holt_table_insert(struct holt_table *table, struct holt_table_node *node,
                  uint32_t hash)
{
  if (table->buckets == 0) {
    if (!table_reserve_bucket(table)) {
      return HOLT_ERR_NOMEM;
    }
    table->buckets = HOLT_TABLE_SEGMENT;
    table->level = HOLT_TABLE_SEGMENT_BITS;
  }

  struct holt_table_node **const head =
    table_head(table, table_bucket(table, hash));
  node->hash = hash;
  node->next = *head;
  *head = node;
  table->count++;

  for (uint32_t i = 0; i < TABLE_SPLITS_MAX; i++) {
    if (table->count <= table->buckets || !table_split(table)) {
      break;
    }
  }
  return 0;
}

void
holt_table_remove(struct holt_table *table, struct holt_table_node *node)
{
  holt_assert(table->count > 0);

  struct holt_table_node **link =
    table_head(table, table_bucket(table, node->hash));
  while (*link != node) {
    holt_assert(*link != NULL); /* Else the node is not in the table. */
    link = &(*link)->next;
  }
  *link = node->next;
  node->next = NULL;
  table->count--;

  for (uint32_t i = 0; i < TABLE_JOINS_MAX; i++) {
    if (table->count >= table->buckets / 2 ||
        table->buckets == HOLT_TABLE_SEGMENT) {
      break;
    }
    table_join(table);
  }
}

struct holt_table_node *
holt_table_chain(const struct holt_table *table, uint32_t hash)
{
  return table->buckets == 0 ? NULL
                             : *table_head(table, table_bucket(table, hash));
}

uint64_t
holt_table_scan(const struct holt_table *table, uint64_t cursor,
                struct holt_table_node **chain)
{
  holt_assert(cursor < HOLT_TABLE_SCAN_END);

  *chain = NULL;
  if (table->buckets == 0) {
    return HOLT_TABLE_SCAN_END;
  }
  const uint32_t hash = holt__table_reverse((uint32_t)cursor);
  *chain = *table_head(table, table_bucket(table, hash));

  /* The bucket's nodes share that many low bits of the hash, which are high
   * bits of the position: its range is one aligned block. */
  const uint64_t range = HOLT_TABLE_SCAN_END >> table_bits(table, hash);
  return (cursor | (range - 1)) + 1;
}
