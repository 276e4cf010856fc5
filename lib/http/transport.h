// The bytes of one connection, plain or by TLS, behind one face. Only for lib/http.
//
// Thread rules: loop only. One operation at a time. Close makes what is under way end with
// operation_aborted; callbacks run on the loop, never before the call returned, and own what they need: the
// transport itself must live until then.
#ifndef MAINSTAY_LIB_HTTP_TRANSPORT_H_
#define MAINSTAY_LIB_HTTP_TRANSPORT_H_

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/system/error_code.hpp>
#include <functional>
#include <memory>
#include <string>

#include "lib/http/server.h"

namespace boost::asio::ssl {
class context;
}

namespace mainstay::http {

class Transport {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using Done = std::function<void(const boost::system::error_code&, size_t)>;

  virtual ~Transport() = default;
  // Before anything else; plain connections are done at once.
  virtual void Handshake(Done done) = 0;
  virtual void Read(char* data, size_t size, Done done) = 0;
  // Waits for something to read without a buffer for it. Not by TLS.
  virtual void WaitReadable(Done) {}
  // All of both.
  virtual void Write(const std::string& head, const std::string& body, Done done) = 0;
  // "Nothing more comes from here": done when the other end has closed, too, or there is nothing to wait for.
  // A client that is still sending would otherwise be reset before it has read its answer.
  virtual void Finish(Done done) = 0;
  virtual void Close() = 0;
  // Common name of the client's certificate, if it counts; after the handshake.
  virtual std::string client_name() const { return ""; }
  virtual bool tls() const { return false; }
};

std::unique_ptr<Transport> MakePlainTransport(Transport::Socket socket);

// The context for a generation of texts; kept until the next one. InvalidArgument: says which text is bad.
class TlsContexts {
 public:
  absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> Get(const TlsTexts& texts);

 private:
  uint64_t generation_ = 0;
  std::shared_ptr<boost::asio::ssl::context> context_;
};
std::unique_ptr<Transport> MakeTlsTransport(Transport::Socket socket,
                                            std::shared_ptr<boost::asio::ssl::context> context,
                                            std::string client_name);

}  // namespace mainstay::http

#endif  // MAINSTAY_LIB_HTTP_TRANSPORT_H_
