#include "test/unit/erlang/fake_node.h"

#include <arpa/inet.h>
#include <ei.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "lib/erlang/codec.h"

namespace mainstay::erlang {

void WriteBytes(int fd, const std::string& bytes) {
  EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

Asked ReadCall(int fd) {
  unsigned char head[4];
  while (true) {
    if (recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head) return {};
    const size_t size = static_cast<size_t>(head[0]) << 24 | head[1] << 16 | head[2] << 8 | head[3];
    if (size == 0) continue;  // a tick
    std::string frame(size, '\0');
    if (recv(fd, frame.data(), size, MSG_WAITALL) != static_cast<ssize_t>(size)) return {};
    size_t used = 0;
    const auto control = Decode(absl::string_view(frame).substr(1), {}, &used);
    const auto message = Decode(absl::string_view(frame).substr(1 + used));
    EXPECT_TRUE(control.ok() && message.ok());
    const std::vector<Term>& call = message->items()[1].items();
    return {message->items()[0],
            absl::StrCat(call[1].text(), ":", call[2].text(), "/", call[3].items().size())};
  }
}

std::string Answer(const Term& to, const Term& value) {
  const std::string body = "p" + Encode(Term::Tuple({Term::Integer(2), Term::Atom(""), to})) +
                           Encode(Term::Tuple({Term::Atom("rex"), value}));
  std::string out;
  for (int i = 3; i >= 0; --i) out.push_back(static_cast<char>(body.size() >> (8 * i)));
  return out + body;
}

FakeNode::FakeNode(const std::string& name, const std::string& cookie,
                   const std::function<void(int fd)>& serve, bool handshake) {
  ei_init();
  listener_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  EXPECT_EQ(listen(listener_, 8), 0);
  socklen_t size = sizeof at;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
  port_ = ntohs(at.sin_port);
  thread_ = std::thread([=, this] { Run(name, cookie, serve, handshake); });
}

FakeNode::~FakeNode() {
  ends_ = true;
  thread_.join();
  close(listener_);
}

void FakeNode::Run(const std::string& name, const std::string& cookie,
                   const std::function<void(int fd)>& serve, bool handshake) {
  const size_t at = name.find('@');
  const std::string alive = name.substr(0, at);
  const std::string host = name.substr(at + 1);
  ei_cnode node{};
  in_addr nowhere{};
  ei_connect_xinit(&node, host.c_str(), alive.c_str(), name.c_str(), &nowhere, cookie.c_str(), 77);
  while (!ends_) {
    pollfd p{.fd = listener_, .events = POLLIN, .revents = 0};
    if (poll(&p, 1, 20) <= 0) continue;
    ErlConnect who{};
    const int fd =
        handshake ? ei_accept_tmo(&node, listener_, &who, 2000) : accept(listener_, nullptr, nullptr);
    if (fd < 0) continue;  // refused: a wrong cookie
    ++accepted_;
    serve(fd);
    if (handshake) {
      ei_close_connection(fd);
    } else {
      close(fd);
    }
  }
}

}  // namespace mainstay::erlang
