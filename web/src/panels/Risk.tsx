// The kill switch, and the limits in front of every order: how much of each is used, and a form to set them.

import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { messageOf, outcome, post, Refusal } from '../api';
import { changes, fieldOf, inUse, LIMITS, lossReached, uses, type Changes, type Used } from '../limits';
import { askRisk, balances, instruments, risk, riskUse } from '../store';
import type { Risk as Settings } from '../types';
import { Stale } from './Banner';
import { Ask, Dialog } from './Dialog';

/** What became of the switch when it was moved last, if not what was wanted. */
const failed = signal('');
/** Trading is to stop, and the gateway has not answered yet. */
const stopping = signal(false);
/** The switch is about to be thrown by key. */
export const asking = signal(false);
/** The limits are being changed. */
export const settingLimits = signal(false);

async function set(state: Settings['state']): Promise<void> {
  stopping.value = state === 'HALTED';
  try {
    const body = state === 'HALTED' ? { state, cancel_all: true } : { state };
    risk.value = await post<Settings>('/api/risk', body);
    failed.value = '';
    void askRisk().catch(() => undefined);
  } catch (error) {
    const told = await afterFailure(error, 'The switch did not move', 'Not known whether the switch moved', () => risk.peek()?.state === state);
    const halted = `HALTED holds; not known whether every open order was cancelled: ${messageOf(error)}`;
    failed.value = told === '' && state === 'HALTED' ? halted : told;
  } finally {
    stopping.value = false;
  }
}

/** After an answer that did not come the gateway is asked what holds; nothing to tell when that is what was wanted. */
async function afterFailure(error: unknown, nothing: string, unknown: string, holds: () => boolean): Promise<string> {
  const told = outcome(error, nothing, unknown);
  if (error instanceof Refusal) return told;
  try {
    await askRisk();
  } catch {
    return `${told}. The gateway does not tell what holds.`;
  }
  return holds() ? '' : `${told}. When the gateway was asked after that, it had not happened.`;
}

/** Wherever the page is: a switch that did not move must be seen. */
export function SwitchFailed() {
  if (failed.value === '') return null;
  return <p class="notice bad" role="alert" id="switch-failed">{failed.value} <button class="small" onClick={() => { failed.value = ''; }}>Seen</button></p>;
}

const MEANS: Record<Settings['state'], string> = {
  ACTIVE: 'Orders are taken.',
  REDUCE_ONLY: 'Only sales of what is held are taken.',
  HALTED: 'No order is taken. Cancels work.',
};

function meaning(now: Settings | undefined): string {
  if (!now) return 'The gateway has not said yet.';
  return now.state === 'ACTIVE' && lossReached(now, riskUse.value) ? 'The day has lost as much as is allowed: only sales are taken.' : MEANS[now.state];
}

/** In the banner, wherever the page is: stops all trading, or says that it is stopped. */
export function Stop() {
  const state = risk.value?.state;
  return (
    <>
      {state === 'HALTED' || state === 'REDUCE_ONLY' ? <span class="stopped" id="stopped" title={MEANS[state]}>{state === 'HALTED' ? 'HALTED' : 'REDUCE ONLY'}</span> : null}
      {state === 'HALTED' ? null : <button class="stop" id="stop-trading" aria-haspopup="dialog" onClick={() => { asking.value = true; }} title="Takes no order any more and cancels every open one: asks first (Shift+K)">{stopping.value ? 'Stopping…' : 'Stop'}</button>}
    </>
  );
}

export function Risk() {
  const now = risk.value;
  const state = now?.state;
  return (
    <section class="panel risk" aria-labelledby="risk-title" data-state={state}>
      <h2 id="risk-title">Trading <strong id="risk-state">{state ?? 'unknown'}</strong> <Stale /></h2>
      <p role="status">{meaning(now)}</p>
      <div class="buttons">
        <button class="kill" disabled={state === 'HALTED'} onClick={() => void set('HALTED')} title="Takes no order any more and cancels every open one (Shift+K)">Stop and cancel all</button>
        <button disabled={state === 'REDUCE_ONLY'} onClick={() => void set('REDUCE_ONLY')}>Reduce only</button>
        <button disabled={state === 'ACTIVE'} onClick={() => void set('ACTIVE')}>Resume</button>
      </div>
      {now ? <Limits now={now} /> : null}
    </section>
  );
}

/** Outside the panel, which a phone may not show. */
export function RiskDialogs() {
  const now = risk.value;
  return (
    <>
      {asking.value ? (
        <Ask title="Stop trading?" yes="Stop and cancel all" danger onYes={() => void set('HALTED')} close={() => { asking.value = false; }}>
          <p>No order is taken any more, and every open order is cancelled.</p>
        </Ask>
      ) : null}
      {settingLimits.value && now ? <Form now={now} /> : null}
    </>
  );
}

const NEARLY = 0.8;
const level = ({ share }: Used) => (share === undefined ? 'none' : share >= 1 ? 'full' : share >= NEARLY ? 'nearly' : 'fine');

/** What is limited, and how far it is used; the form has the rest. */
function Limits({ now }: { now: Settings }) {
  const set = uses(now, riskUse.value).filter(({ limit }) => limit !== undefined);
  return (
    <>
      <div class="bar">
        <h3>Limits</h3>
        {set.length === 0 ? <span class="muted">none is set</span> : null}
        <span class="space" />
        <button class="small" aria-haspopup="dialog" onClick={() => { settingLimits.value = true; }} title="All limits and their use (Shift+L)">Set…</button>
      </div>
      <dl class="limits" id="limits">
        {set.map((row) => (
          <div key={row.name} data-level={level(row)} title={row.hint}>
            <dt>{row.name}</dt>
            <dd>{row.used === undefined ? row.limit : <><span class="used">{row.used}</span> of {row.limit}</>}</dd>
            {row.share === undefined ? null : <i class="meter" aria-hidden="true" style={{ '--share': `${100 * row.share}%` }} />}
          </div>
        ))}
      </dl>
    </>
  );
}

/** Says why they may not be as wanted; empty when they are. */
async function setLimits({ body }: Changes, holds: () => boolean): Promise<string> {
  try {
    risk.value = await post<Settings>('/api/risk', body);
  } catch (error) {
    return afterFailure(error, 'The limits stand as they did', 'Not known whether the limits were set', holds);
  }
  void askRisk().catch(() => undefined);
  return '';
}

/** First the fields, then the question: what is set is read once more before it holds. */
function Form({ now }: { now: Settings }) {
  // What was set when the form was opened; another who sets limits meanwhile is seen in the question.
  const [fields, setFields] = useState(() => Object.fromEntries(LIMITS.map((limit) => [limit.key, fieldOf(limit, now)])));
  const [sure, setSure] = useState<Changes>();
  const [told, setTold] = useState('');
  const [busy, setBusy] = useState(false);
  const traded = [...balances.read().keys(), ...[...instruments.value.values()].flatMap(({ base, quote }) => [base, quote])];
  const made = changes(now, fields, traded);
  const close = () => { settingLimits.value = false; };
  const send = async (wanted: Changes) => {
    setBusy(true);
    const text = await setLimits(wanted, () => changes(risk.peek() ?? now, fields, traded).list.length === 0);
    setBusy(false);
    setTold(text);
    if (text === '') close();
  };
  if (sure) {
    return (
      <Ask title={sure.list.length === 1 ? 'Set this limit?' : 'Set these limits?'} yes="Set" onYes={() => void send(sure)} close={() => setSure(undefined)}>
        <Changed made={sure} />
        <p class="muted">They hold for every client of this gateway from now on, over restarts too. Open orders stay.</p>
      </Ask>
    );
  }
  const next = (event: Event) => {
    event.preventDefault();
    if (busy || made.wrong || made.list.length === 0) return;
    setTold('');
    setSure(made);
  };
  return (
    <Dialog title="Limits" close={close} class="question wide">
      <form onSubmit={next} noValidate autocomplete="off">
        {LIMITS.map(({ key, name, hint }, i) => (
          <label key={key}><span class="bar"><strong>{name}</strong> {hint}<span class="space" /><span class="now">{usedNow(now, key)}</span></span>
            <input id={`limit-${key}`} value={fields[key]} placeholder="no limit" spellcheck={false} autofocus={i === 0} aria-describedby="limits-check"
              aria-invalid={made.wrong?.key === key} onInput={(e) => { const { value } = e.currentTarget; setFields((was) => ({ ...was, [key]: value })); }} />
          </label>
        ))}
        <p id="limits-check" class="answer bad" role="status">{made.wrong?.text ?? told}</p>
        <div class="buttons end">
          <button type="button" onClick={close}>Back <kbd>Esc</kbd></button>
          <button class="solid" disabled={busy || made.wrong !== undefined || made.list.length === 0}>Set… <kbd>Enter</kbd></button>
        </div>
      </form>
    </Dialog>
  );
}

/** Beside its field: how much is used now. */
function usedNow(now: Settings, key: string): string {
  const used = uses(now, riskUse.value).filter((row) => row.key === key).map(inUse).filter((text) => text !== '');
  return used.length === 0 ? '' : `now ${used.join('; ')}`;
}

function Changed({ made }: { made: Changes }) {
  return (
    <dl class="estimate">
      {made.list.map(({ key, name, from, to }) => <div key={key}><dt>{name}</dt><dd><span class="muted">{from} →</span> <strong>{to}</strong></dd></div>)}
    </dl>
  );
}
