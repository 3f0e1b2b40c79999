/* SPDX-License-Identifier: Apache-2.0 */
/* A place for what comes. */
#include "state.h"

void holt__forward_begin(struct holt_replica *replica, struct holt_peer *peer, struct holt_actor *actor) { (void)replica; (void)peer; (void)actor; }
void holt__forward_from(struct holt_replica *replica, struct holt_peer *peer, struct holt_actor *actor, uint64_t cursor) { (void)replica; (void)peer; (void)actor; (void)cursor; }
void holt__forward_delta(struct holt_replica *replica, struct holt_actor *actor, const struct holt_message *message) { (void)replica; (void)actor; (void)message; }
int holt__forward_ack(struct holt_replica *replica, struct holt_peer *peer, const struct holt_ack *ack) { (void)replica; (void)peer; (void)ack; return HOLT_ERR_STALE; }
void holt__forwards_end(struct holt_replica *replica, const struct holt_peer *peer, const struct holt_actor *actor) { (void)replica; (void)peer; (void)actor; }
void holt__follow(struct holt_replica *replica, struct holt_actor *actor, uint64_t now_ms) { (void)replica; (void)actor; (void)now_ms; }
void holt__follow_stop(struct holt_replica *replica, struct holt_actor *actor) { (void)replica; (void)actor; }
void holt__follow_vector(struct holt_replica *replica, struct holt_actor *actor, uint64_t version, uint64_t now_ms) { (void)replica; (void)actor; (void)version; (void)now_ms; }
void holt__follow_lost(struct holt_replica *replica, struct holt_peer *peer, struct holt_actor *actor, uint64_t now_ms) { (void)replica; (void)actor; (void)peer; (void)now_ms; }
int holt__reached_apply(struct holt_replica *replica, struct holt_peer *peer, const struct holt_reached *reached) { (void)replica; (void)reached; (void)peer; return HOLT_ERR_STALE; }
void holt__forward_busy(struct holt_replica *replica, struct holt_peer *peer) { (void)replica; (void)peer; }
