/* SPDX-License-Identifier: Apache-2.0 */
/* stream.pml: the holder H, which hears X and repairs R. */

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
