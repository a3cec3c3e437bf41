// Chromium by its own protocol alone: Playwright keeps every page visible, and a tab must be able to be hidden.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launchOptions } from './chromium.mjs';

/** Starts it; `tab(url)` opens a tab in front of the others. */
export async function browser() {
  const profile = mkdtempSync(join(tmpdir(), 'veloz-chromium-'));
  const args = [...launchOptions.args, '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'];
  const child = spawn(launchOptions.executablePath, args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const [, , , toBrowser, fromBrowser] = child.stdio;
  const waiting = new Map();
  let [sent, text] = [0, ''];
  fromBrowser.on('data', (bytes) => {
    const messages = (text + bytes).split('\0');
    text = messages.pop();
    for (const { id, result, error } of messages.map((message) => JSON.parse(message))) {
      const { yes, no } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (error) no?.(new Error(error.message));
      else yes?.(result);
    }
  });
  const send = (method, params = {}, sessionId = undefined) => new Promise((yes, no) => {
    sent += 1;
    waiting.set(sent, { yes, no });
    toBrowser.write(`${JSON.stringify({ id: sent, method, params, sessionId })}\0`);
  });
  const tab = async (url) => {
    const { targetId } = await send('Target.createTarget', { url });
    const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
    return new Tab(send, targetId, sessionId);
  };
  const close = () => new Promise((closed) => {
    child.on('exit', () => {
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
      closed();
    });
    child.kill();
  });
  return { tab, close };
}

class Tab {
  constructor(send, targetId, sessionId) {
    Object.assign(this, { send: (method, params) => send(method, params, sessionId), show: () => send('Target.activateTarget', { targetId }) });
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until the expression is true. */
  async until(expression, patienceMs = 20_000) {
    const deadline = performance.now() + patienceMs;
    while (!(await this.value(expression))) {
      if (performance.now() > deadline) throw new Error(`never: ${expression}\n${await this.value('document.body.innerText')}`);
      await new Promise((next) => { setTimeout(next, 20); });
    }
  }
}
