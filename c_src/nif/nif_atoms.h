/* SPDX-License-Identifier: Apache-2.0 */
/* The atoms that the NIF speaks, in one list.
 *
 * Threads: made while the library is loaded, read-only from then on. */
#ifndef HOLT_NIF_ATOMS_H
#define HOLT_NIF_ATOMS_H

#include <erl_nif.h>

#define NIF_ATOM_MAP(XX)                                                       \
  XX(absent)                                                                   \
  XX(absent_ms)                                                                \
  XX(acked)                                                                    \
  XX(actor)                                                                    \
  XX(actors)                                                                   \
  XX(adopted)                                                                  \
  XX(again)                                                                    \
  XX(all)                                                                      \
  XX(already_registered)                                                       \
  XX(asks)                                                                     \
  XX(backwards)                                                                \
  XX(bare)                                                                     \
  XX(birth)                                                                    \
  XX(busy)                                                                     \
  XX(changed)                                                                  \
  XX(clock_bound_ms)                                                           \
  XX(clock_ms)                                                                 \
  XX(conflict)                                                                 \
  XX(conflicts)                                                                \
  XX(connected)                                                                \
  XX(contest)                                                                  \
  XX(count)                                                                    \
  XX(creation)                                                                 \
  XX(cursor)                                                                   \
  XX(diverged)                                                                 \
  XX(done)                                                                     \
  XX(down)                                                                     \
  XX(duplicate_keys)                                                           \
  XX(duplicates)                                                               \
  XX(early)                                                                    \
  XX(encoded)                                                                  \
  XX(ended)                                                                    \
  XX(error)                                                                    \
  XX(exit)                                                                     \
  XX(fingerprint)                                                              \
  XX(flap_ms_max)                                                              \
  XX(flaps)                                                                    \
  XX(forget_after_ms)                                                          \
  XX(forwarded)                                                                \
  XX(forwarded_bytes)                                                          \
  XX(fun_in_key)                                                               \
  XX(gaps)                                                                     \
  XX(given_away)                                                               \
  XX(hello)                                                                    \
  XX(holt_changes)                                                             \
  XX(holt_wake)                                                                \
  XX(in_flight_bytes)                                                          \
  XX(in_sync)                                                                  \
  XX(in_use)                                                                   \
  XX(invalid)                                                                  \
  XX(key)                                                                      \
  XX(key_bytes_max)                                                            \
  XX(key_too_deep)                                                             \
  XX(key_too_large)                                                            \
  XX(link)                                                                     \
  XX(member)                                                                   \
  XX(member_down)                                                              \
  XX(member_up)                                                                \
  XX(memory_bytes)                                                             \
  XX(message_bytes_max)                                                        \
  XX(missed)                                                                   \
  XX(mixed)                                                                    \
  XX(mixed_rules)                                                              \
  XX(more)                                                                     \
  XX(new)                                                                      \
  XX(no_instance)                                                              \
  XX(no_memory)                                                                \
  XX(no_quorum)                                                                \
  XX(none)                                                                     \
  XX(not_alive)                                                                \
  XX(not_found)                                                                \
  XX(not_owner)                                                                \
  XX(ok)                                                                       \
  XX(options_hash)                                                             \
  XX(orphan_ms)                                                                \
  XX(owner_only)                                                               \
  XX(paused)                                                                   \
  XX(peer)                                                                     \
  XX(peers)                                                                    \
  XX(pid)                                                                      \
  XX(policy)                                                                   \
  XX(prefix)                                                                   \
  XX(present)                                                                  \
  XX(probe_ms)                                                                 \
  XX(probes)                                                                   \
  XX(protocol)                                                                 \
  XX(quorum)                                                                   \
  XX(reached)                                                                  \
  XX(refused)                                                                  \
  XX(registered)                                                               \
  XX(remote)                                                                   \
  XX(remote_pid)                                                               \
  XX(repairing)                                                                \
  XX(repairs)                                                                  \
  XX(repairs_served)                                                           \
  XX(replace)                                                                  \
  XX(replica)                                                                  \
  XX(replica_restart_ms)                                                       \
  XX(rows)                                                                     \
  XX(running)                                                                  \
  XX(self)                                                                     \
  XX(send)                                                                     \
  XX(seq)                                                                      \
  XX(shown)                                                                    \
  XX(sight)                                                                    \
  XX(stalls)                                                                   \
  XX(stamp)                                                                    \
  XX(stamps_capped)                                                            \
  XX(stamps_refused)                                                           \
  XX(standby)                                                                  \
  XX(suspect)                                                                  \
  XX(terms)                                                                    \
  XX(too_large)                                                                \
  XX(undefined)                                                                \
  XX(unknown)                                                                  \
  XX(unregistered)                                                             \
  XX(unsupported)                                                              \
  XX(up)                                                                       \
  XX(updated)                                                                  \
  XX(user)                                                                     \
  XX(value)                                                                    \
  XX(value_bytes_max)                                                          \
  XX(vector_interval_ms)                                                       \
  XX(version)                                                                  \
  XX(visible)                                                                  \
  XX(vouch_ms)                                                                 \
  XX(vouched)                                                                  \
  XX(voucher)                                                                  \
  XX(vouches)                                                                  \
  XX(vouches_lapsed)                                                           \
  XX(window_bytes)                                                             \
  XX(winner)

struct nif_atoms {
#define NIF_ATOM_FIELD(name) ERL_NIF_TERM name;
  NIF_ATOM_MAP(NIF_ATOM_FIELD)
#undef NIF_ATOM_FIELD
  ERL_NIF_TERM is_true; /* The macros of <stdbool.h> take the plain names. */
  ERL_NIF_TERM is_false;
};

extern struct nif_atoms nif_atoms;

void nif_atoms_init(ErlNifEnv *env);

#endif /* HOLT_NIF_ATOMS_H */
