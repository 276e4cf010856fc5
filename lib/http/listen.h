// Opens the listening socket of an address. For lib/http and lib/sentinel.
//
// Errors: InvalidArgument (the address), AlreadyExists (a unix socket in use), Unavailable; each says what to
// do. Thread rules: loop only.
#ifndef MAINSTAY_LIB_HTTP_LISTEN_H_
#define MAINSTAY_LIB_HTTP_LISTEN_H_

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace mainstay::http {

using Generic = boost::asio::generic::stream_protocol;
using Acceptor = boost::asio::basic_socket_acceptor<Generic>;

struct Listening {
  Acceptor acceptor;
  std::string address;    // with the real port
  std::string unix_path;  // to be unlinked at the end; "" : none
};
absl::StatusOr<Listening> Listen(boost::asio::io_context& loop, const std::string& address);

// "192.0.2.1:40000", "[2001:db8::1]:40000", "unix:"
std::string PeerOf(const Generic::socket& socket);

}  // namespace mainstay::http

#endif  // MAINSTAY_LIB_HTTP_LISTEN_H_
