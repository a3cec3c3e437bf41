"""An engine that keeps its orders in a file and plays one trick: stub_engine.py STATE [TRICK].

It takes limit orders and lets them stand; an order at any price is filled at once. Tricks: see TRICKS.
"""

import json
import os
import sys
import threading
import time

state_file, trick = sys.argv[1], (sys.argv[2:] or ["good"])[0]
TRICKS = {"good", "flood", "stall", "garbage", "dies", "dies_accepting", "dies_taking", "dies_forgetting",
          "dies_once_forgetting", "dies_cancelling", "twice", "late", "mute", "sums"}
assert trick in TRICKS, trick
lock = threading.Lock()


def load():
    try:
        with open(state_file) as file:
            return json.load(file)
    except FileNotFoundError:
        return {"starts": 0, "orders": {}, "asked": []}


def store():
    with open(state_file + ".new", "w") as file:
        json.dump(state, file)
    os.replace(state_file + ".new", state_file)


def write(data):
    with lock:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def say(**event):
    write(json.dumps(event).encode() + b"\n")


def update(order, status, **more):
    order["status"] = status
    store()
    say(type="order_update", ts_ns=time.time_ns(), client_order_id=order["client_order_id"],
        venue_order_id=order["venue_order_id"], status=status, **more)


def fill(order, trade_id):
    say(type="fill", ts_ns=time.time_ns(), client_order_id=order["client_order_id"],
        symbol=order["symbol"], qty=order["order_qty"], price=50000, trade_id=trade_id)


def execute(order):
    order.update(executed_qty=order["order_qty"], avg_price=50000, status="FILLED")
    store()


def place(side, symbol, qty, price, name, kind="LIMIT", tif="GTC"):
    order = {"type": "order_state", "client_order_id": name, "status": "ACCEPTED", "symbol": symbol,
             "side": side, "order_qty": float(qty), "venue_order_id": f"stub-{len(state['orders'])}",
             "executed_qty": 0, "avg_price": 0, "order_type": kind, "time_in_force": tif}
    if kind == "LIMIT":
        order["limit_price"] = float(price)
    if trick == "dies_forgetting" or (trick == "dies_once_forgetting" and state["starts"] == 1):
        os._exit(4)
    state["orders"][name] = order
    store()
    if trick == "dies_taking" and state["starts"] == 1:
        execute(order)
        os._exit(5)
    if trick == "late":
        time.sleep(7)
    update(order, "ACCEPTED")
    if trick == "dies_accepting" and state["starts"] == 1:
        os._exit(6)
    if kind == "MARKET":
        execute(order)
        if trick != "sums":
            fill(order, 1)
        if trick == "twice":
            fill(order, 1)
        update(order, "FILLED")
    if trick == "twice":
        say(type="order_update", client_order_id=name, status="ACCEPTED")
        say(type="order_update", client_order_id=name, status="REJECTED", reason="no, after all")


def query(what, name=None):
    if what == "account":
        return say(type="query_done", n=0)
    if what == "order":
        state["asked"].append(name)
        store()
    orders = state["orders"].values()
    found = [order for order in orders if order["client_order_id"] == name] if what == "order" else [
        order for order in orders if order["status"] == "ACCEPTED"]
    for order in found:
        say(**order)
    say(type="query_done", n=len(found))


def obey(verb, words):
    if verb == "ORDER":
        return place(*words)
    if verb == "CANCEL" and trick == "dies_cancelling" and state["starts"] == 1:
        os._exit(7)
    if verb == "CANCEL" and words[0] in state["orders"]:
        return update(state["orders"][words[0]], "CANCELLED")
    if verb == "QUERY" and trick != "mute":
        return query(*words)
    say(type="error", ts_ns=time.time_ns(), message=f"what is {verb}?")


def garbage():
    write(b"hello\n\xff\xfe\x00\n{\"type\":\n[1,2]\n{\"type\":\"weather\",\"rain\":true}\n\n")
    write(b"x" * (10 << 20) + b"\n")
    write(b'{"type":"fill","client_order_id":"nobody","qty":0.30000000000000004,"price":1}\n')
    write(b'{"type":"market","symbol":"BTCUSDT","price":"NaN"}\n')
    write(b'{"type":"order_update","client_order_id":"no such order","status":"ACCEPTED"}\n')
    sys.stderr.write("this goes to the log\n" * 5)
    sys.stderr.flush()


def flood():
    events = b'{"type":"weather"}\nnothing\n' * 200
    prices = b"".join(b'{"type":"market","symbol":"BTCUSDT","ts_ns":1,"price":%d}\n' % (50000 + n)
                      for n in range(200))
    while True:
        write(events + prices)


state = load()
state["starts"] += 1
store()
if trick == "dies":
    sys.exit(3)
if trick != "mute":
    say(type="engine_started", version="stub")
if trick == "stall":
    time.sleep(3600)
if trick == "garbage":
    garbage()
if trick == "flood":
    threading.Thread(target=flood, daemon=True).start()
count = 0
for line in sys.stdin:
    count += 1
    verb, *words = line.split()
    obey(verb, words)
if trick == "garbage":
    write(b'{"type":"engine_sto')
else:
    say(type="engine_stopped", commands_processed=count)
os._exit(0)
