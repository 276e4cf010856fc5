// Certificates for tests, made on the spot: authorities and leaves with any names and times.
#ifndef MAINSTAY_TEST_UNIT_RPC_PKI_H_
#define MAINSTAY_TEST_UNIT_RPC_PKI_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>

namespace mainstay::rpc {

struct Leaf {
  std::string cert;  // PEM
  std::string key;
};

class Authority {
 public:
  explicit Authority(const std::string& name);
  struct Request {
    std::string name = "member";                  // common name
    std::string san = "DNS:agent.demo.mainstay";  // "" : none
    std::string usage = "serverAuth,clientAuth";  // "" : none
    int64_t from = -3600;                         // seconds from now
    int64_t until = 24 * 3600;
  };
  Leaf Issue(const Request& request) const;
  const std::string& pem() const { return pem_; }

 private:
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> cert_;
  std::string pem_;
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_TEST_UNIT_RPC_PKI_H_
