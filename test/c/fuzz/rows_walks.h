/* SPDX-License-Identifier: Apache-2.0 */
/* Walks and scans over a store that changes under them, for fuzz_rows.c.
 *
 *     walk    what was ahead when it began, and has neither moved nor gone, is
 *             visited once
 *     scan    a key that is there all the time is visited once
 *
 * Each function is a step: it takes from the input what it needs. */
#ifndef HOLT_FUZZ_ROWS_WALKS_H
#define HOLT_FUZZ_ROWS_WALKS_H

#include "rows_model.h"

void walks_start(struct model *model);
void walks_next(struct model *model);

/* A walk that has to look for its place, a few rows at a time. */
void walks_seek(struct model *model);

/* A piece of the scan that is under way, or of a new one. */
void walks_scan(struct model *model);

/* A row has changed, perhaps its process, too; or it is gone. */
void walks_miss(struct model *model, uint64_t actor, uint64_t birth, bool gone,
                bool owner);

/* The actor has another id. */
void walks_rename(struct model *model, uint64_t from, uint64_t to);

/* After each step: which keys are still there? */
void walks_look(struct model *model);

void walks_stop(struct model *model);

#endif /* HOLT_FUZZ_ROWS_WALKS_H */
