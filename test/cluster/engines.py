"""The engines that the suite knows, by name."""
from engine_postgresql import Postgresql
from engine_redis import Redis

ENGINES = {e.name: e for e in (Postgresql(), Redis())}
