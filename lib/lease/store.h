// Where the lock lives: one document under a version, changed only by compare-and-swap. One conformance suite
// (test/conformance) runs on every implementation.
//
// Outcomes are exact, because safety rests on them (docs/ARCHITECTURE.md):
//   kOk        it happened, `version` is the new one (Read: the current one)
//   kConflict  it certainly did not happen: another version is there (Create: something is there)
//   kNotFound  it certainly did not happen: nothing is there
//   kUnknown   it may have happened, now or later: time-out, full disk, lost answer. Never success, never
//   loss.
// A version is opaque: compare for equality only. It never repeats, also not after a deletion.
//
// Thread rules: every method may be called from any thread, blocks until `deadline` at the latest
// (BootClock).
#ifndef MAINSTAY_LIB_LEASE_STORE_H_
#define MAINSTAY_LIB_LEASE_STORE_H_

#include <optional>
#include <string>

#include "lib/base/time.h"
#include "lib/election/event.h"
#include "lib/election/record.h"

namespace mainstay::lease {

using election::Document;
using election::StoreOutcome;

struct StoreAnswer {
  StoreOutcome outcome = StoreOutcome::kUnknown;
  std::string version;
  Document document;   // Read and Await only
  std::string detail;  // for people: what failed, on what, and what to do
};

class Store {
 public:
  virtual ~Store() = default;
  virtual StoreAnswer Read(MonoTime deadline) = 0;
  virtual StoreAnswer Create(const Document& document, MonoTime deadline) = 0;
  virtual StoreAnswer Update(const Document& document, const std::string& if_version, MonoTime deadline) = 0;
  // Blocks until the version differs from `seen` ("" = absent), Interrupt() is called, or `deadline`. True:
  // look again. A hint only: may return true for nothing, may miss (callers read now and then); what this
  // object writes itself during the wait may count as seen.
  virtual bool WaitChange(const std::string& seen, MonoTime deadline) = 0;
  // WaitChange, and what is there now; nothing: no change until `deadline`, or interrupted. A store that
  // learns the content along with the change (a watch) answers without asking for it, so whoever waits reads
  // nothing; others read, which takes `read_timeout` at most. A hint like WaitChange: it may be old.
  // kUnknown: look again later.
  virtual std::optional<StoreAnswer> Await(const std::string& seen, MonoTime deadline,
                                           Duration read_timeout) {
    if (!WaitChange(seen, deadline)) return std::nullopt;
    return Read(BootClock().Now() + read_timeout);
  }
  // Makes a running or the next WaitChange or Await return soon.
  virtual void Interrupt() = 0;
  virtual std::string Describe() const = 0;  // "file:/run/mainstay/pg" for log and status
};

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_STORE_H_
