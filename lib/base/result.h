// Errors without exceptions: the two macros that pass an absl::Status on.
//
//   MAINSTAY_RETURN_IF_ERROR(MakeDirs(path, 0700));
//   MAINSTAY_ASSIGN_OR_RETURN(std::string text, ReadFile(path, 4096));
//
// Both work in functions that return absl::Status or absl::StatusOr<T>.
#ifndef MAINSTAY_LIB_BASE_RESULT_H_
#define MAINSTAY_LIB_BASE_RESULT_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define MAINSTAY_RETURN_IF_ERROR(expr)                                    \
  do {                                                                    \
    if (::absl::Status mainstay_status = (expr); !mainstay_status.ok()) { \
      return mainstay_status;                                             \
    }                                                                     \
  } while (false)

#define MAINSTAY_CONCAT_INNER(a, b) a##b
#define MAINSTAY_CONCAT(a, b) MAINSTAY_CONCAT_INNER(a, b)

#define MAINSTAY_ASSIGN_OR_RETURN(lhs, expr) \
  MAINSTAY_ASSIGN_OR_RETURN_INNER(MAINSTAY_CONCAT(mainstay_result_, __LINE__), lhs, expr)
#define MAINSTAY_ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                                    \
  if (!tmp.ok()) return tmp.status();                   \
  lhs = *std::move(tmp)

#endif  // MAINSTAY_LIB_BASE_RESULT_H_
