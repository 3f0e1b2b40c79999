/* SPDX-License-Identifier: Apache-2.0 */
#include "roll.h"

#include <string.h>

void
roll_init(struct roll *roll, struct holt_mem *mem)
{
  *roll = (struct roll){ .mem = mem };
}

void
roll_deinit(struct roll *roll)
{
  holt_mem_free(roll->mem, roll->bytes, roll->size);
  roll_init(roll, roll->mem);
}

/* {Name, Node} */
static bool
read_member(struct holt_etf_reader *reader, struct term_slice *name,
            struct term_slice *node)
{
  return term_read_tuple(reader, 2) && term_read_atom(reader, name) &&
         term_read_atom(reader, node);
}

/* {Ms, By} */
static bool
read_stamp(struct holt_etf_reader *reader, uint64_t *ms)
{
  struct term_slice name;
  struct term_slice node;
  return term_read_tuple(reader, 2) && term_read_uint(reader, ms) &&
         read_member(reader, &name, &node);
}

static bool
read_bool(struct holt_etf_reader *reader, bool *value)
{
  *value = term_read_atom_is(reader, "true");
  return *value || term_read_atom_is(reader, "false");
}

/* What comes before the marks. */
static bool
read_head(struct holt_etf_reader *reader, struct roll *head, uint32_t *marks)
{
  if (!term_read_tuple(reader, 2) || !term_read_tuple(reader, 2) ||
      !read_stamp(reader, &head->made_ms)) {
    return false;
  }
  head->is_list = term_read_atom_is(reader, "list");
  return (head->is_list || term_read_atom_is(reader, "auto")) &&
         term_read_list(reader, marks) && *marks <= ROLL_MARKS_MAX;
}

static bool
read_mark(struct holt_etf_reader *reader, struct term_slice *name,
          struct term_slice *node, bool *is_in)
{
  uint64_t ms;
  return term_read_tuple(reader, 3) && read_member(reader, name, node) &&
         read_stamp(reader, &ms) && read_bool(reader, is_in);
}

static bool
read_all(struct term_slice term, struct roll *head)
{
  struct holt_etf_reader reader = term_reader(term);
  uint32_t marks = 0;
  bool ok = read_head(&reader, head, &marks);
  for (uint32_t i = 0; i < marks && ok; i++) {
    struct term_slice name;
    struct term_slice node;
    bool is_in;
    ok = read_mark(&reader, &name, &node, &is_in);
  }
  return ok && (marks == 0 || term_read_nil(&reader)) && term_read_end(&reader);
}

enum roll_news
roll_take(struct roll *roll, struct term_slice term)
{
  struct roll next = { .mem = roll->mem };
  if (!read_all(term, &next)) {
    return ROLL_WRONG;
  }
  if (roll->bytes != NULL && next.made_ms < roll->made_ms) {
    return ROLL_OLD;
  }
  if (roll->bytes != NULL && term_slice_equal(term, roll_term(roll))) {
    return ROLL_KNOWN;
  }
  next.bytes = holt_mem_alloc(roll->mem, term.size);
  if (next.bytes == NULL) {
    return ROLL_WRONG;
  }
  next.size = term.size;
  memcpy(next.bytes, term.bytes, term.size);
  roll_deinit(roll);
  *roll = next;
  return ROLL_NEW;
}

bool
roll_has(const struct roll *roll, const struct holt_member *member)
{
  if (!roll->is_list) {
    return true;
  }
  const struct term_slice name = term_slice(member->name, member->name_size);
  const struct term_slice node = term_slice(member->node, member->node_size);
  struct holt_etf_reader reader = term_reader(roll_term(roll));
  struct roll head;
  uint32_t marks = 0;
  struct term_slice at_name;
  struct term_slice at_node;
  bool is_in = false;
  bool more = read_head(&reader, &head, &marks);
  for (uint32_t i = 0; i < marks && more; i++) {
    more = read_mark(&reader, &at_name, &at_node, &is_in);
    if (more && term_slice_equal(at_name, name) &&
        term_slice_equal(at_node, node)) {
      return is_in;
    }
  }
  return false;
}
