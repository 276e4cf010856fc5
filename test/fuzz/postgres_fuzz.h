// One input of the PostgreSQL parsers' fuzzer: a letter that picks the parser, then its text. Also used by
// the replay test.
#ifndef MAINSTAY_TEST_FUZZ_POSTGRES_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_POSTGRES_FUZZ_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "lib/engine/postgres/conf.h"
#include "lib/engine/postgres/controldata.h"
#include "lib/engine/postgres/datadir.h"
#include "lib/engine/postgres/history.h"
#include "lib/engine/postgres/lsn.h"
#include "lib/engine/postgres/names.h"
#include "lib/engine/postgres/passwords.h"
#include "lib/engine/postgres/progress.h"

namespace mainstay::engine::postgres {

inline void FuzzCheck(bool good, const char* what) {
  if (good) return;
  fprintf(stderr, "postgres fuzz: %s\n", what);
  abort();
}

inline void FuzzNames(const std::string& text) {
  if (const auto id = ParseStandbyName(text); id.has_value()) {
    const auto name = StandbyName(*id);
    FuzzCheck(name.ok() && *name == text, "a standby name that was read is not the one written");
  }
  if (const auto lsn = ParseLsn(text); lsn.has_value())
    FuzzCheck(ParseLsn(FormatLsn(*lsn)) == lsn, "a position changed");
  if (const auto at = ParseHostPort(text); at.ok())
    FuzzCheck(!at->host.empty() && at->port != 0, "half an address");
  // What is quoted comes back as one value, and nothing of it becomes a key.
  const std::string conninfo = "user=u x=" + QuoteConninfo(text) + " application_name=mine";
  if (text.find('\0') == std::string::npos) {
    FuzzCheck(ConninfoValue(conninfo, "x") == text, "a quoted value changed");
    FuzzCheck(ConninfoValue(conninfo, "application_name") == "mine",
              "a quoted value leaked into the next key");
  }
  ConninfoValue(text, "application_name");
}

inline void FuzzConf(const std::string& text) {
  (void)ParseRole(text);
  FuzzCheck(WithInclude(WithInclude(text)) == WithInclude(text), "the include is not written once");
  FuzzCheck(WithoutProtected(WithoutProtected(text)) == WithoutProtected(text),
            "protected parameters remain");
  Options options;
  options.member = "a";
  Settings settings;
  settings.parameters["work_mem"] = text;
  RoleState role;
  role.sync = "x";
  if (const auto conf = BuildConf({&options, &settings, 15}, role); conf.ok()) {
    const auto back = ParseRole(*conf);
    FuzzCheck(back.ok() && *back == role, "a value reached the role");
    FuzzCheck(conf->rfind("\nsynchronous_standby_names = 'x'\n") != std::string::npos,
              "a value reached an own parameter");
  }
}

inline void FuzzPostgres(const uint8_t* data, size_t size) {
  if (size == 0) return;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'h':
      if (const auto lineage = ParseHistory(7, text); lineage.ok()) {
        for (uint32_t timeline = 0; timeline < 9; ++timeline) {
          const bool short_one = Compare(*lineage, UINT64_MAX, timeline, 0).ancestor;
          const bool long_one = Compare(*lineage, UINT64_MAX - 1, timeline, UINT64_MAX).ancestor;
          FuzzCheck(short_one || !long_one, "longer data follow where shorter ones do not");
        }
      }
      break;
    case 'c':
      if (const auto c = ParseControlData(text); c.ok()) (void)c->CleanEnd();
      break;
    case 'd':
      if (const auto pid = ParsePidFile(text); pid.ok())
        FuzzCheck(pid->pid > 0, "a process id that kill(2) reads as a group");
      break;
    case 'w': {
      Options options;
      if (const auto p = ParsePasswords(text, options); p.ok())
        FuzzCheck(!p->superuser.empty() && !p->agent.empty() && !p->replication.empty(), "an empty password");
      break;
    }
    case 'i':
      if (const auto id = SystemIdOfPgControl(text); id.ok())
        FuzzCheck(!id->empty(), "an empty system identifier");
      break;
    case 'v':
      (void)MajorOfVersionText(text);
      break;
    case 'p': {
      ProgressReader reader;
      if (const auto p = reader.Add(text); p.has_value()) (void)ToText(*p);
      break;
    }
    case 'f':
      FuzzConf(text);
      break;
    default:
      FuzzNames(text);
      break;
  }
}

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_TEST_FUZZ_POSTGRES_FUZZ_H_
