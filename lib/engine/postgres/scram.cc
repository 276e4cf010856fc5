#include "lib/engine/postgres/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace mainstay::engine::postgres {
namespace {

constexpr char kPrefix[] = "SCRAM-SHA-256$";
constexpr int kMostIterations = 1'000'000;

struct Parts {
  int iterations = 0;
  std::string salt, stored_key, server_key;
};

bool Parse(const std::string& verifier, Parts* out) {
  absl::string_view rest = verifier;
  if (!absl::ConsumePrefix(&rest, kPrefix)) return false;
  const std::vector<absl::string_view> halves = absl::StrSplit(rest, '$');
  if (halves.size() != 2) return false;
  const std::vector<absl::string_view> head = absl::StrSplit(halves[0], ':');
  const std::vector<absl::string_view> keys = absl::StrSplit(halves[1], ':');
  return head.size() == 2 && keys.size() == 2 && absl::SimpleAtoi(head[0], &out->iterations) &&
         out->iterations > 0 && out->iterations <= kMostIterations &&
         absl::Base64Unescape(head[1], &out->salt) && !out->salt.empty() &&
         absl::Base64Unescape(keys[0], &out->stored_key) && out->stored_key.size() == SHA256_DIGEST_LENGTH &&
         absl::Base64Unescape(keys[1], &out->server_key) && out->server_key.size() == SHA256_DIGEST_LENGTH;
}

}  // namespace

bool IsScramVerifier(const std::string& text) {
  Parts parts;
  return Parse(text, &parts);
}

bool ScramMatches(const std::string& verifier, const std::string& password) {
  Parts parts;
  if (!Parse(verifier, &parts)) return false;
  unsigned char salted[SHA256_DIGEST_LENGTH];
  unsigned char key[SHA256_DIGEST_LENGTH];
  unsigned char stored[SHA256_DIGEST_LENGTH];
  static const unsigned char kClientKey[] = "Client Key";
  unsigned size = 0;
  const bool made =
      PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                        reinterpret_cast<const unsigned char*>(parts.salt.data()),
                        static_cast<int>(parts.salt.size()), parts.iterations, EVP_sha256(), sizeof salted,
                        salted) == 1 &&
      HMAC(EVP_sha256(), salted, sizeof salted, kClientKey, sizeof kClientKey - 1, key, &size) != nullptr &&
      SHA256(key, sizeof key, stored) != nullptr;
  OPENSSL_cleanse(salted, sizeof salted);
  OPENSSL_cleanse(key, sizeof key);
  return made && CRYPTO_memcmp(stored, parts.stored_key.data(), sizeof stored) == 0;
}

}  // namespace mainstay::engine::postgres
