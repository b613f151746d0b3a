# SPDX-License-Identifier: Apache-2.0
"""Certificates and their authorities, made by openssl."""
import pathlib
import subprocess

import program

CONFIG = """
[ca]
default_ca = ours
[ours]
database = {directory}/index.txt
new_certs_dir = {directory}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, f"openssl {arguments[0]}: {done.stderr}"
    return done.stdout


def new_key(path, algorithm="EC"):
    options = ["-pkeyopt", "ec_paramgen_curve:P-256"] if algorithm == "EC" else []
    openssl("genpkey", "-algorithm", algorithm, *options, "-out", path)
    path.chmod(0o644)  # Of no worth; the exporter is another user.


class Pair:
    """A certificate and its key."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    def curl(self):
        return ["--cert", str(self.cert), "--key", str(self.key)]


class Authority:
    """Signs certificates. Signed by `issuer`, or by itself."""

    def __init__(self, name, issuer=None):
        self.name = name
        self.directory = program.scratch_directory()
        (self.directory / "index.txt").touch()
        (self.directory / "ca.cnf").write_text(CONFIG.format(directory=self.directory))
        self.cert, self.key = self.directory / "ca.crt", self.directory / "ca.key"
        extensions = "basicConstraints=critical,CA:true"
        if issuer:
            pair = issuer.issue(name, extensions=extensions)
            self.cert, self.key = pair.cert, pair.key
        else:
            new_key(self.key)
            openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", 2, "-out", self.cert)

    def issue(self, name, sans="DNS:localhost,IP:127.0.0.1", usage="serverAuth", expired=False, algorithm="EC",
              extensions=None):
        directory = program.scratch_directory()
        pair = Pair(directory / "tls.crt", directory / "tls.key")
        new_key(pair.key, algorithm)
        openssl("req", "-new", "-key", pair.key, "-subj", f"/CN={name}", "-out", directory / "request")
        (directory / "extensions").write_text(extensions or f"subjectAltName={sans}\nextendedKeyUsage={usage}\n")
        dates = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"] if expired else ["-days", "2"]
        openssl("ca", "-batch", "-notext", "-config", self.directory / "ca.cnf", "-cert", self.cert, "-keyfile",
                self.key, "-in", directory / "request", "-extfile", directory / "extensions", *dates, "-out", pair.cert)
        return pair

    def client(self, name="prometheus", **options):
        return self.issue(name, **{"sans": "DNS:prometheus.example,IP:10.0.0.1,email:p@example,URI:spiffe://a/b",
                                   "usage": "clientAuth", **options})


def self_signed(name):
    directory = program.scratch_directory()
    pair = Pair(directory / "tls.crt", directory / "tls.key")
    new_key(pair.key)
    openssl("req", "-x509", "-new", "-key", pair.key, "-subj", f"/CN={name}", "-days", 2, "-out", pair.cert,
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    return pair


def chain(*certificates):
    """One file of all of them."""
    path = program.scratch_directory() / "chain.crt"
    path.write_text("".join(pathlib.Path(certificate).read_text() for certificate in certificates))
    return path
