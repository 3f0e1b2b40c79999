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

/* Nothing of ours keeps the loop any more. */
static void
on_stopped(void *user)
{
  struct daemon *const daemon = user;
  for (size_t i = 0; i < SIGNALS; i++) {
    uv_close((uv_handle_t *)&daemon->signals[i], NULL);
  }
}

static void
on_failed(void *user)
{
  struct daemon *const daemon = user;
  daemon->failed = true;
}

/* A second one does not wait for the goodbyes. */
static void
on_signal(uv_signal_t *signal, int number)
{
  struct daemon *const daemon = signal->data;
  log_info("stopping: %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
  node_leave(daemon->node);
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
  static const struct node_handlers handlers = { .failed = on_failed,
                                                 .stopped = on_stopped };
  daemon.failed =
    node_start(&daemon.node, &daemon.loop, options, &handlers, &daemon) != 0;
  for (size_t i = 0; i < SIGNALS; i++) {
    (void)uv_signal_start(&daemon.signals[i], on_signal, numbers[i]);
  }
  if (daemon.failed) {
    on_stopped(&daemon);
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
