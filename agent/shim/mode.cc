// Making sure that the shim can kill everything: its own PID namespace, or the nearest to it that this
// machine permits.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <initializer_list>

#include "agent/shim/procs.h"

namespace mainstay::shimd {
namespace {

using shim::wire::Mode;

bool WriteFile(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool ok = write(fd, text, strlen(text)) == static_cast<ssize_t>(strlen(text));
  close(fd);
  return ok;
}

// Own id -> own id, so that the database still is who it was.
bool MapSelf(const char* path, unsigned id) {
  char text[64], number[24];
  Decimal(id, number);
  Text(text, sizeof text).Add(number).Add(" ").Add(number).Add(" 1");
  return WriteFile(path, text);
}

bool MakeNamespace() {
  if (unshare(CLONE_NEWPID) == 0) return true;
  const unsigned uid = geteuid(), gid = getegid();
  if (uid == 0 || unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) return false;
  // Past this point there is no way back: a half-made user namespace cannot be left.
  if (!WriteFile("/proc/self/setgroups", "deny") || !MapSelf("/proc/self/uid_map", uid) ||
      !MapSelf("/proc/self/gid_map", gid)) {
    Die("cannot map the user into a user namespace; start with --mode=session, or as root");
  }
  return true;
}

// The outer process: passes signals on and ends as the inner one ends. If it is killed the kernel kills the
// inner one, and with it, as it is PID 1 there, its whole namespace.
[[noreturn]] void Forward(pid_t inner, const sigset_t& mask) {
  for (;;) {
    siginfo_t info;
    int sig = sigwaitinfo(&mask, &info);
    if (sig < 0) continue;
    if (sig != SIGCHLD) {
      kill(inner, sig);
      continue;
    }
    int status = 0;
    if (waitpid(inner, &status, WNOHANG) != inner) continue;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
}

void ForkInner() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int sig : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD}) sigaddset(&mask, sig);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  int alive[2];  // closes when the outer process dies before the inner one asked for its death signal
  if (pipe2(alive, O_CLOEXEC | O_NONBLOCK) != 0) Die("pipe failed");
  pid_t inner = fork();
  if (inner < 0) Die("fork into the new PID namespace failed (limit of processes?)");
  if (inner > 0) {
    close(alive[0]);
    Forward(inner, mask);  // keeps alive[1] open
  }
  close(alive[1]);
  char byte;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || read(alive[0], &byte, 1) == 0) _exit(2);
  close(alive[0]);
}

}  // namespace

Mode EnterMode(WantedMode wanted) {
  const bool first = getpid() == 1;
  if (wanted == WantedMode::kContainer && !first) {
    Die("not PID 1: the pod shares its PID namespace (shareProcessNamespace must be false), or another "
        "program starts the shim; ",
        "as PID 2 it could not kill everything at the deadline. On one machine use --mode=namespace");
  }
  if (wanted == WantedMode::kContainer || (wanted == WantedMode::kAuto && first)) return Mode::kContainer;
  if (wanted != WantedMode::kSession && MakeNamespace()) {
    ForkInner();
    return Mode::kNamespace;
  }
  if (wanted == WantedMode::kNamespace)
    Die("cannot make a PID namespace: needs root or user namespaces; --mode=session is the weaker way");
  if (wanted == WantedMode::kAuto)
    Complain("no PID namespace to be had: falling back to --mode=session (kills by walking /proc)");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) Die("PR_SET_CHILD_SUBREAPER failed");
  return Mode::kSession;
}

}  // namespace mainstay::shimd
