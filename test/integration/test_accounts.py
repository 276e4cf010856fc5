#!/usr/bin/python3
"""Users and databases of the configuration: made by the primary, kept by whoever is primary, changed by a reload."""
import json
import os
import time
import unittest

import psycopg2

from base import BOUND, main
from harness import Cluster

ODD = 'we"ird\'; DROP DATABASE app; --\\'


def write(path, text, cluster):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    cluster.own(path + ".new")
    os.chmod(path + ".new", 0o600)
    os.rename(path + ".new", path)


class Accounts(unittest.TestCase):
    def setUp(self):
        self.c = c = Cluster(n=3, profile="fast")
        self.addCleanup(c.close)
        self.secret = {name: os.path.join(c.secrets, name) for name in ("owner", "odd", "late", "app")}
        write(self.secret["app"], "app", c)  # the harness asks as this one
        write(self.secret["owner"], "first secret\n", c)
        write(self.secret["odd"], "gr\u00fcn", c)
        c.overrides.update({
            "postgresql/users": [
                {"name": "owner", "password_file": self.secret["owner"], "createdb": True, "member_of": ["pg_monitor", "team"]},
                {"name": "team", "login": False},
                {"name": "app", "password_file": self.secret["app"]},
                {"name": ODD, "password_file": self.secret["odd"], "connection_limit": 7},
                {"name": "late", "password_file": self.secret["late"]},
            ],
            "postgresql/databases": [
                {"name": "shop", "owner": "owner", "extensions": ["pg_trgm", "uuid-ossp"]},
                {"name": "app", "owner": "app"},
                {"name": ODD, "owner": ODD, "encoding": "SQL_ASCII", "locale": "C"},
                {"name": "postgres", "extensions": ["pg_trgm"]},
            ]})
        c.start()
        self.primary = c.wait("a primary", c.announced_primary, 90)

    def login(self, member, user, password, database="shop"):
        """None, or why not."""
        try:
            psycopg2.connect(host="127.0.0.1", port=member.pg_port, user=user, password=password, dbname=database,
                             connect_timeout=3, sslmode="disable", gssencmode="disable").close()
        except psycopg2.Error as e:
            return str(e)
        return None

    def wait_login(self, member, user, password, database="shop"):
        self.c.wait(f"{user} may log in at {member.name}", lambda: self.login(member, user, password, database) is None, BOUND)

    def roles(self, member, columns="rolname, rolcreatedb, rolcanlogin, rolconnlimit"):
        return member.superuser(f"SELECT {columns} FROM pg_roles WHERE rolname IN ('owner', 'team') ORDER BY 1")

    def verifier(self, name="owner"):
        return self.primary.superuser(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{name}'")

    def change(self, **wishes):
        """New files of configuration everywhere, read by a reload."""
        for path, value in wishes.items():
            self.c.overrides["postgresql/" + path] = value
        for m in self.c.members:
            m.write_config()
            m.ctl("reload", m.name)

    def log(self, member, which="agent_log"):
        with open(getattr(member, which), encoding="utf-8", errors="replace") as f:
            return f.read()

    def test_made_kept_and_changed(self):
        c, p = self.c, self.primary
        self.wait_login(p, "owner", "first secret")
        self.wait_login(p, ODD, "gr\u00fcn", ODD)
        c.wait_ready(120)
        for m in c.members:  # standbys have them by replication
            self.wait_login(m, "owner", "first secret")
            self.assertEqual(self.roles(m), "owner|t|t|-1\nteam|f|f|-1")
        self.assertIsNotNone(self.login(p, "owner", "wrong"))
        self.assertEqual(p.superuser("SELECT rolconnlimit FROM pg_roles WHERE rolname LIKE 'we%'"), "7")
        self.assertEqual(p.superuser("SELECT pg_has_role('owner', 'team', 'member'), pg_has_role('owner', 'pg_monitor', 'member')"), "t|t")
        self.assertEqual(p.superuser("SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate FROM pg_database "
                                     "WHERE datname LIKE 'we%' OR datname = 'shop' ORDER BY 1"),
                         f"shop|owner|UTF8|C.UTF-8\n{ODD}|{ODD}|SQL_ASCII|C")
        c.wait("extensions", lambda: p.superuser("SELECT string_agg(extname || ':' || n.nspname, ',' ORDER BY 1) FROM pg_extension e JOIN "
                                                 "pg_namespace n ON n.oid = extnamespace WHERE extname <> 'plpgsql'", "shop")
               == "pg_trgm:public,uuid-ossp:public", BOUND)
        c.wait("extension of postgres", lambda: p.superuser("SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = "
                                                           "extnamespace WHERE extname = 'pg_trgm'") == "public", BOUND)

        # A password that is not there yet: the role waits for it, everything else is done; the status says so.
        self.assertEqual(p.superuser("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'late'"), "t")
        c.wait("the status tells", lambda: "role late" in json.dumps((p.status() or {}).get("database")), BOUND)
        self.assertIn("not all users and databases", self.log(p))
        write(self.secret["late"], "at last", c)
        self.wait_login(p, "late", "at last")  # tried again by itself
        c.wait("the status is quiet again", lambda: "role late" not in json.dumps((p.status() or {}).get("database")), BOUND)

        # A reload without a change writes nothing: the server's verifier stays the very same.
        before, odd = self.verifier(), self.verifier("late")
        self.change()
        time.sleep(3)
        self.assertEqual((self.verifier(), self.verifier("late")), (before, odd))

        # What somebody changed by hand goes back; what is not in the configuration stays.
        p.superuser("ALTER ROLE owner NOCREATEDB; CREATE ROLE byhand LOGIN; GRANT byhand TO owner; ALTER DATABASE shop OWNER TO byhand")
        write(self.secret["owner"], "second secret\n", c)
        self.change()
        self.wait_login(p, "owner", "second secret")
        self.assertIsNotNone(self.login(p, "owner", "first secret"))
        c.wait("as wished", lambda: self.roles(p) == "owner|t|t|-1\nteam|f|f|-1", BOUND)
        c.wait("the owner", lambda: p.superuser("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'") == "owner", BOUND)
        self.assertEqual(p.superuser("SELECT pg_has_role('owner', 'byhand', 'member')"), "t")

        # Taken out of the configuration: left alone. New ones come.
        self.change(users=[u for u in c.overrides["postgresql/users"] if u["name"] != "team"] + [{"name": "new"}],
                    databases=[{"name": "fresh", "owner": "new"}])
        c.wait("the new one", lambda: p.superuser("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'fresh'") == "new", BOUND)
        self.assertEqual(p.superuser("SELECT count(*) FROM pg_database WHERE datname = 'shop'"), "1")
        self.assertIn("team", self.roles(p))

        # No password, in whatever form, is in a log.
        for m in c.members:
            for text in (self.log(m), self.log(m, "pg_log")):
                for secret in ("first secret", "second secret", "at last", "gr\u00fcn"):
                    self.assertNotIn(secret, text)

    def test_the_next_primary_keeps_them(self):
        c, p = self.c, self.primary
        self.wait_login(p, "owner", "first secret")
        c.wait_ready(120)
        # Its agent is gone before it sees the reload: the next primary's job.
        write(self.secret["owner"], "by the next", c)
        p.superuser("ALTER ROLE owner NOCREATEDB")
        p.kill_all()
        new = c.wait_primary(BOUND, other_than=p)
        self.wait_login(new, "owner", "by the next")
        c.wait("as wished", lambda: self.roles(new) == "owner|t|t|-1\nteam|f|f|-1", BOUND)
        p.start()
        c.wait_ready(120)
        self.wait_login(p, "owner", "by the next")
        self.assertIsNone(self.login(new, "owner", "by the next"))

    def test_what_cannot_be_is_told_and_costs_no_failover(self):
        c, p = self.c, self.primary
        self.wait_login(p, "owner", "first secret")
        c.wait_ready(120)
        epoch = p.status()["epoch"]
        self.change(databases=[{"name": "none", "owner": "nobody"}, {"name": "shop", "extensions": ["nonsense"]},
                               {"name": "good"}])
        c.wait("the good one", lambda: p.superuser("SELECT count(*) FROM pg_database WHERE datname = 'good'") == "1", BOUND)
        c.wait("told", lambda: "nonsense" in json.dumps((p.status() or {}).get("database")), BOUND)
        self.assertIn('role \\"nobody\\" does not exist', json.dumps(p.status()["database"]))
        time.sleep(3)
        self.assertIs(c.primary(), p)
        self.assertEqual(p.status()["epoch"], epoch)


if __name__ == "__main__":
    main()
