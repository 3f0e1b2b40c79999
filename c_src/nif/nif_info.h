/* SPDX-License-Identifier: Apache-2.0 */
/* Looking inside an instance. */
#ifndef HOLT_NIF_INFO_H
#define HOLT_NIF_INFO_H

#include <stdint.h>

#include <erl_nif.h>

#include "nif_instance.h"

/* A member, {Name, Node}; that of an actor, if it is known.  Locked. */
ERL_NIF_TERM nif_member_term(ErlNifEnv *env, const struct holt_member *member);
ERL_NIF_TERM nif_member_of_actor(ErlNifEnv *env,
                                 const struct nif_instance *instance,
                                 uint64_t actor);

/* Functions of holt_nif. */
ERL_NIF_TERM nif_members(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_owner_only(ErlNifEnv *env, int argc,
                            const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_in_sync(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_reached(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_info(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_acks(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_census(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_explain(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);

#endif /* HOLT_NIF_INFO_H */
