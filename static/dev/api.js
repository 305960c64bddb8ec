// Requests to the API, and the API key.

import { asText, duration, isObject, tell } from './dom.js';

/** A failed request, as RFC 9457 describes it. */
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
  /** Whether a retry may help: network errors, rate limits, server errors. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The API key, kept in this tab's session only. */
export const key = {
  value: null,
  read() {
    // Without storage the key lives as long as the page.
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

/** Calls the API. Returns its JSON, or with `text` its text. Throws a Problem; with `code` "cancelled" once `cancel` is aborted. */
export async function api(method, path, body, { timeout = 30_000, text: wantsText = false, cancel } = {}) {
  const used = key.value;
  const headers = { accept: wantsText ? 'text/plain, application/problem+json' : 'application/json, application/problem+json' };
  // Even without a body: the server refuses writes without it, so that no other site can make them.
  if (method !== 'GET') headers['content-type'] = 'application/json';
  if (used) headers.authorization = `Bearer ${used}`;
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers,
      cache: 'no-store',
      signal: AbortSignal.any([AbortSignal.timeout(timeout), ...(cancel ? [cancel] : [])]),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    text = await response.text();
  } catch (error) {
    if (cancel?.aborted) throw new Problem({ title: 'Cancelled', code: 'cancelled' });
    tell('unreachable');
    throw new Problem(
      error.name === 'TimeoutError'
        ? { title: 'The server did not answer in time', detail: `There was no answer within ${duration(timeout)}.`, code: 'timeout' }
        : {
            title: 'The server cannot be reached',
            detail: 'Try again when it is back. Nothing is sent twice, even if you press again.',
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
  if (response.status === 401) {
    // A key was entered meanwhile. Nothing was done without it.
    if (used !== key.value) return api(method, path, body, { timeout, text: wantsText, cancel });
    tell('key-wanted');
  }
  const retryAfter = Number(response.headers.get('retry-after'));
  throw new Problem({
    title: response.ok ? 'The response cannot be read' : `The server answered ${response.status}`,
    detail: response.ok || data === undefined ? 'The response is not JSON.' : undefined,
    retry_after_ms: retryAfter > 0 ? retryAfter * 1000 : undefined,
    ...(isObject(data) ? data : {}),
    status: response.status,
  });
}
