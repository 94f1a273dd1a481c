"""Keys and certificates, made with the host's openssl.

The names in the API's certificate come from ``certs/csr.conf.template``: users add their own there (or with
``extraSANs`` of a launch configuration), the addresses of the host take the place of ``#MOREIPS``.
"""

from __future__ import annotations

import base64
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from microk8s.addresses import is_address
from microk8s.arguments import write_whole
from microk8s.paths import API_PORT, Paths

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
MORE_ADDRESSES = "#MOREIPS"
FIRST_HOST_NUMBER = 1000  # entries of the host's addresses count from here, so that they meet no other entry
ENTRY = re.compile(r"^\s*(DNS|IP)\.(\d+)\s*=\s*(\S+)\s*$", re.MULTILINE)

AUTHORITY_CONFIG = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = {name}
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
CLIENT_EXTENSIONS = """\
[v3_ext]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth
"""


@dataclass(frozen=True)
class Client:
    """A client of the API with a certificate of its own."""

    config: str  # its kubeconfig file
    file: str  # stem of its key and certificate
    user: str
    subject: str


def clients(node: str) -> tuple[Client, ...]:
    """Return the clients that get a kubeconfig file; the kubelet's name has the node's in it."""
    return (
        Client("client", "client", "admin", "/O=system:masters/CN=admin"),
        Client(
            "controller", "controller", "system:kube-controller-manager", "/CN=system:kube-controller-manager"
        ),
        Client("scheduler", "scheduler", "system:kube-scheduler", "/CN=system:kube-scheduler"),
        Client("proxy", "proxy", "system:kube-proxy", "/CN=system:kube-proxy"),
        Client("kubelet", "kubelet-client", f"system:node:{node}", f"/O=system:nodes/CN=system:node:{node}"),
    )


def names_in(template: str) -> list[str]:
    """Return the names and addresses a template or a rendered configuration lists, in its order."""
    return [match[3] for match in ENTRY.finditer(template)]


def render_request(template: str, addresses: Sequence[str]) -> str:
    """Return the openssl configuration: the template with those addresses that it does not list already."""
    listed = set(names_in(template))
    wanted = dict.fromkeys(address for address in addresses if address not in listed)
    lines = [f"IP.{FIRST_HOST_NUMBER + number} = {address}" for number, address in enumerate(wanted)]
    return template.replace(MORE_ADDRESSES, "\n".join(lines))


def with_names(template: str, names: Sequence[str]) -> str:
    """Return the template with more DNS names or addresses in it; those it lists already stay as they are."""
    for name in names:
        if name in names_in(template):
            continue
        kind = "IP" if is_address(name) else "DNS"
        number = 1 + max((int(match[2]) for match in ENTRY.finditer(template) if match[1] == kind), default=0)
        template = template.replace(MORE_ADDRESSES, f"{kind}.{number} = {name}\n{MORE_ADDRESSES}")
    return template


def create_all(paths: Paths, node: str, addresses: Sequence[str]) -> None:
    """Make what a new node needs and does not have: authorities, certificates, kubeconfig files."""
    folder = paths.certificates
    create_authority(folder, "ca", "10.152.183.1")
    create_authority(folder, "front-proxy-ca", "front-proxy-ca")
    _create_key(folder / "serviceaccount.key")
    reissue_server(paths, addresses)
    issue_client(folder, "front-proxy-client", "/CN=front-proxy-client", authority="front-proxy-ca")
    issue_client(folder, "apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
    issue_client(folder, "apiserver-etcd-client", "/CN=kube-apiserver-etcd-client")
    for client in clients(node):
        issue_client(folder, client.file, client.subject)
        write_whole(paths.credentials / f"{client.config}.config", kubeconfig(folder, client))


def reissue_server(paths: Paths, addresses: Sequence[str]) -> bool:
    """Make the API's certificate when it lacks a name it should have; return whether it was made."""
    folder = paths.certificates
    wanted = render_request((folder / "csr.conf.template").read_text(encoding="utf-8"), addresses)
    current = folder / "csr.conf"
    if (
        current.exists()
        and current.read_text(encoding="utf-8") == wanted
        and (folder / "server.crt").exists()
    ):
        return False
    _create_key(folder / "server.key")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(wanted)
        config.flush()
        server_request = _openssl(
            "req", "-new", "-sha256", "-key", str(folder / "server.key"), "-config", config.name
        )
        certificate = _signed(folder, server_request, Path(config.name), authority="ca")
        write_whole(folder / "server.crt", certificate)
    write_whole(current, wanted)  # last, so that an interrupted attempt is made again
    return True


def create_authority(folder: Path, stem: str, name: str) -> None:
    """Make a self-signed authority of ten years, with the key usage Python 3.13 and later insist on."""
    if (folder / f"{stem}.crt").exists():
        return
    _create_key(folder / f"{stem}.key")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(AUTHORITY_CONFIG.format(name=name))
        config.flush()
        certificate = _openssl(
            *("req", "-x509", "-new", "-sha256", "-days", str(AUTHORITY_DAYS)),
            *("-key", str(folder / f"{stem}.key"), "-config", config.name),
        )
    write_whole(folder / f"{stem}.crt", certificate)


def issue_client(folder: Path, stem: str, subject: str, *, authority: str = "ca") -> None:
    """Make a client's key and certificate, unless they are there."""
    if not (folder / f"{stem}.crt").exists():
        certificate = sign_client(folder, request(folder, stem, subject), subject, authority=authority)
        write_whole(folder / f"{stem}.crt", certificate)


def request(folder: Path, stem: str, subject: str) -> str:
    """Return a client's certificate request, with its key, which is made unless it is there."""
    _create_key(folder / f"{stem}.key")
    return _openssl("req", "-new", "-sha256", "-key", str(folder / f"{stem}.key"), "-subj", subject)


def sign_client(folder: Path, client_request: str, subject: str, *, authority: str = "ca") -> str:
    """Return a client's certificate; its subject is the given one, whatever the request says."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(CLIENT_EXTENSIONS)
        config.flush()
        return _signed(folder, client_request, Path(config.name), "-subj", subject, authority=authority)


def _create_key(path: Path) -> None:
    if not path.exists():
        write_whole(path, _openssl("genrsa", "2048"))


def _signed(folder: Path, wanted: str, config: Path, *options: str, authority: str) -> str:
    return _openssl(
        *("x509", "-req", "-sha256", "-days", str(CERTIFICATE_DAYS)),
        *("-CA", str(folder / f"{authority}.crt"), "-CAkey", str(folder / f"{authority}.key")),
        *("-CAserial", str(folder / f"{authority}.srl"), "-CAcreateserial"),
        *("-extensions", "v3_ext", "-extfile", str(config)),
        *options,
        stdin=wanted,
    )


def _openssl(*words: str, stdin: str = "") -> str:
    done = subprocess.run(["openssl", *words], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {words[0]} failed with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def kubeconfig(folder: Path, client: Client, *, authority: str = "ca") -> str:
    """Return a kubeconfig file for a client of the API at this host's port, with its certificate inside.

    ``authority`` is the stem of the certificate that the API's is checked by.
    """

    def encoded(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    return f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {encoded(f"{authority}.crt")}
    server: https://127.0.0.1:{API_PORT}
  name: microk8s-cluster
contexts:
- context:
    cluster: microk8s-cluster
    user: {client.user}
  name: microk8s
current-context: microk8s
kind: Config
preferences: {{}}
users:
- name: {client.user}
  user:
    client-certificate-data: {encoded(f"{client.file}.crt")}
    client-key-data: {encoded(f"{client.file}.key")}
"""
