import { createTroupe, plan } from '../src/index.ts';
import type { AnyPlan } from '../src/define/steps.ts';
import { answer, measure, must, type Figures } from './measure.ts';
import { stepTool } from './workload.ts';

/** Does a step of a long plan cost what one of a short plan does? */

type Shape = 'sequential' | 'wide';

/** Each step after the one before, or all free to begin at once, four at a time as any plan has it. */
function planOf(count: number, shape: Shape): AnyPlan {
  let built: AnyPlan = plan({ name: `${shape}-${count}` });
  for (let i = 0; i < count; i += 1) {
    const before = `s${i - 1}`;
    built =
      shape === 'wide' || i === 0
        ? built.step(`s${i}`, stepTool, { input: () => ({ i }) })
        : built.step(`s${i}`, stepTool, {
            needs: [before],
            input: (done: Record<string, { i: number }>) => ({ i: (done[before]?.i ?? NaN) + 1 }),
          });
  }
  return built;
}

async function plans(count: number, shape: Shape): Promise<Figures> {
  const own = await createTroupe();
  const definition = planOf(count, shape);
  const figures = await measure(
    async () => {
      const { success, data, metadata } = await (await own.start(definition, undefined)).result();
      const outputs = data as Record<string, { i: number }>;
      must(success && metadata.steps === count, `a run did not take its ${count} steps`);
      must(Object.keys(outputs).length === count && outputs[`s${count - 1}`]?.i === count - 1, 'an output is wrong');
    },
    { steps: count },
  );
  await own.close();
  return figures;
}

await answer(
  Object.fromEntries(
    [10, 100, 1_000].flatMap((count) =>
      (['sequential', 'wide'] as const).map((shape) => [`${shape}-${count}`, () => plans(count, shape)]),
    ),
  ),
);
