#include "lib/sentinel/answers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "lib/sentinel/pubsub.h"

namespace mainstay::sentinel {
namespace {

std::string Lower(absl::string_view text) { return absl::AsciiStrToLower(text); }

void WrongNumber(const std::string& command, ReplyWriter* out) {
  out->Error(absl::StrCat("ERR wrong number of arguments for '", Cut(command, 60), "' command"));
}

}  // namespace

bool SamePassword(absl::string_view given, absl::string_view right) {
  if (right.empty()) return false;
  // As many steps as the stranger's own text is long: what he learns from the time he knew.
  volatile unsigned char differs = given.size() == right.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i)
    differs = static_cast<unsigned char>(differs | (given[i] ^ right[i % right.size()]));
  return differs == 0;
}

std::string IdOf(const std::string& cluster, const std::string& member) {
  std::string bytes;
  uint64_t hash = Fnv1a64(absl::StrCat(cluster, "\n", member));
  while (bytes.size() < 20) {
    for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(hash >> shift));
    hash = Fnv1a64(bytes, hash);
  }
  return Hex(absl::string_view(bytes).substr(0, 20));
}

bool Answers::KnowsName(const std::string& name) const {
  return std::find(identity_.names.begin(), identity_.names.end(), name) != identity_.names.end();
}

bool Answers::Login(const std::string& user, const std::string& password, const Call& call) const {
  if (!needs_login()) {
    call.out->Error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
    return false;
  }
  const auto passwords = identity_.passwords();
  bool good = false;
  if (passwords.ok() && user == "default") {
    for (const std::string& right : *passwords) good = SamePassword(password, right) || good;
  }
  if (good) call.session->authenticated = true;  // a refused one takes nothing away, as in Redis
  if (!good) {
    call.out->Error("WRONGPASS invalid username-password pair or user is disabled.");
    call.session->closing = ++call.session->refused_logins >= kMaxRefusedLogins;
  }
  return good;
}

// HELLO [2|3 [AUTH user password] [SETNAME name]]
void Answers::Hello(const Call& call) const {
  const Words& w = call.words;
  int proto = call.session->proto;
  std::string name = call.session->name;
  if (w.size() > 1) {
    if (w[1] != "2" && w[1] != "3") {
      call.out->Error("NOPROTO unsupported protocol version");
      return;
    }
    proto = w[1] == "3" ? 3 : 2;
  }
  for (size_t i = 2; i < w.size();) {
    const std::string option = Lower(w[i]);
    if (option == "auth" && i + 2 < w.size()) {
      if (!Login(w[i + 1], w[i + 2], call)) return;
      i += 3;
    } else if (option == "setname" && i + 1 < w.size() && w[i + 1].size() <= kMaxNameBytes) {
      name = w[i + 1];
      i += 2;
    } else {
      call.out->Error(absl::StrCat("ERR Syntax error in HELLO option '", Cut(w[i], 60), "'"));
      return;
    }
  }
  if (needs_login() && !call.session->authenticated) {
    call.out->Error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
        "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at "
        "the same time");
    return;
  }
  call.session->proto = proto;
  call.session->name = std::move(name);
  *call.out = ReplyWriter(proto);
  call.out->Map(7).Bulk("server").Bulk("redis").Bulk("version").Bulk(identity_.version);
  call.out->Bulk("proto").Integer(proto).Bulk("id").Integer(static_cast<int64_t>(call.session->id));
  call.out->Bulk("mode").Bulk("sentinel").Bulk("role").Bulk("sentinel").Bulk("modules").Array(0);
}

bool Answers::Before(const Call& call) const {
  const std::string command = Lower(call.words[0]);
  if (command == "quit") {
    call.session->closing = true;
    call.out->Simple("OK");
  } else if (command == "hello") {
    Hello(call);
  } else if (command == "auth") {
    const size_t n = call.words.size();
    if (n != 2 && n != 3) {
      WrongNumber(command, call.out);
    } else if (Login(n == 3 ? call.words[1] : "default", call.words[n - 1], call)) {
      call.out->Simple("OK");
    }
  } else if (needs_login() && !call.session->authenticated) {
    call.out->Error("NOAUTH Authentication required.");
  } else {
    return false;
  }
  return true;
}

void Answers::Client(const Call& call) const {
  const Words& w = call.words;
  const std::string what = w.size() > 1 ? Lower(w[1]) : "";
  if (what == "setname" && w.size() == 3) {
    const bool odd = w[2].size() > kMaxNameBytes ||
                     std::any_of(w[2].begin(), w[2].end(), [](char c) { return c < '!' || c > '~'; });
    if (odd) {
      call.out->Error("ERR Client names cannot contain spaces, newlines or special characters.");
      return;
    }
    call.session->name = w[2];
    call.out->Simple("OK");
  } else if (what == "setinfo" && w.size() == 4) {
    call.out->Simple("OK");
  } else if (what == "getname" && w.size() == 2) {
    call.out->Bulk(call.session->name);
  } else if (what == "id" && w.size() == 2) {
    call.out->Integer(static_cast<int64_t>(call.session->id));
  } else {
    call.out->Error(
        absl::StrCat("ERR unknown subcommand or wrong number of arguments for '", Cut(what, 60), "'"));
  }
}

void Answers::Info(const Call& call) const {
  const std::string section = call.words.size() > 1 ? Lower(call.words[1]) : "default";
  const bool all = section == "default" || section == "all" || section == "everything";
  std::string text;
  if (all || section == "server") {
    absl::StrAppend(&text, "# Server\r\nredis_version:", identity_.version,
                    "\r\nredis_mode:sentinel\r\nrun_id:", identity_.id, "\r\ntcp_port:", identity_.port,
                    "\r\nuptime_in_seconds:", uptime_(), "\r\n\r\n");
  }
  if (all || section == "sentinel") {
    const bool known = last_primary_.has_value();
    absl::StrAppend(&text, "# Sentinel\r\nsentinel_masters:", known ? identity_.names.size() : 0,
                    "\r\nsentinel_tilt:0\r\nsentinel_tilt_since_seconds:-1\r\nsentinel_running_scripts:0\r\n"
                    "sentinel_scripts_queue_length:0\r\nsentinel_simulate_failure_flags:0\r\n");
    for (size_t i = 0; known && i < identity_.names.size(); ++i) {
      absl::StrAppend(&text, "master", i, ":name=", identity_.names[i],
                      ",status=", view_.primary ? "ok" : "odown", ",address=", last_primary_->host, ":",
                      last_primary_->port, ",slaves=", view_.replicas.size(),
                      ",sentinels=", view_.peers.size() + 1, "\r\n");
    }
  }
  call.out->Bulk(text);
}

void Answers::Role(const Call& call) const {
  call.out->Array(2).Bulk("sentinel").Array(identity_.names.size());
  for (const std::string& name : identity_.names) call.out->Bulk(name);
}

void Answers::Command(const Call& call) const {
  const std::string what = call.words.size() > 1 ? Lower(call.words[1]) : "";
  if (what == "count") {
    call.out->Integer(0);
  } else if (what == "docs") {
    call.out->Map(0);
  } else {
    call.out->Array(0);
  }
}

std::string Answers::Answer(const Words& request, Session* session) const {
  ReplyWriter out(session->proto);
  if (request.empty()) return "";
  const Call call{request, session, &out};
  if (Before(call)) return out.Take();
  const std::string command = Lower(request[0]);
  if (IsPubSub(command)) {
    PubSub(command, request, session, &out);
  } else if (command == "ping") {
    Ping(request, *session, &out);
  } else if (session->proto == 2 && session->subscribed()) {
    out.Error(absl::StrCat(
        "ERR Can't execute '", Cut(command, 60),
        "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"));
  } else if (command == "echo" && request.size() == 2) {
    out.Bulk(request[1]);
  } else if (command == "client") {
    Client(call);
  } else if (command == "command") {
    Command(call);
  } else if (command == "info") {
    Info(call);
  } else if (command == "role") {
    Role(call);
  } else if (command == "sentinel") {
    Sentinel(call);
  } else {
    out.Error(absl::StrCat("ERR unknown command '", Cut(request[0], 60),
                           "': this port answers what clients ask a Sentinel, no more"));
  }
  return out.Take();
}

}  // namespace mainstay::sentinel
