# What starts Postgres and Kafka on this machine, and ends them. To be sourced; `set -euo pipefail` is the caller's.

services_directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
services_cache=$(cd "$services_directory/../.." && pwd)/target/services

# Processes to end, newest last.
service_processes=()

say() {
    printf '%s\n' "$*" >&2
}

# Installs Debian packages, as root; says what is missing to anybody else.
install_packages() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        say "missing: the packages $*. Install them, or name running services with DATABASE_URL and KAFKA_BROKERS."
        return 1
    fi
    say "installing $*"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" > /dev/null
}

# A port that nobody listens on.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 20000))
        if ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
            printf '%s' "$port"
            return
        fi
    done
}

# Waits until something listens on a port, for at most so many seconds, as long as its process lives.
wait_for_port() {
    local port=$1 process=$2 seconds=$3 log=$4 begun=$SECONDS
    until (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do
        if ! kill -0 "$process" 2> /dev/null || ((SECONDS - begun > seconds)); then
            say "nothing listens on port $port; the log says:"
            tail -n 40 "$log" >&2
            return 1
        fi
        sleep 0.1
    done
}

# Ends what was started, newest first, and waits until it has ended.
stop_services() {
    local index process
    for ((index = ${#service_processes[@]} - 1; index >= 0; index--)); do
        process=${service_processes[index]}
        # Postgres waits for its clients at SIGTERM, and ends them at SIGINT; a JVM in the background heeds SIGTERM only.
        kill -INT "$process" 2> /dev/null || true
        kill -TERM "$process" 2> /dev/null || true
        for _ in $(seq 100); do
            kill -0 "$process" 2> /dev/null || break
            sleep 0.1
        done
        kill -KILL "$process" 2> /dev/null || true
    done
    service_processes=()
}

# Where the programs of Postgres are; they are installed where there are none.
find_postgres() {
    local found
    found=$(find /usr/lib/postgresql -path '*/bin/postgres' 2> /dev/null | sort -V | tail -n 1)
    if [ -z "$found" ] && ! command -v initdb > /dev/null; then
        # A cluster of its own that the package would start is not wanted.
        mkdir -p /etc/postgresql-common 2> /dev/null && printf 'create_main_cluster = false\n' > /etc/postgresql-common/createcluster.conf || true
        install_packages postgresql || return 1
        found=$(find /usr/lib/postgresql -path '*/bin/postgres' | sort -V | tail -n 1)
    fi
    dirname "${found:-$(command -v initdb)}"
}

# Runs a program of Postgres, which refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
    else
        "$@"
    fi
}

# Starts Postgres on a port, with its data in a directory that is made where it is not there.
start_postgres() {
    local binaries=$1 directory=$2 port=$3
    mkdir -p "$directory"
    if [ "$(id -u)" = 0 ]; then
        chown postgres "$directory"
    fi
    if [ ! -d "$directory/data" ]; then
        as_postgres "$binaries/initdb" -A trust -U postgres -D "$directory/data" > "$directory/initdb.log" 2>&1 \
            || { cat "$directory/initdb.log" >&2; return 1; }
    fi
    (cd / && exec_postgres "$binaries" "$directory" "$port") > "$directory/log" 2>&1 &
    service_processes+=($!)
    wait_for_port "$port" $! 60 "$directory/log"
}

exec_postgres() {
    local command=("$1/postgres" -D "$2/data" -p "$3" -k "$2" -c listen_addresses=127.0.0.1 -c max_connections=400)
    # In place of the shell, so that the process that is noted is Postgres itself.
    if [ "$(id -u)" = 0 ]; then
        exec setpriv --reuid=postgres --regid=postgres --clear-groups "${command[@]}"
    fi
    exec "${command[@]}"
}

# Where Kafka's libraries are; they are fetched from Maven Central once.
find_kafka() {
    local libraries=$services_cache/kafka
    if [ ! -f "$libraries/complete" ]; then
        if ! command -v mvn > /dev/null || ! command -v java > /dev/null; then
            install_packages maven default-jre-headless || return 1
        fi
        rm -rf "$libraries"
        mkdir -p "$libraries"
        mvn -B -q -f "$services_directory/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$libraries" >&2
        touch "$libraries/complete"
    fi
    printf '%s' "$libraries"
}

run_java() {
    local libraries=$1
    shift
    java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libraries/*" "$@"
}

# Starts one broker of Kafka on a port, with its data in a directory that is made where it is not there.
start_kafka() {
    local libraries=$1 directory=$2 port=$3 controller=$4
    mkdir -p "$directory"
    if [ ! -f "$directory/server.properties" ]; then
        cat > "$directory/server.properties" << PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$directory/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
PROPERTIES
        local id
        id=$(run_java "$libraries" kafka.tools.StorageTool random-uuid 2> /dev/null | tail -n 1)
        run_java "$libraries" kafka.tools.StorageTool format -t "$id" -c "$directory/server.properties" --standalone \
            > "$directory/format.log" 2>&1 || { cat "$directory/format.log" >&2; return 1; }
    fi
    java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libraries/*" kafka.Kafka "$directory/server.properties" \
        > "$directory/log" 2>&1 &
    service_processes+=($!)
    wait_for_port "$port" $! 60 "$directory/log"
}

# Where the Python is that has what the example consumer needs.
find_python() {
    local environment=$services_cache/python
    if [ ! -f "$environment/complete" ]; then
        if ! python3 -c 'import venv, ensurepip' 2> /dev/null; then
            install_packages python3 python3-venv || return 1
        fi
        rm -rf "$environment"
        python3 -m venv "$environment" >&2
        "$environment/bin/pip" install -q --disable-pip-version-check -r "$services_directory/requirements.txt" >&2
        touch "$environment/complete"
    fi
    printf '%s' "$environment/bin/python"
}
