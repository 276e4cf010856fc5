// A real API server (etcd + kube-apiserver) for tests in C++: test/kube/apiserver.py as a child that ends
// with us. One serves all tests of a program.
#ifndef MAINSTAY_TEST_CONFORMANCE_KUBE_SERVER_H_
#define MAINSTAY_TEST_CONFORMANCE_KUBE_SERVER_H_

#include <memory>
#include <string>

#include "lib/base/json.h"
#include "lib/kube/client.h"

namespace mainstay::kube {

class ApiServer {
 public:
  // Starts it with the first call (about 3 s). Null: *why says what is missing and what to do.
  static ApiServer* Get(std::string* why);
  ~ApiServer();

  std::unique_ptr<Client> Admin() const;  // a client of the cluster's administrator
  const Json& described() const { return described_; }
  std::string Text(const char* key) const { return described_.value(key, ""); }

 private:
  ApiServer() = default;
  bool Start(std::string* why);

  int pid_ = -1;
  int input_ = -1;  // it ends when this is closed
  Json described_;
};

// "t-<random>": an object's name of its own for each test.
std::string FreshName();

}  // namespace mainstay::kube

#endif  // MAINSTAY_TEST_CONFORMANCE_KUBE_SERVER_H_
