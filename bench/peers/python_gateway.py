"""A thread-per-request gateway of the kind the first VeloZ was: the standard library's HTTP server, state
in memory behind one lock, a queue per subscriber, and the engine in a process of its own, spoken to in
lines over its standard input and output. An order is answered when the engine has taken it, as VeloZ
does. It does less than VeloZ (nothing is stored, nothing is matched) and is tuned as far as its kind
goes: keep-alive, no Nagle, one write an answer. With --per-request it is left as the library has it:
HTTP/1.0, so each request is a connection and a thread."""

import argparse
import json
import queue
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Lock()
ORDERS = {}
SUBSCRIBERS = []
LAST_ID = 0
WAITING = {}
ENGINE = None
ENGINE_LOCK = threading.Lock()


def emit(kind, payload):
    """Numbers an event and hands it to every subscriber. Called with LOCK held."""
    global LAST_ID
    LAST_ID += 1
    data = json.dumps(payload, separators=(",", ":"))
    frame = f"id: {LAST_ID}\nevent: {kind}\ndata: {data}\n\n".encode()
    for subscriber in SUBSCRIBERS:
        subscriber.put(frame)


def engine():
    """The engine's process: takes every order, cancels every order."""
    orders = {}
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "ORDER":
            side, symbol, qty, price, order_id = words
            order, status = orders.setdefault(order_id, (side, symbol, qty, price)), "ACCEPTED"
        else:
            order_id, status = words[0], "CANCELLED"
            order = orders[order_id]
        side, symbol, qty, price = order
        update = {"type": "order_update", "ts_ns": time.time_ns(), "client_order_id": order_id, "status": status,
                  "symbol": symbol, "side": side, "qty": float(qty), "price": float(price), "reason": ""}
        print(json.dumps(update), flush=True)


def listen():
    """Takes what the engine says: keeps it, sends it on, wakes whoever waits for it."""
    for line in ENGINE.stdout:
        update = json.loads(line)
        order_id = update["client_order_id"]
        with LOCK:
            ORDERS[order_id] = update
            emit("order_update", update)
            waiting = WAITING.pop(order_id, None)
        if waiting:
            waiting.set()


def ask(order_id, line):
    done = threading.Event()
    with LOCK:
        WAITING[order_id] = done
    with ENGINE_LOCK:
        ENGINE.stdin.write(line)
        ENGINE.stdin.flush()
    done.wait(5)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        pass

    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/publish":
            with LOCK:
                emit("market", body)
            return self.answer({"ok": True})
        order_id = body["client_order_id"]
        if self.path == "/api/order":
            words = (body["side"], body["symbol"], body["qty"], body["price"], order_id)
            ask(order_id, "ORDER {} {} {} {} {}\n".format(*words))
        else:
            ask(order_id, f"CANCEL {order_id}\n")
        self.answer({"ok": True, "client_order_id": order_id})

    def do_GET(self):
        frames = queue.Queue()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.flush()
        with LOCK:
            SUBSCRIBERS.append(frames)
        try:
            while True:
                self.wfile.write(frames.get())
                self.wfile.flush()
        except OSError:
            with LOCK:
                SUBSCRIBERS.remove(frames)


class PlainHandler(Handler):
    protocol_version = BaseHTTPRequestHandler.protocol_version
    disable_nagle_algorithm = BaseHTTPRequestHandler.disable_nagle_algorithm
    wbufsize = BaseHTTPRequestHandler.wbufsize


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", action="store_true", help="be the engine")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--per-request", action="store_true", help="HTTP/1.0, a connection for each request")
    args = parser.parse_args()
    if args.engine:
        sys.exit(engine())
    ENGINE = subprocess.Popen([sys.executable, __file__, "--engine"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    threading.Thread(target=listen, daemon=True).start()
    Server(("127.0.0.1", args.port), PlainHandler if args.per_request else Handler).serve_forever()
