// The faces of an agent over a fake port: real sockets, a loop on a thread of its own, a pipe for the audit
// log.
#ifndef MAINSTAY_TEST_UNIT_CTL_FACES_CASE_H_
#define MAINSTAY_TEST_UNIT_CTL_FACES_CASE_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "agent/face.h"
#include "lib/base/file.h"
#include "test/unit/rpc/fake_port.h"

namespace mainstay::agent {

class FacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pipe(audit_), 0);
    log_ = std::make_unique<audit::Log>(audit_[1], audit::Identity{});
    config_.cluster = "demo";
    config_.name = "a";
    config_.listen_grpc = config_.listen_http = "127.0.0.1:0";
    thread_ = std::thread([this] { loop_.run(); });
    OnLoop([this] {
      auto faces = Faces::Start(loop_, config_, &port_, &instruments_, log_.get());
      ASSERT_TRUE(faces.ok()) << faces.status();
      faces_ = *std::move(faces);
    });
    Healthy();
  }
  void TearDown() override {
    OnLoop([this] { faces_.reset(); });
    work_.reset();
    thread_.join();
    log_.reset();
    close(audit_[0]);
    close(audit_[1]);
  }
  void OnLoop(std::function<void()> f) {
    std::promise<void> done;
    boost::asio::post(loop_, [&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }
  void Healthy() {
    port_.Publish([](StatusView& v) {
      v.shim_connected = true;
      v.role = election::Role::kReplica;
      v.database.state = election::DbState::kRunning;
      v.database.streaming_from = "b";
      v.database.probed_at = BootClock().Now();
      v.lock.where = "file:/run/\"x\"";
      v.lock.health = rpc::LockHealth::kOk;
      v.lock.record_changed_at = BootClock().Now();
      v.members.resize(1);
      v.members[0].name = "b";
      v.members[0].lag_bytes = 5;
    });
  }
  std::string Get(const std::string& path, const std::string& headers = "") {
    return Raw("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n");
  }
  std::string Raw(const std::string& request) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in a = {};
    a.sin_family = AF_INET;
    const std::string address = faces_->http_address();
    a.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<struct sockaddr*>(&a), sizeof a), 0);
    EXPECT_EQ(send(fd.get(), request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    std::string out;
    char buffer[4096];
    for (ssize_t n; (n = read(fd.get(), buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<size_t>(n));
    return out;
  }
  static std::string Body(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }

  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ =
      boost::asio::make_work_guard(loop_);
  std::thread thread_;
  int audit_[2] = {-1, -1};
  Config config_;
  rpc::FakePort port_{"a"};
  metrics::AgentInstruments instruments_;
  std::unique_ptr<audit::Log> log_;
  std::unique_ptr<Faces> faces_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_TEST_UNIT_CTL_FACES_CASE_H_
