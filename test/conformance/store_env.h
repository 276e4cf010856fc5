// What the conformance tests share: where a store lives, and the append-only log that shows whether it is
// linearizable.
#ifndef MAINSTAY_TEST_CONFORMANCE_STORE_ENV_H_
#define MAINSTAY_TEST_CONFORMANCE_STORE_ENV_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/lease/fault_store.h"
#include "lib/lease/store.h"

namespace mainstay::lease {

// One object that any number of store handles look at.
class Env {
 public:
  virtual ~Env() = default;
  virtual std::unique_ptr<Store> Open() = 0;
  virtual void DeleteObject() = 0;  // as a careless administrator would
};

// The kinds of store that this program tries: store_env_local.cc or kube_env.cc.
struct Kind {
  const char* name;
  // Null: it cannot be tried here, and *why says why and what to do.
  std::unique_ptr<Env> (*make)(std::string* why);
};
std::vector<Kind> Kinds();

// A directory of its own under the test's temporary directory, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Everything a store may do wrong without breaking its contract.
Faults AllFaults();

inline MonoTime In(Duration d) { return BootClock().Now() + d; }

// Each writer appends "<writer>.<n> " to the document's state by compare-and-swap and notes what the store
// said. From the final text it can be told for each answer whether it was true: acknowledged tokens are there
// once, refused ones are not, unknown ones at most once. Anything lost, doubled or torn shows.
struct Appended {
  std::vector<std::string> ok, refused, unknown;
};
// Until `count` tokens were acknowledged or `deadline`.
Appended AppendTokens(Store* store, const std::string& writer, int count, MonoTime deadline);
// "" when `log` agrees with what every writer was told.
std::string CheckLog(const std::string& log, const std::vector<Appended>& writers);

// Runs this program again as a writer process on a file store (see main.cc). Returns its pid; `*out_fd` is
// where it reports "ok <token>", "refused <token>" and "unknown <token>" lines.
pid_t StartWriterProcess(const std::string& dir, const std::string& writer, int count, int* out_fd);
int WriterMain(int argc, char** argv);
Appended ParseReport(const std::string& text);

}  // namespace mainstay::lease

#endif  // MAINSTAY_TEST_CONFORMANCE_STORE_ENV_H_
