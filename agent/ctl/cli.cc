// The command line's grammar; what the verbs do is elsewhere. CLI11 throws: nothing leaves Main.
#include <CLI/CLI.hpp>
#include <chrono>
#include <ostream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/config_schema.h"
#include "agent/ctl/agent_flags.h"
#include "agent/ctl/cluster.h"
#include "agent/ctl/completion.h"
#include "agent/ctl/config_verbs.h"
#include "agent/ctl/ctl.h"
#include "agent/ctl/render.h"
#include "agent/ctl/table.h"
#include "agent/ctl/verbs.h"
#include "lib/election/table.h"

namespace mainstay::ctl {
namespace {

constexpr Duration kPatience = std::chrono::seconds(2);

struct StatusFlags {
  bool watch = false;
  bool check = false;
  std::string interval = "1s";
  int64_t rounds = 0;  // of --watch; 0: for ever
};

// All that the command line can say.
struct Parsed {
  Common common;
  std::string timeout = "30s";
  StatusFlags status;
  rpc::AdminCommand command;
  bool is_admin = false;
  std::string durability;
  std::string member;  // of why
  size_t limit = 20;
  AgentFlags agent;
  bool origin = false;
  std::string shell;
  std::string verb;
};

void AddCommon(CLI::App* app, Parsed* p) {
  app->add_option("--address,--agent", p->common.addresses,
                  "agent to ask: host:port or unix:/path; more than one is fine");
  app->add_option("--config", p->common.config_file, "take the addresses from this configuration file");
  app->add_option("--tls-ca", p->common.tls_ca, "file of the authorities of the members' certificates");
  app->add_option("--tls-cert", p->common.tls_cert, "file of a certificate that they accept");
  app->add_option("--tls-key", p->common.tls_key, "file of its private key");
  app->add_option("--tls-name", p->common.tls_name,
                  "DNS name in all their certificates; agent.CLUSTER.mainstay by default");
  app->add_option("--timeout", p->timeout, "how long to wait, such as 5s")->capture_default_str();
  app->add_option("-o,--output", p->common.output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

void AddAdmin(CLI::App* root, Parsed* p, const char* name, const char* help, rpc::AdminVerb verb,
              const char* target) {
  CLI::App* app = root->add_subcommand(name, help);
  AddCommon(app, p);
  app->add_flag("-y,--yes", p->common.yes, "do not ask");
  app->add_flag("--no-wait", p->common.no_wait, "return as soon as it was accepted");
  app->add_option("--reason", p->common.reason, "for the audit log");
  if (target != nullptr) {
    CLI::Option* option = app->add_option("member", p->command.target, target);
    if (!absl::StartsWith(target, "[")) option->required();
  }
  if (verb == rpc::AdminVerb::kFailover) {
    app->add_flag("--accept-loss,--force", p->command.accept_loss,
                  "go on although acknowledged writes may be lost");
  }
  if (verb == rpc::AdminVerb::kSetDurability) {
    app->add_option("mode", p->durability, "async, guarded or strict")
        ->required()
        ->check(CLI::IsMember({"async", "guarded", "strict"}));
  }
  app->callback([p, verb] {
    p->is_admin = true;
    p->command.verb = verb;
  });
}

void AddAgentFlags(CLI::App* app, Parsed* p) {
  app->add_option("--config", p->agent.config_file, "configuration file (docs/CONFIGURATION.md)");
  app->add_option("--set", p->agent.sets, "path=value, over file and environment; may be repeated");
  for (const NamedFlag& f : NamedFlags()) app->add_option(f.flag, p->agent.named[f.flag], f.help);
}

void Build(CLI::App* root, Parsed* p) {
  const auto verb = [&](CLI::App* parent, const char* name, const char* help) {
    CLI::App* app = parent->add_subcommand(name, help);
    const std::string full = parent == root ? name : absl::StrCat(parent->get_name(), " ", name);
    app->callback([p, full] { p->verb = full; });
    return app;
  };
  AddAgentFlags(verb(root, "agent", "run the agent beside a database"), p);
  CLI::App* status = verb(root, "status", "the cluster: members, lock, durability, warnings");
  AddCommon(status, p);
  status->add_flag("-w,--watch", p->status.watch, "again and again");
  status->add_option("--interval", p->status.interval, "of --watch")->capture_default_str();
  status->add_option("--rounds", p->status.rounds, "of --watch, then end")->group("");
  status->add_flag("--check", p->status.check, "exit code 1 unless a primary answers and accepts writes");
  using rpc::AdminVerb;
  AddAdmin(root, p, "switchover", "planned change of the primary; no acknowledged write is lost",
           AdminVerb::kSwitchover, "[who shall lead]");
  AddAdmin(root, p, "failover", "unplanned change: also without the old primary", AdminVerb::kFailover,
           "[who shall lead]");
  AddAdmin(root, p, "pause", "no automatic failover until resume", AdminVerb::kPause, nullptr);
  AddAdmin(root, p, "resume", "automatic failover again", AdminVerb::kResume, nullptr);
  AddAdmin(root, p, "restart", "restart a member's database in its role", AdminVerb::kRestart,
           "whose database");
  AddAdmin(root, p, "reload", "read the configuration again", AdminVerb::kReload, "whose");
  AddAdmin(root, p, "reinit", "throw a replica's data away and clone again", AdminVerb::kReinit, "whose");
  AddAdmin(root, p, "fence", "stop a member's database and keep it stopped", AdminVerb::kFence,
           "whose database");
  AddAdmin(root, p, "unfence", "end of fence", AdminVerb::kUnfence, "whose");
  AddAdmin(root, p, "forget", "remove a member for good", AdminVerb::kForget, "whom");
  AddAdmin(root, p, "durability", "how many copies an acknowledged write has", AdminVerb::kSetDurability,
           nullptr);
  CLI::App* why = verb(root, "why", "the last decisions and their reasons");
  AddCommon(why, p);
  why->add_option("member", p->member, "whose decisions; everybody's by default");
  why->add_option("-n,--limit", p->limit, "how many")->check(CLI::Range(1, 100000))->capture_default_str();
  CLI::App* fsm = verb(root, "fsm", "the table of the state machine");
  fsm->add_option("-o,--output", p->common.output, "text, json or mermaid")
      ->check(CLI::IsMember({"text", "json", "mermaid"}))
      ->capture_default_str();
  CLI::App* config = root->add_subcommand("config", "check, print or document the configuration");
  config->require_subcommand(1);
  AddAgentFlags(verb(config, "check", "tell all problems"), p);
  CLI::App* print = verb(config, "print", "what is in force");
  AddAgentFlags(print, p);
  print->add_flag("--origin", p->origin, "and where each value comes from");
  verb(config, "docs", "all settings, as Markdown");
  verb(root, "version", "the version");
  verb(root, "completion", "completion for a shell")
      ->add_option("shell", p->shell, "bash")
      ->required()
      ->check(CLI::IsMember({"bash"}));
}

int ShowStatus(const Parsed& p, const Program& program) {
  const Seeds seeds = FindSeeds(p.common, program);
  if (!seeds.problem.empty()) {
    *program.err << "mainstay status: " << seeds.problem;
    return kExitUsage;
  }
  const auto interval = agent::schema::ParseDurationText(p.status.interval);
  if (!interval || *interval < std::chrono::milliseconds(100)) {
    *program.err << "mainstay status: --interval " << p.status.interval
                 << " is no length of time of at least 100ms; write 1s\n";
    return kExitUsage;
  }
  std::vector<std::string> addresses = seeds.addresses;
  for (int64_t round = 1;; ++round) {
    const Cluster cluster =
        Discover(addresses, false, std::min<Duration>(kPatience, p.common.timeout), seeds.tls);
    const bool clear = p.status.watch && program.out_is_terminal;
    if (clear) *program.out << "\033[H\033[2J";
    if (!cluster.reachable()) {
      *program.err << "mainstay status: " << UnreachableMessage(seeds, cluster) << std::flush;
      if (!p.status.watch) return kExitUnreachable;
    } else {
      *program.out << (p.common.output == "json" ? StatusJson(cluster, !p.status.watch) + "\n"
                                                 : RenderStatus(cluster, UseColour(program)));
      // The cluster may move: from now on everybody it knows is a way in.
      for (const std::string& a : cluster.closed ? std::vector<std::string>() : cluster.Addresses()) {
        if (std::find(addresses.begin(), addresses.end(), a) == addresses.end() && addresses.size() < 32)
          addresses.push_back(a);
      }
    }
    *program.out << std::flush;
    if (!p.status.watch || round == p.status.rounds) {
      const bool good =
          cluster.leader_answers && cluster.members.at(cluster.leader).own->database().writable();
      return p.status.check && !good ? kExitFailed : kExitOk;
    }
    if (!clear && p.common.output != "json") *program.out << "\n";
    std::this_thread::sleep_for(*interval);
  }
}

int ShowWhy(const Parsed& p, const Program& program) {
  const Seeds seeds = FindSeeds(p.common, program);
  if (!seeds.problem.empty()) {
    *program.err << "mainstay why: " << seeds.problem;
    return kExitUsage;
  }
  const Cluster cluster =
      Discover(seeds.addresses, true, std::min<Duration>(kPatience, p.common.timeout), seeds.tls);
  if (!cluster.reachable()) {
    *program.err << "mainstay why: " << UnreachableMessage(seeds, cluster);
    return kExitUnreachable;
  }
  if (!p.member.empty()) {
    const auto it = cluster.members.find(p.member);
    if (it == cluster.members.end()) {
      *program.err << "mainstay why: " << Printable(p.member)
                   << " is no member; `mainstay status` lists them\n";
      return kExitUsage;
    }
    if (it->second.own == nullptr) {
      *program.err << "mainstay why: " << p.member << " does not answer: " << Printable(it->second.error)
                   << "\n";
      return kExitUnreachable;
    }
  }
  const auto decisions = CollectDecisions(cluster, p.member, p.limit);
  *program.out << (p.common.output == "json" ? DecisionsJson(decisions) + "\n"
                                             : RenderDecisions(decisions, UseColour(program)));
  return kExitOk;
}

int ShowFsm(const Parsed& p, const Program& program) {
  const std::string text = p.common.output == "json"      ? election::TableAsJson()
                           : p.common.output == "mermaid" ? election::TableAsMermaid()
                                                          : election::TableAsText();
  *program.out << text << (absl::EndsWith(text, "\n") ? "" : "\n");
  return kExitOk;
}

int Dispatch(Parsed p, const Program& program) {
  const auto timeout = agent::schema::ParseDurationText(p.timeout);
  if (!timeout || *timeout < std::chrono::milliseconds(10) || *timeout > std::chrono::minutes(9)) {
    *program.err << "mainstay: --timeout " << p.timeout
                 << " is no length of time from 10ms to 9m; write 30s\n";
    return kExitUsage;
  }
  p.common.timeout = *timeout;
  if (p.is_admin) {
    if (!p.durability.empty()) {
      p.command.durability = p.durability == "async"    ? election::Durability::kAsync
                             : p.durability == "strict" ? election::Durability::kStrict
                                                        : election::Durability::kGuarded;
    }
    return RunAdminVerb(p.command, p.common, program);
  }
  if (p.verb == "agent") return RunAgent(p.agent, program);
  if (p.verb == "status") return ShowStatus(p, program);
  if (p.verb == "why") return ShowWhy(p, program);
  if (p.verb == "fsm") return ShowFsm(p, program);
  if (p.verb == "config check") return ConfigCheck(p.agent, program);
  if (p.verb == "config print") return ConfigPrint(p.agent, p.origin, program);
  if (p.verb == "config docs") return ConfigDocs(program);
  if (p.verb == "completion") {
    *program.out << BashCompletion();
    return kExitOk;
  }
  *program.out << "mainstay " << program.version << "\n";
  return kExitOk;
}

}  // namespace

std::string Getenv(const Program& program, const std::string& name) {
  if (program.environment == nullptr) return "";
  for (const char* const* e = program.environment; *e != nullptr; ++e) {
    if (absl::StartsWith(*e, name + "=")) return std::string(*e).substr(name.size() + 1);
  }
  return "";
}

bool UseColour(const Program& program) {
  return program.out_is_terminal && Getenv(program, "NO_COLOR").empty();
}

int Main(const std::vector<std::string>& arguments, const Program& program) {
  // A script that only wants the version should not pay for the grammar.
  if (arguments.size() == 1 && (arguments[0] == "version" || arguments[0] == "--version")) {
    *program.out << "mainstay " << program.version << "\n";
    return kExitOk;
  }
  CLI::App root("Mainstay keeps a database highly available: one agent beside each member.", "mainstay");
  root.require_subcommand(1);
  root.footer(
      "Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 unreachable, 5 unknown (no answer in time). "
      "docs/CLI.md");
  Parsed parsed;
  Build(&root, &parsed);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    root.parse(reversed);
  } catch (const CLI::ParseError& e) {
    const int code = root.exit(e, *program.out, *program.err);
    return code == 0 ? kExitOk : kExitUsage;
  }
  return Dispatch(std::move(parsed), program);
}

}  // namespace mainstay::ctl
