#include "test/integration/engine/cluster.h"

#include <dirent.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "lib/base/file.h"

namespace mainstay::engine::postgres {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

std::string BinDir() {
  if (const char* given = getenv("MAINSTAY_PG_BIN"); given != nullptr) return given;
  for (int major = 17; major >= 13; --major) {
    std::string dir = absl::StrCat("/usr/lib/postgresql/", major, "/bin");
    if (access((dir + "/postgres").c_str(), X_OK) == 0) return dir;
  }
  return "";
}

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

}  // namespace

double Ms(Duration d) { return static_cast<double>(d.count()) / 1e6; }

void Say(const std::string& figure, std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  std::cout << "FIGURE " << figure << ": median " << ms[ms.size() / 2] << " ms, min " << ms.front()
            << ", max " << ms.back() << " (n=" << ms.size() << ")\n";
}

// ---- one node ----

Node::Node(std::string node_name, const std::string& root, const std::string& password_file)
    : name(std::move(node_name)), dir(absl::StrCat(root, "/", name)) {
  mkdir(dir.c_str(), 0700);
  mkdir((dir + "/run").c_str(), 0700);
  options.member = name;
  options.shim_socket = dir + "/shim/shim.sock";
  options.data_dir = dir + "/data";
  options.bin_dir = BinDir();
  options.socket_dir = dir + "/run";
  options.port = FreePort();
  options.password_file = password_file;
  options.db_address = absl::StrCat("127.0.0.1:", options.port);
  options.settings.parameters = {{"max_connections", "30"}, {"shared_buffers", "16MB"}};
  StartShim();
  StartEngine();
}

Node::~Node() {
  engine.reset();
  if (shim != nullptr) EXPECT_OK(shim->Kill(In(seconds(5))));
  KillShim();
}

void Node::StartShim() {
  const std::string shared = DirName(options.password_file);
  shim_pid = fork();
  if (shim_pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool root = getuid() == 0;
    if (root && (seteuid(0) != 0 || setegid(0) != 0)) _exit(125);
    const int log = open((dir + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    dup2(log, 1);
    dup2(log, 2);
    // The scratch directory is the database's user's, also for a shim that is root.
    std::vector<const char*> argv = {
        MAINSTAY_SHIM,           "--socket",   options.shim_socket.c_str(), "--bin-dir",
        options.bin_dir.c_str(), "--data-dir", options.data_dir.c_str(),    "--path",
        shared.c_str()};
    if (root) argv.insert(argv.end(), {"--user", "postgres"});
    argv.push_back(nullptr);
    execv(MAINSTAY_SHIM, const_cast<char* const*>(argv.data()));
    _exit(127);
  }
  shim = std::make_unique<shim::Client>(options.shim_socket);
  for (const MonoTime until = In(seconds(5));
       BootClock().Now() < until && !shim->Connect(In(seconds(1))).ok();) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_OK(shim->GetState(In(seconds(1))));
}

void Node::KillShim() {
  if (shim_pid <= 0) return;
  // It is root when we started as root.
  const uid_t me = geteuid();
  if (getuid() == 0) {
    EXPECT_EQ(seteuid(0), 0);
  }
  kill(shim_pid, SIGKILL);
  if (getuid() == 0) {
    EXPECT_EQ(seteuid(me), 0);
  }
  waitpid(shim_pid, nullptr, 0);
  shim_pid = 0;
}

void Node::StartEngine() {
  engine.reset();
  auto made = PostgresEngine::Create(options);
  ASSERT_OK(made);
  engine = *std::move(made);
}

election::Member Node::AsMember() {
  election::Member m;
  m.name = name;
  m.db_address = options.db_address;
  m.data_nonce = Probe().data_nonce;
  return m;
}

void Node::Arm(election::Epoch epoch) { EXPECT_OK(shim->Arm(In(seconds(500)), epoch, In(seconds(1)))); }

std::string Node::LogTail() {
  std::ifstream in(dir + "/log");
  std::string all((std::istreambuf_iterator<char>(in)), {});
  return all.size() > 3000 ? all.substr(all.size() - 3000) : all;
}

std::string Node::Sql(const std::string& sql, const std::string& pg_options) {
  PGconn* c =
      PQconnectdb(absl::StrCat("host=", options.socket_dir, " port=", options.port,
                               " user=postgres dbname=postgres connect_timeout=5 options='", pg_options, "'")
                      .c_str());
  PGresult* r = PQexec(c, sql.c_str());
  std::string out;
  if (PQresultStatus(r) == PGRES_TUPLES_OK) {
    if (PQntuples(r) > 0) out = PQgetvalue(r, 0, 0);
  } else if (PQresultStatus(r) != PGRES_COMMAND_OK) {
    ADD_FAILURE() << name << ": " << sql << ": " << PQerrorMessage(c);
  }
  PQclear(r);
  PQfinish(c);
  return out;
}

std::string Node::TrySql(const std::string& sql, Duration within, std::string* value) {
  Connection c(nullptr);
  const MonoTime deadline = In(within);
  absl::Status status = c.Connect({{"host", options.socket_dir},
                                   {"port", std::to_string(options.port)},
                                   {"user", "postgres"},
                                   {"dbname", "postgres"}},
                                  deadline);
  if (!status.ok()) return status.ToString();
  const auto rows = c.Query(sql.c_str(), {}, deadline);
  if (!rows.ok()) return rows.status().ToString();
  if (value != nullptr) *value = rows->text(0, 0);
  return "";
}

std::vector<pid_t> Node::Processes() {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (pid.empty() || !isdigit(pid[0])) continue;
    std::error_code error;
    if (std::filesystem::read_symlink(entry.path() / "cwd", error) == options.data_dir && !error)
      out.push_back(atoi(pid.c_str()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

pid_t Node::Find(const std::string& title, pid_t inside) {
  const auto read = [](pid_t p, const char* what) {
    std::ifstream in(absl::StrCat("/proc/", p, "/", what));
    return std::string((std::istreambuf_iterator<char>(in)), {});
  };
  for (const pid_t p : Processes()) {
    if (read(p, "cmdline").find(title) == std::string::npos) continue;
    const std::string status = read(p, "status");
    const size_t at = status.find("NSpid:");
    const std::string ids = at == std::string::npos ? "" : status.substr(at, status.find('\n', at) - at);
    if (inside == 0 || (ids.size() > 1 && ids.substr(ids.rfind('\t') + 1) == std::to_string(inside)))
      return p;
  }
  return 0;
}

// ---- the cluster ----

Cluster::Cluster() {
  char name[] = "/tmp/mainstay-engine-XXXXXX";
  root = mkdtemp(name);
  for (const char* n : {"a", "b", "c"}) nodes.push_back(std::make_unique<Node>(n, root, root + "/passwords"));
}

Cluster::~Cluster() {
  nodes.clear();
  if (testing::Test::HasFailure()) {
    std::cout << "kept for a look: " << root << "\n";
  } else {
    std::error_code error;
    std::filesystem::remove_all(root, error);
  }
}

std::vector<election::Member> Cluster::Members() {
  std::vector<election::Member> out;
  for (auto& n : nodes) out.push_back(n->AsMember());
  return out;
}

election::Memory Cluster::MemoryOf(election::Epoch epoch) {
  election::Memory m;
  m.max_epoch = m.promised = epoch;
  m.cluster_id = cluster_id;
  return m;
}

election::Engine Cluster::Op(election::EngineOp op, election::Epoch epoch, std::vector<election::Name> sync,
                             int32_t k) {
  election::Engine out;
  out.op = op;
  out.epoch = epoch;
  out.sync.names = std::move(sync);
  out.sync.k = k;
  out.peers = Members();
  out.memory = MemoryOf(epoch);
  return out;
}

void Cluster::FollowAndStream(Node& standby, Node& leader, election::Epoch epoch) {
  absl::Status status;
  for (const MonoTime until = In(seconds(30)); BootClock().Now() < until;) {
    status = standby.engine->Follow(leader.AsMember(), epoch, cluster_id, In(seconds(30)));
    if (!absl::IsUnavailable(status)) break;
    std::this_thread::sleep_for(milliseconds(20));
  }
  ASSERT_TRUE(status.ok()) << status << "\n" << standby.LogTail();
  // Streaming is also said at the end of an older timeline, just before the switch: caught up is what counts
  // here.
  const uint64_t end = leader.Probe().offset;
  standby.ProbeUntil([&](const auto& r) {
    return r.streaming_from == leader.name && r.streaming_epoch == epoch && r.offset >= end;
  });
}

void Cluster::Open(int standbys, int32_t k) {
  Node& a = *nodes[0];
  const auto id = a.engine->Found(In(seconds(60)));
  ASSERT_TRUE(id.ok()) << id.status() << "\n" << a.LogTail();
  cluster_id = *id;
  a.Arm(1);
  const auto opened = a.engine->Reopen(Op(election::EngineOp::kReopen, 1), In(seconds(20)));
  ASSERT_TRUE(opened.ok()) << opened.status() << "\n" << a.LogTail();
  a.Sql("CREATE TABLE t (i int PRIMARY KEY)");
  std::vector<election::Name> names;
  for (int i = 1; i <= standbys; ++i) {
    FollowAndStream(*nodes[static_cast<size_t>(i)], a, 1);
    names.push_back(nodes[static_cast<size_t>(i)]->name);
  }
  if (k > 0) ASSERT_OK(a.engine->SetSync(Op(election::EngineOp::kSetSync, 1, names, k), In(seconds(10))));
}

// ---- load ----

Load::Load(Node* node, int start) : node_(node), next_(start), thread_([this] { Run(); }) {}

void Load::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

std::set<int> Load::acked() {
  const std::lock_guard<std::mutex> guard(mutex_);
  return acked_;
}
int Load::count() { return static_cast<int>(acked().size()); }

void Load::Run() {
  while (!stop_) {
    Connection c(nullptr);
    const ConnectOptions options = {{"host", node_->options.socket_dir},
                                    {"port", std::to_string(node_->options.port)},
                                    {"user", "postgres"},
                                    {"dbname", "postgres"}};
    if (!c.Connect(options, In(milliseconds(500))).ok()) {
      std::this_thread::sleep_for(milliseconds(5));
      continue;
    }
    while (!stop_ && c.open()) {
      const int i = next_;
      absl::Status sent = c.Send("INSERT INTO t VALUES ($1::int)", {std::to_string(i)});
      while (sent.ok()) {
        const auto done = c.Await(In(milliseconds(100)));
        if (absl::IsDeadlineExceeded(done.status()) && !stop_) continue;
        sent = done.status();
        break;
      }
      next_++;  // one that failed may be there or not: not to be tried again
      if (!sent.ok()) break;
      const std::lock_guard<std::mutex> guard(mutex_);
      acked_.insert(i);
    }
  }
}

}  // namespace mainstay::engine::postgres
