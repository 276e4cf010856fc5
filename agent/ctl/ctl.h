// The command line: `mainstay VERB ...` (docs/CLI.md). Everything that a verb touches comes in through
// Program, so that tests run the real thing in their own process.
//
// Thread rules: one call of Main at a time. Errors: said on `err` with what to do next; the exit code tells
// their kind.
#ifndef MAINSTAY_AGENT_CTL_CTL_H_
#define MAINSTAY_AGENT_CTL_CTL_H_

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "agent/config.h"

namespace mainstay::ctl {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;       // it was tried and did not work
inline constexpr int kExitUsage = 2;        // the command line or the configuration is wrong
inline constexpr int kExitRefused = 3;      // the cluster said no; nothing was changed
inline constexpr int kExitUnreachable = 4;  // no agent answers
inline constexpr int kExitUnknown = 5;      // no answer in time: it may or may not have happened

struct Program {
  std::string version;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool out_is_terminal = false;
  bool in_is_terminal = false;
  std::function<std::string()> read_line;    // answers to questions
  const char* const* environment = nullptr;  // "NAME=value", null at the end
  // Runs the role `agent` until it ends; null when this build has none.
  std::function<int(const agent::LoadedConfig&, const agent::ConfigSource&)> run_agent;
};

// `arguments` without the program's name.
int Main(const std::vector<std::string>& arguments, const Program& program);

// ---- inside ----

// What the verbs that talk to a cluster have in common.
struct Common {
  std::vector<std::string> addresses;               // --address
  std::string config_file;                          // --config
  std::string tls_ca, tls_cert, tls_key, tls_name;  // --tls-*
  Duration timeout = std::chrono::seconds(30);
  std::string output = "text";  // or json
  bool yes = false;
  bool no_wait = false;
  std::string reason;
};

std::string Getenv(const Program& program, const std::string& name);
bool UseColour(const Program& program);  // a terminal, and NO_COLOR is not set

}  // namespace mainstay::ctl

#endif  // MAINSTAY_AGENT_CTL_CTL_H_
