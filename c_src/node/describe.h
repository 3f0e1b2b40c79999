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

void describe_instance(struct term_writer *writer, struct instance *instance);

void describe_node(struct term_writer *writer, const struct commands *commands);

#endif /* HOLT_NODE_DESCRIBE_H */
