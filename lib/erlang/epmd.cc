#include "lib/erlang/epmd.h"

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/erlang/protocol.h"
#include "lib/erlang/stream.h"

namespace mainstay::erlang {
namespace {

absl::StatusOr<uint16_t> Ask(const std::string& address, uint16_t epmd_port, absl::string_view alive,
                             MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(Stream stream, Stream::Connect(address, epmd_port, deadline));
  MAINSTAY_RETURN_IF_ERROR(stream.WriteAll(EpmdQuestion(alive), deadline));
  std::string answer(4, '\0');
  // Of a node that it does not know there are two bytes only, then the end.
  MAINSTAY_RETURN_IF_ERROR(stream.ReadAll(answer.data(), 2, deadline));
  if (answer[1] != 0) {
    answer.resize(2);
    return ParseEpmdAnswer(answer);
  }
  MAINSTAY_RETURN_IF_ERROR(stream.ReadAll(answer.data() + 2, 2, deadline));
  return ParseEpmdAnswer(answer);
}

}  // namespace

absl::StatusOr<uint16_t> AskEpmd(const std::string& address, uint16_t epmd_port, absl::string_view alive,
                                 MonoTime deadline) {
  auto port = Ask(address, epmd_port, alive, deadline);
  if (port.ok()) return port;
  return absl::Status(port.status().code(), absl::StrCat("epmd at ", address, ":", epmd_port, ", asked for ",
                                                         alive, ": ", port.status().message()));
}

}  // namespace mainstay::erlang
