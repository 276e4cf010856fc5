#include "lib/http/gzip.h"

#include <zlib.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace mainstay::http {
namespace {

constexpr int kLevel = 2;
constexpr int kWindowBits = 13;  // 8 KiB: the labels of a family stand near each other
constexpr int kGzipFormat = 16;
constexpr int kMemoryLevel = 5;

// Of "gzip;q=0.5": 0.5; 1 when none is given, 0 when it cannot be read.
double Quality(const std::vector<absl::string_view>& parts) {
  for (size_t i = 1; i < parts.size(); ++i) {
    absl::string_view p = absl::StripAsciiWhitespace(parts[i]);
    if (!absl::ConsumePrefix(&p, "q=") && !absl::ConsumePrefix(&p, "Q=")) continue;
    double q = 0;
    return absl::SimpleAtod(p, &q) ? q : 0;
  }
  return 1;
}

}  // namespace

bool AcceptsGzip(const std::string& accept_encoding) {
  std::optional<bool> any;
  for (absl::string_view item : absl::StrSplit(accept_encoding, ',')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(item, ';');
    const absl::string_view coding = absl::StripAsciiWhitespace(parts[0]);
    if (absl::EqualsIgnoreCase(coding, "gzip") || absl::EqualsIgnoreCase(coding, "x-gzip"))
      return Quality(parts) > 0;
    if (coding == "*") any = Quality(parts) > 0;
  }
  return any.value_or(false);
}

std::optional<std::string> Gzip(const std::string& plain) {
  z_stream z = {};
  if (deflateInit2(&z, kLevel, Z_DEFLATED, kWindowBits + kGzipFormat, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return std::nullopt;
  }
  std::string out(plain.size(), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  z.avail_in = static_cast<uInt>(plain.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
  out.resize(z.total_out);
  deflateEnd(&z);
  if (!done) return std::nullopt;
  out.shrink_to_fit();
  return out;
}

}  // namespace mainstay::http
