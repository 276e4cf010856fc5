// Which certificates are taken, and which are left alone.
#include "lib/rpc/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "lib/base/file.h"
#include "test/unit/rpc/pki.h"

namespace mainstay::rpc {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPeerName[] = "agent.demo.mainstay";

class TlsFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char dir[] = "/tmp/tls_files_test.XXXXXX";
    ASSERT_NE(mkdtemp(dir), nullptr);
    dir_ = dir;
    Write(ca_.pem(), ca_.Issue({}));
  }
  void TearDown() override {
    for (const char* name : {"/ca", "/cert", "/key"}) unlink((dir_ + name).c_str());
    rmdir(dir_.c_str());
  }
  void Write(const std::string& ca, const Leaf& leaf) const {
    ASSERT_TRUE(AtomicWriteFile(dir_ + "/ca", ca).ok());
    ASSERT_TRUE(AtomicWriteFile(dir_ + "/cert", leaf.cert).ok());
    ASSERT_TRUE(AtomicWriteFile(dir_ + "/key", leaf.key).ok());
  }
  TlsOptions Options() const {
    return {.ca = dir_ + "/ca",
            .cert = dir_ + "/cert",
            .key = dir_ + "/key",
            .peer_name = kPeerName,
            .look_every = Duration(0)};
  }
  std::shared_ptr<TlsFiles> Open() const {
    auto files = TlsFiles::Open(Options());
    EXPECT_TRUE(files.ok()) << files.status();
    return files.ok() ? *files : nullptr;
  }
  std::string OpenFails() const {
    const auto files = TlsFiles::Open(Options());
    EXPECT_FALSE(files.ok());
    return std::string(files.status().message());
  }

  const Authority ca_{"authority"};
  const Authority other_{"other"};
  std::string dir_;
};

TEST_F(TlsFilesTest, WhatFitsIsTaken) {
  const auto files = Open();
  ASSERT_NE(files, nullptr);
  const auto now = files->Current();
  EXPECT_EQ(now->generation, 1u);
  EXPECT_EQ(now->subject, "CN=member");
  EXPECT_EQ(now->warning, "");
  EXPECT_NEAR(static_cast<double>(now->expires), static_cast<double>(time(nullptr) + 24 * 3600), 10);
  EXPECT_GT(now->ca_expires, now->expires);
  EXPECT_EQ(files->Current(), now);  // nothing changed: the very same
}

TEST_F(TlsFilesTest, EachMistakeIsNamed) {
  const Leaf good = ca_.Issue({});
  Write(ca_.pem(), {good.cert, ca_.Issue({}).key});
  EXPECT_THAT(OpenFails(), HasSubstr("tls.key does not belong to the first certificate of tls.cert"));
  Write(ca_.pem(), {good.cert, "-----BEGIN PRIVATE KEY-----\nAAAA"});
  EXPECT_THAT(OpenFails(), HasSubstr("tls.key holds no private key"));
  Write("nothing", good);
  EXPECT_THAT(OpenFails(), HasSubstr("tls.ca holds no certificate"));
  Write(ca_.pem(), {"", good.key});
  EXPECT_THAT(OpenFails(), HasSubstr("tls.cert holds no certificate"));
  Write(ca_.pem(),
        ca_.Issue({.name = kPeerName, .san = "DNS:other.mainstay,DNS:*.demo.mainstay,IP:127.0.0.1"}));
  EXPECT_THAT(OpenFails(), HasSubstr("does not hold the DNS name agent.demo.mainstay"));
  Write(ca_.pem(), ca_.Issue({.usage = "serverAuth"}));
  EXPECT_THAT(OpenFails(), HasSubstr("issue it with the extended key usages serverAuth and clientAuth"));
  unlink((dir_ + "/key").c_str());
  EXPECT_THAT(OpenFails(), HasSubstr(dir_ + "/key"));
  Write(ca_.pem(), ca_.Issue({.usage = ""}));
  EXPECT_NE(Open(), nullptr);
}

TEST_F(TlsFilesTest, AnEncryptedKeyAsksNobodyForAPassphrase) {
  const Leaf good = ca_.Issue({});
  Write(ca_.pem(), {good.cert,
                    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjJ0Z5zq0pOyQICCAAw\n"
                    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEAVkBJzZr3aJ8aHkJpZbXQEEgZBp\n"
                    "-----END ENCRYPTED PRIVATE KEY-----\n"});
  EXPECT_THAT(OpenFails(), HasSubstr("not encrypted"));
}

// The database must not stay down because a certificate ran out while everything was off.
TEST_F(TlsFilesTest, AtAStartWhatOnlyOthersMindIsAWarning) {
  Write(ca_.pem(), ca_.Issue({.from = -7200, .until = -3600}));
  EXPECT_THAT(Open()->Current()->warning, HasSubstr("the certificate expired at 20"));
  Write(ca_.pem(), ca_.Issue({.from = 3600}));
  EXPECT_THAT(Open()->Current()->warning, HasSubstr("not valid yet"));
  Write(other_.pem(), ca_.Issue({}));
  EXPECT_THAT(Open()->Current()->warning, HasSubstr("tls.ca does not accept the certificate"));
  Write(other_.pem() + ca_.pem(), ca_.Issue({}));  // authorities during their own change
  EXPECT_EQ(Open()->Current()->warning, "");
}

TEST_F(TlsFilesTest, AChangeIsTakenOnceItFits) {
  const auto files = Open();
  const auto before = files->Current();
  const Leaf next = ca_.Issue({.name = "next"});
  // The certificate is there, its key not yet.
  ASSERT_TRUE(AtomicWriteFile(dir_ + "/cert", next.cert).ok());
  EXPECT_EQ(files->Current(), before);
  EXPECT_THAT(files->Problem(), HasSubstr("tls.key does not belong"));
  // Half of the key.
  std::ofstream(dir_ + "/key") << next.key.substr(0, next.key.size() / 2);
  EXPECT_EQ(files->Current(), before);
  EXPECT_THAT(files->Problem(), HasSubstr("tls.key holds no private key"));
  EXPECT_THAT(files->Problem(), Not(HasSubstr(next.key.substr(30, 20))));
  ASSERT_TRUE(AtomicWriteFile(dir_ + "/key", next.key).ok());
  const auto after = files->Current();
  EXPECT_EQ(after->subject, "CN=next");
  EXPECT_EQ(after->generation, 2u);
  EXPECT_EQ(files->Problem(), "");
  unlink((dir_ + "/key").c_str());
  EXPECT_EQ(files->Current(), after);
  EXPECT_THAT(files->Problem(), HasSubstr(dir_ + "/key"));
  ASSERT_TRUE(AtomicWriteFile(dir_ + "/key", next.key).ok());  // the same as before
  EXPECT_EQ(files->Current(), after);
  EXPECT_EQ(files->Problem(), "");
}

TEST_F(TlsFilesTest, AnExpiredOneDoesNotReplaceOneThatIsGood) {
  const auto files = Open();
  const auto before = files->Current();
  Write(ca_.pem(), ca_.Issue({.from = -7200, .until = -60}));
  EXPECT_EQ(files->Current(), before);
  EXPECT_THAT(files->Problem(), HasSubstr("expired"));
}

TEST_F(TlsFilesTest, KubernetesSwapsASymlink) {
  // kubelet: tls.crt -> ..data/tls.crt, ..data -> ..2026_x, and ..data is renamed over.
  const std::string first = dir_ + "/1";
  const std::string second = dir_ + "/2";
  ASSERT_TRUE(MakeDirs(first, 0700).ok());
  ASSERT_TRUE(MakeDirs(second, 0700).ok());
  const std::string home = dir_;
  dir_ = first;
  Write(ca_.pem(), ca_.Issue({}));
  dir_ = second;
  Write(ca_.pem(), ca_.Issue({.name = "second"}));
  ASSERT_EQ(symlink(first.c_str(), (home + "/data").c_str()), 0);
  dir_ = home + "/data";
  const auto files = Open();
  ASSERT_EQ(files->Current()->subject, "CN=member");
  ASSERT_EQ(symlink(second.c_str(), (home + "/tmp").c_str()), 0);
  ASSERT_EQ(rename((home + "/tmp").c_str(), (home + "/data").c_str()), 0);
  EXPECT_EQ(files->Current()->subject, "CN=second");
  for (const std::string& d : {first, second}) {
    for (const char* name : {"/ca", "/cert", "/key"}) unlink((d + name).c_str());
    rmdir(d.c_str());
  }
  unlink((home + "/data").c_str());
  dir_ = home;
}

TEST_F(TlsFilesTest, FilesAreLookedAtNowAndThenOnly) {
  TlsOptions options = Options();
  options.look_every = std::chrono::hours(1);
  const auto files = TlsFiles::Open(options);
  ASSERT_TRUE(files.ok());
  Write(ca_.pem(), ca_.Issue({.name = "next"}));
  EXPECT_EQ((*files)->Current()->generation, 1u);
}

TEST(CheckTls, AnyBytesAreAnAnswerAndNoCrash) {
  const Authority ca("a");
  const Leaf leaf = ca.Issue({});
  for (size_t cut = 0; cut < leaf.cert.size(); cut += 7) {
    std::string torn = leaf.cert;
    torn[cut] ^= 0x15;
    CheckTls(ca.pem(), torn, leaf.key, kPeerName, time(nullptr)).IgnoreError();
    CheckTls(torn, leaf.cert, leaf.key, kPeerName, time(nullptr)).IgnoreError();
    CheckTls(ca.pem(), leaf.cert, leaf.key.substr(0, cut % leaf.key.size()), kPeerName, time(nullptr))
        .IgnoreError();
  }
}

}  // namespace
}  // namespace mainstay::rpc
