// Whose lines the tests of audit and log write.
#ifndef MAINSTAY_TEST_UNIT_AUDIT_WHO_H_
#define MAINSTAY_TEST_UNIT_AUDIT_WHO_H_

#include "lib/audit/audit.h"

namespace mainstay::audit {

inline const Identity kWho = {.engine = "postgresql",
                              .cluster = "pg",
                              .member = "pg-0",
                              .pod_uid = "",
                              .kube_namespace = "",
                              .node = "",
                              .boot = "b00t"};

}  // namespace mainstay::audit

#endif  // MAINSTAY_TEST_UNIT_AUDIT_WHO_H_
