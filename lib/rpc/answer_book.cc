#include "lib/rpc/answer_book.h"

#include "absl/strings/str_cat.h"

namespace mainstay::rpc {

void AnswerBook::Expire(MonoTime now) {
  // Running ones stay, whatever their age: forgetting one would do its thing twice.
  for (auto it = order_.begin(); it != order_.end();) {
    const Entry& e = entries_[*it];
    const bool old = now - e.at > kKeepAnswers || entries_.size() >= kMaxAnswers;
    if (!e.answer || !old) {
      ++it;
      continue;
    }
    entries_.erase(*it);
    it = order_.erase(it);
  }
}

absl::Status AnswerBook::Begin(const std::string& id, const std::string& content, MonoTime now,
                               Deliver deliver, Verdict* verdict) {
  std::optional<AdminAnswer> known;
  {
    std::lock_guard lock(mu_);
    Expire(now);
    const auto it = entries_.find(id);
    if (it == entries_.end()) {
      if (entries_.size() >= kMaxAnswers) {
        return absl::ResourceExhaustedError(
            absl::StrCat(kMaxAnswers, " requests are running; try again later"));
      }
      entries_[id] = Entry{content, now, std::nullopt, {std::move(deliver)}};
      order_.push_back(id);
      *verdict = Verdict::kNew;
      return absl::OkStatus();
    }
    if (it->second.content != content) {
      return absl::InvalidArgumentError(
          absl::StrCat("meta.id: ", id, " was used for another request; give each request an id of its own"));
    }
    *verdict = Verdict::kRepeated;
    if (!it->second.answer) {
      if (it->second.waiters.size() >= kMaxWaiters) {
        return absl::ResourceExhaustedError(absl::StrCat("meta.id: ", id, " is being waited for already"));
      }
      it->second.waiters.push_back(std::move(deliver));
      return absl::OkStatus();
    }
    known = it->second.answer;
  }
  deliver(*known);
  return absl::OkStatus();
}

void AnswerBook::Finish(const std::string& id, const AdminAnswer& answer) {
  std::vector<Deliver> waiters;
  {
    std::lock_guard lock(mu_);
    const auto it = entries_.find(id);
    if (it == entries_.end() || it->second.answer) return;
    it->second.answer = answer;
    waiters.swap(it->second.waiters);
  }
  for (const Deliver& deliver : waiters) deliver(answer);
}

}  // namespace mainstay::rpc
