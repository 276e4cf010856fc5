#include "lib/rpc/convert.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/rpc/address.h"

namespace mainstay::rpc {
namespace {

using election::Name;
using google::protobuf::util::TimeUtil;

constexpr int64_t kMaxEpoch = int64_t{1} << 53;  // survives any JSON reader
constexpr Duration kMaxAge = std::chrono::hours(24 * 3650);

absl::Status Wrong(absl::string_view field, absl::string_view value, absl::string_view remedy) {
  std::string quoted;
  AppendJsonString(&quoted, Cut(value, 60));
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", quoted, " is not valid; ", remedy));
}

absl::Status CheckText(const std::string& text, absl::string_view field, size_t max) {
  if (text.size() > max) return Wrong(field, text, absl::StrCat("use at most ", max, " bytes"));
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return Wrong(field, text, "use no control characters");
  }
  return absl::OkStatus();
}

absl::Status CheckEpoch(int64_t epoch, absl::string_view field, int64_t min = 0) {
  if (epoch >= min && epoch <= kMaxEpoch) return absl::OkStatus();
  return Wrong(field, absl::StrCat(epoch), absl::StrCat("epochs are ", min, " to 2^53"));
}

absl::StatusOr<Duration> Age(const google::protobuf::Duration& d, absl::string_view field) {
  if (d.seconds() < 0 || d.nanos() < 0 || d.nanos() >= 1000000000) {
    return Wrong(field, absl::StrCat(d.seconds(), "s"), "ages are not negative");
  }
  if (d.seconds() > std::chrono::duration_cast<std::chrono::seconds>(kMaxAge).count()) return Duration::max();
  return std::chrono::seconds(d.seconds()) + std::chrono::nanoseconds(d.nanos());
}

void SetAge(Duration d, google::protobuf::Duration* out) {
  const int64_t ns = std::max<int64_t>(0, std::min(d, kMaxAge).count());
  *out = TimeUtil::NanosecondsToDuration(ns);
}

absl::StatusOr<election::Position> FromProto(const v1::Position& in, absl::string_view field) {
  MAINSTAY_RETURN_IF_ERROR(CheckEpoch(in.lineage(), absl::StrCat(field, ".lineage")));
  return election::Position{.lineage = in.lineage(), .offset = in.offset(), .timeline = in.timeline()};
}

void ToProto(const election::Position& in, v1::Position* out) {
  out->set_lineage(in.lineage);
  out->set_offset(in.offset);
  out->set_timeline(in.timeline);
}

absl::Status CheckDialled(const std::string& address, absl::string_view field) {
  if (address.empty()) return absl::OkStatus();
  const std::string problem = CheckAddress(address);
  return problem.empty() ? absl::OkStatus() : Wrong(field, address, absl::StrCat("it ", problem));
}

absl::StatusOr<election::Member> FromProto(const v1::Member& in, absl::string_view field) {
  const auto path = [&](absl::string_view leaf) { return absl::StrCat(field, ".", leaf); };
  MAINSTAY_RETURN_IF_ERROR(CheckName(in.name(), path("name")));
  MAINSTAY_RETURN_IF_ERROR(CheckText(in.incarnation(), path("incarnation"), 200));
  MAINSTAY_RETURN_IF_ERROR(CheckText(in.data_nonce(), path("data_nonce"), 64));
  MAINSTAY_RETURN_IF_ERROR(CheckDialled(in.peer_address(), path("peer_address")));
  MAINSTAY_RETURN_IF_ERROR(CheckDialled(in.db_address(), path("db_address")));
  if (in.priority() < 0 || in.priority() > 1000) {
    return Wrong(path("priority"), absl::StrCat(in.priority()), "priorities are 0 to 1000");
  }
  election::Member out;
  out.name = in.name();
  out.incarnation = in.incarnation();
  out.data_nonce = in.data_nonce();
  out.peer_address = in.peer_address();
  out.db_address = in.db_address();
  out.priority = in.priority();
  out.no_failover = in.no_failover();
  return out;
}

void ToProto(const election::Member& in, v1::Member* out) {
  out->set_name(in.name);
  out->set_incarnation(in.incarnation);
  out->set_data_nonce(in.data_nonce);
  out->set_peer_address(in.peer_address);
  out->set_db_address(in.db_address);
  out->set_priority(in.priority);
  out->set_no_failover(in.no_failover);
}

}  // namespace

absl::Status CheckName(const std::string& name, absl::string_view field, bool may_be_empty) {
  if (name.empty() && may_be_empty) return absl::OkStatus();
  bool good = !name.empty() && name.size() <= 40;
  for (char c : name) {
    const unsigned char u = static_cast<unsigned char>(c);
    good = good && (absl::ascii_islower(u) || absl::ascii_isdigit(u) || c == '-');
  }
  return good ? absl::OkStatus() : Wrong(field, name, "names are 1 to 40 of a-z, 0-9 and -");
}

absl::Status CheckMeta(const v1::RequestMeta& meta) {
  bool good = meta.id().size() >= 8 && meta.id().size() <= 64;
  for (char c : meta.id()) {
    good = good && (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-');
  }
  if (!good) {
    return Wrong("meta.id", meta.id(),
                 "give each request an id of its own, 8 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and repeat "
                 "it when you try again");
  }
  MAINSTAY_RETURN_IF_ERROR(CheckName(meta.expected_leader(), "meta.expected_leader", true));
  MAINSTAY_RETURN_IF_ERROR(CheckEpoch(meta.expected_epoch(), "meta.expected_epoch"));
  return CheckText(meta.reason(), "meta.reason", 500);
}

absl::StatusOr<election::PeerReport> FromProto(const v1::PeerReport& in) {
  MAINSTAY_RETURN_IF_ERROR(CheckName(in.name(), "name"));
  MAINSTAY_RETURN_IF_ERROR(CheckEpoch(in.record_epoch(), "record_epoch"));
  MAINSTAY_RETURN_IF_ERROR(CheckEpoch(in.promised(), "promised"));
  MAINSTAY_RETURN_IF_ERROR(CheckText(in.system_id(), "system_id", 64));
  election::PeerReport out;
  MAINSTAY_ASSIGN_OR_RETURN(out.self, FromProto(in.self(), "self"));
  if (out.self.name != in.name())
    return Wrong("self.name", out.self.name, absl::StrCat("it must be the sender, ", in.name()));
  MAINSTAY_ASSIGN_OR_RETURN(out.position, FromProto(in.position(), "position"));
  MAINSTAY_ASSIGN_OR_RETURN(out.record_age, Age(in.record_age(), "record_age"));
  out.stream_age = Duration::max();
  if (in.has_stream_age()) {
    MAINSTAY_ASSIGN_OR_RETURN(out.stream_age, Age(in.stream_age(), "stream_age"));
  }
  out.name = in.name();
  out.record_epoch = in.record_epoch();
  out.promised = in.promised();
  out.leads = in.leads();
  out.db_running = in.db_running();
  out.empty = in.empty();
  out.system_id = in.system_id();
  out.can_vote = in.can_vote();
  out.lock_changed = in.lock_changed();
  out.take = in.take();
  return out;
}

void ToProto(const election::PeerReport& in, const std::string& cluster, v1::PeerReport* out) {
  out->set_cluster(cluster);
  out->set_name(in.name);
  ToProto(in.self, out->mutable_self());
  out->set_record_epoch(in.record_epoch);
  out->set_promised(in.promised);
  out->set_leads(in.leads);
  out->set_db_running(in.db_running);
  out->set_empty(in.empty);
  out->set_system_id(in.system_id);
  ToProto(in.position, out->mutable_position());
  out->set_can_vote(in.can_vote);
  SetAge(in.record_age, out->mutable_record_age());
  if (in.stream_age < kMaxAge) SetAge(in.stream_age, out->mutable_stream_age());
  out->set_lock_changed(in.lock_changed);
  out->set_take(in.take);
}

namespace {

absl::StatusOr<election::Cause> FromProto(v1::FreezeCause cause) {
  switch (cause) {
    case v1::FREEZE_CAUSE_RELEASED:
      return election::Cause::kReleased;
    case v1::FREEZE_CAUSE_EXPIRED:
      return election::Cause::kExpired;
    case v1::FREEZE_CAUSE_UNSPECIFIED:
    case v1::FREEZE_CAUSE_SUSPECTED:
      return election::Cause::kSuspected;
    case v1::FREEZE_CAUSE_FROZEN:
      return election::Cause::kFrozen;
    case v1::FREEZE_CAUSE_LOST:
      return election::Cause::kLost;
    case v1::FREEZE_CAUSE_FORCED:
      return election::Cause::kForced;
    default:
      return Wrong("cause", absl::StrCat(static_cast<int>(cause)),
                   "update this agent: it does not know that cause");
  }
}

v1::FreezeCause ToProto(election::Cause cause) {
  switch (cause) {
    case election::Cause::kReleased:
      return v1::FREEZE_CAUSE_RELEASED;
    case election::Cause::kExpired:
      return v1::FREEZE_CAUSE_EXPIRED;
    case election::Cause::kSuspected:
      return v1::FREEZE_CAUSE_SUSPECTED;
    case election::Cause::kFrozen:
      return v1::FREEZE_CAUSE_FROZEN;
    case election::Cause::kLost:
      return v1::FREEZE_CAUSE_LOST;
    case election::Cause::kForced:
      return v1::FREEZE_CAUSE_FORCED;
  }
  return v1::FREEZE_CAUSE_UNSPECIFIED;
}

}  // namespace

absl::StatusOr<election::FreezeAsked> FromProto(const v1::FreezeRequest& in) {
  MAINSTAY_RETURN_IF_ERROR(CheckName(in.from(), "from"));
  MAINSTAY_RETURN_IF_ERROR(CheckEpoch(in.epoch(), "epoch", 1));
  MAINSTAY_ASSIGN_OR_RETURN(const election::Cause cause, FromProto(in.cause()));
  return election::FreezeAsked{.ask = in.ask(), .from = in.from(), .epoch = in.epoch(), .cause = cause};
}

void ToProto(const election::FreezeAsked& in, const std::string& cluster, v1::FreezeRequest* out) {
  out->set_cluster(cluster);
  out->set_ask(in.ask);
  out->set_from(in.from);
  out->set_epoch(in.epoch);
  out->set_cause(ToProto(in.cause));
}

absl::StatusOr<std::string> FromProto(const v1::BrokerFactsReply& in) {
  if (in.facts().size() <= kMaxBrokerFacts) return in.facts();
  return absl::InvalidArgumentError(absl::StrCat("facts: has ", in.facts().size(), " bytes; at most ",
                                                 kMaxBrokerFacts, " are read: another version of Mainstay?"));
}

absl::StatusOr<election::FreezeAnswered> FromProto(const v1::FreezeReply& in) {
  MAINSTAY_RETURN_IF_ERROR(CheckName(in.from(), "from"));
  MAINSTAY_RETURN_IF_ERROR(CheckEpoch(in.epoch(), "epoch"));
  MAINSTAY_RETURN_IF_ERROR(CheckEpoch(in.promised(), "promised"));
  MAINSTAY_RETURN_IF_ERROR(CheckText(in.refusal(), "refusal", 500));
  if (in.known_size() > static_cast<int>(kMaxKnown)) {
    return Wrong("known", absl::StrCat(in.known_size(), " names"), absl::StrCat("send at most ", kMaxKnown));
  }
  election::FreezeAnswered out;
  MAINSTAY_ASSIGN_OR_RETURN(out.position, FromProto(in.position(), "position"));
  for (int i = 0; i < in.known_size(); ++i) {
    MAINSTAY_RETURN_IF_ERROR(CheckName(in.known(i), absl::StrCat("known[", i, "]")));
    out.known.push_back(in.known(i));
  }
  out.ask = in.ask();
  out.from = in.from();
  out.epoch = in.epoch();
  out.frozen = in.frozen();
  out.refusal = in.refusal();
  out.promised = in.promised();
  out.whole = in.whole();
  return out;
}

void ToProto(const election::FreezeAnswered& in, v1::FreezeReply* out) {
  out->set_ask(in.ask);
  out->set_from(in.from);
  out->set_epoch(in.epoch);
  out->set_frozen(in.frozen);
  out->set_refusal(Cut(in.refusal, 500));
  out->set_promised(in.promised);
  ToProto(in.position, out->mutable_position());
  for (size_t i = 0; i < in.known.size() && i < kMaxKnown; ++i) out->add_known(in.known[i]);
  out->set_whole(in.whole);
}

absl::StatusOr<election::PromiseAsked> FromProto(const v1::PromiseRequest& in) {
  MAINSTAY_RETURN_IF_ERROR(CheckName(in.from(), "from"));
  MAINSTAY_RETURN_IF_ERROR(CheckEpoch(in.epoch(), "epoch", 1));
  return election::PromiseAsked{.ask = in.ask(), .from = in.from(), .epoch = in.epoch()};
}

void ToProto(const election::PromiseAsked& in, const std::string& cluster, v1::PromiseRequest* out) {
  out->set_cluster(cluster);
  out->set_ask(in.ask);
  out->set_from(in.from);
  out->set_epoch(in.epoch);
}

absl::StatusOr<election::PromiseAnswered> FromProto(const v1::PromiseReply& in) {
  MAINSTAY_RETURN_IF_ERROR(CheckName(in.from(), "from"));
  MAINSTAY_RETURN_IF_ERROR(CheckEpoch(in.epoch(), "epoch"));
  return election::PromiseAnswered{
      .ask = in.ask(), .from = in.from(), .epoch = in.epoch(), .promised = in.promised()};
}

void ToProto(const election::PromiseAnswered& in, v1::PromiseReply* out) {
  out->set_ask(in.ask);
  out->set_from(in.from);
  out->set_epoch(in.epoch);
  out->set_promised(in.promised);
}

absl::StatusOr<election::Durability> FromProto(v1::Durability in) {
  switch (in) {
    case v1::DURABILITY_ASYNC:
      return election::Durability::kAsync;
    case v1::DURABILITY_GUARDED:
      return election::Durability::kGuarded;
    case v1::DURABILITY_STRICT:
      return election::Durability::kStrict;
    default:
      return Wrong("durability", absl::StrCat(static_cast<int>(in)), "use async, guarded or strict");
  }
}

v1::Durability ToProto(election::Durability in) {
  switch (in) {
    case election::Durability::kAsync:
      return v1::DURABILITY_ASYNC;
    case election::Durability::kGuarded:
      return v1::DURABILITY_GUARDED;
    case election::Durability::kStrict:
      return v1::DURABILITY_STRICT;
  }
  return v1::DURABILITY_UNSPECIFIED;
}

v1::Role ToProto(election::Role in) {
  switch (in) {
    case election::Role::kUnknown:
      return v1::ROLE_UNSPECIFIED;
    case election::Role::kReplica:
      return v1::ROLE_REPLICA;
    case election::Role::kPrimary:
      return v1::ROLE_PRIMARY;
    case election::Role::kFenced:
      return v1::ROLE_FENCED;
  }
  return v1::ROLE_UNSPECIFIED;
}

v1::AdminStatus ToProto(election::AdminStatus in) {
  switch (in) {
    case election::AdminStatus::kDone:
      return v1::ADMIN_STATUS_DONE;
    case election::AdminStatus::kAccepted:
      return v1::ADMIN_STATUS_ACCEPTED;
    case election::AdminStatus::kRefused:
      return v1::ADMIN_STATUS_REFUSED;
    case election::AdminStatus::kFailed:
      return v1::ADMIN_STATUS_FAILED;
  }
  return v1::ADMIN_STATUS_UNSPECIFIED;
}

}  // namespace mainstay::rpc
