/* SPDX-License-Identifier: Apache-2.0 */
/* Members: who takes part in an instance?
 *
 * A member is a name on a node, {my_registry, 'a@host'}: one replica of an
 * instance.  Members of one instance may have different names, and several may
 * live on one node.
 *
 * Memory: borrowed; whoever keeps a member copies the bytes.
 */
#ifndef HOLT_MEMBER_H
#define HOLT_MEMBER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The longest atom in UTF-8: 255 characters of 4 bytes. */
#define HOLT_ATOM_BYTES_MAX 1020u

struct holt_member {
  const uint8_t *name; /* The instance's name there, UTF-8. */
  const uint8_t *node; /* The node's name, UTF-8. */
  uint16_t name_size;
  uint16_t node_size;
};

#ifdef __cplusplus
}
#endif

#endif /* HOLT_MEMBER_H */
