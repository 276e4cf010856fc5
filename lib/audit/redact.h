// Secrets out of text that others wrote: statements, messages of a server, connection strings.
//
//   Redact("ALTER ROLE bob PASSWORD 'geheim'")            -> "ALTER ROLE bob PASSWORD '***'"
//   Redact("host=a password=geheim user=bob")             -> "host=a password=*** user=bob"
//   Redact("postgresql://bob:geheim@a/db")                -> "postgresql://bob:***@a/db"
//
// What counts as a secret: a literal ('...', E'...', U&'...', $tag$...$tag$, also in pieces and behind
// comments) or a value after = or : that follows a word which ends in password, passwd, passphrase or pwd;
// after = also secret, token, secret_key, access_key, api_key; the password of a URL; a SCRAM verifier; an
// md5 hash as PostgreSQL stores it. A literal without an end (a line that was cut) is a secret to its end.
// Better a word too many than one too few: this is for logs, nothing reads it back.
//
// Thread rules: pure function. Cost: one pass; text without any of the words is copied as it is.
#ifndef MAINSTAY_LIB_AUDIT_REDACT_H_
#define MAINSTAY_LIB_AUDIT_REDACT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace mainstay::audit {

// What stands in the place of a secret.
inline constexpr absl::string_view kStars = "***";

std::string Redact(absl::string_view text);

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_REDACT_H_
