// A thread of our own: with a name (what top and gdb show) and without signals, which are the main loop's
// business: one that landed here would interrupt a system call of the disk or the database. For every
// std::thread that this project starts outside tests.
#ifndef MAINSTAY_LIB_BASE_THREAD_H_
#define MAINSTAY_LIB_BASE_THREAD_H_

#include <functional>
#include <string>
#include <thread>

namespace mainstay {

// Runs `run` in a thread called `name` (the first 15 bytes of it: the kernel keeps no more).
std::thread StartThread(std::string name, std::function<void()> run);

}  // namespace mainstay

#endif  // MAINSTAY_LIB_BASE_THREAD_H_
