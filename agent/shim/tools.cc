#include "agent/shim/tools.h"

#include <string.h>

#include "agent/shim/sys.h"

namespace mainstay::shimd {
namespace {

using shim::wire::Tool;

constexpr Option kInitdb[] = {
    {"-D", "--pgdata", Value::kPath},
    {"-k", "--data-checksums", Value::kNone},
    {"-E", "--encoding", Value::kWord},
    {"", "--locale", Value::kWord},
    {"", "--no-locale", Value::kNone},
    {"", "--lc-collate", Value::kWord},
    {"", "--lc-ctype", Value::kWord},
    {"", "--lc-messages", Value::kWord},
    {"", "--lc-monetary", Value::kWord},
    {"", "--lc-numeric", Value::kWord},
    {"", "--lc-time", Value::kWord},
    {"", "--locale-provider", Value::kWord},
    {"", "--icu-locale", Value::kWord},
    {"-A", "--auth", Value::kWord},
    {"", "--auth-local", Value::kWord},
    {"", "--auth-host", Value::kWord},
    {"-U", "--username", Value::kWord},
    {"", "--pwfile", Value::kPath},
    {"", "--wal-segsize", Value::kNumber},
    {"-X", "--waldir", Value::kPath},
    {"", "--no-instructions", Value::kNone},
    {"-N", "--no-sync", Value::kNone},
    {"-T", "--text-search-config", Value::kWord},
    {"-g", "--allow-group-access", Value::kNone},
    {"-V", "--version", Value::kNone},
};
constexpr Option kBasebackup[] = {
    {"-D", "--pgdata", Value::kPath},
    {"-d", "--dbname", Value::kConninfo},
    {"-X", "--wal-method", Value::kWord},
    {"-c", "--checkpoint", Value::kWord},
    {"-P", "--progress", Value::kNone},
    {"-S", "--slot", Value::kWord},
    {"-C", "--create-slot", Value::kNone},
    {"", "--no-slot", Value::kNone},
    {"-R", "--write-recovery-conf", Value::kNone},
    {"-r", "--max-rate", Value::kWord},
    {"-T", "--tablespace-mapping", Value::kMapping},
    {"", "--waldir", Value::kPath},
    {"-N", "--no-sync", Value::kNone},
    {"-l", "--label", Value::kWord},
    {"", "--manifest-checksums", Value::kWord},
    {"", "--no-verify-checksums", Value::kNone},
    {"-v", "--verbose", Value::kNone},
    {"-w", "--no-password", Value::kNone},
    {"-V", "--version", Value::kNone},
};
constexpr Option kRewind[] = {
    {"-D", "--target-pgdata", Value::kPath},
    {"", "--source-server", Value::kConninfo},
    {"", "--source-pgdata", Value::kPath},
    {"-P", "--progress", Value::kNone},
    {"-n", "--dry-run", Value::kNone},
    {"-N", "--no-sync", Value::kNone},
    {"-c", "--restore-target-wal", Value::kNone},
    {"-R", "--write-recovery-conf", Value::kNone},
    {"", "--config-file", Value::kPath},
    {"", "--no-ensure-shutdown", Value::kNone},
    {"", "--debug", Value::kNone},
    {"-V", "--version", Value::kNone},
};
constexpr Option kControldata[] = {{"-D", "--pgdata", Value::kPath}, {"-V", "--version", Value::kNone}};
constexpr Option kWaldump[] = {
    {"-p", "--path", Value::kPath},    {"-t", "--timeline", Value::kNumber},
    {"-s", "--start", Value::kLsn},    {"-e", "--end", Value::kLsn},
    {"-n", "--limit", Value::kNumber}, {"-r", "--rmgr", Value::kWord},
    {"-x", "--xid", Value::kNumber},   {"-q", "--quiet", Value::kNone},
    {"-z", "--stats", Value::kNone},   {"-b", "--bkp-details", Value::kNone},
    {"-V", "--version", Value::kNone},
};
constexpr Option kChecksums[] = {
    {"-D", "--pgdata", Value::kPath},     {"-c", "--check", Value::kNone},
    {"-e", "--enable", Value::kNone},     {"-d", "--disable", Value::kNone},
    {"-f", "--filenode", Value::kNumber}, {"-N", "--no-sync", Value::kNone},
    {"-P", "--progress", Value::kNone},   {"-v", "--verbose", Value::kNone},
    {"-V", "--version", Value::kNone},
};
// Only to ask for a parameter: -C is required, and with it postgres prints and ends without opening the
// database.
constexpr Option kPostgresC[] = {{"-D", "", Value::kPath}, {"-C", "", Value::kWord}};
constexpr Option kVerifybackup[] = {
    {"-e", "--exit-on-error", Value::kNone}, {"-i", "--ignore", Value::kWord},
    {"-m", "--manifest-path", Value::kPath}, {"-n", "--no-parse-wal", Value::kNone},
    {"-q", "--quiet", Value::kNone},         {"-s", "--skip-checksums", Value::kNone},
    {"-w", "--wal-directory", Value::kPath}, {"-V", "--version", Value::kNone},
};

#define MAINSTAY_OPTIONS(table) table, sizeof(table) / sizeof(table[0])
constexpr ToolSpec kTools[] = {
    {Tool::kInitdb, "initdb", MAINSTAY_OPTIONS(kInitdb), Value::kNone, 0, true, ""},
    {Tool::kBasebackup, "pg_basebackup", MAINSTAY_OPTIONS(kBasebackup), Value::kNone, 0, false, ""},
    {Tool::kRewind, "pg_rewind", MAINSTAY_OPTIONS(kRewind), Value::kNone, 0, true, ""},
    {Tool::kControldata, "pg_controldata", MAINSTAY_OPTIONS(kControldata), Value::kPath, 1, false, ""},
    {Tool::kWaldump, "pg_waldump", MAINSTAY_OPTIONS(kWaldump), Value::kWalFile, 2, false, ""},
    {Tool::kChecksums, "pg_checksums", MAINSTAY_OPTIONS(kChecksums), Value::kNone, 0, true, ""},
    {Tool::kPostgresC, "postgres", MAINSTAY_OPTIONS(kPostgresC), Value::kNone, 0, false, "-C"},
    {Tool::kVerifybackup, "pg_verifybackup", MAINSTAY_OPTIONS(kVerifybackup), Value::kPath, 1, false, ""},
    {Tool::kSwapData, "", nullptr, 0, Value::kSibling, 1, true, ""},
    {Tool::kRemoveStale, "", nullptr, 0, Value::kSibling, 1, false, ""},
};
#undef MAINSTAY_OPTIONS

constexpr const char* kConnWords[] = {
    "host",
    "hostaddr",
    "port",
    "user",
    "dbname",
    "application_name",
    "sslmode",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "channel_binding",
    "ssl_min_protocol_version",
    "sslsni",
    "target_session_attrs",
    "gssencmode",
    "fallback_application_name",
    "replication",
};
constexpr const char* kConnPaths[] = {"passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl"};

bool IsAlnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool IsHex(char c) { return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9'); }

bool IsOneOf(const char* key, size_t n, const char* const* list, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (strlen(list[i]) == n && memcmp(list[i], key, n) == 0) return true;
  }
  return false;
}

bool AllOf(const char* text, size_t min, size_t max, bool (*good)(char)) {
  size_t n = strlen(text);
  if (n < min || n > max) return false;
  for (size_t i = 0; i < n; ++i) {
    if (!good(text[i])) return false;
  }
  return true;
}

bool IsBelow(const char* path, const char* root) {
  size_t n = strlen(root);
  return n > 0 && strncmp(path, root, n) == 0 && path[n] == '/' && path[n + 1] != 0;
}

// Absolute, printable, no "." or ".." or empty component.
bool IsSanePath(const char* path) {
  if (path[0] != '/' || strlen(path) > 1024) return false;
  for (const char* p = path; *p != 0; ++p) {
    if (static_cast<unsigned char>(*p) < 0x20) return false;
    if (*p != '/') continue;
    if (p[1] == '/' || (p[1] == 0 && p != path)) return false;
    if (p[1] == '.' && (p[2] == '/' || p[2] == 0)) return false;
    if (p[1] == '.' && p[2] == '.' && (p[3] == '/' || p[3] == 0)) return false;
  }
  return true;
}

bool CheckPath(const PathRules& rules, const char* path) {
  if (!IsSanePath(path)) return false;
  if (IsBelow(path, rules.parent)) return true;
  for (size_t i = 0; i < rules.extra_count; ++i) {
    if (IsBelow(path, rules.extra[i])) return true;
  }
  return false;
}

bool CheckSibling(const PathRules& rules, const char* path) {
  size_t n = strlen(rules.data_dir);
  if (!IsSanePath(path) || strncmp(path, rules.data_dir, n) != 0 || path[n] != '.') return false;
  return AllOf(path + n + 1, 1, 64, [](char c) { return IsAlnum(c) || c == '.' || c == '_' || c == '-'; });
}

bool CheckWord(const char* text) {
  if (text[0] == '-' || text[0] == '/') return false;
  return AllOf(text, 1, 128,
               [](char c) { return IsAlnum(c) || (c != 0 && strchr("_.,:+@-", c) != nullptr); });
}

bool CheckMapping(const PathRules& rules, const char* text) {
  const char* eq = strchr(text, '=');
  if (eq == nullptr || eq == text || eq - text > 1024 ||
      memchr(text, '\\', static_cast<size_t>(eq - text)) != nullptr)
    return false;
  char old_path[1025];
  memcpy(old_path, text, static_cast<size_t>(eq - text));
  old_path[eq - text] = 0;
  return IsSanePath(old_path) && CheckPath(rules, eq + 1);
}

bool CheckLsn(const char* text) {
  const char* slash = strchr(text, '/');
  if (slash == nullptr || slash == text || slash - text > 8 || strlen(slash + 1) < 1 || strlen(slash + 1) > 8)
    return false;
  for (const char* p = text; *p != 0; ++p) {
    if (p != slash && !IsHex(*p)) return false;
  }
  return true;
}

// One value of a connection string, plain or in single quotes; escapes are refused (nothing we send needs
// one).
const char* ReadConnValue(const char* p, char* out, size_t size) {
  size_t n = 0;
  bool quoted = *p == '\'';
  if (quoted) ++p;
  for (; *p != 0 && (quoted ? *p != '\'' : *p != ' '); ++p) {
    if (*p == '\\' || *p == '\'' || static_cast<unsigned char>(*p) < 0x20 || n + 1 >= size) return nullptr;
    out[n++] = *p;
  }
  if (quoted && *p++ != '\'') return nullptr;
  if (*p != 0 && *p != ' ') return nullptr;
  out[n] = 0;
  return p;
}

bool CheckConninfo(const PathRules& rules, const char* p) {
  // Not even inside a value: nothing that could be read as a second connection string or leads out of a
  // directory.
  if (strstr(p, "password=") != nullptr || strstr(p, "/../") != nullptr) return false;
  char value[1025];
  int pairs = 0;
  for (;;) {
    while (*p == ' ') ++p;
    if (*p == 0) return pairs > 0;
    const char* key = p;
    while ((*p >= 'a' && *p <= 'z') || *p == '_') ++p;
    const size_t n = static_cast<size_t>(p - key);
    if (*p != '=') return false;
    p = ReadConnValue(p + 1, value, sizeof value);
    if (p == nullptr) return false;
    if (IsOneOf(key, n, kConnPaths, sizeof kConnPaths / sizeof *kConnPaths)) {
      if (!CheckPath(rules, value)) return false;
    } else if (!IsOneOf(key, n, kConnWords, sizeof kConnWords / sizeof *kConnWords)) {
      return false;
    } else if (n == 6 && memcmp(key, "dbname", 6) == 0 &&
               (strchr(value, '=') != nullptr || strstr(value, "://") != nullptr)) {
      return false;  // libpq expands a dbname that looks like a connection string: it could bring a password
    }
    ++pairs;
  }
}

const Option* FindOption(const ToolSpec& spec, const char* name, size_t n) {
  for (size_t i = 0; i < spec.option_count; ++i) {
    const Option& o = spec.options[i];
    if (strlen(o.brief) == n && n > 0 && memcmp(o.brief, name, n) == 0) return &o;
    if (strlen(o.full) == n && n > 0 && memcmp(o.full, name, n) == 0) return &o;
  }
  return nullptr;
}

}  // namespace

const ToolSpec* FindTool(Tool tool) {
  for (const ToolSpec& spec : kTools) {
    if (spec.tool == tool) return &spec;
  }
  return nullptr;
}

bool CheckValue(Value type, const PathRules& rules, const char* text) {
  switch (type) {
    case Value::kNone:
      return false;
    case Value::kPath:
      return CheckPath(rules, text);
    case Value::kWord:
      return CheckWord(text);
    case Value::kNumber:
      return AllOf(text, 1, 18, [](char c) { return c >= '0' && c <= '9'; });
    case Value::kConninfo:
      return CheckConninfo(rules, text);
    case Value::kMapping:
      return CheckMapping(rules, text);
    case Value::kLsn:
      return CheckLsn(text);
    case Value::kWalFile:
      return AllOf(text, 24, 24, IsHex);
    case Value::kSibling:
      return CheckSibling(rules, text);
  }
  return false;
}

int CheckArguments(const ToolSpec& spec, const PathRules& rules, const char* const* args, size_t argc) {
  bool required = spec.required[0] == 0;
  size_t positional = 0;
  for (size_t i = 0; i < argc; ++i) {
    const char* arg = args[i];
    if (arg[0] != '-') {
      if (++positional > spec.max_positional || !CheckValue(spec.positional, rules, arg))
        return static_cast<int>(i);
      continue;
    }
    const char* eq = arg[1] == '-' ? strchr(arg, '=') : nullptr;
    const size_t n = eq != nullptr ? static_cast<size_t>(eq - arg) : strlen(arg);
    const Option* option = FindOption(spec, arg, n);
    if (option == nullptr) return static_cast<int>(i);
    if (strlen(spec.required) == n && memcmp(spec.required, arg, n) == 0) required = true;
    if (option->value == Value::kNone) {
      if (eq != nullptr) return static_cast<int>(i);
      continue;
    }
    const char* value = eq != nullptr ? eq + 1 : (i + 1 < argc ? args[++i] : "");
    if (!CheckValue(option->value, rules, value)) return static_cast<int>(i);
  }
  // Directory work always needs its one argument.
  if (spec.program[0] == 0 && positional != 1) return -1;
  return required ? kAllowed : -1;
}

}  // namespace mainstay::shimd
