// The command line in a cluster whose members speak TLS: from inside a pod and from outside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "test/unit/ctl/cluster3.h"
#include "test/unit/rpc/pki.h"

namespace mainstay::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TlsCluster3 : public Cluster3 {
 protected:
  TlsCluster3() {
    char dir[] = "/tmp/ctl_tls_test.XXXXXX";
    EXPECT_NE(mkdtemp(dir), nullptr);
    dir_ = dir;
    const rpc::Leaf leaf = ca_.Issue({.name = "admin"});
    EXPECT_TRUE(AtomicWriteFile(dir_ + "/ca", ca_.pem()).ok());
    EXPECT_TRUE(AtomicWriteFile(dir_ + "/cert", leaf.cert).ok());
    EXPECT_TRUE(AtomicWriteFile(dir_ + "/key", leaf.key).ok());
    auto files = rpc::TlsFiles::Open({.ca = dir_ + "/ca",
                                      .cert = dir_ + "/cert",
                                      .key = dir_ + "/key",
                                      .peer_name = "agent.demo.mainstay"});
    EXPECT_TRUE(files.ok()) << files.status();
    if (files.ok()) tls_ = *files;
    EXPECT_TRUE(AtomicWriteFile(dir_ + "/mainstay.yaml", R"(cluster: demo
election: {lock: configmap}
shim: {socket: /run/mainstay/shim.sock}
listen: {grpc: "0.0.0.0:7400", admin: "unix:)" + dir_ + R"(/b.sock"}
advertise: {peer: "127.0.0.1:1", database: "127.0.0.1:2"}
tls: {ca: )" + dir_ + "/ca, cert: " + dir_ + "/cert, key: " + dir_ +
                                                             R"(/key}
postgresql: {data_dir: /data, socket_dir: /run/x, password_file: /data/p}
)")
                    .ok());
  }
  ~TlsCluster3() override {
    agents_.clear();
    for (const char* name : {"/ca", "/cert", "/key", "/mainstay.yaml", "/a.sock", "/b.sock", "/c.sock"})
      unlink((dir_ + name).c_str());
    rmdir(dir_.c_str());
  }
  rpc::Server::Options ServerOptions(const std::string& name) override {
    rpc::Server::Options o;
    o.tls = tls_;
    o.admin_address = "unix:" + dir_ + "/" + name + ".sock";
    return o;
  }
  std::vector<std::string> WithFlags(std::vector<std::string> arguments) const {
    for (const std::string& s : {std::string("--tls-ca"), dir_ + "/ca", std::string("--tls-cert"),
                                 dir_ + "/cert", std::string("--tls-key"), dir_ + "/key"}) {
      arguments.push_back(s);
    }
    return arguments;
  }

  const rpc::Authority ca_{"authority"};
  std::string dir_;
  std::shared_ptr<rpc::TlsFiles> tls_;
};

// kubectl exec pod -c mainstay -- mainstay status
TEST_F(TlsCluster3, InsideAPodTheConfigurationTellsEverything) {
  const std::string config = "MAINSTAY_CONFIG=" + dir_ + "/mainstay.yaml";
  const Result r = RunWith({"status", "--check"}, {config.c_str(), "MAINSTAY_NAME=b"});
  EXPECT_EQ(r.code, 0) << r.err << r.out;
  EXPECT_THAT(r.out, Not(HasSubstr("does not answer")));
  EXPECT_THAT(r.out, Not(HasSubstr("TLS")));
  // What changes the cluster reaches the leader, which is elsewhere.
  EXPECT_EQ(RunWith({"pause"}, {config.c_str(), "MAINSTAY_NAME=b"}).code, 0);
  ASSERT_EQ(agents_["a"]->port.commands().size(), 1u);
  EXPECT_EQ(agents_["a"]->port.commands()[0].actor, "admin");
  EXPECT_EQ(RunWith({"why"}, {config.c_str(), "MAINSTAY_NAME=b"}).code, 0);
}

TEST_F(TlsCluster3, TheSocketAloneShowsTheClusterAsItsMemberSeesIt) {
  const std::string socket = "MAINSTAY_LISTEN_ADMIN=unix:" + dir_ + "/b.sock";
  Result r = RunWith({"status"}, {socket.c_str()});
  EXPECT_EQ(r.code, 0) << r.err;
  for (const char* row :
       {"a       primary  running ", "b       replica  streaming", "c       replica  running "})
    EXPECT_THAT(r.out, HasSubstr(row));
  EXPECT_THAT(r.out, Not(HasSubstr("no answer")));
  EXPECT_THAT(r.out, HasSubstr("2.0 kB"));  // c's lag, by report
  EXPECT_THAT(r.out, HasSubstr("the others are shown as this member sees them"));
  EXPECT_THAT(r.out, Not(HasSubstr("does not answer")));
  r = RunWith({"pause"}, {socket.c_str()});
  EXPECT_EQ(r.code, 4);
  EXPECT_THAT(r.err, HasSubstr("a answers only by TLS; give --tls-ca"));
  EXPECT_THAT(RunWith({"restart", "c"}, {socket.c_str()}).err, HasSubstr("c answers only by TLS"));
  EXPECT_EQ(RunWith({"restart", "b"}, {socket.c_str()}).code, 0);  // its own
}

TEST_F(TlsCluster3, FromOutsideWithFlagsOrVariables) {
  Result r =
      Invoke(WithFlags({"status", "--check", "--agent", Address("c"), "--tls-name", "agent.demo.mainstay"}));
  EXPECT_EQ(r.code, 0) << r.err << r.out;
  const std::string ca = "MAINSTAY_TLS_CA=" + dir_ + "/ca";
  const std::string cert = "MAINSTAY_TLS_CERT=" + dir_ + "/cert";
  const std::string key = "MAINSTAY_TLS_KEY=" + dir_ + "/key";
  r = RunWith({"status", "--check", "--address", Address("c")},
              {ca.c_str(), cert.c_str(), key.c_str(), "MAINSTAY_CLUSTER=demo"});
  EXPECT_EQ(r.code, 0) << r.err << r.out;
}

TEST_F(TlsCluster3, WhatIsMissingIsSaid) {
  Result r = Invoke({"status", "--address", Address("c"), "--timeout", "1s"});
  EXPECT_EQ(r.code, 4);
  EXPECT_THAT(r.err, HasSubstr("An agent with TLS needs --tls-ca, --tls-cert and --tls-key"));
  r = Invoke({"status", "--address", Address("c"), "--tls-ca", dir_ + "/ca"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("give all of --tls-ca, --tls-cert and --tls-key"));
  r = Invoke(WithFlags({"status", "--address", Address("c")}));
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("Give --tls-name agent.CLUSTER.mainstay"));
  r = Invoke(WithFlags({"status", "--address", Address("c"), "--tls-name", "agent.other.mainstay"}));
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("does not hold the DNS name agent.other.mainstay"));
}

}  // namespace
}  // namespace mainstay::ctl
