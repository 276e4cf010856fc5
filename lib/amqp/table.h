// Tables of AMQP (headers of a message) as text.
//
// Values that are text come as they are, lists of character codes (what Erlang calls a string) as the text
// that they spell, other lists and tables as JSON. Bounded: 64 entries, 2 KiB a value, 4 levels.
//
// Thread rules: pure function.
#ifndef MAINSTAY_LIB_AMQP_TABLE_H_
#define MAINSTAY_LIB_AMQP_TABLE_H_

#include <string>
#include <utility>
#include <vector>

struct amqp_table_t_;

namespace mainstay::amqp {

std::vector<std::pair<std::string, std::string>> TableText(const amqp_table_t_& table);

}  // namespace mainstay::amqp

#endif  // MAINSTAY_LIB_AMQP_TABLE_H_
