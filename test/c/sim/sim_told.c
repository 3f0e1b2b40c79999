/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of each node's view that is fed by nothing but the changes it tells,
 * and has to be the view whenever poll has no work left.
 *
 *     unique       who has each key
 *     duplicate    of each member, how many rows, and a sum over them
 *
 * A change comes in the middle of a call, when the log does not know yet what
 * has been written.  So changes are kept until the call is over.  What a member
 * brings is not told, and is looked up when it comes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_core.h"

/* A row, as changes tell of it; no actor: none. */
struct seen_row {
  uint64_t actor;
  uint64_t seq;
  uint64_t birth;
};

enum note_type {
  NOTE_CHANGE,
  NOTE_BRINGS /* One of the rows of a member that has come: now. */
};

struct note {
  enum note_type type;
  enum holt_change_type change;
  enum holt_reason reason;
  bool had;
  bool settled; /* Nothing waited then. */
  struct seen_row now;
  struct seen_row before;
  uint64_t actor;
};

/* Duplicate keys: what one member has. */
struct share {
  uint64_t actor;
  uint64_t sum;
  size_t count;
};

struct sim_told {
  struct sim *sim;
  unsigned at;
  struct note *notes;
  size_t note_count;
  size_t note_capacity;
  struct seen_row *holders; /* By key. */
  uint64_t *brought;        /* By key: the member that brought the holder. */
  struct share *shares;
  size_t share_count;
};

static void *
grown(void *block, size_t count, size_t *capacity, size_t item)
{
  if (count < *capacity) {
    return block;
  }
  *capacity = *capacity * 2 + 64;
  void *const more = realloc(block, *capacity * item);
  if (more == NULL) {
    abort();
  }
  return more;
}

static struct note *
note_new(struct sim_told *told)
{
  told->notes = grown(told->notes, told->note_count, &told->note_capacity,
                      sizeof *told->notes);
  struct note *const note = &told->notes[told->note_count++];
  memset(note, 0, sizeof *note);
  return note;
}

static struct seen_row
row_of(const struct holt_view *view)
{
  return (struct seen_row){ .actor = view->actor,
                            .seq = view->seq,
                            .birth = view->birth };
}

/* The rows that a member brings along. */
static void
note_rows(struct sim_told *told, uint64_t actor)
{
  const struct holt_replica *const replica = told->sim->nodes[told->at].replica;
  struct sim_copy copy;
  struct sim_row row;
  uintptr_t walk = 0;
  if (replica == NULL || !sim_core_copy_of(replica, actor, &copy)) {
    return;
  }
  while (sim_core_row(replica, &copy, &walk, &row)) {
    struct note *const note = note_new(told);
    note->type = NOTE_BRINGS;
    note->now = (struct seen_row){ .actor = actor,
                                   .seq = row.spec.seq,
                                   .birth = row.spec.birth };
  }
}

static void
on_change(void *user, const struct holt_change *change)
{
  struct sim_told *const told = user;
  struct note *const note = note_new(told);
  *note = (struct note){ .change = change->type,
                         .reason = change->reason,
                         .had = change->had,
                         .settled = !sim_core_settles(
                           told->sim->nodes[told->at].replica),
                         .now = row_of(&change->now),
                         .before = row_of(&change->before),
                         .actor = change->actor };
  if (change->type == HOLT_CHANGE_MEMBER_UP) {
    note_rows(told, change->actor);
  }
}

/*--------------------------------------------------------------------
 * What it was */

/* What was written there, or NULL. */
static const struct sim_entry *
entry_of(const struct sim *sim, const struct seen_row *row)
{
  const struct sim_log *const log = sim_log_find(sim, row->actor);
  if (log == NULL || row->seq == 0 || row->seq > log->version ||
      log->entries[row->seq].birth != row->birth) {
    return NULL;
  }
  return &log->entries[row->seq];
}

/* The last state of the registration that was seen in this one. */
static const struct sim_entry *
last_of(const struct sim *sim, const struct seen_row *row)
{
  const struct sim_log *const log = sim_log_find(sim, row->actor);
  const struct sim_entry *entry = &log->entries[row->seq];
  while (entry->end <= log->version &&
         log->entries[entry->end].birth == entry->birth) {
    entry = &log->entries[entry->end];
  }
  return entry;
}

static bool
same_row(const struct seen_row *left, const struct seen_row *right)
{
  return left->actor == right->actor && left->birth == right->birth &&
         left->seq == right->seq;
}

static uint64_t
sum_of(const struct seen_row *row)
{
  return sim_view_sum(row->actor, row->seq, row->birth);
}

static struct share *
share_of(struct sim_told *told, uint64_t actor)
{
  for (size_t i = 0; i < told->share_count; i++) {
    if (told->shares[i].actor == actor) {
      return &told->shares[i];
    }
  }
  told->shares =
    realloc(told->shares, (told->share_count + 1) * sizeof *told->shares);
  if (told->shares == NULL) {
    abort();
  }
  told->shares[told->share_count] = (struct share){ .actor = actor };
  return &told->shares[told->share_count++];
}

/*--------------------------------------------------------------------
 * Reasons */

/* Why did a registration end, where that is known?  A registration that is
 * outranked may end in another way before it hears of that. */
static void
check_reason(struct sim_told *told, const struct note *note)
{
  struct sim *const sim = told->sim;
  const struct sim_entry *const entry = last_of(sim, &note->before);
  const bool own = note->before.actor == sim->nodes[told->at].log->actor;
  const bool over = note->change == HOLT_CHANGE_UNREGISTERED;
  const bool known = entry->end != UINT64_MAX && entry->why_known;
  bool right = true;
  if (over && note->reason == HOLT_REASON_MEMBER) {
    right = false;
  } else if (over && known) {
    right = note->reason == entry->why ||
            (!own && note->reason == HOLT_REASON_UNKNOWN);
  } else if (own && known) {
    right = note->reason == entry->why;
  }
  if (note->change == HOLT_CHANGE_REGISTERED &&
      note->reason == HOLT_REASON_GIVEN_AWAY) {
    const struct sim_entry *const now = entry_of(sim, &note->now);
    const bool said = known && entry->why == HOLT_REASON_GIVEN_AWAY;
    right = right && now != NULL &&
            (said || now->replaces_actor == note->before.actor);
  }
  if (!right) {
    sim_fail(sim,
             "n%u is told reason %d of the end of birth %" PRIu64
             ", not %d (change %d)",
             told->at, (int)note->reason, note->before.birth,
             known ? (int)entry->why : -1, (int)note->change);
  }
  sim->total.reasons[note->reason]++;
}

/*--------------------------------------------------------------------
 * Unique keys */

static void
unique_change(struct sim_told *told, const struct note *note)
{
  struct sim *const sim = told->sim;
  const bool has_now = note->change != HOLT_CHANGE_UNREGISTERED;
  const struct sim_entry *const now =
    has_now ? entry_of(sim, &note->now) : NULL;
  const struct sim_entry *const before =
    note->had ? entry_of(sim, &note->before) : NULL;
  if ((has_now && now == NULL) || (note->had && before == NULL) ||
      (!has_now && !note->had) ||
      (now != NULL && before != NULL && now->key != before->key)) {
    sim_fail(sim, "n%u is told of what never was", told->at);
    return;
  }
  const unsigned key = now != NULL ? now->key : before->key;
  struct seen_row *const holder = &told->holders[key];
  const bool member = note->reason == HOLT_REASON_MEMBER;
  if (note->settled && !member &&
      (note->had ? !same_row(holder, &note->before) : holder->actor != 0)) {
    sim_fail(sim, "n%u is told of key %u as if it had been another's", told->at,
             key);
  }
  if (note->had && note->change != HOLT_CHANGE_UPDATED) {
    check_reason(told, note);
  }
  *holder = note->now;
  told->brought[key] = 0;
}

/* The best of those that a member brings, if nobody else has the name. */
static void
unique_brings(struct sim_told *told, const struct seen_row *row)
{
  const struct sim_entry *const entry = entry_of(told->sim, row);
  if (entry == NULL) {
    sim_fail(told->sim, "n%u is brought what never was", told->at);
    return;
  }
  struct seen_row *const holder = &told->holders[entry->key];
  bool better = holder->actor == 0;
  if (!better && told->brought[entry->key] == row->actor) {
    const struct sim_entry *const other = entry_of(told->sim, holder);
    const struct sim_rank left = sim_core_rank_of(
      told->sim, row->actor, row->birth, entry->stamp, entry->flags);
    const struct sim_rank right = sim_core_rank_of(
      told->sim, holder->actor, holder->birth, other->stamp, other->flags);
    better = sim_core_outranks(&left, &right);
  }
  if (better) {
    *holder = *row;
    told->brought[entry->key] = row->actor;
  }
}

static void
unique_member(struct sim_told *told, const struct note *note)
{
  const bool up = note->change == HOLT_CHANGE_MEMBER_UP;
  for (unsigned key = 0; key < told->sim->options.keys; key++) {
    if (!up && told->holders[key].actor == note->actor) {
      told->holders[key] = (struct seen_row){ .actor = 0 };
    }
    told->brought[key] = 0;
  }
}

/*--------------------------------------------------------------------
 * Duplicate keys */

static void
duplicate_change(struct sim_told *told, const struct note *note)
{
  if (note->change != HOLT_CHANGE_UNREGISTERED) {
    struct share *const share = share_of(told, note->now.actor);
    share->count++;
    share->sum += sum_of(&note->now);
  }
  if (note->had) {
    struct share *const share = share_of(told, note->before.actor);
    share->count--;
    share->sum -= sum_of(&note->before);
    const struct sim_entry *const before = entry_of(told->sim, &note->before);
    if (before == NULL || (note->change == HOLT_CHANGE_REGISTERED)) {
      sim_fail(told->sim, "n%u is told of what never was", told->at);
    } else if (note->change == HOLT_CHANGE_UNREGISTERED) {
      check_reason(told, note);
    }
  }
}

static void
note_take(struct sim_told *told, const struct note *note)
{
  const bool duplicate = told->sim->options.duplicate;
  if (note->type == NOTE_BRINGS) {
    if (duplicate) {
      struct share *const share = share_of(told, note->now.actor);
      share->count++;
      share->sum += sum_of(&note->now);
    } else {
      unique_brings(told, &note->now);
    }
  } else if (note->change >= HOLT_CHANGE_MEMBER_UP) {
    if (duplicate) {
      *share_of(told, note->actor) = (struct share){ .actor = note->actor };
    } else {
      unique_member(told, note);
    }
  } else if (duplicate) {
    duplicate_change(told, note);
  } else {
    unique_change(told, note);
  }
}

/*--------------------------------------------------------------------
 * For all others */

void
sim_told_new(struct sim *sim, unsigned at)
{
  if (sim->seed % 8 == 7) {
    return; /* Nobody watches. */
  }
  struct sim_told *const told = calloc(1, sizeof *told);
  if (told == NULL) {
    abort();
  }
  told->sim = sim;
  told->at = at;
  told->holders = calloc(sim->options.keys, sizeof *told->holders);
  told->brought = calloc(sim->options.keys, sizeof *told->brought);
  if (told->holders == NULL || told->brought == NULL) {
    abort();
  }
  sim->nodes[at].told = told;
  holt_replica_watch(sim->nodes[at].replica, on_change, told);
}

void
sim_told_delete(struct sim *sim, unsigned at)
{
  struct sim_told *const told = sim->nodes[at].told;
  if (told != NULL) {
    free(told->notes);
    free(told->holders);
    free(told->brought);
    free(told->shares);
    free(told);
    sim->nodes[at].told = NULL;
  }
}

void
sim_told_take(struct sim *sim, unsigned at)
{
  struct sim_told *const told = sim->nodes[at].told;
  if (told == NULL) {
    return;
  }
  for (size_t i = 0; i < told->note_count && !sim->failed; i++) {
    note_take(told, &told->notes[i]);
  }
  sim->total.changes += told->note_count;
  told->note_count = 0;
}

void
sim_told_check_key(struct sim *sim, unsigned at, unsigned key, uint64_t actor,
                   uint64_t seq)
{
  const struct sim_told *const told = sim->nodes[at].told;
  if (told == NULL) {
    return;
  }
  const struct seen_row *const holder = &told->holders[key];
  if (holder->actor != actor || (actor != 0 && holder->seq != seq)) {
    sim_fail(sim, "n%u has been told that %" PRIx64 " has key %u, not %" PRIx64,
             at, holder->actor >> 48, key, actor >> 48);
  }
}

void
sim_told_check_share(struct sim *sim, unsigned at, uint64_t actor, size_t count,
                     uint64_t sum)
{
  struct sim_told *const told = sim->nodes[at].told;
  if (told == NULL) {
    return;
  }
  const struct share *const share = share_of(told, actor);
  if (share->count != count || share->sum != sum) {
    sim_fail(sim, "n%u has been told of %zu rows of %" PRIx64 ", not %zu", at,
             share->count, actor >> 48, count);
  }
}
