/* SPDX-License-Identifier: Apache-2.0 */
#include "dialler.h"

#include <string.h>

#include "log.h"

#define BACKOFF_MS_MIN 100u
#define BACKOFF_MS_MAX 5000u

#define NODE_BYTES_MAX HOLT_ETF_ATOM_BYTES_MAX

enum wanted_state {
  WANTED_WAITING, /* To be dialled at due_ms. */
  WANTED_DIALLED, /* Up or failed will come. */
  WANTED_UP
};

struct wanted {
  struct wanted *next;
  enum wanted_state state;
  bool always;
  bool told; /* Of its failing, once. */
  uint64_t due_ms;
  uint64_t backoff_ms;
  uint64_t failing_since_ms;
  size_t size; /* Of this block. */
  char node[];
};

struct dialler {
  uv_timer_t timer;
  struct dist *dist;
  struct holt_mem *mem;
  struct wanted *wanted;
  size_t learned;
  bool started;
};

static void dial_due(uv_timer_t *timer);

int
dialler_new(struct dialler **out, uv_loop_t *loop, struct dist *dist,
            struct holt_mem *mem)
{
  struct dialler *const dialler = holt_mem_zalloc(mem, sizeof *dialler);
  if (dialler == NULL) {
    return HOLT_ERR_NOMEM;
  }
  dialler->dist = dist;
  dialler->mem = mem;
  (void)uv_timer_init(loop, &dialler->timer);
  dialler->timer.data = dialler;
  *out = dialler;
  return 0;
}

static uint64_t
now_ms(const struct dialler *dialler)
{
  return uv_now(dialler->timer.loop);
}

/* A place in the list: of this node, or the end. */
static struct wanted **
find(struct dialler *dialler, const void *node, size_t size)
{
  struct wanted **link = &dialler->wanted;
  while (*link != NULL && (strlen((*link)->node) != size ||
                           memcmp((*link)->node, node, size) != 0)) {
    link = &(*link)->next;
  }
  return link;
}

static void
forget(struct dialler *dialler, struct wanted **link)
{
  struct wanted *const wanted = *link;
  *link = wanted->next;
  dialler->learned -= wanted->always ? 0 : 1;
  holt_mem_free(dialler->mem, wanted, wanted->size);
}

/* Set the timer to the first that is due. */
static void
schedule(struct dialler *dialler)
{
  uint64_t due_ms = UINT64_MAX;
  for (const struct wanted *wanted = dialler->wanted; wanted != NULL;
       wanted = wanted->next) {
    if (wanted->state == WANTED_WAITING && wanted->due_ms < due_ms) {
      due_ms = wanted->due_ms;
    }
  }
  if (!dialler->started || due_ms == UINT64_MAX) {
    (void)uv_timer_stop(&dialler->timer);
    return;
  }
  const uint64_t now = now_ms(dialler);
  (void)uv_timer_start(&dialler->timer, dial_due,
                       due_ms > now ? due_ms - now : 0, 0);
}

/* Dial again, later each time. */
static void
postpone(struct dialler *dialler, struct wanted *wanted)
{
  uint8_t jitter = 0;
  (void)uv_random(NULL, NULL, &jitter, sizeof jitter, 0, NULL);
  wanted->state = WANTED_WAITING;
  wanted->due_ms =
    now_ms(dialler) + wanted->backoff_ms + wanted->backoff_ms * jitter / 1024;
  wanted->backoff_ms *= 2;
  if (wanted->backoff_ms > BACKOFF_MS_MAX) {
    wanted->backoff_ms = BACKOFF_MS_MAX;
  }
}

static void
dial_due(uv_timer_t *timer)
{
  struct dialler *const dialler = timer->data;
  struct wanted **link = &dialler->wanted;
  while (*link != NULL) {
    struct wanted *const wanted = *link;
    if (wanted->state == WANTED_WAITING && wanted->due_ms <= now_ms(dialler)) {
      const int rv = dist_dial(dialler->dist, wanted->node);
      if (rv == HOLT_ERR_MALFORMED) {
        log_debug("%s is not to be dialled", wanted->node);
        forget(dialler, link);
        continue;
      }
      wanted->state = rv == HOLT_ERR_EXISTS ? WANTED_UP : WANTED_DIALLED;
      if (rv == HOLT_ERR_NOMEM) {
        postpone(dialler, wanted);
      }
    }
    link = &wanted->next;
  }
  schedule(dialler);
}

void
dialler_want(struct dialler *dialler, struct term_slice node, bool always)
{
  if (node.size == 0 || node.size > NODE_BYTES_MAX ||
      memchr(node.bytes, '\0', node.size) != NULL ||
      term_slice_is(node, dist_name(dialler->dist))) {
    return;
  }
  struct wanted **const link = find(dialler, node.bytes, node.size);
  if (*link != NULL) {
    if (always && !(*link)->always) {
      (*link)->always = true;
      dialler->learned--;
    }
    return;
  }
  if (!always && dialler->learned >= DIALLER_LEARNED_MAX) {
    log_warning("not dialling %.*s: we were told of %u nodes already",
                (int)node.size, (const char *)node.bytes, DIALLER_LEARNED_MAX);
    return;
  }
  const size_t size = sizeof(struct wanted) + node.size + 1;
  struct wanted *const wanted = holt_mem_zalloc(dialler->mem, size);
  if (wanted == NULL) {
    return; /* We are told again. */
  }
  wanted->size = size;
  wanted->always = always;
  wanted->backoff_ms = BACKOFF_MS_MIN;
  wanted->due_ms = now_ms(dialler);
  wanted->failing_since_ms = wanted->due_ms;
  memcpy(wanted->node, node.bytes, node.size);
  if (dist_peer_by_node(dialler->dist, node.bytes, node.size) != NULL) {
    wanted->state = WANTED_UP;
  }
  dialler->learned += always ? 0 : 1;
  *link = wanted;
  schedule(dialler);
}

void
dialler_start(struct dialler *dialler)
{
  dialler->started = true;
  schedule(dialler);
}

void
dialler_up(struct dialler *dialler, const char *node)
{
  struct wanted *const wanted = *find(dialler, node, strlen(node));
  if (wanted != NULL) {
    wanted->state = WANTED_UP;
    wanted->backoff_ms = BACKOFF_MS_MIN;
    wanted->told = false;
    schedule(dialler);
  }
}

void
dialler_down(struct dialler *dialler, const char *node)
{
  struct wanted *const wanted = *find(dialler, node, strlen(node));
  if (wanted != NULL) {
    wanted->failing_since_ms = now_ms(dialler);
    postpone(dialler, wanted);
    schedule(dialler);
  }
}

void
dialler_failed(struct dialler *dialler, const char *node, const char *reason)
{
  struct wanted **const link = find(dialler, node, strlen(node));
  struct wanted *const wanted = *link;
  if (wanted == NULL || wanted->state != WANTED_DIALLED) {
    return;
  }
  if (wanted->told) {
    log_debug("cannot reach %s: %s", node, reason);
  } else {
    log_info("cannot reach %s: %s; trying again", node, reason);
  }
  wanted->told = true;
  if (!wanted->always &&
      now_ms(dialler) - wanted->failing_since_ms >= DIALLER_GIVE_UP_MS) {
    log_info("giving up on %s", node);
    forget(dialler, link);
  } else {
    postpone(dialler, wanted);
  }
  schedule(dialler);
}

static void
timer_closed(uv_handle_t *handle)
{
  struct dialler *const dialler = handle->data;
  while (dialler->wanted != NULL) {
    forget(dialler, &dialler->wanted);
  }
  holt_mem_free(dialler->mem, dialler, sizeof *dialler);
}

void
dialler_delete(struct dialler *dialler)
{
  uv_close((uv_handle_t *)&dialler->timer, timer_closed);
}
