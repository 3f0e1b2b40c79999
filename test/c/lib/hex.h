/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text, so that tables of bytes in tests can be read.
 *
 *     struct hex hex = hex_new("68 02 | 61 01 | 6a");
 *     ... hex.bytes, hex.size ...
 *     hex_delete(&hex);
 *
 * Digits come in pairs; spaces and bars between pairs are ignored.  The block
 * is exactly as large as the bytes, so that the sanitizer sees any read beyond.
 */
#ifndef HOLT_TEST_HEX_H
#define HOLT_TEST_HEX_H

#include <stddef.h>
#include <stdint.h>

struct hex {
  uint8_t *bytes; /* Owned.  Not NULL even if empty. */
  size_t size;
};

/* Aborts on anything that is not as above: the test itself is wrong then. */
struct hex hex_new(const char *text);

/* A copy of bytes in a block of its own. */
struct hex hex_copy(const void *bytes, size_t size);

void hex_delete(struct hex *hex);

/* Print bytes on stderr, after a word that says what they are. */
void hex_print(const char *what, const uint8_t *bytes, size_t size);

#endif /* HOLT_TEST_HEX_H */
