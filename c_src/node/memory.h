/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the daemon: that of malloc, in accounts. */
#ifndef HOLT_NODE_MEMORY_H
#define HOLT_NODE_MEMORY_H

#include <stddef.h>

#include <holt/mem.h>

/* Prepare an account without a limit. */
void memory_init(struct holt_mem *mem);

#endif /* HOLT_NODE_MEMORY_H */
