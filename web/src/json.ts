// JSON whose numbers stay what was sent: each becomes the string of its own digits.

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** As `JSON.parse`, but every number is a string. Throws on what is no JSON. */
export function parseExact(text: string): unknown {
  return JSON.parse(text.replace(TOKEN, (token) => (token.startsWith('"') ? token : `"${token}"`)));
}

const ITEM = /^\{"id":(\d+),"event":"([a-z_]+)","data":(.*)\}$/s;

export interface RawEvent {
  id: number;
  kind: string;
  /** The event's JSON as the gateway sent it. */
  text: string;
}

/** The events of a page of the log, each with its own text. */
export function rawEvents(page: string): RawEvent[] {
  const events: RawEvent[] = [];
  const start = page.indexOf('[') + 1;
  let [depth, from] = [0, start];
  for (const { 0: token, index } of page.slice(start).matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '{' || token === '[') {
      if (depth === 0) from = start + index;
      depth += 1;
    } else if (token === '}' || token === ']') {
      depth -= 1;
      if (depth < 0) break;
      const match = depth === 0 ? ITEM.exec(page.slice(from, start + index + 1)) : null;
      if (match) events.push({ id: Number(match[1]), kind: match[2] ?? '', text: match[3] ?? '' });
    }
  }
  return events;
}

/** The same JSON over several lines; no digit and no letter of it is changed. */
export function pretty(text: string): string {
  let indent = '';
  return text.replace(/"(?:[^"\\]|\\.)*"|[[\]{},:]/g, (token, at: number) => {
    if (token === ':') return ': ';
    if (token === ',') return `,\n${indent}`;
    if (token === '{' || token === '[') {
      if (text[at + 1] === (token === '{' ? '}' : ']')) return token;
      indent += '  ';
      return `${token}\n${indent}`;
    }
    if (token === '}' || token === ']') {
      if (text[at - 1] === (token === '}' ? '{' : '[')) return token;
      indent = indent.slice(2);
      return `\n${indent}${token}`;
    }
    return token;
  });
}
