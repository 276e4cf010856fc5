#include "agent/config_watch.h"

#include <sys/stat.h>

#include <utility>

#include "lib/base/mounted_file.h"
#include "lib/engine/redis/conf.h"

namespace mainstay::agent {

ConfigWatch::ConfigWatch(const std::vector<std::string>& files) { Watch(files); }

ConfigWatch::Mark ConfigWatch::Now(const std::string& file) {
  struct stat st = {};
  if (stat(file.c_str(), &st) != 0) return {};
  return {st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
}

void ConfigWatch::Watch(const std::vector<std::string>& files) {
  std::map<std::string, Known> next;
  for (const std::string& file : files) {
    const auto it = files_.find(file);
    // One that is watched already may have changed since: that is still to be told.
    if (it != files_.end()) {
      next.insert(*it);
    } else if (!file.empty()) {
      const Mark now = Now(file);
      next.emplace(file, Known{now, now});
    }
  }
  files_ = std::move(next);
}

bool ConfigWatch::Look() {
  bool changed = false;
  for (auto& [file, known] : files_) {
    const Mark now = Now(file);
    const Mark before = std::exchange(known.seen, now);
    if (now.inode == 0 || now == known.told) continue;
    if (now.SameFile(known.told) && !(now == before)) continue;  // still being written
    known.told = now;
    changed = true;
  }
  return changed;
}

std::vector<std::string> WatchedFiles(const ConfigSource& source, const Config& config) {
  std::vector<std::string> out;
  if (!source.file.empty()) out.push_back(source.file);
  if (!config.http.password_file.empty()) out.push_back(config.http.password_file);
  if (!config.metrics.queries.empty()) out.push_back(config.metrics.queries);
  for (const UserConfig& user : config.postgresql.users) {
    if (!user.password_file.empty()) out.push_back(user.password_file);
  }
  const std::string& users = config.redis.users_file;
  if (users.empty()) return out;
  out.push_back(users);
  // One that cannot be read is told when the engine reads it.
  const auto text = ReadMountedFile(users, engine::redis::kMaxUsersFile);
  const auto parsed = text.ok() ? engine::redis::ParseUsers(*text) : text.status();
  if (!parsed.ok()) return out;
  for (std::string& file : engine::redis::PasswordFiles(*parsed)) out.push_back(std::move(file));
  return out;
}

}  // namespace mainstay::agent
