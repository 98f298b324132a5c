import type { Outcome } from './simulate.ts';
import type { Plan } from './plan.ts';

type Part = 'faults' | 'acts' | 'runs';
const PARTS: readonly Part[] = ['faults', 'acts', 'runs'];

/** The plan with only what is named; a run's acts go with it. */
export function only(plan: Plan, names: ReadonlySet<string>): Plan {
  const kept = <T extends { name: string }>(all: readonly T[]): readonly T[] =>
    all.filter(({ name }) => names.has(name));
  const runs = kept(plan.runs);
  const acts = kept(plan.acts).filter(({ run }) => runs.some(({ name }) => name === run));
  return { ...plan, runs, acts, faults: kept(plan.faults) };
}

export const namesIn = (plan: Plan): string[] => PARTS.flatMap((part) => plan[part].map(({ name }) => name));

/** Leaves out what a plan can do without while it still breaks the same promise: many at once first, then one by one. */
export async function shrink(
  plan: Plan,
  promise: string,
  simulated: (plan: Plan) => Promise<Outcome>,
): Promise<{ plan: Plan; tries: number }> {
  let best = plan;
  let tries = 0;
  const fails = async (candidate: Plan): Promise<boolean> => {
    tries += 1;
    return (await simulated(candidate)).violations.some((violation) => violation.promise === promise);
  };
  for (const part of PARTS)
    for (let size = best[part].length; size >= 1; size = Math.floor(size / 2))
      for (let at = 0; at < best[part].length;) {
        const names = best[part].slice(at, at + size).map(({ name }) => name);
        const candidate = only(best, new Set(namesIn(best).filter((name) => !names.includes(name))));
        if (candidate.runs.length > 0 && (await fails(candidate))) best = candidate;
        else at += size;
      }
  for (const simpler of [
    { processes: 1 },
    { processes: 2 },
    { parkAfterMs: false },
    { trouble: 0 },
    { leaseMs: 0 },
  ] as const)
    if (await fails({ ...best, ...simpler })) best = { ...best, ...simpler };
  return { plan: best, tries };
}
