#include "agent/sidecar/incarnation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

namespace mainstay::agent {
namespace {

constexpr size_t kMaxBytes = 256;
constexpr size_t kMaxId = 64;

std::string Hex(uint64_t nonce) { return absl::StrCat(absl::Hex(nonce, absl::kZeroPad16)); }

}  // namespace

void Incarnation::Begin(std::optional<uint64_t> shim_nonce) {
  if (!shim_nonce.has_value()) return;
  std::string recalled = Recall(*shim_nonce);
  id_ = recalled.empty() ? "s" + Hex(*shim_nonce) : std::move(recalled);
  // What is made of the shim's nonce alone needs no file.
  known_ = *shim_nonce;
}

void Incarnation::Connected(uint64_t shim_nonce) {
  if (shim_nonce == 0 || shim_nonce == known_) return;
  const absl::Status status = AtomicWriteFile(file_, Hex(shim_nonce) + " " + id_ + "\n");
  if (!status.ok()) {
    // Then a restarted agent is another holder: it waits for the lease and opens the database anew.
    Log(LogLevel::kWarn, "agent", "the incarnation cannot be remembered", {{"error", status}});
    return;
  }
  known_ = shim_nonce;
}

std::string Incarnation::Recall(uint64_t shim_nonce) const {
  const absl::StatusOr<std::string> text = ReadFile(file_, kMaxBytes);
  if (!text.ok()) return "";
  const size_t space = text->find(' ');
  if (space == std::string::npos || text->substr(0, space) != Hex(shim_nonce)) return "";
  std::string id(absl::StripAsciiWhitespace(text->substr(space + 1)));
  const bool sound = !id.empty() && id.size() <= kMaxId && std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c));
  });
  return sound ? id : "";
}

}  // namespace mainstay::agent
