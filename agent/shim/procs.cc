#include "agent/shim/procs.h"

#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" const char __executable_start;  // of the linker

namespace mainstay::shimd {
namespace {

using shim::wire::Mode;

bool WriteOnce(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool ok = write(fd, text, strlen(text)) == static_cast<ssize_t>(strlen(text));
  close(fd);
  return ok;
}

// The parent of `pid` by /proc/<pid>/stat; 0 when it is gone.
pid_t ParentOf(pid_t pid) {
  char path[48], number[24], text[512];
  Text(path, sizeof path).Add("/proc/").Add(Decimal(pid, number)).Add("/stat");
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return 0;
  text[n] = 0;
  // "pid (name) state ppid": the name may hold anything, so the last ')' counts.
  const char* p = strrchr(text, ')');
  if (p == nullptr || strlen(p) < 5) return 0;
  pid_t parent = 0;
  for (p += 4; *p >= '0' && *p <= '9'; ++p) parent = parent * 10 + (*p - '0');
  return parent;
}

alignas(8) char g_listing[4096];

// Calls visit(pid) for each process in /proc; getdents64 on a fixed buffer, because readdir allocates.
template <typename Visit>
void EachProcess(Visit visit) {
  struct Entry {  // linux_dirent64
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
  };
  int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  long n;
  while ((n = syscall(SYS_getdents64, fd, g_listing, sizeof g_listing)) > 0) {
    for (long at = 0; at < n;) {
      auto* entry = reinterpret_cast<Entry*>(g_listing + at);
      at += entry->reclen;
      int64_t pid = 0;
      if (ParseNumber(entry->name, 1, INT32_MAX, &pid)) visit(static_cast<pid_t>(pid));
    }
  }
  close(fd);
}

// Does the process belong to `a` or `b` (real or effective)? A process that cannot be read is gone.
bool HasUid(pid_t pid, uid_t a, uid_t b) {
  char path[48], number[24], text[1024];
  Text(path, sizeof path).Add("/proc/").Add(Decimal(pid, number)).Add("/status");
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return false;
  text[n] = 0;
  const char* p = strstr(text, "\nUid:");
  if (p == nullptr) return true;  // cut short: rather wait for it
  p += 5;
  for (int i = 0; i < 2; ++i) {
    while (*p == '\t' || *p == ' ') ++p;
    uid_t uid = 0;
    for (; *p >= '0' && *p <= '9'; ++p) uid = uid * 10 + static_cast<uid_t>(*p - '0');
    if (uid == a || uid == b) return true;
  }
  return false;
}

// Reads in and locks every page of the program: code, constants and data.
bool LockProgram() {
  auto* header = reinterpret_cast<const ElfW(Phdr)*>(getauxval(AT_PHDR));
  const size_t count = getauxval(AT_PHNUM);
  const auto start = reinterpret_cast<uintptr_t>(&__executable_start);
  uintptr_t first = UINTPTR_MAX;
  for (size_t i = 0; i < count; ++i) {
    if (header[i].p_type == PT_LOAD && header[i].p_vaddr < first) first = header[i].p_vaddr;
  }
  constexpr uintptr_t kPage = 4096;
  bool ok = count > 0;
  for (size_t i = 0; i < count; ++i) {
    if (header[i].p_type != PT_LOAD) continue;
    const uintptr_t from = (header[i].p_vaddr - (first & ~(kPage - 1)) + start) & ~(kPage - 1);
    const uintptr_t to = header[i].p_vaddr - (first & ~(kPage - 1)) + start + header[i].p_memsz;
    ok = mlock(reinterpret_cast<void*>(from), to - from) == 0 && ok;
  }
  return ok;
}

}  // namespace

bool BecomeDatabaseUser(const Options& o, Mode mode, pid_t shim_pid) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  setpriority(PRIO_PROCESS, 0, 0);
  WriteOnce("/proc/self/oom_score_adj", "0");
  if (o.drop && (setgroups(o.group_count, o.groups) != 0 || setresgid(o.gid, o.gid, o.gid) != 0 ||
                 setresuid(o.uid, o.uid, o.uid) != 0)) {
    return false;
  }
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  umask(077);
  if (mode == Mode::kSession) {  // after the change of user, which clears it
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return false;
    if (getppid() != shim_pid) raise(SIGKILL);  // the shim died in between
  }
  return true;
}

bool DescendsFromUs(pid_t pid) {
  const pid_t self = getpid();
  for (int depth = 0; depth < 64 && pid > 1; ++depth) {
    if (pid == self) return depth > 0;
    pid = ParentOf(pid);
  }
  return false;
}

void KillAll(Mode mode) {
  if (mode != Mode::kSession) {
    kill(-1, SIGKILL);
    return;
  }
  // SIGKILL and not SIGSTOP first: both end forking at once, and orphans of the killed come to us
  // (subreaper), so the tree stays complete. Children of a process forked after it was listed have higher
  // numbers and are mostly met in the same walk; the rest in the next one.
  EachProcess([](pid_t pid) {
    if (DescendsFromUs(pid)) kill(pid, SIGKILL);
  });
}

bool NoStrangers(Mode mode, const Options& o) {
  if (mode != Mode::kContainer) return true;  // nobody but our children can be in our namespace or our tree
  if (kill(-1, 0) != 0 && errno == ESRCH) return true;
  // Somebody is left whom kill(-1) did not reach. If we were root we would have reached him: he dies still.
  // Otherwise only those count who have the database's identity.
  bool found = false;
  const pid_t self = getpid();
  EachProcess([&](pid_t pid) {
    if (pid != self && (geteuid() == 0 || HasUid(pid, geteuid(), o.uid))) found = true;
  });
  return !found;
}

uint32_t ProtectFromOom() {
  return WriteOnce("/proc/self/oom_score_adj", "-999") ? static_cast<uint32_t>(shim::wire::kOomProtected) : 0;
}

uint32_t ProtectSelf() {
  uint32_t flags = 0;
  // MCL_ONFAULT: lock what was touched (the stack, by main's TouchStack) and not the 128 KiB that the kernel
  // reserves for it. The program itself is then made resident whole.
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0 && LockProgram()) flags |= shim::wire::kLocked;
  sched_param param{};
  param.sched_priority = 10;  // above ordinary real-time work: it runs for microseconds a second
  if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0) {
    flags |= shim::wire::kRealtime;
  } else {
    setpriority(PRIO_PROCESS, 0, -20);  // best effort
  }
  return flags;
}

}  // namespace mainstay::shimd
