/* SPDX-License-Identifier: Apache-2.0 */
/* Is X there?  Asks, vouches, probes and echoes over links that come and go.
 *
 *            X                NODES others, each of them asker and voucher;
 *          / | \              each link is there or not, as it pleases
 *        1 --2-- 3
 *         \_____/
 *
 * Each node but X keeps what presence.h and ask.c keep of X: how it is seen,
 * whom to ask, who was asked, who waits for an answer, vouches.  What spin
 * explores is every order of messages, and of these, without end where TROUBLES
 * is 0, else so many:
 *
 *     cut      nothing gets through between X and a node, or two nodes; two
 *              nodes know at once
 *     notice   a node hears at last that its link with X is lost; or never, as
 *              long as it is stuck
 *     join     a link is there again
 *     slow     a tick passes though messages are under way
 *
 * X has ended when nothing gets through to it.
 *
 * Time is in ticks.  A tick makes everything older that has an age: messages
 * on their way, too, which stands for tokens and numbers being moments.  It
 * passes when nothing is under way or due, so a message takes less than a tick;
 * or else it is a `slow` one.  Ages end at OLD, for beyond that all are alike.
 *
 * Left out: all other actors (who is behind two links is another question of
 * the same kind), pauses, damping, forgetting, copies and versions, replicas
 * that are missing, links that are busy, more than one message of a kind at a
 * time on a link (what is due waits until the way is free; so three tokens in
 * turn tell apart all asks that are under way).  Vectors say in one step what
 * they say.  Sessions of the links are those of stream.pml. */

#ifndef FAULT
#define FAULT 0
#endif
#ifndef NODES
#define NODES 2
#endif
#ifndef TROUBLES
#define TROUBLES 0
#endif
#define PROBE 2 /* Ticks: probe_ms. */
#define VOUCH 4 /* vouch_ms */
#define FRESH 1 /* Of an echo: the lesser of PROBE / 2 and VOUCH / 4. */
#define OLD 5
#define SETTLE 8 /* Ticks after which all must be as it should. */

/* Faults, as in mutant.h where the name is the same. */
#define UNPROBED (FAULT == 1)
#define VOUCH_FOREVER (FAULT == 2)
#define SILENCE_YES (FAULT == 3)
#define SUSPECT_HIDDEN (FAULT == 4)
#define VOUCHER_GONE (FAULT == 5)
#define ECHO_OLD (FAULT == 6)
#define HEARSAY (FAULT == 7)
#define AGE_IGNORED (FAULT == 8)
#define UNRENEWED (FAULT == 9)
#define VECTOR_DEAF (FAULT == 10)

mtype = { ABSENT, SUSPECT, VOUCHED, CONNECTED, NO, YES, WAIT };

#define BIT(i) (1 << (i))
#define IN(set, i) (((set) >> (i)) & 1)
#define ADD(set, i) set = (set) | BIT(i)
#define REMOVE(set, i) set = (set) & ~BIT(i)
#define ALL (BIT(NODES + 1) - 2)

/* The truth. */
byte wire; /* Nodes to which messages of X get, and from which. */
#if TROUBLES
byte troubles = TROUBLES;
#define TROUBLE (troubles > 0)
#define ONE_LESS troubles--
#else
#define TROUBLE true
#define ONE_LESS skip
#endif
byte calm;   /* Ticks since the last trouble. */
byte kept;   /* The node that lost X, if nothing else has happened. */

typedef node {
  mtype sight = ABSENT;  /* struct holt_presence */
  unsigned left : 3;             /* Ticks until silence is a no. */
  unsigned ask : 4;
  unsigned asked : 4;
  unsigned asked_age : 3;
  unsigned askers : 4;
  unsigned vouches : 4;          /* Nodes that vouch for X. */
  byte age[NODES + 1];   /* So long ago it was seen. */
  unsigned links : 4;            /* Other nodes to which there is a link. */
  /* The link with X: struct holt_peer. */
  bit probe_due;
  bit waits;             /* A probe is under way, and so old: */
  unsigned probe_age : 3;
  bit echoed;
  unsigned echo_age : 3;
  unsigned truth : 3;            /* Age of the last probe that X answered. */
  /* The links with others. */
  unsigned vouch_due : 4;
  unsigned vouch_whole : 4;
  byte token[NODES + 1]; /* Of the last ask that has come from there, */
  byte token_age[NODES + 1];
  byte sent[NODES + 1];  /* and of the last that was sent there. */
};
node n[NODES + 1];

/* On the way: one of each kind. */
typedef to_node {
  bit ask;
  unsigned ask_token : 2;
  unsigned ask_age : 3;
  bit vouch;
  unsigned vouch_token : 2;
  unsigned vouch_age : 3;
  bit whole;
  mtype word; /* 0: X is not listed. */
  unsigned seen_age : 3;
};
typedef from_node {
  to_node to[NODES + 1];
  bit probe;
  unsigned probe_age : 3;
  bit echo; /* The other way. */
  unsigned echo_age : 3;
};
from_node w[NODES + 1];

hidden byte i;
hidden byte j;
hidden byte d;
hidden byte want;
hidden byte other;
hidden byte a;

/*---------------------------------------------------------------------
 * Properties */

hidden byte vouches_are_first_hand;
hidden byte no_vouch_outlives_its_echo;
hidden byte lost_vouchers_do_not_vouch;
hidden byte suspicion_ends;
hidden byte partial_cuts_hide_nothing;
hidden byte at_rest_all_is_seen_as_it_is;
#define CHECK(name, condition) assert((condition) || name)

inline look()
{
  i = 1;
  do
  :: i > NODES -> break
  :: else ->
    other = false;
    j = 1;
    do
    :: j > NODES -> break
    :: else ->
      if
      :: IN(n[i].vouches, j) ->
        /* It answered j itself, then or later. */
        CHECK(vouches_are_first_hand, n[j].truth <= n[i].age[j]);
        CHECK(lost_vouchers_do_not_vouch, IN(n[i].links, j));
        other = other || n[j].truth < VOUCH
      :: else
      fi;
      j++
    od;
    CHECK(suspicion_ends, n[i].sight != SUSPECT || n[i].left > 0);
    CHECK(no_vouch_outlives_its_echo, n[i].sight != VOUCHED || other);
    CHECK(partial_cuts_hide_nothing, !IN(kept, i) || n[i].sight != ABSENT);
    i++
  od;
  i = 0; j = 0; other = 0
}

inline look_at_rest()
{
  i = 1;
  do
  :: i > NODES -> break
  :: else ->
    want = ((n[i].links & wire) != 0 -> VOUCHED : ABSENT);
    want = (IN(wire, i) -> CONNECTED : want);
    CHECK(at_rest_all_is_seen_as_it_is, n[i].sight == want);
    i++
  od;
  i = 0; want = 0
}

/* A slot to or from a node that has something in it. */
#define BUSY1(i) \
  (w[i].probe || w[i].echo || n[i].probe_due || n[i].vouch_due != 0 || \
   n[i].ask != 0)
#define BUSY2(i, j) (w[i].to[j].ask || w[i].to[j].vouch)
#if NODES == 2
#define BUSY (BUSY1(1) || BUSY1(2) || BUSY2(1, 2) || BUSY2(2, 1))
#else
#define BUSY \
  (BUSY1(1) || BUSY1(2) || BUSY1(3) || BUSY2(1, 2) || BUSY2(2, 1) || \
   BUSY2(1, 3) || BUSY2(3, 1) || BUSY2(2, 3) || BUSY2(3, 2))
#endif

/* A vector of y to x would make a difference. */
#define VECTOR(x, y) \
  (IN(n[x].links, y) && n[x].sight != CONNECTED && \
   (n[y].sight != CONNECTED && IN(n[x].vouches, y) || \
    n[y].sight == CONNECTED && n[x].sight == ABSENT && \
    !IN(n[x].ask, y) && !VECTOR_DEAF && \
    (!IN(n[x].asked, y) || n[x].asked_age >= PROBE)))

/*---------------------------------------------------------------------
 * Asking: ask.c, liveness.c */

inline hide(p)
{
  n[p].sight = ABSENT;
  n[p].left = 0
}

/* liveness.c: suspect(); ask.c: holt__ask_all(). */
inline suspect(p)
{
  n[p].sight = SUSPECT;
  n[p].left = PROBE;
  n[p].asked = 0;
  n[p].ask = n[p].links;
  if
  :: SUSPECT_HIDDEN -> n[p].sight = ABSENT
  :: else
  fi
}

/* liveness.c: holt__decide(). */
inline decide(p)
{
  if
  :: n[p].sight == CONNECTED -> skip
  :: n[p].sight != CONNECTED && n[p].vouches != 0 -> n[p].sight = VOUCHED
  :: else ->
    if
    :: n[p].sight == VOUCHED -> suspect(p)
    :: else
    fi;
    if
    :: n[p].sight == SUSPECT &&
       (n[p].left == 0 && !SILENCE_YES || n[p].ask == 0 && n[p].asked == 0) ->
      hide(p)
    :: else
    fi
  fi
}

/* ask.c: holt__vouch_withdraw(). */
inline withdraw(p, q)
{
  REMOVE(n[p].vouches, q);
  n[p].age[q] = 0
}

inline vouches_clear(p)
{
  n[p].vouches = 0;
  d = 1;
  do
  :: d > NODES -> break
  :: else -> n[p].age[d] = 0; d++
  od;
  d = 0
}

/* ask.c: holt__ask_send(). */
inline ask_send(p, q)
{
  REMOVE(n[p].ask, q);
  ADD(n[p].asked, q);
  n[p].asked_age = 0;
  n[p].sent[q] = (n[p].sent[q] + 1) % 3;
  w[p].to[q].ask = 1;
  w[p].to[q].ask_token = n[p].sent[q];
  w[p].to[q].ask_age = 0
}

/* ask.c: take_yes(), vouch_keep(). */
inline take_yes(p, q)
{
  d = w[q].to[p].vouch_age + w[q].to[p].seen_age;
  d = (AGE_IGNORED -> 0 : d);
  if
  :: n[p].sight != CONNECTED && (d < VOUCH || VOUCH_FOREVER) &&
     (!IN(n[p].vouches, q) || d <= n[p].age[q]) ->
    ADD(n[p].vouches, q);
    n[p].age[q] = (d > OLD -> OLD : d)
  :: else
  fi;
  d = 0
}

/* ask.c: holt__vouch_take(). */
inline vouch_take(p, q)
{
  if
  :: w[q].to[p].word != 0 && (IN(n[p].asked, q) || IN(n[p].vouches, q)) ->
    if
    :: w[q].to[p].word == YES -> take_yes(p, q); REMOVE(n[p].asked, q)
    :: w[q].to[p].word == NO -> withdraw(p, q); REMOVE(n[p].asked, q)
    :: else
    fi
  :: w[q].to[p].word == 0 && w[q].to[p].whole && IN(n[p].asked, q) &&
     w[q].to[p].vouch_token == n[p].sent[q] ->
    withdraw(p, q);
    REMOVE(n[p].asked, q)
  :: else
  fi;
  w[q].to[p].vouch = 0; w[q].to[p].vouch_token = 0;
  w[q].to[p].vouch_age = 0; w[q].to[p].whole = 0; w[q].to[p].word = 0;
  w[q].to[p].seen_age = 0;
  decide(p)
}

/* ask.c: holt__vouches_renew(), of one; those that have lapsed go. */
inline renew(p, q)
{
  if
  :: IN(n[p].vouches, q) && n[p].age[q] >= VOUCH && !VOUCH_FOREVER ->
    withdraw(p, q)
  :: IN(n[p].vouches, q) && n[p].age[q] >= VOUCH / 2 && !UNRENEWED &&
     !IN(n[p].ask, q) && (!IN(n[p].asked, q) || n[p].asked_age >= PROBE) ->
    REMOVE(n[p].asked, q);
    ADD(n[p].ask, q)
  :: else
  fi
}

/* ask.c: holt__liveness_vector(). */
inline vector(p, q)
{
  if
  :: n[q].sight != CONNECTED -> withdraw(p, q); decide(p)
  :: else ->
    REMOVE(n[p].asked, q);
    ADD(n[p].ask, q)
  fi
}

/*---------------------------------------------------------------------
 * Answering: vouch.c */

/* holt__ask_take(), take_question(), probe(). */
inline ask_take(p, q)
{
  withdraw(p, q);
  if
  :: n[p].sight == CONNECTED || (UNPROBED || HEARSAY) && n[p].sight != ABSENT ->
    ADD(n[p].askers, q);
    if
    :: n[p].sight != CONNECTED -> skip
    :: n[p].sight == CONNECTED && n[p].echoed &&
       (n[p].echo_age < FRESH || ECHO_OLD) -> skip
    :: n[p].sight == CONNECTED && !n[p].echoed && n[p].waits &&
       n[p].probe_age < PROBE -> skip
    :: else ->
      n[p].probe_due = 1;
      n[p].echoed = 0
    fi
  :: else
  fi;
  n[p].token[q] = w[q].to[p].ask_token;
  n[p].token_age[q] = w[q].to[p].ask_age;
  ADD(n[p].vouch_due, q);
  ADD(n[p].vouch_whole, q);
  w[q].to[p].ask = 0; w[q].to[p].ask_token = 0; w[q].to[p].ask_age = 0;
  decide(p)
}

/* word_about(), is_told(), holt__vouch_send(). */
inline vouch_send(p, q)
{
  want = (n[p].sight == CONNECTED ->
            (n[p].echoed || UNPROBED -> YES : WAIT) :
            ((UNPROBED || HEARSAY) && n[p].sight != ABSENT -> YES : NO));
  want = (IN(n[p].askers, q) -> want : 0);
  want = (want == WAIT && !IN(n[p].vouch_whole, q) -> 0 : want);
  if
  :: want != 0 || IN(n[p].vouch_whole, q) ->
    w[p].to[q].vouch = 1;
    w[p].to[q].vouch_token = n[p].token[q];
    w[p].to[q].vouch_age = n[p].token_age[q];
    w[p].to[q].whole = IN(n[p].vouch_whole, q);
    w[p].to[q].word = want;
    w[p].to[q].seen_age = (want == YES && !UNPROBED && !ECHO_OLD && !HEARSAY ->
                             n[p].echo_age : 0);
    if
    :: want == WAIT || want == 0 -> skip
    :: else -> REMOVE(n[p].askers, q)
    fi
  :: else
  fi;
  REMOVE(n[p].vouch_whole, q);
  REMOVE(n[p].vouch_due, q);
  if
  :: !IN(n[p].askers, q) -> n[p].token[q] = 0; n[p].token_age[q] = 0
  :: else
  fi;
  want = 0
}

/* holt__echo_take(): each echo of this session has a greater number than the
 * last.  The one of a newer probe may still be to come. */
inline echo_take(p)
{
  n[p].echoed = 1;
  n[p].echo_age = w[p].echo_age;
  n[p].waits = w[p].probe;
  n[p].probe_age = (w[p].probe -> n[p].probe_age : 0);
  n[p].vouch_due = n[p].vouch_due | n[p].askers;
  w[p].echo = 0;
  w[p].echo_age = 0
}

/* The link with X is gone, or a new session of it begins. */
inline way_void(p)
{
  n[p].probe_due = 0; n[p].waits = 0; n[p].probe_age = 0; n[p].echoed = 0;
  n[p].echo_age = 0;
  w[p].probe = 0; w[p].probe_age = 0; w[p].echo = 0; w[p].echo_age = 0
}

/* liveness.c: holt__sight_lost(). */
inline sight_lost(p)
{
  way_void(p);
  n[p].vouch_due = n[p].vouch_due | n[p].askers;
  suspect(p);
  if
  :: n[p].ask == 0 -> hide(p)
  :: else
  fi
}

/* liveness.c: holt__sight_found(). */
inline sight_found(p)
{
  way_void(p);
  n[p].probe_due = n[p].askers != 0; /* holt__liveness_session() */
  vouches_clear(p);
  n[p].ask = 0;
  n[p].asked = 0;
  n[p].left = 0;
  n[p].asked_age = 0;
  n[p].sight = CONNECTED
}

/* liveness.c: holt__liveness_drop(). */
inline drop(p, q)
{
  REMOVE(n[p].links, q);
  REMOVE(n[p].ask, q);
  REMOVE(n[p].asked, q);
  REMOVE(n[p].askers, q);
  REMOVE(n[p].vouch_due, q);
  REMOVE(n[p].vouch_whole, q);
  n[p].token[q] = 0; n[p].token_age[q] = 0; n[p].sent[q] = 0;
  w[p].to[q].ask = 0; w[p].to[q].ask_token = 0; w[p].to[q].ask_age = 0;
  w[p].to[q].vouch = 0; w[p].to[q].vouch_token = 0;
  w[p].to[q].vouch_age = 0; w[p].to[q].whole = 0; w[p].to[q].word = 0;
  w[p].to[q].seen_age = 0;
  if
  :: !VOUCHER_GONE -> withdraw(p, q)
  :: else
  fi;
  decide(p)
}

/*---------------------------------------------------------------------
 * Time */

#define OLDER(age) age = (age < OLD -> age + 1 : OLD)

/* Everything that has an age is a tick older; and holt__liveness_expire(). */
inline tick()
{
  i = 1;
  do
  :: i > NODES -> break
  :: else ->
    OLDER(n[i].truth);
    if
    :: n[i].waits -> OLDER(n[i].probe_age)
    :: else
    fi;
    if
    :: n[i].echoed -> OLDER(n[i].echo_age)
    :: else
    fi;
    if
    :: w[i].probe -> OLDER(w[i].probe_age)
    :: else
    fi;
    if
    :: w[i].echo -> OLDER(w[i].echo_age)
    :: else
    fi;
    n[i].left = (n[i].left > 0 -> n[i].left - 1 : 0);
    if
    :: n[i].asked != 0 -> n[i].asked_age =
         (n[i].asked_age < PROBE -> n[i].asked_age + 1 : PROBE)
    :: else -> n[i].asked_age = 0
    fi;
    j = 1;
    do
    :: j > NODES -> break
    :: else ->
      if
      :: IN(n[i].vouches, j) -> OLDER(n[i].age[j])
      :: else
      fi;
      if
      :: IN(n[i].askers | n[i].vouch_due, j) -> OLDER(n[i].token_age[j])
      :: else
      fi;
      if
      :: w[i].to[j].ask -> OLDER(w[i].to[j].ask_age)
      :: else
      fi;
      if
      :: w[i].to[j].vouch -> OLDER(w[i].to[j].vouch_age)
      :: else
      fi;
      j++
    od;
    i++
  od;
  i = 1;
  do
  :: i > NODES -> break
  :: else ->
    j = 1;
    do
    :: j > NODES -> break
    :: else -> renew(i, j); j++
    od;
    decide(i);
    i++
  od;
  i = 0; j = 0
}

/*---------------------------------------------------------------------
 * The nodes */

#define STEADY_HAND kept = 0; calm = 0; ONE_LESS

proctype one(byte x; byte y)
{
end:
  do
  /* What x does on its link with y, as who asks and as who is asked. */
  :: d_step {
       IN(n[x].ask, y) && IN(n[x].links, y) && !w[x].to[y].ask ->
       ask_send(x, y)
     }
  :: d_step {
       w[y].to[x].ask && !IN(n[x].vouch_due, y) -> ask_take(x, y); look()
     }
  :: d_step {
       IN(n[x].vouch_due, y) && !w[x].to[y].vouch -> vouch_send(x, y)
     }
  :: d_step { w[y].to[x].vouch -> vouch_take(x, y); look() }
  :: d_step { VECTOR(x, y) -> vector(x, y); look() }
  od
}

proctype way(byte x)
{
end:
  do
  /* x and X: probe and echo. */
  :: d_step {
       n[x].probe_due && !w[x].probe ->
       n[x].probe_due = 0;
       n[x].waits = 1;
       n[x].probe_age = 0;
       w[x].probe = IN(wire, x)
     }
  :: d_step {
       w[x].probe && !w[x].echo ->
       w[x].echo = 1;
       w[x].echo_age = w[x].probe_age;
       n[x].truth = w[x].probe_age;
       w[x].probe = 0;
       w[x].probe_age = 0
     }
  :: d_step { w[x].echo -> echo_take(x) }
  /* The link is lost; and that is seen; it is there again. */
  :: d_step {
       TROUBLE && IN(wire, x) && n[x].sight == CONNECTED ->
       a = calm == SETTLE && !BUSY && (n[x].links & wire) != 0;
       STEADY_HAND;
       kept = (a -> BIT(x) : 0);
       a = 0;
       REMOVE(wire, x);
       w[x].probe = 0; w[x].probe_age = 0; w[x].echo = 0; w[x].echo_age = 0
     }
  :: d_step {
       !IN(wire, x) && n[x].sight == CONNECTED ->
       calm = 0;
       sight_lost(x);
       look()
     }
  :: d_step {
       TROUBLE && !IN(wire, x) && n[x].sight != CONNECTED ->
       STEADY_HAND;
       ADD(wire, x);
       sight_found(x)
     }
  od
}

proctype pair(byte x; byte y)
{
end:
  do
  :: d_step {
       TROUBLE && IN(n[x].links, y) ->
       STEADY_HAND;
       drop(x, y);
       drop(y, x);
       look()
     }
  :: d_step {
       TROUBLE && !IN(n[x].links, y) ->
       STEADY_HAND;
       ADD(n[x].links, y);
       ADD(n[y].links, x);
     }
  od
}

/* Every link with X that does not work is known not to. */
#define SEEN(i) (IN(wire, i) == (n[i].sight == CONNECTED))
#if NODES == 2
#define ALL_SEEN (SEEN(1) && SEEN(2))
#define VECTORS (VECTOR(1, 2) || VECTOR(2, 1))
#else
#define ALL_SEEN (SEEN(1) && SEEN(2) && SEEN(3))
#define VECTORS \
  (VECTOR(1, 2) || VECTOR(2, 1) || VECTOR(1, 3) || VECTOR(3, 1) || \
   VECTOR(2, 3) || VECTOR(3, 2))
#endif

proctype time()
{
end:
  do
  :: d_step {
       !BUSY && !VECTORS ->
       calm = (ALL_SEEN -> (calm < SETTLE -> calm + 1 : SETTLE) : 0);
       tick();
       look();
       if
       :: calm == SETTLE -> look_at_rest()
       :: else
       fi
     }
  :: d_step { TROUBLE && BUSY -> STEADY_HAND; tick(); look() }
  od
}

init {
  atomic {
    i = 1;
    do
    :: i > NODES -> break
    :: else ->
      n[i].truth = OLD;
      n[i].sight = CONNECTED;
      n[i].links = ALL & ~BIT(i);
      i++
    od;
    wire = ALL;
    calm = SETTLE;
    i = 0;
    run one(1, 2);
    run one(2, 1);
    run way(1);
    run way(2);
    run pair(1, 2);
#if NODES > 2
    run one(1, 3);
    run one(3, 1);
    run one(2, 3);
    run one(3, 2);
    run way(3);
    run pair(1, 3);
    run pair(2, 3);
#endif
    run time()
  }
}
