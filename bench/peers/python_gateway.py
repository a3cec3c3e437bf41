"""A thread-per-request gateway of the kind the first VeloZ was: the standard library's HTTP server,
state in memory behind one lock, a queue per subscriber. It does less than VeloZ (nothing is stored,
nothing is matched) and is tuned as far as its kind goes: keep-alive, no Nagle, one write an answer."""

import argparse
import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Lock()
ORDERS = {}
SUBSCRIBERS = []
LAST_ID = 0


def emit(kind, payload):
    """Numbers an event and hands it to every subscriber. Called with LOCK held."""
    global LAST_ID
    LAST_ID += 1
    data = json.dumps(payload, separators=(",", ":"))
    frame = f"id: {LAST_ID}\nevent: {kind}\ndata: {data}\n\n".encode()
    for subscriber in SUBSCRIBERS:
        subscriber.put(frame)


def update(order_id, order, status):
    emit("order_update", {"type": "order_update", "ts_ns": time.time_ns(), "client_order_id": order_id,
                          "status": status, "symbol": order["symbol"], "side": order["side"],
                          "qty": order["qty"], "price": order["price"], "reason": ""})


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
        order_id = body["client_order_id"]
        with LOCK:
            if self.path == "/api/order":
                ORDERS[order_id] = body
                update(order_id, body, "ACCEPTED")
            else:
                update(order_id, ORDERS[order_id], "CANCELLED")
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


def market(interval):
    while True:
        with LOCK:
            emit("market", {"type": "market", "symbol": "BTCUSDT", "ts_ns": time.time_ns(), "price": 50000.0})
        time.sleep(interval)


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--market-interval", type=float, default=0.2)
    args = parser.parse_args()
    threading.Thread(target=market, args=(args.market_interval,), daemon=True).start()
    Server(("127.0.0.1", args.port), Handler).serve_forever()
