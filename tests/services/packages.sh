# What the services are made of: found on this machine, or installed once. To be sourced; `set -euo pipefail` is the caller's.
# shellcheck shell=bash

services_directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
services_cache=$(cd "$services_directory/../.." && pwd)/target/services

# Where packages are unpacked by somebody who may not install them.
unpacked=$services_cache/debian

# Without this, a command that fails within $(…) would go unnoticed there.
shopt -s inherit_errexit

mkdir -p "$services_cache"

say() {
    printf '%s\n' "$*" >&2
}

# Installs Debian packages as root, and unpacks them under target/ for anybody else.
install_packages() {
    if ! command -v apt-get > /dev/null; then
        say "missing: packages such as Debian's $*. Install them, or name running services with DATABASE_URL and KAFKA_BROKERS."
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        unpack_packages "$@"
        return
    fi
    say "installing $*"
    apt-get -qq update >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" > /dev/null
}

# Fetches packages and what they depend on, as far as it is not installed, and unpacks them.
unpack_packages() {
    local apt=$services_cache/apt options archive link names
    say "unpacking $* under target/services, for only root may install them"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/new" "$unpacked"
    options=(-qq -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o Debug::NoLocking=true)
    apt-get "${options[@]}" update >&2
    mapfile -t names < <(
        apt-get "${options[@]}" --simulate --no-install-recommends install "$@" | awk '$1 == "Inst" { print $2 }'
    )
    (cd "$apt/new" && apt-get "${options[@]}" download "${names[@]}" >&2)
    for archive in "$apt"/new/*.deb; do
        dpkg -x "$archive" "$unpacked"
    done
    rm -rf "$apt/new"
    # Links to absolute places mean those beneath the root that the packages know.
    find "$unpacked" -type l -lname '/*' | while read -r link; do
        if [ -e "$unpacked$(readlink "$link")" ]; then
            ln -sfn "$unpacked$(readlink "$link")" "$link"
        fi
    done
    trust_certificates
    use_unpacked
}

# Writes a program that runs an unpacked one with the libraries that were unpacked with it.
wrap() {
    local program=$1 wrapper=$2 libraries
    libraries=$(find "$unpacked/usr/lib" "$unpacked/lib" -name '*.so*' -not -path '*/postgresql/*' -not -path '*/jvm/*' \
        -printf '%h\n' 2> /dev/null | sort -u | paste -s -d :)
    mkdir -p "$(dirname "$wrapper")"
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$libraries" "$program" > "$wrapper"
    chmod +x "$wrapper"
}

# The directory of Postgres' programs: of the newest package, or of whatever is in the PATH.
find_postgres() {
    local place
    place=$(postgres_place)
    if [ -z "$place" ]; then
        # The package would start a server of its own.
        if [ "$(id -u)" = 0 ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
            mkdir -p /etc/postgresql-common
            printf 'create_main_cluster = false\n' > /etc/postgresql-common/createcluster.conf
        fi
        install_packages postgresql
        local program
        for program in "$unpacked"/usr/lib/postgresql/*/bin/*; do
            if [ -x "$program" ]; then
                wrap "$program" "$services_cache/postgres/${program##*/}"
            fi
        done
        place=$(postgres_place)
    fi
    printf '%s' "${place:?no initdb came with the package postgresql}"
}

postgres_place() {
    local newest
    newest=$(find /usr/lib/postgresql -path '*/bin/initdb' 2> /dev/null | sort -V | tail -n 1 || true)
    if [ -z "$newest" ]; then
        newest=$(command -v "$services_cache/postgres/initdb" initdb | head -n 1 || true)
    fi
    if [ -n "$newest" ]; then
        dirname "$newest"
    fi
}

# The directory of Kafka's libraries, which come from Maven Central.
find_kafka() {
    local libraries=$services_cache/kafka missing=() complete=yes
    if [ ! -f "$libraries/complete" ] || [ "$services_directory/pom.xml" -nt "$libraries/complete" ]; then
        complete=
    fi
    if ! command -v java > /dev/null; then
        missing+=(default-jre-headless ca-certificates)
    fi
    if [ -z "$complete" ] && ! command -v mvn > /dev/null; then
        missing+=(maven)
    fi
    if ((${#missing[@]} > 0)); then
        install_packages "${missing[@]}"
    fi
    if [ -z "$complete" ]; then
        say "fetching Kafka"
        rm -rf "$libraries"
        mkdir -p "$libraries"
        TERM=dumb mvn -B -q -f "$services_directory/pom.xml" \
            dependency:copy-dependencies "-DoutputDirectory=$libraries" >&2
        touch "$libraries/complete"
    fi
    printf '%s' "$libraries"
}

# An unpacked Java trusts nobody: its list of authorities is made when the package is installed. So it is given the system's.
trust_certificates() {
    local store
    for store in "$unpacked"/usr/lib/jvm/java-*-openjdk-*/lib/security/cacerts; do
        if [ -L "$store" ] && [ ! -e "$store" ]; then
            rm "$store"
            python3 "$services_directory/java_trust.py" "$store"
        fi
    done
}

# What was unpacked can be run by its name.
use_unpacked() {
    local directory
    for directory in "$unpacked"/usr/lib/jvm/java-*-openjdk-*/bin "$unpacked"/usr/share/maven/bin; do
        if [ -d "$directory" ]; then
            PATH=$PATH:$directory
        fi
    done
    export PATH
}

# The Python that has what the example consumer needs.
find_python() {
    local environment=$services_cache/python requirements=$services_directory/requirements.txt pip
    if [ ! -f "$environment/complete" ] || [ "$requirements" -nt "$environment/complete" ]; then
        if ! python3 -c 'import ensurepip, venv' 2> /dev/null; then
            install_packages python3-venv
        fi
        say "fetching the Python packages of the example consumer"
        rm -rf "$environment"
        if python3 -c 'import ensurepip' 2> /dev/null; then
            python3 -m venv "$environment" >&2
            pip=("$environment/bin/pip")
        else
            # An unpacked pip is a wheel, which Python runs as it is.
            python3 -m venv --without-pip "$environment" >&2
            pip=("$environment/bin/python" "$(echo "$unpacked"/usr/share/python-wheels/pip-*.whl)/pip")
        fi
        "${pip[@]}" install -q --disable-pip-version-check -r "$requirements" >&2
        touch "$environment/complete"
    fi
    printf '%s' "$environment/bin/python"
}

# What an earlier run unpacked.
use_unpacked
