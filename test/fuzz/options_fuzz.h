// One input of the shim's options: arguments, a line each, then (after a line "---") the text of the file of
// --options and (after another) that of /etc/passwd and /etc/group. Also used by the replay test.
//
// options.cc ends the process when something is wrong and reads files. Here it is compiled into the fuzzer
// itself, with both replaced: an end is an exception, files are pieces of the input.
#ifndef MAINSTAY_TEST_FUZZ_OPTIONS_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_OPTIONS_FUZZ_H_

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "agent/shim/options.h"

namespace mainstay::shimd {

struct Ended {};
struct FuzzFiles {
  std::string options;
  std::string users;
};
inline FuzzFiles g_fuzz_files;

[[noreturn]] inline void FuzzDie(const char* a, const char* b = "", const char* c = "") {
  // What is said must be readable memory.
  if (strlen(a) + strlen(b) + strlen(c) == SIZE_MAX) abort();
  throw Ended();
}
[[noreturn]] inline void FuzzExit(int) { throw Ended(); }
inline void FuzzComplain(const char* a, const char* b = "", const char* c = "") {
  if (strlen(a) + strlen(b) + strlen(c) == SIZE_MAX) abort();
}
inline int FuzzReadSmallFile(const char* path, char* buffer, size_t size) {
  const std::string& text = strncmp(path, "/etc/", 5) == 0 ? g_fuzz_files.users : g_fuzz_files.options;
  if (text.size() >= size) return -1;
  memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = 0;
  return static_cast<int>(text.size());
}
inline ssize_t FuzzWrite(int, const void*, size_t n) { return static_cast<ssize_t>(n); }

}  // namespace mainstay::shimd

#ifndef MAINSTAY_SHIM_VERSION
#define MAINSTAY_SHIM_VERSION "fuzz"
#endif
#define ReadOptions FuzzReadOptions
#define Die FuzzDie
#define Complain FuzzComplain
#define ReadSmallFile FuzzReadSmallFile
#define _exit FuzzExit
#define write FuzzWrite
#include "agent/shim/options.cc"
#undef ReadOptions
#undef Die
#undef Complain
#undef ReadSmallFile
#undef _exit
#undef write

namespace mainstay::shimd {

inline std::string TakeUntilMark(std::string* text) {
  const size_t mark = text->find("\n---\n");
  std::string out = text->substr(0, mark);
  *text = mark == std::string::npos ? "" : text->substr(mark + 5);
  return out;
}

inline void OptionsFuzzCheck(bool good, const char* what) {
  if (good) return;
  fprintf(stderr, "options fuzz: %s\n", what);
  abort();
}

// True: they were taken.
inline bool EatOptions(std::string text) {
  std::vector<std::string> lines = {"mainstay-shim"};
  const std::string arguments = TakeUntilMark(&text);
  for (size_t at = 0; at <= arguments.size() && lines.size() < 64;) {
    const size_t end = std::min(arguments.find('\n', at), arguments.size());
    lines.push_back(arguments.substr(at, end - at));
    at = end + 1;
  }
  g_fuzz_files.options = TakeUntilMark(&text);
  g_fuzz_files.users = text;
  std::vector<char*> argv;
  for (std::string& line : lines) argv.push_back(line.data());
  argv.push_back(nullptr);
  char lang[] = "LANG=C", password[] = "PGPASSWORD=x";
  char* environment[] = {lang, password, nullptr};
  Options options;
  try {
    FuzzReadOptions(static_cast<int>(argv.size()) - 1, argv.data(), environment, &options);
  } catch (const Ended&) {
    return false;
  }
  const Options& o = options;
  OptionsFuzzCheck(o.socket[0] == '/' && strlen(o.socket) <= 100, "a socket that cannot be bound");
  OptionsFuzzCheck(o.paths.data_dir[0] == '/' && o.paths.parent[0] == '/', "a relative directory");
  OptionsFuzzCheck(strstr(o.paths.data_dir, "/../") == nullptr, "a data directory by way of its parent");
  OptionsFuzzCheck(o.uid != 0, "the database would run as root");
  OptionsFuzzCheck(o.set_count <= kMaxSets && o.group_count <= kMaxGroups && o.allowed_count <= kMaxAllowed,
                   "more than there is room for");
  OptionsFuzzCheck(o.env_count < kMaxEnv && o.env[o.env_count] == nullptr, "the environment has no end");
  for (size_t i = 0; i < o.env_count; ++i)
    OptionsFuzzCheck(strncmp(o.env[i], "PGPASSWORD", 10) != 0, "a password for everybody");
  return true;
}

}  // namespace mainstay::shimd

#endif  // MAINSTAY_TEST_FUZZ_OPTIONS_FUZZ_H_
