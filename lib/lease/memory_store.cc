#include "lib/lease/memory_store.h"

#include <algorithm>

namespace mainstay::lease {
namespace {

StoreAnswer TooLate() {
  return {StoreOutcome::kUnknown, "", {}, "memory: the deadline had passed before the request was made"};
}

}  // namespace

void MemoryCell::Delete() {
  const std::lock_guard<std::mutex> lock(mutex_);
  document_.reset();
  version_.clear();
  changed_.notify_all();
}

void MemoryCell::Overwrite(const Document& document) {
  const std::lock_guard<std::mutex> lock(mutex_);
  document_ = document;
  version_ = NextVersion();
  changed_.notify_all();
}

StoreAnswer MemoryStore::Read(MonoTime deadline) {
  if (BootClock().Now() >= deadline) return TooLate();
  const std::lock_guard<std::mutex> lock(cell_->mutex_);
  if (!cell_->document_) return {StoreOutcome::kNotFound, "", {}, "memory: there is no object"};
  return {StoreOutcome::kOk, cell_->version_, *cell_->document_, ""};
}

StoreAnswer MemoryStore::Create(const Document& document, MonoTime deadline) {
  if (BootClock().Now() >= deadline) return TooLate();
  const std::lock_guard<std::mutex> lock(cell_->mutex_);
  if (cell_->document_) return {StoreOutcome::kConflict, "", {}, "memory: the object exists; read it"};
  cell_->document_ = document;
  cell_->version_ = cell_->NextVersion();
  cell_->changed_.notify_all();
  return {StoreOutcome::kOk, cell_->version_, {}, ""};
}

StoreAnswer MemoryStore::Update(const Document& document, const std::string& if_version, MonoTime deadline) {
  if (BootClock().Now() >= deadline) return TooLate();
  const std::lock_guard<std::mutex> lock(cell_->mutex_);
  if (!cell_->document_) return {StoreOutcome::kNotFound, "", {}, "memory: there is no object"};
  if (cell_->version_ != if_version) {
    return {StoreOutcome::kConflict,
            "",
            {},
            "memory: version is " + cell_->version_ + ", not " + if_version + "; read it"};
  }
  cell_->document_ = document;
  cell_->version_ = cell_->NextVersion();
  cell_->changed_.notify_all();
  return {StoreOutcome::kOk, cell_->version_, {}, ""};
}

bool MemoryStore::WaitChange(const std::string& seen, MonoTime deadline) {
  std::unique_lock<std::mutex> lock(cell_->mutex_);
  for (;;) {
    if (interrupted_ || cell_->version_ != seen) {
      interrupted_ = false;
      return true;
    }
    const MonoTime now = BootClock().Now();
    if (now >= deadline) return false;
    // In slices, since a condition variable waits on CLOCK_MONOTONIC, which a suspend stops.
    cell_->changed_.wait_for(lock, std::min<Duration>(deadline - now, std::chrono::milliseconds(500)));
  }
}

void MemoryStore::Interrupt() {
  const std::lock_guard<std::mutex> lock(cell_->mutex_);
  interrupted_ = true;
  cell_->changed_.notify_all();
}

}  // namespace mainstay::lease
