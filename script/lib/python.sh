# The scripts source this file. It sets $python to the interpreter to use.
# Each candidate is run. A shim without its version, an interpreter with unreadable files and Debian's Python without
# python3-venv fail, and the next candidate is tried.

usable() {
    "$1" -c 'import sys, venv, ensurepip; ensurepip.version(); sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

python=
for candidate in .venv/bin/python python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
    if usable "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "No usable Python found. Install Python 3.11 or newer with venv and ensurepip (Debian: apt-get install python3-venv)." >&2
    exit 1
fi
