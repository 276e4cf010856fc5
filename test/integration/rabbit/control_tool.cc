// RabbitMQ's control by hand: one command a line on standard input, one line of JSON as its answer.
//
//   rabbit_control_tool NODE COOKIE_FILE ADDRESS PORT EPMD_PORT     PORT 0: epmd is asked
//   look | members | drain | forget NODE | ...                      (see Commands below)
//   raw MODULE FUNCTION [ATOM...]                                   the answer as Erlang prints it, and its
//   bytes in hex sleep MS                                                        keeps the connection alive
//   meanwhile
//
// Answers: {"ok":true,"value":...,"ms":1.2,"cpu_us":80} or
// {"ok":false,"code":"UNAVAILABLE","message":"...","ms":...}.
#include <sys/resource.h>
#include <unistd.h>

#include <functional>
#include <iostream>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "lib/engine/rabbitmq/control.h"
#include "lib/erlang/codec.h"
#include "lib/erlang/session.h"

namespace mainstay::engine::rabbitmq {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
using Result = absl::StatusOr<Json>;

int64_t CpuMicros() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1'000'000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

template <typename T>
Result Of(const absl::StatusOr<T>& value, const std::function<Json(const T&)>& to_json) {
  if (!value.ok()) return value.status();
  return to_json(*value);
}
template <typename T>
Result Plain(const absl::StatusOr<T>& value) {
  return Of<T>(value, [](const T& v) { return Json(v); });
}
Result Done(const absl::Status& status) {
  if (!status.ok()) return status;
  return Json("done");
}

Json ToJson(const std::vector<Alarm>& alarms) {
  Json out = Json::array();
  for (const Alarm& a : alarms) out.push_back({{"resource", a.resource}, {"node", a.node}});
  return out;
}

Json ToJson(const std::vector<QuorumQueue>& queues) {
  Json out = Json::array();
  for (const QuorumQueue& q : queues)
    out.push_back({{"vhost", q.vhost},
                   {"name", q.name},
                   {"members", q.members},
                   {"online", q.online},
                   {"unknown", q.unknown},
                   {"leader", q.leader}});
  return out;
}

Json ToJson(const std::vector<MemberChange>& changes) {
  Json out = Json::array();
  for (const MemberChange& c : changes)
    out.push_back({{"queue", c.queue}, {"vhost", c.vhost}, {"members", c.members}, {"error", c.error}});
  return out;
}

Json ToJson(const Check& c) {
  return {{"boot", ToString(c.boot)}, {"alarms", ToJson(c.alarms)}, {"partitions", c.partitions}};
}

Json ToJson(const ClusterMembers& m) { return {{"all", m.all}, {"running", m.running}, {"disc", m.disc}}; }

Json ToJson(const std::vector<CriticalQueue>& queues) {
  Json out = Json::array();
  for (const CriticalQueue& q : queues) out.push_back({{"name", q.name}, {"type", q.type}});
  return out;
}

Json ToJson(const std::vector<FeatureFlag>& flags) {
  Json out = Json::object();
  for (const FeatureFlag& f : flags) out[f.name] = f.enabled;
  return out;
}

template <typename T>
Result Made(const absl::StatusOr<T>& value) {
  return Of<T>(value, [](const T& v) { return ToJson(v); });
}

Result Raw(erlang::Session* session, const Words& w) {
  std::vector<erlang::Term> arguments;
  for (size_t i = 3; i < w.size(); ++i) arguments.push_back(erlang::Term::Atom(w[i]));
  return Of<erlang::Term>(session->Call(w[1], w[2], std::move(arguments)), [](const erlang::Term& t) {
    return Json{{"text", t.ToString(4000)}, {"hex", absl::BytesToHexString(erlang::Encode(t))}};
  });
}

Result Sleep(erlang::Session* session, const Words& w) {
  for (int left = std::stoi(w[1]); left > 0; left -= 100) {
    usleep(100'000);
    session->KeepAlive();
  }
  return Json(session->connected());
}

using Commands =
    std::map<std::string, std::pair<size_t, std::function<Result(const Words&)>>>;  // words, what

Commands MakeCommands(erlang::Session* s, Control* c) {
  return {
      {"look", {1, [=](const Words&) { return Made(c->Look()); }}},
      {"version",
       {1,
        [=](const Words&) {
          return Of<Version>(c->GetVersion(), [](const Version& v) { return Json(v.ToString()); });
        }}},
      {"boot",
       {1,
        [=](const Words&) {
          return Of<BootState>(c->Boot(), [](const BootState& b) { return Json(ToString(b)); });
        }}},
      {"is_running", {1, [=](const Words&) { return Plain(c->IsRunning()); }}},
      {"is_booting", {1, [=](const Words&) { return Plain(c->IsBooting()); }}},
      {"alarms", {1, [=](const Words&) { return Made(c->Alarms()); }}},
      {"partitions", {1, [=](const Words&) { return Plain(c->Partitions()); }}},
      {"members", {1, [=](const Words&) { return Made(c->Members()); }}},
      {"cluster_id", {1, [=](const Words&) { return Plain(c->ClusterId()); }}},
      {"nodes_at_shutdown", {1, [=](const Words&) { return Plain(c->NodesAtShutdown()); }}},
      {"draining", {1, [=](const Words&) { return Plain(c->Draining()); }}},
      {"critical", {1, [=](const Words&) { return Made(c->QuorumCritical()); }}},
      {"queues", {1, [=](const Words&) { return Made(c->QuorumQueues()); }}},
      {"flags", {1, [=](const Words&) { return Made(c->FeatureFlags()); }}},
      {"drain", {1, [=](const Words&) { return Done(c->Drain()); }}},
      {"revive", {1, [=](const Words&) { return Done(c->Revive()); }}},
      {"rebalance", {1, [=](const Words&) { return Done(c->Rebalance()); }}},
      {"force_boot", {1, [=](const Words&) { return Done(c->ForceBoot()); }}},
      {"forget", {2, [=](const Words& w) { return Done(c->Forget(w[1])); }}},
      {"grow", {2, [=](const Words& w) { return Made(c->Grow(w[1])); }}},
      {"shrink", {2, [=](const Words& w) { return Made(c->Shrink(w[1])); }}},
      {"add_member", {4, [=](const Words& w) { return Done(c->AddMember(w[1], w[2], w[3])); }}},
      {"delete_member", {4, [=](const Words& w) { return Done(c->DeleteMember(w[1], w[2], w[3])); }}},
      {"raw", {3, [=](const Words& w) { return Raw(s, w); }}},
      {"sleep", {2, [=](const Words& w) { return Sleep(s, w); }}},
  };
}

Json Run(const Commands& commands, const Words& words) {
  const auto command = words.empty() ? commands.end() : commands.find(words[0]);
  const MonoTime begin = BootClock().Now();
  const int64_t cpu = CpuMicros();
  Result result = absl::InvalidArgumentError("no such command, or too few words");
  if (command != commands.end() && words.size() >= command->second.first)
    result = command->second.second(words);
  Json out = {{"ok", result.ok()},
              {"ms", static_cast<double>((BootClock().Now() - begin).count()) / 1e6},
              {"cpu_us", CpuMicros() - cpu}};
  if (result.ok()) {
    out["value"] = *result;
  } else {
    out["code"] = absl::StatusCodeToString(result.status().code());
    out["message"] = std::string(result.status().message());
  }
  return out;
}

int Main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: rabbit_control_tool NODE COOKIE_FILE ADDRESS PORT EPMD_PORT\n";
    return 2;
  }
  erlang::ClientOptions options;
  options.node = argv[1];
  options.self = erlang::MakeSelf(options.node);
  options.cookie_file = argv[2];
  options.address = argv[3];
  options.port = static_cast<uint16_t>(std::stoi(argv[4]));
  options.epmd_port = static_cast<uint16_t>(std::stoi(argv[5]));
  erlang::Session session(options);
  Control control(&session, options.node);
  const Commands commands = MakeCommands(&session, &control);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    Words words;
    for (std::string w; in >> w;) words.push_back(w);
    std::cout << Run(commands, words).dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq

int main(int argc, char** argv) { return mainstay::engine::rabbitmq::Main(argc, argv); }
