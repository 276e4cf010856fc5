// When the changes in a record's history were, for people. The core has no clock that shows a date and leaves
// them 0: who writes and reads records for it keeps them.
//
//   Document document = dates.Encoded(record, UnixMillis());  // of each write
//   dates.Read(record, decoded.acquire_unix_ms);              // after each read
//
// Units: milliseconds since 1970, UTC; 0: not known. Thread rules: one thread. Errors: none.
#ifndef MAINSTAY_LIB_ELECTION_HISTORY_DATES_H_
#define MAINSTAY_LIB_ELECTION_HISTORY_DATES_H_

#include <cstdint>
#include <map>
#include <vector>

#include "lib/election/record.h"

namespace mainstay::election {

class HistoryDates {
 public:
  // When the reign of `record` was asked for first.
  int64_t Writing(const Record& record, int64_t now_ms);
  // What a store held is the truth, whatever was tried.
  void Read(const Record& record, int64_t acquire_unix_ms);
  void Fill(std::vector<HistoryEntry>* history) const;
  // The record as it is written now, with the dates in it. Renewals cost a fraction of the first write.
  Document Encoded(Record record, int64_t now_ms);

 private:
  void Bound();
  std::map<Epoch, int64_t> dates_;  // of the newest kMaxHistory epochs
  Record encoded_;                  // the last one that was encoded, and
  StateText text_;                  // its state
};

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_HISTORY_DATES_H_
