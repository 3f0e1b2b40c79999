/* SPDX-License-Identifier: Apache-2.0 */
/* Between liveness.c, ask.c and vouch.c.  Nobody else includes this. */
#ifndef HOLT_CORE_LIVENESS_H
#define HOLT_CORE_LIVENESS_H

#include "state.h"

/*--------------------------------------------------------------------
 * Tokens of asks and numbers of probes: our clock, in 256ths of a millisecond,
 * so that each is greater than the one before. */

#define HOLT_TOKEN_SHIFT 8u

static inline uint64_t
holt_token_after(uint64_t last, uint64_t now_ms)
{
  const uint64_t clock = now_ms << HOLT_TOKEN_SHIFT;
  return clock > last ? clock : last + 1;
}

static inline uint64_t
holt_token_ms(uint64_t token)
{
  return token >> HOLT_TOKEN_SHIFT;
}

/*--------------------------------------------------------------------
 * liveness.c */

/* What has been said so far decides; or there is nobody left to say more. */
void holt__decide(struct holt_replica *replica, struct holt_actor *actor,
                  const struct holt_time *now);

/*--------------------------------------------------------------------
 * ask.c */

/* Ask everybody who is there about this actor. */
void holt__ask_all(struct holt_replica *replica, struct holt_actor *actor,
                   uint64_t now_ms);
bool holt__ask_send(struct holt_replica *replica, struct holt_peer *peer,
                    struct holt_effect *effect, uint64_t now_ms);
void holt__ask_undo(struct holt_replica *replica, struct holt_peer *peer);
int holt__vouch_take(struct holt_replica *replica,
                     const struct holt_message *message, struct holt_peer *peer,
                     const struct holt_time *now);

/* Somebody vouches for the actor. */
bool holt__vouched(const struct holt_replica *replica,
                   const struct holt_actor *actor, uint64_t now_ms);

/* This peer does not, any more. */
void holt__vouch_withdraw(struct holt_replica *replica,
                          struct holt_actor *actor,
                          const struct holt_peer *peer);

/* None of the vouches counts any more; how many there were. */
unsigned holt__vouches_clear(struct holt_actor *actor);

/* They are asked for again in time, and those that have lapsed go; when that is
 * due next. */
void holt__vouches_renew(struct holt_replica *replica, struct holt_actor *actor,
                         uint64_t now_ms);
uint64_t holt__vouches_due_ms(const struct holt_replica *replica,
                              const struct holt_actor *actor);

/*--------------------------------------------------------------------
 * vouch.c */

/* There is news of the actor for those who have asked about it. */
void holt__askers_tell(struct holt_replica *replica,
                       const struct holt_actor *actor);
int holt__ask_take(struct holt_replica *replica,
                   const struct holt_message *message, struct holt_peer *peer,
                   const struct holt_time *now);
int holt__echo_take(struct holt_replica *replica, const struct holt_probe *echo,
                    struct holt_peer *peer);
bool holt__vouch_send(struct holt_replica *replica, struct holt_peer *peer,
                      struct holt_effect *effect, uint64_t now_ms);
void holt__vouch_undo(struct holt_replica *replica, struct holt_peer *peer);
bool holt__probe_send(struct holt_replica *replica, struct holt_peer *peer,
                      struct holt_effect *effect, uint64_t now_ms);
bool holt__echo_send(struct holt_replica *replica, struct holt_peer *peer,
                     struct holt_effect *effect, uint64_t now_ms);

#endif /* HOLT_CORE_LIVENESS_H */
