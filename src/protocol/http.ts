/** What an error says in HTTP's words, whoever threw it: a `fetch` wrapper, axios, got, an SDK. */
export interface HttpSays {
  status?: number;
  /** How long to wait, from the answer on. */
  retryAfterMs?: number;
}

/** Found on the error itself, in its `data` or `context`, on its `response`, or on what caused it. Reads anything, throws nothing. */
export function httpSays(error: unknown, depth = 0): HttpSays {
  const cause = depth < 5 ? field(error, 'cause') : undefined;
  const says: HttpSays = cause === undefined ? {} : httpSays(cause, depth + 1);
  // The nearest last: it has the last word.
  for (const place of [field(error, 'response'), field(error, 'context'), field(error, 'data'), error]) {
    const status = statusOf(field(place, 'status')) ?? statusOf(field(place, 'statusCode'));
    const asked =
      timeOf(field(place, 'retryAfterMs')) ?? secondsOf(field(place, 'retryAfter')) ?? askedBy(field(place, 'headers'));
    if (status !== undefined) says.status = status;
    if (asked !== undefined) says.retryAfterMs = asked;
  }
  return says;
}

/** Undefined where there is nothing to read, or whose getter throws. */
function field(value: unknown, name: string): unknown {
  try {
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  } catch {
    return undefined;
  }
}

const statusOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= 100 && value <= 599 ? value : undefined;

const timeOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;

/** A number, or as a header spells it. */
function secondsOf(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value;
  return typeof seconds === 'number' ? timeOf(seconds * 1_000) : undefined;
}

/** Seconds or a date. A date is read against the `date` of the same answer: nobody else's clock can tell how far away it is. */
function askedBy(headers: unknown): number | undefined {
  const asked = header(headers, 'retry-after');
  const wait = dateOf(asked) - dateOf(header(headers, 'date'));
  return secondsOf(asked) ?? (Number.isNaN(wait) ? undefined : Math.max(0, wait));
}

const HTTP_DATE = /^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
const dateOf = (text: string | undefined): number =>
  text !== undefined && HTTP_DATE.test(text) ? Date.parse(text) : NaN;

/** From a `Headers`, or from an object whatever the case of its keys; the first of several. */
function header(headers: unknown, name: string): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined;
  try {
    const { get } = headers as { get?: unknown };
    const key = Object.keys(headers).find((known) => known.toLowerCase() === name);
    const value: unknown = typeof get === 'function' ? get.call(headers, name) : key && field(headers, key);
    const one: unknown = Array.isArray(value) ? value[0] : value;
    return typeof one === 'string' || typeof one === 'number' ? String(one) : undefined;
  } catch {
    return undefined;
  }
}
