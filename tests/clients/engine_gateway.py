"""A gateway as the first VeloZ's: it runs the engine, writes commands and reads events, line by line."""

import json
import subprocess
import sys

engine = subprocess.Popen(
    [sys.argv[1], "engine", "--stdio", "--sim-interval-ms", "5", "--sim-seed", "7"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def send(command):
    engine.stdin.write(command + "\n")
    engine.stdin.flush()


def wait_for(**wanted):
    for line in engine.stdout:
        line = line.strip()
        if not line:
            continue
        event = json.loads(line)
        if all(event.get(key) == value for key, value in wanted.items()):
            return event
    sys.exit(f"the engine ended before {wanted}")


wait_for(type="engine_started")
price = wait_for(type="market", symbol="BTCUSDT")["price"]
send(f"ORDER BUY BTCUSDT 0.001 {round(price * 1.05, 2)} web-1")
wait_for(type="order_update", client_order_id="web-1", status="ACCEPTED")
print("filled", wait_for(type="fill", client_order_id="web-1")["qty"])
print(wait_for(type="order_update", client_order_id="web-1", status="FILLED")["status"])
send(f"ORDER SELL BTCUSDT 0.001 {round(price * 1.5, 2)} web-2")
wait_for(type="order_update", client_order_id="web-2", status="ACCEPTED")
send("CANCEL web-2")
print(wait_for(type="order_update", client_order_id="web-2", status="CANCELLED")["status"])
engine.stdin.close()
wait_for(type="engine_stopped")
sys.exit(engine.wait(timeout=30))
