// The program `mainstay`: hands the world to the command line; the agent is one of its verbs.
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "agent/ctl/ctl.h"
#include "agent/metrics_docs.h"
#include "agent/rabbit/agent.h"
#include "agent/sidecar/sidecar.h"

namespace {

int RunAgent(const mainstay::agent::LoadedConfig& loaded, const mainstay::agent::ConfigSource& source) {
  mallopt(M_ARENA_MAX, 2);   // arenas are per thread and never shrink
  signal(SIGPIPE, SIG_IGN);  // a reader of the log that goes away must not end the agent
  const mainstay::agent::SidecarOptions options = {
      .config = loaded.config, .source = source, .environment = environ};
  const bool rabbitmq = loaded.config.engine == mainstay::agent::EngineKind::kRabbitmq;
  return rabbitmq ? mainstay::agent::RunRabbitAgent(options) : mainstay::agent::RunSidecar(options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "metrics" && std::string(argv[2]) == "docs") {
    std::cout << mainstay::agent::MetricsDocs();  // docs/METRICS.md; test/tidy/pages.py
    return 0;
  }
  mainstay::ctl::Program program;
  program.version = MAINSTAY_VERSION;
  program.out = &std::cout;
  program.err = &std::cerr;
  program.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  program.in_is_terminal = isatty(STDIN_FILENO) == 1;
  program.read_line = [] {
    std::string line;
    std::getline(std::cin, line);
    return line;
  };
  program.environment = environ;
  program.run_agent = RunAgent;
  const int code = mainstay::ctl::Main({argv + 1, argv + argc}, program);
  std::cout.flush();
  return code;
}
