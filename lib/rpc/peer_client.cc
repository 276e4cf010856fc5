#include "lib/rpc/peer_client.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/convert.h"
#include "lib/rpc/status.h"
#include "mainstay/v1/agent.grpc.pb.h"

namespace mainstay::rpc {

class PeerClient::Impl : public std::enable_shared_from_this<PeerClient::Impl> {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {}

  struct Peer {
    std::unique_ptr<v1::Agent::Stub> stub;
    std::atomic<int> calls{0};
    uint64_t generation = 0;  // of the certificates
    MonoTime made;
  };

  struct CallBase {
    virtual ~CallBase() = default;
    grpc::ClientContext context;
    std::shared_ptr<Peer> peer;  // keeps the channel while the call lasts
    std::string address;
    uint64_t timer = 0;
    std::atomic<bool> late{false};  // ended by our timer
  };
  template <typename Request, typename Reply>
  struct Call : CallBase {
    Request request;
    Reply reply;
  };

  // The channel of `address`; null when too many calls wait on it.
  std::shared_ptr<Peer> Take(const std::string& address) {
    std::shared_ptr<Peer> old;  // destroyed after the lock is free
    std::lock_guard lock(mu_);
    if (closed_) return nullptr;
    std::shared_ptr<Peer>& peer = peers_[address];
    const uint64_t generation = options_.tls ? options_.tls->Current()->generation : 0;
    const MonoTime now = BootClock().Now();
    if (!peer || peer->generation != generation ||
        (options_.tls && now - peer->made > options_.renew_channel)) {
      old = std::exchange(peer, std::make_shared<Peer>());
      peer->generation = generation;
      peer->made = now;
      peer->stub = v1::Agent::NewStub(
          MakeChannel(address, options_.tls.get(), options_.at ? DeadlineBy::kCaller : DeadlineBy::kGrpc));
    }
    if (peer->calls.load() >= kMaxCallsPerPeer) return nullptr;
    peer->calls.fetch_add(1);
    return peer;
  }

  void Keep(const std::vector<std::string>& addresses) {
    std::map<std::string, std::shared_ptr<Peer>> dropped;  // destroyed after the lock is free
    std::lock_guard lock(mu_);
    for (auto it = peers_.begin(); it != peers_.end();) {
      if (std::find(addresses.begin(), addresses.end(), it->first) == addresses.end()) {
        dropped.insert(*it);
        it = peers_.erase(it);
      } else {
        ++it;
      }
    }
  }

  // Sends `request`; `convert` turns the reply into what `done` wants.
  template <typename Plain, typename Request, typename Reply, typename Start>
  void Run(const std::string& address, Request request, Duration timeout, Start start, Done<Plain> done) {
    auto call = std::make_shared<Call<Request, Reply>>();
    call->peer = Take(address);
    call->address = address;
    if (!call->peer) {
      return Answer<Plain>(std::move(done),
                           absl::ResourceExhaustedError(absl::StrCat(address, ": ", kMaxCallsPerPeer,
                                                                     " calls wait for an answer already")),
                           0);
    }
    call->request = std::move(request);
    call->context.set_deadline(DeadlineIn(timeout));
    {
      std::lock_guard lock(mu_);
      running_.insert(call.get());
      if (closed_) call->context.TryCancel();
    }
    if (options_.at) {
      call->timer = options_.at(BootClock().Now() + timeout, [weak = std::weak_ptr<CallBase>(call)] {
        if (const auto running = weak.lock()) {
          running->late = true;
          running->context.TryCancel();
        }
      });
    }
    auto self = shared_from_this();
    start(call->peer->stub->async(), &call->context, &call->request, &call->reply,
          [self, call, done = std::move(done)](const grpc::Status& status) mutable {
            call->peer->calls.fetch_sub(1);
            absl::StatusOr<Plain> result =
                status.ok() ? FromProto(call->reply) : absl::StatusOr<Plain>(WithAddress(status, *call));
            self->template Answer<Plain>(std::move(done), std::move(result), call->timer);
            std::lock_guard lock(self->mu_);
            self->running_.erase(call.get());
            self->idle_.notify_all();
          });
  }

  void Close() {
    std::unique_lock lock(mu_);
    closed_ = true;
    for (CallBase* call : running_) call->context.TryCancel();
    idle_.wait_for(lock, std::chrono::seconds(5), [&] { return running_.empty(); });
  }

  const Options& options() const { return options_; }

 private:
  static absl::Status WithAddress(const grpc::Status& status, const CallBase& call) {
    if (call.late && status.error_code() == grpc::StatusCode::CANCELLED)
      return absl::DeadlineExceededError(absl::StrCat(call.address, ": no answer in time"));
    const absl::Status plain = FromGrpc(status);
    return absl::Status(plain.code(), absl::StrCat(call.address, ": ", plain.message()));
  }

  template <typename Plain>
  void Answer(Done<Plain> done, absl::StatusOr<Plain> result, uint64_t timer) {
    options_.post([done = std::move(done), result = std::move(result), timer,
                   cancel = timer != 0 ? options_.cancel : nullptr]() mutable {
      if (cancel) cancel(timer);
      done(std::move(result));
    });
  }

  const Options options_;
  std::mutex mu_;
  std::condition_variable idle_;
  bool closed_ = false;
  std::map<std::string, std::shared_ptr<Peer>> peers_;
  std::unordered_set<CallBase*> running_;
};

PeerClient::PeerClient(Options options) : impl_(std::make_shared<Impl>(std::move(options))) {}
PeerClient::~PeerClient() { impl_->Close(); }

void PeerClient::Report(const std::string& address, const election::PeerReport& report, Duration timeout,
                        Done<election::PeerReport> done) {
  v1::PeerReport request;
  ToProto(report, impl_->options().cluster, &request);
  impl_->Run<election::PeerReport, v1::PeerReport, v1::PeerReport>(
      address, std::move(request), timeout,
      [](auto* stub, auto* context, auto* in, auto* out, auto finished) {
        stub->Report(context, in, out, std::move(finished));
      },
      std::move(done));
}

void PeerClient::Freeze(const std::string& address, const election::FreezeAsked& asked, Duration timeout,
                        Done<election::FreezeAnswered> done) {
  v1::FreezeRequest request;
  ToProto(asked, impl_->options().cluster, &request);
  impl_->Run<election::FreezeAnswered, v1::FreezeRequest, v1::FreezeReply>(
      address, std::move(request), timeout,
      [](auto* stub, auto* context, auto* in, auto* out, auto finished) {
        stub->Freeze(context, in, out, std::move(finished));
      },
      std::move(done));
}

void PeerClient::Promise(const std::string& address, const election::PromiseAsked& asked, Duration timeout,
                         Done<election::PromiseAnswered> done) {
  v1::PromiseRequest request;
  ToProto(asked, impl_->options().cluster, &request);
  impl_->Run<election::PromiseAnswered, v1::PromiseRequest, v1::PromiseReply>(
      address, std::move(request), timeout,
      [](auto* stub, auto* context, auto* in, auto* out, auto finished) {
        stub->Promise(context, in, out, std::move(finished));
      },
      std::move(done));
}

void PeerClient::BrokerFacts(const std::string& address, const std::string& from, Duration timeout,
                             Done<std::string> done) {
  v1::BrokerFactsRequest request;
  request.set_cluster(impl_->options().cluster);
  request.set_from(from);
  impl_->Run<std::string, v1::BrokerFactsRequest, v1::BrokerFactsReply>(
      address, std::move(request), timeout,
      [](auto* stub, auto* context, auto* in, auto* out, auto finished) {
        stub->BrokerFacts(context, in, out, std::move(finished));
      },
      std::move(done));
}

void PeerClient::Keep(const std::vector<std::string>& addresses) { impl_->Keep(addresses); }

}  // namespace mainstay::rpc
