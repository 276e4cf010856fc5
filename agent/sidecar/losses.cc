#include "agent/sidecar/losses.h"

#include <algorithm>
#include <utility>

namespace mainstay::agent {

void Losses::Add(rpc::LossView loss) {
  (loss.found == "takeover" ? view_.takeovers : view_.rejoins) += 1;
  if (!loss.bytes.has_value()) ++view_.bytes_unknown;
  view_.newest.push_back(loss);
  if (view_.newest.size() > rpc::kMaxLosses) view_.newest.erase(view_.newest.begin());
  new_.push_back(std::move(loss));
  if (new_.size() > rpc::kMaxLosses) new_.erase(new_.begin());
}

std::vector<rpc::LossView> Losses::TakeNew() { return std::exchange(new_, {}); }

void Losses::Look(const election::State& state, MonoTime now, int64_t unix_ms) {
  if (state.view == nullptr || state.view->holder_name.empty()) return;
  const election::Record& r = *state.view;
  if (r.holder_name == state.set->self.name) return;
  if (r.epoch != reign_.epoch || r.holder_name != reign_.holder) {
    reign_ = Reign();
    reign_.epoch = r.epoch;
    reign_.holder = r.holder_name;
  }
  reign_.acknowledged_alone = r.durability == election::Durability::kAsync;
  reign_.handed_over = r.release.released && r.release.complete;
  for (const election::Peer& p : state.peers) {
    // A position counts only while its member leads that very reign.
    if (p.report.name == reign_.holder && p.report.leads && p.report.record_epoch == r.epoch)
      reign_.reported = std::max(reign_.reported, p.report.position.offset);
  }
  if (state.db.streaming_from == reign_.holder && state.db.streaming_epoch == r.epoch &&
      !state.db.stream_at.is_past() && state.db.stream_at <= now) {
    const int64_t ago =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - state.db.stream_at).count();
    reign_.heard_ms = std::max(reign_.heard_ms, unix_ms - ago);
  }
}

void Losses::Rejoined(const election::State& state, const engine::Details& details) {
  for (const engine::Loss& l : details.losses) {
    if (l.number <= rejoins_told_) continue;
    rejoins_told_ = l.number;
    rpc::LossView out;
    out.found = "rejoin";
    out.unix_ms = l.found_ms;
    out.epoch = l.epoch;
    out.from = state.set->self.name;
    out.leader = l.leader;
    out.bytes = l.bytes;
    out.at_least = l.at_least;
    out.since_ms = l.since_ms;
    out.until_ms = l.until_ms;
    out.changes = l.changes;
    out.keys_here = l.keys_here;
    out.keys_there = l.keys_there;
    Add(std::move(out));
  }
}

// Nothing to tell after a handover, nor where a failover waits for everything that was acknowledged.
void Losses::Opened(const election::State& state, const election::EngineDone& done, int64_t unix_ms) {
  const bool accepted = state.forced_loss;
  if (reign_.epoch == 0 || reign_.handed_over || (!reign_.acknowledged_alone && !accepted)) return;
  rpc::LossView out;
  out.found = "takeover";
  out.unix_ms = unix_ms;
  out.epoch = reign_.epoch;
  out.from = reign_.holder;
  out.leader = state.set->self.name;
  if (reign_.reported > done.offset) out.bytes = reign_.reported - done.offset;
  out.at_least = true;
  out.since_ms = reign_.heard_ms;
  out.until_ms = unix_ms;  // the fence: from here on the one before acknowledges nothing
  reign_ = Reign();
  Add(std::move(out));
}

}  // namespace mainstay::agent
