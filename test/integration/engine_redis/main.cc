// As root the tests become the user of the database (the engine must be that user), but can still start shims
// as root, which gives those a PID namespace of their own.
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "gtest/gtest.h"

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // as the agent does: hiredis 0.14 writes to servers that are gone
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() == 0) {
    const passwd* user = getpwnam("postgres");
    if (user == nullptr) {
      fprintf(stderr, "no user postgres: install postgresql\n");
      return 1;
    }
    if (initgroups("postgres", user->pw_gid) != 0 || setegid(user->pw_gid) != 0 || seteuid(user->pw_uid) != 0)
      return 1;
  }
  return RUN_ALL_TESTS();
}
