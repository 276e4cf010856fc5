// The secret that lets into an Erlang node: who holds it may do everything there, also run programs.
//
// Thread rules: thread-safe. Errors: those of ReadMountedFile; kPermissionDenied (others than its owner may
// read or change the file), kInvalidArgument (empty, too long, or with characters that no cookie has). None
// of them shows a part of it.
#ifndef MAINSTAY_LIB_ERLANG_COOKIE_H_
#define MAINSTAY_LIB_ERLANG_COOKIE_H_

#include <string>

#include "absl/status/statusor.h"

namespace mainstay::erlang {

inline constexpr size_t kMaxCookie = 255;  // bytes; Erlang's own bound, it is an atom

// The file's text without the line breaks around it. Links are followed (a mounted Secret is one). Its mode
// must be 0400 or 0600; 0440 and 0640 too when root owns it, which is what Kubernetes makes of 0400 with an
// fsGroup.
absl::StatusOr<std::string> ReadCookie(const std::string& path);

}  // namespace mainstay::erlang

#endif  // MAINSTAY_LIB_ERLANG_COOKIE_H_
