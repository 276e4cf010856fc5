#!/usr/bin/env bash
# Entry point of the tests' stand-in of the official PostgreSQL image: the same variables, files and order of events, written
# anew from their description. Variables, each also as NAME_FILE (a file with the value): POSTGRES_PASSWORD, POSTGRES_USER
# (postgres), POSTGRES_DB (the user's name), POSTGRES_INITDB_ARGS; plain: POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_WALDIR.
set -Eeo pipefail

fail() { printf 'Error: %s\n' "$*" >&2; exit 1; }

# value NAME [DEFAULT]: sets NAME from itself, from the file that NAME_FILE names, or to the default.
value() {
  local from="${1}_FILE"
  [[ -z ${!1} || -z ${!from} ]] || fail "$1 and $from are both set: set one"
  if [[ -n ${!from} ]]; then export "$1=$(<"${!from}")"; else export "$1=${!1:-${2:-}}"; fi
  unset "$from"
}

sql() {  # psql on the server that only we reach; more arguments are psql's
  local -a database=()
  [[ -z $POSTGRES_DB ]] || database=(--dbname "$POSTGRES_DB")
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username "$POSTGRES_USER" "${database[@]}" "$@"
}

folders() {
  mkdir -p "$PGDATA" /var/run/postgresql || :
  chmod 0700 "$PGDATA" || :
  chmod 03775 /var/run/postgresql || :
  local -a ours=("$PGDATA" /var/run/postgresql)
  if [[ -n $POSTGRES_INITDB_WALDIR ]]; then
    mkdir -p "$POSTGRES_INITDB_WALDIR"
    chmod 0700 "$POSTGRES_INITDB_WALDIR"
    ours+=("$POSTGRES_INITDB_WALDIR")
  fi
  ((EUID)) || find "${ours[@]}" ! -user postgres -exec chown postgres {} +
}

check() {
  [[ -n $POSTGRES_PASSWORD || $POSTGRES_HOST_AUTH_METHOD == trust ]] ||
    fail "the data directory is empty and POSTGRES_PASSWORD is not set (POSTGRES_HOST_AUTH_METHOD=trust lets everybody in instead)"
  [[ $POSTGRES_HOST_AUTH_METHOD != trust ]] || printf 'Warning: trust: whoever reaches the port is let in\n' >&2
}

# initdb wants its user in /etc/passwd; a container may run as any.
named() {
  if ! getent passwd "$EUID" >/dev/null; then
    local library
    library=$(find /usr/lib /lib -name libnss_wrapper.so -print -quit)
    [[ -n $library ]] || return 0
    NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
    export LD_PRELOAD=$library NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$EUID" "$(id -g)" "$PGDATA" >"$NSS_WRAPPER_PASSWD"
    printf 'postgres:x:%s:\n' "$(id -g)" >"$NSS_WRAPPER_GROUP"
  fi
}

create() {
  named
  local -a more=()
  [[ -z $POSTGRES_INITDB_WALDIR ]] || more=(--waldir "$POSTGRES_INITDB_WALDIR")
  # The arguments are shell words, quotes and all, as in the official image.
  eval "more+=($POSTGRES_INITDB_ARGS)"
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${more[@]}"
  [[ -z ${NSS_WRAPPER_PASSWD:-} ]] || { rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"; unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP; }
  local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "${@:2}")}
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

fill() {  # the database and /docker-entrypoint-initdb.d, on a server without a port
  export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
  PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -o "$(printf '%q ' "${@:2}" -c listen_addresses= -p "${PGPORT:-5432}")" -w start
  local there
  there=$(POSTGRES_DB='' sql --dbname postgres --set db="$POSTGRES_DB" --tuples-only <<<"SELECT 1 FROM pg_database WHERE datname = :'db';")
  [[ -n $there ]] || POSTGRES_DB='' sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    [[ -e $file ]] || continue
    printf '%s: %s\n' "$0" "$file"
    case "$file" in
      *.sh) if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
      *.sql) sql -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | sql ;;
      *.sql.xz) xzcat "$file" | sql ;;
      *.sql.zst) zstd -dc "$file" | sql ;;
      *) printf '%s: ignored\n' "$file" ;;
    esac
  done
  PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[[ ${1:-} != -* ]] || set -- postgres "$@"
only_tells=''
for word; do
  case "$word" in -\? | --help | --describe-config | -V | --version) only_tells=yes ;; esac
done
if [[ ${1:-} == postgres && -z $only_tells ]]; then
  value POSTGRES_PASSWORD
  value POSTGRES_USER postgres
  value POSTGRES_DB "$POSTGRES_USER"
  value POSTGRES_INITDB_ARGS
  folders
  ((EUID)) || exec gosu postgres "$0" "$@"
  if [[ -s $PGDATA/PG_VERSION ]]; then
    printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
  else
    check
    create "$@"
    fill "$@"
  fi
fi
exec "$@"
