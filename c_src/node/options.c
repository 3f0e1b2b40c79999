/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <uv.h>

#include "option_value.h"
#include "options_file.h"

#define COOKIE_BYTES_MAX 255u

enum {
  FLAG_CONFIG = 256,
  FLAG_HELP,
  FLAG_VERSION,
  FLAG_OPTION /* Plus an enum option. */
};

static const struct option flags[] = {
  { "config", required_argument, NULL, FLAG_CONFIG },
  { "help", no_argument, NULL, FLAG_HELP },
  { "version", no_argument, NULL, FLAG_VERSION },
  { "name", required_argument, NULL, FLAG_OPTION + OPTION_NAME },
  { "sname", no_argument, NULL, FLAG_OPTION + OPTION_SNAME },
  { "cookie-file", required_argument, NULL, FLAG_OPTION + OPTION_COOKIE_FILE },
  { "listen", required_argument, NULL, FLAG_OPTION + OPTION_LISTEN },
  { "net-ticktime-s", required_argument, NULL,
    FLAG_OPTION + OPTION_NET_TICKTIME_S },
  { "log-level", required_argument, NULL, FLAG_OPTION + OPTION_LOG_LEVEL },
  { "instance", required_argument, NULL, FLAG_OPTION + OPTION_INSTANCE },
  { "option", required_argument, NULL, FLAG_OPTION + OPTION_OPTION },
  { "peer", required_argument, NULL, FLAG_OPTION + OPTION_PEER },
  { NULL, 0, NULL, 0 },
};

static const char usage[] =
  "usage: holtd [--config FILE] --cookie-file FILE --instance NAME ...\n"
  "\n"
  "Joins an Erlang cluster as a hidden node and holds a replica of each\n"
  "instance.\n"
  "\n"
  "  --config FILE        read these options from a file first\n"
  "  --name NAME[@HOST]   of this node (holtd, and this machine's name)\n"
  "  --sname              the cluster uses short names\n"
  "  --cookie-file FILE   its first line is the cluster's cookie\n"
  "  --instance NAME      an instance to hold; may be repeated\n"
  "  --option NAME=VALUE  of the instance named before, as in a file\n"
  "  --peer NODE          a node to connect to; may be repeated\n"
  "  --listen ADDR[:PORT] where others connect to (all addresses, any port)\n"
  "  --net-ticktime-s N   net_ticktime of the cluster (60)\n"
  "  --log-level LEVEL    error, warning, info or debug (info)\n"
  "  --version, --help\n";

/*--------------------------------------------------------------------
 * Cookie */

static bool
cookie_complain(const char *path, const char *what)
{
  fprintf(stderr, "holtd: cookie file %s: %s\n", path, what);
  return false;
}

/* The first line of the file. */
static bool
cookie_read(struct options *options)
{
  const char *const path = options->cookie_file;
  FILE *const file = fopen(path, "re");
  if (file == NULL) {
    return cookie_complain(path, strerror(errno));
  }
  char line[COOKIE_BYTES_MAX + 2];
  const bool got = fgets(line, sizeof line, file) != NULL;
  struct stat status;
  options->cookie_exposed = fstat(fileno(file), &status) == 0 &&
                            (status.st_mode & (S_IRWXG | S_IRWXO)) != 0;
  (void)fclose(file);
  const size_t size = got ? strcspn(line, "\r\n") : 0;
  if (size == 0) {
    return cookie_complain(path, "its first line is empty");
  }
  if (size > COOKIE_BYTES_MAX) {
    return cookie_complain(path, "a cookie has at most 255 bytes");
  }
  options->cookie = strndup(line, size);
  return options->cookie != NULL || cookie_complain(path, "out of memory");
}

/*--------------------------------------------------------------------
 * What belongs together */

static bool
name_complain(const char *name, const char *what)
{
  fprintf(stderr, "holtd: --name %s: %s\n", name, what);
  return false;
}

/* Add this machine's name where none was given. */
static bool
name_complete(struct options *options)
{
  const char *const alive = options->name != NULL ? options->name : "holtd";
  if (strchr(alive, '@') != NULL) {
    return true;
  }
  char host[UV_MAXHOSTNAMESIZE];
  size_t size = sizeof host;
  if (uv_os_gethostname(host, &size) != 0) {
    return name_complain(alive, "this machine has no name: say NAME@HOST");
  }
  if (options->short_names) {
    host[strcspn(host, ".")] = '\0';
  }
  const size_t bytes = strlen(alive) + 1 + strlen(host) + 1;
  char *const name = malloc(bytes);
  if (name == NULL) {
    return name_complain(alive, "out of memory");
  }
  (void)snprintf(name, bytes, "%s@%s", alive, host);
  free(options->name);
  options->name = name;
  return true;
}

/* A node of one kind of names refuses those of the other. */
static bool
name_fits(const struct options *options)
{
  const char *const host = strchr(options->name, '@') + 1;
  const bool is_long = strpbrk(host, ".:") != NULL;
  if (option_check(OPTION_NAME, options->name) != NULL) {
    return name_complain(options->name,
                         "together with this machine's name it is none");
  }
  if (is_long && options->short_names) {
    return name_complain(options->name,
                         "the host of a short name (--sname) has no dot");
  }
  if (!is_long && !options->short_names) {
    return name_complain(options->name,
                         "a long name has a dot in its host; for a cluster "
                         "with short names say --sname");
  }
  return true;
}

static bool
complete(struct options *options)
{
  if (!name_complete(options) || !name_fits(options)) {
    return false;
  }
  if (options->cookie_file == NULL) {
    fputs("holtd: --cookie-file is missing\n", stderr);
    return false;
  }
  if (options->instances_count == 0) {
    fputs("holtd: nothing to hold: say --instance NAME\n", stderr);
    return false;
  }
  return cookie_read(options);
}

/*--------------------------------------------------------------------
 * Command line */

static const char *
flag_name(int flag)
{
  size_t i = 0;
  while (flags[i].name != NULL && flags[i].val != flag) {
    i++;
  }
  return flags[i].name != NULL ? flags[i].name : "";
}

static bool
take_flag(struct options *options, int flag, const char *value, bool file_only)
{
  if (flag == FLAG_CONFIG) {
    return !file_only || options_file_read(options, value);
  }
  if (file_only) {
    return true;
  }
  const enum option_id option = (enum option_id)(flag - FLAG_OPTION);
  const char *const text = value != NULL ? value : "";
  const char *wrong = option_check(option, text);
  if (wrong == NULL) {
    wrong = option_set(options, option, text);
  }
  if (wrong != NULL) {
    fprintf(stderr, "holtd: --%s %s: %s\n", flag_name(flag), text, wrong);
  }
  return wrong == NULL;
}

/* One way through the command line: for the file only, or for the rest. */
static enum options_result
walk(struct options *options, int argc, char **argv, bool file_only)
{
  optind = 1;
  int flag;
  while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
    switch (flag) {
    case '?':
      fputs("holtd --help lists the options\n", stderr);
      return OPTIONS_WRONG;
    case FLAG_HELP:
      fputs(usage, stdout);
      return OPTIONS_DONE;
    case FLAG_VERSION:
      puts("holtd " HOLT_VERSION);
      return OPTIONS_DONE;
    default:
      if (!take_flag(options, flag, optarg, file_only)) {
        return OPTIONS_WRONG;
      }
    }
  }
  if (optind < argc) {
    fprintf(stderr, "holtd: \"%s\" is no option\n", argv[optind]);
    return OPTIONS_WRONG;
  }
  return OPTIONS_RUN;
}

enum options_result
options_read(struct options *options, int argc, char **argv)
{
  *options =
    (struct options){ .ticktime_ms = 60000, .log_level = LOG_LEVEL_INFO };
  enum options_result result = walk(options, argc, argv, true);
  if (result == OPTIONS_RUN) {
    options->instances_of_file = options->instances_count;
    result = walk(options, argc, argv, false);
  }
  if (result == OPTIONS_RUN && !complete(options)) {
    result = OPTIONS_WRONG;
  }
  return result;
}

void
options_deinit(struct options *options)
{
  for (size_t i = 0; i < options->instances_count; i++) {
    free(options->instances[i].name);
  }
  for (size_t i = 0; i < options->peers_count; i++) {
    free(options->peers[i]);
  }
  free(options->instances);
  free(options->peers);
  free(options->name);
  free(options->cookie_file);
  free(options->cookie);
  free(options->listen_address);
  *options = (struct options){ .name = NULL };
}
