// Terms for tests, written as Erlang writes them: T("[{{resource_limit,disk,'r@h'},[]}]"). No escapes, no
// floats.
#ifndef MAINSTAY_TEST_UNIT_ENGINE_RABBITMQ_TERM_TEXT_H_
#define MAINSTAY_TEST_UNIT_ENGINE_RABBITMQ_TERM_TEXT_H_

#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <utility>
#include <vector>

#include "lib/erlang/term.h"

namespace mainstay::engine::rabbitmq {

class TermText {
 public:
  explicit TermText(std::string text) : text_(std::move(text)) {}

  erlang::Term Read() {
    Skip();
    if (Take("<<\"")) return End(erlang::Term::Binary(Until('"')), ">>");
    if (Take("<<>>")) return erlang::Term::Binary("");
    if (Take("#{")) return ReadMap();
    if (Take("[")) return erlang::Term::List(ReadItems(']'));
    if (Take("{")) return erlang::Term::Tuple(ReadItems('}'));
    if (Take("\"")) return erlang::Term::String(Until('"'));
    if (Take("'")) return erlang::Term::Atom(Until('\''));
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_' || text_[at_] == '@'))
      ++at_;
    const std::string word = text_.substr(begin, at_ - begin);
    EXPECT_FALSE(word.empty()) << text_.substr(begin);
    if (isdigit(static_cast<unsigned char>(word[0]))) return erlang::Term::Integer(std::stoll(word));
    return erlang::Term::Atom(word);
  }

 private:
  void Skip() {
    while (at_ < text_.size() && isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool Take(const std::string& what) {
    Skip();
    if (text_.compare(at_, what.size(), what) != 0) return false;
    at_ += what.size();
    return true;
  }
  std::string Until(char end) {
    const size_t begin = at_;
    at_ = text_.find(end, begin) + 1;
    return text_.substr(begin, at_ - 1 - begin);
  }
  erlang::Term End(erlang::Term t, const std::string& what) {
    EXPECT_TRUE(Take(what));
    return t;
  }
  std::vector<erlang::Term> ReadItems(char end) {
    std::vector<erlang::Term> out;
    while (!Take(std::string(1, end))) {
      out.push_back(Read());
      Take(",");
    }
    return out;
  }
  erlang::Term ReadMap() {
    std::vector<std::pair<erlang::Term, erlang::Term>> out;
    while (!Take("}")) {
      erlang::Term key = Read();
      EXPECT_TRUE(Take("=>"));
      out.emplace_back(std::move(key), Read());
      Take(",");
    }
    return erlang::Term::Map(std::move(out));
  }

  const std::string text_;
  size_t at_ = 0;
};

inline erlang::Term T(const std::string& text) { return TermText(text).Read(); }

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_TEST_UNIT_ENGINE_RABBITMQ_TERM_TEXT_H_
