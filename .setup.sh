# shellcheck shell=sh
# What bench.sh and test.sh share: make this checkout ready to run, once, and see in a moment that it is.
#
# Sourced by a script that has set ROOT. `make_ready ROLE` returns when .venv can be used; it ends the script with
# code 69 (EX_UNAVAILABLE of sysexits.h) when something is missing without which nothing can run.
#
# BENCH_PYTHON=/path/to/python   take this interpreter (3.11 or newer)
# BENCH_NO_INSTALL=1             install no system packages, only say what is missing

LOG=$ROOT/.setup.log
VENV=$ROOT/.venv
STATE=$VENV/.setup
UNAVAILABLE=69

# One line a thing: who needs it (all: nothing runs without it; bench: some subjects need it; test: the tests),
# how to see that it is there (a command's name, a path that may hold a star, user:NAME), and what brings it with apt
# (several names: the first that apt knows), dnf and pacman ("-": no package known to us).
# libvirt-daemon-system is there for the account that libvirt's QEMU driver insists on, also inside a process.
# Docker's own repository is left out on purpose: see README, "What it does to the host".
things() {
    cat <<'TABLE'
all   cc                                    gcc                        gcc                       gcc
all   /usr/include/stdio.h                  libc6-dev                  glibc-devel               glibc
bench musl-gcc                              musl-tools                 musl-gcc                  musl
bench pkg-config                            pkg-config,pkgconf         pkgconf-pkg-config        pkgconf
bench /usr/include/libvirt/libvirt.h        libvirt-dev                libvirt-devel             libvirt
bench docker                                docker-cli,docker.io       moby-engine               docker
bench dockerd                               docker.io                  moby-engine               docker
bench runc                                  runc                       runc                      runc
bench crun                                  crun                       crun                      crun
bench criu                                  criu,-                     criu                      criu
bench bwrap                                 bubblewrap                 bubblewrap                bubblewrap
bench iptables                              iptables                   iptables-nft              iptables
bench ip                                    iproute2                   iproute                   iproute2
bench libvirtd                              libvirt-daemon             libvirt-daemon            libvirt
bench /usr/lib*/libvirt/connection-driver/libvirt_driver_qemu.so,/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so libvirt-daemon-driver-qemu libvirt-daemon-driver-qemu libvirt
bench user:libvirt-qemu,user:qemu           libvirt-daemon-system      libvirt-daemon-driver-qemu libvirt
bench qemu-system-x86_64                    qemu-system-x86            qemu-system-x86           qemu-system-x86
bench qemu-img                              qemu-utils                 qemu-img                  qemu-img
bench /usr/share/OVMF/OVMF_CODE*,/usr/share/edk2/*/OVMF_CODE* ovmf     edk2-ovmf                 edk2-ovmf
bench /usr/share/seabios/bios-256k.bin,/usr/share/qemu/bios-256k.bin seabios seabios-bin         seabios
bench mmdebstrap                            mmdebstrap                 -                         -
bench grub-mkimage,grub2-mkimage            grub-common                grub2-tools-minimal       grub
bench /usr/lib/grub/i386-pc/boot.img        grub-pc-bin                grub2-pc-modules          grub
bench sfdisk                                fdisk                      util-linux                util-linux
bench mke2fs                                e2fsprogs                  e2fsprogs                 e2fsprogs
bench lz4                                   lz4                        lz4                       lz4
bench cpio                                  cpio                       cpio                      cpio
bench smem                                  smem                       smem                      -
bench strace                                strace                     strace                    strace
test  chromium,chromium-browser             chromium                   chromium                  chromium
TABLE
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

give_up() {
    say "$1"
    shift
    for line; do printf '  %s\n' "$line" >&2; done
    exit "$UNAVAILABLE"
}

# --- the host ---------------------------------------------------------------------------------------------------

# Is it there? $1 is a list with commas: commands' names, paths with stars, accounts. Quick: this runs every time.
is_there() {
    set -f
    old_ifs=$IFS
    IFS=,
    # shellcheck disable=SC2086  # the list is meant to be split
    set -- $1
    IFS=$old_ifs
    set +f
    for probe; do
        case $probe in
            /*) for path in $probe; do [ -e "$path" ] && return 0; done ;;
            user:*) id "${probe#user:}" >/dev/null 2>&1 && return 0 ;;
            *) command -v "$probe" >/dev/null 2>&1 && return 0 ;;
        esac
    done
    return 1
}

# Set MISSING to what this host lacks for ROLE $1, as "need:apt-names" (" all:gcc bench:runc").
find_missing() {
    MISSING=
    old_path=$PATH
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # administrators' tools, for users whose PATH lacks them
    while read -r need probe apt dnf pacman; do
        case $need:$1 in test:bench) continue ;; esac
        is_there "$probe" || MISSING="$MISSING $need:$apt"
    done <<LIST
$(things)
LIST
    PATH=$old_path
    : "$dnf" "$pacman"
}

# Print the packages for MISSING, one a line, each once, by the names of $1: apt, dnf or pacman.
packages() {
    things | while read -r need probe apt dnf pacman; do
        case " $MISSING " in *" $need:$apt "*) ;; *) continue ;; esac
        case $1 in
            apt) first_known "$apt" ;;
            dnf) echo "$dnf" ;;
            pacman) echo "$pacman" ;;
        esac
        : "$probe"
    done | grep -vx -- - | sort -u
}

first_known() {
    rest=$1
    while [ "$rest" != "${rest#*,}" ]; do
        if apt-cache show "${rest%%,*}" >/dev/null 2>&1; then break; fi
        rest=${rest#*,}
    done
    echo "${rest%%,*}"
    # Left to itself, apt brings systemd along for this one: where another program is PID 1, it is told otherwise.
    if [ "$rest" = libvirt-daemon-system ] && [ ! -d /run/systemd/system ]; then
        echo libvirt-daemon-system-sysv
    fi
}

package_tool() {
    for tool in apt-get dnf pacman; do
        if command -v "$tool" >/dev/null 2>&1; then
            echo "$tool"
            return
        fi
    done
}

# The command that a person would type for these packages.
install_command() {
    case $1 in
        apt-get) echo "apt-get update && apt-get install --no-install-recommends $2" ;;
        dnf) echo "dnf install --setopt=install_weak_deps=False $2" ;;
        pacman) echo "pacman -S --needed $2" ;;
    esac
}

on_one_line() { tr '\n' ' ' | sed 's/ *$//'; }

# Install what is missing, or say what is. Returns in any case; who needs what looks again.
provide_packages() {
    tool=$(package_tool)
    python_packages=$(python_packages "$tool")
    [ -n "$MISSING$python_packages" ] || return 0
    if [ "$tool" = apt-get ] && [ "$(id -u)" = 0 ] && [ -z "${BENCH_NO_INSTALL:-}" ]; then
        # apt-cache names the first known package only after the lists are there.
        step "reading apt's package lists" apt update || say "going on with the lists of before"
        names=$(printf '%s\n' "$python_packages" "$(packages apt)" | grep . | sort -u)
        [ -z "$names" ] || install_with_apt "$names"
        find_missing "$1"
        return 0
    fi
    kind=${tool%-get}
    names=$(printf '%s\n' "$python_packages" "$(packages "$kind")" | grep . | on_one_line)
    [ -n "$names$(packages apt)" ] || return 0
    say "this host lacks some of what the suite can use. As root:"
    if [ -n "$tool" ]; then
        printf '  %s\n' "$(install_command "$tool" "$names")" >&2
    else
        printf '  install, by the names your distribution has for them: %s\n' "$(packages apt | on_one_line)" >&2
    fi
    case " $MISSING " in *" all:"*) ;; *) [ -n "$python_packages" ] ||
        say "going on without: subjects that need one of these are left out (bench doctor says which)" ;; esac
}

install_with_apt() {
    count=$(printf '%s\n' "$1" | wc -l | tr -d ' ')
    # shellcheck disable=SC2086  # one line of names
    say "$count system packages are missing:" $1
    case "
$1
" in *"
docker.io
"*)
        say "among them docker.io: on a host with systemd its package starts the Docker daemon" ;;
    esac
    # shellcheck disable=SC2086  # one name an argument
    step "installing them with apt (one to four minutes)" apt install --no-install-recommends $1 && return 0
    say "not all at once; trying one after another"
    for name in $1; do
        step "installing $name" apt install --no-install-recommends "$name" || say "going on without $name"
    done
}

# apt-get without questions, waiting for another apt; the checkout's lock is not handed to daemons it may start.
apt() {
    verb=$1
    shift
    DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=600 "$verb" "$@" </dev/null 9<&-
}

# --- Python -----------------------------------------------------------------------------------------------------

# Does the interpreter $1 do? $2: what it must have beside being 3.11 or newer.
python_does() {
    [ -x "$1" ] || return 1
    "$1" -I - "$2" 2>/dev/null <<'PYTHON'
import importlib.util, os, sys, sysconfig
venv = importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv")
headers = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
has = {"version": True, "venv": bool(venv), "headers": bool(venv) and headers}
sys.exit(not (sys.version_info >= (3, 11) and has[sys.argv[1]]))
PYTHON
}

# Print the best interpreter that has $1 (version, venv or headers); fail if there is none.
choose_python() {
    for candidate in "${BENCH_PYTHON:-}" /usr/bin/python3 /usr/bin/python3.13 /usr/bin/python3.12 \
        /usr/bin/python3.11 "$(command -v python3)" "$(command -v python3.11)"; do
        if python_does "$candidate" "$1"; then
            echo "$candidate"
            return 0
        fi
        [ -z "${BENCH_PYTHON:-}" ] || return 1
    done
    return 1
}

# Print the packages that bring Python, its venv module and its headers; nothing when all is there.
python_packages() {
    choose_python headers >/dev/null && return 0
    case $1 in
        apt-get)
            # Where the distribution's python3 is too old, python3.11 may stand beside it (Ubuntu 22.04).
            if ! [ -x /usr/bin/python3 ] || python_does /usr/bin/python3 version; then
                printf '%s\n' python3 python3-venv python3-dev
            else
                printf '%s\n' python3.11 python3.11-venv python3.11-dev
            fi
            ;;
        dnf) if python_does /usr/bin/python3 version; then
            echo python3-devel
        else
            printf '%s\n' python3.11 python3.11-devel
        fi ;;
        *) echo python ;;
    esac
}

# --- the environment --------------------------------------------------------------------------------------------

# Run a step that may take long: one line on the terminal, everything else in the log, its end on failure.
step() {
    text=$1
    shift
    say "$text"
    printf '\n== %s\n' "$text" >>"$LOG"
    "$@" >>"$LOG" 2>&1 && return 0
    code=$?
    say "that failed (code $code); the end of ${LOG}:"
    tail -n 15 "$LOG" | sed 's/^/  | /' >&2
    return "$code"
}

digest() { sha256sum | cut -d ' ' -f 1; }

# What the packages in .venv depend on: the lock, the interpreter, the place (scripts name it in their first line).
packages_mark() {
    {
        echo "$ROOT" "$(readlink -f "$VENV/bin/python")"
        cat "$ROOT/requirements.lock"
    } | digest
}

project_mark() { digest <"$ROOT/pyproject.toml"; }

# Is the stamp $1 there, and does it hold $2?
stamped() {
    stamp=
    [ -r "$STATE/$1" ] && read -r stamp <"$STATE/$1"
    [ -n "$stamp" ] && [ "$stamp" = "$2" ]
}

# Print the lock without libvirt-python (its only source distribution), or that entry alone.
locked() {
    awk -v want="$1" '/^[A-Za-z0-9]/ { is = /^libvirt-python==/ ? "libvirt" : "wheels" } is == want' \
        "$ROOT/requirements.lock"
}

pip() {
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore \
        "$VENV/bin/python" -m pip install --quiet "$@" </dev/null
}

build_venv() {
    python=$(choose_python headers || choose_python venv) ||
        give_up "there is no Python 3.11 or newer with its venv module" \
            "install the packages named above, or name one: BENCH_PYTHON=/path/to/python3"
    # A venv without a stamp was interrupted, one with a wrong stamp is outdated: neither is worth mending.
    rm -rf "$VENV"
    step "making .venv with $python (some seconds)" "$python" -m venv "$VENV" ||
        give_up "no virtual environment could be made" "is the disk full, or the folder read-only?"
    mkdir "$STATE"
    locked wheels >"$STATE/wheels.txt"
    step "installing Python packages into .venv (about a minute)" \
        pip --no-compile --only-binary :all: --require-hashes -r "$STATE/wheels.txt" ||
        give_up "the Python packages could not be installed" "is there a way to a package index (pip config list)?"
    packages_mark >"$STATE/packages"
}

# libvirt's bindings are compiled here; without them everything but the VM subjects works.
build_libvirt() {
    is_there /usr/include/libvirt/libvirt.h && is_there cc && is_there pkg-config || return 0
    locked libvirt >"$STATE/libvirt.txt"
    step "building libvirt's Python bindings (some seconds)" \
        pip --no-build-isolation --no-deps --require-hashes -r "$STATE/libvirt.txt" ||
        say "going on without libvirt-python: VM subjects are left out"
}

install_project() {
    step "installing the project itself" pip --no-deps --no-build-isolation --editable "$ROOT" ||
        give_up "the project could not be installed"
    project_mark >"$STATE/project"
}

# One at a time: a second first run waits here. The lock is on the folder itself, so it leaves nothing behind.
take_turn() {
    exec 9<"$ROOT"
    command -v flock >/dev/null 2>&1 || return 0
    flock -n 9 && return 0
    say "another run is setting up this checkout; waiting for it"
    flock 9 || say "no lock can be had on this file system; going on"
}

is_ready() {
    [ -x "$VENV/bin/python" ] && [ -x "$VENV/bin/bench" ] &&
        stamped packages "$(packages_mark)" && stamped project "$(project_mark)" &&
        stamped "lacks-$1" "nothing$MISSING"
}

make_ready() {
    find_missing "$1"
    is_ready "$1" && return 0
    take_turn
    find_missing "$1"
    if ! is_ready "$1"; then
        (: >"$LOG") 2>/dev/null || give_up "$ROOT cannot be written" "the first run makes .venv there"
        stamped "lacks-$1" "nothing$MISSING" || provide_packages "$1"
        case " $MISSING " in *" all:"*)
            give_up "a C compiler with its headers is missing, and nothing can be measured without the agent it builds" \
                "install the packages named above" ;;
        esac
        if ! { [ -x "$VENV/bin/python" ] && stamped packages "$(packages_mark)"; }; then build_venv; fi
        "$VENV/bin/python" -c 'import libvirt' 2>/dev/null || build_libvirt
        if ! { [ -x "$VENV/bin/bench" ] && stamped project "$(project_mark)"; }; then install_project; fi
        echo "nothing$MISSING" >"$STATE/lacks-$1"
        say "ready"
    fi
    exec 9<&-
}
