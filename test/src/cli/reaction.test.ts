import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Folder, type Command } from './folder.ts';

/** A second process acts on the runs of a running service: from when it is recorded to when the service reacts. */

const RUNS = 3;
const LIMIT_MS = 200;
const SERVICE = fileURLToPath(new URL('reaction/service.ts', import.meta.url));

interface Said {
  run?: string;
  type: string;
  now: number;
  at?: number;
}

let folder: Folder;
let service: Command;
beforeAll(async () => {
  folder = new Folder();
  folder.env['RUNS'] = String(RUNS);
  service = folder.beginFile(SERVICE);
  await service.printed('"type":"ready"');
});
afterAll(() => folder.remove());

const ids = (kind: string): string[] => Array.from({ length: RUNS }, (_, n) => `${kind}-${n}`);

async function heard(run: string, type: string): Promise<Said> {
  const start = `{"run":"${run}","type":"${type}"`;
  await service.printed(start);
  const said = service.stdout.split('\n').find((text) => text.startsWith(start));
  return JSON.parse(said ?? '') as Said;
}

/** On a machine that is busy one may come late; not all of them. */
function expectFast(what: string, took: readonly number[]): void {
  const sorted = took.toSorted((a, b) => a - b);
  console.log(`${what}: median ${sorted[Math.floor(sorted.length / 2)]} ms, all ${sorted.join(', ')}`);
  expect(sorted[0]).toBeLessThanOrEqual(LIMIT_MS);
}

it('pause', async () => {
  const { data } = await folder.json<{ runs: { run: string; at: number }[] }>('pause', ...ids('pause'));
  const took = data.runs.map(async ({ run, at }) => (await heard(run, 'paused')).now - at);
  expect(took).toHaveLength(RUNS);
  expectFast('pause', await Promise.all(took));
});

it('approve', async () => {
  const took: number[] = [];
  for (const run of ids('approve')) {
    const { data } = await folder.json<{ at: number }>('approve', run);
    took.push((await heard(run, 'begun')).now - data.at);
  }
  expectFast('approve', took);
});

it('kill', async () => {
  const { data } = await folder.json<{ receipts: { ms: number; unanswered: unknown[] }[] }>('kill', ...ids('kill'));
  expect(data.receipts.map(({ unanswered }) => unanswered)).toEqual(ids('kill').map(() => []));
  const took = ids('kill').map(async (run) => {
    const { now } = await heard(run, 'aborted');
    return now - ((await heard(run, 'recorded')).at ?? 0);
  });
  expectFast('kill', await Promise.all(took));
  expectFast(
    'kill, with its receipt',
    data.receipts.map(({ ms }) => Math.round(ms)),
  );
});
