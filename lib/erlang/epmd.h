// Where a node listens, asked of epmd (the port mapper of Erlang), which is told by each node when it starts.
//
// Thread rules: thread-safe. Errors: kUnavailable (no epmd there), kNotFound (it knows no such node: it is
// not started, or not yet), kDeadlineExceeded, kDataLoss (what answers is no epmd); each says whom it asked.
#ifndef MAINSTAY_LIB_ERLANG_EPMD_H_
#define MAINSTAY_LIB_ERLANG_EPMD_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"

namespace mainstay::erlang {

// `alive` is the part of the node's name before the '@'.
absl::StatusOr<uint16_t> AskEpmd(const std::string& address, uint16_t epmd_port, absl::string_view alive,
                                 MonoTime deadline);

}  // namespace mainstay::erlang

#endif  // MAINSTAY_LIB_ERLANG_EPMD_H_
