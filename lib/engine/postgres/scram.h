// SCRAM-SHA-256 verifiers as PostgreSQL keeps them in pg_authid.rolpassword:
// SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, the last three in base64.
//
// Thread rules: pure functions. Cost: one comparison is <iterations> rounds of HMAC, 2 ms for the usual 4096.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_SCRAM_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_SCRAM_H_

#include <string>

namespace mainstay::engine::postgres {

bool IsScramVerifier(const std::string& text);
// Does `verifier` belong to `password`? Passwords of ASCII exactly; others only as far as SASLprep leaves
// them as they are (a false "no" costs a needless ALTER ROLE). False for anything that is no such verifier,
// or one with more than a million iterations.
bool ScramMatches(const std::string& verifier, const std::string& password);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_SCRAM_H_
