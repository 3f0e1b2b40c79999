/* SPDX-License-Identifier: Apache-2.0 */
/* stream.pml: the receiver R, its copy and its repair. */

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
