// The data directory and what lies beside it: identity, markers, free space. Files only; no process, no SQL.
//
//   <data>/mainstay.nonce           identity of this copy of the data: nonce, member, inode. A copy made by
//   any means (clone,
//                                   cp, snapshot of another member) has another inode or member: its nonce
//                                   does not count.
//   <data>/mainstay.founding        the cluster is not complete yet: counts as empty
//   <data>/mainstay.unopened        founded here, never opened for writes: worth nothing beside another
//   cluster <data>.new                      a clone being made <data>.old-<unix seconds>       what was there
//   before, kept until the new one streams <data>.mainstay.json            the election's memory
//   <data>.mainstay.rewinding       pg_rewind was begun and did not end: the data must not be started
//   <data>.mainstay.reinit          an administrator asked for a new clone: counts as empty
//   <data>.mainstay.lock            held while the agent runs: one agent for one data directory
//
// Thread rules: one thread.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_DATADIR_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_DATADIR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/election/record.h"

namespace mainstay::engine::postgres {

enum class Marker : uint8_t { kRewinding, kReinit };

class DataDir {
 public:
  DataDir(std::string path, election::Name member) : path_(std::move(path)), member_(std::move(member)) {}

  const std::string& path() const { return path_; }
  std::string New() const { return path_ + ".new"; }
  std::string MemoryPath() const { return path_ + ".mainstay.json"; }
  std::string LockPath() const { return path_ + ".mainstay.lock"; }
  std::string In(absl::string_view file) const;

  // Holds no cluster: nothing there, half founded, or to be cloned anew.
  bool Empty() const;
  bool Founding() const;
  // Holds a cluster that this member founded and that was never opened for writes. The mark goes, durably,
  // before the first opening and before anything is streamed into these data.
  bool Unopened() const;
  absl::Status ForgetUnopened() const;
  static absl::Status MarkUnopened(const std::string& dir);
  absl::StatusOr<int> Major() const;             // PG_VERSION
  absl::StatusOr<std::string> SystemId() const;  // global/pg_control
  // The nonce of this very directory; "" when it has none or that of another copy.
  std::string Nonce() const;
  // Draws a new one into `dir` (the data directory, or <data>.new before the swap).
  absl::StatusOr<std::string> DrawNonce(const std::string& dir) const;

  bool Has(Marker marker) const;
  absl::Status Set(Marker marker, bool on) const;

  bool HasStandbySignal() const;
  absl::Status SetStandbySignal(bool on) const;
  static absl::Status WriteStandbySignal(const std::string& dir);

  // OK when no postmaster that is not ours uses it (call only while the shim runs none). FailedPrecondition
  // tells who does.
  absl::Status CheckUnused() const;

  // What the postmaster itself says of its state; "" when there is nothing to read.
  std::string PostmasterStatus() const;

  std::vector<std::string> OldOnes() const;    // <data>.old-*, oldest first
  absl::StatusOr<uint64_t> FreeBytes() const;  // of the volume

 private:
  std::string MarkerPath(Marker marker) const;
  std::string path_;
  election::Name member_;
};

// Creates (with its directory entry durable) or removes a file.
absl::Status Touch(const std::string& path);
absl::Status Remove(const std::string& path);
bool Exists(const std::string& path);

// Who holds the data directory according to postmaster.pid: for CheckUnused and tests.
struct PidFile {
  int64_t pid = 0;
  std::string data_dir;
  int port = 0;
  std::string socket_dir;
  std::string status;  // "starting", "stopping", "ready", "standby"; "" not written yet
};
absl::StatusOr<PidFile> ParsePidFile(absl::string_view text);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_DATADIR_H_
