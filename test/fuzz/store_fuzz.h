// One input of the file store's fuzzer: what somebody left as lock.json. Also used by the replay test.
#ifndef MAINSTAY_TEST_FUZZ_STORE_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_STORE_FUZZ_H_

#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "lib/lease/file_store.h"

namespace mainstay::lease {

inline void StoreFuzzFail(const char* what) {
  fprintf(stderr, "store fuzz: %s\n", what);
  abort();
}

// A store in a directory of its own, which goes with it.
class StoreFuzz {
 public:
  StoreFuzz() {
    std::string path = (std::filesystem::temp_directory_path() / "mainstay-fuzz.XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) StoreFuzzFail("no directory");
    dir_ = path;
    auto store = FileStore::Open(dir_, {.fsync_for_test = [](int) { return 0; }, .poll_only = true});
    if (!store.ok()) StoreFuzzFail("cannot be opened");
    store_ = *std::move(store);
  }
  ~StoreFuzz() { std::filesystem::remove_all(dir_); }

  void Eat(const std::string& text) {
    std::ofstream(dir_ + "/lock.json", std::ios::binary | std::ios::trunc) << text;
    const StoreAnswer read = store_->Read(Soon());
    const bool good = read.outcome == StoreOutcome::kOk;
    if (!good && read.outcome != StoreOutcome::kUnreadable) StoreFuzzFail("neither sound nor damaged");
    if (read.version.empty()) StoreFuzzFail("something is there, but it has no version");
    // Nobody can make a version by an edit: what is written over it must name what was read.
    if (store_->Update(read.document, read.version + "x", Soon()).outcome != StoreOutcome::kConflict)
      StoreFuzzFail("a wrong version was taken");
    Document fresh;
    fresh.leader = "{}";
    fresh.renewal = "1";
    fresh.state = "{}";
    if (store_->Update(fresh, read.version, Soon()).outcome != StoreOutcome::kOk)
      StoreFuzzFail("what was read cannot be written over");
    const StoreAnswer again = store_->Read(Soon());
    if (again.outcome != StoreOutcome::kOk || again.document.leader != "{}" || again.version == read.version)
      StoreFuzzFail("what was written is not there");
  }

 private:
  static MonoTime Soon() { return BootClock().Now() + std::chrono::seconds(30); }
  std::string dir_;
  std::unique_ptr<FileStore> store_;
};

}  // namespace mainstay::lease

#endif  // MAINSTAY_TEST_FUZZ_STORE_FUZZ_H_
