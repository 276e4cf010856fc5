#include "lib/amqp/login.h"

#include "absl/strings/str_cat.h"
#include "lib/base/mounted_file.h"
#include "lib/base/result.h"

namespace mainstay::amqp {
namespace {

constexpr size_t kLongest = 4096;

absl::StatusOr<std::string> FirstLine(const std::string& path, std::string text) {
  text = text.substr(0, text.find('\n'));
  if (!text.empty() && text.back() == '\r') text.pop_back();
  // The library takes both for C's strings.
  if (text.empty() || text.find('\0') != std::string::npos)
    return absl::InvalidArgumentError(absl::StrCat(path, ": its first line is empty or no text; write one"));
  return text;
}

}  // namespace

absl::StatusOr<Login> ReadLogin(const std::string& user_file, const std::string& password_file) {
  MAINSTAY_ASSIGN_OR_RETURN(std::string user, ReadMountedFile(user_file, kLongest));
  MAINSTAY_ASSIGN_OR_RETURN(user, FirstLine(user_file, std::move(user)));
  MAINSTAY_ASSIGN_OR_RETURN(std::string password, ReadPasswordFile(password_file, kLongest));
  MAINSTAY_ASSIGN_OR_RETURN(password, FirstLine(password_file, std::move(password)));
  return Login{.user = std::move(user), .password = std::move(password)};
}

}  // namespace mainstay::amqp
