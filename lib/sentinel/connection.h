// One client of the port. Of this room alone.
//
// Reading stands still while an answer is being written, so a client that does not read its answers waits
// instead of filling memory. Thread rules: loop only.
#ifndef MAINSTAY_LIB_SENTINEL_CONNECTION_H_
#define MAINSTAY_LIB_SENTINEL_CONNECTION_H_

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lib/base/time.h"
#include "lib/http/listen.h"
#include "lib/sentinel/server.h"

namespace mainstay::sentinel {

class Connection;

// What the connections of a server share; outlives it while handlers are under way.
struct Shared {
  explicit Shared(Server::Options o);

  const Server::Options options;
  const MonoTime began;
  Answers answers;
  Counters counters;
  std::map<uint64_t, std::shared_ptr<Connection>> open;
  bool stopped = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(http::Generic::socket socket, std::shared_ptr<Shared> shared, uint64_t id);

  void Start();
  void Deliver(const Message& message);
  // Says `line` and goes.
  void Refuse(const std::string& line);
  void Close();
  // Too slow or too silent for its bounds.
  bool Overdue(MonoTime now) const;
  bool subscribed() const { return session_.subscribed(); }
  MonoTime last_request() const { return last_request_; }

 private:
  void Read();
  void Serve();
  void Write();
  void Wrote(bool failed);
  size_t waiting() const { return out_.size() + writing_.size(); }

  http::Generic::socket socket_;
  const std::shared_ptr<Shared> shared_;
  Session session_;
  RequestReader reader_;
  std::array<char, 4096> buffer_{};
  std::string out_, writing_;
  bool reading_ = false;
  bool closed_ = false;
  MonoTime last_request_;
  MonoTime bytes_since_;  // of a request that is not whole; Never: there is none
  MonoTime write_since_;  // Never: nothing is being written
};

}  // namespace mainstay::sentinel

#endif  // MAINSTAY_LIB_SENTINEL_CONNECTION_H_
