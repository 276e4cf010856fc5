// A store in the memory of this process: for tests and simulations of several members in one process.
//
// A MemoryCell is the shared object ("the API server"); each member has a MemoryStore of its own on it.
// Thread rules: both are thread-safe.
#ifndef MAINSTAY_LIB_LEASE_MEMORY_STORE_H_
#define MAINSTAY_LIB_LEASE_MEMORY_STORE_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "lib/lease/store.h"

namespace mainstay::lease {

class MemoryCell {
 public:
  // For tests: what somebody else might do to the object, without any check.
  void Delete();
  void Overwrite(const Document& document);

 private:
  friend class MemoryStore;
  std::string NextVersion() { return "m" + std::to_string(++last_version_); }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Document> document_;
  std::string version_;
  uint64_t last_version_ = 0;  // goes on after a deletion
};

class MemoryStore : public Store {
 public:
  explicit MemoryStore(std::shared_ptr<MemoryCell> cell) : cell_(std::move(cell)) {}

  StoreAnswer Read(MonoTime deadline) override;
  StoreAnswer Create(const Document& document, MonoTime deadline) override;
  StoreAnswer Update(const Document& document, const std::string& if_version, MonoTime deadline) override;
  bool WaitChange(const std::string& seen, MonoTime deadline) override;
  void Interrupt() override;
  std::string Describe() const override { return "memory:"; }

 private:
  const std::shared_ptr<MemoryCell> cell_;
  bool interrupted_ = false;  // under cell_->mutex_
};

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_MEMORY_STORE_H_
