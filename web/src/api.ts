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
  ) {
    super(message);
  }
}

/** No answer that can be trusted: what was asked may have happened, or not. */
export class Unknown extends Error {}

export async function get<T>(path: string): Promise<T> {
  return ask<T>(path, { cache: 'no-store' });
}

/** `body` goes out as it is: decimals in it are strings. */
export async function post<T>(path: string, body: Record<string, unknown>): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  return ask<T>(path, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  let answer: unknown;
  try {
    response = await fetch(path, { ...init, signal: AbortSignal.timeout(REQUEST_MS) });
    answer = parseExact(await response.text());
  } catch (error) {
    throw new Unknown(`the gateway did not answer (${String(error)})`);
  }
  if (response.ok) return answer as T;
  const told = answer as { error?: unknown; message?: unknown; reason?: unknown };
  const code = String(told.error ?? response.status);
  const message = String(told.message ?? `the gateway answered ${response.status}`);
  if (response.status === 504 || code === 'unknown_outcome') throw new Unknown(message);
  throw new Refusal(response.status, code, message, String(told.reason ?? ''));
}
