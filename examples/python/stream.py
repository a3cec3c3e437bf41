"""Follows the stream and survives every disconnection.

    pip install sseclient-py requests
    python stream.py [URL [LAST_ID]]        LAST_ID 0 is the oldest event kept

Two packages are called sseclient. `sseclient-py` (this one) reads a response that is already open
and has `client.events()`; `sseclient` takes a URL and has not. Neither resumes as it should: this does.
"""

import json
import random
import sys
import time
from urllib.parse import urljoin

import requests
import sseclient
import urllib3


class Arriving:
    """A response's body as it arrives: `requests` itself would wait for 128 bytes."""

    def __init__(self, response):
        self.response = response

    def __iter__(self):
        return iter(lambda: self.response.raw.read1(65536), b"")

    def close(self):
        self.response.close()


def follow(url, last_id=None):
    """Yields (id, type, data) of every event, each once, for ever."""
    wait = 0.1
    while True:
        try:
            if last_id is None:
                # Where "from now on" is: a connection cut before its first event loses nothing
                # either. The stream says so in a block without data, which the library lets go.
                page = requests.get(urljoin(url, "events?limit=1"), timeout=(5, 30))
                page.raise_for_status()
                last_id = page.json()["newest"]
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last_id)}
            # The gateway is never silent for more than 10 s: 30 s of silence is a dead connection.
            with requests.get(url, headers=headers, stream=True, timeout=(5, 30)) as response:
                if 400 <= response.status_code < 500 and response.status_code != 429:
                    sys.exit(f"refused: {response.text}")
                response.raise_for_status()
                for event in sseclient.SSEClient(Arriving(response)).events():
                    try:
                        data = json.loads(event.data)
                    except ValueError:
                        break  # Cut in the middle of an event; the library yields it all the same.
                    last_id = event.id or last_id
                    wait = 0.1
                    yield event.id, event.event, data
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as problem:
            print(f"disconnected: {problem}", file=sys.stderr)
        time.sleep(wait * random.uniform(0.5, 1))
        wait = min(wait * 2, 5)


if __name__ == "__main__":
    arguments = sys.argv[1:] or ["http://127.0.0.1:8080/api/stream"]
    for number, kind, body in follow(*arguments):
        print(number, kind, json.dumps(body), flush=True)
