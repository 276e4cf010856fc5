#include "agent/ctl/config_verbs.h"

#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/config_schema.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::ctl {
namespace {

// Loads; prints problems and warnings. False: not usable.
bool Load(const AgentFlags& flags, const Program& program, agent::ConfigSource* source,
          agent::LoadedConfig* loaded) {
  const std::string wrong = ToSource(flags, source);
  if (!wrong.empty()) {
    *program.err << "mainstay: " << wrong << "\n";
    return false;
  }
  *loaded = agent::LoadConfig(*source, program.environment);
  for (const std::string& w : loaded->warnings) *program.err << "warning: " << w << "\n";
  if (loaded->ok()) return true;
  *program.err << loaded->Problems();
  *program.err << loaded->problems.size() << (loaded->problems.size() == 1 ? " problem" : " problems")
               << "; nothing was started\n";
  return false;
}

constexpr char kDocsHead[] = R"(# Configuration

One YAML file (`mainstay agent --config FILE`), overridden by the environment, then by flags. The schema is
`proto/mainstay/v1/config.proto`; this page is made from it by `mainstay config docs`.

- Every setting `a.b` is also the variable `MAINSTAY_A_B` and the flag `--set a.b=VALUE`. Lists and maps are given there as YAML:
  `--set 'members=[{name: b, peer: "127.0.0.1:7410"}]'`; one entry of a map: `--set postgresql.parameters.work_mem=8MB`.
- A length of time has a unit: `500ms`, `10s`, `1m30s`. A size may have one: `64MB`, `10GB` (1 kB is 1024 bytes).
- `mainstay config check` tells all problems at once, each with line, path, value and remedy. `mainstay config print --origin` shows
  what is in force and where each value comes from.
- SIGHUP, `mainstay reload MEMBER`, or a changed file (looked at every 10 s, also the links that Kubernetes swaps, and the password
  files of `postgresql.users`) reads everything again. Settings marked with R take effect at once; for others the agent says that
  they wait for its restart (which does not touch the database).
- `profile: fast` presets lease 3s, validity 2s, fence 900ms, renew 500ms, suspicion 1s, heartbeat 250ms, freeze_wait 500ms,
  sync_patience 500ms, probe.interval 250ms, probe.timeout 500ms, probe.hung_after 2s. What you set yourself wins.
- Timings are checked: `validity/(1-rho) + fence <= lease/(1+rho)` with rho = 0.001 (how wrong a clock's rate may be), at least three
  renewals within `validity`, `suspicion >= 1.5 * renew`, `heartbeat <= suspicion / 2`,
  `probe.interval <= suspicion / 3`. Unsafe ones are refused with the arithmetic.

- TLS is mutual and for every connection to `listen.grpc` that is no unix socket: `tls.ca`, `tls.cert` and `tls.key` together, or none. Every
  certificate, of members and administrators, must be signed by `tls.ca`, hold the DNS name `tls.peer_name`, and be for both ends of a
  connection (extended key usages serverAuth and clientAuth, or none). Files are looked at every 10 s; what is half written, does not
  belong together or is expired is not taken: the old ones stay in force, the log says why and `mainstay_certificate_refused` is 1. Calls under
  way are not touched; connections are made anew within the hour. To replace an authority: put old and new into `ca` everywhere, then
  new certificates, then take the old one out.

A smallest file:

```yaml
cluster: demo
name: a
election: {path: /run/mainstay/demo}
listen: {grpc: "127.0.0.1:7400", http: "127.0.0.1:7401"}
shim: {socket: /run/mainstay/a/shim.sock}
members:
  - {name: a, peer: "127.0.0.1:7400"}
  - {name: b, peer: "127.0.0.1:7410"}
postgresql:
  data_dir: /var/lib/mainstay/a/data
  socket_dir: /run/mainstay/a
  password_file: /var/lib/mainstay/demo.passwords
```

In a pod (`name`, `uid`, `kubernetes.namespace` and the `advertise` addresses come from the environment):

```yaml
cluster: pg
election: {lock: configmap}
listen: {grpc: "0.0.0.0:7400", http: "0.0.0.0:7401", admin: "unix:/run/mainstay/agent.sock"}
tls: {ca: /etc/mainstay/tls/ca.crt, cert: /etc/mainstay/tls/tls.crt, key: /etc/mainstay/tls/tls.key}
shim: {socket: /run/mainstay/shim.sock}
postgresql:
  data_dir: /var/lib/postgresql/data/pgdata
  socket_dir: /var/run/postgresql
  listen_addresses: "*"
  password_file: /etc/mainstay/passwords/pgpass
  users:
    - {name: app, password_file: /etc/mainstay/passwords/app}
  databases:
    - {name: app, owner: app, extensions: [pg_trgm]}
```

)";

}  // namespace

int ConfigCheck(const AgentFlags& flags, const Program& program) {
  agent::ConfigSource source;
  agent::LoadedConfig loaded;
  if (!Load(flags, program, &source, &loaded)) return kExitUsage;
  *program.out << (source.file.empty() ? "configuration" : source.file) << ": fine\n";
  return kExitOk;
}

int ConfigPrint(const AgentFlags& flags, bool origin, const Program& program) {
  agent::ConfigSource source;
  agent::LoadedConfig loaded;
  const bool ok = Load(flags, program, &source, &loaded);
  *program.out << agent::PrintConfig(loaded.config, origin ? &loaded.origin : nullptr);
  return ok ? kExitOk : kExitUsage;
}

int ConfigDocs(const Program& program) {
  *program.out << kDocsHead;
  std::string section = "-";
  agent::schema::ForEachField(
      v1::AgentConfig::descriptor(),
      [&](const std::string& path, const agent::schema::FieldDescriptor* field) {
        const size_t dot = path.find('.');
        const std::string now = dot == std::string::npos ? "" : path.substr(0, dot);
        if (now != section) {
          *program.out << (section == "-" ? "" : "\n") << "## " << (now.empty() ? "General" : now)
                       << "\n\n| Setting | Default | R | Meaning |\n|---|---|---|---|\n";
          section = now;
        }
        const std::string preset = agent::schema::Preset(field);
        *program.out << "| `" << path << "` | " << (preset.empty() ? "" : absl::StrCat("`", preset, "`"))
                     << " | " << (agent::schema::IsReloadable(field) ? "R" : "") << " | "
                     << agent::schema::Help(field);
        if (field->is_repeated() && !field->is_map() && field->message_type() != nullptr) {
          *program.out << ". Each entry:";
          for (int i = 0; i < field->message_type()->field_count(); ++i) {
            const auto* item = field->message_type()->field(i);
            const std::string usual = agent::schema::Preset(item);
            *program.out << (i == 0 ? " `" : "; `") << item->name() << "`, " << agent::schema::Help(item)
                         << (usual.empty() ? "" : absl::StrCat(" (`", usual, "`)"));
          }
        }
        *program.out << " |\n";
      });
  return kExitOk;
}

int RunAgent(const AgentFlags& flags, const Program& program) {
  agent::ConfigSource source;
  agent::LoadedConfig loaded;
  if (!Load(flags, program, &source, &loaded)) return kExitUsage;
  if (!program.run_agent) {
    *program.err << "mainstay: this build has no agent\n";
    return kExitFailed;
  }
  return program.run_agent(loaded, source);
}

}  // namespace mainstay::ctl
