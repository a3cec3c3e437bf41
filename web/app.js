// The status page: one stream, everything shown as text.
"use strict";

const EVENTS_SHOWN = 30;
const byId = (id) => document.getElementById(id);

// Decimals are shown as they were sent: JSON.parse would take them through floats.
const field = (text, name) =>
  new RegExp(`"${name}":("?)([^",}\\]]*)\\1`).exec(text)?.[2] ?? "";

const rows = new Map();

function show(tableId, key, cells) {
  const id = `${tableId} ${key}`;
  let row = rows.get(id);
  if (!row) {
    row = byId(tableId).insertRow();
    rows.set(id, row);
  }
  while (row.cells.length < cells.length) row.insertCell();
  cells.forEach((text, i) => {
    row.cells[i].textContent = text;
  });
}

function hide(tableId, key) {
  const id = `${tableId} ${key}`;
  rows.get(id)?.remove();
  rows.delete(id);
}

function list(event) {
  const item = document.createElement("li");
  item.textContent = `${event.lastEventId} ${event.type} ${event.data}`;
  const events = byId("events");
  events.prepend(item);
  while (events.children.length > EVENTS_SHOWN) events.lastElementChild.remove();
}

const handlers = {
  market: (data) => show("prices", field(data, "symbol"), [field(data, "symbol"), field(data, "price")]),
  account: (data) => {
    for (const [balance] of data.matchAll(/\{"asset":[^}]*\}/g)) {
      const asset = field(balance, "asset");
      show("balances", asset, [asset, field(balance, "free"), field(balance, "locked")]);
    }
  },
  order_state: (data) => {
    const id = field(data, "client_order_id");
    const cells = ["symbol", "side", "order_qty", "limit_price", "executed_qty"];
    if (["ACCEPTED", "PARTIALLY_FILLED"].includes(field(data, "status"))) {
      show("orders", id, [id, ...cells.map((name) => field(data, name))]);
    } else {
      hide("orders", id);
    }
  },
  order_update: () => {},
  fill: () => {},
  gap: () => {},
};

function connection(state, text) {
  byId("connection").dataset.state = state;
  byId("connection").textContent = text;
}

const stream = new EventSource("/api/stream?snapshot=1");
stream.onopen = () => connection("open", "connected");
for (const [type, handle] of Object.entries(handlers)) {
  stream.addEventListener(type, (event) => {
    handle(event.data);
    if (event.lastEventId) byId("last-id").textContent = event.lastEventId;
    if (type !== "market") list(event);
  });
}
stream.addEventListener("snapshot", (event) => {
  byId("last-id").textContent = event.lastEventId;
});
// The gateway's own error events carry data, the browser's do not.
stream.addEventListener("error", (event) => {
  if (event.data) list(event);
  else connection("lost", "connection lost, trying again");
});
