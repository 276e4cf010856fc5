// Text tables for terminals. Thread rules: a value.
#ifndef MAINSTAY_AGENT_CTL_TABLE_H_
#define MAINSTAY_AGENT_CTL_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace mainstay::ctl {

inline constexpr size_t kWidth = 100;

enum class Colour : uint8_t { kNone, kGreen, kYellow, kRed, kBold, kDim };
std::string Paint(const std::string& text, Colour colour, bool use);

class Table {
 public:
  // The columns' heads; the one at `elastic` gives way when a line would be longer than kWidth.
  Table(std::vector<std::string> heads, size_t elastic) : heads_(std::move(heads)), elastic_(elastic) {}
  void Add(std::vector<std::string> cells, Colour colour = Colour::kNone);
  std::string ToString(bool colours) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    Colour colour;
  };
  std::vector<std::string> heads_;
  size_t elastic_;
  std::vector<Row> rows_;
};

// Lines of at most kWidth columns, continued with `indent` blanks.
std::string Wrap(const std::string& text, size_t indent);

// What came from the network, safe for a terminal: control characters (escape sequences among them) become
// '?'.
std::string Printable(const std::string& text);

// "512 B", "1.2 MB" (1024), "12s", "3m10s", "2d4h"; LSN "0/5000060".
std::string Bytes(uint64_t bytes);
std::string Ago(double seconds);
std::string Lsn(uint64_t offset);

}  // namespace mainstay::ctl

#endif  // MAINSTAY_AGENT_CTL_TABLE_H_
