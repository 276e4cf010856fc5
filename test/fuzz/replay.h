// What the replays of the fuzzers share: the seeds of a corpus and mutations of them, the same in every run.
#ifndef MAINSTAY_TEST_FUZZ_REPLAY_H_
#define MAINSTAY_TEST_FUZZ_REPLAY_H_

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace mainstay {

// The files of test/fuzz/corpus/<name>, sorted; run from the top of the repository.
inline std::vector<std::string> Corpus(const std::string& name) {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator("test/fuzz/corpus/" + name))
    files.push_back(file.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> out;
  for (const auto& path : files) {
    std::ifstream in(path, std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return out;
}

// One to four changes: a byte, a hole, one of `words`, a piece of itself.
inline std::string Mutate(std::string text, const std::vector<std::string>& words, std::mt19937& rng) {
  for (unsigned n = 1 + rng() % 4; n > 0 && !text.empty(); --n) {
    const size_t at = rng() % text.size();
    switch (rng() % 4) {
      case 0:
        text[at] = static_cast<char>(rng());
        break;
      case 1:
        text.erase(at, 1 + rng() % 20);
        break;
      case 2:
        text.insert(at, words[rng() % words.size()]);
        break;
      default:
        text.insert(at, text.substr(rng() % text.size(), rng() % 40));
        break;
    }
  }
  return text;
}

}  // namespace mainstay

#endif  // MAINSTAY_TEST_FUZZ_REPLAY_H_
