#include "lib/engine/redis/conf.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/redis/names.h"

namespace mainstay::engine::redis {
namespace {

constexpr size_t kMaxValue = 4096;
constexpr size_t kMaxUsers = 256;
constexpr size_t kMaxRules = 256;
constexpr char kPasswordsRule[] = "passwords=";
constexpr size_t kMaxUserPasswords = 16;
constexpr size_t kMaxUserPassword = 512;

struct Kept {
  const char* name;
  const char* why;
};
constexpr char kElection[] = "the election alone decides who replicates from whom";
constexpr char kSection[] = "the section redis of the configuration says it";
constexpr char kUsers[] = "users are told in redis.users_file";
constexpr char kProcess[] = "mainstay-shim runs the server in the foreground and takes its output";
constexpr char kRename[] = "the agent needs the commands by their names; take them from users with ACL rules";
constexpr Kept kKept[] = {
    {"replicaof", kElection},
    {"slaveof", kElection},
    {"masterauth", kElection},
    {"masteruser", kElection},
    {"replica-serve-stale-data", "a member that was not opened by the election answers no client"},
    {"slave-serve-stale-data", "a member that was not opened by the election answers no client"},
    {"replica-read-only", "a writable replica loses what is written there"},
    {"slave-read-only", "a writable replica loses what is written there"},
    {"replica-announce-ip", "advertise.database of the configuration says it"},
    {"replica-announce-port", "advertise.database of the configuration says it"},
    {"slave-announce-ip", "advertise.database of the configuration says it"},
    {"slave-announce-port", "advertise.database of the configuration says it"},
    {"min-replicas-to-write", "it is redis.min_replicas"},
    {"min-slaves-to-write", "it is redis.min_replicas"},
    {"port", kSection},
    {"bind", kSection},
    {"unixsocket", kSection},
    {"unixsocketperm", "only the agent may use the socket"},
    {"dir", kSection},
    {"dbfilename", "the agent looks for dump.rdb"},
    {"appenddirname", "the agent looks for appendonlydir"},
    {"aclfile", kUsers},
    {"user", kUsers},
    {"requirepass", kUsers},
    {"daemonize", kProcess},
    {"supervised", kProcess},
    {"pidfile", kProcess},
    {"logfile", kProcess},
    {"include", "every setting must be seen to be checked: write them into redis.parameters"},
    {"rename-command", kRename},
    {"cluster-enabled", "Redis Cluster elects by itself"},
    {"shutdown-on-sigterm", "mainstay-shim stops the server by SIGTERM"},
    {"aof-timestamp-enabled",
     "the length of the append-only file tells how far it reaches; times in it do not count"},
    {"enable-debug-command", "DEBUG can change the data behind the election's back"},
    {"enable-protected-configs", "protected settings are the agent's"},
};

// What is set unless the user sets it (sources of the values: docs/REDIS.md).
constexpr std::pair<const char*, const char*> kPresets[] = {
    {"repl-diskless-sync", "yes"}, {"repl-diskless-sync-delay", "0"},
    {"repl-backlog-size", "64mb"}, {"repl-backlog-ttl", "0"},
    {"repl-timeout", "30"},        {"tcp-keepalive", "60"},
    {"shutdown-timeout", "5"},     {"latency-monitor-threshold", "100"},
    {"slowlog-max-len", "1024"},   {"acllog-max-len", "1024"},
};

// One argument of redis.conf. Inside double quotes only \ and " need a backslash.
std::string Quote(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// "900 1 300 10" are four arguments; "" is one that is empty.
std::string Arguments(absl::string_view value) {
  const std::vector<absl::string_view> words = absl::StrSplit(value, ' ', absl::SkipEmpty());
  if (words.empty()) return "\"\"";
  return absl::StrJoin(words, " ",
                       [](std::string* out, absl::string_view w) { absl::StrAppend(out, Quote(w)); });
}

bool IsParameterName(absl::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    const unsigned char u = static_cast<unsigned char>(c);
    return absl::ascii_islower(u) || absl::ascii_isdigit(u) || c == '-' || c == '_';
  });
}

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

// "" : it is another rule.
absl::string_view PasswordFileOf(absl::string_view rule) {
  return absl::ConsumePrefix(&rule, kPasswordsRule) ? rule : absl::string_view();
}

bool IsRelative(absl::string_view rule) {
  return absl::StartsWith(rule, kPasswordsRule) && !absl::StartsWith(PasswordFileOf(rule), "/");
}

// What stands in an ACL file in a line of its own must be visible and without blanks.
absl::StatusOr<std::vector<std::string>> PasswordRules(absl::string_view text) {
  std::vector<std::string> out;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) continue;
    const bool plain = std::all_of(line.begin(), line.end(),
                                   [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); });
    if (!plain || line.size() > kMaxUserPassword)
      return absl::FailedPreconditionError(
          "want passwords of 1 to 512 visible ASCII characters without blanks");
    out.push_back(absl::StrCat(">", line));
  }
  if (out.empty() || out.size() > kMaxUserPasswords)
    return absl::FailedPreconditionError(
        absl::StrCat("want 1 to ", kMaxUserPasswords, " passwords, a line each"));
  return out;
}

}  // namespace

const char* ReasonOfProtected(absl::string_view name) {
  const auto* it =
      std::find_if(std::begin(kKept), std::end(kKept), [&](const Kept& k) { return name == k.name; });
  return it == std::end(kKept) ? nullptr : it->why;
}

ConfProblem CheckParameter(absl::string_view name, absl::string_view value) {
  if (!IsParameterName(name))
    return {"is no name of a parameter", "write it in lower case as in redis.conf, such as maxmemory-policy"};
  if (const char* why = ReasonOfProtected(name))
    return {absl::StrCat("is kept by Mainstay: ", why), "remove it"};
  if (value.size() > kMaxValue) return {absl::StrCat("is longer than ", kMaxValue, " bytes"), "shorten it"};
  if (HasControl(value)) return {"has a line break or another control character", "leave it out"};
  return {};
}

std::string CheckParameters(const std::map<std::string, std::string>& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    const ConfProblem problem = CheckParameter(name, value);
    if (problem.what.empty()) continue;
    absl::StrAppend(&out, out.empty() ? "" : "\n", "redis.parameters.", name, " ", problem.what, "; ",
                    problem.remedy);
  }
  return out;
}

absl::StatusOr<std::string> BuildConf(const ConfInput& input) {
  const Options& o = *input.options;
  const Settings& s = *input.settings;
  const std::string problems = CheckParameters(s.parameters);
  if (!problems.empty()) return absl::InvalidArgumentError(problems);
  const std::optional<HostPort> announced = ParseHostPort(o.db_address);
  if (!announced.has_value())
    return absl::InvalidArgumentError(
        absl::StrCat("advertise.database = '", o.db_address, "': want host:port"));
  std::string out =
      "# Written by Mainstay before each start: changes are lost. Settings belong into the section redis of "
      "its configuration.\n";
  const auto line = [&](absl::string_view name, absl::string_view value) {
    absl::StrAppend(&out, name, " ", Arguments(value), "\n");
  };
  for (const auto& [name, value] : kPresets)
    if (s.parameters.count(name) == 0) line(name, value);
  for (const auto& [name, value] : s.parameters) {
    if (input.late_aof && name == "appendonly") continue;
    line(name, value);
  }
  if (input.late_aof) line("appendonly", "no");
  line("port", absl::StrCat(o.port));
  line("bind", o.bind);
  absl::StrAppend(&out, "unixsocket ", Quote(o.socket), "\nunixsocketperm 700\n");
  absl::StrAppend(&out, "dir ", Quote(o.data_dir), "\naclfile ", Quote(AclPath(o)), "\n");
  line("replica-announce-ip", announced->host);
  line("replica-announce-port", absl::StrCat(announced->port));
  line("min-replicas-to-write", absl::StrCat(s.min_replicas));
  line("replica-read-only", "yes");
  // Closed until the election opens it.
  line("replica-serve-stale-data", "no");
  line("replicaof", "127.0.0.1 1");
  return out;
}

absl::StatusOr<AclUsers> ParseUsers(absl::string_view text) {
  AclUsers out;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const auto wrong = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", what));
    };
    if (HasControl(line)) return wrong("has a control character; separate by blanks");
    std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() < 2 || words[0] != "user") return wrong("want: user NAME RULE...");
    const std::string name = words[1];
    if (absl::StartsWith(name, kReserved))
      return wrong("names that begin with mainstay- are Mainstay's own; choose another");
    if (words.size() > kMaxRules) return wrong("too many rules");
    for (const auto& [known, rules] : out)
      if (known == name) return wrong("the user is there twice; tell all of it in one line");
    words.erase(words.begin(), words.begin() + 2);
    if (std::any_of(words.begin(), words.end(), IsRelative))
      return wrong("passwords= names no absolute path of a file");
    out.emplace_back(name, std::move(words));
    if (out.size() > kMaxUsers) return wrong("too many users; at most 256");
  }
  return out;
}

std::vector<std::string> PasswordFiles(const AclUsers& users) {
  std::vector<std::string> out;
  for (const auto& [name, rules] : users)
    for (const std::string& rule : rules)
      if (const absl::string_view path = PasswordFileOf(rule); !path.empty()) out.emplace_back(path);
  return out;
}

absl::StatusOr<AclUsers> WithPasswords(
    AclUsers users, const std::function<absl::StatusOr<std::string>(const std::string& path)>& read) {
  for (auto& [name, rules] : users) {
    std::vector<std::string> next;
    for (std::string& rule : rules) {
      const std::string path(PasswordFileOf(rule));
      if (path.empty()) {
        next.push_back(std::move(rule));
        continue;
      }
      MAINSTAY_ASSIGN_OR_RETURN(const std::string text, read(path));
      const auto found = PasswordRules(text);
      if (!found.ok())
        return absl::FailedPreconditionError(
            absl::StrCat("the password file ", path, " of user ", name, ": ", found.status().message()));
      next.insert(next.end(), found->begin(), found->end());
    }
    rules = std::move(next);
  }
  return users;
}

AclUsers ClientUsers(const AclUsers& from_file, bool have_file) {
  AclUsers out = from_file;
  const bool told = std::any_of(out.begin(), out.end(), [](const auto& u) { return u.first == "default"; });
  if (told) return out;
  if (have_file) {
    out.emplace_back("default", std::vector<std::string>{"off"});
  } else {
    out.emplace_back("default", std::vector<std::string>{"on", "nopass", "~*", "&*", "+@all", "-@admin"});
  }
  return out;
}

// The least that worked on 7.0.15; no key can be read, and none but the probe's be written.
std::vector<std::string> AgentRules(const std::string& password) {
  std::vector<std::string> out = {
      "on",  absl::StrCat(">", password), "resetkeys", absl::StrCat("~", kProbeKey), "resetchannels", "-@all",
      "+del"};
  for (const char* command :
       {"ping",         "info",          "role",        "replicaof",   "failover",     "client",
        "config|get",   "config|set",    "acl|setuser", "acl|deluser", "acl|users",    "acl|getuser",
        "acl|log",      "slowlog",       "latency",     "bgsave",      "bgrewriteaof", "lastsave",
        "memory|stats", "memory|doctor", "dbsize",      "command"})
    out.push_back(absl::StrCat("+", command));
  return out;
}

std::vector<std::string> PeerRules(const std::string& password) {
  return {"on",   absl::StrCat(">", password), "resetkeys", "resetchannels", "-@all", "+ping", "+info",
          "+role"};
}

std::vector<std::string> ReplicationRules(const std::string& password) {
  return {"on",   absl::StrCat(">", password), "resetkeys", "resetchannels", "-@all", "+psync", "+replconf",
          "+ping"};
}

std::string FormatAcl(const AclUsers& users) {
  std::string out;
  for (const auto& [name, rules] : users)
    absl::StrAppend(&out, "user ", name, " ", absl::StrJoin(rules, " "), "\n");
  return out;
}

std::string ConfPath(const Options& o) { return o.data_dir + ".conf"; }
std::string AclPath(const Options& o) { return o.data_dir + ".acl"; }
std::string AgentPasswordPath(const Options& o) { return o.data_dir + ".mainstay.secret"; }
std::string HeldPath(const Options& o) { return o.data_dir + ".mainstay.held.json"; }
std::string MemoryPath(const Options& o) { return o.data_dir + ".mainstay.json"; }
std::string LockPath(const Options& o) { return o.data_dir + ".mainstay.lock"; }

}  // namespace mainstay::engine::redis
