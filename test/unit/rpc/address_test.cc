#include "lib/rpc/address.h"

#include <gtest/gtest.h>

namespace mainstay::rpc {
namespace {

TEST(Address, Dialled) {
  for (const char* good : {"127.0.0.1:7400", "pg-0.pg.db.svc:7400", "[::1]:7400", "unix:/run/x"})
    EXPECT_EQ(CheckAddress(good), "") << good;
  for (const char* bad : {"", "host", "host:", "host:0", "host:65536", ":7400", "a b:1", "[::1:1",
                          "unix:", "unix:rel", "h\n:1", "h/x:1"}) {
    EXPECT_NE(CheckAddress(bad), "") << bad;
  }
  EXPECT_NE(CheckAddress("unix:/" + std::string(120, 'x')), "");
}

TEST(Address, ListenedOn) {
  for (const char* good : {"127.0.0.1:0", "0.0.0.0:7400", "[::]:7400", "host:1", "unix:/run/x"})
    EXPECT_EQ(CheckListenAddress(good), "") << good;
  for (const char* bad : {"", "host", "0.0.0.0", ":7400", "unix:rel", "fd00::7:7400"})
    EXPECT_NE(CheckListenAddress(bad), "") << bad;
}

TEST(Address, LocalIsWhatOnlyThisMachineReaches) {
  for (const char* good : {"127.0.0.1:0", "127.1.2.3:7400", "localhost:1", "[::1]:1", "unix:/run/x"})
    EXPECT_TRUE(IsLocalAddress(good)) << good;
  for (const char* bad : {"0.0.0.0:7400", "[::]:7400", "10.0.0.1:7400", "127.evil.example:1", "host:1"})
    EXPECT_FALSE(IsLocalAddress(bad)) << bad;
}

TEST(Address, Ipv6OfAnEnvironmentVariableGetsItsBrackets) {
  EXPECT_EQ(BracketIpv6("fd00::7:7400"), "[fd00::7]:7400");
  EXPECT_EQ(BracketIpv6("2001:db8:0:0:0:0:0:1:7400"), "[2001:db8:0:0:0:0:0:1]:7400");
  EXPECT_EQ(BracketIpv6("::ffff:10.0.0.7:7400"), "[::ffff:10.0.0.7]:7400");
  for (const char* same :
       {"", "10.0.0.7:7400", "host:1", "[::1]:7400", "unix:/a:b:c", "a:b:c:zz:1", "nothing"})
    EXPECT_EQ(BracketIpv6(same), same);
  EXPECT_TRUE(IsWildcardAddress("0.0.0.0:1"));
  EXPECT_TRUE(IsWildcardAddress("[::]:1"));
  EXPECT_FALSE(IsWildcardAddress("10.0.0.0:1"));
}

}  // namespace
}  // namespace mainstay::rpc
