// The gRPC health service by service: Check, and a Watch that tells each change.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "lib/rpc/server.h"
#include "test/unit/rpc/fake_port.h"

namespace mainstay::rpc {
namespace {

using std::chrono::seconds;

// HealthCheckRequest {service}, HealthCheckResponse {status}: Debian ships no generated code of them.
grpc::ByteBuffer Request(const std::string& service) {
  const std::string bytes =
      service.empty() ? "" : "\n" + std::string(1, static_cast<char>(service.size())) + service;
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}
std::string StatusOf(const grpc::ByteBuffer& reply) {
  grpc::Slice slice;
  if (!reply.DumpToSingleSlice(&slice).ok() || slice.size() != 2 || slice.begin()[0] != 0x08) return "?";
  static const char* const kNames[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  return slice.begin()[1] < 4 ? kNames[slice.begin()[1]] : "?";
}

class HealthTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Server::Options options;
    options.address = "127.0.0.1:0";
    options.port = &port_;
    options.stalled_after = seconds(2);
    auto server = Server::Start(std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->SetServing(true);
    stub_ = std::make_unique<grpc::GenericStub>(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }
  std::string Check(const std::string& service) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(5));
    grpc::ByteBuffer request = Request(service);
    grpc::ByteBuffer reply;
    std::promise<grpc::Status> done;
    stub_->UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &reply,
                     [&](const grpc::Status& s) { done.set_value(s); });
    const grpc::Status status = done.get_future().get();
    return status.ok()
               ? StatusOf(reply)
               : (status.error_code() == grpc::StatusCode::NOT_FOUND ? "NOT_FOUND" : status.error_message());
  }
  FakePort port_{"a"};
  std::unique_ptr<Server> server_;
  std::unique_ptr<grpc::GenericStub> stub_;
};

TEST_F(HealthTest, EachServiceHasItsOwnStatus) {
  EXPECT_EQ(Check(""), "SERVING");
  EXPECT_EQ(Check("mainstay.v1.Agent"), "SERVING");
  EXPECT_EQ(Check("readiness"), "NOT_FOUND");
  server_->SetHealth("readiness", true);
  server_->SetHealth("primary", false);
  EXPECT_EQ(Check("readiness"), "SERVING");
  EXPECT_EQ(Check("primary"), "NOT_SERVING");
  server_->SetServing(false);
  EXPECT_EQ(Check(""), "NOT_SERVING");
  EXPECT_EQ(Check("readiness"), "SERVING");
}

TEST_F(HealthTest, ALoopThatStandsStillServesNothing) {
  server_->SetHealth("liveness", true);
  server_->SetHealth("primary", false);
  const auto becomes = [&](const std::string& service, const std::string& want) {
    for (int i = 0; i < 200; ++i) {
      if (Check(service) == want) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  };
  EXPECT_EQ(Check("liveness"), "SERVING");
  port_.turned = BootClock().Now() - std::chrono::minutes(1);  // and nobody calls SetHealth any more
  EXPECT_TRUE(becomes("liveness", "NOT_SERVING"));
  EXPECT_EQ(Check(""), "NOT_SERVING");
  EXPECT_EQ(Check("mainstay.v1.Agent"), "NOT_SERVING");
  port_.turned = MonoTime();
  EXPECT_TRUE(becomes("liveness", "SERVING"));
  EXPECT_EQ(Check(""), "SERVING");
  EXPECT_EQ(Check("primary"), "NOT_SERVING") << "a stall does not forget what was set";
}

TEST_F(HealthTest, AWatchTellsEachChange) {
  server_->SetHealth("primary", false);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(10));
  auto call = stub_->PrepareCall(&context, "/grpc.health.v1.Health/Watch", &queue);
  int tag = 0;
  const auto next = [&] {
    void* got = nullptr;
    bool ok = false;
    return queue.Next(&got, &ok) && ok;
  };
  call->StartCall(&tag);
  ASSERT_TRUE(next());
  call->WriteLast(Request("primary"), grpc::WriteOptions(), &tag);
  ASSERT_TRUE(next());
  grpc::ByteBuffer reply;
  const auto read = [&] {
    call->Read(&reply, &tag);
    return next() ? StatusOf(reply) : "ended";
  };
  EXPECT_EQ(read(), "NOT_SERVING");
  server_->SetHealth("primary", false);  // no change: nothing is told
  server_->SetHealth("primary", true);
  EXPECT_EQ(read(), "SERVING");
  server_->SetHealth("primary", false);
  EXPECT_EQ(read(), "NOT_SERVING");
  context.TryCancel();
  EXPECT_EQ(read(), "ended");
  grpc::Status status;
  call->Finish(&status, &tag);
  next();
  queue.Shutdown();
}

}  // namespace
}  // namespace mainstay::rpc
