// Subscriptions of a session. Pure; of this room alone.
//
// Thread rules: pure functions.
#ifndef MAINSTAY_LIB_SENTINEL_PUBSUB_H_
#define MAINSTAY_LIB_SENTINEL_PUBSUB_H_

#include <string>

#include "lib/sentinel/answers.h"

namespace mainstay::sentinel {

bool IsPubSub(const std::string& command);  // in lower case
void PubSub(const std::string& command, const Words& request, Session* session, ReplyWriter* out);
void Ping(const Words& request, const Session& session, ReplyWriter* out);

}  // namespace mainstay::sentinel

#endif  // MAINSTAY_LIB_SENTINEL_PUBSUB_H_
