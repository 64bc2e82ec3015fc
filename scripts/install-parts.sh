#!/usr/bin/env bash
# Install the real parts that some tests need, from Debian's packages: servers of PostgreSQL and MariaDB, unixODBC with
# drivers for MariaDB and SQLite, zsh, squid, and Chromium. The tests start and stop the servers themselves, as a user who is not root,
# in a folder of their own.
#
#   scripts/install-parts.sh         for the default and the slow tests
#   scripts/install-parts.sh soak    also what the soak tests boot machines and build containers with
set -euo pipefail

has_postgresql() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}
has_odbc() {
    command -v mariadbd >/dev/null && compgen -G '/usr/lib/*/odbc/libmaodbc.so' >/dev/null &&
        compgen -G '/usr/lib/*/odbc/libsqlite3odbc.so' >/dev/null
}
has_squid() {
    [ -x /usr/sbin/squid ] && [ -x /usr/lib/squid/security_file_certgen ]
}

has_soak() {
    for program in systemd-nspawn podman buildah runc netavark iptables debootstrap openssl curl; do
        PATH=$PATH:/usr/sbin:/sbin:/usr/lib/podman command -v "$program" >/dev/null || return 1
    done
}
soak=()
if [ "${1:-}" = soak ] && ! has_soak; then
    soak=(systemd-container podman buildah runc netavark aardvark-dns iptables debootstrap openssl curl python3-venv)
fi

if [ ${#soak[@]} -eq 0 ] && has_postgresql && has_odbc && has_squid && command -v zsh >/dev/null && command -v chromium >/dev/null; then
    exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
# The server packages would each start a server of their own; nobody asked for that.
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
"${as_root[@]}" apt-get install -qq -y --no-install-recommends \
    postgresql mariadb-server odbc-mariadb libsqliteodbc unixodbc zsh squid-openssl chromium "${soak[@]}"
has_postgresql && has_odbc && has_squid && command -v chromium >/dev/null
[ ${#soak[@]} -eq 0 ] || has_soak
