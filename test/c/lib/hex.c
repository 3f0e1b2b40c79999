/* SPDX-License-Identifier: Apache-2.0 */
#include "hex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t
digit_value(char digit)
{
  static const char digits[] = "0123456789abcdef";
  const char *const found = digit == '\0' ? NULL : strchr(digits, digit);
  if (found == NULL) {
    fprintf(stderr, "hex: '%c' is no digit\n", digit);
    abort();
  }
  return (uint8_t)(found - digits);
}

static struct hex
hex_alloc(size_t size)
{
  /* malloc(0) may return NULL, which would read as a failure. */
  struct hex hex = { .bytes = malloc(size), .size = size };
  if (hex.bytes == NULL && size == 0) {
    hex.bytes = malloc(1);
  }
  if (hex.bytes == NULL) {
    abort();
  }
  return hex;
}

struct hex
hex_new(const char *text)
{
  uint8_t *const buffer = malloc(strlen(text) + 1);
  if (buffer == NULL) {
    abort();
  }
  size_t size = 0;
  for (const char *at = text; *at != '\0'; at++) {
    if (*at == ' ' || *at == '|') {
      continue;
    }
    const unsigned high = digit_value(*at++);
    buffer[size++] = (uint8_t)(high << 4 | digit_value(*at));
  }
  const struct hex hex = hex_copy(buffer, size);
  free(buffer);
  return hex;
}

struct hex
hex_copy(const void *bytes, size_t size)
{
  const struct hex hex = hex_alloc(size);
  if (size > 0) {
    memcpy(hex.bytes, bytes, size);
  }
  return hex;
}

void
hex_delete(struct hex *hex)
{
  free(hex->bytes);
  *hex = (struct hex){ .size = 0 };
}

void
hex_print(const char *what, const uint8_t *bytes, size_t size)
{
  fprintf(stderr, "%s (%zu):", what, size);
  for (size_t i = 0; i < size; i++) {
    fprintf(stderr, " %02x", bytes[i]);
  }
  fprintf(stderr, "\n");
}
