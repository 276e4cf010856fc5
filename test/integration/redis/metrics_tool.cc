// Redis' metrics without an agent: for each line of standard input ("850", a deadline in milliseconds, or
// "rest") one page of Prometheus' text and a line "# END seconds-of-cpu seconds".
//
//   redis_metrics_tool SOCKET [USER PASSWORD_FILE]
//
// "commands N" and "histograms 0" and "slow MS" change a setting instead and answer with the end line alone.
#include <csignal>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "lib/engine/redis/metrics.h"

namespace {

using mainstay::BootClock;
using mainstay::MonoTime;
namespace redis = mainstay::engine::redis;
namespace metrics = mainstay::metrics;

double CpuSeconds() {
  struct timespec t = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

std::string Scrape(redis::RedisMetrics* collector, int64_t ms) {
  const MonoTime now = BootClock().Now();
  const metrics::SnapshotPtr snapshot = collector->Collect(now + std::chrono::milliseconds(ms));
  metrics::Writer w;
  metrics::WriteSnapshot(*snapshot, collector->prefix(), false, BootClock().Now(), {}, w);
  return w.Finish();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) {
    fprintf(stderr, "usage: redis_metrics_tool SOCKET [USER PASSWORD_FILE]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  redis::MetricsLogin login;
  login.socket = argv[1];
  if (argc == 4) {
    login.user = argv[2];
    login.password = [path = std::string(argv[3])]() -> absl::StatusOr<std::string> {
      std::ifstream in(path);
      std::string line;
      if (!std::getline(in, line)) return absl::NotFoundError(path + " cannot be read");
      return line;
    };
  }
  redis::RedisMetrics collector(login);
  redis::RedisMetricsSettings settings;
  for (std::string line; std::getline(std::cin, line);) {
    const double cpu = CpuSeconds();
    const MonoTime began = BootClock().Now();
    std::istringstream words(line);
    std::string word;
    int64_t number = 0;
    words >> word >> number;
    if (word == "rest") {
      collector.Rest();
    } else if (word == "commands" || word == "histograms" || word == "slow") {
      if (word == "commands") settings.commands = static_cast<size_t>(number);
      if (word == "histograms") settings.histograms = number != 0;
      if (word == "slow") settings.slow_interval = std::chrono::milliseconds(number);
      collector.Configure(settings);
    } else {
      std::cout << Scrape(&collector, std::stoll(word));
    }
    const std::chrono::duration<double> took = BootClock().Now() - began;
    std::cout << "# END " << CpuSeconds() - cpu << " " << took.count() << std::endl;
  }
  return 0;
}
