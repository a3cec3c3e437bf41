// How the gateway is: engine, venue, disk, market, stream, and what this page has counted.

import { config, counted, link, live, problems, warnings } from '../store';

/** Which part each code of `/health` speaks of. */
const PARTS = {
  Engine: /^(service|engine|shutting_down|no_answer)/,
  'Log and disk': /^(archive|journal|disk|storage)/,
  Venue: /^(venue|binance|execution)/,
  Stream: /^stream/,
  Market: /^market/,
} as const;

const VENUES: Record<string, string> = { sim_engine: 'simulated', external_engine: 'external engine' };

const SAYS: Record<string, string> = {
  service_died: 'the engine has stopped',
  archive_unreadable: 'a closed order cannot be read',
  journal_failed: 'the log cannot be written',
  stream_failed: 'the stream does not work',
  storage_low: 'the disk is getting full',
  storage_full: 'the disk is full',
  storage_unavailable: 'the data directory cannot be written',
  venue_starting: 'it has not said yet that it works',
  engine_exited: 'the external engine has ended',
  engine_stalled: 'the external engine does not answer',
  engine_error: 'the external engine cannot be used',
  no_answer: 'no answer',
};

export function wordsOf(code: string): string {
  return SAYS[code] ?? code;
}

export function Health() {
  const wrong = problems.value;
  const now = config.value;
  const market = now?.market_source_state ?? 'unknown';
  const known = wrong !== undefined && link.value.phase !== 'lost';
  return (
    <section class="panel health" aria-labelledby="health-title">
      <h2 id="health-title">Health</h2>
      <dl>
        {Object.entries(PARTS).map(([name, codes]) => {
          const own = wrong?.filter((problem) => codes.test(problem.code)) ?? [];
          const soon = warnings.value.filter((warning) => codes.test(warning.code));
          const failed = name === 'Market' && market === 'failed';
          const state = !known ? 'unknown' : own.length > 0 || failed ? 'bad' : soon.length > 0 ? 'warned' : 'good';
          const venue = VENUES[now?.execution_mode ?? ''];
          const fine = name === 'Market' ? `${now?.market_source ?? ''} ${market}` : name === 'Venue' && venue ? `${venue}, works` : 'works';
          const text = state === 'unknown' ? 'not known' : [...own, ...soon].map((problem) => wordsOf(problem.code)).join(', ') || fine;
          return <div key={name} data-state={state}><dt>{name}</dt><dd title={[...own, ...soon].map((problem) => problem.message).join('\n')}>{text}</dd></div>;
        })}
        {others(wrong).map((problem) => <div key={problem.code} data-state="bad"><dt>{problem.code}</dt><dd>{problem.message}</dd></div>)}
        <Counted />
      </dl>
    </section>
  );
}

/** Codes that this page does not know are shown, never hidden. */
function others(wrong: typeof problems.value) {
  const known = Object.values(PARTS);
  return (wrong ?? []).filter((problem) => !known.some((codes) => codes.test(problem.code)));
}

function Counted() {
  const { seen, first, lastId } = counted();
  const { holes } = link.value;
  const whole = first === undefined || lastId === undefined || lastId - first + 1 === seen;
  const state = !live.value ? 'unknown' : whole && holes === 0 ? 'good' : 'bad';
  return (
    <div data-state={state}><dt>Events here</dt><dd><output id="seen" data-first={first} data-last={lastId} data-seen={seen}>{seen === 0 ? 'none since the snapshot' : `${seen}, ${whole ? 'none missing' : 'SOME MISSING'}`}</output></dd></div>
  );
}
