"""The tree of the notes, A–E: Debian, Ruby and Go on it, two Rails on Ruby, at 1/100 of their size."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from imgscope.sources.demo.build import (
    CLASSIC,
    PATH,
    Descriptor,
    File,
    Put,
    Stack,
    directory,
    fit,
    text,
    tree,
)

# A: Debian ------------------------------------------------------------------------------------------

_DEBIAN_TREE = """\
.: bin->usr/bin lib->usr/lib lib64->usr/lib64 sbin->usr/sbin boot/ dev/ home/ media/ mnt/ opt/ proc/ srv/
.: sys/ root/!700 run/ tmp/!1777
run: lock/!1777
usr: games/ include/ local/ src/
usr/local: bin/ etc/ lib/ sbin/ share/ src/
usr/lib64: ld-linux-x86-64.so.2->../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
usr/bin: [=68 apt=19 apt-cache=89 apt-get=52 apt-key=28 awk->mawk bash=1266 cat=44 chage!2755=80 chgrp=69
usr/bin: chmod=64 chown=73 cp=151 cut=52 dash=126 date=122 dd=89 df=102 diff=155 dpkg=318 dpkg-deb=171
usr/bin: dpkg-divert=158 dpkg-query=162 dpkg-split=130 du=175 env=48 find=225 findmnt=86 gpgv=474
usr/bin: grep=203 gunzip=3 gzip=98 head=52 install=160 ln=73 localedef=299 ls=151 lsblk=207 lscpu=129
usr/bin: lsfd=123 mawk=158 mkdir=98 mount!4755=60 mv=143 newgrp!4755=49 nl=114 passwd!4755=68 perl=3804
usr/bin: perl5.36.0=>perl rbash->bash rm=73 sed=126 sh->dash sort=118 stat=97 stty=85 su!4755=72
usr/bin: tail=77 tar=532 tee=48 tic=93 touch=110 tr=56 umount!4755=35 uncompress=>gunzip uname=40
usr/bin: vdir=151 xargs=72
usr/sbin: adduser=54 blkid=125 debugfs=239 e2fsck=357 fsck.ext2->e2fsck fsck.ext4->e2fsck groupadd=101
usr/sbin: ldconfig=983 losetup=117 mke2fs=142 mkfs.ext4->mke2fs nologin=15 pivot_root=15 tune2fs=117
usr/sbin: useradd=160 usermod=147
usr/lib/apt/methods: cdrom!755=72 file!755=64 gpgv!755=113 http!755=199 https->http mirror!755=121
usr/lib/apt/methods: rred!755=88
usr/lib/x86_64-linux-gnu: ld-linux-x86-64.so.2!755=215 libapt-pkg.so.6.0->libapt-pkg.so.6.0.0
usr/lib/x86_64-linux-gnu: libapt-pkg.so.6.0.0=2068 libapt-private.so.0.0.0=498
usr/lib/x86_64-linux-gnu: libblkid.so.1->libblkid.so.1.1.0 libblkid.so.1.1.0=355
usr/lib/x86_64-linux-gnu: libbz2.so.1.0->libbz2.so.1.0.4 libbz2.so.1.0.4=75 libc.so.6!755=1926
usr/lib/x86_64-linux-gnu: libcrypt.so.1->libcrypt.so.1.1.0 libcrypt.so.1.1.0=207 libdb-5.3.so=1844
usr/lib/x86_64-linux-gnu: libext2fs.so.2->libext2fs.so.2.4 libext2fs.so.2.4=439 libgcc_s.so.1=125
usr/lib/x86_64-linux-gnu: libgcrypt.so.20->libgcrypt.so.20.4.1 libgcrypt.so.20.4.1=1332
usr/lib/x86_64-linux-gnu: libgmp.so.10.4.1=529 libgnutls.so.30->libgnutls.so.30.34.3
usr/lib/x86_64-linux-gnu: libgnutls.so.30.34.3=2210 libhogweed.so.6.6=293 liblz4.so.1->liblz4.so.1.9.4
usr/lib/x86_64-linux-gnu: liblz4.so.1.9.4=150 liblzma.so.5->liblzma.so.5.4.1 liblzma.so.5.4.1=190
usr/lib/x86_64-linux-gnu: libm.so.6=912 libmount.so.1.1.0=404 libmvec.so.1=1019 libnettle.so.8.6=318
usr/lib/x86_64-linux-gnu: libp11-kit.so.0.3.0=1261 libpcre2-8.so.0->libpcre2-8.so.0.11.2
usr/lib/x86_64-linux-gnu: libpcre2-8.so.0.11.2=629 libselinux.so.1=174 libsepol.so.2=764
usr/lib/x86_64-linux-gnu: libstdc++.so.6->libstdc++.so.6.0.30 libstdc++.so.6.0.30=2190
usr/lib/x86_64-linux-gnu: libsystemd.so.0->libsystemd.so.0.35.0 libsystemd.so.0.35.0=845
usr/lib/x86_64-linux-gnu: libtinfo.so.6->libtinfo.so.6.4 libtinfo.so.6.4=204 libudev.so.1.7.5=183
usr/lib/x86_64-linux-gnu: libunistring.so.2.2.0=1792 libz.so.1->libz.so.1.2.13 libz.so.1.2.13=121
usr/lib/x86_64-linux-gnu: libzstd.so.1->libzstd.so.1.5.4 libzstd.so.1.5.4=764
usr/lib/x86_64-linux-gnu/gconv: BIG5HKSCS.so=240 GB18030.so=183 IBM1390.so=236 IBM1399.so=236
usr/lib/x86_64-linux-gnu/gconv: libCNS.so=473
usr/lib/x86_64-linux-gnu/security: pam_limits.so=31 pam_namespace.so=43 pam_unix.so=55
usr/lib/x86_64-linux-gnu/perl-base: Carp.pm=25 Config_heavy.pl=56 POSIX.pm=20 Socket.pm=14 warnings.pm=30
usr/share/keyrings: debian-archive-bookworm-automatic.gpg=9 debian-archive-keyring.gpg=56
usr/share/common-licenses: Apache-2.0=11 GPL->GPL-3 GPL-2=18 GPL-3=35 LGPL-2.1=27 MPL-2.0=17
usr/share/perl5/Debconf: ConfModule.pm=16 Config.pm=7 Question.pm=6 Template.pm=8
usr/share/zoneinfo: Etc/ UTC->Etc/UTC
usr/share/zoneinfo/Etc: UTC=1
usr/share/zoneinfo/Europe: Amsterdam=3 Berlin=2 London=4
usr/share/locale/de/LC_MESSAGES: apt.mo=48 bash.mo=186 coreutils.mo=410 dpkg.mo=154 tar.mo=75
usr/share/locale/fr/LC_MESSAGES: apt.mo=50 bash.mo=192 coreutils.mo=415 dpkg.mo=162 tar.mo=76
usr/share/locale/ja/LC_MESSAGES: bash.mo=206 coreutils.mo=395 dpkg.mo=125
etc: bash.bashrc=2 ld.so.cache=5 login.defs=13 mke2fs.conf=1 profile=1 os-release->../usr/lib/os-release
etc: localtime->/usr/share/zoneinfo/Etc/UTC opt/ rmt->/usr/sbin/rmt
etc/alternatives: awk->/usr/bin/mawk pager->/bin/more
etc/apt/apt.conf.d: 01autoremove=1 70debconf=1
etc/apt/trusted.gpg.d: debian-archive-bookworm-automatic.asc=12 debian-archive-bookworm-stable.asc=12
etc/pam.d: common-auth=1 common-password=2 login=4 su=2
etc/skel: .bash_logout=1 .bashrc=4 .profile=1
root: .bashrc=1 .profile=1
var: backups/ local/!2775 lock->/run/lock mail/!2775 opt/ run->/run spool/ tmp/!1777
var/cache/apt/archives: partial/!700
var/cache/debconf: config.dat=4 templates.dat=753 templates.dat-old=714
var/lib/apt/lists: partial/!700
var/lib/dpkg: triggers/ updates/
var/log: bootstrap.log=56 btmp!660=1 lastlog!664=1 apt/"""

_DEBIAN_PACKAGES = """\
adduser apt base-files base-passwd bash coreutils dash debconf debian-archive-keyring diffutils dpkg
e2fsprogs findutils gpgv grep gzip hostname libc-bin libc6 libgcrypt20 libgnutls30 libpam-modules
libstdc++6 libsystemd0 login mawk mount ncurses-base passwd perl-base sed sysvinit-utils tar tzdata
util-linux zlib1g"""

OS_RELEASE = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
SUPPORT_URL="https://www.debian.org/support"
BUG_REPORT_URL="https://bugs.debian.org/"
"""
_USERS = (
    "root:0:/root:/bin/bash daemon:1:/usr/sbin bin:2:/bin sys:3:/dev man:6:/var/cache/man mail:8:/var/mail \
www-data:33:/var/www _apt:42:/nonexistent nobody:65534:/nonexistent"
)
_LISTS = "var/lib/apt/lists"


def user_files(users: str) -> list[File]:
    """etc/passwd, etc/group and etc/shadow for words of NAME:ID:HOME[:SHELL]."""
    rows = [(*user.split(":"), "/usr/sbin/nologin")[:4] for user in users.split()]
    passwd = "".join(f"{name}:x:{uid}:{uid}:{name}:{home}:{shell}\n" for name, uid, home, shell in rows)
    return [
        text("etc/passwd", passwd),
        text("etc/group", "".join(f"{row[0]}:x:{row[1]}:\n" for row in rows) + "shadow:x:42:\n"),
        text("etc/shadow", "".join(f"{row[0]}:*:20394:0:99999:7:::\n" for row in rows), 0o640, gid=42),
    ]


def _version(package: str) -> str:
    """Made up, but of a package always the same."""
    digest = hashlib.sha256(package.encode()).digest()
    return f"{digest[0] % 9 + 1}.{digest[1] % 26 + 10}.{digest[2] % 26 + 10}-{digest[3] % 9 + 1}"


def _status(packages: str) -> str:
    return "".join(
        f"Package: {package}\nStatus: install ok installed\nArchitecture: amd64\n"
        f"Version: {_version(package)}\n\n"
        for package in packages.split()
    )


def _packages(installed: str, new: str) -> list[File]:
    """What dpkg leaves behind when it installs the packages `new` beside `installed`."""
    log = "".join(f"status installed {package}:amd64\n" for package in f"{installed} {new}".split())
    files = [
        text("var/lib/dpkg/status-old", _status(installed)),
        text("var/lib/dpkg/status", _status(f"{installed} {new}")),
        text("var/log/dpkg.log", log),
    ]
    for package in new.split():
        listing = f"/.\n/usr\n/usr/share\n/usr/share/doc/{package}\n/usr/share/doc/{package}/copyright\n"
        files.append(text(f"var/lib/dpkg/info/{package}.list", listing))
        files.append(File(f"usr/share/doc/{package}/copyright", size=4000))
    return files


def _apt_update() -> list[File]:
    """The package lists that `apt-get update` fetches: a third of a small image. Sizes are of the demo."""
    site = f"{_LISTS}/deb.debian.org_debian_dists_bookworm"
    return [
        File(f"{site}_InRelease", size=1_500),
        File(f"{site}_main_binary-amd64_Packages", size=528_500),
        File(f"{_LISTS}/lock", mode=0o640, data=b""),
    ]


def _apt_install(installed: str, new: str) -> list[File]:
    """What any `apt-get install` changes beside the packages' own files. Sizes are of the real thing."""
    return [
        *_packages(installed, new),
        *tree("etc: ld.so.cache=9\nvar/cache/apt: pkgcache.bin=9500 srcpkgcache.bin=9400"),
        *tree("var/log/apt: history.log=4 term.log!640=30\nvar/cache/debconf: templates.dat=790"),
    ]


def debian(put: Put) -> Stack:
    when = "2025-11-03T09:00:00Z"
    kept = [
        text("usr/lib/os-release", OS_RELEASE),
        text("etc/debian_version", "12.12\n"),
        text("etc/hostname", "debian\n"),
        text("etc/issue", "Debian GNU/Linux 12 \\n \\l\n\n"),
        text("etc/apt/sources.list", "deb http://deb.debian.org/debian bookworm main\n"),
        text("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"),
        *user_files(_USERS),
        *_apt_update(),
    ]
    files = fit(1_670_000, [*tree(_DEBIAN_TREE), *_packages("", _DEBIAN_PACKAGES)], kept)
    stack = Stack(put)
    rootfs = hashlib.sha256(b"rootfs.tar.xz").hexdigest()
    stack.layer(when, f"{CLASSIC}#(nop) ADD file:{rootfs} in / ", files)
    stack.note(when, f'{CLASSIC}#(nop)  CMD ["bash"]')
    return stack


# B and C: Ruby and Go --------------------------------------------------------------------------------

_RUBY_TREE = """\
usr/bin: erb->erb3.1 erb3.1=6 gem->gem3.1 gem3.1=1 irb->irb3.1 irb3.1=1 rake=2 rdoc->rdoc3.1 rdoc3.1=1
usr/bin: ruby->ruby3.1 ruby3.1=14 openssl=998
usr/lib/x86_64-linux-gnu: libcrypto.so.3=4709 libssl.so.3=696 libruby-3.1.so.3.1->libruby-3.1.so.3.1.2
usr/lib/x86_64-linux-gnu: libruby-3.1.so.3.1.2=4072 libyaml-0.so.2->libyaml-0.so.2.0.9
usr/lib/x86_64-linux-gnu: libyaml-0.so.2.0.9=133 libreadline.so.8->libreadline.so.8.2
usr/lib/x86_64-linux-gnu: libreadline.so.8.2=352 libgdbm.so.6.0.0=72
usr/lib/x86_64-linux-gnu/ruby/3.1.0: bigdecimal.so=119 date_core.so=319 digest.so=19 etc.so=31
usr/lib/x86_64-linux-gnu/ruby/3.1.0: monitor.so=15 openssl.so=482 pathname.so=48 psych.so=48
usr/lib/x86_64-linux-gnu/ruby/3.1.0: ripper.so=1230 socket.so=221 stringio.so=64 strscan.so=39 zlib.so=83
usr/lib/x86_64-linux-gnu/ruby/3.1.0/enc: big5.so=31 euc_jp.so=27 gb18030.so=19 shift_jis.so=27
usr/lib/x86_64-linux-gnu/ruby/3.1.0/enc: utf_16le.so=15
usr/lib/ruby/3.1.0: English.rb=6 abbrev.rb=4 base64.rb=4 benchmark.rb=19 cgi.rb=10 csv.rb=96 date.rb=2
usr/lib/ruby/3.1.0: delegate.rb=14 erb.rb=31 fileutils.rb=84 find.rb=3 forwardable.rb=6 ipaddr.rb=22
usr/lib/ruby/3.1.0: json.rb=18 logger.rb=18 matrix.rb=63 mkmf.rb=88 monitor.rb=7 optparse.rb=63
usr/lib/ruby/3.1.0: ostruct.rb=15 pp.rb=17 pstore.rb=22 resolv.rb=73 securerandom.rb=3
usr/lib/ruby/3.1.0: set.rb=26 tempfile.rb=13 time.rb=25 timeout.rb=4 uri.rb=3 yaml.rb=2
usr/lib/ruby/3.1.0/net: http.rb=60 protocol.rb=12 https.rb=1
usr/lib/ruby/3.1.0/rubygems: installer.rb=28 package.rb=20 resolver.rb=9 security.rb=22
usr/lib/ruby/3.1.0/rubygems: specification.rb=73 version.rb=13
usr/lib/ruby/3.1.0/bundler: cli.rb=34 definition.rb=32 dsl.rb=18 installer.rb=10 settings.rb=14
usr/lib/ruby/3.1.0/bundler: source.rb=4
usr/share/ri/3.1.0/system: cache.ri=1900 page-NEWS.ri=410
usr/share/rubygems-integration/all/specifications: rake-13.0.6.gemspec=2 rdoc-6.4.0.gemspec=7
etc/alternatives: gem->/usr/bin/gem3.1 ruby->/usr/bin/ruby3.1
var/cache/apt/archives: libruby3.1_3.1.2-7+deb12u1_amd64.deb=5335 ruby3.1_3.1.2-7+deb12u1_amd64.deb=663
var/cache/apt/archives: ruby_1%3a3.1_amd64.deb=6 rubygems-integration_1.18_all.deb=6
var/cache/apt/archives: openssl_3.0.17-1_amd64.deb=1430 rake_13.0.6-3_all.deb=84
var/cache/apt/archives: ca-certificates_20230311_all.deb=156 lock!640
etc/ssl/certs: ca-certificates.crt=220
var/lib/gems: 3.1.0/"""

_RUBY_PACKAGES = (
    "ca-certificates libruby libruby3.1 libssl3 libyaml-0-2 openssl rake ruby ruby3.1 rubygems-integration"
)

_GO_TREE = """\
usr/bin: go->../lib/go-1.19/bin/go gofmt->../lib/go-1.19/bin/gofmt gcc->gcc-12 gcc-12=1104 g++->g++-12
usr/bin: g++-12=1108 ar=60 as=700 cpp=1104 gdb-add-index=5 ld->ld.bfd ld.bfd=1720 ld.gold=2400 make=240
usr/bin: nm=46 objcopy=190 objdump=400 pkg-config=40 ranlib=60 readelf=780 strip=190
usr/lib/go-1.19: VERSION=1 api->../../share/go-1.19/api misc->../../share/go-1.19/misc
usr/lib/go-1.19: src->../../share/go-1.19/src
usr/lib/go-1.19/bin: go=13800 gofmt=3200
usr/lib/go-1.19/pkg/tool/linux_amd64: addr2line=3700 api=5400 asm=4300 buildid=2600 cgo=4200
usr/lib/go-1.19/pkg/tool/linux_amd64: compile=21800 cover=4600 dist=3000 doc=3500 fix=2900 link=5900
usr/lib/go-1.19/pkg/tool/linux_amd64: nm=3700 objdump=4100 pack=2100 pprof=14200 test2json=2900
usr/lib/go-1.19/pkg/tool/linux_amd64: trace=12900 vet=7500
usr/lib/go-1.19/pkg/linux_amd64: archive.a=940 bufio.a=280 bytes.a=390 compress.a=1500 context.a=250
usr/lib/go-1.19/pkg/linux_amd64: crypto.a=15200 database.a=860 debug.a=3900 encoding.a=5800 errors.a=50
usr/lib/go-1.19/pkg/linux_amd64: expvar.a=160 flag.a=390 fmt.a=570 go.a=9900 hash.a=420 html.a=2600
usr/lib/go-1.19/pkg/linux_amd64: image.a=2100 io.a=720 log.a=230 math.a=2600 mime.a=990 net.a=16300
usr/lib/go-1.19/pkg/linux_amd64: os.a=2300 path.a=330 plugin.a=30 reflect.a=1900 regexp.a=1300
usr/lib/go-1.19/pkg/linux_amd64: runtime.a=8600 sort.a=170 strconv.a=430 strings.a=470 sync.a=330
usr/lib/go-1.19/pkg/linux_amd64: syscall.a=1300 testing.a=1800 text.a=2900 time.a=1000 unicode.a=450
usr/lib/go-1.19/pkg/linux_amd64_race: crypto.a=17300 encoding.a=6600 go.a=11200 net.a=18900
usr/lib/go-1.19/pkg/linux_amd64_race: runtime.a=9100 text.a=3300
usr/lib/gcc/x86_64-linux-gnu/12: cc1!755=32400 cc1plus!755=34600 collect2!755=720 crtbegin.o=3 crtend.o=1
usr/lib/gcc/x86_64-linux-gnu/12: libgcc.a=3200 libgcov.a=400 libstdc++.a=5900 lto-wrapper!755=1100
usr/lib/gcc/x86_64-linux-gnu/12: lto1!755=31100
usr/lib/x86_64-linux-gnu: libasan.so.8.0.0=6800 libbfd-2.40-system.so=1400 libc.a=6100
usr/lib/x86_64-linux-gnu: libisl.so.23.2.0=2200 libm-2.36.a=3600 libmpfr.so.6.2.0=700
usr/lib/x86_64-linux-gnu: libopcodes-2.40-system.so=840 libtsan.so.2.0.0=6100
usr/include: stdio.h=31 stdlib.h=35 string.h=19 unistd.h=43 pthread.h=42 math.h=54
usr/include/linux: bpf.h=240 ethtool.h=87 input-event-codes.h=31 nl80211.h=330 videodev2.h=95
usr/share/go-1.19/src/cmd/compile/internal/ssa: op.go=19 opGen.go=1100 rewriteAMD64.go=1000
usr/share/go-1.19/src/cmd/compile/internal/ssa: rewriteARM64.go=850 rewriteS390X.go=500
usr/share/go-1.19/src/cmd/go/internal/modload: build.go=14 init.go=58 load.go=75 query.go=40
usr/share/go-1.19/src/crypto/tls: common.go=53 conn.go=46 handshake_client.go=34 handshake_server.go=27
usr/share/go-1.19/src/fmt: doc.go=14 format.go=15 print.go=32 scan.go=32
usr/share/go-1.19/src/net/http: client.go=34 fs.go=27 h2_bundle.go=330 request.go=47 server.go=112
usr/share/go-1.19/src/net/http: transport.go=87
usr/share/go-1.19/src/runtime: asm_amd64.s=49 chan.go=41 malloc.go=54 map.go=45 mgc.go=57 proc.go=178
usr/share/go-1.19/src/runtime: select.go=16 slice.go=10
usr/share/go-1.19/src/time: format.go=44 sleep.go=6 time.go=45 zoneinfo.go=18
usr/share/go-1.19/src/unicode: tables.go=205
usr/share/go-1.19/test: run.go=55 escape2.go=30 chancap.go=5
usr/share/go-1.19/api: go1.1.txt=2600 go1.19.txt=26 except.txt=37
usr/share/doc/golang-1.19-doc/html: go_mem.html=32 go_spec.html=240
var/cache/apt/archives: golang-1.19-go_1.19.8-2_amd64.deb=44900 golang-1.19-src_1.19.8-2_all.deb=17900
var/cache/apt/archives: gcc-12_12.2.0-14_amd64.deb=19300 g++-12_12.2.0-14_amd64.deb=10700
var/cache/apt/archives: cpp-12_12.2.0-14_amd64.deb=9770 binutils-x86-64-linux-gnu_2.40-2_amd64.deb=2250
var/cache/apt/archives: libc6-dev_2.36-9_amd64.deb=1900 lock!640"""

_GO_PACKAGES = """\
binutils cpp-12 g++-12 gcc-12 golang golang-1.19-doc golang-1.19-go golang-1.19-src golang-go libasan8
libc6-dev libgcc-12-dev libisl23 libmpfr6 libstdc++-12-dev linux-libc-dev make pkg-config"""


def ruby(debian: Stack) -> Stack:
    files = [*tree(_RUBY_TREE), *_apt_install(_DEBIAN_PACKAGES, _RUBY_PACKAGES)]
    stack = debian.fork()
    stack.layer(
        "2025-11-10T14:20:05Z",
        f"{CLASSIC}apt-get update && apt-get install -y ruby",
        fit(1_600_000, files, _apt_update()),
    )
    stack.note("2025-11-10T14:20:06Z", f"{CLASSIC}#(nop)  ENV LANG=C.UTF-8", f'{CLASSIC}#(nop)  CMD ["irb"]')
    return stack


def golang(debian: Stack) -> Descriptor:
    files = [*tree(_GO_TREE), *_apt_install(_DEBIAN_PACKAGES, _GO_PACKAGES)]
    stack = debian.fork()
    stack.layer(
        "2025-11-17T10:42:31Z",
        f"{CLASSIC}apt-get update && apt-get install -y golang",
        fit(6_180_000, files, _apt_update()),
    )
    # removed and made anew in one step: an opaque folder; and too late, for the layer below keeps the bytes
    stack.layer(
        "2025-11-17T10:42:40Z",
        f"{CLASSIC}rm -rf /{_LISTS} && mkdir -p /{_LISTS}/partial",
        [directory(f"{_LISTS}/partial")],
        emptied=[_LISTS],
    )
    when = "2025-11-17T10:42:42Z"
    stack.layer(when, f"{CLASSIC}mkdir -p /go/src /go/bin", tree("go: bin/ src/"))
    stack.note(
        when,
        f"{CLASSIC}#(nop)  ENV GOPATH=/go",
        f"{CLASSIC}#(nop)  ENV PATH=/go/bin:{PATH}",
        f'{CLASSIC}#(nop)  CMD ["go" "version"]',
    )
    return stack.image(
        {"Env": [f"PATH=/go/bin:{PATH}", "GOPATH=/go"], "Cmd": ["go", "version"], "WorkingDir": "/go"}
    )


# D and E: Rails --------------------------------------------------------------------------------------

_GEMS = "var/lib/gems/3.1.0"
_RAILS_4 = """\
actionmailer:4.2.11.3:64 actionpack:4.2.11.3:1040 actionview:4.2.11.3:760 activejob:4.2.11.3:90
activemodel:4.2.11.3:290 activerecord:4.2.11.3:1900 activesupport:4.2.11.3:1400 arel:6.0.4:160
builder:3.2.4:120 concurrent-ruby:1.1.10:1800 erubis:2.7.0:280 globalid:0.4.2:36 i18n:0.9.5:170
loofah:2.20.0:110 mail:2.7.1:2300 mini_mime:1.1.5:180 minitest:5.18.1:340 nokogiri:1.15.5:9800
rack:1.6.13:1100 rack-test:0.6.3:140 rails:4.2.11.3:20 rails-html-sanitizer:1.6.0:90
railties:4.2.11.3:700 sprockets:3.7.2:310 thor:1.2.2:230 tzinfo:1.2.11:520"""
_RAILS_3 = """\
actionmailer:3.2.22.5:70 actionpack:3.2.22.5:1200 activemodel:3.2.22.5:200 activerecord:3.2.22.5:1300
activeresource:3.2.22.5:130 activesupport:3.2.22.5:1200 arel:3.0.3:130 builder:3.0.4:110 erubis:2.7.0:280
hike:1.2.3:50 i18n:0.6.11:160 journey:1.0.4:200 json:1.8.6:900 mail:2.5.5:2000 multi_json:1.15.0:60
polyglot:0.3.5:20 rack:1.4.7:900 rack-cache:1.17.0:160 rails:3.2.22.5:20 railties:3.2.22.5:800
rdoc:3.12.2:700 sprockets:2.2.3:180 thor:0.20.3:220 tilt:1.4.1:140 treetop:1.4.15:220 tzinfo:0.3.61:600"""
_BLOG_TREE = """\
srv/blog: Gemfile=1 Gemfile.lock=3 README.rdoc=9 Rakefile=1 config.ru=1 lib/ vendor/
srv/blog/app/controllers: application_controller.rb=1 posts_controller.rb=3
srv/blog/app/assets/images: rails.png=7 header.jpg=240
srv/blog/app/models: post.rb=1
srv/blog/app/views/layouts: application.html.erb=1
srv/blog/app/views/posts: index.html.erb=1 show.html.erb=1
srv/blog/config: application.rb=3 boot.rb=1 database.yml=1 environment.rb=1 routes.rb=2
srv/blog/db: schema.rb=1 development.sqlite3=60
srv/blog/log: development.log=180
srv/blog/public: 404.html=1 500.html=1 favicon.ico=4 robots.txt=1
srv/blog/script: rails!755=1
srv/blog/tmp: cache/ pids/"""
MIT_LICENSE = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software.
"""


def _gems(gems: str) -> list[File]:
    """What `gem install` leaves for words of NAME:VERSION:KILOBYTES, the .gem in its cache included."""
    files: list[File] = []
    for gem in gems.split():
        name, version, kilobytes = gem.split(":")
        whole, size = f"{name}-{version}", int(kilobytes)
        home = f"{_GEMS}/gems/{whole}"
        files += tree(
            f"{_GEMS}/cache: {whole}.gem={size // 3 + 1}\n"
            f"{_GEMS}/specifications: {whole}.gemspec=2\n"
            f"{home}: CHANGELOG.md={size // 20 + 1} README.md={size // 30 + 1}\n"
            f"{home}/lib: {name}.rb={size // 20 + 1}\n"
            f"{home}/lib/{name}: base.rb={size // 3 + 1} railtie.rb={size // 9 + 1} version.rb=1"
        )
        files.append(text(f"{home}/MIT-LICENSE", MIT_LICENSE))
    return files


def rails_4(ruby: Stack, config: dict[str, Any]) -> Descriptor:
    native = f"{_GEMS}/gems/nokogiri-1.15.5/lib/nokogiri: nokogiri.so=6900"
    programs = "usr/local/bin: rackup=1 rails=1 rake=1 sprockets=1"
    stack = ruby.fork()
    stack.layer(
        "2025-12-01T08:15:12Z",
        f"{CLASSIC}gem install rails -v 4.2.11.3",
        fit(830_000, [*_gems(_RAILS_4), *tree(f"{native}\n{programs}")]),
    )
    gone = {file.path.split("/")[4] for file in stack.below(_LISTS) if file.path != _LISTS}
    stack.layer(  # too late: the lists stay in the layer of Ruby
        "2025-12-01T08:15:20Z",
        f"{CLASSIC}rm -rf /{_LISTS}/*",
        removed=[f"{_LISTS}/{name}" for name in sorted(gone)],
    )
    stack.note(
        "2025-12-01T08:15:21Z",
        f"{CLASSIC}#(nop)  EXPOSE 3000",
        f'{CLASSIC}#(nop)  CMD ["rails" "server" "-b" "0.0.0.0"]',
    )
    command = ["rails", "server", "-b", "0.0.0.0"]  # noqa: S104 – inside a container, and never run
    return stack.image({**config, "ExposedPorts": {"3000/tcp": {}}, "Cmd": command})


def rails_3(ruby: Stack, config: dict[str, Any]) -> Descriptor:
    programs = tree("usr/local/bin: erubis=1 rackup=1 rails=1 tilt=1 tt=1")
    stack = ruby.fork()
    stack.layer(
        "2025-12-08T16:03:44Z",
        f"{CLASSIC}gem install rails -v 3.2.22.5 && rails new /srv/blog",
        [*fit(730_000, [*_gems(_RAILS_3), *programs]), *fit(50_000, tree(_BLOG_TREE))],
    )
    # nothing but the owner changes, yet each file is stored again
    stack.layer(
        "2025-12-08T16:03:52Z",
        f"{CLASSIC}chown -R www-data:www-data /srv/blog",
        [replace(file, uid=33, gid=33) for file in stack.below("srv/blog")],
    )
    stack.note(
        "2025-12-08T16:03:53Z",
        f"{CLASSIC}#(nop) WORKDIR /srv/blog",
        f"{CLASSIC}#(nop)  USER www-data",
        f"{CLASSIC}#(nop)  EXPOSE 3000",
        f'{CLASSIC}#(nop)  CMD ["rails" "server"]',
    )
    return stack.image(
        {
            **config,
            "User": "www-data",
            "WorkingDir": "/srv/blog",
            "ExposedPorts": {"3000/tcp": {}},
            "Cmd": ["rails", "server"],
        }
    )
