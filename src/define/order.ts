import type { PlanError } from '../protocol/errors.ts';
import { near } from './closest.ts';
import type { Line, Refuse, Word } from './line.ts';

interface Placed {
  line: Pick<Line, 'name' | 'needs'>;
}

/** Every step after those it needs. @throws PlanError for a step that is not there, and for a cycle */
export function inOrder<Step extends Placed>(steps: readonly Step[], refuse: Refuse): Step[] {
  const byName = new Map(steps.map((step) => [step.line.name.text, step]));
  const waiting = new Map<Step, number>();
  const dependents = new Map<string, Step[]>();
  for (const step of steps) {
    waiting.set(step, step.line.needs.length);
    for (const need of step.line.needs) {
      if (!byName.has(need.text))
        throw refuse(
          need,
          `Step ${step.line.name.text} requires ${need.text.slice(0, 40)}, and there is no such step${near(need.text, [...byName.keys()])}.`,
        );
      const after = dependents.get(need.text);
      if (after === undefined) dependents.set(need.text, [step]);
      else after.push(step);
    }
  }
  const ordered = steps.filter(({ line }) => line.needs.length === 0);
  // grows while it is walked
  for (const { line } of ordered)
    for (const step of dependents.get(line.name.text) ?? []) {
      const left = (waiting.get(step) ?? 0) - 1;
      waiting.set(step, left);
      if (left === 0) ordered.push(step);
    }
  if (ordered.length < steps.length) throw cycle(steps, new Set(ordered), byName, refuse);
  return ordered;
}

/** From any step that could not be ordered, the way along what could not be either comes back to itself. */
function cycle(
  steps: readonly Placed[],
  ordered: ReadonlySet<Placed>,
  byName: ReadonlyMap<string, Placed>,
  refuse: Refuse,
): PlanError {
  const stuck = (need: Word): boolean => {
    const step = byName.get(need.text);
    return step !== undefined && !ordered.has(step);
  };
  const path: Word[] = [];
  const seen = new Map<string, number>();
  let next = steps.find((step) => !ordered.has(step))?.line.needs.find(stuck);
  while (next !== undefined && !seen.has(next.text)) {
    seen.set(next.text, path.push(next) - 1);
    next = byName.get(next.text)?.line.needs.find(stuck);
  }
  // each word stands in the line of the step before it; the one that led into the circle does not
  const round = [...path.slice((seen.get(next?.text ?? '') ?? 0) + 1), ...(next === undefined ? [] : [next])];
  const lines = round.map(({ text }) => byName.get(text)?.line.name.line ?? 0);
  const first = lines.indexOf(lines.reduce((least, line) => Math.min(least, line), Infinity));
  const way = [...round.slice(first), ...round.slice(0, first)];
  const names = [...way, ...way.slice(0, 1)].map(({ text }) => text);
  const shortened = names.length > 12 ? [...names.slice(0, 10), '…', ...names.slice(-1)] : names;
  return refuse(
    way[1] ?? way[0] ?? { line: 1, column: 1 },
    `These steps wait for each other: ${shortened.join(' → ')}.`,
    { cycle: shortened },
  );
}
