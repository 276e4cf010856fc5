// mainstay.v1 <-> plain data. What comes in is checked: names, sizes, ranges; the error (kInvalidArgument)
// names field, value and remedy. What goes out is taken as it is. Thread rules: pure functions.
#ifndef MAINSTAY_LIB_RPC_CONVERT_H_
#define MAINSTAY_LIB_RPC_CONVERT_H_

#include <string>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/election/event.h"
#include "lib/election/record.h"
#include "lib/rpc/port.h"
#include "mainstay/v1/agent.pb.h"
#include "mainstay/v1/types.pb.h"

namespace mainstay::rpc {

inline constexpr size_t kMaxBrokerFacts = 64 * 1024;  // bytes
inline constexpr size_t kMaxKnown = 64;               // members that a freeze answer may name

absl::StatusOr<election::PeerReport> FromProto(const v1::PeerReport& in);
absl::StatusOr<election::FreezeAsked> FromProto(const v1::FreezeRequest& in);
absl::StatusOr<election::FreezeAnswered> FromProto(const v1::FreezeReply& in);
absl::StatusOr<election::PromiseAsked> FromProto(const v1::PromiseRequest& in);
absl::StatusOr<election::PromiseAnswered> FromProto(const v1::PromiseReply& in);
absl::StatusOr<std::string> FromProto(const v1::BrokerFactsReply& in);
absl::StatusOr<election::Durability> FromProto(v1::Durability in);

void ToProto(const election::PeerReport& in, const std::string& cluster, v1::PeerReport* out);
void ToProto(const election::FreezeAsked& in, const std::string& cluster, v1::FreezeRequest* out);
void ToProto(const election::FreezeAnswered& in, v1::FreezeReply* out);
void ToProto(const election::PromiseAsked& in, const std::string& cluster, v1::PromiseRequest* out);
void ToProto(const election::PromiseAnswered& in, v1::PromiseReply* out);
v1::Durability ToProto(election::Durability in);
v1::Role ToProto(election::Role in);
v1::AdminStatus ToProto(election::AdminStatus in);

// The view as of `now`: points of time become ages.
void ToProto(const StatusView& in, MonoTime now, int64_t unix_ms, bool decisions, v1::Status* out);
void ToProto(const MemberView& in, MonoTime now, v1::MemberStatus* out);
void ToProto(const DecisionView& in, v1::Decision* out);

// Checks that many requests share. `field` names the value in the error.
absl::Status CheckName(const std::string& name, absl::string_view field, bool may_be_empty = false);
absl::Status CheckMeta(const v1::RequestMeta& meta);

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_CONVERT_H_
