// Files of mounted volumes: those of a ConfigMap or a Secret are symbolic links, which ReadFile does not
// follow.
//
// Thread rules: none. Errors: as ReadFile (lib/base/file.h).
#ifndef MAINSTAY_LIB_BASE_MOUNTED_FILE_H_
#define MAINSTAY_LIB_BASE_MOUNTED_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace mainstay {

// The whole file, links followed. ResourceExhausted when it is longer than `max_bytes`.
absl::StatusOr<std::string> ReadMountedFile(const std::string& path, size_t max_bytes);

// The same, of a file that holds a password: FailedPrecondition when others than its owner may read it.
absl::StatusOr<std::string> ReadPasswordFile(const std::string& path, size_t max_bytes);

}  // namespace mainstay

#endif  // MAINSTAY_LIB_BASE_MOUNTED_FILE_H_
