/* SPDX-License-Identifier: Apache-2.0 */
/* A repair, on the side of who holds the rows.
 *
 * The asker has the rows of an actor as of version `base`, or nothing (0), and
 * is to get them as of ours, however many we have and whatever happens to them
 * meanwhile.  One walk over our rows, in order of seq, does it:
 *
 *     seq   1 ............ base ..................... version
 *           |--- live set ---|--------- rows ---------|
 *                    ^ cursor                          ^ last piece
 *
 * Up to base the asker has had every row, so it is enough to say which still
 * live; beyond it the rows themselves are sent.  What is born while we walk
 * lies beyond the cursor, so nothing is frozen.  What dies behind the cursor is
 * noted, by birth, and told in the next piece; a row is behind the cursor by
 * its birth, because it may have been sent before it moved on.  When the walk
 * is at its end and our copy is a version, the last piece says which.
 *
 * Pieces name the place where they begin, (cursor, notes told), and the asker
 * takes only the one that begins where it stands.  Where one is lost it says
 * so, and the walk goes back.  We keep one walk and the notes.  They are those
 * of one session, which each piece names: pieces of two, begun by a request
 * that came twice, do not fit each other.
 *
 * Who has a version, and asks for what came after it, says so by `after`.  When
 * it is the very version that we have, the walk begins there, and there is no
 * live set: who is at the same place as we are gets one empty piece. */
#include "invariant.h"
#include "state.h"

static struct holt_serve *
serve_find(const struct holt_replica *replica, const struct holt_peer *peer,
           uint64_t actor)
{
  struct holt_serve *serve = replica->serves;
  while (serve != NULL && !(serve->peer == peer && serve->actor->id == actor)) {
    serve = serve->next;
  }
  return serve;
}

bool
holt__serves(const struct holt_replica *replica, const struct holt_peer *peer,
             const struct holt_actor *actor)
{
  return serve_find(replica, peer, actor->id) != NULL;
}

static void
serve_free(struct holt_replica *replica, struct holt_serve *serve)
{
  struct holt_actor *const actor = serve->actor;
  struct holt_serve **link = &replica->serves;
  while (*link != serve) {
    link = &(*link)->next;
  }
  *link = serve->next;
  holt_walk_stop(&replica->rows, &serve->walk);
  holt_deaths_deinit(&serve->notes);
  holt__forward_over(replica, serve->peer, actor);
  holt_mem_free(replica->mem, serve, sizeof *serve);

  actor->served = false;
  for (const struct holt_serve *other = replica->serves; other != NULL;
       other = other->next) {
    actor->served = actor->served || other->actor == actor;
  }
}

void
holt__serves_end(struct holt_replica *replica, const struct holt_peer *peer,
                 const struct holt_actor *actor)
{
  struct holt_serve *next = replica->serves;
  while (next != NULL) {
    struct holt_serve *const serve = next;
    next = serve->next;
    if ((peer == NULL || serve->peer == peer) &&
        (actor == NULL || serve->actor == actor)) {
      serve_free(replica, serve);
    }
  }
}

void
holt__serve_death(void *user, const struct holt_actor *actor, uint64_t seq,
                  uint64_t birth, enum holt_reason why)
{
  const uint64_t place = holt_mutant(NOTES_BY_SEQ) ? seq : birth;
  const struct holt_replica *const replica = user;
  for (struct holt_serve *serve = replica->serves; serve != NULL;
       serve = serve->next) {
    if (serve->actor == actor && place <= serve->reach) {
      holt_deaths_append(&serve->notes, ++serve->note_count, birth, why);
    }
  }
}

static uint64_t
expires_ms(const struct holt_replica *replica, const struct holt_serve *serve)
{
  return serve->moved_at_ms +
         HOLT_SERVE_INTERVALS * replica->tuning.vector_interval_ms;
}

void
holt__serves_expire(struct holt_replica *replica, uint64_t now_ms)
{
  struct holt_serve *next = replica->serves;
  while (next != NULL) {
    struct holt_serve *const serve = next;
    next = serve->next;
    if (now_ms >= expires_ms(replica, serve)) {
      holt__forward_silent(replica, serve->peer, serve->actor);
      serve_free(replica, serve);
    }
  }
}

uint64_t
holt__serves_due_ms(const struct holt_replica *replica)
{
  uint64_t due_ms = UINT64_MAX;
  for (const struct holt_serve *serve = replica->serves; serve != NULL;
       serve = serve->next) {
    due_ms = holt_earlier(due_ms, expires_ms(replica, serve));
  }
  return due_ms;
}

/*--------------------------------------------------------------------
 * Requests */

/* Who asks for more at a time than it is to has to wait for the answer until it
 * asks again. */
static void
refuse(struct holt_peer *peer, uint64_t actor, uint64_t token)
{
  if (peer->refusal_count < HOLT_REFUSALS_MAX) {
    peer->refusals[peer->refusal_count++] =
      (struct holt_refusal){ .actor = actor, .token = token };
  }
}

/* The asker is where we are: there is nothing to be told but that. */
static bool
is_there(const struct holt_request *request, const struct holt_actor *actor)
{
  return request->after == request->base && request->base == actor->version;
}

/* There is room for this one.  As many of copies must not keep one of our own
 * rows waiting; and who only wants to follow from where it is costs little. */
static bool
has_room(const struct holt_replica *replica, const struct holt_request *request,
         const struct holt_actor *actor)
{
  const bool there = request->follow && is_there(request, actor);
  const bool own = actor == replica->self;
  size_t count = 0;
  for (const struct holt_serve *serve = replica->serves; serve != NULL;
       serve = serve->next) {
    count +=
      serve->there == there && (there || (serve->actor == replica->self) == own)
        ? 1
        : 0;
  }
  return count < (there ? HOLT_PEERS_MAX : HOLT_SERVES_MAX);
}

static int
serve_begin(struct holt_replica *replica, struct holt_peer *peer,
            const struct holt_request *request, uint64_t now_ms)
{
  struct holt_actor *const actor =
    holt_rows_actor(&replica->rows, request->actor);
  if (!request->start || actor == NULL || actor->gone ||
      (actor->dirty && !holt_mutant(SERVE_DIRTY)) ||
      request->base > actor->version || !has_room(replica, request, actor)) {
    refuse(peer, request->actor, request->token);
    return 0;
  }
  struct holt_serve *const serve = holt_mem_zalloc(replica->mem, sizeof *serve);
  int rv = serve == NULL ? HOLT_ERR_NOMEM : 0;
  if (rv == 0 && request->follow) {
    rv = holt__forward_begin(replica, peer, actor);
  }
  if (rv != 0) {
    holt_mem_free(replica->mem, serve, serve != NULL ? sizeof *serve : 0);
    refuse(peer, request->actor, request->token);
    return rv == HOLT_ERR_STALE ? 0 : rv;
  }
  serve->peer = peer;
  serve->actor = actor;
  serve->token = request->token;
  serve->session = ++replica->serve_session;
  serve->base = request->base;
  serve->there = request->follow && is_there(request, actor);
  serve->begin = is_there(request, actor) ? request->base : 0;
  serve->cursor = serve->begin;
  serve->reach = serve->begin;
  serve->epoch = actor->epoch;
  serve->moved_at_ms = now_ms;
  holt_deaths_init(&serve->notes, replica->mem);
  serve->next = replica->serves;
  replica->serves = serve;
  replica->counters.repairs_served++;
  actor->served = true;
  if (actor == replica->self && !holt_mutant(STREAM_TORN)) {
    /* Streamed or repaired, never both. */
    peer->lost = true;
    peer->lost_at_ms = now_ms;
    peer->window.count = 0;
    peer->window.bytes = 0;
  }
  return 0;
}

/* Go back to where the asker stands. */
static int
serve_rewind(struct holt_replica *replica, struct holt_serve *serve,
             const struct holt_request *request)
{
  const uint64_t after = request->start ? serve->begin : request->after;
  const uint64_t notes = request->start ? 0 : request->notes;
  if (after > serve->reach || notes > serve->note_count) {
    return HOLT_ERR_MALFORMED;
  }
  if (after != serve->cursor || notes != serve->notes_to) {
    serve->cursor = after;
    serve->notes_to = notes;
    holt_walk_stop(&replica->rows, &serve->walk);
  }
  if (serve->last) {
    holt__forward_back(replica, serve->peer, serve->actor);
  }
  serve->last = false;
  serve->window.count = 0;
  serve->window.bytes = 0;
  return 0;
}

int
holt__serve_request(struct holt_replica *replica, struct holt_peer *peer,
                    const struct holt_request *request, uint64_t now_ms)
{
  struct holt_serve *serve = serve_find(replica, peer, request->actor);
  if (serve != NULL && serve->token != request->token) {
    if (!request->start) {
      return 0; /* About one that has been given up. */
    }
    serve_free(replica, serve);
    serve = NULL;
  }
  if (request->done) {
    if (serve != NULL) {
      serve_free(replica, serve);
    }
    return 0;
  }
  if (serve == NULL) {
    return serve_begin(replica, peer, request, now_ms);
  }
  serve->moved_at_ms = now_ms;
  if (request->start || request->gap) {
    return serve_rewind(replica, serve, request);
  }
  holt__window_acked(&serve->window, request->after + request->notes);
  return 0;
}

/*--------------------------------------------------------------------
 * Pieces */

/* The live set from the cursor on, as far as there is room, into replica->live;
 * returns how far that is. */
static uint64_t
encode_live(struct holt_replica *replica, struct holt_serve *serve)
{
  struct holt_liveset_writer writer;
  const size_t half = replica->tuning.message_bytes_max / 2;
  holt_buf_clear(&replica->live);
  holt_liveset_begin(&writer, &replica->live, serve->cursor,
                     half > HOLT_LIVESET_BYTES_MIN ? half
                                                   : HOLT_LIVESET_BYTES_MIN);
  uint64_t to = serve->base;
  for (size_t steps = 0; serve->walk.at != 0; steps++) {
    const uint64_t seq =
      holt_row_seq(holt_row_at(&replica->rows, serve->walk.at));
    if (seq + (holt_mutant(LIVE_OFF) ? 1 : 0) > serve->base) {
      break;
    }
    if (steps == HOLT_SLICE_LIVE || holt_liveset_add(&writer, seq) != 0) {
      to = seq - 1;
      break;
    }
    holt_walk_next(&replica->rows, &serve->walk);
  }
  (void)holt_liveset_end(&writer, to);
  return to;
}

static void
encode_notes(const struct holt_replica *replica, struct holt_serve *serve,
             struct holt_delta_writer *writer)
{
  const struct holt_deaths *const notes = &serve->notes;
  size_t index = holt_deaths_after(notes, serve->notes_to);
  for (; index < notes->count && writer->death_count < HOLT_SLICE_ITEMS &&
         (writer->death_count == 0 ||
          writer->out->size + HOLT_DELTA_ROW_BYTES_MAX <
            replica->tuning.message_bytes_max);
       index++) {
    const struct holt_death *const note = holt_deaths_get(notes, index);
    holt_delta_death(writer, holt_death_birth(note), holt_death_why(note));
    serve->notes_to = note->at;
  }
}

/* Rows beyond the cursor, as many as there is room for. */
static void
encode_rows(struct holt_replica *replica, struct holt_serve *serve,
            struct holt_delta_writer *writer)
{
  const size_t bytes_max = replica->tuning.message_bytes_max;
  for (size_t items = 0; serve->walk.at != 0 && items < HOLT_SLICE_ITEMS;
       items++) {
    const struct holt_row *const row =
      holt_row_at(&replica->rows, serve->walk.at);
    holt_row_prefetch(&replica->rows, row->seq_next);
    struct holt_row_spec spec;
    holt_row_spec_of(&replica->rows, row, &spec);
    const size_t size = writer->out->size + spec.key_size + spec.value_size +
                        HOLT_DELTA_ROW_BYTES_MAX;
    if (size > bytes_max && items > 0) {
      return;
    }
    holt_delta_row(writer, &spec);
    serve->cursor = spec.seq;
    holt_walk_next(&replica->rows, &serve->walk);
  }
}

/* All rows have been covered, all notes told, and what we hold is a version. */
static bool
at_end(const struct holt_serve *serve)
{
  return serve->walk.at == 0 && serve->notes_to == serve->note_count &&
         (!serve->actor->dirty || holt_mutant(SERVE_DIRTY)) &&
         serve->cursor >= serve->base;
}

static int
encode_piece(struct holt_replica *replica, struct holt_serve *serve)
{
  const struct holt_actor *const actor = serve->actor;
  const struct holt_identity identity = { .member = actor->member,
                                          .creation = actor->creation,
                                          .rule = (uint8_t)actor->rule };
  const bool live = serve->cursor < serve->base;
  const struct holt_piece piece = {
    .actor = actor->id,
    .token = serve->token,
    .session = serve->session,
    .base = serve->base,
    .after = serve->cursor,
    .notes = serve->notes_to,
    .live = live,
    .whole = serve->begin > 0,
    .identity = serve->cursor == 0 && serve->notes_to == 0 ? &identity : NULL
  };
  struct holt_delta_writer writer;
  holt_buf_clear(&replica->out);
  holt_repair_begin(&writer, &replica->out, &piece);
  if (live) {
    serve->cursor = encode_live(replica, serve);
    if (replica->live.error != 0) {
      replica->out.error = replica->live.error;
      return replica->out.error;
    }
    holt_repair_live(&writer, serve->cursor, replica->live.data,
                     replica->live.size);
  }
  encode_notes(replica, serve, &writer);
  if (serve->cursor >= serve->base) {
    encode_rows(replica, serve, &writer);
  }
  uint64_t as_of =
    actor->version > actor->cursor ? actor->version : actor->cursor;
  /* Between two versions deaths from beyond the cursor may be in already. */
  as_of = actor->as_of > as_of ? actor->as_of : as_of;
  serve->last = at_end(serve);
  if (serve->last) {
    serve->cursor = actor->version;
    as_of = actor->version;
  }
  return holt_repair_end(&writer, serve->cursor,
                         as_of > serve->cursor ? as_of : serve->cursor,
                         serve->last);
}

static bool
send_piece(struct holt_replica *replica, struct holt_serve *serve,
           struct holt_effect *effect, uint64_t now_ms)
{
  if (!holt_walk_seek(&replica->rows, &serve->walk, serve->actor, serve->cursor,
                      &replica->seek_steps)) {
    return false;
  }
  struct holt_peer *const peer = serve->peer;
  serve->before_cursor = serve->cursor;
  serve->before_notes = serve->notes_to;
  const int rv = encode_piece(replica, serve);
  peer->last_token = serve->token;
  serve->before_bytes = rv == 0 ? replica->out.size : 0;
  if (rv != 0) {
    holt__serve_busy(replica, peer); /* Perhaps later. */
  } else {
    serve->moved_at_ms = now_ms;
    serve->reach = serve->cursor > serve->reach ? serve->cursor : serve->reach;
    holt__window_sent(&serve->window, serve->cursor + serve->notes_to,
                      replica->out.size);
    if (serve->last) {
      holt__forward_from(replica, peer, serve->actor, serve->cursor);
    }
  }
  return holt__send(replica, peer, effect, LAST_PIECE, now_ms);
}

void
holt__serve_busy(struct holt_replica *replica, const struct holt_peer *peer)
{
  struct holt_serve *serve = replica->serves;
  while (serve != NULL &&
         !(serve->peer == peer && serve->token == peer->last_token)) {
    serve = serve->next;
  }
  if (serve == NULL) {
    return;
  }
  if (serve->before_bytes > 0 && serve->window.count > 0) {
    holt__window_undo(&serve->window,
                      serve->before_cursor + serve->before_notes,
                      serve->before_bytes);
    serve->before_bytes = 0; /* Once: two repairs may have the same token. */
  }
  if (serve->last) {
    holt__forward_back(replica, serve->peer, serve->actor);
  }
  serve->cursor = serve->before_cursor;
  serve->notes_to = serve->before_notes;
  serve->last = false;
  holt_walk_stop(&replica->rows, &serve->walk);
}

/* It has more to say now. */
static bool
wants_piece(const struct holt_replica *replica, const struct holt_serve *serve)
{
  if (serve->last || !holt__window_has_room(replica, &serve->window)) {
    return false;
  }
  const uint32_t tail = serve->actor->rows_tail;
  const bool rows =
    tail != 0 &&
    holt_row_seq(holt_row_at(&replica->rows, tail)) > serve->cursor;
  return rows || serve->cursor < serve->base ||
         serve->notes_to < serve->note_count || !serve->actor->dirty;
}

/* Our copy has been begun anew, or more has died than we note. */
static bool
is_void(const struct holt_serve *serve)
{
  return serve->actor->torn || serve->actor->epoch != serve->epoch ||
         serve->notes.base > serve->notes_to;
}

static bool
send_refusal(struct holt_replica *replica, struct holt_peer *peer,
             struct holt_effect *effect, uint64_t now_ms)
{
  const struct holt_refusal *const refusal =
    &peer->refusals[peer->refusal_count - 1];
  const struct holt_piece piece = { .actor = refusal->actor,
                                    .token = refusal->token,
                                    .refused = true };
  struct holt_delta_writer writer;
  holt_buf_clear(&replica->out);
  holt_repair_begin(&writer, &replica->out, &piece);
  (void)holt_repair_end(&writer, 0, 0, false);
  if (!holt__send(replica, peer, effect, LAST_REFUSAL, now_ms)) {
    return false;
  }
  peer->refusal_count--;
  peer->last_actor = refusal->actor;
  peer->last_token = refusal->token;
  return true;
}

void
holt__serve_refusal_busy(struct holt_peer *peer)
{
  refuse(peer, peer->last_actor, peer->last_token);
}

bool
holt__serve_wants(const struct holt_replica *replica,
                  const struct holt_peer *peer)
{
  bool wants = peer->refusal_count > 0;
  for (const struct holt_serve *serve = replica->serves;
       serve != NULL && !wants; serve = serve->next) {
    wants =
      serve->peer == peer && (is_void(serve) || wants_piece(replica, serve));
  }
  return wants && !peer->busy;
}

bool
holt__serve_send(struct holt_replica *replica, struct holt_peer *peer,
                 struct holt_effect *effect, uint64_t now_ms)
{
  struct holt_serve *next = replica->serves;
  while (next != NULL) {
    struct holt_serve *const serve = next;
    next = serve->next;
    if (serve->peer != peer) {
      continue;
    }
    if (is_void(serve)) {
      refuse(peer, serve->actor->id, serve->token);
      serve_free(replica, serve);
    } else if (wants_piece(replica, serve) &&
               send_piece(replica, serve, effect, now_ms)) {
      return true;
    }
  }
  return peer->refusal_count > 0 && send_refusal(replica, peer, effect, now_ms);
}
