/* SPDX-License-Identifier: Apache-2.0 */
#include "option_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <holt/etf.h>
#include <holt/key.h>

/* Room for "holt." in front, in characters of an atom. */
#define INSTANCE_NAME_BYTES_MAX (HOLT_ETF_ATOM_CHARS_MAX - 5u)

/* Longer than any of an instance. */
#define OPTION_NAME_BYTES_MAX 32u

#define TICKTIME_S_MIN 4
#define TICKTIME_S_MAX 86400

/* What holt_registry:start_link/1 takes, too. */
#define NUMBER_MAX INT64_C(0xffffffff)

#define WANTED(unit, max) unit ", a whole number from 1 to " max ", are wanted"
#define MS_WANTED WANTED("milliseconds", "4294967295")
#define BYTES_WANTED(max) WANTED("bytes", max)
_Static_assert(NUMBER_MAX == 4294967295 && HOLT_MESSAGE_BYTES_LIMIT == 262144 &&
                 HOLT_KEY_BYTES_LIMIT == 65535 &&
                 HOLT_VALUE_BYTES_LIMIT == 16777216,
               "as they are written below");

#define TUNING(field, size, max, wanted)                                       \
  {                                                                            \
#field, size, offsetof(struct holt_tuning, field), max, wanted             \
  }

const struct option_tuning option_tunings[OPTION_TUNINGS] = {
  TUNING(vector_interval_ms, false, NUMBER_MAX, MS_WANTED),
  TUNING(replica_restart_ms, false, NUMBER_MAX, MS_WANTED),
  TUNING(probe_ms, false, NUMBER_MAX, MS_WANTED),
  TUNING(vouch_ms, false, NUMBER_MAX, MS_WANTED),
  TUNING(flap_ms_max, false, NUMBER_MAX, MS_WANTED),
  TUNING(forget_after_ms, false, NUMBER_MAX, MS_WANTED),
  TUNING(clock_bound_ms, false, NUMBER_MAX, MS_WANTED),
  TUNING(window_bytes, true, NUMBER_MAX, BYTES_WANTED("4294967295")),
  TUNING(message_bytes_max, true, HOLT_MESSAGE_BYTES_LIMIT,
         BYTES_WANTED("262144")),
  TUNING(key_bytes_max, true, HOLT_KEY_BYTES_LIMIT, BYTES_WANTED("65535")),
  TUNING(value_bytes_max, true, HOLT_VALUE_BYTES_LIMIT,
         BYTES_WANTED("16777216")),
};

const struct option_tuning *
option_tuning_find(const char *name)
{
  for (size_t i = 0; i < OPTION_TUNINGS; i++) {
    if (strcmp(option_tunings[i].name, name) == 0) {
      return &option_tunings[i];
    }
  }
  return NULL;
}

static uint64_t
policy_of(const char *value)
{
  /* The rule is that of the members that register, which we never do. */
  return strcmp(value, "duplicate") == 0 ? HOLT_POLICY_DUPLICATE
                                         : HOLT_POLICY_UNIQUE_KEEP_NEWEST;
}

void
option_tuning_set(struct holt_tuning *tuning,
                  const struct option_tuning *option, uint64_t value)
{
  unsigned char *const field = (unsigned char *)tuning + option->offset;
  if (option->is_size) {
    const size_t size = (size_t)value;
    memcpy(field, &size, sizeof size);
  } else {
    memcpy(field, &value, sizeof value);
  }
}

/*--------------------------------------------------------------------
 * Checks */

static bool
is_alive_name(const char *name, size_t size)
{
  for (size_t i = 0; i < size; i++) {
    if (isalnum((unsigned char)name[i]) == 0 && name[i] != '_' &&
        name[i] != '-') {
      return false;
    }
  }
  return size > 0;
}

static bool
is_host(const char *host)
{
  for (const char *at = host; *at != '\0'; at++) {
    if (isalnum((unsigned char)*at) == 0 && strchr("._-:", *at) == NULL) {
      return false;
    }
  }
  return *host != '\0';
}

static bool
is_node(const char *value, bool host_may_miss)
{
  const char *const at = strchr(value, '@');
  if (strlen(value) > HOLT_ETF_ATOM_CHARS_MAX) {
    return false;
  }
  if (at == NULL) {
    return host_may_miss && is_alive_name(value, strlen(value));
  }
  return is_alive_name(value, (size_t)(at - value)) && is_host(at + 1);
}

/* A whole number within limits, or -1. */
static long
number_of(const char *value, long min, long max)
{
  char *end;
  errno = 0;
  const long number = strtol(value, &end, 10);
  const bool ok = errno == 0 && *value != '\0' && *end == '\0' &&
                  number >= min && number <= max;
  return ok ? number : -1;
}

/* "127.0.0.1", "127.0.0.1:9100", "[::1]:9100", ":9100".  The address is left
 * to whoever listens; an empty one is all of them. */
static bool
split_listen(const char *value, size_t *address_from, size_t *address_size,
             long *port)
{
  const char *colon = strrchr(value, ':');
  *port = 0;
  *address_from = 0;
  if (value[0] == '[') {
    const char *const end = strchr(value, ']');
    if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
      return false;
    }
    *address_from = 1;
    *address_size = (size_t)(end - value - 1);
    colon = end[1] == ':' ? end + 1 : NULL;
  } else if (colon != NULL && strchr(value, ':') != colon) {
    colon = NULL; /* An IPv6 address without brackets. */
    *address_size = strlen(value);
  } else {
    *address_size = colon == NULL ? strlen(value) : (size_t)(colon - value);
  }
  if (colon != NULL) {
    *port = number_of(colon + 1, 0, UINT16_MAX);
  }
  return *port >= 0;
}

static const char *
check_instance(const char *value)
{
  const size_t size = strlen(value);
  if (size == 0 || size > INSTANCE_NAME_BYTES_MAX ||
      !holt_etf_is_atom_name((const uint8_t *)value, size)) {
    return "the name of an instance is an atom of 1 to 250 bytes, as text: "
           "my_registry, or Elixir.MyApp.Names";
  }
  return NULL;
}

/* Splits "name=value"; false: it is none. */
static bool
split_pair(const char *pair, char name[OPTION_NAME_BYTES_MAX],
           const char **value)
{
  const size_t size = strcspn(pair, "=");
  if (pair[size] != '=' || size >= OPTION_NAME_BYTES_MAX) {
    return false;
  }
  memcpy(name, pair, size);
  name[size] = '\0';
  *value = pair + size + 1;
  return true;
}

static const char *
check_pair(const char *pair)
{
  char name[OPTION_NAME_BYTES_MAX];
  const char *value;
  if (!split_pair(pair, name, &value)) {
    return "an option of an instance looks like vouch_ms=1000";
  }
  if (strcmp(name, "keys") == 0) {
    return option_check(OPTION_KEYS, value);
  }
  const struct option_tuning *const tuning = option_tuning_find(name);
  if (tuning == NULL) {
    return "no such option of an instance";
  }
  return number_of(value, 1, (long)tuning->max) > 0 ? NULL : tuning->wanted;
}

const char *
option_check(enum option_id option, const char *value)
{
  size_t from;
  size_t size;
  long port;
  enum log_level level;
  switch (option) {
  case OPTION_NAME:
    return is_node(value, true) ? NULL : "a node name looks like holtd@host";
  case OPTION_PEER:
    return is_node(value, false) ? NULL : "a node name looks like a@host";
  case OPTION_COOKIE_FILE:
    return *value != '\0' ? NULL : "the name of a file is not empty";
  case OPTION_LISTEN:
    return split_listen(value, &from, &size, &port)
             ? NULL
             : "an address looks like 127.0.0.1, 127.0.0.1:9100, [::1]:9100 "
               "or :9100";
  case OPTION_NET_TICKTIME_S:
    return number_of(value, TICKTIME_S_MIN, TICKTIME_S_MAX) > 0
             ? NULL
             : "seconds, as the cluster's net_ticktime: 4 to 86400";
  case OPTION_LOG_LEVEL:
    return log_level_parse(value, &level)
             ? NULL
             : "a level is one of error, warning, info, debug";
  case OPTION_INSTANCE:
    return check_instance(value);
  case OPTION_KEYS:
    return strcmp(value, "unique") == 0 || strcmp(value, "duplicate") == 0
             ? NULL
             : "keys are one of unique, duplicate, as on the other members";
  case OPTION_OPTION:
    return check_pair(value);
  case OPTION_SNAME:
    break;
  }
  return NULL;
}

/*--------------------------------------------------------------------
 * Setting */

static const char *const no_memory = "out of memory";

static bool
replace(char **text, const char *from, size_t size)
{
  char *const copy = strndup(from, size);
  if (copy == NULL) {
    return false;
  }
  free(*text);
  *text = copy;
  return true;
}

static const char *
set_listen(struct options *options, const char *value)
{
  size_t from;
  size_t size;
  long port;
  (void)split_listen(value, &from, &size, &port);
  options->listen_port = (uint16_t)port;
  if (size == 0) {
    free(options->listen_address);
    options->listen_address = NULL;
    return NULL;
  }
  return replace(&options->listen_address, value + from, size) ? NULL
                                                               : no_memory;
}

static const char *
add_instance(struct options *options, const char *value)
{
  for (size_t i = 0; i < options->instances_count; i++) {
    if (strcmp(options->instances[i].name, value) == 0) {
      return "this instance has been named before";
    }
  }
  if (options->instances_count == OPTIONS_INSTANCES_MAX) {
    return "too many instances: 256 are the limit";
  }
  const size_t count = options->instances_count;
  struct options_instance *const instances =
    realloc(options->instances, (count + 1) * sizeof *instances);
  if (instances == NULL) {
    return no_memory;
  }
  options->instances = instances;
  instances[count] = (struct options_instance){ .name = NULL };
  if (!replace(&instances[count].name, value, strlen(value))) {
    return no_memory;
  }
  instances[count].policy = HOLT_POLICY_UNIQUE_KEEP_NEWEST;
  holt_tuning_init(&instances[count].tuning);
  options->instances_count++;
  return NULL;
}

static const char *
set_pair(struct options *options, const char *pair)
{
  char name[OPTION_NAME_BYTES_MAX];
  const char *value;
  if (options->instances_count == options->instances_of_file) {
    return "it follows the --instance whose option it is";
  }
  if (!split_pair(pair, name, &value)) {
    return "not an option";
  }
  const struct option_tuning *const tuning = option_tuning_find(name);
  if (tuning == NULL) {
    return option_set(options, OPTION_KEYS, value);
  }
  option_tuning_set(&options->instances[options->instances_count - 1].tuning,
                    tuning, (uint64_t)number_of(value, 1, (long)tuning->max));
  return NULL;
}

static const char *
add_peer(struct options *options, const char *value)
{
  char **const peers =
    realloc(options->peers, (options->peers_count + 1) * sizeof *peers);
  if (peers == NULL) {
    return no_memory;
  }
  options->peers = peers;
  peers[options->peers_count] = strdup(value);
  if (peers[options->peers_count] == NULL) {
    return no_memory;
  }
  options->peers_count++;
  return NULL;
}

const char *
option_set(struct options *options, enum option_id option, const char *value)
{
  switch (option) {
  case OPTION_NAME:
    return replace(&options->name, value, strlen(value)) ? NULL : no_memory;
  case OPTION_SNAME:
    options->short_names = true;
    break;
  case OPTION_COOKIE_FILE:
    return replace(&options->cookie_file, value, strlen(value)) ? NULL
                                                                : no_memory;
  case OPTION_LISTEN:
    return set_listen(options, value);
  case OPTION_NET_TICKTIME_S:
    options->ticktime_ms =
      (uint32_t)number_of(value, TICKTIME_S_MIN, TICKTIME_S_MAX) * 1000u;
    break;
  case OPTION_LOG_LEVEL:
    (void)log_level_parse(value, &options->log_level);
    break;
  case OPTION_INSTANCE:
    return add_instance(options, value);
  case OPTION_PEER:
    return add_peer(options, value);
  case OPTION_KEYS:
    options->instances[options->instances_count - 1].policy = policy_of(value);
    break;
  case OPTION_OPTION:
    return set_pair(options, value);
  }
  return NULL;
}
