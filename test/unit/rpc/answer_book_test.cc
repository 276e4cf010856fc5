#include "lib/rpc/answer_book.h"

#include <gtest/gtest.h>

namespace mainstay::rpc {
namespace {

const MonoTime kT0 = MonoTime::FromNanos(1000);

TEST(AnswerBook, ARepetitionGetsTheSameAnswerAndDoesNothing) {
  AnswerBook book;
  std::vector<std::string> got;
  const auto deliver = [&](const AdminAnswer& a) { got.push_back(a.message); };
  AnswerBook::Verdict v = AnswerBook::Verdict::kRepeated;
  ASSERT_TRUE(book.Begin("id", "pause", kT0, deliver, &v).ok());
  EXPECT_EQ(v, AnswerBook::Verdict::kNew);
  ASSERT_TRUE(book.Begin("id", "pause", kT0, deliver, &v).ok());  // while it runs
  EXPECT_EQ(v, AnswerBook::Verdict::kRepeated);
  EXPECT_TRUE(got.empty());
  book.Finish("id", {election::AdminStatus::kDone, "once"});
  ASSERT_TRUE(book.Begin("id", "pause", kT0, deliver, &v).ok());  // afterwards
  EXPECT_EQ(got, (std::vector<std::string>{"once", "once", "once"}));
  EXPECT_EQ(book.Begin("id", "resume", kT0, deliver, &v).code(), absl::StatusCode::kInvalidArgument);
}

TEST(AnswerBook, ForgetsOldAnswersButNeverRunningOnes) {
  AnswerBook book;
  AnswerBook::Verdict v;
  ASSERT_TRUE(book.Begin(
                      "runs", "x", kT0, [](const AdminAnswer&) {}, &v)
                  .ok());
  ASSERT_TRUE(book.Begin(
                      "done", "x", kT0, [](const AdminAnswer&) {}, &v)
                  .ok());
  book.Finish("done", {});
  const MonoTime later = kT0 + kKeepAnswers + std::chrono::seconds(1);
  ASSERT_TRUE(book.Begin(
                      "done", "x", later, [](const AdminAnswer&) {}, &v)
                  .ok());
  EXPECT_EQ(v, AnswerBook::Verdict::kNew);
  ASSERT_TRUE(book.Begin(
                      "runs", "x", later, [](const AdminAnswer&) {}, &v)
                  .ok());
  EXPECT_EQ(v, AnswerBook::Verdict::kRepeated);
}

TEST(AnswerBook, IsBounded) {
  AnswerBook book;
  AnswerBook::Verdict v;
  const auto nothing = [](const AdminAnswer&) {};
  for (size_t i = 0; i < kMaxAnswers; ++i)
    ASSERT_TRUE(book.Begin("id" + std::to_string(i), "x", kT0, nothing, &v).ok());
  EXPECT_EQ(book.Begin("more", "x", kT0, nothing, &v).code(), absl::StatusCode::kResourceExhausted);
  book.Finish("id0", {});
  EXPECT_TRUE(book.Begin("more", "x", kT0, nothing, &v).ok());
  for (size_t i = 0; i + 1 < kMaxWaiters; ++i) ASSERT_TRUE(book.Begin("id1", "x", kT0, nothing, &v).ok());
  EXPECT_EQ(book.Begin("id1", "x", kT0, nothing, &v).code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace mainstay::rpc
