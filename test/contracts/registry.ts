import { beforeEach, describe, expect, it } from 'vitest';
import type { Backend, Registered } from '../../src/backend.ts';
import { ValidationError } from '../../src/protocol/errors.ts';
import { all, HOSTILE, SEEN_MS, within, type Given } from './harness.ts';

/** What a watcher knows by now, and how often it was told. */
class Seen {
  readonly values = new Map<string, unknown>();
  readonly revisions: number[] = [];
  told = 0;

  readonly changed = (key: string, now: Registered | undefined): void => {
    this.told += 1;
    if (now === undefined) this.values.delete(key);
    else {
      expect(now.key).toBe(key);
      this.values.set(key, now.value);
      this.revisions.push(now.revision);
    }
  };

  knows(facts: Record<string, unknown>): boolean {
    const entries = Object.entries(facts);
    return entries.length === this.values.size && entries.every(([key, value]) => this.values.get(key) === value);
  }
}

export function registryContract(given: Given): void {
  it('keeps a value, and each put has a higher revision than all before', async () => {
    const { registry } = given.backend;
    expect(await registry.get('a')).toBeUndefined();
    const value = { n: [1, null, 'x', Buffer.from([1])], at: new Date(5) };
    const first = (await registry.put('a', value)) ?? 0;
    expect(await registry.get('a')).toEqual({ key: 'a', value, revision: first });
    const other = (await registry.put('b', 1)) ?? 0;
    const second = (await registry.put('a', 'new')) ?? 0;
    expect([other > first, second > other]).toEqual([true, true]);
    expect(await registry.get('a')).toEqual({ key: 'a', value: 'new', revision: second });
    expect((await registry.get('b'))?.revision).toBe(other);
  });

  it('puts with an expected revision only over that one', async () => {
    const { registry } = given.backend;
    expect(await registry.put('a', 1, 7)).toBeUndefined();
    expect(await registry.get('a')).toBeUndefined();
    const first = await registry.put('a', 1, 0);
    expect(first).toBeDefined();
    expect(await registry.put('a', 2, 0)).toBeUndefined();
    expect(await registry.put('a', 3, first)).toBeDefined();
    expect(await registry.put('a', 4, first)).toBeUndefined();
    expect((await registry.get('a'))?.value).toBe(3);
    const race = await Promise.all(Array.from({ length: 9 }, (_, index) => registry.put('b', index, 0)));
    expect(race.filter((revision) => revision !== undefined)).toHaveLength(1);
  });

  it('forgets what was deleted: it is absent, and what replaces it is not taken for it', async () => {
    const { registry } = given.backend;
    await registry.delete('a');
    const first = (await registry.put('a', 1)) ?? 0;
    await registry.delete('a');
    await registry.delete('a');
    expect(await registry.get('a')).toBeUndefined();
    expect(await all(registry.list(''))).toEqual([]);
    expect(await registry.put('a', 2, first)).toBeUndefined();
    const second = (await registry.put('a', 3, 0)) ?? 0;
    expect(second).toBeGreaterThan(first);
    expect(await registry.put('a', 4, first)).toBeUndefined();
    expect((await registry.get('a'))?.value).toBe(3);
  });

  it('lists by prefix', async () => {
    const { registry } = given.backend;
    for (const key of ['kill/a', 'kill/b', 'kill', 'kilo', 'kill.a', '__proto__', 'z']) await registry.put(key, key);
    const keys = async (prefix: string) => (await all(registry.list(prefix))).map(({ key }) => key).toSorted();
    expect(await keys('kill/')).toEqual(['kill/a', 'kill/b']);
    expect(await keys('kill')).toEqual(['kill', 'kill.a', 'kill/a', 'kill/b']);
    expect(await keys('none')).toEqual([]);
    expect(await keys('')).toHaveLength(7);
  });

  it('takes a value under 64 KiB and no other', async () => {
    const { registry } = given.backend;
    await registry.put('fits', 'x'.repeat(65_000));
    expect((await registry.get('fits'))?.value).toHaveLength(65_000);
    await expect(registry.put('fits', 'x'.repeat(65_536))).rejects.toThrow(ValidationError);
    await expect(registry.put('fits', () => 1)).rejects.toThrow(ValidationError);
    expect((await registry.get('fits'))?.value).toHaveLength(65_000);
  });

  it('N2: takes no key that is none', async () => {
    const { registry } = given.backend;
    for (const key of HOSTILE.filter((id) => id !== 'a.b' && id !== 'a/b')) {
      await expect(registry.put(key, 1)).rejects.toThrow(ValidationError);
      await expect(registry.get(key)).rejects.toThrow(ValidationError);
      await expect(registry.delete(key)).rejects.toThrow(ValidationError);
    }
    for (const prefix of ['*', '>', 'a b', '%', "'", '\0']) {
      await expect(all(registry.list(prefix))).rejects.toThrow(ValidationError);
      expect(() => registry.watch(prefix, () => {})).toThrow(ValidationError);
    }
    expect(await all(registry.list(''))).toEqual([]);
  });

  describe('watched', () => {
    it('tells what stands there, then every change of it, and nothing once it is ended', async () => {
      const { harness, backend } = given;
      const { registry } = backend;
      await registry.put('kill.a', 1);
      await registry.put('kill.b', 2);
      await registry.put('kilo', 3);
      const seen = new Seen();
      const unwatch = registry.watch('kill.', seen.changed);
      expect(seen.told).toBe(0);
      await within(harness, SEEN_MS, () => seen.knows({ 'kill.a': 1, 'kill.b': 2 }), 'what stands there');
      await registry.put('kill.a', 4);
      await within(harness, SEEN_MS, () => seen.knows({ 'kill.a': 4, 'kill.b': 2 }), 'a change');
      await registry.put('kill.c', 5);
      await within(harness, SEEN_MS, () => seen.values.get('kill.c') === 5, 'a new one');
      await registry.delete('kill.b');
      await within(harness, SEEN_MS, () => seen.knows({ 'kill.a': 4, 'kill.c': 5 }), 'a deletion');
      await registry.put('kilo', 6);
      await harness.pass(SEEN_MS);
      expect(seen.told).toBe(5);
      expect(seen.revisions).toEqual([...new Set(seen.revisions)].toSorted((a, b) => a - b));
      unwatch();
      unwatch();
      await registry.put('kill.a', 7);
      await harness.pass(SEEN_MS);
      expect(seen.told).toBe(5);
    });

    it('comes to what is there, whatever changes while it begins', async () => {
      const { harness, backend } = given;
      const { registry } = backend;
      const expected: Record<string, unknown> = {};
      const put = async (key: string, value: number): Promise<void> => {
        expected[key] = value;
        await registry.put(key, value);
      };
      await Promise.all(Array.from({ length: 300 }, (_, index) => put(`k.${index}`, index)));
      const seen = new Seen();
      registry.watch('k.', seen.changed);
      await Promise.all([
        ...Array.from({ length: 50 }, (_, index) => put(`k.${index * 7}`, -index)),
        ...[1, 2, 3].map(async (index) => {
          delete expected[`k.${index}`];
          await registry.delete(`k.${index}`);
        }),
      ]);
      await within(harness, SEEN_MS, () => seen.knows(expected), 'it knows what is there');
      await harness.pass(SEEN_MS);
      expect(new Set(seen.revisions).size).toBe(seen.revisions.length);
    });

    it('what one watcher throws disturbs nobody', async () => {
      const { harness, backend } = given;
      const { registry } = backend;
      const seen = new Seen();
      registry.watch('', () => {
        throw new Error('mine');
      });
      registry.watch('', () => Promise.reject(new Error('mine')));
      registry.watch('', seen.changed);
      await registry.put('a', 1);
      await within(harness, SEEN_MS, () => seen.knows({ a: 1 }), 'the other one was told');
    });
  });

  describe('beside another on the same store', () => {
    let other: Backend;
    beforeEach(async ({ skip }) => {
      if (given.harness.openAnother === undefined) return skip('nobody else can reach this store');
      other = await given.harness.openAnother();
    });

    it('sees its facts and compares with them', async () => {
      const { registry } = given.backend;
      const revision = (await registry.put('a', 1)) ?? 0;
      expect(await other.registry.get('a')).toEqual({ key: 'a', value: 1, revision });
      expect(await other.registry.put('a', 2, revision)).toBeGreaterThan(revision);
      expect(await registry.put('a', 3, revision)).toBeUndefined();
      const race = await Promise.all(
        Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? registry : other.registry).put('b', index, 0)),
      );
      expect(race.filter((made) => made !== undefined)).toHaveLength(1);
    });

    it('is told what it has changed, each revision once', async () => {
      const { harness, backend } = given;
      await backend.registry.put('k.0', 0);
      const seen = new Seen();
      backend.registry.watch('k.', seen.changed);
      await within(harness, SEEN_MS, () => seen.knows({ 'k.0': 0 }), 'what stands there');
      await other.registry.put('k.1', 1);
      await within(harness, SEEN_MS, () => seen.knows({ 'k.0': 0, 'k.1': 1 }), 'a new one');
      await Promise.all([backend.registry.put('k.2', 2), other.registry.put('k.3', 3), other.registry.delete('k.0')]);
      await within(harness, SEEN_MS, () => seen.knows({ 'k.1': 1, 'k.2': 2, 'k.3': 3 }), 'a deletion');
      for (let value = 0; value < 600; value += 1) await other.registry.put(`k.${value % 3}`, value);
      await within(
        harness,
        SEEN_MS,
        () => seen.knows({ 'k.0': 597, 'k.1': 598, 'k.2': 599, 'k.3': 3 }),
        'the last ones',
      );
      await harness.pass(SEEN_MS);
      expect(new Set(seen.revisions).size).toBe(seen.revisions.length);
    });
  });
}
