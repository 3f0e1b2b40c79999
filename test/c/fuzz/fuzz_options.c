/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of the daemon.
 *
 *     piece   the configuration file
 *     piece   the cookie file
 *     rest    arguments, each ended by 0; in them byte 1 is the name of the
 *             first file, byte 2 that of the second
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "given.h"

enum {
  ARGUMENTS_MAX = 24
};

static char *
argument(struct fuzz_input *input, const char *const paths[2])
{
  struct heap heap;
  struct holt_buf out;
  heap_init(&heap);
  holt_buf_init(&out, &heap.mem, 0);
  for (uint8_t byte; (byte = fuzz_u8(input)) != 0;) {
    if (byte <= 2) {
      holt_buf_put(&out, paths[byte - 1], strlen(paths[byte - 1]));
    } else {
      holt_buf_put_u8(&out, byte);
    }
  }
  holt_buf_put_u8(&out, 0);
  char *const text = strdup((const char *)out.data);
  FUZZ_CHECK(text != NULL);
  holt_buf_deinit(&out);
  fuzz_heap_end(&heap);
  return text;
}

void
fuzz_one(const uint8_t *bytes, size_t size)
{
  struct fuzz_input input = fuzz_input(bytes, size);
  const char *paths[2];
  for (unsigned i = 0; i < 2; i++) {
    struct hex file = fuzz_piece(&input);
    paths[i] = given_file(i, file.bytes, file.size);
    hex_delete(&file);
  }
  char *arguments[ARGUMENTS_MAX + 2] = { strdup("holtd") };
  int count = 1;
  while (!fuzz_is_used_up(&input) && count <= ARGUMENTS_MAX) {
    arguments[count++] = argument(&input, paths);
  }
  /* getopt_long() turns them round. */
  char *turned[ARGUMENTS_MAX + 2];
  memcpy(turned, arguments, sizeof turned);
  struct options options;
  given_silence();
  const enum options_result result = options_read(&options, count, turned);
  given_silence_end();
  if (result == OPTIONS_RUN) {
    given_check(&options, true);
  }
  options_deinit(&options);
  for (int i = 0; i < count; i++) {
    free(arguments[i]);
  }
}

static void
put_line(struct holt_buf *out, const char *file, const char *cookie,
         const char *line)
{
  fuzz_put_piece(out, file, strlen(file));
  fuzz_put_piece(out, cookie, strlen(cookie));
  for (const char *at = line; *at != '\0'; at++) {
    holt_buf_put_u8(out, (uint8_t)(*at == ' ' ? 0 : *at));
  }
}

void
fuzz_seeds(fuzz_seed seed)
{
  static const char *const lines[] = {
    "--name a@b.c --cookie-file \2 --instance x --option keys=duplicate",
    "--name a@b.c --cookie-file \2 --instance x --option vouch_ms=9 --peer x@y",
    "--config \1 --cookie-file=\2 --sname --name h@x --listen 127.0.0.1:91",
    "--config=\1 --log-level debug --net-ticktime-s 8 --instance Elixir.A",
    "--config=\1 --listen [::1]:9",
    "--config=~ --cookie-file \2 --sname --instance x",
    "--help",
    "--version",
    "--cookie-file \2 --sname --name a --instance x --option window_bytes=1",
    "--name=x@y --instance x stray --nonsense",
  };
  struct heap heap;
  heap_init(&heap);
  for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    struct holt_buf out;
    holt_buf_init(&out, &heap.mem, 0);
    put_line(&out, "instance f { probe_ms = 7 }\npeers = {\"p@q\"}\n",
             "secret\n", lines[i]);
    const char name[] = { 'l', 'i', 'n', 'e', '-', (char)('a' + i), 0 };
    seed(name, out.data, out.size);
    holt_buf_deinit(&out);
  }
  fuzz_heap_end(&heap);
}
