"""A Redis that looks to its clients like ElastiCache Serverless: TLS alone, a password, a user without admin rights, and
cluster mode with all slots at one address."""

import pathlib
import re
import secrets
import shutil
import socket
import ssl
import subprocess

from processes import Failed, free_port, until

TEMPLATE = pathlib.Path(__file__).resolve().parents[2] / "infra" / "template.yaml"


def certificates(folder):
    """Makes a certificate of 127.0.0.1, and that of the authority that signed it."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("req", "-x509", *key, "-keyout", "authority.key", "-out", "authority.pem", "-days", "2", "-subj", "/CN=test authority")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    signing = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    openssl("x509", "-req", "-in", "server.csr", *signing, "-out", "server.pem")


class OwnCache:
    """The server. `authority` is the file whose certificates its clients must trust."""

    def __init__(self, servers):
        folder = servers.folder / "cache"
        # An earlier server of the same folder has left its slots.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        certificates(folder)
        self.authority = folder / "authority.pem"
        self.port, self.password, self.admin = free_port(), secrets.token_hex(32), secrets.token_hex(32)
        # What the template lets the functions do.
        rights = re.search(r"^ +AccessString: (.*)$", TEMPLATE.read_text(), re.MULTILINE)[1]
        configuration = f"""
            bind 127.0.0.1
            port 0
            tls-port {self.port}
            tls-cert-file {folder}/server.pem
            tls-key-file {folder}/server.key
            tls-ca-cert-file {self.authority}
            tls-auth-clients no
            tls-cluster yes
            cluster-enabled yes
            cluster-port {free_port()}
            save ""
            appendonly no
            dir {folder}
            user default reset >{self.password} {rights}
            user admin on >{self.admin} ~* &* +@all
        """
        (folder / "redis.conf").write_text("\n".join(line.strip() for line in configuration.splitlines()))
        servers.start("redis", ["redis-server", str(folder / "redis.conf")]).says(r"(Ready to accept connections)")
        self.command("CLUSTER ADDSLOTSRANGE 0 16383")
        until("the cluster has all slots", lambda: "cluster_state:ok" in self.command("CLUSTER INFO"))

    @property
    def url(self):
        return f"rediss://:{self.password}@127.0.0.1:{self.port}"

    def command(self, command):
        """Runs a command as the administrator; returns what stands in the protocol."""
        trusted = ssl.create_default_context(cafile=self.authority)
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            trusted.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(f"AUTH admin {self.admin}\r\n{command}\r\nQUIT\r\n".encode())
            answers = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        answer = answers.removeprefix("+OK\r\n").removesuffix("+OK\r\n")
        if answer.startswith("-"):
            raise Failed(f"the cache refuses {command.split()[0]}: {answer}")
        return answer

    def flush(self):
        self.command("FLUSHALL")

    def is_used(self):
        """What the program must have left, and who was refused."""
        keys = self.command("KEYS *")
        slots = set(re.findall(r"orc:\{metrics:(\d+)\}:ai_", keys))
        denied = self.command("ACL LOG").count("reason")
        return bool(slots), denied == 0, sorted(slots)
