// TLS towards the broker: what librabbitmq 0.11 leaves open is done on its OpenSSL context. TLS 1.2 and up,
// the certificate always verified, and against the name as OpenSSL does it (the library knows no addresses in
// certificates). Only for lib/amqp.
//
// Thread rules: as the socket's. Errors: in the Trouble, with OpenSSL's word for it.
#ifndef MAINSTAY_LIB_AMQP_TLS_H_
#define MAINSTAY_LIB_AMQP_TLS_H_

#include <string>

#include "lib/amqp/verdict.h"

struct amqp_socket_t_;

namespace mainstay::amqp {

// Files (PEM) are read at each connection: they are renewed while the agent runs.
struct TlsFiles {
  std::string ca;    // who signed the broker's certificate
  std::string cert;  // our own, for a broker that wants one; "": none
  std::string key;
  std::string server_name;  // what the broker's certificate must name: a DNS name or an address
};

// To be called before the socket is opened.
Trouble PrepareTls(amqp_socket_t_* socket, const TlsFiles& files);
// Why the handshake on this thread just failed.
std::string TlsProblem(amqp_socket_t_* socket);

}  // namespace mainstay::amqp

#endif  // MAINSTAY_LIB_AMQP_TLS_H_
