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
 * Every inline says which function of c_src/core it follows. */

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

/*---------------------------------------------------------------------
 * The actor */

/* serve.c: holt__serve_death().  A row with this birth and seq has died, with
 * the seq `at`, at the holder h. */
inline note_death(h, born_at, seq, at)
{
  if
  :: s[h].on && (NOTES_BY_SEQ -> seq : born_at) <= s[h].reach ->
    ADD(s[h].notes, at);
    s[h].note_count++
  :: else
  fi
}

/* deaths.c: the log forgets the oldest. */
inline log_death()
{
  if
  :: log_count == DEATHS ->
    i = log_base + 1;
    do
    :: died_at[AT(life, i)] != 0 -> break
    :: else -> i++
    od;
    log_base = i
  :: else -> log_count++
  fi
}

/* replica.c: register, update, remove. */
inline born()
{
  version++;
  intervals = 0;
  birth_of[AT(life, version)] = version;
  SET(live, version, version);
  hist[AT(life, version)] = live
}

inline updated(born_at)
{
  version++;
  intervals = 0;
  birth_of[AT(life, version)] = born_at;
  SET(live, born_at, version);
  hist[AT(life, version)] = live
}

inline removed(born_at)
{
  version++;
  intervals = 0;
  died_at[AT(life, version)] = born_at;
  note_death(0, born_at, ROW(live, born_at), version);
  SET(live, born_at, 0);
  hist[AT(life, version)] = live;
  log_death();
  i = 0
}

/* serve.c: serve_free(). */
inline serve_free(h)
{
  s[h].on = 0; s[h].token = 0; s[h].session = 0; s[h].base = 0;
  s[h].cursor = 0; s[h].reach = 0; s[h].notes = 0; s[h].note_count = 0;
  s[h].notes_to = 0; s[h].begin = 0; s[h].last = 0
}

/* peer.c: holt__peer_rewind(). */
inline rewind(where)
{
  if
  :: (where) <= version && ((where) >= log_base || BASE_FORGOTTEN) ->
    x_lost = 0;
    x_lost_due = 0;
    x_cursor = where
  :: else ->
    x_lost_due = x_lost_due || !x_lost;
    x_lost = 1;
    x_cursor = 0
  fi;
  x_acked = x_cursor;
  x_window = 0
}

/* peer.c: session_begin(), on X's side. */
inline x_begin()
{
  sessions++;
  x_peer = 1;
  x_session = sessions;
  x_remote = 0;
  x_up = 0;
  x_confirmed = 0;
  x_hello = 1;
  x_vector = 0;
  s[0].refusal = 0;
  s[0].refused = 0;
  serve_free(0);
  x_lost = 0;
  x_unclean = 0;
  rewind(0)
}

/* peer.c: holt__peer_drop(). */
inline x_drop()
{
  x_peer = 0; x_session = 0; x_remote = 0; x_up = 0; x_confirmed = 0;
  x_hello = 0; x_lost = 0; x_lost_due = 0; x_unclean = 0; x_cursor = 0;
  x_acked = 0; x_window = 0; x_vector = 0;
  s[0].refusal = 0;
  s[0].refused = 0;
  serve_free(0)
}

/* peer.c: session_remote(). */
inline x_take_hello()
{
  if
  :: !x_peer -> x_begin()
  :: else
  fi;
  if
  :: !x_up || x_remote != m.from ->
    x_remote = m.from;
    x_up = 1;
    serve_free(0);
    x_lost = 0;
    place = (m.life == life -> m.after : 0);
    rewind(place);
    place = 0;
    if
    :: m.life == life && (m.flags & TORN) ->
      x_lost = 1;
      x_lost_due = 1
    :: else
    fi;
    x_unclean = m.life == life && (m.flags & DIRTY) && !x_lost &&
                x_cursor == version
  :: else
  fi;
  x_confirmed = m.to == x_session;
  x_hello = x_hello || !x_confirmed
}

/* sync.c: apply_ack(). */
inline x_take_ack()
{
  if
  :: m.life != life || m.after > version -> skip /* refused */
  :: m.life == life && m.after <= version ->
    if
    :: x_lost && !(m.flags & GAP) -> skip
    :: else ->
      if
      :: x_lost || m.after > x_cursor ||
         ((m.flags & GAP) && m.after < x_cursor) ->
        serve_free(0);
        rewind(m.after)
      :: else ->
        if
        :: m.after >= x_acked ->
          x_acked = m.after;
          x_window = (x_window >> (m.after + 1)) << (m.after + 1)
        :: else
        fi
      fi;
      x_unclean = !UNCLEAN && (m.flags & DIRTY) && x_window == 0 &&
                  m.after == version
    fi
  fi
}

/* serve.c: serve_begin(); of the copy with these cursor, version and dirt. */
inline serve_begin(h, known, h_ver, h_dirt)
{
  if
  :: !(m.flags & START) || !(known) || ((h_dirt) && !SERVE_DIRTY) ||
     m.base > (h_ver) ->
    s[h].refusal = 1;
    s[h].refused = m.token
  :: else ->
    serves++;
    s[h].on = 1;
    s[h].token = m.token;
    s[h].session = serves;
    s[h].base = m.base;
    s[h].begin = (m.after == m.base && m.base == (h_ver) -> m.base : 0);
    s[h].cursor = s[h].begin;
    s[h].reach = s[h].begin;
    if
    :: h == 0 && !STREAM_TORN ->
      x_lost = 1;
      x_lost_due = 0;
      x_window = 0
    :: else
    fi
  fi
}

/* serve.c: holt__serve_request(). */
inline serve_request(h, known, h_ver, h_dirt)
{
  ok = true;
  if
  :: s[h].on && s[h].token != m.token ->
    if
    :: m.flags & START -> serve_free(h)
    :: else -> ok = false
    fi
  :: else
  fi;
  if
  :: !ok -> skip
  :: ok && (m.flags & DONE) ->
    if
    :: s[h].on -> serve_free(h)
    :: else
    fi
  :: ok && !(m.flags & DONE) && !s[h].on -> serve_begin(h, known, h_ver, h_dirt)
  :: else ->
    /* serve_rewind() */
    i = (m.flags & START -> s[h].begin : m.after);
    n = (m.flags & START -> 0 : m.notes);
    if
    :: i <= s[h].reach && n <= s[h].note_count ->
      s[h].cursor = i;
      s[h].notes_to = n;
      s[h].last = 0
    :: else
    fi;
    i = 0;
    n = 0
  fi
}

/* serve.c: encode_piece(), of these rows; the piece is in `out`. */
inline encode_piece(h, held, whose, h_ver, h_cur, h_asof, h_dirt)
{
  out.life = whose;
  out.token = s[h].token;
  out.session = s[h].session;
  out.base = s[h].base;
  out.after = s[h].cursor;
  out.notes = s[h].notes_to;
  out.flags = (s[h].begin > 0 -> WHOLE : 0);
  items = 0;
  /* encode_live(): all of it, or up to the row behind the first. */
  if
  :: s[h].cursor < s[h].base ->
    i = s[h].cursor + 1;
    more = true;
    do
    :: i > s[h].base || !more -> break
    :: else ->
      w_birth = birth_of[AT(whose, i)];
      if
      :: w_birth != 0 && ROW(held, w_birth) == i && items == limit ->
        more = false
      :: w_birth != 0 && ROW(held, w_birth) == i && items < limit ->
        if
        :: LIVE_OFF && i == s[h].base -> skip
        :: else -> ADD(out.rows, i)
        fi;
        items++;
        i++
      :: else -> i++
      fi
    od;
    s[h].cursor = i - 1;
    out.live_to = s[h].cursor
  :: else -> out.live_to = out.after
  fi;
  /* encode_notes(): all that have not been told. */
  n = 0;
  i = 1;
  do
  :: i > N -> break
  :: else ->
    if
    :: HAS(s[h].notes, i) ->
      n++;
      if
      :: n > s[h].notes_to -> ADD(out.deaths, i)
      :: else
      fi
    :: else
    fi;
    i++
  od;
  s[h].notes_to = s[h].note_count;
  /* encode_rows() */
  more = s[h].cursor < s[h].base;
  if
  :: s[h].cursor >= s[h].base ->
    items = 0;
    i = s[h].cursor + 1;
    do
    :: i > N || more -> break
    :: else ->
      w_birth = birth_of[AT(whose, i)];
      if
      :: w_birth != 0 && ROW(held, w_birth) == i && items == limit ->
        more = true
      :: w_birth != 0 && ROW(held, w_birth) == i && items < limit ->
        ADD(out.rows, i);
        s[h].cursor = i;
        items++;
        i++
      :: else -> i++
      fi
    od
  :: else
  fi;
  /* at_end() */
  s[h].last = !more && (!(h_dirt) || SERVE_DIRTY) &&
              s[h].cursor >= s[h].base;
  out.as_of = ((h_ver) > (h_cur) -> (h_ver) : (h_cur));
  out.as_of = ((h_asof) > out.as_of -> (h_asof) : out.as_of);
  if
  :: s[h].last ->
    s[h].cursor = ((h_dirt) -> out.as_of : (h_ver));
    out.as_of = s[h].cursor;
    out.flags = out.flags | LAST
  :: else
  fi;
  out.upto = s[h].cursor;
  s[h].reach = (s[h].cursor > s[h].reach -> s[h].cursor : s[h].reach);
  i = 0; n = 0; items = 0; w_birth = 0; more = 0
}

inline send_refusal(h)
{
  s[h].refusal = 0;
  out.life = (h == 0 -> life : c_life);
  out.token = s[h].refused;
  s[h].refused = 0;
  out.flags = REFUSED
}

/* stream.c: encode_range() and delta_sent(). */
inline send_delta()
{
  out.life = life;
  out.after = x_cursor;
  items = 0;
  more = false;
  last_row = x_cursor;
  i = x_cursor + 1;
  do
  :: i > version || more -> break
  :: else ->
    w_birth = birth_of[AT(life, i)];
    ok = (w_birth != 0 && ROW(live, w_birth) == i);
    found = died_at[AT(life, i)] != 0 && i > log_base;
    if
    :: (ok || found) && items == limit -> more = true
    :: ok && items < limit ->
      if
      :: !UPDATE_LOST || w_birth == i || w_birth <= x_cursor ->
        ADD(out.rows, i)
      :: else
      fi;
      last_row = i;
      items++;
      i++
    :: !ok && found && items < limit ->
      if
      :: died_at[AT(life, i)] <= x_cursor -> ADD(out.deaths, i)
      :: else
      fi;
      last_row = i;
      items++;
      i++
    :: else -> i++
    fi
  od;
  out.upto = (more -> last_row : version);
  out.as_of = version;
  x_cursor = out.upto;
  x_unclean = x_unclean && more;
  ADD(x_window, out.upto);
  i = 0; items = 0; w_birth = 0; last_row = 0; more = 0; ok = 0; found = 0
}

/* Messages of the session that we are in: sync.c, peer_of(). */
inline x_apply()
{
  if
  :: m.kind == UP -> x_begin()
  :: m.kind == DOWN -> x_drop()
  :: m.kind == GONE -> x_up = 0 /* holt_replica_peer_down(REPLICA) */
  :: m.kind == HELLO -> x_take_hello()
  :: else ->
    if
    :: x_up && m.to == x_session && m.from == x_remote ->
      x_confirmed = 1;
      if
      :: m.kind == ACK -> x_take_ack()
      :: m.kind == REQUEST ->
        if
        :: m.life == life -> serve_request(0, true, version, false)
        :: else
        fi
      :: else
      fi
    :: else
    fi
  fi;
  intervals = (IN_SYNC -> 0 : intervals);
  clear(m)
}

active proctype actor()
{
end:
  do
  :: d_step { version < N && BEGUN -> born(); look() }
  :: atomic {
       version < N && live != 0 ->
      if
      :: ROW(live, 1) != 0 -> cut = 1
      :: ROW(live, 2) != 0 -> cut = 2
#if N > 3
      :: ROW(live, 3) != 0 -> cut = 3
#endif
#if N > 4
      :: ROW(live, 4) != 0 -> cut = 4
#endif
      :: else -> cut = 0
      fi;
      if
      :: cut != 0 -> d_step { updated(cut); cut = 0 }
      :: cut != 0 -> d_step { removed(cut); cut = 0 }
      :: cut == 0
      fi
    }
  :: d_step { len(r2x) > 0 -> r2x ? m; x_apply() }
  /* stream.c: serve(), in its order. */
  :: atomic {
       x_peer && x_hello && (len(x2r) < CAP || !link) ->
       d_step {
         x_hello = 0;
         out.life = life;
         out.upto = version;
         send_x(HELLO)
       }
     }
  :: atomic {
       x_up && !x_hello && len(x2r) < CAP && x_lost_due && !s[0].on ->
       d_step {
         x_lost_due = 0;
         out.life = life;
         out.base = log_base;
         send_x(LOST)
       }
     }
  :: atomic {
       x_up && !x_hello && x_vector && len(x2r) < CAP ->
       d_step {
         x_vector = 0;
         out.life = life;
         out.upto = version;
         out.after = (x_lost -> 0 : x_cursor);
         send_x(VECTOR)
       }
     }
  :: atomic {
       x_up && !x_hello && len(x2r) < CAP && X_SERVES ->
       if
       :: limit = 1
       :: limit = N
       fi;
       d_step {
         encode_piece(0, live, life, version, version, version, false);
         send_x(REPAIR);
         limit = 0
       }
     }
  :: atomic {
       x_up && !x_hello && len(x2r) < CAP && s[0].refusal ->
       d_step { send_refusal(0); send_x(REPAIR) }
     }
  :: atomic {
       x_up && !x_hello && len(x2r) < CAP && !x_lost &&
       (x_cursor < version || x_unclean) &&
       (x_window == 0 || (x_window & (x_window - 1)) == 0) ->
       if
       :: x_cursor < log_base && !BASE_FORGOTTEN -> rewind(x_cursor)
       :: else ->
         if
         :: limit = 1
         :: limit = N
         fi;
         d_step { send_delta(); send_x(DELTA); limit = 0 }
       fi
     }
  od
}

/*---------------------------------------------------------------------
 * The receiver */

inline repair_free()
{
  p_on = 0; p_holder = 0; p_token = 0; p_base = 0; p_after = 0; p_notes = 0;
  p_as_of = 0; p_session = 0; p_begun = 0; p_whole = 0; p_due = 0; p_gap = 0
}

/* repair.c: holt__repair_ask(). */
inline repair_ask(holder, v)
{
  if
  :: p_on || (r_actor == c_life && r_actor != NOBODY && holder == 1) -> skip
  :: else ->
    tokens++;
    p_on = 1;
    p_holder = holder;
    p_token = tokens;
    p_base = (((v) >= c_as_of && (v) >= c_version) -> c_version : 0);
    p_due = 1
  fi
}

/* The copy of an actor that is not known, or has ended: actors.c. */
inline copy_drop(id)
{
  c_life = id;
  copy = 0; confirmed = 0; c_cursor = 0; c_version = 0; c_as_of = 0;
  c_dirty = 0; c_torn = 0;
  repair_free()
}

/* peer.c: session_begin(), on R's side; the actor behind it stays. */
inline r_begin()
{
  sessions++;
  r_peer = 1;
  r_session = sessions;
  r_vector = 0;
  r_remote = 0;
  r_up = 0;
  r_confirmed = 0;
  r_hello = 1;
  r_ack = 0;
  over_due = 0;
  over_token = 0;
  if
  :: p_on && p_holder == 0 -> repair_free()
  :: else
  fi
}

inline r_drop()
{
  r_peer = 0; r_session = 0; r_remote = 0; r_up = 0; r_confirmed = 0;
  r_hello = 0; r_ack = 0; r_gap = 0; r_vector = 0; r_actor = NOBODY;
  over_due = 0;
  over_token = 0;
  if
  :: p_on && p_holder == 0 -> repair_free()
  :: else
  fi
}

/* peer.c: hello_accept(). */
inline r_take_hello()
{
  if
  :: !r_peer -> r_begin()
  :: else
  fi;
  if
  :: c_life != NOBODY && m.life < c_life -> skip /* stale: it has ended */
  :: else ->
    /* supersede(), and an actor that is not known */
    if
    :: c_life != m.life && !(PAST_KEPT && c_life != NOBODY) ->
      copy_drop(m.life)
    :: c_life != m.life && PAST_KEPT && c_life != NOBODY -> c_life = m.life
    :: else
    fi;
    ok = (!r_up || r_remote != m.from);
    /* session_remote() */
    if
    :: ok ->
      r_remote = m.from;
      r_up = 1;
      r_ack = 0;
      c_as_of = (c_as_of > m.upto -> m.upto : c_as_of);
      if
      :: p_on && p_holder == 0 -> repair_free()
      :: else
      fi
    :: else
    fi;
    r_confirmed = m.to == r_session;
    r_hello = r_hello || !r_confirmed;
    /* actor_connected() */
    if
    :: ok && m.upto < c_cursor ->
      c_torn = 1;
      c_dirty = 1;
      c_version = 0;
      c_as_of = 0
    :: else
    fi;
    if
    :: r_actor != m.life && p_on && p_holder == 1 -> repair_free()
    :: else
    fi;
    r_actor = m.life;
    if
    :: c_torn -> repair_ask(0, m.upto)
    :: else
    fi;
    ok = 0
  fi
}

inline report_gap()
{
  r_ack = 1;
  r_gap = !GAP_UNSAID
}

/* sync.c: item_take() for the rows and deaths of m, by seq, from `from` to
 * `upto`; *last_row becomes the seq of the last row. */
inline items_take(bottom, top)
{
  i = (bottom) + 1;
  do
  :: i > (top) || i > N -> break
  :: else ->
    if
    :: HAS(m.rows, i) ->
      SET(copy, birth_of[AT(m.life, i)], i);
      ADD(confirmed, birth_of[AT(m.life, i)]);
      last_row = i
    :: else
    fi;
    if
    :: HAS(m.deaths, i) ->
      SET(copy, died_at[AT(m.life, i)], 0);
      confirmed = confirmed & ~(1 << died_at[AT(m.life, i)])
    :: else
    fi;
    i++
  od;
  i = 0
}

/* sync.c: apply_delta().  `cut` is where memory or the process ended, or
 * NOBODY. */
inline r_take_delta()
{
  if
  :: m.life != c_life || m.life != r_actor -> skip /* stale */
  :: m.life == c_life && m.life == r_actor && c_torn && !STREAM_TORN ->
    repair_ask(0, m.as_of)
  :: m.life == c_life && m.life == r_actor && (!c_torn || STREAM_TORN) &&
     (m.as_of < c_as_of || m.after < c_cursor) ->
    if
    :: m.upto > c_cursor -> report_gap()
    :: else -> r_ack = 1
    fi
  :: m.life == c_life && m.life == r_actor && (!c_torn || STREAM_TORN) &&
     m.as_of >= c_as_of && m.after > c_cursor ->
    report_gap()
  :: else ->
    CHECK(no_old_session, m.to == r_session && m.from == r_remote);
    c_as_of = m.as_of;
    c_dirty = 1;
    last_row = c_cursor;
    if
    :: ACK_EARLY ->
      c_cursor = m.upto;
      r_ack = 1
    :: else
    fi;
    items_take(m.after, cut);
    if
    :: cut == NOBODY ->
      c_cursor = m.upto;
      if
      :: m.upto == m.as_of ->
        c_version = m.upto;
        c_dirty = 0
      :: else
      fi;
      r_ack = 1
    :: else ->
      c_cursor = (ACK_EARLY -> c_cursor : last_row);
      report_gap()
    fi;
    last_row = 0
  fi
}

/* sync.c: apply_lost(). */
inline r_take_lost()
{
  if
  :: m.life != c_life || m.life != r_actor -> skip
  :: m.life == c_life && m.life == r_actor && !c_torn && c_cursor >= m.base ->
    r_ack = 1;
    r_gap = 1
  :: else -> repair_ask(0, N)
  fi
}

/* vector.c: own_item(); every vector is answered. */
inline r_take_vector()
{
  r_ack = 1;
  if
  :: m.life != c_life -> skip
  :: m.life == c_life && c_torn -> repair_ask(0, m.upto)
  :: m.life == c_life && !c_torn && m.after > c_cursor -> report_gap()
  :: else
  fi
}

/* repair.c: adopt(). */
inline adopt()
{
  c_version = m.upto;
  c_cursor = m.upto;
  c_as_of = m.upto;
  c_dirty = 0;
  c_torn = 0;
  if
  :: p_holder == 0 ->
    r_ack = 1;
    r_gap = 1
  :: else ->
    h_over_due = 1;
    h_over_token = p_token
  fi;
  repair_free()
}

/* repair.c: first_piece(). */
inline first_piece()
{
  if
  :: p_base > c_version || (p_base > 0 && m.as_of < c_as_of) ->
    repair_free();
    ok = false
  :: else ->
    p_after = (p_whole -> p_base : p_after);
    p_begun = 1;
    p_session = m.session;
    c_torn = 1;
    c_dirty = 1;
    c_version = p_base;
    c_cursor = p_base;
    confirmed = (p_whole -> confirmed : 0)
  fi
}

/* repair.c: piece_begin(); ok: take it. */
inline piece_begin()
{
  ok = true;
  if
  :: p_begun && m.session != p_session ->
    ok = false;
    if
    :: m.session > p_session -> repair_free()
    :: else
    fi
  :: else
  fi;
  if
  :: ok && !p_begun ->
    p_whole = (((m.flags & WHOLE) || WHOLE_UNSAID) && m.after == p_base &&
               p_base > 0 && !c_dirty &&
               c_version == p_base)
  :: else
  fi;
  if
  :: ok ->
    place = (p_whole && !p_begun -> p_base : p_after);
    if
    :: m.after != place || m.notes != p_notes ->
      ok = false;
      if
      :: m.after + m.notes < p_after + p_notes -> skip
      :: else ->
        p_due = 1;
        p_gap = 1
      fi
    :: m.after == place && m.notes == p_notes && m.as_of < p_as_of -> ok = false
    :: else
    fi;
    place = 0
  :: else
  fi;
  if
  :: ok && !p_begun -> first_piece()
  :: else
  fi
}

/* repair.c: take_live(): confirm what lives. */
inline take_live()
{
  i = 1;
  do
  :: i > N -> break
  :: else ->
    n = ROW(copy, i);
    if
    :: n > p_after && n <= m.live_to && HAS(m.rows, n) -> ADD(confirmed, i)
    :: else
    fi;
    i++
  od;
  p_after = m.live_to;
  m.rows = (m.rows >> (m.live_to + 1)) << (m.live_to + 1);
  i = 0;
  n = 0
}

inline sweep()
{
  i = 1;
  do
  :: i > N -> break
  :: else ->
    if
    :: !HAS(confirmed, i) -> SET(copy, i, 0)
    :: else
    fi;
    i++
  od;
  i = 0
}

/* repair.c: holt__repair_apply(). */
inline r_take_piece(h)
{
  if
  :: !p_on || p_holder != h || p_token != m.token ->
    if
    :: m.flags & REFUSED -> skip
    :: else ->
      if
      :: h == 0 ->
        over_due = 1;
        over_token = m.token
      :: else ->
        h_over_due = 1;
        h_over_token = m.token
      fi
    fi
  :: else ->
    if
    :: m.flags & REFUSED -> repair_free()
    :: else ->
      piece_begin();
      if
      :: ok ->
        p_as_of = m.as_of;
        c_as_of = (m.as_of > c_as_of -> m.as_of : c_as_of);
        if
        :: m.live_to > p_after -> take_live()
        :: else
        fi;
        last_row = p_after;
        i = 1;
        do
        :: i > N -> break
        :: else ->
          p_notes = p_notes + HAS(m.deaths, i);
          i++
        od;
        items_take(0, cut);
        if
        :: cut != NOBODY ->
          p_after = last_row;
          p_due = 1;
          p_gap = 1
        :: else ->
          p_after = m.upto;
          if
          :: m.flags & LAST ->
            if
            :: !p_whole && !NOT_SWEPT -> sweep()
            :: else
            fi;
            adopt()
          :: else
          fi
        fi;
        last_row = 0
      :: else
      fi;
      ok = 0
    fi
  fi
}

inline r_apply()
{
  if
  :: m.kind == UP -> r_begin()
  :: m.kind == DOWN -> r_drop()
  :: m.kind == GONE -> r_up = 0
  :: m.kind == HELLO -> r_take_hello()
  :: else ->
    if
    :: r_up && ((m.to == r_session && m.from == r_remote) || OLD_SESSION) ->
      r_confirmed = 1;
      if
      :: m.kind == DELTA -> r_take_delta()
      :: m.kind == REPAIR -> r_take_piece(0)
      :: m.kind == VECTOR -> r_take_vector()
      :: m.kind == LOST -> r_take_lost()
      :: else
      fi
    :: else
    fi
  fi;
  clear(m)
}

/* repair.c: holt__repair_send(). */
inline request()
{
  out.life = c_life;
  out.token = p_token;
  out.base = p_base;
  out.after = (!p_begun && p_base > 0 && !c_dirty && c_version == p_base ->
                 p_base : p_after);
  out.notes = p_notes;
  out.flags = (p_begun -> 0 : START) | (p_gap -> GAP : 0);
  p_due = 0;
  p_gap = 0
}

inline tokens_again()
{
  /* Nothing is under way that could be told apart by them. */
  if
  :: !p_on && !s[0].on && !s[1].on && len(x2r) == 0 && len(r2x) == 0 &&
     H_QUIET &&
     !over_due && !h_over_due && !s[0].refusal && !s[1].refusal &&
     late.kind == NONE ->
    tokens = 0;
    serves = 0
  :: else
  fi
}

active proctype receiver()
{
end:
  do
  :: d_step {
       len(x2r) > 0 -> x2r ? m; cut = NOBODY; r_apply(); cut = 0; look();
       tokens_again()
     }
  :: d_step {
       late.kind != NONE ->
       m.kind = late.kind; m.to = late.to; m.from = late.from;
       m.life = late.life; m.after = late.after; m.rows = late.rows;
       m.deaths = late.deaths; m.upto = late.upto; m.as_of = late.as_of;
       clear(late);
       cut = NOBODY; r_apply(); cut = 0; look(); tokens_again()
     }
  /* A part of a message, for want of memory. */
  :: atomic {
       faults > 0 && (x2r ? [DELTA] || x2r ? [REPAIR]) ->
       select(cut : 0 .. N);
       d_step {
         faults--; intervals = 0;
         x2r ? m; r_apply(); cut = 0; look(); tokens_again()
       }
     }
  :: atomic {
       r_peer && r_hello && (len(r2x) < CAP || !link) ->
       d_step {
         r_hello = 0;
         out.life = c_life;
         out.after = c_cursor;
         out.flags = (c_torn -> TORN : 0) | (c_dirty -> DIRTY : 0);
         send_r(HELLO)
       }
     }
  :: atomic {
       r_up && !r_hello && r_ack && len(r2x) < CAP ->
       d_step {
         out.life = r_actor;
         out.after = c_cursor;
         out.flags = (r_gap -> GAP : 0) | (c_dirty -> DIRTY : 0);
         r_ack = 0;
         r_gap = 0;
         send_r(ACK)
       }
     }
  :: atomic {
       r_up && !r_hello && !r_ack && over_due && len(r2x) < CAP ->
       d_step {
         over_due = 0;
         out.life = r_actor;
         out.token = over_token;
         out.flags = DONE;
         over_token = 0;
         send_r(REQUEST);
         tokens_again()
       }
     }
  :: atomic {
       r_up && !r_hello && !r_ack && p_on && p_holder == 0 && p_due &&
       len(r2x) < CAP ->
       d_step { request(); send_r(REQUEST) }
     }
  :: atomic {
       r_up && !r_hello && !r_ack && r_vector && len(r2x) < CAP ->
       d_step { r_vector = 0; send_r(VECTOR) }
     }
#ifdef HOLDER
  :: d_step {
       len(h2r) > 0 -> h2r ? m; cut = NOBODY;
       if
       :: m.life == c_life -> r_take_piece(1)
       :: else
       fi;
       clear(m); cut = 0; look(); tokens_again()
     }
  :: atomic {
       h_over_due && len(r2h) < 1 ->
       d_step {
         h_over_due = 0;
         out.kind = REQUEST;
         out.life = c_life;
         out.token = h_over_token;
         out.flags = DONE;
         h_over_token = 0;
         r2h ! out;
         clear(out)
       }
     }
  :: atomic {
       p_on && p_holder == 1 && p_due && len(r2h) < 1 ->
       d_step { request(); out.kind = REQUEST; r2h ! out; clear(out) }
     }
  /* vector.c: apply_item(), of a vector of H. */
  :: d_step { H_VECTOR -> repair_ask(1, h_version) }
#endif
  od
}

/*---------------------------------------------------------------------
 * The holder */

#ifdef HOLDER
/* One item of a delta of X, as it is encoded now; or its end. */
inline h_step()
{
  h_dirty = 1;
  h_as_of = version;
  more = true;
  i = h_cursor + 1;
  do
  :: i > version || !more -> break
  :: else ->
    w_birth = birth_of[AT(life, i)];
    if
    :: w_birth != 0 && ROW(live, w_birth) == i ->
      SET(h_copy, w_birth, i);
      h_cursor = i;
      more = false
    :: died_at[AT(life, i)] != 0 ->
      w_birth = died_at[AT(life, i)];
      if
      :: ROW(h_copy, w_birth) != 0 ->
        note_death(1, w_birth, ROW(h_copy, w_birth), i);
        SET(h_copy, w_birth, 0)
      :: else
      fi;
      h_cursor = i;
      more = false
    :: else -> i++
    fi
  od;
  if
  :: more ->
    h_cursor = version;
    h_version = version;
    h_dirty = 0
  :: else
  fi;
  i = 0; w_birth = 0; more = 0
}

active proctype holder()
{
end:
  do
  :: d_step {
       h_life == life && r_actor == NOBODY &&
       (h_cursor < version || h_dirty) ->
       h_step()
     }
  :: d_step {
       h_life != life ->
       /* It has met the new one: the old copy ends. */
       h_life = life; h_copy = 0; h_cursor = 0; h_version = 0; h_as_of = 0;
       h_dirty = 0;
       serve_free(1)
     }
  :: d_step {
       len(r2h) > 0 -> r2h ? m;
       serve_request(1, m.life == h_life, h_version, h_dirty);
       clear(m)
     }
  :: atomic {
       H_SERVES && len(h2r) < 1 ->
       if
       :: limit = 1
       :: limit = N
       fi;
       d_step {
         encode_piece(1, h_copy, h_life, h_version, h_cursor, h_as_of, h_dirty);
         out.kind = REPAIR;
         h2r ! out;
         clear(out);
         limit = 0
       }
     }
  :: atomic {
       s[1].refusal && len(h2r) < 1 ->
       d_step { send_refusal(1); out.kind = REPAIR; h2r ! out; clear(out) }
     }
  od
}
#endif

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
