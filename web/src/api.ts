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

export async function get<T>(path: string): Promise<T> {
  return parseExact(await ask(path)) as T;
}

/** `body` goes out as it is: decimals in it are strings. */
export async function post<T>(path: string, body: Record<string, unknown>): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  return parseExact(await ask(path, { method: 'POST', headers, body: JSON.stringify(body) })) as T;
}

/** The text of an answer that says yes. */
export async function ask(path: string, init: RequestInit = {}, patienceMs = REQUEST_MS): Promise<string> {
  let [text, answer, response]: [string, unknown, Response | undefined] = ['', undefined, undefined];
  try {
    response = await fetch(path, { cache: 'no-store', ...init, signal: AbortSignal.timeout(patienceMs) });
    text = await response.text();
    if (response.ok) return text;
    answer = parseExact(text);
  } catch (error) {
    throw new Unknown(`the gateway did not answer (${String(error)})`);
  }
  const told = answer as { error?: unknown; message?: unknown; reason?: unknown; problems?: Problem[] };
  const code = String(told.error ?? response.status);
  const message = String(told.message ?? `the gateway answered ${response.status}`);
  if (response.status === 504 || code === 'unknown_outcome') throw new Unknown(message);
  throw new Refusal(response.status, code, message, String(told.reason ?? ''), told.problems);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
