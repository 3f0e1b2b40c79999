/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <string.h>

#include "changes.h"
#include "handshake.h"
#include "log.h"
#include "lookup.h"

/* The words of a reference: the number, and a mark that those of monitors have
 * not. */
#define REF_WORDS 3u
#define REF_FIRST_BITS 18u
#define REF_MARK 0x77617463u

/* Of a log, in a piece of work. */
#define FORGET_CHANGES 1024u

/* An instance that is watched. */
struct feed {
  struct list link;
  struct watches *watches;
  struct instance *instance;
  struct changes changes;
  struct list watches_of;
  size_t count;
  size_t due;       /* Watches that the job has to look at, then it has all. */
  bool lagging;     /* One of those that it has looked at has not all. */
  uint64_t read_to; /* All have. */
  struct turn_job job;
};

struct watch {
  struct list link;
  struct feed *feed;
  struct dist_peer *peer;
  uint64_t number;
  uint64_t monitor; /* 0: none. */
  uint64_t next;    /* The change to be read next. */
  bool waits;       /* Its connection had no room. */
  enum watch_kind kind;
  size_t filter_size;
  size_t pid_size;
  size_t opening_size;
  uint8_t
    bytes[]; /* The filter; the pid; {holt, Ref, as each message begins. */
};

static void timer_fired(uv_timer_t *timer);
static void feed_delete(struct feed *feed);

/*--------------------------------------------------------------------
 * References */

void
watch_put_ref(struct term_writer *writer, const struct dist *dist,
              uint64_t number)
{
  const uint32_t words[REF_WORDS] = {
    (uint32_t)(number & ((1u << REF_FIRST_BITS) - 1)),
    (uint32_t)(number >> REF_FIRST_BITS),
    REF_MARK,
  };
  const char *const node = dist_name(dist);
  term_put_reference(writer, term_slice(node, strlen(node)),
                     dist_creation(dist), words, REF_WORDS);
}

uint64_t
watch_number(const struct dist *dist, struct term_slice ref)
{
  struct holt_etf_reader reader = term_reader(ref);
  struct holt_etf_token token;
  if (holt_etf_next(&reader, &token) != 0 || token.type != HOLT_ETF_REFERENCE ||
      token.words_count != REF_WORDS || token.words[2] != REF_MARK ||
      token.creation != dist_creation(dist) ||
      !term_slice_is(term_slice(token.node, token.node_size),
                     dist_name(dist))) {
    return 0;
  }
  return (uint64_t)token.words[0] | (uint64_t)token.words[1] << REF_FIRST_BITS;
}

/*--------------------------------------------------------------------
 * Messages */

static struct term_slice
filter_of(const struct watch *watch)
{
  return term_slice(watch->bytes, watch->filter_size);
}

static bool
wants(const struct watch *watch, const struct change *change)
{
  if (watch->kind == WATCH_ALL || change->key_size == 0) {
    return true;
  }
  const struct term_slice key = change_key(change);
  return watch->kind == WATCH_KEY ? term_slice_equal(key, filter_of(watch))
                                  : lookup_has_prefix(key, filter_of(watch));
}

/* {holt, Ref, Seq, [changes]}: count parts, between the opening and the end of
 * the list, for which there is room. */
static int
send_list(const struct watch *watch, struct term_slice *parts, size_t count,
          uint64_t seq)
{
  static const uint8_t end[] = { 106 };
  struct term_writer writer;
  const uint8_t *const pid = watch->bytes + watch->filter_size;
  term_writer_init(&writer, watch->feed->watches->mem, 0);
  term_put_uint(&writer, seq);
  term_put_list(&writer, (uint32_t)count);
  parts[0] = term_slice(pid + watch->pid_size, watch->opening_size);
  parts[1] = term_writer_slice(&writer);
  parts[2 + count] = term_slice(end, sizeof end);
  const int rv =
    writer.error != 0
      ? writer.error
      : dist_send_to_pid(watch->peer, term_slice(pid, watch->pid_size), parts,
                         count + 3);
  term_writer_deinit(&writer);
  return rv;
}

/* It has not heard all: that is all it is told. */
static int
send_missed(struct watch *watch)
{
  static const uint8_t missed[] = "t\0\0\0\x01\x77\x04type\x77\x06missed";
  struct term_slice parts[4];
  parts[2] = term_slice(missed, sizeof missed - 1);
  const uint64_t next = watch->feed->changes.next;
  const int rv = send_list(watch, parts, 1, next - 1);
  watch->next = rv == 0 ? next : watch->next;
  return rv;
}

/* What it wants of the next changes. */
static int
send_some(struct watch *watch)
{
  const struct changes *const changes = &watch->feed->changes;
  struct term_slice parts[WATCH_CHANGES + 3];
  uint64_t at = watch->next;
  size_t count = 0;
  size_t size = 0;
  for (; at < changes->next && at - watch->next < WATCH_CHANGES; at++) {
    const struct change *const change = changes_at(changes, at);
    if (!wants(watch, change)) {
      continue;
    }
    if (count > 0 && size + change->size > WATCH_MESSAGE_BYTES) {
      break;
    }
    parts[2 + count++] = change_term(change);
    size += change->size;
  }
  const int rv = count > 0 ? send_list(watch, parts, count, at - 1) : 0;
  watch->next = rv == 0 ? at : watch->next;
  return rv;
}

/* A piece of work for one of them.  True: there is more. */
static bool
serve(struct watch *watch)
{
  struct feed *const feed = watch->feed;
  if (watch->waits || watch->next == feed->changes.next) {
    return false;
  }
  const bool full = dist_peer_queued(watch->peer) > WATCH_QUEUED_BYTES;
  int rv = HOLT_ERR_BUSY;
  if (!full) {
    rv =
      watch->next < feed->changes.first ? send_missed(watch) : send_some(watch);
  }
  if (rv == HOLT_ERR_DEAD) {
    return false; /* Its end is on its way. */
  }
  watch->waits = rv != 0;
  if (watch->waits && uv_is_active((uv_handle_t *)&feed->watches->timer) == 0) {
    (void)uv_timer_start(&feed->watches->timer, timer_fired, WATCH_RETRY_MS, 0);
  }
  return !watch->waits && watch->next < feed->changes.next;
}

/* The next in turn. */
static void
serve_next(struct feed *feed)
{
  struct list *const link = feed->watches_of.next;
  struct watch *const watch = list_thing(link, struct watch, link);
  list_remove(link);
  list_add(&feed->watches_of, link);
  feed->due--;
  if (serve(watch)) {
    feed->due = feed->count;
    feed->lagging = false;
    return;
  }
  feed->lagging = feed->lagging || watch->next < feed->changes.next;
  if (feed->due == 0 && !feed->lagging) {
    feed->read_to = feed->changes.next;
  }
}

static bool
run(struct turn_job *job)
{
  struct feed *const feed = list_thing(job, struct feed, job);
  if (feed->due > 0) {
    serve_next(feed);
    return true;
  }
  const uint64_t unread = feed->count == 0 ? feed->changes.next : feed->read_to;
  const bool more = !changes_forget(&feed->changes, unread, FORGET_CHANGES);
  if (!more && feed->count == 0) {
    feed_delete(feed);
  }
  return more;
}

/* All have to be looked at. */
static void
on_news(void *user)
{
  struct feed *const feed = user;
  feed->due = feed->count;
  feed->lagging = false;
  turn_want(feed->watches->turn, &feed->job);
}

static void
timer_fired(uv_timer_t *timer)
{
  struct watches *const watches = timer->data;
  list_each(link, &watches->feeds)
  {
    struct feed *const feed = list_thing(link, struct feed, link);
    list_each(of, &feed->watches_of)
    {
      list_thing(of, struct watch, link)->waits = false;
    }
    on_news(feed);
  }
}

/*--------------------------------------------------------------------
 * Instances */

static struct feed *
feed_find(const struct watches *watches, const struct instance *instance)
{
  list_each(link, &watches->feeds)
  {
    struct feed *const feed = list_thing(link, struct feed, link);
    if (feed->instance == instance) {
      return feed;
    }
  }
  return NULL;
}

static struct feed *
feed_new(struct watches *watches, struct instance *instance)
{
  struct feed *const feed = holt_mem_zalloc(watches->mem, sizeof *feed);
  if (feed == NULL) {
    return NULL;
  }
  if (changes_init(&feed->changes, instance_replica(instance), watches->mem,
                   on_news, feed) != 0) {
    holt_mem_free(watches->mem, feed, sizeof *feed);
    return NULL;
  }
  feed->watches = watches;
  feed->instance = instance;
  list_init(&feed->watches_of);
  turn_job_init(&feed->job, run);
  list_add(&watches->feeds, &feed->link);
  return feed;
}

static void
feed_delete(struct feed *feed)
{
  turn_cancel(&feed->job);
  list_remove(&feed->link);
  changes_deinit(&feed->changes);
  holt_mem_free(feed->watches->mem, feed, sizeof *feed);
}

/* Once nobody watches: the job lets go of what there is. */
static void
feed_release(struct feed *feed)
{
  if (feed->count == 0) {
    changes_pause(&feed->changes);
    turn_want(feed->watches->turn, &feed->job);
  }
}

/* That of an instance, at work.  NULL: no memory. */
static struct feed *
feed_of(struct watches *watches, struct instance *instance)
{
  struct feed *const feed = feed_find(watches, instance);
  if (feed != NULL && feed->count == 0) {
    changes_resume(&feed->changes);
  }
  return feed != NULL ? feed : feed_new(watches, instance);
}

/*--------------------------------------------------------------------
 * Begin and end */

void
watches_init(struct watches *watches, uv_loop_t *loop, struct turn *turn,
             struct holt_mem *mem, uint32_t process)
{
  *watches = (struct watches){ .turn = turn, .mem = mem, .process = process };
  list_init(&watches->feeds);
  (void)uv_timer_init(loop, &watches->timer);
  watches->timer.data = watches;
}

static size_t
watch_size(const struct watch *watch)
{
  return sizeof *watch + watch->filter_size + watch->pid_size +
         watch->opening_size;
}

static void
watch_delete(struct watch *watch)
{
  struct feed *const feed = watch->feed;
  struct watches *const watches = feed->watches;
  list_remove(&watch->link);
  feed->count--;
  feed->due = feed->due < feed->count ? feed->due : feed->count;
  watches->count--;
  holt_mem_free(watches->mem, watch, watch_size(watch));
  feed_release(feed);
}

/* The first for which there is a reason, of all. */
static struct watch *
watch_find(const struct watches *watches,
           bool (*is_it)(const struct watch *watch, const void *what,
                         uint64_t number),
           const void *what, uint64_t number)
{
  list_each(link, &watches->feeds)
  {
    const struct feed *const feed = list_thing(link, struct feed, link);
    list_each(of, &feed->watches_of)
    {
      struct watch *const watch = list_thing(of, struct watch, link);
      if (is_it(watch, what, number)) {
        return watch;
      }
    }
  }
  return NULL;
}

/* NULL: no memory. */
static struct watch *
watch_new(const struct watches *watches, const struct watch_request *request,
          uint64_t number)
{
  struct term_writer writer;
  term_writer_init(&writer, watches->mem, 0);
  term_put_slice(&writer, request->filter);
  term_put_slice(&writer, request->pid);
  term_put_tuple(&writer, 4);
  term_put_atom(&writer, "holt");
  watch_put_ref(&writer, request->dist, number);
  struct watch *const watch =
    writer.error != 0
      ? NULL
      : holt_mem_zalloc(watches->mem, sizeof *watch + writer.size);
  if (watch != NULL) {
    watch->peer = request->peer;
    watch->number = number;
    watch->kind = request->kind;
    watch->filter_size = request->filter.size;
    watch->pid_size = request->pid.size;
    watch->opening_size =
      writer.size - request->filter.size - request->pid.size;
    memcpy(watch->bytes, writer.data, writer.size);
  }
  term_writer_deinit(&writer);
  return watch;
}

int
watch_start(struct watches *watches, const struct watch_request *request,
            uint64_t *number)
{
  if (watches->count == WATCHES_MAX) {
    return HOLT_ERR_BUSY;
  }
  struct feed *const feed = feed_of(watches, request->instance);
  if (feed == NULL) {
    return HOLT_ERR_NOMEM;
  }
  struct watch *const watch = watch_new(watches, request, watches->number + 1);
  int rv = watch != NULL ? 0 : HOLT_ERR_NOMEM;
  /* What cannot watch, such as the command line, is one process. */
  if (rv == 0 &&
      (dist_peer_flags(request->peer) & HANDSHAKE_MONITOR_NAME) != 0) {
    rv = dist_monitor(request->peer, watches->process, request->pid,
                      &watch->monitor);
  }
  if (rv != 0) {
    if (watch != NULL) {
      holt_mem_free(watches->mem, watch, watch_size(watch));
    }
    feed_release(feed);
    return rv;
  }
  watch->feed = feed;
  watch->next = feed->changes.next;
  list_add(&feed->watches_of, &watch->link);
  feed->count++;
  watches->count++;
  *number = ++watches->number;
  log_debug("%s is watched from %s", instance_name(feed->instance),
            dist_peer_node(watch->peer));
  return 0;
}

static bool
is_numbered(const struct watch *watch, const void *peer, uint64_t number)
{
  return watch->peer == peer && watch->number == number;
}

void
watch_stop(struct watches *watches, const struct dist_peer *peer,
           uint64_t number)
{
  struct watch *const watch = watch_find(watches, is_numbered, peer, number);
  if (watch != NULL) {
    if (watch->monitor != 0) {
      dist_demonitor(watch->peer, watch->monitor);
    }
    watch_delete(watch);
  }
}

static bool
is_monitored(const struct watch *watch, const void *peer, uint64_t monitor)
{
  return watch->peer == peer && watch->monitor == monitor;
}

void
watches_monitor_down(struct watches *watches, const struct dist_peer *peer,
                     uint64_t monitor)
{
  struct watch *const watch = watch_find(watches, is_monitored, peer, monitor);
  if (watch != NULL) {
    watch_delete(watch);
  }
}

static bool
is_of(const struct watch *watch, const void *peer, uint64_t ignored)
{
  (void)ignored;
  return peer == NULL || watch->peer == peer;
}

void
watches_forget(struct watches *watches, const struct dist_peer *peer)
{
  struct watch *watch;
  while ((watch = watch_find(watches, is_of, peer, 0)) != NULL) {
    watch_delete(watch);
  }
}

void
watches_close(struct watches *watches)
{
  watches_forget(watches, NULL);
  list_each(link, &watches->feeds)
  {
    feed_delete(list_thing(link, struct feed, link));
  }
  uv_close((uv_handle_t *)&watches->timer, NULL);
}
