// Secrets out of what Redis tells: commands of its slow log, and lines of its own log.
//
//   RedisCommandText({"AUTH", "bob", "geheim"})                 -> "AUTH ***"
//   RedisCommandText({"ACL", "SETUSER", "bob", ">geheim"})      -> "ACL SETUSER bob ***"
//   RedisCommandText({"CONFIG", "SET", "masterauth", "geheim"}) -> "CONFIG SET masterauth ***"
//   RedisLogText(">>> 'user bob on >geheim'")                   -> ">>> 'user ***"
//
// The server itself blanks most of this in its slow log; that is not relied on. Commands that carry secrets
// keep the words that say what they do and lose all others; of other commands every word that follows one
// like AUTH or PASSWORD goes, and what Redact (redact.h) knows. Better a word too many than one too few.
//
// Thread rules: pure functions.
#ifndef MAINSTAY_LIB_AUDIT_REDIS_TEXT_H_
#define MAINSTAY_LIB_AUDIT_REDIS_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mainstay::audit {

// Words separated by blanks; control characters as \xhh, so that a key or value forges nothing.
std::string RedisCommandText(const std::vector<std::string>& words);
std::string RedisLogText(absl::string_view text);

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_REDIS_TEXT_H_
