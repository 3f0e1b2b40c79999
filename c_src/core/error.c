/* SPDX-License-Identifier: Apache-2.0 */
#include <holt/error.h>

const char *
holt_error_name(int error)
{
  switch (error) {
  case 0:
    return "ok";
#define ERROR_NAME(cause, code, name, text)                                    \
  case code:                                                                   \
    return name;
    HOLT_ERROR_MAP(ERROR_NAME)
#undef ERROR_NAME
  default:
    return "unknown";
  }
}

const char *
holt_error_text(int error)
{
  switch (error) {
  case 0:
    return "no error";
#define ERROR_TEXT(cause, code, name, text)                                    \
  case code:                                                                   \
    return text;
    HOLT_ERROR_MAP(ERROR_TEXT)
#undef ERROR_TEXT
  default:
    return "an error unknown to this version";
  }
}
