// The table: every transition of the core as a row that can be read aloud. The sentence of a row is what the
// log, the audit line, `mainstay why`, `mainstay fsm` and docs/STATE_MACHINE.md print (pg_auto_failover's
// fsm.c showed how).
//
// Rows are tried from the top; the first whose phase and condition fit fires; then again from the top, until
// none fits.
#ifndef MAINSTAY_LIB_ELECTION_TABLE_H_
#define MAINSTAY_LIB_ELECTION_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lib/election/state.h"

namespace mainstay::election {

struct Context;  // state, now and actions of the running Step (core_internal.h)

struct Row {
  const char* id;        // "replica.suspect"
  uint32_t from;         // bit set of phases (1 << Phase)
  const char* when;      // the condition, for people
  const char* sentence;  // what is done and why, for people
  const char* to;        // phases it leads to, for people and for the diagram: "freezing" or "" (stays)
  bool quiet;            // house-keeping: not worth a decision record each time
  bool (*condition)(const Context&);
  void (*action)(Context&);
};

const std::vector<Row>& Table();

std::string TableAsText();
std::string TableAsJson();
std::string TableAsMermaid();

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_TABLE_H_
