// Every event as it was sent: pause, filter, search, raw JSON.

import { signal } from '@preact/signals';
import { live, log, type LogEntry } from '../store';
import { Empty, Time } from '../text';

const MOST_SHOWN = 100;
const KINDS = ['order_update', 'fill', 'order_state', 'account', 'error', 'market'];
const hidden = signal<ReadonlySet<string>>(new Set(['market']));
const search = signal('');
const paused = signal<LogEntry[] | undefined>(undefined);

function toggle(kind: string): void {
  const next = new Set(hidden.value);
  if (!next.delete(kind)) next.add(kind);
  hidden.value = next;
}

/** The newest that pass; a number searches for an id. */
function chosen(entries: LogEntry[]): LogEntry[] {
  const words = search.value.toLowerCase();
  const found: LogEntry[] = [];
  for (const entry of entries) {
    if (hidden.value.has(entry.kind)) continue;
    if (words !== '' && String(entry.id) !== words && !entry.text.toLowerCase().includes(words)) continue;
    found.push(entry);
    if (found.length === MOST_SHOWN) break;
  }
  return found;
}

export function Log() {
  return (
    <section class="panel log" aria-labelledby="log-title">
      <div class="bar">
        <h2 id="log-title">Events</h2>
        <div class="choices" role="group" aria-label="Types shown">
          {KINDS.map((kind) => <button key={kind} aria-pressed={!hidden.value.has(kind)} onClick={() => toggle(kind)}>{kind}</button>)}
        </div>
        <span class="space" />
        <input id="log-search" type="search" placeholder="Search, or an id" aria-label="Search events" value={search.value} onInput={(e) => { search.value = e.currentTarget.value.trim(); }} />
        <button aria-pressed={paused.value !== undefined} onClick={() => { paused.value = paused.value ? undefined : [...log.now]; }}>{paused.value ? 'Go on' : 'Pause'}</button>
      </div>
      <div class="scroll" tabIndex={0} role="group" aria-labelledby="log-title"><Entries /></div>
    </section>
  );
}

function Entries() {
  const entries = chosen(paused.value ?? log.read());
  return (
    <table id="log">
      <thead><tr><th scope="col" class="n">Id</th><th scope="col">Time</th><th scope="col">Type</th><th scope="col" class="raw">Data, as sent</th></tr></thead>
      <tbody>
        {entries.length === 0 ? <Empty columns={4}>{live.value ? 'No such event since the page was opened.' : 'No events yet.'}</Empty> : null}
        {entries.map((entry) => <tr key={entry.id} data-kind={entry.kind}><td class="n">{entry.id}</td><td><Time ns={entry.tsNs} /></td><td>{entry.kind}</td><td class="raw">{entry.text}</td></tr>)}
      </tbody>
    </table>
  );
}
