/* SPDX-License-Identifier: Apache-2.0 */
/* A store with two actors, for the tests of its files.
 *
 *     struct fixture f;
 *     fixture_init(&f, HOLT_KIND_UNIQUE);        actors 7 and 9, both shown
 *     put(&f.rows, f.seven, 1, 1, "x", 5);       seq, birth, key, process
 *     CU_ASSERT_EQUAL(winner_of(&f.rows, "x"), f.seven->rows_head);
 *     fixture_deinit(&f);                        nothing has leaked
 */
#ifndef HOLT_TEST_ROWS_FIXTURE_H
#define HOLT_TEST_ROWS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "heap.h"
#include "rows.h"

static const struct holt_hash_seed test_seed = { .k0 = 1, .k1 = 2 };

static inline struct holt_member
member_of(const char *node)
{
  return (struct holt_member){ .name = (const uint8_t *)"reg",
                               .name_size = 3,
                               .node = (const uint8_t *)node,
                               .node_size = (uint16_t)strlen(node) };
}

static inline int
add_actor(struct holt_rows *rows, uint64_t id, struct holt_actor **actor)
{
  const struct holt_member member = member_of("a@x");
  return holt_rows_actor_add(rows, id, &member, 1, actor);
}

static inline struct holt_row_spec
spec_of(uint64_t seq, uint64_t birth, const char *key, uint32_t owner)
{
  return (struct holt_row_spec){ .seq = seq,
                                 .birth = birth,
                                 .stamp = birth,
                                 .key = (const uint8_t *)key,
                                 .key_size = strlen(key),
                                 .value = (const uint8_t *)"value",
                                 .value_size = 5,
                                 .owner_id = owner };
}

static inline int
put(struct holt_rows *rows, struct holt_actor *actor, uint64_t seq,
    uint64_t birth, const char *key, uint32_t owner)
{
  const struct holt_row_spec spec = spec_of(seq, birth, key, owner);
  uint32_t row;
  return holt_rows_put(rows, actor, &spec, &row);
}

static inline uint32_t
winner_of(const struct holt_rows *rows, const char *key)
{
  return holt_rows_winner(rows, (const uint8_t *)key, strlen(key));
}

static inline uint64_t
seq_of(const struct holt_rows *rows, uint32_t ref)
{
  return ref == 0 ? 0 : holt_row_seq(holt_row_at(rows, ref));
}

/* A store with two shown actors, 7 and 9. */
struct fixture {
  struct heap heap;
  struct holt_rows rows;
  struct holt_actor *seven;
  struct holt_actor *nine;
};

static inline void
fixture_init(struct fixture *fixture, enum holt_kind kind)
{
  heap_init(&fixture->heap);
  holt_rows_init(&fixture->rows, &fixture->heap.mem, test_seed, kind);
  CU_ASSERT_EQUAL_FATAL(add_actor(&fixture->rows, 7, &fixture->seven), 0);
  CU_ASSERT_EQUAL_FATAL(add_actor(&fixture->rows, 9, &fixture->nine), 0);
  holt_rows_show(&fixture->rows, fixture->seven, true);
  holt_rows_show(&fixture->rows, fixture->nine, true);
}

static inline void
fixture_deinit(struct fixture *fixture)
{
  holt_rows_deinit(&fixture->rows);
  CU_ASSERT(heap_is_clean(&fixture->heap));
  heap_deinit(&fixture->heap);
}

#endif /* HOLT_TEST_ROWS_FIXTURE_H */
