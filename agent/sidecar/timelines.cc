#include "agent/sidecar/timelines.h"

#include <algorithm>

namespace mainstay::agent {

// The record's base is the epoch whose promotion began the log that its holder's database goes on with.
Timelines::Pair Timelines::Seen(const election::State& s) {
  if (s.view == nullptr || s.view->base == 0 || s.db.timeline == 0) return {};
  const bool leads = s.lead && s.open_epoch == s.view->epoch && s.db.writable;
  const bool follows = !s.db.streaming_from.empty() && s.db.streaming_from == s.view->holder_name &&
                       s.db.streaming_epoch == s.view->epoch;
  if (!leads && !follows) return {};
  return {s.db.timeline, s.view->base};
}

void Timelines::Look(const election::State& state, const engine::FormerTimelines& former, MonoTime now) {
  const Pair seen = Seen(state);
  bool learned = false;
  if (seen != candidate_) {
    candidate_ = seen;
    since_ = now;
  } else if (seen.first != 0 && now - since_ >= kSettled) {
    // The record's base may come late; it only rises.
    election::Epoch& known = begun_[seen.first];
    learned = known < seen.second;
    known = std::max(known, seen.second);
    if (begun_.size() > engine::kMaxFormerTimelines) begun_.erase(begun_.begin());
  }
  if (!learned && source_ == former) return;
  source_ = former;
  if (former == nullptr) {
    former_ = nullptr;
    return;
  }
  auto out = std::make_shared<std::vector<rpc::FormerTimeline>>();
  for (size_t i = 0; i < former->size(); ++i) {
    const engine::FormerTimeline& f = (*former)[i];
    const uint32_t next = i + 1 < former->size() ? (*former)[i + 1].timeline : state.db.timeline;
    const auto begun = begun_.find(next);
    out->push_back({f.timeline, f.end, f.reason, begun == begun_.end() ? 0 : begun->second});
  }
  former_ = std::move(out);
}

}  // namespace mainstay::agent
