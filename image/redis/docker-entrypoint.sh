#!/bin/sh
# Entry point of the tests' stand-in of the official Redis image, written anew from its description: options alone or a .conf file are
# redis-server's; as root the data directory is given to redis and the server runs as that user; files are its own alone.
set -e

case "$1" in
  -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find . ! -user redis -exec chown redis '{}' +
  exec gosu redis "$0" "$@"
fi
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
