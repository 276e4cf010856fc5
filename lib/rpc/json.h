// Messages as JSON for tools: fields in their order and by their names; numbers stay numbers (protobuf's own
// JSON makes texts of 64-bit ones), a Duration is seconds, a Timestamp is RFC 3339, an enum is its short name
// in lower case ("primary", "unknown"). Thread rules: pure functions.
#ifndef MAINSTAY_LIB_RPC_JSON_H_
#define MAINSTAY_LIB_RPC_JSON_H_

#include <string>

#include "google/protobuf/message.h"

namespace mainstay::rpc {

// One line; with `pretty` indented by two blanks. No newline at the end.
std::string MessageToJson(const google::protobuf::Message& message, bool pretty);
// "ROLE_PRIMARY" -> "primary"; "..._UNSPECIFIED" -> "unknown".
std::string EnumText(const google::protobuf::EnumValueDescriptor* value);

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_JSON_H_
