/* SPDX-License-Identifier: Apache-2.0 */
#include "given.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <holt/key.h>

#include "fuzz.h"
#include "handshake.h"

static FILE *kept_stderr;
static FILE *kept_stdout;

void
given_silence(void)
{
  static FILE *nowhere;
  if (nowhere == NULL) {
    nowhere = fopen("/dev/null", "w");
    FUZZ_CHECK(nowhere != NULL);
  }
  kept_stderr = stderr;
  kept_stdout = stdout;
  stderr = nowhere;
  stdout = nowhere;
}

void
given_silence_end(void)
{
  stderr = kept_stderr;
  stdout = kept_stdout;
}

const char *
given_file(unsigned number, const void *bytes, size_t size)
{
  static struct {
    int fd;
    char path[32];
  } files[2];
  FUZZ_CHECK(number < 2);
  if (files[number].path[0] == '\0') {
    files[number].fd = memfd_create("given", MFD_CLOEXEC);
    FUZZ_CHECK(files[number].fd >= 0);
    (void)snprintf(files[number].path, sizeof files[number].path,
                   "/proc/self/fd/%d", files[number].fd);
  }
  FUZZ_CHECK(ftruncate(files[number].fd, 0) == 0);
  FUZZ_CHECK(pwrite(files[number].fd, bytes, size, 0) == (ssize_t)size);
  return files[number].path;
}

static void
check_tuning(const struct holt_tuning *tuning)
{
  const uint64_t times[] = {
    tuning->vector_interval_ms, tuning->replica_restart_ms,
    tuning->probe_ms,           tuning->vouch_ms,
    tuning->flap_ms_max,        tuning->forget_after_ms,
    tuning->clock_bound_ms,
  };
  for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) {
    FUZZ_CHECK(times[i] >= 1 && times[i] <= UINT32_MAX);
  }
  FUZZ_CHECK(tuning->window_bytes >= 1 && tuning->window_bytes <= UINT32_MAX);
  FUZZ_CHECK(tuning->message_bytes_max >= 1 &&
             tuning->message_bytes_max <= HOLT_MESSAGE_BYTES_LIMIT);
  FUZZ_CHECK(tuning->key_bytes_max >= 1 &&
             tuning->key_bytes_max <= HOLT_KEY_BYTES_LIMIT);
  FUZZ_CHECK(tuning->value_bytes_max >= 1 &&
             tuning->value_bytes_max <= HOLT_VALUE_BYTES_LIMIT);
}

static void
check_instances(const struct options *options)
{
  FUZZ_CHECK(options->instances_count <= OPTIONS_INSTANCES_MAX);
  FUZZ_CHECK(options->instances_of_file <= options->instances_count);
  for (size_t i = 0; i < options->instances_count; i++) {
    const struct options_instance *const instance = &options->instances[i];
    const size_t size = strlen(instance->name);
    FUZZ_CHECK(size > 0 &&
               holt_etf_is_atom_name((const uint8_t *)instance->name, size));
    FUZZ_CHECK(instance->policy == HOLT_POLICY_DUPLICATE ||
               instance->policy == HOLT_POLICY_UNIQUE_KEEP_NEWEST);
    check_tuning(&instance->tuning);
    for (size_t k = 0; k < i; k++) {
      FUZZ_CHECK(strcmp(options->instances[k].name, instance->name) != 0);
    }
  }
}

void
given_check(const struct options *options, bool complete)
{
  check_instances(options);
  for (size_t i = 0; i < options->peers_count; i++) {
    FUZZ_CHECK(handshake_is_name(options->peers[i], strlen(options->peers[i])));
  }
  FUZZ_CHECK(options->ticktime_ms >= 4000 && options->ticktime_ms <= 86400000);
  FUZZ_CHECK(options->log_level <= LOG_LEVEL_ERROR);
  if (complete) {
    FUZZ_CHECK(handshake_is_name(options->name, strlen(options->name)));
    const size_t size = strlen(options->cookie);
    FUZZ_CHECK(size > 0 && size <= HANDSHAKE_COOKIE_MAX);
    FUZZ_CHECK(options->instances_count > 0);
  }
}
