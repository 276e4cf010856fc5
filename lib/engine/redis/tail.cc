#include "lib/engine/redis/tail.h"

#include <utility>

namespace mainstay::engine::redis {

void Tail::Saw(election::Epoch epoch, const std::string& replid, const std::string& run_id,
               const Moment& moment) {
  if (epoch == 0 || replid.empty()) return;
  if (replid != replid_ || run_id != run_id_) {
    Tail next;
    next.replid_ = replid;
    next.run_id_ = run_id;
    *this = std::move(next);
  }
  epoch_ = epoch;
  ended_ms_ = 0;
  if (!entries_.empty() && entries_.back().offset == moment.offset) {
    entries_.back().last_ms = moment.unix_ms;
    entries_.back().changes = moment.changes;
    return;
  }
  entries_.push_back({moment.unix_ms, moment.unix_ms, moment.offset, moment.changes});
  if (entries_.size() > kKept) entries_.pop_front();
}

void Tail::Ended(int64_t unix_ms) {
  if (epoch_ != 0 && ended_ms_ == 0) ended_ms_ = unix_ms;
}

const Tail::Entry* Tail::LastKept(int64_t fork) const {
  const Entry* out = nullptr;
  for (const Entry& e : entries_) {
    if (e.offset > fork) break;
    out = &e;
  }
  return out;
}

std::optional<Loss> Tail::Judge(const std::optional<Moment>& end, const ReplicationFacts& leader) const {
  if (epoch_ == 0 || leader.replid == replid_) return std::nullopt;
  Loss loss;
  loss.epoch = epoch_;
  loss.until_ms = ended_ms_;
  const bool known = leader.replid2 == replid_;
  const int64_t fork = leader.second_offset - 1;
  const bool exact = known && end.has_value();
  if (exact && end->offset <= fork) return std::nullopt;
  const Entry* last = entries_.empty() ? nullptr : &entries_.back();
  if (exact) {
    loss.bytes = static_cast<uint64_t>(end->offset - fork);
    // Nothing was written any more after it was first seen at its end.
    if (last != nullptr && last->offset == end->offset) loss.until_ms = last->first_ms;
  } else {
    loss.at_least = true;
    if (known && last != nullptr && last->offset > fork)
      loss.bytes = static_cast<uint64_t>(last->offset - fork);
  }
  // The leader's history is another one altogether: from where on is not known.
  const Entry* kept = known ? LastKept(fork) : nullptr;
  if (kept == nullptr) return loss;
  loss.since_ms = kept->last_ms;
  const int64_t changes = exact ? end->changes : -1;
  if (changes >= 0 && kept->changes >= 0 && changes >= kept->changes)
    loss.changes = static_cast<uint64_t>(changes - kept->changes);
  return loss;
}

}  // namespace mainstay::engine::redis
