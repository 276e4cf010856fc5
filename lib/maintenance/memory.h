// The memory of a RabbitMQ cluster: what must be remembered so that a cluster is founded once, repaired once,
// and never has two nodes down by our hand. One document in the lock's store, beside the lock itself; changed
// by the maintenance leader alone, by compare-and-swap.
//
// It is written before what it describes is done. So a leader that was killed at any point leaves behind what
// it meant to do, and every step may be repeated. `epoch` is the writer's: a former leader finds a higher one
// and does nothing more.
//
// Thread rules: plain values. Errors: Decode says what is wrong (kDataLoss: field, value, remedy) and never
// guesses.
#ifndef MAINSTAY_LIB_MAINTENANCE_MEMORY_H_
#define MAINSTAY_LIB_MAINTENANCE_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mainstay::maintenance {

inline constexpr size_t kMaxMemoryBytes = 128 * 1024;
inline constexpr size_t kMaxForgotten = 32;

enum class MemberState : uint8_t {
  kJoining,  // may start blank and join; nothing on its disk counts yet
  kMember,
};

struct MemberEntry {
  std::string name;
  std::string node;
  std::string disk;   // the disk that its data are on; "": not known yet (the memory was written anew)
  std::string start;  // run of the broker that was last seen ready
  MemberState state = MemberState::kMember;
  friend bool operator==(const MemberEntry&, const MemberEntry&) = default;
};

// Two steps: first everybody must have seen this and still be blank, then the founder may start. What was
// recorded before under another nonce (and may have been deleted) is void for whoever has seen this one.
struct Founding {
  std::string name, disk;
  std::string nonce;
  bool confirmed = false;
  friend bool operator==(const Founding&, const Founding&) = default;
};

// A member that lost its disk, or a new one: its steps, each recorded before it is taken.
enum class RepairStep : uint8_t { kForget, kJoin, kGrow, kSync, kRebalance };
struct Repair {
  std::string name, disk;  // the blank disk that it gets
  RepairStep step = RepairStep::kForget;
  friend bool operator==(const Repair&, const Repair&) = default;
};

// Who may be down by our hand: one at most.
enum class TokenPhase : uint8_t { kGranted, kReturned, kRebalance };
struct Token {
  std::string name, disk;
  std::string start;  // the run that may end
  std::string wish;   // whose: MemberFacts::wish; "": it did not ask, it must (a cut is healed)
  TokenPhase phase = TokenPhase::kGranted;
  friend bool operator==(const Token&, const Token&) = default;
};

enum class RemovalStep : uint8_t { kDrain, kShrink, kStop, kForget };
struct Removal {
  std::string name, disk;
  RemovalStep step = RemovalStep::kDrain;
  friend bool operator==(const Removal&, const Removal&) = default;
};

struct NamedDisk {
  std::string name, disk;
  friend bool operator==(const NamedDisk&, const NamedDisk&) = default;
};

struct Memory {
  int64_t epoch = 0;       // of the leader that wrote it
  std::string cluster_id;  // RabbitMQ's own; "" until the founder is up
  std::optional<Founding> founding;
  std::vector<MemberEntry> members;  // sorted by name
  std::vector<NamedDisk> forgotten;  // removed with their data: these disks may not come back; newest last
  std::optional<Repair> repair;
  std::optional<Token> token;
  std::optional<Removal> removal;
  std::optional<NamedDisk> force_boot;  // confirmed by a person: this one starts without waiting for anybody
  bool rebalance_due = false;           // a member returned since the last rebalance

  const MemberEntry* Find(const std::string& name) const;
  MemberEntry* Find(const std::string& name);
  bool Forgotten(const std::string& name, const std::string& disk) const;
  friend bool operator==(const Memory&, const Memory&) = default;
};

const char* ToString(RepairStep step);
const char* ToString(RemovalStep step);
const char* ToString(TokenPhase phase);

std::string EncodeMemory(const Memory& memory);
absl::StatusOr<Memory> DecodeMemory(absl::string_view text);

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_MEMORY_H_
