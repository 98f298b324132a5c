import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createTroupe, embedded, type Entry, type Troupe, type TroupeOptions } from '../../src/index.ts';
import { definitions, type Fact } from '../support/neighbour.ts';

/** Real processes on one directory. This one has a troupe there, too. */

vi.setConfig({ testTimeout: 30_000 });

const NEIGHBOUR = fileURLToPath(new URL('../support/neighbour.ts', import.meta.url));

/** Each of them loads the same code. */
const COMPILED = mkdtempSync(join(tmpdir(), 'troupe-processes-compiled-'));
afterAll(() => rmSync(COMPILED, { recursive: true, force: true }));

let dir: string;
const children: ChildProcess[] = [];
const troupes: Troupe[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'troupe-processes-'));
});
afterEach(async () => {
  await Promise.all(troupes.splice(0).map((troupe) => troupe.close()));
  await Promise.all(children.splice(0).map(die));
  rmSync(dir, { recursive: true, force: true });
});

const die = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });

async function opened(options: TroupeOptions = {}): Promise<Troupe> {
  const troupe = await createTroupe({
    backend: embedded({ dir }),
    definitions: Object.values(definitions),
    recover: false,
    ...options,
  });
  troupes.push(troupe);
  return troupe;
}

/** A process that has started these runs (`definition:run`). */
async function neighbour(runs: readonly string[], parkAfterMs?: number) {
  const child = fork(NEIGHBOUR, [dir, parkAfterMs === undefined ? '' : `${parkAfterMs}`, ...runs], {
    execArgv: ['--conditions=troupe-source'],
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: COMPILED },
  });
  child.setMaxListeners(0);
  children.push(child);
  const facts: Fact[] = [];
  const heard = (what: Fact['what'], run?: string): Promise<Fact> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const fact = facts.find((one) => one.what === what && (run === undefined || one.run === run));
        if (fact !== undefined) resolve(fact);
      };
      child.on('message', look);
      child.once('exit', () => reject(new Error(`It has ended without '${what}'.`)));
      look();
    });
  child.on('message', (fact: Fact) => facts.push(fact));
  await heard('ready');
  return { heard, die: () => die(child) };
}

const entriesOf = async (troupe: Troupe, id: string): Promise<Entry[]> => {
  const { entries: count } = await (await troupe.attach(id)).summary();
  const entries: Entry[] = [];
  for await (const entry of (await troupe.attach(id)).entries()) if (entries.push(entry) === count) break;
  return entries;
};

const median = (figures: readonly number[]): number =>
  figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Infinity;

describe('a message from another process', () => {
  test('reaches a run that lives, one that rests, and one whose owner dies before it has taken it', async () => {
    const [lively, sleepy] = await Promise.all([neighbour(['list:lives', 'list:left']), neighbour(['list:rests'], 1)]);
    await sleepy.heard('rests');
    const here = await opened();
    for (const id of ['lives', 'rests']) {
      const run = await here.attach(id, definitions.list);
      expect(await run.send({ type: 'ADD', n: 1 })).toMatchObject({ seq: 1, level: 'process' });
      await run.send({ type: 'END' });
      expect((await run.result()).data, id).toEqual([1]);
      const causes = (await entriesOf(here, id)).flatMap(({ type, cause }) =>
        type === 'message.received' ? [cause] : [],
      );
      expect(causes, id).toEqual(['inbox/1', 'inbox/2']);
    }
    expect(here.counts).toEqual({ live: 0, parked: 0 });

    // It knows no definitions, so it cannot take the run itself when its owner is gone.
    const stranger = await opened({ definitions: [] });
    const left = await stranger.attach('left');
    await left.send({ type: 'ADD', n: 1 } as { type: string });
    await lively.die();
    await left.send({ type: 'ADD', n: 2 } as { type: string });
    await left.send({ type: 'END' } as { type: string });
    expect((await left.summary()).status).toBe('running');
    expect(await here.recover()).toEqual({ recovered: ['left'], left: [] });
    expect((await left.result()).data).toEqual([1, 2]);
  });
});

describe('a kill from another process', () => {
  test('has aborted the call within 200 ms', async () => {
    const runs = ['a', 'b', 'c', 'd', 'e'];
    const owner = await neighbour(runs.map((id) => `working:${id}`));
    const here = await opened();
    const late: number[] = [];
    for (const id of runs) {
      await owner.heard('begun', id);
      await here.kill(id, 'enough');
      const returned = Date.now();
      late.push((await owner.heard('aborted', id)).at - returned);
    }
    // One process may be slow to get its turn; most of them are not.
    expect(median(late), late.join(' ')).toBeLessThan(200);
    expect(await here.runs()).toMatchObject(runs.map(() => ({ status: 'killed', owned: false })));
  });
});

describe('whoever follows a run of another process', () => {
  test('sees what it records within 200 ms, to its end', async () => {
    await neighbour(['ticking:x']);
    const here = await opened();
    const late: number[] = [];
    for await (const { at } of (await here.attach('x')).entries()) late.push(Date.now() - at);
    // What was there when it began to follow is old.
    expect(median(late.slice(-5)), late.join(' ')).toBeLessThan(200);
  });
});

describe('a recovery', () => {
  test('takes what nobody alive owns, and nothing else', async () => {
    const [, dying] = await Promise.all([neighbour(['list:owned']), neighbour(['list:left', 'list:rests'], 1)]);
    await dying.heard('rests');
    await dying.die();
    const here = await opened();
    const { recovered, left } = await here.recover();
    expect([recovered.toSorted(), left]).toEqual([['left', 'rests'], []]);
    expect((await here.recover('owned')).left).toMatchObject([{ run: 'owned', error: { code: 'STALE_OWNER' } }]);
    expect((await entriesOf(here, 'owned')).map(({ type }) => type)).toEqual(['run.created', 'run.started']);
    expect(await (await opened()).recover()).toEqual({ recovered: [], left: [] });
  });

  test('leaves and reports a run whose definition is missing, untouched, and the next one takes it', async () => {
    const dying = await neighbour(['list:x']);
    const before = await opened();
    const entries = await entriesOf(before, 'x');
    await dying.die();
    const reported: unknown[] = [];
    const stranger = await opened({
      definitions: [],
      recover: true,
      report: (error, where) => void reported.push([where, (error as { code?: string }).code]),
    });
    expect(reported).toEqual([['run x was left as it is', 'DEFINITION_CHANGED']]);
    expect(stranger.counts).toEqual({ live: 0, parked: 0 });
    expect(await entriesOf(stranger, 'x')).toEqual(entries);
    expect(await stranger.runs()).toMatchObject([{ run: 'x', owned: false, status: 'running' }]);
    expect(await before.recover()).toEqual({ recovered: ['x'], left: [] });
  });
});
