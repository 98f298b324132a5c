import { createTroupe, durable, embedded, type EmbeddedOptions } from '../src/index.ts';
import { answer, collectGarbage, median, must, scaled, scratch, type Figures } from './measure.ts';
import { idle } from './workload.ts';

/** Does a start take longer where many runs live already? */

const RUNS = scaled(100_000);
const WINDOW = scaled(1_000);

async function starts(options: EmbeddedOptions): Promise<Figures> {
  const waits = durable(idle, { name: 'waits', version: '1' });
  const own = await createTroupe({ backend: embedded(options), definitions: [waits], parkAfter: false });
  let started = 0;
  const startUpTo = async (count: number): Promise<number[]> => {
    const took: number[] = [];
    while (started < count) {
      const since = performance.now();
      await own.start(waits, undefined);
      took.push((performance.now() - since) * 1_000);
      started += 1;
    }
    return took;
  };
  await startUpTo(WINDOW);
  collectGarbage();
  const early = await startUpTo(2 * WINDOW);
  await startUpTo(RUNS - WINDOW);
  collectGarbage();
  const late = await startUpTo(RUNS);
  must(early.length === WINDOW && late.length === WINDOW, 'a window is short');
  must(own.counts.live === RUNS, `${own.counts.live} runs live, not ${RUNS}`);
  await own.close();
  return { early: median(early), late: median(late), live: RUNS };
}

await answer({ memory: () => starts({}), process: () => starts({ dir: scratch() }) });
