// The parts of gRPC that an agent uses, and no others. gRPC registers all it has at start: xDS and its three
// hundred message types, eight load balancers, call credentials of a cloud. Everything registered is linked,
// so a third of the program was code that can never run, and the kernel counts the pages between as resident.
//
// With archives the linker puts this in place of gRPC's own list (--wrap, cmake/MainstayDeps.cmake). Its
// order is that of gRPC 1.51's grpc_plugin_registry.cc, which no header declares; another gRPC fails to link
// here, or at the first call in test/unit/rpc. Left out on purpose: the HTTP CONNECT proxy (channel.cc
// forbids it).
namespace grpc_core {

class CoreConfiguration {
 public:
  class Builder;
};
using Builder = CoreConfiguration::Builder;

void BuildClientChannelConfiguration(Builder* builder);
void RegisterAresDnsResolver(Builder* builder);
void RegisterBuiltins(Builder* builder);
void RegisterChannelIdleFilters(Builder* builder);
void RegisterClientAuthorityFilter(Builder* builder);
void RegisterDeadlineFilter(Builder* builder);
void RegisterHttpFilters(Builder* builder);
void RegisterMessageSizeFilter(Builder* builder);
void RegisterNativeDnsResolver(Builder* builder);
void RegisterPickFirstLbPolicy(Builder* builder);
void RegisterResourceQuota(Builder* builder);
void RegisterSecurityFilters(Builder* builder);
void RegisterServiceConfigChannelArgFilter(Builder* builder);
void RegisterSockaddrResolver(Builder* builder);
void RegisterTCPConnectHandshaker(Builder* builder);
void SecurityRegisterHandshakerFactories(Builder* builder);

}  // namespace grpc_core

namespace grpc_event_engine::experimental {
void RegisterEventEngineChannelArgPreconditioning(grpc_core::Builder* builder);
}  // namespace grpc_event_engine::experimental

// The mangled name of grpc_core::BuildCoreConfiguration(CoreConfiguration::Builder*), wrapped.
extern "C" void __wrap__ZN9grpc_core22BuildCoreConfigurationEPNS_17CoreConfiguration7BuilderE(
    grpc_core::Builder* builder);
extern "C" void __wrap__ZN9grpc_core22BuildCoreConfigurationEPNS_17CoreConfiguration7BuilderE(
    grpc_core::Builder* builder) {
  grpc_event_engine::experimental::RegisterEventEngineChannelArgPreconditioning(builder);
  grpc_core::RegisterTCPConnectHandshaker(builder);
  grpc_core::RegisterPickFirstLbPolicy(builder);
  grpc_core::BuildClientChannelConfiguration(builder);
  grpc_core::SecurityRegisterHandshakerFactories(builder);
  grpc_core::RegisterClientAuthorityFilter(builder);
  grpc_core::RegisterChannelIdleFilters(builder);
  grpc_core::RegisterHttpFilters(builder);
  grpc_core::RegisterDeadlineFilter(builder);
  grpc_core::RegisterMessageSizeFilter(builder);
  grpc_core::RegisterServiceConfigChannelArgFilter(builder);
  grpc_core::RegisterResourceQuota(builder);
  grpc_core::RegisterAresDnsResolver(builder);
  grpc_core::RegisterNativeDnsResolver(builder);
  grpc_core::RegisterSockaddrResolver(builder);
  grpc_core::RegisterSecurityFilters(builder);
  grpc_core::RegisterBuiltins(builder);
}
