// Which statements lead from what a database has to what the configuration wishes.
#include "lib/engine/postgres/account_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mainstay::engine::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Role(const UserSpec& wish, const RoleFacts* facts, const std::string& verifier = "") {
  const auto plan = PlanRole(wish, facts, verifier);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() && plan->has_value() ? (*plan)->sql : "";
}
std::vector<std::string> Sql(const std::vector<AccountStatement>& statements) {
  std::vector<std::string> out;
  for (const auto& s : statements) out.push_back(s.sql);
  return out;
}
RoleFacts Usual() { return {.login = true, .inherit = true}; }

TEST(AccountPlan, AMissingRoleIsMadeWithAllThatIsWished) {
  EXPECT_EQ(Role({.name = "app"}, nullptr),
            "CREATE ROLE \"app\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION INHERIT CONNECTION "
            "LIMIT -1");
  EXPECT_EQ(Role({.name = "we\"ird'; DROP ROLE x; --\\",
                  .login = false,
                  .superuser = true,
                  .createdb = true,
                  .createrole = true,
                  .replication = true,
                  .inherit = false,
                  .connection_limit = 3},
                 nullptr, "SCRAM-SHA-256$4096:a$b:c"),
            "CREATE ROLE \"we\"\"ird'; DROP ROLE x; --\\\" NOLOGIN SUPERUSER CREATEDB CREATEROLE REPLICATION "
            "NOINHERIT "
            "CONNECTION LIMIT 3 PASSWORD 'SCRAM-SHA-256$4096:a$b:c'");
  EXPECT_FALSE(PlanRole({.name = "app"}, nullptr, "it's\\").ok());
}

TEST(AccountPlan, OnlyWhatDiffersIsChanged) {
  RoleFacts facts = Usual();
  EXPECT_EQ(Role({.name = "app"}, &facts), "");
  EXPECT_EQ(Role({.name = "app"}, &facts, "SCRAM-SHA-256$1:a$b:c"),
            "ALTER ROLE \"app\" PASSWORD 'SCRAM-SHA-256$1:a$b:c'");
  facts.superuser = true;  // somebody gave it rights that it shall not have
  facts.connection_limit = 5;
  EXPECT_EQ(Role({.name = "app", .createdb = true}, &facts),
            "ALTER ROLE \"app\" NOSUPERUSER CREATEDB CONNECTION LIMIT -1");
}

TEST(AccountPlan, GrantsThatAreMissing) {
  RoleFacts facts = Usual();
  facts.member_of = {"pg_monitor", "other"};
  const UserSpec wish{.name = "app", .member_of = {"pg_monitor", "te\"am"}};
  EXPECT_THAT(Sql(PlanGrants(wish, &facts)), ElementsAre("GRANT \"te\"\"am\" TO \"app\""));  // `other` stays
  EXPECT_EQ(PlanGrants(wish, nullptr).size(), 2u);
}

TEST(AccountPlan, Databases) {
  EXPECT_EQ(PlanDatabase({.name = "app"}, nullptr)->sql, "CREATE DATABASE \"app\"");
  EXPECT_EQ(
      PlanDatabase({.name = "a\"b", .owner = "o\"w", .encoding = "UTF8", .locale = "C.UTF-8"}, nullptr)->sql,
      "CREATE DATABASE \"a\"\"b\" OWNER \"o\"\"w\" ENCODING \"UTF8\" LOCALE \"C.UTF-8\" TEMPLATE template0");
  const std::string owner = "app";
  EXPECT_FALSE(PlanDatabase({.name = "app"}, &owner).has_value());
  EXPECT_FALSE(PlanDatabase({.name = "app", .owner = "app", .locale = "C"}, &owner).has_value());
  EXPECT_EQ(PlanDatabase({.name = "app", .owner = "new"}, &owner)->sql,
            "ALTER DATABASE \"app\" OWNER TO \"new\"");
}

TEST(AccountPlan, Extensions) {
  const DatabaseSpec wish{.name = "app", .extensions = {"pg_trgm", "uuid-ossp"}};
  EXPECT_THAT(Sql(PlanExtensions(wish, {"pg_trgm"})),
              ElementsAre("CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\""));
  EXPECT_THAT(PlanExtensions(wish, {"pg_trgm", "uuid-ossp"}), IsEmpty());
}

TEST(AccountPlan, NamesAsAnArray) {
  EXPECT_EQ(NameArray({}), "{}");
  EXPECT_EQ(NameArray({"a", "b,c}", "we\"ird\\"}), "{\"a\",\"b,c}\",\"we\\\"ird\\\\\"}");
}

}  // namespace
}  // namespace mainstay::engine::postgres
