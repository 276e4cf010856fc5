// What tells this incarnation of a member from others: the run of its shim, that is of everything that may
// still write. An agent that restarts beside its shim is the same holder (the engine's lock on the data
// directory keeps a second one out), so it finds its lock and takes the running database over; with another
// shim no database of before lives, and a record that names the former one is another's.
//
// In a pod the agent comes first and its shim later: then the incarnation is made up, and remembered beside
// the shim's socket under the nonce of the first shim that connects. That folder lives as long as the pod.
//
// Thread rules: before the loop runs, then on it.
#ifndef MAINSTAY_AGENT_SIDECAR_INCARNATION_H_
#define MAINSTAY_AGENT_SIDECAR_INCARNATION_H_

#include <cstdint>
#include <optional>
#include <string>

namespace mainstay::agent {

class Incarnation {
 public:
  // `nonce`: of this process, used where there is nothing to go by.
  Incarnation(const std::string& shim_socket, std::string nonce)
      : file_(shim_socket + ".incarnation"), id_(std::move(nonce)) {}

  // The shim that answers now, if one does. To be called once, before id() is used.
  void Begin(std::optional<uint64_t> shim_nonce);
  const std::string& id() const { return id_; }
  // Each shim that connects: it belongs to this incarnation from now on.
  void Connected(uint64_t shim_nonce);

 private:
  std::string Recall(uint64_t shim_nonce) const;  // "" : not remembered

  const std::string file_;
  std::string id_;
  uint64_t known_ = 0;  // what the file says already
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_INCARNATION_H_
