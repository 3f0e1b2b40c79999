/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions: members and numbers of an instance, and of the daemon, as
 * terms.  Those of an instance are the maps of holt_cluster:info/1. */
#ifndef HOLT_NODE_DESCRIBE_H
#define HOLT_NODE_DESCRIBE_H

#include "commands.h"
#include "instance.h"
#include "term.h"

/* [{Name, Node}] of the members in touch, this one included. */
void describe_members(struct term_writer *writer, struct instance *instance);

/* All that are known, as holt_cluster:members/2 has them, and how many of their
 * processes have names. */
void describe_all_members(struct term_writer *writer,
                          struct instance *instance);

/* Those that have greeted us, as holt_cluster:peers/1. */
void describe_peers(struct term_writer *writer, struct instance *instance);

/* [map()]: the rows of a key in order of rank, those that are not seen, too; at
 * most HOLT_EXPLAIN_ROWS_MAX. */
void describe_key(struct term_writer *writer, struct instance *instance,
                  const uint8_t *key, size_t key_size);

void describe_instance(struct term_writer *writer, struct instance *instance);

/* [map()]: each instance in a few words and numbers. */
void describe_status(struct term_writer *writer,
                     const struct commands *commands);

void describe_node(struct term_writer *writer, const struct commands *commands);

#endif /* HOLT_NODE_DESCRIBE_H */
