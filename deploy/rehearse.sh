#!/usr/bin/env bash
# Does what docs/deploy.md tells, on this machine's loopback: two session services
# on PostgreSQL behind nginx with TLS, codes by e-mail, and a trade API behind them.
# Then, under load, one of them is killed, the signing key is rotated and an account
# is revoked. Needs Go, PostgreSQL's programs, nginx, openssl and curl.
#
#   deploy/rehearse.sh [postgres://…]    a server on which it may make a database;
#                                        without it, one of its own
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# = 0 ] && [ -z "${NEO_TEST_POSTGRES:-}" ]; then
  exec go run ./internal/store/postgres/pgtest/with "$0"
fi
admin=${1:-$NEO_TEST_POSTGRES}

psql=$(command -v psql || ls /usr/lib/postgresql/*/bin/psql | tail -n 1)
nginx=$(command -v nginx || echo /usr/sbin/nginx)
dir=$(mktemp -d)
chmod 700 "$dir"
pids=()
name=neo_rehearsal_$$
finish() {
  code=$?
  trap - EXIT
  exec {stub_in}>&- || true
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  kill "$(cat "$dir/nginx.pid" 2>/dev/null)" 2>/dev/null || true
  wait 2>/dev/null || true
  if [ $code != 0 ]; then
    echo "rehearsal failed; the last lines of the logs:" >&2
    tail -n 5 "$dir"/*.log >&2 || true
  fi
  "$psql" -qX "$admin" -c "DROP DATABASE IF EXISTS $name WITH (FORCE)" >/dev/null 2>&1 || true
  rm -rf "$dir"
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM
step() { printf -- '-- %s\n' "$*"; }
fail() { echo "rehearse: $*" >&2; exit 1; }
# await SECONDS CMD...: until it succeeds
await() {
  local until=$((SECONDS + $1)); shift
  until "$@"; do
    [ $SECONDS -lt $until ] || fail "in vain: $*"
    sleep 0.1
  done
}
export no_proxy='*'
unset NEO_CONFIG NEO_DATABASE NEO_SESSION NEO_PROFILE

step "programs, a certificate, a database"
CGO_ENABLED=0 go build -o "$dir/neo" ./cmd/neo
go build -o "$dir/stub" ./deploy/stub
neo=$dir/neo
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
  -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout "$dir/key.pem" -out "$dir/chain.pem" 2>"$dir/openssl.log"
"$psql" -qX "$admin" -c "CREATE DATABASE $name"
export NEO_DATABASE=${admin/@\/postgres/@\/$name}

step "what is behind and beside the service: a mail server and a trade API"
mkfifo "$dir/stub.in" "$dir/stub.out"
"$dir/stub" "$dir/chain.pem" "$dir/key.pem" <"$dir/stub.in" >"$dir/stub.out" 2>"$dir/stub.log" &
pids+=($!)
exec {stub_in}>"$dir/stub.in"
{ read -r mail; read -r boxes; read -r trade; } <"$dir/stub.out"

step "two services"
port=$((20000 + RANDOM % 10000)) # nginx's
echo secret >"$dir/smtp.password"
chmod 600 "$dir/smtp.password"
cat >"$dir/couriers.yaml" <<END
couriers:
  - name: mail
    smtp:
      host: localhost
      port: $mail
      ca: $dir/chain.pem
      user: neo
      password-file: $dir/smtp.password
      from: Example Broking <codes@example.com>
      subject: Your code to log in
      body: |
        {{.Name}}, {{.Code}} is your code to log in. It works for {{.Minutes}} minutes.
END
cat >"$dir/neo.yaml" <<END
data: $dir/data
listen: 127.0.0.1:0
public-url: https://localhost:$port
trusted-proxy: [127.0.0.1]
couriers: couriers.yaml
trade-api: $trade
session-ttl: day
consumer-rate: 1000
END
"$neo" config check --config "$dir/neo.yaml"
declare -A pid url
# serve N: starts the service N and waits until it is ready
serve() {
  : >"$dir/neo$1.log"
  "$neo" serve --config "$dir/neo.yaml" --listen "${2:-127.0.0.1:0}" 2>"$dir/neo$1.log" &
  pid[$1]=$!
  pids+=($!)
  await 30 grep -q '"msg":"ready"' "$dir/neo$1.log"
  url[$1]=$(sed -n 's|.*"msg":"ready","url":"http://\([^"]*\)".*|\1|p' "$dir/neo$1.log")
}
serve 1
serve 2

step "nginx with TLS before them"
cat >"$dir/nginx.conf" <<END
daemon off; pid $dir/nginx.pid; error_log $dir/nginx.log; worker_processes 1;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3; uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
  include $dir/front.conf;
}
END
sed -e "s|127.0.0.1:9155|${url[1]}|; s|127.0.0.1:9157|${url[2]}|; s|listen 443|listen 127.0.0.1:$port|; s|/etc/neo/tls|$dir|" \
  deploy/front.conf >"$dir/front.conf"
"$nginx" -p "$dir" -c "$dir/nginx.conf" 2>>"$dir/nginx.log" &
pids+=($!)
base=https://localhost:$port
get() { curl -s -o "$dir/answer" -w '%{http_code}' --cacert "$dir/chain.pem" --max-time 20 "$@" || true; }
ready() { [ "$(get "$base/readyz")" = 200 ]; }
await 30 ready

step "an application and two accounts"
"$neo" consumer add --data "$dir/data" --name Rehearsal --json >"$dir/consumer.json"
key=$(sed -n 's/.*"key": *"\([^"]*\)".*/\1/p' "$dir/consumer.json")
NEO_CONSUMER_SECRET=$(sed -n 's/.*"secret": *"\([^"]*\)".*/\1/p' "$dir/consumer.json")
export NEO_CONSUMER_SECRET
[ -n "$key" ] && [ -n "$NEO_CONSUMER_SECRET" ] || fail "no consumer: $(cat "$dir/consumer.json")"
for i in 1 2; do
  printf 'password=rehearsal-%s\n' "$i-of-two" | "$neo" account add --data "$dir/data" --ucc "RH000$i" --user-id "person$i" \
    --mobile "987654321$i" --name "Person $i" --email "person$i@example.com" >/dev/null
done

# login N: logs person N in, with the code from the mail
login() {
  printf 'rehearsal-%s\n' "$1-of-two" >"$dir/password"
  "$neo" login --env "$base" --ca "$dir/chain.pem" --consumer-key "$key" --user-id "person$1" --password-file "$dir/password" \
    --otp-command "curl -s $boxes/person$1@example.com" --session "$dir/person$1.json" >/dev/null
}
# as N CMD...: runs a command with the session of person N in its environment
as() { local who=$1; shift; "$neo" exec --session "$dir/person$who.json" -- "$@"; }
positions=/Orders/2.0/quick/user/positions
cat >"$dir/call" <<END
#!/bin/sh
# Prints the status of one trade call.
exec curl -s -o "\${OUT:-/dev/null}" -w '%{http_code}\n' --cacert "$dir/chain.pem" --max-time 20 -H "Authorization: Bearer \$NEO_ACCESS_TOKEN" \\
  -H "Sid: \$NEO_SID" -H "Auth: \$NEO_TOKEN" "$base$positions"
END
cat >"$dir/load" <<END
#!/bin/sh
# Calls until the file "done" is there, and prints each status.
until [ -e "$dir/done" ]; do "$dir/call"; done
END
chmod +x "$dir/call" "$dir/load"

step "they log in, with codes by e-mail, and trade"
login 1
login 2
for i in 1 2; do
  [ "$(OUT=$dir/answer as "$i" "$dir/call")" = 200 ] || fail "person $i cannot trade: $(cat "$dir/answer")"
  grep -q "\"ucc\":\"RH000$i\"" "$dir/answer" || fail "the trade API got somebody else's call: $(cat "$dir/answer")"
done

step "under load one service is killed: no session is lost"
workers=()
for i in 1 2 3; do
  as 1 "$dir/load" >"$dir/load$i.txt" &
  workers+=($!)
  pids+=($!)
done
calls() { cat "$dir"/load?.txt 2>/dev/null | wc -l; }
more() { [ "$(calls)" -ge "$1" ]; }
await 60 more 30
{ kill -9 "${pid[1]}" && wait "${pid[1]}"; } 2>/dev/null || true
await 60 more $(($(calls) + 60))
serve 1 "${url[1]}"
await 60 more $(($(calls) + 30))

step "under load the signing key is rotated, and an account is revoked"
"$neo" key rotate --data "$dir/data" >/dev/null
await 60 more $(($(calls) + 30))
login 2
[ "$(as 2 "$dir/call")" = 200 ] || fail "person 2 cannot trade after the rotation"
"$neo" account revoke --data "$dir/data" RH0002 --all >/dev/null
sleep 1 # bar S4
for i in 1 2; do # each service
  [ "$(as 2 "$dir/call")" = 403 ] || fail "a revoked session still trades"
done
: >"$dir/done"
wait "${workers[@]}"
bad=$(cat "$dir"/load?.txt | sort | uniq -c | grep -v ' 200$' || true)
[ -z "$bad" ] || fail "calls under load that were not answered by 200: $bad"
[ "$(as 1 "$dir/call")" = 200 ] || fail "person 1 has lost the session"

step "both end in order"
for i in 1 2; do
  kill -TERM "${pid[$i]}"
  wait "${pid[$i]}" || fail "service $i ended with $?"
done
echo "rehearsal: all good, $(calls) trade calls under load, none lost"
