// What one would write in JavaScript: a better-sse channel on node:http. `node better_sse.mjs PORT`
//
// POST /publish takes the JSON of an event, GET /api/stream sends it to every subscriber.

import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const channel = createChannel();
let lastId = 0;

const server = createServer({ noDelay: true }, async (request, response) => {
    if (request.method === "POST") {
        let body = "";
        for await (const piece of request) body += piece;
        channel.broadcast(JSON.parse(body), "market", { eventId: String(++lastId) });
        response.setHeader("Content-Type", "application/json");
        response.end('{"ok":true}');
    } else {
        channel.register(await createSession(request, response));
    }
});
server.keepAliveTimeout = 600_000;
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
