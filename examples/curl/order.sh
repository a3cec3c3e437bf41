#!/usr/bin/env bash
# Places a limit order, looks at it and takes it back. With its own client_order_id it is safe to send
# again after a time-out: the same id never makes a second order.
set -euo pipefail
url=${VELOZ_URL:-http://127.0.0.1:8080}
id=example-$(date +%s)-$$
json=(--silent --show-error -H 'Content-Type: application/json')

curl "${json[@]}" "$url/api/order" --data "{\"client_order_id\":\"$id\",
    \"side\":\"BUY\",\"symbol\":\"BTCUSDT\",\"qty\":\"0.001\",\"price\":\"20000\"}" | jq -c .
curl "${json[@]}" "$url/api/order_state?client_order_id=$id" | jq -c '{status, order_qty, executed_qty}'
curl "${json[@]}" "$url/api/cancel" --data "{\"client_order_id\":\"$id\"}" | jq -c .
