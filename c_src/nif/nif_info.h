/* SPDX-License-Identifier: Apache-2.0 */
/* Looking inside an instance. */
#ifndef HOLT_NIF_INFO_H
#define HOLT_NIF_INFO_H

#include <erl_nif.h>

ERL_NIF_TERM nif_members(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_owner_only(ErlNifEnv *env, int argc,
                            const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_in_sync(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_reached(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_info(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);

#endif /* HOLT_NIF_INFO_H */
