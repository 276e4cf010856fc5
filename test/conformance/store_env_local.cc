// Stores that need nothing but this machine.
#include <unistd.h>

#include "lib/lease/file_store.h"
#include "lib/lease/memory_store.h"
#include "test/conformance/store_env.h"

namespace mainstay::lease {
namespace {

class InMemory : public Env {
 public:
  std::unique_ptr<Store> Open() override { return std::make_unique<MemoryStore>(cell_); }
  void DeleteObject() override { cell_->Delete(); }

 private:
  const std::shared_ptr<MemoryCell> cell_ = std::make_shared<MemoryCell>();
};

class InFile : public Env {
 public:
  std::unique_ptr<Store> Open() override { return *FileStore::Open(dir_.path()); }
  void DeleteObject() override { unlink((dir_.path() + "/lock.json").c_str()); }

 private:
  TempDir dir_;
};

}  // namespace

std::vector<Kind> Kinds() {
  return {{"Memory", [](std::string*) -> std::unique_ptr<Env> { return std::make_unique<InMemory>(); }},
          {"File", [](std::string*) -> std::unique_ptr<Env> { return std::make_unique<InFile>(); }}};
}

}  // namespace mainstay::lease
