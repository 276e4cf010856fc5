// Files beside the data directory: what is held, configuration, users; and what is tidied in it.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/mounted_file.h"
#include "lib/base/result.h"
#include "lib/engine/redis/engine.h"
#include "lib/engine/redis/passwords.h"

namespace mainstay::engine::redis {
namespace {

bool Exists(const std::string& path) {
  struct stat st {};
  return lstat(path.c_str(), &st) == 0;
}

// Names of a directory's entries that fit; none when it cannot be read.
template <typename Fits>
std::vector<std::string> Entries(const std::string& dir, Fits fits) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> d(opendir(dir.c_str()), &closedir);
  while (d != nullptr) {
    const dirent* entry = readdir(d.get());
    if (entry == nullptr) break;
    if (fits(absl::string_view(entry->d_name))) out.emplace_back(entry->d_name);
  }
  return out;
}

void Remove(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error)
    Log(LogLevel::kWarn, "redis", "could not be removed", {{"path", path}, {"error", error.message()}});
}

}  // namespace

absl::Status RedisEngine::LoadHeld() {
  if (held_known_) return absl::OkStatus();
  const std::string path = HeldPath(options_);
  const auto text = ReadFile(path, 256 * 1024);
  if (text.ok()) {
    absl::StatusOr<Held> held = DecodeHeld(*text);
    if (!held.ok()) return absl::DataLossError(absl::StrCat(path, ": ", held.status().message()));
    held_ = *std::move(held);
  } else if (!absl::IsNotFound(text.status())) {
    return text.status();
  }
  held_known_ = true;
  return absl::OkStatus();
}

absl::Status RedisEngine::SaveHeld(const Held& held) {
  if (held_known_ && held == held_) return absl::OkStatus();
  MAINSTAY_RETURN_IF_ERROR(AtomicWriteFile(HeldPath(options_), EncodeHeld(held), {.mode = 0600}));
  held_ = held;
  held_known_ = true;
  return absl::OkStatus();
}

absl::StatusOr<AclUsers> RedisEngine::WantedUsers(const Settings& settings) const {
  if (settings.users_file.empty()) return ClientUsers({}, false);
  const auto read = [](const std::string& path) { return ReadMountedFile(path, kMaxUsersFile); };
  MAINSTAY_ASSIGN_OR_RETURN(const std::string text, read(settings.users_file));
  absl::StatusOr<AclUsers> users = ParseUsers(text);
  if (!users.ok())
    return absl::InvalidArgumentError(
        absl::StrCat("redis.users_file ", settings.users_file, ": ", users.status().message()));
  MAINSTAY_ASSIGN_OR_RETURN(const AclUsers with_passwords, WithPasswords(*std::move(users), read));
  return ClientUsers(with_passwords, true);
}

// Redis 7 loads nothing but the append-only file when there shall be one: with an RDB file alone it would
// start empty.
bool RedisEngine::LateAof() {
  const Settings settings = ActiveSettings();
  const auto it = settings.parameters.find("appendonly");
  const bool wanted = it != settings.parameters.end() && it->second == "yes";
  return wanted && !Exists(options_.data_dir + "/appendonlydir") && Exists(options_.data_dir + "/dump.rdb");
}

absl::Status RedisEngine::WriteFiles(bool late_aof) {
  const Settings settings = ActiveSettings();
  MAINSTAY_ASSIGN_OR_RETURN(const std::string conf, BuildConf({&options_, &settings, late_aof}));
  MAINSTAY_ASSIGN_OR_RETURN(AclUsers users, WantedUsers(settings));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string agent, EnsurePassword(AgentPasswordPath(options_)));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string replication, LoadPassword(options_.replication_password_file));
  users_ = users;
  users.emplace_back(kAgentUser, AgentRules(agent));
  users.emplace_back(kPeerUser, PeerRules(replication));
  MAINSTAY_RETURN_IF_ERROR(AtomicWriteFile(AclPath(options_), FormatAcl(users), {.mode = 0600}));
  return AtomicWriteFile(ConfPath(options_), conf, {.mode = 0600});
}

// What crashes in the middle of a save or a full resync leave: in a loop of crashes the disk would fill.
void RedisEngine::CleanUp() {
  const auto stale = Entries(options_.data_dir, [](absl::string_view name) {
    return (absl::StartsWith(name, "temp-") && absl::EndsWith(name, ".rdb")) ||
           (absl::StartsWith(name, "temp-rewriteaof-") && absl::EndsWith(name, ".aof"));
  });
  for (const std::string& name : stale) Remove(absl::StrCat(options_.data_dir, "/", name));
}

// For a new copy. Only files that Redis makes.
void RedisEngine::RemoveData() {
  CleanUp();
  Remove(options_.data_dir + "/dump.rdb");
  Remove(options_.data_dir + "/appendonlydir");
}

}  // namespace mainstay::engine::redis
