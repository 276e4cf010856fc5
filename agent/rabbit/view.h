// What the agent of a RabbitMQ node shows of it, made from what is known. Pure.
//
// Thread rules: pure functions.
#ifndef MAINSTAY_AGENT_RABBIT_VIEW_H_
#define MAINSTAY_AGENT_RABBIT_VIEW_H_

#include "agent/rabbit/ports.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

rpc::BrokerView ShowBroker(const NodeView& view, const std::string& node);
rpc::DatabaseView ShowDatabase(const NodeView& view);
// What would be told anew: changes of these are published at once, other changes with the next look that is
// due for it.
std::string ViewKey(const NodeView& view);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_VIEW_H_
