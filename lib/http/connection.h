// One connection of the HTTP server: read a request, let the handler answer, write, again. One timer bounds
// each step. Only for lib/http.
//
// Thread rules: loop only. A connection keeps itself alive while something of it is under way.
#ifndef MAINSTAY_LIB_HTTP_CONNECTION_H_
#define MAINSTAY_LIB_HTTP_CONNECTION_H_

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <unordered_set>

#include "lib/http/request_reader.h"
#include "lib/http/server.h"
#include "lib/http/transport.h"

namespace mainstay::http {

class Connection;

struct Shared {  // between the server and its connections
  Server::Options options;
  Handler handler;
  Counters counters;
  std::unordered_set<Connection*> open;
  uint64_t born = 0;         // of connections and of their waits: orders them by age
  size_t pending_bytes = 0;  // of answers that are being written
  int tls_connections = 0;
  double handshakes = 0;  // tokens left
  MonoTime handshakes_at;
  TlsContexts contexts;
  bool stopped = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Transport::Socket socket, std::shared_ptr<Shared> shared);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start();
  void Refuse();  // 503
  void Close();
  // No whole request of it is being answered: it may go for a newcomer. `waiting_since` is less for the
  // older.
  bool waiting() const { return waiting_; }
  uint64_t waiting_since() const { return waiting_since_; }
  void Leave();  // is not counted any more, although its last callback may still hold it

 private:
  using Error = boost::system::error_code;

  void Arm(Duration d, void (Connection::*late)() = &Connection::Close);
  void Detect();
  void BeginTls();
  void Wait();
  void Next(bool idle);
  void ReadSome(bool idle);
  void Consume();
  void Continue();
  void Dispatch();
  void NoAnswer();
  void Send(Response response, bool keep);
  void Written(const Error& e, bool keep);
  void Finish();
  void Release();

  boost::asio::steady_timer timer_;
  const std::shared_ptr<Shared> shared_;
  const std::string peer_;
  Transport::Socket raw_;  // until it is known what it speaks
  std::unique_ptr<Transport> transport_;
  std::shared_ptr<Connection> held_;  // while the handler works nothing else holds the connection
  RequestReader reader_;
  std::string buffer_;
  std::string head_, body_;  // being written
  size_t counted_ = 0;       // of them in pending_bytes
  bool is_tls_ = false;
  bool no_body_ = false;  // HEAD
  unsigned version_ = 11;
  bool waiting_ = true;
  uint64_t waiting_since_ = 0;
  uint64_t turn_ = 0;  // a timer or a reply of an earlier step is not of this one
};

}  // namespace mainstay::http

#endif  // MAINSTAY_LIB_HTTP_CONNECTION_H_
