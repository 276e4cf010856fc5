#include "agent/shim/options.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shim/install.h"

namespace mainstay::shimd {
namespace {

constexpr const char* kUsage =
    "mainstay-shim: starts, stops and fences the database of this container (docs/SHIM.md)\n"
    "  --socket PATH             unix socket to serve; its directory is made if missing and must be private "
    "(0700)\n"
    "  --engine ENGINE           the database: postgresql (default), redis or rabbitmq\n"
    "  --bin-dir DIR             where postgres, initdb, pg_rewind, ... are, or redis-server, or "
    "rabbitmq-server\n"
    "  --data-dir DIR            the data directory, a subdirectory of its volume\n"
    "  --user NAME|UID:GID       whom database and tools run as (needed when the shim is root)\n"
    "  --allow-uid UID           whose connections to accept besides root, the shim's and the database's "
    "user; repeatable\n"
    "  --mode MODE               auto (default) | container (be PID 1 or refuse) | namespace (make one) | "
    "session (last resort)\n"
    "  --set NAME=VALUE          fixed parameter of the database (postgres -c, redis-server --NAME, "
    "RABBITMQ_NAME in\n"
    "                            rabbitmq-server's environment); repeatable\n"
    "  --path DIR                tools may also name files below DIR (certificates); repeatable\n"
    "  --private-socket-dir DIR  unix_socket_directories of an isolated start (default: the data directory's "
    "parent)\n"
    "  --log FILE                the database's output goes there (default: to the agent, and to the shim's "
    "own\n"
    "                            standard error while no agent reads it)\n"
    "  --stop-timeout SECONDS    after SIGTERM: how long a fast shutdown may take before everything is "
    "killed (60)\n"
    "  --term-wait SECONDS       after SIGTERM: how long to leave the stopping to the agent, for a "
    "switchover (0)\n"
    "  --horizon SECONDS         farthest deadline accepted (600)\n"
    "  --allow-inside            accept clients of the database's own PID namespace (debugging only)\n"
    "  --install DIR             put a copy of this program into DIR and end (for a pod's init container)\n"
    "  --options FILE            more of these, one 'NAME VALUE' a line, # for comments; may be given once\n"
    "  --version, --help\n";

char g_file[4096];
char g_parent[1024];
char g_home[512];

// /etc/passwd or /etc/group in memory that is given back: every resident page of the shim stays locked.
class BigFile {
 public:
  explicit BigFile(const char* path) {
    void* p = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return;
    text_ = static_cast<char*>(p);
    if (ReadSmallFile(path, text_, kSize) < 0) text_[0] = 0;
  }
  ~BigFile() {
    if (text_ != nullptr) munmap(text_, kSize);
  }
  BigFile(const BigFile&) = delete;
  BigFile& operator=(const BigFile&) = delete;
  const char* text() const { return text_ != nullptr ? text_ : ""; }

 private:
  static constexpr size_t kSize = 1 << 20;
  char* text_ = nullptr;
};

struct Raw {  // what was given, before it is checked
  const char* engine = "postgresql";
  const char* options_file = nullptr;
};

int64_t Number(const char* name, const char* value, int64_t min, int64_t max) {
  int64_t out = 0;
  char a[24], b[24];
  if (!ParseNumber(value, min, max, &out)) {
    Complain(name, ": not a number in range: ", value);
    Die(Decimal(min, a), " to ", Decimal(max, b));
  }
  return out;
}

WantedMode ParseMode(const char* v) {
  if (strcmp(v, "auto") == 0) return WantedMode::kAuto;
  if (strcmp(v, "container") == 0) return WantedMode::kContainer;
  if (strcmp(v, "namespace") == 0) return WantedMode::kNamespace;
  if (strcmp(v, "session") == 0) return WantedMode::kSession;
  Die("--mode: auto, container, namespace or session, not ", v);
}

// One option without its dashes. False: unknown.
bool Apply(const char* name, const char* value, Options* o, Raw* raw) {
  struct Plain {
    const char* name;
    const char** to;
  } plain[] = {
      {"socket", &o->socket},
      {"engine", &raw->engine},
      {"bin-dir", &o->bin_dir},
      {"data-dir", &o->paths.data_dir},
      {"user", &o->user},
      {"log", &o->log},
      {"private-socket-dir", &o->private_socket_dir},
      {"options", &raw->options_file},
  };
  for (auto& p : plain) {
    if (strcmp(name, p.name) == 0) return *p.to = value, true;
  }
  if (strcmp(name, "mode") == 0) return o->mode = ParseMode(value), true;
  if (strcmp(name, "stop-timeout") == 0)
    return o->stop_timeout = Number(name, value, 0, 86400) * kSecond, true;
  if (strcmp(name, "term-wait") == 0) return o->term_wait = Number(name, value, 0, 86400) * kSecond, true;
  if (strcmp(name, "horizon") == 0) return o->horizon = Number(name, value, 1, 86400) * kSecond, true;
  if (strcmp(name, "set") == 0) {
    if (strchr(value, '=') == nullptr || o->set_count == kMaxSets)
      Die("--set: NAME=VALUE, at most 16 times: ", value);
    return o->sets[o->set_count++] = value, true;
  }
  if (strcmp(name, "path") == 0) {
    if (value[0] != '/' || o->paths.extra_count == kMaxPaths)
      Die("--path: an absolute directory, at most 8 times: ", value);
    return o->paths.extra[o->paths.extra_count++] = value, true;
  }
  if (strcmp(name, "allow-uid") == 0) {
    if (o->allowed_count == kMaxAllowed) Die("--allow-uid: at most 8 times");
    return o->allowed[o->allowed_count++] = static_cast<uid_t>(Number(name, value, 0, 4294967293)), true;
  }
  return false;
}

bool IsFlag(const char* name, Options* o) {
  if (strcmp(name, "allow-inside") == 0) return o->allow_inside = true;
  return false;
}

void ReadOptionsFile(const char* path, Options* o, Raw* raw) {
  if (ReadSmallFile(path, g_file, sizeof g_file) < 0)
    Die("--options: cannot read (or larger than 4095 bytes): ", path);
  char* line = g_file;
  while (line != nullptr && *line != 0) {
    char* next = strchr(line, '\n');
    if (next != nullptr) *next++ = 0;
    while (*line == ' ' || *line == '-') ++line;
    if (*line != 0 && *line != '#') {
      char* value = line + strcspn(line, " =");
      if (*value != 0) *value++ = 0;
      while (*value == ' ') ++value;
      if (!IsFlag(line, o) && !Apply(line, value, o, raw)) Die("--options: unknown name in the file: ", line);
    }
    line = next;
  }
}

void ReadFlags(int argc, char** argv, Options* o, Raw* raw) {
  for (int i = 1; i < argc; ++i) {
    const char* arg = argv[i];
    if (strcmp(arg, "--help") == 0) {
      if (write(1, kUsage, strlen(kUsage)) < 0) _exit(1);
      _exit(0);
    }
    if (strcmp(arg, "--version") == 0) {
      constexpr char kText[] = "mainstay-shim " MAINSTAY_SHIM_VERSION ", protocol 1\n";
      if (write(1, kText, sizeof kText - 1) < 0) _exit(1);
      _exit(0);
    }
    if (strncmp(arg, "--", 2) != 0) Die("unexpected argument (see --help): ", arg);
    if (IsFlag(arg + 2, o)) continue;
    char name[32] = {};
    const char* eq = strchr(arg, '=');
    const size_t n = eq != nullptr ? static_cast<size_t>(eq - arg) - 2 : strlen(arg) - 2;
    if (n >= sizeof name) Die("unknown option (see --help): ", arg);
    memcpy(name, arg + 2, n);
    const char* value = eq != nullptr ? eq + 1 : (i + 1 < argc ? argv[++i] : nullptr);
    if (value == nullptr) Die("option without a value: ", arg);
    if (strcmp(name, "install") == 0) Install(value);
    if (!Apply(name, value, o, raw)) Die("unknown option (see --help): ", arg);
  }
}

// Field `index` of a colon-separated line; returns its start and length.
const char* Field(const char* line, int index, size_t* n) {
  for (; index > 0; --index) {
    line += strcspn(line, ":\n");
    if (*line != ':') return *n = 0, line;
    ++line;
  }
  *n = strcspn(line, ":\n");
  return line;
}

bool FieldNumber(const char* line, int index, int64_t* out) {
  size_t n = 0;
  const char* f = Field(line, index, &n);
  char text[20] = {};
  if (n == 0 || n >= sizeof text) return false;
  memcpy(text, f, n);
  return ParseNumber(text, 0, 4294967294, out);
}

bool FieldIs(const char* line, int index, const char* want) {
  size_t n = 0;
  const char* f = Field(line, index, &n);
  return n == strlen(want) && memcmp(f, want, n) == 0;
}

const char* NextLine(const char* line) {
  line += strcspn(line, "\n");
  return *line == '\n' ? line + 1 : line;
}

// Supplementary groups of /etc/group (getgrouplist would pull NSS into a static program).
void ReadGroups(const char* user, Options* o) {
  const BigFile file("/etc/group");
  for (const char* line = file.text(); *line != 0; line = NextLine(line)) {
    size_t n = 0;
    const char* list = Field(line, 3, &n);
    const char* end = list + n;
    while (list < end && o->group_count < kMaxGroups) {
      size_t len = strcspn(list, ",\n");
      int64_t gid = 0;
      if (len == strlen(user) && memcmp(list, user, len) == 0 && FieldNumber(line, 2, &gid)) {
        o->groups[o->group_count++] = static_cast<gid_t>(gid);
      }
      list += len + 1;
    }
  }
}

bool FindUser(Options* o, bool by_name, int64_t uid) {
  const BigFile file("/etc/passwd");
  for (const char* line = file.text(); *line != 0; line = NextLine(line)) {
    int64_t have_uid = 0, have_gid = 0;
    if (!FieldNumber(line, 2, &have_uid) || !FieldNumber(line, 3, &have_gid)) continue;
    if (by_name ? !FieldIs(line, 0, o->user) : have_uid != uid) continue;
    o->uid = static_cast<uid_t>(have_uid);
    o->gid = static_cast<gid_t>(have_gid);
    size_t n = 0;
    const char* home = Field(line, 5, &n);
    if (n < sizeof g_home) {
      memcpy(g_home, home, n);
      g_home[n] = 0;
      o->home = g_home;
    }
    return true;
  }
  return false;
}

void FindIdentity(Options* o) {
  o->uid = geteuid();
  o->gid = getegid();
  if (o->user[0] == 0) {
    if (o->uid == 0) Die("--user is needed when the shim is root: the database must not run as root");
    FindUser(o, false, o->uid);
    o->uid = geteuid();
    o->gid = getegid();
    return;
  }
  int64_t uid = 0, gid = 0;
  const char* colon = strchr(o->user, ':');
  if (colon != nullptr) {
    char text[20] = {};
    if (colon - o->user < 19) memcpy(text, o->user, static_cast<size_t>(colon - o->user));
    if (!ParseNumber(text, 1, 4294967293, &uid) || !ParseNumber(colon + 1, 0, 4294967293, &gid))
      Die("--user: NAME or UID:GID, not ", o->user);
    o->uid = static_cast<uid_t>(uid);
    o->gid = static_cast<gid_t>(gid);
  } else if (!FindUser(o, true, 0)) {
    Die("--user: not in /etc/passwd: ", o->user);
  } else {
    ReadGroups(o->user, o);
  }
  if (o->uid == 0) Die("--user: the database must not run as root");
  o->drop = geteuid() == 0;
  if (!o->drop && o->uid != geteuid())
    Die("--user: only root can run the database as another user: ", o->user);
}

void MakeEnvironment(char** environ_in, Options* o) {
  constexpr const char* kPrefixes[] = {"LANG=", "LANGUAGE=", "LC_", "TZ=", "PATH=", "PG", "ICU_DATA="};
  // Passwords and files that name programs or options of a session do not belong into the database's
  // environment.
  constexpr const char* kRefused[] = {"PGPASSWORD=", "PGPASSFILE=", "PGDATA=", "PGSERVICE", "PGOPTIONS="};
  static char home[600], path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  bool have_path = false;
  for (char** e = environ_in; *e != nullptr; ++e) {
    bool good = false;
    for (const char* p : kPrefixes) good = good || strncmp(*e, p, strlen(p)) == 0;
    for (const char* p : kRefused) good = good && strncmp(*e, p, strlen(p)) != 0;
    if (!good || o->env_count + 4 > kMaxEnv) continue;
    have_path = have_path || strncmp(*e, "PATH=", 5) == 0;
    o->env[o->env_count++] = *e;
  }
  if (!have_path) o->env[o->env_count++] = path;
  Text(home, sizeof home).Add("HOME=").Add(o->home);
  o->env[o->env_count++] = home;
  o->env[o->env_count] = nullptr;
}

void AddEnv(const char* text, Options* o) {
  if (o->env_count + 1 >= kMaxEnv) Die("too many variables for the database's environment, from ", text);
  o->env[o->env_count++] = text;
  o->env[o->env_count] = nullptr;
}

bool BeginsWithOneOf(const char* text, const char* const* list, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (strncmp(text, list[i], strlen(list[i])) == 0) return true;
  }
  return false;
}

// rabbitmq-server reads everything but its parameters from its environment. What is ours to say comes last
// and is not taken from outside: files beside the data, whose parent is its home (the cookie's place).
void MakeRabbitEnvironment(char** environ_in, Options* o) {
  constexpr const char* kPrefixes[] = {"LANG=", "LANGUAGE=", "LC_", "TZ=", "PATH=", "RABBITMQ_", "ERL_"};
  // RABBITMQ_LOGS would undo the JSON lines on the console; Kubernetes' own variables of a Service named
  // rabbitmq are no settings; the rest is fixed below.
  constexpr const char* kRefused[] = {"RABBITMQ_LOGS=",
                                      "RABBITMQ_SASL_LOGS=",
                                      "RABBITMQ_CONF_ENV_FILE=",
                                      "RABBITMQ_CONFIG_FILE",
                                      "RABBITMQ_MNESIA_",
                                      "RABBITMQ_ENABLED_PLUGINS",
                                      "RABBITMQ_FEATURE_FLAGS_FILE=",
                                      "RABBITMQ_PLUGINS_EXPAND_DIR=",
                                      "RABBITMQ_GENERATED_CONFIG_DIR=",
                                      "RABBITMQ_LOG_BASE=",
                                      "RABBITMQ_ALLOW_INPUT=",
                                      "RABBITMQ_ERLANG_COOKIE=",
                                      "RABBITMQ_PID_FILE=",
                                      "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=",
                                      "RABBITMQ_SERVICE_",
                                      "RABBITMQ_PORT"};
  constexpr const char* kArguments = "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=";
  static char fixed[12][1200], sets[kMaxSets][300];
  static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  static char input[] = "RABBITMQ_ALLOW_INPUT=1";  // the program becomes the broker's process itself
  static char no_file[] = "RABBITMQ_CONF_ENV_FILE=/dev/null";
  const char* more_arguments = "";
  bool have_path = false;
  for (char** e = environ_in; *e != nullptr; ++e) {
    if (strncmp(*e, kArguments, strlen(kArguments)) == 0) more_arguments = *e + strlen(kArguments);
    if (!BeginsWithOneOf(*e, kPrefixes, sizeof kPrefixes / sizeof *kPrefixes) ||
        BeginsWithOneOf(*e, kRefused, sizeof kRefused / sizeof *kRefused))
      continue;
    have_path = have_path || strncmp(*e, "PATH=", 5) == 0;
    AddEnv(*e, o);
  }
  if (!have_path) AddEnv(path, o);
  for (size_t i = 0; i < o->set_count; ++i) {
    if (!Text(sets[i], sizeof sets[i]).Add("RABBITMQ_").Add(o->sets[i]).ok())
      Die("--set: too long: ", o->sets[i]);
    if (BeginsWithOneOf(sets[i], kRefused, sizeof kRefused / sizeof *kRefused))
      Die("--set: Mainstay keeps this for itself: ", o->sets[i]);
    AddEnv(sets[i], o);
  }
  const char* data = o->paths.data_dir;
  const char* const beside[][3] = {{"HOME=", o->paths.parent, ""},
                                   {"RABBITMQ_MNESIA_BASE=", o->paths.parent, ""},
                                   {"RABBITMQ_MNESIA_DIR=", data, ""},
                                   {"RABBITMQ_FEATURE_FLAGS_FILE=", data, "-feature_flags"},
                                   {"RABBITMQ_PLUGINS_EXPAND_DIR=", data, "-plugins-expand"},
                                   {"RABBITMQ_GENERATED_CONFIG_DIR=", data, "-config"},
                                   {"RABBITMQ_LOG_BASE=", data, ".log"},
                                   {"RABBITMQ_CONFIG_FILE=", data, ".conf"},
                                   {"RABBITMQ_CONFIG_FILES=", data, ".conf.d/*.conf"},
                                   {"RABBITMQ_ENABLED_PLUGINS_FILE=", data, ".plugins"},
                                   {"RABBITMQ_PID_FILE=", data, ".pid"},
                                   {kArguments, "-noinput ", more_arguments}};
  size_t n = 0;
  for (const auto& b : beside) {
    if (!Text(fixed[n], sizeof fixed[n]).Add(b[0]).Add(b[1]).Add(b[2]).ok()) Die("too long: ", b[0], b[1]);
    AddEnv(fixed[n++], o);
  }
  AddEnv(input, o);
  AddEnv(no_file, o);
}

void CheckDirectories(Options* o) {
  const char* data = o->paths.data_dir;
  if (o->socket[0] != '/') Die("--socket: an absolute path is needed, not ", o->socket);
  if (strlen(o->socket) > 100)
    Die("--socket: longer than the 100 bytes that a unix socket can have: ", o->socket);
  if (o->bin_dir[0] != '/') Die("--bin-dir: an absolute path is needed, not ", o->bin_dir);
  const size_t n = strlen(data);
  if (data[0] != '/' || n < 2 || n > 900 || data[n - 1] == '/' || strstr(data, "/.") != nullptr ||
      strstr(data, "//") != nullptr) {
    Die("--data-dir: an absolute path without '.', '..', hidden or empty parts is needed, not ", data);
  }
  const char* slash = strrchr(data, '/');
  if (slash == data)
    Die("--data-dir: must be a subdirectory of its volume, because it is swapped by rename: ", data);
  memcpy(g_parent, data, static_cast<size_t>(slash - data));
  g_parent[slash - data] = 0;
  o->paths.parent = g_parent;
  if (o->private_socket_dir[0] == 0) o->private_socket_dir = g_parent;
}

}  // namespace

void ReadOptions(int argc, char** argv, char** environ_in, Options* o) {
  Raw raw;
  ReadFlags(argc, argv, o, &raw);
  if (raw.options_file != nullptr) ReadOptionsFile(raw.options_file, o, &raw);
  if (strcmp(raw.engine, "redis") == 0) {
    o->engine = Engine::kRedis;
  } else if (strcmp(raw.engine, "rabbitmq") == 0) {
    o->engine = Engine::kRabbitmq;
  } else if (strcmp(raw.engine, "postgresql") != 0) {
    Die("--engine: postgresql, redis or rabbitmq, not ", raw.engine);
  }
  CheckDirectories(o);
  FindIdentity(o);
  const uid_t always[] = {geteuid(), o->uid, 0};
  for (uid_t uid : always) {
    // In a user namespace of our own, strangers of the outside show as the overflow uid: never allowed (see
    // server.cc).
    if (o->allowed_count < kMaxAllowed) o->allowed[o->allowed_count++] = uid;
  }
  if (o->engine == Engine::kRabbitmq) {
    MakeRabbitEnvironment(environ_in, o);
  } else {
    MakeEnvironment(environ_in, o);
  }
}

}  // namespace mainstay::shimd
