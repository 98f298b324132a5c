import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { exportRun, importRun, troupeMatchers, type RunFixture, type TroupeMatchers } from 'troupe/testing';
import { createTroupe, durable, type AnyDefinition, type RunHandle, type Troupe } from '../../../src/index.ts';
import { entryOf } from '../../../src/chain.ts';
import { isBeginning, isEnd } from '../../../src/protocol/entry.ts';
import { definitions, greeting } from '../../golden/definitions.ts';
import { errand, finish, Outside } from '../../support/errand.ts';
import { SimulatedClock } from '../../support/simulatedClock.ts';
import waiting from './waiting.json' with { type: 'json' };

/** A run kept beside a test, and what becomes of it with another version of its machine. */

declare module 'vitest' {
  interface Matchers<R extends void | Promise<void>, T> extends TroupeMatchers {}
}
expect.extend(troupeMatchers);

const open: Troupe[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((troupe) => troupe.close()));
});

/** `waiting.json` is of it: opened, shut and opened again, and there it stands. */
const door = durable(
  setup({ types: { events: {} as { type: 'OPEN' | 'SHUT' } } }).createMachine({
    initial: 'shut',
    states: { shut: { on: { OPEN: 'open' } }, open: { on: { SHUT: 'shut' } } },
  }),
  { name: 'door', version: '1' },
);

/** An errand that has ended, and its fixture as a file would give it. */
async function recorded() {
  const [clock, outside] = [new SimulatedClock(), new Outside()];
  const definition = errand(outside);
  const troupe = await createTroupe({ clock, definitions: [definition], parkAfter: false });
  open.push(troupe);
  const run = (await troupe.start(definition, undefined, { id: 'x' })) as RunHandle;
  await finish(troupe, run, clock);
  const fixture = JSON.parse(JSON.stringify(await exportRun(troupe, 'x'))) as RunFixture;
  return { troupe, definition, outside, fixture, told: outside.calls.length };
}

describe('a fixture', () => {
  test('has the whole run, and is read without a troupe', async () => {
    const { troupe, definition, fixture, outside, told } = await recorded();
    const replayed = await troupe.replay('x');
    await troupe.close();
    expect(fixture).toMatchObject({ format: 1, run: 'x', definition: 'errand', version: '1', end: 'run.completed' });
    const imported = await importRun(fixture);
    expect(imported.summary.output).toEqual({ paid: 100, ticks: 2 });
    expect(imported.entries).toHaveLength(replayed.entries);
    const replay = await imported.replay(definition);
    expect(replay).toMatchObject({ status: 'completed', entries: replayed.entries });
    expect((await replay.at(2)).snapshot).toMatchObject({ value: 'pricing' });
    expect(outside.calls.length).toBe(told);
  });

  test('of a run that goes on has no end', async () => {
    const troupe = await createTroupe({ clock: new SimulatedClock() });
    open.push(troupe);
    const definition = errand(new Outside());
    await troupe.start(definition, undefined, { id: 'x' });
    const fixture = await exportRun(troupe, 'x');
    expect(fixture.end).toBe(null);
    await expect(fixture).toReplay(definition);
    await expect(exportRun(troupe, 'nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('that was altered, or is none, is refused', async () => {
    const { fixture, definition } = await recorded();
    const [first, ...others] = fixture.entries;
    const second = { ...others[0], bytes: fixture.entries[3]?.bytes ?? '' } as RunFixture['entries'][0];
    const altered = { ...fixture, entries: [first, second, ...others.slice(1)] } as RunFixture;
    await expect(importRun(altered)).rejects.toMatchObject({ code: 'CORRUPT_JOURNAL', context: { seq: 2 } });
    await expect(importRun({ ...fixture, entries: [] })).rejects.toMatchObject({ code: 'CORRUPT_JOURNAL' });
    await expect(importRun({ ...fixture, format: 2 })).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    await expect(importRun({} as RunFixture)).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    await expect(expect(altered).not.toReplay(definition)).rejects.toMatchObject({ code: 'CORRUPT_JOURNAL' });
  });

  test('that has lost its end, or says of itself what it is not, is refused', async () => {
    const { fixture, definition } = await recorded();
    const short = { ...fixture, entries: fixture.entries.slice(0, -2) };
    await expect(importRun(short)).rejects.toMatchObject({ code: 'CORRUPT_JOURNAL', context: { is: null } });
    await expect(expect(short).toReplay(definition)).rejects.toMatchObject({ code: 'CORRUPT_JOURNAL' });
    for (const other of [{ definition: 'window' }, { version: '9' }, { end: null }, { end: 'run.failed' }])
      await expect(importRun({ ...fixture, ...other })).rejects.toMatchObject({ code: 'CORRUPT_JOURNAL' });
  });

  test('of a run that goes on is refused where any of its last entries are missing', async () => {
    const { entries } = waiting;
    await expect(waiting).toReplay(door);
    for (let left = entries.length - 1; left > 0; left -= 1) {
      const short = { ...waiting, entries: entries.slice(0, left) };
      await expect(importRun(short)).rejects.toMatchObject({ code: 'CORRUPT_JOURNAL', context: { seq: left } });
    }
    const other = { ...waiting, last: { ...waiting.last, hash: entries[0]?.hash ?? '' } };
    await expect(importRun(other)).rejects.toMatchObject({ code: 'CORRUPT_JOURNAL' });
  });

  test.each<[string, (fixture: RunFixture) => unknown]>([
    ['last.seq', (fixture) => ({ ...fixture, last: undefined })],
    ['entries[0].seq', (fixture) => ({ ...fixture, entries: [null] })],
    [
      'entries[0].hash',
      (fixture) => ({ ...fixture, entries: fixture.entries.map((one) => ({ ...one, hash: undefined })) }),
    ],
    ['entries[0].bytes', (fixture) => ({ ...fixture, entries: fixture.entries.map((one) => ({ ...one, bytes: 5 })) })],
    [
      'entries[1].epoch',
      (fixture) => ({
        ...fixture,
        entries: fixture.entries.map((one, at) => (at === 1 ? { ...one, epoch: '1' } : one)),
      }),
    ],
    ['its run is 5', (fixture) => ({ ...fixture, run: 5 })],
  ])('of another shape is refused, with the path: %s', async (path, change) => {
    const { fixture } = await recorded();
    const changed = change(fixture) as RunFixture;
    await expect(importRun(changed)).rejects.toMatchObject({
      code: 'VALIDATION',
      message: expect.stringContaining(path) as string,
    });
  });
});

describe('toReplay', () => {
  test('passes with the machine that wrote it, and begins nothing', async () => {
    const { fixture, definition, outside, told } = await recorded();
    await expect(fixture).toReplay(definition);
    await expect(fixture).toReplay(errand(new Outside(), { version: '2' }));
    expect(outside.calls.length).toBe(told);
    await expect(expect(fixture).not.toReplay(definition)).rejects.toThrow(
      'expected run x (errand 1) to replay with errand not',
    );
  });

  test('fails with one that takes another way, and says at which entry', async () => {
    const { fixture, outside } = await recorded();
    const other = errand(outside, { version: '2', resting: true });
    await expect(fixture).not.toReplay(other);
    await expect(expect(fixture).toReplay(other)).rejects.toThrow(/entry \d+ \(timer\.fired for 'body@xstate/);
  });

  test('fails with one that ends otherwise, and says how', async () => {
    const { fixture, outside } = await recorded();
    await expect(expect(fixture).toReplay(errand(outside, { version: '2', bonus: 1 }))).rejects.toThrow(
      /\(run\.completed for 'run'\)[\s\S]*paid: 100[\s\S]*paid: 101/,
    );
  });

  test('takes what a released version has written', async () => {
    const golden = (file: string): RunFixture => {
      const { run, entries } = JSON.parse(
        readFileSync(new URL(`../../golden/v1/${file}.json`, import.meta.url), 'utf8'),
      ) as {
        run: string;
        entries: [number, number, string, string][];
      };
      const kept = entries.map(([seq, epoch, hash, bytes]) => ({ seq, epoch, hash, bytes }));
      const decoded = kept.map(({ bytes }) => entryOf(Buffer.from(bytes, 'base64')));
      const { definition, version } = decoded.findLast(isBeginning)?.event ?? { definition: '', version: '' };
      const last = decoded.at(-1)?.type;
      const { seq = 0, hash = '' } = kept.at(-1) ?? {};
      const end = last && isEnd(last) ? last : null;
      return { format: 1, run, definition, version, end, last: { seq, hash }, entries: kept };
    };
    const named = (name: string): AnyDefinition => definitions.find((one) => one.name === name) as AnyDefinition;
    await expect(golden('order-shipped')).toReplay(named('order'));
    await expect(golden('counter-continued')).toReplay(named('counter'));
    await expect(golden('plan-greeting')).toReplay(greeting);
    await expect(golden('order-shipped')).not.toReplay(named('counter'));
  });
});
