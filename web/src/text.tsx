// How times and ids are shown. Everything is a text node: what an order says can never become markup.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const NS_DIGITS = 6;

/** Local time; the date and UTC are told on hover. */
export function Time({ ns }: { ns: string | undefined }) {
  const at = new Date(Number((ns ?? '').slice(0, -NS_DIGITS)));
  if (ns === undefined || Number.isNaN(at.getTime())) return <span>—</span>;
  return <time dateTime={at.toISOString()} title={`${at.toISOString().replace('T', ' ').replace('Z', '')} UTC`}>{CLOCK.format(at)}</time>;
}

export function Empty({ columns, children }: { columns: number; children: string }) {
  return <tr class="empty"><td colSpan={columns}>{children}</td></tr>;
}

export function sideClass(side: string | undefined): string {
  return side === 'BUY' ? 'buy' : side === 'SELL' ? 'sell' : '';
}
