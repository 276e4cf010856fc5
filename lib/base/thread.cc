#include "lib/base/thread.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace mainstay {

std::thread StartThread(std::string name, std::function<void()> run) {
  return std::thread([name = std::move(name), run = std::move(run)] {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    run();
  });
}

}  // namespace mainstay
