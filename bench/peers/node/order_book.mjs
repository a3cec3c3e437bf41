// npm's nodejs-order-book under the load that our engine has (bench/src/engine_load.rs).
// `node order_book.mjs RESTING OPERATIONS`

import { OrderBook } from "nodejs-order-book";

const [resting, operations] = process.argv.slice(2).map(Number);
const levels = 1000;
const book = new OrderBook();
const live = [];
let nextId = 1;
let seed = 0x9e3779b9;

function below(limit) {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) % limit;
}

function check(result) {
    if (result.err) throw result.err;
}

function place() {
    const id = String(nextId++);
    live.push(id);
    check(book.limit({ id, side: "buy", size: 1, price: 49000 + below(levels) }));
}

function cancel() {
    const index = below(live.length);
    const id = live[index];
    live[index] = live[live.length - 1];
    live.pop();
    if (!book.cancel(id)) throw new Error(`order ${id} was not cancelled`);
}

function take() {
    const result = book.market({ side: "buy", size: 1 });
    check(result);
    if (result.partial === null && result.done.length === 0) throw new Error("did not fill");
}

function operation(number) {
    const step = number % 11;
    if (step === 10) take();
    else if (step % 2 === 0) place();
    else cancel();
}

check(book.limit({ id: "ask", side: "sell", size: 1e9, price: 50000 }));
const empty = process.memoryUsage.rss();
for (let i = 0; i < resting; i++) place();
const full = process.memoryUsage.rss();
for (let i = 0; i < operations / 10; i++) operation(i);
const began = process.hrtime.bigint();
for (let i = 0; i < operations; i++) operation(i);
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
const times = new Float64Array(operations);
for (let i = 0; i < operations; i++) {
    const start = process.hrtime.bigint();
    operation(i);
    times[i] = Number(process.hrtime.bigint() - start);
}
times.sort();
const at = (quantile) => times[Math.min(operations - 1, Math.floor(operations * quantile))];
console.log(JSON.stringify({
    resting, closed: 0, operations, operations_per_second: Math.round(operations / seconds),
    p50_ns: at(0.5), p99_ns: at(0.99), p999_ns: at(0.999), max_ns: at(1),
    bytes_per_resting: Math.round((full - empty) / resting), bytes_per_closed: null,
}));
