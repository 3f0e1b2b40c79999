/* SPDX-License-Identifier: Apache-2.0 */
#include "nif_atoms.h"

struct nif_atoms nif_atoms;

/* A version that is loaded from the same file finds those of the last one, and
 * calls that are reading them. */
void
nif_atoms_init(ErlNifEnv *env)
{
  if (nif_atoms.is_false != 0) {
    return;
  }
#define NIF_ATOM_MAKE(name) nif_atoms.name = enif_make_atom(env, #name);
  NIF_ATOM_MAP(NIF_ATOM_MAKE)
#undef NIF_ATOM_MAKE
  nif_atoms.is_true = enif_make_atom(env, "true");
  nif_atoms.is_false = enif_make_atom(env, "false");
}
