"""Where a server is: HOST:PORT, [IPV6]:PORT or unix:PATH."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import urllib.parse
from typing import Mapping

from timbre.errors import InvalidArgument

_HOST_PORT = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[A-Za-z0-9._-]+))"
    r":(?P<port>[0-9]{1,5})",
    re.ASCII,
)
# gRPC's own forms, for whoever knows them.
_SCHEME = re.compile(r"(dns|ipv4|ipv6):(?://[^/\s]*/)?(\S+)", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Address:
    """Attributes:
      text: as it was given, and as gRPC takes it.
      host: without brackets; empty for Unix sockets.
      local: loopback or a Unix socket: no proxy leads there.
    """

    text: str
    host: str = ""
    local: bool = False


def parse(text: str) -> Address:
    """Raises InvalidArgument where `text` can never become a connection: URLs,
    blanks, quotes, an empty host, ports other than 1..65535 (gRPC takes 99999
    for 34463). Names are not looked up."""
    if isinstance(text, str):
        unix = re.fullmatch(r"unix(-abstract)?:(.+)", text)
        if unix and unix[2].isprintable():
            return Address(text, local=True)
        scheme = _SCHEME.fullmatch(text)
        hosts = scheme[2].split(",") if scheme else [text]
        found = [_HOST_PORT.fullmatch(host) for host in hosts]
        if all(each and _is_right(each) for each in found):
            names = [each["ipv6"] or each["name"] for each in found if each]
            return Address(text, names[0], all(map(is_loopback, names)))
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
    raise InvalidArgument(
        f'server: "{shown[:80]}" is not accepted; must be HOST:PORT,'
        " [IPV6]:PORT or unix:PATH",
        field="server",
        reason="INVALID_FIELD",
    )


def _is_right(found: re.Match[str]) -> bool:
    try:
        if found["ipv6"]:
            ipaddress.IPv6Address(found["ipv6"].partition("%")[0])
    except ValueError:
        return False
    return 1 <= int(found["port"]) <= 65535


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, whatever its name servers say."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def proxy_of(
    address: Address, environment: Mapping[str, str] = os.environ
) -> str:
    """The HTTP proxy that gRPC 1.51 uses, without the credentials that may
    stand in it, and the variable that names it: "http://proxy:3128
    (http_proxy)"; empty: none."""
    if address.local:
        return ""
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        if name not in environment:
            continue
        excepted = environment.get(
            "no_grpc_proxy", environment.get("no_proxy", "")
        )
        proxy = urllib.parse.urlsplit(environment[name])
        # gRPC takes no other scheme.
        if proxy.scheme != "http" or any(
            address.host.lower().endswith(entry.strip().lower())
            for entry in excepted.split(",")
            if entry.strip()
        ):
            return ""
        return f"http://{proxy.netloc.rpartition('@')[2]} ({name})"
    return ""
