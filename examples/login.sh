#!/bin/sh
# The whole life of a session with curl alone: access token, login, one-time
# code, session_2fa, an order, logout. Start a sandbox first, then run it:
#
#   neo sandbox
#   sh examples/login.sh [URL]        # default: http://127.0.0.1:9155
#
# The final session goes to standard output as JSON, what happens to standard
# error. The first step that fails ends the script with exit code 1.
#
# These secrets are the sandbox's and public. With your own, remember that other
# users of the machine can read curl's arguments: keep them in files that only
# you can read, and give them to curl as -d @FILE and -H @FILE.
set -eu

url=${1:-http://127.0.0.1:9155}
url=${url%/}
key=sandbox-consumer
secret=sandbox-secret
mobile=+919999999908
ucc=TESTYA24
password=sandbox-password

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "login.sh: $*"
  exit 1
}

# request STEP STATUS CURL-ARGUMENTS... sends one request, checks the status of
# the answer, and leaves its body in $answer.
request() {
  step=$1
  want=$2
  shift 2
  say "$step"
  answer=$(curl -sS --max-time 30 -w '\n%{http_code}' "$@") ||
    fail "$step: no answer from $url. Is the service running? neo sandbox starts one"
  status=$(printf '%s\n' "$answer" | sed -n '$p')
  answer=$(printf '%s\n' "$answer" | sed '$d')
  [ "$status" = "$want" ] || fail "$step: status $status where $want was expected: $answer"
}

# field NAME prints a text field of the JSON on standard input.
field() {
  value=$(sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p")
  [ -n "$value" ] || fail "$step: the answer has no $1"
  printf '%s\n' "$value"
}

# claims TOKEN prints what a JWT says: the middle one of its three parts, in
# base64url without padding.
claims() {
  part=$(printf '%s' "$1" | cut -d. -f2 | tr '_-' '/+')
  while [ $((${#part} % 4)) -ne 0 ]; do part=$part=; done
  printf '%s' "$part" | base64 -d
}

json='Content-Type: application/json'

# The consumer, which is your application, shows who it is.
request '1. access token' 200 "$url/oauth2/token" \
  -u "$key:$secret" -H "$json" -d '{"grant_type":"client_credentials"}'
access=$(printf '%s\n' "$answer" | field access_token)

# The first factor gives a view session: a token, which names the user, and a sid.
request '2. login by mobile number and password' 200 "$url/login/1.0/login/v2/validate" \
  -H "Authorization: Bearer $access" -H "$json" \
  -d "{\"mobileNumber\":\"$mobile\",\"password\":\"$password\"}"
view=$(printf '%s\n' "$answer" | field token)
sid=$(printf '%s\n' "$answer" | field sid)
user=$(claims "$view" | field sub)

# The code reaches the user's phone. The sandbox has an inbox instead.
request '3. one-time code' 201 "$url/login/1.0/login/otp/generate" \
  -H "Authorization: Bearer $access" -H "$json" \
  -d "{\"userId\":\"$user\",\"sendEmail\":true,\"isWhitelisted\":true}"
request '   read it in the inbox of the sandbox' 200 "$url/sandbox/otp/$ucc?wait=5s"
otp=$answer

# The second factor goes to the same address as the first: the headers sid and
# Auth make the difference. It gives the trade session. The sid stays the same.
request '4. session_2fa by one-time code' 200 "$url/login/1.0/login/v2/validate" \
  -H "Authorization: Bearer $access" -H "sid: $sid" -H "Auth: $view" -H "$json" \
  -d "{\"userId\":\"$user\",\"otp\":\"$otp\"}"
session=$answer
token=$(printf '%s\n' "$session" | field token)
server=$(printf '%s\n' "$session" | field hsServerId)

# Every later call carries the trade token and the sid. The order is on paper: the
# sandbox has an exchange of its own.
request '5. an order' 200 "$url/Orders/2.0/quick/order/rule/ms/place?sId=$server" \
  -H "Authorization: Bearer $access" -H "Sid: $sid" -H "Auth: $token" \
  --data-urlencode 'jData={"es":"nse_cm","ts":"TCS-EQ","tt":"B","qt":"1","pt":"MKT","pr":"0","pc":"CNC","rt":"DAY"}'
say "   $answer"

request '6. what became of it' 200 "$url/Orders/2.0/quick/user/orders?sId=$server" \
  -H "Authorization: Bearer $access" -H "Sid: $sid" -H "Auth: $token"
say "   $(printf '%s\n' "$answer" | field ordSt) at $(printf '%s\n' "$answer" | field avgPrc)"

request '7. logout' 200 "$url/login/1.0/logout" \
  -H "Authorization: Bearer $access" -H "Sid: $sid" -H "Auth: $token" -d ''

request '8. the orders again: refused, because the session has ended' 403 \
  "$url/Orders/2.0/quick/user/orders?sId=$server" \
  -H "Authorization: Bearer $access" -H "Sid: $sid" -H "Auth: $token"
say "   $answer"

printf '%s\n' "$session"
