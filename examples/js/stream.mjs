// Follows the stream in Node and survives every disconnection: EventSource reconnects by itself and
// sends the id of the last event it saw, so nothing is lost and nothing comes twice.
//
//   npm install
//   node stream.mjs [URL]        e.g. 'http://127.0.0.1:8080/api/stream?last_id=0' for all that is kept
import { EventSource } from 'eventsource';

const url = new URL(process.argv[2] ?? 'http://127.0.0.1:8080/api/stream');
if (!url.searchParams.has('last_id')) url.searchParams.set('last_id', await newest());
const source = new EventSource(url);

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

// Where "from now on" is, so that a connection cut before its first event loses nothing either: the
// stream says so in a block without data, which this library (unlike browsers) lets go.
async function newest() {
  for (;;) {
    try {
      const answer = await fetch(new URL('events?limit=1', url));
      return (await answer.json()).newest;
    } catch (error) {
      console.error(`disconnected: ${error.cause?.message ?? error.message}`);
      await new Promise((again) => setTimeout(again, 1000));
    }
  }
}
