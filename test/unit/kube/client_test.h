// What the tests of the client share: an authority, files for token and CA, a client of a fake server.
#ifndef MAINSTAY_TEST_UNIT_KUBE_CLIENT_TEST_H_
#define MAINSTAY_TEST_UNIT_KUBE_CLIENT_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "lib/kube/client.h"
#include "test/unit/kube/fake_server.h"

namespace mainstay::kube {

using namespace std::chrono_literals;

inline MonoTime In(Duration d) { return BootClock().Now() + d; }
inline const Resource kThing{"", "v1", "db", "configmaps", "x", ""};
inline constexpr char kObject[] =
    R"({"kind":"ConfigMap","metadata":{"name":"x","resourceVersion":"7","uid":"u"}})";

class KubeClient : public ::testing::Test {
 protected:
  KubeClient() {
    std::string pattern = ::testing::TempDir() + "mainstay_kube_XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) abort();
    dir_ = pattern;
    WriteText("token", "secret-1\n");
    WriteText("ca.crt", authority_.Pem());
  }
  ~KubeClient() override { std::filesystem::remove_all(dir_); }

  // As kubelet does: a rename, so that there is never half of it.
  void WriteText(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ + "/new") << text;
    std::filesystem::rename(dir_ + "/new", dir_ + "/" + name);
  }
  FakeServer& Serve(FakeServer::Handler handler, const std::string& san = "IP:127.0.0.1") {
    server_ = std::make_unique<FakeServer>(authority_.Issue("server", san), std::move(handler));
    return *server_;
  }
  // Answers every request with the same bytes.
  FakeServer& Always(const std::string& bytes) {
    return Serve([bytes](FakeServer::Connection& c) {
      while (!c.Request().empty() && c.Send(bytes)) {
      }
    });
  }
  ClusterConfig Config() const {
    ClusterConfig config;
    config.host = "127.0.0.1";
    config.port = server_->port();
    config.ca.file = dir_ + "/ca.crt";
    config.token.file = dir_ + "/token";
    config.ns = "db";
    return config;
  }
  Client& Make(Client::Options options = {}) {
    auto made = Client::Create(Config(), std::move(options));
    EXPECT_TRUE(made.ok()) << made.status();
    client_ = *std::move(made);
    return *client_;
  }
  Result Get(Duration patience = 5s) { return client_->Get(kThing, {In(patience)}); }
  Result Put(Duration patience = 5s) {
    return client_->Replace(kThing, Json::parse(kObject), {In(patience), Priority::kLease});
  }

  Authority authority_{"test authority"};
  std::string dir_;
  std::unique_ptr<FakeServer> server_;
  std::unique_ptr<Client> client_;
};

}  // namespace mainstay::kube

#endif  // MAINSTAY_TEST_UNIT_KUBE_CLIENT_TEST_H_
