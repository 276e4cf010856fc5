#include "agent/sidecar/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "lib/base/log.h"

namespace mainstay::agent {

void SetLog(const Config& config) {
  LogOptions log;
  log.level = static_cast<mainstay::LogLevel>(config.log_level);
  log.format =
      config.log_format == LogFormat::kJson ? mainstay::LogFormat::kJson : mainstay::LogFormat::kText;
  SetLogOptions(log);
}

void Harden() {
  prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

}  // namespace mainstay::agent
