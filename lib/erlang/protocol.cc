#include "lib/erlang/protocol.h"

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/erlang/codec.h"

namespace mainstay::erlang {
namespace {

// Control messages of the distribution protocol.
constexpr int64_t kSend = 2;
constexpr int64_t kRegSend = 6;
constexpr int64_t kSendTraced = 12;
constexpr int64_t kSendSender = 22;
constexpr char kPassThrough = 'p';
constexpr char kPortPlease2 = 122;
constexpr char kPort2Response = 119;

void AppendLength(size_t size, std::string* out) {
  for (int i = 3; i >= 0; --i) out->push_back(static_cast<char>(size >> (8 * i)));
}

// Reasons that mean "the application that answers is not up", wherever they are in the exit's reason.
bool NotRunning(const Term& reason) {
  if (reason.IsAtom("noproc")) return true;
  if (reason.kind() != Term::Kind::kTuple || reason.items().empty()) return false;
  const Term& first = reason.items()[0];
  if (first.IsAtom("noproc") || first.IsAtom("no_exists") || first.IsAtom("node_not_running")) return true;
  return first.IsAtom("aborted") && reason.items().size() == 2 && NotRunning(reason.items()[1]);
}

absl::Status FromReason(const Term& reason) {
  if (reason.IsAtom("nodedown")) return absl::UnavailableError("the node that it concerns is down");
  if (reason.IsAtom("timeout")) return absl::DeadlineExceededError("no answer in time within the cluster");
  if (!reason.IsTuple(2, "EXIT")) return absl::InternalError(reason.ToString());
  const Term& exit = reason.items()[1];
  if (exit.IsTuple(2, "undef"))
    return absl::UnimplementedError(absl::StrCat("that version has no such function: ", exit.ToString(200)));
  if (NotRunning(exit))
    return absl::FailedPreconditionError(
        absl::StrCat("what answers is not running; wait until the node is up: ", exit.ToString(200)));
  return absl::InternalError(absl::StrCat("it failed: ", exit.ToString()));
}

}  // namespace

std::string EncodeCall(const Term& self, absl::string_view module, absl::string_view function,
                       std::vector<Term> arguments) {
  const Term control = Term::Tuple({Term::Integer(kRegSend), self, Term::Atom(""), Term::Atom("rex")});
  const Term call = Term::Tuple({Term::Atom("call"), Term::Atom(module), Term::Atom(function),
                                 Term::List(std::move(arguments)), Term::Atom("user")});
  std::string body(1, kPassThrough);
  body += Encode(control);
  body += Encode(Term::Tuple({self, call}));
  std::string out;
  AppendLength(body.size(), &out);
  return out + body;
}

absl::StatusOr<std::optional<Term>> DecodeMessage(absl::string_view frame, const Term& self) {
  if (frame.empty() || frame[0] != kPassThrough)
    return absl::DataLossError("a message of a form that was not agreed on");
  frame.remove_prefix(1);
  size_t used = 0;
  MAINSTAY_ASSIGN_OR_RETURN(const Term control, Decode(frame, {}, &used));
  if (control.kind() != Term::Kind::kTuple || control.items().size() < 3) return std::optional<Term>();
  const std::vector<Term>& items = control.items();
  const int64_t kind = items[0].integer();
  // {2, _, To}, {22, From, To}, {12, _, To, Token}; the rest (links, monitors) is not for us.
  if (kind != kSend && kind != kSendTraced && kind != kSendSender) return std::optional<Term>();
  if (!(items[2] == self)) return std::optional<Term>();  // the answer to a question of before
  MAINSTAY_ASSIGN_OR_RETURN(Term message, Decode(frame.substr(used)));
  if (!message.IsTuple(2, "rex")) return std::optional<Term>();
  return std::optional<Term>(message.items()[1]);
}

absl::StatusOr<Term> ToResult(Term answer) {
  if (answer.IsTuple(2, "badrpc")) return FromReason(answer.items()[1]);
  return answer;
}

std::string EpmdQuestion(absl::string_view alive) {
  alive = alive.substr(0, 255);
  const size_t size = alive.size() + 1;
  std::string out;
  out.push_back(static_cast<char>(size >> 8));
  out.push_back(static_cast<char>(size & 0xff));
  out.push_back(kPortPlease2);
  absl::StrAppend(&out, alive);
  return out;
}

absl::StatusOr<uint16_t> ParseEpmdAnswer(absl::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != kPort2Response)
    return absl::DataLossError("what answers there is no epmd");
  if (bytes[1] != 0)
    return absl::NotFoundError("it knows no node of that name: it is not started, or not yet");
  if (bytes.size() < 4) return absl::DataLossError("epmd's answer is cut");
  const auto port =
      static_cast<uint16_t>(static_cast<unsigned char>(bytes[2]) << 8 | static_cast<unsigned char>(bytes[3]));
  if (port == 0) return absl::DataLossError("epmd answers port 0");
  return port;
}

HandshakeSeen ParseHandshake(absl::string_view bytes) {
  HandshakeSeen out;
  while (bytes.size() >= 2) {
    const size_t size =
        static_cast<size_t>(static_cast<unsigned char>(bytes[0])) << 8 | static_cast<unsigned char>(bytes[1]);
    const absl::string_view packet = bytes.substr(2, size);
    if (packet.size() < size || packet.empty()) break;
    bytes.remove_prefix(2 + size);
    if (packet[0] == 's') {
      out.status = std::string(packet.substr(1, 64));
    } else if (packet[0] == 'n' && packet.size() > 11) {  // version, flags, challenge, name
      out.name = std::string(packet.substr(11));
    } else if (packet[0] == 'N' && packet.size() > 19) {  // flags, challenge, creation, the name's size, name
      const size_t name = static_cast<size_t>(static_cast<unsigned char>(packet[17])) << 8 |
                          static_cast<unsigned char>(packet[18]);
      out.name = std::string(packet.substr(19, name));
    }
  }
  return out;
}

}  // namespace mainstay::erlang
