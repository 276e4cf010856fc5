#include "lib/engine/redis/hiredis_reply.h"

#include <hiredis/hiredis.h>

namespace mainstay::engine::redis {

Reply FromHiredis(const ::redisReply* reply) {  // NOLINT(misc-no-recursion): bounded by the library
  Reply out;
  if (reply == nullptr) return out;
  switch (reply->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
      out.kind = reply->type == REDIS_REPLY_STRING   ? Reply::Kind::kString
                 : reply->type == REDIS_REPLY_STATUS ? Reply::Kind::kStatus
                                                     : Reply::Kind::kError;
      out.text.assign(reply->str, reply->len);
      break;
    case REDIS_REPLY_INTEGER:
      out.kind = Reply::Kind::kInteger;
      out.integer = reply->integer;
      break;
    case REDIS_REPLY_ARRAY:
      out.kind = Reply::Kind::kArray;
      out.items.reserve(reply->elements);
      for (size_t i = 0; i < reply->elements; ++i) out.items.push_back(FromHiredis(reply->element[i]));
      break;
    default:
      break;
  }
  return out;
}

}  // namespace mainstay::engine::redis
