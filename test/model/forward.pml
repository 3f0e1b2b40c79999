/* SPDX-License-Identifier: Apache-2.0 */
/* X is deaf to A, or A to X: P passes on what X streams to it.
 *
 *     X ----------- P ----------- A ----------- B
 *      \___________________________/
 *
 * P has deltas of X, keeps the newest, and forwards them to A, behind a repair
 * (forward.c); A follows while it has no link with X (follow.c).  B would like
 * to have from A what A has.  What spin explores is every order of deltas, of
 * any length, and messages, with at most TROUBLES of these:
 *
 *     cut, join   the link of X with P, of X with A, of P with A
 *     jump        P's copy comes forward by a repair, not by deltas
 *     leave       A does not follow any more: P's vouch has lapsed
 *
 * A change is one of N; a delta is the changes in (after, to], and a copy the
 * set of those that are in.  So rows, deaths and dirty copies are left out, and
 * a repair is one piece, the last: stream.pml has them.  Who vouches is
 * presence.pml's.  X's own deltas, to P and to A, are taken in the same step in
 * which they are sent.  The window is WINDOW deltas.  Vectors and `lost` come
 * again when nothing else is under way. */

#ifndef FAULT
#define FAULT 0
#endif
#ifndef N
#define N 4
#endif
#ifndef TROUBLES
#define TROUBLES 2
#endif
#define WINDOW 2
#define CAP 2
#define INTERVALS 3

/* Faults, as in mutant.h where the name is the same. */
#define FORWARD_AGAIN (FAULT == 1)
#define FORWARD_JUMP (FAULT == 2)
#define FOLLOW_KEPT (FAULT == 3)
#define GAP_TAKEN (FAULT == 4)
#define TWICE_TAKEN (FAULT == 5)
#define BOUND_UNTOLD (FAULT == 6)

mtype = { NOT, REPAIRED, WAITED, LIVE, IS_LOST,
          DELTA, PIECE, LOST, REFUSED, ACK, REQUEST, OVER };

chan p2a = [CAP] of { mtype, byte, byte }; /* after, to; token, to; base */
chan a2p = [CAP] of { mtype, byte, byte }; /* cursor, flags; token, base */
#define GAP 1
#define STOP 2
#define NOWHERE 15

byte troubles = TROUBLES;
byte intervals;
byte version; /* X */
bit xp = 1;   /* Links. */
bit xa;
bit pa = 1;

/* P: its copy, what it serves to A, and struct holt_follower, holt_relay. */
byte p_version;
bit serving;
bit serve_token;
bit refusal;
bit refused;
mtype state = NOT;
byte cursor;
byte acked;
byte lost_base;
bit lost_due;
byte last_to;            /* Of the relay. */
byte count;          /* Of what it keeps. */
byte from[WINDOW + 1];
byte upto[WINDOW + 1];
byte at;             /* The first beyond the cursor; count: none yet. */

/* A. */
byte a_cursor;
byte a_have;         /* Changes that are in. */
bit follow;
bit repair;
bit token;
bit request_due;
byte stop_due;
bit ack_due;
bit ack_gap;
bit over_due;
bit over_token;
bit avoid;           /* P has refused: not before an interval is over. */
bit b_follows;       /* B follows X through A. */

hidden byte i;
hidden byte body;
hidden byte x1;
hidden byte x2;
hidden byte least;
hidden byte ok;
byte to;
mtype kind = NOT;

/*---------------------------------------------------------------------
 * Properties */

hidden byte no_change_is_missing;
hidden byte no_change_comes_twice;
hidden byte what_is_kept_has_no_gap;
hidden byte one_stream_at_a_time;
hidden byte forwarded_is_not_forwarded;
hidden byte in_sync_before_long;
#define CHECK(name, condition) assert((condition) || name)
#define UPTO(version) ((2 << (version)) - 2)

inline look()
{
  CHECK(no_change_is_missing, a_have == UPTO(a_cursor));
  /* Who is live is sent all that comes, to the end. */
  i = 0;
  do
  :: i >= count -> break
  :: else ->
    CHECK(what_is_kept_has_no_gap,
          upto[i] == (i + 1 < count -> from[i + 1] : last_to));
    i++
  od;
  CHECK(what_is_kept_has_no_gap,
        state != LIVE || cursor == (at < count -> from[at] : last_to));
  i = 0
}

#define DUE \
  (serving && state != WAITED || refusal || state == LIVE && at < count || \
   pa && (request_due || stop_due || ack_due || over_due) || \
   state == IS_LOST && lost_due)
#define STREAMS (xp && p_version < version || xa && a_cursor < version)
#define CAN_FOLLOW (!xa && !follow && !repair && pa && xp && !avoid)
#define QUIET \
  (len(p2a) == 0 && len(a2p) == 0 && !DUE && !STREAMS && !CAN_FOLLOW)
/* All that A can have. */
#define IN_SYNC (a_cursor == version || !xa && (!pa || !xp))

/*---------------------------------------------------------------------
 * P: forward.c */

#define KEEPS (state == WAITED || state == LIVE)

/* follower_set() */
inline set(what)
{
  state = what;
  at = count
}

/* relay_drop() */
inline relay_drop()
{
  i = 0;
  do
  :: i + 1 >= count -> break
  :: else ->
    from[i] = from[i + 1];
    upto[i] = upto[i + 1];
    i++
  od;
  count--;
  from[count] = 0;
  upto[count] = 0;
  at = (at > 0 -> at - 1 : 0);
  i = 0
}

/* relay_trim() */
inline relay_trim()
{
  least = (KEEPS -> acked : NOWHERE);
  do
  :: count > 0 && upto[0] <= least -> relay_drop()
  :: else -> break
  od;
  least = 0
}

inline follower_lost()
{
  set(IS_LOST);
  lost_base = NOWHERE;
  lost_due = 1
}

inline follower_delete()
{
  state = NOT;
  cursor = 0; acked = 0; lost_base = 0; lost_due = 0; at = 0; last_to = 0;
  do
  :: count > 0 -> count--; from[count] = 0; upto[count] = 0
  :: else -> break
  od;
  i = 0
}

inline serve_free()
{
  serving = 0;
  serve_token = 0;
  if
  :: state == REPAIRED || state == WAITED -> follower_delete()
  :: else
  fi
}

inline relay_jump()
{
  if
  :: KEEPS -> follower_lost()
  :: else
  fi;
  relay_trim()
}

/* holt__forward_delta(), of (after, to]. */
inline forward_delta(after)
{
  if
  :: state == NOT -> skip
  :: else ->
    if
    :: after != last_to && !FORWARD_JUMP -> relay_jump()
    :: else ->
      if
      :: KEEPS ->
        from[count] = after;
        upto[count] = to;
        count++;
        if
        :: count > WINDOW ->
          if
          :: at == 0 && !BOUND_UNTOLD -> follower_lost()
          :: else
          fi;
          relay_drop()
        :: else
        fi;
        relay_trim()
      :: else
      fi
    fi;
    last_to = to
  fi
}

/* holt__forward_jump() */
inline forward_jump()
{
  if
  :: state != NOT && last_to != p_version ->
    if
    :: !FORWARD_JUMP -> relay_jump()
    :: else
    fi;
    last_to = p_version
  :: else
  fi
}

/* follower_go(), follower_seek(): A stands at x1. */
inline follower_go()
{
  i = 0;
  do
  :: i >= count || from[i] == x1 -> break
  :: else -> i++
  od;
  ok = i < count || x1 == last_to;
  if
  :: ok ->
    state = LIVE;
    cursor = x1;
    at = i;
    acked = x1;
    lost_base = 0;
    lost_due = 0
  :: !ok && state != IS_LOST -> follower_lost()
  :: else -> lost_base = NOWHERE
  fi;
  i = 0;
  ok = 0
}

/* holt__forward_ack() */
inline forward_ack()
{
  if
  :: state == NOT -> skip
  :: state != NOT && (x2 & STOP) ->
    if
    :: state == REPAIRED || state == WAITED -> serve_free()
    :: else -> follower_delete()
    fi
  :: state != NOT && !(x2 & STOP) ->
    if
    :: state == LIVE ->
      if
      :: x1 > cursor || (x2 & GAP) && x1 < cursor -> follower_go()
      :: else -> acked = (x1 > acked -> x1 : acked)
      fi
    :: state == IS_LOST && (x2 & GAP) -> follower_go()
    :: state == WAITED && (x2 & GAP) && x1 >= cursor ->
      follower_go();
      serving = 0;
      serve_token = 0
    :: else
    fi;
    relay_trim()
  fi
}

active proctype holder()
{
end:
  do
  /* A delta of X, whole, however long it is. */
  :: atomic {
       xp && p_version < version ->
       select(to : p_version + 1 .. version);
       d_step {
         body = p_version;
         p_version = to;
         forward_delta(body);
         to = 0;
         body = 0;
         look()
       }
     }
  /* A repair of X: sync.c, serve.c. */
  :: d_step {
       troubles > 0 && xp && p_version < version ->
       troubles--;
       intervals = 0;
       p_version = version;
       forward_jump();
       look()
     }
  /* serve.c: holt__serve_request(), holt__serve_send(). */
  :: d_step {
       len(a2p) > 0 -> a2p ? kind, x1, x2;
       if
       :: kind == ACK -> forward_ack()
       :: kind == OVER ->
         if
         :: serving && serve_token == x1 -> serve_free()
         :: else
         fi
       :: kind == REQUEST ->
         if
         :: serving -> serve_free()
         :: else
         fi;
         if
         :: !xp || x2 > p_version -> refusal = 1; refused = x1
         :: else ->
           serving = 1;
           serve_token = x1;
           lost_base = 0; lost_due = 0; cursor = 0; acked = 0;
           set(REPAIRED);
           relay_trim()
         fi
       :: else
       fi;
       kind = NOT; x1 = 0; x2 = 0;
       look()
     }
  :: d_step {
       serving && state != WAITED && len(p2a) < CAP ->
       p2a ! PIECE, serve_token, p_version;
       if
       :: state == REPAIRED ->
         forward_jump();
         set(WAITED);
         cursor = p_version;
         acked = p_version
       :: else -> serving = 0; serve_token = 0
       fi;
       look()
     }
  :: d_step {
       refusal && len(p2a) < CAP ->
       p2a ! REFUSED, refused, 0;
       refusal = 0;
       refused = 0
     }
  :: d_step {
       state == IS_LOST && lost_due && len(p2a) < CAP ->
       lost_due = 0;
       p2a ! LOST, lost_base, 0
     }
  :: d_step {
       state == LIVE && at < count && len(p2a) < CAP ->
       p2a ! DELTA, from[at], upto[at];
       cursor = upto[at];
       at++;
       look()
     }
  od
}

/*---------------------------------------------------------------------
 * A: follow.c */

inline refuse() { stop_due = 1 }

inline follow_ack(gap)
{
  ack_due = 1;
  ack_gap = ack_gap || (gap)
}

/* holt__follow_stop() */
inline follow_stop()
{
  if
  :: follow ->
    follow = 0;
    ack_due = 0;
    ack_gap = 0;
    repair = 0;
    request_due = 0;
    refuse()
  :: else
  fi
}

/* repair.c: holt__repair_ask() */
inline repair_ask()
{
  if
  :: repair -> skip
  :: else ->
    repair = 1;
    token = 1 - token;
    request_due = 1
  fi
}

/* A takes (x1, x2]; from P, or from X itself. */
inline take(of_p)
{
  body = UPTO(x2) & ~UPTO(x1);
  CHECK(no_change_comes_twice, (a_have & body) == 0);
  CHECK(one_stream_at_a_time, !of_p || !xa);
  a_have = a_have | body;
  a_cursor = x2;
  body = 0;
  if
  :: b_follows && (!(of_p) || FORWARD_AGAIN) ->
    CHECK(forwarded_is_not_forwarded, !(of_p))
  :: else
  fi
}

/* sync.c: delta_begin() */
inline take_delta()
{
  if
  :: !follow || xa && !FOLLOW_KEPT -> refuse()
  :: follow && (!xa || FOLLOW_KEPT) && x1 < a_cursor && !TWICE_TAKEN ->
    follow_ack(x2 > a_cursor)
  :: follow && (!xa || FOLLOW_KEPT) && x1 > a_cursor && !GAP_TAKEN ->
    follow_ack(1)
  :: else ->
    take(1);
    follow_ack(0)
  fi
}

/* repair.c: holt__repair_apply(), adopt() */
inline take_piece()
{
  if
  :: !repair || token != x1 ->
    over_due = 1;
    over_token = x1
  :: else ->
    repair = 0;
    a_cursor = (x2 > a_cursor -> x2 : a_cursor);
    a_have = UPTO(a_cursor);
    if
    :: follow -> follow_ack(1)
    :: else ->
      over_due = 1;
      over_token = x1
    fi
  fi
}

active proctype follower()
{
end:
  do
  :: d_step {
       len(p2a) > 0 -> p2a ? kind, x1, x2;
       if
       :: kind == DELTA -> take_delta()
       :: kind == PIECE -> take_piece()
       :: kind == REFUSED ->
         if
         :: repair && token == x1 -> repair = 0; follow = 0; avoid = 1
         :: else
         fi
       :: kind == LOST ->
         if
         :: !follow || xa && !FOLLOW_KEPT -> refuse()
         :: follow && (!xa || FOLLOW_KEPT) && a_cursor >= x1 -> follow_ack(1)
         :: else -> repair_ask()
         fi
       :: else
       fi;
       kind = NOT; x1 = 0; x2 = 0;
       look()
     }
  /* A delta of X itself. */
  :: atomic {
       xa && a_cursor < version ->
       select(to : a_cursor + 1 .. version);
       d_step {
         x1 = a_cursor; x2 = to; take(0); x1 = 0; x2 = 0; to = 0; look()
       }
     }
  /* holt__follow() */
  :: d_step {
       CAN_FOLLOW && !request_due ->
       repair_ask();
       follow = 1;
       ack_due = 0;
       ack_gap = 0;
       stop_due = 0
     }
  :: d_step {
       pa && request_due && len(a2p) < CAP ->
       request_due = 0;
       a2p ! REQUEST, token, a_cursor
     }
  :: d_step {
       pa && over_due && len(a2p) < CAP ->
       over_due = 0;
       a2p ! OVER, over_token, 0;
       over_token = 0
     }
  :: d_step {
       pa && stop_due && len(a2p) < CAP ->
       stop_due = 0;
       a2p ! ACK, a_cursor, STOP
     }
  :: d_step {
       pa && ack_due && !stop_due && len(a2p) < CAP ->
       if
       :: follow && !repair -> a2p ! ACK, a_cursor, (ack_gap -> GAP : 0)
       :: else
       fi;
       ack_due = 0;
       ack_gap = 0
     }
  /* B asks A: only who hears X itself passes it on. */
  :: d_step { !b_follows && (xa || FORWARD_AGAIN) -> b_follows = 1 }
  od
}

/*---------------------------------------------------------------------
 * The world */

inline link_void()
{
  do
  :: len(p2a) > 0 -> p2a ? kind, x1, x2
  :: len(p2a) == 0 -> break
  od;
  do
  :: len(a2p) > 0 -> a2p ? kind, x1, x2
  :: len(a2p) == 0 -> break
  od;
  kind = NOT; x1 = 0; x2 = 0;
  serve_free();
  follower_delete();
  refusal = 0; refused = 0;
  follow = 0; repair = 0; request_due = 0; stop_due = 0; ack_due = 0;
  ack_gap = 0; over_due = 0; over_token = 0; avoid = 0
}

#define TROUBLE troubles--; intervals = 0

active proctype world()
{
end:
  do
  :: d_step { version < N -> version++; intervals = 0 }
  :: d_step { troubles > 0 && !xa -> TROUBLE; xa = 1;
       if
       :: FOLLOW_KEPT -> skip
       :: else -> follow_stop()
       fi;
       look()
     }
  :: d_step { troubles > 0 && xa -> TROUBLE; xa = 0; b_follows = 0 }
  :: d_step { troubles > 0 && xp -> TROUBLE; xp = 0; follower_delete() }
  :: d_step { troubles > 0 && !xp -> TROUBLE; xp = 1 }
  :: d_step { troubles > 0 && pa -> TROUBLE; pa = 0; link_void(); look() }
  :: d_step { troubles > 0 && !pa -> TROUBLE; pa = 1 }
  /* P's vouch has lapsed; or P has said no. */
  :: d_step { follow && (troubles > 0 || !xp) ->
       troubles = (xp -> troubles - 1 : troubles);
       intervals = 0;
       follow_stop()
     }
  /* An interval is over: lost once more; A sees that others have more. */
  :: d_step {
       QUIET && !IN_SYNC ->
       intervals++;
       CHECK(in_sync_before_long, intervals <= INTERVALS);
       lost_due = state == IS_LOST;
       avoid = 0;
       if
       :: repair -> request_due = 1
       :: !repair && follow && intervals == 1 -> follow_ack(1)
       :: !repair && follow && intervals > 1 -> follow_stop()
       :: else
       fi
     }
  od
}
