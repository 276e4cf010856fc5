// A node for tests: libei's own accepting side does the handshake, then a function of the test has the
// connection.
#ifndef MAINSTAY_TEST_UNIT_ERLANG_FAKE_NODE_H_
#define MAINSTAY_TEST_UNIT_ERLANG_FAKE_NODE_H_

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "lib/erlang/term.h"

namespace mainstay::erlang {

// What a call asks for, and the process to answer.
struct Asked {
  Term from;
  std::string what;  // "rabbit:is_running/0"; "": the connection ended
};

Asked ReadCall(int fd);
std::string Answer(const Term& to, const Term& value);  // with its length
void WriteBytes(int fd, const std::string& bytes);

class FakeNode {
 public:
  // Serves each connection with `serve`, one after the other. With no handshake: `serve` gets it as it was
  // accepted.
  FakeNode(const std::string& name, const std::string& cookie, const std::function<void(int fd)>& serve,
           bool handshake = true);
  ~FakeNode();
  uint16_t port() const { return port_; }
  int accepted() const { return accepted_; }

 private:
  void Run(const std::string& name, const std::string& cookie, const std::function<void(int fd)>& serve,
           bool handshake);
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> ends_{false};
  std::atomic<int> accepted_{0};
  std::thread thread_;
};

}  // namespace mainstay::erlang

#endif  // MAINSTAY_TEST_UNIT_ERLANG_FAKE_NODE_H_
