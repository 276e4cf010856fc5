#include "lib/rpc/json.h"

#include <gtest/gtest.h>

#include "lib/base/json.h"
#include "mainstay/v1/types.pb.h"

namespace mainstay::rpc {
namespace {

TEST(MessageToJson, NumbersStayNumbersAndEnumsAreShort) {
  v1::Status s;
  s.set_cluster("a\"\n");
  s.set_role(v1::ROLE_PRIMARY);
  s.set_epoch(7);
  s.mutable_database()->set_offset(83886176);
  s.mutable_lock()->mutable_remaining()->set_nanos(-500000000);
  s.mutable_time()->set_seconds(1767225600);
  s.add_members()->set_name("b");
  for (bool pretty : {false, true}) {
    const auto j = ParseJson(MessageToJson(s, pretty), 1 << 20);
    ASSERT_TRUE(j.ok()) << j.status();
    EXPECT_EQ((*j)["cluster"], "a\"\n");
    EXPECT_EQ((*j)["role"], "primary");
    EXPECT_EQ((*j)["epoch"], 7);
    EXPECT_EQ((*j)["database"]["offset"], 83886176);
    EXPECT_EQ((*j)["database"]["state"], "unknown");
    EXPECT_EQ((*j)["lock"]["remaining"], -0.5);
    EXPECT_EQ((*j)["time"], "2026-01-01T00:00:00.000Z");
    EXPECT_EQ((*j)["members"][0]["name"], "b");
    EXPECT_FALSE((*j)["members"][0].contains("lag_bytes"));
    EXPECT_EQ((*j)["warnings"].size(), 0u);
  }
}

}  // namespace
}  // namespace mainstay::rpc
