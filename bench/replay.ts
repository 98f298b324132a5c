import { setImmediate as turn } from 'node:timers/promises';
import { createTroupe, durable, embedded, type EmbeddedOptions, type Summary } from '../src/index.ts';
import { answer, collectGarbage, FOR_MS, must, scaled, scratch, type Figures } from './measure.ts';
import { callsBegun, manySteps } from './workload.ts';

/** How fast is a journal folded, and for how long does the event loop stand still meanwhile? */

const many = durable(manySteps, { name: 'many-steps', version: '1' });

/** The longest time between two turns of the loop until it is asked, in ms. */
function longestBlock(): () => number {
  let longest = 0;
  let last = performance.now();
  let asked = false;
  const tick = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!asked) setImmediate(tick);
  };
  setImmediate(tick);
  return () => {
    asked = true;
    return Math.max(longest, performance.now() - last);
  };
}

async function replay(entries: number, options: EmbeddedOptions): Promise<Figures> {
  // A fold of so many entries warns.
  const own = await createTroupe({ backend: embedded(options), definitions: [many], report: () => {} });
  const record = async (calls: number): Promise<Summary> => {
    const { success, data, metadata } = await (await own.start(many, calls)).result();
    must(success && data === calls && metadata.steps === calls, `a run did not make its ${calls} calls`);
    return metadata;
  };
  // A call is one entry or two.
  const [ten, twenty] = [await record(10), await record(20)];
  const perCall = (twenty.entries - ten.entries) / 10;
  const recorded = await record(Math.floor((entries - ten.entries) / perCall) + 10);
  must(
    recorded.entries <= entries && recorded.entries > entries * 0.98,
    `its journal has ${recorded.entries} entries, not ${entries}`,
  );

  const begun = callsBegun();
  const window = async (forMs: number): Promise<number> => {
    const start = performance.now();
    let replays = 0;
    do {
      const { equal, status, summary } = await own.replay(recorded.run);
      must(equal && status === 'completed' && summary.steps === recorded.steps, 'it was not folded to its end');
      replays += 1;
      await turn();
    } while (performance.now() - start < forMs);
    return ((performance.now() - start) * 1_000) / replays / recorded.steps;
  };
  await window(FOR_MS / 2);
  collectGarbage();
  await turn();
  const blocked = longestBlock();
  const us = await window(FOR_MS);
  const block = blocked();
  must(callsBegun() === begun, 'a replay has begun calls');
  await own.close();
  return { us, perSecond: 1e6 / us, block, entries: recorded.entries, calls: recorded.steps };
}

await answer(
  Object.fromEntries(
    [100, 1_000, 10_000, 100_000].flatMap((entries) => [
      [`memory-${entries}`, () => replay(scaled(entries), {})],
      [`sqlite-${entries}`, () => replay(scaled(entries), { dir: scratch() })],
    ]),
  ),
);
