/* SPDX-License-Identifier: Apache-2.0 */
#include "options_file.h"

#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "option_value.h"

struct file_option {
  const char *name;
  enum option_id option;
};

/* Those whose value is text. */
static const struct file_option texts[] = {
  { "name", OPTION_NAME },
  { "cookie_file", OPTION_COOKIE_FILE },
  { "listen", OPTION_LISTEN },
  { "log_level", OPTION_LOG_LEVEL },
};
#define TEXTS (sizeof texts / sizeof texts[0])

__attribute__((format(printf, 2, 0))) static void
complain(cfg_t *cfg, const char *format, va_list arguments)
{
  fputs("holtd: ", stderr);
  if (cfg != NULL && cfg->filename != NULL) {
    fprintf(stderr, "%s:%d: ", cfg->filename, cfg->line);
  }
  (void)vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
}

/*--------------------------------------------------------------------
 * Checks: while the line is known */

static int
check(cfg_t *cfg, enum option_id option, const char *value)
{
  const char *const wrong = option_check(option, value);
  if (wrong == NULL) {
    return 0;
  }
  cfg_error(cfg, "\"%s\": %s", value, wrong);
  return -1;
}

static int
check_text(cfg_t *cfg, cfg_opt_t *opt)
{
  for (size_t i = 0; i < TEXTS; i++) {
    if (strcmp(opt->name, texts[i].name) == 0) {
      return check(cfg, texts[i].option, cfg_opt_getnstr(opt, 0));
    }
  }
  return 0;
}

static int
check_peer(cfg_t *cfg, cfg_opt_t *opt)
{
  const unsigned count = cfg_opt_size(opt);
  return count == 0 ? 0
                    : check(cfg, OPTION_PEER, cfg_opt_getnstr(opt, count - 1));
}

static int
check_ticktime(cfg_t *cfg, cfg_opt_t *opt)
{
  char text[24];
  (void)snprintf(text, sizeof text, "%ld", cfg_opt_getnint(opt, 0));
  return check(cfg, OPTION_NET_TICKTIME_S, text);
}

static int
check_instance(cfg_t *cfg, cfg_opt_t *opt)
{
  cfg_t *const section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
  return check(cfg, OPTION_INSTANCE, cfg_title(section));
}

static int
check_keys(cfg_t *cfg, cfg_opt_t *opt)
{
  return check(cfg, OPTION_KEYS, cfg_opt_getnstr(opt, 0));
}

static int
check_tuning(cfg_t *cfg, cfg_opt_t *opt)
{
  const long value = cfg_opt_getnint(opt, 0);
  const struct option_tuning *const option = option_tuning_find(opt->name);
  if (option == NULL || (value >= 1 && value <= option->max)) {
    return 0;
  }
  cfg_error(cfg, "%s = %ld: %s", opt->name, value, option->wanted);
  return -1;
}

/*--------------------------------------------------------------------
 * Reading */

static cfg_t *
file_new(void)
{
  cfg_opt_t tunings[OPTION_TUNINGS + 2];
  for (size_t i = 0; i < OPTION_TUNINGS; i++) {
    tunings[i] = (cfg_opt_t)CFG_INT(option_tunings[i].name, 0, CFGF_NODEFAULT);
  }
  tunings[OPTION_TUNINGS] = (cfg_opt_t)CFG_STR("keys", NULL, CFGF_NODEFAULT);
  tunings[OPTION_TUNINGS + 1] = (cfg_opt_t)CFG_END();
  cfg_opt_t options[] = {
    CFG_STR("name", NULL, CFGF_NODEFAULT),
    CFG_BOOL("sname", cfg_false, CFGF_NONE),
    CFG_STR("cookie_file", NULL, CFGF_NODEFAULT),
    CFG_STR("listen", NULL, CFGF_NODEFAULT),
    CFG_STR("log_level", NULL, CFGF_NODEFAULT),
    CFG_INT("net_ticktime_s", 0, CFGF_NODEFAULT),
    CFG_STR_LIST("peers", NULL, CFGF_NODEFAULT),
    CFG_SEC("instance", tunings, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_END(),
  };
  cfg_t *const cfg = cfg_init(options, CFGF_NONE);
  if (cfg == NULL) {
    return NULL;
  }
  (void)cfg_set_error_function(cfg, complain);
  for (size_t i = 0; i < TEXTS; i++) {
    (void)cfg_set_validate_func(cfg, texts[i].name, check_text);
  }
  (void)cfg_set_validate_func(cfg, "peers", check_peer);
  (void)cfg_set_validate_func(cfg, "net_ticktime_s", check_ticktime);
  (void)cfg_set_validate_func(cfg, "instance", check_instance);
  (void)cfg_set_validate_func(cfg, "instance|keys", check_keys);
  for (size_t i = 0; i < OPTION_TUNINGS; i++) {
    char path[64];
    (void)snprintf(path, sizeof path, "instance|%s", option_tunings[i].name);
    (void)cfg_set_validate_func(cfg, path, check_tuning);
  }
  return cfg;
}

static const char *
take_instance(struct options *options, cfg_t *section)
{
  const char *wrong = option_set(options, OPTION_INSTANCE, cfg_title(section));
  if (wrong == NULL && cfg_size(section, "keys") > 0) {
    wrong = option_set(options, OPTION_KEYS, cfg_getstr(section, "keys"));
  }
  if (wrong != NULL) {
    return wrong;
  }
  struct holt_tuning *const tuning =
    &options->instances[options->instances_count - 1].tuning;
  for (size_t i = 0; i < OPTION_TUNINGS; i++) {
    if (cfg_size(section, option_tunings[i].name) > 0) {
      option_tuning_set(tuning, &option_tunings[i],
                        (uint64_t)cfg_getint(section, option_tunings[i].name));
    }
  }
  return NULL;
}

static const char *
take(struct options *options, cfg_t *cfg)
{
  const char *wrong = NULL;
  for (size_t i = 0; i < TEXTS && wrong == NULL; i++) {
    if (cfg_size(cfg, texts[i].name) > 0) {
      wrong =
        option_set(options, texts[i].option, cfg_getstr(cfg, texts[i].name));
    }
  }
  if (wrong == NULL && cfg_getbool(cfg, "sname")) {
    wrong = option_set(options, OPTION_SNAME, "");
  }
  if (wrong == NULL && cfg_size(cfg, "net_ticktime_s") > 0) {
    char text[24];
    (void)snprintf(text, sizeof text, "%ld", cfg_getint(cfg, "net_ticktime_s"));
    wrong = option_set(options, OPTION_NET_TICKTIME_S, text);
  }
  for (unsigned i = 0; i < cfg_size(cfg, "peers") && wrong == NULL; i++) {
    wrong = option_set(options, OPTION_PEER, cfg_getnstr(cfg, "peers", i));
  }
  for (unsigned i = 0; i < cfg_size(cfg, "instance") && wrong == NULL; i++) {
    wrong = take_instance(options, cfg_getnsec(cfg, "instance", i));
  }
  return wrong;
}

/* The library opens one, cannot read it, and ends the program. */
static bool
is_folder(const char *path)
{
  char *const expanded = cfg_tilde_expand(path);
  struct stat status;
  const bool folder =
    expanded != NULL && stat(expanded, &status) == 0 && S_ISDIR(status.st_mode);
  free(expanded);
  return folder;
}

bool
options_file_read(struct options *options, const char *path)
{
  if (is_folder(path)) {
    fprintf(stderr, "holtd: %s: %s\n", path, strerror(EISDIR));
    return false;
  }
  cfg_t *const cfg = file_new();
  if (cfg == NULL) {
    fputs("holtd: out of memory\n", stderr);
    return false;
  }
  const int parsed = cfg_parse(cfg, path);
  bool ok = parsed == CFG_SUCCESS;
  if (parsed == CFG_FILE_ERROR) {
    fprintf(stderr, "holtd: %s: %s\n", path, strerror(errno));
  } else if (ok) {
    const char *const wrong = take(options, cfg);
    if (wrong != NULL) {
      fprintf(stderr, "holtd: %s: %s\n", path, wrong);
      ok = false;
    }
  }
  (void)cfg_free(cfg);
  return ok;
}
