#include "lib/sentinel/pubsub.h"

#include "absl/strings/str_cat.h"

namespace mainstay::sentinel {
namespace {

size_t Count(const Session& session) { return session.channels.size() + session.patterns.size(); }

void Subscribe(const std::string& command, const std::string& name, std::set<std::string>* to,
               Session* session, ReplyWriter* out) {
  if (name.size() > kMaxNameBytes || (Count(*session) >= kMaxSubscriptions && to->count(name) == 0)) {
    out->Error(absl::StrCat("ERR at most ", kMaxSubscriptions, " subscriptions with names of at most ",
                            kMaxNameBytes, " bytes"));
    return;
  }
  to->insert(name);
  out->Push(3).Bulk(command).Bulk(name).Integer(static_cast<int64_t>(Count(*session)));
}

void Unsubscribe(const std::string& command, const Words& request, std::set<std::string>* from,
                 Session* session, ReplyWriter* out) {
  Words names(request.begin() + 1, request.end());
  if (names.empty()) names.assign(from->begin(), from->end());
  if (names.empty()) {  // there was none: one answer all the same
    out->Push(3).Bulk(command).Nil().Integer(static_cast<int64_t>(Count(*session)));
    return;
  }
  for (const std::string& name : names) {
    from->erase(name);
    out->Push(3).Bulk(command).Bulk(name).Integer(static_cast<int64_t>(Count(*session)));
  }
}

}  // namespace

bool IsPubSub(const std::string& command) {
  return command == "subscribe" || command == "psubscribe" || command == "unsubscribe" ||
         command == "punsubscribe";
}

void PubSub(const std::string& command, const Words& request, Session* session, ReplyWriter* out) {
  const bool patterns = command[0] == 'p';
  std::set<std::string>* const set = patterns ? &session->patterns : &session->channels;
  if (command == "unsubscribe" || command == "punsubscribe") {
    Unsubscribe(command, request, set, session, out);
    return;
  }
  if (request.size() < 2) {
    out->Error(absl::StrCat("ERR wrong number of arguments for '", command, "' command"));
    return;
  }
  for (size_t i = 1; i < request.size(); ++i) Subscribe(command, request[i], set, session, out);
}

// A subscriber of RESP2 gets it in the form of a message.
void Ping(const Words& request, const Session& session, ReplyWriter* out) {
  if (request.size() > 2) {
    out->Error("ERR wrong number of arguments for 'ping' command");
  } else if (session.proto == 2 && session.subscribed()) {
    out->Array(2).Bulk("pong").Bulk(request.size() == 2 ? request[1] : "");
  } else if (request.size() == 2) {
    out->Bulk(request[1]);
  } else {
    out->Simple("PONG");
  }
}

std::string Answers::Deliver(const Message& message, const Session& session) {
  ReplyWriter out(session.proto);
  if (session.channels.count(message.channel) > 0)
    out.Push(3).Bulk("message").Bulk(message.channel).Bulk(message.payload);
  for (const std::string& pattern : session.patterns) {
    if (MatchesPattern(pattern, message.channel))
      out.Push(4).Bulk("pmessage").Bulk(pattern).Bulk(message.channel).Bulk(message.payload);
  }
  return out.Take();
}

}  // namespace mainstay::sentinel
