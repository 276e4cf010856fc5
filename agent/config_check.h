// Is a configuration fit for use? All problems at once, each with path, value and remedy. Used by config.cc
// and its parts only.
#ifndef MAINSTAY_AGENT_CONFIG_CHECK_H_
#define MAINSTAY_AGENT_CONFIG_CHECK_H_

#include <functional>
#include <string>

#include "agent/config.h"

namespace google::protobuf {
class Duration;
}
namespace mainstay::v1 {
class Metrics;
class Postgresql;
}  // namespace mainstay::v1

namespace mainstay::agent {

using AddProblem = std::function<void(const std::string& path, const std::string& value,
                                      const std::string& message, const std::string& remedy)>;

// Bounds and forms of the message's values.
void CheckConfig(const v1::AgentConfig& message, const AddProblem& add);
// Its section postgresql (config_check_postgres.cc).
void CheckPostgresql(const v1::Postgresql& p, const AddProblem& add);
// Its section redis, and what else that engine wants (config_check_redis.cc).
void CheckRedis(const v1::AgentConfig& m, const AddProblem& add);
// Its section rabbitmq, and what else that engine wants (config_check_rabbitmq.cc).
void CheckRabbitmq(const v1::AgentConfig& m, const AddProblem& add);
// Its section http (config_check_http.cc).
void CheckHttp(const v1::AgentConfig& m, const AddProblem& add);

// Its section metrics, and what it becomes (config_metrics.cc).
void CheckMetrics(const v1::Metrics& m, const AddProblem& add);
MetricsConfig ConvertMetrics(const v1::Metrics& m);

// Shared by the files of the check.
uint32_t DatabasePort(const v1::AgentConfig& m);
Duration ToDuration(const google::protobuf::Duration& d);
void CheckAbsolute(const std::string& path, const std::string& value, const std::string& what,
                   const AddProblem& add);
void CheckBounded(const std::string& path, const google::protobuf::Duration& d, Duration low, Duration high,
                  const AddProblem& add);

// The message as a struct; values out of bounds are taken as they are.
Config ConvertConfig(std::shared_ptr<const v1::AgentConfig> message);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_CONFIG_CHECK_H_
