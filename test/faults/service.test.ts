import { setTimeout as pass } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { callsOf, chargedTwice, endsOf, expectIntended } from './ends.ts';
import { chance, seed } from './moments.ts';
import { decide, speak, total } from './outside.ts';
import { eventually, Servant, type Life, type Recovered } from './servant.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 });

const rounds = Number(process.env['FAULT_SERVICE_ROUNDS'] ?? 5);
const KILLS = 3;
const STANDSTILL_MS = 5_000;

/** What becomes of a hundred runs that nothing befalls. */
interface Undisturbed {
  ends: Map<string, unknown>;
  calls: string[];
  entries: number;
  startMs: number;
}
let normal: Undisturbed;
let servant: Servant | undefined;
const recoveries: (Recovered & { round: number })[] = [];
const hits = new Map<string, number>();
let kills = 0;

/** Kills a life at its moment: while it starts and recovers, or so many entries later. False when it was over before. */
async function killAt(here: Servant, life: Life, name: string, decided: Set<string>): Promise<boolean> {
  if (chance(`${name} kind`) < 0.3) {
    await Promise.race([pass(1.2 * normal.startMs * chance(name)), life.exited]);
  } else {
    let over = false;
    void life.exited.then(() => (over = true));
    const held = here.entries();
    const target = held + 1 + 0.7 * chance(name) * Math.max(0, normal.entries - held);
    let [most, since] = [held, performance.now()];
    const isTime = async (): Promise<true | undefined> => {
      const entries = here.entries();
      if (over || entries >= target) return true;
      if (entries > most) [most, since] = [entries, performance.now()];
      else if (performance.now() - since > STANDSTILL_MS) {
        // What is left may all wait for calls in doubt.
        await decide(here, decided);
        since = performance.now();
      }
      return undefined;
    };
    await eventually(isTime, `${target} entries`);
  }
  let ready = false;
  void life.ready.then(() => (ready = true));
  await Promise.resolve();
  const killed = life.child.kill('SIGKILL') && !(await life.exited).ended;
  const hit = killed ? (ready ? 'at work' : 'starting or recovering') : 'too late';
  hits.set(hit, (hits.get(hit) ?? 0) + 1);
  if (killed) kills += 1;
  return killed;
}

async function noteRecovery(life: Life, round: number): Promise<void> {
  const ready = await life.ready;
  if (ready !== undefined && ready.runs > 0) recoveries.push({ ...ready, round });
}

beforeAll(async () => {
  console.log(`FAULT_SEED=${seed} FAULT_SERVICE_ROUNDS=${rounds}`);
  servant = await Servant.open();
  const since = performance.now();
  const life = servant.begin();
  const speaking = speak(servant, -1);
  await life.ready;
  const startMs = performance.now() - since;
  await speaking;
  const { ended, parked } = await life.exited;
  expect(ended, servant.complaints).toBe(true);
  const entries = servant.entries();
  normal = { ends: await endsOf(servant), calls: callsOf(servant), entries, startMs };
  expect(servant.marks().filter(({ what }) => what !== 'hang')).toHaveLength(normal.calls.length);
  expect(parked, 'runs that rested').toBeGreaterThan(0);
  expect((await servant.journal('counter-0')).map(({ type }) => type)).toContain('run.continued');
  expect(await servant.registered()).toEqual([]);
  console.log(
    `undisturbed: ${entries} entries, ${normal.calls.length} calls, ${parked} parked, ${Math.round(performance.now() - since)} ms`,
  );
  await servant.close();
  servant = undefined;
});
afterEach(async () => {
  await servant?.close();
  servant = undefined;
});
afterAll(() => {
  const by = recoveries.toSorted((a, b) => a.ms - b.ms);
  const worst = by.at(-1);
  const median = by[Math.floor(by.length / 2)];
  const most = (of: 'recoveryMs' | 'cpuMs'): number => Math.round(Math.max(0, ...by.map((one) => one[of])));
  console.log(
    [
      `${kills} kills (${Array.from(hits, ([name, times]) => `${name}: ${times}`).join(', ')})`,
      `${total.doubts} calls in doubt, ${total.retried} of them begun again; ${total.sent} messages acknowledged`,
      `${by.length} recoveries: median ${Math.round(median?.ms ?? 0)} ms, worst ${Math.round(worst?.ms ?? 0)} ms from the start of its process (round ${worst?.round}), at most ${most('recoveryMs')} ms of it in the recovery itself, and ${most('cpuMs')} ms of that on a processor`,
    ].join('; '),
  );
  if (kills >= 10) expect(total.doubts).toBeGreaterThan(0);
});

it.for(Array.from({ length: rounds }, (_, round) => round))(
  'round %i: the service is killed, and recovers',
  async (round) => {
    const here = (servant = await Servant.open());
    const speaking = speak(here, round);
    speaking.catch(() => {});
    const decided = new Set<string>();
    for (let kill = 0; kill < KILLS; kill += 1) {
      const name = `${round} ${kill}`;
      const life = here.begin();
      if (chance(`${name} decide`) < 0.5 && (await life.ready) !== undefined) await decide(here, decided);
      const killed = await killAt(here, life, name, decided);
      await noteRecovery(life, round);
      if (!killed) break;
      await expectIntended(here);
    }
    const last = here.begin();
    await noteRecovery(last, round);
    await last.started;
    await decide(here, decided);
    await speaking;
    const outcome = await Promise.race([last.exited, pass(90_000, undefined)]);
    const left = (await here.registered()).join(' ');
    expect(outcome?.ended, `FAULT_SEED=${seed}, left: ${left}\n${here.complaints}`).toBe(true);

    expect(await endsOf(here)).toEqual(normal.ends);
    expect(callsOf(here), 'calls, by key').toEqual(normal.calls);
    expect(chargedTwice(here), 'irreversible calls that happened twice').toEqual([]);
    expect(left).toBe('');
    expect(here.complaints).toBe('');
  },
);
