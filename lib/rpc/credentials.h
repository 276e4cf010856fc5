// TLS 1.2 and newer at both ends of agents' connections, with certificates that change under way. Only for
// lib/rpc: includes gRPC.
//
// The server asks TlsFiles at each handshake, without thread or timer; connections that exist go on. A client
// without a certificate of tls.ca is refused in the handshake; one whose certificate does not hold the peers'
// name gets PERMISSION_DENIED for every call (health and reflection included). The client checks chain and
// name of the server in the handshake; its channels are made anew when TlsMaterial::generation rose.
#ifndef MAINSTAY_LIB_RPC_CREDENTIALS_H_
#define MAINSTAY_LIB_RPC_CREDENTIALS_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "lib/rpc/tls_files.h"

namespace mainstay::rpc {

// For one server: keeps `files` as long as any handshake may ask.
std::shared_ptr<grpc::ServerCredentials> ServerTls(std::shared_ptr<TlsFiles> files);
std::shared_ptr<grpc::ChannelCredentials> ClientTls(const TlsMaterial& material);

// gRPC's own messages: through Log, at most one in ten seconds (a port scanner makes one with each try). The
// first caller wins; `quiet`: none at all, for a command line that says itself what went wrong.
void RouteGrpcLog(bool quiet);

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_CREDENTIALS_H_
