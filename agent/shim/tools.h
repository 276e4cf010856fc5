// The allow-list: which tools of the database's image may be run, and with which arguments.
//
// Every argument is checked against a table: the option must be spelt out exactly (getopt's abbreviations are
// refused), its value must have the option's type, paths must be below the data directory's parent (or a path
// the operator named), and connection strings may carry neither passwords nor unknown keywords. No option
// that names a program is in any table.
#ifndef MAINSTAY_AGENT_SHIM_TOOLS_H_
#define MAINSTAY_AGENT_SHIM_TOOLS_H_

#include <stddef.h>
#include <stdint.h>

#include "lib/shim/wire.h"

namespace mainstay::shimd {

inline constexpr size_t kMaxPaths = 8;

// Where tools may work.
struct PathRules {
  const char* data_dir = "";          // absolute, no trailing slash
  const char* parent = "";            // of data_dir
  const char* extra[kMaxPaths] = {};  // --path of the operator
  size_t extra_count = 0;
};

enum class Value : uint8_t {
  kNone,  // the option has no value
  kPath,  // below the parent or an extra path
  kWord,  // letters, digits and _.,:+@- (no leading '-')
  kNumber,
  kConninfo,  // libpq keywords; no password, no URI
  kMapping,   // OLD=NEW, absolute; NEW is a kPath
  kLsn,       // X/Y
  kWalFile,   // 24 hex digits
  kSibling,   // <data>.<suffix>
};

struct Option {
  const char* brief;  // "-D" or ""
  const char* full;   // "--pgdata" or ""
  Value value;
};

struct ToolSpec {
  shim::wire::Tool tool;
  const char* program;  // file name in --bin-dir; "" = the shim's own directory work
  const Option* options;
  size_t option_count;
  Value positional;  // type of arguments without option; kNone: there are none
  uint8_t max_positional;
  bool needs_stopped;  // works on the data directory alone: not while a database runs, and no start meanwhile
  const char* required;  // an option that must be given ("" none)
};

// Null when the tool is not on the list.
const ToolSpec* FindTool(shim::wire::Tool tool);

inline constexpr int kAllowed = -1000;
// Checks all arguments. Returns kAllowed, or the index of the first bad one, or -1 when a required one is
// missing.
int CheckArguments(const ToolSpec& spec, const PathRules& rules, const char* const* args, size_t argc);

// One value of a type; exposed for tests and for the passfile.
bool CheckValue(Value type, const PathRules& rules, const char* text);

}  // namespace mainstay::shimd

#endif  // MAINSTAY_AGENT_SHIM_TOOLS_H_
