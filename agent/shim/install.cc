#include "agent/shim/install.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shim/sys.h"

namespace mainstay::shimd {
namespace {

// No buffer of our own: all memory of a shim is locked, and so resident.
bool CopyAll(int from, int to) {
  for (;;) {
    const ssize_t n = sendfile(to, from, nullptr, 1 << 20);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0;
  }
}

const char* Cause() { return strerrordesc_np(errno) != nullptr ? strerrordesc_np(errno) : "unknown"; }

}  // namespace

void Install(const char* dir) {
  char target[512], fresh[512];
  if (!Text(target, sizeof target).Add(dir).Add("/mainstay-shim").ok() ||
      !Text(fresh, sizeof fresh).Add(dir).Add("/.mainstay-shim.new").ok()) {
    Die("--install: the path is too long: ", dir);
  }
  const int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (from < 0) Die("--install: cannot read this program (/proc/self/exe): ", Cause());
  unlink(fresh);  // of a run that was cut off
  const int to = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (to < 0 || !CopyAll(from, to) || fchmod(to, 0755) != 0 || fsync(to) != 0 || rename(fresh, target) != 0) {
    const char* cause = Cause();
    unlink(fresh);
    Complain("--install: cannot write ", target);
    Die("  cause: ", cause);
  }
  _exit(0);
}

}  // namespace mainstay::shimd
