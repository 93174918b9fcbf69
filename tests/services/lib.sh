# What starts Postgres and Kafka on this machine, and ends them. To be sourced; `set -euo pipefail` is the caller's.
# shellcheck shell=bash

# shellcheck source=tests/services/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

# Processes to end, and the signal that each takes as "end now, in order".
service_processes=()
service_signals=()

# How long a start may take, and an end.
start_within_s=120
end_within_s=20

# Whether a process goes on. One that has ended and that nobody has waited for yet does not.
is_running() {
    local status
    status=$(cat "/proc/$1/stat" 2> /dev/null) || return 1
    status=${status##*) }
    [ "${status%% *}" != Z ]
}

# So many ports that nobody listens on, below those that the system hands out to connections.
free_ports() {
    local wanted=$1 port
    local -A found=()
    while ((${#found[@]} < wanted)); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
            found[$port]=free
        fi
    done
    printf '%s\n' "${!found[@]}"
}

# Waits until a command succeeds, as long as the process that it asks goes on.
await() {
    local name=$1 process=$2 log=$3 begun=$SECONDS
    shift 3
    until "$@" > /dev/null 2>&1; do
        if ! is_running "$process" || ((SECONDS - begun > start_within_s)); then
            say "$name does not start; its log says:"
            tail -n 40 "$log" >&2
            return 1
        fi
        sleep 0.05
    done
}

# Runs a program in place of this shell, with a signal that it gets when the shell that started it is gone, however it went.
exec_owned() {
    local signal=$1
    shift
    # Where its working directory lies does not matter to it, and may be closed to it.
    cd /
    # In a session of its own: Ctrl-C is for that shell, which ends what it started in its order.
    exec setsid setpriv --pdeathsig "$signal" "$@"
}

# Ends what was started, and waits until it has ended.
stop_services() {
    local index process begun=$SECONDS
    for index in "${!service_processes[@]}"; do
        kill "-${service_signals[index]}" "${service_processes[index]}" 2> /dev/null || true
    done
    for process in ${service_processes[@]+"${service_processes[@]}"}; do
        while is_running "$process" && ((SECONDS - begun < end_within_s)); do
            sleep 0.05
        done
        kill -KILL "$process" 2> /dev/null || true
        wait "$process" 2> /dev/null || true
    done
    service_processes=()
    service_signals=()
}

# Starts Postgres and Kafka side by side, with their data in two directories that are made where they are not there.
# An empty directory stands for a service that is not wanted.
start_services() {
    local postgres=$1 postgres_port=$2 kafka=$3 kafka_port=$4 controller_port=$5 preparing=() process
    if [ -n "$postgres" ]; then
        prepare_postgres "$postgres" &
        preparing+=($!)
    fi
    if [ -n "$kafka" ]; then
        prepare_kafka "$kafka" "$kafka_port" "$controller_port" &
        preparing+=($!)
    fi
    for process in ${preparing[@]+"${preparing[@]}"}; do
        wait "$process"
    done
    if [ -n "$postgres" ]; then
        launch_postgres "$postgres" "$postgres_port"
    fi
    if [ -n "$kafka" ]; then
        launch_kafka "$kafka"
    fi
    if [ -n "$postgres" ]; then
        await Postgres "${service_processes[0]}" "$postgres/log" \
            "$(find_postgres)/pg_isready" -h 127.0.0.1 -p "$postgres_port"
    fi
    if [ -n "$kafka" ]; then
        await Kafka "${service_processes[-1]}" "$kafka/log" kafka_answers "$kafka_port"
    fi
}

# As whom Postgres runs: it refuses root.
postgres_user() {
    if [ "$(id -u)" = 0 ]; then
        getent passwd postgres > /dev/null || useradd --system --no-create-home --shell /usr/sbin/nologin postgres
        printf '%s\n' --reuid=postgres --regid=postgres --clear-groups
    fi
}

prepare_postgres() {
    local directory=$1 binaries user
    binaries=$(find_postgres)
    mapfile -t user < <(postgres_user)
    if [ -f "$directory/data/PG_VERSION" ]; then
        return
    fi
    mkdir -p "$directory"
    if [ "$(id -u)" = 0 ]; then
        chown postgres "$directory"
    fi
    if ! (exec_owned KILL ${user[@]+"${user[@]}"} "$binaries/initdb" -A trust -U postgres -E UTF8 --locale=C -D "$directory/data") \
        > "$directory.log" 2>&1; then
        cat "$directory.log" >&2
        return 1
    fi
}

launch_postgres() {
    local directory=$1 port=$2 binaries user
    binaries=$(find_postgres)
    mapfile -t user < <(postgres_user)
    # SIGINT: it does not wait for its clients.
    exec_owned INT ${user[@]+"${user[@]}"} "$binaries/postgres" -D "$directory/data" -p "$port" -k "$directory" \
        -c listen_addresses=127.0.0.1 -c max_connections=300 > "$directory/log" 2>&1 &
    service_processes+=($!)
    service_signals+=(INT)
}

# One node that is broker and controller.
prepare_kafka() {
    local directory=$1 port=$2 controller=$3 id
    if [ -f "$directory/data/meta.properties" ]; then
        return
    fi
    mkdir -p "$directory"
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
    # A UUID as Kafka writes it; one that began with a dash would be taken for an option.
    id=A$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 2-22)
    if ! (exec_kafka KILL kafka.tools.StorageTool format -t "$id" -c "$directory/server.properties" --standalone) \
        > "$directory/log" 2>&1; then
        cat "$directory/log" >&2
        return 1
    fi
}

launch_kafka() {
    exec_kafka TERM kafka.Kafka "$1/server.properties" > "$1/log" 2>&1 &
    service_processes+=($!)
    service_signals+=(TERM)
}

exec_kafka() {
    local signal=$1 libraries
    shift
    libraries=$(find_kafka)
    exec_owned "$signal" java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libraries/*" "$@"
}

# Whether a broker answers, and knows of a broker that takes requests: its port is open before that.
kafka_answers() {
    local port=$1 brokers
    # Size, request "metadata" in version 4, correlation, no client's name; no topics, none to be made.
    brokers=$(
        exec 3<> "/dev/tcp/127.0.0.1/$port"
        printf '\0\0\0\17\0\3\0\4\0\0\0\1\377\377\0\0\0\0\0' >&3
        # Size, correlation and throttle time come before the number of brokers.
        timeout 2 head -c 16 <&3 | tail -c 4 | od -An -tu1 | tr -d ' 0'
    )
    [ -n "$brokers" ]
}
