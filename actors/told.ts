import { asFailure } from '../src/codec.ts';
import { httpSays } from '../src/protocol/http.ts';

/** What was thrown, with what it says in HTTP's words: an Error's own `status`, `headers` and `response` are not kept. */
export function told(error: unknown): unknown {
  const says = httpSays(error);
  if (Object.keys(says).length === 0) return error;
  const failure = asFailure(error);
  const { data } = failure;
  const isPlain = typeof data === 'object' && data !== null && Object.getPrototypeOf(data) === Object.prototype;
  return { ...failure, data: { ...(isPlain ? data : data !== undefined && { data }), ...says } };
}
