#include "lib/rpc/credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>

#include <atomic>
#include <cstring>

#include "absl/strings/match.h"
#include "lib/base/log.h"

namespace mainstay::rpc {
namespace {

// What the credentials' callbacks work on; goes when gRPC drops the credentials themselves.
struct ServerState {
  std::shared_ptr<TlsFiles> files;
  std::atomic<uint64_t> generation{0};  // that gRPC has
};

grpc_ssl_certificate_config_reload_status Fetch(void* user_data,
                                                grpc_ssl_server_certificate_config** config) {
  auto* state = static_cast<ServerState*>(user_data);
  const auto material = state->files->Current();
  if (state->generation.exchange(material->generation) == material->generation)
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  const grpc_ssl_pem_key_cert_pair pair{material->key.c_str(), material->cert.c_str()};
  *config = grpc_ssl_server_certificate_config_create(material->ca.c_str(), &pair, 1);
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

// Does the caller's certificate hold the peers' name? Its chain was verified in the handshake.
void CheckPeer(void* user_data, grpc_auth_context* context, const grpc_metadata* /*md*/, size_t /*num_md*/,
               grpc_process_auth_metadata_done_cb done, void* call) {
  const std::string& name = static_cast<ServerState*>(user_data)->files->options().peer_name;
  grpc_auth_property_iterator it =
      grpc_auth_context_find_properties_by_name(context, GRPC_PEER_DNS_PROPERTY_NAME);
  bool known = false;
  while (const grpc_auth_property* p = grpc_auth_property_iterator_next(&it)) {
    known = known || absl::EqualsIgnoreCase(absl::string_view(p->value, p->value_length), name);
  }
  if (known) return done(call, nullptr, 0, nullptr, 0, GRPC_STATUS_OK, nullptr);
  const std::string why = "the caller's certificate does not hold the DNS name " + name;
  done(call, nullptr, 0, nullptr, 0, GRPC_STATUS_PERMISSION_DENIED, why.c_str());
}

void DestroyState(void* state) { delete static_cast<ServerState*>(state); }

// gRPC's C++ has no way to the fetcher of its C interface.
class ReloadingTls : public grpc::ServerCredentials {
 public:
  explicit ReloadingTls(std::shared_ptr<TlsFiles> files) {
    auto* state = new ServerState{.files = std::move(files)};
    credentials_ = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, Fetch, state));
    grpc_server_credentials_set_auth_metadata_processor(credentials_, {CheckPeer, DestroyState, state});
  }
  ~ReloadingTls() override { grpc_server_credentials_release(credentials_); }
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>& /*unused*/) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* credentials_ = nullptr;
};

void LogOfGrpc(gpr_log_func_args* args) {
  static LogLimiter limiter(std::chrono::seconds(10));
  uint64_t held = 0;
  if (args->severity != GPR_LOG_SEVERITY_ERROR || !limiter.Allow(BootClock().Now(), &held)) return;
  const char* file = strrchr(args->file, '/');
  Log(LogLevel::kWarn, "grpc", args->message,
      {{"source", file == nullptr ? args->file : file + 1}, {"suppressed", held}});
}
void NoLogOfGrpc(gpr_log_func_args* /*args*/) {}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> ServerTls(std::shared_ptr<TlsFiles> files) {
  return std::make_shared<ReloadingTls>(std::move(files));
}

std::shared_ptr<grpc::ChannelCredentials> ClientTls(const TlsMaterial& material) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = material.ca;
  options.pem_private_key = material.key;
  options.pem_cert_chain = material.cert;
  return grpc::SslCredentials(options);
}

void RouteGrpcLog(bool quiet) {
  static const bool once = [](bool q) {
    gpr_set_log_function(q ? NoLogOfGrpc : LogOfGrpc);
    return true;
  }(quiet);
  (void)once;
}

}  // namespace mainstay::rpc
