// Config -> options of the PostgreSQL engine. Thread rules: pure.
#ifndef MAINSTAY_AGENT_CONFIG_POSTGRES_H_
#define MAINSTAY_AGENT_CONFIG_POSTGRES_H_

#include "agent/config.h"
#include "lib/engine/postgres/options.h"

namespace mainstay::agent {

// What may change while the engine runs: after a reload give it to PostgresEngine::Configure.
inline engine::postgres::Settings ToPostgresSettings(const Config& config) {
  engine::postgres::Settings s;
  s.parameters = config.postgresql.parameters;
  s.hba = config.postgresql.hba;
  s.slot_wal_cap_bytes = config.postgresql.slot_wal_cap_bytes;
  s.clone_rate_bytes = config.postgresql.clone_rate_bytes;
  s.start_timeout = config.postgresql.start_timeout;
  s.stop_timeout = config.postgresql.stop_timeout;
  s.clone_timeout = config.postgresql.clone_timeout;
  return s;
}

inline engine::postgres::Options ToPostgresOptions(const Config& config) {
  const PostgresqlConfig& p = config.postgresql;
  engine::postgres::Options o;
  o.member = config.name;
  o.db_address = config.settings.self.db_address;
  o.shim_socket = config.shim_socket;
  o.data_dir = p.data_dir;
  o.bin_dir = p.bin_dir;
  o.socket_dir = p.socket_dir;
  o.port = p.port;
  o.listen_addresses = p.listen_addresses;
  o.password_file = p.password_file;
  o.superuser = p.superuser;
  o.agent_role = p.agent_role;
  o.replication_role = p.replication_role;
  o.initdb = p.initdb;
  o.settings = ToPostgresSettings(config);
  return o;
}

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_CONFIG_POSTGRES_H_
