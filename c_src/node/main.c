/* SPDX-License-Identifier: Apache-2.0 */
/* holtd: a member of instances that runs no Erlang.  docs/cnode.md. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include <uv.h>

#include "log.h"
#include "node.h"
#include "options.h"

/* Exit codes, as documented. */
enum {
  EXIT_OK = 0,
  EXIT_FAILED = 1,
  EXIT_USAGE = 2
};

#define SIGNALS 2u

struct daemon {
  uv_loop_t loop;
  uv_signal_t signals[SIGNALS];
  struct node *node;
  bool failed;
};

static void
stop(struct daemon *daemon)
{
  if (daemon->node != NULL) {
    node_stop(daemon->node);
  }
  for (size_t i = 0; i < SIGNALS; i++) {
    if (uv_is_closing((uv_handle_t *)&daemon->signals[i]) == 0) {
      uv_close((uv_handle_t *)&daemon->signals[i], NULL);
    }
  }
}

static void
on_signal(uv_signal_t *signal, int number)
{
  log_info("stopping: %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
  stop(signal->data);
}

static void
on_failed(void *user)
{
  struct daemon *const daemon = user;
  daemon->failed = true;
  stop(daemon);
}

static int
run(const struct options *options)
{
  struct daemon daemon = { .node = NULL };
  if (uv_loop_init(&daemon.loop) != 0) {
    log_error("cannot make a loop");
    return EXIT_FAILED;
  }
  static const int numbers[SIGNALS] = { SIGTERM, SIGINT };
  for (size_t i = 0; i < SIGNALS; i++) {
    (void)uv_signal_init(&daemon.loop, &daemon.signals[i]);
    daemon.signals[i].data = &daemon;
  }
  daemon.failed =
    node_start(&daemon.node, &daemon.loop, options, on_failed, &daemon) != 0;
  for (size_t i = 0; i < SIGNALS; i++) {
    (void)uv_signal_start(&daemon.signals[i], on_signal, numbers[i]);
  }
  if (daemon.failed) {
    stop(&daemon);
  }
  (void)uv_run(&daemon.loop, UV_RUN_DEFAULT);
  node_delete(daemon.node);
  const int busy = uv_loop_close(&daemon.loop);
  if (busy != 0) {
    log_error("the loop was not empty: %s", uv_strerror(busy));
  }
  return daemon.failed || busy != 0 ? EXIT_FAILED : EXIT_OK;
}

int
main(int argc, char **argv)
{
  (void)signal(SIGPIPE, SIG_IGN);
  struct options options;
  int status = EXIT_OK;
  switch (options_read(&options, argc, argv)) {
  case OPTIONS_RUN:
    log_level_set(options.log_level);
    status = run(&options);
    if (status == EXIT_OK) {
      log_info("stopped");
    }
    break;
  case OPTIONS_WRONG:
    status = EXIT_USAGE;
    break;
  case OPTIONS_DONE:
    break;
  }
  options_deinit(&options);
  uv_library_shutdown();
  return status;
}
