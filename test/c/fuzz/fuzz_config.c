/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file of the daemon, as it is. */
#include <string.h>

#include "fuzz.h"
#include "given.h"
#include "options_file.h"

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  struct options options = { .ticktime_ms = 60000 };
  const char *const path = given_file(0, bytes, size);
  given_silence();
  const bool ok = options_file_read(&options, path);
  given_silence_end();
  if (ok) {
    given_check(&options, false);
  }
  options_deinit(&options);
}

void
fuzz_seeds(fuzz_seed seed)
{
  static const char *const texts[] = {
    "name = \"holtd@db1.example.org\"\ncookie_file = \"/etc/holt/cookie\"\n"
    "peers = { \"a@db2.example.org\", \"b@c\" }\ninstance my_registry { }\n"
    "instance sessions { keys = \"duplicate\" value_bytes_max = 65536 }\n",
    "# comment\nsname = true\nlisten = \"[::1]:9100\"\nlog_level = debug\n"
    "net_ticktime_s = 15\n/* more */ peers += { 'x@y' }\n",
    "instance a { vector_interval_ms = 1 replica_restart_ms = 2 probe_ms = 3\n"
    "vouch_ms = 4 flap_ms_max = 5 forget_after_ms = 6 clock_bound_ms = 7\n"
    "window_bytes = 8 message_bytes_max = 9 key_bytes_max = 10 keys = unique}",
    "instance a { }\ninstance a { }\n",
    "name = \"${HOME}\\x41\\101\\n\"\n",
    "instance \"Elixir.A\" { probe_ms = 0x10 }\nsname = off // end",
  };
  for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    const char name[] = { 'f', 'i', 'l', 'e', '-', (char)('a' + i), 0 };
    seed(name, texts[i], strlen(texts[i]));
  }
}
