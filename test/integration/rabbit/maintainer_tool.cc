// The maintenance of one member as a program, for tests: in place of the agent's faces, unix sockets.
//
//   rabbit_maintainer_tool CONFIG.json
//   {"name":"n1","node":"rmq1@localhost","members":[{"name":"n1","node":"rmq1@localhost"},...],"run":DIR,
//    "data_dir":DIR,"note":FILE,"cookie":FILE,"epmd_port":N,"fast":true}
//   DIR/keeper-NAME.sock   whoever owns the broker's process (test/integration/rabbit_keeper.py): one line of
//   JSON each way DIR/facts-NAME.sock    this program tells its facts to whoever connects
//
// Commands on standard input, one a line: status | wish | unwish | ending | remove NAME | remove_lost NAME |
// force_boot NAME ID | reinitialize ID | quit. Answers: one line of JSON each. What is done and decided goes
// to standard error.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <future>
#include <iostream>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "lib/base/file.h"
#include "lib/base/json.h"
#include "lib/base/result.h"
#include "lib/base/wall_clock.h"
#include "lib/erlang/session.h"
#include "lib/lease/file_store.h"
#include "lib/maintenance/maintainer.h"

namespace mainstay::maintenance {
namespace {

sockaddr_un Address(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  std::strncpy(out.sun_path, path.c_str(), sizeof(out.sun_path) - 1);
  return out;
}

// Sends `text` and reads until the far end closes, or a line when `line`.
absl::StatusOr<std::string> Exchange(const std::string& path, const std::string& text, Duration timeout) {
  const MonoTime end = BootClock().Now() + timeout;
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un to = Address(path);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0)
    return absl::UnavailableError(absl::StrCat("nobody at ", path));
  if (!text.empty() && send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0)
    return absl::UnavailableError("sending");
  std::string out;
  char buffer[4096];
  while (true) {
    pollfd p{fd.get(), POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - BootClock().Now()).count();
    if (left <= 0 || poll(&p, 1, static_cast<int>(left)) <= 0)
      return absl::DeadlineExceededError("no answer");
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0) return absl::UnavailableError("reading");
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
  }
}

class Keeper : public BrokerPort {
 public:
  Keeper(std::string path, std::string node) : path_(std::move(path)), node_(std::move(node)) {}
  absl::StatusOr<Process> Look() override {
    MAINSTAY_ASSIGN_OR_RETURN(const Json answer, Ask({{"do", "look"}}));
    return Process{answer.value("running", false), answer.value("start", "")};
  }
  absl::Status Start(const StartPlan& plan) override {
    return Ask({{"do", "start"}, {"conf", engine::rabbitmq::FormationConf(plan, node_)}}).status();
  }
  absl::Status Stop() override { return Ask({{"do", "stop"}}).status(); }

 private:
  absl::StatusOr<Json> Ask(const Json& what) {
    MAINSTAY_ASSIGN_OR_RETURN(const std::string text,
                              Exchange(path_, DumpJson(what) + "\n", std::chrono::seconds(5)));
    MAINSTAY_ASSIGN_OR_RETURN(Json answer, ParseJson(text, 64 * 1024));
    if (answer.contains("error")) return absl::UnavailableError(answer["error"].dump());
    return answer;
  }
  const std::string path_, node_;
};

class Peers : public PeersPort {
 public:
  explicit Peers(std::string run) : run_(std::move(run)) {}
  std::vector<absl::StatusOr<std::string>> AskFacts(const std::vector<std::string>& names,
                                                    Duration timeout) override {
    std::vector<absl::StatusOr<std::string>> out;
    for (const std::string& n : names)
      out.push_back(Exchange(absl::StrCat(run_, "/facts-", n, ".sock"), "", timeout));
    return out;
  }

 private:
  const std::string run_;
};

// Answers each that connects with the facts; nothing when there are none.
class FactsServer {
 public:
  FactsServer(const std::string& path, Maintainer* maintainer) : maintainer_(*maintainer) {
    unlink(path.c_str());
    listen_ = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un at = Address(path);
    if (bind(listen_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0 ||
        listen(listen_.get(), 8) != 0)
      std::cerr << "cannot listen at " << path << "\n";
    thread_ = std::thread([this] { Serve(); });
  }
  ~FactsServer() {
    stop_ = true;
    thread_.join();
  }

 private:
  void Serve() {
    while (!stop_) {
      pollfd p{listen_.get(), POLLIN, 0};
      if (poll(&p, 1, 200) <= 0) continue;
      const UniqueFd fd(accept4(listen_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const auto facts = maintainer_.Facts();
      if (facts.ok()) (void)!send(fd.get(), facts->data(), facts->size(), MSG_NOSIGNAL);
    }
  }
  Maintainer& maintainer_;
  UniqueFd listen_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

Json StatusJson(const MaintainerStatus& s) {
  return {{"leading", s.leading},
          {"leader", s.leader},
          {"row", s.row},
          {"sentence", s.sentence},
          {"own_row", s.own_row},
          {"own_sentence", s.own_sentence},
          {"in_service", s.in_service},
          {"facts", Json::parse(EncodeFacts(s.facts))},
          {"memory", s.memory ? Json::parse(EncodeMemory(*s.memory)) : Json()},
          {"trouble", s.trouble},
          {"findings", s.findings}};
}

MaintainerOptions OptionsOf(const Json& c) {
  MaintainerOptions o;
  o.name = c["name"];
  o.node = c["node"];
  for (const Json& m : c["members"]) o.members.push_back({m["name"], m["node"]});
  o.data_dir = c["data_dir"];
  o.note = c["note"];
  o.settings.quiet = std::chrono::seconds(c.value("quiet", 5));
  o.elector.cluster = "rabbit-test";
  o.elector.name = o.name;
  o.elector.act = std::chrono::milliseconds(3500);
  o.elector.lease = std::chrono::milliseconds(8000);
  o.elector.validity = std::chrono::milliseconds(4000);
  o.elector.renew = std::chrono::milliseconds(1000);
  o.stand_again = std::chrono::seconds(12);
  o.tell = [](const char* row, const std::string& sentence) {
    std::cerr << UnixMillis() << " " << row << ": " << sentence << std::endl;
  };
  return o;
}

absl::Status AskLeader(Maintainer* m, Request request) {
  auto answer = std::make_shared<std::promise<absl::Status>>();
  auto future = answer->get_future();
  m->Ask(std::move(request), [answer](const absl::Status& s) { answer->set_value(s); });
  if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready)
    return absl::DeadlineExceededError("no answer in 30 s");
  return future.get();
}

Json Command(Maintainer* m, const std::vector<std::string>& w) {
  using K = Request::Kind;
  if (w[0] == "status") return StatusJson(m->Status());
  if (w[0] == "wish" || w[0] == "unwish") {
    m->Wish(w[0] == "wish");
    return {{"ok", true}};
  }
  if (w[0] == "ending") {
    m->Ending();
    return {{"ok", true}};
  }
  const std::string a = w.size() > 1 ? w[1] : "", b = w.size() > 2 ? w[2] : "";
  absl::Status s = absl::InvalidArgumentError("no such command");
  if (w[0] == "remove") s = AskLeader(m, {K::kRemove, a, ""});
  if (w[0] == "remove_lost") s = AskLeader(m, {K::kRemoveLost, a, ""});
  if (w[0] == "force_boot") s = AskLeader(m, {K::kForceBoot, a, b});
  if (w[0] == "reinitialize") s = AskLeader(m, {K::kReinitialize, "", a});
  return {{"ok", s.ok()}, {"message", std::string(s.message())}};
}

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: rabbit_maintainer_tool CONFIG.json\n";
    return 2;
  }
  const auto text = ReadFile(argv[1], 64 * 1024);
  const auto config = text.ok() ? ParseJson(*text, 64 * 1024) : text.status();
  if (!config.ok()) {
    std::cerr << config.status() << "\n";
    return 2;
  }
  const Json& c = *config;
  const std::string run = c["run"], name = c["name"], node = c["node"];
  auto lock = lease::FileStore::Open(run + "/lock");
  auto memory = lease::FileStore::Open(run + "/memory");
  if (!lock.ok() || !memory.ok()) return 2;
  erlang::ClientOptions client{.node = node, .self = erlang::MakeSelf(node), .cookie_file = c["cookie"]};
  client.epmd_port = c["epmd_port"];
  erlang::Session session(client);
  Keeper keeper(absl::StrCat(run, "/keeper-", name, ".sock"), node);
  Peers peers(run);
  Maintainer maintainer(OptionsOf(c), {lock->get(), memory->get(), &keeper, &peers, &session});
  if (const absl::Status s = maintainer.Start(); !s.ok()) {
    std::cerr << s << "\n";
    return 2;
  }
  {
    const FactsServer server(absl::StrCat(run, "/facts-", name, ".sock"), &maintainer);
    for (std::string line; std::getline(std::cin, line) && line != "quit";) {
      std::istringstream in(line);
      std::vector<std::string> words;
      for (std::string w; in >> w;) words.push_back(w);
      if (words.empty()) continue;
      std::cout << Command(&maintainer, words).dump(-1, ' ', false, Json::error_handler_t::replace)
                << std::endl;
    }
  }
  maintainer.Stop();
  return 0;
}

}  // namespace
}  // namespace mainstay::maintenance

int main(int argc, char** argv) { return mainstay::maintenance::Main(argc, argv); }
