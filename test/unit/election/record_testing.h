// Random records for tests: every field set, within the bounds that record.h names.
#ifndef MAINSTAY_TEST_UNIT_ELECTION_RECORD_TESTING_H_
#define MAINSTAY_TEST_UNIT_ELECTION_RECORD_TESTING_H_

#include <algorithm>
#include <random>
#include <string>

#include "lib/election/record.h"

namespace mainstay::election {

class RecordMaker {
 public:
  explicit RecordMaker(uint64_t seed) : rng_(seed) {}

  int64_t Int(int64_t lo, int64_t hi) { return std::uniform_int_distribution<int64_t>(lo, hi)(rng_); }
  bool Coin() { return Int(0, 1) == 1; }
  // Now and then an extreme value.
  int64_t Big() { return Int(0, 9) == 0 ? INT64_MAX : Int(0, 9) == 0 ? 0 : Int(0, 1'000'000); }

  Name MakeName() {
    static constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    Name out;
    for (int64_t n = Int(1, 40); n > 0; --n) out.push_back(kAlphabet[Int(0, 36)]);
    return out;
  }
  // Any valid UTF-8 below U+0080, also quotes and controls: what may come in from outside.
  std::string Text(int64_t max) {
    std::string out;
    for (int64_t n = Int(0, max); n > 0; --n) out.push_back(static_cast<char>(Int(1, 126)));
    return out;
  }
  Position MakePosition() {
    Position p;
    p.lineage = Big();
    p.offset = Int(0, 9) == 0 ? UINT64_MAX : static_cast<uint64_t>(Big());
    p.timeline = static_cast<uint32_t>(Int(0, UINT32_MAX));
    return p;
  }
  Member MakeMember() {
    Member m;
    m.name = MakeName();
    m.incarnation = Text(80);
    m.data_nonce = Text(32);
    m.peer_address = Text(60);
    m.db_address = Text(60);
    m.priority = static_cast<int32_t>(Int(INT32_MIN, INT32_MAX));
    m.no_failover = Coin();
    return m;
  }
  Record Make() {
    Record r;
    r.cluster = Text(40);
    r.cluster_id = Text(20);
    r.holder_name = Coin() ? MakeName() : "";
    r.holder = Coin() ? r.holder_name + "_" + Text(60) : "";
    r.epoch = Big();
    r.base = Big();
    r.renewal = Big();
    r.change = Big();
    r.lease = std::chrono::milliseconds(Int(1, 86'400'000));
    r.durability = static_cast<Durability>(Int(0, 2));
    for (int64_t n = Int(0, kMaxMembers); n > 0; --n) {
      Member m = MakeMember();
      if (r.FindMember(m.name) == nullptr) r.members.push_back(m);
    }
    std::sort(r.members.begin(), r.members.end(),
              [](const Member& a, const Member& b) { return a.name < b.name; });
    for (const Member& m : r.members) {
      if (Coin()) r.voters.push_back(m.name);
    }
    r.freeze = static_cast<int32_t>(Int(0, kMaxMembers));
    r.paused = Coin();
    if (Coin()) r.pending = Pending{Text(36), Coin() ? MakeName() : ""};
    if (Coin()) r.release = Release{Coin(), Coin(), MakePosition(), Coin() ? MakeName() : ""};
    for (int64_t n = Int(0, kMaxHistory); n > 0; --n) {
      r.history.push_back({Big(), MakeName(), Text(60), Int(INT64_MIN, INT64_MAX)});
    }
    return r;
  }

 private:
  std::mt19937_64 rng_;
};

}  // namespace mainstay::election

#endif  // MAINSTAY_TEST_UNIT_ELECTION_RECORD_TESTING_H_
