// Requests to the gateway. Answers are read exactly; a refusal keeps the gateway's own words.

import { parseExact } from './json';

const REQUEST_MS = 10_000;

/** The gateway answered, and the answer is no. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly reason: string,
    readonly problems: readonly Problem[] = [],
  ) {
    super(message);
  }
}

/** What `/health` says is wrong. */
export interface Problem {
  code: string;
  message: string;
}

/** No answer that can be trusted: what was asked may have happened, or not. */
export class Unknown extends Error {}

export async function get<T extends object>(path: string): Promise<T> {
  return read<T>(await ask(path));
}

/** `body` goes out as it is: decimals in it are strings. */
export async function post<T extends object>(path: string, body: Record<string, unknown>): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  return read<T>(await ask(path, { method: 'POST', headers, body: JSON.stringify(body) }));
}

/** The text of an answer that says yes. */
export async function ask(path: string, init: RequestInit = {}, patienceMs = REQUEST_MS): Promise<string> {
  let [text, response]: [string, Response | undefined] = ['', undefined];
  try {
    response = await fetch(path, { cache: 'no-store', ...init, signal: AbortSignal.timeout(patienceMs) });
    text = await response.text();
  } catch (error) {
    const late = error instanceof DOMException && error.name === 'TimeoutError';
    throw new Unknown(late ? `the gateway did not answer within ${patienceMs / 1_000} s` : 'the connection to the gateway failed');
  }
  if (response.ok) return text;
  throw failure(response.status, text);
}

/** The gateway, or what is between, failed in the midst of it: that is no refusal. */
const FAILED_MIDWAY = new Set([500, 502, 504]);

function failure(status: number, text: string): Error {
  // What cannot be read is not the gateway's.
  const told = read<{ error?: unknown; message?: unknown; reason?: unknown; problems?: Problem[] }>(text);
  const code = String(told.error ?? status);
  const message = String(told.message ?? `the gateway answered ${status}`);
  if (FAILED_MIDWAY.has(status) || code === 'unknown_outcome') return new Unknown(message);
  return new Refusal(status, code, message, String(told.reason ?? ''), told.problems);
}

function read<T extends object>(text: string): T {
  let answer: unknown;
  try {
    answer = parseExact(text);
  } catch {
    // Told below.
  }
  if (typeof answer !== 'object' || answer === null) throw new Unknown('the answer cannot be read');
  return answer as T;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a request that failed has done: nothing when it was refused, else nobody knows. */
export function outcome(error: unknown, nothing: string, unknown: string): string {
  return error instanceof Refusal ? `${nothing}: ${error.message}` : `${unknown}: ${messageOf(error)}`;
}
