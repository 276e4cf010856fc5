// From the client library's replies to ours.
//
// Thread rules: pure functions.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_HIREDIS_REPLY_H_
#define MAINSTAY_LIB_ENGINE_REDIS_HIREDIS_REPLY_H_

#include "lib/engine/redis/reply.h"

struct redisReply;

namespace mainstay::engine::redis {

// hiredis 0.14 reads nothing nested deeper than 7, so neither is the result. Null becomes nil.
Reply FromHiredis(const ::redisReply* reply);

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_HIREDIS_REPLY_H_
