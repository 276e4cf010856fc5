#include "lib/rpc/status.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/strings.h"

namespace mainstay::rpc {
namespace {

constexpr size_t kMaxMessage = 1024;  // travels in a header

}  // namespace

std::string PlainMessage(const std::string& message) {
  constexpr absl::string_view kNested = "failed to connect to all addresses; last error: ";
  absl::string_view rest = message;
  if (!absl::ConsumePrefix(&rest, kNested)) return message;
  const size_t host = rest.rfind("remote host: ");
  const size_t target = rest.find_first_of("0123456789/", rest.find(':') + 1);  // past "UNKNOWN: ipv4:"
  if (host != absl::string_view::npos) {
    rest.remove_prefix(host + sizeof("remote host: ") - 1);
  } else if (target != absl::string_view::npos) {
    const size_t sentence = rest.find(": ", target);
    if (sentence != absl::string_view::npos) rest.remove_prefix(sentence + 2);
  }
  return absl::StrCat("cannot connect: ", rest);
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), Cut(status.message(), kMaxMessage));
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      Cut(PlainMessage(status.error_message()), kMaxMessage));
}

const char* CodeName(const grpc::Status& status) {
  static constexpr const char* kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const int code = status.error_code();
  return code >= 0 && code < 17 ? kNames[code] : "UNKNOWN";
}

}  // namespace mainstay::rpc
