// Whom to ask first, and with which certificate.
#include <unistd.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/ctl/cluster.h"
#include "lib/rpc/address.h"

namespace mainstay::ctl {
namespace {

constexpr char kDefaultAddress[] = "127.0.0.1:7400";
constexpr char kUsualConfig[] = "/etc/mainstay/mainstay.yaml";  // of the images

std::vector<std::string> SplitList(const std::string& text) {
  return absl::StrSplit(text, absl::ByAnyChar(", "), absl::SkipEmpty());
}

// The configuration that a call without --config would use: "" when there is none.
std::string ConfigAtHand(const Common& common, const Program& program) {
  if (!common.config_file.empty()) return common.config_file;
  if (std::string file = Getenv(program, "MAINSTAY_CONFIG"); !file.empty()) return file;
  return access(kUsualConfig, R_OK) == 0 ? kUsualConfig : "";
}

void FromConfig(const std::string& file, const std::string& from, const Program& program, Seeds* out) {
  out->from = from;
  const agent::LoadedConfig loaded = agent::LoadConfig({.file = file, .flags = {}}, program.environment);
  if (!loaded.ok()) {
    out->problem = loaded.Problems();
    return;
  }
  const agent::Config& c = loaded.config;
  out->addresses.push_back(!c.listen_admin.empty()                 ? c.listen_admin
                           : rpc::IsWildcardAddress(c.listen_grpc) ? c.settings.self.peer_address
                                                                   : c.listen_grpc);
  for (const auto& member : c.members) out->addresses.push_back(member.peer);
}

void FromFlag(const Common& common, Seeds* out) {
  out->from = "--address";
  for (const std::string& a : common.addresses) {
    for (const std::string& one : SplitList(a)) out->addresses.push_back(one);
  }
  for (const std::string& one : out->addresses) {
    const std::string problem = rpc::CheckAddress(one);
    if (!problem.empty())
      out->problem = absl::StrCat("--address ", one, " ", problem, "; write host:port or unix:/path\n");
  }
}

void FindAddresses(const Common& common, const Program& program, Seeds* out) {
  if (!common.addresses.empty()) return FromFlag(common, out);
  if (!common.config_file.empty()) return FromConfig(common.config_file, "--config", program, out);
  if (const std::string list = Getenv(program, "MAINSTAY_ADDRESS"); !list.empty()) {
    out->addresses = SplitList(list);
    out->from = "MAINSTAY_ADDRESS";
    return;
  }
  if (const std::string file = Getenv(program, "MAINSTAY_CONFIG"); !file.empty())
    return FromConfig(file, "MAINSTAY_CONFIG", program, out);
  if (const std::string socket = Getenv(program, "MAINSTAY_LISTEN_ADMIN"); !socket.empty()) {
    out->addresses = {socket};
    out->from = "MAINSTAY_LISTEN_ADMIN";
    return;
  }
  if (access(kUsualConfig, R_OK) == 0) return FromConfig(kUsualConfig, kUsualConfig, program, out);
  out->addresses = {kDefaultAddress};
  out->from = "the default";
}

// A flag, or else its variable.
std::string Value(const std::string& flag, const Program& program, const char* variable) {
  return flag.empty() ? Getenv(program, variable) : flag;
}

// Files and name from flags and environment, completed by the configuration at hand.
rpc::TlsOptions FindTls(const Common& common, const Program& program) {
  rpc::TlsOptions tls;
  tls.ca = Value(common.tls_ca, program, "MAINSTAY_TLS_CA");
  tls.cert = Value(common.tls_cert, program, "MAINSTAY_TLS_CERT");
  tls.key = Value(common.tls_key, program, "MAINSTAY_TLS_KEY");
  tls.peer_name = Value(common.tls_name, program, "MAINSTAY_TLS_PEER_NAME");
  const bool told = !tls.ca.empty() || !tls.cert.empty() || !tls.key.empty();
  if (const std::string cluster = Getenv(program, "MAINSTAY_CLUSTER");
      tls.peer_name.empty() && !cluster.empty())
    tls.peer_name = absl::StrCat("agent.", cluster, ".mainstay");
  const std::string file = told && !tls.peer_name.empty() ? "" : ConfigAtHand(common, program);
  if (file.empty()) return tls;
  // One that cannot be read is told where its addresses are needed.
  const agent::LoadedConfig loaded = agent::LoadConfig({.file = file, .flags = {}}, program.environment);
  if (!loaded.ok()) return tls;
  const agent::TlsConfig& c = loaded.config.tls;
  if (!told) {
    tls.ca = c.ca;
    tls.cert = c.cert;
    tls.key = c.key;
  }
  if (tls.peer_name.empty()) tls.peer_name = c.peer_name;
  return tls;
}

void OpenCertificates(const Common& common, const Program& program, Seeds* out) {
  rpc::TlsOptions tls = FindTls(common, program);
  if (tls.ca.empty() && tls.cert.empty() && tls.key.empty()) return;
  if (tls.ca.empty() || tls.cert.empty() || tls.key.empty()) {
    out->problem = "TLS is mutual here: give all of --tls-ca, --tls-cert and --tls-key\n";
    return;
  }
  if (tls.peer_name.empty()) {
    out->problem = "which name do the members' certificates hold? Give --tls-name agent.CLUSTER.mainstay\n";
    return;
  }
  auto files = rpc::TlsFiles::Open(std::move(tls));
  if (files.ok()) {
    out->tls = *std::move(files);
  } else {
    out->problem = absl::StrCat(std::string(files.status().message()), "\n");
  }
}

}  // namespace

Seeds FindSeeds(const Common& common, const Program& program) {
  Seeds out;
  FindAddresses(common, program, &out);
  if (out.problem.empty()) OpenCertificates(common, program, &out);
  return out;
}

}  // namespace mainstay::ctl
