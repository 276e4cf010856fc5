// What the shim says of its database, for a probe. A shim that stands still says nothing, and that is nothing
// said of the database: then what it said last is taken, and the database itself is asked. (Otherwise a
// primary whose shim is frozen would be judged hung, could not be killed, and would not be renewed: another
// member leads after the lease while this one goes on writing.)
//
// Thread rules: the engine's worker.
#ifndef MAINSTAY_LIB_ENGINE_PARTS_SHIM_WORD_H_
#define MAINSTAY_LIB_ENGINE_PARTS_SHIM_WORD_H_

#include <optional>

#include "absl/status/statusor.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lib/shim/client.h"

namespace mainstay::engine {

class ShimWord {
 public:
  // Waits 300 ms at most, so that there is time left for the database. Its last word only when a database ran
  // then, and only from a shim that is there: of one that is gone the error comes (Unavailable).
  absl::StatusOr<shim::State> Ask(shim::Client* shim, MonoTime deadline);

 private:
  std::optional<shim::State> last_;
  bool silent_ = false;
  LogLimiter limiter_{std::chrono::seconds(10)};
};

}  // namespace mainstay::engine

#endif  // MAINSTAY_LIB_ENGINE_PARTS_SHIM_WORD_H_
