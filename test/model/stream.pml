/* SPDX-License-Identifier: Apache-2.0 */
/* One actor's rows on their way to a copy: the stream, repairs, restarts.
 *
 *     actor X ===== ordered link, cut and joined ===== receiver R
 *        \                                              /
 *         `--- item by item ---> holder H (HOLDER) ----'  repairs
 *
 * X is born, changes and ends rows, N times in all, each time with the next
 * seq.  R has a copy, from deltas or by repair, of X, or, while it cannot hear
 * X, of H.  What spin explores is every order in which all this can happen,
 * with at most FAULTS of these in between:
 *
 *     cut      the link is lost; each side sees what was sent before, up to
 *              some message, then the end; later the link is there again
 *     crash    the process of a replica is started again, R's perhaps in the
 *              middle of a message; rows stay, sessions begin; what the old
 *              process of X had sent may come late, behind the new one's hello
 *     restart  a node is started again: R has nothing; X is another actor
 *              (LIVES)
 *     nomem    R takes a part of a message for want of memory
 *     forget   the log of deaths of X does not reach back any more
 *
 * What must hold is named in `Properties` below.  Each name is also what the
 * runner prints when a fault is found by it.
 *
 * Data.  A row is its birth and its seq.  A copy is a number with four bits for
 * each birth: the row's seq, or 0.  `hist` has the rows of X at each version,
 * the truth that copies are measured by.  Sets of seqs are bits of a byte.
 *
 * Time.  There is none.  What waits for a timer (vectors, hellos, `lost`, and a
 * repair that is asked for again) happens when nothing else is under way: a
 * message takes less than an interval.
 *
 * Left out: windows in bytes (a channel holds CAP messages, and X has at most
 * two deltas on the way), busy links, stalls that give up, the limits of
 * HOLT_REPAIRS_MAX and HOLT_SERVES_MAX, fingerprints, what is shown and when,
 * more than 2^4 sessions.  R's own rows: each direction is a stream of its own,
 * and they share nothing but the session.  H hears X without a link of its own:
 * each of its steps is one item of a delta as of X's version then.
 *
 * Every inline says which function of c_src/core it follows.  Here are what all
 * have in common, the properties, and the world that is in their way; X, R and H
 * have files of their own, stream_*.pml. */

#ifndef FAULT
#define FAULT 0
#endif
#ifndef N
#define N 4 /* Changes of X, in all its lives. */
#endif
#ifndef LIVES
#define LIVES 1 /* Of X: one more than its node may be started again. */
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef DEATHS
#define DEATHS 1 /* That the log of X remembers: HOLT_DEATHS_MAX. */
#endif
#ifndef DROPS
#define DROPS 0 /* Messages of H that are lost though the link stands. */
#endif
#ifndef INTERVALS
#define INTERVALS 2 /* In which all is well again. */
#endif
#ifndef CAP
#define CAP 2
#endif
#define LOGS (LIVES * (N + 1))

/* Faults, as in mutant.h where the name is the same. */
#define SERVE_DIRTY (FAULT == 1)
#define STREAM_TORN (FAULT == 2)
#define OLD_SESSION (FAULT == 3)
#define ACK_EARLY (FAULT == 4)
#define LIVE_OFF (FAULT == 5)
#define UPDATE_LOST (FAULT == 6)
#define NOTES_BY_SEQ (FAULT == 7)
#define BASE_FORGOTTEN (FAULT == 8)
#define UNCLEAN (FAULT == 9)
#define PAST_KEPT (FAULT == 10)
#define NOT_SWEPT (FAULT == 11)
#define LOST_UNSAID (FAULT == 12)
#define GAP_UNSAID (FAULT == 13)
#define WHOLE_UNSAID (FAULT == 14)

mtype = { NONE, HELLO, DELTA, ACK, VECTOR, REQUEST, REPAIR, LOST,
          DOWN, GONE, UP };

#define START 1
#define GAP 2
#define DONE 4
#define REFUSED 8
#define LAST 16
#define DIRTY 32
#define TORN 64
#define WHOLE 128
#define NOBODY 15 /* No life of X. */

typedef message {
  mtype kind;
  byte to; /* Sessions: the header. */
  byte from;
  byte life; /* The actor. */
  byte token;
  byte session; /* Of the holder. */
  byte base;
  byte after;
  byte notes;
  byte flags;
  byte live_to;
  byte rows;   /* Seqs; up to live_to the live set. */
  byte deaths; /* Seqs of deaths, of which the message names the births. */
  byte upto;   /* `to`. */
  byte as_of;
};

/* Two more than CAP: ends and beginnings of links are always heard. */
chan x2r = [CAP + 2] of { message };
chan r2x = [CAP + 2] of { message };
message late; /* Of the old process of X. */
bit link;     /* There is one; both ends will know. */
byte faults = FAULTS;
#if DROPS
byte drops = DROPS;
#endif
byte sessions; /* Drawn so far. */
byte tokens;
byte serves;

#ifdef HOLDER
#define BEGUN true
#else
#define BEGUN (sessions > 0)
#endif
#define ROW(copy, birth) (((copy) >> (4 * (birth))) & 15)
#define SET(copy, birth, seq) \
  copy = ((copy) & ~(15 << (4 * (birth)))) | ((seq) << (4 * (birth)))
#define AT(life, seq) ((life) * (N + 1) + (seq))
#define HAS(set, seq) (((set) >> (seq)) & 1)
#define ADD(set, seq) set = (set) | (1 << (seq))

/* The actor: replica.c; its link with R: struct holt_peer. */
byte life;
byte version;
int live;           /* Its rows. */
int hist[LOGS];     /* And what they were at each version. */
byte birth_of[LOGS]; /* The birth of the row that took this seq, or 0. */
byte died_at[LOGS];  /* The birth of the row that died with this seq, or 0. */
byte log_base;      /* Deaths up to there are forgotten. */
byte log_count;
bit x_peer;
byte x_session;
byte x_remote;
bit x_up;
bit x_confirmed;
bit x_hello;
bit x_lost;
bit x_lost_due;
bit x_unclean;
byte x_cursor;
byte x_acked;
byte x_window; /* Marks, as a set. */
bit x_vector;

/* Who serves, 0 X, 1 H: struct holt_serve. */
typedef serve {
  bit on;
  byte token;
  byte session;
  byte base;
  byte cursor;
  byte reach;
  byte notes;      /* Seqs of deaths. */
  byte note_count;
  byte notes_to;
  byte begin;
  bit last;
  bit refusal;
  byte refused;
};
serve s[2];

/* R's copy: struct holt_actor; and its link with X: struct holt_peer. */
#ifdef HOLDER
byte c_life; /* R has met X before, when that had nothing. */
#else
byte c_life = NOBODY;
#endif
int copy;
byte confirmed; /* Births that are not stale. */
byte c_cursor;
byte c_version;
byte c_as_of;
bit c_dirty;
bit c_torn;
bit r_peer;
byte r_session;
byte r_remote;
byte r_actor = NOBODY;
bit r_up;
bit r_confirmed;
bit r_hello;
bit r_ack;
bit r_gap;
bit r_vector;
byte intervals; /* Since something happened. */

/* R's repair: struct holt_repair. */
bit p_on;
bit p_holder;
byte p_token;
byte p_base;
byte p_after;
byte p_notes;
byte p_as_of;
byte p_session;
bit p_begun;
bit p_whole;
bit p_due;
bit p_gap;
bit over_due; /* Of X: over_token. */
byte over_token;
bit h_over_due;
byte h_over_token;

#ifdef HOLDER
/* H's copy; and its link with R, on which only R's restarts void anything. */
chan h2r = [1] of { message };
chan r2h = [1] of { message };
int h_copy;
byte h_cursor;
byte h_version;
byte h_as_of;
bit h_dirty;
byte h_life = NOBODY;
#define H_VECTOR \
  (!p_on && !h_over_due && r_actor == NOBODY && c_life == h_life && \
   !h_dirty && H_QUIET && \
   (h_version > c_version || (c_dirty && h_version == c_version)))
#define H_QUIET (len(h2r) == 0 && len(r2h) == 0)
#define H_IDLE (H_QUIET && !H_VECTOR && !h_over_due && !s[1].refusal && \
                !H_SERVES && \
                !(h_life == life && r_actor == NOBODY && \
                  (h_cursor < version || h_dirty)))
#else
#define H_QUIET true
#define H_IDLE true
#endif

/* For one step; no part of the state. */
hidden message m;
hidden message out;
hidden byte i;
hidden byte j;
hidden byte n;
hidden byte items;
hidden byte last_row;
hidden byte w_birth;
hidden byte found;
hidden byte ok;
hidden byte more;
hidden byte place;

/* Choices made before a step. */
byte limit;
byte cut;

/*---------------------------------------------------------------------
 * Properties */

hidden byte clean_copy_is_the_version;
hidden byte cursor_tells_what_is_there;
hidden byte no_old_session;
hidden byte rest_is_in_sync;
hidden byte in_sync_before_long;
hidden byte acknowledged_is_there;
#define CHECK(name, condition) assert((condition) || name)

inline look()
{
  /* A copy that is clean is the actor at that version, and says so. */
  if
  :: c_life != NOBODY && !c_dirty ->
    CHECK(clean_copy_is_the_version,
          c_cursor == c_version && copy == hist[AT(c_life, c_version)])
  :: c_life != NOBODY && c_dirty && !c_torn ->
    /* In between, up to the cursor it is the actor as of as_of. */
    i = 1;
    do
    :: i > N -> break
    :: else ->
      n = ROW(hist[AT(c_life, c_as_of)], i);
      j = ROW(copy, i);
      CHECK(cursor_tells_what_is_there, n == 0 || n > c_cursor || j == n);
      if
      :: n == 0 && j != 0 ->
        more = false;
        n = c_cursor + 1;
        do
        :: n > N -> break
        :: n <= N && died_at[AT(c_life, n)] == i ->
          more = true;
          n++
        :: else -> n++
        od;
        CHECK(cursor_tells_what_is_there, more)
      :: else
      fi;
      i++
    od
  :: else
  fi;
  /* What X believes to have been acknowledged has been. */
  CHECK(acknowledged_is_there,
        !x_up || !r_up || x_remote != r_session || r_remote != x_session ||
        c_life != life || c_torn || x_acked <= c_cursor);
  i = 0; j = 0; n = 0
}

#define X_AT_REST \
  (x_up && x_confirmed && !x_lost && x_acked == version && !x_unclean)
#define R_AT_REST \
  (r_up && r_confirmed && c_life == life && !c_dirty && !c_torn && \
   c_version == version && !p_on)
#define IN_SYNC (X_AT_REST && R_AT_REST)
#ifdef HOLDER
/* Apart from X, R has what H has. */
#define CUT_SYNC \
  (c_life != h_life || h_dirty || \
   (!c_dirty && !c_torn && !p_on && c_version >= h_version))
#else
#define CUT_SYNC true
#endif
#define QUIET \
  (len(x2r) == 0 && len(r2x) == 0 && late.kind == NONE && \
   !x_hello && !r_hello && \
   !(r_up && r_ack) && !(p_on && p_due) && !over_due && \
   !(x_up && x_lost_due && !s[0].on) && \
   !x_vector && !r_vector && !X_STREAMS && !X_SERVES && !s[0].refusal && \
   H_IDLE)
#define X_STREAMS \
  (x_up && !x_lost && (x_cursor < version || x_unclean) && x_window == 0)
#define X_SERVES (x_up && s[0].on && !s[0].last)

/* serve.c: wants_piece(), of H: something to say, or the end of it. */
#define BEYOND(copy, cursor) \
  (ROW(copy, 1) > cursor || ROW(copy, 2) > cursor || ROW(copy, 3) > cursor || \
   ROW(copy, 4) > cursor || ROW(copy, 5) > cursor || ROW(copy, 6) > cursor)
#define H_SERVES \
  (s[1].on && !s[1].last && \
   (BEYOND(h_copy, s[1].cursor) || s[1].cursor < s[1].base || \
    s[1].notes_to < s[1].note_count || !h_dirty))

/*---------------------------------------------------------------------
 * What is sent */

inline clear(it)
{
  it.kind = NONE; it.to = 0; it.from = 0; it.life = 0; it.token = 0;
  it.session = 0; it.base = 0; it.after = 0; it.notes = 0; it.flags = 0;
  it.live_to = 0; it.rows = 0; it.deaths = 0; it.upto = 0; it.as_of = 0
}

/* What is sent while there is no link is lost. */
inline send_x(what)
{
  out.kind = what;
  out.to = x_remote;
  out.from = x_session;
  if
  :: link -> x2r ! out
  :: else
  fi;
  clear(out)
}

inline send_r(what)
{
  out.kind = what;
  out.to = r_remote;
  out.from = r_session;
  if
  :: link -> r2x ! out
  :: else
  fi;
  clear(out)
}

#include "stream_actor.pml"
#include "stream_receiver.pml"
#include "stream_holder.pml"

/*---------------------------------------------------------------------
 * The world */

/* Of what is on the way all but the first `limit` messages are lost, and then
 * the end is heard. */
inline shorten(c, end_kind)
{
  n = len(c);
  i = 0;
  do
  :: i == n -> break
  :: else ->
    c ? m;
    if
    :: i < limit -> c ! m
    :: else
    fi;
    i++
  od;
  clear(m);
  m.kind = end_kind;
  c ! m;
  clear(m);
  i = 0;
  n = 0
}

#define STEADY \
  (!(x2r ?? [DOWN]) && !(x2r ?? [UP]) && !(x2r ?? [GONE]) && \
   !(r2x ?? [DOWN]) && !(r2x ?? [UP]) && !(r2x ?? [GONE]))

inline drain(c)
{
  do
  :: len(c) > 0 -> c ? m
  :: len(c) == 0 -> break
  od;
  clear(m)
}

/* The holder's link with R is new, too. */
inline h_void()
{
#ifdef HOLDER
  drain(h2r);
  drain(r2h);
  serve_free(1);
  s[1].refusal = 0;
  s[1].refused = 0;
  h_over_due = 0;
  h_over_token = 0;
  if
  :: p_on && p_holder == 1 -> repair_free()
  :: else
  fi
#else
  skip
#endif
}

#define KEEP if :: limit = 0 :: limit = 1 :: limit = CAP fi

active proctype world()
{
end:
  do
  /* The link comes up, and both hear it. */
  :: d_step {
       !link && len(x2r) <= CAP && len(r2x) <= CAP ->
       link = 1;
       intervals = 0;
       m.kind = UP;
       x2r ! m;
       r2x ! m;
       clear(m)
     }
  /* It is lost. */
  :: atomic {
       faults > 0 && link && STEADY ->
       faults--; intervals = 0;
       KEEP;
       d_step { shorten(x2r, DOWN); limit = 0 };
       KEEP;
       d_step { shorten(r2x, DOWN); limit = 0; link = 0; clear(late) }
     }
  /* The process of R is started again, perhaps in the middle of a message. */
  :: atomic {
       faults > 0 && link && STEADY && r_peer ->
       faults--; intervals = 0;
       if
       :: x2r ? [DELTA] || x2r ? [REPAIR] ->
         select(cut : 0 .. N);
         d_step { x2r ? m; r_apply(); cut = 0 }
       :: true
       fi;
       KEEP;
       d_step {
         drain(x2r);
         clear(late);
         shorten(r2x, GONE);
         limit = 0;
         h_void();
         r_drop();
         repair_free();
         r_begin();
         look()
       }
     }
#ifndef HOLDER
  /* The process of X: what the old one has sent may come late. */
  :: atomic {
       faults > 0 && link && STEADY && x_peer ->
       faults--; intervals = 0;
       if
       :: x2r ? [DELTA] && late.kind == NONE ->
         d_step {
           x2r ? m;
           late.kind = m.kind; late.to = m.to; late.from = m.from;
           late.life = m.life; late.after = m.after; late.rows = m.rows;
           late.deaths = m.deaths; late.upto = m.upto; late.as_of = m.as_of;
           clear(m);
           limit = 0
         }
       :: KEEP
       fi;
       d_step { shorten(x2r, GONE); limit = 0; drain(r2x); x_drop(); x_begin() }
     }
#endif
#ifndef HOLDER
  /* The node of R: it has nothing. */
  :: atomic {
       faults > 0 && link && STEADY ->
       faults--; intervals = 0;
       KEEP;
       d_step {
         drain(x2r);
         shorten(r2x, DOWN);
         limit = 0;
         link = 0;
         clear(late);
         h_void();
         r_drop();
         copy_drop(NOBODY)
       }
     }
#endif
#if LIVES > 1
  /* The node of X: it is another actor. */
  :: atomic {
       faults > 0 && link && STEADY && life + 1 < LIVES ->
       faults--; intervals = 0;
       KEEP;
       d_step {
         shorten(x2r, DOWN);
         drain(r2x);
         limit = 0;
         link = 0;
         clear(late);
         x_drop();
         life++;
         version = 0;
         live = 0;
         log_base = 0;
         log_count = 0
       }
     }
#endif
#ifndef HOLDER
  /* The log of deaths does not reach back any more. */
  :: d_step {
       faults > 0 && log_base < version ->
       faults--; intervals = 0;
       log_base = version;
       log_count = 0
     }
#endif
#if DROPS
  :: d_step {
       drops > 0 && len(h2r) > 0 ->
       drops--;
       intervals = 0;
       h2r ? m;
       clear(m)
     }
#endif
  /* An interval is over.  Whatever has been lost is seen in so many. */
  :: d_step {
       QUIET && (link -> !IN_SYNC : !CUT_SYNC) ->
       intervals++;
       CHECK(in_sync_before_long, intervals <= INTERVALS);
       x_hello = x_hello || (x_peer && link && !x_confirmed);
       r_hello = r_hello || (r_peer && link && !r_confirmed);
       x_lost_due = x_up && x_lost && !s[0].on && !LOST_UNSAID;
       x_vector = x_up;
       r_vector = r_up;
       p_due = p_on;
       p_gap = p_on
     }
  /* Nothing is left to do: then all is well. */
  :: atomic {
       timeout -> CHECK(rest_is_in_sync, IN_SYNC && version == N);
       goto done
     }
  od;
done:
  skip
}
