// Follows the stream in Node and survives every disconnection: EventSource reconnects by itself and
// sends the id of the last event it saw, so nothing is lost and nothing comes twice.
//
//   npm install
//   node stream.mjs [URL]        e.g. 'http://127.0.0.1:8080/api/stream?last_id=0' for all that is kept
import { EventSource } from 'eventsource';

const source = new EventSource(process.argv[2] ?? 'http://127.0.0.1:8080/api/stream');

// Named events do not reach `onmessage`: listen for each type (or add ?named=0 to the URL).
const types = ['market', 'order_update', 'fill', 'order_state', 'account', 'error', 'gap'];
for (const type of types) {
  source.addEventListener(type, (event) => {
    // EventSource's own "error" (connection lost, it comes back) has no data; the gateway's has.
    if (event.data === undefined) {
      console.error(`disconnected: ${event.message ?? 'the connection was lost'}`);
      if (source.readyState === EventSource.CLOSED) process.exitCode = 1;
    } else {
      console.log(event.lastEventId, type, event.data);
    }
  });
}
