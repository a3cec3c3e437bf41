// Every event as it was sent: live, paused, filtered, searched; any event of the log by its id.

import { computed, signal } from '@preact/signals';
import { ask, messageOf } from '../api';
import { entriesOf } from '../history';
import { parseExact, pretty } from '../json';
import { MOST_LOG_ENTRIES, type LogEntry } from '../state';
import type { Kind } from '../stream';
import { instruments, live, log, readings } from '../store';
import { Time } from '../text';
import { Missing } from './Banner';
import { Table, type Shown } from './Table';

const KINDS: Kind[] = ['order_update', 'fill', 'order_state', 'account', 'error', 'market'];
/** Events on each side of the one that was jumped to. */
const AROUND = 200;

const hidden = signal<ReadonlySet<Kind>>(new Set<Kind>(['market']));
const search = signal('');
const onlySymbol = signal('');
/** The entries as they were when it was paused. */
const paused = signal<LogEntry[] | undefined>(undefined);
/** A piece of the log that was asked for, around this id. */
const piece = signal<{ id: number; entries: LogEntry[]; oldest: number; newest: number } | undefined>(undefined);
const chosen = signal<LogEntry | undefined>(undefined);
const told = signal('');

function toggle(kind: Kind): void {
  const next = new Set(hidden.value);
  if (!next.delete(kind)) next.add(kind);
  hidden.value = next;
}

export function togglePause(): void {
  piece.value = undefined;
  paused.value = paused.value ? undefined : [...log.now.items];
}

/** Shows one order's events, or whatever else holds these words. */
export function searchLog(words: string): void {
  search.value = words;
  piece.value = undefined;
  document.getElementById('log-search')?.focus();
}

/** Shows the log around an event, however long ago it was. */
export async function jump(id: number): Promise<void> {
  told.value = '';
  if (!Number.isSafeInteger(id) || id < 1) {
    told.value = 'An id is a whole number above zero.';
    return;
  }
  try {
    const page = await ask(`/api/events?after=${Math.max(0, id - AROUND - 1)}&limit=${2 * AROUND + 1}`);
    const { oldest, newest } = parseExact(page) as { oldest: string; newest: string };
    const entries = entriesOf(page);
    const found = entries.find((entry) => entry.id === id);
    piece.value = { id, entries, oldest: Number(oldest), newest: Number(newest) };
    chosen.value = found;
    if (!found) told.value = id > Number(newest) ? `The newest event is ${newest}.` : id < Number(oldest) ? `The oldest event kept is ${oldest}.` : `Event ${id} is not kept any more.`;
  } catch (error) {
    told.value = messageOf(error);
  }
}

/** Newest first, as far as they pass. The one that was jumped to always does. */
const shown = computed(() => {
  const entries = piece.value?.entries ?? paused.value ?? log.read().items;
  const words = search.value.toLowerCase();
  const found: LogEntry[] = [];
  for (let i = entries.length - 1; i >= 0; i -= 1) {
    const entry = entries[i];
    if (entry && (entry.id === piece.value?.id || passes(entry, words))) found.push(entry);
  }
  return found;
});

function passes(entry: LogEntry, words: string): boolean {
  if (hidden.value.has(entry.kind)) return false;
  if (onlySymbol.value !== '' && entry.symbol !== '' && entry.symbol !== onlySymbol.value) return false;
  return words === '' || String(entry.id) === words || entry.text.toLowerCase().includes(words);
}

const COLUMNS: Shown<LogEntry>[] = [
  { key: 'event', name: 'Id', kind: 'number', value: (row) => String(row.id) },
  { key: 'changed', name: 'Time', kind: 'time', value: (row) => row.tsNs, show: (row) => <Time ns={row.tsNs} /> },
  { key: 'kind', name: 'Type', kind: 'text', value: (row) => row.kind },
  { key: 'raw', name: 'Data, as sent', kind: 'text', value: (row) => row.text, show: (row) => <button class="link raw" onClick={() => { chosen.value = row; }}>{row.text}</button> },
];

export function Log() {
  return (
    <section class="panel log" aria-labelledby="log-title">
      <div class="bar">
        <h2 id="log-title">Events</h2>
        <div class="choices" role="group" aria-label="Types shown">
          {KINDS.map((kind) => <button key={kind} aria-pressed={!hidden.value.has(kind)} onClick={() => toggle(kind)}>{kind}</button>)}
        </div>
        <select id="log-symbol" aria-label="Symbol" value={onlySymbol.value} onChange={(e) => { onlySymbol.value = e.currentTarget.value; }}>
          <option value="">All symbols</option>
          {[...instruments.value.keys()].map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
        <Missing of={readings.events} />
        <span class="space" />
        <span class="told" role="status">{told.value}</span>
        <input id="log-search" type="search" placeholder="Search" aria-label="Search events" value={search.value} onInput={(e) => { search.value = e.currentTarget.value.trim(); }} />
        <form class="jump" onSubmit={(e) => { e.preventDefault(); void jump(Number(new FormData(e.currentTarget).get('id'))); }}>
          <input id="log-jump" name="id" inputMode="numeric" placeholder="Go to id" aria-label="Go to the event with this id" />
        </form>
        {piece.value ? <button class="solid" onClick={() => { piece.value = undefined; told.value = ''; }}>Back to live</button>
          : <button id="log-pause" aria-pressed={paused.value !== undefined} onClick={togglePause} title="Space in this panel, or P">{paused.value ? 'Go on' : 'Pause'}</button>}
      </div>
      <State />
      <div class="log-body">
        <Entries />
        {chosen.value ? <Detail entry={chosen.value} /> : null}
      </div>
    </section>
  );
}

function State() {
  const at = piece.value;
  if (at) {
    const [newest, oldest] = [at.entries.at(-1)?.id, at.entries[0]?.id];
    return (
      <p class="how">The log around event {at.id}.
        <button class="link" disabled={oldest === undefined || oldest <= at.oldest} onClick={() => void jump((oldest ?? 1) - 1)}>Older</button>
        <button class="link" disabled={newest === undefined || newest >= at.newest} onClick={() => void jump((newest ?? 0) + 1)}>Newer</button>
      </p>
    );
  }
  return paused.value ? <p class="how">Paused at event {paused.value.at(-1)?.id ?? 'none'}. What comes is kept.</p> : null;
}

function Entries() {
  const rows = shown.value;
  const at = piece.value?.id;
  const showRow = at === undefined ? undefined : rows.findIndex((row) => row.id === at);
  const props = (row: LogEntry) => ({ 'data-kind': row.kind, 'data-id': row.id, 'aria-selected': undefined, class: row.id === (chosen.value?.id ?? at) ? 'chosen' : '' });
  return (
    <Table id="log" label="Events" columns={COLUMNS} rows={rows} keyOf={(row) => row.id} rowProps={props} showRow={showRow === -1 ? undefined : showRow}
      empty={!live.value ? 'Not known yet.' : readings.events.value.done ? `No such event among the last ${MOST_LOG_ENTRIES.toLocaleString()} that this page has. Go to an id to see older ones.` : 'The log is being read.'} />
  );
}

function Detail({ entry }: { entry: LogEntry }) {
  return (
    <aside class="detail" aria-label={`Event ${entry.id}`}>
      <div class="bar">
        <strong>Event {entry.id}</strong> <span class="muted">{entry.kind}</span>
        <span class="space" />
        <button class="small" onClick={() => void navigator.clipboard.writeText(entry.text)}>Copy</button>
        <button class="small" aria-label="Close the event" onClick={() => { chosen.value = undefined; }}>✕</button>
      </div>
      <pre tabIndex={0}>{pretty(entry.text)}</pre>
    </aside>
  );
}
