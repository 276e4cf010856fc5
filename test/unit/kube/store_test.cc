// The kube store's outcomes and requests, against a server that answers as told.
#include "lib/lease/kube_store.h"

#include <thread>

#include "lib/lease/kube_store_text.h"
#include "test/unit/kube/client_test.h"

namespace mainstay::kube {
namespace {

using lease::KubeStoreOptions;
using lease::Store;
using lease::StoreAnswer;
using lease::StoreOutcome;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ObjectAt(int version, const std::string& uid = "u") {
  return R"({"kind":"ConfigMap","metadata":{"name":"lock","uid":")" + uid + R"(","resourceVersion":")" +
         std::to_string(version) + R"("},"data":{"theirs":"stays"}})";
}
std::string Refusal(int code, const std::string& reason, const std::string& kind, const std::string& said) {
  return Answer(code, R"({"kind":"Status","reason":")" + reason + R"(","message":")" + said +
                          R"(","details":{"kind":")" + kind + R"("},"code":)" + std::to_string(code) + "}");
}

class KubeStore : public KubeClient {
 protected:
  // Answers the requests one after the other; "" closes the connection instead.
  void Script(std::vector<std::string> answers,
              KubeStoreOptions::Kind kind = KubeStoreOptions::Kind::kConfigMap) {
    store_.reset();
    client_.reset();
    requests_.clear();
    answers_ = std::move(answers);
    Serve([this](FakeServer::Connection& c) {
      for (std::string r; !(r = c.Request()).empty();) {
        const std::lock_guard<std::mutex> lock(mutex_);
        requests_.push_back(r);
        const size_t n = requests_.size() - 1;
        if (n >= answers_.size() || answers_[n].empty()) return;
        c.Send(answers_[n]);
      }
    });
    KubeStoreOptions options;
    options.kind = kind;
    options.name = "lock";
    store_ = *OpenKubeStore(&Make(), options);
  }
  std::vector<std::string> Verbs() {
    std::vector<std::string> out;
    for (const std::string& r : requests_) out.push_back(r.substr(0, r.find(' ')));
    return out;
  }
  StoreAnswer Update(const std::string& version) { return store_->Update({"l", "2", "s"}, version, In(2s)); }

  std::mutex mutex_;
  std::vector<std::string> answers_, requests_;
  std::unique_ptr<Store> store_;
};

TEST_F(KubeStore, ARenewalIsOnePutWithEverythingThatWasThere) {
  Script({Answer(200, ObjectAt(7)), Answer(200, ObjectAt(8)), Answer(200, ObjectAt(9))});
  const StoreAnswer read = store_->Read(In(2s));
  EXPECT_EQ(read.version, "u/7");
  EXPECT_EQ(Update("u/7").version, "u/8");
  EXPECT_EQ(Update("u/8").version, "u/9");
  EXPECT_THAT(Verbs(), ElementsAre("GET", "PUT", "PUT"));
  EXPECT_THAT(requests_[2], AllOf(StartsWith("PUT /api/v1/namespaces/db/configmaps/lock?"),
                                  HasSubstr(R"("resourceVersion":"8")"), HasSubstr(R"("uid":"u")"),
                                  HasSubstr(R"("theirs":"stays")"), HasSubstr(R"("state":"s")")));
}

TEST_F(KubeStore, AnUnknownVersionIsLookedUpFirst) {
  Script({Answer(200, ObjectAt(7)), Answer(200, ObjectAt(8))});
  EXPECT_EQ(Update("u/7").outcome, StoreOutcome::kOk);
  Script({Answer(200, ObjectAt(7))});
  EXPECT_EQ(Update("u/6").outcome, StoreOutcome::kConflict) << "and nothing was put";
  Script({Answer(200, ObjectAt(7, "another"))});
  EXPECT_EQ(Update("u/7").outcome, StoreOutcome::kConflict) << "the object was made anew";
}

TEST_F(KubeStore, OutcomesOfARefusedUpdate) {
  const std::string found = Answer(200, ObjectAt(7));
  const std::string modified = "Operation cannot be fulfilled: the object has been modified";
  struct Case {
    std::vector<std::string> answers;  // after the first read
    StoreOutcome outcome;
    const char* detail;
    size_t requests;
  };
  for (const Case& c : {
           Case{{Refusal(409, "Conflict", "configmaps", modified)}, StoreOutcome::kConflict, "modified", 2},
           // A uid that does not fit: nothing there, or something else.
           Case{{Refusal(409, "Conflict", "configmaps", "Precondition failed: UID"),
                 Refusal(404, "NotFound", "configmaps", "not found")},
                StoreOutcome::kNotFound,
                "",
                3},
           Case{{Refusal(409, "Conflict", "configmaps", "Precondition failed: UID"),
                 Answer(200, ObjectAt(9, "v"))},
                StoreOutcome::kConflict,
                "UID",
                3},
           // A quota was in the way: the object is as it was.
           Case{{Refusal(409, "Conflict", "resourcequotas", modified), found},
                StoreOutcome::kUnknown,
                "409",
                3},
           Case{{Refusal(404, "NotFound", "configmaps", "not found")}, StoreOutcome::kNotFound, "", 2},
           Case{{Refusal(404, "NotFound", "namespaces", "gone")},
                StoreOutcome::kUnknown,
                "create the namespace",
                2},
           Case{{Answer(404, "<html>proxy</html>")}, StoreOutcome::kUnknown, "404", 2},
           Case{{Refusal(403, "Forbidden", "configmaps", "no")},
                StoreOutcome::kUnknown,
                "allow: update configmaps lock in namespace db",
                2},
           Case{{StatusAnswer(401, "Unauthorized")}, StoreOutcome::kUnknown, "token", 2},
           Case{{StatusAnswer(422, "Invalid")}, StoreOutcome::kUnknown, "422", 2},
           Case{{StatusAnswer(429, "TooManyRequests", "Retry-After: 1\r\n")},
                StoreOutcome::kUnknown,
                "429",
                2},
           Case{{StatusAnswer(500, "InternalError")}, StoreOutcome::kUnknown, "etcd", 2},
           Case{{""}, StoreOutcome::kUnknown, "may have been executed", 2},
       }) {
    std::vector<std::string> answers = {found};
    answers.insert(answers.end(), c.answers.begin(), c.answers.end());
    Script(answers);
    ASSERT_EQ(store_->Read(In(2s)).outcome, StoreOutcome::kOk);
    const StoreAnswer a = Update("u/7");
    EXPECT_EQ(a.outcome, c.outcome) << a.detail;
    EXPECT_THAT(a.detail, HasSubstr(c.detail));
    EXPECT_EQ(requests_.size(), c.requests) << a.detail;
  }
}

TEST_F(KubeStore, OutcomesOfACreation) {
  struct Case {
    std::string answer;
    StoreOutcome outcome;
  };
  for (const Case& c : {Case{Answer(201, ObjectAt(1)), StoreOutcome::kOk},
                        Case{Refusal(409, "AlreadyExists", "configmaps", "x"), StoreOutcome::kConflict},
                        Case{Refusal(409, "Conflict", "resourcequotas", "x"), StoreOutcome::kUnknown},
                        Case{Refusal(404, "NotFound", "namespaces", "x"), StoreOutcome::kUnknown},
                        Case{Refusal(403, "Forbidden", "configmaps", "terminating"), StoreOutcome::kUnknown},
                        Case{Answer(201, "{}"), StoreOutcome::kUnknown}}) {
    Script({c.answer});
    const StoreAnswer a = store_->Create({"l", "1", "s"}, In(2s));
    EXPECT_EQ(a.outcome, c.outcome) << a.detail;
    EXPECT_THAT(requests_.at(0), StartsWith("POST /api/v1/namespaces/db/configmaps?"));
  }
  EXPECT_THAT(store_->Create({"", "", std::string(300'000, 'x')}, In(2s)).detail,
              HasSubstr("remove members"));
}

TEST_F(KubeStore, AStateThatWasNotStoredLeavesTheLeaseAlone) {
  Script({Refusal(403, "Forbidden", "configmaps", "no")}, KubeStoreOptions::Kind::kLease);
  const StoreAnswer a = store_->Create({"l", "1", std::string(1000, 's')}, In(2s));
  EXPECT_EQ(a.outcome, StoreOutcome::kUnknown);
  EXPECT_THAT(a.detail,
              AllOf(HasSubstr("the lock was not touched"), HasSubstr("allow: patch configmaps lock")));
  EXPECT_THAT(Verbs(), ElementsAre("PATCH"));
}

TEST_F(KubeStore, AWatchThatFailsIsOpenedAgainAndNotInARush) {
  Script({});
  client_.reset();
  Always(StatusAnswer(403, "Forbidden"));
  KubeStoreOptions options;
  options.name = "lock";
  store_ = *OpenKubeStore(&Make(), options);
  EXPECT_FALSE(store_->WaitChange("", In(1s)));
  EXPECT_GE(client_->counters().requests, 2u);
  EXPECT_LE(client_->counters().requests, 6u);
  // One that ends at once, in good order.
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  store_.reset();
  store_ = *OpenKubeStore(&Make(), options);
  EXPECT_FALSE(store_->WaitChange("", In(1s)));
  EXPECT_LE(client_->counters().requests, 6u);
}

TEST_F(KubeStore, NamesAreChecked) {
  Always("");
  Client& client = Make();
  for (const auto& [ns, name] :
       std::vector<std::pair<std::string, std::string>>{{"db", ""},
                                                        {"db", "A"},
                                                        {"db", "a/b"},
                                                        {"db", "-a"},
                                                        {"db", "a-"},
                                                        {"db", "a..b"},
                                                        {"D", "a"},
                                                        {"a.b", "a"},
                                                        {"db", std::string(254, 'a')},
                                                        {std::string(64, 'a'), "a"}}) {
    KubeStoreOptions options;
    options.ns = ns;
    options.name = name;
    EXPECT_FALSE(OpenKubeStore(&client, options).ok()) << ns << " " << name;
  }
  KubeStoreOptions options;
  options.name = "pg.main-1-mainstay";
  EXPECT_EQ((*OpenKubeStore(&client, options))->Describe(), "configmap:db/pg.main-1-mainstay");
}

}  // namespace
}  // namespace mainstay::kube
