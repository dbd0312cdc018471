"""BigFile, simple-node in both orders, and kuard."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from imgscope.sources.demo.build import (
    PATH,
    ROOT,
    Descriptor,
    File,
    Put,
    Stack,
    directory,
    fit,
    text,
    tree,
)
from imgscope.sources.demo.family import MIT_LICENSE, OS_RELEASE, user_files

# BigFile ----------------------------------------------------------------------------------------------


def bigfile(put: Put) -> Descriptor:
    """Layer 1 stores BigFile, 2 removes it, 3 adds a static binary: who pulls it still gets BigFile."""
    busybox = tree("bin: busybox=1 cat->busybox ls->busybox rm->busybox sh->busybox")
    stack = Stack(put)
    stack.layer(
        "2026-01-12T10:00:00Z",
        "ADD BigFile busybox.tar / # buildkit",
        [*fit(8_000, busybox), File("BigFile", size=3_000_000)],
    )
    stack.layer("2026-01-12T10:00:02Z", "RUN /bin/sh -c rm /BigFile # buildkit", removed=["BigFile"])
    when = "2026-01-12T10:00:05Z"
    stack.layer(
        when,
        "COPY server /usr/local/bin/server # buildkit",
        [File("usr/local/bin/server", mode=0o755, size=400_000)],
    )
    stack.note(when, 'ENTRYPOINT ["/usr/local/bin/server"]')
    return stack.image({**ROOT, "Entrypoint": ["/usr/local/bin/server"]})


# simple-node ------------------------------------------------------------------------------------------

_ALPINE_TREE = """\
.: dev/ home/ media/ mnt/ opt/ proc/ root/!700 run/ srv/ sys/ tmp/!1777
bin: busybox=808 ash->/bin/busybox cat->/bin/busybox chmod->/bin/busybox cp->/bin/busybox
bin: grep->/bin/busybox ln->/bin/busybox ls->/bin/busybox mkdir->/bin/busybox mv->/bin/busybox
bin: rm->/bin/busybox sh->/bin/busybox
lib: ld-musl-x86_64.so.1!755=650 libc.musl-x86_64.so.1->ld-musl-x86_64.so.1
lib/apk/db: installed=14 scripts.tar=13 triggers=1 lock!600
sbin: apk=71 ldconfig=1 init->/bin/busybox
etc: alpine-release=1 os-release->../usr/lib/os-release profile=1 shells=1
etc/apk: repositories=1 world=1
etc/ssl/certs: ca-certificates.crt=216
usr/lib: libapk.so.2.14.0=256 libcrypto.so.3=4530 libssl.so.3=770 libz.so.1->libz.so.1.3.1
usr/lib: libz.so.1.3.1=98
usr/bin: env->/bin/busybox find->/bin/busybox getent=48 scanelf=80 ssl_client=14 xargs->/bin/busybox
var/cache: apk/ misc/"""
_NODE_TREE = """\
usr/lib: libgcc_s.so.1=170 libstdc++.so.6->libstdc++.so.6.0.33 libstdc++.so.6.0.33=2700
usr/local/bin: node=98000 nodejs->node npm->../lib/node_modules/npm/bin/npm-cli.js
usr/local/bin: npx->../lib/node_modules/npm/bin/npx-cli.js
usr/local/bin: corepack->../lib/node_modules/corepack/dist/corepack.js
usr/local/include/node: node.h=67 node_api.h=11 v8.h=3 v8-object.h=33 uv.h=72
usr/local/lib/node_modules/corepack/dist: corepack.js!755=1 npm.js=1
usr/local/lib/node_modules/npm: LICENSE=10 README.md=4 package.json=7
usr/local/lib/node_modules/npm/bin: npm-cli.js=1 npx-cli.js=3
usr/local/lib/node_modules/npm/lib: cli.js=1 npm.js=12
usr/local/lib/node_modules/npm/lib/commands: audit.js=4 ci.js=4 install.js=5 publish.js=8 run-script.js=6
usr/local/share/doc/node: gdbinit=10 lldb_commands.py=4
usr/local/share/man/man1: node.1=24
home: node/"""

_NPM = """\
accepts:1.3.8:5252 array-flatten:1.1.1:1195 body-parser:1.20.3:2681 bytes:3.1.2:3613
content-disposition:0.5.4:10594 content-type:1.0.5:4809 cookie:0.7.1:8103 cookie-signature:1.0.6:1230
debug:2.6.9:263 depd:2.0.0:10932 destroy:1.2.0:4258 encodeurl:2.0.0:1586 escape-html:1.0.3:1362
etag:1.8.1:2479 express:4.21.2:224 finalhandler:1.3.1:6804 forwarded:0.2.0:1578 fresh:0.5.2:2711
http-errors:2.0.0:6391 iconv-lite:0.4.24:5123 inherits:2.0.4:250 ipaddr.js:1.9.1:9719
media-typer:0.3.0:6375 merge-descriptors:1.0.3:1218 methods:1.1.2:1040 mime:1.6.0:2726 mime-db:1.52.0:189
mime-types:2.1.35:3663 ms:2.0.0:2764 negotiator:0.6.3:2451 on-finished:2.4.1:4430 parseurl:1.3.3:2809
path-to-regexp:0.1.12:4432 proxy-addr:2.0.7:6000 qs:6.13.0:211 range-parser:1.2.1:2900
raw-body:2.5.2:7171 safe-buffer:5.2.1:1670 send:0.19.0:23340 serve-static:1.16.2:4527
setprototypeof:1.2.0:407 statuses:2.0.1:2610 toidentifier:1.0.1:504 type-is:1.6.18:5562 unpipe:1.0.0:1118
utils-merge:1.0.1:381 vary:1.1.2:2930"""
_EXPRESS = {
    "application.js": 14593,
    "express.js": 2409,
    "request.js": 12505,
    "response.js": 28729,
    "view.js": 3325,
}
_SERVER_JS = """\
const express = require("express");

const app = express();

app.get("/", (request, response) => response.send("Hello World!\\n"));
app.listen(3000, () => console.log("Listening on port 3000"));
"""


def _npm_install() -> list[File]:
    """package.json and node_modules of an express app, and the cache npm keeps. Sizes are the real ones."""
    home = "app/node_modules"
    files: list[File] = []
    names = [package.split(":")[0] for package in _NPM.split()]
    for package in _NPM.split():
        name, version, length = package.split(":")
        described = {"name": name, "version": version, "license": "MIT", "main": "index.js"}
        files.append(text(f"{home}/{name}/package.json", json.dumps(described, indent=2) + "\n"))
        files.append(File(f"{home}/{name}/index.js", size=int(length)))
        if int(length) > 2500:  # the same licence under many paths
            files.append(text(f"{home}/{name}/LICENSE", MIT_LICENSE))
        if name in ("express", "send", "debug", "iconv-lite", "mime-db"):  # what npm fetched, by its hash
            tarball = hashlib.sha512(package.encode()).hexdigest()
            files.append(
                File(
                    f"root/.npm/_cacache/content-v2/sha512/{tarball[:2]}/{tarball[2:4]}/{tarball[4:]}",
                    size=9000,
                )
            )
    for name, size in _EXPRESS.items():
        files.append(File(f"{home}/express/lib/{name}", size=size))
    files.append(File(f"{home}/mime-db/db.json", size=185_882 // 4))
    # a nested copy, as npm makes them where versions differ
    files.append(File(f"{home}/send/node_modules/ms/index.js", size=3024, seed="ms 2.1.3"))
    files.append(File(f"{home}/.package-lock.json", size=9_600))
    lock = {
        "name": "simple-node",
        "lockfileVersion": 3,
        "packages": {f"node_modules/{name}": {} for name in names},
    }
    own = {
        "name": "simple-node",
        "version": "1.0.0",
        "main": "server.js",
        "scripts": {"start": "node server.js"},
        "dependencies": {"express": "^4.21.2"},
    }
    files.append(text("app/package.json", json.dumps(own, indent=2) + "\n"))
    files.append(text("app/package-lock.json", json.dumps(lock, indent=2) + "\n"))
    return files


def node(put: Put) -> Stack:
    """The base both cases share; no image of its own has a name."""
    os_release = text("usr/lib/os-release", 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.21.0\n')
    users = user_files("root:0:/root:/bin/sh daemon:2:/sbin nobody:65534:/")
    stack = Stack(put)
    when = "2025-11-20T12:00:00Z"
    stack.layer(
        when,
        "ADD alpine-minirootfs-3.21.0-x86_64.tar.gz / # buildkit",
        fit(80_000, tree(_ALPINE_TREE), [os_release, *users]),
    )
    stack.note(when, 'CMD ["/bin/sh"]', "ENV NODE_VERSION=22.12.0")
    users = user_files("root:0:/root:/bin/sh daemon:2:/sbin node:1000:/home/node:/bin/sh nobody:65534:/")
    files = [
        replace(file, uid=1000, gid=1000, mode=0o2755) if file.path == "home/node" else file
        for file in tree(_NODE_TREE)
    ]
    when = "2025-11-20T12:10:00Z"
    stack.layer(
        when,
        "RUN /bin/sh -c addgroup -g 1000 node && adduser -u 1000 -G node -s /bin/sh -D node && "
        "apk add --no-cache libstdc++ && wget -qO- "
        "https://unofficial-builds.nodejs.org/download/release/v$NODE_VERSION/"
        "node-v$NODE_VERSION-linux-x64-musl.tar.xz | tar -xJ --strip 1 -C /usr/local # buildkit",
        fit(1_100_000, files, users),
    )
    stack.note(when, 'CMD ["node"]')
    stack.layer("2026-01-19T09:30:00Z", "WORKDIR /app", [directory("app")])
    return stack


def simple_node(node: Stack, case: int) -> Descriptor:
    """Case I: a change of server.js makes the packages anew. Case II: it does not."""
    stack = node.fork()
    minute = "2026-01-19T09:3" if case == 1 else "2026-01-19T09:4"
    copy = ("COPY server.js . # buildkit", [text("app/server.js", _SERVER_JS)])
    install = ("RUN /bin/sh -c npm init -y && npm install express # buildkit", _npm_install())
    for step, (instruction, files) in enumerate([copy, install] if case == 1 else [install, copy], start=1):
        stack.layer(f"{minute}{step}:00Z", instruction, files)
    stack.note(f"{minute}3:00Z", "EXPOSE map[3000/tcp:{}]", 'CMD ["npm" "start"]')
    return stack.image(
        {
            "Env": [f"PATH={PATH}", "NODE_VERSION=22.12.0"],
            "WorkingDir": "/app",
            "ExposedPorts": {"3000/tcp": {}},
            "Cmd": ["npm", "start"],
        }
    )


# kuard ------------------------------------------------------------------------------------------------

_DISTROLESS_TREE = """\
.: bin/ boot/ dev/ home/ lib/ proc/ root/!700 run/ sbin/ sys/ tmp/!1777
etc: debian_version=1 host.conf=1 nsswitch.conf=1 os-release->../usr/lib/os-release
etc/ssl/certs: ca-certificates.crt=220
usr/share/zoneinfo: UTC=1 tzdata.zi=107
usr/share/zoneinfo/Europe: Amsterdam=3 London=4
usr/share/zoneinfo/America: New_York=4 Los_Angeles=3
usr/share/doc/base-files: copyright=2
usr/share/doc/tzdata: copyright=2
var/lib/dpkg/status.d: base=1 netbase=1 tzdata=1
var: run->/run tmp/!1777"""


def kuard(put: Put) -> Descriptor:
    kept = [
        text("usr/lib/os-release", 'PRETTY_NAME="Distroless"\n' + OS_RELEASE.partition("\n")[2]),
        *user_files("root:0:/root nobody:65534:/nonexistent nonroot:65532:/home/nonroot"),
    ]
    stack = Stack(put)
    stack.layer("2025-10-13T07:00:00Z", "COPY rootfs / # buildkit", fit(20_000, tree(_DISTROLESS_TREE), kept))
    when = "2026-02-02T11:25:00Z"
    stack.layer(when, "COPY kuard /kuard # buildkit", [File("kuard", mode=0o755, size=230_000)])
    stack.note(when, "EXPOSE map[8080/tcp:{}]", "USER nobody:nobody", 'CMD ["/kuard"]')
    return stack.image(
        {
            **ROOT,
            "User": "nobody:nobody",
            "ExposedPorts": {"8080/tcp": {}},
            "Cmd": ["/kuard"],
            "Labels": {
                "org.opencontainers.image.title": "kuard",
                "org.opencontainers.image.source": "https://github.com/kubernetes-up-and-running/kuard",
                "org.opencontainers.image.version": "blue",
            },
        }
    )
