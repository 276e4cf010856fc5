#include "test/integration/engine_redis/cluster.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/file.h"

namespace mainstay::engine::redis {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

uint16_t FreePort() {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t n = sizeof a;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&a), n) != 0) abort();
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&a), &n) != 0) abort();
  return ntohs(a.sin_port);
}

// Does something as who started the program.
template <typename F>
void AsStarter(F work) {
  const uid_t me = geteuid();
  if (getuid() == 0) {
    EXPECT_EQ(seteuid(0), 0);
  }
  work();
  if (getuid() == 0) {
    EXPECT_EQ(seteuid(me), 0);
  }
}

std::string FirstLine(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

}  // namespace

// ---- one node ----

Node::Node(std::string node_name, const std::string& root, const Parameters& parameters)
    : name(std::move(node_name)), dir(absl::StrCat(root, "/", name)) {
  mkdir(dir.c_str(), 0700);
  mkdir((dir + "/run").c_str(), 0700);
  options.member = name;
  options.shim_socket = dir + "/shim/shim.sock";
  options.data_dir = dir + "/data";
  options.socket = dir + "/run/redis.sock";
  options.port = FreePort();
  options.replication_password_file = root + "/replication";
  options.db_address = absl::StrCat("127.0.0.1:", options.port);
  options.settings.parameters = parameters;
  const std::string log_path = dir + "/log";
  shim_pid = fork();
  if (shim_pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool is_root = getuid() == 0;
    if (is_root && (seteuid(0) != 0 || setegid(0) != 0)) _exit(125);
    const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    dup2(log, 1);
    dup2(log, 2);
    std::vector<const char*> argv = {MAINSTAY_SHIM,
                                     "--engine",
                                     "redis",
                                     "--socket",
                                     options.shim_socket.c_str(),
                                     "--bin-dir",
                                     "/usr/bin",
                                     "--data-dir",
                                     options.data_dir.c_str()};
    if (is_root) argv.insert(argv.end(), {"--user", "postgres"});
    argv.push_back(nullptr);
    execv(MAINSTAY_SHIM, const_cast<char* const*>(argv.data()));
    _exit(127);
  }
  shim = std::make_unique<shim::Client>(options.shim_socket);
  for (const MonoTime until = In(seconds(10));
       BootClock().Now() < until && !shim->Connect(In(seconds(1))).ok();) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_OK(shim->GetState(In(seconds(1))));
  StartEngine();
}

Node::~Node() {
  engine.reset();
  if (shim != nullptr) EXPECT_OK(shim->Kill(In(seconds(5))));
  if (shim_pid <= 0) return;
  AsStarter([&] { kill(shim_pid, SIGKILL); });
  waitpid(shim_pid, nullptr, 0);
}

void Node::StartEngine() {
  engine.reset();
  auto made = RedisEngine::Create(options);
  ASSERT_OK(made);
  engine = *std::move(made);
}

election::Member Node::AsMember() const {
  election::Member m;
  m.name = name;
  m.db_address = options.db_address;
  return m;
}

void Node::Arm(election::Epoch epoch) { ASSERT_OK(shim->Arm(In(seconds(60)), epoch, In(seconds(2)))); }

std::string Node::LogTail() const {
  std::ifstream in(dir + "/log");
  const std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  return all.size() > 3000 ? all.substr(all.size() - 3000) : all;
}

std::string Node::Ask(const Command& command) {
  Connection session(nullptr);
  Endpoint at;
  at.host = "127.0.0.1";
  at.port = options.port;
  if (const absl::Status met = session.Connect(at, In(seconds(2))); !met.ok())
    return "-" + std::string(met.message());
  const auto replies = session.CallAll({command}, In(seconds(5)));
  if (!replies.ok()) return "-" + std::string(replies.status().message());
  const Reply& r = replies->front();
  if (r.kind == Reply::Kind::kInteger) return absl::StrCat(r.integer);
  return r.is_error() ? "-" + r.text : r.text;
}

std::string Node::Fact(const std::string& section, const std::string& key) {
  std::string out;
  const std::string text = Ask({"INFO", section});
  const absl::Status read = ForEachInfoLine(text, [&](const InfoLine& line) {
    if (line.key == key) out = std::string(line.value);
  });
  EXPECT_OK(read);
  return out;
}

// In our PID namespace: the shim makes one of its own.
pid_t Node::Server() const {
  pid_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string id = entry.path().filename();
    if (id.find_first_not_of("0123456789") != std::string::npos) continue;
    if (FirstLine(entry.path() / "comm") != "redis-server") continue;
    const std::string title = FirstLine(entry.path() / "cmdline");
    if (absl::StrContains(title, absl::StrCat(":", options.port))) found = static_cast<pid_t>(std::stol(id));
  }
  return found;
}

void Node::SignalServer(int signal) {
  const pid_t pid = Server();
  ASSERT_NE(pid, 0);
  AsStarter([&] { EXPECT_EQ(kill(pid, signal), 0); });
}

void Node::KillServer() {
  const pid_t pid = Server();
  ASSERT_GT(pid, 0);
  AsStarter([&] { ASSERT_EQ(kill(pid, SIGKILL), 0); });
  for (const MonoTime until = In(seconds(5)); BootClock().Now() < until;) {
    const auto state = shim->GetState(In(seconds(1)));
    if (state.ok() && !state->running()) return;
    std::this_thread::sleep_for(milliseconds(5));
  }
  FAIL() << "the shim did not see the end";
}

// ---- three ----

Cluster::Cluster(Parameters parameters) {
  char path[] = "/tmp/mainstay-redis-XXXXXX";
  root = mkdtemp(path);
  for (const char* name : {"a", "b", "c"}) nodes.push_back(std::make_unique<Node>(name, root, parameters));
}

Cluster::~Cluster() {
  nodes.clear();
  std::error_code ignored;
  std::filesystem::remove_all(root, ignored);
}

election::Engine Cluster::Op(election::EngineOp op, election::Epoch epoch) {
  election::Engine out;
  out.op = op;
  out.epoch = epoch;
  out.memory = MemoryOf(epoch);
  for (const auto& node : nodes) out.peers.push_back(node->AsMember());
  return out;
}

election::Memory Cluster::MemoryOf(election::Epoch epoch) {
  election::Memory m;
  m.promised = m.max_epoch = epoch;
  return m;
}

void Cluster::Open(int replicas) {
  Node& a = *nodes[0];
  const auto id = a.engine->Found(In(seconds(10)));
  ASSERT_OK(id);
  cluster_id = *id;
  a.Arm(1);
  ASSERT_OK(a.engine->Reopen(Op(election::EngineOp::kReopen, 1), In(seconds(10))));
  for (int i = 1; i <= replicas; ++i) FollowAndStream(*nodes[static_cast<size_t>(i)], a, 1);
}

void Cluster::FollowAndStream(Node& replica, Node& leader, election::Epoch epoch) {
  ASSERT_OK(replica.engine->Follow(leader.AsMember(), epoch, cluster_id, In(seconds(20))));
  replica.ProbeUntil(
      [&](const auto& r) { return r.streaming_from == leader.name && r.streaming_epoch == epoch; });
}

void Cluster::Promote(Node& node, election::Epoch epoch) {
  ASSERT_OK(node.engine->Freeze(MemoryOf(epoch), In(seconds(5))));
  node.Arm(epoch);
  ASSERT_OK(node.engine->Promote(Op(election::EngineOp::kPromote, epoch), In(seconds(5))));
}

}  // namespace mainstay::engine::redis
