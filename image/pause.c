/* PID 1 of a pod's sandbox: holds its namespaces open, reaps what is left, ends when told. Built static. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL); /* nothing is lost between a check and the wait */
  for (;;) {
    int received = 0;
    if (sigwait(&all, &received) != 0) return 1;
    if (received == SIGTERM || received == SIGINT) return 0;
    while (received == SIGCHLD && waitpid(-1, NULL, WNOHANG) > 0) {
    }
  }
}
