/* SPDX-License-Identifier: Apache-2.0 */
/* Replica process: what only the instance's own process calls. */
#ifndef HOLT_NIF_REPLICA_H
#define HOLT_NIF_REPLICA_H

#include <erl_nif.h>

ERL_NIF_TERM nif_peer_up(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_peer_down(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_peer_busy(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_hello(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_deliver(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_poll(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_declare(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_evict(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM nif_lose(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);

#endif /* HOLT_NIF_REPLICA_H */
