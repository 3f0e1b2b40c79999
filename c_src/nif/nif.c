/* SPDX-License-Identifier: Apache-2.0 */
/* The library as the BEAM sees it: load, upgrade, unload, the functions. */
#include <erl_nif.h>

#include "nif_atoms.h"
#include "nif_changes.h"
#include "nif_info.h"
#include "nif_instance.h"
#include "nif_names.h"
#include "nif_replica.h"

static int
load(ErlNifEnv *env, void **priv_data, ERL_NIF_TERM info)
{
  nif_atoms_init(env);
  nif_clock_init(env, info);
  *priv_data = nif_library_new(env);
  return *priv_data == NULL ? 1 : 0;
}

/* A new version of the code takes the instances over as they are. */
static int
upgrade(ErlNifEnv *env, void **priv_data, void **old_priv_data,
        ERL_NIF_TERM info)
{
  nif_atoms_init(env);
  nif_clock_init(env, info);
  if (!nif_library_take_over(env, *old_priv_data)) {
    return 1;
  }
  *priv_data = *old_priv_data;
  return 0;
}

static void
unload(ErlNifEnv *env, void *priv_data)
{
  (void)env;
  nif_library_release(priv_data);
}

static ErlNifFunc functions[] = {
  { "open", 2, nif_open, 0 },
  { "renode", 1, nif_renode, 0 },
  { "close", 1, nif_close, 0 },
  { "sweep", 0, nif_sweep, 0 },
  { "instances", 0, nif_instances, 0 },
  { "goodbye", 2, nif_goodbye, 0 },
  { "resume", 1, nif_resume, 0 },
  { "register", 4, nif_register, 0 },
  { "claim", 5, nif_claim, 0 },
  { "unregister", 3, nif_unregister, 0 },
  { "drop", 2, nif_drop, 0 },
  { "update", 5, nif_update, 0 },
  { "whereis", 2, nif_whereis, 0 },
  { "locate", 2, nif_locate, 0 },
  { "lookup", 2, nif_lookup, 0 },
  { "read", 2, nif_read, 0 },
  { "fetch", 3, nif_fetch, 0 },
  { "entries", 3, nif_entries, 0 },
  { "count", 1, nif_count, 0 },
  { "count_key", 2, nif_count_key, 0 },
  { "keys", 2, nif_keys, 0 },
  { "next", 3, nif_next, 0 },
  { "peer_up", 2, nif_peer_up, 0 },
  { "peer_down", 3, nif_peer_down, 0 },
  { "peer_busy", 2, nif_peer_busy, 0 },
  { "hello", 3, nif_hello, 0 },
  { "deliver", 4, nif_deliver, 0 },
  { "poll", 1, nif_poll, 0 },
  { "declare", 2, nif_declare, 0 },
  { "evict", 2, nif_evict, 0 },
  { "lose", 5, nif_lose, 0 },
  { "count_node", 2, nif_count_node, 0 },
  { "explain", 2, nif_explain, 0 },
  { "acks", 2, nif_acks, 0 },
  { "census", 1, nif_census, 0 },
  { "watch", 1, nif_watch, 0 },
  { "changes", 3, nif_changes, 0 },
  { "head", 1, nif_head, 0 },
  { "members", 1, nif_members, 0 },
  { "reached", 3, nif_reached, 0 },
  { "info", 1, nif_info, 0 },
  { "in_sync", 1, nif_in_sync, 0 },
  { "owner_only", 1, nif_owner_only, 0 },
};

ERL_NIF_INIT(holt_nif, functions, load, NULL, upgrade, unload)
