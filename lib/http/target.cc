// The request target: decoded strictly, because what is not understood must not be guessed.
#include "lib/http/server.h"

namespace mainstay::http {
namespace {

constexpr size_t kMaxParams = 32;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// False: a broken or forbidden escape. `plus`: '+' is a blank, as in queries.
bool Decode(const std::string& in, bool plus, std::string* out) {
  out->clear();
  for (size_t i = 0; i < in.size(); ++i) {
    char c = in[i];
    if (c == '%') {
      if (i + 2 >= in.size()) return false;
      const int high = HexDigit(in[i + 1]);
      const int low = HexDigit(in[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus) {
      c = ' ';
    }
    // A control character has no business in a path or a parameter; it would only end up in somebody's log.
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
    out->push_back(c);
  }
  return true;
}

bool ParseQuery(const std::string& query, Request* request) {
  size_t begin = 0;
  while (begin < query.size()) {
    size_t end = query.find('&', begin);
    if (end == std::string::npos) end = query.size();
    const std::string item = query.substr(begin, end - begin);
    begin = end + 1;
    if (item.empty()) continue;
    if (request->query.size() == kMaxParams) return false;
    const size_t equals = item.find('=');
    std::pair<std::string, std::string> param;
    if (!Decode(item.substr(0, equals), true, &param.first)) return false;
    if (equals != std::string::npos && !Decode(item.substr(equals + 1), true, &param.second)) return false;
    request->query.push_back(std::move(param));
  }
  return true;
}

}  // namespace

std::optional<Request> ParseTarget(const std::string& target) {
  if (target.empty() || target[0] != '/') return std::nullopt;  // also absolute-form and "*"
  Request request;
  const size_t question = target.find('?');
  if (!Decode(target.substr(0, question), false, &request.path)) return std::nullopt;
  if (question != std::string::npos && !ParseQuery(target.substr(question + 1), &request))
    return std::nullopt;
  return request;
}

std::optional<std::string> Request::Param(const std::string& name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace mainstay::http
