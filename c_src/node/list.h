/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: which things belong together, and how does one leave at once?
 *
 * A ring of links inside the things themselves, with one link for the list as a
 * whole.  A link that is in no list is a ring of its own, so that removing is
 * always allowed.
 *
 *     +-> list <-> [link| a connection] <-> [link| another] <-+
 *     +-------------------------------------------------------+
 *
 * Cost:    O(1).
 * Memory:  none.
 * Threads: none.
 */
#ifndef HOLT_NODE_LIST_H
#define HOLT_NODE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
  struct list *next;
  struct list *previous;
};

/* The thing of this type whose field is at link. */
#define list_thing(link, type, field)                                          \
  ((type *)(void *)((char *)(link)-offsetof(type, field)))

/* Visit each link; the body may remove the one it is at, but no other. */
#define list_each(link, head)                                                  \
  for (struct list *link = (head)->next, *link##_next = link->next;            \
       link != (head); link = link##_next, link##_next = link->next)

static inline void
list_init(struct list *list)
{
  list->next = list;
  list->previous = list;
}

static inline bool
list_is_empty(const struct list *list)
{
  return list->next == list;
}

static inline void
list_add(struct list *list, struct list *link)
{
  link->next = list;
  link->previous = list->previous;
  list->previous->next = link;
  list->previous = link;
}

static inline void
list_remove(struct list *link)
{
  link->next->previous = link->previous;
  link->previous->next = link->next;
  list_init(link);
}

#endif /* HOLT_NODE_LIST_H */
