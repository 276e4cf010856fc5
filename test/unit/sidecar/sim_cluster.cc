#include "test/unit/sidecar/sim_cluster.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "lib/base/strings.h"

namespace mainstay::agent {

using election::Name;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// Calls between drivers, 1 ms each way.
class SimLink : public PeerLink {
 public:
  SimLink(SimCluster* cluster, Name self) : cluster_(cluster), self_(std::move(self)) {}
  void Report(const std::string& address, const election::PeerReport& report, Duration timeout,
              Done<election::PeerReport> done) override {
    Call<election::PeerReport>(address, timeout, std::move(done),
                               [report](Driver& d, const std::function<void(election::PeerReport)>& reply) {
                                 d.OnReport(report, reply);
                               });
  }
  void Freeze(const std::string& address, const election::FreezeAsked& asked, Duration timeout,
              Done<election::FreezeAnswered> done) override {
    Call<election::FreezeAnswered>(address, timeout, std::move(done),
                                   [asked](Driver& d, std::function<void(election::FreezeAnswered)> reply) {
                                     d.OnFreeze(asked, std::move(reply));
                                   });
  }
  void Promise(const std::string& address, const election::PromiseAsked& asked, Duration timeout,
               Done<election::PromiseAnswered> done) override {
    Call<election::PromiseAnswered>(address, timeout, std::move(done),
                                    [asked](Driver& d, std::function<void(election::PromiseAnswered)> reply) {
                                      d.OnPromise(asked, std::move(reply));
                                    });
  }
  void Keep(const std::vector<std::string>&) override {}

 private:
  template <typename T>
  void Call(const std::string& address, Duration timeout, Done<T> done,
            std::function<void(Driver&, std::function<void(T)>)> call) {
    SimLoop& loop = cluster_->loop();
    auto once = std::make_shared<Done<T>>(std::move(done));
    const auto finish = [once](absl::StatusOr<T> answer) {
      if (*once) std::exchange(*once, nullptr)(std::move(answer));
    };
    loop.At(loop.Now() + timeout, [finish] { finish(absl::DeadlineExceededError("no answer in time")); });
    loop.At(loop.Now() + milliseconds(1), [this, address, finish, call] {
      SimCluster::Node* node = cluster_->ByAddress(address);
      if (node == nullptr || !node->up) return finish(absl::UnavailableError("nobody there"));
      if (node->frozen || !cluster_->reachable(self_, node->name)) return;  // silence
      call(*node->driver, [this, finish, from = node->name](T answer) {
        SimLoop& l = cluster_->loop();
        l.At(l.Now() + milliseconds(1), [this, finish, from, answer] {
          if (cluster_->reachable(from, self_)) finish(answer);
        });
      });
    });
  }
  SimCluster* const cluster_;
  const Name self_;
};

}  // namespace

SimCluster::Node::~Node() {
  driver.reset();
  audit.reset();
  if (audit_fd >= 0) close(audit_fd);
}

SimCluster::SimCluster(Options options)
    : options_(options),
      world_(std::make_shared<engine::FakeWorld>(&loop_)),
      cell_(std::make_shared<lease::MemoryCell>()) {
  for (int i = 0; i < options_.members; ++i) {
    auto node = std::make_unique<Node>();
    node->name = std::string(1, static_cast<char>('a' + i));
    node->address = "sim:" + node->name;
    nodes_[node->name] = std::move(node);
  }
}

SimCluster::~SimCluster() {
  for (auto& [name, node] : nodes_) {
    if (node->driver != nullptr) node->driver->Stop();
    if (node->fence != nullptr) node->fence->Attach(nullptr);
  }
}

std::vector<Name> SimCluster::names() const {
  std::vector<Name> out;
  for (const auto& [name, node] : nodes_) out.push_back(name);
  return out;
}

std::shared_ptr<const election::Settings> SimCluster::Settings(const Name& name) {
  auto s = std::make_shared<election::Settings>();
  s->cluster = "sim";
  // As the sidecar does it: the incarnation is the shim's, so it outlives a restart of the agent.
  if (shim_nonce_[name] == 0) shim_nonce_[name] = next_nonce_++;
  s->identity = name + "_u_" + std::to_string(shim_nonce_[name]);
  s->self.name = name;
  s->self.peer_address = node(name).address;
  s->self.db_address = "db:" + name;
  for (const auto& [other, node] : nodes_) {
    if (other != name) s->expected.push_back(other);
  }
  s->durability = options_.durability;
  s->takeover = options_.takeover;
  if (options_.fast) {
    s->lease = seconds(3);
    s->validity = milliseconds(2000);
    s->fence = milliseconds(900);
    s->renew = milliseconds(500);
    s->suspicion = milliseconds(1000);
    s->freeze_wait = milliseconds(500);
  }
  EXPECT_EQ(election::CheckTiming(*s), "");
  return s;
}

void SimCluster::StartAll() {
  for (const Name& name : names()) StartAgent(name);
}

void SimCluster::StartAgent(const Name& name) {
  Node& old = node(name);
  if (old.up) StopAgent(name);
  auto fresh = std::make_unique<Node>();
  Node& n = *fresh;
  n.name = name;
  n.address = old.address;
  n.generation = old.generation + 1;
  n.store = std::make_shared<lease::FaultStore>(std::make_unique<lease::MemoryStore>(cell_), lease::Faults(),
                                                7 + name[0]);
  n.engine = std::make_unique<engine::FakeEngine>(world_, name, "db:" + name);
  n.fence = old.fence != nullptr ? std::move(old.fence) : std::make_unique<SimFence>(&loop_, world_, name);
  n.store_worker = std::make_unique<SimWorker>(&loop_, milliseconds(2));
  n.engine_worker = std::make_unique<SimWorker>(&loop_, milliseconds(10));
  n.link = std::make_unique<SimLink>(this, name);
  n.instruments = std::make_unique<metrics::AgentInstruments>();
  DriverOptions options;
  options.settings = Settings(name);
  for (const auto& [other, node] : nodes_) {
    if (other != name) options.configured[other] = node->address;
  }
  options.heartbeat = milliseconds(options_.fast ? 200 : 500);
  options.engine.probe_interval = milliseconds(options_.fast ? 200 : 500);
  options.engine.deadlines.probe = milliseconds(500);
  options.engine.deadlines.follow = seconds(20);
  options.engine.health.interval = options.engine.probe_interval;
  options.engine.health.hung_after = milliseconds(options_.fast ? 1000 : 3000);
  static NoRolePublisher nobody;
  DriverParts parts;
  parts.loop = &loop_;
  parts.store_worker = n.store_worker.get();
  parts.store = n.store.get();
  parts.engine_worker = n.engine_worker.get();
  parts.engine = n.engine.get();
  parts.fence = n.fence.get();
  parts.peers = n.link.get();
  parts.publisher = &nobody;
  parts.instruments = n.instruments.get();
  if (options_.audit) {
    n.audit_fd = memfd_create("audit", MFD_CLOEXEC);
    n.audit = std::make_unique<audit::Log>(n.audit_fd, audit::Identity());
    parts.audit = n.audit.get();
  }
  n.driver = std::make_unique<Driver>(options, parts, *n.engine->LoadMemory());
  n.up = true;
  dead_.push_back(std::exchange(nodes_[name], std::move(fresh)));
  n.fence->Attach(n.driver.get());
  n.driver->Start();
  n.fence->Connect(true);
  Watch(name, n.generation);
}

int SimCluster::Audited(const Name& name, const std::vector<std::string>& texts) {
  Node& n = node(name);
  n.audit->Flush(BootClock().Now() + seconds(10));
  std::string all(static_cast<size_t>(lseek(n.audit_fd, 0, SEEK_END)), 0);
  if (pread(n.audit_fd, all.data(), all.size(), 0) != static_cast<ssize_t>(all.size())) return -1;
  int found = 0;
  for (const absl::string_view line : absl::StrSplit(all, '\n')) {
    if (std::all_of(texts.begin(), texts.end(), [&](const auto& t) { return absl::StrContains(line, t); }))
      ++found;
  }
  return found;
}

void SimCluster::StopAgent(const Name& name) {
  Node& n = node(name);
  if (!n.up) return;
  n.up = false;
  n.fence->Attach(nullptr);
  n.store_worker->Die();
  n.engine_worker->Die();
  n.driver->Stop();
}

void SimCluster::KillNode(const Name& name) {
  StopAgent(name);
  world_->Kill(name);
  shim_nonce_[name] = 0;
}

void SimCluster::Freeze(const Name& name) {
  Node& n = node(name);
  n.frozen = true;
  n.fence->Attach(nullptr);
  n.store_worker->Die();
  n.engine_worker->Die();
  n.driver->Stop();
}

void SimCluster::Cut(const Name& a, const Name& b, bool cut) {
  world_->Cut(a, b, cut);
  const auto link = std::make_pair(std::min(a, b), std::max(a, b));
  if (cut) {
    cut_.insert(link);
  } else {
    cut_.erase(link);
  }
}

bool SimCluster::reachable(const Name& from, const Name& to) const {
  return cut_.count({std::min(from, to), std::max(from, to)}) == 0;
}

SimCluster::Node* SimCluster::ByAddress(const std::string& address) {
  for (auto& [name, node] : nodes_) {
    if (node->address == address) return node.get();
  }
  return nullptr;
}

void SimCluster::Watch(const Name& name, int generation) {
  Node& n = node(name);
  if (!n.up || n.frozen || n.generation != generation) return;
  loop_.At(loop_.Now() + milliseconds(10), [this, name, generation] { Watch(name, generation); });
  int64_t ignored = 0;
  const lease::StoreAnswer answer = n.store->inner().Read(loop_.Now());
  if (answer.outcome == election::StoreOutcome::kOk && answer.version == n.seen) return;
  election::StoreDone read = ToStoreDone(answer, &ignored);
  const std::string version = read.outcome == election::StoreOutcome::kNotFound ? "" : read.version;
  if (version == n.seen) return;
  n.seen = version;
  election::RecordSeen seen;
  seen.version = version;
  seen.record = std::move(read.record);
  n.driver->Handle(std::move(seen));
}

Name SimCluster::Primary() {
  const std::vector<Name> writable = world_->Writable();
  if (writable.size() != 1) return "";
  const Node& n = node(writable[0]);
  return n.up && n.driver->state().phase == election::Phase::kPrimary ? writable[0] : "";
}

bool SimCluster::Converged(size_t members) {
  const Name primary = Primary();
  if (primary.empty()) return false;
  const election::State& s = driver(primary).state();
  size_t streaming = 0;
  for (const auto& b : s.standbys) streaming += b.streaming ? 1 : 0;
  const bool voters =
      s.set->durability == election::Durability::kAsync || s.view->voters.size() + 1 >= members;
  return streaming + 1 >= members && voters && s.view->members.size() >= members;
}

std::optional<Duration> SimCluster::WaitPrimary(Duration bound, const Name& not_this) {
  const MonoTime begin = loop_.Now();
  const bool found = loop_.RunUntilTrue(bound, [&] {
    const Name primary = Primary();
    return !primary.empty() && primary != not_this;
  });
  if (!found) return std::nullopt;
  return loop_.Now() - begin;
}

bool SimCluster::WaitConverged(size_t members, Duration bound) {
  return loop_.RunUntilTrue(bound, [&] { return Converged(members); });
}

void SimCluster::Load(Duration d) {
  const MonoTime end = loop_.Now() + d;
  while (loop_.Now() < end) {
    loop_.RunFor(milliseconds(1));
    int acknowledging = 0;
    for (const Name& name : world_->Writable()) acknowledging += world_->Write(name) ? 1 : 0;
    ASSERT_LE(acknowledging, 1) << "two databases acknowledged at the same time\n" << Dump();
  }
}

bool SimCluster::HasAll(const Name& name) {
  const std::vector<uint64_t> log = world_->Log(name);
  const std::set<uint64_t> there(log.begin(), log.end());
  for (const uint64_t id : world_->Acknowledged()) {
    if (there.count(id) == 0) return false;
  }
  return true;
}

rpc::AdminAnswer SimCluster::Ask(const Name& at, rpc::AdminVerb verb, const Name& target, Duration bound,
                                 const std::string& id) {
  rpc::AdminCommand command;
  command.id = id.empty() ? "request-" + std::to_string(next_request_++) : id;
  command.verb = verb;
  command.target = target;
  command.deadline = loop_.Now() + bound;
  std::optional<rpc::AdminAnswer> answer;
  driver(at).Submit(command, [&answer](rpc::AdminAnswer a) { answer = std::move(a); });
  loop_.RunUntilTrue(bound + seconds(1), [&] { return answer.has_value(); });
  EXPECT_TRUE(answer.has_value());
  return answer.value_or(rpc::AdminAnswer());
}

std::string SimCluster::Dump() {
  std::string out;
  for (auto& [name, n] : nodes_) {
    if (n->driver == nullptr) continue;
    const election::State& s = n->driver->state();
    out += name + (n->up ? " up " : " down ") + election::ToString(s.phase) + " db " + ToString(s.db.state) +
           (s.db.writable ? " writable" : "") + " verdict " + s.attempt.verdict + "\n";
    for (const auto& d : n->driver->journal().decisions()) out += "    " + d.row + ": " + d.facts + "\n";
  }
  return out;
}

}  // namespace mainstay::agent
