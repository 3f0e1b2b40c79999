/* SPDX-License-Identifier: Apache-2.0 */
/* Mutants: would the tests notice?
 *
 * A test that cannot fail is worth nothing, and nobody knows whether it can
 * before there is a fault.  So here are faults, planted one at a time by
 * -DHOLT_MUTANT=n in a build of their own; `make mutants` builds each, runs the
 * simulator and the unit tests against it, and counts those that are noticed.
 * In every other build the condition is the constant false.
 *
 * Number, name and description: */
#ifndef HOLT_CORE_MUTANT_H
#define HOLT_CORE_MUTANT_H

#ifndef HOLT_MUTANT
#define HOLT_MUTANT 0
#endif

#define HOLT_MUTANTS(XX)                                                       \
  XX(1, OLD_SEQ, "a changed row keeps its old seq")                            \
  XX(2, SERVE_DIRTY, "a copy between two versions is served")                  \
  XX(3, STREAM_TORN, "a stream goes on during a repair")                       \
  XX(4, OLD_SESSION, "a message of an old session is accepted")                \
  XX(5, ARRIVAL_ORDER, "a name is won by arrival order")                       \
  XX(6, UNCAPPED, "the stamp is not capped at the median clock")               \
  XX(7, MARK_IGNORED, "rows are not marked as early")                          \
  XX(8, ACK_EARLY, "a delta counts as applied before it is")                   \
  XX(9, LIVE_OFF, "the live set is off by one")                                \
  XX(10, UPDATE_LOST, "an updated row is lost between two messages")           \
  XX(11, WINDOW_KEPT, "the window is not restored when the link is busy")      \
  XX(12, ACTOR_MIXED, "the rows of a past life count as those of the new one") \
  XX(13, SLICE_BY_KEY, "the rows of the dead are removed by key")              \
  XX(14, LENGTH_UNCHECKED, "the end of a delta is not checked")                \
  XX(15, NOTES_BY_SEQ, "a repair notes deaths by seq, not by birth")           \
  XX(16, AS_OF_IGNORED, "an older delta is taken after a newer one")           \
  XX(17, BASE_FORGOTTEN, "the full log of deaths forgets that it forgot")      \
  XX(18, GHOSTS, "an actor is shown before its copy has caught up")            \
  XX(19, UNCLEAN, "nobody tells a copy that it is complete")                   \
  XX(20, PAST_KEPT, "the past life of a member is not ended")                  \
  XX(21, BASE_KEPT, "an older holder repairs from a newer base")               \
  XX(22, NOT_SWEPT, "a repair leaves what died unseen")                        \
  XX(23, UNTOLD, "the loser of a conflict is not told")                        \
  XX(24, WALK_STANDS, "a walk stays on a row that has moved")                  \
  XX(25, LOST_UNSAID, "nobody says that a stream is lost")                     \
  XX(26, UNPROBED, "a vouch is given without a probe")                         \
  XX(27, VOUCH_FOREVER, "a vouch never lapses")                                \
  XX(28, FORWARD_AGAIN, "what was forwarded is forwarded")                     \
  XX(29, FORWARD_JUMP, "a stream is forwarded across a jump")                  \
  XX(30, FORGET_EARLY, "an actor is forgotten too early")                      \
  XX(31, SILENCE_YES, "silence counts as yes")                                 \
  XX(32, UNDAMPED, "one that flaps is shown at once")                          \
  XX(33, SUSPECT_HIDDEN, "a suspect is hidden before the answers")             \
  XX(34, VOUCHER_GONE, "the vouches of a lost voucher stand")                  \
  XX(35, FOLLOW_KEPT, "a stream is followed beside the actor's own")           \
  XX(36, AGE_UNSHARED, "nobody is told for how long one is absent")            \
  XX(37, ECHO_OLD, "an echo of any age vouches")                               \
  XX(38, EVICT_PRESENT, "a member that is present is evicted")                 \
  XX(39, CHANGE_LOST, "the end of a process is not told to who watches")       \
  XX(40, CHANGE_DEAD_EARLY, "the dead have left before it is told")            \
  XX(41, CHANGE_UNSETTLED, "claims of several members are not told anew")      \
  XX(42, CONTEST_BOTH_GONE, "a row gives way to one that is gone")             \
  XX(43, CONTEST_BY_RANK, "contests are decided by rank")                      \
  XX(44, CONTEST_ONCE, "a contest that nobody decides is forgotten")           \
  XX(45, WHY_UNSAID, "a death does not say why")                               \
  XX(46, STRANGER_HURRIED, "who answers late about a stranger is not awaited") \
  XX(47, PAUSE_ANEW, "a pause of long ago hides who has been alive since")

/* True in the build of that mutant only. */
#define holt_mutant(name) (HOLT_MUTANT == HOLT_MUTANT_##name)

#define HOLT_MUTANT_NUMBER(number, name, text) HOLT_MUTANT_##name = number,
enum holt_mutant_number {
  HOLT_MUTANTS(HOLT_MUTANT_NUMBER) HOLT_MUTANT_NONE = 0
};

#endif /* HOLT_CORE_MUTANT_H */
