// A stand-in for `postgres` in the shim's tests: as hostile as a process tree can be. What it does is in the
// file `mode` of the data directory; every process of it writes CLOCK_BOOTTIME into the shared file `beat` as
// long as it lives, as a database would acknowledge writes.
//   plain   SIGINT: exit 0; SIGQUIT: exit 3; SIGHUP: counts in `beat`
//   deaf    ignores every signal that can be ignored
//   storm   deaf, and forks all the time: orphans, sessions of their own, chains whose pid never stays the
//   same crash   exits with 1 after 100 ms and leaves two beating orphans env     writes its arguments and
//   environment to `seen`, then as plain
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

namespace {

struct Shared {
  int64_t beat;
  int64_t hups;
  int64_t processes;
};
Shared* g_shared;

int64_t Now() {
  timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

void Beat() {
  const int64_t now = Now();
  int64_t seen = __atomic_load_n(&g_shared->beat, __ATOMIC_RELAXED);
  while (seen < now && !__atomic_compare_exchange_n(&g_shared->beat, &seen, now, false, __ATOMIC_RELAXED,
                                                    __ATOMIC_RELAXED)) {
  }
}

void Sleep(int64_t us) {
  timespec ts{us / 1000000, us % 1000000 * 1000};
  nanosleep(&ts, nullptr);
}

[[noreturn]] void BeatForever() {
  for (;;) {
    Beat();
    Sleep(500);
  }
}

void IgnoreAll() {
  for (int sig = 1; sig < 32; ++sig) signal(sig, SIG_IGN);
}

// A process that lives 1 ms and leaves a successor in a session of its own.
[[noreturn]] void Chain() {
  for (;;) {
    if (fork() > 0) _exit(0);
    setsid();
    __atomic_fetch_add(&g_shared->processes, 1, __ATOMIC_RELAXED);
    Beat();
    Sleep(1000);
  }
}

[[noreturn]] void Storm() {
  IgnoreAll();
  for (int i = 0; i < 4; ++i) {
    if (fork() == 0) Chain();
  }
  for (int i = 0; i < 8; ++i) {
    if (fork() == 0) {
      setsid();
      if (fork() > 0) _exit(0);
      BeatForever();
    }
  }
  for (;;) {  // and a constant stream of short-lived children
    if (fork() == 0) {
      Sleep(2000);
      _exit(0);
    }
    Beat();
    Sleep(300);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

[[noreturn]] void Plain() {
  signal(SIGINT, [](int) { _exit(0); });
  signal(SIGQUIT, [](int) { _exit(3); });
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, [](int) { __atomic_fetch_add(&g_shared->hups, 1, __ATOMIC_RELAXED); });
  BeatForever();
}

[[noreturn]] void Crash() {
  for (int i = 0; i < 2; ++i) {
    if (fork() == 0) {
      setsid();
      IgnoreAll();
      BeatForever();
    }
  }
  Sleep(100000);
  _exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  char mode[32] = {};
  int fd = open("mode", O_RDONLY);
  if (fd < 0 || read(fd, mode, sizeof mode - 1) < 0) return 9;
  close(fd);
  fd = open("beat", O_RDWR | O_CREAT, 0644);
  if (fd < 0 || ftruncate(fd, sizeof(Shared)) != 0) return 9;
  g_shared = static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  if (g_shared == MAP_FAILED) return 9;
  if (strcmp(mode, "storm") == 0) Storm();
  if (strcmp(mode, "crash") == 0) Crash();
  if (strcmp(mode, "deaf") == 0) {
    IgnoreAll();
    BeatForever();
  }
  if (strcmp(mode, "env") == 0) {
    FILE* out = fopen("seen.tmp", "w");
    for (int i = 0; i < argc; ++i) fprintf(out, "arg %s\n", argv[i]);
    for (char** e = environ; *e != nullptr; ++e) fprintf(out, "env %s\n", *e);
    fclose(out);
    rename("seen.tmp", "seen");
  }
  Plain();
}
