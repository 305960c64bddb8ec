// Requests to the API, and the key that they carry.

import { asText, bus, duration, isObject, tell } from './dom.js';

/** What went wrong with a request, in the words of RFC 9457. */
export class Problem extends Error {
  constructor(fields) {
    super(asText(fields.title ?? 'The request failed'));
    this.fields = { status: 0, title: this.message, ...fields };
  }
  get status() {
    return this.fields.status;
  }
  get code() {
    return this.fields.code;
  }
  /** Worth another try by itself: the network, a limit, a fault of the server's. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The API key: in this tab's session and nowhere else. */
export const key = {
  value: null,
  read() {
    // A browser may refuse storage; then the key lives as long as the page.
    try {
      this.value = sessionStorage.getItem('api-key');
    } catch {
      /* stays null */
    }
  },
  write(value) {
    this.value = value;
    try {
      if (value) sessionStorage.setItem('api-key', value);
      else sessionStorage.removeItem('api-key');
    } catch {
      /* see above */
    }
  },
};

/** Asks the API; gives back its JSON, or with `text` what it says. Throws a Problem. */
export async function api(method, path, body, { timeout = 30_000, text: wantsText = false } = {}) {
  const headers = { accept: wantsText ? 'text/plain, application/problem+json' : 'application/json, application/problem+json' };
  // Also where there is no body: a write without it is refused to pages that are not the server's own.
  if (method !== 'GET') headers['content-type'] = 'application/json';
  if (key.value) headers.authorization = `Bearer ${key.value}`;
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers,
      cache: 'no-store',
      signal: AbortSignal.timeout(timeout),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    text = await response.text();
  } catch (error) {
    throw new Problem(
      error.name === 'TimeoutError'
        ? { title: 'The server did not answer in time', detail: `There was no answer within ${duration(timeout)}.`, code: 'timeout' }
        : {
            title: 'The server cannot be reached',
            detail: 'Check that it is running and that this machine is connected, then try again.',
            code: 'network',
          },
    );
  }
  if (wantsText && response.ok) return text;
  let data = null;
  try {
    data = text === '' ? null : JSON.parse(text);
  } catch {
    data = undefined;
  }
  if (response.ok && data !== undefined) return data;
  if (response.status === 401) tell('key-wanted');
  const retryAfter = Number(response.headers.get('retry-after'));
  throw new Problem({
    title: response.ok ? 'The answer cannot be read' : `The server answered ${response.status}`,
    detail: response.ok || data === undefined ? 'The answer was not JSON.' : undefined,
    retry_after_ms: retryAfter > 0 ? retryAfter * 1000 : undefined,
    ...(isObject(data) ? data : {}),
    status: response.status,
  });
}

/** Calls `listener` whenever the page has reason to ask for everything again. */
export const onKey = (listener) => bus.addEventListener('key', listener);
