// Who logs in, as files say it at that moment: secrets are rotated while the agent runs, and are nowhere
// else.
//
// Thread rules: none. Errors: as ReadMountedFile and ReadPasswordFile (mode 0600); InvalidArgument for an
// empty or unusable line.
#ifndef MAINSTAY_LIB_AMQP_LOGIN_H_
#define MAINSTAY_LIB_AMQP_LOGIN_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace mainstay::amqp {

struct Login {
  std::string user;
  std::string password;
};
// Asked at each login; never null.
using LoginSource = std::function<absl::StatusOr<Login>()>;

// The first line of each file.
absl::StatusOr<Login> ReadLogin(const std::string& user_file, const std::string& password_file);

}  // namespace mainstay::amqp

#endif  // MAINSTAY_LIB_AMQP_LOGIN_H_
