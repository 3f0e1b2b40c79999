/* SPDX-License-Identifier: Apache-2.0 */
#include "cut.h"

#include <CUnit/CUnit.h>

static bool
some_kinds_are_lost(struct pair *pair, unsigned from, unsigned to,
                    const struct holt_effect *effect)
{
  (void)from;
  (void)to;
  const struct cut *const f = pair->user;
  return effect->type == HOLT_EFFECT_SEND &&
         (f->mute >> effect->bytes[0] & 1) != 0;
}

void
cut_new(struct cut *f, unsigned ends)
{
  f->mute = 0;
  pair_begin(&f->pair, &f->heap, HOLT_POLICY_UNIQUE_KEEP_NEWEST, ends, 0);
  f->pair.user = f;
  f->pair.filter = some_kinds_are_lost;
}

void
cut_init(struct cut *f, unsigned ends)
{
  cut_new(f, ends);
  CU_ASSERT_EQUAL_FATAL(pair_connect_all(&f->pair), 0);
  pair_run(&f->pair);
  CU_ASSERT_EQUAL_FATAL(pair_register(&f->pair, 2, "x", 1), 0);
  pair_run(&f->pair);
  pair_wait(&f->pair, 5000);
}

void
cut_deinit(struct cut *f)
{
  pair_end(&f->pair, &f->heap);
}

enum holt_sight
cut_sight(const struct cut *f, unsigned at, unsigned of)
{
  return pair_copy(&f->pair, at, of)->presence.sight;
}

bool
cut_found(const struct cut *f, unsigned at)
{
  return pair_holder(&f->pair, at, "x") == 12;
}

void
cut_all_lose(struct cut *f)
{
  for (unsigned at = 0; at < f->pair.ends; at++) {
    if (at != 2) {
      pair_disconnect(&f->pair, at, 2);
    }
  }
}
