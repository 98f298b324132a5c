import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import suite from 'msgpack-test-suite' with { type: 'json' };
import { describe, expect, test } from 'vitest';
import { MAX_PAYLOAD } from '../../src/backend.ts';
import { toData } from '../../src/codec.ts';
import { decodeEnvelope, encodeEnvelope } from '../../src/frame.ts';
import { ValidationError } from '../../src/protocol/errors.ts';
import type { Envelope } from '../../src/protocol/envelope.ts';
import { DEFAULT_TENANT } from '../../src/protocol/ids.ts';
import { Frames } from '../support/frames.ts';

const envelope: Envelope = {
  v: 1,
  id: 'e-1',
  source: '/runs/order-42',
  type: 'order.paid',
  time: '2026-01-01T00:00:00.123Z',
  tenant: DEFAULT_TENANT,
};
const frames = new Frames(1);
const dataOf = (bytes: Uint8Array): unknown => decodeEnvelope(frames.envelope(Buffer.from(bytes))).data;

/** Undefined for what was taken. */
function refusal(decode: () => unknown): ValidationError | undefined {
  try {
    decode();
    return undefined;
  } catch (error) {
    if (error instanceof ValidationError) return error;
    throw error;
  }
}

const pristine = Object.getOwnPropertyNames(Object.prototype).join();

test('what is sent is what arrives', () => {
  const anything = fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withTypedArray: true });
  fc.assert(
    fc.property(anything, (value) => {
      let data: unknown;
      try {
        data = toData(value);
      } catch {
        return fc.pre(false);
      }
      assert.deepStrictEqual(decodeEnvelope(encodeEnvelope({ ...envelope, data })), { ...envelope, data });
    }),
    { numRuns: 2_000 },
  );
});

test('what arrives holds nothing of the frame, and leaves it as it was', () => {
  const sent = Uint8Array.from(encodeEnvelope({ ...envelope, data: [new Uint8Array([1, 2, 3]), 'text'] }));
  const before = Uint8Array.from(sent);
  const { data } = decodeEnvelope(sent);
  expect(sent).toStrictEqual(before);
  sent.fill(0);
  expect(data).toStrictEqual([Buffer.from([1, 2, 3]), 'text']);
});

describe('size', () => {
  const around = encodeEnvelope({ ...envelope, data: 'x'.repeat(70_000) }).length - 70_000;
  const sized = (bytes: number): Envelope => ({ ...envelope, data: 'x'.repeat(bytes - around) });

  test.each([MAX_PAYLOAD - 1, MAX_PAYLOAD])('%i bytes arrive', (bytes) => {
    const frame = encodeEnvelope(sized(bytes));
    expect(frame).toHaveLength(bytes);
    expect(decodeEnvelope(frame)).toStrictEqual(sized(bytes));
  });

  test.each([MAX_PAYLOAD + 1, 50 * MAX_PAYLOAD])('%i bytes do not leave', (bytes) => {
    expect(() => encodeEnvelope(sized(bytes))).toThrow(ValidationError);
    expect(() => encodeEnvelope(sized(bytes))).toThrow(`more than ${MAX_PAYLOAD} bytes`);
  });

  test('100 times as many do not leave, by name', () => {
    const data = { blob: new Uint8Array(100 * MAX_PAYLOAD) };
    expect(refusal(() => encodeEnvelope({ ...envelope, data }))?.context).toMatchObject({ path: 'envelope.data.blob' });
  });

  test.each([MAX_PAYLOAD + 1, 100 * MAX_PAYLOAD])('%i bytes are not read', (bytes) => {
    expect(refusal(() => decodeEnvelope(new Uint8Array(bytes)))?.message).toContain(`more than ${MAX_PAYLOAD} bytes`);
  });
});

test.each<[string, unknown, string]>([
  ['a function', { data: { f: () => 1 } }, 'envelope.data.f'],
  ['another tenant', { tenant: 'a.b' }, 'envelope.tenant'],
  ['a field of its own', { admin: true }, 'envelope'],
])('%s does not leave', (_, more, path) => {
  const error = refusal(() => encodeEnvelope({ ...envelope, ...(more as object) }));
  expect(error?.context).toMatchObject({ path });
});

test.each<[string, Buffer]>([
  ['nothing', Buffer.alloc(0)],
  ['no envelope', Buffer.from([0x90])],
  ['an envelope of another version', Buffer.from(encodeEnvelope(envelope)).fill(2, 4, 5)],
])('%s is refused', (_, bytes) => {
  expect(refusal(() => decodeEnvelope(bytes))).toBeInstanceOf(ValidationError);
});

describe('msgpack-test-suite', () => {
  type Vector = Record<string, unknown> & { msgpack: string[] };
  const vectors = Object.entries(suite as Record<string, Vector[]>).flatMap(([file, all]) =>
    all.flatMap((vector) => vector.msgpack.map((hex) => [file, hex, vector] as const)),
  );
  const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll('-', ''), 'hex');

  /** Integers of 64 bits are bigints, as they are in a journal. */
  const wanted = (vector: Vector, token: number | undefined): unknown => {
    if (typeof vector['binary'] === 'string') return bytesOf(vector['binary']);
    const isInt64 = token === 0xcf || token === 0xd3;
    if (isInt64) return BigInt((vector['bignum'] ?? vector['number']) as string);
    const [kind] = Object.keys(vector).filter((key) => key !== 'msgpack');
    return kind === undefined ? assert.fail('a vector of nothing') : vector[kind];
  };

  test('all are here', () => {
    expect(vectors).toHaveLength(233);
  });

  test('each is what it should be, or is refused', () => {
    const refused: string[] = [];
    for (const [file, hex, vector] of vectors) {
      const bytes = bytesOf(hex);
      const error = refusal(() => {
        const data = dataOf(bytes);
        const { timestamp } = vector as { timestamp?: [number, number] };
        if (timestamp === undefined) return assert.deepStrictEqual(data, wanted(vector, bytes[0]), hex);
        // a Date has no nanoseconds
        assert(data instanceof Date);
        assert(Math.abs(data.getTime() - (timestamp[0] * 1_000 + timestamp[1] / 1e6)) < 1, hex);
      });
      if (error !== undefined) refused.push(`${file} ${hex}: ${String(error.context['what'])}`);
    }
    expect(refused).toMatchInlineSnapshot(`
      [
        "23.number-bignum.yaml cf-80-00-00-00-00-00-00-00: an integer of 2^63 or more",
        "23.number-bignum.yaml cf-ff-ff-ff-ff-ff-ff-ff-ff: an integer of 2^63 or more",
        "60.ext.yaml d4-01-10: an extension of type 1",
        "60.ext.yaml d5-02-20-21: an extension of type 2",
        "60.ext.yaml d6-03-30-31-32-33: an extension of type 3",
        "60.ext.yaml d7-04-40-41-42-43-44-45-46-47: an extension of type 4",
        "60.ext.yaml d8-05-50-51-52-53-54-55-56-57-58-59-5a-5b-5c-5d-5e-5f: an extension of type 5",
        "60.ext.yaml c7-00-06: an extension of type 6",
        "60.ext.yaml c8-00-00-06: an extension of type 6",
        "60.ext.yaml c9-00-00-00-00-06: an extension of type 6",
        "60.ext.yaml c7-03-07-70-71-72: an extension of type 7",
        "60.ext.yaml c8-00-03-07-70-71-72: an extension of type 7",
        "60.ext.yaml c9-00-00-00-03-07-70-71-72: an extension of type 7",
      ]
    `);
  });
});

const count = Number(process.env['FUZZ_FRAMES'] ?? 20_000);

test(`${count} hostile frames`, { timeout: 5_000 + count }, () => {
  const seen = { value: 0, refused: 0, either: 0, taken: 0 };
  const hostile = new Frames(20_260_101);
  for (let i = 0; i < count; i++) {
    const { bytes, expected } = hostile.next();
    let got: Envelope | undefined;
    const error = refusal(() => (got = decodeEnvelope(bytes)));
    const shown = (): string => `frame ${i}: ${bytes.toString('hex').slice(0, 2_000)}`;
    if (expected === 'refused') assert(error !== undefined, shown());
    else if (expected !== 'either') assert(isDeepStrictEqual(got?.data, expected.value), shown());
    if (got !== undefined) {
      // whatever was taken can be kept, and sent on
      toData(got.data);
      seen.taken++;
    }
    seen[typeof expected === 'string' ? expected : 'value']++;
  }
  expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(pristine);
  expect(({} as { admin?: true }).admin).toBeUndefined();
  for (const times of Object.values(seen)) expect(times).toBeGreaterThan(count / 10);
});
