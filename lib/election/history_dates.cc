#include "lib/election/history_dates.h"

#include <utility>

namespace mainstay::election {

int64_t HistoryDates::Writing(const Record& record, int64_t now_ms) {
  const int64_t date = dates_.emplace(record.epoch, now_ms).first->second;
  Bound();
  return date;
}

void HistoryDates::Read(const Record& record, int64_t acquire_unix_ms) {
  if (acquire_unix_ms != 0 && !record.holder.empty()) dates_[record.epoch] = acquire_unix_ms;
  for (const HistoryEntry& h : record.history) {
    if (h.unix_ms != 0) dates_[h.epoch] = h.unix_ms;
  }
  Bound();
}

void HistoryDates::Fill(std::vector<HistoryEntry>* history) const {
  for (HistoryEntry& h : *history) {
    const auto known = dates_.find(h.epoch);
    if (h.unix_ms == 0 && known != dates_.end()) h.unix_ms = known->second;
  }
}

Document HistoryDates::Encoded(Record record, int64_t now_ms) {
  const int64_t acquired = Writing(record, now_ms);
  Fill(&record.history);
  encoded_.renewal = record.renewal;
  if (text_.json.empty() || !(encoded_ == record)) {
    text_ = EncodeState(record);
    encoded_ = std::move(record);
  }
  return Encode(encoded_, text_, now_ms, acquired);
}

void HistoryDates::Bound() {
  while (dates_.size() > kMaxHistory) dates_.erase(dates_.begin());
}

}  // namespace mainstay::election
