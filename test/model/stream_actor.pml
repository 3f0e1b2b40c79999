/* SPDX-License-Identifier: Apache-2.0 */
/* stream.pml: the actor X, what it writes, streams and serves.
 *
 * What serves is the holder's, too: s[0] is X's, s[1] is H's. */

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
