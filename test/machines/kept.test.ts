import { describe, expect, test } from 'vitest';
import { createActor, fromPromise } from 'xstate';
import { keep, kept } from '../../machines/kept.ts';

describe('what is kept', () => {
  test('is what it was, whatever is done to what is shown, and to what was given', () => {
    const made = () => ({
      list: [{ n: 1 }],
      when: new Date(0),
      bytes: new Uint8Array([1]),
      hole: Array(2) as unknown[],
    });
    const given = made();
    const shown = keep(given);
    expect(shown).toStrictEqual(made());
    for (const one of [given, shown]) {
      one.list.push({ n: 2 });
      one.when.setTime(5);
      one.bytes[0] = 9;
    }
    expect(kept(shown)).toStrictEqual(made());
    expect(kept(given)).toBe(given);
  });

  test('takes of small bytes no more than they are, however large the memory is that they are a part of', () => {
    const large = new ArrayBuffer(2 ** 20);
    const shown = keep(new Uint8Array(large, 10, 3));
    expect([shown.byteLength, shown.buffer.byteLength, kept(shown).buffer.byteLength]).toEqual([3, 3, 3]);
  });

  test.each([undefined, null, 0, 'text', 5n, true])('of %s is itself', (value) => {
    expect(kept(keep(value))).toBe(value);
  });

  test('has what is no data as it was given, and cycles as cycles', () => {
    const actor = createActor(fromPromise(() => Promise.resolve()));
    const map = new Map();
    const given: Record<string, unknown> = { actor, map };
    given['self'] = given;
    const own = kept(keep(given));
    expect([own['actor'], own['map'], own['self']]).toEqual([actor, map, own]);
    expect(own).not.toBe(given);
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(keep(proxy)).toBe(proxy);
  });
});
