// The controls of a replay; nothing for other markets.

import { signal } from '@preact/signals';
import { messageOf, post } from '../api';
import { config, poll } from '../store';

const STEPS = [1, 100, 10_000];
const told = signal('');
const busy = signal(false);

async function play(body: Record<string, unknown>, words: string): Promise<void> {
  busy.value = true;
  try {
    await post('/api/replay', body);
    told.value = words;
    await poll();
  } catch (error) {
    told.value = messageOf(error);
  } finally {
    busy.value = false;
  }
}

export function Replay() {
  const now = config.value;
  if (now?.market_source !== 'replay') return null;
  const ended = now.market_source_state !== 'running';
  return (
    <section class="panel replay" aria-labelledby="replay-title">
      <h2 id="replay-title">Replay <strong>{now.market_source_state}</strong></h2>
      <p role="status">{ended ? 'All lines were played. Start with --from-start to play them again.' : told.value || 'Lines of the capture, if it was started paused.'}</p>
      <div class="buttons">
        <button disabled={ended || busy.value} onClick={() => void play({ run: true }, 'It runs.')}>Run</button>
        {STEPS.map((steps) => <button key={steps} disabled={ended || busy.value} onClick={() => void play({ steps }, `${steps.toLocaleString()} played; it stands.`)}>+{steps.toLocaleString()}</button>)}
      </div>
    </section>
  );
}
