import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createTroupe, type Troupe } from 'troupe';
import { afterAll, afterEach, beforeEach, expect, it, vi } from 'vitest';
import { comesTrue, isAlive, Marks } from '../support/isolated/marks.ts';
import type { Deed } from '../support/isolated/tools.ts';
import { GRACE_MS, misbehaving } from './misbehaver.ts';
import { chance, seed } from './moments.ts';

vi.setConfig({ testTimeout: 60_000 });

const rounds = Number(process.env['FAULT_TOOLS'] ?? 14);
const HOST = fileURLToPath(new URL('misbehaver.ts', import.meta.url));
/** After the grace. */
const BOUND_MS = 1_000;
/** After the end of the host, on a machine that is busy. */
const ORPHANED_BOUND_MS = 3_000;

const deeds: Deed[] = [
  { do: 'worst' },
  { do: 'ignore' },
  { do: 'daemon', next: 'ignore' },
  { do: 'print', bytes: 2 ** 30, next: 'ignore' },
  { do: 'block', in: 'native' },
  { do: 'block', in: 'loop' },
  { do: 'hold', what: 'buffers' },
];

let marks: Marks;
let troupe: Troupe | undefined;
let host: ChildProcess | undefined;
const worst = { killed: 0, orphaned: 0 };

beforeEach(() => (marks = new Marks()));
afterEach(async () => {
  const orphans = host?.pid === undefined ? [] : [...markedBy(host.pid), ...childrenOf(host.pid)];
  if (host?.exitCode === null && host.signalCode === null) {
    host.kill('SIGKILL');
    await once(host, 'close');
  }
  host = undefined;
  for (const pid of orphans.filter(isAlive)) process.kill(pid, 'SIGKILL');
  marks.close();
  await troupe?.close();
  troupe = undefined;
});
afterAll(() => {
  console.log(
    `FAULT_SEED=${seed} FAULT_TOOLS=${rounds}: dead at most ${Math.round(worst.killed)} ms after a grace of ${GRACE_MS} ms, ${Math.round(worst.orphaned)} ms after the end of their host`,
  );
});

/** Processes whose environment says that they are of a call of that host, whoever their parents are. */
const markedBy = (pid: number): number[] => find('environ', (text) => text.includes(`TROUPE_CALL=${pid}.`));
const childrenOf = (pid: number): number[] =>
  find('stat', (text) => text.slice(text.lastIndexOf(')')).split(' ')[2] === `${pid}`);

function find(file: string, is: (text: string) => boolean): number[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      return /^\d+$/.test(name) && is(readFileSync(`/proc/${name}/${file}`, 'latin1')) && isAlive(Number(name))
        ? [Number(name)]
        : [];
    } catch {
      return [];
    }
  });
}

const misbehaves = (deed: Deed): Promise<void> => {
  const many = deed.do === 'daemon' || deed.do === 'worst' ? 2 : 1;
  return comesTrue(() => marks.pids().length >= many, `${JSON.stringify(deed)} is under way`);
};

/** A host of its own, with one call under way. */
async function hosted(deed: Deed): Promise<number> {
  host = spawn(process.execPath, ['--conditions=troupe-source', HOST, JSON.stringify(deed), marks.file], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  await misbehaves(deed);
  return host.pid ?? 0;
}

async function expectNothingLeft(pid: number, known: readonly number[]): Promise<void> {
  const since = performance.now();
  await comesTrue(
    () => known.every((one) => !isAlive(one)) && markedBy(pid).length === 0,
    `nothing is left of host ${pid}`,
    ORPHANED_BOUND_MS,
  );
  worst.orphaned = Math.max(worst.orphaned, performance.now() - since);
}

it.for(Array.from({ length: rounds }, (_, round) => round))('round %i', async (round) => {
  const deed = deeds[round % deeds.length] ?? { do: 'worst' };
  const laterMs = 500 * chance(`tools ${round}`);
  // Each deed in turn by either.
  if (Math.floor(round / deeds.length) % 2 === 0) {
    troupe = await createTroupe({ recover: false });
    const run = await troupe.start(misbehaving, { deed, marks: marks.file });
    await misbehaves(deed);
    await pass(laterMs);
    const since = performance.now();
    await run.kill('enough');
    const ms = performance.now() - since - GRACE_MS;
    expect([marks.alive(), markedBy(process.pid)]).toEqual([[], []]);
    expect(ms).toBeLessThan(BOUND_MS);
    worst.killed = Math.max(worst.killed, ms);
  } else {
    const pid = await hosted(deed);
    await pass(laterMs);
    const known = [...marks.pids(), ...childrenOf(pid)];
    process.kill(pid, 'SIGKILL');
    await expectNothingLeft(pid, known);
  }
});

it('a gigabyte of output is read and counted, and its end kept', async () => {
  troupe = await createTroupe({ recover: false });
  const before = process.memoryUsage.rss();
  const run = await troupe.start(misbehaving, {
    deed: { do: 'print', bytes: 2 ** 30, next: 'throw' },
    marks: marks.file,
  });
  const { error } = await run.result();
  const kept = 32 * 1024;
  expect(error?.data).toEqual({ stdout: 'x'.repeat(kept), discardedBytes: 2 ** 30 - kept });
  expect(process.memoryUsage.rss() - before).toBeLessThan(256 * 2 ** 20);
});

it('a host whose warden was killed has another', async () => {
  const pid = await hosted({ do: 'worst' });
  const wardens = (): number[] => {
    const of = childrenOf(pid);
    return find('cmdline', (text) => text.includes('warden')).filter((one) => of.includes(one));
  };
  await comesTrue(() => wardens().length === 1, 'there is a warden');
  const [first = 0] = wardens();
  process.kill(first, 'SIGKILL');
  await comesTrue(() => wardens().some((one) => one !== first), 'there is another');
  const known = [...marks.pids(), ...childrenOf(pid)];
  process.kill(pid, 'SIGKILL');
  await expectNothingLeft(pid, known);
});

it('a host that ends by itself leaves nothing either', async () => {
  const pid = await hosted({ do: 'worst' });
  const known = [...marks.pids(), ...childrenOf(pid)];
  process.kill(pid, 'SIGTERM');
  await expectNothingLeft(pid, known);
});
