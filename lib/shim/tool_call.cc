// Client's tools: running one, reading its output, cancelling it.
#include <sys/wait.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/result.h"
#include "lib/shim/client_impl.h"

namespace mainstay::shim {
namespace {

// The shim ends a tool at the call's deadline with SIGTERM and kills it a second later; its report is waited
// for.
constexpr Duration kEndGrace = std::chrono::milliseconds(2500);

void Append(std::string* text, absl::string_view more) {
  absl::StrAppend(text, more);
  if (text->size() > 2 * kMaxToolText) text->erase(0, text->size() - kMaxToolText);
}

void Cut(std::string* text) {
  if (text->size() > kMaxToolText) text->erase(0, text->size() - kMaxToolText);
}

absl::StatusOr<std::string> Encode(const ToolRequest& request, MonoTime deadline) {
  if (request.args.size() > wire::kMaxToolArgs)
    return absl::InvalidArgumentError("shim: too many arguments for a tool");
  wire::RunTool head{};
  head.tool = request.tool;
  head.flags = request.keep_running ? wire::kKeepRunning : 0;
  head.argc = static_cast<uint16_t>(request.args.size());
  head.deadline = deadline.nanos();
  std::string out(reinterpret_cast<const char*>(&head), sizeof head);
  auto add = [&out](const std::string& s) {
    if (s.find('\0') != std::string::npos) return false;
    out.append(s.c_str(), s.size() + 1);
    return true;
  };
  bool good = add(request.passfile);
  for (const std::string& arg : request.args) good = good && add(arg);
  if (!good) return absl::InvalidArgumentError("shim: an argument contains a NUL");
  return out;
}

absl::Status Refusal(const wire::Code code, const ToolRequest& request, int detail) {
  std::string what = absl::StrCat("tool ", static_cast<int>(request.tool));
  if (code == wire::Code::kNotAllowed) {
    if (detail >= 0 && static_cast<size_t>(detail) < request.args.size()) {
      absl::StrAppend(&what, ", argument \"", request.args[detail], "\"");
    } else if (detail == -2) {
      absl::StrAppend(&what, ", passfile \"", request.passfile, "\"");
    } else {
      absl::StrAppend(&what, " (unknown tool, or a required argument is missing)");
    }
  }
  return ToStatus(code, what);
}

}  // namespace

std::string ToolResult::Describe() const {
  switch (end) {
    case ToolEnd::kCancelled:
      return "cancelled";
    case ToolEnd::kDeadline:
      return "stopped at its deadline";
    case ToolEnd::kKilledWithDatabase:
      return "killed together with the database";
    case ToolEnd::kOwnerGone:
      return "stopped because its client left";
    case ToolEnd::kExited:
      break;
  }
  if (WIFSIGNALED(wait_status)) return absl::StrCat("signal ", WTERMSIG(wait_status));
  return absl::StrCat("exit code ", WEXITSTATUS(wait_status));
}

absl::StatusOr<ToolResult> Client::RunTool(const ToolRequest& request, const OutputFn& on_output,
                                           MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string encoded, Encode(request, deadline));
  MAINSTAY_ASSIGN_OR_RETURN(const Frame reply,
                            impl_->Call(wire::Verb::kRunTool, encoded.data(), encoded.size(), deadline));
  wire::ToolStarted started{};
  if (!reply.As(&started)) return absl::InternalError("shim: an answer of the wrong size to a tool's start");
  if (reply.header.code != wire::Code::kOk) return Refusal(reply.header.code, request, started.detail);
  ToolResult result;
  bool cancelling = false;
  MonoTime until = deadline + kEndGrace;
  for (;;) {
    Frame frame;
    const absl::Status status = impl_->Next(&impl_->connection, &frame, until, !cancelling);
    if (absl::IsCancelled(status) && !cancelling) {
      cancelling = true;
      until = BootClock().Now() + kEndGrace;
      const wire::CancelTool cancel{started.id, 0};
      MAINSTAY_RETURN_IF_ERROR(
          impl_->connection.Send(wire::Verb::kCancelTool, ++impl_->seq, &cancel, sizeof cancel));
      continue;
    }
    MAINSTAY_RETURN_IF_ERROR(status);
    if (frame.header.verb == wire::Verb::kToolOutput && frame.payload.size() > sizeof(wire::ToolOutput)) {
      wire::ToolOutput head;
      memcpy(&head, frame.payload.data(), sizeof head);
      if (head.id != started.id) continue;
      const absl::string_view text = absl::string_view(frame.payload).substr(sizeof head);
      Append(head.stream == 2 ? &result.err : &result.out, text);
      if (on_output && !cancelling) on_output(static_cast<int>(head.stream), text);
    }
    wire::ToolDone done;
    if (frame.header.verb != wire::Verb::kToolDone || !frame.As(&done) || done.id != started.id) continue;
    if (cancelling) return absl::CancelledError("shim: the tool was cancelled");
    result.end = done.end;
    result.wait_status = done.wait_status;
    Cut(&result.out);
    Cut(&result.err);
    return result;
  }
}

absl::StatusOr<std::string> Client::SwapDataDir(const std::string& new_dir, MonoTime deadline) {
  ToolRequest request;
  request.tool = Tool::kSwapData;
  request.args = {new_dir};
  request.keep_running = true;  // never left half done
  MAINSTAY_ASSIGN_OR_RETURN(const ToolResult result, RunTool(request, nullptr, deadline));
  if (result.ok()) return result.out;
  return absl::InternalError(
      absl::StrCat("swapping in ", new_dir, " failed (", result.Describe(), "): ", result.err));
}

absl::Status Client::RemoveStale(const std::string& dir, MonoTime deadline) {
  ToolRequest request;
  request.tool = Tool::kRemoveStale;
  request.args = {dir};
  MAINSTAY_ASSIGN_OR_RETURN(const ToolResult result, RunTool(request, nullptr, deadline));
  if (result.ok()) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("removing ", dir, " failed (", result.Describe(), "): ", result.err));
}

}  // namespace mainstay::shim
